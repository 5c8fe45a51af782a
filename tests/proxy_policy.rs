//! May this principal do this: what policies on disk say to requests, what becomes of them, what is
//! recorded, and what of a request policies can go by.

#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "a failed test panics")]

mod support;

use serde_json::{Value, json};
use support::events::of_decision;
use support::gate::{Config, Gate, ORDER, World};
use support::identities::{
    OWNER, PARTNER, PROFILE_ID, STRANGER, USER_ID, profile, service, user, with,
};
use support::now;
use support::policies::{Policies, document};
use support::raw::{Reply, Request};

const LIMITED: &str = "mode: limited";
const POLICY_EVAL: &str = "iam-access-management.policy.eval";

fn arn(account: &str) -> String {
    format!("arn:aws:iam::{account}:user/{USER_ID}")
}

fn orders() -> String {
    format!("arn:aws:orders::{OWNER}:order/*")
}

/// Lets a principal of the policy's own account read orders.
fn may_read() -> Value {
    json!({"Sid": "Read", "Effect": "Allow", "Action": "orders:GetOrder", "Resource": orders()})
}

fn may_read_if(condition: &Value) -> Value {
    let mut statement = may_read();
    statement["Condition"] = condition.clone();
    statement
}

fn may_not_read() -> Value {
    json!({"Sid": "NoRead", "Effect": "Deny", "Action": "orders:*", "Resource": "*"})
}

/// A resource policy that lets a principal read orders.
fn admits(principal: &Value) -> Value {
    let mut statement = may_read();
    statement["Sid"] = json!("Share");
    statement["Principal"] = principal.clone();
    json!({ "policy": document(&[statement]) })
}

/// The owner's user may do what these statements say.
fn owners(statements: &[Value]) -> Policies {
    Policies::new().user(OWNER, USER_ID, statements)
}

fn limited(policies: Policies) -> World {
    World::start(|config| policies.of(config, LIMITED))
}

#[track_caller]
fn check(world: &World, token: &str, status: u16) -> Reply {
    let reply = world.get(token);
    check_status(&reply, status);
    reply
}

#[track_caller]
fn check_status(reply: &Reply, status: u16) {
    assert_eq!(reply.status, status);
    if status == 403 {
        reply.assert_problem(403, "policy_denied");
    }
}

/// The only event of a request that an enforced policy denied.
#[track_caller]
fn denial(gate: &Gate, reply: &Reply) -> Value {
    let mut events = gate.events_of(&reply.decision(), 1);
    assert_eq!(events.len(), 1, "{events:?}");
    let event = events.remove(0);
    assert_eq!(event["action"], POLICY_EVAL);
    assert_eq!(event["id"], reply.decision());
    event
}

#[track_caller]
fn check_missing(event: &Value, side: &str) {
    let missing = event["responseData"]["missing"].as_array().unwrap();
    assert!(missing.iter().any(|found| found == side), "no {side} in {missing:?}");
    assert_eq!(event["responseData"]["reason"], "policy_implicit_deny");
    assert_eq!(event["responseData"]["statements"], json!([]));
}

#[test]
fn inside_an_account_one_grant_is_enough_and_a_denial_ends_it() {
    let by_identity = limited(owners(&[may_read()]));
    check(&by_identity, &by_identity.user(OWNER), 200);

    let of_resource = admits(&json!({ "AWS": arn(OWNER) }));
    let by_resource = limited(owners(&[]).resource(OWNER, "orders", &orders(), &of_resource));
    check(&by_resource, &by_resource.user(OWNER), 200);

    let by_nobody = limited(owners(&[]));
    let reply = check(&by_nobody, &by_nobody.user(OWNER), 403);
    check_missing(&denial(&by_nobody.gate, &reply), "caller identity policy");
    assert_eq!(by_nobody.upstream.count(), 0, "a denied request reached the upstream");

    let denied = limited(owners(&[may_read(), may_not_read()]));
    let reply = check(&denied, &denied.user(OWNER), 403);
    let event = denial(&denied.gate, &reply);
    let response = &event["responseData"];
    assert_eq!(response["reason"], "policy_explicit_deny");
    assert_eq!(response["missing"], json!([]));
    let [statement] = response["statements"].as_array().unwrap().as_slice() else {
        panic!("{response}")
    };
    assert_eq!(statement["sid"], "NoRead");
    assert_eq!(statement["index"], 1);
    assert_eq!(statement["effect"], "Deny");
    assert!(statement["policy"].as_str().unwrap().contains(&format!("{USER_ID}-policy")));
}

#[test]
fn across_accounts_both_sides_must_allow() {
    let share = admits(&json!({ "AWS": arn(PARTNER) }));
    let callers_alone = owners(&[]).user(PARTNER, USER_ID, &[may_read()]);
    let owners_alone =
        owners(&[]).user(PARTNER, USER_ID, &[]).resource(OWNER, "orders", &orders(), &share);
    let both = callers_alone.clone().resource(OWNER, "orders", &orders(), &share);
    for (policies, lacks) in [
        (callers_alone, Some("resource policy")),
        (owners_alone, Some("caller identity policy")),
        (both, None),
    ] {
        let world = limited(policies);
        let reply = check(&world, &world.user(PARTNER), if lacks.is_some() { 403 } else { 200 });
        if let Some(side) = lacks {
            let event = denial(&world.gate, &reply);
            check_missing(&event, side);
            assert_eq!(event["responseData"]["missing"].as_array().unwrap().len(), 1);
        }
    }
}

#[test]
fn report_only_records_both_and_blocks_nobody() {
    let policies = owners(&[may_read()]).user(PARTNER, USER_ID, &[]);
    let world = World::start(|config| policies.of(config, "mode: report-only"));
    let permitted = check(&world, &world.user(OWNER), 200);
    let denied = check(&world, &world.user(PARTNER), 200);
    for (reply, decision, reason) in
        [(&permitted, "Permit", "policy_allow"), (&denied, "Deny", "policy_implicit_deny")]
    {
        let event = denial(&world.gate, reply);
        let response = &event["responseData"];
        assert_eq!(response["decision"], decision);
        assert_eq!(response["reason"], reason);
        assert_eq!(response["mode"], "report-only");
        assert_eq!(response["layer"], "policy");
        assert_eq!(response["isEnforced"], false);
        assert_eq!(response["candidate"], false);
        assert_eq!(event["outcome"], "success");
        assert_eq!(event["severity"], "normal");
        assert_eq!(event["message"], "IAM Access Management: evaluate policy");
        assert_eq!(event["reason"], json!({"reasonCode": 200, "reasonType": "OK"}));
        assert!(response["statements"].is_array() && response["missing"].is_array());
    }
    let event = denial(&world.gate, &permitted);
    assert_eq!(event["responseData"]["statements"][0]["sid"], "Read");
    assert_eq!(event["responseData"]["statements"][0]["effect"], "Allow");
    assert_eq!(event["responseData"]["missing"], json!([]));
}

#[test]
fn unrestricted_writes_nothing_and_limited_only_denials() {
    for (mode, denied_status, events) in [("unrestricted", 200, 0), ("limited", 403, 1)] {
        let policies = owners(&[may_read()]).user(PARTNER, USER_ID, &[]);
        let world = World::start(|config| policies.of(config, &format!("mode: {mode}")));
        check(&world, &world.user(OWNER), 200);
        let denied = check(&world, &world.user(PARTNER), denied_status);
        let ended = world.gate.finish();
        assert_eq!(ended.events.len(), events, "{mode}: {:?}", ended.events);
        assert_eq!(of_decision(&ended.events, &denied.decision()).len(), events, "{mode}");
    }
}

#[test]
fn a_policy_event_has_every_field_of_the_interface() {
    let world = limited(owners(&[may_read(), may_not_read()]));
    let token = world.user(OWNER);
    let reply = world.gate.ask(&Request::get(ORDER).token(&token).header("user-agent", "curl/8.5"));
    let event = denial(&world.gate, &reply);
    let dynamic = |pointer: &str| event.pointer(pointer).cloned().unwrap_or(Value::Null);
    let expected = json!({
        "action": POLICY_EVAL, "eventTime": dynamic("/eventTime"),
        "id": reply.decision(), "correlationId": reply.decision(),
        "outcome": "failure", "severity": "critical",
        "message": "IAM Access Management: evaluate policy -failure",
        "dataEvent": false, "saveServiceCopy": true,
        "logSourceCRN":
            format!("crn:v1:crossgate:public:iam-access-management:global:a/{OWNER}:::"),
        "observer": {"name": "crossgate"},
        "initiator": {
            "id": USER_ID, "name": dynamic("/initiator/name"), "authnId": USER_ID,
            "authnName": dynamic("/initiator/authnName"),
            "typeURI": "service/security/account/user", "credential": {"type": "token"},
            "host": {"address": "127.0.0.1", "addressType": "IPv4", "agent": "curl/8.5"},
        },
        "target": {
            "id": format!("arn:aws:orders::{OWNER}:order/1"), "name": "1",
            "typeURI": "iam-access-management/policy",
        },
        "reason": {"reasonCode": 403, "reasonType": "Forbidden"},
        "requestData": {
            "action": "orders:GetOrder", "reqOrder": 0,
            "environment": {"attributes": {"ipAddress": "127.0.0.1"}},
            "resource": {"attributes": {"accountId": OWNER}},
            "subject": {"attributes":
                {"id": USER_ID, "token.account.bss": OWNER, "identityType": "user",
                "principal": format!("arn:aws:iam::{OWNER}:user/{USER_ID}")}},
            "keyAction": "kms:Decrypt",
            "context": {"complete": true, "withheld": [], "keys": [
                {"key": "aws:SecureTransport", "value": "false"},
                {"key": "aws:MultiFactorAuthPresent", "value": "false"},
                {"key": "aws:TokenIssueTime",
                    "value": dynamic("/requestData/context/keys/2/value")},
            ]},
        },
        "responseData": {
            "isEnforced": true, "decision": "Deny", "mode": "limited", "layer": "policy",
            "candidate": false, "reason": "policy_explicit_deny", "decisionId": reply.decision(),
            "revision": dynamic("/responseData/revision"),
            "instance": dynamic("/responseData/instance"),
            "sequence": dynamic("/responseData/sequence"),
            "route": "/v1/accounts/{account}/orders/{*order}",
            "decideNs": dynamic("/responseData/decideNs"),
            "statements": [{
                "policy": dynamic("/responseData/statements/0/policy"),
                "sid": "NoRead", "index": 1, "effect": "Deny",
            }],
            "missing": [],
        },
    });
    assert_eq!(event, expected);
    assert!(event["responseData"]["statements"][0]["policy"].is_string());
}

#[test]
fn a_denial_names_no_policy() {
    let world = limited(owners(&[may_read(), may_not_read()]));
    let reply = check(&world, &world.user(OWNER), 403);
    let text = String::from_utf8(reply.body).unwrap();
    for secret in [OWNER, USER_ID, "NoRead", "orders:", "statement", "limited", "Deny"] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
}

#[test]
fn a_candidate_is_recorded_and_never_enforced() {
    let grants = || owners(&[may_read()]);
    for (mode, enforced, candidate, status, decisions) in [
        ("limited", grants(), owners(&[]), 200, ["", "Deny"]),
        ("limited", owners(&[]), grants(), 403, ["Deny", "Permit"]),
        ("unrestricted", owners(&[]), grants(), 200, ["", "Permit"]),
        ("report-only", grants(), owners(&[]), 200, ["Permit", "Deny"]),
    ] {
        let world = World::start(|config| {
            candidate.proposed(enforced.of(config, &format!("mode: {mode}")))
        });
        let reply = check(&world, &world.user(OWNER), status);
        let ended = world.gate.finish();
        let found = of_decision(&ended.events, &reply.decision());
        let (shadow, own): (Vec<&Value>, Vec<&Value>) =
            found.into_iter().partition(|event| event["responseData"]["candidate"] == true);
        let [event] = shadow[..] else { panic!("{mode}: {shadow:?}") };
        assert_eq!(event["responseData"]["decision"], decisions[1], "{mode}");
        assert_eq!(event["responseData"]["mode"], "limited", "{mode}");
        assert_eq!(event["responseData"]["isEnforced"], false, "{mode}");
        assert_eq!(event["action"], POLICY_EVAL);
        assert_eq!(event["outcome"], "success", "{mode}");
        assert_ne!(event["id"], reply.decision(), "{mode}");
        let own: Vec<_> = own.iter().map(|event| &event["responseData"]["decision"]).collect();
        let expect: Vec<_> = decisions.iter().take(1).filter(|it| !it.is_empty()).collect();
        assert_eq!(own, expect, "{mode}");
    }
}

/// Perimeter's mode, policies' mode, caller, the answer's code, layers and decisions of the events.
type BothLayers = (&'static str, &'static str, &'static str, &'static str, Noted);

/// Layers and decisions.
type Noted = &'static [(&'static str, &'static str)];

const BOTH_LAYERS: [BothLayers; 7] = [
    ("limited", "limited", STRANGER, "external_account_denied", &[("perimeter", "Deny")]),
    (
        "limited",
        "report-only",
        STRANGER,
        "external_account_denied",
        &[("perimeter", "Deny"), ("policy", "Permit")],
    ),
    ("limited", "limited", PARTNER, "policy_denied", &[("policy", "Deny")]),
    (
        "report-only",
        "limited",
        PARTNER,
        "policy_denied",
        &[("perimeter", "Permit"), ("policy", "Deny")],
    ),
    ("report-only", "report-only", STRANGER, "", &[("perimeter", "Deny"), ("policy", "Permit")]),
    (
        "limited",
        "limited",
        "nobody",
        "external_account_denied",
        &[("perimeter", "Deny"), ("policy", "Deny")],
    ),
    ("unrestricted", "limited", STRANGER, "", &[]),
];

#[test]
fn both_layers_are_asked_whatever_the_first_one_says() {
    let share = admits(&json!({ "AWS": [PARTNER, STRANGER] }));
    let policies = owners(&[])
        .user(PARTNER, USER_ID, &[])
        .user(STRANGER, USER_ID, &[may_read()])
        .resource(OWNER, "orders", &orders(), &share);
    for (perimeter, mode, caller, code, expect) in BOTH_LAYERS {
        let what = format!("{caller}: perimeter {perimeter}, policies {mode}");
        let settings = format!(
            "accounts:\n  \"{OWNER}\": {{ mode: {perimeter}, allowlist: [\"{PARTNER}\"] }}\n"
        );
        let policies = policies.clone();
        let world =
            World::start(|config| policies.of(config.settings(settings), &format!("mode: {mode}")));
        let reply = world.get(&world.user(caller));
        match code {
            "" => assert_eq!(reply.status, 200, "{what}"),
            code => reply.assert_problem(403, code),
        }
        let ended = world.gate.finish();
        check_both_layers(&of_decision(&ended.events, &reply.decision()), &reply, expect, &what);
    }
}

#[track_caller]
fn check_both_layers(events: &[&Value], reply: &Reply, expect: Noted, what: &str) {
    assert_eq!(events.len(), expect.len(), "{what}: {events:?}");
    for (index, (event, (layer, decision))) in events.iter().zip(expect).enumerate() {
        let response = &event["responseData"];
        assert_eq!(response["layer"], *layer, "{what}");
        assert_eq!(response["decision"], *decision, "{what}");
        // The first one's id is the decision's.
        assert_eq!(event["id"] == reply.decision(), index == 0, "{what}");
        assert_eq!(event["correlationId"], events[0]["correlationId"], "{what}");
        for list in ["statements", "missing"] {
            assert_eq!(response[list].is_array(), *layer == "policy", "{what}");
        }
    }
}

#[test]
fn callers_of_unknown_accounts_count_as_configured() {
    let share = admits(&json!({ "AWS": STRANGER }));
    let policies = || owners(&[]).resource(OWNER, "orders", &orders(), &share);
    for (options, status) in [
        ("mode: limited", 403),
        ("mode: limited, unknown_callers: deny", 403),
        ("mode: limited, unknown_callers: resource_policy_decides", 200),
    ] {
        let world = World::start(|config| policies().of(config, options));
        let reply = check(&world, &world.user(STRANGER), status);
        if status == 403 {
            check_missing(&denial(&world.gate, &reply), "caller identity policy");
        }
        // The owner's side must still allow.
        check(&world, &world.user("another"), 403);
    }
}

#[test]
fn a_token_without_an_account_has_nothing_that_grants() {
    let everybody = admits(&json!("*"));
    let options = "mode: limited, unknown_callers: resource_policy_decides";
    let policies = owners(&[]).resource(OWNER, "orders", &orders(), &everybody);
    let world = World::start(|config| policies.of(config, options));
    check(&world, &world.user(STRANGER), 200);
    let nobody = world.idp.token(&user(&world.idp.issuer(), None));
    let reply = check(&world, &nobody, 403);
    let event = denial(&world.gate, &reply);
    assert_eq!(event["responseData"]["missing"], json!(["caller identity policy"]));
}

#[test]
fn services_and_profiles_are_principals_of_their_own() {
    let share = admits(&json!({ "Service": "resource-controller" }));
    let policies = owners(&[]).profile(OWNER, PROFILE_ID, USER_ID, &[may_read()]).resource(
        OWNER,
        "orders",
        &orders(),
        &share,
    );
    let world = limited(policies);
    let issuer = world.idp.issuer();
    check(&world, &world.idp.token(&service(&issuer, Some(PARTNER))), 200);
    let login = user(&issuer, Some(OWNER));
    check(&world, &world.idp.token(&profile(&issuer, OWNER, &login)), 200);
    check(&world, &world.idp.token(&login), 403);
}

#[test]
fn the_source_address_comes_through_trusted_proxies_alone() {
    let condition = json!({"IpAddress": {"aws:SourceIp": "198.51.100.0/24"}});
    let policies = || owners(&[may_read_if(&condition)]);
    let ask = |world: &World, forwarded: &str| {
        let request = Request::get(ORDER).token(&world.user(OWNER));
        world.gate.ask(&request.header("x-forwarded-for", forwarded)).status
    };
    let behind_nothing = limited(policies());
    assert_eq!(ask(&behind_nothing, "198.51.100.7"), 403);
    let behind_proxy = World::start(|config| {
        policies().of(config.set("trusted_proxies", "[127.0.0.0/8]"), LIMITED)
    });
    assert_eq!(ask(&behind_proxy, "198.51.100.7"), 200);
    assert_eq!(ask(&behind_proxy, "198.51.100.7, 203.0.113.1"), 403);
    assert_eq!(ask(&behind_proxy, "203.0.113.1, 198.51.100.7"), 200);
    check(&behind_proxy, &behind_proxy.user(OWNER), 403);
}

#[test]
fn the_transport_is_ours_or_what_a_trusted_proxy_says() {
    let condition = json!({"Bool": {"aws:SecureTransport": "true"}});
    let policies = || owners(&[may_read_if(&condition)]);
    let ask = |world: &World, said: &str| {
        let request = Request::get(ORDER).token(&world.user(OWNER));
        world.gate.ask(&request.header("x-forwarded-proto", said)).status
    };
    let behind_nothing = limited(policies());
    assert_eq!(ask(&behind_nothing, "https"), 403);
    let behind_proxy = World::start(|config| {
        policies().of(config.set("trusted_proxies", "[127.0.0.0/8]"), LIMITED)
    });
    assert_eq!(ask(&behind_proxy, "https"), 200);
    assert_eq!(ask(&behind_proxy, "http"), 403);
    assert_eq!(ask(&behind_proxy, "https, http"), 403);
}

#[test]
fn a_second_factor_counts_with_its_age() {
    let condition = json!({
        "Bool": {"aws:MultiFactorAuthPresent": "true"},
        "NumericLessThan": {"aws:MultiFactorAuthAge": "3600"},
    });
    let world = limited(owners(&[may_read_if(&condition)]));
    let login = user(&world.idp.issuer(), Some(OWNER));
    let token = |methods: Value, age: u64| {
        let claims = with(login.clone(), "amr", methods);
        world.idp.token(&with(claims, "auth_time", json!(now() - age)))
    };
    check(&world, &token(json!(["pwd", "otp"]), 10), 200);
    check(&world, &token(json!(["pwd", "otp"]), 7200), 403);
    check(&world, &token(json!(["pwd"]), 10), 403);
    let claims = with(login.clone(), "amr", json!(["pwd", "otp"]));
    check(&world, &world.idp.token(&claims), 403);
}

/// An issuer whose tokens carry session tags.
fn with_session_tags(config: Config) -> Config {
    let issuers = config.part("issuers").replace(
        "claims: ibm",
        "claims: { account: /account/bss, principal: \"arn:aws:iam::{account}:user/{iam_id}\", \
         session_tags: /tags }",
    );
    config.set("issuers", issuers)
}

#[test]
fn tags_of_principals_sessions_and_resources_meet() {
    let condition = json!({"StringEquals": {"aws:ResourceTag/team": "${aws:PrincipalTag/Team}"}});
    let policies = Policies::new()
        .tagged_user(OWNER, USER_ID, &[may_read_if(&condition)], &json!({ "team": "red" }))
        .resource(OWNER, "orders", &orders(), &json!({ "tags": { "Team": "red" } }));
    let world = World::start(|config| policies.of(with_session_tags(config), LIMITED));
    let login = user(&world.idp.issuer(), Some(OWNER));
    let tagged = |tags: Value| world.idp.token(&with(login.clone(), "tags", tags));
    check(&world, &world.idp.token(&login), 200);
    check(&world, &tagged(json!({ "site": "eu" })), 200);
    check(&world, &tagged(json!({ "TEAM": "red" })), 200);
    // The session's own tag counts before the user's, and is no pattern.
    check(&world, &tagged(json!({ "TEAM": "blue" })), 403);
    check(&world, &tagged(json!({ "team": "*" })), 403);
}

/// Routes with condition keys of their own.
const ROUTES: &str = r#"
  - path: /v1/accounts/{account}/orders/{*order}
    action: orders:GetOrder
    resource: "arn:aws:orders::{account}:order/{order}"
    owner: "{account}"
    context:
      aws:RequestTag/team: "{header:x-team}"
      aws:ResourceTag/team: route
      orders:Number: "n-{order}"
      orders:Kinds: [standard, "{header:x-kind}"]
    upstream: orders"#;

#[test]
fn a_route_says_what_its_requests_are() {
    let ask = |condition: Value, fields: &[(&str, &str)]| {
        let policies = owners(&[may_read_if(&condition)]);
        let world = World::start(|config| policies.of(config.set("routes", ROUTES), LIMITED));
        let mut request = Request::get(ORDER).token(&world.user(OWNER));
        for (name, value) in fields {
            request = request.header(name, *value);
        }
        world.gate.ask(&request).status
    };
    let team = || json!({"StringEquals": {"aws:RequestTag/Team": "red"}});
    assert_eq!(ask(team(), &[("x-team", "red")]), 200);
    assert_eq!(ask(team(), &[("x-team", "blue")]), 403);
    assert_eq!(ask(team(), &[]), 403);
    assert_eq!(ask(team(), &[("x-team", "red"), ("x-team", "red")]), 400);
    assert_eq!(ask(team(), &[("x-team", "red"), ("x_team", "blue")]), 400);
    assert_eq!(ask(team(), &[("x_team", "red")]), 400);
    assert_eq!(ask(json!({"Null": {"aws:RequestTag/team": "true"}}), &[]), 200);
    assert_eq!(ask(json!({"StringEquals": {"orders:Number": "n-1"}}), &[]), 200);
    let kinds = |operator: &str| json!({ operator: {"orders:Kinds": ["standard", "express"]} });
    assert_eq!(ask(kinds("ForAllValues:StringEquals"), &[("x-kind", "express")]), 200);
    assert_eq!(ask(kinds("ForAllValues:StringEquals"), &[("x-kind", "other")]), 403);
    assert_eq!(ask(kinds("ForAllValues:StringEquals"), &[]), 200);
    // A key with several values never meets a plain operator.
    assert_eq!(ask(kinds("StringEquals"), &[]), 403);
}

#[test]
fn a_resources_own_tag_counts_before_the_routes() {
    for (tags, status) in [(json!({ "team": "directory" }), 403), (json!({ "site": "eu" }), 200)] {
        let condition = json!({"StringEquals": {"aws:ResourceTag/team": "route"}});
        let policies = owners(&[may_read_if(&condition)]).resource(
            OWNER,
            "orders",
            &orders(),
            &json!({ "tags": tags }),
        );
        let world = World::start(|config| policies.of(config.set("routes", ROUTES), LIMITED));
        check(&world, &world.user(OWNER), status);
    }
}

#[test]
fn an_encrypted_resource_needs_its_key_too() {
    let key = format!("arn:aws:kms::{OWNER}:key/1");
    let encrypted = json!({ "key": key });
    let lets = |action: &str| {
        json!({"Sid": "Use", "Effect": "Allow", "Principal": {"AWS": arn(OWNER)},
            "Action": action, "Resource": "*"})
    };
    let world =
        |statement: Value| {
            let policies = owners(&[may_read()])
                .resource(OWNER, "orders", &orders(), &encrypted)
                .key(OWNER, &key, &[statement]);
            limited(policies)
        };
    let ask = |world: &World, method| {
        let reply = world.gate.ask(&Request::new(method, ORDER).token(&world.user(OWNER)));
        (reply.status, reply)
    };
    let reads = world(lets("kms:Decrypt"));
    assert_eq!(ask(&reads, "GET").0, 200);
    assert_eq!(ask(&reads, "HEAD").0, 200);
    // Nothing is done with the key.
    assert_eq!(ask(&reads, "DELETE").0, 200);
    let (status, reply) = ask(&reads, "POST");
    assert_eq!(status, 403);
    check_missing(&denial(&reads.gate, &reply), "key policy");
    let writes = world(lets("kms:GenerateDataKey"));
    assert_eq!(ask(&writes, "PUT").0, 200);
    assert_eq!(ask(&writes, "GET").0, 403);
}

#[test]
fn a_client_can_not_say_what_crossgate_derives() {
    for (operator, key, value) in [
        ("StringEquals", "aws:PrincipalTag/team", "red"),
        ("StringEquals", "aws:PrincipalOrgID", "o-x"),
        ("StringEquals", "aws:SourceVpce", "vpce-1"),
        ("StringEquals", "aws:SourceIdentity", "alice"),
        ("StringEquals", "aws:username", "alice"),
        ("StringEquals", "aws:userid", "AIDAX"),
        ("StringEquals", "aws:PrincipalAccount", PARTNER),
        ("ArnEquals", "aws:PrincipalArn", "arn:aws:iam::1:user/alice"),
        ("IpAddress", "aws:SourceIp", "198.51.100.7"),
        ("Bool", "aws:MultiFactorAuthPresent", "true"),
        ("Bool", "aws:SecureTransport", "true"),
        ("Bool", "aws:PrincipalIsAWSService", "true"),
    ] {
        let condition = json!({ operator: { key: value } });
        let world = limited(owners(&[may_read_if(&condition)]));
        let name = key.replace([':', '/'], "-");
        let bare = key.trim_start_matches("aws:").replace('/', "-");
        let target = format!("{ORDER}?{key}={value}");
        let token = world.user(OWNER);
        let request = Request::get(&target)
            .token(&token)
            .header(&name, value)
            .header(&bare, value)
            .header("x-forwarded-for", "198.51.100.7")
            .header("x-forwarded-proto", "https")
            .header("x-real-ip", "198.51.100.7")
            .header("forwarded", "for=198.51.100.7;proto=https")
            .header("x-crossgate-principal", "arn:aws:iam::1:user/alice")
            .header("x-crossgate-account", PARTNER);
        let reply = world.gate.ask(&request);
        assert_eq!(reply.status, 403, "{key}");
    }
}

#[test]
fn no_field_names_another_method_to_the_upstream() {
    let world = limited(owners(&[may_read()]));
    let request = Request::get(ORDER)
        .token(&world.user(OWNER))
        .header("X-HTTP-Method-Override", "DELETE")
        .header("x_http_method", "DELETE")
        .header("x.method.override", "DELETE");
    assert_eq!(world.gate.ask(&request).status, 200);
    let received = world.upstream.last();
    assert_eq!(received.method, "GET");
    assert!(received.fields.iter().all(|(_, value)| value != "DELETE"), "{:?}", received.fields);
}

#[test]
fn what_policies_say_is_counted() {
    let enforced = owners(&[may_read()]).user(PARTNER, USER_ID, &[]);
    let world = World::start(|config| owners(&[]).proposed(enforced.of(config, LIMITED)));
    check(&world, &world.user(OWNER), 200);
    check(&world, &world.user(OWNER), 200);
    check(&world, &world.user(PARTNER), 403);
    let metrics = world.gate.metrics();
    let decisions = |decision, enforced, candidate| {
        let labels = [
            ("layer", "policy"),
            ("mode", "limited"),
            ("decision", decision),
            ("enforced", enforced),
            ("candidate", candidate),
        ];
        metrics.sum("crossgate_decisions_total", &labels)
    };
    assert_eq!(
        [
            decisions("Permit", "true", "false"),
            decisions("Deny", "true", "false"),
            decisions("Permit", "false", "true"),
            decisions("Deny", "false", "true"),
        ]
        .map(|count| format!("{count}")),
        ["2", "1", "0", "3"]
    );
    let evaluated = |result| metrics.sum("crossgate_decision_cache_total", &[("result", result)]);
    assert_eq!(format!("{} {}", evaluated("miss"), evaluated("hit")), "6 0");
    let requests = |outcome| metrics.sum("crossgate_requests_total", &[("outcome", outcome)]);
    assert_eq!(format!("{} {}", requests("forwarded"), requests("policy_denied")), "2 1");
    for names in metrics.label_names("crossgate_decisions_total") {
        assert_eq!(names, ["candidate", "decision", "enforced", "layer", "mode"]);
    }
}
