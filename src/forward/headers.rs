//! What crosses the proxy: hop-by-hop fields end here, identity and address fields are ours alone.

use std::fmt::Write as _;
use std::net::IpAddr;

use http::header::{self, Entry};
use http::{HeaderMap, HeaderName, HeaderValue, request, response};
use ipnet::IpNet;

use crate::forward::Errand;
use crate::iam::Identity;

/// The names under which an upstream learns who calls.
#[derive(Clone, Debug)]
pub struct IdentityHeaders {
    account: HeaderName,
    principal: HeaderName,
    identity_type: HeaderName,
    decision: HeaderName,
}

/// How the client reached this proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Without TLS.
    Http,
    /// With TLS.
    Https,
}

/// Whom a request came from.
#[derive(Clone, Debug)]
pub struct ClientAddress {
    /// The client, after what trusted proxies said.
    pub address: IpAddr,
    /// The `X-Forwarded-For` for the upstream: the client, trusted proxies, the peer.
    pub chain: HeaderValue,
    /// Whether the peer is a trusted proxy, so that what it says of host and protocol is believed.
    pub trust: Trust,
}

/// Whether a peer is believed about addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// It is a trusted proxy.
    Trusted,
    /// It is anybody.
    Untrusted,
}

impl ClientAddress {
    /// A peer that nothing more is known of.
    pub fn of_peer(peer: IpAddr) -> Self {
        Self { address: peer, chain: ip_value(peer), trust: Trust::Untrusted }
    }
}

impl IdentityHeaders {
    /// The names with the standard prefix.
    pub fn standard() -> Self {
        Self {
            account: HeaderName::from_static("x-crossgate-account"),
            principal: HeaderName::from_static("x-crossgate-principal"),
            identity_type: HeaderName::from_static("x-crossgate-identity-type"),
            decision: DECISION_HEADER,
        }
    }

    /// The names with a prefix; `None` if the prefix gives no header names.
    pub fn new(prefix: &str) -> Option<Self> {
        let name = |end: &str| HeaderName::from_bytes(format!("{prefix}{end}").as_bytes()).ok();
        Some(Self {
            account: name("account")?,
            principal: name("principal")?,
            identity_type: name("identity-type")?,
            decision: name("decision")?,
        })
    }
}

/// How a client sent its request: as a trusted proxy says, else as it reached us.
pub fn client_protocol(own: Protocol, headers: &HeaderMap, trust: Trust) -> Protocol {
    let mut said = headers.get_all(X_FORWARDED_PROTO).iter().filter(|_| trust == Trust::Trusted);
    match (said.next().map(HeaderValue::as_bytes), said.next()) {
        (None, _) => own,
        (Some(said), None) if said.eq_ignore_ascii_case(b"https") => Protocol::Https,
        // Whatever else it says, it does not vouch for TLS on the whole way.
        (Some(_), _) => Protocol::Http,
    }
}

/// Walks `X-Forwarded-For` from the right over trusted proxies.
pub fn forwarded_chain(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> ClientAddress {
    let trusts = |address: &IpAddr| trusted.iter().any(|net| net.contains(address));
    if !trusts(&peer) {
        return ClientAddress::of_peer(peer);
    }
    let mut client = peer;
    let mut hops = vec![peer];
    let lines: Vec<&str> = headers
        .get_all(X_FORWARDED_FOR)
        .iter()
        .map(|value| value.to_str().unwrap_or_default())
        .collect();
    for entry in lines.iter().rev().flat_map(|line| line.rsplit(',')).take(HOPS_MAX) {
        // What can't be read ends the walk: the nearest proxy that could be is the client.
        let Some(address) = parse_hop(entry.trim()) else { break };
        client = address;
        hops.push(address);
        if !trusts(&address) {
            break;
        }
    }
    let mut chain = String::new();
    for hop in hops.iter().rev() {
        let separator = if chain.is_empty() { "" } else { ", " };
        let _ = write!(chain, "{separator}{hop}");
    }
    let chain = HeaderValue::try_from(chain).unwrap_or_else(|_| ip_value(peer));
    ClientAddress { address: client, chain, trust: Trust::Trusted }
}

/// Proxies write bare addresses, and some write ports.
fn parse_hop(text: &str) -> Option<IpAddr> {
    let address = match text.parse::<IpAddr>() {
        Ok(address) => address,
        Err(_) => match text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            Some(bare) => bare.parse().ok()?,
            None => text.parse::<std::net::SocketAddr>().ok()?.ip(),
        },
    };
    Some(address.to_canonical())
}

fn ip_value(address: IpAddr) -> HeaderValue {
    HeaderValue::try_from(address.to_string()).unwrap_or(HeaderValue::from_static("unknown"))
}

/// Makes a client's head the upstream's: strips, then adds; in this order, so that nothing that a
/// client sends or names in `Connection` can touch what is added.
pub(super) fn prepare_request(
    head: &mut request::Parts,
    errand: &Errand<'_>,
    body_bytes: Option<u64>,
) {
    let connection_names = connection_names(&head.headers);
    let prefix = errand.edge.identity_header_prefix.as_bytes();
    let strip = |name: &HeaderName| {
        is_hop_by_hop(name)
            || is_client_only(name, prefix, errand.client.trust)
            || (name == header::AUTHORIZATION && !errand.edge.forward_token)
            || connection_names.iter().any(|named| named == name && !is_end_to_end(name))
    };
    remove_where(&mut head.headers, strip);
    join_cookies(&mut head.headers);
    // A body of unknown length says so too: hyper would take the body of a GET for none.
    match body_bytes {
        Some(0) if !method_has_body(&head.method) => {}
        Some(bytes) => {
            head.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(bytes));
        }
        None => {
            let chunked = HeaderValue::from_static("chunked");
            head.headers.insert(header::TRANSFER_ENCODING, chunked);
        }
    }
    let host = set_origin_form(head);
    let headers = &mut head.headers;
    headers.insert(X_FORWARDED_FOR, errand.client.chain.clone());
    let says_protocol = |headers: &HeaderMap| {
        let said = headers.get(X_FORWARDED_PROTO).map(HeaderValue::as_bytes);
        matches!(said, Some(b"http" | b"https"))
    };
    if !(errand.client.trust == Trust::Trusted && says_protocol(headers)) {
        let protocol = match errand.protocol {
            Protocol::Http => "http",
            Protocol::Https => "https",
        };
        headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static(protocol));
    }
    if !(errand.client.trust == Trust::Trusted && headers.contains_key(X_FORWARDED_HOST))
        && let Some(host) = host
    {
        headers.insert(X_FORWARDED_HOST, host);
    }
    if let Some(identity) = errand.identity {
        set_identity(headers, errand, identity);
    }
}

fn set_identity(headers: &mut HeaderMap, errand: &Errand<'_>, identity: &Identity) {
    let names = errand.identity_headers;
    let account = identity.account.as_ref().map_or("", |account| account.as_str());
    headers.insert(&names.account, header_text(account));
    headers.insert(&names.principal, header_text(&identity.principal));
    let identity_type = HeaderValue::from_static(identity.identity_type.as_str());
    headers.insert(&names.identity_type, identity_type);
    headers.insert(&names.decision, errand.decision.clone());
}

/// Claims may hold anything: what is not visible ASCII is percent-encoded, and so is `%`.
fn header_text(text: &str) -> HeaderValue {
    let plain = |byte: &u8| byte.is_ascii_graphic() && *byte != b'%';
    if text.as_bytes().iter().all(plain) {
        return HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static(""));
    }
    let mut encoded = String::with_capacity(text.len() * 3);
    for byte in text.bytes() {
        if plain(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    HeaderValue::try_from(encoded).unwrap_or(HeaderValue::from_static(""))
}

/// Makes the target a path and puts the authority, which was checked against `Host`, into `Host`.
fn set_origin_form(head: &mut request::Parts) -> Option<HeaderValue> {
    if let Some(authority) = head.uri.authority() {
        if !head.headers.contains_key(header::HOST)
            && let Ok(host) = HeaderValue::from_str(authority.as_str())
        {
            head.headers.insert(header::HOST, host);
        }
        let path = head.uri.path_and_query().cloned();
        let mut origin = http::uri::Parts::default();
        origin.path_and_query = path;
        head.uri = http::Uri::from_parts(origin).unwrap_or_default();
    }
    head.headers.get(header::HOST).cloned()
}

/// Makes an upstream's head the client's.
pub(super) fn prepare_response(head: &mut response::Parts) {
    let connection_names = connection_names(&head.headers);
    // What has a transfer coding has no other length (RFC 9112 section 6.3).
    let coded = head.headers.contains_key(header::TRANSFER_ENCODING);
    remove_where(&mut head.headers, |name| {
        // The length stays: it is the answer to HEAD, and hyper checks it for the rest.
        (is_hop_by_hop(name) && (coded || name != header::CONTENT_LENGTH))
            || connection_names.iter().any(|named| named == name && !is_end_to_end(name))
    });
}

fn method_has_body(method: &http::Method) -> bool {
    matches!(*method, http::Method::POST | http::Method::PUT | http::Method::PATCH)
}

/// The fields that `Connection` names: they end at this hop.
fn connection_names(headers: &HeaderMap) -> Vec<HeaderName> {
    let values = headers.get_all(header::CONNECTION);
    let tokens = values.iter().filter_map(|value| value.to_str().ok()).flat_map(|v| v.split(','));
    tokens
        .map(str::trim)
        .filter(|token| {
            !token.eq_ignore_ascii_case("keep-alive") && !token.eq_ignore_ascii_case("close")
        })
        .filter_map(|token| HeaderName::from_bytes(token.as_bytes()).ok())
        .collect()
}

/// Fields of one hop (RFC 9110 section 7.6.1), and those that are written anew for the next one.
fn is_hop_by_hop(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "connection"
            | "content-length"
            | "expect"
            | "http2-settings"
            | "keep-alive"
            | "proxy-authorization"
            | "proxy-connection"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
    )
}

/// Fields without which a message is another message: `Connection` can't remove them.
fn is_end_to_end(name: &HeaderName) -> bool {
    matches!(*name, header::HOST | header::AUTHORIZATION | header::CONTENT_TYPE)
}

/// Fields that only this proxy, or a trusted one before it, may set: the identity headers in any
/// spelling that some server folds into ours, what says whom a request came from, and what would
/// make it another request.
fn is_client_only(name: &HeaderName, prefix: &[u8], trust: Trust) -> bool {
    let name = name.as_str().as_bytes();
    match name.first() {
        Some(first) if prefix.first() == Some(first) || *first == b'x' || *first == b'f' => {}
        _ => return false,
    }
    let starts_with = |prefix: &[u8]| {
        name.len() >= prefix.len()
            && name.iter().zip(prefix).all(|(byte, expected)| fold(*byte) == fold(*expected))
    };
    // Policies decide by the method and target of the request line, so no field may name others.
    let names_another_request = ANOTHER_REQUEST.iter().any(|name| starts_with(name));
    if names_another_request || starts_with(prefix) {
        return true;
    }
    match trust {
        // The chain is rewritten from what was believed of it; `Forwarded` would contradict it.
        Trust::Trusted => starts_with(b"x-forwarded-for") || starts_with(b"forwarded"),
        Trust::Untrusted => {
            starts_with(b"x-forwarded-")
                || starts_with(b"forwarded")
                || starts_with(b"x-real-ip")
                || starts_with(b"x-original-")
        }
    }
}

/// CGI-like servers fold `-` and `_` into one, some all that is no letter or digit; names are lower
/// case already.
fn fold(byte: u8) -> u8 {
    if byte.is_ascii_alphanumeric() { byte } else { b'-' }
}

fn remove_where(headers: &mut HeaderMap, strip: impl Fn(&HeaderName) -> bool) {
    let names: Vec<HeaderName> = headers.keys().filter(|name| strip(name)).cloned().collect();
    for name in names {
        if let Entry::Occupied(entry) = headers.entry(name) {
            entry.remove_entry_mult();
        }
    }
}

/// HTTP/2 clients may split `Cookie`; HTTP/1.1 has one (RFC 9113 section 8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    if headers.get_all(header::COOKIE).iter().nth(1).is_none() {
        return;
    }
    let crumbs: Vec<&[u8]> =
        headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if let Ok(joined) = HeaderValue::from_bytes(&crumbs.join(&b"; "[..])) {
        headers.insert(header::COOKIE, joined);
    }
}

/// By fields that start so some frameworks take another method or target than the request line's.
const ANOTHER_REQUEST: [&[u8]; 6] = [
    b"x-http-method",
    b"x-method-override",
    b"x-forwarded-method",
    b"x-original-method",
    b"x-original-url",
    b"x-rewrite-url",
];

/// The header that every answer carries: the decision's id.
pub const DECISION_HEADER: HeaderName = HeaderName::from_static("x-crossgate-decision");

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// More hops than any sane deployment has.
const HOPS_MAX: usize = 32;

#[cfg(test)]
mod tests;
