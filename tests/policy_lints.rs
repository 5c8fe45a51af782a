//! Goal: each doubtful policy is told at its place, and its good twin is not.
//!
//! Method: `tests/cases/lints/*.case` hold documents and exactly what is found in them. A case is
//! `=== why`, the policy type and the own account on a line, the document, `---`, and the findings.
//! A case of type `set` has a set of policies, as `support/policy_set.rs` reads it.

#![expect(clippy::unwrap_used, reason = "a failed test panics")]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use crossgate::policy::lint::{self, Home};
use crossgate::policy::{PolicyType, document, json};

#[path = "support/policy_set.rs"]
mod policy_set;

#[test]
fn every_case_has_exactly_its_findings() {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/lints");
    let (mut run, mut wrong) = (0, String::new());
    let mut files: Vec<_> = fs::read_dir(cases).unwrap().map(|it| it.unwrap().path()).collect();
    files.sort();
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        for case in text.split("=== ").skip(1) {
            let (why, rest) = case.split_once('\n').unwrap();
            let (kind, rest) = rest.split_once('\n').unwrap();
            let (document, expect) = rest.split_once("---\n").unwrap();
            let got = findings(kind, document);
            run += 1;
            if got.trim() != expect.trim() {
                let file = file.file_name().unwrap().display();
                write!(wrong, "@@ {file}: {why}\n{got}").unwrap();
            }
        }
    }
    assert!(60 <= run, "only {run} cases");
    assert!(wrong.is_empty(), "{wrong}");
}

/// The findings of a document or set, one a line.
fn findings(kind: &str, text: &str) -> String {
    let (kind, own) = kind.split_once(' ').unwrap_or((kind, ""));
    if kind == "set" {
        return set_findings(text);
    }
    let policy_type = PolicyType::ALL.into_iter().find(|it| it.as_str() == kind).unwrap();
    let home = Home { account: Some(own).filter(|it| !it.is_empty()), organization: None };
    let checked = document::check(&json::parse(text).unwrap(), policy_type);
    assert!(checked.document.is_some(), "{:?}\n{text}", checked.findings);
    let mut out = String::new();
    for finding in lint::document(&checked.document.unwrap(), home) {
        let (line, column) = json::place(text, finding.offset);
        writeln!(out, "{line}:{column}: {finding}").unwrap();
    }
    out
}

fn set_findings(text: &str) -> String {
    let mut out = String::new();
    for finding in lint::set(&policy_set::read(text)) {
        let (line, column) = (finding.line, finding.column);
        writeln!(out, "{line}:{column}: {finding}").unwrap();
    }
    out
}

#[test]
fn no_finding_repeats_an_external_id() {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/lints/external_ids.case");
    let text = fs::read_to_string(cases).unwrap();
    let (mut ids, mut told) = (BTreeSet::new(), String::new());
    for case in text.split("=== ").skip(1) {
        let (_, rest) = case.split_once('\n').unwrap();
        let (document, findings) = rest.split_once("---\n").unwrap();
        for condition in document.split("ExternalId\":").skip(1) {
            let values = condition.split('}').next().unwrap();
            ids.extend(values.split('"').skip(1).step_by(2));
        }
        told.push_str(findings);
    }
    assert!(10 <= ids.len(), "{ids:?}");
    for id in ids {
        assert!(!told.contains(id), "{id}");
    }
}

#[test]
fn check_tells_what_is_doubtful_together_and_with_the_settings() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    let write = |name: &str, text: &str| {
        let file = root.join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    };
    write(
        "policies/accounts/222222222222/resources/b.json",
        r#"{ "resource": "arn:aws:s3:::b/*", "key": "arn:aws:kms:eu:222222222222:key/k",
  "policy": { "Version": "2012-10-17", "Statement": [
    { "Effect": "Allow", "Principal": { "AWS": "111111111111" },
      "Action": "s3:GetObject", "Resource": "*" } ] } }"#,
    );
    write(
        "settings.yaml",
        "accounts:\n  \"222222222222\":\n    mode: limited\n    allowlist: [\"111111111111\", \
         \"333333333333\"]\n  \"444444444444\": { mode: limited, allowlist: [\"111111111111\"] }\n",
    );
    let keys = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/sample-keys.json");
    fs::copy(keys, root.join("jwks.json")).unwrap();
    write(
        "crossgate.yaml",
        "listeners: [{ address: \"127.0.0.1:8080\" }]\nissuers: [{ issuer: \"https://a\", \
         audiences: [b], algorithms: [ES256], jwks: { file: jwks.json }, claims: { account: /a, \
         principal: /b } }]\nupstreams: { u: { endpoints: [\"http://127.0.0.1:9\"] } }\nroutes: [{ \
         path: /a, methods: [GET], public: true, upstream: u }]\nsettings: { file: settings.yaml \
         }\nevents: { directory: events }\npolicies: { directory: policies, mode: limited }\n",
    );
    let config = crossgate::config::load(&root.join("crossgate.yaml")).unwrap();
    let found = crossgate::config::policies::check(&config);
    let found: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert_eq!(found.len(), 2, "{found:#?}");
    let key = "b.json:1:1: the key `arn:aws:kms:eu:222222222222:key/k` has no policy here";
    assert!(found[0].contains(key), "{found:#?}");
    let account = "settings.yaml:4:33: no policy of account `222222222222` lets account \
                   `333333333333` in";
    assert!(found[1].contains(account), "{found:#?}");
}

#[test]
fn check_tells_of_roles_to_watch_that_the_policies_do_not_have() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    let accounts = root.join("policies/accounts/222222222222");
    fs::create_dir_all(&accounts).unwrap();
    let details = r#"{ "UserDetailList": [], "GroupDetailList": [], "Policies": [], "RoleDetailList": [
  { "Path": "/ops/", "RoleName": "rescue", "RoleId": "AROA1", "Arn": "arn:aws:iam::222222222222:role/ops/rescue",
    "AssumeRolePolicyDocument": { "Version": "2012-10-17", "Statement": [
      { "Effect": "Allow", "Action": "sts:AssumeRole",
        "Principal": { "AWS": "222222222222" }, "Condition": { "Bool": { "aws:MultiFactorAuthPresent": "true" } } } ] } } ] }"#;
    fs::write(accounts.join("authorization-details.json"), details).unwrap();
    let keys = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/sample-keys.json");
    fs::copy(keys, root.join("jwks.json")).unwrap();
    let config = "listeners: [{ address: \"127.0.0.1:8080\" }]\nissuers: [{ issuer: \"https://a\", \
         audiences: [b], algorithms: [ES256], jwks: { file: jwks.json }, claims: { account: /a, \
         principal: /b } }]\nupstreams: { u: { endpoints: [\"http://127.0.0.1:9\"] } }\nroutes: [{ \
         path: /a, methods: [GET], public: true, upstream: u }]\nevents: { directory: events \
         }\npolicies: { directory: policies, mode: limited }\n";
    let found = |roles: &str| {
        let sts = format!(
            "sts:\n  address: \"127.0.0.1:9902\"\n  issuer: https://sts\n  \
             audiences: [b]\n  watch:\n    break_glass: [{roles}]\n"
        );
        fs::write(root.join("crossgate.yaml"), format!("{config}{sts}")).unwrap();
        let config = crossgate::config::load(&root.join("crossgate.yaml")).unwrap();
        let found = crossgate::config::policies::check(&config);
        found.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let good = "\"arn:aws:iam::222222222222:role/ops/rescue\"";
    assert_eq!(found(good), Vec::<String>::new());
    let bad = "\"arn:aws:iam::222222222222:role/rescue\", \"arn:aws:iam::333333333333:role/gone\"";
    let told = found(&format!("{good}, {bad}"));
    assert_eq!(told.len(), 2, "{told:#?}");
    let path = ": the policies have no role \
                `arn:aws:iam::222222222222:role/rescue`: its use can never be told";
    assert!(told[0].contains(path) && told[0].contains("crossgate.yaml:12:"), "{told:#?}");
    assert!(
        told[0].contains("did you mean `arn:aws:iam::222222222222:role/ops/rescue`?"),
        "{told:#?}"
    );
    assert!(told[1].contains("no role `arn:aws:iam::333333333333:role/gone`"), "{told:#?}");
}
