//! `events.sinks`: who gets events besides the log.
//!
//! A finding never repeats what a URL or a header says: a password may be in it.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use http::{HeaderName, HeaderValue, Uri, header};

use crate::config::listeners::{read_certificates, read_key};
use crate::config::node::{Node, Value};
use crate::config::reader::{Reader, Table};
use crate::event::{
    BatchLimits, Compression, HttpSpec, Login, NatsSpec, OtlpProtocol, OtlpSpec, SINK_TIMEOUT,
    Secret, SinkKind, SinkSpec, StartAt, TlsFiles, TlsIdentity,
};

/// The kinds.
pub(super) const SINK_KEYS: &[&str] = &["nats", "otlp", "http", "stdout"];
/// What every kind has.
pub(super) const COMMON_KEYS: &[&str] = &["name", "from", "batch", "timeout"];
pub(super) const BATCH_KEYS: &[&str] = &["events", "bytes"];
/// What every kind has that connects.
pub(super) const CONNECT_KEYS: &[&str] = &["tls"];
pub(super) const TLS_KEYS: &[&str] = &["ca", "certificate", "key"];
pub(super) const NATS_KEYS: &[&str] = &["url", "stream", "subject", "create", "credentials"];
pub(super) const OTLP_KEYS: &[&str] = &["url", "protocol", "headers", "compression"];
pub(super) const HTTP_KEYS: &[&str] = &["url", "headers", "compression"];

/// Reads the sinks, whose names must differ.
pub(super) fn read(reader: &mut Reader<'_>, node: &Node) -> Vec<SinkSpec> {
    let nodes = reader.list(node, "sinks").unwrap_or_default();
    let mut seen = BTreeMap::new();
    let mut sinks = Vec::new();
    for node in nodes {
        let Some(sink) = read_sink(reader, node) else { continue };
        if let Some(first) = seen.insert(sink.name.clone(), node.at.line) {
            reader.findings.error_hint(
                node.at,
                "a sink of this name comes twice",
                format!("it is first at line {first}; give one of them another `name`"),
            );
        }
        sinks.push(sink);
    }
    sinks
}

fn read_sink(reader: &mut Reader<'_>, node: &Node) -> Option<SinkSpec> {
    let table = reader.table(node, "sinks", SINK_KEYS)?;
    if matches!(&node.value, Value::Table(entries) if entries.len() != 1) {
        reader.findings.error_hint(node.at, "a sink has exactly one kind", "like `nats: { … }`");
        return None;
    }
    let (kind, node) = SINK_KEYS.iter().find_map(|kind| Some((*kind, table.get(kind)?)))?;
    let own = match kind {
        "nats" => NATS_KEYS,
        "otlp" => OTLP_KEYS,
        "http" => HTTP_KEYS,
        _ => &[],
    };
    let connect = if own.is_empty() { &[] } else { CONNECT_KEYS };
    let table = reader.table(node, kind, &[own, connect, COMMON_KEYS].concat())?;
    let common = read_common(reader, table);
    let kind = match kind {
        "nats" => SinkKind::Nats(read_nats(reader, table)?),
        "otlp" => SinkKind::Otlp(read_otlp(reader, table)?),
        "http" => SinkKind::Http(read_http(reader, table)?),
        _ => SinkKind::Stdout,
    };
    let Common { name, from, batch, timeout } = common;
    let name = name.unwrap_or_else(|| kind.as_str().into());
    Some(SinkSpec { name, from, batch, timeout, kind })
}

/// What every kind has.
struct Common {
    name: Option<Box<str>>,
    from: StartAt,
    batch: BatchLimits,
    timeout: Duration,
}

fn read_common(reader: &mut Reader<'_>, table: Table<'_>) -> Common {
    let name = table.get("name").and_then(|node| read_name(reader, node));
    let from = table.get("from").and_then(|node| {
        let choices = [("beginning", StartAt::Beginning), ("now", StartAt::Now)];
        reader.choice(node, "from", &choices)
    });
    let timeout = table.get("timeout").and_then(|it| reader.duration(it, "timeout", &TIMEOUTS));
    Common {
        name,
        from: from.unwrap_or_default(),
        batch: read_batch(reader, table),
        timeout: timeout.unwrap_or(SINK_TIMEOUT),
    }
}

fn read_name(reader: &mut Reader<'_>, node: &Node) -> Option<Box<str>> {
    let name = reader.text(node, "name")?;
    let is_plain = name.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c));
    if is_plain && name.len() <= NAME_BYTES_MAX && !name.starts_with('.') {
        return Some(name);
    }
    reader.findings.error_hint(
        node.at,
        format!("`{}` is no name of a sink", node.written()),
        "a name has at most 64 of the characters `A-Z a-z 0-9 _ - .`, the first no dot",
    );
    None
}

fn read_batch(reader: &mut Reader<'_>, table: Table<'_>) -> BatchLimits {
    let mut batch = BatchLimits::default();
    let Some(table) = table.get("batch").and_then(|it| reader.table(it, "batch", BATCH_KEYS))
    else {
        return batch;
    };
    if let Some(events) = table.get("events").and_then(|it| reader.number(it, "events", 1..=10_000))
    {
        batch.events = u64::try_from(events).unwrap_or(batch.events);
    }
    let sizes = 4096..=16 << 20;
    if let Some(bytes) = table.get("bytes").and_then(|it| reader.size(it, "bytes", &sizes)) {
        batch.bytes = usize::try_from(bytes).unwrap_or(batch.bytes);
    }
    batch
}

fn read_nats(reader: &mut Reader<'_>, table: Table<'_>) -> Option<NatsSpec> {
    let hint = "a NATS sink has `url`, `stream` and `subject`";
    let url = reader.require(table, "url", hint).and_then(|node| read_servers(reader, node));
    let mut word = |key, is_sound: fn(&str) -> bool, rule| {
        let node = reader.require(table, key, hint)?;
        let text = reader.text(node, key)?;
        if is_sound(&text) {
            return Some(text);
        }
        reader.findings.error_hint(node.at, format!("`{}` is no `{key}`", node.written()), rule);
        None
    };
    let stream =
        word("stream", is_stream, "a stream's name has no spaces and none of `. * > / \\`");
    let subject =
        word("subject", is_subject, "a subject is words with dots between them, without wildcards");
    let credentials = match table.get("credentials") {
        None => None,
        Some(node) => Some(reader.readable_file(node, "credentials")?.0),
    };
    let tls = read_tls(reader, table);
    let create = table.get("create").and_then(|node| reader.boolean(node, "create"));
    let (servers, login) = url?;
    Some(NatsSpec {
        servers,
        login,
        stream: stream?,
        subject: subject?,
        create: create.unwrap_or(false),
        credentials,
        tls: tls?,
    })
}

/// The servers without their login, which is the first one's.
fn read_servers(reader: &mut Reader<'_>, node: &Node) -> Option<(Vec<Box<str>>, Option<Login>)> {
    let text = reader.text(node, "url")?;
    let mut login = None;
    let mut servers = Vec::new();
    for server in text.split(',') {
        let Some((address, found)) = split_server(server.trim()) else {
            reader.findings.error_hint(
                node.at,
                "`url` is no address of a NATS server",
                "like `nats://127.0.0.1:4222`, several with commas; in a login write `%2C` for a comma",
            );
            return None;
        };
        login = login.or(found);
        servers.push(address);
    }
    Some((servers, login))
}

fn split_server(server: &str) -> Option<(Box<str>, Option<Login>)> {
    let (scheme, rest) = server.split_once("://")?;
    let (login, host) = rest.rsplit_once('@').map_or((None, rest), |(login, host)| {
        let (user, password) = login.split_once(':').map_or((login, None), |(u, p)| (u, Some(p)));
        let password = password.map(|password| Secret::new(&percent_decoded(password)));
        (Some(Login { user: Secret::new(&percent_decoded(user)), password }), host)
    });
    let uri: Uri = format!("{scheme}://{host}").parse().ok()?;
    let sound = matches!(scheme, "nats" | "tls")
        && uri.host().is_some_and(|host| !host.is_empty())
        && uri.path().trim_matches('/').is_empty()
        && uri.query().is_none();
    sound.then(|| (format!("{scheme}://{host}").into(), login))
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        let hex = after.first_chunk::<2>().filter(|_| *byte == b'%');
        let code = hex.and_then(|hex| std::str::from_utf8(hex).ok());
        let code = code.and_then(|code| u8::from_str_radix(code, 16).ok());
        bytes.push(code.unwrap_or(*byte));
        rest = after.get(if code.is_some() { 2 } else { 0 }..).unwrap_or_default();
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn is_stream(text: &str) -> bool {
    !text.contains(|c: char| c.is_whitespace() || c.is_control() || ".*>/\\".contains(c))
}

fn is_subject(text: &str) -> bool {
    let bad = |c: char| c.is_whitespace() || c.is_control() || "*>".contains(c);
    text.split('.').all(|word| !word.is_empty() && !word.contains(bad))
}

fn read_otlp(reader: &mut Reader<'_>, table: Table<'_>) -> Option<OtlpSpec> {
    let url = reader.require(table, "url", "like `url: http://127.0.0.1:4318`");
    let url = url.and_then(|node| read_url(reader, node));
    let protocol = match table.get("protocol") {
        None => Some(OtlpProtocol::default()),
        Some(node) => {
            let choices = [("http", OtlpProtocol::Http), ("grpc", OtlpProtocol::Grpc)];
            reader.choice(node, "protocol", &choices)
        }
    };
    let headers = read_headers(reader, table);
    let compression = read_compression(reader, table);
    let tls = read_tls(reader, table);
    let (url, protocol) = (url?, protocol?);
    if protocol == OtlpProtocol::Grpc && url.path() != "/" {
        let at = table.value_at("url");
        reader.findings.error_hint(at, "`url` has a path, and gRPC has its own", "remove the path");
        return None;
    }
    let spec = OtlpSpec { url, protocol, headers: headers?, compression: compression?, tls: tls? };
    warn_of_plain_headers(reader, table, &spec.url);
    Some(spec)
}

fn read_http(reader: &mut Reader<'_>, table: Table<'_>) -> Option<HttpSpec> {
    let url = reader.require(table, "url", "like `url: https://collector.example.com/events`");
    let url = url.and_then(|node| read_url(reader, node));
    let headers = read_headers(reader, table);
    let compression = read_compression(reader, table);
    let tls = read_tls(reader, table);
    let spec = HttpSpec { url: url?, headers: headers?, compression: compression?, tls: tls? };
    warn_of_plain_headers(reader, table, &spec.url);
    Some(spec)
}

fn read_url(reader: &mut Reader<'_>, node: &Node) -> Option<Uri> {
    let text = reader.text(node, "url")?;
    let uri = text.parse::<Uri>().ok();
    let (message, hint) = match uri {
        _ if text.split_once("://").is_some_and(|(_, rest)| authority(rest).contains('@')) => {
            ("`url` has a user or password", "remove what is before `@`, and send it in `headers`")
        }
        Some(uri)
            if matches!(uri.scheme_str(), Some("http" | "https"))
                && uri.host().is_some_and(|host| !host.is_empty()) =>
        {
            return Some(uri);
        }
        Some(_) | None => ("`url` is no URL of http or https", "like `https://example.com/events`"),
    };
    reader.findings.error_hint(node.at, message, hint);
    None
}

fn authority(rest: &str) -> &str {
    rest.split(['/', '?', '#']).next().unwrap_or_default()
}

fn read_headers(
    reader: &mut Reader<'_>,
    table: Table<'_>,
) -> Option<Vec<(HeaderName, HeaderValue)>> {
    let Some(node) = table.get("headers") else { return Some(Vec::new()) };
    let Value::Table(entries) = &node.value else {
        let hint = "like `{ authorization: \"Bearer ${TOKEN}\" }`";
        reader.wrong_type(node, "`headers` is a mapping of names", hint);
        return None;
    };
    let mut headers = Vec::new();
    for entry in entries {
        let Some(name) = HeaderName::try_from(&entry.key).ok().filter(|name| !is_ours(name)) else {
            reader.findings.error_hint(
                entry.key_at,
                format!("`{}` is no header that can be added", entry.key),
                "a name of letters, digits and `-`, but for those that say what the body is",
            );
            return None;
        };
        let text = reader.text(&entry.node, "headers")?;
        let Ok(mut value) = HeaderValue::try_from(&*text) else {
            let message = format!("the value of header `{name}` can't be sent");
            reader.findings.error_hint(entry.node.at, message, "visible ASCII and spaces");
            return None;
        };
        value.set_sensitive(true);
        headers.push((name, value));
    }
    Some(headers)
}

fn is_ours(name: &HeaderName) -> bool {
    let ours = [
        header::CONNECTION,
        header::CONTENT_ENCODING,
        header::CONTENT_LENGTH,
        header::CONTENT_TYPE,
        header::HOST,
        header::TE,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
    ];
    ours.contains(name) || name.as_str().starts_with("grpc-")
}

fn warn_of_plain_headers(reader: &mut Reader<'_>, table: Table<'_>, url: &Uri) {
    let is_plain = url.scheme_str() == Some("http");
    let is_far = !url.host().is_some_and(super::issuers::is_loopback);
    if is_plain && is_far && table.get("headers").is_some() {
        reader.findings.warn(
            table.key_at("headers"),
            "`headers` go over http, where others can read them",
            "use https if a token is among them",
        );
    }
}

fn read_compression(reader: &mut Reader<'_>, table: Table<'_>) -> Option<Compression> {
    let Some(node) = table.get("compression") else { return Some(Compression::default()) };
    let choices = [("gzip", Compression::Gzip), ("none", Compression::None)];
    reader.choice(node, "compression", &choices)
}

fn read_tls(reader: &mut Reader<'_>, table: Table<'_>) -> Option<TlsFiles> {
    let Some(node) = table.get("tls") else { return Some(TlsFiles::default()) };
    let table = reader.table(node, "tls", TLS_KEYS)?;
    let mut certificates = |key| match table.get(key) {
        None => Some(None),
        Some(node) => read_certificates(reader, node, key).map(Some),
    };
    let (ca, certificate): (Option<Option<PathBuf>>, _) =
        (certificates("ca"), certificates("certificate"));
    let key = match table.get("key") {
        None => Some(None),
        Some(node) => read_key(reader, node).map(Some),
    };
    let identity = match (certificate?, key?) {
        (None, None) => None,
        (Some(certificate), Some(key)) => Some(TlsIdentity { certificate, key }),
        (Some(_), None) | (None, Some(_)) => {
            let message = "`certificate` and `key` come together";
            reader.findings.error_hint(node.at, message, "name both files, or none");
            return None;
        }
    };
    Some(TlsFiles { ca: ca?, identity })
}

/// Of a sink's name: it is part of a file's name.
const NAME_BYTES_MAX: usize = 64;
/// More than an hour is no attempt any more.
const TIMEOUTS: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_hours(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_told_apart_from_its_login() {
        let login = |user: &str, password: Option<&str>| {
            Some(Login { user: Secret::new(user), password: password.map(Secret::new) })
        };
        for (text, address, expected) in [
            ("nats://127.0.0.1:4222", "nats://127.0.0.1:4222", None),
            ("tls://nats.example.com", "tls://nats.example.com", None),
            ("nats://u:p@a:1", "nats://a:1", login("u", Some("p"))),
            ("nats://token@a", "nats://a", login("token", None)),
            ("nats://u%40x:p%2Fq@r@a", "nats://a", login("u@x", Some("p/q@r"))),
            ("nats://[::1]:4222", "nats://[::1]:4222", None),
        ] {
            assert_eq!(split_server(text), Some((address.into(), expected)), "{text}");
        }
        for text in
            ["127.0.0.1:4222", "http://a", "nats://", "nats://a/b", "nats://u@", "nats://a?b"]
        {
            assert_eq!(split_server(text), None, "{text}");
        }
    }

    #[test]
    fn streams_and_subjects_are_those_that_nats_takes() {
        for text in ["CROSSGATE", "events-1", "a_b"] {
            assert!(is_stream(text), "{text}");
        }
        for text in ["a.b", "a b", "*", ">", "a/b", "a\\b"] {
            assert!(!is_stream(text), "{text}");
        }
        for text in ["crossgate.events", "a", "a.b-c._"] {
            assert!(is_subject(text), "{text}");
        }
        for text in ["a.", ".a", "a..b", "a.*", "a.>", "a b", "a.\tb"] {
            assert!(!is_subject(text), "{text}");
        }
    }
}
