//! Sets of time, as disjoint intervals in order.

use crate::clock::UnixMillis;
use crate::event::report::Cover;

/// Disjoint intervals in order, ends included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Intervals(Vec<(UnixMillis, UnixMillis)>);

impl Intervals {
    pub(super) fn union(intervals: impl Iterator<Item = (UnixMillis, UnixMillis)>) -> Self {
        let mut sorted: Vec<_> = intervals.collect();
        sorted.sort_unstable();
        let mut disjoint: Vec<(UnixMillis, UnixMillis)> = Vec::new();
        for (from, to) in sorted {
            match disjoint.last_mut() {
                Some((_, end)) if from <= *end => *end = to.max(*end),
                Some(_) | None => disjoint.push((from, to)),
            }
        }
        Self(disjoint)
    }

    pub(super) fn contains(&self, at: UnixMillis) -> bool {
        let after = self.0.partition_point(|(from, _)| *from <= at);
        let found = after.checked_sub(1).and_then(|index| self.0.get(index));
        found.is_some_and(|(_, to)| at <= *to)
    }

    pub(super) fn edges(&self) -> impl Iterator<Item = UnixMillis> {
        self.0.iter().flat_map(|(from, to)| [*from, *to])
    }

    /// Where a time is that is in none of them.
    pub(super) fn side(&self, at: UnixMillis) -> Cover {
        match (self.0.first(), self.0.last()) {
            (Some((from, _)), _) if at < *from => Cover::BeforeLog,
            (_, Some((_, to))) if *to < at => Cover::AfterLog,
            (Some(_), Some(_)) => Cover::BetweenRuns,
            (None, _) | (_, None) => Cover::AfterLog,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn union(intervals: &[(u64, u64)]) -> Intervals {
        let intervals = intervals.iter().map(|(from, to)| (UnixMillis(*from), UnixMillis(*to)));
        Intervals::union(intervals)
    }

    #[test]
    fn overlapping_intervals_become_one() {
        assert_eq!(union(&[(5, 7), (1, 2), (2, 3), (6, 6)]), union(&[(1, 3), (5, 7)]));
        assert_eq!(union(&[(1, 9), (2, 3)]), union(&[(1, 9)]));
        assert_eq!(union(&[]), Intervals(Vec::new()));
    }

    #[test]
    fn a_time_is_in_one_or_beside_them() {
        let intervals = union(&[(10, 20), (30, 30)]);
        for (at, inside, side) in [
            (9, false, Cover::BeforeLog),
            (10, true, Cover::BetweenRuns),
            (20, true, Cover::BetweenRuns),
            (25, false, Cover::BetweenRuns),
            (30, true, Cover::BetweenRuns),
            (31, false, Cover::AfterLog),
        ] {
            assert_eq!(intervals.contains(UnixMillis(at)), inside, "{at}");
            assert_eq!(intervals.side(UnixMillis(at)), side, "{at}");
        }
        assert!(!union(&[]).contains(UnixMillis(1)));
    }
}
