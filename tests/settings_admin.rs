//! The admin listener over real sockets, with a real settings file.
#![expect(clippy::unwrap_used, reason = "a failed test panics")]
#![expect(clippy::indexing_slicing, reason = "a failed test panics")]

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use crossgate::admin::{AdminAccess, AdminState, serve};
use crossgate::iam::{AccountId, IdentityType};
use crossgate::settings::{SettingsStore, SettingsUpdate};
use crossgate::snapshot::{SnapshotReader, SnapshotWriter};
use crossgate::sts::RevocationStore;
use crossgate::verdict::Mode;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use metrics_exporter_prometheus::PrometheusBuilder;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

const ACCOUNT: &str = "59bcbfa6ea2f006b4ed7094c1a08dcdd";
const PARTNER: &str = "f71446b6474d45bf81196da45de13940";

struct Admin {
    address: SocketAddr,
    directory: tempfile::TempDir,
    reader: SnapshotReader,
    store: SettingsStore,
    draining: Arc<AtomicBool>,
    updates: Arc<Mutex<Vec<SettingsUpdate>>>,
    shutdown: CancellationToken,
    tasks: Vec<AbortOnDropHandle<()>>,
}

struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Reply {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    fn etag(&self) -> String {
        self.headers["etag"].to_str().unwrap().to_owned()
    }

    fn message(&self) -> String {
        self.json()["errors"][0]["message"].as_str().unwrap().to_owned()
    }
}

impl Admin {
    async fn start(settings: &str, token: Option<&str>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("settings.yaml");
        fs::write(&path, settings).unwrap();
        Self::start_with(directory, Some(path), token).await
    }

    async fn start_with(
        directory: tempfile::TempDir,
        path: Option<PathBuf>,
        token: Option<&str>,
    ) -> Self {
        let (writer, reader) = SnapshotWriter::new();
        let updates: Arc<Mutex<Vec<SettingsUpdate>>> = Arc::default();
        let seen = Arc::clone(&updates);
        let on_update = Box::new(move |update| seen.lock().unwrap().push(update));
        let store = SettingsStore::new(path, writer.clone(), reader.clone(), on_update);
        store.load_initial().await.unwrap();
        let revocations =
            RevocationStore::new(None, writer.clone(), reader.clone(), Box::new(|_| {}));
        let access = match token {
            Some(token) => {
                let path = directory.path().join("admin.token");
                fs::write(&path, token).unwrap();
                AdminAccess::token_file(&path).unwrap()
            }
            None => AdminAccess::loopback(),
        };
        let draining = Arc::new(AtomicBool::new(false));
        let state = AdminState {
            reader: reader.clone(),
            writer,
            settings: store.clone(),
            revocations,
            metrics: PrometheusBuilder::new().build_recorder().handle(),
            draining: Arc::clone(&draining),
            missing: Arc::new(|_| Vec::new()),
            access: Arc::new(access),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let served = serve(listener, state, shutdown.clone());
        let followed = store.clone();
        let tasks = vec![
            AbortOnDropHandle::new(tokio::spawn(served)),
            AbortOnDropHandle::new(tokio::spawn(async move { followed.follow().await })),
        ];
        Self { address, directory, reader, store, draining, updates, shutdown, tasks }
    }

    fn file(&self) -> PathBuf {
        self.directory.path().join("settings.yaml")
    }

    fn mode(&self, account: &str) -> Mode {
        let account = AccountId::parse(account).unwrap();
        self.reader.load().settings.setting(account).enforced(IdentityType::User).mode
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Reply {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        let _connection = AbortOnDropHandle::new(tokio::spawn(async move {
            let _ = connection.await;
        }));
        let mut request = Request::builder().method(method).uri(path).header("host", "admin");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(Bytes::from(body.to_owned()))).unwrap();
        let (head, body) = sender.send_request(request).await.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Reply { status: head.status, headers: head.headers, body }
    }

    async fn get(&self, path: &str) -> Reply {
        self.send(Method::GET, path, &[], "").await
    }

    async fn setting(&self, account: &str) -> Reply {
        self.get(&path_of(account)).await
    }

    async fn patch(&self, account: &str, etag: &str, body: &Value) -> Reply {
        let headers = [("if-match", etag), ("user-agent", "test/1")];
        self.send(Method::PATCH, &path_of(account), &headers, &body.to_string()).await
    }
}

fn path_of(account: &str) -> String {
    format!("/v1/accounts/{account}/settings/access_management")
}

fn types(types: &Value) -> Value {
    json!({ "external_account_identity_interaction": { "identity_types": types } })
}

fn of(state: &str, accounts: &[&str]) -> Value {
    json!({ "state": state, "external_allowed_accounts": accounts })
}

async fn until(what: impl Fn() -> bool) {
    let waited = tokio::time::timeout(Duration::from_secs(2), async {
        while !what() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    waited.await.unwrap();
}

fn replace_file(path: &Path, text: &str) {
    let new = path.with_extension("new");
    fs::write(&new, text).unwrap();
    fs::rename(new, path).unwrap();
}

#[tokio::test]
async fn a_setting_is_read_changed_and_protected_from_stale_writers() {
    let admin = Admin::start("# mine\naccounts:\n  z: {} # last\n", None).await;
    let before = admin.setting(ACCOUNT).await;
    assert_eq!(before.status, StatusCode::OK);
    let enabled = of("enabled", &[]);
    assert_eq!(
        before.json(),
        types(&json!({ "user": enabled, "service_id": enabled, "service": enabled }))
    );

    let change = types(&json!({ "user": of("limited", &[PARTNER]) }));
    let changed = admin.patch(ACCOUNT, &before.etag(), &change).await;
    assert_eq!(changed.status, StatusCode::OK, "{:?}", changed.body);
    let expect = types(&json!({
        "user": of("limited", &[PARTNER]), "service_id": enabled, "service": enabled
    }));
    assert_eq!(changed.json(), expect);
    assert_eq!(admin.mode(ACCOUNT), Mode::Limited, "in force when it answers");
    assert_ne!(changed.etag(), before.etag());
    assert_eq!(admin.setting(ACCOUNT).await.etag(), changed.etag());

    let stale = admin.patch(ACCOUNT, &before.etag(), &change).await;
    assert_eq!(stale.status, StatusCode::PRECONDITION_FAILED);
    assert_eq!(stale.json()["status_code"], 412);

    let text = fs::read_to_string(admin.file()).unwrap();
    assert!(text.starts_with("# mine\naccounts:\n  z: {} # last\n"), "{text}");
    assert_eq!(
        &crossgate::settings::parse(&text).unwrap().setting(AccountId::parse(ACCOUNT).unwrap()),
        &admin.reader.load().settings.setting(AccountId::parse(ACCOUNT).unwrap()),
    );

    let updates = admin.updates.lock().unwrap();
    assert_eq!(updates.len(), 1);
    assert_eq!(updates[0].account.as_str(), ACCOUNT);
    assert_eq!(updates[0].actor.agent, "test/1");
    assert_eq!(updates[0].actor.address.to_string(), "127.0.0.1");
    assert_eq!(updates[0].changes.len(), 1);
    assert_eq!(updates[0].changes[0].identity_type, IdentityType::User);
    assert_eq!(updates[0].changes[0].before.mode, Mode::Unrestricted);
    assert_eq!(updates[0].changes[0].after.mode, Mode::Limited);
}

#[tokio::test]
async fn its_own_write_is_not_loaded_again_and_an_edit_of_the_file_is() {
    let admin = Admin::start("accounts:\n  a: { mode: limited }\n", None).await;
    let before = admin.setting("a").await;
    admin.patch("a", &before.etag(), &types(&json!({ "user": of("monitor", &[]) }))).await;
    let revision = admin.reader.load().revision;
    tokio::time::sleep(Duration::from_millis(800)).await;
    assert_eq!(admin.reader.load().revision, revision);
    fs::write(admin.file(), "accounts:\n  a: { mode: unrestricted }\n").unwrap();
    until(|| admin.mode("a") == Mode::Unrestricted).await;
    assert_eq!(admin.setting("a").await.etag(), admin.setting("unlisted").await.etag());
}

#[tokio::test]
async fn an_edit_that_was_not_noticed_yet_makes_a_change_stale() {
    let admin = Admin::start("accounts:\n  a: { mode: limited }\n", None).await;
    let before = admin.setting("a").await;
    replace_file(&admin.file(), "accounts:\n  a: { mode: report-only }\n  b: {} # new\n");
    let change = types(&json!({ "service": of("monitor", &[]) }));
    assert_eq!(admin.patch("a", &before.etag(), &change).await.status, 412);
    let again = admin.setting("a").await;
    let change = types(&json!({ "service": of("limited", &[]) }));
    assert_eq!(admin.patch("a", &again.etag(), &change).await.status, 200);
    let text = fs::read_to_string(admin.file()).unwrap();
    assert!(text.contains("b: {} # new"), "{text}");
}

#[tokio::test]
async fn of_many_writers_with_one_tag_one_wins() {
    let admin = Arc::new(Admin::start("accounts:\n  a: {}\n", None).await);
    let etag = admin.setting("a").await.etag();
    let writers: Vec<_> = (0..16)
        .map(|writer| {
            let (admin, etag) = (Arc::clone(&admin), etag.clone());
            tokio::spawn(async move {
                let change = types(&json!({ "user": of("limited", &[&format!("w{writer}")]) }));
                admin.patch("a", &etag, &change).await.status
            })
        })
        .collect();
    let mut won = 0;
    for writer in writers {
        match writer.await.unwrap() {
            StatusCode::OK => won += 1,
            status => assert_eq!(status, StatusCode::PRECONDITION_FAILED),
        }
    }
    assert_eq!(won, 1);
}

#[tokio::test]
async fn a_bad_version_is_refused_whole_and_shown() {
    let admin = Admin::start("accounts:\n  a: { mode: limited }\n", None).await;
    replace_file(&admin.file(), "accounts:\n  a: { mode: unrestricted }\n  b: { mod: limited }\n");
    let shown = || admin.get("/v1/snapshot");
    let mut refused = Value::Null;
    for _ in 0..200 {
        refused = shown().await.json()["parts"][0]["refused"].clone();
        if refused != Value::Null {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let error = refused["error"].as_str().unwrap();
    assert!(error.ends_with("settings.yaml:3:8: unknown key `mod`; hint: `mode`"), "{error}");
    assert_eq!(admin.mode("a"), Mode::Limited);

    let etag = admin.setting("a").await.etag();
    let change = types(&json!({ "user": of("monitor", &[]) }));
    let failed = admin.patch("a", &etag, &change).await;
    assert_eq!(failed.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(failed.message().contains("3:8"), "{}", failed.message());
    assert_eq!(admin.mode("a"), Mode::Limited);
    assert!(admin.updates.lock().unwrap().is_empty());

    fs::remove_file(admin.file()).unwrap();
    assert_eq!(admin.patch("a", &etag, &change).await.status, 500);
    assert_eq!(admin.mode("a"), Mode::Limited);
    fs::write(admin.file(), "accounts:\n  a: { mode: report-only }\n").unwrap();
    until(|| admin.mode("a") == Mode::ReportOnly).await;
}

#[tokio::test]
async fn a_linked_file_is_followed_but_not_written() {
    let directory = tempfile::tempdir().unwrap();
    for (version, mode) in [("one", "limited"), ("two", "report-only")] {
        fs::create_dir(directory.path().join(version)).unwrap();
        let text = format!("accounts:\n  a: {{ mode: {mode} }}\n");
        fs::write(directory.path().join(version).join("settings.yaml"), text).unwrap();
    }
    let path = directory.path().join("settings.yaml");
    std::os::unix::fs::symlink("one", directory.path().join("..data")).unwrap();
    std::os::unix::fs::symlink("..data/settings.yaml", &path).unwrap();
    let admin = Admin::start_with(directory, Some(path), None).await;
    let etag = admin.setting("a").await.etag();
    let change = types(&json!({ "user": of("enabled", &[]) }));
    let refused = admin.patch("a", &etag, &change).await;
    assert_eq!(refused.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(refused.message().contains("symbolic link"), "{}", refused.message());
    assert_eq!(admin.mode("a"), Mode::Limited);
    let directory = admin.directory.path();
    std::os::unix::fs::symlink("two", directory.join("..new")).unwrap();
    fs::rename(directory.join("..new"), directory.join("..data")).unwrap();
    until(|| admin.mode("a") == Mode::ReportOnly).await;
}

#[tokio::test]
async fn without_a_file_settings_are_read_only() {
    let admin = Admin::start_with(tempfile::tempdir().unwrap(), None, None).await;
    let setting = admin.setting("a").await;
    let change = types(&json!({ "user": of("limited", &[]) }));
    let refused = admin.patch("a", &setting.etag(), &change).await;
    assert_eq!(refused.status, StatusCode::CONFLICT);
    assert_eq!(admin.mode("a"), Mode::Unrestricted);
    assert_eq!(admin.get("/readyz").await.status, StatusCode::OK);
}

#[tokio::test]
async fn bad_requests_are_refused_in_the_apis_shape() {
    let admin = Admin::start("accounts: {}\n", None).await;
    let path = path_of("a");
    let etag = admin.setting("a").await.etag();
    let tag: &[(&str, &str)] = &[("if-match", &etag)];
    let good = types(&json!({ "user": of("limited", &[]) })).to_string();
    let weak = format!("W/{etag}");
    let long = path_of(&"a".repeat(65));
    let bad_state = types(&json!({ "user": of("off", &[]) })).to_string();
    for (method, path, headers, body, status, names) in [
        (Method::PATCH, path.as_str(), &[][..], good.as_str(), 428, "If-Match"),
        (Method::PATCH, &path, &[("if-match", "\"x\"")], &good, 412, "ETag"),
        (Method::PATCH, &path, &[("if-match", &weak)], &good, 412, "ETag"),
        (Method::PATCH, &path, tag, "{", 400, "the body"),
        (Method::PATCH, &path, tag, &bad_state, 400, "state"),
        (Method::PATCH, &long, tag, &good, 400, "account_id"),
        (Method::GET, &path_of("a%2fb"), &[], "", 400, "account_id"),
        (Method::GET, "/v1/accounts/a/b/settings/access_management", &[], "", 404, "path"),
        (Method::GET, "/v1/accounts//settings/access_management", &[], "", 400, "account_id"),
        (Method::GET, "/", &[], "", 404, "path"),
        (Method::DELETE, &path, &[], "", 405, "methods"),
        (Method::POST, "/metrics", &[], "", 405, "methods"),
    ] {
        let reply = admin.send(method.clone(), path, headers, body).await;
        assert_eq!(reply.status, status, "{method} {path} {body}");
        assert_eq!(reply.json()["status_code"], status);
        assert!(reply.json()["trace"].as_str().is_some_and(|trace| !trace.is_empty()));
        assert!(reply.message().contains(names), "{}", reply.message());
        assert_eq!(reply.headers.contains_key("allow"), status == 405);
    }
    assert_eq!(admin.mode("a"), Mode::Unrestricted);
    let any = admin.send(Method::PATCH, &path, &[("if-match", "*")], &good).await;
    assert_eq!(any.status, StatusCode::OK);
}

#[tokio::test]
async fn a_token_is_needed_where_there_is_one() {
    let admin = Admin::start("accounts: {}\n", Some("s3cret")).await;
    let setting = admin.setting("a").await;
    assert_eq!(setting.status, StatusCode::OK, "loopback reads freely");
    let etag = setting.etag();
    let body = types(&json!({ "user": of("limited", &[]) })).to_string();
    for (authorization, status) in [("Bearer other", 401), ("", 401), ("Bearer s3cret", 200)] {
        let headers = [("if-match", etag.as_str()), ("authorization", authorization)];
        let reply = admin.send(Method::PATCH, &path_of("a"), &headers, &body).await;
        assert_eq!(reply.status, status, "{authorization}");
        assert_eq!(reply.headers.contains_key("www-authenticate"), status == 401);
    }
}

#[tokio::test]
async fn health_tells_alive_from_ready() {
    let admin = Admin::start("accounts: {}\n", None).await;
    assert_eq!(admin.get("/healthz").await.status, StatusCode::OK);
    assert_eq!(admin.get("/readyz").await.json(), json!({ "ready": true, "missing": [] }));
    admin.draining.store(true, Ordering::Relaxed);
    let draining = admin.get("/readyz").await;
    assert_eq!(draining.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(draining.json(), json!({ "ready": false, "missing": ["draining"] }));
    assert_eq!(admin.get("/healthz").await.status, StatusCode::OK);
    let metrics = admin.get("/metrics").await;
    assert_eq!(metrics.headers["content-type"], "text/plain; version=0.0.4");
    let snapshot = admin.get("/v1/snapshot").await.json();
    assert_eq!(snapshot["revision"], 1);
    assert_eq!(snapshot["parts"][0]["part"], "settings");
    assert_eq!(snapshot["parts"][0]["loaded"]["revision"], 1);
    assert_eq!(snapshot["parts"][0]["refused"], Value::Null);
}

#[tokio::test]
async fn a_stop_ends_idle_connections() {
    let mut admin = Admin::start("accounts: {}\n", None).await;
    let _idle = TcpStream::connect(admin.address).await.unwrap();
    assert_eq!(admin.get("/healthz").await.status, StatusCode::OK);
    admin.shutdown.cancel();
    let served = admin.tasks.remove(0);
    tokio::time::timeout(Duration::from_secs(2), served).await.unwrap().unwrap();
}

/// Readers never see half a change: all three types always have the mode of one version.
#[tokio::test]
async fn readers_see_whole_settings() {
    let admin = Admin::start("accounts:\n  a: { mode: limited }\n", None).await;
    let stop = Arc::new(AtomicBool::new(false));
    let (reader, stopped) = (admin.reader.clone(), Arc::clone(&stop));
    let reading = std::thread::spawn(move || {
        let account = AccountId::parse("a").unwrap();
        let mut cached = reader.cached();
        let mut seen = 0_u64;
        while !stopped.load(Ordering::Relaxed) {
            let settings = &cached.load().settings;
            let setting = settings.setting(account);
            let modes = IdentityType::ALL.map(|kind| setting.enforced(kind).mode);
            assert!(modes.iter().all(|mode| *mode == modes[0]), "{modes:?}");
            seen += 1;
        }
        seen
    });
    for round in 0..60 {
        let etag = admin.store.read(AccountId::parse("a").unwrap()).etag.to_string();
        let state = if round % 2 == 0 { "monitor" } else { "limited" };
        let all = of(state, &[]);
        let change = types(&json!({ "user": all, "service_id": all, "service": all }));
        assert_eq!(admin.patch("a", &etag, &change).await.status, 200);
    }
    stop.store(true, Ordering::Relaxed);
    assert!(reading.join().unwrap() > 60);
}
