//! One recorded request, put together from its events.
//!
//! Flows in: events that share a decision id. Flows out: what was asked, by whom, and what became
//! of it. What an event does not tell is absent, never guessed.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use serde_json::Value;

use crate::clock::{UnixMillis, UnixSeconds};
use crate::event::{PERIMETER_ACTION, POLICY_ACTION, time};
use crate::iam::{
    AccountId, Action, AuthzRequest, Identity, IdentityKind, IdentityType, Recording,
    RequestOrigin, RouteContext, RouteKey, RouteValues, Transport,
};
use crate::policy::ConditionKey;

/// A recorded request.
#[derive(Debug)]
pub(super) struct Recorded {
    /// When it was decided.
    pub(super) at: UnixMillis,
    /// The account that owns the resource.
    pub(super) owner: AccountId,
    /// Who called, as far as events tell.
    pub(super) identity: Identity,
    /// What was asked.
    pub(super) action: Action,
    /// On what.
    pub(super) resource: String,
    /// Why the setting refused it, if it did.
    pub(super) denied_by_perimeter: Option<String>,
    /// Why the policies refused it, if they did.
    pub(super) denied_by_policies: Option<String>,
    /// Whether the proposed setting of that time was asked.
    pub(super) has_candidate: bool,
    /// Whether anything but an enforced denial tells of it.
    pub(super) is_observed: bool,
    /// What policies looked at, if an event of theirs tells.
    pub(super) input: Option<Input>,
}

/// What policies looked at besides.
#[derive(Debug)]
pub(super) struct Input {
    key_action: Option<Action>,
    origin: Origin,
    keys: Vec<RouteKey>,
    values: RouteValues,
    /// Keys that the request had and whose values are not recorded.
    pub(super) withheld: Vec<ConditionKey>,
    /// Whether something is cut or left out.
    pub(super) is_cut: bool,
}

#[derive(Debug)]
struct Origin {
    source_ip: IpAddr,
    transport: Transport,
    user_agent: Option<String>,
}

impl Recorded {
    /// What one of its events tells of a request; `None` for what is no evaluation that crossgate
    /// writes.
    pub(super) fn of(at: UnixMillis, event: &Value) -> Option<Self> {
        if !matches!(text(event, "/action"), PERIMETER_ACTION | POLICY_ACTION) {
            return None;
        }
        let identity = identity(event)?;
        let owner = AccountId::parse(text(event, "/requestData/resource/attributes/accountId"));
        let mut recorded = Self {
            at,
            owner: owner.ok()?,
            identity,
            action: Action::parse(text(event, "/requestData/action"))?,
            resource: text(event, "/target/id").to_owned(),
            denied_by_perimeter: None,
            denied_by_policies: None,
            has_candidate: false,
            is_observed: false,
            input: None,
        };
        recorded.read(event);
        Some(recorded)
    }

    /// Takes what another of its events tells.
    pub(super) fn merge(&mut self, other: Self) {
        self.denied_by_perimeter = self.denied_by_perimeter.take().or(other.denied_by_perimeter);
        self.denied_by_policies = self.denied_by_policies.take().or(other.denied_by_policies);
        self.has_candidate |= other.has_candidate;
        self.is_observed |= other.is_observed;
        if self.input.is_none() && other.input.is_some() {
            self.input = other.input;
            // What policies looked at includes more of the identity than the perimeter's events.
            self.identity = other.identity;
        }
    }

    fn read(&mut self, event: &Value) {
        let is_policy = text(event, "/action") == POLICY_ACTION;
        let flag = |pointer| event.pointer(pointer).and_then(Value::as_bool).unwrap_or_default();
        let is_denial = text(event, "/responseData/decision") == "Deny";
        if flag("/responseData/isEnforced") && is_denial {
            let reason = Some(text(event, "/responseData/reason").to_owned());
            if is_policy {
                self.denied_by_policies = reason;
            } else {
                self.denied_by_perimeter = reason;
            }
        } else {
            self.is_observed = true;
        }
        self.has_candidate |= !is_policy && flag("/responseData/candidate");
        if is_policy && self.input.is_none() {
            self.input = Input::of(event, &mut self.identity);
        }
    }

    /// Why it was refused, if it was: both layers are asked, and the perimeter answers first.
    pub(super) fn denied(&self) -> Option<&str> {
        self.denied_by_perimeter.as_deref().or(self.denied_by_policies.as_deref())
    }

    /// The question that was asked, as far as events tell: enough for the perimeter, and for
    /// policies where there is an input.
    pub(super) fn request(&self) -> AuthzRequest<'_> {
        let input = self.input.as_ref();
        let origin = input.map(|input| RequestOrigin {
            source_ip: input.origin.source_ip,
            transport: input.origin.transport,
            user_agent: input.origin.user_agent.as_deref(),
            referer: None,
        });
        AuthzRequest {
            action: &self.action,
            key_action: input.and_then(|input| input.key_action.as_ref()),
            resource: &self.resource,
            owner: self.owner,
            context: input
                .map_or(RouteContext::NONE, |input| RouteContext::new(&input.keys, &input.values)),
            origin: origin.unwrap_or(RequestOrigin {
                source_ip: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
                transport: Transport::Plain,
                user_agent: None,
                referer: None,
            }),
        }
    }
}

impl Input {
    /// What an event of policies tells; completes the identity.
    fn of(event: &Value, identity: &mut Identity) -> Option<Self> {
        let context = event.pointer("/requestData/context")?;
        identity.principal = text(event, "/requestData/subject/attributes/principal").into();
        let is_complete = context.get("complete").and_then(Value::as_bool).unwrap_or_default();
        let agent = text(event, "/initiator/host/agent");
        let mut input = Self {
            key_action: Action::parse(text(event, "/requestData/keyAction")),
            origin: Origin {
                source_ip: text(event, "/requestData/environment/attributes/ipAddress")
                    .parse()
                    .unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
                transport: Transport::Plain,
                user_agent: (!agent.is_empty()).then(|| agent.to_owned()),
            },
            keys: Vec::new(),
            values: RouteValues::default(),
            withheld: texts(context.get("withheld")).map(ConditionKey::new).collect(),
            is_cut: !is_complete,
        };
        let at = time::parse(text(event, "/eventTime"))?.seconds();
        for entry in context.get("keys").and_then(Value::as_array).into_iter().flatten() {
            input.take(entry, at, identity);
        }
        Some(input)
    }

    fn take(&mut self, entry: &Value, at: UnixSeconds, identity: &mut Identity) {
        let (key, value) = (text(entry, "/key"), text(entry, "/value"));
        match key {
            "aws:SecureTransport" => {
                self.origin.transport =
                    if value == "true" { Transport::Tls } else { Transport::Plain };
            }
            "aws:MultiFactorAuthPresent" => identity.mfa = Some(value == "true"),
            "aws:MultiFactorAuthAge" => {
                let age = value.parse::<u64>().ok();
                identity.authenticated_at = age.map(|age| UnixSeconds(at.0.saturating_sub(age)));
            }
            "aws:TokenIssueTime" => {
                identity.issued_at = time::parse(value).map(UnixMillis::seconds);
            }
            _ => match key.strip_prefix("aws:PrincipalTag/") {
                Some(tag) => {
                    identity.session_tags.insert(tag.into(), value.into());
                }
                None => self.take_of_route(key, entry),
            },
        }
    }

    fn take_of_route(&mut self, key: &str, entry: &Value) {
        let key = RouteKey { key: key.into(), fixed: Box::default(), recording: Recording::Told };
        self.keys.push(key);
        match entry.get("values") {
            Some(values) => self.values.push_many(texts(Some(values)).map(Box::from)),
            None => self.values.push_one([text(entry, "/value")]),
        }
    }
}

/// Who called, without what only events of policies tell.
fn identity(event: &Value) -> Option<Identity> {
    let account = match text(event, "/requestData/subject/attributes/token.account.bss") {
        "" => None,
        account => Some(AccountId::parse(account).ok()?),
    };
    let identity_type = text(event, "/requestData/subject/attributes/identityType");
    let mut types = IdentityType::ALL.into_iter();
    let is_profile = text(event, "/initiator/typeURI").ends_with("/profile");
    let of = |pointer| text(event, pointer).into();
    Some(Identity {
        account,
        identity_type: types.find(|known| known.as_str() == identity_type)?,
        kind: if is_profile { IdentityKind::Profile } else { IdentityKind::Login },
        principal: "".into(),
        id: of("/initiator/id"),
        name: of("/initiator/name"),
        authn_id: of("/initiator/authnId"),
        authn_name: of("/initiator/authnName"),
        issuer: "".into(),
        subject: "".into(),
        session_tags: BTreeMap::new(),
        mfa: None,
        authenticated_at: None,
        issued_at: None,
        not_before: None,
        expires_at: UnixSeconds(u64::MAX),
        session: None,
    })
}

/// A text of an event; empty if it is not there.
pub(super) fn text<'e>(event: &'e Value, pointer: &str) -> &'e str {
    event.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn texts(list: Option<&Value>) -> impl Iterator<Item = &str> {
    list.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
}
