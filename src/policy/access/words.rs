//! Conditions in words, for people who ask what must hold.

use crate::policy::condition::{CompiledCondition, is_secret};
use crate::policy::context::KeyName;
use crate::policy::explain::wanted;
use crate::policy::statement::CompiledStatement;

/// What must hold for a statement, each condition in words. An external ID is never among them.
pub fn in_words(statement: &CompiledStatement) -> Vec<String> {
    statement.conditions.iter().map(words).collect()
}

fn words(condition: &CompiledCondition) -> String {
    let operator = condition.operator();
    let or_absent = operator.is_if_exists() || operator.is_for_all_values();
    if is_secret(condition.key.as_str()) {
        let or_without = if or_absent { ", or without one" } else { "" };
        return format!("{}{or_without}", external_id(condition));
    }
    let values = condition.values();
    let told = match (condition.key.name, operator.name(), &*values) {
        (KeyName::MultiFactorAuthPresent, "Bool", [flag]) if flag == "true" => {
            "with MFA".to_owned()
        }
        (KeyName::MultiFactorAuthAge, "NumericLessThan" | "NumericLessThanEquals", [age]) => {
            format!("with MFA that is not older than {age} s")
        }
        _ => plain(condition),
    };
    let or_absent = if or_absent { ", or where there is no such key" } else { "" };
    format!("{told}{or_absent}")
}

/// That there is one, or one of how many; never which.
fn external_id(condition: &CompiledCondition) -> String {
    let (operator, values) = (condition.operator(), condition.values());
    let is_form =
        operator.name() == "StringLike" && values.iter().any(|it| it.contains(['*', '?']));
    match (operator.name(), operator.is_negated(), &*values) {
        ("Null", _, [absent]) if absent == "true" => "without an external ID".to_owned(),
        ("Null", ..) => "with any external ID".to_owned(),
        (_, true, _) => "with another external ID than it lists, or none".to_owned(),
        (_, false, _) if is_form => "with an external ID of its form".to_owned(),
        (_, false, [_]) => "with its external ID".to_owned(),
        (_, false, values) => format!("with one of its {} external IDs", values.len()),
    }
}

fn plain(condition: &CompiledCondition) -> String {
    let operator = condition.operator();
    let key = condition.key.as_str();
    let subject = match (operator.is_set(), operator.is_for_all_values()) {
        (false, _) => format!("`{key}`"),
        (true, false) => format!("one of `{key}`"),
        (true, true) => format!("each of `{key}`"),
    };
    if operator.name() == "Null" {
        let is_absent = condition.values().iter().any(|value| value == "true");
        return format!("{subject} {}", if is_absent { "is absent" } else { "is there" });
    }
    let one_of = if condition.values().len() == 1 { "" } else { "one of " };
    format!("{subject} {} {one_of}{}", verb(operator.name()), wanted(condition))
}

fn verb(operator: &str) -> &'static str {
    match operator {
        "StringNotEquals" | "ArnNotEquals" | "NumericNotEquals" | "DateNotEquals" => "is not",
        "StringEqualsIgnoreCase" => "is, in any letter case,",
        "StringNotEqualsIgnoreCase" => "is not, in any letter case,",
        // As ARNs are compared, `ArnEquals` has wildcards too.
        "StringLike" | "ArnLike" | "ArnEquals" => "is like",
        "StringNotLike" | "ArnNotLike" => "is not like",
        "NumericLessThan" => "is less than",
        "NumericLessThanEquals" => "is at most",
        "NumericGreaterThan" => "is more than",
        "NumericGreaterThanEquals" => "is at least",
        "DateLessThan" => "is before",
        "DateLessThanEquals" => "is not after",
        "DateGreaterThan" => "is after",
        "DateGreaterThanEquals" => "is not before",
        "IpAddress" => "is in",
        "NotIpAddress" => "is not in",
        _ => "is",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::document::Version;
    use crate::policy::document::{Condition, Text};

    #[track_caller]
    fn check(operator: &str, key: &str, values: &[&str], expect: &str) {
        let text = |text: &str| Text { text: text.into(), offset: 0, len: text.len() };
        let values = values.iter().map(|value| text(value)).collect();
        let condition = Condition { operator: text(operator), key: text(key), values };
        let condition = CompiledCondition::compile(&condition, Version::V2012).unwrap();
        assert_eq!(words(&condition), expect);
    }

    #[test]
    fn an_external_id_is_counted_and_not_told() {
        let key = "sts:ExternalID";
        check("StringEquals", key, &["secret"], "with its external ID");
        check("StringEquals", key, &["a1", "b2"], "with one of its 2 external IDs");
        check("StringLike", key, &["secret-*"], "with an external ID of its form");
        check("StringEqualsIfExists", key, &["secret"], "with its external ID, or without one");
        check(
            "ForAllValues:StringEquals",
            key,
            &["secret"],
            "with its external ID, or without one",
        );
        let other = "with another external ID than it lists, or none";
        check("StringNotEquals", key, &["secret"], other);
        check("Null", key, &["false"], "with any external ID");
        check("Null", key, &["true"], "without an external ID");
    }

    #[test]
    fn other_conditions_say_what_must_hold() {
        check("Bool", "aws:MultiFactorAuthPresent", &["true"], "with MFA");
        check(
            "BoolIfExists",
            "aws:MultiFactorAuthPresent",
            &["true"],
            "with MFA, or where there is no such key",
        );
        let age = "with MFA that is not older than 3600 s";
        check("NumericLessThan", "aws:MultiFactorAuthAge", &["3600"], age);
        check(
            "StringLike",
            "ci.example.com:sub",
            &["repo:a/*", "repo:b/*"],
            "`ci.example.com:sub` is like one of `repo:a/*`, `repo:b/*`",
        );
        check("StringEquals", "ci.example.com:aud", &["sts"], "`ci.example.com:aud` is `sts`");
        check("IpAddress", "aws:SourceIp", &["10.0.0.0/8"], "`aws:sourceip` is in `10.0.0.0/8`");
        check("Null", "sts:SourceIdentity", &["false"], "`sts:sourceidentity` is there");
        check(
            "ForAnyValue:StringEquals",
            "aws:TagKeys",
            &["Team"],
            "one of `aws:tagkeys` is `Team`",
        );
        check(
            "DateLessThan",
            "aws:CurrentTime",
            &["2030-01-01T00:00:00Z"],
            "`aws:currenttime` is before `2030-01-01T00:00:00Z`",
        );
    }
}
