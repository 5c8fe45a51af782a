//! Searches a directory on all cores: blocks of segments go to threads, what they find comes back
//! in the order of time.
//!
//! Flows in: a query and a window. Flows out: parts, each with what was found in one block. Memory
//! is bounded: so many blocks are on their way at once, and no more are handed out before the
//! caller took a part.

mod merge;
mod plan;

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::num::NonZero;
use std::ops::{ControlFlow, Range};
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread;

use serde_json::Value;

use crate::clock::UnixMillis;
use crate::event::log::archive::Unpacker;
use crate::event::log::files::Window;
use crate::event::log::line;
use crate::event::log::reader::ReadError;
use crate::event::query::{Prefilter, Projection, Query};
use crate::event::time;

pub use merge::{FoundLine, NewestLines, OldestFirst, Wanted};

use plan::{Job, Plan};

/// A search that is ready to begin.
#[derive(Debug)]
pub struct Scan<'q> {
    plan: Plan,
    filter: Filter<'q>,
    threads: usize,
}

/// In which order the log is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// From the newest events back, for those who need but some.
    NewestFirst,
    /// From the oldest events on.
    OldestFirst,
}

/// What was found in one block.
#[derive(Debug)]
pub struct Part<T> {
    /// What the caller made of each event that matches, in the order of the file.
    pub found: Vec<T>,
    /// How much was read.
    pub bytes: u64,
    /// How many lines are no events.
    pub unreadable_lines: u64,
    /// No event that is still to come is older, or younger where the newest come first; none: no
    /// more parts come.
    pub horizon: Option<UnixMillis>,
}

/// What is looked for.
#[derive(Debug)]
struct Filter<'q> {
    query: &'q Query,
    prefilter: Prefilter,
    projection: Projection,
    window: Window,
}

impl<'q> Scan<'q> {
    /// Looks at the names, indexes and times of a directory's segments. Besides what the query asks
    /// for, events have these fields when they are found.
    ///
    /// # Errors
    /// The directory can't be listed.
    pub fn open(
        directory: &Path,
        query: &'q Query,
        fields: &[&str],
        window: Window,
        order: Order,
    ) -> Result<Self, ReadError> {
        let fields: Vec<&str> = fields.iter().copied().chain([TIME, ID]).collect();
        // Every event has a time, which is a value.
        let projection = if query.is_everything() {
            Projection::of(fields.into_iter())
        } else {
            query.projection(&fields)
        };
        let prefilter = query.prefilter();
        let filter = Filter { query, prefilter, projection, window };
        let plan = Plan::open(directory, window, order)?;
        let threads = thread::available_parallelism().map_or(1, NonZero::get);
        Ok(Self { plan, filter, threads })
    }

    /// Takes so many threads in place of one for each core that this process may use.
    #[must_use]
    pub fn on_threads(mut self, threads: NonZero<usize>) -> Self {
        self.threads = threads.get();
        self
    }

    /// How much there is to read, uncompressed.
    pub fn bytes(&self) -> u64 {
        self.plan.bytes()
    }

    /// Searches. `make` gets each event that matches, with what was asked of it, and its line; it
    /// runs on all cores. `take` gets the parts, in the order of the plan, and can end the search.
    ///
    /// # Errors
    /// A file can't be read, or `take` says so.
    pub fn run<T: Send, E: From<ReadError>>(
        self,
        make: impl Fn(UnixMillis, &Value, &[u8]) -> T + Sync,
        take: impl FnMut(Part<T>) -> Result<ControlFlow<()>, E>,
    ) -> Result<(), E> {
        let Self { plan, filter, threads } = self;
        let on_their_way = threads * PARTS_EACH;
        let (jobs, taken_jobs) = sync_channel(on_their_way);
        let (results, taken_results) = sync_channel(on_their_way);
        let taken_jobs = Mutex::new(taken_jobs);
        thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| work(&filter, &make, &taken_jobs, &results));
            }
            // The workers end when they get no more jobs.
            let desk = Desk { plan, jobs, results: taken_results, on_their_way };
            desk.run(take)
        })
    }
}

/// Hands out jobs and puts their results into order.
struct Desk<T> {
    plan: Plan,
    jobs: SyncSender<(u64, Job)>,
    results: Receiver<(u64, Result<Part<T>, ReadError>)>,
    on_their_way: usize,
}

impl<T> Desk<T> {
    fn run<E: From<ReadError>>(
        mut self,
        mut take: impl FnMut(Part<T>) -> Result<ControlFlow<()>, E>,
    ) -> Result<(), E> {
        let (mut handed_out, mut next) = (0, 0);
        let mut horizons: VecDeque<UnixMillis> = VecDeque::new();
        let mut early = BTreeMap::new();
        loop {
            while horizons.len() < self.on_their_way
                && let Some((horizon, job)) = self.plan.next()?
            {
                if self.jobs.send((handed_out, job)).is_err() {
                    break;
                }
                horizons.push_back(horizon);
                handed_out += 1;
            }
            if horizons.pop_front().is_none() {
                return Ok(());
            }
            let mut part = loop {
                if let Some(part) = early.remove(&next) {
                    break part;
                }
                let Ok((number, part)) = self.results.recv() else { return Ok(()) };
                early.insert(number, part);
            }?;
            next += 1;
            part.horizon = horizons.front().copied().or_else(|| self.plan.horizon());
            if take(part)?.is_break() {
                return Ok(());
            }
        }
    }
}

/// What a thread does.
fn work<T>(
    filter: &Filter<'_>,
    make: &(impl Fn(UnixMillis, &Value, &[u8]) -> T + Sync),
    jobs: &Mutex<Receiver<(u64, Job)>>,
    results: &SyncSender<(u64, Result<Part<T>, ReadError>)>,
) {
    let mut reader = Reader::default();
    loop {
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok((number, job)) = job else { return };
        let path = job.path().to_owned();
        // A part that never comes would be waited for.
        let part = panic::catch_unwind(AssertUnwindSafe(|| {
            reader.read(job).map(|(lines, bytes)| filter.search(lines, bytes, make))
        }));
        let part = part.unwrap_or_else(|_| Err(io::Error::other("the search broke down")));
        let part = part.map_err(|source| ReadError { path, source });
        if results.send((number, part)).is_err() {
            return;
        }
    }
}

/// Reads blocks, with memory that it keeps from one to the next.
#[derive(Default)]
struct Reader {
    unpacker: Unpacker,
    lines: Vec<u8>,
}

impl Reader {
    /// The lines of a block, and how much was read for them.
    fn read(&mut self, job: Job) -> io::Result<(&[u8], u64)> {
        match job {
            Job::Block { file, block } => {
                self.unpacker.read(&file.file, &block, &mut self.lines)?;
                Ok((&self.lines, block.plain))
            }
            Job::Chunk { file, from, to } => {
                let lines = plan::read_chunk(&file.file, from, to, &mut self.lines)?;
                Ok((lines, to - from))
            }
            Job::Lines { lines, .. } => {
                self.lines = lines;
                let bytes = u64::try_from(self.lines.len()).unwrap_or(u64::MAX);
                Ok((&self.lines, bytes))
            }
        }
    }
}

impl Filter<'_> {
    fn search<T>(
        &self,
        lines: &[u8],
        bytes: u64,
        make: &impl Fn(UnixMillis, &Value, &[u8]) -> T,
    ) -> Part<T> {
        let mut part = Part {
            found: Vec::new(),
            bytes,
            unreadable_lines: count_no_objects(lines),
            horizon: None,
        };
        let mut candidates = Vec::new();
        self.prefilter.candidates(lines, &mut candidates);
        for line in candidates.into_iter().filter_map(|line: Range<usize>| lines.get(line)) {
            if line::usual_time(line).is_some_and(|time| !self.window.holds(time)) {
                continue;
            }
            let event = self.projection.parse(line);
            let Some((time, event)) = event.and_then(|event| Some((time_of(&event)?, event)))
            else {
                // The others are counted already.
                part.unreadable_lines += u64::from(is_object(line));
                continue;
            };
            if self.window.holds(time) && self.query.matches(&event) {
                part.found.push(make(time, &event, line));
            }
        }
        part
    }
}

fn time_of(event: &Value) -> Option<UnixMillis> {
    let text = event.get(TIME)?.as_str()?;
    time::parse_event_time(text.as_bytes()).or_else(|| time::parse(text))
}

/// How many lines are no objects; the others are looked at when they are parsed.
fn count_no_objects(lines: &[u8]) -> u64 {
    let (mut start, mut count) = (0, 0);
    for newline in memchr::memchr_iter(b'\n', lines) {
        if !lines.get(start..newline).is_some_and(is_object) {
            count += 1;
        }
        start = newline + 1;
    }
    count
}

fn is_object(line: &[u8]) -> bool {
    let is_object = |line: &[u8]| line.first() == Some(&b'{') && line.last() == Some(&b'}');
    is_object(line) || is_object(line.trim_ascii())
}

/// Where a job's lines are.
#[derive(Debug)]
struct ScanFile {
    path: PathBuf,
    file: std::fs::File,
}

/// An event's time and id, which order what is found.
const TIME: &str = "eventTime";
const ID: &str = "id";
/// For each thread: one that it works on, one that waits for it, two that wait for the first.
const PARTS_EACH: usize = 4;

#[cfg(test)]
mod tests;
