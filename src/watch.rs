//! Notices that files changed: by the system's notices where they come, by looking in any case.
//!
//! Flows in: paths. Flows out: which of them have a new content or place. Reads no content.

mod followed;
mod tree;

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::Notify;

pub use followed::FollowedFile;
pub use tree::{TREE_QUIET, TreeChange, TreeWatcher};

/// Watches files; each may be absent, a link, or replaced.
#[derive(Debug)]
pub struct Watcher {
    files: Vec<(PathBuf, Fingerprint)>,
    poll_interval: Duration,
    woken: Arc<Notify>,
    // Held for its notices; polling goes on without it.
    _notices: Option<RecommendedWatcher>,
}

/// What tells one version of a file from another without reading it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fingerprint {
    version: Option<Version>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Version {
    /// Where links lead: a swapped link is a new version.
    resolved: PathBuf,
    device: u64,
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Watcher {
    /// Watches files from their present version on, looking at least every [`POLL_INTERVAL`].
    pub fn new(paths: impl IntoIterator<Item = PathBuf>) -> Self {
        Self::with_interval(paths, POLL_INTERVAL)
    }

    /// Watches files with another interval.
    pub fn with_interval(
        paths: impl IntoIterator<Item = PathBuf>,
        poll_interval: Duration,
    ) -> Self {
        let woken = Arc::new(Notify::new());
        let files: Vec<(PathBuf, Fingerprint)> = paths
            .into_iter()
            .map(|path| {
                let fingerprint = Fingerprint::of(&path);
                (path, fingerprint)
            })
            .collect();
        let notices = notices(&files, Arc::clone(&woken));
        Self { files, poll_interval, woken, _notices: notices }
    }

    /// Watches these files from now on; those that were watched before keep their known version.
    pub fn watch(&mut self, paths: impl IntoIterator<Item = PathBuf>) {
        let mut files = Self::with_interval(paths, self.poll_interval);
        for (path, known) in &mut files.files {
            if let Some((_, before)) = self.files.iter().find(|(other, _)| other == path) {
                *known = before.clone();
            }
        }
        *self = files;
    }

    /// Waits until files have changed and then been quiet for [`QUIET`]; returns which.
    ///
    /// Cancel safe: a change that was not returned is returned by the next call.
    pub async fn changed(&mut self) -> Vec<PathBuf> {
        loop {
            if self.files.iter().any(|(path, known)| Fingerprint::of(path) != *known) {
                let settled = self.settled().await;
                let mut changed = Vec::new();
                for ((path, known), now) in self.files.iter_mut().zip(settled) {
                    if *known != now {
                        *known = now;
                        changed.push(path.clone());
                    }
                }
                if !changed.is_empty() {
                    return changed;
                }
            }
            // Whether a notice or the interval ends it, the next round looks.
            let _ = tokio::time::timeout(self.poll_interval, self.woken.notified()).await;
        }
    }

    /// The versions after the last of a burst of changes, or after [`QUIET_ROUNDS_MAX`] rounds.
    async fn settled(&self) -> Vec<Fingerprint> {
        let look = || self.files.iter().map(|(path, _)| Fingerprint::of(path)).collect();
        let mut last: Vec<Fingerprint> = look();
        for _ in 0..QUIET_ROUNDS_MAX {
            tokio::time::sleep(QUIET).await;
            let now = look();
            if now == last {
                break;
            }
            last = now;
        }
        last
    }
}

impl Fingerprint {
    /// The version of a file now; all absent files are alike.
    pub fn of(path: &Path) -> Self {
        let version = path.canonicalize().ok().and_then(|resolved| {
            let metadata = resolved.metadata().ok()?;
            Some(Version {
                resolved,
                device: metadata.dev(),
                inode: metadata.ino(),
                bytes: metadata.size(),
                modified: (metadata.mtime(), metadata.mtime_nsec()),
                changed: (metadata.ctime(), metadata.ctime_nsec()),
            })
        });
        Self { version }
    }
}

/// Notices of the parent directories: a watch on a file itself would follow the old version.
fn notices(files: &[(PathBuf, Fingerprint)], woken: Arc<Notify>) -> Option<RecommendedWatcher> {
    let mut watcher = notify::recommended_watcher(move |_| woken.notify_one()).ok()?;
    let mut watched: Vec<&Path> = Vec::new();
    for (path, _) in files {
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let directory = parent.unwrap_or_else(|| Path::new("."));
        if !watched.contains(&directory) {
            watched.push(directory);
            if let Err(error) = watcher.watch(directory, RecursiveMode::NonRecursive) {
                tracing::debug!(directory = %directory.display(), %error, "polling only");
            }
        }
    }
    Some(watcher)
}

/// How often files are looked at when no notice comes.
pub const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// How long files must be unchanged before a change is reported.
pub const QUIET: Duration = Duration::from_millis(50);

/// A file that never rests is reported after this many [`QUIET`]s.
const QUIET_ROUNDS_MAX: usize = 10;

#[cfg(test)]
mod tests;
