//! Parses of an event what a query asks for, and passes over the rest.
//!
//! Flows in: paths of fields, then lines. Flows out: a value in which every one of these paths leads
//! to what it leads to in the whole event. A line that is no JSON is none here either.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// What of an event is parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Projection {
    /// `None`: all of it.
    paths: Option<Vec<String>>,
}

impl Projection {
    /// All of an event.
    pub fn whole() -> Self {
        Self { paths: None }
    }

    /// What these paths lead to.
    pub fn of<'a>(paths: impl Iterator<Item = &'a str>) -> Self {
        Self { paths: Some(paths.map(str::to_owned).collect()) }
    }

    /// The asked part of a line without its newline; `None` if the line is no JSON.
    pub fn parse(&self, line: &[u8]) -> Option<Value> {
        let line = str::from_utf8(line).ok()?;
        let Some(paths) = &self.paths else {
            return serde_json::from_str(line).ok();
        };
        let mut reader = serde_json::Deserializer::from_str(line);
        let part = Part { paths: paths.iter().map(String::as_str).collect() };
        let value = part.deserialize(&mut reader).ok()?;
        reader.end().ok()?;
        Some(value)
    }
}

/// The values that a field's path leads to, each item of an array for itself; dots descend, and a
/// key with dots is taken whole.
pub fn values_at<'v>(event: &'v Value, path: &str) -> Vec<&'v Value> {
    let mut found = Vec::new();
    collect(event, path, &mut found);
    found
}

fn collect<'v>(value: &'v Value, path: &str, found: &mut Vec<&'v Value>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| collect(item, path, found)),
        Value::Object(members) => {
            for (key, member) in members {
                match Below::of(path, key) {
                    Some(Below::End) => collect_items(member, found),
                    Some(Below::Path(rest)) => collect(member, rest, found),
                    None => {}
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn collect_items<'v>(value: &'v Value, found: &mut Vec<&'v Value>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| collect_items(item, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
            found.push(value);
        }
    }
}

/// What of a path is below a key that is on it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Below<'p> {
    /// Nothing: the path ends with the key. This comes first.
    End,
    /// The rest of the path.
    Path(&'p str),
}

impl<'p> Below<'p> {
    /// `None` if the key is not on the path.
    fn of(path: &'p str, key: &str) -> Option<Self> {
        match path.strip_prefix(key)? {
            "" => Some(Self::End),
            rest => rest.strip_prefix('.').map(Self::Path),
        }
    }

    fn path(self) -> Option<&'p str> {
        match self {
            Self::End => None,
            Self::Path(path) => Some(path),
        }
    }
}

/// The part of a value below which some paths go on.
struct Part<'p> {
    paths: Vec<&'p str>,
}

impl<'de> DeserializeSeed<'de> for Part<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

/// A key, borrowed from the line if it has no escapes.
#[derive(Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> Visitor<'de> for Part<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut kept = Map::new();
        while let Some(Key(key)) = members.next_key()? {
            let below = || self.paths.iter().filter_map(|path| Below::of(path, &key));
            let value = match below().min() {
                None => {
                    members.next_value::<Checked>()?;
                    continue;
                }
                Some(Below::End) => members.next_value()?,
                Some(Below::Path(_)) => {
                    let paths = below().filter_map(Below::path).collect();
                    members.next_value_seed(Part { paths })?
                }
            };
            kept.insert(key.into_owned(), value);
        }
        Ok(Value::Object(kept))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut kept = Vec::new();
        while let Some(item) = items.next_element_seed(Part { paths: self.paths.clone() })? {
            kept.push(item);
        }
        Ok(Value::Array(kept))
    }

    // No path ends here, so what the value is tells nothing.
    fn visit_bool<E: Error>(self, _: bool) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
}

/// A value that is read as strictly as one that is kept, so that a line is JSON here if it is JSON
/// to who parses all of it; what serde ignores may have half a character or a number too large.
struct Checked;

impl<'de> Deserialize<'de> for Checked {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Self)
    }
}

impl<'de> Visitor<'de> for Checked {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self, A::Error> {
        while members.next_entry::<Self, Self>()?.is_some() {}
        Ok(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self, A::Error> {
        while items.next_element::<Self>()?.is_some() {}
        Ok(self)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_unit<E: Error>(self) -> Result<Self, E> {
        Ok(self)
    }
}
