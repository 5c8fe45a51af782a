//! The sinks' thread: one task for each sink of the plan, and their lag.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::MissedTickBehavior;

use crate::clock::SystemClock;
use crate::event::log::{LogEnds, SinkPositions};
use crate::event::sink::feed::{End, Feed, SAVE_TIMEOUT};
use crate::event::sink::grpc::OtlpGrpcSink;
use crate::event::sink::http::HttpSink;
use crate::event::sink::nats::NatsSink;
use crate::event::sink::otlp::OtlpHttpSink;
use crate::event::sink::stdout::StdoutSink;
use crate::event::{OtlpProtocol, SinkKind, SinkSpec};
use crate::telemetry;

/// What is to run.
#[derive(Clone, Debug, Default)]
pub(super) struct Plan {
    /// The sinks.
    pub(super) sinks: Vec<SinkSpec>,
    /// By when all must have ended; none: they go on.
    pub(super) end: Option<Instant>,
}

/// All sinks.
pub(super) struct Fleet {
    directory: PathBuf,
    positions: SinkPositions,
    plan: watch::Receiver<Plan>,
    tasks: JoinSet<()>,
    running: HashMap<Id, Running>,
    ends: LogEnds,
}

/// One sink and how to end it.
struct Running {
    spec: SinkSpec,
    end: watch::Sender<Option<Instant>>,
}

impl Fleet {
    pub(super) fn new(
        directory: PathBuf,
        positions: SinkPositions,
        plan: watch::Receiver<Plan>,
    ) -> Self {
        let (tasks, running) = (JoinSet::new(), HashMap::new());
        Self { directory, positions, plan, tasks, running, ends: LogEnds::default() }
    }

    /// Follows the plan to its end.
    pub(super) async fn run(mut self) {
        let mut looks = tokio::time::interval(LAG_INTERVAL);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // Also where the end is near already: the last try is for what was written last.
        self.start_missing(Duration::ZERO);
        self.follow_plan();
        while !self.tasks.is_empty() || self.plan.borrow().end.is_none() {
            let overdue = overdue(self.plan.borrow().end);
            tokio::select! {
                Some(ended) = self.tasks.join_next_with_id() => self.ended(&ended),
                changed = self.plan.changed() => match changed {
                    Ok(()) => self.follow_plan(),
                    // Who held the plan is gone, and so is the reason to go on.
                    Err(_) => return,
                },
                _ = looks.tick() => self.tell_lag().await,
                // A file system that answers nothing must not keep a process from ending.
                () = overdue => return,
            }
        }
    }

    /// Ends what is not in the plan as it is, and starts what is missing.
    fn follow_plan(&mut self) {
        let plan = self.plan.borrow_and_update().clone();
        let deadline = plan.end.unwrap_or_else(|| SystemClock.tick() + LAST_TRY_MAX);
        for running in self.running.values() {
            if plan.end.is_some() || !plan.sinks.contains(&running.spec) {
                running.end.send_if_modified(|end| end.replace(deadline).is_none());
            }
        }
        if plan.end.is_none() {
            self.start_missing(Duration::ZERO);
        }
    }

    /// Starts the sinks of the plan of which no earlier form is still running.
    fn start_missing(&mut self, pause: Duration) {
        let sinks = self.plan.borrow().sinks.clone();
        for spec in sinks {
            if self.running.values().all(|running| running.spec.name != spec.name) {
                self.start(spec, pause);
            }
        }
    }

    fn ended(&mut self, ended: &Result<(Id, ()), JoinError>) {
        let (id, panicked) = match ended {
            Ok((id, ())) => (*id, false),
            Err(error) => (error.id(), true),
        };
        let Some(Running { spec, .. }) = self.running.remove(&id) else { return };
        if panicked {
            let sink = &*spec.name;
            tracing::error!(
                sink,
                "a sink ended in a panic and starts again, if it is still wanted"
            );
        }
        if self.plan.borrow().sinks.iter().all(|wanted| wanted.name != spec.name) {
            self.positions.remove(&spec.name);
            telemetry::sink_lag(&spec.name, 0);
        }
        if self.plan.borrow().end.is_none() {
            self.start_missing(if panicked { RESTART_PAUSE } else { Duration::ZERO });
        }
    }

    fn start(&mut self, spec: SinkSpec, pause: Duration) {
        let (end, told) = watch::channel(None);
        let (running, end_of_task) = (Running { spec: spec.clone(), end }, End(told));
        let (directory, positions) = (self.directory.clone(), self.positions.clone());
        let task = async move {
            end_of_task.pause(pause).await;
            feed(spec, directory, positions, end_of_task).await;
        };
        self.running.insert(self.tasks.spawn(task).id(), running);
    }

    /// Tells how many events each sink is behind.
    async fn tell_lag(&mut self) {
        let (mut ends, directory) = (std::mem::take(&mut self.ends), self.directory.clone());
        let look = move || {
            let looked = ends.look(&directory);
            (ends, looked)
        };
        let looking = tokio::time::timeout(LOOK_MAX, tokio::task::spawn_blocking(look));
        if let Ok(Ok((ends, looked))) = looking.await {
            if let Err(error) = looked {
                tracing::debug!(%error, "the lag of sinks is not known");
            }
            self.ends = ends;
        }
        for Running { spec, .. } in self.running.values() {
            if let Some(position) = self.positions.get(&spec.name) {
                telemetry::sink_lag(&spec.name, self.ends.lag(&position));
            }
        }
    }
}

/// Waits until the end should have been long ago.
async fn overdue(end: Option<Instant>) {
    match end {
        Some(end) => tokio::time::sleep_until((end + OVERDUE).into()).await,
        None => std::future::pending().await,
    }
}

/// Feeds a sink of whatever kind to its end.
async fn feed(spec: SinkSpec, directory: PathBuf, positions: SinkPositions, end: End) {
    let timeout = spec.timeout;
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
}

/// How long the last try may take.
pub(super) const LAST_TRY_MAX: Duration = Duration::from_secs(5);
/// How long after the last try a cursor may take to be saved, and a little more.
const OVERDUE: Duration = Duration::from_secs(6);
const _: () = assert!(SAVE_TIMEOUT.as_secs() < OVERDUE.as_secs());
/// How long a look at the log's end may take.
const LOOK_MAX: Duration = Duration::from_secs(5);
/// How often the lag is told.
const LAG_INTERVAL: Duration = Duration::from_secs(1);
/// How long a sink stands still after a panic.
const RESTART_PAUSE: Duration = Duration::from_secs(5);
