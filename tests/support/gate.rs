//! The program under test, started as its users start it: a configuration file and a command line.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tempfile::TempDir;

use super::idp::Idp;
use super::raw::{Client, Reply, Request};
use super::scrape::Scrape;
use super::upstream::Upstream;
use super::{RELOADED, SOON, events, free_address, lock, poll, poll_until};

/// A configuration file in parts, so that a test names only what it is about.
#[derive(Clone)]
pub struct Config {
    parts: Vec<(String, String)>,
    pub settings: String,
    files: Vec<(String, String)>,
    listener: String,
    parent: PathBuf,
    log: &'static str,
}

impl Config {
    /// One issuer, one upstream, an account's orders, a public route.
    pub fn new(idp: &Idp, upstream: SocketAddr) -> Self {
        let issuer = format!(
            "\n  - issuer: {}\n    audiences: []\n    algorithms: [RS256, ES256, EdDSA]\n    \
             jwks: {{ url: \"{}\" }}\n    claims: ibm",
            idp.issuer(),
            idp.keys_url()
        );
        let upstreams = format!("\n  orders: {{ endpoints: [\"http://{upstream}\"] }}");
        let parts = [
            ("workers", "2"),
            ("issuers", &issuer),
            ("routes", ROUTES),
            ("upstreams", &upstreams),
            ("settings", "{ file: settings.yaml }"),
            ("events", "{ directory: events }"),
        ];
        let owned = |(key, text): (&str, &str)| (key.to_owned(), text.to_owned());
        Self {
            parts: parts.into_iter().map(owned).collect(),
            settings: "default: { mode: unrestricted, allowlist: [] }\n".to_owned(),
            files: Vec::new(),
            listener: String::new(),
            parent: std::env::temp_dir(),
            log: "info",
        }
    }

    /// Another text for a top-level key.
    pub fn set(mut self, key: &str, text: impl Into<String>) -> Self {
        self.parts.retain(|(found, _)| found != key);
        self.parts.push((key.to_owned(), text.into()));
        self
    }

    /// Another text of `settings.yaml`.
    pub fn settings(mut self, text: impl Into<String>) -> Self {
        self.settings = text.into();
        self
    }

    /// A file beside the configuration, or in a directory there.
    pub fn file(mut self, name: &str, text: impl Into<String>) -> Self {
        self.files.push((name.to_owned(), text.into()));
        self
    }

    /// A further key of the listener, such as `tls: { … }`.
    pub fn listener(mut self, text: &str) -> Self {
        self.listener = format!("\n    {text}");
        self
    }

    /// Everything in memory: for tests that must not wait for a disk that others use.
    pub fn in_memory(mut self) -> Self {
        let memory = PathBuf::from("/dev/shm");
        assert!(memory.is_dir(), "no file system in memory");
        self.parent = memory;
        self
    }

    /// What it logs.
    pub fn log(mut self, log: &'static str) -> Self {
        self.log = log;
        self
    }

    /// The text of a part.
    pub fn part(&self, key: &str) -> &str {
        &self.parts.iter().find(|(found, _)| found == key).unwrap().1
    }

    fn text(&self, proxy: SocketAddr, admin: SocketAddr) -> String {
        let mut text = format!("listeners:\n  - address: {proxy}{}\n", self.listener);
        if self.parts.iter().all(|(key, _)| key != "admin") {
            text += &format!("admin: {{ address: \"{admin}\" }}\n");
        }
        for (key, part) in &self.parts {
            text += &format!("{key}: {}\n", part.replace("{admin-address}", &admin.to_string()));
        }
        text
    }
}

/// A running crossgate. Dropping it kills it.
pub struct Gate {
    child: Child,
    directory: TempDir,
    config: Config,
    stderr: Arc<Mutex<String>>,
    stdout: Arc<Mutex<String>>,
    pub proxy: SocketAddr,
    pub admin: SocketAddr,
}

/// What a clean end leaves behind.
pub struct Ended {
    pub status: ExitStatus,
    pub events: Vec<Value>,
    pub stderr: String,
}

impl Gate {
    /// Starts it and waits until it is ready.
    #[track_caller]
    pub fn start(config: Config) -> Self {
        let mut gate = Self::launch(config);
        gate.wait_for("/readyz");
        gate
    }

    /// Starts it and waits until it is alive, ready or not.
    #[track_caller]
    pub fn start_unready(config: Config) -> Self {
        let mut gate = Self::launch(config);
        gate.wait_for("/healthz");
        gate
    }

    /// Starts it and waits for its end: exit code and standard error.
    #[track_caller]
    pub fn refuse(config: Config) -> (Option<i32>, String) {
        let mut gate = Self::launch(config);
        let status = poll("the program's end", SOON, || gate.child.try_wait().unwrap()).code();
        poll_until("standard error", SOON, || !gate.stderr().is_empty());
        (status, gate.stderr())
    }

    fn launch(config: Config) -> Self {
        let directory =
            tempfile::Builder::new().prefix("crossgate-test-").tempdir_in(&config.parent).unwrap();
        let (proxy, admin) = (free_address(), free_address());
        fs::write(directory.path().join("settings.yaml"), &config.settings).unwrap();
        for (name, text) in &config.files {
            let file = directory.path().join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
        let file = directory.path().join("crossgate.yaml");
        fs::write(&file, config.text(proxy, admin)).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_crossgate"))
            .arg("run")
            .arg("--config")
            .arg(&file)
            .args(["--log", config.log])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = collect(child.stderr.take().unwrap());
        let stdout = collect(child.stdout.take().unwrap());
        Self { child, directory, config, stderr, stdout, proxy, admin }
    }

    #[track_caller]
    fn wait_for(&mut self, path: &str) {
        poll(path, START, || {
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("crossgate ended with {status}:\n{}", self.stderr());
            }
            let open = std::net::TcpStream::connect(self.admin).is_ok();
            (open && self.admin(&Request::get(path)).status == 200).then_some(())
        });
    }

    /// Asks the proxy, on a connection of its own.
    #[track_caller]
    pub fn ask(&self, request: &Request<'_>) -> Reply {
        request.clone().header("connection", "close").ask(self.proxy)
    }

    /// Asks the admin listener.
    #[track_caller]
    pub fn admin(&self, request: &Request<'_>) -> Reply {
        request.clone().header("connection", "close").ask(self.admin)
    }

    /// A connection to the proxy.
    #[track_caller]
    pub fn connect(&self) -> Client {
        Client::connect(self.proxy)
    }

    /// What it counts.
    #[track_caller]
    pub fn metrics(&self) -> Scrape {
        let reply = self.admin(&Request::get("/metrics"));
        assert_eq!(reply.status, 200);
        Scrape::parse(&String::from_utf8(reply.body).unwrap())
    }

    /// What it says of itself.
    #[track_caller]
    pub fn snapshot(&self) -> Value {
        self.admin(&Request::get("/v1/snapshot")).json()
    }

    /// The events written so far.
    pub fn events(&self) -> Vec<Value> {
        events::read(&self.path("events"))
    }

    /// The events of one request, as soon as there are so many.
    #[track_caller]
    pub fn events_of(&self, decision: &str, count: usize) -> Vec<Value> {
        poll("events of the decision", SOON, || {
            let events = self.events();
            let found = events::of_decision(&events, decision);
            (found.len() >= count).then(|| found.into_iter().cloned().collect())
        })
    }

    /// A file beside the configuration.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Replaces a file in one step.
    pub fn replace(&self, name: &str, text: &str) {
        let new = self.path(&format!(".{name}.new"));
        fs::write(&new, text).unwrap();
        fs::rename(new, self.path(name)).unwrap();
    }

    /// Replaces the configuration file, its sockets unchanged.
    pub fn reconfigure(&mut self, change: impl FnOnce(Config) -> Config) {
        self.config = change(self.config.clone());
        let text = self.config.text(self.proxy, self.admin);
        self.replace("crossgate.yaml", &text);
    }

    /// Replaces the settings and waits until they are in force.
    #[track_caller]
    pub fn resettle(&self, settings: &str) {
        let before = self.revision();
        self.replace("settings.yaml", settings);
        poll_until("new settings in force", RELOADED, || self.revision() > before);
    }

    /// The revision in force.
    #[track_caller]
    pub fn revision(&self) -> u64 {
        let snapshot = self.snapshot();
        snapshot["revision"].as_u64().unwrap_or_else(|| panic!("no revision: {snapshot}"))
    }

    /// Sends a signal by name.
    pub fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Ends it as an operator does and reads what it left.
    #[track_caller]
    pub fn finish(mut self) -> Ended {
        self.signal("TERM");
        self.wait_end()
    }

    /// Waits for an end that is on its way.
    #[track_caller]
    pub fn wait_end(&mut self) -> Ended {
        let status = poll("a clean end", START, || self.child.try_wait().unwrap());
        Ended { status, events: self.events(), stderr: self.stderr() }
    }

    /// What it wrote to standard error.
    pub fn stderr(&self) -> String {
        lock(&self.stderr).clone()
    }

    /// What it wrote to standard output.
    pub fn stdout(&self) -> String {
        lock(&self.stdout).clone()
    }
}

/// Reads a pipe to its end, line by line.
fn collect(pipe: impl Read + Send + 'static) -> Arc<Mutex<String>> {
    let text = Arc::<Mutex<String>>::default();
    let collected = Arc::clone(&text);
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            let mut text = lock(&text);
            text.push_str(&line);
            text.push('\n');
        }
    });
    collected
}

impl Drop for Gate {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _status = self.child.wait();
        if std::thread::panicking() {
            // Captured by the test runner: shown only with the failure.
            println!("--- standard error of crossgate\n{}", self.stderr());
        }
    }
}

/// A gate between a provider and an upstream.
pub struct World {
    pub gate: Gate,
    pub idp: Idp,
    pub upstream: Upstream,
}

impl World {
    /// Starts all three; the test changes the configuration first.
    #[track_caller]
    pub fn start(change: impl FnOnce(Config) -> Config) -> Self {
        Self::with_idp(Idp::start(), change)
    }

    /// Starts a gate with a provider that is there already.
    #[track_caller]
    pub fn with_idp(idp: Idp, change: impl FnOnce(Config) -> Config) -> Self {
        let upstream = Upstream::start();
        let gate = Gate::start(change(Config::new(&idp, upstream.address())));
        Self { gate, idp, upstream }
    }

    /// Asks for an order of the owner with this token.
    #[track_caller]
    pub fn get(&self, token: &str) -> Reply {
        self.gate.ask(&Request::get(ORDER).token(token))
    }

    /// A token of a user of this account.
    pub fn user(&self, account: &str) -> String {
        self.idp.token(&super::identities::user(&self.idp.issuer(), Some(account)))
    }
}

/// An order of [`super::identities::OWNER`].
pub const ORDER: &str = "/v1/accounts/59bcbfa6ea2f006b4ed7094c1a08dcdd/orders/1";

const ROUTES: &str = r#"
  - path: /v1/accounts/{account}/orders/{*order}
    methods: [GET, HEAD, POST, PUT, PATCH, DELETE]
    action: orders:GetOrder
    resource: "arn:aws:orders::{account}:order/{order}"
    owner: "{account}"
    upstream: orders
  - path: /v1/by-header
    action: orders:ListOrders
    resource: "arn:aws:orders:::orders"
    owner: "{header:x-account}"
    upstream: orders
  - path: /public/{*rest}
    public: true
    upstream: orders"#;
/// Time for a start or an end on a machine that compiles at the same time.
const START: std::time::Duration = std::time::Duration::from_secs(30);
