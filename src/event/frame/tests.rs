use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::clock::UnixSeconds;
use crate::event::{PolicyInput, SettingChange, UpdateInitiator};
use crate::iam::{Identity, Recording, RouteContext, RouteKey, RouteValues, Transport};
use crate::policy::Side;

fn identity(account: Option<&str>, id: &str, name: &str) -> Identity {
    Identity {
        account: account.map(|text| AccountId::parse(text).unwrap()),
        identity_type: IdentityType::ServiceId,
        kind: IdentityKind::Profile,
        id: id.into(),
        name: name.into(),
        authn_id: "authn".into(),
        authn_name: name.into(),
        ..Identity::sample()
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
        input: PolicyInput::NONE,
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
        assert_eq!(record.input.is_some(), by != DecidedBy::Perimeter);
        assert_eq!(record.layer, by.layer());
        frame.len()
    });
    // Missing sides, statements; principal, key action, flags, entries.
    assert_eq!(sizes[0], sizes[1] + 3 + (2 + 1) + 2 + 1 + 1);
}

/// What comes back of a policy event with this input.
fn decided<T>(
    identity: &Identity,
    input: PolicyInput<'_>,
    read: impl Fn(&InputRecord<'_>) -> T,
) -> T {
    let mut frame = Vec::new();
    let agent = input.user_agent.unwrap_or_default();
    let plain = event(identity, "", IpAddr::from([0; 4]));
    encode_eval(&EvalEvent { agent, input, ..plain }, &mut frame);
    assert!(frame.len() <= EVAL_FRAME_BYTES_MAX);
    let Record::Eval(record) = decode(&frame).unwrap() else { panic!("no evaluation") };
    read(&record.input.unwrap())
}

fn route_key(key: &str, recording: Recording) -> RouteKey {
    RouteKey { key: key.into(), fixed: Box::default(), recording }
}

#[test]
fn what_policies_looked_at_comes_back_but_for_what_may_be_a_secret() {
    let mut identity = identity(Some("caller"), "id", "name");
    identity.principal = "arn:aws:iam::caller:user/id".into();
    identity.session_tags = BTreeMap::from([("Team".into(), "red".into())]);
    identity.mfa = Some(false);
    identity.issued_at = Some(UnixSeconds(7));
    let keys = [
        route_key("o:kind", Recording::Told),
        route_key("sts:externalid", Recording::Withheld),
        route_key("o:absent", Recording::Told),
        route_key("o:kinds", Recording::Told),
    ];
    let mut values = RouteValues::default();
    values.push_one(["standard"]);
    values.push_one(["hunter2"]);
    values.push_absent();
    values.push_many(["a".into(), "b".into()]);
    let input = PolicyInput {
        key_action: "kms:Decrypt",
        transport: Transport::Tls,
        user_agent: Some("curl"),
        referer: Some("https://example.com/?token=hunter3"),
        context: RouteContext::new(&keys, &values),
    };
    let expected = InputRecord {
        principal: "arn:aws:iam::caller:user/id",
        key_action: "kms:Decrypt",
        transport: Transport::Tls,
        mfa: Some(false),
        authenticated_at: None,
        issued_at: Some(UnixSeconds(7)),
        keys: vec![
            KeyRecord { key: "Team", value: KeyValue::Tag("red") },
            KeyRecord { key: "o:kind", value: KeyValue::One("standard") },
            KeyRecord { key: "o:kinds", value: KeyValue::Many(vec!["a", "b"]) },
        ],
        withheld: vec!["aws:Referer", "sts:externalid"],
        completeness: Completeness::Complete,
    };
    decided(&identity, input, |record| assert_eq!(*record, expected));
    let mut frame = Vec::new();
    encode_eval(&EvalEvent { input, ..event(&identity, "", IpAddr::from([0; 4])) }, &mut frame);
    assert!(!String::from_utf8_lossy(&frame).contains("hunter"));
}

#[test]
fn what_has_no_room_is_left_out_whole_and_told() {
    let completeness = |tags: usize, value_len: usize| {
        let mut identity = identity(None, "", "");
        let value: Box<str> = "v".repeat(value_len).into();
        let tag = |number: usize| (format!("{number:03}").into(), value.clone());
        identity.session_tags = (0..tags).map(tag).collect();
        decided(&identity, PolicyInput::NONE, |record| {
            assert!(record.keys.iter().all(|key| key.value == KeyValue::Tag(&value)));
            (record.keys.len(), record.completeness)
        })
    };
    // An entry takes its kind, two lengths, the key and the value.
    let one = CONTEXT_BYTES_MAX - 1 - 2 * 2 - 3;
    assert_eq!(completeness(1, one), (1, Completeness::Complete));
    assert_eq!(completeness(1, one + 1), (0, Completeness::Cut));
    assert_eq!(completeness(2, one), (1, Completeness::Cut));
    assert_eq!(completeness(500, 0), (CONTEXT_BYTES_MAX / 8, Completeness::Cut));
    let many: Vec<Box<str>> = vec!["".into(); 256];
    let keys = [route_key("o:kinds", Recording::Told)];
    for (count, expected) in [(255, Completeness::Complete), (256, Completeness::Cut)] {
        let mut values = RouteValues::default();
        values.push_many(many.iter().take(count).cloned());
        let input = PolicyInput { context: RouteContext::new(&keys, &values), ..PolicyInput::NONE };
        let found = decided(&identity(None, "", ""), input, |record| record.completeness);
        assert_eq!(found, expected, "{count}");
    }
}

#[test]
fn an_agent_that_conditions_see_otherwise_is_told() {
    let identity = identity(None, "", "");
    let completeness = |agent, user_agent| {
        let mut frame = Vec::new();
        let input = PolicyInput { user_agent, ..PolicyInput::NONE };
        let plain = event(&identity, "", IpAddr::from([0; 4]));
        encode_eval(&EvalEvent { agent, input, ..plain }, &mut frame);
        let Record::Eval(record) = decode(&frame).unwrap() else { panic!("no evaluation") };
        record.input.unwrap().completeness
    };
    assert_eq!(completeness("curl", Some("curl")), Completeness::Complete);
    assert_eq!(completeness("", None), Completeness::Complete);
    assert_eq!(completeness("curl", None), Completeness::Cut);
    assert_eq!(completeness("", Some("")), Completeness::Cut);
    let long = "x".repeat(AGENT_BYTES_MAX + 1);
    assert_eq!(completeness(&long, Some(&long)), Completeness::Cut);
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
    identity.principal = long.as_str().into();
    (identity.issued_at, identity.authenticated_at) = (Some(UnixSeconds(1)), Some(UnixSeconds(1)));
    let tag = "t".repeat(CONTEXT_BYTES_MAX - 1 - 2 * 2);
    identity.session_tags = BTreeMap::from([(tag.into(), "".into())]);
    let mut longest = event(&identity, &long, IpAddr::from([0; 4]));
    longest.owner = AccountId::parse(&account).unwrap();
    let note = StatementNote { policy: &long, sid: &long, index: 0, effect: Effect::Deny };
    let statements = [note; STATEMENTS_MAX + 1];
    longest.input.key_action = &long;
    longest.by = DecidedBy::Policy { statements: &statements, missing: missing() };
    let mut frame = Vec::new();
    encode_eval(&longest, &mut frame);
    assert_eq!(frame.len(), EVAL_FRAME_BYTES_MAX);

    let change = SettingChange { update_type: &long, initial_value: &long, new_value: &long };
    let update = UpdateEvent {
        id: Uuid::nil(),
        time: UnixMillis(0),
        correlation_id: &long,
        owner: Some(longest.owner),
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
