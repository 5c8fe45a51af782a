//! Which headers cross the gate: who calls can't be forged in any spelling, hop-by-hop fields stay
//! on their hop, and forwarding headers are believed only from whom the configuration trusts.

mod support;

use support::gate::{ORDER, World};
use support::h2;
use support::identities::{OWNER, PARTNER, STRANGER};
use support::raw::Request;
use support::upstream::Received;
use support::wire::Field;

/// Fields that some upstream takes for an identity header: case, `_` and `.` do not count there.
fn identity_fields(fields: &[Field]) -> Vec<Field> {
    let canonical = |name: &str| name.to_ascii_lowercase().replace(['_', '.'], "-");
    let mut found: Vec<Field> = fields
        .iter()
        .map(|(name, value)| (canonical(name), value.clone()))
        .filter(|(name, _)| name.starts_with("x-crossgate-"))
        .collect();
    found.sort();
    found
}

#[track_caller]
fn assert_only_true_identity(received: &Received, account: &str, why: &str) {
    let fields = identity_fields(&received.fields);
    let names: Vec<&str> = fields.iter().map(|(name, _)| name.as_str()).collect();
    let expected = ["account", "decision", "identity-type", "principal"]
        .map(|name| format!("x-crossgate-{name}"));
    assert_eq!(names, expected, "{why}");
    assert_eq!(received.all("x-crossgate-account"), [account], "{why}");
    assert!(identity_fields(&received.trailers).is_empty(), "{why}: {:?}", received.trailers);
    assert!(fields.iter().all(|(_, value)| !value.contains("forged")), "{why}: {fields:?}");
}

#[test]
fn forged_identity_headers_never_arrive_in_any_spelling() {
    let world = World::start(|config| config);
    let token = world.user(PARTNER);
    for name in [
        "x-crossgate-account",
        "X-Crossgate-Account",
        "X-CROSSGATE-ACCOUNT",
        "x_crossgate_account",
        "X_CROSSGATE_ACCOUNT",
        "x-crossgate_account",
        "x_crossgate-account",
        "X-Crossgate_Principal",
        "x-crossgate-principal",
        "x-crossgate-identity-type",
        "x_crossgate_identity_type",
        "x-crossgate-identity_type",
        "x-crossgate-decision",
        "x-crossgate-anything",
        "x_crossgate_",
    ] {
        let once = Request::get(ORDER).token(&token).header(name, "forged");
        let twice = once.clone().header(name, "forged too");
        for request in [once, twice] {
            let reply = world.gate.ask(&request);
            assert_eq!(reply.status, 200, "{name}");
            assert_only_true_identity(&world.upstream.last(), PARTNER, name);
        }
    }
}

#[test]
fn forged_identity_headers_never_arrive_over_http2() {
    let world = World::start(|config| config);
    let token = world.user(PARTNER);
    h2::runtime().block_on(async {
        let sender = h2::connect(world.gate.proxy).await;
        for name in ["x-crossgate-account", "x_crossgate_account", "x-crossgate_principal"] {
            let mut request = h2::get(world.gate.proxy, ORDER, &token);
            let headers = request.headers_mut();
            headers.append(name, http::HeaderValue::from_static("forged"));
            headers.append(name, http::HeaderValue::from_static("forged too"));
            let reply = h2::ask(&sender, request).await.unwrap();
            assert_eq!(reply.status(), 200, "{name}");
            assert_only_true_identity(&world.upstream.last(), PARTNER, name);
        }
    });
}

#[test]
fn connection_can_not_name_an_identity_header_away() {
    let world = World::start(|config| config);
    let token = world.user(PARTNER);
    for connection in [
        "x-crossgate-account",
        "close, X-Crossgate-Account",
        "x-crossgate-principal, x-crossgate-account",
        "x_crossgate_account",
        "keep-alive,x-crossgate-decision , x-crossgate-identity-type",
        "x-forwarded-for, x-crossgate-account",
        "X-CROSSGATE-ACCOUNT",
    ] {
        let request = Request::get(ORDER).token(&token).header("connection", connection);
        let reply = world.gate.ask(&request);
        // Refusing it is as good as ignoring it.
        if reply.status != 400 {
            assert_eq!(reply.status, 200, "{connection}");
            assert_only_true_identity(&world.upstream.last(), PARTNER, connection);
            assert!(world.upstream.last().field("x-forwarded-for").is_some(), "{connection}");
        }
    }
}

#[test]
fn trailers_carry_no_identity() {
    let world = World::start(|config| config);
    let token = world.user(PARTNER);
    for name in
        ["x-crossgate-account", "X_Crossgate_Account", "authorization", "content-length", "host"]
    {
        let mut client = world.gate.connect();
        client.send(format!(
            "POST {ORDER} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {token}\r\n\
             transfer-encoding: chunked\r\ntrailer: {name}\r\n\r\n2\r\nok\r\n0\r\n{name}: forged\r\n\r\n"
        ));
        let reply = client.read("POST");
        if reply.status != 400 {
            assert_eq!(reply.status, 200, "{name}");
            let received = world.upstream.last();
            assert_eq!(received.body, b"ok");
            assert_only_true_identity(&received, PARTNER, name);
            let forged =
                |(found, value): &Field| found.eq_ignore_ascii_case(name) && value == "forged";
            assert!(!received.trailers.iter().any(forged), "{name}: {:?}", received.trailers);
        }
    }
}

#[test]
fn hop_by_hop_fields_of_a_request_end_at_the_gate() {
    let world = World::start(|config| config);
    let request = Request::get(ORDER)
        .token(&world.user(OWNER))
        .header("connection", "x-drop, keep-alive")
        .header("X-Drop", "1")
        .header("keep-alive", "timeout=5")
        .header("proxy-connection", "keep-alive")
        .header("proxy-authorization", "Basic x")
        .header("te", "trailers")
        .header("upgrade", "websocket")
        .header("x-kept", "1")
        .header("x-kept", "2");
    assert_eq!(request.ask(world.gate.proxy).status, 200);
    let received = world.upstream.last();
    for name in ["x-drop", "keep-alive", "proxy-connection", "proxy-authorization", "te", "upgrade"]
    {
        assert!(received.field(name).is_none(), "{name}: {received:?}");
    }
    assert_eq!(received.all("x-kept"), ["1", "2"]);
    assert!(!received.all("connection").iter().any(|value| value.contains("x-drop")));
}

#[test]
fn hop_by_hop_fields_of_an_answer_end_at_the_gate() {
    let world = World::start(|config| config);
    let request = Request::get(ORDER).token(&world.user(OWNER)).header("x-upstream", "hop-by-hop");
    let reply = world.gate.connect().ask(&request);
    assert_eq!(reply.status, 200);
    assert_eq!(reply.body, b"ok");
    assert_eq!(reply.header("x-kept"), Some("1"));
    for name in ["x-secret", "keep-alive"] {
        assert_eq!(reply.header(name), None, "{name}");
    }
    assert!(reply.header("connection").is_none_or(|value| !value.contains("x-secret")));
}

#[test]
fn what_strangers_say_about_forwarding_is_gone() {
    let world = World::start(|config| config);
    let request = Request::get(ORDER)
        .token(&world.user(OWNER))
        .header("x-forwarded-for", "203.0.113.9")
        .header("X_Forwarded_For", "203.0.113.8")
        .header("x-forwarded-proto", "https")
        .header("x-forwarded-host", "evil.example.com")
        .header("X-Forwarded-Host", "evil2.example.com")
        .header("forwarded", "for=203.0.113.9;host=evil.example.com");
    assert_eq!(world.gate.ask(&request).status, 200);
    let received = world.upstream.last();
    assert_eq!(received.all("x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(received.all("x-forwarded-proto"), ["http"]);
    assert_eq!(received.all("x-forwarded-host"), ["orders.example.com"]);
    let text = format!("{:?}", received.fields);
    for gone in ["203.0.113", "evil"] {
        assert!(!text.contains(gone), "{gone} in {text}");
    }
}

#[test]
fn trusted_proxies_are_believed_from_the_right() {
    let world = World::start(|config| {
        config
            .set("trusted_proxies", "[127.0.0.0/8, 10.0.0.0/8]")
            .settings("default: { mode: report-only, allowlist: [] }\n")
    });
    let token = world.user(STRANGER);
    let cases: [(&[&str], &str); 8] = [
        (&[], "127.0.0.1"),
        (&["198.51.100.7"], "198.51.100.7"),
        (&["203.0.113.9, 198.51.100.7"], "198.51.100.7"),
        (&["198.51.100.7, 10.1.2.3"], "198.51.100.7"),
        (&["203.0.113.9", "198.51.100.7,10.1.2.3"], "198.51.100.7"),
        (&["2001:db8::7"], "2001:db8::7"),
        (&["198.51.100.7, garbage"], "127.0.0.1"),
        (&["127.0.0.1, not an address"], "127.0.0.1"),
    ];
    for (forwarded, client) in cases {
        let mut request = Request::get(ORDER).token(&token).header("x-forwarded-proto", "https");
        for value in forwarded {
            request = request.header("x-forwarded-for", *value);
        }
        let reply = world.gate.ask(&request);
        assert_eq!(reply.status, 200, "{forwarded:?}");
        let event = world.gate.events_of(&reply.decision(), 1).remove(0);
        let host = event.pointer("/initiator/host").unwrap();
        assert_eq!(host["address"], client, "{forwarded:?}");
        let family = if client.contains(':') { "IPv6" } else { "IPv4" };
        assert_eq!(host["addressType"], family, "{forwarded:?}");
        let received = world.upstream.last();
        let told = received.all("x-forwarded-for").join(", ");
        assert!(told.ends_with("127.0.0.1"), "the peer is last: {told}");
        assert!(client == "127.0.0.1" || told.contains(client), "{told}");
        assert_eq!(received.all("x-forwarded-proto"), ["https"], "{forwarded:?}");
    }
}

#[test]
fn peers_that_are_not_trusted_are_not_believed() {
    let world = World::start(|config| {
        config
            .set("trusted_proxies", "[10.0.0.0/8]")
            .settings("default: { mode: report-only, allowlist: [] }\n")
    });
    let request =
        Request::get(ORDER).token(&world.user(STRANGER)).header("x-forwarded-for", "10.1.1.1");
    let reply = world.gate.ask(&request);
    let event = world.gate.events_of(&reply.decision(), 1).remove(0);
    assert_eq!(event.pointer("/initiator/host/address").unwrap(), "127.0.0.1");
    assert_eq!(world.upstream.last().all("x-forwarded-for"), ["127.0.0.1"]);
}

#[test]
fn the_token_is_forwarded_unless_the_configuration_says_no() {
    let world = World::start(|config| config);
    let token = world.user(OWNER);
    assert_eq!(world.get(&token).status, 200);
    assert_eq!(world.upstream.last().all("authorization"), [format!("Bearer {token}")]);

    let keeping = World::start(|config| config.set("forward_token", "false"));
    assert_eq!(keeping.get(&keeping.user(OWNER)).status, 200);
    assert!(keeping.upstream.last().field("authorization").is_none());
}

#[test]
fn other_headers_cross_unchanged_and_in_order() {
    let world = World::start(|config| config);
    let request = Request::get(ORDER)
        .token(&world.user(OWNER))
        .header("cookie", "a=1; b=2")
        .header("accept", "text/html, */*;q=0.1")
        .header("x-empty", "")
        .header("x-list", "1")
        .header("x-list", "2,3")
        .header("range", "bytes=0-1");
    assert_eq!(world.gate.ask(&request).status, 200);
    let received = world.upstream.last();
    assert_eq!(received.all("cookie"), ["a=1; b=2"]);
    assert_eq!(received.all("accept"), ["text/html, */*;q=0.1"]);
    assert_eq!(received.all("x-empty"), [""]);
    assert_eq!(received.all("x-list"), ["1", "2,3"]);
    assert_eq!(received.all("range"), ["bytes=0-1"]);
    assert_eq!(received.all("host").len(), 1);
}

#[test]
fn claims_never_break_a_header() {
    let world = World::start(|config| config);
    let mut claims = support::identities::user(&world.idp.issuer(), Some(OWNER));
    let id = "IBMid-1\r\nx-injected: 1";
    claims["iam_id"] = id.into();
    claims["id"] = id.into();
    let reply = world.get(&world.idp.token(&claims));
    if reply.status == 200 {
        assert!(world.upstream.last().field("x-injected").is_none());
    } else {
        assert_eq!(reply.status, 401);
    }
}
