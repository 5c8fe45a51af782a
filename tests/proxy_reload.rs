//! Changes under load: settings that change hundreds of times a second while requests run, and a
//! configuration that changes under a running gate.

#![expect(
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a failed test panics; the tests measure real time"
)]

mod support;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::gate::{Gate, ORDER, World};
use support::identities::{OWNER, PARTNER, STRANGER, service_id, user};
use support::raw::{Client, Request};
use support::{RELOADED, h2, poll_until};

/// One of the two settings that the owner flips between. They differ in every type, so that a
/// decision by half of each shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    /// Users of the partner may come in, service IDs of the stranger.
    Left,
    /// The other way round.
    Right,
}

impl Side {
    /// The setting as the API takes it.
    fn document(self) -> Value {
        let (users, service_ids) = match self {
            Self::Left => (PARTNER, STRANGER),
            Self::Right => (STRANGER, PARTNER),
        };
        let watched =
            |account: &str| json!({"state": "monitor", "external_allowed_accounts": [account]});
        json!({"external_account_identity_interaction": {"identity_types": {
            "user": watched(users), "service_id": watched(service_ids), "service": watched(users),
        }}})
    }

    /// Which setting made this event.
    fn of(event: &Value) -> Self {
        let subject = &event["requestData"]["subject"]["attributes"];
        let partner = subject["token.account.bss"] == PARTNER;
        let user = subject["identityType"] == "user";
        let permitted = event["responseData"]["decision"] == "Permit";
        if (partner == user) == permitted { Self::Left } else { Self::Right }
    }
}

const SETTINGS_PATH: &str =
    "/v1/accounts/59bcbfa6ea2f006b4ed7094c1a08dcdd/settings/access_management";

/// Requests and changes side by side, and how many there were of each.
struct Load<'a> {
    gate: &'a Gate,
    tokens: &'a [String],
    requests: AtomicUsize,
    failed: AtomicUsize,
    changes: AtomicUsize,
    over: AtomicBool,
}

/// Ends the load, also when its owner panics: the others wait for it.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

impl Load<'_> {
    /// Flips the owner's setting, as fast as it goes and no faster than 500 times a second.
    fn flip(&self) {
        let _over = Over(&self.over);
        let mut admin = Client::connect(self.gate.admin);
        let mut etag = admin.ask(&Request::get(SETTINGS_PATH)).header("etag").unwrap().to_owned();
        let began = Instant::now();
        while !self.over.load(Ordering::Acquire) {
            let changes = self.changes.load(Ordering::Acquire);
            let side = if changes.is_multiple_of(2) { Side::Right } else { Side::Left };
            let body = side.document().to_string();
            let request = Request::new("PATCH", SETTINGS_PATH)
                .header("if-match", etag.as_str())
                .header("content-type", "application/json")
                .body(body.as_bytes());
            let reply = admin.ask(&request);
            assert_eq!(reply.status, 200, "{}", String::from_utf8_lossy(&reply.body));
            reply.header("etag").unwrap().clone_into(&mut etag);
            self.changes.store(changes + 1, Ordering::Release);
            let due = began + PACE * u32::try_from(changes + 1).unwrap();
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
        }
    }

    /// Sends requests of both types and accounts on one HTTP/2 connection.
    async fn ask(&self) {
        let _over = Over(&self.over);
        let sender = h2::connect(self.gate.proxy).await;
        while self.requests.load(Ordering::Acquire) < REQUESTS {
            self.wait_for_changes().await;
            let mut streams = tokio::task::JoinSet::new();
            for token in self.tokens.iter().cycle().take(STREAMS) {
                let (sender, request) = (sender.clone(), h2::get(self.gate.proxy, ORDER, token));
                streams.spawn(async move { h2::ask(&sender, request).await });
            }
            while let Some(reply) = streams.join_next().await {
                let ok = reply.unwrap().is_ok_and(|reply| reply.status() == 200);
                self.failed.fetch_add(usize::from(!ok), Ordering::AcqRel);
                self.requests.fetch_add(1, Ordering::AcqRel);
            }
        }
    }

    /// On a slow machine the requests wait, so that each setting still decides a few only.
    async fn wait_for_changes(&self) {
        let due = self.requests.load(Ordering::Acquire) / REQUESTS_A_CHANGE;
        while self.changes.load(Ordering::Acquire) < due && !self.over.load(Ordering::Acquire) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    fn run(&self) {
        std::thread::scope(|scope| {
            scope.spawn(|| self.flip());
            for _ in 0..CONNECTIONS {
                scope.spawn(|| h2::runtime().block_on(self.ask()));
            }
        });
    }
}

#[test]
fn ten_thousand_requests_over_two_hundred_changes_a_second_fail_none_and_mix_none() {
    let world = World::start(|config| {
        let setting = format!(
            "accounts:\n  \"{OWNER}\":\n    \
             user: {{ mode: report-only, allowlist: [\"{PARTNER}\"] }}\n    \
             service_id: {{ mode: report-only, allowlist: [\"{STRANGER}\"] }}\n    \
             service: {{ mode: report-only, allowlist: [\"{PARTNER}\"] }}\n"
        );
        config.settings(setting).in_memory()
    });
    let issuer = world.idp.issuer();
    let tokens: Vec<String> = [PARTNER, STRANGER]
        .iter()
        .flat_map(|account| [user(&issuer, Some(account)), service_id(&issuer, Some(account))])
        .map(|claims| world.idp.token(&claims))
        .collect();
    let load = Load {
        gate: &world.gate,
        tokens: &tokens,
        requests: AtomicUsize::new(0),
        failed: AtomicUsize::new(0),
        changes: AtomicUsize::new(0),
        over: AtomicBool::new(false),
    };
    let began = Instant::now();
    load.run();
    let took = began.elapsed();
    let requests = load.requests.into_inner();
    let changes = load.changes.into_inner();
    let rate = f64::from(u32::try_from(changes).unwrap()) / took.as_secs_f64();
    println!("{requests} requests, {changes} changes in {took:?}: {rate:.0} changes a second");
    assert_eq!(load.failed.into_inner(), 0, "of {requests} requests");
    assert!(requests >= REQUESTS && changes >= REQUESTS / REQUESTS_A_CHANGE - STREAMS, "{changes}");
    // Where others compute at the same time, the proportion above must do.
    assert!(rate >= 200.0 || is_busy(), "{rate:.0} changes a second");

    let ended = world.gate.finish();
    assert!(ended.status.success(), "{}", ended.stderr);
    assert_each_revision_is_one_setting(&ended.events);
}

/// Whether twice as much wants to run as can.
fn is_busy() -> bool {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap();
    let load: f64 = load.split(' ').next().unwrap().parse().unwrap();
    let cores = std::thread::available_parallelism().unwrap().get();
    load > 2.0 * f64::from(u32::try_from(cores).unwrap())
}

#[track_caller]
fn assert_each_revision_is_one_setting(events: &[Value]) {
    let mut sides = BTreeMap::new();
    let mut evaluations = 0;
    for event in events.iter().filter(|event| event["responseData"]["layer"] == "perimeter") {
        let revision = event["responseData"]["revision"].as_u64().unwrap();
        let side = Side::of(event);
        assert_eq!(
            *sides.entry(revision).or_insert(side),
            side,
            "revision {revision} is half and half"
        );
        evaluations += 1;
    }
    assert!(evaluations >= REQUESTS, "{evaluations} evaluations");
    assert!(sides.len() > 50, "{} revisions decided", sides.len());
    for side in [Side::Left, Side::Right] {
        assert!(sides.values().any(|seen| *seen == side), "{side:?} never decided");
    }
}

#[test]
fn a_patch_decides_the_very_next_request() {
    let world = World::start(|config| config);
    let token = world.user(STRANGER);
    let mut admin = Client::connect(world.gate.admin);
    let mut client = world.gate.connect();
    let mut etag = admin.ask(&Request::get(SETTINGS_PATH)).header("etag").unwrap().to_owned();
    for n in 0..50 {
        let (state, status) = if n % 2 == 0 { ("limited", 403) } else { ("enabled", 200) };
        let body = json!({"external_account_identity_interaction": {"identity_types": {
            "user": {"state": state, "external_allowed_accounts": []},
        }}});
        let body = body.to_string();
        let patch = Request::new("PATCH", SETTINGS_PATH)
            .header("if-match", etag.as_str())
            .header("content-type", "application/json")
            .body(body.as_bytes());
        let reply = admin.ask(&patch);
        assert_eq!(reply.status, 200, "{}", String::from_utf8_lossy(&reply.body));
        reply.header("etag").unwrap().clone_into(&mut etag);
        assert_eq!(client.ask(&Request::get(ORDER).token(&token)).status, status, "change {n}");
    }
}

#[test]
fn file_changes_under_load_fail_no_request() {
    let world = World::start(|config| config);
    let token = world.user(OWNER);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| {
            let mut client = world.gate.connect();
            let mut asked = 0;
            while !stop.load(Ordering::Acquire) {
                assert_eq!(client.ask(&Request::get(ORDER).token(&token)).status, 200);
                asked += 1;
            }
            asked
        });
        for n in 0..100 {
            let mode = ["limited", "report-only", "unrestricted"][n % 3];
            let settings =
                format!("accounts:\n  \"{OWNER}\": {{ mode: {mode}, allowlist: [\"n{n}\"] }}\n");
            world.gate.replace("settings.yaml", &settings);
            std::thread::sleep(PACE);
        }
        world.gate.resettle("default: { mode: limited }\n# the last of all\n");
        stop.store(true, Ordering::Release);
        assert!(asking.join().unwrap() > 0);
    });
    let stranger = world.user(STRANGER);
    poll_until("the last version", RELOADED, || world.get(&stranger).status == 403);
}

const NEW_ROUTE: &str = r#"
  - { path: "/new", public: true, upstream: orders }
  - path: /v1/accounts/{account}/orders/{*order}
    methods: [GET]
    action: orders:GetOrder
    resource: "arn:aws:orders::{account}:order/{order}"
    owner: "{account}"
    upstream: orders"#;

#[test]
fn a_route_that_is_added_is_in_force_without_a_restart() {
    let mut world = World::start(|config| config);
    let status = |gate: &Gate| gate.ask(&Request::get("/new")).status;
    assert_eq!(status(&world.gate), 404);
    let mut client = world.gate.connect();
    assert_eq!(client.ask(&Request::get("/public/x")).status, 200);
    world.gate.reconfigure(|config| config.set("routes", NEW_ROUTE));
    poll_until("the new route", RELOADED, || status(&world.gate) == 200);
    assert_eq!(client.ask(&Request::get("/new")).status, 200, "on a connection that was open");
    assert_eq!(client.ask(&Request::get("/public/x")).status, 404, "a route that is gone");
    assert_eq!(world.get(&world.user(OWNER)).status, 200);
}

#[test]
fn another_settings_file_is_taken_and_followed_without_a_restart() {
    let mut world = World::start(|config| {
        config.file("other.yaml", "default: { mode: limited }").file("bad.yaml", "nonsense: 1")
    });
    let stranger = world.user(STRANGER);
    assert_eq!(world.get(&stranger).status, 200);
    world.gate.reconfigure(|config| {
        config.set("settings", "{ file: bad.yaml }").set("forward_token", "false")
    });
    poll_until("the refusal", RELOADED, || world.gate.snapshot().to_string().contains("nonsense"));
    let _forwarded = world.get(&stranger);
    assert!(world.upstream.last().field("authorization").is_some(), "refused whole");
    world.gate.reconfigure(|config| config.set("settings", "{ file: other.yaml }"));
    poll_until("the other file", RELOADED, || world.get(&stranger).status == 403);
    world.gate.replace("other.yaml", "default: { mode: unrestricted }");
    poll_until("its next version", RELOADED, || world.get(&stranger).status == 200);
}

#[test]
fn a_bad_configuration_is_refused_whole_and_the_old_one_goes_on() {
    let mut world = World::start(|config| config);
    let token = world.user(OWNER);
    let refused = |gate: &Gate| {
        gate.metrics().sum("crossgate_snapshot_reloads_total", &[("result", "refused")])
    };
    for (why, key, text) in [
        ("an unknown key", "routs", "[]"),
        ("an unknown upstream", "routes", "[ { path: /new, public: true, upstream: nowhere } ]"),
        (
            "an algorithm that is none",
            "issuers",
            "[ { issuer: https://a.example.com, algorithms: [none], jwks: { discovery: true }, claims: ibm } ]",
        ),
        (
            "a symmetric algorithm",
            "issuers",
            "[ { issuer: https://a.example.com, algorithms: [HS256], jwks: { discovery: true }, claims: ibm } ]",
        ),
        ("a size that is none", "limits", "{ header_bytes: many }"),
        ("no YAML", "limits", "{"),
    ] {
        let before = refused(&world.gate);
        let mut good = None;
        world.gate.reconfigure(|config| good.insert(config).clone().set(key, text));
        poll_until(why, RELOADED, || refused(&world.gate) > before);
        assert_eq!(world.gate.ask(&Request::get("/new")).status, 404, "{why}");
        assert_eq!(world.get(&token).status, 200, "{why}");
        assert!(world.gate.snapshot().to_string().contains("crossgate.yaml"), "{why}");
        world.gate.reconfigure(|_| good.unwrap());
    }
}

#[test]
fn a_hangup_reads_the_configuration_again_and_ends_nothing() {
    let mut world = World::start(|config| config);
    let mut client = world.gate.connect();
    assert_eq!(client.ask(&Request::get("/public/x")).status, 200);
    world.gate.signal("HUP");
    assert_eq!(client.ask(&Request::get("/public/x")).status, 200);
    world.gate.reconfigure(|config| config.set("routes", NEW_ROUTE));
    world.gate.signal("HUP");
    poll_until("the new route", RELOADED, || world.gate.ask(&Request::get("/new")).status == 200);
    assert!(world.gate.is_running());
    assert_eq!(client.ask(&Request::get("/new")).status, 200);
}

#[test]
fn a_start_with_a_bad_configuration_is_refused() {
    let idp = support::idp::Idp::start();
    let good = support::gate::Config::new(&idp, support::free_address());
    for (why, key, text) in [
        ("an unknown key", "routs", "[]"),
        ("an unknown upstream", "routes", "[ { path: /new, public: true, upstream: nowhere } ]"),
        ("a key without a value", "upstreams", ""),
        (
            "no issuer's key source",
            "issuers",
            "[ { issuer: https://a.example.com, algorithms: [RS256], claims: ibm } ]",
        ),
        (
            "keys over plain http",
            "issuers",
            "[ { issuer: https://a.example.com, algorithms: [RS256], jwks: { url: http://a.example.com/keys }, claims: ibm } ]",
        ),
        ("an absent variable", "forward_token", "${CROSSGATE_TEST_VARIABLE_THAT_IS_ABSENT}"),
        ("a duration without a unit", "drain", "{ timeout: 30 }"),
    ] {
        let (code, stderr) = Gate::refuse(good.clone().set(key, text));
        assert_eq!(code, Some(2), "{why}: {stderr}");
        assert!(stderr.contains("crossgate.yaml"), "{why}: {stderr}");
    }
    let (_, stderr) = Gate::refuse(good.set("routs", "[]"));
    assert!(stderr.contains("routs") && stderr.contains("routes"), "a suggestion: {stderr}");
}

/// 500 changes a second at most.
const PACE: Duration = Duration::from_millis(2);
const REQUESTS: usize = 10_000;
/// 2,000 requests a second at 200 changes a second.
const REQUESTS_A_CHANGE: usize = 10;
const CONNECTIONS: usize = 4;
const STREAMS: usize = 32;

#[test]
fn a_new_drain_timeout_holds_for_the_end() {
    let mut world = World::start(|config| config.set("drain", "{ timeout: 60s }"));
    let revision = world.gate.revision();
    world.gate.reconfigure(|config| config.set("drain", "{ timeout: 100ms }"));
    poll_until("the new configuration", RELOADED, || world.gate.revision() > revision);
    let mut client = world.gate.connect();
    client.send(Request::get("/public/x").header("x-upstream", "wait").bytes());
    world.upstream.wait_count(1);
    let begun = Instant::now();
    world.gate.signal("TERM");
    world.gate.wait_end();
    assert!(begun.elapsed() < Duration::from_secs(20));
}
