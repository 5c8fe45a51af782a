//! Sinks of the running program: what they do to it, and what of them is told.

#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "a failed test panics")]

mod support;

use std::process::Command;

use serde_json::Value;

use support::collector::{Collector, Mood};
use support::gate::{Config, Gate, ORDER};
use support::identities::{STRANGER, user};
use support::idp::Idp;
use support::lines::Lines;
use support::nats::Nats;
use support::raw::Request;
use support::upstream::Upstream;
use support::{SOON, poll, poll_until};

struct Stage {
    idp: Idp,
    upstream: Upstream,
}

impl Stage {
    fn new() -> Self {
        Self { idp: Idp::start(), upstream: Upstream::start() }
    }

    /// Everything recorded, and these sinks.
    fn config(&self, sinks: &str) -> Config {
        Config::new(&self.idp, self.upstream.address())
            .settings("default: { mode: report-only, allowlist: [] }\n")
            .set("events", format!("\n  directory: events\n  sinks:\n{sinks}"))
    }

    /// Sends so many requests; each makes an event.
    #[track_caller]
    fn ask(&self, gate: &Gate, requests: usize) {
        let token = self.idp.token(&user(&self.idp.issuer(), Some(STRANGER)));
        let mut client = gate.connect();
        for _ in 0..requests {
            let reply = client.ask(&Request::get(ORDER).token(&token));
            assert_eq!(reply.status, 200);
        }
    }
}

fn http(name: &str, collector: &Collector) -> String {
    format!(
        "    - http: {{ name: {name}, url: \"http://{}/\", timeout: 500ms }}\n",
        collector.address()
    )
}

#[track_caller]
fn status(gate: &Gate, format: &str) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_crossgate"))
        .args(["events", "status", "--format", format, "--config"])
        .arg(gate.path("crossgate.yaml"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[track_caller]
fn sink(gate: &Gate, name: &str) -> Value {
    let status: Value = serde_json::from_str(&status(gate, "json")).unwrap();
    let sinks = status["sinks"].as_array().unwrap();
    sinks.iter().find(|sink| sink["name"] == name).unwrap().clone()
}

#[test]
fn lag_deliveries_and_losses_are_metrics_and_in_the_status() {
    let stage = Stage::new();
    let (sound, broken) = (Collector::start(Mood::Takes), Collector::start(Mood::Hangs));
    let sinks = http("sound", &sound) + &http("broken", &broken);
    let gate = Gate::start(stage.config(&sinks));
    stage.ask(&gate, 40);
    sound.wait_for(40, SOON);
    broken.wait_asked(2, SOON);
    let value = |name: &str, labels: &[(&str, &str)]| gate.metrics().sum(name, labels);
    poll_until("the lag of both is told", SOON, || {
        let lag = |sink| value("crossgate_sink_lag_events", &[("sink", sink)]);
        (lag("sound"), lag("broken")) == (0.0, 40.0)
    });
    let deliveries = |sink, result| {
        value("crossgate_sink_deliveries_total", &[("sink", sink), ("result", result)])
    };
    assert!((deliveries("sound", "delivered") - 40.0).abs() < 0.5);
    assert!(0.0 < deliveries("broken", "failed"));
    assert!(deliveries("broken", "delivered") < 0.5);
    poll_until("the cursor is saved", SOON, || sink(&gate, "sound")["lagEvents"] == 0);
    assert_eq!(sink(&gate, "sound")["delivered"], 40);
    assert_eq!(sink(&gate, "broken")["error"], "never delivered anything yet");
    assert!(status(&gate, "text").contains("sound"));

    broken.set(Mood::Answers(400));
    let lost = poll("what is refused is counted", SOON * 3, || {
        let lost = value("crossgate_events_lost_total", &[("reason", "sink_rejected")]);
        (40.0 <= lost).then_some(lost)
    });
    assert!((lost - 40.0).abs() < 0.5, "{lost}");
    let ended = gate.finish();
    assert!(ended.status.success());
}

#[test]
fn the_end_has_a_last_try_for_what_was_written_last() {
    let stage = Stage::new();
    let collector = Collector::start(Mood::Takes);
    let gate = Gate::start(stage.config(&http("http", &collector)));
    stage.ask(&gate, 200);
    let ended = gate.finish();
    assert!(ended.status.success(), "{}", ended.stderr);
    assert_eq!(ended.events.len(), 200);
    assert_eq!(collector.ids().len(), 200);
}

#[test]
fn sinks_change_without_a_restart() {
    let stage = Stage::new();
    let [gone, old, new, late] = [(); 4].map(|()| Collector::start(Mood::Takes));
    let mut gate = Gate::start(stage.config(&(http("gone", &gone) + &http("moved", &old))));
    stage.ask(&gate, 30);
    gone.wait_for(30, SOON);
    old.wait_for(30, SOON);
    poll_until("the cursor is saved", SOON, || sink(&gate, "moved")["delivered"] == 30);
    let sinks = http("moved", &new) + &http("late", &late);
    let events = stage.config(&sinks).part("events").to_owned();
    gate.reconfigure(|config| config.set("events", events));
    late.wait_for(30, SOON);
    stage.ask(&gate, 20);
    late.wait_for(50, SOON);
    new.wait_for(20, SOON);
    assert_eq!(new.received(|it| it.lines.len()), 20, "it goes on where it was");
    assert_eq!([&gone, &old].map(|it| it.received(|it| it.lines.len())), [30, 30]);
    assert!(!gate.stderr().contains("after a restart"), "{}", gate.stderr());
    let ended = gate.finish();
    assert_eq!(ended.events.len(), 50);
}

#[test]
fn a_sink_that_hangs_does_not_hold_up_the_end() {
    let stage = Stage::new();
    let collector = Collector::start(Mood::Hangs);
    let gate = Gate::start(stage.config(&http("http", &collector)));
    stage.ask(&gate, 5);
    collector.wait_asked(1, SOON);
    let ended = gate.finish();
    assert!(ended.status.success(), "{}", ended.stderr);
    assert_eq!(ended.events.len(), 5);
}

/// Goal: what a sink lacks is in no memory. Method: a log of 256 MiB that one sink takes and
/// another one does not, and the most memory that the program ever had.
#[test]
fn a_backlog_is_in_no_memory() {
    let stage = Stage::new();
    let (sound, broken) = (Collector::start(Mood::Takes), Collector::start(Mood::Hangs));
    let backlog = tempfile::tempdir().unwrap();
    let mut lines = Lines::begin(backlog.path(), "before");
    for _ in 0..4 {
        lines.append(EVENTS / 4);
        lines.rotate();
    }
    let sinks = http("sound", &sound) + &http("broken", &broken);
    let config = stage.config("").set(
        "events",
        format!("\n  directory: \"{}\"\n  sinks:\n{sinks}", backlog.path().display()),
    );
    let gate = Gate::start(config);
    poll_until("one sink has all", SOON * 12, || EVENTS <= sound.received(|it| it.lines.len()));
    stage.ask(&gate, 10);
    let peak_kib = peak_kib(gate.pid());
    assert!(peak_kib < 128 * 1024, "{peak_kib} KiB");
}

fn peak_kib(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// No level of the log, no metric and no event tells a login, a header or what a receiver says.
#[test]
fn secrets_of_sinks_are_told_nowhere() {
    let stage = Stage::new();
    let refusing = Collector::start(Mood::Answers(401));
    let server =
        Nats::with(&format!("authorization {{ user: \"{SECRET}\", password: \"{SECRET}\" }}"));
    let sinks = format!(
        "    - nats: {{ url: \"nats://{SECRET}:{SECRET}@{}\", stream: S, subject: s, create: true }}\n    \
         - http: {{ url: \"http://{}/\", headers: {{ authorization: \"Bearer {SECRET}\" }} }}\n    \
         - otlp: {{ url: \"http://{}\", protocol: grpc, headers: {{ x-token: {SECRET} }}, timeout: 300ms }}\n",
        server.address,
        refusing.address(),
        refusing.address(),
    );
    let gate = Gate::start(stage.config(&sinks).log("trace"));
    stage.ask(&gate, 3);
    refusing.wait_asked(2, SOON);
    poll_until("the login is good, and the others fail", SOON, || {
        let metrics = gate.metrics();
        [("nats", "delivered"), ("http", "failed"), ("otlp", "failed")].iter().all(
            |(sink, result)| {
                let labels = [("sink", *sink), ("result", *result)];
                0.0 < metrics.sum("crossgate_sink_deliveries_total", &labels)
            },
        )
    });
    let told = [gate.metrics().text, status(&gate, "json"), status(&gate, "text")];
    let ended = gate.finish();
    for text in told.iter().chain([&ended.stderr]) {
        assert!(!text.contains(SECRET), "{text}");
    }
    assert!(ended.stderr.contains("events can't be delivered"), "{}", ended.stderr);
}

#[test]
fn events_go_to_standard_output() {
    let stage = Stage::new();
    let gate = Gate::start(stage.config("    - stdout: {}\n"));
    stage.ask(&gate, 20);
    poll_until("the lines are there", SOON, || 20 <= gate.stdout().lines().count());
    for line in gate.stdout().lines() {
        serde_json::from_str::<Value>(line).unwrap_or_else(|error| panic!("{error} in {line}"));
    }
}

/// About 256 MiB.
const EVENTS: usize = 256 * 1024;
const SECRET: &str = "hunter2-hunter2";
