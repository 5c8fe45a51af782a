//! Documents become compiled policies.

use smallvec::SmallVec;

use crate::iam::Arn;
use crate::policy::condition::CompiledCondition;
use crate::policy::document::{
    Document, EntryKind, ListElement, Negated, PrincipalElement, Statement, Text, Version,
};
use crate::policy::finding::{PolicyFinding, Severity};
use crate::policy::index::StatementIndex;
use crate::policy::json::Lines;
use crate::policy::pattern::{ActionPattern, ArnPattern, PatternError};
use crate::policy::principal::{PrincipalKind, is_unique_id, last_part};
use crate::policy::statement::{
    Actions, CompiledPolicy, CompiledStatement, PrincipalPattern, Principals, Resources, Source,
};

/// Compiles a checked document. `lines` are those of the file that its offsets point into.
///
/// # Errors
/// What `check` could not see: values that are not of their operator's type, patterns that can't
/// be read; each with its place.
pub fn compile(
    document: &Document,
    name: &str,
    source: Source,
    lines: &Lines<'_>,
) -> Result<CompiledPolicy, Vec<PolicyFinding>> {
    let mut findings = Vec::new();
    let mut statements = SmallVec::with_capacity(document.statements.len());
    for (index, statement) in (0..).zip(&document.statements) {
        match compile_statement(statement, index, document, lines) {
            Ok(compiled) => statements.push(compiled),
            Err(found) => findings.extend(found),
        }
    }
    if !findings.is_empty() {
        return Err(findings);
    }
    Ok(CompiledPolicy {
        name: name.into(),
        source,
        policy_type: document.policy_type,
        index: StatementIndex::build(&statements).map(Box::new),
        statements,
    })
}

fn compile_statement(
    statement: &Statement,
    index: u32,
    document: &Document,
    lines: &Lines<'_>,
) -> Result<CompiledStatement, Vec<PolicyFinding>> {
    let mut findings = Vec::new();
    let actions = gathered(&statement.action, ActionPattern::parse, &mut findings);
    let Document { version, policy_type, .. } = *document;
    let variables = version == Version::V2012;
    let resources = statement.resource.as_ref().map(|element| Resources {
        negated: element.negated,
        patterns: gathered(element, |text| ArnPattern::parse(text, variables), &mut findings),
    });
    let mut conditions = Vec::with_capacity(statement.conditions.len());
    for condition in &statement.conditions {
        match CompiledCondition::compile(condition, version) {
            Ok(compiled) => conditions.push(compiled),
            Err(found) => findings.extend(found),
        }
    }
    if !findings.is_empty() {
        return Err(findings);
    }
    let (line, column) = place(lines, statement.offset);
    Ok(CompiledStatement {
        sid: statement.sid.as_ref().map(|sid| sid.text.clone()).unwrap_or_default(),
        index,
        line,
        column,
        effect: statement.effect,
        principals: match &statement.principal {
            Some(element) => Some(compile_principals(element)),
            // Where a policy has principals, a statement without any means nobody.
            None if policy_type.has_principals() => Some(Principals::new(Negated::No, Vec::new())),
            None => None,
        },
        actions: Actions::new(statement.action.negated, actions),
        resources,
        conditions: conditions.into(),
    })
}

/// The patterns of an element; what can't be read is a finding.
fn gathered<T>(
    element: &ListElement,
    parse: impl Fn(&str) -> Result<T, PatternError>,
    findings: &mut Vec<PolicyFinding>,
) -> SmallVec<[T; 1]> {
    let mut patterns = SmallVec::with_capacity(element.values.len());
    for value in &element.values {
        match parse(&value.text) {
            Ok(pattern) => patterns.push(pattern),
            Err(error) => findings.push(PolicyFinding {
                severity: Severity::Error,
                offset: value.offset,
                len: value.len,
                message: format!("`{}`: {error}", value.text),
                hint: None,
                omitted: 0,
            }),
        }
    }
    patterns
}

fn compile_principals(element: &PrincipalElement) -> Principals {
    let entries = element.entries.iter().map(|entry| compile_principal(entry.kind, &entry.value));
    Principals::new(element.negated, entries.collect())
}

/// What a listed principal means; `check` has refused what means nothing.
fn compile_principal(kind: EntryKind, value: &Text) -> PrincipalPattern {
    let text: &str = &value.text;
    match kind {
        EntryKind::Everyone => PrincipalPattern::Everyone,
        EntryKind::Aws if text == "*" => PrincipalPattern::Everyone,
        EntryKind::Aws => compile_aws(text),
        EntryKind::CanonicalUser => PrincipalPattern::Foreign(text.into()),
        EntryKind::Federated => PrincipalPattern::Federated(text.into()),
        EntryKind::Service => PrincipalPattern::Service(text.into()),
    }
}

fn compile_aws(text: &str) -> PrincipalPattern {
    let Some(arn) = Arn::parse(text) else {
        return if is_unique_id(text) {
            PrincipalPattern::Foreign(text.into())
        } else {
            PrincipalPattern::Account(text.into())
        };
    };
    match PrincipalKind::of(text) {
        Some(PrincipalKind::Root) => PrincipalPattern::Account(arn.account().into()),
        Some(PrincipalKind::User) => PrincipalPattern::User(text.into()),
        Some(PrincipalKind::AssumedRole | PrincipalKind::FederatedUser) => {
            PrincipalPattern::Session(text.into())
        }
        Some(PrincipalKind::Role) => PrincipalPattern::Role {
            partition: arn.partition().into(),
            account: arn.account().into(),
            name: last_part(arn.resource()).into(),
        },
        Some(PrincipalKind::WebIdentity) => PrincipalPattern::Federated(text.into()),
        Some(PrincipalKind::Anonymous | PrincipalKind::Service) | None => {
            PrincipalPattern::Foreign(text.into())
        }
    }
}

/// Line and column of a byte, from 1.
fn place(lines: &Lines<'_>, offset: usize) -> (u32, u32) {
    let narrow = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    let (line, column) = lines.place(offset);
    (narrow(line), narrow(column))
}
