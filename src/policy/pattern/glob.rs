//! Texts with wildcards and variables, taken apart.

use std::mem;

use crate::policy::context::{ConditionKey, Context, variable};
use crate::policy::pattern::PatternError;
use crate::policy::pattern::matcher::{LetterCase, Matcher};

/// A text with `*` (any characters), `?` (one character) and variables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Glob {
    /// In order. No `Text` is empty or follows another one, and no `Any` or `One` follows an `Any`:
    /// `*?` is kept as `?*`.
    pub(crate) pieces: Box<[Piece]>,
}

/// One piece of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// Any characters, also none.
    Any,
    /// Exactly one character.
    One,
    /// These characters.
    Text(Box<str>),
    /// The value of a key, or the default, as characters that stand for themselves.
    Variable { key: ConditionKey, default: Option<Box<str>> },
}

/// Which characters a text gives a meaning of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Syntax {
    /// `*` and `?`.
    pub(crate) wildcards: bool,
    /// `${…}`: version 2012-10-17 only.
    pub(crate) variables: bool,
}

impl Glob {
    /// Parses a pattern.
    pub(crate) fn parse(text: &str, syntax: Syntax) -> Result<Self, PatternError> {
        let mut pieces = Pieces::default();
        let mut rest = text;
        while let Some(next) = rest.chars().next() {
            if syntax.variables && rest.starts_with(VARIABLE) {
                let (token, after) = Token::parse(rest)?;
                match token {
                    Token::Character(character) => pieces.text.push(character),
                    Token::Variable { key, default } => pieces.push(Piece::Variable {
                        key: ConditionKey::new(key),
                        default: default.map(Box::from),
                    }),
                }
                rest = after;
                continue;
            }
            match next {
                '*' if syntax.wildcards => pieces.push(Piece::Any),
                '?' if syntax.wildcards => pieces.push(Piece::One),
                other => pieces.text.push(other),
            }
            rest = rest.get(next.len_utf8()..).unwrap_or_default();
        }
        Ok(Self { pieces: pieces.finish() })
    }

    /// Whether the pattern means a text; a variable without a value means nothing.
    pub(crate) fn matches<C: Context + ?Sized>(&self, text: &str, context: &C) -> bool {
        match &*self.pieces {
            [] => text.is_empty(),
            [Piece::Any] => true,
            [Piece::Text(all)] => **all == *text,
            [Piece::Text(prefix), Piece::Any] => text.starts_with(&**prefix),
            pieces => Matcher { context, letter_case: LetterCase::Exact }.matches(pieces, text),
        }
    }

    /// As `matches`, without regard to the case of ASCII letters.
    pub(crate) fn matches_any_case<C: Context + ?Sized>(&self, text: &str, context: &C) -> bool {
        match &*self.pieces {
            [] => text.is_empty(),
            [Piece::Any] => true,
            [Piece::Text(all)] => all.eq_ignore_ascii_case(text),
            pieces => Matcher { context, letter_case: LetterCase::Ascii }.matches(pieces, text),
        }
    }

    /// Whether a pattern without wildcards is a text, each character in lower case. Wildcards
    /// stand for nothing here.
    pub(crate) fn equals_in_lower_case<C: Context + ?Sized>(
        &self,
        text: &str,
        context: &C,
    ) -> bool {
        let mut rest = text.chars().flat_map(char::to_lowercase);
        let mut is_next = |expected: &str| {
            let mut expected = expected.chars().flat_map(char::to_lowercase);
            expected.all(|character| rest.next() == Some(character))
        };
        let all = self.pieces.iter().all(|piece| match piece {
            Piece::Any | Piece::One => false,
            Piece::Text(text) => is_next(text),
            Piece::Variable { key, default } => variable(context, key, default.as_deref())
                .is_some_and(|value| is_next(value.as_str())),
        });
        all && rest.next().is_none()
    }

    /// The keys of its variables.
    pub(crate) fn variables(&self) -> impl Iterator<Item = &ConditionKey> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Variable { key, .. } => Some(key),
            Piece::Any | Piece::One | Piece::Text(_) => None,
        })
    }

    /// The text, if it means just one whatever the request.
    pub(crate) fn as_literal(&self) -> Option<&str> {
        match self.literal_prefix() {
            (text, true) => Some(text),
            (_, false) => None,
        }
    }

    /// The characters that every text it means starts with, and whether it means just those.
    pub(crate) fn literal_prefix(&self) -> (&str, bool) {
        match &*self.pieces {
            [] => ("", true),
            [Piece::Text(text)] => (text, true),
            [Piece::Text(text), ..] => (text, false),
            [Piece::Any | Piece::One | Piece::Variable { .. }, ..] => ("", false),
        }
    }

    /// The pattern as a document writes it.
    pub(crate) fn render(&self, syntax: Syntax) -> String {
        let mut out = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Any => out.push('*'),
                Piece::One => out.push('?'),
                Piece::Text(text) => render_text(&mut out, text, syntax),
                Piece::Variable { key, default } => {
                    out.push_str(VARIABLE);
                    out.push_str(key.as_str());
                    if let Some(default) = default {
                        out.push_str(", '");
                        out.push_str(default);
                        out.push('\'');
                    }
                    out.push('}');
                }
            }
        }
        out
    }
}

/// Characters that stand for themselves, where a document needs `${*}` to say so.
fn render_text(out: &mut String, text: &str, syntax: Syntax) {
    for character in text.chars() {
        if syntax.wildcards && syntax.variables && matches!(character, '*' | '?') {
            out.push_str(VARIABLE);
            out.push(character);
            out.push('}');
        } else {
            out.push(character);
        }
    }
}

/// Pieces so far, and the characters that will be the next one.
#[derive(Default)]
struct Pieces {
    pieces: Vec<Piece>,
    text: String,
}

impl Pieces {
    fn push(&mut self, piece: Piece) {
        self.flush();
        match (self.pieces.last_mut(), piece) {
            (Some(Piece::Any), Piece::Any) => {}
            // `*?` means what `?*` means, and a `?` that is tried at one place costs less.
            (Some(last @ Piece::Any), Piece::One) => {
                *last = Piece::One;
                self.pieces.push(Piece::Any);
            }
            (_, piece) => self.pieces.push(piece),
        }
    }

    fn flush(&mut self) {
        if !self.text.is_empty() {
            self.pieces.push(Piece::Text(mem::take(&mut self.text).into()));
        }
    }

    fn finish(mut self) -> Box<[Piece]> {
        self.flush();
        self.pieces.into()
    }
}

/// What starts with `${`.
pub(super) enum Token<'a> {
    /// `${*}`, `${?}` or `${$}`.
    Character(char),
    /// `${key}` or `${key, 'default'}`.
    Variable { key: &'a str, default: Option<&'a str> },
}

impl<'a> Token<'a> {
    /// Takes the token that a text starts with, and gives what follows it.
    pub(super) fn parse(text: &'a str) -> Result<(Self, &'a str), PatternError> {
        let inside = text.strip_prefix(VARIABLE).ok_or(PatternError::Variable)?;
        for character in ['*', '?', '$'] {
            let after = inside.strip_prefix(character).and_then(|rest| rest.strip_prefix('}'));
            if let Some(after) = after {
                return Ok((Self::Character(character), after));
            }
        }
        let end = inside.find(['}', ',']).ok_or(PatternError::Variable)?;
        let (key, rest) = inside.split_at_checked(end).ok_or(PatternError::Variable)?;
        let (default, after) = match rest.strip_prefix(',') {
            Some(rest) => {
                let quoted = rest.trim_start_matches(' ').strip_prefix('\'');
                let (default, after) = quoted
                    .and_then(|quoted| quoted.split_once("'}"))
                    .ok_or(PatternError::Variable)?;
                (Some(default), after)
            }
            None => (None, rest.strip_prefix('}').ok_or(PatternError::Variable)?),
        };
        if key.is_empty() || [Some(key), default].into_iter().flatten().any(has_variable) {
            return Err(PatternError::Variable);
        }
        Ok((Self::Variable { key, default }, after))
    }
}

fn has_variable(text: &str) -> bool {
    text.contains(VARIABLE)
}

/// What a variable starts with.
pub(super) const VARIABLE: &str = "${";
