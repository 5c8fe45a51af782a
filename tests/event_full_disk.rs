//! A disk that is full: each `on_full` does what it says, and what is lost is counted to the last.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failed test panics")]

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use crossgate::clock::SystemClock;
use crossgate::event::log::{
    Appended, EventAppender, EventLog, EventLogError, LogFull, LogReader, LogView, recover,
};
use crossgate::event::{
    DecidedBy, EvalEvent, EventIds, EventsConfig, OnFull, OnFullByDecision, PolicyInput,
};
use crossgate::iam::AccountId;
use crossgate::verdict::{Decision, Mode, Reason, Verdict};

#[path = "support/identity.rs"]
mod identity;

/// Appends one event whose resource is this.
fn append(
    appender: &mut EventAppender,
    decision: Decision,
    resource: &str,
) -> Result<Appended, LogFull> {
    let id = EventIds::new().next(SystemClock.now());
    appender.append(&EvalEvent {
        id,
        decision_id: id,
        time: SystemClock.now(),
        correlation_id: "",
        by: DecidedBy::Perimeter,
        verdict: Verdict { decision, reason: Reason::NoAccount, mode: Mode::ReportOnly },
        candidate: false,
        identity: &identity::sample(),
        owner: AccountId::parse("59bc").unwrap(),
        action: "a",
        resource,
        route: "/",
        source_ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
        agent: "",
        input: PolicyInput::NONE,
        revision: 1,
        decide_ns: 1,
    })
}

/// A small file system of its own, which is full until it grows.
struct Disk {
    place: tempfile::TempDir,
}

impl Disk {
    fn mount() -> Self {
        let place = tempfile::tempdir().unwrap();
        let disk = Self { place };
        assert!(
            disk.root("mount", &["-t", "tmpfs", "-o", "size=2m", "tmpfs"]),
            "this test mounts a tmpfs: run it as root, or where `sudo -n mount` works"
        );
        disk
    }

    fn root(&self, program: &str, arguments: &[&str]) -> bool {
        let run = |mut command: Command| {
            command
                .args(arguments)
                .arg(self.place.path())
                .output()
                .is_ok_and(|o| o.status.success())
        };
        let mut sudo = Command::new("sudo");
        sudo.args(["-n", program]);
        run(Command::new(program)) || run(sudo)
    }

    fn directory(&self) -> PathBuf {
        self.place.path().join("events")
    }

    fn open(&self, permit: OnFull, deny: OnFull) -> (EventLog, EventAppender) {
        let config = EventsConfig {
            directory: self.directory(),
            on_full: OnFullByDecision { permit, deny },
            ..EventsConfig::default()
        };
        let (log, mut appenders) = EventLog::open(&config, "small", 1).unwrap();
        (log, appenders.pop().unwrap())
    }

    /// Takes all the room that is left.
    fn fill(&self) {
        let filler = vec![0; 4 * 1024 * 1024];
        fs::write(self.place.path().join("filler"), filler).unwrap_err();
    }

    fn grow(&self) {
        assert!(self.root("mount", &["-o", "remount,size=64m"]));
    }

    /// Number and resource of every event in the files, in the log's order.
    fn events(&self) -> Vec<(u64, String)> {
        Self::events_in(&self.directory())
    }

    /// Those that a command sees, when so many of them wait in rings for long.
    fn viewed(&self, waiting: u64) -> Vec<u64> {
        let mut numbers = Vec::new();
        wait_for("events that wait for long", || {
            let view = LogView::open(&self.directory()).unwrap();
            numbers = Self::events_in(view.path()).into_iter().map(|(number, _)| number).collect();
            view.waiting == waiting
        });
        numbers
    }

    fn events_in(directory: &Path) -> Vec<(u64, String)> {
        let reader = LogReader::open(directory, None).unwrap();
        let events = reader.map(|event| {
            let event = event.unwrap().event;
            let number = event["responseData"]["sequence"].as_u64().unwrap();
            (number, event["target"]["id"].as_str().unwrap().to_owned())
        });
        events.collect()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.root("umount", &["--lazy"]);
    }
}

#[track_caller]
fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    let start = SystemClock.tick();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(10), "waited too long for {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

/// Appends numbered events until one is not logged; returns how many were.
fn append_until_full(
    appender: &mut EventAppender,
    decision: Decision,
) -> (u64, Result<Appended, LogFull>) {
    for number in 1.. {
        let result = append(appender, decision, &number.to_string());
        if result != Ok(Appended::Logged) {
            return (number - 1, result);
        }
    }
    unreachable!("the log took everything")
}

#[test]
fn the_oldest_permits_go_and_each_leaves_a_gap() {
    let disk = Disk::mount();
    let (log, mut appender) = disk.open(OnFull::DropOldest, OnFull::Block);
    disk.fill();
    // No faster than the writer drops: each of these has room when it comes.
    let last = 2000;
    for number in 1..=last {
        if number % 10 == 0 {
            thread::sleep(Duration::from_millis(15));
        }
        let appended = append(&mut appender, Decision::Permit, &number.to_string());
        assert_eq!(appended, Ok(Appended::Logged), "{number}");
    }
    disk.grow();
    log.close().unwrap();
    let events = disk.events();
    assert!(events.len() < 2000, "nothing had to go");
    let (numbers, resources): (Vec<u64>, Vec<u64>) =
        events.iter().map(|(n, resource)| (*n, resource.parse::<u64>().unwrap())).unzip();
    assert_eq!(numbers, resources, "an event keeps its number");
    let newest: Vec<u64> = (last + 1 - u64::try_from(events.len()).unwrap()..=last).collect();
    // What was written before the disk was full stays; of the rest, the newest.
    let split = numbers.windows(2).position(|pair| pair[0] + 1 < pair[1]);
    let kept = split.map_or(&numbers[..], |at| &numbers[at + 1..]);
    assert!(newest.ends_with(kept), "{kept:?}");
    assert_eq!(numbers.last(), Some(&last));
}

#[test]
fn a_flood_of_permits_takes_no_room_of_denials() {
    let disk = Disk::mount();
    let (log, mut appender) = disk.open(OnFull::DropOldest, OnFull::Block);
    disk.fill();
    let mut lost = 0;
    for _ in 0..20_000 {
        match append(&mut appender, Decision::Permit, "permit").unwrap() {
            Appended::Logged => {}
            Appended::Lost => lost += 1,
        }
    }
    assert!(0 < lost, "the flood was too small");
    assert_eq!(append(&mut appender, Decision::Deny, "denial"), Ok(Appended::Logged));
    disk.grow();
    log.close().unwrap();
    assert_eq!(disk.events().iter().filter(|(_, resource)| resource == "denial").count(), 1);
}

#[test]
fn what_blocks_waits_and_loses_nothing() {
    let disk = Disk::mount();
    let (log, mut appender) = disk.open(OnFull::DropOldest, OnFull::Block);
    disk.fill();
    let (logged, result) = append_until_full(&mut appender, Decision::Deny);
    assert_eq!(result, Err(LogFull::Wait));
    // A permit goes on meanwhile.
    assert_eq!(append(&mut appender, Decision::Permit, "permit"), Ok(Appended::Logged));
    // Who asks meanwhile gets what waits in the rings too.
    let in_files = u64::try_from(disk.events().len()).unwrap();
    let viewed = disk.viewed(logged + 1 - in_files);
    assert_eq!(viewed, (1..=logged + 1).collect::<Vec<_>>());
    disk.grow();
    wait_for("room", || append(&mut appender, Decision::Deny, "after") == Ok(Appended::Logged));
    log.close().unwrap();
    let numbers: Vec<u64> = disk.events().into_iter().map(|(number, _)| number).collect();
    assert_eq!(numbers, (1..=logged + 2).collect::<Vec<_>>());
}

#[test]
fn what_refuses_says_so_and_loses_nothing() {
    let disk = Disk::mount();
    let (log, mut appender) = disk.open(OnFull::RefuseRequests, OnFull::RefuseRequests);
    disk.fill();
    for decision in [Decision::Permit, Decision::Deny] {
        let (_, result) = append_until_full(&mut appender, decision);
        assert_eq!(result, Err(LogFull::Refuse));
    }
    disk.grow();
    wait_for("room", || append(&mut appender, Decision::Permit, "after") == Ok(Appended::Logged));
    log.close().unwrap();
    let numbers: Vec<u64> = disk.events().into_iter().map(|(number, _)| number).collect();
    assert_eq!(numbers, (1..=u64::try_from(numbers.len()).unwrap()).collect::<Vec<_>>());
}

#[test]
fn what_the_disk_did_not_take_until_the_end_is_written_by_the_next_start() {
    let disk = Disk::mount();
    let (log, mut appender) = disk.open(OnFull::Block, OnFull::Block);
    disk.fill();
    let (logged, _) = append_until_full(&mut appender, Decision::Permit);
    let error = log.close().unwrap_err();
    let EventLogError::Unwritten { events } = error else { panic!("{error}") };
    assert_eq!(u64::try_from(disk.events().len()).unwrap() + events, logged);
    // Nobody reads the rings any more.
    assert_eq!(append(&mut appender, Decision::Permit, "late"), Ok(Appended::Lost));
    drop(appender);
    recover(&disk.directory()).unwrap_err();
    assert_eq!(disk.viewed(events), (1..=logged).collect::<Vec<_>>());
    assert_eq!(u64::try_from(disk.events().len()).unwrap() + events, logged, "nothing twice");
    disk.grow();
    assert_eq!(recover(&disk.directory()).unwrap(), events);
    let numbers: Vec<u64> = disk.events().into_iter().map(|(number, _)| number).collect();
    assert_eq!(numbers, (1..=logged).collect::<Vec<_>>());
    assert_eq!(recover(&disk.directory()).unwrap(), 0);
}

#[test]
fn a_directory_without_room_for_the_smallest_rings_is_an_error() {
    let disk = Disk::mount();
    disk.fill();
    fs::create_dir_all(disk.directory()).unwrap();
    let config = EventsConfig { directory: disk.directory(), ..EventsConfig::default() };
    let error = EventLog::open(&config, "small", 1).unwrap_err();
    assert!(matches!(error, EventLogError::Directory { .. }), "{error}");
    assert_eq!(left(&disk.directory().join("state")), Vec::<PathBuf>::new());
}

fn left(directory: &Path) -> Vec<PathBuf> {
    fs::read_dir(directory).into_iter().flatten().map(|entry| entry.unwrap().path()).collect()
}
