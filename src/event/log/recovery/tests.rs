use std::net::{IpAddr, Ipv4Addr};

use uuid::Uuid;

use super::*;
use crate::clock::UnixMillis;
use crate::event::log::ring::{Producer, Rings};
use crate::event::{
    AssumeEvent, AssumeReason, AssumeTarget, DecidedBy, DetectionEvent, DetectionName,
    DetectionSubject, Door, EvalEvent, EventIds, PolicyInput,
};
use crate::iam::{AccountId, Identity};
use crate::policy::Missing;
use crate::verdict::{Decision, Mode, Reason, Verdict};

/// A run that was killed: what it had in its rings, and a directory for its files.
struct Killed {
    place: tempfile::TempDir,
    ids: EventIds,
}

impl Killed {
    fn new() -> Self {
        let place = tempfile::tempdir().unwrap();
        fs::create_dir_all(state_directory(place.path())).unwrap();
        Self { place, ids: EventIds::with_seed(1) }
    }

    fn frames_path(&self) -> PathBuf {
        state_directory(self.place.path()).join(format!("crossgate-i{FRAMES}"))
    }

    /// Leaves frames with these numbers in two rings; the lines that they become.
    fn frames(&mut self, boot: &str, numbers: &[u64]) -> Vec<String> {
        let layout = Layout::new("i", boot, &[65_536, 65_536]);
        let rings = Rings::create(&self.frames_path(), &layout).unwrap();
        let (_rings, mut producers, _) = rings.split();
        let mut lines = Vec::new();
        for (index, number) in numbers.iter().enumerate() {
            let payload = self.payload(*number);
            put(&mut producers[index % 2], &payload, *number);
            lines.push(line(&payload, *number));
        }
        lines
    }

    fn payload(&mut self, number: u64) -> Vec<u8> {
        let (identity, mut payload) = (Identity::sample(), Vec::new());
        let id = self.ids.next(UnixMillis(1_760_105_007_410));
        let event = EvalEvent {
            id,
            decision_id: id,
            time: UnixMillis(1_760_105_007_410),
            correlation_id: "",
            by: DecidedBy::Perimeter,
            verdict: Verdict {
                decision: Decision::Deny,
                reason: Reason::NoAccount,
                mode: Mode::ReportOnly,
            },
            candidate: false,
            identity: &identity,
            owner: AccountId::parse("59bc").unwrap(),
            action: "a",
            resource: &number.to_string(),
            route: "/",
            source_ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
            agent: "",
            input: PolicyInput::NONE,
            revision: 1,
            decide_ns: 1,
        };
        frame::encode_eval(&event, &mut payload);
        payload
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.place.path().join(name), text).unwrap();
    }

    fn recover(&self) -> u64 {
        let recovered = recover(self.place.path()).unwrap();
        assert!(!self.frames_path().exists());
        recovered
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(self.place.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name != "state")
            .collect();
        names.sort();
        names
    }

    /// Number and original number of each event in closed segments.
    fn events(&self) -> Vec<(u64, String)> {
        let mut events = Vec::new();
        for name in self.names() {
            if name.ends_with(LIVE) || !name.ends_with(CLOSED) {
                continue;
            }
            let text = fs::read_to_string(self.place.path().join(name)).unwrap();
            for line in text.lines() {
                let event: Value = serde_json::from_str(line).unwrap();
                let number = event["responseData"]["sequence"].as_u64().unwrap();
                events.push((number, event["target"]["id"].as_str().unwrap().to_owned()));
            }
        }
        events
    }

    #[track_caller]
    fn check(&self, expected: &[(u64, u64)]) {
        let expected: Vec<_> = expected.iter().map(|(n, was)| (*n, was.to_string())).collect();
        assert_eq!(self.events(), expected);
    }
}

fn put(producer: &mut Producer, payload: &[u8], number: u64) {
    assert!(producer.has_room([payload.len()].into_iter()));
    let pending = producer.begin(payload).unwrap();
    producer.finish(pending, number, 0);
    producer.publish();
}

fn line(payload: &[u8], number: u64) -> String {
    let mut line = Vec::new();
    Renderer::new("i").render(&mut line, number, &frame::decode(payload).unwrap());
    String::from_utf8(line).unwrap()
}

const LIVE_NAME: &str = "crossgate-i-20251010T140327Z-000000.live.ndjson";

#[test]
fn frames_without_lines_become_lines_in_the_order_of_their_numbers() {
    let mut run = Killed::new();
    run.frames(&segment::boot(), &[1, 3, 2, 5, 4]);
    assert_eq!(run.recover(), 5);
    run.check(&[(1, 1), (2, 2), (3, 3), (4, 4), (5, 5)]);
}

#[test]
fn frames_with_lines_are_not_written_twice_and_a_torn_line_is_cut() {
    let mut run = Killed::new();
    let lines = run.frames(&segment::boot(), &[1, 2, 3, 4]);
    run.write(LIVE_NAME, &format!("{}{}", lines[..2].concat(), lines[2].split_at(40).0));
    assert_eq!(run.recover(), 2);
    run.check(&[(1, 1), (2, 2), (3, 3), (4, 4)]);
    assert_eq!(run.names(), ["crossgate-i-20251010T140327Z-000000.ndjson"]);
}

#[test]
fn every_kind_of_event_is_recovered_once() {
    let whoever = Identity::sample();
    let attempt = AssumeEvent {
        id: Uuid::from_u128(1),
        time: UnixMillis(1_760_105_007_410),
        correlation_id: "",
        target: AssumeTarget::Role,
        initiator: Some(&whoever),
        owner: None,
        role: "2",
        session_name: "",
        duration_seconds: None,
        door: Door::Ibm,
        has_external_id: false,
        source_identity: "",
        decision: Decision::Deny,
        reason: AssumeReason::UnknownRole,
        status: 400,
        statements: &[],
        missing: Missing::default(),
        session: None,
        source_ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
        agent: "",
        revision: 1,
    };
    let AssumeEvent { time, target, initiator, source_ip, .. } = attempt;
    let detection = DetectionEvent {
        id: Uuid::from_u128(2),
        time,
        correlation_id: "",
        name: DetectionName::BreakGlass,
        subject: DetectionSubject::Role,
        count: 1,
        initiator,
        owner: None,
        role: "3",
        target,
        source_ip,
        agent: "",
        revision: 1,
    };
    // Whichever kind the last line is of, what follows it is written and nothing twice.
    for written in 0..=3 {
        let mut run = Killed::new();
        let mut payloads = [run.payload(1), Vec::new(), Vec::new()];
        frame::encode_assume(&attempt, &mut payloads[1]);
        frame::encode_detection(&detection, &mut payloads[2]);
        let layout = Layout::new("i", &segment::boot(), &[65_536]);
        let (rings, mut producers, consumers) =
            Rings::create(&run.frames_path(), &layout).unwrap().split();
        let mut lines = String::new();
        for (payload, number) in payloads.iter().zip(1..) {
            put(&mut producers[0], payload, number);
            lines += &if number <= written { line(payload, number) } else { String::new() };
        }
        run.write(LIVE_NAME, &lines);
        drop((rings, producers, consumers));
        assert_eq!(run.recover(), 3 - written);
        run.check(&[(1, 1), (2, 2), (3, 3)]);
    }
}

#[test]
fn a_number_without_a_frame_is_closed_after_a_kill_and_kept_after_a_crash_of_the_machine() {
    let numbers = [1, 2, 5, 6];
    let mut killed = Killed::new();
    killed.frames(&segment::boot(), &numbers);
    killed.recover();
    killed.check(&[(1, 1), (2, 2), (3, 5), (4, 6)]);
    let mut crashed = Killed::new();
    crashed.frames("another boot", &numbers);
    crashed.recover();
    crashed.check(&[(1, 1), (2, 2), (5, 5), (6, 6)]);
}

#[test]
fn numbers_of_dropped_events_stay_gaps() {
    let mut run = Killed::new();
    let layout = Layout::new("i", &segment::boot(), &[8192, 8192]);
    let (rings, mut producers, mut consumers) =
        Rings::create(&run.frames_path(), &layout).unwrap().split();
    for number in 1..=30 {
        let payload = run.payload(number);
        put(&mut producers[0], &payload, number);
    }
    let mut dropped = 0;
    consumers[0].drop_down_to(1, 2, |header| dropped = header.sequence);
    assert!((1..25).contains(&dropped));
    // A denial before the last dropped permit, a hole by a kill behind it.
    let payload = run.payload(5);
    put(&mut producers[1], &payload, 5);
    let payload = run.payload(33);
    put(&mut producers[1], &payload, 33);
    drop((rings, producers, consumers));
    run.recover();
    let kept = (dropped + 1..=30).map(|number| (number, number));
    let expected: Vec<_> = [(5, 5)].into_iter().chain(kept).chain([(31, 33)]).collect();
    run.check(&expected);
}

#[test]
fn a_recovery_that_was_killed_itself_is_gone_on_with() {
    let mut run = Killed::new();
    run.frames(&segment::boot(), &[1, 2, 5, 6, 7]);
    let file = fs::read(run.frames_path()).unwrap();
    run.recover();
    let names = run.names();
    let whole = fs::read_to_string(run.place.path().join(&names[0])).unwrap();
    let all = [(1, 1), (2, 2), (3, 5), (4, 6), (5, 7)];
    for kept in 0..=5 {
        // As if the frames file had not been removed, and so many lines had been written.
        fs::remove_file(run.place.path().join(&run.names()[0])).unwrap();
        let lines: String = whole.split_inclusive('\n').take(kept).collect();
        run.write(LIVE_NAME, &lines);
        fs::write(run.frames_path(), &file).unwrap();
        assert_eq!(run.recover(), 5 - u64::try_from(kept).unwrap());
        run.check(&all);
    }
}

#[test]
fn the_last_line_is_found_in_a_compressed_segment_before_an_empty_one() {
    let mut run = Killed::new();
    let lines = run.frames(&segment::boot(), &[1, 2, 3]);
    let compressed = zstd::encode_all(lines[..2].concat().as_bytes(), 3).unwrap();
    let name = "crossgate-i-20251010T140327Z-000000.ndjson.zst";
    fs::write(run.place.path().join(name), compressed).unwrap();
    run.write("crossgate-i-20251010T150327Z-000001.live.ndjson", "");
    assert_eq!(run.recover(), 1);
    run.check(&[(3, 3)]);
}

#[test]
fn a_segment_of_another_run_is_left_alone() {
    let mut run = Killed::new();
    let lines = run.frames(&segment::boot(), &[1]);
    let other = "crossgate-i-2-20251010T140327Z-000000.live.ndjson";
    run.write(other, &lines[0]);
    assert_eq!(run.recover(), 1);
    run.check(&[(1, 1)]);
    assert!(run.place.path().join(other).exists());
}

#[test]
fn a_file_that_never_got_its_head_goes_and_a_run_that_goes_on_is_left_alone() {
    let run = Killed::new();
    fs::write(run.frames_path(), [0; 5000]).unwrap();
    assert_eq!(run.recover(), 0);
    let layout = Layout::new("i", &segment::boot(), &[4096]);
    let _running = Rings::create(&run.frames_path(), &layout).unwrap();
    run.write(LIVE_NAME, "{\"half\":");
    assert_eq!(recover(run.place.path()).unwrap(), 0);
    close_orphans(run.place.path()).unwrap();
    assert_eq!(run.names(), [LIVE_NAME]);
    assert!(run.frames_path().exists());
}

#[test]
fn a_live_segment_without_a_run_is_closed_and_an_empty_one_goes() {
    let run = Killed::new();
    run.write(LIVE_NAME, "{}\n{\"half\":");
    run.write("crossgate-j-20251010T140327Z-000000.live.ndjson", "");
    close_orphans(run.place.path()).unwrap();
    let names = run.names();
    assert_eq!(names, ["crossgate-i-20251010T140327Z-000000.ndjson"]);
    assert_eq!(fs::read_to_string(run.place.path().join(&names[0])).unwrap(), "{}\n");
}
