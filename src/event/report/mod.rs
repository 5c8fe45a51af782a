//! Readiness: what would `limited` break for an owner account?
//!
//! Flows in: recorded events, as JSON. Flows out: a report. Reads no file and asks no clock; memory
//! is bounded, and what was cut is told.

mod text;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::clock::UnixMillis;
use crate::event::{PERIMETER_ACTION, time};

pub use text::{Colour, printable};

/// Counts an owner account's perimeter events, one by one.
#[derive(Clone, Debug)]
pub struct ReadinessTally {
    account: String,
    report_only: Observation,
    candidate: Observation,
    enforced_denials: u64,
}

/// What one setting said, without being enforced.
#[derive(Clone, Debug, Default)]
struct Observation {
    days: BTreeSet<u64>,
    first: Option<UnixMillis>,
    last: Option<UnixMillis>,
    denials: BTreeMap<GroupKey, Group>,
    /// Denials that are in no group, as there are too many groups.
    ungrouped: u64,
    permits: BTreeMap<String, Permits>,
}

/// Who was denied: caller account, identity type, identity.
type GroupKey = (String, String, String);

#[derive(Clone, Debug)]
struct Group {
    name: String,
    requests: u64,
    first: UnixMillis,
    last: UnixMillis,
    resources: BTreeSet<String>,
}

#[derive(Clone, Copy, Debug)]
struct Permits {
    requests: u64,
    last: UnixMillis,
}

/// The answer for one owner account.
#[derive(Clone, Debug)]
pub struct ReadinessReport {
    /// The owner account.
    pub account: String,
    /// May it go to `limited`?
    pub readiness: Readiness,
    /// When it was observed, if ever.
    pub observed: Option<Observed>,
    /// Who would be denied, most requests first.
    pub denials: Vec<AccountDenials>,
    /// Would-be denials that are in no group, as there are too many groups.
    pub ungrouped_denials: u64,
    /// Permits by caller account, most first.
    pub permits: Vec<(String, u64)>,
    /// Denials that were enforced.
    pub enforced_denials: u64,
}

/// May the account go to `limited`?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// Nothing was ever observed.
    NeverObserved,
    /// Nobody would be denied who isn't admitted by now.
    Ready,
    /// Somebody would be denied.
    WouldDeny {
        /// How many requests.
        requests: u64,
        /// From how many caller accounts.
        accounts: usize,
    },
}

/// When and by which setting an account was observed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed {
    /// The setting that was asked.
    pub by: ObservedBy,
    /// The first event.
    pub first: UnixMillis,
    /// The last event.
    pub last: UnixMillis,
    /// Days with an event.
    pub days: usize,
    /// Days without, between the first and the last: the first and last of each gap.
    pub gaps: Vec<(u64, u64)>,
}

/// Which setting was observed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObservedBy {
    /// The proposed setting.
    Candidate,
    /// The setting in force, in report-only.
    ReportOnly,
}

/// Would-be denials of one caller account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountDenials {
    /// The caller account; empty for tokens without one.
    pub caller: String,
    /// How many requests.
    pub requests: u64,
    /// By identity, most requests first.
    pub identities: Vec<IdentityDenials>,
    /// What to do about it.
    pub suggestion: Suggestion,
}

/// Would-be denials of one identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityDenials {
    /// `user`, `service_id` or `service`.
    pub identity_type: String,
    /// The identity's id.
    pub id: String,
    /// Its name for people; may be empty.
    pub name: String,
    /// How many requests.
    pub requests: u64,
    /// The first of them.
    pub first: UnixMillis,
    /// The last of them.
    pub last: UnixMillis,
    /// Some of the resources.
    pub resources: Vec<String>,
}

/// What to do about an account's would-be denials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suggestion {
    /// Put the account on the allowlist: many of its identities come.
    Allowlist,
    /// Nothing: many identities come, with no account that could be admitted.
    NothingNoAccount,
    /// Nothing: the account was admitted since.
    NothingResolved,
    /// A trusted profile for the few identities that come.
    TrustedProfile,
}

impl ReadinessTally {
    /// Counts for an owner account.
    pub fn new(account: &str) -> Self {
        Self {
            account: account.to_owned(),
            report_only: Observation::default(),
            candidate: Observation::default(),
            enforced_denials: 0,
        }
    }

    /// Counts an event, if it is an evaluation of the owner account's perimeter.
    pub fn add(&mut self, at: UnixMillis, event: &Value) {
        let text = |pointer| event.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        if text("/action") != PERIMETER_ACTION
            || text("/requestData/resource/attributes/accountId") != self.account
        {
            return;
        }
        let flag = |pointer| event.pointer(pointer).and_then(Value::as_bool).unwrap_or_default();
        let denied = text("/responseData/decision") == "Deny";
        if flag("/responseData/isEnforced") {
            self.enforced_denials += u64::from(denied);
            return;
        }
        let observation = if flag("/responseData/candidate") {
            &mut self.candidate
        } else {
            &mut self.report_only
        };
        observation.observe(at);
        if denied {
            observation.deny(at, event);
        } else {
            observation.permit(at, text("/requestData/subject/attributes/token.account.bss"));
        }
    }

    /// The report on what was counted.
    pub fn finish(self) -> ReadinessReport {
        // A proposed setting that was asked lately is the one that comes next.
        let (by, observation) = if self.candidate.is_newer_than(&self.report_only) {
            (ObservedBy::Candidate, self.candidate)
        } else {
            (ObservedBy::ReportOnly, self.report_only)
        };
        let observed = observation.observed(by);
        let denials = observation.account_denials();
        let open = denials.iter().filter(|account| account.suggestion.is_open());
        let requests = open.clone().map(|account| account.requests).sum::<u64>();
        let readiness = match (&observed, requests + observation.ungrouped) {
            (None, _) => Readiness::NeverObserved,
            (Some(_), 0) => Readiness::Ready,
            (Some(_), requests) => Readiness::WouldDeny { requests, accounts: open.count() },
        };
        let mut permits: Vec<_> =
            observation.permits.into_iter().map(|(caller, p)| (caller, p.requests)).collect();
        permits.sort_by_key(|(_, requests)| std::cmp::Reverse(*requests));
        ReadinessReport {
            account: self.account,
            readiness,
            observed,
            denials,
            ungrouped_denials: observation.ungrouped,
            permits,
            enforced_denials: self.enforced_denials,
        }
    }
}

impl Observation {
    fn observe(&mut self, at: UnixMillis) {
        self.first = Some(self.first.map_or(at, |first| first.min(at)));
        self.last = Some(self.last.map_or(at, |last| last.max(at)));
        if self.days.len() < DAYS_MAX {
            self.days.insert(time::day_of(at));
        }
    }

    fn permit(&mut self, at: UnixMillis, caller: &str) {
        if !self.permits.contains_key(caller) && GROUPS_MAX <= self.permits.len() {
            return;
        }
        let permits = self
            .permits
            .entry(caller.to_owned())
            .or_insert(Permits { requests: 0, last: UnixMillis(0) });
        permits.requests += 1;
        permits.last = permits.last.max(at);
    }

    fn deny(&mut self, at: UnixMillis, event: &Value) {
        let text =
            |pointer| event.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        let key = (
            text("/requestData/subject/attributes/token.account.bss"),
            text("/requestData/subject/attributes/identityType"),
            text("/initiator/id"),
        );
        if !self.denials.contains_key(&key) && GROUPS_MAX <= self.denials.len() {
            self.ungrouped += 1;
            return;
        }
        let group = self.denials.entry(key).or_insert_with(|| Group {
            name: text("/initiator/name"),
            requests: 0,
            first: at,
            last: at,
            resources: BTreeSet::new(),
        });
        group.requests += 1;
        group.first = group.first.min(at);
        group.last = group.last.max(at);
        if group.resources.len() < RESOURCES_MAX {
            group.resources.insert(text("/target/id"));
        }
    }

    fn is_newer_than(&self, other: &Self) -> bool {
        match (self.last, other.last) {
            (None, _) => false,
            (Some(_), None) => true,
            (Some(last), Some(other)) => other.0 <= last.0.saturating_add(LATELY_MS),
        }
    }

    fn observed(&self, by: ObservedBy) -> Option<Observed> {
        let pairs = self.days.iter().zip(self.days.iter().skip(1));
        let gaps = pairs.filter(|(day, next)| **day + 1 < **next);
        Some(Observed {
            by,
            first: self.first?,
            last: self.last?,
            days: self.days.len(),
            gaps: gaps.map(|(day, next)| (day + 1, next - 1)).collect(),
        })
    }

    fn account_denials(&self) -> Vec<AccountDenials> {
        let mut accounts: BTreeMap<&str, Vec<IdentityDenials>> = BTreeMap::new();
        for ((caller, identity_type, id), group) in &self.denials {
            accounts.entry(caller).or_default().push(IdentityDenials {
                identity_type: identity_type.clone(),
                id: id.clone(),
                name: group.name.clone(),
                requests: group.requests,
                first: group.first,
                last: group.last,
                resources: group.resources.iter().cloned().collect(),
            });
        }
        let accounts = accounts.into_iter().map(|(caller, mut identities)| {
            identities.sort_by_key(|identity| std::cmp::Reverse(identity.requests));
            AccountDenials {
                caller: caller.to_owned(),
                requests: identities.iter().map(|identity| identity.requests).sum(),
                suggestion: self.suggestion(caller, &identities),
                identities,
            }
        });
        let mut accounts: Vec<_> = accounts.collect();
        accounts.sort_by_key(|account| std::cmp::Reverse(account.requests));
        accounts
    }

    fn suggestion(&self, caller: &str, identities: &[IdentityDenials]) -> Suggestion {
        let last_denied = identities.iter().map(|identity| identity.last).max();
        let last_permitted = self.permits.get(caller).map(|permits| permits.last);
        if last_denied < last_permitted {
            Suggestion::NothingResolved
        } else if identities.len() <= PROFILE_IDENTITIES_MAX {
            Suggestion::TrustedProfile
        } else if caller.is_empty() {
            Suggestion::NothingNoAccount
        } else {
            Suggestion::Allowlist
        }
    }
}

impl Suggestion {
    /// Whether the account would still be denied.
    fn is_open(self) -> bool {
        match self {
            Self::Allowlist | Self::NothingNoAccount | Self::TrustedProfile => true,
            Self::NothingResolved => false,
        }
    }

    /// The suggestion's name for programs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allowlist => "allowlist",
            Self::NothingNoAccount | Self::NothingResolved => "nothing",
            Self::TrustedProfile => "trusted_profile",
        }
    }

    /// The suggestion's reason.
    pub fn why(self) -> &'static str {
        match self {
            Self::Allowlist => "many identities of the account come",
            Self::NothingNoAccount => "the token has no account that could be admitted",
            Self::NothingResolved => "the account was admitted since",
            Self::TrustedProfile => "few identities of the account come",
        }
    }
}

/// How long an account should be observed before it is limited.
pub const DAYS_ADVISED: usize = 30;
/// With more identities than these a profile for each is more work than it protects.
pub const PROFILE_IDENTITIES_MAX: usize = 3;
/// The most groups that are told apart: 1 KiB × 10,000 = 10 MiB.
pub const GROUPS_MAX: usize = 10_000;
/// The most resources that are named for an identity.
const RESOURCES_MAX: usize = 3;
/// The most days that are told apart: ten years.
const DAYS_MAX: usize = 3660;
/// A candidate that was asked up to a day before the last event counts as the next setting.
const LATELY_MS: u64 = 24 * 60 * 60 * 1000;

#[cfg(test)]
mod tests;
