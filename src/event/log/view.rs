//! A log as commands read it: its directory, or where events could not become lines, a copy in which
//! they are.
//!
//! A disk that is full or read-only keeps a killed run's events in its rings, and those of a running
//! proxy too. An answer without them would be a wrong one.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use crate::clock::{SystemClock, UnixMillis};
use crate::event::frame;
use crate::event::log::files::{Form, segments};
use crate::event::log::layout::Layout;
use crate::event::log::recovery::{frames_files, recover, write_missing};

/// A directory with all events of a log in its segments.
#[derive(Debug)]
pub struct LogView {
    path: PathBuf,
    /// Gone when it is dropped.
    _copy: Option<TempDir>,
    /// How many events are in the copy alone.
    pub waiting: u64,
}

impl LogView {
    /// Recovers what can be recovered, and looks at the rest where it is.
    ///
    /// # Errors
    /// Events are in rings and there is no room for a copy of their run's live segment.
    pub fn open(directory: &Path) -> io::Result<Self> {
        // What can't be recovered is found in its rings.
        let _ = recover(directory);
        let stuck = stuck(directory);
        if stuck.is_empty() {
            return Ok(Self { path: directory.to_owned(), _copy: None, waiting: 0 });
        }
        let copy = tempfile::Builder::new().prefix("crossgate-log-").tempdir()?;
        // After the rings were read: a line that was written since is found, and its frame left out.
        copy_segments(directory, copy.path())?;
        let mut waiting = 0;
        for (layout, file) in stuck {
            waiting += write_missing(copy.path(), &layout, &file)?;
        }
        Ok(Self { path: copy.path().to_owned(), _copy: Some(copy), waiting })
    }

    /// Where the segments are.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// The rings whose oldest event should have been a line for long.
fn stuck(directory: &Path) -> Vec<(Layout, Vec<u8>)> {
    let mut stuck = Vec::new();
    for path in frames_files(directory) {
        let Ok(file) = fs::read(path) else { continue };
        let Some(layout) = Layout::decode(&file) else { continue };
        let now = SystemClock.now();
        let is_late = layout.frames(&file).iter().any(|frame| is_late(frame.payload, now));
        if is_late {
            stuck.push((layout, file));
        }
    }
    stuck
}

fn is_late(payload: &[u8], now: UnixMillis) -> bool {
    let age = |time: UnixMillis| u128::from(now.0.saturating_sub(time.0));
    frame::decode(payload).is_ok_and(|record| LATE.as_millis() < age(record.time()))
}

fn copy_segments(directory: &Path, copy: &Path) -> io::Result<()> {
    let directory = fs::canonicalize(directory)?;
    for segment in segments(&directory).map_err(|error| error.source)? {
        let path = segment.path(segment.form);
        let target = copy.join(path.file_name().unwrap_or_default());
        match segment.form {
            // Its torn line is cut off, and lines are put at its end.
            Form::Live => fs::copy(path, target).map(drop)?,
            Form::Closed | Form::Compressed => symlink(path, target)?,
        }
    }
    Ok(())
}

/// The writer takes some 10 ms; after this it does not get there.
const LATE: Duration = Duration::from_secs(2);
