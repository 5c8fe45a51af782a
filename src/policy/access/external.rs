//! Every grant that leaves its account.

use crate::iam::{AccountId, Arn};
use crate::policy::access::Who;
use crate::policy::combine::PolicyLayer;
use crate::policy::condition::CompiledCondition;
use crate::policy::document::Negated;
use crate::policy::evaluate::StatementRef;
use crate::policy::set::{Organization, PolicySet};
use crate::policy::shape::Shape;
use crate::policy::statement::{CompiledPolicy, CompiledStatement, Effect, PrincipalPattern};

/// A statement that lets somebody in from outside its account.
#[derive(Clone, Debug)]
pub struct ExternalGrant<'s> {
    /// The account that grants.
    pub owner: AccountId,
    /// The resource, role or key; a pattern as it is listed.
    pub resource: Box<str>,
    /// Who is let in.
    pub who: Who,
    /// The account that they are of, where they are of one.
    pub account: Option<Box<str>>,
    /// Where that account stands.
    pub standing: Standing,
    /// The actions, in lower case; of `NotAction`, what is left out, each with `!`.
    pub actions: Vec<Box<str>>,
    /// The operators and keys of the statement's conditions. Their values are not told: an external
    /// ID is nobody's business.
    pub conditions: Vec<ConditionName>,
    /// The statement.
    pub statement: StatementRef<'s>,
}

/// A condition without its values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConditionName {
    /// The operator.
    pub operator: String,
    /// The key, in lower case.
    pub key: Box<str>,
}

/// Where somebody stands, seen from the set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// In or outside the organization; outside where none is described.
    pub organization: Whereabouts,
    /// Whether the account's policies are in the set.
    pub set: Whereabouts,
}

/// In or out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whereabouts {
    /// In it.
    Inside,
    /// Not in it.
    Outside,
}

impl Whereabouts {
    fn of(inside: bool) -> Self {
        if inside { Self::Inside } else { Self::Outside }
    }

    /// The spelling for programs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Inside => "inside",
            Self::Outside => "outside",
        }
    }
}

/// Every statement of resource, key and trust policies that lets in somebody from outside its
/// account, in the order of accounts and resources. Denials are not looked at.
pub fn external(set: &PolicySet) -> Vec<ExternalGrant<'_>> {
    let mut found: Vec<ExternalGrant<'_>> = Vec::new();
    let mut accounts: Vec<_> = set.accounts.iter().collect();
    accounts.sort_unstable_by_key(|(id, _)| **id);
    for (owner, account) in accounts {
        let resources = account
            .resources()
            .filter_map(|it| Some((PolicyLayer::Resource, &it.pattern, it.policy.as_deref()?)));
        let roles = account
            .principals()
            .into_iter()
            .filter_map(|it| Some((PolicyLayer::Trust, &it.arn, it.trust.as_deref()?)));
        let keys = account.keys().into_iter().map(|it| (PolicyLayer::Key, &it.arn, &*it.policy));
        for (layer, resource, policy) in resources.chain(roles).chain(keys) {
            let place = Place { set, owner: *owner, layer, resource, policy };
            found.extend(policy.statements.iter().flat_map(|it| place.grants(it)));
        }
    }
    found
}

/// The operators and keys of a statement's conditions.
pub fn conditions(statement: &CompiledStatement) -> Vec<ConditionName> {
    let name = |it: &CompiledCondition| ConditionName {
        operator: it.operator().to_string(),
        key: it.key.as_str().into(),
    };
    statement.conditions.iter().map(name).collect()
}

/// A policy and what it is of.
struct Place<'s> {
    set: &'s PolicySet,
    owner: AccountId,
    layer: PolicyLayer,
    resource: &'s str,
    policy: &'s CompiledPolicy,
}

impl<'s> Place<'s> {
    fn grants(&self, statement: &'s CompiledStatement) -> Vec<ExternalGrant<'s>> {
        let Some(principals) = &statement.principals else { return Vec::new() };
        let who: Vec<Who> = match (statement.effect, principals.negated) {
            (Effect::Deny, _) => Vec::new(),
            (Effect::Allow, Negated::Yes) => vec![Who::Everyone],
            (Effect::Allow, Negated::No) => {
                principals.entries.iter().filter(|it| self.is_external(it)).map(Who::from).collect()
            }
        };
        who.into_iter().map(|who| self.grant(statement, who)).collect()
    }

    fn is_external(&self, entry: &PrincipalPattern) -> bool {
        match entry {
            PrincipalPattern::Everyone
            | PrincipalPattern::Federated(_)
            | PrincipalPattern::Service(_) => true,
            // It lets nobody in.
            PrincipalPattern::Foreign(_) => false,
            PrincipalPattern::Account(account) | PrincipalPattern::Role { account, .. } => {
                **account != *self.owner.as_str()
            }
            PrincipalPattern::User(arn) | PrincipalPattern::Session(arn) => {
                Arn::parse(arn).is_none_or(|it| it.account() != self.owner.as_str())
            }
        }
    }

    fn grant(&self, statement: &'s CompiledStatement, who: Who) -> ExternalGrant<'s> {
        let account = account_of(&who);
        let id = account.as_deref().and_then(|it| AccountId::parse(it).ok());
        let is_member = |it: &Organization| {
            id.is_some_and(|id| it.management_account == Some(id) || it.accounts.contains_key(&id))
        };
        let organization = self.set.organization.as_deref().is_some_and(is_member);
        let in_set = id.is_some_and(|id| self.set.accounts.contains_key(&id));
        ExternalGrant {
            owner: self.owner,
            resource: self.resource.into(),
            who,
            account,
            standing: Standing {
                organization: Whereabouts::of(organization),
                set: Whereabouts::of(in_set),
            },
            actions: actions(statement),
            conditions: conditions(statement),
            statement: StatementRef { policy: self.policy, statement, layer: self.layer },
        }
    }
}

fn account_of(who: &Who) -> Option<Box<str>> {
    match who {
        Who::Account(account) => Some(account.clone()),
        // A provider's ARN is of the role's own account, and its users are of none.
        Who::Principal(arn) => Arn::parse(arn).map(|it| it.account().into()),
        Who::Everyone | Who::Federated(_) | Who::Service(_) | Who::Foreign(_) => None,
    }
}

fn actions(statement: &CompiledStatement) -> Vec<Box<str>> {
    let actions = &statement.actions;
    let mark = if actions.negated == Negated::Yes { "!" } else { "" };
    let render = |pattern| format!("{mark}{}", Shape::from(pattern).render()).into();
    actions.patterns.iter().map(render).collect()
}
