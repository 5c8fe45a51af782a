//! One worker: a thread, a runtime, its sockets, its share of the connections.

use std::cell::Cell;
use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::{ClientConfig, ServerConfig};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::{Notify, watch};
use tokio_rustls::TlsAcceptor;

use crate::alarm::Alarms;
use crate::event::log::EventAppender;
use crate::forward::{Forwarder, Protocol};
use crate::listener::connection::{self, HttpVersion, Shared};
use crate::proxy::{Gate, Proxy};
use crate::snapshot::SnapshotReader;
use crate::telemetry::{ConnectionSide, OpenConnection};
use crate::token::{JwksHandle, WorkerVerifier};

/// All that one worker needs to start; moved into its thread.
#[derive(Debug)]
pub struct Worker {
    /// Its socket of each listener, with the listener's TLS.
    pub sockets: Vec<(StdListener, Option<Arc<ArcSwap<ServerConfig>>>)>,
    /// What decides.
    pub snapshots: SnapshotReader,
    /// Verified tokens.
    pub verifier: WorkerVerifier,
    /// Where decisions are recorded.
    pub events: EventAppender,
    /// Who fetches keys.
    pub keys: JwksHandle,
    /// TLS towards upstreams.
    pub upstream_tls: Arc<ClientConfig>,
    /// Open client connections of the whole process.
    pub connections: Arc<AtomicUsize>,
    /// Becomes true when the process is to end.
    pub drain: watch::Receiver<bool>,
}

/// Why a worker can't start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WorkerError {
    /// The runtime can't be made, or a socket not be watched.
    #[error("a worker can't start")]
    Start(#[from] io::Error),
}

impl Worker {
    /// Serves until told to drain, then until the last connection ends or the time is over.
    ///
    /// # Errors
    /// The worker can't start.
    pub fn run(self) -> Result<(), WorkerError> {
        let runtime =
            Builder::new_current_thread().enable_all().build_local(LocalOptions::default())?;
        runtime.block_on(self.serve())
    }

    async fn serve(self) -> Result<(), WorkerError> {
        let alarms = Alarms::new();
        tokio::task::spawn_local(Rc::clone(&alarms).run());
        let forwarder = Forwarder::new(&alarms, self.upstream_tls);
        let gate = Gate::new(&self.snapshots, self.verifier, self.events);
        let shared = Rc::new(Shared {
            proxy: Proxy::new(gate, forwarder, self.keys),
            alarms,
            draining: Cell::new(false),
            drain_began: Notify::new(),
        });
        let own_connections = Rc::new(Cell::new(0_usize));
        let mut acceptors = Vec::new();
        for (socket, tls) in self.sockets {
            let acceptor = Acceptor {
                shared: Rc::clone(&shared),
                listener: TcpListener::from_std(socket)?,
                tls,
                connections: Arc::clone(&self.connections),
                own_connections: Rc::clone(&own_connections),
            };
            acceptors.push(tokio::task::spawn_local(acceptor.run()));
        }
        let mut drain = self.drain;
        // An error means that the sender is gone, and with it the process's reason to run.
        let _ = drain.wait_for(|drain| *drain).await;
        for acceptor in acceptors {
            acceptor.abort();
        }
        shared.draining.set(true);
        shared.drain_began.notify_waiters();
        shared.alarms.wake_all();
        let drain_timeout = shared.proxy.view().snapshot().edge.drain_timeout;
        let ended = async {
            while own_connections.get() > 0 {
                tokio::time::sleep(DRAIN_PAUSE).await;
            }
        };
        if tokio::time::timeout(drain_timeout, ended).await.is_err() {
            tracing::warn!(
                connections = own_connections.get(),
                "the drain timeout is over, closing what still runs"
            );
        }
        Ok(())
    }
}

/// Accepts one listener's connections.
struct Acceptor {
    shared: Rc<Shared>,
    listener: TcpListener,
    tls: Option<Arc<ArcSwap<ServerConfig>>>,
    connections: Arc<AtomicUsize>,
    own_connections: Rc<Cell<usize>>,
}

impl Acceptor {
    async fn run(self) {
        let refusals = Rc::new(Cell::new(0_usize));
        loop {
            let (stream, address) = match self.listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of descriptors, mostly: others must close before it helps to go on.
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let limits = self.shared.proxy.view().snapshot().edge.limits.clone();
            let open = Counted::new(&self.connections, &self.own_connections);
            if open.others >= limits.connections {
                // Telling costs a little; beyond some, closing must do.
                if self.tls.is_none() && refusals.get() < REFUSALS_MAX {
                    let refusal = Refused::new(&refusals);
                    tokio::task::spawn_local(async move {
                        connection::refuse(stream, limits.header_timeout).await;
                        drop(refusal);
                    });
                }
                continue;
            }
            let shared = Rc::clone(&self.shared);
            let tls = self.tls.as_ref().map(|tls| tls.load_full());
            tokio::task::spawn_local(async move {
                let _open = (open, OpenConnection::new(ConnectionSide::Client));
                serve(shared, stream, address, tls, limits.header_timeout).await;
            });
        }
    }
}

async fn serve(
    shared: Rc<Shared>,
    stream: TcpStream,
    address: SocketAddr,
    tls: Option<Arc<ServerConfig>>,
    timeout: Duration,
) {
    // What can't be set is slower, not wrong.
    let _ = stream.set_nodelay(true);
    let Some(tls) = tls else {
        if let Some(Ok(version)) = shared.first_step(timeout, connection::sniff(&stream)).await {
            connection::serve(shared, stream, address, Protocol::Http, version).await;
        }
        return;
    };
    let handshake = TlsAcceptor::from(tls).accept(stream);
    let Some(Ok(stream)) = shared.first_step(timeout, handshake).await else { return };
    let version = match stream.get_ref().1.alpn_protocol() {
        Some(b"h2") => HttpVersion::Http2,
        Some(_) | None => HttpVersion::Http1,
    };
    connection::serve(shared, stream, address, Protocol::Https, version).await;
}

/// One open connection, in the process's count and the worker's.
struct Counted {
    others: usize,
    process: Arc<AtomicUsize>,
    worker: Rc<Cell<usize>>,
}

impl Counted {
    fn new(process: &Arc<AtomicUsize>, worker: &Rc<Cell<usize>>) -> Self {
        worker.set(worker.get() + 1);
        let others = process.fetch_add(1, Ordering::Relaxed);
        Self { others, process: Arc::clone(process), worker: Rc::clone(worker) }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.process.fetch_sub(1, Ordering::Relaxed);
        self.worker.set(self.worker.get().saturating_sub(1));
    }
}

/// One client being refused.
struct Refused(Rc<Cell<usize>>);

impl Refused {
    fn new(count: &Rc<Cell<usize>>) -> Self {
        count.set(count.get() + 1);
        Self(Rc::clone(count))
    }
}

impl Drop for Refused {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(1));
    }
}

/// How soon to look again whether connections have ended.
const DRAIN_PAUSE: Duration = Duration::from_millis(10);

/// How long to wait after a failed accept.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Clients that are told at once, on one listener of one worker, that there are too many.
const REFUSALS_MAX: usize = 128;
