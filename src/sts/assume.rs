//! May this caller begin a session of this role, and which one? (facts: iam.md section 5.)
//!
//! Flows in: a snapshot, a verified caller, what it asks for. Flows out: the session's identity, or why
//! not. Pure.

use std::net::IpAddr;

use serde_json::{Map, Value};
use uuid::Uuid;

use crate::clock::UnixMillis;
use crate::event::AssumeReason;
use crate::iam::{AccountId, Identity, RequestOrigin};
use crate::policy::PolicyAnswer;
use crate::snapshot::Snapshot;
use crate::sts::rules::StsRules;

/// What is asked for, in no protocol's words. Shapes are not yet checked.
#[derive(Clone, Debug, Default)]
pub struct AssumeParameters {
    /// The name of the session; `None`: one made from the caller.
    pub session_name: Option<Box<str>>,
    /// The external ID.
    pub external_id: Option<Box<str>>,
    /// How long, in seconds.
    pub duration_seconds: Option<u32>,
    /// A session policy, as JSON text.
    pub policy: Option<Box<str>>,
    /// ARNs of managed policies as session policies.
    pub policy_arns: Vec<Box<str>>,
    /// Session tags.
    pub tags: Vec<(Box<str>, Box<str>)>,
    /// The keys of tags that go on to further sessions.
    pub transitive_tag_keys: Vec<Box<str>>,
    /// Who is behind the session.
    pub source_identity: Option<Box<str>>,
}

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
    /// As a principal, else as a web identity.
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
pub struct Grant<'s> {
    /// The session's identity; its token is [`crate::token::session_claims`] of it.
    pub identity: Identity,
    /// How long it lasts.
    pub duration_seconds: u32,
    /// The role's or profile's unique id; may be empty.
    pub role_id: &'s str,
    /// What was asked, for the event.
    pub asked: Asked<'s>,
}

/// What is told of an attempt, whether it succeeded or not.
#[derive(Clone, Debug, Default)]
pub struct Asked<'s> {
    /// The account that owns the role; none where the target names none.
    pub owner: Option<AccountId>,
    /// The role's ARN as known, else as asked; of a profile that of a role of its id.
    pub role: Box<str>,
    /// The session's name.
    pub session_name: Box<str>,
    /// What the policies said, where they were asked.
    pub answer: Option<PolicyAnswer<'s>>,
}

/// Why no session begins.
#[derive(Debug)]
pub struct Refused<'s> {
    /// What the client is told.
    pub error: AssumeError,
    /// What operators are told.
    pub reason: AssumeReason,
    /// What was asked, for the event.
    pub asked: Asked<'s>,
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

/// Decides one attempt.
///
/// # Errors
/// The session may not begin.
pub fn assume<'s>(
    _snapshot: &'s Snapshot,
    _rules: &StsRules,
    _caller: &Caller<'_>,
    target: Target<'_>,
    _parameters: &AssumeParameters,
    circumstances: &Circumstances<'_>,
) -> Result<Grant<'s>, Box<Refused<'s>>> {
    let _: (IpAddr, Target<'_>) = (circumstances.origin.source_ip, target);
    Err(Box::new(Refused {
        error: AssumeError::Denied,
        reason: AssumeReason::PolicyImplicitDeny,
        asked: Asked::default(),
    }))
}
