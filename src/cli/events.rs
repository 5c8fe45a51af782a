//! `crossgate events`: searches the event log and follows it.

mod count;
mod output;
pub(super) mod progress;
mod query;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use clap::{Args, Subcommand};
use serde::Deserialize;

use crate::cli::events_status::{StatusArgs, status};
use crate::clock::UnixMillis;
use crate::event::log::{LogView, ReadError, Tail, recover};
use crate::event::query::{Query, QueryError};
use crate::event::{EventsConfig, time};

use output::{Output, OutputArgs};
use query::QueryArgs;

/// Searches the event log and follows it.
#[derive(Debug, Args)]
pub struct EventsArgs {
    #[command(subcommand)]
    command: EventsCommand,
}

/// What to do with the event log.
#[derive(Debug, Subcommand)]
enum EventsCommand {
    /// Prints the events that match a query, oldest first.
    Query(QueryArgs),
    /// Tells what the log has, and how far its sinks are.
    Status(StatusArgs),
    /// Prints the events that match a query as they are written.
    Tail(TailArgs),
}

/// `crossgate events tail`.
#[derive(Debug, Args)]
struct TailArgs {
    /// A query in Lucene's syntax.
    #[arg(value_name = "LUCENE", default_value = "", allow_hyphen_values = true)]
    query: String,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    place: PlaceArgs,
}

/// Where the event log is.
#[derive(Debug, Args)]
pub(super) struct PlaceArgs {
    /// The configuration that names the log's directory [default: ./crossgate.yaml].
    #[arg(long, value_name = "FILE", conflicts_with = "dir")]
    config: Option<PathBuf>,
    /// The log's directory itself.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// Why a command on the event log could not run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(super) enum EventsError {
    #[error("cannot read the configuration `{}`: {reason}\nhint: name the log's directory with `--dir`", path.display())]
    Config { path: PathBuf, reason: String },
    #[error("`--count-by` takes one to eight fields, such as `responseData.decision,initiator.id`")]
    Fields,
    #[error("`{text}` is neither a time by RFC 3339 nor a duration such as `30d`, `12h`, `15m`")]
    Moment { text: String },
    #[error("cannot write: {0}")]
    Output(#[from] io::Error),
    #[error("invalid query: {0}")]
    Query(#[from] QueryError),
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// Runs `crossgate events`.
pub fn run(args: EventsArgs) -> ExitCode {
    let result = match args.command {
        EventsCommand::Query(args) => query::run(&args, io::stdout(), io::stderr()),
        EventsCommand::Status(args) => status(&args, io::stdout()),
        EventsCommand::Tail(args) => tail(&args, io::stdout()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

/// Says why a command ended; a reader that went away is no failure.
pub(super) fn fail(error: &EventsError) -> ExitCode {
    if let EventsError::Output(error) = error
        && error.kind() == io::ErrorKind::BrokenPipe
    {
        return ExitCode::SUCCESS;
    }
    let _ = writeln!(io::stderr(), "error: {error}");
    ExitCode::from(2)
}

/// The log's directory: as named, or as the configuration has it.
pub(super) fn events_directory(
    config: Option<&Path>,
    dir: Option<&Path>,
) -> Result<PathBuf, EventsError> {
    if let Some(dir) = dir {
        return Ok(dir.to_owned());
    }
    let path = config.unwrap_or(Path::new(CONFIG_FILE));
    let unreadable = |reason: String| EventsError::Config { path: path.to_owned(), reason };
    let text = std::fs::read_to_string(path).map_err(|error| unreadable(error.to_string()))?;
    let document: ConfigDocument =
        serde_saphyr::from_str(&text).map_err(|error| unreadable(error.to_string()))?;
    let directory = document.events.and_then(|events| events.directory);
    let directory = directory.unwrap_or_else(|| EventsConfig::default().directory);
    Ok(path.parent().unwrap_or(Path::new("")).join(directory))
}

/// What of the configuration is needed to find the log.
#[derive(Deserialize)]
struct ConfigDocument {
    events: Option<EventsDocument>,
}

#[derive(Deserialize)]
struct EventsDocument {
    directory: Option<PathBuf>,
}

impl PlaceArgs {
    /// The configuration that names the log, if it is not named itself.
    pub(super) fn config(&self) -> Option<&Path> {
        let config = self.config.as_deref().unwrap_or(Path::new(CONFIG_FILE));
        self.dir.is_none().then_some(config)
    }

    /// The log with all its events.
    pub(super) fn view(&self) -> Result<LogView, EventsError> {
        log_view(self.config.as_deref(), self.dir.as_deref())
    }

    /// The log's directory, with what a run that was killed left in it.
    pub(super) fn directory(&self) -> Result<PathBuf, EventsError> {
        let directory = events_directory(self.config.as_deref(), self.dir.as_deref())?;
        if let Err(error) = recover(&directory) {
            let _ = writeln!(io::stderr(), "warning: {error}");
        }
        Ok(directory)
    }
}

/// The log with all its events, those of a killed run too; on standard error what is unusual.
pub(super) fn log_view(config: Option<&Path>, dir: Option<&Path>) -> Result<LogView, EventsError> {
    let directory = events_directory(config, dir)?;
    let view = LogView::open(&directory);
    let view = view.map_err(|source| ReadError { path: directory, source })?;
    if 0 < view.waiting {
        let waiting = view.waiting;
        let _ = writeln!(
            io::stderr(),
            "warning: {waiting} events are not in the log's files, which take nothing; they are \
             taken from where they wait"
        );
    }
    Ok(view)
}

/// A moment: RFC 3339, or a duration back from now.
pub(super) fn moment(text: &str, now: UnixMillis) -> Result<UnixMillis, EventsError> {
    if let Some(millis) = duration_millis(text) {
        return Ok(UnixMillis(now.0.saturating_sub(millis)));
    }
    time::parse(text).ok_or_else(|| EventsError::Moment { text: text.to_owned() })
}

fn duration_millis(text: &str) -> Option<u64> {
    let (number, unit) = text.split_at_checked(text.find(|c: char| !c.is_ascii_digit())?)?;
    let millis: u64 = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60 * 1000,
        "h" => 60 * 60 * 1000,
        "d" => 24 * 60 * 60 * 1000,
        "w" => 7 * 24 * 60 * 60 * 1000,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(millis)
}

fn tail(args: &TailArgs, out: impl Write) -> Result<(), EventsError> {
    let query = Query::parse(&args.query)?;
    let mut tail = Tail::open(&args.place.directory()?)?;
    let mut output = Output::new(out, args.output.format)?;
    output.out.flush()?;
    loop {
        let events = tail.poll()?;
        for event in &events {
            if query.matches(&event.event) {
                output.print(event.time, event.line.as_bytes())?;
            }
        }
        output.out.flush()?;
        // Where there is much, the next part waits already.
        if events.is_empty() {
            thread::sleep(TAIL_INTERVAL);
        }
    }
}

/// The configuration where none is named.
const CONFIG_FILE: &str = "crossgate.yaml";
/// How often a followed log is looked at.
const TAIL_INTERVAL: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn moments_are_durations_back_from_now_or_times() {
        let now = UnixMillis(1_760_104_997_410);
        for (text, expected) in [
            ("30d", Some(1_760_104_997_410 - 30 * 86_400_000)),
            ("1h", Some(1_760_104_997_410 - 3_600_000)),
            ("500ms", Some(1_760_104_996_910)),
            ("2025-10-10T14:03:17.41Z", Some(1_760_104_997_410)),
            ("99999999d", Some(0)),
            ("", None),
            ("30", None),
            ("d", None),
            ("-3d", None),
            ("3 d", None),
            ("yesterday", None),
            ("99999999999999999999d", None),
        ] {
            assert_eq!(moment(text, now).ok(), expected.map(UnixMillis), "{text:?}");
        }
    }

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        args: EventsArgs,
    }

    /// Runs `events query` on a log of three events; standard output and error.
    #[track_caller]
    fn queried(arguments: &[&str]) -> (Result<(), EventsError>, String, String) {
        let place = tempfile::tempdir().unwrap();
        let events = [(1, "Deny"), (2, "Permit"), (3, "Deny")].map(|(hour, decision)| {
            format!(
                "{{\"action\":\"a\",\"eventTime\":\"2025-10-10T0{hour}:00:00.00+0000\",\"id\":\"{hour}\",\
                 \"initiator\":{{\"id\":\"red\\u001b[31m\"}},\
                 \"responseData\":{{\"decision\":\"{decision}\",\"isEnforced\":false}}}}\n"
            )
        });
        let text = format!("{}garbage\n{{\"torn", events.concat());
        std::fs::write(place.path().join("x.ndjson"), text).unwrap();
        let dir = place.path().to_string_lossy().into_owned();
        let line = ["events", "query", "--dir", &dir].into_iter().chain(arguments.iter().copied());
        let line = <Line as clap::Parser>::try_parse_from(line).unwrap();
        let EventsCommand::Query(args) = line.args.command else { panic!("no query") };
        let (mut out, mut log) = (Vec::new(), Vec::new());
        let result = query::run(&args, &mut out, &mut log);
        (result, String::from_utf8(out).unwrap(), String::from_utf8(log).unwrap())
    }

    #[track_caller]
    fn check_ids(arguments: &[&str], expected: &[&str]) {
        let (result, out, _) = queried(&[arguments, &["--format", "json"]].concat());
        result.unwrap();
        let events = out.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let ids: Vec<_> = events.map(|e| e["id"].as_str().unwrap().to_owned()).collect();
        assert_eq!(ids, expected, "{arguments:?}");
    }

    #[test]
    fn queries_select_by_term_time_and_number() {
        check_ids(&[""], &["1", "2", "3"]);
        check_ids(&["responseData.decision:Deny"], &["1", "3"]);
        check_ids(&["-responseData.decision:Deny"], &["2"]);
        check_ids(&["nothing"], &[]);
        check_ids(&["*", "--since", "2025-10-10T02:00:00Z"], &["2", "3"]);
        check_ids(&["*", "--until", "2025-10-10T02:00:00Z"], &["1", "2"]);
        check_ids(&["*", "--since", "1h"], &[]);
        check_ids(&["*", "--limit", "2"], &["2", "3"]);
        check_ids(&["*", "--limit", "0"], &[]);
        check_ids(&["responseData.decision:Deny", "--limit", "1"], &["3"]);
    }

    #[test]
    fn the_table_has_a_row_an_event_and_no_control_characters() {
        let (result, out, log) = queried(&["responseData.decision:Deny"]);
        result.unwrap();
        let rows: Vec<_> = out.lines().collect();
        assert_eq!(rows.len(), 3, "{out}");
        assert!(rows[0].starts_with("TIME"));
        assert!(rows[1].starts_with("2025-10-10 01:00:00  Deny      false     red\u{fffd}[31m"));
        assert!(!out.contains('\u{1b}'));
        assert_eq!(log, "warning: 1 lines are no events and were left out\n");
    }

    #[test]
    fn what_is_asked_wrongly_is_told() {
        assert!(matches!(queried(&["a AND"]).0, Err(EventsError::Query(_))));
        assert!(matches!(queried(&["a", "--since", "soon"]).0, Err(EventsError::Moment { .. })));
        assert!(matches!(
            queried(&["a", "--until", "2025-13-40"]).0,
            Err(EventsError::Moment { .. })
        ));
    }

    #[test]
    fn the_directory_comes_from_the_configuration_and_is_relative_to_it() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("crossgate.yaml");
        std::fs::write(&file, "workers: 2\nevents:\n  directory: log\n  sync: 1s\n").unwrap();
        assert_eq!(events_directory(Some(&file), None).unwrap(), place.path().join("log"));
        std::fs::write(&file, "workers: 2\n").unwrap();
        assert_eq!(events_directory(Some(&file), None).unwrap(), place.path().join("events"));
        assert_eq!(events_directory(Some(&file), Some(Path::new("/x"))).unwrap(), Path::new("/x"));
        assert!(events_directory(Some(&place.path().join("absent")), None).is_err());
    }
}
