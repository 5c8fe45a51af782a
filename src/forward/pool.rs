//! Keep-alive connections of one worker to the upstreams.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use foldhash::fast::RandomState;
use http::Uri;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::clock::SystemClock;
use crate::forward::UpstreamError;
use crate::forward::body::RequestBody;
use crate::telemetry::{ConnectionSide, OpenConnection};

/// One worker's connections, by endpoint. Belongs to a thread.
#[derive(Debug, Default)]
pub(super) struct Pool {
    idle: RefCell<HashMap<Uri, Vec<Idle>, RandomState>>,
}

#[derive(Debug)]
struct Idle {
    sender: SendRequest<RequestBody>,
    since: Instant,
}

/// A connection in use. Released, it serves the next request; dropped, it closes.
#[derive(Debug)]
pub(super) struct Lease {
    pool: Rc<Pool>,
    endpoint: Uri,
    /// The connection.
    pub(super) sender: SendRequest<RequestBody>,
    /// Whether it served a request before.
    pub(super) age: LeaseAge,
}

/// Whether a connection is new or served before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LeaseAge {
    /// It has served before, so the upstream may just be closing it.
    Kept,
    /// It was made for this request.
    New,
}

impl Pool {
    /// A kept connection that can take a request at once.
    pub(super) fn kept(self: &Rc<Self>, endpoint: &Uri) -> Option<Lease> {
        let mut idle = self.idle.borrow_mut();
        let kept = idle.get_mut(endpoint)?;
        let mut look = kept.len();
        // The newest first: the others may grow old and close.
        for _ in 0..LOOKS_MAX {
            look = look.checked_sub(1)?;
            if kept.get(look)?.sender.is_ready() {
                let Idle { sender, .. } = kept.swap_remove(look);
                let age = LeaseAge::Kept;
                return Some(Lease {
                    pool: Rc::clone(self),
                    endpoint: endpoint.clone(),
                    sender,
                    age,
                });
            }
            if kept.get(look)?.sender.is_closed() {
                kept.swap_remove(look);
            }
        }
        None
    }

    /// A new connection.
    ///
    /// # Errors
    /// The endpoint refuses, or does not answer within the timeout.
    pub(super) async fn connect(
        self: &Rc<Self>,
        endpoint: &Uri,
        tls: &TlsConnector,
        timeout: Duration,
    ) -> Result<Lease, UpstreamError> {
        let sender = tokio::time::timeout(timeout, open(endpoint, tls))
            .await
            .map_err(|_| UpstreamError::ConnectTimeout)??;
        let age = LeaseAge::New;
        Ok(Lease { pool: Rc::clone(self), endpoint: endpoint.clone(), sender, age })
    }

    /// Closes connections that nobody used for a while, as upstreams do.
    pub(super) async fn sweep(self: Rc<Self>) {
        let mut ticks = tokio::time::interval(IDLE_MAX / 4);
        loop {
            ticks.tick().await;
            let now = SystemClock.tick();
            self.idle.borrow_mut().retain(|_, kept| {
                kept.retain(|idle| {
                    !idle.sender.is_closed() && now.duration_since(idle.since) < IDLE_MAX
                });
                !kept.is_empty()
            });
        }
    }
}

impl Lease {
    /// Gives the connection back for the next request.
    pub(super) fn release(self) {
        if self.sender.is_closed() {
            return;
        }
        let idle = Idle { sender: self.sender, since: SystemClock.tick() };
        let mut all = self.pool.idle.borrow_mut();
        if let Some(kept) = all.get_mut(&self.endpoint) {
            if kept.len() < IDLE_CONNECTIONS_MAX {
                kept.push(idle);
            }
        } else {
            all.insert(self.endpoint, vec![idle]);
        }
    }
}

async fn open(
    endpoint: &Uri,
    tls: &TlsConnector,
) -> Result<SendRequest<RequestBody>, UpstreamError> {
    let https = endpoint.scheme_str() == Some("https");
    let host = endpoint.host().unwrap_or_default();
    let bare_host = host.trim_start_matches('[').trim_end_matches(']');
    let port = endpoint.port_u16().unwrap_or(if https { 443 } else { 80 });
    let stream = TcpStream::connect((bare_host, port)).await.map_err(UpstreamError::Connect)?;
    stream.set_nodelay(true).map_err(UpstreamError::Connect)?;
    if !https {
        return handshake(stream).await;
    }
    let name = rustls::pki_types::ServerName::try_from(bare_host.to_owned())
        .map_err(|error| UpstreamError::Connect(std::io::Error::other(error)))?;
    let stream = tls.connect(name, stream).await.map_err(UpstreamError::Connect)?;
    handshake(stream).await
}

async fn handshake(
    stream: impl AsyncRead + AsyncWrite + Unpin + 'static,
) -> Result<SendRequest<RequestBody>, UpstreamError> {
    let (sender, connection) = http1::Builder::new()
        .handshake(TokioIo::new(stream))
        .await
        .map_err(UpstreamError::Exchange)?;
    let open = OpenConnection::new(ConnectionSide::Upstream);
    tokio::task::spawn_local(async move {
        // The error, if any, reaches the request that the connection served.
        let _ = connection.await;
        drop(open);
    });
    Ok(sender)
}

/// Shorter than the keep-alive of common servers, so that they seldom close first.
const IDLE_MAX: Duration = Duration::from_secs(30);

/// Kept connections per endpoint and worker.
const IDLE_CONNECTIONS_MAX: usize = 1024;

/// A connection that just answered may not be ready yet; beyond a few, connecting is cheaper.
const LOOKS_MAX: usize = 8;
