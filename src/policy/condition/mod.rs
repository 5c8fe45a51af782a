//! Conditions: operators, set operators, missing keys (facts: iam.md section 3).
//!
//! Flows in: one key under one operator of a document, and what a request knows of itself. Flows
//! out: whether the condition holds. Allocates nothing then.

mod date;
mod number;
mod operand;
mod operator;

use crate::policy::condition::operand::{Compared, Operand, Presence};
pub(crate) use crate::policy::condition::operator::Operator;
use crate::policy::condition::operator::{Absent, SetOperator};
use crate::policy::context::{ConditionKey, Context, Value, Values};
use crate::policy::document::{Condition, Version};
use crate::policy::finding::{PolicyFinding, Severity};
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
        match Self::build(condition, version, &mut findings) {
            Some(compiled) => Ok(compiled),
            None => {
                findings.retain(|finding| finding.severity == Severity::Error);
                Err(findings)
            }
        }
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
            findings.push(unknown_operator(condition));
            return None;
        };
        if version == Version::V2012 && condition.key.text.contains("${") {
            findings.push(variable_in_key(condition));
            return None;
        }
        let kind = operator.comparison.kind;
        let operand = Operand::parse(kind, &condition.values, version, findings)?;
        Some(Self { key: ConditionKey::new(&condition.key.text), operator, operand })
    }

    /// Whether the request meets the condition. What can't be read as the operator needs counts
    /// against the request: no Allow, and for a negated operator a Deny.
    pub(crate) fn holds<C: Context + ?Sized>(&self, context: &C, effect: Effect) -> bool {
        let values = match context.values(&self.key) {
            Values::Many([]) => Values::Absent,
            values => values,
        };
        let presence = match values {
            Values::Absent => Presence::Absent,
            Values::One(_) | Values::Many(_) => Presence::Present,
        };
        if let Some(holds) = self.operand.wants(presence) {
            return holds;
        }
        match self.operator.set {
            SetOperator::All => match values {
                Values::Absent => true,
                Values::One(value) => is_empty_text(value) || self.meets(value, context, effect),
                Values::Many(texts) => {
                    is_empty_set(texts)
                        || texts.iter().all(|text| self.meets(Value::Text(text), context, effect))
                }
            },
            SetOperator::Any => match values {
                Values::Absent => false,
                Values::One(value) => !is_empty_text(value) && self.meets(value, context, effect),
                Values::Many(texts) => {
                    !is_empty_set(texts)
                        && texts.iter().any(|text| self.meets(Value::Text(text), context, effect))
                }
            },
            SetOperator::Single => match (values, self.operator.absent) {
                (Values::Absent, Absent::Good) => true,
                (Values::Absent, Absent::Compared) => self.operator.is_negated(),
                (Values::One(value), _) => self.meets(value, context, effect),
                // Which of the values would count is nowhere said.
                (Values::Many(_), _) => false,
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

    /// The keys that decide it: its own and the variables of its values.
    pub(crate) fn reads(&self) -> impl Iterator<Item = &ConditionKey> {
        std::iter::once(&self.key).chain(self.operand.variables())
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

/// An empty text is an empty set to set operators.
fn is_empty_set(texts: &[Box<str>]) -> bool {
    matches!(texts, [text] if text.is_empty())
}

fn is_empty_text(value: Value<'_>) -> bool {
    matches!(value, Value::Text(""))
}

fn unknown_operator(condition: &Condition) -> PolicyFinding {
    let name = &condition.operator;
    PolicyFinding {
        severity: Severity::Error,
        offset: name.offset,
        len: name.len,
        message: format!("unknown condition operator `{}`", name.text),
        hint: Operator::nearest(&name.text).map(|near| format!("did you mean `{near}`?")),
    }
}

fn variable_in_key(condition: &Condition) -> PolicyFinding {
    let key = &condition.key;
    PolicyFinding {
        severity: Severity::Error,
        offset: key.offset,
        len: key.len,
        message: format!("the condition key `{}` has a policy variable", key.text),
        hint: Some("policy variables are replaced in values only".into()),
    }
}

#[cfg(test)]
mod tests;
