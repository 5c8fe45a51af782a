//! What a proxied request knows of itself: the values of condition keys.
//!
//! Flows in: the identity, the request, what the policies know of both, the time. Flows out: values,
//! one at a time as conditions ask for them. What crossgate derives counts before what a route says,
//! and nothing that a client sends is looked at for it.

use std::cell::OnceCell;
use std::time::Duration;

use crate::clock::UnixSeconds;
use crate::iam::{
    AccountId, Arn, AuthzRequest, Identity, IdentityKind, RouteValue, Session, Transport,
};
use crate::policy::context::{ConditionKey, Context, KeyName, Value, Values};
use crate::policy::principal::{Principal, PrincipalKind, last_part};
use crate::policy::set::{Applicable, Organization, PrincipalEntry, ResourceEntry, Tag};

/// The condition keys of one request.
#[derive(Debug)]
pub struct RequestContext<'a> {
    identity: &'a Identity,
    principal: Principal<'a>,
    request: &'a AuthzRequest<'a>,
    known: Known<'a>,
    now: UnixSeconds,
    // Made when a condition first asks: few do.
    role_arn: OnceCell<Box<str>>,
    user_id: OnceCell<Option<Box<str>>>,
}

/// What a set of policies knows of those that a request is about.
#[derive(Clone, Copy, Debug, Default)]
pub struct Known<'a> {
    /// The caller: a user, or the role behind a session.
    pub caller: Option<&'a PrincipalEntry>,
    /// The resource.
    pub resource: Option<&'a ResourceEntry>,
    /// The role that is the resource, of an action of `sts`.
    pub role: Option<&'a PrincipalEntry>,
    /// The organization.
    pub organization: Option<&'a Organization>,
}

impl<'a> Known<'a> {
    /// What a set with this organization found for a question.
    pub fn of(found: &Applicable<'a>, organization: Option<&'a Organization>) -> Self {
        let Applicable { caller, resource, role, .. } = *found;
        Self { caller, resource, role, organization }
    }
}

impl<'a> RequestContext<'a> {
    /// The context of a request at a time.
    pub fn new(
        identity: &'a Identity,
        principal: Principal<'a>,
        request: &'a AuthzRequest<'a>,
        known: Known<'a>,
        now: UnixSeconds,
    ) -> Self {
        let (role_arn, user_id) = (OnceCell::new(), OnceCell::new());
        Self { identity, principal, request, known, now, role_arn, user_id }
    }
}

impl Context for RequestContext<'_> {
    /// No allocation, but for `aws:userid` of sessions and `aws:PrincipalArn` of sessions whose role
    /// the policies do not know.
    fn values(&self, key: &ConditionKey) -> Values<'_> {
        let origin = &self.request.origin;
        match key.name {
            KeyName::CurrentTime => one(Value::Time(self.now)),
            KeyName::EpochTime => one(Value::Number(self.now.0)),
            KeyName::MultiFactorAuthAge => maybe(self.second_factor_age().map(Value::Number)),
            KeyName::MultiFactorAuthPresent => maybe(self.identity.mfa.map(Value::Bool)),
            KeyName::PrincipalAccount => text(self.principal.account),
            KeyName::PrincipalArn => text(self.principal_arn()),
            KeyName::PrincipalIsAwsService => one(Value::Bool(self.is_service())),
            KeyName::PrincipalOrgId => text(self.organization_of(self.principal_account())),
            KeyName::PrincipalOrgPaths => self.paths_of(self.principal_account()),
            KeyName::PrincipalServiceName => text(self.is_service().then_some(self.principal.text)),
            KeyName::PrincipalServiceNamesList if self.is_service() => {
                Values::Many(std::slice::from_ref(&self.identity.principal))
            }
            KeyName::PrincipalTag => text(self.principal_tag(key)),
            KeyName::PrincipalType => text(self.principal_type()),
            KeyName::Referer => text(origin.referer),
            KeyName::ResourceAccount => one(Value::Text(self.request.owner.as_str())),
            KeyName::ResourceOrgId => text(self.organization_of(Some(self.request.owner))),
            KeyName::ResourceOrgPaths => self.paths_of(Some(self.request.owner)),
            KeyName::ResourceTag => match self.resource_tag(key) {
                Some(tag) => one(Value::Text(tag)),
                None => self.by_route(key),
            },
            KeyName::SecureTransport => one(Value::Bool(origin.transport == Transport::Tls)),
            KeyName::SourceIp => one(Value::Address(origin.source_ip)),
            KeyName::TokenIssueTime => maybe(self.identity.issued_at.map(Value::Time)),
            KeyName::UserAgent => text(origin.user_agent),
            KeyName::UserId => text(self.user_id()),
            KeyName::UserName => text(self.user_name()),
            KeyName::ViaAwsService => one(Value::Bool(false)),
            KeyName::FederatedProvider => text(self.session(|it| it.federated_provider.as_deref())),
            KeyName::SourceIdentity => text(self.session(|it| it.source_identity.as_deref())),
            KeyName::PrincipalServiceNamesList => Values::Absent,
            KeyName::CalledVia
            | KeyName::CalledViaFirst
            | KeyName::CalledViaLast
            | KeyName::Other
            | KeyName::RequestTag
            | KeyName::RequestedRegion
            | KeyName::SourceAccount
            | KeyName::SourceArn
            | KeyName::SourceOrgId
            | KeyName::SourceOrgPaths
            | KeyName::SourceVpc
            | KeyName::SourceVpce
            | KeyName::TagKeys
            | KeyName::VpcSourceIp => self.by_route(key),
        }
    }

    /// The key has an owner of its own and no tags; what is told of the resource is not told of it.
    fn values_for_key<'v>(&'v self, key: &ConditionKey, account: &'v str) -> Values<'v> {
        let owner = || AccountId::parse(account).ok();
        match key.name {
            KeyName::ResourceAccount => one(Value::Text(account)),
            KeyName::ResourceOrgId => text(self.organization_of(owner())),
            KeyName::ResourceOrgPaths => self.paths_of(owner()),
            KeyName::ResourceTag => Values::Absent,
            _ => self.values(key),
        }
    }
}

impl RequestContext<'_> {
    fn by_route(&self, key: &ConditionKey) -> Values<'_> {
        match self.request.context.get(key.as_str()) {
            None => Values::Absent,
            Some(RouteValue::One(value)) => one(Value::Text(value)),
            Some(RouteValue::Many(values)) => Values::Many(values),
        }
    }

    fn session(&self, of: impl FnOnce(&Session) -> Option<&str>) -> Option<&str> {
        of(self.identity.session.as_deref()?)
    }

    fn is_service(&self) -> bool {
        self.principal.kind == PrincipalKind::Service
    }

    /// The token's account, unless the principal has none, as a service.
    fn principal_account(&self) -> Option<AccountId> {
        self.identity.account.filter(|_| self.principal.account.is_some())
    }

    /// For a session the role's ARN, never the session's.
    fn principal_arn(&self) -> Option<&str> {
        match self.principal.kind {
            PrincipalKind::AssumedRole => match self.known.caller {
                Some(role) => Some(&role.arn),
                None => self
                    .session(|session| Some(&*session.role))
                    .or_else(|| Some(self.role_arn.get_or_init(|| role_arn(&self.principal)))),
            },
            PrincipalKind::FederatedUser | PrincipalKind::Root => Some(self.principal.text),
            PrincipalKind::Role | PrincipalKind::User => {
                Some(self.known.caller.map_or(self.principal.text, |caller| &caller.arn))
            }
            PrincipalKind::Anonymous | PrincipalKind::Service | PrincipalKind::WebIdentity => None,
        }
    }

    fn principal_type(&self) -> Option<&'static str> {
        match self.principal.kind {
            PrincipalKind::Anonymous => Some("Anonymous"),
            PrincipalKind::AssumedRole | PrincipalKind::Role => Some("AssumedRole"),
            PrincipalKind::FederatedUser => Some("FederatedUser"),
            PrincipalKind::Root => Some("Account"),
            PrincipalKind::User => Some("User"),
            PrincipalKind::Service | PrincipalKind::WebIdentity => None,
        }
    }

    fn user_name(&self) -> Option<&str> {
        (self.principal.kind == PrincipalKind::User).then(|| last_part(self.principal.text))
    }

    fn user_id(&self) -> Option<&str> {
        match self.principal.kind {
            PrincipalKind::Root => self.principal.account,
            PrincipalKind::User => self.unique_id(),
            PrincipalKind::AssumedRole | PrincipalKind::FederatedUser => {
                self.user_id.get_or_init(|| self.session_id()).as_deref()
            }
            PrincipalKind::Anonymous
            | PrincipalKind::Role
            | PrincipalKind::Service
            | PrincipalKind::WebIdentity => None,
        }
    }

    /// The role's id and the session's name, or the account and the federated user's name.
    fn session_id(&self) -> Option<Box<str>> {
        let (id, name) = match self.principal.kind {
            PrincipalKind::AssumedRole => {
                let (_, session) = self.principal.text.split_once('/')?.1.split_once('/')?;
                (self.unique_id()?, session)
            }
            _ => (self.principal.account?, last_part(self.principal.text)),
        };
        Some(format!("{id}:{name}").into())
    }

    /// The id that the policies know, else the one that the token tells of a user or a profile.
    fn unique_id(&self) -> Option<&str> {
        let known = self.known.caller.map(|caller| &*caller.id).filter(|id| !id.is_empty());
        // The id of a role's session is the role's ARN.
        let is_told = self.principal.kind == PrincipalKind::User
            || (self.identity.kind == IdentityKind::Profile
                && Arn::parse(&self.identity.id).is_none());
        known.or_else(|| is_told.then_some(&*self.identity.id)).filter(|id| !id.is_empty())
    }

    /// A session's own tag, else the principal's.
    fn principal_tag(&self, key: &ConditionKey) -> Option<&str> {
        let wanted = key.tag()?;
        let session = self.identity.session_tags.iter();
        let mut of_session = session.filter(|(name, _)| is_lower_of(wanted, name));
        if let Some((_, value)) = of_session.next() {
            return Some(value);
        }
        tag(&self.known.caller?.tags, wanted)
    }

    fn resource_tag(&self, key: &ConditionKey) -> Option<&str> {
        let wanted = key.tag()?;
        let of_role = self.known.role.and_then(|role| tag(&role.tags, wanted));
        of_role.or_else(|| tag(&self.known.resource?.tags, wanted))
    }

    /// How long ago a login with a second factor was. One that is yet to come tells nothing, but for
    /// clocks that differ.
    fn second_factor_age(&self) -> Option<u64> {
        let at = self.identity.authenticated_at.filter(|_| self.identity.mfa == Some(true))?;
        (at <= self.now.plus(CLOCKS_DIFFER)).then(|| self.now.0.saturating_sub(at.0))
    }

    fn organization_of(&self, account: Option<AccountId>) -> Option<&str> {
        let (organization, account) = (self.known.organization?, account?);
        let is_member = organization.accounts.contains_key(&account)
            || organization.management_account == Some(account);
        is_member.then_some(&*organization.id)
    }

    fn paths_of(&self, account: Option<AccountId>) -> Values<'_> {
        let organization = self.known.organization;
        let membership = organization
            .zip(account)
            .and_then(|(organization, account)| organization.accounts.get(&account));
        membership.map_or(Values::Absent, |membership| Values::Many(&membership.paths))
    }
}

/// The ARN of the role behind a session; the path is not known.
fn role_arn(session: &Principal<'_>) -> Box<str> {
    let role = session.role.map(|role| (role.partition, role.account, role.name));
    let (partition, account, name) = role.unwrap_or_default();
    format!("arn:{partition}:iam::{account}:role/{name}").into()
}

fn tag<'t>(tags: &'t [Tag], wanted: &str) -> Option<&'t str> {
    tags.iter().find(|tag| *tag.key == *wanted).map(|tag| &*tag.value)
}

/// Whether a text is another one in lower case; no allocation.
pub(crate) fn is_lower_of(lower: &str, text: &str) -> bool {
    lower.chars().map(plain).eq(folded(text))
}

/// A tag's key as it is compared: two keys are one if this is.
pub(crate) fn tag_key(text: &str) -> String {
    folded(text).collect()
}

fn folded(text: &str) -> impl Iterator<Item = char> + '_ {
    text.chars().flat_map(char::to_lowercase).map(plain)
}

/// The lower case of a last `Σ` depends on its place.
fn plain(character: char) -> char {
    if character == 'ς' { 'σ' } else { character }
}

fn one(value: Value<'_>) -> Values<'_> {
    Values::One(value)
}

fn maybe(value: Option<Value<'_>>) -> Values<'_> {
    value.map_or(Values::Absent, Values::One)
}

fn text(text: Option<&str>) -> Values<'_> {
    maybe(text.map(Value::Text))
}

/// By how much an issuer's clock may be ahead.
const CLOCKS_DIFFER: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests;
