//! What a run that was killed left in its rings becomes lines.
//!
//! Flows in: frames files that no process holds. Flows out: the missing lines at the end of that
//! run's segments, each event once. Whoever opens the log does it; a lock on the file makes it one.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::event::frame;
use crate::event::log::files::{CLOSED, Form, LIVE, Segment, segments};
use crate::event::log::layout::{Frame, Layout};
use crate::event::log::segment;
use crate::event::log::{FIRST_SEQUENCE, FRAMES, state_directory};
use crate::event::wire::{self, Renderer};
use crate::telemetry;

/// Why events of an earlier run are not in the log yet; they are safe where they are.
#[derive(Debug, thiserror::Error)]
#[error("cannot recover events from `{}`: {source}", path.display())]
pub struct RecoveryError {
    /// The run's frames file.
    pub path: PathBuf,
    /// What the system said.
    pub source: io::Error,
}

/// Recovers every run of a directory whose process is gone; returns how many events were missing.
///
/// # Errors
/// The first run that can't be recovered; the others are.
pub fn recover(directory: &Path) -> Result<u64, RecoveryError> {
    let mut recovered = 0;
    let mut failed = None;
    for path in frames_files(directory) {
        match recover_run(directory, &path) {
            Ok(events) => recovered += events,
            Err(source) => failed = Some(RecoveryError { path, source }),
        }
    }
    match failed {
        None => Ok(recovered),
        Some(error) => Err(error),
    }
}

/// Closes live segments of runs that are gone and left nothing else.
pub(super) fn close_orphans(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let Some(prefix) = name.strip_suffix(LIVE).and_then(prefix_of) else { continue };
        // Asked after the live file was listed: a run makes its frames file first.
        if !state_directory(directory).join(format!("{prefix}{FRAMES}")).exists() {
            let mut file = OpenOptions::new().read(true).write(true).open(&path)?;
            if cut_torn_line(&mut file)? == 0 {
                fs::remove_file(&path)?;
            } else {
                close(&path)?;
            }
        }
    }
    Ok(())
}

pub(super) fn frames_files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(state_directory(directory)).into_iter().flatten().flatten();
    let paths = entries.map(|entry| entry.path());
    let mut paths: Vec<_> = paths.filter(|path| path.to_string_lossy().ends_with(FRAMES)).collect();
    paths.sort();
    paths
}

fn recover_run(directory: &Path, path: &Path) -> io::Result<u64> {
    let mut file = match OpenOptions::new().read(true).write(true).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(error),
    };
    match file.try_lock() {
        Ok(()) => {}
        // The run goes on, or somebody else recovers it.
        Err(TryLockError::WouldBlock) => return Ok(0),
        Err(TryLockError::Error(error)) => return Err(error),
    }
    // Recovered and removed between opening and locking?
    if !fs::metadata(path).is_ok_and(|found| is_same(&found, &file)) {
        return Ok(0);
    }
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    // A file that never got its head has no frames.
    let events = match Layout::decode(&bytes) {
        None => 0,
        Some(layout) => write_missing(directory, &layout, &bytes)?,
    };
    fs::remove_file(path)?;
    Ok(events)
}

fn is_same(found: &fs::Metadata, file: &File) -> bool {
    file.metadata().is_ok_and(|own| (own.dev(), own.ino()) == (found.dev(), found.ino()))
}

/// Writes the frames that have no line yet, and closes the run's last segment.
pub(super) fn write_missing(directory: &Path, layout: &Layout, file: &[u8]) -> io::Result<u64> {
    let mut frames = layout.frames(file);
    frames.sort_by_key(|frame| frame.sequence);
    let run = Run::find(directory, &layout.instance)?;
    let (written, mut numbers) = run.written(&frames);
    let missing = frames.get(written..).unwrap_or_default();
    if missing.is_empty() {
        return run.close(None).map(|()| 0);
    }
    // After a crash of the process alone, a number without a frame was never an event, unless it
    // was dropped. After one of the machine it may have been, and the gap stays.
    let is_same_boot = layout.boot == segment::boot();
    numbers.kept_through = if is_same_boot { layout.dropped_through(file) } else { u64::MAX };
    let mut renderer = Renderer::new(&layout.instance);
    let (mut lines, mut actions) = (Vec::new(), Vec::new());
    for frame in missing {
        let sequence = numbers.next(frame);
        let Ok(record) = frame::decode(frame.payload) else {
            telemetry::events_lost("unreadable", 1);
            continue;
        };
        renderer.render(&mut lines, sequence, &record);
        actions.push(wire::action_of(&record));
    }
    run.close(Some(&lines))?;
    for action in &actions {
        telemetry::events_written(action, 1);
    }
    tracing::info!(instance = layout.instance, events = actions.len(), "events were recovered");
    Ok(u64::try_from(actions.len()).unwrap_or(u64::MAX))
}

/// The numbers that recovered events get: their own, less the holes before them that never were an
/// event.
struct Numbers {
    /// The own number of the event before.
    before: u64,
    /// How many numbers were holes so far.
    closed: u64,
    /// Up to here a hole is an event that is lost, and stays.
    kept_through: u64,
}

impl Numbers {
    fn next(&mut self, frame: &Frame<'_>) -> u64 {
        let first = frame.sequence.saturating_sub(u64::from(frame.lost_before));
        let hole_start = self.before.max(self.kept_through).saturating_add(1);
        self.closed += first.saturating_sub(hole_start);
        self.before = frame.sequence;
        frame.sequence.saturating_sub(self.closed)
    }
}

/// The segments of a run that is gone.
struct Run {
    directory: PathBuf,
    instance: String,
    live: Option<PathBuf>,
    segments: u32,
    last: Option<LastLine>,
}

pub(super) struct LastLine {
    pub(super) sequence: u64,
    id: String,
    /// How many whole lines the segment has.
    pub(super) lines: u64,
}

impl Run {
    fn find(directory: &Path, instance: &str) -> io::Result<Self> {
        let name = segment::file_name_part(instance);
        let own = segments(directory).map_err(|error| error.source)?;
        let own: Vec<Segment> = own.into_iter().filter(|it| it.instance == name).collect();
        let live = own.iter().rev().find(|segment| segment.form == Form::Live);
        let live = live.map(|segment| segment.path(Form::Live));
        if let Some(path) = &live {
            cut_torn_line(&mut OpenOptions::new().read(true).write(true).open(path)?)?;
        }
        let mut last = None;
        for segment in own.iter().rev() {
            last = last_line(&segment.path(segment.form))?;
            if last.is_some() {
                break;
            }
        }
        let count = own.last().map_or(0, |segment| segment.count + 1);
        let (directory, instance) = (directory.to_owned(), instance.to_owned());
        Ok(Self { directory, instance, live, segments: count, last })
    }

    /// How many of the frames, in their order, have a line, and where their numbers are.
    fn written(&self, frames: &[Frame<'_>]) -> (usize, Numbers) {
        let numbers = |before, closed| Numbers { before, closed, kept_through: 0 };
        let Some(last) = &self.last else { return (0, numbers(FIRST_SEQUENCE - 1, 0)) };
        // By the event's id, since an earlier recovery may have changed its number.
        let is_last = |frame: &Frame<'_>| {
            frame::decode(frame.payload).is_ok_and(|record| record.id().to_string() == last.id)
        };
        let found = frames.iter().rposition(is_last);
        if let Some((index, frame)) = found.and_then(|at| Some((at, frames.get(at)?))) {
            let closed = frame.sequence.saturating_sub(last.sequence);
            return (index + 1, numbers(frame.sequence, closed));
        }
        let written = frames.partition_point(|frame| frame.sequence <= last.sequence);
        (written, numbers(last.sequence, 0))
    }

    /// Puts lines at the end and closes the last segment.
    fn close(&self, lines: Option<&[u8]>) -> io::Result<()> {
        let Some(lines) = lines else {
            return match &self.live {
                None => Ok(()),
                Some(live) if fs::metadata(live)?.len() == 0 => fs::remove_file(live),
                Some(live) => close(live),
            };
        };
        let path = self.live.clone().unwrap_or_else(|| {
            let stem = segment::stem(&self.instance, self.segments);
            self.directory.join(format!("{stem}{LIVE}"))
        });
        let mut file = OpenOptions::new().append(true).create(true).open(&path)?;
        let before = file.metadata()?.len();
        let written = file.write_all(lines).and_then(|()| file.sync_all());
        if written.is_err() {
            // All or nothing: what is cut off is still in the frames file.
            file.set_len(before)?;
        }
        written?;
        close(&path)?;
        File::open(&self.directory)?.sync_all()
    }
}

fn close(live: &Path) -> io::Result<()> {
    let name = live.to_string_lossy();
    let closed = name.strip_suffix(LIVE).map(|stem| format!("{stem}{CLOSED}"));
    fs::rename(live, closed.as_deref().unwrap_or(&name))
}

/// `crossgate-<instance>` of `crossgate-<instance>-<time>-<n>`.
fn prefix_of(stem: &str) -> Option<&str> {
    stem.rsplitn(3, '-').nth(2)
}

/// Cuts off what stands after the last newline; returns what is left.
fn cut_torn_line(file: &mut File) -> io::Result<u64> {
    let end = file.metadata()?.len();
    let (mut at, mut chunk) = (end, Vec::new());
    while 0 < at {
        let start = at.saturating_sub(CHUNK_BYTES);
        chunk.clear();
        file.seek(SeekFrom::Start(start))?;
        Read::by_ref(file).take(at - start).read_to_end(&mut chunk)?;
        if let Some(newline) = memchr::memrchr(b'\n', &chunk) {
            let whole = start + u64::try_from(newline + 1).unwrap_or(0);
            if whole < end {
                file.set_len(whole)?;
            }
            return Ok(whole);
        }
        at = start;
    }
    file.set_len(0)?;
    Ok(0)
}

/// The last event of a segment.
pub(super) fn last_line(path: &Path) -> io::Result<Option<LastLine>> {
    let file = File::open(path)?;
    let is_compressed = path.to_string_lossy().ends_with(Form::Compressed.ending());
    let reader: Box<dyn Read> =
        if is_compressed { Box::new(zstd::Decoder::new(file)?) } else { Box::new(file) };
    let mut reader = BufReader::new(reader);
    let (mut line, mut last, mut lines) = (Vec::new(), Vec::new(), 0);
    while 0 < reader.read_until(b'\n', &mut line)? {
        if line.ends_with(b"\n") {
            std::mem::swap(&mut line, &mut last);
            lines += 1;
        }
        line.clear();
    }
    let event: Option<Value> = serde_json::from_slice(&last).ok();
    Ok(event.and_then(|event| {
        let sequence = event.pointer("/responseData/sequence")?.as_u64()?;
        Some(LastLine { sequence, id: event.get("id")?.as_str()?.to_owned(), lines })
    }))
}

/// How much of a file is looked at for its last newline at a time.
const CHUNK_BYTES: u64 = 64 * 1024;

#[cfg(test)]
mod tests;
