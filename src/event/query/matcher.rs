//! Clauses and how they match: text by lower-cased words as Lucene's standard analysis has it,
//! `.keyword` by the exact text, ranges by number or text.

use std::mem;

use regex::{Regex, RegexBuilder};
use serde_json::Value;

use crate::event::query::parser::Literal;
use crate::event::query::{QueryErrorKind, REGEX_BYTES_MAX};

/// A part of a query.
#[derive(Debug)]
pub(super) enum Clause {
    /// Matches everything.
    All,
    /// All that must, none that must not, and at least one of the others if nothing must.
    Bool(Vec<(Occur, Clause)>),
    /// A test of one field, or of every value where there is none.
    Leaf { field: Option<Field>, test: Test },
}

/// How a clause counts among its neighbours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Occur {
    Must,
    MustNot,
    Should,
}

/// A field's path and how its text is taken.
#[derive(Clone, Debug)]
pub(super) struct Field {
    path: String,
    analysis: Analysis,
}

/// How a value's text is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Analysis {
    /// The whole text, as it is.
    Keyword,
    /// The text as a number.
    Numeric,
    /// Lower-cased words.
    Words,
}

/// What a value has to be.
#[derive(Debug)]
pub(super) enum Test {
    /// Has these words side by side.
    Phrase { text: String, words: Vec<String> },
    /// Is there.
    Present,
    /// Lies between.
    Range { lower: Bound, upper: Bound },
    /// The whole text matches.
    Regex(Regex),
    /// The whole text or one word matches: without regard to case, and exactly. The pieces are what
    /// is between the wildcards.
    Wildcard { any_case: Regex, exact: Regex, pieces: Vec<String> },
}

/// An end of a range.
#[derive(Debug)]
pub(super) enum Bound {
    Excluded(String),
    Included(String),
    Unbounded,
}

impl Clause {
    /// Whether it asks for nothing, or for any value.
    pub(super) fn is_everything(&self) -> bool {
        match self {
            Self::All | Self::Leaf { field: None, test: Test::Present } => true,
            Self::Bool(_) | Self::Leaf { .. } => false,
        }
    }

    /// Puts the paths of all fields into `paths`; false if a test looks at every value.
    pub(super) fn paths<'a>(&'a self, paths: &mut Vec<&'a str>) -> bool {
        match self {
            Self::All => true,
            Self::Bool(clauses) => clauses.iter().all(|(_, clause)| clause.paths(paths)),
            Self::Leaf { field: None, .. } => false,
            Self::Leaf { field: Some(field), .. } => {
                paths.push(&field.path);
                true
            }
        }
    }

    pub(super) fn matches(&self, event: &Value) -> bool {
        match self {
            Self::All => true,
            Self::Bool(clauses) => matches_all(clauses, event),
            Self::Leaf { field: None, test } => {
                any_leaf(event, &mut |value| test.matches(value, Analysis::Words))
            }
            Self::Leaf { field: Some(field), test } => {
                any_at(event, &field.path, &mut |value| test.matches(value, field.analysis))
            }
        }
    }
}

impl Field {
    pub(super) fn new(name: &str) -> Self {
        let (path, analysis) = if let Some(path) = name.strip_suffix(".keyword") {
            (path, Analysis::Keyword)
        } else if let Some(path) = name.strip_suffix(".numeric") {
            (path, Analysis::Numeric)
        } else {
            (name, Analysis::Words)
        };
        Self { path: path.to_owned(), analysis }
    }

    /// Whether it stands for every field.
    pub(super) fn is_any(&self) -> bool {
        self.path == "*"
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    pub(super) fn analysis(&self) -> Analysis {
        self.analysis
    }
}

impl Test {
    pub(super) fn phrase(text: &str) -> Self {
        Self::Phrase { text: text.to_owned(), words: words(text).collect() }
    }

    pub(super) fn range(lower: Bound, upper: Bound) -> Self {
        Self::Range { lower, upper }
    }

    pub(super) fn regex(pattern: &str) -> Result<Self, QueryErrorKind> {
        compile(&format!("^(?:{pattern})$"), Case::Exact).map(Self::Regex)
    }

    /// A term without quotes; `*` and `?` that aren't escaped stand for other characters.
    pub(super) fn term(term: &[(char, Literal)]) -> Result<Self, QueryErrorKind> {
        if let [('*', Literal::Plain)] = term {
            return Ok(Self::Present);
        }
        if !term.iter().any(|part| matches!(part, ('*' | '?', Literal::Plain))) {
            return Ok(Self::phrase(&term.iter().map(|(c, _)| *c).collect::<String>()));
        }
        let mut pattern = String::from("^");
        let (mut pieces, mut piece) = (Vec::new(), String::new());
        for part in term {
            match part {
                ('*', Literal::Plain) => pattern.push_str(".*"),
                ('?', Literal::Plain) => pattern.push('.'),
                (c, Literal::Escaped | Literal::Plain) => {
                    pattern.push_str(&regex::escape(c.encode_utf8(&mut [0; 4])));
                    piece.push(*c);
                    continue;
                }
            }
            pieces.push(mem::take(&mut piece));
        }
        pieces.push(piece);
        pattern.push('$');
        let any_case = compile(&pattern, Case::Any)?;
        Ok(Self::Wildcard { any_case, exact: compile(&pattern, Case::Exact)?, pieces })
    }

    fn matches(&self, value: &Value, analysis: Analysis) -> bool {
        let mut number = String::new();
        let Some(text) = text_of(value, &mut number) else { return false };
        match (self, analysis) {
            (Self::Present, _) => true,
            (Self::Regex(regex), _) => regex.is_match(text),
            (Self::Range { lower, upper }, _) => {
                let numeric = analysis == Analysis::Numeric;
                lower.admits(text, Side::Lower, numeric) && upper.admits(text, Side::Upper, numeric)
            }
            (Self::Phrase { text: exact, .. }, Analysis::Keyword) => exact == text,
            (Self::Phrase { text: wanted, .. }, Analysis::Numeric) => {
                matches!((as_number(wanted), as_number(text)), (Some(a), Some(b)) if a.total_cmp(&b).is_eq())
            }
            (Self::Phrase { text: wanted, words }, Analysis::Words) => {
                has_phrase(text, wanted, words)
            }
            (Self::Wildcard { exact, .. }, Analysis::Keyword | Analysis::Numeric) => {
                exact.is_match(text)
            }
            (Self::Wildcard { any_case, .. }, Analysis::Words) => {
                any_case.is_match(text) || words(text).any(|word| any_case.is_match(&word))
            }
        }
    }
}

/// Which end of a range a bound is.
#[derive(Clone, Copy)]
enum Side {
    Lower,
    Upper,
}

impl Bound {
    pub(super) fn new(text: &str, included: bool) -> Self {
        match (text, included) {
            ("*", _) => Self::Unbounded,
            (_, true) => Self::Included(text.to_owned()),
            (_, false) => Self::Excluded(text.to_owned()),
        }
    }

    /// Compares as numbers where both are, else as text; only as numbers if it must be.
    fn admits(&self, text: &str, side: Side, numeric: bool) -> bool {
        let (bound, included) = match self {
            Self::Unbounded => return !numeric || as_number(text).is_some(),
            Self::Included(bound) => (bound, true),
            Self::Excluded(bound) => (bound, false),
        };
        let ordering = match (as_number(text), as_number(bound)) {
            (Some(value), Some(bound)) => value.partial_cmp(&bound),
            (None, _) | (_, None) if numeric => None,
            (None, _) | (_, None) => Some(text.cmp(bound.as_str())),
        };
        ordering.is_some_and(|ordering| match side {
            Side::Lower => ordering.is_gt() || (included && ordering.is_eq()),
            Side::Upper => ordering.is_lt() || (included && ordering.is_eq()),
        })
    }
}

fn matches_all(clauses: &[(Occur, Clause)], event: &Value) -> bool {
    let mut required = false;
    let mut optional = None;
    for (occur, clause) in clauses {
        match occur {
            Occur::Must if !clause.matches(event) => return false,
            Occur::Must => required = true,
            Occur::MustNot if clause.matches(event) => return false,
            Occur::MustNot => {}
            Occur::Should => {
                optional = Some(optional == Some(true) || clause.matches(event));
            }
        }
    }
    // Exclusions alone select all the rest, which is what a person who types them wants.
    required || optional != Some(false)
}

/// Whether a value at a path passes; dots descend, keys with dots are taken whole, arrays are
/// searched.
fn any_at(value: &Value, path: &str, test: &mut dyn FnMut(&Value) -> bool) -> bool {
    match value {
        Value::Array(items) => items.iter().any(|item| any_at(item, path, test)),
        Value::Object(members) => {
            members.iter().any(|(key, member)| match path.strip_prefix(key.as_str()) {
                Some("") => any_item(member, test),
                Some(rest) => rest.strip_prefix('.').is_some_and(|rest| any_at(member, rest, test)),
                None => false,
            })
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

/// Whether a value, or an item of an array, passes.
fn any_item(value: &Value, test: &mut dyn FnMut(&Value) -> bool) -> bool {
    match value {
        Value::Array(items) => items.iter().any(|item| any_item(item, test)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
            test(value)
        }
    }
}

/// Whether a value anywhere below passes.
fn any_leaf(value: &Value, test: &mut dyn FnMut(&Value) -> bool) -> bool {
    match value {
        Value::Array(items) => items.iter().any(|item| any_leaf(item, test)),
        Value::Object(members) => members.values().any(|member| any_leaf(member, test)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => test(value),
    }
}

/// The text that a value is compared by; an object has one only for the test of presence.
fn text_of<'a>(value: &'a Value, number: &'a mut String) -> Option<&'a str> {
    match value {
        Value::Null => None,
        Value::Bool(true) => Some("true"),
        Value::Bool(false) => Some("false"),
        Value::Number(value) => {
            *number = value.to_string();
            Some(number)
        }
        Value::String(text) => Some(text),
        Value::Array(_) | Value::Object(_) => Some(""),
    }
}

/// The lower-cased words of a text: runs of letters, digits and `_`.
fn words(text: &str) -> impl Iterator<Item = String> {
    text.split(|c: char| !c.is_alphanumeric() && c != '_')
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
}

fn has_phrase(text: &str, wanted: &str, phrase: &[String]) -> bool {
    let Some(first) = phrase.first() else {
        // No words at all: `""` asks for an empty text, `"--"` for these characters.
        return if wanted.is_empty() { text.is_empty() } else { text.contains(wanted) };
    };
    if text.is_ascii() {
        return has_ascii_phrase(text, phrase);
    }
    let words: Vec<String> = words(text).collect();
    words.windows(phrase.len()).any(|window| window.first() == Some(first) && window == phrase)
}

/// The same of a text that has no letters but ASCII's, whose words need no memory.
fn has_ascii_phrase(text: &str, phrase: &[String]) -> bool {
    let mut words = text
        .as_bytes()
        .split(|byte| !byte.is_ascii_alphanumeric() && *byte != b'_')
        .filter(|word| !word.is_empty());
    loop {
        let mut here = words.clone();
        let is_here = phrase.iter().all(|wanted| {
            here.next().is_some_and(|word| word.eq_ignore_ascii_case(wanted.as_bytes()))
        });
        if is_here || words.next().is_none() {
            return is_here;
        }
    }
}

fn as_number(text: &str) -> Option<f64> {
    text.parse::<f64>().ok().filter(|number| number.is_finite())
}

/// Whether upper and lower case differ.
#[derive(Clone, Copy)]
enum Case {
    Any,
    Exact,
}

fn compile(pattern: &str, case: Case) -> Result<Regex, QueryErrorKind> {
    RegexBuilder::new(pattern)
        .case_insensitive(matches!(case, Case::Any))
        .dot_matches_new_line(true)
        .size_limit(REGEX_BYTES_MAX)
        .build()
        .map_err(|error| {
            let text = error.to_string();
            QueryErrorKind::Regex(text.lines().last().unwrap_or_default().trim().to_owned())
        })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn phrases_of_ascii_are_those_of_any_text(
            text in "[aAb1_ .-]{0,12}",
            phrase in prop::collection::vec("[ab1_k]{1,2}|\u{212a}|é", 1..4),
        ) {
            let words: Vec<String> = words(&text).collect();
            let expected = words.windows(phrase.len()).any(|window| window == phrase);
            prop_assert_eq!(has_ascii_phrase(&text, &phrase), expected);
            prop_assert_eq!(has_phrase(&text, &phrase.join(" "), &phrase), expected);
        }
    }
}
