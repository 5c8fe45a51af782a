//! All accounts' settings: one look-up at any size, one account changed without copying the rest.

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::fast::FixedState;

use crate::iam::AccountId;
use crate::perimeter::AccountSetting;

type Shard = HashMap<AccountId, AccountSetting, FixedState>;

/// Settings by owner account, in shards that revisions share.
///
/// Changing an account copies its shard (1/1280 of the accounts) and the table of shards.
#[derive(Clone, Debug)]
pub struct SettingsIndex {
    default: AccountSetting,
    shards: Arc<[Arc<Shard>]>,
    len: usize,
}

impl SettingsIndex {
    /// An index in which every account has the default setting.
    pub fn new(default: AccountSetting) -> Self {
        let empty = Arc::new(Shard::default());
        Self { default, shards: (0..SHARDS).map(|_| Arc::clone(&empty)).collect(), len: 0 }
    }

    /// An index of many accounts; of an account that comes twice, the last setting counts.
    pub fn from_accounts(
        default: AccountSetting,
        accounts: impl IntoIterator<Item = (AccountId, AccountSetting)>,
    ) -> Self {
        let mut builder = SettingsIndexBuilder::default();
        for (account, setting) in accounts {
            builder.insert(account, setting);
        }
        builder.build(default)
    }

    /// The setting that applies to an owner account.
    pub fn setting(&self, owner: AccountId) -> &AccountSetting {
        self.listed(owner).unwrap_or(&self.default)
    }

    /// The setting of an account that has one of its own.
    pub fn listed(&self, owner: AccountId) -> Option<&AccountSetting> {
        self.shards.get(shard_of(owner))?.get(&owner)
    }

    /// The setting of accounts that have none of their own.
    pub fn default_setting(&self) -> &AccountSetting {
        &self.default
    }

    /// How many accounts have a setting of their own.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no account has a setting of its own.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The accounts that have a setting of their own, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (AccountId, &AccountSetting)> {
        self.shards
            .iter()
            .flat_map(|shard| shard.iter().map(|(account, setting)| (*account, setting)))
    }

    /// This index with one account's setting changed; every other shard is shared.
    #[must_use]
    pub fn with_account(&self, account: AccountId, setting: AccountSetting) -> Self {
        let mut shards: Vec<Arc<Shard>> = self.shards.to_vec();
        let mut len = self.len;
        if let Some(slot) = shards.get_mut(shard_of(account)) {
            let mut shard = Shard::clone(slot);
            if shard.insert(account, setting).is_none() {
                len += 1;
            }
            *slot = Arc::new(shard);
        }
        Self { default: self.default.clone(), shards: shards.into(), len }
    }
}

/// Collects accounts one by one, for documents too large to hold twice.
#[derive(Debug)]
pub struct SettingsIndexBuilder {
    shards: Vec<Shard>,
}

impl SettingsIndexBuilder {
    /// Adds an account and returns the setting that it had before, if it comes twice.
    pub fn insert(
        &mut self,
        account: AccountId,
        setting: AccountSetting,
    ) -> Option<AccountSetting> {
        self.shards.get_mut(shard_of(account))?.insert(account, setting)
    }

    /// The index; accounts without a setting of their own have the default.
    pub fn build(self, default: AccountSetting) -> SettingsIndex {
        let len = self.shards.iter().map(Shard::len).sum();
        SettingsIndex { default, shards: self.shards.into_iter().map(Arc::new).collect(), len }
    }
}

impl Default for SettingsIndexBuilder {
    fn default() -> Self {
        Self { shards: (0..SHARDS).map(|_| Shard::default()).collect() }
    }
}

#[cfg(test)]
impl SettingsIndex {
    /// How many shards differ from another revision's.
    pub(crate) fn shards_not_shared_with(&self, other: &Self) -> usize {
        self.shards.iter().zip(other.shards.iter()).filter(|(a, b)| !Arc::ptr_eq(a, b)).count()
    }
}

impl Default for SettingsIndex {
    fn default() -> Self {
        Self::new(AccountSetting::default())
    }
}

/// At a million accounts a shard holds about 780, which fill three quarters of a table of 1024
/// (any power of two would leave half of it empty): 120 KiB to copy for a change.
const SHARDS: usize = 1280;

/// The seed differs from the shards' own hasher, so that one shard's accounts spread in its table.
const SHARD_SEED: u64 = 0x7c15_9e37_79b9_7f4a;

fn shard_of(account: AccountId) -> usize {
    let hash = FixedState::with_seed(SHARD_SEED).hash_one(account);
    usize::try_from(hash >> 32).unwrap_or_default() % SHARDS
}
