//! A story as it has to be, and stories that are not: each difference has to be found.

mod sessions;

use serde_json::json;

use super::sharing::lack;
use super::*;
use crate::cli::demo::cast::{PARTNER, PAY, STRANGER};
use crate::cli::demo::play;

/// An answer as it has to be, and its event.
fn asked(caller: Caller, owner: &'static Owner, mode: Mode, n: usize) -> (Asked, Option<Value>) {
    let status = caller.expected(mode);
    let (code, told) = match status {
        200 => ("", caller.account(owner)),
        _ => ("external_account_denied", ""),
    };
    let decision = format!("{mode:?}-{n}");
    let event =
        Note::expected(caller, owner, mode).map(|note| event(note, caller, owner, &decision));
    let (code, told_account) = (code.to_owned(), told.to_owned());
    (Asked { caller, owner, status, code, decision, told_account }, event)
}

fn event(note: Note, caller: Caller, owner: &'static Owner, decision: &str) -> Value {
    let (decided, mode) = match note {
        Note::CandidateDenies | Note::Denied => ("Deny", "limited"),
        Note::Permitted => ("Permit", "report-only"),
        Note::WouldDeny => ("Deny", "report-only"),
    };
    json!({
        "action": "iam-access-management.account-settings.eval",
        "eventTime": "2025-10-10T14:03:27.41+0000",
        "initiator": { "id": caller.person(), "authnName": caller.person() },
        "requestData": {
            "resource": { "attributes": { "accountId": owner.id } },
            "subject": { "attributes": { "token.account.bss": caller.account(owner) } },
        },
        "responseData": {
            "decision": decided,
            "isEnforced": note == Note::Denied,
            "candidate": note == Note::CandidateDenies,
            "mode": mode,
            "decisionId": decision,
        },
    })
}

/// An answer of the encrypted order, as the partner gets it.
fn shared(status: u16, decision: &str) -> Asked {
    let (code, told) = if status == 200 { ("", PARTNER) } else { ("policy_denied", "") };
    Asked {
        caller: Caller::Partner,
        owner: PAY,
        status,
        code: code.to_owned(),
        decision: decision.to_owned(),
        told_account: told.to_owned(),
    }
}

/// What policies say, as it is recorded.
fn policy_event(id: &str, decision: &str, decided: &str, missing: &[&str]) -> Value {
    let by_candidate = id != decision;
    let reason = if missing.is_empty() { "policy_allow" } else { "policy_implicit_deny" };
    json!({
        "action": "iam-access-management.policy.eval",
        "id": id,
        "responseData": {
            "decision": decided,
            "isEnforced": !by_candidate,
            "candidate": by_candidate,
            "mode": "limited",
            "layer": "policy",
            "reason": reason,
            "missing": missing,
            "decisionId": decision,
        },
    })
}

/// An order refused three times, and its events.
fn sharing() -> (Sharing, Vec<Value>) {
    let sharing = Sharing {
        refused: shared(403, "refused"),
        explained: Explained { is_permitted: false, text: format!("lacking: {}\n", lack()) },
        proposed: shared(403, "proposed"),
        mend: Mend {
            sent: 100,
            answered: 100,
            refusals: 1,
            after: vec![shared(200, "a"), shared(200, "b")],
        },
    };
    let denial = |id| policy_event(id, id, "Deny", &["key policy"]);
    let permit = policy_event("candidate", "proposed", "Permit", &[]);
    (sharing, vec![denial("refused"), denial("proposed"), permit, denial("last")])
}

fn good() -> Story {
    let pairs = Caller::FOUR.iter().flat_map(|caller| OWNERS.map(|owner| (*caller, owner)));
    let first = pairs.enumerate().map(|(n, (caller, owner))| asked(caller, owner, owner.mode, n));
    let (answers, first_events): (Vec<_>, Vec<_>) = first.unzip();
    let first_events: Vec<Value> = first_events.into_iter().flatten().collect();
    let after = Caller::FOUR.iter().enumerate();
    let after = after.map(|(n, caller)| asked(*caller, SHOP, Mode::Limited, 100 + n));
    let (after, last_events): (Vec<_>, Vec<_>) = after.unzip();
    let stream = (0..7).map(|n| event(Note::Permitted, Caller::Partner, SHOP, &format!("s{n}")));
    let update = json!({ "action": "iam-access-management.account-settings.update" });
    let events = first_events.iter().cloned().chain(stream).chain([update]);
    let (sharing, of_policies) = sharing();
    let (sessions, of_sessions) = sessions::sessions();
    let events = events.chain(of_policies).chain(of_sessions);
    Story {
        candidate: play::readiness(DEV, &first_events),
        readiness: play::readiness(SHOP, &first_events),
        events: events.chain(last_events.into_iter().flatten()).collect(),
        answers,
        first_events,
        switch: Switch {
            status: 200,
            sent: 20,
            answered: 20,
            answered_before: 5,
            sent_before: 9,
            after,
        },
        sharing,
        sessions,
    }
}

/// Makes one thing wrong; what is found has to say so, and nothing else may be wrong.
#[track_caller]
fn check(spoil: impl FnOnce(&mut Story), expected: &str) {
    let mut story = good();
    spoil(&mut story);
    let found = differences(&story).unwrap();
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains(expected), "{found:?}");
}

#[test]
fn a_story_as_it_has_to_be_has_no_differences() {
    assert_eq!(differences(&good()).unwrap(), Vec::<String>::new());
}

#[test]
fn each_difference_is_found() {
    check(|story| story.answers[0].status = 403, "status 403 instead of 200");
    check(|story| story.answers[8].status = 200, "status 200 instead of 403");
    check(|story| story.answers[8].code.clear(), "code ``");
    check(|story| story.answers[0].told_account = STRANGER.to_owned(), "was told `999999999999`");
    check(|story| story.answers.truncate(11), "11 answers instead of 12");
    check(|story| story.first_events.truncate(4), "recorded None instead of Some(Denied)");
    check(|story| story.switch.status = 412, "the change was answered 412");
    check(|story| story.switch.answered = 19, "1 of 20 requests were lost");
    check(|story| (story.switch.sent, story.switch.answered) = (9, 9), "before or after");
    check(|story| story.switch.after[2].status = 200, "status 200 instead of 403");
    check(|story| story.readiness = play::readiness(SHOP, &[]), "readiness of acme-shop");
    let is_setting =
        |event: &Value| text(event, "/action").ends_with("update") && event.get("id").is_none();
    check(|story| story.events.retain(|event| !is_setting(event)), "1 events of changes");
}

#[test]
fn each_difference_of_the_shared_order_is_found() {
    check(|story| story.sharing.refused.status = 200, "order 8: 200 `policy_denied`");
    check(|story| story.sharing.refused.code.clear(), "order 8: 403 ``");
    check(|story| story.sharing.proposed.status = 200, "with the candidate: 200");
    check(|story| story.sharing.explained.is_permitted = true, "`explain` permits");
    check(|story| story.sharing.explained.text.clear(), "`explain` does not say");
    check(|story| story.sharing.mend.answered = 99, "1 of 100 requests for order 8");
    check(|story| story.sharing.mend.after.clear(), "never answered");
    check(|story| story.sharing.mend.after[1].status = 403, "mended order 8: 403");
    check(|story| story.sharing.mend.after[0].told_account.clear(), "was told ``");
    check(|story| story.sharing.mend.after[1].decision = "last".to_owned(), "is on record");
}

/// Changes a member of what is recorded under an id.
fn record(story: &mut Story, id: &str, member: &str, value: Value) {
    let recorded = story.events.iter_mut().find(|event| text(event, "/id") == id);
    *recorded.unwrap().pointer_mut(member).unwrap() = value;
}

/// Keeps the number of denials that are not enforced.
fn replace_would_deny(story: &mut Story, by: Value) {
    let is_would_deny = |event: &Value| Note::of(event) == Note::WouldDeny;
    let at = story.events.iter().position(is_would_deny).unwrap();
    story.events[at] = by;
}

#[test]
fn each_difference_in_what_policies_recorded_is_found() {
    let missing = "/responseData/missing";
    check(|story| record(story, "refused", missing, json!([])), "order 8: recorded");
    check(|story| record(story, "refused", missing, json!(["resource policy"])), "resource policy");
    check(|story| record(story, "refused", "/id", json!("other")), "recorded None");
    check(|story| record(story, "candidate", LAYER, json!("perimeter")), "says nothing");
    let early = policy_event("early", "refused", "Deny", &["key policy"]);
    check(|story| replace_would_deny(story, early), "before it is proposed");
}

#[test]
fn permits_are_those_of_the_stream_before_the_change() {
    let permit = || event(Note::Permitted, Caller::Partner, SHOP, "late");
    check(|story| story.events.extend([permit(), permit(), permit()]), "finds 12 events");
    let is_stream = |event: &Value| text(event, "/responseData/decisionId").starts_with('s');
    check(|story| story.events.retain(|event| !is_stream(event)), "finds 2 events");
}

#[test]
fn alike_events_are_grouped_in_order() {
    let story = good();
    let [would_deny, permit, deny] = QUERIES;
    let counts = |query| -> Vec<usize> {
        groups(query, &story.events).unwrap().iter().map(|group| group.events).collect()
    };
    assert_eq!(counts(would_deny), [1, 1, 1, 1]);
    assert_eq!(counts(permit), [8, 1]);
    assert_eq!(counts(deny), [1, 3, 2, 1, 1]);
    assert!(groups("a:", &story.events).is_err());
}
