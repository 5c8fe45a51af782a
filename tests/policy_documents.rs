//! Goal: each wrong policy document is refused with its place, its reason and a hint, and its right
//! twin is not.
//!
//! Method: `tests/cases/policy_documents/*.case` hold documents and exactly what is found in them.
//! A case is `=== types: why`, the document, `---`, and the findings, which are the same for each of
//! the types. In documents the words of `WORDS` stand for elements that are right.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a failed test panics")]

use std::fs;
use std::path::Path;

use crossgate::policy::document::{self, Checked, Document, EntryKind, Negated, Version};
use crossgate::policy::json::{self, Lines};
use crossgate::policy::{self, Effect, PolicyFinding, PolicyType, Source};

#[test]
fn every_case_has_exactly_its_findings() {
    let (mut run, mut accepted, mut wrong) = (0, 0, String::new());
    for case in cases() {
        for (policy_type, document) in case.documents() {
            let got = told(&document, &findings(&document, policy_type));
            run += 1;
            accepted += usize::from(case.expect.is_empty());
            if got != case.expect {
                wrong.extend(["@@ ", policy_type.as_str(), ": ", &case.why, "\n", &got]);
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert!(200 <= run && 45 <= accepted, "only {run} cases, {accepted} accepted");
}

#[test]
fn what_passes_compiles() {
    for case in cases() {
        for (policy_type, text) in case.documents() {
            let Ok(node) = json::parse(&text) else { continue };
            let Some(document) = document::check(&node, policy_type).document else { continue };
            let compiled =
                policy::compile(&document, "p", Source { file: "".into() }, &Lines::new(&text));
            assert!(compiled.is_ok(), "{}: {:?}", case.why, compiled.unwrap_err());
        }
    }
}

#[test]
fn a_document_is_there_unless_something_is_an_error() {
    for case in cases() {
        for (policy_type, text) in case.documents() {
            let Ok(node) = json::parse(&text) else { continue };
            let Checked { document, findings } = document::check(&node, policy_type);
            let refused = findings.iter().any(PolicyFinding::is_error);
            assert_eq!(document.is_none(), refused, "{}", case.why);
            assert!(findings.is_sorted_by_key(|it| (it.offset, it.severity)), "{}", case.why);
        }
    }
}

#[test]
fn a_document_keeps_what_is_written_and_where() {
    let text = r#"{ "Version": "2012-10-17", "Statement": [
        { "Sid": "A", "Effect": "Deny", "NotPrincipal": { "AWS": ["*", "1"], "Service": "s.a" },
          "NotAction": "s3:*", "Resource": ["*", "arn:aws:s3:::\u0062"],
          "Condition": { "NumericEquals": { "a:b": [1.50, "7"] }, "Bool": { "c:d": true } } },
        { "Resource": "*", "Action": ["a:*"], "Principal": "*", "Effect": "Allow" } ] }"#;
    let document = accepted(text, PolicyType::Resource);
    assert_eq!(document.policy_type, PolicyType::Resource);
    assert_eq!(document.version, Version::V2012);
    let [first, second] = &*document.statements else { panic!("two statements") };
    let written = |offset: usize, len: usize| text.get(offset..offset + len).unwrap();

    assert_eq!((first.effect, second.effect), (Effect::Deny, Effect::Allow));
    assert_eq!(
        (first.offset, second.offset),
        (text.find("{ \"Sid").unwrap(), text.find("{ \"Res").unwrap())
    );
    assert_eq!(&*first.sid.as_ref().unwrap().text, "A");
    let principal = first.principal.as_ref().unwrap();
    assert_eq!(principal.negated, Negated::Yes);
    let entries: Vec<(EntryKind, &str)> =
        principal.entries.iter().map(|entry| (entry.kind, &*entry.value.text)).collect();
    let (aws, service) = (EntryKind::Aws, EntryKind::Service);
    assert_eq!(entries, [(aws, "*"), (aws, "1"), (service, "s.a")]);
    let everyone = &second.principal.as_ref().unwrap().entries;
    assert_eq!(everyone.first().map(|entry| entry.kind), Some(EntryKind::Everyone));

    assert_eq!((first.action.negated, second.action.negated), (Negated::Yes, Negated::No));
    assert_eq!(written(first.action.offset, 11), "\"NotAction\"");
    let resource = first.resource.as_ref().unwrap();
    let bucket = resource.values.last().unwrap();
    assert_eq!(&*bucket.text, "arn:aws:s3:::b");
    assert_eq!(written(bucket.offset, bucket.len), r#""arn:aws:s3:::\u0062""#);

    let conditions: Vec<(&str, &str, Vec<&str>)> = first
        .conditions
        .iter()
        .map(|it| {
            let values = it.values.iter().map(|value| &*value.text).collect();
            (&*it.operator.text, &*it.key.text, values)
        })
        .collect();
    assert_eq!(
        conditions,
        [("NumericEquals", "a:b", vec!["1.50", "7"]), ("Bool", "c:d", vec!["true"])]
    );
}

#[test]
fn a_document_without_a_version_is_of_the_old_one() {
    let text = format!("{{ \"Statement\": {{ {} }} }}", word("<identity>"));
    assert_eq!(accepted(&text, PolicyType::Identity).version, Version::V2008);
}

#[test]
fn sizes_count_without_white_space_and_are_told_beyond_their_limit() {
    for (policy_type, characters_max) in [
        (PolicyType::Identity, 10_240),
        (PolicyType::Boundary, 6_144),
        (PolicyType::Session, 2_048),
        (PolicyType::Trust, 2_048),
        (PolicyType::Scp, 5_120),
        (PolicyType::Rcp, 5_120),
        (PolicyType::Resource, 20_480),
        (PolicyType::Endpoint, 20_480),
        (PolicyType::Key, 32_768),
    ] {
        let document = |characters: usize| {
            let (effect, body) = match policy_type {
                PolicyType::Identity
                | PolicyType::Boundary
                | PolicyType::Session
                | PolicyType::Scp => ("Allow", "\"Resource\":\"*\",\"Action\":\"s3:"),
                PolicyType::Trust => ("Allow", "\"Principal\":\"*\",\"Action\":\"sts:"),
                PolicyType::Rcp | PolicyType::Resource | PolicyType::Key | PolicyType::Endpoint => {
                    ("Deny", "\"Principal\":\"*\",\"Resource\":\"*\",\"Action\":\"s3:")
                }
            };
            let head = format!("{{\"Statement\":[{{\"Effect\":\"{effect}\",{body}");
            let fill = "é".repeat(characters - head.chars().count() - "\"}]}".len());
            format!("{head}{fill}\"}}{}]}}", " \n".repeat(100))
        };
        let found = |characters| findings(&document(characters), policy_type);
        assert_eq!(found(characters_max), [], "{policy_type:?}");
        let warnings = found(characters_max + 1);
        let [warning] = &*warnings else { panic!("{policy_type:?}: {warnings:?}") };
        assert!(!warning.is_error());
        assert!(warning.message.contains(&format!("of {} char", characters_max + 1)), "{warning}");
    }
}

#[test]
fn a_document_that_is_all_wrong_tells_so_much_and_no_more() {
    let statements = vec!["{}"; 10_000].join(",");
    let text = format!("{{\"Statement\":[{statements}]}}");
    let findings = findings(&text, PolicyType::Identity);
    let (last, told) = findings.split_last().unwrap();
    assert_eq!(told.iter().filter(|finding| finding.is_error()).count(), 200);
    assert!(last.message.ends_with("more errors are not shown"), "{last}");
}

struct Case {
    why: String,
    types: Vec<PolicyType>,
    document: String,
    expect: String,
}

impl Case {
    fn documents(&self) -> impl Iterator<Item = (PolicyType, String)> {
        self.types.iter().map(|policy_type| {
            let words = match policy_type {
                PolicyType::Trust => "\"Action\": \"sts:*\"",
                _ => "\"Action\": \"s3:*\", \"Resource\": \"*\"",
            };
            let document = self.document.replace("<trust-or-any>", words);
            let replaced =
                WORDS.iter().fold(document, |text, (word, means)| text.replace(word, means));
            (*policy_type, replaced)
        })
    }
}

fn cases() -> Vec<Case> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/policy_documents");
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|it| it.unwrap().path()).collect();
    files.sort();
    let mut cases = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        for case in text.split("=== ").skip(1) {
            let (head, rest) = case.split_once('\n').unwrap();
            let (types, why) = head.split_once(": ").unwrap();
            let (document, expect) = rest.split_once("---\n").unwrap();
            let name = file.file_name().unwrap().display();
            let why = format!("{name}: {why}");
            let types = types.split(", ").map(policy_type).collect();
            cases.push(Case { why, types, document: document.into(), expect: expect.into() });
        }
    }
    cases
}

fn policy_type(name: &str) -> PolicyType {
    *PolicyType::ALL.iter().find(|it| it.as_str() == name).unwrap()
}

fn word(name: &str) -> &'static str {
    WORDS.iter().find(|(word, _)| *word == name).unwrap().1
}

fn findings(text: &str, policy_type: PolicyType) -> Vec<PolicyFinding> {
    match json::parse(text) {
        Ok(node) => document::check(&node, policy_type).findings,
        Err(finding) => vec![finding],
    }
}

#[track_caller]
fn accepted(text: &str, policy_type: PolicyType) -> Document {
    let checked = document::check(&json::parse(text).unwrap(), policy_type);
    checked.document.unwrap_or_else(|| panic!("{}", told(text, &checked.findings)))
}

fn told(text: &str, findings: &[PolicyFinding]) -> String {
    let lines = Lines::new(text);
    let line = |finding: &PolicyFinding| {
        let (line, column) = lines.place(finding.offset);
        format!("{} {line}:{column}: {finding}\n", finding.severity.as_str())
    };
    findings.iter().map(line).collect()
}

const WORDS: [(&str, &str); 6] = [
    ("<identity>", r#""Effect": "Allow", "Action": "s3:GetObject", "Resource": "*""#),
    ("<trust>", r#""Effect": "Allow", "Principal": "*", "Action": "sts:AssumeRole""#),
    ("<allow>", r#""Effect": "Allow""#),
    ("<action>", r#""Action": "s3:GetObject""#),
    ("<all>", r#""Resource": "*""#),
    ("<principal>", r#""Principal": "*""#),
];
