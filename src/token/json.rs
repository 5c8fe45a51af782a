//! JSON as security needs it: one object, no member twice, bounded depth, nothing after it.
//!
//! Two parsers that disagree on a repeated member are a hole (which `sub` counts?), so there is no
//! repeated member at any depth.

use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Why a text is not such JSON. Says no more, since the text is a stranger's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct JsonError;

/// Parses one object.
pub(super) fn parse_object(text: &[u8]) -> Result<Map<String, Value>, JsonError> {
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let value =
        Strict { depth_left: DEPTH_MAX }.deserialize(&mut deserializer).map_err(|_| JsonError)?;
    deserializer.end().map_err(|_| JsonError)?;
    match value {
        Value::Object(members) => Ok(members),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Err(JsonError)
        }
    }
}

/// A value whose objects and arrays nest at most so deep.
#[derive(Clone, Copy)]
struct Strict {
    depth_left: usize,
}

impl Strict {
    fn deeper<E: de::Error>(self) -> Result<Self, E> {
        let depth_left = self.depth_left.checked_sub(1).ok_or_else(|| E::custom("too deep"))?;
        Ok(Self { depth_left })
    }
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("no number"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        let deeper = self.deeper()?;
        let mut array = Vec::new();
        while let Some(element) = elements.next_element_seed(deeper)? {
            array.push(element);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let deeper = self.deeper()?;
        let mut object = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            let value = members.next_value_seed(deeper)?;
            if object.insert(name, value).is_some() {
                return Err(de::Error::custom("a member is repeated"));
            }
        }
        Ok(Value::Object(object))
    }
}

/// No issuer nests claims deeper; far below what could exhaust a stack.
const DEPTH_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_parses_to_what_it_says() {
        let text = br#" {"a":[1,-2,3.5,"x",null,true],"b":{"c":{}}} "#;
        let parsed = parse_object(text).unwrap();
        assert_eq!(Value::Object(parsed), serde_json::from_slice::<Value>(text).unwrap());
    }

    #[test]
    fn what_two_parsers_could_read_differently_is_refused() {
        for text in [
            r#"{"a":1,"a":1}"#,
            r#"{"a":1,"\u0061":2}"#,
            r#"{"x":{"a":1,"a":2}}"#,
            r#"{"x":[{"a":1,"a":2}]}"#,
            r#"{"a":1}x"#,
            r#"{"a":1}{"#,
            r#"{"a":1e999}"#,
            r#"{"a":NaN}"#,
            r#"{"a":01}"#,
            r#"{"a":"\ud800"}"#,
            "{'a':1}",
            "{\"a\":1,}",
            "\u{feff}{}",
            "[]",
            "1",
            "null",
            "",
        ] {
            assert_eq!(parse_object(text.as_bytes()), Err(JsonError), "{text}");
        }
        assert_eq!(parse_object(b"{\"a\":\"\xff\"}"), Err(JsonError));
    }

    #[test]
    fn depth_ends_at_its_limit() {
        let nested =
            |depth: usize| format!("{{\"a\":{}{}}}", "[".repeat(depth - 1), "]".repeat(depth - 1));
        assert!(parse_object(nested(DEPTH_MAX).as_bytes()).is_ok());
        assert_eq!(parse_object(nested(DEPTH_MAX + 1).as_bytes()), Err(JsonError));
        assert_eq!(parse_object(nested(100_000).as_bytes()), Err(JsonError));
    }
}
