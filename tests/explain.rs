//! `crossgate explain` as a program: each step, the result, the exit code.

#![expect(clippy::unwrap_used, reason = "a failed test panics")]

mod support;

use std::fs;
use std::process::{Command, Output};

use serde_json::{Value, json};
use support::identities::{self, OWNER};
use support::keys::{Key, key_set};
use tempfile::TempDir;

const ISSUER: &str = "https://iam.example.com/identity";
const FRIEND: &str = "f71446b6474d45bf81196da45de13940";
const STRANGER: &str = "222222222222";

const CONFIG: &str = r#"
listeners: [{ address: 127.0.0.1:8080 }]
issuers:
  - issuer: https://iam.example.com/identity
    audiences: []
    algorithms: [ES256]
    jwks: { file: keys.json }
    claims: ibm
routes:
  - path: /v1/accounts/{account}/orders/{*order}
    methods: [GET]
    action: orders:GetOrder
    resource: "arn:aws:orders::{account}:order/{order}"
    owner: "{account}"
    upstream: orders
  - { path: /healthz, public: true, upstream: orders }
upstreams: { orders: { endpoints: [http://127.0.0.1:9000] } }
settings: { file: settings.yaml }
"#;

const SETTINGS: &str = r#"
default: { mode: report-only, allowlist: [] }
accounts:
  "59bcbfa6ea2f006b4ed7094c1a08dcdd":
    mode: limited
    allowlist: ["f71446b6474d45bf81196da45de13940"]
    candidate: { mode: limited, allowlist: [] }
"#;

struct Place {
    directory: TempDir,
    key: Key,
}

impl Place {
    fn new() -> Self {
        let place = Self { directory: tempfile::tempdir().unwrap(), key: Key::es256("k") };
        place.write("crossgate.yaml", CONFIG);
        place.write("settings.yaml", SETTINGS);
        place.write("keys.json", &key_set([&place.key]).to_string());
        place
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.directory.path().join(name), text).unwrap();
    }

    fn user(&self, account: &str) -> String {
        self.key.token(&identities::user(ISSUER, Some(account)))
    }

    fn explain(&self, args: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_crossgate"))
            .current_dir(self.directory.path())
            .arg("explain")
            .args(args)
            .output()
            .unwrap()
    }

    /// The exit code and the text of a request for an order.
    #[track_caller]
    fn text(&self, token: &str, path: &str) -> (Option<i32>, String) {
        let output = self.explain(&["--token", token, "--method", "GET", "--path", path]);
        assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(!text.contains(token) && !text.contains('\u{1b}'), "{text}");
        (output.status.code(), text)
    }

    #[track_caller]
    fn json(&self, args: &[&str]) -> (Option<i32>, Value) {
        let output = self.explain(&[&["--format", "json"], args].concat());
        assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
        (output.status.code(), serde_json::from_slice(&output.stdout).unwrap())
    }
}

const ORDER: &str = "/v1/accounts/59bcbfa6ea2f006b4ed7094c1a08dcdd/orders/1";
const OTHER_ORDER: &str = "/v1/accounts/333333333333/orders/1";

#[test]
fn a_stranger_is_told_which_setting_shuts_it_out() {
    let place = Place::new();
    let (code, text) = place.text(&place.user(STRANGER), ORDER);
    assert_eq!(code, Some(1));
    insta::assert_snapshot!(text, @r#"
    route      GET /v1/accounts/{account}/orders/{*order} to upstream orders
    token      good, from https://iam.example.com/identity
    identity   arn:aws:iam::222222222222:user/IBMid-550009FB7N (user, account 222222222222)
    question   orders:GetOrder on arn:aws:orders::59bcbfa6ea2f006b4ed7094c1a08dcdd:order/1 of account 59bcbfa6ea2f006b4ed7094c1a08dcdd
    perimeter  deny (account_not_allowed)
               settings.yaml:4:3: mode limited for user of account 59bcbfa6ea2f006b4ed7094c1a08dcdd; also admitted: f71446b6474d45bf81196da45de13940
    candidate  deny (account_not_allowed), not enforced
               settings.yaml:4:3: mode limited for user of account 59bcbfa6ea2f006b4ed7094c1a08dcdd; also admitted: nobody
    result     403 external_account_denied
    "#);
}

#[test]
fn who_is_admitted_is_told_why_and_what_is_proposed() {
    let place = Place::new();
    let (code, text) = place.text(&place.user(FRIEND), ORDER);
    assert_eq!(code, Some(0));
    insta::assert_snapshot!(text, @r#"
    route      GET /v1/accounts/{account}/orders/{*order} to upstream orders
    token      good, from https://iam.example.com/identity
    identity   arn:aws:iam::f71446b6474d45bf81196da45de13940:user/IBMid-550009FB7N (user, account f71446b6474d45bf81196da45de13940)
    question   orders:GetOrder on arn:aws:orders::59bcbfa6ea2f006b4ed7094c1a08dcdd:order/1 of account 59bcbfa6ea2f006b4ed7094c1a08dcdd
    perimeter  permit (account_allowlisted)
               settings.yaml:4:3: mode limited for user of account 59bcbfa6ea2f006b4ed7094c1a08dcdd; also admitted: f71446b6474d45bf81196da45de13940
    candidate  deny (account_not_allowed), not enforced
               settings.yaml:4:3: mode limited for user of account 59bcbfa6ea2f006b4ed7094c1a08dcdd; also admitted: nobody
    result     forwarded
    "#);
    let (code, text) = place.text(&place.user(OWNER), ORDER);
    assert_eq!(code, Some(0));
    assert!(text.contains("perimeter  not asked: the caller is of the owner's own account"));
}

#[test]
fn what_is_only_reported_is_permitted() {
    let place = Place::new();
    let (code, text) = place.text(&place.user(STRANGER), OTHER_ORDER);
    assert_eq!(code, Some(0));
    assert!(text.contains("deny (account_not_allowed), not enforced"), "{text}");
    assert!(text.contains("the default of settings.yaml"), "{text}");
}

#[test]
fn a_request_is_refused_where_the_proxy_refuses_it() {
    #[track_caller]
    fn check(place: &Place, args: &[&str], status: u16, outcome: &str) {
        let (code, report) = place.json(args);
        assert_eq!(code, Some(1));
        let result = &report["result"];
        assert_eq!(result["permitted"], json!(false));
        assert_eq!((&result["status"], &result["code"]), (&json!(status), &json!(outcome)));
    }
    let place = Place::new();
    let token = place.user(FRIEND);
    check(&place, &["--path", ORDER], 401, "unauthenticated");
    check(&place, &["--token", "x.y.z", "--path", ORDER], 401, "unauthenticated");
    check(
        &place,
        &["--token", &token, "--path", ORDER, "--at", "9999999999"],
        401,
        "unauthenticated",
    );
    check(&place, &["--token", &token, "--path", "/none"], 404, "no_route");
    check(&place, &["--token", &token, "--path", ORDER, "--method", "PUT"], 404, "no_route");
    let twice = "/v1/accounts/a/orders/%2e%2e/x";
    check(&place, &["--token", &token, "--path", twice], 400, "bad_request");
    let colon = "/v1/accounts/a:b/orders/1";
    check(&place, &["--token", &token, "--path", colon], 400, "bad_request");
}

#[test]
fn a_public_route_needs_no_token() {
    let place = Place::new();
    let (code, report) = place.json(&["--path", "/healthz?x=1"]);
    assert_eq!(code, Some(0));
    assert_eq!(
        report["result"],
        json!({ "permitted": true, "status": null, "code": "forwarded", "detail": null })
    );
    assert_eq!(report["route"]["public"], json!(true));
    assert_eq!(report["identity"], json!(null));
}

#[test]
fn json_has_every_step() {
    let place = Place::new();
    place.write("token", &format!("{}\n", place.user(STRANGER)));
    let (code, report) =
        place.json(&["--token-file", "token", "--path", ORDER, "--header", "user-agent: curl"]);
    assert_eq!(code, Some(1));
    assert_eq!(report["question"]["action"], json!("orders:GetOrder"));
    assert_eq!(report["question"]["owner"], json!(OWNER));
    assert_eq!(report["identity"]["account"], json!(STRANGER));
    let enforced = &report["perimeter"]["enforced"];
    assert_eq!(enforced["reason"], json!("account_not_allowed"));
    assert_eq!(enforced["is_enforced"], json!(true));
    assert_eq!(enforced["allowlist"], json!([FRIEND]));
    assert_eq!(enforced["source"], json!("settings.yaml:4:3"));
    assert_eq!(report["perimeter"]["candidate"]["is_enforced"], json!(false));
    assert_eq!(report["policy"], json!(null));
    assert_eq!(report["result"]["code"], json!("external_account_denied"));
}

#[test]
fn what_could_not_be_decided_ends_with_2() {
    #[track_caller]
    fn check(place: &Place, args: &[&str], part: &str) {
        let output = place.explain(args);
        assert_eq!(output.status.code(), Some(2));
        let errors = String::from_utf8(output.stderr).unwrap();
        assert!(errors.contains(part) && output.stdout.is_empty(), "{errors}");
    }
    let place = Place::new();
    let token = place.user(FRIEND);
    let with = |args: &[&'static str]| [&["--path", ORDER], args].concat();
    check(&place, &with(&["--config", "none.yaml"]), "none.yaml");
    check(&place, &with(&["--token-file", "none"]), "`none`");
    check(&place, &with(&["--header", "authorization: Bearer x"]), "`--token`");
    for header in ["Authorization: Bearer s3cr3t", "Bearer s3cr3t", "s3cr3t Bearer: a"] {
        check(&place, &with(&["--header", "a: b", "--header", header]), "`--header` number 2: ");
        let output = place.explain(&with(&["--header", header]));
        assert!(!String::from_utf8(output.stderr).unwrap().contains("s3cr3t"));
    }
    check(&place, &with(&["--header", "no colon"]), "`Name: value`");
    check(&place, &with(&["--source-ip", "here"]), "--source-ip");
    check(&place, &[], "--path");
    let ask = ["--path", ORDER, "--token", &token];
    place.write("settings.yaml", "accounts: [");
    check(&place, &ask, "settings.yaml");
    place.write("settings.yaml", SETTINGS);
    fs::remove_file(place.directory.path().join("keys.json")).unwrap();
    check(&place, &ask, "keys");
}

/// A user that may read orders, of which a guardrail keeps some.
fn with_policies(place: &Place) {
    place.write(
        "crossgate.yaml",
        &format!("{CONFIG}policies: {{ directory: policies, mode: limited }}\n"),
    );
    let user = format!("arn:aws:iam::{OWNER}:user/{}", identities::USER_ID);
    let orders = json!({ "Version": "2012-10-17", "Statement": [
        { "Sid": "Write", "Effect": "Allow", "Action": "orders:PutOrder", "Resource": "*" },
        { "Sid": "Read", "Effect": "Allow", "Action": "orders:GetOrder",
            "Resource": format!("arn:aws:orders::{OWNER}:order/1") },
    ] });
    let details = json!({ "UserDetailList": [{ "UserName": identities::USER_ID, "UserId": "AIDA1",
            "Arn": user, "Path": "/", "GroupList": [], "AttachedManagedPolicies": [],
            "UserPolicyList": [{ "PolicyName": "orders", "PolicyDocument": orders }] }],
        "GroupDetailList": [], "RoleDetailList": [], "Policies": [] });
    let account = place.directory.path().join("policies/accounts").join(OWNER);
    fs::create_dir_all(&account).unwrap();
    let text = serde_json::to_string_pretty(&details).unwrap();
    fs::write(account.join("authorization-details.json"), text).unwrap();
}

#[test]
fn policies_are_told_side_by_side_with_the_places_of_their_statements() {
    let place = Place::new();
    with_policies(&place);
    let token = place.user(OWNER);
    let (code, allowed) = place.text(&token, ORDER);
    assert_eq!(code, Some(0), "{allowed}");
    insta::assert_snapshot!(allowed, @r#"
    route      GET /v1/accounts/{account}/orders/{*order} to upstream orders
    token      good, from https://iam.example.com/identity
    identity   arn:aws:iam::59bcbfa6ea2f006b4ed7094c1a08dcdd:user/IBMid-550009FB7N (user, account 59bcbfa6ea2f006b4ed7094c1a08dcdd)
    question   orders:GetOrder on arn:aws:orders::59bcbfa6ea2f006b4ed7094c1a08dcdd:order/1 of account 59bcbfa6ea2f006b4ed7094c1a08dcdd
    perimeter  not asked: the caller is of the owner's own account
    policy     allow (identity); mode limited, enforced
               identity policies of user/IBMid-550009FB7N: allow it
                 matched: Allow orders, statement 2 `Read` at policies/accounts/59bcbfa6ea2f006b4ed7094c1a08dcdd/authorization-details.json:23:15
    result     forwarded
    "#);
    let (code, denied) = place.text(&token, &ORDER.replace("orders/1", "orders/2"));
    assert_eq!(code, Some(1), "{denied}");
    insta::assert_snapshot!(denied, @r#"
    route      GET /v1/accounts/{account}/orders/{*order} to upstream orders
    token      good, from https://iam.example.com/identity
    identity   arn:aws:iam::59bcbfa6ea2f006b4ed7094c1a08dcdd:user/IBMid-550009FB7N (user, account 59bcbfa6ea2f006b4ed7094c1a08dcdd)
    question   orders:GetOrder on arn:aws:orders::59bcbfa6ea2f006b4ed7094c1a08dcdd:order/2 of account 59bcbfa6ea2f006b4ed7094c1a08dcdd
    perimeter  not asked: the caller is of the owner's own account
    policy     implicit deny (identity); mode limited, enforced
               identity policies of user/IBMid-550009FB7N: do not allow it
                 not matched: Allow orders, statement 1 `Write` at policies/accounts/59bcbfa6ea2f006b4ed7094c1a08dcdd/authorization-details.json:17:15: it is not about this action
                 not matched: Allow orders, statement 2 `Read` at policies/accounts/59bcbfa6ea2f006b4ed7094c1a08dcdd/authorization-details.json:23:15: it is not about this resource
               lacking: account 59bcbfa6ea2f006b4ed7094c1a08dcdd must allow orders:GetOrder on arn:aws:orders::59bcbfa6ea2f006b4ed7094c1a08dcdd:order/2 to arn:aws:iam::59bcbfa6ea2f006b4ed7094c1a08dcdd:user/IBMid-550009FB7N; no identity policy of user/IBMid-550009FB7N does
    result     403 policy_denied
    "#);

    let (_, report) = place.json(&["--token", &token, "--path", ORDER]);
    let enforced = &report["policy"]["enforced"];
    assert_eq!((&enforced["decision"], &enforced["layer"]), (&json!("allow"), &json!("identity")));
    assert_eq!(enforced["statements"][0]["sid"], json!("Read"));
    assert_eq!(enforced["steps"][0]["statements"][0]["matched"], json!(false));
}

/// The owner's users may read orders from one network and by TLS.
fn behind_a_proxy(place: &Place) {
    with_policies(place);
    let edge = "policies: { directory: policies, mode: limited }\n\
                trusted_proxies: [127.0.0.0/8]\n";
    place.write("crossgate.yaml", &format!("{CONFIG}{edge}"));
    let account = place.directory.path().join("policies/accounts").join(OWNER);
    let file = account.join("authorization-details.json");
    let mut details: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    let statement = "/UserDetailList/0/UserPolicyList/0/PolicyDocument/Statement/1";
    let statement = details.pointer_mut(statement).and_then(Value::as_object_mut).unwrap();
    let condition = json!({
        "IpAddress": { "aws:SourceIp": "203.0.113.0/24" },
        "Bool": { "aws:SecureTransport": "true" },
        "StringNotEquals": { "aws:UserAgent": "curl" },
    });
    statement.insert("Condition".to_owned(), condition);
    fs::write(&file, details.to_string()).unwrap();
}

#[test]
fn a_trusted_proxy_is_believed_as_the_proxy_believes_it() {
    let place = Place::new();
    behind_a_proxy(&place);
    let token = place.user(OWNER);
    let explain =
        |more: &[&str]| place.json(&[&["--token", &token, "--path", ORDER][..], more].concat());
    let address = ["--header", "x-forwarded-for: 203.0.113.9"];
    let protocol = ["--header", "X-Forwarded-Proto: https"];
    let (code, report) = explain(&[address, protocol].concat());
    assert_eq!(code, Some(0), "{report}");
    let client = json!({ "address": "203.0.113.9", "transport": "https", "proxy": "127.0.0.1" });
    assert_eq!(report["client"], client);
    assert_eq!(explain(&address).0, Some(1));
    assert_eq!(explain(&protocol).0, Some(1));
    let (code, report) = explain(&[&address[..], &protocol, &["--source-ip", "10.0.0.1"]].concat());
    assert_eq!(code, Some(1));
    let client = json!({ "address": "10.0.0.1", "transport": "http", "proxy": null });
    assert_eq!(report["client"], client);
    let agent = ["--header", "user-agent: curl"];
    assert_eq!(explain(&[address, protocol, agent].concat()).0, Some(1));
    // Of two agents the proxy believes none, so the condition has no value to compare.
    assert_eq!(explain(&[address, protocol, agent, agent].concat()).0, Some(0));
}

#[test]
fn a_head_that_the_proxy_refuses_is_refused() {
    let place = Place::new();
    let token = place.user(FRIEND);
    for headers in [
        &["--header", "host: a", "--header", "host: a"][..],
        &["--header", "host: a@b"],
        &["--header", "transfer-encoding: gzip"],
    ] {
        let args = [&["--token", &token, "--path", ORDER][..], headers].concat();
        let (code, report) = place.json(&args);
        assert_eq!(code, Some(1));
        assert_eq!(report["result"]["status"], json!(400), "{report}");
    }
}
