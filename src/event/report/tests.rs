use serde_json::{Value, json};

use super::*;
use crate::event::time::DAY_SECONDS;

const OWNER: &str = "59bc";
const START: u64 = 1_760_054_400_000;

/// What a test varies of an event.
#[derive(Clone, Copy)]
struct Given {
    day: u64,
    decision: &'static str,
    caller: &'static str,
    id: &'static str,
    enforced: bool,
    candidate: bool,
    owner: &'static str,
}

const DENIED: Given = Given {
    day: 0,
    decision: "Deny",
    caller: "f714",
    id: "IBMid-1",
    enforced: false,
    candidate: false,
    owner: OWNER,
};

fn event(given: Given) -> (UnixMillis, Value) {
    let at = UnixMillis(START + given.day * DAY_SECONDS * 1000);
    let event = json!({
        "action": PERIMETER_ACTION,
        "initiator": {"id": given.id, "name": "name\u{1b}[31m"},
        "target": {"id": format!("arn:aws:orders::59bc:order/{}", given.day)},
        "requestData": {
            "resource": {"attributes": {"accountId": given.owner}},
            "subject": {"attributes": {"token.account.bss": given.caller, "identityType": "user"}}},
        "responseData": {"isEnforced": given.enforced, "candidate": given.candidate,
            "decision": given.decision},
    });
    (at, event)
}

fn report(events: &[Given]) -> ReadinessReport {
    let mut tally = ReadinessTally::new(OWNER);
    for given in events {
        let (at, event) = event(*given);
        tally.add(at, &event);
    }
    tally.finish()
}

#[test]
fn what_policies_said_does_not_count() {
    let mut tally = ReadinessTally::new(OWNER);
    for given in
        [DENIED, Given { decision: "Permit", ..DENIED }, Given { enforced: true, ..DENIED }]
    {
        let (at, mut event) = event(given);
        event["action"] = json!(crate::event::POLICY_ACTION);
        tally.add(at, &event);
    }
    let report = tally.finish();
    assert_eq!(report.readiness, Readiness::NeverObserved);
    assert_eq!((report.denials.len(), report.enforced_denials), (0, 0));
}

#[test]
fn an_account_without_events_was_never_observed() {
    let report = report(&[Given { owner: "other", ..DENIED }, Given { enforced: true, ..DENIED }]);
    assert_eq!(report.readiness, Readiness::NeverObserved);
    assert_eq!(report.enforced_denials, 1);
    assert!(report.observed.is_none());
    assert!(report.to_text(Colour::Plain).contains("NOT READY"));
}

#[test]
fn events_of_other_actions_count_for_nothing() {
    let mut tally = ReadinessTally::new(OWNER);
    let (at, mut other) = event(DENIED);
    other["action"] = json!("iam-access-management.policy.eval");
    tally.add(at, &other);
    tally.add(at, &json!({}));
    tally.add(at, &json!([1]));
    assert_eq!(tally.finish().readiness, Readiness::NeverObserved);
}

#[test]
fn permits_alone_are_ready_with_advice() {
    let permitted = Given { decision: "Permit", ..DENIED };
    let report = report(&[permitted, Given { day: 1, ..permitted }]);
    assert_eq!(report.readiness, Readiness::Ready);
    assert_eq!(report.permits, [("f714".to_owned(), 2)]);
    let text = report.to_text(Colour::Plain);
    assert!(text.contains("READY") && !text.contains("NOT READY"), "{text}");
    assert!(text.contains("2 of the recommended 30 days"), "{text}");
}

#[test]
fn would_be_denials_are_grouped_and_named() {
    let report = report(&[
        DENIED,
        Given { day: 4, ..DENIED },
        Given { day: 4, id: "IBMid-2", ..DENIED },
        Given { caller: "beef", day: 2, ..DENIED },
    ]);
    assert_eq!(report.readiness, Readiness::WouldDeny { requests: 4, accounts: 2 });
    let [first, second] = report.denials.as_slice() else { panic!("{report:?}") };
    assert_eq!((first.caller.as_str(), first.requests), ("f714", 3));
    assert_eq!((second.caller.as_str(), second.requests), ("beef", 1));
    assert_eq!(first.identities[0].id, "IBMid-1");
    assert_eq!(first.identities[0].requests, 2);
    assert_eq!(first.identities[0].last.0 - first.identities[0].first.0, 4 * 86_400_000);
    assert_eq!(first.identities[0].resources.len(), 2);
    let observed = report.observed.as_ref().unwrap();
    assert_eq!(observed.days, 3);
    let day = START / 86_400_000;
    assert_eq!(observed.gaps, [(day + 1, day + 1), (day + 3, day + 3)]);
    let text = report.to_text(Colour::Plain);
    for part in ["f714", "beef", "IBMid-1", "4 requests would be denied", "30 days"] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text:?}");
}

#[test]
fn suggestions_follow_the_number_of_identities() {
    let few = ["a", "b", "c"].map(|id| Given { id, ..DENIED });
    assert_eq!(report(&few).denials[0].suggestion, Suggestion::TrustedProfile);
    let many = ["a", "b", "c", "d"].map(|id| Given { id, ..DENIED });
    assert_eq!(report(&many).denials[0].suggestion, Suggestion::Allowlist);
    let nameless = many.map(|given| Given { caller: "", ..given });
    assert_eq!(report(&nameless).denials[0].suggestion, Suggestion::NothingNoAccount);
}

#[test]
fn an_account_that_was_admitted_since_is_resolved() {
    let admitted = Given { decision: "Permit", day: 1, ..DENIED };
    let report_after = report(&[DENIED, admitted]);
    assert_eq!(report_after.readiness, Readiness::Ready);
    assert_eq!(report_after.denials[0].suggestion, Suggestion::NothingResolved);
    let denied_again = report(&[DENIED, admitted, Given { day: 2, ..DENIED }]);
    assert_eq!(denied_again.readiness, Readiness::WouldDeny { requests: 2, accounts: 1 });
}

#[test]
fn a_candidate_that_was_asked_lately_decides() {
    let proposed = Given { candidate: true, decision: "Permit", ..DENIED };
    let asked = report(&[DENIED, proposed]);
    assert_eq!(asked.readiness, Readiness::Ready);
    assert_eq!(asked.observed.unwrap().by, ObservedBy::Candidate);
    let forgotten = report(&[proposed, Given { day: 9, ..DENIED }]);
    assert_eq!(forgotten.readiness, Readiness::WouldDeny { requests: 1, accounts: 1 });
    assert_eq!(forgotten.observed.unwrap().by, ObservedBy::ReportOnly);
}

#[test]
fn groups_have_a_limit_and_what_is_cut_is_told() {
    let mut tally = ReadinessTally::new(OWNER);
    let (at, mut event) = event(DENIED);
    for n in 0..GROUPS_MAX + 5 {
        event["initiator"]["id"] = json!(format!("IBMid-{n}"));
        tally.add(at, &event);
    }
    let report = tally.finish();
    assert_eq!(report.ungrouped_denials, 5);
    assert_eq!(report.denials[0].identities.len(), GROUPS_MAX);
    assert!(report.to_text(Colour::Plain).contains("5 requests beyond the most groups"));
    assert!(report.to_text(Colour::Plain).lines().count() < 40);
}

#[test]
fn the_programs_form_says_the_same() {
    let json = report(&[DENIED]).to_json();
    assert_eq!(json["ready"], json!(false));
    assert_eq!(json["wouldDeny"][0]["account"], json!("f714"));
    assert_eq!(json["wouldDeny"][0]["suggestion"], json!("trusted_profile"));
    assert_eq!(json["observed"]["days"], json!(1));
    assert_eq!(json["observed"]["by"], json!("report-only"));
}

#[test]
fn colour_adds_nothing_but_colour() {
    let coloured = report(&[DENIED]).to_text(Colour::Ansi);
    let plain = report(&[DENIED]).to_text(Colour::Plain);
    assert_ne!(coloured, plain);
    assert_eq!(anstream::adapter::strip_str(&coloured).to_string(), plain);
}
