//! May this account come in: each identity type, mode and caller, what happens to the request, what
//! is recorded, what the upstream is told, and how settings change under a running gate.

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "a failed test panics"
)]

mod support;

use std::fs;

use regex::Regex;
use serde_json::{Value, json};
use support::events::{self, of_decision};
use support::gate::{Gate, ORDER, World};
use support::identities::{
    OWNER, PARTNER, PROFILE_ID, SERVICE_CRN, SERVICE_ID, STRANGER, USER_ID, profile, service,
    service_id, user,
};
use support::raw::{Reply, Request};
use support::{RELOADED, poll, poll_until};

/// Makes the claims of one identity type.
type Claims = fn(&str, Option<&str>) -> Value;

/// Headers of a request.
type Fields<'a> = &'a [(&'a str, &'a str)];

const TYPES: [(&str, Claims); 3] =
    [("user", user), ("service_id", service_id), ("service", service)];
const MODES: [&str; 3] = ["unrestricted", "report-only", "limited"];

/// What must come of one request.
struct Expected {
    status: u16,
    /// Decision and reason of its only event.
    event: Option<(&'static str, &'static str)>,
}

fn expected(mode: &str, caller: &str) -> Expected {
    let (decision, reason) = match caller {
        OWNER => return Expected { status: 200, event: None },
        PARTNER => ("Permit", "account_allowlisted"),
        "" => ("Deny", "no_account"),
        _ => ("Deny", "account_not_allowed"),
    };
    match (mode, decision) {
        ("unrestricted", _) | ("limited", "Permit") => Expected { status: 200, event: None },
        ("report-only", _) => Expected { status: 200, event: Some((decision, reason)) },
        _ => Expected { status: 403, event: Some((decision, reason)) },
    }
}

/// Settings that put every identity type of the owner into this mode.
fn all_types(mode: &str) -> String {
    format!("accounts:\n  \"{OWNER}\": {{ mode: {mode}, allowlist: [\"{PARTNER}\"] }}\n")
}

/// Settings that put one identity type into a mode and the others into the opposite.
fn one_type(identity_type: &str, mode: &str) -> String {
    let other = if mode == "limited" { "unrestricted" } else { "limited" };
    format!(
        "accounts:\n  \"{OWNER}\":\n    mode: {other}\n    allowlist: [\"{PARTNER}\"]\n    \
         {identity_type}: {{ mode: {mode}, allowlist: [\"{PARTNER}\"] }}\n"
    )
}

#[track_caller]
fn check_outcome(reply: &Reply, events: &[Value], mode: &str, caller: &str, what: &str) {
    let Expected { status, event } = expected(mode, caller);
    assert_eq!(reply.status, status, "{what}");
    if status == 403 {
        reply.assert_problem(403, "external_account_denied");
    }
    let found = of_decision(events, &reply.decision());
    let Some((decision, reason)) = event else {
        assert!(found.is_empty(), "{what}: {found:?}");
        return;
    };
    let [event] = found[..] else { panic!("{what}: {} events", found.len()) };
    let response = &event["responseData"];
    assert_eq!(event["id"], reply.decision(), "{what}");
    assert_eq!(event["action"], "iam-access-management.account-settings.eval");
    assert_eq!(response["decision"], decision, "{what}");
    assert_eq!(response["reason"], reason, "{what}");
    assert_eq!(response["mode"], mode, "{what}");
    assert_eq!(response["isEnforced"], mode == "limited", "{what}");
    assert_eq!(response["candidate"], false, "{what}");
    assert_eq!(response["layer"], "perimeter", "{what}");
    assert_eq!(
        event["requestData"]["subject"]["attributes"]["token.account.bss"], caller,
        "{what}"
    );
}

#[test]
fn each_type_mode_and_caller_has_the_outcome_of_the_table() {
    let world = World::start(|config| config);
    let issuer = world.idp.issuer();
    let mut asked = Vec::new();
    for (identity_type, claims) in TYPES {
        for mode in MODES {
            world.gate.resettle(&one_type(identity_type, mode));
            for caller in [OWNER, PARTNER, STRANGER, ""] {
                let account = Some(caller).filter(|account| !account.is_empty());
                let token = world.idp.token(&claims(&issuer, account));
                let what = format!("{identity_type} of `{caller}` in {mode}");
                asked.push((world.get(&token), mode, caller, identity_type, what));
            }
        }
    }
    let reached = world.upstream.count();
    let ended = world.gate.finish();
    assert!(ended.status.success(), "{}", ended.stderr);
    for (reply, mode, caller, identity_type, what) in &asked {
        check_outcome(reply, &ended.events, mode, caller, what);
        for event in of_decision(&ended.events, &reply.decision()) {
            let found = &event["requestData"]["subject"]["attributes"]["identityType"];
            assert_eq!(found, identity_type, "{what}");
        }
    }
    let forwarded = asked.iter().filter(|(reply, ..)| reply.status == 200).count();
    assert_eq!(reached, forwarded, "a denied request reached the upstream");
}

#[test]
fn a_trusted_profile_counts_as_its_profiles_account_and_its_logins_type() {
    let world = World::start(|config| config);
    let issuer = world.idp.issuer();
    let mut asked = Vec::new();
    for (identity_type, claims) in TYPES {
        for mode in MODES {
            world.gate.resettle(&one_type(identity_type, mode));
            for account in [OWNER, PARTNER, STRANGER] {
                // The login is a stranger's: only the profile's account may count.
                let login = claims(&issuer, Some("anotherstranger"));
                let token = world.idp.token(&profile(&issuer, account, &login));
                let what = format!("profile of `{account}` behind a {identity_type} in {mode}");
                asked.push((world.get(&token), mode, account, identity_type, login, what));
            }
        }
    }
    let ended = world.gate.finish();
    for (reply, mode, account, identity_type, login, what) in &asked {
        check_outcome(reply, &ended.events, mode, account, what);
        for event in of_decision(&ended.events, &reply.decision()) {
            let subject = &event["requestData"]["subject"]["attributes"];
            assert_eq!(subject["identityType"], *identity_type, "{what}");
            assert_eq!(event["initiator"]["authnId"], login["iam_id"], "{what}");
            assert_eq!(event["initiator"]["typeURI"], "service/security/account/profile");
            let id = event["initiator"]["id"].as_str().unwrap();
            assert!(id.ends_with(PROFILE_ID), "{what}: {id}");
        }
    }
}

#[test]
fn accounts_that_are_not_listed_have_the_default() {
    let world = World::start(|config| {
        config.settings(format!(
            "default: {{ mode: limited, allowlist: [\"{PARTNER}\"] }}\n\
             accounts:\n  listed: {{ mode: unrestricted }}\n"
        ))
    });
    assert_eq!(world.get(&world.user(OWNER)).status, 200);
    assert_eq!(world.get(&world.user(PARTNER)).status, 200);
    world.get(&world.user(STRANGER)).assert_problem(403, "external_account_denied");
    let listed = Request::get("/v1/accounts/listed/orders/1");
    assert_eq!(world.gate.ask(&listed.token(&world.user(STRANGER))).status, 200);
}

#[test]
fn accounts_are_compared_exactly() {
    let world = World::start(|config| config.settings(all_types("limited")));
    let upper = OWNER.to_uppercase();
    for near in [upper.as_str(), &OWNER[1..], &OWNER[..31], &format!("{OWNER}0"), "59bcbfa6"] {
        let reply = world.get(&world.user(near));
        reply.assert_problem(403, "external_account_denied");
    }
}

#[test]
fn the_owner_can_come_from_a_header() {
    let world = World::start(|config| config.settings(all_types("limited")));
    let ask = |owner: &str| {
        let request = Request::get("/v1/by-header").token(&world.user(STRANGER));
        world.gate.ask(&request.header("x-account", owner))
    };
    ask(OWNER).assert_problem(403, "external_account_denied");
    assert_eq!(ask("another").status, 200);
    ask("no account/at all").assert_problem(400, "bad_request");
    let without = Request::get("/v1/by-header").token(&world.user(STRANGER));
    world.gate.ask(&without).assert_problem(400, "bad_request");
    let twice = without.clone().header("x-account", "another").header("X-Account", OWNER);
    world.gate.ask(&twice).assert_problem(400, "bad_request");
    // An upstream would read another owner, or none.
    let own = without.header("x-account", "another");
    world.gate.ask(&own.clone().header("x_account", OWNER)).assert_problem(400, "bad_request");
    let mut client = world.gate.connect();
    client.send(own.header("connection", "close, X-Account").bytes());
    client.read("GET").assert_problem(400, "bad_request");
}

#[test]
fn an_event_has_every_field_of_the_interface() {
    let world = World::start(|config| config.settings(all_types("limited")));
    let issuer = world.idp.issuer();
    let token = world.idp.token(&user(&issuer, Some(STRANGER)));
    let reply = world.gate.ask(&Request::get(ORDER).token(&token).header("user-agent", "curl/8.5"));
    assert_eq!(reply.status, 403);
    let event = world.gate.events_of(&reply.decision(), 1).remove(0);
    let dynamic = |pointer: &str| event.pointer(pointer).cloned().unwrap_or(Value::Null);
    let resource = format!("arn:aws:orders::{OWNER}:order/1");
    let expected = json!({
        "action": "iam-access-management.account-settings.eval",
        "eventTime": dynamic("/eventTime"),
        "id": reply.decision(), "correlationId": reply.decision(),
        "outcome": "failure", "severity": "critical",
        "message": "IAM Access Management: evaluate account-settings -failure",
        "dataEvent": false, "saveServiceCopy": true,
        "logSourceCRN":
            format!("crn:v1:crossgate:public:iam-access-management:global:a/{OWNER}:::"),
        "observer": {"name": "crossgate"},
        "initiator": {
            "id": USER_ID, "name": dynamic("/initiator/name"), "authnId": USER_ID,
            "authnName": dynamic("/initiator/authnName"),
            "typeURI": "service/security/account/user", "credential": {"type": "token"},
            "host": {"address": "127.0.0.1", "addressType": "IPv4", "agent": "curl/8.5"},
        },
        "target": {
            "id": resource, "name": "1", "typeURI": "iam-access-management/account-settings",
        },
        "reason": {"reasonCode": 403, "reasonType": "Forbidden"},
        "requestData": {
            "action": "orders:GetOrder", "reqOrder": 0,
            "environment": {"attributes": {"ipAddress": "127.0.0.1"}},
            "resource": {"attributes": {"accountId": OWNER}},
            "subject": {"attributes":
                {"id": USER_ID, "token.account.bss": STRANGER, "identityType": "user"}},
        },
        "responseData": {
            "isEnforced": true, "decision": "Deny", "mode": "limited", "layer": "perimeter",
            "candidate": false, "reason": "account_not_allowed", "decisionId": reply.decision(),
            "revision": dynamic("/responseData/revision"),
            "instance": dynamic("/responseData/instance"),
            "sequence": dynamic("/responseData/sequence"),
            "route": "/v1/accounts/{account}/orders/{*order}",
            "decideNs": dynamic("/responseData/decideNs"),
        },
    });
    assert_eq!(event, expected);
    assert_dynamic_fields(&world.gate, &event);
}

#[track_caller]
fn assert_dynamic_fields(gate: &Gate, event: &Value) {
    let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let matches = |pattern: &str, text: &str| {
        assert!(Regex::new(pattern).unwrap().is_match(text), "{text}");
    };
    matches(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d\d\+0000$", text("/eventTime"));
    matches("^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$", text("/id"));
    matches("Quixote|quixote@example.com", text("/initiator/name"));
    assert!(!text("/responseData/instance").is_empty());
    let response = &event["responseData"];
    assert_eq!(response["revision"].as_u64(), Some(gate.revision()));
    assert!(response["sequence"].is_u64() && response["decideNs"].is_u64(), "{response}");
}

#[test]
fn a_recorded_denial_is_a_success_of_the_request() {
    let world = World::start(|config| config.settings(all_types("report-only")));
    let reply = world.get(&world.user(STRANGER));
    assert_eq!(reply.status, 200);
    let event = world.gate.events_of(&reply.decision(), 1).remove(0);
    assert_eq!(event["outcome"], "success");
    assert_eq!(event["severity"], "normal");
    assert_eq!(event["message"], "IAM Access Management: evaluate account-settings");
    assert_eq!(event["reason"], json!({"reasonCode": 200, "reasonType": "OK"}));
    assert_eq!(event["responseData"]["isEnforced"], false);
}

#[test]
fn the_initiator_says_what_kind_of_identity_it_is() {
    let world = World::start(|config| config.settings(all_types("report-only")));
    let issuer = world.idp.issuer();
    let crn = format!("crn-{SERVICE_CRN}");
    for (claims, id, kind) in [
        (user(&issuer, Some(STRANGER)), USER_ID, "user"),
        (service_id(&issuer, Some(STRANGER)), SERVICE_ID, "serviceid"),
        (service(&issuer, Some(STRANGER)), crn.as_str(), "service"),
    ] {
        let reply = world.get(&world.idp.token(&claims));
        let event = world.gate.events_of(&reply.decision(), 1).remove(0);
        assert_eq!(event["initiator"]["typeURI"], format!("service/security/account/{kind}"));
        assert_eq!(event["initiator"]["id"], id);
        assert_eq!(event["initiator"]["authnId"], id);
        assert_eq!(event["requestData"]["subject"]["attributes"]["id"], id);
    }
}

#[test]
fn the_upstream_is_told_who_calls() {
    let world = World::start(|config| config);
    let issuer = world.idp.issuer();
    let login = user(&issuer, Some("anotherstranger"));
    for (claims, account, identity_type, principal) in [
        (
            user(&issuer, Some(PARTNER)),
            PARTNER,
            "user",
            format!("arn:aws:iam::{PARTNER}:user/{USER_ID}"),
        ),
        (
            service_id(&issuer, Some(PARTNER)),
            PARTNER,
            "service_id",
            format!("arn:aws:iam::{PARTNER}:user/{SERVICE_ID}"),
        ),
        (service(&issuer, Some(PARTNER)), PARTNER, "service", "resource-controller".to_owned()),
        (
            profile(&issuer, OWNER, &login),
            OWNER,
            "user",
            format!("arn:aws:sts::{OWNER}:assumed-role/{PROFILE_ID}/{USER_ID}"),
        ),
    ] {
        let reply = world.get(&world.idp.token(&claims));
        assert_eq!(reply.status, 200, "{principal}");
        let received = world.upstream.last();
        assert_eq!(received.all("x-crossgate-account"), [account]);
        assert_eq!(received.all("x-crossgate-principal"), [principal.as_str()]);
        assert_eq!(received.all("x-crossgate-identity-type"), [identity_type]);
        assert_eq!(received.all("x-crossgate-decision"), [reply.decision()]);
    }
    let nobody = world.idp.token(&user(&issuer, None));
    assert_eq!(world.get(&nobody).status, 200);
    assert!(world.upstream.last().field("x-crossgate-account").unwrap_or_default().is_empty());
}

#[test]
fn the_prefix_of_identity_headers_is_configurable() {
    let world = World::start(|config| config.set("identity_headers", "{ prefix: x-gate- }"));
    let request =
        Request::get(ORDER).token(&world.user(PARTNER)).header("x-gate-account", "forged");
    assert_eq!(world.gate.ask(&request).status, 200);
    let received = world.upstream.last();
    assert_eq!(received.all("x-gate-account"), [PARTNER]);
    assert!(received.all("x-crossgate-account").is_empty());
}

#[test]
fn a_candidate_is_recorded_and_never_enforced() {
    let candidate = |mode: &str, candidate: &str| {
        format!(
            "accounts:\n  \"{OWNER}\":\n    mode: {mode}\n    allowlist: [\"{PARTNER}\"]\n    \
             candidate: {{ mode: {candidate}, allowlist: [\"{STRANGER}\"] }}\n"
        )
    };
    let world = World::start(|config| config);
    let mut asked = Vec::new();
    for mode in MODES {
        for proposed in ["report-only", "limited"] {
            world.gate.resettle(&candidate(mode, proposed));
            for (caller, decision) in [(PARTNER, "Deny"), (STRANGER, "Permit"), ("other", "Deny")] {
                let reply = world.get(&world.user(caller));
                assert_eq!(
                    reply.status,
                    expected(mode, caller).status,
                    "{mode} {proposed} {caller}"
                );
                asked.push((reply, mode, proposed, caller, decision));
            }
            let own = world.get(&world.user(OWNER));
            asked.push((own, mode, proposed, OWNER, "none"));
        }
    }
    let ended = world.gate.finish();
    for (reply, mode, proposed, caller, decision) in asked {
        let what = format!("{caller} in {mode}, proposed {proposed}");
        let found = of_decision(&ended.events, &reply.decision());
        let (shadow, own): (Vec<&Value>, Vec<&Value>) =
            found.into_iter().partition(|event| event["responseData"]["candidate"] == true);
        let enforced = expected(mode, caller).event;
        assert_eq!(own.len(), usize::from(enforced.is_some()), "{what}");
        if decision == "none" {
            assert!(shadow.is_empty(), "{what}");
            continue;
        }
        let [event] = shadow[..] else { panic!("{what}: {} candidate events", shadow.len()) };
        assert_eq!(event["responseData"]["decision"], decision, "{what}");
        assert_eq!(event["responseData"]["isEnforced"], false, "{what}");
        assert_eq!(event["responseData"]["mode"], proposed, "{what}");
        assert_eq!(event["outcome"], "success", "{what}");
        if let [own] = own[..] {
            assert_eq!(own["id"], reply.decision(), "{what}");
            assert_ne!(event["id"], own["id"], "{what}");
            assert_eq!(event["correlationId"], own["correlationId"], "{what}");
        }
    }
}

#[test]
fn report_only_never_changes_an_answer() {
    let free = World::start(|config| config);
    let watched =
        World::start(|config| config.settings("default: { mode: report-only, allowlist: [] }\n"));
    for request in [
        Request::get(ORDER),
        Request::new("HEAD", ORDER),
        Request::new("POST", ORDER).body(b"a body"),
        Request::get(ORDER).header("x-upstream", "status=404"),
        Request::get(ORDER).header("x-upstream", "status=500"),
        Request::get(ORDER).header("x-upstream", "close"),
        Request::get("/v1/accounts/x/unknown"),
        Request::get("/v1/accounts/x/orders/%2e%2e"),
    ] {
        for caller in [STRANGER, OWNER] {
            let ask = |world: &World| world.gate.ask(&request.clone().token(&world.user(caller)));
            let (expect, found) = (ask(&free), ask(&watched));
            assert_eq!(found.status, expect.status, "{} {}", request.method, request.target);
            assert_eq!(
                found.body.len(),
                expect.body.len(),
                "{} {}",
                request.method,
                request.target
            );
        }
    }
}

#[test]
fn events_of_a_run_are_numbered_without_a_gap() {
    let world = World::start(|config| {
        config.settings("default: { mode: report-only, allowlist: [] }\n").set("workers", "2")
    });
    let token = world.user(STRANGER);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut client = world.gate.connect();
                for _ in 0..50 {
                    assert_eq!(client.ask(&Request::get(ORDER).token(&token)).status, 200);
                }
            });
        }
    });
    let ended = world.gate.finish();
    assert!(ended.status.success(), "{}", ended.stderr);
    let numbers: Vec<u64> = ended
        .events
        .iter()
        .map(|event| event["responseData"]["sequence"].as_u64().unwrap())
        .collect();
    assert_eq!(numbers.len(), 200);
    let first = numbers[0];
    assert!(numbers.iter().zip(first..).all(|(found, expect)| *found == expect), "{numbers:?}");
    let mut ids: Vec<&str> =
        ended.events.iter().map(|event| event["id"].as_str().unwrap()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 200, "ids are unique");
    let instances = events::with(
        &ended.events,
        "/responseData/instance",
        ended.events[0]["responseData"]["instance"].as_str().unwrap(),
    );
    assert_eq!(instances.len(), 200, "one instance a run");
}

#[test]
fn the_correlation_id_comes_from_the_trace_then_the_request_then_the_decision() {
    let world =
        World::start(|config| config.settings("default: { mode: report-only, allowlist: [] }\n"));
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let parent = format!("00-{trace}-00f067aa0ba902b7-01");
    let zero = format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32));
    let long = "r".repeat(5000);
    let token = world.user(STRANGER);
    let cases: [(Fields<'_>, Option<&str>); 9] = [
        (&[("traceparent", &parent)], Some(trace)),
        (&[("traceparent", &parent), ("x-request-id", "req-1")], Some(trace)),
        (&[("x-request-id", "req-1")], Some("req-1")),
        (&[("traceparent", "garbage"), ("x-request-id", "req-2")], Some("req-2")),
        (&[("traceparent", &zero), ("x-request-id", "req-3")], Some("req-3")),
        (&[("x-request-id", &long)], None),
        (&[("x-request-id", "with space \"and quote\"")], None),
        (&[("x-request-id", "")], None),
        (&[], None),
    ];
    for (headers, expect) in cases {
        let mut request = Request::get(ORDER).token(&token);
        for (name, value) in headers {
            request = request.header(name, *value);
        }
        let reply = world.gate.ask(&request);
        assert_eq!(reply.status, 200);
        let event = world.gate.events_of(&reply.decision(), 1).remove(0);
        let decision = reply.decision();
        assert_eq!(event["correlationId"], expect.unwrap_or(&decision), "{headers:?}");
    }
}

#[test]
fn every_answer_carries_a_decision_id() {
    let world = World::start(|config| config.settings(all_types("limited")));
    let mut seen = std::collections::BTreeSet::new();
    for request in [
        Request::get(ORDER),
        Request::get(ORDER).token("garbage"),
        Request::get(ORDER).token(&world.user(OWNER)),
        Request::get(ORDER).token(&world.user(STRANGER)),
        Request::get(ORDER).token(&world.user(OWNER)).header("x-upstream", "close"),
        Request::get(ORDER).token(&world.user(OWNER)).header("x-upstream", "forge"),
        Request::get("/nowhere"),
        Request::get("/public/page"),
        Request::get("/v1/accounts/%2e%2e/orders/1"),
    ] {
        let reply = world.gate.ask(&request);
        let ids = reply.headers.iter().filter(|(name, _)| name == "x-crossgate-decision").count();
        assert_eq!(ids, 1, "{} {}", reply.status, request.target);
        assert!(seen.insert(reply.decision()), "a decision id came twice");
    }
}

#[test]
fn a_denial_names_no_policy_and_no_allowlist() {
    let world = World::start(|config| config.settings(all_types("limited")));
    let reply = world.get(&world.user(STRANGER));
    let text = String::from_utf8(reply.body).unwrap();
    for secret in [PARTNER, OWNER, STRANGER, USER_ID, "allowlist", "limited"] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
}

#[test]
fn a_change_of_the_settings_file_is_in_force_within_its_time() {
    let world = World::start(|config| config);
    let token = world.user(STRANGER);
    for (mode, status) in [("limited", 403), ("report-only", 200), ("limited", 403)] {
        world.gate.replace("settings.yaml", &all_types(mode));
        poll_until(mode, RELOADED, || world.get(&token).status == status);
    }
    // Not every editor replaces a file; some write into it.
    fs::write(world.gate.path("settings.yaml"), all_types("unrestricted")).unwrap();
    poll_until("a write in place", RELOADED, || world.get(&token).status == 200);
}

#[test]
fn settings_behind_a_swapped_link_are_followed() {
    // As Kubernetes mounts a ConfigMap: the file is a link through `..data`, which is swapped.
    let idp = support::idp::Idp::start();
    let upstream = support::upstream::Upstream::start();
    let volume = tempfile::tempdir().unwrap();
    let version = |name: &str, text: &str| {
        let directory = volume.path().join(name);
        fs::create_dir(&directory).unwrap();
        fs::write(directory.join("settings.yaml"), text).unwrap();
    };
    let point = |name: &str| {
        let link = volume.path().join("..data_tmp");
        std::os::unix::fs::symlink(name, &link).unwrap();
        fs::rename(link, volume.path().join("..data")).unwrap();
    };
    version("..v1", &all_types("unrestricted"));
    point("..v1");
    let file = volume.path().join("settings.yaml");
    std::os::unix::fs::symlink("..data/settings.yaml", &file).unwrap();
    let config = support::gate::Config::new(&idp, upstream.address())
        .set("settings", format!("{{ file: \"{}\" }}", file.display()));
    let gate = Gate::start(config);
    let token = idp.token(&user(&idp.issuer(), Some(STRANGER)));
    let status = || gate.ask(&Request::get(ORDER).token(&token)).status;
    assert_eq!(status(), 200);
    version("..v2", &all_types("limited"));
    point("..v2");
    poll_until("the swapped link", RELOADED, || status() == 403);
}

#[test]
fn bad_settings_change_nothing_and_are_on_record() {
    let world = World::start(|config| config.settings(all_types("limited")));
    let (stranger, partner) = (world.user(STRANGER), world.user(PARTNER));
    let duplicate = format!("{0}  \"{OWNER}\": {{ mode: unrestricted }}\n", all_types("limited"));
    let too_long = "a".repeat(65);
    let bad = [
        ("empty", String::new()),
        ("no YAML", "accounts: [\n".to_owned()),
        ("a list", "- a\n- b\n".to_owned()),
        ("an unknown key", "acounts: {}\n".to_owned()),
        ("an unknown mode", all_types("limitted")),
        ("a mode of IBM's spelling", all_types("monitor")),
        ("an account twice", duplicate),
        ("a key twice", format!("accounts:\n  {OWNER}:\n    mode: limited\n    mode: limited\n")),
        ("an account that is none", "accounts:\n  \"a/b\": { mode: limited }\n".to_owned()),
        ("an account that is too long", format!("accounts:\n  {too_long}: {{ mode: limited }}\n")),
        ("an allowlist of numbers", format!("accounts:\n  {OWNER}: {{ allowlist: [{{}}] }}\n")),
        ("an allowlist that is a word", format!("accounts:\n  {OWNER}: {{ allowlist: all }}\n")),
    ];
    for (why, text) in bad {
        let refused = || {
            let labels = [("part", "settings"), ("result", "refused")];
            world.gate.metrics().sum("crossgate_snapshot_reloads_total", &labels)
        };
        let (before, revision) = (refused(), world.gate.revision());
        world.gate.replace("settings.yaml", &text);
        poll_until(why, RELOADED, || refused() > before);
        assert_eq!(world.gate.revision(), revision, "{why}");
        assert_eq!(world.get(&stranger).status, 403, "{why}");
        assert_eq!(world.get(&partner).status, 200, "{why}");
        let snapshot = world.gate.snapshot().to_string();
        assert!(snapshot.contains("settings.yaml"), "{why}: {snapshot}");
        // A good version in between, so that each bad one is a change.
        world.gate.resettle(&format!("# after: {why}\n{}", all_types("limited")));
    }
}

#[test]
fn the_last_refused_change_tells_line_and_reason() {
    let world = World::start(|config| config.settings(all_types("limited")));
    world.gate.replace("settings.yaml", "# a comment\n\naccounts:\n  a: { mode: limitted }\n");
    let snapshot = poll("the refusal", RELOADED, || {
        let snapshot = world.gate.snapshot().to_string();
        snapshot.contains("limitted").then_some(snapshot)
    });
    assert!(snapshot.contains("settings.yaml"), "{snapshot}");
    assert!(Regex::new(r"\b4\b").unwrap().is_match(&snapshot), "line 4 of: {snapshot}");
}

#[test]
fn a_start_without_good_settings_is_refused() {
    let idp = support::idp::Idp::start();
    let config = support::gate::Config::new(&idp, support::free_address());
    for settings in ["", "accounts: [", "accounts:\n  a: { mode: sometimes }\n"] {
        let (code, stderr) = Gate::refuse(config.clone().settings(settings));
        assert_eq!(code, Some(2), "{stderr}");
        assert!(stderr.contains("settings.yaml"), "{stderr}");
    }
    let absent = config.set("settings", "{ file: absent.yaml }");
    let (code, stderr) = Gate::refuse(absent);
    assert_eq!(code, Some(2), "{stderr}");
}
