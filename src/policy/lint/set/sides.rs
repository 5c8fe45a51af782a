//! Grants to nobody, and cross-account grants of which one side is missing.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::FixedState;

use crate::iam::AccountId;
use crate::policy::document::Negated;
use crate::policy::lint::set::{Guarded, GuardedKind, SetFinding, listed, may_allow, meet, warn};
use crate::policy::principal::{Principal, PrincipalKind};
use crate::policy::set::{AccountPolicies, PolicySet, PrincipalEntry};
use crate::policy::shape::{Shape, Shapes};
use crate::policy::statement::{CompiledPolicy, CompiledStatement, PrincipalPattern};

pub(super) fn check(set: &PolicySet, guarded: &[Guarded<'_>], findings: &mut Vec<SetFinding>) {
    for it in guarded {
        let Some(policy) = it.policy else { continue };
        for statement in policy.allows() {
            let side = OwnerSide { set, guarded: it, policy, statement };
            findings.extend(listed(statement).filter_map(|entry| side.check(entry)));
        }
    }
    let index = Index::of(set, guarded);
    for (account, policies) in &set.accounts {
        for holding in Holding::all(policies) {
            for statement in holding.policy.allows() {
                findings.extend(holding.check(*account, policies, statement, &index));
            }
        }
    }
}

/// A grant by the owner's side.
struct OwnerSide<'s, 'g> {
    set: &'s PolicySet,
    guarded: &'g Guarded<'s>,
    policy: &'s CompiledPolicy,
    statement: &'s CompiledStatement,
}

impl OwnerSide<'_, '_> {
    /// Whether the account that an entry names, if its policies are known, has whom it names, and
    /// allows it too where that is another account.
    fn check(&self, entry: &PrincipalPattern) -> Option<SetFinding> {
        let id = entry.account()?;
        let is_own = id == self.guarded.owner.as_str();
        let account = self.set.accounts.get(&AccountId::parse(id).ok()?)?;
        let is_whole = matches!(entry, PrincipalPattern::Account(_));
        if !account.knows_principals() || is_own && is_whole {
            return None;
        }
        let holders = holders(account, entry);
        let (named, text) = (entry.named(), self.guarded.text);
        if holders.is_empty() {
            return Some(warn(
                self.policy,
                self.statement,
                format!("{named} is let in, and its account has no such principal"),
                "correct the name, or remove it",
            ));
        }
        if is_own {
            return None;
        }
        let actions = Shapes::from(&self.statement.actions);
        let policies = holders.iter().flat_map(|it| &it.policies);
        if may_allow(policies, &actions, &self.guarded.shape) {
            return None;
        }
        Some(warn(
            self.policy,
            self.statement,
            format!("{named} is let in, and no identity policy there allows any of it on `{text}`"),
            "across accounts both sides must allow: grant it there too",
        ))
    }
}

/// Those of an account that an entry names.
fn holders<'s>(account: &'s AccountPolicies, entry: &PrincipalPattern) -> Vec<&'s PrincipalEntry> {
    let all = account.principals().into_iter().map(|it| &**it);
    match entry {
        PrincipalPattern::Account(_) => all.collect(),
        PrincipalPattern::User(arn) | PrincipalPattern::Session(arn) => {
            let principal = PrincipalKind::of(arn).and_then(|it| Principal::new(it, arn, None));
            principal.and_then(|it| account.principal(&it)).map(|it| &**it).into_iter().collect()
        }
        PrincipalPattern::Role { .. } => all
            .filter(|it| principal_of(it).is_some_and(|it| entry.matches(&it).is_some()))
            .collect(),
        PrincipalPattern::Everyone
        | PrincipalPattern::Federated(_)
        | PrincipalPattern::Foreign(_)
        | PrincipalPattern::Service(_) => Vec::new(),
    }
}

fn principal_of(entry: &PrincipalEntry) -> Option<Principal<'_>> {
    Principal::new(PrincipalKind::of(&entry.arn)?, &entry.arn, None)
}

/// An identity policy and who has it.
struct Holding<'s> {
    policy: &'s CompiledPolicy,
    holders: Vec<&'s PrincipalEntry>,
}

impl<'s> Holding<'s> {
    fn all(account: &'s AccountPolicies) -> Vec<Self> {
        let mut all: Vec<Self> = Vec::new();
        let mut places: HashMap<*const CompiledPolicy, usize, FixedState> = HashMap::default();
        for entry in account.principals() {
            for policy in &entry.policies {
                let place = *places.entry(Arc::as_ptr(policy)).or_insert(all.len());
                match all.get_mut(place) {
                    Some(holding) => holding.holders.push(entry),
                    None => all.push(Self { policy, holders: vec![entry] }),
                }
            }
        }
        all
    }

    /// Whether the owners of the resources that a statement names let any holder in.
    fn check(
        &self,
        account: AccountId,
        own: &AccountPolicies,
        statement: &CompiledStatement,
        index: &Index<'_, '_>,
    ) -> Vec<SetFinding> {
        let Some(resources) = statement.resources.as_ref().filter(|it| it.negated == Negated::No)
        else {
            return Vec::new();
        };
        let actions = Shapes::from(&statement.actions);
        let assume = Shape::action("sts:AssumeRole*");
        let mut findings = Vec::new();
        for shape in resources.patterns.iter().map(Shape::from) {
            let foreign = index.candidates(&shape).filter(|it| it.owner != account);
            let named = foreign.filter(|it| names(&shape, it, account, own));
            let asked = named.filter(|it| {
                it.kind != GuardedKind::Role || meet(&actions, &Shapes::only(assume.clone()))
            });
            let refused = asked.filter(|it| !self.is_let_in(it, &actions));
            findings.extend(refused.map(|it| self.finding(statement, it)));
            findings.extend(
                index
                    .unlisted(&shape, account)
                    .into_iter()
                    .map(|owner| self.unlisted(statement, &shape, owner)),
            );
        }
        findings
    }

    fn unlisted(
        &self,
        statement: &CompiledStatement,
        shape: &Shape,
        owner: AccountId,
    ) -> SetFinding {
        let text = shape.render();
        warn(
            self.policy,
            statement,
            format!("`arn:{text}` is of account `{owner}`, which lists no such resource"),
            "across accounts both sides must allow: list it there, with a policy",
        )
    }

    fn is_let_in(&self, guarded: &Guarded<'_>, actions: &Shapes) -> bool {
        let Some(policy) = guarded.policy else { return false };
        policy.allows().any(|it| {
            meet(&Shapes::from(&it.actions), actions)
                && it.principals.as_ref().is_some_and(|principals| {
                    principals.negated == Negated::Yes
                        || self.holders.iter().any(|holder| {
                            principals.entries.iter().any(|entry| lets_in(entry, holder))
                        })
                })
        })
    }

    fn finding(&self, statement: &CompiledStatement, guarded: &Guarded<'_>) -> SetFinding {
        let holders = match self.holders.as_slice() {
            [holder] => format!("`{}`", holder.arn),
            several => format!("any of the {} that have this policy", several.len()),
        };
        let (text, owner) = (guarded.text, guarded.owner);
        let policy = match (guarded.policy, guarded.kind) {
            (None, _) => "has no policy that could let anybody in".to_owned(),
            (Some(_), GuardedKind::Role) => format!("does not trust {holders}"),
            (Some(_), GuardedKind::Key | GuardedKind::Resource) => {
                format!("does not let {holders} in for any of it")
            }
        };
        warn(
            self.policy,
            statement,
            format!("`{text}` is of account `{owner}` and {policy}"),
            "across accounts both sides must allow: grant it there too",
        )
    }
}

/// Whether an entry means a principal, or one of its sessions.
fn lets_in(entry: &PrincipalPattern, holder: &PrincipalEntry) -> bool {
    let Some(principal) = principal_of(holder) else { return false };
    match entry {
        // Which sessions a role will have is not known.
        PrincipalPattern::Session(_) => entry.account() == principal.account,
        _ => entry.matches(&principal).is_some(),
    }
}

/// Whether a pattern means something of another account by name, and nothing of its own account's.
fn names(shape: &Shape, guarded: &Guarded<'_>, account: AccountId, own: &AccountPolicies) -> bool {
    match shape.literal(ACCOUNT_PART).as_deref() {
        Some("") => {
            guarded.shape.covers(shape)
                && !Guarded::of(account, own).any(|it| it.shape.overlaps(shape))
        }
        Some(literal) => literal == guarded.owner.as_str() && guarded.shape.overlaps(shape),
        None => false,
    }
}

/// What is guarded, by service.
struct Index<'g, 's> {
    set: &'s PolicySet,
    by_service: HashMap<String, Vec<&'g Guarded<'s>>, FixedState>,
}

impl<'g, 's> Index<'g, 's> {
    fn of(set: &'s PolicySet, guarded: &'g [Guarded<'s>]) -> Self {
        let mut by_service: HashMap<String, Vec<&'g Guarded<'s>>, FixedState> = HashMap::default();
        for it in guarded {
            if let Some(service) = it.shape.literal(SERVICE_PART) {
                by_service.entry(service).or_default().push(it);
            }
        }
        Self { set, by_service }
    }

    /// The other account of the set that a pattern names, if it lists nothing that the pattern could
    /// mean.
    fn unlisted(&self, shape: &Shape, account: AccountId) -> Option<AccountId> {
        let owner = AccountId::parse(&shape.literal(ACCOUNT_PART)?).ok()?;
        let policies = self.set.accounts.get(&owner).filter(|_| owner != account)?;
        // Principals and their sessions are not listed as resources.
        let is_principal = matches!(shape.literal(SERVICE_PART)?.as_str(), "iam" | "sts");
        let is_listed = || Guarded::of(owner, policies).any(|it| it.shape.overlaps(shape));
        (!is_principal && !is_listed()).then_some(owner)
    }

    /// What a pattern could mean.
    fn candidates(&self, shape: &Shape) -> impl Iterator<Item = &'g Guarded<'s>> + use<'g, 's> {
        let found = shape.literal(SERVICE_PART).and_then(|it| self.by_service.get(&it));
        found.cloned().unwrap_or_default().into_iter()
    }
}

/// The places of parts after `arn:`.
const SERVICE_PART: usize = 1;
const ACCOUNT_PART: usize = 3;
