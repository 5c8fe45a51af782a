//! One question's sides, and what they make together (facts: iam.md section 4).

use std::sync::Arc;

use super::LevelNames;
use super::step::Step;
use super::words::Words;
use crate::policy::combine::{Missing, PolicyLayer, Side};
use crate::policy::context::Context;
use crate::policy::evaluate::StatementRef;
use crate::policy::principal::{Principal, PrincipalKind, PrincipalMatch};
use crate::policy::question::{IdentitySide, Level, Policies, Question, Resource};
use crate::policy::statement::{CompiledPolicy, Effect};

/// One question, walked through.
#[derive(Clone, Debug)]
pub(super) struct Gated<'p> {
    form: Form,
    granting: Granting,
    /// What was asked, in the order in which sides are named.
    pub(super) steps: Vec<Step<'p>>,
    /// The sides that lack a grant, denials left aside.
    pub(super) missing: Missing,
    /// Each of them in words.
    pub(super) lacks: Vec<String>,
}

/// What kind of resource is asked for, which decides what its policy must say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// A KMS key: nothing counts that its policy does not let count.
    Key,
    /// The key that the resource is encrypted with.
    KeyOfResource,
    /// Any other resource.
    Ordinary,
    /// A role that is to be assumed: as with keys.
    Role,
}

/// Whose policies must agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Relation {
    /// Caller and resource belong to different accounts: both sides.
    CrossAccount,
    /// The caller has no policies of its own, or they are not known and do not count: the resource's
    /// policy must name it at least so, and what limits its session must allow.
    ResourceAlone(PrincipalMatch),
    /// Caller and resource belong to one account.
    SameAccount,
}

/// What each side says, denials left aside.
#[derive(Clone, Copy, Debug)]
struct Sides {
    resource: Option<PrincipalMatch>,
    identity: Grant,
    boundary: Grant,
    session: Grant,
}

/// Whether a side grants, as far as it has to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Grant {
    Given,
    Lacking,
}

/// Whose statements grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Granting {
    /// The resource's and the caller's own.
    Both,
    /// The caller's own.
    Identity,
    /// The resource's.
    Resource,
}

impl Form {
    /// What a question asks for.
    pub(super) fn of<C: ?Sized>(question: &Question<'_, C>) -> Self {
        let Resource::Named(arn) = question.resource else { return Self::Ordinary };
        let is = |service: &str, kind| {
            arn.service().eq_ignore_ascii_case(service) && arn.resource().starts_with(kind)
        };
        if is("kms", "key/") {
            Self::Key
        } else if question.action.service() == "sts" && is("iam", "role/") {
            Self::Role
        } else {
            Self::Ordinary
        }
    }

    /// The layer and side of the resource's policy.
    pub(super) fn layer_and_side(self) -> (PolicyLayer, Side) {
        match self {
            Self::Key | Self::KeyOfResource => (PolicyLayer::Key, Side::Key),
            Self::Ordinary => (PolicyLayer::Resource, Side::Resource),
            Self::Role => (PolicyLayer::Trust, Side::Trust),
        }
    }
}

impl Relation {
    fn of<C: Context + ?Sized>(question: &Question<'_, C>, identity: IdentitySide<'_>) -> Self {
        match question.principal.kind {
            PrincipalKind::Anonymous | PrincipalKind::Service | PrincipalKind::WebIdentity => {
                return Self::ResourceAlone(PrincipalMatch::Direct);
            }
            PrincipalKind::AssumedRole
            | PrincipalKind::FederatedUser
            | PrincipalKind::Role
            | PrincipalKind::Root
            | PrincipalKind::User => {}
        }
        match identity {
            IdentitySide::UnknownResourceDecides => Self::ResourceAlone(PrincipalMatch::Account),
            IdentitySide::Known(_) | IdentitySide::UnknownDenies => {
                if question.is_same_account() {
                    Self::SameAccount
                } else {
                    Self::CrossAccount
                }
            }
        }
    }
}

impl<'p> Gated<'p> {
    /// Asks all sides.
    pub(super) fn walk<C: Context + ?Sized>(
        form: Form,
        question: &Question<'_, C>,
        policies: &Policies<'p>,
        names: LevelNames<'_>,
    ) -> Self {
        let policies = applicable(&question.principal, policies);
        let relation = Relation::of(question, policies.identity);
        let mut steps = ask_all(form, question, &policies);
        let sides = Sides::of(form, question.principal.kind, &policies, &steps);
        let (granting, mut missing) = sides.combine(form, relation);
        let lacks_a_level = |layer| of_layer(&steps, layer).any(|step| !step.allows());
        for (layer, side) in [(PolicyLayer::Scp, Side::Scp), (PolicyLayer::Rcp, Side::Rcp)] {
            if lacks_a_level(layer) {
                missing.add(side);
            }
        }
        if policies.endpoint.is_some() && !allows(&steps, PolicyLayer::Endpoint) {
            missing.add(Side::Endpoint);
        }
        let words = Words::of(form, relation, question, &policies);
        words.label(&mut steps, names);
        let lacks = words.lacks(missing, &steps);
        Self { form, granting, steps, missing, lacks }
    }

    /// The statements that deny.
    pub(super) fn denials(&self) -> impl Iterator<Item = StatementRef<'p>> + '_ {
        self.steps.iter().flat_map(|step| step.matched(Effect::Deny)).map(|(denial, _)| denial)
    }

    /// The statements that grant, if nothing lacks: the resource's by the strongest way in which it
    /// names the caller, and the caller's own.
    pub(super) fn grants(&self) -> impl Iterator<Item = StatementRef<'p>> + '_ {
        let (layer, _) = self.form.layer_and_side();
        let (by_resource, by_identity) = match self.granting {
            Granting::Both => (true, true),
            Granting::Identity => (false, true),
            Granting::Resource => (true, false),
        };
        let of = |layer, counts: bool| {
            let allows = of_layer(&self.steps, layer).flat_map(|step| step.matched(Effect::Allow));
            allows.filter(move |_| counts)
        };
        let strongest = of(layer, true).map(|(_, how)| how).max();
        let resource = of(layer, by_resource).filter(move |(_, how)| Some(*how) == strongest);
        resource.chain(of(PolicyLayer::Identity, by_identity)).map(|(grant, _)| grant)
    }

    /// The layer that is told of an allow.
    pub(super) fn granting_layer(&self) -> PolicyLayer {
        match self.granting {
            Granting::Both | Granting::Resource => self.form.layer_and_side().0,
            Granting::Identity => PolicyLayer::Identity,
        }
    }

    /// The layer that is told of an implicit deny: the first that lacks a grant; of the key of a
    /// resource always the key.
    pub(super) fn lacking_layer(&self) -> PolicyLayer {
        let (resource, side) = self.form.layer_and_side();
        if self.form == Form::KeyOfResource {
            return resource;
        }
        let order = [
            (Side::Rcp, PolicyLayer::Rcp),
            (Side::Scp, PolicyLayer::Scp),
            (side, resource),
            (Side::CallerIdentity, PolicyLayer::Identity),
            (Side::Boundary, PolicyLayer::Boundary),
            (Side::Session, PolicyLayer::Session),
            (Side::Endpoint, PolicyLayer::Endpoint),
        ];
        let first = order.into_iter().find(|(side, _)| self.missing.has(*side));
        first.map_or(PolicyLayer::Identity, |(_, layer)| layer)
    }
}

/// The policies without those that do not apply to such a principal.
fn applicable<'p>(principal: &Principal<'_>, policies: &Policies<'p>) -> Policies<'p> {
    let mut policies = *policies;
    if principal.service_linked {
        (policies.scp, policies.rcp) = (&[], &[]);
    }
    match principal.kind {
        PrincipalKind::AssumedRole
        | PrincipalKind::FederatedUser
        | PrincipalKind::Role
        | PrincipalKind::User => policies,
        PrincipalKind::Root => without_own(&policies),
        PrincipalKind::Anonymous | PrincipalKind::Service | PrincipalKind::WebIdentity => {
            Policies { scp: &[], ..without_own(&policies) }
        }
    }
}

fn without_own<'p>(policies: &Policies<'p>) -> Policies<'p> {
    let identity = match policies.identity {
        IdentitySide::Known(_) => IdentitySide::Known(&[]),
        unknown @ (IdentitySide::UnknownDenies | IdentitySide::UnknownResourceDecides) => unknown,
    };
    Policies { identity, boundary: None, session: None, ..*policies }
}

/// All steps, in the order in which sides are named.
fn ask_all<'p, C: Context + ?Sized>(
    form: Form,
    question: &Question<'_, C>,
    policies: &Policies<'p>,
) -> Vec<Step<'p>> {
    let has_boundary = policies.boundary.is_some();
    let ask = |layer, asked| Step::of(layer, asked, question, has_boundary);
    let levels = |layer, levels: &'p [Level]| {
        levels.iter().map(move |level| ask(layer, refs(level))).collect::<Vec<_>>()
    };
    let mut steps = levels(PolicyLayer::Scp, policies.scp);
    steps.extend(levels(PolicyLayer::Rcp, policies.rcp));
    let resource = policies.resource.map(|policy| vec![policy]);
    steps.extend(resource.map(|policy| ask(form.layer_and_side().0, policy)));
    if let IdentitySide::Known(known) = policies.identity
        && !known.is_empty()
    {
        steps.push(ask(PolicyLayer::Identity, refs(known)));
    }
    for (layer, side) in [
        (PolicyLayer::Boundary, policies.boundary.map(refs)),
        (PolicyLayer::Session, policies.session.map(|side| side.iter().collect())),
        (PolicyLayer::Endpoint, policies.endpoint.map(refs)),
    ] {
        steps.extend(side.map(|side| ask(layer, side)));
    }
    steps
}

fn refs(policies: &[Arc<CompiledPolicy>]) -> Vec<&CompiledPolicy> {
    policies.iter().map(|policy| &**policy).collect()
}

fn of_layer<'s, 'p>(
    steps: &'s [Step<'p>],
    layer: PolicyLayer,
) -> impl Iterator<Item = &'s Step<'p>> {
    steps.iter().filter(move |step| step.layer == layer)
}

fn allows(steps: &[Step<'_>], layer: PolicyLayer) -> bool {
    of_layer(steps, layer).any(Step::allows)
}

impl Sides {
    fn of(form: Form, kind: PrincipalKind, policies: &Policies<'_>, steps: &[Step<'_>]) -> Self {
        let (layer, _) = form.layer_and_side();
        let given = |is: bool| if is { Grant::Given } else { Grant::Lacking };
        // The root user has all permissions that its account can give, if it is known. A federated user has those
        // that its session policy gives: none without one.
        let is_known_root =
            kind == PrincipalKind::Root && matches!(policies.identity, IdentitySide::Known(_));
        let identity = is_known_root || allows(steps, PolicyLayer::Identity);
        let is_unknown = matches!(policies.identity, IdentitySide::UnknownResourceDecides);
        let unlimited =
            policies.session.is_none() && (kind != PrincipalKind::FederatedUser || is_unknown);
        Self {
            resource: of_layer(steps, layer)
                .flat_map(|step| step.matched(Effect::Allow))
                .map(|(_, how)| how)
                .max(),
            identity: given(identity),
            boundary: given(policies.boundary.is_none() || allows(steps, PolicyLayer::Boundary)),
            session: given(unlimited || allows(steps, PolicyLayer::Session)),
        }
    }

    /// Who grants, and which sides lack a grant; none: it is allowed as far as these sides go.
    fn combine(self, form: Form, relation: Relation) -> (Granting, Missing) {
        let (_, resource_side) = form.layer_and_side();
        let mut missing = Missing::default();
        let granting = match relation {
            Relation::ResourceAlone(weakest) => {
                if self.resource.is_none_or(|how| how < weakest) {
                    missing.add(resource_side);
                } else {
                    // What limits a session is in its token.
                    missing = self.limits();
                }
                Granting::Resource
            }
            Relation::CrossAccount => {
                if self.resource.is_none() {
                    missing.add(resource_side);
                }
                missing = missing.with(self.own()).with(self.limits());
                Granting::Both
            }
            Relation::SameAccount => match (self.resource, form) {
                (Some(PrincipalMatch::Direct), _) => Granting::Resource,
                (Some(PrincipalMatch::Session), _) => {
                    missing = self.limits();
                    Granting::Resource
                }
                (None, Form::Key | Form::KeyOfResource | Form::Role) => {
                    missing.add(resource_side);
                    Granting::Identity
                }
                (None, Form::Ordinary) | (Some(PrincipalMatch::Account), _) => {
                    missing = self.own().with(self.limits());
                    Granting::Identity
                }
            },
        };
        (granting, missing)
    }

    fn own(self) -> Missing {
        lacking([(self.identity, Side::CallerIdentity)])
    }

    fn limits(self) -> Missing {
        lacking([(self.boundary, Side::Boundary), (self.session, Side::Session)])
    }
}

fn lacking<const N: usize>(sides: [(Grant, Side); N]) -> Missing {
    let mut missing = Missing::default();
    for (grant, side) in sides {
        if grant == Grant::Lacking {
            missing.add(side);
        }
    }
    missing
}
