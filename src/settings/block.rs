//! One account's block as it is written, before inheritance; and what it means after.
//!
//! Flows in: members that a document names. Flows out: effective settings. Pure.

use std::sync::Arc;

use crate::iam::IdentityType;
use crate::perimeter::{AccountSet, AccountSetting, TypeSetting};
use crate::verdict::Mode;

/// What `default`, an account or a `candidate` says, absent members absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Block {
    /// For all types that don't say otherwise.
    pub(super) level: Members,
    /// By type, in the order of [`IdentityType::ALL`].
    pub(super) types: [Option<Members>; 3],
    /// What is proposed.
    pub(super) candidate: Option<Box<Block>>,
}

/// A mode and an allowlist, each of which may be absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Members {
    pub(super) mode: Option<Mode>,
    pub(super) allowlist: Option<Arc<AccountSet>>,
}

impl Block {
    /// The effective setting over a base: the default for an account.
    pub(super) fn resolve(&self, base: &AccountSetting, empty: &Arc<AccountSet>) -> AccountSetting {
        let [user, service_id, service] =
            IdentityType::ALL.map(|kind| self.resolve_type(kind, base, empty));
        let enforced = AccountSetting::new([user, service_id, service], [None, None, None]);
        let Some(candidate) = &self.candidate else { return enforced };
        let proposed = IdentityType::ALL.map(|kind| {
            candidate.covers(kind).then(|| candidate.resolve_type(kind, &enforced, empty))
        });
        let enforced = IdentityType::ALL.map(|kind| enforced.enforced(kind).clone());
        AccountSetting::new(enforced, proposed)
    }

    /// The members that a type's own entry names.
    pub(super) fn of_type(&self, kind: IdentityType) -> Option<&Members> {
        let [user, service_id, service] = &self.types;
        match kind {
            IdentityType::User => user.as_ref(),
            IdentityType::ServiceId => service_id.as_ref(),
            IdentityType::Service => service.as_ref(),
        }
    }

    pub(super) fn of_type_mut(&mut self, kind: IdentityType) -> &mut Option<Members> {
        let [user, service_id, service] = &mut self.types;
        match kind {
            IdentityType::User => user,
            IdentityType::ServiceId => service_id,
            IdentityType::Service => service,
        }
    }

    /// This block with the least change of members that makes the three types as wanted.
    ///
    /// Types without an entry of their own change at the account's level if they agree; else, and
    /// where they have an entry, they change by type.
    pub(super) fn changed_to(
        &self,
        wanted: &AccountSetting,
        base: &AccountSetting,
        empty: &Arc<AccountSet>,
    ) -> Self {
        let mut next = self.clone();
        let before = self.resolve(base, empty);
        let inheriting = || IdentityType::ALL.into_iter().filter(|k| self.of_type(*k).is_none());
        let first = inheriting().next().map(|kind| wanted.enforced(kind));
        let agree = inheriting().all(|kind| Some(wanted.enforced(kind)) == first);
        let changed = inheriting().any(|kind| wanted.enforced(kind) != before.enforced(kind));
        if let (Some(first), true, true) = (first, agree, changed) {
            next.level = Members::full(first);
        }
        for kind in IdentityType::ALL {
            if next.resolve_type(kind, base, empty) != *wanted.enforced(kind) {
                *next.of_type_mut(kind) = Some(Members::full(wanted.enforced(kind)));
            }
        }
        next
    }

    fn covers(&self, kind: IdentityType) -> bool {
        self.level != Members::default() || self.of_type(kind).is_some()
    }

    fn resolve_type(
        &self,
        kind: IdentityType,
        base: &AccountSetting,
        empty: &Arc<AccountSet>,
    ) -> TypeSetting {
        let base = base.enforced(kind);
        let level = TypeSetting {
            mode: self.level.mode.unwrap_or(base.mode),
            allowlist: match (&self.level.allowlist, self.level.mode) {
                (Some(allowlist), _) => Arc::clone(allowlist),
                // Nobody is admitted by silence.
                (None, Some(_)) => Arc::clone(empty),
                (None, None) => Arc::clone(&base.allowlist),
            },
        };
        let Some(own) = self.of_type(kind) else { return level };
        TypeSetting {
            mode: own.mode.unwrap_or(level.mode),
            allowlist: own.allowlist.clone().unwrap_or(level.allowlist),
        }
    }
}

impl Members {
    fn full(setting: &TypeSetting) -> Self {
        Self { mode: Some(setting.mode), allowlist: Some(Arc::clone(&setting.allowlist)) }
    }
}
