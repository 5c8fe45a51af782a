//! Puts what a search finds into the order of time: all of it as it comes, or the newest of it.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};

use serde_json::Value;

use crate::clock::UnixMillis;
use crate::event::log::scan::{ID, Part};

/// A line that was found. The order is by time, then id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FoundLine {
    /// When its event happened.
    pub time: UnixMillis,
    /// Its event's id; empty if it has none.
    id: Box<str>,
    /// The line, without its newline.
    pub line: Box<[u8]>,
}

impl FoundLine {
    /// Keeps a line that a search found.
    pub fn new(time: UnixMillis, event: &Value, line: &[u8]) -> Self {
        let id = event.get(ID).and_then(Value::as_str).unwrap_or_default();
        Self { time, id: id.into(), line: line.into() }
    }
}

/// Gives lines out, the oldest first, as soon as no older one can come.
#[derive(Debug, Default)]
pub struct OldestFirst {
    waiting: BinaryHeap<Reverse<FoundLine>>,
}

impl OldestFirst {
    /// Takes a part of a search that began with the oldest events.
    pub fn take(&mut self, part: Part<FoundLine>) -> impl Iterator<Item = FoundLine> {
        self.waiting.extend(part.found.into_iter().map(Reverse));
        let horizon = part.horizon;
        std::iter::from_fn(move || {
            let Reverse(next) = self.waiting.peek()?;
            let is_due = horizon.is_none_or(|horizon| next.time < horizon);
            if is_due { self.waiting.pop().map(|Reverse(line)| line) } else { None }
        })
    }
}

/// Keeps the newest lines.
#[derive(Debug)]
pub struct NewestLines {
    /// The number makes equal lines differ.
    kept: BTreeSet<(FoundLine, u64)>,
    count_max: usize,
    taken: u64,
}

/// Whether a search has to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// There are enough, and none that is still to come is newer.
    Enough,
    /// One that is still to come may be newer.
    More,
}

impl NewestLines {
    /// Keeps so many.
    pub fn new(count_max: usize) -> Self {
        Self { kept: BTreeSet::new(), count_max, taken: 0 }
    }

    /// Takes a part of a search that began with the newest events.
    pub fn take(&mut self, part: Part<FoundLine>) -> Wanted {
        for line in part.found {
            self.taken += 1;
            self.kept.insert((line, self.taken));
            if self.count_max < self.kept.len() {
                self.kept.pop_first();
            }
        }
        let full = self.count_max <= self.kept.len();
        let oldest = self.kept.first().map(|(line, _)| line.time);
        match (full, part.horizon, oldest) {
            (false, _, _) | (true, None, _) => Wanted::More,
            (true, Some(horizon), Some(oldest)) if oldest <= horizon => Wanted::More,
            (true, Some(_), _) => Wanted::Enough,
        }
    }

    /// The lines, the oldest first.
    pub fn into_lines(self) -> impl Iterator<Item = FoundLine> {
        self.kept.into_iter().map(|(line, _)| line)
    }
}
