//! What to say of a document that is refused, with a hint where there is one.

use granit_parser::Span;

use super::events::{DocumentError, Scalar, refused};
use crate::verdict::Mode;

pub(super) fn expected(what: &str) -> String {
    format!("expected {what}")
}

pub(super) fn unknown_key(key: &str, known: &[&str], span: &Span) -> DocumentError {
    let hint = match nearest(key, known) {
        Some(near) => format!("hint: `{near}`"),
        None => format!("known are {}", listed(known)),
    };
    refused(span, format!("unknown key `{key}`; {hint}"))
}

pub(super) fn unknown_mode(scalar: &Scalar) -> String {
    let known = Mode::ALL.map(Mode::as_str);
    if scalar.is_null() {
        return format!("the mode is empty; it is one of {}", listed(&known));
    }
    let text = &scalar.text;
    let meant = match text.as_str() {
        "enabled" => Some(Mode::Unrestricted.as_str()),
        "monitor" => Some(Mode::ReportOnly.as_str()),
        _ => nearest(text, &known),
    };
    match meant {
        Some(meant) => format!("unknown mode `{text}`; hint: `{meant}`"),
        None => format!("unknown mode `{text}`; it is one of {}", listed(&known)),
    }
}

fn nearest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    let distance = |candidate: &str| strsim::damerau_levenshtein(&word.to_lowercase(), candidate);
    let near = known.iter().copied().min_by_key(|candidate| distance(candidate))?;
    (distance(near) <= near.len() / 3).then_some(near)
}

fn listed(words: &[&str]) -> String {
    words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}
