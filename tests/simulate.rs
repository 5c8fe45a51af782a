//! `crossgate simulate` as a program: lines in, lines out, exit codes.

#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "a failed test panics")]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

fn crossgate() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_crossgate"));
    command.arg("simulate");
    command
}

/// Runs it with scenarios on standard input.
fn simulate(args: &[&str], input: &[u8]) -> Output {
    let mut child = crossgate()
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    let feeding = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().unwrap();
    // A program that does not read its input to the end closes the pipe.
    let _ = feeding.join().unwrap();
    output
}

fn scenario(id: &Value, effect: &str) -> String {
    json!({
        "id": id,
        "request": {
            "principal": { "type": "user", "arn": "arn:aws:iam::111111111111:user/a",
                "account": "111111111111" },
            "action": "s3:GetObject",
            "resource": { "arn": "arn:aws:s3:::b/k", "account": "111111111111" },
        },
        "policies": { "identity": [{ "name": "p", "document": { "Statement": [
            { "Sid": "S", "Effect": effect, "Action": "s3:*", "Resource": "*" }] } }] },
    })
    .to_string()
}

fn decisions(output: &Output) -> Vec<(Value, Value)> {
    let text = std::str::from_utf8(&output.stdout).unwrap();
    let answer = |line: &str| {
        let answer: Value = serde_json::from_str(line).unwrap();
        let said = answer.get("decision").or(answer.get("error")).unwrap().clone();
        (answer["id"].clone(), said)
    };
    text.lines().map(answer).collect()
}

#[test]
fn every_line_has_its_answer_in_order() {
    let lines =
        [scenario(&json!(1), "Allow"), String::new(), "  ".into(), scenario(&json!("b"), "Deny")];
    let output = simulate(&["-"], lines.join("\r\n").as_bytes());
    assert_eq!(output.status.code(), Some(0));
    let expect = [(json!(1), json!("allow")), (json!("b"), json!("explicit_deny"))];
    assert_eq!(decisions(&output), expect);
    assert!(output.stderr.is_empty());
}

#[test]
fn a_line_that_cannot_be_decided_is_answered_and_the_run_goes_on() {
    let mut lines = scenario(&json!(1), "allow").into_bytes();
    lines.extend(b"\n{\"id\":2}\nnonsense\n{\"id\":3,\"x\":\"\xff\"}\n");
    lines.extend(scenario(&json!(4), "Allow").bytes());
    let output = simulate(&["--format", "jsonl", "-"], &lines);
    assert_eq!(output.status.code(), Some(1));
    let answers = decisions(&output);
    let ids: Vec<&Value> = answers.iter().map(|(id, _)| id).collect();
    assert_eq!(ids, [&json!(1), &json!(2), &json!(null), &json!(null), &json!(4)]);
    assert_eq!(answers[3].1, json!("the line is not UTF-8"));
    assert_eq!(answers[4].1, json!("allow"));
}

#[test]
fn a_line_that_is_too_long_is_skipped_to_its_end() {
    let mut lines = vec![b' '; 17 * 1024 * 1024];
    lines.push(b'\n');
    lines.extend(scenario(&json!(2), "Allow").bytes());
    // Only spaces: empty, however long.
    assert_eq!(simulate(&["-"], &lines).status.code(), Some(1));
    lines[0] = b'{';
    let output = simulate(&["-"], &lines);
    assert_eq!(output.status.code(), Some(1));
    let answers = decisions(&output);
    assert_eq!(answers[0], (json!(null), json!("the line has more than 16777216 bytes")));
    assert_eq!(answers[1..], [(json!(2), json!("allow"))]);
}

#[test]
fn files_are_read_and_what_cannot_be_read_ends_with_2() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("scenarios.jsonl");
    fs::write(&file, scenario(&json!(1), "Allow")).unwrap();
    let run = |path: &Path| crossgate().arg(path).output().unwrap();
    let output = run(&file);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(decisions(&output), [(json!(1), json!("allow"))]);
    fs::write(&file, "").unwrap();
    assert_eq!((run(&file).status.code(), run(&file).stdout), (Some(0), Vec::new()));
    for bad in [directory.path().join("none"), directory.path().to_owned()] {
        let output = run(&bad);
        assert_eq!(output.status.code(), Some(2), "{}", bad.display());
        assert!(String::from_utf8_lossy(&output.stderr).starts_with("error: cannot read `"));
    }
    assert_eq!(crossgate().output().unwrap().status.code(), Some(2));
    let output = crossgate().args(["--format", "yaml", "-"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn text_is_a_sentence_a_scenario() {
    let lines = [
        scenario(&json!("a"), "Allow"),
        scenario(&json!(2), "Deny"),
        scenario(&json!("c"), "Allow").replace("s3:*", "sqs:*"),
        "{\"id\":\"\\u001b[2J\"}".to_owned(),
    ];
    let output = simulate(&["--format", "text", "-"], lines.join("\n").as_bytes());
    assert_eq!(output.status.code(), Some(1));
    insta::assert_snapshot!(String::from_utf8(output.stdout).unwrap(), @r#"
    a: allow (identity): p, statement 1 `S`
    2: explicit deny (identity): p, statement 1 `S`
    c: implicit deny (identity): no caller identity policy
    �[2J: error: `request` is missing
    "#);
}

#[test]
fn who_waits_for_an_answer_before_asking_on_gets_it() {
    let mut child =
        crossgate().arg("-").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    for id in 0..3 {
        writeln!(stdin, "{}", scenario(&json!(id), "Allow")).unwrap();
        stdin.flush().unwrap();
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        assert!(line.starts_with(&format!("{{\"id\":{id},\"decision\":\"allow\"")), "{line}");
    }
    drop(stdin);
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).unwrap();
    assert_eq!((rest.as_str(), child.wait().unwrap().code()), ("", Some(0)));
}

#[test]
fn a_reader_that_has_read_enough_is_no_error() {
    let mut child = crossgate()
        .arg("-")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let mut stdin = child.stdin.take().unwrap();
    writeln!(stdin, "{}", scenario(&json!(1), "Allow")).unwrap();
    drop(stdin);
    let ended = child.wait_with_output().unwrap();
    assert_eq!((ended.status.code(), ended.stderr), (Some(0), Vec::new()));
}

#[test]
fn a_byte_order_mark_begins_the_input_and_no_scenario() {
    let lines = format!("\u{feff}{}\n\u{feff}{{}}\n", scenario(&json!(1), "Allow"));
    let output = simulate(&["-"], lines.as_bytes());
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(decisions(&output)[0], (json!(1), json!("allow")));
}
