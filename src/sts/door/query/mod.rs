//! AWS STS by its query protocol, version 2011-06-15: parameters in a form, answers in XML.
//!
//! In: a form and the head's `Authorization`. Out: a call; and for what became of it the answer that
//! AWS's clients parse. Pure.

mod answer;
mod parameters;

use std::borrow::Cow;

use http::header::AUTHORIZATION;
use http::{HeaderMap, StatusCode};

use crate::event::Door;
use crate::sts::door::call::{Call, Fault};
use crate::sts::door::form::Form;

pub(super) use answer::{granted, identified, refused};

/// What a client may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    AssumeRole,
    AssumeRoleWithWebIdentity,
    GetCallerIdentity,
}

impl Action {
    fn parse(name: &str) -> Option<Self> {
        match name {
            "AssumeRole" => Some(Self::AssumeRole),
            "AssumeRoleWithWebIdentity" => Some(Self::AssumeRoleWithWebIdentity),
            "GetCallerIdentity" => Some(Self::GetCallerIdentity),
            _ => None,
        }
    }
}

/// Reads a request.
pub(super) fn read(form: &Form, headers: &HeaderMap) -> Call {
    let name = match form.one("Action") {
        Ok(Some(name)) => name,
        Ok(None) => return Call::Refused(fault("MissingAction", "the request has no Action")),
        Err(_) => return Call::Refused(invalid("Action comes more than once")),
    };
    match Action::parse(name) {
        None => Call::Refused(fault("InvalidAction", ACTIONS)),
        Some(Action::GetCallerIdentity) => match parameters::check_none(form) {
            Ok(()) => Call::Identify(bearer(headers)),
            Err(fault) => Call::Refused(fault),
        },
        Some(Action::AssumeRole) => {
            let mut attempt = parameters::read(form, Door::AwsQuery);
            attempt.token = bearer(headers);
            Call::Assume(Box::new(attempt))
        }
        Some(Action::AssumeRoleWithWebIdentity) => {
            Call::Assume(Box::new(parameters::read(form, Door::AwsWebIdentity)))
        }
    }
}

/// What is wrong with a request as HTTP.
pub(super) fn unreadable(status: StatusCode, message: &'static str) -> Fault {
    Fault { status, ..invalid(message) }
}

/// The bearer token; a signature by AWS's algorithm is none.
fn bearer(headers: &HeaderMap) -> Option<Box<str>> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().into())
}

fn invalid(message: impl Into<Cow<'static, str>>) -> Fault {
    fault("ValidationError", message)
}

fn fault(code: &'static str, message: impl Into<Cow<'static, str>>) -> Fault {
    Fault { status: StatusCode::BAD_REQUEST, code, message: message.into() }
}

const ACTIONS: &str = "the actions are AssumeRole, AssumeRoleWithWebIdentity, GetCallerIdentity";

#[cfg(test)]
mod tests;
