//! Which statements of a large policy can match a question.

/// Statements by what they name.
#[derive(Debug)]
pub(crate) struct StatementIndex {}
