//! `crossgate events status`: what the log has, and how far each sink is. Reads files alone, so it
//! tells the same whether a proxy runs or not.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

use crate::cli::events::{EventsError, PlaceArgs};
use crate::clock::{SystemClock, UnixMillis};
use crate::event::log::{self, Follower, Form, LogEnds, Position, ReadError};
use crate::event::report::printable;
use crate::event::sink::{Cursor, CursorError, LastEvent, cursors};
use crate::event::time;

/// `crossgate events status`.
#[derive(Debug, Args)]
pub(super) struct StatusArgs {
    /// For people, or one JSON object.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    #[command(flatten)]
    place: PlaceArgs,
}

/// How the status is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// One JSON object.
    Json,
    /// For people.
    Text,
}

/// All that is told.
#[derive(Debug, Serialize)]
struct Status {
    directory: PathBuf,
    segments: Segments,
    bytes: u64,
    first: Option<String>,
    last: Option<String>,
    sinks: Vec<SinkStatus>,
}

/// Segments by what they are.
#[derive(Debug, Default, Serialize)]
struct Segments {
    live: u64,
    closed: u64,
    compressed: u64,
}

/// How far a sink is.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct SinkStatus {
    name: String,
    delivered_up_to: Option<LastEvent>,
    lag_events: u64,
    /// Since when the oldest event waits that it does not have.
    lag_seconds: Option<u64>,
    delivered: u64,
    rejected: u64,
    missed: u64,
    error: Option<String>,
}

/// Prints the status.
pub(super) fn status(args: &StatusArgs, mut out: impl Write) -> Result<(), EventsError> {
    let directory = args.place.directory()?;
    let names = args.place.config().map(configured).unwrap_or_default();
    let status = look(&directory, &names, SystemClock.now())?;
    match args.format {
        Format::Json => {
            serde_json::to_writer(&mut out, &status).map_err(io::Error::from)?;
            writeln!(out)?;
        }
        Format::Text => print(&status, &mut out)?,
    }
    Ok(())
}

fn look(directory: &Path, names: &[String], now: UnixMillis) -> Result<Status, EventsError> {
    let mut segments = Segments::default();
    let mut bytes = 0;
    for segment in log::segments(directory)? {
        *match segment.form {
            Form::Live => &mut segments.live,
            Form::Closed => &mut segments.closed,
            Form::Compressed => &mut segments.compressed,
        } += 1;
        bytes += fs::metadata(segment.path(segment.form)).map_or(0, |metadata| metadata.len());
    }
    let mut ends = LogEnds::default();
    ends.look(directory)?;
    let times = ends.iter().filter_map(|(_, end)| end.times);
    let (first, last): (Vec<_>, Vec<_>) = times.unzip();
    let unreadable = |source| ReadError { path: directory.to_owned(), source };
    let mut known: BTreeMap<String, Option<Result<Cursor, CursorError>>> =
        names.iter().map(|name| (name.clone(), None)).collect();
    let found = cursors(directory).map_err(unreadable)?;
    known.extend(found.into_iter().map(|(name, cursor)| (name, Some(cursor))));
    let sinks = known
        .into_iter()
        .map(|(name, cursor)| sink(name, cursor, directory, &ends, now))
        .collect::<Result<_, _>>()?;
    Ok(Status {
        directory: directory.to_owned(),
        segments,
        bytes,
        first: first.into_iter().min().map(time::text),
        last: last.into_iter().max().map(time::text),
        sinks,
    })
}

fn sink(
    name: String,
    cursor: Option<Result<Cursor, CursorError>>,
    directory: &Path,
    ends: &LogEnds,
    now: UnixMillis,
) -> Result<SinkStatus, ReadError> {
    let (cursor, error) = match cursor {
        None => (None, Some("never delivered anything yet".to_owned())),
        Some(Ok(cursor)) => (Some(cursor), None),
        Some(Err(error)) => (None, Some(error.to_string())),
    };
    // Without a cursor that can be read, a sink begins at the beginning.
    let Cursor { position, delivered, rejected, missed, last, .. } = cursor.unwrap_or_default();
    let lag_events = ends.lag(&position);
    let oldest = oldest(directory, position)?;
    Ok(SinkStatus {
        name,
        delivered_up_to: last,
        lag_events,
        lag_seconds: oldest.map(|oldest| now.0.saturating_sub(oldest.0) / 1000),
        delivered,
        rejected,
        missed,
        error,
    })
}

/// When the oldest event happened that a sink does not have.
fn oldest(directory: &Path, position: Position) -> Result<Option<UnixMillis>, ReadError> {
    let batch = Follower::open(directory, position)?.next(1)?;
    let line = batch.bytes.strip_suffix(b"\n").unwrap_or(&batch.bytes);
    let event: Option<LastEvent> = serde_json::from_slice(line).ok();
    Ok(event.and_then(|event| time::parse(&event.event_time)))
}

fn print(status: &Status, out: &mut impl Write) -> io::Result<()> {
    let Segments { live, closed, compressed } = status.segments;
    let segments = live + closed + compressed;
    writeln!(out, "log       {}", printable(&status.directory.display().to_string()))?;
    writeln!(
        out,
        "segments  {segments} ({live} live, {closed} closed, {compressed} compressed), {}",
        size(status.bytes)
    )?;
    writeln!(out, "first     {}", status.first.as_deref().unwrap_or("-"))?;
    writeln!(out, "last      {}", status.last.as_deref().unwrap_or("-"))?;
    if status.sinks.is_empty() {
        return Ok(());
    }
    writeln!(
        out,
        "\n{:<16}  {:<28}  {:>10}  {:>8}  {:>10}  {:>10}  {:>10}",
        "SINK", "DELIVERED UP TO", "LAG", "AGE", "DELIVERED", "REJECTED", "MISSED"
    )?;
    for sink in &status.sinks {
        let up_to = sink.delivered_up_to.as_ref().map(|last| printable(&last.event_time));
        writeln!(
            out,
            "{:<16}  {:<28}  {:>10}  {:>8}  {:>10}  {:>10}  {:>10}{}",
            printable(&sink.name),
            up_to.as_deref().unwrap_or("-"),
            sink.lag_events,
            sink.lag_seconds.map_or_else(|| "-".to_owned(), age),
            sink.delivered,
            sink.rejected,
            sink.missed,
            sink.error.as_ref().map(|error| format!("  {}", printable(error))).unwrap_or_default(),
        )?;
    }
    Ok(())
}

fn age(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7200 => format!("{}m", seconds / 60),
        7200..172_800 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

fn size(bytes: u64) -> String {
    let units = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    let unit = units.into_iter().find(|(unit, _)| *unit <= bytes);
    unit.map_or_else(
        || format!("{bytes} B"),
        |(unit, name)| format!("{}.{} {name}", bytes / unit, bytes % unit * 10 / unit),
    )
}

/// The names of the configured sinks; what else is in the configuration does not matter here.
fn configured(file: &Path) -> Vec<String> {
    #[derive(Deserialize)]
    struct Document {
        events: Option<Events>,
    }
    #[derive(Deserialize)]
    struct Events {
        sinks: Option<Vec<BTreeMap<String, Option<Named>>>>,
    }
    #[derive(Deserialize)]
    struct Named {
        name: Option<String>,
    }
    let document = fs::read_to_string(file).ok();
    let document = document.and_then(|text| serde_saphyr::from_str::<Document>(&text).ok());
    let sinks = document.and_then(|document| document.events?.sinks).unwrap_or_default();
    let names = sinks.into_iter().flatten();
    names.map(|(kind, sink)| sink.and_then(|sink| sink.name).unwrap_or(kind)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_ages_are_short() {
        for (bytes, expected) in
            [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (3 << 30, "3.0 GiB")]
        {
            assert_eq!(size(bytes), expected);
        }
        for (seconds, expected) in
            [(0, "0s"), (119, "119s"), (120, "2m"), (7200, "2h"), (172_800, "2d")]
        {
            assert_eq!(age(seconds), expected);
        }
    }

    #[test]
    fn configured_sinks_are_told_by_name_or_kind() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("crossgate.yaml");
        let text = "events:\n  sinks:\n    - stdout: {}\n    - stdout:\n    - http: { url: \"${X}\", name: siem }\n";
        fs::write(&file, text).unwrap();
        assert_eq!(configured(&file), ["stdout", "stdout", "siem"]);
        assert_eq!(configured(&place.path().join("absent")), Vec::<String>::new());
    }
}
