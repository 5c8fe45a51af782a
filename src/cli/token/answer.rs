//! What `crossgate token verify` says, as JSON. In: a verified token or why it is none. Out: one
//! object with its members in a fixed order.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value};

use super::Check;
use crate::iam::{Identity, IdentityKind, Session};
use crate::token::jwt::Jws;
use crate::token::{KeySetError, TokenError};

/// What is said of a good token.
pub(super) struct Good {
    header: Map<String, Value>,
    claims: Option<Map<String, Value>>,
    identity: Option<Identity>,
}

impl Good {
    pub(super) fn new(
        token: &str,
        check: Check,
        identity: Option<Identity>,
    ) -> Result<Self, TokenError> {
        let jws = Jws::parse(token)?;
        let claims = match check {
            Check::Claims => Some(jws.claims()?),
            Check::Signature => None,
        };
        Ok(Self { header: jws.header, claims, identity })
    }
}

/// What is said of a bad one.
pub(super) struct Bad {
    pub(super) error: &'static str,
    pub(super) detail: String,
}

impl From<TokenError> for Bad {
    fn from(error: TokenError) -> Self {
        Self { error: error.code(), detail: error.to_string() }
    }
}

impl From<KeySetError> for Bad {
    fn from(error: KeySetError) -> Self {
        Self { error: "unusable_keys", detail: error.to_string() }
    }
}

/// The answer as it is written.
#[derive(Serialize)]
pub(super) struct Answer {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<Value>,
    valid: bool,
    #[serde(flatten)]
    said: Said,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Said {
    Good {
        header: Map<String, Value>,
        claims: Option<Map<String, Value>>,
        identity: Option<Box<IdentityWire>>,
    },
    Bad {
        error: &'static str,
        detail: String,
    },
}

impl Answer {
    pub(super) fn of(answer: Result<Good, Bad>) -> Self {
        let valid = answer.is_ok();
        let said = match answer {
            Ok(Good { header, claims, identity }) => {
                let identity = identity.map(IdentityWire::from).map(Box::new);
                Said::Good { header, claims, identity }
            }
            Err(Bad { error, detail }) => Said::Bad { error, detail },
        };
        Self { id: None, valid, said }
    }

    pub(super) fn with_id(self, id: Value) -> Self {
        Self { id: Some(id), ..self }
    }
}

/// An identity as it is written.
#[derive(Serialize)]
struct IdentityWire {
    account: Option<String>,
    identity_type: &'static str,
    kind: &'static str,
    principal: Box<str>,
    id: Box<str>,
    name: Box<str>,
    authn_id: Box<str>,
    authn_name: Box<str>,
    issuer: Box<str>,
    subject: Box<str>,
    session_tags: BTreeMap<Box<str>, Box<str>>,
    mfa: Option<bool>,
    authenticated_at: Option<u64>,
    not_before: Option<u64>,
    expires_at: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<SessionWire>,
}

/// What a session of a role has besides, as it is written.
#[derive(Serialize)]
struct SessionWire {
    id: String,
    role: Box<str>,
    name: Box<str>,
    transitive_tags: Vec<Box<str>>,
    source_identity: Option<Box<str>>,
    chained: bool,
    limited_by_policies: bool,
}

impl From<&Session> for SessionWire {
    fn from(session: &Session) -> Self {
        Self {
            id: session.id.to_string(),
            role: session.role.clone(),
            name: session.name.clone(),
            transitive_tags: session.transitive_tags.iter().cloned().collect(),
            source_identity: session.source_identity.clone(),
            chained: session.chained,
            limited_by_policies: session.policies.is_some(),
        }
    }
}

impl From<Identity> for IdentityWire {
    fn from(identity: Identity) -> Self {
        Self {
            account: identity.account.map(|account| account.to_string()),
            identity_type: identity.identity_type.as_str(),
            kind: match identity.kind {
                IdentityKind::Login => "login",
                IdentityKind::Profile => "profile",
            },
            principal: identity.principal,
            id: identity.id,
            name: identity.name,
            authn_id: identity.authn_id,
            authn_name: identity.authn_name,
            issuer: identity.issuer,
            subject: identity.subject,
            session_tags: identity.session_tags,
            mfa: identity.mfa,
            authenticated_at: identity.authenticated_at.map(|time| time.0),
            not_before: identity.not_before.map(|time| time.0),
            expires_at: identity.expires_at.0,
            session: identity.session.as_deref().map(SessionWire::from),
        }
    }
}
