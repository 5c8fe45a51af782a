//! Sinks, each with a real receiver: what is in the log gets there, whatever happens on the way.

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a failed test panics"
)]

mod support;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossgate::config;
use crossgate::event::log::SinkPositions;
use crossgate::event::sink::{Cursor, Shipper, cursors};
use crossgate::event::{EventsConfig, SinkSpec};
use serde_json::Value;
use tempfile::TempDir;

use support::collector::{Collector, Mood, id_of};
use support::lines::Lines;
use support::nats::{Nats, Operator};
use support::tls::Certificate;
use support::{poll, poll_until};

/// The sinks of a configuration.
#[track_caller]
fn sinks(yaml: &str) -> Vec<SinkSpec> {
    let text = format!("listeners: [{{ address: 127.0.0.1:0 }}]\nevents:\n  sinks:\n{yaml}");
    config::parse(&text, Path::new("crossgate.yaml"), &|_| None).unwrap().events.sinks
}

fn http(collector: &Collector, more: &str) -> String {
    format!(
        "    - http: {{ url: \"http://{}/events\", timeout: 500ms{more} }}\n",
        collector.address()
    )
}

#[track_caller]
fn ship(directory: &Path, yaml: &str) -> Shipper {
    let directory = directory.to_owned();
    let events = EventsConfig { directory, sinks: sinks(yaml), ..EventsConfig::default() };
    Shipper::start(&events, &SinkPositions::default()).unwrap()
}

fn log() -> (TempDir, Lines) {
    let place = tempfile::tempdir().unwrap();
    let lines = Lines::begin(place.path(), "run-1");
    (place, lines)
}

#[track_caller]
fn cursor(directory: &Path, sink: &str) -> Cursor {
    let found = cursors(directory).unwrap().into_iter().find(|(name, _)| name == sink);
    found.unwrap().1.unwrap()
}

fn set(ids: impl IntoIterator<Item = String>) -> BTreeSet<String> {
    ids.into_iter().collect()
}

#[test]
fn lines_arrive_as_they_are_and_a_restart_goes_on_where_it_was() {
    let (place, mut log) = log();
    let collector = Collector::start(Mood::Takes);
    let yaml = http(&collector, ", headers: { x-token: secret }");
    let mut ids = log.append(1200);
    let shipper = ship(place.path(), &yaml);
    collector.wait_for(1200, WAIT);
    ids.extend(log.append(10));
    log.rotate();
    ids.extend(log.append(10));
    shipper.end();
    assert_eq!(
        collector.received(|it| it.lines.iter().map(|line| id_of(line)).collect::<Vec<_>>()),
        ids
    );
    let head = collector.received(|it| it.head.clone());
    for part in ["post /events http/1.1", "application/x-ndjson", "gzip", "x-token: secret"] {
        assert!(head.contains(part), "{head}");
    }
    let saved = cursor(place.path(), "http");
    assert_eq!((saved.delivered, saved.rejected, saved.missed), (1220, 0, 0));
    assert_eq!(saved.last.unwrap().id, *ids.last().unwrap());

    let shipper = ship(place.path(), &yaml);
    ids.extend(log.append(5));
    collector.wait_for(1225, WAIT);
    shipper.end();
    assert_eq!(collector.received(|it| it.lines.len()), 1225);
    assert_eq!(collector.ids(), set(ids));
}

/// Goal: what one sink does touches no other, and nothing is lost to it. Method: one collector
/// fails in each of its ways in turn, while another one takes all.
#[test]
fn a_sink_that_fails_hangs_or_drips_delays_nobody_and_gets_all_afterwards() {
    let (place, mut log) = log();
    let (broken, sound) = (Collector::start(Mood::Answers(500)), Collector::start(Mood::Takes));
    let yaml = http(&broken, ", name: broken") + &http(&sound, ", name: sound");
    let shipper = ship(place.path(), &yaml);
    let mut ids = Vec::new();
    for mood in
        [Mood::Answers(500), Mood::Answers(401), Mood::Answers(429), Mood::Hangs, Mood::Drips]
    {
        broken.set(mood);
        ids.extend(log.append(300));
        assert_eq!(sound.wait_for(ids.len(), WAIT), set(ids.clone()));
        let asked = broken.received(|it| it.asked);
        broken.wait_asked(asked + 1, WAIT);
        assert_eq!(broken.received(|it| it.lines.len()), 0);
    }
    broken.set(Mood::Takes);
    assert_eq!(broken.wait_for(ids.len(), LONG_WAIT), set(ids));
    shipper.end();
    assert_eq!(cursor(place.path(), "broken").rejected, 0);
}

#[test]
fn what_a_sink_refuses_is_counted_and_passed_over() {
    let (place, mut log) = log();
    let collector = Collector::start(Mood::Answers(400));
    log.append(20);
    let shipper = ship(place.path(), &http(&collector, ", batch: { events: 10 }"));
    collector.wait_asked(2, WAIT);
    let counted = || {
        cursors(place.path())
            .unwrap()
            .iter()
            .any(|(_, it)| it.as_ref().is_ok_and(|it| it.rejected == 20))
    };
    poll_until("both batches are given up", WAIT, counted);
    collector.set(Mood::Takes);
    let ids = log.append(3);
    assert_eq!(collector.wait_for(3, WAIT), set(ids));
    shipper.end();
    let saved = cursor(place.path(), "http");
    assert_eq!((saved.delivered, saved.rejected), (3, 20));
}

#[test]
fn batches_that_are_too_large_go_in_parts() {
    let (place, mut log) = log();
    let collector = Collector::start(Mood::TakesUpTo(7));
    let ids = log.append(100);
    let shipper = ship(place.path(), &http(&collector, ", compression: none"));
    assert_eq!(collector.wait_for(100, WAIT), set(ids));
    shipper.end();
    assert_eq!(collector.received(|it| it.lines.len()), 100);
    assert!(!collector.received(|it| it.head.contains("gzip")));
}

#[test]
fn an_event_that_alone_is_too_large_is_refused() {
    let (place, mut log) = log();
    let collector = Collector::start(Mood::TakesUpTo(0));
    log.append(3);
    let shipper = ship(place.path(), &http(&collector, ""));
    let given_up = || {
        cursors(place.path())
            .unwrap()
            .iter()
            .any(|(_, it)| it.as_ref().is_ok_and(|it| it.rejected == 3))
    };
    poll_until("all are given up", WAIT, given_up);
    shipper.end();
}

#[test]
fn a_new_sink_starts_where_it_is_told() {
    let (place, mut log) = log();
    let (all, new) = (Collector::start(Mood::Takes), Collector::start(Mood::Takes));
    log.append(30);
    log.rotate();
    log.append(10);
    let yaml = http(&all, ", name: all") + &http(&new, ", name: new, from: now");
    let shipper = ship(place.path(), &yaml);
    all.wait_for(40, WAIT);
    poll_until("the new one knows where it begins", WAIT, || {
        cursors(place.path()).unwrap().iter().any(|(name, _)| name == "new")
    });
    let ids = log.append(5);
    all.wait_for(45, WAIT);
    assert_eq!(new.wait_for(5, WAIT), set(ids));
    shipper.end();
    assert_eq!(new.received(|it| it.lines.len()), 5);
}

#[test]
fn what_is_removed_before_it_is_delivered_is_counted() {
    let (place, mut log) = log();
    let collector = Collector::start(Mood::Takes);
    let yaml = http(&collector, "");
    log.append(10);
    let shipper = ship(place.path(), &yaml);
    collector.wait_for(10, WAIT);
    shipper.end();
    log.append(5);
    log.rotate();
    log.append(40);
    log.rotate();
    let ids = log.append(2);
    log.remove(0);
    log.remove(1);
    let shipper = ship(place.path(), &yaml);
    collector.wait_for(12, WAIT);
    shipper.end();
    assert!(set(ids).is_subset(&collector.ids()));
    let saved = cursor(place.path(), "http");
    assert_eq!((saved.delivered, saved.missed), (12, 45));
}

#[test]
fn of_those_that_share_a_log_one_ships_and_another_takes_over() {
    let (place, mut log) = log();
    let (one, other) = (Collector::start(Mood::Takes), Collector::start(Mood::Takes));
    let first = ship(place.path(), &http(&one, ""));
    let mut ids = log.append(50);
    one.wait_for(50, WAIT);
    let second = ship(place.path(), &http(&other, ""));
    let mut foreign = Lines::begin(place.path(), "run-2");
    ids.extend(foreign.append(50));
    one.wait_for(100, WAIT);
    first.end();
    ids.extend(log.append(20));
    other.wait_for(20, WAIT);
    second.end();
    assert_eq!(other.received(|it| it.lines.len()), 20);
    assert_eq!(&one.ids() | &other.ids(), set(ids));
}

#[test]
fn a_broken_cursor_delivers_twice_and_not_never() {
    let (place, mut log) = log();
    let collector = Collector::start(Mood::Takes);
    let ids = log.append(10);
    ship(place.path(), &http(&collector, "")).end();
    std::fs::write(place.path().join("state/sink-http.cursor"), "{\"position\":").unwrap();
    ship(place.path(), &http(&collector, "")).end();
    assert_eq!(collector.received(|it| it.lines.len()), 20);
    assert_eq!(collector.ids(), set(ids));
}

fn nats(nats: &Nats, scheme: &str, more: &str) -> String {
    format!(
        "    - nats: {{ url: \"{scheme}{}\", stream: CROSSGATE, subject: crossgate.events, \
         create: true, timeout: 2s{more} }}\n",
        nats.address
    )
}

/// Goal: each event is in the stream, once. Method: a real server is killed again and again while
/// events are written and shipped, and so is the shipper.
#[test]
fn each_event_is_in_the_stream_once_though_the_server_is_killed() {
    let (place, mut log) = log();
    let mut server = Nats::start();
    let yaml = nats(&server, "nats://", "");
    let writing = AtomicBool::new(true);
    let ids = std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut ids = Vec::new();
            while writing.load(Ordering::Relaxed) {
                ids.extend(log.append(20));
                if ids.len() % 1000 == 0 {
                    log.rotate();
                }
                std::thread::sleep(Duration::from_millis(10));
            }
            ids
        });
        let mut shipper = ship(place.path(), &yaml);
        let mut delivered = 0;
        for round in 0..4 {
            delivered = poll("the sink goes on", LONG_WAIT, || {
                let found = cursors(place.path()).unwrap().into_iter().find_map(|(_, it)| it.ok());
                found.map(|it| it.delivered).filter(|found| delivered < *found)
            });
            server.kill();
            if round == 2 {
                shipper.end();
                shipper = ship(place.path(), &yaml);
            }
            std::thread::sleep(Duration::from_millis(50));
            server.restart();
        }
        writing.store(false, Ordering::Relaxed);
        let ids = writer.join().unwrap();
        poll_until("all is delivered", LONG_WAIT, || {
            cursors(place.path()).unwrap().into_iter().any(|(_, it)| {
                it.ok().and_then(|it| it.last).is_some_and(|last| last.id == *ids.last().unwrap())
            })
        });
        shipper.end();
        ids
    });
    let messages = server.messages(async_nats::ConnectOptions::new(), "CROSSGATE");
    let found: Vec<_> = messages.iter().map(|message| message.id.clone()).collect();
    assert_eq!(found.len(), ids.len(), "an id is there twice, or not at all");
    assert_eq!(set(found), set(ids));
    assert!(messages.iter().all(|message| id_of(&message.line) == message.id));
}

/// A server behind TLS that asks for a certificate and for credentials, and the files for it.
struct Guarded {
    server: Nats,
    files: TempDir,
}

impl Guarded {
    fn start() -> Self {
        let (own, authority) = (Certificate::generate(), Certificate::authority());
        let (ours, foreign) =
            (authority.sign_client("crossgate"), Certificate::authority().sign_client("crossgate"));
        let operator = Operator::new();
        let files = tempfile::tempdir().unwrap();
        for (name, text) in [
            ("server.crt", &own.chain_pem),
            ("server.key", &own.key_pem),
            ("clients.crt", &authority.chain_pem),
            ("ours.crt", &ours.chain_pem),
            ("ours.key", &ours.key_pem),
            ("foreign.crt", &foreign.chain_pem),
            ("foreign.key", &foreign.key_pem),
            ("ours.creds", &operator.credentials),
            ("foreign.creds", &Operator::new().credentials),
        ] {
            std::fs::write(files.path().join(name), text).unwrap();
        }
        let file = |name: &str| files.path().join(name).display().to_string();
        let tls = format!(
            "tls {{ cert_file: \"{}\", key_file: \"{}\", ca_file: \"{}\", verify: true }}\n",
            file("server.crt"),
            file("server.key"),
            file("clients.crt"),
        );
        let server = Nats::with(&(tls + &operator.configuration));
        Self { server, files }
    }

    fn file(&self, name: &str) -> String {
        self.files.path().join(name).display().to_string()
    }

    fn sink(&self, name: &str, certificate: &str, credentials: &str) -> String {
        format!(
            "    - nats: {{ name: {name}, url: \"tls://localhost:{}\", stream: CROSSGATE, \
             subject: crossgate.events, create: true, timeout: 2s, credentials: \"{}\", tls: {{ ca: \"{}\", \
             certificate: \"{}\", key: \"{}\" }} }}\n",
            self.server.address.port(),
            self.file(&format!("{credentials}.creds")),
            self.file("server.crt"),
            self.file(&format!("{certificate}.crt")),
            self.file(&format!("{certificate}.key")),
        )
    }
}

#[test]
fn a_stream_is_reached_through_tls_with_a_certificate_and_credentials() {
    let (place, mut log) = log();
    let guarded = Guarded::start();
    let ids = log.append(100);
    let yaml = guarded.sink("good", "ours", "ours")
        + &guarded.sink("other-certificate", "foreign", "ours")
        + &guarded.sink("other-credentials", "ours", "foreign");
    let shipper = ship(place.path(), &yaml);
    poll_until("all is delivered", WAIT, || {
        cursors(place.path()).unwrap().iter().any(|(_, it)| it.as_ref().unwrap().delivered == 100)
    });
    shipper.end();
    let names: Vec<_> = cursors(place.path()).unwrap().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["good"]);
    let options = async_nats::ConnectOptions::with_credentials(
        &std::fs::read_to_string(guarded.file("ours.creds")).unwrap(),
    )
    .unwrap()
    .add_root_certificates(guarded.file("server.crt").into())
    .add_client_certificate(guarded.file("ours.crt").into(), guarded.file("ours.key").into());
    let messages = guarded.server.messages(options, "CROSSGATE");
    assert_eq!(set(messages.into_iter().map(|message| message.id)), set(ids));
}

/// An OTLP receiver that is not ours.
struct Receiver {
    child: Child,
    port: u16,
    lines: std::sync::mpsc::Receiver<String>,
}

impl Receiver {
    #[track_caller]
    fn start(arguments: &[&str]) -> Self {
        use std::io::{BufRead, BufReader};
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut child = Command::new(root.join("target/python/bin/python"))
            .arg(root.join("tests/sdk/otlp_receiver.py"))
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("target/python, which tests/install makes: {error}"));
        let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
        let port = output.next().unwrap().unwrap().parse().unwrap();
        let (sender, lines) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            for line in output.map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        Self { child, port, lines }
    }

    #[track_caller]
    fn record(&self) -> Value {
        serde_json::from_str(&self.lines.recv_timeout(LONG_WAIT).unwrap()).unwrap()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[track_caller]
fn check_otlp(protocol: &str, compression: &str) {
    let (place, mut log) = log();
    let receiver = Receiver::start(&[protocol, "--fail", "1"]);
    let ids = log.append(30);
    let yaml = format!(
        "    - otlp: {{ url: \"http://127.0.0.1:{}\", protocol: {protocol}, \
         compression: {compression}, headers: {{ x-tenant: orders }}, batch: {{ events: 20 }} }}\n",
        receiver.port
    );
    let shipper = ship(place.path(), &yaml);
    let records: Vec<_> = ids.iter().map(|_| receiver.record()).collect();
    shipper.end();
    for ((record, id), sequence) in records.iter().zip(&ids).zip(1_u64..) {
        assert_eq!(id_of(record["body"].as_str().unwrap()), *id);
        assert_eq!(record["resource"]["service.name"], "crossgate");
        assert_eq!(record["resource"]["service.instance.id"], "run-1");
        assert_eq!(record["headers"]["x-tenant"], "orders");
        assert_eq!(record["eventName"], "iam-access-management.account-settings.eval");
        assert_eq!(record["time"], 1_760_105_007_410_000_000_u64);
        assert!(record["time"].as_u64() < record["observed"].as_u64());
        let attributes = &record["attributes"];
        assert_eq!(attributes["log.record.uid"], id.as_str());
        assert_eq!(attributes["client.address"], "192.0.2.10");
        assert_eq!(attributes["user.id"], "IBMid-1");
        assert_eq!(attributes["crossgate.enforced"], false);
        assert_eq!(attributes["crossgate.caller_account"], "f714");
        assert_eq!(attributes["crossgate.sequence"], sequence);
        let (severity, text, trace) = match sequence % 3 {
            0 => (18, "critical", format!("4bf92f3577b34da6a3ce929d{sequence:08x}")),
            _ => (9, "normal", String::new()),
        };
        assert_eq!(record["severity"], severity);
        assert_eq!(record["severityText"], text);
        assert_eq!(record["trace"], trace);
    }
    assert_eq!(cursor(place.path(), "otlp").delivered, 30);
}

#[test]
fn another_implementation_of_otlp_reads_what_goes_over_grpc() {
    check_otlp("grpc", "gzip");
    check_otlp("grpc", "none");
}

#[test]
fn another_implementation_of_otlp_reads_what_goes_over_http() {
    check_otlp("http", "gzip");
    check_otlp("http", "none");
}

#[test]
fn records_that_an_otlp_receiver_refuses_are_counted() {
    for protocol in ["grpc", "http"] {
        let (place, mut log) = log();
        let receiver = Receiver::start(&[protocol, "--reject", "4"]);
        log.append(10);
        let url = format!("http://127.0.0.1:{}", receiver.port);
        ship(place.path(), &format!("    - otlp: {{ url: \"{url}\", protocol: {protocol} }}\n"))
            .end();
        let saved = cursor(place.path(), "otlp");
        assert_eq!((saved.delivered, saved.rejected), (6, 4), "{protocol}");
    }
}

const WAIT: Duration = Duration::from_secs(20);
/// Where pauses between attempts have grown.
const LONG_WAIT: Duration = Duration::from_secs(90);
