//! Patterns of actions, resources and condition values: `*`, `?` and policy variables.
//!
//! Flows in: a text of a document. Flows out: a pattern, and whether it means a text of a request.
//! Matching takes at most pattern times text steps and allocates nothing.

mod action;
mod arn;
mod glob;
mod matcher;

pub(crate) use action::ActionPattern;
pub(crate) use arn::{ArnPattern, arn_parts};
pub(crate) use glob::{Glob, Syntax};

/// Why a text is no pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PatternError {
    /// `${` without `}`, a nested one, one without a name, or a default without its quotes.
    #[error("the policy variable has no name, is not closed or has another one inside")]
    Variable,
    /// A resource that is neither `*` nor an ARN of six parts.
    #[error(
        "the resource is neither `*` nor of the form `arn:partition:service:region:account:resource`"
    )]
    Arn,
    /// An action without exactly one `:`, or with a wildcard in its service.
    #[error("the action is neither `*` nor of the form `service:Name`")]
    Action,
}

#[cfg(test)]
mod tests;
