//! A set of accounts: small ones in a list, large ones in a hash table.

use std::collections::HashSet;
use std::fmt;

use foldhash::fast::FixedState;

use crate::iam::AccountId;

/// A set of accounts.
///
/// Most allowlists are short, and a million of them must not cost a hash table each.
#[derive(Clone, Default)]
pub struct AccountSet {
    entries: Entries,
}

#[derive(Clone)]
enum Entries {
    /// Without duplicates, at most [`LISTED_MAX`].
    Listed(Box<[AccountId]>),
    /// More than that. The hasher is fixed: who attacks picks look-ups, never entries.
    Hashed(HashSet<AccountId, FixedState>),
}

impl AccountSet {
    /// Whether an account is in the set; one probe at any size.
    pub fn contains(&self, account: &AccountId) -> bool {
        match &self.entries {
            Entries::Listed(listed) => listed.contains(account),
            Entries::Hashed(hashed) => hashed.contains(account),
        }
    }

    /// The accounts, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &AccountId> {
        let (listed, hashed) = match &self.entries {
            Entries::Listed(listed) => (Some(listed), None),
            Entries::Hashed(hashed) => (None, Some(hashed)),
        };
        listed.into_iter().flatten().chain(hashed.into_iter().flatten())
    }

    /// How many accounts there are.
    pub fn len(&self) -> usize {
        match &self.entries {
            Entries::Listed(listed) => listed.len(),
            Entries::Hashed(hashed) => hashed.len(),
        }
    }

    /// Whether the set admits nobody.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl FromIterator<AccountId> for AccountSet {
    fn from_iter<I: IntoIterator<Item = AccountId>>(accounts: I) -> Self {
        let mut accounts = accounts.into_iter();
        let mut listed = Vec::new();
        for account in accounts.by_ref() {
            if listed.contains(&account) {
                continue;
            }
            listed.push(account);
            if LISTED_MAX < listed.len() {
                let mut hashed: HashSet<_, _> = listed.into_iter().chain(accounts).collect();
                hashed.shrink_to_fit();
                return Self { entries: Entries::Hashed(hashed) };
            }
        }
        Self { entries: Entries::Listed(listed.into()) }
    }
}

impl PartialEq for AccountSet {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().all(|account| other.contains(account))
    }
}

impl Eq for AccountSet {}

impl Default for Entries {
    fn default() -> Self {
        Self::Listed(Box::default())
    }
}

impl fmt::Debug for AccountSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

/// Up to here comparing is as fast as hashing.
const LISTED_MAX: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    fn account(number: usize) -> AccountId {
        AccountId::parse(&format!("a{number}")).unwrap()
    }

    #[test]
    fn sets_of_all_sizes_hold_each_account_once() {
        for len in [0, 1, LISTED_MAX - 1, LISTED_MAX, LISTED_MAX + 1, 1000] {
            let twice = (0..len).chain((0..len).rev()).map(account);
            let set: AccountSet = twice.collect();
            assert_eq!(set.len(), len);
            assert_eq!(set.is_empty(), len == 0);
            assert_eq!(set.iter().count(), len);
            assert!((0..len).all(|number| set.contains(&account(number))));
            assert!(!set.contains(&account(len)));
            assert_eq!(set, (0..len).rev().map(account).collect());
            assert_ne!(set, (0..=len).map(account).collect());
            assert_ne!(set, (1..=len + usize::from(len == 0)).map(account).collect());
        }
    }
}
