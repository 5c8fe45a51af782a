//! Which segments a directory has, in whatever form each of them is by now.
//!
//! A segment is live, then closed, then compressed, and each step renames or replaces its file. A
//! reader names it by its stem and looks for the forms in that order, so that it finds the file
//! whatever happens meanwhile; a segment that is in none of them is gone.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::clock::UnixMillis;
use crate::event::log::archive::{Block, BlockStream, Index};
use crate::event::log::line;
use crate::event::log::reader::ReadError;
use crate::event::time;

/// One segment of an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    directory: Arc<Path>,
    /// Its file's name without what tells the form.
    pub stem: String,
    /// The run that wrote it.
    pub instance: String,
    /// Its place among the run's segments.
    pub count: u32,
    /// When it began, as its name says.
    pub stamp: Option<UnixMillis>,
    /// The form that it had when the directory was listed.
    pub form: Form,
}

/// What a segment's file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Form {
    /// Lines are being written to it.
    Live,
    /// All its lines are there.
    Closed,
    /// All its lines are there, as zstd.
    Compressed,
}

/// From when to when; both ends belong to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Window {
    /// Nothing older; none: from the beginning.
    pub since: Option<UnixMillis>,
    /// Nothing younger; none: to the end.
    pub until: Option<UnixMillis>,
}

/// A segment's file, open.
#[derive(Debug)]
pub struct OpenSegment {
    /// Where it was.
    pub path: PathBuf,
    /// What it was.
    pub form: Form,
    /// The file.
    pub file: File,
}

impl Window {
    /// Whether a moment is in it.
    pub fn holds(&self, time: UnixMillis) -> bool {
        self.since.is_none_or(|since| since <= time) && self.until.is_none_or(|until| time <= until)
    }

    /// Whether something between two moments can be in it.
    pub fn meets(&self, (first, last): (UnixMillis, UnixMillis)) -> bool {
        self.since.is_none_or(|since| since <= last)
            && self.until.is_none_or(|until| first <= until)
    }
}

impl Form {
    /// The forms in the order in which a segment has them.
    const ALL: [Self; 3] = [Self::Live, Self::Closed, Self::Compressed];

    /// How the name of a file of this form ends.
    pub(super) fn ending(self) -> &'static str {
        match self {
            Self::Live => LIVE,
            Self::Closed => CLOSED,
            Self::Compressed => COMPRESSED,
        }
    }

    /// The stem and the form of a file's name; `None` if it is no segment's.
    pub(super) fn of(name: &str) -> Option<(&str, Self)> {
        Self::ALL.into_iter().find_map(|form| Some((name.strip_suffix(form.ending())?, form)))
    }
}

impl Segment {
    fn new(directory: &Arc<Path>, stem: &str, form: Form) -> Self {
        let (instance, count, stamp) = parts(stem).unwrap_or((stem, 0, None));
        Self {
            directory: Arc::clone(directory),
            stem: stem.to_owned(),
            instance: instance.to_owned(),
            count,
            stamp,
            form,
        }
    }

    /// The path of its file in a form, whether it is there or not.
    pub fn path(&self, form: Form) -> PathBuf {
        self.directory.join(format!("{}{}", self.stem, form.ending()))
    }

    /// Opens it in the form that it has now; `None` if it is gone.
    ///
    /// # Errors
    /// Its file can't be opened.
    pub fn open(&self) -> Result<Option<OpenSegment>, ReadError> {
        for form in Form::ALL {
            let path = self.path(form);
            match File::open(&path) {
                Ok(file) => return Ok(Some(OpenSegment { path, form, file })),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(source) => return Err(ReadError { path, source }),
            }
        }
        Ok(None)
    }

    /// Whether it can have events of a window, as its index, its name and its file's time tell.
    /// What can't be told is read.
    pub fn meets(&self, window: &Window) -> bool {
        if *window == Window::default() {
            return true;
        }
        if self.ended_before(window) {
            return false;
        }
        match self.open() {
            Ok(Some(open)) => open.time_range(self.stamp).is_none_or(|range| window.meets(range)),
            Ok(None) | Err(_) => true,
        }
    }
}

impl Segment {
    /// Whether its file was last written to before a window begins, which is told without opening.
    pub(super) fn ended_before(&self, window: &Window) -> bool {
        let Some(UnixMillis(since)) = window.since else { return false };
        let modified = fs::metadata(self.path(self.form)).and_then(|it| it.modified());
        modified.is_ok_and(|modified| millis(modified).saturating_add(SLACK_MILLIS) < since)
    }
}

impl OpenSegment {
    /// How much of it there is to read for a window, uncompressed; as it is on the disk if it does
    /// not tell.
    pub(super) fn plain_bytes(&self, window: &Window) -> u64 {
        if self.form == Form::Compressed
            && let Ok(Some(index)) = Index::read(&self.file)
        {
            let meets = |block: &&Block| block.time_range().is_none_or(|it| window.meets(it));
            return index.blocks.iter().filter(meets).map(|block| block.plain).sum();
        }
        self.file.metadata().map_or(0, |metadata| metadata.len())
    }

    /// The earliest and the latest time that its events can have.
    pub(super) fn time_range(&self, stamp: Option<UnixMillis>) -> Option<(UnixMillis, UnixMillis)> {
        if self.form == Form::Compressed
            && let Ok(Some(index)) = Index::read(&self.file)
            && let Some(range) = index.time_range()
        {
            return Some(range);
        }
        // A name's stamp is the segment's beginning, but recovered events are older than theirs.
        // A file of another name tells nothing of its beginning.
        let first = stamp.map_or(UnixMillis(0), |stamp| {
            self.first_time().map_or(stamp, |first| first.min(stamp))
        });
        let last = self.file.metadata().and_then(|metadata| metadata.modified()).ok()?;
        let first = first.0.saturating_sub(SLACK_MILLIS);
        Some((UnixMillis(first), UnixMillis(millis(last).saturating_add(SLACK_MILLIS))))
    }

    /// The time of a plain file's first line.
    fn first_time(&self) -> Option<UnixMillis> {
        if self.form == Form::Compressed {
            return None;
        }
        let mut head = vec![0; FIRST_LINE_BYTES];
        let read = self.file.read_at(&mut head, 0).ok()?;
        line::time_of(line::first_line(head.get(..read)?))
    }

    /// Its lines as a stream, those of blocks outside of the window left out; the last line can be
    /// torn.
    ///
    /// # Errors
    /// The index can't be read, or the decoder not be made.
    pub fn lines(self, window: &Window) -> io::Result<Box<dyn BufRead + Send>> {
        if self.form != Form::Compressed {
            return Ok(Box::new(BufReader::with_capacity(READ_BYTES, self.file)));
        }
        let Some(index) = Index::read(&self.file)? else {
            let decoder = zstd::stream::read::Decoder::new(self.file)?;
            return Ok(Box::new(BufReader::with_capacity(READ_BYTES, decoder)));
        };
        let meets = |block: &Block| block.time_range().is_none_or(|range| window.meets(range));
        let blocks = index.blocks.into_iter().filter(meets).collect();
        Ok(Box::new(BlockStream::new(self.file, blocks)))
    }
}

/// The segments of a directory: by instance, and in the order in which each was written.
///
/// # Errors
/// The directory can't be listed.
pub fn segments(directory: &Path) -> Result<Vec<Segment>, ReadError> {
    let unreadable = |source| ReadError { path: directory.to_owned(), source };
    let place: Arc<Path> = directory.into();
    let mut segments = Vec::new();
    for entry in fs::read_dir(directory).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let name = entry.file_name();
        let Some((stem, form)) = name.to_str().and_then(Form::of) else { continue };
        if entry.file_type().is_ok_and(|kind| !kind.is_dir()) {
            segments.push(Segment::new(&place, stem, form));
        }
    }
    // The count comes before the time: it rises even when the clock steps back.
    segments.sort_by(|a, b| a.order().cmp(&b.order()));
    // While a segment takes its next form, it can have two.
    segments.dedup_by(|later, earlier| later.stem == earlier.stem);
    Ok(segments)
}

/// The segments of a directory, the last written first, with the time of each.
pub fn newest_first(directory: &Path) -> Vec<Segment> {
    let modified = |segment: &Segment| {
        let metadata = fs::metadata(segment.path(segment.form));
        metadata.and_then(|metadata| metadata.modified()).ok()
    };
    let mut segments = segments(directory).unwrap_or_default();
    segments
        .sort_by_cached_key(|segment| std::cmp::Reverse((modified(segment), segment.stem.clone())));
    segments
}

impl Segment {
    fn order(&self) -> (&str, u32, Option<UnixMillis>, &str, Form) {
        (&self.instance, self.count, self.stamp, &self.stem, self.form)
    }
}

/// Instance, count and time of `crossgate-<instance>-<time>-<count>`.
fn parts(stem: &str) -> Option<(&str, u32, Option<UnixMillis>)> {
    let mut parts = stem.rsplitn(3, '-');
    let (count, stamp, instance) = (parts.next()?, parts.next()?, parts.next()?);
    let instance = instance.strip_prefix(PREFIX).unwrap_or(instance);
    Some((instance, count.parse().ok()?, stamp_time(stamp)))
}

/// The time of `20251010T140327Z`.
fn stamp_time(stamp: &str) -> Option<UnixMillis> {
    let part = |from: usize, to: usize| stamp.get(from..to);
    let (year, month, day) = (part(0, 4)?, part(4, 6)?, part(6, 8)?);
    let (hour, minute, rest) = (part(9, 11)?, part(11, 13)?, stamp.get(13..)?);
    time::parse(&format!("{year}-{month}-{day}T{hour}:{minute}:{rest}"))
}

/// Reads from an offset until a buffer is full or the file ends; how much it was.
pub(super) fn read_full_at(file: &File, target: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut read = 0;
    while let Some(rest) = target.get_mut(read..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, offset + u64::try_from(read).unwrap_or(u64::MAX)) {
            Ok(0) => break,
            Ok(more) => read += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(read)
}

fn millis(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// How the name of a segment begins.
pub(super) const PREFIX: &str = "crossgate-";
/// The end of a live segment's name.
pub(super) const LIVE: &str = ".live.ndjson";
/// The end of a closed segment's name.
pub(super) const CLOSED: &str = ".ndjson";
/// The end of a compressed segment's name.
pub(super) const COMPRESSED: &str = ".ndjson.zst";
/// Clocks of file systems are coarse, and workers note their times before the writer writes.
const SLACK_MILLIS: u64 = 60_000;
/// A first line is shorter, or its time is not told.
const FIRST_LINE_BYTES: usize = 16 * 1024;
/// What a stream reads at once.
const READ_BYTES: usize = 256 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn listed(names: &[&str]) -> Vec<(String, u32, Form)> {
        let place = tempfile::tempdir().unwrap();
        for name in names {
            fs::write(place.path().join(name), "").unwrap();
        }
        fs::create_dir(place.path().join("state.ndjson")).unwrap();
        let segments = segments(place.path()).unwrap();
        segments.into_iter().map(|it| (it.instance, it.count, it.form)).collect()
    }

    #[test]
    fn segments_are_listed_once_by_instance_and_count() {
        let names = [
            "crossgate-b-1-20251010T140327Z-000000.live.ndjson",
            "crossgate-a-20251010T140327Z-000010.ndjson",
            "crossgate-a-20251011T140327Z-000002.ndjson.zst",
            "crossgate-a-20251011T140327Z-000002.ndjson",
            "crossgate-a-20251010T140327Z-000003.ndjson.zst.tmp",
            "other.ndjson",
            "other.json",
            ".ndjson.swp",
        ];
        let expected = [
            ("a", 2, Form::Closed),
            ("a", 10, Form::Closed),
            ("b-1", 0, Form::Live),
            ("other", 0, Form::Closed),
        ];
        let expected = expected.map(|(instance, count, form)| (instance.to_owned(), count, form));
        assert_eq!(listed(&names), expected);
    }

    #[test]
    fn a_segment_is_found_in_its_present_form() {
        let place = tempfile::tempdir().unwrap();
        let stem = "crossgate-a-20251010T140327Z-000000";
        let path = |form: Form| place.path().join(format!("{stem}{}", form.ending()));
        fs::write(path(Form::Live), "").unwrap();
        let segment = segments(place.path()).unwrap().remove(0);
        assert_eq!(segment.stamp, Some(UnixMillis(1_760_105_007_000)));
        let opened = || segment.open().unwrap().map(|open| open.form);
        assert_eq!(opened(), Some(Form::Live));
        fs::rename(path(Form::Live), path(Form::Closed)).unwrap();
        assert_eq!(opened(), Some(Form::Closed));
        fs::write(path(Form::Compressed), "").unwrap();
        assert_eq!(opened(), Some(Form::Closed));
        fs::remove_file(path(Form::Closed)).unwrap();
        assert_eq!(opened(), Some(Form::Compressed));
        fs::remove_file(path(Form::Compressed)).unwrap();
        assert_eq!(opened(), None);
    }

    #[test]
    fn a_segment_meets_a_window_by_its_name_its_first_line_and_its_last_writing() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("crossgate-a-20251010T140000Z-000000.live.ndjson");
        let write = |line: &str| {
            fs::write(&path, line).unwrap();
            let modified = UNIX_EPOCH + Duration::from_millis(at("2025-10-10T15:00:00Z").0);
            File::options().append(true).open(&path).unwrap().set_modified(modified).unwrap();
        };
        let meets = |since: Option<&str>, until: Option<&str>| {
            let segment = segments(place.path()).unwrap().remove(0);
            segment.meets(&Window { since: since.map(at), until: until.map(at) })
        };
        write("");
        assert!(meets(None, None));
        assert!(meets(Some("2025-10-10T15:00:00Z"), None));
        assert!(!meets(Some("2025-10-10T15:02:00Z"), None));
        assert!(meets(None, Some("2025-10-10T14:00:00Z")));
        assert!(!meets(None, Some("2025-10-10T13:58:00Z")));
        // Recovered events are older than the name of their segment.
        write("{\"eventTime\":\"2025-10-10T12:00:00Z\"}\n");
        assert!(meets(None, Some("2025-10-10T13:58:00Z")));
        assert!(!meets(None, Some("2025-10-10T11:58:00Z")));
    }

    fn at(text: &str) -> UnixMillis {
        time::parse(text).unwrap()
    }
}
