//! The stage: identity provider, service and proxy in this process, files in a temporary directory.
//!
//! Flows in: nothing. Flows out: addresses, tokens and answers. Removes its files at the end.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use crate::cli::demo::DemoError;
use crate::cli::demo::cast::{self, Caller, Owner};
use crate::cli::demo::client::{AskError, Client, Reply};
use crate::cli::demo::issuer::Issuer;
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
    pub(super) client: Client,
    issuer: Issuer,
    servers: Servers,
    gateway: Gateway,
    files: TempDir,
}

impl Stage {
    /// Starts everything; the proxy is ready then.
    pub(super) async fn set() -> Result<Self, DemoError> {
        let files = tempfile::Builder::new().prefix("crossgate-demo-").tempdir()?;
        let issuer = Issuer::new().map_err(|_| DemoError::Key)?;
        let servers = Servers::start(issuer.key_set()).await?;
        let configuration = files.path().join("crossgate.yaml");
        std::fs::write(files.path().join("settings.yaml"), cast::settings())?;
        std::fs::write(&configuration, cast::configuration(servers.issuer, servers.upstream))?;
        let config = config::load(&configuration)?;
        let gateway = Gateway::start(config, telemetry::install()?).await?;
        let (Some(proxy), Some(admin)) = (gateway.addresses.first(), gateway.admin_address) else {
            return Err(DemoError::NotReady);
        };
        let proxy = *proxy;
        let stage = Self { proxy, admin, client: Client::new(), issuer, servers, gateway, files };
        stage.ready().await?;
        Ok(stage)
    }

    /// Ends the proxy as a signal does: finishes what runs, closes the log. The files stay.
    pub(super) async fn end(self) -> Result<TempDir, DemoError> {
        // Kept connections would be waited for.
        drop(self.client);
        self.gateway.drain().await?;
        drop(self.servers);
        Ok(self.files)
    }

    /// Where the files are.
    pub(super) fn directory(&self) -> &Path {
        self.files.path()
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
    ) -> Result<Asked, DemoError> {
        let token = self.token(caller, owner)?;
        let reply = self.client.get(self.proxy, &cast::order_path(owner), Some(&token)).await?;
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

    /// What is recorded, as soon as it is so many events; what there is if they do not come.
    pub(super) async fn recorded(&self, events: usize) -> Result<Vec<Value>, DemoError> {
        let deadline = Instant::now() + RECORDED_WAIT_MAX;
        loop {
            let recorded = recorded(self.directory())?;
            if events <= recorded.len() || deadline <= Instant::now() {
                return Ok(recorded);
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

/// The event log's directory.
pub(super) fn events_directory(files: &Path) -> PathBuf {
    files.join("events")
}

/// All events of the log.
pub(super) fn recorded(files: &Path) -> Result<Vec<Value>, ReadError> {
    LogReader::open(&events_directory(files), None)?
        .map(|event| event.map(|event| event.event))
        .collect()
}

const POLL_INTERVAL: Duration = Duration::from_millis(20);
/// Events can be queried within 2 s; a machine in trouble gets a little more.
const RECORDED_WAIT_MAX: Duration = Duration::from_secs(5);
const READY_WAIT_MAX: Duration = Duration::from_secs(5);
