//! Follows a directory for people: the events that are written from now on.

use std::path::Path;

use crate::event::log::follower::Follower;
use crate::event::log::reader::{ReadError, ReadEvent};

/// Follows a directory: what is written after its making.
#[derive(Debug)]
pub struct Tail {
    follower: Follower,
}

impl Tail {
    /// Begins at the end of what is there.
    ///
    /// # Errors
    /// The directory can't be listed.
    pub fn open(directory: &Path) -> Result<Self, ReadError> {
        Ok(Self { follower: Follower::open_at_end(directory)? })
    }

    /// What was written since the last call, by time; of very much, the next part.
    ///
    /// # Errors
    /// The directory or a file can't be read.
    pub fn poll(&mut self) -> Result<Vec<ReadEvent>, ReadError> {
        let mut events = Vec::new();
        let mut bytes = 0;
        while bytes < POLL_BYTES_MAX {
            let batch = self.follower.next(BATCH_BYTES)?;
            if batch.bytes.is_empty() {
                break;
            }
            bytes += batch.bytes.len();
            events.extend(batch.bytes.split(|byte| *byte == b'\n').filter_map(ReadEvent::parse));
        }
        events.sort_by_key(|event| event.time);
        Ok(events)
    }
}

/// What is read at once.
const BATCH_BYTES: usize = 1024 * 1024;
/// What is held of a log that grows faster than it is read.
const POLL_BYTES_MAX: usize = 16 * BATCH_BYTES;
