//! The admin listener: health, metrics, what is in force, the settings API, and ended sessions.
//!
//! Flows in: HTTP/1.1 from operators and their programs. Flows out: state, and changes to the stores
//! of settings and revocations. It decides no request of a client and shares no thread with those.

mod access;
mod answer;
mod revocations_api;
mod settings_api;
mod status;

use std::convert::Infallible;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use http::{Method, Request};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub use access::{AdminAccess, AdminTokenError};

use crate::settings::SettingsStore;
use crate::snapshot::{Snapshot, SnapshotReader, SnapshotWriter};
use crate::sts::RevocationStore;
use answer::{Answer, problem};

/// Names what a snapshot still lacks before requests can be decided, such as an issuer's keys.
pub type Missing = Arc<dyn Fn(&Snapshot) -> Vec<String> + Send + Sync>;

/// All that the admin listener shows or changes.
#[derive(Clone)]
pub struct AdminState {
    /// What is in force.
    pub reader: SnapshotReader,
    /// How it came to be.
    pub writer: SnapshotWriter,
    /// The settings.
    pub settings: SettingsStore,
    /// The sessions that were ended.
    pub revocations: RevocationStore,
    /// The metrics.
    pub metrics: PrometheusHandle,
    /// Whether the process is about to end.
    pub draining: Arc<AtomicBool>,
    /// What readiness waits for besides the settings.
    pub missing: Missing,
    /// Who may read and write.
    pub access: Arc<AdminAccess>,
}

impl fmt::Debug for AdminState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdminState").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// Serves until told to stop, then finishes what runs.
pub async fn serve(listener: TcpListener, state: AdminState, shutdown: CancellationToken) {
    let state = Arc::new(state);
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = shutdown.cancelled() => break,
            Some(_) = connections.join_next() => {}
            accepted = accept(&listener, &room) => {
                if let Some((stream, peer, permit)) = accepted {
                    let served = connection(stream, peer, Arc::clone(&state), shutdown.clone());
                    connections.spawn(async move {
                        served.await;
                        drop(permit);
                    });
                }
            }
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// Keeps the metrics small, whether anybody reads them or not, until told to stop: histograms keep
/// each sample until this runs.
pub async fn upkeep(metrics: PrometheusHandle, shutdown: CancellationToken) {
    let mut ticks = tokio::time::interval(UPKEEP_INTERVAL);
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            _ = ticks.tick() => metrics.run_upkeep(),
        }
    }
}

async fn accept(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
) -> Option<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let permit = Arc::clone(room).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, peer)) => Some((stream, peer, permit)),
        Err(error) => {
            // Out of descriptors, most often: trying again at once would only burn the core.
            tracing::warn!(%error, "admin listener cannot accept");
            tokio::time::sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    state: Arc<AdminState>,
    shutdown: CancellationToken,
) {
    let service = service_fn(move |request| {
        let state = Arc::clone(&state);
        async move { Ok::<_, Infallible>(respond(&state, peer, request).await) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(HEADER_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service);
    let mut served = std::pin::pin!(served);
    let ended = tokio::select! {
        ended = served.as_mut() => ended,
        () = shutdown.cancelled() => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, %error, "admin connection ended");
    }
}

async fn respond(state: &AdminState, peer: SocketAddr, request: Request<Incoming>) -> Answer {
    let path = request.uri().path().to_owned();
    let reading = matches!(*request.method(), Method::GET | Method::HEAD);
    let allowed = if reading {
        state.access.read(peer.ip(), request.headers())
    } else {
        state.access.write(peer.ip(), request.headers())
    };
    let id = match allowed {
        Ok(id) => id,
        Err(denied) => return denied.answer(),
    };
    let method = request.method().clone();
    match (Place::of(&path), reading) {
        (None, _) => problem(http::StatusCode::NOT_FOUND, "not_found", "there is no such path"),
        (Some(Place::Account(account)), true) => settings_api::get(state, account).await,
        (Some(Place::Account(account)), false) if method == Method::PATCH => {
            settings_api::patch(state, account, peer.ip(), id, request).await
        }
        (Some(Place::Account(_)), false) => answer::method_not_allowed("GET, HEAD, PATCH"),
        (Some(Place::Revocations), true) => revocations_api::get(state).await,
        (Some(Place::Revocations), false) if method == Method::POST => {
            revocations_api::post(state, peer.ip(), id, request).await
        }
        (Some(Place::Revocations), false) => answer::method_not_allowed("GET, HEAD, POST"),
        (Some(Place::Status), true) => status::get(state, &path),
        (Some(Place::Status), false) => answer::method_not_allowed("GET, HEAD"),
    }
}

/// What a path is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place<'p> {
    /// An account's settings.
    Account(&'p str),
    Revocations,
    Status,
}

impl<'p> Place<'p> {
    fn of(path: &'p str) -> Option<Self> {
        if let Some(account) = settings_api::account_of(path) {
            return Some(Self::Account(account));
        }
        match path {
            revocations_api::PATH => Some(Self::Revocations),
            _ if status::PATHS.contains(&path) => Some(Self::Status),
            _ => None,
        }
    }
}

/// Operators, scrapers and probes; more than these wait.
const CONNECTIONS_MAX: usize = 256;

const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

const HEADER_BYTES_MAX: usize = 64 << 10;

/// At 100,000 requests a second about 10 MB of samples gather between two.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
