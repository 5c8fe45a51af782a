//! Matching: the pieces between two `*` are a run, and each run is taken where it is found first.
//!
//! What an earlier run leaves is the most that any choice could leave, so no choice is ever taken
//! back.

use memchr::memmem;

use crate::policy::context::{Context, variable};
use crate::policy::pattern::glob::Piece;

/// A request's values, and how letters are compared.
pub(super) struct Matcher<'c, C: ?Sized> {
    pub(super) context: &'c C,
    pub(super) letter_case: LetterCase,
}

/// How letters are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LetterCase {
    /// `A` and `a` are the same.
    Ascii,
    /// They are not.
    Exact,
}

impl<C: Context + ?Sized> Matcher<'_, C> {
    /// Whether the pieces mean the whole text.
    pub(super) fn matches(&self, pieces: &[Piece], text: &str) -> bool {
        let mut runs = pieces.split(|piece| matches!(piece, Piece::Any));
        let first = runs.next().unwrap_or_default();
        let Some(rest) = self.strip_start(first, text) else { return false };
        let Some(last) = runs.next_back() else { return rest.is_empty() };
        let Some(mut rest) = self.strip_end(last, rest) else { return false };
        for run in runs {
            match self.strip_found(run, rest) {
                Some(after) => rest = after,
                None => return false,
            }
        }
        true
    }

    /// What follows a run that the text starts with.
    fn strip_start<'t>(&self, run: &[Piece], text: &'t str) -> Option<&'t str> {
        run.iter().try_fold(text, |rest, piece| match piece {
            Piece::Any => Some(rest),
            Piece::One => after_one(rest),
            Piece::Text(text) => self.letter_case.strip_prefix(rest, text),
            Piece::Variable { key, default } => {
                let value = variable(self.context, key, default.as_deref())?;
                self.letter_case.strip_prefix(rest, value.as_str())
            }
        })
    }

    /// What precedes a run that the text ends with.
    fn strip_end<'t>(&self, run: &[Piece], text: &'t str) -> Option<&'t str> {
        run.iter().rev().try_fold(text, |rest, piece| match piece {
            Piece::Any => Some(rest),
            Piece::One => {
                let mut characters = rest.chars();
                characters.next_back().map(|_| characters.as_str())
            }
            Piece::Text(text) => self.letter_case.strip_suffix(rest, text),
            Piece::Variable { key, default } => {
                let value = variable(self.context, key, default.as_deref())?;
                self.letter_case.strip_suffix(rest, value.as_str())
            }
        })
    }

    /// What follows a run where the text has it first.
    fn strip_found<'t>(&self, run: &[Piece], text: &'t str) -> Option<&'t str> {
        // A run in the middle starts with characters or a variable, whose value is looked up once.
        let value;
        let (needle, tail) = match run {
            [Piece::Text(text), tail @ ..] => (&**text, tail),
            [Piece::Variable { key, default }, tail @ ..] => {
                value = variable(self.context, key, default.as_deref())?;
                (value.as_str(), tail)
            }
            [Piece::Any | Piece::One, ..] | [] => ("", run),
        };
        let mut rest = text;
        loop {
            let (found, after) = self.letter_case.find(rest, needle)?;
            if let Some(after) = self.strip_start(tail, after) {
                return Some(after);
            }
            rest = after_one(found)?;
        }
    }
}

/// What follows the first character.
fn after_one(text: &str) -> Option<&str> {
    let mut characters = text.chars();
    characters.next().map(|_| characters.as_str())
}

impl LetterCase {
    fn strip_prefix<'t>(self, text: &'t str, prefix: &str) -> Option<&'t str> {
        match self {
            Self::Ascii => {
                let (start, rest) = text.split_at_checked(prefix.len())?;
                start.eq_ignore_ascii_case(prefix).then_some(rest)
            }
            Self::Exact => text.strip_prefix(prefix),
        }
    }

    fn strip_suffix<'t>(self, text: &'t str, suffix: &str) -> Option<&'t str> {
        match self {
            Self::Ascii => {
                let at = text.len().checked_sub(suffix.len())?;
                let (rest, end) = text.split_at_checked(at)?;
                end.eq_ignore_ascii_case(suffix).then_some(rest)
            }
            Self::Exact => text.strip_suffix(suffix),
        }
    }

    /// The text from where a needle is found first, and what follows the needle.
    fn find<'t>(self, text: &'t str, needle: &str) -> Option<(&'t str, &'t str)> {
        match self {
            Self::Ascii => {
                let mut rest = text;
                loop {
                    if let Some(after) = self.strip_prefix(rest, needle) {
                        return Some((rest, after));
                    }
                    rest = after_one(rest)?;
                }
            }
            Self::Exact => {
                let at = memmem::find(text.as_bytes(), needle.as_bytes())?;
                let found = text.get(at..)?;
                Some((found, found.get(needle.len()..)?))
            }
        }
    }
}
