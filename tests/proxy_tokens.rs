//! Who calls: every token that must not count, where keys come from, and what happens when they
//! change or their issuer fails.

#![expect(
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a failed test panics; the tests measure real time"
)]

mod support;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use regex::Regex;
use serde_json::{Value, json};
use support::gate::{Config, Gate, ORDER, World};
use support::identities::{OWNER, user, with, without};
use support::idp::{Health, Idp};
use support::keys::{Key, encode, key_set};
use support::raw::{Reply, Request};
use support::upstream::Upstream;
use support::{RELOADED, SOON, now, poll, poll_until};

#[track_caller]
fn assert_invalid(reply: &Reply, why: &str) {
    assert_eq!(reply.status, 401, "{why}");
    let challenge = reply.header("www-authenticate").unwrap_or_default();
    let shape = r#"^Bearer realm="crossgate", error="invalid_token", error_description="[ !#-\[\]-~]{1,200}"$"#;
    assert!(Regex::new(shape).is_ok_and(|shape| shape.is_match(challenge)), "{why}: {challenge}");
    assert_eq!(reply.header("content-type"), Some("application/problem+json"), "{why}");
    assert_eq!(reply.json()["status"], 401, "{why}");
    assert_eq!(reply.json()["decision"], reply.decision(), "{why}");
}

#[track_caller]
fn assert_missing(reply: &Reply) {
    assert_eq!(reply.status, 401);
    assert_eq!(reply.header("www-authenticate"), Some(r#"Bearer realm="crossgate""#));
    assert_eq!(reply.json()["status"], 401);
    assert_eq!(reply.json()["decision"], reply.decision());
}

/// An issuer's configuration with further lines.
fn issuer(idp: &Idp, jwks: &str, further: &str) -> String {
    format!(
        "\n  - issuer: {}\n    audiences: []\n    algorithms: [RS256, ES256, EdDSA]\n    jwks: {jwks}\n    \
         claims: ibm\n{further}",
        idp.issuer()
    )
}

fn audience_orders(config: Config) -> Config {
    let issuers = config.part("issuers").replace("audiences: []", "audiences: [orders, billing]");
    config.set("issuers", issuers)
}

#[test]
fn a_request_without_a_token_is_asked_for_one() {
    let world = World::start(|config| config);
    assert_missing(&world.gate.ask(&Request::get(ORDER)));
    for empty in ["", "Bearer", "Bearer "] {
        let reply = world.gate.ask(&Request::get(ORDER).header("authorization", empty));
        assert_eq!(reply.status, 401, "{empty:?}");
    }
    for other in ["Basic dXNlcjpwYXNz", "Bearerx abc", "Negotiate abc"] {
        let reply = world.gate.ask(&Request::get(ORDER).header("authorization", other));
        assert_eq!(reply.status, 401, "{other:?}");
        let challenge = reply.header("www-authenticate").unwrap_or_default();
        assert!(challenge.starts_with(r#"Bearer realm="crossgate""#), "{challenge}");
    }
    assert_eq!(world.upstream.count(), 0);
}

#[test]
fn the_scheme_counts_in_any_letter_case() {
    let world = World::start(|config| config);
    let token = world.user(OWNER);
    for scheme in ["Bearer", "bearer", "BEARER", "bEaReR"] {
        let request = Request::get(ORDER).header("authorization", format!("{scheme} {token}"));
        assert_eq!(world.gate.ask(&request).status, 200, "{scheme}");
    }
}

#[test]
fn two_authorization_headers_are_ambiguous() {
    let world = World::start(|config| config);
    let token = world.user(OWNER);
    for second in [format!("Bearer {token}"), "Bearer garbage".to_owned(), "Basic x".to_owned()] {
        let request = Request::get(ORDER).token(&token).header("Authorization", second);
        world.gate.ask(&request).assert_problem(400, "bad_request");
    }
    assert_eq!(world.upstream.count(), 0);
}

#[test]
fn what_is_no_token_is_refused() {
    let world = World::start(|config| config);
    let good = world.user(OWNER);
    let parts: Vec<&str> = good.split('.').collect();
    let [header, payload, signature] = parts[..] else { panic!("three parts") };
    let deep = format!("{{\"a\":{}1{}}}", "[".repeat(3000), "]".repeat(3000));
    let key = world.idp.key();
    let tokens = [
        ("a word", "garbage".to_owned()),
        ("dots alone", "..".to_owned()),
        ("one part", header.to_owned()),
        ("two parts", format!("{header}.{payload}")),
        ("four parts", format!("{good}.{signature}")),
        ("five parts, as an encrypted token", format!("{good}.{payload}.{signature}")),
        ("no signature", format!("{header}.{payload}.")),
        ("no payload", format!("{header}..{signature}")),
        ("a changed payload", format!("{header}.{payload}A.{signature}")),
        ("a trailing byte", format!("{good}A")),
        ("padding", format!("{good}==")),
        ("a space within", format!("{header}. {payload}.{signature}")),
        ("base64 of the other alphabet", format!("{header}.{payload}.+/{}", &signature[2..])),
        ("a header that is no JSON", format!("{}.{payload}.{signature}", encode(b"{alg"))),
        ("a header that is a list", format!("{}.{payload}.{signature}", encode(b"[\"RS256\"]"))),
        ("a payload that is no object", key.token_of(&key.header().to_string(), b"[]")),
        ("a payload that is no JSON", key.token_of(&key.header().to_string(), b"\xff\xfe")),
        (
            "a payload of a thousand levels",
            key.token_of(&key.header().to_string(), deep.as_bytes()),
        ),
        ("many dots", ".".repeat(5000)),
    ];
    for (why, token) in tokens {
        assert_invalid(&world.get(&token), why);
    }
    assert_eq!(world.upstream.count(), 0);
    assert_eq!(world.get(&good).status, 200);
}

#[test]
fn a_signature_that_ends_in_other_padding_bits_is_another_token() {
    // The last character of an RS256 signature carries four unused bits: setting one makes a
    // second spelling of the same signature, which a lax decoder would take.
    let world = World::start(|config| config);
    let good = world.user(OWNER);
    assert_eq!(world.get(&good).status, 200);
    let (front, last) = good.split_at(good.len() - 1);
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let index = alphabet.find(last).unwrap();
    let other = &alphabet[index ^ 1..=(index ^ 1)];
    assert_invalid(&world.get(&format!("{front}{other}")), "non-canonical base64");
}

#[test]
fn a_token_beyond_the_limits_is_refused_in_both_places() {
    let huge = "a".repeat(1 << 20);
    let world = World::start(|config| config);
    let mut client = world.gate.connect();
    // The answer may come while the head is still being sent.
    let _cut = client.try_send(Request::get(ORDER).token(&huge).bytes());
    let reply = client.try_read("GET").ok().flatten();
    assert!(reply.is_none_or(|reply| reply.status == 431), "1 MiB in a head of 32 KiB");
    assert_eq!(world.upstream.count(), 0);

    let wide = World::start(|config| config.set("limits", "{ header_bytes: 1MiB }"));
    assert_invalid(&wide.get(&huge[..900 << 10]), "900 KiB in a head of 1 MiB");
    assert_eq!(wide.upstream.count(), 0);
}

#[test]
fn the_header_of_a_token_chooses_nothing() {
    let stranger = Key::es256("first");
    let listener = Idp::with_key(stranger.clone());
    let world = World::start(|config| config);
    let key = world.idp.key();
    let claims = user(&world.idp.issuer(), Some(OWNER));
    let header = |name: &str, value: Value| with(key.header(), name, value);
    let unsigned = |alg: &str| {
        let header = json!({"alg": alg, "typ": "JWT"});
        format!(
            "{}.{}.",
            encode(header.to_string().as_bytes()),
            encode(claims.to_string().as_bytes())
        )
    };
    let mut tokens = vec![
        ("alg none", unsigned("none")),
        ("alg None", unsigned("None")),
        ("alg NONE", unsigned("NONE")),
        ("alg empty", unsigned("")),
        ("alg none with a signature", key.token_with(&header("alg", json!("none")), &claims)),
        ("alg in lower case", key.token_with(&header("alg", json!("rs256")), &claims)),
        ("alg of another family", key.token_with(&header("alg", json!("PS256")), &claims)),
        ("alg of another curve", key.token_with(&header("alg", json!("ES256")), &claims)),
        ("alg as a list", key.token_with(&header("alg", json!(["RS256"])), &claims)),
        ("no alg", key.token_with(&without(key.header(), "alg"), &claims)),
        ("crit", key.token_with(&header("crit", json!(["exp"])), &claims)),
        ("crit of a private name", key.token_with(&header("crit", json!(["x"])), &claims)),
        ("empty crit", key.token_with(&header("crit", json!([])), &claims)),
        (
            "b64 false",
            key.token_with(&with(header("crit", json!(["b64"])), "b64", json!(false)), &claims),
        ),
        ("b64 false without crit", key.token_with(&header("b64", json!(false)), &claims)),
        (
            "duplicate alg",
            key.token_of(
                &format!(r#"{{"alg":"none","alg":"RS256","kid":"{}"}}"#, key.kid),
                claims.to_string().as_bytes(),
            ),
        ),
        ("another's key under a known kid", stranger.token(&claims)),
        ("kid as a number", key.token_with(&header("kid", json!(1)), &claims)),
    ];
    let url = listener.keys_url();
    for (why, name, value) in [
        ("embedded jwk", "jwk", stranger.jwk()),
        ("jku", "jku", json!(url)),
        ("x5u", "x5u", json!(url)),
        ("x5c", "x5c", json!(["MIIB"])),
    ] {
        tokens.push((why, stranger.token_with(&with(stranger.header(), name, value), &claims)));
    }
    for token in key.hs256_tokens(&claims) {
        tokens.push(("HS256 with the public key as secret", token));
    }
    for (why, token) in tokens {
        assert_invalid(&world.get(&token), why);
    }
    assert_eq!(world.upstream.count(), 0);
    assert_eq!(listener.asked_at_all(), 0, "a URL in a token was fetched");
}

#[test]
fn an_algorithm_outside_the_issuers_list_is_refused() {
    let idp = Idp::with_key(Key::es256("first"));
    let only = |config: Config| {
        let issuers = config.part("issuers").replace("[RS256, ES256, EdDSA]", "[RS256]");
        config.set("issuers", issuers)
    };
    let upstream = Upstream::start();
    let gate = Gate::start_unready(only(Config::new(&idp, upstream.address())));
    let token = idp.token(&user(&idp.issuer(), Some(OWNER)));
    let reply = gate.ask(&Request::get(ORDER).token(&token));
    assert_invalid(&reply, "ES256 where RS256 alone is accepted");
}

#[test]
fn claims_that_do_not_hold_are_refused() {
    let world = World::start(audience_orders);
    let issuer = world.idp.issuer();
    let good = with(user(&issuer, Some(OWNER)), "aud", json!("orders"));
    let claim = |name: &str, value: Value| with(good.clone(), name, value);
    let at = |shift: i64| json!(i64::try_from(now()).unwrap() + shift);
    let bad = [
        ("wrong issuer", claim("iss", json!("https://elsewhere.example.com"))),
        ("issuer with a slash more", claim("iss", json!(format!("{issuer}/")))),
        ("issuer as a list", claim("iss", json!([issuer]))),
        ("no issuer", without(good.clone(), "iss")),
        ("no audience", without(good.clone(), "aud")),
        ("another audience", claim("aud", json!("invoices"))),
        ("other audiences", claim("aud", json!(["invoices", "orders2"]))),
        ("empty audience list", claim("aud", json!([]))),
        ("audience that is an object", claim("aud", json!({"orders": true}))),
        ("audience list with a number", claim("aud", json!([1]))),
        ("expired", claim("exp", at(-31))),
        ("no expiry", without(good.clone(), "exp")),
        ("expiry as a string", claim("exp", json!((now() + 3600).to_string()))),
        ("expiry as a list", claim("exp", json!([now() + 3600]))),
        ("expiry as null", claim("exp", Value::Null)),
        ("expiry as true", claim("exp", json!(true))),
        ("negative expiry", claim("exp", json!(-1))),
        ("huge expiry", claim("exp", json!(1e300))),
        ("not yet valid", claim("nbf", at(60))),
        ("nbf as a string", claim("nbf", json!(now().to_string()))),
        ("account that is a number", claim("account", json!({"bss": 5}))),
        ("account with a slash", claim("account", json!({"bss": "a/b"}))),
        ("account that is too long", claim("account", json!({"bss": "a".repeat(65)}))),
    ];
    for (why, claims) in bad {
        assert_invalid(&world.get(&world.idp.token(&claims)), why);
    }
    let text = |claims: &Value, from: &str, to: &str| {
        let changed = claims.to_string().replacen(from, to, 1);
        assert_ne!(changed, claims.to_string());
        world.idp.key().token_of(&world.idp.key().header().to_string(), changed.as_bytes())
    };
    let expiry = format!(r#""exp":{}"#, good["exp"]);
    for (why, to) in [
        ("duplicate expiry", format!(r#""exp":1,{expiry}"#)),
        ("expiry beyond every number", r#""exp":1e999"#.to_owned()),
        ("expiry of forty digits", format!(r#""exp":{}"#, "9".repeat(40))),
        ("duplicate issuer", format!(r#""iss":"https://a.example.com",{expiry}"#)),
        ("duplicate account", format!(r#""account":{{"bss":"a"}},{expiry}"#)),
    ] {
        assert_invalid(&world.get(&text(&good, &expiry, &to)), why);
    }
    assert_eq!(world.upstream.count(), 0);
}

#[test]
fn claims_at_their_limits_are_accepted() {
    let world = World::start(audience_orders);
    let good = with(user(&world.idp.issuer(), Some(OWNER)), "aud", json!("orders"));
    for (why, name, value) in [
        ("another of the audiences", "aud", json!("billing")),
        ("one audience of several", "aud", json!(["invoices", "orders"])),
        ("expired within the leeway", "exp", json!(now() - 10)),
        ("not yet valid within the leeway", "nbf", json!(now() + 10)),
        ("a fraction of a second", "exp", json!(3600.5 + f64::from(u32::try_from(now()).unwrap()))),
    ] {
        let reply = world.get(&world.idp.token(&with(good.clone(), name, value)));
        assert_eq!(reply.status, 200, "{why}");
    }
}

#[test]
fn every_supported_algorithm_family_is_accepted() {
    let mut idp = Idp::start();
    let keys = [Key::rs256("r"), Key::es256("e"), Key::eddsa("o")];
    idp.rotate(&keys.iter().collect::<Vec<_>>());
    let world = World::with_idp(idp, |config| config);
    for key in &keys {
        let token = key.token(&user(&world.idp.issuer(), Some(OWNER)));
        assert_eq!(world.get(&token).status, 200, "{}", key.algorithm());
    }
}

#[test]
fn claims_of_any_issuer_are_mapped_by_pointers() {
    let idp = Idp::start();
    let issuers = issuer(&idp, &format!("{{ url: \"{}\" }}", idp.keys_url()), "").replace(
        "claims: ibm",
        "claims:\n      account: /tenant/id\n      identity_type: /kind\n      identity_types: { \
         robot: service_id, machine: service }\n      principal: \"arn:aws:iam::{account}:user/{sub}\"",
    );
    let world = World::with_idp(idp, |config| config.set("issuers", issuers));
    let claims = |kind: Value, tenant: Value| {
        json!({
            "iss": world.idp.issuer(), "exp": now() + 60, "sub": "someone", "kind": kind,
            "tenant": {"id": tenant}, "iam_id": "IBMid-1", "account": {"bss": "ignored"},
        })
    };
    for (kind, identity_type) in
        [(json!("robot"), "service_id"), (json!("machine"), "service"), (json!("person"), "user")]
    {
        let reply = world.get(&world.idp.token(&claims(kind, json!(OWNER))));
        assert_eq!(reply.status, 200, "{identity_type}");
        let received = world.upstream.last();
        assert_eq!(received.all("x-crossgate-account"), [OWNER]);
        assert_eq!(received.all("x-crossgate-identity-type"), [identity_type]);
        let principal = format!("arn:aws:iam::{OWNER}:user/someone");
        assert_eq!(received.all("x-crossgate-principal"), [principal]);
    }
    let untyped = without(claims(json!(null), json!(OWNER)), "kind");
    assert_eq!(world.get(&world.idp.token(&untyped)).status, 200);
    assert_eq!(world.upstream.last().all("x-crossgate-identity-type"), ["user"]);
    let bad = world.idp.token(&claims(json!("robot"), json!({"id": 1})));
    assert_invalid(&world.get(&bad), "an account that is an object");
}

#[test]
fn keys_are_read_from_a_file_and_again_when_it_changes() {
    let (old, new) = (Key::es256("old"), Key::es256("new"));
    let idp = Idp::with_key(old.clone());
    let issuers = issuer(&idp, "{ file: keys.json }", "");
    let world = World::with_idp(idp, |config| {
        config.set("issuers", issuers).file("keys.json", key_set([&old]).to_string())
    });
    let token = |key: &Key| key.token(&user(&world.idp.issuer(), Some(OWNER)));
    assert_eq!(world.get(&token(&old)).status, 200);
    assert_eq!(world.idp.asked_at_all(), 0);
    let known = token(&old);
    assert_eq!(world.get(&known).status, 200);

    world.gate.replace("keys.json", &key_set([&new]).to_string());
    poll_until("the new key in force", RELOADED, || world.get(&token(&new)).status == 200);
    assert_invalid(&world.get(&known), "a verified token whose key is gone");

    world.gate.replace("keys.json", "{\"keys\": [");
    poll_until("the refusal on record", RELOADED, || {
        world.gate.metrics().sum("crossgate_jwks_refresh_total", &[])
            + world.gate.metrics().sum("crossgate_snapshot_reloads_total", &[("result", "refused")])
            > 0.0
    });
    assert_eq!(world.get(&token(&new)).status, 200);
}

#[test]
fn keys_are_found_by_discovery() {
    let idp = Idp::start();
    let issuers = issuer(&idp, "{ discovery: true }", "");
    let world = World::with_idp(idp, |config| config.set("issuers", issuers));
    assert_eq!(world.get(&world.user(OWNER)).status, 200);
    assert!(world.idp.asked("/.well-known/openid-configuration") >= 1);
    assert!(world.idp.asked("/keys") >= 1);
}

#[test]
fn an_issuer_that_never_gave_keys_is_unavailable_and_not_unauthorized() {
    let idp = Idp::start();
    idp.set_health(Health::Down);
    let upstream = Upstream::start();
    let gate = Gate::start_unready(Config::new(&idp, upstream.address()));
    let token = idp.token(&user(&idp.issuer(), Some(OWNER)));
    let reply = gate.ask(&Request::get(ORDER).token(&token));
    reply.assert_problem(503, "keys_unavailable");
    assert!(reply.header("retry-after").is_some_and(|wait| wait.parse::<u32>().is_ok()));
    assert_eq!(gate.admin(&Request::get("/readyz")).status, 503);
    assert_eq!(gate.admin(&Request::get("/healthz")).status, 200);
    assert_missing(&gate.ask(&Request::get(ORDER)));
    assert_eq!(upstream.count(), 0);

    idp.set_health(Health::Up);
    poll_until("recovery without a restart", Duration::from_secs(40), || {
        gate.ask(&Request::get(ORDER).token(&token)).status == 200
    });
    assert_eq!(gate.admin(&Request::get("/readyz")).status, 200);
}

#[test]
fn rotation_fails_no_request() {
    let mut world = World::with_idp(Idp::with_key(Key::es256("first")), |config| config);
    let claims = user(&world.idp.issuer(), Some(OWNER));
    let old = world.idp.key().clone();
    let (stop, failed, served) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
    let gate = &world.gate;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Acquire) {
                let ok = gate.ask(&Request::get(ORDER).token(&old.token(&claims))).status == 200;
                if ok { &served } else { &failed }.fetch_add(1, Ordering::AcqRel);
            }
        });
        let new = Key::es256("second");
        world.idp.rotate(&[&old, &new]);
        // The very first token of the new key already counts.
        for _ in 0..20 {
            let reply = gate.ask(&Request::get(ORDER).token(&new.token(&claims)));
            assert_eq!(reply.status, 200, "{}", String::from_utf8_lossy(&reply.body));
        }
        poll_until("requests with the old key", SOON, || served.load(Ordering::Acquire) > 20);
        stop.store(true, Ordering::Release);
    });
    assert_eq!(failed.load(Ordering::Acquire), 0);
}

#[test]
fn an_issuer_that_fails_leaves_its_old_keys_in_force() {
    let idp = Idp::start();
    let jwks = format!("{{ url: \"{}\", refresh: 1s, timeout: 1s }}", idp.keys_url());
    let issuers = issuer(&idp, &jwks, "");
    let world = World::with_idp(idp, |config| config.set("issuers", issuers));
    let key = world.idp.key().clone();
    let useless = json!({"keys": [{"kty": "oct", "k": "c2VjcmV0", "kid": key.kid}]});
    let failures = [
        Health::Status(500),
        Health::Status(404),
        Health::Body("<html>maintenance</html>".to_owned()),
        Health::Body("{}".to_owned()),
        Health::Body(r#"{"keys": []}"#.to_owned()),
        Health::Body(useless.to_string()),
        Health::Body("[".repeat(100_000)),
        Health::Hanging,
        Health::Down,
    ];
    for health in failures {
        let asked = world.idp.asked("/keys");
        world.idp.set_health(health.clone());
        poll_until("two more fetches", Duration::from_mins(1), || {
            world.idp.asked("/keys") >= asked + 2
        });
        assert_eq!(world.get(&world.user(OWNER)).status, 200, "{health:?}");
        assert_eq!(world.gate.admin(&Request::get("/readyz")).status, 200, "{health:?}");
        world.idp.set_health(Health::Up);
    }
    assert!(world.gate.metrics().has("crossgate_jwks_age_seconds"));
}

#[test]
fn unusable_keys_of_a_set_are_skipped_and_the_others_count() {
    let idp = Idp::start();
    let encryption = with(Key::es256("enc").jwk(), "use", json!("enc"));
    let small = json!({"kty": "RSA", "kid": "small", "n": encode(&[0xc1; 64]), "e": "AQAB"});
    let secret = json!({"kty": "oct", "kid": "oct", "k": "c2VjcmV0"});
    let unknown = json!({"kty": "XYZ", "kid": "xyz"});
    let good = idp.key().jwk();
    idp.publish(json!({"keys": [secret, small, encryption, unknown, {}, good]}));
    let world = World::with_idp(idp, |config| config);
    assert_eq!(world.get(&world.user(OWNER)).status, 200);
    let claims = user(&world.idp.issuer(), Some(OWNER));
    assert_invalid(&world.get(&Key::es256("enc").token(&claims)), "a key that is skipped");
}

#[test]
fn a_storm_of_unknown_kids_costs_one_fetch_an_interval() {
    let idp = Idp::start();
    let jwks =
        format!("{{ url: \"{}\", refresh: 10m, unknown_kid_interval: 30s }}", idp.keys_url());
    let issuers = issuer(&idp, &jwks, "");
    let world = World::with_idp(idp, |config| config.set("issuers", issuers));
    let claims = user(&world.idp.issuer(), Some(OWNER));
    let before = world.idp.asked("/keys");
    let began = Instant::now();
    let good = world.user(OWNER);
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let (gate, claims) = (&world.gate, &claims);
            scope.spawn(move || {
                for n in 0..25 {
                    let token = Key::es256(&format!("storm-{thread}-{n}")).token(claims);
                    let reply = gate.ask(&Request::get(ORDER).token(&token));
                    assert_invalid(&reply, "a kid that does not exist");
                }
            });
        }
        for _ in 0..20 {
            assert_eq!(world.get(&good).status, 200, "in the storm");
        }
    });
    let intervals = usize::try_from(began.elapsed().as_secs() / 30).unwrap() + 1;
    let fetched = world.idp.asked("/keys") - before;
    assert!((1..=intervals).contains(&fetched), "{fetched} fetches in {:?}", began.elapsed());
}

#[test]
fn an_unknown_kid_waits_a_second_at_most_for_its_fetch() {
    let world = World::start(|config| config);
    world.idp.set_health(Health::Hanging);
    let claims = user(&world.idp.issuer(), Some(OWNER));
    let began = Instant::now();
    assert_invalid(&world.get(&Key::es256("late").token(&claims)), "unknown kid");
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    let again = Instant::now();
    assert_eq!(world.get(&world.user(OWNER)).status, 200, "others do not wait");
    assert!(again.elapsed() < Duration::from_secs(1));
}

#[test]
fn a_verified_token_counts_until_its_time_is_over() {
    let idp = Idp::start();
    let jwks = format!("{{ url: \"{}\" }}", idp.keys_url());
    let issuers = issuer(&idp, &jwks, "    leeway: 0s");
    let world = World::with_idp(idp, |config| config.set("issuers", issuers));
    let expiry = now() + 3;
    let claims = with(user(&world.idp.issuer(), Some(OWNER)), "exp", json!(expiry));
    let token = world.idp.token(&claims);
    let mut accepted = 0;
    let reply = poll("the token's end", Duration::from_secs(8), || {
        let asked_at = now();
        let reply = world.get(&token);
        if reply.status == 200 {
            accepted += 1;
            assert!(asked_at <= expiry, "accepted after its time");
            return None;
        }
        assert!(now() >= expiry, "refused before its time");
        Some(reply)
    });
    assert_invalid(&reply, "expired");
    assert!(accepted >= 2);
    let hits = world.gate.metrics().sum("crossgate_token_cache_total", &[("result", "hit")]);
    assert!(hits >= 1.0, "{hits} hits");
}

#[test]
fn tokens_appear_in_no_log_and_no_event() {
    let world =
        World::start(|config| config.settings("default: { mode: report-only, allowlist: [] }\n"));
    let good = world.user("stranger");
    let bad = format!("{}x", world.user("other"));
    assert_eq!(world.get(&good).status, 200);
    assert_invalid(&world.get(&bad), "a changed signature");
    let ended = world.gate.finish();
    let written = format!("{}{}", ended.stderr, Value::from(ended.events));
    for token in [&good, &bad] {
        let signature = token.rsplit('.').next().unwrap();
        assert!(!written.contains(&signature[..20]), "a token leaked");
    }
}
