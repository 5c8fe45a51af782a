//! Timeouts of one worker, at a tenth of the cost of precise timers: every request arms several and
//! almost none goes off, so arming is a store and one task looks at all of them ten times a second.
//!
//! An alarm never goes off early, and at most [`TICK`] late.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use slab::Slab;

use crate::clock::SystemClock;

/// How often alarms are looked at.
pub const TICK: Duration = Duration::from_millis(TICK_MS);

/// One worker's alarms. Belongs to a thread.
#[derive(Debug)]
pub struct Alarms {
    started: Instant,
    // Milliseconds since `started`, as of the last tick.
    now_ms: Cell<u64>,
    slots: RefCell<Slab<Slot>>,
}

#[derive(Debug)]
struct Slot {
    deadline_ms: u64,
    waker: Option<Waker>,
}

/// One timeout that can be set again and again.
#[derive(Debug)]
pub struct Alarm {
    alarms: Rc<Alarms>,
    key: usize,
}

impl Alarms {
    /// No alarms yet. [`Alarms::run`] must be polled for any to go off.
    pub fn new() -> Rc<Self> {
        Rc::new(Self {
            started: SystemClock.tick(),
            now_ms: Cell::new(0),
            slots: RefCell::default(),
        })
    }

    /// Looks at all alarms, tick after tick, for ever.
    pub async fn run(self: Rc<Self>) {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let now_ms = SystemClock.tick().duration_since(self.started).as_millis();
            self.advance(u64::try_from(now_ms).unwrap_or(u64::MAX));
        }
    }

    /// Wakes everyone who waits on an alarm, due or not, to look at what has changed.
    pub fn wake_all(&self) {
        self.wake(|_| true);
    }

    /// A new alarm, not set.
    pub fn alarm(self: &Rc<Self>) -> Alarm {
        let slot = Slot { deadline_ms: NEVER, waker: None };
        let key = self.slots.borrow_mut().insert(slot);
        Alarm { alarms: Rc::clone(self), key }
    }

    fn advance(&self, now_ms: u64) {
        self.now_ms.set(now_ms);
        self.wake(|slot| slot.deadline_ms <= now_ms);
    }

    fn wake(&self, chosen: impl Fn(&Slot) -> bool) {
        let due: Vec<Waker> = {
            let mut slots = self.slots.borrow_mut();
            let due = slots.iter_mut().filter(|(_, slot)| chosen(slot));
            due.filter_map(|(_, slot)| slot.waker.take()).collect()
        };
        // Woken outside the borrow: a waker may run code that sets an alarm.
        due.into_iter().for_each(Waker::wake);
    }
}

impl Alarm {
    /// Sets the alarm to go off `after` from now, at the earliest.
    pub fn set(&self, after: Duration) {
        let after_ms = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
        // The last tick may be almost one tick ago.
        let deadline_ms = self.alarms.now_ms.get().saturating_add(after_ms).saturating_add(TICK_MS);
        self.slot(|slot| slot.deadline_ms = deadline_ms);
    }

    /// Unsets the alarm.
    pub fn clear(&self) {
        self.slot(|slot| slot.deadline_ms = NEVER);
    }

    /// Ready once the alarm is due; else wakes the task when it is.
    pub fn poll(&self, cx: &Context<'_>) -> Poll<()> {
        let now_ms = self.alarms.now_ms.get();
        self.slot(|slot| {
            if slot.deadline_ms <= now_ms {
                return Poll::Ready(());
            }
            if !slot.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
                slot.waker = Some(cx.waker().clone());
            }
            Poll::Pending
        })
        .unwrap_or(Poll::Pending)
    }

    /// Waits until the alarm is due.
    pub async fn due(&self) {
        poll_fn(|cx| self.poll(cx)).await;
    }

    fn slot<T>(&self, of: impl FnOnce(&mut Slot) -> T) -> Option<T> {
        self.alarms.slots.borrow_mut().get_mut(self.key).map(of)
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        self.alarms.slots.borrow_mut().try_remove(self.key);
    }
}

const NEVER: u64 = u64::MAX;
const TICK_MS: u64 = 100;

#[cfg(test)]
mod tests {
    use super::*;

    fn poll(alarm: &Alarm) -> Poll<()> {
        alarm.poll(&Context::from_waker(Waker::noop()))
    }

    #[test]
    fn an_alarm_is_never_early_and_a_tick_late_at_most() {
        let alarms = Alarms::new();
        let alarm = alarms.alarm();
        alarms.advance(1000);
        alarm.set(Duration::from_millis(500));
        alarms.advance(1599);
        assert_eq!(poll(&alarm), Poll::Pending);
        alarms.advance(1600);
        assert_eq!(poll(&alarm), Poll::Ready(()));
    }

    #[test]
    fn setting_again_moves_the_deadline_and_clearing_ends_it() {
        let alarms = Alarms::new();
        let alarm = alarms.alarm();
        alarm.set(Duration::from_millis(100));
        alarm.set(Duration::from_secs(10));
        alarms.advance(5000);
        assert_eq!(poll(&alarm), Poll::Pending);
        alarm.clear();
        alarms.advance(50_000);
        assert_eq!(poll(&alarm), Poll::Pending);
    }

    #[test]
    fn dropped_alarms_leave_nothing_behind() {
        let alarms = Alarms::new();
        drop((alarms.alarm(), alarms.alarm()));
        assert!(alarms.slots.borrow().is_empty());
    }
}
