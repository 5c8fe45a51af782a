//! Every refusal's status, code and words: only here.
//!
//! The words name no policy, no allowlist and no claim: who is refused learns only that.

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::Full;
use serde::Serialize;

use crate::event::log::LogFull;
use crate::forward::UpstreamError;
use crate::route::{PathError, QuestionError};
use crate::token::TokenError;
use crate::verdict::{Layer, Outcome};

/// Why a request was not forwarded, or its forwarding failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Rejection {
    /// The request says two things at once, or nothing that can be decided.
    #[error("{0}")]
    Ambiguous(&'static str),
    /// The token is not accepted.
    #[error("the token is not accepted: {0}")]
    BadToken(TokenError),
    /// An enforced layer denies it.
    #[error("denied")]
    Denied(Layer),
    /// The head has too many fields.
    #[error("the request has too many header fields")]
    HeadersTooMany,
    /// The issuer's keys were never loaded.
    #[error("the issuer's keys are not available yet")]
    KeysUnavailable,
    /// The event log can take no more, and the decision must not go unrecorded.
    #[error("the decision can't be recorded")]
    LogFull(LogFull),
    /// No route takes this path and method.
    #[error("no route takes this path and method")]
    NoRoute,
    /// The request has no bearer token.
    #[error("the request has no bearer token")]
    NoToken,
    /// The connections are used up.
    #[error("the proxy has too many connections")]
    Overloaded,
    /// The path could be read in two ways.
    #[error(transparent)]
    Path(#[from] PathError),
    /// The question can't be filled from the request.
    #[error(transparent)]
    Question(#[from] QuestionError),
    /// The upstream gave no response.
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
}

/// RFC 9457.
#[derive(Serialize)]
struct Problem<'a> {
    r#type: &'static str,
    title: &'static str,
    status: u16,
    detail: &'a str,
    code: &'static str,
    decision: &'a str,
}

impl Rejection {
    /// What became of the request.
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::Ambiguous(_)
            | Self::Path(_)
            | Self::Question(_)
            | Self::Upstream(UpstreamError::ClientBody) => Outcome::BadRequest,
            Self::BadToken(_) | Self::NoToken => Outcome::Unauthenticated,
            Self::Denied(Layer::Perimeter) => Outcome::ExternalAccountDenied,
            Self::Denied(Layer::Policy) => Outcome::PolicyDenied,
            Self::HeadersTooMany => Outcome::HeadersTooLarge,
            Self::KeysUnavailable => Outcome::KeysUnavailable,
            Self::LogFull(_) => Outcome::EventLogFull,
            Self::NoRoute => Outcome::NoRoute,
            Self::Overloaded => Outcome::Overloaded,
            Self::Upstream(UpstreamError::ClientIdle) => Outcome::ClientTimeout,
            Self::Upstream(UpstreamError::ResponseTimeout) => Outcome::UpstreamTimeout,
            Self::Upstream(
                UpstreamError::Connect(_)
                | UpstreamError::ConnectTimeout
                | UpstreamError::Exchange(_)
                | UpstreamError::Switched,
            ) => Outcome::UpstreamError,
        }
    }

    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        match self.outcome() {
            // A forwarded request has the upstream's status; no rejection gets here.
            Outcome::Forwarded => StatusCode::INTERNAL_SERVER_ERROR,
            Outcome::Unauthenticated => StatusCode::UNAUTHORIZED,
            Outcome::ExternalAccountDenied | Outcome::PolicyDenied => StatusCode::FORBIDDEN,
            Outcome::NoRoute => StatusCode::NOT_FOUND,
            Outcome::BadRequest => StatusCode::BAD_REQUEST,
            Outcome::HeadersTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Outcome::EventLogFull | Outcome::KeysUnavailable | Outcome::Overloaded => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Outcome::ClientTimeout => StatusCode::REQUEST_TIMEOUT,
            Outcome::UpstreamError => StatusCode::BAD_GATEWAY,
            Outcome::UpstreamTimeout => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    /// The answer to the client.
    pub fn response(&self, decision: &str) -> Response<Full<Bytes>> {
        let status = self.status();
        let detail = match self {
            Self::BadToken(error) => error.description().to_owned(),
            Self::Denied(Layer::Perimeter) => {
                "identities of this account may not use the resource".to_owned()
            }
            Self::Denied(Layer::Policy) => "the action on the resource is not allowed".to_owned(),
            other => other.to_string(),
        };
        let problem = Problem {
            r#type: "about:blank",
            title: status.canonical_reason().unwrap_or_default(),
            status: status.as_u16(),
            detail: &detail,
            code: self.outcome().as_str(),
            decision,
        };
        let body = serde_json::to_vec(&problem).unwrap_or_default();
        let mut response = Response::new(Full::from(body));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        match self {
            Self::NoToken => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(CHALLENGE));
            }
            Self::BadToken(_) => {
                let challenge =
                    format!(r#"{CHALLENGE}, error="invalid_token", error_description="{detail}""#);
                if let Ok(value) = HeaderValue::try_from(challenge) {
                    headers.insert(WWW_AUTHENTICATE, value);
                }
            }
            Self::KeysUnavailable | Self::LogFull(_) => {
                headers.insert(RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_SECONDS));
            }
            Self::Overloaded => {
                headers.insert(RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_SECONDS));
                headers.insert(CONNECTION, HeaderValue::from_static("close"));
            }
            // What a client still sends of such a request must not be read as the next one.
            Self::Ambiguous(_) | Self::Upstream(UpstreamError::ClientBody) => {
                headers.insert(CONNECTION, HeaderValue::from_static("close"));
            }
            _ => {}
        }
        response
    }
}

/// RFC 6750 section 3.
const CHALLENGE: &str = r#"Bearer realm="crossgate""#;

/// Keys, connections and room come back within seconds or not at all.
const RETRY_AFTER_SECONDS: &str = "1";
