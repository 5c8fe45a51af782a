use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue};

use super::*;
use crate::clock::UnixMillis;
use crate::sts::assume::AssumeError;
use crate::sts::door::answer::Answer;
use crate::sts::door::call::{Attempt, AttemptTarget, Identified, Refusal};
use crate::sts::door::tests::text_of;
use crate::sts::door::tests::{EXTERNAL_ID, ID, form, granted as session_granted, person, session};
use crate::token::TokenError;

const ROLE: &str = "arn:aws:iam::111111111111:role/ci/Deploy";

const BASE: [(&str, &str); 4] = [
    ("Action", "AssumeRole"),
    ("Version", "2011-06-15"),
    ("RoleArn", ROLE),
    ("RoleSessionName", "ana"),
];

const WEB: [(&str, &str); 5] = [
    ("Action", "AssumeRoleWithWebIdentity"),
    ("Version", "2011-06-15"),
    ("RoleArn", ROLE),
    ("RoleSessionName", "ana"),
    ("WebIdentityToken", "a.b.c"),
];

fn headers(authorization: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(AUTHORIZATION, HeaderValue::try_from(authorization).unwrap());
    headers
}

#[track_caller]
fn attempt(base: &[(&str, &str)], more: &[(&str, &str)]) -> Attempt {
    match read(&form(&[base, more].concat()), &headers("Bearer t.o.k")) {
        Call::Assume(attempt) => *attempt,
        Call::Identify(_) | Call::Refused(_) => panic!("no attempt"),
    }
}

fn blamed(base: &[(&str, &str)], more: &[(&str, &str)]) -> Option<(&'static str, String)> {
    attempt(base, more).fault.map(|fault| (fault.code, fault.message.into_owned()))
}

#[test]
fn all_parameters_of_assume_role_are_read() {
    let read = attempt(
        &BASE,
        &[
            ("DurationSeconds", "900"),
            ("ExternalId", EXTERNAL_ID),
            ("Policy", "{}"),
            ("PolicyArns.member.2.arn", "b"),
            ("PolicyArns.member.1.arn", "a"),
            ("SourceIdentity", "ana@example.com"),
            ("Tags.member.1.Key", "team"),
            ("Tags.member.2.Value", ""),
            ("Tags.member.2.Key", "cost"),
            ("Tags.member.1.Value", "a b"),
            ("TransitiveTagKeys.member.1", "team"),
        ],
    );
    assert_eq!(read.fault, None);
    assert_eq!(read.door, Door::AwsQuery);
    assert_eq!(read.token.as_deref(), Some("t.o.k"));
    assert!(matches!(&read.target, Some(AttemptTarget::Role(arn)) if &**arn == ROLE));
    let parameters = read.parameters;
    assert_eq!(parameters.session_name.as_deref(), Some("ana"));
    assert_eq!(parameters.duration_seconds, Some(900));
    assert_eq!(parameters.external_id.as_deref(), Some(EXTERNAL_ID));
    assert_eq!(parameters.policy.as_deref(), Some("{}"));
    assert_eq!(parameters.policy_arns, ["a".into(), "b".into()]);
    assert_eq!(parameters.source_identity.as_deref(), Some("ana@example.com"));
    let tags = [("team".into(), "a b".into()), ("cost".into(), "".into())];
    assert_eq!(parameters.tags, tags);
    assert_eq!(parameters.transitive_tag_keys, ["team".into()]);
}

#[test]
fn a_web_identity_brings_its_token_in_the_form() {
    let read = attempt(&WEB, &[("DurationSeconds", "3600"), ("PolicyArns", "")]);
    assert_eq!(read.fault, None);
    assert_eq!((read.door, read.token.as_deref()), (Door::AwsWebIdentity, Some("a.b.c")));
}

#[test]
fn empty_lists_are_none() {
    let read = attempt(&BASE, &[("Tags", ""), ("TransitiveTagKeys", ""), ("PolicyArns", "")]);
    assert_eq!(read.fault, None);
    assert!(read.parameters.tags.is_empty());
}

#[test]
fn the_bearer_token_is_the_callers_and_signatures_are_none() {
    let token = |authorization: &str| match read(&form(&BASE), &headers(authorization)) {
        Call::Assume(attempt) => attempt.token.map(str::into_string),
        Call::Identify(_) | Call::Refused(_) => panic!("no attempt"),
    };
    assert_eq!(token("bearer  a.b.c").as_deref(), Some("a.b.c"));
    for other in ["AWS4-HMAC-SHA256 Credential=AKIA/x, Signature=y", "Basic YTpi", "Bearer", ""] {
        assert_eq!(token(other), None, "{other}");
    }
}

#[test]
fn what_is_wrong_with_parameters_is_told_and_repeats_none() {
    let only = |count| BASE.into_iter().take(count).collect::<Vec<_>>();
    let too_many = |name: &str, count: usize, end: &str| -> Vec<(String, String)> {
        (1..=count).map(|n| (format!("{name}.member.{n}{end}"), "x".to_owned())).collect()
    };
    for (base, more, message) in [
        (only(3), vec![], "RoleSessionName is missing"),
        (only(2), vec![("RoleSessionName", "a")], "RoleArn is missing"),
        (BASE.to_vec(), vec![("RoleArn", ROLE)], "comes more than once"),
        (BASE.to_vec(), vec![("DurationSeconds", "1h")], "DurationSeconds is no number"),
        (BASE.to_vec(), vec![("DurationSeconds", "+900")], "DurationSeconds is no number"),
        (BASE.to_vec(), vec![("DurationSeconds", "-1")], "DurationSeconds is no number"),
        (BASE.to_vec(), vec![("DurationSeconds", "99999999999")], "DurationSeconds is no number"),
        (BASE.to_vec(), vec![("SerialNumber", "arn:aws:iam::1:mfa/a")], "tells of MFA"),
        (BASE.to_vec(), vec![("TokenCode", "123456")], "tells of MFA"),
        (BASE.to_vec(), vec![("Polcy", "{}")], "does not have"),
        (BASE.to_vec(), vec![("externalId", EXTERNAL_ID)], "does not have"),
        (BASE.to_vec(), vec![("WebIdentityToken", "a.b.c")], "does not have"),
        (BASE.to_vec(), vec![("Tags.member.0.Key", "a")], "does not have"),
        (BASE.to_vec(), vec![("Tags.member.01.Key", "a")], "does not have"),
        (BASE.to_vec(), vec![("Tags.member.+1.Key", "a")], "does not have"),
        (BASE.to_vec(), vec![("Tags.member.1.Other", "a")], "does not have"),
        (BASE.to_vec(), vec![("Tags.1.Key", "a")], "does not have"),
        (BASE.to_vec(), vec![("PolicyArns.member.1", "a")], "does not have"),
        (BASE.to_vec(), vec![("Tags.member.1.Key", "a")], "a Key and a Value"),
        (BASE.to_vec(), vec![("Tags.member.1.Value", "a")], "a Key and a Value"),
        (
            BASE.to_vec(),
            vec![("Tags.member.2.Key", "a"), ("Tags.member.2.Value", "a")],
            "the members of Tags are not numbered from 1",
        ),
        (BASE.to_vec(), vec![("TransitiveTagKeys.member.2", "a")], "TransitiveTagKeys are not"),
        (BASE.to_vec(), vec![("PolicyArns.member.2.arn", "a")], "PolicyArns are not numbered"),
        (WEB.to_vec(), vec![("ExternalId", EXTERNAL_ID)], "does not have"),
        (WEB.to_vec(), vec![("SourceIdentity", "ana")], "does not have"),
        (WEB.to_vec(), vec![("TransitiveTagKeys.member.1", "a")], "does not have"),
        (WEB.to_vec(), vec![("Tags.member.1.Key", "a")], "does not have"),
    ] {
        let (code, found) = blamed(&base, &more).unwrap();
        assert!(found.contains(message), "{more:?}: {found}");
        assert_eq!(code, "ValidationError", "{more:?}");
        assert!(!found.contains(EXTERNAL_ID), "{found}");
    }
    for (name, end, max) in
        [("Tags", ".Key", 50), ("TransitiveTagKeys", "", 50), ("PolicyArns", ".arn", 10)]
    {
        let members = too_many(name, max + 1, end);
        let members: Vec<_> = members.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        let (_, found) = blamed(&BASE, &members).unwrap();
        assert_eq!(found, format!("{name} has more than {max} members"));
        if name != "Tags" {
            assert_eq!(blamed(&BASE, &members[..max]), None);
        }
    }
}

#[test]
fn what_was_read_of_a_bad_attempt_is_kept_for_its_event() {
    let read = attempt(&BASE, &[("ExternalId", EXTERNAL_ID), ("DurationSeconds", "x")]);
    assert!(read.fault.is_some());
    assert!(read.target.is_some());
    assert_eq!(read.parameters.external_id.as_deref(), Some(EXTERNAL_ID));
}

#[test]
fn only_three_actions_of_one_version_are_known() {
    let refused = |fields: &[(&str, &str)]| match read(&form(fields), &HeaderMap::new()) {
        Call::Refused(fault) => Some(fault.code),
        Call::Assume(attempt) => attempt.fault.map(|fault| fault.code),
        Call::Identify(_) => None,
    };
    let identity = ("Action", "GetCallerIdentity");
    let version = ("Version", "2011-06-15");
    assert_eq!(refused(&[version]), Some("MissingAction"));
    assert_eq!(refused(&[("Action", "GetSessionToken"), version]), Some("InvalidAction"));
    assert_eq!(refused(&[identity, identity, version]), Some("ValidationError"));
    assert_eq!(refused(&[identity, ("Version", "2010-05-08")]), Some("InvalidAction"));
    assert_eq!(refused(&[identity]), Some("ValidationError"));
    assert_eq!(refused(&[identity, version, ("RoleArn", ROLE)]), Some("ValidationError"));
    assert_eq!(refused(&[identity, version]), None);
    let old: Vec<_> = BASE.into_iter().filter(|(name, _)| *name != "Version").collect();
    assert_eq!(blamed(&old, &[("Version", "2010-05-08")]).unwrap().0, "InvalidAction");
}

#[test]
fn a_session_is_told_as_aws_tells_it() {
    let answer = granted(&session_granted(), Door::AwsQuery, ID);
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.headers()[CONTENT_TYPE], "text/xml");
    assert_eq!(answer.headers()["x-amzn-requestid"], ID.to_string());
    insta::assert_snapshot!(lines(answer), @r#"
    <AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
    <AssumeRoleResult>
    <AssumedRoleUser>
    <AssumedRoleId>AROAEXAMPLE:ana</AssumedRoleId>
    <Arn>arn:aws:sts::111111111111:assumed-role/Deploy/ana</Arn>
    </AssumedRoleUser>
    <Credentials>
    <AccessKeyId>ASIA1</AccessKeyId>
    <SecretAccessKey>s+/</SecretAccessKey>
    <SessionToken>head.claims.signature</SessionToken>
    <Expiration>2025-10-10T15:03:17Z</Expiration>
    </Credentials>
    <SourceIdentity>ana</SourceIdentity>
    </AssumeRoleResult>
    <ResponseMetadata>
    <RequestId>0199ce1c-15d2-7000-8000-00000000000f</RequestId>
    </ResponseMetadata>
    </AssumeRoleResponse>
    "#);
    insta::assert_snapshot!(lines(granted(&session_granted(), Door::AwsWebIdentity, ID)), @r#"
    <AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
    <AssumeRoleWithWebIdentityResult>
    <SubjectFromWebIdentityToken>ana&amp;co</SubjectFromWebIdentityToken>
    <Audience>orders</Audience>
    <Provider>https://idp.example.com</Provider>
    <AssumedRoleUser>
    <AssumedRoleId>AROAEXAMPLE:ana</AssumedRoleId>
    <Arn>arn:aws:sts::111111111111:assumed-role/Deploy/ana</Arn>
    </AssumedRoleUser>
    <Credentials>
    <AccessKeyId>ASIA1</AccessKeyId>
    <SecretAccessKey>s+/</SecretAccessKey>
    <SessionToken>head.claims.signature</SessionToken>
    <Expiration>2025-10-10T15:03:17Z</Expiration>
    </Credentials>
    <SourceIdentity>ana</SourceIdentity>
    </AssumeRoleWithWebIdentityResult>
    <ResponseMetadata>
    <RequestId>0199ce1c-15d2-7000-8000-00000000000f</RequestId>
    </ResponseMetadata>
    </AssumeRoleWithWebIdentityResponse>
    "#);
}

#[test]
fn a_caller_is_told_who_it_is() {
    let of = |identity| {
        let identity = std::sync::Arc::new(identity);
        let unique_id = "AROADEPLOY".into();
        let now = UnixMillis(0);
        let identified = Identified { token: "t".into(), identity, unique_id, now };
        lines(identified_answer(&identified))
    };
    insta::assert_snapshot!(of(person()), @r#"
    <GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
    <GetCallerIdentityResult>
    <Arn>arn:aws:iam::222222222222:user/ana</Arn>
    <UserId>AROADEPLOY</UserId>
    <Account>222222222222</Account>
    </GetCallerIdentityResult>
    <ResponseMetadata>
    <RequestId>0199ce1c-15d2-7000-8000-00000000000f</RequestId>
    </ResponseMetadata>
    </GetCallerIdentityResponse>
    "#);
    insta::assert_snapshot!(of(session()), @r#"
    <GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
    <GetCallerIdentityResult>
    <Arn>arn:aws:sts::111111111111:assumed-role/Deploy/ana</Arn>
    <UserId>AROADEPLOY:ana</UserId>
    <Account>111111111111</Account>
    </GetCallerIdentityResult>
    <ResponseMetadata>
    <RequestId>0199ce1c-15d2-7000-8000-00000000000f</RequestId>
    </ResponseMetadata>
    </GetCallerIdentityResponse>
    "#);
}

fn identified_answer(identified_: &Identified) -> Answer {
    identified(identified_, ID)
}

#[test]
fn each_refusal_has_aws_code_and_status() {
    let (role, web) = (Some(Door::AwsQuery), Some(Door::AwsWebIdentity));
    let denied = || Refusal::Assume(AssumeError::Denied);
    let invalid = || Refusal::Assume(AssumeError::Invalid("x".into()));
    let policy = || Refusal::Assume(AssumeError::MalformedPolicy("x".into()));
    let large = || Refusal::Assume(AssumeError::PolicyTooLarge("x".into()));
    for (refusal, door, status, code) in [
        (denied(), role, 403, "AccessDenied"),
        (denied(), web, 403, "AccessDenied"),
        (invalid(), role, 400, "ValidationError"),
        (policy(), role, 400, "MalformedPolicyDocument"),
        (large(), web, 400, "PackedPolicyTooLarge"),
        (Refusal::BadToken(TokenError::Signature), web, 400, "InvalidIdentityToken"),
        (Refusal::BadToken(TokenError::Expired), web, 400, "ExpiredTokenException"),
        (Refusal::BadToken(TokenError::Signature), role, 403, "InvalidClientTokenId"),
        (Refusal::BadToken(TokenError::Expired), role, 403, "InvalidClientTokenId"),
        (Refusal::BadToken(TokenError::Expired), None, 403, "InvalidClientTokenId"),
        (Refusal::NoToken, role, 403, "MissingAuthenticationToken"),
        (Refusal::NoToken, None, 403, "MissingAuthenticationToken"),
        (Refusal::NoToken, web, 400, "ValidationError"),
        (Refusal::Revoked, role, 403, "InvalidClientTokenId"),
        (Refusal::Revoked, web, 400, "InvalidIdentityToken"),
        (Refusal::KeysUnavailable, web, 503, "ServiceUnavailable"),
        (Refusal::Unavailable, role, 503, "ServiceUnavailable"),
    ] {
        let answer = refused(&refusal, door, ID);
        assert_eq!(answer.status().as_u16(), status, "{refusal:?} {door:?}");
        assert_eq!(answer.headers().contains_key(RETRY_AFTER), status == 503);
        let text = text_of(answer);
        let document = roxmltree::Document::parse(&text).unwrap();
        let found = document.descendants().find(|node| node.tag_name().name() == "Code").unwrap();
        assert_eq!(found.text(), Some(code), "{refusal:?} {door:?}");
    }
    insta::assert_snapshot!(lines(refused(&denied(), role, ID)), @r#"
    <ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
    <Error>
    <Type>Sender</Type>
    <Code>AccessDenied</Code>
    <Message>Not authorized to perform sts:AssumeRole</Message>
    </Error>
    <RequestId>0199ce1c-15d2-7000-8000-00000000000f</RequestId>
    </ErrorResponse>
    "#);
    insta::assert_snapshot!(lines(refused(&Refusal::Unavailable, web, ID)), @r#"
    <ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
    <Error>
    <Type>Receiver</Type>
    <Code>ServiceUnavailable</Code>
    <Message>try again</Message>
    </Error>
    <RequestId>0199ce1c-15d2-7000-8000-00000000000f</RequestId>
    </ErrorResponse>
    "#);
}

/// The document with a line for each element, which it must not have itself.
fn lines(answer: Answer) -> String {
    let text = text_of(answer);
    assert!(!text.contains('\n'));
    roxmltree::Document::parse(&text).unwrap();
    text.replace("><", ">\n<")
}
