//! Conditions that hold, or don't, where that is not expected.

use crate::policy::context::{ConditionKey, KeyName};
use crate::policy::document::{Condition, Document, Statement, Text, Version};
use crate::policy::finding::PolicyFinding;
use crate::policy::lint::keys;
use crate::policy::lint::{operator, warn};
use crate::policy::statement::Effect;

pub(super) fn check(document: &Document, findings: &mut Vec<PolicyFinding>) {
    for statement in &document.statements {
        for condition in &statement.conditions {
            unknown_key(condition, findings);
            match statement.effect {
                Effect::Allow => empty_set(statement, condition, findings),
                Effect::Deny => {
                    hits_without_key(statement, condition, findings);
                    misses_without_key(statement, condition, findings);
                }
            }
        }
        if document.version == Version::V2008 {
            plain_variables(statement, findings);
        }
    }
}

fn unknown_key(condition: &Condition, findings: &mut Vec<PolicyFinding>) {
    let key = &condition.key.text;
    let Some(unknown) = keys::unknown(key) else {
        return;
    };
    let hint = match unknown.meant {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => "remove it, or test a key that crossgate derives".to_owned(),
    };
    findings.push(warn(&condition.key, format!("no request has a value for `{key}`"), hint));
}

/// An Allow over all of no values.
fn empty_set(statement: &Statement, condition: &Condition, findings: &mut Vec<PolicyFinding>) {
    if !operator::is_for_all_values(condition) || needs_key(statement, &condition.key) {
        return;
    }
    let key = &condition.key.text;
    findings.push(warn(
        &condition.operator,
        format!(
            "`{}` holds for a request without `{key}`, which is then allowed",
            condition.operator.text
        ),
        format!("add `\"Null\": {{\"{key}\": \"false\"}}`"),
    ));
}

/// A Deny of what is not listed.
fn hits_without_key(
    statement: &Statement,
    condition: &Condition,
    findings: &mut Vec<PolicyFinding>,
) {
    let key = &condition.key.text;
    let is_told = operator::is_null(condition) || is_null_tested(statement, &condition.key);
    let is_negated = operator::is_negated(condition) && !operator::is_set(condition);
    let services = statement.conditions.iter().any(|it| keys::is_of_services(&it.key.text));
    if is_told
        || services
        || keys::is_always_present(key)
        || !(is_negated || operator::is_for_all_values(condition))
    {
        return;
    }
    let written = &condition.operator.text;
    let message = if operator::is_if_exists(condition) {
        format!("a request without `{key}` is denied too: `IfExists` in `{written}` spares none")
    } else {
        format!("a request without `{key}` is denied too: it meets `{written}`")
    };
    let mut hint = format!("add `\"Null\": {{\"{key}\": \"false\"}}` if that is not meant");
    if ConditionKey::new(key).name == KeyName::SourceIp {
        hint.push_str("; requests over a VPC endpoint have no such key");
    }
    findings.push(warn(&condition.operator, message, hint));
}

/// A Deny of what is missing, which does not see that it is.
fn misses_without_key(
    statement: &Statement,
    condition: &Condition,
    findings: &mut Vec<PolicyFinding>,
) {
    let of_no_mfa = match ConditionKey::new(&condition.key.text).name {
        KeyName::MultiFactorAuthPresent => {
            operator::is_named(condition, "Bool") && is_only(condition, "false")
        }
        KeyName::MultiFactorAuthAge => ["NumericGreaterThan", "NumericGreaterThanEquals"]
            .into_iter()
            .any(|name| operator::is_named(condition, name)),
        _ => false,
    };
    if !of_no_mfa || is_null_tested(statement, &condition.key) {
        return;
    }
    findings.push(warn(
        &condition.operator,
        format!(
            "a request without `{}` is not denied: long-term keys have none",
            condition.key.text
        ),
        format!("use `{}IfExists`", condition.operator.text),
    ));
}

/// Variables of a document whose version has none.
fn plain_variables(statement: &Statement, findings: &mut Vec<PolicyFinding>) {
    let resources = statement.resource.iter().flat_map(|it| &it.values);
    let values = statement.conditions.iter().flat_map(|it| &it.values);
    for text in resources.chain(values) {
        let Some((variable, _)) = text.text.split_once("${").and_then(|(_, it)| it.split_once('}'))
        else {
            continue;
        };
        findings.push(warn(
            text,
            format!("`${{{variable}}}` is plain text here: the version has no policy variables"),
            "begin the document with `\"Version\": \"2012-10-17\"`",
        ));
    }
}

/// Whether the statement asks for a request that has the key.
fn needs_key(statement: &Statement, key: &Text) -> bool {
    nulls(statement, key).any(|it| is_only(it, "false"))
}

/// Whether the statement says anything on requests without the key.
fn is_null_tested(statement: &Statement, key: &Text) -> bool {
    nulls(statement, key).next().is_some()
}

fn nulls<'d>(statement: &'d Statement, key: &'d Text) -> impl Iterator<Item = &'d Condition> {
    let of_key = |it: &&Condition| it.key.text.eq_ignore_ascii_case(&key.text);
    statement.conditions.iter().filter(of_key).filter(|it| operator::is_null(it))
}

fn is_only(condition: &Condition, value: &str) -> bool {
    !condition.values.is_empty()
        && condition.values.iter().all(|it| it.text.eq_ignore_ascii_case(value))
}
