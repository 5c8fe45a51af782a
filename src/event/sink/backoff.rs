//! Growing pauses between attempts, each with a part of chance, so that the sinks of many proxies
//! do not come back all at once.

use std::time::Duration;

/// The pauses of one sink.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The next pause; the receiver may ask for a longer one.
    pub(super) fn next(&mut self, asked: Option<Duration>) -> Duration {
        let full = PAUSE_MIN.saturating_mul(1 << self.failures.min(DOUBLINGS_MAX)).min(PAUSE_MAX);
        self.failures = self.failures.saturating_add(1);
        let pause = full.mul_f64(0.5 + fastrand::f64() / 2.0);
        pause.max(asked.unwrap_or_default().min(ASKED_MAX))
    }

    /// After an attempt that went well.
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }
}

/// The first pause.
const PAUSE_MIN: Duration = Duration::from_millis(200);
/// The longest: a receiver that is back is noticed within half a minute.
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// The longest that a receiver may ask for.
const ASKED_MAX: Duration = Duration::from_mins(5);
/// So many doublings are more than the longest pause.
const DOUBLINGS_MAX: u32 = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_their_bound_and_begin_anew() {
        let mut backoff = Backoff::default();
        let mut full = PAUSE_MIN;
        for _ in 0..40 {
            let pause = backoff.next(None);
            assert!(full / 2 <= pause && pause <= full, "{pause:?} of {full:?}");
            full = (full * 2).min(PAUSE_MAX);
        }
        backoff.reset();
        assert!(backoff.next(None) <= PAUSE_MIN);
    }

    #[test]
    fn a_receiver_may_ask_for_more_within_a_bound() {
        let mut backoff = Backoff::default();
        assert_eq!(backoff.next(Some(Duration::from_mins(1))), Duration::from_mins(1));
        assert_eq!(backoff.next(Some(Duration::from_hours(9))), ASKED_MAX);
        assert!(Duration::from_millis(1) < backoff.next(Some(Duration::from_millis(1))));
    }
}
