//! The keeper: compresses closed segments, removes old ones, and recovers what other runs left.
//!
//! One thread in each process, and one process of all that share a directory: who holds the lock.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::clock::SystemClock;
use crate::event::log::archive::compress_stepwise;
use crate::event::log::files::{Form, Segment, segments};
use crate::event::log::positions::{Behind, SegmentEvents, SinkPositions};
use crate::event::log::progress::Progress;
use crate::event::log::recovery::{close_orphans, last_line, recover};
use crate::event::log::state_directory;
use crate::event::{EventsConfig, Retention};
use crate::telemetry::{self, DeliveryResult};

/// Keeps one directory.
#[derive(Debug)]
pub(super) struct Keeper {
    directory: PathBuf,
    retention: Retention,
    sinks: SinkPositions,
    progress: Arc<Progress>,
    clock: SystemClock,
    /// Held while this process is the one that keeps the directory.
    lock: Option<File>,
    /// After a failure, not before this.
    compress_after: Option<Instant>,
    retain_after: Option<Instant>,
}

/// A closed segment as retention sees it.
struct Kept {
    segment: Segment,
    changed: SystemTime,
    bytes: u64,
}

impl Keeper {
    pub(super) fn new(
        config: &EventsConfig,
        sinks: SinkPositions,
        progress: Arc<Progress>,
    ) -> Self {
        Self {
            directory: config.directory.clone(),
            retention: config.retention,
            sinks,
            progress,
            clock: SystemClock,
            lock: None,
            compress_after: None,
            retain_after: None,
        }
    }

    /// Works until the log closes.
    pub(super) fn run(mut self) -> Self {
        while !self.progress.is_closing() {
            if self.is_in_charge() {
                self.round();
            }
            thread::park_timeout(ROUND_INTERVAL);
        }
        self
    }

    /// Compresses what the end closed, as far as that is quick.
    pub(super) fn finish(&mut self) {
        if self.is_in_charge() {
            self.compress_after = None;
            self.compress();
        }
    }

    fn round(&mut self) {
        if let Err(error) = recover(&self.directory) {
            tracing::error!(%error, "events of an earlier run wait for the next try");
        }
        if let Err(error) = close_orphans(&self.directory) {
            tracing::warn!(%error, "cannot close segments of an earlier run");
        }
        self.compress();
        let now = self.clock.tick();
        if self.retain_after.is_none_or(|after| after <= now) {
            self.retain_after = Some(now + RETAIN_INTERVAL);
            if let Err(error) = self.retain() {
                tracing::warn!(%error, "cannot remove old event segments");
            }
        }
    }

    fn compress(&mut self) {
        let now = self.clock.tick();
        if self.compress_after.is_some_and(|after| now < after) {
            return;
        }
        let mut closing_since = None;
        let listed = segments(&self.directory).unwrap_or_default();
        for segment in listed.iter().filter(|segment| is_own(segment)) {
            if segment.form != Form::Closed {
                continue;
            }
            if let Err(error) = self.compress_one(segment, &mut closing_since) {
                if error.kind() != io::ErrorKind::Interrupted {
                    let segment = &segment.stem;
                    tracing::warn!(segment, %error, "cannot compress an event segment");
                }
                self.compress_after = Some(self.clock.tick() + COMPRESS_RETRY);
                return;
            }
        }
    }

    fn compress_one(
        &self,
        segment: &Segment,
        closing_since: &mut Option<Instant>,
    ) -> io::Result<()> {
        let (plain, compressed) = (segment.path(Form::Closed), segment.path(Form::Compressed));
        // A run that was killed between the two last steps left both.
        if !compressed.exists() {
            let name = format!("{}.zst.tmp", segment.stem);
            let target = state_directory(&self.directory).join(name);
            compress_stepwise(&plain, &target, &mut || self.go_on(closing_since))?;
            fs::rename(&target, &compressed)?;
            File::open(&self.directory)?.sync_all()?;
        }
        fs::remove_file(&plain)
    }

    /// Whether a compression goes on: an end doesn't wait long for it.
    fn go_on(&self, closing_since: &mut Option<Instant>) -> io::Result<()> {
        if !self.progress.is_closing() {
            return Ok(());
        }
        let now = self.clock.tick();
        let since = *closing_since.get_or_insert(now);
        if now.saturating_duration_since(since) < CLOSE_MAX {
            return Ok(());
        }
        Err(io::ErrorKind::Interrupted.into())
    }

    /// Removes closed segments that are too old, then the oldest while there is too much.
    fn retain(&self) -> io::Result<()> {
        let mut kept = self.closed()?;
        kept.sort_by_key(|kept| (kept.changed, kept.segment.count));
        let listed = segments(&self.directory).map_err(|error| error.source)?;
        let mut all_bytes = segments_bytes(&self.directory)?;
        let oldest = UNIX_EPOCH + Duration::from_millis(self.clock.now().0);
        let oldest = oldest.checked_sub(self.retention.age).unwrap_or(UNIX_EPOCH);
        for Kept { segment, changed, bytes } in kept {
            if oldest <= changed && all_bytes <= self.retention.size_bytes {
                break;
            }
            let is_last = !listed
                .iter()
                .any(|other| other.instance == segment.instance && segment.count < other.count);
            let behind = if is_last { Behind::Nothing } else { Behind::Segments };
            self.remove(&segment, behind)?;
            all_bytes = all_bytes.saturating_sub(bytes);
        }
        Ok(())
    }

    fn closed(&self) -> io::Result<Vec<Kept>> {
        let listed = segments(&self.directory).map_err(|error| error.source)?;
        let mut kept = Vec::new();
        for segment in listed.into_iter().filter(is_own) {
            if segment.form == Form::Live {
                continue;
            }
            // Gone meanwhile, or in its next form, which the next look finds.
            let Ok(metadata) = fs::metadata(segment.path(segment.form)) else { continue };
            kept.push(Kept { changed: metadata.modified()?, bytes: metadata.len(), segment });
        }
        Ok(kept)
    }

    /// Removes a segment, and counts what sinks did not have of it.
    fn remove(&self, segment: &Segment, behind: Behind) -> io::Result<()> {
        let path = segment.path(segment.form);
        let missed = if self.sinks.is_empty() { Vec::new() } else { self.undelivered(segment)? };
        fs::remove_file(&path)?;
        tracing::info!(segment = segment.stem, "an old event segment was removed");
        for (sink, events) in missed {
            tracing::error!(
                sink = &*sink,
                events,
                "events were removed before they were delivered"
            );
            telemetry::events_lost("retention", events);
            telemetry::sink_deliveries(&sink, DeliveryResult::Missed, events);
            self.sinks.note_missed(&sink, events, behind);
        }
        Ok(())
    }

    fn undelivered(&self, segment: &Segment) -> io::Result<Vec<(Box<str>, u64)>> {
        let Some(last) = last_line(&segment.path(segment.form))? else { return Ok(Vec::new()) };
        let (number, events) = (segment.count, last.lines);
        let place = SegmentEvents { segment: number, events, last_sequence: last.sequence };
        Ok(self.sinks.undelivered(&segment.instance, place))
    }

    fn is_in_charge(&mut self) -> bool {
        if self.lock.is_none() {
            let mut options = OpenOptions::new();
            options.create(true).write(true).truncate(false);
            let lock = options.open(state_directory(&self.directory).join(LOCK));
            self.lock = lock.ok().filter(|lock| lock.try_lock().is_ok());
        }
        self.lock.is_some()
    }
}

/// Whether a file's name is one that a log gives; other files are somebody else's.
fn is_own(segment: &Segment) -> bool {
    segment.stamp.is_some() && segment.stem.starts_with("crossgate-")
}

/// What all segments take, live ones too; the rings are no log that could be kept shorter.
fn segments_bytes(directory: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(directory)? {
        // Gone meanwhile, as segments go.
        let Ok(metadata) = entry?.metadata() else { continue };
        bytes += if metadata.is_file() { metadata.len() } else { 0 };
    }
    Ok(bytes)
}

/// How often the keeper looks around.
const ROUND_INTERVAL: Duration = Duration::from_secs(1);
/// How often it looks for what is too old or too much.
const RETAIN_INTERVAL: Duration = Duration::from_secs(10);
/// The pause after a failed compression: the disk may be full, and lines need the room more.
const COMPRESS_RETRY: Duration = Duration::from_secs(30);
/// How long an end waits for compression.
const CLOSE_MAX: Duration = Duration::from_secs(5);
/// The lock's name.
const LOCK: &str = "lock";

#[cfg(test)]
mod tests;
