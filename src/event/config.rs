//! The `events` part of the configuration, parsed. Knows nothing of YAML.

use std::path::PathBuf;
use std::time::Duration;

use crate::event::SinkSpec;
use crate::verdict::Decision;

/// Where events go and what may be lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventsConfig {
    /// The log's directory.
    pub directory: PathBuf,
    /// What a power loss may take.
    pub sync: Sync,
    /// What happens when the log can take no more.
    pub on_full: OnFullByDecision,
    /// How long closed segments stay.
    pub retention: Retention,
    /// Receivers besides the log.
    pub sinks: Vec<SinkSpec>,
}

/// When the log is forced to the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sync {
    /// With every batch.
    Always,
    /// At least this often.
    Interval(Duration),
    /// When the system likes.
    Never,
}

/// What happens to an event when the log can take no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFull {
    /// The request waits.
    Block,
    /// The oldest event goes.
    DropOldest,
    /// The request is refused.
    RefuseRequests,
}

/// What happens when the log can take no more, by what the event says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OnFullByDecision {
    /// For permits.
    pub permit: OnFull,
    /// For denials.
    pub deny: OnFull,
}

/// How long closed segments stay; what is over either goes, oldest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// The oldest age.
    pub age: Duration,
    /// The most bytes of the whole directory.
    pub size_bytes: u64,
}

impl OnFullByDecision {
    /// What happens to events with this decision.
    pub fn of(self, decision: Decision) -> OnFull {
        match decision {
            Decision::Permit => self.permit,
            Decision::Deny => self.deny,
        }
    }
}

impl Default for EventsConfig {
    fn default() -> Self {
        Self {
            directory: PathBuf::from("events"),
            sync: Sync::default(),
            on_full: OnFullByDecision::default(),
            retention: Retention::default(),
            sinks: Vec::new(),
        }
    }
}

impl Default for Sync {
    /// A second: what a crash of the machine may cost is small, and the disk is not the limit.
    fn default() -> Self {
        Self::Interval(Duration::from_secs(1))
    }
}

impl Default for OnFullByDecision {
    /// A denial is evidence; a permit is not worth stopping for.
    fn default() -> Self {
        Self { permit: OnFull::DropOldest, deny: OnFull::Block }
    }
}

impl Default for Retention {
    /// Three times the 30 days that a report needs.
    fn default() -> Self {
        Self { age: Duration::from_hours(90 * 24), size_bytes: 50 * 1024 * 1024 * 1024 }
    }
}
