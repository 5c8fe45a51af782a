//! The policies in force and the directory they come from: loads, reloads, follows.
//!
//! Flows in: the directory's versions. Flows out: published sets and refusals. A version is in force
//! whole or not at all.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;

use crate::clock::SystemClock;
use crate::policy::directory::{DirectoryError, PoliciesConfig, PolicyDirectory, Rescan, Scope};
use crate::policy::set::{PolicySet, PolicySets, UnknownCallers};
use crate::snapshot::{Change, Part, SnapshotWriter};
use crate::telemetry::{ReloadResult, reloaded};
use crate::verdict::Mode;
use crate::watch::{TreeChange, TreeWatcher};

/// The policies' one owner. Cloning shares it.
#[derive(Clone)]
pub struct PolicyStore {
    root: PathBuf,
    writer: SnapshotWriter,
    // Held while the directory is read, so that versions follow each other.
    state: Arc<Mutex<State>>,
}

/// What a reload did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reloaded {
    /// A new version is in force.
    Loaded,
    /// Nothing had changed.
    Unchanged,
}

struct State {
    directory: PolicyDirectory,
    mode: Mode,
    unknown_callers: UnknownCallers,
    in_force: Option<PolicySets>,
    scan_time: Duration,
}

/// When a reload publishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    Always,
    IfChanged,
}

impl PolicyStore {
    /// A store of a directory's policies; nothing is read yet.
    pub fn new(config: &PoliciesConfig, writer: SnapshotWriter) -> Self {
        let state = State {
            directory: PolicyDirectory::new(config.directory.clone()),
            mode: config.mode,
            unknown_callers: config.unknown_callers,
            in_force: None,
            scan_time: Duration::ZERO,
        };
        let state = Arc::new(Mutex::new(state));
        Self { root: config.directory.clone(), writer, state }
    }

    /// Reads the whole directory, what did not change excepted, and puts it in force.
    ///
    /// # Errors
    /// Something is wrong; what is in force goes on.
    pub async fn reload(&self) -> Result<Reloaded, DirectoryError> {
        self.read(vec![Scope::All], When::Always).await
    }

    /// Counts the policies in force in another way from now on.
    pub async fn configure(&self, mode: Mode, unknown_callers: UnknownCallers) {
        let mut state = self.state.lock().await;
        if (state.mode, state.unknown_callers) == (mode, unknown_callers) {
            return;
        }
        (state.mode, state.unknown_callers) = (mode, unknown_callers);
        let Some(before) = state.in_force.take() else { return };
        let counted = |set: &Arc<PolicySet>| {
            if set.unknown_callers == unknown_callers {
                return Arc::clone(set);
            }
            Arc::new(PolicySet { unknown_callers, ..PolicySet::clone(set) })
        };
        let candidate = before.candidate.as_ref().map(counted);
        let sets = PolicySets { mode, enforced: counted(&before.enforced), candidate };
        self.publish(&mut state, sets);
    }

    /// Follows the directory, for ever.
    pub async fn follow(&self) {
        let mut watcher = TreeWatcher::new(&self.root).await;
        // A change between the load and the first look is found here.
        let mut scopes = vec![Scope::All];
        loop {
            // A refusal is already recorded; the next version may be better.
            let reloaded = self.read(scopes.clone(), When::IfChanged).await;
            let is_unchanged = matches!(reloaded, Ok(Reloaded::Unchanged));
            if scopes.contains(&Scope::All) && !is_unchanged {
                // Folders and links may lead elsewhere by now.
                watcher.watch_again().await;
            }
            scopes = loop {
                let poll_interval = self.poll_interval().await;
                let scopes = self.scopes(watcher.changed(poll_interval).await).await;
                if !scopes.is_empty() {
                    break scopes;
                }
            };
        }
    }

    async fn scopes(&self, change: TreeChange) -> Vec<Scope> {
        let paths = match change {
            TreeChange::Anything => return vec![Scope::All],
            TreeChange::Paths(paths) => paths,
        };
        let state = self.state.lock().await;
        let mut scopes: Vec<Scope> =
            paths.iter().filter_map(|path| state.directory.scope(path)).collect();
        scopes.sort_unstable();
        scopes.dedup();
        scopes
    }

    /// Looking at a large directory takes time of its own, of which it gets a small part.
    async fn poll_interval(&self) -> Duration {
        let scan_time = self.state.lock().await.scan_time;
        POLL_INTERVAL_MIN.max(scan_time.saturating_mul(POLL_SHARE))
    }

    async fn read(&self, scopes: Vec<Scope>, when: When) -> Result<Reloaded, DirectoryError> {
        let mut state = Arc::clone(&self.state).lock_owned().await;
        let store = self.clone();
        let work = move || store.read_now(&mut state, &scopes, when);
        // What was interrupted is read again with the next change.
        tokio::task::spawn_blocking(work).await.unwrap_or(Ok(Reloaded::Unchanged))
    }

    fn read_now(
        &self,
        state: &mut State,
        scopes: &[Scope],
        when: When,
    ) -> Result<Reloaded, DirectoryError> {
        let start = SystemClock.tick();
        let rescan = state.directory.rescan(scopes);
        if scopes.contains(&Scope::All) {
            state.scan_time = start.elapsed();
        }
        if when == When::IfChanged && rescan == Rescan::Unchanged {
            return Ok(Reloaded::Unchanged);
        }
        match state.settled_sets(scopes) {
            Ok(sets) => {
                let accounts = sets.enforced.accounts.len();
                let took = start.elapsed();
                let directory = self.root.display();
                tracing::info!(%directory, accounts, ?took, "policies loaded");
                self.publish(state, sets);
                Ok(Reloaded::Loaded)
            }
            Err(error) => {
                self.refuse(&error);
                Err(error)
            }
        }
    }

    fn publish(&self, state: &mut State, sets: PolicySets) {
        state.in_force = Some(sets.clone());
        let source = self.root.display().to_string();
        let change = |_: &_| Change::Policies(Some(Arc::new(sets)));
        self.writer.publish(Part::Policies, &source, SystemClock.now(), change);
        reloaded(&Part::Policies, ReloadResult::Loaded);
    }

    fn refuse(&self, error: &DirectoryError) {
        let source = self.root.display().to_string();
        tracing::warn!(directory = %source, %error, "policies refused; the old ones go on");
        self.writer.refuse(Part::Policies, &source, SystemClock.now(), error.to_string());
        reloaded(&Part::Policies, ReloadResult::Refused);
    }
}

impl State {
    /// The sets, or why there are none. What is wrong may be half written, so it is looked at again
    /// for as long as it changes.
    fn settled_sets(&mut self, scopes: &[Scope]) -> Result<PolicySets, DirectoryError> {
        let mut sets = self.directory.sets(self.mode, self.unknown_callers);
        for _ in 0..RETRIES_MAX {
            if sets.is_ok() {
                break;
            }
            std::thread::sleep(RETRY_AFTER);
            if self.directory.rescan(scopes) == Rescan::Unchanged {
                break;
            }
            sets = self.directory.sets(self.mode, self.unknown_callers);
        }
        sets
    }
}

impl fmt::Debug for PolicyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PolicyStore").field("root", &self.root).finish_non_exhaustive()
    }
}

/// How often everything is looked at, notices or not: a change is in force within two seconds.
const POLL_INTERVAL_MIN: Duration = Duration::from_secs(1);

/// Looking takes at most one part in so many of the time.
const POLL_SHARE: u32 = 20;

/// How long something wrong is given to become whole.
const RETRY_AFTER: Duration = Duration::from_millis(50);

/// A directory that changes without end is refused after this many looks.
const RETRIES_MAX: usize = 5;
