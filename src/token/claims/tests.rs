//! From claims to identities: the published IBM tokens, sessions of profiles, mappings.

use std::time::Duration;

use serde_json::json;

use super::*;
use crate::clock::UnixSeconds;
use crate::token::{Algorithm, JwksLocation, JwksSource};

fn spec(claims: ClaimsMapping) -> IssuerSpec {
    IssuerSpec {
        issuer: "https://i.example.com".into(),
        audiences: vec![],
        algorithms: vec![Algorithm::Rs256],
        jwks: JwksSource {
            location: JwksLocation::File("keys.json".into()),
            refresh: Duration::from_mins(5),
            unknown_kid_interval: Duration::from_secs(10),
            timeout: Duration::from_secs(5),
        },
        leeway: Duration::ZERO,
        claims,
    }
}

fn of(claims: Value, mapping: ClaimsMapping) -> Result<Identity, TokenError> {
    let Value::Object(members) = claims else { panic!("an object") };
    let claims = Claims { members, expires_at: UnixSeconds(9), not_before: Some(UnixSeconds(1)) };
    identity(&claims, &spec(mapping))
}

fn ibm_of(claims: Value) -> Result<Identity, TokenError> {
    of(claims, ClaimsMapping::Ibm)
}

fn mapping() -> PointerMapping {
    PointerMapping {
        account: "/tenant/id".into(),
        identity_type: Some("/kind".into()),
        identity_types: vec![
            ("bot".into(), IdentityType::ServiceId),
            ("svc".into(), IdentityType::Service),
        ],
        principal: "arn:aws:iam::{account}:user/{sub}".into(),
        session_tags: Some("/tags".into()),
        mfa: Some("/amr".into()),
    }
}

fn mapped_of(claims: Value) -> Result<Identity, TokenError> {
    of(claims, ClaimsMapping::Pointers(mapping()))
}

const ACCOUNT: &str = "f71446b6474d45bf81196da45de13940";

/// What a test looks at: account, type, kind, principal, id, name, login's id and name.
fn summary(identity: &Identity) -> [String; 8] {
    [
        identity.account.map(|account| account.to_string()).unwrap_or_default(),
        identity.identity_type.as_str().to_owned(),
        format!("{:?}", identity.kind),
        identity.principal.to_string(),
        identity.id.to_string(),
        identity.name.to_string(),
        identity.authn_id.to_string(),
        identity.authn_name.to_string(),
    ]
}

#[track_caller]
fn check(claims: Value, expected: [&str; 8]) {
    assert_eq!(summary(&ibm_of(claims).unwrap()), expected);
}

#[test]
fn a_users_token_is_a_user_shown_by_address() {
    check(
        json!({
            "iam_id": "IBMid-XXXXXXX", "id": "IBMid-XXXXXXX", "realmid": "IBMid",
            "identifier": "XXXXXXX", "given_name": "Don", "family_name": "Quixote",
            "name": "Don Quixote", "email": "quixote@email.com", "sub": "quixote@email.com",
            "account": { "bss": "123123123123123" }, "scope": "openid", "acr": 1, "amr": ["pwd"],
        }),
        [
            "123123123123123",
            "user",
            "Login",
            "arn:aws:iam::123123123123123:user/IBMid-XXXXXXX",
            "IBMid-XXXXXXX",
            "quixote@email.com",
            "IBMid-XXXXXXX",
            "quixote@email.com",
        ],
    );
}

#[test]
fn a_service_ids_token_is_a_service_id() {
    let id = "iam-ServiceId-c1e45eff";
    check(
        json!({
            "iam_id": id, "realmid": "iam", "identifier": "ServiceId-c1e45eff",
            "name": "My Service ID", "sub": "ServiceId-c1e45eff", "sub_type": "ServiceId",
            "authn": { "sub": "ServiceId-c1e45eff", "iam_id": id, "sub_type": "ServiceId" },
            "account": { "valid": true, "bss": ACCOUNT, "frozen": true },
        }),
        [
            ACCOUNT,
            "service_id",
            "Login",
            "arn:aws:iam::f71446b6474d45bf81196da45de13940:user/iam-ServiceId-c1e45eff",
            id,
            "My Service ID",
            id,
            "My Service ID",
        ],
    );
}

#[test]
fn a_services_token_is_a_service_by_its_crn() {
    let crn = format!("crn:v1:bluemix:public:resource-controller::a/{ACCOUNT}::resource-broker:1f");
    let id = format!("crn-{crn}");
    check(
        json!({
            "iam_id": id, "realmid": "crn", "sub": crn, "sub_type": "CRN",
            "authn": { "sub": crn, "iam_id": id, "sub_type": "CRN" },
            "account": { "valid": true, "bss": ACCOUNT, "frozen": true }, "amr": [],
        }),
        [ACCOUNT, "service", "Login", "resource-controller", &id, "", &id, ""],
    );
}

#[test]
fn a_services_crn_must_name_a_service() {
    for id in [
        "crn-crn:v1:bluemix:public",
        "crn-crn:v2:b:p:s:",
        "crn-crn:v1:b:p::x",
        "crn-x",
        "crn-crn:v1:b:p:a b:x",
        "crn-crn:v1:b:p:*:x",
    ] {
        let claims = json!({ "iam_id": id, "account": { "bss": ACCOUNT } });
        assert_eq!(ibm_of(claims), Err(invalid("iam_id")), "{id}");
    }
}

#[test]
fn a_profiles_session_has_the_profiles_account_and_the_logins_type() {
    let session = |sub_type: &str, authn: Value| {
        json!({
            "iam_id": "iam-Profile-9f", "identifier": "Profile-9f", "sub": "Profile-9f",
            "sub_type": sub_type, "name": "auditors", "account": { "bss": ACCOUNT },
            "authn": authn,
        })
    };
    let role = format!("arn:aws:sts::{ACCOUNT}:assumed-role/Profile-9f");
    check(
        session("Profile", json!({ "iam_id": "IBMid-1", "sub": "a@b.c", "name": "A B" })),
        [
            ACCOUNT,
            "user",
            "Profile",
            &format!("{role}/IBMid-1"),
            "iam-Profile-9f",
            "auditors",
            "IBMid-1",
            "A B",
        ],
    );
    check(
        session("Profile", json!({ "iam_id": "iam-ServiceId-1", "sub_type": "ServiceId" })),
        [
            ACCOUNT,
            "service_id",
            "Profile",
            &format!("{role}/iam-ServiceId-1"),
            "iam-Profile-9f",
            "auditors",
            "iam-ServiceId-1",
            "",
        ],
    );
    let compute = "crn-crn:v1:bluemix:public:is:us-south:a/1::instance:2";
    check(
        session("ComputeResource", json!({ "iam_id": compute, "sub_type": "CRN" })),
        [
            ACCOUNT,
            "service",
            "Profile",
            &format!("{role}/{compute}"),
            "iam-Profile-9f",
            "auditors",
            compute,
            "",
        ],
    );
}

#[test]
fn only_a_compute_resource_may_enter_a_profile_without_a_login() {
    let session = |sub_type: &str| {
        ibm_of(json!({
            "iam_id": "iam-Profile-9f", "identifier": "Profile-9f", "sub_type": sub_type,
            "account": { "bss": ACCOUNT },
        }))
    };
    let compute = session("ComputeResource").unwrap();
    assert_eq!(compute.identity_type, IdentityType::Service);
    assert_eq!(compute.kind, IdentityKind::Profile);
    assert_eq!(&*compute.authn_id, "iam-Profile-9f");
    assert_eq!(session("Profile"), Err(missing("authn")));
    assert_eq!(session("CRN"), Err(missing("authn")));
}

#[test]
fn an_absent_or_empty_account_is_none_and_leaves_its_place_empty() {
    for account in [json!({}), json!({ "account": {} }), json!({ "account": { "bss": "" } })] {
        let mut claims = account;
        claims["iam_id"] = json!("IBMid-1");
        let identity = ibm_of(claims).unwrap();
        assert_eq!(identity.account, None);
        assert_eq!(&*identity.principal, "arn:aws:iam:::user/IBMid-1");
    }
}

#[test]
fn a_claim_of_another_type_refuses_the_token() {
    let base = json!({
        "iam_id": "iam-Profile-1", "sub": "Profile-1", "sub_type": "Profile", "name": "n",
        "email": "e", "account": { "bss": "1" }, "amr": ["pwd"], "auth_time": 1,
        "identifier": "Profile-1", "authn": { "iam_id": "IBMid-1", "sub": "s", "sub_type": "u",
        "name": "n", "email": "e" },
    });
    assert!(ibm_of(base.clone()).is_ok());
    for pointer in [
        "/iam_id",
        "/sub",
        "/sub_type",
        "/name",
        "/account",
        "/account/bss",
        "/amr",
        "/amr/0",
        "/auth_time",
        "/identifier",
        "/authn",
        "/authn/iam_id",
        "/authn/sub",
        "/authn/sub_type",
        "/authn/name",
        "/authn/email",
    ] {
        for wrong in [json!(null), json!(-7), json!(["x", 1]), json!("\n")] {
            let mut claims = base.clone();
            *claims.pointer_mut(pointer).unwrap() = wrong.clone();
            let refused = matches!(ibm_of(claims), Err(TokenError::InvalidClaim { .. }));
            // Any text is a method, and a control character in it is only not a known one.
            let is_method = pointer == "/amr/0" && wrong.is_string();
            assert_eq!(refused, !is_method, "{pointer} {wrong}");
        }
    }
}

#[test]
fn claims_are_bounded() {
    let named = |bytes: usize| ibm_of(json!({ "iam_id": "i".repeat(bytes) }));
    assert!(named(CLAIM_BYTES_MAX).is_ok());
    assert_eq!(named(CLAIM_BYTES_MAX + 1), Err(invalid("iam_id")));
}

#[test]
fn second_factors_are_told_from_passwords() {
    let mfa = |amr: Value| ibm_of(json!({ "iam_id": "i", "amr": amr })).unwrap().mfa;
    assert_eq!(mfa(json!(["pwd", "otp"])), Some(true));
    assert_eq!(mfa(json!(["mfa"])), Some(true));
    assert_eq!(mfa(json!(true)), Some(true));
    assert_eq!(mfa(json!(["pwd"])), Some(false));
    assert_eq!(mfa(json!([])), Some(false));
    assert_eq!(ibm_of(json!({ "iam_id": "i" })).unwrap().mfa, None);
}

#[test]
fn times_of_the_token_and_of_the_login_are_kept() {
    let identity = ibm_of(json!({ "iam_id": "i", "auth_time": 5.9, "iat": 6.1 })).unwrap();
    assert_eq!(identity.authenticated_at, Some(UnixSeconds(5)));
    assert_eq!(identity.issued_at, Some(UnixSeconds(6)));
    assert_eq!(identity.not_before, Some(UnixSeconds(1)));
    assert_eq!(identity.expires_at, UnixSeconds(9));
}

#[test]
fn session_tags_are_apart_without_regard_to_letter_case() {
    let tags = |tags: Value| {
        mapped_of(json!({ "tenant": { "id": "acme" }, "sub": "robot", "tags": tags }))
            .map(|identity| identity.session_tags.len())
    };
    assert_eq!(tags(json!({ "team": "a", "site": "b" })), Ok(2));
    assert_eq!(tags(json!({ "team": "a", "Team": "b" })), Err(invalid("session_tags")));
    assert_eq!(tags(json!({ "teamς": "a", "teamσ": "b" })), Err(invalid("session_tags")));
}

#[test]
fn session_tags_are_as_long_as_those_of_aws_in_characters() {
    let tags = |key: usize, value: usize| {
        let tags = json!({ "é".repeat(key): "字".repeat(value) });
        mapped_of(json!({ "tenant": { "id": "acme" }, "sub": "robot", "tags": tags }))
            .map(|identity| identity.session_tags.len())
    };
    assert_eq!(tags(128, 256), Ok(1));
    assert_eq!(tags(129, 256), Err(invalid("session_tags")));
    assert_eq!(tags(128, 257), Err(invalid("session_tags")));
}

#[test]
fn pointers_find_account_type_tags_and_factor() {
    let identity = mapped_of(json!({
        "tenant": { "id": "acme" }, "kind": "bot", "sub": "robot", "name": "Robot",
        "tags": { "team": "blue" }, "amr": ["hwk"],
    }))
    .unwrap();
    assert_eq!(
        summary(&identity),
        [
            "acme",
            "service_id",
            "Login",
            "arn:aws:iam::acme:user/robot",
            "robot",
            "Robot",
            "robot",
            "Robot"
        ]
    );
    assert_eq!(identity.session_tags, BTreeMap::from([("team".into(), "blue".into())]));
    assert_eq!(identity.mfa, Some(true));
    assert_eq!(&*identity.issuer, "https://i.example.com");
}

#[test]
fn absent_claims_of_a_mapping_are_none_and_user() {
    let identity = mapped_of(json!({ "sub": "s", "kind": "else" })).unwrap();
    assert_eq!(identity.account, None);
    assert_eq!(identity.identity_type, IdentityType::User);
    assert_eq!(&*identity.principal, "arn:aws:iam:::user/s");
    assert!(identity.session_tags.is_empty());
    assert_eq!(identity.mfa, None);
    assert_eq!(mapped_of(json!({})), Err(missing("principal")));
}

#[test]
fn present_claims_of_a_mapping_must_be_of_their_type() {
    for (wrong, claim) in [
        (json!({ "tenant": { "id": 1 } }), "account"),
        (json!({ "tenant": { "id": "a:b" } }), "account"),
        (json!({ "kind": true }), "identity_type"),
        (json!({ "tags": ["a"] }), "session_tags"),
        (json!({ "tags": { "a": 1 } }), "session_tags"),
        (json!({ "tags": { "": "x" } }), "session_tags"),
        (json!({ "tags": { "a": "x".repeat(TAG_VALUE_CHARS_MAX + 1) } }), "session_tags"),
        (json!({ "tags": { "a": "\r" } }), "session_tags"),
        (json!({ "amr": "mfa" }), "mfa"),
        (json!({ "sub": 5 }), "principal"),
    ] {
        let mut claims = json!({ "sub": "s" });
        claims.as_object_mut().unwrap().extend(wrong.as_object().unwrap().clone());
        assert_eq!(mapped_of(claims), Err(invalid(claim)), "{wrong}");
    }
}

#[test]
fn pointers_unescape_and_do_not_enter_arrays() {
    let members = json!({ "a/b": { "c~d": 1 }, "list": [2] });
    let members = members.as_object().unwrap();
    assert_eq!(at(members, "/a~1b/c~0d"), Some(&json!(1)));
    assert_eq!(at(members, "/list/0"), None);
    assert_eq!(at(members, ""), None);
    assert_eq!(at(members, "list"), None);
}

#[test]
fn a_value_can_not_leave_its_part_of_the_principal() {
    let filled = |template: &str, claims: Value| {
        fill(template, Some(&"acme".parse().unwrap()), claims.as_object().unwrap())
    };
    let last = "arn:aws:iam::{account}:user/{sub}";
    assert_eq!(filled(last, json!({ "sub": "a/b:c" })).unwrap(), "arn:aws:iam::acme:user/a/b:c");
    let early = "arn:aws:iam::{org}:user/{sub}";
    assert!(filled(early, json!({ "org": "o", "sub": "s" })).is_ok());
    for org in ["victim:user/admin", "a/b"] {
        assert_eq!(filled(early, json!({ "org": org, "sub": "s" })), Err(invalid("principal")));
    }
    assert_eq!(filled("{sub", json!({ "sub": "s" })), Err(invalid("principal")));
}

#[test]
fn what_limits_a_session_is_not_lost_by_another_mapping() {
    for claim in ["session_policy", "session_policy_arns"] {
        let ibm = json!({ "iam_id": "IBMid-1", "account": { "bss": ACCOUNT }, claim: "x" });
        assert_eq!(ibm_of(ibm), Err(invalid("session_policy")), "{claim}");
        let mapped = json!({ "tenant": { "id": "acme" }, "sub": "robot", claim: "x" });
        assert_eq!(mapped_of(mapped), Err(invalid("session_policy")), "{claim}");
    }
}
