//! What a decision says: permit or deny, enforced or shadow, and why.

/// The answer of one layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub enum Decision {
    /// The request may pass.
    Permit,
    /// The request may not pass.
    Deny,
}

impl Decision {
    /// The spelling in events.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Permit => "Permit",
            Self::Deny => "Deny",
        }
    }
}

/// Whether a decision binds the request or is only recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Enforcement {
    /// It is what happens to the request.
    Enforced,
    /// It is only recorded.
    Shadow,
}

/// The rollout stage of a perimeter setting or of policies.
///
/// In the order of an administrator's rollout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Every account may come in; nothing is recorded.
    #[default]
    Unrestricted,
    /// Nothing is blocked; each permit and each would-be denial is recorded.
    ReportOnly,
    /// Only admitted accounts come in; denials are recorded.
    Limited,
}

impl Mode {
    /// All modes.
    pub const ALL: [Self; 3] = [Self::Unrestricted, Self::ReportOnly, Self::Limited];

    /// The spelling in settings, events and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unrestricted => "unrestricted",
            Self::ReportOnly => "report-only",
            Self::Limited => "limited",
        }
    }

    /// Whether a decision in this mode binds the request.
    pub fn enforcement(self) -> Enforcement {
        match self {
            Self::Unrestricted | Self::ReportOnly => Enforcement::Shadow,
            Self::Limited => Enforcement::Enforced,
        }
    }

    /// Whether a decision in this mode makes an event: report-only reports both, limited only
    /// denials, unrestricted nothing.
    pub fn reports(self, decision: Decision) -> bool {
        match (self, decision) {
            (Self::ReportOnly, Decision::Permit | Decision::Deny)
            | (Self::Limited, Decision::Deny) => true,
            (Self::Unrestricted, Decision::Permit | Decision::Deny)
            | (Self::Limited, Decision::Permit) => false,
        }
    }
}

/// Which check decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Layer {
    /// The account check.
    Perimeter,
    /// The IAM policy evaluation.
    Policy,
}

impl Layer {
    /// The spelling in events and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Perimeter => "perimeter",
            Self::Policy => "policy",
        }
    }
}

/// Why a layer decided so; a fixed set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// The caller account is on the owner's allowlist.
    AccountAllowlisted,
    /// The caller account is neither the owner nor on its allowlist.
    AccountNotAllowed,
    /// The token is scoped to no account.
    NoAccount,
}

impl Reason {
    /// The spelling in events.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AccountAllowlisted => "account_allowlisted",
            Self::AccountNotAllowed => "account_not_allowed",
            Self::NoAccount => "no_account",
        }
    }
}

/// One setting's answer to one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Verdict {
    /// What the setting says.
    pub decision: Decision,
    /// Why.
    pub reason: Reason,
    /// The mode of the setting that was asked.
    pub mode: Mode,
}

impl Verdict {
    /// Whether the request ends here: a denial that is enforced.
    pub fn rejects(self) -> bool {
        match (self.decision, self.mode.enforcement()) {
            (Decision::Deny, Enforcement::Enforced) => true,
            (Decision::Deny, Enforcement::Shadow)
            | (Decision::Permit, Enforcement::Enforced | Enforcement::Shadow) => false,
        }
    }

    /// Whether this verdict, as the enforced setting's, makes an event.
    pub fn reported(self) -> bool {
        self.mode.reports(self.decision)
    }
}
