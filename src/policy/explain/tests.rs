//! The walk that explains: what it answers, each time beside the evaluator, and in which words.

use serde_json::{Value, json};

use crate::policy::combine::Side;
use crate::policy::question::{IdentitySide, Policies};
use crate::policy::scenario::{self, ScenarioPolicies, ScenarioRequest};

use super::*;

const USER: &str = "arn:aws:iam::111111111111:user/a";
const OTHER: &str = "arn:aws:iam::222222222222:user/a";
const ROOT: &str = "arn:aws:iam::111111111111:root";
const ROLE: &str = "arn:aws:iam::111111111111:role/team/r";
const SESSION: &str = "arn:aws:sts::111111111111:assumed-role/r/s";
const FEDERATED: &str = "arn:aws:sts::111111111111:federated-user/a";
const SERVICE: &str = "lambda.amazonaws.com";
const LINKED: &str = "arn:aws:iam::111111111111:role/aws-service-role/x/l";

const QUEUE: (&str, &str) = ("sqs:SendMessage", "arn:aws:sqs:eu:111111111111:q");
const TRUST: (&str, &str) = ("sts:AssumeRole", "arn:aws:iam::111111111111:role/t");
const KEY: (&str, &str) = ("kms:Decrypt", "arn:aws:kms:eu:111111111111:key/k");

fn statement(effect: &str) -> Value {
    json!({ "Effect": effect, "Action": "*", "Resource": "*" })
}

fn document(statements: &[Value]) -> Value {
    json!({ "Version": "2012-10-17", "Statement": statements })
}

fn allow() -> Value {
    document(&[statement("Allow")])
}

fn deny() -> Value {
    document(&[statement("Deny")])
}

fn nothing() -> Value {
    let mut statement = statement("Allow");
    statement["Action"] = json!("other:*");
    document(&[statement])
}

/// A resource policy of one statement about somebody.
fn to(effect: &str, principal: Value) -> Value {
    let mut statement = statement(effect);
    statement["Principal"] = principal;
    document(&[statement])
}

/// As [`to`], for a role.
fn trusting(principal: Value) -> Value {
    let mut policy = to("Allow", principal);
    policy["Statement"][0]["Action"] = json!("sts:*");
    policy["Statement"][0].as_object_mut().unwrap().remove("Resource");
    policy
}

fn aws(arn: &str) -> Value {
    json!({ "AWS": arn })
}

fn list(name: &str, document: &Value) -> Value {
    json!([{ "name": name, "document": document }])
}

fn levels(documents: &[Value]) -> Value {
    let level = |document| json!({ "target": "l", "policies": list("g", document) });
    documents.iter().map(level).collect()
}

fn parsed(
    caller: &str,
    (action, resource): (&str, &str),
    policies: &Value,
) -> (ScenarioRequest, ScenarioPolicies) {
    let caller = Some(caller).filter(|caller| !caller.is_empty());
    let request = json!({ "principal": { "arn": caller }, "action": action,
        "resource": { "arn": resource } });
    let request = ScenarioRequest::parse(&request.to_string()).unwrap();
    let policies = ScenarioPolicies::parse_for(&request, &policies.to_string()).unwrap();
    (request, policies)
}

/// The answer as `outcome layer`, then the statements that decided or the sides that lack.
#[track_caller]
fn check(caller: &str, asked: (&str, &str), policies: &Value, expect: &str) {
    let (request, policies) = parsed(caller, asked, policies);
    let walked = scenario::explain(&request, &policies);
    let decided_by: Vec<String> =
        walked.named().iter().map(|(name, index)| format!(" {name}#{index}")).collect();
    let decided_by = decided_by.concat();
    let missing: Vec<&str> = walked.missing.iter().map(Side::as_str).collect();
    let lacking =
        if missing.is_empty() { String::new() } else { format!(": {}", missing.join(", ")) };
    let (outcome, layer) = (walked.outcome.as_str(), walked.layer.as_str());
    let said = format!("{outcome} {layer}{decided_by}{lacking}");
    assert_eq!(said, expect, "the walk");
    assert_eq!(scenario::decide(&request, &policies), walked, "the evaluator");
}

#[test]
fn in_one_account_one_side_is_enough() {
    let own = json!({ "identity": list("i", &allow()) });
    check(USER, QUEUE, &own, "allow identity i#0");
    check(USER, QUEUE, &json!({}), "implicit_deny identity: caller identity policy");
    let by = |principal| {
        json!({ "resource": to("Allow", principal), "boundary": list("b", &nothing()),
        "session": list("s", &nothing()) })
    };
    check(USER, QUEUE, &by(aws(USER)), "allow resource resource#0");
    check(SESSION, QUEUE, &by(aws(SESSION)), "allow resource resource#0");
    check(SESSION, QUEUE, &by(json!("*")), "allow resource resource#0");
    check(FEDERATED, QUEUE, &by(aws(FEDERATED)), "allow resource resource#0");
    let limits = "implicit_deny boundary: boundary, session policy";
    check(SESSION, QUEUE, &by(aws(ROLE)), limits);
    check(ROLE, QUEUE, &by(aws(ROLE)), limits);
    check(FEDERATED, QUEUE, &by(aws(USER)), limits);
    let none = "implicit_deny identity: caller identity policy, boundary, session policy";
    check(USER, QUEUE, &by(aws(ROOT)), none);
    check(USER, QUEUE, &by(aws(OTHER)), none);
    let role = json!({ "resource": to("Allow", aws(ROLE)) });
    check(SESSION, QUEUE, &role, "allow resource resource#0");
}

#[test]
fn boundary_and_session_limit_what_identity_policies_grant() {
    let limited =
        |side: &str| json!({ "identity": list("i", &allow()), side: list("l", &nothing()) });
    check(SESSION, QUEUE, &limited("boundary"), "implicit_deny boundary: boundary");
    check(SESSION, QUEUE, &limited("session"), "implicit_deny session: session policy");
    let open = |side: &str| json!({ "identity": list("i", &allow()), side: list("l", &allow()) });
    check(SESSION, QUEUE, &open("boundary"), "allow identity i#0");
    check(SESSION, QUEUE, &open("session"), "allow identity i#0");
    // What a federated user may do is what its session policy allows.
    let own = json!({ "identity": list("i", &allow()) });
    check(FEDERATED, QUEUE, &own, "implicit_deny session: session policy");
    check(FEDERATED, QUEUE, &open("session"), "allow identity i#0");
}

#[test]
fn roles_and_keys_need_their_own_policy() {
    let own = |resource: Value| json!({ "identity": list("i", &allow()), "resource": resource });
    check(USER, TRUST, &own(json!(null)), "implicit_deny trust: trust policy");
    check(USER, KEY, &own(json!(null)), "implicit_deny key: key policy");
    check(USER, TRUST, &own(trusting(aws(OTHER))), "implicit_deny trust: trust policy");
    check(USER, KEY, &own(to("Allow", aws(OTHER))), "implicit_deny key: key policy");
    check(USER, TRUST, &own(trusting(aws(ROOT))), "allow identity i#0");
    check(USER, KEY, &own(to("Allow", aws(ROOT))), "allow identity i#0");
    let alone =
        |resource: Value| json!({ "resource": resource, "boundary": list("b", &nothing()) });
    let both = "implicit_deny identity: caller identity policy, boundary";
    check(USER, TRUST, &alone(trusting(aws(ROOT))), both);
    check(USER, KEY, &alone(to("Allow", aws(ROOT))), both);
    check(USER, TRUST, &alone(trusting(aws(USER))), "allow trust trust#0");
    check(USER, KEY, &alone(to("Allow", aws(USER))), "allow key key#0");
    check(SESSION, TRUST, &alone(trusting(aws(ROLE))), "implicit_deny boundary: boundary");
}

#[test]
fn across_accounts_both_sides_must_grant() {
    let both =
        |principal| json!({ "identity": list("i", &allow()), "resource": to("Allow", principal) });
    check(OTHER, QUEUE, &both(aws(OTHER)), "allow resource resource#0 i#0");
    check(OTHER, QUEUE, &both(aws("222222222222")), "allow resource resource#0 i#0");
    check(OTHER, QUEUE, &both(json!("*")), "allow resource resource#0 i#0");
    check(OTHER, QUEUE, &both(aws(ROOT)), "implicit_deny resource: resource policy");
    let resource = |limits: Value| {
        let mut policies = json!({ "resource": to("Allow", json!("*")) });
        policies.as_object_mut().unwrap().extend(limits.as_object().unwrap().clone());
        policies
    };
    let lacks = "implicit_deny identity: caller identity policy";
    check(OTHER, QUEUE, &resource(json!({})), lacks);
    let limits = json!({ "boundary": list("b", &nothing()), "session": list("s", &nothing()) });
    let lacks = "implicit_deny identity: caller identity policy, boundary, session policy";
    check(OTHER, QUEUE, &resource(limits), lacks);
    let lacks = "implicit_deny resource: caller identity policy, resource policy";
    check(OTHER, QUEUE, &json!({}), lacks);
    let root = "arn:aws:iam::222222222222:root";
    check(root, QUEUE, &resource(json!({})), "allow resource resource#0");
    check(root, QUEUE, &json!({}), "implicit_deny resource: resource policy");
}

#[test]
fn every_kind_of_principal_has_its_sides() {
    let none = json!({ "boundary": list("b", &nothing()), "session": list("s", &nothing()) });
    check(ROOT, QUEUE, &none, "allow identity");
    check(ROOT, KEY, &none, "implicit_deny key: key policy");
    let own = json!({ "identity": list("i", &allow()) });
    for caller in ["", SERVICE, "arn:aws:iam::111111111111:oidc-provider/p"] {
        check(caller, QUEUE, &own, "implicit_deny resource: resource policy");
    }
    let to_all = json!({ "resource": to("Allow", json!("*")), "scp": levels(&[nothing()]) });
    check("", QUEUE, &to_all, "allow resource resource#0");
    let to_service = json!({ "resource": to("Allow", json!({ "Service": SERVICE })) });
    check(SERVICE, QUEUE, &to_service, "allow resource resource#0");
    check("", QUEUE, &to_service, "implicit_deny resource: resource policy");
    let denied = json!({ "identity": list("i", &deny()), "resource": to("Allow", json!("*")) });
    check("", QUEUE, &denied, "allow resource resource#0");
}

#[test]
fn every_level_must_let_it_pass() {
    let guarded = |side: &str, documents: &[Value]| json!({ "identity": list("i", &allow()), side: levels(documents) });
    let scp = |documents: &[Value]| guarded("scp", documents);
    check(USER, QUEUE, &scp(&[allow(), allow()]), "allow identity i#0");
    check(USER, QUEUE, &scp(&[allow(), nothing()]), "implicit_deny scp: SCP");
    check(USER, QUEUE, &scp(&[allow(), deny()]), "explicit_deny scp g#0");
    check(LINKED, QUEUE, &scp(&[deny()]), "allow identity i#0");
    check(ROOT, QUEUE, &scp(&[nothing()]), "implicit_deny scp: SCP");
    let rcp = |documents: &[Value]| guarded("rcp", documents);
    let full = to("Allow", json!("*"));
    let mut shut = to("Deny", json!("*"));
    shut["Statement"][0]["Action"] = json!("sqs:*");
    check(USER, QUEUE, &rcp(&[full.clone(), full.clone()]), "allow identity i#0");
    check(USER, QUEUE, &rcp(&[full.clone(), shut.clone()]), "explicit_deny rcp g#0");
    check(LINKED, QUEUE, &rcp(&[shut]), "allow identity i#0");
    check("", QUEUE, &rcp(&[full]), "implicit_deny resource: resource policy");
    let none = json!([{ "target": "l", "policies": [] }]);
    let empty = json!({ "identity": list("i", &allow()), "scp": none, "rcp": none });
    check(USER, QUEUE, &empty, "implicit_deny rcp: SCP, RCP");
    check(LINKED, QUEUE, &empty, "allow identity i#0");
}

#[test]
fn an_endpoint_must_let_it_pass() {
    let through =
        |endpoint: Value| json!({ "identity": list("i", &allow()), "endpoint": endpoint });
    let open = list("e", &to("Allow", json!("*")));
    check(USER, QUEUE, &through(open), "allow identity i#0");
    check(USER, QUEUE, &through(json!([])), "implicit_deny endpoint: endpoint policy");
    let shut = list("e", &to("Deny", json!("*")));
    check(USER, QUEUE, &through(shut), "explicit_deny endpoint e#0");
}

#[test]
fn denials_win_and_are_named_in_order() {
    let all = json!({ "identity": list("i", &deny()), "resource": to("Deny", json!("*")),
        "boundary": list("b", &deny()), "session": list("s", &deny()), "scp": levels(&[deny(), deny()]),
        "endpoint": list("e", &to("Deny", json!("*"))) });
    let order = "explicit_deny scp g#0 g#0 resource#0 i#0 b#0 s#0 e#0";
    check(USER, QUEUE, &all, order);
    let many: Vec<Value> = (0..9).map(|_| statement("Deny")).collect();
    let many =
        json!({ "identity": list("i", &document(&many)), "resource": to("Allow", aws(USER)) });
    let first = "explicit_deny identity i#0 i#1 i#2 i#3 i#4 i#5 i#6 i#7";
    check(USER, QUEUE, &many, first);
}

#[test]
fn the_key_of_a_resource_is_a_second_gate() {
    let gated = |key: Value, account: &str, identity: Value| {
        json!({ "identity": list("i", &identity),
        "key": { "arn": format!("arn:aws:kms:eu:{account}:key/k"), "account": account,
            "action": "kms:Decrypt", "document": key } })
    };
    let (home, away) = ("111111111111", "222222222222");
    let open = to("Allow", aws(USER));
    check(USER, QUEUE, &gated(open.clone(), home, allow()), "allow identity i#0 key#0");
    let delegated = to("Allow", aws(ROOT));
    check(USER, QUEUE, &gated(delegated.clone(), home, allow()), "allow identity i#0");
    check(USER, QUEUE, &gated(delegated, away, allow()), "allow identity i#0 key#0");
    check(USER, QUEUE, &gated(json!(null), home, allow()), "implicit_deny key: key policy");
    let foreign = to("Allow", aws(OTHER));
    check(USER, QUEUE, &gated(foreign, away, allow()), "implicit_deny key: key policy");
    check(USER, QUEUE, &gated(to("Deny", json!("*")), home, allow()), "explicit_deny key key#0");
    let mut queue = statement("Allow");
    queue["Action"] = json!("sqs:*");
    let mut keys = statement("Deny");
    keys["Action"] = json!("kms:*");
    let denied = document(&[queue.clone(), keys]);
    check(USER, QUEUE, &gated(open.clone(), home, denied), "explicit_deny identity i#1");
    let away_key = gated(open, away, document(&[queue]));
    check(USER, QUEUE, &away_key, "implicit_deny key: caller identity policy");
    let both = "implicit_deny identity: caller identity policy, key policy";
    check(USER, QUEUE, &gated(json!(null), home, nothing()), both);
}

#[test]
fn who_one_is_may_be_asked_by_everybody_who_is_somebody() {
    let denied = json!({ "identity": list("i", &deny()), "scp": levels(&[deny()]) });
    for action in ["sts:GetCallerIdentity", "STS:getsessiontoken"] {
        check(USER, (action, "*"), &denied, "allow identity");
        check("", (action, "*"), &json!({}), "implicit_deny resource: resource policy");
    }
    check(USER, ("sts:GetFederationToken", "*"), &denied, "explicit_deny scp g#0 i#0");
}

#[test]
fn unknown_callers_are_denied_or_left_to_the_resource() {
    let ask = |policies: &Value, side: IdentitySide<'static>| {
        let (request, policies) = parsed(OTHER, QUEUE, policies);
        let question = request.question(request.action());
        let policies = Policies { identity: side, ..policies.borrowed() };
        let trace = Trace::of(&question, &policies, LevelNames::default());
        let answer = crate::policy::evaluate(&question, &policies);
        assert_eq!((answer.outcome, answer.layer), (trace.outcome, trace.layer));
        assert_eq!(answer.missing, trace.missing);
        (trace.outcome.as_str(), trace.layer.as_str(), trace.lacks)
    };
    let open = json!({ "resource": to("Allow", aws("222222222222")) });
    let (outcome, layer, lacks) = ask(&open, IdentitySide::UnknownDenies);
    assert_eq!((outcome, layer), ("implicit_deny", "identity"));
    let unknown = "the identity policies of user/a are not known here";
    assert!(lacks.iter().any(|lack| lack.ends_with(unknown)), "{lacks:?}");
    let (outcome, layer, _) = ask(&open, IdentitySide::UnknownResourceDecides);
    assert_eq!((outcome, layer), ("allow", "resource"));
    let (outcome, layer, _) = ask(&json!({}), IdentitySide::UnknownResourceDecides);
    assert_eq!((outcome, layer), ("implicit_deny", "resource"));
    let limited = json!({ "resource": to("Allow", aws("222222222222")), "session": [] });
    let (outcome, layer, _) = ask(&limited, IdentitySide::UnknownResourceDecides);
    assert_eq!((outcome, layer), ("implicit_deny", "session"));
}

/// What lacks, in words.
#[track_caller]
fn lacks(caller: &str, asked: (&str, &str), policies: &Value) -> String {
    let (request, policies) = parsed(caller, asked, policies);
    scenario::trace(&request, &policies).lacks.join("\n")
}

#[test]
fn what_lacks_is_said_in_words() {
    let own = json!({ "identity": list("i", &nothing()) });
    let foreign = json!({ "resource": to("Allow", aws(ROOT)) });
    let away = json!({ "identity": list("i", &allow()) });
    let guarded = json!({ "identity": list("i", &allow()), "boundary": list("b", &nothing()),
        "session": [], "endpoint": [], "scp": levels(&[allow(), nothing()]),
        "rcp": [{ "target": "root", "policies": [] }] });
    let trust = json!({ "resource": trusting(aws(OTHER)) });
    let delegated = json!({ "identity": list("i", &allow()), "resource": to("Allow", aws(ROOT)) });
    let closed = json!({ "resource": to("Allow", aws(OTHER)) });
    let said = [
        lacks(USER, QUEUE, &own),
        lacks(OTHER, QUEUE, &foreign),
        lacks(OTHER, QUEUE, &away),
        lacks(SESSION, QUEUE, &guarded),
        lacks(USER, TRUST, &trust),
        lacks(USER, TRUST, &json!({})),
        lacks(OTHER, KEY, &delegated),
        lacks(USER, KEY, &closed),
        lacks(USER, KEY, &json!({})),
        lacks(FEDERATED, QUEUE, &away),
    ];
    insta::assert_snapshot!(said.join("\n\n"), @r#"
    account 111111111111 must allow sqs:SendMessage on arn:aws:sqs:eu:111111111111:q to arn:aws:iam::111111111111:user/a; no identity policy of user/a does

    account 222222222222 must allow sqs:SendMessage on arn:aws:sqs:eu:111111111111:q to arn:aws:iam::222222222222:user/a; no identity policy of user/a does
    the resource policy of arn:aws:sqs:eu:111111111111:q does not allow sqs:SendMessage to arn:aws:iam::222222222222:user/a

    account 111111111111 must allow sqs:SendMessage on arn:aws:sqs:eu:111111111111:q to arn:aws:iam::222222222222:user/a; arn:aws:sqs:eu:111111111111:q has no resource policy

    SCP level l (policy g) has no Allow for sqs:SendMessage on arn:aws:sqs:eu:111111111111:q
    RCP level root (no policies) has no Allow for sqs:SendMessage on arn:aws:sqs:eu:111111111111:q
    the permissions boundary of assumed-role/r/s (policy b) does not allow sqs:SendMessage on arn:aws:sqs:eu:111111111111:q
    the session policy of assumed-role/r/s (no policies) does not allow sqs:SendMessage on arn:aws:sqs:eu:111111111111:q
    the endpoint policy has no Allow for sqs:SendMessage on arn:aws:sqs:eu:111111111111:q

    the trust policy of role/t does not name arn:aws:iam::111111111111:user/a for sts:AssumeRole

    no trust policy of role/t is known

    the key policy of arn:aws:kms:eu:111111111111:key/k does not let account 222222222222 use the key for kms:Decrypt

    the key policy of arn:aws:kms:eu:111111111111:key/k neither lets arn:aws:iam::111111111111:user/a do kms:Decrypt nor leaves it to the account

    no key policy of arn:aws:kms:eu:111111111111:key/k is known, and nothing else lets it be used

    federated-user/a has no session policy, without which a federated user may do nothing
    "#);
}

/// Every step: what was asked, what it means, and each statement's fate.
fn told(request: &Value, policies: &Value) -> String {
    let request = ScenarioRequest::parse(&request.to_string()).unwrap();
    let policies = ScenarioPolicies::parse_for(&request, &policies.to_string()).unwrap();
    let trace = scenario::trace(&request, &policies);
    let mut lines = Vec::new();
    for step in &trace.steps {
        lines.push(format!("{}: {}", step.asked, step.meaning));
        for tried in &step.tried {
            let index = tried.statement.statement.index;
            lines.push(format!("- {}#{index} {:?}", tried.statement.policy.name, tried.tried));
        }
    }
    lines.join("\n")
}

#[test]
fn each_statement_is_told_with_what_kept_it_from_matching() {
    let mut statements: Vec<Value> = (0..5).map(|_| statement("Allow")).collect();
    statements[0]["Action"] = json!("sqs:ReceiveMessage");
    statements[1]["Resource"] = json!("arn:aws:sqs:eu:111111111111:other");
    statements[2]["Condition"] = json!({ "Bool": { "aws:SecureTransport": "true" } });
    statements[3]["Condition"] = json!({ "IpAddress": { "aws:SourceIp": ["10.0.0.0/8"] } });
    let request = json!({ "principal": { "arn": USER }, "action": QUEUE.0,
        "resource": { "arn": QUEUE.1 }, "context": { "aws:SourceIp": "192.0.2.1" } });
    let policies = json!({ "identity": list("i", &document(&statements)),
        "resource": to("Allow", aws(OTHER)) });
    insta::assert_snapshot!(told(&request, &policies), @r#"
    resource policy of arn:aws:sqs:eu:111111111111:q: does not let the caller in by itself
    - resource#0 Unmatched(Principal)
    identity policies of user/a: allow it
    - i#0 Unmatched(Action)
    - i#1 Unmatched(Resource)
    - i#2 Unmatched(Condition { operator: "Bool", key: "aws:securetransport", wanted: "`true`", had: "the request has no value for it" })
    - i#3 Unmatched(Condition { operator: "IpAddress", key: "aws:sourceip", wanted: "`10.0.0.0/8`", had: "the request has `192.0.2.1`" })
    - i#4 Matched(Direct)
    "#);
}

#[test]
fn external_ids_are_never_shown() {
    let mut policy = trusting(aws(USER));
    policy["Statement"][0]["Condition"] =
        json!({ "StringEquals": { "STS:externalId": "s3cr3t-a" } });
    for given in ["s3cr3t-b", "s3cr3t-a-longer"] {
        let request = json!({ "principal": { "arn": USER }, "action": TRUST.0,
            "resource": { "arn": TRUST.1 }, "context": { "sts:ExternalId": [given] } });
        let told = told(&request, &json!({ "resource": policy }));
        assert!(!told.contains("s3cr3t") && told.contains("sts:externalid"), "{told}");
    }
}

#[test]
fn a_caller_that_is_named_lacks_the_condition_and_not_the_name() {
    let condition = json!({ "StringEquals": { "sts:ExternalId": "s3cr3t" } });
    let named = |mut policy: Value| {
        policy["Statement"][0]["Condition"] = condition.clone();
        json!({ "resource": policy })
    };
    let role = "the trust policy of role/t names arn:aws:iam::111111111111:user/a for \
                sts:AssumeRole under a condition that is not met: `StringEquals` of \
                `sts:externalid`";
    assert_eq!(lacks(USER, TRUST, &named(trusting(aws(USER)))), role);
    let other = lacks(USER, TRUST, &named(trusting(aws(OTHER))));
    assert!(other.ends_with("does not name arn:aws:iam::111111111111:user/a for sts:AssumeRole"));
    let queue = lacks(OTHER, QUEUE, &named(to("Allow", aws(OTHER))));
    assert!(
        queue.ends_with("; a condition is not met: `StringEquals` of `sts:externalid`"),
        "{queue}"
    );
}

#[test]
fn what_a_request_has_is_cut_and_harmless() {
    let mut policy = allow();
    policy["Statement"][0]["Condition"] = json!({ "ForAnyValue:StringEquals": { "s3:k": "v" } });
    let long = "x".repeat(1000);
    let request = json!({ "principal": { "arn": USER }, "action": QUEUE.0, "resource": { "arn": "*" },
        "context": { "s3:k": ["\u{1b}[2J", long, "c", "d", "e", "f-is-not-shown"] } });
    let told = told(&request, &json!({ "identity": list("i", &policy) }));
    assert!(!told.contains('\u{1b}') && !told.contains("f-is-not-shown"), "{told}");
    assert!(told.len() < 900 && told.contains('…'), "{told}");
}
