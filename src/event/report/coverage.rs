//! Which time an account was observed, and which nobody knows of.
//!
//! Flows in: every event of the log, of whatever account. Flows out: segments of time, each
//! observed or with the reason why it is not, and the events that are missing.
//!
//! What the log tells: a run of the proxy goes from its first event to its last; a missing number
//! is a lost event; an event of the account, or an update of its setting, tells whether it was
//! observed then. Nothing else counts as observed.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::clock::UnixMillis;
use crate::event::report::intervals::Intervals;

/// The time that a report is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// From here on; `None`: from the log's first event.
    pub since: Option<UnixMillis>,
    /// Up to here.
    pub until: UnixMillis,
}

impl Window {
    /// Whether a time is in the window.
    pub fn contains(&self, at: UnixMillis) -> bool {
        self.since.is_none_or(|since| since <= at) && at <= self.until
    }
}

/// What is known of a window.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    /// When the window begins.
    pub since: UnixMillis,
    /// When it ends.
    pub until: UnixMillis,
    /// All of the window, in order.
    pub segments: Vec<Segment>,
    /// Events that are missing between others.
    pub losses: Vec<Loss>,
    /// How many are missing, also where the losses are too many to be listed.
    pub lost_events: u64,
    /// The runs that the log knows.
    pub runs: Vec<Run>,
}

/// A stretch of time of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Its begin.
    pub from: UnixMillis,
    /// Its end.
    pub to: UnixMillis,
    /// What is known of it.
    pub cover: Cover,
}

/// What is known of a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cover {
    /// The proxy ran and the account was observed: without an event it was quiet.
    Observed,
    /// Before the first event of the log.
    BeforeLog,
    /// After the last event of the log.
    AfterLog,
    /// Between the last event of a run and the first of the next: nothing tells of a proxy.
    BetweenRuns,
    /// The proxy ran, and nothing tells whether the account was observed.
    SettingUnknown,
    /// The proxy ran, and the account was not observed.
    NotObserved,
}

/// Events that are missing between two others of one run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// The run.
    pub instance: String,
    /// The event before.
    pub after: UnixMillis,
    /// The event behind.
    pub before: UnixMillis,
    /// How many.
    pub events: u64,
}

/// One run of the proxy, as its events tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Its name.
    pub instance: String,
    /// Its first event that was read.
    pub first: UnixMillis,
    /// Its last event.
    pub last: UnixMillis,
    /// The number of the first event that was read; more than 1: the earlier ones were not.
    pub first_sequence: u64,
    /// How many events were read.
    pub events: u64,
    /// How many are missing between them.
    pub lost: u64,
    /// The last number up to which all that is missing is known, and its event's time.
    known: (u64, UnixMillis),
    /// Numbers beyond it: an event may come a little later than one with a higher number.
    ahead: BTreeMap<u64, UnixMillis>,
}

/// What an event tells of its run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunMark {
    instance: Box<str>,
    sequence: u64,
}

impl RunMark {
    /// What an event tells; `None` if it tells nothing.
    pub fn of(event: &Value) -> Option<Self> {
        let response = event.get("responseData")?;
        let instance = response.get("instance")?.as_str()?.into();
        Some(Self { instance, sequence: response.get("sequence")?.as_u64()? })
    }
}

/// Gathers what tells of runs, from every event of the log.
#[derive(Clone, Debug)]
pub struct RunTally {
    window: Window,
    runs: BTreeMap<String, Run>,
    losses: Vec<Loss>,
    lost_events: u64,
}

/// Whether an account was observed, as far as its events tell, in the order of time.
#[derive(Clone, Debug, Default)]
pub(super) struct Track {
    spans: Vec<Span>,
}

#[derive(Clone, Debug)]
struct Span {
    watch: Watch,
    first: UnixMillis,
    last: UnixMillis,
}

/// Whether an account is observed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Watch {
    Observed,
    Unobserved,
}

impl RunTally {
    /// A tally for a window. Events from before it tell which runs go into it.
    pub fn new(window: Window) -> Self {
        Self { window, runs: BTreeMap::new(), losses: Vec::new(), lost_events: 0 }
    }

    /// Takes what an event tells.
    pub fn add(&mut self, at: UnixMillis, mark: &RunMark) {
        let RunMark { instance, sequence } = mark;
        let sequence = *sequence;
        let Some(run) = self.runs.get_mut(&**instance) else {
            if self.runs.len() < RUNS_MAX {
                self.runs.insert(instance.to_string(), Run::new(instance, at, sequence));
            }
            return;
        };
        run.events += 1;
        run.first = run.first.min(at);
        run.first_sequence = run.first_sequence.min(sequence);
        run.last = run.last.max(at);
        run.ahead.insert(sequence, at);
        let losses: Vec<Loss> = std::iter::from_fn(|| run.next_loss(AHEAD_MAX)).collect();
        for loss in losses {
            self.lose(loss);
        }
    }

    fn lose(&mut self, loss: Loss) {
        let begins = self.window.since.is_none_or(|since| since <= loss.before);
        if begins && loss.after <= self.window.until {
            self.lost_events += loss.events;
            if self.losses.len() < LOSSES_MAX {
                self.losses.push(loss);
            }
        }
    }

    /// Takes note of what is missing before the last events.
    fn settle(&mut self) {
        let mut losses = Vec::new();
        for run in self.runs.values_mut() {
            losses.extend(std::iter::from_fn(|| run.next_loss(0)));
        }
        for loss in losses {
            self.lose(loss);
        }
        self.losses.sort_by_key(|loss| loss.after);
    }

    /// How many events of the window are missing between others.
    pub fn lost_events(mut self) -> u64 {
        self.settle();
        self.lost_events
    }

    /// The coverage, with the time that the account was observed by these tracks. `now`: whether
    /// the setting observes it at the window's end, where that is known.
    pub(super) fn finish(mut self, tracks: &[&Track], now: Option<Watch>) -> Coverage {
        self.settle();
        let Self { window, runs, losses, lost_events } = self;
        let until = window.until;
        let first = runs.values().map(|run| run.first).min();
        let since = window.since.or(first).unwrap_or(until).min(until);
        let mut runs: Vec<_> = runs.into_values().collect();
        runs.retain(|run| since <= run.last && run.first <= until);
        runs.sort_by_key(|run| run.first);
        let running = Intervals::union(runs.iter().map(|run| (run.first, run.last)));
        let spans = |watch| {
            let spans = tracks.iter().flat_map(move |track| track.intervals(watch, now, until));
            Intervals::union(spans)
        };
        let (observed, unobserved) = (spans(Watch::Observed), spans(Watch::Unobserved));
        let cover = |at| match (running.contains(at), observed.contains(at)) {
            (true, true) => Cover::Observed,
            (true, false) if unobserved.contains(at) => Cover::NotObserved,
            (true, false) => Cover::SettingUnknown,
            (false, _) => running.side(at),
        };
        let mut edges: Vec<UnixMillis> = [&running, &observed, &unobserved]
            .into_iter()
            .flat_map(Intervals::edges)
            .filter(|edge| since < *edge && *edge < until)
            .chain([since, until])
            .collect();
        edges.sort_unstable();
        edges.dedup();
        let mut segments: Vec<Segment> = Vec::new();
        for (from, to) in edges.iter().copied().zip(edges.iter().copied().skip(1)) {
            let cover = cover(UnixMillis(from.0.midpoint(to.0)));
            match segments.last_mut() {
                Some(last) if last.cover == cover => last.to = to,
                Some(_) | None => segments.push(Segment { from, to, cover }),
            }
        }
        Coverage { since, until, segments, losses, lost_events, runs }
    }
}

impl Run {
    fn new(instance: &str, at: UnixMillis, sequence: u64) -> Self {
        Self {
            instance: instance.to_owned(),
            first: at,
            last: at,
            first_sequence: sequence,
            events: 1,
            lost: 0,
            known: (sequence, at),
            ahead: BTreeMap::new(),
        }
    }

    /// Goes on over numbers that follow each other; at a hole, the loss, if more events than
    /// `ahead_max` came behind it.
    fn next_loss(&mut self, ahead_max: usize) -> Option<Loss> {
        loop {
            let (sequence, at) = self.ahead.first_key_value().map(|(key, value)| (*key, *value))?;
            let (known, after) = self.known;
            let missing = sequence.saturating_sub(known.saturating_add(1));
            if 0 < missing && self.ahead.len() <= ahead_max {
                return None;
            }
            self.ahead.pop_first();
            // One that came in time to be the first, and twice read is not twice there.
            if sequence <= known {
                continue;
            }
            self.known = (sequence, at);
            if 0 < missing {
                self.lost += missing;
                let instance = self.instance.clone();
                return Some(Loss { instance, after, before: at, events: missing });
            }
        }
    }
}

impl Track {
    /// Takes note of what was at a time; what is between two equal notes is taken for equal too.
    pub(super) fn note(&mut self, at: UnixMillis, watch: Watch) {
        let is_full = SPANS_MAX <= self.spans.len();
        match self.spans.last_mut().filter(|span| span.watch == watch) {
            Some(span) => span.last = span.last.max(at),
            None if is_full => {}
            None => self.spans.push(Span { watch, first: at, last: at }),
        }
    }

    fn intervals(
        &self,
        watch: Watch,
        now: Option<Watch>,
        until: UnixMillis,
    ) -> impl Iterator<Item = (UnixMillis, UnixMillis)> {
        let last = self.spans.len().saturating_sub(1);
        let spans = self.spans.iter().enumerate();
        spans.filter(move |(_, span)| span.watch == watch).map(move |(index, span)| {
            let goes_on = index == last && now == Some(watch);
            (span.first, if goes_on { span.last.max(until) } else { span.last })
        })
    }
}

impl Coverage {
    /// How long the account was observed.
    pub fn observed_ms(&self) -> u64 {
        let observed = self.segments.iter().filter(|segment| segment.cover == Cover::Observed);
        observed.map(Segment::millis).sum()
    }

    /// How long the window is.
    pub fn window_ms(&self) -> u64 {
        self.until.0.saturating_sub(self.since.0)
    }

    /// The time that is not covered, in order.
    pub fn uncovered(&self) -> impl Iterator<Item = &Segment> {
        self.segments.iter().filter(|segment| segment.cover != Cover::Observed)
    }

    /// The same without what is shorter than people care for.
    pub(super) fn uncovered_seconds(&self) -> impl Iterator<Item = &Segment> {
        self.uncovered().filter(|segment| 1000 <= segment.millis())
    }

    /// How long of a stretch the account was observed.
    pub(super) fn observed_ms_between(&self, from: UnixMillis, to: UnixMillis) -> u64 {
        let observed = self.segments.iter().filter(|segment| segment.cover == Cover::Observed);
        let within =
            observed.map(|segment| segment.to.min(to).0.saturating_sub(segment.from.max(from).0));
        within.sum()
    }

    /// Whether events are missing in a stretch.
    pub(super) fn has_loss_between(&self, from: UnixMillis, to: UnixMillis) -> bool {
        self.losses.iter().any(|loss| loss.after < to && from <= loss.before)
    }
}

impl Segment {
    /// How long it is.
    pub fn millis(&self) -> u64 {
        self.to.0.saturating_sub(self.from.0)
    }
}

impl Cover {
    /// The name for programs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Observed => "observed",
            Self::BeforeLog => "before_log",
            Self::AfterLog => "after_log",
            Self::BetweenRuns => "between_runs",
            Self::SettingUnknown => "setting_unknown",
            Self::NotObserved => "not_observed",
        }
    }

    /// What it means.
    pub fn why(self) -> &'static str {
        match self {
            Self::Observed => "observed",
            Self::BeforeLog => "before the log's first event",
            Self::AfterLog => "after the log's last event",
            Self::BetweenRuns => "between two runs of the proxy; no event tells that it ran",
            Self::SettingUnknown => "the proxy ran; no event tells that the account was observed",
            Self::NotObserved => "the account was in `limited` or `unrestricted`",
        }
    }
}

/// How many later events are waited for one that is missing: more than come out of order.
const AHEAD_MAX: usize = 1024;
/// The most runs that are told apart: 300 B × 100,000 = 30 MB.
const RUNS_MAX: usize = 100_000;
/// The most losses that are listed.
const LOSSES_MAX: usize = 1000;
/// The most changes of a setting that are told apart.
const SPANS_MAX: usize = 10_000;

#[cfg(test)]
mod tests;
