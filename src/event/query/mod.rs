//! The query language: a subset of Lucene's, over events as JSON.
//!
//! Flows in: a query's text, then events. Flows out: whether an event matches. Reads no file.
//!
//! The grammar is written here, since the published one takes neither `&&`, `||` and `!` nor
//! wildcards inside a term, tells no position of an error and has no limit of nesting.

mod combine;
mod matcher;
mod parser;
mod prefilter;
mod projection;

pub use prefilter::Prefilter;
pub use projection::{Projection, values_at};

use serde_json::Value;

use matcher::Clause;

/// A parsed query.
///
/// ```
/// use crossgate::event::query::Query;
///
/// let query = Query::parse(r#"responseData.isEnforced:"false" AND NOT responseData.decision:Permit"#)?;
/// let event = serde_json::json!({"responseData": {"isEnforced": false, "decision": "Deny"}});
/// assert!(query.matches(&event));
/// assert!(Query::parse("responseData.decision:").is_err());
/// # Ok::<(), crossgate::event::query::QueryError>(())
/// ```
#[derive(Debug)]
pub struct Query {
    root: Clause,
}

/// Why a text is no query.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind} at character {position} of the query")]
pub struct QueryError {
    /// Counted in characters, from 1.
    pub position: usize,
    /// What is wrong there.
    pub kind: QueryErrorKind,
}

/// What is wrong with a query.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum QueryErrorKind {
    /// The query asks for more than there may be.
    #[error("more than {CLAUSES_MAX} terms")]
    Clauses,
    /// Something else has to stand here.
    #[error("expected {0}")]
    Expected(&'static str),
    /// Fuzzy terms and distances are not part of the subset.
    #[error("`~` is not supported")]
    Fuzzy,
    /// The query is too long.
    #[error("more than {QUERY_BYTES_MAX} bytes")]
    Long,
    /// Parentheses and negations are nested too deep.
    #[error("more than {NESTING_MAX} levels of nesting")]
    Nesting,
    /// The regular expression is not one, or is too large.
    #[error("invalid regular expression ({0})")]
    Regex(String),
}

impl Query {
    /// Parses a query; an empty one matches every event.
    ///
    /// # Errors
    /// The text is no query; the error tells where.
    pub fn parse(text: &str) -> Result<Self, QueryError> {
        parser::parse(text).map(|root| Self { root })
    }

    /// What the lines of matching events contain.
    pub fn prefilter(&self) -> Prefilter {
        Prefilter::of(&self.root)
    }

    /// What of an event has to be parsed to tell whether it matches, and these fields.
    pub fn projection(&self, fields: &[&str]) -> Projection {
        let mut paths = Vec::new();
        if !self.root.paths(&mut paths) {
            return Projection::whole();
        }
        Projection::of(paths.into_iter().chain(fields.iter().copied()))
    }

    /// Whether every event matches that has any value at all.
    pub fn is_everything(&self) -> bool {
        self.root.is_everything()
    }

    /// Whether an event matches.
    pub fn matches(&self, event: &Value) -> bool {
        self.root.matches(event)
    }
}

/// The longest query, in bytes.
pub const QUERY_BYTES_MAX: usize = 16 * 1024;
/// The most terms of a query.
pub const CLAUSES_MAX: usize = 1024;
/// The deepest nesting of a query.
pub const NESTING_MAX: usize = 64;
/// The largest compiled regular expression, in bytes.
const REGEX_BYTES_MAX: usize = 1024 * 1024;

#[cfg(test)]
mod tests;
