//! `crossgate explain`: what the proxy would do with one request, and why.
//!
//! Flows in: a configuration, a token and the head of a request. Flows out: each step on standard
//! output, and whether the request would be permitted. It reads what the proxy reads and decides by
//! the proxy's own code, but forwards nothing and records nothing.

use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, ValueEnum};
use http::header::{AUTHORIZATION, HOST};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, request};

use super::token::{self as token_command, VerifyArgs};
use crate::clock::{SystemClock, UnixSeconds};
use crate::config::{self, Config, ConfigError};
use crate::decision;
use crate::forward::{ClientAddress, Protocol};
use crate::iam::{AccountId, Arn, AuthzRequest, Identity};
use crate::perimeter::SettingsIndex;
use crate::policy::directory::{self, DirectoryError};
use crate::policy::explain::{LevelNames, Trace};
use crate::policy::request_context::{Known, RequestContext};
use crate::policy::set::{Asked, Organization, PolicySet};
use crate::policy::{Question, Resource};
use crate::proxy::{self, Rejection};
use crate::route::{self, QuestionBuffer};
use crate::settings;
use crate::snapshot::Snapshot;
use crate::sts::{RevocationsError, revocations};
use crate::token::{self, KeySets, TokenError};
use crate::verdict::{Mode, Standing};

mod policy;
mod report;

use policy::{PolicyReport, SetReport};
use report::{ClientReport, PerimeterReport, Report, RouteReport, SettingsSource};

/// Arguments of `crossgate explain`.
#[derive(Args, Clone)]
pub struct ExplainArgs {
    /// The proxy's configuration
    #[arg(long, value_name = "FILE", default_value = "crossgate.yaml")]
    pub config: PathBuf,
    /// The caller's token
    #[arg(long, conflicts_with = "token_file")]
    pub token: Option<String>,
    /// A file with the token; `-` reads standard input
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// The request's method
    #[arg(long, default_value = "GET")]
    pub method: Method,
    /// The request's path, and its query if it has one
    #[arg(long)]
    pub path: Uri,
    /// A header of the request; may be given more than once
    // Read later: clap's errors would show what may be a secret.
    #[arg(long = "header", value_name = "NAME: VALUE")]
    pub headers: Vec<String>,
    /// The address of who connects: the client's, or a trusted proxy's
    #[arg(long, value_name = "ADDRESS", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    pub source_ip: IpAddr,
    /// Decide at this time instead of now
    #[arg(long, value_name = "UNIX")]
    pub at: Option<u64>,
    /// For people or for programs
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

/// The token and the headers are secrets and stay out.
impl std::fmt::Debug for ExplainArgs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ExplainArgs")
            .field("config", &self.config)
            .field("method", &self.method)
            .field("format", &self.format)
            .finish_non_exhaustive()
    }
}

/// How the steps are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For programs: one JSON object.
    Json,
    /// For people.
    Text,
}

/// What would become of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It would be refused.
    Denied,
    /// It would be forwarded.
    Permitted,
}

/// Why nothing can be told.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExplainError {
    /// The walk that explains came to another answer than the decision.
    #[error(
        "the steps above come to another answer than the proxy, which goes by its own; this is a \
         mistake in crossgate"
    )]
    Contradiction,
    /// A header is none. Never with its value, which may be a secret.
    #[error("`--header` number {number}: {why}")]
    Header {
        /// Counted from 1.
        number: usize,
        /// Why.
        why: &'static str,
    },
    /// The configuration can't be read or is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The settings can't be read or are wrong.
    #[error("{file}: {why}", file = file.display())]
    Settings {
        /// The file.
        file: PathBuf,
        /// Why.
        why: String,
    },
    /// The policies can't be read or are wrong.
    #[error(transparent)]
    Policies(#[from] DirectoryError),
    /// The sessions that were ended can't be read.
    #[error(transparent)]
    Revocations(#[from] RevocationsError),
    /// The token can't be read, or its issuer's keys can't.
    #[error("{0}")]
    Token(String),
    /// The steps can't be written.
    #[error("cannot write: {0}")]
    Output(#[from] io::Error),
}

/// Runs the command: 0 the request would be permitted, 1 it would not, 2 could not tell.
pub fn run(args: &ExplainArgs) -> ExitCode {
    let explained = match args.format {
        Format::Json => explain(args, &mut io::stdout().lock()),
        Format::Text => explain(args, &mut anstream::stdout().lock()),
    };
    match explained {
        Ok(Outcome::Permitted) => ExitCode::SUCCESS,
        Ok(Outcome::Denied) => ExitCode::from(1),
        Err(error) => {
            // Nothing is left to tell it to if this fails too.
            let _ = writeln!(anstream::stderr(), "error: {error}");
            ExitCode::from(2)
        }
    }
}

/// Decides the request and writes each step, in text with terminal colours.
///
/// # Errors
/// The configuration, settings, policies or keys can't be read, or the steps can't be written.
pub fn explain(args: &ExplainArgs, out: &mut dyn Write) -> Result<Outcome, ExplainError> {
    let headers = read_headers(&args.headers)?;
    let config = config::load(&args.config)?;
    let token = read_token(args)?;
    let case = Case::load(args, config, token, headers)?;
    let mut report = Report::default();
    let outcome = match case.decide(&mut report) {
        Ok(()) => Outcome::Permitted,
        Err(rejection) => {
            report.refuse(&rejection);
            Outcome::Denied
        }
    };
    match args.format {
        Format::Json => report.write_json(out)?,
        Format::Text => report.write_text(out)?,
    }
    out.flush()?;
    if report.is_contradicted { Err(ExplainError::Contradiction) } else { Ok(outcome) }
}

/// One request and all that it is decided by.
struct Case<'a> {
    args: &'a ExplainArgs,
    snapshot: Snapshot,
    settings: SettingsSource,
    token: Option<String>,
    headers: HeaderMap,
    protocol: Protocol,
    now: UnixSeconds,
}

impl<'a> Case<'a> {
    fn load(
        args: &'a ExplainArgs,
        config: Config,
        token: Option<String>,
        headers: HeaderMap,
    ) -> Result<Self, ExplainError> {
        let revocations = config.revocations_file();
        let settings = SettingsSource::read(config.settings_file.as_deref())?;
        let index = match &settings.file {
            None => SettingsIndex::default(),
            Some(file) => settings::parse(&settings.text).map_err(|error| {
                ExplainError::Settings { file: file.clone(), why: error.to_string() }
            })?,
        };
        let policies = config.policies.as_ref().map(directory::load).transpose()?;
        let policies = policies.map(|(sets, _doubtful)| Arc::new(sets));
        let revocations = revocations.as_deref().map(revocations::read).transpose()?;
        let key_sets = match &token {
            None => KeySets::new(config.issuers),
            Some(token) => token_command::load_keys(token, config.issuers)
                .map_err(|token_command::CannotRun(why)| ExplainError::Token(why))?,
        };
        let snapshot = Snapshot {
            revision: 1,
            key_sets: Arc::new(key_sets),
            settings: Arc::new(index),
            policies,
            routes: config.routes,
            edge: Arc::new(config.edge),
            sts: None,
            revocations: Arc::new(revocations.unwrap_or_default()),
        };
        // As a client of the first listener would come.
        let is_tls = config.listeners.first().is_some_and(|listener| listener.tls.is_some());
        let protocol = if is_tls { Protocol::Https } else { Protocol::Http };
        let now = args.at.map_or_else(|| SystemClock.now().seconds(), UnixSeconds);
        Ok(Self { args, snapshot, settings, token, headers, protocol, now })
    }

    /// The proxy's steps, in the proxy's order.
    fn decide(&self, report: &mut Report) -> Result<(), Rejection> {
        let head = self.head();
        proxy::check_head(&head, self.snapshot.edge.limits.headers)?;
        let path = route::decode(head.uri.path())?;
        let found = self.snapshot.routes.find(&head.method, &path);
        let matched = found.ok_or(Rejection::NoRoute)?;
        report.route = Some(RouteReport::of(&head.method, matched.route));
        let peer = ClientAddress::of_peer(self.args.source_ip.to_canonical());
        let client = proxy::client_address(&peer, &head, &self.snapshot);
        let origin = proxy::origin(&head, &client, self.protocol);
        report.client = Some(ClientReport::of(&origin, &client, peer.address));
        if decision::permit_public(matched.route).is_some() {
            return Ok(());
        }
        let token = self.token.as_deref().ok_or(Rejection::NoToken)?;
        let identity = token::verify(token, &self.snapshot.key_sets, self.now);
        let identity = identity.map_err(|error| match error {
            TokenError::KeysUnavailable => Rejection::KeysUnavailable,
            error => Rejection::BadToken(error),
        })?;
        report.identity = Some((&identity).into());
        if identity.session.as_ref().is_some_and(|it| self.snapshot.revocations.revokes(it)) {
            return Err(Rejection::BadToken(TokenError::Revoked));
        }
        let mut buffer = QuestionBuffer::default();
        let request = matched.ask(&head, origin, &mut buffer)?;
        report.question = Some((&request).into());
        self.decide_request(&identity, &request, report)
    }

    fn head(&self) -> request::Parts {
        let (mut head, ()) = Request::new(()).into_parts();
        head.method = self.args.method.clone();
        head.uri = self.args.path.clone();
        head.headers.clone_from(&self.headers);
        // What every client sends and nobody wants to write.
        if head.uri.authority().is_none() && !head.headers.contains_key(HOST) {
            head.headers.insert(HOST, HeaderValue::from_static("localhost"));
        }
        let bearer = self.token.as_ref().map(|token| format!("Bearer {token}"));
        if let Some(mut value) = bearer.and_then(|text| HeaderValue::try_from(text).ok()) {
            value.set_sensitive(true);
            head.headers.insert(AUTHORIZATION, value);
        }
        head
    }

    fn decide_request(
        &self,
        identity: &Identity,
        request: &AuthzRequest<'_>,
        report: &mut Report,
    ) -> Result<(), Rejection> {
        let evaluation = decision::decide(&self.snapshot, identity, request, self.now);
        report.perimeter = Some(PerimeterReport::of(
            &evaluation,
            &self.snapshot.settings,
            &self.settings,
            identity,
            request.owner,
        ));
        let traced = |set, mode, standing| self.traced(set, identity, request, (mode, standing));
        report.policy = self.snapshot.policies.as_deref().map(|sets| PolicyReport {
            enforced: traced(&sets.enforced, sets.mode, Standing::Enforced),
            candidate: sets
                .candidate
                .as_deref()
                .map(|set| traced(set, Mode::Limited, Standing::Candidate)),
        });
        report.is_contradicted = match (&report.policy, &evaluation.policy) {
            (Some(told), Some(decided)) => told.contradicts(decided),
            (None, None) => false,
            (Some(_), None) | (None, Some(_)) => true,
        };
        evaluation.permit().map(drop).map_err(Rejection::Denied)
    }

    /// What a set of policies says, by the walk that explains.
    fn traced(
        &self,
        set: &PolicySet,
        identity: &Identity,
        request: &AuthzRequest<'_>,
        (mode, standing): (Mode, Standing),
    ) -> SetReport {
        let resource = match (request.resource, Arn::parse(request.resource)) {
            ("*", _) => Some(Resource::Any),
            (_, arn) => arn.map(Resource::Named),
        };
        let (Some(principal), Some(resource)) = (decision::principal(identity), resource) else {
            return SetReport::of_nobody(mode, standing);
        };
        let AuthzRequest { action, key_action, owner, .. } = *request;
        let session = identity.session.as_deref();
        let asked = Asked { principal, action, resource, owner, key_action, session };
        let applicable = set.applicable(&asked);
        let organization = set.organization.as_deref();
        let known = Known::of(&applicable, organization);
        let context = RequestContext::new(identity, principal, request, known, self.now);
        let names = LevelNames {
            scp: level_names(organization, identity.account),
            rcp: level_names(organization, Some(owner)),
        };
        let owner = Some(owner.as_str());
        let question = Question { principal, action, resource, owner, context: &context };
        SetReport::of(&Trace::of(&question, &applicable.policies, names), mode, standing)
    }
}

fn level_names(organization: Option<&Organization>, account: Option<AccountId>) -> &[Box<str>] {
    let membership = organization.zip(account).and_then(|(it, account)| it.accounts.get(&account));
    membership.map_or(&[], |membership| &*membership.levels)
}

impl SettingsSource {
    fn read(file: Option<&Path>) -> Result<Self, ExplainError> {
        let Some(file) = file else { return Ok(Self::default()) };
        let text = std::fs::read_to_string(file).map_err(|error| ExplainError::Settings {
            file: file.to_owned(),
            why: error.to_string(),
        })?;
        Ok(Self { file: Some(file.to_owned()), text })
    }
}

fn read_token(args: &ExplainArgs) -> Result<Option<String>, ExplainError> {
    if args.token.is_none() && args.token_file.is_none() {
        return Ok(None);
    }
    let (token, token_file) = (args.token.clone(), args.token_file.clone());
    let from = VerifyArgs { token, token_file, ..VerifyArgs::default() };
    token_command::read_token(&from, &mut io::stdin().lock())
        .map(Some)
        .map_err(|token_command::CannotRun(why)| ExplainError::Token(why))
}

fn read_headers(texts: &[String]) -> Result<HeaderMap, ExplainError> {
    let mut headers = HeaderMap::new();
    for (text, number) in texts.iter().zip(1..) {
        let (name, value) =
            parse_header(text).map_err(|why| ExplainError::Header { number, why })?;
        let added = headers.try_append(name, value);
        added.map_err(|_| ExplainError::Header { number, why: "there are too many" })?;
    }
    Ok(headers)
}

fn parse_header(text: &str) -> Result<(HeaderName, HeaderValue), &'static str> {
    let (name, value) = text.split_once(':').ok_or("a header is `Name: value`")?;
    let name: HeaderName = name.trim().parse().map_err(|_| "that is no header's name")?;
    if name == AUTHORIZATION {
        return Err("the token is given by `--token` or `--token-file`");
    }
    let value = value.trim().parse().map_err(|_| "the value has control characters")?;
    Ok((name, value))
}
