//! A request head's own consistency, before anything is looked up.

use http::header::{AUTHORIZATION, HOST, TRANSFER_ENCODING};
use http::uri::Authority;
use http::{HeaderMap, HeaderName, Version, request};

use crate::proxy::Rejection;

/// Refuses a head that two readers could read differently.
///
/// # Errors
/// More than one `Authorization` or `Host`, a body coded otherwise than in chunks, a missing or malformed `Host`, a target for another
/// host, or too many fields.
pub(crate) fn check(head: &request::Parts, headers_max: usize) -> Result<(), Rejection> {
    if head.headers.len() > headers_max {
        return Err(Rejection::HeadersTooMany);
    }
    if head.headers.get_all(AUTHORIZATION).iter().nth(1).is_some() {
        return Err(Rejection::Ambiguous("the request has more than one `Authorization`"));
    }
    check_coding(&head.headers)?;
    check_host(head)
}

/// A body comes as it is or in chunks: another coding would be lost on the way to the upstream.
fn check_coding(headers: &HeaderMap) -> Result<(), Rejection> {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => Ok(()),
        (Some(coding), None) if coding.as_bytes().eq_ignore_ascii_case(b"chunked") => Ok(()),
        (Some(_), _) => Err(Rejection::Ambiguous("the body has a coding other than `chunked`")),
    }
}

fn check_host(head: &request::Parts) -> Result<(), Rejection> {
    let mut hosts = head.headers.get_all(HOST).iter();
    let host = match (hosts.next(), hosts.next()) {
        (None, _) => None,
        (Some(host), None) => Some(host.as_bytes()),
        (Some(_), Some(_)) => {
            return Err(Rejection::Ambiguous("the request has more than one `Host`"));
        }
    };
    if let Some(host) = host
        && !host.iter().all(|byte| is_host_byte(*byte))
    {
        return Err(Rejection::Ambiguous("the `Host` is malformed"));
    }
    let authority = head.uri.authority();
    if authority.is_some_and(|text| !text.as_str().bytes().all(is_host_byte)) {
        return Err(Rejection::Ambiguous("the target's host is malformed"));
    }
    match (authority, host) {
        (Some(authority), Some(host)) if !same_host(authority, host) => {
            Err(Rejection::Ambiguous("the target and `Host` name different hosts"))
        }
        (None, None) if head.version != Version::HTTP_10 => {
            Err(Rejection::Ambiguous("the request has no `Host`"))
        }
        (Some(_) | None, Some(_) | None) => Ok(()),
    }
}

/// Letters of a name, an address or a port; never user information, a path or a list.
fn is_host_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':' | b'[' | b']' | b'~')
}

fn same_host(authority: &Authority, host: &[u8]) -> bool {
    fn without_default_port(text: &[u8]) -> &[u8] {
        text.strip_suffix(b":80").or_else(|| text.strip_suffix(b":443")).unwrap_or(text)
    }
    let authority = authority.as_str().as_bytes();
    without_default_port(authority).eq_ignore_ascii_case(without_default_port(host))
}

/// The bearer token of a head that [`check`] accepted; the scheme in any letter case.
///
/// # Errors
/// There is none.
pub(super) fn bearer_token(headers: &HeaderMap) -> Result<&str, Rejection> {
    let value = headers.get(AUTHORIZATION).ok_or(Rejection::NoToken)?;
    let value = value.to_str().map_err(|_| Rejection::NoToken)?;
    match value.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Ok(token.trim()),
        Some(_) | None => Err(Rejection::NoToken),
    }
}

/// What all events of a request share, if the client sent something well-formed: the trace id of
/// `traceparent` (W3C Trace Context), else `x-request-id`.
pub(crate) fn correlation_id(headers: &HeaderMap) -> Option<&str> {
    single(headers, &TRACEPARENT).and_then(trace_id).or_else(|| {
        single(headers, &X_REQUEST_ID).filter(|id| {
            (1..=REQUEST_ID_BYTES_MAX).contains(&id.len()) && id.bytes().all(is_request_id_byte)
        })
    })
}

fn single<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().ok(),
        (Some(_), Some(_)) | (None, _) => None,
    }
}

fn trace_id(traceparent: &str) -> Option<&str> {
    let hex = |text: &str, bytes: usize| {
        text.len() == bytes
            && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    };
    let set = |text: &str| text.bytes().any(|b| b != b'0');
    let mut parts = traceparent.split('-');
    let (version, trace, parent, flags) =
        (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    // Versions after 00 may add parts; `ff` is none.
    let well_formed = hex(version, 2)
        && version != "ff"
        && (version != "00" || parts.next().is_none())
        && hex(trace, 32)
        && set(trace)
        && hex(parent, 16)
        && set(parent)
        && hex(flags, 2);
    well_formed.then_some(trace)
}

fn is_request_id_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_.:+/=@".contains(&byte)
}

static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
static X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Longer than a UUID or a trace id in any common spelling.
const REQUEST_ID_BYTES_MAX: usize = 128;

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn head(target: &str, version: Version, headers: &[(&str, &str)]) -> request::Parts {
        let mut builder = Request::builder().uri(target).version(version);
        for (name, value) in headers {
            builder = builder.header(*name, *value);
        }
        builder.body(()).unwrap().into_parts().0
    }

    #[track_caller]
    fn refused(target: &str, headers: &[(&str, &str)], part: &str) {
        let error = check(&head(target, Version::HTTP_11, headers), 100).unwrap_err();
        assert!(error.to_string().contains(part), "{error}");
    }

    #[test]
    fn one_host_is_needed_and_must_be_the_targets() {
        let accepted = |target, headers: &[(&str, &str)]| {
            check(&head(target, Version::HTTP_11, headers), 100).is_ok()
        };
        assert!(accepted("/a", &[("host", "h:8080")]));
        assert!(accepted("http://H/a", &[("host", "h:80")]));
        assert!(accepted("/a", &[("host", "[::1]:80")]));
        assert!(check(&head("/a", Version::HTTP_10, &[]), 100).is_ok());
        refused("/a", &[], "no `Host`");
        refused("/a", &[("host", "a"), ("host", "a")], "more than one `Host`");
        refused("http://evil/a", &[("host", "good")], "different hosts");
        refused("http://a@h/a", &[("host", "h")], "malformed");
        refused("/a", &[("host", "a@b")], "malformed");
        refused("/a", &[("host", "a/b")], "malformed");
        refused("/a", &[("host", "a,b")], "malformed");
    }

    #[test]
    fn one_authorization_and_a_bound_of_fields() {
        refused(
            "/a",
            &[("host", "h"), ("authorization", "Bearer a"), ("authorization", "Bearer a")],
            "more than one `Authorization`",
        );
        let two = head("/a", Version::HTTP_11, &[("host", "h"), ("a", "1")]);
        assert!(check(&two, 2).is_ok());
        assert!(matches!(check(&two, 1), Err(Rejection::HeadersTooMany)));
    }

    #[test]
    fn the_bearer_scheme_is_found_in_any_case() {
        let token = |value: &str| {
            let parts = head("/", Version::HTTP_11, &[("authorization", value)]);
            bearer_token(&parts.headers).ok().map(str::to_owned)
        };
        for value in ["Bearer abc", "bearer abc", "BEARER  abc"] {
            assert_eq!(token(value).as_deref(), Some("abc"), "{value}");
        }
        for value in ["Basic abc", "Bearer", "Bearerabc", ""] {
            assert_eq!(token(value), None, "{value}");
        }
    }

    #[test]
    fn correlation_prefers_a_well_formed_trace() {
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
        let of = |headers: &[(&str, &str)]| {
            correlation_id(&head("/", Version::HTTP_11, headers).headers).map(str::to_owned)
        };
        let parent = format!("00-{trace}-00f067aa0ba902b7-01");
        assert_eq!(of(&[("traceparent", &parent), ("x-request-id", "r")]).as_deref(), Some(trace));
        for bad in [
            format!("00-{trace}-0000000000000000-01"),
            format!("ff-{trace}-00f067aa0ba902b7-01"),
            format!("00-{trace}-00f067aa0ba902b7-01-x"),
            format!("00-{}-00f067aa0ba902b7-01", trace.to_uppercase()),
            format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32)),
            "x".to_owned(),
        ] {
            assert_eq!(of(&[("traceparent", &bad), ("x-request-id", "r")]).as_deref(), Some("r"));
        }
        assert_eq!(of(&[("x-request-id", "a b")]), None);
        assert_eq!(of(&[("x-request-id", &"a".repeat(129))]), None);
        assert_eq!(of(&[("x-request-id", "a"), ("x-request-id", "b")]), None);
    }
}
