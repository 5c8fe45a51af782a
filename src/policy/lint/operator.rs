//! Condition operators as far as lints ask of them: whether a condition limits who gets through.

use crate::policy::document::Condition;

/// An operator, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Operator {
    /// `ForAllValues` or `ForAnyValue`.
    pub(super) set: Option<SetOperator>,
    /// Whether it ends in `IfExists`.
    pub(super) absence: Absence,
    /// The rest, in lower case.
    pub(super) base: String,
}

/// Over which of a request's values a condition is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SetOperator {
    /// Each one.
    All,
    /// Any of them.
    Any,
}

/// What `IfExists` says of a request without the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Absence {
    /// It is written: the condition holds.
    Holds,
    /// It is not.
    Unsaid,
}

impl Operator {
    pub(super) fn of(condition: &Condition) -> Self {
        let lower = condition.operator.text.to_ascii_lowercase();
        let (set, rest) = match lower.split_once(':') {
            Some(("forallvalues", rest)) => (Some(SetOperator::All), rest),
            Some(("foranyvalue", rest)) => (Some(SetOperator::Any), rest),
            _ => (None, lower.as_str()),
        };
        let (absence, base) = match rest.strip_suffix("ifexists") {
            Some(base) => (Absence::Holds, base),
            None => (Absence::Unsaid, rest),
        };
        Self { set, absence, base: base.to_owned() }
    }

    /// Whether it holds for what is not listed.
    pub(super) fn is_negated(&self) -> bool {
        self.base.contains("not")
    }

    pub(super) fn is_null(&self) -> bool {
        self.base == "null"
    }

    /// Whether a request without the key meets it.
    pub(super) fn holds_without_key(&self) -> bool {
        match self.set {
            Some(SetOperator::All) => true,
            Some(SetOperator::Any) => false,
            None => self.absence == Absence::Holds || self.is_negated(),
        }
    }
}

/// Whether a condition lets only requests through that have one of some values for its key.
pub(super) fn limits(condition: &Condition) -> bool {
    let operator = Operator::of(condition);
    !operator.is_null()
        && !operator.is_negated()
        && !operator.holds_without_key()
        && !condition.values.iter().any(|value| is_open(&value.text))
}

/// Values that leave nobody out.
fn is_open(value: &str) -> bool {
    let stars = !value.is_empty() && value.chars().all(|char| char == '*');
    stars || ["0.0.0.0/0", "::/0", "arn:*:*:*:*:*"].contains(&value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::document::Text;

    fn condition(operator: &str, value: &str) -> Condition {
        let text = |text: &str| Text { text: text.into(), offset: 0, len: text.len() };
        Condition { operator: text(operator), key: text("k"), values: vec![text(value)] }
    }

    #[track_caller]
    fn check(operator: &str, value: &str, expect_limits: bool, expect_without_key: bool) {
        let condition = condition(operator, value);
        let without_key = Operator::of(&condition).holds_without_key();
        assert_eq!((limits(&condition), without_key), (expect_limits, expect_without_key));
    }

    #[test]
    fn only_positive_operators_that_need_the_key_limit() {
        check("StringEquals", "a", true, false);
        check("stringlike", "a*", true, false);
        check("StringLike", "*", false, false);
        check("StringEqualsIfExists", "a", false, true);
        check("StringNotEquals", "a", false, true);
        check("ForAnyValue:StringLike", "a", true, false);
        check("ForAnyValue:StringLikeIfExists", "a", true, false);
        check("ForAllValues:StringLike", "a", false, true);
        check("Null", "false", false, false);
        check("IpAddress", "0.0.0.0/0", false, false);
        check("ArnLike", "arn:aws:iam::1:*", true, false);
    }
}
