//! Bodies in both directions, upstreams that fail, clients that leave, HTTP/2, TLS, and a clean end.

#![expect(clippy::disallowed_methods, reason = "the tests measure real time")]

mod support;

use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use support::gate::{Config, Gate, ORDER, World};
use support::identities::{OWNER, STRANGER, user};
use support::idp::Idp;
use support::raw::{Client, Request};
use support::upstream::Upstream;
use support::{RELOADED, SOON, free_address, h2, poll_until};

/// A head with a token, its framing fields to follow.
fn post(token: &str, fields: &str) -> String {
    format!("POST {ORDER} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {token}\r\n{fields}\r\n")
}

fn limited(config: Config) -> Config {
    config.settings("default: { mode: limited, allowlist: [] }\n")
}

#[test]
fn an_answer_is_passed_on_while_it_is_made() {
    let world = World::start(|config| config);
    let mut client = world.gate.connect();
    client
        .send(Request::get(ORDER).token(&world.user(OWNER)).header("x-upstream", "steps").bytes());
    assert_eq!(client.read_head().status, 200);
    // Each part arrives before the upstream has made the next one.
    assert_eq!(client.read_chunk(), b"one");
    world.upstream.step();
    assert_eq!(client.read_chunk(), b"two");
    world.upstream.step();
    assert_eq!(client.read_chunk(), b"three");
    assert_eq!(client.read_chunk(), b"");
}

#[test]
fn a_body_is_passed_on_while_it_is_sent() {
    let world = World::start(|config| config);
    let token = world.user(OWNER);
    let arrived = |body: &[u8]| world.upstream.last().body == body;

    let mut chunked = world.gate.connect();
    chunked.send(post(&token, "transfer-encoding: chunked\r\n") + "5\r\nfirst\r\n");
    world.upstream.wait_count(1);
    poll_until("the first chunk", SOON, || arrived(b"first"));
    chunked.send("6\r\nsecond\r\n");
    poll_until("the second chunk", SOON, || arrived(b"firstsecond"));
    chunked.send("0\r\n\r\n");
    assert_eq!(chunked.read("POST").json()["body"], "firstsecond");

    // The upstream reads a body of known length in pieces of 16 KiB.
    let piece = vec![b'p'; 16 << 10];
    let mut sized = world.gate.connect();
    sized.send(post(&token, &format!("content-length: {}\r\n", piece.len() * 2)));
    sized.send(&piece);
    world.upstream.wait_count(2);
    poll_until("the first half", SOON, || arrived(&piece));
    sized.send(&piece);
    assert_eq!(sized.read("POST").json()["body_length"], piece.len() * 2);
}

#[test]
fn large_bodies_cross_whole() {
    let world = World::start(|config| config);
    let token = world.user(OWNER);
    let body = vec![b'b'; 8 << 20];
    let up = Request::new("PUT", ORDER).token(&token).body(&body);
    assert_eq!(world.gate.ask(&up).json()["body_length"], body.len());
    let down = Request::get(ORDER).token(&token).header("x-upstream", "bytes=8388608");
    let reply = world.gate.ask(&down);
    assert_eq!(reply.body.len(), 8 << 20);
    assert!(reply.body.iter().all(|byte| *byte == b'x'));
}

#[test]
fn a_body_of_unknown_length_crosses_whatever_the_method() {
    let world = World::start(|config| config);
    let head = post(&world.user(OWNER), "transfer-encoding: chunked\r\n");
    for method in ["GET", "DELETE", "PATCH"] {
        let mut client = world.gate.connect();
        client.send(head.replacen("POST", method, 1) + "5\r\nquery\r\n0\r\n\r\n");
        assert_eq!(client.read(method).json()["body"], "query", "{method}");
    }
}

#[test]
fn a_client_may_pause_for_longer_than_an_upstream() {
    let world = World::start(|config| {
        let upstreams = config.part("upstreams").replace("] }", "], response_timeout: 1s }");
        config.set("upstreams", upstreams).set("limits", "{ body_idle_timeout: 3s }")
    });
    let mut client = world.gate.connect();
    client.send(post(&world.user(OWNER), "content-length: 10\r\n") + "first");
    std::thread::sleep(Duration::from_millis(2200));
    client.send("after");
    assert_eq!(client.read("POST").json()["body"], "firstafter");

    let mut silent = world.gate.connect();
    silent.send(post(&world.user(OWNER), "content-length: 10\r\n") + "first");
    assert_eq!(silent.read("POST").status, 408, "the client is late, not the upstream");
}

#[test]
fn connections_on_both_sides_are_used_again() {
    let world = World::start(|config| config);
    let token = world.user(OWNER);
    let mut client = world.gate.connect();
    for _ in 0..50 {
        assert_eq!(client.ask(&Request::get(ORDER).token(&token)).status, 200);
    }
    assert_eq!(world.upstream.connections(), 1, "one client connection lives on one worker");
}

#[test]
fn an_upstream_connection_that_died_at_rest_costs_no_answer() {
    let world = World::start(|config| config);
    let token = world.user(OWNER);
    let mut client = world.gate.connect();
    for _ in 0..30 {
        let request = Request::get(ORDER).token(&token).header("x-upstream", "idle-close");
        let reply = client.ask(&request);
        assert_eq!(reply.status, 200);
    }
}

#[test]
fn an_answer_without_a_length_ends_with_its_connection() {
    let world = World::start(|config| config);
    let mut client = world.gate.connect();
    let request = Request::get(ORDER).token(&world.user(OWNER)).header("x-upstream", "until-close");
    assert_eq!(client.ask(&request).body, b"until the end");
    // Towards the client it was framed anew, or ended as well; both are right.
    let request = Request::get(ORDER).token(&world.user(OWNER)).header("x-upstream", "trailers");
    assert_eq!(world.gate.ask(&request).body, b"ok");
}

#[test]
fn answers_without_a_body_leave_the_connection_in_step() {
    let world = World::start(|config| config);
    let token = world.user(OWNER);
    let mut client = world.gate.connect();
    for order in ["status=204", "status=304", "head", "status=204"] {
        let method = if order == "head" { "HEAD" } else { "GET" };
        let request = Request::new(method, ORDER).token(&token).header("x-upstream", order);
        if order == "head" {
            let reply = client.ask(&request);
            assert_eq!((reply.status, reply.header("content-length")), (200, Some("1234")));
        } else {
            let reply = client.ask(&request);
            assert_eq!(format!("status={}", reply.status), order);
            assert_eq!(reply.header("x-answer"), Some("yes"));
            assert_eq!(reply.header("transfer-encoding"), None);
        }
        let next = client.ask(&Request::get(ORDER).token(&token));
        assert_eq!(next.json()["target"], ORDER, "after {order}");
    }
    let refused = client.ask(&Request::new("HEAD", ORDER));
    assert_eq!((refused.status, refused.body.len()), (401, 0));
    assert_eq!(client.ask(&Request::get(ORDER).token(&token)).status, 200);
}

#[test]
fn statuses_of_the_upstream_cross_unchanged() {
    let world = World::start(|config| config);
    let token = world.user(OWNER);
    for status in [201, 301, 400, 401, 403, 404, 418, 429, 500, 503, 599] {
        let order = format!("status={status}");
        let reply = world.gate.ask(&Request::get(ORDER).token(&token).header("x-upstream", order));
        assert_eq!(reply.status, status);
        assert_eq!(reply.header("x-answer"), Some("yes"));
    }
}

#[test]
fn an_upstream_that_is_down_is_a_bad_gateway() {
    let idp = Idp::start();
    let gate = Gate::start(Config::new(&idp, free_address()));
    let token = idp.token(&user(&idp.issuer(), Some(OWNER)));
    let reply = gate.ask(&Request::get(ORDER).token(&token));
    assert_eq!(reply.status, 502);
    assert_eq!(reply.header("content-type"), Some("application/problem+json"));
    assert_eq!(reply.json()["decision"], reply.decision());
    let failed = gate.metrics().sum("crossgate_requests_total", &[("outcome", "upstream_error")]);
    assert!(failed >= 1.0);
    assert_eq!(gate.admin(&Request::get("/readyz")).status, 200, "readiness is not the upstream's");
}

#[test]
fn an_endpoint_that_is_down_leaves_the_work_to_the_others() {
    let (idp, upstream) = (Idp::start(), Upstream::start());
    let endpoints = format!("[\"http://{}\", \"http://{}\"]", free_address(), upstream.address());
    let config = Config::new(&idp, upstream.address())
        .set("upstreams", format!("\n  orders: {{ endpoints: {endpoints} }}"));
    let gate = Gate::start(config);
    let token = idp.token(&user(&idp.issuer(), Some(OWNER)));
    for _ in 0..10 {
        assert_eq!(gate.ask(&Request::get(ORDER).token(&token)).status, 200);
    }
}

#[test]
fn an_upstream_that_answers_nonsense_is_a_bad_gateway() {
    let world = World::start(|config| config);
    let token = world.user(OWNER);
    for order in ["close", "garbage", "bad-length", "two-lengths", "huge-head", "switch"] {
        let request =
            Request::new("POST", ORDER).token(&token).header("x-upstream", order).body(b"x");
        let reply = world.gate.ask(&request);
        assert_eq!(reply.status, 502, "{order}");
        assert_eq!(reply.header("content-type"), Some("application/problem+json"), "{order}");
        assert_eq!(world.get(&token).status, 200, "after {order}");
    }
}

#[test]
fn an_answer_with_two_framings_is_read_by_its_chunks() {
    let world = World::start(|config| config);
    let request = Request::get(ORDER).token(&world.user(OWNER));
    let reply = world.gate.ask(&request.header("x-upstream", "two-framings"));
    assert_eq!((reply.status, reply.body.as_slice()), (200, b"whole".as_slice()));
}

#[test]
fn a_post_is_sent_once_even_if_the_upstream_fails() {
    let world = World::start(|config| config);
    let request =
        Request::new("POST", ORDER).token(&world.user(OWNER)).header("x-upstream", "close");
    assert_eq!(world.gate.ask(&request.body(b"pay")).status, 502);
    assert_eq!(world.upstream.count(), 1);
}

#[test]
fn an_upstream_that_is_slow_is_a_gateway_timeout() {
    let world = World::start(|config| {
        let upstreams = config.part("upstreams").replace("] }", "], response_timeout: 1s }");
        config.set("upstreams", upstreams)
    });
    let began = Instant::now();
    let reply =
        world.gate.ask(&Request::get(ORDER).token(&world.user(OWNER)).header("x-upstream", "wait"));
    assert_eq!(reply.status, 504);
    assert_eq!(reply.header("content-type"), Some("application/problem+json"));
    let took = began.elapsed();
    assert!((Duration::from_millis(900)..Duration::from_secs(5)).contains(&took), "{took:?}");
    poll_until("the upstream freed", SOON, || world.upstream.abandoned() == 1);
}

#[test]
fn an_answer_that_breaks_off_is_not_passed_for_whole() {
    let world = World::start(|config| config);
    let token = world.user(OWNER);
    let mut client = world.gate.connect();
    client.send(Request::get(ORDER).token(&token).header("x-upstream", "reset").bytes());
    assert_eq!(client.read_head().status, 200);
    world.upstream.step();
    let rest = client.read_rest();
    assert!(rest.len() < 1000, "the body can't be whole");

    h2::runtime().block_on(async {
        let sender = h2::connect(world.gate.proxy).await;
        let mut request = h2::get(world.gate.proxy, ORDER, &token);
        request.headers_mut().insert("x-upstream", http::HeaderValue::from_static("reset"));
        world.upstream.step();
        assert!(h2::ask(&sender, request).await.is_err(), "the stream is reset");
        let next = h2::ask(&sender, h2::get(world.gate.proxy, ORDER, &token)).await.unwrap();
        assert_eq!(next.status(), 200, "the other streams go on");
    });
}

#[test]
fn a_client_that_leaves_frees_the_upstream() {
    let world = World::start(|config| config);
    let token = world.user(OWNER);
    let mut client = world.gate.connect();
    client.send(Request::get(ORDER).token(&token).header("x-upstream", "wait").bytes());
    world.upstream.wait_count(1);
    drop(client);
    poll_until("the upstream freed", SOON, || world.upstream.abandoned() == 1);

    let mut uploading = world.gate.connect();
    uploading.send(post(&token, "content-length: 1000\r\n") + "half");
    world.upstream.wait_count(2);
    drop(uploading);
    assert_eq!(world.get(&token).status, 200);
}

#[test]
fn a_denial_does_not_wait_for_the_body_and_the_body_is_no_request() {
    let world = World::start(limited);
    let token = world.user(STRANGER);
    let began = Instant::now();
    let mut client = world.gate.connect();
    client.send(post(&token, "content-length: 100000000\r\n"));
    let _cut = client.try_send(vec![b'x'; 64 << 10]);
    assert_eq!(client.read("POST").status, 403);
    assert!(began.elapsed() < SOON);

    let smuggled = Request::get("/public/smuggled").bytes();
    let mut client = world.gate.connect();
    client.send(post(&token, &format!("content-length: {}\r\n", smuggled.len())));
    let _cut = client.try_send(&smuggled);
    assert_eq!(client.read("POST").status, 403);
    // The connection goes on behind the body, or ends.
    let _cut = client.try_send(Request::get("/public/next").bytes());
    if let Ok(Some(reply)) = client.try_read("GET") {
        assert_eq!(reply.json()["target"], "/public/next");
    }
    assert!(world.upstream.received().iter().all(|received| !received.target.contains("smuggled")));
    let mut chunked = world.gate.connect();
    chunked.send(post(&token, "transfer-encoding: chunked\r\n"));
    assert_eq!(chunked.read("POST").status, 403);
}

#[test]
fn a_client_can_send_all_before_it_reads_its_refusal() {
    let world = World::start(limited);
    let mut denied = world.gate.connect();
    denied.send(post(&world.user(STRANGER), "content-length: 8388608\r\n"));
    denied.send(vec![b'x'; 8 << 20]);
    assert_eq!(denied.read("POST").status, 403);
    let mut verbose = world.gate.connect();
    verbose.send(format!("GET / HTTP/1.1\r\nhost: a\r\nx-a: {}\r\n\r\n", "a".repeat(8 << 20)));
    assert_eq!(verbose.read("GET").status, 431);
}

#[test]
fn a_body_is_asked_for_only_if_it_is_wanted() {
    let world = World::start(limited);
    let expecting = |token: &str| post(token, "expect: 100-continue\r\ncontent-length: 5\r\n");
    let mut denied = world.gate.connect();
    denied.send(expecting(&world.user(STRANGER)));
    assert_eq!(denied.read_head().status, 403, "no 100 before a denial");

    let mut client = world.gate.connect();
    client.send(expecting(&world.user(OWNER)));
    assert_eq!(client.read_head().status, 100);
    client.send("hello");
    let reply = client.read("POST");
    assert_eq!(reply.status, 200);
    assert_eq!(reply.json()["body"], "hello");
}

#[test]
fn an_early_answer_of_the_upstream_reaches_a_client_that_still_sends() {
    let world = World::start(|config| config);
    let mut client = world.gate.connect();
    client.send(post(&world.user(OWNER), "x-upstream: early\r\ncontent-length: 100\r\n") + "first");
    let reply = client.read("POST");
    assert_eq!((reply.status, reply.body.as_slice()), (200, b"early".as_slice()));
}

#[test]
fn old_clients_get_answers_that_they_understand() {
    let world = World::start(|config| config);
    let mut client = world.gate.connect();
    let token = world.user(OWNER);
    client.send(format!("GET {ORDER} HTTP/1.0\r\nhost: a\r\nauthorization: Bearer {token}\r\nx-upstream: trailers\r\n\r\n"));
    let reply = client.read("GET");
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("transfer-encoding"), None, "chunks are unknown to HTTP/1.0");
    assert_eq!(reply.body, b"ok");
}

#[test]
fn http2_is_spoken_with_clients() {
    let world = World::start(limited);
    let (own, stranger) = (world.user(OWNER), world.user(STRANGER));
    let address = world.gate.proxy;
    h2::runtime().block_on(async {
        let sender = h2::connect(address).await;
        let reply = h2::ask(&sender, h2::get(address, ORDER, &own)).await.unwrap();
        assert_eq!(reply.status(), 200);
        assert!(reply.headers().contains_key("x-crossgate-decision"));
        let received = world.upstream.last();
        assert_eq!(received.version, "HTTP/1.1");
        assert_eq!(received.all("host"), [address.to_string()]);

        let denied = h2::ask(&sender, h2::get(address, ORDER, &stranger)).await.unwrap();
        assert_eq!(denied.status(), 403);
        assert_eq!(denied.headers()["content-type"], "application/problem+json");

        let bad = h2::get(address, "/v1/accounts/x/orders/%2e%2e", &own);
        assert_eq!(h2::ask(&sender, bad).await.unwrap().status(), 400);

        let body = Bytes::from(vec![b'b'; 1 << 20]);
        let upload = http::Request::post(format!("http://{address}{ORDER}"))
            .header("authorization", format!("Bearer {own}"))
            .body(Full::new(body.clone()))
            .unwrap();
        let reply = h2::ask(&sender, upload).await.unwrap();
        let echo: serde_json::Value = serde_json::from_slice(reply.body()).unwrap();
        assert_eq!(echo["body_length"], body.len());

        let mut twice = h2::get(address, ORDER, &own);
        twice.headers_mut().append("authorization", http::HeaderValue::from_static("Bearer x"));
        assert_eq!(h2::ask(&sender, twice).await.unwrap().status(), 400);
    });
}

#[test]
fn streams_of_one_http2_connection_do_not_wait_for_each_other() {
    let world = World::start(|config| config);
    let (token, address) = (world.user(OWNER), world.gate.proxy);
    h2::runtime().block_on(async {
        let sender = h2::connect(address).await;
        let mut slow = h2::get(address, ORDER, &token);
        slow.headers_mut().insert("x-upstream", http::HeaderValue::from_static("wait"));
        let other = sender.clone();
        let slow = tokio::spawn(async move { h2::ask(&other, slow).await });
        for _ in 0..20 {
            let reply = h2::ask(&sender, h2::get(address, ORDER, &token)).await.unwrap();
            assert_eq!(reply.status(), 200);
        }
        assert!(!slow.is_finished());
        world.upstream.step();
        assert_eq!(slow.await.unwrap().unwrap().status(), 200);
    });
}

#[test]
fn a_cancelled_http2_stream_frees_the_upstream() {
    let world = World::start(|config| config);
    let (token, address) = (world.user(OWNER), world.gate.proxy);
    h2::runtime().block_on(async {
        let sender = h2::connect(address).await;
        let mut slow = h2::get(address, ORDER, &token);
        slow.headers_mut().insert("x-upstream", http::HeaderValue::from_static("wait"));
        let other = sender.clone();
        let task = tokio::spawn(async move { h2::ask(&other, slow).await });
        let waited = async {
            while world.upstream.count() == 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(SOON, waited).await.unwrap();
        task.abort();
        let freed = async {
            while world.upstream.abandoned() == 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(SOON, freed).await.unwrap();
        let reply = h2::ask(&sender, h2::get(address, ORDER, &token)).await.unwrap();
        assert_eq!(reply.status(), 200);
    });
}

#[test]
fn a_clean_end_finishes_what_runs_and_says_so_first() {
    let mut world = World::start(|config| config.set("drain", "{ timeout: 30s }"));
    let token = world.user(OWNER);
    let mut running = world.gate.connect();
    running.send(Request::get(ORDER).token(&token).header("x-upstream", "wait").bytes());
    world.upstream.wait_count(1);
    world.gate.signal("TERM");
    poll_until("not ready", SOON, || world.gate.admin(&Request::get("/readyz")).status == 503);
    assert_eq!(world.gate.admin(&Request::get("/healthz")).status, 200, "alive while it drains");
    assert!(world.gate.is_running());
    world.upstream.step();
    let reply = running.read("GET");
    assert_eq!((reply.status, reply.body.as_slice()), (200, b"waited".as_slice()));
    let ended = world.gate.wait_end();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
}

#[test]
fn a_clean_end_finishes_the_streams_of_http2() {
    let mut world = World::start(|config| config);
    let (token, address) = (world.user(OWNER), world.gate.proxy);
    h2::runtime().block_on(async {
        let sender = h2::connect(address).await;
        let mut slow = h2::get(address, ORDER, &token);
        slow.headers_mut().insert("x-upstream", http::HeaderValue::from_static("wait"));
        let other = sender.clone();
        let slow = tokio::spawn(async move { h2::ask(&other, slow).await });
        let arrived = async {
            while world.upstream.count() == 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(SOON, arrived).await.unwrap();
        world.gate.signal("TERM");
        poll_until("not ready", SOON, || world.gate.admin(&Request::get("/readyz")).status == 503);
        world.upstream.step();
        assert_eq!(slow.await.unwrap().unwrap().body().as_ref(), b"waited");
    });
    assert_eq!(world.gate.wait_end().status.code(), Some(0));
}

#[test]
fn a_drain_ends_at_its_timeout() {
    let mut world = World::start(|config| config.set("drain", "{ timeout: 1s }"));
    let mut running = world.gate.connect();
    running
        .send(Request::get(ORDER).token(&world.user(OWNER)).header("x-upstream", "wait").bytes());
    world.upstream.wait_count(1);
    let mut idle = world.gate.connect();
    assert_eq!(idle.ask(&Request::get("/public/x")).status, 200);
    let began = Instant::now();
    world.gate.signal("TERM");
    let ended = world.gate.wait_end();
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    assert!(ended.status.code().is_some(), "it ended by itself: {}", ended.stderr);
}

#[test]
fn a_drain_takes_the_timeout_of_the_last_configuration() {
    let mut world = World::start(|config| config.set("drain", "{ timeout: 1h }"));
    let mut running = world.gate.connect();
    running
        .send(Request::get(ORDER).token(&world.user(OWNER)).header("x-upstream", "wait").bytes());
    world.upstream.wait_count(1);
    let before = world.gate.revision();
    world.gate.reconfigure(|config| config.set("drain", "{ timeout: 1s }"));
    poll_until("the change", RELOADED, || world.gate.revision() > before);
    let began = Instant::now();
    world.gate.signal("TERM");
    let ended = world.gate.wait_end();
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    assert!(ended.status.code().is_some(), "it ended by itself: {}", ended.stderr);
}

#[test]
fn idle_connections_do_not_hold_up_the_end() {
    let mut world = World::start(|config| config);
    let mut idle: Vec<Client> = (0..5).map(|_| world.gate.connect()).collect();
    for client in &mut idle {
        assert_eq!(client.ask(&Request::get("/public/x")).status, 200);
    }
    // Others never sent anything.
    let _silent: Vec<Client> = (0..5).map(|_| world.gate.connect()).collect();
    let _settled = world.get(&world.user(OWNER));
    let began = Instant::now();
    world.gate.signal("INT");
    let ended = world.gate.wait_end();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    assert!(began.elapsed() < SOON / 2, "{:?}", began.elapsed());
}

#[test]
fn streaming_over_http2_is_not_buffered() {
    let world = World::start(|config| config);
    let (token, address) = (world.user(OWNER), world.gate.proxy);
    h2::runtime().block_on(async {
        let mut sender = h2::connect(address).await;
        let mut request = h2::get(address, ORDER, &token);
        request.headers_mut().insert("x-upstream", http::HeaderValue::from_static("steps"));
        let mut body = sender.send_request(request).await.unwrap().into_body();
        let mut seen = Vec::new();
        for expect in ["one", "onetwo", "onetwothree"] {
            while seen.len() < expect.len() {
                let frame =
                    tokio::time::timeout(SOON, body.frame()).await.unwrap().unwrap().unwrap();
                seen.extend_from_slice(frame.data_ref().unwrap());
            }
            assert_eq!(seen, expect.as_bytes());
            world.upstream.step();
        }
    });
}

#[test]
fn an_http2_stream_that_its_client_does_not_read_is_reset() {
    let world = World::start(|config| config.set("limits", "{ body_idle_timeout: 1s }"));
    let (token, address) = (world.user(OWNER), world.gate.proxy);
    h2::runtime().block_on(async {
        let mut sender = h2::connect(address).await;
        let mut request = h2::get(address, ORDER, &token);
        let order = http::HeaderValue::from_static("bytes=33554432");
        request.headers_mut().insert("x-upstream", order);
        let stalled = sender.send_request(request).await.unwrap();
        assert_eq!(stalled.status(), 200);
        for _ in 0..6 {
            let other = h2::ask(&sender, h2::get(address, ORDER, &token)).await.unwrap();
            assert_eq!(other.status(), 200, "the connection goes on");
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        let rest = tokio::time::timeout(SOON, stalled.into_body().collect()).await.unwrap();
        assert!(rest.is_err(), "the stream was held for ever");
        assert_eq!(h2::ask(&sender, h2::get(address, ORDER, &token)).await.unwrap().status(), 200);
    });
}
