//! `crossgate assume`: a session token of a role, from a token service.
//!
//! Flows in: a token, a role, what the session is to be. Flows out: the session's token, for a shell
//! or for programs. It speaks OAuth 2.0 token exchange (RFC 8693), not AWS STS: one request serves
//! principals and web identities alike, and the answer is JSON.
//!
//! No error has the token or the external ID.

use std::fmt;
use std::io::{self, Read as _, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use aws_lc_rs::rand;
use clap::{Args, ValueEnum};
use data_encoding::{BASE32_NOPAD, BASE64};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value, json};

use crate::cli::check::ERROR;
use crate::cli::post::{AllowHttp, Answer, Post, PostError, read_secret};
use crate::clock::{SystemClock, UnixMillis};
use crate::config;
use crate::config::units::parse_duration;
use crate::event::report::printable;
use crate::event::time::rfc3339;
use crate::token::jwt::Jws;

/// Arguments of `crossgate assume`.
#[derive(Args, Clone)]
pub struct AssumeArgs {
    /// The token service
    #[arg(long, value_name = "URL")]
    pub url: String,
    /// The role
    #[arg(long, value_name = "ARN")]
    pub role: String,
    /// The caller's token [default: the environment's `CROSSGATE_TOKEN`]
    #[arg(long, conflicts_with = "token_file")]
    pub token: Option<String>,
    /// A file with the token; `-` reads standard input
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// The external ID that the role's trust policy asks for
    #[arg(long, value_name = "ID")]
    pub external_id: Option<String>,
    /// How long, such as `1h` [default: the service's]
    #[arg(long, value_name = "DURATION")]
    pub duration: Option<String>,
    /// A file with a session policy: the session may do what role and policy both allow
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,
    /// The session's name, in its ARN and in events [default: from the token's subject]
    #[arg(long, value_name = "NAME")]
    pub session_name: Option<String>,
    /// A session tag; may be given more than once
    #[arg(long = "tag", value_name = "KEY=VALUE")]
    pub tags: Vec<String>,
    /// The key of a tag that goes on to sessions which this one assumes; may be given more than once
    #[arg(long = "transitive-tag", value_name = "KEY")]
    pub transitive_tags: Vec<String>,
    /// Who is behind the session, for good
    #[arg(long, value_name = "NAME")]
    pub source_identity: Option<String>,
    /// Send the token over http to another machine
    #[arg(long)]
    pub allow_http: bool,
    /// How the session's token is printed
    #[arg(long, value_enum, default_value_t = Format::Env)]
    pub format: Format,
}

/// The token and the external ID are nobody's business.
impl fmt::Debug for AssumeArgs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AssumeArgs")
            .field("url", &self.url)
            .field("role", &self.role)
            .field("format", &self.format)
            .finish_non_exhaustive()
    }
}

/// How a session's token is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For a shell, as `eval "$(crossgate assume …)"`: `CROSSGATE_TOKEN`, and the same as
    /// `AWS_SESSION_TOKEN`, with an access key of AWS's form that opens nothing
    Env,
    /// For programs: one JSON object
    Json,
}

/// Why nothing was asked, or nothing understandable answered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
enum AssumeError {
    #[error(
        "{status} from there is no token service's answer; hint: `--url` is the issuer's, or that of `sts` in the configuration"
    )]
    Answer { status: u16 },
    #[error(
        "`{option}` is empty, and a token service takes that for none; hint: give it a value, or leave it out"
    )]
    Blank { option: &'static str },
    #[error(
        "the session policy `{}` is empty: the session would have no limit; hint: write a policy to it, or leave `--policy` out",
        path.display()
    )]
    BlankPolicy { path: PathBuf },
    #[error("`--duration` is {0}")]
    Duration(String),
    #[error("`--tag` number {number} is no `KEY=VALUE`")]
    Tag { number: usize },
    #[error("`--tag` number {number} has no key; hint: `KEY=VALUE`")]
    TagWithoutKey { number: usize },
    #[error("`--tag` number {number} has the key of another one")]
    TagTwice { number: usize },
    #[error("cannot write: {0}")]
    Output(#[from] io::Error),
    #[error("cannot read the session policy `{}`: {error}", path.display())]
    Policy { path: PathBuf, error: io::Error },
    #[error(transparent)]
    Post(#[from] PostError),
    #[error("the token service gives no token now ({status}): {message}")]
    Unavailable { status: u16, message: String },
    #[error("cannot read the token `{}`: {error}", path.display())]
    Token { path: PathBuf, error: io::Error },
    #[error(
        "there is no token; hint: `--token`, `--token-file`, or the environment's `{TOKEN_VARIABLE}`"
    )]
    NoToken,
}

/// What the token service said.
#[derive(Debug)]
enum Outcome {
    Begun(Session),
    Refused { status: u16, error: String, message: String },
}

/// A session that began.
#[derive(Debug, PartialEq, Eq)]
struct Session {
    token: String,
    role: String,
    /// Its ARN; of a trusted profile its id.
    principal: String,
    id: String,
    expires_at: UnixMillis,
}

/// Runs the command: 0 the session began, 1 it was refused, 2 could not run.
pub fn run(args: &AssumeArgs) -> ExitCode {
    match assume(args).and_then(|outcome| write(args.format, &outcome)) {
        Ok(code) => code,
        Err(error) => {
            let _ = writeln!(anstream::stderr(), "{ERROR}error{ERROR:#}: {error}");
            ExitCode::from(2)
        }
    }
}

fn assume(args: &AssumeArgs) -> Result<Outcome, AssumeError> {
    let token = token(args)?;
    let form = form(args, &token)?;
    let allow = if args.allow_http { AllowHttp::Yes } else { AllowHttp::No };
    let answer = Post::form(&args.url, PATH, allow, URL_HINT)?.send(form)?;
    let secrets = [Some(token.as_str()), args.external_id.as_deref()];
    outcome(&answer, &secrets, SystemClock.now())
}

fn token(args: &AssumeArgs) -> Result<String, AssumeError> {
    match (&args.token, &args.token_file) {
        (Some(token), _) => Ok(token.clone()),
        (None, Some(path)) => {
            read_secret(path).map_err(|error| AssumeError::Token { path: path.clone(), error })
        }
        (None, None) => config::environment(TOKEN_VARIABLE).ok_or(AssumeError::NoToken),
    }
}

/// The request, as RFC 8693 section 2.1 and crossgate's extensions have it.
fn form(args: &AssumeArgs, token: &str) -> Result<String, AssumeError> {
    no_blank(args)?;
    let duration = args.duration.as_deref().map(seconds).transpose()?;
    let policy = args.policy.as_deref().map(read_policy).transpose()?;
    let tags = tags(&args.tags)?.map(|tags| tags.to_string());
    let keys = (!args.transitive_tags.is_empty()).then(|| json!(args.transitive_tags).to_string());
    let fields = [
        ("grant_type", Some(GRANT_TYPE)),
        ("subject_token", Some(token)),
        ("subject_token_type", Some(TOKEN_TYPE)),
        ("resource", Some(&*args.role)),
        ("external_id", args.external_id.as_deref()),
        ("duration_seconds", duration.as_deref()),
        ("policy", policy.as_deref()),
        ("role_session_name", args.session_name.as_deref()),
        ("tags", tags.as_deref()),
        ("transitive_tag_keys", keys.as_deref()),
        ("source_identity", args.source_identity.as_deref()),
    ];
    let present = fields.into_iter().filter_map(|(name, value)| Some((name, value?)));
    let pairs = present
        .map(|(name, value)| format!("{name}={}", utf8_percent_encode(value, NON_ALPHANUMERIC)));
    Ok(pairs.collect::<Vec<_>>().join("&"))
}

/// Token exchange passes over a parameter without a value: the session would be another one than was
/// asked for, such as one without its limit.
fn no_blank(args: &AssumeArgs) -> Result<(), AssumeError> {
    let given = [
        ("--role", Some(&args.role)),
        ("--external-id", args.external_id.as_ref()),
        ("--session-name", args.session_name.as_ref()),
        ("--source-identity", args.source_identity.as_ref()),
    ];
    let transitive = args.transitive_tags.iter().map(|key| ("--transitive-tag", Some(key)));
    let is_blank = |value: Option<&String>| value.is_some_and(|text| text.trim().is_empty());
    match given.into_iter().chain(transitive).find(|(_, value)| is_blank(*value)) {
        Some((option, _)) => Err(AssumeError::Blank { option }),
        None => Ok(()),
    }
}

fn seconds(text: &str) -> Result<String, AssumeError> {
    let duration = parse_duration(text)
        .map_err(|error| AssumeError::Duration(format!("no duration: {error}")))?;
    if duration.subsec_nanos() != 0 {
        return Err(AssumeError::Duration("not in whole seconds".to_owned()));
    }
    Ok(duration.as_secs().to_string())
}

fn read_policy(path: &Path) -> Result<String, AssumeError> {
    let failed = |error| AssumeError::Policy { path: path.to_owned(), error };
    let file = std::fs::File::open(path).map_err(failed)?;
    let mut text = String::new();
    file.take(POLICY_BYTES_MAX).read_to_string(&mut text).map_err(failed)?;
    if text.trim().is_empty() {
        return Err(AssumeError::BlankPolicy { path: path.to_owned() });
    }
    Ok(text)
}

fn tags(texts: &[String]) -> Result<Option<Value>, AssumeError> {
    let mut tags = Map::new();
    for (text, number) in texts.iter().zip(1..) {
        let (key, value) = text.split_once('=').ok_or(AssumeError::Tag { number })?;
        if key.trim().is_empty() {
            return Err(AssumeError::TagWithoutKey { number });
        }
        if tags.insert(key.to_owned(), json!(value)).is_some() {
            return Err(AssumeError::TagTwice { number });
        }
    }
    Ok((!tags.is_empty()).then_some(Value::Object(tags)))
}

/// What an answer means; whatever it says, nothing of it that is shown has a secret.
fn outcome(
    answer: &Answer,
    secrets: &[Option<&str>],
    now: UnixMillis,
) -> Result<Outcome, AssumeError> {
    let status = answer.status.as_u16();
    let document: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let text = |name| document.get(name).and_then(Value::as_str);
    if status == 200 {
        let session = text("access_token").and_then(|token| session(token, &document, now));
        return session.map(Outcome::Begun).ok_or(AssumeError::Answer { status });
    }
    let shown = |text: &str| {
        let secrets = secrets.iter().flatten().filter(|secret| !secret.is_empty());
        let plain = secrets.fold(text.to_owned(), |text, secret| text.replace(secret, "…"));
        printable(&plain).into_owned()
    };
    let Some(error) = text("error").map(shown) else { return Err(AssumeError::Answer { status }) };
    let message = text("error_description").map(shown).unwrap_or_default();
    if answer.status.is_client_error() {
        return Ok(Outcome::Refused { status, error, message });
    }
    let message = if message.is_empty() { error } else { message };
    Err(AssumeError::Unavailable { status, message })
}

/// What the token tells of its session. It is not verified: who gave it is whom we asked.
fn session(token: &str, document: &Value, now: UnixMillis) -> Option<Session> {
    let claims = Jws::parse(token).and_then(|jws| jws.claims()).ok()?;
    let text = |name: &str| claims.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let lasts = document.get("expires_in").and_then(Value::as_u64);
    let by_answer = || lasts.map(|seconds| now.seconds().0.saturating_add(seconds));
    let expires_at = claims.get("exp").and_then(Value::as_u64).or_else(by_answer)?;
    Some(Session {
        token: token.to_owned(),
        role: text("role"),
        principal: text("sub"),
        id: text("jti"),
        expires_at: UnixMillis(expires_at.saturating_mul(1000)),
    })
}

fn write(format: Format, outcome: &Outcome) -> Result<ExitCode, AssumeError> {
    let session = match outcome {
        Outcome::Begun(session) => session,
        Outcome::Refused { status, error, message } => {
            writeln!(anstream::stderr(), "{ERROR}refused{ERROR:#} ({status} {error}): {message}")?;
            return Ok(ExitCode::from(1));
        }
    };
    let mut out = io::stdout().lock();
    match format {
        Format::Env => write_env(session, &mut out)?,
        Format::Json => {
            let document = json!({
                "token": session.token,
                "role": session.role,
                "session": session.principal,
                "sessionId": session.id,
                "expiration": rfc3339(session.expires_at),
            });
            writeln!(out, "{document}")?;
        }
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

fn write_env(session: &Session, out: &mut dyn Write) -> io::Result<()> {
    let expiration = rfc3339(session.expires_at);
    // AWS's tools want a key beside the token; as the token service's own, it opens nothing.
    let (mut id, mut secret) = ([0; 10], [0; 30]);
    rand::fill(&mut id).and_then(|()| rand::fill(&mut secret)).map_err(io::Error::other)?;
    let (id, secret) = (format!("ASIA{}", BASE32_NOPAD.encode(&id)), BASE64.encode(&secret));
    for (name, value) in [
        (TOKEN_VARIABLE, &*session.token),
        ("AWS_ACCESS_KEY_ID", &id),
        ("AWS_SECRET_ACCESS_KEY", &secret),
        ("AWS_SESSION_TOKEN", &session.token),
        ("AWS_CREDENTIAL_EXPIRATION", &expiration),
    ] {
        writeln!(out, "export {name}='{}'", value.replace('\'', r"'\''"))?;
    }
    Ok(())
}

const PATH: &str = "/oauth2/token";
const URL_HINT: &str = "https://sts.example.com";
const TOKEN_VARIABLE: &str = "CROSSGATE_TOKEN";
const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const TOKEN_TYPE: &str = "urn:ietf:params:oauth:token-type:jwt";
/// The service takes 2,048 characters; what is longer is for it to refuse.
const POLICY_BYTES_MAX: u64 = 16 << 10;

#[cfg(test)]
mod tests;
