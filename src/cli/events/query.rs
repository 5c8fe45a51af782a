//! `crossgate events query`: prints what matches, or counts it.

use std::io::{self, IsTerminal, Write};
use std::ops::ControlFlow;

use clap::Args;

use crate::cli::events::count::{self, Groups};
use crate::cli::events::output::{Output, OutputArgs};
use crate::cli::events::progress::Progress;
use crate::cli::events::{EventsError, PlaceArgs, moment};
use crate::clock::SystemClock;
use crate::event::log::{FoundLine, NewestLines, OldestFirst, Order, Scan, Wanted, Window};
use crate::event::query::Query;

/// `crossgate events query`.
#[derive(Debug, Args)]
pub(super) struct QueryArgs {
    /// A query in Lucene's syntax, for example `responseData.decision:"Deny"`; empty: all events.
    #[arg(value_name = "LUCENE", allow_hyphen_values = true)]
    query: String,
    /// No older events: RFC 3339, or a duration back from now such as `30d`.
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// No younger events: RFC 3339, or a duration back from now.
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// At most so many events, the newest ones; of counts, the largest ones.
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Counts the events by the values of these fields, in place of printing them.
    #[arg(long, value_name = "FIELD[,FIELD]", value_delimiter = ',')]
    count_by: Vec<String>,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    place: PlaceArgs,
}

/// Runs `crossgate events query`.
pub(super) fn run(
    args: &QueryArgs,
    mut out: impl Write,
    mut log: impl Write,
) -> Result<(), EventsError> {
    let query = Query::parse(&args.query)?;
    let now = SystemClock.now();
    let since = args.since.as_deref().map(|text| moment(text, now)).transpose()?;
    let until = args.until.as_deref().map(|text| moment(text, now)).transpose()?;
    let window = Window { since, until };
    let log_view = args.place.view()?;
    let fields = count::fields(&args.count_by)?;
    let order = match (args.limit, fields.is_empty()) {
        (Some(_), true) => Order::NewestFirst,
        (None, _) | (Some(_), false) => Order::OldestFirst,
    };
    let scan = Scan::open(log_view.path(), &query, &fields, window, order)?;
    let progress = Progress::new(scan.bytes());
    let unreadable_lines = match (args.limit, fields.is_empty()) {
        (None, true) => print_all(scan, args, &mut out, &progress)?,
        (Some(limit), true) => print_newest(scan, args, limit, &mut out, &progress)?,
        (limit, false) => {
            let (groups, unreadable_lines) = count_groups(scan, &fields, &progress)?;
            progress.finish();
            groups.print(&fields, limit, args.output.format, &mut out)?;
            unreadable_lines
        }
    };
    progress.finish();
    if 0 < unreadable_lines {
        writeln!(log, "warning: {unreadable_lines} lines are no events and were left out")?;
    }
    Ok(())
}

/// Prints what is found as it is found, and returns how many lines are unreadable.
fn print_all(
    scan: Scan<'_>,
    args: &QueryArgs,
    out: impl Write,
    progress: &Progress,
) -> Result<u64, EventsError> {
    let mut output = Output::new(out, args.output.format)?;
    let mut lines = OldestFirst::default();
    let mut unreadable_lines = 0;
    let shared = io::stdout().is_terminal();
    scan.run(FoundLine::new, |part| {
        unreadable_lines += part.unreadable_lines;
        progress.advance(part.bytes);
        let mut due = lines.take(part).peekable();
        if due.peek().is_some() {
            let mut print = || due.try_for_each(|line| output.print(line.time, &line.line));
            if shared { progress.aside(print)? } else { print()? }
        }
        Ok::<_, EventsError>(ControlFlow::Continue(()))
    })?;
    progress.finish();
    output.out.flush()?;
    Ok(unreadable_lines)
}

/// Prints the newest of what is found, and returns how many lines of what was read are unreadable.
fn print_newest(
    scan: Scan<'_>,
    args: &QueryArgs,
    limit: usize,
    out: impl Write,
    progress: &Progress,
) -> Result<u64, EventsError> {
    let mut newest = NewestLines::new(limit);
    let mut unreadable_lines = 0;
    scan.run(FoundLine::new, |part| {
        unreadable_lines += part.unreadable_lines;
        progress.advance(part.bytes);
        Ok::<_, EventsError>(match newest.take(part) {
            Wanted::Enough => ControlFlow::Break(()),
            Wanted::More => ControlFlow::Continue(()),
        })
    })?;
    progress.finish();
    let mut output = Output::new(out, args.output.format)?;
    for line in newest.into_lines() {
        output.print(line.time, &line.line)?;
    }
    output.out.flush()?;
    Ok(unreadable_lines)
}

fn count_groups(
    scan: Scan<'_>,
    fields: &[&str],
    progress: &Progress,
) -> Result<(Groups, u64), EventsError> {
    let mut groups = Groups::default();
    let mut unreadable_lines = 0;
    scan.run(
        |_, event, _| count::group(event, fields),
        |part| {
            unreadable_lines += part.unreadable_lines;
            progress.advance(part.bytes);
            part.found.into_iter().for_each(|group| groups.add(group));
            Ok::<_, EventsError>(ControlFlow::Continue(()))
        },
    )?;
    Ok((groups, unreadable_lines))
}
