//! What commands that judge by the event log share: where log and settings are, from when to when.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use serde::Deserialize;
use serde_json::Value;

use crate::cli::events::progress::Progress;
use crate::cli::events::{EventsError, log_view, moment};
use crate::clock::{SystemClock, UnixMillis};
use crate::config::ConfigError;
use crate::event::log::{self, EventLogError, LogView, Order, ReadError, Scan};
use crate::event::query::Query;
use crate::event::report::{Window, counted};
use crate::perimeter::SettingsIndex;
use crate::policy::directory::DirectoryError;
use crate::settings::{self, PromoteError};

/// Where the event log is, and the configuration.
#[derive(Clone, Debug, Args)]
pub(super) struct PlaceArgs {
    /// The configuration that names the log's directory and the settings file
    /// [default: ./crossgate.yaml, without `--dir`].
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// The log's directory itself.
    #[arg(long, value_name = "DIR")]
    pub(super) dir: Option<PathBuf>,
}

/// Why a command could not judge.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(super) enum EvidenceError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Events(#[from] EventsError),
    #[error("the settings are changed, but the update event is not in the log: {0}")]
    Log(#[from] EventLogError),
    #[error("`{}` names no settings file; hint: `settings: {{ file: settings.yaml }}`", config.display())]
    NoSettings { config: PathBuf },
    #[error("`{}` has no recorded request of that time", directory.display())]
    NothingRecorded { directory: PathBuf },
    #[error("cannot write: {0}")]
    Output(#[from] io::Error),
    #[error(transparent)]
    Policies(#[from] DirectoryError),
    #[error(transparent)]
    Promote(#[from] PromoteError),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("{}:{why}", file.display())]
    Settings { file: PathBuf, why: String },
}

impl PlaceArgs {
    /// The log with all its events.
    pub(super) fn view(&self) -> Result<LogView, EvidenceError> {
        Ok(log_view(self.config.as_deref(), self.dir.as_deref())?)
    }

    /// The settings file, if a configuration names one.
    pub(super) fn settings_file(&self) -> Result<Option<PathBuf>, EvidenceError> {
        let file = match (&self.config, &self.dir) {
            (Some(config), _) => config.as_path(),
            (None, None) => Path::new(CONFIG_FILE),
            (None, Some(_)) => return Ok(None),
        };
        let unreadable = |reason: String| EventsError::Config { path: file.to_owned(), reason };
        let text = std::fs::read_to_string(file).map_err(|error| unreadable(error.to_string()))?;
        let document: ConfigDocument =
            serde_saphyr::from_str(&text).map_err(|error| unreadable(error.to_string()))?;
        let named = document.settings.and_then(|settings| settings.file);
        Ok(named.map(|named| file.parent().unwrap_or(Path::new("")).join(named)))
    }
}

/// What of the configuration is needed to find the settings.
#[derive(Deserialize)]
struct ConfigDocument {
    settings: Option<SettingsDocument>,
}

#[derive(Deserialize)]
struct SettingsDocument {
    file: Option<PathBuf>,
}

/// The settings of a file.
pub(super) fn read_settings(file: &Path) -> Result<SettingsIndex, EvidenceError> {
    let wrong = |why: String| EvidenceError::Settings { file: file.to_owned(), why };
    let text = std::fs::read_to_string(file).map_err(|error| wrong(format!(" {error}")))?;
    settings::parse(&text).map_err(|error| wrong(error.to_string()))
}

/// The time from one moment to another, or to now.
pub(super) fn window(since: Option<&str>, until: Option<&str>) -> Result<Window, EvidenceError> {
    let now = SystemClock.now();
    let since = since.map(|text| moment(text, now)).transpose()?;
    let until = until.map(|text| moment(text, now)).transpose()?;
    Ok(Window { since, until: until.unwrap_or(now) })
}

/// From when on the log is read: some time before the window, to know which runs go into it.
fn read_from(window: &Window) -> Option<UnixMillis> {
    window.since.map(|since| UnixMillis(since.0.saturating_sub(LOOK_BACK_MS)))
}

/// Reads the log from some time before a window: on all cores, what `make` takes of these fields of
/// each event; then, the oldest event first, `take`.
pub(super) fn each_event<T: Send>(
    directory: &Path,
    window: &Window,
    fields: &[&str],
    make: impl Fn(UnixMillis, &Value) -> T + Sync,
    mut take: impl FnMut(UnixMillis, T),
) -> Result<(), EvidenceError> {
    let all = Query::parse("").map_err(EventsError::from)?;
    let read = log::Window { since: read_from(window), until: Some(window.until) };
    let scan = Scan::open(directory, &all, fields, read, Order::OldestFirst)?;
    let progress = Progress::new(scan.bytes());
    let mut waiting = BinaryHeap::new();
    let (mut unreadable_lines, mut number) = (0, 0_u64);
    scan.run(
        |time, event, _line| (time, make(time, event)),
        |part| {
            unreadable_lines += part.unreadable_lines;
            progress.advance(part.bytes);
            for (time, made) in part.found {
                number += 1;
                waiting.push(Reverse(Waiting { time, number, made }));
            }
            let is_due = |next: &Waiting<T>| part.horizon.is_none_or(|until| next.time < until);
            while waiting.peek().is_some_and(|Reverse(next)| is_due(next)) {
                let Some(Reverse(next)) = waiting.pop() else { break };
                take(next.time, next.made);
            }
            Ok::<_, EvidenceError>(ControlFlow::Continue(()))
        },
    )?;
    progress.finish();
    if 0 < unreadable_lines {
        let lines = counted(unreadable_lines, "line is no event", "lines are no events");
        let _ = writeln!(io::stderr(), "warning: {lines} and left out");
    }
    Ok(())
}

/// What was made of an event, until no older one can come.
struct Waiting<T> {
    time: UnixMillis,
    /// Events of one time stay in the order in which they stand.
    number: u64,
    made: T,
}

impl<T> Waiting<T> {
    fn key(&self) -> (UnixMillis, u64) {
        (self.time, self.number)
    }
}

impl<T> PartialEq for Waiting<T> {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl<T> Eq for Waiting<T> {}

impl<T> PartialOrd for Waiting<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Waiting<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }
}

/// Says why a command ended; a reader that went away is no failure.
pub(super) fn fail(error: &EvidenceError) -> ExitCode {
    if let EvidenceError::Output(error) = error
        && error.kind() == io::ErrorKind::BrokenPipe
    {
        return ExitCode::SUCCESS;
    }
    let _ = writeln!(io::stderr(), "error: {error}");
    ExitCode::from(2)
}

/// The configuration where none is named.
pub(super) const CONFIG_FILE: &str = "crossgate.yaml";
/// A segment lasts an hour once it has an event, so that a run with an event a day shows.
const LOOK_BACK_MS: u64 = 24 * 60 * 60 * 1000;
