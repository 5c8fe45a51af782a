//! Readiness: what would `limited` break for an owner account?
//!
//! Flows in: recorded events, as JSON. Flows out: a report. Reads no file and asks no clock; memory
//! is bounded, and what was cut is told.

mod answer;
mod coverage;
mod histogram;
mod html;
mod intervals;
mod json;
mod observation;
mod plot;
mod text;

use std::collections::{BTreeSet, VecDeque};

use serde_json::Value;

use crate::clock::UnixMillis;
use crate::event::report::coverage::{Track, Watch};
use crate::event::report::observation::{Observation, Seen, text as text_of};
use crate::event::setting_text::SettingText;
use crate::event::{PERIMETER_ACTION, UPDATE_ACTION};
use crate::iam::{AccountId, IdentityType};
use crate::perimeter::{AccountSetting, TypeSetting};
use crate::verdict::{Decision, Mode};

pub use answer::{
    AccountDenials, Added, AddedBy, Admitted, Allowlist, Days, IdentityDenials, Observed,
    ObservedBy, Readiness, ReadinessReport, ResourceDenials, Suggestion,
};
pub use coverage::{Cover, Coverage, Loss, Run, RunMark, RunTally, Segment, Window};
pub use histogram::{Histogram, Series};
pub use observation::{GROUPS_MAX, IDENTITIES_MAX};
pub use text::{Colour, counted, printable, rfc3339};

/// Counts the log's events for one owner account, one by one, oldest first.
#[derive(Clone, Debug)]
pub struct ReadinessTally {
    account: String,
    window: Window,
    runs: RunTally,
    report_only: Observation,
    candidate: Observation,
    enforced_denials: u64,
    already_denied: u64,
    /// Requests of which the setting in force was asked and a candidate not yet: when, and whether
    /// it denied them.
    asked: VecDeque<Asked>,
}

/// What an event tells a tally: most are of other accounts, and tell but that a proxy ran.
#[derive(Clone, Debug)]
pub struct Reduced {
    mark: Option<RunMark>,
    own: Option<Value>,
}

impl Reduced {
    /// What an event tells the tally of an owner account.
    pub fn of(event: &Value, account: &str) -> Self {
        let is_own = text_of(event, "/requestData/resource/attributes/accountId") == account;
        Self { mark: RunMark::of(event), own: is_own.then(|| event.clone()) }
    }
}

/// What is known of an account's setting besides its events.
#[derive(Clone, Copy, Debug)]
pub enum KnownSetting<'s> {
    /// It is that in force at the end of the window.
    AtEnd(&'s AccountSetting),
    /// It is one of after the window: it tells its entries, not whether the account was observed.
    Later(&'s AccountSetting),
    /// Nothing.
    Unknown,
}

impl<'s> KnownSetting<'s> {
    fn setting(self) -> Option<&'s AccountSetting> {
        match self {
            Self::AtEnd(setting) | Self::Later(setting) => Some(setting),
            Self::Unknown => None,
        }
    }

    fn at_end(self) -> Option<&'s AccountSetting> {
        match self {
            Self::AtEnd(setting) => Some(setting),
            Self::Later(_) | Self::Unknown => None,
        }
    }
}

/// A request of which the setting in force was asked.
#[derive(Clone, Debug)]
struct Asked {
    decision: String,
    identity_type: String,
    at: UnixMillis,
    is_denied: bool,
}

impl ReadinessTally {
    /// The fields of an event that count.
    pub const FIELDS: [&str; 14] = [
        "action",
        "initiator.id",
        "initiator.name",
        "requestData.resource.attributes.accountId",
        "requestData.subject.attributes.identityType",
        "requestData.subject.attributes.token.account.bss",
        "requestData.update",
        "responseData.candidate",
        "responseData.decision",
        "responseData.decisionId",
        "responseData.instance",
        "responseData.isEnforced",
        "responseData.sequence",
        "target.id",
    ];

    /// Counts for an owner account in a window. Events from before it are welcome: they tell which
    /// runs go into it.
    pub fn new(account: &str, window: Window) -> Self {
        Self {
            account: account.to_owned(),
            window,
            runs: RunTally::new(window),
            report_only: Observation::default(),
            candidate: Observation::default(),
            enforced_denials: 0,
            already_denied: 0,
            asked: VecDeque::new(),
        }
    }

    /// Counts an event.
    pub fn add(&mut self, at: UnixMillis, event: &Value) {
        self.take(at, &Reduced::of(event, &self.account));
    }

    /// Counts what an event tells.
    pub fn take(&mut self, at: UnixMillis, reduced: &Reduced) {
        if self.window.until < at {
            return;
        }
        if let Some(mark) = &reduced.mark {
            self.runs.add(at, mark);
        }
        let Some(event) = &reduced.own else { return };
        match text_of(event, "/action") {
            PERIMETER_ACTION => self.evaluation(at, event),
            UPDATE_ACTION => self.update(at, event),
            _ => {}
        }
    }

    fn evaluation(&mut self, at: UnixMillis, event: &Value) {
        let flag = |pointer| event.pointer(pointer).and_then(Value::as_bool).unwrap_or_default();
        let is_denied = text_of(event, "/responseData/decision") == "Deny";
        let seen = Seen {
            at,
            caller: text_of(event, "/requestData/subject/attributes/token.account.bss"),
            identity_type: text_of(event, "/requestData/subject/attributes/identityType"),
            event,
        };
        let decision = text_of(event, "/responseData/decisionId");
        let is_candidate = flag("/responseData/candidate");
        let (is_already_denied, observation) = if is_candidate {
            (self.answer(decision), &mut self.candidate)
        } else {
            let is_enforced = flag("/responseData/isEnforced");
            let watch = if is_enforced { Watch::Unobserved } else { Watch::Observed };
            self.report_only.track(seen.identity_type).note(at, watch);
            self.ask(&seen, decision, is_enforced && is_denied);
            if is_enforced {
                if self.window.contains(at) {
                    self.enforced_denials += u64::from(is_denied);
                    self.report_only.denied(seen.caller, seen.identity_type);
                }
                return;
            }
            (false, &mut self.report_only)
        };
        if is_candidate {
            observation.track(seen.identity_type).note(at, Watch::Observed);
        }
        if !self.window.contains(at) {
            return;
        }
        observation.observe(at);
        match (is_denied, is_already_denied) {
            (false, _) => observation.permit(&seen),
            (true, false) => observation.deny(&seen),
            (true, true) => self.already_denied += 1,
        }
    }

    /// Remembers a request until its candidate's event comes, which is soon or never.
    fn ask(&mut self, seen: &Seen<'_>, decision: &str, is_denied: bool) {
        self.asked.push_back(Asked {
            decision: decision.to_owned(),
            identity_type: seen.identity_type.to_owned(),
            at: seen.at,
            is_denied,
        });
        if ASKED_MAX < self.asked.len() {
            self.forget_first();
        }
    }

    /// A request without a candidate's event shows that there was no candidate then.
    fn forget_first(&mut self) {
        if let Some(first) = self.asked.pop_front() {
            self.candidate.track(&first.identity_type).note(first.at, Watch::Unobserved);
        }
    }

    /// Whether the request of a candidate's event was denied in any case.
    fn answer(&mut self, decision: &str) -> bool {
        let found = self.asked.iter().rposition(|asked| asked.decision == decision);
        found.and_then(|index| self.asked.remove(index)).is_some_and(|asked| asked.is_denied)
    }

    fn update(&mut self, at: UnixMillis, event: &Value) {
        let changes = event.pointer("/requestData/update").and_then(Value::as_array);
        for change in changes.into_iter().flatten() {
            let Some(kind) = text_of(change, "/updateType").strip_suffix(".setting") else {
                continue;
            };
            let before = SettingText::parse(text_of(change, "/initialValue"));
            let after = SettingText::parse(text_of(change, "/newValue"));
            let watch = |setting: &SettingText<'_>| watch_of(setting.mode);
            if let Some(before) = &before {
                self.report_only.track(kind).note(at, watch(before));
            }
            let Some(after) = after else { continue };
            self.report_only.track(kind).note(at, watch(&after));
            let Some(before) = before else { continue };
            if self.window.contains(at) {
                for caller in after.added_to(&before) {
                    self.report_only.begin_addition(caller, kind, at, AddedBy::Update);
                }
            }
        }
    }

    /// Which setting comes next, as far as the settings tell; else a proposed one that was asked
    /// lately.
    fn next_setting(&self, setting: Option<&AccountSetting>) -> ObservedBy {
        let is_proposed = setting.map(|setting| {
            IdentityType::ALL.into_iter().any(|kind| setting.candidate(kind).is_some())
        });
        let is_candidate = match is_proposed {
            Some(is_proposed) => is_proposed && self.candidate.last.is_some(),
            None => self.candidate.is_newer_than(&self.report_only),
        };
        if is_candidate { ObservedBy::Candidate } else { ObservedBy::ReportOnly }
    }

    /// The report on what was counted, with what is known of the account's setting.
    pub fn finish(mut self, known: KnownSetting<'_>) -> ReadinessReport {
        while !self.asked.is_empty() {
            self.forget_first();
        }
        let by = self.next_setting(known.setting());
        let mut observation = match by {
            ObservedBy::Candidate => self.candidate,
            ObservedBy::ReportOnly => self.report_only,
        };
        let observed = observation.first.zip(observation.last).map(|(first, last)| Observed {
            by,
            first,
            last,
            days: observation.days.len(),
        });
        let now = known.at_end().map(|setting| watched_now(setting, by));
        let tracks: Vec<&Track> = observation.tracks.values().collect();
        let coverage = self.runs.finish(&tracks, now);
        let days = Days::of(&coverage, &observation.days);
        let admits = |caller: &str, kind: &str| admits(known.setting()?, by, caller, kind);
        let denials = observation.account_denials(&admits);
        let ungrouped = observation.ungrouped(&admits);
        let open = denials.iter().filter(|account| account.suggestion.is_open());
        let requests = open.clone().map(|account| account.requests).sum::<u64>();
        let readiness = match (&observed, requests + ungrouped) {
            (None, _) => Readiness::NeverObserved,
            (Some(_), 0) => Readiness::Ready,
            (Some(_), requests) => Readiness::WouldDeny { requests, accounts: open.count() },
        };
        let admitted = observation.admitted();
        ReadinessReport {
            account: self.account,
            readiness,
            observed,
            coverage,
            days,
            denials,
            ungrouped_denials: ungrouped,
            allowlist: known.setting().map(|setting| Allowlist::of(setting, by, &admitted)),
            admitted,
            added: std::mem::take(&mut observation.added),
            over_time: std::mem::take(&mut observation.by_caller),
            enforced_denials: self.enforced_denials,
            already_denied: self.already_denied,
        }
    }
}

impl Days {
    fn of(coverage: &Coverage, with_events: &BTreeSet<u64>) -> Self {
        let mut days = Self::default();
        let (first, last) = (day_of(coverage.since), day_of(coverage.until));
        for day in first..=last {
            let from = UnixMillis((day * DAY_MS).max(coverage.since.0));
            let to = UnixMillis(((day + 1) * DAY_MS).min(coverage.until.0));
            let observed = coverage.observed_ms_between(from, to);
            let is_whole = observed == to.0.saturating_sub(from.0);
            if with_events.contains(&day) {
                days.with_events += 1;
            } else if 0 < observed && is_whole && !coverage.has_loss_between(from, to) {
                days.quiet += 1;
            } else if 0 < observed {
                days.part += 1;
            } else if from < to {
                days.uncovered += 1;
            }
        }
        days
    }
}

impl Allowlist {
    fn of(setting: &AccountSetting, by: ObservedBy, admitted: &[Admitted]) -> Self {
        let admitted: BTreeSet<&str> = admitted.iter().map(|it| it.caller.as_str()).collect();
        let mut entries: BTreeSet<AccountId> = BTreeSet::new();
        let mut recorded: BTreeSet<AccountId> = BTreeSet::new();
        let mut unobserved_types = Vec::new();
        for kind in IdentityType::ALL {
            let is_recorded = is_recorded(setting, kind, by);
            if !is_recorded {
                unobserved_types.push(kind.as_str());
            }
            let of_type = asked_setting(setting, kind, by);
            for entry in of_type.into_iter().flat_map(|setting| setting.allowlist.iter()) {
                entries.insert(*entry);
                if is_recorded {
                    recorded.insert(*entry);
                }
            }
        }
        let silent = entries.iter().filter(|entry| !admitted.contains(entry.as_str()));
        let (nobody, unknown): (Vec<_>, Vec<_>) =
            silent.partition(|entry| recorded.contains(entry));
        let texts = |entries: Vec<&AccountId>| {
            entries.into_iter().map(|entry| entry.as_str().to_owned()).collect()
        };
        Self {
            entries: entries.len(),
            admitted_nobody: texts(nobody),
            cannot_tell: texts(unknown),
            unobserved_types,
        }
    }
}

/// The part of a setting that a report by it is about.
fn asked_setting(
    setting: &AccountSetting,
    kind: IdentityType,
    by: ObservedBy,
) -> Option<&TypeSetting> {
    match by {
        ObservedBy::Candidate => setting.candidate(kind),
        ObservedBy::ReportOnly => Some(setting.enforced(kind)),
    }
}

/// What a setting says to a caller account and identity type, once it is `limited`.
fn admits(
    setting: &AccountSetting,
    by: ObservedBy,
    caller: &str,
    identity_type: &str,
) -> Option<Decision> {
    let kind = IdentityType::ALL.into_iter().find(|kind| kind.as_str() == identity_type)?;
    // A type without a proposal keeps what is in force.
    let of_type = asked_setting(setting, kind, by).unwrap_or_else(|| setting.enforced(kind));
    let limited = TypeSetting { mode: Mode::Limited, ..of_type.clone() };
    Some(limited.check(AccountId::parse(caller).ok()).decision)
}

/// Whether that part records the permits of a type.
fn is_recorded(setting: &AccountSetting, kind: IdentityType, by: ObservedBy) -> bool {
    let mode = asked_setting(setting, kind, by).map(|setting| setting.mode);
    match (by, mode) {
        (ObservedBy::Candidate, Some(Mode::ReportOnly | Mode::Limited))
        | (ObservedBy::ReportOnly, Some(Mode::ReportOnly)) => true,
        (ObservedBy::Candidate | ObservedBy::ReportOnly, Some(_) | None) => false,
    }
}

fn watched_now(setting: &AccountSetting, by: ObservedBy) -> Watch {
    let is_observed = IdentityType::ALL.into_iter().any(|kind| is_recorded(setting, kind, by));
    if is_observed { Watch::Observed } else { Watch::Unobserved }
}

fn watch_of(mode: Mode) -> Watch {
    match mode {
        Mode::ReportOnly => Watch::Observed,
        Mode::Limited | Mode::Unrestricted => Watch::Unobserved,
    }
}

fn day_of(at: UnixMillis) -> u64 {
    at.0 / DAY_MS
}

/// How long an account should be observed before it is limited.
pub const DAYS_ADVISED: u64 = 30;
/// With more identities than these a profile for each is more work than it protects.
pub const PROFILE_IDENTITIES_MAX: usize = 3;
/// The milliseconds of a day.
pub(super) const DAY_MS: u64 = 24 * 60 * 60 * 1000;
/// A candidate's event follows the other one's within what all workers have under way.
const ASKED_MAX: usize = 4096;

#[cfg(test)]
mod tests;
