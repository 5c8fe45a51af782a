//! A full disk under the event log: requests go on, wait or are refused, as `on_full` says.

#![expect(clippy::unwrap_used, reason = "a failed test panics")]

mod support;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use support::gate::{Config, Gate, ORDER};
use support::identities::{STRANGER, user};
use support::idp::Idp;
use support::policies::Policies;
use support::raw::{Client, Request};
use support::upstream::Upstream;
use support::{events, free_address, h2, poll, poll_until};

/// A file system of its own with almost no room. Gone when dropped.
struct TinyDisk {
    directory: tempfile::TempDir,
}

impl TinyDisk {
    #[track_caller]
    fn mount(size: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let options = format!("size={size}");
        let arguments = ["-t", "tmpfs", "-o", &options, "crossgate-test"];
        let mounted = as_root("mount", &arguments, directory.path());
        assert!(
            mounted,
            "this test mounts a tmpfs: run it as root, or where `sudo -n mount` works"
        );
        Self { directory }
    }

    fn grow(&self, size: &str) {
        let options = format!("remount,size={size}");
        assert!(as_root("mount", &["-o", &options], self.directory.path()));
    }

    fn path(&self) -> PathBuf {
        self.directory.path().to_owned()
    }
}

impl Drop for TinyDisk {
    fn drop(&mut self) {
        as_root("umount", &["--lazy"], self.directory.path());
    }
}

fn as_root(program: &str, arguments: &[&str], path: &Path) -> bool {
    let direct = Command::new(program).args(arguments).arg(path).output();
    let done = |output: std::io::Result<std::process::Output>| {
        output.is_ok_and(|output| output.status.success())
    };
    done(direct)
        || done(Command::new("sudo").args(["-n", program]).args(arguments).arg(path).output())
}

/// A log on this disk, everything recorded, one worker so that its rings take it all.
fn config(idp: &Idp, upstream: &Upstream, disk: &TinyDisk, on_full: &str) -> Config {
    let directory = disk.path().join("log");
    let on_full = format!("{{ permit: {on_full}, deny: {on_full} }}");
    Config::new(idp, upstream.address())
        .settings("default: { mode: report-only, allowlist: [] }\n")
        .set("workers", "1")
        .set("events", format!("{{ directory: \"{}\", on_full: {on_full} }}", directory.display()))
}

/// Sends so many requests over one connection; each must be answered as on an empty disk.
fn flood(proxy: SocketAddr, token: &str, requests: usize, answered: &AtomicUsize) {
    h2::runtime().block_on(async {
        let sender = h2::connect(proxy).await;
        let mut streams = tokio::task::JoinSet::new();
        for _ in 0..requests {
            let (sender, request) = (sender.clone(), h2::get(proxy, ORDER, token));
            streams.spawn(async move { h2::ask(&sender, request).await.unwrap().status() });
            if streams.len() >= STREAMS {
                assert_eq!(streams.join_next().await.unwrap().unwrap(), 200);
                answered.fetch_add(1, Ordering::Relaxed);
            }
        }
        while let Some(status) = streams.join_next().await {
            assert_eq!(status.unwrap(), 200);
            answered.fetch_add(1, Ordering::Relaxed);
        }
    });
}

#[test]
fn where_the_oldest_may_go_no_request_stops_and_each_event_is_written_or_counted() {
    let disk = TinyDisk::mount("1m");
    let (idp, upstream) = (Idp::start(), Upstream::start());
    let gate = Gate::start(config(&idp, &upstream, &disk, "drop_oldest"));
    let token = idp.token(&user(&idp.issuer(), Some(STRANGER)));
    let count = |name: &str| gate.metrics().sum(name, &[]);
    let asked = AtomicUsize::new(0);
    poll_until("losses on record", Duration::from_mins(2), || {
        flood(gate.proxy, &token, BATCH, &asked);
        count("crossgate_events_lost_total") > 0.0
    });
    assert_eq!(gate.admin(&Request::get("/readyz")).status, 200);

    disk.grow("64m");
    let asked = asked.into_inner();
    let all = f64::from(u32::try_from(asked).unwrap());
    poll_until("each event written or lost", Duration::from_secs(30), || {
        (count("crossgate_events_written_total") + count("crossgate_events_lost_total") - all).abs()
            < 0.5
    });
    let written = count("crossgate_events_written_total");
    let ended = gate.finish();
    assert!(ended.status.success(), "{}", ended.stderr);
    let log = events::read(&disk.path().join("log"));
    assert!((f64::from(u32::try_from(log.len()).unwrap()) - written).abs() < 0.5, "{written}");
    let numbers: BTreeSet<u64> =
        log.iter().map(|event| event["responseData"]["sequence"].as_u64().unwrap()).collect();
    assert_eq!(numbers.len(), log.len(), "no number twice");
    let last = usize::try_from(*numbers.last().unwrap()).unwrap();
    assert!(last <= asked, "a lost event is a gap in the numbers: {last} of {asked}");
}

#[test]
fn where_events_block_requests_wait_for_room_and_none_is_lost() {
    let disk = TinyDisk::mount("1m");
    let (idp, upstream) = (Idp::start(), Upstream::start());
    let gate = Gate::start(config(&idp, &upstream, &disk, "block"));
    let token = idp.token(&user(&idp.issuer(), Some(STRANGER)));
    let ballast = disk.path().join("ballast");
    // Takes what is left; the full disk cuts the write short.
    let _full = std::fs::write(&ballast, vec![0; 2 << 20]);
    let answered = AtomicUsize::new(0);
    let requests = 3 * BATCH;
    std::thread::scope(|scope| {
        scope.spawn(|| flood(gate.proxy, &token, requests, &answered));
        let (mut last, mut still) = (0, 0);
        poll_until("the log to be full", Duration::from_secs(30), || {
            std::thread::sleep(Duration::from_millis(20));
            let now = answered.load(Ordering::Relaxed);
            still = if now == last { still + 1 } else { 0 };
            last = now;
            0 < now && still > 25
        });
        assert!(last < requests, "nothing waited");
        std::fs::remove_file(&ballast).unwrap();
        disk.grow("64m");
    });
    assert_eq!(answered.into_inner(), requests);
    assert!(gate.metrics().sum("crossgate_events_lost_total", &[]) < 0.5);
    gate.finish();
    let log = events::read(&disk.path().join("log"));
    assert_eq!(log.len(), requests);
    assert_eq!(log.last().unwrap()["responseData"]["sequence"], requests);
}

#[test]
fn where_requests_are_refused_the_answer_says_so_until_there_is_room() {
    let disk = TinyDisk::mount("1m");
    let (idp, upstream) = (Idp::start(), Upstream::start());
    let gate = Gate::start(config(&idp, &upstream, &disk, "refuse_requests"));
    let token = idp.token(&user(&idp.issuer(), Some(STRANGER)));
    let ballast = disk.path().join("ballast");
    let _full = std::fs::write(&ballast, vec![0; 2 << 20]);
    let mut forwarded = 0;
    let refused = poll("a refusal", Duration::from_secs(30), || {
        let reply = gate.ask(&Request::get(ORDER).token(&token));
        forwarded += u32::from(reply.status == 200);
        (reply.status != 200).then_some(reply)
    });
    refused.assert_problem(503, "event_log_full");
    assert_eq!(refused.header("retry-after"), Some("1"));
    let outcome = [("outcome", "event_log_full")];
    assert!(gate.metrics().sum("crossgate_requests_total", &outcome) > 0.5);
    std::fs::remove_file(&ballast).unwrap();
    poll_until("room again", Duration::from_secs(30), || {
        let reply = gate.ask(&Request::get(ORDER).token(&token));
        forwarded += u32::from(reply.status == 200);
        reply.status == 200
    });
    assert_eq!(upstream.count(), usize::try_from(forwarded).unwrap(), "none unrecorded");
    gate.finish();
    let log = events::read(&disk.path().join("log"));
    assert_eq!(log.len(), usize::try_from(forwarded).unwrap());
}

#[test]
fn no_session_is_decided_that_can_not_be_recorded() {
    let disk = TinyDisk::mount("1m");
    let (idp, upstream) = (Idp::start(), Upstream::start());
    let sts = free_address();
    let section =
        format!("{{ address: \"{sts}\", issuer: \"http://{sts}\", audiences: [orders] }}");
    let policies = Policies::new().user(STRANGER, "ana", &[]);
    let config = config(&idp, &upstream, &disk, "refuse_requests").set("sts", section);
    let gate = Gate::start(policies.of(config, "mode: unrestricted"));
    let _full = std::fs::write(disk.path().join("ballast"), vec![0; 2 << 20]);
    let attempt = Request::new("POST", "/")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(b"Action=AssumeRole&Version=2011-06-15&RoleArn=arn:aws:iam::1:role/a&RoleSessionName=ab");
    let mut client = Client::connect(sts);
    let mut refused = 0;
    let unavailable = poll("a full log", Duration::from_mins(1), || {
        let reply = client.ask(&attempt);
        refused += usize::from(reply.status == 403);
        (reply.status != 403).then_some(reply)
    });
    assert_eq!((unavailable.status, unavailable.header("retry-after")), (503, Some("1")));
    let body = String::from_utf8(unavailable.body).unwrap();
    assert!(body.contains("<Code>ServiceUnavailable</Code>"), "{body}");
    std::fs::remove_file(disk.path().join("ballast")).unwrap();
    poll_until("room again", Duration::from_secs(30), || {
        let reply = client.ask(&attempt);
        refused += usize::from(reply.status == 403);
        reply.status == 403
    });
    gate.finish();
    let log = events::read(&disk.path().join("log"));
    assert_eq!(events::with(&log, "/action", "sts.role.assume").len(), refused);
}

const STREAMS: usize = 64;
const BATCH: usize = 1_000;
