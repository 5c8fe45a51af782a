//! The claims of crossgate's own session tokens, both ways: an identity becomes claims, claims become
//! the identity again. In the shape of IBM's tokens, with what roles have besides (docs/sts.md).
//!
//! A claim that limits the session is read whole or the token is refused.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Serialize;
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::iam::{AccountId, Arn, Identity, IdentityKind, IdentityType, Session, SessionPolicies};
use crate::policy::{SESSION_MANAGED_MAX, session_policy};
use crate::sts::StsRules;
use crate::token::TokenError;
use crate::token::claims::{account_id, invalid, missing, tags, text};
use crate::token::jwt::{Claims, Rounding, time};

/// The payload of a session's token, as JSON; none for an identity without a session.
pub fn session_claims(identity: &Identity, rules: &StsRules) -> Option<Vec<u8>> {
    let session = identity.session.as_deref()?;
    let policies = session.policies.as_ref();
    let claims = Payload {
        iss: &rules.issuer,
        sub: if is_profile(&identity.id) { &identity.id } else { &identity.principal },
        aud: &rules.audiences,
        exp: identity.expires_at.0,
        iat: identity.issued_at.unwrap_or_default().0,
        jti: session.id,
        account: Scope { bss: identity.account.as_ref().map_or("", AccountId::as_str) },
        iam_id: &identity.id,
        name: &identity.name,
        sub_type: if is_profile(&identity.id) { "Profile" } else { "Role" },
        authn: Login {
            iam_id: &identity.authn_id,
            name: &identity.authn_name,
            sub_type: login_type(identity.identity_type),
        },
        role: &session.role,
        session_name: &session.name,
        tags: &identity.session_tags,
        transitive_tags: &session.transitive_tags,
        source_identity: session.source_identity.as_deref(),
        federated_provider: session.federated_provider.as_deref(),
        chained: session.chained,
        session_policy: policies.and_then(|it| Some(&*it.inline.as_ref()?.text)),
        session_policy_arns: policies.map(|it| &*it.managed).filter(|it| !it.is_empty()),
    };
    serde_json::to_vec(&claims).ok()
}

/// Whether claims are those of a session token, of whatever issuer: no other token has all of them.
pub(crate) fn are_of_session(members: &Map<String, Value>) -> bool {
    ["role", "session_name", "authn", "chained"].iter().all(|claim| members.contains_key(*claim))
}

/// Whether claims limit a session. Who does not read them must refuse the token.
pub(super) fn are_limited(members: &Map<String, Value>) -> bool {
    ["session_policy", "session_policy_arns"].iter().any(|claim| members.contains_key(*claim))
}

/// The identity of a session token.
pub(super) fn identity(claims: &Claims, issuer: &str) -> Result<Identity, TokenError> {
    let members = &claims.members;
    let required = |claim| text(members.get(claim), claim)?.ok_or(missing(claim));
    let optional =
        |claim| Ok::<_, TokenError>(text(members.get(claim), claim)?.unwrap_or_default());
    let role = required("role")?;
    let name = required("session_name")?;
    let arn = Arn::parse(role).filter(|arn| arn.is_role()).ok_or(invalid("role"))?;
    let account = match members.get("account") {
        Some(Value::Object(account)) => account_id(account.get("bss"))?,
        Some(_) => return Err(invalid("account")),
        None => None,
    };
    let account = account.ok_or(missing("account"))?;
    if account.as_str() != arn.account() {
        return Err(invalid("account"));
    }
    let Some(Value::Object(authn)) = members.get("authn") else { return Err(invalid("authn")) };
    let authn_id = text(authn.get("iam_id"), "authn/iam_id")?.ok_or(missing("authn/iam_id"))?;
    let authn_name = text(authn.get("name"), "authn/name")?.unwrap_or_default();
    let session = Session {
        id: required("jti")?.parse().map_err(|_| invalid("jti"))?,
        role: role.into(),
        name: name.into(),
        transitive_tags: texts(members, "transitive_tags")?.into_iter().collect(),
        source_identity: text(members.get("source_identity"), "source_identity")?.map(Into::into),
        chained: matches!(members.get("chained"), Some(Value::Bool(true))),
        federated_provider: text(members.get("federated_provider"), "federated_provider")?
            .map(Into::into),
        policies: policies(members)?,
    };
    Ok(Identity {
        account: Some(account),
        identity_type: type_of(text(authn.get("sub_type"), "authn/sub_type")?)?,
        kind: IdentityKind::Profile,
        principal: session_arn(arn, name).into(),
        id: required("iam_id")?.into(),
        name: optional("name")?.into(),
        authn_id: authn_id.into(),
        authn_name: authn_name.into(),
        issuer: issuer.into(),
        subject: optional("sub")?.into(),
        session_tags: tags(members.get("tags"))?,
        // Facts, iam.md section 5.1: a session of a role has no second factor.
        mfa: Some(false),
        authenticated_at: None,
        issued_at: time(members, "iat", Rounding::Earlier)?,
        not_before: claims.not_before,
        expires_at: claims.expires_at,
        session: Some(Arc::new(session)),
    })
}

/// The ARN of a role's session: the role's path is not in it.
pub fn session_arn(role: Arn<'_>, name: &str) -> String {
    let last = role.resource().rsplit_once('/').map_or(role.resource(), |(_, last)| last);
    format!("arn:{}:sts::{}:assumed-role/{last}/{name}", role.partition(), role.account())
}

fn policies(members: &Map<String, Value>) -> Result<Option<SessionPolicies>, TokenError> {
    if !are_limited(members) {
        return Ok(None);
    }
    let inline = match members.get("session_policy") {
        None => None,
        Some(Value::String(text)) => {
            Some(session_policy(text).map_err(|_| invalid("session_policy"))?)
        }
        Some(_) => return Err(invalid("session_policy")),
    };
    let managed = texts(members, "session_policy_arns")?;
    if SESSION_MANAGED_MAX < managed.len() {
        return Err(invalid("session_policy_arns"));
    }
    Ok(Some(SessionPolicies { inline, managed: managed.into() }))
}

fn texts(members: &Map<String, Value>, claim: &'static str) -> Result<Vec<Box<str>>, TokenError> {
    let list = match members.get(claim) {
        None => return Ok(Vec::new()),
        Some(Value::Array(list)) => list,
        Some(_) => return Err(invalid(claim)),
    };
    let read = |value| Ok(text(Some(value), claim)?.ok_or(invalid(claim))?.into());
    list.iter().map(read).collect()
}

/// Whether a session's id is a profile's. A role may have a profile's name, and its id is its ARN.
fn is_profile(id: &str) -> bool {
    id.starts_with("iam-Profile-")
}

fn login_type(identity_type: IdentityType) -> &'static str {
    match identity_type {
        IdentityType::User => "User",
        IdentityType::ServiceId => "ServiceId",
        IdentityType::Service => "CRN",
    }
}

fn type_of(sub_type: Option<&str>) -> Result<IdentityType, TokenError> {
    match sub_type {
        Some("User") => Ok(IdentityType::User),
        Some("ServiceId") => Ok(IdentityType::ServiceId),
        Some("CRN") => Ok(IdentityType::Service),
        Some(_) | None => Err(invalid("authn/sub_type")),
    }
}

#[derive(Serialize)]
struct Payload<'a> {
    iss: &'a str,
    sub: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    aud: &'a [Box<str>],
    exp: u64,
    iat: u64,
    #[serde(serialize_with = "hyphenated")]
    jti: Uuid,
    account: Scope<'a>,
    iam_id: &'a str,
    name: &'a str,
    sub_type: &'static str,
    authn: Login<'a>,
    role: &'a str,
    session_name: &'a str,
    tags: &'a BTreeMap<Box<str>, Box<str>>,
    transitive_tags: &'a BTreeSet<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_identity: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    federated_provider: Option<&'a str>,
    chained: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    session_policy: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session_policy_arns: Option<&'a [Box<str>]>,
}

#[derive(Serialize)]
struct Scope<'a> {
    bss: &'a str,
}

#[derive(Serialize)]
struct Login<'a> {
    iam_id: &'a str,
    name: &'a str,
    sub_type: &'static str,
}

fn hyphenated<S: serde::Serializer>(id: &Uuid, serializer: S) -> Result<S::Ok, S::Error> {
    let mut buffer = Uuid::encode_buffer();
    serializer.serialize_str(id.hyphenated().encode_lower(&mut buffer))
}

#[cfg(test)]
mod tests;
