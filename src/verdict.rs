//! What a decision says: permit or deny, enforced or shadow, and why.

/// The answer of one layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
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

/// Whether a setting is in force or proposed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Standing {
    /// It is in force.
    Enforced,
    /// It is proposed: evaluated beside the one in force, never enforced.
    Candidate,
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
    /// Every side that must grant does, and none denies.
    PolicyAllow,
    /// A statement denies.
    PolicyExplicitDeny,
    /// A side that must grant does not.
    PolicyImplicitDeny,
    /// The setting restricts nobody; such a verdict makes no event.
    Unrestricted,
}

impl Reason {
    /// The spelling in events.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AccountAllowlisted => "account_allowlisted",
            Self::AccountNotAllowed => "account_not_allowed",
            Self::NoAccount => "no_account",
            Self::PolicyAllow => "policy_allow",
            Self::PolicyExplicitDeny => "policy_explicit_deny",
            Self::PolicyImplicitDeny => "policy_implicit_deny",
            Self::Unrestricted => "unrestricted",
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

    /// Whether this verdict makes an event. A candidate reports both answers, because nothing
    /// else would tell what it would do.
    pub fn reported(self, standing: Standing) -> bool {
        match standing {
            Standing::Enforced => self.mode.reports(self.decision),
            Standing::Candidate => self.mode != Mode::Unrestricted,
        }
    }
}

/// What became of a request, as a metric label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the label")]
pub enum Outcome {
    Forwarded,
    Unauthenticated,
    ExternalAccountDenied,
    PolicyDenied,
    NoRoute,
    BadRequest,
    HeadersTooLarge,
    KeysUnavailable,
    Overloaded,
    ClientTimeout,
    UpstreamError,
    UpstreamTimeout,
    EventLogFull,
}

impl Outcome {
    /// How many outcomes there are.
    pub const COUNT: usize = 13;

    /// The label, which is also the problem's `code`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Forwarded => "forwarded",
            Self::Unauthenticated => "unauthenticated",
            Self::ExternalAccountDenied => "external_account_denied",
            Self::PolicyDenied => "policy_denied",
            Self::NoRoute => "no_route",
            Self::BadRequest => "bad_request",
            Self::HeadersTooLarge => "headers_too_large",
            Self::KeysUnavailable => "keys_unavailable",
            Self::Overloaded => "overloaded",
            Self::ClientTimeout => "client_timeout",
            Self::UpstreamError => "upstream_error",
            Self::UpstreamTimeout => "upstream_timeout",
            Self::EventLogFull => "event_log_full",
        }
    }

    /// The outcome's position below [`Outcome::COUNT`].
    pub fn index(self) -> usize {
        match self {
            Self::Forwarded => 0,
            Self::Unauthenticated => 1,
            Self::ExternalAccountDenied => 2,
            Self::PolicyDenied => 3,
            Self::NoRoute => 4,
            Self::BadRequest => 5,
            Self::HeadersTooLarge => 6,
            Self::KeysUnavailable => 7,
            Self::Overloaded => 8,
            Self::ClientTimeout => 9,
            Self::UpstreamError => 10,
            Self::UpstreamTimeout => 11,
            Self::EventLogFull => 12,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_have_their_own_places() {
        let all = [
            Outcome::Forwarded,
            Outcome::Unauthenticated,
            Outcome::ExternalAccountDenied,
            Outcome::PolicyDenied,
            Outcome::NoRoute,
            Outcome::BadRequest,
            Outcome::HeadersTooLarge,
            Outcome::KeysUnavailable,
            Outcome::Overloaded,
            Outcome::ClientTimeout,
            Outcome::UpstreamError,
            Outcome::UpstreamTimeout,
            Outcome::EventLogFull,
        ];
        let places: Vec<usize> = all.iter().map(|outcome| outcome.index()).collect();
        assert_eq!(places, (0..Outcome::COUNT).collect::<Vec<_>>());
    }
}
