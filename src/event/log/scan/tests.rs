use std::fs;

use proptest::prelude::*;

use super::*;
use crate::event::log::{LogReader, compress};

/// A directory with a segment in each form, of two instances whose times overlap.
fn log(place: &Path, events: u64) {
    for (instance, shift) in [("a", 0), ("b", 500)] {
        for segment in 0..4 {
            let from = segment * events;
            let lines: String =
                (from..from + events).map(|n| line(instance, n, n * 1000 + shift)).collect();
            let stem = format!("crossgate-{instance}-{}-{segment:06}", stamp(from * 1000));
            let plain = place.join(format!("{stem}.ndjson"));
            fs::write(&plain, lines).unwrap();
            let packed = place.join(format!("{stem}.ndjson.zst"));
            match segment {
                0 => {
                    compress(&plain, &packed).unwrap();
                    fs::remove_file(&plain).unwrap();
                }
                // As another tool compresses it.
                1 => {
                    let text = fs::read(&plain).unwrap();
                    fs::write(&packed, zstd::stream::encode_all(&text[..], 1).unwrap()).unwrap();
                    fs::remove_file(&plain).unwrap();
                }
                2 => {}
                _ => {
                    let live = place.join(format!("{stem}.live.ndjson"));
                    let text = fs::read_to_string(&plain).unwrap() + "{\"torn";
                    fs::write(live, text).unwrap();
                    fs::remove_file(plain).unwrap();
                }
            }
        }
    }
}

/// A moment as a segment's name has it.
fn stamp(millis: u64) -> String {
    let mut text = Vec::new();
    time::write_seconds(&mut text, UnixMillis(START + millis).seconds());
    text.retain(|byte| !matches!(byte, b'-' | b':'));
    format!("{}Z", String::from_utf8(text).unwrap())
}

fn line(instance: &str, n: u64, millis: u64) -> String {
    let mut time = Vec::new();
    let moment = UnixMillis(START + millis);
    time::write_seconds(&mut time, moment.seconds());
    time::write_fraction(&mut time, moment);
    let time = String::from_utf8(time).unwrap();
    let decision = if n.is_multiple_of(7) { "Deny" } else { "Permit" };
    format!(
        "{{\"action\":\"iam-access-management.policy.eval\",\"eventTime\":\"{time}\",\
         \"id\":\"{instance}-{n:06}\",\"padding\":\"{n:0>1000}\",\
         \"responseData\":{{\"decision\":\"{decision}\",\"instance\":\"{instance}\"}}}}\n"
    )
}

/// The ids that a search finds.
fn found(place: &Path, query: &str, window: Window, limit: Option<usize>) -> Vec<String> {
    let query = Query::parse(query).unwrap();
    let order = if limit.is_some() { Order::NewestFirst } else { Order::OldestFirst };
    let scan = Scan::open(place, &query, &[], window, order).unwrap();
    let (mut lines, mut bytes) = (Vec::new(), 0);
    let (mut oldest, mut newest) = (OldestFirst::default(), limit.map(NewestLines::new));
    scan.run(FoundLine::new, |part| -> Result<_, ReadError> {
        bytes += part.bytes;
        assert_eq!(part.unreadable_lines, 0);
        let Some(newest) = &mut newest else {
            lines.extend(oldest.take(part));
            return Ok(ControlFlow::Continue(()));
        };
        if newest.take(part) == Wanted::Enough {
            return Ok(ControlFlow::Break(()));
        }
        Ok(ControlFlow::Continue(()))
    })
    .unwrap();
    lines.extend(newest.into_iter().flat_map(NewestLines::into_lines));
    let ids = lines.into_iter().map(|line| {
        let event: Value = serde_json::from_slice(&line.line).unwrap();
        event[ID].as_str().unwrap().to_owned()
    });
    ids.collect()
}

/// The ids that reading everything finds.
fn matching(place: &Path, query: &str, window: Window) -> Vec<String> {
    let query = Query::parse(query).unwrap();
    let events = LogReader::open(place, None).unwrap().map(Result::unwrap);
    let events = events.filter(|it| window.holds(it.time) && query.matches(&it.event));
    events.map(|it| it.event[ID].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_search_finds_what_reading_everything_finds_in_the_same_order() {
    let place = tempfile::tempdir().unwrap();
    log(place.path(), 1200);
    let at = |seconds: u64| Some(UnixMillis(START + seconds * 1000));
    let hour = Window { since: at(1900), until: at(3500) };
    for window in [Window::default(), hour, Window { since: at(4790), until: None }] {
        for query in
            ["", "*", "responseData.decision:Deny", "NOT responseData.decision:Deny", "nothing"]
        {
            let all = matching(place.path(), query, window);
            for limit in [None, Some(0), Some(1), Some(1000), Some(100_000)] {
                let expected = &all[all.len().saturating_sub(limit.unwrap_or(usize::MAX))..];
                let found = found(place.path(), query, window, limit);
                assert!(found == expected, "{query:?} {window:?} {limit:?}: {}", found.len());
            }
        }
    }
}

#[test]
fn blocks_outside_of_the_window_are_not_read() {
    let place = tempfile::tempdir().unwrap();
    log(place.path(), 5000);
    let query = Query::parse("").unwrap();
    let bytes =
        |window| Scan::open(place.path(), &query, &[], window, Order::OldestFirst).unwrap().bytes();
    let at = |seconds: u64| Some(UnixMillis(START + seconds * 1000));
    let all = bytes(Window::default());
    // The beginning of the first segments, which are the ones with an index.
    let until = bytes(Window { since: None, until: at(100) });
    let both = bytes(Window { since: at(50), until: at(100) });
    assert!(until <= all / 10 && both <= until, "{all} {until} {both}");
}

#[test]
fn enough_of_the_newest_ends_a_search() {
    let place = tempfile::tempdir().unwrap();
    for segment in 0..50 {
        let stem = format!("crossgate-a-20251010T140000Z-{segment:06}");
        let lines: String = (0..10).map(|n| line("a", n, (segment * 10 + n) * 1000)).collect();
        let plain = place.path().join(format!("{stem}.ndjson"));
        fs::write(&plain, lines).unwrap();
        compress(&plain, &place.path().join(format!("{stem}.ndjson.zst"))).unwrap();
        fs::remove_file(plain).unwrap();
    }
    let query = Query::parse("").unwrap();
    let window = Window::default();
    let scan = Scan::open(place.path(), &query, &[], window, Order::NewestFirst).unwrap();
    let (mut parts, mut newest) = (0, NewestLines::new(15));
    scan.run(FoundLine::new, |part| -> Result<_, ReadError> {
        parts += 1;
        Ok(match newest.take(part) {
            Wanted::Enough => ControlFlow::Break(()),
            Wanted::More => ControlFlow::Continue(()),
        })
    })
    .unwrap();
    assert_eq!((parts, newest.into_lines().count()), (2, 15));
}

#[test]
fn an_error_ends_a_search_and_names_the_file() {
    let place = tempfile::tempdir().unwrap();
    log(place.path(), 5000);
    let rotten = place.path().join(format!("crossgate-a-{}-000000.ndjson.zst", stamp(0)));
    let mut bytes = fs::read(&rotten).unwrap();
    bytes[1000] ^= 1;
    fs::write(&rotten, bytes).unwrap();
    let query = Query::parse("").unwrap();
    let window = Window::default();
    let scan = Scan::open(place.path(), &query, &[], window, Order::OldestFirst).unwrap();
    let result = scan.run(FoundLine::new, |_| Ok::<_, ReadError>(ControlFlow::Continue(())));
    assert_eq!(result.unwrap_err().path, rotten);
}

#[test]
fn a_thread_that_breaks_down_ends_the_search() {
    let place = tempfile::tempdir().unwrap();
    log(place.path(), 100);
    let query = Query::parse("").unwrap();
    let window = Window::default();
    let scan = Scan::open(place.path(), &query, &[], window, Order::OldestFirst).unwrap();
    let broken = |_: UnixMillis, _: &Value, _: &[u8]| -> u8 { panic!("broken") };
    let result = scan.run(broken, |_| Ok::<_, ReadError>(ControlFlow::Continue(())));
    assert!(result.is_err());
}

#[test]
fn lines_that_are_no_events_are_counted_whatever_is_looked_for() {
    let place = tempfile::tempdir().unwrap();
    let lines =
        ["garbage", "{\"no\":\"time\"}", "{\"eventTime\":\"2025-10-10T14:03:27Z\"}", "", "{torn}"];
    fs::write(place.path().join("x.ndjson"), lines.map(|line| format!("{line}\n")).concat())
        .unwrap();
    for (query, expected) in [("", 4), ("Deny", 2)] {
        let query = Query::parse(query).unwrap();
        let window = Window::default();
        let scan = Scan::open(place.path(), &query, &[], window, Order::OldestFirst).unwrap();
        let mut unreadable = 0;
        scan.run(FoundLine::new, |part| {
            unreadable += part.unreadable_lines;
            Ok::<_, ReadError>(ControlFlow::Continue(()))
        })
        .unwrap();
        assert_eq!(unreadable, expected);
    }
}

proptest! {
    /// However a file is cut, each line is in one chunk.
    #[test]
    fn chunks_have_each_line_once(
        lengths in prop::collection::vec(0_usize..40, 0..20),
        chunk in 1_u64..60,
        torn in 0_usize..3,
    ) {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("x");
        let lines = lengths.iter().map(|length| "x".repeat(*length) + "\n").collect::<Vec<_>>().concat();
        fs::write(&path, format!("{lines}{}", "t".repeat(torn))).unwrap();
        let file = fs::File::open(&path).unwrap();
        let length = file.metadata().unwrap().len();
        let (mut from, mut all, mut buffer) = (0, Vec::new(), Vec::new());
        while from < length {
            let to = length.min(from + chunk);
            all.extend_from_slice(plan::read_chunk(&file, from, to, &mut buffer).unwrap());
            from = to;
        }
        prop_assert_eq!(String::from_utf8(all).unwrap(), lines);
    }
}

/// 2025-10-10T14:00:00Z.
const START: u64 = 1_760_104_800_000;
