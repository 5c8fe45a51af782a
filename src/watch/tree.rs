//! Notices of a whole directory, with the paths that changed.
//!
//! Flows in: a directory. Flows out: changed paths, or that anything may have. Reads no content.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::Notify;

use crate::clock::SystemClock;

/// Watches a directory and all below it, links followed.
#[derive(Debug)]
pub struct TreeWatcher {
    root: PathBuf,
    heard: Arc<Heard>,
    // Held for its notices; polling goes on without it.
    notices: Option<RecommendedWatcher>,
    // When everything was to be looked at last.
    everything: Instant,
}

/// What may have changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TreeChange {
    /// Anything: notices were lost, or it is time to look at everything.
    Anything,
    /// These paths.
    Paths(Vec<PathBuf>),
}

#[derive(Debug, Default)]
struct Heard {
    noted: Mutex<Noted>,
    woken: Notify,
}

#[derive(Debug, Default)]
struct Noted {
    paths: Vec<PathBuf>,
    lost: Lost,
    count: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Lost {
    #[default]
    Nothing,
    Notices,
}

impl TreeWatcher {
    /// Watches a directory from now on.
    pub async fn new(root: &Path) -> Self {
        let heard = Arc::new(Heard::default());
        let notices = notices_of(root, &heard).await;
        Self { root: root.to_owned(), heard, notices, everything: SystemClock.tick() }
    }

    /// Watches what is below the directory now, where folders or links lead elsewhere.
    pub async fn watch_again(&mut self) {
        self.notices = notices_of(&self.root, &self.heard).await;
    }

    /// Waits until something changed and was then quiet for [`TREE_QUIET`], or the interval since
    /// the last look at everything is over, whatever was heard meanwhile.
    ///
    /// Cancel safe: what was heard and not returned is returned by the next call.
    pub async fn changed(&mut self, poll_interval: Duration) -> TreeChange {
        let mut change = self.heard_within(poll_interval).await;
        if poll_interval <= self.everything.elapsed() {
            change = TreeChange::Anything;
        }
        if change == TreeChange::Anything {
            self.everything = SystemClock.tick();
        }
        change
    }

    async fn heard_within(&self, poll_interval: Duration) -> TreeChange {
        if self.heard.count() == 0 {
            let woken = self.heard.woken.notified();
            let left = poll_interval.saturating_sub(self.everything.elapsed());
            if tokio::time::timeout(left, woken).await.is_err() {
                return TreeChange::Anything;
            }
        }
        let mut count = self.heard.count();
        for _ in 0..QUIET_ROUNDS_MAX {
            tokio::time::sleep(TREE_QUIET).await;
            let now = self.heard.count();
            if now == count {
                break;
            }
            count = now;
        }
        self.heard.take()
    }
}

impl Heard {
    fn hear(&self, event: notify::Result<Event>) {
        let Ok(event) = event else {
            self.note(|noted| noted.lost = Lost::Notices);
            return;
        };
        if event.need_rescan() {
            self.note(|noted| noted.lost = Lost::Notices);
        } else if is_change(event.kind) {
            self.note(|noted| noted.paths.extend(event.paths));
        }
    }

    fn note(&self, change: impl FnOnce(&mut Noted)) {
        let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut noted);
        noted.count = noted.count.saturating_add(1);
        if PATHS_MAX < noted.paths.len() {
            noted.paths.sort_unstable();
            noted.paths.dedup();
            if PATHS_MAX / 2 < noted.paths.len() {
                noted.paths.clear();
                noted.lost = Lost::Notices;
            }
        }
        drop(noted);
        self.woken.notify_one();
    }

    fn count(&self) -> u64 {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner).count
    }

    fn take(&self) -> TreeChange {
        let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        let Noted { mut paths, lost, count: _ } = std::mem::take(&mut *noted);
        match lost {
            Lost::Notices => TreeChange::Anything,
            Lost::Nothing => {
                paths.sort_unstable();
                paths.dedup();
                TreeChange::Paths(paths)
            }
        }
    }
}

/// Whether something is another afterwards; that somebody reads is none.
fn is_change(kind: EventKind) -> bool {
    match kind {
        EventKind::Access(access) => access == AccessKind::Close(AccessMode::Write),
        EventKind::Any
        | EventKind::Create(_)
        | EventKind::Modify(_)
        | EventKind::Remove(_)
        | EventKind::Other => true,
    }
}

/// Each folder takes a look and a call of the system: too long for the thread of timers and sockets.
async fn notices_of(root: &Path, heard: &Arc<Heard>) -> Option<RecommendedWatcher> {
    let (root, heard) = (root.to_owned(), Arc::clone(heard));
    tokio::task::spawn_blocking(move || notices(&root, &heard)).await.ok()?
}

fn notices(root: &Path, heard: &Arc<Heard>) -> Option<RecommendedWatcher> {
    let heard = Arc::clone(heard);
    let mut watcher = notify::recommended_watcher(move |event| heard.hear(event)).ok()?;
    if let Err(error) = watcher.watch(root, RecursiveMode::Recursive) {
        tracing::warn!(directory = %root.display(), %error, "changes are found by polling only");
    }
    Some(watcher)
}

/// How long a directory must be quiet before a change is reported: long enough for what one program
/// writes at once, short against the time in which a change is to be in force.
pub const TREE_QUIET: Duration = Duration::from_millis(20);

/// A directory that never rests is reported after this many [`TREE_QUIET`]s.
const QUIET_ROUNDS_MAX: usize = 10;

/// The most paths that are kept; with more, everything is looked at.
const PATHS_MAX: usize = 10_000;

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// Does something in a directory, and expects the paths that are told of it.
    #[track_caller]
    fn check(change: impl Fn(&Path), expect: &[&str]) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir_all(directory.path().join("a/b")).unwrap();
        fs::write(directory.path().join("a/b/f"), "1").unwrap();
        let told = runtime.block_on(async {
            let mut watcher = TreeWatcher::new(directory.path()).await;
            change(directory.path());
            watcher.changed(Duration::from_secs(2)).await
        });
        let paths = expect.iter().map(|path| directory.path().join(path)).collect();
        assert_eq!(told, TreeChange::Paths(paths));
    }

    #[test]
    fn a_change_is_told_with_its_path() {
        check(|root| fs::write(root.join("a/b/f"), "2").unwrap(), &["a/b/f"]);
        check(|root| fs::remove_file(root.join("a/b/f")).unwrap(), &["a/b/f"]);
        check(
            |root| {
                fs::write(root.join("a/new"), "2").unwrap();
                fs::rename(root.join("a/new"), root.join("a/b/f")).unwrap();
            },
            &["a/b/f", "a/new"],
        );
    }

    #[test]
    fn reading_is_no_change() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("f"), "1").unwrap();
        runtime.block_on(async {
            let mut watcher = TreeWatcher::new(directory.path()).await;
            fs::read(directory.path().join("f")).unwrap();
            let told = watcher.changed(Duration::from_millis(100)).await;
            assert_eq!(told, TreeChange::Anything, "the interval is over");
        });
    }

    #[test]
    fn noise_does_not_put_off_the_look_at_everything() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let directory = tempfile::tempdir().unwrap();
        let interval = Duration::from_millis(300);
        let told = runtime.block_on(async {
            let mut watcher = TreeWatcher::new(directory.path()).await;
            watcher.notices = None;
            let heard = Arc::clone(&watcher.heard);
            let noise = tokio::spawn(async move {
                for _ in 0..1_000 {
                    heard.note(|noted| noted.paths.push("log~".into()));
                    tokio::time::sleep(TREE_QUIET * 3).await;
                }
            });
            let mut told = Vec::new();
            for _ in 0..interval.as_millis() / TREE_QUIET.as_millis() {
                told.push(watcher.changed(interval).await);
            }
            noise.abort();
            told
        });
        let paths = TreeChange::Paths(vec!["log~".into()]);
        assert!(told.contains(&paths) && told.contains(&TreeChange::Anything), "{told:?}");
    }

    #[test]
    fn the_runtime_goes_on_while_folders_are_walked() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let directory = tempfile::tempdir().unwrap();
        for name in 0..500 {
            fs::create_dir(directory.path().join(name.to_string())).unwrap();
        }
        runtime.block_on(async {
            let other = tokio::spawn(async {});
            let mut watcher = TreeWatcher::new(directory.path()).await;
            assert!(other.is_finished(), "the first look");
            let other = tokio::spawn(async {});
            watcher.watch_again().await;
            assert!(other.is_finished(), "the next one");
        });
    }

    #[test]
    fn too_many_paths_are_anything() {
        let heard = Heard::default();
        let event = |path: usize| {
            let paths = vec![PathBuf::from(path.to_string())];
            Ok(Event {
                kind: EventKind::Any,
                paths,
                attrs: notify::event::EventAttributes::default(),
            })
        };
        for path in 0..PATHS_MAX {
            heard.hear(event(path));
        }
        let TreeChange::Paths(paths) = heard.take() else { panic!("at the limit") };
        assert_eq!(paths.len(), PATHS_MAX);
        for path in 0..=PATHS_MAX {
            heard.hear(event(path));
        }
        assert_eq!(heard.take(), TreeChange::Anything);
        for _ in 0..=PATHS_MAX {
            heard.hear(event(1));
        }
        assert_eq!(heard.take(), TreeChange::Paths(vec!["1".into()]));
    }
}
