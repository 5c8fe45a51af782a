//! Verified tokens, so that a token is verified once and then only recognised. In: token, keys in
//! force, time. Out: identity. Keeps nothing that was refused, and keeps nothing in force longer
//! than its keys, its issuer's configuration and its times allow.
//!
//! Two steps: each worker has a small table of its own, in which a token has one place (no lock, no
//! allocation); behind it all workers share one bounded cache. In both the whole token is compared.

use std::cell::RefCell;
use std::fmt;
use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::fast::RandomState;
use metrics::Counter;

use crate::clock::UnixSeconds;
use crate::iam::Identity;
use crate::telemetry::{self, CacheResult};
use crate::token::key_sets::IssuerKeys;
use crate::token::{KeySets, TokenError, verify_by_issuer};

/// Verifies tokens and remembers those that were good; shared by all workers. Cheap to clone.
#[derive(Clone)]
pub struct Verifier {
    tokens: moka::sync::Cache<Arc<str>, Arc<Entry>, RandomState>,
    hits: Counter,
    misses: Counter,
}

/// One worker's verifier. Stays on its thread.
pub struct WorkerVerifier {
    shared: Verifier,
    hasher: RandomState,
    slots: RefCell<Box<[Option<Slot>]>>,
}

/// A verified token's identity with all that it depends on.
struct Entry {
    identity: Arc<Identity>,
    /// Kept alive, so that its address names this state of the issuer and no other.
    issuer: Arc<IssuerKeys>,
    place: usize,
    /// Leeway applied: a change of it is a change of the issuer's state.
    valid_from: Option<UnixSeconds>,
    valid_until: UnixSeconds,
}

#[derive(Clone)]
struct Slot {
    hash: u64,
    token: Arc<str>,
    entry: Arc<Entry>,
}

impl Verifier {
    /// An empty cache. Make it after the metrics recorder, whose counters it keeps.
    pub fn new() -> Self {
        let weight = |token: &Arc<str>, _: &Arc<Entry>| {
            u32::try_from(token.len() + ENTRY_BYTES).unwrap_or(u32::MAX)
        };
        Self {
            tokens: moka::sync::Cache::builder()
                .max_capacity(CACHE_BYTES_MAX)
                .weigher(weight)
                .build_with_hasher(RandomState::default()),
            hits: telemetry::token_cache(CacheResult::Hit),
            misses: telemetry::token_cache(CacheResult::Miss),
        }
    }

    /// A verifier for one worker, in front of this one.
    pub fn worker(&self) -> WorkerVerifier {
        WorkerVerifier {
            shared: self.clone(),
            hasher: RandomState::default(),
            slots: RefCell::new(vec![None; SLOTS].into_boxed_slice()),
        }
    }

    /// The identity of a good token.
    ///
    /// # Errors
    /// As [`verify`](crate::token::verify).
    pub fn verify(
        &self,
        token: &str,
        key_sets: &KeySets,
        now: UnixSeconds,
    ) -> Result<Arc<Identity>, TokenError> {
        self.entry(token, key_sets, now).map(|(_, entry)| Arc::clone(&entry.identity))
    }

    fn entry(
        &self,
        token: &str,
        key_sets: &KeySets,
        now: UnixSeconds,
    ) -> Result<(Option<Arc<str>>, Arc<Entry>), TokenError> {
        if let Some(entry) = self.tokens.get(token).filter(|entry| entry.is_current(key_sets, now))
        {
            self.hits.increment(1);
            return Ok((None, entry));
        }
        // What is kept but no longer current goes the long way, which says why.
        self.misses.increment(1);
        let verified = verify_by_issuer(token, key_sets, now)?;
        let leeway = verified.issuer.spec().leeway;
        let entry = Arc::new(Entry {
            valid_from: verified.identity.not_before.map(|start| start.minus(leeway)),
            valid_until: verified.identity.expires_at.plus(leeway),
            identity: Arc::new(verified.identity),
            issuer: Arc::clone(verified.issuer),
            place: verified.place,
        });
        let token: Arc<str> = token.into();
        self.tokens.insert(Arc::clone(&token), Arc::clone(&entry));
        Ok((Some(token), entry))
    }
}

impl Default for Verifier {
    fn default() -> Self {
        Self::new()
    }
}

impl WorkerVerifier {
    /// The identity of a good token. On a hit: one hash and one comparison of the token, no lock,
    /// no allocation.
    ///
    /// # Errors
    /// As [`verify`](crate::token::verify).
    pub fn verify(
        &self,
        token: &str,
        key_sets: &KeySets,
        now: UnixSeconds,
    ) -> Result<Arc<Identity>, TokenError> {
        let hash = self.hasher.hash_one(token);
        let mut slots = self.slots.borrow_mut();
        // SLOTS is a power of two, so the low bits of the hash choose one.
        let place = usize::try_from(hash & SLOT_MASK).unwrap_or_default();
        let Some(slot) = slots.get_mut(place) else {
            return self.shared.verify(token, key_sets, now);
        };
        if let Some(known) = slot
            && known.hash == hash
            && &*known.token == token
            && known.entry.is_current(key_sets, now)
        {
            self.shared.hits.increment(1);
            return Ok(Arc::clone(&known.entry.identity));
        }
        let (kept, entry) = self.shared.entry(token, key_sets, now)?;
        let identity = Arc::clone(&entry.identity);
        *slot = Some(Slot { hash, token: kept.unwrap_or_else(|| token.into()), entry });
        Ok(identity)
    }
}

impl Entry {
    /// Whether the keys, the configuration and the times that made it good still do.
    fn is_current(&self, key_sets: &KeySets, now: UnixSeconds) -> bool {
        key_sets.in_force(self.place, &self.issuer)
            && now < self.valid_until
            && self.valid_from.is_none_or(|start| start <= now)
    }
}

/// Tokens are secrets, so the contents stay out.
impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier")
            .field("tokens", &self.tokens.entry_count())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for WorkerVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkerVerifier").field("shared", &self.shared).finish_non_exhaustive()
    }
}

/// What all workers keep together, tokens and identities.
const CACHE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// An entry's weight besides its token: identity, both maps' own fields. So there are at most
/// 64 MiB / 1 KiB = 65536 entries.
const ENTRY_BYTES: usize = 1024;

/// The places of one worker's table. At most 1024 × 16 KiB = 16 MiB if the shared cache has let
/// go of all of them.
const SLOTS: usize = 1024;
const SLOT_MASK: u64 = 1024 - 1;

const _: () = assert!(SLOTS.is_power_of_two());

#[cfg(test)]
mod tests;
