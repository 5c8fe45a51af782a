//! What the policies of all sides make together (facts: iam.md section 4).

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
