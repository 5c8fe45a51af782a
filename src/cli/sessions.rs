//! `crossgate sessions`: ends sessions, by the admin listener of a running proxy.
//!
//! Flows in: which sessions. Flows out: what is in force, an exit code. The admin token comes from a
//! file or the environment, never from an argument, which others on the machine can read.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::cli::check::{ERROR, Format};
use crate::cli::events::{EventsError, moment};
use crate::cli::post::{AllowHttp, Answer, Post, PostError, read_secret};
use crate::clock::SystemClock;
use crate::config;
use crate::event::report::printable;
use crate::event::time::rfc3339;
use crate::policy::PolicyFinding;
use crate::sts::revocation::read_request;

/// Ends sessions of roles and trusted profiles
#[derive(Debug, Args)]
pub struct SessionsArgs {
    #[command(subcommand)]
    command: SessionsCommand,
}

/// What to do with sessions.
#[derive(Debug, Subcommand)]
enum SessionsCommand {
    /// Ends sessions before their time, in all instances that share the settings. Exit 1 if the
    /// proxy refuses it
    Revoke(RevokeArgs),
}

/// `crossgate sessions revoke`.
#[derive(Debug, Args)]
struct RevokeArgs {
    /// The admin listener
    #[arg(long, value_name = "URL")]
    url: String,
    /// End the sessions of this role; a trusted profile's is `arn:aws:iam::<account>:role/Profile-…`
    #[arg(
        long,
        value_name = "ARN",
        required_unless_present = "session",
        conflicts_with = "session"
    )]
    role: Option<String>,
    /// Those that were issued before: RFC 3339, or a duration back from now such as `15m`
    /// [default: now]
    #[arg(long, value_name = "TIME", conflicts_with = "session")]
    before: Option<String>,
    /// End this session, by the `jti` of its token
    #[arg(long, value_name = "JTI")]
    session: Option<String>,
    /// A file with the admin token; `-` reads standard input [default: the environment's
    /// `CROSSGATE_ADMIN_TOKEN`, if it is set]
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Send the token over http to another machine
    #[arg(long)]
    allow_http: bool,
    /// For people or for programs
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// Why nothing was asked, or nothing understandable answered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
enum SessionsError {
    #[error(
        "{status} from there is no admin listener's answer; hint: `--url` is that of `admin` in the configuration"
    )]
    Answer { status: u16 },
    #[error("the proxy could not end sessions ({status}): {message}")]
    Failed { status: u16, message: String },
    #[error(transparent)]
    Moment(#[from] EventsError),
    #[error("cannot write: {0}")]
    Output(#[from] io::Error),
    #[error(transparent)]
    Post(#[from] PostError),
    #[error("{0}")]
    Revocation(#[from] PolicyFinding),
    #[error("cannot read the admin token `{}`: {error}", path.display())]
    Token { path: PathBuf, error: io::Error },
}

/// What the proxy said.
#[derive(Debug)]
enum Outcome {
    Ended(Value),
    Refused { status: u16, message: String },
}

/// Runs `crossgate sessions`: 0 they are ended, 1 the proxy refused it, 2 could not run.
pub fn run(args: &SessionsArgs) -> ExitCode {
    let SessionsCommand::Revoke(args) = &args.command;
    match revoke(args).and_then(|outcome| write(args.format, &outcome)) {
        Ok(code) => code,
        Err(error) => {
            let _ = writeln!(anstream::stderr(), "{ERROR}error{ERROR:#}: {error}");
            ExitCode::from(2)
        }
    }
}

fn revoke(args: &RevokeArgs) -> Result<Outcome, SessionsError> {
    let now = SystemClock.now();
    let before = args.before.as_deref().map(|text| moment(text, now)).transpose()?;
    let body = match (&args.role, before, &args.session) {
        (Some(role), None, _) => json!({ "role": role }),
        (Some(role), Some(before), _) => json!({ "role": role, "before": rfc3339(before) }),
        (None, _, session) => json!({ "session": session }),
    };
    let body = body.to_string();
    // What is wrong in any case is told as wrong usage, without asking.
    read_request(&body, now)?;
    let allow = if args.allow_http { AllowHttp::Yes } else { AllowHttp::No };
    let mut post = Post::json(&args.url, PATH, allow, URL_HINT)?;
    if let Some(token) = token(args)? {
        post = post.bearer(&token)?;
    }
    outcome(&post.send(body)?)
}

fn token(args: &RevokeArgs) -> Result<Option<String>, SessionsError> {
    let Some(path) = &args.token_file else { return Ok(config::environment(TOKEN_VARIABLE)) };
    let failed = |error| SessionsError::Token { path: path.clone(), error };
    read_secret(path).map(Some).map_err(failed)
}

fn outcome(answer: &Answer) -> Result<Outcome, SessionsError> {
    let status = answer.status.as_u16();
    let document: Option<Value> = serde_json::from_slice(&answer.body).ok();
    let message = document.as_ref().and_then(|it| it.pointer("/errors/0/message")?.as_str());
    let message = message.map(|message| printable(message).into_owned());
    let is_ended = |it: &Value| {
        let is_text = |name| it.get(name).is_some_and(Value::is_string);
        is_text("session") || (is_text("role") && is_text("before"))
    };
    match (status, document.filter(is_ended), message) {
        (200, Some(document), None) => Ok(Outcome::Ended(document)),
        // Another server says these too.
        (404 | 405, ..) | (_, _, None) => Err(SessionsError::Answer { status }),
        (_, _, Some(message)) if answer.status.is_client_error() => {
            Ok(Outcome::Refused { status, message })
        }
        (_, _, Some(message)) => Err(SessionsError::Failed { status, message }),
    }
}

fn write(format: Format, outcome: &Outcome) -> Result<ExitCode, SessionsError> {
    let document = match outcome {
        Outcome::Ended(document) => document,
        Outcome::Refused { status, message } => {
            writeln!(anstream::stderr(), "{ERROR}refused{ERROR:#} ({status}): {message}")?;
            return Ok(ExitCode::from(1));
        }
    };
    let mut out = io::stdout().lock();
    let text = |name| printable(document.get(name).and_then(Value::as_str).unwrap_or_default());
    match (format, document.get("role")) {
        (Format::Json, _) => writeln!(out, "{document}")?,
        (Format::Text, Some(_)) => {
            let (role, before) = (text("role"), text("before"));
            writeln!(out, "ended: the sessions of {role} that were issued before {before}")?;
        }
        (Format::Text, None) => writeln!(out, "ended: the session {}", text("session"))?,
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

const PATH: &str = "/v1/sts/revocations";
const URL_HINT: &str = "http://127.0.0.1:9901";
const TOKEN_VARIABLE: &str = "CROSSGATE_ADMIN_TOKEN";

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::StatusCode;

    use super::*;

    fn said(status: u16, body: &str) -> String {
        let status = StatusCode::from_u16(status).unwrap();
        match outcome(&Answer { status, body: Bytes::copy_from_slice(body.as_bytes()) }) {
            Ok(Outcome::Ended(document)) => format!("ended {document}"),
            Ok(Outcome::Refused { status, message }) => format!("refused {status} {message}"),
            Err(error) => format!("error {error}"),
        }
    }

    #[test]
    fn the_answer_decides_how_it_ended() {
        let problem = r#"{"errors":[{"code":"c","message":"so\u001b"}],"status_code":1}"#;
        assert_eq!(said(200, r#"{"session":"x"}"#), "ended {\"session\":\"x\"}");
        for status in [400, 401, 403, 409, 413, 415] {
            assert_eq!(said(status, problem), format!("refused {status} so\u{fffd}"));
        }
        for status in [500, 503, 507] {
            let expect = format!("error the proxy could not end sessions ({status}): so\u{fffd}");
            assert_eq!(said(status, problem), expect);
        }
        for (status, body) in [
            (200, "<html>"),
            (200, ""),
            (200, "{}"),
            (200, r#"{"role":"x"}"#),
            (301, ""),
            (403, "no"),
            (404, problem),
            (405, problem),
        ] {
            let expect = format!("error {status} from there is no admin listener's answer");
            assert!(said(status, body).starts_with(&expect), "{}", said(status, body));
        }
    }
}
