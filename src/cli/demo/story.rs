//! What happened, and whether it is what had to happen. Pure.
//!
//! Flows in: answers and recorded events. Flows out: notes, groups, and each difference.

mod sessions;
mod sharing;

use serde_json::Value;

use crate::cli::demo::cast::{Caller, DEV, OWNERS, Owner, SHOP};
use crate::event::query::{Query, QueryError};
use crate::event::report::{ObservedBy, Readiness, ReadinessReport};
use crate::verdict::Mode;

pub(super) use sessions::{
    Attempt, DeveloperVisit, GUESSING, Sessions, SessionsEnd, VendorVisit, element, guessing,
    metric_line, recorded,
};
pub(super) use sharing::{Explained, Mend, Sharing};

/// The whole story.
#[derive(Debug)]
pub(super) struct Story {
    /// Every caller at every account.
    pub(super) answers: Vec<Asked>,
    /// What was recorded of them.
    pub(super) first_events: Vec<Value>,
    /// What the candidate would break.
    pub(super) candidate: ReadinessReport,
    /// What limiting would break.
    pub(super) readiness: ReadinessReport,
    /// From report-only to limited.
    pub(super) switch: Switch,
    /// An encrypted order, shared with the partner.
    pub(super) sharing: Sharing,
    /// Roles of the owner's.
    pub(super) sessions: Sessions,
    /// All that was recorded.
    pub(super) events: Vec<Value>,
}

/// One request and its answer.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) caller: Caller,
    pub(super) owner: &'static Owner,
    pub(super) status: u16,
    /// The problem's `code`; empty if there is none.
    pub(super) code: String,
    /// The id of the decision.
    pub(super) decision: String,
    /// The account that the service behind was told of; empty if the request did not reach it.
    pub(super) told_account: String,
}

/// The change of a mode while requests run.
#[derive(Debug)]
pub(super) struct Switch {
    /// The answer to the change.
    pub(super) status: u16,
    /// Requests of the stream.
    pub(super) sent: usize,
    /// Those that were answered 200.
    pub(super) answered: usize,
    /// Answered before the change was sent.
    pub(super) answered_before: usize,
    /// Sent before the change was answered.
    pub(super) sent_before: usize,
    /// Every caller after it.
    pub(super) after: Vec<Asked>,
}

/// What was recorded of one answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Note {
    /// The candidate would have denied it.
    CandidateDenies,
    /// It was denied.
    Denied,
    /// It was admitted, and would be by `limited`.
    Permitted,
    /// It was admitted, and would not be by `limited`.
    WouldDeny,
}

/// Events of a query that are alike, and how many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Group {
    pub(super) events: usize,
    /// Who called.
    pub(super) caller: String,
    pub(super) caller_account: String,
    pub(super) owner: String,
    pub(super) mode: String,
    pub(super) by_candidate: bool,
    /// Whether policies decided, not the perimeter.
    pub(super) by_policies: bool,
    /// The sides that lack a grant.
    pub(super) missing: String,
}

impl Note {
    /// What has to be recorded of an answer.
    fn expected(caller: Caller, owner: &Owner, mode: Mode) -> Option<Self> {
        match (caller, mode) {
            (Caller::Partner | Caller::Stranger, Mode::Unrestricted) if owner == DEV => {
                Some(Self::CandidateDenies)
            }
            (Caller::Partner, Mode::ReportOnly) => Some(Self::Permitted),
            (Caller::Stranger, Mode::ReportOnly) => Some(Self::WouldDeny),
            (Caller::Stranger, Mode::Limited) => Some(Self::Denied),
            (Caller::Own | Caller::Profile | Caller::Developer(_), _)
            | (Caller::Partner, Mode::Limited)
            | (Caller::Partner | Caller::Stranger, Mode::Unrestricted) => None,
        }
    }

    fn of(event: &Value) -> Self {
        let flag = |pointer| event.pointer(pointer) == Some(&Value::Bool(true));
        let denied = text(event, DECISION) == "Deny";
        match (denied, flag("/responseData/candidate"), flag("/responseData/isEnforced")) {
            (false, _, _) => Self::Permitted,
            (true, true, _) => Self::CandidateDenies,
            (true, false, true) => Self::Denied,
            (true, false, false) => Self::WouldDeny,
        }
    }
}

/// What was recorded of an answer.
pub(super) fn note(asked: &Asked, events: &[Value]) -> Option<Note> {
    let of_asked = |event: &&Value| text(event, "/responseData/decisionId") == asked.decision;
    events.iter().find(of_asked).map(Note::of)
}

/// The events of a query, alike ones together, in the order of the first of each.
pub(super) fn groups(query: &str, events: &[Value]) -> Result<Vec<Group>, QueryError> {
    let query = Query::parse(query)?;
    let mut groups: Vec<Group> = Vec::new();
    for event in events.iter().filter(|event| query.matches(event)) {
        let found = Group {
            events: 1,
            caller: text(event, "/initiator/authnName").to_owned(),
            caller_account: text(event, "/requestData/subject/attributes/token.account.bss")
                .to_owned(),
            owner: text(event, "/requestData/resource/attributes/accountId").to_owned(),
            mode: text(event, "/responseData/mode").to_owned(),
            by_candidate: event.pointer("/responseData/candidate") == Some(&Value::Bool(true)),
            by_policies: text(event, LAYER) == "policy",
            missing: missing(event),
        };
        match groups.iter_mut().find(|group| Group { events: 1, ..(*group).clone() } == found) {
            Some(group) => group.events += 1,
            None => groups.push(found),
        }
    }
    Ok(groups)
}

/// How many events a query finds.
pub(super) fn count(query: &str, events: &[Value]) -> Result<usize, QueryError> {
    let query = Query::parse(query)?;
    Ok(events.iter().filter(|event| query.matches(event)).count())
}

/// Everything that is not as it has to be.
pub(super) fn differences(story: &Story) -> Result<Vec<String>, QueryError> {
    let mut found = Vec::new();
    let expected_answers = Caller::FOUR.len() * OWNERS.len();
    if story.answers.len() != expected_answers {
        found.push(format!("{} answers instead of {expected_answers}", story.answers.len()));
    }
    for asked in &story.answers {
        check_answer(asked, asked.owner.mode, &story.first_events, &mut found);
    }
    check_report("acme-dev", &story.candidate, ObservedBy::Candidate, 2, &mut found);
    check_report("acme-shop", &story.readiness, ObservedBy::ReportOnly, 1, &mut found);
    check_switch(story, &mut found);
    story.sharing.check(&story.events, &mut found);
    story.sessions.check(&story.events, &mut found)?;
    check_events(story, &mut found)?;
    Ok(found)
}

fn check_answer(asked: &Asked, mode: Mode, events: &[Value], found: &mut Vec<String>) {
    let who =
        format!("{} {} at {}", asked.caller.person(), asked.caller.origin(), asked.owner.name);
    let expected = asked.caller.expected(mode);
    if asked.status != expected {
        found.push(format!("{who}: status {} instead of {expected}", asked.status));
    }
    let (told, code) = match expected {
        200 => (asked.caller.account(asked.owner), ""),
        _ => ("", "external_account_denied"),
    };
    if asked.told_account != told {
        found.push(format!("{who}: the service was told `{}`", asked.told_account));
    }
    if asked.code != code {
        found.push(format!("{who}: code `{}` instead of `{code}`", asked.code));
    }
    let (noted, expected) = (note(asked, events), Note::expected(asked.caller, asked.owner, mode));
    if noted != expected {
        found.push(format!("{who}: recorded {noted:?} instead of {expected:?}"));
    }
}

fn check_report(
    name: &str,
    report: &ReadinessReport,
    by: ObservedBy,
    denials: usize,
    found: &mut Vec<String>,
) {
    let requests = u64::try_from(denials).unwrap_or(u64::MAX);
    let expected = Readiness::WouldDeny { requests, accounts: denials };
    if report.readiness != expected {
        found.push(format!("readiness of {name}: {:?}, not {expected:?}", report.readiness));
    } else if report.observed.as_ref().is_none_or(|observed| observed.by != by) {
        found.push(format!("readiness of {name} is not by {by:?}"));
    }
}

fn check_switch(story: &Story, found: &mut Vec<String>) {
    let switch = &story.switch;
    if switch.status != 200 {
        found.push(format!("the change was answered {}", switch.status));
    }
    if switch.answered != switch.sent {
        let lost = switch.sent.saturating_sub(switch.answered);
        found.push(format!("{lost} of {} requests were lost", switch.sent));
    }
    if switch.answered_before == 0 || switch.sent <= switch.sent_before {
        found.push("no requests before or after the change".to_owned());
    }
    for asked in &switch.after {
        check_answer(asked, Mode::Limited, &story.events, found);
    }
}

fn check_events(story: &Story, found: &mut Vec<String>) -> Result<(), QueryError> {
    let switch = &story.switch;
    let [would_deny, permit, deny] = QUERIES;
    // One permit is of the first act and one of the proposed policies; the rest is the stream until
    // the change was in force.
    let permits = switch.answered_before + 2..=switch.sent_before + 2;
    // Two of the candidate, one of report-only.
    let would_be = 3 + Sessions::CANDIDATE_DENIALS;
    // Two denials are of the perimeter.
    let denials = 2 + story.sharing.denials() + Sessions::DENIALS;
    for (query, expected) in
        [(would_deny, would_be..=would_be), (permit, permits), (deny, denials..=denials)]
    {
        let events = count(query, &story.events)?;
        if !expected.contains(&events) {
            found.push(format!("`{query}` finds {events} events, not {expected:?}"));
        }
    }
    let updates = count("iam-access-management.account-settings.update", &story.events)?;
    // The account's setting, and the end of a role's sessions.
    if updates != 2 {
        found.push(format!("{updates} events of changes instead of 2"));
    }
    Ok(())
}

pub(super) fn text<'e>(event: &'e Value, pointer: &str) -> &'e str {
    event.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The sides that lack a grant, of policies.
fn missing(event: &Value) -> String {
    let sides = event.pointer("/responseData/missing").and_then(Value::as_array);
    let sides: Vec<_> = sides.into_iter().flatten().filter_map(Value::as_str).collect();
    sides.join(", ")
}

const LAYER: &str = "/responseData/layer";
const DECISION: &str = "/responseData/decision";

/// The standard queries: what `limited` would deny, what it would permit, what it denies.
pub(super) const QUERIES: [&str; 3] = [
    r#"responseData.isEnforced:"false" AND responseData.decision:"Deny""#,
    r#"responseData.isEnforced:"false" AND responseData.decision:"Permit""#,
    r#"responseData.isEnforced:"true" AND responseData.decision:"Deny""#,
];

/// The account that is switched.
pub(super) const SWITCHED: &Owner = SHOP;

#[cfg(test)]
mod tests;
