//! What the log counts, as Prometheus reads it. A process of its own: the recorder is global.

#![expect(clippy::unwrap_used, reason = "a failed test panics")]

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::process::Command;

use crossgate::clock::SystemClock;
use crossgate::event::log::{Appended, EventLog};
use crossgate::event::{
    DecidedBy, EvalEvent, EventIds, EventsConfig, OnFull, OnFullByDecision, PolicyInput,
};
use crossgate::iam::{AccountId, Identity};
use crossgate::verdict::{Decision, Mode, Reason, Verdict};
use metrics_exporter_prometheus::PrometheusBuilder;

#[path = "support/identity.rs"]
mod identity;

fn event<'a>(identity: &'a Identity, ids: &mut EventIds, resource: &'a str) -> EvalEvent<'a> {
    let id = ids.next(SystemClock.now());
    EvalEvent {
        id,
        decision_id: id,
        time: SystemClock.now(),
        correlation_id: "",
        by: DecidedBy::Perimeter,
        verdict: Verdict {
            decision: Decision::Deny,
            reason: Reason::NoAccount,
            mode: Mode::Limited,
        },
        candidate: false,
        identity,
        owner: AccountId::parse("59bc").unwrap(),
        action: "a",
        resource,
        route: "/",
        source_ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
        agent: "",
        input: PolicyInput::NONE,
        revision: 1,
        decide_ns: 1,
    }
}

/// Goal: written + lost = appended, to the last one. Method: a disk without room until the ring is
/// full, then with room.
#[test]
fn written_and_lost_events_add_up() {
    let metrics = PrometheusBuilder::new().install_recorder().unwrap();
    let count = |series: &str| {
        let text = metrics.render();
        let line = text.lines().find(|line| line.starts_with(series)).map(str::to_owned);
        line.map_or(0, |line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap())
    };
    let place = tempfile::tempdir().unwrap();
    let disk = |options: &str| {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(place.path());
        assert!(mount.status().unwrap().success(), "this test mounts a disk, which takes root");
    };
    disk("size=1m");
    let directory = place.path().join("events");
    let on_full = OnFullByDecision { permit: OnFull::DropOldest, deny: OnFull::DropOldest };
    let config = EventsConfig { directory: directory.clone(), on_full, ..EventsConfig::default() };
    let (log, mut appenders) = EventLog::open(&config, "i", 1).unwrap();
    let appender = appenders.first_mut().unwrap();
    let (identity, mut ids, resource) = (identity::sample(), EventIds::new(), "r".repeat(2000));
    let appended = 10_000;
    let results: Vec<_> = (0..appended)
        .map(|_| appender.append(&event(&identity, &mut ids, &resource)).unwrap())
        .collect();
    assert!(results.contains(&Appended::Logged) && results.contains(&Appended::Lost));
    disk("remount,size=64m");
    log.close().unwrap();
    assert!(0 < count(LOST));
    assert_eq!(count(WRITTEN) + count(LOST), appended);
    let lines: usize = fs::read_dir(&directory)
        .unwrap()
        .map(|file| file.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "zst"))
        .map(|path| zstd::decode_all(fs::File::open(path).unwrap()).unwrap())
        .map(|lines| memchr::memchr_iter(b'\n', &lines).count())
        .sum();
    assert_eq!(u64::try_from(lines).unwrap(), count(WRITTEN));
    Command::new("umount").arg("-l").arg(place.path()).status().unwrap();
}

const LOST: &str = "crossgate_events_lost_total{reason=\"queue_full\"}";
const WRITTEN: &str =
    "crossgate_events_written_total{action=\"iam-access-management.account-settings.eval\"}";
