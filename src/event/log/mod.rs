//! The event log: each worker's frames become lines of NDJSON in segment files.
//!
//! Flows in: events, put by each worker into its own rings, in memory that outlives the process,
//! without a lock or a system call. Flows out: files. A decision that a client has seen is in the
//! log, even if the process is killed at that moment: who opens the log next makes lines of what
//! the rings still hold (`recovery`).
//!
//! Three threads: `writer` makes lines, `sync` forces them to the disk, `keeper` compresses closed
//! segments and removes old ones.

mod appender;
mod archive;
mod ends;
mod files;
mod follower;
mod keeper;
mod layout;
mod line;
mod positions;
mod progress;
mod reader;
mod recovery;
mod ring;
mod scan;
mod segment;
mod sync;
mod tail;
mod view;
mod writer;

pub use appender::{Appended, EventAppender, LogFull};
pub use archive::{Block, Index, Summary, compress, compress_stepwise};
pub use ends::{LogEnd, LogEnds};
pub use files::{Form, OpenSegment, Segment, Window, newest_first, segments};
pub use follower::{Batch, Follower, Place, Position};
pub use positions::{Behind, SegmentEvents, SinkPositions};
pub use progress::{BLOCK_MAX, LogWaiter, Mark};
pub use reader::{LogReader, ReadError, ReadEvent};
pub use recovery::{RecoveryError, recover};
pub use scan::{FoundLine, NewestLines, OldestFirst, Order, Part, Scan, Wanted};
pub use segment::{SEGMENT_AGE_MAX, SEGMENT_BYTES_MAX, SegmentLimits};
pub use tail::Tail;
pub use view::LogView;

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use rustix::fs::statvfs;

use crate::event::frame::{EVAL_FRAME_BYTES_MAX, UPDATE_FRAME_BYTES_MAX};
use crate::event::{EventsConfig, OnFull, Sync, UpdateEvent, sink};
use crate::verdict::Decision;

use appender::ByDecision;
use keeper::Keeper;
use layout::{HEADER_BYTES, Layout};
use progress::Progress;
use ring::{Consumer, Producer, Rings};
use segment::{Segments, Unsynced};
use sync::Syncer;
use writer::{Source, Writer};

/// The running log of one process.
pub struct EventLog {
    updates: Mutex<EventAppender>,
    progress: Arc<Progress>,
    rings: Arc<Rings>,
    files: Unsynced,
    sync: Sync,
    sinks: SinkPositions,
    threads: Option<Threads>,
}

struct Threads {
    writer: JoinHandle<u64>,
    syncer: JoinHandle<()>,
    keeper: JoinHandle<Keeper>,
}

/// Why the log can't be opened, or didn't end well.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EventLogError {
    /// The directory can't be made or written to.
    #[error("cannot write events to `{}`: {source}", directory.display())]
    Directory {
        /// The log's directory.
        directory: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A thread can't be started.
    #[error("cannot start a thread of the event log: {source}")]
    Thread {
        /// What the system said.
        source: io::Error,
    },
    /// The end came before all events were lines.
    #[error(
        "{events} events are not in the log's files yet; they are kept, and the next start writes \
         them"
    )]
    Unwritten {
        /// How many.
        events: u64,
    },
}

impl EventLog {
    /// Opens the log in its directory, which is made if it's absent, recovers what runs that were
    /// killed left, and starts. Returns an appender for each worker.
    ///
    /// # Errors
    /// The directory can't be written to, or has no room for the smallest rings.
    pub fn open(
        config: &EventsConfig,
        instance: &str,
        workers: usize,
    ) -> Result<(Self, Vec<EventAppender>), EventLogError> {
        Self::open_with(config, instance, workers, SegmentLimits::default())
    }

    /// Opens the log with other limits of a segment.
    ///
    /// # Errors
    /// As [`EventLog::open`].
    pub fn open_with(
        config: &EventsConfig,
        instance: &str,
        workers: usize,
        limits: SegmentLimits,
    ) -> Result<(Self, Vec<EventAppender>), EventLogError> {
        let directory = &config.directory;
        let unwritable = |source| EventLogError::Directory { directory: directory.clone(), source };
        fs::create_dir_all(state_directory(directory)).map_err(unwritable)?;
        if let Err(error) = recover(directory) {
            tracing::error!(%error, "events of an earlier run wait for the next try");
        }
        let rings = make_rings(directory, instance, workers).map_err(unwritable)?;
        let segments =
            Segments::open(directory, instance, limits, config.sync).map_err(unwritable)?;
        let files = segments.unsynced();
        let (rings, producers, consumers) = rings.split();
        let progress = Arc::new(Progress::new(consumers.len()));
        let mut appenders = appenders(config, producers, &progress);
        // INVARIANT: there is one more than there are workers.
        let Some(updates) = appenders.pop() else {
            return Err(EventLogError::Unwritten { events: 0 });
        };
        let sources = sources(config, consumers);
        let writer = Writer::new(sources, segments, instance, Arc::clone(&progress));
        let syncer = Syncer {
            rings: Arc::clone(&rings),
            files: files.clone(),
            progress: Arc::clone(&progress),
        };
        let sinks = sink::positions(config);
        let keeper = Keeper::new(config, sinks.clone(), Arc::clone(&progress));
        let sync = config.sync;
        let threads = Threads {
            writer: spawn("event-log", move || writer.run())?,
            syncer: spawn("event-sync", move || syncer.run(sync))?,
            keeper: spawn("event-keeper", move || keeper.run())?,
        };
        let updates = Mutex::new(updates);
        let log = Self { updates, progress, rings, files, sync, sinks, threads: Some(threads) };
        Ok((log, appenders))
    }

    /// Appends a setting's update. Rare, so a lock is taken; not for workers.
    pub fn append_update(&self, event: &UpdateEvent<'_>) -> Appended {
        self.updates.lock().unwrap_or_else(PoisonError::into_inner).append_update(event)
    }

    /// How far the sinks are, for who serves them to tell and for retention to know.
    pub fn sink_positions(&self) -> SinkPositions {
        self.sinks.clone()
    }

    /// Writes all that was appended, closes the segment and ends the threads. Stop appending
    /// before: what comes later is lost.
    ///
    /// # Errors
    /// The disk took not all of it within the time for closing.
    pub fn close(mut self) -> Result<(), EventLogError> {
        match self.end() {
            0 => Ok(()),
            events => Err(EventLogError::Unwritten { events }),
        }
    }

    fn end(&mut self) -> u64 {
        let Some(Threads { writer, syncer, keeper }) = self.threads.take() else { return 0 };
        self.progress.close();
        writer.thread().unpark();
        keeper.thread().unpark();
        let written = writer.join();
        let _: thread::Result<()> = syncer.join();
        match self.sync {
            Sync::Always | Sync::Interval(_) => {
                if let Err(error) = self.files.sync() {
                    tracing::warn!(%error, "the last events can't be forced to the disk");
                }
            }
            Sync::Never => {}
        }
        if matches!(written, Ok(0))
            && let Err(error) = self.rings.remove()
        {
            tracing::warn!(%error, "cannot remove the frames of a run that ended");
        }
        if let Ok(mut keeper) = keeper.join() {
            keeper.finish();
        }
        written.unwrap_or_else(|_| {
            tracing::error!(
                "the event writer ended in a panic; the next start writes what is left"
            );
            0
        })
    }
}

impl Drop for EventLog {
    fn drop(&mut self) {
        self.end();
    }
}

impl fmt::Debug for EventLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventLog").finish_non_exhaustive()
    }
}

fn spawn<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>, EventLogError> {
    let thread = thread::Builder::new().name(name.to_owned());
    thread.spawn(work).map_err(|source| EventLogError::Thread { source })
}

/// Makes the run's rings, as large as they should be or as the disk allows.
fn make_rings(directory: &Path, instance: &str, workers: usize) -> io::Result<Rings> {
    let name = format!("{}{FRAMES}", segment::file_prefix(instance));
    let path = state_directory(directory).join(name);
    let free = free_bytes(directory);
    let layout = |halvings| Layout::new(instance, &segment::boot(), &sizes(workers, halvings));
    let fits = |layout: &Layout| free.is_none_or(|free| layout.bytes() <= free / FREE_SHARE);
    let start = (0..HALVINGS_MAX).find(|halvings| fits(&layout(*halvings)));
    let mut last = io::ErrorKind::StorageFull.into();
    for halvings in start.unwrap_or(HALVINGS_MAX)..=HALVINGS_MAX {
        match Rings::create(&path, &layout(halvings)) {
            Ok(rings) => {
                if 0 < halvings {
                    let bytes = layout(halvings).bytes();
                    tracing::warn!(bytes, "the disk has little room, so the event rings are small");
                }
                return Ok(rings);
            }
            Err(error) if is_room(&error) => last = error,
            Err(error) => return Err(error),
        }
    }
    Err(last)
}

/// Whether an error is about room, which less of it may have.
fn is_room(error: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(error.kind(), FileTooLarge | QuotaExceeded | StorageFull)
}

fn free_bytes(directory: &Path) -> Option<u64> {
    let found = statvfs(directory).ok()?;
    found.f_bavail.checked_mul(found.f_frsize)
}

/// Permits and denials of each worker, then of the control thread.
fn sizes(workers: usize, halvings: u32) -> Vec<u64> {
    let halved = |bytes: u64, least: u64| (bytes >> halvings).max(least);
    let worker = [
        halved(PERMIT_RING_BYTES, EVAL_RING_BYTES_MIN),
        halved(DENY_RING_BYTES, EVAL_RING_BYTES_MIN),
    ];
    let control = [EVAL_RING_BYTES_MIN, halved(CONTROL_RING_BYTES, CONTROL_RING_BYTES_MIN)];
    std::iter::repeat_n(worker, workers).chain([control]).flatten().collect()
}

fn appenders(
    config: &EventsConfig,
    producers: Vec<Producer>,
    progress: &Arc<Progress>,
) -> Vec<EventAppender> {
    let sequence = Arc::new(AtomicU64::new(FIRST_SEQUENCE));
    let mut appenders = Vec::new();
    let mut producers = producers.into_iter();
    while let (Some(permit), Some(deny)) = (producers.next(), producers.next()) {
        let rings = ByDecision { permit, deny };
        let (sequence, progress) = (Arc::clone(&sequence), Arc::clone(progress));
        appenders.push(EventAppender::new(rings, config.on_full, config.sync, sequence, progress));
    }
    appenders
}

fn sources(config: &EventsConfig, consumers: Vec<Consumer>) -> Vec<Source> {
    let of = |index: usize| -> OnFull {
        let decision = if index.is_multiple_of(2) { Decision::Permit } else { Decision::Deny };
        config.on_full.of(decision)
    };
    let sources = consumers.into_iter().enumerate();
    sources.map(|(index, ring)| Source { ring, on_full: of(index) }).collect()
}

/// A name for this run: the host's and a random suffix, so that no two runs share one.
pub fn new_instance() -> String {
    let host = fs::read_to_string("/proc/sys/kernel/hostname")
        .or_else(|_| fs::read_to_string("/etc/hostname"))
        .unwrap_or_default();
    let host = segment::file_name_part(host.trim());
    let host = if host.is_empty() { "crossgate" } else { host.as_str() };
    // 32 bits: runs of one host that meet in one directory are few.
    format!("{host}-{:08x}", fastrand::Rng::new().u32(..))
}

/// Where a log keeps what is no line: rings, cursors, its lock.
pub fn state_directory(directory: &Path) -> PathBuf {
    directory.join("state")
}

/// The first event's number.
const FIRST_SEQUENCE: u64 = 1;
/// The end of a frames file's name.
const FRAMES: &str = ".frames";
/// A worker's room for permits: 350 bytes × 12,000 events, 60 ms at 200,000 events a second.
const PERMIT_RING_BYTES: u64 = 4 * 1024 * 1024;
/// A worker's room for denials, which are fewer and may make requests wait.
const DENY_RING_BYTES: u64 = 2 * 1024 * 1024;
/// The room for changes of settings.
const CONTROL_RING_BYTES: u64 = 256 * 1024;
/// Each ring must take its longest frame wherever its head is, so twice its size.
const EVAL_RING_BYTES_MIN: u64 = least_ring(EVAL_FRAME_BYTES_MAX);
const CONTROL_RING_BYTES_MIN: u64 = least_ring(UPDATE_FRAME_BYTES_MAX);
/// Halved so often, every ring has its least size.
const HALVINGS_MAX: u32 = 10;
/// The rings take at most this share of what is free; lines need room too.
const FREE_SHARE: u64 = 4;
const _: () = assert!(PERMIT_RING_BYTES >> HALVINGS_MAX <= EVAL_RING_BYTES_MIN);
const _: () = assert!(EVAL_RING_BYTES_MIN <= DENY_RING_BYTES);
const _: () = assert!(CONTROL_RING_BYTES_MIN <= CONTROL_RING_BYTES);

#[expect(clippy::as_conversions, reason = "in a constant, and sizes fit in 64 bits")]
const fn least_ring(payload_bytes_max: usize) -> u64 {
    (2 * (payload_bytes_max + HEADER_BYTES)).next_power_of_two() as u64
}
