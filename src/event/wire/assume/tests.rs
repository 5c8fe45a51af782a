use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;
use serde_json::{Value, json};
use uuid::Uuid;

use super::*;
use crate::clock::{UnixMillis, UnixSeconds};
use crate::event::frame::Record;
use crate::event::{AssumeReason, DetectionSubject, Door, StatementNote};
use crate::policy::{Effect, Missing, Side};

const ID: u128 = 0x0199_ce1d_4002_7000_8000_0000_0000_0001;
const SESSION: u128 = 0x0199_ce1d_4003_7000_8000_0000_0000_0002;
const ROLE: &str = "arn:aws:iam::222222222222:role/team/deploy";
const PROFILE: &str = "iam-Profile-9fd84246-7df4-4667-94e4-8ecde51d5ac5";

fn caller(text: &str) -> CallerRecord<'_> {
    CallerRecord {
        identity_type: IdentityType::User,
        identity_kind: IdentityKind::Login,
        account: "111111111111",
        id: text,
        name: text,
        authn_id: text,
        authn_name: text,
        principal: text,
    }
}

fn attempt() -> AssumeRecord<'static> {
    AssumeRecord {
        id: Uuid::from_u128(ID),
        time: UnixMillis(1_760_105_007_410),
        revision: 17,
        target: AssumeTarget::Role,
        door: Door::AwsQuery,
        decision: Decision::Permit,
        reason: AssumeReason::PolicyAllow,
        status: 200,
        has_external_id: true,
        duration_seconds: Some(3600),
        session: Some((Uuid::from_u128(SESSION), UnixSeconds(1_760_108_607))),
        source_ip: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 10)),
        correlation_id: "4bf92f3577b34da6a3ce929d0e0e4736",
        owner: "222222222222",
        role: ROLE,
        session_name: "ci-17",
        source_identity: "alice",
        agent: "aws-cli/2",
        caller: Some(CallerRecord {
            id: "IBMid-1",
            name: "a@example.com",
            authn_id: "IBMid-1",
            authn_name: "a@example.com",
            principal: "arn:aws:iam::111111111111:user/IBMid-1",
            ..caller("")
        }),
        missing: Missing::default(),
        statements: vec![StatementNote {
            policy: "trust policy",
            sid: "Deployers",
            index: 0,
            effect: Effect::Allow,
        }],
    }
}

fn noticed() -> DetectionRecord<'static> {
    let AssumeRecord { id, time, revision, source_ip, correlation_id, owner, role, agent, .. } =
        attempt();
    DetectionRecord {
        id,
        time,
        revision,
        name: DetectionName::FailedAssume,
        subject: DetectionSubject::Role,
        count: 5,
        target: AssumeTarget::Role,
        source_ip,
        correlation_id,
        owner,
        role,
        agent,
        caller: attempt().caller,
    }
}

fn line(record: &Record<'_>) -> String {
    let mut out = Vec::new();
    Renderer::new("orders-7d4f").render(&mut out, 4711, record);
    String::from_utf8(out).unwrap()
}

fn parsed(record: &Record<'_>) -> Value {
    serde_json::from_str(&line(record)).unwrap()
}

fn of_attempt(record: AssumeRecord<'_>) -> Value {
    parsed(&Record::Assume(record))
}

#[test]
fn an_attempt_is_the_documented_object_to_the_letter() {
    let expected = concat!(
        r#"{"action":"sts.role.assume","eventTime":"2025-10-10T14:03:27.41+0000","#,
        r#""id":"0199ce1d-4002-7000-8000-000000000001","correlationId":"4bf92f3577b34da6a3ce929d0e0e4736","#,
        r#""outcome":"success","severity":"normal","#,
        r#""message":"Security Token Service: assume role","dataEvent":false,"saveServiceCopy":true,"#,
        r#""logSourceCRN":"crn:v1:crossgate:public:sts:global:a/222222222222:::","#,
        r#""observer":{"name":"crossgate"},"#,
        r#""initiator":{"id":"IBMid-1","name":"a@example.com","authnId":"IBMid-1","authnName":"a@example.com","#,
        r#""typeURI":"service/security/account/user","credential":{"type":"token"},"#,
        r#""host":{"address":"192.0.2.10","addressType":"IPv4","agent":"aws-cli/2"}},"#,
        r#""target":{"id":"arn:aws:iam::222222222222:role/team/deploy","name":"deploy","typeURI":"sts/role/assume"},"#,
        r#""reason":{"reasonCode":200,"reasonType":"OK"},"#,
        r#""requestData":{"action":"sts:AssumeRole","reqOrder":0,"environment":{"attributes":{"ipAddress":"192.0.2.10"}},"#,
        r#""resource":{"attributes":{"accountId":"222222222222"}},"#,
        r#""subject":{"attributes":{"id":"IBMid-1","token.account.bss":"111111111111","identityType":"user","#,
        r#""principal":"arn:aws:iam::111111111111:user/IBMid-1"}},"#,
        r#""roleArn":"arn:aws:iam::222222222222:role/team/deploy","sessionName":"ci-17","durationSeconds":3600,"#,
        r#""protocol":"assume_role","hasExternalId":true,"sourceIdentity":"alice"},"#,
        r#""responseData":{"decision":"Permit","reason":"policy_allow","#,
        r#""decisionId":"0199ce1d-4002-7000-8000-000000000001","revision":17,"instance":"orders-7d4f","sequence":4711,"#,
        r#""sessionId":"0199ce1d-4003-7000-8000-000000000002","expiration":"2025-10-10T15:03:27Z","#,
        r#""statements":[{"policy":"trust policy","sid":"Deployers","index":0,"effect":"Allow"}],"missing":[]}}"#,
        "\n",
    );
    assert_eq!(line(&Record::Assume(attempt())), expected);
}

#[test]
fn a_detection_is_the_documented_object_to_the_letter() {
    let expected = concat!(
        r#"{"action":"crossgate.detection.failed_assume","eventTime":"2025-10-10T14:03:27.41+0000","#,
        r#""id":"0199ce1d-4002-7000-8000-000000000001","correlationId":"4bf92f3577b34da6a3ce929d0e0e4736","#,
        r#""outcome":"success","severity":"critical","#,
        r#""message":"crossgate: detection failed_assume","dataEvent":false,"saveServiceCopy":true,"#,
        r#""logSourceCRN":"crn:v1:crossgate:public:sts:global:a/222222222222:::","#,
        r#""observer":{"name":"crossgate"},"#,
        r#""initiator":{"id":"IBMid-1","name":"a@example.com","authnId":"IBMid-1","authnName":"a@example.com","#,
        r#""typeURI":"service/security/account/user","credential":{"type":"token"},"#,
        r#""host":{"address":"192.0.2.10","addressType":"IPv4","agent":"aws-cli/2"}},"#,
        r#""target":{"id":"arn:aws:iam::222222222222:role/team/deploy","name":"deploy","typeURI":"sts/role/assume"},"#,
        r#""reason":{"reasonCode":200,"reasonType":"OK"},"#,
        r#""requestData":{"environment":{"attributes":{"ipAddress":"192.0.2.10"}},"#,
        r#""resource":{"attributes":{"accountId":"222222222222"}},"#,
        r#""subject":{"attributes":{"id":"IBMid-1","token.account.bss":"111111111111","identityType":"user","#,
        r#""principal":"arn:aws:iam::111111111111:user/IBMid-1"}}},"#,
        r#""responseData":{"detection":"failed_assume","subject":"role","count":5,"#,
        r#""principal":"arn:aws:iam::111111111111:user/IBMid-1","account":"111111111111","#,
        r#""role":"arn:aws:iam::222222222222:role/team/deploy","#,
        r#""revision":17,"instance":"orders-7d4f","sequence":4711}}"#,
        "\n",
    );
    assert_eq!(line(&Record::Detection(noticed())), expected);
}

#[test]
fn a_profile_is_named_by_its_own_words() {
    let profile =
        AssumeRecord { target: AssumeTarget::Profile, door: Door::Ibm, role: PROFILE, ..attempt() };
    let event = of_attempt(profile);
    assert_eq!(event["action"], json!("iam-identity.account-profile.assume"));
    assert_eq!(event["message"], json!("IAM Identity Service: assume account-profile"));
    let source = "crn:v1:crossgate:public:iam-identity:global:a/222222222222:::";
    assert_eq!(event["logSourceCRN"], json!(source));
    let target =
        json!({"id": PROFILE, "name": PROFILE, "typeURI": "iam-identity/account-profile/assume"});
    assert_eq!(event["target"], target);
    assert_eq!(event["requestData"]["profileId"], json!(PROFILE));
    assert_eq!(event["requestData"]["roleArn"], Value::Null);
    assert_eq!(event["requestData"]["protocol"], json!("ibm"));
}

#[test]
fn the_severity_of_a_refusal_is_that_of_its_reason() {
    for (reason, status, severity, phrase) in [
        (AssumeReason::PolicyImplicitDeny, 403, "critical", "Forbidden"),
        // IBM's and OAuth's status of a denial.
        (AssumeReason::UnknownRole, 400, "critical", "Bad Request"),
        (AssumeReason::InvalidToken, 401, "critical", "Unauthorized"),
        (AssumeReason::InvalidDuration, 400, "warning", "Bad Request"),
        (AssumeReason::KeysUnavailable, 503, "warning", "Service Unavailable"),
        (AssumeReason::Unavailable, 999, "warning", ""),
    ] {
        let decision = Decision::Deny;
        let event =
            of_attempt(AssumeRecord { decision, reason, status, session: None, ..attempt() });
        assert_eq!(event["outcome"], json!("failure"));
        assert_eq!(event["severity"], json!(severity), "{reason:?}");
        assert_eq!(event["message"], json!("Security Token Service: assume role -failure"));
        assert_eq!(event["reason"], json!({"reasonCode": status, "reasonType": phrase}));
        assert_eq!(event["responseData"]["decision"], json!("Deny"));
        assert_eq!(event["responseData"]["reason"], json!(reason.as_str()));
        assert_eq!(event["responseData"]["sessionId"], json!(""));
        assert_eq!(event["responseData"]["expiration"], json!(""));
    }
    assert!(AssumeReason::ALL.iter().filter(|reason| reason.is_denial()).count() == 8);
}

#[test]
fn where_a_token_proves_nobody_texts_are_empty() {
    let nobody = AssumeRecord {
        caller: None,
        owner: "",
        role: "",
        correlation_id: "",
        duration_seconds: None,
        ..attempt()
    };
    let event = of_attempt(nobody);
    for pointer in [
        "/initiator/id",
        "/initiator/name",
        "/initiator/authnId",
        "/initiator/authnName",
        "/target/id",
        "/target/name",
        "/requestData/roleArn",
        "/requestData/resource/attributes/accountId",
        "/requestData/subject/attributes/id",
        "/requestData/subject/attributes/token.account.bss",
        "/requestData/subject/attributes/identityType",
        "/requestData/subject/attributes/principal",
    ] {
        assert_eq!(event.pointer(pointer), Some(&json!("")), "{pointer}");
    }
    assert_eq!(event["requestData"]["durationSeconds"], json!(0));
    assert_eq!(event["correlationId"], event["id"]);
    assert_eq!(event["logSourceCRN"], json!("crn:v1:crossgate:public:sts:global:a/:::"));
    let detection = parsed(&Record::Detection(DetectionRecord { caller: None, ..noticed() }));
    assert_eq!(detection["responseData"]["principal"], json!(""));
    assert_eq!(detection["responseData"]["account"], json!(""));
}

#[test]
fn every_detection_has_its_action_and_severity() {
    for name in DetectionName::ALL {
        let event = parsed(&Record::Detection(DetectionRecord { name, ..noticed() }));
        let word = name.as_str();
        assert_eq!(event["action"], json!(format!("crossgate.detection.{word}")));
        assert_eq!(event["message"], json!(format!("crossgate: detection {word}")));
        assert_eq!(event["responseData"]["detection"], json!(word));
        let critical = ["failed_assume", "external_id_guessing", "break_glass"];
        let severity = if critical.contains(&word) { "critical" } else { "warning" };
        assert_eq!(event["severity"], json!(severity));
    }
}

/// Every kind of attempt and detection with each text, for the test of the schema.
pub(in crate::event::wire) fn lines_of_every_shape(
    renderer: &mut Renderer,
    lines: &mut Vec<u8>,
    text: &str,
) {
    let mut missing = Missing::default();
    missing.add(Side::Resource);
    let note = StatementNote { policy: text, sid: text, index: 3, effect: Effect::Deny };
    let v6 = IpAddr::V6(Ipv6Addr::LOCALHOST);
    for target in AssumeTarget::ALL {
        for reason in AssumeReason::ALL {
            let permits = matches!(reason, AssumeReason::PolicyAllow | AssumeReason::ProfileTrusts);
            let full = AssumeRecord {
                target,
                reason,
                decision: if permits { Decision::Permit } else { Decision::Deny },
                status: if permits { 200 } else { 403 },
                session: attempt().session.filter(|_| permits),
                role: text,
                session_name: text,
                source_identity: text,
                agent: text,
                caller: Some(caller(text)),
                missing,
                statements: vec![note; 8],
                ..attempt()
            };
            let bare = AssumeRecord {
                door: Door::Ibm,
                status: if permits { 200 } else { 400 },
                owner: "",
                correlation_id: "",
                duration_seconds: attempt().duration_seconds.filter(|_| permits),
                has_external_id: false,
                caller: None,
                source_ip: v6,
                missing: Missing::default(),
                statements: vec![],
                ..full.clone()
            };
            renderer.assume(lines, 1, &full);
            renderer.assume(lines, 2, &bare);
        }
        for name in DetectionName::ALL {
            let (role, agent) = (text, text);
            let full = DetectionRecord {
                name,
                target,
                role,
                agent,
                caller: Some(caller(text)),
                ..noticed()
            };
            renderer.detection(lines, 3, &full);
            let bare = DetectionRecord { owner: "", caller: None, source_ip: v6, ..full };
            renderer.detection(lines, 4, &bare);
            for subject in DetectionSubject::ALL {
                let bare = DetectionRecord { subject, ..bare.clone() };
                renderer.detection(lines, 5, &bare);
            }
        }
    }
}

proptest! {
    #[test]
    fn any_text_is_one_line_of_json_that_round_trips(
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        text in "(\\PC|[\\x00-\\x1f\"\\\\\u{7f}-\u{9f}\u{2028}\u{2029}]){0,40}",
    ) {
        let lossy = String::from_utf8_lossy(&bytes);
        let hostile = AssumeRecord {
            correlation_id: &text,
            owner: &lossy,
            role: &lossy,
            session_name: &text,
            source_identity: &lossy,
            agent: &text,
            caller: Some(CallerRecord { account: &lossy, principal: &lossy, ..caller(&text) }),
            statements: vec![
                StatementNote { policy: &text, sid: &lossy, index: 0, effect: Effect::Deny },
            ],
            ..attempt()
        };
        let noticed = DetectionRecord {
            owner: &text,
            role: &lossy,
            agent: &lossy,
            caller: hostile.caller,
            ..noticed()
        };
        for record in [Record::Assume(hostile), Record::Detection(noticed)] {
            let line = line(&record);
            prop_assert_eq!(line.lines().count(), 1);
            prop_assert!(line.trim_end_matches('\n').chars().all(|c| !c.is_control()));
            let event: Value = serde_json::from_str(&line).unwrap();
            prop_assert_eq!(&event["target"]["id"], &json!(lossy));
            prop_assert_eq!(&event["initiator"]["id"], &json!(text));
            let attributes = &event["requestData"]["subject"]["attributes"];
            prop_assert_eq!(&attributes["principal"], &json!(lossy));
            prop_assert_eq!(&attributes["token.account.bss"], &json!(lossy));
        }
    }
}
