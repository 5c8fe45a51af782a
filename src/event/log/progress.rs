//! What workers and the log's threads tell each other, besides the rings.
//!
//! Workers wait here for room in a ring, and with `sync: always` for the disk; nobody waits in the
//! usual case, and then nothing here is touched but one counter.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread::{self, Thread};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};

/// Shared by workers, writer and syncer.
#[derive(Debug)]
pub(super) struct Progress {
    changed: watch::Sender<()>,
    waiting: AtomicUsize,
    /// By ring: everything before is on the disk.
    synced: Box<[AtomicU64]>,
    /// Rounds of the writer that the syncer wants to see done, and those that are.
    rounds_asked: AtomicU64,
    rounds_done: AtomicU64,
    /// Whom to wake when something is to be forced to the disk.
    syncer: Mutex<Option<Thread>>,
    closing: AtomicBool,
}

/// Where a worker's events end in its rings, and what must be on the disk before they are answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    /// Ring and position.
    pub(super) ends: [(usize, u64); 2],
}

/// A worker's view of the log while a request has to wait for it.
#[derive(Clone, Debug)]
pub struct LogWaiter {
    progress: std::sync::Arc<Progress>,
}

impl Progress {
    pub(super) fn new(rings: usize) -> Self {
        Self {
            changed: watch::Sender::new(()),
            waiting: AtomicUsize::new(0),
            synced: (0..rings).map(|_| AtomicU64::new(0)).collect(),
            rounds_asked: AtomicU64::new(0),
            rounds_done: AtomicU64::new(0),
            syncer: Mutex::new(None),
            closing: AtomicBool::new(false),
        }
    }

    pub(super) fn close(&self) {
        self.closing.store(true, Ordering::Release);
        self.wake_syncer();
    }

    pub(super) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    /// Tells who waits that there is room, or that more is on the disk.
    pub(super) fn tell(&self) {
        if 0 < self.waiting.load(Ordering::Acquire) {
            self.changed.send_replace(());
        }
    }

    /// The calling thread is the syncer from now on.
    pub(super) fn serve_as_syncer(&self) {
        *self.syncer.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread::current());
    }

    pub(super) fn wake_syncer(&self) {
        if let Some(syncer) = &*self.syncer.lock().unwrap_or_else(PoisonError::into_inner) {
            syncer.unpark();
        }
    }

    /// Notes that a ring is on the disk up to a position.
    pub(super) fn synced(&self, ring: usize, position: u64) {
        if let Some(synced) = self.synced.get(ring) {
            synced.fetch_max(position, Ordering::Release);
        }
    }

    fn is_durable(&self, mark: &Mark) -> bool {
        mark.ends.iter().all(|(ring, position)| {
            self.synced.get(*ring).is_none_or(|synced| *position <= synced.load(Ordering::Acquire))
        })
    }

    /// What the writer must have seen at the start of a round, to have written all that is in the
    /// rings by now.
    pub(super) fn ask_for_round(&self) -> u64 {
        self.rounds_asked.fetch_add(1, Ordering::AcqRel) + 1
    }

    pub(super) fn rounds_asked(&self) -> u64 {
        self.rounds_asked.load(Ordering::Acquire)
    }

    pub(super) fn round_done(&self, asked: u64) {
        self.rounds_done.fetch_max(asked, Ordering::AcqRel);
    }

    pub(super) fn is_round_done(&self, asked: u64) -> bool {
        asked <= self.rounds_done.load(Ordering::Acquire)
    }
}

impl LogWaiter {
    pub(super) fn new(progress: std::sync::Arc<Progress>) -> Self {
        Self { progress }
    }

    /// Waits until there may be room, at most a short while: the caller tries again.
    pub async fn room(&self) {
        let _waiting = Waiting::new(&self.progress.waiting);
        let mut changed = self.progress.changed.subscribe();
        // What changed before the subscription is not told, so the wait is short.
        let _: Result<_, _> = timeout(ROOM_WAIT, changed.changed()).await;
    }

    /// Waits until all before a mark is on the disk; false if that takes more than [`BLOCK_MAX`].
    pub async fn durable(&self, mark: &Mark) -> bool {
        let _waiting = Waiting::new(&self.progress.waiting);
        let mut changed = self.progress.changed.subscribe();
        let deadline = Instant::now() + BLOCK_MAX;
        self.progress.wake_syncer();
        loop {
            if self.progress.is_durable(mark) {
                return true;
            }
            let next = (Instant::now() + ROOM_WAIT).min(deadline);
            let _: Result<_, _> = timeout_at(next, changed.changed()).await;
            if deadline <= Instant::now() {
                return self.progress.is_durable(mark);
            }
        }
    }
}

/// Counts as waiting until it is dropped, also when the request goes away.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(waiting: &'a AtomicUsize) -> Self {
        waiting.fetch_add(1, Ordering::AcqRel);
        Self(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// How long a request waits for a log that can take no more, before it is refused.
pub const BLOCK_MAX: Duration = Duration::from_secs(30);
/// How long one look at the log may wait for the next.
const ROOM_WAIT: Duration = Duration::from_millis(50);
const _: () = assert!(ROOM_WAIT.as_millis() < BLOCK_MAX.as_millis());
