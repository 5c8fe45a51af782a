//! What the policies of all sides make together (facts: iam.md section 4).
//!
//! Flows in: which sides allow, and how the resource's side means the principal. Flows out: by which
//! side the request is granted, or which sides lack a grant. Denies are settled before.

use crate::policy::context::Context;
use crate::policy::principal::{Principal, PrincipalKind, PrincipalMatch};
use crate::policy::question::{IdentitySide, Policies, Question};

/// Which sides allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is one side of the intersection")]
pub(crate) struct Sides {
    /// Every level above the principal's account, or there is none.
    pub(crate) scp: bool,
    /// Every level above the owner's account, or there is none.
    pub(crate) rcp: bool,
    /// How the resource's policy means the principal in what it allows.
    pub(crate) resource: Option<PrincipalMatch>,
    /// The principal's own policies.
    pub(crate) identity: bool,
    /// The boundary, or there is none.
    pub(crate) boundary: bool,
    /// The session's policies, or there are none.
    pub(crate) session: bool,
    /// The endpoint's policies, or there are none.
    pub(crate) endpoint: bool,
}

/// Where the principal stands to the resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    /// In no account: the resource's side alone decides, and must mean it directly.
    Outside,
    /// In an account whose policies are not known: the resource's side alone decides, within what
    /// limits the session.
    Unknown,
    /// In the owner's account: one side is enough.
    SameAccount,
    /// In another account: both sides must grant.
    CrossAccount,
}

/// What the policy of a resource is to a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResourceSide {
    /// A grant beside the identity's.
    Ordinary,
    /// The policy of a key: without it nothing is granted.
    Key,
    /// The trust policy of a role: without it nothing is granted.
    Trust,
}

/// By which side a request is granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Granted {
    /// The principal's own policies.
    Identity,
    /// The resource's policy.
    Resource,
    /// Both, across accounts.
    Both,
}

impl Who {
    pub(crate) fn of<C: Context + ?Sized>(
        question: &Question<'_, C>,
        policies: &Policies<'_>,
    ) -> Self {
        if !question.principal.kind.has_own_policies() {
            return Self::Outside;
        }
        match policies.identity {
            IdentitySide::UnknownResourceDecides => Self::Unknown,
            _ if question.is_same_account() => Self::SameAccount,
            _ => Self::CrossAccount,
        }
    }
}

impl PrincipalKind {
    /// Whether such a principal has policies of its own, which limit and grant.
    pub(crate) fn has_own_policies(self) -> bool {
        match self {
            Self::AssumedRole | Self::FederatedUser | Self::Role | Self::Root | Self::User => true,
            Self::Anonymous | Self::Service | Self::WebIdentity => false,
        }
    }
}

impl Principal<'_> {
    /// Whether this is an account's root user: its own account grants it everything.
    pub(crate) fn is_root(&self) -> bool {
        self.kind == PrincipalKind::Root
    }
}

/// What the sides make together.
///
/// # Errors
/// The first layer, in the order of evaluation, that lacks a grant, and all sides that do.
pub(crate) fn combine(
    who: Who,
    resource_side: ResourceSide,
    sides: Sides,
) -> Result<Granted, (PolicyLayer, Missing)> {
    let granted = grant(who, resource_side, sides);
    let mut missing = granted.err().unwrap_or_default();
    for (allows, side) in
        [(sides.scp, Side::Scp), (sides.rcp, Side::Rcp), (sides.endpoint, Side::Endpoint)]
    {
        missing.add_unless(allows, side);
    }
    match granted {
        Ok(granted) if missing.is_empty() => Ok(granted),
        Ok(_) | Err(_) => Err((missing.first_layer(), missing)),
    }
}

/// Sections 4.2 to 4.4, 5.1 and 6: the resource's side and the principal's.
fn grant(who: Who, resource_side: ResourceSide, sides: Sides) -> Result<Granted, Missing> {
    use PrincipalMatch::{Account, Direct, Session};
    let Sides { resource, identity, boundary, session, .. } = sides;
    let mut limits = Missing::default();
    limits.add_unless(boundary, Side::Boundary);
    limits.add_unless(session, Side::Session);
    let mut own = limits;
    own.add_unless(identity, Side::CallerIdentity);
    let mut theirs = Missing::default();
    theirs.add(resource_side.side());
    match (who, resource) {
        (Who::Outside | Who::SameAccount, Some(Direct)) => Ok(Granted::Resource),
        (Who::Outside, Some(Account | Session) | None) | (Who::Unknown, None) => Err(theirs),
        // What limits a session is in its token, whether its account is known or not.
        (Who::SameAccount, Some(Session)) | (Who::Unknown, Some(_)) => {
            limits.none_or(Granted::Resource)
        }
        (Who::SameAccount, Some(Account)) => own.none_or(Granted::Identity),
        (Who::SameAccount, None) => match resource_side {
            ResourceSide::Ordinary => own.none_or(Granted::Identity),
            ResourceSide::Key | ResourceSide::Trust => Err(theirs),
        },
        (Who::CrossAccount, Some(_)) => own.none_or(Granted::Both),
        (Who::CrossAccount, None) => Err(own.with(theirs)),
    }
}

impl ResourceSide {
    fn side(self) -> Side {
        match self {
            Self::Ordinary => Side::Resource,
            Self::Key => Side::Key,
            Self::Trust => Side::Trust,
        }
    }
}

/// The answer's three values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Every side that must grant does, and none denies.
    Allow,
    /// A statement denies.
    ExplicitDeny,
    /// A side that must grant does not.
    ImplicitDeny,
}

impl Outcome {
    /// The spelling in scenarios.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::ExplicitDeny => "explicit_deny",
            Self::ImplicitDeny => "implicit_deny",
        }
    }
}

/// Which policies decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each is the policy type's name")]
pub enum PolicyLayer {
    Scp,
    Rcp,
    Resource,
    Trust,
    Key,
    Identity,
    Boundary,
    Session,
    Endpoint,
}

impl PolicyLayer {
    /// The spelling in scenarios.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Scp => "scp",
            Self::Rcp => "rcp",
            Self::Resource => "resource",
            Self::Trust => "trust",
            Self::Key => "key",
            Self::Identity => "identity",
            Self::Boundary => "boundary",
            Self::Session => "session",
            Self::Endpoint => "endpoint",
        }
    }
}

/// A side that lacks a grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each is the side's name")]
pub enum Side {
    CallerIdentity,
    Resource,
    Key,
    Trust,
    Scp,
    Rcp,
    Boundary,
    Session,
    Endpoint,
}

impl Side {
    /// All sides, in the order in which they are told.
    pub const ALL: [Self; 9] = [
        Self::CallerIdentity,
        Self::Resource,
        Self::Key,
        Self::Trust,
        Self::Scp,
        Self::Rcp,
        Self::Boundary,
        Self::Session,
        Self::Endpoint,
    ];

    /// The spelling in scenarios and events.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CallerIdentity => "caller identity policy",
            Self::Resource => "resource policy",
            Self::Key => "key policy",
            Self::Trust => "trust policy",
            Self::Scp => "SCP",
            Self::Rcp => "RCP",
            Self::Boundary => "boundary",
            Self::Session => "session policy",
            Self::Endpoint => "endpoint policy",
        }
    }

    fn bit(self) -> u16 {
        match self {
            Self::CallerIdentity => 1,
            Self::Resource => 1 << 1,
            Self::Key => 1 << 2,
            Self::Trust => 1 << 3,
            Self::Scp => 1 << 4,
            Self::Rcp => 1 << 5,
            Self::Boundary => 1 << 6,
            Self::Session => 1 << 7,
            Self::Endpoint => 1 << 8,
        }
    }
}

/// The sides that lack a grant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Missing(u16);

impl Missing {
    /// Adds a side.
    pub fn add(&mut self, side: Side) {
        self.0 |= side.bit();
    }

    fn add_unless(&mut self, allows: bool, side: Side) {
        if !allows {
            self.add(side);
        }
    }

    fn none_or<T>(self, granted: T) -> Result<T, Self> {
        if self.is_empty() { Ok(granted) } else { Err(self) }
    }

    /// The layer of the first side, in the order of evaluation.
    fn first_layer(self) -> PolicyLayer {
        const ORDER: [(Side, PolicyLayer); 9] = [
            (Side::Rcp, PolicyLayer::Rcp),
            (Side::Scp, PolicyLayer::Scp),
            (Side::Resource, PolicyLayer::Resource),
            (Side::Trust, PolicyLayer::Trust),
            (Side::Key, PolicyLayer::Key),
            (Side::CallerIdentity, PolicyLayer::Identity),
            (Side::Boundary, PolicyLayer::Boundary),
            (Side::Session, PolicyLayer::Session),
            (Side::Endpoint, PolicyLayer::Endpoint),
        ];
        let first = ORDER.iter().find(|(side, _)| self.has(*side));
        first.map_or(PolicyLayer::Identity, |(_, layer)| *layer)
    }

    /// Whether a side lacks a grant.
    pub fn has(self, side: Side) -> bool {
        self.0 & side.bit() != 0
    }

    /// Whether no side lacks a grant.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The sides, in order.
    pub fn iter(self) -> impl Iterator<Item = Side> {
        Side::ALL.into_iter().filter(move |side| self.has(*side))
    }

    /// All of both.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// As a number, for frames.
    pub fn bits(self) -> u16 {
        self.0
    }

    /// From a number; unknown bits are dropped.
    pub fn from_bits(bits: u16) -> Self {
        Self(bits & ((1 << Side::ALL.len()) - 1))
    }
}
