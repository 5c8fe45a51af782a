//! The policies in force and the directory they come from: loads, reloads, follows.
//!
//! Flows in: the directory's versions. Flows out: published sets and refusals. A version is in force
//! whole or not at all; a candidate that is wrong holds back nothing but itself.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;

use crate::clock::SystemClock;
use crate::policy::directory::organization::MAIN as ORGANIZATION;
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
    progress: Progress,
}

/// Whether the last read came to its end. One that a panic ended has left out some of the directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    Done,
    Reading,
}

/// What the directory holds: what can be in force, and why something is not.
#[derive(Debug)]
struct Version {
    sets: Option<PolicySets>,
    refused: Option<DirectoryError>,
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
            progress: Progress::Done,
        };
        let state = Arc::new(Mutex::new(state));
        Self { root: config.directory.clone(), writer, state }
    }

    /// Reads the directory for the first time and puts it in force.
    ///
    /// # Errors
    /// Something is wrong anywhere; nothing is in force then.
    pub async fn load(&self) -> Result<(), DirectoryError> {
        match self.reload().await? {
            Reloaded::Loaded => Ok(()),
            Reloaded::Unchanged => Err(DirectoryError::about(&self.root, "was not loaded", None)),
        }
    }

    /// Reads the whole directory, what did not change excepted, and puts it in force.
    ///
    /// # Errors
    /// Something is wrong: what was in force in its place goes on.
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
            let mut set = PolicySet::clone(set);
            set.unknown_callers = unknown_callers;
            Arc::new(set)
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
        self.run(move |store, state| store.read_now(state, &scopes, when)).await
    }

    /// Does something that may block or panic. After a panic the directory is read from nothing.
    async fn run(
        &self,
        work: impl FnOnce(&Self, &mut State) -> Result<Reloaded, DirectoryError> + Send + 'static,
    ) -> Result<Reloaded, DirectoryError> {
        let mut state = Arc::clone(&self.state).lock_owned().await;
        let (start, store) = (SystemClock.tick(), self.clone());
        let done = tokio::task::spawn_blocking(move || {
            if state.progress == Progress::Reading {
                state.directory = PolicyDirectory::new(store.root.clone());
            }
            work(&store, &mut state)
        });
        match done.await {
            Ok(done) => done,
            Err(error) => {
                // The next looks are as far apart as if this one had come to its end.
                self.state.lock().await.scan_time = start.elapsed();
                let message = format!("reading was broken off: {error}");
                let error = DirectoryError::about(&self.root, &message, None);
                self.refuse(&error);
                Err(error)
            }
        }
    }

    fn read_now(
        &self,
        state: &mut State,
        scopes: &[Scope],
        when: When,
    ) -> Result<Reloaded, DirectoryError> {
        let start = SystemClock.tick();
        let scopes = match std::mem::replace(&mut state.progress, Progress::Reading) {
            Progress::Done => scopes,
            Progress::Reading => &[Scope::All],
        };
        let rescan = state.directory.rescan(scopes);
        if scopes.contains(&Scope::All) {
            state.scan_time = start.elapsed();
        }
        if when == When::IfChanged && rescan == Rescan::Unchanged {
            state.progress = Progress::Done;
            return Ok(Reloaded::Unchanged);
        }
        let Version { sets, refused } = state.settled(scopes, &self.root);
        if let Some(sets) = sets.filter(|sets| refused.is_none() || state.is_new(sets)) {
            let accounts = sets.enforced.accounts.len();
            let took = start.elapsed();
            let directory = self.root.display();
            tracing::info!(%directory, accounts, ?took, "policies loaded");
            self.publish(state, sets);
        }
        state.progress = Progress::Done;
        match refused {
            None => Ok(Reloaded::Loaded),
            Some(error) => {
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
        tracing::warn!(directory = %source, %error, "policies refused; what was in force in their place goes on");
        self.writer.refuse(Part::Policies, &source, SystemClock.now(), error.to_string());
        reloaded(&Part::Policies, ReloadResult::Refused);
    }
}

impl State {
    /// The version after the last change. One could have come in the middle of the look, and what is
    /// wrong may be half written: so it is looked at again for as long as it changes.
    fn settled(&mut self, scopes: &[Scope], root: &Path) -> Version {
        let mut version = self.version(root);
        let mut is_resting = version.refused.is_none();
        for _ in 0..RETRIES_MAX {
            if !is_resting {
                std::thread::sleep(RETRY_AFTER);
            }
            if self.directory.rescan(scopes) == Rescan::Unchanged {
                break;
            }
            version = self.version(root);
            is_resting = false;
        }
        version
    }

    /// What was read last. With something in force, the enforced tree does not wait for a candidate
    /// to be mended.
    fn version(&mut self, root: &Path) -> Version {
        let (mode, unknown_callers) = (self.mode, self.unknown_callers);
        let read = self.directory.sets(mode, unknown_callers);
        let Some(before) = &self.in_force else {
            return match read {
                Ok(sets) => Version { sets: Some(sets), refused: None },
                Err(error) => Version { sets: None, refused: Some(error) },
            };
        };
        let (sets, refused) = match read {
            Ok(sets) => (Some(sets), None),
            Err(error) => {
                let enforced = self.directory.enforced(unknown_callers);
                let candidate = before.candidate.clone();
                (enforced.map(|enforced| PolicySets { mode, enforced, candidate }), Some(error))
            }
        };
        let has_lost = |sets: &PolicySets| sets.enforced.organization.is_none();
        if before.enforced.organization.is_some() && sets.as_ref().is_some_and(has_lost) {
            let hint = "write an organization without guardrails, or restart, if they are to end";
            let message = "is gone, and its guardrails would be off";
            let error = DirectoryError::about(&root.join(ORGANIZATION), message, Some(hint));
            return Version { sets: None, refused: Some(error) };
        }
        Version { sets, refused }
    }

    fn is_new(&self, sets: &PolicySets) -> bool {
        let before = self.in_force.as_ref();
        before.is_none_or(|before| !Arc::ptr_eq(&before.enforced, &sets.enforced))
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

#[cfg(test)]
mod tests;
