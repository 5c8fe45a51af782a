//! The commands that answer from the event log, on what a running proxy recorded: readiness, replay,
//! promotion.

#![expect(clippy::unwrap_used, reason = "a failed test panics")]

mod support;

use std::fs;
use std::process::{Command, Output};
use std::time::Duration;

use serde_json::{Value, json};
use support::gate::{Gate, World};
use support::identities::{OWNER, PARTNER, STRANGER, USER_ID};
use support::policies::Policies;
use support::poll_until;

/// What a command says and how it ends.
struct Said {
    status: i32,
    out: String,
    errors: String,
}

/// Runs a command of crossgate on a gate's files.
fn crossgate(gate: &Gate, arguments: &[&str]) -> Said {
    let output: Output = Command::new(env!("CARGO_BIN_EXE_crossgate"))
        .args(arguments)
        .current_dir(gate.path(""))
        .env_remove("CLICOLOR_FORCE")
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Said {
        status: output.status.code().unwrap(),
        out: text(output.stdout),
        errors: text(output.stderr),
    }
}

#[track_caller]
fn answers(gate: &Gate, arguments: &[&str], status: i32) -> String {
    let said = crossgate(gate, arguments);
    assert_eq!(said.status, status, "{arguments:?}\n{}\n{}", said.out, said.errors);
    said.out
}

#[track_caller]
fn json_answer(gate: &Gate, arguments: &[&str], status: i32) -> Value {
    let out = answers(gate, &[arguments, &["--format", "json"]].concat(), status);
    serde_json::from_str(&out).unwrap()
}

/// Settings of the owner, in force and proposed.
fn settings(in_force: &str, candidate: &str) -> String {
    let candidate = match candidate {
        "" => String::new(),
        candidate => format!("    candidate: {candidate} # try\n"),
    };
    format!(
        "# head\naccounts:\n  \"{OWNER}\":\n    mode: {in_force}\n    allowlist: [\"{PARTNER}\"]\n\
         {candidate}"
    )
}

/// A gate after one request of the partner and two of a stranger, whose events can be read.
fn world(settings: String, events: usize) -> World {
    let world = World::start(|config| config.settings(settings));
    for account in [PARTNER, STRANGER, STRANGER] {
        assert_eq!(world.get(&world.user(account)).status, 200);
    }
    recorded(&world.gate, events);
    world
}

#[track_caller]
fn recorded(gate: &Gate, events: usize) {
    let what = "events in the log";
    poll_until(what, Duration::from_secs(20), || events <= gate.events().len());
}

const READINESS: [&str; 5] = ["report", "readiness", "--account", OWNER, "--config"];

#[test]
fn readiness_tells_who_would_be_denied_and_what_nobody_knows() {
    let world = world(settings("report-only", ""), 3);
    let arguments = [&READINESS[..], &["crossgate.yaml"]].concat();
    let report = json_answer(&world.gate, &arguments, 1);
    assert_eq!(report["ready"], json!(false));
    let denied = &report["wouldDeny"][0];
    assert_eq!((&denied["account"], &denied["requests"]), (&json!(STRANGER), &json!(2)));
    assert_eq!(denied["identities"][0]["id"], json!(USER_ID));
    assert_eq!(denied["identities"][0]["resources"][0]["requests"], json!(2));
    assert_eq!(report["permits"][0]["account"], json!(PARTNER));
    assert_eq!(report["allowlist"]["entries"], json!(1));
    assert_eq!(report["allowlist"]["admittedNobody"], json!([]));
    // Thirty days are asked for, and the log is seconds old.
    let coverage = &report["coverage"];
    assert_eq!(coverage["notCovered"][0]["reason"], json!("before_log"));
    assert!(coverage["observedSeconds"].as_u64().unwrap() < 60, "{coverage}");
    assert_eq!(coverage["days"]["quiet"], json!(0));
    assert_eq!(coverage["lostEvents"], json!(0));
    let text = answers(&world.gate, &arguments, 1);
    assert!(text.contains("before the log's first event"), "{text}");
    let page = answers(&world.gate, &[&arguments[..], &["--format", "html"]].concat(), 1);
    assert!(page.starts_with("<!doctype html>") && page.contains(STRANGER));
    // Before it ran, nothing was observed.
    let before = [&arguments[..], &["--until", "1h"]].concat();
    assert_eq!(json_answer(&world.gate, &before, 1)["observed"], Value::Null);
}

#[test]
fn an_addition_by_the_api_is_validated_by_the_permits_since() {
    let world = world(settings("report-only", ""), 3);
    let admin = format!("http://{}", world.gate.admin);
    let path = format!("{admin}/v1/accounts/{OWNER}/settings/access_management");
    let body = json!({"external_account_identity_interaction": {"identity_types": {"user": {
        "state": "monitor", "external_allowed_accounts": [PARTNER, STRANGER]}}}});
    let patched = Command::new("curl")
        .args([
            "--silent",
            "--fail",
            "--output",
            "/dev/null",
            "-X",
            "PATCH",
            "-H",
            "If-Match: *",
            "-H",
        ])
        .args(["content-type: application/json", "-d", &body.to_string(), &path])
        .status();
    assert!(patched.unwrap().success());
    assert_eq!(world.get(&world.user(STRANGER)).status, 200);
    recorded(&world.gate, 5);
    let arguments = [&READINESS[..], &["crossgate.yaml"]].concat();
    let report = json_answer(&world.gate, &arguments, 0);
    let added = &report["added"][0];
    assert_eq!(added["account"], json!(STRANGER));
    assert_eq!((&added["by"], &added["permits"]), (&json!("update"), &json!(1)));
    assert_eq!(added["denialsBefore"], json!(2));
    assert_eq!(report["wouldDeny"][0]["suggestion"], json!("leave"));
}

#[test]
fn replay_tells_what_a_setting_that_never_ran_would_change() {
    let world = world(settings("report-only", ""), 3);
    let gate = &world.gate;
    let proposed = gate.path("proposed.yaml");
    let replay = ["replay", "--events", "events", "--settings", "proposed.yaml"];
    fs::write(&proposed, settings("limited", "")).unwrap();
    let report = json_answer(gate, &replay, 1);
    assert_eq!(report["requests"], json!(3));
    assert_eq!(report["newlyDenied"]["requests"], json!(2));
    assert_eq!(report["newlyDenied"]["accounts"][0]["account"], json!(STRANGER));
    assert_eq!(report["unchanged"], json!({"permitted": 1, "denied": 0}));
    let admitting = settings("limited", "").replace(PARTNER, &format!("{PARTNER}\", \"{STRANGER}"));
    fs::write(&proposed, admitting).unwrap();
    let text = answers(gate, &replay, 0);
    assert!(text.contains("3 unchanged: 3 permitted, 0 denied"), "{text}");
    // Nothing recorded proves nothing, and wrong settings are none.
    let said = crossgate(gate, &[&replay[..], &["--until", "1h"]].concat());
    assert_eq!(said.status, 2);
    assert!(said.errors.contains("no recorded request"), "{}", said.errors);
    fs::write(&proposed, "accounts: [").unwrap();
    assert_eq!(crossgate(gate, &replay).status, 2);
    assert_eq!(crossgate(gate, &["replay", "--events", "events"]).status, 2);
}

#[test]
fn replay_asks_policies_that_never_ran() {
    let order = format!("arn:aws:orders::{OWNER}:order/*");
    let policies = |statements: &[Value]| {
        let more = json!({"policy": support::policies::document(statements)});
        Policies::new().resource(OWNER, "orders", &order, &more)
    };
    let allow = json!({"Effect": "Allow", "Principal": {"AWS": OWNER}, "Action": "orders:*",
        "Resource": "*"});
    let deny = json!({"Sid": "NoPlain", "Effect": "Deny", "Principal": "*", "Action": "*",
        "Resource": "*", "Condition": {"Bool": {"aws:SecureTransport": "false"}}});
    let options = "mode: report-only, unknown_callers: resource_policy_decides";
    let world = World::start(|config| policies(std::slice::from_ref(&allow)).of(config, options));
    assert_eq!(world.get(&world.user(OWNER)).status, 200);
    recorded(&world.gate, 1);
    let gate = &world.gate;
    // Without the configuration, callers whose account is not described are denied. As configured,
    // the policies deny nothing when they are enforced; with a denial of plain requests they do.
    let replay = ["replay", "--events", "events", "--policies", "policies"];
    answers(gate, &replay, 1);
    let event = &gate.events()[0];
    assert_eq!(event["requestData"]["context"]["keys"][0]["key"], json!("aws:SecureTransport"));
    let config = fs::read_to_string(gate.path("crossgate.yaml")).unwrap();
    fs::write(gate.path("limited.yaml"), config.replace("mode: report-only", "mode: limited"))
        .unwrap();
    let replay = [&replay[..], &["--config", "limited.yaml"]].concat();
    let report = json_answer(gate, &replay, 0);
    assert_eq!(report["unchanged"]["permitted"], json!(1));
    let file = gate.path(&format!("policies/accounts/{OWNER}/resources/orders.json"));
    let more = json!({"resource": order, "policy": support::policies::document(&[allow, deny])});
    fs::write(file, more.to_string()).unwrap();
    let report = json_answer(gate, &replay, 1);
    let resource = &report["newlyDenied"]["accounts"][0]["identities"][0]["resources"][0];
    assert_eq!(resource["reason"], json!("policy_explicit_deny"));
    assert!(resource["detail"].as_str().unwrap().contains("NoPlain"), "{resource}");
}

#[test]
fn a_candidate_is_promoted_only_when_nobody_would_be_denied() {
    let candidate = |admitted: &str| format!("{{ mode: limited, allowlist: [{admitted}] }}");
    let both = format!("\"{PARTNER}\", \"{STRANGER}\"");
    let partner = format!("\"{PARTNER}\"");
    let world = world(settings("report-only", &candidate(&partner)), 6);
    let gate = &world.gate;
    let promote = ["settings", "promote", "--account", OWNER];
    let file = gate.path("settings.yaml");
    let before = fs::read_to_string(&file).unwrap();

    let refused = answers(gate, &promote, 1);
    assert!(refused.contains("2 requests would be denied that were let in"), "{refused}");
    assert!(refused.contains(STRANGER) && !refused.contains(PARTNER), "{refused}");
    assert_eq!(fs::read_to_string(&file).unwrap(), before);
    let report = json_answer(gate, &promote, 1);
    assert_eq!((&report["promoted"], &report["requests"]), (&json!(false), &json!(3)));

    // A better candidate: what the earlier one said of the stranger does not count.
    fs::write(&file, settings("report-only", &candidate(&both))).unwrap();
    let promoted = answers(gate, &promote, 0);
    assert!(promoted.contains("the candidate is in force"), "{promoted}");
    let after = fs::read_to_string(&file).unwrap();
    assert!(after.starts_with("# head\naccounts:\n"), "{after}");
    assert!(after.contains("mode: limited") && !after.contains("candidate"), "{after}");
    let is_in_force = || {
        let denied = world.get(&world.user("11111111111111111111111111111111")).status == 403;
        denied && world.get(&world.user(STRANGER)).status == 200
    };
    poll_until("the promoted setting in force", Duration::from_secs(20), is_in_force);

    let updates = || {
        let events = gate.events().into_iter();
        let is_update = |event: &Value| event["initiator"]["id"] == "crossgate settings promote";
        events.filter(is_update).collect::<Vec<_>>()
    };
    let [update] = &updates()[..] else { panic!("{:?}", updates()) };
    assert_eq!(update["action"], json!("iam-access-management.account-settings.update"));
    let first = &update["requestData"]["update"][0];
    assert_eq!(first["updateType"], json!("user.setting"));
    assert_eq!(first["initialValue"], json!(format!("report-only [{PARTNER}]")));
    assert_eq!(update["requestData"]["update"].as_array().unwrap().len(), 6);

    // There is nothing more to promote.
    let said = crossgate(gate, &promote);
    assert_eq!(said.status, 2);
    assert!(said.errors.contains("has no candidate"), "{}", said.errors);
}

#[test]
fn a_candidate_that_was_never_asked_is_promoted_with_a_warning() {
    let world = World::start(|config| {
        config.settings(settings("unrestricted", "{ mode: limited, allowlist: [] }"))
    });
    let gate = &world.gate;
    let promote = ["settings", "promote", "--account", OWNER];
    let said = crossgate(gate, &promote);
    assert_eq!(said.status, 0, "{}", said.errors);
    assert!(said.errors.contains("no request is recorded"), "{}", said.errors);
    let after = fs::read_to_string(gate.path("settings.yaml")).unwrap();
    assert!(after.contains("mode: limited") && !after.contains("candidate"), "{after}");
    // Wrong usage.
    assert_eq!(crossgate(gate, &["settings", "promote"]).status, 2);
    assert_eq!(crossgate(gate, &["settings", "promote", "--account", "a b"]).status, 2);
}
