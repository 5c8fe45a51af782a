//! Who could reach a resource at all: the principals of a set, and whom policies name.

use std::collections::BTreeSet;

use crate::iam::AccountId;
use crate::policy::access::{Through, Who};
use crate::policy::document::Negated;
use crate::policy::principal::{Principal, PrincipalKind};
use crate::policy::set::{PolicySet, PrincipalEntry};
use crate::policy::statement::{CompiledPolicy, Effect, PrincipalPattern};

/// Somebody to ask for.
#[derive(Clone, Debug)]
pub(super) struct Candidate<'s> {
    pub(super) who: Who,
    pub(super) identity: Identity,
    /// The principal's policies, where the set has them.
    pub(super) entry: Option<&'s PrincipalEntry>,
}

/// What is known of a candidate's identity policies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Identity {
    /// All of them.
    Known,
    /// It can have none.
    NoneAtAll,
    /// Its account is not in the set.
    Unknown,
}

impl Candidate<'_> {
    /// The principal, as statements see it.
    pub(super) fn principal(&self) -> Option<Principal<'_>> {
        let of = |kind, text| Principal::new(kind, text, None);
        match &self.who {
            Who::Everyone => Some(Principal::ANONYMOUS),
            Who::Account(account) => Some(Principal {
                kind: PrincipalKind::Root,
                text: "",
                account: Some(account),
                role: None,
                service_linked: false,
            }),
            Who::Principal(arn) => of(PrincipalKind::of(arn)?, arn),
            Who::Federated(provider) => of(PrincipalKind::WebIdentity, provider),
            Who::Service(name) => of(PrincipalKind::Service, name),
            Who::Foreign(_) => None,
        }
    }

    /// Where the candidate comes from, seen from an owner.
    pub(super) fn through(&self, owner: &str) -> Through {
        let account = self.principal().and_then(|it| it.account.map(Box::<str>::from));
        match (account, self.identity) {
            (None, _) => Through::NoAccount,
            (Some(account), _) if *account == *owner => Through::SameAccount,
            (Some(account), Identity::Unknown) => Through::UnknownAccount(account),
            (Some(account), Identity::Known | Identity::NoneAtAll) => {
                Through::CrossAccount(account)
            }
        }
    }
}

/// All principals of the set, and all others that some policies name.
pub(super) fn of<'s>(
    set: &'s PolicySet,
    policies: impl Iterator<Item = &'s CompiledPolicy>,
) -> Vec<Candidate<'s>> {
    let mut found: Vec<Candidate<'s>> = Vec::new();
    for account in set.accounts.values() {
        found.extend(account.principals().into_iter().map(|entry| Candidate {
            who: Who::Principal(entry.arn.clone()),
            identity: Identity::Known,
            entry: Some(entry),
        }));
    }
    let named: BTreeSet<Who> = policies.flat_map(named).collect();
    found.extend(named.into_iter().filter_map(|who| outside(set, who)));
    found
}

/// Whom a policy's grants name.
fn named(policy: &CompiledPolicy) -> impl Iterator<Item = Who> {
    let allows = policy.statements.iter().filter(|it| it.effect == Effect::Allow);
    allows.flat_map(|it| &it.principals).flat_map(|principals| match principals.negated {
        Negated::No => principals.entries.iter().map(Who::from).collect(),
        // Everybody who is not listed, so also who has no name here.
        Negated::Yes => vec![Who::Everyone],
    })
}

/// Somebody named, if it is not one of the set's principals.
fn outside(set: &PolicySet, who: Who) -> Option<Candidate<'_>> {
    let plain = Candidate { who, identity: Identity::NoneAtAll, entry: None };
    let principal = plain.principal()?;
    let known = principal
        .account
        .and_then(|text| AccountId::parse(text).ok())
        .and_then(|id| set.accounts.get(&id))
        .is_some_and(|account| account.knows_principals());
    let entry = set.principal(&principal);
    let is_session =
        matches!(principal.kind, PrincipalKind::AssumedRole | PrincipalKind::FederatedUser);
    match (&plain.who, known, entry) {
        (Who::Principal(_), true, Some(entry)) if is_session => {
            Some(Candidate { identity: Identity::Known, entry: Some(entry), ..plain })
        }
        // The account's principals are asked for one by one.
        (Who::Account(_), true, _) | (Who::Principal(_), true, Some(_)) => None,
        (Who::Account(_) | Who::Principal(_), false, _) => {
            Some(Candidate { identity: Identity::Unknown, ..plain })
        }
        // A name needs no entry: a policy lets in whoever comes by it.
        (Who::Principal(_), true, None)
        | (Who::Everyone | Who::Federated(_) | Who::Service(_) | Who::Foreign(_), ..) => {
            Some(plain)
        }
    }
}

impl From<&PrincipalPattern> for Who {
    fn from(pattern: &PrincipalPattern) -> Self {
        match pattern {
            PrincipalPattern::Everyone => Self::Everyone,
            PrincipalPattern::Account(account) => Self::Account(account.clone()),
            PrincipalPattern::User(arn) | PrincipalPattern::Session(arn) => {
                Self::Principal(arn.clone())
            }
            PrincipalPattern::Role { partition, account, name } => {
                Self::Principal(format!("arn:{partition}:iam::{account}:role/{name}").into())
            }
            PrincipalPattern::Service(name) => Self::Service(name.clone()),
            PrincipalPattern::Federated(provider) => Self::Federated(provider.clone()),
            PrincipalPattern::Foreign(text) => Self::Foreign(text.clone()),
        }
    }
}
