//! What a scenario may say, what is refused, and how its answer is told. What policies mean is
//! tested where they are decided.

use serde_json::{Value, json};

use super::*;

const USER: &str = "arn:aws:iam::111111111111:user/a";

/// A scenario in which a user of the owner's account may do it by an identity policy.
fn allowed() -> Value {
    json!({
        "id": "it",
        "request": {
            "principal": { "type": "user", "arn": USER, "account": "111111111111" },
            "action": "s3:GetObject",
            "resource": { "arn": "arn:aws:s3:::b/k", "account": "111111111111" },
            "context": {}, "multivalued": [],
        },
        "policies": {
            "identity": [{ "name": "p", "document": all("Allow") }], "resource": null,
            "boundary": null, "session": null, "scp": [], "rcp": [], "endpoint": null, "key": null,
        },
    })
}

fn all(effect: &str) -> Value {
    json!({ "Statement": [{ "Sid": "S", "Effect": effect, "Action": "*", "Resource": "*" }] })
}

fn under(condition: &Value) -> Value {
    let mut document = all("Allow");
    document["Version"] = json!("2012-10-17");
    document["Statement"][0]["Condition"] = condition.clone();
    document
}

/// A scenario with something else in a place of it.
fn with(place: &str, value: Value) -> Value {
    let mut scenario = allowed();
    let (parent, name) = place.rsplit_once('/').unwrap();
    scenario.pointer_mut(parent).unwrap()[name] = value;
    scenario
}

fn answered(scenario: &Value) -> Value {
    serde_json::from_str(&answer_line(&scenario.to_string())).unwrap()
}

/// The decision, or the part of the error that is expected.
#[track_caller]
fn check(scenario: &Value, expect: &str) {
    let answer = answered(scenario);
    let decision = answer["decision"].as_str();
    let said = decision.or(answer["error"].as_str()).unwrap();
    let holds = if decision.is_some() { said == expect } else { said.contains(expect) };
    assert!(holds, "{answer} instead of {expect}");
}

#[test]
fn an_answer_has_all_members_in_their_order() {
    assert_eq!(
        answer_line(&allowed().to_string()),
        r#"{"id":"it","decision":"allow","layer":"identity","statements":[{"policy":"p","sid":"S","index":0,"effect":"Allow"}],"missing":[]}"#
    );
    assert_eq!(
        answer_line(&with("/policies/identity", json!(null)).to_string()),
        r#"{"id":"it","decision":"implicit_deny","layer":"identity","statements":[],"missing":["caller identity policy"]}"#
    );
}

#[test]
fn the_id_is_given_back_as_it_came() {
    for id in [json!("a\"\\\u{7}é"), json!(7), json!(-1.5e300), json!(true), json!(null)] {
        assert_eq!(answered(&with("/id", id.clone()))["id"], id);
    }
    let long = allowed().to_string().replace("\"it\"", "123456789012345678901234567890");
    assert!(answer_line(&long).starts_with("{\"id\":123456789012345678901234567890,"));
    let mut without = allowed();
    without.as_object_mut().unwrap().remove("id");
    assert_eq!(answered(&without)["id"], json!(null));
    let list = answered(&with("/id", json!([1])));
    assert_eq!((&list["id"], list["decision"].as_str()), (&json!(null), None));
}

#[test]
fn what_is_no_scenario_is_told_with_the_id_if_there_is_one() {
    #[track_caller]
    fn check(line: &str, id: &Value, error: &str) {
        let answer: Value = serde_json::from_str(&answer_line(line)).unwrap();
        assert_eq!(&answer["id"], id, "{line}");
        assert!(answer["error"].as_str().unwrap().contains(error), "{answer}");
    }
    check("", &json!(null), "not JSON");
    check("nonsense", &json!(null), "not JSON");
    check("[]", &json!(null), "a scenario is a JSON object");
    check("7", &json!(null), "a scenario is a JSON object");
    check("{}", &json!(null), "`request` is missing");
    check(r#"{"id":1}"#, &json!(1), "`request` is missing");
    check(r#"{"id":1} x"#, &json!(null), "not JSON");
    let twice = allowed().to_string().replace(r#""identity":"#, r#""identity":[],"identity":"#);
    check(&twice, &json!("it"), "twice");
    let no_policies = json!({ "id": 3, "request": allowed()["request"] });
    check(&no_policies.to_string(), &json!(3), "`policies` is missing");
}

#[test]
fn a_line_of_the_longest_length_is_read_and_a_longer_one_is_not() {
    let line = |bytes: usize| {
        let scenario = allowed().to_string();
        scenario.replacen('{', &format!("{{{}", " ".repeat(bytes - scenario.len())), 1)
    };
    assert!(answer_line(&line(LINE_BYTES_MAX)).contains("allow"));
    let long = answer_line(&line(LINE_BYTES_MAX + 1));
    assert_eq!(long, r#"{"id":null,"error":"the line has more than 16777216 bytes"}"#);
}

#[test]
fn unknown_members_are_refused_where_they_could_change_the_answer() {
    check(&with("/expected", json!("deny")), "allow");
    check(&with("/policies/scps", json!([])), "unknown member `scps`; did you mean `scp`?");
    check(&with("/policies/permissions", json!([])), "known are `identity`");
    check(&with("/request/contexts", json!({})), "did you mean `context`?");
    check(&with("/request/principal/acount", json!("1")), "did you mean `account`?");
    check(&with("/request/resource/owner", json!("1")), "known are `arn`, `account`");
    check(
        &with("/policies/identity", json!([{ "nam": "p", "document": all("Allow") }])),
        "did you mean `name`?",
    );
    let level = json!([{ "target": "r", "policy": [] }]);
    check(&with("/policies/scp", level), "unknown member `policy`");
}

#[test]
fn principals_are_what_their_type_and_arn_say() {
    #[track_caller]
    fn kind(principal: Value, expect: &str) {
        // A trust policy that every kind of principal that it should mean satisfies.
        check(&with("/request/principal", principal), expect);
    }
    let session = "arn:aws:sts::111111111111:assumed-role/r/s";
    kind(json!({ "arn": USER }), "allow");
    kind(json!({ "type": null, "arn": USER, "account": null }), "allow");
    kind(json!({ "type": "assumed-role", "arn": session }), "allow");
    kind(json!({ "type": "role", "arn": "arn:aws:iam::111111111111:role/x/r" }), "allow");
    kind(json!({ "type": "root", "arn": "arn:aws:iam::111111111111:root" }), "allow");
    kind(json!({ "type": "anonymous", "arn": null, "account": null }), "implicit_deny");
    kind(json!({ "arn": null }), "implicit_deny");
    kind(json!({ "type": "service", "arn": "lambda.amazonaws.com" }), "implicit_deny");
    kind(json!({ "arn": "lambda.amazonaws.com" }), "implicit_deny");

    kind(json!({ "type": "user", "arn": session }), "`request.principal.arn` is no `user`");
    kind(json!({ "type": "role", "arn": session }), "is no `role`");
    kind(json!({ "type": "user", "arn": null }), "is no `user`");
    kind(json!({ "type": "User", "arn": USER }), "not one of `user`, `role`");
    kind(json!({ "type": "anonymous", "arn": USER }), "`anonymous` has no arn");
    kind(json!({ "arn": "somebody" }), "is no principal: `somebody`");
    kind(json!({ "arn": 7 }), "`request.principal.arn` is not a text");
    kind(json!({ "arn": USER, "account": "222222222222" }), "its arn is of account `111111111111`");
    kind(json!(null), "`request.principal` is not an object");
}

#[test]
fn resources_are_arns_or_a_star_and_have_an_owner() {
    let resource = |value: Value, expect| check(&with("/request/resource", value), expect);
    resource(json!({ "arn": "*" }), "allow");
    resource(json!({ "arn": "*", "account": "222222222222" }), "implicit_deny");
    resource(json!({ "arn": "arn:aws:s3:::b" }), "allow");
    resource(json!({ "arn": "arn:aws:s3:::b", "account": null }), "allow");
    resource(json!({ "arn": "arn:aws:sqs:eu:111111111111:q" }), "allow");
    resource(json!({ "arn": "arn:aws:sqs:eu:222222222222:q" }), "implicit_deny");
    // What is given counts, not what the name says.
    resource(json!({ "arn": "arn:aws:sqs:eu:222222222222:q", "account": "111111111111" }), "allow");
    resource(json!({ "arn": "b/k" }), "neither `*` nor an ARN of six parts: `b/k`");
    resource(json!({ "arn": "arn:aws:s3" }), "neither `*` nor");
    resource(json!({ "arn": "" }), "`request.resource.arn` is missing");
    resource(json!("arn:aws:s3:::b"), "`request.resource` is not an object");
}

#[test]
fn actions_have_a_service_and_a_name() {
    let action = |value: Value, expect| check(&with("/request/action", value), expect);
    action(json!("S3:getobject"), "allow");
    action(json!("GetObject"), "`request.action` is not of the form `service:Name`");
    action(json!("*"), "not of the form");
    action(json!(["s3:GetObject"]), "`request.action` is not a text");
    action(json!(null), "`request.action` is not a text");
}

#[test]
fn context_keys_are_lists_of_texts_and_may_be_written_loosely() {
    #[track_caller]
    fn check_context(context: Value, multivalued: Value, condition: &Value, expect: &str) {
        let mut scenario = with("/policies/identity/0/document", under(condition));
        scenario["request"]["context"] = context;
        scenario["request"]["multivalued"] = multivalued;
        check(&scenario, expect);
    }
    let equals = |value: &str| json!({ "StringEquals": { "s3:k": value } });
    let any = |value: &str| json!({ "ForAnyValue:StringEquals": { "s3:k": value } });
    let none = json!([]);
    check_context(json!({ "s3:k": ["v"] }), none.clone(), &equals("v"), "allow");
    check_context(json!({ "S3:K": "v" }), none.clone(), &equals("v"), "allow");
    check_context(json!({ "s3:k": 7 }), none.clone(), &equals("7"), "allow");
    check_context(json!({ "s3:k": [true] }), none.clone(), &equals("true"), "allow");
    check_context(json!({ "s3:k": ["w"] }), none.clone(), &equals("v"), "implicit_deny");
    // A single value is no set, and a set is no single value.
    check_context(json!({ "s3:k": ["v", "w"] }), none.clone(), &equals("v"), "implicit_deny");
    check_context(json!({ "s3:k": ["v"] }), json!(["S3:K"]), &equals("v"), "implicit_deny");
    check_context(json!({ "s3:k": ["v"] }), json!(["s3:k"]), &any("v"), "allow");
    let absent = json!({ "Null": { "s3:k": "true" } });
    check_context(json!({ "s3:k": [] }), json!(["s3:k"]), &absent, "allow");
    check_context(json!({ "s3:k": null }), none.clone(), &absent, "allow");
    check_context(json!(null), json!(null), &absent, "allow");

    let twice = json!({ "s3:k": ["v"], "S3:k": ["v"] });
    check_context(twice, none.clone(), &equals("v"), "twice: letter case does not tell keys apart");
    let nested = json!({ "s3:k": [["v"]] });
    check_context(
        nested,
        none.clone(),
        &equals("v"),
        "`request.context.s3:k` is not a list of texts",
    );
    check_context(json!([]), none, &equals("v"), "`request.context` is not an object");
    check_context(
        json!({}),
        json!([7]),
        &equals("v"),
        "`request.multivalued` is not a list of texts",
    );
}

#[test]
fn documents_may_come_with_a_name_or_bare() {
    for (place, layer) in [
        ("/policies/boundary", "boundary"),
        ("/policies/session", "session"),
        ("/policies/endpoint", "endpoint"),
    ] {
        let mut deny = all("Deny");
        if layer == "endpoint" {
            deny["Statement"][0]["Principal"] = json!("*");
        }
        let named = |policies: Value| {
            let answer = answered(&with(place, policies));
            let statement = &answer["statements"][0];
            (answer["layer"].clone(), statement["policy"].as_str().map(str::to_owned))
        };
        let denied = |name: &str| (json!(layer), Some(name.to_owned()));
        assert_eq!(named(json!([{ "name": "n", "document": deny }])), denied("n"));
        assert_eq!(named(json!([{ "document": deny }])), denied(&format!("{layer}[0]")));
        assert_eq!(named(json!([deny])), denied(&format!("{layer}[0]")));
        assert_eq!(named(json!({ "name": "n", "document": deny })), denied("n"));
        assert_eq!(named(deny), denied(layer));
        // An empty list limits to nothing; null is no limit.
        assert_eq!(named(json!([])), (json!(layer), None));
        check(&with(place, json!(null)), "allow");
    }
    let missing = json!([{ "name": "n" }]);
    check(&with("/policies/identity", missing), "`policies.identity[0].document` is missing");
    let null = json!([{ "name": "n", "document": null }]);
    check(&with("/policies/identity", null), "`policies.identity[0].document` is missing");
}

#[test]
fn the_resource_policy_is_checked_and_named_by_what_is_asked() {
    #[track_caller]
    fn check_type(action: &str, arn: &str, element: &str, expect: (&str, &str)) {
        let mut document = all("Deny");
        let statement = document["Statement"][0].as_object_mut().unwrap();
        statement.insert("Principal".into(), json!("*"));
        if element.is_empty() {
            statement.remove("Resource");
            statement["Action"] = json!("sts:*");
        }
        let mut scenario = with("/policies/resource", document);
        scenario["request"]["action"] = json!(action);
        scenario["request"]["resource"] = json!({ "arn": arn });
        let answer = answered(&scenario);
        let policy = answer["statements"][0]["policy"].as_str().unwrap_or_default();
        assert_eq!((answer["layer"].as_str().unwrap_or_default(), policy), expect, "{answer}");
    }
    let role = "arn:aws:iam::111111111111:role/r";
    let key = "arn:aws:kms:eu:111111111111:key/k";
    check_type("sts:AssumeRole", role, "", ("trust", "trust"));
    check_type("sts:TagSession", role, "", ("trust", "trust"));
    check_type("iam:GetRole", role, "Resource", ("resource", "resource"));
    check_type("kms:Decrypt", key, "Resource", ("key", "key"));
    check_type(
        "kms:Decrypt",
        "arn:aws:kms:eu:111111111111:alias/k",
        "Resource",
        ("resource", "resource"),
    );
    // A role's own policy names no resources, any other does.
    check_type("sts:AssumeRole", role, "Resource", ("", ""));
    check_type("iam:GetRole", role, "", ("", ""));
}

#[test]
fn all_errors_of_all_documents_are_told_with_their_places() {
    let mut scenario = with("/policies/identity/0/document/Statement/0/Effect", json!("allow"));
    scenario["policies"]["scp"] = json!([{ "target": "ou-1", "policies": [
        { "name": "g", "document": { "Statement": [{ "Effect": "Deny", "Action": "s3:*", "Resource": "*",
            "Condition": { "StringEqual": { "aws:x": "1" } } }] } },
    ] }]);
    let answer = answered(&scenario);
    let error = answer["error"].as_str().unwrap();
    assert!(error.contains("identity policy `p`, column "), "{error}");
    assert!(error.contains("`allow`"), "{error}");
    assert!(error.contains("scp policy `g`, column "), "{error}");
    assert!(error.contains("`StringEqual`"), "{error}");
}

#[test]
fn levels_need_their_policies() {
    let level = |value: Value, expect| check(&with("/policies/scp", value), expect);
    let full = json!({ "name": "full", "document": all("Allow") });
    level(json!([{ "target": "root", "policies": [full] }]), "allow");
    level(json!([{ "policies": [full] }]), "allow");
    level(json!([{ "target": "root", "policies": [full] }, { "policies": [] }]), "implicit_deny");
    level(json!([{ "policies": [{ "document": { "Statement": [] } }] }]), "implicit_deny");
    level(json!([{ "target": "root" }]), "`policies.scp[0].policies` is missing");
    level(json!(["root"]), "`policies.scp[0]` is not an object");
}

#[test]
fn a_key_is_a_second_gate_and_is_described_in_full() {
    let document = json!({ "Statement": [{ "Effect": "Allow", "Action": "kms:*", "Resource": "*",
        "Principal": { "AWS": "arn:aws:iam::111111111111:root" } }] });
    let arn = "arn:aws:kms:eu:111111111111:key/k";
    let whole = json!({ "arn": arn, "account": "111111111111", "action": "kms:Decrypt", "document": document });
    let but = |name: &str, value: Value| {
        let mut key = whole.clone();
        key[name] = value;
        key
    };
    let key = |value: Value, expect| check(&with("/policies/key", value), expect);
    key(whole.clone(), "allow");
    key(but("account", json!(null)), "allow");
    key(but("document", json!({ "name": "k", "document": document })), "allow");
    key(but("document", json!(null)), "implicit_deny");
    key(but("action", json!(null)), "`policies.key.action` is missing");
    key(but("action", json!("Decrypt")), "`policies.key.action` is not of the form");
    key(but("arn", json!("alias/k")), "`policies.key.arn` is no ARN");
    key(but("arn", json!(null)), "`policies.key.arn` is missing");
    key(but("policy", json!(null)), "unknown member `policy`");
}

#[test]
fn the_worst_of_all_actions_counts() {
    let also = |actions: Value, documents: Value| {
        let mut scenario = with("/policies/identity", documents);
        scenario["request"]["also_actions"] = actions;
        let answer = answered(&scenario);
        let statement = answer["statements"][0]["index"].clone();
        (answer["decision"].as_str().unwrap_or("error").to_owned(), statement)
    };
    let documents = json!([{ "name": "p", "document": { "Statement": [
        { "Effect": "Allow", "Action": ["s3:GetObject", "s3:GetObjectTagging"], "Resource": "*" },
        { "Effect": "Deny", "Action": "s3:DeleteObject", "Resource": "*" },
    ] } }]);
    let asked = |actions: Value| also(actions, documents.clone());
    assert_eq!(asked(json!(null)), ("allow".into(), json!(0)));
    assert_eq!(asked(json!(["s3:GetObjectTagging"])), ("allow".into(), json!(0)));
    assert_eq!(asked(json!(["s3:PutObject"])), ("implicit_deny".into(), json!(null)));
    assert_eq!(
        asked(json!(["s3:PutObject", "s3:DeleteObject"])),
        ("explicit_deny".into(), json!(1))
    );
    assert_eq!(asked(json!(["x"])).0, "error");
    assert_eq!(asked(json!([7])).0, "error");
}

#[test]
fn guardrails_do_not_reach_roles_that_services_make() {
    let path = "role/aws-service-role/x.amazonaws.com/AWSServiceRoleForX";
    let session = "arn:aws:sts::111111111111:assumed-role/AWSServiceRoleForX/s";
    let ask = |arn: &str, principal_arn: Option<&str>, expect| {
        let mut scenario = with("/policies/scp", json!([{ "target": "root", "policies": [] }]));
        scenario["request"]["principal"] = json!({ "arn": arn });
        if let Some(principal_arn) = principal_arn {
            scenario["request"]["context"] = json!({ "aws:PrincipalArn": [principal_arn] });
        }
        check(&scenario, expect);
    };
    let role = format!("arn:aws:iam::111111111111:{path}");
    ask(&role, None, "allow");
    ask(session, Some(&role), "allow");
    ask(session, None, "implicit_deny");
    ask(session, Some("arn:aws:iam::111111111111:role/AWSServiceRoleForX"), "implicit_deny");
    ask(session, Some(&format!("arn:aws:iam::222222222222:{path}")), "implicit_deny");
    ask(session, Some(&format!("{role}2")), "implicit_deny");
    ask(USER, Some(&role), "implicit_deny");
}

#[test]
fn an_identity_provider_vouches_for_a_caller_without_credentials() {
    let provider = "arn:aws:iam::111111111111:oidc-provider/id.example.com";
    let ask = |principal: Value, action: &str, context: Value, expect| {
        let document = json!({ "Statement": [{ "Effect": "Allow", "Principal": { "Federated": provider },
            "Action": "sts:*" }] });
        let mut scenario = with("/policies/resource", document);
        scenario["request"] = json!({ "principal": principal, "action": action, "context": context,
            "resource": { "arn": "arn:aws:iam::111111111111:role/r" } });
        check(&scenario, expect);
    };
    let named = json!({ "aws:FederatedProvider": [provider] });
    let web = "sts:AssumeRoleWithWebIdentity";
    let nobody = json!({ "type": "anonymous", "arn": null, "account": null });
    ask(nobody.clone(), web, named.clone(), "allow");
    ask(nobody.clone(), "sts:AssumeRoleWithSAML", named.clone(), "allow");
    ask(nobody.clone(), web, json!({}), "implicit_deny");
    ask(nobody, "sts:AssumeRole", named.clone(), "implicit_deny");
    ask(json!({ "arn": provider }), web, json!({}), "allow");
    ask(json!({ "type": "federated", "arn": provider }), web, json!({}), "allow");
    ask(
        json!({ "type": "web-identity", "arn": "accounts.google.com" }),
        web,
        named,
        "implicit_deny",
    );
}

#[test]
fn parts_can_be_parsed_alone_and_both_engines_answer() {
    let scenario = allowed();
    let request = ScenarioRequest::parse(&scenario["request"].to_string()).unwrap();
    let policies = ScenarioPolicies::parse(&scenario["policies"].to_string()).unwrap();
    let decided = decide(&request, &policies);
    assert_eq!(decided.named(), [("p".to_owned(), 0)]);
    assert_eq!(decided, explain(&request, &policies));

    let trust = json!({ "resource": { "Statement": [
        { "Effect": "Allow", "Principal": "*", "Action": "sts:AssumeRole" }] } });
    assert!(ScenarioPolicies::parse(&trust.to_string()).is_ok());
    let error = ScenarioPolicies::parse_for(&request, &trust.to_string()).unwrap_err();
    assert!(error.to_string().contains("Resource"), "{error}");
    assert!(ScenarioRequest::parse("x").is_err());
    assert!(ScenarioPolicies::parse("x").is_err());
}
