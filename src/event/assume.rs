//! Events of the token service: attempts to assume a role, and what was noticed about them.

use std::net::IpAddr;

use uuid::Uuid;

use crate::clock::{UnixMillis, UnixSeconds};
use crate::event::StatementNote;
use crate::iam::{AccountId, Identity};
use crate::policy::Missing;
use crate::verdict::Decision;

/// One attempt to begin a session, borrowed.
#[derive(Clone, Copy, Debug)]
pub struct AssumeEvent<'a> {
    /// Time-ordered and unique (`UUIDv7`).
    pub id: Uuid,
    /// When it was decided.
    pub time: UnixMillis,
    /// What all events of one request share; empty: the event's id.
    pub correlation_id: &'a str,
    /// What was asked for.
    pub target: AssumeTarget,
    /// Who asked; `None` where the token proves nobody.
    pub initiator: Option<&'a Identity>,
    /// The account that owns the role; none where the request names none.
    pub owner: Option<AccountId>,
    /// The role's ARN, or the profile's id; as asked where there is none, cut at a limit.
    pub role: &'a str,
    /// The session's name; may be empty.
    pub session_name: &'a str,
    /// How long was asked for, or given.
    pub duration_seconds: Option<u32>,
    /// By which protocol.
    pub door: Door,
    /// Whether an external ID was passed. It is told nowhere.
    pub has_external_id: bool,
    /// `aws:SourceIdentity` of the session; may be empty.
    pub source_identity: &'a str,
    /// Whether the session began.
    pub decision: Decision,
    /// Why.
    pub reason: AssumeReason,
    /// The answer's status.
    pub status: u16,
    /// The statements that decided.
    pub statements: &'a [StatementNote<'a>],
    /// The sides that lack a grant.
    pub missing: Missing,
    /// The session that began: its `jti`, and when its token expires.
    pub session: Option<(Uuid, UnixSeconds)>,
    /// The client's address.
    pub source_ip: IpAddr,
    /// The client's `user-agent`, unchecked.
    pub agent: &'a str,
    /// The snapshot's revision.
    pub revision: u64,
}

/// What a session is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AssumeTarget {
    /// A trusted profile.
    Profile,
    /// A role.
    Role,
}

impl AssumeTarget {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Profile, Self::Role];

    /// `action` of its events.
    pub fn action(self) -> &'static str {
        match self {
            Self::Profile => PROFILE_ASSUME_ACTION,
            Self::Role => ROLE_ASSUME_ACTION,
        }
    }
}

/// `action` of attempts to assume a trusted profile.
pub const PROFILE_ASSUME_ACTION: &str = "iam-identity.account-profile.assume";
/// `action` of attempts to assume a role.
pub const ROLE_ASSUME_ACTION: &str = "sts.role.assume";

/// A protocol of the token service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// AWS STS `AssumeRole`.
    AwsQuery,
    /// AWS STS `AssumeRoleWithWebIdentity`.
    AwsWebIdentity,
    /// IBM's token endpoint.
    Ibm,
    /// OAuth 2.0 token exchange.
    TokenExchange,
}

impl Door {
    /// All of them.
    pub const ALL: [Self; 4] =
        [Self::AwsQuery, Self::AwsWebIdentity, Self::Ibm, Self::TokenExchange];

    /// The spelling in events and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AwsQuery => "assume_role",
            Self::AwsWebIdentity => "assume_role_with_web_identity",
            Self::Ibm => "ibm",
            Self::TokenExchange => "token_exchange",
        }
    }

    /// The action that is asked for by it.
    pub fn action(self) -> &'static str {
        match self {
            Self::AwsWebIdentity => "sts:AssumeRoleWithWebIdentity",
            Self::AwsQuery | Self::Ibm | Self::TokenExchange => "sts:AssumeRole",
        }
    }
}

/// Why an attempt ended as it did; a fixed set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is its spelling")]
pub enum AssumeReason {
    PolicyAllow,
    ProfileTrusts,
    PolicyExplicitDeny,
    PolicyImplicitDeny,
    ProfileDoesNotTrust,
    UnknownRole,
    InvalidRequest,
    InvalidDuration,
    InvalidTags,
    InvalidSourceIdentity,
    MalformedPolicy,
    PolicyTooLarge,
    NoToken,
    InvalidToken,
    ExpiredToken,
    RevokedSession,
    KeysUnavailable,
    Unavailable,
}

impl AssumeReason {
    /// All of them.
    pub const ALL: [Self; 18] = [
        Self::PolicyAllow,
        Self::ProfileTrusts,
        Self::PolicyExplicitDeny,
        Self::PolicyImplicitDeny,
        Self::ProfileDoesNotTrust,
        Self::UnknownRole,
        Self::InvalidRequest,
        Self::InvalidDuration,
        Self::InvalidTags,
        Self::InvalidSourceIdentity,
        Self::MalformedPolicy,
        Self::PolicyTooLarge,
        Self::NoToken,
        Self::InvalidToken,
        Self::ExpiredToken,
        Self::RevokedSession,
        Self::KeysUnavailable,
        Self::Unavailable,
    ];

    /// The spelling in events.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PolicyAllow => "policy_allow",
            Self::ProfileTrusts => "profile_trusts",
            Self::PolicyExplicitDeny => "policy_explicit_deny",
            Self::PolicyImplicitDeny => "policy_implicit_deny",
            Self::ProfileDoesNotTrust => "profile_does_not_trust",
            Self::UnknownRole => "unknown_role",
            Self::InvalidRequest => "invalid_request",
            Self::InvalidDuration => "invalid_duration",
            Self::InvalidTags => "invalid_tags",
            Self::InvalidSourceIdentity => "invalid_source_identity",
            Self::MalformedPolicy => "malformed_policy",
            Self::PolicyTooLarge => "policy_too_large",
            Self::NoToken => "no_token",
            Self::InvalidToken => "invalid_token",
            Self::ExpiredToken => "expired_token",
            Self::RevokedSession => "revoked_session",
            Self::KeysUnavailable => "keys_unavailable",
            Self::Unavailable => "unavailable",
        }
    }

    /// Whether the caller was refused for who it is, whatever the protocol's status says: IBM's and
    /// OAuth's is 400 for everything.
    pub fn is_denial(self) -> bool {
        match self {
            Self::PolicyExplicitDeny
            | Self::PolicyImplicitDeny
            | Self::ProfileDoesNotTrust
            | Self::UnknownRole
            | Self::NoToken
            | Self::InvalidToken
            | Self::ExpiredToken
            | Self::RevokedSession => true,
            Self::PolicyAllow
            | Self::ProfileTrusts
            | Self::InvalidRequest
            | Self::InvalidDuration
            | Self::InvalidTags
            | Self::InvalidSourceIdentity
            | Self::MalformedPolicy
            | Self::PolicyTooLarge
            | Self::KeysUnavailable
            | Self::Unavailable => false,
        }
    }
}

/// Something that was noticed about attempts, borrowed.
#[derive(Clone, Copy, Debug)]
pub struct DetectionEvent<'a> {
    /// Time-ordered and unique (`UUIDv7`).
    pub id: Uuid,
    /// When it was noticed.
    pub time: UnixMillis,
    /// That of the attempt which completed it; empty: the event's id.
    pub correlation_id: &'a str,
    /// What.
    pub name: DetectionName,
    /// What it is about.
    pub subject: DetectionSubject,
    /// How many, or how long in seconds.
    pub count: u32,
    /// Who made the attempt; `None` where the token proves nobody.
    pub initiator: Option<&'a Identity>,
    /// The account that owns the role; none where the request names none.
    pub owner: Option<AccountId>,
    /// The role's ARN, as in the attempt's event.
    pub role: &'a str,
    /// What the attempt was of.
    pub target: AssumeTarget,
    /// The client's address.
    pub source_ip: IpAddr,
    /// The client's `user-agent`, unchecked.
    pub agent: &'a str,
    /// The snapshot's revision.
    pub revision: u64,
}

/// What a detection is about, of what the attempt names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DetectionSubject {
    /// The client's address: the token proves nobody.
    Address,
    /// Who asked.
    Principal,
    /// The role or profile, whoever asked.
    Role,
}

impl DetectionSubject {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Address, Self::Principal, Self::Role];

    /// The spelling in events.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Principal => "principal",
            Self::Role => "role",
        }
    }
}

/// What can be noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each is its spelling")]
pub enum DetectionName {
    BreakGlass,
    ExternalIdGuessing,
    FailedAssume,
    LongSession,
    NewAccount,
    NewAddress,
}

impl DetectionName {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::BreakGlass,
        Self::ExternalIdGuessing,
        Self::FailedAssume,
        Self::LongSession,
        Self::NewAccount,
        Self::NewAddress,
    ];

    /// The spelling in metrics and in the event's data.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BreakGlass => "break_glass",
            Self::ExternalIdGuessing => "external_id_guessing",
            Self::FailedAssume => "failed_assume",
            Self::LongSession => "long_session",
            Self::NewAccount => "new_account",
            Self::NewAddress => "new_address",
        }
    }

    /// `action` of its events.
    pub const fn action(self) -> &'static str {
        match self {
            Self::BreakGlass => "crossgate.detection.break_glass",
            Self::ExternalIdGuessing => "crossgate.detection.external_id_guessing",
            Self::FailedAssume => "crossgate.detection.failed_assume",
            Self::LongSession => "crossgate.detection.long_session",
            Self::NewAccount => "crossgate.detection.new_account",
            Self::NewAddress => "crossgate.detection.new_address",
        }
    }
}
