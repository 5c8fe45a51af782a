//! All policies in force: by account, principal, resource, key and organization.
//!
//! Flows in: compiled accounts. Flows out: the policies that apply to one question. Shared between
//! revisions: a change of one account replaces that account only.

mod account;
mod organization;

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::FixedState;

pub use account::{AccountPolicies, PrincipalEntry, ResourceEntry, Tag};
pub use organization::Organization;

use crate::iam::{AccountId, Action, Arn};
use crate::policy::principal::Principal;
use crate::policy::question::{Policies, Resource};
use crate::verdict::Mode;

/// The enforced and the proposed policies, and how they count.
#[derive(Clone, Debug)]
pub struct PolicySets {
    /// What a denial by the enforced policies does.
    pub mode: Mode,
    /// The policies in force.
    pub enforced: Arc<PolicySet>,
    /// The proposed policies, where there are any; never enforced.
    pub candidate: Option<Arc<PolicySet>>,
}

/// One whole set of policies.
#[derive(Clone, Debug, Default)]
pub struct PolicySet {
    /// By account; a fixed hasher, since nobody who asks picks the entries.
    pub accounts: HashMap<AccountId, Arc<AccountPolicies>, FixedState>,
    /// The organization, where one is described.
    pub organization: Option<Arc<Organization>>,
    /// What counts for callers of accounts whose policies are not here.
    pub unknown_callers: UnknownCallers,
}

/// What counts for a caller whose account's policies are not in the set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum UnknownCallers {
    /// They lack an identity policy.
    #[default]
    Deny,
    /// The owner's side alone decides.
    ResourcePolicyDecides,
}

/// What to look up for one question.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// Who asks.
    pub principal: Principal<'a>,
    /// To do what.
    pub action: &'a Action,
    /// On what.
    pub resource: Resource<'a>,
    /// The account that owns it.
    pub owner: AccountId,
    /// What is done with the resource's key, if it has one.
    pub key_action: Option<&'a Action>,
}

/// What a set holds for one question.
#[derive(Clone, Copy, Debug)]
pub struct Applicable<'s> {
    /// The policies that apply.
    pub policies: Policies<'s>,
    /// The caller, if the set knows it: for tags and ids.
    pub caller: Option<&'s PrincipalEntry>,
    /// The resource, if the set knows it: for tags.
    pub resource: Option<&'s ResourceEntry>,
}

impl PolicySet {
    /// What applies to a question: a few look-ups by hash, no allocation.
    ///
    /// For a role's ARN and an action of `sts` the resource's policy is the role's trust policy;
    /// for a key's ARN it is the key's policy.
    pub fn applicable<'s>(&'s self, asked: &Asked<'s>) -> Applicable<'s> {
        let _ = asked;
        Applicable { policies: Policies::NONE, caller: None, resource: None }
    }

    /// A caller's entry, if its account is here and has it.
    pub fn principal(&self, principal: &Principal<'_>) -> Option<&PrincipalEntry> {
        let _ = principal;
        None
    }

    /// The most specific entry for a resource of an owner.
    pub fn resource(&self, owner: AccountId, arn: Arn<'_>) -> Option<&ResourceEntry> {
        let _ = (owner, arn);
        None
    }
}
