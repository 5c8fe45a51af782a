//! YAML as a stream of located events.
//!
//! Flows in: a document's text. Flows out: events with their place in the text, or the first
//! problem with its place. Knows nothing of settings.

use std::fmt;
use std::ops::Range;

use granit_parser::{Event, Parser, ScalarStyle, Span, StrInput};

/// A document's events, comments left out.
pub(super) struct Events<'t> {
    parser: Parser<'t, StrInput<'t>>,
}

/// A place in a document: what `check` underlines and an editor jumps to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// In bytes.
    pub span: Range<usize>,
}

/// Why a document is refused, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{position}: {reason}")]
pub struct DocumentError {
    /// Where.
    pub position: Position,
    /// Why, with a hint where there is one.
    pub reason: String,
}

/// One scalar, exactly as it means after quotes and escapes.
pub(super) struct Scalar {
    pub(super) text: String,
    pub(super) style: ScalarStyle,
}

impl<'t> Events<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        let mut options = granit_parser::Options::default();
        options.emit_comments = false;
        options.flow_nesting_limit = NESTING_MAX;
        options.block_nesting_limit = NESTING_MAX;
        Self { parser: Parser::new_from_str_with_options(text, options) }
    }

    /// The next event; the stream's end is an event too.
    pub(super) fn next(&mut self) -> Result<(Event<'t>, Span), DocumentError> {
        match self.parser.next_event() {
            Some(Ok((event, span))) => match event.tag() {
                Some(tag) if !tag.is_yaml_core_schema() => {
                    Err(refused(&span, "a tag has no meaning here".to_owned()))
                }
                Some(_) | None => Ok((event, span)),
            },
            Some(Err(error)) => {
                Err(refused(&Span::empty(*error.marker()), format!("not YAML: {}", error.kind())))
            }
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    /// Skips to the first event of the document's content.
    pub(super) fn open_document(&mut self) -> Result<(Event<'t>, Span), DocumentError> {
        loop {
            let (event, span) = self.next()?;
            if !matches!(event, Event::StreamStart | Event::DocumentStart(..)) {
                return Ok((event, span));
            }
        }
    }

    /// Makes sure that nothing follows the document's content.
    pub(super) fn close_document(&mut self) -> Result<(), DocumentError> {
        loop {
            match self.next()? {
                (Event::StreamEnd, _) => return Ok(()),
                (Event::DocumentStart(..), span) => {
                    return Err(refused(&span, "a file holds one YAML document".to_owned()));
                }
                _ => {}
            }
        }
    }
}

impl Position {
    pub(super) fn of(span: &Span) -> Self {
        Self {
            line: span.start.line(),
            column: span.start.col() + 1,
            span: span.byte_range().unwrap_or_default(),
        }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

impl Scalar {
    /// Whether nothing is written where a value could be.
    pub(super) fn is_null(&self) -> bool {
        self.style == ScalarStyle::Plain && matches!(self.text.as_str(), "" | "~" | "null")
    }
}

/// An error at a place.
pub(super) fn refused(span: &Span, reason: String) -> DocumentError {
    DocumentError { position: Position::of(span), reason }
}

/// Settings nest five deep; what nests deeper is no settings document.
const NESTING_MAX: usize = 16;
