//! Event ids: `UUIDv7` (RFC 9562), unique across workers and rising within one.

use uuid::{Builder, Uuid};

use crate::clock::UnixMillis;

/// Makes event ids for one worker: a few nanoseconds each, no system call.
#[derive(Clone, Debug)]
pub struct EventIds {
    random: fastrand::Rng,
    last: UnixMillis,
    // INVARIANT: at most `TAIL_MAX`.
    tail: u128,
}

impl EventIds {
    /// A generator with a seed of its own, from the system's randomness.
    pub fn new() -> Self {
        Self::from_random(fastrand::Rng::new())
    }

    /// A generator whose ids are given by the seed; for tests.
    pub fn with_seed(seed: u64) -> Self {
        Self::from_random(fastrand::Rng::with_seed(seed))
    }

    /// The next id: greater than every one before it, also when the clock steps back.
    pub fn next(&mut self, now: UnixMillis) -> Uuid {
        if self.last < now {
            self.last = now;
            self.tail = self.random.u128(..=TAIL_START_MAX);
        } else {
            self.tail += u128::from(self.random.u32(1..));
            if TAIL_MAX < self.tail {
                self.last = UnixMillis(self.last.0.saturating_add(1));
                self.tail = self.random.u128(..=TAIL_START_MAX);
            }
        }
        Builder::from_unix_timestamp_millis(self.last.0, &spread(self.tail)).into_uuid()
    }

    fn from_random(random: fastrand::Rng) -> Self {
        Self { random, last: UnixMillis(0), tail: 0 }
    }
}

impl Default for EventIds {
    fn default() -> Self {
        Self::new()
    }
}

/// Lays 74 bits around the version and variant bits, keeping their order.
fn spread(tail: u128) -> [u8; 10] {
    // 12 bits before the variant's octet, 62 bits from it on.
    let laid_out = (tail >> 62 << 64) | (tail & ((1 << 62) - 1));
    let [_, _, _, _, _, _, bytes @ ..] = laid_out.to_be_bytes();
    bytes
}

/// What `UUIDv7` has besides time, version and variant.
const TAIL_MAX: u128 = (1 << 74) - 1;
/// Half of the room is left for the steps of one millisecond.
const TAIL_START_MAX: u128 = TAIL_MAX >> 1;

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ids_rise_within_a_worker_even_when_the_clock_steps_back() {
        let mut ids = EventIds::with_seed(7);
        let mut last = Uuid::nil();
        for step in 0..100_000_u64 {
            let now = if step % 3 == 0 { 1_000_000 + step / 50 } else { 1_000_000 };
            let id = ids.next(UnixMillis(now));
            assert!(last < id, "{last} then {id}");
            assert_eq!(id.get_version_num(), 7);
            assert_eq!(id.get_variant(), uuid::Variant::RFC4122);
            last = id;
        }
    }

    #[test]
    fn ids_of_many_workers_differ() {
        let mut seen = HashSet::new();
        for _ in 0..64 {
            let mut ids = EventIds::new();
            for _ in 0..500 {
                assert!(seen.insert(ids.next(UnixMillis(1_760_104_997_410))));
            }
        }
    }

    #[test]
    fn the_time_is_in_the_id() {
        let id = EventIds::with_seed(1).next(UnixMillis(1_760_104_997_410));
        assert_eq!(id.as_u128() >> 80, 1_760_104_997_410);
    }
}
