//! Which key signs, which are published, and when another is due. From the keys' times alone, so
//! that all processes with one directory come to the same answer. Pure.

use std::time::Duration;

use crate::clock::UnixSeconds;
use crate::sts::keys::KeysSpec;

/// A key as the schedule sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Timed {
    pub(super) created: UnixSeconds,
    /// Whether it is of the configured algorithm; others sign no more.
    pub(super) fits: bool,
}

/// What holds at a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Schedule {
    /// The place of the key that signs; `None` where none fits.
    pub(super) signs: Option<usize>,
    /// Whether each key is published.
    pub(super) published: Vec<bool>,
    /// Whether another key is due.
    pub(super) is_due: bool,
}

impl Schedule {
    /// What holds for keys, the oldest first.
    pub(super) fn of(keys: &[Timed], spec: &KeysSpec, now: UnixSeconds) -> Self {
        let ahead = ahead(spec.rotate);
        let is_known = |key: &Timed| key.created.plus(ahead) <= now;
        // Where nobody can know any of them, most know the oldest.
        let signs = keys
            .iter()
            .rposition(|key| key.fits && is_known(key))
            .or_else(|| keys.iter().position(|key| key.fits));
        let published = keys.iter().enumerate().map(|(place, _)| {
            let next = keys.iter().skip(place + 1).find(|next| next.fits);
            next.is_none_or(|next| now < next.created.plus(ahead).plus(spec.overlap))
        });
        let newest = keys.iter().rfind(|key| key.fits);
        Self {
            signs,
            published: published.collect(),
            is_due: newest.is_none_or(|newest| newest.created.plus(spec.rotate) <= now),
        }
    }
}

/// How long a key is published before it signs.
pub(super) fn ahead(rotate: Duration) -> Duration {
    AHEAD.min(rotate / 10)
}

/// Twice what crossgate takes to read a URL of keys again.
const AHEAD: Duration = Duration::from_mins(10);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::Algorithm;

    const HOUR: u64 = 3600;

    /// Rotates after 100 h, publishes 10 min ahead, and for 13 h more.
    fn spec() -> KeysSpec {
        KeysSpec {
            directory: "/keys".into(),
            algorithm: Algorithm::Es256,
            rotate: Duration::from_hours(100),
            overlap: Duration::from_hours(13),
        }
    }

    /// Keys by their time; a negative one is of another algorithm.
    #[track_caller]
    fn check(keys: &[i64], now: u64, signs: Option<usize>, published: &str, is_due: bool) {
        let keys: Vec<Timed> = keys
            .iter()
            .map(|time| Timed { created: UnixSeconds(time.unsigned_abs()), fits: 0 <= *time })
            .collect();
        let published = published.chars().map(|letter| letter == 'p').collect();
        let expect = Schedule { signs, published, is_due };
        assert_eq!(Schedule::of(&keys, &spec(), UnixSeconds(now)), expect);
    }

    #[test]
    fn a_key_is_published_before_it_signs_and_after() {
        let (first, second) = (1000, 1000 + 100 * 3600);
        let keys = [first, second];
        let made = 1000 + 100 * HOUR;
        check(&[], 5, None, "", true);
        check(&[first], 1000, Some(0), "p", false);
        check(&[first], made - 1, Some(0), "p", false);
        check(&[first], made, Some(0), "p", true);
        check(&keys, made, Some(0), "pp", false);
        check(&keys, made + 599, Some(0), "pp", false);
        check(&keys, made + 600, Some(1), "pp", false);
        check(&keys, made + 600 + 13 * HOUR - 1, Some(1), "pp", false);
        check(&keys, made + 600 + 13 * HOUR, Some(1), "-p", false);
    }

    #[test]
    fn a_key_that_rotates_often_is_published_for_a_tenth_of_that() {
        assert_eq!(ahead(Duration::from_hours(1)), Duration::from_mins(6));
        assert_eq!(ahead(Duration::from_hours(2)), Duration::from_mins(10));
        assert_eq!(ahead(Duration::from_hours(30 * 24)), Duration::from_mins(10));
    }

    #[test]
    fn of_keys_that_nobody_can_know_the_oldest_signs() {
        check(&[1000, 1300], 1400, Some(0), "pp", false);
        // A clock that went back: all keys are of the future.
        check(&[1000, 1300], 10, Some(0), "pp", false);
    }

    #[test]
    fn a_key_of_another_algorithm_is_published_until_one_that_fits_has_followed() {
        check(&[-1000], 1500, None, "p", true);
        check(&[-1000, 1500], 1500, Some(1), "pp", false);
        check(&[-1000, 1500], 1500 + 600 + 13 * HOUR, Some(1), "-p", false);
        // It was configured in between.
        check(&[1000, -1500], 90_000, Some(0), "pp", false);
    }
}
