//! A file that one owner reads and replaces, and that the configuration can move.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::{Mutex, Notify, OwnedMutexGuard};
use tokio::task::{JoinError, spawn_blocking};

use super::{Fingerprint, Watcher};

/// Where an owner's file is, and the version of it that is in force; there may be none.
pub struct FollowedFile {
    path: ArcSwap<Option<PathBuf>>,
    moved: Notify,
    // Held while the file is read or written, so that changes follow each other.
    version: Arc<Mutex<Fingerprint>>,
}

impl FollowedFile {
    /// A file of which no version is in force yet.
    pub fn new(path: Option<PathBuf>) -> Self {
        Self { path: ArcSwap::from_pointee(path), moved: Notify::new(), version: Arc::default() }
    }

    /// Where it is now.
    pub fn path(&self) -> Arc<Option<PathBuf>> {
        self.path.load_full()
    }

    /// It is another file from now on.
    pub fn move_to(&self, path: Option<PathBuf>) {
        self.path.store(Arc::new(path));
        self.moved.notify_one();
    }

    /// Calls `reload` at once and after each change of the file or of its place, for ever.
    pub async fn follow<F: Future<Output = ()>>(&self, reload: impl Fn() -> F) {
        loop {
            let mut watcher = Watcher::new(Option::clone(&self.path()));
            loop {
                // A change between the load and the first look is found here.
                reload().await;
                tokio::select! {
                    _ = watcher.changed() => {}
                    () = self.moved.notified() => break,
                }
            }
        }
    }

    /// Does what reads or writes the file, which may block, when nothing else does. It gets the
    /// version that is in force, to keep it right, and ends whole even if the caller stops waiting.
    ///
    /// # Errors
    /// The work panicked, or the runtime ends.
    pub async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce(OwnedMutexGuard<Fingerprint>) -> T + Send + 'static,
    ) -> Result<T, JoinError> {
        let version = Arc::clone(&self.version).lock_owned().await;
        spawn_blocking(move || work(version)).await
    }
}

impl fmt::Debug for FollowedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FollowedFile").field("path", &self.path.load()).finish_non_exhaustive()
    }
}
