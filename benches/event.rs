//! The cost of an event: appending it on the request path, rendering it on the writer's thread.

#![expect(clippy::unwrap_used, reason = "a benchmark that can't start ends")]

use std::net::{IpAddr, Ipv4Addr};
use std::thread;
use std::time::Duration;

use crossgate::clock::{SystemClock, UnixMillis, UnixSeconds};
use crossgate::event::frame::{self, Record};
use crossgate::event::log::{Appended, EventAppender, EventLog};
use crossgate::event::query::Query;
use crossgate::event::wire::Renderer;
use crossgate::event::{
    AssumeEvent, AssumeReason, AssumeTarget, DecidedBy, Door, EvalEvent, EventIds, EventsConfig,
    PolicyInput, StatementNote,
};
use crossgate::iam::{
    AccountId, Identity, Recording, RouteContext, RouteKey, RouteValues, Transport,
};
use crossgate::policy::{Effect, Missing};
use crossgate::verdict::{Decision, Mode, Reason, Verdict};
use divan::{AllocProfiler, Bencher, black_box};

#[path = "../tests/support/identity.rs"]
mod identity;

#[global_allocator]
static ALLOCATIONS: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

fn identity() -> Identity {
    Identity {
        account: Some(AccountId::parse("f71446b6474d45bf81196da45de13940").unwrap()),
        principal: "arn:aws:iam::f71446b6474d45bf81196da45de13940:user/IBMid-550009FB7N".into(),
        id: "IBMid-550009FB7N".into(),
        name: "user@example.com".into(),
        authn_id: "IBMid-550009FB7N".into(),
        authn_name: "user@example.com".into(),
        issuer: "https://iam.example.com/identity".into(),
        subject: "user@example.com".into(),
        ..identity::sample()
    }
}

fn event<'a>(identity: &'a Identity, ids: &mut EventIds) -> EvalEvent<'a> {
    let id = ids.next(UnixMillis(1_760_105_007_410));
    EvalEvent {
        id,
        decision_id: id,
        time: UnixMillis(1_760_105_007_410),
        correlation_id: "4bf92f3577b34da6a3ce929d0e0e4736",
        by: DecidedBy::Perimeter,
        verdict: Verdict {
            decision: Decision::Deny,
            reason: Reason::AccountNotAllowed,
            mode: Mode::ReportOnly,
        },
        candidate: false,
        identity,
        owner: AccountId::parse("59bcbfa6ea2f006b4ed7094c1a08dcdd").unwrap(),
        action: "orders:GetOrder",
        resource: "arn:aws:orders::59bcbfa6ea2f006b4ed7094c1a08dcdd:order/2025/10/000017",
        route: "/v1/accounts/{account}/orders/{*order}",
        source_ip: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 10)),
        agent: "curl/8.5",
        input: PolicyInput::NONE,
        revision: 17,
        decide_ns: 812,
    }
}

fn frame() -> Vec<u8> {
    let (identity, mut ids) = (identity(), EventIds::with_seed(1));
    let mut frame = Vec::new();
    frame::encode_eval(&event(&identity, &mut ids), &mut frame);
    frame
}

/// Id, event, frame, ring. The writer empties the ring between the samples.
#[divan::bench(sample_count = 100, sample_size = SAMPLE_EVENTS)]
fn append(bencher: Bencher<'_, '_>) {
    let place = tempfile::tempdir().unwrap();
    let config = EventsConfig { directory: place.path().to_owned(), ..EventsConfig::default() };
    let (log, mut appenders) = EventLog::open(&config, "bench", 1).unwrap();
    let (identity, mut ids) = (identity(), EventIds::with_seed(1));
    let mut lost = 0_u64;
    let appender = appenders.first_mut().unwrap();
    let mut prepared = 0;
    bencher
        .with_inputs(|| {
            if prepared % SAMPLE_EVENTS == 0 {
                thread::sleep(Duration::from_millis(50));
            }
            prepared += 1;
        })
        .bench_local_values(|()| lost += one(appender, black_box(&identity), &mut ids));
    drop(log);
    assert_eq!(lost, 0, "a lost event costs less than one that is kept");
}

fn one(appender: &mut EventAppender, identity: &Identity, ids: &mut EventIds) -> u64 {
    match appender.append(&event(identity, ids)) {
        Ok(Appended::Logged) => 0,
        Ok(Appended::Lost) | Err(_) => 1,
    }
}

/// The frame alone, as far as a worker's cache sees it.
#[divan::bench]
fn encode(bencher: Bencher<'_, '_>) {
    let (identity, mut ids) = (identity(), EventIds::with_seed(1));
    let event = event(&identity, &mut ids);
    let mut frame = Vec::with_capacity(frame::EVAL_FRAME_BYTES_MAX);
    bencher.bench_local(|| {
        frame.clear();
        frame::encode_eval(black_box(&event), &mut frame);
    });
}

/// The frame of a policy's event: a statement, two session tags, a key of the route, and what the
/// token tells.
#[divan::bench]
fn encode_of_policies(bencher: Bencher<'_, '_>) {
    let mut identity = identity();
    identity.session_tags =
        [("team", "red"), ("cost-center", "4711")].map(|(k, v)| (k.into(), v.into())).into();
    (identity.mfa, identity.issued_at) = (Some(true), Some(UnixSeconds(1_760_104_800)));
    let keys =
        [RouteKey { key: "orders:kind".into(), fixed: Box::default(), recording: Recording::Told }];
    let mut values = RouteValues::default();
    values.push_one(["standard"]);
    let statements =
        [StatementNote { policy: "readers", sid: "Read", index: 0, effect: Effect::Allow }];
    let event = EvalEvent {
        by: DecidedBy::Policy { statements: &statements, missing: Missing::default() },
        input: PolicyInput {
            key_action: "kms:Decrypt",
            transport: Transport::Tls,
            user_agent: Some("curl/8.5"),
            referer: None,
            context: RouteContext::new(&keys, &values),
        },
        ..event(&identity, &mut EventIds::with_seed(1))
    };
    let mut frame = Vec::with_capacity(frame::EVAL_FRAME_BYTES_MAX);
    bencher.bench_local(|| {
        frame.clear();
        frame::encode_eval(black_box(&event), &mut frame);
    });
}

/// An attempt to begin a session that began.
fn attempt(identity: &Identity) -> AssumeEvent<'_> {
    let id = EventIds::with_seed(1).next(UnixMillis(1_760_105_007_410));
    AssumeEvent {
        id,
        time: UnixMillis(1_760_105_007_410),
        correlation_id: "4bf92f3577b34da6a3ce929d0e0e4736",
        target: AssumeTarget::Role,
        initiator: Some(identity),
        owner: AccountId::parse("59bcbfa6ea2f006b4ed7094c1a08dcdd").ok(),
        role: "arn:aws:iam::59bcbfa6ea2f006b4ed7094c1a08dcdd:role/deploy",
        session_name: "ci-17",
        duration_seconds: Some(3600),
        door: Door::AwsQuery,
        has_external_id: true,
        source_identity: "",
        decision: Decision::Permit,
        reason: AssumeReason::PolicyAllow,
        status: 200,
        statements: &[StatementNote {
            policy: "trust policy",
            sid: "",
            index: 0,
            effect: Effect::Allow,
        }],
        missing: Missing::default(),
        session: Some((id, UnixSeconds(1_760_108_607))),
        source_ip: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 10)),
        agent: "aws-cli/2",
        revision: 17,
    }
}

/// The frame of an attempt to begin a session.
#[divan::bench]
fn encode_of_attempt(bencher: Bencher<'_, '_>) {
    let identity = identity();
    let event = attempt(&identity);
    let mut frame = Vec::with_capacity(frame::ASSUME_FRAME_BYTES_MAX);
    bencher.bench_local(|| {
        frame.clear();
        frame::encode_assume(black_box(&event), &mut frame);
    });
}

/// From its frame to its line.
#[divan::bench]
fn render_of_attempt(bencher: Bencher<'_, '_>) {
    let (identity, mut frame) = (identity(), Vec::new());
    frame::encode_assume(&attempt(&identity), &mut frame);
    let mut renderer = Renderer::new("orders-7d4f");
    let mut line = Vec::with_capacity(4096);
    bencher.bench_local(|| {
        line.clear();
        if let Ok(record) = frame::decode(black_box(&frame)) {
            renderer.render(&mut line, 4711, &record);
        }
        line.len()
    });
}

#[divan::bench]
fn id(bencher: Bencher<'_, '_>) {
    let mut ids = EventIds::with_seed(1);
    bencher.bench_local(|| ids.next(black_box(UnixMillis(1_760_105_007_410))));
}

#[divan::bench]
fn clock() -> UnixMillis {
    SystemClock.now()
}

/// From a frame to a line.
#[divan::bench]
fn render(bencher: Bencher<'_, '_>) {
    let frame = frame();
    let mut renderer = Renderer::new("orders-7d4f");
    let mut line = Vec::with_capacity(4096);
    bencher.bench_local(|| {
        line.clear();
        if let Ok(record) = frame::decode(black_box(&frame)) {
            renderer.render(&mut line, 4711, &record);
        }
        line.len()
    });
}

#[divan::bench]
fn decode(bencher: Bencher<'_, '_>) {
    let frame = frame();
    bencher.bench_local(|| matches!(frame::decode(black_box(&frame)), Ok(Record::Eval(_))));
}

/// One event against the query for would-be denials, parsed before.
#[divan::bench]
fn query(bencher: Bencher<'_, '_>) {
    let mut line = Vec::new();
    Renderer::new("orders-7d4f").render(&mut line, 4711, &frame::decode(&frame()).unwrap());
    let event: serde_json::Value = serde_json::from_slice(&line).unwrap();
    let query = Query::parse(r#"responseData.isEnforced:"false" AND responseData.decision:"Deny""#)
        .unwrap();
    bencher.bench_local(|| query.matches(black_box(&event)));
}

/// 400 KB, a tenth of a ring.
const SAMPLE_EVENTS: u32 = 1000;
