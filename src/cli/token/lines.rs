//! `crossgate token verify --format jsonl`: one question a line, one answer a line. A line that
//! can't be read is answered too, and the run goes on.

use std::borrow::Cow;
use std::io::{self, BufRead, Read};
use std::path::Path;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::answer::{Answer, Bad};
use super::{
    CannotRun, Check, INPUT_BYTES_MAX, Outcome, Question, Streams, VerifyArgs, parse_algorithms,
    usage, write_json,
};
use crate::clock::UnixSeconds;
use crate::token::KeySet;

/// Answers one line after the other.
pub(super) fn verify_lines(
    args: &VerifyArgs,
    now: UnixSeconds,
    streams: &mut Streams<'_>,
) -> Result<Outcome, CannotRun> {
    let broken = |error: io::Error| CannotRun(error.to_string());
    let mut file;
    let input: &mut dyn BufRead = match args.input.as_deref() {
        Some(path) if path != Path::new("-") => {
            let opened = std::fs::File::open(path)
                .map_err(|error| CannotRun(format!("`{}`: {error}", path.display())))?;
            file = io::BufReader::new(opened);
            &mut file
        }
        Some(_) => streams.input,
        None => return Err(usage("`--format jsonl` needs a file, or `-` for standard input")),
    };
    let mut outcome = Outcome::Good;
    let mut line = Vec::new();
    while read_line(input, &mut line).map_err(broken)? {
        if line.trim_ascii().is_empty() {
            continue;
        }
        let answer = answer_line(&line, args, now).unwrap_or_else(|(id, detail)| {
            outcome = Outcome::Bad;
            Answer::of(Err(Bad { error: "unreadable_line", detail })).with_id(id)
        });
        write_json(&answer, streams.output)?;
    }
    Ok(outcome)
}

/// Reads a line, at most [`INPUT_BYTES_MAX`] of it; what is longer can't be JSON any more.
fn read_line(input: &mut dyn BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    let limit = u64::try_from(INPUT_BYTES_MAX).unwrap_or(u64::MAX);
    let read = (&mut *input).take(limit).read_until(b'\n', line)?;
    if read == INPUT_BYTES_MAX && line.last() != Some(&b'\n') {
        let mut rest = Vec::new();
        loop {
            rest.clear();
            let read = (&mut *input).take(limit).read_until(b'\n', &mut rest)?;
            if read == 0 || rest.last() == Some(&b'\n') {
                break;
            }
        }
    }
    Ok(read != 0)
}

/// One line of input. Other members are left unread: test vectors bring comments.
#[derive(Deserialize)]
struct Line<'l> {
    #[serde(default)]
    id: Value,
    #[serde(borrow)]
    jwks: &'l RawValue,
    #[serde(borrow)]
    token: Cow<'l, str>,
    issuer: Option<String>,
    audience: Option<String>,
    algorithms: Option<Algorithms>,
    at: Option<u64>,
    signature_only: Option<bool>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Algorithms {
    List(Vec<String>),
    Text(String),
}

type Unreadable = (Value, String);

fn answer_line(line: &[u8], args: &VerifyArgs, now: UnixSeconds) -> Result<Answer, Unreadable> {
    let parsed: Line<'_> = serde_json::from_slice(line).map_err(|error| {
        let id = serde_json::from_slice::<Map<String, Value>>(line)
            .ok()
            .and_then(|mut members| members.remove("id"));
        (id.unwrap_or_default(), unreadable(&error))
    })?;
    let algorithms = match parsed.algorithms {
        None => parse_algorithms(&args.algorithms),
        Some(Algorithms::List(names)) => parse_algorithms(&names),
        Some(Algorithms::Text(names)) => {
            parse_algorithms(&names.split(',').map(str::to_owned).collect::<Vec<_>>())
        }
    };
    let algorithms = algorithms.map_err(|CannotRun(why)| (parsed.id.clone(), why))?;
    let check = if parsed.signature_only.unwrap_or(args.signature_only) {
        Check::Signature
    } else {
        Check::Claims
    };
    let question = Question {
        token: &parsed.token,
        issuer: parsed.issuer.as_deref().or(args.issuer.as_deref()),
        audience: parsed.audience.as_deref().or(args.audience.as_deref()),
        algorithms,
        check,
        now: parsed.at.map_or(now, UnixSeconds),
    };
    let document = match serde_json::from_str::<String>(parsed.jwks.get()) {
        Ok(text) => Cow::Owned(text),
        Err(_) => Cow::Borrowed(parsed.jwks.get()),
    };
    let answer = KeySet::parse(document.as_bytes())
        .map_err(Bad::from)
        .and_then(|keys| question.answer(&keys).map_err(Bad::from));
    Ok(Answer::of(answer).with_id(parsed.id))
}

/// What is wrong with a line, without its content: that may be a token.
fn unreadable(error: &serde_json::Error) -> String {
    let kind = match error.classify() {
        serde_json::error::Category::Data => "a member is missing, unknown or of another type",
        serde_json::error::Category::Eof => "the JSON ends too early",
        serde_json::error::Category::Io | serde_json::error::Category::Syntax => "this is no JSON",
    };
    format!("{kind}, at column {}", error.column())
}
