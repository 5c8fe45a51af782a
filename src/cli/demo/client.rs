//! The callers' and the operator's HTTP client. In: requests. Out: whole answers.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, ETAG, IF_MATCH, USER_AGENT};
use http::request::Builder;
use http::{HeaderMap, Method, Request};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::client::legacy::Client as Pool;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

/// Talks HTTP over loopback, with kept connections.
#[derive(Clone, Debug)]
pub(super) struct Client {
    pool: Pool<HttpConnector, Full<Bytes>>,
}

/// A whole answer.
#[derive(Clone, Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    /// The body's text; empty if it is none.
    pub(super) text: String,
    /// `Null` if the body is no JSON.
    pub(super) body: Value,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(super) enum AskError {
    /// The body broke off or was too large.
    #[error("the answer can't be read: {0}")]
    Body(String),
    /// The request can't be written as HTTP.
    #[error("not a request: {0}")]
    Request(#[from] http::Error),
    /// Nothing came in time.
    #[error("no answer within {} s", ANSWER_TIMEOUT.as_secs())]
    Timeout,
    /// The connection failed.
    #[error("no answer: {0}")]
    Transport(#[from] hyper_util::client::legacy::Error),
}

impl Client {
    pub(super) fn new() -> Self {
        Self { pool: Pool::builder(TokioExecutor::new()).build_http() }
    }

    /// Gets a path, with a token or without.
    pub(super) async fn get(
        &self,
        at: SocketAddr,
        path: &str,
        token: Option<&str>,
    ) -> Result<Reply, AskError> {
        self.send(&Method::GET, at, path, token).await
    }

    /// Asks with a method and no body, with a token or without.
    pub(super) async fn send(
        &self,
        method: &Method,
        at: SocketAddr,
        path: &str,
        token: Option<&str>,
    ) -> Result<Reply, AskError> {
        let request = request(method, at, path, token);
        self.ask(request.body(Full::default())?).await
    }

    /// Posts a form with a bearer token.
    pub(super) async fn post_form(
        &self,
        at: SocketAddr,
        path: &str,
        token: &str,
        fields: &[(&str, &str)],
    ) -> Result<Reply, AskError> {
        let encoded = |text| utf8_percent_encode(text, NON_ALPHANUMERIC);
        let fields = fields.iter();
        let fields: Vec<_> =
            fields.map(|(name, value)| format!("{}={}", encoded(name), encoded(value))).collect();
        let request = request(&Method::POST, at, path, Some(token))
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Full::new(Bytes::from(fields.join("&"))))?;
        self.ask(request).await
    }

    /// Posts a document.
    pub(super) async fn post(
        &self,
        at: SocketAddr,
        path: &str,
        body: &Value,
    ) -> Result<Reply, AskError> {
        let request = request(&Method::POST, at, path, None)
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(body.to_string())))?;
        self.ask(request).await
    }

    /// Changes what has this tag.
    pub(super) async fn patch(
        &self,
        at: SocketAddr,
        path: &str,
        etag: &str,
        body: &Value,
    ) -> Result<Reply, AskError> {
        let request = request(&Method::PATCH, at, path, None)
            .header(CONTENT_TYPE, "application/json")
            .header(IF_MATCH, etag)
            .body(Full::new(Bytes::from(body.to_string())))?;
        self.ask(request).await
    }

    async fn ask(&self, request: Request<Full<Bytes>>) -> Result<Reply, AskError> {
        let whole = async {
            let (head, body) = self.pool.request(request).await?.into_parts();
            let body = Limited::new(body, BODY_BYTES_MAX).collect().await;
            let body = body.map_err(|error| AskError::Body(error.to_string()))?.to_bytes();
            Ok(Reply {
                status: head.status.as_u16(),
                headers: head.headers,
                text: String::from_utf8(body.to_vec()).unwrap_or_default(),
                body: serde_json::from_slice(&body).unwrap_or_default(),
            })
        };
        tokio::time::timeout(ANSWER_TIMEOUT, whole).await.map_err(|_| AskError::Timeout)?
    }
}

fn request(method: &Method, at: SocketAddr, path: &str, token: Option<&str>) -> Builder {
    let request = Request::builder()
        .method(method)
        .uri(format!("http://{at}{path}"))
        .header(USER_AGENT, AGENT);
    match token {
        None => request,
        Some(token) => request.header(AUTHORIZATION, format!("Bearer {token}")),
    }
}

impl Reply {
    /// A header's text; empty if there is none.
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The tag of what was answered.
    pub(super) fn etag(&self) -> &str {
        self.header(ETAG.as_str())
    }
}

const AGENT: &str = "crossgate-demo";
/// Loopback answers in a millisecond; a machine in trouble should still end.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// The demo's own answers have some hundred bytes; metrics have a hundred thousand.
const BODY_BYTES_MAX: usize = 1024 * 1024;
