//! Every metric's name, unit and labels, in one place; labels never hold a value from a request.

use metrics::{Counter, counter, gauge};

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

/// Whether a verified token was still known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheResult {
    /// It was.
    Hit,
    /// It had to be verified.
    Miss,
}

/// The counter of verified tokens that were known or not (`crossgate_token_cache_total`), to be
/// kept by who counts on the request path.
pub fn token_cache(result: CacheResult) -> Counter {
    let result = match result {
        CacheResult::Hit => "hit",
        CacheResult::Miss => "miss",
    };
    counter!("crossgate_token_cache_total", "result" => result)
}

/// How reading an issuer's keys ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JwksResult {
    /// The source did not answer, or not in time.
    Failed,
    /// It answered with something that is no usable key set.
    Refused,
    /// The keys are in force: new ones, or the same again.
    Success,
}

/// Counts a read of an issuer's keys (`crossgate_jwks_refresh_total`); `issuer` is configured.
pub fn jwks_refreshed(issuer: &str, result: JwksResult) {
    let result = match result {
        JwksResult::Failed => "failed",
        JwksResult::Refused => "refused",
        JwksResult::Success => "success",
    };
    counter!("crossgate_jwks_refresh_total", "issuer" => issuer.to_owned(), "result" => result)
        .increment(1);
}

/// Tells how long ago an issuer's source last confirmed its keys (`crossgate_jwks_age_seconds`).
pub fn jwks_age(issuer: &str, age: std::time::Duration) {
    gauge!("crossgate_jwks_age_seconds", "issuer" => issuer.to_owned()).set(age.as_secs_f64());
}
