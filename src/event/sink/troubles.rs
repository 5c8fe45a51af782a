//! What is logged of a sink's failures: the first of its kind and its end, and not every attempt.

use std::time::{Duration, Instant};

use crate::clock::SystemClock;

/// The failures of one sink.
#[derive(Debug, Default)]
pub(super) struct Troubles {
    /// Since when nothing is delivered.
    since: Option<Instant>,
    /// What was told last, and when.
    told: Option<(String, Instant)>,
    /// Whether its end is to be told.
    owed: bool,
}

impl Troubles {
    /// Tells that something fails, if that is news.
    pub(super) fn failed(&mut self, sink: &str, reason: &str) {
        if self.is_news(reason, SystemClock.tick()) {
            tracing::warn!(sink, reason, "events can't be delivered; they stay in the log");
        }
    }

    /// Tells that it goes on, if it was told that it does not.
    pub(super) fn recovered(&mut self, sink: &str) {
        let now = SystemClock.tick();
        let since = self.since.take().unwrap_or(now);
        if std::mem::take(&mut self.owed) {
            let failed_ms = now.saturating_duration_since(since).as_millis();
            tracing::info!(sink, failed_ms, "events are delivered again");
        }
    }

    fn is_news(&mut self, reason: &str, now: Instant) -> bool {
        let begins = self.since.is_none();
        self.since.get_or_insert(now);
        let is_news = match &self.told {
            Some((told, at)) if told == reason => {
                begins && TELL_INTERVAL <= now.saturating_duration_since(*at)
            }
            Some(_) | None => true,
        };
        if is_news {
            self.told = Some((reason.to_owned(), now));
            self.owed = true;
        }
        is_news
    }
}

/// A sink that comes and goes is told of once in this time.
const TELL_INTERVAL: Duration = Duration::from_mins(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_is_news_once_and_again_when_it_comes_back_later() {
        let start = SystemClock.tick();
        let mut troubles = Troubles::default();
        let mut told =
            |seconds, reason: &str| troubles.is_news(reason, start + Duration::from_secs(seconds));
        assert_eq!(
            [told(0, "a"), told(1, "a"), told(999, "a"), told(1000, "b")],
            [true, false, false, true]
        );
        troubles.recovered("s");
        let mut told =
            |seconds, reason: &str| troubles.is_news(reason, start + Duration::from_secs(seconds));
        assert_eq!([told(1010, "b"), told(1011, "b")], [false, false]);
        troubles.recovered("s");
        assert!(troubles.is_news("b", start + Duration::from_secs(1060)));
    }
}
