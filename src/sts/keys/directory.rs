//! The directory with the keys: one process at a time changes it, and each change is whole.
//!
//! Flows in: files. Flows out: keys with their times. Decides nothing about them.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use jiff::civil::DateTime;
use jiff::tz::Offset;

use crate::clock::UnixSeconds;
use crate::durable::{self, Lock, NewVersion};
use crate::sts::keys::SessionKeysError;
use crate::sts::keys::key::{KeyProblem, SigningKey};

/// The directory, while no other process changes it.
#[derive(Debug)]
pub(super) struct LockedDirectory<'d> {
    path: &'d Path,
    _lock: File,
}

/// A key of the directory.
#[derive(Clone, Debug)]
pub(super) struct KeyFile {
    pub(super) key: Arc<SigningKey>,
    pub(super) created: UnixSeconds,
    /// Whether crossgate made it; who else did may want to keep it.
    pub(super) is_own: bool,
    pub(super) path: PathBuf,
}

impl<'d> LockedDirectory<'d> {
    /// As [`LockedDirectory::lock`], of a directory that is made if it is absent.
    pub(super) fn make(path: &'d Path) -> Result<Self, SessionKeysError> {
        let made = DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(path);
        made.map_err(|source| io_error("make", path, source))?;
        let lock_path = path.join(LOCK_FILE);
        // Not for others: who can open it can hold it.
        let lock = File::options().create(true).append(true).mode(PRIVATE_MODE).open(&lock_path);
        lock.map_err(|source| io_error("write", &lock_path, source))?;
        Self::lock(path)
    }

    /// Waits until no other process changes the directory.
    pub(super) fn lock(path: &'d Path) -> Result<Self, SessionKeysError> {
        Self::lock_within(path, LOCK_PATIENCE)
    }

    pub(super) fn lock_within(
        path: &'d Path,
        patience: Duration,
    ) -> Result<Self, SessionKeysError> {
        let metadata = fs::metadata(path).map_err(|source| io_error("read", path, source))?;
        let mode = metadata.permissions().mode();
        // Who may write there may publish keys.
        if mode & OTHERS_WRITE != 0 {
            return Err(SessionKeysError::Open { directory: path.to_owned(), mode: mode & 0o777 });
        }
        // Not made here: one that is gone is a directory that is gone, and so are its keys.
        let lock_path = path.join(LOCK_FILE);
        let lock = File::options().append(true).open(&lock_path);
        let lock = lock.map_err(|source| io_error("write", &lock_path, source))?;
        let had = durable::lock_within(&lock, patience);
        match had.map_err(|source| io_error("lock", &lock_path, source))? {
            Lock::Had => {}
            Lock::Held => return Err(SessionKeysError::Locked { file: lock_path }),
        }
        let directory = Self { path, _lock: lock };
        directory.remove_leftovers();
        Ok(directory)
    }

    /// The keys, the oldest first; of two files with one key the older counts.
    pub(super) fn keys(&self) -> Result<Vec<KeyFile>, SessionKeysError> {
        let paths = key_paths(self.path)?;
        if KEY_FILES_MAX < paths.len() {
            return Err(SessionKeysError::TooMany { directory: self.path.to_owned() });
        }
        let mut keys = Vec::new();
        for path in paths {
            keys.extend(read_key(&path)?);
        }
        keys.sort_by(|a: &KeyFile, b: &KeyFile| {
            (a.created, a.key.kid(), &a.path).cmp(&(b.created, b.key.kid(), &b.path))
        });
        let mut known: Vec<Arc<SigningKey>> = Vec::new();
        keys.retain(|file| {
            let is_new = !known.contains(&file.key);
            known.push(Arc::clone(&file.key));
            is_new
        });
        Ok(keys)
    }

    /// Keeps a new key.
    pub(super) fn add(
        &self,
        key: SigningKey,
        text: &str,
        created: UnixSeconds,
    ) -> Result<KeyFile, SessionKeysError> {
        let path = self.path.join(own_name(created, key.kid()));
        self.write(&path, text.as_bytes(), PRIVATE_MODE)?;
        Ok(KeyFile { key: Arc::new(key), created, is_own: true, path })
    }

    /// Replaces the file of public keys, unless it is as it should be.
    pub(super) fn publish(&self, file: &Path, jwks: &[u8]) -> Result<(), SessionKeysError> {
        if read_bounded(file, jwks.len()).is_ok_and(|found| found.as_deref() == Some(jwks)) {
            return Ok(());
        }
        self.write(file, jwks, PUBLIC_MODE)
    }

    /// Removes the file of a key for good.
    pub(super) fn remove(&self, file: &Path) -> Result<(), SessionKeysError> {
        fs::remove_file(file).map_err(|source| io_error("remove", file, source))?;
        self.sync()
    }

    /// Puts a file in place at once and for good.
    fn write(&self, file: &Path, content: &[u8], mode: u32) -> Result<(), SessionKeysError> {
        let write = || {
            let permissions = Permissions::from_mode(mode);
            let mut new = NewVersion::of(file, TEMPORARY_PREFIX, permissions)?;
            new.file().write_all(content)?;
            new.sync()?;
            new.take_place()
        };
        write().map_err(|source| io_error("write", file, source))?;
        self.sync()
    }

    fn sync(&self) -> Result<(), SessionKeysError> {
        let synced = File::open(self.path).and_then(|directory| directory.sync_all());
        synced.map_err(|source| io_error("sync", self.path, source))
    }

    /// Removes what a process wrote that ended before it was whole: whoever writes has the lock.
    fn remove_leftovers(&self) {
        let entries = fs::read_dir(self.path).into_iter().flatten().flatten();
        for entry in entries {
            if entry.file_name().to_string_lossy().starts_with(TEMPORARY_PREFIX) {
                // It is no key; next time is early enough.
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}

/// The files with keys, in no order.
pub(super) fn key_paths(directory: &Path) -> Result<Vec<PathBuf>, SessionKeysError> {
    let failed = |source| io_error("read", directory, source);
    let mut paths = Vec::new();
    for entry in fs::read_dir(directory).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.ends_with(KEY_SUFFIX) && !name.starts_with('.') {
            paths.push(entry.path());
        }
    }
    Ok(paths)
}

/// Reads one key; none if the file was removed meanwhile.
fn read_key(path: &Path) -> Result<Option<KeyFile>, SessionKeysError> {
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(io_error("read", path, source)),
    };
    let unusable = |problem| SessionKeysError::Key { file: path.to_owned(), problem };
    if !metadata.is_file() {
        return Err(unusable(KeyProblem::NoKey));
    }
    let mode = metadata.permissions().mode();
    if mode & NOT_OWNER != 0 {
        return Err(SessionKeysError::Exposed { file: path.to_owned(), mode: mode & 0o777 });
    }
    let text = match read_bounded(path, KEY_BYTES_MAX) {
        Ok(Some(text)) => text,
        Ok(None) => return Err(unusable(KeyProblem::NoKey)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(io_error("read", path, source)),
    };
    let key = SigningKey::parse(&text).map_err(unusable)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let own = time_of_own_name(&name, key.kid());
    let modified = || {
        let since = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        UnixSeconds(since.unwrap_or_default().as_secs())
    };
    Ok(Some(KeyFile {
        key: Arc::new(key),
        created: own.unwrap_or_else(modified),
        is_own: own.is_some(),
        path: path.to_owned(),
    }))
}

/// A file's content; none if it is longer.
fn read_bounded(path: &Path, bytes_max: usize) -> io::Result<Option<Vec<u8>>> {
    let limit = u64::try_from(bytes_max).unwrap_or(u64::MAX).saturating_add(1);
    let mut content = Vec::new();
    File::open(path)?.take(limit).read_to_end(&mut content)?;
    Ok(Some(content).filter(|content| content.len() <= bytes_max))
}

/// `2026-11-28T184100Z-<start of the kid>.pem`.
fn own_name(created: UnixSeconds, kid: &str) -> String {
    let seconds = i64::try_from(created.0).unwrap_or(i64::MAX);
    let time = DateTime::constant(1970, 1, 1, 0, 0, 0, 0)
        .saturating_add(jiff::SignedDuration::from_secs(seconds));
    format!("{}-{}{KEY_SUFFIX}", time.strftime(TIME_FORMAT), kid_start(kid))
}

/// When a key was made, if its file has the name that crossgate gave it.
fn time_of_own_name(name: &str, kid: &str) -> Option<UnixSeconds> {
    let time = name.strip_suffix(KEY_SUFFIX)?.strip_suffix(kid_start(kid))?.strip_suffix('-')?;
    let time = DateTime::strptime(TIME_FORMAT, time).ok()?;
    let time = Offset::UTC.to_timestamp(time).ok()?;
    u64::try_from(time.as_second()).ok().map(UnixSeconds)
}

fn kid_start(kid: &str) -> &str {
    kid.get(..NAME_KID_BYTES).unwrap_or(kid)
}

fn io_error(doing: &'static str, path: &Path, source: io::Error) -> SessionKeysError {
    SessionKeysError::Io { doing, path: path.to_owned(), source }
}

const KEY_SUFFIX: &str = ".pem";
const TEMPORARY_PREFIX: &str = ".crossgate-key-";
const LOCK_FILE: &str = ".lock";

const TIME_FORMAT: &str = "%Y-%m-%dT%H%M%SZ";

/// Enough to find a token's key by eye.
const NAME_KID_BYTES: usize = 8;

const DIRECTORY_MODE: u32 = 0o700;
const PRIVATE_MODE: u32 = 0o600;
const PUBLIC_MODE: u32 = 0o644;
const NOT_OWNER: u32 = 0o077;
const OTHERS_WRITE: u32 = 0o002;

/// Rotated each hour there are 15, and some may be given.
pub(super) const KEY_FILES_MAX: usize = 64;

/// The largest RSA key has 6.4 KiB; what else is in the file is not read.
const KEY_BYTES_MAX: usize = 32 << 10;

/// Making an RSA key is the longest that anybody has the lock for.
const LOCK_PATIENCE: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_when_a_key_was_made() {
        let kid = "-bcdefgh_rest";
        let name = own_name(UnixSeconds(1_795_891_260), kid);
        assert_eq!(name, "2026-11-28T184100Z--bcdefgh.pem");
        assert_eq!(time_of_own_name(&name, kid), Some(UnixSeconds(1_795_891_260)));
        for given in [
            "signing.pem",
            "2026-11-28T184100Z-another_.pem",
            "2026-11-28-bcdefgh.pem",
            "--bcdefgh.pem",
            "-bcdefgh.pem",
            "1926-11-28T184100Z--bcdefgh.pem",
            "2026-13-28T184100Z--bcdefgh.pem",
        ] {
            assert_eq!(time_of_own_name(given, kid), None, "{given}");
        }
    }
}
