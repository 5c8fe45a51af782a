//! A line of a document, with marks under what a finding is about.

use std::io::{self, Write};

use anstyle::Style;

/// A line and the place in it that is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Excerpt {
    /// The line's number, from 1.
    pub(super) number: usize,
    /// The line, or the part of it that is shown; nothing is shown of an empty one.
    pub(super) text: String,
    /// How many characters of `text` come before what is meant.
    pub(super) before: usize,
    /// How many characters are meant, as far as they are on this line.
    pub(super) width: usize,
}

impl Excerpt {
    /// Writes the line and the marks, and the hint if there is one, with an empty line behind.
    pub(super) fn write(
        &self,
        out: &mut dyn Write,
        style: Style,
        hint: Option<&str>,
    ) -> io::Result<()> {
        let Self { number, text, before, width } = self;
        let margin = " ".repeat(number.to_string().len());
        let rest = text.chars().count().saturating_sub(*before);
        // A tab stays a tab, so that the marks stand under what they mean.
        let indent: String =
            text.chars().take(*before).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
        let marks = "^".repeat((*width).clamp(1, rest.max(1)));
        if !text.is_empty() {
            writeln!(out, " {DIM}{number} |{DIM:#} {}", printable(text))?;
            writeln!(out, " {DIM}{margin} |{DIM:#} {indent}{style}{marks}{style:#}")?;
        }
        if let Some(hint) = hint {
            writeln!(out, " {DIM}{margin} ={DIM:#} hint: {}", printable(hint))?;
        }
        writeln!(out)
    }
}

/// A document's text without what a terminal would obey.
pub(super) fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() && c != '\t' { char::REPLACEMENT_CHARACTER } else { c })
        .collect()
}

const DIM: Style = Style::new().dimmed();
