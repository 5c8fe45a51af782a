//! A full disk under the event log: requests go on, and each loss is counted.

#![expect(clippy::unwrap_used, reason = "a failed test panics")]

mod support;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use support::gate::{Config, Gate, ORDER};
use support::identities::{STRANGER, user};
use support::idp::Idp;
use support::raw::Request;
use support::upstream::Upstream;
use support::{events, h2, poll_until};

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

/// A log on this disk, everything recorded, one worker so that one queue takes it all.
fn config(idp: &Idp, upstream: &Upstream, disk: &TinyDisk) -> Config {
    Config::new(idp, upstream.address())
        .settings("default: { mode: report-only, allowlist: [] }\n")
        .set("workers", "1")
        .set("events", format!("{{ directory: \"{}/log\" }}", disk.path().display()))
}

/// Sends so many requests over one connection; each must be answered as on an empty disk.
fn flood(gate: &Gate, token: &str, requests: usize) {
    h2::runtime().block_on(async {
        let sender = h2::connect(gate.proxy).await;
        let mut streams = tokio::task::JoinSet::new();
        for _ in 0..requests {
            let (sender, request) = (sender.clone(), h2::get(gate.proxy, ORDER, token));
            streams.spawn(async move { h2::ask(&sender, request).await });
            if streams.len() >= STREAMS {
                assert_eq!(streams.join_next().await.unwrap().unwrap().unwrap().status(), 200);
            }
        }
        while let Some(reply) = streams.join_next().await {
            assert_eq!(reply.unwrap().unwrap().status(), 200);
        }
    });
}

#[test]
fn a_full_disk_stops_no_request_and_each_event_is_written_or_counted() {
    let disk = TinyDisk::mount("64k");
    let (idp, upstream) = (Idp::start(), Upstream::start());
    let gate = Gate::start(config(&idp, &upstream, &disk));
    let token = idp.token(&user(&idp.issuer(), Some(STRANGER)));
    let count = |name: &str| gate.metrics().sum(name, &[]);
    let mut asked = 0;
    poll_until("losses on record", Duration::from_mins(2), || {
        flood(&gate, &token, BATCH);
        asked += BATCH;
        count("crossgate_events_lost_total") > 0.0
    });
    assert_eq!(gate.admin(&Request::get("/readyz")).status, 200);

    disk.grow("64m");
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
fn room_on_the_disk_again_means_events_again() {
    let disk = TinyDisk::mount("256k");
    let (idp, upstream) = (Idp::start(), Upstream::start());
    let gate = Gate::start(config(&idp, &upstream, &disk));
    let token = idp.token(&user(&idp.issuer(), Some(STRANGER)));
    let ballast = disk.path().join("ballast");
    // Takes what is left; the full disk cuts the write short.
    let _full = std::fs::write(&ballast, vec![0; 512 << 10]);
    flood(&gate, &token, 100);
    let reply = gate.ask(&Request::get(ORDER).token(&token));
    assert_eq!(reply.status, 200);
    std::fs::remove_file(&ballast).unwrap();
    poll_until("the event", Duration::from_secs(30), || {
        let log = events::read(&disk.path().join("log"));
        !events::of_decision(&log, &reply.decision()).is_empty()
    });
}

const STREAMS: usize = 64;
const BATCH: usize = 1_000;
