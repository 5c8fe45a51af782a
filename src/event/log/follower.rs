//! Follows the log for a sink: batches of whole lines, from a position that outlives the process.
//!
//! A position names, for each instance, a segment by its count and how far its lines were read,
//! which is the same in every form of the segment. So a segment can be closed, compressed or
//! deleted between two calls; what was deleted unread is counted by the sequence.

mod source;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::clock::UnixMillis;
use crate::event::log::files::{self, Segment};
use crate::event::log::line;
use crate::event::log::reader::ReadError;

use source::{Lines, Source};

/// How far each instance was read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position(pub BTreeMap<String, Place>);

/// How far an instance was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The segment's count.
    pub segment: u32,
    /// How many of its bytes, uncompressed.
    pub offset: u64,
    /// The number of the last event.
    pub sequence: u64,
}

/// Reads a directory as it grows.
#[derive(Debug)]
pub struct Follower {
    directory: PathBuf,
    position: Position,
    open: Option<Open>,
    /// How much was read of one instance in a row.
    streak_bytes: usize,
    /// Segments of which no more can come: compressed, and read to their end.
    finished: BTreeMap<String, u32>,
}

/// The next lines of one instance.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// Whole lines; empty when all is read.
    pub bytes: Vec<u8>,
    /// How many.
    pub events: u64,
    /// How many numbers are missing before the lines because their segments are gone, or because a
    /// compressed block can't be read.
    pub missing: u64,
}

/// The segment that was read last.
#[derive(Debug)]
struct Open {
    instance: String,
    segment: u32,
    source: Source,
}

/// Whether what is before a segment was read, or is gone.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Before {
    Gone,
    Read,
}

impl Follower {
    /// A reader that goes on at a position. One that is empty begins with the oldest events that
    /// are there, and then nothing is missing before them.
    ///
    /// # Errors
    /// The directory can't be listed, or a file not be read.
    pub fn open(directory: &Path, position: Position) -> Result<Self, ReadError> {
        let begins = position.0.is_empty();
        let mut follower = Self {
            directory: directory.to_owned(),
            position,
            open: None,
            streak_bytes: 0,
            finished: BTreeMap::new(),
        };
        if begins {
            follower.position = follower.beginning()?;
        }
        Ok(follower)
    }

    /// A reader of what is written from now on.
    ///
    /// # Errors
    /// The directory can't be listed, or a file not be read.
    pub fn open_at_end(directory: &Path) -> Result<Self, ReadError> {
        let mut follower = Self::open(directory, Position::default())?;
        for segments in by_instance(files::segments(directory)?).values() {
            let Some(last) = segments.last() else { continue };
            let Some(open) = last.open()? else { continue };
            let path = open.path.clone();
            let offset = Source::new(open)
                .and_then(|source| source.end())
                .map_err(|source| ReadError { path, source })?;
            let place = Place { segment: last.count, offset, sequence: 0 };
            follower.position.0.insert(last.instance.clone(), place);
        }
        Ok(follower)
    }

    /// The next lines, at most `bytes_max` unless one line is longer; none when all is read. Whole
    /// lines of one instance, in their order.
    ///
    /// # Errors
    /// The directory can't be listed, or a file not be read; the position is where it was.
    pub fn next(&mut self, bytes_max: usize) -> Result<Batch, ReadError> {
        if self.streak_bytes < STREAK_BYTES_MAX
            && let Some(batch) = self.read_on(bytes_max)?
        {
            return Ok(batch);
        }
        // What is listed now was complete before, but for each instance's last segment.
        let listing = by_instance(files::segments(&self.directory)?);
        self.forget(&listing);
        let mut instances: Vec<(&String, &Vec<Segment>)> = listing.iter().collect();
        let last = self.open.as_ref().map(|open| open.instance.clone());
        // The oldest first, and who just had a turn after all others.
        instances.sort_by_key(|(instance, segments)| {
            (last.as_ref() == Some(*instance), self.next_stamp(instance, segments))
        });
        self.streak_bytes = 0;
        for (instance, segments) in instances {
            if let Some(batch) = self.read_instance(instance, segments, bytes_max)? {
                return Ok(batch);
            }
        }
        Ok(Batch::default())
    }

    /// How far everything was read by the calls of `next` so far.
    pub fn position(&self) -> &Position {
        &self.position
    }

    /// Goes back, or on, to another position.
    pub fn seek(&mut self, position: Position) {
        self.position = position;
        self.open = None;
        self.finished.clear();
    }

    /// Goes on in the segment that was read last, if more of it is there.
    fn read_on(&mut self, bytes_max: usize) -> Result<Option<Batch>, ReadError> {
        let Some(open) = &mut self.open else { return Ok(None) };
        let Some(place) = self.position.0.get(&open.instance).copied() else { return Ok(None) };
        // Without a name the file is compressed by now, or gone: the listing tells.
        if place.segment != open.segment || open.source.is_unlinked() {
            return Ok(None);
        }
        let lines = open.source.read(place.offset, bytes_max)?;
        let instance = open.instance.clone();
        Ok(self.take(&instance, place, lines, Before::Read))
    }

    fn read_instance(
        &mut self,
        instance: &str,
        segments: &[Segment],
        bytes_max: usize,
    ) -> Result<Option<Batch>, ReadError> {
        // Of an instance that is new, all before its first segment was deleted unread.
        let mut place = self.position.0.get(instance).copied().unwrap_or_default();
        let (mut before, mut expected) = (Before::Read, place.segment);
        let unread = segments.partition_point(|segment| segment.count < place.segment);
        for segment in segments.iter().skip(unread) {
            if segment.count != expected {
                before = Before::Gone;
            }
            expected = segment.count.saturating_add(1);
            if self.finished.get(instance) == Some(&segment.count) {
                continue;
            }
            let offset = if segment.count == place.segment { place.offset } else { 0 };
            let here = Place { segment: segment.count, offset, ..place };
            let Some(lines) = self.read_segment(segment, here, bytes_max)? else {
                // Deleted since it was listed.
                before = Before::Gone;
                continue;
            };
            if let Some(batch) = self.take(instance, here, lines, before) {
                return Ok(Some(batch));
            }
            match before {
                // What is missing is counted with the first line behind the gap.
                Before::Gone => {}
                Before::Read => {
                    place = here;
                    self.position.0.insert(instance.to_owned(), here);
                }
            }
        }
        Ok(None)
    }

    /// The lines of a segment from a place on; `None` if it is gone.
    fn read_segment(
        &mut self,
        segment: &Segment,
        place: Place,
        bytes_max: usize,
    ) -> Result<Option<Lines>, ReadError> {
        let is_open = self.open.as_ref().is_some_and(|open| {
            open.instance == segment.instance
                && open.segment == segment.count
                && !open.source.is_unlinked()
        });
        if !is_open {
            let Some(open) = segment.open()? else { return Ok(None) };
            let path = open.path.clone();
            let source = Source::new(open).map_err(|source| ReadError { path, source })?;
            let (instance, segment) = (segment.instance.clone(), segment.count);
            self.open = Some(Open { instance, segment, source });
        }
        let Some(open) = &mut self.open else { return Ok(None) };
        let lines = open.source.read(place.offset, bytes_max)?;
        if lines.bytes.is_empty() && open.source.is_complete() {
            self.finished.insert(segment.instance.clone(), segment.count);
        }
        Ok(Some(lines))
    }

    /// Makes a batch of lines and moves the position behind them; `None` if there are none.
    fn take(
        &mut self,
        instance: &str,
        place: Place,
        lines: Lines,
        before: Before,
    ) -> Option<Batch> {
        if lines.bytes.is_empty() && lines.unreadable == 0 {
            return None;
        }
        let first = line::sequence_of(line::first_line(&lines.bytes));
        let gone = match (before, first) {
            (Before::Gone, Some(first)) => first.saturating_sub(place.sequence.saturating_add(1)),
            (Before::Gone, None) => 0,
            (Before::Read, _) => lines.unreadable,
        };
        let sequence = line::sequence_of(line::last_line(&lines.bytes));
        let sequence = sequence.unwrap_or(place.sequence.saturating_add(lines.unreadable));
        let next = Place { segment: place.segment, offset: lines.end, sequence };
        self.position.0.insert(instance.to_owned(), next);
        self.streak_bytes += lines.bytes.len();
        let events = line::count(&lines.bytes);
        Some(Batch { bytes: lines.bytes, events, missing: gone })
    }

    /// When the next segment to read of an instance began.
    fn next_stamp(&self, instance: &str, segments: &[Segment]) -> Option<UnixMillis> {
        let at = self.position.0.get(instance).map_or(0, |place| place.segment);
        segments.iter().find(|segment| at <= segment.count)?.stamp
    }

    /// The position before everything that is there.
    fn beginning(&mut self) -> Result<Position, ReadError> {
        let mut position = Position::default();
        for (instance, segments) in by_instance(files::segments(&self.directory)?) {
            for segment in &segments {
                let start = Place { segment: segment.count, offset: 0, sequence: 0 };
                // One line is enough, and more than one is not returned.
                let Some(lines) = self.read_segment(segment, start, 1)? else { continue };
                let first = line::sequence_of(line::first_line(&lines.bytes)).unwrap_or(1);
                let place = Place { sequence: first.saturating_sub(1), ..start };
                position.0.insert(instance, place);
                break;
            }
        }
        self.open = None;
        self.finished.clear();
        Ok(position)
    }

    /// Drops the places of some instances without any file, so that they don't add up for ever.
    fn forget(&mut self, listing: &BTreeMap<String, Vec<Segment>>) {
        let gone = self.position.0.keys().filter(|instance| !listing.contains_key(*instance));
        let gone: BTreeSet<String> = gone.cloned().collect();
        for instance in gone.iter().take(gone.len().saturating_sub(GONE_INSTANCES_MAX)) {
            self.position.0.remove(instance);
        }
        self.finished.retain(|instance, _| listing.contains_key(instance));
    }
}

fn by_instance(segments: Vec<Segment>) -> BTreeMap<String, Vec<Segment>> {
    let mut instances: BTreeMap<String, Vec<Segment>> = BTreeMap::new();
    for segment in segments {
        instances.entry(segment.instance.clone()).or_default().push(segment);
    }
    instances
}

/// After so much of one instance the others are looked at, so that none waits for a busy one.
const STREAK_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Instances whose files are all deleted: one of them may go on, all others never do.
const GONE_INSTANCES_MAX: usize = 100;

#[cfg(test)]
mod tests;
