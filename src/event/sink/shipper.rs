//! All sinks of a process: one thread with one runtime, one task for each sink.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::{Id, JoinSet};

use crate::clock::SystemClock;
use crate::event::log::{LogEnds, SinkPositions};
use crate::event::sink::feed::{End, Feed};
use crate::event::sink::grpc::OtlpGrpcSink;
use crate::event::sink::http::HttpSink;
use crate::event::sink::nats::NatsSink;
use crate::event::sink::otlp::OtlpHttpSink;
use crate::event::sink::stdout::StdoutSink;
use crate::event::{EventsConfig, OtlpProtocol, SinkKind, SinkSpec};
use crate::telemetry;

/// The running sinks of one process.
pub struct Shipper {
    end: watch::Sender<Option<Instant>>,
    /// None without sinks.
    thread: Option<JoinHandle<()>>,
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
        let (end, told) = watch::channel(None);
        if events.sinks.is_empty() {
            return Ok(Self { end, thread: None });
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .thread_name("event-sinks-io")
            .build()?;
        let fleet = Fleet {
            directory: events.directory.clone(),
            sinks: events.sinks.clone(),
            positions: positions.clone(),
            end: End(told),
        };
        let run = move || {
            runtime.block_on(fleet.run());
            // What still blocks, as a write to a pipe that nobody reads, does not hold up the end.
            runtime.shutdown_timeout(BLOCKED_MAX);
        };
        let thread = thread::Builder::new().name("event-sinks".to_owned()).spawn(run)?;
        Ok(Self { end, thread: Some(thread) })
    }

    /// Has every sink try once more within 5 s, saves where they are, and ends. Close
    /// the log before, so that the last events are there. Blocks.
    pub fn end(mut self) {
        self.stop(LAST_TRY_MAX);
    }

    fn stop(&mut self, last_try: Duration) {
        self.end.send_replace(Some(SystemClock.tick() + last_try));
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
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

/// All sinks, on the runtime's side.
struct Fleet {
    directory: PathBuf,
    sinks: Vec<SinkSpec>,
    positions: SinkPositions,
    end: End,
}

impl Fleet {
    async fn run(self) {
        let mut tasks = JoinSet::new();
        let mut running: HashMap<Id, &SinkSpec> = HashMap::new();
        for spec in &self.sinks {
            let id = self.start(&mut tasks, spec, Duration::ZERO);
            running.insert(id, spec);
        }
        let lag = self.tell_lag();
        let feeds = async {
            while let Some(ended) = tasks.join_next_with_id().await {
                let Err(error) = ended else { continue };
                let Some(spec) = running.remove(&error.id()) else { continue };
                tracing::error!(sink = &*spec.name, "a sink ended in a panic and is started again");
                let id = self.start(&mut tasks, spec, RESTART_PAUSE);
                running.insert(id, spec);
            }
        };
        tokio::select! {
            () = feeds => {}
            () = lag => {}
        }
    }

    fn start(&self, tasks: &mut JoinSet<()>, spec: &SinkSpec, pause: Duration) -> Id {
        let (spec, directory) = (spec.clone(), self.directory.clone());
        let (positions, end) = (self.positions.clone(), self.end.clone());
        let timeout = spec.timeout;
        let task = async move {
            end.pause(pause).await;
            match spec.kind.clone() {
                SinkKind::Http(http) => {
                    Feed::new(spec, HttpSink::new(&http), directory, positions, end).run().await;
                }
                SinkKind::Nats(nats) => {
                    let sink = NatsSink::new(nats, timeout);
                    Feed::new(spec, sink, directory, positions, end).run().await;
                }
                SinkKind::Otlp(otlp) if otlp.protocol == OtlpProtocol::Grpc => {
                    let sink = OtlpGrpcSink::new(otlp, timeout);
                    Feed::new(spec, sink, directory, positions, end).run().await;
                }
                SinkKind::Otlp(otlp) => {
                    let sink = OtlpHttpSink::new(&otlp);
                    Feed::new(spec, sink, directory, positions, end).run().await;
                }
                SinkKind::Stdout => {
                    Feed::new(spec, StdoutSink::new(), directory, positions, end).run().await;
                }
            }
        };
        tasks.spawn(task).id()
    }

    /// Tells again and again how many events each sink is behind.
    async fn tell_lag(&self) {
        let mut ends = LogEnds::default();
        loop {
            let directory = self.directory.clone();
            let look = move || {
                let looked = ends.look(&directory);
                (ends, looked)
            };
            ends = match tokio::task::spawn_blocking(look).await {
                Ok((ends, Ok(()))) => ends,
                Ok((ends, Err(error))) => {
                    tracing::debug!(%error, "the lag of sinks is not known");
                    ends
                }
                Err(_) => LogEnds::default(),
            };
            for spec in &self.sinks {
                if let Some(position) = self.positions.get(&spec.name) {
                    telemetry::sink_lag(&spec.name, ends.lag(&position));
                }
            }
            tokio::time::sleep(LAG_INTERVAL).await;
        }
    }
}

/// How long the last try may take.
const LAST_TRY_MAX: Duration = Duration::from_secs(5);
/// How long the end waits for what blocks.
const BLOCKED_MAX: Duration = Duration::from_millis(100);
/// How often the lag is told.
const LAG_INTERVAL: Duration = Duration::from_secs(1);
/// How long a sink stands still after a panic.
const RESTART_PAUSE: Duration = Duration::from_secs(5);
