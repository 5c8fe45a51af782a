//! `crossgate events query` beside an independent reader: `zstd` and `jq` over the same segments.

#![expect(clippy::unwrap_used, reason = "a failed test panics")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use crossgate::event::log::compress;
use serde_json::Value;

/// The moment of an event, a second after the one before.
fn moment(n: u64) -> String {
    format!("2025-10-{:02}T{:02}:{:02}:{:02}", 10 + n / 86_400, n / 3600 % 24, n / 60 % 60, n % 60)
}

fn line(n: u64) -> String {
    let decision = if n.is_multiple_of(5) { "Deny" } else { "Permit" };
    let account = n * n % 7;
    format!(
        "{{\"action\":\"iam-access-management.account-settings.eval\",\
         \"eventTime\":\"{}.00+0000\",\"id\":\"{n:06}\",\"agent\":\"\\u0044eny \\\\ {}\",\
         \"requestData\":{{\"subject\":{{\"attributes\":{{\"token.account.bss\":\"{account}\"}}}}}},\
         \"responseData\":{{\"decision\":\"{decision}\",\"isEnforced\":false,\"sequence\":{n}}}}}\n",
        moment(n),
        "x".repeat(1000)
    )
}

/// A log of two compressed segments, a closed and a live one with a torn end.
fn log(place: &Path, events: u64) {
    for segment in 0..4 {
        let from = segment * events + 1;
        let lines: String = (from..from + events).map(line).collect();
        let stem = format!("crossgate-i-{}Z-{segment:06}", moment(from).replace(['-', ':'], ""));
        let path = |ending: &str| place.join(format!("{stem}{ending}"));
        match segment {
            0 | 1 => {
                fs::write(path(".ndjson"), lines).unwrap();
                compress(&path(".ndjson"), &path(".ndjson.zst")).unwrap();
                fs::remove_file(path(".ndjson")).unwrap();
            }
            2 => fs::write(path(".ndjson"), lines).unwrap(),
            _ => fs::write(path(".live.ndjson"), lines + "{\"torn").unwrap(),
        }
    }
}

fn query(place: &Path, arguments: &[&str]) -> Output {
    let dir = place.to_str().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_crossgate"))
        .args(["events", "query", "--dir", dir])
        .args(arguments)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// What `jq` makes of all whole lines of a log.
#[track_caller]
fn jq(place: &Path, filter: &str) -> String {
    let script = format!(
        "set -o pipefail; cd '{}'; zstd -dcf *.ndjson* | grep -a '}}$' | jq -c '{filter}'",
        place.display()
    );
    let output = Command::new("bash").args(["-c", &script]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    stdout(&output)
}

#[test]
fn zstd_and_jq_find_what_a_query_finds() {
    let place = tempfile::tempdir().unwrap();
    log(place.path(), 1500);
    for (lucene, filter) in [
        ("", "."),
        ("responseData.decision.keyword:Deny", "select(.responseData.decision == \"Deny\")"),
        ("responseData.sequence:>=5990", "select(.responseData.sequence >= 5990)"),
        ("agent:deny AND responseData.sequence.numeric:7", "select(.responseData.sequence == 7)"),
    ] {
        let ours = query(place.path(), &[lucene, "--format", "json"]);
        let ours: Vec<Value> =
            stdout(&ours).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let theirs = jq(place.path(), filter);
        let theirs: Vec<Value> =
            theirs.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert!(!theirs.is_empty() && ours == theirs, "{lucene}: {} {}", ours.len(), theirs.len());
    }
}

#[test]
fn counts_are_those_of_jq() {
    let place = tempfile::tempdir().unwrap();
    log(place.path(), 500);
    let fields = "responseData.decision,requestData.subject.attributes.token.account.bss";
    let output = query(place.path(), &["*", "--count-by", fields, "--format", "json"]);
    let mut counts: Vec<(String, u64)> = stdout(&output)
        .lines()
        .map(|line| {
            let group: Value = serde_json::from_str(line).unwrap();
            let text = |field: &str| group.get(field).unwrap().as_str().unwrap().to_owned();
            let [decision, account] =
                fields.split(',').map(text).collect::<Vec<_>>().try_into().unwrap();
            (format!("{decision} {account}"), group.get("count").unwrap().as_u64().unwrap())
        })
        .collect();
    assert!(counts.is_sorted_by(|a, b| b.1 <= a.1));
    counts.sort();
    let values = jq(
        place.path(),
        ".responseData.decision + \" \" + .requestData.subject.attributes[\"token.account.bss\"]",
    );
    let mut expected: Vec<(String, u64)> = Vec::new();
    let mut values: Vec<String> =
        values.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    values.sort();
    for value in values {
        match expected.last_mut() {
            Some((last, count)) if *last == value => *count += 1,
            _ => expected.push((value, 1)),
        }
    }
    assert_eq!(counts, expected);
}

#[test]
fn a_window_and_a_limit_cut_what_is_found() {
    let place = tempfile::tempdir().unwrap();
    log(place.path(), 500);
    let ids = |arguments: &[&str]| {
        let output = query(place.path(), &[&["--format", "json"], arguments].concat());
        let ids = stdout(&output);
        let ids = ids.lines().map(|line| {
            let event: Value = serde_json::from_str(line).unwrap();
            event.pointer("/responseData/sequence").unwrap().as_u64().unwrap()
        });
        ids.collect::<Vec<_>>()
    };
    let (since, until) = (format!("{}Z", moment(490)), format!("{}Z", moment(510)));
    assert_eq!(ids(&["*", "--since", &since, "--until", &until]), (490..=510).collect::<Vec<_>>());
    assert_eq!(ids(&["*", "--limit", "3"]), [1998, 1999, 2000]);
    assert_eq!(ids(&["*", "--until", &until, "--limit", "3"]), [508, 509, 510]);
    assert_eq!(ids(&["responseData.decision:Deny", "--limit", "2"]), [1995, 2000]);
}

#[test]
fn progress_is_shown_on_a_terminal_and_nowhere_else() {
    let place = tempfile::tempdir().unwrap();
    log(place.path(), 20_000);
    let quiet = query(place.path(), &["nothing"]);
    assert_eq!(String::from_utf8_lossy(&quiet.stderr), "");
    // `script` runs a command in a terminal.
    let command = format!(
        "'{}' events query nothing --dir '{}' >'{}'",
        env!("CARGO_BIN_EXE_crossgate"),
        place.path().display(),
        place.path().join("out").display()
    );
    let shown = Command::new("script")
        .args(["-qec", &command, "/dev/null"])
        .env("TERM", "xterm")
        .output()
        .unwrap();
    assert!(shown.status.success());
    assert!(stdout(&shown).contains("left"), "{:?}", stdout(&shown));
    assert!(fs::read_to_string(place.path().join("out")).unwrap().starts_with("TIME"));
}
