//! `Identity`: who is calling, as a verified token proves it.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::clock::UnixSeconds;
use crate::iam::{AccountId, Session, SessionPolicies};

/// The three identity types, each with a setting of its own (facts of the perimeter API).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IdentityType {
    /// A person.
    User,
    /// A service ID: a program's identity inside an account.
    ServiceId,
    /// A service, identified by its CRN.
    Service,
}

impl IdentityType {
    /// All types, in the order of their settings.
    pub const ALL: [Self; 3] = [Self::User, Self::ServiceId, Self::Service];

    /// The type's name in documents, events and headers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::ServiceId => "service_id",
            Self::Service => "service",
        }
    }
}

/// What the token's subject is; a session of a profile has the type of the login behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IdentityKind {
    /// The login itself, of the identity's type.
    Login,
    /// A session of a trusted profile or role.
    Profile,
}

impl Identity {
    /// What limits the session, where it is limited.
    pub fn session_policies(&self) -> Option<&SessionPolicies> {
        self.session.as_ref()?.policies.as_ref()
    }
}

/// Who is calling. Made only from a verified token; holds no secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The account that the token is scoped to; none is external to every account.
    pub account: Option<AccountId>,
    /// Which of the owner's three settings applies.
    pub identity_type: IdentityType,
    /// A login or a session of a profile.
    pub kind: IdentityKind,
    /// The principal: an ARN, or a service's name.
    pub principal: Box<str>,
    /// The identity's id: the profile's where one is assumed.
    pub id: Box<str>,
    /// The identity's name for people; may be empty.
    pub name: Box<str>,
    /// The id of the login behind it; equal to `id` but for sessions.
    pub authn_id: Box<str>,
    /// The name of the login behind it; may be empty.
    pub authn_name: Box<str>,
    /// The token's issuer.
    pub issuer: Box<str>,
    /// The token's subject.
    pub subject: Box<str>,
    /// Session tags, from the claim that the issuer's mapping names.
    pub session_tags: BTreeMap<Box<str>, Box<str>>,
    /// Whether a second factor was used, where the token tells.
    pub mfa: Option<bool>,
    /// When the login happened, where the token tells.
    pub authenticated_at: Option<UnixSeconds>,
    /// When the token was issued, where it tells.
    pub issued_at: Option<UnixSeconds>,
    /// From when on the token counts, leeway not applied.
    pub not_before: Option<UnixSeconds>,
    /// From when on the token no longer counts, leeway not applied.
    pub expires_at: UnixSeconds,
    /// What crossgate's own session tokens tell besides; none of a login, and none of another
    /// issuer's profiles.
    pub session: Option<Arc<Session>>,
}

#[cfg(test)]
impl Identity {
    /// A user's login that says as little as can be, for a test to say what it is about.
    pub(crate) fn sample() -> Self {
        Self {
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
}
