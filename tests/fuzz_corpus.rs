//! Goal: what the fuzzer asks of any bytes holds for its seeds.
//!
//! Method: the same functions as `tests/fuzz/run` gives any bytes to.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a failed test panics"
)]

use std::fs;
use std::path::Path;

#[path = "fuzz/targets.rs"]
mod targets;

/// Runs a target on each of its seeds.
fn run(name: &str, target: fn(&[u8])) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(name);
    let seeds: Vec<_> = fs::read_dir(corpus).unwrap().map(|it| it.unwrap().path()).collect();
    assert!(20 <= seeds.len(), "{name} has {} seeds", seeds.len());
    for seed in seeds {
        let bytes = fs::read(&seed).unwrap();
        let held = std::panic::catch_unwind(|| target(&bytes));
        assert!(held.is_ok(), "{name} fails with {}", seed.display());
    }
}

#[test]
fn patterns_mean_what_a_naive_matcher_says() {
    run("pattern", targets::pattern);
}

#[test]
fn documents_that_are_found_right_compile() {
    run("policy_document", targets::policy_document);
}

#[test]
fn scenarios_have_one_line_of_json_for_an_answer() {
    run("scenario", targets::scenario);
}
