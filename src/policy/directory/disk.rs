//! Folders and files as they are on disk, and what tells one version of a file from another.
//!
//! Flows in: paths. Flows out: entries worth reading, and texts with their version and digest.

use std::fs;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};

use crate::clock::SystemClock;
use crate::config::finding::{Finding, Findings, Span};
use crate::config::units::format_size;
use crate::policy::directory::file::Place;

/// Something in a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) path: PathBuf,
    pub(super) form: Form,
}

/// What an entry is, links followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    File,
    Folder,
}

/// What tells a file's versions apart without reading them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileVersion {
    device: u64,
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// What tells contents apart.
pub(super) type Digest = [u8; 32];

/// A file that was read.
#[derive(Debug)]
pub(super) struct Content {
    pub(super) version: FileVersion,
    pub(super) age: Age,
    pub(super) digest: Digest,
    pub(super) text: String,
}

/// Whether a next version could look the same from outside: the system's clock for files ticks
/// every few milliseconds only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Age {
    Fresh,
    Settled,
}

impl FileVersion {
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        fs::metadata(path).map(|metadata| Self::from(&metadata))
    }

    fn age(&self) -> Age {
        let settled = SystemClock.now().0.saturating_sub(millis(SETTLED));
        let (seconds, nanos) = self.changed.max(self.modified);
        let changed = seconds.saturating_mul(1_000).saturating_add(nanos / 1_000_000);
        match u64::try_from(changed) {
            Ok(changed) if settled < changed => Age::Fresh,
            Ok(_) | Err(_) => Age::Settled,
        }
    }
}

impl From<&fs::Metadata> for FileVersion {
    fn from(metadata: &fs::Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            bytes: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// What is in a folder, by name; hidden files and editors' backups left out. A folder that is not
/// there has nothing in it.
pub(super) fn list(folder: &Path, findings: &mut Vec<Finding>) -> Vec<Entry> {
    let mut entries = Vec::new();
    let listed = match fs::read_dir(folder) {
        Ok(listed) => listed,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return entries,
        Err(error) => {
            findings.push(unreadable(folder, &error));
            return entries;
        }
    };
    for entry in listed {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                findings.push(unreadable(folder, &error));
                break;
            }
        };
        let path = entry.path();
        let Ok(name) = entry.file_name().into_string() else {
            findings.push(unexpected(&path));
            continue;
        };
        if is_ignored(&name) {
            continue;
        }
        match form(&entry, &path) {
            Ok(Some(form)) => entries.push(Entry { name, path, form }),
            Ok(None) => findings.push(irregular(&path)),
            Err(error) => findings.push(unreadable(&path, &error)),
        }
        if ENTRIES_MAX < entries.len() {
            let message = format!("more than {ENTRIES_MAX} files in one folder");
            findings.push(Place::start(folder).error(message, None));
            break;
        }
    }
    entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    entries
}

/// A warning of something that is not read.
pub(super) fn unexpected(path: &Path) -> Finding {
    let hint = "it is not read; docs/configuration.md shows what the directory holds";
    Place::start(path).warning("nothing is expected here", hint)
}

/// An error of something that can't be looked at.
pub(super) fn unreadable(path: &Path, error: &io::Error) -> Finding {
    Place::start(path).error(format!("can't be read: {error}"), None)
}

/// Whether anything is at a path, be it a link that leads nowhere. Only what the system says is not
/// there is absent: what can't be looked at may be there.
pub(super) fn is_there(path: &Path) -> io::Result<bool> {
    match fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether a name is that of a JSON file.
pub(super) fn is_json(entry: &Entry) -> bool {
    entry.form == Form::File && entry.path.extension().is_some_and(|end| end == "json")
}

/// Reads a file whole, in one of its versions.
pub(super) fn read(path: &Path) -> Result<Content, Finding> {
    let unreadable = |error: io::Error| unreadable(path, &error);
    for _ in 0..READS_MAX {
        let metadata = fs::metadata(path).map_err(unreadable)?;
        // Opening a pipe or a device would wait for whoever writes to it.
        if !metadata.is_file() {
            return Err(irregular(path));
        }
        let version = FileVersion::from(&metadata);
        let age = version.age();
        let bytes = read_up_to(path, FILE_BYTES_MAX).map_err(unreadable)?;
        let Some(bytes) = bytes else {
            let message = format!("larger than {}", format_size(FILE_BYTES_MAX));
            return Err(Place::start(path).error(message, None));
        };
        if FileVersion::of(path).map_err(unreadable)? != version {
            continue;
        }
        let digest = digest_of(&bytes);
        let text = String::from_utf8(bytes).map_err(|error| not_utf8(path, &error))?;
        return Ok(Content { version, age, digest, text });
    }
    Err(Place::start(path).error("does not stop changing", None))
}

/// The content, if it is not longer.
fn read_up_to(path: &Path, bytes_max: u64) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    let most = bytes_max.saturating_add(1);
    let read = fs::File::open(path)?.take(most).read_to_end(&mut bytes)?;
    Ok(u64::try_from(read).is_ok_and(|read| read < most).then_some(bytes))
}

/// The digest of a content.
pub(super) fn digest_of(bytes: &[u8]) -> Digest {
    digest(&SHA256, bytes).as_ref().try_into().unwrap_or_default()
}

/// What an entry is; `None` for pipes, sockets and devices.
fn form(entry: &fs::DirEntry, path: &Path) -> io::Result<Option<Form>> {
    let mut kind = entry.file_type()?;
    if kind.is_symlink() {
        kind = fs::metadata(path)?.file_type();
    }
    Ok(match (kind.is_dir(), kind.is_file()) {
        (true, _) => Some(Form::Folder),
        (false, true) => Some(Form::File),
        (false, false) => None,
    })
}

fn irregular(path: &Path) -> Finding {
    Place::start(path).error("is neither a file nor a folder", None)
}

/// Hidden files, as a `ConfigMap`'s versions are, and what editors leave behind.
pub(super) fn is_ignored(name: &str) -> bool {
    let is_swap = Path::new(name).extension().is_some_and(|end| end == "swp");
    is_swap || name.starts_with(['.', '#']) || name.ends_with(['~', '#'])
}

fn not_utf8(path: &Path, error: &std::string::FromUtf8Error) -> Finding {
    let valid = error.as_bytes().get(..error.utf8_error().valid_up_to()).unwrap_or_default();
    let text = String::from_utf8_lossy(valid);
    let line = text.matches('\n').count().saturating_add(1);
    let last = text.rsplit('\n').next().unwrap_or_default();
    let column = last.chars().count().saturating_add(1);
    let mut findings = Findings::new(path, &text);
    findings.error(Span { line, column, width: 1 }, "not UTF-8");
    let mut sorted = findings.into_sorted();
    sorted.pop().unwrap_or_else(|| Place::start(path).error("not UTF-8", None))
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The largest file. An account's whole authorization details are a few MiB, at AWS's limits some
/// tens.
pub(super) const FILE_BYTES_MAX: u64 = 64 << 20;

/// The most entries of one folder.
const ENTRIES_MAX: usize = 200_000;

/// A file that is written without end is told so after this many reads.
const READS_MAX: usize = 5;

/// Some ticks of the clock that stamps files.
const SETTLED: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_files_and_backups_are_left_out() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b.json", "a.json", ".a.json.swp", "a.json~", "a.swp", "#a#", "..data", ".x"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        let mut findings = Vec::new();
        let entries = list(folder.path(), &mut findings);
        let names: Vec<&str> = entries.iter().map(|entry| &*entry.name).collect();
        assert_eq!((names, findings), (vec!["a.json", "b.json"], Vec::new()));
    }

    #[test]
    fn links_are_what_they_lead_to() {
        let folder = tempfile::tempdir().unwrap();
        let link = |to: &str, name: &str| {
            std::os::unix::fs::symlink(folder.path().join(to), folder.path().join(name)).unwrap();
        };
        fs::create_dir(folder.path().join("one")).unwrap();
        fs::write(folder.path().join("file"), "").unwrap();
        link("one", "to-folder");
        link("file", "to-file");
        link("none", "to-nothing");
        let mut findings = Vec::new();
        let entries = list(folder.path(), &mut findings);
        let forms: Vec<_> = entries.iter().map(|entry| (&*entry.name, entry.form)).collect();
        let expect = [
            ("file", Form::File),
            ("one", Form::Folder),
            ("to-file", Form::File),
            ("to-folder", Form::Folder),
        ];
        assert_eq!(forms, expect);
        assert_eq!(findings.len(), 1);
    }

    #[test]
    fn only_regular_files_are_opened() {
        let folder = tempfile::tempdir().unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(folder.path().join("s.json")).unwrap();
        std::os::unix::fs::symlink("/dev/zero", folder.path().join("d.json")).unwrap();
        let mut findings = Vec::new();
        assert_eq!(list(folder.path(), &mut findings), []);
        let told = |finding: &Finding| (finding.severity.as_str(), finding.message.clone());
        let expect = ("error", "is neither a file nor a folder".to_owned());
        assert_eq!(findings.iter().map(told).collect::<Vec<_>>(), vec![expect.clone(); 2]);
        for name in ["d.json", "s.json"] {
            assert_eq!(told(&read(&folder.path().join(name)).unwrap_err()), expect);
        }
        assert_eq!(told(&read(folder.path()).unwrap_err()), expect, "a folder is none to read");
    }

    #[test]
    fn what_cannot_be_looked_at_is_not_absent() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("file"), "").unwrap();
        std::os::unix::fs::symlink("none", path("to-nothing")).unwrap();
        assert!(is_there(&path("file")).unwrap() && is_there(&path("to-nothing")).unwrap());
        assert!(!is_there(&path("none")).unwrap());
        is_there(&path("file/inside")).unwrap_err();
    }

    #[test]
    fn a_file_is_read_up_to_its_limit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        fs::write(&path, "12345").unwrap();
        assert_eq!(read_up_to(&path, 5).unwrap().as_deref(), Some(&b"12345"[..]));
        assert_eq!(read_up_to(&path, 4).unwrap(), None);
    }

    #[test]
    fn bytes_that_are_no_text_are_told_with_their_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        fs::write(&path, b"{\n  \xff}").unwrap();
        let finding = read(&path).unwrap_err();
        assert_eq!((finding.at.line, finding.at.column, &*finding.message), (2, 3, "not UTF-8"));
    }
}
