//! Identity to claims and back, and what is refused.

use std::time::Duration;

use serde_json::json;

use super::*;
use crate::clock::UnixSeconds;
use crate::sts::WatchRules;

const ROLE: &str = "arn:aws:iam::222222222222:role/team/deploy";
const POLICY: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"orders:Get*","Resource":"*"}]}"#;

fn rules() -> StsRules {
    StsRules {
        issuer: "https://sts.example.com".into(),
        audiences: vec!["orders".into()],
        duration_default: Duration::from_hours(1),
        duration_max: Duration::from_hours(12),
        watch: WatchRules::default(),
    }
}

fn session() -> Identity {
    Identity {
        account: Some(AccountId::parse("222222222222").unwrap()),
        identity_type: IdentityType::ServiceId,
        kind: IdentityKind::Profile,
        principal: "arn:aws:sts::222222222222:assumed-role/deploy/ci".into(),
        id: ROLE.into(),
        name: "deploy".into(),
        authn_id: "iam-ServiceId-1".into(),
        authn_name: "ci".into(),
        issuer: "https://sts.example.com".into(),
        subject: "arn:aws:sts::222222222222:assumed-role/deploy/ci".into(),
        session_tags: BTreeMap::from([("Team".into(), "red".into())]),
        mfa: Some(false),
        authenticated_at: None,
        issued_at: Some(UnixSeconds(1_760_105_007)),
        not_before: None,
        expires_at: UnixSeconds(1_760_108_607),
        session: Some(Arc::new(Session {
            id: Uuid::from_u128(0x0199_cd9c_0000_7000_8000_0000_0000_0001),
            role: ROLE.into(),
            name: "ci".into(),
            transitive_tags: BTreeSet::from(["Team".into()]),
            source_identity: Some("ana".into()),
            chained: true,
            federated_provider: Some("i.example.com".into()),
            policies: Some(SessionPolicies {
                inline: Some(session_policy(POLICY).unwrap()),
                managed: ["arn:aws:iam::222222222222:policy/read".into()].into(),
            }),
        })),
    }
}

fn payload(identity: &Identity) -> Map<String, Value> {
    serde_json::from_slice(&session_claims(identity, &rules()).unwrap()).unwrap()
}

fn read(members: Map<String, Value>) -> Result<Identity, TokenError> {
    let expires_at = UnixSeconds(members["exp"].as_u64().unwrap());
    identity(&Claims { members, expires_at, not_before: None }, "https://sts.example.com")
}

#[test]
fn a_session_becomes_claims_and_comes_back() {
    let session = session();
    assert_eq!(read(payload(&session)).unwrap(), session);
}

#[test]
fn the_claims_have_the_contracts_names() {
    let found = Value::Object(payload(&session()));
    let expect = json!({
        "iss": "https://sts.example.com",
        "sub": "arn:aws:sts::222222222222:assumed-role/deploy/ci",
        "aud": ["orders"],
        "exp": 1_760_108_607_u64,
        "iat": 1_760_105_007_u64,
        "jti": "0199cd9c-0000-7000-8000-000000000001",
        "account": { "bss": "222222222222" },
        "iam_id": ROLE,
        "name": "deploy",
        "sub_type": "Role",
        "authn": { "iam_id": "iam-ServiceId-1", "name": "ci", "sub_type": "ServiceId" },
        "role": ROLE,
        "session_name": "ci",
        "tags": { "Team": "red" },
        "transitive_tags": ["Team"],
        "source_identity": "ana",
        "federated_provider": "i.example.com",
        "chained": true,
        "session_policy": POLICY,
        "session_policy_arns": ["arn:aws:iam::222222222222:policy/read"],
    });
    assert_eq!(found, expect);
}

#[test]
fn a_profile_has_its_id_as_subject() {
    let profile = "arn:aws:iam::222222222222:role/Profile-1";
    let mut identity = session();
    identity.id = "iam-Profile-1".into();
    let session = Arc::make_mut(identity.session.as_mut().unwrap());
    session.role = profile.into();
    let claims = payload(&identity);
    assert_eq!((&claims["sub"], &claims["sub_type"]), (&json!("iam-Profile-1"), &json!("Profile")));
}

#[test]
fn a_role_with_the_name_of_a_profile_is_a_role() {
    let mut identity = session();
    let role = "arn:aws:iam::222222222222:role/Profile-1";
    identity.id = role.into();
    Arc::make_mut(identity.session.as_mut().unwrap()).role = role.into();
    let claims = payload(&identity);
    let expect = (&json!(&*identity.principal), &json!("Role"));
    assert_eq!((&claims["sub"], &claims["sub_type"]), expect);
}

#[test]
fn a_login_has_no_session_claims() {
    let login = Identity { session: None, ..session() };
    assert_eq!(session_claims(&login, &rules()), None);
}

#[test]
fn what_limits_a_session_is_read_whole_or_the_token_is_refused() {
    let refused = |claim: &str, value: Value| {
        let mut members = payload(&session());
        members.insert(claim.into(), value);
        read(members).unwrap_err()
    };
    let eleven: Vec<_> = (0..11).map(|number| format!("arn:aws:iam::2:policy/{number}")).collect();
    for (claim, value) in [
        ("session_policy", json!("{}")),
        ("session_policy", json!({})),
        ("session_policy", json!("{\"Statement\":[]}")),
        ("session_policy_arns", json!(eleven)),
        ("session_policy_arns", json!("arn")),
        ("session_policy_arns", json!([1])),
        ("session_policy_arns", json!([""])),
        ("transitive_tags", json!("Team")),
        ("tags", json!([])),
        ("role", json!("deploy")),
        ("role", json!("arn:aws:iam::111111111111:role/deploy")),
        ("jti", json!("1")),
        ("authn", json!({})),
        ("authn", json!({ "iam_id": "a", "sub_type": "other" })),
        ("account", json!({})),
        ("session_name", json!("")),
    ] {
        let error = refused(claim, value.clone());
        assert!(
            matches!(error, TokenError::InvalidClaim { .. } | TokenError::MissingClaim { .. }),
            "{claim} {value}: {error}"
        );
    }
}

#[test]
fn a_session_knows_when_it_was_issued_to_the_millisecond() {
    let session = session().session.unwrap();
    assert_eq!(session.issued_at().0, 0x0199_cd9c_0000);
}
