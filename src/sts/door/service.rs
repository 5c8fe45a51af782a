//! One request at the token service, from top to bottom: what is asked for, decide, wait where events
//! or keys must be waited for, answer.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, request};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::{Body as _, Incoming};
use uuid::Uuid;

use crate::clock::SystemClock;
use crate::event::log::{BLOCK_MAX, LogFull};
use crate::forward::DECISION_HEADER;
use crate::proxy::{self, Peer};
use crate::sts::door::answer::{Answer, problem};
use crate::sts::door::call::{Attempt, Call, Refusal};
use crate::sts::door::desk::{Desk, Ended, Pace, Pause, Tries, Visit};
use crate::sts::door::dialect::Dialect;
use crate::sts::door::form::{Form, FormError};
use crate::sts::door::published::{self, JWKS_PATH, METADATA_PATH, TOKEN_PATH};
use crate::telemetry::{AssumeMetrics, AssumeResult};
use crate::token::JwksHandle;

/// The token service. Belongs to a thread.
pub(super) struct Service {
    desk: RefCell<Desk>,
    jwks: JwksHandle,
    metrics: AssumeMetrics,
}

/// What a path has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// A protocol.
    Door(Dialect),
    /// The keys.
    Jwks,
    /// The metadata.
    Metadata,
}

impl Service {
    pub(super) fn new(desk: Desk, jwks: JwksHandle) -> Self {
        Self { desk: RefCell::new(desk), jwks, metrics: AssumeMetrics::new() }
    }

    /// How long running requests may take once the end was asked for.
    pub(super) fn drain_timeout(&self) -> Duration {
        self.desk.borrow_mut().snapshot().edge.drain_timeout
    }

    /// Answers one request.
    pub(super) async fn answer(&self, peer: &Peer, request: Request<Incoming>) -> Answer {
        let id = self.desk.borrow_mut().next_id(SystemClock.now());
        let (head, body) = request.into_parts();
        let mut answer = self.respond(id, peer, &head, body).await;
        let headers = answer.headers_mut();
        if let Ok(id) = HeaderValue::from_str(&id.to_string()) {
            headers.insert(DECISION_HEADER, id);
        }
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
        answer
    }

    async fn respond(
        &self,
        id: Uuid,
        peer: &Peer,
        head: &request::Parts,
        body: Incoming,
    ) -> Answer {
        let snapshot = self.desk.borrow_mut().snapshot();
        if let Err(rejection) = proxy::check_head(head, snapshot.edge.limits.headers) {
            return rejection.response(&id.to_string());
        }
        let issuer = snapshot.sts.as_ref().map_or("", |rules| &rules.issuer);
        let Some(place) = place(head.uri.path(), issuer) else {
            return problem(StatusCode::NOT_FOUND, "not_found", "there is no such path", id);
        };
        if let Some(allow) = lacks_method(place, &head.method) {
            let detail = "the path has other methods";
            let status = StatusCode::METHOD_NOT_ALLOWED;
            let mut answer = problem(status, "method_not_allowed", detail, id);
            answer.headers_mut().insert(ALLOW, HeaderValue::from_static(allow));
            return answer;
        }
        match place {
            Place::Jwks => published::jwks(self.desk.borrow().jwks(), &head.headers),
            Place::Metadata => published::metadata(issuer),
            Place::Door(dialect) => {
                drop(snapshot);
                self.serve(dialect, id, peer, head, body).await
            }
        }
    }

    /// Reads what a door is asked, and answers it.
    async fn serve(
        &self,
        dialect: Dialect,
        id: Uuid,
        peer: &Peer,
        head: &request::Parts,
        body: Incoming,
    ) -> Answer {
        let form = match read_form(head, body).await {
            Ok(form) => form,
            Err(Unreadable { status, message }) => {
                let refusal = Refusal::Malformed(dialect.unreadable(status, message));
                let mut answer = dialect.refused(&refusal, None, id);
                // What is still sent of the body must not be read as the next request.
                answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
                return answer;
            }
        };
        let call = dialect.read(&form, &head.headers);
        drop(form);
        let asking = Asking { id, head, peer, dialect, arrived: SystemClock.tick() };
        match call {
            Call::Assume(attempt) => self.assume(&attempt, &asking).await,
            Call::Identify(token) => self.identify(token.as_deref(), &asking).await,
            Call::Refused(fault) => dialect.refused(&Refusal::Malformed(fault), None, id),
        }
    }

    async fn identify(&self, token: Option<&str>, asking: &Asking<'_>) -> Answer {
        let mut tries = Tries::default();
        loop {
            let identified = self.desk.borrow_mut().identify(token, &asking.visit(), &tries);
            match identified {
                Ok(answer) => return answer,
                Err(Pause::Key(issuer)) => {
                    self.jwks.wait_for_key(&issuer).await;
                    tries.waited_for_key = true;
                }
                // It records nothing.
                Err(Pause::Log(_)) => {
                    return asking.dialect.refused(&Refusal::Unavailable, None, asking.id);
                }
            }
        }
    }

    async fn assume(&self, attempt: &Attempt, asking: &Asking<'_>) -> Answer {
        // Others go on between two decisions, whatever one client sends.
        tokio::task::yield_now().await;
        let ended = self.decide(attempt, asking).await;
        let ended = match self.once_durable().await {
            Durable::Yes => ended,
            Durable::No => unavailable(attempt, asking),
        };
        self.metrics.ended(attempt.door, ended.result, asking.arrived.elapsed());
        match ended.pace {
            Pace::AtOnce => {}
            Pace::Even => {
                let floor = asking.arrived + REFUSAL_FLOOR;
                tokio::time::sleep_until(floor.into()).await;
            }
        }
        ended.answer
    }

    /// Decides; where something must be waited for, once more after it may have come.
    async fn decide(&self, attempt: &Attempt, asking: &Asking<'_>) -> Ended {
        let mut tries = Tries::default();
        loop {
            // INVARIANT: nothing at the desk waits, so the borrow is never held twice.
            let ended = self.desk.borrow_mut().attempt(attempt, &asking.visit(), &mut tries);
            match ended {
                Ok(ended) => return ended,
                Err(Pause::Key(issuer)) => {
                    self.jwks.wait_for_key(&issuer).await;
                    tries.waited_for_key = true;
                }
                Err(Pause::Log(LogFull::Wait)) if asking.arrived.elapsed() < BLOCK_MAX => {
                    let waiter = self.desk.borrow().log_waiter();
                    waiter.room().await;
                }
                Err(Pause::Log(LogFull::Wait | LogFull::Refuse)) => {
                    return unavailable(attempt, asking);
                }
            }
        }
    }

    /// With `sync: always` an answer waits for the disk.
    async fn once_durable(&self) -> Durable {
        let (mark, waiter) = {
            let desk = self.desk.borrow();
            (desk.mark(), desk.log_waiter())
        };
        match mark {
            None => Durable::Yes,
            Some(mark) if waiter.durable(&mark).await => Durable::Yes,
            Some(_) => Durable::No,
        }
    }
}

/// Whether an attempt's events are where they must be before it is answered.
enum Durable {
    Yes,
    No,
}

/// One request whose body was read.
struct Asking<'a> {
    id: Uuid,
    head: &'a request::Parts,
    peer: &'a Peer,
    dialect: Dialect,
    arrived: Instant,
}

impl Asking<'_> {
    fn visit(&self) -> Visit<'_> {
        let Self { id, head, peer, dialect, .. } = *self;
        Visit { id, head, peer, dialect, now: SystemClock.now() }
    }
}

/// A body that is no form.
struct Unreadable {
    status: StatusCode,
    message: &'static str,
}

async fn read_form(head: &request::Parts, body: Incoming) -> Result<Form, Unreadable> {
    let unreadable = |status, message| Err(Unreadable { status, message });
    if head.uri.query().is_some() {
        // Targets are logged on the way, and a parameter there could be missed here.
        return unreadable(StatusCode::BAD_REQUEST, "parameters belong into the body");
    }
    if !is_form(&head.headers) {
        let message = "the body must be application/x-www-form-urlencoded";
        return unreadable(StatusCode::UNSUPPORTED_MEDIA_TYPE, message);
    }
    let too_large = "the body is larger than 64 KiB";
    let limit = u64::try_from(BODY_BYTES_MAX).unwrap_or(u64::MAX);
    if limit < body.size_hint().lower() {
        return unreadable(StatusCode::PAYLOAD_TOO_LARGE, too_large);
    }
    let collected = Limited::new(body, BODY_BYTES_MAX).collect();
    match tokio::time::timeout(BODY_TIMEOUT, collected).await {
        Ok(Ok(body)) => parse(&body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            unreadable(StatusCode::PAYLOAD_TOO_LARGE, too_large)
        }
        Ok(Err(_)) => unreadable(StatusCode::BAD_REQUEST, "the body ended early"),
        Err(_) => unreadable(StatusCode::REQUEST_TIMEOUT, "the body took too long"),
    }
}

fn parse(body: &Bytes) -> Result<Form, Unreadable> {
    Form::parse(body).map_err(|error| Unreadable {
        status: StatusCode::BAD_REQUEST,
        message: match error {
            FormError::Encoding => "the body is not form-encoded UTF-8",
            FormError::TooMany => "the body has too many parameters",
        },
    })
}

/// Whether the body says that it is a form; its parameters, such as a charset, are passed over.
fn is_form(headers: &HeaderMap) -> bool {
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let (Some(value), None) = (types.next(), types.next()) else { return false };
    let essence = value.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default();
    essence.trim_ascii().eq_ignore_ascii_case(b"application/x-www-form-urlencoded")
}

/// What a path has. An issuer's path may stand before it, or after a well-known one.
fn place(path: &str, issuer: &str) -> Option<Place> {
    let prefix = published::issuer_path(issuer);
    if let Some(after) = path.strip_prefix(METADATA_PATH) {
        return (after.is_empty() || after == prefix).then_some(Place::Metadata);
    }
    let path = match path.strip_prefix(prefix) {
        Some("") => "/",
        Some(rest) if rest.starts_with('/') => rest,
        Some(_) | None => path,
    };
    match path {
        "/" => Some(Place::Door(Dialect::Aws)),
        "/identity/token" => Some(Place::Door(Dialect::Ibm)),
        TOKEN_PATH => Some(Place::Door(Dialect::OAuth)),
        JWKS_PATH => Some(Place::Jwks),
        METADATA_PATH => Some(Place::Metadata),
        _ => None,
    }
}

/// The methods of a place that has not this one.
fn lacks_method(place: Place, method: &Method) -> Option<&'static str> {
    match place {
        Place::Door(_) => (*method != Method::POST).then_some("POST"),
        Place::Jwks | Place::Metadata => {
            (!matches!(*method, Method::GET | Method::HEAD)).then_some("GET, HEAD")
        }
    }
}

/// Nothing was decided that counts: it could not be recorded.
fn unavailable(attempt: &Attempt, asking: &Asking<'_>) -> Ended {
    Ended {
        answer: asking.dialect.refused(&Refusal::Unavailable, Some(attempt.door), asking.id),
        result: AssumeResult::Unavailable,
        pace: Pace::AtOnce,
    }
}

/// A token of 16 KiB, a policy, tags, all percent-encoded.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// How long a body may take.
pub(super) const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// Refusals of the decision leave so long after their request was read. A decision takes a tenth of
/// a millisecond, the runtime's timers count whole ones; those that wait are no more than there are
/// connections.
const REFUSAL_FLOOR: Duration = Duration::from_millis(3);

#[cfg(test)]
mod tests;
