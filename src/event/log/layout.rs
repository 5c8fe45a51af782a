//! The form of a run's frames file: a head, then rings of frames.
//!
//! Flows in: bytes. Flows out: the frames that are not lines yet. Reads no file; `ring` writes what
//! is read here. Numbers are little-endian.
//!
//! The head is a page with magic, version, boot and instance, then a slot of 64 bytes for each ring:
//! where it starts, its size, its tail, the number of the last event that was dropped from it. A position counts bytes that were ever put into a ring, so
//! it is never used twice; it lies at its remainder by the ring's size, a power of two.
//!
//! A frame is a header of 32 bytes and a payload, padded to 8 bytes and never wrapped: what is left
//! at a ring's end is skipped by a pad. The check covers payload, length, losses, number and
//! position, so a frame of an earlier lap, or one that was half written, is none.

use crc32fast::Hasher;

/// Where the rings of a file are, and whose they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    /// The run that writes it.
    pub(super) instance: String,
    /// The system's boot: after another one, the page cache did not outlive the run.
    pub(super) boot: String,
    /// In the order of their slots.
    pub(super) rings: Vec<RingPlace>,
}

/// Where a ring is in its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RingPlace {
    /// Of its first byte, in pages.
    pub(super) start: u64,
    /// A power of two.
    pub(super) bytes: u64,
}

/// What stands before a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// Of the payload; [`PAD`] skips the rest of the lap.
    pub(super) bytes: u32,
    /// How many events its worker lost right before this one.
    pub(super) lost_before: u32,
    /// The event's number in its run.
    pub(super) sequence: u64,
    /// Where the frame begins.
    pub(super) position: u64,
}

/// A frame that was read back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame<'a> {
    pub(super) sequence: u64,
    pub(super) lost_before: u32,
    pub(super) payload: &'a [u8],
}

impl Layout {
    /// A layout with rings of these sizes.
    pub(super) fn new(instance: &str, boot: &str, sizes: &[u64]) -> Self {
        let mut start = head_bytes(sizes.len());
        let rings = sizes.iter().map(|&bytes| {
            let place = RingPlace { start, bytes };
            start += bytes.next_multiple_of(PAGE);
            place
        });
        let rings = rings.collect();
        let instance = instance.get(..instance.floor_char_boundary(NAME_BYTES_MAX));
        let boot = boot.get(..boot.floor_char_boundary(NAME_BYTES_MAX));
        let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
        Self { instance: text(instance), boot: text(boot), rings }
    }

    /// The whole file's size.
    pub(super) fn bytes(&self) -> u64 {
        let end = |ring: &RingPlace| ring.start + ring.bytes.next_multiple_of(PAGE);
        self.rings.last().map_or_else(|| head_bytes(0), end)
    }

    /// The head as it stands in a new file, every tail at its start.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut head = Vec::new();
        head.extend_from_slice(&MAGIC);
        head.extend_from_slice(&VERSION.to_le_bytes());
        head.extend_from_slice(&u32::try_from(self.rings.len()).unwrap_or(0).to_le_bytes());
        for text in [&self.boot, &self.instance] {
            head.extend_from_slice(&u16::try_from(text.len()).unwrap_or(0).to_le_bytes());
            head.extend_from_slice(text.as_bytes());
        }
        head.resize(usize::try_from(PAGE).unwrap_or(0), 0);
        for ring in &self.rings {
            for number in [ring.start, ring.bytes, 0, 0, 0, 0, 0, 0] {
                head.extend_from_slice(&number.to_le_bytes());
            }
        }
        head
    }

    /// Reads a file's head; `None` if it is none.
    pub(super) fn decode(file: &[u8]) -> Option<Self> {
        let mut rest = file.strip_prefix(&MAGIC)?;
        if take::<4>(&mut rest).map(u32::from_le_bytes)? != VERSION {
            return None;
        }
        let count = take::<4>(&mut rest).map(u32::from_le_bytes)?;
        let (boot, instance) = (text(&mut rest)?, text(&mut rest)?);
        let count = usize::try_from(count).ok()?;
        let rings: Option<Vec<_>> = (0..count).map(|index| slot(file, index)).collect();
        Some(Self { instance, boot, rings: rings? })
    }

    /// The highest number of an event that was dropped from a ring; 0 if none was.
    pub(super) fn dropped_through(&self, file: &[u8]) -> u64 {
        let indices = 0..self.rings.len();
        indices.filter_map(|index| number(file, dropped_offset(index))).max().unwrap_or(0)
    }

    /// The frames that the tails have not passed, by ring; each ring up to the first that is none.
    pub(super) fn frames<'f>(&self, file: &'f [u8]) -> Vec<Frame<'f>> {
        let rings = self.rings.iter().enumerate();
        rings.flat_map(|(index, ring)| ring_frames(file, index, *ring)).collect()
    }
}

/// Where a ring's tail stands in the file.
pub(super) fn tail_offset(index: usize) -> usize {
    slot_offset(index) + TAIL
}

/// Where the number of the last event that was dropped from a ring stands in the file.
pub(super) fn dropped_offset(index: usize) -> usize {
    slot_offset(index) + DROPPED
}

fn slot_offset(index: usize) -> usize {
    usize::try_from(PAGE).unwrap_or(0) + index * SLOT_BYTES
}

/// Where a frame of this size begins that comes at a position: there, or on the next lap.
pub(super) fn place(position: u64, payload_bytes: usize, ring_bytes: u64) -> u64 {
    let left = ring_bytes - position % ring_bytes;
    if left < frame_bytes(payload_bytes) { position + left } else { position }
}

/// How many bytes of a ring a frame takes.
pub(super) fn frame_bytes(payload_bytes: usize) -> u64 {
    u64::try_from(HEADER_BYTES + payload_bytes).unwrap_or(u64::MAX).next_multiple_of(8)
}

impl Header {
    /// The header's bytes; `payload` is the checksum of the payload alone.
    pub(super) fn encode(&self, payload: Hasher) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        let fields: [(usize, &[u8]); 4] = [
            (0, &self.bytes.to_le_bytes()),
            (8, &self.sequence.to_le_bytes()),
            (16, &self.position.to_le_bytes()),
            (24, &self.lost_before.to_le_bytes()),
        ];
        for (at, field) in fields {
            if let Some(place) = bytes.get_mut(at..at + field.len()) {
                place.copy_from_slice(field);
            }
        }
        let check = check(payload, &bytes);
        if let Some(place) = bytes.get_mut(CHECK) {
            place.copy_from_slice(&check.to_le_bytes());
        }
        bytes
    }

    /// The number of the first event that was lost right before, or of this one.
    pub(super) fn first(&self) -> u64 {
        self.sequence.saturating_sub(u64::from(self.lost_before))
    }

    /// Reads a header; its check is another matter.
    pub(super) fn decode(bytes: &[u8; HEADER_BYTES]) -> Self {
        let mut rest = bytes.as_slice();
        let mut long = || take::<8>(&mut rest).map_or(0, u64::from_le_bytes);
        let (first, sequence, position, last) = (long(), long(), long(), long());
        let low = |word: u64| u32::try_from(word & u64::from(u32::MAX)).unwrap_or(0);
        Self { bytes: low(first), sequence, position, lost_before: low(last) }
    }
}

/// The checksum of a frame, by that of its payload and its header.
fn check(mut payload: Hasher, header: &[u8; HEADER_BYTES]) -> u32 {
    payload.update(header.get(..CHECK.start).unwrap_or_default());
    payload.update(header.get(CHECK.end..).unwrap_or_default());
    payload.finalize()
}

fn ring_frames(file: &[u8], index: usize, ring: RingPlace) -> Vec<Frame<'_>> {
    let mut frames = Vec::new();
    let Some(tail) = number(file, tail_offset(index)) else { return frames };
    let mut position = tail;
    while position - tail < ring.bytes {
        let left = ring.bytes - position % ring.bytes;
        let found = if left < frame_bytes(0) { None } else { frame_at(file, ring, position) };
        let step = match found {
            None if left < frame_bytes(0) => left,
            None => break,
            Some((Header { bytes: PAD, .. }, _)) => left,
            Some((Header { sequence, lost_before, .. }, payload)) => {
                frames.push(Frame { sequence, lost_before, payload });
                frame_bytes(payload.len())
            }
        };
        // A tail near the end of all numbers was never written by a ring.
        let Some(next) = position.checked_add(step) else { break };
        position = next;
    }
    frames
}

/// The frame that begins at a position, if its check holds.
fn frame_at(file: &[u8], ring: RingPlace, position: u64) -> Option<(Header, &[u8])> {
    let offset = position % ring.bytes;
    let start = usize::try_from(ring.start + offset).ok()?;
    let left = usize::try_from(ring.bytes - offset).ok()?;
    let lap = file.get(start..)?.get(..left)?;
    let (bytes, rest) = lap.split_first_chunk::<HEADER_BYTES>()?;
    let header = Header::decode(bytes);
    if header.position != position {
        return None;
    }
    let payload_bytes = if header.bytes == PAD { 0 } else { usize::try_from(header.bytes).ok()? };
    let payload = rest.get(..payload_bytes)?;
    let mut hasher = Hasher::new();
    hasher.update(payload);
    let expected = u32::from_le_bytes(*bytes.get(CHECK)?.first_chunk()?);
    (check(hasher, bytes) == expected).then_some((header, payload))
}

fn slot(file: &[u8], index: usize) -> Option<RingPlace> {
    let start = number(file, slot_offset(index))?;
    let bytes = number(file, slot_offset(index) + 8)?;
    let end = start.checked_add(bytes)?;
    let is_whole = bytes.is_power_of_two() && end <= u64::try_from(file.len()).ok()?;
    is_whole.then_some(RingPlace { start, bytes })
}

fn number(file: &[u8], offset: usize) -> Option<u64> {
    file.get(offset..)?.first_chunk().map(|bytes| u64::from_le_bytes(*bytes))
}

fn text(rest: &mut &[u8]) -> Option<String> {
    let bytes = usize::from(take::<2>(rest).map(u16::from_le_bytes)?);
    let (text, after) = rest.split_at_checked(bytes)?;
    *rest = after;
    String::from_utf8(text.to_vec()).ok()
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (head, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(*head)
}

fn head_bytes(rings: usize) -> u64 {
    let slots = u64::try_from(rings * SLOT_BYTES).unwrap_or(0);
    PAGE + slots.next_multiple_of(PAGE)
}

/// The bytes of a frame before its payload.
pub(super) const HEADER_BYTES: usize = 32;
/// In place of a payload's length: nothing more comes on this lap.
pub(super) const PAD: u32 = u32::MAX;
/// Where the check stands in a header.
const CHECK: std::ops::Range<usize> = 4..8;
const MAGIC: [u8; 8] = *b"CGFRAMES";
const VERSION: u32 = 1;
const PAGE: u64 = 4096;
/// A cache line: tails are written by one thread and read by others.
const SLOT_BYTES: usize = 64;
/// Where a slot has its ring's tail.
const TAIL: usize = 16;
/// Where a slot has the number of the last event that was dropped.
const DROPPED: usize = 24;
const _: () = assert!(DROPPED + 8 <= SLOT_BYTES);
/// Instance and boot fit into the first page.
const NAME_BYTES_MAX: usize = 1024;

#[cfg(test)]
mod tests;
