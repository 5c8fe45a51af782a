//! One question and the policies that apply to it.

use std::sync::Arc;

use crate::iam::{Action, Arn};
use crate::policy::context::Context;
use crate::policy::principal::Principal;
use crate::policy::statement::CompiledPolicy;

/// May this principal do this action on this resource?
#[derive(Debug)]
pub struct Question<'a, C: ?Sized> {
    /// Who asks.
    pub principal: Principal<'a>,
    /// To do what.
    pub action: &'a Action,
    /// On what.
    pub resource: Resource<'a>,
    /// The account that owns the resource; none is the principal's own.
    pub owner: Option<&'a str>,
    /// What the request knows of itself.
    pub context: &'a C,
}

/// What is acted on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource<'a> {
    /// The action has no resource-level permission; only a policy's `*` means it.
    Any,
    /// A resource by its name. Its characters stand for themselves.
    Named(Arn<'a>),
}

/// The compiled policies that apply to a question, borrowed from where they are kept.
#[derive(Clone, Copy, Debug)]
pub struct Policies<'p> {
    /// What is known of the caller's identity policies.
    pub identity: IdentitySide<'p>,
    /// The resource's policy; a role's trust policy; a key's policy.
    pub resource: Option<&'p CompiledPolicy>,
    /// The principal's permissions boundary, where it has one.
    pub boundary: Option<&'p [Arc<CompiledPolicy>]>,
    /// The session's policies, where it has any.
    pub session: Option<SessionSide<'p>>,
    /// The policies of the endpoint that the request came through.
    pub endpoint: Option<&'p [Arc<CompiledPolicy>]>,
    /// Service control policies of the principal's account, from the root down; none: no limit.
    pub scp: &'p [Level],
    /// Resource control policies of the owner's account, from the root down; none: no limit.
    pub rcp: &'p [Level],
    /// The key that the resource is encrypted with: a second gate.
    pub key: Option<KeyGate<'p>>,
}

/// What is known of the caller's identity policies.
#[derive(Clone, Copy, Debug)]
pub enum IdentitySide<'p> {
    /// All of them.
    Known(&'p [Arc<CompiledPolicy>]),
    /// None, and that lets nobody in.
    UnknownDenies,
    /// None, and the resource's side alone decides.
    UnknownResourceDecides,
}

/// A session's policies: a union among themselves, and a limit to what else grants.
#[derive(Clone, Copy, Debug)]
pub struct SessionSide<'p> {
    /// Those that came with the session.
    pub inline: &'p [Arc<CompiledPolicy>],
    /// Those that the session names, as they are now; one that is gone allows nothing.
    pub managed: [Option<&'p CompiledPolicy>; SESSION_MANAGED_MAX],
}

/// The most managed policies of a session (facts: iam.md section 5.1).
pub const SESSION_MANAGED_MAX: usize = 10;

impl<'p> SessionSide<'p> {
    /// A side of these policies alone.
    pub fn inline(inline: &'p [Arc<CompiledPolicy>]) -> Self {
        Self { inline, managed: [None; SESSION_MANAGED_MAX] }
    }

    /// All of them.
    pub fn iter(self) -> impl Iterator<Item = &'p CompiledPolicy> {
        self.inline.iter().map(|policy| &**policy).chain(self.managed.into_iter().flatten())
    }
}

/// The policies of one level of the organization. They are a union; levels intersect.
pub type Level = Arc<[Arc<CompiledPolicy>]>;

/// A key as a second gate.
#[derive(Clone, Copy, Debug)]
pub struct KeyGate<'p> {
    /// The key's name.
    pub arn: Arn<'p>,
    /// The account that owns the key.
    pub account: &'p str,
    /// What is done with the key.
    pub action: &'p Action,
    /// The key's policy; a key without one lets nobody use it.
    pub policy: Option<&'p CompiledPolicy>,
    /// Resource control policies of the key's account, where another account owns the resource.
    pub rcp: &'p [Level],
}

impl<C: ?Sized> Clone for Question<'_, C> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<C: ?Sized> Copy for Question<'_, C> {}

impl<C: Context + ?Sized> Question<'_, C> {
    /// Whether the principal belongs to the account that owns the resource.
    pub fn is_same_account(&self) -> bool {
        match (self.principal.account, self.owner) {
            (Some(own), Some(owner)) => own == owner,
            (Some(_), None) => true,
            (None, _) => false,
        }
    }
}

impl Policies<'_> {
    /// No policies at all.
    pub const NONE: Self = Self {
        identity: IdentitySide::Known(&[]),
        resource: None,
        boundary: None,
        session: None,
        endpoint: None,
        scp: &[],
        rcp: &[],
        key: None,
    };
}
