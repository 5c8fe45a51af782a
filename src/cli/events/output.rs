//! Prints events: as they stand in the log, or as a table.

use std::io::{self, Write};

use clap::{Args, ValueEnum};
use serde_json::Value;

use crate::clock::UnixMillis;
use crate::event::report::printable;
use crate::event::time;

/// How events are printed.
#[derive(Debug, Args)]
pub(super) struct OutputArgs {
    /// A table for people, or one JSON object a line: events as they stand in the log.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub(super) format: Format,
}

/// How events are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// One JSON object a line; an event as it stands in the log.
    Json,
    /// A table for people.
    Table,
}

/// Standard output in one of the formats.
pub(super) struct Output<W: Write> {
    pub(super) out: io::BufWriter<W>,
    format: Format,
}

impl<W: Write> Output<W> {
    pub(super) fn new(out: W, format: Format) -> io::Result<Self> {
        let mut output = Self { out: io::BufWriter::new(out), format };
        if format == Format::Table {
            output.row(&HEADINGS.map(Into::into))?;
        }
        Ok(output)
    }

    /// Prints an event by its line, without the newline.
    pub(super) fn print(&mut self, time: UnixMillis, line: &[u8]) -> io::Result<()> {
        match self.format {
            Format::Json => {
                self.out.write_all(line)?;
                self.out.write_all(b"\n")
            }
            Format::Table => {
                let event: Value = serde_json::from_slice(line).unwrap_or_default();
                let text = |pointer| cell(event.pointer(pointer));
                let mut cells = COLUMNS.map(text);
                let [moment, .., action, _] = &mut cells;
                *moment = time::text(time);
                // What is no evaluation asks for no action; its own says what it is.
                if action == "-" {
                    *action = text("/action");
                }
                self.row(&cells)
            }
        }
    }

    fn row(&mut self, cells: &[String; 8]) -> io::Result<()> {
        let [time, decision, enforced, initiator, caller, owner, action, resource] = cells;
        writeln!(
            self.out,
            "{time:<19}  {decision:<8}  {enforced:<8}  {initiator:<24}  {caller:<32}  {owner:<32}  \
             {action:<24}  {resource}"
        )
    }
}

/// A value as a cell of a table.
pub(super) fn cell(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => "-".into(),
        Some(Value::String(text)) if text.is_empty() => "-".into(),
        Some(Value::String(text)) => printable(text).into_owned(),
        Some(value) => printable(&value.to_string()).into_owned(),
    }
}

const HEADINGS: [&str; 8] = [
    "TIME",
    "DECISION",
    "ENFORCED",
    "INITIATOR",
    "CALLER ACCOUNT",
    "OWNER ACCOUNT",
    "ACTION",
    "RESOURCE",
];
/// Where the cells are in an event.
const COLUMNS: [&str; 8] = [
    "/eventTime",
    "/responseData/decision",
    "/responseData/isEnforced",
    "/initiator/id",
    "/requestData/subject/attributes/token.account.bss",
    "/requestData/resource/attributes/accountId",
    "/requestData/action",
    "/target/id",
];
