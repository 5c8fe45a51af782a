use proptest::prelude::*;

use super::*;

#[test]
fn a_head_round_trips_and_rings_lie_behind_it() {
    let layout = Layout::new("orders-7d4f", "boot", &[4096, 65_536, 8192]);
    let mut file = layout.encode();
    file.resize(usize::try_from(layout.bytes()).unwrap(), 0);
    assert_eq!(Layout::decode(&file), Some(layout.clone()));
    assert!(layout.frames(&file).is_empty());
    let starts: Vec<u64> = layout.rings.iter().map(|ring| ring.start).collect();
    assert_eq!(starts, [8192, 12_288, 77_824]);
    assert_eq!(layout.bytes(), 86_016);
}

#[test]
fn what_is_cut_or_of_another_version_is_no_head() {
    let layout = Layout::new("i", "b", &[4096]);
    let mut file = layout.encode();
    assert_eq!(Layout::decode(&file), None, "the ring is not in the file");
    file.resize(usize::try_from(layout.bytes()).unwrap(), 0);
    for end in [0, 7, 8, 15, 16, 4096, file.len() - 1] {
        assert_eq!(Layout::decode(&file[..end]), None, "{end}");
    }
    file[8] = 2;
    assert_eq!(Layout::decode(&file), None);
}

#[test]
fn a_frame_that_does_not_fit_begins_on_the_next_lap() {
    assert_eq!(place(0, 100, 4096), 0);
    assert_eq!(place(3960, 100, 4096), 3960);
    assert_eq!(place(3968, 100, 4096), 4096);
    assert_eq!(place(4096 + 4064, 0, 4096), 8160);
    assert_eq!(place(4096 + 4088, 0, 4096), 8192);
}

proptest! {
    /// A file that somebody damaged is read without a panic and without an end.
    #[test]
    fn any_bytes_are_read(
        slots in prop::collection::vec(any::<u64>(), 24),
        noise in prop::collection::vec(any::<u8>(), 0..4096),
    ) {
        let layout = Layout::new("i", "b", &[4096, 4096, 4096]);
        let mut file = layout.encode();
        file.resize(usize::try_from(layout.bytes()).unwrap(), 0);
        for (at, slot) in slots.iter().enumerate() {
            if slot % 3 == 0 {
                file[4096 + at * 8..][..8].copy_from_slice(&slot.to_le_bytes());
            }
        }
        file[8192..][..noise.len()].copy_from_slice(&noise);
        if let Some(found) = Layout::decode(&file) {
            let _ = found.frames(&file);
        }
    }
}

#[test]
fn a_tail_at_the_end_of_all_numbers_ends() {
    let layout = Layout::new("i", "b", &[4096]);
    let mut file = layout.encode();
    file.resize(usize::try_from(layout.bytes()).unwrap(), 0);
    for tail in [u64::MAX, u64::MAX - 31, u64::MAX - 5000] {
        file[tail_offset(0)..][..8].copy_from_slice(&tail.to_le_bytes());
        assert!(layout.frames(&file).is_empty());
    }
}
