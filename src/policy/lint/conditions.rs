//! Conditions that hold, or don't, where that is not expected.

use crate::policy::context::{ConditionKey, KeyName};
use crate::policy::document::{Condition, Document, Statement, Text, Version};
use crate::policy::finding::PolicyFinding;
use crate::policy::lint::keys::{self, Unknown};
use crate::policy::lint::operator::{Absence, Operator, SetOperator};
use crate::policy::lint::warn;
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
    let Some(unknown) = keys::unknown(&condition.key.text) else {
        return;
    };
    let key = &condition.key.text;
    let (message, hint) = match unknown {
        Unknown::Global { meant: Some(meant) } => {
            (format!("no request has a value for `{key}`"), format!("did you mean `{meant}`?"))
        }
        Unknown::Global { meant: None } => (
            format!("no request has a value for `{key}`"),
            "remove it, or test a key that crossgate knows".to_owned(),
        ),
        Unknown::NoService { meant } => (
            format!("the condition key `{key}` has no service"),
            format!("did you mean `{meant}`?"),
        ),
    };
    findings.push(warn(&condition.key, message, hint));
}

/// An Allow over all of no values.
fn empty_set(statement: &Statement, condition: &Condition, findings: &mut Vec<PolicyFinding>) {
    let operator = Operator::of(condition);
    if operator.set != Some(SetOperator::All) || needs_key(statement, &condition.key) {
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
    let operator = Operator::of(condition);
    let key = &condition.key.text;
    let is_told = operator.is_null() || is_null_tested(statement, &condition.key);
    let is_negated = operator.set.is_none() && operator.is_negated();
    let is_set = operator.set == Some(SetOperator::All);
    let services = statement.conditions.iter().any(|it| keys::is_of_services(&it.key.text));
    if is_told || keys::is_always_present(key) || services || !(is_negated || is_set) {
        return;
    }
    let written = &condition.operator.text;
    let message = match operator.absence {
        Absence::Holds => {
            format!(
                "a request without `{key}` is denied too: `IfExists` in `{written}` does not part it"
            )
        }
        Absence::Unsaid => format!("a request without `{key}` is denied too: it meets `{written}`"),
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
    let operator = Operator::of(condition);
    let name = ConditionKey::new(&condition.key.text).name;
    let of_no_mfa = match name {
        KeyName::MultiFactorAuthPresent => operator.base == "bool" && is_only(condition, "false"),
        KeyName::MultiFactorAuthAge => operator.base.starts_with("numericgreaterthan"),
        _ => false,
    };
    if !of_no_mfa || operator.holds_without_key() || is_null_tested(statement, &condition.key) {
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
    statement.conditions.iter().filter(of_key).filter(|it| Operator::of(it).is_null())
}

fn is_only(condition: &Condition, value: &str) -> bool {
    !condition.values.is_empty()
        && condition.values.iter().all(|it| it.text.eq_ignore_ascii_case(value))
}
