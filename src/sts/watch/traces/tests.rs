use proptest::prelude::*;

use super::*;

const WINDOW: Duration = Duration::from_mins(10);
const WINDOW_MS: u64 = 600_000;

fn network(address: &str) -> Network {
    Network::of(address.parse().unwrap())
}

#[test]
fn addresses_of_one_network_are_one() {
    assert_eq!(network("::ffff:192.0.2.1"), network("192.0.2.1"));
    assert_eq!(network("2001:db8:1:2::1"), network("2001:db8:1:2:ffff:ffff:ffff:ffff"));
    for (one, other) in [
        ("192.0.2.1", "192.0.2.2"),
        ("2001:db8:1:2::1", "2001:db8:1:3::1"),
        ("::", "0.0.0.0"),
        // As bits they are equal.
        ("0:0:0:1::", "0.0.0.1"),
    ] {
        assert_ne!(network(one), network(other), "{one} {other}");
    }
}

#[test]
fn the_first_value_is_nothing_new_and_the_next_is() {
    let mut seen = Seen::<u64, 4>::default();
    let mut note = |value, at| seen.note(value, UnixMillis(at));
    assert_eq!(note(1, 10), Newness::First);
    assert_eq!(note(1, 11), Newness::Known);
    assert_eq!(note(2, 12), Newness::New { known: 2, displaced: None });
    assert_eq!(note(1, 13), Newness::Known);
}

#[test]
fn beyond_the_limit_the_one_that_was_seen_longest_ago_is_forgotten() {
    let mut seen = Seen::<u64, 3>::default();
    let mut note = |value, at| seen.note(value, UnixMillis(at));
    for (value, at) in [(1, 10), (2, 11), (3, 12), (1, 13)] {
        note(value, at);
    }
    let forgotten = |at| Newness::New { known: 3, displaced: Some(UnixMillis(at)) };
    assert_eq!(note(4, 14), forgotten(11));
    assert_eq!([note(1, 15), note(3, 16), note(4, 17)], [Newness::Known; 3]);
    assert_eq!(note(2, 18), forgotten(15));
    // What the past tells late does not take the place of what is newer.
    note(9, 1);
    assert_eq!([note(2, 19), note(3, 20), note(4, 21)], [Newness::Known; 3]);
}

#[test]
fn who_comes_from_more_than_is_remembered_is_not_told_in_each_turn() {
    let mut seen = Seen::<u64, 3>::default();
    let mut told = |value, at| seen.note(value, UnixMillis(at)).told(UnixMillis(at), WINDOW);
    let window = u64::try_from(WINDOW.as_millis()).unwrap();
    assert_eq!([told(1, 0), told(2, 1), told(3, 2)], [None, Some(2), Some(3)]);
    for turn in 1..5 {
        let at = 10 * turn;
        let all = [told(4, at), told(1, at + 1), told(2, at + 2), told(3, at + 3)];
        assert_eq!(all, [None; 4], "turn {turn}");
    }
    // What was not seen for a window is told.
    assert_eq!(told(9, 100 + window), Some(3));
}

#[test]
fn the_past_does_not_make_a_value_older() {
    let mut seen = Seen::<u64, 2>::default();
    for (value, at) in [(1, 10), (2, 11), (1, 12), (1, 5), (3, 13)] {
        seen.note(value, UnixMillis(at));
    }
    assert_eq!(seen.note(1, UnixMillis(14)), Newness::Known);
}

/// What is told of failures at these times.
fn told(limit: u32, times: impl IntoIterator<Item = u64>) -> Vec<(u64, u32)> {
    let mut failures = Failures::default();
    let told = |at| failures.add(UnixMillis(at), limit, WINDOW).map(|count| (at, count));
    times.into_iter().filter_map(told).collect()
}

#[test]
fn failures_are_told_when_there_are_as_many_as_the_limit_within_the_window() {
    assert_eq!(told(5, 0..4), []);
    assert_eq!(told(5, 0..5), [(4, 5)]);
    assert_eq!(told(1, 0..1), [(0, 1)]);
    // The first is just inside, and just outside.
    assert_eq!(told(3, [0, 1, WINDOW_MS - 1]), [(WINDOW_MS - 1, 3)]);
    assert_eq!(told(3, [0, 1, WINDOW_MS]), []);
    assert_eq!(told(3, [0, 1, WINDOW_MS, WINDOW_MS]), [(WINDOW_MS, 3)]);
    // Slowly, for ever.
    assert_eq!(told(5, (0..100).map(|n| n * WINDOW_MS / 4)), []);
}

#[test]
fn failures_are_told_once_in_a_window_and_then_with_all_since() {
    // One each second for a window and a bit.
    let seconds = |count: u64| (0..count).map(|n| n * 1000);
    assert_eq!(told(5, seconds(604)), [(4000, 5)]);
    assert_eq!(told(5, seconds(605)), [(4000, 5), (604_000, 600)]);
    assert_eq!(told(5, seconds(1205)), [(4000, 5), (604_000, 600), (1_204_000, 600)]);
    // After a pause it begins anew.
    let later = 10 * WINDOW_MS;
    assert_eq!(told(5, seconds(100).chain(later..later + 5)), [(4000, 5), (later + 4, 5)]);
}

#[test]
fn a_clock_that_went_back_makes_nothing_old_and_ends_nothing() {
    assert_eq!(told(3, [WINDOW_MS * 5, 0, 1]), [(1, 3)]);
}

#[test]
fn external_ids_count_once_each() {
    let mut tried = Tried::default();
    let mut add = |id, at| tried.add(id, UnixMillis(at), 3, WINDOW);
    let answers = [add(1, 0), add(1, 1), add(2, 2), add(2, 3), add(1, 4), add(3, 5)];
    assert_eq!(answers, [None, None, None, None, None, Some(3)]);
    assert_eq!((add(4, 6), add(5, 7)), (None, None), "told");
    // The window has passed since it was told, and four are still within it.
    let mut add = |id, at| tried.add(id, UnixMillis(at), 3, WINDOW);
    assert_eq!(add(6, WINDOW_MS + 5), Some(3));
}

#[test]
fn external_ids_of_long_ago_are_forgotten() {
    let mut tried = Tried::default();
    let mut add = |id, at| tried.add(id, UnixMillis(at), 3, WINDOW);
    let answers = [add(1, 0), add(2, 1), add(3, WINDOW_MS), add(4, WINDOW_MS)];
    assert_eq!(answers, [None, None, None, Some(3)]);
}

proptest! {
    /// Goal: no limit is missed, and none is told much too early. Method: beside a list of all times.
    #[test]
    fn failures_are_counted_as_a_list_of_them_would(
        limit in 1_u32..400,
        steps in proptest::collection::vec(0_u64..5000, 1..600),
    ) {
        let mut failures = Failures::default();
        let (mut now, mut times, mut last) = (0, Vec::new(), None::<u64>);
        let group = limit.div_ceil(15);
        for step in steps {
            now += step;
            times.push(now);
            times.retain(|then| now - then < WINDOW_MS);
            let exact = u32::try_from(times.len()).unwrap();
            let told = failures.add(UnixMillis(now), limit, WINDOW);
            let is_due = last.is_none_or(|last| WINDOW_MS <= now - last);
            if told.is_some() {
                prop_assert!(is_due && limit < exact + group, "{exact} of {limit}");
                last = Some(now);
            } else if is_due {
                prop_assert!(exact < limit, "{exact} of {limit}");
            }
            prop_assert!(failures.marks.len() <= MARKS_MAX);
        }
    }

    #[test]
    fn external_ids_never_grow(ids in proptest::collection::vec(any::<u64>(), 1..200)) {
        let mut tried = Tried::default();
        for (at, id) in (0..).zip(ids) {
            tried.add(id, UnixMillis(at), u32::MAX, WINDOW);
            prop_assert!(tried.ids.len() <= EXTERNAL_IDS_MAX);
        }
    }
}
