//! Patterns of actions.

use compact_str::CompactString;

use crate::iam::Action;
use crate::policy::context::NoContext;
use crate::policy::pattern::PatternError;
use crate::policy::pattern::glob::{Glob, Syntax};

/// A pattern of actions; without regard to letter case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ActionPattern {
    /// `*`.
    Any,
    /// `service:Name` without wildcards, in lower case.
    Exact(CompactString),
    /// `service:…` with wildcards, both in lower case.
    Like { service: CompactString, name: Glob },
}

impl ActionPattern {
    /// Parses a pattern. What no action can be (`s3:`, `s3: Get`) is a pattern that means nothing.
    pub(crate) fn parse(text: &str) -> Result<Self, PatternError> {
        if text == "*" {
            return Ok(Self::Any);
        }
        let lower = text.to_ascii_lowercase();
        let (service, name) = lower.split_once(':').ok_or(PatternError::Action)?;
        if service.is_empty() || service.contains(WILDCARDS) || name.contains(':') {
            return Err(PatternError::Action);
        }
        if !name.contains(WILDCARDS) {
            return Ok(Self::Exact(lower.into()));
        }
        let name = Glob::parse(name, Syntax { wildcards: true, variables: false })?;
        Ok(Self::Like { service: service.into(), name })
    }

    /// Whether the pattern means an action.
    pub(crate) fn matches(&self, action: &Action) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(lower) => *lower == action.lower(),
            Self::Like { service, name } => {
                *service == action.service() && name.matches(action.name(), &NoContext)
            }
        }
    }
}

const WILDCARDS: [char; 2] = ['*', '?'];
