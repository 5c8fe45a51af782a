//! Decides whether a principal may do an action on a resource, by IAM policies.
//!
//! Flows in: policy documents, compiled once, and questions. Flows out: answers with the statements
//! that decided and the sides that lack a grant. Knows nothing of HTTP, tokens or files (but
//! `directory`, which reads them).
//!
//! Documents become [`json`] trees, then [`document`]s with the place of every element, then
//! [`CompiledPolicy`]s; [`evaluate()`] answers from those. [`explain`] walks the same policies
//! without the index and tells each step.

pub mod access;
mod combine;
mod compile;
mod condition;
mod context;
pub mod directory;
pub mod document;
mod evaluate;
pub mod explain;
pub(crate) mod finding;
mod index;
pub mod json;
pub mod lint;
mod pattern;
mod principal;
mod question;
pub mod request_context;
pub mod scenario;
mod session;
pub mod set;
mod shape;
mod statement;
mod statement_access;

pub use combine::{Missing, Outcome, PolicyLayer, ResourceSide, Side};
pub use compile::compile;
pub(crate) use condition::is_secret;
pub use context::{ConditionKey, Context, KeyName, Value, Values};
pub use document::{Document, PolicyType};
pub use evaluate::{PolicyAnswer, STATEMENTS_MAX, StatementRef, Statements, evaluate};
pub use finding::{PolicyFinding, Severity};
pub use principal::{Principal, PrincipalKind, PrincipalMatch, RoleName};
pub use question::{
    IdentitySide, KeyGate, Level, Policies, Question, Resource, SESSION_MANAGED_MAX, SessionSide,
};
pub use session::session_policy;
pub use statement::{CompiledPolicy, CompiledStatement, Effect, Source};
