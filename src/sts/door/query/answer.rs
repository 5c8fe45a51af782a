//! Answers of the query protocol, as AWS's clients parse them.

use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue, StatusCode};
use jiff::Timestamp;
use uuid::Uuid;

use crate::clock::UnixSeconds;
use crate::event::Door;
use crate::iam::Identity;
use crate::sts::assume::{AssumeError, packed_percent};
use crate::sts::door::answer::{Answer, RETRY_AFTER_SECONDS, whole};
use crate::sts::door::call::{Granted, Identified, Refusal};
use crate::sts::door::xml::Xml;
use crate::token::TokenError;

/// The session that began.
pub(in crate::sts::door) fn granted(granted: &Granted, door: Door, id: Uuid) -> Answer {
    let by_token = door == Door::AwsWebIdentity;
    let action = if by_token { "AssumeRoleWithWebIdentity" } else { "AssumeRole" };
    let session = &granted.identity;
    let body = result(action, id, |xml| {
        if by_token {
            xml.text("SubjectFromWebIdentityToken", &granted.caller.subject);
            xml.text("Audience", &granted.caller_audience);
            xml.text("Provider", &granted.caller.issuer);
        }
        xml.element("AssumedRoleUser", |xml| {
            xml.text("AssumedRoleId", &role_user(&granted.role_id, session));
            xml.text("Arn", &session.principal);
        });
        xml.element("Credentials", |xml| {
            xml.text("AccessKeyId", &granted.access_key.id);
            xml.text("SecretAccessKey", &granted.access_key.secret);
            xml.text("SessionToken", &granted.token);
            xml.text("Expiration", &time(session.expires_at));
        });
        if session.session_policies().is_some() || !session.session_tags.is_empty() {
            xml.text("PackedPolicySize", &packed_percent(session).to_string());
        }
        let source = session.session.as_ref().and_then(|session| session.source_identity.as_ref());
        if let Some(source) = source {
            xml.text("SourceIdentity", source);
        }
    });
    answer(StatusCode::OK, body, id)
}

/// Who the caller is.
pub(in crate::sts::door) fn identified(identified: &Identified, id: Uuid) -> Answer {
    let Identity { principal, account, .. } = &*identified.identity;
    let body = result("GetCallerIdentity", id, |xml| {
        xml.text("Arn", principal);
        xml.text("UserId", &role_user(&identified.unique_id, &identified.identity));
        xml.text("Account", account.as_ref().map_or("", |account| account.as_str()));
    });
    answer(StatusCode::OK, body, id)
}

/// Nothing, and why. `door` is none where the action asks for no session.
pub(in crate::sts::door) fn refused(refusal: &Refusal, door: Option<Door>, id: Uuid) -> Answer {
    let (status, code, message) = words(refusal, door);
    let fault = if status.is_server_error() { "Receiver" } else { "Sender" };
    let body = Xml::document("ErrorResponse", NAMESPACE, |xml| {
        xml.element("Error", |xml| {
            xml.text("Type", fault);
            xml.text("Code", code);
            xml.text("Message", message);
        });
        xml.text("RequestId", &id.to_string());
    });
    let mut answer = answer(status, body, id);
    if status == StatusCode::SERVICE_UNAVAILABLE {
        answer.headers_mut().insert(http::header::RETRY_AFTER, RETRY_AFTER_SECONDS);
    }
    answer
}

/// Status, code and message.
fn words(refusal: &Refusal, door: Option<Door>) -> (StatusCode, &str, &str) {
    let by_token = door == Some(Door::AwsWebIdentity);
    let (bad, forbidden) = (StatusCode::BAD_REQUEST, StatusCode::FORBIDDEN);
    match refusal {
        Refusal::Assume(AssumeError::Denied) if by_token => {
            (forbidden, "AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity")
        }
        Refusal::Assume(AssumeError::Denied) => {
            (forbidden, "AccessDenied", "Not authorized to perform sts:AssumeRole")
        }
        Refusal::Assume(AssumeError::Invalid(message)) => (bad, "ValidationError", message),
        Refusal::Assume(AssumeError::MalformedPolicy(message)) => {
            (bad, "MalformedPolicyDocument", message)
        }
        Refusal::Assume(AssumeError::PolicyTooLarge(message)) => {
            (bad, "PackedPolicyTooLarge", message)
        }
        Refusal::BadToken(error) if by_token => match error {
            TokenError::Expired => (bad, "ExpiredTokenException", error.description()),
            error => (bad, "InvalidIdentityToken", error.description()),
        },
        Refusal::BadToken(error) => (forbidden, "InvalidClientTokenId", error.description()),
        Refusal::Malformed(fault) => (fault.status, fault.code, &fault.message),
        Refusal::NoToken if by_token => (bad, "ValidationError", "WebIdentityToken is missing"),
        Refusal::NoToken => (forbidden, "MissingAuthenticationToken", NO_BEARER),
        Refusal::Revoked if by_token => (bad, "InvalidIdentityToken", REVOKED),
        Refusal::Revoked => (forbidden, "InvalidClientTokenId", REVOKED),
        Refusal::KeysUnavailable | Refusal::Unavailable => {
            (StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable", "try again")
        }
    }
}

fn result(action: &str, id: Uuid, content: impl FnOnce(&mut Xml)) -> String {
    Xml::document(&format!("{action}Response"), NAMESPACE, |xml| {
        xml.element(&format!("{action}Result"), content);
        xml.element("ResponseMetadata", |xml| xml.text("RequestId", &id.to_string()));
    })
}

fn answer(status: StatusCode, body: String, id: Uuid) -> Answer {
    let mut answer = whole(status, body);
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/xml"));
    if let Ok(id) = HeaderValue::from_str(&id.to_string()) {
        headers.insert(REQUEST_ID, id);
    }
    answer
}

/// An id with the session's name, where it is a session.
fn role_user(id: &str, identity: &Identity) -> String {
    match &identity.session {
        Some(session) => format!("{id}:{}", session.name),
        None => id.to_owned(),
    }
}

/// As in `2026-01-31T12:00:00Z`.
fn time(time: UnixSeconds) -> String {
    let seconds = i64::try_from(time.0).unwrap_or(i64::MAX);
    Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX).to_string()
}

const NAMESPACE: &str = "https://sts.amazonaws.com/doc/2011-06-15/";

const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");

const NO_BEARER: &str = "the request has no bearer token; signatures by AWS keys are not taken";

const REVOKED: &str = "the session was ended";
