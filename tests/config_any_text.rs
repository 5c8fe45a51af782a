//! Goal: no text, however broken, makes the reader panic or point outside of the document.
//!
//! Method: the shipped configuration, with pieces cut, doubled and replaced at random.

use std::path::Path;

use crossgate::config;
use miette::Diagnostic;
use proptest::prelude::*;

const SHIPPED: &str = include_str!("../config/crossgate.yaml");

#[derive(Clone, Debug)]
enum Edit {
    Cut(usize, usize),
    Double(usize, usize),
    Insert(usize, String),
}

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let at = 0..SHIPPED.chars().count();
    let word = prop_oneof![
        "[\\PC\n\t]{1,12}",
        prop::sample::select(vec![
            "${A}",
            "$${",
            "${",
            "[",
            "]",
            "{",
            "}",
            ": ",
            "- ",
            "\n",
            "\t",
            "'",
            "\"",
            "|\n",
            "&a ",
            "*a",
            "<<: *a",
            "!!str ",
            "---\n",
            "\u{0}",
            "\u{feff}",
            "é",
            "0",
            "-1",
            "~",
            "18446744073709551616",
        ])
        .prop_map(str::to_owned),
    ];
    let edit = prop_oneof![
        (at.clone(), 1..200_usize).prop_map(|(at, length)| Edit::Cut(at, length)),
        (at.clone(), 1..200_usize).prop_map(|(at, length)| Edit::Double(at, length)),
        (at, word).prop_map(|(at, word)| Edit::Insert(at, word)),
    ];
    prop::collection::vec(edit, 1..6)
}

fn edited(edits: &[Edit]) -> String {
    let mut text: Vec<char> = SHIPPED.chars().collect();
    for edit in edits {
        let range = |at: usize, length: usize| {
            let start = at.min(text.len());
            start..at.saturating_add(length).min(text.len()).max(start)
        };
        match edit {
            Edit::Cut(at, length) => {
                let range = range(*at, *length);
                text.drain(range);
            }
            Edit::Double(at, length) => {
                let range = range(*at, *length);
                let piece: Vec<char> =
                    text.iter().skip(range.start).take(range.len()).copied().collect();
                text.splice(range.start..range.start, piece);
            }
            Edit::Insert(at, word) => {
                let start = (*at).min(text.len());
                text.splice(start..start, word.chars());
            }
        }
    }
    text.into_iter().collect()
}

proptest! {
    #[test]
    fn findings_of_any_text_are_inside_of_it(edits in edits()) {
        let text = edited(&edits);
        let file = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/config/crossgate.yaml"));
        let parsed = config::parse(&text, file, &|name| (name == "A").then(|| "b".to_owned()));
        let findings = match &parsed {
            Ok(config) => &config.warnings[..],
            Err(error) => {
                prop_assert!(error.findings().iter().any(|it| it.severity == config::Severity::Error));
                error.findings()
            }
        };
        // An error at the very end may be on the line after the last.
        let lines = text.lines().count() + 1;
        for finding in findings {
            prop_assert!((1..=lines).contains(&finding.at.line), "{finding}");
            prop_assert!(1 <= finding.at.column, "{finding}");
            prop_assert!(!finding.message.contains('\n'), "{finding:?}");
            for label in finding.labels().into_iter().flatten() {
                let end = label.offset() + label.len();
                prop_assert!(finding.shown.text.is_char_boundary(label.offset()), "{finding:?}");
                prop_assert!(finding.shown.text.is_char_boundary(end), "{finding:?}");
            }
        }
    }
}
