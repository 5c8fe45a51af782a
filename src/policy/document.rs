//! A policy document as written, checked, with the place of every element (facts: IAM's policy
//! grammar).
//!
//! Flows in: a [`Node`]. Flows out: a [`Document`] that compiles, or findings.

use crate::policy::finding::PolicyFinding;
use crate::policy::json::Node;
use crate::policy::statement::Effect;

mod checker;
mod conditions;
mod lists;
mod principals;
mod rules;
mod statements;

use checker::Checker;

/// Where a document applies, which decides what it may say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PolicyType {
    /// What a principal may do.
    Identity,
    /// Who may use a resource.
    Resource,
    /// Who may assume a role.
    Trust,
    /// The most that a principal may do.
    Boundary,
    /// The most that a session may do.
    Session,
    /// The most that an account's principals may do.
    Scp,
    /// The most that may be done to an account's resources.
    Rcp,
    /// Who may use a key.
    Key,
    /// What may pass an endpoint.
    Endpoint,
}

impl PolicyType {
    /// All types.
    pub const ALL: [Self; 9] = [
        Self::Identity,
        Self::Resource,
        Self::Trust,
        Self::Boundary,
        Self::Session,
        Self::Scp,
        Self::Rcp,
        Self::Key,
        Self::Endpoint,
    ];

    /// Whether its statements say whom they mean.
    pub(crate) fn has_principals(self) -> bool {
        match self {
            Self::Resource | Self::Trust | Self::Rcp | Self::Key | Self::Endpoint => true,
            Self::Identity | Self::Boundary | Self::Session | Self::Scp => false,
        }
    }

    /// The spelling in commands and scenarios.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Resource => "resource",
            Self::Trust => "trust",
            Self::Boundary => "boundary",
            Self::Session => "session",
            Self::Scp => "scp",
            Self::Rcp => "rcp",
            Self::Key => "key",
            Self::Endpoint => "endpoint",
        }
    }
}

/// The language version. Missing means the old one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Version {
    /// `2008-10-17`: no policy variables.
    #[default]
    V2008,
    /// `2012-10-17`.
    V2012,
}

/// A checked document.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// What it was checked as.
    pub policy_type: PolicyType,
    /// Its version.
    pub version: Version,
    /// Its statements, in order; may be empty for SCP and RCP only.
    pub statements: Vec<Statement>,
}

/// A text and its place in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// The text, unescaped; numbers and booleans as written.
    pub text: Box<str>,
    /// The first byte in the file.
    pub offset: usize,
    /// How many bytes it has there.
    pub len: usize,
}

/// One statement.
#[derive(Clone, Debug, PartialEq)]
pub struct Statement {
    /// The first byte in the file.
    pub offset: usize,
    /// Its name.
    pub sid: Option<Text>,
    /// What it does.
    pub effect: Effect,
    /// `Principal` or `NotPrincipal`.
    pub principal: Option<PrincipalElement>,
    /// `Action` or `NotAction`.
    pub action: ListElement,
    /// `Resource` or `NotResource`; absent in trust policies, where the role is meant.
    pub resource: Option<ListElement>,
    /// All operators and keys, in order.
    pub conditions: Vec<Condition>,
}

/// `Action`, `NotAction`, `Resource` or `NotResource`.
#[derive(Clone, Debug, PartialEq)]
pub struct ListElement {
    /// Whether it is the `Not…` form.
    pub negated: Negated,
    /// The first byte of the element's name.
    pub offset: usize,
    /// Its values; at least one.
    pub values: Vec<Text>,
}

/// Whether an element lists what it means or what it does not mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Negated {
    /// As listed.
    No,
    /// All that is not listed.
    Yes,
}

/// `Principal` or `NotPrincipal`.
#[derive(Clone, Debug, PartialEq)]
pub struct PrincipalElement {
    /// Whether it is `NotPrincipal`.
    pub negated: Negated,
    /// The first byte of the element's name.
    pub offset: usize,
    /// Who is listed.
    pub entries: Vec<PrincipalEntry>,
}

/// One listed principal.
#[derive(Clone, Debug, PartialEq)]
pub struct PrincipalEntry {
    /// Under which name; `Everyone` for the plain `"*"`.
    pub kind: EntryKind,
    /// The value.
    pub value: Text,
}

/// The names under which principals are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// `AWS`.
    Aws,
    /// `CanonicalUser`.
    CanonicalUser,
    /// `"Principal": "*"`.
    Everyone,
    /// `Federated`.
    Federated,
    /// `Service`.
    Service,
}

/// One key under one operator.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    /// The operator as written, checked to be known.
    pub operator: Text,
    /// The key as written.
    pub key: Text,
    /// The values; may be empty, which matches nothing.
    pub values: Vec<Text>,
}

/// A document that was read: usable if nothing found is an error.
#[derive(Clone, Debug, PartialEq)]
pub struct Checked {
    /// The document, if no finding is an error.
    pub document: Option<Document>,
    /// All that is wrong or doubtful, in order of their places.
    pub findings: Vec<PolicyFinding>,
}

/// Checks a document's grammar and everything that needs no other document: elements, versions,
/// principals, actions, resources, operators and their values. What passes compiles.
pub fn check(node: &Node, policy_type: PolicyType) -> Checked {
    check_of(node, policy_type, Origin::Stored)
}

/// Checks a document of a scenario: as [`check`], but an RCP may allow less than everything, so
/// that a level without a matching Allow can be written down.
pub fn check_of_scenario(node: &Node, policy_type: PolicyType) -> Checked {
    check_of(node, policy_type, Origin::Scenario)
}

/// Where a document came from, as far as it matters to the checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    /// A scenario, whose documents are taken as given.
    Scenario,
    /// Anywhere else.
    Stored,
}

fn check_of(node: &Node, policy_type: PolicyType, origin: Origin) -> Checked {
    let mut checker = Checker::new(policy_type, origin);
    let drafts = checker.document(node);
    checker.size(node);
    checker.finish(drafts)
}
