//! Killed at any moment, under full load: what a client has seen decided is in the log, once.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a failed test panics; how often is for the caller to say"
)]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crossgate::event::log::recover;
use support::gate::{Config, Gate, ORDER};
use support::identities::{STRANGER, user};
use support::idp::Idp;
use support::nats::Nats;
use support::raw::{Client, Request};
use support::upstream::Upstream;
use support::{events, lock, poll_until};

/// What clients have seen: the decision ids of answers.
type Seen = Arc<Mutex<Vec<String>>>;

/// Asks on one connection until it breaks, and notes each answer that came whole.
fn ask_until_broken(proxy: SocketAddr, token: &str, seen: &Seen, answered: &AtomicUsize) {
    let mut client = Client::connect(proxy);
    let request = Request::get(ORDER).token(token);
    while client.try_send(request.bytes()).is_ok()
        && let Ok(Some(reply)) = client.try_read("GET")
    {
        assert_eq!(reply.status, 200);
        lock(seen).push(reply.header("x-crossgate-decision").unwrap().to_owned());
        answered.fetch_add(1, Ordering::Relaxed);
    }
}

/// Loads a proxy until so many answers came, kills it a little later, and waits for all clients.
fn load_and_kill(gate: &Gate, token: &str, seen: &Seen, random: &mut fastrand::Rng) {
    let answered = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| ask_until_broken(gate.proxy, token, seen, &answered));
        }
        let enough = random.usize(1..400);
        poll_until("load", Duration::from_secs(30), || enough <= answered.load(Ordering::Relaxed));
        thread::sleep(Duration::from_micros(random.u64(..20_000)));
        gate.signal("KILL");
    });
}

/// Every decision that was seen has one event, no event is there twice, and no number is missing.
fn check(directory: &Path, seen: &[String]) {
    let events = events::read(directory);
    let mut ids = BTreeSet::new();
    let mut numbers: BTreeMap<String, BTreeSet<u64>> = BTreeMap::new();
    for event in &events {
        assert!(ids.insert(event["id"].as_str().unwrap()), "twice: {event}");
        let data = &event["responseData"];
        let instance = data["instance"].as_str().unwrap().to_owned();
        let number = data["sequence"].as_u64().unwrap();
        assert!(numbers.entry(instance).or_default().insert(number), "a number twice: {event}");
    }
    let missing: Vec<_> = seen.iter().filter(|id| !ids.contains(id.as_str())).collect();
    assert!(missing.is_empty(), "{} of {} have no event", missing.len(), seen.len());
    for (instance, numbers) in &numbers {
        let last = usize::try_from(*numbers.last().unwrap()).unwrap();
        assert_eq!((numbers.first(), last), (Some(&1), numbers.len()), "a gap in {instance}");
    }
}

/// How often something is killed.
fn kills() -> usize {
    std::env::var("CROSSGATE_KILLS").map_or(KILLS, |kills| kills.parse().unwrap())
}

fn config(idp: &Idp, upstream: &Upstream, directory: &Path, more: &str) -> Config {
    let events = format!("{{ directory: \"{}\"{more} }}", directory.display());
    Config::new(idp, upstream.address())
        .settings("default: { mode: report-only, allowlist: [] }\n")
        .set("events", events)
}

#[test]
fn what_a_client_has_seen_is_in_the_log_after_any_kill() {
    let (idp, upstream) = (Idp::start(), Upstream::start());
    let place = tempfile::tempdir().unwrap();
    let directory = place.path().join("events");
    let config = config(&idp, &upstream, &directory, "");
    let token = idp.token(&user(&idp.issuer(), Some(STRANGER)));
    let (seen, mut random) = (Seen::default(), fastrand::Rng::new());
    for _ in 0..kills() {
        let gate = Gate::start(config.clone());
        load_and_kill(&gate, &token, &seen, &mut random);
    }
    recover(&directory).unwrap();
    check(&directory, &lock(&seen));
    assert!(kills() <= lock(&seen).len());
}

/// Goal: each event is in the stream, and once by its id, whoever is killed when. Method: the proxy
/// and its receiver are killed in turn under load; at the end both run until the sink has all.
#[test]
fn what_a_client_has_seen_is_in_the_stream_once_though_proxy_and_server_are_killed() {
    let (idp, upstream) = (Idp::start(), Upstream::start());
    let place = tempfile::tempdir().unwrap();
    let directory = place.path().join("events");
    let mut server = Nats::start();
    let sink = format!(
        ", sinks: [ {{ nats: {{ url: \"nats://{}\", stream: CROSSGATE, subject: crossgate.events, \
         create: true }} }} ]",
        server.address
    );
    let config = config(&idp, &upstream, &directory, &sink);
    let token = idp.token(&user(&idp.issuer(), Some(STRANGER)));
    let (seen, mut random) = (Seen::default(), fastrand::Rng::new());
    for round in 0..kills().div_ceil(4) {
        let gate = Gate::start(config.clone());
        if round % 2 == 0 {
            thread::scope(|scope| {
                scope.spawn(|| {
                    server.kill();
                    server.restart();
                });
                load_and_kill(&gate, &token, &seen, &mut random);
            });
        } else {
            load_and_kill(&gate, &token, &seen, &mut random);
            server.kill();
            server.restart();
        }
    }
    let gate = Gate::start(config);
    let sink = [("sink", "nats")];
    poll_until("the sink has all", Duration::from_mins(2), || {
        let metrics = gate.metrics();
        metrics.sum("crossgate_sink_deliveries_total", &sink) > 0.5
            && metrics.sum("crossgate_sink_lag_events", &sink) < 0.5
    });
    assert!(gate.finish().status.success());
    check(&directory, &lock(&seen));
    let messages = server.messages(async_nats::ConnectOptions::new(), "CROSSGATE");
    let ids: BTreeSet<&str> = messages.iter().map(|message| message.id.as_str()).collect();
    assert_eq!(ids.len(), messages.len(), "the server was to drop what it has");
    let events = events::read(&directory);
    let logged: BTreeSet<&str> = events.iter().map(|event| event["id"].as_str().unwrap()).collect();
    assert_eq!(ids, logged);
}

/// How often it is killed where `CROSSGATE_KILLS` says nothing else; before a release, 200.
const KILLS: usize = 20;
/// Connections, each with one request after the other.
const CLIENTS: usize = 8;
