//! The token service's listener: one thread, its runtime, its connections, and the ends of all waits.

use std::cell::Cell;
use std::convert::Infallible;
use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::clock::SystemClock;
use crate::event::log::{BLOCK_MAX, EventAppender};
use crate::forward::{ClientAddress, Protocol};
use crate::proxy::Peer;
use crate::snapshot::SnapshotReader;
use crate::sts::door::desk::Desk;
use crate::sts::door::service::{BODY_TIMEOUT, Service};
use crate::sts::keys::SessionKeys;
use crate::sts::watch::Watch;
use crate::token::jwks::KEY_WAIT_MAX;
use crate::token::{JwksHandle, Verifier};

/// All that the token service needs to start; moved into its thread.
pub struct Sts {
    /// Where it listens.
    pub listener: StdListener,
    /// Its certificate, replaced when its files change; `None` for plain HTTP.
    pub tls: Option<Arc<ArcSwap<ServerConfig>>>,
    /// What decides.
    pub snapshots: SnapshotReader,
    /// Verified tokens.
    pub verifier: Verifier,
    /// Who fetches keys of issuers.
    pub jwks: JwksHandle,
    /// The keys that sign.
    pub keys: SessionKeys,
    /// Where attempts are recorded; nobody else's.
    pub events: EventAppender,
    /// Looks for attacks.
    pub watch: Watch,
    /// Becomes true when the process is to end.
    pub drain: watch::Receiver<bool>,
}

impl Sts {
    /// Serves until told to drain, then until the last connection ends or the time is over. Takes the
    /// calling thread, and lowers its priority.
    ///
    /// # Errors
    /// The runtime can't be made, or the socket not be watched.
    pub fn run(self) -> io::Result<()> {
        // Sessions last long, requests don't. Of this thread alone, as Linux has it.
        let _ = rustix::process::setpriority_process(None, NICE);
        let runtime =
            Builder::new_current_thread().enable_all().build_local(LocalOptions::default())?;
        runtime.block_on(self.serve())
    }

    async fn serve(self) -> io::Result<()> {
        let Self { listener, tls, snapshots, verifier, jwks, keys, events, watch, drain } = self;
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        let desk = Desk::new(&snapshots, &verifier, keys, events, watch);
        let service = Rc::new(Service::new(desk, jwks));
        let mut connections = JoinSet::new();
        let refused = Rc::new(Cell::new(0));
        let mut drained = drain.clone();
        loop {
            let accepted = tokio::select! {
                // An error means that the sender is gone, and with it the process's reason to run.
                _ = drained.wait_for(|drain| *drain) => break,
                Some(_) = connections.join_next() => continue,
                accepted = listener.accept() => accepted,
            };
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of descriptors, mostly: others must close before it helps to go on.
                    tracing::warn!(%error, "a connection to the token service could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            if CONNECTIONS_MAX <= connections.len() {
                if tls.is_none() && refused.get() < REFUSALS_MAX {
                    tokio::task::spawn_local(refuse(stream, Counted::new(&refused)));
                }
                continue;
            }
            let tls = tls.as_ref().map(|tls| tls.load_full());
            let served = connection(Rc::clone(&service), stream, peer, tls, drain.clone());
            connections.spawn_local(served);
        }
        drop(listener);
        let ended = async { while connections.join_next().await.is_some() {} };
        if tokio::time::timeout(service.drain_timeout(), ended).await.is_err() {
            tracing::warn!("the drain timeout is over, closing what still runs");
        }
        Ok(())
    }
}

impl fmt::Debug for Sts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sts").field("listener", &self.listener).finish_non_exhaustive()
    }
}

async fn connection(
    service: Rc<Service>,
    stream: TcpStream,
    peer: SocketAddr,
    tls: Option<Arc<ServerConfig>>,
    drain: watch::Receiver<bool>,
) {
    // What can't be set is slower, not wrong.
    let _ = stream.set_nodelay(true);
    let address = ClientAddress::of_peer(peer.ip().to_canonical());
    let Some(tls) = tls else {
        let peer = Peer { address, protocol: Protocol::Http };
        return serve_http(service, stream, peer, drain).await;
    };
    let handshake = TlsAcceptor::from(http1_alone(tls)).accept(stream);
    if let Ok(Ok(stream)) = tokio::time::timeout(HEADER_TIMEOUT, handshake).await {
        serve_http(service, stream, Peer { address, protocol: Protocol::Https }, drain).await;
    }
}

async fn serve_http(
    service: Rc<Service>,
    stream: impl AsyncRead + AsyncWrite + Unpin + 'static,
    peer: Peer,
    mut drain: watch::Receiver<bool>,
) {
    let begun = Rc::new(Cell::new(SystemClock.tick()));
    let (peer, last) = (Rc::new(peer), Rc::clone(&begun));
    let respond = service_fn(move |request| {
        let (service, peer) = (Rc::clone(&service), Rc::clone(&peer));
        begun.set(SystemClock.tick());
        async move { Ok::<_, Infallible>(service.answer(&peer, request).await) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_header_size(HEADER_BYTES_MAX)
        .max_buf_size(HEADER_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), respond);
    let mut served = std::pin::pin!(served);
    tokio::select! {
        _ = served.as_mut() => return,
        () = stalled(&last) => return,
        _ = drain.wait_for(|drain| *drain) => served.as_mut().graceful_shutdown(),
    }
    let _ = served.await;
}

/// Waits until a connection's last request began so long ago that its client takes no answer.
async fn stalled(begun: &Cell<Instant>) {
    while begun.get().elapsed() < STALL_MAX {
        tokio::time::sleep_until((begun.get() + STALL_MAX).into()).await;
    }
}

/// The clients of this service speak HTTP/1.1; the shared files offer more.
fn http1_alone(tls: Arc<ServerConfig>) -> Arc<ServerConfig> {
    let mut config = Arc::unwrap_or_clone(tls);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Arc::new(config)
}

/// Tells a client that there are too many, and closes; its request is not waited for.
async fn refuse(mut stream: TcpStream, _counted: Counted) {
    let told = async {
        stream.write_all(OVERLOADED).await?;
        stream.shutdown().await?;
        // What the client has sent must be read, or the reset would overtake the answer.
        let mut unread = [0; 1024];
        while stream.read(&mut unread).await? > 0 {}
        io::Result::Ok(())
    };
    // Whether the client still hears it makes no difference here.
    let _ = tokio::time::timeout(HEADER_TIMEOUT, told).await;
}

/// One of those that are counted together, until it is dropped.
struct Counted(Rc<Cell<usize>>);

impl Counted {
    fn new(count: &Rc<Cell<usize>>) -> Self {
        count.set(count.get() + 1);
        Self(Rc::clone(count))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(1));
    }
}

/// Connections at once. A head and a body each, at most 96 MiB, and as many refusals that wait.
const CONNECTIONS_MAX: usize = 1024;

/// Clients that are told at once that there are too many; beyond these, closing must do.
const REFUSALS_MAX: usize = 128;

/// How long a TLS handshake, a head, or the pause before it may take.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// A bearer token of 16 KiB and other fields.
const HEADER_BYTES_MAX: usize = 32 * 1024;

/// No request takes so long, so its client does not take the answer.
const STALL_MAX: Duration = Duration::from_mins(2);
const _: () = assert!(
    2 * BLOCK_MAX.as_secs()
        + BODY_TIMEOUT.as_secs()
        + KEY_WAIT_MAX.as_secs()
        + HEADER_TIMEOUT.as_secs()
        < STALL_MAX.as_secs()
);

const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

const NICE: i32 = 10;

const OVERLOADED: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\n\
    connection: close\r\ncontent-length: 0\r\n\r\n";
