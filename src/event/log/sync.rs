//! The syncer: forces the log to the disk as often as `events.sync` says.
//!
//! One thread, none for `never`. With `always` it forces the rings, and requests wait for it; with
//! an interval it lets the writer empty the rings and forces the files, so that a power loss takes
//! no event that is older than the interval.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crate::clock::SystemClock;
use crate::event::Sync;
use crate::event::log::progress::Progress;
use crate::event::log::ring::Rings;
use crate::event::log::segment::Unsynced;

/// What the syncer works on.
pub(super) struct Syncer {
    pub(super) rings: Arc<Rings>,
    pub(super) files: Unsynced,
    pub(super) progress: Arc<Progress>,
}

impl Syncer {
    /// Works until the log closes.
    pub(super) fn run(&self, sync: Sync) {
        self.progress.serve_as_syncer();
        match sync {
            Sync::Always => self.always(),
            Sync::Interval(interval) => self.at_intervals(interval),
            Sync::Never => {}
        }
    }

    fn always(&self) {
        let mut last = Vec::new();
        while !self.progress.is_closing() {
            let heads: Vec<u64> = self.rings.heads().collect();
            if heads == last {
                thread::park_timeout(IDLE);
                continue;
            }
            match self.rings.sync() {
                Ok(()) => {
                    for (ring, head) in heads.iter().enumerate() {
                        self.progress.synced(ring, *head);
                    }
                    self.progress.tell();
                    last = heads;
                }
                Err(error) => {
                    tracing::error!(%error, "events can't be forced to the disk; requests wait");
                    thread::park_timeout(RETRY);
                }
            }
        }
    }

    fn at_intervals(&self, interval: Duration) {
        let mut due = SystemClock.tick() + interval;
        while !self.progress.is_closing() {
            let left = due.saturating_duration_since(SystemClock.tick());
            if !left.is_zero() {
                thread::park_timeout(left);
                continue;
            }
            due = SystemClock.tick() + interval;
            let round = self.progress.ask_for_round();
            let written = self.wait_for(round);
            // What is not in the files stays in the rings until it is.
            let rings = if written { Ok(()) } else { self.rings.sync() };
            if let Err(error) = rings.and_then(|()| self.files.sync()) {
                tracing::error!(%error, "events can't be forced to the disk");
            }
        }
    }

    fn wait_for(&self, round: u64) -> bool {
        let started = SystemClock.tick();
        while started.elapsed() < ROUND_MAX && !self.progress.is_closing() {
            if self.progress.is_round_done(round) {
                return true;
            }
            thread::park_timeout(ROUND_POLL);
        }
        false
    }
}

/// How long an idle syncer sleeps; who appends wakes it.
const IDLE: Duration = Duration::from_millis(100);
/// The pause after a failure.
const RETRY: Duration = Duration::from_millis(50);
/// How long the writer may take for what is in the rings.
const ROUND_MAX: Duration = Duration::from_secs(1);
/// How often the syncer looks whether it has.
const ROUND_POLL: Duration = Duration::from_millis(5);
