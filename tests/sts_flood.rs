//! A flood of attempts to assume roles: all are refused and counted, no request through the proxy
//! fails, and memory stays where it is.

#![expect(clippy::unwrap_used, reason = "a failed test panics")]

mod support;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use serde_json::json;
use support::gate::{Config, Gate};
use support::idp::Idp;
use support::policies::{Policies, document};
use support::raw::{Client, Request};
use support::upstream::Upstream;
use support::{free_address, now};

const HOME: &str = "111111111111";
const OWNER: &str = "222222222222";

#[test]
fn a_flood_of_attempts_is_refused_and_touches_no_request() {
    let (idp, upstream, sts) = (Idp::start(), Upstream::start(), free_address());
    let gate = Gate::start(config(&idp, &upstream, sts));
    let token = idp.token(&json!({
        "iss": idp.issuer(), "aud": "orders", "sub": "ana", "iam_id": "ana",
        "account": { "bss": HOME }, "iat": now(), "exp": now() + 600,
    }));
    // What is made once, for each thread and table, is made.
    assert_eq!(flood(sts, &token, "warm", ATTEMPTS), ATTEMPTS);
    let before_kib = resident_kib(&gate);

    let is_over = AtomicBool::new(false);
    let (refused, proxied) = thread::scope(|scope| {
        let floods: Vec<_> = ["a", "b", "c", "d"]
            .into_iter()
            .map(|name| scope.spawn(|| flood(sts, &token, name, ATTEMPTS)))
            .collect();
        let proxied = scope.spawn(|| requests(gate.proxy, &token, &is_over));
        let refused: usize = floods.into_iter().map(|flood| flood.join().unwrap()).sum();
        is_over.store(true, Ordering::Relaxed);
        (refused, proxied.join().unwrap())
    });
    assert_eq!(refused, 4 * ATTEMPTS);
    assert!(0 < proxied);

    let after_kib = resident_kib(&gate);
    let grown_kib = after_kib.saturating_sub(before_kib);
    assert!(grown_kib < GROWN_KIB_MAX, "{before_kib} KiB became {after_kib} KiB");
    let counted = gate.metrics().sum("crossgate_assume_total", &[]);
    let attempts = f64::from(u32::try_from(5 * ATTEMPTS).unwrap());
    assert!((counted - attempts).abs() < f64::EPSILON, "{counted} of {attempts} are counted");
    let lost = gate.metrics().sum("crossgate_events_lost_total", &[]);
    assert!(lost.abs() < f64::EPSILON, "{lost} events are lost");
}

/// Attempts on one connection: wrong external IDs, roles that do not exist, tokens that are none.
/// How many were refused as they have to be.
fn flood(sts: SocketAddr, token: &str, name: &str, attempts: usize) -> usize {
    let mut client = Client::connect(sts);
    let mut refused = 0;
    for number in 0..attempts {
        let (role, token, status) = match number % 3 {
            0 => ("role/deploy".to_owned(), token, 403),
            1 => (format!("role/none-{name}-{number}"), token, 403),
            _ => ("role/deploy".to_owned(), "none", 403),
        };
        let body = format!(
            "Action=AssumeRole&Version=2011-06-15&RoleArn=arn:aws:iam::{OWNER}:{role}\
             &RoleSessionName={name}{number}&ExternalId=guess-{name}-{number}"
        );
        let request = Request::new("POST", "/")
            .header("content-type", "application/x-www-form-urlencoded")
            .token(token)
            .body(body.as_bytes());
        refused += usize::from(client.ask(&request).status == status);
    }
    refused
}

/// What of the process is in memory.
fn resident_kib(gate: &Gate) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", gate.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Requests through the proxy until the flood is over; each must be answered by the upstream.
fn requests(proxy: SocketAddr, token: &str, is_over: &AtomicBool) -> usize {
    let mut client = Client::connect(proxy);
    let path = format!("/v1/accounts/{HOME}/orders/7");
    let request = Request::get(&path).token(token);
    let mut answered = 0;
    while !is_over.load(Ordering::Relaxed) {
        assert_eq!(client.ask(&request).status, 200, "request {answered}");
        answered += 1;
    }
    answered
}

fn config(idp: &Idp, upstream: &Upstream, sts: SocketAddr) -> Config {
    let allow = |action: &str, resource: &str| json!({ "Effect": "Allow", "Action": action, "Resource": resource });
    let trust = json!({
        "Effect": "Allow", "Action": "sts:AssumeRole",
        "Principal": { "AWS": format!("arn:aws:iam::{HOME}:user/ana") },
        "Condition": { "StringEquals": { "sts:ExternalId": "vendor:Zx81kPq4mT7vB2nD" } },
    });
    let role = json!({
        "RoleName": "deploy", "RoleId": "AROADEPLOY",
        "Arn": format!("arn:aws:iam::{OWNER}:role/deploy"),
        "AssumeRolePolicyDocument": document(&[trust]), "RolePolicyList": [],
    });
    let details = json!({
        "UserDetailList": [], "GroupDetailList": [], "Policies": [], "RoleDetailList": [role],
    });
    let statements = [
        allow("orders:*", &format!("arn:aws:orders::{HOME}:order/*")),
        allow("sts:AssumeRole", &format!("arn:aws:iam::{OWNER}:role/*")),
    ];
    let section =
        format!("{{ address: \"{sts}\", issuer: \"http://{sts}\", audiences: [orders] }}");
    let config = Config::new(idp, upstream.address()).set("sts", section);
    Policies::new()
        .user(HOME, "ana", &statements)
        .file(&format!("accounts/{OWNER}/authorization-details.json"), details)
        .of(config, "mode: limited, unknown_callers: deny")
}

/// Of one connection: each waits for the time that all refusals take.
const ATTEMPTS: usize = 1_000;

/// Tables fill up to their limits; a leak of a request's size would be tens of times this.
const GROWN_KIB_MAX: u64 = 24 << 10;
