//! What is wrong or doubtful in a policy document, and where.

use std::fmt;

/// One thing that is wrong or doubtful, with its place in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyFinding {
    /// Whether the document is refused for it.
    pub severity: Severity,
    /// The first byte in the file's text.
    pub offset: usize,
    /// How many bytes are meant; 0: just the place.
    pub len: usize,
    /// What is wrong: lower case, no full stop, what was written in backticks.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// How many findings it stands for that are not kept one by one; 0: it is one itself.
    pub omitted: usize,
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

impl PolicyFinding {
    /// What the document is refused for.
    pub fn error(offset: usize, len: usize, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            offset,
            len,
            message: message.into(),
            hint: None,
            omitted: 0,
        }
    }

    /// What somebody should look at.
    pub fn warning(offset: usize, len: usize, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Warning,
            offset,
            len,
            message: message.into(),
            hint: None,
            omitted: 0,
        }
    }

    /// One that stands for some that are not kept.
    pub(crate) fn more(severity: Severity, offset: usize, omitted: usize) -> Self {
        let message = more(severity.as_str(), omitted);
        Self { severity, offset, len: 0, message, hint: None, omitted }
    }

    /// With what to do about it.
    #[must_use]
    pub fn with_hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// Whether the document is refused for it.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

impl fmt::Display for PolicyFinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.hint {
            None => Ok(()),
            Some(hint) => write!(f, "; hint: {hint}"),
        }
    }
}

impl std::error::Error for PolicyFinding {}

/// Findings of one document, gathered while it is read.
#[derive(Debug, Default)]
pub(crate) struct PolicyFindings {
    list: Vec<PolicyFinding>,
    errors: usize,
    warnings: usize,
}

impl PolicyFindings {
    /// Adds a finding.
    pub(crate) fn push(&mut self, finding: PolicyFinding) {
        // Each severity has its own count: warnings never hide an error.
        let same = match finding.severity {
            Severity::Error => &mut self.errors,
            Severity::Warning => &mut self.warnings,
        };
        *same = same.saturating_add(1);
        if *same <= FINDINGS_MAX {
            self.list.push(finding);
        }
    }

    /// Whether the document is refused.
    pub(crate) fn has_errors(&self) -> bool {
        0 < self.errors
    }

    /// Whether there are so many errors that no more are kept.
    pub(crate) fn is_full(&self) -> bool {
        FINDINGS_MAX <= self.errors
    }

    /// All findings, from the document's start to its end.
    pub(crate) fn into_sorted(mut self) -> Vec<PolicyFinding> {
        self.list.sort_by_key(|finding| (finding.offset, finding.severity));
        let last = self.list.last().map_or(0, |it| it.offset);
        let kinds = [(Severity::Error, self.errors), (Severity::Warning, self.warnings)];
        self.list.extend(
            kinds
                .into_iter()
                .filter(|(_, found)| FINDINGS_MAX < *found)
                .map(|(severity, found)| PolicyFinding::more(severity, last, found - FINDINGS_MAX)),
        );
        self.list
    }
}

/// What is said of findings that are not shown.
pub(crate) fn more(kind: &str, omitted: usize) -> String {
    match omitted {
        1 => format!("1 more {kind} is not shown"),
        _ => format!("{omitted} more {kind}s are not shown"),
    }
}

/// A text as messages show it: in backticks, without what a terminal would obey, not too long.
pub(crate) fn shown(text: &str) -> String {
    let plain = |c: char| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c };
    let head: String = text.chars().take(SHOWN_CHARS_MAX).map(plain).collect();
    let more = if text.chars().nth(SHOWN_CHARS_MAX).is_some() { "…" } else { "" };
    format!("`{head}{more}`")
}

/// The nearest of some words, if it is near enough to be what was meant.
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // The distance takes the product of both lengths, and no known word is that long.
    if SHOWN_CHARS_MAX < word.len() {
        return None;
    }
    // A third of the letters wrong still reads as a typo; more is another word.
    let distance_max = (word.chars().count() / 3).max(1);
    let lower = word.to_ascii_lowercase();
    known
        .into_iter()
        .map(|other| (strsim::damerau_levenshtein(&lower, &other.to_ascii_lowercase()), other))
        .filter(|(distance, _)| *distance <= distance_max)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, other)| other)
}

/// A hint that names what was probably meant, else all there is.
pub(crate) fn meant(word: &str, known: &[&str]) -> String {
    if let Some(near) = nearest(word, known.iter().copied()) {
        return format!("did you mean `{near}`?");
    }
    let names: Vec<String> = known.iter().map(|name| format!("`{name}`")).collect();
    format!("one of {}", names.join(", "))
}

/// The most findings of one severity in one document: nobody reads more.
pub(crate) const FINDINGS_MAX: usize = 200;

/// The most characters of a document's text that a message repeats.
const SHOWN_CHARS_MAX: usize = 120;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_never_hide_an_error_and_both_end_at_their_limit() {
        let mut findings = PolicyFindings::default();
        for offset in 0..=FINDINGS_MAX {
            findings.push(PolicyFinding::warning(offset, 0, "doubtful"));
        }
        assert!(!findings.has_errors());
        for offset in 0..=FINDINGS_MAX {
            findings.push(PolicyFinding::error(offset, 0, "wrong"));
        }
        assert!(findings.has_errors());
        let list = findings.into_sorted();
        assert_eq!(list.len(), 2 * (FINDINGS_MAX + 1));
        assert_eq!(list.iter().filter(|finding| finding.is_error()).count(), FINDINGS_MAX + 1);
        let last = list.last().unwrap();
        assert_eq!((last.omitted, &*last.message), (1, "1 more warning is not shown"));
        assert!(
            list[..2 * FINDINGS_MAX].is_sorted_by_key(|finding| (finding.offset, finding.severity))
        );
    }

    #[test]
    fn a_text_is_shown_without_controls_and_not_whole_if_long() {
        assert_eq!(shown("a\u{1b}[31m\nb"), "`a\u{fffd}[31m\u{fffd}b`");
        assert_eq!(shown(&"é".repeat(SHOWN_CHARS_MAX)).chars().count(), SHOWN_CHARS_MAX + 2);
        assert!(shown(&"é".repeat(SHOWN_CHARS_MAX + 1)).ends_with("é…`"));
    }

    #[test]
    fn a_hint_names_the_nearest_word_or_all() {
        assert_eq!(meant("efect", &["Effect", "Action"]), "did you mean `Effect`?");
        assert_eq!(meant("Wholly", &["Effect", "Action"]), "one of `Effect`, `Action`");
        assert_eq!(nearest(&"a".repeat(100_000), ["a"]), None);
    }
}
