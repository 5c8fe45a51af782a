use std::collections::VecDeque;
use std::fs;
use std::thread;

use proptest::prelude::*;

use super::*;
use crate::event::log::layout::Frame;

fn ring(directory: &Path, bytes: u64) -> (Arc<Rings>, Producer, Consumer) {
    let path = directory.join("r.frames");
    let rings = Rings::create(&path, &Layout::new("i", "b", &[bytes])).unwrap();
    let (rings, mut producers, mut consumers) = rings.split();
    (rings, producers.pop().unwrap(), consumers.pop().unwrap())
}

/// Puts a frame in; false without room.
fn put(producer: &mut Producer, payload: &[u8], sequence: u64) -> bool {
    if !producer.has_room([payload.len()].into_iter()) {
        return false;
    }
    let pending = producer.begin(payload).unwrap();
    producer.finish(pending, sequence, 0);
    producer.publish();
    true
}

/// What a process that comes after a crash finds.
fn survivors(directory: &Path) -> Vec<(u64, Vec<u8>)> {
    let file = fs::read(directory.join("r.frames")).unwrap();
    let layout = Layout::decode(&file).unwrap();
    let frames = layout.frames(&file).into_iter();
    frames.map(|Frame { sequence, payload, .. }| (sequence, payload.to_vec())).collect()
}

/// A payload that tells which event's it is.
fn text_of(sequence: u64, bytes: usize) -> Vec<u8> {
    let first = usize::try_from(sequence % 251).unwrap();
    (0..bytes).map(|at| u8::try_from((first + at) % 251).unwrap()).collect()
}

#[derive(Clone, Debug)]
enum Step {
    Put(usize),
    Read(usize),
    Release,
    Rewind,
    Drop,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0_usize..900).prop_map(Step::Put),
        3 => (1_usize..5).prop_map(Step::Read),
        2 => Just(Step::Release),
        1 => Just(Step::Rewind),
        1 => Just(Step::Drop),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Goal: what comes out is what went in, in order, and what survives a crash is exactly what
    /// was not released. Method: a queue as the model, and the file read back after each step.
    #[test]
    fn a_ring_is_a_queue_and_survives_what_is_not_released(
        steps in prop::collection::vec(step(), 1..120)
    ) {
        let place = tempfile::tempdir().unwrap();
        let (_rings, mut producer, mut consumer) = ring(place.path(), 4096);
        let (mut kept, mut read, mut sequence) = (VecDeque::new(), 0, 0_u64);
        let mut payload = Vec::new();
        for step in steps {
            match step {
                Step::Put(bytes) => {
                    let text = text_of(sequence + 1, bytes);
                    if put(&mut producer, &text, sequence + 1) {
                        sequence += 1;
                        kept.push_back((sequence, text));
                    } else {
                        prop_assert!(!kept.is_empty(), "an empty ring takes a frame");
                    }
                }
                Step::Read(frames) => for _ in 0..frames {
                    match (consumer.read(&mut payload), kept.get(read)) {
                        (Some(header), Some((sequence, text))) => {
                            prop_assert_eq!((header.sequence, &payload), (*sequence, text));
                            read += 1;
                        }
                        (None, None) => {}
                        (found, expected) => prop_assert!(false, "{found:?}, not {expected:?}"),
                    }
                },
                Step::Release => {
                    consumer.release();
                    kept.drain(..read);
                    read = 0;
                }
                Step::Rewind => {
                    consumer.rewind();
                    read = 0;
                }
                Step::Drop => {
                    consumer.release();
                    kept.drain(..read);
                    read = 0;
                    consumer.drop_down_to(1, 2, |header| {
                        assert_eq!(kept.pop_front().unwrap().0, header.sequence);
                    });
                    prop_assert!(!consumer.is_fuller_than(1, 2));
                }
            }
            let expected: Vec<_> = kept.iter().cloned().collect();
            prop_assert_eq!(survivors(place.path()), expected);
        }
    }
}

#[test]
fn a_frame_without_its_header_is_none() {
    let place = tempfile::tempdir().unwrap();
    let (_rings, mut producer, _consumer) = ring(place.path(), 4096);
    assert!(put(&mut producer, b"whole", 1));
    // As if the process had been killed here.
    let _pending = producer.begin(b"half").unwrap();
    assert_eq!(survivors(place.path()), [(1, b"whole".to_vec())]);
}

#[test]
fn a_damaged_frame_ends_what_survives() {
    let place = tempfile::tempdir().unwrap();
    let (_rings, mut producer, _consumer) = ring(place.path(), 4096);
    for sequence in 1..=3 {
        assert!(put(&mut producer, &[7; 100], sequence));
    }
    let path = place.path().join("r.frames");
    let intact = fs::read(&path).unwrap();
    let start = Layout::decode(&intact).unwrap().rings[0].start;
    let second = usize::try_from(start + frame_bytes(100)).unwrap();
    for at in second..second + HEADER_BYTES + 100 {
        let mut damaged = intact.clone();
        damaged[at] ^= 0x10;
        let layout = Layout::decode(&damaged).unwrap();
        let found: Vec<u64> = layout.frames(&damaged).iter().map(|frame| frame.sequence).collect();
        assert_eq!(found, [1], "byte {at}");
    }
}

#[test]
fn the_file_is_locked_while_the_rings_are_open_and_is_made_only_once() {
    let place = tempfile::tempdir().unwrap();
    let (rings, producer, consumer) = ring(place.path(), 4096);
    let path = place.path().join("r.frames");
    assert!(File::open(&path).unwrap().try_lock().is_err());
    let again = Rings::create(&path, &Layout::new("i", "b", &[4096]));
    assert_eq!(again.err().unwrap().kind(), io::ErrorKind::AlreadyExists);
    drop((rings, producer, consumer));
    assert!(File::open(&path).unwrap().try_lock().is_ok());
}

/// Goal: no byte of a frame is read while it is written. Method: two threads as fast as they can,
/// over many laps of a small ring, every payload's bytes given by its number.
#[test]
fn two_threads_hand_over_whole_frames() {
    let place = tempfile::tempdir().unwrap();
    let (_rings, mut producer, mut consumer) = ring(place.path(), 8192);
    let bytes_of = |sequence: u64| text_of(sequence, usize::try_from(sequence * 37 % 700).unwrap());
    let last = 200_000_u64;
    thread::scope(|scope| {
        scope.spawn(|| {
            for sequence in 1..=last {
                while !put(&mut producer, &bytes_of(sequence), sequence) {
                    thread::yield_now();
                }
            }
        });
        scope.spawn(|| {
            let (mut payload, mut next) = (Vec::new(), 1);
            while next <= last {
                let Some(header) = consumer.read(&mut payload) else {
                    consumer.release();
                    thread::yield_now();
                    continue;
                };
                assert_eq!((header.sequence, &payload), (next, &bytes_of(next)));
                next += 1;
                if next % 3 == 0 {
                    consumer.release();
                }
            }
        });
    });
}
