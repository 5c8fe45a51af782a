//! The event log on real files: order, losses, rotation, a full disk, the end.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failed test panics")]

use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use crossgate::clock::{SystemClock, UnixMillis};
use crossgate::event::log::{
    Appended, EventAppender, EventLog, EventLogError, LogReader, SegmentLimits, Tail, new_instance,
};
use crossgate::event::{
    DecidedBy, EvalEvent, EventIds, EventsConfig, PolicyInput, SettingChange, UpdateEvent,
    UpdateInitiator,
};
use crossgate::iam::{AccountId, Identity, IdentityKind, IdentityType};
use crossgate::verdict::{Decision, Mode, Reason, Verdict};
use serde_json::{Value, json};

#[path = "support/identity.rs"]
mod identity;

fn identity() -> Identity {
    Identity {
        account: Some(AccountId::parse("f71446b6474d45bf81196da45de13940").unwrap()),
        principal: "arn:aws:iam::f714:user/IBMid-1".into(),
        id: "IBMid-550009FB7N".into(),
        name: "user@example.com".into(),
        authn_id: "IBMid-550009FB7N".into(),
        authn_name: "user@example.com".into(),
        issuer: "https://iam.example.com".into(),
        subject: "user@example.com".into(),
        ..identity::sample()
    }
}

fn event<'a>(identity: &'a Identity, ids: &mut EventIds, resource: &'a str) -> EvalEvent<'a> {
    let time = SystemClock.now();
    let id = ids.next(time);
    EvalEvent {
        id,
        decision_id: id,
        time,
        correlation_id: "",
        by: DecidedBy::Perimeter,
        verdict: Verdict {
            decision: Decision::Deny,
            reason: Reason::AccountNotAllowed,
            mode: Mode::ReportOnly,
        },
        candidate: false,
        identity,
        owner: AccountId::parse("59bcbfa6ea2f006b4ed7094c1a08dcdd").unwrap(),
        action: "orders:GetOrder",
        resource,
        route: "/v1/accounts/{account}/orders/{*order}",
        source_ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
        agent: "test",
        input: PolicyInput::NONE,
        revision: 1,
        decide_ns: 400,
    }
}

fn config(directory: &Path) -> EventsConfig {
    EventsConfig { directory: directory.to_owned(), ..EventsConfig::default() }
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let paths = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = paths.filter(|path| path.is_file()).collect();
    files.sort();
    files
}

/// A segment's text, in whatever form it is.
fn text(file: &Path) -> String {
    let bytes = fs::read(file).unwrap();
    let is_compressed = file.extension().is_some_and(|end| end == "zst");
    let bytes = if is_compressed { zstd::decode_all(&*bytes).unwrap() } else { bytes };
    String::from_utf8(bytes).unwrap()
}

/// Every line of every file, in the order of file names; each has to be whole.
fn events(directory: &Path) -> Vec<Value> {
    let mut events = Vec::new();
    for file in files(directory) {
        let text = text(&file);
        assert!(text.is_empty() || text.ends_with('\n'), "a torn line");
        events.extend(text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()));
    }
    events
}

fn sequences(events: &[Value]) -> Vec<u64> {
    events.iter().map(|event| event["responseData"]["sequence"].as_u64().unwrap()).collect()
}

#[track_caller]
fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    let start = SystemClock.tick();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(10), "waited too long for {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

fn append_many(appender: &mut EventAppender, count: usize, resource: &str) -> usize {
    let (identity, mut ids) = (identity(), EventIds::new());
    (0..count)
        .filter(|_| appender.append(&event(&identity, &mut ids, resource)) == Ok(Appended::Logged))
        .count()
}

#[test]
fn workers_share_one_sequence_and_the_file_has_its_order() {
    let place = tempfile::tempdir().unwrap();
    let (log, appenders) = EventLog::open(&config(place.path()), "i-1", 4).unwrap();
    thread::scope(|scope| {
        for (worker, mut appender) in appenders.into_iter().enumerate() {
            scope.spawn(move || {
                let (identity, mut ids) = (identity(), EventIds::new());
                let resource = format!("w/{worker}");
                for n in 0..5000 {
                    let event = event(&identity, &mut ids, &resource);
                    assert_eq!(appender.append(&event), Ok(Appended::Logged));
                    if n % 500 == 0 {
                        thread::sleep(Duration::from_millis(5));
                    }
                }
            });
        }
    });
    log.close().unwrap();
    let events = events(place.path());
    assert_eq!(sequences(&events), (1..=20_000).collect::<Vec<_>>());
    // Within a worker the ids rise, and all differ.
    let mut last: BTreeMap<&str, &str> = BTreeMap::new();
    for event in &events {
        let (worker, id) = (event["target"]["id"].as_str().unwrap(), event["id"].as_str().unwrap());
        assert!(last.insert(worker, id).is_none_or(|last| last < id));
    }
    assert_eq!(last.len(), 4);
}

#[test]
fn an_event_can_be_read_within_two_seconds_while_the_log_is_open() {
    let place = tempfile::tempdir().unwrap();
    let (log, mut appenders) = EventLog::open(&config(place.path()), "i-1", 1).unwrap();
    let mut tail = Tail::open(place.path()).unwrap();
    let start = SystemClock.tick();
    append_many(&mut appenders[0], 1, "r");
    let mut read = Vec::new();
    wait_for("the event", || {
        read.extend(tail.poll().unwrap());
        !read.is_empty()
    });
    assert!(start.elapsed() < Duration::from_secs(2));
    assert_eq!(read[0].event["responseData"]["sequence"], json!(1));
    let live = files(place.path());
    assert_eq!(live.len(), 1);
    assert!(live[0].to_string_lossy().ends_with(".live.ndjson"), "{live:?}");
    log.close().unwrap();
    let closed = files(place.path());
    assert_eq!(closed.len(), 1);
    assert!(!closed[0].to_string_lossy().contains(".live"), "{closed:?}");
    assert!(tail.poll().unwrap().is_empty(), "closing repeats nothing");
}

#[test]
fn segments_rotate_by_size_and_only_the_last_is_live() {
    let place = tempfile::tempdir().unwrap();
    let limits = SegmentLimits { bytes: 20_000, ..SegmentLimits::default() };
    let (log, mut appenders) =
        EventLog::open_with(&config(place.path()), "i-1", 1, limits).unwrap();
    for _ in 0..10 {
        let written = events_len(place.path()) + 30;
        append_many(&mut appenders[0], 30, "r");
        wait_for("the batch", || events_len(place.path()) >= written);
    }
    let live = |file: &PathBuf| file.to_string_lossy().ends_with(".live.ndjson");
    let now = files(place.path());
    assert!(5 <= now.len(), "{now:?}");
    assert!(now.iter().filter(|file| live(file)).count() <= 1, "{now:?}");
    log.close().unwrap();
    let closed = files(place.path());
    assert!(closed.iter().all(|file| !live(file)));
    assert_eq!(sequences(&events(place.path())), (1..=300).collect::<Vec<_>>());
    for file in &closed {
        assert!(0 < fs::metadata(file).unwrap().len(), "an empty segment stays");
    }
}

fn events_len(directory: &Path) -> usize {
    LogReader::open(directory, None).map_or(0, Iterator::count)
}

#[test]
fn segments_rotate_by_age() {
    let place = tempfile::tempdir().unwrap();
    let limits = SegmentLimits { age: Duration::from_millis(50), ..SegmentLimits::default() };
    let (log, mut appenders) =
        EventLog::open_with(&config(place.path()), "i-1", 1, limits).unwrap();
    append_many(&mut appenders[0], 1, "first");
    // No second event is needed to close the first one's segment.
    wait_for("the segment to close", || {
        files(place.path()).iter().any(|file| !file.to_string_lossy().contains(".live"))
    });
    append_many(&mut appenders[0], 1, "second");
    wait_for("two segments", || {
        files(place.path()).iter().filter(|f| !f.to_string_lossy().contains(".live")).count() == 2
    });
    log.close().unwrap();
    assert_eq!(sequences(&events(place.path())), [1, 2]);
}

#[test]
fn runs_share_a_directory_and_never_a_file() {
    let place = tempfile::tempdir().unwrap();
    // Even runs of one name in one second.
    for _ in 0..3 {
        let (log, mut appenders) = EventLog::open(&config(place.path()), "same", 1).unwrap();
        append_many(&mut appenders[0], 2, "r");
        log.close().unwrap();
    }
    assert_eq!(events(place.path()).len(), 6);
    assert_ne!(new_instance(), new_instance());
}

#[test]
fn an_unused_log_leaves_no_file() {
    let place = tempfile::tempdir().unwrap();
    let directory = place.path().join("made/for/it");
    let (log, _appenders) = EventLog::open(&config(&directory), "i-1", 2).unwrap();
    log.close().unwrap();
    assert!(files(&directory).is_empty());
}

#[test]
fn a_directory_that_cannot_be_made_is_an_error_at_start() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("file");
    fs::write(&file, "").unwrap();
    let error = EventLog::open(&config(&file.join("events")), "i-1", 1).unwrap_err();
    assert!(matches!(error, EventLogError::Directory { .. }), "{error}");
}

#[test]
fn updates_take_their_place_in_the_sequence() {
    let place = tempfile::tempdir().unwrap();
    let (log, mut appenders) = EventLog::open(&config(place.path()), "i-1", 1).unwrap();
    append_many(&mut appenders[0], 1, "before");
    let update = UpdateEvent {
        id: EventIds::new().next(SystemClock.now()),
        time: SystemClock.now(),
        correlation_id: "",
        owner: Some(AccountId::parse("59bc").unwrap()),
        initiator: UpdateInitiator {
            id: "admin",
            name: "",
            identity_type: IdentityType::User,
            kind: IdentityKind::Login,
            source_ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
            agent: "",
        },
        changes: &[SettingChange {
            update_type: "user.mode",
            initial_value: "report-only",
            new_value: "limited",
        }],
        revision: 2,
    };
    assert_eq!(log.append_update(&update), Appended::Logged);
    append_many(&mut appenders[0], 1, "after");
    log.close().unwrap();
    let events = events(place.path());
    assert_eq!(sequences(&events), [1, 2, 3]);
    assert_eq!(events[1]["requestData"]["update"][0]["newValue"], json!("limited"));
}

#[test]
fn reading_merges_instances_by_time_and_leaves_out_a_torn_end() {
    let place = tempfile::tempdir().unwrap();
    let line = |second: u64, id: &str| {
        format!("{{\"eventTime\":\"2025-10-10T14:03:{second:02}.00+0000\",\"id\":\"{id}\"}}\n")
    };
    let write = |name: &str, text: String| fs::write(place.path().join(name), text).unwrap();
    write("crossgate-b-x1-20251010T140300Z-000000.ndjson", line(1, "1") + &line(4, "4"));
    // The count rises to seven digits, where names alone would sort wrongly.
    write("crossgate-b-x1-20251010T140300Z-1000000.live.ndjson", line(7, "7") + "{\"eventTi");
    write("crossgate-b-x1-20251010T140300Z-999999.ndjson", line(6, "6"));
    write(
        "crossgate-a-x2-20251010T140300Z-000000.ndjson",
        line(2, "2") + "no json\n" + &line(5, "5"),
    );
    write("other.ndjson", line(3, "3"));
    write("notes.txt", "x".to_owned());
    let mut reader = LogReader::open(place.path(), None).unwrap();
    let read: Vec<_> = reader.by_ref().map(|event| event.unwrap()).collect();
    let ids: Vec<_> = read.iter().map(|event| event.event["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["1", "2", "3", "4", "5", "6", "7"]);
    assert_eq!(reader.unreadable_lines(), 1);
    // Files that were last written long before are not opened.
    let later = UnixMillis(SystemClock.now().0 + 3_600_000);
    assert_eq!(LogReader::open(place.path(), Some(later)).unwrap().count(), 0);
}
