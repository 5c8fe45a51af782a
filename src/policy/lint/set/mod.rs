//! What is doubtful in policies that are right one by one.
//!
//! Flows in: a whole set. Flows out: warnings with their places.

mod chains;
mod external_ids;
mod keys;
mod sides;

use std::fmt;
use std::sync::Arc;

use crate::iam::AccountId;
use crate::policy::document::Negated;
use crate::policy::set::{AccountPolicies, PolicySet};
use crate::policy::shape::{Fit, Shape, Shapes};
use crate::policy::statement::{CompiledPolicy, CompiledStatement, PrincipalPattern, Principals};

/// One thing that is doubtful in a set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetFinding {
    /// The file, as it is named to people.
    pub file: Arc<str>,
    /// The line, from 1.
    pub line: u32,
    /// The column, from 1.
    pub column: u32,
    /// What is doubtful: lower case, no full stop, what was written in backticks.
    pub message: String,
    /// What to do about it.
    pub hint: String,
}

/// Whether an owner's policies have a use for an account that its setting admits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AllowlistUse {
    /// The owner's policies are not in the set.
    Unknown,
    /// No policy of the owner lets the account in.
    Unused,
    /// One does.
    Used,
}

/// What is doubtful in a set, in order of files and lines.
pub fn set(set: &PolicySet) -> Vec<SetFinding> {
    let guarded = Guarded::all(set);
    let mut findings = Vec::new();
    sides::check(set, &guarded, &mut findings);
    keys::check(set, &mut findings);
    chains::check(set, &mut findings);
    external_ids::check(set, &mut findings);
    findings.sort_by(|a, b| {
        (&a.file, a.line, a.column, &a.message).cmp(&(&b.file, b.line, b.column, &b.message))
    });
    findings.dedup();
    findings
}

/// Whether a policy of an owner's resources, roles or keys names an account, one of its principals,
/// or everybody.
pub fn allowlist_use(set: &PolicySet, owner: AccountId, account: AccountId) -> AllowlistUse {
    let Some(policies) = set.accounts.get(&owner) else { return AllowlistUse::Unknown };
    let lets_in = |entry: &PrincipalPattern| {
        *entry == PrincipalPattern::Everyone || entry.account() == Some(account.as_str())
    };
    let is_used = Guarded::of(owner, policies)
        .filter_map(|it| it.policy)
        .flat_map(CompiledPolicy::allows)
        .filter_map(|it| it.principals.as_ref())
        .any(|it| it.negated == Negated::Yes || it.entries.iter().any(lets_in));
    if is_used { AllowlistUse::Used } else { AllowlistUse::Unused }
}

/// Something that a policy of its own guards.
struct Guarded<'s> {
    owner: AccountId,
    kind: GuardedKind,
    /// The ARN or pattern, as it is listed.
    text: &'s str,
    shape: Shape,
    policy: Option<&'s CompiledPolicy>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum GuardedKind {
    Key,
    Resource,
    Role,
}

impl<'s> Guarded<'s> {
    fn all(set: &'s PolicySet) -> Vec<Self> {
        set.accounts.iter().flat_map(|(owner, account)| Self::of(*owner, account)).collect()
    }

    fn of(owner: AccountId, account: &'s AccountPolicies) -> impl Iterator<Item = Self> {
        let plain = crate::policy::shape::Variables::Plain;
        let guarded = move |kind, text: &'s str, policy| Self {
            owner,
            kind,
            text,
            shape: Shape::arn(text, plain),
            policy,
        };
        let resources = account
            .resources()
            .map(move |it| guarded(GuardedKind::Resource, &it.pattern, it.policy.as_deref()));
        let roles = account.principals().into_iter().filter(|it| it.trust.is_some());
        let roles = roles.map(move |it| guarded(GuardedKind::Role, &it.arn, it.trust.as_deref()));
        let keys = account.keys().into_iter();
        let keys = keys.map(move |it| guarded(GuardedKind::Key, &it.arn, Some(&it.policy)));
        resources.chain(roles).chain(keys)
    }
}

/// Whether two elements may mean something in common; `false` only if that is sure.
fn meet(a: &Shapes, b: &Shapes) -> bool {
    let any = |of: &Shapes, asked: &Shapes| asked.shapes.iter().any(|it| of.fit(it) > Fit::Nothing);
    match (a.negated, b.negated) {
        (Negated::No | Negated::Yes, Negated::No) => any(a, b),
        (Negated::No, Negated::Yes) => any(b, a),
        (Negated::Yes, Negated::Yes) => true,
    }
}

/// Whether policies may allow some of the actions on some of the resources of a pattern.
fn may_allow<'p>(
    policies: impl IntoIterator<Item = &'p Arc<CompiledPolicy>>,
    actions: &Shapes,
    resource: &Shape,
) -> bool {
    policies.into_iter().flat_map(|it| it.allows()).any(|it| {
        meet(&Shapes::from(&it.actions), actions)
            && it.resources.as_ref().is_none_or(|it| Shapes::from(it).fit(resource) > Fit::Nothing)
    })
}

/// The entries of a statement that lists whom it means.
fn listed(statement: &CompiledStatement) -> impl Iterator<Item = &PrincipalPattern> {
    let lists = |it: &&Principals| it.negated == Negated::No;
    statement.principals.as_ref().filter(lists).into_iter().flat_map(|it| &it.entries)
}

fn warn(
    policy: &CompiledPolicy,
    statement: &CompiledStatement,
    message: String,
    hint: impl Into<String>,
) -> SetFinding {
    SetFinding {
        file: Arc::clone(&policy.source.file),
        line: statement.line,
        column: statement.column,
        message,
        hint: hint.into(),
    }
}

impl fmt::Display for SetFinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; hint: {}", self.message, self.hint)
    }
}
