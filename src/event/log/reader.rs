//! Reads the log's files back: all of them in the order of time, or the live ones as they grow.
//!
//! Within one instance the order is the files' own; instances are merged by time and id. A last
//! line without its newline is being written, or was when the process died: it is left out.

use std::collections::{BTreeMap, VecDeque};
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use serde_json::Value;

use crate::clock::UnixMillis;
use crate::event::log::segment::{CLOSED, LIVE};
use crate::event::time;

/// All events of a directory, oldest first.
#[derive(Debug)]
pub struct LogReader {
    chains: Vec<Chain>,
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
#[derive(Debug)]
struct Chain {
    files: VecDeque<PathBuf>,
    open: Option<(PathBuf, BufReader<File>)>,
    head: Option<ReadEvent>,
}

/// What a line of a file is.
enum Line {
    End,
    Event(Box<ReadEvent>),
    Unreadable,
}

impl LogReader {
    /// A reader of a directory's files. With `since`, files that were last written before it are
    /// not opened; events of other files are all returned.
    ///
    /// # Errors
    /// The directory can't be listed.
    pub fn open(directory: &Path, since: Option<UnixMillis>) -> Result<Self, ReadError> {
        let mut chains: BTreeMap<String, Vec<(String, PathBuf)>> = BTreeMap::new();
        for path in segment_files(directory)? {
            if since.is_some_and(|since| written_before(&path, since)) {
                continue;
            }
            let (instance, order) = place(&path);
            chains.entry(instance).or_default().push((order, path));
        }
        let chains = chains.into_values().map(|mut files| {
            files.sort();
            let files = files.into_iter().map(|(_, path)| path).collect();
            Chain { files, open: None, head: None }
        });
        Ok(Self { chains: chains.collect(), unreadable_lines: 0 })
    }

    /// How many whole lines were no events, so far.
    pub fn unreadable_lines(&self) -> u64 {
        self.unreadable_lines
    }

    fn advance(&mut self) -> Result<Option<ReadEvent>, ReadError> {
        for chain in &mut self.chains {
            chain.fill(&mut self.unreadable_lines)?;
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
    fn fill(&mut self, unreadable_lines: &mut u64) -> Result<(), ReadError> {
        while self.head.is_none() {
            if self.open.is_none() {
                let Some(path) = self.files.pop_front() else { return Ok(()) };
                self.open = open_segment(&path)?.map(|file| (path, BufReader::new(file)));
            }
            let Some((path, file)) = &mut self.open else { continue };
            let line =
                read_line(file).map_err(|source| ReadError { path: path.clone(), source })?;
            match line {
                Line::End => self.open = None,
                Line::Event(event) => self.head = Some(*event),
                Line::Unreadable => *unreadable_lines += 1,
            }
        }
        Ok(())
    }
}

/// Follows a directory: what is written after its making.
#[derive(Debug)]
pub struct Tail {
    directory: PathBuf,
    /// How far each segment was read; by the name that it keeps when it's closed.
    offsets: BTreeMap<String, u64>,
}

impl Tail {
    /// Begins at the end of what is there.
    ///
    /// # Errors
    /// The directory can't be listed.
    pub fn open(directory: &Path) -> Result<Self, ReadError> {
        let mut offsets = BTreeMap::new();
        for path in segment_files(directory)? {
            let bytes = fs::metadata(&path).map_or(0, |metadata| metadata.len());
            offsets.insert(stem(&path), bytes);
        }
        Ok(Self { directory: directory.to_owned(), offsets })
    }

    /// What was written since the last call.
    ///
    /// # Errors
    /// The directory or a file can't be read.
    pub fn poll(&mut self) -> Result<Vec<ReadEvent>, ReadError> {
        let mut events = Vec::new();
        let files = segment_files(&self.directory)?;
        let mut offsets = BTreeMap::new();
        for path in files {
            let stem = stem(&path);
            let from = self.offsets.get(&stem).copied().unwrap_or(0);
            let to = read_from(&path, from, &mut events)
                .map_err(|source| ReadError { path: path.clone(), source })?;
            offsets.insert(stem, to);
        }
        self.offsets = offsets;
        events.sort_by_key(|event| event.time);
        Ok(events)
    }
}

/// Reads the whole lines after an offset; returns where the next ones begin.
fn read_from(path: &Path, from: u64, events: &mut Vec<ReadEvent>) -> io::Result<u64> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        // Closed meanwhile: the next call finds it under its other name.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(from),
        Err(error) => return Err(error),
    };
    if file.metadata()?.len() <= from {
        return Ok(from);
    }
    file.seek(SeekFrom::Start(from))?;
    let mut file = BufReader::new(file);
    let mut offset = from;
    loop {
        match read_line(&mut file)? {
            Line::End => return Ok(offset),
            Line::Event(event) => events.push(*event),
            Line::Unreadable => {}
        }
        offset = file.stream_position()?;
    }
}

fn read_line(file: &mut BufReader<File>) -> io::Result<Line> {
    let mut bytes = Vec::new();
    file.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut bytes)?;
    match bytes.pop() {
        None => return Ok(Line::End),
        Some(b'\n') => {}
        // Too long to be an event, or torn.
        Some(_) => {
            let too_long = u64::try_from(bytes.len()).is_ok_and(|len| LINE_BYTES_MAX <= len + 1);
            return Ok(if too_long { Line::Unreadable } else { Line::End });
        }
    }
    let Ok(line) = String::from_utf8(bytes) else { return Ok(Line::Unreadable) };
    let Ok(event) = serde_json::from_str::<Value>(&line) else { return Ok(Line::Unreadable) };
    let time = event.get("eventTime").and_then(Value::as_str).and_then(time::parse);
    Ok(time.map_or(Line::Unreadable, |time| Line::Event(Box::new(ReadEvent { time, line, event }))))
}

/// Opens a segment, which may have been closed since it was listed.
fn open_segment(path: &Path) -> Result<Option<File>, ReadError> {
    let closed = path.to_string_lossy().strip_suffix(LIVE).map(|stem| format!("{stem}{CLOSED}"));
    match File::open(path) {
        Ok(file) => return Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(source) => return Err(ReadError { path: path.to_owned(), source }),
    }
    Ok(closed.and_then(|closed| File::open(closed).ok()))
}

fn segment_files(directory: &Path) -> Result<Vec<PathBuf>, ReadError> {
    let unreadable = |source| ReadError { path: directory.to_owned(), source };
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.to_string_lossy().ends_with(CLOSED) && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// The instance and the place among its segments, by the file's name.
fn place(path: &Path) -> (String, String) {
    let stem = stem(path);
    let mut parts = stem.rsplitn(3, '-');
    match (parts.next(), parts.next(), parts.next()) {
        // The count comes first: it rises even when the clock steps back.
        (Some(count), Some(stamp), Some(instance)) => {
            (instance.to_owned(), format!("{count:>12}-{stamp}"))
        }
        _ => (stem, String::new()),
    }
}

fn stem(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.strip_suffix(LIVE).or_else(|| name.strip_suffix(CLOSED)).unwrap_or(&name).to_owned()
}

fn written_before(path: &Path, since: UnixMillis) -> bool {
    let modified = fs::metadata(path).and_then(|metadata| metadata.modified());
    let since = UNIX_EPOCH + Duration::from_millis(since.0);
    modified.is_ok_and(|modified| modified + MODIFIED_SLACK < since)
}

/// The longest line that is read: the longest update with every character escaped is 320 KiB.
const LINE_BYTES_MAX: u64 = 1024 * 1024;
/// Clocks of file systems are coarse.
const MODIFIED_SLACK: Duration = Duration::from_mins(1);
