//! Condition operators as far as lints ask of them: whether a condition limits who gets through.

use crate::policy::condition::Operator;
use crate::policy::document::Condition;

/// Whether a request without the key meets a condition.
pub(super) fn holds_without_key(condition: &Condition) -> bool {
    let Some(operator) = Operator::parse(&condition.operator.text) else { return false };
    if operator.is_set() {
        return operator.is_for_all_values();
    }
    operator.is_if_exists() || operator.is_negated()
}

/// Whether a condition holds for what is not listed.
pub(super) fn is_negated(condition: &Condition) -> bool {
    Operator::parse(&condition.operator.text).is_some_and(Operator::is_negated)
}

pub(super) fn is_for_all_values(condition: &Condition) -> bool {
    Operator::parse(&condition.operator.text).is_some_and(Operator::is_for_all_values)
}

pub(super) fn is_set(condition: &Condition) -> bool {
    Operator::parse(&condition.operator.text).is_some_and(Operator::is_set)
}

pub(super) fn is_if_exists(condition: &Condition) -> bool {
    Operator::parse(&condition.operator.text).is_some_and(Operator::is_if_exists)
}

pub(super) fn is_null(condition: &Condition) -> bool {
    is_named(condition, "Null")
}

/// Whether the operator has a name, in any letter case.
pub(super) fn is_named(condition: &Condition, name: &str) -> bool {
    condition.operator.text.eq_ignore_ascii_case(name)
}

/// Whether a condition lets only requests through that have one of some values for its key.
pub(super) fn limits(condition: &Condition) -> bool {
    !is_null(condition)
        && !is_negated(condition)
        && !holds_without_key(condition)
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
        let got = (limits(&condition), holds_without_key(&condition));
        assert_eq!(got, (expect_limits, expect_without_key), "{operator} {value}");
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
