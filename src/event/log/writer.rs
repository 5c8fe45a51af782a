//! The writer: puts the rings' frames in the order of their numbers and into the files.
//!
//! One thread. It wakes at least every [`POLL_INTERVAL`], so that nobody has to wake it. While the
//! disk takes nothing it keeps its batch and tries again; the rings fill meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::clock::SystemClock;
use crate::event::frame::{self, Record};
use crate::event::log::FIRST_SEQUENCE;
use crate::event::log::ring::{Header, RingReader};
use crate::event::log::segment::{Segments, WriteFailure};
use crate::event::wire::{self, Renderer};
use crate::event::{PERIMETER_ACTION, POLICY_ACTION, UPDATE_ACTION};
use crate::telemetry;

/// Owns the files and the far ends of the rings.
pub(super) struct Writer {
    rings: Vec<RingReader>,
    segments: Segments,
    renderer: Renderer,
    closing: Arc<AtomicBool>,
    clock: SystemClock,
    /// The next number to write.
    next: u64,
    /// Since when frames wait for a number that is taken but not in a ring.
    stalled_since: Option<Instant>,
    frame: Vec<u8>,
    batch: Batch,
    disk: Disk,
}

/// Lines on their way to the file.
#[derive(Default)]
struct Batch {
    bytes: Vec<u8>,
    events: [u64; ACTIONS.len()],
}

/// How the disk takes batches.
enum Disk {
    Failing { since: Instant, retry_after: Duration },
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
        rings: Vec<RingReader>,
        segments: Segments,
        instance: &str,
        closing: Arc<AtomicBool>,
    ) -> Self {
        Self {
            rings,
            segments,
            renderer: Renderer::new(instance),
            closing,
            clock: SystemClock,
            next: FIRST_SEQUENCE,
            stalled_since: None,
            frame: Vec::new(),
            batch: Batch::default(),
            disk: Disk::Writing,
        }
    }

    /// Works until the log closes; returns how many events didn't reach the files.
    pub(super) fn run(mut self) -> u64 {
        while !self.closing.load(Ordering::Acquire) {
            let pause = match self.round() {
                Round::More => continue,
                // Also after a small batch: the next one is larger then.
                Round::Quiet => POLL_INTERVAL,
                Round::Blocked => self.retry_after(),
            };
            thread::park_timeout(pause);
        }
        self.finish()
    }

    /// Takes what the rings hold, up to a batch, and writes it.
    fn round(&mut self) -> Round {
        self.count_losses();
        if self.batch.bytes.is_empty() {
            self.collect();
        }
        if self.batch.bytes.is_empty() {
            self.segments.rotate_if_due();
            return Round::Quiet;
        }
        let full = BATCH_BYTES <= self.batch.bytes.len();
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
                Round::Quiet if self.rings.iter_mut().all(|ring| ring.head().is_none()) => break,
                Round::Quiet | Round::Blocked => thread::park_timeout(POLL_INTERVAL),
            }
        }
        self.segments.sync();
        self.segments.close();
        let unwritten = self.batch.len() + self.drop_rings();
        if 0 < unwritten {
            telemetry::events_lost("closed", unwritten);
        }
        unwritten
    }

    fn drop_rings(&mut self) -> u64 {
        let mut dropped = 0;
        for ring in &mut self.rings {
            while ring.take(&mut self.frame).is_some() {
                dropped += 1;
            }
        }
        dropped
    }

    fn count_losses(&mut self) {
        let lost = self.rings.iter_mut().map(RingReader::newly_lost).sum();
        if 0 < lost {
            telemetry::events_lost("queue_full", lost);
        }
    }

    fn collect(&mut self) {
        while self.batch.bytes.len() < BATCH_BYTES {
            let Some(index) = self.next_ring() else { return };
            let Some(ring) = self.rings.get_mut(index) else { return };
            let Some(header) = ring.take(&mut self.frame) else { return };
            self.next = self.next.max(header.sequence() + 1);
            self.stalled_since = None;
            self.render(header);
        }
    }

    fn render(&mut self, header: Header) {
        match frame::decode(&self.frame) {
            Ok(record) => {
                self.renderer.render(&mut self.batch.bytes, header.sequence(), &record);
                self.batch.count(&record);
            }
            Err(error) => {
                tracing::error!(sequence = header.sequence(), %error, "an event is unreadable");
                telemetry::events_lost("unreadable", 1);
            }
        }
    }

    /// The ring whose frame is next. A worker that took a number commits its frame within
    /// nanoseconds, unless the system takes its core away, so waiting for it is bounded.
    fn next_ring(&mut self) -> Option<usize> {
        let next = self.next;
        let first = |ring: &mut RingReader| ring.head().map(|header| header.first);
        let (index, lowest) = self
            .rings
            .iter_mut()
            .enumerate()
            .filter_map(|(index, ring)| Some((index, first(ring)?)))
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

    /// Writes the batch; false if the disk took not all of it.
    fn flush(&mut self) -> bool {
        match self.segments.write(&self.batch.bytes) {
            Ok(()) => {
                for (action, events) in ACTIONS.iter().zip(self.batch.events) {
                    if 0 < events {
                        telemetry::events_written(action, events);
                    }
                }
                self.batch.clear();
                self.recovered();
                self.segments.rotate_if_due();
                true
            }
            Err(failure) => {
                self.failed(&failure);
                false
            }
        }
    }

    fn failed(&mut self, failure: &WriteFailure) {
        self.batch.bytes.drain(..failure.written);
        self.disk = match self.disk {
            Disk::Failing { since, retry_after } => {
                Disk::Failing { since, retry_after: (retry_after * 2).min(RETRY_MAX) }
            }
            Disk::Writing => {
                tracing::error!(error = %failure.error, "cannot write events; requests go on");
                Disk::Failing { since: self.clock.tick(), retry_after: RETRY_MIN }
            }
        };
    }

    fn recovered(&mut self) {
        if let Disk::Failing { since, .. } = self.disk {
            let failed_ms = self.clock.tick().saturating_duration_since(since).as_millis();
            tracing::info!(failed_ms, "events are written again");
            self.disk = Disk::Writing;
        }
    }

    fn retry_after(&self) -> Duration {
        match self.disk {
            Disk::Failing { retry_after, .. } => retry_after,
            Disk::Writing => POLL_INTERVAL,
        }
    }
}

impl Batch {
    fn count(&mut self, record: &Record<'_>) {
        let action = match record {
            Record::Eval(eval) => wire::action(eval.layer),
            Record::Update(_) => UPDATE_ACTION,
        };
        for (known, events) in ACTIONS.iter().zip(&mut self.events) {
            if *known == action {
                *events += 1;
            }
        }
    }

    /// How many lines are left.
    fn len(&self) -> u64 {
        u64::try_from(memchr::memchr_iter(b'\n', &self.bytes).count()).unwrap_or(u64::MAX)
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.events = [0; ACTIONS.len()];
    }
}

/// What this version writes.
const ACTIONS: [&str; 3] = [PERIMETER_ACTION, POLICY_ACTION, UPDATE_ACTION];
/// How long an event may wait for the writer to look.
const POLL_INTERVAL: Duration = Duration::from_millis(10);
/// About 700 events: the system call's cost is shared, and memory stays small.
const BATCH_BYTES: usize = 1024 * 1024;
/// The first pause after a failed write.
const RETRY_MIN: Duration = Duration::from_millis(50);
/// The longest pause: space that is back is used within a second.
const RETRY_MAX: Duration = Duration::from_millis(800);
/// How long later events wait for one whose worker stands still between number and frame.
const STALL_TIMEOUT: Duration = Duration::from_secs(1);
/// How long closing waits for a disk that takes nothing.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
const _: () = assert!(STALL_TIMEOUT.as_secs() < CLOSE_TIMEOUT.as_secs());
