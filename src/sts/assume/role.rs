//! Roles: the trust policy and the caller's own permissions (facts: iam.md sections 5.1 and 5.2).

use std::borrow::Cow;

use serde_json::{Map, Value};

use crate::decision;
use crate::event::AssumeReason;
use crate::iam::{AccountId, Action, Arn, AuthzRequest, IdentityKind, RouteContext};
use crate::policy::request_context::{Known, RequestContext};
use crate::policy::set::{self, PolicySet, PrincipalEntry};
use crate::policy::{
    Missing, Outcome, Policies, PolicyAnswer, Principal, PrincipalKind, Question, Resource, Side,
    evaluate,
};
use crate::sts::assume::context::{AssumeContext, BUILT_IN_PROVIDERS, WebClaims};
use crate::sts::assume::parameters::{AssumeParameters, Chaining, Checked, check, is_name};
use crate::sts::assume::session::{self, Begun, Place};
use crate::sts::assume::{Asked, Attempt, Caller, Grant, Refusal, Refused, Standing};

/// Decides whether a session of a role may begin.
pub(super) fn assume(attempt: &Attempt<'_>, role: &str) -> Result<Grant, Box<Refused>> {
    let session_name = attempt.parameters.session_name.clone().unwrap_or_default();
    let mut asked = Asked { role: role.into(), session_name, ..Asked::default() };
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
        Standing::WebIdentity => {
            let checked = check_web_identity(attempt)?;
            as_web_identity(attempt, &role, &checked, asked)
        }
        Standing::Either => match as_principal(attempt, &role, asked) {
            Err(refusal) if may_be_vouched_for(attempt, &refusal) => {
                else_as_web_identity(attempt, &role, refusal, asked)
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
                    let (path, name) = path.rsplit_once('/').unwrap_or(("", path));
                    let is_of_path = |character: char| character.is_ascii_graphic();
                    !name.is_empty() && name.chars().all(is_name) && path.chars().all(is_of_path)
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
    let chaining = Chaining::of(identity);
    let checked = check(attempt.parameters, identity, chaining, attempt.rules)?;
    asked.session_name = checked.session_name.clone();
    let Some(principal) = decision::principal(identity) else {
        asked.missing.add(Side::CallerIdentity);
        return Err(Refusal::denied(AssumeReason::PolicyImplicitDeny));
    };
    begin(&Call { attempt, role, checked: &checked, principal, web: None }, asked)
}

/// Checks what a web identity asks for, its token included.
fn check_web_identity(attempt: &Attempt<'_>) -> Result<Checked, Refusal> {
    let Caller { identity, claims, .. } = *attempt.caller;
    let parameters = with_claims(attempt.parameters, claims)?;
    check(&parameters, identity, Chaining::First, attempt.rules)
}

/// The caller is whom its token's issuer vouches for; nothing else is known of it.
fn as_web_identity(
    attempt: &Attempt<'_>,
    role: &RoleName<'_>,
    checked: &Checked,
    asked: &mut Asked,
) -> Result<Begun, Refusal> {
    asked.session_name = checked.session_name.clone();
    let web = WebClaims::of(attempt.caller, &attempt.snapshot.key_sets);
    let text = web.as_ref().map(|web| provider_principal(role, web));
    let principal =
        text.as_deref().and_then(|text| Principal::new(PrincipalKind::WebIdentity, text, None));
    let (Some(web), Some(principal)) = (&web, principal) else {
        asked.missing.add(Side::Trust);
        return Err(Refusal::denied(AssumeReason::PolicyImplicitDeny));
    };
    begin(&Call { attempt, role, checked, principal, web: Some(web) }, asked)
}

/// A refused principal asks as a web identity. If that does not help, it is told what lacks where
/// the role does trust the principal, and of the token's claims nothing.
fn else_as_web_identity(
    attempt: &Attempt<'_>,
    role: &RoleName<'_>,
    refusal: Refusal,
    asked: &mut Asked,
) -> Result<Begun, Refusal> {
    let Ok(checked) = check_web_identity(attempt) else { return Err(refusal) };
    let is_principal = decision::principal(attempt.caller.identity).is_some();
    let is_trusted = is_principal && !asked.missing.has(Side::Trust);
    let mut as_web = Asked { missing: Missing::default(), ..asked.clone() };
    let decided = as_web_identity(attempt, role, &checked, &mut as_web);
    match &decided {
        Err(second) if is_trusted && second.reason == AssumeReason::PolicyImplicitDeny => {
            Err(refusal)
        }
        Ok(_) | Err(_) => {
            *asked = as_web;
            decided
        }
    }
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
    authorize(call, set, entry, asked)?;
    let Some(entry) = entry else { return Err(Refusal::denied(AssumeReason::UnknownRole)) };
    let place = Place {
        account: role.owner,
        entry,
        arn: role.arn,
        id: &entry.arn,
        name: role.arn.resource().rsplit('/').next().unwrap_or_default(),
        federated_provider: web.map(|_| call.principal.text),
    };
    session::begin(attempt, checked, &place)
}

/// Asks whether all of the call's actions are allowed. All are asked: a deny of one is final,
/// whatever another one lacks.
fn authorize(
    call: &Call<'_>,
    set: &PolicySet,
    entry: Option<&PrincipalEntry>,
    asked: &mut Asked,
) -> Result<(), Refusal> {
    let actions: Vec<(Action, Sides)> = call.actions().collect();
    let answers: Vec<_> =
        actions.iter().map(|(action, sides)| ask(call, set, entry, action, *sides)).collect();
    let of = |outcome| answers.iter().filter(move |answer| answer.outcome == outcome);
    if let Some(denied) = of(Outcome::ExplicitDeny).next() {
        asked.note(denied);
        return Err(Refusal::denied(AssumeReason::PolicyExplicitDeny));
    }
    let lacking = of(Outcome::ImplicitDeny);
    let missing = lacking.fold(Missing::default(), |all, answer| all.with(answer.missing));
    // The role itself comes last, and its statements are those that are told.
    match (answers.last(), entry) {
        (Some(last), _) if answers.iter().all(|answer| answer.outcome == Outcome::Allow) => {
            asked.note(last);
            Ok(())
        }
        (_, known) => {
            asked.missing = missing;
            Err(Refusal::denied(match known {
                Some(_) => AssumeReason::PolicyImplicitDeny,
                None => AssumeReason::UnknownRole,
            }))
        }
    }
}

/// Asks whether one action is allowed.
fn ask<'s>(
    call: &Call<'s>,
    set: &'s PolicySet,
    entry: Option<&'s PrincipalEntry>,
    action: &'s Action,
    sides: Sides,
) -> PolicyAnswer<'s> {
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
    let owner = Some(match sides {
        Sides::Both => NOBODYS_ACCOUNT,
        Sides::ByAccount => role.owner.as_str(),
    });
    evaluate(&Question { principal, action, resource, owner, context: &context }, &policies)
}

/// Whose grants an action needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sides {
    /// The role's and the caller's own, as across accounts.
    Both,
    /// As policies always count: across accounts both.
    ByAccount,
}

impl Call<'_> {
    /// What must be allowed, each of it: passing tags or a source identity is an action of its own,
    /// which a session needs its own permission for (facts: iam.md section 5.1).
    fn actions(&self) -> impl Iterator<Item = (Action, Sides)> {
        let assume = match self.web {
            None => "sts:AssumeRole",
            Some(_) => "sts:AssumeRoleWithWebIdentity",
        };
        let tags = (!self.checked.tags.is_empty()).then_some("sts:TagSession");
        let source = self.checked.source_identity.is_some().then_some("sts:SetSourceIdentity");
        let of_further = match self.checked.chaining {
            Chaining::Chained => Sides::Both,
            Chaining::First => Sides::ByAccount,
        };
        let further = [tags, source].into_iter().flatten().map(move |name| (name, of_further));
        let all = further.chain([(assume, Sides::ByAccount)]);
        all.filter_map(|(name, sides)| Some((Action::parse(name)?, sides)))
    }
}

/// The principal that trust policies name an issuer's identities by.
fn provider_principal<'a>(role: &RoleName<'_>, web: &'a WebClaims) -> Cow<'a, str> {
    let provider = &*web.provider;
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
        let refused = || malformed(AssumeReason::InvalidSourceIdentity, SOURCE_IDENTITY_CLAIM);
        let text = source.as_str().ok_or_else(refused)?;
        // Two that differ: the token's issuer and the caller can't both be right.
        if parameters.source_identity.as_deref().is_some_and(|own| own != text) {
            return Err(refused());
        }
        parameters.source_identity = Some(text.into());
    }
    if let Some(tags) = tags {
        let refused = || malformed(AssumeReason::InvalidTags, TAGS_CLAIM);
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

fn malformed(reason: AssumeReason, claim: &str) -> Refusal {
    Refusal::invalid(reason, format!("the token's claim `{claim}` is malformed"))
}

const TAGS_CLAIM: &str = "https://aws.amazon.com/tags";
const SOURCE_IDENTITY_CLAIM: &str = "https://aws.amazon.com/source_identity";

/// An account that no caller is of.
const NOBODYS_ACCOUNT: &str = "";

/// The longest ARN of a role: AWS's longest path and name take 577 characters of it. With a
/// session's name it is within what a claim may have.
const ROLE_BYTES_MAX: usize = 800;
