//! Who can reach what: every principal of a resource, every grant that leaves its account.
//!
//! Flows in: a set of policies. Flows out: who reaches a resource, by which statements. There is no
//! request, so conditions are not evaluated but for what sessions of roles never have: an Allow with
//! conditions counts and is marked, a Deny counts if it has none and is told else. Guardrails,
//! boundaries, keys and both sides of a cross-account grant are respected in that sense (facts:
//! iam.md section 4).

mod caller;
mod candidates;
mod external;
mod grant;
mod side;
mod trust;
mod walk;
mod words;

pub use external::{ConditionName, ExternalGrant, Standing, Whereabouts, conditions, external};
pub use grant::{Certainty, ReachedActions};
pub use trust::{Lack, TrustGroup, TrustVerdict, trust};
pub use words::in_words;

use crate::iam::{AccountId, Arn};
use crate::policy::access::candidates::Candidate;
use crate::policy::access::walk::{Target, Walk};
use crate::policy::set::PolicySet;
use crate::policy::shape::Shape;

/// Somebody who can reach a resource.
#[derive(Clone, Debug)]
pub struct Reach<'s> {
    /// Who.
    pub who: Who,
    /// Where they come from.
    pub through: Through,
    /// The role that they have to assume first.
    pub via: Option<Box<str>>,
    /// What they can do, by which statements.
    pub grants: Vec<ReachedActions<'s>>,
}

/// Whom a policy lets in.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Who {
    /// Everybody, without credentials too.
    Everyone,
    /// A whole account.
    Account(Box<str>),
    /// A user, role or session, by its ARN.
    Principal(Box<str>),
    /// Whom an identity provider vouches for.
    Federated(Box<str>),
    /// A service.
    Service(Box<str>),
    /// An entry that means no principal that crossgate knows.
    Foreign(Box<str>),
}

/// Where somebody comes from, seen from the resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Through {
    /// The account that owns the resource.
    SameAccount,
    /// Another account, whose policies are here and allow it too.
    CrossAccount(Box<str>),
    /// Another account, whose policies are not here: what they allow is not known.
    UnknownAccount(Box<str>),
    /// No account.
    NoAccount,
}

impl Who {
    /// The kind, for programs.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Everyone => "public",
            Self::Account(_) => "account",
            Self::Principal(_) => "principal",
            Self::Federated(_) => "federated",
            Self::Service(_) => "service",
            Self::Foreign(_) => "foreign",
        }
    }

    /// The name; `*` for everybody.
    pub fn name(&self) -> &str {
        match self {
            Self::Everyone => "*",
            Self::Account(name)
            | Self::Principal(name)
            | Self::Federated(name)
            | Self::Service(name)
            | Self::Foreign(name) => name,
        }
    }
}

impl Through {
    /// The kind, for programs.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::SameAccount => "same-account",
            Self::CrossAccount(_) => "cross-account",
            Self::UnknownAccount(_) => "unknown-account",
            Self::NoAccount => "no-account",
        }
    }

    /// The other account.
    pub fn account(&self) -> Option<&str> {
        match self {
            Self::CrossAccount(account) | Self::UnknownAccount(account) => Some(account),
            Self::SameAccount | Self::NoAccount => None,
        }
    }
}

/// Everybody who can reach a resource of an owner: directly, and by assuming one role.
///
/// The actions are those of the resource's service, and of the services that its policy names, as
/// statements write them; a pattern is listed where all of it is granted. Root users, who may do
/// everything in their own account, are not listed.
pub fn reach<'s>(set: &'s PolicySet, resource: Arn<'_>, owner: AccountId) -> Vec<Reach<'s>> {
    let walk = Walk::new(set);
    let target = Target::of(set, resource, owner);
    let mut found = Vec::new();
    for candidate in candidates::of(set, target.policies()) {
        let Some(reach) = reach_of(&walk, &target, &candidate) else { continue };
        found.extend(by_role(&walk, &candidate, &reach));
        found.push(reach);
    }
    found.sort_by(|a, b| (&a.who, &a.via).cmp(&(&b.who, &b.via)));
    found
}

/// Whether any policy of the set means the resource, but by a plain `*`.
pub fn is_known(set: &PolicySet, resource: Arn<'_>, owner: AccountId) -> bool {
    Target::of(set, resource, owner).is_listed() || walk::is_named(set, resource)
}

/// The accounts that list a resource.
pub fn owners(set: &PolicySet, resource: Arn<'_>) -> Vec<AccountId> {
    let lists = |it: &&AccountId| set.resource(**it, resource).is_some();
    let mut owners: Vec<AccountId> = set.accounts.keys().filter(lists).copied().collect();
    owners.sort_unstable();
    owners
}

fn reach_of<'s>(
    walk: &Walk<'s>,
    target: &Target<'s, '_>,
    candidate: &Candidate<'s>,
) -> Option<Reach<'s>> {
    let grants =
        grant::collect(walk.universe(target, candidate).into_iter().filter_map(|action| {
            let granted = walk.decide(target, candidate, &action)?;
            Some((action, granted))
        }));
    (!grants.is_empty()).then(|| Reach {
        who: candidate.who.clone(),
        through: candidate.through(target.owner_text()),
        via: None,
        grants,
    })
}

/// Who can assume a role that reaches the resource.
fn by_role<'s>(walk: &Walk<'s>, role: &Candidate<'s>, reach: &Reach<'s>) -> Vec<Reach<'s>> {
    let role_arn = role.entry.filter(|it| it.trust.is_some()).and_then(|it| Arn::parse(&it.arn));
    let owner = role_arn.and_then(|arn| AccountId::parse(arn.account()).ok());
    let (Some(arn), Some(owner)) = (role_arn, owner) else {
        return Vec::new();
    };
    let target = Target::of(walk.set(), arn, owner);
    let mut found = Vec::new();
    for candidate in candidates::of(walk.set(), target.policies()) {
        if candidate.who == role.who {
            continue;
        }
        let assumed = ASSUME
            .iter()
            .filter_map(|action| walk.decide(&target, &candidate, &Shape::action(action)));
        let Some(assumed) = assumed.max_by_key(|it| it.certainty) else { continue };
        found.push(Reach {
            who: candidate.who.clone(),
            through: candidate.through(target.owner_text()),
            via: Some(arn.as_str().into()),
            grants: reach.grants.iter().map(|it| it.after(&assumed)).collect(),
        });
    }
    found
}

/// How a role is assumed.
const ASSUME: [&str; 3] =
    ["sts:AssumeRole", "sts:AssumeRoleWithWebIdentity", "sts:AssumeRoleWithSAML"];
