use serde_json::json;

use super::*;

fn at(minute: u64) -> UnixMillis {
    UnixMillis(minute * 60_000)
}

/// The coverage of minutes 0 to 100 by runs of (minute, number) events and notes on the account.
#[track_caller]
fn check(
    runs: &[(&str, &[(u64, u64)])],
    notes: &[(u64, Watch)],
    now: Option<Watch>,
    expected: &[(u64, u64, Cover)],
) -> Coverage {
    let mut tally = RunTally::new(Window { since: Some(at(0)), until: at(100) });
    for (instance, events) in runs {
        for (minute, sequence) in *events {
            let event = json!({"responseData": {"instance": instance, "sequence": sequence}});
            tally.add(at(*minute), &RunMark::of(&event).unwrap());
        }
    }
    let mut track = Track::default();
    for (minute, watch) in notes {
        track.note(at(*minute), *watch);
    }
    let coverage = tally.finish(&[&track], now);
    let found: Vec<_> = coverage
        .segments
        .iter()
        .map(|segment| (segment.from.0 / 60_000, segment.to.0 / 60_000, segment.cover))
        .collect();
    assert_eq!(found, expected);
    coverage
}

const ON: Watch = Watch::Observed;
const OFF: Watch = Watch::Unobserved;

#[test]
fn time_without_a_proxy_is_named_and_never_quiet() {
    let coverage = check(
        &[("a", &[(10, 1), (30, 2)]), ("b", &[(50, 1), (90, 2)])],
        &[(10, ON), (90, ON)],
        None,
        &[
            (0, 10, Cover::BeforeLog),
            (10, 30, Cover::Observed),
            (30, 50, Cover::BetweenRuns),
            (50, 90, Cover::Observed),
            (90, 100, Cover::AfterLog),
        ],
    );
    assert_eq!(coverage.observed_ms(), 60 * 60_000);
    assert_eq!(coverage.window_ms(), 100 * 60_000);
    assert_eq!(coverage.runs.len(), 2);
}

#[test]
fn runs_that_overlap_cover_together() {
    check(
        &[("a", &[(0, 1), (60, 2)]), ("b", &[(40, 1), (100, 2)])],
        &[(0, ON), (100, ON)],
        None,
        &[(0, 100, Cover::Observed)],
    );
}

#[test]
fn a_run_without_an_event_of_the_account_tells_nothing_of_it() {
    let run: &[(&str, &[(u64, u64)])] = &[("a", &[(0, 1), (100, 2)])];
    check(run, &[], None, &[(0, 100, Cover::SettingUnknown)]);
    check(run, &[], Some(ON), &[(0, 100, Cover::SettingUnknown)]);
    check(
        run,
        &[(20, ON), (70, ON)],
        None,
        &[
            (0, 20, Cover::SettingUnknown),
            (20, 70, Cover::Observed),
            (70, 100, Cover::SettingUnknown),
        ],
    );
    // The settings file tells that it is still observed.
    check(
        run,
        &[(20, ON), (70, ON)],
        Some(ON),
        &[(0, 20, Cover::SettingUnknown), (20, 100, Cover::Observed)],
    );
    check(
        run,
        &[(20, ON), (70, ON)],
        Some(OFF),
        &[
            (0, 20, Cover::SettingUnknown),
            (20, 70, Cover::Observed),
            (70, 100, Cover::SettingUnknown),
        ],
    );
}

#[test]
fn time_in_which_the_account_was_not_observed_is_named() {
    check(
        &[("a", &[(0, 1), (100, 2)])],
        // The change at 60 is told by an update, that from 20 to 40 is not.
        &[(0, ON), (20, ON), (40, OFF), (60, OFF), (60, ON), (100, ON)],
        None,
        &[
            (0, 20, Cover::Observed),
            (20, 40, Cover::SettingUnknown),
            (40, 60, Cover::NotObserved),
            (60, 100, Cover::Observed),
        ],
    );
}

#[test]
fn missing_numbers_are_losses_in_between() {
    let coverage = check(
        &[("a", &[(0, 1), (20, 2), (30, 6), (100, 7)])],
        &[(0, ON), (100, ON)],
        None,
        &[(0, 100, Cover::Observed)],
    );
    assert_eq!(coverage.lost_events, 3);
    let expected = Loss { instance: "a".to_owned(), after: at(20), before: at(30), events: 3 };
    assert_eq!(coverage.losses, [expected]);
    assert!(coverage.has_loss_between(at(25), at(26)));
    assert!(!coverage.has_loss_between(at(40), at(50)));
}

#[test]
fn what_comes_out_of_order_is_no_loss() {
    let coverage = check(
        &[("a", &[(0, 2), (0, 1), (20, 4), (20, 5), (21, 3), (40, 8), (41, 7), (100, 9)])],
        &[(0, ON), (100, ON)],
        None,
        &[(0, 100, Cover::Observed)],
    );
    assert_eq!(coverage.lost_events, 1);
    let expected = Loss { instance: "a".to_owned(), after: at(20), before: at(41), events: 1 };
    assert_eq!(coverage.losses, [expected]);
    assert_eq!(coverage.runs[0].first_sequence, 1);
}

#[test]
fn a_loss_long_ago_does_not_wait_for_the_end() {
    let mut tally = RunTally::new(Window { since: None, until: at(1_000_000) });
    let wait = u64::try_from(AHEAD_MAX).unwrap();
    for sequence in (1..10).chain(12..12 + wait) {
        let event = json!({"responseData": {"instance": "a", "sequence": sequence}});
        tally.add(at(sequence), &RunMark::of(&event).unwrap());
    }
    assert_eq!(tally.lost_events, 0);
    let event = json!({"responseData": {"instance": "a", "sequence": 12 + wait}});
    tally.add(at(12 + wait), &RunMark::of(&event).unwrap());
    assert_eq!(tally.lost_events, 2);
    assert!(tally.runs["a"].ahead.len() <= 1);
    assert_eq!(tally.lost_events(), 2);
}

#[test]
fn a_run_that_began_before_what_was_read_has_no_loss() {
    let coverage = check(
        &[("a", &[(0, 500), (100, 501)])],
        &[(0, ON), (100, ON)],
        None,
        &[(0, 100, Cover::Observed)],
    );
    assert_eq!(coverage.lost_events, 0);
    assert_eq!(coverage.runs[0].first_sequence, 500);
}

#[test]
fn an_empty_log_covers_nothing() {
    check(&[], &[], Some(ON), &[(0, 100, Cover::AfterLog)]);
    let everything = RunTally::new(Window { since: None, until: at(5) }).finish(&[], None);
    assert_eq!((everything.segments.len(), everything.window_ms()), (0, 0));
}

#[test]
fn events_before_the_window_tell_of_runs_that_go_into_it() {
    let mut tally = RunTally::new(Window { since: Some(at(50)), until: at(100) });
    for (minute, sequence) in [(10, 1), (20, 5), (80, 6)] {
        let event = json!({"responseData": {"instance": "a", "sequence": sequence}});
        tally.add(at(minute), &RunMark::of(&event).unwrap());
    }
    let mut track = Track::default();
    track.note(at(10), ON);
    track.note(at(80), ON);
    let coverage = tally.finish(&[&track], None);
    assert_eq!(coverage.observed_ms(), 30 * 60_000);
    // What was lost before the window is none of its losses.
    assert_eq!(coverage.lost_events, 0);
}
