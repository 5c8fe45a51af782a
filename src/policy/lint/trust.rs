//! Whom a role trusts.

use crate::iam::Arn;
use crate::policy::document::{
    Condition, Document, EntryKind, Negated, PolicyType, PrincipalEntry, Statement,
};
use crate::policy::finding::PolicyFinding;
use crate::policy::lint::{Extent, Home, account_of, operator, warn};
use crate::policy::shape::Shape;
use crate::policy::statement::Effect;

pub(super) fn check(document: &Document, home: Home<'_>, findings: &mut Vec<PolicyFinding>) {
    if document.policy_type != PolicyType::Trust {
        return;
    }
    for statement in document.statements.iter().filter(|it| it.effect == Effect::Allow) {
        let Some(element) = &statement.principal else { continue };
        if element.negated == Negated::Yes {
            continue;
        }
        for entry in &element.entries {
            account(statement, entry, home, findings);
            web_identity(statement, entry, findings);
        }
    }
}

fn account(
    statement: &Statement,
    entry: &PrincipalEntry,
    home: Home<'_>,
    findings: &mut Vec<PolicyFinding>,
) {
    let Some((account, extent)) = account_of(entry) else {
        return;
    };
    if !lets(statement, "sts:AssumeRole") {
        return;
    }
    if home.is_third_party(account) {
        if !limits_key(statement, EXTERNAL_ID) {
            let lacking = match passing(statement) {
                None => "no external ID is asked for".to_owned(),
                Some(operator) => format!("`{operator}` lets it in without an external ID"),
            };
            findings.push(warn(
                &entry.value,
                format!("account `{account}` is a third party, and {lacking}"),
                "add `StringEquals` on `sts:ExternalId`, with an id that the third party picks for \
                 you alone",
            ));
        }
    } else if extent == Extent::Account && statement.conditions.is_empty() {
        findings.push(warn(
            &entry.value,
            format!(
                "the role trusts all of account `{account}`: who may assume it is decided there"
            ),
            "name roles or users, or add a condition such as `aws:PrincipalArn`",
        ));
    }
}

fn web_identity(statement: &Statement, entry: &PrincipalEntry, findings: &mut Vec<PolicyFinding>) {
    let Some(provider) = provider_of(entry) else {
        return;
    };
    if !lets(statement, "sts:AssumeRoleWithWebIdentity") {
        return;
    }
    let audience = limits_key(statement, &format!("{provider}:aud"))
        || limits_key(statement, &format!("{provider}:azp"));
    // Cognito's `sub` is random; its `amr` tells who has logged in.
    let subject = limits_key(statement, &format!("{provider}:sub"))
        || (provider == COGNITO && limits_key(statement, &format!("{provider}:amr")));
    let lacking = match (audience, subject) {
        (true, true) => return,
        (false, true) => "`aud`",
        (true, false) => "`sub`",
        (false, false) => "`aud` and `sub`",
    };
    findings.push(warn(
        &entry.value,
        format!("every token of `{provider}` is trusted, whatever its {lacking}"),
        format!("add conditions on `{provider}:aud` and `{provider}:sub`"),
    ));
}

/// A web identity provider's name, as its condition keys start.
fn provider_of(entry: &PrincipalEntry) -> Option<&str> {
    if entry.kind != EntryKind::Federated {
        return None;
    }
    match Arn::parse(&entry.value.text) {
        Some(arn) => arn.resource().strip_prefix("oidc-provider/"),
        None => Some(&entry.value.text),
    }
}

/// Whether a statement means an action.
fn lets(statement: &Statement, action: &str) -> bool {
    let asked = Shape::action(action);
    let listed = statement.action.values.iter().any(|it| Shape::action(&it.text).covers(&asked));
    listed != (statement.action.negated == Negated::Yes)
}

fn limits_key(statement: &Statement, key: &str) -> bool {
    let is_key = |it: &&Condition| it.key.text.eq_ignore_ascii_case(key);
    statement.conditions.iter().filter(is_key).any(operator::limits)
}

/// The operator of a condition on the external ID that holds without one.
fn passing(statement: &Statement) -> Option<&str> {
    let is_key = |it: &&Condition| it.key.text.eq_ignore_ascii_case(EXTERNAL_ID);
    let mut of_key = statement.conditions.iter().filter(is_key);
    of_key.find(|it| operator::holds_without_key(it)).map(|it| &*it.operator.text)
}

const EXTERNAL_ID: &str = "sts:ExternalId";
const COGNITO: &str = "cognito-identity.amazonaws.com";
