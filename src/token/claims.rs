//! Turns verified claims into an identity, as the issuer's mapping says. In: claims. Out: account,
//! type, principal. A claim that is there but not of its type refuses the token: what was meant to
//! limit a caller must not be lost by being unreadable.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use crate::iam::{AccountId, Identity, IdentityKind, IdentityType};
use crate::policy::request_context::tag_key;
use crate::token::jwt::{Claims, Rounding, time};
use crate::token::{ClaimsMapping, IssuerSpec, PointerMapping, TokenError, session_claims};

/// The identity of a token of this issuer.
pub(crate) fn identity(claims: &Claims, spec: &IssuerSpec) -> Result<Identity, TokenError> {
    match &spec.claims {
        ClaimsMapping::Ibm => ibm(claims, &spec.issuer),
        ClaimsMapping::Pointers(mapping) => mapped(claims, &spec.issuer, mapping),
        ClaimsMapping::Session => session_claims::identity(claims, &spec.issuer),
    }
}

/// The identity of an IBM Cloud IAM access token.
pub(crate) fn ibm(claims: &Claims, issuer: &str) -> Result<Identity, TokenError> {
    let members = &claims.members;
    if session_claims::are_of_session(members) {
        return session_claims::identity(claims, issuer);
    }
    // What limits a session is read with all else of it, or not at all.
    if session_claims::are_limited(members) {
        return Err(invalid("session_policy"));
    }
    let id = text(members.get("iam_id"), "iam_id")?.ok_or(missing("iam_id"))?;
    let account = match members.get("account") {
        None => None,
        Some(Value::Object(account)) => account_id(account.get("bss"))?,
        Some(_) => return Err(invalid("account")),
    };
    let subject = text(members.get("sub"), "sub")?.unwrap_or_default();
    let sub_type = text(members.get("sub_type"), "sub_type")?;
    let of_account = account.as_ref().map_or("", AccountId::as_str);
    let login = if is_profile(members, id, sub_type)? {
        let login = login_behind_profile(members, id, sub_type)?;
        let profile = id.strip_prefix("iam-").unwrap_or(id);
        let principal = format!("arn:aws:sts::{of_account}:assumed-role/{profile}/{}", login.id);
        Login { kind: IdentityKind::Profile, principal, ..login }
    } else {
        let identity_type = login_type(id, sub_type);
        let principal = match identity_type {
            IdentityType::User | IdentityType::ServiceId => {
                format!("arn:aws:iam::{of_account}:user/{id}")
            }
            IdentityType::Service => service_name(id, subject)?.to_owned(),
        };
        let name = name(members, identity_type)?;
        Login { identity_type, id, name, kind: IdentityKind::Login, principal }
    };
    let name = match login.kind {
        IdentityKind::Login => login.name,
        IdentityKind::Profile => text(members.get("name"), "name")?.unwrap_or_default(),
    };
    Ok(Identity {
        account,
        identity_type: login.identity_type,
        kind: login.kind,
        principal: login.principal.into(),
        id: id.into(),
        name: name.into(),
        authn_id: login.id.into(),
        authn_name: login.name.into(),
        issuer: issuer.into(),
        subject: subject.into(),
        session_tags: BTreeMap::new(),
        mfa: second_factor(members.get("amr"), "amr")?,
        authenticated_at: time(members, "auth_time", Rounding::Earlier)?,
        issued_at: time(members, "iat", Rounding::Earlier)?,
        not_before: claims.not_before,
        expires_at: claims.expires_at,
        session: None,
    })
}

/// Who logged in, and what that makes of the token.
struct Login<'c> {
    identity_type: IdentityType,
    id: &'c str,
    name: &'c str,
    kind: IdentityKind,
    principal: String,
}

/// A session of a trusted profile. `sub_type` alone does not tell: a compute resource's session
/// names the resource there, so the ids count too.
fn is_profile(
    members: &Map<String, Value>,
    id: &str,
    sub_type: Option<&str>,
) -> Result<bool, TokenError> {
    let identifier = text(members.get("identifier"), "identifier")?.unwrap_or_default();
    Ok(id.starts_with("iam-Profile-")
        || identifier.starts_with("Profile-")
        || sub_type == Some("Profile"))
}

/// `authn` of a profile's session. Only a compute resource may log in without one: its token is
/// made from its own, and then the profile stands for it.
fn login_behind_profile<'c>(
    members: &'c Map<String, Value>,
    profile: &'c str,
    sub_type: Option<&str>,
) -> Result<Login<'c>, TokenError> {
    let kind = IdentityKind::Profile;
    let authn = match members.get("authn") {
        Some(Value::Object(authn)) => authn,
        None if sub_type == Some("ComputeResource") => {
            let identity_type = IdentityType::Service;
            return Ok(Login {
                identity_type,
                id: profile,
                name: "",
                kind,
                principal: String::new(),
            });
        }
        None => return Err(missing("authn")),
        Some(_) => return Err(invalid("authn")),
    };
    let id = text(authn.get("iam_id"), "authn/iam_id")?.ok_or(missing("authn/iam_id"))?;
    text(authn.get("sub"), "authn/sub")?;
    let identity_type = login_type(id, text(authn.get("sub_type"), "authn/sub_type")?);
    Ok(Login {
        identity_type,
        id,
        name: name(authn, identity_type)?,
        kind,
        principal: String::new(),
    })
}

/// The type of a login. The id's prefix counts before `sub_type`, which users do not have.
fn login_type(id: &str, sub_type: Option<&str>) -> IdentityType {
    if id.starts_with("iam-ServiceId-") {
        return IdentityType::ServiceId;
    }
    if id.starts_with("crn-") {
        return IdentityType::Service;
    }
    match sub_type {
        Some("ServiceId") => IdentityType::ServiceId,
        Some("CRN" | "ComputeResource") => IdentityType::Service,
        Some(_) | None => IdentityType::User,
    }
}

/// What events show: a person's address where it is known, else the given name.
fn name(members: &Map<String, Value>, identity_type: IdentityType) -> Result<&str, TokenError> {
    let name = text(members.get("name"), "name")?;
    let email = text(members.get("email"), "email")?;
    let shown = match identity_type {
        IdentityType::User => email.or(name),
        IdentityType::ServiceId | IdentityType::Service => name,
    };
    Ok(shown.unwrap_or_default())
}

/// The service's name in a CRN: `crn:v1:<cloud>:<type>:<service>:…`.
fn service_name<'c>(id: &'c str, subject: &'c str) -> Result<&'c str, TokenError> {
    let crn = id.strip_prefix("crn-").unwrap_or(subject);
    let mut segments = crn.split(':');
    let (Some("crn"), Some("v1"), Some(_), Some(_), Some(service)) =
        (segments.next(), segments.next(), segments.next(), segments.next(), segments.next())
    else {
        return Err(invalid("iam_id"));
    };
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    if service.is_empty() || !service.bytes().all(is_name) {
        return Err(invalid("iam_id"));
    }
    Ok(service)
}

/// The identity of a token by JSON pointers.
fn mapped(claims: &Claims, issuer: &str, mapping: &PointerMapping) -> Result<Identity, TokenError> {
    let members = &claims.members;
    // What limits a session has no place in a mapping.
    if session_claims::are_limited(members) {
        return Err(invalid("session_policy"));
    }
    let account = account_id(at(members, &mapping.account))?;
    let identity_type = match &mapping.identity_type {
        None => IdentityType::User,
        Some(pointer) => {
            let value = text(at(members, pointer), "identity_type")?;
            let listed = mapping.identity_types.iter().find(|(name, _)| value == Some(&**name));
            listed.map_or(IdentityType::User, |(_, listed)| *listed)
        }
    };
    let principal = fill(&mapping.principal, account.as_ref(), members)?;
    let subject = text(members.get("sub"), "sub")?.unwrap_or_default();
    let id = if subject.is_empty() { principal.as_str() } else { subject };
    let name = name(members, identity_type)?;
    let session_tags = match &mapping.session_tags {
        None => BTreeMap::new(),
        Some(pointer) => tags(at(members, pointer))?,
    };
    let mfa = match &mapping.mfa {
        None => None,
        Some(pointer) => second_factor(at(members, pointer), "mfa")?,
    };
    Ok(Identity {
        account,
        identity_type,
        kind: IdentityKind::Login,
        id: id.into(),
        name: name.into(),
        authn_id: id.into(),
        authn_name: name.into(),
        principal: principal.as_str().into(),
        issuer: issuer.into(),
        subject: subject.into(),
        session_tags,
        mfa,
        authenticated_at: time(members, "auth_time", Rounding::Earlier)?,
        issued_at: time(members, "iat", Rounding::Earlier)?,
        not_before: claims.not_before,
        expires_at: claims.expires_at,
        session: None,
    })
}

/// The value at a JSON pointer (RFC 6901) into objects; arrays have no names to point at.
fn at<'c>(members: &'c Map<String, Value>, pointer: &str) -> Option<&'c Value> {
    let mut tokens = pointer.strip_prefix('/')?.split('/');
    let unescaped = |token: &str| token.replace("~1", "/").replace("~0", "~");
    let first = members.get(&unescaped(tokens.next()?))?;
    tokens.try_fold(first, |value, token| value.as_object()?.get(&unescaped(token)))
}

/// Fills `{account}` and `{claim}` in a principal's template.
///
/// A value may not hold a separator that the template has after it: a caller must not move what
/// comes later into another part of the ARN.
fn fill(
    template: &str,
    account: Option<&AccountId>,
    members: &Map<String, Value>,
) -> Result<String, TokenError> {
    let mut principal = String::new();
    let mut rest = template;
    while let Some((literal, after)) = rest.split_once('{') {
        principal.push_str(literal);
        let (placeholder, tail) = after.split_once('}').ok_or(invalid("principal"))?;
        if placeholder == "account" {
            principal.push_str(account.map_or("", AccountId::as_str));
        } else {
            let value = text(members.get(placeholder), "principal")?.ok_or(missing("principal"))?;
            if [':', '/'].iter().any(|mark| tail.contains(*mark) && value.contains(*mark)) {
                return Err(invalid("principal"));
            }
            principal.push_str(value);
        }
        rest = tail;
    }
    principal.push_str(rest);
    Ok(principal)
}

/// A text claim where it is there: bounded, without control characters, which would reach headers
/// and terminals. Empty counts as absent.
pub(super) fn text<'c>(
    value: Option<&'c Value>,
    claim: &'static str,
) -> Result<Option<&'c str>, TokenError> {
    match value {
        None => Ok(None),
        Some(Value::String(text)) => {
            if CLAIM_BYTES_MAX < text.len() || text.chars().any(char::is_control) {
                return Err(invalid(claim));
            }
            Ok(Some(text.as_str()).filter(|text| !text.is_empty()))
        }
        Some(_) => Err(invalid(claim)),
    }
}

/// The caller account. Absent or empty: none; anything else must be one.
pub(super) fn account_id(value: Option<&Value>) -> Result<Option<AccountId>, TokenError> {
    let Some(text) = text(value, "account")? else { return Ok(None) };
    AccountId::parse(text).map(Some).map_err(|_| invalid("account"))
}

pub(super) fn tags(value: Option<&Value>) -> Result<BTreeMap<Box<str>, Box<str>>, TokenError> {
    let tags = match value {
        None => return Ok(BTreeMap::new()),
        Some(Value::Object(tags)) if tags.len() <= TAGS_MAX => tags,
        Some(_) => return Err(invalid("session_tags")),
    };
    let tag = |(key, value): (&String, &Value)| {
        let value = match value {
            Value::String(value) if value.chars().count() <= TAG_VALUE_CHARS_MAX => value,
            _ => return Err(invalid("session_tags")),
        };
        let is_sound = !key.is_empty()
            && key.chars().count() <= TAG_KEY_CHARS_MAX
            && !key.chars().chain(value.chars()).any(char::is_control);
        if is_sound {
            Ok((key.as_str().into(), value.as_str().into()))
        } else {
            Err(invalid("session_tags"))
        }
    };
    // Policies compare keys without regard to letter case: two of them would be one with two values.
    let apart: BTreeSet<String> = tags.keys().map(|key| tag_key(key)).collect();
    if apart.len() < tags.len() {
        return Err(invalid("session_tags"));
    }
    tags.iter().map(tag).collect()
}

/// Whether a second factor was used: `true`, or an array that names one.
fn second_factor(value: Option<&Value>, claim: &'static str) -> Result<Option<bool>, TokenError> {
    match value {
        None => Ok(None),
        Some(Value::Bool(used)) => Ok(Some(*used)),
        Some(Value::Array(methods)) => {
            let methods = methods.iter().map(Value::as_str).collect::<Option<Vec<_>>>();
            let methods = methods.ok_or(invalid(claim))?;
            Ok(Some(methods.iter().any(|method| SECOND_FACTORS.contains(method))))
        }
        Some(_) => Err(invalid(claim)),
    }
}

pub(super) fn invalid(claim: &'static str) -> TokenError {
    TokenError::InvalidClaim { claim }
}

pub(super) fn missing(claim: &'static str) -> TokenError {
    TokenError::MissingClaim { claim }
}

/// The longest claim that becomes part of an identity; the longest CRNs have a third of it.
const CLAIM_BYTES_MAX: usize = 1024;

/// The limits of AWS session tags.
const TAGS_MAX: usize = 50;
const TAG_KEY_CHARS_MAX: usize = 128;
const TAG_VALUE_CHARS_MAX: usize = 256;

/// The methods of RFC 8176 that are a factor besides what one knows.
const SECOND_FACTORS: [&str; 8] = ["mfa", "mca", "otp", "hwk", "swk", "sc", "sms", "tel"];

#[cfg(test)]
mod tests;
