//! Reads the log's segments back: all of them in the order of time, whatever form each has.
//!
//! Within one instance the order is the files' own; instances are merged by time and id. A last
//! line without its newline is being written, or was when the process died: it is left out.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::io::{self, BufRead, Read};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::clock::UnixMillis;
use crate::event::log::files::{self, Segment, Window};
use crate::event::time;

/// All events of a directory, oldest first.
#[derive(Debug)]
pub struct LogReader {
    chains: Vec<Chain>,
    window: Window,
    unreadable_lines: u64,
}

/// One event as it stands in the log.
#[derive(Clone, Debug)]
pub struct ReadEvent {
    /// When it happened.
    pub time: UnixMillis,
    /// The line without its newline.
    pub line: String,
    /// The line, parsed.
    pub event: Value,
}

/// Why the log can't be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read events in `{}`: {source}", path.display())]
pub struct ReadError {
    /// The directory or file.
    pub path: PathBuf,
    /// What the system said.
    pub source: io::Error,
}

/// The segments of one instance, in order.
#[derive(Debug, Default)]
struct Chain {
    segments: VecDeque<Segment>,
    open: Option<Lines>,
    head: Option<ReadEvent>,
}

/// The lines of an open segment.
struct Lines {
    path: PathBuf,
    lines: Box<dyn BufRead + Send>,
}

/// What a line of a file is.
enum Line {
    End,
    Event(Box<ReadEvent>),
    Unreadable,
}

impl LogReader {
    /// A reader of a directory's files. With `since`, what can only be older is not read; not every
    /// event that is returned is younger.
    ///
    /// # Errors
    /// The directory can't be listed.
    pub fn open(directory: &Path, since: Option<UnixMillis>) -> Result<Self, ReadError> {
        Self::open_within(directory, Window { since, until: None })
    }

    /// A reader of a directory's files, where what can only be outside of a window is not read; not
    /// every event that is returned is inside.
    ///
    /// # Errors
    /// The directory can't be listed.
    pub fn open_within(directory: &Path, window: Window) -> Result<Self, ReadError> {
        let mut chains: BTreeMap<String, Chain> = BTreeMap::new();
        for segment in files::segments(directory)? {
            if segment.meets(&window) {
                let chain = chains.entry(segment.instance.clone()).or_default();
                chain.segments.push_back(segment);
            }
        }
        Ok(Self { chains: chains.into_values().collect(), window, unreadable_lines: 0 })
    }

    /// How many whole lines were no events, so far.
    pub fn unreadable_lines(&self) -> u64 {
        self.unreadable_lines
    }

    fn advance(&mut self) -> Result<Option<ReadEvent>, ReadError> {
        for chain in &mut self.chains {
            chain.fill(&self.window, &mut self.unreadable_lines)?;
        }
        let oldest = self
            .chains
            .iter_mut()
            .filter(|chain| chain.head.is_some())
            .min_by(|a, b| a.key().cmp(&b.key()));
        Ok(oldest.and_then(|chain| chain.head.take()))
    }
}

impl Iterator for LogReader {
    type Item = Result<ReadEvent, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.advance().transpose()
    }
}

impl Chain {
    fn key(&self) -> Option<(UnixMillis, &str)> {
        let head = self.head.as_ref()?;
        Some((head.time, head.event.get("id").and_then(Value::as_str).unwrap_or_default()))
    }

    /// Sees to it that `head` is the next event, if there is one.
    fn fill(&mut self, window: &Window, unreadable_lines: &mut u64) -> Result<(), ReadError> {
        while self.head.is_none() {
            if self.open.is_none() {
                let Some(segment) = self.segments.pop_front() else { return Ok(()) };
                self.open = Lines::open(&segment, window)?;
            }
            let Some(open) = &mut self.open else { continue };
            match open.next()? {
                Line::End => self.open = None,
                Line::Event(event) => self.head = Some(*event),
                Line::Unreadable => *unreadable_lines += 1,
            }
        }
        Ok(())
    }
}

impl Lines {
    /// Opens a segment; `None` if it is gone.
    fn open(segment: &Segment, window: &Window) -> Result<Option<Self>, ReadError> {
        let Some(open) = segment.open()? else { return Ok(None) };
        let path = open.path.clone();
        match open.lines(window) {
            Ok(lines) => Ok(Some(Self { path, lines })),
            Err(source) => Err(ReadError { path, source }),
        }
    }

    fn next(&mut self) -> Result<Line, ReadError> {
        read_line(&mut self.lines).map_err(|source| ReadError { path: self.path.clone(), source })
    }
}

impl fmt::Debug for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lines").field("path", &self.path).finish_non_exhaustive()
    }
}

impl ReadEvent {
    /// Parses a line, without its newline; `None` if it is no event.
    pub fn parse(line: &[u8]) -> Option<Self> {
        let line = str::from_utf8(line).ok()?;
        let event: Value = serde_json::from_str(line).ok()?;
        let time = event.get("eventTime").and_then(Value::as_str).and_then(time::parse)?;
        Some(Self { time, line: line.to_owned(), event })
    }
}

fn read_line(lines: &mut dyn BufRead) -> io::Result<Line> {
    let mut bytes = Vec::new();
    lines.take(LINE_BYTES_MAX).read_until(b'\n', &mut bytes)?;
    match bytes.pop() {
        None => return Ok(Line::End),
        Some(b'\n') => {}
        // Too long to be an event, or torn.
        Some(_) => {
            let too_long = u64::try_from(bytes.len()).is_ok_and(|len| LINE_BYTES_MAX <= len + 1);
            return Ok(if too_long { Line::Unreadable } else { Line::End });
        }
    }
    Ok(ReadEvent::parse(&bytes).map_or(Line::Unreadable, |event| Line::Event(Box::new(event))))
}

/// The longest line that is read: the longest update with every character escaped is 320 KiB.
pub(super) const LINE_BYTES_MAX: u64 = 1024 * 1024;
