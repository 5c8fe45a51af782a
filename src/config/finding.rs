//! What is wrong with a document, where, and what to do about it.
//!
//! Flows in: positions and messages. Flows out: findings that a person, a program or `miette`
//! can show. Decides nothing about the documents themselves.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use miette::{Diagnostic, LabeledSpan, SourceCode, SourceSpan};

/// One thing that is wrong or doubtful, with its position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Whether the document is refused for it.
    pub severity: Severity,
    /// The document.
    pub file: Arc<Path>,
    /// Where in the document.
    pub at: Span,
    /// What is wrong: lower case, no full stop.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// The line of the document that `at` starts in.
    pub line_text: String,
}

/// What a finding does to the document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// It is refused.
    Error,
    /// It is taken, but somebody should look.
    Warning,
}

impl Severity {
    /// The spelling in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// A place in a document; lines and columns count from 1, columns in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
    /// How many characters are meant, as far as they are on this line.
    pub width: usize,
}

impl Span {
    /// The start of a document, for what is missing altogether.
    pub const START: Self = Self { line: 1, column: 1, width: 1 };
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file.display(), self.at, self.message)?;
        match &self.hint {
            None => Ok(()),
            Some(hint) => write!(f, "; hint: {hint}"),
        }
    }
}

impl std::error::Error for Finding {}

impl Diagnostic for Finding {
    fn severity(&self) -> Option<miette::Severity> {
        Some(match self.severity {
            Severity::Error => miette::Severity::Error,
            Severity::Warning => miette::Severity::Warning,
        })
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.hint.as_ref().map(|hint| -> Box<dyn fmt::Display + 'a> { Box::new(hint) })
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(&self.line_text)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let bytes_of =
            |text: &str, chars: usize| text.chars().take(chars).map(char::len_utf8).sum::<usize>();
        let start = bytes_of(&self.line_text, self.at.column.saturating_sub(1));
        let end = bytes_of(
            &self.line_text,
            self.at.column.saturating_sub(1).saturating_add(self.at.width),
        );
        let span = SourceSpan::from((start, end - start));
        Some(Box::new(std::iter::once(LabeledSpan::new_with_span(None, span))))
    }
}

/// Findings of one document, gathered while it is read.
#[derive(Debug)]
pub struct Findings {
    file: Arc<Path>,
    text: Arc<str>,
    list: Vec<Finding>,
}

impl Findings {
    /// No findings yet in a document.
    pub fn new(file: &Path, text: &str) -> Self {
        Self { file: file.into(), text: text.into(), list: Vec::new() }
    }

    /// Adds an error.
    pub fn error(&mut self, at: Span, message: impl Into<String>) {
        self.push(Severity::Error, at, &message.into(), None);
    }

    /// Adds an error and what to do about it.
    pub fn error_hint(&mut self, at: Span, message: impl Into<String>, hint: impl Into<String>) {
        self.push(Severity::Error, at, &message.into(), Some(&hint.into()));
    }

    /// Adds a warning and what to do about it.
    pub fn warn(&mut self, at: Span, message: impl Into<String>, hint: impl Into<String>) {
        self.push(Severity::Warning, at, &message.into(), Some(&hint.into()));
    }

    /// Whether the document is refused.
    pub fn has_errors(&self) -> bool {
        self.list.iter().any(|finding| finding.severity == Severity::Error)
    }

    /// All findings, from the document's start to its end.
    pub fn into_sorted(mut self) -> Vec<Finding> {
        self.list.sort_by_key(|a| (a.at, a.severity));
        self.list
    }

    fn push(&mut self, severity: Severity, at: Span, message: &str, hint: Option<&str>) {
        // Nobody reads more. Each severity has its own count: warnings never hide an error.
        let same = self.list.iter().filter(|finding| finding.severity == severity).count();
        if same >= FINDINGS_MAX {
            return;
        }
        let line_text = self.text.lines().nth(at.line.saturating_sub(1)).unwrap_or_default();
        self.list.push(Finding {
            severity,
            file: Arc::clone(&self.file),
            at,
            message: plain(message),
            hint: hint.map(plain),
            line_text: line_text.chars().take(LINE_CHARS_MAX).collect(),
        });
    }
}

/// A message without what a terminal would obey and what would look like another line of a log.
fn plain(message: &str) -> String {
    message.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// The nearest of some words, if it is near enough to be what was meant.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // A third of the letters wrong still reads as a typo; more is another word.
    let distance_max = (word.chars().count() / 3).max(1);
    let lower = word.to_ascii_lowercase();
    known
        .into_iter()
        .map(|candidate| {
            (strsim::damerau_levenshtein(&lower, &candidate.to_ascii_lowercase()), candidate)
        })
        .filter(|(distance, _)| *distance <= distance_max)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// A hint that names what was probably meant, else all there is.
pub fn meant<'a>(word: &str, known: impl IntoIterator<Item = &'a str> + Clone) -> String {
    if let Some(near) = nearest(word, known.clone()) {
        format!("did you mean `{near}`?")
    } else {
        let names: Vec<String> =
            known.into_iter().map(|candidate| format!("`{candidate}`")).collect();
        if names.is_empty() {
            "there is none".into()
        } else {
            format!("one of {}", names.join(", "))
        }
    }
}

/// The most findings of one severity in one document.
const FINDINGS_MAX: usize = 200;

/// The longest line that is shown.
const LINE_CHARS_MAX: usize = 500;
