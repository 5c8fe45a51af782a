//! One account's policies.

use std::sync::Arc;

use crate::policy::statement::CompiledPolicy;

/// One account: its principals, resources and keys.
#[derive(Debug, Default)]
pub struct AccountPolicies {}

/// A user or role, or a trusted profile.
#[derive(Debug)]
pub struct PrincipalEntry {
    /// Its ARN, with its path.
    pub arn: Box<str>,
    /// Its unique id (`AIDA…`, `AROA…`); may be empty.
    pub id: Box<str>,
    /// Its tags.
    pub tags: Box<[Tag]>,
    /// Its identity policies: inline, attached, and those of its groups.
    pub policies: Box<[Arc<CompiledPolicy>]>,
    /// Its permissions boundary: one policy where it has one.
    pub boundary: Option<Box<[Arc<CompiledPolicy>]>>,
    /// A role's trust policy.
    pub trust: Option<Arc<CompiledPolicy>>,
}

/// A tag; keys are compared without regard to letter case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag {
    /// The key in lower case.
    pub key: Box<str>,
    /// The value.
    pub value: Box<str>,
}

/// A resource, or all resources of a pattern.
#[derive(Debug)]
pub struct ResourceEntry {
    /// The ARN or pattern, as written.
    pub pattern: Box<str>,
    /// Its policy, where it has one.
    pub policy: Option<Arc<CompiledPolicy>>,
    /// The ARN of the key that it is encrypted with.
    pub key: Option<Box<str>>,
    /// Its tags.
    pub tags: Box<[Tag]>,
    /// The file that says so, as it is named to people.
    pub file: Arc<str>,
}
