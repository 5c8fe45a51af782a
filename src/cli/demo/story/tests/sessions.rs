//! Sessions as they have to be, and sessions that are not.

use serde_json::{Value, json};

use super::{Caller, DEV, PAY, check, record};
use crate::cli::demo::cast::{Login, Owner, PARTNER};
use crate::cli::demo::policies::{EXTERNAL_ID, Role, WRONG_EXTERNAL_IDS, user_arn};
use crate::cli::demo::story::sessions::METRIC;
use crate::cli::demo::story::{
    Asked, Attempt, DeveloperVisit, Sessions, SessionsEnd, VendorVisit, text,
};

const DEVELOPER: Caller = Caller::Developer(Login::SecondFactor);
const GRANTED: &str = "policy_allow";
const REFUSED: &str = "policy_implicit_deny";
const UNKNOWN: &str = "unknown_role";

fn asked(owner: &'static Owner, status: u16, code: &str) -> Asked {
    Asked {
        caller: DEVELOPER,
        owner,
        status,
        code: code.to_owned(),
        decision: format!("{status}-{}", owner.name),
        told_account: if status == 200 { owner.id.to_owned() } else { String::new() },
    }
}

fn attempt(caller: Caller, role: Role, id: &str, reason: &str) -> (Attempt, Value) {
    let (status, code, outcome) = match reason {
        GRANTED => (200, "", "success"),
        _ => (403, "AccessDenied", "failure"),
    };
    let event = json!({
        "action": "sts.role.assume",
        "id": id,
        "outcome": outcome,
        "initiator": { "id": caller.id() },
        "target": { "id": role.arn() },
        "responseData": { "reason": reason },
    });
    let (code, refusal) = (code.to_owned(), code.to_owned());
    (Attempt { caller, role, status, code, refusal, decision: id.to_owned() }, event)
}

/// What policies or a candidate say of the developer.
fn denial(id: &str, account: &str, is_enforced: bool) -> Value {
    json!({
        "id": id,
        "action": "iam-access-management.policy.eval",
        "initiator": { "id": Role::ProductionFix.arn(), "authnId": "IBMid-KIM" },
        "requestData": { "subject": { "attributes": { "token.account.bss": account } } },
        "responseData": {
            "decision": "Deny",
            "isEnforced": is_enforced,
            "candidate": !is_enforced,
            "decisionId": id,
        },
    })
}

fn noticed() -> Value {
    json!({
        "id": "noticed",
        "action": "crossgate.detection.external_id_guessing",
        "responseData": {
            "count": 3,
            "principal": user_arn(PARTNER, Caller::Partner),
            "role": Role::ParcelTracking.arn(),
        },
    })
}

/// Sessions that begin, do not begin and end, and their events.
pub(super) fn sessions() -> (Sessions, Vec<Value>) {
    let fix = |id, reason| attempt(DEVELOPER, Role::ProductionFix, id, reason);
    let track = |id, reason| attempt(Caller::Partner, Role::ParcelTracking, id, reason);
    let (by_password, mut events) = {
        let (it, event) = fix("password", REFUSED);
        (it, vec![event])
    };
    let mut keep = |(attempt, event): (Attempt, Value)| {
        events.push(event);
        attempt
    };
    let used_at_home = asked(DEV, 403, "policy_denied");
    let at_home = used_at_home.decision.clone();
    let developer = DeveloperVisit {
        at_home: asked(DEV, 200, ""),
        uninvited: asked(PAY, 403, "external_account_denied"),
        by_password,
        begun: keep(fix("begun", GRANTED)),
        used: asked(PAY, 200, ""),
        used_at_home,
    };
    let vendor = VendorVisit {
        begun: keep(track("vendor", GRANTED)),
        used: asked(PAY, 200, ""),
        wrong: ["wrong-1", "wrong-2", "wrong-3"].map(|id| keep(track(id, REFUSED))).to_vec(),
        unknown: keep(attempt(Caller::Partner, Role::Unknown, "unknown", UNKNOWN)),
        metric: format!("{METRIC} 1"),
    };
    let end = SessionsEnd {
        status: 200,
        after: vec![asked(PAY, 401, "unauthenticated"); 2],
        other: asked(PAY, 200, ""),
        again: keep(fix("again", GRANTED)),
    };
    events.extend([
        noticed(),
        denial("uninvited-perimeter", DEV.id, true),
        denial("uninvited-policies", DEV.id, true),
        denial("at-home-candidate", PAY.id, false),
        denial(&at_home, PAY.id, true),
        json!({ "action": "iam-access-management.account-settings.update", "id": "revoked" }),
    ]);
    (Sessions { developer, vendor, end }, events)
}

#[test]
fn each_difference_of_the_developers_visit_is_found() {
    check(|story| story.sessions.developer.at_home.status = 403, "at home: 403 ``");
    check(|story| story.sessions.developer.uninvited.code.clear(), "without a role: 403 ``");
    check(|story| story.sessions.developer.by_password.status = 200, "by a password: 200");
    check(|story| story.sessions.developer.begun.status = 403, "second factor: 403 ``");
    let of_login = |story: &mut super::Story| {
        story.sessions.developer.used.told_account = DEV.id.to_owned();
    };
    check(of_login, "production by the role: 200 ``, the service was told `111111111111`");
    check(|story| story.sessions.developer.used_at_home.status = 200, "at home by the role: 200");
    let id = "403-acme-dev";
    check(|story| record(story, id, "/initiator/id", json!("IBMid-KIM")), "by the role: recorded");
    check(|story| record(story, id, "/initiator/authnId", json!("")), "by the role: recorded");
}

#[test]
fn each_difference_of_the_vendors_visit_is_found() {
    check(|story| story.sessions.vendor.begun.code = "X".to_owned(), "right external ID: 200 `X`");
    check(|story| story.sessions.vendor.used.status = 403, "the vendor's order: 403");
    check(|story| story.sessions.vendor.wrong[1].status = 200, "a wrong external ID: 200");
    let other = |story: &mut super::Story| story.sessions.vendor.unknown.refusal.push('!');
    check(other, "an answer tells that there is such a role");
    check(|story| story.sessions.vendor.unknown.code.clear(), "a role that nobody has: 403 ``");
    check(|story| story.sessions.vendor.metric.clear(), "count the detection so: ``");
    check(|story| record(story, "noticed", "/responseData/count", json!(2)), "was noticed: [(");
    check(|story| record(story, "noticed", "/action", json!("other")), "was noticed: []");
    for id in ["password", "begun", "vendor", "wrong-1", "unknown", "again"] {
        check(|story| record(story, id, "/responseData/reason", json!("")), ": recorded Some");
    }
}

#[test]
fn each_difference_of_the_end_is_found() {
    check(|story| story.sessions.end.status = 409, "the end of the sessions was answered 409");
    check(|story| story.sessions.end.after.clear(), "the ended session was never used");
    check(|story| story.sessions.end.after[1].status = 200, "the ended session: 200");
    check(|story| story.sessions.end.other.status = 401, "a session of another role: 401");
    check(|story| story.sessions.end.again.status = 403, "the role again: 403");
    let unrecorded = |story: &mut super::Story| {
        story.events.retain(|event| text(event, "/id") != "revoked");
    };
    check(unrecorded, "1 events of changes instead of 2");
}

#[test]
fn secrets_on_record_are_found() {
    for secret in [EXTERNAL_ID, WRONG_EXTERNAL_IDS[1], "eyJhbGci"] {
        let told = json!({ "action": "other", "initiator": { "name": secret } });
        check(|story| story.events.push(told), "is on record");
    }
    let (_, another) = attempt(DEVELOPER, Role::ProductionFix, "another", GRANTED);
    check(|story| story.events.push(another), "9 attempts are on record instead of 8");
}
