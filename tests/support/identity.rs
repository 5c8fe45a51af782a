//! A verified caller, for tests and benchmarks of what comes after the token.

use std::collections::BTreeMap;

use crossgate::clock::UnixSeconds;
use crossgate::iam::{Identity, IdentityKind, IdentityType};

/// A user's login that says as little as can be, for a test to say what it is about.
pub(crate) fn sample() -> Identity {
    Identity {
        account: None,
        identity_type: IdentityType::User,
        kind: IdentityKind::Login,
        principal: "p".into(),
        id: "u".into(),
        name: "u".into(),
        authn_id: "u".into(),
        authn_name: "u".into(),
        issuer: "i".into(),
        subject: "s".into(),
        session_tags: BTreeMap::new(),
        mfa: None,
        authenticated_at: None,
        issued_at: None,
        not_before: None,
        expires_at: UnixSeconds(u64::MAX),
        session: None,
    }
}
