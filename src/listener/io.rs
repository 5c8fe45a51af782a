//! A client's stream with its progress on show, so that one place can tell a pause from work.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What one connection is doing.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// Bytes that the client sent.
    pub(super) read_bytes: Cell<u64>,
    /// Bytes that the client took.
    pub(super) written_bytes: Cell<u64>,
    /// Whether the client is not taking what is to be written.
    pub(super) write_blocked: Cell<bool>,
    /// Requests whose response is not yet written.
    pub(super) in_flight: Cell<usize>,
    /// Requests that began.
    pub(super) begun: Cell<u64>,
    /// Whether the client may be sending what nobody reads: an answer came before the end of
    /// the head or the body.
    pub(super) unread: Cell<bool>,
    /// Whether the answer is out and what the client still sends is thrown away.
    pub(super) lingering: Cell<bool>,
}

/// A stream that keeps its [`Progress`].
#[derive(Debug)]
pub(super) struct Metered<T> {
    stream: T,
    progress: Rc<Progress>,
}

/// One request in flight, until dropped.
#[derive(Debug)]
pub(super) struct InFlight(Rc<Progress>);

impl<T> Metered<T> {
    pub(super) fn new(stream: T, progress: Rc<Progress>) -> Self {
        Self { stream, progress }
    }
}

impl InFlight {
    pub(super) fn new(progress: &Rc<Progress>) -> Self {
        progress.in_flight.set(progress.in_flight.get() + 1);
        progress.begun.set(progress.begun.get().wrapping_add(1));
        Self(Rc::clone(progress))
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.set(self.0.in_flight.get().saturating_sub(1));
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Metered<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buffer);
        let read = buffer.filled().len().saturating_sub(before);
        add(&self.progress.read_bytes, read);
        polled
    }
}

impl<T: AsyncWrite + Unpin> Metered<T> {
    fn wrote(&self, polled: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        self.progress.write_blocked.set(polled.is_pending());
        if let Poll::Ready(Ok(written)) = &polled {
            add(&self.progress.written_bytes, *written);
        }
        polled
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Metered<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.wrote(polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.wrote(polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.progress.lingering.get() {
            ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
            if !self.progress.unread.get() || self.progress.read_bytes.get() == 0 {
                return Poll::Ready(Ok(()));
            }
            self.progress.lingering.set(true);
        }
        // Closed with bytes unread, the connection is reset, and the client's next write fails
        // before it has read the answer.
        let mut scratch = [0; LINGER_BYTES];
        loop {
            let mut buffer = ReadBuf::new(&mut scratch);
            match ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer)) {
                Ok(()) if !buffer.filled().is_empty() => {}
                Ok(()) | Err(_) => return Poll::Ready(Ok(())),
            }
        }
    }
}

fn add(counter: &Cell<u64>, bytes: usize) {
    counter.set(counter.get().wrapping_add(u64::try_from(bytes).unwrap_or(u64::MAX)));
}

/// How much is thrown away at once.
const LINGER_BYTES: usize = 4096;
