//! How fast the event log is searched, by one thread: bytes of uncompressed lines a second.
//!
//! `cargo bench --bench event_query -- --make-log DIR GIB` makes a log of that size and measures
//! nothing; `loadtest/query` asks questions of it.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark tells what it made, and one that can't start ends"
)]

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZero;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use crossgate::clock::UnixMillis;
use crossgate::event::frame;
use crossgate::event::log::{FoundLine, Order, ReadError, Scan, Window, compress, segments};
use crossgate::event::query::Query;
use crossgate::event::wire::Renderer;
use crossgate::event::{DecidedBy, EvalEvent, EventIds, PolicyInput, time};
use crossgate::iam::{AccountId, Identity};
use crossgate::verdict::{Decision, Mode, Reason, Verdict};
use divan::Bencher;
use divan::counter::BytesCount;

#[path = "../tests/support/identity.rs"]
mod identity;

// As the binary has it.
#[global_allocator]
static MEMORY: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let at = arguments.iter().position(|argument| argument == "--make-log");
    let Some(at) = at else { return divan::main() };
    let (directory, gib) = (arguments.get(at + 1).unwrap(), arguments.get(at + 2).unwrap());
    let directory = Path::new(directory);
    fs::create_dir_all(directory).unwrap();
    let segments = gib.parse::<u64>().unwrap() * 1024 * 1024 * 1024 / SEGMENT_BYTES;
    let mut lines = Lines::new();
    for segment in 0..segments {
        // What is not compressed yet is a segment or two of a running proxy.
        let form = if segment + 1 < segments { Form::Compressed } else { Form::Live };
        lines.segment(directory, segment, form);
    }
    let end = time::text(UnixMillis(lines.millis));
    println!("{}Z", end.replace(' ', "T"));
}

/// Lines as the proxy writes them: two thousand callers of fifty accounts, a hundred events a
/// second, of which one in twenty is a denial.
struct Lines {
    random: fastrand::Rng,
    ids: EventIds,
    renderer: Renderer,
    identities: Vec<Identity>,
    millis: u64,
    sequence: u64,
    frame: Vec<u8>,
    line: Vec<u8>,
}

/// How a segment is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Compressed,
    Live,
}

impl Lines {
    fn new() -> Self {
        let mut random = fastrand::Rng::with_seed(1);
        let identities = (0..2000).map(|n| identity(n, &mut random)).collect();
        Self {
            random,
            ids: EventIds::with_seed(1),
            renderer: Renderer::new("orders-7d4f"),
            identities,
            millis: START,
            sequence: 0,
            frame: Vec::new(),
            line: Vec::new(),
        }
    }

    fn segment(&mut self, directory: &Path, segment: u64, form: Form) {
        let stem = format!("crossgate-orders-7d4f-{}-{segment:06}", stamp(self.millis));
        let ending = if form == Form::Live { ".live.ndjson" } else { ".ndjson" };
        let plain = directory.join(format!("{stem}{ending}"));
        let mut file = BufWriter::new(File::create(&plain).unwrap());
        let mut bytes = 0;
        while bytes < SEGMENT_BYTES {
            self.next();
            file.write_all(&self.line).unwrap();
            bytes += u64::try_from(self.line.len()).unwrap();
        }
        file.flush().unwrap();
        if form == Form::Compressed {
            compress(&plain, &directory.join(format!("{stem}.ndjson.zst"))).unwrap();
            fs::remove_file(plain).unwrap();
        }
    }

    fn next(&mut self) {
        let random = &mut self.random;
        self.millis += random.u64(0..20);
        self.sequence += 1;
        let time = UnixMillis(self.millis);
        let id = self.ids.next(time);
        let identity = random.choice(&self.identities).unwrap();
        let denied = random.u32(0..20) == 0;
        let (decision, reason) = if denied {
            (Decision::Deny, Reason::AccountNotAllowed)
        } else {
            (Decision::Permit, Reason::AccountAllowlisted)
        };
        let owner = account(random.u32(0..50));
        let resource = format!(
            "arn:aws:orders::{owner}:order/2025/{:02}/{:06}",
            random.u32(1..13),
            random.u32(0..1_000_000)
        );
        let correlation_id = format!("{:032x}", random.u128(..));
        let event = EvalEvent {
            id,
            decision_id: id,
            time,
            correlation_id: &correlation_id,
            by: DecidedBy::Perimeter,
            verdict: Verdict { decision, reason, mode: Mode::ReportOnly },
            candidate: false,
            identity,
            owner,
            action: random
                .choice(["orders:GetOrder", "orders:ListOrders", "orders:PutOrder"])
                .unwrap(),
            resource: &resource,
            route: "/v1/accounts/{account}/orders/{*order}",
            source_ip: IpAddr::V4(Ipv4Addr::from_bits(random.u32(..))),
            agent: random.choice(AGENTS).unwrap(),
            input: PolicyInput::NONE,
            revision: 17,
            decide_ns: random.u64(400..2000),
        };
        self.frame.clear();
        frame::encode_eval(&event, &mut self.frame);
        self.line.clear();
        let record = frame::decode(&self.frame).unwrap();
        self.renderer.render(&mut self.line, self.sequence, &record);
    }
}

fn account(n: u32) -> AccountId {
    AccountId::parse(&format!("{:032x}", 0x59bc_bfa6_ea2f_006b_u128 << 64 | u128::from(n))).unwrap()
}

fn identity(n: u32, random: &mut fastrand::Rng) -> Identity {
    let (id, name) = (format!("IBMid-{n:010}"), format!("user{n}@example.com"));
    Identity {
        account: Some(account(random.u32(0..50) + 1000)),
        principal: format!("arn:aws:iam::f714:user/{id}").as_str().into(),
        id: id.as_str().into(),
        name: name.as_str().into(),
        authn_id: id.as_str().into(),
        authn_name: name.as_str().into(),
        issuer: "https://iam.example.com/identity".into(),
        subject: name.as_str().into(),
        ..identity::sample()
    }
}

fn stamp(millis: u64) -> String {
    let mut text = Vec::new();
    time::write_seconds(&mut text, UnixMillis(millis).seconds());
    text.retain(|byte| !matches!(byte, b'-' | b':'));
    format!("{}Z", String::from_utf8(text).unwrap())
}

/// Four segments in one form; they are made once.
struct Logs {
    _place: tempfile::TempDir,
    compressed: PathBuf,
    live: PathBuf,
}

static LOGS: LazyLock<Logs> = LazyLock::new(|| {
    let place = tempfile::tempdir().unwrap();
    let directory = |form: Form| {
        let directory = place.path().join(format!("{form:?}"));
        fs::create_dir(&directory).unwrap();
        let mut lines = Lines::new();
        (0..4).for_each(|segment| lines.segment(&directory, segment, form));
        directory
    };
    let (compressed, live) = (directory(Form::Compressed), directory(Form::Live));
    Logs { compressed, live, _place: place }
});

#[divan::bench(args = QUERIES, sample_count = 10, sample_size = 1)]
fn plain(bencher: Bencher<'_, '_>, query: &str) {
    search(bencher, &LOGS.live, query);
}

#[divan::bench(args = QUERIES, sample_count = 10, sample_size = 1)]
fn zstd(bencher: Bencher<'_, '_>, query: &str) {
    search(bencher, &LOGS.compressed, query);
}

/// The way of other readers: every line is parsed whole.
#[divan::bench(sample_count = 3, sample_size = 1)]
fn parse_whole(bencher: Bencher<'_, '_>) {
    let segments = segments(&LOGS.live).unwrap();
    let lines =
        fs::read(segments.first().unwrap().path(crossgate::event::log::Form::Live)).unwrap();
    let query = Query::parse("responseData.decision:Deny").unwrap();
    bencher.counter(BytesCount::new(lines.len())).bench_local(|| {
        let lines = lines.split(|byte| *byte == b'\n');
        let events =
            lines.filter_map(|line| serde_json::from_slice::<serde_json::Value>(line).ok());
        events.filter(|event| query.matches(event)).count()
    });
}

fn search(bencher: Bencher<'_, '_>, directory: &Path, query: &str) {
    let query = Query::parse(query).unwrap();
    let scan = || {
        let scan = Scan::open(directory, &query, &[], Window::default(), Order::OldestFirst);
        scan.unwrap().on_threads(NonZero::<usize>::MIN)
    };
    bencher.counter(BytesCount::new(scan().bytes())).bench_local(|| {
        let mut found = 0;
        let result = scan().run(FoundLine::new, |part| {
            found += part.found.len();
            Ok::<_, ReadError>(ControlFlow::Continue(()))
        });
        result.unwrap();
        found
    });
}

/// From the rarest to what every event is.
const QUERIES: &[&str] = &[
    "initiator.id:\"IBMid-0000000017\"",
    "requestData.resource.attributes.accountId:\"59bcbfa6ea2f006b0000000000000007\"",
    "5.6.7.8",
    "responseData.isEnforced:false AND responseData.decision:Deny",
    "responseData.decision:Permit",
    "responseData.decideNs:>1990",
    "NOT wget",
];
const AGENTS: &[&str] = &[
    "curl/8.5",
    "python-requests/2.32.3",
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36",
    "aws-sdk-java/2.31.0 md/io#sync md/http#Apache ua/2.1 os/Linux#6.1.0 lang/java#21.0.2",
];
/// As the proxy closes them.
const SEGMENT_BYTES: u64 = 64 * 1024 * 1024;
/// 2025-10-10T14:00:00Z.
const START: u64 = 1_760_104_800_000;
