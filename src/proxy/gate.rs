//! The decision about one request, from head to permit, in one synchronous step.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use arc_swap::{ArcSwap, Cache};
use http::header::{REFERER, USER_AGENT};
use http::{HeaderMap, HeaderName, request};
use uuid::Uuid;

use crate::clock::{SystemClock, UnixMillis};
use crate::decision::{self, Evaluation, Permit, PolicyVerdict};
use crate::event::frame::STATEMENTS_MAX;
use crate::event::log::{EventAppender, LogFull, LogWaiter, Mark};
use crate::event::{DecidedBy, EvalEvent, EventIds, PolicyInput, StatementNote};
use crate::forward::{ClientAddress, IdentityHeaders, Protocol, client_protocol, forwarded_chain};
use crate::iam::{AuthzRequest, Identity, RequestOrigin, Transport};
use crate::policy::{Effect, PolicyAnswer};
use crate::proxy::{Rejection, head};
use crate::route::{self, QuestionBuffer, Route};
use crate::snapshot::{Snapshot, SnapshotReader};
use crate::telemetry::{DecisionMetrics, RouteMetrics};
use crate::token::{TokenError, WorkerVerifier};
use crate::verdict::{Layer, Standing, Verdict};

/// One worker's decider. Belongs to a thread; nothing in it waits.
#[derive(Debug)]
pub struct Gate {
    snapshots: Cache<Arc<ArcSwap<Snapshot>>, Arc<Snapshot>>,
    view: Rc<View>,
    verifier: WorkerVerifier,
    recorder: Recorder,
    question: QuestionBuffer,
}

/// What records decisions: the event queue and the metrics.
#[derive(Debug)]
struct Recorder {
    events: EventAppender,
    ids: EventIds,
    metrics: DecisionMetrics,
}

/// What a decision needs besides the head of the request.
#[derive(Clone, Copy, Debug)]
pub struct Circumstances<'a> {
    /// The decision's id, for the answer and the events.
    pub decision: Uuid,
    /// The client's end of the connection.
    pub peer: &'a ClientAddress,
    /// How the peer reached us.
    pub protocol: Protocol,
    /// The time by which the token must be valid.
    pub now: UnixMillis,
    /// When the decision began.
    pub started: Instant,
}

/// A snapshot with what a worker derives from it once.
#[derive(Debug)]
pub struct View {
    snapshot: Arc<Snapshot>,
    /// The names of the identity headers.
    pub identity_headers: IdentityHeaders,
    /// Metrics by route, in the order of the route table.
    pub routes: Rc<[RouteMetrics]>,
}

/// A request that may be forwarded, and what forwarding needs to know.
#[derive(Debug)]
pub struct Admission {
    /// Proof of the decision.
    pub permit: Permit,
    /// What it was decided by.
    pub view: Rc<View>,
    /// The route's position.
    pub route: usize,
    /// Who calls; `None` on a public route.
    pub identity: Option<Arc<Identity>>,
    /// Whom the request came from.
    pub client: ClientAddress,
    /// When the decision was made.
    pub decided: Instant,
}

/// A refusal, and the route that it happened on.
#[derive(Debug)]
pub struct Refusal {
    /// Why.
    pub rejection: Rejection,
    /// What it was decided by.
    pub view: Rc<View>,
    /// The route's position, once known.
    pub route: Option<usize>,
}

impl View {
    /// The snapshot that this is a view of.
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// The route at a position.
    pub fn route(&self, index: usize) -> Option<&Route> {
        self.snapshot.routes.routes().get(index)
    }

    fn new(snapshot: Arc<Snapshot>, last: Option<&View>) -> Self {
        let routes = match last {
            Some(last) if Arc::ptr_eq(&last.snapshot.routes, &snapshot.routes) => {
                Rc::clone(&last.routes)
            }
            Some(_) | None => route_metrics(&snapshot),
        };
        let identity_headers = IdentityHeaders::new(&snapshot.edge.identity_header_prefix)
            .unwrap_or_else(IdentityHeaders::standard);
        Self { snapshot, identity_headers, routes }
    }
}

impl Gate {
    /// A gate for one worker.
    pub fn new(
        snapshots: &SnapshotReader,
        verifier: WorkerVerifier,
        events: EventAppender,
    ) -> Self {
        let recorder = Recorder { events, ids: EventIds::new(), metrics: DecisionMetrics::new() };
        Self {
            view: Rc::new(View::new(snapshots.load(), None)),
            snapshots: snapshots.cached(),
            verifier,
            recorder,
            question: QuestionBuffer::default(),
        }
    }

    /// A new id for a request's decision.
    pub fn decision_id(&mut self, now: UnixMillis) -> Uuid {
        self.recorder.ids.next(now)
    }

    /// What the answer to the last request must wait for, where events must be on the disk first.
    pub fn mark(&self) -> Option<Mark> {
        self.recorder.events.mark()
    }

    /// For requests that have to wait for the event log.
    pub fn log_waiter(&self) -> LogWaiter {
        self.recorder.events.waiter()
    }

    /// The newest view.
    pub fn view(&mut self) -> Rc<View> {
        let snapshot = self.snapshots.load();
        if !Arc::ptr_eq(snapshot, &self.view.snapshot) {
            self.view = Rc::new(View::new(Arc::clone(snapshot), Some(&self.view)));
        }
        Rc::clone(&self.view)
    }

    /// Decides one request by one revision of everything. What the modes report is in the event
    /// log when this returns, or the request is refused with [`Rejection::LogFull`].
    ///
    /// # Errors
    /// The request is refused; see [`Rejection`].
    pub fn authorize(
        &mut self,
        head: &request::Parts,
        circumstances: &Circumstances<'_>,
    ) -> Result<Admission, Refusal> {
        let view = self.view();
        let mut route = None;
        match self.evaluate(&view, head, circumstances, &mut route) {
            Ok(Evaluated { permit, identity, client, decided }) => {
                let route = route.unwrap_or_default();
                Ok(Admission { permit, view, route, identity, client, decided })
            }
            Err(rejection) => Err(Refusal { rejection, view, route }),
        }
    }

    fn evaluate(
        &mut self,
        view: &View,
        head: &request::Parts,
        circumstances: &Circumstances<'_>,
        route_index: &mut Option<usize>,
    ) -> Result<Evaluated, Rejection> {
        let snapshot = view.snapshot();
        head::check(head, snapshot.edge.limits.headers)?;
        let path = route::decode(head.uri.path())?;
        let matched = snapshot.routes.find(&head.method, &path).ok_or(Rejection::NoRoute)?;
        *route_index = Some(matched.index);
        let client = client_address(circumstances.peer, head, snapshot);
        if let Some(permit) = decision::permit_public(matched.route) {
            return Ok(Evaluated {
                permit,
                identity: None,
                client,
                decided: circumstances.started,
            });
        }
        let token = head::bearer_token(&head.headers)?;
        let now = circumstances.now.seconds();
        let identity =
            self.verifier.verify(token, &snapshot.key_sets, now).map_err(|error| match error {
                TokenError::KeysUnavailable => Rejection::KeysUnavailable,
                error => Rejection::BadToken(error),
            })?;
        if identity.session.as_ref().is_some_and(|it| snapshot.revocations.revokes(it)) {
            return Err(Rejection::BadToken(TokenError::Revoked));
        }
        let origin = origin(head, &client, circumstances.protocol);
        let request = matched.ask(head, origin, &mut self.question)?;
        let evaluation = decision::decide(snapshot, &identity, &request, now);
        let decided = Decided {
            evaluation: &evaluation,
            identity: &identity,
            request: &request,
            route: &matched.route.path,
            revision: snapshot.revision,
        };
        let decided =
            self.recorder.record(&decided, head, circumstances).map_err(Rejection::LogFull)?;
        let permit = evaluation.permit().map_err(Rejection::Denied)?;
        Ok(Evaluated { permit, identity: Some(identity), client, decided })
    }
}

/// A permitted request's parts.
struct Evaluated {
    permit: Permit,
    identity: Option<Arc<Identity>>,
    client: ClientAddress,
    decided: Instant,
}

/// One evaluation, to be recorded.
struct Decided<'a> {
    evaluation: &'a Evaluation<'a>,
    identity: &'a Identity,
    request: &'a AuthzRequest<'a>,
    route: &'a str,
    revision: u64,
}

/// What all events of one decision share.
struct Shared<'a> {
    decided: &'a Decided<'a>,
    head: &'a request::Parts,
    circumstances: &'a Circumstances<'a>,
    decide_ns: u64,
}

impl Recorder {
    /// Records one decision, all of its events or none, and returns when it was made.
    fn record(
        &mut self,
        decided: &Decided<'_>,
        head: &request::Parts,
        circumstances: &Circumstances<'_>,
    ) -> Result<Instant, LogFull> {
        let decided_at = SystemClock.tick();
        let elapsed = decided_at.duration_since(circumstances.started);
        let shared = Shared {
            decided,
            head,
            circumstances,
            decide_ns: u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX),
        };
        self.events.start();
        // The decision's id is that of the first event by something in force.
        let mut own_id = Some(circumstances.decision);
        let Evaluation { perimeter, policy } = decided.evaluation;
        if let Some(verdicts) = perimeter {
            self.stage_perimeter(&shared, verdicts.enforced, Standing::Enforced, &mut own_id);
            if let Some(candidate) = verdicts.candidate {
                self.stage_perimeter(&shared, candidate, Standing::Candidate, &mut own_id);
            }
        }
        if let Some(verdicts) = policy {
            self.stage_policy(&shared, &verdicts.enforced, Standing::Enforced, &mut own_id);
            if let Some(candidate) = &verdicts.candidate {
                self.stage_policy(&shared, candidate, Standing::Candidate, &mut own_id);
            }
        }
        self.events.commit()?;
        // Counted when it is certain that this decision counts.
        self.metrics.decided_in(elapsed);
        self.count(decided.evaluation);
        Ok(decided_at)
    }

    fn stage_perimeter(
        &mut self,
        shared: &Shared<'_>,
        verdict: Verdict,
        standing: Standing,
        own_id: &mut Option<Uuid>,
    ) {
        if verdict.reported(standing) {
            self.stage(shared, DecidedBy::Perimeter, verdict, standing, own_id);
        }
    }

    fn stage_policy(
        &mut self,
        shared: &Shared<'_>,
        policy: &PolicyVerdict<'_>,
        standing: Standing,
        own_id: &mut Option<Uuid>,
    ) {
        let PolicyVerdict { verdict, answer } = policy;
        if verdict.reported(standing) {
            let (list, len) = notes(answer);
            let statements = list.get(..len).unwrap_or_default();
            let by = DecidedBy::Policy { statements, missing: answer.missing };
            self.stage(shared, by, *verdict, standing, own_id);
        }
    }

    fn stage(
        &mut self,
        shared: &Shared<'_>,
        by: DecidedBy<'_>,
        verdict: Verdict,
        standing: Standing,
        own_id: &mut Option<Uuid>,
    ) {
        let own = match standing {
            Standing::Enforced => own_id.take(),
            Standing::Candidate => None,
        };
        let Shared { decided, head, circumstances, decide_ns } = *shared;
        // Allocates only for what is no UTF-8.
        let agent = head.headers.get(USER_AGENT);
        let agent = agent.map(|value| String::from_utf8_lossy(value.as_bytes()));
        let id = own.unwrap_or_else(|| self.ids.next(circumstances.now));
        self.events.stage(&EvalEvent {
            id,
            decision_id: circumstances.decision,
            time: circumstances.now,
            correlation_id: head::correlation_id(&head.headers).unwrap_or_default(),
            by,
            verdict,
            candidate: standing == Standing::Candidate,
            identity: decided.identity,
            owner: decided.request.owner,
            action: decided.request.action.as_str(),
            resource: decided.request.resource,
            route: decided.route,
            source_ip: decided.request.origin.source_ip,
            agent: agent.as_deref().unwrap_or_default(),
            input: PolicyInput::of(decided.request),
            revision: decided.revision,
            decide_ns,
        });
    }

    fn count(&self, evaluation: &Evaluation<'_>) {
        let Evaluation { perimeter, policy } = evaluation;
        if let Some(verdicts) = perimeter {
            self.metrics.decided(Layer::Perimeter, verdicts.enforced, Standing::Enforced);
            if let Some(candidate) = verdicts.candidate {
                self.metrics.decided(Layer::Perimeter, candidate, Standing::Candidate);
            }
        }
        if let Some(verdicts) = policy {
            self.metrics.policies_evaluated();
            self.metrics.decided(Layer::Policy, verdicts.enforced.verdict, Standing::Enforced);
            if let Some(candidate) = &verdicts.candidate {
                self.metrics.policies_evaluated();
                self.metrics.decided(Layer::Policy, candidate.verdict, Standing::Candidate);
            }
        }
    }
}

/// The statements that an event names, and how many there are.
type Notes<'a> = ([StatementNote<'a>; STATEMENTS_MAX], usize);

fn notes<'a>(answer: &PolicyAnswer<'a>) -> Notes<'a> {
    let (mut list, mut len) = NO_NOTES;
    for (place, decided) in list.iter_mut().zip(answer.statements.iter()) {
        *place = StatementNote {
            policy: &decided.policy.name,
            sid: &decided.statement.sid,
            index: decided.statement.index,
            effect: decided.statement.effect,
        };
        len += 1;
    }
    (list, len)
}

const NO_NOTES: Notes<'static> =
    ([StatementNote { policy: "", sid: "", index: 0, effect: Effect::Deny }; STATEMENTS_MAX], 0);

/// Where a request came from. What the client says of itself is taken along, never believed.
pub(crate) fn origin<'h>(
    head: &'h request::Parts,
    client: &ClientAddress,
    protocol: Protocol,
) -> RequestOrigin<'h> {
    let transport = match client_protocol(protocol, &head.headers, client.trust) {
        Protocol::Http => Transport::Plain,
        Protocol::Https => Transport::Tls,
    };
    RequestOrigin {
        source_ip: client.address,
        transport,
        user_agent: text(&head.headers, &USER_AGENT),
        referer: text(&head.headers, &REFERER),
    }
}

/// A field that is text and comes once.
fn text<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().ok(),
        (Some(_), Some(_)) | (None, _) => None,
    }
}

fn route_metrics(snapshot: &Snapshot) -> Rc<[RouteMetrics]> {
    let routes = snapshot.routes.routes().iter();
    routes.map(|route| RouteMetrics::new(&route.path, &route.upstream.name)).collect()
}

/// The client behind the peer; without trusted proxies it is the peer.
pub(crate) fn client_address(
    peer: &ClientAddress,
    head: &request::Parts,
    snapshot: &Snapshot,
) -> ClientAddress {
    if snapshot.edge.trusted_proxies.is_empty() {
        return peer.clone();
    }
    forwarded_chain(peer.address, &head.headers, &snapshot.edge.trusted_proxies)
}
