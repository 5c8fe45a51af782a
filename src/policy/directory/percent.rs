//! Percent-encoding, as the IAM API answers documents (RFC 3986).

use std::borrow::Cow;

/// The text that an encoded one stands for; `None` if an escape is malformed or the bytes are no
/// UTF-8.
pub(super) fn decoded(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains('%') {
        return Some(Cow::Borrowed(text));
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut pieces = text.split('%');
    bytes.extend_from_slice(pieces.next().unwrap_or_default().as_bytes());
    for piece in pieces {
        let (digits, rest) = piece.split_at_checked(2)?;
        let value = digits.bytes().all(|byte| byte.is_ascii_hexdigit()).then_some(digits)?;
        bytes.push(u8::from_str_radix(value, 16).ok()?);
        bytes.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(bytes).ok().map(Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_stand_for_bytes() {
        let cases = [("", ""), ("a+b", "a+b"), ("%7B%22a%22%7d", "{\"a\"}"), ("%C3%A9%25", "é%")];
        for (text, expect) in cases {
            assert_eq!(decoded(text).as_deref(), Some(expect), "{text}");
        }
    }

    #[test]
    fn what_is_malformed_stands_for_nothing() {
        for text in ["%", "%2", "%2g", "%+1", "a%é", "%FF"] {
            assert_eq!(decoded(text), None, "{text}");
        }
    }
}
