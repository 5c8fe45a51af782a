//! One request, top to bottom: authorize, then forward or reject.
//!
//! Flows in: a request and its connection. Flows out: a response with the decision's id.
//! Decides nothing itself; the gate does.

mod gate;
mod head;
mod rejection;

pub use gate::{Admission, Circumstances, Gate, Refusal, View};
pub(crate) use gate::{client_address, origin};
pub(crate) use head::{check as check_head, correlation_id};
pub use rejection::Rejection;

use std::cell::RefCell;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, request};
use http_body_util::Full;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use uuid::Uuid;

use crate::clock::SystemClock;
use crate::event::log::{BLOCK_MAX, LogFull, Mark};
use crate::forward::{
    BodyError, ClientAddress, DECISION_HEADER, Errand, Forwarder, Protocol, UpstreamBody,
};
use crate::telemetry;
use crate::token::{JwksHandle, TokenError};
use crate::verdict::Outcome;

/// One worker's request handling. Belongs to a thread.
#[derive(Debug)]
pub struct Proxy {
    gate: RefCell<Gate>,
    forwarder: Forwarder,
    keys: JwksHandle,
}

/// What is known of a request's connection.
#[derive(Debug)]
pub struct Peer {
    /// The client's end.
    pub address: ClientAddress,
    /// How it reached us.
    pub protocol: Protocol,
}

/// A response's body: the upstream's, or our own few words.
#[derive(Debug)]
pub enum ResponseBody {
    /// Streamed from the upstream.
    Upstream(UpstreamBody),
    /// A problem's description.
    Problem(Full<Bytes>),
}

impl Proxy {
    /// Handles requests by this gate, forwarder and issuers' keys.
    pub fn new(gate: Gate, forwarder: Forwarder, keys: JwksHandle) -> Self {
        Self { gate: RefCell::new(gate), forwarder, keys }
    }

    /// The newest view of what decides; for limits of a new connection.
    pub fn view(&self) -> std::rc::Rc<View> {
        self.gate.borrow_mut().view()
    }

    /// Answers one request.
    pub async fn handle(&self, peer: &Peer, request: Request<Incoming>) -> Response<ResponseBody> {
        let started = SystemClock.tick();
        let (head, body) = request.into_parts();
        let (decision, admitted) = self.admit(peer, &head, started).await;
        let mut id = Uuid::encode_buffer();
        let id = decision.hyphenated().encode_lower(&mut id);
        let decision = HeaderValue::from_str(id).unwrap_or(HeaderValue::from_static(""));
        let mut response = match admitted {
            Ok(admission) => self
                .forward(admission, peer, &decision, head, body, started)
                .await
                .unwrap_or_else(|rejection| rejection.response(id).map(ResponseBody::Problem)),
            Err(Refusal { rejection, view, route }) => {
                let metrics = route.and_then(|route| view.routes.get(route));
                match metrics {
                    Some(metrics) => metrics.ended(rejection.outcome(), started.elapsed()),
                    None => telemetry::request_without_route(rejection.outcome()),
                }
                rejection.response(id).map(ResponseBody::Problem)
            }
        };
        response.headers_mut().insert(DECISION_HEADER, decision);
        response
    }

    /// Authorizes; where something must be waited for, once more after it may have come.
    async fn admit(
        &self,
        peer: &Peer,
        head: &request::Parts,
        started: Instant,
    ) -> (Uuid, Result<Admission, Refusal>) {
        let first = self.authorize(peer, head, started);
        let next = match &first.1 {
            Err(Refusal { rejection: Rejection::BadToken(error), .. }) => match error {
                TokenError::UnknownKey { issuer } => {
                    // Boxed: it is rare and large, and every request would carry room for it.
                    Box::pin(self.keys.wait_for_key(issuer)).await;
                    self.authorize(peer, head, SystemClock.tick())
                }
                _ => return first,
            },
            Ok(_) | Err(_) => first,
        };
        let next = match &next.1 {
            Err(Refusal { rejection: Rejection::LogFull(LogFull::Wait), .. }) => {
                Box::pin(self.admit_with_room(peer, head, started)).await
            }
            Ok(_) | Err(_) => next,
        };
        match self.mark() {
            None => next,
            Some(mark) => Box::pin(self.once_durable(mark, next)).await,
        }
    }

    /// Tries again until the log has room; the last refusal if it has none for too long.
    async fn admit_with_room(
        &self,
        peer: &Peer,
        head: &request::Parts,
        started: Instant,
    ) -> (Uuid, Result<Admission, Refusal>) {
        let waiter = self.gate.borrow().log_waiter();
        loop {
            waiter.room().await;
            let next = self.authorize(peer, head, SystemClock.tick());
            let is_full = matches!(
                &next.1,
                Err(Refusal { rejection: Rejection::LogFull(LogFull::Wait), .. })
            );
            if !is_full || BLOCK_MAX <= started.elapsed() {
                return next;
            }
        }
    }

    /// What the answer must wait for with `sync: always`.
    fn mark(&self) -> Option<Mark> {
        self.gate.borrow().mark()
    }

    /// Answers when the decision's events are on the disk; refuses if they don't get there.
    async fn once_durable(
        &self,
        mark: Mark,
        (decision, decided): (Uuid, Result<Admission, Refusal>),
    ) -> (Uuid, Result<Admission, Refusal>) {
        let waiter = self.gate.borrow().log_waiter();
        if waiter.durable(&mark).await {
            return (decision, decided);
        }
        let (view, route) = match decided {
            Ok(Admission { view, route, .. }) => (view, Some(route)),
            Err(Refusal { view, route, .. }) => (view, route),
        };
        let rejection = Rejection::LogFull(LogFull::Refuse);
        (decision, Err(Refusal { rejection, view, route }))
    }

    fn authorize(
        &self,
        peer: &Peer,
        head: &request::Parts,
        started: Instant,
    ) -> (Uuid, Result<Admission, Refusal>) {
        // INVARIANT: nothing in the gate waits, so the borrow is never held twice.
        let mut gate = self.gate.borrow_mut();
        let now = SystemClock.now();
        let decision = gate.decision_id(now);
        let protocol = peer.protocol;
        let circumstances = Circumstances { decision, peer: &peer.address, protocol, now, started };
        (decision, gate.authorize(head, &circumstances))
    }

    async fn forward(
        &self,
        admission: Admission,
        peer: &Peer,
        decision: &HeaderValue,
        head: request::Parts,
        body: Incoming,
        started: Instant,
    ) -> Result<Response<ResponseBody>, Rejection> {
        let Admission { permit, view, route, identity, client, decided } = admission;
        let Some(upstream) = view.route(route).map(|route| &route.upstream) else {
            return Err(Rejection::NoRoute);
        };
        let errand = Errand {
            upstream,
            edge: &view.snapshot().edge,
            identity_headers: &view.identity_headers,
            identity: identity.as_deref(),
            decision,
            client: &client,
            protocol: peer.protocol,
        };
        let answer = self.forwarder.forward(permit, &errand, head, body).await;
        let now = SystemClock.tick();
        let metrics = view.routes.get(route);
        let (outcome, answer) = match answer {
            Ok(response) => (Outcome::Forwarded, Ok(response.map(ResponseBody::Upstream))),
            Err(error) => {
                let rejection = Rejection::Upstream(error);
                (rejection.outcome(), Err(rejection))
            }
        };
        if let Some(metrics) = metrics {
            metrics.upstream_answered_in(now.duration_since(decided));
            metrics.ended(outcome, now.duration_since(started));
        }
        answer
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.get_mut() {
            Self::Upstream(body) => Pin::new(body).poll_frame(cx),
            Self::Problem(body) => Pin::new(body).poll_frame(cx).map_err(|never| match never {}),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Upstream(body) => body.is_end_stream(),
            Self::Problem(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Upstream(body) => body.size_hint(),
            Self::Problem(body) => body.size_hint(),
        }
    }
}
