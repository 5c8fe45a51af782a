//! Segment files of lines: one is live, the others are closed.
//!
//! `crossgate-<instance>-<UTC time>-<n>.live.ndjson` is written to; closing takes `.live` out of its
//! name. A batch is in the file whole or not at all: what a failed write left is cut off again.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::clock::SystemClock;
use crate::event::log::files::{CLOSED, COMPRESSED, LIVE};
use crate::event::{Sync, time};

/// When a segment is closed and the next one begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentLimits {
    /// At this size; the last batch may go over it.
    pub bytes: u64,
    /// At this age, if it has an event.
    pub age: Duration,
}

/// The segments that this run writes.
pub(super) struct Segments {
    directory: PathBuf,
    instance: String,
    limits: SegmentLimits,
    clock: SystemClock,
    count: u32,
    live: Option<Live>,
    unsynced: Unsynced,
    sync: Sync,
}

/// Files with lines that may not be on the disk yet, the live one last.
#[derive(Clone, Debug, Default)]
pub(super) struct Unsynced {
    files: Arc<Mutex<Vec<Arc<File>>>>,
}

/// The live segment.
struct Live {
    file: Arc<File>,
    path: PathBuf,
    bytes: u64,
    opened_at: Instant,
    tail: Tail,
}

/// Whether the live file ends with a whole line.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Tail {
    Torn,
    Whole,
}

impl Segments {
    /// Begins the first segment.
    pub(super) fn open(
        directory: &Path,
        instance: &str,
        limits: SegmentLimits,
        sync: Sync,
    ) -> io::Result<Self> {
        let (directory, instance) = (directory.to_owned(), instance.to_owned());
        let (clock, unsynced) = (SystemClock, Unsynced::default());
        let mut segments =
            Self { directory, instance, limits, clock, count: 0, live: None, unsynced, sync };
        segments.begin()?;
        Ok(segments)
    }

    /// The files that a syncer has to force to the disk.
    pub(super) fn unsynced(&self) -> Unsynced {
        self.unsynced.clone()
    }

    /// Writes a batch of whole lines: all of it, or after an error nothing.
    pub(super) fn write(&mut self, batch: &[u8]) -> io::Result<()> {
        if batch.is_empty() {
            return Ok(());
        }
        if self.live.is_none() {
            self.begin()?;
        }
        let Some(live) = &mut self.live else { return Ok(()) };
        live.mend()?;
        live.write(batch, self.sync)
    }

    /// Closes the live segment if it is full or old.
    pub(super) fn rotate_if_due(&mut self) {
        let now = self.clock.tick();
        let due = self.live.as_ref().is_some_and(|live| {
            let age = now.saturating_duration_since(live.opened_at);
            self.limits.bytes <= live.bytes || (0 < live.bytes && self.limits.age <= age)
        });
        if due {
            self.close();
        }
    }

    /// Closes the live segment; an empty one goes.
    pub(super) fn close(&mut self) {
        let Some(mut live) = self.live.take() else { return };
        let closed = live.close();
        if let Err(error) = closed {
            // Readers take live files as they are, so nothing is lost.
            tracing::warn!(file = %live.path.display(), %error, "cannot close an event segment");
        }
    }

    fn begin(&mut self) -> io::Result<()> {
        // Names of an earlier run are passed over; a run never writes to another one's file.
        let (path, file) = loop {
            let stem = stem(&self.instance, self.count);
            self.count += 1;
            let path = self.directory.join(format!("{stem}{LIVE}"));
            match OpenOptions::new().append(true).create_new(true).open(&path) {
                // Asked after the live file exists, so that nobody closes one of that name now.
                Ok(_) if is_closed(&self.directory.join(&stem)) => {
                    fs::remove_file(&path)?;
                }
                Ok(file) => break (path, file),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        };
        let opened_at = self.clock.tick();
        let file = Arc::new(file);
        match self.sync {
            Sync::Always | Sync::Interval(_) => {
                File::open(&self.directory)?.sync_all()?;
                self.unsynced.add(&file);
            }
            Sync::Never => {}
        }
        self.live = Some(Live { file, path, bytes: 0, opened_at, tail: Tail::Whole });
        Ok(())
    }
}

impl Live {
    fn write(&mut self, batch: &[u8], sync: Sync) -> io::Result<()> {
        let written = (&*self.file).write_all(batch).and_then(|()| match sync {
            // Its frames are on the disk, and leave their rings when this returns.
            Sync::Always => self.file.sync_data(),
            Sync::Interval(_) | Sync::Never => Ok(()),
        });
        if written.is_ok() {
            self.bytes += count(batch.len());
        } else {
            self.tail = Tail::Torn;
            // If this fails too, it is tried again before the next write.
            let _ = self.mend();
        }
        written
    }

    /// Cuts off what a failed write left.
    fn mend(&mut self) -> io::Result<()> {
        if self.tail == Tail::Torn {
            self.file.set_len(self.bytes)?;
            self.tail = Tail::Whole;
        }
        Ok(())
    }

    fn close(&mut self) -> io::Result<()> {
        self.mend()?;
        if self.bytes == 0 {
            return fs::remove_file(&self.path);
        }
        let name = self.path.to_string_lossy();
        let closed = name.strip_suffix(LIVE).map(|stem| format!("{stem}{CLOSED}"));
        fs::rename(&self.path, closed.as_deref().unwrap_or(&name))
    }
}

impl Unsynced {
    fn add(&self, file: &Arc<File>) {
        self.files.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(file));
    }

    /// Forces all that was written before the call to the disk.
    pub(super) fn sync(&self) -> io::Result<()> {
        let files = self.files.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for file in &files {
            file.sync_data()?;
        }
        // Only the last one is still written to.
        let closed = files.len().saturating_sub(1);
        self.files.lock().unwrap_or_else(PoisonError::into_inner).drain(..closed);
        Ok(())
    }
}

/// The name of a run's segment that begins now, without its end.
pub(super) fn stem(instance: &str, count: u32) -> String {
    let mut stamp = Vec::new();
    time::write_seconds(&mut stamp, SystemClock.now().seconds());
    let stamp: String =
        String::from_utf8_lossy(&stamp).chars().filter(|c| !matches!(c, '-' | ':')).collect();
    format!("{}-{stamp}Z-{count:06}", file_prefix(instance))
}

/// The system's boot, as it names itself; empty where it doesn't.
pub(super) fn boot() -> String {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    id.trim().to_owned()
}

/// What the names of a run's files begin with.
pub(super) fn file_prefix(instance: &str) -> String {
    format!("crossgate-{}", file_name_part(instance))
}

/// A text as part of a file's name.
pub(super) fn file_name_part(text: &str) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    text.chars().map(|c| if allowed(c) { c } else { '_' }).take(NAME_CHARS_MAX).collect()
}

/// Whether a segment of this name was closed, in whatever form.
fn is_closed(stem: &Path) -> bool {
    let named = |end: &str| PathBuf::from(format!("{}{end}", stem.display()));
    [CLOSED, COMPRESSED].iter().any(|end| named(end).exists())
}

fn count(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

impl Default for SegmentLimits {
    fn default() -> Self {
        Self { bytes: SEGMENT_BYTES_MAX, age: SEGMENT_AGE_MAX }
    }
}

/// A segment's size: about 44,000 events, small enough to copy and compress at once.
pub const SEGMENT_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// A segment's age: what an hour's search must open stays small.
pub const SEGMENT_AGE_MAX: Duration = Duration::from_hours(1);
/// Of an instance's name in a file's name; file names end at 255 bytes.
const NAME_CHARS_MAX: usize = 128;
