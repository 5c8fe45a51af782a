//! The settings API, wire-compatible with IBM Cloud's IAM Policy Management API.
//!
//! Flows in: JSON in that API's words (`enabled`, `monitor`, `limited`). Flows out: the same. Those
//! words are known nowhere else.

use std::net::IpAddr;

use http::header::{ETAG, IF_MATCH, USER_AGENT};
use http::{HeaderMap, HeaderValue, Request, StatusCode};
use hyper::body::Incoming;

use super::AdminState;
use super::answer::{Answer, json, problem, whole};
use crate::iam::AccountId;
use crate::settings::{Actor, IfMatch, SettingsError, UpdateError, Updated};

mod wire;

/// The account segment of a settings path, as it is written.
pub(super) fn account_of(path: &str) -> Option<&str> {
    let account = path.strip_prefix("/v1/accounts/")?.strip_suffix(SETTINGS_PATH)?;
    (!account.contains('/')).then_some(account)
}

pub(super) async fn get(state: &AdminState, account: &str) -> Answer {
    match AccountId::parse(account) {
        Ok(account) => {
            let settings = state.settings.clone();
            answered(move || shown(&settings.read(account))).await
        }
        Err(error) => bad_request(&format!("`account_id`: {error}")),
    }
}

pub(super) async fn patch(
    state: &AdminState,
    account: &str,
    address: IpAddr,
    id: &'static str,
    request: Request<Incoming>,
) -> Answer {
    let account = match AccountId::parse(account) {
        Ok(account) => account,
        Err(error) => return bad_request(&format!("`account_id`: {error}")),
    };
    let (head, body) = request.into_parts();
    let Some(if_match) = if_match(&head.headers) else {
        let message = "`If-Match` is needed, with the `ETag` of a GET";
        return problem(StatusCode::PRECONDITION_REQUIRED, "precondition_required", message);
    };
    let body = match whole(body, BODY_BYTES_MAX).await {
        Ok(body) => body,
        Err(refusal) => return refusal,
    };
    // A body of a million accounts takes a while; others are served meanwhile.
    let read = tokio::task::spawn_blocking(move || wire::read_patch(&body)).await;
    let patch = match read {
        Ok(Ok(patch)) => patch,
        Ok(Err(error)) => return bad_request(&error),
        Err(_) => return failed(&SettingsError::Interrupted),
    };
    let agent = head.headers.get(USER_AGENT).map(HeaderValue::as_bytes).unwrap_or_default();
    let agent = String::from_utf8_lossy(agent).into_owned();
    let actor = Actor { id, address: address.to_canonical(), agent };
    match state.settings.update_account(account, patch, if_match, actor).await {
        Ok(updated) => answered(move || shown(&updated)).await,
        Err(UpdateError::Stale) => {
            let message = "`If-Match` is not the current `ETag`: the setting has changed";
            problem(StatusCode::PRECONDITION_FAILED, "precondition_failed", message)
        }
        Err(error @ UpdateError::NoFile) => {
            problem(StatusCode::CONFLICT, "settings_read_only", &error.to_string())
        }
        Err(UpdateError::Settings(error)) => failed(&error),
    }
}

/// A setting of a million accounts takes a while to write; others are served meanwhile.
async fn answered(write: impl FnOnce() -> Answer + Send + 'static) -> Answer {
    let written = tokio::task::spawn_blocking(write).await;
    written.unwrap_or_else(|_| failed(&SettingsError::Interrupted))
}

fn shown(updated: &Updated) -> Answer {
    let mut answer = json(StatusCode::OK, &wire::document(&updated.setting));
    if let Ok(etag) = HeaderValue::from_str(&updated.etag.to_string()) {
        answer.headers_mut().insert(ETAG, etag);
    }
    answer
}

fn if_match(headers: &HeaderMap) -> Option<IfMatch> {
    let values: Vec<&str> =
        headers.get_all(IF_MATCH).iter().filter_map(|value| value.to_str().ok()).collect();
    let joined = values.join(",");
    (!joined.trim().is_empty()).then(|| IfMatch::parse(&joined))
}

fn bad_request(message: &str) -> Answer {
    problem(StatusCode::BAD_REQUEST, "invalid_body", message)
}

fn failed(error: &SettingsError) -> Answer {
    tracing::error!(%error, "settings not changed");
    let message = format!("the setting has not changed: {error}");
    problem(StatusCode::INTERNAL_SERVER_ERROR, "settings_not_written", &message)
}

const SETTINGS_PATH: &str = "/settings/access_management";

/// One list of 1,000,000 accounts of 64 characters, and room.
const BODY_BYTES_MAX: usize = 128 << 20;
