//! `sts`: the listener for tokens of sessions, the keys that sign them, and what holds for all.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http::Uri;

use crate::config::issuers::{LEEWAY_DEFAULT, is_loopback, read_algorithm};
use crate::config::listeners::{self, Taken};
use crate::config::node::Node;
use crate::config::reader::{Reader, Table};
use crate::config::{Config, SECOND};
use crate::iam::{AccountId, Arn};
use crate::listener::{ListenerSpec, TlsFiles};
use crate::sts::keys::KeysSpec;
use crate::sts::{StsRules, WatchRules};
use crate::token::{AUDIENCES_MAX, Algorithm, ClaimsMapping, IssuerSpec, JwksLocation, JwksSource};

/// Where tokens of sessions are given out, and which.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StsConfig {
    /// Where it listens.
    pub address: SocketAddr,
    /// The files of its TLS; `None`: plain HTTP.
    pub tls: Option<TlsFiles>,
    /// The keys that sign.
    pub keys: KeysSpec,
    /// What holds for every session.
    pub rules: StsRules,
}

impl StsConfig {
    /// The issuer that this proxy is of its own session tokens; its keys are in the file that
    /// [`crate::sts::keys::SessionKeys`] writes.
    pub fn issuer(&self) -> IssuerSpec {
        IssuerSpec {
            issuer: self.rules.issuer.clone(),
            audiences: self.rules.audiences.clone(),
            algorithms: Algorithm::OF_SESSIONS.to_vec(),
            jwks: JwksSource {
                location: JwksLocation::File(self.keys.jwks_file()),
                refresh: SECOND * 300,
                unknown_kid_interval: SECOND,
                timeout: SECOND * 5,
            },
            leeway: LEEWAY_DEFAULT,
            claims: ClaimsMapping::Session,
        }
    }
}

impl Config {
    /// This version for a program that was started with another one: of `sts`, what names a socket,
    /// keys or the issuer stays as it was, and the section neither comes nor goes. Else tokens
    /// would be signed by keys that nobody looks for.
    #[must_use]
    pub fn with_sts_of(mut self, started: &Self) -> Self {
        let new = self.sts.take();
        let is_own = |sts: &Option<StsConfig>, issuer: &IssuerSpec| {
            sts.as_ref().is_some_and(|sts| sts.rules.issuer == issuer.issuer)
        };
        self.issuers.retain(|issuer| !is_own(&new, issuer) && !is_own(&started.sts, issuer));
        self.sts = started.sts.clone().map(|old| match new {
            None => old,
            Some(new) => StsConfig {
                tls: old.tls.map(|files| new.tls.unwrap_or(files)),
                rules: StsRules { issuer: old.rules.issuer, ..new.rules },
                ..old
            },
        });
        self.issuers.extend(self.sts.as_ref().map(StsConfig::issuer));
        self
    }
}

pub(super) const STS_KEYS: &[&str] =
    &["address", "tls", "issuer", "keys", "audiences", "duration", "watch"];
pub(super) const KEYS_KEYS: &[&str] = &["directory", "algorithm", "rotate"];
pub(super) const DURATION_KEYS: &[&str] = &["default", "max"];
pub(super) const WATCH_KEYS: &[&str] =
    &["window", "failed_attempts", "external_ids", "long_session", "break_glass"];

/// Reads the section; without it no session token is given out here.
///
/// `directory` is that of the file, `taken` are the addresses of the other listeners.
pub(super) fn read(
    reader: &mut Reader<'_>,
    root: Table<'_>,
    directory: &Path,
    taken: &mut Taken,
    issuers: &[IssuerSpec],
) -> Option<StsConfig> {
    let table = reader.table(root.get("sts")?, "sts", STS_KEYS)?;
    if root.get("policies").is_none() {
        reader.findings.error_hint(
            root.key_at("sts"),
            "`sts` without `policies`: there are no roles to begin a session of",
            "like `policies: { directory: policies, mode: limited }`",
        );
    }
    let socket = listeners::read_socket(reader, table, taken);
    let issuer = read_issuer(reader, table, issuers);
    let (duration_default, duration_max) = read_duration(reader, table);
    let keys = read_keys(reader, table, directory);
    let audiences = read_audiences(reader, root, table, issuers);
    let watch = table.get("watch").map_or_else(WatchRules::default, |it| read_watch(reader, it));
    let ListenerSpec { address, tls } = socket?;
    Some(StsConfig {
        address,
        tls,
        keys: keys?,
        rules: StsRules {
            issuer: issuer?,
            audiences: audiences?,
            duration_default,
            duration_max,
            watch,
        },
    })
}

fn read_issuer(
    reader: &mut Reader<'_>,
    table: Table<'_>,
    issuers: &[IssuerSpec],
) -> Option<Box<str>> {
    let hint = "the `iss` of session tokens, like `https://sts.example.com`";
    let node = reader.require(table, "issuer", hint)?;
    let issuer = reader.text(node, "issuer")?;
    if issuers.iter().any(|known| known.issuer == issuer) {
        reader.findings.error_hint(
            node.at,
            format!("issuer `{}` is one of `issuers` too", node.written()),
            "remove it there: this proxy's own session tokens are accepted without",
        );
        return None;
    }
    check_issuer(reader, &issuer, node)?;
    Some(issuer)
}

/// Clients read `<issuer>/.well-known/…` (RFC 8414), which only a URL has a place for.
fn check_issuer(reader: &mut Reader<'_>, issuer: &str, node: &Node) -> Option<()> {
    // It is in every token, so what is before the `@` would be everybody's.
    if issuer.contains('@') {
        let message = "an issuer has no user or password";
        reader.findings.error_hint(node.at, message, "remove what is before `@`");
        return None;
    }
    let parsed = issuer.parse::<Uri>().ok();
    let parts = parsed.as_ref().and_then(|uri| Some((uri.scheme_str()?, uri.host()?)));
    let (message, hint) = match parts {
        Some(("https" | "http", _)) if issuer.contains(['?', '#']) => {
            ("has a query or fragment, which no client keeps", "remove it".to_owned())
        }
        Some(("https", _)) => return Some(()),
        Some(("http", host)) if is_loopback(host) => return Some(()),
        Some(("http", _)) => (
            "is over http: whoever is on the way could replace keys and read tokens",
            "use https".to_owned(),
        ),
        Some(_) | None => (
            "is not a URL: clients that look for metadata and keys there find none",
            "like `https://sts.example.com`".to_owned(),
        ),
    };
    reader.findings.warn(node.at, format!("issuer `{}` {message}", node.written()), hint);
    Some(())
}

fn read_duration(reader: &mut Reader<'_>, table: Table<'_>) -> (Duration, Duration) {
    let usual = (DURATION_DEFAULT, DURATION_MAX);
    let Some(table) =
        table.get("duration").and_then(|it| reader.table(it, "duration", DURATION_KEYS))
    else {
        return usual;
    };
    let max = table.get("max").and_then(|node| reader.duration(node, "max", &DURATIONS));
    let max = max.unwrap_or(DURATION_MAX);
    let Some(node) = table.get("default") else {
        return (DURATION_DEFAULT.min(max), max);
    };
    let default = reader.duration(node, "default", &DURATIONS).unwrap_or(DURATION_DEFAULT);
    if max < default {
        reader.findings.error_hint(
            node.at,
            format!("`default` of `{}` is longer than `max`", node.written()),
            "a session that asks for no duration has the default",
        );
    }
    (default, max)
}

fn read_keys(reader: &mut Reader<'_>, table: Table<'_>, directory: &Path) -> Option<KeysSpec> {
    let table = match table.get("keys") {
        None => None,
        Some(node) => Some(reader.table(node, "keys", KEYS_KEYS)?),
    };
    let node = |key| table.and_then(|table| table.get(key));
    let directory = match node("directory") {
        None => Some(directory.join(DIRECTORY_DEFAULT)),
        Some(node) => read_directory(reader, node),
    };
    let algorithm = match node("algorithm") {
        None => Some(Algorithm::Es256),
        Some(node) => read_algorithm(reader, node, ALGORITHMS),
    };
    let rotate = match node("rotate") {
        None => Some(ROTATE_DEFAULT),
        Some(node) => reader.duration(node, "rotate", &ROTATIONS),
    };
    Some(KeysSpec {
        directory: directory?,
        algorithm: algorithm?,
        rotate: rotate?,
        overlap: OVERLAP,
    })
}

/// It is made at start if it is absent.
fn read_directory(reader: &mut Reader<'_>, node: &Node) -> Option<PathBuf> {
    let directory = reader.path(node, "directory")?;
    if directory.exists() && !directory.is_dir() {
        let message = format!("`directory` `{}` is a file", node.written());
        reader.findings.error(node.at, message);
        return None;
    }
    Some(directory)
}

fn read_audiences(
    reader: &mut Reader<'_>,
    root: Table<'_>,
    table: Table<'_>,
    issuers: &[IssuerSpec],
) -> Option<Vec<Box<str>>> {
    let Some(node) = table.get("audiences") else {
        let mut audiences: Vec<Box<str>> = Vec::new();
        for audience in issuers.iter().flat_map(|issuer| &issuer.audiences) {
            if !audiences.contains(audience) {
                audiences.push(audience.clone());
            }
        }
        if AUDIENCES_MAX < audiences.len() {
            reader.findings.error_hint(
                root.key_at("sts"),
                format!("`issuers` have more than {AUDIENCES_MAX} audiences together"),
                "name those of session tokens in `audiences`",
            );
            return None;
        }
        return Some(audiences);
    };
    let nodes = reader.list(node, "audiences")?;
    if nodes.is_empty() || AUDIENCES_MAX < nodes.len() {
        reader.findings.error_hint(
            node.at,
            format!("`audiences` has {} elements", nodes.len()),
            format!("from 1 to {AUDIENCES_MAX}; without the key it is all of `issuers`"),
        );
        return None;
    }
    nodes.iter().map(|node| reader.text(node, "audiences")).collect()
}

fn read_watch(reader: &mut Reader<'_>, node: &Node) -> WatchRules {
    let mut rules = WatchRules::default();
    let Some(table) = reader.table(node, "watch", WATCH_KEYS) else {
        return rules;
    };
    if let Some(node) = table.get("window") {
        rules.window = reader.duration(node, "window", &WINDOWS).unwrap_or(rules.window);
    }
    let mut count = |key, usual, range| {
        let read = table.get(key).and_then(|node| reader.number(node, key, range));
        read.and_then(|count| u32::try_from(count).ok()).unwrap_or(usual)
    };
    rules.failed_attempts = count("failed_attempts", rules.failed_attempts, FAILURES);
    rules.external_ids = count("external_ids", rules.external_ids, EXTERNAL_IDS);
    if let Some(node) = table.get("long_session") {
        let read = reader.duration(node, "long_session", &DURATIONS);
        rules.long_session = read.unwrap_or(rules.long_session);
    }
    if let Some(node) = table.get("break_glass") {
        let nodes = reader.list(node, "break_glass").unwrap_or_default();
        rules.break_glass = nodes.iter().filter_map(|node| read_role(reader, node)).collect();
    }
    rules
}

fn read_role(reader: &mut Reader<'_>, node: &Node) -> Option<Box<str>> {
    let role = reader.text(node, "break_glass")?;
    let is_role = Arn::parse(&role).is_some_and(|arn| {
        arn.is_role()
            && AccountId::parse(arn.account()).is_ok()
            && !arn.resource().contains(['*', '?'])
            && !arn.resource().ends_with('/')
    });
    if is_role {
        return Some(role);
    }
    reader.findings.error_hint(
        node.at,
        format!("`{}` is not the ARN of one role", node.written()),
        "like `arn:aws:iam::111111111111:role/break-glass`",
    );
    None
}

const ALGORITHMS: &[(&str, Algorithm)] =
    &[("ES256", Algorithm::Es256), ("EdDSA", Algorithm::EdDsa), ("RS256", Algorithm::Rs256)];

const DIRECTORY_DEFAULT: &str = "sts-keys";

const ROTATE_DEFAULT: Duration = Duration::from_hours(30 * 24);

/// Shorter, and others would hardly see a key before it signs; longer is no rotation.
const ROTATIONS: RangeInclusive<Duration> =
    Duration::from_hours(1)..=Duration::from_hours(365 * 24);

const DURATION_DEFAULT: Duration = Duration::from_hours(1);
const DURATION_MAX: Duration = Duration::from_hours(12);

/// The longest session that may be configured, for that may change while keys are in use, and an
/// hour, for clocks differ.
const OVERLAP: Duration = Duration::from_hours(13);
const _: () = assert!(DURATION_MAX.as_secs() < OVERLAP.as_secs());

/// The bounds of AWS (facts: iam.md section 5.1).
const DURATIONS: RangeInclusive<Duration> = Duration::from_mins(15)..=DURATION_MAX;

/// The watch forgets what is older than a day.
const WINDOWS: RangeInclusive<Duration> = Duration::from_mins(1)..=Duration::from_hours(24);

const FAILURES: RangeInclusive<usize> = 1..=1000;

/// The watch keeps no more of a principal.
const EXTERNAL_IDS: RangeInclusive<usize> = 1..=32;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    fn read(sts: &str) -> Config {
        let policies = concat!(env!("CARGO_MANIFEST_DIR"), "/config/policies");
        let keys = concat!(env!("CARGO_MANIFEST_DIR"), "/config/sample-keys.json");
        let issuer = |name: &str, audiences: &str| {
            format!("{{ issuer: {name}, audiences: {audiences}, jwks: {{ file: {keys} }} }}")
        };
        let text = format!(
            "listeners: [{{ address: \"127.0.0.1:0\" }}]\nissuers: [{}, {}]\n\
             policies: {{ directory: {policies}, mode: limited }}\n\
             sts: {{ address: \"127.0.0.1:9902\", issuer: \"https://sts\", {sts} }}\n",
            issuer("a", "[one, two]"),
            issuer("b", "[two, three]"),
        );
        config::parse(&text, Path::new("/etc/crossgate/crossgate.yaml"), &|_| None).unwrap()
    }

    #[test]
    fn what_is_not_said_has_its_default() {
        let sts = read("").sts.unwrap();
        assert_eq!(
            sts.keys,
            KeysSpec {
                directory: "/etc/crossgate/sts-keys".into(),
                algorithm: Algorithm::Es256,
                rotate: Duration::from_hours(30 * 24),
                overlap: Duration::from_hours(13),
            }
        );
        assert_eq!(
            sts.rules,
            StsRules {
                issuer: "https://sts".into(),
                audiences: ["one", "two", "three"].map(Into::into).to_vec(),
                duration_default: Duration::from_hours(1),
                duration_max: Duration::from_hours(12),
                watch: WatchRules::default(),
            }
        );
        assert_eq!((sts.address.port(), sts.tls), (9902, None));
    }

    #[test]
    fn a_default_is_never_longer_than_the_longest() {
        let sts = read("duration: { max: 30m }").sts.unwrap();
        let half = Duration::from_mins(30);
        assert_eq!((sts.rules.duration_default, sts.rules.duration_max), (half, half));
    }

    #[test]
    fn the_proxy_is_an_issuer_of_its_own_before_its_keys_exist() {
        let config = read("audiences: [orders], keys: { directory: /none }");
        let names: Vec<&str> = config.issuers.iter().map(|it| &*it.issuer).collect();
        assert_eq!(names, ["a", "b", "https://sts"]);
        let own = config.issuers.last().unwrap();
        assert_eq!(own.audiences, ["orders".into()]);
        assert_eq!(own.algorithms, [Algorithm::Es256, Algorithm::EdDsa, Algorithm::Rs256]);
        assert_eq!(own.jwks.location, JwksLocation::File("/none/jwks.json".into()));
        assert_eq!(own.claims, ClaimsMapping::Session);
    }

    #[test]
    fn what_takes_a_restart_stays_as_it_was() {
        let started = read("duration: { max: 2h }");
        let new = read("audiences: [x], duration: { max: 3h }, keys: { directory: other }");
        let renamed = StsConfig {
            address: "127.0.0.1:1".parse().unwrap(),
            rules: StsRules { issuer: "https://new".into(), ..new.sts.clone().unwrap().rules },
            ..new.sts.clone().unwrap()
        };
        let mut issuers = new.issuers.clone();
        issuers.pop();
        issuers.push(renamed.issuer());
        let new = Config { sts: Some(renamed), issuers, ..new };

        let kept = new.clone().with_sts_of(&started);
        let (sts, old) = (kept.sts.unwrap(), started.sts.clone().unwrap());
        assert_eq!((sts.address, &sts.keys), (old.address, &old.keys));
        assert_eq!(sts.rules.issuer, old.rules.issuer);
        assert_eq!(sts.rules.audiences, ["x".into()]);
        assert_eq!(sts.rules.duration_max, Duration::from_hours(3));
        assert_eq!(kept.issuers.len(), 3);
        assert_eq!(kept.issuers.last(), Some(&sts.issuer()));

        let mut without = started.clone();
        without.sts = None;
        without.issuers.pop();
        let came = new.with_sts_of(&without);
        assert_eq!((came.sts, came.issuers), (None, without.issuers.clone()));
        let went = without.with_sts_of(&started);
        assert_eq!((went.sts, went.issuers), (started.sts, started.issuers));
    }

    #[test]
    fn session_tokens_have_no_more_audiences_than_a_token_may_have() {
        let audiences = |count: usize| {
            let names: Vec<String> = (0..count).map(|number| format!("a{number}")).collect();
            format!("audiences: [{}]", names.join(", "))
        };
        assert_eq!(read(&audiences(AUDIENCES_MAX)).sts.unwrap().rules.audiences.len(), 64);
        let issuers = format!("issuers: [{{ issuer: a, {}, ", audiences(AUDIENCES_MAX + 1));
        let text = format!(
            "{issuers} jwks: {{ discovery: false }} }}]\nsts: {{ issuer: \"https://sts\" }}\n"
        );
        let error = config::parse(&text, Path::new("a.yaml"), &|_| None).unwrap_err();
        assert!(!error.to_string().contains("64 audiences"), "an issuer that is wrong has none");
        let text = text.replace("discovery: false", "url: \"https://a/keys\"");
        let error = config::parse(&text, Path::new("a.yaml"), &|_| None).unwrap_err();
        assert!(error.to_string().contains("more than 64 audiences together"), "{error}");
    }
}
