use std::net::{Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;
use serde_json::{Value, json};
use uuid::Uuid;

use super::*;
use crate::event::StatementNote;
use crate::event::frame::{Completeness, InputRecord, KeyRecord, KeyValue};
use crate::iam::Transport;
use crate::policy::{Effect, Missing, Side};
use crate::verdict::{Mode, Reason, Verdict};

const ID: u128 = 0x0199_ce1d_4002_7000_8000_0000_0000_0001;
const DECISION: u128 = 0x0199_ce1d_4002_7000_8000_0000_0000_0002;

fn record() -> EvalRecord<'static> {
    EvalRecord {
        id: Uuid::from_u128(ID),
        decision_id: Uuid::from_u128(DECISION),
        time: UnixMillis(1_760_105_007_410),
        revision: 17,
        decide_ns: 812,
        layer: Layer::Perimeter,
        verdict: Verdict {
            decision: Decision::Deny,
            reason: Reason::AccountNotAllowed,
            mode: Mode::ReportOnly,
        },
        candidate: false,
        identity_type: IdentityType::User,
        identity_kind: IdentityKind::Login,
        source_ip: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 10)),
        correlation_id: "4bf92f3577b34da6a3ce929d0e0e4736",
        owner: "59bcbfa6ea2f006b4ed7094c1a08dcdd",
        caller: "f71446b6474d45bf81196da45de13940",
        identity_id: "IBMid-550009FB7N",
        identity_name: "user@example.com",
        authn_id: "IBMid-550009FB7N",
        authn_name: "user@example.com",
        action: "orders:GetOrder",
        resource: "arn:aws:orders::59bc:order/7",
        route: "/v1/accounts/{account}/orders/{*order}",
        agent: "curl/8.5",
        statements: Vec::new(),
        missing: Missing::default(),
        input: None,
    }
}

fn input() -> InputRecord<'static> {
    InputRecord {
        principal: "arn:aws:iam::f714:user/IBMid-550009FB7N",
        key_action: "kms:Decrypt",
        transport: Transport::Tls,
        mfa: Some(true),
        authenticated_at: Some(UnixSeconds(1_760_105_000)),
        issued_at: Some(UnixSeconds(1_760_104_800)),
        keys: vec![
            KeyRecord { key: "team", value: KeyValue::Tag("red") },
            KeyRecord { key: "orders:kind", value: KeyValue::One("standard") },
            KeyRecord { key: "orders:kinds", value: KeyValue::Many(vec!["a", "b"]) },
        ],
        withheld: vec!["aws:Referer"],
        completeness: Completeness::Complete,
    }
}

fn line(record: &EvalRecord<'_>) -> String {
    let mut out = Vec::new();
    Renderer::new("orders-7d4f").eval(&mut out, 4711, record);
    String::from_utf8(out).unwrap()
}

fn parsed(record: &EvalRecord<'_>) -> Value {
    serde_json::from_str(&line(record)).unwrap()
}

#[test]
fn a_line_is_the_published_object_to_the_letter() {
    let expected = concat!(
        r#"{"action":"iam-access-management.account-settings.eval","eventTime":"2025-10-10T14:03:27.41+0000","#,
        r#""id":"0199ce1d-4002-7000-8000-000000000001","correlationId":"4bf92f3577b34da6a3ce929d0e0e4736","#,
        r#""outcome":"success","severity":"normal","#,
        r#""message":"IAM Access Management: evaluate account-settings","dataEvent":false,"saveServiceCopy":true,"#,
        r#""logSourceCRN":"crn:v1:crossgate:public:iam-access-management:global:a/59bcbfa6ea2f006b4ed7094c1a08dcdd:::","#,
        r#""observer":{"name":"crossgate"},"#,
        r#""initiator":{"id":"IBMid-550009FB7N","name":"user@example.com","#,
        r#""authnId":"IBMid-550009FB7N","authnName":"user@example.com","#,
        r#""typeURI":"service/security/account/user","credential":{"type":"token"},"#,
        r#""host":{"address":"192.0.2.10","addressType":"IPv4","agent":"curl/8.5"}},"#,
        r#""target":{"id":"arn:aws:orders::59bc:order/7","name":"7","typeURI":"iam-access-management/account-settings"},"#,
        r#""reason":{"reasonCode":200,"reasonType":"OK"},"#,
        r#""requestData":{"action":"orders:GetOrder","reqOrder":0,"environment":{"attributes":{"ipAddress":"192.0.2.10"}},"#,
        r#""resource":{"attributes":{"accountId":"59bcbfa6ea2f006b4ed7094c1a08dcdd"}},"#,
        r#""subject":{"attributes":{"id":"IBMid-550009FB7N","token.account.bss":"f71446b6474d45bf81196da45de13940","identityType":"user"}}},"#,
        r#""responseData":{"isEnforced":false,"decision":"Deny","mode":"report-only","layer":"perimeter","candidate":false,"#,
        r#""reason":"account_not_allowed","decisionId":"0199ce1d-4002-7000-8000-000000000002","revision":17,"#,
        r#""instance":"orders-7d4f","sequence":4711,"route":"/v1/accounts/{account}/orders/{*order}","decideNs":812}}"#,
        "\n",
    );
    assert_eq!(line(&record()), expected);
}

#[test]
fn a_policy_event_ends_with_what_decided() {
    let policy = || EvalRecord { layer: Layer::Policy, ..record() };
    let end = |record: &EvalRecord<'_>| {
        let line = line(record);
        line.split_once(r#""decideNs":812"#).unwrap().1.to_owned()
    };
    assert_eq!(end(&record()), "}}\n");
    assert_eq!(end(&policy()), ",\"statements\":[],\"missing\":[]}}\n");
    let statements = vec![
        StatementNote { policy: "no\"deletes", sid: "Deny", index: 3, effect: Effect::Deny },
        StatementNote { policy: "p", sid: "", index: 0, effect: Effect::Allow },
    ];
    let mut missing = Missing::default();
    missing.add(Side::Rcp);
    missing.add(Side::CallerIdentity);
    assert_eq!(
        end(&EvalRecord { statements, missing, ..policy() }),
        concat!(
            r#","statements":[{"policy":"no\"deletes","sid":"Deny","index":3,"effect":"Deny"},"#,
            r#"{"policy":"p","sid":"","index":0,"effect":"Allow"}],"#,
            r#""missing":["caller identity policy","RCP"]}}"#,
            "\n",
        )
    );
}

#[test]
fn a_policy_event_tells_what_policies_looked_at() {
    let request = |input| {
        let line =
            line(&EvalRecord { layer: Layer::Policy, input: Some(Box::new(input)), ..record() });
        let (_, rest) = line.split_once(r#""identityType":"user""#).unwrap();
        rest.split_once(r#","responseData""#).unwrap().0.to_owned()
    };
    assert_eq!(
        request(input()),
        concat!(
            r#","principal":"arn:aws:iam::f714:user/IBMid-550009FB7N"}},"keyAction":"kms:Decrypt","#,
            r#""context":{"complete":true,"keys":[{"key":"aws:SecureTransport","value":"true"},"#,
            r#"{"key":"aws:MultiFactorAuthPresent","value":"true"},"#,
            r#"{"key":"aws:MultiFactorAuthAge","value":"7"},"#,
            r#"{"key":"aws:TokenIssueTime","value":"2025-10-10T14:00:00Z"},"#,
            r#"{"key":"aws:PrincipalTag/team","value":"red"},"#,
            r#"{"key":"orders:kind","value":"standard"},"#,
            r#"{"key":"orders:kinds","values":["a","b"]}],"withheld":["aws:Referer"]}}"#,
        )
    );
    let bare = InputRecord {
        principal: "",
        key_action: "",
        transport: Transport::Plain,
        mfa: None,
        issued_at: None,
        keys: vec![],
        withheld: vec![],
        completeness: Completeness::Cut,
        ..input()
    };
    assert_eq!(
        request(bare),
        concat!(
            r#","principal":""}},"keyAction":"","context":{"complete":false,"keys":["#,
            r#"{"key":"aws:SecureTransport","value":"false"}],"withheld":[]}}"#,
        )
    );
}

#[test]
fn only_an_enforced_denial_is_a_failure() {
    for mode in Mode::ALL {
        for decision in [Decision::Permit, Decision::Deny] {
            for candidate in [false, true] {
                for (layer, noun) in
                    [(Layer::Perimeter, "account-settings"), (Layer::Policy, "policy")]
                {
                    let verdict = Verdict { decision, mode, ..record().verdict };
                    let event = parsed(&EvalRecord { layer, verdict, candidate, ..record() });
                    let enforced = mode == Mode::Limited && !candidate;
                    let fails = enforced && decision == Decision::Deny;
                    let (outcome, severity, code, kind, suffix) = if fails {
                        ("failure", "critical", 403, "Forbidden", " -failure")
                    } else {
                        ("success", "normal", 200, "OK", "")
                    };
                    assert_eq!(event["responseData"]["isEnforced"], json!(enforced));
                    assert_eq!(event["responseData"]["candidate"], json!(candidate));
                    assert_eq!(event["responseData"]["mode"], json!(mode.as_str()));
                    assert_eq!(event["responseData"]["decision"], json!(decision.as_str()));
                    assert_eq!(event["outcome"], json!(outcome));
                    assert_eq!(event["severity"], json!(severity));
                    assert_eq!(event["reason"], json!({"reasonCode": code, "reasonType": kind}));
                    let message = format!("IAM Access Management: evaluate {noun}{suffix}");
                    assert_eq!(event["message"], json!(message));
                    assert_eq!(
                        event["action"],
                        json!(format!("iam-access-management.{noun}.eval"))
                    );
                    assert_eq!(
                        event["target"]["typeURI"],
                        json!(format!("iam-access-management/{noun}"))
                    );
                }
            }
        }
    }
}

#[test]
fn initiators_are_named_by_their_kind() {
    for (kind, identity_type, type_uri, name) in [
        (IdentityKind::Login, IdentityType::User, "user", "user"),
        (IdentityKind::Login, IdentityType::ServiceId, "serviceid", "service_id"),
        (IdentityKind::Login, IdentityType::Service, "service", "service"),
        (IdentityKind::Profile, IdentityType::User, "profile", "user"),
        (IdentityKind::Profile, IdentityType::ServiceId, "profile", "service_id"),
        (IdentityKind::Profile, IdentityType::Service, "profile", "service"),
    ] {
        let event = parsed(&EvalRecord { identity_kind: kind, identity_type, ..record() });
        let expected = format!("service/security/account/{type_uri}");
        assert_eq!(event["initiator"]["typeURI"], json!(expected));
        let attributes = &event["requestData"]["subject"]["attributes"];
        assert_eq!(attributes["identityType"], json!(name));
    }
}

#[test]
fn addresses_of_both_families_are_text() {
    for (address, kind) in [
        ("0.0.0.0", "IPv4"),
        ("255.255.255.255", "IPv4"),
        ("2001:db8::1", "IPv6"),
        ("2001:db8:1111:2222:3333:4444:5555:6666", "IPv6"),
        ("::", "IPv6"),
    ] {
        let event = parsed(&EvalRecord { source_ip: address.parse().unwrap(), ..record() });
        assert_eq!(event["initiator"]["host"]["address"], json!(address));
        assert_eq!(event["initiator"]["host"]["addressType"], json!(kind));
        assert_eq!(event["requestData"]["environment"]["attributes"]["ipAddress"], json!(address));
    }
}

#[test]
fn what_is_absent_is_empty_and_a_request_without_id_correlates_by_its_decision() {
    let event = parsed(&EvalRecord { caller: "", correlation_id: "", ..record() });
    assert_eq!(event["requestData"]["subject"]["attributes"]["token.account.bss"], json!(""));
    assert_eq!(event["correlationId"], event["responseData"]["decisionId"]);
}

#[test]
fn the_target_is_named_by_its_last_part() {
    for (resource, name) in [
        ("arn:aws:orders::59bc:order/7", "7"),
        ("arn:aws:orders::59bc:order/a/b.c", "b.c"),
        ("arn:aws:s3:::bucket", "bucket"),
        ("crn:v1:x:public:cos:global:a/59bc:inst:bucket:mine", "mine"),
        ("arn:aws:orders::59bc:order/", "order"),
        ("plain", "plain"),
        ("", ""),
        ("/", ""),
    ] {
        let event = parsed(&EvalRecord { resource, ..record() });
        assert_eq!(event["target"]["name"], json!(name), "{resource}");
    }
}

#[test]
fn the_second_is_kept_only_while_it_lasts() {
    let mut renderer = Renderer::new("i");
    for (millis, expected) in [
        (1_760_105_007_410, "2025-10-10T14:03:27.41+0000"),
        (1_760_105_007_990, "2025-10-10T14:03:27.99+0000"),
        (1_760_105_008_000, "2025-10-10T14:03:28.00+0000"),
        (1_760_105_007_000, "2025-10-10T14:03:27.00+0000"),
    ] {
        let mut out = Vec::new();
        renderer.eval(&mut out, 1, &EvalRecord { time: UnixMillis(millis), ..record() });
        let event: Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(event["eventTime"], json!(expected));
    }
}

fn update() -> UpdateRecord<'static> {
    UpdateRecord {
        id: Uuid::from_u128(ID),
        time: UnixMillis(1_760_105_007_410),
        revision: 18,
        identity_type: IdentityType::User,
        identity_kind: IdentityKind::Login,
        source_ip: IpAddr::V6(Ipv6Addr::LOCALHOST),
        correlation_id: "",
        owner: "59bc",
        initiator_id: "admin",
        initiator_name: "",
        agent: "sdk",
        changes: vec![
            ["user.setting", "report-only []", "limited [f714]"],
            ["user.candidate", "limited []\"\n", ""],
        ],
    }
}

#[test]
fn an_update_tells_who_changed_what() {
    let update = update();
    let mut out = Vec::new();
    Renderer::new("orders-7d4f").render(&mut out, 5, &Record::Update(update));
    let event: Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(event["action"], json!(UPDATE_ACTION));
    assert_eq!(event["severity"], json!("normal"));
    assert_eq!(event["outcome"], json!("success"));
    assert_eq!(event["reason"], json!({"reasonCode": 200, "reasonType": "OK"}));
    assert_eq!(event["initiator"]["id"], json!("admin"));
    assert_eq!(
        event["requestData"]["update"],
        json!([
            {"updateType": "user.setting", "initialValue": "report-only []", "newValue": "limited [f714]"},
            {"updateType": "user.candidate", "initialValue": "limited []\"\n", "newValue": ""},
        ])
    );
    assert_eq!(
        event["responseData"],
        json!({"revision": 18, "instance": "orders-7d4f", "sequence": 5})
    );
}

/// What the modes report, of every layer, standing, kind of caller and text that an event can have,
/// for the schema's own test, which names the file; see `tests/run`.
#[test]
fn lines_of_every_shape() {
    let mut lines = Vec::new();
    let mut renderer = Renderer::new("orders-7d4f");
    for text in ["plain", "\"quoted\\ \u{1}\n\u{2028}é𝄞", ""] {
        for (mode, decision, candidate) in [
            (Mode::ReportOnly, Decision::Permit, false),
            (Mode::ReportOnly, Decision::Deny, false),
            (Mode::ReportOnly, Decision::Permit, true),
            (Mode::Limited, Decision::Deny, false),
            (Mode::Limited, Decision::Permit, true),
            (Mode::Limited, Decision::Deny, true),
        ] {
            for identity_type in IdentityType::ALL {
                for identity_kind in [IdentityKind::Login, IdentityKind::Profile] {
                    let shape = |layer, reason| EvalRecord {
                        layer,
                        verdict: Verdict { decision, reason, mode },
                        candidate,
                        identity_type,
                        identity_kind,
                        identity_id: text,
                        identity_name: text,
                        authn_name: text,
                        resource: text,
                        action: text,
                        agent: text,
                        ..record()
                    };
                    let number = u64::try_from(lines.len()).unwrap() + 1;
                    renderer.eval(
                        &mut lines,
                        number,
                        &shape(Layer::Perimeter, perimeter(decision)),
                    );
                    for policy in policies(&shape(Layer::Policy, Reason::PolicyImplicitDeny), text)
                    {
                        renderer.eval(&mut lines, number, &policy);
                    }
                }
            }
        }
    }
    renderer.update(&mut lines, 1, &update());
    for text in ["plain", "\"quoted\\ \u{1}\n\u{2028}é𝄞", ""] {
        assume::tests::lines_of_every_shape(&mut renderer, &mut lines, text);
    }
    for line in lines.split_inclusive(|byte| *byte == b'\n') {
        serde_json::from_slice::<Value>(line).unwrap();
    }
    if let Some(file) = std::env::var_os("CROSSGATE_EVENT_LINES") {
        std::fs::write(file, lines).unwrap();
    }
}

fn perimeter(decision: Decision) -> Reason {
    if decision == Decision::Permit { Reason::AccountAllowlisted } else { Reason::NoAccount }
}

/// Events of policies of one shape, with little and with much in them.
fn policies<'a>(shape: &EvalRecord<'a>, text: &'a str) -> [EvalRecord<'a>; 2] {
    let allowed = shape.verdict.decision == Decision::Permit;
    let reason = if allowed { Reason::PolicyAllow } else { Reason::PolicyExplicitDeny };
    let mut missing = Missing::default();
    missing.add(Side::Scp);
    let verdict = if allowed { Verdict { reason, ..shape.verdict } } else { shape.verdict };
    let bare = InputRecord {
        mfa: None,
        issued_at: None,
        keys: Vec::new(),
        withheld: Vec::new(),
        completeness: Completeness::Cut,
        ..input()
    };
    let keys = vec![
        KeyRecord { key: text, value: KeyValue::Tag(text) },
        KeyRecord { key: text, value: KeyValue::Many(vec![text, text]) },
        KeyRecord { key: text, value: KeyValue::Many(Vec::new()) },
    ];
    let full = InputRecord { principal: text, keys, withheld: vec![text], ..input() };
    let note = StatementNote { policy: text, sid: text, index: 3, effect: Effect::Deny };
    let v6 = IpAddr::V6(Ipv6Addr::LOCALHOST);
    [
        EvalRecord { verdict, missing, input: Some(Box::new(bare)), ..shape.clone() },
        EvalRecord {
            verdict: Verdict { reason, ..shape.verdict },
            statements: vec![note; 8],
            caller: "",
            source_ip: v6,
            input: Some(Box::new(full)),
            ..shape.clone()
        },
    ]
}

proptest! {
    #[test]
    fn any_text_is_one_line_of_json_that_round_trips(
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        text in "(\\PC|[\\x00-\\x1f\"\\\\\u{7f}-\u{9f}\u{2028}\u{2029}]){0,40}",
    ) {
        let lossy = String::from_utf8_lossy(&bytes);
        let hostile = EvalRecord {
            agent: &lossy,
            resource: &text,
            action: &lossy,
            route: &text,
            identity_id: &lossy,
            identity_name: &text,
            authn_id: &text,
            authn_name: &lossy,
            correlation_id: &text,
            owner: &lossy,
            caller: &text,
            layer: Layer::Policy,
            input: Some(Box::new(InputRecord {
                principal: &lossy,
                key_action: &text,
                keys: vec![
                    KeyRecord { key: &text, value: KeyValue::Tag(&lossy) },
                    KeyRecord { key: &lossy, value: KeyValue::Many(vec![&text]) },
                ],
                withheld: vec![&text],
                ..input()
            })),
            ..record()
        };
        let line = line(&hostile);
        prop_assert_eq!(line.lines().count(), 1);
        prop_assert!(line.trim_end_matches('\n').chars().all(|c| !c.is_control()));
        let event: Value = serde_json::from_str(&line).unwrap();
        prop_assert_eq!(&event["initiator"]["host"]["agent"], &json!(lossy));
        prop_assert_eq!(&event["initiator"]["id"], &json!(lossy));
        prop_assert_eq!(&event["initiator"]["name"], &json!(text));
        prop_assert_eq!(&event["target"]["id"], &json!(text));
        prop_assert_eq!(&event["responseData"]["route"], &json!(text));
        prop_assert_eq!(&event["requestData"]["action"], &json!(lossy));
        let attributes = &event["requestData"]["subject"]["attributes"];
        prop_assert_eq!(&attributes["token.account.bss"], &json!(text));
        prop_assert_eq!(&attributes["principal"], &json!(lossy));
        let keys = &event["requestData"]["context"]["keys"];
        prop_assert_eq!(&keys[4]["key"], &json!(format!("aws:PrincipalTag/{text}")));
        prop_assert_eq!(&keys[4]["value"], &json!(lossy));
        prop_assert_eq!(&keys[5], &json!({"key": lossy, "values": [text]}));
        if !text.is_empty() {
            prop_assert_eq!(&event["correlationId"], &json!(text));
        }
    }
}
