use std::collections::BTreeMap;

use super::*;
use crate::event::log::{Place, Position};

fn keeper(directory: &Path, age: Duration, size_bytes: u64) -> Keeper {
    fs::create_dir_all(state_directory(directory)).unwrap();
    let retention = Retention { age, size_bytes };
    let config =
        EventsConfig { directory: directory.to_owned(), retention, ..EventsConfig::default() };
    Keeper::new(&config, SinkPositions::default(), Arc::new(Progress::new(0)))
}

fn stem(count: u32) -> String {
    format!("crossgate-i-20251010T140327Z-{count:06}")
}

fn line(sequence: u64) -> String {
    format!(
        "{{\"eventTime\":\"2025-10-10T14:03:27.41+0000\",\"id\":\"{sequence}\",\"responseData\":\
         {{\"instance\":\"i\",\"sequence\":{sequence}}}}}\n"
    )
}

/// Writes a segment that was changed so many hours ago; returns its text.
fn write(
    directory: &Path,
    name: &str,
    sequences: std::ops::RangeInclusive<u64>,
    hours: u64,
) -> String {
    let text: String = sequences.map(line).collect();
    let path = directory.join(name);
    fs::write(&path, &text).unwrap();
    let now = UNIX_EPOCH + Duration::from_millis(SystemClock.now().0);
    let file = OpenOptions::new().write(true).open(path).unwrap();
    file.set_modified(now - Duration::from_hours(hours)).unwrap();
    text
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.retain(|name| name != "state");
    names.sort();
    names
}

const DAYS: Duration = Duration::from_hours(24 * 90);

#[test]
fn closed_segments_are_compressed_and_live_and_foreign_files_are_left_alone() {
    let place = tempfile::tempdir().unwrap();
    let mut keeper = keeper(place.path(), DAYS, u64::MAX);
    let text = write(place.path(), &format!("{}.ndjson", stem(0)), 1..=2000, 0);
    let live = format!("{}.live.ndjson", stem(1));
    write(place.path(), &live, 2001..=2002, 0);
    write(place.path(), "notes.ndjson", 1..=2, 0);
    keeper.compress();
    let compressed = format!("{}.ndjson.zst", stem(0));
    assert_eq!(names(place.path()), [compressed.clone(), live, "notes.ndjson".to_owned()]);
    let back = zstd::decode_all(File::open(place.path().join(compressed)).unwrap()).unwrap();
    assert_eq!(String::from_utf8(back).unwrap(), text);
    assert_eq!(names(&state_directory(place.path())), Vec::<String>::new());
}

#[test]
fn a_compression_that_was_killed_before_its_last_step_is_ended() {
    let place = tempfile::tempdir().unwrap();
    let mut keeper = keeper(place.path(), DAYS, u64::MAX);
    let plain = format!("{}.ndjson", stem(0));
    let text = write(place.path(), &plain, 1..=10, 0);
    // Half a target of an earlier try.
    fs::write(state_directory(place.path()).join(format!("{}.zst.tmp", stem(0))), "half").unwrap();
    keeper.compress();
    let compressed = format!("{}.ndjson.zst", stem(0));
    assert_eq!(names(place.path()), [compressed.as_str()]);
    fs::write(place.path().join(&plain), &text).unwrap();
    keeper.compress();
    assert_eq!(names(place.path()), [compressed.as_str()]);
}

#[test]
fn what_is_older_than_the_age_goes() {
    let place = tempfile::tempdir().unwrap();
    let keeper = keeper(place.path(), Duration::from_hours(10), u64::MAX);
    for (count, hours) in [(0, 30), (1, 11), (2, 9), (3, 0)] {
        write(place.path(), &format!("{}.ndjson", stem(count)), 1..=2, hours);
    }
    write(place.path(), &format!("{}.live.ndjson", stem(4)), 1..=2, 30);
    write(place.path(), "notes.ndjson", 1..=2, 30);
    keeper.retain().unwrap();
    let expected = [2, 3].map(|count| format!("{}.ndjson", stem(count)));
    let live = format!("{}.live.ndjson", stem(4));
    assert_eq!(names(place.path()), [&expected[0], &expected[1], &live, "notes.ndjson"]);
}

#[test]
fn the_oldest_go_while_the_directory_is_too_large() {
    let place = tempfile::tempdir().unwrap();
    let bytes = u64::try_from((1..=100).map(|n| line(n).len()).sum::<usize>()).unwrap();
    let keeper = keeper(place.path(), DAYS, 3 * bytes + 50);
    for (count, hours) in [(0, 3), (1, 5), (2, 1), (3, 2), (4, 4)] {
        write(place.path(), &format!("{}.ndjson", stem(count)), 1..=100, hours);
    }
    keeper.retain().unwrap();
    let expected = [0, 2, 3].map(|count| format!("{}.ndjson", stem(count)));
    assert_eq!(names(place.path()), expected);
}

#[test]
fn what_a_sink_does_not_have_of_a_removed_segment_is_counted() {
    let place = tempfile::tempdir().unwrap();
    let keeper = keeper(place.path(), DAYS, u64::MAX);
    write(place.path(), &format!("{}.ndjson", stem(3)), 11..=20, 0);
    let segment = segments(place.path()).unwrap().remove(0);
    for (known, expected) in [
        (None, 10),
        (Some(Place { segment: 2, offset: 0, sequence: 4 }), 10),
        (Some(Place { segment: 3, offset: 0, sequence: 14 }), 6),
        (Some(Place { segment: 4, offset: 0, sequence: 20 }), 0),
    ] {
        let known: BTreeMap<_, _> =
            known.map(|place| ("i".to_owned(), place)).into_iter().collect();
        keeper.sinks.set("s", &Position(known));
        let missed: u64 = keeper.undelivered(&segment).unwrap().iter().map(|(_, n)| n).sum();
        assert_eq!(missed, expected);
    }
}

#[test]
fn one_process_keeps_a_directory() {
    let place = tempfile::tempdir().unwrap();
    let mut first = keeper(place.path(), DAYS, u64::MAX);
    let mut second = keeper(place.path(), DAYS, u64::MAX);
    assert!(first.is_in_charge() && !second.is_in_charge());
    drop(first);
    assert!(second.is_in_charge());
}
