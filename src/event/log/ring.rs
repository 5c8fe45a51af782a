//! Rings in a mapped file: what carries frames from a worker to the writer, and over a crash.
//!
//! The file is mapped and shared, so what is stored in it is in the page cache, which outlives the
//! process. A ring has one producer and one consumer; `head` and `tail` are positions that only rise
//! (see `layout`). The producer writes from `head` up to `tail` plus the ring's size, the consumer
//! reads from `tail` up to `head`, and each hands over with a release store of its own end, so that
//! the two never touch the same bytes.
#![expect(
    unsafe_code,
    reason = "memory that outlives the process is mapped, and shared by two threads"
)]

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crc32fast::Hasher;
use memmap2::{Advice, MmapOptions, MmapRaw};
use rustix::fs::{FallocateFlags, fallocate};

use crate::event::log::layout::{HEADER_BYTES, Header, Layout, PAD, RingPlace};
use crate::event::log::layout::{dropped_offset, frame_bytes, place, tail_offset};

/// A run's frames file, mapped. It is this run's own: the file is locked until the end.
pub(super) struct Rings {
    path: PathBuf,
    file: File,
    map: MmapRaw,
    list: Vec<Ring>,
}

struct Ring {
    place: RingPlace,
    /// Behind the last frame that the consumer may read.
    head: OwnLine,
    /// Before the first frame that is not released.
    tail: OwnLine,
}

/// On a cache line of its own, so that the two ends don't slow each other.
#[repr(align(128))]
struct OwnLine(AtomicU64);

/// The end that frames go into.
pub(super) struct Producer {
    rings: Arc<Rings>,
    index: usize,
    head: u64,
    /// The tail when it was looked at last.
    tail_seen: u64,
}

/// The end that frames come out of.
pub(super) struct Consumer {
    rings: Arc<Rings>,
    index: usize,
    /// What is read, released or not.
    read: u64,
}

/// A frame that is in the ring but not yet to be read: its number is missing.
pub(super) struct Pending {
    position: u64,
    bytes: u32,
    payload: Hasher,
}

impl Rings {
    /// Makes a run's file, whole and on the disk, and maps it.
    ///
    /// # Errors
    /// There is a file of that name, or not enough room.
    pub(super) fn create(path: &Path, layout: &Layout) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create_new(true).open(path)?;
        Self::of_file(path, file, layout).inspect_err(|_| {
            // Nobody else can have it: it is locked, or was never whole.
            let _ = std::fs::remove_file(path);
        })
    }

    fn of_file(path: &Path, file: File, layout: &Layout) -> io::Result<Self> {
        file.try_lock().map_err(io::Error::from)?;
        // All of it, so that a store into the map never finds the disk full.
        fallocate(&file, FallocateFlags::empty(), 0, layout.bytes())?;
        file.write_all_at(&layout.encode(), 0)?;
        let bytes = usize::try_from(layout.bytes()).map_err(|_| io::ErrorKind::FileTooLarge)?;
        let map = MmapOptions::new().len(bytes).map_raw(&file)?;
        // Pages are made now and not by the first requests; where the system can't, they are then.
        let _ = map.advise(Advice::PopulateWrite);
        let ring = |place: &RingPlace| Ring {
            place: *place,
            head: OwnLine(AtomicU64::new(0)),
            tail: OwnLine(AtomicU64::new(0)),
        };
        let list = layout.rings.iter().map(ring).collect();
        Ok(Self { path: path.to_owned(), file, map, list })
    }

    /// Both ends of each ring. INVARIANT: called once, as a ring has one producer and one consumer.
    pub(super) fn split(self) -> (Arc<Self>, Vec<Producer>, Vec<Consumer>) {
        let rings = Arc::new(self);
        let indices = 0..rings.list.len();
        let producers = indices.clone().map(|index| {
            let rings = Arc::clone(&rings);
            Producer { rings, index, head: 0, tail_seen: 0 }
        });
        let consumers = indices.map(|index| Consumer { rings: Arc::clone(&rings), index, read: 0 });
        let (producers, consumers) = (producers.collect(), consumers.collect());
        (rings, producers, consumers)
    }

    /// Where each ring's producer is.
    pub(super) fn heads(&self) -> impl Iterator<Item = u64> {
        self.list.iter().map(|ring| ring.head.0.load(Ordering::Acquire))
    }

    /// Forces all that is in the rings to the disk.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    /// Removes the file: all that was in it is elsewhere.
    pub(super) fn remove(&self) -> io::Result<()> {
        std::fs::remove_file(&self.path)
    }

    fn ring(&self, index: usize) -> Option<&Ring> {
        self.list.get(index)
    }

    /// Where bytes at a position are in the map.
    fn address(&self, place: RingPlace, position: u64, bytes: usize) -> *mut u8 {
        let offset = position % place.bytes;
        let end = offset.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
        let start = usize::try_from(place.start + offset).unwrap_or(usize::MAX);
        // INVARIANT: frames don't wrap, and the layout's rings are inside of the file.
        assert!(end <= place.bytes && start.saturating_add(bytes) <= self.map.len());
        // SAFETY: `start` is inside of the map, by the assertion.
        unsafe { self.map.as_mut_ptr().add(start) }
    }

    /// Copies bytes into a ring.
    ///
    /// # Safety
    /// Only the ring's producer may call it, for positions from its head up to tail and size.
    unsafe fn write(&self, place: RingPlace, position: u64, bytes: &[u8]) {
        let target = self.address(place, position, bytes.len());
        // SAFETY: `target` has room by `address`; nobody else touches it, as the caller promises.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), target, bytes.len()) };
    }

    /// Copies bytes out of a ring.
    ///
    /// # Safety
    /// Only the ring's consumer may call it, for positions from its tail up to the head.
    unsafe fn read(&self, place: RingPlace, position: u64, out: &mut [u8]) {
        let source = self.address(place, position, out.len());
        // SAFETY: `source` is long enough by `address`; nobody writes to it, as the caller promises.
        unsafe { ptr::copy_nonoverlapping(source, out.as_mut_ptr(), out.len()) };
    }

    /// Keeps a number of a ring's slot in the file too, for who reads it after a crash.
    fn keep(&self, offset: usize, number: u64) {
        assert!(offset.is_multiple_of(8) && offset + 8 <= self.map.len());
        // SAFETY: inside of the map and aligned, by the assertion and since maps begin at a page;
        // only the consumer stores to slots, and only by atomics.
        let kept = unsafe { AtomicU64::from_ptr(self.map.as_mut_ptr().add(offset).cast()) };
        kept.store(number, Ordering::Release);
    }
}

impl Producer {
    /// Whether frames with these payloads fit, one after the other.
    pub(super) fn has_room(&mut self, payloads: impl Iterator<Item = usize> + Clone) -> bool {
        let Some(ring) = self.rings.ring(self.index) else { return false };
        let size = ring.place.bytes;
        let end = payloads
            .fold(self.head, |position, bytes| place(position, bytes, size) + frame_bytes(bytes));
        if end.saturating_sub(self.tail_seen) <= size {
            return true;
        }
        self.tail_seen = ring.tail.0.load(Ordering::Acquire);
        end.saturating_sub(self.tail_seen) <= size
    }

    /// Puts a payload in its place; [`Producer::finish`] makes a frame of it. The room must be
    /// known, with that of all frames that are pending.
    pub(super) fn begin(&mut self, payload: &[u8]) -> Option<Pending> {
        let place_of_ring = self.rings.ring(self.index)?.place;
        let bytes = u32::try_from(payload.len()).ok()?;
        let position = place(self.head, payload.len(), place_of_ring.bytes);
        if place_of_ring.bytes
            < (position + frame_bytes(payload.len())).checked_sub(self.tail_seen)?
        {
            return None;
        }
        self.pad(place_of_ring, position);
        let after_header = position + u64::try_from(HEADER_BYTES).ok()?;
        // SAFETY: this is the producer, and the room was compared with the tail.
        unsafe { self.rings.write(place_of_ring, after_header, payload) };
        self.head = position + frame_bytes(payload.len());
        let mut hasher = Hasher::new();
        hasher.update(payload);
        Some(Pending { position, bytes, payload: hasher })
    }

    /// Gives a pending frame its number: from now on it outlives the process.
    pub(super) fn finish(&mut self, pending: Pending, sequence: u64, lost_before: u32) {
        let Some(ring) = self.rings.ring(self.index) else { return };
        let Pending { position, bytes, payload } = pending;
        let header = Header { bytes, lost_before, sequence, position }.encode(payload);
        // SAFETY: this is the producer, and `begin` found the room of header and payload.
        unsafe { self.rings.write(ring.place, position, &header) };
    }

    /// Lets the consumer see all that is finished. Nothing may be pending.
    pub(super) fn publish(&self) {
        if let Some(ring) = self.rings.ring(self.index) {
            ring.head.0.store(self.head, Ordering::Release);
        }
    }

    /// Where the next frame begins: behind all frames of this producer.
    pub(super) fn head(&self) -> u64 {
        self.head
    }

    /// Its ring's place among the others.
    pub(super) fn index(&self) -> usize {
        self.index
    }

    fn pad(&self, place: RingPlace, position: u64) {
        let left = position - self.head;
        if frame_bytes(0) <= left {
            let header = Header { bytes: PAD, lost_before: 0, sequence: 0, position: self.head };
            let header = header.encode(Hasher::new());
            // SAFETY: this is the producer, and the room up to `position` was compared.
            unsafe { self.rings.write(place, self.head, &header) };
        }
    }
}

impl Consumer {
    /// The next frame's header, if there is a frame that was not read.
    pub(super) fn peek(&mut self) -> Option<Header> {
        let ring = self.rings.ring(self.index)?;
        let head = ring.head.0.load(Ordering::Acquire);
        while self.read < head {
            let left = ring.place.bytes - self.read % ring.place.bytes;
            if left < frame_bytes(0) {
                self.read += left;
                continue;
            }
            let mut bytes = [0; HEADER_BYTES];
            // SAFETY: this is the consumer, and `read` is between tail and head.
            unsafe { self.rings.read(ring.place, self.read, &mut bytes) };
            let header = Header::decode(&bytes);
            if header.bytes != PAD {
                return Some(header);
            }
            self.read += left;
        }
        None
    }

    /// Reads the next frame's payload; the frame stays in the ring until it is released.
    pub(super) fn read(&mut self, payload: &mut Vec<u8>) -> Option<Header> {
        let header = self.peek()?;
        let ring = self.rings.ring(self.index)?;
        let bytes = usize::try_from(header.bytes).ok()?;
        payload.clear();
        payload.resize(bytes, 0);
        let after_header = self.read + u64::try_from(HEADER_BYTES).ok()?;
        // SAFETY: this is the consumer, and the whole frame was published with its header.
        unsafe { self.rings.read(ring.place, after_header, payload) };
        self.read += frame_bytes(bytes);
        Some(header)
    }

    /// Gives the room of all that was read back to the producer, here and in the file.
    pub(super) fn release(&mut self) {
        if let Some(ring) = self.rings.ring(self.index)
            && ring.tail.0.load(Ordering::Relaxed) != self.read
        {
            self.rings.keep(tail_offset(self.index), self.read);
            ring.tail.0.store(self.read, Ordering::Release);
        }
    }

    /// Reads again from what was not released.
    pub(super) fn rewind(&mut self) {
        if let Some(ring) = self.rings.ring(self.index) {
            self.read = ring.tail.0.load(Ordering::Relaxed);
        }
    }

    /// Drops the oldest frames until at most `numerator / denominator` of the ring is used. All
    /// that was read must be released before.
    pub(super) fn drop_down_to(
        &mut self,
        numerator: u64,
        denominator: u64,
        mut dropped: impl FnMut(Header),
    ) {
        while self.is_fuller_than(numerator, denominator)
            && let Some(header) = self.skip()
        {
            // Before the frame goes, so that its number is never taken for one without an event.
            self.rings.keep(dropped_offset(self.index), header.sequence);
            dropped(header);
        }
        self.release();
    }

    /// How many frames were not read; reads past them.
    pub(super) fn count(&mut self) -> u64 {
        let mut frames = 0;
        while self.skip().is_some() {
            frames += 1;
        }
        frames
    }

    fn skip(&mut self) -> Option<Header> {
        let header = self.peek()?;
        self.read += frame_bytes(usize::try_from(header.bytes).unwrap_or(0));
        Some(header)
    }

    /// How many bytes of the ring are in use.
    fn used(&self) -> u64 {
        let head = self.rings.ring(self.index).map(|ring| ring.head.0.load(Ordering::Acquire));
        head.unwrap_or(0).saturating_sub(self.read)
    }

    /// Whether more than `numerator / denominator` of the ring is used.
    pub(super) fn is_fuller_than(&self, numerator: u64, denominator: u64) -> bool {
        self.rings
            .ring(self.index)
            .is_some_and(|ring| ring.place.bytes * numerator < self.used() * denominator)
    }
}

#[cfg(test)]
mod tests;
