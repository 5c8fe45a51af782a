//! One account's setting: a mode and an allowlist for each identity type.

use std::sync::Arc;

use crate::iam::{AccountId, IdentityType};
use crate::perimeter::AccountSet;
use crate::verdict::{Decision, Mode, Reason, Verdict};

/// Mode and allowlist for one identity type of one owner account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TypeSetting {
    /// The rollout stage.
    pub mode: Mode,
    /// Accounts admitted besides the owner; empty admits only the owner. Shared between the types
    /// that name one list.
    pub allowlist: Arc<AccountSet>,
}

impl TypeSetting {
    /// What this setting says to a caller that is not of the owner account.
    pub fn check(&self, caller: Option<AccountId>) -> Verdict {
        let (decision, reason) = match caller {
            _ if self.mode == Mode::Unrestricted => (Decision::Permit, Reason::Unrestricted),
            None => (Decision::Deny, Reason::NoAccount),
            Some(account) if self.allowlist.contains(&account) => {
                (Decision::Permit, Reason::AccountAllowlisted)
            }
            Some(_) => (Decision::Deny, Reason::AccountNotAllowed),
        };
        Verdict { decision, reason, mode: self.mode }
    }
}

/// One owner account's settings, in force and proposed. Cloning shares the allowlists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccountSetting {
    enforced: [TypeSetting; 3],
    candidate: Option<Arc<[Option<TypeSetting>; 3]>>,
}

impl AccountSetting {
    /// A setting by identity type, in the order of [`IdentityType::ALL`].
    pub fn new(enforced: [TypeSetting; 3], candidate: [Option<TypeSetting>; 3]) -> Self {
        let candidate = candidate.iter().any(Option::is_some).then(|| Arc::new(candidate));
        Self { enforced, candidate }
    }

    /// One mode and allowlist for all types, nothing proposed.
    pub fn uniform(mode: Mode, allowlist: Arc<AccountSet>) -> Self {
        let all = TypeSetting { mode, allowlist };
        Self { enforced: [all.clone(), all.clone(), all], candidate: None }
    }

    /// The setting in force for a type.
    pub fn enforced(&self, identity_type: IdentityType) -> &TypeSetting {
        let [user, service_id, service] = &self.enforced;
        match identity_type {
            IdentityType::User => user,
            IdentityType::ServiceId => service_id,
            IdentityType::Service => service,
        }
    }

    /// The setting proposed for a type, if any.
    pub fn candidate(&self, identity_type: IdentityType) -> Option<&TypeSetting> {
        let [user, service_id, service] = self.candidate.as_deref()?;
        match identity_type {
            IdentityType::User => user.as_ref(),
            IdentityType::ServiceId => service_id.as_ref(),
            IdentityType::Service => service.as_ref(),
        }
    }

    /// This setting with another one in force for a type.
    #[must_use]
    pub fn with_enforced(mut self, identity_type: IdentityType, setting: TypeSetting) -> Self {
        let [user, service_id, service] = &mut self.enforced;
        match identity_type {
            IdentityType::User => *user = setting,
            IdentityType::ServiceId => *service_id = setting,
            IdentityType::Service => *service = setting,
        }
        self
    }
}
