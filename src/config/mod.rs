//! `crossgate.yaml`: read whole or refused whole, with the place of everything that is wrong.
//!
//! Flows in: a file and the environment, which only this module reads. Flows out: what the
//! program's parts need, checked. Starts nothing.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

mod edge;
mod error;
mod events;
pub mod finding;
mod issuers;
mod listeners;
pub mod node;
mod observed;
pub mod policies;
mod policy_lints;
mod reader;
mod route_lints;
mod routes;
pub mod settings_lints;
mod sinks;
mod sts;
pub mod units;
mod upstreams;

pub use error::ConfigError;
pub use finding::{Finding, Severity, Span};
pub(crate) use issuers::is_loopback;
pub use listeners::AdminConfig;
pub use sts::StsConfig;

use crate::config::finding::Findings;
use crate::config::node::Node;
use crate::config::reader::{Reader, Table};
use crate::config::upstreams::Upstreams;
use crate::event::EventsConfig;
use crate::listener::ListenerSpec;
use crate::policy::directory::PoliciesConfig;
use crate::route::{EdgeRules, RouteSpec, RouteTable, Upstream};
use crate::sts::revocations;
use crate::token::IssuerSpec;

/// A configuration that can be run.
#[derive(Clone, Debug)]
pub struct Config {
    /// The file that it came from.
    pub file: PathBuf,
    /// Where requests come in; never empty.
    pub listeners: Vec<ListenerSpec>,
    /// Where health, metrics and settings are served; `None`: nowhere.
    pub admin: Option<AdminConfig>,
    /// How many threads work; `None`: one for each CPU that this process may use.
    pub workers: Option<NonZeroUsize>,
    /// Whose tokens are believed; with `sts` the last one is this proxy itself.
    pub issuers: Vec<IssuerSpec>,
    /// The routes, compiled.
    pub routes: Arc<RouteTable>,
    /// The routes, as configured.
    pub route_specs: Vec<RouteSpec>,
    /// Where requests go.
    pub upstreams: Vec<Arc<Upstream>>,
    /// What holds for every request.
    pub edge: EdgeRules,
    /// The accounts' settings; `None`: every account is unrestricted.
    pub settings_file: Option<PathBuf>,
    /// The policies; `None`: the perimeter alone decides.
    pub policies: Option<PoliciesConfig>,
    /// Where decisions are recorded.
    pub events: EventsConfig,
    /// The tokens of sessions; `None`: none are given out here.
    pub sts: Option<StsConfig>,
    /// What is doubtful, but no reason to refuse.
    pub warnings: Vec<Finding>,
}

impl Config {
    /// Where the sessions that were ended are kept, if anywhere.
    pub fn revocations_file(&self) -> Option<PathBuf> {
        let keys = self.sts.as_ref().map(|sts| sts.keys.directory.as_path());
        revocations::path_of(self.settings_file.as_deref(), keys)
    }
}

/// Reads a configuration file, with this process's environment.
///
/// # Errors
/// The file can't be read, or is wrong; the error has everything that is wrong with it.
pub fn load(file: &Path) -> Result<Config, ConfigError> {
    let unreadable = |source| ConfigError::Unreadable { file: file.to_owned(), source };
    let size_bytes = std::fs::metadata(file).map_err(unreadable)?.len();
    if FILE_BYTES_MAX < size_bytes {
        return Err(ConfigError::Large { file: file.to_owned(), size_bytes });
    }
    let bytes = std::fs::read(file).map_err(unreadable)?;
    let text = std::str::from_utf8(&bytes).map_err(|error| not_utf8(file, &bytes, &error))?;
    parse(text, file, &environment)
}

/// Reads a configuration from text.
///
/// `file` names it in findings, and relative paths start at its directory; `env` gives the value
/// of an environment variable. Files that the configuration names are opened and checked.
///
/// # Errors
/// The configuration is wrong; the error has everything that is wrong with it.
pub fn parse(
    text: &str,
    file: &Path,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Config, ConfigError> {
    let mut findings = Findings::new(file, text);
    let Some(mut root) = node::read(text, NODES_MAX, &mut findings) else {
        return Err(ConfigError::Invalid { findings: findings.into_sorted() });
    };
    node::expand(&mut root, env, &mut findings);
    let directory = file.parent().unwrap_or(Path::new(""));
    let mut reader = Reader::new(directory, findings);
    let config = read(&mut reader, &root, file, directory);
    let refused = reader.findings.has_errors();
    let findings = reader.findings.into_sorted();
    match config {
        Some(config) if !refused => Ok(Config { warnings: findings, ..config }),
        Some(_) | None => Err(ConfigError::Invalid { findings }),
    }
}

/// Every key by the section that it is in, as `section` and keys; the root is `""`.
pub fn schema() -> &'static [(&'static str, &'static [&'static str])] {
    SCHEMA
}

fn read(reader: &mut Reader<'_>, root: &Node, file: &Path, directory: &Path) -> Option<Config> {
    let root = reader.table(root, "", ROOT_KEYS)?;
    let (listeners, admin, mut taken) = listeners::read(reader, root);
    let mut issuers = issuers::read(reader, root);
    let mut upstreams = Upstreams::read(reader, root);
    let routes = routes::read(reader, root, &mut upstreams);
    let upstreams = upstreams.finish(reader);
    check_issuers(reader, root, &issuers, &routes.specs);
    let mut events = EventsConfig::default();
    events.directory = directory.join(&events.directory);
    if let Some(node) = root.get("events") {
        events::read(reader, node, &mut events);
    }
    let sts = sts::read(reader, root, directory, &mut taken, &issuers);
    issuers.extend(sts.as_ref().map(StsConfig::issuer));
    Some(Config {
        file: file.to_owned(),
        listeners,
        admin,
        workers: edge::read_workers(reader, root),
        issuers,
        routes: routes.table,
        route_specs: routes.specs,
        upstreams,
        edge: edge::read(reader, root),
        settings_file: read_settings(reader, root),
        policies: policies::read(reader, root),
        events,
        sts,
        warnings: Vec::new(),
    })
}

fn check_issuers(
    reader: &mut Reader<'_>,
    root: Table<'_>,
    issuers: &[IssuerSpec],
    routes: &[RouteSpec],
) {
    let has_none = root.get("issuers").is_none_or(|node| node.as_list().is_empty());
    if issuers.is_empty() && has_none && routes.iter().any(|route| route.question.is_some()) {
        reader.findings.warn(
            root.key_at("issuers"),
            "no `issuers`: every request to a protected route is answered 401",
            "name whose tokens are believed",
        );
    }
}

fn read_settings(reader: &mut Reader<'_>, root: Table<'_>) -> Option<PathBuf> {
    let table = reader.table(root.get("settings")?, "settings", SETTINGS_KEYS)?;
    let node = reader.require(table, "file", "like `settings: { file: settings.yaml }`")?;
    reader.readable_file(node, "file").map(|(path, _)| path)
}

#[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
pub(crate) fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn not_utf8(file: &Path, bytes: &[u8], error: &std::str::Utf8Error) -> ConfigError {
    let valid = bytes.get(..error.valid_up_to()).unwrap_or_default();
    let text = String::from_utf8_lossy(valid);
    let line = text.matches('\n').count() + 1;
    let column = text.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    let mut findings = Findings::new(file, &text);
    findings.error(Span { line, column, width: 1 }, "not UTF-8");
    ConfigError::Invalid { findings: findings.into_sorted() }
}

const ROOT_KEYS: &[&str] = &[
    "listeners",
    "admin",
    "workers",
    "issuers",
    "routes",
    "upstreams",
    "settings",
    "policies",
    "events",
    "limits",
    "identity_headers",
    "drain",
    "forward_token",
    "trusted_proxies",
    "sts",
];

const SETTINGS_KEYS: &[&str] = &["file"];

const SCHEMA: &[(&str, &[&str])] = &[
    ("", ROOT_KEYS),
    ("listeners", listeners::LISTENER_KEYS),
    ("listeners.tls", listeners::TLS_KEYS),
    ("admin", listeners::ADMIN_KEYS),
    ("issuers", issuers::ISSUER_KEYS),
    ("issuers.jwks", issuers::JWKS_KEYS),
    ("issuers.claims", issuers::CLAIMS_KEYS),
    ("routes", routes::ROUTE_KEYS),
    ("upstreams", upstreams::UPSTREAM_KEYS),
    ("settings", SETTINGS_KEYS),
    ("policies", policies::POLICIES_KEYS),
    ("events", events::EVENTS_KEYS),
    ("events.on_full", events::ON_FULL_KEYS),
    ("events.retention", events::RETENTION_KEYS),
    ("events.sinks", sinks::SINK_KEYS),
    ("events.sinks.*", sinks::COMMON_KEYS),
    ("events.sinks.*", sinks::CONNECT_KEYS),
    ("events.sinks.*.batch", sinks::BATCH_KEYS),
    ("events.sinks.*.tls", sinks::TLS_KEYS),
    ("events.sinks.nats", sinks::NATS_KEYS),
    ("events.sinks.otlp", sinks::OTLP_KEYS),
    ("events.sinks.http", sinks::HTTP_KEYS),
    ("limits", edge::LIMITS_KEYS),
    ("identity_headers", edge::IDENTITY_HEADERS_KEYS),
    ("drain", edge::DRAIN_KEYS),
    ("sts", sts::STS_KEYS),
    ("sts.tls", listeners::TLS_KEYS),
    ("sts.keys", sts::KEYS_KEYS),
    ("sts.duration", sts::DURATION_KEYS),
    ("sts.watch", sts::WATCH_KEYS),
];

const SECOND: Duration = Duration::from_secs(1);

/// The largest configuration: thousands of routes; more is another file by mistake.
const FILE_BYTES_MAX: u64 = 8 << 20;

/// The most nodes of a configuration: 10,000 routes of 20 nodes each.
const NODES_MAX: usize = 200_000;
