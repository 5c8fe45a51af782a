//! Patterns of actions, resources and condition values: `*`, `?` and policy variables.
//!
//! Matching takes at most pattern times text steps; nothing backtracks further.

use crate::iam::Action;
use crate::policy::context::{ConditionKey, Context};
use crate::policy::question::Resource;

/// A text with `*` (any characters), `?` (one character) and variables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Glob {
    pub(crate) pieces: Box<[Piece]>,
}

/// One piece of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// Any characters, also none.
    Any,
    /// Exactly one character.
    One,
    /// These characters.
    Text(Box<str>),
    /// The value of a key, or the default, as characters that stand for themselves.
    Variable { key: ConditionKey, default: Option<Box<str>> },
}

/// Which characters a text gives a meaning of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Syntax {
    /// `*` and `?`.
    pub(crate) wildcards: bool,
    /// `${…}`: version 2012-10-17 only.
    pub(crate) variables: bool,
}

/// Why a text is no pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PatternError {
    /// `${` without `}`, a nested one, or a default without its quotes.
    #[error("the policy variable is not closed or has another one inside")]
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

impl Glob {
    /// Parses a pattern.
    pub(crate) fn parse(text: &str, syntax: Syntax) -> Result<Self, PatternError> {
        let _ = (text, syntax);
        Ok(Self { pieces: Box::default() })
    }

    /// Whether the pattern means a text; a variable without a value means nothing.
    pub(crate) fn matches<C: Context + ?Sized>(&self, text: &str, context: &C) -> bool {
        let _ = (text, context);
        false
    }

    /// The characters that every text it means starts with, and whether it means just those.
    pub(crate) fn literal_prefix(&self) -> (&str, bool) {
        match &*self.pieces {
            [] => ("", true),
            [Piece::Text(text)] => (text, true),
            [Piece::Text(text), ..] => (text, false),
            _ => ("", false),
        }
    }
}

/// A pattern of actions; without regard to letter case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ActionPattern {
    /// `*`.
    Any,
    /// `service:Name` without wildcards, in lower case.
    Exact(Box<str>),
    /// `service:…` with wildcards, both in lower case.
    Like { service: Box<str>, name: Glob },
}

impl ActionPattern {
    /// Parses a pattern.
    pub(crate) fn parse(text: &str) -> Result<Self, PatternError> {
        let _ = text;
        Err(PatternError::Action)
    }

    /// Whether the pattern means an action.
    pub(crate) fn matches(&self, action: &Action) -> bool {
        let _ = action;
        false
    }
}

/// A pattern of resources.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ArnPattern {
    /// `*`.
    Any,
    /// Without wildcards and variables; partition, service and region in lower case.
    Exact(Box<str>),
    /// Six parts, each matched alone.
    Like { head: Box<[Glob; 5]>, resource: Glob },
}

impl ArnPattern {
    /// Parses a pattern of a document of a version with or without variables, which are in the
    /// resource part only.
    pub(crate) fn parse(text: &str, variables: bool) -> Result<Self, PatternError> {
        let _ = (text, variables);
        Err(PatternError::Arn)
    }

    /// For an index.
    pub(crate) fn literal_prefix(&self) -> (String, bool) {
        (String::new(), false)
    }

    /// Whether the pattern means a resource.
    pub(crate) fn matches<C: Context + ?Sized>(&self, resource: Resource<'_>, context: &C) -> bool {
        let _ = (resource, context);
        false
    }
}
