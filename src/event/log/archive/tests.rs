use std::process::Command;

use super::*;

fn event(n: u64) -> String {
    let time =
        format!("2025-10-10T14:{:02}:{:02}.{:02}+0000", n / 6000 % 60, n / 100 % 60, n % 100);
    format!(
        "{{\"action\":\"iam-access-management.policy.eval\",\"eventTime\":\"{time}\",\
         \"padding\":\"{:0>1000}\",\"responseData\":{{\"sequence\":{n},\"decision\":\"Deny\"}}}}\n",
        n.wrapping_mul(0x9E37_79B9_7F4A_7C15)
    )
}

/// Writes a text, compresses it; the archive's file and what compression said.
#[track_caller]
fn packed(place: &Path, text: &[u8]) -> (File, Summary) {
    let (plain, target) = (place.join("plain.ndjson"), place.join("packed.ndjson.zst"));
    fs::write(&plain, text).unwrap();
    let summary = compress(&plain, &target).unwrap();
    (File::open(target).unwrap(), summary)
}

fn lines_of(file: &File, index: &Index) -> Vec<Vec<u8>> {
    let (mut unpacker, mut lines) = (Unpacker::default(), Vec::new());
    let blocks = index.blocks.iter().map(|block| {
        unpacker.read(file, block, &mut lines).unwrap();
        lines.clone()
    });
    blocks.collect()
}

#[test]
fn blocks_are_whole_lines_and_the_index_tells_what_is_in_them() {
    let place = tempfile::tempdir().unwrap();
    let text: String = (1..=5000).map(event).collect();
    let (file, summary) = packed(place.path(), text.as_bytes());
    assert_eq!((summary.events, summary.torn_bytes), (5000, 0));
    assert_eq!(summary.plain_bytes, size(text.len()));
    assert_eq!(summary.bytes, file.metadata().unwrap().len());

    let index = Index::read(&file).unwrap().unwrap();
    assert!(4 < index.blocks.len(), "{}", index.blocks.len());
    assert_eq!((index.events(), index.plain_bytes()), (5000, size(text.len())));
    let lines = lines_of(&file, &index);
    assert_eq!(lines.concat(), text.as_bytes());
    let mut sequence = 1;
    for (block, lines) in index.blocks.iter().zip(&lines) {
        assert!(lines.ends_with(b"\n") && block.plain <= size(BLOCK_BYTES));
        assert_eq!(block.sequence, Some(sequence));
        assert_eq!(block.first, line::time_of(line::first_line(lines)).map(|time| time.0));
        assert_eq!(block.last, line::time_of(line::last_line(lines)).map(|time| time.0));
        sequence += block.events;
    }
}

#[test]
fn zstd_itself_reads_the_lines_and_passes_over_the_index() {
    let place = tempfile::tempdir().unwrap();
    let text: String = (1..=3000).map(event).collect();
    packed(place.path(), text.as_bytes());
    let tool = Command::new("zstd").arg("-dc").arg(place.path().join("packed.ndjson.zst")).output();
    let tool = tool.expect("zstd is not there; tests/install installs it");
    assert!(tool.status.success(), "{}", String::from_utf8_lossy(&tool.stderr));
    assert_eq!(tool.stdout, text.as_bytes());
    let ours =
        zstd::stream::decode_all(File::open(place.path().join("packed.ndjson.zst")).unwrap());
    assert_eq!(ours.unwrap(), text.as_bytes());
}

#[test]
fn what_is_after_the_last_newline_is_left_out() {
    let place = tempfile::tempdir().unwrap();
    for (text, events, torn) in
        [("", 0, 0), ("{\"torn", 0, 6), ("{}\n", 1, 0), ("{}\n{\"torn", 1, 6), ("\n\n", 2, 0)]
    {
        let (file, summary) = packed(place.path(), text.as_bytes());
        assert_eq!((summary.events, summary.torn_bytes), (events, torn), "{text:?}");
        let index = Index::read(&file).unwrap().unwrap();
        let whole = text.len() - usize::try_from(torn).unwrap();
        assert_eq!(lines_of(&file, &index).concat(), &text.as_bytes()[..whole]);
    }
}

#[test]
fn a_line_longer_than_a_block_has_one_and_a_longer_one_is_refused() {
    let place = tempfile::tempdir().unwrap();
    let line = |bytes: usize| [vec![b'x'; bytes - 1], vec![b'\n']].concat();
    let text = [line(10), line(2 * BLOCK_BYTES), line(10)].concat();
    let (file, summary) = packed(place.path(), &text);
    assert_eq!(summary.events, 3);
    assert_eq!(lines_of(&file, &Index::read(&file).unwrap().unwrap()).concat(), text);
    packed(place.path(), &line(BLOCK_BYTES_MAX));

    let (plain, target) = (place.path().join("long.ndjson"), place.path().join("long.zst"));
    fs::write(&plain, line(BLOCK_BYTES_MAX + 1)).unwrap();
    assert_eq!(compress(&plain, &target).unwrap_err().kind(), io::ErrorKind::InvalidData);
    assert!(!target.exists(), "half a target stays");
}

#[test]
fn a_step_is_taken_after_each_block_and_can_end_the_work() {
    let place = tempfile::tempdir().unwrap();
    let (plain, target) = (place.path().join("plain"), place.path().join("target"));
    let text: String = (1..=5000).map(event).collect();
    fs::write(&plain, text).unwrap();
    let mut steps = 0;
    let result = compress_stepwise(&plain, &target, &mut || {
        steps += 1;
        if steps < 3 { Ok(()) } else { Err(io::ErrorKind::Interrupted.into()) }
    });
    assert_eq!((result.unwrap_err().kind(), steps), (io::ErrorKind::Interrupted, 3));
    assert!(!target.exists());
}

#[test]
fn files_without_a_right_index_have_none() {
    let place = tempfile::tempdir().unwrap();
    let text: String = (1..=10).map(event).collect();
    let (file, _) = packed(place.path(), text.as_bytes());
    let whole = fs::read(place.path().join("packed.ndjson.zst")).unwrap();
    assert!(Index::read(&file).unwrap().is_some());
    let index_at = whole.windows(4).rposition(|it| it == SKIPPABLE_MAGIC.to_le_bytes()).unwrap();
    let changed = |at: usize, to: u8| {
        let mut bytes = whole.clone();
        bytes[at] = to;
        bytes
    };
    let end = whole.len();
    for (name, bytes) in [
        ("nothing", Vec::new()),
        ("short", whole[end - 5..].to_vec()),
        ("no frames", whole[index_at..].to_vec()),
        ("cut", whole[..end - 1].to_vec()),
        ("without index", whole[..index_at].to_vec()),
        ("other mark", changed(end - 1, b'2')),
        ("too long", changed(end - 9, 0xff)),
        ("shorter than it is", changed(end - 12, whole[end - 12] - 1)),
        ("other magic", changed(index_at, 0)),
        ("no JSON", changed(index_at + HEAD_BYTES, b'[')),
        ("more before", [b"x", &whole[..]].concat()),
    ] {
        let path = place.path().join("changed");
        fs::write(&path, bytes).unwrap();
        assert_eq!(Index::read(&File::open(&path).unwrap()).unwrap(), None, "{name}");
    }
}

#[test]
fn a_block_that_rotted_is_an_error() {
    let place = tempfile::tempdir().unwrap();
    let text: String = (1..=10).map(event).collect();
    packed(place.path(), text.as_bytes());
    let path = place.path().join("packed.ndjson.zst");
    let mut bytes = fs::read(&path).unwrap();
    let index = Index::read(&File::open(&path).unwrap()).unwrap().unwrap();
    let middle = usize::try_from(index.blocks[0].bytes / 2).unwrap();
    bytes[middle] ^= 1;
    fs::write(&path, bytes).unwrap();
    let file = File::open(&path).unwrap();
    let result = Unpacker::default().read(&file, &index.blocks[0], &mut Vec::new());
    assert!(result.is_err());
}
