//! Bodies on their way through: streamed frame by frame, never buffered, never silent for too long.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};

use crate::alarm::{Alarm, Alarms};
use crate::forward::pool::Lease;

/// Why a body ended before its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BodyError {
    /// The peer sent nothing for the idle timeout.
    #[error("the body paused for too long")]
    Idle,
    /// The peer failed.
    #[error("the body broke off")]
    Broken(#[source] hyper::Error),
}

/// A client's body on its way to the upstream. Trailers are dropped: they could carry headers that
/// were never checked.
#[derive(Debug)]
pub struct RequestBody {
    incoming: Option<Incoming>,
    idle: Idle,
    sent: Rc<Progress>,
}

/// When the last part of a request went to the upstream; its response timeout runs from there.
#[derive(Debug, Default)]
pub(super) struct Progress {
    frames: Cell<u64>,
    awaits_client: Cell<bool>,
}

/// An upstream's body on its way to the client. Its connection goes back to the pool at its end.
#[derive(Debug)]
pub struct UpstreamBody {
    incoming: Incoming,
    idle: Idle,
    lease: Option<Lease>,
}

/// Notices a pause between frames; costs nothing while frames flow.
#[derive(Debug)]
struct Idle {
    alarms: Rc<Alarms>,
    timeout: Duration,
    alarm: Option<Alarm>,
}

impl Progress {
    /// How many frames were taken so far.
    pub(super) fn frames(&self) -> u64 {
        self.frames.get()
    }

    /// Whether the next part is the client's to send: its own timeout bounds that.
    pub(super) fn awaits_client(&self) -> bool {
        self.awaits_client.get()
    }
}

impl RequestBody {
    pub(super) fn new(
        incoming: Incoming,
        alarms: &Rc<Alarms>,
        timeout: Duration,
        sent: Rc<Progress>,
    ) -> Self {
        let incoming = (!incoming.is_end_stream()).then_some(incoming);
        Self { incoming, idle: Idle::new(alarms, timeout), sent }
    }

    /// A body of no bytes.
    pub(super) fn empty(alarms: &Rc<Alarms>) -> Self {
        Self { incoming: None, idle: Idle::new(alarms, Duration::ZERO), sent: Rc::default() }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        let Some(incoming) = &mut this.incoming else { return Poll::Ready(None) };
        loop {
            let polled = this.idle.poll_frame(incoming, cx);
            this.sent.awaits_client.set(polled.is_pending());
            let frame = ready!(polled);
            this.sent.frames.set(this.sent.frames.get().wrapping_add(1));
            match frame {
                Some(Ok(frame)) if frame.is_trailers() => {}
                frame => return Poll::Ready(frame),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl UpstreamBody {
    pub(super) fn new(
        incoming: Incoming,
        alarms: &Rc<Alarms>,
        timeout: Duration,
        lease: Lease,
    ) -> Self {
        let mut body = Self { incoming, idle: Idle::new(alarms, timeout), lease: Some(lease) };
        body.release_at_end();
        body
    }

    fn release_at_end(&mut self) {
        if self.incoming.is_end_stream()
            && let Some(lease) = self.lease.take()
        {
            lease.release();
        }
    }
}

impl Body for UpstreamBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        let frame = ready!(this.idle.poll_frame(&mut this.incoming, cx));
        match &frame {
            Some(Ok(_)) => this.release_at_end(),
            Some(Err(_)) => this.lease = None,
            None => {
                if let Some(lease) = this.lease.take() {
                    lease.release();
                }
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

impl Idle {
    fn new(alarms: &Rc<Alarms>, timeout: Duration) -> Self {
        Self { alarms: Rc::clone(alarms), timeout, alarm: None }
    }

    fn poll_frame(
        &mut self,
        incoming: &mut Incoming,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match Pin::new(incoming).poll_frame(cx) {
            Poll::Ready(frame) => {
                if let Some(alarm) = &self.alarm {
                    alarm.set(self.timeout);
                }
                Poll::Ready(frame.map(|frame| frame.map_err(BodyError::Broken)))
            }
            Poll::Pending => {
                let alarm = self.alarm.get_or_insert_with(|| {
                    let alarm = self.alarms.alarm();
                    alarm.set(self.timeout);
                    alarm
                });
                ready!(alarm.poll(cx));
                Poll::Ready(Some(Err(BodyError::Idle)))
            }
        }
    }
}
