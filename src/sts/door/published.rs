//! What is published for everybody: the keys, and the metadata of the authorization server (RFC 8414).
//!
//! In: the rules and the keys in force. Out: documents. Pure.

use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;
use data_encoding::BASE64URL_NOPAD;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::Serialize;

use super::answer::{Answer, json, whole};
use super::exchange;

/// RFC 8414 section 2, with what RFC 8693 needs.
#[derive(Serialize)]
struct Metadata<'a> {
    issuer: &'a str,
    token_endpoint: String,
    jwks_uri: String,
    grant_types_supported: [&'static str; 1],
    token_endpoint_auth_methods_supported: [&'static str; 1],
    response_types_supported: [&'static str; 0],
}

/// The metadata document.
pub(super) fn metadata(issuer: &str) -> Answer {
    let base = issuer.trim_end_matches('/');
    let mut answer = json(
        StatusCode::OK,
        &Metadata {
            issuer,
            token_endpoint: format!("{base}{TOKEN_PATH}"),
            jwks_uri: format!("{base}{JWKS_PATH}"),
            grant_types_supported: [exchange::GRANT_TYPE],
            token_endpoint_auth_methods_supported: ["none"],
            response_types_supported: [],
        },
    );
    answer.headers_mut().insert(CACHE_CONTROL, MAX_AGE);
    answer
}

/// The keys, or that they are the client's already.
pub(super) fn jwks(keys: Bytes, headers: &HeaderMap) -> Answer {
    let hash = digest(&SHA256, &keys);
    let tag = format!("\"{}\"", BASE64URL_NOPAD.encode(hash.as_ref()));
    let known = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let mut known = known.flat_map(|value| value.split(',')).map(str::trim);
    let is_known = known.any(|one| one == "*" || one.trim_start_matches("W/") == tag);
    let mut answer = if is_known {
        whole(StatusCode::NOT_MODIFIED, Bytes::new())
    } else {
        whole(StatusCode::OK, keys)
    };
    let headers = answer.headers_mut();
    headers.insert(CACHE_CONTROL, MAX_AGE);
    if !is_known {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/jwk-set+json"));
    }
    if let Ok(tag) = HeaderValue::try_from(tag) {
        headers.insert(ETAG, tag);
    }
    answer
}

/// The path of an issuer, without a slash at its end; empty for most.
pub(super) fn issuer_path(issuer: &str) -> &str {
    let after_scheme = issuer.split_once("://").map_or("", |(_, rest)| rest);
    let path = after_scheme.find('/').and_then(|start| after_scheme.get(start..));
    path.unwrap_or_default().trim_end_matches('/')
}

/// Where tokens are exchanged.
pub(super) const TOKEN_PATH: &str = "/oauth2/token";
/// Where the keys are.
pub(super) const JWKS_PATH: &str = "/.well-known/jwks.json";
/// Where the metadata is; an issuer's path comes after it (RFC 8414 section 3).
pub(super) const METADATA_PATH: &str = "/.well-known/oauth-authorization-server";

/// Less than a new key is published before it signs anything that must be verified elsewhere; who
/// finds a key unknown asks again anyway.
const MAX_AGE: HeaderValue = HeaderValue::from_static("public, max-age=300");

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::sts::door::tests::text_of;

    #[test]
    fn metadata_names_what_is_served() {
        for (issuer, base) in [
            ("https://sts.example.com", "https://sts.example.com"),
            ("https://example.com/sts/", "https://example.com/sts"),
        ] {
            let document: Value = serde_json::from_str(&text_of(metadata(issuer))).unwrap();
            let expected = json!({
                "issuer": issuer,
                "token_endpoint": format!("{base}/oauth2/token"),
                "jwks_uri": format!("{base}/.well-known/jwks.json"),
                "grant_types_supported": ["urn:ietf:params:oauth:grant-type:token-exchange"],
                "token_endpoint_auth_methods_supported": ["none"],
                "response_types_supported": [],
            });
            assert_eq!(document, expected);
        }
    }

    #[test]
    fn an_issuer_may_have_a_path() {
        for (issuer, path) in [
            ("https://sts.example.com", ""),
            ("https://sts.example.com/", ""),
            ("https://example.com/a/b", "/a/b"),
            ("https://example.com/a/b/", "/a/b"),
            ("urn:example", ""),
        ] {
            assert_eq!(issuer_path(issuer), path, "{issuer}");
        }
    }

    #[test]
    fn keys_that_a_client_has_are_not_sent_again() {
        let keys = Bytes::from_static(br#"{"keys":[]}"#);
        let first = jwks(keys.clone(), &HeaderMap::new());
        assert_eq!(first.status(), StatusCode::OK);
        let tag = first.headers()[ETAG].clone();
        let asking = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(IF_NONE_MATCH, HeaderValue::try_from(value).unwrap());
            jwks(keys.clone(), &headers)
        };
        let tag = tag.to_str().unwrap();
        for value in [tag, &format!("W/{tag}"), &format!("\"x\", {tag}"), "*"] {
            let answer = asking(value);
            assert_eq!(answer.status(), StatusCode::NOT_MODIFIED, "{value}");
            assert_eq!(answer.headers()[ETAG], tag);
            assert_eq!(text_of(answer), "");
        }
        assert_eq!(text_of(asking("\"x\"")), r#"{"keys":[]}"#);
    }
}
