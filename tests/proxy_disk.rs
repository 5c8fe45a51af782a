//! A full disk under the event log: requests go on, and each loss is counted.

#![expect(clippy::unwrap_used, reason = "a failed test panics")]

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;

use support::gate::{Config, Gate, ORDER};
use support::identities::{STRANGER, user};
use support::idp::Idp;
use support::raw::Request;
use support::upstream::Upstream;
use support::{SOON, events, poll_until};

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

#[test]
fn a_full_disk_stops_no_request_and_hides_no_loss() {
    let disk = TinyDisk::mount("64k");
    let (idp, upstream) = (Idp::start(), Upstream::start());
    let config = Config::new(&idp, upstream.address())
        .settings("default: { mode: report-only, allowlist: [] }\n")
        .set(
            "events",
            format!(
                "{{ directory: \"{}\", on_full: {{ permit: drop_oldest, deny: drop_oldest }} }}",
                disk.path().display()
            ),
        );
    let gate = Gate::start(config);
    let token = idp.token(&user(&idp.issuer(), Some(STRANGER)));
    let mut client = gate.connect();
    let asked = 400;
    // Each event has more than a kilobyte: 64 KiB hold a fraction of them.
    for _ in 0..asked {
        assert_eq!(client.ask(&Request::get(ORDER).token(&token)).status, 200);
    }
    poll_until("losses on record", SOON, || {
        gate.metrics().sum("crossgate_events_lost_total", &[]) > 0.0
    });
    assert_eq!(client.ask(&Request::get(ORDER).token(&token)).status, 200);
    assert_eq!(gate.admin(&Request::get("/healthz")).status, 200);

    let counted = || {
        let metrics = gate.metrics();
        metrics.sum("crossgate_events_written_total", &[])
            + metrics.sum("crossgate_events_lost_total", &[])
    };
    let expected = f64::from(asked) + 1.0;
    poll_until("each event written or lost", SOON, || (counted() - expected).abs() < 0.5);
    for event in events::read(&disk.path()) {
        assert!(event.is_object(), "what is there is whole");
    }
}

#[test]
fn room_on_the_disk_again_means_events_again() {
    let disk = TinyDisk::mount("64k");
    let (idp, upstream) = (Idp::start(), Upstream::start());
    let config = Config::new(&idp, upstream.address())
        .settings("default: { mode: report-only, allowlist: [] }\n")
        .set("events", format!("{{ directory: \"{}/log\" }}", disk.path().display()));
    let ballast = disk.path().join("ballast");
    let gate = Gate::start(config);
    let token = idp.token(&user(&idp.issuer(), Some(STRANGER)));
    let ask = || gate.ask(&Request::get(ORDER).token(&token));
    // Fills what is left; the write is cut short by the full disk.
    let _full = std::fs::write(&ballast, vec![0; 128 << 10]);
    poll_until("losses on record", SOON, || {
        assert_eq!(ask().status, 200);
        gate.metrics().sum("crossgate_events_lost_total", &[]) > 0.0
    });
    std::fs::remove_file(&ballast).unwrap();
    poll_until("events again", SOON, || {
        let reply = ask();
        let written = || {
            let log = events::read(&disk.path().join("log"));
            !events::of_decision(&log, &reply.decision()).is_empty()
        };
        (0..100).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(5));
            written()
        })
    });
}
