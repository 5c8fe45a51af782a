//! Form-encoded parameters, read strictly: what two readers could read differently is refused.
//!
//! Flows in: a body. Flows out: names and values in their order. They may be secrets, so nothing here
//! shows them.

use std::borrow::Cow;
use std::collections::HashSet;

use percent_encoding::percent_decode;

/// The parameters of one request.
pub(super) struct Form {
    fields: Vec<(String, String)>,
}

/// Why a body is no form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum FormError {
    /// A `%` without two hexadecimal digits, or bytes that are no UTF-8.
    #[error("the body is not form-encoded UTF-8")]
    Encoding,
    /// There are more parameters than any request needs.
    #[error("the body has more than {FIELDS_MAX} parameters")]
    TooMany,
}

/// A parameter comes more than once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Repeated;

impl Form {
    /// Reads a body.
    pub(super) fn parse(body: &[u8]) -> Result<Self, FormError> {
        let mut fields = Vec::new();
        for field in body.split(|byte| *byte == b'&').filter(|field| !field.is_empty()) {
            if fields.len() == FIELDS_MAX {
                return Err(FormError::TooMany);
            }
            let mut parts = field.splitn(2, |byte| *byte == b'=');
            let name = decode(parts.next().unwrap_or_default())?;
            let value = decode(parts.next().unwrap_or_default())?;
            fields.push((name, value));
        }
        Ok(Self { fields })
    }

    /// All parameters, in their order.
    pub(super) fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The values of a parameter, in their order.
    pub(super) fn all<'f>(&'f self, name: &str) -> impl Iterator<Item = &'f str> {
        self.fields().filter(move |(found, _)| *found == name).map(|(_, value)| value)
    }

    /// The value of a parameter that comes once or not at all.
    pub(super) fn one(&self, name: &str) -> Result<Option<&str>, Repeated> {
        let mut values = self.all(name);
        match (values.next(), values.next()) {
            (value, None) => Ok(value),
            (_, Some(_)) => Err(Repeated),
        }
    }

    /// Whether a parameter comes more than once, but for those that may.
    pub(super) fn repeats(&self, repeatable: &[&str]) -> bool {
        let mut seen = HashSet::new();
        self.fields().any(|(name, _)| !repeatable.contains(&name) && !seen.insert(name))
    }
}

fn decode(text: &[u8]) -> Result<String, FormError> {
    let mut triplets = text.split(|byte| *byte == b'%').skip(1);
    if !triplets.all(|rest| rest.get(..2).is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit)))
    {
        return Err(FormError::Encoding);
    }
    let spaced: Vec<u8> =
        text.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
    let decoded = percent_decode(&spaced).decode_utf8();
    decoded.map(Cow::into_owned).map_err(|_| FormError::Encoding)
}

/// `AssumeRole` with all that it may have: 50 tags of two parameters, 50 transitive keys, 10
/// policies, and some ten others.
const FIELDS_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(body: &str) -> Option<Vec<(String, String)>> {
        Form::parse(body.as_bytes()).ok().map(|form| form.fields)
    }

    #[test]
    fn names_and_values_are_decoded_once() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        for (body, expected) in [
            ("", vec![]),
            ("a=b", vec![pair("a", "b")]),
            ("a=b&&c=d&", vec![pair("a", "b"), pair("c", "d")]),
            ("a", vec![pair("a", "")]),
            ("a=b=c", vec![pair("a", "b=c")]),
            ("a=%2541+b%2B", vec![pair("a", "%41 b+")]),
            ("%C3%A9=%e2%82%ac", vec![pair("é", "€")]),
        ] {
            assert_eq!(fields(body), Some(expected), "{body}");
        }
    }

    #[test]
    fn what_has_no_one_meaning_is_refused() {
        for body in ["a=%", "a=%4", "a=%zz", "a=%c3", "a=%ff", "%=a", "a=%+1"] {
            assert_eq!(fields(body), None, "{body}");
        }
        assert!(matches!(Form::parse(b"a=\xff"), Err(FormError::Encoding)));
    }

    #[test]
    fn there_is_a_limit_of_parameters() {
        let body = |count: usize| vec!["a=b"; count].join("&");
        assert!(fields(&body(FIELDS_MAX)).is_some());
        assert!(matches!(Form::parse(body(FIELDS_MAX + 1).as_bytes()), Err(FormError::TooMany)));
    }

    #[test]
    fn a_parameter_that_comes_twice_has_no_value() {
        let form = Form::parse(b"a=1&b=2&a=1").ok().unwrap();
        assert_eq!(form.one("a"), Err(Repeated));
        assert_eq!(form.one("b"), Ok(Some("2")));
        assert_eq!(form.one("c"), Ok(None));
        assert!(form.repeats(&[]));
        assert!(!form.repeats(&["a"]));
    }
}
