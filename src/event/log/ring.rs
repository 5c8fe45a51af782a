//! What carries frames from a worker to the writer: a bounded ring of bytes for each worker.
//!
//! A frame takes its sequence number when its room is certain, together with the numbers of the
//! events that its worker lost right before. So the numbers of all rings together have no hole,
//! and the writer can put the rings in one order.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rtrb::{Consumer, Producer, RingBuffer};

use crate::event::frame::{self, EVAL_FRAME_BYTES_MAX, UPDATE_FRAME_BYTES_MAX};
use crate::event::{EvalEvent, UpdateEvent};

/// One worker's way into the log.
pub struct EventAppender {
    ring: Producer<u8>,
    sequence: Arc<AtomicU64>,
    lost: Arc<AtomicU64>,
    /// Events lost since the last frame that had room.
    lost_before: u64,
    /// Header and frame, encoded here first; its room is made once.
    buffer: Vec<u8>,
}

/// What became of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Appended {
    /// It is on its way to the files.
    Queued,
    /// There was no room; it is counted as lost.
    Lost,
}

impl EventAppender {
    /// Appends an evaluation: no allocation, no lock, no system call.
    pub fn append(&mut self, event: &EvalEvent<'_>) -> Appended {
        self.start();
        frame::encode_eval(event, &mut self.buffer);
        self.push()
    }

    pub(super) fn append_update(&mut self, event: &UpdateEvent<'_>) -> Appended {
        self.start();
        frame::encode_update(event, &mut self.buffer);
        self.push()
    }

    fn start(&mut self) {
        self.buffer.clear();
        self.buffer.extend_from_slice(&[0; Header::BYTES]);
    }

    fn push(&mut self) -> Appended {
        // Nobody reads the ring of a log that has ended.
        if self.ring.is_abandoned() {
            return self.lose();
        }
        let Ok(mut room) = self.ring.write_chunk(self.buffer.len()) else {
            return self.lose();
        };
        let first = self.sequence.fetch_add(1 + self.lost_before, Ordering::Relaxed);
        let frame_bytes = u64::try_from(self.buffer.len() - Header::BYTES).unwrap_or(u64::MAX);
        let header = Header { frame_bytes, lost_before: self.lost_before, first };
        if let Some(start) = self.buffer.first_chunk_mut() {
            *start = header.to_bytes();
        }
        let (head, tail) = room.as_mut_slices();
        if let Some((to_head, to_tail)) = self.buffer.split_at_checked(head.len()) {
            head.copy_from_slice(to_head);
            tail.copy_from_slice(to_tail);
        }
        room.commit_all();
        self.lost_before = 0;
        Appended::Queued
    }

    #[cold]
    fn lose(&mut self) -> Appended {
        self.lost_before += 1;
        // Only this worker adds; the writer reads and counts.
        self.lost.fetch_add(1, Ordering::Release);
        Appended::Lost
    }
}

impl fmt::Debug for EventAppender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventAppender")
            .field("lost_before", &self.lost_before)
            .finish_non_exhaustive()
    }
}

/// The writer's end of a ring.
pub(super) struct RingReader {
    ring: Consumer<u8>,
    lost: Arc<AtomicU64>,
    lost_reported: u64,
    head: Option<Header>,
}

/// What stands before a frame in a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    frame_bytes: u64,
    /// How many events the worker lost right before this one.
    pub(super) lost_before: u64,
    /// The number of the first of them, or of this event if there are none.
    pub(super) first: u64,
}

impl RingReader {
    /// The next frame's header, if there is a frame.
    pub(super) fn head(&mut self) -> Option<Header> {
        if self.head.is_none() {
            let chunk = self.ring.read_chunk(Header::BYTES).ok()?;
            let mut bytes = [0; Header::BYTES];
            let (head, tail) = chunk.as_slices();
            let (to_head, to_tail) = bytes.split_at_mut_checked(head.len())?;
            to_head.copy_from_slice(head);
            to_tail.copy_from_slice(tail);
            // Not committed: header and frame leave the ring together.
            self.head = Some(Header::from_bytes(bytes));
        }
        self.head
    }

    /// Takes the next frame out of the ring.
    pub(super) fn take(&mut self, frame: &mut Vec<u8>) -> Option<Header> {
        let header = self.head()?;
        frame.clear();
        let frame_bytes = usize::try_from(header.frame_bytes).ok()?;
        let chunk = self.ring.read_chunk(Header::BYTES + frame_bytes).ok()?;
        let (head, tail) = chunk.as_slices();
        frame.extend_from_slice(head.get(Header::BYTES..).unwrap_or_default());
        let in_tail = Header::BYTES.saturating_sub(head.len());
        frame.extend_from_slice(tail.get(in_tail..).unwrap_or_default());
        chunk.commit_all();
        self.head = None;
        Some(header)
    }

    /// How many events were lost since it was asked last.
    pub(super) fn newly_lost(&mut self) -> u64 {
        let lost = self.lost.load(Ordering::Acquire);
        let new = lost.saturating_sub(self.lost_reported);
        self.lost_reported = lost;
        new
    }
}

impl Header {
    const BYTES: usize = 3 * size_of::<u64>();

    /// The event's own number.
    pub(super) fn sequence(self) -> u64 {
        self.first + self.lost_before
    }

    fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        let words = [self.frame_bytes, self.lost_before, self.first];
        for (slot, word) in bytes.as_chunks_mut().0.iter_mut().zip(words) {
            *slot = word.to_le_bytes();
        }
        bytes
    }

    fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        let mut words = bytes.as_chunks().0.iter().map(|word| u64::from_le_bytes(*word));
        let mut word = || words.next().unwrap_or_default();
        Self { frame_bytes: word(), lost_before: word(), first: word() }
    }
}

/// A ring and its two ends.
pub(super) fn ring(sequence: &Arc<AtomicU64>) -> (EventAppender, RingReader) {
    let (producer, consumer) = RingBuffer::new(RING_BYTES);
    let lost = Arc::new(AtomicU64::new(0));
    let appender = EventAppender {
        ring: producer,
        sequence: Arc::clone(sequence),
        lost: Arc::clone(&lost),
        lost_before: 0,
        buffer: Vec::with_capacity(Header::BYTES + BUFFER_BYTES),
    };
    let reader = RingReader { ring: consumer, lost, lost_reported: 0, head: None };
    (appender, reader)
}

/// The room of one worker's ring: 400 bytes × 10,000 events, 50 ms at 200,000 events a second.
pub const RING_BYTES: usize = 4 * 1024 * 1024;
/// The longest frame of either kind.
const BUFFER_BYTES: usize = if EVAL_FRAME_BYTES_MAX < UPDATE_FRAME_BYTES_MAX {
    UPDATE_FRAME_BYTES_MAX
} else {
    EVAL_FRAME_BYTES_MAX
};
const _: () = assert!(Header::BYTES + BUFFER_BYTES <= RING_BYTES);
