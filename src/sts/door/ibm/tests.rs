use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::clock::UnixMillis;
use crate::sts::assume::Target;
use crate::sts::door::tests::{ID, form, granted as session_granted, person, text_of};

const BY_ID: [(&str, &str); 3] =
    [("grant_type", ASSUME), ("access_token", "a.b.c"), ("profile_id", "Profile-1")];

fn asked(fields: &[(&str, &str)]) -> Option<Attempt> {
    match read(&form(fields)) {
        Call::Assume(attempt) => Some(*attempt),
        Call::Identify(_) | Call::Refused(_) => None,
    }
}

#[track_caller]
fn target(fields: &[(&str, &str)], expected: Target<'_>) {
    let attempt = asked(fields).unwrap();
    assert_eq!(attempt.fault, None);
    assert_eq!(attempt.token.as_deref(), Some("a.b.c"));
    assert_eq!(attempt.target.unwrap().target("222222222222"), expected);
}

#[test]
fn a_profile_is_named_in_three_ways() {
    target(&BY_ID, Target::Profile("Profile-1"));
    let [grant, token, _] = BY_ID;
    target(&[grant, token, ("profile_crn", "crn:v1:x")], Target::Profile("crn:v1:x"));
    let name = ("profile_name", "ops");
    let named = Target::ProfileNamed { name: "ops", account: "111111111111" };
    target(&[grant, token, name, ("account", "111111111111"), ("scope", "")], named);
}

#[test]
fn a_compute_resource_means_its_own_account() {
    let (grant, token) = (("grant_type", COMPUTE), ("cr_token", "a.b.c\n"));
    target(&[grant, token, ("profile_id", "Profile-1")], Target::Profile("Profile-1"));
    let name = ("profile_name", "ops");
    let own = Target::ProfileNamed { name: "ops", account: "222222222222" };
    target(&[grant, token, name], own);
    let other = Target::ProfileNamed { name: "ops", account: "111111111111" };
    target(&[grant, token, name, ("account", "111111111111")], other);
}

#[test]
fn what_is_wrong_is_told() {
    let [grant, token, id] = BY_ID;
    let name = ("profile_name", "ops");
    for (fields, part) in [
        (vec![grant, token], "is needed"),
        (vec![grant, token, ("profile_id", "")], "is needed"),
        (vec![grant, token, id, name, ("account", "1")], "is needed"),
        (vec![grant, token, id, ("profile_crn", "crn:v1:x")], "is needed"),
        (vec![grant, token, name], "'account' is missing"),
        (vec![grant, token, id, id], "more than once"),
        (vec![grant, token, id, ("scope", "ibm openid orders")], "'scope'"),
    ] {
        let fault = asked(&fields).unwrap().fault.unwrap();
        assert!(fault.message.contains(part), "{fields:?}: {}", fault.message);
        assert_eq!(fault.code, "BXNIM0109E");
    }
    assert_eq!(asked(&[grant, id]).unwrap().token, None);
    for fields in [vec![], vec![("grant_type", "password")], vec![grant, grant]] {
        assert!(matches!(read(&form(&fields)), Call::Refused(_)), "{fields:?}");
    }
}

#[test]
fn a_token_passes_for_an_api_key() {
    let fields = [("grant_type", API_KEY), ("apikey", "a.b.c"), ("response_type", "cloud_iam")];
    let Call::Identify(token) = read(&form(&fields)) else { panic!("something else") };
    assert_eq!(token.as_deref(), Some("a.b.c"));
    let twice = [&fields[..], &[("apikey", "d")]].concat();
    assert!(matches!(read(&form(&twice)), Call::Refused(_)));
    let scoped = [&fields[..], &[("scope", "orders")]].concat();
    assert!(matches!(read(&form(&scoped)), Call::Refused(_)));
    let identity = Arc::new(person());
    let now = UnixMillis((identity.expires_at.0 - 60) * 1000);
    let unique_id = "".into();
    let answer = identified(&Identified { token: "a.b.c".into(), identity, unique_id, now }, ID);
    let body: Value = serde_json::from_str(&text_of(answer)).unwrap();
    assert_eq!(body["access_token"], "a.b.c");
    assert_eq!((&body["expires_in"], &body["expiration"]), (&json!(60), &json!(1_760_108_597)));
}

#[test]
fn a_session_is_told_as_ibm_tells_it() {
    let answer = granted(&session_granted(), ID);
    assert_eq!(answer.headers()["x-global-transaction-id"], ID.to_string());
    assert_eq!(answer.headers()[CACHE_CONTROL], "no-store");
    let expected = json!({
        "access_token": "head.claims.signature",
        "refresh_token": "not_supported",
        "token_type": "Bearer",
        "expires_in": 3600,
        "expiration": 1_760_108_597,
        "scope": "ibm openid",
    });
    assert_eq!(serde_json::from_str::<Value>(&text_of(answer)).unwrap(), expected);
}

#[test]
fn each_refusal_has_ibms_code() {
    let door = Some(Door::Ibm);
    for (refusal, door, status, code) in [
        (Refusal::Assume(AssumeError::Denied), door, 400, "BXNIM0513E"),
        (Refusal::Assume(AssumeError::Invalid("x".into())), door, 400, "BXNIM0109E"),
        (Refusal::NoToken, door, 400, "BXNIM0109E"),
        (Refusal::BadToken(TokenError::Expired), door, 400, "BXNIM0408E"),
        (Refusal::BadToken(TokenError::Signature), door, 400, "BXNIM0407E"),
        (Refusal::Revoked, door, 400, "BXNIM0407E"),
        (Refusal::BadToken(TokenError::Signature), None, 400, "BXNIM0415E"),
        (Refusal::Revoked, None, 400, "BXNIM0415E"),
        (Refusal::Malformed(invalid("x")), None, 400, "BXNIM0109E"),
        (Refusal::KeysUnavailable, door, 503, "BXNIM0001E"),
        (Refusal::Unavailable, door, 503, "BXNIM0001E"),
    ] {
        let answer = refused(&refusal, door, ID);
        assert_eq!(answer.status().as_u16(), status, "{refusal:?}");
        let body: Value = serde_json::from_str(&text_of(answer)).unwrap();
        assert_eq!(body["errorCode"], code, "{refusal:?}");
        assert_eq!(body["context"]["requestId"], ID.to_string());
    }
    let denied = text_of(refused(&Refusal::Assume(AssumeError::Denied), door, ID));
    let expected = format!(
        r#"{{"errorCode":"BXNIM0513E","errorMessage":"You are not authorized to use this trusted profile.","context":{{"requestId":"{ID}"}}}}"#
    );
    assert_eq!(denied, expected);
}
