//! Goal: the answers that the facts about IAM give, section by section, are the engine's and the
//! reference's.
//!
//! Method: `tests/cases/policy/*.json`, whose forms `tests/policy_reference/cases.rs` explains. Each
//! scenario goes through the naive reference and through the engine as `crossgate simulate` does.

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a failed test panics"
)]

use crossgate::policy::scenario as engine;
use serde_json::Value;

use cases::{Case, read_all};
use policy_reference::scenario::answer_line;

#[path = "policy_reference/cases.rs"]
mod cases;
mod policy_reference;

/// As many cases as the facts are worth at least.
const CASES_MIN: usize = 250;

#[test]
fn the_reference_gives_every_expected_answer() {
    check_all(|line| match answer_line(line) {
        Ok(answer) => Given {
            decision: answer.decision.to_owned(),
            layer: answer.layer.to_owned(),
            missing: answer.missing.into_iter().map(str::to_owned).collect(),
            error: String::new(),
        },
        Err(error) => Given { decision: "error".to_owned(), error, ..Given::default() },
    });
}

#[test]
fn the_engine_gives_every_expected_answer() {
    check_all(|line| {
        let answer: Value = serde_json::from_str(&engine::answer_line(line)).unwrap();
        let text = |key: &str| answer[key].as_str().unwrap_or_default().to_owned();
        if answer.get("error").is_some() {
            let (decision, error) = ("error".to_owned(), text("error"));
            return Given { decision, error, ..Given::default() };
        }
        let missing = answer["missing"].as_array().unwrap().iter();
        Given {
            decision: text("decision"),
            layer: text("layer"),
            missing: missing.map(|side| side.as_str().unwrap().to_owned()).collect(),
            error: String::new(),
        }
    });
}

/// What was answered.
#[derive(Default)]
struct Given {
    decision: String,
    layer: String,
    missing: Vec<String>,
    error: String,
}

#[track_caller]
fn check_all(answer: impl Fn(&str) -> Given) {
    let (cases, written) = read_all();
    let mut wrong = Vec::new();
    for case in &cases {
        let given = answer(&case.line);
        if !is_expected(case, &given) {
            let Case { name, why, line, expect } = case;
            let Given { decision, layer, missing, error } = given;
            let given = format!("{decision} by {layer}, missing {missing:?}, error {error:?}");
            wrong.push(format!("{name}: {why}\n  {line}\n  expected {expect:?}\n  given {given}"));
        }
    }
    assert!(CASES_MIN <= written, "only {written} cases");
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

fn is_expected(case: &Case, given: &Given) -> bool {
    let expect = &case.expect;
    let decision = match &expect.decision {
        Some(decision) => given.decision == *decision,
        None => given.decision != "error",
    };
    decision
        && expect.layer.as_ref().is_none_or(|layer| given.layer == *layer)
        && expect.missing.as_ref().is_none_or(|missing| given.missing == *missing)
}
