//! IBM's token endpoint, as far as its SDKs need it: assume a trusted profile by a token, or by that
//! of a compute resource; and an API key that is a token.
//!
//! In: a form. Out: a call; and for what became of it an answer in IBM's shape. Pure.

use http::header::{CACHE_CONTROL, RETRY_AFTER};
use http::{HeaderName, HeaderValue, StatusCode};
use serde::Serialize;
use uuid::Uuid;

use crate::clock::UnixSeconds;
use crate::event::Door;
use crate::sts::assume::AssumeError;
use crate::sts::door::answer::{Answer, RETRY_AFTER_SECONDS, json};
use crate::sts::door::call::{Attempt, AttemptTarget, Call, Fault, Granted, Identified, Refusal};
use crate::sts::door::form::Form;
use crate::token::TokenError;

/// Reads a request.
pub(super) fn read(form: &Form) -> Call {
    match form.one("grant_type") {
        Ok(Some(ASSUME)) => Call::Assume(Box::new(attempt(form, Grant::Assume))),
        Ok(Some(COMPUTE)) => Call::Assume(Box::new(attempt(form, Grant::Compute))),
        Ok(Some(API_KEY)) if form.repeats(&[]) => Call::Refused(invalid(REPEATED)),
        Ok(Some(API_KEY)) if !has_known_scopes(form) => Call::Refused(invalid(SCOPES)),
        Ok(Some(API_KEY)) => Call::Identify(value(form, "apikey").map(Into::into)),
        Ok(Some("") | None) => Call::Refused(invalid("Property 'grant_type' is missing.")),
        Ok(Some(_)) => Call::Refused(invalid(GRANTS)),
        Err(_) => Call::Refused(invalid(REPEATED)),
    }
}

/// By whose token a profile is assumed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Grant {
    /// Anybody's.
    Assume,
    /// A compute resource's; its account is the profile's if none is named.
    Compute,
}

fn attempt(form: &Form, grant: Grant) -> Attempt {
    let mut attempt = Attempt::new(Door::Ibm);
    if form.repeats(&[]) {
        attempt.blame(invalid(REPEATED));
    }
    let token = match grant {
        Grant::Assume => "access_token",
        Grant::Compute => "cr_token",
    };
    attempt.token = value(form, token).map(|token| token.trim().into());
    let named = |name| value(form, name).map(Box::<str>::from);
    let account = named("account");
    let targets = [
        named("profile_id").map(AttemptTarget::Profile),
        named("profile_crn").map(AttemptTarget::Profile),
        named("profile_name").map(|name| AttemptTarget::ProfileNamed { name, account }),
    ];
    let mut targets = targets.into_iter().flatten();
    let (target, other) = (targets.next(), targets.next());
    let lacks_account = matches!(target, Some(AttemptTarget::ProfileNamed { account: None, .. }));
    if lacks_account && grant == Grant::Assume {
        attempt.blame(invalid("Property 'account' is missing: it goes with 'profile_name'."));
    }
    if target.is_none() || other.is_some() {
        attempt.blame(invalid(ONE_PROFILE));
    }
    attempt.target = target;
    if !has_known_scopes(form) {
        attempt.blame(invalid(SCOPES));
    }
    attempt
}

/// Whether no scope is asked for that would have to limit the token.
fn has_known_scopes(form: &Form) -> bool {
    let asked = value(form, "scope").unwrap_or_default();
    let is_known = |scope: &str| scope.is_empty() || SCOPE.split(' ').any(|known| known == scope);
    asked.split(' ').all(is_known)
}

/// A property that is there and not empty; one that comes twice is refused elsewhere.
fn value<'f>(form: &'f Form, name: &str) -> Option<&'f str> {
    form.all(name).find(|value| !value.is_empty())
}

/// IBM's answer with a token.
#[derive(Serialize)]
struct Success<'a> {
    access_token: &'a str,
    refresh_token: &'static str,
    token_type: &'static str,
    expires_in: u64,
    expiration: u64,
    scope: &'static str,
}

/// The session that began.
pub(super) fn granted(granted: &Granted, id: Uuid) -> Answer {
    token(&granted.token, granted.duration_seconds.into(), granted.identity.expires_at, id)
}

/// The token that came as an API key, for as long as it lasts.
pub(super) fn identified(identified: &Identified, id: Uuid) -> Answer {
    let expires_at = identified.identity.expires_at;
    let expires_in = expires_at.0.saturating_sub(identified.now.seconds().0);
    token(&identified.token, expires_in, expires_at, id)
}

fn token(token: &str, expires_in: u64, expires_at: UnixSeconds, id: Uuid) -> Answer {
    let body = Success {
        access_token: token,
        refresh_token: "not_supported",
        token_type: "Bearer",
        expires_in,
        expiration: expires_at.0,
        scope: SCOPE,
    };
    answer(StatusCode::OK, &body, id)
}

/// Nothing, and why. `door` is none where no profile is asked for.
pub(super) fn refused(refusal: &Refusal, door: Option<Door>, id: Uuid) -> Answer {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Failure<'a> {
        error_code: &'a str,
        error_message: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        error_details: Option<&'a str>,
        context: Context,
    }
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Context {
        request_id: String,
    }
    let Words { status, error_code, error_message, error_details } = words(refusal, door);
    let context = Context { request_id: id.to_string() };
    let mut answer =
        answer(status, &Failure { error_code, error_message, error_details, context }, id);
    if status == StatusCode::SERVICE_UNAVAILABLE {
        answer.headers_mut().insert(RETRY_AFTER, RETRY_AFTER_SECONDS);
    }
    answer
}

/// What is wrong with a request as HTTP.
pub(super) fn unreadable(status: StatusCode, message: &'static str) -> Fault {
    Fault { status, ..invalid(message) }
}

struct Words<'a> {
    status: StatusCode,
    error_code: &'a str,
    error_message: &'a str,
    error_details: Option<&'a str>,
}

fn words(refusal: &Refusal, door: Option<Door>) -> Words<'_> {
    let (status, error_code, error_message, error_details) = match refusal {
        Refusal::Assume(AssumeError::Denied) => {
            (400, "BXNIM0513E", "You are not authorized to use this trusted profile.", None)
        }
        Refusal::Assume(
            AssumeError::Invalid(details)
            | AssumeError::MalformedPolicy(details)
            | AssumeError::PolicyTooLarge(details),
        ) => (400, "BXNIM0109E", MISSING, Some(&**details)),
        Refusal::Malformed(fault) => {
            (fault.status.as_u16(), fault.code, MISSING, Some(&*fault.message))
        }
        Refusal::NoToken => (400, "BXNIM0109E", MISSING, Some("The token is missing.")),
        Refusal::BadToken(error) if door.is_none() => {
            (400, "BXNIM0415E", "Provided API key could not be found.", Some(error.description()))
        }
        Refusal::Revoked if door.is_none() => {
            (400, "BXNIM0415E", "Provided API key could not be found.", None)
        }
        Refusal::BadToken(TokenError::Expired) => {
            (400, "BXNIM0408E", "Provided token is expired.", None)
        }
        Refusal::BadToken(error) => {
            (400, "BXNIM0407E", "Provided token is invalid.", Some(error.description()))
        }
        Refusal::Revoked => {
            (400, "BXNIM0407E", "Provided token is invalid.", Some("It was ended."))
        }
        Refusal::KeysUnavailable | Refusal::Unavailable => {
            (503, "BXNIM0001E", "The service is not available. Try again.", None)
        }
    };
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    Words { status, error_code, error_message, error_details }
}

fn answer(status: StatusCode, body: &impl Serialize, id: Uuid) -> Answer {
    let mut answer = json(status, body);
    let headers = answer.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // The SDKs put it into their errors.
    if let Ok(id) = HeaderValue::from_str(&id.to_string()) {
        headers.insert(TRANSACTION_ID, id);
    }
    answer
}

fn invalid(details: &'static str) -> Fault {
    Fault { status: StatusCode::BAD_REQUEST, code: "BXNIM0109E", message: details.into() }
}

const ASSUME: &str = "urn:ibm:params:oauth:grant-type:assume";
const COMPUTE: &str = "urn:ibm:params:oauth:grant-type:cr-token";
const API_KEY: &str = "urn:ibm:params:oauth:grant-type:apikey";

/// What IBM's own tokens say; it limits nothing.
const SCOPE: &str = "ibm openid";

const TRANSACTION_ID: HeaderName = HeaderName::from_static("x-global-transaction-id");

const MISSING: &str = "Property missing, empty or invalid.";
const REPEATED: &str = "A property comes more than once.";
const GRANTS: &str = "Property 'grant_type' is none of 'assume', 'cr-token' and 'apikey' of \
                      'urn:ibm:params:oauth:grant-type:'.";
const SCOPES: &str = "Property 'scope' has a scope that can't be given.";
const ONE_PROFILE: &str =
    "One of the properties 'profile_id', 'profile_crn' and 'profile_name' is needed.";

#[cfg(test)]
mod tests;
