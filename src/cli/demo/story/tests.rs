//! A story as it has to be, and stories that are not: each difference has to be found.

use serde_json::json;

use super::*;
use crate::cli::demo::cast::STRANGER;
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

fn good() -> Story {
    let pairs = Caller::ALL.iter().flat_map(|caller| OWNERS.map(|owner| (*caller, owner)));
    let first = pairs.enumerate().map(|(n, (caller, owner))| asked(caller, owner, owner.mode, n));
    let (answers, first_events): (Vec<_>, Vec<_>) = first.unzip();
    let first_events: Vec<Value> = first_events.into_iter().flatten().collect();
    let after = Caller::ALL.iter().enumerate();
    let after = after.map(|(n, caller)| asked(*caller, SHOP, Mode::Limited, 100 + n));
    let (after, last_events): (Vec<_>, Vec<_>) = after.unzip();
    let stream = (0..7).map(|n| event(Note::Permitted, Caller::Partner, SHOP, &format!("s{n}")));
    let update = json!({ "action": "iam-access-management.account-settings.update" });
    let events = first_events.iter().cloned().chain(stream).chain([update]);
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
    check(
        |story| story.events.retain(|event| text(event, "/action").ends_with("eval")),
        "0 events of the change",
    );
}

#[test]
fn permits_are_those_of_the_stream_before_the_change() {
    let permit = || event(Note::Permitted, Caller::Partner, SHOP, "late");
    check(|story| story.events.extend([permit(), permit(), permit()]), "finds 11 events");
    let is_stream = |event: &Value| text(event, "/responseData/decisionId").starts_with('s');
    check(|story| story.events.retain(|event| !is_stream(event)), "finds 1 events");
}

#[test]
fn alike_events_are_grouped_in_order() {
    let story = good();
    let [would_deny, permit, deny] = QUERIES;
    let counts = |query| -> Vec<usize> {
        groups(query, &story.events).unwrap().iter().map(|group| group.events).collect()
    };
    assert_eq!(counts(would_deny), [1, 1, 1]);
    assert_eq!(counts(permit), [8]);
    assert_eq!(counts(deny), [1, 1]);
    assert!(groups("a:", &story.events).is_err());
}
