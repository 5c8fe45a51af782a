//! The operator's door: health, metrics, the snapshot, and IBM's settings API.

#![expect(clippy::panic, reason = "a failed test panics")]

mod support;

use std::fs;

use serde_json::{Value, json};
use support::gate::{ORDER, World};
use support::identities::{OWNER, PARTNER, STRANGER};
use support::raw::{Reply, Request};
use support::{RELOADED, SOON, poll, poll_until};

fn path(account: &str) -> String {
    format!("/v1/accounts/{account}/settings/access_management")
}

fn read(world: &World, account: &str) -> Reply {
    world.gate.admin(&Request::get(&path(account)))
}

fn etag(reply: &Reply) -> String {
    reply.header("etag").unwrap_or_else(|| panic!("no ETag: {reply:?}")).to_owned()
}

/// A PATCH with the `ETag` of this moment.
fn patch(world: &World, account: &str, body: &Value) -> Reply {
    patch_if(world, account, &etag(&read(world, account)), &body.to_string())
}

fn patch_if(world: &World, account: &str, etag: &str, body: &str) -> Reply {
    let path = path(account);
    let request = Request::new("PATCH", &path)
        .header("if-match", etag)
        .header("content-type", "application/json")
        .body(body.as_bytes());
    world.gate.admin(&request)
}

#[expect(clippy::needless_pass_by_value, reason = "callers make the value in place")]
fn interaction(types: Value) -> Value {
    json!({"external_account_identity_interaction": {"identity_types": types}})
}

fn state(state: &str, accounts: &[&str]) -> Value {
    json!({"state": state, "external_allowed_accounts": accounts})
}

#[test]
fn health_and_readiness_are_told() {
    let world = World::start(|config| config);
    for path in ["/healthz", "/readyz"] {
        assert_eq!(world.gate.admin(&Request::get(path)).status, 200, "{path}");
    }
    assert_eq!(world.gate.admin(&Request::get("/nowhere")).status, 404);
    assert!(matches!(world.gate.admin(&Request::new("POST", "/healthz")).status, 404 | 405));
}

#[test]
fn every_metric_of_the_interface_is_there_after_traffic() {
    let world =
        World::start(|config| config.settings("default: { mode: limited, allowlist: [] }\n"));
    let (own, stranger) = (world.user(OWNER), world.user(STRANGER));
    for _ in 0..3 {
        assert_eq!(world.get(&own).status, 200);
        assert_eq!(world.get(&stranger).status, 403);
    }
    world.gate.ask(&Request::get(ORDER).token("garbage"));
    world.gate.ask(&Request::get("/nowhere"));
    world.gate.ask(&Request::get("/v1/accounts/a/orders/%2e%2e"));
    world.gate.ask(&Request::get(ORDER).token(&own).header("x-upstream", "close"));
    poll_until("the events on record", SOON, || {
        world.gate.metrics().sum("crossgate_events_written_total", &[]) >= 3.0
    });
    let metrics = world.gate.metrics();
    for name in [
        "crossgate_requests_total",
        "crossgate_decisions_total",
        "crossgate_decision_duration_seconds_bucket",
        "crossgate_decision_duration_seconds_sum",
        "crossgate_decision_duration_seconds_count",
        "crossgate_request_duration_seconds_bucket",
        "crossgate_upstream_duration_seconds_bucket",
        "crossgate_decision_cache_total",
        "crossgate_token_cache_total",
        "crossgate_jwks_refresh_total",
        "crossgate_jwks_age_seconds",
        "crossgate_snapshot_revision",
        "crossgate_snapshot_reloads_total",
        "crossgate_events_written_total",
        "crossgate_events_lost_total",
        "crossgate_connections",
    ] {
        assert!(metrics.has(name), "{name} in\n{}", metrics.text);
    }
    for (outcome, count) in [
        ("forwarded", 3.0),
        ("external_account_denied", 3.0),
        ("unauthenticated", 1.0),
        ("no_route", 1.0),
        ("bad_request", 1.0),
        ("upstream_error", 1.0),
    ] {
        let found = metrics.sum("crossgate_requests_total", &[("outcome", outcome)]);
        assert!((found - count).abs() < 0.5, "{outcome}: {found} of {count}");
    }
    assert!(metrics.sum("crossgate_events_lost_total", &[]) < 0.5);
    let denied = [
        ("layer", "perimeter"),
        ("mode", "limited"),
        ("decision", "Deny"),
        ("enforced", "true"),
        ("candidate", "false"),
    ];
    let found = metrics.sum("crossgate_decisions_total", &denied);
    assert!((found - 3.0).abs() < 0.5, "{found} denials in\n{}", metrics.text);
    assert!(metrics.sum("crossgate_token_cache_total", &[("result", "hit")]) >= 4.0);
    assert!(metrics.sum("crossgate_snapshot_revision", &[]) >= 1.0);
}

#[test]
fn buckets_reach_from_a_quarter_microsecond_to_a_millisecond() {
    let world = World::start(|config| config);
    assert_eq!(world.get(&world.user(STRANGER)).status, 200);
    let metrics = world.gate.metrics();
    let labels = metrics.label_names("crossgate_decision_duration_seconds_bucket");
    assert!(labels.iter().all(|names| names.contains(&"le")), "{labels:?}");
    let bounds: Vec<f64> = metrics
        .text
        .lines()
        .filter(|line| line.starts_with("crossgate_decision_duration_seconds_bucket"))
        .filter_map(|line| line.split("le=\"").nth(1)?.split('"').next()?.parse().ok())
        .filter(|bound: &f64| bound.is_finite())
        .collect();
    let smallest = bounds.iter().copied().fold(f64::INFINITY, f64::min);
    let largest = bounds.iter().copied().fold(0.0, f64::max);
    assert!((smallest - 250e-9).abs() < 1e-12, "{smallest}");
    assert!((largest - 1e-3).abs() < 1e-9, "{largest}");
}

#[test]
fn no_label_takes_a_value_from_a_request() {
    let world =
        World::start(|config| config.settings("default: { mode: report-only, allowlist: [] }\n"));
    let marker = "zq9marker";
    let target = format!("/v1/accounts/{marker}/orders/{marker}?{marker}");
    for request in [
        Request::get(&target).token(&world.user(marker)),
        Request::get(&target).token(marker),
        Request::get(&format!("/{marker}")).token(&world.user(marker)),
        Request::new(marker, &target).token(&world.user(marker)),
        Request::get(&target).header("user-agent", marker).header("x-request-id", marker),
    ] {
        world.gate.ask(&request);
    }
    let metrics = world.gate.metrics();
    assert!(!metrics.text.contains(marker), "{}", metrics.text);
}

#[test]
fn the_snapshot_tells_what_is_loaded() {
    let world = World::start(|config| config);
    let before = world.gate.snapshot();
    assert!(before["revision"].is_u64(), "{before}");
    world.gate.resettle("default: { mode: limited }\n");
    let after = world.gate.snapshot();
    assert!(after["revision"].as_u64() > before["revision"].as_u64());
    assert!(after.to_string().contains("settings.yaml"), "{after}");
}

#[test]
fn an_account_without_a_setting_shows_the_default() {
    let world = World::start(|config| {
        config.settings(format!("default: {{ mode: report-only, allowlist: [\"{PARTNER}\"] }}\n"))
    });
    let reply = read(&world, OWNER);
    assert_eq!(reply.status, 200);
    let each = state("monitor", &[PARTNER]);
    assert_eq!(
        reply.json(),
        interaction(json!({"user": each, "service_id": each, "service": each}))
    );
    assert!(!etag(&reply).is_empty());
    assert_eq!(read(&world, "no%2faccount").status, 400);
}

#[test]
fn a_patch_is_in_force_written_and_on_record() {
    let world = World::start(|config| {
        config.settings(format!(
            "# kept: the head\ndefault: {{ mode: unrestricted }}\naccounts:\n  other:\n    \
             mode: limited # kept: beside\n  \"{OWNER}\":\n    mode: report-only\n    allowlist: [\"{PARTNER}\"]\n"
        ))
    });
    let stranger = world.user(STRANGER);
    assert_eq!(world.get(&stranger).status, 200);
    let before = etag(&read(&world, OWNER));
    let reply = patch(&world, OWNER, &interaction(json!({"user": state("limited", &["friend"])})));
    assert_eq!(reply.status, 200, "{}", String::from_utf8_lossy(&reply.body));
    assert_eq!(world.get(&stranger).status, 403, "in force when it answers");
    let watched = state("monitor", &[PARTNER]);
    let whole = interaction(
        json!({"user": state("limited", &["friend"]), "service_id": watched, "service": watched}),
    );
    assert_eq!(reply.json(), whole, "the other types as they were");
    assert_ne!(etag(&reply), before);
    assert_eq!(etag(&read(&world, OWNER)), etag(&reply));
    assert_eq!(read(&world, OWNER).json(), whole);

    let file = fs::read_to_string(world.gate.path("settings.yaml")).unwrap();
    for kept in ["# kept: the head", "# kept: beside", "friend", "limited"] {
        assert!(file.contains(kept), "{kept} in {file}");
    }
    let event = poll("the update event", SOON, || {
        let action = "iam-access-management.account-settings.update";
        world.gate.events().into_iter().find(|event| event["action"] == action)
    });
    let updates = event["requestData"]["update"].as_array().unwrap();
    assert!(!updates.is_empty());
    for update in updates {
        for member in ["updateType", "initialValue", "newValue"] {
            assert!(!update[member].is_null(), "{member} of {update}");
        }
    }
    let text = event.to_string();
    assert!(text.contains(OWNER) && text.contains("friend"), "{text}");

    // The next start reads what was written.
    world.gate.replace("settings.yaml", &format!("{file}\n# touched\n"));
    poll_until("the file read again", RELOADED, || read(&world, OWNER).json() == whole);
    assert_eq!(world.get(&stranger).status, 403);
}

#[test]
fn an_account_that_is_not_in_the_file_can_be_set() {
    let world = World::start(|config| config.settings("default: { mode: unrestricted }\n"));
    let limited = state("limited", &[]);
    let body = interaction(json!({"user": limited, "service_id": limited, "service": limited}));
    assert_eq!(patch(&world, OWNER, &body).status, 200);
    assert_eq!(world.get(&world.user(STRANGER)).status, 403);
    let other = Request::get("/v1/accounts/other/orders/1");
    assert_eq!(world.gate.ask(&other.token(&world.user(STRANGER))).status, 200);
    let enabled = state("enabled", &[]);
    let body = interaction(json!({"user": enabled, "service_id": enabled, "service": enabled}));
    assert_eq!(patch(&world, OWNER, &body).status, 200);
    assert_eq!(world.get(&world.user(STRANGER)).status, 200);
}

#[test]
fn a_patch_needs_the_etag_of_this_moment() {
    let world = World::start(|config| config);
    let body = interaction(json!({"user": state("limited", &[])}));
    let target = path(OWNER);
    let text = body.to_string();
    let without = Request::new("PATCH", &target)
        .header("content-type", "application/json")
        .body(text.as_bytes());
    assert_eq!(world.gate.admin(&without).status, 428);
    let old = etag(&read(&world, OWNER));
    assert_eq!(patch_if(&world, OWNER, "\"made-up\"", &text).status, 412);
    assert_eq!(patch_if(&world, OWNER, &old, &text).status, 200);
    assert_eq!(patch_if(&world, OWNER, &old, &text).status, 412, "a stale one");

    let before = etag(&read(&world, OWNER));
    world.gate.resettle(&format!("accounts:\n  \"{OWNER}\": {{ mode: report-only }}\n"));
    assert_ne!(etag(&read(&world, OWNER)), before, "changes of the file count");
    assert_eq!(patch_if(&world, OWNER, &before, &text).status, 412);
    let other = etag(&read(&world, "other"));
    assert_eq!(patch(&world, OWNER, &body).status, 200);
    let untouched = patch_if(&world, "other", &other, &text).status;
    assert!(matches!(untouched, 200 | 412), "{untouched}");
}

#[test]
fn of_two_patches_with_one_etag_one_wins() {
    let world = World::start(|config| config);
    let old = etag(&read(&world, OWNER));
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|n| {
                let (world, old) = (&world, &old);
                scope.spawn(move || {
                    let accounts = format!("account-{n}");
                    let body = interaction(json!({"user": state("limited", &[&accounts])}));
                    patch_if(world, OWNER, old, &body.to_string()).status
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 412).count(), 7, "{statuses:?}");
}

#[test]
fn a_bad_body_is_refused_with_its_field() {
    let world = World::start(|config| config);
    let before = read(&world, OWNER);
    let user = |value: Value| interaction(json!({"user": value}));
    let bad = [
        (user(json!({"state": "open", "external_allowed_accounts": []})), "state"),
        (user(json!({"state": "report-only", "external_allowed_accounts": []})), "state"),
        (user(json!({"state": 1, "external_allowed_accounts": []})), "state"),
        (user(json!({"external_allowed_accounts": []})), "state"),
        (user(json!({"state": "limited"})), "external_allowed_accounts"),
        (user(state("limited", &["a/b"])), "external_allowed_accounts"),
        (
            user(json!({"state": "limited", "external_allowed_accounts": [1]})),
            "external_allowed_accounts",
        ),
        (
            user(json!({"state": "limited", "external_allowed_accounts": "a"})),
            "external_allowed_accounts",
        ),
        (interaction(json!({"robot": state("limited", &[])})), "robot"),
        (interaction(json!([])), "identity_types"),
        (json!({}), "external_account_identity_interaction"),
    ];
    for (body, field) in bad {
        let reply = patch(&world, OWNER, &body);
        assert_eq!(reply.status, 400, "{body}");
        let answer = String::from_utf8(reply.body).unwrap();
        assert!(answer.contains(field), "{field} for {body}: {answer}");
    }
    for text in ["", "{", "[]", "null", "\"limited\""] {
        assert_eq!(patch_if(&world, OWNER, &etag(&before), text).status, 400, "{text:?}");
    }
    assert_eq!(etag(&read(&world, OWNER)), etag(&before));
}

#[test]
fn writes_need_the_token_where_one_is_configured() {
    let secret = "an-admin-token-of-some-length";
    let world = World::start(|config| {
        config
            .set("admin", "{ address: \"{admin-address}\", token_file: admin.token }")
            .file("admin.token", format!("{secret}\n"))
    });
    let (target, body) =
        (path(OWNER), interaction(json!({"user": state("limited", &[])})).to_string());
    let request = |etag: &str| {
        Request::new("PATCH", &target)
            .header("if-match", etag)
            .header("content-type", "application/json")
            .body(body.as_bytes())
    };
    let current = etag(&read(&world, OWNER));
    assert_eq!(world.gate.admin(&request(&current)).status, 401);
    for wrong in ["", "wrong", "an-admin-t", &format!("{secret}x")] {
        assert_eq!(world.gate.admin(&request(&current).token(wrong)).status, 401, "{wrong}");
    }
    assert_eq!(world.gate.admin(&request(&current).token(secret)).status, 200);
    assert!(!world.gate.stderr().contains(secret));
}

#[test]
fn a_setting_that_cannot_be_written_is_not_in_force() {
    let world = World::start(|config| config);
    let stranger = world.user(STRANGER);
    let current = etag(&read(&world, OWNER));
    // A directory in the file's place: the atomic replace must fail.
    fs::remove_file(world.gate.path("settings.yaml")).unwrap();
    fs::create_dir(world.gate.path("settings.yaml")).unwrap();
    let body = interaction(json!({"user": state("limited", &[])}));
    let reply = patch_if(&world, OWNER, &current, &body.to_string());
    assert!(reply.status >= 500, "{}", reply.status);
    assert_eq!(world.get(&stranger).status, 200, "the old setting goes on");
}

#[test]
fn the_gate_does_not_serve_the_operators_door() {
    let world = World::start(|config| config);
    for target in ["/healthz", "/readyz", "/metrics", "/v1/snapshot", &path(OWNER)] {
        let reply = world.gate.ask(&Request::get(target).token(&world.user(OWNER)));
        reply.assert_problem(404, "no_route");
    }
}
