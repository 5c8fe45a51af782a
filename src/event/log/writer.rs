//! The writer: puts the rings' frames in the order of their numbers and into the files.
//!
//! One thread. It wakes at least every [`POLL_INTERVAL`], so that nobody has to wake it. A frame
//! leaves its ring when its line is in the file, so a crash in between loses nothing; who recovers
//! finds the line by its number. While the disk takes nothing the rings fill, and where the oldest
//! events may be dropped, this thread drops them.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crate::clock::SystemClock;
use crate::event::frame::{self, Record};
use crate::event::log::FIRST_SEQUENCE;
use crate::event::log::layout::Header;
use crate::event::log::progress::Progress;
use crate::event::log::ring::Consumer;
use crate::event::log::segment::Segments;
use crate::event::wire::{self, Renderer};
use crate::event::{
    DetectionName, OnFull, PERIMETER_ACTION, POLICY_ACTION, PROFILE_ASSUME_ACTION,
    ROLE_ASSUME_ACTION, UPDATE_ACTION,
};
use crate::telemetry;

/// Owns the live file and the far ends of the rings.
pub(super) struct Writer {
    rings: Vec<Source>,
    segments: Segments,
    renderer: Renderer,
    progress: Arc<Progress>,
    clock: SystemClock,
    /// The next number to write.
    next: u64,
    dropped: Numbers,
    /// Since when frames wait for a number that is taken but not in a ring.
    stalled_since: Option<Instant>,
    payload: Vec<u8>,
    batch: Batch,
    batch_bytes_max: usize,
    disk: Disk,
}

/// A ring, and what happens when it is full.
pub(super) struct Source {
    pub(super) ring: Consumer,
    pub(super) on_full: OnFull,
}

/// Lines on their way to the file.
#[derive(Default)]
struct Batch {
    bytes: Vec<u8>,
    events: [u64; ACTIONS.len()],
    unreadable: u64,
    /// The number after the last line's.
    next: u64,
}

/// Numbers of dropped events, in ranges: as many as there are kept events between them.
#[derive(Debug, Default)]
struct Numbers {
    /// First, and the one after the last.
    ranges: BTreeMap<u64, u64>,
}

/// How the disk takes batches.
enum Disk {
    Failing { since: Instant, retry_after: Duration, next_try: Instant },
    Writing,
}

/// What a round of work found.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Round {
    /// The disk takes nothing.
    Blocked,
    /// A whole batch went to the file; more is waiting.
    More,
    /// The rings were empty, or are now.
    Quiet,
}

impl Writer {
    pub(super) fn new(
        rings: Vec<Source>,
        segments: Segments,
        instance: &str,
        progress: Arc<Progress>,
    ) -> Self {
        Self {
            rings,
            segments,
            renderer: Renderer::new(instance),
            progress,
            clock: SystemClock,
            next: FIRST_SEQUENCE,
            dropped: Numbers::default(),
            stalled_since: None,
            payload: Vec::new(),
            batch: Batch::default(),
            batch_bytes_max: BATCH_BYTES,
            disk: Disk::Writing,
        }
    }

    /// Works until the log closes; returns how many events didn't reach the files.
    pub(super) fn run(mut self) -> u64 {
        while !self.progress.is_closing() {
            // A mistake in here must not end the log: what is in the rings is written anew.
            let worked = catch_unwind(AssertUnwindSafe(|| self.work()));
            if worked.is_err() {
                tracing::error!("the event writer panicked and starts again");
                thread::sleep(RETRY_MAX);
                self.undo();
            }
        }
        self.finish()
    }

    fn work(&mut self) {
        while !self.progress.is_closing() {
            let asked = self.progress.rounds_asked();
            match self.round() {
                Round::More => continue,
                Round::Quiet => self.progress.round_done(asked),
                Round::Blocked => {}
            }
            // Also after a small batch: the next one is larger then.
            thread::park_timeout(POLL_INTERVAL);
        }
    }

    /// Takes what the rings hold, up to a batch, and writes it.
    fn round(&mut self) -> Round {
        if let Disk::Failing { next_try, .. } = self.disk {
            self.drop_oldest();
            if self.clock.tick() < next_try {
                return Round::Blocked;
            }
        }
        self.collect();
        if self.batch.bytes.is_empty() && self.batch.unreadable == 0 {
            self.segments.rotate_if_due();
            return Round::Quiet;
        }
        let full = self.batch_bytes_max <= self.batch.bytes.len();
        match (self.flush(), full) {
            (false, _) => Round::Blocked,
            (true, true) => Round::More,
            (true, false) => Round::Quiet,
        }
    }

    /// After the last append: everything, or what the disk takes in [`CLOSE_TIMEOUT`].
    fn finish(mut self) -> u64 {
        let started = self.clock.tick();
        while self.clock.tick().saturating_duration_since(started) < CLOSE_TIMEOUT {
            match self.round() {
                Round::More => {}
                Round::Quiet if self.is_empty() => break,
                Round::Quiet | Round::Blocked => thread::park_timeout(POLL_INTERVAL),
            }
        }
        self.segments.close();
        // What is left stays in its file, where the next start finds it.
        self.rings.iter_mut().map(|source| source.ring.count()).sum()
    }

    fn is_empty(&mut self) -> bool {
        self.rings.iter_mut().all(|source| source.ring.peek().is_none())
    }

    /// Makes room where the oldest may go, so that new events find some.
    fn drop_oldest(&mut self) {
        let mut dropped = 0;
        for source in &mut self.rings {
            match source.on_full {
                OnFull::DropOldest if source.ring.is_fuller_than(3, 4) => {
                    source.ring.drop_down_to(1, 2, |header| {
                        self.dropped.add(header.first(), header.sequence + 1);
                        dropped += 1;
                    });
                }
                OnFull::Block | OnFull::DropOldest | OnFull::RefuseRequests => {}
            }
        }
        if 0 < dropped {
            telemetry::events_lost("queue_full", dropped);
        }
    }

    fn collect(&mut self) {
        self.batch.clear(self.next);
        while self.batch.bytes.len() < self.batch_bytes_max {
            let Some(index) = self.next_ring() else { return };
            let Some(source) = self.rings.get_mut(index) else { return };
            let Some(header) = source.ring.read(&mut self.payload) else { return };
            self.batch.next = self.batch.next.max(header.sequence + 1);
            self.stalled_since = None;
            self.render(header);
        }
    }

    fn render(&mut self, header: Header) {
        match frame::decode(&self.payload) {
            Ok(record) => {
                self.renderer.render(&mut self.batch.bytes, header.sequence, &record);
                self.batch.count(&record);
            }
            Err(error) => {
                tracing::error!(sequence = header.sequence, %error, "an event is unreadable");
                self.batch.unreadable += 1;
            }
        }
    }

    /// The ring whose frame is next. A worker that took a number puts its frame in within
    /// nanoseconds, unless the system takes its core away, so waiting for it is bounded.
    fn next_ring(&mut self) -> Option<usize> {
        self.batch.next = self.dropped.after(self.batch.next);
        let next = self.batch.next;
        let first = |ring: &mut Consumer| ring.peek().map(|header| header.first());
        let (index, lowest) = self
            .rings
            .iter_mut()
            .enumerate()
            .filter_map(|(index, source)| Some((index, first(&mut source.ring)?)))
            .min_by_key(|(_, first)| *first)?;
        if next < lowest && !self.stalled_too_long() {
            return None;
        }
        Some(index)
    }

    fn stalled_too_long(&mut self) -> bool {
        let now = self.clock.tick();
        let since = *self.stalled_since.get_or_insert(now);
        STALL_TIMEOUT <= now.saturating_duration_since(since)
    }

    /// Writes the batch and releases its frames; false if the disk took not all of it, and then
    /// nothing of it is in the file.
    fn flush(&mut self) -> bool {
        match self.segments.write(&self.batch.bytes) {
            Ok(()) => {
                for source in &mut self.rings {
                    source.ring.release();
                }
                self.next = self.batch.next;
                self.dropped.forget_before(self.next);
                self.batch.tell();
                self.batch_bytes_max = BATCH_BYTES;
                self.recovered();
                self.progress.tell();
                self.segments.rotate_if_due();
                true
            }
            Err(error) => {
                self.failed(&error);
                false
            }
        }
    }

    fn failed(&mut self, error: &std::io::Error) {
        self.undo();
        // A smaller batch may still fit.
        self.batch_bytes_max = (self.batch_bytes_max / 2).max(BATCH_BYTES_MIN);
        let now = self.clock.tick();
        let (since, retry_after) = match self.disk {
            Disk::Failing { since, retry_after, .. } => (since, (retry_after * 2).min(RETRY_MAX)),
            Disk::Writing => {
                tracing::error!(%error, "cannot write events; `events.on_full` says what happens");
                (now, RETRY_MIN)
            }
        };
        self.disk = Disk::Failing { since, retry_after, next_try: now + retry_after };
    }

    /// Forgets the batch; its frames are still in the rings.
    fn undo(&mut self) {
        for source in &mut self.rings {
            source.ring.rewind();
        }
        self.batch.clear(self.next);
    }

    fn recovered(&mut self) {
        if let Disk::Failing { since, .. } = self.disk {
            let failed_ms = self.clock.tick().saturating_duration_since(since).as_millis();
            tracing::info!(failed_ms, "events are written again");
            self.disk = Disk::Writing;
        }
    }
}

impl Numbers {
    fn add(&mut self, start: u64, end: u64) {
        let before = self.ranges.range(..=start).next_back().map(|(start, end)| (*start, *end));
        let start = match before {
            Some((earlier, its_end)) if start <= its_end => earlier,
            Some(_) | None => start,
        };
        let after = self.ranges.get(&end).copied();
        if after.is_some() {
            self.ranges.remove(&end);
        }
        self.ranges.insert(start, after.unwrap_or(end));
    }

    /// The first number from one on that is not in here.
    fn after(&self, number: u64) -> u64 {
        let range = self.ranges.range(..=number).next_back();
        range.map_or(number, |(_, end)| number.max(*end))
    }

    fn forget_before(&mut self, number: u64) {
        while let Some(first) = self.ranges.first_entry()
            && *first.get() <= number
        {
            first.remove();
        }
    }
}

impl Batch {
    fn count(&mut self, record: &Record<'_>) {
        let action = wire::action_of(record);
        for (known, events) in ACTIONS.iter().zip(&mut self.events) {
            if *known == action {
                *events += 1;
            }
        }
    }

    fn tell(&self) {
        for (action, events) in ACTIONS.iter().zip(self.events) {
            if 0 < events {
                telemetry::events_written(action, events);
            }
        }
        if 0 < self.unreadable {
            telemetry::events_lost("unreadable", self.unreadable);
        }
    }

    fn clear(&mut self, next: u64) {
        self.bytes.clear();
        self.events = [0; ACTIONS.len()];
        self.unreadable = 0;
        self.next = next;
    }
}

/// What this version writes.
const ACTIONS: [&str; 11] = [
    PERIMETER_ACTION,
    POLICY_ACTION,
    UPDATE_ACTION,
    PROFILE_ASSUME_ACTION,
    ROLE_ASSUME_ACTION,
    DetectionName::BreakGlass.action(),
    DetectionName::ExternalIdGuessing.action(),
    DetectionName::FailedAssume.action(),
    DetectionName::LongSession.action(),
    DetectionName::NewAccount.action(),
    DetectionName::NewAddress.action(),
];
/// How long an event may wait for the writer to look.
const POLL_INTERVAL: Duration = Duration::from_millis(10);
/// About 700 events: the system call's cost is shared, and memory stays small.
const BATCH_BYTES: usize = 1024 * 1024;
/// A batch for a disk that has almost no room: a page.
const BATCH_BYTES_MIN: usize = 4096;
/// The first pause after a failed write.
const RETRY_MIN: Duration = Duration::from_millis(50);
/// The longest pause: space that is back is used within a second.
const RETRY_MAX: Duration = Duration::from_millis(800);
/// How long later events wait for one whose worker stands still between number and frame.
const STALL_TIMEOUT: Duration = Duration::from_secs(1);
/// How long closing waits for a disk that takes nothing.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
const _: () = assert!(STALL_TIMEOUT.as_secs() < CLOSE_TIMEOUT.as_secs());

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dropped_numbers_are_passed_over_whatever_their_order() {
        let mut numbers = Numbers::default();
        for (start, end) in [(5, 7), (1, 2), (3, 5), (2, 3), (9, 12)] {
            numbers.add(start, end);
        }
        assert_eq!(numbers.ranges, BTreeMap::from([(1, 7), (9, 12)]));
        let after = [0, 1, 6, 7, 8, 9, 11, 12].map(|number| numbers.after(number));
        assert_eq!(after, [0, 7, 7, 7, 8, 12, 12, 12]);
        numbers.forget_before(7);
        assert_eq!(numbers.ranges, BTreeMap::from([(9, 12)]));
    }
}
