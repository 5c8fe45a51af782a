//! Lines and columns of places in a text.

/// The line and column of a byte, both from 1, columns in characters. Reads the text up to there;
/// for many places of one text see [`Lines`].
pub fn place(text: &str, offset: usize) -> (usize, usize) {
    let bytes = text.as_bytes();
    let before = bytes.get(..offset.min(bytes.len())).unwrap_or_default();
    let line = memchr::memchr_iter(b'\n', before).count().saturating_add(1);
    let start = memchr::memrchr(b'\n', before).map_or(0, |newline| newline.saturating_add(1));
    (line, characters(before.get(start..).unwrap_or_default()).saturating_add(1))
}

/// Where lines start in a text. A look-up takes the logarithm of the number of lines, however long
/// they are.
///
/// ```
/// use crossgate::policy::json::Lines;
///
/// let lines = Lines::new("{\n  \"é\": 1\n}");
/// assert_eq!(lines.place(9), (2, 7));
/// assert_eq!(lines.line(2), "  \"é\": 1");
/// ```
#[derive(Clone, Debug)]
pub struct Lines<'t> {
    text: &'t str,
    // INVARIANT: ascending; the first is 0.
    starts: Vec<usize>,
    // The number of characters before each piece of `PIECE_BYTES`.
    characters: Vec<usize>,
}

impl<'t> Lines<'t> {
    /// Reads a text once.
    pub fn new(text: &'t str) -> Self {
        let bytes = text.as_bytes();
        let after = memchr::memchr_iter(b'\n', bytes).map(|newline| newline.saturating_add(1));
        let mut count: usize = 0;
        let before = bytes.chunks(PIECE_BYTES).map(|piece| {
            let before = count;
            count = count.saturating_add(characters(piece));
            before
        });
        let mut characters: Vec<usize> = before.collect();
        // The end of the text is a place too.
        characters.push(count);
        Self { text, starts: std::iter::once(0).chain(after).collect(), characters }
    }

    /// The line and column of a byte, both from 1, columns in characters.
    pub fn place(&self, offset: usize) -> (usize, usize) {
        let offset = offset.min(self.text.len());
        let line = self.starts.partition_point(|start| *start <= offset);
        let start = self.start(line);
        let column = self.characters_before(offset).saturating_sub(self.characters_before(start));
        (line, column.saturating_add(1))
    }

    /// The text of a line, without its end; empty if there is no such line.
    pub fn line(&self, line: usize) -> &'t str {
        let (Some(from), to) = (line.checked_sub(1), self.starts.get(line)) else { return "" };
        let Some(start) = self.starts.get(from) else { return "" };
        let end = to.copied().unwrap_or(self.text.len());
        self.text.get(*start..end).unwrap_or_default().trim_end_matches(['\n', '\r'])
    }

    /// The line that a byte is in, without its end: what comes before the byte, and the rest.
    pub fn split_line(&self, offset: usize) -> (&'t str, &'t str) {
        let (number, _) = self.place(offset);
        let line = self.line(number);
        let at = offset.saturating_sub(self.start(number)).min(line.len());
        line.split_at_checked(at).unwrap_or(("", line))
    }

    /// The text.
    pub fn text(&self) -> &'t str {
        self.text
    }

    fn start(&self, line: usize) -> usize {
        line.checked_sub(1).and_then(|index| self.starts.get(index)).copied().unwrap_or(0)
    }

    fn characters_before(&self, offset: usize) -> usize {
        let piece = offset / PIECE_BYTES;
        let before = self.characters.get(piece).copied().unwrap_or_default();
        let rest = self.text.as_bytes().get(piece.saturating_mul(PIECE_BYTES)..offset);
        before.saturating_add(characters(rest.unwrap_or_default()))
    }
}

/// How many characters start in some bytes of UTF-8.
fn characters(bytes: &[u8]) -> usize {
    // The bytes after a character's first are 10xxxxxx.
    bytes.iter().filter(|byte| **byte & 0b1100_0000 != 0b1000_0000).count()
}

/// A look-up counts the characters of at most one piece.
const PIECE_BYTES: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_find_the_same_places() {
        let long = "é€😀a\t".repeat(1000);
        for text in ["", "\n", "a", "a\n", "a\r\nb\n\né€\n😀x", &long, &format!("\n{long}\n{long}")]
        {
            let lines = Lines::new(text);
            let (mut line, mut column) = (1, 1);
            for (offset, character) in text.char_indices() {
                assert_eq!(lines.place(offset), (line, column), "{offset}");
                if offset % 97 == 0 {
                    assert_eq!(place(text, offset), (line, column), "{offset}");
                }
                (line, column) = if character == '\n' { (line + 1, 1) } else { (line, column + 1) };
            }
            for offset in [text.len(), text.len() + 1, usize::MAX] {
                assert_eq!(lines.place(offset), (line, column), "{offset}");
                assert_eq!(place(text, offset), (line, column), "{offset}");
            }
        }
    }

    #[test]
    fn lines_have_no_ends() {
        let lines = Lines::new("a\r\nb\n\nc");
        let all: Vec<&str> = (0..6).map(|line| lines.line(line)).collect();
        assert_eq!(all, ["", "a", "b", "", "c", ""]);
    }
}
