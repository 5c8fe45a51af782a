//! How far every sink is, for who takes old segments away.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::event::log::Position;

/// How far each sink is. Cloning shares it.
#[derive(Clone, Debug, Default)]
pub struct SinkPositions(Arc<Mutex<BTreeMap<Box<str>, Known>>>);

#[derive(Clone, Debug, Default)]
struct Known {
    delivered: Position,
    /// With what it holds and tries again to deliver, where that is more.
    read: Option<Position>,
    /// Events that were removed before it read them, since it asked last.
    missed: u64,
    /// Of all that were, those whose gap it will still come to.
    awaited: u64,
}

/// What is behind a segment that is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behind {
    /// Nothing of its instance: no reader comes to the gap.
    Nothing,
    /// Another segment: a reader finds the gap by the numbers.
    Segments,
}

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
        let mut sinks = self.lock();
        if let Some(known) = sinks.get_mut(sink) {
            known.delivered.clone_from(position);
        } else {
            let known = Known { delivered: position.clone(), ..Known::default() };
            sinks.insert(sink.into(), known);
        }
    }

    /// Tells that a sink holds all up to a position, and does not need its segments any more.
    pub fn set_read(&self, sink: &str, position: &Position) {
        if let Some(known) = self.lock().get_mut(sink) {
            known.read = Some(position.clone());
        }
    }

    /// Forgets a sink that is no more.
    pub fn remove(&self, sink: &str) {
        self.lock().remove(sink);
    }

    /// Whether there are no sinks.
    pub fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// How far a sink is; `None`: not known yet.
    pub fn get(&self, sink: &str) -> Option<Position> {
        self.lock().get(sink).map(|known| known.delivered.clone())
    }

    /// How many events of a segment each sink would miss, if it went now.
    pub fn undelivered(&self, instance: &str, segment: SegmentEvents) -> Vec<(Box<str>, u64)> {
        let sinks = self.lock();
        let missing = sinks.iter().map(|(sink, known)| {
            let position = known.read.as_ref().unwrap_or(&known.delivered);
            (sink.clone(), undelivered(position, instance, segment))
        });
        missing.filter(|(_, events)| 0 < *events).collect()
    }

    /// Notes that events were removed that a sink did not read.
    pub fn note_missed(&self, sink: &str, events: u64, behind: Behind) {
        if let Some(known) = self.lock().get_mut(sink) {
            known.missed += events;
            known.awaited += match behind {
                Behind::Nothing => 0,
                Behind::Segments => events,
            };
        }
    }

    /// How many events a sink missed since it asked last.
    pub fn take_missed(&self, sink: &str) -> u64 {
        self.lock().get_mut(sink).map_or(0, |known| std::mem::take(&mut known.missed))
    }

    /// Of events that a reader finds missing, those that were not noted when they were removed.
    pub fn unnoted(&self, sink: &str, missing: u64) -> u64 {
        let mut sinks = self.lock();
        let Some(known) = sinks.get_mut(sink) else { return missing };
        let noted = known.awaited.min(missing);
        known.awaited -= noted;
        missing - noted
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Box<str>, Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
        let missed = |number| positions.undelivered("i", segment(number));
        let of = |sink: &str, events| (Box::from(sink), events);
        assert_eq!(missed(2), []);
        positions.set("a", &Position::default());
        assert_eq!(missed(2), [of("a", 10)]);
        let at = |sequence| {
            let place = Place { segment: 2, offset: 9, sequence };
            Position([("i".to_owned(), place)].into())
        };
        positions.set("a", &at(24));
        assert_eq!(
            [missed(1), missed(2), missed(3)],
            [vec![], vec![of("a", 6)], vec![of("a", 10)]]
        );
        positions.set("b", &Position::default());
        assert_eq!(missed(2), [of("a", 6), of("b", 10)]);
        // What it holds it does not miss.
        positions.set_read("a", &at(28));
        assert_eq!(missed(2), [of("a", 2), of("b", 10)]);
        assert_eq!((positions.get("a"), positions.get("c")), (Some(at(24)), None));
    }

    #[test]
    fn what_is_missed_is_told_once() {
        let positions = SinkPositions::default();
        positions.set("a", &Position::default());
        positions.note_missed("a", 2, Behind::Nothing);
        positions.note_missed("a", 5, Behind::Segments);
        assert_eq!([positions.take_missed("a"), positions.take_missed("a")], [7, 0]);
        assert_eq!([positions.unnoted("a", 4), positions.unnoted("a", 4)], [0, 3]);
        assert_eq!(positions.unnoted("b", 4), 4);
    }
}
