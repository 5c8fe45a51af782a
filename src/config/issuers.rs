//! `issuers`: whose tokens are believed.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use http::Uri;

use crate::config::SECOND;
use crate::config::node::{Node, Value};
use crate::config::reader::{Reader, Table};
use crate::iam::IdentityType;
use crate::token::{
    Algorithm, ClaimsMapping, IssuerSpec, JwksLocation, JwksSource, KeySet, PointerMapping,
};

pub(super) const ISSUER_KEYS: &[&str] =
    &["issuer", "audiences", "algorithms", "jwks", "leeway", "claims"];
pub(super) const JWKS_KEYS: &[&str] =
    &["url", "file", "discovery", "allow_http", "refresh", "unknown_kid_interval", "timeout"];
pub(super) const CLAIMS_KEYS: &[&str] =
    &["account", "identity_type", "identity_types", "principal", "session_tags", "mfa"];

/// Reads `issuers`; each one once.
pub(super) fn read(reader: &mut Reader<'_>, root: Table<'_>) -> Vec<IssuerSpec> {
    let Some(node) = root.get("issuers") else {
        return Vec::new();
    };
    let mut seen = BTreeMap::new();
    let nodes = reader.list(node, "issuers").unwrap_or_default();
    nodes.iter().filter_map(|node| read_issuer(reader, node, &mut seen)).collect()
}

fn read_issuer(
    reader: &mut Reader<'_>,
    node: &Node,
    seen: &mut BTreeMap<Box<str>, usize>,
) -> Option<IssuerSpec> {
    let table = reader.table(node, "issuers", ISSUER_KEYS)?;
    let issuer = reader
        .require(table, "issuer", "the exact `iss` of its tokens")
        .and_then(|node| reader.text(node, "issuer"));
    if let Some(issuer) = &issuer {
        let at = table.value_at("issuer");
        if let Some(first) = seen.insert(issuer.clone(), at.line) {
            reader.findings.error_hint(
                at,
                "issuer comes twice",
                format!("it is first at line {first}"),
            );
        }
    }
    let audiences = read_audiences(reader, table);
    let claims = match table.get("claims") {
        None => Some(ClaimsMapping::Ibm),
        Some(node) => read_claims(reader, node),
    };
    let algorithms = read_algorithms(reader, table, claims.as_ref());
    let jwks = reader
        .require(table, "jwks", "like `jwks: { url: https://… }`")
        .and_then(|node| read_jwks(reader, node, issuer.as_deref().zip(table.get("issuer"))));
    let leeway = read_leeway(reader, table);
    Some(IssuerSpec {
        issuer: issuer?,
        audiences: audiences?,
        algorithms: algorithms?,
        jwks: jwks?,
        leeway,
        claims: claims?,
    })
}

fn read_audiences(reader: &mut Reader<'_>, table: Table<'_>) -> Option<Vec<Box<str>>> {
    let hint = "write `audiences: []` to accept tokens for any audience";
    let node = reader.require(table, "audiences", hint)?;
    let nodes = reader.list(node, "audiences")?;
    if nodes.is_empty() {
        reader.findings.warn(
            node.at,
            "`audiences` is empty: tokens that were made for other services are accepted",
            "name the audiences of this service's tokens",
        );
    }
    nodes.iter().map(|node| reader.text(node, "audiences")).collect()
}

fn read_algorithms(
    reader: &mut Reader<'_>,
    table: Table<'_>,
    claims: Option<&ClaimsMapping>,
) -> Option<Vec<Algorithm>> {
    let Some(node) = table.get("algorithms") else {
        return Some(match claims {
            Some(ClaimsMapping::Session) => Algorithm::OF_SESSIONS.to_vec(),
            // OpenID Connect's default; every provider has it.
            Some(ClaimsMapping::Ibm | ClaimsMapping::Pointers(_)) | None => vec![Algorithm::Rs256],
        });
    };
    let nodes = reader.list(node, "algorithms")?;
    if nodes.is_empty() {
        reader.findings.error_hint(
            node.at,
            "`algorithms` is empty: no token could be accepted",
            "like `algorithms: [RS256]`",
        );
        return None;
    }
    nodes.iter().map(|node| read_algorithm(reader, node, ALGORITHMS)).collect()
}

/// Reads one of some algorithms; those that are never accepted are refused with their reason.
pub(super) fn read_algorithm(
    reader: &mut Reader<'_>,
    node: &Node,
    choices: &[(&'static str, Algorithm)],
) -> Option<Algorithm> {
    let refused = match node.as_text().map(str::to_ascii_uppercase).as_deref() {
        Some("HS256" | "HS384" | "HS512") => {
            Some("a shared secret would let every service that verifies tokens also make them")
        }
        Some("NONE") => Some("an unsigned token proves nothing"),
        _ => None,
    };
    if let Some(reason) = refused {
        let message = format!("algorithm `{}` is never accepted: {reason}", node.written());
        reader.findings.error_hint(node.at, message, "use `RS256`, `ES256` or `EdDSA`");
        return None;
    }
    reader.choice(node, "algorithm", choices)
}

fn read_leeway(reader: &mut Reader<'_>, table: Table<'_>) -> Duration {
    let Some(node) = table.get("leeway") else {
        return LEEWAY_DEFAULT;
    };
    let leeway =
        reader.duration(node, "leeway", &(Duration::ZERO..=LEEWAY_MAX)).unwrap_or(LEEWAY_DEFAULT);
    if LEEWAY_USUAL_MAX < leeway {
        reader.findings.warn(
            node.at,
            "`leeway` of more than `5m`: expired tokens are accepted for that long",
            "clocks that are kept by NTP need `30s` or less",
        );
    }
    leeway
}

fn read_jwks(
    reader: &mut Reader<'_>,
    node: &Node,
    issuer: Option<(&str, &Node)>,
) -> Option<JwksSource> {
    let table = reader.table(node, "jwks", JWKS_KEYS)?;
    let allow_http = read_flag(reader, table, "allow_http");
    if allow_http {
        reader.findings.warn(
            table.key_at("allow_http"),
            "`allow_http` lets whoever is on the way to the issuer replace its keys",
            "use https",
        );
    }
    let location = read_location(reader, table, issuer, allow_http);
    let refresh = read_interval(reader, table, "refresh", SECOND * 300);
    let unknown_kid_interval = read_interval(reader, table, "unknown_kid_interval", SECOND * 10);
    let timeout = read_interval(reader, table, "timeout", SECOND * 5);
    Some(JwksSource { location: location?, refresh, unknown_kid_interval, timeout })
}

fn read_location(
    reader: &mut Reader<'_>,
    table: Table<'_>,
    issuer: Option<(&str, &Node)>,
    allow_http: bool,
) -> Option<JwksLocation> {
    let discovery = read_flag(reader, table, "discovery");
    match (table.get("url"), table.get("file"), discovery) {
        (Some(node), None, false) => {
            let url = reader.text(node, "url")?;
            check_url(reader, &url, node, allow_http)?;
            Some(JwksLocation::Url(url))
        }
        (None, Some(node), false) => {
            let (path, content) = reader.readable_file(node, "file")?;
            if let Err(error) = KeySet::parse(&content) {
                let message = format!("`file` `{}`: {error}", node.written());
                reader.findings.error_hint(node.at, message, "like `{\"keys\": [ … ]}` (RFC 7517)");
                return None;
            }
            Some(JwksLocation::File(path))
        }
        (None, None, true) => {
            if let Some((issuer, node)) = issuer {
                check_url(reader, issuer, node, allow_http)?;
            }
            Some(JwksLocation::Discovery { allow_http })
        }
        (None, None, false) => {
            reader.findings.error_hint(
                table.at,
                "`jwks` has no source of keys",
                "one of `url`, `file` and `discovery: true`",
            );
            None
        }
        (Some(_), Some(_), _) | (Some(_), _, true) | (_, Some(_), true) => {
            reader.findings.error_hint(
                table.at,
                "`jwks` has more than one source of keys",
                "keep one of `url`, `file` and `discovery`",
            );
            None
        }
    }
}

/// Keys decide who gets in, so they come over https, or from this machine.
fn check_url(reader: &mut Reader<'_>, url: &str, node: &Node, allow_http: bool) -> Option<()> {
    let parsed = url.parse::<Uri>().ok();
    let parts = parsed.as_ref().and_then(|uri| Some((uri.scheme_str()?, uri.host()?)));
    let (message, hint) = match parts {
        // What is before the `@` may be a password, and messages go to logs.
        _ if url.contains('@') => {
            ("a URL of keys has no user or password".to_owned(), "remove what is before `@`")
        }
        Some(("https", _)) => return Some(()),
        Some(("http", host)) if allow_http || is_loopback(host) => return Some(()),
        Some(("http", _)) => (
            format!("keys over http from `{}` could be replaced on the way", node.written()),
            "use https, or `allow_http: true` if you know the network",
        ),
        Some(_) | None => {
            (format!("`{}` is not a URL", node.written()), "like `https://iam.example.com/keys`")
        }
    };
    reader.findings.error_hint(node.at, message, hint);
    None
}

pub(crate) fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn read_flag(reader: &mut Reader<'_>, table: Table<'_>, key: &str) -> bool {
    table.get(key).and_then(|node| reader.boolean(node, key)).unwrap_or(false)
}

fn read_interval(
    reader: &mut Reader<'_>,
    table: Table<'_>,
    key: &str,
    default: Duration,
) -> Duration {
    let read = table.get(key).map(|node| reader.duration(node, key, &JWKS_INTERVALS));
    read.flatten().unwrap_or(default)
}

fn read_claims(reader: &mut Reader<'_>, node: &Node) -> Option<ClaimsMapping> {
    if let Value::Scalar(_) = &node.value {
        return reader.choice(node, "claims", PRESETS).map(|preset| preset());
    }
    let table = reader.table(node, "claims", CLAIMS_KEYS)?;
    let account = reader
        .require(table, "account", "a JSON pointer like `/account/bss`")
        .and_then(|node| read_pointer(reader, node, "account"));
    let identity_types = read_identity_types(reader, table);
    let principal = match table.get("principal") {
        None => Some(PRINCIPAL_DEFAULT.into()),
        Some(node) => read_principal(reader, node),
    };
    let mut optional = |key| match table.get(key) {
        None => Some(None),
        Some(node) => read_pointer(reader, node, key).map(Some),
    };
    let (identity_type, session_tags, mfa) =
        (optional("identity_type"), optional("session_tags"), optional("mfa"));
    Some(ClaimsMapping::Pointers(PointerMapping {
        account: account?,
        identity_type: identity_type?,
        identity_types: identity_types?,
        principal: principal?,
        session_tags: session_tags?,
        mfa: mfa?,
    }))
}

fn read_pointer(reader: &mut Reader<'_>, node: &Node, what: &str) -> Option<Box<str>> {
    let pointer = reader.text(node, what)?;
    let escapes_hold = pointer.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
    if pointer.starts_with('/') && escapes_hold {
        return Some(pointer);
    }
    let hint = if pointer.starts_with('/') {
        "in a pointer `~` is `~0` and `/` inside a name is `~1`".to_owned()
    } else {
        format!("write `/{}`", node.written().replace('.', "/"))
    };
    reader.findings.error_hint(
        node.at,
        format!("`{}` is not a JSON pointer", node.written()),
        hint,
    );
    None
}

fn read_identity_types(
    reader: &mut Reader<'_>,
    table: Table<'_>,
) -> Option<Vec<(Box<str>, IdentityType)>> {
    let Some(node) = table.get("identity_types") else {
        return Some(Vec::new());
    };
    if table.get("identity_type").is_none() {
        reader.findings.error_hint(
            table.key_at("identity_types"),
            "`identity_types` without `identity_type`: nothing would be looked up in it",
            "name the claim, like `identity_type: /sub_type`",
        );
    }
    let Value::Table(entries) = &node.value else {
        reader.wrong_type(
            node,
            "`identity_types` is a mapping",
            "like `{ ServiceId: service_id }`",
        );
        return None;
    };
    let choices = IdentityType::ALL.map(|identity_type| (identity_type.as_str(), identity_type));
    entries
        .iter()
        .map(|entry| {
            let chosen = reader.choice(&entry.node, "identity type", &choices)?;
            Some((entry.key.as_str().into(), chosen))
        })
        .collect()
}

fn read_principal(reader: &mut Reader<'_>, node: &Node) -> Option<Box<str>> {
    let principal = reader.text(node, "principal")?;
    if braces_hold(&principal) {
        return Some(principal);
    }
    reader.findings.error_hint(
        node.at,
        format!("`{}` has a `{{` or `}}` without its other half", node.written()),
        format!("like `{PRINCIPAL_DEFAULT}`"),
    );
    None
}

/// Whether each `{` has its `}` with a name between them.
fn braces_hold(template: &str) -> bool {
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        let Some((name, after)) = after.split_once('}') else {
            return false;
        };
        if before.contains('}') || name.is_empty() || name.contains('{') {
            return false;
        }
        rest = after;
    }
    !rest.contains('}')
}

const ALGORITHMS: &[(&str, Algorithm)] = &[
    ("RS256", Algorithm::Rs256),
    ("RS384", Algorithm::Rs384),
    ("RS512", Algorithm::Rs512),
    ("PS256", Algorithm::Ps256),
    ("PS384", Algorithm::Ps384),
    ("PS512", Algorithm::Ps512),
    ("ES256", Algorithm::Es256),
    ("ES384", Algorithm::Es384),
    ("ES512", Algorithm::Es512),
    ("EdDSA", Algorithm::EdDsa),
];

type Preset = (&'static str, fn() -> ClaimsMapping);

const PRESETS: &[Preset] =
    &[("ibm", || ClaimsMapping::Ibm), ("session", || ClaimsMapping::Session)];

const PRINCIPAL_DEFAULT: &str = "arn:aws:iam::{account}:user/{sub}";

/// Covers clocks that NTP keeps; zero would refuse good tokens at the first drift.
pub(super) const LEEWAY_DEFAULT: Duration = Duration::from_secs(30);

/// More than this is worth a look.
const LEEWAY_USUAL_MAX: Duration = Duration::from_mins(5);

/// More than this is no clock skew.
const LEEWAY_MAX: Duration = Duration::from_hours(1);

const JWKS_INTERVALS: RangeInclusive<Duration> =
    Duration::from_millis(10)..=Duration::from_hours(24);
