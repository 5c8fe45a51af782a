//! Who gets events besides the log: NATS, OTLP, HTTP, standard output.
//!
//! Flows in: the log's lines, as they stand there. Flows out: deliveries, and how far each sink is
//! (`cursor`). The log is the buffer: what can't be delivered stays there and in no memory, so a
//! sink that fails for days costs nothing but its lag. Requests don't know that sinks exist.

use std::future::Future;
use std::time::Duration;

use bytes::Bytes;

mod backoff;
mod client;
mod cursor;
mod feed;
mod fleet;
mod grpc;
mod http;
mod nats;
mod otlp;
mod record;
mod shipper;
mod stdout;
mod troubles;

pub(crate) use client::{USER_AGENT, system_client};
pub use cursor::{Cursor, CursorError, LastEvent, cursors};
pub use shipper::{Shipper, ShipperError};

use crate::event::log::{Position, SinkPositions};
use crate::event::{EventsConfig, StartAt};

/// How far the sinks of a log are, as their cursors say: for retention, before anything runs.
pub fn positions(events: &EventsConfig) -> SinkPositions {
    let positions = SinkPositions::default();
    for spec in &events.sinks {
        match cursor::peek(&events.directory, &spec.name) {
            Some(cursor) => positions.set(&spec.name, &cursor.position),
            // Who starts with what comes next misses nothing.
            None if spec.from == StartAt::Now => {}
            None => positions.set(&spec.name, &Position::default()),
        }
    }
    positions
}

/// A receiver of batches.
trait Sink: Send + 'static {
    /// Delivers lines. What is done stands in `progress` at any moment, so that an attempt that
    /// fails or is cut off does not begin at the first line again.
    ///
    /// # Errors
    /// Not all lines are delivered; the error tells what to do with the others.
    fn deliver(
        &mut self,
        lines: &Lines,
        progress: &mut Progress,
    ) -> impl Future<Output = Result<(), SinkError>> + Send;

    /// Forgets connections, after an attempt that failed or was cut off.
    fn reset(&mut self);
}

/// Why lines were not delivered, and what to do with them. Texts name no login, header or body.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum SinkError {
    /// Try again.
    #[error("{reason}")]
    Later {
        /// What happened.
        reason: String,
        /// Not before this time.
        after: Option<Duration>,
    },
    /// Never: the receiver will not take these lines.
    #[error("{reason}")]
    Never {
        /// What happened.
        reason: String,
    },
    /// Try again with fewer at once; a single event that is too large will never be taken.
    #[error("{reason}")]
    TooLarge {
        /// What happened.
        reason: String,
    },
    /// Try again with fewer at once, if there are several.
    #[error("{reason}")]
    TooSlow {
        /// What happened.
        reason: String,
    },
}

impl SinkError {
    fn later(reason: impl Into<String>) -> Self {
        Self::Later { reason: reason.into(), after: None }
    }

    fn never(reason: impl Into<String>) -> Self {
        Self::Never { reason: reason.into() }
    }
}

/// Whole lines of the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Lines {
    bytes: Bytes,
    events: u64,
}

/// How many of an attempt's lines are done with, from the first on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Progress {
    bytes: usize,
    delivered: u64,
    rejected: u64,
}

impl Lines {
    fn new(bytes: Bytes) -> Self {
        let events = memchr::memchr_iter(b'\n', &bytes).count();
        Self { bytes, events: u64::try_from(events).unwrap_or(u64::MAX) }
    }

    fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The lines one by one, without their newlines; they share the bytes.
    fn iter(&self) -> impl Iterator<Item = Bytes> {
        let mut rest = self.bytes.clone();
        std::iter::from_fn(move || {
            let newline = memchr::memchr(b'\n', &rest)?;
            let line = rest.split_to(newline + 1);
            Some(line.slice(..newline))
        })
    }

    /// The first of the lines, within limits, but for one line at least.
    fn head(&self, events_max: u64, bytes_max: usize) -> Self {
        let mut end = 0;
        let mut events = 0;
        for newline in memchr::memchr_iter(b'\n', &self.bytes) {
            if 0 < events && (events_max <= events || bytes_max <= newline) {
                break;
            }
            end = newline + 1;
            events += 1;
        }
        Self { bytes: self.bytes.slice(..end), events }
    }

    /// Takes the first lines away.
    fn advance(&mut self, progress: Progress) {
        let _ = self.bytes.split_to(progress.bytes.min(self.bytes.len()));
        self.events = self.events.saturating_sub(progress.delivered + progress.rejected);
    }
}

impl Progress {
    fn deliver(&mut self, lines: &Lines) {
        self.bytes += lines.bytes.len();
        self.delivered += lines.events;
    }

    fn deliver_line(&mut self, line: &[u8]) {
        self.bytes += line.len() + 1;
        self.delivered += 1;
    }

    fn reject_line(&mut self, line: &[u8]) {
        self.bytes += line.len() + 1;
        self.rejected += 1;
    }
}

/// An error with its causes, which say what a client's error means.
pub(crate) fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(deeper) = cause {
        let told = deeper.to_string();
        if !text.ends_with(&told) {
            text.push_str(": ");
            text.push_str(&told);
        }
        cause = deeper.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut_at_limits_and_one_goes_always() {
        let lines = Lines::new(Bytes::from_static(b"aaa\nbb\nc\n"));
        assert_eq!(lines.events, 3);
        let texts: Vec<_> = lines.iter().collect();
        assert_eq!(texts, ["aaa", "bb", "c"]);
        for (events_max, bytes_max, expected) in [
            (1, 100, "aaa\n"),
            (2, 100, "aaa\nbb\n"),
            (9, 7, "aaa\nbb\n"),
            (9, 6, "aaa\n"),
            (9, 1, "aaa\n"),
            (0, 0, "aaa\n"),
            (9, 9, "aaa\nbb\nc\n"),
        ] {
            let head = lines.head(events_max, bytes_max);
            assert_eq!(head.bytes, expected, "{events_max} {bytes_max}");
            assert_eq!(head, Lines::new(head.bytes.clone()));
        }
    }

    #[test]
    fn what_is_done_is_taken_away() {
        let mut lines = Lines::new(Bytes::from_static(b"aaa\nbb\nc\n"));
        let mut progress = Progress::default();
        progress.deliver_line(b"aaa");
        progress.reject_line(b"bb");
        lines.advance(progress);
        assert_eq!(lines, Lines::new(Bytes::from_static(b"c\n")));
        progress.deliver(&lines);
        assert_eq!(progress, Progress { bytes: 9, delivered: 2, rejected: 1 });
    }
}
