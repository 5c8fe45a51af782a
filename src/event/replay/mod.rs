//! Replay: recorded requests decided again under proposed settings and policies.
//!
//! Flows in: the log's events, and a snapshot of what is proposed. Flows out: which requests would
//! end otherwise, grouped. Decides by the proxy's own [`decide`]; reads no file and asks no clock:
//! a request is decided at its own time. What was not recorded is told, never guessed.

mod groups;
mod recorded;
mod text;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use serde_json::Value;

use crate::clock::{UnixMillis, UnixSeconds};
use crate::decision::{self, Evaluation, PolicyVerdict, decide};
use crate::event::report::{RunMark, RunTally, Window};
use crate::iam::{AccountId, Arn, AuthzRequest, Identity};
use crate::perimeter::SettingsIndex;
use crate::policy::request_context::{Known, RequestContext};
use crate::policy::set::{Asked, PolicySet, PolicySets};
use crate::policy::{
    ConditionKey, Context, PolicyAnswer, Question, Resource, Side, Values, evaluate,
};
use crate::snapshot::Snapshot;
use crate::verdict::{Decision, Mode};

pub use groups::{AccountChanges, Groups, IdentityChanges, ResourceChanges};

use recorded::{Recorded, text as text_of};

/// What is proposed. A part that is `None` stays as it was recorded.
#[derive(Clone, Debug)]
pub struct Proposal {
    /// The settings.
    pub settings: Option<Arc<SettingsIndex>>,
    /// The policies, asked as the enforced ones; a candidate of theirs is not asked.
    pub policies: Option<Arc<PolicySets>>,
}

/// Which recorded requests are decided again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All of them.
    All,
    /// Those for an owner account's resources of which its candidate was asked.
    CandidateOf(AccountId),
}

/// Decides recorded requests again, one by one.
#[derive(Debug)]
pub struct Replay {
    window: Window,
    scope: Scope,
    proposal: Proposal,
    snapshot: Snapshot,
    /// Requests whose further events may come, by decision id; those are in the order of time.
    pending: BTreeMap<String, Recorded>,
    runs: RunTally,
    report: ReplayReport,
    /// Owner accounts by whether anything but enforced denials tells of them.
    owners: BTreeMap<AccountId, bool>,
}

/// What an event tells a replay.
#[derive(Debug)]
pub struct Told {
    mark: Option<RunMark>,
    decision: String,
    recorded: Option<Box<Recorded>>,
}

impl Told {
    /// What an event of a time tells.
    pub fn of(at: UnixMillis, event: &Value) -> Self {
        let decision = text_of(event, "/responseData/decisionId");
        // An event that tells no decision is a request of its own.
        let decision = if decision.is_empty() { text_of(event, "/id") } else { decision };
        let recorded = Recorded::of(at, event).map(Box::new);
        Self { mark: RunMark::of(event), decision: decision.to_owned(), recorded }
    }
}

/// What replaying came to.
#[derive(Clone, Debug, Default)]
pub struct ReplayReport {
    /// The first recorded request.
    pub first: Option<UnixMillis>,
    /// The last.
    pub last: Option<UnixMillis>,
    /// How many requests were recorded.
    pub requests: u64,
    /// Permitted then, and denied now.
    pub newly_denied: Groups,
    /// Denied then, and permitted now.
    pub newly_permitted: Groups,
    /// Permitted then and now.
    pub still_permitted: u64,
    /// Denied then and now.
    pub still_denied: u64,
    /// Of those that are permitted: a denial that the proposed mode only records.
    pub only_recorded: u64,
    /// Of the proposed policies it can't be told what they would say.
    pub unknown: Unknown,
    /// Owner accounts of which denials alone are recorded.
    pub denials_only: Vec<String>,
    /// Events that are missing in the log.
    pub lost_events: u64,
    /// Which parts were proposed.
    pub proposed: Proposed,
}

/// Which parts of a snapshot were proposed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Proposed {
    /// Settings.
    pub settings: bool,
    /// Policies, and the mode that they decide in.
    pub policies: Option<Mode>,
}

/// Requests that policies can't be asked again about, by why.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unknown {
    /// No event of policies tells what they would look at.
    pub not_recorded: u64,
    /// Something that policies read was too long for its event.
    pub cut: u64,
    /// The proposed policies read a value that no event tells.
    pub withheld: u64,
}

/// What a request comes to.
enum Ending {
    Permitted,
    Denied { reason: String, detail: String },
    Unknown,
}

impl Replay {
    /// The fields of an event that count.
    pub const FIELDS: [&str; 13] = [
        "action",
        "eventTime",
        "id",
        "initiator",
        "requestData",
        "responseData.candidate",
        "responseData.decision",
        "responseData.decisionId",
        "responseData.instance",
        "responseData.isEnforced",
        "responseData.reason",
        "responseData.sequence",
        "target.id",
    ];

    /// A replay of a window's requests.
    pub fn new(proposal: Proposal, scope: Scope, window: Window) -> Self {
        let snapshot = Snapshot {
            settings: proposal.settings.clone().unwrap_or_default(),
            policies: proposal.policies.clone(),
            ..Snapshot::default()
        };
        let proposed = Proposed {
            settings: proposal.settings.is_some(),
            policies: proposal.policies.as_ref().map(|sets| sets.mode),
        };
        Self {
            window,
            scope,
            proposal,
            snapshot,
            pending: BTreeMap::new(),
            runs: RunTally::new(window),
            report: ReplayReport { proposed, ..ReplayReport::default() },
            owners: BTreeMap::new(),
        }
    }

    /// Takes an event, oldest first; those from before the window tell of missing ones.
    pub fn add(&mut self, at: UnixMillis, event: &Value) {
        self.take(at, Told::of(at, event));
    }

    /// Takes what an event tells.
    pub fn take(&mut self, at: UnixMillis, told: Told) {
        let Told { mark, decision, recorded } = told;
        if let Some(mark) = &mark {
            self.runs.add(at, mark);
        }
        let Some(recorded) = recorded.filter(|_| self.window.contains(at)) else { return };
        match self.pending.entry(decision) {
            Entry::Occupied(mut pending) => pending.get_mut().merge(*recorded),
            Entry::Vacant(place) => {
                place.insert(*recorded);
            }
        }
        if PENDING_MAX < self.pending.len()
            && let Some((_, oldest)) = self.pending.pop_first()
        {
            self.decide(&oldest);
        }
    }

    /// What it came to.
    pub fn finish(mut self) -> ReplayReport {
        while let Some((_, oldest)) = self.pending.pop_first() {
            self.decide(&oldest);
        }
        let mut report = self.report;
        report.lost_events = self.runs.lost_events();
        let only = self.owners.into_iter().filter(|(_, is_observed)| !is_observed);
        report.denials_only = only.map(|(owner, _)| owner.as_str().to_owned()).collect();
        report
    }

    fn decide(&mut self, recorded: &Recorded) {
        match self.scope {
            Scope::All => {}
            Scope::CandidateOf(owner) if recorded.owner == owner && recorded.has_candidate => {}
            Scope::CandidateOf(_) => return,
        }
        let report = &mut self.report;
        report.requests += 1;
        report.first = Some(report.first.map_or(recorded.at, |first| first.min(recorded.at)));
        report.last = Some(report.last.map_or(recorded.at, |last| last.max(recorded.at)));
        if self.owners.len() < OWNERS_MAX || self.owners.contains_key(&recorded.owner) {
            *self.owners.entry(recorded.owner).or_default() |= recorded.is_observed;
        }
        let ending = self.ending(recorded);
        let report = &mut self.report;
        match (recorded.denied(), ending) {
            (_, Ending::Unknown) => {}
            (None, Ending::Permitted) => report.still_permitted += 1,
            (Some(_), Ending::Denied { .. }) => report.still_denied += 1,
            (None, Ending::Denied { reason, detail }) => {
                report.newly_denied.add(recorded, &reason, detail);
            }
            (Some(reason), Ending::Permitted) => {
                report.newly_permitted.add(recorded, reason, String::new());
            }
        }
    }

    /// What the request comes to under what is proposed, and as recorded where nothing is.
    fn ending(&mut self, recorded: &Recorded) -> Ending {
        let (request, now) = (recorded.request(), recorded.at.seconds());
        let evaluation = decide(&self.snapshot, &recorded.identity, &request, now);
        let perimeter = match (&self.proposal.settings, evaluation.perimeter) {
            (None, _) => recorded.denied_by_perimeter.as_deref(),
            (Some(_), None) => None,
            (Some(_), Some(verdicts)) => {
                let verdict = verdicts.enforced;
                verdict.rejects().then(|| verdict.reason.as_str())
            }
        };
        if let Some(reason) = perimeter {
            return Ending::Denied { reason: reason.to_owned(), detail: String::new() };
        }
        let (policies, detail) = match (&self.proposal.policies, evaluation.policy) {
            (None, _) => (recorded.denied_by_policies.as_deref(), String::new()),
            (Some(_), None) => (None, String::new()),
            (Some(sets), Some(verdicts)) => {
                if let Some(why) = unknown(recorded, &request, now, &sets.enforced) {
                    *why.of(&mut self.report.unknown) += 1;
                    return Ending::Unknown;
                }
                let PolicyVerdict { verdict, answer } = verdicts.enforced;
                (verdict.rejects().then(|| verdict.reason.as_str()), detail(&answer))
            }
        };
        if let Some(reason) = policies {
            return Ending::Denied { reason: reason.to_owned(), detail };
        }
        self.report.only_recorded += u64::from(is_only_recorded(&evaluation));
        Ending::Permitted
    }
}

/// Why policies can't be asked again about a request.
#[derive(Clone, Copy)]
enum Why {
    Cut,
    NotRecorded,
    Withheld,
}

impl Why {
    fn of(self, unknown: &mut Unknown) -> &mut u64 {
        match self {
            Self::Cut => &mut unknown.cut,
            Self::NotRecorded => &mut unknown.not_recorded,
            Self::Withheld => &mut unknown.withheld,
        }
    }
}

fn unknown(
    recorded: &Recorded,
    request: &AuthzRequest<'_>,
    now: UnixSeconds,
    set: &PolicySet,
) -> Option<Why> {
    let Some(input) = &recorded.input else { return Some(Why::NotRecorded) };
    if input.is_cut {
        return Some(Why::Cut);
    }
    let reads = || reads(set, &recorded.identity, request, now, &input.withheld);
    (!input.withheld.is_empty() && reads()).then_some(Why::Withheld)
}

/// Whether the decision of a set asks for one of some keys.
fn reads(
    set: &PolicySet,
    identity: &Identity,
    request: &AuthzRequest<'_>,
    now: UnixSeconds,
    keys: &[ConditionKey],
) -> bool {
    let resource = match (request.resource, Arn::parse(request.resource)) {
        ("*", _) => Some(Resource::Any),
        (_, arn) => arn.map(Resource::Named),
    };
    let (Some(principal), Some(resource)) = (decision::principal(identity), resource) else {
        return false;
    };
    let AuthzRequest { action, key_action, owner, .. } = *request;
    let session = identity.session.as_deref();
    let asked = Asked { principal, action, resource, owner, key_action, session };
    let applicable = set.applicable(&asked);
    let known = Known::of(&applicable, set.organization.as_deref());
    let request = RequestContext::new(identity, principal, request, known, now);
    let context = Listening { request: &request, keys, was_asked: Cell::new(false) };
    let owner = Some(owner.as_str());
    let question = Question { principal, action, resource, owner, context: &context };
    let _ = evaluate(&question, &applicable.policies);
    context.was_asked.get()
}

/// A request's context that remembers whether one of some keys was asked for.
struct Listening<'c> {
    request: &'c RequestContext<'c>,
    keys: &'c [ConditionKey],
    was_asked: Cell<bool>,
}

impl Listening<'_> {
    fn listen(&self, key: &ConditionKey) {
        self.was_asked.set(self.was_asked.get() || self.keys.contains(key));
    }
}

impl Context for Listening<'_> {
    fn values(&self, key: &ConditionKey) -> Values<'_> {
        self.listen(key);
        self.request.values(key)
    }

    fn values_for_key<'v>(&'v self, key: &ConditionKey, account: &'v str) -> Values<'v> {
        self.listen(key);
        self.request.values_for_key(key, account)
    }
}

/// Whether something that is proposed denies a request and lets it pass.
fn is_only_recorded(evaluation: &Evaluation<'_>) -> bool {
    let perimeter = evaluation.perimeter.map(|verdicts| verdicts.enforced);
    let policy = evaluation.policy.map(|verdicts| verdicts.enforced.verdict);
    perimeter.into_iter().chain(policy).any(|verdict| verdict.decision == Decision::Deny)
}

/// The statements that decided, or the sides that lack a grant.
fn detail(answer: &PolicyAnswer<'_>) -> String {
    let missing: Vec<&str> = answer.missing.iter().map(Side::as_str).collect();
    if !missing.is_empty() {
        return format!("missing: {}", missing.join(", "));
    }
    let statements = answer.statements.iter().map(|decided| {
        let (policy, sid) = (&decided.policy.name, &decided.statement.sid);
        if sid.is_empty() {
            format!("{policy}[{}]", decided.statement.index)
        } else {
            format!("{policy}/{sid}")
        }
    });
    statements.collect::<Vec<_>>().join(", ")
}

/// Requests whose events are put together at one time: all that workers have under way, and more.
const PENDING_MAX: usize = 10_000;
/// The most owner accounts that are told apart.
const OWNERS_MAX: usize = 10_000;

#[cfg(test)]
mod tests;
