//! Which messages are requests at all: paths with two meanings, framing with two meanings, limits,
//! and routes. What is refused here never reaches the upstream in any form.

#![expect(
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    reason = "a failed test panics; the tests measure real time"
)]

mod support;

use std::time::{Duration, Instant};

use support::gate::{ORDER, World};
use support::identities::OWNER;
use support::raw::{Client, Reply, Request};
use support::{SOON, poll_until};

/// A head up to its framing fields, with a token that counts.
fn head(method: &str, target: &str, token: &str) -> String {
    format!(
        "{method} {target} HTTP/1.1\r\nhost: orders.example.com\r\nauthorization: Bearer {token}\r\n"
    )
}

/// What an attacker wants the upstream to take for a request: without a token, so that the gate
/// itself would never forward it.
const SMUGGLED: &str = "GET /v1/accounts/x/orders/smuggled HTTP/1.1\r\nhost: a\r\n\r\n";

/// Sends bytes and reads the first answer; a connection closed without one counts as refused.
fn first_answer(world: &World, bytes: &[u8]) -> (Option<Reply>, Client) {
    let mut client = world.gate.connect();
    let _cut = client.try_send(bytes);
    let reply = client.try_read("GET").unwrap_or_default();
    (reply, client)
}

#[track_caller]
fn assert_refused(world: &World, why: &str, bytes: &[u8]) {
    let before = world.upstream.count();
    let (reply, mut client) = first_answer(world, bytes);
    let status = reply.map(|reply| reply.status);
    assert!(
        status.is_none_or(|status| matches!(status, 400 | 414 | 431 | 501 | 505)),
        "{why}: {status:?}"
    );
    let rest = String::from_utf8_lossy(&client.read_rest()).into_owned();
    assert!(!rest.contains(" 200 "), "{why}: {rest}");
    assert_eq!(world.upstream.count(), before, "{why}: reached the upstream");
}

#[test]
fn a_path_with_two_meanings_is_refused() {
    let world = World::start(|config| config);
    let token = world.user(OWNER);
    for path in [
        "a/../b",
        "..",
        "../..",
        "a/.",
        "./a",
        "a/..",
        ".%2e",
        "%2e%2e",
        "%2E%2e/a",
        "%2e",
        "a/%2E/b",
        "a%2fb",
        "a%2Fb",
        "%2f",
        "a%5cb",
        "a%5Cb",
        "a\\b",
        "a//b",
        "/",
        "a;b",
        "a;v=1/b",
        ";",
        "a%00b",
        "%00",
        "a%0ab",
        "a%0d%0ab",
        "a%7f",
        "a%1f",
        "a%",
        "a%2",
        "a%zz",
        "a%2g",
        "%ff",
        "%c3%28",
        "%c0%ae%c0%ae",
        "%c0%af",
        "%ed%a0%80",
    ] {
        let target = format!("/v1/accounts/{OWNER}/orders/{path}");
        let reply = world.gate.ask(&Request::get(&target).token(&token));
        assert_eq!(reply.status, 400, "{path}");
        assert_eq!(reply.json()["code"], "bad_request", "{path}");
    }
    for target in [
        format!("//v1/accounts/{OWNER}/orders/1"),
        format!("/v1//accounts/{OWNER}/orders/1"),
        format!("/v1/./accounts/{OWNER}/orders/1"),
        format!("/public/../v1/accounts/{OWNER}/orders/1"),
        format!("/public/%2e%2e/v1/accounts/{OWNER}/orders/1"),
        format!("/public/..%2fv1/accounts/{OWNER}/orders/1"),
        format!("/v1/accounts/other%2f..%2f{OWNER}/orders/1"),
    ] {
        let reply = world.gate.ask(&Request::get(&target).token(&token));
        assert_eq!(reply.status, 400, "{target}");
    }
    assert_eq!(world.upstream.count(), 0);
}

#[test]
fn a_target_that_is_no_path_is_refused() {
    let world = World::start(|config| config);
    let token = world.user(OWNER);
    let raw = |target: &[u8]| {
        let request = head("GET", "TARGET", &token) + "connection: close\r\n\r\n";
        let (before, after) = request.split_once("TARGET").unwrap();
        [before.as_bytes(), target, after.as_bytes()].concat()
    };
    let order = ORDER.as_bytes();
    for (why, target) in [
        ("a NUL", [order, b"\0"].concat()),
        ("a control byte", [order, b"\x01"].concat()),
        ("a delete byte", [order, b"\x7f"].concat()),
        ("a space", [order, b" x"].concat()),
        ("a tab", [order, b"\tx"].concat()),
        ("bytes that are no UTF-8", [order, b"\xff\xfe"].concat()),
        ("an asterisk", b"*".to_vec()),
        ("an authority", b"orders.example.com:80".to_vec()),
        ("nothing", Vec::new()),
        ("a relative path", b"v1/accounts".to_vec()),
        ("another host", [b"http://evil.example.com", order].concat()),
        (
            "user info before the host",
            [b"http://orders.example.com@evil.example.com", order].concat(),
        ),
        ("another scheme", [b"file://", order].concat()),
    ] {
        assert_refused(&world, why, &raw(&target));
    }
}

#[test]
fn a_fragment_is_nobodys_business() {
    // It is no part of a target. Refusing it is right; so is deciding and forwarding without it.
    let world = World::start(|config| config);
    let target = format!("{ORDER}#/../../other");
    let reply = world.gate.ask(&Request::get(&target).token(&world.user(OWNER)));
    assert!(matches!(reply.status, 200 | 400), "{}", reply.status);
    assert!(world.upstream.received().iter().all(|received| received.target == ORDER));
}

#[test]
fn what_looks_odd_and_has_one_meaning_is_forwarded_byte_for_byte() {
    let world = World::start(|config| config);
    let token = world.user(OWNER);
    for path in [
        "1",
        "a/b/c",
        "a.b",
        "...",
        "..a",
        "a..",
        "a%20b",
        "%C3%A9",
        "a%c3%a9",
        "a-b_c~d",
        "a:b@c",
        "a+b,c=d",
        "1?x=%2f..%2F",
        "1?",
        "1?a=//&b=;&c=%00",
        "(a)!$&'*",
    ] {
        let target = format!("/v1/accounts/{OWNER}/orders/{path}");
        let reply = world.gate.ask(&Request::get(&target).token(&token));
        assert_eq!(reply.status, 200, "{path}");
        assert_eq!(world.upstream.last().target, target);
    }
}

#[test]
fn the_absolute_form_counts_if_it_names_the_host() {
    let world = World::start(|config| config);
    let target = format!("http://orders.example.com{ORDER}");
    let reply = world.gate.ask(&Request::get(&target).token(&world.user(OWNER)));
    assert_eq!(reply.status, 200);
    assert_eq!(world.upstream.last().target, ORDER);
}

#[test]
fn a_message_without_exactly_one_host_is_refused() {
    let world = World::start(|config| config);
    let token = world.user(OWNER);
    let with_hosts = |hosts: &str| {
        format!(
            "GET {ORDER} HTTP/1.1\r\n{hosts}authorization: Bearer {token}\r\nconnection: close\r\n\r\n"
        )
    };
    for (why, hosts) in [
        ("no host", ""),
        ("two hosts", "host: orders.example.com\r\nhost: evil.example.com\r\n"),
        ("the same host twice", "host: a.example.com\r\nHost: a.example.com\r\n"),
        ("a host with a path", "host: a.example.com/x\r\n"),
        ("a host with user info", "host: a@b.example.com\r\n"),
    ] {
        assert_refused(&world, why, with_hosts(hosts).as_bytes());
    }
}

#[test]
fn a_message_that_is_no_request_is_refused() {
    let world = World::start(|config| config);
    let token = world.user(OWNER);
    let rest = format!("host: a\r\nauthorization: Bearer {token}\r\n");
    for (why, message) in [
        ("no version", format!("GET {ORDER}\r\n{rest}\r\n")),
        ("two spaces", format!("GET  {ORDER} HTTP/1.1\r\n{rest}\r\n")),
        ("a version of the future", format!("GET {ORDER} HTTP/1.7\r\n{rest}\r\n")),
        ("a version that is none", format!("GET {ORDER} HTTP/x\r\n{rest}\r\n")),
        ("a method with a bracket", format!("G[T {ORDER} HTTP/1.1\r\n{rest}\r\n")),
        ("a space before the colon", format!("GET {ORDER} HTTP/1.1\r\nx-a : b\r\n{rest}\r\n")),
        ("a folded field", format!("GET {ORDER} HTTP/1.1\r\nx-a: b\r\n c\r\n{rest}\r\n")),
        ("a first line that is folded", format!("GET {ORDER} HTTP/1.1\r\n x-a: b\r\n{rest}\r\n")),
        ("a field without a colon", format!("GET {ORDER} HTTP/1.1\r\nx-a\r\n{rest}\r\n")),
        ("a field without a name", format!("GET {ORDER} HTTP/1.1\r\n: a\r\n{rest}\r\n")),
        ("a NUL in a value", format!("GET {ORDER} HTTP/1.1\r\nx-a: b\0c\r\n{rest}\r\n")),
        ("a NUL in a name", format!("GET {ORDER} HTTP/1.1\r\nx-\0a: b\r\n{rest}\r\n")),
        ("a lone CR in a value", format!("GET {ORDER} HTTP/1.1\r\nx-a: b\rc\r\n{rest}\r\n")),
        ("binary", "\x16\x03\x01\x02\0\x01\0\x01\u{7f}\r\n\r\n".to_owned()),
    ] {
        assert_refused(&world, why, message.as_bytes());
    }
}

#[test]
fn framing_with_two_meanings_is_refused() {
    let world = World::start(|config| config);
    let token = world.user(OWNER);
    let post = head("POST", ORDER, &token);
    let chunked = format!("0\r\n\r\n{SMUGGLED}");
    for (why, framing) in [
        ("two lengths", "content-length: 5\r\ncontent-length: 6\r\n"),
        ("a list of lengths", "content-length: 5, 6\r\n"),
        ("a length with a sign", "content-length: +5\r\n"),
        ("a negative length", "content-length: -5\r\n"),
        ("a length in hexadecimal", "content-length: 0x5\r\n"),
        ("a length with a unit", "content-length: 5b\r\n"),
        ("a length beyond all numbers", "content-length: 99999999999999999999999\r\n"),
        ("an empty length", "content-length: \r\n"),
        ("a coding that is none", "transfer-encoding: xchunked\r\n"),
        ("a coding before chunked", "transfer-encoding: gzip, chunked\r\n"),
        ("chunked twice", "transfer-encoding: chunked, chunked\r\n"),
        ("chunked in two fields", "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n"),
        ("a coding after chunked", "transfer-encoding: chunked, identity\r\n"),
        ("a second coding field", "transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n"),
        ("chunked and something", "transfer-encoding: chunked x\r\n"),
        ("chunked in quotes", "transfer-encoding: \"chunked\"\r\n"),
        ("chunked with a vertical tab", "transfer-encoding: \x0bchunked\r\n"),
        ("a space before the coding's colon", "transfer-encoding : chunked\r\n"),
        ("a folded coding", "transfer-encoding:\r\n chunked\r\n"),
        ("a NUL before the coding", "transfer-encoding: \0chunked\r\n"),
    ] {
        assert_refused(&world, why, format!("{post}{framing}\r\n{chunked}").as_bytes());
    }
    let old = post.replace("HTTP/1.1", "HTTP/1.0");
    let old = format!("{old}transfer-encoding: chunked\r\n\r\n{chunked}");
    assert_no_second_request(&world, "chunked in HTTP/1.0", old.as_bytes());
}

/// Whatever the gate makes of it, the upstream sees at most one request, its body ends where the
/// gate says, and the smuggled one is nowhere.
#[track_caller]
fn assert_no_second_request(world: &World, why: &str, bytes: &[u8]) {
    let before = world.upstream.count();
    let (_reply, mut client) = first_answer(world, bytes);
    client.set_read_timeout(Duration::from_millis(300));
    let _rest = client.read_rest();
    drop(client);
    let all = world.upstream.received();
    let seen = all.get(before..).unwrap_or_default();
    assert!(seen.len() <= 1, "{why}: {seen:?}");
    for received in seen {
        assert!(!received.target.contains("smuggled"), "{why}: {received:?}");
        let framings =
            received.all("content-length").len() + received.all("transfer-encoding").len();
        assert!(framings <= 1, "{why}: {received:?}");
    }
    // The pool is in step: the next answer belongs to the next question.
    let reply = world.get(&world.user(OWNER));
    assert_eq!(reply.status, 200, "{why}");
    assert_eq!(reply.json()["target"], ORDER, "{why}");
}

#[test]
fn length_and_coding_together_never_make_two_requests() {
    let world = World::start(|config| config);
    let post = head("POST", ORDER, &world.user(OWNER));
    let inner = SMUGGLED.len();
    for (why, message) in [
        (
            "length then chunked",
            format!(
                "{post}content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n{SMUGGLED}"
            ),
        ),
        (
            "chunked then length",
            format!(
                "{post}transfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n0\r\n\r\n{SMUGGLED}"
            ),
        ),
        (
            "a length that covers the smuggled request",
            format!(
                "{post}content-length: {}\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n{SMUGGLED}",
                inner + 5
            ),
        ),
        (
            "a chunk that covers the smuggled request",
            format!(
                "{post}content-length: 4\r\ntransfer-encoding: chunked\r\n\r\n{inner:x}\r\n{SMUGGLED}\r\n0\r\n\r\n"
            ),
        ),
        (
            "the same length twice",
            format!("{post}content-length: 5\r\ncontent-length: 5\r\n\r\nhello{SMUGGLED}"),
        ),
        (
            "lines that end in LF",
            format!(
                "{post}content-length: 0\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n{SMUGGLED}"
            ),
        ),
        ("a head that ends in LF LF", format!("{post}content-length: 0\n\n{SMUGGLED}")),
        (
            "chunked in capitals",
            format!("{post}Transfer-Encoding: CHUNKED\r\n\r\n0\r\n\r\n{SMUGGLED}"),
        ),
    ] {
        assert_no_second_request(&world, why, message.as_bytes());
    }
}

#[test]
fn chunks_with_two_meanings_never_make_two_requests() {
    let world = World::start(|config| config);
    let post = head("POST", ORDER, &world.user(OWNER)) + "transfer-encoding: chunked\r\n\r\n";
    let body = "GET /v1/accounts/x/orders/smuggled HTTP/1.1\r\nhost: a\r\n\r\n";
    for (why, chunks) in [
        ("a size with a sign", format!("+5\r\nhello\r\n0\r\n\r\n{body}")),
        ("a size with 0x", format!("0x5\r\nhello\r\n0\r\n\r\n{body}")),
        ("a negative size", format!("-1\r\n{body}")),
        ("a size beyond all numbers", format!("fffffffffffffffff\r\n{body}")),
        ("a size that wraps to zero", format!("10000000000000000\r\n\r\n{body}")),
        ("no size", format!("\r\nhello\r\n{body}")),
        ("no line end after a chunk", format!("5\r\nhello0\r\n\r\n{body}")),
        ("a chunk longer than its size", format!("3\r\nhello\r\n0\r\n\r\n{body}")),
        ("LF in an extension", format!("5;a\nb\r\nhello\r\n0\r\n\r\n{body}")),
        ("CR in an extension", format!("5;a\rb\r\nhello\r\n0\r\n\r\n{body}")),
        ("a size that ends in LF", format!("5\nhello\n0\n\n{body}")),
        ("a folded trailer", format!("0\r\nx: a\r\n b\r\n\r\n{body}")),
        ("a trailer with a length", format!("0\r\ncontent-length: 100\r\n\r\n{body}")),
    ] {
        assert_no_second_request(&world, why, format!("{post}{chunks}").as_bytes());
    }
}

#[test]
fn a_body_that_is_no_http_is_the_clients_fault() {
    let world = World::start(|config| config);
    let post = head("POST", ORDER, &world.user(OWNER)) + "transfer-encoding: chunked\r\n\r\n";
    let mut client = world.gate.connect();
    client.send(post + "nonsense\r\n0\r\n\r\n");
    let reply = client.try_read("POST").unwrap_or_default();
    assert_eq!(reply.map(|reply| reply.status), Some(400));
    assert_eq!(world.get(&world.user(OWNER)).status, 200);
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let world = World::start(|config| config);
    let token = world.user(OWNER);
    let mut client = world.gate.connect();
    let targets: Vec<String> = (0..5).map(|n| format!("/v1/accounts/{OWNER}/orders/{n}")).collect();
    let all: Vec<u8> =
        targets.iter().flat_map(|target| Request::get(target).token(&token).bytes()).collect();
    client.send(all);
    for target in targets {
        assert_eq!(client.read("GET").json()["target"], target);
    }
}

#[test]
fn more_fields_than_the_limit_are_too_many() {
    let world = World::start(|config| config);
    let token = world.user(OWNER);
    let with_fields = |count: usize| {
        // `host`, `authorization` and `connection` are three.
        (3..count)
            .fold(Request::get(ORDER).token(&token), |request, _| request.header("x-many", "1"))
    };
    assert_eq!(world.gate.ask(&with_fields(100)).status, 200);
    let before = world.upstream.count();
    assert_eq!(world.gate.ask(&with_fields(101)).status, 431);
    assert_eq!(world.gate.ask(&with_fields(1000)).status, 431);
    assert_eq!(world.upstream.count(), before);
}

#[test]
fn a_head_beyond_the_limit_is_too_large() {
    let world = World::start(|config| config);
    let token = world.user(OWNER);
    let with_bytes =
        |bytes: usize| Request::get(ORDER).token(&token).header("x-large", "l".repeat(bytes));
    assert_eq!(world.gate.ask(&with_bytes(16 << 10)).status, 200);
    for bytes in [33 << 10, 40 << 10] {
        assert_eq!(world.gate.ask(&with_bytes(bytes)).status, 431, "{bytes}");
    }
    let path = format!("/v1/accounts/{OWNER}/orders/{}", "p".repeat(40 << 10));
    let status = world.gate.ask(&Request::get(&path).token(&token)).status;
    assert!(matches!(status, 414 | 431), "{status}");
    assert_eq!(world.upstream.count(), 1);

    let small = World::start(|config| config.set("limits", "{ header_bytes: 8KiB, headers: 10 }"));
    let reply = small
        .gate
        .ask(&Request::get(ORDER).token(&small.user(OWNER)).header("x-l", "l".repeat(9 << 10)));
    assert_eq!(reply.status, 431);
}

#[test]
fn a_head_that_never_ends_is_cut_off() {
    let world = World::start(|config| config.set("limits", "{ header_timeout: 1s }"));
    let mut client = world.gate.connect();
    client.send(format!("GET {ORDER} HTTP/1.1\r\nhost: a\r\n"));
    let began = Instant::now();
    let reply = client.try_read("GET").unwrap_or_default();
    assert!(reply.is_none_or(|reply| matches!(reply.status, 400 | 408)));
    assert!(client.is_closed());
    assert!(began.elapsed() < Duration::from_secs(6), "{:?}", began.elapsed());

    let mut dribbling = world.gate.connect();
    dribbling.send(format!("GET {ORDER} HTTP/1.1\r\nhost: a\r\n"));
    poll_until("the end of a dribbling client", Duration::from_secs(8), || {
        dribbling.try_send("x-drop: 1\r\n").is_err()
    });
    assert_eq!(world.upstream.count(), 0);
    assert_eq!(world.get(&world.user(OWNER)).status, 200);
}

#[test]
fn a_body_that_stops_is_cut_off_and_frees_the_upstream() {
    let world = World::start(|config| config.set("limits", "{ body_idle_timeout: 1s }"));
    let mut client = world.gate.connect();
    client.send(head("POST", ORDER, &world.user(OWNER)) + "content-length: 100\r\n\r\nhalf");
    world.upstream.wait_count(1);
    let began = Instant::now();
    let reply = client.try_read("POST").unwrap_or_default();
    assert!(reply.is_none_or(|reply| matches!(reply.status, 400 | 408 | 502)));
    assert!(began.elapsed() < Duration::from_secs(6), "{:?}", began.elapsed());
    assert_eq!(world.get(&world.user(OWNER)).status, 200);
}

#[test]
fn connections_over_the_limit_are_turned_away() {
    let world = World::start(|config| config.set("limits", "{ connections: 3 }"));
    let token = world.user(OWNER);
    let request = Request::get(ORDER).token(&token);
    let mut held: Vec<Client> = (0..3).map(|_| world.gate.connect()).collect();
    for client in &mut held {
        assert_eq!(client.ask(&request).status, 200);
    }
    let mut fourth = world.gate.connect();
    assert_eq!(fourth.ask(&request).status, 503);
    assert!(fourth.is_closed());
    for client in &mut held {
        assert_eq!(client.ask(&request).status, 200, "those inside go on");
    }
    held.pop();
    poll_until("a free place", SOON, || {
        let mut client = world.gate.connect();
        let _cut = client.try_send(request.bytes());
        client.try_read("GET").ok().flatten().is_some_and(|reply| reply.status == 200)
    });
}

#[test]
fn what_no_route_takes_never_reaches_the_upstream() {
    let world = World::start(|config| config);
    let token = world.user(OWNER);
    let short = format!("/v1/accounts/{OWNER}/orders");
    let slash = format!("/v1/accounts/{OWNER}/orders/");
    let case = ORDER.replace("orders", "Orders");
    for target in [
        "/",
        "/v1",
        "/v2/accounts/a/orders/1",
        &short,
        &slash,
        &case,
        "/public",
        "/healthz",
        "/metrics",
    ] {
        let reply = world.gate.ask(&Request::get(target).token(&token));
        reply.assert_problem(404, "no_route");
    }
    for method in ["OPTIONS", "TRACE", "PURGE", "get", "M-SEARCH"] {
        let reply = world.gate.ask(&Request::new(method, ORDER).token(&token));
        reply.assert_problem(404, "no_route");
    }
    assert_eq!(world.upstream.count(), 0);
}

#[test]
fn a_tunnel_is_never_opened() {
    let world = World::start(|config| config);
    let token = world.user(OWNER);
    let connect = format!(
        "CONNECT evil.example.com:443 HTTP/1.1\r\nhost: evil.example.com:443\r\nauthorization: Bearer {token}\r\n\r\n"
    );
    let (reply, _client) = first_answer(&world, connect.as_bytes());
    assert!(reply.is_none_or(|reply| matches!(reply.status, 400 | 404 | 405 | 501)));
    assert_eq!(world.upstream.count(), 0);

    let upgrade = head("GET", ORDER, &token)
        + "connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__\r\n\r\n";
    let (reply, _client) = first_answer(&world, upgrade.as_bytes());
    assert!(reply.is_some_and(|reply| reply.status != 101));
    for received in world.upstream.received() {
        assert!(received.field("upgrade").is_none(), "{received:?}");
        assert!(received.field("http2-settings").is_none(), "{received:?}");
    }
}

#[test]
fn a_public_route_needs_no_token_and_names_nobody() {
    let world = World::start(|config| config);
    for request in [
        Request::get("/public/page"),
        Request::get("/public/page").token("garbage"),
        Request::get("/public/page").token(&world.user(OWNER)),
        Request::get("/public/page").header("x-crossgate-account", OWNER),
        Request::get("/public/page").header("X_Crossgate_Principal", "root"),
    ] {
        assert_eq!(world.gate.ask(&request).status, 200);
        let received = world.upstream.last();
        let named = |(name, _): &(String, String)| {
            name.to_ascii_lowercase().replace('_', "-").starts_with("x-crossgate-")
                && !name.eq_ignore_ascii_case("x-crossgate-decision")
        };
        assert!(!received.fields.iter().any(named), "{received:?}");
    }
}

#[test]
fn the_most_specific_route_counts_whatever_their_order() {
    let routes = r#"
  - { path: "/v1/{*rest}", public: true, upstream: orders }
  - { path: "/v1/secret/{name}", action: "a:B", resource: "arn:aws:a:::{name}", owner: fixed, upstream: orders }
  - { path: "/v1/secret/open", public: true, upstream: orders }"#;
    let world = World::start(|config| config.set("routes", routes));
    for (target, status) in [
        ("/v1/other", 200),
        ("/v1/secret/x", 401),
        ("/v1/secret/open", 200),
        ("/v1/secret/x/y", 200),
    ] {
        assert_eq!(world.gate.ask(&Request::get(target)).status, status, "{target}");
    }
}
