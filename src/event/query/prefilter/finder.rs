//! Finds texts in lines of JSON: one or several, with or without regard to case.

use memchr::memmem;
use regex::bytes::{Regex, RegexBuilder};

/// A text as it has to be in a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Needle {
    /// ASCII, without regard to the case of its letters.
    AnyCase(String),
    /// These bytes.
    Exact(String),
    /// Words of ASCII side by side, without regard to case.
    Phrase(Vec<String>),
}

/// Finds one of several needles.
#[derive(Debug)]
pub(super) enum Finder {
    Caseless(Caseless),
    Exact(Box<memmem::Finder<'static>>),
    Several(Regex),
}

/// Finds one text without regard to case, by a part of it that has none.
#[derive(Debug)]
pub(super) struct Caseless {
    text: Vec<u8>,
    anchor: Box<memmem::Finder<'static>>,
    /// Where the anchor is in the text.
    at: usize,
}

impl Needle {
    pub(super) fn exact(text: &str) -> Self {
        Self::Exact(text.to_owned())
    }

    /// A text without regard to the case of ASCII's letters; it has no others.
    pub(super) fn any_case(text: &str) -> Self {
        if text.bytes().any(|byte| byte.is_ascii_alphabetic()) {
            Self::AnyCase(text.to_ascii_lowercase())
        } else {
            Self::exact(text)
        }
    }

    /// Whether a letter of it can stand in a line as another character that is equal to it without
    /// regard to case.
    pub(super) fn folds(&self, letter: char) -> bool {
        match self {
            Self::AnyCase(text) => text.contains(letter),
            Self::Exact(_) => false,
            Self::Phrase(words) => words.iter().any(|word| word.contains(letter)),
        }
    }

    /// Whether most lines have it: keys and truth values.
    pub(super) fn is_usual(&self) -> bool {
        match self {
            Self::AnyCase(text) | Self::Exact(text) => {
                text.ends_with('"') || text == "true" || text == "false"
            }
            Self::Phrase(_) => false,
        }
    }

    /// How rare it is, as a guess. A phrase takes longer to find than its words, so it comes after
    /// them, unless they are so short that they are everywhere.
    pub(super) fn weight(&self) -> usize {
        match self {
            Self::AnyCase(text) | Self::Exact(text) => text.len(),
            Self::Phrase(words) => words.iter().map(String::len).max().unwrap_or(0).min(2),
        }
    }

    fn pattern(&self) -> String {
        match self {
            Self::AnyCase(text) => format!("(?i:{})", regex::escape(text)),
            Self::Exact(text) => regex::escape(text),
            Self::Phrase(words) => {
                let words = words.iter().map(|word| regex::escape(word));
                format!("(?i:{})", words.collect::<Vec<_>>().join(BETWEEN_WORDS))
            }
        }
    }
}

impl Finder {
    /// `None` if the needles can't be looked for together.
    pub(super) fn of<'n>(needles: impl Iterator<Item = &'n Needle>) -> Option<Self> {
        let needles: Vec<&Needle> = needles.collect();
        match needles.as_slice() {
            [Needle::Exact(text)] => {
                return Some(Self::Exact(Box::new(memmem::Finder::new(text).into_owned())));
            }
            [Needle::AnyCase(text)] if let Some(caseless) = Caseless::new(text) => {
                return Some(Self::Caseless(caseless));
            }
            _ => {}
        }
        let pattern: Vec<String> = needles.iter().map(|needle| needle.pattern()).collect();
        let regex = RegexBuilder::new(&pattern.join("|"))
            .unicode(false)
            .size_limit(PATTERN_BYTES_MAX)
            .build();
        regex.ok().map(Self::Several)
    }

    /// Where the first one begins.
    pub(super) fn find(&self, text: &[u8]) -> Option<usize> {
        match self {
            Self::Caseless(caseless) => caseless.find(text),
            Self::Exact(finder) => finder.find(text),
            Self::Several(regex) => regex.find(text).map(|found| found.start()),
        }
    }
}

impl Caseless {
    /// `None` if it has no part that is long enough to be rare; then a pattern is faster.
    fn new(text: &str) -> Option<Self> {
        let text = text.to_ascii_lowercase().into_bytes();
        let anchor = text.split(u8::is_ascii_alphabetic).max_by_key(|part| part.len())?;
        if anchor.len() < ANCHOR_BYTES_MIN {
            return None;
        }
        let at = memmem::find(&text, anchor)?;
        let anchor = Box::new(memmem::Finder::new(anchor).into_owned());
        Some(Self { text, anchor, at })
    }

    fn find(&self, text: &[u8]) -> Option<usize> {
        let mut start = 0;
        loop {
            // Where the anchor is behind its place in the text, the text may begin.
            start += self.anchor.find(text.get(start + self.at..)?)?;
            let found = text.get(start..).and_then(|rest| rest.get(..self.text.len()));
            if found.is_some_and(|found| found.eq_ignore_ascii_case(&self.text)) {
                return Some(start);
            }
            start += 1;
        }
    }
}

/// What can be between two words of a text in JSON: no letter, but for those of escapes.
const BETWEEN_WORDS: &str = r"(?:[^0-9A-Za-z_\n]|\\[bfnrt])+";
/// The largest compiled pattern.
const PATTERN_BYTES_MAX: usize = 1024 * 1024;
/// So many bytes in a row are rarer than any single one.
const ANCHOR_BYTES_MIN: usize = 4;
