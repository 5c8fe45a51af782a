use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::event::time::DAY_SECONDS;
use crate::event::{DetectionName, PROFILE_ASSUME_ACTION, ROLE_ASSUME_ACTION};

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
    kind: &'static str,
}

const DENIED: Given = Given {
    day: 0,
    decision: "Deny",
    caller: "f714",
    id: "IBMid-1",
    enforced: false,
    candidate: false,
    owner: OWNER,
    kind: "user",
};

fn event(given: Given) -> (UnixMillis, Value) {
    let at = UnixMillis(START + given.day * DAY_SECONDS * 1000);
    let event = json!({
        "action": PERIMETER_ACTION,
        "initiator": {"id": given.id, "name": "name\u{1b}[31m"},
        "target": {"id": format!("arn:aws:orders::59bc:order/{}", given.day)},
        "requestData": {
            "resource": {"attributes": {"accountId": given.owner}},
            "subject": {"attributes": {"token.account.bss": given.caller, "identityType": given.kind}}},
        "responseData": {"isEnforced": given.enforced, "candidate": given.candidate,
            "decision": given.decision},
    });
    (at, event)
}

/// All time up to a day that no test gets to.
const ALL: Window = Window { since: None, until: UnixMillis(START + 1000 * DAY_SECONDS * 1000) };

/// The report on events of one run that loses none, at its last event.
fn report(events: &[Given]) -> ReadinessReport {
    report_with(events, None)
}

fn report_with(events: &[Given], setting: Option<&AccountSetting>) -> ReadinessReport {
    let last = events.iter().map(|given| event(*given).0).max().unwrap();
    let mut tally = ReadinessTally::new(OWNER, Window { since: None, until: last });
    for (given, sequence) in events.iter().zip(1..) {
        let (at, mut event) = event(*given);
        event["responseData"]["instance"] = json!("i");
        event["responseData"]["sequence"] = json!(sequence);
        tally.add(at, &event);
    }
    tally.finish(setting.map_or(KnownSetting::Unknown, KnownSetting::AtEnd))
}

/// A setting of report-only, for each type with this allowlist, and a proposal for users.
fn by_type(allowlists: [&[&str]; 3], proposed: Option<&[&str]>) -> AccountSetting {
    let of = |mode, allowlist: &[&str]| {
        let accounts = allowlist.iter().map(|account| AccountId::parse(account).unwrap());
        TypeSetting { mode, allowlist: Arc::new(accounts.collect()) }
    };
    let proposed = proposed.map(|allowlist| of(Mode::Limited, allowlist));
    AccountSetting::new(allowlists.map(|list| of(Mode::ReportOnly, list)), [proposed, None, None])
}

#[test]
fn an_account_that_is_admitted_with_one_type_is_not_with_another() {
    let events = [DENIED, Given { day: 1, decision: "Permit", kind: "service_id", ..DENIED }];
    let known_setting = by_type([&[], &["f714"], &[]], None);
    for known in [None, Some(&known_setting)] {
        let report = report_with(&events, known);
        assert_eq!(report.readiness, Readiness::WouldDeny { requests: 1, accounts: 1 });
        assert_eq!(report.denials[0].suggestion, Suggestion::TrustedProfile);
    }
    // Both types together, of which one is dealt with: two rows.
    let later = Given { day: 2, decision: "Permit", ..DENIED };
    let other = Given { kind: "service_id", day: 3, ..DENIED };
    let report = report(&[events[0], later, other]);
    let suggestions: Vec<_> = report.denials.iter().map(|it| it.suggestion).collect();
    assert_eq!(suggestions, [Suggestion::TrustedProfile, Suggestion::LeaveResolved]);
    assert_eq!(report.readiness, Readiness::WouldDeny { requests: 1, accounts: 1 });
}

#[test]
fn who_was_taken_off_the_allowlist_would_be_denied() {
    let permitted = Given { decision: "Permit", day: 1, ..DENIED };
    for events in [&[permitted, permitted][..], &[DENIED, permitted, permitted]] {
        let none = by_type([&[], &[], &[]], None);
        let report = report_with(events, Some(&none));
        let requests = u64::try_from(events.len()).unwrap();
        assert_eq!(report.readiness, Readiness::WouldDeny { requests, accounts: 1 });
        assert_eq!(report.denials[0].requests, requests);
        // As long as it is on the list, it is not.
        let listed = by_type([&["f714"], &[], &[]], None);
        assert_eq!(report_with(events, Some(&listed)).readiness, Readiness::Ready);
    }
}

#[test]
fn a_proposal_that_is_gone_does_not_count() {
    let proposed = Given { candidate: true, decision: "Permit", ..DENIED };
    let events = [DENIED, proposed, Given { day: 1, ..DENIED }];
    let gone = report_with(&events, Some(&by_type([&[], &[], &[]], None)));
    assert_eq!(gone.observed.map(|observed| observed.by), Some(ObservedBy::ReportOnly));
    assert_eq!(gone.readiness, Readiness::WouldDeny { requests: 2, accounts: 1 });
    let there = report_with(&events, Some(&by_type([&[], &[], &[]], Some(&["f714"]))));
    assert_eq!(there.observed.map(|observed| observed.by), Some(ObservedBy::Candidate));
    assert_eq!(there.readiness, Readiness::Ready);
}

#[test]
fn what_policies_said_does_not_count() {
    let mut tally = ReadinessTally::new(OWNER, ALL);
    for given in
        [DENIED, Given { decision: "Permit", ..DENIED }, Given { enforced: true, ..DENIED }]
    {
        let (at, mut event) = event(given);
        event["action"] = json!(crate::event::POLICY_ACTION);
        tally.add(at, &event);
    }
    let report = tally.finish(KnownSetting::Unknown);
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
    let mut tally = ReadinessTally::new(OWNER, ALL);
    let (at, mut other) = event(DENIED);
    other["action"] = json!("iam-access-management.policy.eval");
    tally.add(at, &other);
    tally.add(at, &json!({}));
    tally.add(at, &json!([1]));
    assert_eq!(tally.finish(KnownSetting::Unknown).readiness, Readiness::NeverObserved);
}

#[test]
fn attempts_and_detections_count_for_nothing_and_leave_no_gap() {
    let actions = [PROFILE_ASSUME_ACTION, ROLE_ASSUME_ACTION]
        .into_iter()
        .chain(DetectionName::ALL.into_iter().map(DetectionName::action));
    let actions: Vec<&str> = [PERIMETER_ACTION].into_iter().chain(actions).collect();
    let mut tally = ReadinessTally::new(OWNER, ALL);
    let all = actions.iter().chain([&PERIMETER_ACTION]);
    for ((day, action), sequence) in (0..).zip(all).zip(1..) {
        let (at, mut event) = event(Given { day, enforced: day % 2 == 1, ..DENIED });
        event["action"] = json!(action);
        event["responseData"]["instance"] = json!("i");
        event["responseData"]["sequence"] = json!(sequence);
        tally.add(at, &event);
    }
    let report = tally.finish(KnownSetting::Unknown);
    assert_eq!(report.readiness, Readiness::WouldDeny { requests: 1, accounts: 1 });
    assert_eq!(report.enforced_denials, 1);
    let runs: Vec<_> = report.coverage.runs.iter().map(|run| (run.events, run.lost)).collect();
    assert_eq!(runs, [(10, 0)]);
}

#[test]
fn permits_alone_are_ready_with_advice() {
    let permitted = Given { decision: "Permit", ..DENIED };
    let report = report(&[permitted, Given { day: 1, ..permitted }]);
    assert_eq!(report.readiness, Readiness::Ready);
    let [admitted] = report.admitted.as_slice() else { panic!("{report:?}") };
    assert_eq!((admitted.caller.as_str(), admitted.requests), ("f714", 2));
    assert_eq!(
        (admitted.identities, admitted.types.as_slice()),
        (1, ["user".to_owned()].as_slice())
    );
    let text = report.to_text(Colour::Plain);
    assert!(text.contains("READY") && !text.contains("NOT READY"), "{text}");
    assert!(text.contains("observed for 1 d of the recommended 30 days"), "{text}");
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
    let resources = &first.identities[0].resources;
    assert_eq!(resources.iter().map(|resource| resource.requests).collect::<Vec<_>>(), [1, 1]);
    let observed = report.observed.as_ref().unwrap();
    assert_eq!(observed.days, 3);
    assert_eq!(report.days, Days { with_events: 3, quiet: 2, ..Days::default() });
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
    assert_eq!(report(&nameless).denials[0].suggestion, Suggestion::LeaveNoAccount);
}

#[test]
fn an_account_that_was_admitted_since_is_resolved() {
    let admitted = Given { decision: "Permit", day: 1, ..DENIED };
    let report_after = report(&[DENIED, admitted]);
    assert_eq!(report_after.readiness, Readiness::Ready);
    assert_eq!(report_after.denials[0].suggestion, Suggestion::LeaveResolved);
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
    let mut tally = ReadinessTally::new(OWNER, ALL);
    let (at, mut event) = event(DENIED);
    for n in 0..GROUPS_MAX + 5 {
        event["initiator"]["id"] = json!(format!("IBMid-{n}"));
        tally.add(at, &event);
    }
    let report = tally.finish(KnownSetting::Unknown);
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

#[test]
fn resources_have_a_limit_and_what_is_cut_is_told() {
    let mut tally = ReadinessTally::new(OWNER, ALL);
    let (at, mut event) = event(DENIED);
    for n in 0..105 {
        event["target"]["id"] = json!(format!("arn:aws:orders::59bc:order/{n}"));
        tally.add(at, &event);
    }
    let report = tally.finish(KnownSetting::Unknown);
    let identity = &report.denials[0].identities[0];
    assert_eq!((identity.resources.len(), identity.other_resources), (100, 5));
    assert_eq!(report.to_json()["wouldDeny"][0]["identities"][0]["otherResources"], json!(5));
}

fn setting(mode: Mode, allowlist: &[&str]) -> AccountSetting {
    let accounts = allowlist.iter().map(|account| AccountId::parse(account).unwrap());
    AccountSetting::uniform(mode, Arc::new(accounts.collect()))
}

#[test]
fn entries_that_admitted_nobody_are_told_where_permits_are_recorded() {
    let permitted = Given { decision: "Permit", ..DENIED };
    let told = |setting: AccountSetting| {
        let mut tally = ReadinessTally::new(OWNER, ALL);
        let (at, event) = event(permitted);
        tally.add(at, &event);
        tally.finish(KnownSetting::AtEnd(&setting)).allowlist.unwrap()
    };
    let observed = told(setting(Mode::ReportOnly, &["f714", "beef"]));
    assert_eq!(observed.entries, 2);
    assert_eq!(observed.admitted_nobody, ["beef"]);
    assert!(observed.cannot_tell.is_empty() && observed.unobserved_types.is_empty());
    let limited = told(setting(Mode::Limited, &["f714", "beef"]));
    assert_eq!(limited.cannot_tell, ["beef"]);
    assert!(limited.admitted_nobody.is_empty());
    assert_eq!(limited.unobserved_types, ["user", "service_id", "service"]);
    let text = report(&[permitted]).to_text(Colour::Plain);
    assert!(text.contains("not known without `--settings`"), "{text}");
}

#[test]
fn a_setting_of_later_tells_nothing_of_the_time_before() {
    let observed = |known: KnownSetting<'_>| {
        let mut tally = ReadinessTally::new(OWNER, ALL);
        let other = Given { owner: "other", day: 2, ..DENIED };
        for (given, sequence) in [(DENIED, 1), (other, 2)] {
            let (at, mut event) = event(given);
            event["responseData"]["instance"] = json!("i");
            event["responseData"]["sequence"] = json!(sequence);
            tally.add(at, &event);
        }
        tally.finish(known).coverage.observed_ms()
    };
    let setting = setting(Mode::ReportOnly, &[]);
    assert_eq!(observed(KnownSetting::AtEnd(&setting)), 2 * DAY_SECONDS * 1000);
    assert_eq!(observed(KnownSetting::Later(&setting)), 0);
    assert_eq!(observed(KnownSetting::Unknown), 0);
}

fn update(at: UnixMillis, before: &str, after: &str) -> (UnixMillis, Value) {
    let event = json!({
        "action": UPDATE_ACTION,
        "requestData": {
            "resource": {"attributes": {"accountId": OWNER}},
            "update": [{"updateType": "user.setting", "initialValue": before, "newValue": after}]},
    });
    (at, event)
}

#[test]
fn an_addition_is_validated_by_the_permits_since() {
    let permitted = Given { decision: "Permit", ..DENIED };
    let at = |day: u64| UnixMillis(START + day * DAY_SECONDS * 1000 - 1);
    let events = [
        event(DENIED),
        event(Given { day: 1, ..DENIED }),
        update(at(2), "report-only []", "report-only [f714, beef]"),
        event(Given { day: 2, ..permitted }),
        event(Given { day: 3, ..permitted }),
        event(Given { day: 3, enforced: true, ..permitted }),
    ];
    let mut tally = ReadinessTally::new(OWNER, ALL);
    for (at, event) in &events {
        tally.add(*at, event);
    }
    let report = tally.finish(KnownSetting::Unknown);
    let told: Vec<_> = report
        .added
        .iter()
        .map(|it| (it.caller.as_str(), it.by, it.denials_before, it.permits))
        .collect();
    assert_eq!(told, [("f714", AddedBy::Update, 2, 2), ("beef", AddedBy::Update, 0, 0)]);
    let text = report.to_text(Colour::Plain);
    assert!(text.contains("2 permits that would have been denials"), "{text}");
}

#[test]
fn without_an_update_the_first_permit_after_denials_tells() {
    let permitted = Given { decision: "Permit", ..DENIED };
    let report = report(&[
        DENIED,
        Given { day: 1, ..permitted },
        Given { day: 2, ..permitted },
        // Never denied, so that nothing tells of a change.
        Given { day: 2, caller: "beef", ..permitted },
        Given { day: 3, ..DENIED },
        Given { day: 4, ..permitted },
    ]);
    let told: Vec<_> =
        report.added.iter().map(|it| (it.caller.as_str(), it.by, it.permits)).collect();
    assert_eq!(told, [("f714", AddedBy::FirstPermit, 2), ("f714", AddedBy::FirstPermit, 1)]);
}

#[test]
fn what_the_setting_in_force_denies_too_is_no_news_of_a_candidate() {
    let mut tally = ReadinessTally::new(OWNER, ALL);
    for (decision, enforced) in [("a", true), ("b", false)] {
        let given =
            Given { enforced, decision: if enforced { "Deny" } else { "Permit" }, ..DENIED };
        let (at, mut in_force) = event(given);
        let (_, mut proposed) = event(Given { candidate: true, ..DENIED });
        for event in [&mut in_force, &mut proposed] {
            event["responseData"]["decisionId"] = json!(decision);
        }
        tally.add(at, &in_force);
        tally.add(at, &proposed);
    }
    let report = tally.finish(KnownSetting::Unknown);
    assert_eq!(report.observed.as_ref().unwrap().by, ObservedBy::Candidate);
    assert_eq!(report.readiness, Readiness::WouldDeny { requests: 1, accounts: 1 });
    assert_eq!((report.already_denied, report.enforced_denials), (1, 1));
}

#[test]
fn the_page_is_whole_and_shows_nothing_of_its_texts_as_markup() {
    let hostile = "</style><script>alert(1)</script><img src=x onerror=alert(1)>\"'&\u{202e}";
    let mut tally = ReadinessTally::new(OWNER, ALL);
    let (at, mut event) = event(DENIED);
    for pointer in [
        "/initiator/id",
        "/initiator/name",
        "/target/id",
        "/requestData/subject/attributes/token.account.bss",
        "/requestData/subject/attributes/identityType",
    ] {
        *event.pointer_mut(pointer).unwrap() = json!(hostile);
    }
    tally.add(at, &event);
    event["responseData"]["decision"] = json!("Permit");
    tally.add(at, &event);
    let page = tally.finish(KnownSetting::AtEnd(&setting(Mode::ReportOnly, &["beef"]))).to_html();
    for wrong in ["<script", "<img", "onerror=alert(1)>", "\u{202e}", "http://", "https://"] {
        assert!(!page.contains(wrong), "{wrong}");
    }
    for part in ["<!doctype html>", "NOT READY", "&lt;script&gt;", "<code>beef</code>", "</html>"] {
        assert!(page.contains(part), "{part}");
    }
    for tag in ["svg", "section", "table", "details", "ul", "div", "g", "p", "tr", "td", "title"] {
        let opened =
            page.matches(&format!("<{tag}>")).count() + page.matches(&format!("<{tag} ")).count();
        assert_eq!(opened, page.matches(&format!("</{tag}>")).count(), "{tag}");
    }
}
