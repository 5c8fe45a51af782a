//! A JSON writer for the few shapes that events have. Whatever the bytes, the line stays one line.

use uuid::Uuid;

/// Appends a JSON string, quotes included. Plain ASCII is copied; the rest is checked by character.
pub(super) fn string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    string_part(out, text);
    out.push(b'"');
}

/// Appends the inside of a JSON string.
pub(super) fn string_part(out: &mut Vec<u8>, text: &str) {
    // Without a branch in the loop, so that it becomes vector instructions.
    let special = text.bytes().fold(false, |any, byte| any | is_special(byte));
    if special { escaped(out, text) } else { out.extend_from_slice(text.as_bytes()) }
}

/// Appends an unsigned number.
pub(super) fn number(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Appends `true` or `false`.
pub(super) fn boolean(out: &mut Vec<u8>, value: bool) {
    out.extend_from_slice(if value { b"true" } else { b"false" });
}

/// Appends the inside of a JSON string: a UUID.
pub(super) fn uuid(out: &mut Vec<u8>, id: Uuid) {
    let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
    out.extend_from_slice(id.hyphenated().encode_lower(&mut text).as_bytes());
}

fn is_special(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\' || 0x7f <= byte
}

#[cold]
fn escaped(out: &mut Vec<u8>, text: &str) {
    for character in text.chars() {
        match character {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            '\n' => out.extend_from_slice(b"\\n"),
            '\r' => out.extend_from_slice(b"\\r"),
            '\t' => out.extend_from_slice(b"\\t"),
            // Controls, and what some tools take for a line's end or a terminal for a command.
            '\0'..='\x1f' | '\x7f'..='\u{9f}' | '\u{2028}' | '\u{2029}' => unicode(out, character),
            _ => out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
}

fn unicode(out: &mut Vec<u8>, character: char) {
    out.extend_from_slice(b"\\u");
    for shift in [12, 8, 4, 0] {
        let digit = u32::from(character) >> shift & 0xf;
        out.push(u8::try_from(char::from_digit(digit, 16).unwrap_or('0')).unwrap_or(b'0'));
    }
}
