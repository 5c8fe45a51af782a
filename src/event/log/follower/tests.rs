use std::fs::{self, OpenOptions};
use std::io::Write;

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::event::log::archive;
use crate::event::log::files::Form;

/// A directory of events that changes as a running log's does.
struct Log {
    place: tempfile::TempDir,
}

impl Log {
    fn new() -> Self {
        Self { place: tempfile::tempdir().unwrap() }
    }

    fn directory(&self) -> &Path {
        self.place.path()
    }

    fn path(&self, instance: &str, count: u32, form: Form) -> PathBuf {
        let stem = format!("crossgate-{instance}-20251010T140327Z-{count:06}");
        self.directory().join(format!("{stem}{}", form.ending()))
    }

    /// Writes events of these numbers, or any text, to a live segment.
    fn write(&self, instance: &str, count: u32, text: &str) {
        let path = self.path(instance, count, Form::Live);
        let mut file = OpenOptions::new().append(true).create(true).open(path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    fn close(&self, instance: &str, count: u32) {
        let (live, closed) =
            (self.path(instance, count, Form::Live), self.path(instance, count, Form::Closed));
        fs::rename(live, closed).unwrap();
    }

    fn compress(&self, instance: &str, count: u32) {
        let closed = self.path(instance, count, Form::Closed);
        let temporary = self.directory().join("tmp");
        archive::compress(&closed, &temporary).unwrap();
        fs::rename(temporary, self.path(instance, count, Form::Compressed)).unwrap();
        fs::remove_file(closed).unwrap();
    }

    fn delete(&self, instance: &str, count: u32) {
        for form in [Form::Live, Form::Closed, Form::Compressed] {
            let _ = fs::remove_file(self.path(instance, count, form));
        }
    }
}

fn lines(instance: &str, sequences: impl IntoIterator<Item = u64>) -> String {
    let line = |sequence| {
        format!(
            "{{\"eventTime\":\"2025-10-10T14:03:27.41+0000\",\"id\":\"{instance}-{sequence}\",\
             \"responseData\":{{\"instance\":\"{instance}\",\"sequence\":{sequence}}}}}\n"
        )
    };
    sequences.into_iter().map(line).collect()
}

fn ids(batch: &Batch) -> Vec<String> {
    let lines = str::from_utf8(&batch.bytes).unwrap();
    assert!(lines.is_empty() || lines.ends_with('\n'), "a torn line");
    let ids = lines.lines().map(|line| {
        let event: Value = serde_json::from_str(line).unwrap();
        event["id"].as_str().unwrap().to_owned()
    });
    let ids: Vec<_> = ids.collect();
    assert_eq!(u64::try_from(ids.len()).unwrap(), batch.events);
    ids
}

/// Everything that a follower gives now, and how much was missing.
#[track_caller]
fn rest(follower: &mut Follower) -> (Vec<String>, u64) {
    let (mut all, mut missing) = (Vec::new(), 0);
    loop {
        let batch = follower.next(200).unwrap();
        missing += batch.missing;
        if batch.bytes.is_empty() {
            return (all, missing);
        }
        all.extend(ids(&batch));
    }
}

#[track_caller]
fn check(follower: &mut Follower, instance: &str, sequences: impl IntoIterator<Item = u64>) {
    check_missing(follower, instance, sequences, 0);
}

#[track_caller]
fn check_missing(
    follower: &mut Follower,
    instance: &str,
    sequences: impl IntoIterator<Item = u64>,
    missing: u64,
) {
    let expected: Vec<_> = sequences.into_iter().map(|n| format!("{instance}-{n}")).collect();
    assert_eq!(rest(follower), (expected, missing));
}

#[test]
fn what_is_written_is_returned_once_and_in_order() {
    let log = Log::new();
    let mut follower = Follower::open(log.directory(), Position::default()).unwrap();
    check(&mut follower, "a", []);
    log.write("a", 0, &lines("a", 1..=3));
    check(&mut follower, "a", 1..=3);
    check(&mut follower, "a", []);
    log.write("a", 0, &lines("a", 4..=9));
    check(&mut follower, "a", 4..=9);
    assert_eq!(follower.position().0["a"].sequence, 9);
}

#[test]
fn a_torn_line_is_returned_when_it_is_whole() {
    let log = Log::new();
    let mut follower = Follower::open(log.directory(), Position::default()).unwrap();
    let text = lines("a", 1..=2);
    let (head, tail) = text.split_at(text.len() - 10);
    log.write("a", 0, head);
    check(&mut follower, "a", 1..=1);
    log.write("a", 0, tail);
    check(&mut follower, "a", 2..=2);
    // After a crash it is never whole: the next segment is what follows.
    log.write("a", 0, "{\"torn");
    log.write("a", 1, &lines("a", 3..=4));
    check(&mut follower, "a", 3..=4);
}

#[test]
fn batches_are_bounded_but_for_a_longer_line() {
    let log = Log::new();
    let long = format!("{{\"id\":\"long\",\"x\":\"{}\"}}\n", "x".repeat(200_000));
    log.write("a", 0, &format!("{}{long}{}", lines("a", 1..=1), lines("a", 2..=2)));
    for compressed in [false, true] {
        if compressed {
            log.close("a", 0);
            log.compress("a", 0);
        }
        let mut follower = Follower::open(log.directory(), Position::default()).unwrap();
        let one = lines("a", 1..=1).len();
        for expected in ["a-1", "long", "a-2"] {
            assert_eq!(ids(&follower.next(one + 1).unwrap()), [expected]);
        }
        assert_eq!(follower.next(one).unwrap(), Batch::default());
        let mut follower = Follower::open(log.directory(), Position::default()).unwrap();
        assert_eq!(ids(&follower.next(1 << 20).unwrap()), ["a-1", "long", "a-2"]);
    }
}

#[test]
fn a_line_that_is_far_too_long_is_passed_over() {
    let log = Log::new();
    log.write("a", 0, &lines("a", 1..=1));
    log.write("a", 0, &"x".repeat(9 << 20));
    let mut follower = Follower::open(log.directory(), Position::default()).unwrap();
    check(&mut follower, "a", 1..=1);
    log.write("a", 0, "\n");
    log.write("a", 0, &lines("a", 2..=3));
    check(&mut follower, "a", 2..=3);
}

#[test]
fn closing_and_compressing_between_two_calls_changes_nothing() {
    let log = Log::new();
    log.write("a", 0, &lines("a", 1..=10));
    let mut follower = Follower::open(log.directory(), Position::default()).unwrap();
    let one = lines("a", 1..=1).len();
    assert_eq!(ids(&follower.next(one).unwrap()), ["a-1"]);
    log.close("a", 0);
    assert_eq!(ids(&follower.next(one).unwrap()), ["a-2"]);
    log.compress("a", 0);
    assert_eq!(ids(&follower.next(one).unwrap()), ["a-3"]);
    log.write("a", 1, &lines("a", 11..=12));
    check(&mut follower, "a", 4..=12);
    log.close("a", 1);
    log.compress("a", 1);
    check(&mut follower, "a", []);
    log.write("a", 2, &lines("a", 13..=13));
    check(&mut follower, "a", 13..=13);
}

#[test]
fn what_was_deleted_unread_is_counted() {
    let log = Log::new();
    log.write("a", 0, &lines("a", 1..=10));
    let mut follower = Follower::open(log.directory(), Position::default()).unwrap();
    let one = lines("a", 1..=1).len();
    assert_eq!(ids(&follower.next(one).unwrap()), ["a-1"]);
    log.write("a", 1, &lines("a", 11..=20));
    log.write("a", 2, &lines("a", 21..=30));
    log.delete("a", 0);
    log.delete("a", 1);
    let batch = follower.next(one).unwrap();
    assert_eq!((ids(&batch), batch.missing), (vec!["a-21".to_owned()], 19));
    check(&mut follower, "a", 22..=30);
    // Deleted when it was delivered, which is as it should be.
    log.delete("a", 2);
    log.write("a", 3, &lines("a", 31..=31));
    check(&mut follower, "a", 31..=31);
}

#[test]
fn what_was_lost_before_it_was_written_is_not_counted_again() {
    let log = Log::new();
    log.write("a", 0, &lines("a", [3, 7]));
    let mut follower = Follower::open(log.directory(), Position::default()).unwrap();
    check(&mut follower, "a", [3, 7]);
    log.write("a", 0, &lines("a", [9]));
    log.write("a", 1, &lines("a", [12]));
    check(&mut follower, "a", [9, 12]);
}

#[test]
fn a_new_sink_misses_nothing_of_what_was_deleted_before() {
    let log = Log::new();
    log.write("a", 7, &lines("a", 70..=79));
    log.write("b", 3, &lines("b", 30..=31));
    let mut follower = Follower::open(log.directory(), Position::default()).unwrap();
    let (all, missing) = rest(&mut follower);
    assert_eq!((all.len(), missing), (12, 0));
    // Of an instance that came later, all before its first segment was there.
    log.write("c", 2, &lines("c", 11..=12));
    check_missing(&mut follower, "c", 11..=12, 10);
    log.write("d", 0, &lines("d", 3..=4));
    check(&mut follower, "d", 3..=4);
}

#[test]
fn a_position_goes_on_in_another_process() {
    let log = Log::new();
    log.write("a", 0, &lines("a", 1..=10));
    log.write("b", 0, &lines("b", 1..=10));
    let mut delivered = Vec::new();
    let mut position = Position::default();
    loop {
        let mut follower = Follower::open(log.directory(), position).unwrap();
        let batch = follower.next(250).unwrap();
        assert_eq!(batch.missing, 0);
        if batch.bytes.is_empty() {
            break;
        }
        delivered.extend(ids(&batch));
        let text = serde_json::to_string(follower.position()).unwrap();
        position = serde_json::from_str(&text).unwrap();
    }
    delivered.sort();
    delivered.dedup();
    assert_eq!(delivered.len(), 20);
}

#[test]
fn seeking_returns_what_was_not_delivered_again() {
    let log = Log::new();
    log.write("a", 0, &lines("a", 1..=4));
    log.close("a", 0);
    log.compress("a", 0);
    log.write("a", 1, &lines("a", 5..=6));
    let mut follower = Follower::open(log.directory(), Position::default()).unwrap();
    let one = lines("a", 1..=1).len();
    follower.next(one).unwrap();
    let delivered = follower.position().clone();
    check(&mut follower, "a", 2..=6);
    follower.seek(delivered);
    check(&mut follower, "a", 2..=6);
}

#[test]
fn foreign_archives_without_an_index_are_followed() {
    let log = Log::new();
    log.write("a", 0, &format!("{}{{\"torn", lines("a", 1..=300)));
    let plain = fs::read(log.path("a", 0, Form::Live)).unwrap();
    let packed = zstd::stream::encode_all(&plain[..], 3).unwrap();
    fs::write(log.path("a", 0, Form::Compressed), packed).unwrap();
    fs::remove_file(log.path("a", 0, Form::Live)).unwrap();
    let mut follower = Follower::open(log.directory(), Position::default()).unwrap();
    let one = lines("a", 1..=1).len();
    follower.next(one).unwrap();
    let second = follower.position().clone();
    check(&mut follower, "a", 2..=300);
    follower.seek(second);
    check(&mut follower, "a", 2..=300);
    log.write("a", 1, &lines("a", 301..=301));
    check(&mut follower, "a", 301..=301);
}

#[test]
fn a_block_that_rotted_is_passed_over_and_counted() {
    let log = Log::new();
    log.write("a", 0, &lines("a", 1..=30_000));
    log.close("a", 0);
    log.compress("a", 0);
    let path = log.path("a", 0, Form::Compressed);
    let index = archive::Index::read(&fs::File::open(&path).unwrap()).unwrap().unwrap();
    let block = index.blocks[1];
    let mut bytes = fs::read(&path).unwrap();
    bytes[usize::try_from(block.at + block.bytes / 2).unwrap()] ^= 1;
    fs::write(&path, bytes).unwrap();
    let mut follower = Follower::open(log.directory(), Position::default()).unwrap();
    let (all, missing) = rest(&mut follower);
    assert_eq!((u64::try_from(all.len()).unwrap(), missing), (30_000 - block.events, block.events));
}

#[test]
fn a_busy_instance_keeps_no_other_waiting() {
    let log = Log::new();
    log.write("busy", 0, &lines("busy", 1..=200_000));
    log.write("calm", 0, &lines("calm", 1..=1));
    let mut follower = Follower::open(log.directory(), Position::default()).unwrap();
    let mut bytes = 0;
    loop {
        let batch = follower.next(1 << 20).unwrap();
        bytes += batch.bytes.len();
        if ids(&batch)[0].starts_with("calm") {
            break;
        }
    }
    assert!(bytes <= STREAK_BYTES_MAX + (1 << 20), "{bytes}");
}

#[test]
fn the_end_is_where_writing_goes_on() {
    let log = Log::new();
    log.write("a", 0, &lines("a", 1..=3));
    log.write("b", 0, &lines("b", 1..=3));
    log.close("b", 0);
    log.compress("b", 0);
    let whole = lines("a", 4..=4);
    let (head, tail) = whole.split_at(20);
    log.write("a", 0, head);
    let mut follower = Follower::open_at_end(log.directory()).unwrap();
    check(&mut follower, "a", []);
    log.write("a", 0, tail);
    check(&mut follower, "a", 4..=4);
    log.write("c", 0, &lines("c", 1..=1));
    check(&mut follower, "c", 1..=1);
}

/// What can happen to a log between two calls.
#[derive(Clone, Copy, Debug)]
enum Step {
    Close,
    Compress,
    DeleteOldest,
    Next,
    Restart,
    Seek,
    Write,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        2 => Just(Step::Close),
        2 => Just(Step::Compress),
        1 => Just(Step::DeleteOldest),
        4 => Just(Step::Next),
        1 => Just(Step::Restart),
        1 => Just(Step::Seek),
        4 => Just(Step::Write),
    ];
    prop::collection::vec(step, 1..60)
}

proptest! {
    /// Whatever happens in between, each number is returned once or counted as missing.
    #[test]
    fn every_number_is_delivered_or_missing(steps in steps()) {
        let log = Log::new();
        let (mut live, mut oldest, mut written) = (0, 0, 0_u64);
        log.write("a", 0, "");
        let mut follower = Follower::open(log.directory(), Position::default()).unwrap();
        // The last number that was delivered or missing, and where the follower was.
        let (mut done, mut kept) = (0, follower.position().clone());
        let next = |follower: &mut Follower, done: &mut u64| {
            let batch = follower.next(300).unwrap();
            let ids = ids(&batch);
            for (index, id) in ids.iter().enumerate() {
                *done += 1 + if index == 0 { batch.missing } else { 0 };
                assert_eq!(id, &format!("a-{done}"));
            }
            ids.len()
        };
        for step in steps {
            match step {
                Step::Write => {
                    log.write("a", live, &lines("a", written + 1..=written + 3));
                    written += 3;
                }
                Step::Close => {
                    log.close("a", live);
                    live += 1;
                    log.write("a", live, "");
                }
                Step::Compress if oldest < live => {
                    if log.path("a", live - 1, Form::Closed).exists() {
                        log.compress("a", live - 1);
                    }
                }
                Step::DeleteOldest if oldest < live => {
                    log.delete("a", oldest);
                    oldest += 1;
                }
                Step::Compress | Step::DeleteOldest => {}
                Step::Next => {
                    next(&mut follower, &mut done);
                    kept = follower.position().clone();
                }
                Step::Restart => {
                    follower = Follower::open(log.directory(), follower.position().clone()).unwrap();
                }
                Step::Seek => {
                    let mut undelivered = done;
                    next(&mut follower, &mut undelivered);
                    follower.seek(kept.clone());
                }
            }
        }
        // A last segment that is not deleted makes every gap visible.
        written += 1;
        log.write("a", live, &lines("a", [written]));
        while 0 < next(&mut follower, &mut done) {}
        prop_assert_eq!(done, written);
    }
}
