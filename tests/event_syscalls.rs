//! What the event log asks of the system, as strace sees it: nothing for an event in the usual case,
//! the disk for each with `sync: always`.

#![expect(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a failed test panics")]

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crossgate::clock::SystemClock;
use crossgate::event::log::{Appended, EventAppender, EventLog};
use crossgate::event::{DecidedBy, EvalEvent, EventIds, EventsConfig, PolicyInput, Sync};
use crossgate::iam::AccountId;
use crossgate::verdict::{Decision, Mode, Reason, Verdict};

#[path = "support/identity.rs"]
mod identity;

/// Appends events of a request each.
fn append(appender: &mut EventAppender, ids: &mut EventIds, events: u32) {
    let identity = identity::sample();
    for _ in 0..events {
        let id = ids.next(SystemClock.now());
        let appended = appender.append(&EvalEvent {
            id,
            decision_id: id,
            time: SystemClock.now(),
            correlation_id: "",
            by: DecidedBy::Perimeter,
            verdict: Verdict {
                decision: Decision::Permit,
                reason: Reason::AccountAllowlisted,
                mode: Mode::ReportOnly,
            },
            candidate: false,
            identity: &identity,
            owner: AccountId::parse("59bc").unwrap(),
            action: "orders:GetOrder",
            resource: "arn:aws:orders::59bc:order/7",
            route: "/orders",
            source_ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
            agent: "",
            input: PolicyInput::NONE,
            revision: 1,
            decide_ns: 1,
        });
        assert_eq!(appended, Ok(Appended::Logged));
    }
}

/// In a process under strace: what is done between two marks.
fn traced(sync: Sync, work: impl FnOnce(&mut EventAppender, &mut EventIds)) {
    let place = tempfile::tempdir().unwrap();
    let directory = place.path().join("events");
    let config = EventsConfig { directory, sync, ..EventsConfig::default() };
    let (log, mut appenders) = EventLog::open(&config, "i", 1).unwrap();
    let (appender, mut ids) = (appenders.first_mut().unwrap(), EventIds::new());
    append(appender, &mut ids, 100);
    let _ = fs::metadata(MARK);
    work(appender, &mut ids);
    let _ = fs::metadata(MARK);
    log.close().unwrap();
}

/// Runs a test of this file again under strace; every call of the process between the marks, with
/// its thread, and the thread that made the marks.
fn calls_between_marks(test: &str) -> (String, Vec<(String, String)>) {
    let place = tempfile::tempdir().unwrap();
    let trace = place.path().join("trace");
    let mut strace = Command::new("strace");
    strace.args(["-f", "-o"]).arg(&trace).arg(std::env::current_exe().unwrap());
    strace.args(["--exact", test]).env(TRACED, "1");
    let output = strace.output().expect("strace is installed");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
    let trace = fs::read_to_string(trace).unwrap();
    let calls = trace.lines().filter_map(|line| line.split_once(' '));
    let calls = calls.map(|(id, call)| (id.to_owned(), call.trim().to_owned()));
    // A call that another thread's came between has a second line.
    let calls: Vec<_> = calls.filter(|(_, call)| !call.starts_with("<... ")).collect();
    let marks: Vec<usize> =
        (0..calls.len()).filter(|at| calls.get(*at).unwrap().1.contains(MARK)).collect();
    let [start, end] = *marks else { panic!("{} marks", marks.len()) };
    let thread = calls.get(start).unwrap().0.clone();
    (thread, calls.get(start + 1..end).unwrap().to_vec())
}

fn is_traced() -> bool {
    std::env::var_os(TRACED).is_some()
}

#[test]
fn an_event_is_in_the_log_without_a_system_call() {
    if is_traced() {
        return traced(Sync::default(), |appender, ids| append(appender, ids, 5000));
    }
    let (thread, calls) = calls_between_marks("an_event_is_in_the_log_without_a_system_call");
    let own: Vec<_> = calls.iter().filter(|(id, _)| *id == thread).collect();
    assert!(own.is_empty(), "{own:?}");
}

#[test]
fn with_sync_always_an_event_is_on_the_disk_before_its_answer() {
    if is_traced() {
        return traced(Sync::Always, |appender, ids| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
            let (runtime, waiter) = (runtime.unwrap(), appender.waiter());
            for _ in 0..20 {
                append(appender, ids, 1);
                assert!(runtime.block_on(waiter.durable(&appender.mark().unwrap())));
            }
        });
    }
    let (_, calls) =
        calls_between_marks("with_sync_always_an_event_is_on_the_disk_before_its_answer");
    let synced = calls.iter().filter(|(_, call)| call.starts_with("fdatasync(")).count();
    assert!(20 <= synced, "{synced} of 20 events were forced to the disk");
}

#[test]
fn an_interval_forces_what_was_written() {
    if is_traced() {
        return traced(Sync::Interval(Duration::from_millis(50)), |appender, ids| {
            append(appender, ids, 1);
            std::thread::sleep(Duration::from_millis(500));
        });
    }
    let (_, calls) = calls_between_marks("an_interval_forces_what_was_written");
    assert!(calls.iter().any(|(_, call)| call.starts_with("fdatasync(")), "{calls:?}");
}

/// A path that is asked for, so that a trace shows where work begins and ends.
const MARK: &str = "/crossgate-test-mark";
/// Set in the process that is traced.
const TRACED: &str = "CROSSGATE_TEST_TRACED";

#[test]
fn marks_are_no_files() {
    assert!(!Path::new(MARK).exists());
}
