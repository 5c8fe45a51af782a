//! The token service, put together: its keys, its socket, its thread.
//!
//! Flows in: the configuration's section and the gateway's parts. Flows out: a thread that serves, and
//! what the gateway keeps of it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::clock::SystemClock;
use crate::config::{Config, StsConfig};
use crate::event::log::EventAppender;
use crate::gateway::{Parts, StartError};
use crate::listener::{Sockets, server_config};
use crate::sts::door::Sts;
use crate::sts::keys::SessionKeys;
use crate::sts::watch::Watch;

/// What a token service needs before the rest of the gateway is there: a bad key or a taken address
/// ends the start.
pub(super) struct Opened {
    /// The event log's directory: the watch's past.
    pub(super) events: PathBuf,
    pub(super) keys: SessionKeys,
    pub(super) sockets: Sockets,
}

/// What the gateway keeps of a token service.
#[derive(Debug)]
pub(super) struct Serving {
    pub(super) address: SocketAddr,
    pub(super) tls: Option<Arc<ArcSwap<ServerConfig>>>,
}

/// Opens keys and socket; none without the section.
pub(super) async fn open(config: &Config) -> Result<Option<Opened>, StartError> {
    let Some(StsConfig { address, tls, keys, .. }) = &config.sts else { return Ok(None) };
    let tls = tls.as_ref().map(server_config).transpose()?;
    let sockets = Sockets::bind(*address, 1, tls)
        .map_err(|source| StartError::Listen { address: *address, source })?;
    let (spec, now) = (keys.clone(), SystemClock.now().seconds());
    // Making a key and syncing it to the disk takes its time.
    let keys = tokio::task::spawn_blocking(move || SessionKeys::open(spec, now));
    let keys = keys.await.map_err(|error| StartError::Thread(error.into()))??;
    Ok(Some(Opened { events: config.events.directory.clone(), keys, sockets }))
}

/// Starts the thread that serves, and the task that keeps its keys.
pub(super) fn start(
    opened: Option<(Opened, EventAppender)>,
    parts: &Parts<'_>,
    threads: &mut Vec<JoinHandle<()>>,
    tasks: &mut JoinSet<()>,
) -> Result<Option<Serving>, StartError> {
    let Some((Opened { keys, sockets, events: events_directory }, events)) = opened else {
        return Ok(None);
    };
    let Sockets { address, sockets, tls } = sockets;
    let Some(listener) = sockets.into_iter().next() else { return Ok(None) };
    let watch = Watch::default();
    tasks.spawn(keep(keys.clone(), parts.drain.clone()));
    tasks.spawn(remember(watch.clone(), events_directory));
    let service = Sts {
        listener,
        tls: tls.clone(),
        snapshots: parts.reader.clone(),
        verifier: parts.verifier.clone(),
        jwks: parts.jwks.clone(),
        keys,
        events,
        watch,
        drain: parts.drain.clone(),
    };
    let run = move || {
        if let Err(error) = service.run() {
            tracing::error!(%error, "the token service ended");
        }
    };
    let thread = std::thread::Builder::new().name("sts".to_owned()).spawn(run);
    threads.push(thread.map_err(StartError::Thread)?);
    Ok(Some(Serving { address, tls }))
}

/// Rotates the keys until the process is to end.
async fn keep(keys: SessionKeys, mut drain: watch::Receiver<bool>) {
    let end = CancellationToken::new();
    tokio::select! {
        () = keys.keep(end.clone()) => {}
        _ = drain.wait_for(|drain| *drain) => end.cancel(),
    }
}

/// Tells the watch whom and what the log knows, so that a restart makes nobody new.
async fn remember(watch: Watch, events: PathBuf) {
    let seeded = tokio::task::spawn_blocking(move || watch.seed(&events, SystemClock.now())).await;
    match seeded {
        Ok(Ok(seeded)) => tracing::info!(
            sessions = seeded.sessions,
            is_cut = seeded.is_cut,
            "the watch knows the sessions of the event log"
        ),
        Ok(Err(error)) => {
            tracing::warn!(%error, "the watch starts without a past: all callers are new to it");
        }
        Err(error) => tracing::error!(%error, "the watch's past was broken off"),
    }
}

/// Whether a change of the section takes a restart.
pub(super) fn restarts(old: &Config, new: &Config) -> bool {
    let fixed = |config: &Config| {
        let sts = config.sts.as_ref()?;
        Some((sts.address, sts.tls.is_some(), sts.keys.clone(), sts.rules.issuer.clone()))
    };
    fixed(old) != fixed(new)
}
