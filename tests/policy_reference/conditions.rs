//! Conditions: operators, sets, missing keys (facts: section 3).

use std::net::IpAddr;
use std::str::FromStr;

use data_encoding::BASE64;
use jiff::Timestamp;
use serde_json::Value;

use super::glob::{self, Part, arn_segments, parse, resolve, split_arn};
use super::scenario::Context;

/// One key under one operator.
#[derive(Clone, Debug)]
pub(crate) struct Condition {
    set: Set,
    test: Test,
    /// The values are what must not match.
    negated: bool,
    if_exists: bool,
    key: String,
    values: Vec<PolicyValue>,
}

/// Before the colon of an operator.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Set {
    Plain,
    ForAllValues,
    ForAnyValue,
}

/// How values are compared.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Test {
    String,
    StringIgnoreCase,
    StringLike,
    Numeric(Order),
    Date(Order),
    Bool,
    Binary,
    Ip,
    Arn,
    Null,
}

/// How the request's value must stand to the policy's.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Order {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// A policy's value, read for its operator.
#[derive(Clone, Debug)]
enum PolicyValue {
    Text(Vec<Part>),
    /// Six patterns; none: it means nothing.
    Arn(Option<Vec<Vec<Part>>>),
    /// In units of 10⁻¹⁵.
    Number(i128),
    Date(Timestamp),
    Bytes(Vec<u8>),
    Net(IpAddr, u32),
    Absent(bool),
}

/// The operators, and whether they are the negation of their test.
const OPERATORS: [(&str, Test, bool); 27] = [
    ("StringEquals", Test::String, false),
    ("StringNotEquals", Test::String, true),
    ("StringEqualsIgnoreCase", Test::StringIgnoreCase, false),
    ("StringNotEqualsIgnoreCase", Test::StringIgnoreCase, true),
    ("StringLike", Test::StringLike, false),
    ("StringNotLike", Test::StringLike, true),
    ("NumericEquals", Test::Numeric(Order::Equal), false),
    ("NumericNotEquals", Test::Numeric(Order::Equal), true),
    ("NumericLessThan", Test::Numeric(Order::Less), false),
    ("NumericLessThanEquals", Test::Numeric(Order::LessOrEqual), false),
    ("NumericGreaterThan", Test::Numeric(Order::Greater), false),
    ("NumericGreaterThanEquals", Test::Numeric(Order::GreaterOrEqual), false),
    ("DateEquals", Test::Date(Order::Equal), false),
    ("DateNotEquals", Test::Date(Order::Equal), true),
    ("DateLessThan", Test::Date(Order::Less), false),
    ("DateLessThanEquals", Test::Date(Order::LessOrEqual), false),
    ("DateGreaterThan", Test::Date(Order::Greater), false),
    ("DateGreaterThanEquals", Test::Date(Order::GreaterOrEqual), false),
    ("Bool", Test::Bool, false),
    ("BinaryEquals", Test::Binary, false),
    ("IpAddress", Test::Ip, false),
    ("NotIpAddress", Test::Ip, true),
    ("ArnEquals", Test::Arn, false),
    ("ArnLike", Test::Arn, false),
    ("ArnNotEquals", Test::Arn, true),
    ("ArnNotLike", Test::Arn, true),
    ("Null", Test::Null, false),
];

/// Reads `Condition`: every operator and every key in it must hold.
pub(crate) fn read(value: Option<&Value>, variables: bool) -> Result<Vec<Condition>, String> {
    let mut conditions = Vec::new();
    let Some(value) = value else {
        return Ok(conditions);
    };
    let operators = value.as_object().ok_or("`Condition` is no object")?;
    for (operator, keys) in operators {
        let (set, test, negated, if_exists) = read_operator(operator)?;
        for (key, values) in keys.as_object().ok_or("an operator's keys are no object")? {
            let values = scalars(values)?;
            let values = values.iter().map(|text| read_value(test, text, variables));
            conditions.push(Condition {
                set,
                test,
                negated,
                if_exists,
                key: key.to_lowercase(),
                values: values.collect::<Result<_, _>>()?,
            });
        }
    }
    Ok(conditions)
}

/// Operators are known in any letter case.
fn read_operator(text: &str) -> Result<(Set, Test, bool, bool), String> {
    let lower = text.to_lowercase();
    let (set, name) = match lower.split_once(':') {
        None => (Set::Plain, lower.as_str()),
        Some(("forallvalues", name)) => (Set::ForAllValues, name),
        Some(("foranyvalue", name)) => (Set::ForAnyValue, name),
        Some(_) => return Err(format!("`{text}` is no operator")),
    };
    let (name, if_exists) = match name.strip_suffix("ifexists") {
        Some(name) => (name, true),
        None => (name, false),
    };
    let known = OPERATORS.iter().find(|(known, _, _)| known.to_lowercase() == name);
    match known {
        None => Err(format!("`{text}` is no operator")),
        Some((_, Test::Null, _)) if if_exists || set != Set::Plain => {
            Err(format!("`Null` has no form `{text}`"))
        }
        Some((_, test, negated)) => Ok((set, *test, *negated, if_exists)),
    }
}

/// A bad value is an error of the document.
fn read_value(test: Test, text: &str, variables: bool) -> Result<PolicyValue, String> {
    let bad = || format!("`{text}` is not of the operator's kind");
    Ok(match test {
        Test::String | Test::StringIgnoreCase => PolicyValue::Text(parse(text, false, variables)?),
        Test::StringLike => PolicyValue::Text(parse(text, true, variables)?),
        Test::Arn => PolicyValue::Arn(split_arn(&parse(text, true, variables)?)),
        Test::Bool => {
            let parts = parse(text, false, variables)?;
            let has_variable = parts.iter().any(|part| matches!(part, Part::Variable { .. }));
            if !has_variable && read_bool(text).is_none() {
                return Err(bad());
            }
            PolicyValue::Text(parts)
        }
        Test::Null => PolicyValue::Absent(read_bool(text).ok_or_else(bad)?),
        Test::Numeric(_) => PolicyValue::Number(read_number(text).ok_or_else(bad)?),
        Test::Date(_) => PolicyValue::Date(read_date(text).ok_or_else(bad)?),
        Test::Binary => PolicyValue::Bytes(BASE64.decode(text.as_bytes()).map_err(|_error| bad())?),
        Test::Ip => {
            let (address, bits) = read_net(text).ok_or_else(bad)?;
            PolicyValue::Net(address, bits)
        }
    })
}

impl Condition {
    /// Whether the request meets the condition.
    pub(crate) fn holds(&self, context: &Context, denies: bool) -> bool {
        let entry = context.get(&self.key);
        if self.test == Test::Null {
            let is_absent = entry.is_none();
            return self
                .values
                .iter()
                .any(|value| matches!(value, PolicyValue::Absent(absent) if *absent == is_absent));
        }
        let holds = |value: &String| self.value_holds(value, context, denies);
        // Under a set operator, a single empty text is an empty set.
        let values = entry.map_or(&[][..], |entry| &entry.values[..]);
        let values = if values == [""] && self.set != Set::Plain { &[] } else { values };
        match self.set {
            Set::Plain => match entry {
                None => self.negated || self.if_exists,
                Some(entry) if entry.multivalued => false,
                Some(entry) => holds(&entry.values[0]),
            },
            // Both read the set as it is: `IfExists` changes nothing.
            Set::ForAllValues => values.iter().all(holds),
            Set::ForAnyValue => values.iter().any(holds),
        }
    }

    /// Positive: one of the policy's values matches. Negated: none does. A value that can't be
    /// read counts against the request: no Allow, and a negated operator's Deny.
    fn value_holds(&self, value: &str, context: &Context, denies: bool) -> bool {
        if !self.can_read(value) {
            return self.negated && denies;
        }
        let matched = self.values.iter().any(|it| self.value_matches(value, it, context));
        matched != self.negated
    }

    fn can_read(&self, value: &str) -> bool {
        match self.test {
            Test::String | Test::StringIgnoreCase | Test::StringLike => true,
            Test::Binary => read_bytes(value).is_some(),
            // Presence is no value.
            Test::Null => false,
            Test::Numeric(_) => read_number(value).is_some(),
            Test::Date(_) => read_date(value).is_some(),
            Test::Bool => read_bool(value).is_some(),
            Test::Ip => read_address(value).is_some(),
            Test::Arn => arn_segments(value).is_some(),
        }
    }

    fn value_matches(&self, value: &str, policy: &PolicyValue, context: &Context) -> bool {
        match (self.test, policy) {
            (Test::StringIgnoreCase | Test::Bool, PolicyValue::Text(parts)) => {
                let Some(parts) = resolve(parts, context) else {
                    return false;
                };
                plain(&parts).to_lowercase() == value.to_lowercase()
            }
            (_, PolicyValue::Text(parts)) => glob::matches(parts, value, context),
            (_, PolicyValue::Arn(Some(patterns))) => {
                let segments = arn_segments(value).unwrap();
                (0..6).all(|n| glob::matches(&patterns[n], segments[n], context))
            }
            (Test::Numeric(order), PolicyValue::Number(number)) => {
                in_order(order, &read_number(value).unwrap(), number)
            }
            (Test::Date(order), PolicyValue::Date(date)) => {
                in_order(order, &read_date(value).unwrap(), date)
            }
            (_, PolicyValue::Bytes(bytes)) => read_bytes(value).as_ref() == Some(bytes),
            (_, PolicyValue::Net(net, bits)) => is_in(read_address(value).unwrap(), *net, *bits),
            _ => false,
        }
    }
}

fn in_order<T: Ord>(order: Order, request: &T, policy: &T) -> bool {
    match order {
        Order::Equal => request == policy,
        Order::Less => request < policy,
        Order::LessOrEqual => request <= policy,
        Order::Greater => request > policy,
        Order::GreaterOrEqual => request >= policy,
    }
}

/// A resolved pattern without wildcards is a text again.
fn plain(parts: &[Part]) -> String {
    let chars = parts.iter().filter_map(|part| match part {
        Part::Char(char) => Some(*char),
        _ => None,
    });
    chars.collect()
}

fn read_bool(text: &str) -> Option<bool> {
    match text.to_lowercase().as_str() {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    }
}

/// In base64 on both sides: JSON has no bytes.
fn read_bytes(text: &str) -> Option<Vec<u8>> {
    BASE64.decode(text.as_bytes()).ok()
}

/// Sign, digits, and up to fifteen more after a point: in units of 10⁻¹⁵.
fn read_number(text: &str) -> Option<i128> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (whole, part) = digits.split_once('.').unwrap_or((digits, "0"));
    let is_digits = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
    if !is_digits(whole) || !is_digits(part) || whole.len() > 18 || part.len() > 15 {
        return None;
    }
    let number = i128::from_str(&format!("{whole}{part:0<15}")).ok()?;
    Some(if negative { -number } else { number })
}

/// A W3C date and time, to whatever precision, or seconds since 1970.
fn read_date(text: &str) -> Option<Timestamp> {
    let is_year = text.len() == 4 && text.chars().all(|char| char.is_ascii_digit());
    let is_signed = text.starts_with(['+', '-']);
    if let Some(number) = read_number(text).filter(|_| !is_year && !is_signed) {
        return Timestamp::from_nanosecond(number / 1_000_000).ok();
    }
    let full = match text.len() {
        4 => format!("{text}-01-01T00:00:00Z"),
        7 => format!("{text}-01T00:00:00Z"),
        10 => format!("{text}T00:00:00Z"),
        _ => text.to_owned(),
    };
    full.parse().ok()
}

/// An address; IPv4 in IPv6's clothes is IPv4 (facts: section 7, 14).
fn read_address(text: &str) -> Option<IpAddr> {
    IpAddr::from_str(text).ok().map(|address| address.to_canonical())
}

/// An address and how many of its bits count.
fn read_net(text: &str) -> Option<(IpAddr, u32)> {
    let (address, bits) = match text.split_once('/') {
        Some((address, bits)) => (address, Some(bits.parse::<u32>().ok()?)),
        None => (text, None),
    };
    let written = IpAddr::from_str(address).ok()?;
    let longest = if written.is_ipv4() { 32 } else { 128 };
    let bits = bits.unwrap_or(longest);
    if bits > longest {
        return None;
    }
    match written.to_canonical() {
        mapped @ IpAddr::V4(_) if written.is_ipv6() && bits >= 96 => Some((mapped, bits - 96)),
        _ => Some((written, bits)),
    }
}

/// Host bits of the net do not count; families never match each other.
fn is_in(address: IpAddr, net: IpAddr, bits: u32) -> bool {
    match (address, net) {
        (IpAddr::V4(address), IpAddr::V4(net)) => {
            let shift = 32 - bits;
            let head = |it: u32| it.checked_shr(shift).unwrap_or(0);
            head(address.to_bits()) == head(net.to_bits())
        }
        (IpAddr::V6(address), IpAddr::V6(net)) => {
            let shift = 128 - bits;
            let head = |it: u128| it.checked_shr(shift).unwrap_or(0);
            head(address.to_bits()) == head(net.to_bits())
        }
        _ => false,
    }
}

/// A text, a number or a truth, or a list of them.
fn scalars(value: &Value) -> Result<Vec<String>, String> {
    let items = match value {
        Value::Array(items) => items.clone(),
        other => vec![other.clone()],
    };
    let texts = items.into_iter().map(|item| match item {
        Value::String(text) => Ok(text),
        Value::Number(number) => Ok(number.to_string()),
        Value::Bool(truth) => Ok(truth.to_string()),
        other => Err(format!("{other} is no value")),
    });
    texts.collect()
}
