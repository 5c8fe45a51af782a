//! What is wrong with a document, where, and what to do about it.
//!
//! Flows in: positions and messages. Flows out: findings that a person, a program or `miette`
//! can show. Decides nothing about the documents themselves.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use miette::{Diagnostic, LabeledSpan, SourceCode, SourceSpan};

use crate::policy::finding::more;

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
    pub shown: Box<Shown>,
    /// How many findings it stands for that are not kept one by one; 0: it is one itself.
    pub omitted: usize,
}

/// What is shown of a line: of a long one the part around a place, and nothing of external ids,
/// logins in URLs and values of headers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    /// The line or the part of it; empty if it is not for everybody's eyes.
    pub text: String,
    /// How many characters of `text` come before the place.
    pub before: usize,
}

impl Shown {
    /// What is shown of the line that a byte of a document is in.
    pub fn of(document: &str, offset: usize) -> Self {
        let Some((head, tail)) = document.split_at_checked(offset) else { return Self::default() };
        let before = head.rsplit('\n').next().unwrap_or_default();
        let after = tail.lines().next().unwrap_or_default();
        let mut start: Vec<char> = before.chars().rev().take(BEFORE_CHARS_MAX + 1).collect();
        if BEFORE_CHARS_MAX < start.len() {
            start.truncate(BEFORE_CHARS_MAX);
            start.push('…');
        }
        let shown = start.iter().rev().copied().chain(after.chars().take(AFTER_CHARS_MAX));
        let text: String = shown.collect();
        let line = format!("{before}{after}");
        let is_secret = is_external_id(&text)
            || is_below_external_id(head)
            || has_login(&line)
            || has_headers(head, &line);
        if is_secret {
            return Self::default();
        }
        Self { text, before: start.len() }
    }
}

fn is_external_id(text: &str) -> bool {
    text.to_ascii_lowercase().contains("externalid")
}

/// Whether the object that a text ends in may have begun the values of an external id.
fn is_below_external_id(head: &str) -> bool {
    // The cut starts before the place, so what closes an object there counts for it only.
    let shown_from = head.char_indices().rev().nth(BEFORE_CHARS_MAX).map_or(0, |(at, _)| at);
    let line_from = head.rfind('\n').map_or(0, |at| at + 1);
    let head = head.get(..shown_from.max(line_from)).unwrap_or_default();
    let from = head.char_indices().rev().take(LOOK_BACK_CHARS_MAX).last().map_or(0, |(at, _)| at);
    let near = head.get(from..).unwrap_or_default();
    near.rsplit('}').next().is_some_and(is_external_id)
}

/// Whether a URL of a line has a user or a password.
fn has_login(line: &str) -> bool {
    let authorities = line.split("://").skip(1);
    authorities
        .filter_map(|rest| rest.split(|c: char| c.is_whitespace() || "/\"'?#".contains(c)).next())
        .any(|authority| authority.contains('@'))
}

/// Whether a line has values of headers: a mapping of `headers` on it, or the one that it is in.
fn has_headers(head: &str, line: &str) -> bool {
    let indent = |line: &str| line.len() - line.trim_start_matches([' ', '-']).len();
    let on_it = line.split("headers:").skip(1).any(|rest| rest.trim_start().starts_with('{'));
    let start = head.rfind('\n').unwrap_or(0);
    let above = head.get(..start).unwrap_or_default().lines().rev().take(LOOK_BACK_LINES_MAX);
    let mut parents =
        above.filter(|above| !above.trim().is_empty() && indent(above) < indent(line));
    on_it
        || parents
            .next()
            .is_some_and(|parent| parent.trim_end_matches([' ', '{']).ends_with("headers:"))
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
        Some(&self.shown.text)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let bytes_of =
            |text: &str, chars: usize| text.chars().take(chars).map(char::len_utf8).sum::<usize>();
        let Shown { text, before } = &*self.shown;
        let start = bytes_of(text, *before);
        let end = bytes_of(text, before.saturating_add(self.at.width));
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
    omitted_errors: usize,
    omitted_warnings: usize,
}

impl Findings {
    /// No findings yet in a document.
    pub fn new(file: &Path, text: &str) -> Self {
        Self {
            file: file.into(),
            text: text.into(),
            list: Vec::new(),
            omitted_errors: 0,
            omitted_warnings: 0,
        }
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

    /// Counts findings that were not kept where they were found.
    pub(crate) fn omit(&mut self, severity: Severity, omitted: usize) {
        let count = match severity {
            Severity::Error => &mut self.omitted_errors,
            Severity::Warning => &mut self.omitted_warnings,
        };
        *count = count.saturating_add(omitted);
    }

    /// All findings, from the document's start to its end, and how many more there are.
    pub fn into_sorted(mut self) -> Vec<Finding> {
        self.list.sort_by_key(|a| (a.at, a.severity));
        // It stays the last one when the findings of several documents are put in order.
        let at = self.list.last().map_or(Span::START, |it| it.at);
        let kinds =
            [(Severity::Error, self.omitted_errors), (Severity::Warning, self.omitted_warnings)];
        for (severity, omitted) in kinds.into_iter().filter(|(_, omitted)| 0 < *omitted) {
            self.list.push(Finding {
                severity,
                file: Arc::clone(&self.file),
                at,
                message: more(severity.as_str(), omitted),
                hint: None,
                shown: Box::default(),
                omitted,
            });
        }
        self.list
    }

    fn push(&mut self, severity: Severity, at: Span, message: &str, hint: Option<&str>) {
        // Nobody reads more. Each severity has its own count: warnings never hide an error.
        let same = self.list.iter().filter(|finding| finding.severity == severity).count();
        if same >= FINDINGS_MAX {
            return self.omit(severity, 1);
        }
        let before = self.text.split_inclusive('\n').take(at.line.saturating_sub(1));
        let line_from: usize = before.map(str::len).sum();
        let line = self.text.get(line_from..).unwrap_or_default().lines().next();
        let before = line.unwrap_or_default().chars().take(at.column.saturating_sub(1));
        let offset = line_from + before.map(char::len_utf8).sum::<usize>();
        self.list.push(Finding {
            severity,
            file: Arc::clone(&self.file),
            at,
            message: plain(message),
            hint: hint.map(plain),
            shown: Box::new(Shown::of(&self.text, offset)),
            omitted: 0,
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

/// How much of a line is shown before a place.
const BEFORE_CHARS_MAX: usize = 80;

/// How much of a line is shown from a place on.
const AFTER_CHARS_MAX: usize = 120;

/// How far back the key of a value is looked for.
const LOOK_BACK_CHARS_MAX: usize = 16 << 10;
/// How far above a line its mapping is looked for; sinks have fewer headers.
const LOOK_BACK_LINES_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_long_line_the_part_around_the_place_is_shown() {
        let text = format!("{}wrong{}\nnext", "a".repeat(805), "b".repeat(500));
        let shown = Shown::of(&text, 805);
        assert_eq!(shown.before, BEFORE_CHARS_MAX + 1);
        let expect = format!("…{}wrong{}", "a".repeat(BEFORE_CHARS_MAX), "b".repeat(115));
        assert_eq!(shown.text, expect);
        let mut findings = Findings::new(Path::new("t"), &text);
        findings.error(Span { line: 1, column: 806, width: 5 }, "wrong");
        assert_eq!(findings.into_sorted().first().unwrap().shown.as_ref(), &shown);
        assert_eq!(Shown::of("a\r\n  bé c\r\n", 5).text, "  bé c");
    }

    #[test]
    fn nothing_is_shown_of_an_external_id() {
        #[track_caller]
        fn check(text: &str, is_shown: bool) {
            let at = text.find('@').unwrap();
            assert_eq!(!Shown::of(text, at).text.is_empty(), is_shown, "{text}");
        }
        check("{\"STS:externalID\": @\"secret\"}", false);
        check("{@\"a\": {\"sts:ExternalId\": \"secret\"}}", false);
        check("{\"sts:ExternalId\": [\n\"first\",\n@\"secret\"]}", false);
        check("{\"sts:ExternalId\": [\n\"secret\"]},\n@\"Action\": 1", true);
        let far = format!("{{\"sts:ExternalId\": [{}\"secret\", @]}}", "\"x\", ".repeat(100));
        check(&far, false);
        // What closes the object stands in the part that would be shown too.
        let cut = format!("{{\"sts:ExternalId\": [{}\"secret\"]}}, @1", "\"x\", ".repeat(100));
        check(&cut, false);
        check("{\"sts:SourceIdentity\": @\"x\"}", true);
    }

    #[test]
    fn nothing_is_shown_of_logins_and_headers() {
        #[track_caller]
        fn check(text: &str, is_shown: bool) {
            let at = text.find('^').unwrap();
            assert_eq!(!Shown::of(text, at).text.is_empty(), is_shown, "{text}");
        }
        check("- nats: { ^url: \"nats://u:secret@h:4222\" }", false);
        check(&format!("- nats: {{ url: \"nats://secret@h\", {} ^x }}", "y ".repeat(300)), false);
        check("- nats: { ^url: nats://h, user: a@b }", true);
        check("url: ^https://h/a@b", true);
        check("- http: { url: x, headers: { a: secret }, ^y: 1 }", false);
        check("- http:\n    headers:\n      a: secret\n      b: ^secret\n", false);
        check("- http:\n    headers: {\n      a: ^secret\n", false);
        check("- http:\n    headers:\n      a: secret\n    timeout: ^1\n", true);
        check("limits: { ^headers: 100 }", true);
    }

    #[test]
    fn what_is_not_kept_is_counted_in_the_last_line() {
        let mut findings = Findings::new(Path::new("t"), "text");
        for _ in 0..FINDINGS_MAX + 3 {
            findings.warn(Span::START, "doubtful", "look");
        }
        findings.error(Span::START, "wrong");
        let list = findings.into_sorted();
        assert_eq!(list.len(), FINDINGS_MAX + 2);
        let last = list.last().unwrap();
        assert_eq!((last.severity, last.omitted), (Severity::Warning, 3));
        assert_eq!(last.message, "3 more warnings are not shown");
    }
}
