use std::time::Duration;

use http::Request;
use proptest::prelude::*;

use super::*;
use crate::iam::{AccountId, IdentityType};
use crate::route::{EdgeRules, Upstream};

fn identity() -> Identity {
    Identity {
        account: AccountId::parse("a1").ok(),
        identity_type: IdentityType::ServiceId,
        principal: "arn:aws:iam::a1:user/é%\r\n".into(),
        id: "i".into(),
        name: "".into(),
        authn_id: "i".into(),
        authn_name: "".into(),
        ..Identity::sample()
    }
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(
            HeaderName::from_bytes(name.as_bytes()).unwrap(),
            HeaderValue::from_str(value).unwrap(),
        );
    }
    headers
}

/// What the upstream gets of a client's header fields.
fn sent(pairs: &[(&str, &str)], identity: Option<&Identity>, trust: Trust) -> HeaderMap {
    let upstream = Upstream {
        name: "u".into(),
        endpoints: Vec::new(),
        connect_timeout: Duration::ZERO,
        response_timeout: Duration::ZERO,
    };
    let mut client = ClientAddress::of_peer(ip("192.0.2.1"));
    client.trust = trust;
    let mut head = Request::new(()).into_parts().0;
    head.headers = headers(pairs);
    let errand = Errand {
        upstream: &upstream,
        edge: &EdgeRules::default(),
        identity_headers: &IdentityHeaders::standard(),
        identity,
        decision: &HeaderValue::from_static("d"),
        client: &client,
        protocol: Protocol::Http,
    };
    prepare_request(&mut head, &errand, Some(0));
    head.headers
}

fn values<'h>(headers: &'h HeaderMap, name: &str) -> Vec<&'h str> {
    headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect()
}

#[test]
fn identity_headers_are_ours_in_every_spelling() {
    let forged = [
        ("x-crossgate-account", "evil"),
        ("X-Crossgate-Account", "evil"),
        ("x_crossgate_account", "evil"),
        ("x-crossgate_account", "evil"),
        ("x.crossgate.account", "evil"),
        ("x!crossgate~account", "evil"),
        ("x-crossgate-anything", "evil"),
        ("connection", "x-crossgate-account, x-crossgate-principal"),
    ];
    let of_caller = sent(&forged, Some(&identity()), Trust::Untrusted);
    assert_eq!(values(&of_caller, "x-crossgate-account"), ["a1"]);
    assert_eq!(
        values(&of_caller, "x-crossgate-principal"),
        ["arn:aws:iam::a1:user/%C3%A9%25%0D%0A"]
    );
    assert_eq!(values(&of_caller, "x-crossgate-identity-type"), ["service_id"]);
    assert_eq!(values(&of_caller, "x-crossgate-decision"), ["d"]);
    assert!(!format!("{of_caller:?}").contains("evil"));
    let public = sent(&forged, None, Trust::Untrusted);
    assert!(public.keys().all(|name| !name.as_str().contains("crossgate")), "{public:?}");
}

#[test]
fn fields_of_one_hop_end_here() {
    let kept = sent(
        &[
            ("host", "h"),
            ("connection", "keep-alive, x-private, host, authorization"),
            ("x-private", "1"),
            ("authorization", "Bearer t"),
            ("keep-alive", "1"),
            ("te", "trailers"),
            ("trailer", "x"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("http2-settings", "x"),
            ("proxy-authorization", "x"),
            ("proxy-connection", "x"),
            ("expect", "100-continue"),
            ("accept", "*/*"),
        ],
        None,
        Trust::Untrusted,
    );
    let mut names: Vec<&str> = kept.keys().map(HeaderName::as_str).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "accept",
            "authorization",
            "host",
            "x-forwarded-for",
            "x-forwarded-host",
            "x-forwarded-proto"
        ]
    );
}

#[test]
fn what_an_untrusted_client_says_of_addresses_is_gone() {
    let claims = [
        ("host", "h"),
        ("forwarded", "for=evil"),
        ("x-forwarded-for", "6.6.6.6"),
        ("x-forwarded-host", "evil"),
        ("x-forwarded-proto", "https"),
        ("x_forwarded_for", "6.6.6.6"),
        ("x-forwarded-uri", "/evil"),
        ("x-real-ip", "6.6.6.6"),
        ("x-original-url", "/evil"),
    ];
    let kept = sent(&claims, None, Trust::Untrusted);
    assert_eq!(values(&kept, "x-forwarded-for"), ["192.0.2.1"]);
    assert_eq!(values(&kept, "x-forwarded-host"), ["h"]);
    assert_eq!(values(&kept, "x-forwarded-proto"), ["http"]);
    assert_eq!(kept.len(), 4, "{kept:?}");
    let by_proxy = sent(&claims, None, Trust::Trusted);
    assert_eq!(values(&by_proxy, "x-forwarded-proto"), ["https"]);
    assert_eq!(values(&by_proxy, "x-forwarded-host"), ["evil"]);
    assert_eq!(values(&by_proxy, "x-forwarded-for"), ["192.0.2.1"]);
    assert!(values(&by_proxy, "forwarded").is_empty());
}

#[test]
fn no_field_names_another_method_or_target() {
    let fields = [
        ("host", "h"),
        ("x-http-method-override", "DELETE"),
        ("X_HTTP_Method_Override", "DELETE"),
        ("x.http.method", "DELETE"),
        ("x-http-method", "DELETE"),
        ("x-method-override", "DELETE"),
        ("x~method_override", "DELETE"),
        ("x-forwarded-method", "DELETE"),
        ("x-original-method", "DELETE"),
        ("X_Original_URL", "/DELETE"),
        ("x-rewrite-url", "/DELETE"),
        ("X.Rewrite.Url", "/DELETE"),
        ("x-method", "kept"),
        ("x-http", "kept"),
        ("method-override", "kept"),
    ];
    for trust in [Trust::Untrusted, Trust::Trusted] {
        let left = sent(&fields, Some(&identity()), trust);
        assert!(!format!("{left:?}").contains("DELETE"), "{left:?}");
        for name in ["x-method", "x-http", "method-override"] {
            assert_eq!(values(&left, name), ["kept"]);
        }
    }
}

#[test]
fn only_a_trusted_proxy_speaks_for_the_clients_protocol() {
    use Protocol::{Http, Https};
    for (own, said, trust, expect) in [
        (Http, &[][..], Trust::Untrusted, Http),
        (Https, &[][..], Trust::Untrusted, Https),
        (Http, &["https"][..], Trust::Untrusted, Http),
        (Https, &["http"][..], Trust::Untrusted, Https),
        (Http, &["https"][..], Trust::Trusted, Https),
        (Http, &["HTTPS"][..], Trust::Trusted, Https),
        (Https, &["http"][..], Trust::Trusted, Http),
        (Https, &[][..], Trust::Trusted, Https),
        (Https, &["https, http"][..], Trust::Trusted, Http),
        (Https, &["https", "https"][..], Trust::Trusted, Http),
        (Https, &["wss"][..], Trust::Trusted, Http),
    ] {
        let fields: Vec<_> = said.iter().map(|value| ("x-forwarded-proto", *value)).collect();
        assert_eq!(client_protocol(own, &headers(&fields), trust), expect, "{own:?} {said:?}");
    }
}

#[test]
fn split_cookies_become_one() {
    let kept = sent(&[("cookie", "a=1"), ("cookie", "b=2")], None, Trust::Untrusted);
    assert_eq!(values(&kept, "cookie"), ["a=1; b=2"]);
}

#[track_caller]
fn chain(peer: &str, forwarded: &[&str], expect_client: &str, expect_chain: &str) {
    let trusted: Vec<IpNet> = vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
    let lines: Vec<_> = forwarded.iter().map(|line| ("x-forwarded-for", *line)).collect();
    let client = forwarded_chain(ip(peer), &headers(&lines), &trusted);
    assert_eq!(client.address, ip(expect_client));
    assert_eq!(client.chain.to_str().unwrap(), expect_chain);
}

#[test]
fn the_chain_is_walked_from_the_right_over_trusted_proxies() {
    chain("192.0.2.1", &["10.0.0.1"], "192.0.2.1", "192.0.2.1");
    chain("10.0.0.9", &[], "10.0.0.9", "10.0.0.9");
    chain("10.0.0.9", &["198.51.100.7"], "198.51.100.7", "198.51.100.7, 10.0.0.9");
    // What the client itself sent stands to its left, and goes.
    chain("10.0.0.9", &["6.6.6.6, 198.51.100.7"], "198.51.100.7", "198.51.100.7, 10.0.0.9");
    chain(
        "10.0.0.9",
        &["6.6.6.6", "198.51.100.7, 10.0.0.2"],
        "198.51.100.7",
        "198.51.100.7, 10.0.0.2, 10.0.0.9",
    );
    chain("10.0.0.9", &["198.51.100.7:1234"], "198.51.100.7", "198.51.100.7, 10.0.0.9");
    chain("10.0.0.9", &["[2001:db8::1]"], "2001:db8::1", "2001:db8::1, 10.0.0.9");
    chain("fd00::1", &["::ffff:10.0.0.3"], "10.0.0.3", "10.0.0.3, fd00::1");
    // A walk that meets what it can't read stops before it.
    chain("10.0.0.9", &["198.51.100.7, unknown"], "10.0.0.9", "10.0.0.9");
    chain("10.0.0.9", &["unknown, 10.0.0.2"], "10.0.0.2", "10.0.0.2, 10.0.0.9");
}

proptest! {
    #[test]
    fn any_spelling_of_an_identity_header_is_stripped(
        separators in prop::collection::vec(prop::sample::select(vec!["-", "_", "."]), 2),
        upper in any::<u16>(),
        end in "[a-z_.-]{0,12}",
    ) {
        let [first, second] = [separators[0], separators[1]];
        let name: String = format!("x{first}crossgate{second}{end}")
            .char_indices()
            .map(|(i, c)| if upper >> (i % 16) & 1 == 1 { c.to_ascii_uppercase() } else { c })
            .collect();
        let kept = sent(&[(&name, "evil")], None, Trust::Untrusted);
        let forged = format!("{kept:?}").contains("evil");
        prop_assert!(!forged);
    }

    #[test]
    fn any_claim_becomes_a_header_value_without_line_ends(text in any::<String>()) {
        let value = header_text(&text);
        prop_assert!(value.as_bytes().iter().all(u8::is_ascii_graphic));
    }
}
