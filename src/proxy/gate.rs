//! The decision about one request, from head to permit, in one synchronous step.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use arc_swap::{ArcSwap, Cache};
use http::header::USER_AGENT;
use http::request;
use uuid::Uuid;

use crate::clock::{SystemClock, UnixMillis};
use crate::decision::{self, Evaluation, Permit};
use crate::event::log::EventAppender;
use crate::event::{EvalEvent, EventIds};
use crate::forward::{ClientAddress, IdentityHeaders, forwarded_chain};
use crate::iam::{AuthzRequest, Identity};
use crate::proxy::{Rejection, head};
use crate::route::{self, Route};
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
    // The resource asked for; kept for its capacity.
    resource: String,
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
            resource: String::new(),
        }
    }

    /// A new id for a request's decision.
    pub fn decision_id(&mut self, now: UnixMillis) -> Uuid {
        self.recorder.ids.next(now)
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
    /// queue when this returns.
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
        let request = matched.ask(&head.headers, client.address, &mut self.resource)?;
        let evaluation = decision::decide(snapshot, &identity, &request);
        let decided = Decided {
            evaluation: &evaluation,
            identity: &identity,
            request: &request,
            route: &matched.route.path,
            revision: snapshot.revision,
        };
        let decided = self.recorder.record(&decided, head, circumstances);
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
    evaluation: &'a Evaluation,
    identity: &'a Identity,
    request: &'a AuthzRequest<'a>,
    route: &'a str,
    revision: u64,
}

impl Recorder {
    /// Records one decision and returns when it was made.
    fn record(
        &mut self,
        decided: &Decided<'_>,
        head: &request::Parts,
        circumstances: &Circumstances<'_>,
    ) -> Instant {
        let decided_at = SystemClock.tick();
        let elapsed = decided_at.duration_since(circumstances.started);
        self.metrics.decided_in(elapsed);
        let Some(verdicts) = decided.evaluation.perimeter else { return decided_at };
        let decide_ns = u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX);
        self.metrics.decided(verdicts.enforced, Standing::Enforced);
        if verdicts.enforced.reported(Standing::Enforced) {
            let standing = (verdicts.enforced, Standing::Enforced, circumstances.decision);
            self.append(decided, head, circumstances, standing, decide_ns);
        }
        let Some(candidate) = verdicts.candidate else { return decided_at };
        self.metrics.decided(candidate, Standing::Candidate);
        if candidate.reported(Standing::Candidate) {
            let id = self.ids.next(circumstances.now);
            let standing = (candidate, Standing::Candidate, id);
            self.append(decided, head, circumstances, standing, decide_ns);
        }
        decided_at
    }

    fn append(
        &mut self,
        decided: &Decided<'_>,
        head: &request::Parts,
        circumstances: &Circumstances<'_>,
        (verdict, standing, id): (Verdict, Standing, Uuid),
        decide_ns: u64,
    ) {
        let agent = head.headers.get(USER_AGENT).and_then(|value| value.to_str().ok());
        self.events.append(&EvalEvent {
            id,
            decision_id: circumstances.decision,
            time: circumstances.now,
            correlation_id: head::correlation_id(&head.headers).unwrap_or_default(),
            layer: Layer::Perimeter,
            verdict,
            candidate: standing == Standing::Candidate,
            identity: decided.identity,
            owner: decided.request.owner,
            action: decided.request.action,
            resource: decided.request.resource,
            route: decided.route,
            source_ip: decided.request.source_ip,
            agent: agent.unwrap_or_default(),
            revision: decided.revision,
            decide_ns,
        });
    }
}

fn route_metrics(snapshot: &Snapshot) -> Rc<[RouteMetrics]> {
    let routes = snapshot.routes.routes().iter();
    routes.map(|route| RouteMetrics::new(&route.path, &route.upstream.name)).collect()
}

/// The client behind the peer; without trusted proxies it is the peer.
fn client_address(
    peer: &ClientAddress,
    head: &request::Parts,
    snapshot: &Snapshot,
) -> ClientAddress {
    if snapshot.edge.trusted_proxies.is_empty() {
        return peer.clone();
    }
    forwarded_chain(peer.address, &head.headers, &snapshot.edge.trusted_proxies)
}
