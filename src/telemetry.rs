//! Every metric's name, unit and labels, in one place; labels never hold a value from a request.

use std::cell::OnceCell;
use std::sync::Arc;
use std::time::Duration;

use metrics::{
    Counter, Histogram, Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge,
    histogram,
};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

use crate::event::{DetectionName, Door};
use crate::snapshot::Part;
use crate::verdict::{Decision, Enforcement, Layer, Mode, Outcome, Standing, Verdict};

/// Installs the recorder behind all metrics, once per process. Its upkeep must be run.
///
/// # Errors
/// The process has another recorder already.
pub fn install() -> Result<PrometheusHandle, BuildError> {
    let decision_duration = Matcher::Full("crossgate_decision_duration_seconds".to_owned());
    let recorder = PrometheusBuilder::new()
        .set_buckets_for_metric(decision_duration, &DECISION_SECONDS)?
        .set_buckets(&REQUEST_SECONDS)?
        .build_recorder();
    let handle = recorder.handle();
    metrics::set_global_recorder(recorder)?;
    describe();
    // A loss that never happened is a zero, not an absence: alerts need the series.
    for reason in ["queue_full", "retention", "sink_rejected"] {
        events_lost(reason, 0);
    }
    for name in DetectionName::ALL {
        counter!("crossgate_detections_total", "name" => name.as_str()).increment(0);
    }
    gauge!("crossgate_connections", "side" => "client").set(0);
    gauge!("crossgate_connections", "side" => "upstream").set(0);
    Ok(handle)
}

fn describe() {
    for (name, text) in COUNTERS {
        describe_counter!(name, text);
    }
    for (name, text) in GAUGES {
        describe_gauge!(name, text);
    }
    for (name, text) in HISTOGRAMS {
        describe_histogram!(name, Unit::Seconds, text);
    }
}

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

/// Shows the newest revision (`crossgate_snapshot_revision`).
pub fn revision(revision: u64) {
    gauge!("crossgate_snapshot_revision").set(u32::try_from(revision).unwrap_or(u32::MAX));
}

/// Counts events that will never reach the log (`crossgate_events_lost_total`).
pub fn events_lost(reason: &'static str, events: u64) {
    counter!("crossgate_events_lost_total", "reason" => reason).increment(events);
}

/// Counts events that are in the log (`crossgate_events_written_total`).
pub fn events_written(action: &'static str, events: u64) {
    counter!("crossgate_events_written_total", "action" => action).increment(events);
}

/// Counts what was noticed about attempts to begin sessions (`crossgate_detections_total`).
pub fn detected(name: DetectionName) {
    counter!("crossgate_detections_total", "name" => name.as_str()).increment(1);
}

/// What became of events on their way to a sink.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryResult {
    /// The sink has them.
    Delivered,
    /// An attempt failed; they stay in the log and are tried again.
    Failed,
    /// They were removed from the log before.
    Missed,
    /// The sink refused them for good.
    Rejected,
}

impl DeliveryResult {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Delivered, Self::Failed, Self::Missed, Self::Rejected];

    fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Failed => "failed",
            Self::Missed => "missed",
            Self::Rejected => "rejected",
        }
    }
}

/// Counts events by what became of them on their way to a sink
/// (`crossgate_sink_deliveries_total`); `sink` is configured.
pub fn sink_deliveries(sink: &str, result: DeliveryResult, events: u64) {
    let (sink, result) = (sink.to_owned(), result.as_str());
    counter!("crossgate_sink_deliveries_total", "sink" => sink, "result" => result)
        .increment(events);
}

/// Tells how many events a sink is behind the log (`crossgate_sink_lag_events`).
pub fn sink_lag(sink: &str, events: u64) {
    let events = u32::try_from(events).unwrap_or(u32::MAX);
    gauge!("crossgate_sink_lag_events", "sink" => sink.to_owned()).set(events);
}

/// Whether something was still known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheResult {
    /// It was.
    Hit,
    /// It had to be found out.
    Miss,
}

impl CacheResult {
    fn as_str(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Miss => "miss",
        }
    }
}

/// The counter of verified tokens that were known or not (`crossgate_token_cache_total`), to be
/// kept by who counts on the request path.
pub fn token_cache(result: CacheResult) -> Counter {
    counter!("crossgate_token_cache_total", "result" => result.as_str())
}

fn decision_cache(result: CacheResult) -> Counter {
    counter!("crossgate_decision_cache_total", "result" => result.as_str())
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
pub fn jwks_age(issuer: &str, age: Duration) {
    gauge!("crossgate_jwks_age_seconds", "issuer" => issuer.to_owned()).set(age.as_secs_f64());
}

/// What became of an attempt to begin a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AssumeResult {
    /// The role, the trust or the external ID is not the caller's.
    Denied,
    /// The request is malformed, or out of range.
    Invalid,
    /// A session began.
    Success,
    /// The token is missing or not accepted.
    Unauthenticated,
    /// Keys or room for the event were missing.
    Unavailable,
}

impl AssumeResult {
    const ALL: [Self; 5] =
        [Self::Denied, Self::Invalid, Self::Success, Self::Unauthenticated, Self::Unavailable];

    fn as_str(self) -> &'static str {
        match self {
            Self::Denied => "denied",
            Self::Invalid => "invalid",
            Self::Success => "success",
            Self::Unauthenticated => "unauthenticated",
            Self::Unavailable => "unavailable",
        }
    }
}

/// Counters and times of attempts to begin a session.
#[derive(Debug)]
pub struct AssumeMetrics {
    attempts: Vec<(Door, AssumeResult, Counter)>,
    duration: Histogram,
}

impl AssumeMetrics {
    /// Registers the metrics.
    pub fn new() -> Self {
        let all = Door::ALL.into_iter();
        let all = all.flat_map(|door| AssumeResult::ALL.into_iter().map(move |end| (door, end)));
        let counter = |(door, end): (Door, AssumeResult)| {
            let labels = [("door", door.as_str()), ("result", end.as_str())];
            (door, end, counter!("crossgate_assume_total", &labels))
        };
        let duration = histogram!("crossgate_assume_duration_seconds");
        Self { attempts: all.map(counter).collect(), duration }
    }

    /// Counts an attempt and the time of its decision.
    pub fn ended(&self, door: Door, result: AssumeResult, elapsed: Duration) {
        let known = self.attempts.iter().find(|(at, end, _)| (*at, *end) == (door, result));
        if let Some((.., counter)) = known {
            counter.increment(1);
        }
        self.duration.record(elapsed);
    }
}

impl Default for AssumeMetrics {
    fn default() -> Self {
        Self::new()
    }
}

/// Tells the age of the key that signs session tokens (`crossgate_sts_key_age_seconds`).
pub fn sts_key_age(age: Duration) {
    gauge!("crossgate_sts_key_age_seconds").set(age.as_secs_f64());
}

/// Counts keys that began to sign session tokens in place of another
/// (`crossgate_sts_key_rotations_total`).
pub fn sts_key_rotations(rotations: u64) {
    counter!("crossgate_sts_key_rotations_total").increment(rotations);
}

/// Which side of the proxy a connection is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionSide {
    /// From a client.
    Client,
    /// To an upstream.
    Upstream,
}

/// Counts one connection as open until it is dropped (`crossgate_connections`).
#[derive(Debug)]
pub struct OpenConnection {
    side: &'static str,
}

impl OpenConnection {
    /// Counts a connection.
    pub fn new(side: ConnectionSide) -> Self {
        let side = match side {
            ConnectionSide::Client => "client",
            ConnectionSide::Upstream => "upstream",
        };
        gauge!("crossgate_connections", "side" => side).increment(1);
        Self { side }
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        gauge!("crossgate_connections", "side" => self.side).decrement(1);
    }
}

/// Counters and times of one worker's decisions.
#[derive(Debug)]
pub struct DecisionMetrics {
    duration: Histogram,
    // By layer, mode, decision and standing, in this order.
    decisions: Vec<Counter>,
    policy_evaluations: Counter,
}

impl DecisionMetrics {
    /// Registers the metrics.
    pub fn new() -> Self {
        let mut decisions = Vec::new();
        for layer in [Layer::Perimeter, Layer::Policy] {
            for mode in Mode::ALL {
                for decision in [Decision::Permit, Decision::Deny] {
                    for standing in [Standing::Enforced, Standing::Candidate] {
                        decisions.push(decision_counter(layer, mode, decision, standing));
                    }
                }
            }
        }
        // No answer of the policies is kept: a hit is a zero, for who computes with both.
        let _: Counter = decision_cache(CacheResult::Hit);
        Self {
            duration: histogram!("crossgate_decision_duration_seconds"),
            decisions,
            policy_evaluations: decision_cache(CacheResult::Miss),
        }
    }

    /// Counts one verdict of a layer.
    pub fn decided(&self, layer: Layer, verdict: Verdict, standing: Standing) {
        let layer = match layer {
            Layer::Perimeter => 0,
            Layer::Policy => 12,
        };
        let mode = match verdict.mode {
            Mode::Unrestricted => 0,
            Mode::ReportOnly => 4,
            Mode::Limited => 8,
        };
        let decision = match verdict.decision {
            Decision::Permit => 0,
            Decision::Deny => 2,
        };
        let standing = match standing {
            Standing::Enforced => 0,
            Standing::Candidate => 1,
        };
        if let Some(counter) = self.decisions.get(layer + mode + decision + standing) {
            counter.increment(1);
        }
    }

    /// Counts one evaluation of a set of policies.
    pub fn policies_evaluated(&self) {
        self.policy_evaluations.increment(1);
    }

    /// Records how long a whole decision took.
    pub fn decided_in(&self, elapsed: Duration) {
        self.duration.record(elapsed);
    }
}

impl Default for DecisionMetrics {
    fn default() -> Self {
        Self::new()
    }
}

fn decision_counter(layer: Layer, mode: Mode, decision: Decision, standing: Standing) -> Counter {
    let enforced = match (standing, mode.enforcement()) {
        (Standing::Enforced, Enforcement::Enforced) => "true",
        (Standing::Enforced, Enforcement::Shadow) | (Standing::Candidate, _) => "false",
    };
    let candidate = match standing {
        Standing::Enforced => "false",
        Standing::Candidate => "true",
    };
    counter!(
        "crossgate_decisions_total",
        "layer" => layer.as_str(),
        "mode" => mode.as_str(),
        "decision" => decision.as_str(),
        "enforced" => enforced,
        "candidate" => candidate,
    )
}

/// Counters and times of one route.
#[derive(Debug)]
pub struct RouteMetrics {
    route: Arc<str>,
    requests: Vec<OnceCell<Counter>>,
    duration: Histogram,
    upstream_duration: Histogram,
}

impl RouteMetrics {
    /// Registers the metrics of a route and its upstream.
    pub fn new(route: &str, upstream: &str) -> Self {
        Self {
            route: route.into(),
            requests: (0..Outcome::COUNT).map(|_| OnceCell::new()).collect(),
            duration: histogram!("crossgate_request_duration_seconds", "route" => route.to_owned()),
            upstream_duration: histogram!(
                "crossgate_upstream_duration_seconds",
                "upstream" => upstream.to_owned()
            ),
        }
    }

    /// Counts a request and its time from head to head.
    pub fn ended(&self, outcome: Outcome, elapsed: Duration) {
        if let Some(counter) = self.requests.get(outcome.index()) {
            counter.get_or_init(|| request_counter(&self.route, outcome)).increment(1);
        }
        self.duration.record(elapsed);
    }

    /// Records how long the upstream took for the head of its response.
    pub fn upstream_answered_in(&self, elapsed: Duration) {
        self.upstream_duration.record(elapsed);
    }
}

/// Counts a request that reached no route.
pub fn request_without_route(outcome: Outcome) {
    request_counter("", outcome).increment(1);
}

fn request_counter(route: &str, outcome: Outcome) -> Counter {
    counter!(
        "crossgate_requests_total",
        "route" => route.to_owned(),
        "outcome" => outcome.as_str(),
    )
}

const COUNTERS: [(&str, &str); 12] = [
    ("crossgate_requests_total", "Requests by route and what became of them"),
    ("crossgate_decisions_total", "Verdicts of each layer by mode, decision and standing"),
    ("crossgate_decision_cache_total", "Policy decisions that were known or had to be evaluated"),
    ("crossgate_token_cache_total", "Look-ups of verified tokens"),
    ("crossgate_jwks_refresh_total", "Reads of an issuer's keys"),
    ("crossgate_snapshot_reloads_total", "New versions of a part of the configuration"),
    ("crossgate_events_written_total", "Events in the log"),
    ("crossgate_events_lost_total", "Events that will never reach the log or a sink"),
    ("crossgate_assume_total", "Attempts to begin a session by protocol and what became of them"),
    ("crossgate_detections_total", "What was noticed about attempts to begin sessions"),
    ("crossgate_sink_deliveries_total", "Events by what became of them on their way to a sink"),
    ("crossgate_sts_key_rotations_total", "Keys that began to sign session tokens"),
];

const GAUGES: [(&str, &str); 5] = [
    ("crossgate_jwks_age_seconds", "Time since an issuer last confirmed its keys"),
    ("crossgate_snapshot_revision", "The revision that decides requests"),
    ("crossgate_connections", "Open connections by side"),
    ("crossgate_sink_lag_events", "Events of the log that a sink does not have"),
    ("crossgate_sts_key_age_seconds", "Age of the key that signs session tokens"),
];

const HISTOGRAMS: [(&str, &str); 4] = [
    ("crossgate_assume_duration_seconds", "Time of a decision about a session, with its token"),
    ("crossgate_decision_duration_seconds", "Time of a whole decision"),
    ("crossgate_request_duration_seconds", "Time from a request's head to its response's head"),
    ("crossgate_upstream_duration_seconds", "Time until an upstream's head came"),
];

/// 250 ns to 1 ms: a decision takes microseconds.
const DECISION_SECONDS: [f64; 13] =
    [2.5e-7, 5e-7, 1e-6, 2e-6, 4e-6, 8e-6, 1.6e-5, 3.2e-5, 6.4e-5, 1.25e-4, 2.5e-4, 5e-4, 1e-3];

/// 50 µs to 30 s: from a neighbour's answer to the default response timeout.
const REQUEST_SECONDS: [f64; 16] = [
    5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 0.25, 0.5, 1.0, 5.0,
    30.0,
];
