//! To the upstream and back: what a permit allows, and nothing else.
//!
//! Flows in: a permit, the request and its errand. Flows out: the upstream's response, streamed.
//! Decides nothing; forwarding without a permit does not compile.

mod body;
mod headers;
mod pool;

pub use body::{BodyError, RequestBody, UpstreamBody};
pub use headers::{
    ClientAddress, DECISION_HEADER, IdentityHeaders, Protocol, Trust, client_protocol,
    forwarded_chain,
};

use std::cell::Cell;
use std::error::Error as _;
use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use http::{HeaderValue, Request, Response, Uri, Version, request};
use hyper::body::{Body as _, Incoming};
use rustls::{ClientConfig, RootCertStore};
use tokio_rustls::TlsConnector;

use crate::alarm::Alarms;
use crate::decision::Permit;
use crate::forward::body::Progress;
use crate::forward::pool::{Lease, LeaseAge, Pool};
use crate::iam::Identity;
use crate::route::{EdgeRules, Upstream};

/// One worker's way to the upstreams. Belongs to a thread; cloning shares the connections.
#[derive(Clone)]
pub struct Forwarder {
    alarms: Rc<Alarms>,
    pool: Rc<Pool>,
    tls: TlsConnector,
    turn: Rc<Cell<usize>>,
}

/// What the upstream is told besides the request itself.
#[derive(Debug)]
pub struct Errand<'a> {
    /// Where to.
    pub upstream: &'a Upstream,
    /// The edge's rules.
    pub edge: &'a EdgeRules,
    /// The names of the identity headers.
    pub identity_headers: &'a IdentityHeaders,
    /// Who calls; `None` on a public route.
    pub identity: Option<&'a Identity>,
    /// The decision's id.
    pub decision: &'a HeaderValue,
    /// Whom the request came from.
    pub client: &'a ClientAddress,
    /// How the client reached us.
    pub protocol: Protocol,
}

/// Why the upstream gave no response.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UpstreamError {
    /// The client's body broke off, or was not HTTP.
    #[error("the request's body broke off or is malformed")]
    ClientBody,
    /// The client's body paused for too long.
    #[error("the client's body paused for too long")]
    ClientIdle,
    /// No connection was made.
    #[error("the upstream refused the connection")]
    Connect(#[source] std::io::Error),
    /// The connection was not made in time.
    #[error("the upstream did not take the connection in time")]
    ConnectTimeout,
    /// The connection broke, or the answer was not HTTP.
    #[error("the exchange with the upstream failed")]
    Exchange(#[source] hyper::Error),
    /// The upstream left HTTP, which no request asks for.
    #[error("the upstream switched protocols unasked")]
    Switched,
    /// The head of the response did not come in time.
    #[error("the upstream did not answer in time")]
    ResponseTimeout,
}

impl std::fmt::Debug for Forwarder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Forwarder").field("pool", &self.pool).finish_non_exhaustive()
    }
}

impl Forwarder {
    /// A forwarder without connections; its upkeep runs as a task of this thread's runtime.
    pub fn new(alarms: &Rc<Alarms>, tls: Arc<ClientConfig>) -> Self {
        let pool = Rc::new(Pool::default());
        tokio::task::spawn_local(Rc::clone(&pool).sweep());
        Self { alarms: Rc::clone(alarms), pool, tls: TlsConnector::from(tls), turn: Rc::default() }
    }

    /// Sends the request on and returns the head of the response; bodies stream both ways.
    ///
    /// # Errors
    /// The upstream can't be reached, fails, or is too slow. A request that an old connection
    /// turned out not to have taken is sent once more. One that an upstream may have seen is, once,
    /// only if it has a safe method and no body and the old connection closed without an answer.
    pub async fn forward(
        &self,
        permit: Permit,
        errand: &Errand<'_>,
        mut head: request::Parts,
        incoming: Incoming,
    ) -> Result<Response<UpstreamBody>, UpstreamError> {
        // The permit ends here: one permit, one request forwarded.
        let Permit { .. } = permit;
        headers::prepare_request(&mut head, errand, incoming.size_hint().exact());
        let sent = Rc::new(Progress::default());
        let idle_timeout = errand.edge.limits.body_idle_timeout;
        let body = RequestBody::new(incoming, &self.alarms, idle_timeout, Rc::clone(&sent));
        head.version = Version::HTTP_11;
        let request = Request::from_parts(head, body);

        let (response, lease) = self.exchange(errand.upstream, request, &sent).await?;
        if response.status().is_informational() {
            return Err(UpstreamError::Switched);
        }
        let (mut head, incoming) = response.into_parts();
        headers::prepare_response(&mut head);
        let body = UpstreamBody::new(incoming, &self.alarms, idle_timeout, lease);
        Ok(Response::from_parts(head, body))
    }

    async fn exchange(
        &self,
        upstream: &Upstream,
        mut request: Request<RequestBody>,
        sent: &Progress,
    ) -> Result<(Response<Incoming>, Lease), UpstreamError> {
        let mut first_turn = self.turn.get();
        self.turn.set(first_turn.wrapping_add(1));
        let mut refusals = 0;
        let mut reuse = Reuse::Kept;
        loop {
            let endpoint = endpoint(upstream, first_turn);
            let mut lease = match self.lease(upstream, endpoint, reuse).await {
                Ok(lease) => lease,
                Err(error) => {
                    refusals += 1;
                    if refusals >= upstream.endpoints.len() {
                        return Err(error);
                    }
                    first_turn = first_turn.wrapping_add(1);
                    continue;
                }
            };
            let spare = (lease.age == LeaseAge::Kept).then(|| self.spare(&request)).flatten();
            let answer = lease.sender.try_send_request(request);
            let mut error = match self.in_time(answer, upstream.response_timeout, sent).await? {
                Ok(response) => return Ok((response, lease)),
                Err(error) => error,
            };
            match (error.take_message(), lease.age, spare) {
                (Some(unsent), LeaseAge::Kept, _) => request = unsent,
                (None, _, Some(again)) if !error.error().is_parse() => {
                    request = again;
                    reuse = Reuse::Never;
                }
                (Some(_) | None, LeaseAge::New | LeaseAge::Kept, Some(_) | None) => {
                    return Err(exchange_error(error.into_error()));
                }
            }
        }
    }

    /// A second copy of a request that may be sent twice (RFC 9110 section 9.2.1): an upstream may
    /// close a kept connection just when the request is on its way.
    fn spare(&self, request: &Request<RequestBody>) -> Option<Request<RequestBody>> {
        if !request.method().is_safe() || !request.body().is_end_stream() {
            return None;
        }
        let mut again = Request::new(RequestBody::empty(&self.alarms));
        *again.method_mut() = request.method().clone();
        *again.uri_mut() = request.uri().clone();
        *again.version_mut() = request.version();
        *again.headers_mut() = request.headers().clone();
        Some(again)
    }

    async fn lease(
        &self,
        upstream: &Upstream,
        endpoint: &Uri,
        reuse: Reuse,
    ) -> Result<Lease, UpstreamError> {
        let kept = match reuse {
            Reuse::Kept => self.pool.kept(endpoint),
            Reuse::Never => None,
        };
        match kept {
            Some(lease) => Ok(lease),
            // Boxed: it is rare and large, and every request would carry room for it.
            None => {
                Box::pin(self.pool.connect(endpoint, &self.tls, upstream.connect_timeout)).await
            }
        }
    }

    /// The response's head in time; while the request's body flows, or the client has yet to send
    /// more of it, the time starts anew.
    async fn in_time<T>(
        &self,
        answer: impl Future<Output = T>,
        timeout: Duration,
        sent: &Progress,
    ) -> Result<T, UpstreamError> {
        let alarm = self.alarms.alarm();
        alarm.set(timeout);
        let mut frames = sent.frames();
        let mut answer = pin!(answer);
        std::future::poll_fn(|cx| {
            if let Poll::Ready(answer) = answer.as_mut().poll(cx) {
                return Poll::Ready(Ok(answer));
            }
            while alarm.poll(cx).is_ready() {
                if sent.frames() == frames && !sent.awaits_client() {
                    return Poll::Ready(Err(UpstreamError::ResponseTimeout));
                }
                frames = sent.frames();
                alarm.set(timeout);
            }
            Poll::Pending
        })
        .await
    }
}

/// Whether a kept connection will do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reuse {
    /// It will.
    Kept,
    /// Only a new one: a kept one has just failed.
    Never,
}

/// The endpoint whose turn it is; the configuration admits no upstream without one.
fn endpoint(upstream: &Upstream, turn: usize) -> &Uri {
    static NOWHERE: std::sync::LazyLock<Uri> = std::sync::LazyLock::new(Uri::default);
    turn.checked_rem(upstream.endpoints.len())
        .and_then(|index| upstream.endpoints.get(index))
        .unwrap_or(&NOWHERE)
}

fn exchange_error(error: hyper::Error) -> UpstreamError {
    match error.source().and_then(|source| source.downcast_ref::<BodyError>()) {
        Some(BodyError::Idle) => UpstreamError::ClientIdle,
        Some(BodyError::Broken(_)) => UpstreamError::ClientBody,
        None => UpstreamError::Exchange(error),
    }
}

/// TLS towards upstreams: the machine's root certificates.
///
/// # Panics
/// Never in a build that works: the provider has suites for the default versions.
pub fn client_tls() -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(found.certs);
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map(|builder| builder.with_root_certificates(roots).with_no_client_auth());
    #[expect(clippy::expect_used, reason = "a broken build of the TLS library, found at start")]
    Arc::new(builder.expect("the TLS provider supports the default protocol versions"))
}
