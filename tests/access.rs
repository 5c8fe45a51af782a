//! Goal: who reaches a resource is told with the statements, and nobody who does not.
//!
//! Method: `tests/cases/access/*.case` hold sets of policies and what is told of them. A case is
//! `=== why`, the resource and its owner (or `external`) on a line, the set, `---`, and the lines.
//! Of a reach a line is `who [by role] through: certainty actions @lines`, and `unless @lines`.

#![expect(clippy::unwrap_used, reason = "a failed test panics")]

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use clap::Parser as _;
use crossgate::cli::access::{self as cli, Outcome};
use crossgate::iam::{AccountId, Arn};
use crossgate::policy::StatementRef;
use crossgate::policy::access::{self, ExternalGrant, Reach};
use crossgate::policy::directory::{self, PoliciesConfig};
use crossgate::policy::lint::{self, AllowlistUse};
use crossgate::policy::set::UnknownCallers;
use crossgate::verdict::Mode;

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

#[test]
fn a_report_for_people_names_statements_places_and_conditions() {
    let (outcome, text) = report(&["--resource", "arn:aws:s3:::b/k"], SHARED);
    assert_eq!(outcome, Outcome::Told);
    let expect = "\
arn:aws:s3:::b/k of account 222222222222

service logs.amazonaws.com
  s3:putobject
    by resource policy `line 7`, statement 2, set.json:11:9

arn:aws:iam::111111111111:user/ana, from account 111111111111
  s3:getobject if conditions hold
    by resource policy `line 7`, `Share`, set.json:8:9, if StringEquals aws:principalorgid
    by identity policy `line 4`, statement 1, set.json:5:9

2 ways
";
    let mut paragraphs: Vec<&str> = text.split("\n\n").collect();
    let mut expected: Vec<&str> = expect.split("\n\n").collect();
    paragraphs.sort_unstable();
    expected.sort_unstable();
    assert_eq!(paragraphs, expected, "{text}");
}

#[test]
fn a_report_for_programs_has_the_same() {
    let (_, text) = report(&["--resource", "arn:aws:s3:::b/k", "--format", "json"], SHARED);
    let report: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&report["owner"], &report["known"]), (&"222222222222".into(), &true.into()));
    let ana = &report["reach"].as_array().unwrap().iter().find(|it| it["kind"] == "principal");
    let ana = ana.unwrap();
    assert_eq!(ana["who"], "arn:aws:iam::111111111111:user/ana");
    assert_eq!(
        (&ana["through"], &ana["account"]),
        (&"cross-account".into(), &"111111111111".into())
    );
    let grant = &ana["grants"][0];
    assert_eq!(
        (&grant["actions"][0], &grant["certainty"]),
        (&"s3:getobject".into(), &"conditional".into())
    );
    let share = &grant["statements"][0];
    assert_eq!((&share["sid"], &share["line"]), (&"Share".into(), &8.into()));
    assert_eq!(share["conditions"][0]["key"], "aws:principalorgid");
}

#[test]
fn values_of_conditions_are_never_shown() {
    for format in ["text", "json"] {
        for asked in [&["--external"][..], &["--resource", "arn:aws:s3:::b/k"]] {
            let (outcome, text) = report(&[asked, &["--format", format]].concat(), SHARED);
            assert_eq!(outcome, Outcome::Told);
            assert!(text.contains("aws:principalorgid"), "{text}");
            assert!(!text.contains("o-secret"), "{text}");
        }
    }
}

#[test]
fn a_resource_that_no_policy_names_is_told_as_unknown() {
    let owner = ["--owner", "222222222222"];
    let outcome = |arn| report(&[&["--resource", arn][..], &owner].concat(), SHARED).0;
    assert_eq!(outcome("arn:aws:s3:::other/k"), Outcome::Unknown);
    assert_eq!(outcome("arn:aws:s3:::b/k"), Outcome::Told);
    // An identity policy names it, though no account lists it.
    assert_eq!(outcome("arn:aws:s3:::b"), Outcome::Told);
}

#[test]
fn what_can_not_be_asked_is_an_error() {
    let error = |asked: &[&str]| {
        let args = Cli::try_parse_from([&["access"], asked].concat()).unwrap().args;
        cli::write(&args, &policy_set::read(SHARED), &mut Vec::new()).unwrap_err().to_string()
    };
    assert!(error(&["--resource", "b/k"]).starts_with("`b/k` is no ARN"));
    let error = error(&["--resource", "arn:aws:s3:::other/k"]);
    assert!(error.contains("does not tell its owner; hint: name it by `--owner`"), "{error}");
    for wrong in [&["access"][..], &["access", "--external", "--resource", "arn:aws:s3:::b/k"]] {
        assert!(Cli::try_parse_from(wrong).is_err(), "{wrong:?}");
    }
}

#[test]
fn the_shipped_policies_tell_their_partners() {
    let policies = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/policies");
    let config = PoliciesConfig {
        directory: policies,
        mode: Mode::Limited,
        unknown_callers: UnknownCallers::Deny,
    };
    let (sets, _) = directory::load(&config).unwrap();
    let order = Arn::parse("arn:aws:orders::111111111111:order/1").unwrap();
    let owner = AccountId::parse("111111111111").unwrap();
    assert!(access::is_known(&sets.enforced, order, owner));
    let reach = format!("{:?}", access::reach(&sets.enforced, order, owner));
    for reader in ["111111111111:user/ana", "111111111111:role/auditor", "222222222222:user/ben"] {
        assert!(reach.contains(reader), "{reader}");
    }
    let external = access::external(&sets.enforced);
    for partner in ["222222222222", "333333333333"] {
        assert!(external.iter().any(|it| it.account.as_deref() == Some(partner)), "{partner}");
    }
}

#[derive(Debug, clap::Parser)]
struct Cli {
    #[command(flatten)]
    args: cli::AccessArgs,
}

fn report(asked: &[&str], set: &str) -> (Outcome, String) {
    let args = Cli::try_parse_from([&["access"], asked].concat()).unwrap().args;
    let mut out = Vec::new();
    let outcome = cli::write(&args, &policy_set::read(set), &mut out).unwrap();
    (outcome, String::from_utf8(out).unwrap())
}

const SHARED: &str = r#"{ "accounts": {
  "111111111111": { "principals": [
    { "arn": "arn:aws:iam::111111111111:user/ana", "policies": [
      { "Version": "2012-10-17", "Statement": [
        { "Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::b*" } ] } ] } ] },
  "222222222222": { "resources": [ { "resource": "arn:aws:s3:::b/*", "policy":
      { "Version": "2012-10-17", "Statement": [
        { "Sid": "Share", "Effect": "Allow", "Action": "s3:GetObject", "Resource": "*",
          "Principal": { "AWS": "111111111111" },
          "Condition": { "StringEquals": { "aws:PrincipalOrgID": "o-secret" } } },
        { "Effect": "Allow", "Action": "s3:PutObject", "Resource": "*",
          "Principal": { "Service": "logs.amazonaws.com" } } ] } } ] } } }"#;
