//! `crossgate policy validate` shows what is wrong with documents, and ends as promised.

#![expect(clippy::unwrap_used, reason = "a failed test panics")]

use std::fs;
use std::io::Write;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

const VALID: &str =
    r#"{ "Statement": { "Effect": "Allow", "Action": "s3:GetObject", "Resource": "*" } }"#;

struct Place {
    directory: tempfile::TempDir,
}

impl Place {
    fn new(files: &[(&str, &[u8])]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        for (name, bytes) in files {
            fs::write(directory.path().join(name), bytes).unwrap();
        }
        Self { directory }
    }

    fn validate(&self, arguments: &[&str], input: &[u8]) -> Ended {
        let mut child = Command::new(env!("CARGO_BIN_EXE_crossgate"))
            .args(["policy", "validate"])
            .args(arguments)
            .current_dir(self.directory.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // It may have ended without reading, for wrong usage.
        let _ = child.stdin.take().unwrap().write_all(input);
        Ended::from(child.wait_with_output().unwrap())
    }
}

struct Ended {
    code: Option<i32>,
    output: String,
    errors: String,
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            output: String::from_utf8(output.stdout).unwrap(),
            errors: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

#[test]
fn valid_documents_end_well() {
    let place = Place::new(&[("a.json", VALID.as_bytes()), ("b.json", VALID.as_bytes())]);
    let ended = place.validate(&["--type", "identity", "a.json", "b.json"], b"");
    assert_eq!((ended.code, &*ended.output), (Some(0), "ok: a.json\nok: b.json\n"));
    assert_eq!(ended.errors, "");
}

#[test]
fn warnings_are_shown_and_end_well() {
    let text = VALID.replace("s3:GetObject", "s3:");
    let ended = Place::new(&[]).validate(&["--type", "identity", "-"], text.as_bytes());
    insta::assert_snapshot!(ended.output, @r#"
    <stdin>:1:47: warning: the action `s3:` matches nothing
     1 | { "Statement": { "Effect": "Allow", "Action": "s3:", "Resource": "*" } }
       |                                               ^^^^^
       = hint: write `s3:*` for all actions of the service

    ok: <stdin>, 1 warning
    "#);
    assert_eq!(ended.code, Some(0));
}

#[test]
fn what_is_valid_and_probably_not_meant_is_a_warning() {
    let text = VALID.replace("\"Action\"", "\"NotAction\"");
    let ended = Place::new(&[]).validate(&["--type", "identity", "-"], text.as_bytes());
    insta::assert_snapshot!(ended.output, @r#"
    <stdin>:1:37: warning: `NotAction` with `Allow` grants every other action, those of new services too
     1 | { "Statement": { "Effect": "Allow", "NotAction": "s3:GetObject", "Resource": "*" } }
       |                                     ^^^^^^^^^^^
       = hint: list what is meant under `Action`

    ok: <stdin>, 1 warning
    "#);
    assert_eq!(ended.code, Some(0));
    let ended = Place::new(&[]).validate(&["--type", "boundary", "-"], text.as_bytes());
    assert_eq!((ended.code, &*ended.output), (Some(0), "ok: <stdin>\n"));
}

#[test]
fn everything_wrong_is_shown_with_its_line() {
    let text = "{\n\t\"Statement\": {\n\t\t\"Effect\": \"allow\",\n\t\t\"Acton\": \"é\",\n\t\t\"Resource\": \"*\"\n\t}\n}";
    let place = Place::new(&[("a.json", text.as_bytes()), ("b.json", VALID.as_bytes())]);
    let ended = place.validate(&["--type", "identity", "a.json", "b.json"], b"");
    insta::assert_snapshot!(ended.output.replace('\t', "    "), @r#"
    a.json:2:15: error: the statement has neither `Action` nor `NotAction`
     2 |     "Statement": {
       |                  ^

    a.json:3:13: error: the effect `allow` is unknown
     3 |         "Effect": "allow",
       |                   ^^^^^^^
       = hint: did you mean `Allow`?

    a.json:4:3: error: the statement has the unknown element `Acton`
     4 |         "Acton": "é",
       |         ^^^^^^^
       = hint: did you mean `Action`?

    refused: a.json, 3 errors, 0 warnings
    ok: b.json
    "#);
    assert_eq!(ended.code, Some(1));
}

#[test]
fn programs_get_one_document() {
    let wrong = VALID.replace("\"*\"", "\"b\"");
    let place = Place::new(&[("a.json", VALID.as_bytes()), ("b.json", wrong.as_bytes())]);
    let arguments = ["--type", "boundary", "--format", "json"];
    let ended = place.validate(&[&arguments[..], &["a.json", "b.json", "-"]].concat(), b"[]");
    let report: Value = serde_json::from_str(&ended.output).unwrap();
    let expect = json!({ "valid": false, "findings": [
        { "file": "b.json", "line": 1, "column": 75, "severity": "error",
          "message": "the resource `b` is neither `*` nor of the form \
                      `arn:partition:service:region:account:resource`",
          "hint": "write `*` for every resource" },
        { "file": "<stdin>", "line": 1, "column": 1, "severity": "error",
          "message": "a policy document is an object, and this is a list", "hint": null },
    ] });
    assert_eq!((report, ended.code), (expect, Some(1)));

    let ended = place.validate(&[&arguments[..], &["a.json"]].concat(), b"");
    let report: Value = serde_json::from_str(&ended.output).unwrap();
    assert_eq!((report, ended.code), (json!({ "valid": true, "findings": [] }), Some(0)));
}

#[test]
fn the_type_decides_what_is_valid() {
    let with = |elements: &str| format!("{{ \"Statement\": {{ {elements} }} }}");
    let identity = VALID.to_owned();
    let resource = VALID.replace("\"Action\"", "\"Principal\": \"*\", \"Action\"");
    let trust = with(r#""Effect": "Allow", "Principal": "*", "Action": "sts:AssumeRole""#);
    let guard = with(r#""Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "*""#);
    for (policy_type, expect) in [
        ("identity", [0, 1, 1, 1]),
        ("boundary", [0, 1, 1, 1]),
        ("session", [0, 1, 1, 1]),
        ("scp", [0, 1, 1, 1]),
        ("resource", [1, 0, 1, 0]),
        ("key", [1, 0, 1, 0]),
        ("endpoint", [1, 0, 1, 0]),
        ("trust", [1, 1, 0, 1]),
        ("rcp", [1, 1, 1, 0]),
    ] {
        let codes = [&identity, &resource, &trust, &guard].map(|text| {
            Place::new(&[]).validate(&["--type", policy_type, "-"], text.as_bytes()).code.unwrap()
        });
        assert_eq!(codes, expect, "{policy_type}");
    }
}

#[test]
fn what_cannot_be_read_ends_with_two_and_hides_nothing() {
    let place = Place::new(&[("a.json", b"[]")]);
    let ended = place.validate(&["--type", "identity", "none.json", "a.json"], b"");
    assert_eq!(ended.code, Some(2));
    assert!(ended.errors.starts_with("error: can't read none.json: "), "{}", ended.errors);
    assert!(ended.output.ends_with("refused: a.json, 1 error, 0 warnings\n"), "{}", ended.output);
    let ended = place.validate(&["--type", "identity", "--format", "json", "."], b"");
    assert_eq!(ended.code, Some(2));
    let report: Value = serde_json::from_str(&ended.output).unwrap();
    assert_eq!(report["valid"], json!(false));
    let finding = &report["findings"][0];
    assert_eq!(finding["file"], json!("."));
    assert_eq!(finding["severity"], json!("error"));
    assert!(finding["message"].as_str().unwrap().starts_with("can't read the file: "), "{finding}");
}

#[test]
fn wrong_usage_ends_with_two() {
    for arguments in [
        &["a.json"][..],
        &["--type", "identity"],
        &["--type", "group", "a.json"],
        &["--type", "identity", "--format", "xml", "a.json"],
    ] {
        let ended = Place::new(&[("a.json", VALID.as_bytes())]).validate(arguments, b"");
        assert_eq!((ended.code, &*ended.output), (Some(2), ""), "{arguments:?}");
    }
}

#[test]
fn what_is_no_text_has_a_place() {
    let ended =
        Place::new(&[]).validate(&["--type", "identity", "-"], b"{\n \"\xc3\xa9\xff\": 1 }");
    assert_eq!(ended.code, Some(1));
    assert!(ended.output.starts_with("<stdin>:2:4: error: not UTF-8\n"), "{}", ended.output);
}

#[test]
fn a_terminal_obeys_no_document() {
    let text = VALID.replace("s3:GetObject", "\\u001b[2J\u{85}");
    let text = text.replace('}', "}\u{1b}[2J");
    let ended = Place::new(&[]).validate(&["--type", "identity", "-"], text.as_bytes());
    let text = VALID.replace("s3:GetObject", "\\u001b[2J\u{85}\\u0007");
    let escaped = Place::new(&[]).validate(&["--type", "identity", "-"], text.as_bytes());
    for ended in [ended, escaped] {
        assert_eq!(ended.code, Some(1));
        let obeyed = ended.output.chars().find(|c| c.is_control() && *c != '\n');
        assert_eq!(obeyed, None, "{:?}", ended.output);
    }
}

#[test]
fn of_a_very_long_line_the_part_that_is_meant_is_shown() {
    let statement = r#"{"Effect":"Allow","Action":"s3:GetObject","Resource":"*"}"#;
    let many = vec![statement; 2000].join(",");
    let text = format!(r#"{{"Statement":[{many},{{"Effect":"allow","é":0}},{many}]}}"#);
    let ended = Place::new(&[]).validate(&["--type", "identity", "-"], text.as_bytes());
    let longest = ended.output.lines().map(|line| line.chars().count()).max().unwrap();
    assert!(longest < 260, "{longest}");
    let lines: Vec<&str> = ended.output.lines().collect();
    let effect = lines.iter().position(|line| line.contains("the effect `allow`")).unwrap();
    let (shown, marks) = (lines.get(effect + 1).unwrap(), lines.get(effect + 2).unwrap());
    let at = marks.chars().position(|c| c == '^').unwrap();
    let meant: String = shown.chars().skip(at).take(7).collect();
    assert_eq!(meant, "\"allow\"");
}
