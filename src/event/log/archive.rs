//! Closed segments as zstd: blocks of whole lines, and an index that tells where each one is.
//!
//! A block is a zstd frame of about 1 MiB of lines. The index is one skippable frame at the end of
//! the file, so every zstd tool reads the lines and passes over the index.

use std::fs::{self, File};
use std::io::{self, BufRead, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use serde::{Deserialize, Serialize};
use zstd::bulk::{Compressor, Decompressor};

use crate::clock::UnixMillis;
use crate::event::log::line;

/// What is in a compressed segment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Index {
    version: u32,
    /// In the order of the file.
    pub blocks: Vec<Block>,
}

/// One zstd frame of whole lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    /// Where the frame begins.
    pub at: u64,
    /// How long it is.
    pub bytes: u64,
    /// How long its lines are, newlines included.
    pub plain: u64,
    /// How many lines.
    pub events: u64,
    /// The earliest time of an event, in milliseconds; none if no line tells one.
    pub first: Option<u64>,
    /// The latest time.
    pub last: Option<u64>,
    /// The number of its first event.
    pub sequence: Option<u64>,
}

/// What a compression made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// How many lines.
    pub events: u64,
    /// How long they are.
    pub plain_bytes: u64,
    /// How long the new file is.
    pub bytes: u64,
    /// How much was after the last newline, which is left out: no event ends there.
    pub torn_bytes: u64,
}

/// Compresses a closed segment; the target is on the disk when this returns.
///
/// # Errors
/// A file can't be read or written, or has a line of more than 8 MiB; then there is no target.
pub fn compress(plain: &Path, target: &Path) -> io::Result<Summary> {
    compress_stepwise(plain, target, &mut || Ok(()))
}

/// Compresses a closed segment, and calls `step` after each block; its error ends the work.
///
/// # Errors
/// As `compress`, and those of `step`.
pub fn compress_stepwise(
    plain: &Path,
    target: &Path,
    step: &mut dyn FnMut() -> io::Result<()>,
) -> io::Result<Summary> {
    let mut source = File::open(plain)?;
    let file = File::create(target)?;
    let result = Packer::new(file).and_then(|packer| pack(&mut source, packer, step));
    if result.is_err() {
        // What is half is of no use, and the caller tries again.
        let _ = fs::remove_file(target);
    }
    result
}

fn pack(
    source: &mut File,
    mut packer: Packer,
    step: &mut dyn FnMut() -> io::Result<()>,
) -> io::Result<Summary> {
    let mut lines = Vec::with_capacity(BLOCK_BYTES);
    let mut wanted = BLOCK_BYTES;
    loop {
        let missing = u64::try_from(wanted.saturating_sub(lines.len())).unwrap_or(0);
        source.take(missing).read_to_end(&mut lines)?;
        let ended = lines.len() < wanted;
        match memchr::memrchr(b'\n', &lines) {
            Some(newline) => {
                packer.add(lines.get(..=newline).unwrap_or_default())?;
                lines.drain(..=newline);
                wanted = BLOCK_BYTES;
            }
            None if ended => return packer.finish(lines.len()),
            None if BLOCK_BYTES_MAX <= wanted => return Err(invalid("a line is too long")),
            None => wanted = BLOCK_BYTES_MAX,
        }
        step()?;
    }
}

/// Writes blocks and keeps their index.
struct Packer {
    file: File,
    compressor: Compressor<'static>,
    packed: Vec<u8>,
    blocks: Vec<Block>,
    summary: Summary,
}

impl Packer {
    fn new(file: File) -> io::Result<Self> {
        let mut compressor = Compressor::new(LEVEL)?;
        compressor.set_parameter(zstd::zstd_safe::CParameter::ChecksumFlag(true))?;
        Ok(Self {
            file,
            compressor,
            packed: Vec::new(),
            blocks: Vec::new(),
            summary: Summary::default(),
        })
    }

    fn add(&mut self, lines: &[u8]) -> io::Result<()> {
        self.packed.clear();
        self.packed.reserve(zstd::zstd_safe::compress_bound(lines.len()));
        self.compressor.compress_to_buffer(lines, &mut self.packed)?;
        self.file.write_all(&self.packed)?;
        let block = Block::of(lines, self.summary.bytes, size(self.packed.len()));
        self.summary.bytes += block.bytes;
        self.summary.plain_bytes += block.plain;
        self.summary.events += block.events;
        self.blocks.push(block);
        Ok(())
    }

    fn finish(mut self, torn: usize) -> io::Result<Summary> {
        let index = Index { version: VERSION, blocks: self.blocks };
        let frame = index.frame()?;
        self.file.write_all(&frame)?;
        self.file.sync_all()?;
        self.summary.bytes += size(frame.len());
        self.summary.torn_bytes = size(torn);
        Ok(self.summary)
    }
}

impl Block {
    fn of(lines: &[u8], at: u64, bytes: u64) -> Self {
        let times = lines.split_inclusive(|byte| *byte == b'\n').filter_map(line::time_of);
        let (mut first, mut last) = (None, None);
        for UnixMillis(time) in times {
            first = Some(first.map_or(time, |first: u64| first.min(time)));
            last = Some(last.map_or(time, |last: u64| last.max(time)));
        }
        let (plain, events) = (size(lines.len()), line::count(lines));
        let sequence = line::sequence_of(line::first_line(lines));
        Self { at, bytes, plain, events, first, last, sequence }
    }

    /// The earliest and the latest time, where an event tells one.
    pub(super) fn time_range(&self) -> Option<(UnixMillis, UnixMillis)> {
        Some((UnixMillis(self.first?), UnixMillis(self.last?)))
    }
}

impl Index {
    /// How many lines the segment has.
    pub fn events(&self) -> u64 {
        self.blocks.iter().map(|block| block.events).sum()
    }

    /// How long the segment is, uncompressed.
    pub fn plain_bytes(&self) -> u64 {
        self.blocks.iter().map(|block| block.plain).sum()
    }

    /// The earliest and the latest time of the segment's events.
    pub fn time_range(&self) -> Option<(UnixMillis, UnixMillis)> {
        let ranges = self.blocks.iter().filter_map(Block::time_range);
        ranges.reduce(|(first, last), (from, to)| (first.min(from), last.max(to)))
    }

    /// Reads the index at the end of a file; `None` if the file has none, or one that can't be
    /// right.
    ///
    /// # Errors
    /// The file can't be read.
    pub fn read(file: &File) -> io::Result<Option<Self>> {
        let length = file.metadata()?.len();
        let mut end = [0; END_BYTES];
        let Some(end_at) = length.checked_sub(size(END_BYTES)) else { return Ok(None) };
        file.read_exact_at(&mut end, end_at)?;
        let Some((payload, mark)) = end.split_first_chunk::<4>() else { return Ok(None) };
        let payload_bytes = u32::from_le_bytes(*payload);
        if mark != END_MARK || INDEX_BYTES_MAX < payload_bytes {
            return Ok(None);
        }
        let Some(frame_at) = end_at.checked_sub(u64::from(payload_bytes) + size(HEAD_BYTES)) else {
            return Ok(None);
        };
        let mut frame = vec![0; HEAD_BYTES + usize::try_from(payload_bytes).unwrap_or(0)];
        file.read_exact_at(&mut frame, frame_at)?;
        let Some((head, payload)) = frame.split_first_chunk::<HEAD_BYTES>() else {
            return Ok(None);
        };
        let index = (*head == Self::frame_head(payload.len())?)
            .then(|| serde_json::from_slice::<Self>(payload).ok())
            .flatten();
        Ok(index.filter(|index| index.fits(frame_at)))
    }

    /// Whether the blocks fill the file up to the index, and none is larger than they are.
    fn fits(&self, frames_end: u64) -> bool {
        let mut at = 0;
        let whole = self.blocks.iter().all(|block| {
            let follows = block.at == at && block.plain <= size(BLOCK_BYTES_MAX);
            at = at.saturating_add(block.bytes);
            follows
        });
        self.version == VERSION && whole && at == frames_end
    }

    fn frame(&self) -> io::Result<Vec<u8>> {
        let payload = serde_json::to_vec(self)?;
        let mut frame = Self::frame_head(payload.len())?.to_vec();
        frame.extend_from_slice(&payload);
        frame.extend_from_slice(&length(payload.len())?.to_le_bytes());
        frame.extend_from_slice(END_MARK);
        Ok(frame)
    }

    fn frame_head(payload: usize) -> io::Result<[u8; HEAD_BYTES]> {
        let content = length(payload + END_BYTES)?;
        let mut head = [0; HEAD_BYTES];
        let (magic, rest) = head.split_at_mut(4);
        magic.copy_from_slice(&SKIPPABLE_MAGIC.to_le_bytes());
        rest.copy_from_slice(&content.to_le_bytes());
        Ok(head)
    }
}

/// Reads blocks, with memory that it keeps from one to the next.
#[derive(Default)]
pub(super) struct Unpacker {
    decompressor: Decompressor<'static>,
    packed: Vec<u8>,
}

impl Unpacker {
    /// Puts the lines of a block into `lines`, in place of what was there.
    ///
    /// # Errors
    /// The file can't be read, or the block is not what the index says.
    pub(super) fn read(
        &mut self,
        file: &File,
        block: &Block,
        lines: &mut Vec<u8>,
    ) -> io::Result<()> {
        let [plain, packed] = [block.plain, block.bytes].map(usize::try_from);
        let (Ok(plain), Ok(packed)) = (plain, packed) else {
            return Err(invalid("a block is too large"));
        };
        self.packed.resize(packed, 0);
        file.read_exact_at(&mut self.packed, block.at)?;
        lines.clear();
        lines.reserve(plain);
        self.decompressor.decompress_to_buffer(&self.packed, lines)?;
        if lines.len() == plain { Ok(()) } else { Err(invalid("a block has another length")) }
    }
}

impl std::fmt::Debug for Unpacker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Unpacker").finish_non_exhaustive()
    }
}

/// The lines of some blocks of a file, one after the other.
#[derive(Debug)]
pub(super) struct BlockStream {
    file: File,
    blocks: std::vec::IntoIter<Block>,
    unpacker: Unpacker,
    lines: Vec<u8>,
    /// How much of the lines was taken.
    taken: usize,
}

impl BlockStream {
    pub(super) fn new(file: File, blocks: Vec<Block>) -> Self {
        let unpacker = Unpacker::default();
        Self { file, blocks: blocks.into_iter(), unpacker, lines: Vec::new(), taken: 0 }
    }
}

impl BufRead for BlockStream {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.lines.len() <= self.taken {
            let Some(block) = self.blocks.next() else { return Ok(&[]) };
            self.taken = 0;
            self.unpacker.read(&self.file, &block, &mut self.lines)?;
        }
        Ok(self.lines.get(self.taken..).unwrap_or_default())
    }

    fn consume(&mut self, amount: usize) {
        self.taken += amount;
    }
}

impl Read for BlockStream {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        let read = self.fill_buf()?.read(target)?;
        self.consume(read);
        Ok(read)
    }
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

fn size(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

fn length(bytes: usize) -> io::Result<u32> {
    u32::try_from(bytes).map_err(|_| invalid("the index is too long"))
}

/// What is read and compressed at once.
pub(super) const BLOCK_BYTES: usize = 1024 * 1024;
/// The largest block, that of a line that is longer than a block; no event is.
pub(super) const BLOCK_BYTES_MAX: usize = 8 * BLOCK_BYTES;
/// The fastest of zstd's usual levels: what is compressed takes time from requests.
const LEVEL: i32 = 1;
/// The form of the index.
const VERSION: u32 = 1;
/// The largest index that is read: a segment of 64 MiB has one of 8 KiB.
const INDEX_BYTES_MAX: u32 = 16 * 1024 * 1024;
/// Of the sixteen numbers of frames that zstd skips.
const SKIPPABLE_MAGIC: u32 = 0x184D_2A5C;
/// Magic and length of a skippable frame.
const HEAD_BYTES: usize = 8;
/// The end of a file with an index.
const END_MARK: &[u8; 8] = b"CGINDEX1";
/// The payload's length and the mark.
const END_BYTES: usize = 4 + END_MARK.len();

#[cfg(test)]
mod tests;
