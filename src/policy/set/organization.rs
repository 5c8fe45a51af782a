//! The organization: guardrails by account.

use std::collections::HashMap;

use foldhash::fast::FixedState;

use crate::iam::AccountId;
use crate::policy::question::Level;

/// An organization, flattened: what applies to each of its accounts.
#[derive(Debug, Default)]
pub struct Organization {
    /// Its id, `o-…`.
    pub id: Box<str>,
    /// The account that no service control policy limits.
    pub management_account: Option<AccountId>,
    /// By account.
    pub accounts: HashMap<AccountId, Membership, FixedState>,
}

/// An account's place in the organization.
#[derive(Debug, Default)]
pub struct Membership {
    /// Service control policies from the root down; empty: no limit.
    pub scp: Box<[Level]>,
    /// Resource control policies from the root down; empty: no limit.
    pub rcp: Box<[Level]>,
    /// The path of `aws:PrincipalOrgPaths`, for example `o-x/root/workloads/`.
    pub paths: Box<[Box<str>]>,
    /// The names of the levels, in the order of `scp`, for people.
    pub levels: Box<[Box<str>]>,
}

impl Organization {
    /// The service control policies of a caller's account; none: no limit.
    pub fn scp(&self, account: AccountId) -> &[Level] {
        self.limited(account).map_or(&[], |membership| &*membership.scp)
    }

    /// The resource control policies of an owner's account; none: no limit.
    pub fn rcp(&self, account: AccountId) -> &[Level] {
        self.limited(account).map_or(&[], |membership| &*membership.rcp)
    }

    /// An account's place, unless it is the management account, which nothing limits.
    fn limited(&self, account: AccountId) -> Option<&Membership> {
        self.accounts.get(&account).filter(|_| self.management_account != Some(account))
    }
}
