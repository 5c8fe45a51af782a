//! One side's policies, tried statement by statement.

use crate::policy::combine::PolicyLayer;
use crate::policy::condition::{CompiledCondition, is_secret};
use crate::policy::context::{ConditionKey, Context, Value, Values};
use crate::policy::evaluate::StatementRef;
use crate::policy::principal::PrincipalMatch;
use crate::policy::question::Question;
use crate::policy::statement::{CompiledPolicy, CompiledStatement, Effect};

/// One side, or one level of the organization, and what its policies say.
#[derive(Clone, Debug)]
pub struct Step<'p> {
    /// Which side.
    pub layer: PolicyLayer,
    /// What was asked, for example ``identity policies of `user/a` ``.
    pub asked: String,
    /// The policies that were asked.
    pub policies: Vec<&'p CompiledPolicy>,
    /// All their statements, in order.
    pub tried: Vec<TriedStatement<'p>>,
    /// What it means for the answer.
    pub meaning: String,
}

/// A statement and whether it matched.
#[derive(Clone, Debug)]
pub struct TriedStatement<'p> {
    /// The statement.
    pub statement: StatementRef<'p>,
    /// Whether it matched.
    pub tried: Tried,
}

/// Whether a statement matched, and what kept it from matching.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tried {
    /// It matched, naming the principal so.
    Matched(PrincipalMatch),
    /// It did not: the first element that does not mean the request.
    Unmatched(Element),
}

/// An element of a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Element {
    /// `Principal` or `NotPrincipal`.
    Principal,
    /// `Action` or `NotAction`.
    Action,
    /// `Resource` or `NotResource`.
    Resource,
    /// A condition.
    Condition {
        /// Its operator.
        operator: String,
        /// Its key, in lower case.
        key: String,
        /// What it wants, in words.
        wanted: String,
        /// What the request has, in words.
        had: String,
    },
}

impl<'p> Step<'p> {
    /// Tries all statements of policies.
    pub(super) fn of<C: Context + ?Sized>(
        layer: PolicyLayer,
        policies: Vec<&'p CompiledPolicy>,
        question: &Question<'_, C>,
        has_boundary: bool,
    ) -> Self {
        let mut tried = Vec::new();
        for policy in policies.iter().copied() {
            for statement in &policy.statements {
                let is = try_statement(statement, layer, question, has_boundary);
                let statement = StatementRef { policy, statement, layer };
                tried.push(TriedStatement { statement, tried: is });
            }
        }
        Self { layer, asked: String::new(), policies, tried, meaning: String::new() }
    }

    /// The statements of an effect that matched, and how they name the principal.
    pub fn matched(
        &self,
        effect: Effect,
    ) -> impl Iterator<Item = (StatementRef<'p>, PrincipalMatch)> + '_ {
        self.tried.iter().filter_map(move |it| match it.tried {
            Tried::Matched(how) if it.statement.effect() == effect => Some((it.statement, how)),
            Tried::Matched(_) | Tried::Unmatched(_) => None,
        })
    }

    /// Whether an Allow statement matched.
    pub fn allows(&self) -> bool {
        self.matched(Effect::Allow).next().is_some()
    }
}

fn try_statement<C: Context + ?Sized>(
    statement: &CompiledStatement,
    layer: PolicyLayer,
    question: &Question<'_, C>,
    has_boundary: bool,
) -> Tried {
    let how = match &statement.principals {
        Some(principals) => principals.matches(&question.principal, statement.effect, has_boundary),
        None => match layer {
            PolicyLayer::Resource | PolicyLayer::Trust | PolicyLayer::Key => None,
            PolicyLayer::Boundary
            | PolicyLayer::Endpoint
            | PolicyLayer::Identity
            | PolicyLayer::Rcp
            | PolicyLayer::Scp
            | PolicyLayer::Session => Some(PrincipalMatch::Direct),
        },
    };
    let Some(how) = how else { return Tried::Unmatched(Element::Principal) };
    if !statement.actions.matches(question.action) {
        return Tried::Unmatched(Element::Action);
    }
    let resources = statement.resources.as_ref();
    if resources.is_some_and(|it| !it.matches(question.resource, question.context)) {
        return Tried::Unmatched(Element::Resource);
    }
    let unmet = statement
        .conditions
        .iter()
        .find(|condition| !condition.holds(question.context, statement.effect));
    match unmet {
        None => Tried::Matched(how),
        Some(condition) => Tried::Unmatched(Element::Condition {
            operator: condition.operator().to_string(),
            key: condition.key.as_str().to_owned(),
            wanted: wanted(condition),
            had: had(&condition.key, question.context),
        }),
    }
}

/// What a condition compares with, in words.
pub(in crate::policy) fn wanted(condition: &CompiledCondition) -> String {
    if is_secret(condition.key.as_str()) {
        return "a value that is not shown".to_owned();
    }
    let values = condition.values();
    match &*values {
        [] => "no value".to_owned(),
        values => listed(values),
    }
}

/// What a request has for a key, in words. Who picks an external ID must not read it here.
fn had<C: Context + ?Sized>(key: &ConditionKey, context: &C) -> String {
    let values = context.values(key);
    match values {
        Values::Absent | Values::Many([]) => "the request has no value for it".to_owned(),
        _ if is_secret(key.as_str()) => "the request's value is not shown".to_owned(),
        Values::One(value) => format!("the request has `{}`", shown(value)),
        Values::Many(values) => format!("the request has {}", listed(values)),
    }
}

/// The first few values.
fn listed<T: AsRef<str>>(values: &[T]) -> String {
    let first = values.iter().take(VALUES_MAX).map(|value| format!("`{}`", cut(value.as_ref())));
    let more = if values.len() > VALUES_MAX { ", …" } else { "" };
    format!("{}{more}", first.collect::<Vec<_>>().join(", "))
}

fn shown(value: Value<'_>) -> String {
    match value {
        Value::Text(text) => cut(text),
        Value::Address(address) => address.to_string(),
        Value::Bool(truth) => truth.to_string(),
        Value::Number(number) => number.to_string(),
        Value::Time(time) => format!("{} seconds of Unix time", time.0),
    }
}

/// The start of a text, without what a terminal would obey.
fn cut(text: &str) -> String {
    let start = text.chars().take(VALUE_CHARS_MAX);
    let mut start: String =
        start.map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect();
    if text.chars().nth(VALUE_CHARS_MAX).is_some() {
        start.push('…');
    }
    start
}

/// More values than these are not needed to see why a condition does not hold.
const VALUES_MAX: usize = 5;

/// As long as an ARN commonly is, and twice that.
const VALUE_CHARS_MAX: usize = 256;
