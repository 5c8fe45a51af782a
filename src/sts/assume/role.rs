//! Roles: the trust policy and the caller's own permissions (facts: iam.md sections 5.1 and 5.2).

use std::borrow::Cow;

use serde_json::{Map, Value};

use crate::decision;
use crate::event::AssumeReason;
use crate::iam::{AccountId, Action, Arn, AuthzRequest, IdentityKind, RouteContext};
use crate::policy::request_context::{Known, RequestContext};
use crate::policy::set::{self, PolicySet, PrincipalEntry};
use crate::policy::{Outcome, Policies, Principal, PrincipalKind, Question, Resource, evaluate};
use crate::sts::assume::context::{AssumeContext, WebClaims};
use crate::sts::assume::parameters::{AssumeParameters, Checked, check};
use crate::sts::assume::session::{self, Begun, Place};
use crate::sts::assume::{Asked, Attempt, Grant, Refusal, Refused, Standing};

/// Decides whether a session of a role may begin.
pub(super) fn assume(attempt: &Attempt<'_>, role: &str) -> Result<Grant, Box<Refused>> {
    let mut asked = Asked { role: role.into(), ..Asked::default() };
    match decide(attempt, role, &mut asked) {
        Ok(begun) => Ok(begun.granted(AssumeReason::PolicyAllow, asked)),
        Err(refusal) => Err(refusal.of(asked)),
    }
}

fn decide(attempt: &Attempt<'_>, role: &str, asked: &mut Asked) -> Result<Begun, Refusal> {
    let role = RoleName::parse(role)?;
    asked.owner = Some(role.owner);
    match attempt.caller.standing {
        Standing::Principal => as_principal(attempt, &role, asked),
        Standing::WebIdentity => as_web_identity(attempt, &role, asked),
        Standing::Either => match as_principal(attempt, &role, asked) {
            Err(refusal) if may_be_vouched_for(attempt, &refusal) => {
                as_web_identity(attempt, &role, asked)
            }
            decided => decided,
        },
    }
}

/// A role that is asked for.
struct RoleName<'a> {
    arn: Arn<'a>,
    owner: AccountId,
}

impl<'a> RoleName<'a> {
    fn parse(text: &'a str) -> Result<Self, Refusal> {
        let is_role = |arn: &Arn<'_>| {
            arn.service() == "iam"
                && arn.region().is_empty()
                && !arn.partition().is_empty()
                && arn.resource().strip_prefix("role/").is_some_and(|path| {
                    path.rsplit('/').next().is_some_and(|name| !name.is_empty())
                        && !path.contains(char::is_whitespace)
                        && !path.contains(char::is_control)
                })
        };
        let arn = Arn::parse(text).filter(|_| text.len() <= ROLE_BYTES_MAX).filter(is_role);
        let owner = arn.and_then(|arn| AccountId::parse(arn.account()).ok());
        arn.zip(owner).map(|(arn, owner)| Self { arn, owner }).ok_or_else(|| {
            let message = "the role is no ARN like `arn:aws:iam::111111111111:role/name`";
            Refusal::invalid(AssumeReason::InvalidRequest, message)
        })
    }

    /// The role itself: its path counts. A trusted profile is none.
    fn entry<'s>(&self, set: &'s PolicySet) -> Option<&'s PrincipalEntry> {
        let entry = set.role(self.arn)?;
        (*entry.arn == *self.arn.as_str() && entry.profile.is_none()).then_some(entry)
    }
}

/// The caller is the principal of its token.
fn as_principal(
    attempt: &Attempt<'_>,
    role: &RoleName<'_>,
    asked: &mut Asked,
) -> Result<Begun, Refusal> {
    let identity = attempt.caller.identity;
    let checked = check(attempt.parameters, identity, attempt.rules)?;
    asked.session_name = checked.session_name.clone();
    let principal = decision::principal(identity)
        .ok_or_else(|| Refusal::denied(AssumeReason::PolicyImplicitDeny))?;
    begin(&Call { attempt, role, checked: &checked, principal, web: None }, asked)
}

/// The caller is whom its token's issuer vouches for; nothing else is known of it.
fn as_web_identity(
    attempt: &Attempt<'_>,
    role: &RoleName<'_>,
    asked: &mut Asked,
) -> Result<Begun, Refusal> {
    let identity = attempt.caller.identity;
    let parameters = with_claims(attempt.parameters, attempt.caller.claims)?;
    let checked = check(&parameters, identity, attempt.rules)?;
    asked.session_name = checked.session_name.clone();
    if identity.kind == IdentityKind::Profile {
        // A session is its role's; no provider vouches for it.
        return Err(Refusal::denied(AssumeReason::PolicyImplicitDeny));
    }
    let issuer = attempt.snapshot.key_sets.issuer(&identity.issuer);
    let spec = issuer.map(|issuer| &**issuer.spec());
    let web = WebClaims::of(identity, attempt.caller.claims, spec);
    let text = provider_principal(role, &web.provider);
    let principal = Principal::new(PrincipalKind::WebIdentity, &text, None)
        .ok_or_else(|| Refusal::denied(AssumeReason::PolicyImplicitDeny))?;
    begin(&Call { attempt, role, checked: &checked, principal, web: Some(&web) }, asked)
}

/// Whether a refused principal may still be let in by its issuer's word. What was denied explicitly
/// or is malformed stays so.
fn may_be_vouched_for(attempt: &Attempt<'_>, refusal: &Refusal) -> bool {
    let is_open =
        matches!(refusal.reason, AssumeReason::PolicyImplicitDeny | AssumeReason::UnknownRole);
    is_open && attempt.caller.identity.kind == IdentityKind::Login
}

/// One call in one form.
struct Call<'c> {
    attempt: &'c Attempt<'c>,
    role: &'c RoleName<'c>,
    checked: &'c Checked,
    principal: Principal<'c>,
    web: Option<&'c WebClaims>,
}

fn begin(call: &Call<'_>, asked: &mut Asked) -> Result<Begun, Refusal> {
    let Call { attempt, role, checked, web, .. } = *call;
    let Some(sets) = &attempt.snapshot.policies else {
        return Err(Refusal::denied(AssumeReason::UnknownRole));
    };
    let set = &*sets.enforced;
    let entry = role.entry(set);
    for action in call.actions() {
        authorize(call, set, entry, &action, asked)?;
    }
    let Some(entry) = entry else { return Err(Refusal::denied(AssumeReason::UnknownRole)) };
    let place = Place {
        account: role.owner,
        entry,
        arn: role.arn,
        id: &entry.arn,
        name: role.arn.resource().rsplit('/').next().unwrap_or_default(),
        federated_provider: web.map(|_| call.principal.text),
    };
    if let Some(policies) = &checked.policies {
        let account = set.accounts.get(&role.owner);
        let is_known = |arn: &str| account.is_some_and(|account| account.managed(arn).is_some());
        if !policies.managed.iter().all(|arn| is_known(arn)) {
            let message = "`PolicyArns` has a policy that the role's account does not have";
            return Err(Refusal::invalid(AssumeReason::InvalidRequest, message));
        }
    }
    session::begin(attempt, checked, &place)
}

/// Asks whether one of the call's actions is allowed.
fn authorize(
    call: &Call<'_>,
    set: &PolicySet,
    entry: Option<&PrincipalEntry>,
    action: &Action,
    asked: &mut Asked,
) -> Result<(), Refusal> {
    let Call { attempt, role, checked, principal, web } = *call;
    let identity = attempt.caller.identity;
    let request = AuthzRequest {
        action,
        key_action: None,
        resource: role.arn.as_str(),
        owner: role.owner,
        context: RouteContext::NONE,
        origin: attempt.circumstances.origin,
    };
    let resource = Resource::Named(role.arn);
    let sought = set::Asked {
        principal,
        action,
        resource,
        owner: role.owner,
        key_action: None,
        session: identity.session.as_deref(),
    };
    let applicable = set.applicable(&sought);
    // A role of the same name and another path is another role.
    let trust = entry.and_then(|entry| entry.trust.as_deref());
    let policies = Policies { resource: trust, ..applicable.policies };
    let known = Known { role: entry, ..Known::of(&applicable, set.organization.as_deref()) };
    let now = attempt.circumstances.now.seconds();
    let own = RequestContext::new(identity, principal, &request, known, now);
    let context = AssumeContext { request: &own, checked, web };
    let owner = Some(role.owner.as_str());
    let question = Question { principal, action, resource, owner, context: &context };
    let answer = evaluate(&question, &policies);
    asked.note(&answer);
    match (answer.outcome, entry) {
        (Outcome::Allow, _) => Ok(()),
        (Outcome::ExplicitDeny, _) => Err(Refusal::denied(AssumeReason::PolicyExplicitDeny)),
        (Outcome::ImplicitDeny, None) => Err(Refusal::denied(AssumeReason::UnknownRole)),
        (Outcome::ImplicitDeny, Some(_)) => Err(Refusal::denied(AssumeReason::PolicyImplicitDeny)),
    }
}

impl Call<'_> {
    /// What must be allowed, each of it: passing tags or a source identity is an action of its own.
    /// The role itself comes last, so that its statements are those that are told.
    fn actions(&self) -> impl Iterator<Item = Action> {
        let assume = match self.web {
            None => "sts:AssumeRole",
            Some(_) => "sts:AssumeRoleWithWebIdentity",
        };
        let tags = (!self.checked.tags.is_empty()).then_some("sts:TagSession");
        let source = self.checked.source_identity.is_some().then_some("sts:SetSourceIdentity");
        [tags, source, Some(assume)].into_iter().flatten().filter_map(Action::parse)
    }
}

/// The principal that trust policies name an issuer's identities by.
fn provider_principal<'a>(role: &RoleName<'_>, provider: &'a str) -> Cow<'a, str> {
    if BUILT_IN_PROVIDERS.contains(&provider) {
        return Cow::Borrowed(provider);
    }
    let (partition, account) = (role.arn.partition(), role.owner.as_str());
    Cow::Owned(format!("arn:{partition}:iam::{account}:oidc-provider/{provider}"))
}

/// With the tags and the source identity that the token itself passes (facts: iam.md section 5.2).
fn with_claims<'a>(
    parameters: &'a AssumeParameters,
    claims: &Map<String, Value>,
) -> Result<Cow<'a, AssumeParameters>, Refusal> {
    let source = claims.get(SOURCE_IDENTITY_CLAIM);
    let tags = claims.get(TAGS_CLAIM);
    if source.is_none() && tags.is_none() {
        return Ok(Cow::Borrowed(parameters));
    }
    let mut parameters = parameters.clone();
    if let Some(source) = source {
        let text = source.as_str().ok_or_else(|| malformed(SOURCE_IDENTITY_CLAIM))?;
        // Two that differ: the token's issuer and the caller can't both be right.
        if parameters.source_identity.as_deref().is_some_and(|own| own != text) {
            return Err(malformed(SOURCE_IDENTITY_CLAIM));
        }
        parameters.source_identity = Some(text.into());
    }
    if let Some(tags) = tags {
        let refused = || malformed(TAGS_CLAIM);
        let members = tags.as_object().ok_or_else(refused)?;
        let principal_tags = match members.get("principal_tags") {
            None => &Map::new(),
            Some(tags) => tags.as_object().ok_or_else(refused)?,
        };
        for (key, values) in principal_tags {
            // An array of one value each.
            let [value] = values.as_array().map(Vec::as_slice).unwrap_or_default() else {
                return Err(refused());
            };
            let value = value.as_str().ok_or_else(refused)?;
            parameters.tags.push((key.as_str().into(), value.into()));
        }
        let transitive = match members.get("transitive_tag_keys") {
            None => &[],
            Some(keys) => keys.as_array().ok_or_else(refused)?.as_slice(),
        };
        for key in transitive {
            let key = key.as_str().ok_or_else(refused)?;
            parameters.transitive_tag_keys.push(key.into());
        }
    }
    Ok(Cow::Owned(parameters))
}

fn malformed(claim: &str) -> Refusal {
    let message = format!("the token's claim `{claim}` is malformed");
    Refusal::invalid(AssumeReason::InvalidTags, message)
}

const TAGS_CLAIM: &str = "https://aws.amazon.com/tags";
const SOURCE_IDENTITY_CLAIM: &str = "https://aws.amazon.com/source_identity";

/// Issuers that trust policies name without an ARN.
const BUILT_IN_PROVIDERS: [&str; 4] = [
    "accounts.google.com",
    "cognito-identity.amazonaws.com",
    "graph.facebook.com",
    "www.amazon.com",
];

/// The longest ARN of a role.
const ROLE_BYTES_MAX: usize = 2048;
