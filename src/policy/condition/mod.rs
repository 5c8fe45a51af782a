//! Conditions: operators, set operators, missing keys (facts: iam.md section 3).

use crate::policy::context::{ConditionKey, Context};
use crate::policy::document::{Condition, Version};
use crate::policy::finding::PolicyFinding;
use crate::policy::statement::Effect;

/// One key under one operator, compiled.
#[derive(Debug)]
pub(crate) struct CompiledCondition {
    pub(crate) key: ConditionKey,
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
        let _ = version;
        Ok(Self { key: ConditionKey::new(&condition.key.text) })
    }

    /// Whether the request meets the condition. What can't be read as the operator needs counts
    /// against the request: no Allow, and for a negated operator a Deny.
    pub(crate) fn holds<C: Context + ?Sized>(&self, context: &C, effect: Effect) -> bool {
        let _ = (context, effect);
        false
    }
}
