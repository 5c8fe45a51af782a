//! What each policy type takes (facts: IAM's table of policy types and sizes).

use crate::policy::document::PolicyType;
use crate::policy::document::checker::{At, Checker};
use crate::policy::json::{Json, Node};

/// Whether a policy type has an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Presence {
    /// It is an error.
    Forbidden,
    /// Its absence is an error.
    Required,
}

/// Which names statements may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sids {
    /// Letters and digits, none twice.
    Plain,
    /// Any text; a name that is there twice is only doubtful.
    Any,
}

impl PolicyType {
    /// The type in a sentence.
    pub(super) fn noun(self) -> &'static str {
        match self {
            Self::Identity => "an identity policy",
            Self::Resource => "a resource policy",
            Self::Trust => "a trust policy",
            Self::Boundary => "a boundary",
            Self::Session => "a session policy",
            Self::Scp => "an SCP",
            Self::Rcp => "an RCP",
            Self::Key => "a key policy",
            Self::Endpoint => "an endpoint policy",
        }
    }

    /// `Principal`, or `NotPrincipal` where that is allowed.
    pub(super) fn principal(self) -> Presence {
        match self {
            Self::Resource | Self::Trust | Self::Rcp | Self::Key | Self::Endpoint => {
                Presence::Required
            }
            Self::Identity | Self::Boundary | Self::Session | Self::Scp => Presence::Forbidden,
        }
    }

    /// Whether `NotPrincipal` may take the place of `Principal`.
    pub(super) fn has_not_principal(self) -> bool {
        match self {
            Self::Resource | Self::Key | Self::Endpoint => true,
            Self::Identity
            | Self::Trust
            | Self::Boundary
            | Self::Session
            | Self::Scp
            | Self::Rcp => false,
        }
    }

    /// `Resource` or `NotResource`.
    pub(super) fn resource(self) -> Presence {
        match self {
            Self::Trust => Presence::Forbidden,
            Self::Identity
            | Self::Resource
            | Self::Boundary
            | Self::Session
            | Self::Scp
            | Self::Rcp
            | Self::Key
            | Self::Endpoint => Presence::Required,
        }
    }

    /// Whether the document may have an `Id`.
    pub(super) fn has_id(self) -> bool {
        match self {
            Self::Resource | Self::Trust | Self::Key | Self::Endpoint => true,
            Self::Identity | Self::Boundary | Self::Session | Self::Scp | Self::Rcp => false,
        }
    }

    /// Whether a document without statements may be stored; it allows nothing.
    pub(super) fn may_be_empty(self) -> bool {
        matches!(self, Self::Scp | Self::Rcp)
    }

    pub(super) fn sids(self) -> Sids {
        match self {
            Self::Resource | Self::Key | Self::Endpoint => Sids::Any,
            Self::Identity
            | Self::Trust
            | Self::Boundary
            | Self::Session
            | Self::Scp
            | Self::Rcp => Sids::Plain,
        }
    }

    /// The most characters that AWS takes, white space not counted.
    fn characters_max(self) -> usize {
        match self {
            // Of the inline policies of a role together; managed policies have 6,144.
            Self::Identity => 10_240,
            Self::Boundary => 6_144,
            Self::Trust | Self::Session => 2_048,
            Self::Scp | Self::Rcp => 5_120,
            Self::Resource | Self::Endpoint => 20 << 10,
            Self::Key => 32 << 10,
        }
    }
}

impl Checker {
    /// Warns of a document that AWS would not take for its size.
    pub(super) fn size(&mut self, node: &Node) {
        let characters_max = self.policy_type.characters_max();
        // Most documents are shorter even with their white space.
        if node.len <= characters_max {
            return;
        }
        let characters = characters(node);
        if characters_max < characters {
            let noun = self.policy_type.noun();
            self.warn(
                At::start_of(node),
                format!(
                    "{noun} of {characters} characters, white space not counted, is longer than \
                     the {characters_max} that AWS takes"
                ),
                "split it, or shorten it with wildcards",
            );
        }
    }
}

/// The characters of a value but for white space.
fn characters(node: &Node) -> usize {
    let quoted = |text: &str| {
        let visible = text.chars().filter(|c| !c.is_whitespace());
        visible.map(|c| if matches!(c, '"' | '\\') { 2 } else { 1 }).sum::<usize>() + 2
    };
    // A list or object has two brackets and a comma between each two of its parts.
    let brackets = |parts: usize| parts.saturating_sub(1) + 2;
    match &node.value {
        Json::Null | Json::Bool(_) | Json::Number(_) => node.len,
        Json::Text(text) => quoted(text),
        Json::List(elements) => {
            elements.iter().map(characters).sum::<usize>() + brackets(elements.len())
        }
        Json::Object(members) => {
            let each = members.iter().map(|it| quoted(&it.name) + 1 + characters(&it.node));
            each.sum::<usize>() + brackets(members.len())
        }
    }
}
