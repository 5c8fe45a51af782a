//! `crossgate token verify`: is this token good, and who is it. In: tokens and keys. Out: one JSON
//! object each. Decides nothing itself; the proxy's own verification answers.
//!
//! With `--config` a token is checked as the proxy would check it. With `--jwks` only what is given
//! is checked, besides the signature and the token's own times (at `--at`, else now, without
//! leeway); `identity` is then what the claims of IBM Cloud IAM say, or null if they are not such.

use std::io::{self, BufRead, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, ValueEnum};
use serde_json::Value;

use crate::clock::{SystemClock, UnixSeconds};
use crate::sts::Revocations;
use crate::token::jwt::{Claims, Expected, Jws};
use crate::token::{
    self, Algorithm, IssuerSpec, KeySet, KeySetError, KeySets, TokenError, UnknownAlgorithm,
    claims, jwks,
};

mod answer;
mod lines;

use answer::{Answer, Bad, Good};

/// Arguments of `crossgate token verify`.
#[derive(Args, Clone, Default)]
pub struct VerifyArgs {
    /// Check as the proxy with this configuration does [default: ./crossgate.yaml]
    #[arg(long, value_name = "FILE", conflicts_with = "jwks")]
    pub config: Option<PathBuf>,
    /// Check against the keys of this JSON Web Key Set
    #[arg(long, value_name = "FILE")]
    pub jwks: Option<PathBuf>,
    /// Require this `iss`
    #[arg(long)]
    pub issuer: Option<String>,
    /// Require this `aud`
    #[arg(long)]
    pub audience: Option<String>,
    /// Accept only these algorithms
    #[arg(long, value_delimiter = ',', value_name = "A,B")]
    pub algorithms: Vec<String>,
    /// Check at this time instead of now
    #[arg(long, value_name = "UNIX")]
    pub at: Option<u64>,
    /// Check the signature alone: the payload may be anything
    #[arg(long, conflicts_with = "config")]
    pub signature_only: bool,
    /// The token
    #[arg(long, conflicts_with = "token_file")]
    pub token: Option<String>,
    /// A file with the token; `-` reads standard input
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// `jsonl` reads one JSON object a line: id, jwks, token, and what else is given as options here
    #[arg(long, value_enum, default_value_t = Format::Json)]
    pub format: Format,
    /// With `--format jsonl`: the lines; `-` reads standard input
    #[arg(value_name = "INPUT")]
    pub input: Option<PathBuf>,
}

/// The token is a secret and stays out.
impl std::fmt::Debug for VerifyArgs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VerifyArgs")
            .field("config", &self.config)
            .field("jwks", &self.jwks)
            .field("format", &self.format)
            .finish_non_exhaustive()
    }
}

/// What is read and written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// One token, one object.
    #[default]
    Json,
    /// One object a line in, one out.
    Jsonl,
}

/// Whom a configuration trusts.
#[derive(Clone, Debug, Default)]
pub struct Trusted {
    /// Its issuers.
    pub issuers: Vec<IssuerSpec>,
    /// The sessions that were ended.
    pub revocations: Revocations,
}

/// Where a command reads and writes.
pub struct Streams<'s> {
    /// Standard input.
    pub input: &'s mut dyn BufRead,
    /// Standard output: answers.
    pub output: &'s mut dyn Write,
    /// Standard error: why it could not run.
    pub errors: &'s mut dyn Write,
}

impl std::fmt::Debug for Streams<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Streams")
    }
}

/// Runs the command: 0 the token is good, 1 it is not, 2 wrong usage or could not run. Of
/// `jsonl`: 0 every line was answered, 1 some line could not be read.
///
/// `load` reads whom a configuration file trusts.
pub fn verify(
    args: &VerifyArgs,
    load: impl FnOnce(&Path) -> Result<Trusted, String>,
    streams: &mut Streams<'_>,
) -> ExitCode {
    let now = args.at.map_or_else(|| SystemClock.now().seconds(), UnixSeconds);
    let answered = match (args.format, &args.jwks) {
        (Format::Jsonl, _) => lines::verify_lines(args, now, streams),
        (Format::Json, Some(_)) => verify_with_keys(args, now, streams),
        (Format::Json, None) if args.signature_only => {
            Err(usage("`--signature-only` needs `--jwks`"))
        }
        (Format::Json, None) => {
            let path = args.config.as_deref().unwrap_or(Path::new(DEFAULT_CONFIG));
            load(path)
                .map_err(CannotRun)
                .and_then(|trusted| verify_as_proxy(args, trusted, now, streams))
        }
    };
    match answered {
        Ok(Outcome::Good) => ExitCode::SUCCESS,
        Ok(Outcome::Bad) => ExitCode::from(1),
        Err(CannotRun(why)) => {
            let _: io::Result<()> = writeln!(streams.errors, "error: {why}");
            ExitCode::from(2)
        }
    }
}

/// Whether the answer is yes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Good,
    Bad,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) struct CannotRun(pub(super) String);

fn usage(hint: &str) -> CannotRun {
    CannotRun(format!("{hint}\nhint: see `crossgate token verify --help`"))
}

/// Checks the token as the proxy would, with keys that are fetched once now.
fn verify_as_proxy(
    args: &VerifyArgs,
    Trusted { mut issuers, revocations }: Trusted,
    now: UnixSeconds,
    streams: &mut Streams<'_>,
) -> Result<Outcome, CannotRun> {
    let token = read_token(args, streams.input)?;
    let algorithms = parse_algorithms(&args.algorithms)?;
    if let Some(wanted) = &args.issuer {
        issuers.retain(|spec| *spec.issuer == **wanted);
        if issuers.is_empty() {
            return Err(CannotRun(format!("the configuration has no issuer `{wanted}`")));
        }
    }
    if !algorithms.is_empty() {
        for spec in &mut issuers {
            spec.algorithms.retain(|algorithm| algorithms.contains(algorithm));
        }
    }
    let key_sets = load_keys(&token, issuers)?;
    let answer = token::verify(&token, &key_sets, now).and_then(|identity| {
        require_audience(&token, args.audience.as_deref(), now)?;
        if identity.session.as_ref().is_some_and(|it| revocations.revokes(it)) {
            return Err(TokenError::Revoked);
        }
        Good::new(&token, Check::Claims, Some(identity))
    });
    answer_one(answer.map_err(Bad::from), streams.output)
}

/// Checks an audience that is asked for besides those of the configuration.
fn require_audience(
    token: &str,
    audience: Option<&str>,
    now: UnixSeconds,
) -> Result<(), TokenError> {
    let audiences: Vec<Box<str>> = audience.into_iter().map(Into::into).collect();
    // The times were checked with the issuer's own leeway.
    let expected = Expected { issuer: None, audiences: &audiences, leeway: Duration::MAX };
    Claims::check(Jws::parse(token)?.claims()?, expected, now).map(|_| ())
}

/// The key sets with the keys of the issuer that the token names: the others are not needed.
pub(super) fn load_keys(token: &str, issuers: Vec<IssuerSpec>) -> Result<KeySets, CannotRun> {
    let key_sets = KeySets::new(issuers);
    let named = Jws::parse(token).and_then(|jws| jws.claims()).ok();
    let named = named.as_ref().and_then(|claims| claims.get("iss")?.as_str());
    let Some(issuer) = named.and_then(|name| key_sets.issuer(name)) else {
        return Ok(key_sets);
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| CannotRun(error.to_string()))?;
    let keys = runtime.block_on(jwks::fetch(issuer.spec()));
    let name = issuer.issuer();
    let keys = keys.map_err(|error| CannotRun(format!("keys of issuer `{name}`: {error}")))?;
    Ok(key_sets.with_keys(name, keys))
}

/// Checks the token against a key set, and of its claims what the options ask for.
fn verify_with_keys(
    args: &VerifyArgs,
    now: UnixSeconds,
    streams: &mut Streams<'_>,
) -> Result<Outcome, CannotRun> {
    let token = read_token(args, streams.input)?;
    let path = args.jwks.as_deref().ok_or_else(|| usage("`--jwks` is missing"))?;
    let document =
        std::fs::read(path).map_err(|error| CannotRun(format!("`{}`: {error}", path.display())))?;
    let question = Question {
        token: &token,
        issuer: args.issuer.as_deref(),
        audience: args.audience.as_deref(),
        algorithms: parse_algorithms(&args.algorithms)?,
        check: if args.signature_only { Check::Signature } else { Check::Claims },
        now,
    };
    match KeySet::parse(&document) {
        Ok(keys) => answer_one(question.answer(&keys).map_err(Bad::from), streams.output),
        Err(error @ KeySetError::Unusable { .. }) => {
            answer_one(Err(Bad::from(error)), streams.output)
        }
        Err(error) => Err(CannotRun(format!("`{}`: {error}", path.display()))),
    }
}

/// How much of a token is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Check {
    /// Signature and claims.
    Claims,
    /// The signature alone.
    Signature,
}

/// Is this token good by these keys?
struct Question<'q> {
    token: &'q str,
    issuer: Option<&'q str>,
    audience: Option<&'q str>,
    /// Empty: any.
    algorithms: Vec<Algorithm>,
    check: Check,
    now: UnixSeconds,
}

impl Question<'_> {
    fn answer(&self, keys: &KeySet) -> Result<Good, TokenError> {
        let jws = Jws::parse(self.token)?;
        if !self.algorithms.is_empty() && !self.algorithms.contains(&jws.algorithm()) {
            return Err(TokenError::Algorithm);
        }
        let nobody: Arc<str> = "".into();
        jws.verify(keys).map_err(|reason| reason.of_issuer(&nobody))?;
        let identity = match self.check {
            Check::Signature => None,
            Check::Claims => {
                let audiences: Vec<Box<str>> = self.audience.into_iter().map(Into::into).collect();
                let expected =
                    Expected { issuer: self.issuer, audiences: &audiences, leeway: Duration::ZERO };
                let claims = Claims::check(jws.claims()?, expected, self.now)?;
                let issuer = claims.members.get("iss").and_then(Value::as_str).unwrap_or_default();
                claims::ibm(&claims, issuer).ok()
            }
        };
        Good::new(self.token, self.check, identity)
    }
}

fn answer_one(answer: Result<Good, Bad>, output: &mut dyn Write) -> Result<Outcome, CannotRun> {
    let outcome = if answer.is_ok() { Outcome::Good } else { Outcome::Bad };
    write_json(&Answer::of(answer), output)?;
    Ok(outcome)
}

fn write_json(answer: &Answer, output: &mut dyn Write) -> Result<(), CannotRun> {
    let broken = |error: io::Error| CannotRun(error.to_string());
    let mut text = serde_json::to_vec(answer).map_err(|error| CannotRun(error.to_string()))?;
    text.push(b'\n');
    output.write_all(&text).and_then(|()| output.flush()).map_err(broken)
}

pub(super) fn read_token(args: &VerifyArgs, input: &mut dyn BufRead) -> Result<String, CannotRun> {
    let text =
        match (&args.token, &args.token_file) {
            (Some(token), None) => return Ok(token.clone()),
            (None, Some(path)) if path == Path::new("-") => {
                read_text(input).map_err(|error| CannotRun(error.to_string()))?
            }
            (None, Some(path)) => std::fs::File::open(path)
                .and_then(|mut file| read_text(&mut file))
                .map_err(|error| CannotRun(format!("`{}`: {error}", path.display())))?,
            (Some(_), Some(_)) | (None, None) => {
                return Err(usage("one of `--token` and `--token-file` is needed"));
            }
        };
    // An editor or `echo` ends the file with a newline, which is not of the token.
    Ok(text
        .strip_suffix('\n')
        .map_or(text.as_str(), |t| t.strip_suffix('\r').unwrap_or(t))
        .to_owned())
}

fn read_text(source: &mut (impl Read + ?Sized)) -> io::Result<String> {
    let mut bytes = Vec::new();
    let limit = u64::try_from(INPUT_BYTES_MAX).unwrap_or(u64::MAX);
    source.take(limit).read_to_end(&mut bytes)?;
    // What is no text is no token either, and will be told so.
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn parse_algorithms(names: &[String]) -> Result<Vec<Algorithm>, CannotRun> {
    let parse = |name: &String| {
        name.trim()
            .parse()
            .map_err(|error: UnknownAlgorithm| CannotRun(format!("`{name}` is {error}")))
    };
    names.iter().map(parse).collect()
}

const DEFAULT_CONFIG: &str = "./crossgate.yaml";

/// The most that is read of a line or a token's file: a line holds a key set of 1 MiB at most,
/// perhaps as a text with escapes, and a token.
const INPUT_BYTES_MAX: usize = 4 * 1024 * 1024;

#[cfg(test)]
mod tests;
