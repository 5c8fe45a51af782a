//! Grants that mean more than they list, and those that grant nothing.

use crate::policy::document::{
    Document, ListElement, Negated, PolicyType, PrincipalElement, Statement,
};
use crate::policy::finding::PolicyFinding;
use crate::policy::lint::operator;
use crate::policy::lint::{is_everyone, keys, quoted_len, warn, warn_at};
use crate::policy::statement::Effect;

pub(super) fn check(document: &Document, findings: &mut Vec<PolicyFinding>) {
    let allows = || document.statements.iter().filter(|it| it.effect == Effect::Allow);
    match document.policy_type {
        PolicyType::Identity => allows().for_each(|it| negated_lists(it, findings)),
        PolicyType::Key | PolicyType::Resource | PolicyType::Trust => {
            for statement in allows() {
                negated_lists(statement, findings);
                principals(statement, findings);
            }
        }
        PolicyType::Endpoint => allows().for_each(|it| negated_principal(it, findings)),
        PolicyType::Scp if !allows().any(is_full_access) => {
            allows().for_each(|it| guardrail_grant(it, findings));
        }
        // These grant nothing, so an Allow of everything else leaves the rest to other policies.
        PolicyType::Boundary | PolicyType::Rcp | PolicyType::Scp | PolicyType::Session => {}
    }
}

fn negated_lists(statement: &Statement, findings: &mut Vec<PolicyFinding>) {
    if statement.action.negated == Negated::Yes {
        findings.push(warn_at(
            statement.action.offset,
            quoted_len("NotAction"),
            "`NotAction` with `Allow` grants every other action, those of new services too",
            "list what is meant under `Action`",
        ));
    }
    if let Some(resource) = statement.resource.as_ref().filter(|it| it.negated == Negated::Yes) {
        findings.push(warn_at(
            resource.offset,
            quoted_len("NotResource"),
            "`NotResource` with `Allow` grants every other resource, those still to come too",
            "list what is meant under `Resource`",
        ));
    }
}

fn principals(statement: &Statement, findings: &mut Vec<PolicyFinding>) {
    negated_principal(statement, findings);
    let Some(element) = statement.principal.as_ref().filter(|it| it.negated == Negated::No) else {
        return;
    };
    public(statement, element, findings);
}

fn negated_principal(statement: &Statement, findings: &mut Vec<PolicyFinding>) {
    let Some(element) = statement.principal.as_ref().filter(|it| it.negated == Negated::Yes) else {
        return;
    };
    findings.push(warn_at(
        element.offset,
        quoted_len("NotPrincipal"),
        "`NotPrincipal` with `Allow` lets in everybody who is not listed, without credentials too",
        "list who is meant under `Principal`, and deny the others",
    ));
}

fn public(statement: &Statement, element: &PrincipalElement, findings: &mut Vec<PolicyFinding>) {
    let Some(entry) = element.entries.iter().find(|it| is_everyone(it)) else {
        return;
    };
    let on_caller = || statement.conditions.iter().filter(|it| keys::limits_caller(&it.key.text));
    if on_caller().any(operator::limits) {
        return;
    }
    let if_exists = on_caller().find(|it| operator::is_if_exists(it) && !operator::is_negated(it));
    findings.push(match if_exists {
        Some(condition) => warn(
            &entry.value,
            format!(
                "`*` lets everybody in: who has no `{}` meets `{}`",
                condition.key.text, condition.operator.text
            ),
            "leave `IfExists` out",
        ),
        None => warn(
            &entry.value,
            "`*` lets everybody in: no condition limits the caller",
            "name accounts or principals, or add a condition such as `aws:PrincipalOrgID`",
        ),
    });
}

fn guardrail_grant(statement: &Statement, findings: &mut Vec<PolicyFinding>) {
    findings.push(warn_at(
        statement.action.offset,
        quoted_len(name_of(&statement.action)),
        "an SCP grants nothing: this `Allow` refuses all that its level does not list",
        "attach full access, deny what is not meant, and grant by identity policies",
    ));
}

fn name_of(action: &ListElement) -> &'static str {
    match action.negated {
        Negated::No => "Action",
        Negated::Yes => "NotAction",
    }
}

fn is_full_access(statement: &Statement) -> bool {
    let all = |list: &ListElement| {
        list.negated == Negated::No && list.values.iter().any(|it| &*it.text == "*")
    };
    all(&statement.action)
        && statement.resource.as_ref().is_none_or(all)
        && statement.conditions.is_empty()
}
