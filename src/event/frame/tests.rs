use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::clock::UnixSeconds;
use crate::event::{SettingChange, UpdateInitiator};
use crate::iam::Identity;
use crate::policy::Side;

fn identity(account: Option<&str>, id: &str, name: &str) -> Identity {
    Identity {
        account: account.map(|text| AccountId::parse(text).unwrap()),
        identity_type: IdentityType::ServiceId,
        kind: IdentityKind::Profile,
        principal: "p".into(),
        id: id.into(),
        name: name.into(),
        authn_id: "authn".into(),
        authn_name: name.into(),
        issuer: "i".into(),
        subject: "s".into(),
        session_tags: BTreeMap::new(),
        mfa: None,
        authenticated_at: None,
        issued_at: None,
        not_before: None,
        expires_at: UnixSeconds(1),
    }
}

fn missing() -> Missing {
    let mut missing = Missing::default();
    missing.add(Side::Resource);
    missing.add(Side::Scp);
    missing
}

const NOTES: [StatementNote<'_>; 2] = [
    StatementNote { policy: "p", sid: "s", index: 7, effect: Effect::Deny },
    StatementNote { policy: "q", sid: "", index: u32::MAX, effect: Effect::Allow },
];

fn event<'a>(identity: &'a Identity, text: &'a str, source_ip: IpAddr) -> EvalEvent<'a> {
    EvalEvent {
        id: Uuid::from_u128(1),
        decision_id: Uuid::from_u128(2),
        time: UnixMillis(3),
        correlation_id: text,
        by: DecidedBy::Policy { statements: &NOTES, missing: missing() },
        verdict: Verdict {
            decision: Decision::Deny,
            reason: Reason::NoAccount,
            mode: Mode::ReportOnly,
        },
        candidate: true,
        identity,
        owner: AccountId::parse("owner").unwrap(),
        action: text,
        resource: text,
        route: text,
        source_ip,
        agent: text,
        revision: 4,
        decide_ns: u64::MAX,
    }
}

#[test]
fn an_evaluation_comes_back_as_it_was() {
    let identity = identity(Some("caller"), "id", "Zoë");
    for address in ["192.0.2.10", "2001:db8::1", "::", "0.0.0.0"] {
        let mut frame = Vec::new();
        encode_eval(&event(&identity, "text", address.parse().unwrap()), &mut frame);
        let Record::Eval(record) = decode(&frame).unwrap() else { panic!("no evaluation") };
        assert_eq!(record.source_ip.to_string(), address);
        assert_eq!((record.id, record.decision_id), (Uuid::from_u128(1), Uuid::from_u128(2)));
        assert_eq!((record.time, record.revision, record.decide_ns), (UnixMillis(3), 4, u64::MAX));
        assert_eq!((record.owner, record.caller), ("owner", "caller"));
        assert_eq!((record.identity_id, record.identity_name), ("id", "Zoë"));
        assert_eq!(record.verdict.decision, Decision::Deny);
        assert_eq!(record.verdict.reason, Reason::NoAccount);
        assert_eq!(record.verdict.mode, Mode::ReportOnly);
        assert_eq!(record.identity_type, IdentityType::ServiceId);
        assert_eq!(record.identity_kind, IdentityKind::Profile);
        assert!(record.candidate);
        assert_eq!(record.layer, Layer::Policy);
        assert_eq!(record.statements, NOTES);
        assert_eq!(record.missing, missing());
    }
}

#[test]
fn a_perimeter_event_carries_nothing_of_policies() {
    let identity = identity(None, "", "");
    let by_policy = event(&identity, "", IpAddr::from([0; 4]));
    let nothing = DecidedBy::Policy { statements: &[], missing: Missing::default() };
    let sizes = [nothing, DecidedBy::Perimeter].map(|by| {
        let mut frame = Vec::new();
        encode_eval(&EvalEvent { by, ..by_policy }, &mut frame);
        let Record::Eval(record) = decode(&frame).unwrap() else { panic!("no evaluation") };
        assert!(record.statements.is_empty() && record.missing.is_empty());
        assert_eq!(record.layer, by.layer());
        frame.len()
    });
    assert_eq!(sizes[0], sizes[1] + 3);
}

#[test]
fn statements_beyond_the_limit_are_left_out() {
    let identity = identity(None, "", "");
    let many = [NOTES[0]; STATEMENTS_MAX + 1];
    let by = DecidedBy::Policy { statements: &many, missing: Missing::default() };
    let mut frame = Vec::new();
    encode_eval(&EvalEvent { by, ..event(&identity, "", IpAddr::from([0; 4])) }, &mut frame);
    let Record::Eval(record) = decode(&frame).unwrap() else { panic!("no evaluation") };
    assert_eq!(record.statements, [NOTES[0]; STATEMENTS_MAX]);
}

#[test]
fn mapped_addresses_read_as_ipv4() {
    let identity = identity(None, "", "");
    let mut frame = Vec::new();
    encode_eval(&event(&identity, "", "::ffff:192.0.2.1".parse().unwrap()), &mut frame);
    let Record::Eval(record) = decode(&frame).unwrap() else { panic!("no evaluation") };
    assert_eq!(record.source_ip.to_string(), "192.0.2.1");
    assert_eq!(record.caller, "");
}

#[test]
fn text_is_cut_between_characters() {
    // The limit falls into the middle of a character.
    let long = format!("a{}", "é".repeat(AGENT_BYTES_MAX));
    let identity = identity(None, "", "");
    let mut frame = Vec::new();
    encode_eval(&event(&identity, &long, IpAddr::from([0; 4])), &mut frame);
    let Record::Eval(record) = decode(&frame).unwrap() else { panic!("no evaluation") };
    assert_eq!(record.agent.len(), AGENT_BYTES_MAX - 1);
    assert!(long.starts_with(record.agent));
    assert_eq!(record.correlation_id.len(), CORRELATION_BYTES_MAX - 1);
}

#[test]
fn the_longest_frames_are_as_long_as_computed() {
    let long = "x".repeat(100_000);
    let account = "a".repeat(AccountId::BYTES_MAX);
    let mut identity = identity(Some(&account), &long, &long);
    identity.authn_id = long.as_str().into();
    let mut longest = event(&identity, &long, IpAddr::from([0; 4]));
    longest.owner = AccountId::parse(&account).unwrap();
    let note = StatementNote { policy: &long, sid: &long, index: 0, effect: Effect::Deny };
    let statements = [note; STATEMENTS_MAX + 1];
    longest.by = DecidedBy::Policy { statements: &statements, missing: missing() };
    let mut frame = Vec::new();
    encode_eval(&longest, &mut frame);
    assert_eq!(frame.len(), EVAL_FRAME_BYTES_MAX);

    let change = SettingChange { update_type: &long, initial_value: &long, new_value: &long };
    let update = UpdateEvent {
        id: Uuid::nil(),
        time: UnixMillis(0),
        correlation_id: &long,
        owner: longest.owner,
        initiator: UpdateInitiator {
            id: &long,
            name: &long,
            identity_type: IdentityType::User,
            kind: IdentityKind::Login,
            source_ip: IpAddr::from([0; 16]),
            agent: &long,
        },
        changes: &[change; CHANGES_MAX + 1],
        revision: 0,
    };
    frame.clear();
    encode_update(&update, &mut frame);
    assert_eq!(frame.len(), UPDATE_FRAME_BYTES_MAX);
    let Record::Update(record) = decode(&frame).unwrap() else { panic!("no update") };
    assert_eq!(record.changes.len(), CHANGES_MAX);
}

#[test]
fn every_cut_of_a_frame_and_every_addition_is_refused() {
    let identity = identity(Some("caller"), "id", "name");
    let mut frame = Vec::new();
    encode_eval(&event(&identity, "text", IpAddr::from([0; 4])), &mut frame);
    for end in 0..frame.len() {
        assert_eq!(decode(&frame[..end]), Err(FrameError::Short), "{end}");
    }
    frame.push(0);
    assert_eq!(decode(&frame), Err(FrameError::Long));
    frame[0] = 77;
    assert_eq!(decode(&frame), Err(FrameError::Unknown));
}

proptest! {
    #[test]
    fn any_bytes_decode_or_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        // Must not panic; what decodes is rare.
        let _ = decode(&bytes);
    }
}
