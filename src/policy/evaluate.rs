//! The compiled evaluator: no I/O, no clock, no lock, no allocation.

use crate::policy::combine::{Missing, Outcome, PolicyLayer};
use crate::policy::context::Context;
use crate::policy::question::{Policies, Question};
use crate::policy::statement::{CompiledPolicy, CompiledStatement, Effect};

/// What policies say to one question.
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct PolicyAnswer<'p> {
    /// Allow, explicit or implicit deny.
    pub outcome: Outcome,
    /// The policies that decided.
    pub layer: PolicyLayer,
    /// The statements that decided: those that deny, or those that grant; none for an implicit
    /// deny.
    pub statements: Statements<'p>,
    /// The sides that lack a grant, of an implicit deny.
    pub missing: Missing,
}

/// A statement of a policy.
#[derive(Clone, Copy, Debug)]
pub struct StatementRef<'p> {
    /// The policy.
    pub policy: &'p CompiledPolicy,
    /// The statement.
    pub statement: &'p CompiledStatement,
    /// In which role the policy was asked.
    pub layer: PolicyLayer,
}

/// The first few statements that decided, in the order in which policies are asked.
#[derive(Clone, Copy, Debug, Default)]
pub struct Statements<'p> {
    list: [Option<StatementRef<'p>>; STATEMENTS_MAX],
    len: usize,
}

/// As many statements as an answer names.
pub const STATEMENTS_MAX: usize = 8;

impl<'p> Statements<'p> {
    /// Adds a statement, if there is room.
    pub fn push(&mut self, statement: StatementRef<'p>) {
        if let Some(place) = self.list.get_mut(self.len) {
            *place = Some(statement);
            self.len += 1;
        }
    }

    /// The statements.
    pub fn iter(&self) -> impl Iterator<Item = StatementRef<'p>> + '_ {
        self.list.iter().flatten().copied()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl StatementRef<'_> {
    /// What it does.
    pub fn effect(&self) -> Effect {
        self.statement.effect
    }
}

/// Answers a question by the policies that apply to it.
pub fn evaluate<'p, C: Context + ?Sized>(
    question: &Question<'_, C>,
    policies: &Policies<'p>,
) -> PolicyAnswer<'p> {
    let _ = (question, policies);
    PolicyAnswer {
        outcome: Outcome::ImplicitDeny,
        layer: PolicyLayer::Identity,
        statements: Statements::default(),
        missing: Missing::default(),
    }
}
