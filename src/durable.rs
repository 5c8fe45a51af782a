//! Files that are replaced at once and for good, and locks between processes.
//!
//! Flows in: a path and its new content. Flows out: a file that is the old version or the new one,
//! whatever happens meanwhile. A lock is the system's: it ends with the process that has it.

use std::fs::{self, File, Permissions, TryLockError};
use std::io;
use std::path::Path;
use std::time::Duration;

use tempfile::NamedTempFile;

/// A new version beside the file whose place it takes. Dropped before, it is gone.
#[derive(Debug)]
pub(crate) struct NewVersion<'p> {
    path: &'p Path,
    file: NamedTempFile,
}

impl<'p> NewVersion<'p> {
    /// An empty version; its name until then begins with `prefix`.
    pub(crate) fn of(path: &'p Path, prefix: &str, permissions: Permissions) -> io::Result<Self> {
        let file = tempfile::Builder::new()
            .prefix(prefix)
            .permissions(permissions.clone())
            .tempfile_in(directory_of(path))?;
        // The process's mask may have taken bits away.
        fs::set_permissions(file.path(), permissions)?;
        Ok(Self { path, file })
    }

    /// To be written to.
    pub(crate) fn file(&mut self) -> &mut File {
        self.file.as_file_mut()
    }

    /// Forces the content to the disk.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.file.as_file().sync_all()
    }

    /// Takes the file's place. The content must be on the disk by then, and the directory after it
    /// ([`sync_directory_of`]).
    pub(crate) fn take_place(self) -> io::Result<()> {
        self.file.persist(self.path).map(drop).map_err(|error| error.error)
    }
}

/// Forces a file's name to the disk, for example a rename.
pub(crate) fn sync_directory_of(path: &Path) -> io::Result<()> {
    File::open(directory_of(path)).and_then(|directory| directory.sync_all())
}

/// As [`sync_directory_of`], where a change has happened and taking it back would be worse.
pub(crate) fn sync_directory_or_warn(path: &Path) {
    if let Err(error) = sync_directory_of(path) {
        let directory = directory_of(path).display().to_string();
        tracing::warn!(directory, %error, "cannot sync the directory");
    }
}

/// Whether a lock was had in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lock {
    /// It is held until the file is closed.
    Had,
    /// Another process has it and does not let it go.
    Held,
}

/// Locks a file, for as long as it is open; waits at most about so long. Blocks.
pub(crate) fn lock_within(file: &File, patience: Duration) -> io::Result<Lock> {
    let mut left = patience;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(Lock::Had),
            Err(TryLockError::WouldBlock) if left.is_zero() => return Ok(Lock::Held),
            Err(TryLockError::WouldBlock) => {
                std::thread::sleep(LOCK_PAUSE);
                left = left.saturating_sub(LOCK_PAUSE);
            }
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
}

fn directory_of(path: &Path) -> &Path {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    parent.unwrap_or_else(|| Path::new("."))
}

/// Changes of files take milliseconds.
const LOCK_PAUSE: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_file_is_the_old_version_until_it_is_the_new_one() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("file");
        fs::write(&path, "old").unwrap();
        let version = |text: &str| {
            let mut new = NewVersion::of(&path, ".new-", Permissions::from_mode(0o640)).unwrap();
            new.file().write_all(text.as_bytes()).unwrap();
            new.sync().unwrap();
            new
        };
        drop(version("given up"));
        assert_eq!(fs::read_to_string(&path).unwrap(), "old");
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1);
        version("new").take_place().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
        sync_directory_of(&path).unwrap();
    }

    #[test]
    fn a_lock_is_had_once_and_ends_with_its_file() {
        let place = tempfile::tempdir().unwrap();
        let open = || {
            let path = place.path().join("lock");
            File::options().create(true).append(true).open(path).unwrap()
        };
        let first = open();
        assert_eq!(lock_within(&first, Duration::ZERO).unwrap(), Lock::Had);
        assert_eq!(lock_within(&open(), LOCK_PAUSE).unwrap(), Lock::Held);
        drop(first);
        assert_eq!(lock_within(&open(), Duration::ZERO).unwrap(), Lock::Had);
    }
}
