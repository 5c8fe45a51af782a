//! Where the watch remembers: tables with a limit, by keyed hashes.
//!
//! An attacker who can't get in fills `newcomers`, `sources`, `tried` and `unknown`, and never
//! `known`.

use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use moka::sync::Cache;

use crate::event::frame::{PRINCIPAL_BYTES_MAX, ROLE_BYTES_MAX};
use crate::iam::AccountId;
use crate::sts::watch::cut;
use crate::sts::watch::history::SEED_AGE;
use crate::sts::watch::traces::{Failures, Network, PrincipalTrace, RoleTrace};

/// All that is remembered.
#[derive(Debug)]
pub(super) struct Memory {
    /// Made anew by each process, and told nowhere: what is kept leads back to no text.
    secret: RandomState,
    principals: Tiers<PrincipalTrace>,
    roles: Tiers<RoleTrace>,
    unknown_roles: Table<Failures>,
    /// Where those are whose tokens prove nobody.
    sources: Table<Failures>,
}

impl Default for Memory {
    fn default() -> Self {
        Self {
            secret: RandomState::new(),
            principals: Tiers::new(PRINCIPALS_MAX, NEWCOMERS_MAX),
            roles: Tiers::new(ROLES_MAX, TRIED_ROLES_MAX),
            unknown_roles: Table::new(UNKNOWN_ROLES_MAX, FAILURES_AGE),
            sources: Table::new(SOURCES_MAX, FAILURES_AGE),
        }
    }
}

impl Memory {
    /// What is remembered of a principal; whether it is let in now.
    pub(super) fn principal(&self, principal: &str, is_let_in: bool) -> Arc<Mutex<PrincipalTrace>> {
        self.principals.trace(self.key(cut(principal, PRINCIPAL_BYTES_MAX)), is_let_in)
    }

    /// What is remembered of a role that exists; whether it is assumed now.
    pub(super) fn role(&self, role: &str, is_assumed: bool) -> Arc<Mutex<RoleTrace>> {
        self.roles.trace(self.key(cut(role, ROLE_BYTES_MAX)), is_assumed)
    }

    /// The failures on what is no role.
    pub(super) fn unknown_role(&self, role: &str) -> Arc<Mutex<Failures>> {
        self.unknown_roles.trace(self.key(cut(role, ROLE_BYTES_MAX)))
    }

    /// The failures of nobody in particular.
    pub(super) fn source(&self, network: Network) -> Arc<Mutex<Failures>> {
        self.sources.trace(self.secret.hash_one(network))
    }

    /// What stands for an external ID.
    pub(super) fn external_id(&self, external_id: &str) -> u64 {
        self.key(cut(external_id, EXTERNAL_ID_BYTES_MAX))
    }

    /// What stands for an account, or for none.
    pub(super) fn account(&self, account: Option<AccountId>) -> u64 {
        self.key(account.as_ref().map_or("", AccountId::as_str))
    }

    fn key(&self, text: &str) -> u64 {
        self.secret.hash_one(text)
    }

    /// How many entries there are, when all that is due is done.
    #[cfg(test)]
    pub(super) fn entries(&self) -> [(u64, u64); 6] {
        let Self { principals, roles, unknown_roles, sources, .. } = self;
        [
            principals.known.entries(PRINCIPALS_MAX),
            principals.newcomers.entries(NEWCOMERS_MAX),
            roles.known.entries(ROLES_MAX),
            roles.newcomers.entries(TRIED_ROLES_MAX),
            unknown_roles.entries(UNKNOWN_ROLES_MAX),
            sources.entries(SOURCES_MAX),
        ]
    }
}

/// Those for whom an attempt succeeded once, and the others.
#[derive(Debug)]
struct Tiers<T> {
    known: Table<T>,
    newcomers: Table<T>,
}

impl<T: Default + Send + Sync + 'static> Tiers<T> {
    fn new(known_max: u64, newcomers_max: u64) -> Self {
        Self {
            known: Table::new(known_max, SEED_AGE),
            newcomers: Table::new(newcomers_max, FAILURES_AGE),
        }
    }

    fn trace(&self, key: u64, succeeds: bool) -> Arc<Mutex<T>> {
        if let Some(trace) = self.known.entries.get(&key) {
            return trace;
        }
        if !succeeds {
            return self.newcomers.trace(key);
        }
        let trace = self.newcomers.entries.remove(&key).unwrap_or_default();
        self.known.keep(key, trace)
    }
}

/// A table with a limit; what is used least goes first.
struct Table<T> {
    entries: Cache<u64, Arc<Mutex<T>>, foldhash::fast::RandomState>,
    keeps: Mutex<()>,
}

impl<T: Default + Send + Sync + 'static> Table<T> {
    fn new(entries_max: u64, idle_max: Duration) -> Self {
        // No weigher: a trace has a greatest size, so that the number bounds the bytes.
        let entries = Cache::builder().max_capacity(entries_max).time_to_idle(idle_max);
        let entries = entries.build_with_hasher(foldhash::fast::RandomState::default());
        Self { entries, keeps: Mutex::new(()) }
    }

    fn trace(&self, key: u64) -> Arc<Mutex<T>> {
        self.entries.get(&key).unwrap_or_else(|| self.keep(key, Arc::default()))
    }

    /// Keeps a trace, unless another thread was faster. `get_with` does the same, and makes a map of
    /// waiting threads for each new key: 2.9 KB.
    fn keep(&self, key: u64, trace: Arc<Mutex<T>>) -> Arc<Mutex<T>> {
        let _one_at_a_time = self.keeps.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = self.entries.get(&key) {
            return known;
        }
        self.entries.insert(key, Arc::clone(&trace));
        trace
    }

    #[cfg(test)]
    fn entries(&self, entries_max: u64) -> (u64, u64) {
        self.entries.run_pending_tasks();
        (self.entries.entry_count(), entries_max)
    }
}

impl<T> fmt::Debug for Table<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table").finish_non_exhaustive()
    }
}

/// The most principals that were let in.
const PRINCIPALS_MAX: u64 = 16_384;
/// The most principals that were never let in.
const NEWCOMERS_MAX: u64 = 8192;
/// The most roles that were assumed.
const ROLES_MAX: u64 = 8192;
/// The most roles that were tried, and never assumed.
const TRIED_ROLES_MAX: u64 = 4096;
/// The most texts that are no role.
const UNKNOWN_ROLES_MAX: u64 = 1024;
/// The most addresses of those whose tokens prove nobody.
const SOURCES_MAX: u64 = 8192;
/// The longest external ID of AWS; what is longer is never right.
const EXTERNAL_ID_BYTES_MAX: usize = 1224;
/// How long what never succeeded is remembered: the longest window.
const FAILURES_AGE: Duration = Duration::from_hours(24);
