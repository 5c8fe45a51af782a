//! The way from requests to one issuer's refresher: tokens with unknown keys knock, and at most one
//! fetch an interval lets them in. Callable from any thread; the lock is held for a few
//! instructions and never on a request whose key is known.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, watch};

/// The state that requests and the refresher share.
#[derive(Debug)]
pub(super) struct Door {
    interval: Duration,
    state: Mutex<State>,
    knocked: Notify,
    /// Counts the fetches that have ended.
    ended: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct State {
    fetch: Fetch,
    /// When an unknown key last caused a fetch; other fetches do not count.
    last_caused: Option<Instant>,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum Fetch {
    #[default]
    None,
    Requested,
    InFlight,
}

impl Door {
    /// A door that unknown keys open at most once an interval.
    pub(super) fn new(interval: Duration) -> Self {
        Self {
            interval,
            state: Mutex::default(),
            knocked: Notify::new(),
            ended: watch::Sender::new(0),
        }
    }

    /// A key is unknown: what to wait for, if a fetch is under way or may start now.
    pub(super) fn knock(&self, now: Instant) -> Option<watch::Receiver<u64>> {
        let mut state = self.state();
        if state.fetch == Fetch::None {
            let since = state.last_caused.map(|last| now.saturating_duration_since(last));
            if since.is_some_and(|since| since < self.interval) {
                return None;
            }
            state.last_caused = Some(now);
            state.fetch = Fetch::Requested;
            self.knocked.notify_one();
        }
        // Taken under the lock: the end of this fetch can't be missed.
        Some(self.ended.subscribe())
    }

    /// Waits until a knock asks for a fetch. Cancel safe: the request stays.
    pub(super) async fn requested(&self) {
        while self.state().fetch != Fetch::Requested {
            self.knocked.notified().await;
        }
    }

    /// A fetch begins, for whatever reason; who knocks from now on waits for it.
    pub(super) fn begin(&self) {
        self.state().fetch = Fetch::InFlight;
    }

    /// The fetch has ended and what it brought is in force.
    pub(super) fn end(&self) {
        self.state().fetch = Fetch::None;
        self.ended.send_modify(|ended| *ended = ended.wrapping_add(1));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;

    #[test]
    fn knocks_cause_one_fetch_an_interval() {
        let interval = Duration::from_secs(10);
        let door = Door::new(interval);
        let start = SystemClock.tick();
        let almost = start + Duration::from_millis(9999);

        let first = door.knock(start).unwrap();
        let second = door.knock(start).unwrap();
        door.begin();
        assert!(door.knock(almost).is_some(), "joins the fetch in flight");
        assert!(!first.has_changed().unwrap());
        door.end();
        assert!(first.has_changed().unwrap());
        assert!(second.has_changed().unwrap());

        assert!(door.knock(almost).is_none(), "the interval is not over");
        assert!(door.knock(start + interval).is_some());
    }

    #[test]
    fn a_fetch_that_no_knock_caused_leaves_the_interval_open() {
        let door = Door::new(Duration::from_secs(10));
        let start = SystemClock.tick();
        door.begin();
        assert!(door.knock(start).is_some(), "joins");
        door.end();
        assert!(door.knock(start).is_some(), "starts one of its own");
        assert_eq!(door.state().fetch, Fetch::Requested);
    }
}
