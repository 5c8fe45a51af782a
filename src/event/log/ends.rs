//! Where the log ends, by instance: what the lag of sinks is measured against.
//!
//! Flows in: the directory. Flows out: the first and the last number of each instance. Reads the
//! ends of files alone, and those of each compressed segment once.

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::clock::UnixMillis;
use crate::event::log::archive::Index;
use crate::event::log::files::{self, Form, OpenSegment, Segment};
use crate::event::log::follower::{Place, Position};
use crate::event::log::line;
use crate::event::log::reader::ReadError;

/// What of one instance is in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogEnd {
    /// The number of its first event that is still there.
    pub first: u64,
    /// Behind its last event.
    pub place: Place,
    /// When its first and its last event happened, as far as the files tell.
    pub times: Option<(UnixMillis, UnixMillis)>,
}

/// The ends of all instances.
#[derive(Debug, Default)]
pub struct LogEnds {
    ends: BTreeMap<String, LogEnd>,
    /// Where segments begin and end that never change again.
    known: BTreeMap<String, Range>,
}

/// What of a segment is looked at.
#[derive(Clone, Copy, Debug)]
struct Range {
    first: u64,
    last: u64,
    times: Option<(UnixMillis, UnixMillis)>,
    /// Its bytes of whole lines; none where no more can come.
    bytes: Option<u64>,
}

impl LogEnds {
    /// Looks again.
    ///
    /// # Errors
    /// The directory can't be listed, or a file not be read.
    pub fn look(&mut self, directory: &Path) -> Result<(), ReadError> {
        let segments = files::segments(directory)?;
        let stems: HashSet<&str> = segments.iter().map(|segment| segment.stem.as_str()).collect();
        self.known.retain(|stem, _| stems.contains(stem.as_str()));
        let mut ends: BTreeMap<String, LogEnd> = BTreeMap::new();
        let mut rest = segments.iter().peekable();
        while let Some(segment) = rest.next() {
            let is_first = !ends.contains_key(&segment.instance);
            let is_last = rest.peek().is_none_or(|next| next.instance != segment.instance);
            if !is_first && !is_last {
                continue;
            }
            let Some(range) = self.range(segment)? else { continue };
            let end = ends.entry(segment.instance.clone()).or_insert(LogEnd {
                first: range.first,
                place: Place::default(),
                times: range.times,
            });
            end.times = end.times.zip(range.times).map(|((first, _), (_, last))| (first, last));
            end.place = Place {
                segment: segment.count.saturating_add(u32::from(range.bytes.is_none())),
                offset: range.bytes.unwrap_or(0),
                sequence: range.last,
            };
        }
        self.ends = ends;
        Ok(())
    }

    /// The position behind all that is there.
    pub fn position(&self) -> Position {
        Position(self.ends.iter().map(|(instance, end)| (instance.clone(), end.place)).collect())
    }

    /// The ends, by instance.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &LogEnd)> {
        self.ends.iter().map(|(instance, end)| (instance.as_str(), end))
    }

    /// How many events lie behind a position, by their numbers.
    pub fn lag(&self, position: &Position) -> u64 {
        let lag = self.ends.iter().map(|(instance, end)| {
            let read = position.0.get(instance).map_or(0, |place| place.sequence);
            end.place.sequence.saturating_sub(read.max(end.first.saturating_sub(1)))
        });
        lag.sum()
    }

    fn range(&mut self, segment: &Segment) -> Result<Option<Range>, ReadError> {
        if let Some(range) = self.known.get(&segment.stem) {
            return Ok(Some(*range));
        }
        let Some(open) = segment.open()? else { return Ok(None) };
        let range =
            read_range(&open).map_err(|source| ReadError { path: open.path.clone(), source })?;
        if let Some(range) = range.filter(|range| range.bytes.is_none()) {
            self.known.insert(segment.stem.clone(), range);
        }
        Ok(range)
    }
}

/// The numbers of a segment's first and last event; none while it has no whole line.
fn read_range(open: &OpenSegment) -> io::Result<Option<Range>> {
    if open.form == Form::Compressed {
        let Some(index) = Index::read(&open.file)? else { return Ok(None) };
        let first = index.blocks.first().and_then(|block| block.sequence);
        let last = index.blocks.last().and_then(|block| Some((block.sequence?, block.events)));
        let range = first.zip(last).map(|(first, (last, events))| {
            let last = last.saturating_add(events.saturating_sub(1));
            Range { first, last, times: index.time_range(), bytes: None }
        });
        return Ok(range);
    }
    let length = open.file.metadata()?.len();
    let head = read_at(&open.file, 0)?;
    let from = length.saturating_sub(END_BYTES);
    let tail = read_at(&open.file, from)?;
    let Some(newline) = memchr::memrchr(b'\n', &tail) else { return Ok(None) };
    let whole = tail.get(..=newline).unwrap_or_default();
    let (first, last) = (line::first_line(&head), line::last_line(whole));
    let times = line::time_of(first).zip(line::time_of(last));
    let (first, last) = (line::sequence_of(first), line::sequence_of(last));
    let bytes = from.saturating_add(u64::try_from(whole.len()).unwrap_or_default());
    Ok(first.zip(last).map(|(first, last)| Range { first, last, times, bytes: Some(bytes) }))
}

fn read_at(file: &File, from: u64) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(END_BYTES).unwrap_or_default()];
    let mut filled = 0;
    while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, from + u64::try_from(filled).unwrap_or_default())? {
            0 => break,
            read => filled += read,
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

/// Of a file's beginning and end: more than the longest line.
const END_BYTES: u64 = 512 * 1024;

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::event::log::compress;

    fn write(directory: &Path, name: &str, numbers: std::ops::RangeInclusive<u64>) {
        let lines = numbers.map(|number| {
            format!(
                "{{\"eventTime\":\"2025-10-10T14:03:{:02}.00+0000\",\
                 \"responseData\":{{\"sequence\":{number}}}}}\n",
                number % 60
            )
        });
        fs::write(directory.join(name), lines.collect::<String>()).unwrap();
    }

    fn lag(ends: &LogEnds, instance: &str, sequence: u64) -> u64 {
        let place = Place { sequence, ..Place::default() };
        ends.lag(&Position(BTreeMap::from([(instance.to_owned(), place)])))
    }

    #[test]
    fn an_end_is_the_same_in_every_form() {
        let place = tempfile::tempdir().unwrap();
        let stem = |count: u32| format!("crossgate-a-20251010T140327Z-{count:06}");
        write(place.path(), &format!("{}.ndjson", stem(3)), 11..=20);
        write(place.path(), &format!("{}.ndjson", stem(4)), 21..=25);
        let mut ends = LogEnds::default();
        ends.look(place.path()).unwrap();
        let [("a", end)] = ends.iter().collect::<Vec<_>>()[..] else { panic!("one instance") };
        assert_eq!((end.first, end.place.sequence, end.place.segment), (11, 25, 4));
        assert_eq!(lag(&ends, "a", 22), 3);
        assert_eq!(lag(&ends, "a", 25), 0);
        // What was there before is not behind anybody.
        assert_eq!(lag(&ends, "b", 99), 15);

        for count in [3, 4] {
            let plain = place.path().join(format!("{}.ndjson", stem(count)));
            compress(&plain, &place.path().join(format!("{}.ndjson.zst", stem(count)))).unwrap();
            fs::remove_file(plain).unwrap();
        }
        for mut ends in [ends, LogEnds::default()] {
            ends.look(place.path()).unwrap();
            let position = ends.position();
            assert_eq!(position.0["a"], Place { segment: 5, offset: 0, sequence: 25 });
            assert_eq!((lag(&ends, "b", 0), ends.lag(&position)), (15, 0));
            let [("a", end)] = ends.iter().collect::<Vec<_>>()[..] else { panic!("one instance") };
            let (first, last) = end.times.unwrap();
            assert_eq!(last.0 - first.0, 14_000);
        }
    }

    #[test]
    fn a_torn_line_and_an_empty_file_are_no_end() {
        let place = tempfile::tempdir().unwrap();
        let live = place.path().join("crossgate-a-20251010T140327Z-000000.live.ndjson");
        fs::write(&live, "{\"torn").unwrap();
        let mut ends = LogEnds::default();
        ends.look(place.path()).unwrap();
        assert_eq!(ends.iter().count(), 0);
        write(place.path(), "crossgate-a-20251010T140327Z-000000.live.ndjson", 1..=2);
        let whole = fs::metadata(&live).unwrap().len();
        let text = fs::read_to_string(&live).unwrap() + "{\"torn";
        fs::write(&live, text).unwrap();
        ends.look(place.path()).unwrap();
        assert_eq!(ends.position().0["a"], Place { segment: 0, offset: whole, sequence: 2 });
    }
}
