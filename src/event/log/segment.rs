//! Segment files: one is live, the others are closed and never touched again.
//!
//! `crossgate-<instance>-<UTC time>-<n>.live.ndjson` is written to; closing takes `.live` out of its
//! name. Only whole lines stay in a file: what a failed write left of a line is cut off again.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::clock::SystemClock;
use crate::event::log::files::{CLOSED, LIVE};
use crate::event::time;

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
    prefix: String,
    limits: SegmentLimits,
    clock: SystemClock,
    count: u32,
    live: Option<Live>,
}

/// The live segment.
struct Live {
    file: File,
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

/// A batch was not taken whole.
pub(super) struct WriteFailure {
    /// How many bytes are in the file, all of whole lines.
    pub(super) written: usize,
    pub(super) error: io::Error,
}

impl Segments {
    /// Begins the first segment.
    pub(super) fn open(
        directory: &Path,
        instance: &str,
        limits: SegmentLimits,
        clock: SystemClock,
    ) -> io::Result<Self> {
        let prefix = format!("crossgate-{}", file_name_part(instance));
        let directory = directory.to_owned();
        let mut segments = Self { directory, prefix, limits, clock, count: 0, live: None };
        segments.begin()?;
        Ok(segments)
    }

    /// Writes a batch of whole lines.
    pub(super) fn write(&mut self, batch: &[u8]) -> Result<(), WriteFailure> {
        let failure = |written, error| WriteFailure { written, error };
        if self.live.is_none() {
            self.begin().map_err(|error| failure(0, error))?;
        }
        let Some(live) = &mut self.live else { return Ok(()) };
        live.mend().map_err(|error| failure(0, error))?;
        live.write(batch)
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

    /// Forces what is written to the disk, as far as it lets itself be forced.
    pub(super) fn sync(&mut self) {
        if let Some(live) = &self.live
            && let Err(error) = live.file.sync_all()
        {
            tracing::warn!(file = %live.path.display(), %error, "cannot sync an event segment");
        }
    }

    fn begin(&mut self) -> io::Result<()> {
        // Names of an earlier run are passed over; a run never writes to another one's file.
        let mut stamp = Vec::new();
        time::write_seconds(&mut stamp, self.clock.now().seconds());
        let stamp: String =
            String::from_utf8_lossy(&stamp).chars().filter(|c| !matches!(c, '-' | ':')).collect();
        let (path, file) = loop {
            let stem = format!("{}-{stamp}Z-{:06}", self.prefix, self.count);
            self.count += 1;
            let path = self.directory.join(format!("{stem}{LIVE}"));
            match OpenOptions::new().append(true).create_new(true).open(&path) {
                // Asked after the live file exists, so that nobody closes one of that name now.
                Ok(_) if self.directory.join(format!("{stem}{CLOSED}")).exists() => {
                    fs::remove_file(&path)?;
                }
                Ok(file) => break (path, file),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        };
        let opened_at = self.clock.tick();
        self.live = Some(Live { file, path, bytes: 0, opened_at, tail: Tail::Whole });
        Ok(())
    }
}

impl Live {
    fn write(&mut self, batch: &[u8]) -> Result<(), WriteFailure> {
        let mut rest = batch;
        let error = loop {
            match self.file.write(rest) {
                Ok(0) => break io::ErrorKind::WriteZero.into(),
                Ok(written) => rest = rest.get(written..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => break error,
            }
            if rest.is_empty() {
                self.bytes += count(batch.len());
                return Ok(());
            }
        };
        let taken = batch.get(..batch.len() - rest.len()).unwrap_or_default();
        let written = memchr::memrchr(b'\n', taken).map_or(0, |newline| newline + 1);
        self.bytes += count(written);
        if written < taken.len() {
            self.tail = Tail::Torn;
            // If this fails too, it is tried again before the next write.
            let _ = self.mend();
        }
        Err(WriteFailure { written, error })
    }

    /// Cuts off what a failed write left of a line.
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

/// A text as part of a file's name.
pub(super) fn file_name_part(text: &str) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    text.chars().map(|c| if allowed(c) { c } else { '_' }).take(NAME_CHARS_MAX).collect()
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
