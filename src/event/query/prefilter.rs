//! What a line must contain, as bytes, for its event to match: most lines are passed over unparsed.
//!
//! Flows in: a query's clauses, then blocks of lines. Flows out: the lines that may match. It never
//! passes over one that matches: in doubt it passes over none. What makes a text differ from its
//! bytes is looked for too, and such a line may always match:
//!
//! - `\u` of JSON, which can stand for any character;
//! - characters outside of ASCII that are equal to a letter of it without regard to case;
//! - numbers that are not written as they are compared, `1e2` for `100.0`.

mod finder;
mod number;

use std::ops::Range;

use memchr::memmem;

use crate::event::query::matcher::{Analysis, Clause, Field, Occur, Test};

use finder::{Finder, Needle};
use number::{is_numeric, unusual_number, unusual_value};

/// The lines of a block that may match a query.
#[derive(Debug)]
pub struct Prefilter {
    /// One of these is in every line that matches, where there are any.
    primary: Option<Finder>,
    /// And one of each of these.
    others: Vec<Finder>,
    /// A line with one of these may match whatever else it has.
    escapes: Vec<memmem::Finder<'static>>,
    /// And so may one with an unusual number in one of these places.
    numbers: Vec<Numbers<memmem::Finder<'static>>>,
}

/// Where numbers are that match a text without being written as it.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Numbers<K> {
    Anywhere,
    /// Behind a key with its closing quote.
    Behind(K),
}

/// What has to be in a line.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Literal {
    needle: Needle,
    /// Where a number may be instead, if the needle can be of a number's text.
    numbers: Option<Numbers<String>>,
}

/// One of these has to be in a line.
type Alternatives = Vec<Literal>;

impl Prefilter {
    /// What the lines have to contain to match a clause.
    pub(super) fn of(clause: &Clause) -> Self {
        let mut needed = needs(clause);
        needed.retain(|alternatives| alternatives.len() <= ALTERNATIVES_MAX);
        needed.sort_by_key(|alternatives| std::cmp::Reverse(selectivity(alternatives)));
        needed.truncate(NEEDED_MAX);
        let literals = || needed.iter().flatten();
        let has = |letter: char| literals().any(|literal| literal.needle.folds(letter));
        let folded = FOLDED.iter().filter(|(letter, _)| has(*letter)).map(|(_, utf8)| *utf8);
        let escapes = [UNICODE_ESCAPE].into_iter().chain(folded).map(memmem::Finder::new).collect();
        let numbers = literals().filter_map(|literal| literal.numbers.as_ref());
        let numbers = numbers.map(Numbers::finder).collect();
        let finders = needed.iter().filter_map(|alternatives| {
            Finder::of(alternatives.iter().map(|literal| &literal.needle))
        });
        let mut finders = finders.collect::<Vec<_>>().into_iter();
        Self { primary: finders.next(), others: finders.collect(), escapes, numbers }
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
        for numbers in &self.numbers {
            let find = |rest: &[u8]| match numbers {
                Numbers::Anywhere => unusual_number(rest),
                Numbers::Behind(key) => unusual_value(rest, key),
            };
            each_line(block, find, |line| lines.push(line));
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

impl Numbers<String> {
    fn finder(&self) -> Numbers<memmem::Finder<'static>> {
        match self {
            Self::Anywhere => Numbers::Anywhere,
            Self::Behind(key) => Numbers::Behind(memmem::Finder::new(key).into_owned()),
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
            let key = field.as_ref().and_then(|field| key_of(field.path()));
            let numbers = key.clone().map_or(Numbers::Anywhere, Numbers::Behind);
            // Words in a row are a number's only if all of them can be.
            let numeric = is_numeric(test, analysis);
            let values = needs_of_value(test, analysis)
                .into_iter()
                .map(|needle| Literal { needle, numbers: numeric.then(|| numbers.clone()) });
            let key = key.map(|key| Literal { needle: Needle::exact(&key), numbers: None });
            values.chain(key).map(|literal| vec![literal]).collect()
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
fn needs_of_value(test: &Test, analysis: Analysis) -> Vec<Needle> {
    let exact = |text: &str| longest(text, is_plain).map(Needle::exact);
    let any_case =
        |text: &str| longest(text, |c| is_plain(c) && c.is_ascii()).map(Needle::any_case);
    match (test, analysis) {
        (Test::Phrase { text, .. }, Analysis::Keyword) => exact(text).into_iter().collect(),
        // A word of ASCII alone comes from letters of ASCII, but for `FOLDED`.
        (Test::Phrase { words, .. }, Analysis::Words) => {
            let side_by_side = (1 < words.len() && words.iter().all(|word| word.is_ascii()))
                .then(|| Needle::Phrase(words.clone()));
            let words = words.iter().filter(|word| word.is_ascii());
            words.map(|word| Needle::any_case(word)).chain(side_by_side).collect()
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
fn key_of(path: &str) -> Option<String> {
    let last = path.rsplit('.').next().unwrap_or(path);
    let plain = !last.is_empty() && last.chars().all(is_plain);
    plain.then(|| format!("{last}\""))
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

/// How few lines have one of the texts, as a guess: the longest are the rarest, and keys and truth
/// values are in most lines.
fn selectivity(alternatives: &[Literal]) -> (bool, usize) {
    let rare = alternatives.iter().all(|literal| !literal.needle.is_usual());
    (rare, alternatives.iter().map(|literal| literal.needle.weight()).min().unwrap_or(0))
}

/// The beginning of an escape that can stand for any character.
const UNICODE_ESCAPE: &[u8] = b"\\u";
/// Characters outside of ASCII that are equal to a letter of it without regard to case.
const FOLDED: [(char, &[u8]); 3] =
    [('i', "\u{130}".as_bytes()), ('k', "\u{212a}".as_bytes()), ('s', "\u{17f}".as_bytes())];
/// More texts than this are not faster to find than to parse.
const ALTERNATIVES_MAX: usize = 32;
/// Each one is looked for in every line that has those before it.
const NEEDED_MAX: usize = 8;

#[cfg(test)]
mod tests;
