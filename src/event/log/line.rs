//! What the log's readers need of a line before anybody parses it: its time and its number.
//!
//! Lines of crossgate have a fixed beginning, so their time is found by its place; other lines of
//! events are parsed as far as needed.

use std::borrow::Cow;

use serde::Deserialize;

use crate::clock::UnixMillis;
use crate::event::time;

/// What of a line is read.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head<'a> {
    #[serde(borrow, default)]
    event_time: Option<Cow<'a, str>>,
    #[serde(default)]
    response_data: Option<Numbered>,
}

#[derive(Deserialize)]
struct Numbered {
    #[serde(default)]
    sequence: Option<u64>,
}

/// When the event of a line happened; `None` if the line is no event.
pub(super) fn time_of(line: &[u8]) -> Option<UnixMillis> {
    if let Some(time) = usual_time(line) {
        return Some(time);
    }
    time::parse(head(line)?.event_time?.as_ref())
}

/// The number of the event of a line.
pub(super) fn sequence_of(line: &[u8]) -> Option<u64> {
    if let Some(sequence) = usual_sequence(line) {
        return Some(sequence);
    }
    head(line)?.response_data?.sequence
}

/// The last whole line of a text that ends with one, without its newline.
pub(super) fn last_line(lines: &[u8]) -> &[u8] {
    let lines = lines.strip_suffix(b"\n").unwrap_or(lines);
    let start = memchr::memrchr(b'\n', lines).map_or(0, |newline| newline + 1);
    lines.get(start..).unwrap_or_default()
}

/// The first line of a text, without its newline.
pub(super) fn first_line(lines: &[u8]) -> &[u8] {
    let end = memchr::memchr(b'\n', lines).unwrap_or(lines.len());
    lines.get(..end).unwrap_or_default()
}

/// How many lines a text has.
pub(super) fn count(lines: &[u8]) -> u64 {
    u64::try_from(memchr::memchr_iter(b'\n', lines).count()).unwrap_or(u64::MAX)
}

fn head(line: &[u8]) -> Option<Head<'_>> {
    serde_json::from_slice(line).ok()
}

/// The time in a line as this log writes it, without parsing: after the action, at a place of its own.
pub(super) fn usual_time(line: &[u8]) -> Option<UnixMillis> {
    let rest = line.strip_prefix(OWN_START)?;
    let rest = rest.get(memchr::memchr(b'"', rest)?..)?.strip_prefix(TIME_START)?;
    let text = rest.get(..memchr::memchr(b'"', rest)?)?;
    time::parse_event_time(text).or_else(|| time::parse(str::from_utf8(text).ok()?))
}

fn usual_sequence(line: &[u8]) -> Option<u64> {
    line.strip_prefix(OWN_START)?;
    // Quotes inside of strings are escaped, so this is a member.
    let at = memchr::memmem::rfind(line, SEQUENCE)?;
    let digits = line.get(at + SEQUENCE.len()..)?;
    let end = digits.iter().position(|byte| !byte.is_ascii_digit())?;
    str::from_utf8(digits.get(..end)?).ok()?.parse().ok()
}

/// How each line of this log begins.
const OWN_START: &[u8] = b"{\"action\":\"iam-access-management.";
/// What is between the action and the time.
const TIME_START: &[u8] = b"\",\"eventTime\":\"";
/// The member before the number.
const SEQUENCE: &[u8] = b"\"sequence\":";

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, time: Option<u64>, sequence: Option<u64>) {
        assert_eq!(time_of(line.as_bytes()), time.map(UnixMillis), "{line}");
        assert_eq!(sequence_of(line.as_bytes()), sequence, "{line}");
    }

    #[test]
    fn lines_of_any_form_tell_their_time_and_number() {
        let own = r#"{"action":"iam-access-management.policy.eval","eventTime":"2025-10-10T14:03:17.41+0000","x":"\"sequence\":9","responseData":{"sequence":7,"a":1}}"#;
        check(own, Some(1_760_104_997_410), Some(7));
        let other =
            r#"{"responseData": {"sequence": 3}, "eventTime": "2025-10-10T16:03:17.41+02:00"}"#;
        check(other, Some(1_760_104_997_410), Some(3));
        check(r#"{"eventTime":"2025-10-10T14:03:17.41\u002b0000"}"#, Some(1_760_104_997_410), None);
        check(r#"{"eventTime":"soon","responseData":{"sequence":1}}"#, None, Some(1));
        check("garbage", None, None);
        check("", None, None);
    }

    #[test]
    fn lines_are_found_and_counted() {
        assert_eq!(
            (first_line(b"a\nb\n"), last_line(b"a\nb\n"), count(b"a\nb\n")),
            (&b"a"[..], &b"b"[..], 2)
        );
        assert_eq!(
            (first_line(b"a\n"), last_line(b"a\n"), count(b"a\n")),
            (&b"a"[..], &b"a"[..], 1)
        );
        assert_eq!((first_line(b""), last_line(b""), count(b"")), (&b""[..], &b""[..], 0));
    }
}
