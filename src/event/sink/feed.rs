//! One sink's way from the log: reads lines from its cursor on, delivers them in batches, tries
//! again for as long as it takes, and moves the cursor.
//!
//! At any time it holds one batch of lines and no more.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Deserialize;
use tokio::sync::watch;

use crate::clock::SystemClock;
use crate::event::log::{Batch, Follower, LogEnds, Place, Position, ReadError, SinkPositions};
use crate::event::sink::backoff::Backoff;
use crate::event::sink::cursor::{self, Cursor, CursorError, CursorFile, LastEvent};
use crate::event::sink::troubles::Troubles;
use crate::event::sink::{Lines, Progress, Sink, SinkError};
use crate::event::{SinkSpec, StartAt};
use crate::telemetry::{self, DeliveryResult};

/// One sink and what it takes to feed it.
pub(super) struct Feed<S> {
    spec: SinkSpec,
    sink: S,
    directory: PathBuf,
    positions: SinkPositions,
    end: End,
    /// How many events go at once: fewer after what was too large or too slow.
    events_max: u64,
    backoff: Backoff,
    troubles: Troubles,
    /// Away while it reads.
    follower: Option<Follower>,
}

/// Told when to end, and by when.
#[derive(Clone, Debug)]
pub(super) struct End(pub(super) watch::Receiver<Option<Instant>>);

/// The cursor, in memory and on disk.
struct Saved {
    file: Arc<CursorFile>,
    cursor: Cursor,
    is_dirty: bool,
    written_at: Option<Instant>,
}

/// What is left of the lines that were read.
struct Rest {
    lines: Lines,
    /// Where the cursor is when nothing is left.
    after: Position,
}

/// What of an event tells where it stands.
#[derive(Deserialize)]
struct Numbered {
    #[serde(rename = "responseData")]
    response: Sequence,
}

#[derive(Deserialize)]
struct Sequence {
    instance: String,
    sequence: u64,
}

impl End {
    pub(super) fn has_begun(&self) -> bool {
        self.0.borrow().is_some() || self.0.has_changed().is_err()
    }

    /// Waits for the end to begin.
    pub(super) async fn begun(&self) {
        let _ = self.0.clone().wait_for(Option::is_some).await;
    }

    /// Waits for the end to be over.
    async fn over(&self) {
        self.begun().await;
        let deadline = *self.0.borrow();
        if let Some(deadline) = deadline {
            tokio::time::sleep_until(deadline.into()).await;
        }
    }

    /// Waits; false if the end began meanwhile.
    pub(super) async fn pause(&self, pause: Duration) -> bool {
        tokio::select! {
            () = tokio::time::sleep(pause) => true,
            () = self.begun() => false,
        }
    }
}

impl<S: Sink> Feed<S> {
    pub(super) fn new(
        spec: SinkSpec,
        sink: S,
        directory: PathBuf,
        positions: SinkPositions,
        end: End,
    ) -> Self {
        let events_max = spec.batch.events;
        let (backoff, troubles, follower) = (Backoff::default(), Troubles::default(), None);
        Self { spec, sink, directory, positions, end, events_max, backoff, troubles, follower }
    }

    /// Feeds the sink until the end, which has a last try.
    pub(super) async fn run(mut self) {
        for result in DeliveryResult::ALL {
            telemetry::sink_deliveries(&self.spec.name, result, 0);
        }
        let Some(mut saved) = self.begin().await else { return };
        self.positions.set(&self.spec.name, &saved.cursor.position);
        while let Some(batch) = self.read(&mut saved).await {
            if !self.ship(batch, &mut saved).await {
                break;
            }
        }
        self.save(&mut saved).await;
    }

    /// Waits for the right to ship to this sink, and finds where it is.
    async fn begin(&mut self) -> Option<Saved> {
        let mut waits = false;
        let file = loop {
            let (directory, sink) = (self.directory.clone(), self.spec.name.clone());
            match blocking(move || CursorFile::lock(&directory, &sink)).await {
                Some(Ok(Some(file))) => break Arc::new(file),
                Some(Ok(None)) if !waits => {
                    waits = true;
                    tracing::info!(sink = &*self.spec.name, "another process ships to this sink");
                }
                Some(Ok(None)) | None => {}
                Some(Err(error)) => self.failed(&error.to_string()),
            }
            if let Some(cursor) = cursor::peek(&self.directory, &self.spec.name) {
                self.positions.set(&self.spec.name, &cursor.position);
            }
            if !self.end.pause(LOCK_INTERVAL).await {
                return None;
            }
        };
        loop {
            let (load, directory, from) =
                (Arc::clone(&file), self.directory.clone(), self.spec.from);
            let name = self.spec.name.clone();
            match blocking(move || load_or_begin(&load, &directory, from, &name)).await {
                Some(Ok(cursor)) => {
                    let is_dirty = self.spec.from == StartAt::Now;
                    return Some(Saved { file, cursor, is_dirty, written_at: None });
                }
                Some(Err(error)) => self.failed(&error),
                None => {}
            }
            let pause = self.backoff.next(None);
            if !self.end.pause(pause).await {
                return None;
            }
        }
    }

    /// The next lines; `None` at the end, when all was read.
    async fn read(&mut self, saved: &mut Saved) -> Option<Rest> {
        loop {
            let ending = self.end.has_begun();
            match self.read_once(&saved.cursor.position).await {
                Ok((batch, after)) if !batch.bytes.is_empty() => {
                    self.note_missing(batch.missing, saved);
                    // What is held is not lost when its segment goes.
                    self.positions.set_read(&self.spec.name, &after);
                    return Some(Rest { lines: Lines::new(batch.bytes.into()), after });
                }
                Ok(_) => {}
                Err(error) => self.failed(&error),
            }
            if ending {
                return None;
            }
            self.save_if_due(saved).await;
            self.end.pause(POLL_INTERVAL).await;
        }
    }

    async fn read_once(&mut self, from: &Position) -> Result<(Batch, Position), String> {
        let (directory, bytes_max) = (self.directory.clone(), self.spec.batch.bytes);
        let (follower, from) = (self.follower.take(), from.clone());
        let read = move || -> Result<_, ReadError> {
            let mut follower = match follower {
                Some(follower) => follower,
                None => Follower::open(&directory, from)?,
            };
            let batch = follower.next(bytes_max)?;
            Ok((follower, batch))
        };
        match blocking(read).await {
            Some(Ok((follower, batch))) => {
                let after = follower.position().clone();
                self.follower = Some(follower);
                Ok((batch, after))
            }
            // The next one goes on at the cursor.
            Some(Err(error)) => Err(error.to_string()),
            None => Err("reading the log was interrupted".to_owned()),
        }
    }

    /// Counts what was gone before it was delivered.
    /// Notes what was removed unread, unless who removed it did.
    fn note_missing(&self, missing: u64, saved: &mut Saved) {
        let sink = &*self.spec.name;
        let events = self.positions.unnoted(sink, missing);
        if 0 < events {
            tracing::error!(sink, events, "events were removed before they were delivered");
            telemetry::sink_deliveries(sink, DeliveryResult::Missed, events);
            saved.cursor.missed += events;
        }
    }

    /// Delivers all lines; false if the end came before.
    async fn ship(&mut self, mut rest: Rest, saved: &mut Saved) -> bool {
        while !rest.lines.is_empty() {
            let lines = rest.lines.head(self.events_max, self.spec.batch.bytes);
            let mut progress = Progress::default();
            let outcome = self.attempt(&lines, &mut progress).await;
            let outcome = self.settle(&lines, &mut progress, outcome);
            self.advance(&mut rest, progress, saved);
            self.save_if_due(saved).await;
            match outcome {
                Ok(()) => {
                    self.events_max = self.events_max.saturating_mul(2).min(self.spec.batch.events);
                }
                Err(_) if self.end.has_begun() => return false,
                Err(after) => {
                    let pause = self.backoff.next(after);
                    self.end.pause(pause).await;
                }
            }
        }
        true
    }

    async fn attempt(&mut self, lines: &Lines, progress: &mut Progress) -> Result<(), SinkError> {
        let timeout = self.spec.timeout;
        let result = tokio::select! {
            biased;
            result = tokio::time::timeout(timeout, self.sink.deliver(lines, progress)) => {
                result.unwrap_or_else(|_| {
                    Err(SinkError::TooSlow { reason: format!("not done within {timeout:?}") })
                })
            }
            () = self.end.over() => Err(SinkError::later("the end came first")),
        };
        if result.is_err() {
            self.sink.reset();
        }
        result
    }

    /// What an attempt means: nothing is left, or the pause that the receiver asks for.
    fn settle(
        &mut self,
        lines: &Lines,
        progress: &mut Progress,
        outcome: Result<(), SinkError>,
    ) -> Result<(), Option<Duration>> {
        let sink = &*self.spec.name;
        let left = lines.events.saturating_sub(progress.delivered + progress.rejected);
        telemetry::sink_deliveries(sink, DeliveryResult::Delivered, progress.delivered);
        let result = match outcome {
            Ok(()) => {
                self.troubles.recovered(sink);
                Ok(())
            }
            Err(SinkError::TooLarge { reason }) if left <= 1 => {
                self.reject(lines, progress, left, &reason);
                Ok(())
            }
            Err(SinkError::Never { reason }) => {
                self.reject(lines, progress, left, &reason);
                Ok(())
            }
            Err(SinkError::TooLarge { reason } | SinkError::TooSlow { reason }) => {
                self.events_max = (lines.events / 2).max(1);
                self.failed(&reason);
                Err(None)
            }
            Err(SinkError::Later { reason, after }) => {
                self.failed(&reason);
                Err(after)
            }
        };
        if result.is_err() {
            telemetry::sink_deliveries(&self.spec.name, DeliveryResult::Failed, left);
        }
        if 0 < progress.bytes {
            self.backoff.reset();
        }
        telemetry::sink_deliveries(&self.spec.name, DeliveryResult::Rejected, progress.rejected);
        telemetry::events_lost("sink_rejected", progress.rejected);
        result
    }

    fn reject(&self, lines: &Lines, progress: &mut Progress, left: u64, reason: &str) {
        let sink = &*self.spec.name;
        tracing::error!(sink, events = left, reason, "a sink refused events for good");
        progress.bytes = lines.bytes.len();
        progress.rejected += left;
    }

    /// Moves the cursor over what is done.
    fn advance(&self, rest: &mut Rest, progress: Progress, saved: &mut Saved) {
        if progress.bytes == 0 {
            return;
        }
        let done = rest.lines.bytes.slice(..progress.bytes.min(rest.lines.bytes.len()));
        rest.lines.advance(progress);
        let cursor = &mut saved.cursor;
        cursor.delivered += progress.delivered;
        cursor.rejected += progress.rejected;
        let last = done.strip_suffix(b"\n").and_then(|done| done.rsplit(|b| *b == b'\n').next());
        let last = last.unwrap_or_default();
        cursor.last = LastEvent::of(last).or(cursor.last.take());
        if rest.lines.is_empty() {
            cursor.position.clone_from(&rest.after);
        } else if let Some((instance, place)) = place_within(rest, last) {
            cursor.position.0.insert(instance, place);
        }
        saved.is_dirty = true;
        self.positions.set(&self.spec.name, &saved.cursor.position);
    }

    async fn save_if_due(&mut self, saved: &mut Saved) {
        let missed = self.positions.take_missed(&self.spec.name);
        saved.cursor.missed += missed;
        saved.is_dirty |= 0 < missed;
        let now = SystemClock.tick();
        let is_due = saved
            .written_at
            .is_none_or(|written_at| SAVE_INTERVAL <= now.saturating_duration_since(written_at));
        if saved.is_dirty && is_due {
            self.save(saved).await;
        }
    }

    async fn save(&mut self, saved: &mut Saved) {
        if !saved.is_dirty {
            return;
        }
        let (file, cursor) = (Arc::clone(&saved.file), saved.cursor.clone());
        let result = tokio::time::timeout(SAVE_TIMEOUT, blocking(move || file.save(&cursor))).await;
        saved.written_at = Some(SystemClock.tick());
        match result {
            Ok(Some(Ok(()))) => saved.is_dirty = false,
            Ok(Some(Err(error))) => {
                tracing::warn!(sink = &*self.spec.name, %error, "a cursor can't be saved");
            }
            Ok(None) | Err(_) => {
                tracing::warn!(sink = &*self.spec.name, "a cursor was not saved in time");
            }
        }
    }

    fn failed(&mut self, reason: &str) {
        self.troubles.failed(&self.spec.name, reason);
    }
}

/// Where the last line that is done ends, if all that is left is in one segment with it.
fn place_within(rest: &Rest, last: &[u8]) -> Option<(String, Place)> {
    let event: Numbered = serde_json::from_slice(last).ok()?;
    let Sequence { instance, sequence } = event.response;
    let after = rest.after.0.get(&instance)?;
    let left = u64::try_from(rest.lines.bytes.len()).ok()?;
    let offset = after.offset.checked_sub(left)?;
    Some((instance, Place { segment: after.segment, offset, sequence }))
}

/// What was saved, else where the sink begins.
fn load_or_begin(
    file: &CursorFile,
    directory: &std::path::Path,
    from: StartAt,
    sink: &str,
) -> Result<Cursor, String> {
    match file.load() {
        Ok(Some(cursor)) => return Ok(cursor),
        Ok(None) => {}
        Err(CursorError { source, path }) if is_content(&source) => {
            // Twice is better than never: ids tell what came before.
            let file = path.display().to_string();
            tracing::error!(sink, file, error = %source, "a cursor is broken: all is delivered anew");
            return Ok(Cursor::default());
        }
        Err(error) => return Err(error.to_string()),
    }
    let mut cursor = Cursor::default();
    if from == StartAt::Now {
        let mut ends = LogEnds::default();
        ends.look(directory).map_err(|error| error.to_string())?;
        cursor.position = ends.position();
    }
    Ok(cursor)
}

fn is_content(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::InvalidData | std::io::ErrorKind::UnexpectedEof)
}

/// Runs what blocks; `None` if it panicked.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    tokio::task::spawn_blocking(work).await.ok()
}

/// How long an event may wait for its sink to look.
const POLL_INTERVAL: Duration = Duration::from_millis(200);
/// How often a process looks whether the one that ships has ended.
const LOCK_INTERVAL: Duration = Duration::from_secs(1);
/// How often a cursor is saved: what a crash delivers twice is what was delivered in this time.
const SAVE_INTERVAL: Duration = Duration::from_secs(1);
/// How long a disk may take for it.
pub(super) const SAVE_TIMEOUT: Duration = Duration::from_secs(5);
