use proptest::prelude::*;

use super::*;
use crate::event::frame::{Record, STATEMENTS_MAX, decode};
use crate::policy::{Effect, Side};

fn identity(account: Option<&str>, text: &str) -> Identity {
    Identity {
        account: account.map(|text| AccountId::parse(text).unwrap()),
        identity_type: IdentityType::ServiceId,
        kind: IdentityKind::Profile,
        principal: text.into(),
        id: text.into(),
        name: text.into(),
        authn_id: text.into(),
        authn_name: text.into(),
        ..Identity::sample()
    }
}

const NOTE: StatementNote<'_> =
    StatementNote { policy: "trust", sid: "s", index: 7, effect: Effect::Deny };

fn missing() -> Missing {
    let mut missing = Missing::default();
    missing.add(Side::CallerIdentity);
    missing
}

fn attempt<'a>(initiator: Option<&'a Identity>, text: &'a str) -> AssumeEvent<'a> {
    AssumeEvent {
        id: Uuid::from_u128(1),
        time: UnixMillis(3),
        correlation_id: text,
        target: AssumeTarget::Role,
        initiator,
        owner: AccountId::parse("owner").ok(),
        role: text,
        session_name: text,
        duration_seconds: Some(3600),
        door: Door::TokenExchange,
        has_external_id: true,
        source_identity: text,
        decision: Decision::Permit,
        reason: AssumeReason::PolicyAllow,
        status: 200,
        statements: &[NOTE],
        missing: missing(),
        session: Some((Uuid::from_u128(2), UnixSeconds(9))),
        source_ip: IpAddr::from([192, 0, 2, 10]),
        agent: text,
        revision: 4,
    }
}

fn noticed<'a>(initiator: Option<&'a Identity>, text: &'a str) -> DetectionEvent<'a> {
    DetectionEvent {
        id: Uuid::from_u128(1),
        time: UnixMillis(3),
        correlation_id: text,
        name: DetectionName::NewAddress,
        subject: DetectionSubject::Principal,
        count: u32::MAX,
        initiator,
        owner: AccountId::parse("owner").ok(),
        role: text,
        target: AssumeTarget::Profile,
        source_ip: IpAddr::from([192, 0, 2, 10]),
        agent: text,
        revision: 4,
    }
}

fn attempt_frame(event: &AssumeEvent<'_>) -> Vec<u8> {
    let mut frame = Vec::new();
    encode_assume(event, &mut frame);
    frame
}

fn detection_frame(event: &DetectionEvent<'_>) -> Vec<u8> {
    let mut frame = Vec::new();
    encode_detection(event, &mut frame);
    frame
}

fn attempt_of(frame: &[u8]) -> AssumeRecord<'_> {
    let Record::Assume(record) = decode(frame).unwrap() else { panic!("no attempt") };
    record
}

fn detection_of(frame: &[u8]) -> DetectionRecord<'_> {
    let Record::Detection(record) = decode(frame).unwrap() else { panic!("no detection") };
    record
}

fn caller(text: &str) -> CallerRecord<'_> {
    CallerRecord {
        identity_type: IdentityType::ServiceId,
        identity_kind: IdentityKind::Profile,
        account: "caller",
        id: text,
        name: text,
        authn_id: text,
        authn_name: text,
        principal: text,
    }
}

#[test]
fn an_attempt_comes_back_as_it_was() {
    let identity = identity(Some("caller"), "Zoë");
    let whole = attempt(Some(&identity), "Zoë");
    let expected = AssumeRecord {
        id: whole.id,
        time: whole.time,
        revision: 4,
        target: AssumeTarget::Role,
        door: Door::TokenExchange,
        decision: Decision::Permit,
        reason: AssumeReason::PolicyAllow,
        status: 200,
        has_external_id: true,
        duration_seconds: Some(3600),
        session: whole.session,
        source_ip: whole.source_ip,
        correlation_id: "Zoë",
        owner: "owner",
        role: "Zoë",
        session_name: "Zoë",
        source_identity: "Zoë",
        agent: "Zoë",
        caller: Some(caller("Zoë")),
        missing: missing(),
        statements: vec![NOTE],
    };
    assert_eq!(attempt_of(&attempt_frame(&whole)), expected);
    let bare = AssumeEvent {
        initiator: None,
        owner: None,
        duration_seconds: None,
        has_external_id: false,
        session: None,
        statements: &[],
        missing: Missing::default(),
        ..whole
    };
    let expected = AssumeRecord {
        owner: "",
        duration_seconds: None,
        session: None,
        has_external_id: false,
        caller: None,
        missing: Missing::default(),
        statements: vec![],
        ..expected
    };
    assert_eq!(attempt_of(&attempt_frame(&bare)), expected);
}

#[test]
fn every_word_of_an_attempt_comes_back() {
    for reason in AssumeReason::ALL {
        for door in Door::ALL {
            for target in AssumeTarget::ALL {
                for decision in DECISIONS {
                    let event = AssumeEvent { target, door, decision, reason, ..attempt(None, "") };
                    let frame = attempt_frame(&event);
                    let record = attempt_of(&frame);
                    let words = (record.reason, record.door, record.target, record.decision);
                    assert_eq!(words, (reason, door, target, decision));
                }
            }
        }
    }
}

#[test]
fn a_detection_comes_back_as_it_was() {
    let identity = identity(Some("caller"), "Zoë");
    for (name, subject) in DetectionName::ALL.into_iter().zip(DetectionSubject::ALL.repeat(2)) {
        for (initiator, caller) in [(Some(&identity), Some(caller("Zoë"))), (None, None)] {
            let event = DetectionEvent { name, subject, ..noticed(initiator, "Zoë") };
            let expected = DetectionRecord {
                id: event.id,
                time: event.time,
                revision: 4,
                name,
                subject,
                count: u32::MAX,
                target: AssumeTarget::Profile,
                source_ip: event.source_ip,
                correlation_id: "Zoë",
                owner: "owner",
                role: "Zoë",
                agent: "Zoë",
                caller,
            };
            assert_eq!(detection_of(&detection_frame(&event)), expected);
        }
    }
}

#[test]
fn records_have_the_ids_and_times_of_their_events() {
    for frame in [attempt_frame(&attempt(None, "")), detection_frame(&noticed(None, ""))] {
        let record = decode(&frame).unwrap();
        assert_eq!((record.id(), record.time()), (Uuid::from_u128(1), UnixMillis(3)));
    }
}

#[test]
fn the_longest_frames_are_as_long_as_computed() {
    let long = "x".repeat(100_000);
    let account = "a".repeat(AccountId::BYTES_MAX);
    let identity = identity(Some(&account), &long);
    let owner = AccountId::parse(&account).ok();
    let note = StatementNote { policy: &long, sid: &long, ..NOTE };
    let statements = [note; STATEMENTS_MAX + 1];
    let longest = AssumeEvent { owner, statements: &statements, ..attempt(Some(&identity), &long) };
    let frame = attempt_frame(&longest);
    assert_eq!(frame.len(), ASSUME_FRAME_BYTES_MAX);
    let record = attempt_of(&frame);
    assert_eq!(record.statements.len(), STATEMENTS_MAX);
    assert_eq!((record.role.len(), record.session_name.len()), (ROLE_BYTES_MAX, NAME_BYTES_MAX));
    let frame = detection_frame(&DetectionEvent { owner, ..noticed(Some(&identity), &long) });
    assert_eq!(frame.len(), DETECTION_FRAME_BYTES_MAX);
    assert_eq!(detection_of(&frame).role.len(), ROLE_BYTES_MAX);
}

#[test]
fn texts_are_cut_between_characters() {
    let long = format!("a{}", "é".repeat(ROLE_BYTES_MAX));
    let identity = identity(None, &long);
    let frame = attempt_frame(&attempt(Some(&identity), &long));
    let record = attempt_of(&frame);
    assert_eq!(record.role.len(), ROLE_BYTES_MAX - 1);
    assert!(long.starts_with(record.role));
    assert_eq!(record.caller.unwrap().principal.len(), PRINCIPAL_BYTES_MAX - 1);
}

#[test]
fn every_cut_of_a_frame_and_every_addition_is_refused() {
    let identity = identity(Some("caller"), "text");
    for mut frame in [
        attempt_frame(&attempt(Some(&identity), "text")),
        detection_frame(&noticed(Some(&identity), "text")),
    ] {
        for end in 0..frame.len() {
            assert_eq!(decode(&frame[..end]), Err(FrameError::Short), "{end}");
        }
        frame.push(0);
        assert_eq!(decode(&frame), Err(FrameError::Long));
    }
    // The flags follow kind, id, two numbers and four words.
    let mut frame = attempt_frame(&attempt(None, ""));
    frame[1 + 16 + 16 + 4] |= 0x80;
    assert_eq!(decode(&frame), Err(FrameError::Unknown));
}

proptest! {
    #[test]
    fn any_bytes_decode_or_are_refused(
        kind in 3_u8..=4,
        bytes in proptest::collection::vec(0_u8..20, 0..400),
    ) {
        // Must not panic; what decodes is rare.
        let _ = decode(&[&[kind], &*bytes].concat());
    }
}
