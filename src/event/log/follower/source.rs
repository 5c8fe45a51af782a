//! One segment, read from any offset of its uncompressed lines, whatever form it has.

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use crate::event::log::archive::{BLOCK_BYTES_MAX, Block, Index, Unpacker};
use crate::event::log::files::{Form, OpenSegment, read_full_at};
use crate::event::log::reader::ReadError;

/// An open segment.
pub(super) struct Source {
    path: PathBuf,
    content: Content,
}

/// What is read from a segment.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// Whole lines.
    pub(super) bytes: Vec<u8>,
    /// Where the next ones begin.
    pub(super) end: u64,
    /// How many events were passed over because they can't be read.
    pub(super) unreadable: u64,
}

enum Content {
    Archive(Archive),
    Plain(File),
    Stream(Stream),
}

/// A compressed segment with an index.
struct Archive {
    file: File,
    index: Index,
    unpacker: Unpacker,
    /// The block whose lines are here, by its offset in the uncompressed lines.
    unpacked: Option<u64>,
    lines: Vec<u8>,
}

/// A compressed segment without one, which is read from its beginning.
struct Stream {
    file: File,
    at: u64,
    lines: Box<dyn BufRead + Send>,
}

impl Source {
    pub(super) fn new(open: OpenSegment) -> io::Result<Self> {
        let content = match open.form {
            Form::Live | Form::Closed => Content::Plain(open.file),
            Form::Compressed => match Index::read(&open.file)? {
                Some(index) => Content::Archive(Archive {
                    file: open.file,
                    index,
                    unpacker: Unpacker::default(),
                    unpacked: None,
                    lines: Vec::new(),
                }),
                None => Content::Stream(Stream::new(open.file)?),
            },
        };
        Ok(Self { path: open.path, content })
    }

    /// Whole lines from an offset, at most `bytes_max` unless the first is longer.
    pub(super) fn read(&mut self, offset: u64, bytes_max: usize) -> Result<Lines, ReadError> {
        let lines = match &mut self.content {
            Content::Archive(archive) => Ok(archive.read(offset, bytes_max)),
            Content::Plain(file) => read_plain(file, offset, bytes_max),
            Content::Stream(stream) => stream.read(offset, bytes_max),
        };
        lines.map_err(|source| ReadError { path: self.path.clone(), source })
    }

    /// Where its whole lines end.
    pub(super) fn end(&self) -> io::Result<u64> {
        match &self.content {
            Content::Archive(archive) => Ok(archive.index.plain_bytes()),
            Content::Plain(file) => plain_end(file),
            // It ends before, wherever that is.
            Content::Stream(_) => Ok(u64::MAX),
        }
    }

    /// Whether nothing is ever added to it.
    pub(super) fn is_complete(&self) -> bool {
        match self.content {
            Content::Archive(_) | Content::Stream(_) => true,
            Content::Plain(_) => false,
        }
    }

    /// Whether the file has no name any more.
    pub(super) fn is_unlinked(&self) -> bool {
        let (Content::Archive(Archive { file, .. })
        | Content::Plain(file)
        | Content::Stream(Stream { file, .. })) = &self.content;
        file.metadata().map_or(true, |metadata| metadata.nlink() == 0)
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Archive {
    /// The lines of one block, and the next ones if it can't be read.
    fn read(&mut self, offset: u64, bytes_max: usize) -> Lines {
        let mut lines = Lines { end: offset, ..Lines::default() };
        while let Some((start, block)) = self.block_at(lines.end) {
            let end = start + block.plain;
            if self.unpacked != Some(start) {
                self.unpacked = None;
                if let Err(error) = self.unpacker.read(&self.file, &block, &mut self.lines) {
                    // Waiting would not mend it, and what follows is whole.
                    tracing::error!(%error, events = block.events, "a block of events is unreadable");
                    lines.unreadable += block.events;
                    lines.end = end;
                    continue;
                }
                self.unpacked = Some(start);
            }
            let from = usize::try_from(lines.end - start).unwrap_or(usize::MAX);
            let rest = self.lines.get(from..).unwrap_or_default();
            lines.bytes.extend_from_slice(whole_lines(rest, bytes_max));
            lines.end += size(lines.bytes.len());
            break;
        }
        lines
    }

    fn block_at(&self, offset: u64) -> Option<(u64, Block)> {
        let mut start = 0;
        for block in &self.index.blocks {
            if offset < start + block.plain {
                return Some((start, *block));
            }
            start += block.plain;
        }
        None
    }
}

impl Stream {
    fn new(file: File) -> io::Result<Self> {
        let decoder = zstd::stream::read::Decoder::new(file.try_clone()?)?;
        Ok(Self { file, at: 0, lines: Box::new(BufReader::with_capacity(READ_BYTES, decoder)) })
    }

    fn read(&mut self, offset: u64, bytes_max: usize) -> io::Result<Lines> {
        if offset < self.at {
            // The clones of a file share their place in it.
            io::Seek::rewind(&mut self.file)?;
            *self = Self::new(self.file.try_clone()?)?;
        }
        let mut skipped = self.lines.as_mut().take(offset - self.at);
        self.at += io::copy(&mut skipped, &mut io::sink())?;
        let mut lines = Lines { end: offset, ..Lines::default() };
        let mut line = Vec::new();
        while self.at == lines.end && lines.bytes.len() < bytes_max {
            line.clear();
            let limit = size(BLOCK_BYTES_MAX);
            self.at += size(self.lines.as_mut().take(limit).read_until(b'\n', &mut line)?);
            if !line.ends_with(b"\n") {
                break;
            }
            let full = bytes_max < lines.bytes.len() + line.len();
            if full && !lines.bytes.is_empty() {
                break;
            }
            lines.bytes.extend_from_slice(&line);
            lines.end = self.at;
        }
        Ok(lines)
    }
}

fn read_plain(file: &File, offset: u64, bytes_max: usize) -> io::Result<Lines> {
    let mut lines = Lines { end: offset, ..Lines::default() };
    let mut wanted = bytes_max.max(1);
    loop {
        lines.bytes.resize(wanted, 0);
        let read = read_full_at(file, &mut lines.bytes, offset)?;
        lines.bytes.truncate(read);
        let whole = whole_lines(&lines.bytes, bytes_max).len();
        if 0 < whole || read < wanted {
            lines.bytes.truncate(whole);
            lines.end += size(whole);
            return Ok(lines);
        }
        if BLOCK_BYTES_MAX <= wanted {
            // No event is that long: its line is passed over.
            lines.bytes.clear();
            lines.end = next_line(file, offset + size(read))?.unwrap_or(offset);
            return if lines.end == offset {
                Ok(lines)
            } else {
                read_plain(file, lines.end, bytes_max)
            };
        }
        wanted = (wanted * 2).clamp(LINE_BYTES_USUAL, BLOCK_BYTES_MAX);
    }
}

/// Where the line after the present one begins; `None` if the present one doesn't end.
fn next_line(file: &File, mut offset: u64) -> io::Result<Option<u64>> {
    let mut bytes = vec![0; READ_BYTES];
    loop {
        let read = read_full_at(file, &mut bytes, offset)?;
        let part = bytes.get(..read).unwrap_or_default();
        if let Some(newline) = memchr::memchr(b'\n', part) {
            return Ok(Some(offset + size(newline) + 1));
        }
        if read == 0 {
            return Ok(None);
        }
        offset += size(read);
    }
}

/// Where the last whole line of a plain file ends.
fn plain_end(file: &File) -> io::Result<u64> {
    let mut end = file.metadata()?.len();
    let mut bytes = vec![0; READ_BYTES];
    while 0 < end {
        let start = end.saturating_sub(size(READ_BYTES));
        bytes.resize(usize::try_from(end - start).unwrap_or(READ_BYTES), 0);
        let read = read_full_at(file, &mut bytes, start)?;
        if let Some(newline) = memchr::memrchr(b'\n', bytes.get(..read).unwrap_or_default()) {
            return Ok(start + size(newline) + 1);
        }
        end = start;
    }
    Ok(0)
}

/// The whole lines at the beginning of a text, at most `bytes_max` unless the first is longer.
fn whole_lines(text: &[u8], bytes_max: usize) -> &[u8] {
    let head = text.get(..bytes_max).unwrap_or(text);
    let end = memchr::memrchr(b'\n', head).or_else(|| memchr::memchr(b'\n', text));
    end.and_then(|newline| text.get(..=newline)).unwrap_or_default()
}

fn size(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

/// What a line longer than a batch is tried with first.
const LINE_BYTES_USUAL: usize = 16 * 1024;
/// What is read at once.
const READ_BYTES: usize = 64 * 1024;
