//! The event log: each worker's frames become lines of NDJSON in segment files.
//!
//! Flows in: events, each into the ring of its worker, without a lock or a system call. Flows out:
//! files, written by one thread of its own. A full disk never stops a request: rings fill, then
//! events are lost, and each lost one is counted and leaves a gap in the sequence.
//!
//! The seam for a log that outlives the process is the frame: whatever carries frames from workers
//! to the writer in place of `ring` keeps [`EventAppender`] and the files as they are.

mod archive;
mod files;
mod follower;
mod line;
mod reader;
mod ring;
mod scan;
mod segment;
mod tail;
mod writer;

pub use archive::{Block, Index, Summary, compress, compress_stepwise};
pub use files::{Form, OpenSegment, Segment, Window, newest_first, segments};
pub use follower::{Batch, Follower, Place, Position};
pub use reader::{LogReader, ReadError, ReadEvent};
pub use ring::{Appended, EventAppender, RING_BYTES};
pub use scan::{FoundLine, NewestLines, OldestFirst, Order, Part, Scan, Wanted};
pub use segment::{SEGMENT_AGE_MAX, SEGMENT_BYTES_MAX, SegmentLimits};
pub use tail::Tail;

use std::fmt;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use crate::clock::SystemClock;
use crate::event::{EventsConfig, UpdateEvent};

use segment::Segments;
use writer::Writer;

/// The running log of one process.
pub struct EventLog {
    updates: Mutex<EventAppender>,
    closing: Arc<AtomicBool>,
    writer: Option<JoinHandle<u64>>,
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
    /// The writer's thread can't be started.
    #[error("cannot start the event writer: {source}")]
    Thread {
        /// What the system said.
        source: io::Error,
    },
    /// The end came before all events were in the files.
    #[error("{events} events did not reach the log before its end")]
    Unwritten {
        /// How many; counted as lost.
        events: u64,
    },
}

impl EventLog {
    /// Opens the log in its directory, which is made if it's absent, and starts its writer.
    /// Returns an appender for each worker. Files of earlier runs stay as they are.
    ///
    /// # Errors
    /// The directory can't be written to.
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
    /// The directory can't be written to.
    pub fn open_with(
        config: &EventsConfig,
        instance: &str,
        workers: usize,
        limits: SegmentLimits,
    ) -> Result<(Self, Vec<EventAppender>), EventLogError> {
        let unwritable =
            |source| EventLogError::Directory { directory: config.directory.clone(), source };
        fs::create_dir_all(&config.directory).map_err(unwritable)?;
        let segments =
            Segments::open(&config.directory, instance, limits, SystemClock).map_err(unwritable)?;
        let sequence = Arc::new(AtomicU64::new(FIRST_SEQUENCE));
        // One more than there are workers: setting updates come from the control thread.
        let (mut appenders, rings): (Vec<_>, Vec<_>) =
            (0..=workers).map(|_| ring::ring(&sequence)).unzip();
        let Some(updates) = appenders.pop() else {
            return Err(EventLogError::Unwritten { events: 0 });
        };
        let closing = Arc::new(AtomicBool::new(false));
        let writer = Writer::new(rings, segments, instance, Arc::clone(&closing));
        let thread = thread::Builder::new()
            .name("event-log".to_owned())
            .spawn(move || writer.run())
            .map_err(|source| EventLogError::Thread { source })?;
        let log = Self { updates: Mutex::new(updates), closing, writer: Some(thread) };
        Ok((log, appenders))
    }

    /// Appends a setting's update. Rare, so a lock is taken; not for workers.
    pub fn append_update(&self, event: &UpdateEvent<'_>) -> Appended {
        self.updates.lock().unwrap_or_else(PoisonError::into_inner).append_update(event)
    }

    /// Writes all that was appended, closes the segment and ends the writer. Stop appending
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
        self.closing.store(true, Ordering::Release);
        let Some(thread) = self.writer.take() else { return 0 };
        thread.thread().unpark();
        thread.join().unwrap_or_else(|_| {
            tracing::error!("the event writer ended in a panic");
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

/// The first event's number.
const FIRST_SEQUENCE: u64 = 1;
