//! The decision: where the layers meet. Pure; every part of it comes from one snapshot.

use crate::clock::UnixSeconds;
use crate::iam::{Arn, AuthzRequest, Identity, IdentityType};
use crate::perimeter::{self, PerimeterVerdicts};
use crate::policy::request_context::{Known, RequestContext};
use crate::policy::set::{Asked, PolicySet, PolicySets};
use crate::policy::{
    Missing, Outcome, PolicyAnswer, PolicyLayer, Principal, PrincipalKind, Question, Resource,
    Side, Statements, evaluate,
};
use crate::route::Route;
use crate::snapshot::Snapshot;
use crate::verdict::{Decision, Layer, Mode, Reason, Verdict};

/// What all layers say to one request, borrowed from the snapshot and the request.
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct Evaluation<'s> {
    /// The account check; `None` for the owner's own identities.
    pub perimeter: Option<PerimeterVerdicts>,
    /// The policies; `None` where none are configured.
    pub policy: Option<PolicyVerdicts<'s>>,
}

/// What policies say to one request.
#[derive(Clone, Copy, Debug)]
pub struct PolicyVerdicts<'s> {
    /// By the policies in force.
    pub enforced: PolicyVerdict<'s>,
    /// By the proposed policies, where there are any; never enforced.
    pub candidate: Option<PolicyVerdict<'s>>,
}

/// What one set of policies says, and why.
#[derive(Clone, Copy, Debug)]
pub struct PolicyVerdict<'s> {
    /// What it says, in which mode.
    pub verdict: Verdict,
    /// The statements that decided and the sides that lack a grant.
    pub answer: PolicyAnswer<'s>,
}

/// Proof that a request may be forwarded. Only a decision makes one, and forwarding consumes it.
#[derive(Debug)]
#[must_use]
pub struct Permit(());

/// Decides a request: both layers, whatever the first one says. No I/O, no clock, no lock.
pub fn decide<'s>(
    snapshot: &'s Snapshot,
    identity: &'s Identity,
    request: &AuthzRequest<'s>,
    now: UnixSeconds,
) -> Evaluation<'s> {
    let policy = |sets| PolicyVerdicts::of(sets, identity, request, now);
    Evaluation {
        perimeter: perimeter::check(&snapshot.settings, request.owner, identity),
        policy: snapshot.policies.as_deref().map(policy),
    }
}

/// The principal that policies know a caller as. `None` if it is none that a policy could mean: a
/// text that names no principal, or one of another account than the token's.
pub fn principal(identity: &Identity) -> Option<Principal<'_>> {
    let text = &*identity.principal;
    let Some(arn) = Arn::parse(text) else {
        // Only the issuer's word makes a service; a name with a dot is not enough.
        let is_service = identity.identity_type == IdentityType::Service;
        return is_service.then(|| Principal::new(PrincipalKind::Service, text, None)).flatten();
    };
    // An identity provider vouches for its callers; it is none itself.
    let principal = Principal::of_arn(arn)?;
    let is_own = identity.account.is_some_and(|own| own.as_str() == arn.account());
    // Only the policies know which roles are a service's own; a token's text does not make one.
    is_own.then_some(Principal { service_linked: false, ..principal })
}

impl Evaluation<'_> {
    /// The permit, if nothing that is enforced denies the request.
    ///
    /// # Errors
    /// The first layer that denies it.
    pub fn permit(&self) -> Result<Permit, Layer> {
        let perimeter = self.perimeter.map(|verdicts| verdicts.enforced);
        let policy = self.policy.map(|verdicts| verdicts.enforced.verdict);
        match (perimeter, policy) {
            (Some(verdict), _) if verdict.rejects() => Err(Layer::Perimeter),
            (_, Some(verdict)) if verdict.rejects() => Err(Layer::Policy),
            (Some(_) | None, Some(_) | None) => Ok(Permit(())),
        }
    }
}

impl<'s> PolicyVerdicts<'s> {
    fn of(
        sets: &'s PolicySets,
        identity: &'s Identity,
        request: &AuthzRequest<'s>,
        now: UnixSeconds,
    ) -> Self {
        let principal = principal(identity);
        let answer = |set, mode| {
            let answer = match principal {
                Some(principal) => ask(set, identity, principal, request, now),
                None => no_principal(),
            };
            PolicyVerdict { verdict: verdict(answer.outcome, mode), answer }
        };
        Self {
            enforced: answer(&sets.enforced, sets.mode),
            candidate: sets.candidate.as_deref().map(|set| answer(set, Mode::Limited)),
        }
    }
}

/// Asks one set of policies.
fn ask<'s>(
    set: &'s PolicySet,
    identity: &'s Identity,
    principal: Principal<'s>,
    request: &AuthzRequest<'s>,
    now: UnixSeconds,
) -> PolicyAnswer<'s> {
    let resource = match (request.resource, Arn::parse(request.resource)) {
        ("*", _) => Resource::Any,
        (_, Some(arn)) => Resource::Named(arn),
        // INVARIANT: routes have no other resources.
        (_, None) => return no_principal(),
    };
    let AuthzRequest { action, key_action, owner, .. } = *request;
    let session = identity.session.as_deref();
    let asked = Asked { principal, action, resource, owner, key_action, session };
    let applicable = set.applicable(&asked);
    let known = Known::of(&applicable, set.organization.as_deref());
    let context = RequestContext::new(identity, principal, request, known, now);
    let owner = Some(owner.as_str());
    let question = Question { principal, action, resource, owner, context: &context };
    evaluate(&question, &applicable.policies)
}

fn verdict(outcome: Outcome, mode: Mode) -> Verdict {
    let (decision, reason) = match outcome {
        Outcome::Allow => (Decision::Permit, Reason::PolicyAllow),
        Outcome::ExplicitDeny => (Decision::Deny, Reason::PolicyExplicitDeny),
        Outcome::ImplicitDeny => (Decision::Deny, Reason::PolicyImplicitDeny),
    };
    Verdict { decision, reason, mode }
}

/// The permit of a public route, which asks no question; `None` for a protected one.
pub fn permit_public(route: &Route) -> Option<Permit> {
    route.question.is_none().then_some(Permit(()))
}

/// The answer to a caller that no policy could mean: nothing on its side grants.
fn no_principal() -> PolicyAnswer<'static> {
    let mut missing = Missing::default();
    missing.add(Side::CallerIdentity);
    PolicyAnswer {
        outcome: Outcome::ImplicitDeny,
        layer: PolicyLayer::Identity,
        statements: Statements::default(),
        missing,
    }
}

#[cfg(test)]
mod tests;
