//! One client connection, from accept to close: HTTP/1.1 or HTTP/2, and the ends of all waits.

use std::cell::Cell;
use std::convert::Infallible;
use std::fmt::Write as _;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Collected};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use uuid::Uuid;

use crate::alarm::{Alarm, Alarms};
use crate::forward::{BodyError, ClientAddress, DECISION_HEADER, Protocol};
use crate::listener::io::{InFlight, Metered, Progress};
use crate::proxy::{Peer, Proxy, Rejection, ResponseBody};
use crate::route::Limits;
use crate::telemetry;
use crate::verdict::Outcome;

/// What every connection of a worker shares.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) proxy: Proxy,
    pub(super) alarms: Rc<Alarms>,
    /// Set once the process is to end: connections finish what runs and close.
    pub(super) draining: Cell<bool>,
    /// Told when that is set.
    pub(super) drain_began: Notify,
}

impl Shared {
    /// Awaits a new connection's first step; once the process is to end, only for a moment.
    pub(super) async fn first_step<T>(
        &self,
        timeout: Duration,
        step: impl Future<Output = T>,
    ) -> Option<T> {
        let mut step = pin!(tokio::time::timeout(timeout, step));
        let drain = async {
            let began = self.drain_began.notified();
            if !self.draining.get() {
                began.await;
            }
        };
        tokio::select! {
            biased;
            done = &mut step => done.ok(),
            () = drain => tokio::time::timeout(DRAIN_GRACE, step).await.ok()?.ok(),
        }
    }
}

/// Serves one accepted stream, after TLS if there is any.
pub(super) async fn serve(
    shared: Rc<Shared>,
    stream: impl AsyncRead + AsyncWrite + Unpin + 'static,
    address: SocketAddr,
    protocol: Protocol,
    version: HttpVersion,
) {
    let view = shared.proxy.view();
    let limits = view.snapshot().edge.limits.clone();
    drop(view);
    let peer =
        Rc::new(Peer { address: ClientAddress::of_peer(address.ip().to_canonical()), protocol });
    let progress = Rc::new(Progress::default());
    progress.unread.set(version == HttpVersion::Http1);
    let io = TokioIo::new(Metered::new(stream, Rc::clone(&progress)));
    let service = {
        let (shared, progress) = (Rc::clone(&shared), Rc::clone(&progress));
        service_fn(move |request: Request<Incoming>| {
            let (shared, peer) = (Rc::clone(&shared), Rc::clone(&peer));
            let in_flight = InFlight::new(&progress);
            let progress = Rc::clone(&progress);
            let has_body = version == HttpVersion::Http1 && !request.body().is_end_stream();
            async move {
                let response = shared.proxy.handle(&peer, request).await;
                let is_refused = matches!(response.body(), ResponseBody::Problem(_));
                progress.unread.set(has_body && is_refused);
                let stall = STALL.try_with(Rc::clone).ok();
                let tracked = |body| Tracked { body, stall, _in_flight: in_flight };
                Ok::<_, Infallible>(response.map(tracked))
            }
        })
    };
    let watch = Watch::new(&shared, progress, &limits, version);
    match version {
        HttpVersion::Http1 => {
            drive(http1_builder(&limits).serve_connection(io, service), watch, &shared).await;
        }
        HttpVersion::Http2 => {
            let executor = StreamExecutor {
                alarms: Rc::clone(&shared.alarms),
                body_idle_timeout: limits.body_idle_timeout,
            };
            let builder = http2_builder(&limits, executor);
            drive(builder.serve_connection(io, service), watch, &shared).await;
        }
    }
}

/// Which protocol a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HttpVersion {
    Http1,
    Http2,
}

/// Tells HTTP/2 with prior knowledge from HTTP/1.1 by its first bytes (RFC 9113 section 3.4).
///
/// # Errors
/// The connection failed.
pub(super) async fn sniff(stream: &TcpStream) -> io::Result<HttpVersion> {
    let mut first = [0; HTTP2_START.len()];
    let mut pause = SNIFF_PAUSE;
    loop {
        let peeked = stream.peek(&mut first).await?;
        let seen = first.get(..peeked).unwrap_or_default();
        if seen.is_empty() || !HTTP2_START.starts_with(seen) {
            return Ok(HttpVersion::Http1);
        }
        if peeked == HTTP2_START.len() {
            return Ok(HttpVersion::Http2);
        }
        // The bytes stay unread, so the socket stays readable: wait a little for more, then
        // longer, or clients that never send it would keep the worker busy.
        tokio::time::sleep(pause).await;
        pause = pause.saturating_mul(2).min(SNIFF_PAUSE_MAX);
    }
}

/// Tells a client that there are too many, and closes; its request is not waited for.
pub(super) async fn refuse(mut stream: TcpStream, timeout: Duration) {
    telemetry::request_without_route(Outcome::Overloaded);
    let id = Uuid::now_v7().hyphenated().to_string();
    let (head, body) = Rejection::Overloaded.response(&id).into_parts();
    let mut answer = format!("HTTP/1.1 {}\r\n{DECISION_HEADER}: {id}\r\n", head.status);
    for (name, value) in &head.headers {
        let _ = write!(answer, "{name}: {}\r\n", value.to_str().unwrap_or_default());
    }
    let told = async {
        let body = body.collect().await.map(Collected::to_bytes).unwrap_or_default();
        let _ = write!(answer, "content-length: {}\r\n\r\n", body.len());
        stream.write_all(answer.as_bytes()).await?;
        stream.write_all(&body).await?;
        stream.shutdown().await?;
        // What the client has sent must be read, or the reset would overtake the answer.
        let mut unread = [0; 1024];
        while stream.read(&mut unread).await? > 0 {}
        io::Result::Ok(())
    };
    // Whether the client still hears it makes no difference here.
    let _ = tokio::time::timeout(timeout, told).await;
}

fn http1_builder(limits: &Limits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .header_read_timeout(None)
        .max_header_size(limits.header_bytes)
        .max_buf_size(limits.header_bytes.max(HTTP1_BUFFER_BYTES_MIN));
    if limits.headers != HTTP1_HEADERS_DEFAULT {
        builder.max_headers(limits.headers);
    }
    builder
}

fn http2_builder(limits: &Limits, executor: StreamExecutor) -> http2::Builder<StreamExecutor> {
    let mut builder = http2::Builder::new(executor);
    builder
        .timer(TokioTimer::new())
        .max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX))
        .max_concurrent_streams(HTTP2_STREAMS_MAX)
        .max_pending_accept_reset_streams(HTTP2_RESETS_MAX)
        .max_local_error_reset_streams(HTTP2_RESETS_MAX)
        .keep_alive_interval(HTTP2_PING_INTERVAL)
        .keep_alive_timeout(limits.header_timeout);
    builder
}

/// A connection that can be told to finish.
trait Graceful: Future {
    fn finish(self: Pin<&mut Self>);
}

impl<I, S> Graceful for http1::Connection<I, S>
where
    I: hyper::rt::Read + hyper::rt::Write + Unpin + 'static,
    S: hyper::service::HttpService<Incoming, ResBody = Tracked>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    fn finish(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

impl<I, S> Graceful for http2::Connection<I, S, StreamExecutor>
where
    I: hyper::rt::Read + hyper::rt::Write + Unpin + 'static,
    S: hyper::service::HttpService<Incoming, ResBody = Tracked>,
    S::Future: 'static,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    fn finish(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

/// Runs a connection to its end: its own, that of a wait, or that of the process.
async fn drive(connection: impl Graceful, mut watch: Watch, shared: &Shared) {
    let mut connection = pin!(connection);
    let mut told = false;
    poll_fn(|cx| {
        if shared.draining.get() && !told {
            told = true;
            connection.as_mut().finish();
            watch.hurry();
        }
        if connection.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        watch.look();
        while watch.alarm.poll(cx).is_ready() {
            if watch.phase != Phase::Idle || told {
                return Poll::Ready(());
            }
            // A client at rest is told before it is cut off, so that it loses no request.
            told = true;
            connection.as_mut().finish();
            watch.alarm.set(watch.header_timeout);
            if connection.as_mut().poll(cx).is_ready() {
                return Poll::Ready(());
            }
        }
        Poll::Pending
    })
    .await;
}

/// Bounds every wait of one connection by what it is doing.
#[derive(Debug)]
struct Watch {
    alarm: Alarm,
    progress: Rc<Progress>,
    header_timeout: Duration,
    body_idle_timeout: Duration,
    version: HttpVersion,
    phase: Phase,
    // The client's bytes when the last request began: all bytes after belong to the next head.
    settled_bytes: u64,
    begun: u64,
}

/// What a connection is doing, as far as waits go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// It was just accepted.
    New,
    /// A head has begun and not ended.
    Head,
    /// A request is being answered; other timeouts bound that.
    Busy,
    /// A response waits for the client to take it; with the bytes that it took so far.
    Blocked(u64),
    /// Nothing.
    Idle,
    /// The last answer is out, and what the client still sends is thrown away.
    Lingering,
}

impl Watch {
    fn new(shared: &Shared, progress: Rc<Progress>, limits: &Limits, version: HttpVersion) -> Self {
        let alarm = shared.alarms.alarm();
        alarm.set(limits.header_timeout);
        Self {
            alarm,
            progress,
            header_timeout: limits.header_timeout,
            body_idle_timeout: limits.body_idle_timeout,
            version,
            phase: Phase::New,
            settled_bytes: 0,
            begun: 0,
        }
    }

    /// Sets the alarm if the phase has changed.
    fn look(&mut self) {
        let phase = self.phase_now();
        if phase == self.phase {
            return;
        }
        self.phase = phase;
        match phase {
            Phase::New | Phase::Head => self.alarm.set(self.header_timeout),
            Phase::Busy => self.alarm.clear(),
            Phase::Blocked(_) => self.alarm.set(self.body_idle_timeout),
            Phase::Idle => self.alarm.set(KEEP_ALIVE_IDLE),
            Phase::Lingering => self.alarm.set(LINGER_MAX),
        }
    }

    /// The process is to end: a client that has sent nothing yet has a moment left.
    fn hurry(&mut self) {
        if self.phase == Phase::New && self.progress.read_bytes.get() == 0 {
            self.alarm.set(DRAIN_GRACE);
        }
    }

    fn phase_now(&mut self) -> Phase {
        let progress = &self.progress;
        if progress.lingering.get() {
            return Phase::Lingering;
        }
        let begun = progress.begun.get();
        if begun != self.begun || progress.in_flight.get() > 0 {
            self.begun = begun;
            self.settled_bytes = progress.read_bytes.get();
        }
        if progress.write_blocked.get() {
            return Phase::Blocked(progress.written_bytes.get());
        }
        if progress.in_flight.get() > 0 {
            return Phase::Busy;
        }
        let new_bytes = progress.read_bytes.get() != self.settled_bytes;
        match self.version {
            HttpVersion::Http1 if new_bytes => Phase::Head,
            // HTTP/2 has frames besides requests; its own limits bound them.
            HttpVersion::Http1 | HttpVersion::Http2 if begun == 0 => Phase::New,
            HttpVersion::Http1 | HttpVersion::Http2 => Phase::Idle,
        }
    }
}

/// A response's body that keeps its request in flight until it is written.
#[derive(Debug)]
struct Tracked {
    body: ResponseBody,
    // HTTP/2 only: one stream may wait for its client while the connection works.
    stall: Option<Rc<Stall>>,
    _in_flight: InFlight,
}

impl Body for Tracked {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Some(stall) = &self.stall {
            stall.ended();
        }
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if let (Some(stall), Poll::Ready(Some(Ok(_)))) = (&self.stall, &polled) {
            stall.began();
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The time that one HTTP/2 stream's client takes for a part of the response.
#[derive(Debug)]
struct Stall {
    alarm: Alarm,
    timeout: Duration,
}

impl Stall {
    fn began(&self) {
        self.alarm.set(self.timeout);
    }

    fn ended(&self) {
        self.alarm.clear();
    }
}

tokio::task_local! {
    /// Of the stream that is polled. hyper waits for a stream's window without asking the body, so
    /// that only the stream's own task can end the wait.
    static STALL: Rc<Stall>;
}

/// Spawns HTTP/2 streams on the worker's own thread, and resets those whose client takes nothing.
#[derive(Clone, Debug)]
struct StreamExecutor {
    alarms: Rc<Alarms>,
    body_idle_timeout: Duration,
}

impl<F: Future + 'static> hyper::rt::Executor<F> for StreamExecutor {
    fn execute(&self, future: F) {
        let stall = Stall { alarm: self.alarms.alarm(), timeout: self.body_idle_timeout };
        let stall = Rc::new(stall);
        tokio::task::spawn_local(STALL.scope(Rc::clone(&stall), async move {
            let mut future = pin!(future);
            poll_fn(|cx| match future.as_mut().poll(cx) {
                Poll::Ready(_) => Poll::Ready(()),
                Poll::Pending => stall.alarm.poll(cx),
            })
            .await;
        }));
    }
}

/// The start of the HTTP/2 preface; no HTTP/1.1 request line begins so.
const HTTP2_START: &[u8] = b"PRI * HTTP/2";

/// How soon to look again at a client that sent part of a preface.
const SNIFF_PAUSE: Duration = Duration::from_millis(5);
const SNIFF_PAUSE_MAX: Duration = Duration::from_millis(320);

/// How long a new connection may take to send something once the process is to end: what its
/// client sent before must still arrive.
const DRAIN_GRACE: Duration = Duration::from_millis(250);

/// How long a connection may wait for its next request.
const KEEP_ALIVE_IDLE: Duration = Duration::from_secs(75);

/// How long a client may go on sending after its answer before the connection is reset.
const LINGER_MAX: Duration = Duration::from_secs(5);

/// Bodies are read in pieces of at most this size, or of the head's limit if that is larger.
const HTTP1_BUFFER_BYTES_MIN: usize = 64 * 1024;

/// hyper keeps this many fields on the stack; any other limit costs an allocation per request.
const HTTP1_HEADERS_DEFAULT: usize = 100;

/// Requests at once on one HTTP/2 connection.
const HTTP2_STREAMS_MAX: u32 = 256;

/// Streams that a client may reset before they were looked at, and those that it makes us reset,
/// before the connection is closed (CVE-2023-44487, CVE-2025-8671).
const HTTP2_RESETS_MAX: usize = 64;

/// How often a silent HTTP/2 client must show that it lives.
const HTTP2_PING_INTERVAL: Duration = Duration::from_secs(30);
