//! The keys that sign session tokens: made, kept in a directory, rotated with overlap, published.
//!
//! Flows in: a directory, the time. Flows out: signed tokens, and the public keys, as bytes and in
//! the directory's `jwks.json`. What the directory lacks or has wrong never takes keys out of force.

mod directory;
mod key;
mod schedule;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::clock::{SystemClock, UnixSeconds};
use crate::telemetry;
use crate::token::Algorithm;
use crate::watch::Watcher;

pub use key::KeyProblem;

use directory::{KEY_FILES_MAX, KeyFile, LockedDirectory, key_paths};
use key::SigningKey;
use schedule::{Schedule, Timed};

/// Where the keys are, and how they change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeysSpec {
    /// The directory; it is made if it is absent.
    pub directory: PathBuf,
    /// Of new keys: ES256, `EdDSA` or RS256.
    pub algorithm: Algorithm,
    /// After which age a key is followed by another.
    pub rotate: Duration,
    /// How long a key is published after another signs: the longest session and some leeway.
    pub overlap: Duration,
}

impl KeysSpec {
    /// The file with the public keys (RFC 7517), in the directory.
    pub fn jwks_file(&self) -> PathBuf {
        self.directory.join(JWKS_FILE)
    }
}

/// Why keys can't be used. Tells nothing of what is in them.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SessionKeysError {
    /// A file or the directory can't be used.
    #[error(
        "can't {doing} `{}`, of the keys of session tokens: {source}; hint: crossgate must be able to write in the \
         directory", path.display()
    )]
    Io {
        /// What was tried.
        doing: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Everybody may write in the directory, and so publish keys.
    #[error(
        "everybody may write in `{}` (mode {mode:04o}), where the keys of session tokens are; hint: `chmod 0700`",
        directory.display()
    )]
    Open {
        /// The directory.
        directory: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// Others may read a key.
    #[error(
        "others may use the key of session tokens `{}` (mode {mode:04o}); hint: `chmod 0600`, and another key if \
         somebody did", file.display()
    )]
    Exposed {
        /// The file.
        file: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// A file has no key that can sign.
    #[error("`{}`, of the keys of session tokens, {problem}", file.display())]
    Key {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        problem: KeyProblem,
    },
    /// There are too many files with keys.
    #[error(
        "`{}` has more than {KEY_FILES_MAX} keys of session tokens; hint: remove those that sign no more",
        directory.display()
    )]
    TooMany {
        /// The directory.
        directory: PathBuf,
    },
    /// Another process has the directory and does not let go.
    #[error("another process holds `{}`, of the keys of session tokens; hint: end it", file.display())]
    Locked {
        /// The file that is locked.
        file: PathBuf,
    },
    /// No key can be made.
    #[error("no {algorithm} key for session tokens can be made")]
    Make {
        /// Of this algorithm.
        algorithm: Algorithm,
    },
    /// A key can't sign.
    #[error("the key of session tokens can't sign")]
    Sign,
}

/// The keys in force. Cheap to clone, and used from any thread.
#[derive(Clone, Debug)]
pub struct SessionKeys {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    spec: KeysSpec,
    current: ArcSwap<Current>,
}

/// What holds until the next look.
#[derive(Debug)]
struct Current {
    signs: Arc<SigningKey>,
    created: UnixSeconds,
    jwks: Bytes,
    /// Keys that were given and are not published any more.
    past: Vec<PathBuf>,
}

impl SessionKeys {
    /// Loads the directory's keys, and makes the first where there is none. Blocks.
    ///
    /// # Errors
    /// The directory or a key in it is unusable.
    pub fn open(spec: KeysSpec, now: UnixSeconds) -> Result<Self, SessionKeysError> {
        let directory = LockedDirectory::make(&spec.directory)?;
        let current = look(&directory, &spec, now)?;
        drop(directory);
        current.tell(now);
        telemetry::sts_key_rotations(0);
        let current = ArcSwap::from_pointee(current);
        Ok(Self { inner: Arc::new(Inner { spec, current }) })
    }

    /// The public keys as a JWKS document (RFC 7517).
    pub fn jwks(&self) -> Bytes {
        self.inner.current.load().jwks.clone()
    }

    /// A compact JWS (RFC 7515) of these claims, by the key that signs now.
    ///
    /// # Errors
    /// The key can't sign.
    pub fn sign(&self, claims: &[u8]) -> Result<String, SessionKeysError> {
        self.inner.current.load().signs.sign(claims).map_err(|_| SessionKeysError::Sign)
    }

    /// Looks at the directory: takes over what changed there, makes a key where one is due, removes
    /// those that are past. Blocks.
    ///
    /// # Errors
    /// The directory or a key in it is unusable; the keys in force go on.
    pub fn renew(&self, now: UnixSeconds) -> Result<(), SessionKeysError> {
        let Inner { spec, current } = &*self.inner;
        let directory = LockedDirectory::lock(&spec.directory)?;
        let next = look(&directory, spec, now)?;
        let old = current.load_full();
        let is_other = next.signs != old.signs;
        telemetry::sts_key_age(next.age(now));
        if is_other || next.jwks != old.jwks || next.past != old.past {
            next.tell(now);
            current.store(Arc::new(next));
        }
        // In force before another look can see what this one made.
        drop(directory);
        if is_other {
            telemetry::sts_key_rotations(1);
        }
        Ok(())
    }

    /// Keeps the keys fresh until told to stop. What goes wrong is logged, and the keys in force go
    /// on.
    pub async fn keep(self, end: CancellationToken) {
        let directory = self.inner.spec.directory.clone();
        let mut watched = self.watched();
        let mut watcher = Watcher::new(watched.clone());
        loop {
            // Told to be watched before it is looked at, so that nothing changes unnoticed.
            let now_watched = self.watched();
            if now_watched != watched {
                watched.clone_from(&now_watched);
                watcher.watch(now_watched);
            }
            let keys = self.clone();
            let renewed =
                tokio::task::spawn_blocking(move || keys.renew(SystemClock.now().seconds())).await;
            match renewed {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    error!(%error, "session keys can't be renewed; those in force go on");
                }
                Err(_) => {
                    error!(directory = %directory.display(), "renewing session keys was interrupted");
                }
            }
            tokio::select! {
                () = end.cancelled() => return,
                // Whether a change or the interval ends it, the next round looks.
                _ = tokio::time::timeout(LOOK_INTERVAL, watcher.changed()) => {}
            }
        }
    }

    /// The directory and what in it counts.
    fn watched(&self) -> Vec<PathBuf> {
        let spec = &self.inner.spec;
        // What can't be listed is looked at all the same, which tells why.
        let mut paths = key_paths(&spec.directory).unwrap_or_default();
        paths.sort();
        paths.truncate(KEY_FILES_MAX);
        paths.extend([spec.directory.clone(), spec.jwks_file()]);
        paths
    }
}

impl Current {
    fn age(&self, now: UnixSeconds) -> Duration {
        Duration::from_secs(now.0.saturating_sub(self.created.0))
    }

    fn tell(&self, now: UnixSeconds) {
        telemetry::sts_key_age(self.age(now));
        info!(kid = self.signs.kid(), algorithm = %self.signs.algorithm(), "session keys are in force");
        for path in &self.past {
            let file = path.display();
            warn!(%file, "a session key that was given is past its time, is not published, and can be removed");
        }
    }
}

/// What holds now. Makes a key where one is due, publishes, removes what is past.
fn look(
    directory: &LockedDirectory<'_>,
    spec: &KeysSpec,
    now: UnixSeconds,
) -> Result<Current, SessionKeysError> {
    let mut files = directory.keys()?;
    let mut schedule = Schedule::of(&timed(&files, spec), spec, now);
    if schedule.is_due {
        let unmade = || SessionKeysError::Make { algorithm: spec.algorithm };
        let (key, text) = SigningKey::generate(spec.algorithm).ok_or_else(unmade)?;
        let made = directory.add(key, &text, now)?;
        info!(file = %made.path.display(), "a session key was made");
        // The newest that fits is older, so only keys of other algorithms may come after it.
        let place = files.partition_point(|file| file.created <= now);
        files.insert(place, made);
        schedule = Schedule::of(&timed(&files, spec), spec, now);
    }
    let signs = schedule.signs.and_then(|place| files.get(place));
    let signs = signs.ok_or(SessionKeysError::Sign)?;
    let (published, past): (Vec<_>, Vec<_>) =
        files.iter().zip(&schedule.published).partition(|(_, is_published)| **is_published);
    let jwks = jwks(published.iter().map(|(file, _)| *file));
    directory.publish(&spec.jwks_file(), &jwks)?;
    // Only now: what is removed was published until here.
    let (own, given): (Vec<&KeyFile>, Vec<_>) =
        past.into_iter().map(|(file, _)| file).partition(|file| file.is_own);
    for file in own {
        remove(directory, &file.path);
    }
    Ok(Current {
        signs: Arc::clone(&signs.key),
        created: signs.created,
        jwks,
        past: given.into_iter().map(|file| file.path.clone()).collect(),
    })
}

fn timed(files: &[KeyFile], spec: &KeysSpec) -> Vec<Timed> {
    let timed = |file: &KeyFile| Timed {
        created: file.created,
        fits: file.key.algorithm() == spec.algorithm,
    };
    files.iter().map(timed).collect()
}

fn jwks<'f>(published: impl Iterator<Item = &'f KeyFile>) -> Bytes {
    let keys: Vec<&str> = published.map(|file| file.key.jwk()).collect();
    format!("{{\"keys\":[{}]}}\n", keys.join(",")).into()
}

/// A file that stays is tried again at the next look, and is not published meanwhile.
fn remove(directory: &LockedDirectory<'_>, path: &Path) {
    match directory.remove(path) {
        Ok(()) => info!(file = %path.display(), "a session key was removed"),
        Err(error) => warn!(%error, "a session key that is past can't be removed"),
    }
}

/// The public keys, for this proxy, its neighbours and who serves them.
const JWKS_FILE: &str = "jwks.json";

/// How often the directory is looked at when nothing changes there: much less than a key is
/// published ahead of its first signature.
const LOOK_INTERVAL: Duration = Duration::from_mins(1);

#[cfg(test)]
mod tests;
