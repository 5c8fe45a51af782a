//! The settings in force and where they are kept: loads, reloads, and changes one account.
//!
//! Flows in: the file's versions and changes by the API. Flows out: published indexes, refusals,
//! update records. A version is in force whole or not at all.

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::OwnedMutexGuard;

use super::document::parse_after;
use super::edit::{Kept, edit};
use super::etag::{ETag, IfMatch};
use super::file::{SettingsError, read, replace};
use crate::clock::{SystemClock, UnixMillis};
use crate::iam::{AccountId, IdentityType};
use crate::perimeter::{AccountSetting, SettingsIndex, TypeSetting};
use crate::snapshot::{Change, Part, SnapshotReader, SnapshotWriter};
use crate::telemetry::{ReloadResult, reloaded};
use crate::watch::{Fingerprint, FollowedFile};

/// The settings' one owner. Cloning shares it.
#[derive(Clone)]
pub struct SettingsStore {
    shared: Arc<Shared>,
}

struct Shared {
    file: FollowedFile,
    writer: SnapshotWriter,
    reader: SnapshotReader,
    clock: SystemClock,
    on_update: OnUpdate,
}

/// Called with each change by the API, after it is in force.
pub type OnUpdate = Box<dyn Fn(SettingsUpdate) + Send + Sync>;

/// What a change by the API asks for; types that are absent stay as they are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccountPatch {
    /// By type, in the order of [`IdentityType::ALL`].
    pub types: [Option<TypeSetting>; 3],
}

/// Who asked for a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// How the caller was let in; never the secret itself.
    pub id: &'static str,
    /// From where.
    pub address: IpAddr,
    /// The client's `user-agent`, unchecked.
    pub agent: String,
}

/// A change that is in force.
#[derive(Clone, Debug)]
pub struct SettingsUpdate {
    /// Whose setting.
    pub account: AccountId,
    /// When.
    pub at: UnixMillis,
    /// By whom.
    pub actor: Actor,
    /// The types that changed.
    pub changes: Vec<TypeChange>,
    /// The first revision with it.
    pub revision: u64,
}

/// One type's change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypeChange {
    /// Which type.
    pub identity_type: IdentityType,
    /// What was in force.
    pub before: TypeSetting,
    /// What is in force now.
    pub after: TypeSetting,
}

/// What an account has after a change.
#[derive(Clone, Debug)]
pub struct Updated {
    /// The setting in force.
    pub setting: AccountSetting,
    /// Its tag.
    pub etag: ETag,
}

/// Why an account's setting was not changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UpdateError {
    /// There is no file to keep a change in.
    #[error("no settings file is configured; hint: `settings: {{ file: settings.yaml }}`")]
    NoFile,
    /// The setting is another one by now.
    #[error("the setting has changed; read it again")]
    Stale,
    /// The change could not be kept.
    #[error(transparent)]
    Settings(#[from] SettingsError),
}

/// When a reload reads the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reload {
    /// In any case.
    Always,
    /// If it is not the version in force.
    IfChanged,
}

/// What a reload did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reloaded {
    /// The version in force is the file's.
    Unchanged,
    /// A new version is in force.
    Loaded,
}

impl SettingsStore {
    /// A store of a file's settings, or of none.
    pub fn new(
        path: Option<PathBuf>,
        writer: SnapshotWriter,
        reader: SnapshotReader,
        on_update: OnUpdate,
    ) -> Self {
        let file = FollowedFile::new(path);
        let shared = Shared { file, writer, reader, clock: SystemClock, on_update };
        Self { shared: Arc::new(shared) }
    }

    /// Loads the settings for the first time; without a file every account has the default.
    pub async fn load_initial(&self) -> Result<(), SettingsError> {
        self.reload(Reload::Always).await.map(drop)
    }

    /// Takes the file's present version, or refuses it whole and keeps what is in force.
    pub async fn reload(&self, when: Reload) -> Result<Reloaded, SettingsError> {
        let shared = Arc::clone(&self.shared);
        let done =
            self.shared.file.work(move |mut version| shared.reload(&mut version, when)).await;
        done.unwrap_or(Err(SettingsError::Interrupted))
    }

    /// Follows the file, for ever.
    pub async fn follow(&self) {
        let reload = || async {
            // A refusal is already recorded; the next version may be better.
            let _ = self.reload(Reload::IfChanged).await;
        };
        self.shared.file.follow(reload).await;
    }

    /// Takes the settings of another file, or of none, and follows that one from now on.
    ///
    /// # Errors
    /// Its settings are unusable; the present file and its settings go on.
    pub async fn move_to(&self, path: Option<PathBuf>) -> Result<(), SettingsError> {
        let shared = Arc::clone(&self.shared);
        let done =
            self.shared.file.work(move |mut version| shared.move_to(&mut version, path)).await;
        done.unwrap_or(Err(SettingsError::Interrupted))
    }

    /// The setting in force for an account, with its tag.
    pub fn read(&self, account: AccountId) -> Updated {
        let setting = self.shared.settings().setting(account).clone();
        let etag = ETag::of(&setting);
        Updated { setting, etag }
    }

    /// Changes one account's setting: kept in the file first, then in force, then recorded.
    ///
    /// It ends whole even if the caller stops waiting.
    ///
    /// # Errors
    /// Nothing has changed.
    pub async fn update_account(
        &self,
        account: AccountId,
        patch: AccountPatch,
        if_match: IfMatch,
        actor: Actor,
    ) -> Result<Updated, UpdateError> {
        let shared = Arc::clone(&self.shared);
        let work = move |version| shared.update(version, account, patch, &if_match, actor);
        let done = self.shared.file.work(work).await;
        done.unwrap_or(Err(UpdateError::Settings(SettingsError::Interrupted)))
    }
}

impl Shared {
    fn settings(&self) -> Arc<SettingsIndex> {
        Arc::clone(&self.reader.load().settings)
    }

    fn reload(&self, version: &mut Fingerprint, when: Reload) -> Result<Reloaded, SettingsError> {
        let path = self.file.path();
        let Some(path) = path.as_ref() else {
            if when == Reload::Always {
                self.publish(BUILT_IN, SettingsIndex::default());
            }
            return Ok(Reloaded::Unchanged);
        };
        if when == Reload::IfChanged && Fingerprint::of(path) == *version {
            return Ok(Reloaded::Unchanged);
        }
        let source = path.display().to_string();
        match load(path, &self.settings()) {
            Ok((index, loaded)) => {
                tracing::info!(file = %source, accounts = index.len(), "settings loaded");
                self.publish(&source, index);
                *version = loaded;
                Ok(Reloaded::Loaded)
            }
            Err(error) => {
                tracing::warn!(file = %source, %error, "settings refused; the old ones go on");
                self.writer.refuse(Part::Settings, &source, self.clock.now(), error.to_string());
                reloaded(&Part::Settings, ReloadResult::Refused);
                Err(error)
            }
        }
    }

    fn move_to(
        &self,
        version: &mut Fingerprint,
        path: Option<PathBuf>,
    ) -> Result<(), SettingsError> {
        if *self.file.path() == path {
            return Ok(());
        }
        let (source, index, loaded) = match &path {
            None => (BUILT_IN.to_owned(), SettingsIndex::default(), Fingerprint::default()),
            Some(path) => {
                let (index, loaded) = load(path, &self.settings())?;
                (path.display().to_string(), index, loaded)
            }
        };
        tracing::info!(file = %source, accounts = index.len(), "settings loaded");
        self.publish(&source, index);
        *version = loaded;
        self.file.move_to(path);
        Ok(())
    }

    fn publish(&self, source: &str, index: SettingsIndex) -> u64 {
        let index = Arc::new(index);
        let change = |_: &_| Change::Settings(index);
        let revision = self.writer.publish(Part::Settings, source, self.clock.now(), change);
        reloaded(&Part::Settings, ReloadResult::Loaded);
        revision
    }

    fn update(
        &self,
        mut version: OwnedMutexGuard<Fingerprint>,
        account: AccountId,
        patch: AccountPatch,
        if_match: &IfMatch,
        actor: Actor,
    ) -> Result<Updated, UpdateError> {
        let path = self.file.path();
        let path = path.as_deref().ok_or(UpdateError::NoFile)?;
        // An edit of the file counts before a change that didn't know of it.
        self.reload(&mut version, Reload::IfChanged)?;
        let settings = self.settings();
        let before = settings.setting(account);
        let etag = ETag::of(before);
        if !if_match.admits(&etag) {
            return Err(UpdateError::Stale);
        }
        let wanted = patch.applied_to(before);
        let changes = changes(before, &wanted);
        if changes.is_empty() {
            return Ok(Updated { setting: before.clone(), etag });
        }
        let (setting, written) = persist(path, &version, &settings, account, &wanted)?;
        *version = written;
        let index = settings.with_account(account, setting.clone());
        let revision = self.publish(&path.display().to_string(), index);
        let at = self.clock.now();
        (self.on_update)(SettingsUpdate { account, at, actor, changes, revision });
        let etag = ETag::of(&setting);
        Ok(Updated { setting, etag })
    }
}

impl AccountPatch {
    fn applied_to(self, setting: &AccountSetting) -> AccountSetting {
        let types = IdentityType::ALL.into_iter().zip(self.types);
        types.fold(setting.clone(), |setting, (kind, change)| match change {
            Some(change) => setting.with_enforced(kind, change),
            None => setting,
        })
    }
}

impl fmt::Debug for SettingsStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SettingsStore").field("file", &self.shared.file).finish_non_exhaustive()
    }
}

fn load(
    path: &Path,
    previous: &SettingsIndex,
) -> Result<(SettingsIndex, Fingerprint), SettingsError> {
    let (text, version) = read(path)?;
    let index = parse_after(&text, previous)
        .map_err(|error| SettingsError::Document { path: path.to_owned(), error })?;
    Ok((index, version))
}

fn persist(
    path: &Path,
    version: &Fingerprint,
    settings: &SettingsIndex,
    account: AccountId,
    wanted: &AccountSetting,
) -> Result<(AccountSetting, Fingerprint), SettingsError> {
    let (text, read) = read(path)?;
    if read != *version {
        return Err(SettingsError::Restless { path: path.to_owned() });
    }
    let edited = edit(&text, settings, account, wanted);
    if edited.kept == Kept::Meaning {
        tracing::warn!(
            file = %path.display(),
            "the settings file was written anew without its comments: its form gave no place to edit"
        );
    }
    let written = replace(path, version, edited.pieces(&text))?;
    Ok((edited.setting, written))
}

fn changes(before: &AccountSetting, after: &AccountSetting) -> Vec<TypeChange> {
    let changed = IdentityType::ALL
        .into_iter()
        .filter(|kind| before.enforced(*kind) != after.enforced(*kind));
    changed
        .map(|identity_type| TypeChange {
            identity_type,
            before: before.enforced(identity_type).clone(),
            after: after.enforced(identity_type).clone(),
        })
        .collect()
}

/// The source of settings that no file gave.
const BUILT_IN: &str = "built in";
