//! The whole proxy, assembled from a configuration: workers, log, keys, settings, admin listener.
//!
//! Flows in: a configuration. Flows out: a running gateway that reloads itself and drains on demand.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use arc_swap::ArcSwap;
use metrics_exporter_prometheus::PrometheusHandle;
use rustls::ServerConfig;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::admin::{self, AdminAccess, AdminState, AdminTokenError};
use crate::clock::{SystemClock, UnixMillis};
use crate::config::{self, AdminConfig, Config};
use crate::event::log::{EventAppender, EventLog, EventLogError, new_instance};
use crate::event::setting_text::setting_text;
use crate::event::sink::{Shipper, ShipperError};
use crate::event::time::rfc3339;
use crate::event::{EventIds, EventsConfig, SettingChange, UpdateEvent, UpdateInitiator};
use crate::forward;
use crate::iam::{AccountId, Arn, IdentityKind, IdentityType};
use crate::listener::{ListenerSpec, Sockets, TlsError, Worker, server_config};
use crate::policy::directory::{DirectoryError, PolicyStore};
use crate::settings::{Actor, OnUpdate, Reload, SettingsError, SettingsStore, SettingsUpdate};
use crate::snapshot::{Change, Part, SnapshotReader, SnapshotWriter};
use crate::sts::keys::SessionKeysError;
use crate::sts::{
    OnRevoked, Revocation, RevocationStore, RevocationsError, RevocationsUpdate, RoleRevocation,
};
use crate::telemetry::{self, ReloadResult};
use crate::token::jwks::JwksError;
use crate::token::{JwksHandle, JwksRefresher, Verifier};
use crate::watch::Watcher;

mod token_service;

/// A running proxy. Dropped without [`Gateway::drain`], it ends without finishing what runs.
#[derive(Debug)]
pub struct Gateway {
    /// Where clients are served, in the order of the configuration.
    pub addresses: Vec<SocketAddr>,
    /// Where operators are served.
    pub admin_address: Option<SocketAddr>,
    /// Where tokens for sessions are given out.
    pub sts_address: Option<SocketAddr>,
    reloader: Arc<Reloader>,
    workers: Vec<JoinHandle<()>>,
    drain: watch::Sender<bool>,
    draining: Arc<AtomicBool>,
    events: Arc<EventLog>,
    shipper: Arc<Shipper>,
    admin_end: CancellationToken,
    tasks: JoinSet<()>,
}

/// Why a gateway can't start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// An address can't be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// A thread can't be started.
    #[error("cannot start a worker: {0}")]
    Thread(#[source] io::Error),
    /// The admin listener's token is unusable.
    #[error(transparent)]
    AdminToken(#[from] AdminTokenError),
    /// The event log can't be opened.
    #[error(transparent)]
    Events(#[from] EventLogError),
    /// Keys can't be fetched.
    #[error(transparent)]
    Keys(#[from] JwksError),
    /// The policies are unusable.
    #[error(transparent)]
    Policies(#[from] DirectoryError),
    /// The sessions that were ended are unusable.
    #[error(transparent)]
    Revocations(#[from] RevocationsError),
    /// The keys of session tokens are unusable.
    #[error(transparent)]
    SessionKeys(#[from] SessionKeysError),
    /// The settings are unusable.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The sinks can't be started.
    #[error(transparent)]
    Sinks(#[from] ShipperError),
    /// A listener's TLS is unusable.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

impl Gateway {
    /// Starts everything; call it within the control runtime, which must go on running.
    ///
    /// # Errors
    /// A part can't start; nothing of it goes on then.
    pub async fn start(config: Config, metrics: PrometheusHandle) -> Result<Self, StartError> {
        let (writer, reader) = SnapshotWriter::new();
        let worker_count = config.workers.map_or_else(available_cpus, std::num::NonZero::get);
        let listeners = bind(&config, worker_count)?;
        let opened = token_service::open(&config).await?;
        let ways = worker_count + usize::from(opened.is_some());
        let (events, mut appenders) = EventLog::open(&config.events, &new_instance(), ways)?;
        let events = Arc::new(events);
        let shipper = Arc::new(Shipper::start(&config.events, &events.sink_positions())?);

        publish(&writer, &config);
        let settings = open_settings(&config, &writer, &reader, &events).await?;
        let revocations = open_revocations(&config, &writer, &reader, &events).await?;
        let policies = open_policies(&config, &writer).await?;
        let keys = JwksRefresher::start(reader.clone(), writer.clone())?;

        let mut tasks = JoinSet::new();
        let draining = Arc::new(AtomicBool::new(false));
        let admin_end = CancellationToken::new();
        tasks.spawn(admin::upkeep(metrics.clone(), admin_end.clone()));
        let state = |access| AdminState {
            reader: reader.clone(),
            writer: writer.clone(),
            settings: settings.clone(),
            revocations: revocations.clone(),
            metrics,
            draining: Arc::clone(&draining),
            missing: missing(policies.is_some()),
            access: Arc::new(access),
        };
        let admin_address = start_admin(&config, state, &admin_end, &mut tasks).await?;

        let addresses = listeners.iter().map(|listener| listener.address).collect();
        let tls = listeners.iter().map(|listener| listener.tls.clone()).collect();
        let (drain, drained) = watch::channel(false);
        let parts =
            Parts { reader: &reader, verifier: &Verifier::new(), jwks: &keys, drain: &drained };
        let way = opened.as_ref().and_then(|_| appenders.pop());
        let mut workers = start_workers(listeners, appenders, &parts)?;
        let serving = token_service::start(opened.zip(way), &parts, &mut workers, &mut tasks)?;
        let sts_address = serving.as_ref().map(|serving| serving.address);
        let reloader = Arc::new(Reloader {
            config,
            writer,
            keys,
            settings,
            revocations,
            policies,
            tls,
            token_service: serving,
            shipper: Arc::clone(&shipper),
            turn: tokio::sync::Mutex::default(),
            end: CancellationToken::new(),
        });
        reloader.follow_all(&mut tasks);
        Ok(Self {
            addresses,
            admin_address,
            sts_address,
            reloader,
            workers,
            drain,
            draining,
            events,
            shipper,
            admin_end,
            tasks,
        })
    }

    /// Reads configuration and settings again, as a change of their files does.
    pub async fn reload(&self) {
        self.reloader.reload().await;
    }

    /// Takes no more connections, finishes what runs within the drain timeout, closes the log, and
    /// has every sink try once more.
    ///
    /// # Errors
    /// Events did not reach the log.
    pub async fn drain(mut self) -> Result<(), EventLogError> {
        self.draining.store(true, Ordering::Relaxed);
        self.drain.send_replace(true);
        let workers = std::mem::take(&mut self.workers);
        let joined = tokio::task::spawn_blocking(move || {
            workers.into_iter().filter_map(|worker| worker.join().err()).count()
        });
        if joined.await.unwrap_or_default() > 0 {
            tracing::error!("a worker ended in a panic");
        }
        self.admin_end.cancel();
        let admin_ended = async { while self.tasks.join_next().await.is_some() {} };
        self.reloader.end.cancel();
        let _ = tokio::time::timeout(ADMIN_END_MAX, admin_ended).await;
        self.tasks.shutdown().await;
        drop(self.reloader);
        let (events, shipper) = (self.events, self.shipper);
        let ended = tokio::task::spawn_blocking(move || {
            let closed = match Arc::into_inner(events) {
                Some(events) => events.close(),
                // Something still holds the log; it closes when that ends.
                None => Ok(()),
            };
            shipper.end();
            closed
        });
        ended.await.unwrap_or(Ok(()))
    }
}

/// Takes over what changes on disk.
#[derive(Debug)]
struct Reloader {
    config: Config,
    writer: SnapshotWriter,
    keys: JwksHandle,
    settings: SettingsStore,
    revocations: RevocationStore,
    policies: Option<PolicyStore>,
    tls: Vec<Option<Arc<ArcSwap<ServerConfig>>>>,
    token_service: Option<token_service::Serving>,
    shipper: Arc<Shipper>,
    /// Held from reading to publishing: what was read first must not come in force last.
    turn: tokio::sync::Mutex<()>,
    end: CancellationToken,
}

impl Reloader {
    /// Follows all files, each kind for itself, until told to stop.
    fn follow_all(self: &Arc<Self>, tasks: &mut JoinSet<()>) {
        tasks.spawn(Arc::clone(self).follow_settings());
        tasks.spawn(Arc::clone(self).follow_revocations());
        tasks.spawn(Arc::clone(self).follow_policies());
        tasks.spawn(Arc::clone(self).follow());
    }

    /// Follows the configuration and the files of its certificates, until told to stop.
    async fn follow(self: Arc<Self>) {
        let mut watcher = Watcher::new(watched(&self.config));
        loop {
            tokio::select! {
                () = self.end.cancelled() => return,
                _ = watcher.changed() => {}
            }
            if let Some(new) = self.reload_configuration().await {
                watcher.watch(watched(&new));
            }
        }
    }

    async fn reload(&self) {
        self.reload_configuration().await;
        // A refusal is recorded by the store itself.
        let _ = self.settings.reload(Reload::Always).await;
        let _ = self.revocations.reload(Reload::Always).await;
        if let Some(policies) = &self.policies {
            let _ = policies.reload().await;
        }
    }

    /// Follows the settings, until told to stop.
    async fn follow_settings(self: Arc<Self>) {
        tokio::select! {
            () = self.end.cancelled() => {}
            () = self.settings.follow() => {}
        }
    }

    /// Follows what was ended, until told to stop.
    async fn follow_revocations(self: Arc<Self>) {
        tokio::select! {
            () = self.end.cancelled() => {}
            () = self.revocations.follow() => {}
        }
    }

    /// Follows the policy directory, until told to stop.
    async fn follow_policies(self: Arc<Self>) {
        let Some(policies) = &self.policies else { return };
        tokio::select! {
            () = self.end.cancelled() => {}
            () = policies.follow() => {}
        }
    }

    /// Takes over the configuration file; returns what is in force now, or `None` if the file was
    /// refused.
    async fn reload_configuration(&self) -> Option<Config> {
        let _turn = self.turn.lock().await;
        let file = self.config.file.clone();
        let loaded = tokio::task::spawn_blocking(move || config::load(&file)).await;
        let source = self.config.file.display().to_string();
        let refused = match loaded {
            Ok(Ok(new)) => match self.take_files(&new).await {
                Ok(()) => {
                    self.warn_of_restart(&new);
                    let new = new.with_sts_of(&self.config);
                    publish(&self.writer, &new);
                    self.count_policies(&new).await;
                    self.keys.reconfigure();
                    if let Err(error) = self.shipper.reconfigure(&new.events.sinks) {
                        tracing::error!(%error, "the new sinks don't run");
                    }
                    tracing::info!(file = source, "the configuration was reloaded");
                    return Some(new);
                }
                Err(error) => error,
            },
            Ok(Err(error)) => error.to_string(),
            Err(_) => "the reload was interrupted".to_owned(),
        };
        tracing::warn!(
            file = source,
            error = refused,
            "a new configuration was refused, the old one goes on"
        );
        telemetry::reloaded(&Part::Configuration, ReloadResult::Refused);
        self.writer.refuse(Part::Configuration, &source, SystemClock.now(), refused);
        None
    }

    /// Reads all certificates and the settings before it replaces any.
    async fn take_files(&self, new: &Config) -> Result<(), String> {
        let mut replacements = Vec::new();
        for (old, current) in self.config.listeners.iter().zip(&self.tls) {
            // By address: in another order, one listener would get what another asks of clients.
            let listener = new.listeners.iter().find(|listener| listener.address == old.address);
            let files = listener.and_then(|listener| listener.tls.as_ref());
            if let (Some(files), Some(current)) = (files, current) {
                let tls = server_config(files).map_err(|error| error.to_string())?;
                replacements.push((current, tls));
            }
        }
        let of_sessions = new.sts.as_ref().and_then(|sts| sts.tls.as_ref());
        let serving = self.token_service.as_ref().and_then(|serving| serving.tls.as_ref());
        if let (Some(files), Some(current)) = (of_sessions, serving) {
            let tls = server_config(files).map_err(|error| error.to_string())?;
            replacements.push((current, tls));
        }
        let moved = self.revocations.move_to(new.revocations_file()).await;
        let before = moved.map_err(|error| error.to_string())?;
        if let Err(error) = self.settings.move_to(new.settings_file.clone()).await {
            // The old settings go on, with what is beside them. Going back loses nothing.
            let _ = self.revocations.move_to(before).await;
            return Err(error.to_string());
        }
        for (current, replacement) in replacements {
            current.store(replacement);
        }
        Ok(())
    }

    /// Takes over how policies count. A section that is gone or names another directory takes a
    /// restart, all of it: what counts there was not written for the policies that stay.
    async fn count_policies(&self, new: &Config) {
        if let (Some(store), Some(policies)) = (&self.policies, &new.policies)
            && policy_directory(&self.config) == policy_directory(new)
        {
            store.configure(policies.mode, policies.unknown_callers).await;
        }
    }

    /// What names a socket, a directory or a thread stays as it was at start.
    fn warn_of_restart(&self, new: &Config) {
        let old = &self.config;
        let changed = [
            ("listeners", sockets(old) != sockets(new)),
            ("admin", old.admin != new.admin),
            ("workers", old.workers != new.workers),
            ("events", log_alone(old) != log_alone(new)),
            ("policies", policy_directory(old) != policy_directory(new)),
            ("sts", token_service::restarts(old, new)),
        ];
        for (key, _) in changed.iter().filter(|(_, changed)| *changed) {
            tracing::warn!(key, "a change of this key takes effect after a restart");
        }
    }
}

/// What a listener is since the start; its certificates reload.
fn sockets(config: &Config) -> Vec<(SocketAddr, bool)> {
    config.listeners.iter().map(|listener| (listener.address, listener.tls.is_some())).collect()
}

/// What of the event log stays as it was at start: all but its sinks.
fn log_alone(config: &Config) -> EventsConfig {
    EventsConfig { sinks: Vec::new(), ..config.events.clone() }
}

fn policy_directory(config: &Config) -> Option<&Path> {
    config.policies.as_ref().map(|policies| policies.directory.as_path())
}

/// The configuration's own file and those of its certificates.
fn watched(config: &Config) -> Vec<PathBuf> {
    let of_listeners = config.listeners.iter().filter_map(|listener| listener.tls.as_ref());
    let tls = of_listeners.chain(config.sts.iter().filter_map(|sts| sts.tls.as_ref()));
    let files = tls.flat_map(|tls| {
        [Some(tls.certificate.clone()), Some(tls.key.clone()), tls.client_ca.clone()]
    });
    files.flatten().chain([config.file.clone()]).collect()
}

/// The settings, in force.
async fn open_settings(
    config: &Config,
    writer: &SnapshotWriter,
    reader: &SnapshotReader,
    events: &Arc<EventLog>,
) -> Result<SettingsStore, StartError> {
    let on_update = record_update(Arc::clone(events));
    let file = config.settings_file.clone();
    let settings = SettingsStore::new(file, writer.clone(), reader.clone(), on_update);
    settings.load_initial().await?;
    Ok(settings)
}

/// The sessions that were ended, in force.
async fn open_revocations(
    config: &Config,
    writer: &SnapshotWriter,
    reader: &SnapshotReader,
    events: &Arc<EventLog>,
) -> Result<RevocationStore, RevocationsError> {
    let on_revoked = record_revocation(Arc::clone(events));
    let file = config.revocations_file();
    let store = RevocationStore::new(file, writer.clone(), reader.clone(), on_revoked);
    store.reload(Reload::Always).await?;
    Ok(store)
}

/// The policies, in force; none without their section.
async fn open_policies(
    config: &Config,
    writer: &SnapshotWriter,
) -> Result<Option<PolicyStore>, DirectoryError> {
    let Some(policies) = &config.policies else { return Ok(None) };
    let store = PolicyStore::new(policies, writer.clone());
    store.load().await?;
    Ok(Some(store))
}

fn publish(writer: &SnapshotWriter, config: &Config) {
    let source = config.file.display().to_string();
    telemetry::reloaded(&Part::Configuration, ReloadResult::Loaded);
    writer.publish(Part::Configuration, &source, SystemClock.now(), |snapshot| {
        Change::Configuration {
            routes: Arc::clone(&config.routes),
            edge: Arc::new(config.edge.clone()),
            key_sets: Arc::new(snapshot.key_sets.reconfigured(config.issuers.clone())),
            sts: config.sts.as_ref().map(|sts| Arc::new(sts.rules.clone())),
        }
    });
}

fn bind(config: &Config, workers: usize) -> Result<Vec<Sockets>, StartError> {
    let mut listeners = Vec::new();
    for ListenerSpec { address, tls } in &config.listeners {
        let tls = tls.as_ref().map(server_config).transpose()?;
        let sockets = Sockets::bind(*address, workers, tls)
            .map_err(|source| StartError::Listen { address: *address, source })?;
        listeners.push(sockets);
    }
    Ok(listeners)
}

/// What workers and the token service share.
struct Parts<'g> {
    reader: &'g SnapshotReader,
    verifier: &'g Verifier,
    jwks: &'g JwksHandle,
    drain: &'g watch::Receiver<bool>,
}

fn start_workers(
    listeners: Vec<Sockets>,
    appenders: Vec<EventAppender>,
    parts: &Parts<'_>,
) -> Result<Vec<JoinHandle<()>>, StartError> {
    let upstream_tls = forward::client_tls();
    let connections = Arc::new(AtomicUsize::new(0));
    let mut listeners: Vec<_> = listeners
        .into_iter()
        .map(|listener| (listener.sockets.into_iter(), listener.tls))
        .collect();
    let mut workers = Vec::new();
    for (index, events) in appenders.into_iter().enumerate() {
        let sockets = listeners
            .iter_mut()
            .filter_map(|(sockets, tls)| Some((sockets.next()?, tls.clone())))
            .collect();
        let worker = Worker {
            sockets,
            snapshots: parts.reader.clone(),
            verifier: parts.verifier.worker(),
            events,
            keys: parts.jwks.clone(),
            upstream_tls: Arc::clone(&upstream_tls),
            connections: Arc::clone(&connections),
            drain: parts.drain.clone(),
        };
        let thread = std::thread::Builder::new().name(format!("worker-{index}"));
        let run = move || {
            if let Err(error) = worker.run() {
                tracing::error!(%error, "a worker ended");
            }
        };
        workers.push(thread.spawn(run).map_err(StartError::Thread)?);
    }
    Ok(workers)
}

/// Serves operators, where the configuration says so.
async fn start_admin(
    config: &Config,
    state: impl FnOnce(AdminAccess) -> AdminState,
    end: &CancellationToken,
    tasks: &mut JoinSet<()>,
) -> Result<Option<SocketAddr>, StartError> {
    let Some(admin) = &config.admin else { return Ok(None) };
    let (listener, address, access) = open_admin(admin).await?;
    tasks.spawn(admin::serve(listener, state(access), end.clone()));
    Ok(Some(address))
}

async fn open_admin(
    admin: &AdminConfig,
) -> Result<(TcpListener, SocketAddr, AdminAccess), StartError> {
    let access = match &admin.token_file {
        Some(file) => AdminAccess::token_file(file)?,
        None => AdminAccess::loopback(),
    };
    let refused = |source| StartError::Listen { address: admin.address, source };
    let listener = TcpListener::bind(admin.address).await.map_err(refused)?;
    let address = listener.local_addr().map_err(refused)?;
    Ok((listener, address, access))
}

/// What is missing until requests can be decided; policies only where they are configured.
fn missing(has_policies: bool) -> admin::Missing {
    Arc::new(move |snapshot| {
        let without = snapshot.key_sets.iter().filter(|issuer| issuer.keys().is_none());
        let keys = without.map(|issuer| format!("keys of {}", issuer.issuer()));
        let lacks_policies = has_policies && snapshot.policies.is_none();
        keys.chain(lacks_policies.then(|| "policies".to_owned())).collect()
    })
}

/// Turns a change by the settings API into its event.
fn record_update(events: Arc<EventLog>) -> OnUpdate {
    let ids = Mutex::new(EventIds::new());
    Box::new(move |update: SettingsUpdate| {
        let id = ids.lock().unwrap_or_else(PoisonError::into_inner).next(update.at);
        let texts: Vec<_> = update
            .changes
            .iter()
            .map(|change| {
                let update_type = format!("{}.setting", change.identity_type.as_str());
                (update_type, setting_text(&change.before), setting_text(&change.after))
            })
            .collect();
        let changes: Vec<_> = texts
            .iter()
            .map(|(update_type, initial_value, new_value)| SettingChange {
                update_type,
                initial_value,
                new_value,
            })
            .collect();
        events.append_update(&UpdateEvent {
            id,
            time: update.at,
            correlation_id: "",
            owner: Some(update.account),
            initiator: initiator(&update.actor),
            changes: &changes,
            revision: update.revision,
        });
    })
}

/// Turns a revocation by the admin API into its event: a change of what is in force for the role's
/// account. A session's id does not tell its account.
fn record_revocation(events: Arc<EventLog>) -> OnRevoked {
    let ids = Mutex::new(EventIds::new());
    Box::new(move |update: RevocationsUpdate| {
        let id = ids.lock().unwrap_or_else(PoisonError::into_inner).next(update.at);
        let (owner, initial, new) = match &update.revocation {
            Revocation::Role(RoleRevocation { role, before }) => {
                let owner = Arn::parse(role).and_then(|arn| AccountId::parse(arn.account()).ok());
                let text = |at: UnixMillis| format!("{role} before {}", rfc3339(at));
                (owner, update.initial.map(text).unwrap_or_default(), text(*before))
            }
            Revocation::Session(session) => (None, String::new(), format!("session {session}")),
        };
        let change =
            SettingChange { update_type: REVOCATION, initial_value: &initial, new_value: &new };
        events.append_update(&UpdateEvent {
            id,
            time: update.at,
            correlation_id: "",
            owner,
            initiator: initiator(&update.actor),
            changes: &[change],
            revision: update.revision,
        });
    })
}

fn initiator(actor: &Actor) -> UpdateInitiator<'_> {
    UpdateInitiator {
        id: actor.id,
        name: "",
        identity_type: IdentityType::User,
        kind: IdentityKind::Login,
        source_ip: actor.address,
        agent: &actor.agent,
    }
}

fn available_cpus() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// `updateType` of revocations.
const REVOCATION: &str = "sts.revocation";

/// How long running requests of operators may take after the workers have ended.
const ADMIN_END_MAX: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::set::{PolicySet, PolicySets};
    use crate::snapshot::Snapshot;
    use crate::verdict::Mode;

    #[test]
    fn configured_policies_are_missing_until_they_are_loaded() {
        let empty = Snapshot::default();
        assert_eq!(missing(false)(&empty), Vec::<String>::new());
        assert_eq!(missing(true)(&empty), ["policies"]);
        let enforced = Arc::new(PolicySet::default());
        let sets = PolicySets { mode: Mode::Limited, enforced, candidate: None };
        let loaded = Snapshot { policies: Some(Arc::new(sets)), ..empty };
        assert_eq!(missing(true)(&loaded), Vec::<String>::new());
    }
}
