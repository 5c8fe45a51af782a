//! `limits`, `identity_headers`, `trusted_proxies`, `forward_token`, `drain`, `workers`: what holds
//! for every request.

use std::num::NonZeroUsize;
use std::ops::RangeInclusive;
use std::time::Duration;

use http::HeaderName;
use ipnet::IpNet;

use crate::config::SECOND;
use crate::config::node::Node;
use crate::config::reader::{Reader, Table};
use crate::route::{EdgeRules, Limits};

pub(super) const LIMITS_KEYS: &[&str] =
    &["header_bytes", "headers", "body_idle_timeout", "header_timeout", "connections"];
pub(super) const IDENTITY_HEADERS_KEYS: &[&str] = &["prefix"];
pub(super) const DRAIN_KEYS: &[&str] = &["timeout"];

/// Reads the edge's rules.
pub(super) fn read(reader: &mut Reader<'_>, root: Table<'_>) -> EdgeRules {
    let mut edge = EdgeRules::default();
    if let Some(node) = root.get("limits") {
        read_limits(reader, node, &mut edge.limits);
    }
    if let Some(node) = root.get("identity_headers")
        && let Some(table) = reader.table(node, "identity_headers", IDENTITY_HEADERS_KEYS)
        && let Some(prefix) = table.get("prefix").and_then(|node| read_prefix(reader, node))
    {
        edge.identity_header_prefix = prefix;
    }
    if let Some(node) = root.get("trusted_proxies") {
        let nodes = reader.list(node, "trusted_proxies").unwrap_or_default();
        edge.trusted_proxies = nodes.iter().filter_map(|node| read_network(reader, node)).collect();
    }
    if let Some(node) = root.get("forward_token") {
        edge.forward_token = reader.boolean(node, "forward_token").unwrap_or(edge.forward_token);
    }
    edge.drain_timeout = read_drain(reader, root);
    edge
}

/// Reads `drain`; a minute is too long for most orchestrators, and 30 s is their usual patience.
fn read_drain(reader: &mut Reader<'_>, root: Table<'_>) -> Duration {
    root.get("drain")
        .and_then(|node| reader.table(node, "drain", DRAIN_KEYS))
        .and_then(|table| table.get("timeout"))
        .and_then(|node| reader.duration(node, "timeout", &TIMEOUTS))
        .unwrap_or(SECOND * 30)
}

/// Reads `workers`; `None`: one for each CPU that this process may use.
pub(super) fn read_workers(reader: &mut Reader<'_>, root: Table<'_>) -> Option<NonZeroUsize> {
    let node = root.get("workers")?;
    reader.number(node, "workers", 1..=WORKERS_MAX).and_then(NonZeroUsize::new)
}

fn read_limits(reader: &mut Reader<'_>, node: &Node, limits: &mut Limits) {
    let Some(table) = reader.table(node, "limits", LIMITS_KEYS) else {
        return;
    };
    if let Some(node) = table.get("header_bytes")
        && let Some(bytes) = reader.size(node, "header_bytes", &HEADER_BYTES)
    {
        limits.header_bytes = usize::try_from(bytes).unwrap_or(limits.header_bytes);
    }
    let mut number = |key, bounds, slot: &mut usize| {
        if let Some(read) = table.get(key).and_then(|node| reader.number(node, key, bounds)) {
            *slot = read;
        }
    };
    number("headers", 1..=HEADERS_MAX, &mut limits.headers);
    number("connections", 1..=CONNECTIONS_MAX, &mut limits.connections);
    let mut duration = |key, slot: &mut Duration| {
        if let Some(read) = table.get(key).and_then(|node| reader.duration(node, key, &TIMEOUTS)) {
            *slot = read;
        }
    };
    duration("body_idle_timeout", &mut limits.body_idle_timeout);
    duration("header_timeout", &mut limits.header_timeout);
}

fn read_prefix(reader: &mut Reader<'_>, node: &Node) -> Option<Box<str>> {
    let prefix = reader.text(node, "prefix")?.to_ascii_lowercase();
    let is_name = HeaderName::from_bytes(prefix.as_bytes()).is_ok();
    let taken = STANDARD_HEADERS.iter().find(|name| name.starts_with(&prefix));
    let (message, hint) = match taken {
        _ if !is_name || prefix.contains('_') || PREFIX_BYTES_MAX < prefix.len() => (
            format!("`{}` is no prefix of header names", node.written()),
            format!("letters, digits and `-`, at most {PREFIX_BYTES_MAX}, like `x-crossgate-`"),
        ),
        _ if !prefix.ends_with('-') => (
            format!("prefix `{}` does not end in `-`", node.written()),
            format!("write `{}-`", node.written()),
        ),
        Some(name) => (
            format!("prefix `{}` would take the header `{name}` from clients", node.written()),
            "choose one of your own, like `x-crossgate-`".to_owned(),
        ),
        None => return Some(prefix.into()),
    };
    reader.findings.error_hint(node.at, message, hint);
    None
}

fn read_network(reader: &mut Reader<'_>, node: &Node) -> Option<IpNet> {
    let text = reader.text(node, "trusted_proxies")?;
    let Ok(network) = text.parse::<IpNet>() else {
        let hint = match text.parse::<std::net::IpAddr>() {
            Ok(address) => format!("write `{}`", IpNet::from(address)),
            Err(_) => "like `10.0.0.0/8`".to_owned(),
        };
        reader.findings.error_hint(node.at, format!("`{}` is no CIDR", node.written()), hint);
        return None;
    };
    if network.prefix_len() == 0 {
        reader.findings.warn(
            node.at,
            format!("`{network}` trusts everybody to say where a request comes from"),
            "name the networks of your own proxies",
        );
    }
    Some(network)
}

const TIMEOUTS: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_hours(24);

/// One common request line and cookie needs a few KiB; more than 1 MiB is an attack on memory.
const HEADER_BYTES: RangeInclusive<u64> = 1024..=1 << 20;

/// The most header fields that can be allowed.
const HEADERS_MAX: usize = 1_000;

/// The most connections that can be allowed; a process has about as many descriptors.
const CONNECTIONS_MAX: usize = 1_000_000;

/// The most threads; machines have fewer CPUs.
const WORKERS_MAX: usize = 1_024;

/// The longest prefix of identity headers.
const PREFIX_BYTES_MAX: usize = 64;

/// Headers that requests need, so that no prefix may strip them.
const STANDARD_HEADERS: &[&str] = &[
    "accept-encoding",
    "authorization",
    "cache-control",
    "content-length",
    "content-type",
    "if-none-match",
    "proxy-authorization",
    "sec-websocket-key",
    "transfer-encoding",
    "user-agent",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-request-id",
];
