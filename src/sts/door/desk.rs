//! One attempt, from the caller's token to the answer, in one synchronous step: nothing in it waits,
//! so everything in it comes from one snapshot, and its events are in the log before it returns.

use std::sync::Arc;

use arc_swap::{ArcSwap, Cache};
use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use bytes::Bytes;
use data_encoding::{BASE32_NOPAD, BASE64};
use http::header::USER_AGENT;
use http::request;
use serde_json::{Map, Value};
use smallvec::SmallVec;
use uuid::Uuid;

use crate::clock::UnixMillis;
use crate::decision;
use crate::event::frame::STATEMENTS_MAX;
use crate::event::log::{EventAppender, LogFull, LogWaiter, Mark};
use crate::event::{
    AssumeEvent, AssumeReason, AssumeTarget, DetectionEvent, EventIds, StatementNote,
};
use crate::iam::{AccountId, Arn, Identity, RequestOrigin};
use crate::proxy::{self, Peer};
use crate::snapshot::{Snapshot, SnapshotReader};
use crate::sts::assume::{Asked, AssumeError, Caller, Circumstances, Grant, assume};
use crate::sts::door::answer::Answer;
use crate::sts::door::call::{AccessKey, Attempt, AttemptTarget, Granted, Identified, Refusal};
use crate::sts::door::dialect::Dialect;
use crate::sts::door::exchange;
use crate::sts::keys::SessionKeys;
use crate::sts::rules::StsRules;
use crate::sts::watch::{self, Detection, Observed, Watch};
use crate::telemetry::AssumeResult;
use crate::token::{TokenError, Verifier, WorkerVerifier, jwt, session_claims};
use crate::verdict::Decision;

/// What decides, signs and records. Belongs to a thread.
pub(super) struct Desk {
    snapshots: Cache<Arc<ArcSwap<Snapshot>>, Arc<Snapshot>>,
    verifier: WorkerVerifier,
    keys: SessionKeys,
    events: EventAppender,
    ids: EventIds,
    watch: Watch,
    random: SystemRandom,
}

/// One request, besides what it asks.
#[derive(Clone, Copy)]
pub(super) struct Visit<'v> {
    /// The request's id, for the answer and the event.
    pub(super) id: Uuid,
    pub(super) head: &'v request::Parts,
    pub(super) peer: &'v Peer,
    pub(super) dialect: Dialect,
    pub(super) now: UnixMillis,
}

/// What stays of an attempt that must be decided once more.
#[derive(Default)]
pub(super) struct Tries {
    /// Whether the issuer's keys were waited for already.
    pub(super) waited_for_key: bool,
    /// What the watch said. It has seen the attempt, and must not count it twice.
    detections: Option<Detections>,
}

type Detections = SmallVec<[Detection; 2]>;

/// What must come before an attempt can be decided once more.
pub(super) enum Pause {
    /// A key of this issuer.
    Key(Arc<str>),
    /// Room in the log, or nothing.
    Log(LogFull),
}

/// The end of an attempt.
pub(super) struct Ended {
    pub(super) answer: Answer,
    pub(super) result: AssumeResult,
    pub(super) pace: Pace,
}

/// When an answer may go out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pace {
    /// At once.
    AtOnce,
    /// Not before the time that all refusals of the decision take.
    Even,
}

/// A decision, to be recorded.
struct Decided {
    caller: Option<Arc<Identity>>,
    asked: Asked,
    reason: AssumeReason,
    outcome: Result<Granted, Refusal>,
}

/// A verified caller.
struct Known {
    identity: Arc<Identity>,
    claims: Map<String, Value>,
}

impl Desk {
    pub(super) fn new(
        snapshots: &SnapshotReader,
        verifier: &Verifier,
        keys: SessionKeys,
        events: EventAppender,
        watch: Watch,
    ) -> Self {
        Self {
            snapshots: snapshots.cached(),
            verifier: verifier.worker(),
            keys,
            events,
            ids: EventIds::new(),
            watch,
            random: SystemRandom::new(),
        }
    }

    /// The newest snapshot.
    pub(super) fn snapshot(&mut self) -> Arc<Snapshot> {
        Arc::clone(self.snapshots.load())
    }

    /// A new id for a request.
    pub(super) fn next_id(&mut self, now: UnixMillis) -> Uuid {
        self.ids.next(now)
    }

    /// The public keys.
    pub(super) fn jwks(&self) -> Bytes {
        self.keys.jwks()
    }

    /// What an answer must wait for, where events must be on the disk first.
    pub(super) fn mark(&self) -> Option<Mark> {
        self.events.mark()
    }

    /// For requests that have to wait for the event log.
    pub(super) fn log_waiter(&self) -> LogWaiter {
        self.events.waiter()
    }

    /// Tells the bearer of a token who it is. Makes no event.
    pub(super) fn identify(
        &mut self,
        token: Option<&str>,
        visit: &Visit<'_>,
        tries: &Tries,
    ) -> Result<Answer, Pause> {
        let snapshot = self.snapshot();
        let identified = token.ok_or(Refusal::NoToken).and_then(|token| {
            let identity = self.verify(&snapshot, token, visit.now)?;
            refuse_revoked(&snapshot, &identity)?;
            let unique_id = unique_id(&snapshot, &identity);
            Ok(Identified { token: token.into(), identity, unique_id, now: visit.now })
        });
        match identified {
            Ok(identified) => Ok(visit.dialect.identified(&identified, visit.id)),
            Err(refusal) => {
                pause_for_key(&refusal, tries)?;
                Ok(visit.dialect.refused(&refusal, None, visit.id))
            }
        }
    }

    /// Decides an attempt by one revision of everything, and records it.
    pub(super) fn attempt(
        &mut self,
        attempt: &Attempt,
        visit: &Visit<'_>,
        tries: &mut Tries,
    ) -> Result<Ended, Pause> {
        let snapshot = self.snapshot();
        let client = proxy::client_address(&visit.peer.address, visit.head, &snapshot);
        let origin = proxy::origin(visit.head, &client, visit.peer.protocol);
        let decided = self.decide(&snapshot, attempt, visit.now, origin);
        let ended = match &decided.outcome {
            Ok(granted) => Ended {
                answer: visit.dialect.granted(granted, attempt.door, visit.id),
                result: AssumeResult::Success,
                pace: Pace::AtOnce,
            },
            Err(refusal) => {
                pause_for_key(refusal, tries)?;
                Ended {
                    answer: visit.dialect.refused(refusal, Some(attempt.door), visit.id),
                    result: result(refusal),
                    pace: pace(refusal),
                }
            }
        };
        let agent = visit.head.headers.get(USER_AGENT);
        let agent = agent.map(|value| String::from_utf8_lossy(value.as_bytes()));
        let record = Record {
            snapshot: &snapshot,
            attempt,
            decided: &decided,
            visit,
            origin,
            agent: agent.as_deref().unwrap_or_default(),
            status: ended.answer.status().as_u16(),
        };
        self.record(&record, tries).map_err(Pause::Log)?;
        Ok(ended)
    }

    fn decide(
        &mut self,
        snapshot: &Snapshot,
        attempt: &Attempt,
        now: UnixMillis,
        origin: RequestOrigin<'_>,
    ) -> Decided {
        let undecided = |caller, refusal: Refusal| Decided {
            caller,
            asked: asked(attempt),
            reason: refusal.reason(),
            outcome: Err(refusal),
        };
        let known = match self.know(snapshot, attempt, now) {
            Ok(known) => known,
            Err((caller, refusal)) => return undecided(caller, refusal),
        };
        let caller = Some(Arc::clone(&known.identity));
        if let Some(fault) = &attempt.fault {
            return undecided(caller, Refusal::Malformed(fault.clone()));
        }
        let (Some(rules), Some(target)) = (&snapshot.sts, &attempt.target) else {
            return undecided(caller, Refusal::Unavailable);
        };
        let Some(narrowed) = narrowed(rules, &attempt.audiences) else {
            return undecided(caller, Refusal::Malformed(exchange::foreign_audience()));
        };
        let account = known.identity.account.as_ref().map_or("", AccountId::as_str);
        let circumstances = Circumstances { id: self.ids.next(now), now, origin };
        let standing = attempt.standing();
        let asking = Caller { identity: &known.identity, claims: &known.claims, standing };
        let target = target.target(account);
        match assume(snapshot, rules, &asking, target, &attempt.parameters, &circumstances) {
            Ok(grant) => self.grant(grant, &narrowed, known, attempt),
            Err(refused) => Decided {
                caller,
                asked: refused.asked,
                reason: refused.reason,
                outcome: Err(Refusal::Assume(refused.error)),
            },
        }
    }

    /// Verifies the caller's token.
    fn know(
        &self,
        snapshot: &Snapshot,
        attempt: &Attempt,
        now: UnixMillis,
    ) -> Result<Known, (Option<Arc<Identity>>, Refusal)> {
        let token = attempt.token.as_deref().ok_or((None, Refusal::NoToken))?;
        let identity = self.verify(snapshot, token, now).map_err(|refusal| (None, refusal))?;
        let known = |refusal| (Some(Arc::clone(&identity)), refusal);
        refuse_revoked(snapshot, &identity).map_err(known)?;
        // This very text was verified; the cache does not keep its claims.
        let claims = jwt::Jws::parse(token).and_then(|token| token.claims());
        let claims = claims.map_err(|error| known(error.into()))?;
        Ok(Known { identity, claims })
    }

    fn verify(
        &self,
        snapshot: &Snapshot,
        token: &str,
        now: UnixMillis,
    ) -> Result<Arc<Identity>, Refusal> {
        Ok(self.verifier.verify(token, &snapshot.key_sets, now.seconds())?)
    }

    /// Makes the token of a session that may begin.
    fn grant(&self, grant: Grant, rules: &StsRules, known: Known, attempt: &Attempt) -> Decided {
        let Grant { identity, duration_seconds, role_id, asked, reason } = grant;
        let caller = Some(Arc::clone(&known.identity));
        let claims = session_claims(&identity, rules);
        let token = claims.and_then(|claims| self.keys.sign(&claims).ok());
        let (Some(token), Some(access_key)) = (token, AccessKey::random(&self.random)) else {
            tracing::error!("a session token can't be signed");
            let reason = AssumeReason::Unavailable;
            return Decided { caller, asked, reason, outcome: Err(Refusal::Unavailable) };
        };
        let granted = Granted {
            token,
            duration_seconds,
            role_id,
            caller_audience: audience(&known.claims),
            caller: known.identity,
            access_key,
            token_type: attempt.token_type,
            identity,
        };
        Decided { caller, asked, reason, outcome: Ok(granted) }
    }
}

/// All that events of an attempt tell.
struct Record<'r> {
    snapshot: &'r Snapshot,
    attempt: &'r Attempt,
    decided: &'r Decided,
    visit: &'r Visit<'r>,
    origin: RequestOrigin<'r>,
    agent: &'r str,
    status: u16,
}

impl Desk {
    /// Puts the attempt and what was noticed about it into the log, all or nothing.
    fn record(&mut self, record: &Record<'_>, tries: &mut Tries) -> Result<(), LogFull> {
        let watch = &self.watch;
        let detections = tries.detections.get_or_insert_with(|| record.observe(watch));
        self.events.start();
        record.stage(&mut self.events);
        for detection in detections.iter() {
            let id = self.ids.next(record.visit.now);
            record.stage_detection(*detection, id, &mut self.events);
        }
        self.events.commit()?;
        Ok(())
    }
}

impl Record<'_> {
    fn stage(&self, events: &mut EventAppender) {
        let Self { attempt, decided, visit, .. } = self;
        let statements = decided.asked.statements.iter().map(|decisive| StatementNote {
            policy: &decisive.policy,
            sid: &decisive.sid,
            index: decisive.index,
            effect: decisive.effect,
        });
        let statements: SmallVec<[StatementNote<'_>; STATEMENTS_MAX]> = statements.collect();
        let granted = decided.outcome.as_ref().ok();
        let session = granted.and_then(|granted| granted.identity.session.as_deref());
        let asked = &attempt.parameters;
        let source_identity = match session {
            Some(session) => session.source_identity.as_deref(),
            None => asked.source_identity.as_deref(),
        };
        let expires_at = granted.map(|granted| granted.identity.expires_at);
        events.stage_assume(&AssumeEvent {
            id: visit.id,
            time: visit.now,
            correlation_id: proxy::correlation_id(&visit.head.headers).unwrap_or_default(),
            target: attempt.kind(),
            initiator: decided.caller.as_deref(),
            owner: decided.asked.owner,
            role: self.told_role(),
            session_name: &decided.asked.session_name,
            duration_seconds: self.duration_seconds(),
            door: attempt.door,
            has_external_id: asked.external_id.is_some(),
            source_identity: source_identity.unwrap_or_default(),
            decision: if granted.is_some() { Decision::Permit } else { Decision::Deny },
            reason: decided.reason,
            status: self.status,
            statements: &statements,
            missing: decided.asked.missing,
            session: session.map(|session| session.id).zip(expires_at),
            source_ip: self.origin.source_ip,
            agent: self.agent,
            revision: self.snapshot.revision,
        });
    }

    fn stage_detection(&self, detection: Detection, id: Uuid, events: &mut EventAppender) {
        let Self { attempt, decided, visit, .. } = self;
        let mut attempt_id = Uuid::encode_buffer();
        let attempt_id: &str = visit.id.hyphenated().encode_lower(&mut attempt_id);
        events.stage_detection(&DetectionEvent {
            id,
            time: visit.now,
            correlation_id: proxy::correlation_id(&visit.head.headers).unwrap_or(attempt_id),
            name: detection.name,
            subject: detection.subject,
            count: detection.count,
            initiator: decided.caller.as_deref(),
            owner: decided.asked.owner,
            role: self.told_role(),
            target: attempt.kind(),
            source_ip: self.origin.source_ip,
            agent: self.agent,
            revision: self.snapshot.revision,
        });
    }

    fn observe(&self, watch: &Watch) -> Detections {
        let Self { snapshot, attempt, decided, visit, origin, .. } = self;
        let blameless =
            matches!(decided.outcome, Err(Refusal::KeysUnavailable | Refusal::Unavailable));
        let Some(rules) = snapshot.sts.as_ref().filter(|_| !blameless) else {
            return Detections::new();
        };
        let caller = decided.caller.as_deref();
        let attempt = Observed {
            principal: caller.map_or("", |caller| &caller.principal),
            account: caller.and_then(|caller| caller.account),
            role: &decided.asked.role,
            role_exists: watch::is_role(snapshot, &decided.asked.role),
            address: origin.source_ip,
            external_id: attempt.parameters.external_id.as_deref(),
            duration_seconds: self.duration_seconds(),
            succeeded: decided.outcome.is_ok(),
        };
        watch.observe(&rules.watch, &attempt, visit.now)
    }

    /// The role's ARN, or the profile's id.
    fn told_role(&self) -> &str {
        let role = &*self.decided.asked.role;
        match self.attempt.kind() {
            AssumeTarget::Role => role,
            // Policies know a profile as a role of its id.
            AssumeTarget::Profile => match Arn::parse(role) {
                Some(arn) => arn.resource().strip_prefix("role/").unwrap_or(role),
                None => role,
            },
        }
    }

    /// Given, else asked for.
    fn duration_seconds(&self) -> Option<u32> {
        let granted = self.decided.outcome.as_ref().ok();
        let asked = self.attempt.parameters.duration_seconds;
        granted.map(|granted| granted.duration_seconds).or(asked)
    }
}

impl AccessKey {
    /// Random, so that no two sessions share one, and known to nobody else.
    fn random(random: &SystemRandom) -> Option<Self> {
        let (mut id, mut secret) = ([0; 10], [0; 30]);
        random.fill(&mut id).ok()?;
        random.fill(&mut secret).ok()?;
        let id = format!("ASIA{}", BASE32_NOPAD.encode(&id));
        Some(Self { id, secret: BASE64.encode(&secret) })
    }
}

/// Before a token with an unknown key is refused, its key is waited for.
fn pause_for_key(refusal: &Refusal, tries: &Tries) -> Result<(), Pause> {
    match refusal {
        Refusal::BadToken(TokenError::UnknownKey { issuer }) if !tries.waited_for_key => {
            Err(Pause::Key(Arc::clone(issuer)))
        }
        _ => Ok(()),
    }
}

fn refuse_revoked(snapshot: &Snapshot, identity: &Identity) -> Result<(), Refusal> {
    match &identity.session {
        Some(session) if snapshot.revocations.revokes(session) => Err(Refusal::Revoked),
        Some(_) | None => Ok(()),
    }
}

/// The id that the policies know of a user or a session's role, else the identity's own.
fn unique_id(snapshot: &Snapshot, identity: &Identity) -> Box<str> {
    let known = || {
        let set = &snapshot.policies.as_ref()?.enforced;
        let entry = set.principal(&decision::principal(identity)?)?;
        Some(entry.id.clone()).filter(|id| !id.is_empty())
    };
    known().unwrap_or_else(|| identity.id.clone())
}

/// The rules for a token that is for some audiences alone; `None` if one of them is foreign.
fn narrowed(rules: &Arc<StsRules>, audiences: &[Box<str>]) -> Option<Arc<StsRules>> {
    if audiences.is_empty() {
        return Some(Arc::clone(rules));
    }
    let all_known = audiences.iter().all(|audience| rules.audiences.contains(audience));
    all_known
        .then(|| Arc::new(StsRules { audiences: audiences.to_vec(), ..StsRules::clone(rules) }))
}

/// What is told of an attempt that was not decided.
fn asked(attempt: &Attempt) -> Asked {
    let role = attempt.target.as_ref().map_or("", AttemptTarget::as_str);
    let owner = match &attempt.target {
        Some(AttemptTarget::Role(arn)) => Arn::parse(arn).map(Arn::account),
        Some(AttemptTarget::ProfileNamed { account, .. }) => account.as_deref(),
        Some(AttemptTarget::Profile(_)) | None => None,
    };
    Asked {
        owner: owner.and_then(|account| AccountId::parse(account).ok()),
        role: role.into(),
        session_name: attempt.parameters.session_name.clone().unwrap_or_default(),
        ..Asked::default()
    }
}

fn audience(claims: &Map<String, Value>) -> Box<str> {
    let first = match claims.get("aud") {
        Some(Value::Array(list)) => list.first().and_then(Value::as_str),
        Some(one) => one.as_str(),
        None => None,
    };
    first.unwrap_or_default().into()
}

fn result(refusal: &Refusal) -> AssumeResult {
    match refusal {
        Refusal::Assume(AssumeError::Denied) => AssumeResult::Denied,
        Refusal::Assume(
            AssumeError::Invalid(_)
            | AssumeError::MalformedPolicy(_)
            | AssumeError::PolicyTooLarge(_),
        )
        | Refusal::Malformed(_) => AssumeResult::Invalid,
        Refusal::BadToken(_) | Refusal::NoToken | Refusal::Revoked => AssumeResult::Unauthenticated,
        Refusal::KeysUnavailable | Refusal::Unavailable => AssumeResult::Unavailable,
    }
}

/// What the decision refuses, it refuses after one time: how long it looked for the role, its trust
/// or an external ID is nobody's to know.
fn pace(refusal: &Refusal) -> Pace {
    match refusal {
        Refusal::Assume(_) => Pace::Even,
        Refusal::BadToken(_)
        | Refusal::KeysUnavailable
        | Refusal::Malformed(_)
        | Refusal::NoToken
        | Refusal::Revoked
        | Refusal::Unavailable => Pace::AtOnce,
    }
}
