//! Statements that change no answer, since another one of the document covers them.

use crate::policy::document::{
    Document, ListElement, Negated, PrincipalElement, PrincipalEntry, Statement, Version,
};
use crate::policy::finding::PolicyFinding;
use crate::policy::lint::{Extent, account_of, is_everyone, named, warn_at};
use crate::policy::shape::{Shape, Shapes, Variables};
use crate::policy::statement::Effect;

pub(super) fn check(document: &Document, findings: &mut Vec<PolicyFinding>) {
    // The pairs grow with the square; a document of the usual sizes stays far below.
    let statements = document.statements.get(..STATEMENTS_MAX).unwrap_or(&document.statements);
    let spans: Vec<Span<'_>> = statements.iter().map(|it| Span::of(it, document.version)).collect();
    for (index, span) in spans.iter().enumerate() {
        let mut others = spans.iter().enumerate().filter(|(other, _)| *other != index);
        let Some((_, other)) = others.find(|(other, it)| {
            // Of two that say the same the later one is too many.
            it.covers(span) && (*other < index || !span.covers(it))
        }) else {
            continue;
        };
        findings.push(finding(document, span.statement, other.statement));
    }
}

fn finding(document: &Document, statement: &Statement, other: &Statement) -> PolicyFinding {
    let name = named(document, other);
    let (message, hint) = if statement.effect == other.effect {
        (format!("this statement changes nothing: statement {name} covers it"), "remove it")
    } else {
        (
            format!("this statement grants nothing: statement {name} denies all of it"),
            "remove it, or narrow the denial",
        )
    };
    warn_at(statement.offset, 1, message, hint)
}

/// A statement with its patterns.
struct Span<'d> {
    statement: &'d Statement,
    actions: Shapes,
    resources: Option<Shapes>,
}

impl<'d> Span<'d> {
    fn of(statement: &'d Statement, version: Version) -> Self {
        let variables = match version {
            Version::V2008 => Variables::Plain,
            Version::V2012 => Variables::Expanded,
        };
        let resource = |it: &ListElement| shapes(it, |text| Shape::arn(text, variables));
        Self {
            statement,
            actions: shapes(&statement.action, Shape::action),
            resources: statement.resource.as_ref().map(resource),
        }
    }

    /// Whether this one, by itself and for every request, does all that the other one would, or
    /// denies all that the other one grants.
    fn covers(&self, other: &Span<'_>) -> bool {
        let resources = match (&self.resources, &other.resources) {
            (Some(own), Some(other)) => own.covers(other),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        let effects = match (self.statement.effect, other.statement.effect) {
            (Effect::Allow, Effect::Allow) | (Effect::Deny, _) => true,
            (Effect::Allow, Effect::Deny) => false,
        };
        effects
            && resources
            && self.statement.conditions.is_empty()
            && self.actions.covers(&other.actions)
            && covers_principals(self.statement, other.statement)
    }
}

fn shapes(list: &ListElement, shape: impl Fn(&str) -> Shape) -> Shapes {
    let shapes = list.values.iter().map(|it| shape(&it.text)).collect();
    Shapes { negated: list.negated, shapes }
}

fn covers_principals(statement: &Statement, other: &Statement) -> bool {
    match (&statement.principal, &other.principal) {
        (None, None) => true,
        (Some(own), Some(other)) => match (own.negated, other.negated) {
            (Negated::No, _) => covers_listed(own, other, statement.effect),
            // What this leaves out, the other leaves out too.
            (Negated::Yes, Negated::Yes) => {
                own.entries.iter().all(|own| other.entries.iter().any(|other| is_same(own, other)))
            }
            (Negated::Yes, Negated::No) => false,
        },
        (Some(_), None) | (None, Some(_)) => false,
    }
}

fn covers_listed(own: &PrincipalElement, other: &PrincipalElement, effect: Effect) -> bool {
    own.entries.iter().any(is_everyone)
        || other.negated == Negated::No
            && other.entries.iter().all(|it| own.entries.iter().any(|own| means(own, it, effect)))
}

/// Whether an entry means all that another one does. An account's entry denies its principals, and
/// grants them less than their own names would.
fn means(own: &PrincipalEntry, other: &PrincipalEntry, effect: Effect) -> bool {
    if is_same(own, other) {
        return true;
    }
    match (account_of(own), account_of(other)) {
        (Some((own, Extent::Account)), Some((other, extent))) => {
            own == other && (effect == Effect::Deny || extent == Extent::Account)
        }
        _ => false,
    }
}

fn is_same(own: &PrincipalEntry, other: &PrincipalEntry) -> bool {
    own.kind == other.kind && own.value.text == other.value.text
}

/// The most statements whose pairs are looked at: 40,000 comparisons.
const STATEMENTS_MAX: usize = 200;
