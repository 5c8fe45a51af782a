//! Events of the token service on real files: their place in the log, their counts, queries for them.
//! A process of its own: the metrics recorder is global.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failed test panics")]

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::process::Command;

use crossgate::clock::{SystemClock, UnixSeconds};
use crossgate::event::log::{Appended, EventAppender, EventLog, LogReader};
use crossgate::event::{
    AssumeEvent, AssumeReason, AssumeTarget, DetectionEvent, DetectionName, DetectionSubject, Door,
    EventIds, EventsConfig,
};
use crossgate::iam::{AccountId, Identity};
use crossgate::policy::Missing;
use crossgate::verdict::Decision;
use metrics_exporter_prometheus::PrometheusBuilder;
use serde_json::Value;

#[path = "support/identity.rs"]
mod identity;

const ROLE: &str = "arn:aws:iam::222222222222:role/deploy";
const PROFILE: &str = "iam-Profile-9fd84246-7df4-4667-94e4-8ecde51d5ac5";

fn identity() -> Identity {
    Identity {
        account: AccountId::parse("111111111111").ok(),
        principal: "arn:aws:iam::111111111111:user/u".into(),
        ..identity::sample()
    }
}

/// Puts an attempt with what was noticed about it into the log.
fn attempt(
    appender: &mut EventAppender,
    ids: &mut EventIds,
    target: AssumeTarget,
    decision: Decision,
    noticed: &[DetectionName],
) {
    let (time, who) = (SystemClock.now(), identity());
    let id = ids.next(time);
    let permits = decision == Decision::Permit;
    let event = AssumeEvent {
        id,
        time,
        correlation_id: "",
        target,
        initiator: Some(&who),
        owner: AccountId::parse("222222222222").ok(),
        role: match target {
            AssumeTarget::Profile => PROFILE,
            AssumeTarget::Role => ROLE,
        },
        session_name: "ci",
        duration_seconds: Some(3600),
        door: Door::TokenExchange,
        has_external_id: true,
        source_identity: "",
        decision,
        reason: if permits { AssumeReason::PolicyAllow } else { AssumeReason::UnknownRole },
        status: if permits { 200 } else { 400 },
        statements: &[],
        missing: Missing::default(),
        session: permits.then_some((id, UnixSeconds(1))),
        source_ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
        agent: "curl",
        revision: 1,
    };
    appender.start();
    appender.stage_assume(&event);
    let correlation_id = id.to_string();
    for name in noticed {
        appender.stage_detection(&DetectionEvent {
            id: ids.next(time),
            time,
            correlation_id: &correlation_id,
            name: *name,
            subject: DetectionSubject::Principal,
            count: 5,
            initiator: event.initiator,
            owner: event.owner,
            role: event.role,
            target,
            source_ip: event.source_ip,
            agent: event.agent,
            revision: 1,
        });
    }
    assert_eq!(appender.commit(), Ok(Appended::Logged));
}

fn found(place: &Path, query: &str) -> Vec<String> {
    let output = Command::new(env!("CARGO_BIN_EXE_crossgate"))
        .args(["events", "query", query, "--format", "json", "--dir"])
        .arg(place)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).unwrap();
    let events = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    events.map(|event| event["action"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn attempts_and_detections_are_in_the_log_counted_and_found() {
    let metrics = PrometheusBuilder::new().install_recorder().unwrap();
    let place = tempfile::tempdir().unwrap();
    let config = EventsConfig { directory: place.path().to_owned(), ..EventsConfig::default() };
    let (log, mut appenders) = EventLog::open(&config, "i", 1).unwrap();
    let (appender, mut ids) = (appenders.first_mut().unwrap(), EventIds::new());
    attempt(appender, &mut ids, AssumeTarget::Role, Decision::Permit, &[]);
    attempt(appender, &mut ids, AssumeTarget::Role, Decision::Deny, &DetectionName::ALL);
    attempt(appender, &mut ids, AssumeTarget::Profile, Decision::Deny, &DetectionName::ALL[..1]);
    log.close().unwrap();

    let events: Vec<Value> =
        LogReader::open(place.path(), None).unwrap().map(|event| event.unwrap().event).collect();
    let numbers: Vec<_> =
        events.iter().map(|event| event.pointer("/responseData/sequence").unwrap()).collect();
    assert_eq!(numbers, (1..=10).collect::<Vec<u64>>());
    let (role, profile) = ("sts.role.assume", "iam-identity.account-profile.assume");
    let detections = DetectionName::ALL.map(DetectionName::action);
    let mut expected = vec![role, role];
    expected.extend(detections);
    expected.extend([profile, detections[0]]);
    let actions: Vec<_> = events.iter().map(|event| event["action"].as_str().unwrap()).collect();
    assert_eq!(actions, expected);

    let written = metrics.render();
    for action in [role, profile].into_iter().chain(detections) {
        let count = expected.iter().filter(|known| **known == action).count();
        let line = format!("crossgate_events_written_total{{action=\"{action}\"}} {count}");
        assert!(written.lines().any(|found| found == line), "{line} in {written}");
    }

    for (query, count) in [
        ("action:crossgate.detection.*", 7),
        ("crossgate.detection.break_glass", 2),
        ("action:sts.role.assume AND outcome:failure", 1),
        ("action:sts.role.assume AND responseData.decision:Permit", 1),
        ("action:(sts.role.assume OR iam-identity.account-profile.assume)", 3),
        (r#"target.id.keyword:"arn:aws:iam::222222222222:role/deploy""#, 8),
        ("requestData.hasExternalId:true", 3),
        ("responseData.count:>=5", 7),
        ("responseData.detection:failed_assume", 1),
        (r#"responseData.isEnforced:"true" AND responseData.decision:"Deny""#, 0),
    ] {
        let found = found(place.path(), query);
        assert_eq!(found.len(), count, "{query}: {found:?}");
    }
}
