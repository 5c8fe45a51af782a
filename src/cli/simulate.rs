//! `crossgate simulate`: scenarios in, one a line; answers out, one a line, in the same order.
//!
//! Decides nothing itself: the engine that decides proxied requests answers. A scenario that can't
//! be read is answered too, and the run goes on.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use serde_json::value::RawValue;

use crate::policy::scenario::{
    self, LINE_BYTES_MAX, ScenarioAnswer, ScenarioError, ScenarioResult, ScenarioStatement,
};
use crate::policy::{Outcome as PolicyOutcome, Side};

/// Arguments of `crossgate simulate`.
#[derive(Args, Clone, Debug)]
pub struct SimulateArgs {
    /// For programs or for people
    #[arg(long, value_enum, default_value_t = Format::Jsonl)]
    pub format: Format,
    /// The scenarios, one JSON object a line; `-` reads standard input
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}

/// How answers are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// One JSON object a line.
    #[default]
    Jsonl,
    /// A sentence a line.
    Text,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Every scenario was decided.
    Decided,
    /// Some scenario could not be read, or has invalid documents.
    Refused,
}

/// Why a run ended early.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SimulateError {
    /// The scenarios can't be read.
    #[error("cannot read `{}`: {error}", file.display())]
    Input {
        /// The file.
        file: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The answers can't be written.
    #[error("cannot write the answers: {0}")]
    Output(io::Error),
}

/// Runs the command: 0 every scenario was decided or nobody reads on, 1 some could not be, 2 could not run.
pub fn run(args: &SimulateArgs) -> ExitCode {
    let unreadable = |error| SimulateError::Input { file: args.file.clone(), error };
    let input: Box<dyn Read> = if args.file == Path::new("-") {
        Box::new(io::stdin().lock())
    } else {
        match File::open(&args.file).map_err(unreadable) {
            Ok(file) => Box::new(file),
            Err(error) => return could_not_run(&error),
        }
    };
    match simulate(args, input, io::stdout().lock()) {
        Ok(Outcome::Decided) => ExitCode::SUCCESS,
        Ok(Outcome::Refused) => ExitCode::from(1),
        // Who reads the answers has read enough.
        Err(SimulateError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            ExitCode::SUCCESS
        }
        Err(error) => could_not_run(&error),
    }
}

fn could_not_run(error: &SimulateError) -> ExitCode {
    // Nothing is left to tell it to if this fails too.
    let _ = writeln!(io::stderr(), "error: {error}");
    ExitCode::from(2)
}

/// Answers every scenario of the input.
///
/// # Errors
/// The input can't be read, or the answers can't be written.
pub fn simulate(
    args: &SimulateArgs,
    input: impl Read,
    output: impl Write,
) -> Result<Outcome, SimulateError> {
    let unreadable = |error| SimulateError::Input { file: args.file.clone(), error };
    let mut input = BufReader::with_capacity(BUFFER_BYTES, input);
    let mut output = BufWriter::with_capacity(BUFFER_BYTES, output);
    let mut outcome = Outcome::Decided;
    let mut line = Vec::new();
    let mut is_first = true;
    loop {
        // Who feeds a pipe may wait for this answer before the next question.
        if input.buffer().is_empty() {
            output.flush().map_err(SimulateError::Output)?;
        }
        if !read_line(&mut input, &mut line).map_err(unreadable)? {
            break;
        }
        if std::mem::take(&mut is_first) && line.starts_with(BYTE_ORDER_MARK) {
            line.drain(..BYTE_ORDER_MARK.len());
        }
        let result = match (line.len(), std::str::from_utf8(line.trim_ascii())) {
            (LINE_ENDED_BYTES_MAX.., _) => {
                unreadable_line(&format!("the line has more than {LINE_BYTES_MAX} bytes"))
            }
            (_, Ok("")) => continue,
            (_, Ok(line)) => scenario::answer(line),
            (_, Err(_)) => unreadable_line("the line is not UTF-8"),
        };
        if result.answer.is_err() {
            outcome = Outcome::Refused;
        }
        let written = match args.format {
            Format::Jsonl => result.to_json(),
            Format::Text => sentence(&result),
        };
        writeln!(output, "{written}").map_err(SimulateError::Output)?;
    }
    output.flush().map_err(SimulateError::Output)?;
    Ok(outcome)
}

/// Reads a line. Of one that is too long as much as is needed to see that it is.
fn read_line(input: &mut BufReader<impl Read>, line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    let limit = u64::try_from(LINE_ENDED_BYTES_MAX).unwrap_or(u64::MAX);
    let read = input.by_ref().take(limit).read_until(b'\n', line)?;
    if read == LINE_ENDED_BYTES_MAX && line.last() != Some(&b'\n') {
        input.skip_until(b'\n')?;
    }
    Ok(read != 0)
}

fn unreadable_line(problem: &str) -> ScenarioResult {
    let error = ScenarioError { problems: vec![problem.to_owned()] };
    ScenarioResult { id: RawValue::NULL.to_owned(), answer: Err(error) }
}

/// An answer for people.
fn sentence(result: &ScenarioResult) -> String {
    let id = serde_json::from_str::<String>(result.id.get());
    let id = id.map_or_else(|_| result.id.get().to_owned(), |text| printable(&text));
    match &result.answer {
        Ok(answer) => format!("{id}: {}", answered(answer)),
        Err(error) => format!("{id}: error: {}", printable(&error.to_string())),
    }
}

fn answered(answer: &ScenarioAnswer) -> String {
    let decision = match answer.outcome {
        PolicyOutcome::Allow => "allow",
        PolicyOutcome::ExplicitDeny => "explicit deny",
        PolicyOutcome::ImplicitDeny => "implicit deny",
    };
    let layer = answer.layer.as_str();
    let why = match answer.outcome {
        PolicyOutcome::Allow | PolicyOutcome::ExplicitDeny => {
            answer.statements.iter().map(statement).collect::<Vec<_>>()
        }
        PolicyOutcome::ImplicitDeny => {
            answer.missing.iter().map(|side: Side| format!("no {}", side.as_str())).collect()
        }
    };
    if why.is_empty() {
        format!("{decision} ({layer})")
    } else {
        format!("{decision} ({layer}): {}", why.join(", "))
    }
}

fn statement(statement: &ScenarioStatement) -> String {
    // People count from 1.
    let (policy, number) = (printable(&statement.policy), statement.index.saturating_add(1));
    match &*statement.sid {
        "" => format!("{policy}, statement {number}"),
        sid => format!("{policy}, statement {number} `{}`", printable(sid)),
    }
}

/// A scenario's text without what a terminal would obey.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// So many bytes, with the line's end if there is one, are too long.
const LINE_ENDED_BYTES_MAX: usize = LINE_BYTES_MAX + 3;

/// Some editors begin a file with it.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// Some dozen scenarios at a time.
const BUFFER_BYTES: usize = 64 * 1024;
