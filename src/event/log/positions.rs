//! How far every sink is, for who takes old segments away.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::event::log::Position;

/// How far each sink is. Cloning shares it.
#[derive(Clone, Debug, Default)]
pub struct SinkPositions(Arc<Mutex<BTreeMap<Box<str>, Position>>>);

/// A segment's place among the events of its instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentEvents {
    /// The segment's number.
    pub segment: u32,
    /// How many events it has.
    pub events: u64,
    /// Its last event's number.
    pub last_sequence: u64,
}

impl SinkPositions {
    /// Tells that a sink has all up to a position.
    pub fn set(&self, sink: &str, position: &Position) {
        let mut sinks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match sinks.get_mut(sink) {
            Some(known) => known.clone_from(position),
            None => {
                sinks.insert(sink.into(), position.clone());
            }
        }
    }

    /// Forgets a sink that is no more.
    pub fn remove(&self, sink: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(sink);
    }

    /// Whether there are no sinks.
    pub fn is_empty(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// How far a sink is; `None`: not known yet.
    pub fn get(&self, sink: &str) -> Option<Position> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(sink).cloned()
    }

    /// How many events of a segment were not delivered, of all sinks together.
    pub fn undelivered(&self, instance: &str, segment: SegmentEvents) -> u64 {
        let sinks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sinks.values().map(|position| undelivered(position, instance, segment)).sum()
    }
}

fn undelivered(position: &Position, instance: &str, segment: SegmentEvents) -> u64 {
    match position.0.get(instance) {
        Some(place) if segment.segment < place.segment => 0,
        Some(place) if segment.segment == place.segment => {
            segment.last_sequence.saturating_sub(place.sequence).min(segment.events)
        }
        Some(_) | None => segment.events,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::log::Place;

    #[test]
    fn what_a_sink_has_is_not_missed() {
        let positions = SinkPositions::default();
        let segment = |segment| SegmentEvents { segment, events: 10, last_sequence: 30 };
        assert_eq!(positions.undelivered("i", segment(2)), 0);
        positions.set("a", &Position::default());
        assert_eq!(positions.undelivered("i", segment(2)), 10);
        let mut position = Position::default();
        position.0.insert("i".to_owned(), Place { segment: 2, offset: 9, sequence: 24 });
        positions.set("a", &position);
        for (number, expected) in [(1, 0), (2, 6), (3, 10)] {
            assert_eq!(positions.undelivered("i", segment(number)), expected, "{number}");
        }
        positions.set("b", &Position::default());
        assert_eq!(positions.undelivered("i", segment(2)), 16);
        assert_eq!(positions.get("a"), Some(position));
        assert_eq!(positions.get("c"), None);
    }
}
