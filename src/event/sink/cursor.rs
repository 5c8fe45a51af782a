//! How far a sink is, on disk: `state/sink-<name>.cursor`, replaced as a whole.
//!
//! Of the processes that share a log, the one that holds `state/sink-<name>.lock` ships to a sink.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::event::log::{Position, state_directory};

/// How far a sink is, and what became of the events up to there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// Up to where events were delivered.
    pub position: Position,
    /// Events that the sink took.
    #[serde(default)]
    pub delivered: u64,
    /// Events that it refused for good: lost to it.
    #[serde(default)]
    pub rejected: u64,
    /// Events that were gone from the log before they were delivered: lost to it.
    #[serde(default)]
    pub missed: u64,
    /// The last event of those delivered.
    #[serde(default)]
    pub last: Option<LastEvent>,
}

/// An event, for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LastEvent {
    /// Its `id`.
    pub id: String,
    /// Its `eventTime`.
    pub event_time: String,
}

/// Why a cursor can't be read or written.
#[derive(Debug, thiserror::Error)]
#[error("`{}`: {source}", path.display())]
pub struct CursorError {
    /// The file.
    pub path: PathBuf,
    /// What the system or the parser said.
    pub source: io::Error,
}

/// The cursor's file, and the right to ship to its sink.
#[derive(Debug)]
pub(super) struct CursorFile {
    path: PathBuf,
    /// Held while this lives.
    _lock: File,
}

impl LastEvent {
    /// The event of a line, if it is one.
    pub(super) fn of(line: &[u8]) -> Option<Self> {
        serde_json::from_slice(line).ok()
    }
}

impl CursorFile {
    /// The file of a sink; `None` while another process ships to it.
    ///
    /// # Errors
    /// The log's directory can't be written to.
    pub(super) fn lock(directory: &Path, sink: &str) -> Result<Option<Self>, CursorError> {
        let state = state_directory(directory);
        let path = state.join(format!("{PREFIX}{sink}.lock"));
        let failed = |source| CursorError { path: path.clone(), source };
        fs::create_dir_all(&state).map_err(failed)?;
        let lock = File::options().create(true).append(true).open(&path).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {
                let path = state.join(format!("{PREFIX}{sink}{SUFFIX}"));
                Ok(Some(Self { path, _lock: lock }))
            }
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }

    /// What was saved last.
    ///
    /// # Errors
    /// The file can't be read, or has something else.
    pub(super) fn load(&self) -> Result<Option<Cursor>, CursorError> {
        load(&self.path)
    }

    /// Saves a cursor in place of the last one.
    ///
    /// # Errors
    /// The disk does not take it; the last one stays.
    pub(super) fn save(&self, cursor: &Cursor) -> Result<(), CursorError> {
        let failed = |source| CursorError { path: self.path.clone(), source };
        let mut text = serde_json::to_vec(cursor).map_err(|error| failed(error.into()))?;
        text.push(b'\n');
        let temporary = self.path.with_extension("cursor.tmp");
        let write = || {
            let mut file = File::create(&temporary)?;
            file.write_all(&text)?;
            file.sync_data()?;
            fs::rename(&temporary, &self.path)
        };
        write().map_err(failed)
    }
}

/// Every sink's cursor of a log, by name; those that can't be read are told too.
///
/// # Errors
/// The directory can't be listed.
pub fn cursors(directory: &Path) -> io::Result<Vec<(String, Result<Cursor, CursorError>)>> {
    let entries = match fs::read_dir(state_directory(directory)) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut cursors = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let Some(sink) = name.strip_prefix(PREFIX).and_then(|name| name.strip_suffix(SUFFIX))
        else {
            continue;
        };
        if let Some(cursor) = load(&path).transpose() {
            cursors.push((sink.to_owned(), cursor));
        }
    }
    cursors.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(cursors)
}

/// One sink's cursor, whoever ships to it.
pub(super) fn peek(directory: &Path, sink: &str) -> Option<Cursor> {
    load(&state_directory(directory).join(format!("{PREFIX}{sink}{SUFFIX}"))).ok().flatten()
}

fn load(path: &Path) -> Result<Option<Cursor>, CursorError> {
    let failed = |source| CursorError { path: path.to_owned(), source };
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    serde_json::from_slice(&text).map(Some).map_err(|error| failed(error.into()))
}

const PREFIX: &str = "sink-";
const SUFFIX: &str = ".cursor";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::log::Place;

    #[test]
    fn a_cursor_is_what_was_saved_last_and_one_process_has_it() {
        let place = tempfile::tempdir().unwrap();
        let file = CursorFile::lock(place.path(), "a").unwrap().unwrap();
        assert_eq!(file.load().unwrap(), None);
        assert!(CursorFile::lock(place.path(), "a").unwrap().is_none());
        assert!(CursorFile::lock(place.path(), "b").unwrap().is_some());
        let mut cursor = Cursor { delivered: 7, ..Cursor::default() };
        let at = Place { segment: 1, offset: 2, sequence: 3 };
        cursor.position.0.insert("i".to_owned(), at);
        file.save(&Cursor::default()).unwrap();
        file.save(&cursor).unwrap();
        drop(file);
        let file = CursorFile::lock(place.path(), "a").unwrap().unwrap();
        assert_eq!(file.load().unwrap().unwrap(), cursor);
        assert_eq!(peek(place.path(), "a"), Some(cursor));
    }

    #[test]
    fn a_torn_cursor_is_told() {
        let place = tempfile::tempdir().unwrap();
        let file = CursorFile::lock(place.path(), "a").unwrap().unwrap();
        fs::write(place.path().join("state/sink-a.cursor"), "{\"position\":{\"i\"").unwrap();
        assert!(file.load().is_err());
        let listed = cursors(place.path()).unwrap();
        assert!(matches!(&listed[..], [(name, Err(_))] if name == "a"));
    }
}
