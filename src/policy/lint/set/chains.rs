//! Roles that somebody outside the organization reaches by way of another role.

use std::collections::VecDeque;

use crate::iam::{AccountId, Arn};
use crate::policy::lint::set::{SetFinding, listed, may_allow, warn};
use crate::policy::principal::{Principal, PrincipalKind, PrincipalMatch};
use crate::policy::set::{Organization, PolicySet, PrincipalEntry};
use crate::policy::shape::{Shape, Shapes};
use crate::policy::statement::{CompiledPolicy, CompiledStatement};

pub(super) fn check(set: &PolicySet, findings: &mut Vec<SetFinding>) {
    let Some(organization) = set.organization.as_deref() else { return };
    let roles: Vec<Role<'_>> = set
        .accounts
        .values()
        .flat_map(|account| account.principals())
        .filter_map(|entry| Some(Role { entry, trust: entry.trust.as_deref()? }))
        .collect();
    let mut origins: Vec<Option<&str>> =
        roles.iter().map(|role| role.outsider(organization)).collect();
    let mut open: VecDeque<usize> =
        origins.iter().enumerate().filter_map(|(index, it)| it.map(|_| index)).collect();
    while let Some(index) = open.pop_front() {
        let (Some(first), Some(Some(outsider))) = (roles.get(index), origins.get(index).copied())
        else {
            continue;
        };
        for (next, (role, origin)) in roles.iter().zip(&mut origins).enumerate() {
            let Some(statement) = role.trusts(first).filter(|_| next != index) else { continue };
            findings.push(warn(
                role.trust,
                statement,
                format!(
                    "account `{outsider}`, outside the organization, reaches this role by way of \
                     `{}`",
                    first.entry.arn
                ),
                "end one of the two trusts, if that is not meant",
            ));
            if origin.is_none() {
                *origin = Some(outsider);
                open.push_back(next);
            }
        }
    }
}

struct Role<'s> {
    entry: &'s PrincipalEntry,
    trust: &'s CompiledPolicy,
}

impl<'s> Role<'s> {
    /// An account outside the organization that the role trusts.
    fn outsider(&self, organization: &Organization) -> Option<&'s str> {
        let is_member = |account: &str| {
            AccountId::parse(account).is_ok_and(|it| {
                organization.management_account == Some(it)
                    || organization.accounts.contains_key(&it)
            })
        };
        let mut named = self.trust.allows().flat_map(listed).filter_map(|it| it.account());
        named.find(|account| !is_member(account))
    }

    /// The statement by which this role lets another one assume it.
    fn trusts(&self, other: &Role<'_>) -> Option<&'s CompiledStatement> {
        let principal = Principal::new(PrincipalKind::Role, &other.entry.arn, None)?;
        let is_own = Arn::parse(&self.entry.arn)?.account() == principal.account?;
        let assume = Shapes::only(Shape::action("sts:AssumeRole"));
        let own = Shape::resource(&self.entry.arn);
        self.trust.allows().find(|statement| {
            let by = listed(statement).filter_map(|it| it.matches(&principal)).max();
            match by {
                None => false,
                Some(PrincipalMatch::Direct | PrincipalMatch::Session) if is_own => true,
                Some(_) => may_allow(&other.entry.policies, &assume, &own),
            }
        })
    }
}
