//! The admin listener's answers, and the bodies of its requests.

use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderName};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use serde::Serialize;
use uuid::Uuid;

/// A whole answer.
pub(super) type Answer = Response<Full<Bytes>>;

/// The error body of the API that this listener is compatible with.
#[derive(Serialize)]
struct Problem<'a> {
    trace: String,
    errors: [ProblemError<'a>; 1],
    status_code: u16,
}

#[derive(Serialize)]
struct ProblemError<'a> {
    code: &'a str,
    message: &'a str,
}

/// An answer of some type of content.
pub(super) fn answer(status: StatusCode, content_type: &'static str, body: String) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(body)));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

/// An answer in JSON.
pub(super) fn json(status: StatusCode, body: &impl Serialize) -> Answer {
    match serde_json::to_string(body) {
        Ok(text) => answer(status, "application/json", text),
        Err(_) => answer(StatusCode::INTERNAL_SERVER_ERROR, "text/plain", String::new()),
    }
}

/// An error's answer, with a trace id that is in the log too.
pub(super) fn problem(status: StatusCode, code: &str, message: &str) -> Answer {
    let trace = Uuid::now_v7().simple().to_string();
    tracing::debug!(%trace, %status, code, message, "admin request refused");
    let transaction = HeaderValue::from_str(&trace);
    let errors = [ProblemError { code, message }];
    let mut answer = json(status, &Problem { trace, errors, status_code: status.as_u16() });
    if let Ok(value) = transaction {
        answer.headers_mut().insert(HeaderName::from_static("transaction-id"), value);
    }
    answer
}

/// 405 with the methods that the path has.
pub(super) fn method_not_allowed(allow: &'static str) -> Answer {
    let message = "the path has other methods";
    let mut answer = problem(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message);
    answer.headers_mut().insert(ALLOW, HeaderValue::from_static(allow));
    answer
}

/// The whole body of a request, or the answer that refuses it.
pub(super) async fn whole(body: Incoming, bytes_max: usize) -> Result<Bytes, Answer> {
    let read = Limited::new(body, bytes_max).collect();
    match tokio::time::timeout(BODY_TIMEOUT, read).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            let message = format!("the body is longer than {bytes_max} bytes");
            Err(problem(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", &message))
        }
        Ok(Err(_)) => Err(problem(StatusCode::BAD_REQUEST, "invalid_body", "the body ends early")),
        Err(_) => {
            let message = "the body takes too long";
            Err(problem(StatusCode::REQUEST_TIMEOUT, "timeout", message))
        }
    }
}

const BODY_TIMEOUT: Duration = Duration::from_mins(1);
