//! All policies in force: by account, principal, resource, key and organization.
//!
//! Flows in: compiled accounts. Flows out: the policies that apply to one question. Shared between
//! revisions: a change of one account replaces that account only.

mod account;
mod organization;
mod resources;

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::FixedState;

pub use account::{
    AccountError, AccountParts, AccountPolicies, KeyEntry, PrincipalEntry, Profile, ResourceEntry,
    Tag, Trusted,
};
pub use organization::{Membership, Organization};
pub(in crate::policy) use resources::{check_pattern, compared};

use crate::iam::{AccountId, Action, Arn, Session, SessionPolicies};
use crate::policy::principal::{Principal, PrincipalKind};
use crate::policy::question::{IdentitySide, KeyGate, Level, Policies, Resource, SessionSide};
use crate::policy::statement::CompiledPolicy;
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
    // The accounts of trusted profiles, by the profiles' ids; none for an id that several have.
    profiles: HashMap<Box<str>, Option<AccountId>, FixedState>,
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
    /// The caller's session, where its token tells of one: whose it is, and what limits it.
    pub session: Option<&'a Session>,
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
    /// The role that is the resource of an action of `sts`: for tags.
    pub role: Option<&'s PrincipalEntry>,
}

impl PolicySet {
    /// A set of accounts, with what is looked up across them. Costs a look at each account.
    pub fn new(
        accounts: HashMap<AccountId, Arc<AccountPolicies>, FixedState>,
        organization: Option<Arc<Organization>>,
        unknown_callers: UnknownCallers,
    ) -> Self {
        let mut profiles = HashMap::default();
        for (id, account) in &accounts {
            for profile in account.profiles() {
                let owner = profiles.entry(profile.id.clone()).or_insert(Some(*id));
                *owner = owner.filter(|owner| owner == id);
            }
        }
        Self { accounts, organization, unknown_callers, profiles }
    }

    /// A trusted profile and its account, by the profile's id without `iam-`.
    pub fn profile(&self, id: &str) -> Option<(AccountId, &PrincipalEntry)> {
        let account = (*self.profiles.get(id)?)?;
        let all = self.accounts.get(&account)?.profiles().iter();
        let entry = all.map(|entry| &**entry).find(|entry| *entry.id == *id)?;
        Some((account, entry))
    }

    /// What applies to a question: a few look-ups by hash, no allocation.
    ///
    /// For a role's ARN and an action of `sts` the resource's policy is the role's trust policy;
    /// for a key's ARN it is the key's policy.
    pub fn applicable<'s>(&'s self, asked: &Asked<'s>) -> Applicable<'s> {
        let account = asked.principal.account.and_then(|text| AccountId::parse(text).ok());
        let known = account.and_then(|account| self.known_account(account));
        let caller = known.and_then(|account| account.principal(&asked.principal));
        // A role that took the name of the session's own, at another path, is another role.
        let caller = caller.filter(|entry| asked.session.is_none_or(|own| *entry.arn == *own.role));
        let (resource, role, policy) = self.owned(asked);
        // A session's name does not tell its role's path; the role's entry does.
        let is_role = asked.principal.role.is_some();
        let is_limited = !(is_role && caller.is_some_and(|entry| entry.is_service_linked()));
        let gate = |action| self.key_gate(resource?, action, is_limited);
        let key = asked.key_action.and_then(gate);
        let policies = Policies {
            identity: match (is_account_principal(asked.principal.kind), known, caller) {
                (true, None, _) => self.unknown_callers.side(),
                (_, _, Some(entry)) => IdentitySide::Known(&entry.policies),
                (true | false, _, None) => IdentitySide::Known(&[]),
            },
            resource: policy,
            boundary: caller.and_then(|entry| entry.boundary.as_ref()).map(<[_; 1]>::as_slice),
            scp: if is_limited { self.scp(account) } else { &[] },
            rcp: if is_limited { self.rcp(asked.owner) } else { &[] },
            key,
            session: asked
                .session
                .and_then(|own| own.policies.as_ref())
                .map(|limits| session_side(limits, known)),
            ..Policies::NONE
        };
        Applicable { policies, caller: caller.map(|entry| &**entry), resource, role }
    }

    /// A caller's entry, if its account is here and has it.
    pub fn principal(&self, principal: &Principal<'_>) -> Option<&PrincipalEntry> {
        let account = AccountId::parse(principal.account?).ok()?;
        self.known_account(account)?.principal(principal).map(|entry| &**entry)
    }

    /// The most specific entry for a resource of an owner.
    pub fn resource(&self, owner: AccountId, arn: Arn<'_>) -> Option<&ResourceEntry> {
        self.accounts.get(&owner)?.resource(arn).map(|entry| &**entry)
    }

    /// A role and its trust policy, by the role's ARN.
    pub fn role(&self, arn: Arn<'_>) -> Option<&PrincipalEntry> {
        let account = AccountId::parse(arn.account()).ok()?;
        self.accounts.get(&account)?.role(arn).map(|entry| &**entry)
    }

    /// A key, in the account that its ARN names.
    pub fn key(&self, arn: Arn<'_>) -> Option<&KeyEntry> {
        let account = AccountId::parse(arn.account()).ok()?;
        self.accounts.get(&account)?.key(arn).map(|entry| &**entry)
    }

    /// An account, if its principals are known.
    fn known_account(&self, account: AccountId) -> Option<&AccountPolicies> {
        let account = self.accounts.get(&account)?;
        account.knows_principals().then_some(&**account)
    }

    /// What the owner's account says of the resource.
    fn owned(
        &self,
        asked: &Asked<'_>,
    ) -> (Option<&ResourceEntry>, Option<&PrincipalEntry>, Option<&CompiledPolicy>) {
        let (Resource::Named(arn), Some(owner)) = (asked.resource, self.accounts.get(&asked.owner))
        else {
            return (None, None, None);
        };
        let resource = owner.resource(arn).map(|entry| &**entry);
        if asked.action.service() == "sts" && arn.is_role() {
            let role = owner.role(arn).map(|entry| &**entry);
            return (resource, role, role.and_then(|role| role.trust.as_deref()));
        }
        let policy = if arn.is_key() {
            owner.key(arn).map(|key| &*key.policy)
        } else {
            resource.and_then(|entry| entry.policy.as_deref())
        };
        (resource, None, policy)
    }

    /// The key of a resource; one that is not here has no policy, which lets nobody use it.
    fn key_gate<'s>(
        &'s self,
        resource: &'s ResourceEntry,
        action: &'s Action,
        is_limited: bool,
    ) -> Option<KeyGate<'s>> {
        let arn = Arn::parse(resource.key.as_deref()?)?;
        let policy = self.key(arn).map(|key| &*key.policy);
        let account = AccountId::parse(arn.account()).ok();
        let rcp = account.filter(|_| is_limited).map_or::<&[Level], _>(&[], |id| self.rcp(id));
        Some(KeyGate { arn, account: arn.account(), action, policy, rcp })
    }

    fn scp(&self, account: Option<AccountId>) -> &[Level] {
        match (&self.organization, account) {
            (Some(organization), Some(account)) => organization.scp(account),
            (Some(_), None) | (None, _) => &[],
        }
    }

    fn rcp(&self, owner: AccountId) -> &[Level] {
        self.organization.as_ref().map_or(&[], |organization| organization.rcp(owner))
    }
}

impl UnknownCallers {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Deny, Self::ResourcePolicyDecides];

    /// The spelling in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Deny => "deny",
            Self::ResourcePolicyDecides => "resource_policy_decides",
        }
    }

    fn side(self) -> IdentitySide<'static> {
        match self {
            Self::Deny => IdentitySide::UnknownDenies,
            Self::ResourcePolicyDecides => IdentitySide::UnknownResourceDecides,
        }
    }
}

/// A session's policies; those that it names are of its role's account.
fn session_side<'s>(
    limits: &'s SessionPolicies,
    account: Option<&'s AccountPolicies>,
) -> SessionSide<'s> {
    let inline = limits.inline.as_ref().map_or::<&[_], _>(&[], |inline| &inline.compiled);
    let mut side = SessionSide::inline(inline);
    for (place, arn) in side.managed.iter_mut().zip(&limits.managed) {
        *place = account.and_then(|account| account.managed(arn));
    }
    side
}

/// Whether such a principal is its account's, so that it counts whether that account is known.
fn is_account_principal(kind: PrincipalKind) -> bool {
    match kind {
        PrincipalKind::AssumedRole
        | PrincipalKind::FederatedUser
        | PrincipalKind::Role
        | PrincipalKind::Root
        | PrincipalKind::User => true,
        PrincipalKind::Anonymous | PrincipalKind::Service | PrincipalKind::WebIdentity => false,
    }
}

#[cfg(test)]
mod tests;
