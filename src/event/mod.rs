//! What was decided: the events, their log, their queries.
//!
//! Flows in: evaluations, borrowed from the request. Flows out: frames for the log (`frame`), lines
//! of NDJSON (`wire`), answers (`query`, `report`), deliveries (`sink`). All but `log` and `sink` is
//! pure.

use std::net::IpAddr;

use uuid::Uuid;

use crate::clock::UnixMillis;
use crate::iam::{
    AccountId, Action, AuthzRequest, Identity, IdentityKind, IdentityType, RouteContext, Transport,
};
use crate::policy::{Effect, Missing};
use crate::verdict::{Layer, Verdict};

mod assume;
mod config;
pub mod frame;
mod id;
mod json;
pub mod log;
pub mod query;
pub mod replay;
pub mod report;
pub mod setting_text;
pub mod sink;
mod sink_config;
pub mod time;
pub mod wire;

pub use assume::{
    AssumeEvent, AssumeReason, AssumeTarget, DetectionEvent, DetectionName, DetectionSubject, Door,
    PROFILE_ASSUME_ACTION, ROLE_ASSUME_ACTION,
};
pub use config::{EventsConfig, OnFull, OnFullByDecision, Retention, Sync};
pub use id::EventIds;
pub use sink_config::{
    BatchLimits, Compression, HttpSpec, Login, NatsSpec, OtlpProtocol, OtlpSpec, SINK_TIMEOUT,
    Secret, SinkKind, SinkSpec, StartAt, TlsFiles, TlsIdentity,
};

/// One evaluation, borrowed from the request that it decided.
#[derive(Clone, Copy, Debug)]
pub struct EvalEvent<'a> {
    /// Time-ordered and unique (`UUIDv7`).
    pub id: Uuid,
    /// The id that the client's answer carries.
    pub decision_id: Uuid,
    /// When it was decided.
    pub time: UnixMillis,
    /// What all events of one request share; empty: the decision id.
    pub correlation_id: &'a str,
    /// Which check decided.
    pub by: DecidedBy<'a>,
    /// What it said, in which mode, why.
    pub verdict: Verdict,
    /// Whether a proposed setting was asked.
    pub candidate: bool,
    /// Who called.
    pub identity: &'a Identity,
    /// The account that owns the resource.
    pub owner: AccountId,
    /// What was asked.
    pub action: &'a str,
    /// On what.
    pub resource: &'a str,
    /// The route's path template.
    pub route: &'a str,
    /// The client's address.
    pub source_ip: IpAddr,
    /// The client's `user-agent`, unchecked.
    pub agent: &'a str,
    /// What policies look at besides; events of the perimeter leave it out.
    pub input: PolicyInput<'a>,
    /// The snapshot's revision.
    pub revision: u64,
    /// How long the whole decision took.
    pub decide_ns: u64,
}

/// What policies look at of a request, besides identity, action, resource and address: with it an
/// event of theirs can be decided again.
#[derive(Clone, Copy, Debug)]
pub struct PolicyInput<'a> {
    /// What is done with the resource's key; empty: nothing.
    pub key_action: &'a str,
    /// How the client sent the request.
    pub transport: Transport,
    /// `user-agent` as conditions have it; `None` if it is absent, repeated or no text.
    pub user_agent: Option<&'a str>,
    /// `referer` in the same way. Its text is never recorded, as URLs carry secrets.
    pub referer: Option<&'a str>,
    /// The condition keys that the route gives values to.
    pub context: RouteContext<'a>,
}

impl<'a> PolicyInput<'a> {
    /// What only the perimeter was asked about.
    pub const NONE: Self = Self {
        key_action: "",
        transport: Transport::Plain,
        user_agent: None,
        referer: None,
        context: RouteContext::NONE,
    };

    /// What a request has.
    pub fn of(request: &AuthzRequest<'a>) -> Self {
        Self {
            key_action: request.key_action.map_or("", Action::as_str),
            transport: request.origin.transport,
            user_agent: request.origin.user_agent,
            referer: request.origin.referer,
            context: request.context,
        }
    }
}

/// Which check decided, and what is told of how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecidedBy<'a> {
    /// The account check.
    Perimeter,
    /// The policies.
    Policy {
        /// The statements that decided; beyond [`frame::STATEMENTS_MAX`] the rest is left out.
        statements: &'a [StatementNote<'a>],
        /// The sides that lack a grant.
        missing: Missing,
    },
}

/// A statement that decided, as events name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatementNote<'a> {
    /// The policy's name.
    pub policy: &'a str,
    /// The statement's name; may be empty.
    pub sid: &'a str,
    /// The statement's place in the policy, from 0.
    pub index: u32,
    /// What it does.
    pub effect: Effect,
}

impl DecidedBy<'_> {
    /// The layer.
    pub fn layer(&self) -> Layer {
        match self {
            Self::Perimeter => Layer::Perimeter,
            Self::Policy { .. } => Layer::Policy,
        }
    }
}

/// One change of an account's setting.
#[derive(Clone, Copy, Debug)]
pub struct UpdateEvent<'a> {
    /// Time-ordered and unique (`UUIDv7`).
    pub id: Uuid,
    /// When it came into force.
    pub time: UnixMillis,
    /// What all events of one request share; empty: the event's id.
    pub correlation_id: &'a str,
    /// The account whose setting changed; none where a session was ended by its id.
    pub owner: Option<AccountId>,
    /// Who changed it.
    pub initiator: UpdateInitiator<'a>,
    /// What changed; beyond [`frame::CHANGES_MAX`] the rest is left out.
    pub changes: &'a [SettingChange<'a>],
    /// The snapshot's first revision with the change.
    pub revision: u64,
}

/// Who changed a setting.
#[derive(Clone, Copy, Debug)]
pub struct UpdateInitiator<'a> {
    /// An id, for example the admin token's name.
    pub id: &'a str,
    /// A name for people; may be empty.
    pub name: &'a str,
    /// Of which type.
    pub identity_type: IdentityType,
    /// A login or a session.
    pub kind: IdentityKind,
    /// From where.
    pub source_ip: IpAddr,
    /// With which `user-agent`, unchecked.
    pub agent: &'a str,
}

/// One field of a setting, before and after.
#[derive(Clone, Copy, Debug)]
pub struct SettingChange<'a> {
    /// Which field, for example `user.mode`.
    pub update_type: &'a str,
    /// Its text before.
    pub initial_value: &'a str,
    /// Its text after.
    pub new_value: &'a str,
}

/// `action` of perimeter evaluations.
pub const PERIMETER_ACTION: &str = "iam-access-management.account-settings.eval";
/// `action` of policy evaluations.
pub const POLICY_ACTION: &str = "iam-access-management.policy.eval";
/// `action` of setting updates.
pub const UPDATE_ACTION: &str = "iam-access-management.account-settings.update";
