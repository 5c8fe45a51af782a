//! `upstreams`: the services that requests are forwarded to.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use http::Uri;

use crate::config::SECOND;
use crate::config::finding::{Span, meant, nearest};
use crate::config::node::{Node, Value};
use crate::config::reader::{Reader, Table};
use crate::route::Upstream;

pub(super) const UPSTREAM_KEYS: &[&str] = &["endpoints", "connect_timeout", "response_timeout"];

/// The upstreams by name, and which of them a route names.
#[derive(Debug, Default)]
pub(super) struct Upstreams {
    list: Vec<(Arc<Upstream>, Span)>,
    named: BTreeSet<Box<str>>,
}

impl Upstreams {
    /// Reads `upstreams`. One with a finding is there all the same, so that the routes that name it
    /// are not called wrong for it.
    pub(super) fn read(reader: &mut Reader<'_>, root: Table<'_>) -> Self {
        let mut upstreams = Self::default();
        let Some(node) = root.get("upstreams") else {
            return upstreams;
        };
        let Value::Table(entries) = &node.value else {
            reader.wrong_type(node, "`upstreams` is a mapping of names", "write `{}` for none");
            return upstreams;
        };
        for entry in entries {
            let name = entry.key.as_str();
            if name.is_empty()
                || !name.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c))
            {
                reader.findings.error_hint(
                    entry.key_at,
                    format!("`{name}` is no name of an upstream"),
                    "a name has the characters `A-Z a-z 0-9 _ - .`",
                );
            }
            let upstream = Arc::new(read_upstream(reader, name, &entry.node));
            upstreams.list.push((upstream, entry.key_at));
        }
        upstreams
    }

    /// The upstream that a route names.
    pub(super) fn find(&mut self, reader: &mut Reader<'_>, node: &Node) -> Option<Arc<Upstream>> {
        let name = reader.text(node, "upstream")?;
        let found = self.list.iter().find(|(upstream, _)| upstream.name == name);
        if let Some((upstream, _)) = found {
            self.named.insert(name);
            return Some(Arc::clone(upstream));
        }
        let names: Vec<&str> = self.list.iter().map(|(upstream, _)| &*upstream.name).collect();
        reader.findings.error_hint(
            node.at,
            format!("unknown upstream `{}`", node.written()),
            meant(&name, names.iter().copied()),
        );
        // That nobody names the one that was meant would be told for nothing.
        let near = nearest(&name, names).map(Into::into);
        self.named.extend(near);
        None
    }

    /// All upstreams; those that no route names are worth a look.
    pub(super) fn finish(self, reader: &mut Reader<'_>) -> Vec<Arc<Upstream>> {
        for (upstream, at) in &self.list {
            if !self.named.contains(&upstream.name) {
                reader.findings.warn(
                    *at,
                    format!("no route names upstream `{}`", upstream.name),
                    "remove it, or name it in a route",
                );
            }
        }
        self.list.into_iter().map(|(upstream, _)| upstream).collect()
    }
}

fn read_upstream(reader: &mut Reader<'_>, name: &str, node: &Node) -> Upstream {
    let mut upstream = Upstream {
        name: name.into(),
        endpoints: Vec::new(),
        connect_timeout: SECOND,
        response_timeout: SECOND * 30,
    };
    let Some(table) = reader.table(node, "upstreams", UPSTREAM_KEYS) else {
        return upstream;
    };
    if let Some(node) =
        reader.require(table, "endpoints", "like `endpoints: [http://127.0.0.1:9000]`")
    {
        upstream.endpoints = read_endpoints(reader, node);
    }
    if let Some(node) = table.get("connect_timeout")
        && let Some(timeout) = reader.duration(node, "connect_timeout", &TIMEOUTS)
    {
        upstream.connect_timeout = timeout;
    }
    if let Some(node) = table.get("response_timeout")
        && let Some(timeout) = reader.duration(node, "response_timeout", &TIMEOUTS)
    {
        upstream.response_timeout = timeout;
    }
    upstream
}

fn read_endpoints(reader: &mut Reader<'_>, node: &Node) -> Vec<Uri> {
    let nodes = reader.list(node, "endpoints").unwrap_or_default();
    if matches!(&node.value, Value::List(nodes) if nodes.is_empty()) {
        let hint = "like `endpoints: [http://127.0.0.1:9000]`";
        reader.findings.error_hint(node.at, "`endpoints` is empty", hint);
    }
    let mut seen = BTreeMap::new();
    let mut endpoints = Vec::new();
    for node in nodes {
        let Some(endpoint) = read_endpoint(reader, node) else {
            continue;
        };
        if let Some(first) = seen.insert(endpoint.to_string(), node.at.line) {
            reader.findings.error_hint(
                node.at,
                format!("endpoint `{}` comes twice", node.written()),
                format!("it is first at line {first}"),
            );
        }
        endpoints.push(endpoint);
    }
    endpoints
}

fn read_endpoint(reader: &mut Reader<'_>, node: &Node) -> Option<Uri> {
    let text = reader.text(node, "endpoints")?;
    match endpoint(&text) {
        Ok(uri) => Some(uri),
        // What is before the `@` may be a password, and messages go to logs.
        Err(_) if text.contains('@') => {
            reader.findings.error_hint(
                node.at,
                "an endpoint has no user or password",
                "remove what is before `@`",
            );
            None
        }
        Err(reason) => {
            reader.findings.error_hint(
                node.at,
                format!("endpoint `{}` {reason}", node.written()),
                "an endpoint is `http://host:port`",
            );
            None
        }
    }
}

fn endpoint(text: &str) -> Result<Uri, &'static str> {
    let uri: Uri = text.parse().map_err(|_| "is not a URL")?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Err("does not start with `http://` or `https://`");
    }
    let authority = uri.authority().ok_or("has no host")?;
    if authority.host().is_empty() {
        return Err("has no host");
    }
    if authority.as_str().contains('@') {
        return Err("has a user");
    }
    // A port that does not fit reads as none.
    if authority.port_u16().is_none_or(|port| port == 0) && authority.as_str() != authority.host() {
        return Err("has a port that is not from 1 to 65535");
    }
    let path = uri.path_and_query().map_or("/", |it| it.as_str());
    if path != "/" || text.ends_with('/') || text.contains('#') {
        return Err("has a path; requests keep the path that the client sent");
    }
    Ok(uri)
}

const TIMEOUTS: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_hours(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_scheme_host_and_port() {
        for text in
            ["http://127.0.0.1:9000", "https://orders.internal", "http://[::1]:80", "http://a"]
        {
            assert!(endpoint(text).is_ok(), "{text}");
        }
        for text in [
            "127.0.0.1:9000",
            "http://",
            "http://a/",
            "http://a/b",
            "http://a?q",
            "http://a#f",
            "ftp://a",
            "http://u:p@a",
            "http://a:99999",
            "http://a:0",
            "http://a:",
            "unix:/run/a.sock",
            "",
        ] {
            assert!(endpoint(text).is_err(), "{text}");
        }
    }
}
