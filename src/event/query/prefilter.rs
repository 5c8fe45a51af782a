//! What a line must contain, as bytes, for its event to match: most lines are passed over unparsed.
//!
//! Flows in: a query's clauses, then blocks of lines. Flows out: the lines that may match. It never
//! passes over one that matches: in doubt it passes over none. What makes a text differ from its
//! bytes is looked for too, and such a line may always match:
//!
//! - `\u` of JSON, which can stand for any character;
//! - characters outside of ASCII that are equal to a letter of it without regard to case;
//! - numbers that are not written as they are compared, `1e2` for `100.0`.

use std::ops::Range;

use memchr::memmem;
use regex::bytes::{Regex, RegexBuilder};

use crate::event::query::matcher::{Analysis, Clause, Field, Occur, Test};

/// The lines of a block that may match a query.
#[derive(Debug)]
pub struct Prefilter {
    /// One of these is in every line that matches, where there are any.
    primary: Option<Finder>,
    /// And one of each of these.
    others: Vec<Finder>,
    /// A line with one of these may match whatever else it has.
    escapes: Vec<memmem::Finder<'static>>,
    numbers: Numbers,
}

/// Whether numbers have to be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Numbers {
    AsWritten,
    MayDiffer,
}

/// Finds one of several texts.
#[derive(Debug)]
enum Finder {
    One(Box<memmem::Finder<'static>>),
    Several(Regex),
}

/// A text that has to be in a line.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Literal {
    text: String,
    case: Case,
}

/// Whether upper and lower case differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Case {
    Any,
    Exact,
}

/// One of these texts has to be in a line.
type Alternatives = Vec<Literal>;

impl Prefilter {
    /// What the lines have to contain to match a clause.
    pub(super) fn of(clause: &Clause) -> Self {
        let mut needed = needs(clause);
        needed.retain(|alternatives| alternatives.len() <= ALTERNATIVES_MAX);
        needed.sort_by_key(|alternatives| std::cmp::Reverse(selectivity(alternatives)));
        needed.truncate(NEEDED_MAX);
        let literals = || needed.iter().flatten();
        let has = |letter: char| {
            literals().any(|it| it.case == Case::Any && it.text.to_lowercase().contains(letter))
        };
        let mut escapes = vec![UNICODE_ESCAPE];
        escapes.extend(FOLDED.iter().filter(|(letter, _)| has(*letter)).map(|(_, utf8)| *utf8));
        let numeric = literals().any(|literal| literal.text.bytes().all(is_numeric));
        let mut finders = needed.iter().filter_map(Finder::of);
        Self {
            primary: finders.next(),
            others: finders.collect(),
            escapes: escapes.into_iter().map(memmem::Finder::new).collect(),
            numbers: if numeric { Numbers::MayDiffer } else { Numbers::AsWritten },
        }
    }

    /// Puts the places of the lines that may match into `lines`, in order, without newlines. The
    /// block has whole lines only.
    pub fn candidates(&self, block: &[u8], lines: &mut Vec<Range<usize>>) {
        lines.clear();
        let Some(primary) = &self.primary else {
            let mut start = 0;
            for newline in memchr::memchr_iter(b'\n', block) {
                lines.push(start..newline);
                start = newline + 1;
            }
            return;
        };
        each_line(
            block,
            |rest| primary.find(rest),
            |line| {
                let text = block.get(line.clone()).unwrap_or_default();
                if self.others.iter().all(|other| other.find(text).is_some()) {
                    lines.push(line);
                }
            },
        );
        let found = lines.len();
        for escape in &self.escapes {
            each_line(block, |rest| escape.find(rest), |line| lines.push(line));
        }
        if self.numbers == Numbers::MayDiffer {
            each_line(block, unusual_number, |line| lines.push(line));
        }
        if found < lines.len() {
            lines.sort_unstable_by_key(|line| line.start);
            lines.dedup();
        }
    }
}

/// Calls `found` with each line in which something is found; what is found has no newline.
fn each_line(
    block: &[u8],
    mut find: impl FnMut(&[u8]) -> Option<usize>,
    mut found: impl FnMut(Range<usize>),
) {
    let mut from = 0;
    while let Some(rest) = block.get(from..)
        && let Some(at) = find(rest)
    {
        let (head, tail) = rest.split_at_checked(at).unwrap_or((rest, &[]));
        let start = memchr::memrchr(b'\n', head).map_or(0, |newline| newline + 1);
        let end = at + memchr::memchr(b'\n', tail).unwrap_or(tail.len());
        found(from + start..from + end);
        from += end + 1;
    }
}

impl Finder {
    /// `None` if the texts can't be looked for together; then they are not needed.
    fn of(alternatives: &Alternatives) -> Option<Self> {
        if let [Literal { text, case: Case::Exact }] = alternatives.as_slice() {
            return Some(Self::One(Box::new(memmem::Finder::new(text).into_owned())));
        }
        let pattern = alternatives.iter().map(Literal::pattern).collect::<Vec<_>>().join("|");
        let regex =
            RegexBuilder::new(&pattern).unicode(false).size_limit(PATTERN_BYTES_MAX).build();
        regex.ok().map(Self::Several)
    }

    fn find(&self, text: &[u8]) -> Option<usize> {
        match self {
            Self::One(finder) => finder.find(text),
            Self::Several(regex) => regex.find(text).map(|found| found.start()),
        }
    }
}

impl Literal {
    fn exact(text: &str) -> Self {
        Self { text: text.to_owned(), case: Case::Exact }
    }

    /// A text without regard to the case of ASCII's letters; it has no others.
    fn any_case(text: &str) -> Self {
        let differs = text.bytes().any(|byte| byte.is_ascii_alphabetic());
        Self { text: text.to_owned(), case: if differs { Case::Any } else { Case::Exact } }
    }

    fn pattern(&self) -> String {
        let text = regex::escape(&self.text);
        match self.case {
            Case::Any => format!("(?i:{text})"),
            Case::Exact => text,
        }
    }
}

/// What has to be in a line: one of each. Nothing: every line may match.
fn needs(clause: &Clause) -> Vec<Alternatives> {
    match clause {
        Clause::All => Vec::new(),
        Clause::Bool(clauses) => needs_of_all(clauses),
        Clause::Leaf { field, test } => {
            let analysis = field.as_ref().map_or(Analysis::Words, Field::analysis);
            let value = needs_of_value(test, analysis);
            let key = field.as_ref().and_then(|field| needs_of_key(field.path()));
            value.into_iter().chain(key).map(|literal| vec![literal]).collect()
        }
    }
}

/// All that must, or one of the others if nothing must; what must not be says nothing of a line.
fn needs_of_all(clauses: &[(Occur, Clause)]) -> Vec<Alternatives> {
    let of = |wanted: Occur| {
        clauses.iter().filter(move |(occur, _)| *occur == wanted).map(|(_, clause)| needs(clause))
    };
    if clauses.iter().any(|(occur, _)| *occur == Occur::Must) {
        return of(Occur::Must).flatten().collect();
    }
    let mut either = Alternatives::new();
    for mut needed in of(Occur::Should) {
        needed.sort_by_key(|alternatives| selectivity(alternatives));
        // One of them that can be anything makes all of them say nothing.
        let Some(best) = needed.pop() else { return Vec::new() };
        either.extend(best);
    }
    if either.is_empty() { Vec::new() } else { vec![either] }
}

/// What has to be in a line for one of its values to pass a test.
fn needs_of_value(test: &Test, analysis: Analysis) -> Vec<Literal> {
    let exact = |text: &str| longest(text, is_plain).map(Literal::exact);
    let any_case =
        |text: &str| longest(text, |c| is_plain(c) && c.is_ascii()).map(Literal::any_case);
    match (test, analysis) {
        (Test::Phrase { text, .. }, Analysis::Keyword) => exact(text).into_iter().collect(),
        // A word of ASCII alone comes from letters of ASCII, but for `FOLDED`.
        (Test::Phrase { words, .. }, Analysis::Words) => {
            let words = words.iter().filter(|word| word.is_ascii());
            words.map(|word| Literal::any_case(word)).collect()
        }
        (Test::Wildcard { pieces, .. }, Analysis::Keyword | Analysis::Numeric) => {
            pieces.iter().filter_map(|piece| exact(piece)).collect()
        }
        (Test::Wildcard { pieces, .. }, Analysis::Words) => {
            pieces.iter().filter_map(|piece| any_case(piece)).collect()
        }
        // Equal numbers have many texts.
        (Test::Phrase { .. }, Analysis::Numeric)
        | (Test::Present | Test::Range { .. } | Test::Regex(_), _) => Vec::new(),
    }
}

/// The end of a path is the end of a key, whatever part of the path the key is.
fn needs_of_key(path: &str) -> Option<Literal> {
    let last = path.rsplit('.').next().unwrap_or(path);
    let plain = !last.is_empty() && last.chars().all(is_plain);
    plain.then(|| Literal::exact(&format!("{last}\"")))
}

/// The longest part of a text of characters that JSON writes as they are, or as `\u`.
fn longest(text: &str, plain: impl Fn(char) -> bool) -> Option<&str> {
    let parts = text.split(|c: char| !plain(c)).filter(|part| !part.is_empty());
    parts.max_by_key(|part| part.len())
}

/// Whether JSON has no other escape for a character than `\u`.
fn is_plain(character: char) -> bool {
    !matches!(character, '"' | '\\' | '/' | '\0'..='\x1f')
}

/// Whether a byte can be part of a number's text, or of a word of it.
fn is_numeric(byte: u8) -> bool {
    byte.is_ascii_digit() || matches!(byte, b'e' | b'E' | b'+' | b'-' | b'.')
}

/// How few lines have one of the texts, as a guess: the longest are the rarest, and keys and truth
/// values are in most lines.
fn selectivity(alternatives: &[Literal]) -> (bool, usize) {
    let usual = |text: &str| text.ends_with('"') || text == "true" || text == "false";
    let rare = alternatives.iter().all(|literal| !usual(&literal.text));
    (rare, alternatives.iter().map(|literal| literal.text.len()).min().unwrap_or(0))
}

/// Where a number is that may have another text than its digits: a fraction, an exponent, or more
/// digits than an integer of 64 bits has.
pub(super) fn unusual_number(text: &[u8]) -> Option<usize> {
    let mut at = 0;
    while let Some(start) = number_start(text.get(at..)?) {
        let from = at + start;
        let digits = text.get(from..)?;
        let signed = digits.strip_prefix(b"-").unwrap_or(digits);
        let length = signed.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let next = signed.get(length);
        if 0 < length && (matches!(next, Some(b'.' | b'e' | b'E')) || INTEGER_DIGITS <= length) {
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

/// The beginning of an escape that can stand for any character.
const UNICODE_ESCAPE: &[u8] = b"\\u";
/// Characters outside of ASCII that are equal to a letter of it without regard to case.
const FOLDED: [(char, &[u8]); 3] =
    [('i', "\u{130}".as_bytes()), ('k', "\u{212a}".as_bytes()), ('s', "\u{17f}".as_bytes())];
/// With 18 digits every integer fits into 64 bits.
const INTEGER_DIGITS: usize = 19;
/// More texts than this are not faster to find than to parse.
const ALTERNATIVES_MAX: usize = 32;
/// Each one is looked for in every line that has those before it.
const NEEDED_MAX: usize = 8;
/// The largest compiled pattern.
const PATTERN_BYTES_MAX: usize = 1024 * 1024;
/// As many bytes as two vector instructions take.
const CHUNK: usize = 64;

#[cfg(test)]
mod tests;
