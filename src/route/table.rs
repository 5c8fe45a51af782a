//! The compiled route table.

use std::sync::Arc;

use http::Method;

use crate::route::Upstream;

/// One route, as configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteSpec {
    /// Path template with `{name}` and a last `{*name}`.
    pub path: Box<str>,
    /// Methods it takes; empty: all.
    pub methods: Vec<Method>,
    /// What authorization needs; `None` for a public route, which is forwarded without a token.
    pub question: Option<QuestionSpec>,
    /// Where permitted requests go.
    pub upstream: Arc<Upstream>,
}

/// What a route asks the decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuestionSpec {
    /// `service:Action`.
    pub action: Box<str>,
    /// ARN template with path parameters.
    pub resource: Box<str>,
    /// Owner account: a literal, `{parameter}` or `{header:name}`.
    pub owner: Box<str>,
    /// The action on the resource's key; for policies.
    pub key_action: Option<Box<str>>,
}

/// Which field of a route is wrong, so that the configuration can point at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the configuration's key")]
pub enum RouteField {
    Path,
    Methods,
    Action,
    Resource,
    Owner,
}

/// Why a route can't be compiled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct RouteError {
    /// Index of the route in the list given.
    pub route: usize,
    /// The field at fault.
    pub field: RouteField,
    /// What is wrong and what to do, lower case, no full stop.
    pub message: String,
}

/// Routes, compiled for look-up by path and method.
#[derive(Clone, Debug, Default)]
pub struct RouteTable {}

impl RouteTable {
    /// Compiles routes.
    ///
    /// # Errors
    /// Every route that is malformed or overlaps another one, not just the first.
    pub fn compile(_specs: &[RouteSpec]) -> Result<Self, Vec<RouteError>> {
        Ok(Self {})
    }
}
