//! Every metric's name, unit and labels, in one place; labels never hold a value from a request.

use metrics::counter;

use crate::snapshot::Part;

/// What became of a new version of a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReloadResult {
    /// It is in force.
    Loaded,
    /// It was bad; the old version goes on.
    Refused,
}

/// Counts a new version of a part (`crossgate_snapshot_reloads_total`).
pub fn reloaded(part: &Part, result: ReloadResult) {
    let result = match result {
        ReloadResult::Loaded => "loaded",
        ReloadResult::Refused => "refused",
    };
    counter!("crossgate_snapshot_reloads_total", "part" => part.label(), "result" => result)
        .increment(1);
}

/// Counts events that will never reach the log (`crossgate_events_lost_total`).
pub fn events_lost(reason: &'static str, events: u64) {
    counter!("crossgate_events_lost_total", "reason" => reason).increment(events);
}

/// Counts events that are in the log (`crossgate_events_written_total`).
pub fn events_written(action: &'static str, events: u64) {
    counter!("crossgate_events_written_total", "action" => action).increment(events);
}
