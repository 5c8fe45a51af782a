//! TLS towards clients: both versions of HTTP, certificates of clients, certificates that change.

mod support;

use std::sync::Arc;

use rustls_pki_types::ServerName;
use support::gate::{Config, ORDER, World};
use support::identities::OWNER;
use support::raw::{Client, Request};
use support::tls::{self, Certificate};
use support::{RELOADED, free_address, h2, poll_until};
use tokio_rustls::TlsConnector;

fn with_tls(config: Config, certificate: &Certificate) -> Config {
    config
        .listener("tls: { certificate: tls.crt, key: tls.key }")
        .file("tls.crt", certificate.chain_pem.as_str())
        .file("tls.key", certificate.key_pem.as_str())
}

#[test]
fn tls_offers_both_versions_of_http() {
    let certificate = Certificate::generate();
    let world = World::start(|config| with_tls(config, &certificate));
    let token = world.user(OWNER);
    for protocols in [&[][..], &[b"http/1.1".as_slice()]] {
        let mut client =
            Client::over(tls::connect(&certificate.client(protocols), world.gate.proxy));
        let reply = client.ask(&Request::get(ORDER).token(&token));
        assert_eq!(reply.status, 200);
        assert_eq!(world.upstream.last().all("x-forwarded-proto"), ["https"]);
    }
    h2::runtime().block_on(async {
        let connector = TlsConnector::from(Arc::clone(&certificate.client(&[b"h2", b"http/1.1"])));
        let stream = tokio::net::TcpStream::connect(world.gate.proxy).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let stream = connector.connect(name, stream).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(b"h2".as_slice()));
        let sender = h2::over(stream).await;
        let reply = h2::ask(&sender, h2::get(world.gate.proxy, ORDER, &token)).await.unwrap();
        assert_eq!(reply.status(), 200);
    });
    let plain = Request::get(ORDER).token(&token).bytes();
    let mut client = world.gate.connect();
    client.send(plain);
    assert!(client.try_read("GET").unwrap_or_default().is_none_or(|reply| reply.status == 400));
}

#[test]
fn a_certificate_that_changes_is_shown_without_a_restart() {
    let (old, new) = (Certificate::generate(), Certificate::generate());
    let world = World::start(|config| with_tls(config, &old));
    let token = world.user(OWNER);
    let answers = |certificate: &Certificate| {
        let mut client = Client::over(tls::connect(&certificate.client(&[]), world.gate.proxy));
        let sent = client.try_send(Request::get(ORDER).token(&token).bytes());
        sent.is_ok() && client.try_read("GET").is_ok_and(|reply| reply.is_some())
    };
    assert!(answers(&old) && !answers(&new));
    let mut open = Client::over(tls::connect(&old.client(&[]), world.gate.proxy));
    assert_eq!(open.ask(&Request::get(ORDER).token(&token)).status, 200);
    world.gate.replace("tls.key", &new.key_pem);
    world.gate.replace("tls.crt", &new.chain_pem);
    poll_until("the new certificate", RELOADED, || answers(&new));
    assert_eq!(open.ask(&Request::get(ORDER).token(&token)).status, 200, "open connections stay");

    world.gate.replace("tls.crt", "no certificate");
    let refused = || {
        world.gate.metrics().sum("crossgate_snapshot_reloads_total", &[("result", "refused")]) > 0.0
    };
    poll_until("the refusal on record", RELOADED, refused);
    assert!(answers(&new), "a bad certificate changes nothing");
}

#[test]
fn only_clients_with_a_certificate_come_in_where_one_is_asked_for() {
    let (server, authority) = (Certificate::generate(), Certificate::authority());
    let world = World::start(|config| {
        with_tls(config, &server)
            .listener("tls: { certificate: tls.crt, key: tls.key, client_ca: clients.crt }")
            .file("clients.crt", authority.chain_pem.as_str())
    });
    let request = Request::get(ORDER).token(&world.user(OWNER));
    let status = |config: &Arc<rustls::ClientConfig>| {
        let mut client = Client::over(tls::connect(config, world.gate.proxy));
        let sent = client.try_send(request.bytes());
        let reply = client.try_read("GET").ok().flatten();
        sent.ok().and(reply).map(|reply| reply.status)
    };
    assert_eq!(status(&server.client_with(&authority.sign_client("friend"))), Some(200));
    assert_eq!(status(&server.client(&[])), None, "no certificate");
    let other = Certificate::authority().sign_client("stranger");
    assert_eq!(status(&server.client_with(&other)), None, "a certificate of nobody");
    assert_eq!(world.upstream.count(), 1);
}

#[test]
fn listeners_in_another_order_keep_their_own_clients() {
    let (server, authority) = (Certificate::generate(), Certificate::authority());
    let open = free_address();
    let strict = "    tls: { certificate: tls.crt, key: tls.key, client_ca: clients.crt }\n";
    let second =
        format!("  - address: {open}\n    tls: {{ certificate: tls.crt, key: tls.key }}\n");
    let world = World::start(|config| {
        with_tls(config, &server)
            .listener(format!("{strict}{second}").trim())
            .file("clients.crt", authority.chain_pem.as_str())
    });
    let first = format!("  - address: {}\n{strict}", world.gate.proxy);
    let text = std::fs::read_to_string(world.gate.path("crossgate.yaml")).unwrap();
    let swapped = text.replace(&format!("{first}{second}"), &format!("{second}{first}"));
    assert_ne!(text, swapped);
    let before = world.gate.revision();
    world.gate.replace("crossgate.yaml", &swapped);
    poll_until("the other order", RELOADED, || world.gate.revision() > before);
    let token = world.user(OWNER);
    let mut stranger = Client::over(tls::connect(&server.client(&[]), world.gate.proxy));
    let sent = stranger.try_send(Request::get(ORDER).token(&token).bytes());
    assert!(sent.is_err() || stranger.try_read("GET").ok().flatten().is_none());
    let mut client = Client::over(tls::connect(&server.client(&[]), open));
    assert_eq!(client.ask(&Request::get(ORDER).token(&token)).status, 200);
}
