//! The sessions that were ended, and how operators end more.
//!
//! Flows in: JSON, one revocation a request. Flows out: what is in force. The document's form is
//! `sts::revocation`'s.

use std::net::IpAddr;
use std::sync::Arc;

use http::header::{CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderValue, Request, StatusCode};
use hyper::body::Incoming;
use serde::Serialize;
use uuid::Uuid;

use super::AdminState;
use super::answer::{Answer, json, problem, whole};
use crate::clock::SystemClock;
use crate::event::time::rfc3339;
use crate::settings::Actor;
use crate::sts::revocation::{over_at, read_request};
use crate::sts::{Revocation, Revocations, RevocationsError};

/// The path of this file.
pub(super) const PATH: &str = "/v1/sts/revocations";

/// All that is in force.
#[derive(Serialize)]
struct List {
    revision: u64,
    roles: Vec<RoleDocument>,
    sessions: Vec<SessionDocument>,
}

#[derive(Serialize)]
struct RoleDocument {
    role: Box<str>,
    before: String,
}

#[derive(Serialize)]
struct SessionDocument {
    session: String,
    /// From when on it is over in any case.
    until: String,
}

/// Lists what is in force.
pub(super) async fn get(state: &AdminState) -> Answer {
    let reader = state.reader.clone();
    // A hundred thousand sessions take a while to sort and write; others are served meanwhile.
    let listed = tokio::task::spawn_blocking(move || {
        let snapshot = reader.load();
        let all = &snapshot.revocations;
        json(
            StatusCode::OK,
            &List {
                revision: snapshot.revision,
                roles: all.roles().into_iter().map(|it| role(&it.role, all)).collect(),
                sessions: all.sessions().into_iter().map(session).collect(),
            },
        )
    });
    listed.await.unwrap_or_else(|_| failed(&RevocationsError::Interrupted))
}

/// Ends sessions, and tells what is in force for them.
pub(super) async fn post(
    state: &AdminState,
    address: IpAddr,
    id: &'static str,
    request: Request<Incoming>,
) -> Answer {
    let (head, body) = request.into_parts();
    if !is_json(&head.headers) {
        let message = "`Content-Type` is `application/json`";
        return problem(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", message);
    }
    let body = match whole(body, BODY_BYTES_MAX).await {
        Ok(body) => body,
        Err(refusal) => return refusal,
    };
    let Ok(text) = std::str::from_utf8(&body) else {
        return problem(StatusCode::BAD_REQUEST, "invalid_body", "the body is not UTF-8");
    };
    let revocation = match read_request(text, SystemClock.now()) {
        Ok(revocation) => revocation,
        Err(error) => {
            return problem(StatusCode::BAD_REQUEST, "invalid_body", &error.to_string());
        }
    };
    let agent = head.headers.get(USER_AGENT).map(HeaderValue::as_bytes).unwrap_or_default();
    let agent = String::from_utf8_lossy(agent).into_owned();
    let actor = Actor { id, address: address.to_canonical(), agent };
    match state.revocations.revoke(revocation.clone(), actor).await {
        Ok(all) => in_force(&revocation, &all),
        Err(error @ RevocationsError::NoFile) => {
            problem(StatusCode::CONFLICT, "revocations_read_only", &error.to_string())
        }
        Err(error @ RevocationsError::Full(_)) => {
            problem(StatusCode::INSUFFICIENT_STORAGE, "revocations_full", &error.to_string())
        }
        Err(error) => failed(&error),
    }
}

fn in_force(revocation: &Revocation, all: &Arc<Revocations>) -> Answer {
    match revocation {
        Revocation::Role(asked) => json(StatusCode::OK, &role(&asked.role, all)),
        Revocation::Session(id) => json(StatusCode::OK, &session(*id)),
    }
}

fn role(role: &str, all: &Revocations) -> RoleDocument {
    RoleDocument { role: role.into(), before: all.before(role).map(rfc3339).unwrap_or_default() }
}

fn session(id: Uuid) -> SessionDocument {
    SessionDocument { session: id.to_string(), until: rfc3339(over_at(id)) }
}

/// A web page's form can't send this type without asking first.
fn is_json(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return false };
    let text = value.to_str().unwrap_or_default();
    let essence = text.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
}

fn failed(error: &RevocationsError) -> Answer {
    tracing::error!(%error, "no session was ended");
    let message = format!("no session was ended: {error}");
    problem(StatusCode::INTERNAL_SERVER_ERROR, "revocations_not_written", &message)
}

/// The longest ARN of a role with all of its characters escaped, and room.
const BODY_BYTES_MAX: usize = 16 << 10;
