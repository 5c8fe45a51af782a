//! Decides a question step by step and tells each step: what was asked, which statements matched,
//! and of the others what did not.
//!
//! Flows in: the compiled policies that [`evaluate()`](crate::policy::evaluate()) asks. Flows out:
//! a [`Trace`]. It tries every statement, uses no index, and combines the sides by its own reading
//! of IAM's rules, so that the two can be held against each other. Not for the request path.

mod gate;
mod step;
mod words;

use crate::policy::combine::{Missing, Outcome, PolicyLayer};
use crate::policy::context::{Context, KeyContext};
use crate::policy::evaluate::{STATEMENTS_MAX, StatementRef};
use crate::policy::principal::PrincipalKind;
use crate::policy::question::{Policies, Question, Resource};
use gate::{Form, Gated};

pub(in crate::policy) use step::wanted;
pub use step::{Element, Step, Tried, TriedStatement};

/// How a question was decided.
#[derive(Clone, Debug)]
pub struct Trace<'p> {
    /// Allow, explicit or implicit deny.
    pub outcome: Outcome,
    /// The policies that decided.
    pub layer: PolicyLayer,
    /// The sides that lack a grant, of an implicit deny.
    pub missing: Missing,
    /// The statements that decided, in the order in which policies are asked.
    pub statements: Vec<StatementRef<'p>>,
    /// What was asked, side by side, in that order; last the questions about the key.
    pub steps: Vec<Step<'p>>,
    /// Each side that lacks a grant, in words.
    pub lacks: Vec<String>,
}

/// The names of the organization's levels, from the root down, where they are known.
#[derive(Clone, Copy, Debug, Default)]
pub struct LevelNames<'a> {
    /// Of the levels with service control policies.
    pub scp: &'a [Box<str>],
    /// Of the levels with resource control policies.
    pub rcp: &'a [Box<str>],
}

impl<'p> Trace<'p> {
    /// Decides a question and tells how.
    pub fn of<C: Context + ?Sized>(
        question: &Question<'_, C>,
        policies: &Policies<'p>,
        names: LevelNames<'_>,
    ) -> Self {
        if needs_no_permission(question) {
            return Self::free();
        }
        let mut gates = vec![Gated::walk(Form::of(question), question, policies, names)];
        gates.extend(walk_key(question, policies, names));
        Self::join(gates)
    }

    /// All gates must let it pass, and a denial at any of them is final.
    fn join(gates: Vec<Gated<'p>>) -> Self {
        let denials = named(gates.iter().flat_map(Gated::denials));
        let missing = gates.iter().fold(Missing::default(), |all, gate| all.with(gate.missing));
        let (outcome, layer, statements) = if let Some(first) = denials.first() {
            (Outcome::ExplicitDeny, first.layer, denials)
        } else if missing.is_empty() {
            let layer = gates.first().map_or(PolicyLayer::Identity, Gated::granting_layer);
            (Outcome::Allow, layer, named(gates.iter().flat_map(Gated::grants)))
        } else {
            let lacking = gates.iter().find(|gate| !gate.missing.is_empty());
            let layer = lacking.map_or(PolicyLayer::Identity, Gated::lacking_layer);
            (Outcome::ImplicitDeny, layer, Vec::new())
        };
        let mut trace = Self { outcome, layer, statements, ..Self::free() };
        if outcome == Outcome::ImplicitDeny {
            trace.missing = missing;
            trace.lacks = gates.iter().flat_map(|gate| gate.lacks.iter().cloned()).collect();
        }
        trace.steps = gates.into_iter().flat_map(|gate| gate.steps).collect();
        trace
    }

    fn free() -> Self {
        Self {
            outcome: Outcome::Allow,
            layer: PolicyLayer::Identity,
            missing: Missing::default(),
            statements: Vec::new(),
            steps: Vec::new(),
            lacks: Vec::new(),
        }
    }
}

/// The first few statements, each once: one may decide on a resource and on its key.
fn named<'p>(found: impl Iterator<Item = StatementRef<'p>>) -> Vec<StatementRef<'p>> {
    let mut named: Vec<StatementRef<'p>> = Vec::new();
    for statement in found {
        if !named.iter().any(|known| std::ptr::eq(known.statement, statement.statement)) {
            named.push(statement);
        }
    }
    named.truncate(STATEMENTS_MAX);
    named
}

/// Whether everybody who is somebody may do it, whatever policies say.
fn needs_no_permission<C: ?Sized>(question: &Question<'_, C>) -> bool {
    !matches!(question.principal.kind, PrincipalKind::Anonymous | PrincipalKind::WebIdentity)
        && FREE_ACTIONS.contains(&question.action.lower())
}

/// The question about the key that the resource is encrypted with: the same caller and context, the
/// key as resource, its policy as resource policy. The guardrails of the resource's account reach
/// the key only if it is that account's.
fn walk_key<'p, C: Context + ?Sized>(
    question: &Question<'_, C>,
    policies: &Policies<'p>,
    names: LevelNames<'_>,
) -> Option<Gated<'p>> {
    let key = policies.key?;
    let owner = question.owner.or(question.principal.account);
    let context = KeyContext { request: question.context, account: key.account };
    let asked = Question {
        principal: question.principal,
        action: key.action,
        resource: Resource::Named(key.arn),
        owner: Some(key.account),
        context: &context,
    };
    let policies = Policies {
        resource: key.policy,
        endpoint: None,
        rcp: if owner == Some(key.account) { policies.rcp } else { key.rcp },
        key: None,
        ..*policies
    };
    Some(Gated::walk(Form::KeyOfResource, &asked, &policies, names))
}

const FREE_ACTIONS: [&str; 2] = ["sts:getcalleridentity", "sts:getsessiontoken"];

#[cfg(test)]
mod tests;
