//! A scenario's answer, and its line.

use serde::Serialize;
use serde_json::value::RawValue;

use super::ScenarioResult;
use crate::policy::combine::{Missing, Outcome, PolicyLayer, Side};
use crate::policy::evaluate::{PolicyAnswer, StatementRef};
use crate::policy::explain::Trace;
use crate::policy::statement::Effect;

/// What the policies of a scenario say to its request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScenarioAnswer {
    /// Allow, explicit or implicit deny.
    pub outcome: Outcome,
    /// The policies that decided.
    pub layer: PolicyLayer,
    /// The statements that decided, in the order in which policies are asked.
    pub statements: Vec<ScenarioStatement>,
    /// The sides that lack a grant, of an implicit deny.
    pub missing: Missing,
}

/// A statement that decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScenarioStatement {
    /// The policy's name.
    pub policy: String,
    /// The statement's name; may be empty.
    pub sid: String,
    /// Its place in the policy, from 0.
    pub index: usize,
    /// What it does.
    pub effect: Effect,
}

impl ScenarioAnswer {
    /// The statements by policy and place, for comparisons.
    pub fn named(&self) -> Vec<(String, usize)> {
        self.statements.iter().map(|it| (it.policy.clone(), it.index)).collect()
    }
}

impl From<&PolicyAnswer<'_>> for ScenarioAnswer {
    fn from(answer: &PolicyAnswer<'_>) -> Self {
        Self {
            outcome: answer.outcome,
            layer: answer.layer,
            statements: answer.statements.iter().map(ScenarioStatement::from).collect(),
            missing: answer.missing,
        }
    }
}

impl From<&Trace<'_>> for ScenarioAnswer {
    fn from(trace: &Trace<'_>) -> Self {
        Self {
            outcome: trace.outcome,
            layer: trace.layer,
            statements: trace.statements.iter().copied().map(ScenarioStatement::from).collect(),
            missing: trace.missing,
        }
    }
}

impl From<StatementRef<'_>> for ScenarioStatement {
    fn from(found: StatementRef<'_>) -> Self {
        Self {
            policy: found.policy.name.to_string(),
            sid: found.statement.sid.to_string(),
            index: usize::try_from(found.statement.index).unwrap_or(usize::MAX),
            effect: found.effect(),
        }
    }
}

impl ScenarioResult {
    /// The line of JSON, without its end.
    pub fn to_json(&self) -> String {
        let id = &*self.id;
        let written = match &self.answer {
            Ok(answer) => serde_json::to_string(&Answered::of(id, answer)),
            Err(error) => serde_json::to_string(&Refused { id, error: error.to_string() }),
        };
        // Texts and numbers always have a JSON form.
        written.unwrap_or_default()
    }
}

#[derive(Serialize)]
struct Answered<'a> {
    id: &'a RawValue,
    decision: &'static str,
    layer: &'static str,
    statements: Vec<Statement<'a>>,
    missing: Vec<&'static str>,
}

#[derive(Serialize)]
struct Statement<'a> {
    policy: &'a str,
    sid: &'a str,
    index: usize,
    effect: &'static str,
}

#[derive(Serialize)]
struct Refused<'a> {
    id: &'a RawValue,
    error: String,
}

impl<'a> Answered<'a> {
    fn of(id: &'a RawValue, answer: &'a ScenarioAnswer) -> Self {
        let statement = |it: &'a ScenarioStatement| Statement {
            policy: &it.policy,
            sid: &it.sid,
            index: it.index,
            effect: it.effect.as_str(),
        };
        Self {
            id,
            decision: answer.outcome.as_str(),
            layer: answer.layer.as_str(),
            statements: answer.statements.iter().map(statement).collect(),
            missing: answer.missing.iter().map(Side::as_str).collect(),
        }
    }
}
