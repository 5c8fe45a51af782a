//! Conditions: operators, set operators, missing keys (facts: iam.md section 3).
//!
//! Flows in: one key under one operator of a document, and what a request knows of itself. Flows
//! out: whether the condition holds. Allocates nothing then.

mod date;
mod number;
mod operand;
mod operator;
mod parse;

use crate::policy::condition::operand::{Compared, Operand, Presence};
pub(crate) use crate::policy::condition::operator::Operator;
use crate::policy::condition::operator::{Absent, SetOperator};
use crate::policy::context::{ConditionKey, Context, Value, Values};
use crate::policy::document::{Condition, Version};
use crate::policy::finding::{PolicyFinding, shown};
use crate::policy::statement::Effect;

/// One key under one operator, compiled.
#[derive(Debug)]
pub(crate) struct CompiledCondition {
    pub(crate) key: ConditionKey,
    operator: Operator,
    operand: Operand,
}

impl CompiledCondition {
    /// Compiles a condition.
    ///
    /// # Errors
    /// The operator is unknown or a value is not of its type; each with its place.
    pub(crate) fn compile(
        condition: &Condition,
        version: Version,
    ) -> Result<Self, Vec<PolicyFinding>> {
        let mut findings = Vec::new();
        Self::build(condition, version, &mut findings).ok_or_else(|| {
            findings.retain(PolicyFinding::is_error);
            findings
        })
    }

    /// All that is wrong or doubtful in a condition; it compiles if nothing is an error.
    pub(crate) fn check(condition: &Condition, version: Version) -> Vec<PolicyFinding> {
        let mut findings = Vec::new();
        let _: Option<Self> = Self::build(condition, version, &mut findings);
        findings
    }

    /// `None` only if a finding is an error.
    fn build(
        condition: &Condition,
        version: Version,
        findings: &mut Vec<PolicyFinding>,
    ) -> Option<Self> {
        let name = &condition.operator;
        let Some(operator) = Operator::parse(&name.text) else {
            let message = format!("the condition operator {} is unknown", shown(&name.text));
            findings.push(PolicyFinding::error(name.offset, name.len, message));
            return None;
        };
        let kind = operator.comparison.kind;
        let operand = Operand::parse(kind, condition, version, findings)?;
        Some(Self { key: ConditionKey::new(&condition.key.text), operator, operand })
    }

    /// Whether the request meets the condition. What can't be read as the operator needs counts
    /// against the request: no Allow, and for a negated operator a Deny. No allocation.
    pub(crate) fn holds<C: Context + ?Sized>(&self, context: &C, effect: Effect) -> bool {
        let values = match context.values(&self.key) {
            Values::Many([]) => Values::Absent,
            values => values,
        };
        if let Operand::Null(wanted) = &self.operand {
            return wanted.contains(&Presence::of(values));
        }
        let meets = |value| self.meets(value, context, effect);
        match self.operator.set {
            SetOperator::All => match values {
                Values::Absent => true,
                Values::One(value) => is_empty_text(value) || meets(value),
                Values::Many(texts) => {
                    is_empty_set(texts) || texts.iter().all(|text| meets(Value::Text(text)))
                }
            },
            SetOperator::Any => match values {
                Values::Absent => false,
                Values::One(value) => !is_empty_text(value) && meets(value),
                Values::Many(texts) => {
                    !is_empty_set(texts) && texts.iter().any(|text| meets(Value::Text(text)))
                }
            },
            SetOperator::Single => match values {
                Values::Absent => {
                    self.operator.absent == Absent::Good || self.operator.is_negated()
                }
                Values::One(value) => meets(value),
                // Which of the values would count is nowhere said.
                Values::Many(_) => false,
            },
        }
    }

    /// The operator; its text is AWS's spelling.
    pub(crate) fn operator(&self) -> Operator {
        self.operator
    }

    /// The values as a document writes them, though not always in its order.
    pub(crate) fn values(&self) -> Vec<String> {
        self.operand.render()
    }

    /// Whether one value of the request does.
    fn meets<C: Context + ?Sized>(&self, value: Value<'_>, context: &C, effect: Effect) -> bool {
        match (self.operand.compare(value, context), self.operator.is_negated()) {
            (Compared::Same, negated) => !negated,
            (Compared::Different, negated) => negated,
            (Compared::Unreadable, negated) => negated && effect == Effect::Deny,
        }
    }
}

/// Whether nobody may be told a key's values: who picks an external ID must read it nowhere.
pub(crate) fn is_secret(key: &str) -> bool {
    key.eq_ignore_ascii_case("sts:ExternalId")
}

/// An empty text is an empty set to set operators.
fn is_empty_set(texts: &[Box<str>]) -> bool {
    matches!(texts, [text] if text.is_empty())
}

fn is_empty_text(value: Value<'_>) -> bool {
    matches!(value, Value::Text(""))
}

#[cfg(test)]
mod tests;
