//! All sinks of a process, as the gateway has them: a thread that starts, changes and ends.

use std::fmt;
use std::io;
use std::sync::{Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::clock::SystemClock;
use crate::event::log::SinkPositions;
use crate::event::sink::fleet::{Fleet, LAST_TRY_MAX, Plan};
use crate::event::{EventsConfig, SinkSpec};

/// The running sinks of one process.
pub struct Shipper {
    events: EventsConfig,
    positions: SinkPositions,
    plan: watch::Sender<Plan>,
    /// None while there are no sinks.
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// Why sinks can't start.
#[derive(Debug, thiserror::Error)]
#[error("cannot start the sinks: {0}")]
pub struct ShipperError(#[from] io::Error);

impl Shipper {
    /// Starts to ship a log to its sinks; `positions` is kept to where each of them is.
    ///
    /// # Errors
    /// The thread can't be started.
    pub fn start(events: &EventsConfig, positions: &SinkPositions) -> Result<Self, ShipperError> {
        let (plan, _) = watch::channel(Plan::default());
        let (events, positions) = (events.clone(), positions.clone());
        let sinks = events.sinks.clone();
        let shipper = Self { events, positions, plan, thread: Mutex::default() };
        shipper.reconfigure(&sinks)?;
        Ok(shipper)
    }

    /// Takes over other sinks: those that are gone or changed try once more and end, those that are
    /// new or changed start, and all others don't notice.
    ///
    /// # Errors
    /// The thread can't be started.
    pub fn reconfigure(&self, sinks: &[SinkSpec]) -> Result<(), ShipperError> {
        self.plan.send_if_modified(|plan| {
            let is_other = plan.sinks != sinks;
            plan.sinks = sinks.to_vec();
            is_other
        });
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if thread.is_none() && !sinks.is_empty() && self.plan.borrow().end.is_none() {
            *thread = Some(self.spawn()?);
        }
        Ok(())
    }

    /// Has every sink try once more within 5 s, saves where they are, and ends. Close the log
    /// before, so that the last events are there. Blocks.
    pub fn end(&self) {
        self.stop(LAST_TRY_MAX);
    }

    fn spawn(&self) -> io::Result<JoinHandle<()>> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .thread_name("event-sinks-io")
            .build()?;
        let directory = self.events.directory.clone();
        let fleet = Fleet::new(directory, self.positions.clone(), self.plan.subscribe());
        let run = move || {
            runtime.block_on(fleet.run());
            // What still blocks, as a write to a pipe that nobody reads, does not hold up the end.
            runtime.shutdown_timeout(BLOCKED_MAX);
        };
        thread::Builder::new().name("event-sinks".to_owned()).spawn(run)
    }

    fn stop(&self, last_try: Duration) {
        let end: Instant = SystemClock.tick() + last_try;
        self.plan.send_modify(|plan| plan.end = Some(plan.end.unwrap_or(end)));
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the sinks ended in a panic");
        }
    }
}

impl Drop for Shipper {
    fn drop(&mut self) {
        self.stop(Duration::ZERO);
    }
}

impl fmt::Debug for Shipper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shipper").finish_non_exhaustive()
    }
}

/// How long the end waits for what blocks.
const BLOCKED_MAX: Duration = Duration::from_millis(100);
