//! A worker's way into the log: events are staged, then all of a request are put in, or none.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use smallvec::SmallVec;

use crate::event::frame::{
    self, ASSUME_FRAME_BYTES_MAX, DETECTION_FRAME_BYTES_MAX, EVAL_FRAME_BYTES_MAX,
};
use crate::event::log::progress::{LogWaiter, Mark, Progress};
use crate::event::log::ring::{Pending, Producer};
use crate::event::{
    AssumeEvent, DetectionEvent, DetectionName, EvalEvent, OnFull, OnFullByDecision, Sync,
    UpdateEvent,
};
use crate::telemetry;
use crate::verdict::Decision;

/// One worker's way into the log. Permits and denials have a ring each, so that no number of
/// permits takes the room of a denial.
pub struct EventAppender {
    rings: ByDecision<Producer>,
    on_full: OnFullByDecision,
    sync: Sync,
    sequence: Arc<AtomicU64>,
    progress: Arc<Progress>,
    /// Events lost since the last frame that had room.
    lost_before: u32,
    staged: SmallVec<[Staged; STAGED_USUAL]>,
    /// The staged payloads, one after the other; its room is made once.
    buffer: Vec<u8>,
}

/// Something for permits and something for denials.
pub(super) struct ByDecision<T> {
    pub(super) permit: T,
    pub(super) deny: T,
}

struct Staged {
    decision: Decision,
    payload: Range<usize>,
}

/// The log can take no more, and the events were not to be lost: none of them is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFull {
    /// The request is to be refused.
    Refuse,
    /// The request is to wait for room.
    Wait,
}

/// What became of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Appended {
    /// All are in the log and outlive the process.
    Logged,
    /// Some had no room and were not worth waiting for; they are counted as lost.
    Lost,
}

impl<T> ByDecision<T> {
    fn get_mut(&mut self, decision: Decision) -> &mut T {
        match decision {
            Decision::Permit => &mut self.permit,
            Decision::Deny => &mut self.deny,
        }
    }
}

impl EventAppender {
    pub(super) fn new(
        rings: ByDecision<Producer>,
        on_full: OnFullByDecision,
        sync: Sync,
        sequence: Arc<AtomicU64>,
        progress: Arc<Progress>,
    ) -> Self {
        let buffer = Vec::with_capacity(STAGED_USUAL * EVAL_FRAME_BYTES_MAX);
        let staged = SmallVec::new();
        Self { rings, on_full, sync, sequence, progress, lost_before: 0, staged, buffer }
    }

    /// Forgets what was staged and not committed.
    pub fn start(&mut self) {
        self.staged.clear();
        self.buffer.clear();
    }

    /// Encodes an evaluation behind what is staged.
    pub fn stage(&mut self, event: &EvalEvent<'_>) {
        let start = self.buffer.len();
        frame::encode_eval(event, &mut self.buffer);
        self.staged_from(start, event.verdict.decision);
    }

    /// Encodes an attempt to begin a session behind what is staged.
    pub fn stage_assume(&mut self, event: &AssumeEvent<'_>) {
        let start = self.buffer.len();
        frame::encode_assume(event, &mut self.buffer);
        self.staged_from(start, event.decision);
    }

    /// Encodes what was noticed behind what is staged. It has the room of denials.
    pub fn stage_detection(&mut self, event: &DetectionEvent<'_>) {
        let start = self.buffer.len();
        frame::encode_detection(event, &mut self.buffer);
        self.staged_from(start, Decision::Deny);
    }

    fn staged_from(&mut self, start: usize, decision: Decision) {
        self.staged.push(Staged { decision, payload: start..self.buffer.len() });
    }

    /// Puts all that is staged into the log: no allocation, no lock, no system call. When it
    /// returns `Ok`, the events outlive the process.
    ///
    /// # Errors
    /// There is no room, and by `on_full` the events may not be lost. Nothing is in the log then.
    pub fn commit(&mut self) -> Result<Appended, LogFull> {
        if self.progress.is_closing() {
            return Ok(self.lose_all());
        }
        let mut lost = 0_u32;
        for decision in [Decision::Permit, Decision::Deny] {
            if self.has_room(decision) {
                continue;
            }
            match (decision, self.on_full.of(decision)) {
                (_, OnFull::Block) => return Err(LogFull::Wait),
                (_, OnFull::RefuseRequests) => return Err(LogFull::Refuse),
                // The writer makes room by dropping the oldest; it was not fast enough.
                (Decision::Permit | Decision::Deny, OnFull::DropOldest) => {
                    let before = self.staged.len();
                    self.staged.retain(|staged| staged.decision != decision);
                    lost += u32::try_from(before - self.staged.len()).unwrap_or(u32::MAX);
                }
            }
        }
        if 0 < lost {
            self.lose(lost);
        }
        self.put();
        Ok(if lost == 0 { Appended::Logged } else { Appended::Lost })
    }

    /// Appends one event on its own.
    ///
    /// # Errors
    /// As [`EventAppender::commit`].
    pub fn append(&mut self, event: &EvalEvent<'_>) -> Result<Appended, LogFull> {
        self.start();
        self.stage(event);
        self.commit()
    }

    pub(super) fn append_update(&mut self, event: &UpdateEvent<'_>) -> Appended {
        self.start();
        frame::encode_update(event, &mut self.buffer);
        self.staged.push(Staged { decision: Decision::Deny, payload: 0..self.buffer.len() });
        match self.commit() {
            Ok(appended) => appended,
            // What changed is in force by now, and the operator is not kept waiting.
            Err(LogFull::Refuse | LogFull::Wait) => {
                self.lose(1);
                Appended::Lost
            }
        }
    }

    /// What the answer must wait for with `sync: always`.
    pub fn mark(&self) -> Option<Mark> {
        match self.sync {
            Sync::Always => {
                let ByDecision { permit, deny } = &self.rings;
                Some(Mark { ends: [permit, deny].map(|ring| (ring.index(), ring.head())) })
            }
            Sync::Interval(_) | Sync::Never => None,
        }
    }

    /// For a request that has to wait for the log.
    pub fn waiter(&self) -> LogWaiter {
        LogWaiter::new(Arc::clone(&self.progress))
    }

    fn has_room(&mut self, decision: Decision) -> bool {
        let staged = self.staged.iter().filter(|staged| staged.decision == decision);
        self.rings.get_mut(decision).has_room(staged.map(|staged| staged.payload.len()))
    }

    fn put(&mut self) {
        let mut pending: SmallVec<[(Decision, Pending); STAGED_USUAL]> = SmallVec::new();
        for Staged { decision, payload } in &self.staged {
            let payload = self.buffer.get(payload.clone()).unwrap_or_default();
            if let Some(begun) = self.rings.get_mut(*decision).begin(payload) {
                pending.push((*decision, begun));
            }
        }
        let Ok(count) = u64::try_from(pending.len()) else { return };
        if count == 0 {
            return;
        }
        // From here to the last header a number could be left without its frame by a crash, so
        // this is as short as can be; who recovers closes such a hole.
        let lost_before = std::mem::take(&mut self.lost_before);
        let first = self.sequence.fetch_add(count + u64::from(lost_before), Ordering::Relaxed);
        let mut lost = lost_before;
        for (sequence, (decision, pending)) in (first + u64::from(lost_before)..).zip(pending) {
            self.rings.get_mut(decision).finish(pending, sequence, std::mem::take(&mut lost));
        }
        self.rings.permit.publish();
        self.rings.deny.publish();
    }

    /// Nobody reads the rings of a log that has ended.
    #[cold]
    fn lose_all(&mut self) -> Appended {
        match u32::try_from(self.staged.len()) {
            Ok(0) => Appended::Logged,
            events => {
                self.lose(events.unwrap_or(u32::MAX));
                Appended::Lost
            }
        }
    }

    #[cold]
    fn lose(&mut self, events: u32) {
        self.lost_before = self.lost_before.saturating_add(events);
        let reason = if self.progress.is_closing() { "closed" } else { "queue_full" };
        telemetry::events_lost(reason, u64::from(events));
    }
}

impl fmt::Debug for EventAppender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventAppender")
            .field("lost_before", &self.lost_before)
            .finish_non_exhaustive()
    }
}

/// The events of a request on which both layers report what is enforced and what is proposed.
const STAGED_USUAL: usize = 4;
// An attempt with all that can be noticed about it has room in the buffer too.
const _: () = assert!(
    ASSUME_FRAME_BYTES_MAX + DetectionName::ALL.len() * DETECTION_FRAME_BYTES_MAX
        <= STAGED_USUAL * EVAL_FRAME_BYTES_MAX
);
