//! The stage: identity provider, service and proxy in this process, files in a temporary directory.
//!
//! Flows in: nothing. Flows out: addresses, tokens and answers. Removes its files at the end.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http::Method;
use serde_json::Value;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use crate::cli::demo::DemoError;
use crate::cli::demo::cast::{self, Caller, Owner};
use crate::cli::demo::client::{AskError, Client, Reply};
use crate::cli::demo::issuer::Issuer;
use crate::cli::demo::policies::{self, KeyPolicy};
use crate::cli::demo::server::Servers;
use crate::cli::demo::story::Asked;
use crate::clock::SystemClock;
use crate::config;
use crate::event::log::{LogReader, ReadError};
use crate::gateway::Gateway;
use crate::telemetry;

/// Everything that runs.
pub(super) struct Stage {
    /// Where callers go.
    pub(super) proxy: SocketAddr,
    /// Where operators go.
    pub(super) admin: SocketAddr,
    /// Where sessions begin.
    pub(super) sts: SocketAddr,
    pub(super) client: Client,
    issuer: Issuer,
    servers: Servers,
    gateway: Gateway,
    directory: TempDir,
}

/// What somebody asks the service behind the proxy for.
#[derive(Clone, Debug)]
pub(super) struct Errand {
    pub(super) caller: Caller,
    pub(super) owner: &'static Owner,
    pub(super) method: Method,
    pub(super) order: u8,
}

/// Where the demo's files are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Files<'d>(&'d Path);

impl Stage {
    /// Starts everything; the proxy is ready then. Files that are to be kept are made beside their
    /// place, so that they get there whole or not at all.
    pub(super) async fn set(keep: Option<&Path>) -> Result<Self, DemoError> {
        let mut temporary = tempfile::Builder::new();
        let temporary = temporary.prefix("crossgate-demo-");
        let directory = match keep {
            None => temporary.tempdir()?,
            Some(place) if place.exists() => return Err(DemoError::Taken(place.to_owned())),
            Some(place) => {
                let parent = place.parent().filter(|parent| !parent.as_os_str().is_empty());
                temporary.tempdir_in(parent.unwrap_or(Path::new(".")))?
            }
        };
        let files = Files(directory.path());
        let issuer = Issuer::new().map_err(|_| DemoError::Key)?;
        let servers = Servers::start(issuer.key_set()).await?;
        std::fs::write(files.settings(), cast::settings())?;
        policies::write(&files.policies(), KeyPolicy::Forgetful)?;
        policies::write_key(&files.mended_key(), KeyPolicy::Mended)?;
        let configuration = cast::configuration(servers.issuer, servers.upstream);
        std::fs::write(files.configuration(), configuration)?;
        let config = config::load(&files.configuration())?;
        let gateway = Gateway::start(config, telemetry::install()?).await?;
        let proxy = gateway.addresses.first().copied().ok_or(DemoError::NotReady)?;
        let admin = gateway.admin_address.ok_or(DemoError::NotReady)?;
        let sts = gateway.sts_address.ok_or(DemoError::NotReady)?;
        let client = Client::new();
        let stage = Self { proxy, admin, sts, client, issuer, servers, gateway, directory };
        stage.ready().await?;
        Ok(stage)
    }

    /// Ends the proxy as a signal does: finishes what runs, closes the log. The files stay.
    pub(super) async fn end(self) -> Result<TempDir, DemoError> {
        // Kept connections would be waited for.
        drop(self.client);
        self.gateway.drain().await?;
        drop(self.servers);
        Ok(self.directory)
    }

    /// Where the files are.
    pub(super) fn files(&self) -> Files<'_> {
        Files(self.directory.path())
    }

    /// A new token.
    pub(super) fn token(&self, caller: Caller, owner: &'static Owner) -> Result<String, DemoError> {
        let issuer = cast::issuer_url(self.servers.issuer);
        let claims = caller.claims(owner, &issuer, SystemClock.now().seconds());
        self.issuer.token(&claims).map_err(|_| DemoError::Key)
    }

    /// Asks for an owner's order.
    pub(super) async fn ask(
        &self,
        caller: Caller,
        owner: &'static Owner,
        order: u8,
    ) -> Result<Asked, DemoError> {
        let token = self.token(caller, owner)?;
        self.ask_with(&token, &Errand { caller, owner, method: Method::GET, order }).await
    }

    /// Asks for an owner's order with a token.
    pub(super) async fn ask_with(&self, token: &str, errand: &Errand) -> Result<Asked, DemoError> {
        let Errand { caller, owner, ref method, order } = *errand;
        let path = cast::order_path(owner, order);
        let reply = self.client.send(method, self.proxy, &path, Some(token)).await?;
        let text = |pointer| {
            reply.body.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        Ok(Asked {
            caller,
            owner,
            status: reply.status,
            code: text("/code"),
            decision: reply.header("x-crossgate-decision").to_owned(),
            told_account: text("/caller/x-crossgate-account"),
        })
    }

    /// Limits an account as an operator does: reads the setting and its tag, changes that.
    pub(super) async fn limit(&self, owner: &Owner) -> Result<Reply, AskError> {
        let path = cast::settings_path(owner);
        let current = self.client.get(self.admin, &path, None).await?;
        self.client.patch(self.admin, &path, current.etag(), &cast::limiting_patch()).await
    }

    /// What is recorded, as soon as it is enough; what there is if more does not come.
    pub(super) async fn recorded(
        &self,
        is_enough: impl Fn(&[Value]) -> bool,
    ) -> Result<Vec<Value>, DemoError> {
        let deadline = Instant::now() + RECORDED_WAIT_MAX;
        loop {
            let recorded = recorded(self.directory.path())?;
            if is_enough(&recorded) || deadline <= Instant::now() {
                return Ok(recorded);
            }
            sleep(POLL_INTERVAL).await;
        }
    }

    /// The revision in which the policies in force came.
    pub(super) async fn policies_revision(&self) -> Result<u64, AskError> {
        let snapshot = self.client.get(self.admin, "/v1/snapshot", None).await?.body;
        let parts = snapshot.get("parts").and_then(Value::as_array).into_iter().flatten();
        let is_policies = |part: &&Value| part.get("part") == Some(&Value::from("policies"));
        let loaded = parts.into_iter().find(is_policies);
        let revision = loaded.and_then(|part| part.pointer("/loaded/revision")?.as_u64());
        Ok(revision.unwrap_or_default())
    }

    /// Waits until policies came in a later revision, not for ever: what never comes is found by
    /// what it would have changed.
    pub(super) async fn policies_after(&self, revision: u64) -> Result<u64, AskError> {
        let deadline = Instant::now() + IN_FORCE_WAIT_MAX;
        loop {
            let found = self.policies_revision().await?;
            if revision < found || deadline <= Instant::now() {
                return Ok(found);
            }
            sleep(POLL_INTERVAL).await;
        }
    }

    async fn ready(&self) -> Result<(), DemoError> {
        let deadline = Instant::now() + READY_WAIT_MAX;
        while self.client.get(self.admin, "/readyz", None).await?.status != 200 {
            if deadline <= Instant::now() {
                return Err(DemoError::NotReady);
            }
            sleep(POLL_INTERVAL).await;
        }
        Ok(())
    }
}

impl Files<'_> {
    pub(super) fn configuration(self) -> PathBuf {
        self.0.join("crossgate.yaml")
    }

    pub(super) fn settings(self) -> PathBuf {
        self.0.join("settings.yaml")
    }

    /// The event log's directory.
    pub(super) fn events(self) -> PathBuf {
        self.0.join("events")
    }

    /// The policy directory.
    pub(super) fn policies(self) -> PathBuf {
        self.0.join("policies")
    }

    /// The proposed policies, where there are any.
    pub(super) fn candidate(self) -> PathBuf {
        self.policies().join("candidate")
    }

    /// What is going to be proposed.
    pub(super) fn proposal(self) -> PathBuf {
        self.0.join("proposal")
    }

    /// The policy of the key that the shared order is encrypted with.
    pub(super) fn key(self) -> PathBuf {
        self.policies().join(policies::key_file())
    }

    /// What that file should have.
    pub(super) fn mended_key(self) -> PathBuf {
        self.0.join("mended-key-policy.json")
    }
}

/// All events of the log.
pub(super) fn recorded(directory: &Path) -> Result<Vec<Value>, ReadError> {
    LogReader::open(&Files(directory).events(), None)?
        .map(|event| event.map(|event| event.event))
        .collect()
}

const POLL_INTERVAL: Duration = Duration::from_millis(20);
/// A changed file is in force within 2 s, an event can be queried within 2 s; a machine in trouble gets a little more.
const RECORDED_WAIT_MAX: Duration = Duration::from_secs(5);
const IN_FORCE_WAIT_MAX: Duration = Duration::from_secs(5);
const READY_WAIT_MAX: Duration = Duration::from_secs(5);
