use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use serde_json::{Value, json};

use super::*;
use crate::sts::assume::Target;
use crate::sts::door::tests::{EXTERNAL_ID, form, granted as session_granted, text_of};
use crate::token::TokenError;

const ROLE: &str = "arn:aws:iam::111111111111:role/ci/Deploy";

const BASE: [(&str, &str); 4] = [
    ("grant_type", GRANT_TYPE),
    ("subject_token", "a.b.c"),
    ("subject_token_type", JWT_TYPE),
    ("resource", ROLE),
];

#[track_caller]
fn asked(fields: &[(&str, &str)]) -> Attempt {
    match read(&form(fields)) {
        Call::Assume(attempt) => *attempt,
        Call::Identify(_) | Call::Refused(_) => panic!("no attempt"),
    }
}

fn without(name: &str) -> Vec<(&'static str, &'static str)> {
    BASE.into_iter().filter(|(found, _)| *found != name).collect()
}

#[test]
fn all_parameters_are_read() {
    let more = [
        ("requested_token_type", JWT_TYPE),
        ("audience", "orders"),
        ("audience", "invoices"),
        ("role_session_name", "ana"),
        ("external_id", EXTERNAL_ID),
        ("duration_seconds", "900"),
        ("policy", "{}"),
        ("policy_arns", r#"["a"]"#),
        ("tags", r#"{"team":"a","Team":"b"}"#),
        ("transitive_tag_keys", r#"["team"]"#),
        ("source_identity", "ana@example.com"),
        ("unknown", "x"),
        ("scope", ""),
    ];
    let attempt = asked(&[&BASE[..], &more].concat());
    assert_eq!(attempt.fault, None);
    assert_eq!(attempt.token.as_deref(), Some("a.b.c"));
    assert_eq!(attempt.token_type, TokenType::Jwt);
    assert_eq!(attempt.audiences, ["orders".into(), "invoices".into()]);
    let target = attempt.target.as_ref().unwrap().target("");
    assert_eq!(target, Target::Role(ROLE));
    let parameters = &attempt.parameters;
    assert_eq!(parameters.session_name.as_deref(), Some("ana"));
    assert_eq!(parameters.external_id.as_deref(), Some(EXTERNAL_ID));
    assert_eq!(parameters.duration_seconds, Some(900));
    assert_eq!(parameters.policy.as_deref(), Some("{}"));
    assert_eq!(parameters.policy_arns, ["a".into()]);
    let tags = [("team".into(), "a".into()), ("Team".into(), "b".into())];
    assert_eq!(parameters.tags, tags);
    assert_eq!(parameters.transitive_tag_keys, ["team".into()]);
    assert_eq!(parameters.source_identity.as_deref(), Some("ana@example.com"));
}

#[test]
fn two_tags_of_one_key_are_left_for_the_decision_to_refuse() {
    let attempt = asked(&[&BASE[..], &[("tags", r#"{"a":"1","a":"2"}"#)]].concat());
    assert_eq!(attempt.parameters.tags.len(), 2);
}

#[test]
fn what_is_wrong_has_its_error() {
    let more = |fields: &[(&'static str, &'static str)]| [&BASE[..], fields].concat();
    let id = "urn:ietf:params:oauth:token-type:id_token";
    for (fields, code) in [
        (without("subject_token_type"), "invalid_request"),
        (without("resource"), "invalid_request"),
        (more(&[("resource", ROLE)]), "invalid_target"),
        (more(&[("subject_token", "a.b.c")]), "invalid_request"),
        (
            [&without("subject_token_type")[..], &[("subject_token_type", id)]].concat(),
            "invalid_request",
        ),
        (more(&[("requested_token_type", id)]), "invalid_request"),
        (more(&[("scope", "orders")]), "invalid_scope"),
        (more(&[("actor_token", "a.b.c")]), "invalid_request"),
        (more(&[("actor_token_type", JWT_TYPE)]), "invalid_request"),
        (more(&[("duration_seconds", "1h")]), "invalid_request"),
        (more(&[("tags", "[]")]), "invalid_request"),
        (more(&[("tags", r#"{"a":1}"#)]), "invalid_request"),
        (more(&[("tags", r#"{"a":"1"} x"#)]), "invalid_request"),
        (more(&[("transitive_tag_keys", "team")]), "invalid_request"),
        (more(&[("policy_arns", r#""a""#)]), "invalid_request"),
    ] {
        let fault = asked(&fields).fault;
        assert_eq!(fault.map(|fault| fault.code), Some(code), "{fields:?}");
    }
    assert_eq!(asked(&without("subject_token")).token, None);
}

#[test]
fn other_grants_are_no_attempts() {
    let refused = |fields: &[(&str, &str)]| match read(&form(fields)) {
        Call::Refused(fault) => fault.code,
        Call::Assume(_) | Call::Identify(_) => "",
    };
    assert_eq!(refused(&[]), "invalid_request");
    assert_eq!(refused(&[("grant_type", "")]), "invalid_request");
    assert_eq!(refused(&[("grant_type", "client_credentials")]), "unsupported_grant_type");
    assert_eq!(refused(&[("grant_type", GRANT_TYPE), ("grant_type", "x")]), "invalid_request");
}

#[test]
fn a_session_is_told_by_rfc_8693() {
    let answer = granted(&session_granted());
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.headers()[CACHE_CONTROL], "no-store");
    assert_eq!(answer.headers()[CONTENT_TYPE], "application/json");
    let expected = json!({
        "access_token": "head.claims.signature",
        "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
        "token_type": "Bearer",
        "expires_in": 3600,
    });
    assert_eq!(serde_json::from_str::<Value>(&text_of(answer)).unwrap(), expected);
    let jwt = granted(&Granted { token_type: TokenType::Jwt, ..session_granted() });
    assert!(text_of(jwt).contains("urn:ietf:params:oauth:token-type:jwt"));
}

#[test]
fn each_refusal_has_its_error_and_status() {
    let invalid = |text: &str| Refusal::Assume(AssumeError::Invalid(text.into()));
    for (refusal, status, error) in [
        (Refusal::Assume(AssumeError::Denied), 400, "invalid_grant"),
        (invalid("x"), 400, "invalid_request"),
        (Refusal::Assume(AssumeError::MalformedPolicy("x".into())), 400, "invalid_request"),
        (Refusal::Assume(AssumeError::PolicyTooLarge("x".into())), 400, "invalid_request"),
        (Refusal::BadToken(TokenError::Expired), 400, "invalid_request"),
        (Refusal::NoToken, 400, "invalid_request"),
        (Refusal::Revoked, 400, "invalid_request"),
        (Refusal::Malformed(foreign_audience()), 400, "invalid_target"),
        (Refusal::KeysUnavailable, 503, "temporarily_unavailable"),
        (Refusal::Unavailable, 503, "temporarily_unavailable"),
    ] {
        let answer = refused(&refusal);
        assert_eq!(answer.status().as_u16(), status, "{refusal:?}");
        assert_eq!(answer.headers()[CACHE_CONTROL], "no-store");
        assert_eq!(answer.headers().contains_key(RETRY_AFTER), status == 503);
        let body: Value = serde_json::from_str(&text_of(answer)).unwrap();
        assert_eq!(body["error"], error, "{refusal:?}");
    }
    // RFC 6749 section 5.2 leaves out quotes, backslashes, and all that is not ASCII.
    let body: Value = serde_json::from_str(&text_of(refused(&invalid("a \"b\\ é")))).unwrap();
    assert_eq!(body["error_description"], "a 'b' '");
}

#[test]
fn parameters_are_told_by_the_names_of_this_protocol() {
    let description = |error: AssumeError| {
        let body = text_of(refused(&Refusal::Assume(error)));
        let body: Value = serde_json::from_str(&body).unwrap();
        body["error_description"].as_str().unwrap().to_owned()
    };
    for (theirs, ours) in [
        (
            "`DurationSeconds` is from 900 to 43200, not 1",
            "`duration_seconds` is from 900 to 43200, not 1",
        ),
        ("`RoleSessionName` has 2 to 64 characters", "`role_session_name` has 2 to 64 characters"),
        ("`ExternalId` has a character", "`external_id` has a character"),
        ("`SourceIdentity` has a character", "`source_identity` has a character"),
        ("`PolicyArns` has what is no ARN", "`policy_arns` has what is no ARN"),
        ("`Policy` has 3000 characters", "`policy` has 3000 characters"),
        ("`Policies` of DurationSeconds", "`Policies` of DurationSeconds"),
        ("a tag's key has no `Policy`", "a tag's key has no `Policy`"),
    ] {
        assert_eq!(description(AssumeError::Invalid(theirs.into())), ours);
    }
    let malformed = "`Policy`, at byte 2: the element `Policy` is unknown";
    let expect = "`policy`, at byte 2: the element `Policy` is unknown";
    assert_eq!(description(AssumeError::MalformedPolicy(malformed.into())), expect);
    let too_large = AssumeError::PolicyTooLarge("`Policy` has 3000 characters".into());
    assert_eq!(description(too_large), "`policy` has 3000 characters");
}
