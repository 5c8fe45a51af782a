//! The state of one check: what was found so far, and where.

use crate::policy::document::{Checked, Document, Origin, PolicyType, Text, Version};
use crate::policy::finding::{PolicyFinding, PolicyFindings};
use crate::policy::json::{Json, Member, Node};

use super::statements::Draft;

/// One check of one document.
#[derive(Debug)]
pub(super) struct Checker {
    pub(super) policy_type: PolicyType,
    pub(super) version: Version,
    pub(super) origin: Origin,
    findings: PolicyFindings,
}

/// What a finding is about.
#[derive(Clone, Copy, Debug)]
pub(super) struct At {
    offset: usize,
    len: usize,
}

impl Checker {
    pub(super) fn new(policy_type: PolicyType, origin: Origin) -> Self {
        let (version, findings) = (Version::default(), PolicyFindings::default());
        Self { policy_type, version, origin, findings }
    }

    /// The document, if nothing is wrong, and all findings.
    pub(super) fn finish(self, drafts: Vec<Draft>) -> Checked {
        if self.findings.has_errors() {
            return Checked { document: None, findings: self.findings.into_sorted() };
        }
        // INVARIANT: a draft that misses something has left an error.
        let statements = drafts.into_iter().filter_map(Draft::into_statement).collect();
        let (policy_type, version) = (self.policy_type, self.version);
        let document = Some(Document { policy_type, version, statements });
        Checked { document, findings: self.findings.into_sorted() }
    }

    pub(super) fn extend(&mut self, findings: Vec<PolicyFinding>) {
        for finding in findings {
            self.findings.push(finding);
        }
    }

    pub(super) fn error(&mut self, at: impl Into<At>, message: impl Into<String>) {
        let At { offset, len } = at.into();
        self.findings.push(PolicyFinding::error(offset, len, message));
    }

    pub(super) fn error_hint(
        &mut self,
        at: impl Into<At>,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        let At { offset, len } = at.into();
        self.findings.push(PolicyFinding::error(offset, len, message).with_hint(hint));
    }

    pub(super) fn warn(
        &mut self,
        at: impl Into<At>,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        let At { offset, len } = at.into();
        self.findings.push(PolicyFinding::warning(offset, len, message).with_hint(hint));
    }

    /// What was probably meant, by a search that takes long. None for names longer than any that is
    /// known, and where there are so many errors that no more are told.
    pub(super) fn suggestion<T>(
        &self,
        name: &str,
        search: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        if self.findings.is_full() || NAME_BYTES_MAX < name.len() {
            return None;
        }
        search(name)
    }

    /// The text that an element must be.
    pub(super) fn text(&mut self, member: &Member) -> Option<Text> {
        if let Json::Text(text) = &member.node.value {
            return Some(text_of(&member.node, text));
        }
        let kind = member.node.value.kind();
        self.error(&member.node, format!("`{}` is a text, and this is {kind}", member.name));
        None
    }

    /// The texts that an element must be: one, or a list that is not empty.
    pub(super) fn texts(&mut self, member: &Member) -> Vec<Text> {
        let (name, node) = (&member.name, &member.node);
        match &node.value {
            Json::Text(text) => vec![text_of(node, text)],
            Json::List(elements) => {
                if elements.is_empty() {
                    self.error_hint(
                        node,
                        format!("`{name}` is an empty list"),
                        "name at least one",
                    );
                }
                elements.iter().filter_map(|element| self.element(name, element)).collect()
            }
            Json::Null | Json::Bool(_) | Json::Number(_) | Json::Object(_) => {
                let kind = node.value.kind();
                self.error(
                    node,
                    format!("`{name}` is a text or a list of texts, and this is {kind}"),
                );
                Vec::new()
            }
        }
    }

    fn element(&mut self, name: &str, element: &Node) -> Option<Text> {
        if let Json::Text(text) = &element.value {
            return Some(text_of(element, text));
        }
        let kind = element.value.kind();
        self.error(element, format!("`{name}` lists texts, and this is {kind}"));
        None
    }
}

/// A text and the place of its node.
pub(super) fn text_of(node: &Node, text: &str) -> Text {
    Text { text: text.into(), offset: node.offset, len: node.len }
}

impl At {
    /// The brace that opens an object, for what is missing in it.
    pub(super) fn start_of(node: &Node) -> Self {
        Self { offset: node.offset, len: node.len.min(1) }
    }
}

impl From<&Node> for At {
    fn from(node: &Node) -> Self {
        Self { offset: node.offset, len: node.len }
    }
}

/// A member's name.
impl From<&Member> for At {
    fn from(member: &Member) -> Self {
        Self { offset: member.offset, len: member.name.len().saturating_add(2) }
    }
}

impl From<&Text> for At {
    fn from(text: &Text) -> Self {
        Self { offset: text.offset, len: text.len }
    }
}

/// Twice the longest name of an operator.
const NAME_BYTES_MAX: usize = 96;
