//! Times and their limits; what needs signatures is in `tests/token_rejects.rs`.

use std::time::Duration;

use serde_json::json;

use super::*;

fn check(claims: Value, leeway_s: u64, now: u64) -> Result<(u64, Option<u64>), TokenError> {
    let Value::Object(members) = claims else { panic!("an object") };
    let leeway = Duration::from_secs(leeway_s);
    let expected = Expected { issuer: None, audiences: &[], leeway };
    Claims::check(members, expected, UnixSeconds(now))
        .map(|claims| (claims.expires_at.0, claims.not_before.map(|time| time.0)))
}

#[test]
fn a_token_counts_from_nbf_until_before_exp() {
    let claims = json!({ "nbf": 100, "exp": 200 });
    assert_eq!(check(claims.clone(), 0, 99), Err(TokenError::NotYetValid));
    assert_eq!(check(claims.clone(), 0, 100), Ok((200, Some(100))));
    assert_eq!(check(claims.clone(), 0, 199), Ok((200, Some(100))));
    assert_eq!(check(claims.clone(), 0, 200), Err(TokenError::Expired));
    assert_eq!(check(claims.clone(), 10, 90), Ok((200, Some(100))));
    assert_eq!(check(claims.clone(), 10, 209), Ok((200, Some(100))));
    assert_eq!(check(claims.clone(), 10, 89), Err(TokenError::NotYetValid));
    assert_eq!(check(claims, 10, 210), Err(TokenError::Expired));
}

#[test]
fn fractions_shorten() {
    let claims = json!({ "nbf": 100.25, "exp": 200.75, "iat": 0.5 });
    assert_eq!(check(claims.clone(), 0, 100), Err(TokenError::NotYetValid));
    assert_eq!(check(claims.clone(), 0, 101), Ok((200, Some(101))));
    assert_eq!(check(claims, 0, 200), Err(TokenError::Expired));
    assert_eq!(check(json!({ "exp": 2e2 }), 0, 199), Ok((200, None)));
}

#[test]
fn times_end_with_the_year_9999() {
    let exp = |value: Value| check(json!({ "exp": value }), 0, 0).map(|times| times.0);
    let refused = Err(TokenError::InvalidClaim { claim: "exp" });
    assert_eq!(exp(json!(TIME_SECONDS_MAX)), Ok(TIME_SECONDS_MAX));
    assert_eq!(exp(json!(253_402_300_799.5)), Ok(TIME_SECONDS_MAX));
    assert_eq!(exp(json!(TIME_SECONDS_MAX + 1)), refused);
    assert_eq!(exp(json!(u64::MAX)), refused);
    assert_eq!(exp(json!(1e300)), refused);
    assert_eq!(exp(json!(-0.0)), refused);
    assert_eq!(exp(json!(-1)), refused);
    assert_eq!(exp(json!(0)), Err(TokenError::Expired));
}

#[test]
fn leeway_saturates_at_both_ends_of_time() {
    assert_eq!(check(json!({ "exp": 5, "nbf": 3 }), u64::MAX, 0), Ok((5, Some(3))));
    assert_eq!(check(json!({ "exp": 5 }), u64::MAX, u64::MAX - 1), Ok((5, None)));
}
