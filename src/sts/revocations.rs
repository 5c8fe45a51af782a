//! The revocations in force and where they are kept: loads, reloads, and adds one.
//!
//! Flows in: the file's versions and what is asked for by the admin API. Flows out: published
//! revocations, refusals, update records. A version is in force whole or not at all, and a
//! revocation is in the file before it is in force. Instances that share the file lose nothing of
//! each other: who changes it holds a lock and reads it anew.

use std::fmt;
use std::fs::{self, File, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OwnedMutexGuard;

use crate::clock::{SystemClock, UnixMillis};
use crate::durable::{self, Lock, NewVersion};
use crate::policy::PolicyFinding;
use crate::policy::json::place;
use crate::settings::{Actor, Reload, Reloaded};
use crate::snapshot::{Change, Part, SnapshotReader, SnapshotWriter};
use crate::sts::revocation::{self, Added, Revocation, Revocations, RevocationsFull};
use crate::telemetry::{ReloadResult, reloaded};
use crate::watch::{Fingerprint, FollowedFile};

/// The revocations' one owner. Cloning shares it.
#[derive(Clone)]
pub struct RevocationStore {
    shared: Arc<Shared>,
}

struct Shared {
    file: FollowedFile,
    writer: SnapshotWriter,
    reader: SnapshotReader,
    clock: SystemClock,
    on_revoked: OnRevoked,
}

/// Called with each revocation by the API, after it is in force.
pub type OnRevoked = Box<dyn Fn(RevocationsUpdate) + Send + Sync>;

/// A revocation that is in force.
#[derive(Clone, Debug)]
pub struct RevocationsUpdate {
    /// What ends.
    pub revocation: Revocation,
    /// What was in force for the role.
    pub initial: Option<UnixMillis>,
    /// When.
    pub at: UnixMillis,
    /// By whom.
    pub actor: Actor,
    /// The first revision with it.
    pub revision: u64,
}

/// Why revocations can't be read, or a session is not ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RevocationsError {
    /// The file says something wrong.
    #[error("{}:{line}:{column}: {finding}", path.display())]
    Document {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// From 1, in characters.
        column: usize,
        /// What.
        finding: PolicyFinding,
    },
    /// There is no room for more.
    #[error(transparent)]
    Full(#[from] RevocationsFull),
    /// The file was there and is not any more.
    #[error(
        "`{}` is gone; hint: to take revocations back, write `{{}}` into it", path.display()
    )]
    Gone {
        /// The file.
        path: PathBuf,
    },
    /// The work was interrupted.
    #[error("interrupted")]
    Interrupted,
    /// The file is longer than any that is written.
    #[error("`{}` has more than {FILE_BYTES_MAX} bytes", path.display())]
    Large {
        /// The file.
        path: PathBuf,
    },
    /// The file is a link, so whoever placed it owns its content.
    #[error(
        "`{}` is a symbolic link, as of a mounted ConfigMap; hint: change its source", path.display()
    )]
    Link {
        /// The file.
        path: PathBuf,
    },
    /// Another process has the lock and does not let it go.
    #[error("`{}` is locked by another process", path.display())]
    Locked {
        /// The lock's file.
        path: PathBuf,
    },
    /// There is no file to keep revocations in.
    #[error("there is no file to keep revocations in; hint: `settings: {{ file: settings.yaml }}`")]
    NoFile,
    /// The file can't be read.
    #[error("cannot read `{}`: {error}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The file changed again and again while it was read.
    #[error("`{}` does not stop changing", path.display())]
    Restless {
        /// The file.
        path: PathBuf,
    },
    /// The file can't be replaced.
    #[error("cannot replace `{}`: {error}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
}

/// Where revocations are kept: beside the settings, which instances share; else with the keys.
pub fn path_of(settings_file: Option<&Path>, keys_directory: Option<&Path>) -> Option<PathBuf> {
    match (settings_file, keys_directory) {
        (Some(settings), _) => {
            let mut name = settings.file_stem().unwrap_or_default().to_owned();
            name.push(BESIDE_SETTINGS);
            Some(settings.with_file_name(name))
        }
        (None, Some(keys)) => Some(keys.join(WITH_KEYS)),
        (None, None) => None,
    }
}

/// Reads a file of revocations; an absent one has none.
///
/// # Errors
/// The file can't be read, or is wrong.
pub fn read(path: &Path) -> Result<Revocations, RevocationsError> {
    load(path).map(|loaded| loaded.map_or_else(Revocations::default, |(all, _)| all))
}

impl RevocationStore {
    /// A store of a file's revocations, or of none.
    pub fn new(
        path: Option<PathBuf>,
        writer: SnapshotWriter,
        reader: SnapshotReader,
        on_revoked: OnRevoked,
    ) -> Self {
        let file = FollowedFile::new(path);
        let shared = Shared { file, writer, reader, clock: SystemClock, on_revoked };
        Self { shared: Arc::new(shared) }
    }

    /// What is in force.
    pub fn in_force(&self) -> Arc<Revocations> {
        Arc::clone(&self.shared.reader.load().revocations)
    }

    /// Takes the file's present version, or refuses it whole and keeps what is in force.
    ///
    /// # Errors
    /// The file is unusable, or gone.
    pub async fn reload(&self, when: Reload) -> Result<Reloaded, RevocationsError> {
        self.work(move |shared, mut version| shared.reload(&mut version, when)).await
    }

    /// Follows the file, for ever.
    pub async fn follow(&self) {
        let reload = || async {
            // A refusal is already recorded; the next version may be better.
            let _ = self.reload(Reload::IfChanged).await;
        };
        self.shared.file.follow(reload).await;
    }

    /// Keeps revocations in another file, or in none, and follows that one from now on. What is in
    /// force stays so: it is written there too. Returns the file until now.
    ///
    /// # Errors
    /// The file is unusable; the present one goes on.
    pub async fn move_to(
        &self,
        path: Option<PathBuf>,
    ) -> Result<Option<PathBuf>, RevocationsError> {
        self.work(move |shared, mut version| shared.move_to(&mut version, path)).await
    }

    /// Ends sessions: kept in the file first, then in force, then recorded. Returns what is in force
    /// then.
    ///
    /// It ends whole even if the caller stops waiting.
    ///
    /// # Errors
    /// Nothing has changed.
    pub async fn revoke(
        &self,
        revocation: Revocation,
        actor: Actor,
    ) -> Result<Arc<Revocations>, RevocationsError> {
        self.work(move |shared, version| shared.revoke(version, revocation, actor)).await
    }

    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Shared, OwnedMutexGuard<Fingerprint>) -> Result<T, RevocationsError>
        + Send
        + 'static,
    ) -> Result<T, RevocationsError> {
        let shared = Arc::clone(&self.shared);
        let done = self.shared.file.work(move |version| work(&shared, version)).await;
        done.unwrap_or(Err(RevocationsError::Interrupted))
    }
}

impl fmt::Debug for RevocationStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RevocationStore").field("file", &self.shared.file).finish_non_exhaustive()
    }
}

impl Shared {
    /// What is in force and can still end something.
    fn alive(&self) -> Revocations {
        let mut all = Revocations::clone(&self.reader.load().revocations);
        all.forget(self.clock.now());
        all
    }

    fn reload(
        &self,
        version: &mut Fingerprint,
        when: Reload,
    ) -> Result<Reloaded, RevocationsError> {
        let path = self.file.path();
        let Some(path) = path.as_ref() else { return Ok(Reloaded::Unchanged) };
        if when == Reload::IfChanged && Fingerprint::of(path) == *version {
            return Ok(Reloaded::Unchanged);
        }
        let error = match load(path) {
            Ok(Some((all, loaded))) => {
                self.publish(path, all);
                *version = loaded;
                return Ok(Reloaded::Loaded);
            }
            // That would bring back sessions that somebody has ended.
            Ok(None) if !self.alive().is_empty() => RevocationsError::Gone { path: path.clone() },
            Ok(None) => {
                *version = Fingerprint::default();
                return Ok(Reloaded::Unchanged);
            }
            Err(error) => error,
        };
        let source = path.display().to_string();
        tracing::warn!(file = %source, %error, "revocations refused; the old ones go on");
        self.writer.refuse(Part::Revocations, &source, self.clock.now(), error.to_string());
        reloaded(&Part::Revocations, ReloadResult::Refused);
        Err(error)
    }

    fn move_to(
        &self,
        version: &mut Fingerprint,
        path: Option<PathBuf>,
    ) -> Result<Option<PathBuf>, RevocationsError> {
        let before = self.file.path();
        if *before != path {
            *version = match &path {
                None => Fingerprint::default(),
                Some(path) => self.take_along(path)?,
            };
            self.file.move_to(path);
        }
        Ok(Option::clone(&before))
    }

    /// Puts in force what another file has besides what is in force, and keeps all of it there.
    fn take_along(&self, path: &Path) -> Result<Fingerprint, RevocationsError> {
        let alive = self.alive();
        let (mut all, mut present) = load(path)?.unwrap_or_default();
        if add_all(&mut all, &alive)? {
            let _lock = FileLock::take(path)?;
            // Read anew: only who has the lock knows the last version.
            (all, present) = load(path)?.unwrap_or_default();
            add_all(&mut all, &alive)?;
            present = replace(path, &present, &all.to_document())?;
        }
        if present != Fingerprint::default() {
            self.publish(path, all);
        }
        Ok(present)
    }

    fn revoke(
        &self,
        mut version: OwnedMutexGuard<Fingerprint>,
        revocation: Revocation,
        actor: Actor,
    ) -> Result<Arc<Revocations>, RevocationsError> {
        let path = self.file.path();
        let path = path.as_deref().ok_or(RevocationsError::NoFile)?;
        let _lock = FileLock::take(path)?;
        let loaded = load(path)?;
        let is_absent = loaded.is_none();
        // A file that is gone takes nothing back.
        let (mut all, mut present) =
            loaded.unwrap_or_else(|| (self.alive(), Fingerprint::default()));
        let at = self.clock.now();
        all.forget(at);
        let added = all.add(revocation.clone())?;
        if is_absent || added != Added::Already {
            present = replace(path, &present, &all.to_document())?;
        }
        // Also what another instance has added meanwhile.
        if present != *version {
            let revision = self.publish(path, all);
            *version = present;
            if let Added::Now(initial) = added {
                let update = RevocationsUpdate { revocation, initial, at, actor, revision };
                (self.on_revoked)(update);
            }
        }
        Ok(Arc::clone(&self.reader.load().revocations))
    }

    fn publish(&self, path: &Path, all: Revocations) -> u64 {
        let source = path.display().to_string();
        let (roles, sessions) = all.counts();
        tracing::info!(file = %source, roles, sessions, "revocations loaded");
        let all = Arc::new(all);
        let change = |_: &_| Change::Revocations(all);
        let revision = self.writer.publish(Part::Revocations, &source, self.clock.now(), change);
        reloaded(&Part::Revocations, ReloadResult::Loaded);
        revision
    }
}

/// Adds what others have; whether that was anything.
fn add_all(all: &mut Revocations, others: &Revocations) -> Result<bool, RevocationsFull> {
    let mut has_grown = false;
    for revocation in others.iter() {
        has_grown |= all.add(revocation)? != Added::Already;
    }
    Ok(has_grown)
}

/// The right to change a file, of all processes. The system takes it from a process that ends.
struct FileLock {
    _file: File,
}

impl FileLock {
    fn take(path: &Path) -> Result<Self, RevocationsError> {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(LOCK_SUFFIX);
        let path = path.with_file_name(name);
        let failed = |error| RevocationsError::Write { path: path.clone(), error };
        // Not for others: who can open it can hold it.
        let mut options = File::options();
        let file = options.create(true).append(true).mode(LOCK_MODE).open(&path).map_err(failed)?;
        match durable::lock_within(&file, LOCK_PATIENCE).map_err(failed)? {
            Lock::Had => Ok(Self { _file: file }),
            Lock::Held => Err(RevocationsError::Locked { path }),
        }
    }
}

/// Reads the file and the version that the content is of; none if it is absent.
fn load(path: &Path) -> Result<Option<(Revocations, Fingerprint)>, RevocationsError> {
    for _ in 0..READS_MAX {
        let before = Fingerprint::of(path);
        let text = match read_text(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(RevocationsError::Read { path: path.to_owned(), error }),
        };
        if u64::try_from(text.len()).is_ok_and(|bytes| FILE_BYTES_MAX < bytes) {
            return Err(RevocationsError::Large { path: path.to_owned() });
        }
        if Fingerprint::of(path) == before {
            let all = revocation::read_document(&text).map_err(|finding| {
                let (line, column) = place(&text, finding.offset);
                RevocationsError::Document { path: path.to_owned(), line, column, finding }
            })?;
            return Ok(Some((all, before)));
        }
    }
    Err(RevocationsError::Restless { path: path.to_owned() })
}

fn read_text(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(FILE_BYTES_MAX.saturating_add(1)).read_to_string(&mut text)?;
    Ok(text)
}

/// Puts a new version in the file's place, at once and for good, unless the file is no longer the
/// version that the new one was made from.
fn replace(
    path: &Path,
    made_from: &Fingerprint,
    text: &str,
) -> Result<Fingerprint, RevocationsError> {
    let failed = |error| RevocationsError::Write { path: path.to_owned(), error };
    let permissions = match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_symlink() => {
            return Err(RevocationsError::Link { path: path.to_owned() });
        }
        Ok(metadata) => metadata.permissions(),
        // It holds no secret, and other instances read it.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Permissions::from_mode(MODE),
        Err(error) => return Err(failed(error)),
    };
    let mut new = NewVersion::of(path, TEMPORARY_PREFIX, permissions).map_err(failed)?;
    new.file().write_all(text.as_bytes()).map_err(failed)?;
    new.sync().map_err(failed)?;
    if Fingerprint::of(path) != *made_from {
        return Err(RevocationsError::Restless { path: path.to_owned() });
    }
    new.take_place().map_err(failed)?;
    durable::sync_directory_or_warn(path);
    Ok(Fingerprint::of(path))
}

/// After the stem of the settings' file.
const BESIDE_SETTINGS: &str = ".revocations.json";
const WITH_KEYS: &str = "revocations.json";
const LOCK_SUFFIX: &str = ".lock";
const TEMPORARY_PREFIX: &str = ".crossgate-revocations-";
const MODE: u32 = 0o644;
/// All roles with the longest ARN, all sessions, and room.
const FILE_BYTES_MAX: u64 = 32 << 20;
/// How often a file that changes under the reader is read again.
const READS_MAX: usize = 5;
/// A change by another process is written in milliseconds.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);
const LOCK_MODE: u32 = 0o600;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn revocations_are_kept_beside_the_settings_or_with_the_keys() {
        for (settings, keys, expect) in [
            (Some("/a/settings.yaml"), Some("/k"), Some("/a/settings.revocations.json")),
            (Some("settings.prod.yaml"), None, Some("settings.prod.revocations.json")),
            (Some("/a/settings"), None, Some("/a/settings.revocations.json")),
            (None, Some("/k"), Some("/k/revocations.json")),
            (None, None, None),
        ] {
            let found = path_of(settings.map(Path::new), keys.map(Path::new));
            assert_eq!(found.as_deref(), expect.map(Path::new), "{settings:?} {keys:?}");
        }
    }
}
