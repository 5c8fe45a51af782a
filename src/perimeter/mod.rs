//! Decides whether an account may enter.
//!
//! Flows in: the owner's setting and the caller's identity. Flows out: verdicts.
//! Knows nothing of HTTP, tokens or policies.

mod account_set;
mod index;
mod setting;

pub use account_set::AccountSet;
pub use index::{SettingsIndex, SettingsIndexBuilder};
pub use setting::{AccountSetting, TypeSetting};

use crate::iam::{AccountId, Identity};
use crate::verdict::Verdict;

/// What the perimeter says to a request of an external caller account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PerimeterVerdicts {
    /// By the setting in force.
    pub enforced: Verdict,
    /// By the proposed setting, where there is one; never enforced.
    pub candidate: Option<Verdict>,
}

/// Checks a caller against its owner's setting; `None` for the owner's own identities, which the
/// perimeter does not concern.
///
/// One index look-up and one allowlist probe per setting, at any size; no allocation.
pub fn check(
    settings: &SettingsIndex,
    owner: AccountId,
    identity: &Identity,
) -> Option<PerimeterVerdicts> {
    if identity.account == Some(owner) {
        return None;
    }
    let setting = settings.setting(owner);
    Some(PerimeterVerdicts {
        enforced: setting.enforced(identity.identity_type).check(identity.account),
        candidate: setting
            .candidate(identity.identity_type)
            .map(|proposed| proposed.check(identity.account)),
    })
}

#[cfg(test)]
mod tests;
