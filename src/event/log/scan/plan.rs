//! Which blocks a search reads, in which order: by the time from which on each one can have events.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::clock::UnixMillis;
use crate::event::log::archive::{BLOCK_BYTES, BLOCK_BYTES_MAX, Block, Index};
use crate::event::log::files::{self, Form, Segment, Window, read_full_at};
use crate::event::log::line;
use crate::event::log::reader::ReadError;
use crate::event::log::scan::{Order, ScanFile};

/// What a thread gets to read.
#[derive(Debug)]
pub(super) enum Job {
    /// A block of a compressed segment.
    Block { file: Arc<ScanFile>, block: Block },
    /// The lines of a plain segment that begin between two offsets.
    Chunk { file: Arc<ScanFile>, from: u64, to: u64 },
    /// Lines that are read already.
    Lines { path: PathBuf, lines: Vec<u8> },
}

/// What is still to be read.
#[derive(Debug)]
pub(super) struct Plan {
    window: Window,
    order: Order,
    /// By time; what has the same stays in the order of its file.
    entries: BTreeMap<(UnixMillis, u64), Entry>,
    serial: u64,
    bytes: u64,
}

#[derive(Debug)]
enum Entry {
    Job(Job),
    /// A segment that is not open yet, and between which times its events are.
    Segment(Segment, (UnixMillis, UnixMillis)),
    Stream(Stream),
}

/// A compressed file without an index.
struct Stream {
    path: PathBuf,
    lines: Box<dyn BufRead + Send>,
    /// The beginning of a line whose end is not read yet.
    torn: Vec<u8>,
}

impl Plan {
    pub(super) fn open(directory: &Path, window: Window, order: Order) -> Result<Self, ReadError> {
        let mut plan = Self { window, order, entries: BTreeMap::new(), serial: 0, bytes: 0 };
        for segment in files::segments(directory)? {
            if segment.ended_before(&window) {
                continue;
            }
            let Some(open) = segment.open()? else { continue };
            let range = open.time_range(segment.stamp);
            let range = range.unwrap_or((UnixMillis(0), UnixMillis(u64::MAX)));
            if window.meets(range) {
                plan.bytes += open.plain_bytes(&window);
                let key = plan.key(range);
                plan.add(key, Entry::Segment(segment, range));
            }
        }
        Ok(plan)
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// From when on, or up to when, there can be events in what is left.
    pub(super) fn horizon(&self) -> Option<UnixMillis> {
        let next = match self.order {
            Order::NewestFirst => self.entries.last_key_value(),
            Order::OldestFirst => self.entries.first_key_value(),
        };
        next.map(|((key, _), _)| *key)
    }

    /// The next block and the horizon at it.
    pub(super) fn next(&mut self) -> Result<Option<(UnixMillis, Job)>, ReadError> {
        loop {
            let next = match self.order {
                Order::NewestFirst => self.entries.pop_last(),
                Order::OldestFirst => self.entries.pop_first(),
            };
            let Some(((key, serial), entry)) = next else { return Ok(None) };
            match entry {
                Entry::Job(job) => return Ok(Some((key, job))),
                Entry::Segment(segment, range) => self.expand(&segment, key, range)?,
                Entry::Stream(mut stream) => {
                    if let Some(job) = stream.next()? {
                        self.entries.insert((key, serial), Entry::Stream(stream));
                        return Ok(Some((key, job)));
                    }
                }
            }
        }
    }

    /// Puts a segment's blocks in its place.
    fn expand(
        &mut self,
        segment: &Segment,
        key: UnixMillis,
        range: (UnixMillis, UnixMillis),
    ) -> Result<(), ReadError> {
        let Some(open) = segment.open()? else { return Ok(()) };
        let (path, form) = (open.path.clone(), open.form);
        let failed = |source| ReadError { path: path.clone(), source };
        let index = match form {
            Form::Live | Form::Closed => {
                let file = Arc::new(ScanFile { path: path.clone(), file: open.file });
                return self.expand_plain(&file, key).map_err(failed);
            }
            Form::Compressed => Index::read(&open.file).map_err(failed)?,
        };
        let Some(index) = index else {
            let lines = open.lines(&self.window).map_err(failed)?;
            let stream = Stream { path: path.clone(), lines, torn: Vec::new() };
            self.add(key, Entry::Stream(stream));
            return Ok(());
        };
        let file = Arc::new(ScanFile { path: path.clone(), file: open.file });
        for block in index.blocks {
            let times = block.time_range();
            if times.is_none_or(|times| self.window.meets(times)) {
                let own = self.not_beyond(self.key(times.unwrap_or(range)), key);
                self.add(own, Entry::Job(Job::Block { file: Arc::clone(&file), block }));
            }
        }
        Ok(())
    }

    fn expand_plain(&mut self, file: &Arc<ScanFile>, key: UnixMillis) -> io::Result<()> {
        let length = file.file.metadata()?.len();
        let (mut from, mut own) = (0, key);
        while from < length {
            let to = length.min(from + CHUNK_BYTES);
            // From the newest back, a chunk's end would have to be known; a segment is small.
            if self.order == Order::OldestFirst
                && let Some(UnixMillis(first)) = first_time(&file.file, from)?
            {
                own = UnixMillis(first.saturating_sub(DISORDER_MILLIS)).max(own);
            }
            self.add(own, Entry::Job(Job::Chunk { file: Arc::clone(file), from, to }));
            from = to;
        }
        Ok(())
    }

    fn add(&mut self, key: UnixMillis, entry: Entry) {
        self.entries.insert((key, self.serial), entry);
        self.serial += 1;
    }

    fn key(&self, (first, last): (UnixMillis, UnixMillis)) -> UnixMillis {
        match self.order {
            Order::NewestFirst => last,
            Order::OldestFirst => first,
        }
    }

    /// What was handed out before tells where the horizon is, and it never goes back.
    fn not_beyond(&self, key: UnixMillis, horizon: UnixMillis) -> UnixMillis {
        match self.order {
            Order::NewestFirst => key.min(horizon),
            Order::OldestFirst => key.max(horizon),
        }
    }
}

impl Job {
    pub(super) fn path(&self) -> &Path {
        match self {
            Self::Block { file, .. } | Self::Chunk { file, .. } => &file.path,
            Self::Lines { path, .. } => path,
        }
    }
}

impl Stream {
    fn next(&mut self) -> Result<Option<Job>, ReadError> {
        let mut lines = std::mem::take(&mut self.torn);
        let mut wanted = CHUNK_BYTES;
        loop {
            let before = lines.len();
            let read = self.lines.as_mut().take(wanted).read_to_end(&mut lines);
            read.map_err(|source| ReadError { path: self.path.clone(), source })?;
            if let Some(newline) = memchr::memrchr(b'\n', &lines) {
                self.torn = lines.split_off(newline + 1);
                return Ok(Some(Job::Lines { path: self.path.clone(), lines }));
            }
            if lines.len() == before {
                return Ok(None);
            }
            if BLOCK_BYTES_MAX <= lines.len() {
                // No event is that long: what is there of it makes one unreadable line.
                lines.clear();
            }
            wanted = CHUNK_BYTES;
        }
    }
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stream").field("path", &self.path).finish_non_exhaustive()
    }
}

/// The whole lines of a plain file that begin between two offsets.
pub(super) fn read_chunk<'b>(
    file: &File,
    from: u64,
    to: u64,
    lines: &'b mut Vec<u8>,
) -> io::Result<&'b [u8]> {
    // The byte before tells whether a line begins here.
    let at = from.saturating_sub(1);
    lines.resize(usize::try_from(to - at).unwrap_or(BLOCK_BYTES_MAX), 0);
    let read = read_full_at(file, lines, at)?;
    let whole = read == lines.len();
    lines.truncate(read);
    if whole {
        read_line_end(file, to, lines)?;
    }
    let end = memchr::memrchr(b'\n', lines).map_or(0, |newline| newline + 1);
    let start = match from {
        0 => 0,
        _ => memchr::memchr(b'\n', lines).map_or(end, |newline| newline + 1),
    };
    Ok(lines.get(start..end).unwrap_or_default())
}

/// Adds what is behind an offset up to the end of the line there.
fn read_line_end(file: &File, mut offset: u64, lines: &mut Vec<u8>) -> io::Result<()> {
    let mut tail = vec![0; TAIL_BYTES];
    let bytes_max = lines.len() + BLOCK_BYTES_MAX;
    while !lines.ends_with(b"\n") && lines.len() < bytes_max {
        let read = read_full_at(file, &mut tail, offset)?;
        let tail = tail.get(..read).unwrap_or_default();
        let end = memchr::memchr(b'\n', tail).map_or(read, |newline| newline + 1);
        lines.extend_from_slice(tail.get(..end).unwrap_or_default());
        if read == 0 {
            break;
        }
        offset += u64::try_from(end).unwrap_or(u64::MAX);
    }
    Ok(())
}

/// The time of the first line that begins at an offset of a file, or soon after it.
fn first_time(file: &File, from: u64) -> io::Result<Option<UnixMillis>> {
    let mut head = vec![0; HEAD_BYTES];
    let read = read_full_at(file, &mut head, from.saturating_sub(1))?;
    let head = head.get(..read).unwrap_or_default();
    let start = match from {
        0 => Some(0),
        _ => memchr::memchr(b'\n', head).map(|newline| newline + 1),
    };
    let rest = start.and_then(|start| head.get(start..)).unwrap_or_default();
    Ok(line::time_of(line::first_line(rest)))
}

/// What of a plain file is read at once: it fits into a core's cache.
const CHUNK_BYTES: u64 = 1024 * 1024;
const _: () = assert!(BLOCK_BYTES <= BLOCK_BYTES_MAX);
/// Where the first line of a chunk begins, and its time.
const HEAD_BYTES: usize = 8 * 1024;
/// What is read at once of a line that goes on behind its chunk.
const TAIL_BYTES: usize = 16 * 1024;
/// Workers note the time before they take a number, and one of them may be held up in between.
const DISORDER_MILLIS: u64 = 10_000;
