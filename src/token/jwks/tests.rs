//! The refresher against real servers on real sockets: rotation, outages, storms. Waiting is for
//! conditions; only what must not happen is given a time to happen in.

use std::future::Future;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustls::RootCertStore;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::clock::UnixSeconds;
use crate::snapshot::{Snapshot, SnapshotReader};
use crate::token::token_mint::{Signer, jwks};
use crate::token::{Algorithm, ClaimsMapping, JwksSource, KeySets, TokenError};

/// An identity provider: counts requests, answers what the test says.
#[derive(Clone)]
struct Provider {
    address: SocketAddr,
    answers: Answers,
    requests: Arc<AtomicUsize>,
    _tasks: Arc<JoinSet<()>>,
}

impl Provider {
    async fn start() -> Self {
        Self::serve(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    fn serve(listener: TcpListener) -> Self {
        let address = listener.local_addr().unwrap();
        let (answers, requests) = (Answers::default(), Arc::new(AtomicUsize::new(0)));
        let (own, counter) = (Arc::clone(&answers), Arc::clone(&requests));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                counter.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(answer_one(stream, Arc::clone(&own)));
            }
        });
        Self { address, answers, requests, _tasks: Arc::new(tasks) }
    }

    /// From now on the raw bytes of an answer; empty: none ever.
    fn answer_raw(&self, answer: impl Into<Vec<u8>>) {
        self.answers.lock().unwrap().insert(KEYS_PATH, answer.into());
    }

    fn answer(&self, status: &str, body: &str) {
        self.answer_raw(whole(status, body));
    }

    fn answer_keys(&self, signers: &[&Signer]) {
        self.answer("200 OK", &jwks(signers));
    }

    fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }

    fn url(&self) -> JwksLocation {
        JwksLocation::Url(format!("http://{}/keys", self.address).into())
    }
}

/// Raw answers by the end of the path that is asked for.
type Answers = Arc<Mutex<BTreeMap<&'static str, Vec<u8>>>>;

const KEYS_PATH: &str = "/keys";
const DISCOVERY_PATH: &str = "/.well-known/openid-configuration";

fn whole(status: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

async fn answer_one(
    mut stream: impl tokio::io::AsyncRead + AsyncWriteExt + Unpin,
    answers: Answers,
) {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        if stream.read_buf(&mut head).await.unwrap_or(0) == 0 {
            return;
        }
    }
    let head = String::from_utf8(head).unwrap();
    let path = head.split(' ').nth(1).unwrap();
    let known =
        answers.lock().unwrap().iter().find(|(end, _)| path.ends_with(*end)).map(|a| a.1.clone());
    let answer = known.unwrap_or_default();
    if answer.is_empty() {
        tokio::time::sleep(Duration::from_hours(1)).await;
    }
    let _: Result<_, _> = stream.write_all(&answer).await;
    let _: Result<_, _> = stream.shutdown().await;
}

const ISSUER: &str = "https://i.example.com";
// Long enough that a busy machine does not reach them by itself.
const INTERVAL: Duration = Duration::from_millis(800);
const TIMEOUT: Duration = Duration::from_millis(500);

fn spec(issuer: &str, location: JwksLocation) -> IssuerSpec {
    IssuerSpec {
        issuer: issuer.into(),
        audiences: vec![],
        algorithms: vec![Algorithm::EdDsa],
        jwks: JwksSource {
            location,
            refresh: Duration::from_hours(1),
            unknown_kid_interval: INTERVAL,
            timeout: TIMEOUT,
        },
        leeway: Duration::ZERO,
        claims: ClaimsMapping::Ibm,
    }
}

/// A refresher with its snapshots.
struct Running {
    reader: SnapshotReader,
    writer: SnapshotWriter,
    handle: JwksHandle,
}

impl Running {
    fn start(specs: Vec<IssuerSpec>) -> Self {
        Self::start_with(HttpClient::new().unwrap(), specs)
    }

    fn start_with(client: HttpClient, specs: Vec<IssuerSpec>) -> Self {
        let (writer, reader) = SnapshotWriter::new();
        configure(&writer, specs);
        let handle = JwksRefresher::start_with(client, reader.clone(), writer.clone());
        Self { reader, writer, handle }
    }

    fn reconfigure(&self, specs: Vec<IssuerSpec>) {
        configure(&self.writer, specs);
        self.handle.reconfigure();
    }

    /// Waits until the newest snapshot is as told.
    async fn until(&self, condition: impl Fn(&Snapshot) -> bool) {
        until(|| condition(&self.reader.load())).await;
    }

    fn has(&self, signers: &[&Signer]) -> bool {
        has(&self.reader.load(), signers)
    }

    fn refused(&self) -> Option<String> {
        let part = Part::Keys(ISSUER.into());
        Some(self.writer.parts().get(&part)?.refused.as_ref()?.error.clone())
    }
}

fn configure(writer: &SnapshotWriter, specs: Vec<IssuerSpec>) {
    writer.publish(Part::Configuration, "test", SystemClock.now(), |snapshot| {
        Change::KeySets(Arc::new(snapshot.key_sets.reconfigured(specs)))
    });
}

fn has(snapshot: &Snapshot, signers: &[&Signer]) -> bool {
    let wanted = KeySet::parse(jwks(signers).as_bytes()).unwrap();
    let known = snapshot.key_sets.issuer(ISSUER).and_then(|known| known.keys());
    known.is_some_and(|keys| **keys == wanted)
}

async fn until(condition: impl Fn() -> bool) {
    let patience = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), patience).await.unwrap();
}

fn signer(kid: &str) -> Signer {
    Signer::new("EdDSA", kid)
}

async fn timed(future: impl Future<Output = ()>) -> Duration {
    let start = SystemClock.tick();
    future.await;
    start.elapsed()
}

/// A provider with one key and a refresher that has it.
async fn loaded() -> (Provider, Running, Signer) {
    loaded_with(INTERVAL).await
}

async fn loaded_with(unknown_kid_interval: Duration) -> (Provider, Running, Signer) {
    let (provider, key) = (Provider::start().await, signer("a"));
    provider.answer_keys(&[&key]);
    let mut spec = spec(ISSUER, provider.url());
    spec.jwks.unknown_kid_interval = unknown_kid_interval;
    let running = Running::start(vec![spec]);
    running.until(|snapshot| snapshot.key_sets.ready()).await;
    (provider, running, key)
}

#[tokio::test]
async fn keys_are_loaded_once_and_told() {
    let (provider, running, key) = loaded().await;
    assert!(running.has(&[&key]));
    assert_eq!(provider.requests(), 1);
    let parts = running.writer.parts();
    let status = parts.get(&Part::Keys(ISSUER.into())).unwrap();
    let source = &status.loaded.as_ref().unwrap().source;
    assert_eq!(*source, format!("http://{}/keys", provider.address));
    assert!(status.refused.is_none());
}

#[tokio::test]
async fn an_unknown_key_brings_the_new_keys_at_once() {
    let (provider, running, old) = loaded().await;
    let new = signer("b");
    let token = new.token(&json!({ "iss": ISSUER, "exp": 9, "iam_id": "IBMid-1" }));
    let worker = crate::token::Verifier::new().worker();
    let verify = || worker.verify(&token, &running.reader.load().key_sets, UnixSeconds(1));
    assert_eq!(verify(), Err(TokenError::UnknownKey { issuer: ISSUER.into() }));

    provider.answer_keys(&[&old, &new]);
    let waited = timed(running.handle.wait_for_key(ISSUER)).await;
    assert!(running.has(&[&old, &new]), "in force when the wait ends");
    assert!(verify().is_ok());
    assert!(waited < KEY_WAIT_MAX, "{waited:?}");
    assert_eq!(provider.requests(), 2);
}

/// One fetch at once and one after each whole interval, two at least.
#[track_caller]
fn at_most_one_an_interval(fetches: usize, start: Instant) {
    let intervals = usize::try_from(start.elapsed().as_millis() / INTERVAL.as_millis()).unwrap();
    assert!((2..=1 + intervals).contains(&fetches), "{fetches} in {intervals}");
}

#[tokio::test]
async fn a_storm_of_unknown_keys_costs_one_fetch_an_interval() {
    let (provider, running, key) = loaded().await;
    let start = SystemClock.tick();
    let mut waits = 0_u32;
    while start.elapsed() < INTERVAL * 5 / 2 {
        let mut storm = JoinSet::new();
        for _ in 0..50 {
            let handle = running.handle.clone();
            storm.spawn(async move { handle.wait_for_key(ISSUER).await });
        }
        while storm.join_next().await.is_some() {
            waits += 1;
        }
        tokio::task::yield_now().await;
    }
    at_most_one_an_interval(provider.requests() - 1, start);
    assert!(100 < waits, "{waits}");
    assert!(running.has(&[&key]));
}

#[tokio::test]
async fn a_storm_on_a_broken_issuer_costs_no_more() {
    let (provider, running, key) = loaded().await;
    provider.answer("500 Internal Server Error", "");
    let start = SystemClock.tick();
    while start.elapsed() < INTERVAL * 5 / 2 {
        running.handle.wait_for_key(ISSUER).await;
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    at_most_one_an_interval(provider.requests() - 1, start);
    assert!(running.has(&[&key]));
}

#[tokio::test]
async fn who_comes_during_a_fetch_waits_for_it_and_who_comes_after_does_not_wait() {
    let (provider, running, _) = loaded().await;
    provider.answer_raw("");
    let first = running.handle.clone();
    let second = running.handle.clone();
    let both = async { tokio::join!(first.wait_for_key(ISSUER), second.wait_for_key(ISSUER)) };
    let waited = timed(async { _ = both.await }).await;
    assert!(TIMEOUT <= waited && waited < KEY_WAIT_MAX, "{waited:?}");
    let after = timed(running.handle.wait_for_key(ISSUER)).await;
    assert!(after < TIMEOUT, "{after:?}");
    assert_eq!(provider.requests(), 2);
    assert!(timed(running.handle.wait_for_key("https://nobody")).await < TIMEOUT);
}

#[tokio::test]
async fn nobody_waits_longer_than_the_limit() {
    let provider = Provider::start().await;
    provider.answer_keys(&[&signer("a")]);
    let mut slow = spec(ISSUER, provider.url());
    slow.jwks.timeout = Duration::from_mins(1);
    let running = Running::start(vec![slow]);
    running.until(|snapshot| snapshot.key_sets.ready()).await;
    provider.answer_raw("");
    let waited = timed(running.handle.wait_for_key(ISSUER)).await;
    assert!(KEY_WAIT_MAX <= waited && waited < KEY_WAIT_MAX * 2, "{waited:?}");
}

#[tokio::test]
async fn bad_answers_leave_the_keys_in_force() {
    let (provider, running, key) = loaded_with(Duration::from_millis(20)).await;
    let elsewhere = Provider::start().await;
    elsewhere.answer_keys(&[&signer("thief")]);
    let redirect = format!(
        "HTTP/1.1 302 Found\r\nlocation: http://{}/\r\ncontent-length: 0\r\n\r\n",
        elsewhere.address
    );
    let huge = format!("{{\"keys\":[],\"x\":\"{}\"}}", "x".repeat(crate::token::KEY_SET_BYTES_MAX));
    let ok = |body: &str| String::from_utf8(whole("200 OK", body)).unwrap();
    for (answer, error) in [
        ("HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n".to_owned(), "status 503"),
        ("HTTP/1.1 204 No Content\r\n\r\n".to_owned(), "status 204"),
        (redirect, "status 302"),
        (ok("<html>maintenance</html>"), "not a JSON Web Key Set"),
        (ok("{\"keys\":[]}"), "empty"),
        (ok("{\"keys\":[{\"kty\":\"oct\",\"k\":\"AAAA\"}]}"), "no key of the set"),
        (ok(&huge), "longer than"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{".to_owned(), "broke off"),
        ("garbage\r\n\r\n".to_owned(), "no answer"),
        (String::new(), "within"),
    ] {
        provider.answer_raw(answer);
        let before = provider.requests();
        while provider.requests() == before {
            running.handle.wait_for_key(ISSUER).await;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        until(|| running.refused().is_some_and(|refused| refused.contains(error))).await;
        assert!(running.has(&[&key]), "{error}");
    }
    assert_eq!(elsewhere.requests(), 0, "no redirect is followed");
}

#[tokio::test]
async fn a_schedule_goes_on_through_an_outage() {
    let (provider, key, new) = (Provider::start().await, signer("a"), signer("b"));
    provider.answer_keys(&[&key]);
    let mut quick = spec(ISSUER, provider.url());
    quick.jwks.refresh = Duration::from_millis(50);
    let running = Running::start(vec![quick]);
    running.until(|snapshot| has(snapshot, &[&key])).await;
    provider.answer("500 Oh", "");
    let broken = provider.requests();
    until(|| broken + 3 <= provider.requests()).await;
    assert!(running.has(&[&key]));
    provider.answer_keys(&[&new]);
    running.until(|snapshot| has(snapshot, &[&new])).await;
}

#[tokio::test]
async fn an_issuer_that_is_down_at_the_start_is_found_when_it_comes() {
    // Nothing listens on the port until later.
    let reserved = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = reserved.local_addr().unwrap();
    drop(reserved);
    let url = JwksLocation::Url(format!("http://{address}/keys").into());
    let running = Running::start(vec![spec(ISSUER, url)]);
    until(|| running.refused().is_some_and(|refused| refused.contains("no answer"))).await;
    assert!(!running.reader.load().key_sets.ready());

    let (provider, key) = (Provider::serve(TcpListener::bind(address).await.unwrap()), signer("a"));
    provider.answer_keys(&[&key]);
    running.until(|snapshot| has(snapshot, &[&key])).await;
}

#[tokio::test]
async fn the_same_keys_make_no_new_revision() {
    let (provider, running, key) = loaded().await;
    let revision = running.reader.load().revision;
    running.handle.wait_for_key(ISSUER).await;
    assert_eq!(provider.requests(), 2);
    assert_eq!(running.reader.load().revision, revision);
    assert!(running.has(&[&key]));
}

#[tokio::test]
async fn a_new_configuration_changes_what_is_read() {
    let (first, running, key) = loaded().await;
    let (second, other) = (Provider::start().await, signer("b"));
    second.answer_keys(&[&other]);

    let mut leeway = spec(ISSUER, first.url());
    leeway.leeway = Duration::from_secs(5);
    running.reconfigure(vec![leeway, spec("https://j", second.url())]);
    running.until(|snapshot| snapshot.key_sets.ready()).await;
    assert_eq!((first.requests(), second.requests()), (1, 1), "what is the same is not read again");
    assert!(running.has(&[&key]));

    running.reconfigure(vec![spec(ISSUER, second.url())]);
    running.until(|snapshot| has(snapshot, &[&other])).await;
    assert_eq!(first.requests(), 1);
}

#[tokio::test]
async fn keys_of_a_source_that_was_replaced_meanwhile_are_dropped() {
    let (provider, key) = (Provider::start().await, signer("a"));
    let running = Running::start(vec![spec(ISSUER, provider.url())]);
    until(|| provider.requests() == 1).await;
    // The answer to the first read is still out; the configuration changes under it, untold.
    let elsewhere = Provider::start().await;
    configure(&running.writer, vec![spec(ISSUER, elsewhere.url())]);
    provider.answer_keys(&[&key]);
    until(|| 2 <= provider.requests()).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!running.reader.load().key_sets.ready());
}

#[tokio::test]
async fn the_refresher_ends_with_its_last_handle() {
    let provider = Provider::start().await;
    provider.answer_keys(&[&signer("a")]);
    let mut quick = spec(ISSUER, provider.url());
    quick.jwks.refresh = Duration::from_millis(10);
    let Running { handle, .. } = Running::start(vec![quick]);
    let second = handle.clone();
    until(|| 3 <= provider.requests()).await;
    drop(handle);
    let after_first = provider.requests();
    until(|| after_first + 3 <= provider.requests()).await;
    drop(second);
    tokio::time::sleep(Duration::from_millis(50)).await;
    let ended = provider.requests();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(provider.requests(), ended);
}

fn write(path: &Path, content: &str) {
    std::fs::write(path, content).unwrap();
}

#[tokio::test]
async fn a_file_is_followed_through_changes_garbage_and_absence() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("keys.json");
    let (a, b, c) = (signer("a"), signer("b"), signer("c"));
    write(&path, &jwks(&[&a]));
    let running = Running::start(vec![spec(ISSUER, JwksLocation::File(path.clone()))]);
    running.until(|snapshot| has(snapshot, &[&a])).await;

    let start = SystemClock.tick();
    write(&path, &jwks(&[&b]));
    running.until(|snapshot| has(snapshot, &[&b])).await;
    assert!(start.elapsed() < Duration::from_secs(2));

    write(&path, "{\"keys\":");
    until(|| running.refused().is_some_and(|refused| refused.contains("Key Set"))).await;
    assert!(running.has(&[&b]));

    std::fs::remove_file(&path).unwrap();
    until(|| running.refused().is_some_and(|refused| refused.contains("No such file"))).await;
    assert!(running.has(&[&b]));

    write(&path, &jwks(&[&c]));
    running.until(|snapshot| has(snapshot, &[&c])).await;
}

#[cfg(unix)]
#[tokio::test]
async fn a_file_behind_links_is_followed_through_their_swap() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    let (a, b) = (signer("a"), signer("b"));
    for (version, key) in [("..1", &a), ("..2", &b)] {
        std::fs::create_dir(root.join(version)).unwrap();
        write(&root.join(version).join("keys.json"), &jwks(&[key]));
    }
    let link = |target: &str, name: &str| {
        std::os::unix::fs::symlink(target, root.join(name)).unwrap();
    };
    link("..1", "..data");
    link("..data/keys.json", "keys.json");
    let location = JwksLocation::File(root.join("keys.json"));
    let running = Running::start(vec![spec(ISSUER, location)]);
    running.until(|snapshot| has(snapshot, &[&a])).await;

    let start = SystemClock.tick();
    link("..2", "..data_tmp");
    std::fs::rename(root.join("..data_tmp"), root.join("..data")).unwrap();
    running.until(|snapshot| has(snapshot, &[&b])).await;
    assert!(start.elapsed() < Duration::from_secs(2));
}

/// An issuer on loopback with a discovery document and keys.
async fn discovering(issuer: &str, jwks_uri: &str, keys: &str) -> (String, Provider) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let own = format!("http://{}/realm", listener.local_addr().unwrap());
    let document = json!({
        "issuer": if issuer.is_empty() { &own } else { issuer },
        "jwks_uri": if jwks_uri.is_empty() { format!("{own}/keys") } else { jwks_uri.to_owned() },
    });
    let provider = Provider::serve(listener);
    provider.answer("200 OK", keys);
    let document = whole("200 OK", &document.to_string());
    provider.answers.lock().unwrap().insert(DISCOVERY_PATH, document);
    (own, provider)
}

#[tokio::test]
async fn discovery_leads_to_the_keys_and_an_unknown_key_costs_one_request() {
    let key = signer("a");
    let (issuer, provider) = discovering("", "", &jwks(&[&key])).await;
    let location = JwksLocation::Discovery { allow_http: false };
    let running = Running::start(vec![spec(&issuer, location)]);
    running.until(|snapshot| snapshot.key_sets.ready()).await;
    assert_eq!(provider.requests(), 2);
    running.handle.wait_for_key(&issuer).await;
    assert_eq!(provider.requests(), 3);
}

#[tokio::test]
async fn discovery_that_names_another_issuer_or_leaves_https_is_refused() {
    for (issuer, jwks_uri, error) in [
        ("http://other", "", "not the configured issuer"),
        ("", "http://192.0.2.1/keys", "not https"),
        ("", "file:///etc/keys.json", "no URL"),
        ("", "ftp://127.0.0.1/keys", "not https"),
        ("", "keys", "not https"),
    ] {
        let key = signer("a");
        let (own, _provider) = discovering(issuer, jwks_uri, &jwks(&[&key])).await;
        let spec = spec(&own, JwksLocation::Discovery { allow_http: false });
        let refused = fetch(&spec).await.unwrap_err().to_string();
        assert!(refused.contains(error), "{refused}");
    }
}

#[tokio::test]
async fn https_is_for_trusted_certificates_only() {
    let certified = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    let certificate = certified.cert.der().clone();
    let key = rustls_pki_types::PrivateKeyDer::try_from(certified.signing_key.serialize_der());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let server = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key.unwrap())
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(server));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let body = jwks(&[&signer("a")]);
    let answers = Answers::default();
    answers.lock().unwrap().insert(KEYS_PATH, whole("200 OK", &body));
    tokio::spawn(async move {
        loop {
            let (stream, _): (TcpStream, _) = listener.accept().await.unwrap();
            if let Ok(stream) = acceptor.accept(stream).await {
                answer_one(stream, Arc::clone(&answers)).await;
            }
        }
    });
    let location = JwksLocation::Url(format!("https://localhost:{port}/keys").into());
    let mut spec = spec(ISSUER, location);
    spec.jwks.timeout = Duration::from_secs(5);

    let mut roots = RootCertStore::empty();
    roots.add(certificate).unwrap();
    let trusting = HttpClient::with_roots(roots).unwrap();
    let running = Running::start_with(trusting, vec![spec.clone()]);
    running.until(|snapshot| snapshot.key_sets.ready()).await;

    let doubting = HttpClient::with_roots(RootCertStore::empty()).unwrap();
    let mut source = KeySource::new(Arc::new(spec), doubting);
    let refused = source.read(Cause::Schedule).await.unwrap_err().to_string();
    assert!(refused.contains("certificate"), "{refused}");
}

#[tokio::test]
async fn reads_and_the_age_of_keys_are_told() {
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let told = recorder.handle();
    let _recording = metrics::set_default_local_recorder(&recorder);
    let (provider, running, _) = loaded_with(Duration::ZERO).await;
    provider.answer("200 OK", "{}");
    running.handle.wait_for_key(ISSUER).await;
    provider.answer("", "");
    running.handle.wait_for_key(ISSUER).await;
    let refreshes = |result: &str| {
        format!("crossgate_jwks_refresh_total{{issuer=\"{ISSUER}\",result=\"{result}\"}} 1\n")
    };
    for expected in [
        refreshes("success"),
        refreshes("refused"),
        refreshes("failed"),
        format!("crossgate_jwks_age_seconds{{issuer=\"{ISSUER}\"}} 0."),
        "crossgate_snapshot_reloads_total{part=\"keys\",result=\"loaded\"} 1\n".to_owned(),
    ] {
        assert!(told.render().contains(&expected), "{expected} in {}", told.render());
    }
}

#[test]
fn the_handle_works_from_any_thread() {
    fn is_shared<T: Send + Sync + Clone>(_: &T) {}
    fn is_send<T: Send>(_: T) {}
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _within = runtime.enter();
    let (writer, reader) = SnapshotWriter::new();
    let handle = JwksRefresher::start(reader, writer).unwrap();
    is_shared(&handle);
    is_send(handle.wait_for_key("x"));
}

#[test]
fn delays_grow_to_their_limit_and_are_spread() {
    let delays: Vec<_> = (1..=8).map(|failures| doubled(FIRST_LOAD_RETRY, failures)).collect();
    assert_eq!(delays[0], FIRST_LOAD_RETRY);
    assert_eq!(delays[3], FIRST_LOAD_RETRY * 8);
    assert!(RETRY_MAX < doubled(RETRY, u32::MAX));
    let second = Duration::from_secs(1);
    for _ in 0..1000 {
        let delay = jittered(second);
        assert!(second * 4 / 5 <= delay && delay <= second * 6 / 5, "{delay:?}");
    }
    assert!(jittered(Duration::MAX) <= DELAY_MAX * 6 / 5);
}

#[test]
fn an_empty_configuration_is_ready() {
    assert!(KeySets::default().ready());
    assert!(!KeySets::new(vec![spec(ISSUER, JwksLocation::File("x".into()))]).ready());
}
