//! Whole answers, and what all of them have.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response, StatusCode};
use http_body_util::Full;
use serde::Serialize;
use uuid::Uuid;

/// A whole answer.
pub(super) type Answer = Response<Full<Bytes>>;

/// RFC 9457.
#[derive(Serialize)]
struct Problem<'a> {
    r#type: &'static str,
    title: &'static str,
    status: u16,
    detail: &'a str,
    code: &'static str,
    decision: String,
}

/// An answer with this body.
pub(super) fn whole(status: StatusCode, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    answer
}

/// An answer in JSON.
pub(super) fn json(status: StatusCode, body: &impl Serialize) -> Answer {
    let mut answer = whole(status, serde_json::to_vec(body).unwrap_or_default());
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}

/// What no protocol of this listener has a word for.
pub(super) fn problem(status: StatusCode, code: &'static str, detail: &str, id: Uuid) -> Answer {
    let title = status.canonical_reason().unwrap_or_default();
    let (status_number, decision) = (status.as_u16(), id.to_string());
    let problem =
        Problem { r#type: "about:blank", title, status: status_number, detail, code, decision };
    let mut answer = json(status, &problem);
    let content_type = HeaderValue::from_static("application/problem+json");
    answer.headers_mut().insert(CONTENT_TYPE, content_type);
    answer
}

/// Keys and room come back within seconds or not at all.
pub(super) const RETRY_AFTER_SECONDS: HeaderValue = HeaderValue::from_static("1");
