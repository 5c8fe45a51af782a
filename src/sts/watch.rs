//! Looks for what attempts to begin sessions have in common: guessing, floods, unusual callers.
//!
//! Flows in: each attempt, and after a start those of the past (`history`). Flows out: detections.
//! Its memory (`memory`) is bounded whatever comes: what is remembered of an attempt (`traces`) has a
//! greatest size, and names are kept as keyed hashes. Who was ever let in is remembered apart from
//! those who never were, so that no number of failed attempts takes its place.

mod history;
mod memory;
mod traces;

use std::net::IpAddr;
use std::sync::{Arc, PoisonError};

use smallvec::SmallVec;

use crate::clock::UnixMillis;
use crate::event::{DetectionName, DetectionSubject};
use crate::iam::{AccountId, Arn};
use crate::snapshot::Snapshot;
use crate::sts::rules::WatchRules;
use crate::telemetry;

pub use history::{SEED_AGE, SEED_SESSIONS_MAX, SeedError, Seeded};

use memory::Memory;
use traces::Network;

/// Remembers attempts. Cheap to clone; clones share what they remember.
#[derive(Clone, Debug, Default)]
pub struct Watch {
    memory: Arc<Memory>,
}

/// One attempt, as the watch sees it.
#[derive(Clone, Copy, Debug)]
pub struct Observed<'a> {
    /// Who asked, as policies know them; empty where the token proved nobody.
    pub principal: &'a str,
    /// The caller's account.
    pub account: Option<AccountId>,
    /// The role's ARN, or what was asked for in its place.
    pub role: &'a str,
    /// Whether there is such a role, see [`is_role`]: what nobody could assume is remembered apart.
    pub role_exists: bool,
    /// The client's address.
    pub address: IpAddr,
    /// The external ID that was passed. Kept only as a keyed hash.
    pub external_id: Option<&'a str>,
    /// How long a session was asked for, or given.
    pub duration_seconds: Option<u32>,
    /// Whether a session began.
    pub succeeded: bool,
}

/// Something that is worth a look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Detection {
    /// What.
    pub name: DetectionName,
    /// What it is about.
    pub subject: DetectionSubject,
    /// How many, or how long in seconds.
    pub count: u32,
}

/// What one attempt completes.
pub type Detections = SmallVec<[Detection; 2]>;

/// Whether an ARN is that of a role or trusted profile in force.
pub fn is_role(snapshot: &Snapshot, role: &str) -> bool {
    let entry = |arn| snapshot.policies.as_ref()?.enforced.role(arn);
    Arn::parse(role).and_then(entry).is_some_and(|entry| *entry.arn == *role)
}

impl Watch {
    /// Takes an attempt into account, and tells what it completes. Counts what it tells
    /// (`crossgate_detections_total`).
    pub fn observe(
        &self,
        rules: &WatchRules,
        attempt: &Observed<'_>,
        now: UnixMillis,
    ) -> Detections {
        let mut found = Detections::new();
        let by_caller = self.observe_caller(rules, attempt, now, &mut found);
        let by_role = self.observe_role(rules, attempt, now, &mut found);
        // One who tries one role often enough completes both; that is told once.
        if let Some((subject, count)) = by_caller.or(by_role) {
            found.push(Detection { name: DetectionName::FailedAssume, subject, count });
        }
        if let Some(seconds) = attempt.duration_seconds
            && rules.long_session.as_secs() <= u64::from(seconds)
        {
            let subject = attempt.caller();
            found.push(Detection { name: DetectionName::LongSession, subject, count: seconds });
        }
        if rules.break_glass.iter().any(|role| **role == *attempt.role) {
            let subject = DetectionSubject::Role;
            found.push(Detection { name: DetectionName::BreakGlass, subject, count: 1 });
        }
        for detection in &found {
            telemetry::detected(detection.name);
        }
        found
    }

    /// Who asked, and from where; returns their failures, if there are too many.
    fn observe_caller(
        &self,
        rules: &WatchRules,
        attempt: &Observed<'_>,
        now: UnixMillis,
        found: &mut Detections,
    ) -> Option<(DetectionSubject, u32)> {
        let network = Network::of(attempt.address);
        let subject = attempt.caller();
        if attempt.principal.is_empty() {
            let failures = self.memory.source(network);
            let mut failures = failures.lock().unwrap_or_else(PoisonError::into_inner);
            let count = failures.add(now, rules.failed_attempts, rules.window);
            return count.map(|count| (subject, count));
        }
        let principal = self.memory.principal(attempt.principal, attempt.succeeded);
        let mut principal = principal.lock().unwrap_or_else(PoisonError::into_inner);
        let known = principal.networks.note(network, now).told(now, rules.window);
        let name = DetectionName::NewAddress;
        found.extend(known.map(|count| Detection { name, subject, count }));
        if attempt.succeeded {
            return None;
        }
        if let Some(external_id) = attempt.external_id {
            let tried = self.memory.external_id(external_id);
            let count = principal.tried.add(tried, now, rules.external_ids, rules.window);
            let name = DetectionName::ExternalIdGuessing;
            found.extend(count.map(|count| Detection { name, subject, count }));
        }
        let count = principal.failures.add(now, rules.failed_attempts, rules.window);
        count.map(|count| (subject, count))
    }

    /// What was asked for; returns the failures on it, if there are too many.
    fn observe_role(
        &self,
        rules: &WatchRules,
        attempt: &Observed<'_>,
        now: UnixMillis,
        found: &mut Detections,
    ) -> Option<(DetectionSubject, u32)> {
        let subject = DetectionSubject::Role;
        if attempt.role.is_empty() {
            return None;
        }
        let limit = rules.failed_attempts;
        if !attempt.role_exists && !attempt.succeeded {
            let failures = self.memory.unknown_role(attempt.role);
            let mut failures = failures.lock().unwrap_or_else(PoisonError::into_inner);
            return failures.add(now, limit, rules.window).map(|count| (subject, count));
        }
        let role = self.memory.role(attempt.role, attempt.succeeded);
        let mut role = role.lock().unwrap_or_else(PoisonError::into_inner);
        if !attempt.succeeded {
            let count = role.failures.add(now, limit, rules.window);
            return count.map(|count| (subject, count));
        }
        let account = self.memory.account(attempt.account);
        let known = role.accounts.note(account, now).told(now, rules.window);
        let name = DetectionName::NewAccount;
        found.extend(known.map(|count| Detection { name, subject, count }));
        None
    }
}

impl Observed<'_> {
    fn caller(&self) -> DetectionSubject {
        if self.principal.is_empty() {
            DetectionSubject::Address
        } else {
            DetectionSubject::Principal
        }
    }
}

/// What is longer has one name with what begins in the same way. As events have it, so that what
/// they tell of the past is found again.
fn cut(text: &str, bytes_max: usize) -> &str {
    text.get(..text.floor_char_boundary(bytes_max)).unwrap_or_default()
}

#[cfg(test)]
mod tests;
