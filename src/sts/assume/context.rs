//! What a call to assume a role knows of itself: the condition keys of `sts` beside a request's own.
//!
//! Flows in: the request's context, checked parameters, the token's claims. Flows out: values, as
//! conditions ask for them.

use serde_json::{Map, Value as Json};

use crate::iam::Identity;
use crate::policy::request_context::RequestContext;
use crate::policy::{ConditionKey, Context, KeyName, Value, Values};
use crate::sts::assume::parameters::Checked;
use crate::token::IssuerSpec;

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
    fn request_tag(&self, key: &ConditionKey) -> Values<'_> {
        let wanted = key.tag().unwrap_or_default();
        let mut tags = self.checked.tags.iter();
        text(tags.find(|(name, _)| name.to_lowercase() == wanted).map(|(_, value)| &**value))
    }

    /// A tag that the caller's session hands on stands before the role's own.
    fn inherited_tag(&self, key: &ConditionKey) -> Option<&str> {
        let wanted = key.tag()?;
        let mut tags = self.checked.inherited.iter();
        tags.find(|(name, _)| name.to_lowercase() == wanted).map(|(_, value)| &**value)
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
pub(super) struct WebClaims {
    /// The issuer without its scheme, as in the ARN of an OIDC provider.
    pub(super) provider: Box<str>,
    // `<provider>:` in lower case.
    prefix: Box<str>,
    claims: Vec<(Box<str>, Claim)>,
}

enum Claim {
    One(Box<str>),
    Many(Box<[Box<str>]>),
}

impl WebClaims {
    /// The claims of a token. Of several audiences those count that the issuer's tokens must have
    /// here; where none is asked for, all.
    pub(super) fn of(
        identity: &Identity,
        claims: &Map<String, Json>,
        issuer: Option<&IssuerSpec>,
    ) -> Self {
        let provider = provider(&identity.issuer);
        let read = claims.iter().filter_map(|(name, value)| {
            let claim = match name.as_str() {
                "aud" => audiences(value, issuer.map_or(&[], |spec| &spec.audiences)),
                _ => claim(value),
            };
            Some((Box::from(name.to_lowercase()), claim?))
        });
        Self {
            prefix: format!("{}:", provider.to_lowercase()).into(),
            claims: read.collect(),
            provider: provider.into(),
        }
    }

    fn values(&self, key: &str) -> Values<'_> {
        let Some(name) = key.strip_prefix(&*self.prefix) else { return Values::Absent };
        match self.claims.iter().find(|(known, _)| **known == *name) {
            None => Values::Absent,
            Some((_, Claim::One(value))) => text(Some(value)),
            Some((_, Claim::Many(values))) => several(values),
        }
    }
}

/// An issuer without its scheme.
pub(super) fn provider(issuer: &str) -> &str {
    let bare = issuer.split_once("://").map_or(issuer, |(_, bare)| bare);
    bare.strip_suffix('/').unwrap_or(bare)
}

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
