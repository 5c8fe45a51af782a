//! Goal: `crossgate check` tells each known trap of a policy directory at its place, and nothing of
//! the directory in which each of them is mended.
//!
//! Method: every trap is a place in a file with two texts, and the rest is the same.

#![expect(clippy::unwrap_used, reason = "a failed test panics")]

use std::fs;
use std::path::Path;
use std::process::Command;

/// A file's path; lines of it, where `<<bad||good>>` is a trap.
type File = (&'static str, &'static str);

const FILES: &[File] = &[
    ("crossgate.yaml", CROSSGATE),
    ("settings.yaml", SETTINGS),
    ("policies/organization.yaml", ORGANIZATION),
    ("policies/organization/full-access.json", FULL_ACCESS),
    ("policies/organization/orders.json", SCP),
    ("policies/accounts/111111111111/authorization-details.json", OWNER),
    ("policies/accounts/111111111111/resources/orders.json", ORDERS),
    ("policies/accounts/111111111111/resources/invoices.json", INVOICES),
    ("policies/accounts/111111111111/resources/prices.json", PRICES),
    ("policies/accounts/111111111111/keys/orders.json", KEY),
    ("policies/accounts/222222222222/authorization-details.json", PARTNER),
];

const CROSSGATE: &str = r#"listeners: [{ address: "127.0.0.1:1" }]
issuers: [{ issuer: "https://a", audiences: [b], jwks: { file: keys.json } }]
upstreams: { u: { endpoints: ["http://127.0.0.1:9"] } }
routes: [{ path: /r, public: true, upstream: u }]
settings: { file: settings.yaml }
policies: { directory: policies, mode: limited }
"#;

const SETTINGS: &str = r#"accounts:
  "111111111111": { mode: report-only, allowlist: ["222222222222"] }
  "222222222222": { mode: report-only, allowlist: [<<"111111111111"||>>] }
"#;

const ORGANIZATION: &str = r#"id: o-example
root:
  scps: [full-access.json]
  ous:
    - name: shops
      scps: [<<||full-access.json, >>orders.json]
      accounts: ["111111111111", "222222222222"]
"#;

const FULL_ACCESS: &str =
    r#"{ "Statement": { "Effect": "Allow", "Action": "*", "Resource": "*" } }"#;

const SCP: &str = r#"{ "Version": "2012-10-17", "Statement": {
  "Effect": "<<Allow||Deny>>", "Action": "orders:<<*||Delete*>>", "Resource": "*" } }
"#;

const OWNER: &str = r#"{ "UserDetailList": [
  { "Arn": "arn:aws:iam::111111111111:user/ana", "UserId": "AIDAANA", "UserPolicyList": [
    { "PolicyName": "p", "PolicyDocument": { "Version": "2012-10-17", "Statement": [
      { "Effect": "Deny", "Action": "orders:PayOrder", "Resource": "*",
        "Condition": { "StringNotEquals": { "aws:PrincipalTag/team": "till" }<<||,
                       "Null": { "aws:PrincipalTag/team": "false" }>> } },
      { "Effect": "Allow", "Action": "orders:TagOrder", "Resource": "*",
        "Condition": { "ForAllValues:StringEquals": { "aws:TagKeys": ["a", "b"] }<<||,
                       "Null": { "aws:TagKeys": "false" }>> } },
      { "Effect": "Allow", "Action": "stock:*", "Resource": "*" },
      { "Effect": "Allow", "Action": "<<stock||audit>>:Count", "Resource": "*" } ] } },
    { "PolicyName": "q", "PolicyDocument": { "Version": "2012-10-17", "Statement":
      { "Effect": "Allow", "<<NotAction||Action>>": "orders:DeleteOrder", "Resource": "*" } } } ] } ],
  "RoleDetailList": [
  { "Arn": "arn:aws:iam::111111111111:role/till", "AssumeRolePolicyDocument":
    { "Version": "2012-10-17", "Statement": { "Effect": "Allow", "Action": "sts:AssumeRole",
      "Principal": { "AWS": "arn:aws:iam::111111111111:<<root||user/ana>>" } } } },
  { "Arn": "arn:aws:iam::111111111111:role/auditor", "AssumeRolePolicyDocument":
    { "Version": "2012-10-17", "Statement": { "Effect": "Allow", "Action": "sts:AssumeRole",
      "Principal": { "AWS": "arn:aws:iam::333333333333:role/scanner" },
      "Condition": { "StringEquals": { "<<aws:PrincipalAccount||sts:ExternalId>>": "<<333333333333||K7QXM2RW-HT9E4ND3>>" } } } } }
] }
"#;

const ORDERS: &str = r#"{ "resource": "arn:aws:orders::111111111111:order/*",
  "key": "arn:aws:kms:eu:111111111111:key/k",
  "policy": { "Version": "2012-10-17", "Statement": [
    { "Effect": "Allow", "Principal": { "AWS": "222222222222" },
      "Action": "orders:GetOrder", "Resource": "*" } ] } }
"#;

const INVOICES: &str = r#"{ "resource": "arn:aws:orders::111111111111:invoice/*",
  "policy": { "Version": "2012-10-17", "Statement": [
    { "Effect": "<<Allow||Deny>>", "NotPrincipal": { "AWS": "222222222222" },
      "Action": "orders:GetInvoice", "Resource": "*" }<<||,
    { "Effect": "Allow", "Principal": { "AWS": "222222222222" },
      "Action": "orders:GetInvoice", "Resource": "*" }>> ] } }
"#;

const PRICES: &str = r#"{ "resource": "arn:aws:orders::111111111111:price/*",
  "policy": { "Version": "2012-10-17", "Statement": [
    { "Effect": "Allow", "Principal": "*",
      "Action": "orders:GetPrice", "Resource": "*"<<||,
      "Condition": { "StringEquals": { "aws:PrincipalOrgID": "o-example" } }>> } ] } }
"#;

const KEY: &str = r#"{ "key": "arn:aws:kms:eu:111111111111:key/k",
  "policy": { "Version": "2012-10-17", "Statement": [
    { "Effect": "Allow", "Principal": { "AWS": ["111111111111"<<||, "222222222222">>] },
      "Action": "kms:*", "Resource": "*" } ] } }
"#;

const PARTNER: &str = r#"{ "UserDetailList": [
  { "Arn": "arn:aws:iam::222222222222:user/ben", "UserId": "AIDABEN", "UserPolicyList": [
    { "PolicyName": "p", "PolicyDocument": { "Version": "2012-10-17", "Statement": [
      { "Effect": "Allow", "Action": "orders:Get<<Invoice||*>>",
        "Resource": "arn:aws:orders::111111111111:<<invoice||*>>/*" },<<||
      { "Effect": "Allow", "Action": "kms:Decrypt",
        "Resource": "arn:aws:kms:eu:111111111111:key/k" },>>
      { "Effect": "Allow", "Action": "orders:PutPrice",
        "Resource": "arn:aws:orders::<<111111111111||222222222222>>:price/*" } ] } } ] } ] }
"#;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Twin {
    Bad,
    Good,
}

/// A text with one side of every trap.
fn twin(text: &str, twin: Twin) -> String {
    let mut parts = text.split("<<");
    let mut out = parts.next().unwrap().to_owned();
    for part in parts {
        let (trap, rest) = part.split_once(">>").unwrap();
        let (bad, good) = trap.split_once("||").unwrap();
        out.push_str(match twin {
            Twin::Bad => bad,
            Twin::Good => good,
        });
        out.push_str(rest);
    }
    out
}

/// The exit code, and all lines with a place, without the folder.
fn check(side: Twin, arguments: &[&str]) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in FILES {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, twin(text, side)).unwrap();
    }
    let keys = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/sample-keys.json");
    fs::copy(keys, folder.path().join("keys.json")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_crossgate"));
    command.arg("check").arg("--config").arg(folder.path().join("crossgate.yaml")).args(arguments);
    let output = command.output().unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    let told = told.replace(&format!("{}/", folder.path().display()), "");
    let placed = told.lines().filter(|line| !line.starts_with(' ') && !line.is_empty());
    (output.status.code(), placed.collect::<Vec<_>>().join("\n"))
}

#[test]
fn every_trap_is_told_at_its_place() {
    let (code, told) = check(Twin::Bad, &[]);
    insta::assert_snapshot!(told, @"
    policies/accounts/111111111111/authorization-details.json:5:24: warning: a request without `aws:PrincipalTag/team` is denied too: it meets `StringNotEquals`
    policies/accounts/111111111111/authorization-details.json:7:24: warning: `ForAllValues:StringEquals` holds for a request without `aws:TagKeys`, which is then allowed
    policies/accounts/111111111111/authorization-details.json:9:7: warning: this statement changes nothing: statement 3 covers it
    policies/accounts/111111111111/authorization-details.json:11:28: warning: `NotAction` with `Allow` grants every other action, those of new services too
    policies/accounts/111111111111/authorization-details.json:15:29: warning: the role trusts all of account `111111111111`: who may assume it is decided there
    policies/accounts/111111111111/authorization-details.json:18:29: warning: account `333333333333` is a third party, and no external ID is asked for
    policies/accounts/111111111111/resources/invoices.json:3:26: warning: `NotPrincipal` with `Allow` lets in everybody who is not listed, without credentials too
    policies/accounts/111111111111/resources/prices.json:3:39: warning: `*` lets everybody in: no condition limits the caller
    policies/organization/orders.json:2:22: warning: an SCP grants nothing: this `Allow` refuses all that its level does not list
    policies/accounts/111111111111/resources/orders.json:4:5: warning: account `222222222222` is let in, and no identity policy there allows any of it on `arn:aws:orders::111111111111:order/*`
    policies/accounts/111111111111/resources/orders.json:4:5: warning: account `222222222222` is let in, and the key `arn:aws:kms:eu:111111111111:key/k` that this is encrypted with does not let it in
    policies/accounts/222222222222/authorization-details.json:6:7: warning: `arn:aws:orders::111111111111:price/*` is of account `111111111111` and does not let `arn:aws:iam::222222222222:user/ben` in for any of it
    settings.yaml:3:52: warning: no policy of account `222222222222` lets account `111111111111` in
    ok: crossgate.yaml, 13 warnings
    ");
    assert_eq!(code, Some(0));
    assert_eq!(check(Twin::Bad, &["--strict"]).0, Some(1));
}

#[test]
fn where_every_trap_is_mended_nothing_is_told() {
    let (code, told) = check(Twin::Good, &["--strict"]);
    assert_eq!((code, &*told), (Some(0), "ok: crossgate.yaml"));
}
