use proptest::prelude::*;
use serde_json::json;

use super::*;

fn event() -> Value {
    json!({
        "action": "iam-access-management.account-settings.eval",
        "eventTime": "2025-10-10T14:03:27.41+0000",
        "initiator": {"id": "IBMid-550009FB7N", "name": "user@example.com",
            "host": {"address": "192.0.2.10", "agent": "curl/8.5"}},
        "target": {"id": "arn:aws:orders::59bc:order/7"},
        "reason": {"reasonCode": 200, "reasonType": "OK"},
        "requestData": {
            "action": "orders:GetOrder",
            "subject": {"attributes": {"id": "IBMid-550009FB7N", "token.account.bss": "f714",
                "identityType": "user"}},
            "resource": {"attributes": {"accountId": "59bc"}},
            "update": [{"updateType": "user.mode", "newValue": "limited"},
                {"updateType": "user.allowlist", "newValue": ""}],
            "tags": ["red", "green"]},
        "responseData": {"isEnforced": false, "decision": "Deny", "mode": "report-only",
            "reason": "account_not_allowed", "sequence": 4711, "nothing": null},
    })
}

#[track_caller]
fn check(query: &str, expected: bool) {
    let parsed = Query::parse(query).unwrap_or_else(|error| panic!("{query}: {error}"));
    assert_eq!(parsed.matches(&event()), expected, "{query}\n{parsed:?}");
}

#[test]
fn what_policies_said_is_found_in_its_lists() {
    let event = json!({
        "action": "iam-access-management.policy.eval",
        "target": {"typeURI": "iam-access-management/policy"},
        "responseData": {"layer": "policy", "reason": "policy_explicit_deny",
            "statements": [
                {"policy": "scp/no-deletes", "sid": "Deny", "index": 0, "effect": "Deny"},
                {"policy": "reader", "sid": "", "index": 12, "effect": "Allow"}],
            "missing": ["caller identity policy", "SCP"]},
    });
    for (query, expected) in [
        ("iam-access-management.policy.eval", true),
        ("responseData.layer:policy", true),
        ("responseData.layer:perimeter", false),
        ("responseData.reason:policy_*_deny", true),
        ("responseData.statements.policy:reader", true),
        ("responseData.statements.policy:writer", false),
        (r#"responseData.statements.policy.keyword:"scp/no-deletes""#, true),
        ("responseData.statements.policy.keyword:no-deletes", false),
        ("responseData.statements.effect:Deny", true),
        ("responseData.statements.index:>10", true),
        ("responseData.statements.index.numeric:[13 TO *]", false),
        (r#"responseData.missing:"caller identity policy""#, true),
        ("responseData.missing:scp", true),
        (r#"responseData.missing:"resource policy""#, false),
        ("_exists_:responseData.missing", true),
        ("_exists_:responseData.statements", true),
        (r"iam-access-management\/policy", true),
    ] {
        let parsed = Query::parse(query).unwrap_or_else(|error| panic!("{query}: {error}"));
        assert_eq!(parsed.matches(&event), expected, "{query}\n{parsed:?}");
    }
}

#[track_caller]
fn check_error(query: &str, position: usize, message: &str) {
    let error = Query::parse(query).unwrap_err();
    assert_eq!((error.position, error.to_string()), (position, message.to_owned()), "{query}");
}

#[test]
fn the_published_queries_work_verbatim() {
    check("iam-access-management.account-settings.eval", true);
    check(r#"responseData.isEnforced:"false" AND responseData.decision:"Deny""#, true);
    check(r#"responseData.isEnforced:"false" AND responseData.decision:"Permit""#, false);
    check(r#"responseData.isEnforced:"true" AND responseData.decision:"Deny""#, false);
    check(
        "action:iam-identity.user-authcode OR action:iam-access-management.account-settings.eval",
        true,
    );
    check("iam-access-management.account-settings.update", false);
}

#[test]
fn fields_and_words() {
    for (query, expected) in [
        ("", true),
        ("   ", true),
        ("*", true),
        ("*:*", true),
        ("*:curl", true),
        ("*:wget", false),
        ("*:(wget OR deny)", true),
        ("NOT *:*", false),
        ("responseData.decision:Deny", true),
        ("responseData.decision: Deny", true),
        ("responseData.decision : Deny", true),
        ("responseData.decision : Permit", false),
        ("responseData.decision:deny", true),
        ("responseData.decision:Den", false),
        ("responseData.isEnforced:false", true),
        ("responseData.isEnforced:FALSE", true),
        ("reason.reasonCode:200", true),
        ("reason.reasonCode:\"200\"", true),
        ("reason.reasonCode:20", false),
        ("reason.absent:200", false),
        ("reason:200", false),
        ("responseData.mode:report-only", true),
        ("responseData.mode:only-report", false),
        ("responseData.mode:report", true),
        ("responseData.reason:account_not_allowed", true),
        ("responseData.reason:account", false),
        ("initiator.host.agent:\"curl/8.5\"", true),
        ("requestData.action:orders\\:GetOrder", true),
        ("requestData.action:orders:GetOrder", true),
        ("target.id:\"order/7\"", true),
        ("curl", true),
        ("\"curl 8\"", true),
        ("\"8 curl\"", false),
        ("wget", false),
        ("false", true),
        ("4711", true),
        ("requestData.subject.attributes.token.account.bss:f714", true),
        ("requestData.subject.attributes.token.account.bss:\"f714\"", true),
        ("requestData.subject.attributes.token.account:f714", false),
        ("token.account.bss:f714", false),
        ("requestData.tags:green", true),
        ("requestData.tags:blue", false),
        ("requestData.update.newValue:limited", true),
        ("requestData.update.newValue:\"\"", true),
        ("initiator.id:\"\"", false),
    ] {
        check(query, expected);
    }
}

#[test]
fn operators() {
    for (query, expected) in [
        ("curl AND deny", true),
        ("curl AND wget", false),
        ("curl OR wget", true),
        ("wget OR telnet", false),
        ("curl wget", true),
        ("wget telnet", false),
        ("NOT wget", true),
        ("NOT curl", false),
        ("NOT NOT curl", true),
        ("curl AND NOT wget", true),
        ("curl AND NOT deny", false),
        ("curl NOT deny", false),
        ("curl AND deny NOT wget", true),
        ("curl AND deny NOT 4711", false),
        ("curl && deny", true),
        ("curl && wget", false),
        ("wget || deny", true),
        ("!wget", true),
        ("! wget", true),
        ("!curl", false),
        ("-curl", false),
        ("-wget", true),
        ("+curl -wget", true),
        ("+curl +wget", false),
        ("+curl wget", true),
        ("curl -deny", false),
        ("wget OR NOT telnet", true),
        ("NOT curl OR deny", true),
        ("wget OR curl AND deny", true),
        ("wget AND telnet OR curl", true),
        ("(wget OR curl) AND deny", true),
        ("(wget OR curl) AND (permit)", false),
        ("wget AND (curl OR deny)", false),
        ("responseData.decision:(Permit OR Deny)", true),
        ("responseData.decision:(Permit OR limited)", false),
        ("responseData.decision:(Deny AND NOT Permit)", true),
        ("NOT(wget)", true),
        ("curl^2 AND deny^0.5", true),
        ("and", false),
    ] {
        check(query, expected);
    }
}

#[test]
fn exact_text_and_numbers() {
    for (query, expected) in [
        ("responseData.decision.keyword:Deny", true),
        ("responseData.decision.keyword:deny", false),
        ("initiator.id.keyword:IBMid", false),
        ("initiator.id.keyword:\"IBMid-550009FB7N\"", true),
        ("reason.reasonCode.numeric:200", true),
        ("reason.reasonCode.numeric:200.0", true),
        ("reason.reasonCode.numeric:[200 TO 299]", true),
        ("reason.reasonCode.numeric:{200 TO 299]", false),
        ("reason.reasonCode.numeric:{199 TO 201}", true),
        ("reason.reasonCode.numeric:[100 TO 200}", false),
        ("reason.reasonCode:[* TO 200]", true),
        ("reason.reasonCode:[201 TO *]", false),
        ("reason.reasonCode:>199", true),
        ("reason.reasonCode:>200", false),
        ("reason.reasonCode:>=200", true),
        ("reason.reasonCode:<1000", true),
        ("reason.reasonCode:<=199", false),
        ("responseData.sequence:>-5", true),
        ("responseData.decision.numeric:[* TO *]", false),
        ("eventTime:[2025-10-10 TO 2025-10-11]", true),
        ("eventTime:[\"2025-10-10T14:04\" TO *]", false),
        ("initiator.name:[a TO z]", true),
    ] {
        check(query, expected);
    }
}

#[test]
fn wildcards_and_regular_expressions() {
    for (query, expected) in [
        ("initiator.id:IBMid-*", true),
        ("initiator.id:ibmid-*", true),
        ("initiator.id.keyword:ibmid-*", false),
        ("initiator.id:*", true),
        ("initiator.absent:*", false),
        ("responseData.nothing:*", false),
        ("_exists_:initiator.id", true),
        ("_exists_:initiator.absent", false),
        ("_exists_:initiator.id AND wget", false),
        ("initiator.host.address:192.0.2.*", true),
        ("initiator.host.address:192.0.3.*", false),
        ("responseData.decision:D?ny", true),
        ("responseData.decision:D?y", false),
        ("responseData.decision:D\\?ny", false),
        ("GetOr*", true),
        ("*@example.com", true),
        ("initiator.id.keyword:/IBMid-[0-9A-Z]+/", true),
        ("initiator.id.keyword:/IBMid/", false),
        ("initiator.id.keyword:/ibmid.*/", false),
        ("target.id:/arn:aws:orders::.*:order\\/7/", true),
        ("requestData.subject.attributes.token.account.bss.keyword:/(f714|f715)/", true),
        ("initiator.name.keyword:/.*/ AND NOT initiator.name.keyword:/^$/", true),
        ("/curl.8.5/", true),
    ] {
        check(query, expected);
    }
}

#[test]
fn errors_name_their_position() {
    check_error("responseData.decision:", 23, "expected a term at character 23 of the query");
    check_error("(curl", 6, "expected `)` at character 6 of the query");
    check_error("curl)", 5, "expected a term or the end at character 5 of the query");
    check_error("curl AND", 9, "expected a term at character 9 of the query");
    check_error("AND curl", 1, "expected a term at character 1 of the query");
    check_error("a AND OR b", 7, "expected a term at character 7 of the query");
    check_error("f:\"open", 8, "expected a closing `\"` at character 8 of the query");
    check_error("f:/open", 8, "expected a closing `/` at character 8 of the query");
    check_error("f:[1 2]", 6, "expected `TO` at character 6 of the query");
    check_error("f:[1 TO 2", 10, "expected `]` or `}` at character 10 of the query");
    check_error("f:>", 4, "expected a bound at character 4 of the query");
    check_error(":curl", 1, "expected a term at character 1 of the query");
    check_error("curl~2", 5, "`~` is not supported at character 5 of the query");
    check_error("é ()", 4, "expected a term at character 4 of the query");
    assert!(matches!(
        Query::parse("f:/(/").unwrap_err().kind,
        QueryErrorKind::Regex(message) if !message.is_empty()
    ));
}

#[test]
fn length_terms_and_nesting_have_limits() {
    let nested = |levels: usize| format!("{}a{}", "(".repeat(levels), ")".repeat(levels));
    assert!(Query::parse(&nested(NESTING_MAX - 1)).is_ok());
    assert_eq!(Query::parse(&nested(NESTING_MAX)).unwrap_err().kind, QueryErrorKind::Nesting);
    let negated = "NOT ".repeat(100_000 / 4);
    assert_eq!(Query::parse(&negated).unwrap_err().kind, QueryErrorKind::Long);
    let negated = format!("{}a", "NOT ".repeat(NESTING_MAX));
    assert_eq!(Query::parse(&negated).unwrap_err().kind, QueryErrorKind::Nesting);
    assert!(Query::parse(&"a ".repeat(CLAUSES_MAX)).is_ok());
    assert_eq!(
        Query::parse(&"a ".repeat(CLAUSES_MAX + 1)).unwrap_err().kind,
        QueryErrorKind::Clauses
    );
    assert!(Query::parse(&"a".repeat(QUERY_BYTES_MAX)).is_ok());
    assert_eq!(
        Query::parse(&"a".repeat(QUERY_BYTES_MAX + 1)).unwrap_err().kind,
        QueryErrorKind::Long
    );
    assert!(matches!(
        Query::parse("f:/(x{1000}){1000}/").unwrap_err().kind,
        QueryErrorKind::Regex(_)
    ));
}

proptest! {
    #[test]
    fn any_text_parses_or_is_refused(text in "[a-z\"/:()\\[\\]{}<>=+!&|~^*?\\\\ -]{0,60}|\\PC{0,40}") {
        if let Ok(query) = Query::parse(&text) {
            query.matches(&event());
        }
    }

    #[test]
    fn a_quoted_exact_value_matches_itself(value in "\\PC{0,40}") {
        let quoted = value.replace('\\', "\\\\").replace('"', "\\\"");
        let query = Query::parse(&format!("f.keyword:\"{quoted}\"")).unwrap();
        let (same, other) = (json!({"f": value}), json!({"f": format!("{value}x")}));
        prop_assert!(query.matches(&same));
        prop_assert!(!query.matches(&other));
    }
}
