//! What is remembered of one caller or role. Everything in here has a greatest size.

use std::net::IpAddr;
use std::time::Duration;

use smallvec::SmallVec;

use crate::clock::UnixMillis;

/// What is remembered of a principal.
#[derive(Debug, Default)]
pub(super) struct PrincipalTrace {
    pub(super) networks: Seen<Network, NETWORKS_MAX>,
    pub(super) failures: Failures,
    pub(super) tried: Tried,
}

/// What is remembered of a role.
#[derive(Debug, Default)]
pub(super) struct RoleTrace {
    /// The accounts of those who assumed it, as keyed hashes.
    pub(super) accounts: Seen<u64, ACCOUNTS_MAX>,
    pub(super) failures: Failures,
}

/// Where a client is: an IPv4 address, or the network that an IPv6 address is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Network {
    V4(u32),
    /// The first 64 bits: a host chooses the rest as it likes.
    V6(u64),
}

impl Network {
    pub(super) fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(v4) => Self::V4(v4.to_bits()),
            IpAddr::V6(v6) => Self::V6(u64::try_from(v6.to_bits() >> 64).unwrap_or_default()),
        }
    }
}

/// Values with when each was seen last; beyond a number of them the oldest is forgotten.
#[derive(Debug)]
pub(super) struct Seen<T, const MAX: usize> {
    values: SmallVec<[(T, UnixMillis); 1]>,
}

/// Whether a value was seen before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Newness {
    /// It is the first of all, with which nothing is unusual.
    First,
    Known,
    New {
        /// How many are on record, with this one.
        known: u32,
        /// When the one was seen last that is forgotten for it.
        displaced: Option<UnixMillis>,
    },
}

impl Newness {
    /// How many are on record, where one more is worth telling. Beyond what is remembered, values
    /// that come in turn would all be new again and again: who forgets within the window what was
    /// told in it says nothing.
    pub(super) fn told(self, now: UnixMillis, window: Duration) -> Option<u32> {
        match self {
            Self::First | Self::Known => None,
            Self::New { known, displaced } => {
                let is_repeat = displaced.is_some_and(|last| is_within(window, last, now));
                (!is_repeat).then_some(known)
            }
        }
    }
}

impl<T, const MAX: usize> Default for Seen<T, MAX> {
    fn default() -> Self {
        Self { values: SmallVec::new() }
    }
}

impl<T: Copy + PartialEq, const MAX: usize> Seen<T, MAX> {
    /// Takes note of a value. The past may come later than the present.
    pub(super) fn note(&mut self, value: T, at: UnixMillis) -> Newness {
        if let Some((_, last)) = self.values.iter_mut().find(|(known, _)| *known == value) {
            *last = at.max(*last);
            return Newness::Known;
        }
        let is_first = self.values.is_empty();
        let mut displaced = None;
        if self.values.len() < MAX {
            self.values.push((value, at));
        } else if let Some(oldest) = self.values.iter_mut().min_by_key(|(_, last)| *last)
            && oldest.1 <= at
        {
            displaced = Some(oldest.1);
            *oldest = (value, at);
        }
        if is_first {
            return Newness::First;
        }
        Newness::New { known: count(self.values.len()), displaced }
    }
}

/// Failed attempts of the window. Exact up to as many as there are marks, which is more than the
/// usual limit; of higher limits, a mark stands for a group of attempts.
#[derive(Debug, Default)]
pub(super) struct Failures {
    marks: SmallVec<[Mark; 1]>,
    told_at: Option<UnixMillis>,
    /// Failures since it was told, or since the first.
    untold: u32,
}

#[derive(Clone, Copy, Debug)]
struct Mark {
    last: UnixMillis,
    failures: u32,
}

impl Failures {
    /// Counts one; returns how many there are, if there are too many and that was not told lately.
    pub(super) fn add(&mut self, now: UnixMillis, limit: u32, window: Duration) -> Option<u32> {
        self.marks.retain(|mark| is_within(window, mark.last, now));
        if self.marks.is_empty() {
            self.untold = 0;
        }
        self.untold = self.untold.saturating_add(1);
        // One mark less: the one that is dropped leaves as many as the limit.
        let group = limit.div_ceil(count(MARKS_MAX - 1));
        if let Some(mark) = self.marks.last_mut().filter(|mark| mark.failures < group) {
            mark.failures += 1;
            mark.last = now;
        } else {
            if MARKS_MAX <= self.marks.len() {
                self.marks.remove(0);
            }
            self.marks.push(Mark { last: now, failures: 1 });
        }
        let failures = self.marks.iter().map(|mark| mark.failures).sum::<u32>();
        let told = |window| self.told_at.is_some_and(|told| is_within(window, told, now));
        if failures < limit || told(window) {
            return None;
        }
        // What goes on is told with all since it was told before.
        let told_count = if told(window * 2) { self.untold } else { failures };
        self.told_at = Some(now);
        self.untold = 0;
        Some(told_count)
    }
}

/// Different external IDs that were tried in vain within the window, as keyed hashes.
#[derive(Debug, Default)]
pub(super) struct Tried {
    ids: Vec<(u64, UnixMillis)>,
    told_at: Option<UnixMillis>,
}

impl Tried {
    /// Takes note of one; returns how many there are, if there are too many and that was not told
    /// lately.
    pub(super) fn add(
        &mut self,
        id: u64,
        now: UnixMillis,
        limit: u32,
        window: Duration,
    ) -> Option<u32> {
        self.ids.retain(|(known, last)| *known != id && is_within(window, *last, now));
        if EXTERNAL_IDS_MAX <= self.ids.len() {
            self.ids.remove(0);
        }
        self.ids.push((id, now));
        let tried = count(self.ids.len());
        let is_told = self.told_at.is_some_and(|told| is_within(window, told, now));
        if tried < limit.min(count(EXTERNAL_IDS_MAX)) || is_told {
            return None;
        }
        self.told_at = Some(now);
        Some(tried)
    }
}

/// A clock that went back makes nothing old.
fn is_within(window: Duration, then: UnixMillis, now: UnixMillis) -> bool {
    u128::from(now.0.saturating_sub(then.0)) < window.as_millis()
}

fn count(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

/// The most addresses of a principal.
pub(super) const NETWORKS_MAX: usize = 16;
/// The most accounts from which a role was assumed.
pub(super) const ACCOUNTS_MAX: usize = 64;
/// The most different external IDs of a principal within the window.
pub(super) const EXTERNAL_IDS_MAX: usize = 32;
const MARKS_MAX: usize = 16;

#[cfg(test)]
mod tests;
