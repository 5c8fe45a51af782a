//! `Session`: what a session of a role or trusted profile has besides its identity.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use uuid::Uuid;

use crate::clock::UnixMillis;
use crate::policy::CompiledPolicy;

/// A session of a role or trusted profile, as its token proves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// The token's `jti`, a `UUIDv7`: it holds the time of issue.
    pub id: Uuid,
    /// The role's ARN, with its path. A trusted profile's is that of a role of its id.
    pub role: Box<str>,
    /// The session's name: the last part of its ARN.
    pub name: Box<str>,
    /// The keys of the session tags that go on to sessions which this one assumes.
    pub transitive_tags: BTreeSet<Box<str>>,
    /// Who is behind it, for good (`aws:SourceIdentity`).
    pub source_identity: Option<Box<str>>,
    /// Whether a session of a role assumed it.
    pub chained: bool,
    /// The provider whose word began it (`aws:FederatedProvider`), of web identities.
    pub federated_provider: Option<Box<str>>,
    /// What limits it, where it was limited.
    pub policies: Option<SessionPolicies>,
}

impl Session {
    /// When its token was issued: to the millisecond, where `iat` has seconds.
    pub fn issued_at(&self) -> UnixMillis {
        let (high, _) = self.id.as_u64_pair();
        UnixMillis(high >> 16)
    }
}

/// Session policies: a union among themselves, and a limit to what the role may do (facts: iam.md
/// section 5.1). They do not go on to sessions that this one assumes.
#[derive(Clone, Default)]
pub struct SessionPolicies {
    /// The policy that was passed with the call, as it travels in the token.
    pub inline: Option<InlinePolicy>,
    /// The ARNs of managed policies of the role's account, by which they count as they are now.
    pub managed: Box<[Box<str>]>,
}

/// A session policy that was passed with the call.
#[derive(Clone, Debug)]
pub struct InlinePolicy {
    /// The document, without white space between its tokens.
    pub text: Box<str>,
    /// The same, compiled; one, in a slice for the evaluator.
    pub compiled: [Arc<CompiledPolicy>; 1],
}

/// By what was passed: the compiled form follows from it.
impl PartialEq for SessionPolicies {
    fn eq(&self, other: &Self) -> bool {
        let text = |policies: &Self| policies.inline.as_ref().map(|inline| inline.text.clone());
        text(self) == text(other) && self.managed == other.managed
    }
}

impl Eq for SessionPolicies {}

impl fmt::Debug for SessionPolicies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionPolicies")
            .field("inline", &self.inline.as_ref().map(|inline| &inline.text))
            .field("managed", &self.managed)
            .finish()
    }
}
