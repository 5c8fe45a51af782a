//! The request path as the decision sees it: decoded once, and refused where two readers could differ.

use std::borrow::Cow;

/// Why a path is refused. The request ends with 400; nothing of it reaches an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PathError {
    /// A control character, a space or a byte that is not ASCII.
    #[error("the path has a character that must be percent-encoded")]
    Character,
    /// A `.` or `..` segment, encoded or not.
    #[error("the path has a dot segment")]
    DotSegment,
    /// `//`.
    #[error("the path has an empty segment")]
    EmptySegment,
    /// A `%` that two hexadecimal digits do not follow.
    #[error("the path has an incomplete percent-encoding")]
    Encoding,
    /// A percent-encoded percent-encoding.
    #[error("the path is percent-encoded twice")]
    EncodedTwice,
    /// `;`, by which some servers cut parameters off.
    #[error("the path has a path parameter")]
    Parameter,
    /// A path that does not start with `/`.
    #[error("the path is not absolute")]
    Relative,
    /// A backslash or an encoded slash, which some servers take for `/`.
    #[error("the path has an encoded slash or a backslash")]
    Slash,
    /// The decoded bytes are no UTF-8.
    #[error("the path is not UTF-8")]
    Utf8,
}

/// Decodes a path for the decision. What is forwarded is the raw path; both name the same resource,
/// because every spelling in which an upstream could read another one is refused.
///
/// Allocates only for a path with a `%`.
///
/// # Errors
/// The path is ambiguous; see [`PathError`].
pub fn decode(raw: &str) -> Result<Cow<'_, str>, PathError> {
    let bytes = raw.as_bytes();
    if bytes.first() != Some(&b'/') {
        return Err(PathError::Relative);
    }
    let seen = survey(bytes);
    if seen & REFUSED != 0 {
        return Err(refusal(bytes));
    }
    if seen & (PERCENT | PAIR) == 0 {
        return Ok(Cow::Borrowed(raw));
    }
    let decoded =
        if seen & PERCENT == 0 { Cow::Borrowed(raw) } else { Cow::Owned(decode_percent(bytes)?) };
    check_segments(&decoded)?;
    Ok(decoded)
}

/// What kinds of bytes a path has, in one pass without a branch: most paths need no other.
fn survey(bytes: &[u8]) -> u8 {
    let mut seen = 0;
    let mut last = 0;
    for byte in bytes {
        let kind = KINDS.get(usize::from(*byte)).copied().unwrap_or(REFUSED);
        // A slash before a slash or a dot sets PAIR.
        seen |= kind & !PAIR | (last & SLASH) << 1 & kind;
        last = kind;
    }
    seen
}

fn refusal(bytes: &[u8]) -> PathError {
    let kind = |byte: u8| KINDS.get(usize::from(byte)).copied().unwrap_or(REFUSED);
    match bytes.iter().find(|byte| kind(**byte) & REFUSED != 0) {
        Some(b';') => PathError::Parameter,
        Some(b'\\') => PathError::Slash,
        Some(_) | None => PathError::Character,
    }
}

fn decode_percent(bytes: &[u8]) -> Result<String, PathError> {
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((&byte, tail)) = rest.split_first() {
        if byte != b'%' {
            decoded.push(byte);
            rest = tail;
            continue;
        }
        let [high, low, after @ ..] = tail else { return Err(PathError::Encoding) };
        let byte = hex(*high)? << 4 | hex(*low)?;
        match byte {
            b'/' | b'\\' => return Err(PathError::Slash),
            b';' => return Err(PathError::Parameter),
            0..0x20 | 0x7f => return Err(PathError::Character),
            _ => decoded.push(byte),
        }
        rest = after;
    }
    // An upstream that decodes twice would read another path.
    let mut three = decoded.windows(3);
    if three.any(|w| matches!(w, [b'%', h, l] if hex(*h).is_ok() && hex(*l).is_ok())) {
        return Err(PathError::EncodedTwice);
    }
    String::from_utf8(decoded).map_err(|_| PathError::Utf8)
}

fn hex(digit: u8) -> Result<u8, PathError> {
    match digit {
        b'0'..=b'9' => Ok(digit - b'0'),
        b'a'..=b'f' => Ok(digit - b'a' + 10),
        b'A'..=b'F' => Ok(digit - b'A' + 10),
        _ => Err(PathError::Encoding),
    }
}

/// A slash at the end is no empty segment: it is a path of its own.
fn check_segments(path: &str) -> Result<(), PathError> {
    let mut bytes = path.as_bytes();
    while let Some(slash) = memchr::memchr(b'/', bytes) {
        let (_, rest) = bytes.split_at(slash + 1);
        match rest {
            [b'/', ..] => return Err(PathError::EmptySegment),
            [b'.'] | [b'.', b'.'] | [b'.', b'/', ..] | [b'.', b'.', b'/', ..] => {
                return Err(PathError::DotSegment);
            }
            _ => bytes = rest,
        }
    }
    Ok(())
}

/// The byte is refused as it stands.
const REFUSED: u8 = 1;
/// The byte begins a percent-encoding.
const PERCENT: u8 = 2;
/// The byte is a slash.
const SLASH: u8 = 4;
/// The byte after a slash would make an empty or a dot segment, or a name that starts with a dot.
const PAIR: u8 = 8;
const _: () = assert!(SLASH << 1 == PAIR);

static KINDS: [u8; 256] = kinds();

#[expect(
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    reason = "evaluated at compile time, where a slip does not compile"
)]
const fn kinds() -> [u8; 256] {
    let mut kinds = [REFUSED; 256];
    let mut byte = 0;
    while byte < 256 {
        kinds[byte] = match byte as u8 {
            b'%' => PERCENT,
            b'/' => SLASH | PAIR,
            b'.' => PAIR,
            // RFC 3986 has no place for most of these in a path, and servers disagree about all.
            b'#' | b'?' | b'"' | b'<' | b'>' | b'^' | b'`' | b'{' | b'|' | b'}' | b';' | b'\\' => {
                REFUSED
            }
            0x21..0x7f => 0,
            _ => REFUSED,
        };
        byte += 1;
    }
    kinds
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(raw: &str, error: PathError) {
        assert_eq!(decode(raw), Err(error), "{raw:?}");
    }

    #[test]
    fn plain_paths_are_borrowed_as_they_are() {
        for raw in ["/", "/a", "/a/", "/a/b-c_d~e.f/...", "/.well-known/x", "/a:b@c=d,e+f!$&'()*"] {
            assert!(matches!(decode(raw), Ok(Cow::Borrowed(path)) if path == raw), "{raw}");
        }
    }

    #[test]
    fn encodings_are_decoded_once() {
        for (raw, decoded) in
            [("/%41%62", "/Ab"), ("/a%20b", "/a b"), ("/%C3%A9", "/é"), ("/a%2ejs", "/a.js")]
        {
            assert_eq!(decode(raw).unwrap(), decoded);
        }
        assert_eq!(decode("/100%25").unwrap(), "/100%");
    }

    #[test]
    fn every_spelling_of_a_slash_is_refused() {
        for raw in ["/a%2fb", "/a%2Fb", "/a\\b", "/a%5cb", "/a%5Cb"] {
            refused(raw, PathError::Slash);
        }
        refused("//a", PathError::EmptySegment);
        refused("/a//b", PathError::EmptySegment);
        refused("/a//", PathError::EmptySegment);
    }

    #[test]
    fn every_spelling_of_a_dot_segment_is_refused() {
        for raw in [
            "/.",
            "/..",
            "/a/..",
            "/a/../b",
            "/a/./b",
            "/%2e",
            "/%2e%2e",
            "/%2E%2e/a",
            "/.%2e/a",
            "/a/%2e%2e",
            "/a/%2e./b",
        ] {
            refused(raw, PathError::DotSegment);
        }
    }

    #[test]
    fn other_ambiguities_are_refused() {
        refused("a", PathError::Relative);
        refused("*", PathError::Relative);
        refused("", PathError::Relative);
        refused("/a;b=c", PathError::Parameter);
        refused("/a%3bb", PathError::Parameter);
        refused("/a/..;/b", PathError::Parameter);
        refused("/%00", PathError::Character);
        refused("/%0d%0a", PathError::Character);
        refused("/%7f", PathError::Character);
        refused("/é", PathError::Character);
        refused("/a b", PathError::Character);
        refused("/a#b", PathError::Character);
        refused("/%", PathError::Encoding);
        refused("/%4", PathError::Encoding);
        refused("/%zz", PathError::Encoding);
        refused("/%252e", PathError::EncodedTwice);
        refused("/%25%32%66", PathError::EncodedTwice);
        refused("/%ff", PathError::Utf8);
        refused("/%c0%ae", PathError::Utf8);
    }
}
