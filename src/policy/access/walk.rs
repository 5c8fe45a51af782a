//! One decision without a request: the sides of facts: iam.md section 4, conditions assumed.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;
use std::sync::Arc;

use foldhash::fast::FixedState;

use crate::iam::{AccountId, Arn};
use crate::policy::access::caller::{Caller, Known, Never};
use crate::policy::access::candidates::{Candidate, Identity};
use crate::policy::access::grant::{Certainty, Granted, add};
use crate::policy::access::side::Side;
use crate::policy::combine::{self, Missing, PolicyLayer};
use crate::policy::document::Negated;
use crate::policy::evaluate::StatementRef;
use crate::policy::principal::{Principal, PrincipalMatch};
use crate::policy::question::Level;
use crate::policy::set::{PolicySet, ResourceEntry};
use crate::policy::shape::{Fit, Shape, Shapes};
use crate::policy::statement::{CompiledPolicy, CompiledStatement, Effect};

/// A set, and what was found out of its policies so far.
pub(in crate::policy) struct Walk<'s> {
    set: &'s PolicySet,
    // By policy and resource: policies are shared by many principals.
    relevant: RefCell<HashMap<PolicyOnResource, Rc<[Relevant<'s>]>, FixedState>>,
}

/// A policy by its place in memory, and a resource by its ARN.
type PolicyOnResource = (*const CompiledPolicy, String);

/// A resource, and what its owner's account says of it.
pub(in crate::policy) struct Target<'s, 'a> {
    arn: Arn<'a>,
    owner: AccountId,
    shape: Shape,
    entry: Option<&'s ResourceEntry>,
    /// A role's trust policy, which decides on actions of `sts`.
    trust: Option<&'s CompiledPolicy>,
    /// A key's policy.
    key_policy: Option<&'s CompiledPolicy>,
    /// The key that the resource is encrypted with.
    key: Option<Box<Target<'s, 's>>>,
}

/// A statement that means a resource.
struct Relevant<'s> {
    statement: &'s CompiledStatement,
    actions: Shapes,
    resource: Certainty,
}

/// A policy in its role.
type Placed<'s> = (PolicyLayer, &'s CompiledPolicy);

/// Everything that applies to one question.
struct Applicable<'s> {
    resource: Option<Placed<'s>>,
    identity: Vec<Placed<'s>>,
    boundary: Option<Vec<Placed<'s>>>,
    levels: Vec<(PolicyLayer, Vec<Placed<'s>>)>,
}

/// Why somebody whom a resource's own policy lets in can't do an action all the same.
#[derive(Clone, Debug)]
pub(super) struct Obstacle<'s> {
    /// The statements that let it in.
    pub(super) named: Vec<StatementRef<'s>>,
    /// What these ask for and the caller never has, if that leaves none of them.
    pub(super) never: Vec<Never>,
    /// The caller's own sides that lack a grant.
    pub(super) missing: Missing,
    /// The levels of the organization that lack one, each counted from its root.
    pub(super) levels: Vec<(PolicyLayer, usize)>,
    /// The statements that deny in any case.
    pub(super) denied: Vec<StatementRef<'s>>,
}

impl<'s, 'a> Target<'s, 'a> {
    pub(in crate::policy) fn of(set: &'s PolicySet, arn: Arn<'a>, owner: AccountId) -> Self {
        let entry = set.resource(owner, arn);
        let key = entry.and_then(|it| Arn::parse(it.key.as_deref()?)).and_then(|key| {
            let owner = AccountId::parse(key.account()).ok()?;
            // A key is encrypted with no other key, whatever pattern it falls under.
            Some(Box::new(Target::keyed(set, key, owner, None)))
        });
        Self::keyed(set, arn, owner, key.filter(|_| !arn.is_key()))
    }

    fn keyed(
        set: &'s PolicySet,
        arn: Arn<'a>,
        owner: AccountId,
        key: Option<Box<Target<'s, 's>>>,
    ) -> Self {
        let entry = set.resource(owner, arn);
        Self {
            arn,
            owner,
            shape: Shape::resource(arn.as_str()),
            entry,
            trust: set.role(arn).and_then(|it| it.trust.as_deref()),
            key_policy: set.key(arn).map(|it| &*it.policy),
            key,
        }
    }

    pub(super) fn owner_text(&self) -> &str {
        self.owner.as_str()
    }

    /// All policies of the resource itself.
    pub(super) fn policies(&self) -> impl Iterator<Item = &'s CompiledPolicy> + use<'s> {
        [self.trust, self.plain_policy()].into_iter().flatten()
    }

    /// Whether the resource is listed, as a resource, role or key.
    pub(super) fn is_listed(&self) -> bool {
        self.entry.is_some() || self.trust.is_some() || self.key_policy.is_some()
    }

    fn plain_policy(&self) -> Option<&'s CompiledPolicy> {
        if self.arn.is_key() {
            return self.key_policy;
        }
        self.entry.and_then(|it| it.policy.as_deref())
    }

    /// The policy for an action. Of a role's trust and a key, an account's own policies count only
    /// if it lets them.
    fn policy(&self, action: &Shape) -> (Option<Placed<'s>>, Delegation) {
        let is_sts = action.literal(0).is_some_and(|service| service == "sts");
        if is_sts && self.arn.is_role() {
            (self.trust.map(|it| (PolicyLayer::Trust, it)), Delegation::Needed)
        } else if self.arn.is_key() {
            (self.key_policy.map(|it| (PolicyLayer::Key, it)), Delegation::Needed)
        } else {
            (self.plain_policy().map(|it| (PolicyLayer::Resource, it)), Delegation::Implied)
        }
    }

    /// The services whose actions are asked for.
    fn services(&self) -> BTreeSet<String> {
        let of_policies = self.policies().flat_map(|it| &it.statements).flat_map(|it| {
            it.actions.patterns.iter().filter_map(|pattern| Shape::from(pattern).literal(0))
        });
        std::iter::once(self.arn.service().to_ascii_lowercase()).chain(of_policies).collect()
    }
}

/// Whether an account's own policies count for its own resources.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Delegation {
    /// Always.
    Implied,
    /// If the resource's policy names the account.
    Needed,
}

impl<'s> Walk<'s> {
    pub(in crate::policy) fn new(set: &'s PolicySet) -> Self {
        Self { set, relevant: RefCell::default() }
    }

    pub(super) fn set(&self) -> &'s PolicySet {
        self.set
    }

    /// The actions to ask for: those of all statements that apply.
    pub(super) fn universe(
        &self,
        target: &Target<'s, '_>,
        candidate: &Candidate<'s>,
    ) -> Vec<Shape> {
        let Some(principal) = candidate.principal() else { return Vec::new() };
        let services = target.services();
        let wide = || services.iter().map(|service| Shape::service(service));
        let mut found: Vec<Shape> = Vec::new();
        let applicable = self.applicable(target, candidate, &principal, None);
        let policies = applicable.all().map(|(_, policy)| policy).chain(target.trust);
        for policy in policies {
            for it in self.relevant(policy, target).iter() {
                let shapes = &it.actions.shapes;
                let all = it.actions.negated == Negated::Yes || shapes.contains(&Shape::Everything);
                let listed = shapes.iter().filter(|shape| {
                    shape.literal(0).is_some_and(|service| services.contains(&service))
                });
                match (it.statement.effect, all) {
                    (Effect::Deny, _) => {}
                    (Effect::Allow, true) => found.extend(wide()),
                    (Effect::Allow, false) => found.extend(listed.cloned()),
                }
            }
        }
        let mut unique: Vec<Shape> = Vec::with_capacity(found.len());
        for shape in found {
            if !unique.contains(&shape) {
                unique.push(shape);
            }
        }
        unique
    }

    /// Whether a candidate can do an action, through the resource's key too.
    pub(super) fn decide(
        &self,
        target: &Target<'s, '_>,
        candidate: &Candidate<'s>,
        action: &Shape,
    ) -> Option<Granted<'s>> {
        let own = self.decide_alone(target, candidate, action)?;
        let Some(key) = &target.key else { return Some(own) };
        let by_key = KEY_ACTIONS
            .iter()
            .filter_map(|action| self.decide_alone(key, candidate, &Shape::action(action)))
            .max_by_key(|it| it.certainty)?;
        Some(both(own, &by_key))
    }

    /// Why a candidate can't do an action that the resource's own policy lets it do; `None` where
    /// that does not mean it.
    pub(super) fn obstacle(
        &self,
        target: &Target<'s, '_>,
        candidate: &Candidate<'s>,
        action: &Shape,
    ) -> Option<Obstacle<'s>> {
        let principal = candidate.principal()?;
        let applicable = self.applicable(target, candidate, &principal, Some(action));
        let has_boundary = applicable.boundary.is_some();
        let caller = Caller::of(&principal);
        let asked =
            Asked { walk: self, target, action, principal: &principal, has_boundary, caller };
        let resource = applicable.resource.as_slice();
        let by_name = Asked { caller: Caller::Any, ..asked };
        let is_never = asked.side(resource, |_| true).is_empty();
        let letting = if is_never { &by_name } else { &asked };
        let named = letting.side(resource, |_| true).granted(Vec::new())?.statements;
        let mut never: Vec<Never> = Vec::new();
        for it in named.iter().filter(|_| is_never).flat_map(|it| caller.lacks(it.statement)) {
            if !never.contains(&it) {
                never.push(it);
            }
        }
        let is_meant = |how| !letting.side(resource, |it| it == how).is_empty();
        let is_own = principal.account == Some(target.owner_text());
        let (own_policies, limits) = match (principal.account, is_own) {
            (None, _) => (false, false),
            (Some(_), false) => (true, true),
            (Some(_), true) if is_meant(PrincipalMatch::Direct) => (false, false),
            (Some(_), true) => (!is_meant(PrincipalMatch::Session), true),
        };
        let lacks = |policies: &[Placed<'s>]| asked.side(policies, |_| true).is_empty();
        let mut missing = Missing::default();
        if own_policies && candidate.identity != Identity::Unknown && lacks(&applicable.identity) {
            missing.add(combine::Side::CallerIdentity);
        }
        if limits && applicable.boundary.as_ref().is_some_and(|it| lacks(it)) {
            missing.add(combine::Side::Boundary);
        }
        let of_layer = |layer| applicable.levels.iter().filter(move |(it, _)| *it == layer);
        let levels = [PolicyLayer::Scp, PolicyLayer::Rcp].into_iter().flat_map(|layer| {
            let lacking = of_layer(layer).enumerate().filter(|(_, (_, level))| lacks(level));
            lacking.map(move |(index, _)| (layer, index)).collect::<Vec<_>>()
        });
        let levels = levels.collect();
        let denied = asked.certain_denials(&applicable);
        Some(Obstacle { named, never, missing, levels, denied })
    }

    /// Whether a candidate's own policies allow an action, whatever else does not.
    pub(super) fn caller_allows(
        &self,
        target: &Target<'s, '_>,
        candidate: &Candidate<'s>,
        action: &Shape,
    ) -> bool {
        let Some(principal) = candidate.principal() else { return false };
        let identity = self.applicable(target, candidate, &principal, Some(action)).identity;
        let (has_boundary, caller) = (false, Caller::of(&principal));
        let asked =
            Asked { walk: self, target, action, principal: &principal, has_boundary, caller };
        candidate.identity == Identity::Unknown || !asked.side(&identity, |_| true).is_empty()
    }

    fn decide_alone(
        &self,
        target: &Target<'s, '_>,
        candidate: &Candidate<'s>,
        action: &Shape,
    ) -> Option<Granted<'s>> {
        let principal = candidate.principal()?;
        let (_, delegation) = target.policy(action);
        let applicable = self.applicable(target, candidate, &principal, Some(action));
        let asked = Asked {
            walk: self,
            target,
            action,
            principal: &principal,
            has_boundary: applicable.boundary.is_some(),
            caller: Caller::of(&principal),
        };
        let own = asked.side(applicable.resource.as_slice(), |_| true);
        if own.is_empty() && delegation == Delegation::Needed {
            return None;
        }
        let mut granted = asked.sides(&applicable, own, delegation, candidate.identity)?;
        let unless = asked.denials(&applicable, &mut granted)?;
        granted.granted(unless)
    }

    /// All policies that apply; those of roles and keys only for an action of theirs.
    fn applicable(
        &self,
        target: &Target<'s, '_>,
        candidate: &Candidate<'s>,
        principal: &Principal<'_>,
        action: Option<&Shape>,
    ) -> Applicable<'s> {
        let placed = |layer, list: &'s [Arc<CompiledPolicy>]| {
            list.iter().map(|it| (layer, &**it)).collect::<Vec<Placed<'s>>>()
        };
        let plain = || target.plain_policy().map(|it| (PolicyLayer::Resource, it));
        Applicable {
            resource: action.map_or_else(plain, |it| target.policy(it).0),
            identity: candidate
                .entry
                .map(|it| placed(PolicyLayer::Identity, &it.policies))
                .unwrap_or_default(),
            boundary: candidate
                .entry
                .and_then(|it| it.boundary.as_ref())
                .map(|it| placed(PolicyLayer::Boundary, it)),
            levels: self.levels(target.owner, principal, placed),
        }
    }

    fn levels(
        &self,
        owner: AccountId,
        principal: &Principal<'_>,
        placed: impl Fn(PolicyLayer, &'s [Arc<CompiledPolicy>]) -> Vec<Placed<'s>>,
    ) -> Vec<(PolicyLayer, Vec<Placed<'s>>)> {
        let Some(organization) = self.set.organization.as_deref() else { return Vec::new() };
        if principal.service_linked {
            return Vec::new();
        }
        let account = principal.account.and_then(|it| AccountId::parse(it).ok());
        let scp: &'s [Level] = account.map_or(&[], |it| organization.scp(it));
        let rcp: &'s [Level] = organization.rcp(owner);
        let of = |layer, level: &'s Level| (layer, placed(layer, level));
        let scp = scp.iter().map(|level| of(PolicyLayer::Scp, level));
        scp.chain(rcp.iter().map(|level| of(PolicyLayer::Rcp, level))).collect()
    }

    /// The statements of a policy that mean a resource.
    fn relevant(&self, policy: &'s CompiledPolicy, target: &Target<'s, '_>) -> Rc<[Relevant<'s>]> {
        let key = (std::ptr::from_ref(policy), target.arn.as_str().to_owned());
        if let Some(known) = self.relevant.borrow().get(&key) {
            return Rc::clone(known);
        }
        let relevant: Rc<[Relevant<'s>]> =
            policy.statements.iter().filter_map(|it| Relevant::of(it, &target.shape)).collect();
        self.relevant.borrow_mut().insert(key, Rc::clone(&relevant));
        relevant
    }
}

impl<'s> Relevant<'s> {
    fn of(statement: &'s CompiledStatement, resource: &Shape) -> Option<Self> {
        let resource = match &statement.resources {
            None => Certainty::Always,
            Some(resources) => match Shapes::from(resources).fit(resource) {
                Fit::Nothing => return None,
                // One resource fits a pattern in part only where a variable decides.
                Fit::Part => Certainty::Conditional,
                Fit::Whole => Certainty::Always,
            },
        };
        Some(Self { statement, actions: Shapes::from(&statement.actions), resource })
    }

    /// How surely the statement means an action of a caller.
    fn certainty(&self, action: &Shape, caller: Caller) -> Option<Certainty> {
        let by_itself = self.by_itself(caller)?;
        match self.actions.fit(action) {
            Fit::Nothing => None,
            Fit::Part => Some(Certainty::Partly),
            Fit::Whole => Some(by_itself),
        }
    }

    /// How surely the statement applies to the actions that it means.
    fn by_itself(&self, caller: Caller) -> Option<Certainty> {
        match caller.known(self.statement) {
            Known::Holds => Some(self.resource),
            Known::Open => Some(self.resource.min(Certainty::Conditional)),
            Known::Fails => None,
        }
    }
}

/// One principal, one action, one resource.
#[derive(Clone, Copy)]
struct Asked<'w, 's, 'a> {
    walk: &'w Walk<'s>,
    target: &'w Target<'s, 'a>,
    action: &'w Shape,
    principal: &'w Principal<'w>,
    has_boundary: bool,
    caller: Caller,
}

impl<'s> Asked<'_, 's, '_> {
    /// What policies together allow, by the matches of their principals that count.
    fn side(&self, policies: &[Placed<'s>], counts: impl Fn(PrincipalMatch) -> bool) -> Side<'s> {
        let mut side = Side::default();
        for (layer, policy) in policies {
            for it in self.walk.relevant(policy, self.target).iter() {
                let is_meant = it.statement.effect == Effect::Allow
                    && self.principal_match(*layer, it.statement).is_some_and(&counts);
                let Some(certainty) = it.certainty(self.action, self.caller).filter(|_| is_meant)
                else {
                    continue;
                };
                let statement = StatementRef { policy, statement: it.statement, layer: *layer };
                side.grant(certainty, &it.actions, self.action, statement);
            }
        }
        side
    }

    fn principal_match(
        &self,
        layer: PolicyLayer,
        statement: &CompiledStatement,
    ) -> Option<PrincipalMatch> {
        match (&statement.principals, layer) {
            (Some(principals), _) => {
                principals.matches(self.principal, statement.effect, self.has_boundary)
            }
            (None, PolicyLayer::Identity | PolicyLayer::Boundary | PolicyLayer::Scp) => {
                Some(PrincipalMatch::Direct)
            }
            (None, _) => None,
        }
    }

    /// Every way in which the sides that must grant do.
    fn sides(
        &self,
        applicable: &Applicable<'s>,
        own: Side<'s>,
        delegation: Delegation,
        identity: Identity,
    ) -> Option<Side<'s>> {
        let resource = applicable.resource.as_slice();
        let direct = || self.side(resource, |it| it == PrincipalMatch::Direct);
        let session = || self.side(resource, |it| it == PrincipalMatch::Session);
        let boundary = || match &applicable.boundary {
            None => Side::open(),
            Some(policies) => self.side(policies, |_| true),
        };
        let caller = || match identity {
            Identity::Unknown => Side::open(),
            Identity::Known | Identity::NoneAtAll => self.side(&applicable.identity, |_| true),
        };
        let is_own = self.principal.account == Some(self.target.owner_text());
        let ways = match (self.principal.account, is_own, delegation) {
            (None, ..) => vec![Side::all([direct()])],
            (Some(_), false, _) => vec![Side::all([own, caller(), boundary()])],
            (Some(_), true, Delegation::Implied) => vec![
                Side::all([direct()]),
                Side::all([session(), boundary()]),
                Side::all([caller(), boundary()]),
            ],
            (Some(_), true, Delegation::Needed) => vec![
                Side::all([direct()]),
                Side::all([session(), boundary()]),
                Side::all([own, caller(), boundary()]),
            ],
        };
        let any = Side::any(ways.into_iter().flatten())?;
        let levels = applicable.levels.iter().map(|(_, level)| self.side(level, |_| true));
        Side::all(std::iter::once(any).chain(levels))
    }

    /// The statements that may deny; `None` if one denies in any case. What one denies in any case
    /// of what is granted in part is taken away.
    fn denials(
        &self,
        applicable: &Applicable<'s>,
        granted: &mut Side<'s>,
    ) -> Option<Vec<StatementRef<'s>>> {
        let mut unless = Vec::new();
        for (layer, policy) in applicable.all() {
            for it in self.walk.relevant(policy, self.target).iter() {
                let statement = it.statement;
                let is_meant = statement.effect == Effect::Deny
                    && self.principal_match(layer, statement).is_some();
                match it.certainty(self.action, self.caller).filter(|_| is_meant) {
                    None => {}
                    Some(Certainty::Always) => return None,
                    Some(Certainty::Conditional | Certainty::Partly) => {
                        if it.by_itself(self.caller) == Some(Certainty::Always) {
                            granted.deny(&it.actions);
                        }
                        unless.push(StatementRef { policy, statement, layer });
                    }
                }
            }
        }
        Some(unless)
    }
}

impl<'s> Asked<'_, 's, '_> {
    /// The statements that deny in any case.
    fn certain_denials(&self, applicable: &Applicable<'s>) -> Vec<StatementRef<'s>> {
        let mut denied = Vec::new();
        for (layer, policy) in applicable.all() {
            for it in self.walk.relevant(policy, self.target).iter() {
                let statement = it.statement;
                let is_meant = statement.effect == Effect::Deny
                    && self.principal_match(layer, statement).is_some();
                if is_meant && it.certainty(self.action, self.caller) == Some(Certainty::Always) {
                    add(&mut denied, &[StatementRef { policy, statement, layer }]);
                }
            }
        }
        denied
    }
}

impl<'s> Applicable<'s> {
    fn all(&self) -> impl Iterator<Item = Placed<'s>> + '_ {
        let boundary = self.boundary.iter().flatten();
        let levels = self.levels.iter().flat_map(|(_, level)| level);
        self.resource.iter().chain(&self.identity).chain(boundary).chain(levels).copied()
    }
}

/// What needs both.
fn both<'s>(mut own: Granted<'s>, key: &Granted<'s>) -> Granted<'s> {
    own.certainty = own.certainty.min(key.certainty);
    add(&mut own.statements, &key.statements);
    add(&mut own.unless, &key.unless);
    own
}

/// Whether an identity policy of the set names a resource by more than `*`.
pub(super) fn is_named(set: &PolicySet, resource: Arn<'_>) -> bool {
    let asked = Shape::resource(resource.as_str());
    let names = |statement: &CompiledStatement| {
        statement.resources.as_ref().is_some_and(|it| {
            let mut shapes = it.patterns.iter().map(Shape::from);
            it.negated == Negated::No
                && shapes.any(|shape| shape != Shape::Everything && shape.overlaps(&asked))
        })
    };
    let accounts = set.accounts.values();
    let policies = accounts.flat_map(|it| it.principals()).flat_map(|it| &it.policies);
    policies.flat_map(|it| &it.statements).any(names)
}

/// What is done with keys: one of them is enough to make use of a resource.
const KEY_ACTIONS: [&str; 3] = ["kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey"];
