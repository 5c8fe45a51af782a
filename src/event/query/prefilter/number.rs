//! Numbers whose text, as a query compares it, is not what stands in the line.

use memchr::memmem;

use crate::event::query::matcher::{Analysis, Test};

/// Whether a number's text can pass a test of a text.
pub(super) fn is_numeric(test: &Test, analysis: Analysis) -> bool {
    let numeric = |text: &String| text.bytes().all(is_numeric_byte);
    match (test, analysis) {
        (Test::Phrase { text, .. }, Analysis::Keyword | Analysis::Numeric) => numeric(text),
        (Test::Phrase { words, .. }, Analysis::Words) => words.iter().all(numeric),
        (Test::Wildcard { pieces, .. }, _) => pieces.iter().all(numeric),
        (Test::Present | Test::Range { .. } | Test::Regex(_), _) => true,
    }
}

/// Whether a byte can be part of a number's text, or of a word of it.
fn is_numeric_byte(byte: u8) -> bool {
    byte.is_ascii_digit() || matches!(byte, b'e' | b'E' | b'+' | b'-' | b'.')
}

/// Where a key is that is followed by an unusual number, or by an array, which may have one.
pub(super) fn unusual_value(text: &[u8], key: &memmem::Finder<'_>) -> Option<usize> {
    let mut from = 0;
    loop {
        let at = from + key.find(text.get(from..)?)?;
        from = at + key.needle().len();
        let rest = text.get(from..)?.trim_ascii_start();
        let Some(value) = rest.strip_prefix(b":").map(<[u8]>::trim_ascii_start) else { continue };
        if value.first() == Some(&b'[') || is_unusual(value) {
            return Some(at);
        }
    }
}

/// Whether a number begins a text that may be written in another way than it is compared: a
/// fraction, an exponent, or more digits than an integer of 64 bits has.
fn is_unusual(text: &[u8]) -> bool {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    let length = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let next = digits.get(length);
    0 < length && (matches!(next, Some(b'.' | b'e' | b'E')) || INTEGER_DIGITS <= length)
}

/// Where an unusual number is.
pub(super) fn unusual_number(text: &[u8]) -> Option<usize> {
    let mut at = 0;
    while let Some(start) = number_start(text.get(at..)?) {
        let from = at + start;
        if is_unusual(text.get(from..)?) {
            return Some(from);
        }
        // The next one may begin with the next byte, and the two before it tell.
        at = from.saturating_sub(1);
    }
    None
}

/// Where the next number may begin, or something in a text that looks like one.
fn number_start(text: &[u8]) -> Option<usize> {
    // Whole chunks without a branch, so that they become vector instructions.
    let mut at = 0;
    while let Some(chunk) = text.get(at..at + CHUNK + 2) {
        let (before, first) = (chunk.get(1..)?, chunk.get(2..)?);
        let triples = chunk.iter().zip(before).zip(first);
        if triples.fold(false, |any, ((a, b), c)| any | begins_number(*a, *b, *c)) {
            break;
        }
        at += CHUNK;
    }
    // No number begins with a line's first two bytes: an event is an object.
    let rest = text.get(at..)?;
    let found = rest.windows(3).position(|it| matches!(it, [a, b, c] if begins_number(*a, *b, *c)));
    found.map(|found| at + found + 2)
}

#[expect(clippy::needless_bitwise_bool, reason = "branches would keep it from vectors")]
/// Whether a number can begin with `c`: after a key's colon, in an array, or after a blank.
fn begins_number(a: u8, b: u8, c: u8) -> bool {
    let number = c.is_ascii_digit() | (c == b'-');
    let blank = |byte| (byte == b' ') | (byte == b'\t') | (byte == b'\r');
    let member = (b == b':') & ((a == b'"') | blank(a));
    number & (member | (b == b'[') | (b == b',') | blank(b))
}

/// With 18 digits every integer fits into 64 bits.
const INTEGER_DIGITS: usize = 19;
/// As many bytes as two vector instructions take.
const CHUNK: usize = 64;
