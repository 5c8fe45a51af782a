//! What a readiness report says.

use crate::clock::UnixMillis;
use crate::event::report::{Coverage, Histogram};

/// The answer for one owner account.
#[derive(Clone, Debug)]
pub struct ReadinessReport {
    /// The owner account.
    pub account: String,
    /// May it go to `limited`?
    pub readiness: Readiness,
    /// When it was observed, if ever.
    pub observed: Option<Observed>,
    /// What of the time is covered.
    pub coverage: Coverage,
    /// Days of the window by what is known of them.
    pub days: Days,
    /// Who would be denied, most requests first.
    pub denials: Vec<AccountDenials>,
    /// Would-be denials that are in no group, as there are too many groups.
    pub ungrouped_denials: u64,
    /// Would-be denials over time, by caller account.
    pub over_time: Histogram,
    /// What the allowlist admitted, most requests first.
    pub admitted: Vec<Admitted>,
    /// The allowlist, where the setting is known.
    pub allowlist: Option<Allowlist>,
    /// Caller accounts that came on the allowlist, in the order of time.
    pub added: Vec<Added>,
    /// Denials that were enforced.
    pub enforced_denials: u64,
    /// Would-be denials of a candidate that the setting in force denied too; they are in no group.
    pub already_denied: u64,
}

/// May the account go to `limited`?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// Nothing was ever observed.
    NeverObserved,
    /// Nobody would be denied who isn't admitted by now.
    Ready,
    /// Somebody would be denied.
    WouldDeny {
        /// How many requests.
        requests: u64,
        /// From how many caller accounts.
        accounts: usize,
    },
}

/// When and by which setting an account was observed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed {
    /// The setting that was asked.
    pub by: ObservedBy,
    /// The first event.
    pub first: UnixMillis,
    /// The last event.
    pub last: UnixMillis,
    /// Days with an event.
    pub days: usize,
}

/// Which setting was observed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObservedBy {
    /// The proposed setting.
    Candidate,
    /// The setting in force, in report-only.
    ReportOnly,
}

/// How many days of a window are known how; each is counted once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Days {
    /// With an event of the account.
    pub with_events: usize,
    /// Observed all day, no event missing, and without an event of the account.
    pub quiet: usize,
    /// Without an event of the account, and not observed all day.
    pub part: usize,
    /// Not observed at all.
    pub uncovered: usize,
}

/// Would-be denials of one caller account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountDenials {
    /// The caller account; empty for tokens without one.
    pub caller: String,
    /// How many requests.
    pub requests: u64,
    /// The first of them.
    pub first: UnixMillis,
    /// The last of them.
    pub last: UnixMillis,
    /// By identity, most requests first.
    pub identities: Vec<IdentityDenials>,
    /// What to do about it.
    pub suggestion: Suggestion,
}

/// Would-be denials of one identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityDenials {
    /// `user`, `service_id` or `service`.
    pub identity_type: String,
    /// The identity's id.
    pub id: String,
    /// Its name for people; may be empty.
    pub name: String,
    /// How many requests.
    pub requests: u64,
    /// The first of them.
    pub first: UnixMillis,
    /// The last of them.
    pub last: UnixMillis,
    /// By resource, most requests first.
    pub resources: Vec<ResourceDenials>,
    /// Requests for further resources, which are too many to be told apart.
    pub other_resources: u64,
}

/// Would-be denials of one identity for one resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceDenials {
    /// The resource.
    pub id: String,
    /// How many requests.
    pub requests: u64,
    /// The first of them.
    pub first: UnixMillis,
    /// The last of them.
    pub last: UnixMillis,
}

/// What the allowlist admitted of one caller account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admitted {
    /// The caller account.
    pub caller: String,
    /// How many requests.
    pub requests: u64,
    /// The first of them.
    pub first: UnixMillis,
    /// The last of them.
    pub last: UnixMillis,
    /// Of how many identities, up to [`crate::event::report::IDENTITIES_MAX`].
    pub identities: usize,
    /// Of which identity types.
    pub types: Vec<String>,
}

/// The allowlist of a known setting, beside what was recorded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allowlist {
    /// How many entries it has.
    pub entries: usize,
    /// Those that admitted nobody while their permits were recorded.
    pub admitted_nobody: Vec<String>,
    /// Those whose permits the present mode does not record, and that have none.
    pub cannot_tell: Vec<String>,
    /// Identity types whose callers the present setting does not record.
    pub unobserved_types: Vec<&'static str>,
}

/// A caller account that came on the allowlist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Added {
    /// The caller account.
    pub caller: String,
    /// For this identity type.
    pub identity_type: String,
    /// When.
    pub at: UnixMillis,
    /// How that is known.
    pub by: AddedBy,
    /// Its denials before.
    pub denials_before: u64,
    /// Its permits since then, each a denial without the addition.
    pub permits: u64,
    /// The last of them.
    pub last: Option<UnixMillis>,
}

/// How it is known that an account came on an allowlist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddedBy {
    /// It was denied before and permitted then: at that time at the latest.
    FirstPermit,
    /// An update event tells.
    Update,
}

/// What to do about an account's would-be denials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suggestion {
    /// Put the account on the allowlist: many of its identities come.
    Allowlist,
    /// Nothing: many identities come, with no account that could be admitted.
    LeaveNoAccount,
    /// Nothing: the account was admitted since.
    LeaveResolved,
    /// A trusted profile for the few identities that come.
    TrustedProfile,
}

impl Suggestion {
    /// Whether the account would still be denied.
    pub(super) fn is_open(self) -> bool {
        match self {
            Self::Allowlist | Self::LeaveNoAccount | Self::TrustedProfile => true,
            Self::LeaveResolved => false,
        }
    }

    /// The suggestion's name for programs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allowlist => "allowlist",
            Self::LeaveNoAccount | Self::LeaveResolved => "leave",
            Self::TrustedProfile => "trusted_profile",
        }
    }

    /// What to do, for people.
    pub fn what(self) -> &'static str {
        match self {
            Self::Allowlist => "put it on the allowlist",
            Self::LeaveNoAccount | Self::LeaveResolved => "leave it",
            Self::TrustedProfile => "make a trusted profile",
        }
    }

    /// The suggestion's reason.
    pub fn why(self) -> &'static str {
        match self {
            Self::Allowlist => "many identities of the account come",
            Self::LeaveNoAccount => "the token has no account that could be admitted",
            Self::LeaveResolved => "the account was admitted since",
            Self::TrustedProfile => "few identities of the account come",
        }
    }
}

impl AddedBy {
    /// The name for programs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::FirstPermit => "first_permit",
            Self::Update => "update",
        }
    }
}

impl ObservedBy {
    /// The name for programs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Candidate => "candidate",
            Self::ReportOnly => "report-only",
        }
    }
}
