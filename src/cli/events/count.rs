//! Counts events by the values of fields.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::io::{self, Write};

use serde_json::Value;

use crate::cli::events::EventsError;
use crate::cli::events::output::{Format, cell};
use crate::event::query::values_at;
use crate::event::report::printable;

/// How many events have which values.
#[derive(Debug, Default)]
pub(super) struct Groups {
    counts: BTreeMap<String, u64>,
    /// Of events whose values came when there was no room for more.
    uncounted: u64,
}

/// The paths of the fields to count by, as queries name them.
pub(super) fn fields(names: &[String]) -> Result<Vec<&str>, EventsError> {
    if FIELDS_MAX < names.len() {
        return Err(EventsError::Fields);
    }
    let paths: Vec<&str> = names.iter().map(|name| path(name.trim())).collect();
    if paths.iter().any(|path| path.is_empty()) { Err(EventsError::Fields) } else { Ok(paths) }
}

fn path(name: &str) -> &str {
    name.strip_suffix(".keyword").or_else(|| name.strip_suffix(".numeric")).unwrap_or(name)
}

/// The group of an event: a JSON array of the values of the fields. A field that is not there is
/// `null`, and one with several values has all of them, so an event is in one group.
pub(super) fn group(event: &Value, fields: &[&str]) -> String {
    let value = |field: &&str| match values_at(event, field).as_slice() {
        [] => Value::Null,
        [value] => (*value).clone(),
        values => values.iter().copied().cloned().collect(),
    };
    fields.iter().map(value).collect::<Value>().to_string()
}

impl Groups {
    pub(super) fn add(&mut self, group: String) {
        if let Some(count) = self.counts.get_mut(&group) {
            *count += 1;
        } else if self.counts.len() < GROUPS_MAX {
            self.counts.insert(group, 1);
        } else {
            self.uncounted += 1;
        }
    }

    /// Prints the largest groups first, and what all others are together.
    pub(super) fn print(
        self,
        fields: &[&str],
        limit: Option<usize>,
        format: Format,
        out: impl Write,
    ) -> Result<(), EventsError> {
        let mut groups: Vec<(Reverse<u64>, String)> =
            self.counts.into_iter().map(|(group, count)| (Reverse(count), group)).collect();
        groups.sort();
        let rest = groups.split_off(groups.len().min(limit.unwrap_or(GROUPS_SHOWN)));
        let groups = groups.into_iter().map(|(Reverse(count), group)| {
            (serde_json::from_str(&group).unwrap_or_default(), count)
        });
        let groups: Vec<(Vec<Value>, u64)> = groups.collect();
        let count = rest.iter().map(|(Reverse(count), _)| count).sum::<u64>() + self.uncounted;
        // Of what found no room, how many values it has is not known.
        let rest = Rest { groups: (self.uncounted == 0).then_some(rest.len()), count };
        let mut out = io::BufWriter::new(out);
        match format {
            Format::Json => print_json(fields, &groups, &rest, &mut out)?,
            Format::Table => print_table(fields, &groups, &rest, &mut out)?,
        }
        Ok(out.flush()?)
    }
}

/// What is not printed group by group.
struct Rest {
    groups: Option<usize>,
    count: u64,
}

fn print_json(
    fields: &[&str],
    groups: &[(Vec<Value>, u64)],
    rest: &Rest,
    out: &mut impl Write,
) -> io::Result<()> {
    for (values, count) in groups {
        write!(out, "{{")?;
        for (field, value) in fields.iter().zip(values) {
            write!(out, "{}:{value},", Value::from(*field))?;
        }
        writeln!(out, "\"count\":{count}}}")?;
    }
    if 0 < rest.count {
        writeln!(out, "{{\"rest\":{},\"count\":{}}}", Value::from(rest.groups), rest.count)?;
    }
    Ok(())
}

fn print_table(
    fields: &[&str],
    groups: &[(Vec<Value>, u64)],
    rest: &Rest,
    out: &mut impl Write,
) -> io::Result<()> {
    let cells = groups.iter().map(|(values, count)| {
        let values = values.iter().map(|value| cell(Some(value)));
        (count.to_string(), values.collect::<Vec<_>>())
    });
    let cells: Vec<_> = cells.collect();
    let widths = fields.iter().enumerate().map(|(index, field)| {
        let column = cells.iter().filter_map(|(_, values)| values.get(index));
        column.map(|value| value.chars().count()).chain([field.chars().count()]).max()
    });
    let widths: Vec<usize> = widths.map(Option::unwrap_or_default).collect();
    let head: Vec<String> = fields.iter().map(|field| printable(field).into_owned()).collect();
    for (count, values) in [("COUNT".to_owned(), head)].iter().chain(&cells) {
        let mut row = format!("{count:>COUNT_WIDTH$}");
        for (value, width) in values.iter().zip(&widths) {
            row.extend(["  ", &format!("{value:<width$}")]);
        }
        writeln!(out, "{}", row.trim_end())?;
    }
    match rest {
        Rest { count: 0, .. } => Ok(()),
        Rest { groups: Some(groups), count } => {
            writeln!(out, "{count:>COUNT_WIDTH$}  in {groups} smaller groups")
        }
        Rest { groups: None, count } => {
            writeln!(out, "{count:>COUNT_WIDTH$}  in other groups, of which there are too many")
        }
    }
}

/// The most fields; each makes groups smaller.
const FIELDS_MAX: usize = 8;
/// The most groups that are kept: with usual values 20 MB.
const GROUPS_MAX: usize = 100_000;
/// The most groups that are printed where no limit is given.
const GROUPS_SHOWN: usize = 1000;
const _: () = assert!(GROUPS_SHOWN <= GROUPS_MAX);
/// As wide as the largest usual count.
const COUNT_WIDTH: usize = 9;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn groups(events: &[Value], fields: &[&str]) -> Groups {
        let mut groups = Groups::default();
        for event in events {
            groups.add(group(event, fields));
        }
        groups
    }

    #[track_caller]
    fn check(events: &[Value], fields: &[&str], limit: Option<usize>, format: Format, text: &str) {
        let mut out = Vec::new();
        groups(events, fields).print(fields, limit, format, &mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), text);
    }

    fn events() -> Vec<Value> {
        vec![
            json!({"a": "x", "b": {"c": 1}}),
            json!({"a": "x", "b": {"c": 1}}),
            json!({"a": "red\u{1b}[31m", "b": [{"c": 1}, {"c": 2}]}),
            json!({"b.c": true}),
        ]
    }

    #[test]
    fn each_event_is_in_one_group_and_the_largest_comes_first() {
        let expected = "{\"a\":\"x\",\"b.c\":1,\"count\":2}\n\
                        {\"a\":\"red\\u001b[31m\",\"b.c\":[1,2],\"count\":1}\n\
                        {\"a\":null,\"b.c\":true,\"count\":1}\n";
        check(&events(), &["a", "b.c"], None, Format::Json, expected);
        check(&[], &["a"], None, Format::Json, "");
    }

    #[test]
    fn the_table_is_for_people() {
        let expected = "    COUNT  a           b.c\n        \
                        2  x           1\n        \
                        1  red\u{fffd}[31m    [1,2]\n        \
                        1  -           true\n";
        let mut out = Vec::new();
        groups(&events(), &["a", "b.c"])
            .print(&["a", "b.c"], None, Format::Table, &mut out)
            .unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(!text.contains('\u{1b}'));
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(words(&text), words(expected));
    }

    #[test]
    fn what_is_not_printed_is_counted() {
        let first = "{\"a\":\"x\",\"count\":2}\n{\"rest\":2,\"count\":2}\n";
        check(&events(), &["a"], Some(1), Format::Json, first);
        let table = "    COUNT  a\n        2  x\n        2  in 2 smaller groups\n";
        check(&events(), &["a"], Some(1), Format::Table, table);

        let mut groups = Groups::default();
        for n in 0..GROUPS_MAX + 5 {
            groups.add(format!("[{}]", n % (GROUPS_MAX + 2)));
        }
        let mut out = Vec::new();
        groups.print(&["a"], Some(1), Format::Json, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        let count = GROUPS_MAX + 5 - 2;
        assert_eq!(text, format!("{{\"a\":0,\"count\":2}}\n{{\"rest\":null,\"count\":{count}}}\n"));
    }

    #[test]
    fn fields_are_named_as_in_queries() {
        let named = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            fields(&names).map(|fields| fields.join("+")).ok()
        };
        assert_eq!(named(&["a", "b.keyword", " c.d.numeric "]).as_deref(), Some("a+b+c.d"));
        assert_eq!(named(&[]).as_deref(), Some(""));
        assert_eq!(named(&["a", ""]), None);
        assert_eq!(named(&["a"; 8]).as_deref(), Some("a+a+a+a+a+a+a+a"));
        assert_eq!(named(&["a"; 9]), None);
    }
}
