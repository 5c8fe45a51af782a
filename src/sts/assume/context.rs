//! What a call to assume a role knows of itself: the condition keys of `sts` beside a request's own.
//!
//! Flows in: the request's context, checked parameters, the token's claims. Flows out: values, as
//! conditions ask for them.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use crate::iam::IdentityKind;
use crate::policy::request_context::{RequestContext, is_lower_of};
use crate::policy::{ConditionKey, Context, KeyName, Value, Values};
use crate::sts::assume::Caller;
use crate::sts::assume::parameters::{Chaining, Checked};
use crate::token::{KeySets, are_of_session};

/// The condition keys of one call.
pub(super) struct AssumeContext<'a> {
    pub(super) request: &'a RequestContext<'a>,
    pub(super) checked: &'a Checked,
    /// The token's claims, of a caller whom its issuer vouches for.
    pub(super) web: Option<&'a WebClaims>,
}

impl Context for AssumeContext<'_> {
    fn values(&self, key: &ConditionKey) -> Values<'_> {
        match key.name {
            // Facts, iam.md section 5.1: whatever its token says, a session has no second factor.
            KeyName::MultiFactorAuthPresent if self.is_chained() => Values::One(Value::Bool(false)),
            KeyName::MultiFactorAuthAge if self.is_chained() => Values::Absent,
            KeyName::RequestTag => self.request_tag(key),
            KeyName::TagKeys => several(&self.checked.tag_keys),
            KeyName::ResourceTag => match self.inherited_tag(key) {
                Some(value) => Values::One(Value::Text(value)),
                None => self.request.values(key),
            },
            // Before the role is assumed, its issuer's word is all that is known of a web identity.
            KeyName::PrincipalTag if self.web.is_some() => Values::Absent,
            KeyName::Other => self.of_service(key),
            _ => self.request.values(key),
        }
    }
}

impl AssumeContext<'_> {
    fn is_chained(&self) -> bool {
        self.checked.chaining == Chaining::Chained
    }

    fn request_tag(&self, key: &ConditionKey) -> Values<'_> {
        let wanted = key.tag().unwrap_or_default();
        let mut tags = self.checked.tags.iter();
        text(tags.find(|(name, _)| is_lower_of(wanted, name)).map(|(_, value)| &**value))
    }

    /// A tag that the caller's session hands on stands before the role's own.
    fn inherited_tag(&self, key: &ConditionKey) -> Option<&str> {
        let wanted = key.tag()?;
        let mut tags = self.checked.inherited.iter();
        tags.find(|(name, _)| is_lower_of(wanted, name)).map(|(_, value)| &**value)
    }

    fn of_service(&self, key: &ConditionKey) -> Values<'_> {
        let checked = self.checked;
        match key.as_str() {
            "sts:externalid" => text(checked.external_id.as_deref()),
            "sts:rolesessionname" => text(Some(&checked.session_name)),
            "sts:sourceidentity" => text(checked.source_identity.as_deref()),
            "sts:transitivetagkeys" => several(&checked.transitive),
            "sts:durationseconds" => match checked.duration_seconds {
                Some(seconds) => Values::One(Value::Number(u64::from(seconds))),
                None => Values::Absent,
            },
            key => self.web.map_or(Values::Absent, |web| web.values(key)),
        }
    }
}

/// The claims of a web identity, as conditions know them: `<provider>:sub`.
///
/// Keys of conditions have no letter case and claims do, so that a claim could pass for another one.
pub(super) struct WebClaims {
    /// The issuer without its scheme, as in the ARN of an OIDC provider.
    pub(super) provider: Box<str>,
    // `<provider>:` in lower case.
    prefix: Box<str>,
    claims: BTreeMap<Box<str>, Claim>,
}

enum Claim {
    One(Box<str>),
    Many(Box<[Box<str>]>),
}

impl WebClaims {
    /// The claims of a caller. `None` where no provider vouches for it: of a session, which is its
    /// role's; of an issuer that is not trusted any more, or could be taken for another one; and
    /// where two claims are one key.
    pub(super) fn of(caller: &Caller<'_>, issuers: &KeySets) -> Option<Self> {
        let Caller { identity, claims, .. } = *caller;
        if identity.kind == IdentityKind::Profile || are_of_session(claims) {
            return None;
        }
        let issuer = issuers.issuer(&identity.issuer)?;
        let provider = provider_of(issuer.issuer(), issuers)?;
        let mut read = BTreeMap::new();
        for (name, value) in claims {
            let claim = match name.as_str() {
                "aud" => audiences(value, &issuer.spec().audiences),
                _ => claim(value),
            };
            let (Some(key), Some(claim)) = (key_of(name), claim) else { continue };
            if read.insert(key, claim).is_some() {
                return None;
            }
        }
        let prefix = format!("{}:", provider.to_lowercase()).into();
        Some(Self { prefix, claims: read, provider: provider.into() })
    }

    fn values(&self, key: &str) -> Values<'_> {
        let Some(name) = key.strip_prefix(&*self.prefix) else { return Values::Absent };
        match self.claims.get(name) {
            None => Values::Absent,
            Some(Claim::One(value)) => text(Some(value)),
            Some(Claim::Many(values)) => several(values),
        }
    }
}

/// The name of an issuer's provider: the issuer without its scheme, in every other letter. `None`
/// where another issuer has the same: which of them a trust policy means is not known.
fn provider_of<'i>(issuer: &'i str, issuers: &KeySets) -> Option<&'i str> {
    let (scheme, provider) = bare(issuer);
    // What AWS has built in is reached by TLS alone.
    if BUILT_IN_PROVIDERS.contains(&provider) && scheme != "https" {
        return None;
    }
    let is_same = |other: &str| bare(other).1.eq_ignore_ascii_case(provider);
    let is_only = issuers.iter().filter(|it| is_same(it.issuer())).count() == 1;
    is_only.then_some(provider)
}

fn bare(issuer: &str) -> (&str, &str) {
    issuer.split_once("://").unwrap_or(("", issuer))
}

/// A claim's name in a condition key. `None` for one that would be another claim's or, by a colon,
/// one of an issuer of the same host and another port.
fn key_of(claim: &str) -> Option<Box<str>> {
    let is_plain = claim.is_ascii() && !claim.contains(':');
    let lower = claim.to_ascii_lowercase();
    let is_itself = lower == *claim || !REGISTERED.contains(&&*lower);
    (is_plain && is_itself).then(|| lower.into())
}

/// Claims that mean something to providers under this very name.
const REGISTERED: [&str; 16] = [
    "acr",
    "amr",
    "aud",
    "auth_time",
    "azp",
    "cnf",
    "email",
    "email_verified",
    "exp",
    "iat",
    "iss",
    "jti",
    "nbf",
    "nonce",
    "sid",
    "sub",
];

/// Issuers that trust policies name without an ARN.
pub(super) const BUILT_IN_PROVIDERS: [&str; 4] = [
    "accounts.google.com",
    "cognito-identity.amazonaws.com",
    "graph.facebook.com",
    "www.amazon.com",
];

fn claim(value: &Json) -> Option<Claim> {
    match value {
        Json::String(text) => Some(Claim::One(text.as_str().into())),
        Json::Bool(_) | Json::Number(_) => Some(Claim::One(value.to_string().into())),
        Json::Array(list) => {
            let texts = list.iter().map(|it| it.as_str().map(Box::from));
            texts.collect::<Option<_>>().map(Claim::Many)
        }
        Json::Null | Json::Object(_) => None,
    }
}

fn audiences(value: &Json, asked: &[Box<str>]) -> Option<Claim> {
    let all: Vec<Box<str>> = match value {
        Json::String(one) => vec![one.as_str().into()],
        Json::Array(list) => list.iter().filter_map(|it| it.as_str().map(Box::from)).collect(),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::Object(_) => return None,
    };
    let mut meant: Vec<_> =
        all.into_iter().filter(|own| asked.is_empty() || asked.contains(own)).collect();
    match meant.len() {
        0 => None,
        1 => meant.pop().map(Claim::One),
        _ => Some(Claim::Many(meant.into())),
    }
}

fn text(text: Option<&str>) -> Values<'_> {
    text.map_or(Values::Absent, |text| Values::One(Value::Text(text)))
}

fn several(values: &[Box<str>]) -> Values<'_> {
    if values.is_empty() { Values::Absent } else { Values::Many(values) }
}
