//! Goal: who reaches a resource is told with the statements, and nobody who does not.
//!
//! Method: `tests/cases/access/*.case` hold sets of policies and what is told of them. A case is
//! `=== why`, the resource and its owner (or `external`) on a line, the set, `---`, and the lines.
//! Of a reach a line is `who [by role] through: certainty actions @lines`, and `unless @lines`.

#![expect(clippy::unwrap_used, reason = "a failed test panics")]

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use crossgate::iam::{AccountId, Arn};
use crossgate::policy::StatementRef;
use crossgate::policy::access::{self, ExternalGrant, Reach};
use crossgate::policy::lint::{self, AllowlistUse};

#[path = "support/policy_set.rs"]
mod policy_set;

#[test]
fn every_case_tells_exactly_who_reaches_what() {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/access");
    let (mut run, mut wrong) = (0, String::new());
    let mut files: Vec<_> = fs::read_dir(cases).unwrap().map(|it| it.unwrap().path()).collect();
    files.sort();
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        for case in text.split("=== ").skip(1) {
            let (why, rest) = case.split_once('\n').unwrap();
            let (asked, rest) = rest.split_once('\n').unwrap();
            let (set, expect) = rest.split_once("---\n").unwrap();
            let got = told(asked, set);
            run += 1;
            if got.trim() != expect.trim() {
                let file = file.file_name().unwrap().display();
                write!(wrong, "@@ {file}: {why}\n{got}").unwrap();
            }
        }
    }
    assert!(15 <= run, "only {run} cases");
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn an_allowlist_entry_is_used_if_a_policy_of_the_owner_names_it() {
    let set = policy_set::read(
        r#"{ "accounts": {
          "111111111111": { "resources": [ { "resource": "arn:aws:s3:::b/*", "policy":
            { "Version": "2012-10-17", "Statement": [ { "Effect": "Allow", "Action": "s3:GetObject",
              "Resource": "*", "Principal": { "AWS": "arn:aws:iam::222222222222:user/a" } } ] } } ] },
          "333333333333": { "resources": [ { "resource": "arn:aws:s3:::c/*", "policy":
            { "Version": "2012-10-17", "Statement": [ { "Effect": "Allow", "Action": "s3:GetObject",
              "Resource": "*", "Principal": "*" } ] } } ] } } }"#,
    );
    let check = |owner: &str, account: &str, expect| {
        let [owner, account] = [owner, account].map(|it| AccountId::parse(it).unwrap());
        assert_eq!(lint::allowlist_use(&set, owner, account), expect, "{owner} {account}");
    };
    check("111111111111", "222222222222", AllowlistUse::Used);
    check("111111111111", "333333333333", AllowlistUse::Unused);
    check("333333333333", "222222222222", AllowlistUse::Used);
    check("222222222222", "111111111111", AllowlistUse::Unknown);
}

fn told(asked: &str, text: &str) -> String {
    let set = policy_set::read(text);
    if asked == "external" {
        return access::external(&set).iter().map(external_line).collect();
    }
    let (resource, owner) = asked.split_once(' ').unwrap();
    let resource = Arn::parse(resource).unwrap();
    let owner = AccountId::parse(owner).unwrap();
    access::reach(&set, resource, owner).iter().map(reach_lines).collect()
}

fn reach_lines(reach: &Reach<'_>) -> String {
    let mut out = format!("{} {}", reach.who.kind(), reach.who.name());
    if let Some(role) = &reach.via {
        write!(out, " via {role}").unwrap();
    }
    writeln!(out, " through {} {}", reach.through.kind(), reach.through.account().unwrap_or("-"))
        .unwrap();
    for grant in &reach.grants {
        let (certainty, actions) = (grant.certainty.as_str(), grant.actions.join(" "));
        write!(out, "  {certainty} {actions} by {}", lines(&grant.statements)).unwrap();
        if !grant.unless.is_empty() {
            write!(out, " unless {}", lines(&grant.unless)).unwrap();
        }
        out.push('\n');
    }
    out
}

fn lines(statements: &[StatementRef<'_>]) -> String {
    let line = |it: &StatementRef<'_>| format!("{}:{}", it.layer.as_str(), it.statement.line);
    statements.iter().map(line).collect::<Vec<_>>().join(",")
}

fn external_line(grant: &ExternalGrant<'_>) -> String {
    let names = grant.conditions.iter().map(|it| format!(" {} {}", it.operator, it.key));
    format!(
        "{} {} {} {} organization={} set={} {} by {}{}\n",
        grant.owner,
        grant.resource,
        grant.who.kind(),
        grant.who.name(),
        grant.standing.organization.as_str(),
        grant.standing.set.as_str(),
        grant.actions.join(","),
        lines(&[grant.statement]),
        names.collect::<String>(),
    )
}
