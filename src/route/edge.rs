//! Rules of the edge: whom to believe about addresses, what reaches the upstream, limits.

use std::time::Duration;

use http::Uri;
use ipnet::IpNet;

/// What holds for every request, whatever its route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EdgeRules {
    /// Peers whose `X-Forwarded-For` is believed, walked from the right.
    pub trusted_proxies: Vec<IpNet>,
    /// Prefix of the headers that tell the upstream who calls; lower case, ends in `-`.
    pub identity_header_prefix: Box<str>,
    /// Whether the upstream gets `Authorization`.
    pub forward_token: bool,
    /// Limits of one connection and one message.
    pub limits: Limits,
    /// How long running requests may take after the end of the process was asked for.
    pub drain_timeout: Duration,
}

/// Limits of one connection and one message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The largest request head, in bytes.
    pub header_bytes: usize,
    /// The most header fields of a request.
    pub headers: usize,
    /// The longest pause inside a body, in both directions.
    pub body_idle_timeout: Duration,
    /// The longest time from a head's first byte to its last.
    pub header_timeout: Duration,
    /// The most client connections of the whole process.
    pub connections: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            header_bytes: 32 * 1024,
            headers: 100,
            body_idle_timeout: Duration::from_mins(1),
            header_timeout: Duration::from_secs(10),
            connections: 10_000,
        }
    }
}

impl Default for EdgeRules {
    fn default() -> Self {
        Self {
            trusted_proxies: Vec::new(),
            identity_header_prefix: "x-crossgate-".into(),
            forward_token: true,
            limits: Limits::default(),
            drain_timeout: Duration::from_secs(30),
        }
    }
}

/// A service that requests are forwarded to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// Its name in the configuration; a metric label.
    pub name: Box<str>,
    /// `http://host:port` each, never empty.
    pub endpoints: Vec<Uri>,
    /// How long a connection may take to be made.
    pub connect_timeout: Duration,
    /// How long the head of the response may take, from the request's end of head.
    pub response_timeout: Duration,
}
