//! HTTP/2 that is malformed on purpose. The upstream speaks HTTP/1.1: whatever HTTP/2 can carry and
//! HTTP/1.1 would read differently must end at the gate.

mod support;

use std::time::Duration;

use http::HeaderValue;
use support::frames::{
    CONTINUATION, DATA, END_STREAM, End, Frames, HEADERS, Outcome, RST_STREAM, RawField, block,
};
use support::gate::{ORDER, World};
use support::h2;
use support::identities::{OWNER, STRANGER};
use support::poll_until;

/// The fields of a good request, with these replaced, or added where they are new.
fn request<'a>(token: &'a str, changes: &[RawField<'a>]) -> Vec<RawField<'a>> {
    let mut fields: Vec<RawField<'a>> = vec![
        (b":method", b"GET"),
        (b":scheme", b"http"),
        (b":authority", b"orders.example.com"),
        (b":path", ORDER.as_bytes()),
        (b"authorization", token.as_bytes()),
    ];
    for (name, value) in changes {
        match fields.iter_mut().find(|(found, _)| found == name) {
            Some(field) => field.1 = value,
            None => fields.push((name, value)),
        }
    }
    fields
}

#[track_caller]
fn ask(world: &World, fields: &[RawField<'_>]) -> Outcome {
    let mut frames = Frames::connect(world.gate.proxy);
    frames.headers(1, fields, End::Here);
    frames.outcome(1)
}

#[test]
fn frames_by_hand_are_understood() {
    let world = World::start(|config| config);
    let token = format!("Bearer {}", world.user(OWNER));
    assert_eq!(ask(&world, &request(&token, &[])), Outcome::Accepted);
    assert_eq!(world.upstream.last().all("host"), ["orders.example.com"]);
    let same_host = request(&token, &[(b"host", b"orders.example.com")]);
    assert_eq!(ask(&world, &same_host), Outcome::Accepted);
    assert_eq!(world.upstream.last().all("host"), ["orders.example.com"]);
}

#[test]
fn fields_that_http1_reads_differently_end_at_the_gate() {
    let world = World::start(|config| config);
    let token = format!("Bearer {}", world.user(OWNER));
    let bad: [(&str, RawField<'_>); 23] = [
        ("a coding", (b"transfer-encoding", b"chunked")),
        ("a connection field", (b"connection", b"close")),
        ("an upgrade", (b"upgrade", b"h2c")),
        ("keep-alive", (b"keep-alive", b"timeout=5")),
        ("proxy-connection", (b"proxy-connection", b"close")),
        ("te of anything but trailers", (b"te", b"gzip")),
        ("a name in upper case", (b"X-Up", b"1")),
        ("a name with a space", (b"x up", b"1")),
        ("a name with a colon", (b"x:up", b"1")),
        ("a name with a line end", (b"x\r\ny", b"1")),
        ("an empty name", (b"", b"1")),
        ("a value with a line end", (b"x-value", b"a\r\nx-crossgate-account: forged")),
        ("a value with LF", (b"x-value", b"a\nx-crossgate-account: forged")),
        ("a value with NUL", (b"x-value", b"a\0b")),
        ("an unknown pseudo field", (b":evil", b"1")),
        ("a method with a request in it", (b":method", b"GET /x HTTP/1.1\r\nhost: a\r\n\r\nGET")),
        ("an empty method", (b":method", b"")),
        ("a path with a request in it", (b":path", b"/public/x HTTP/1.1\r\nhost: a\r\n\r\nGET /y")),
        ("a path with a space", (b":path", b"/public/x y")),
        ("an empty path", (b":path", b"")),
        ("a path that is absolute", (b":path", b"http://evil.example.com/public/x")),
        ("a path with dots", (b":path", b"/public/../v1/by-header")),
        ("another host", (b"host", b"evil.example.com")),
    ];
    for (why, field) in bad {
        assert_eq!(ask(&world, &request(&token, &[field])), Outcome::Refused, "{why}");
        assert_eq!(world.upstream.count(), 0, "{why}");
    }
    let mut twice = request(&token, &[]);
    twice.insert(4, (b":path", b"/public/x"));
    assert_eq!(ask(&world, &twice), Outcome::Refused, "two paths");
    let mut late = request(&token, &[]);
    late.rotate_left(1);
    assert_eq!(ask(&world, &late), Outcome::Refused, "a pseudo field after the others");
    let without: Vec<_> =
        request(&token, &[]).into_iter().filter(|field| field.0 != b":path").collect();
    assert_eq!(ask(&world, &without), Outcome::Refused, "no path");
    assert_eq!(world.upstream.count(), 0);
}

#[test]
fn an_authority_that_a_host_could_not_be_ends_at_the_gate() {
    let world = World::start(|config| config);
    let token = format!("Bearer {}", world.user(OWNER));
    for authority in ["a@orders.example.com", "a:b@orders.example.com"] {
        let fields = request(&token, &[(b":authority", authority.as_bytes())]);
        assert_eq!(ask(&world, &fields), Outcome::Refused, "{authority}");
    }
    assert_eq!(world.upstream.count(), 0);
}

#[test]
fn a_length_that_lies_is_never_passed_for_whole() {
    let world = World::start(|config| config);
    let token = format!("Bearer {}", world.user(OWNER));
    let body = b"GET /v1/accounts/x/orders/smuggled HTTP/1.1\r\nhost: a\r\n\r\n";
    for (why, length) in [("too short", b"4".as_slice()), ("too long", b"4000")] {
        let mut frames = Frames::connect(world.gate.proxy);
        let fields = request(&token, &[(b":method", b"POST"), (b"content-length", length)]);
        frames.headers(1, &fields, End::Later);
        frames.frame(DATA, END_STREAM, 1, body);
        assert_eq!(frames.outcome(1), Outcome::Refused, "{why}");
    }
    let mut frames = Frames::connect(world.gate.proxy);
    let mut fields = request(&token, &[(b":method", b"POST"), (b"content-length", b"4")]);
    fields.push((b"content-length", b"60"));
    frames.headers(1, &fields, End::Later);
    frames.frame(DATA, END_STREAM, 1, body);
    assert_eq!(frames.outcome(1), Outcome::Refused, "two lengths");
    let smuggled =
        world.upstream.received().iter().any(|received| received.target.contains("smuggled"));
    assert!(!smuggled);
    assert_eq!(world.get(&world.user(OWNER)).status, 200);
}

#[test]
fn limits_of_heads_hold_over_http2() {
    let world = World::start(|config| config);
    let (token, address) = (world.user(OWNER), world.gate.proxy);
    h2::runtime().block_on(async {
        let sender = h2::connect(address).await;
        let large = |bytes: usize| {
            let mut request = h2::get(address, ORDER, &token);
            let value = HeaderValue::from_str(&"l".repeat(bytes)).unwrap();
            request.headers_mut().insert("x-large", value);
            request
        };
        let many = |count: usize| {
            let mut request = h2::get(address, ORDER, &token);
            for _ in 0..count {
                request.headers_mut().append("x-many", HeaderValue::from_static("1"));
            }
            request
        };
        for (request, status) in
            [(large(16 << 10), 200), (many(90), 200), (large(40 << 10), 431), (many(120), 431)]
        {
            assert_eq!(h2::ask(&sender, request).await.unwrap().status(), status);
        }
    });
    assert_eq!(world.upstream.count(), 2);
}

#[test]
fn a_storm_of_resets_hurts_nobody_else() {
    let world = World::start(|config| config.set("workers", "1"));
    let token = format!("Bearer {}", world.user(OWNER));
    let fields = block(&request(&token, &[]));
    let mut frames = Frames::connect(world.gate.proxy);
    for n in 0..2_000 {
        let stream = n * 2 + 1;
        let sent = frames.frame(HEADERS, 5, stream, &fields)
            && frames.frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes());
        if !sent {
            break;
        }
    }
    assert_eq!(world.get(&world.user(OWNER)).status, 200);
    let settled = world.upstream.count();
    assert!(settled <= 2_001, "{settled}");
}

#[test]
fn a_head_that_goes_on_for_ever_is_cut_off() {
    let world = World::start(|config| config.set("workers", "1"));
    let token = format!("Bearer {}", world.user(STRANGER));
    let mut frames = Frames::connect(world.gate.proxy);
    frames.frame(HEADERS, END_STREAM, 1, &block(&request(&token, &[])));
    let filler = "f".repeat(8 << 10);
    let more = block(&[(b"x-filler", filler.as_bytes())]);
    poll_until("the end of the connection", Duration::from_secs(20), || {
        !frames.frame(CONTINUATION, 0, 1, &more)
    });
    assert_eq!(world.get(&world.user(OWNER)).status, 200);
    assert_eq!(world.upstream.count(), 1);
}
