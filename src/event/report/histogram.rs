//! Counts over time by key, in buckets that widen rather than grow without bound.

use std::collections::BTreeMap;

use crate::clock::UnixMillis;

/// Counts by key and bucket.
#[derive(Clone, Debug, Default)]
pub struct Histogram {
    /// A place in [`WIDTHS_MS`].
    width: usize,
    counts: BTreeMap<String, BTreeMap<u64, u64>>,
    cells: usize,
}

/// One key's counts in equal buckets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Series {
    /// The key; empty for what the callers of no account make.
    pub key: String,
    /// By bucket.
    pub counts: Vec<u64>,
}

impl Histogram {
    pub(super) fn add(&mut self, at: UnixMillis, key: &str) {
        let bucket = at.0 / self.width_ms();
        if !self.counts.contains_key(key) {
            if KEYS_MAX <= self.counts.len() {
                return;
            }
            self.counts.insert(key.to_owned(), BTreeMap::new());
        }
        let Some(counts) = self.counts.get_mut(key) else { return };
        let count = counts.entry(bucket).or_insert(0);
        self.cells += usize::from(*count == 0);
        *count += 1;
        while CELLS_MAX < self.cells && self.width + 1 < WIDTHS_MS.len() {
            self.widen(self.width + 1);
        }
    }

    /// The width of the buckets that show a stretch of time with so many bars at most.
    pub(super) fn width_for(&self, millis: u64, bars_max: u64) -> u64 {
        let fits = |width: &&u64| millis / **width < bars_max;
        let widths = WIDTHS_MS.iter().skip(self.width);
        widths.clone().find(fits).or(widths.last()).copied().unwrap_or_else(|| self.width_ms())
    }

    /// The counts from one time to another, by key, in buckets of a width that is a multiple of
    /// this one's.
    pub(super) fn series(&self, from: UnixMillis, to: UnixMillis, width_ms: u64) -> Vec<Series> {
        let (first, last) = (from.0 / width_ms, to.0 / width_ms);
        let buckets = usize::try_from(last.saturating_sub(first)).unwrap_or(0) + 1;
        let series = self.counts.iter().map(|(key, cells)| {
            let mut counts = vec![0; buckets];
            for (bucket, count) in cells {
                let place = (bucket * self.width_ms() / width_ms).checked_sub(first);
                let slot = place.and_then(|place| counts.get_mut(usize::try_from(place).ok()?));
                if let Some(slot) = slot {
                    *slot += count;
                }
            }
            Series { key: key.clone(), counts }
        });
        series.collect()
    }

    fn width_ms(&self) -> u64 {
        WIDTHS_MS.get(self.width).copied().unwrap_or(MINUTE_MS)
    }

    fn widen(&mut self, width: usize) {
        let old = self.width_ms();
        self.width = width;
        let new = self.width_ms();
        self.cells = 0;
        for counts in self.counts.values_mut() {
            let mut wider = BTreeMap::new();
            for (bucket, count) in &*counts {
                *wider.entry(bucket * old / new).or_insert(0) += count;
            }
            self.cells += wider.len();
            *counts = wider;
        }
    }
}

const MINUTE_MS: u64 = 60 * 1000;
/// Each a multiple of the one before: a minute to a week.
const WIDTHS_MS: [u64; 7] = [
    MINUTE_MS,
    5 * MINUTE_MS,
    15 * MINUTE_MS,
    60 * MINUTE_MS,
    6 * 60 * MINUTE_MS,
    24 * 60 * MINUTE_MS,
    7 * 24 * 60 * MINUTE_MS,
];
/// The most buckets with a count, of all keys: 60 B × 100,000 = 6 MB.
const CELLS_MAX: usize = 100_000;
/// The most keys.
const KEYS_MAX: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_widen_and_lose_no_count() {
        let mut histogram = Histogram::default();
        let events = 2 * u64::try_from(CELLS_MAX).unwrap();
        for minute in 0..events {
            histogram.add(UnixMillis(minute * MINUTE_MS), "a");
        }
        assert!(0 < histogram.width && histogram.cells <= CELLS_MAX);
        let until = UnixMillis((events - 1) * MINUTE_MS);
        let width = histogram.width_for(until.0, 60);
        let series = histogram.series(UnixMillis(0), until, width);
        assert_eq!(series.len(), 1);
        assert_eq!(series[0].counts.iter().sum::<u64>(), events);
    }

    #[test]
    fn the_narrowest_buckets_that_fit_are_shown() {
        let mut histogram = Histogram::default();
        histogram.add(UnixMillis(61 * MINUTE_MS), "a");
        histogram.add(UnixMillis(62 * MINUTE_MS), "a");
        histogram.add(UnixMillis(62 * MINUTE_MS), "b");
        assert_eq!(histogram.width_for(10 * MINUTE_MS, 60), MINUTE_MS);
        assert_eq!(histogram.width_for(60 * MINUTE_MS, 60), 5 * MINUTE_MS);
        let (from, to) = (UnixMillis(60 * MINUTE_MS), UnixMillis(62 * MINUTE_MS));
        let counts = |width: u64| {
            let series = histogram.series(from, to, width);
            series.into_iter().map(|series| series.counts).collect::<Vec<_>>()
        };
        assert_eq!(counts(MINUTE_MS), [vec![0, 1, 1], vec![0, 0, 1]]);
        assert_eq!(counts(5 * MINUTE_MS), [vec![2], vec![1]]);
    }
}
