//! Keeps issuers' keys fresh. In: the issuers of the snapshot. Out: snapshots with their keys. A
//! failure of any kind leaves the keys in force as they are.
//!
//! One task per issuer on the control runtime: reads at once, again on schedule with jitter, after
//! a failure with growing delays, and at most once an interval because of an unknown key. Requests
//! talk to it through a [`JwksHandle`] from their own threads.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};
use tracing::{info, warn};

use crate::clock::SystemClock;
use crate::snapshot::{Change, Part, SnapshotReader, SnapshotWriter};
use crate::telemetry::{self, JwksResult, ReloadResult};
use crate::token::{IssuerSpec, JwksLocation, KeySet};

mod door;
mod source;

pub use source::JwksError;

use door::Door;
use source::{Answer, Cause, HttpClient, KeySource};

/// Starts the tasks that keep keys fresh.
#[derive(Debug)]
pub struct JwksRefresher;

/// Talks to the refresher from any thread. The refresher ends with its last handle.
#[derive(Clone, Debug)]
pub struct JwksHandle {
    doors: Doors,
    reconfigured: Arc<watch::Sender<()>>,
}

type Doors = Arc<ArcSwap<BTreeMap<Arc<str>, Arc<Door>>>>;

impl JwksRefresher {
    /// Starts to load the keys of the snapshot's issuers and to keep them fresh. Call it within
    /// the runtime that shall run this.
    ///
    /// # Errors
    /// TLS can't be set up.
    pub fn start(reader: SnapshotReader, writer: SnapshotWriter) -> Result<JwksHandle, JwksError> {
        Ok(Self::start_with(HttpClient::new()?, reader, writer))
    }

    fn start_with(
        client: HttpClient,
        reader: SnapshotReader,
        writer: SnapshotWriter,
    ) -> JwksHandle {
        let (sender, receiver) = watch::channel(());
        let doors = Doors::default();
        let supervisor = Supervisor {
            client,
            reader,
            writer,
            doors: Arc::clone(&doors),
            tasks: JoinSet::new(),
            running: BTreeMap::new(),
        };
        tokio::spawn(supervisor.run(receiver));
        JwksHandle { doors, reconfigured: Arc::new(sender) }
    }
}

impl JwksHandle {
    /// Waits for a fetch that may bring an unknown key: one in flight, or one that starts now if
    /// the last that an unknown key caused is long enough ago. Returns at once if there is neither,
    /// and in any case after [`KEY_WAIT_MAX`]. The newest snapshot then has what the fetch brought.
    ///
    /// Needs a runtime with timers, not the refresher's.
    pub async fn wait_for_key(&self, issuer: &str) {
        let ended = self.doors.load().get(issuer).and_then(|door| door.knock(SystemClock.tick()));
        if let Some(mut ended) = ended {
            // Ended, replaced or too slow: the caller looks at the newest snapshot in each case.
            let _: Result<_, _> = tokio::time::timeout(KEY_WAIT_MAX, ended.changed()).await;
        }
    }

    /// Takes over the issuers of the newest snapshot. Call it after a new configuration is
    /// published; issuers whose source is the same are not read again.
    pub fn reconfigure(&self) {
        self.reconfigured.send_replace(());
    }
}

/// Reads an issuer's keys once, for programs that do not run on.
///
/// # Errors
/// The keys can't be read.
pub async fn fetch(spec: &IssuerSpec) -> Result<KeySet, JwksError> {
    let mut source = KeySource::new(Arc::new(spec.clone()), HttpClient::new()?);
    match source.read(Cause::Schedule).await? {
        Answer::Keys(keys) => Ok(keys),
        Answer::Unchanged => Err(JwksError::Body),
    }
}

/// Owns the issuers' tasks.
struct Supervisor {
    client: HttpClient,
    reader: SnapshotReader,
    writer: SnapshotWriter,
    doors: Doors,
    tasks: JoinSet<()>,
    running: BTreeMap<Arc<str>, Running>,
}

struct Running {
    spec: Arc<IssuerSpec>,
    door: Arc<Door>,
    task: AbortHandle,
}

impl Supervisor {
    /// Runs until the last handle is gone; the tasks end with it.
    async fn run(mut self, mut reconfigured: watch::Receiver<()>) {
        let mut delay = Duration::ZERO;
        loop {
            self.reconcile(delay);
            // Both arms are cancel safe: neither takes anything before it is ready.
            tokio::select! {
                changed = reconfigured.changed() => match changed {
                    Ok(()) => delay = Duration::ZERO,
                    Err(_) => return,
                },
                Some(ended) = self.tasks.join_next() => {
                    if ended.is_err_and(|error| error.is_panic()) {
                        warn!("a key refresher failed and is started again");
                    }
                    delay = RESTART_DELAY;
                }
            }
        }
    }

    /// Starts what is configured and does not run, stops what runs and is not configured.
    fn reconcile(&mut self, delay: Duration) {
        let snapshot = self.reader.load();
        let mut next = BTreeMap::new();
        for known in snapshot.key_sets.iter() {
            let (issuer, spec) = (Arc::clone(known.issuer()), Arc::clone(known.spec()));
            let same = self.running.remove(&issuer).filter(|running| {
                if running.spec.jwks == spec.jwks && !running.task.is_finished() {
                    return true;
                }
                running.task.abort();
                false
            });
            let running = same.unwrap_or_else(|| self.spawn(&issuer, spec, delay));
            next.insert(issuer, running);
        }
        for stopped in std::mem::replace(&mut self.running, next).into_values() {
            stopped.task.abort();
        }
        let doors =
            self.running.iter().map(|(issuer, r)| (Arc::clone(issuer), Arc::clone(&r.door)));
        self.doors.store(Arc::new(doors.collect()));
    }

    fn spawn(&mut self, issuer: &Arc<str>, spec: Arc<IssuerSpec>, delay: Duration) -> Running {
        let door = Arc::new(Door::new(spec.jwks.unknown_kid_interval));
        let task = IssuerTask {
            issuer: Arc::clone(issuer),
            source: KeySource::new(Arc::clone(&spec), self.client.clone()),
            spec: Arc::clone(&spec),
            reader: self.reader.clone(),
            writer: self.writer.clone(),
            door: Arc::clone(&door),
            failures: 0,
            is_good: false,
            confirmed: None,
        };
        Running { spec, door, task: self.tasks.spawn(task.run(delay)) }
    }
}

/// Keeps one issuer's keys fresh.
struct IssuerTask {
    issuer: Arc<str>,
    spec: Arc<IssuerSpec>,
    source: KeySource,
    reader: SnapshotReader,
    writer: SnapshotWriter,
    door: Arc<Door>,
    /// Scheduled reads that failed since the last that did not.
    failures: u32,
    /// Whether the last answer was a usable key set.
    is_good: bool,
    /// When the source last had the keys that are in force.
    confirmed: Option<Instant>,
}

impl IssuerTask {
    async fn run(mut self, delay: Duration) {
        let mut due = SystemClock.tick() + delay;
        loop {
            let cause = self.wait(due).await;
            self.door.begin();
            let answer = self.source.read(cause).await;
            let next = self.settle(answer, cause);
            self.door.end();
            if let Some(next) = next {
                due = SystemClock.tick() + next;
            }
        }
    }

    /// Waits for the next reason to read.
    async fn wait(&self, due: Instant) -> Cause {
        loop {
            if let Some(confirmed) = self.confirmed {
                telemetry::jwks_age(&self.issuer, confirmed.elapsed());
            }
            let left = due.saturating_duration_since(SystemClock.tick());
            if left.is_zero() {
                return Cause::Schedule;
            }
            // Both arms are cancel safe: a request stays until a read begins.
            tokio::select! {
                () = tokio::time::sleep(left.min(AGE_INTERVAL)) => {}
                () = self.door.requested() => return Cause::UnknownKey,
            }
        }
    }

    /// Puts an answer in force, or tells why not. Returns the time to the next scheduled read
    /// where this one changes it.
    fn settle(&mut self, answer: Result<Answer, JwksError>, cause: Cause) -> Option<Duration> {
        match answer {
            Ok(Answer::Keys(keys)) => {
                self.succeed(keys);
                Some(self.refresh_delay())
            }
            Ok(Answer::Unchanged) => {
                if self.is_good {
                    self.confirmed = Some(SystemClock.tick());
                }
                Some(self.refresh_delay())
            }
            Err(error) => {
                self.fail(&error);
                // Else unknown keys would start a series of fetches, not one.
                (cause == Cause::Schedule).then(|| self.retry_delay())
            }
        }
    }

    fn succeed(&mut self, keys: KeySet) {
        telemetry::jwks_refreshed(&self.issuer, JwksResult::Success);
        self.failures = 0;
        self.is_good = true;
        self.confirmed = Some(SystemClock.tick());
        let source = &self.spec.jwks.location;
        let snapshot = self.reader.load();
        let Some(known) = snapshot.key_sets.issuer(&self.issuer) else { return };
        if known.spec().jwks.location != *source || known.keys().map(|keys| &**keys) == Some(&keys)
        {
            return;
        }
        let (usable, skipped) = (keys.usable(), keys.skipped().len());
        let part = Part::Keys(Arc::clone(&self.issuer));
        telemetry::reloaded(&part, ReloadResult::Loaded);
        let now = SystemClock.now();
        let revision = self.writer.publish(part, &self.source.place(), now, |snapshot| {
            // A configuration may have come in between: keys of one source are never another's.
            let is_source = snapshot
                .key_sets
                .issuer(&self.issuer)
                .is_some_and(|known| known.spec().jwks.location == *source);
            Change::KeySets(if is_source {
                Arc::new(snapshot.key_sets.with_keys(&self.issuer, keys))
            } else {
                Arc::clone(&snapshot.key_sets)
            })
        });
        info!(issuer = &*self.issuer, usable, skipped, revision, "keys are in force");
    }

    fn fail(&mut self, error: &JwksError) {
        self.is_good = false;
        self.failures = self.failures.saturating_add(1);
        let part = Part::Keys(Arc::clone(&self.issuer));
        let result = if error.is_answer() {
            telemetry::reloaded(&part, ReloadResult::Refused);
            JwksResult::Refused
        } else {
            JwksResult::Failed
        };
        telemetry::jwks_refreshed(&self.issuer, result);
        warn!(issuer = &*self.issuer, %error, "keys could not be read; those in force stay");
        self.writer.refuse(part, &self.source.place(), SystemClock.now(), error.to_string());
    }

    fn refresh_delay(&self) -> Duration {
        match &self.spec.jwks.location {
            JwksLocation::File(_) => FILE_POLL_INTERVAL,
            JwksLocation::Url(_) | JwksLocation::Discovery { .. } => {
                jittered(self.spec.jwks.refresh)
            }
        }
    }

    fn retry_delay(&self) -> Duration {
        match (&self.spec.jwks.location, self.confirmed) {
            (JwksLocation::File(_), _) => FILE_POLL_INTERVAL,
            (JwksLocation::Url(_) | JwksLocation::Discovery { .. }, None) => {
                jittered(doubled(FIRST_LOAD_RETRY, self.failures).min(FIRST_LOAD_RETRY_MAX))
            }
            (JwksLocation::Url(_) | JwksLocation::Discovery { .. }, Some(_)) => {
                jittered(doubled(RETRY, self.failures).min(RETRY_MAX).min(self.spec.jwks.refresh))
            }
        }
    }
}

/// `first` after one failure, twice that after two, and so on.
fn doubled(first: Duration, failures: u32) -> Duration {
    first.saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1)))
}

/// A fifth shorter or longer by chance, so that instances do not ask in step.
fn jittered(delay: Duration) -> Duration {
    delay.min(DELAY_MAX).mul_f64(0.8 + 0.4 * fastrand::f64())
}

/// How long a request waits for the fetch that its unknown key caused.
pub const KEY_WAIT_MAX: Duration = Duration::from_secs(1);

/// Changes of files are in force within 2 s; twice this and a read is less.
const FILE_POLL_INTERVAL: Duration = Duration::from_millis(500);

/// Without keys nothing works, so the first load is tried often.
const FIRST_LOAD_RETRY: Duration = Duration::from_millis(250);
const FIRST_LOAD_RETRY_MAX: Duration = Duration::from_secs(5);

/// With keys in force there is time.
const RETRY: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_mins(1);

/// Keeps what is computed from a configured delay in range.
const DELAY_MAX: Duration = Duration::from_hours(30 * 24);

/// How often the age of keys is told.
const AGE_INTERVAL: Duration = Duration::from_secs(1);

/// Keeps a task that ends by a defect from asking its issuer without pause.
const RESTART_DELAY: Duration = Duration::from_secs(5);

const _: () = assert!(FILE_POLL_INTERVAL.as_millis() * 2 < 2000);

#[cfg(test)]
mod tests;
