//! OAuth 2.0 token exchange (RFC 8693): parameters in a form, answers in JSON.
//!
//! In: a form. Out: a call; and for what became of it an answer by RFC 8693 or an error by RFC 6749
//! section 5.2. Parameters that the protocol does not know are passed over, as it asks for; those
//! without a value are none. Pure.

use std::borrow::Cow;
use std::fmt;

use http::StatusCode;
use http::header::{PRAGMA, RETRY_AFTER};
use http::{HeaderValue, header};
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::event::Door;
use crate::sts::assume::AssumeError;
use crate::sts::door::answer::{Answer, RETRY_AFTER_SECONDS, json};
use crate::sts::door::call::{
    Attempt, AttemptTarget, Call, Fault, Granted, Refusal, TokenType, seconds,
};
use crate::sts::door::form::Form;

/// Reads a request.
pub(super) fn read(form: &Form) -> Call {
    match form.one("grant_type") {
        Ok(Some(GRANT_TYPE)) => Call::Assume(Box::new(attempt(form))),
        Ok(Some("") | None) => Call::Refused(invalid("grant_type is missing")),
        Ok(Some(_)) => Call::Refused(fault("unsupported_grant_type", UNSUPPORTED)),
        Err(_) => Call::Refused(invalid("grant_type comes more than once")),
    }
}

fn attempt(form: &Form) -> Attempt {
    let mut attempt = Attempt::new(Door::TokenExchange);
    if form.repeats(&["audience", "resource"]) {
        attempt.blame(invalid("a parameter comes more than once"));
    }
    let mut resources = 0;
    for (name, value) in form.fields().filter(|(_, value)| !value.is_empty()) {
        resources += usize::from(name == "resource");
        if let Err(fault) = take(&mut attempt, name, value) {
            attempt.blame(fault);
        }
    }
    let value = |name| form.all(name).find(|value| !value.is_empty());
    if value("subject_token_type").is_none() {
        attempt.blame(invalid("subject_token_type is missing"));
    }
    match resources {
        0 => attempt.blame(invalid("resource is missing: the ARN of a role")),
        1 => {}
        _ => attempt.blame(fault("invalid_target", "a token is for one resource")),
    }
    attempt
}

fn take(attempt: &mut Attempt, name: &str, value: &str) -> Result<(), Fault> {
    let parameters = &mut attempt.parameters;
    match name {
        "subject_token" => attempt.token = Some(value.into()),
        "subject_token_type" => {
            token_type(value).ok_or(invalid("subject_token_type is not taken"))?;
        }
        "requested_token_type" => {
            attempt.token_type =
                token_type(value).ok_or(invalid("requested_token_type can't be given"))?;
        }
        "resource" => {
            attempt.target.get_or_insert(AttemptTarget::Role(value.into()));
        }
        "audience" => attempt.audiences.push(value.into()),
        "scope" => return Err(fault("invalid_scope", "sessions have no scopes")),
        "actor_token" | "actor_token_type" => {
            return Err(invalid("a session acts for nobody else: actor_token is not taken"));
        }
        "role_session_name" => parameters.session_name = Some(value.into()),
        "external_id" => parameters.external_id = Some(value.into()),
        "duration_seconds" => {
            let duration = seconds(value).ok_or(invalid("duration_seconds is no number"))?;
            parameters.duration_seconds = Some(duration);
        }
        "policy" => parameters.policy = Some(value.into()),
        "policy_arns" => {
            parameters.policy_arns = serde_json::from_str(value)
                .map_err(|_| invalid("policy_arns is no JSON array of strings"))?;
        }
        "tags" => {
            let Tags(tags) = serde_json::from_str(value)
                .map_err(|_| invalid("tags is no JSON object of strings"))?;
            parameters.tags = tags;
        }
        "transitive_tag_keys" => {
            parameters.transitive_tag_keys = serde_json::from_str(value)
                .map_err(|_| invalid("transitive_tag_keys is no JSON array of strings"))?;
        }
        "source_identity" => parameters.source_identity = Some(value.into()),
        _ => {}
    }
    Ok(())
}

/// The session that began.
pub(super) fn granted(granted: &Granted) -> Answer {
    /// RFC 8693 section 2.2.1.
    #[derive(Serialize)]
    struct Success<'a> {
        access_token: &'a str,
        issued_token_type: &'static str,
        token_type: &'static str,
        expires_in: u32,
    }
    let issued_token_type = match granted.token_type {
        TokenType::AccessToken => ACCESS_TOKEN_TYPE,
        TokenType::Jwt => JWT_TYPE,
    };
    answer(
        StatusCode::OK,
        &Success {
            access_token: &granted.token,
            issued_token_type,
            token_type: "Bearer",
            expires_in: granted.duration_seconds,
        },
    )
}

/// Nothing, and why.
pub(super) fn refused(refusal: &Refusal) -> Answer {
    /// RFC 6749 section 5.2.
    #[derive(Serialize)]
    struct Failure<'a> {
        error: &'a str,
        error_description: Cow<'a, str>,
    }
    let (status, error, description) = words(refusal);
    let description = in_our_names(description);
    let mut answer =
        answer(status, &Failure { error, error_description: description_text(&description) });
    if status == StatusCode::SERVICE_UNAVAILABLE {
        answer.headers_mut().insert(RETRY_AFTER, RETRY_AFTER_SECONDS);
    }
    answer
}

/// What is wrong with a request as HTTP.
pub(super) fn unreadable(status: StatusCode, message: &'static str) -> Fault {
    Fault { status, ..invalid(message) }
}

/// The token is asked for somebody whom it can't be for.
pub(super) fn foreign_audience() -> Fault {
    fault("invalid_target", "session tokens are not for this audience")
}

/// Status, error and description.
fn words(refusal: &Refusal) -> (StatusCode, &str, &str) {
    let bad = StatusCode::BAD_REQUEST;
    match refusal {
        Refusal::Assume(AssumeError::Denied) => (bad, "invalid_grant", "not authorized"),
        Refusal::Assume(
            AssumeError::Invalid(message)
            | AssumeError::MalformedPolicy(message)
            | AssumeError::PolicyTooLarge(message),
        ) => (bad, "invalid_request", message),
        Refusal::BadToken(error) => (bad, "invalid_request", error.description()),
        Refusal::Malformed(fault) => (fault.status, fault.code, &fault.message),
        Refusal::NoToken => (bad, "invalid_request", "subject_token is missing"),
        Refusal::Revoked => (bad, "invalid_request", "the session was ended"),
        Refusal::KeysUnavailable | Refusal::Unavailable => {
            (StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable", "try again")
        }
    }
}

/// A description with this protocol's name of the parameter that it begins with: the decision knows
/// AWS's names alone. What follows may be quoted from a policy, and stays.
fn in_our_names(description: &str) -> Cow<'_, str> {
    let renamed = NAMES.iter().find_map(|(theirs, ours)| {
        let rest = description.strip_prefix('`')?.strip_prefix(theirs)?.strip_prefix('`')?;
        Some(format!("`{ours}`{rest}"))
    });
    renamed.map_or(Cow::Borrowed(description), Cow::Owned)
}

/// A description has printable ASCII alone, without quotes and backslashes.
fn description_text(text: &str) -> Cow<'_, str> {
    let is_allowed = |letter: char| matches!(letter, ' '..='~') && !matches!(letter, '"' | '\\');
    if text.chars().all(is_allowed) {
        return Cow::Borrowed(text);
    }
    text.chars().map(|letter| if is_allowed(letter) { letter } else { '\'' }).collect()
}

fn answer(status: StatusCode, body: &impl Serialize) -> Answer {
    let mut answer = json(status, body);
    let headers = answer.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(PRAGMA, HeaderValue::from_static("no-cache"));
    answer
}

fn token_type(name: &str) -> Option<TokenType> {
    match name {
        ACCESS_TOKEN_TYPE => Some(TokenType::AccessToken),
        JWT_TYPE => Some(TokenType::Jwt),
        _ => None,
    }
}

fn invalid(message: &'static str) -> Fault {
    fault("invalid_request", message)
}

fn fault(code: &'static str, message: &'static str) -> Fault {
    Fault { status: StatusCode::BAD_REQUEST, code, message: message.into() }
}

/// A JSON object of strings, with repeated members: two tags of one key are no tags.
struct Tags(Vec<(Box<str>, Box<str>)>);

impl<'de> Deserialize<'de> for Tags {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Tags;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of strings")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Tags, A::Error> {
                let mut tags = Vec::new();
                while let Some(tag) = members.next_entry()? {
                    tags.push(tag);
                }
                Ok(Tags(tags))
            }
        }
        deserializer.deserialize_map(Members)
    }
}

/// RFC 8693 section 2.1.
pub(super) const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";

/// RFC 8693 section 3.
const ACCESS_TOKEN_TYPE: &str = "urn:ietf:params:oauth:token-type:access_token";
const JWT_TYPE: &str = "urn:ietf:params:oauth:token-type:jwt";

/// Parameters as AWS calls them, and as they are called here.
const NAMES: [(&str, &str); 8] = [
    ("DurationSeconds", "duration_seconds"),
    ("ExternalId", "external_id"),
    ("Policy", "policy"),
    ("PolicyArns", "policy_arns"),
    ("RoleSessionName", "role_session_name"),
    ("SourceIdentity", "source_identity"),
    ("Tags", "tags"),
    ("TransitiveTagKeys", "transitive_tag_keys"),
];

const UNSUPPORTED: &str = "the grant type is urn:ietf:params:oauth:grant-type:token-exchange";

#[cfg(test)]
mod tests;
