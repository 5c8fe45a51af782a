//! The settings file: read whole, replaced at once.
//!
//! Flows in: a path. Flows out: text with the version it is of; or a new version in its place.

use std::fs;
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use super::events::DocumentError;
use crate::durable::{self, NewVersion};
use crate::watch::Fingerprint;

/// Why settings could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// The file says something wrong.
    #[error("{}:{error}", path.display())]
    Document {
        /// The file.
        path: PathBuf,
        /// What and where.
        error: DocumentError,
    },
    /// The file cannot be read.
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
    /// The file is a link, so whoever placed it owns its content.
    #[error(
        "`{}` is a symbolic link, as of a mounted ConfigMap; hint: change its source", path.display()
    )]
    Link {
        /// The file.
        path: PathBuf,
    },
    /// The file cannot be replaced.
    #[error("cannot replace `{}`: {error}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The work was interrupted.
    #[error("interrupted")]
    Interrupted,
}

/// Reads the file and the version that the text is of.
pub(super) fn read(path: &Path) -> Result<(String, Fingerprint), SettingsError> {
    for _ in 0..READS_MAX {
        let before = Fingerprint::of(path);
        let text = fs::read_to_string(path)
            .map_err(|error| SettingsError::Read { path: path.to_owned(), error })?;
        if Fingerprint::of(path) == before {
            return Ok((text, before));
        }
    }
    Err(SettingsError::Restless { path: path.to_owned() })
}

/// Puts a new version in the file's place, at once and for good, unless the file is no longer the
/// version that the new one was made from.
pub(super) fn replace<'t>(
    path: &Path,
    made_from: &Fingerprint,
    pieces: impl Iterator<Item = &'t str>,
) -> Result<Fingerprint, SettingsError> {
    let failed = |error| SettingsError::Write { path: path.to_owned(), error };
    let metadata = fs::symlink_metadata(path).map_err(failed)?;
    if metadata.is_symlink() {
        return Err(SettingsError::Link { path: path.to_owned() });
    }
    let permissions = metadata.permissions();
    let mut new = NewVersion::of(path, TEMPORARY_PREFIX, permissions).map_err(failed)?;
    let mut writer = BufWriter::with_capacity(WRITE_BYTES, new.file());
    for piece in pieces {
        writer.write_all(piece.as_bytes()).map_err(failed)?;
    }
    writer.flush().map_err(failed)?;
    drop(writer);
    new.sync().map_err(failed)?;
    if Fingerprint::of(path) != *made_from {
        return Err(SettingsError::Restless { path: path.to_owned() });
    }
    new.take_place().map_err(failed)?;
    durable::sync_directory_or_warn(path);
    Ok(Fingerprint::of(path))
}

/// How often a file that changes under the reader is read again.
const READS_MAX: usize = 5;

/// One system call's worth.
const WRITE_BYTES: usize = 256 << 10;

const TEMPORARY_PREFIX: &str = ".crossgate-settings-";
