//! May this caller begin a session of this role, and which one? (facts: iam.md section 5.)
//!
//! Flows in: a snapshot, a verified caller, what it asks for. Flows out: the session's identity, or why
//! not. Pure. `parameters` checks shapes and ranges before anything is looked up, `role` asks trust and
//! permissions, `profile` asks who is trusted, `session` makes the new identity. The cases of every
//! rule are in `tests/cases/sts`.

use serde_json::{Map, Value};
use uuid::Uuid;

use crate::clock::UnixMillis;
use crate::event::AssumeReason;
use crate::iam::{AccountId, Identity, RequestOrigin};
use crate::policy::{Effect, Missing, PolicyAnswer};
use crate::snapshot::Snapshot;
use crate::sts::rules::StsRules;

mod context;
mod parameters;
mod profile;
mod role;
mod session;

pub use parameters::{AssumeParameters, packed_percent};

/// What a session is asked of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target<'a> {
    /// A role, by its ARN.
    Role(&'a str),
    /// A trusted profile, by its id (with or without `iam-`) or CRN.
    Profile(&'a str),
    /// A trusted profile, by its name and account.
    ProfileNamed {
        /// The name.
        name: &'a str,
        /// The account.
        account: &'a str,
    },
}

/// As whom a caller asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// As the principal of the token: `sts:AssumeRole`.
    Principal,
    /// As somebody whom the token's issuer vouches for: `sts:AssumeRoleWithWebIdentity`.
    WebIdentity,
    /// As a principal, else as a web identity: the caller could ask both.
    Either,
}

/// A verified caller.
#[derive(Clone, Copy, Debug)]
pub struct Caller<'a> {
    /// Who.
    pub identity: &'a Identity,
    /// All claims of the token.
    pub claims: &'a Map<String, Value>,
    /// As whom.
    pub standing: Standing,
}

/// A session that may begin.
#[derive(Debug)]
pub struct Grant {
    /// The session's identity; its token is [`crate::token::session_claims`] of it.
    pub identity: Identity,
    /// How long it lasts.
    pub duration_seconds: u32,
    /// The role's or profile's unique id; may be empty.
    pub role_id: Box<str>,
    /// What was asked, for the event.
    pub asked: Asked,
    /// Why it may.
    pub reason: AssumeReason,
}

/// What is told of an attempt, whether it succeeded or not.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// The account that owns the role; none where the target names none.
    pub owner: Option<AccountId>,
    /// The role's ARN, of a profile that of a role of its id; as asked where there is none.
    pub role: Box<str>,
    /// The session's name.
    pub session_name: Box<str>,
    /// The statements that decided.
    pub statements: Vec<Decisive>,
    /// The sides that lack a grant.
    pub missing: Missing,
}

/// A statement that decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decisive {
    /// The policy's name.
    pub policy: Box<str>,
    /// The statement's name; may be empty.
    pub sid: Box<str>,
    /// The statement's place in the policy, from 0.
    pub index: u32,
    /// What it does.
    pub effect: Effect,
}

/// Why no session begins.
#[derive(Debug)]
pub struct Refused {
    /// What the client is told.
    pub error: AssumeError,
    /// What operators are told.
    pub reason: AssumeReason,
    /// What was asked, for the event.
    pub asked: Asked,
}

/// What a client is told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AssumeError {
    /// The role, the trust in the caller, the external ID: one answer for all.
    #[error("not authorized")]
    Denied,
    /// A parameter is malformed or out of its range; the text names it and no secret.
    #[error("{0}")]
    Invalid(Box<str>),
    /// The session policy is no policy; the text says where.
    #[error("{0}")]
    MalformedPolicy(Box<str>),
    /// Policies and tags are too large together.
    #[error("{0}")]
    PolicyTooLarge(Box<str>),
}

/// When, from where, under which id a session is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Circumstances<'a> {
    /// The session's id, should it begin: a `UUIDv7` of now.
    pub id: Uuid,
    /// Now.
    pub now: UnixMillis,
    /// From where.
    pub origin: RequestOrigin<'a>,
}

/// Decides one attempt, by one revision of everything.
///
/// # Errors
/// The session may not begin.
pub fn assume(
    snapshot: &Snapshot,
    rules: &StsRules,
    caller: &Caller<'_>,
    target: Target<'_>,
    parameters: &AssumeParameters,
    circumstances: &Circumstances<'_>,
) -> Result<Grant, Box<Refused>> {
    let attempt = Attempt { snapshot, rules, caller, parameters, circumstances };
    match target {
        Target::Role(arn) => role::assume(&attempt, arn),
        Target::Profile(_) | Target::ProfileNamed { .. } => profile::assume(&attempt, target),
    }
}

/// What all steps of a decision look at.
struct Attempt<'a> {
    snapshot: &'a Snapshot,
    rules: &'a StsRules,
    caller: &'a Caller<'a>,
    parameters: &'a AssumeParameters,
    circumstances: &'a Circumstances<'a>,
}

/// Why a step refuses, before it is said of what.
struct Refusal {
    error: AssumeError,
    reason: AssumeReason,
}

impl Refusal {
    fn invalid(reason: AssumeReason, message: impl Into<Box<str>>) -> Self {
        Self { error: AssumeError::Invalid(message.into()), reason }
    }

    fn denied(reason: AssumeReason) -> Self {
        Self { error: AssumeError::Denied, reason }
    }

    fn of(self, asked: Asked) -> Box<Refused> {
        Box::new(Refused { error: self.error, reason: self.reason, asked })
    }
}

impl Asked {
    /// Takes over what the policies said.
    fn note(&mut self, answer: &PolicyAnswer<'_>) {
        self.missing = answer.missing;
        let statements = answer.statements.iter().map(|decided| Decisive {
            policy: decided.policy.name.clone(),
            sid: decided.statement.sid.clone(),
            index: decided.statement.index,
            effect: decided.effect(),
        });
        self.statements = statements.collect();
    }
}
