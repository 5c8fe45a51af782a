//! The compiled evaluator: no I/O, no clock, no lock, no allocation.
//!
//! Every policy that applies is asked, in one fixed order, so that an answer names all that denies.
//! What the sides make together is decided in `combine`.

use std::sync::Arc;

use crate::iam::Action;
use crate::policy::combine::{self, Granted, Missing, Outcome, PolicyLayer, ResourceSide, Sides};
use crate::policy::context::{Context, KeyContext};
use crate::policy::document::PolicyType;
use crate::policy::principal::{PrincipalKind, PrincipalMatch};
use crate::policy::question::{
    IdentitySide, KeyGate, Level, Policies, Question, Resource, SessionSide,
};
use crate::policy::statement::{CompiledPolicy, CompiledStatement, Effect};

/// What policies say to one question.
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct PolicyAnswer<'p> {
    /// Allow, explicit or implicit deny.
    pub outcome: Outcome,
    /// The policies that decided.
    pub layer: PolicyLayer,
    /// The statements that decided: those that deny, or those that grant; none for an implicit
    /// deny.
    pub statements: Statements<'p>,
    /// The sides that lack a grant, of an implicit deny.
    pub missing: Missing,
}

/// A statement of a policy.
#[derive(Clone, Copy, Debug)]
pub struct StatementRef<'p> {
    /// The policy.
    pub policy: &'p CompiledPolicy,
    /// The statement.
    pub statement: &'p CompiledStatement,
    /// In which role the policy was asked.
    pub layer: PolicyLayer,
}

/// The first few statements that decided, in the order in which policies are asked.
#[derive(Clone, Copy, Debug, Default)]
pub struct Statements<'p> {
    list: [Option<StatementRef<'p>>; STATEMENTS_MAX],
    len: usize,
}

/// As many statements as an answer names.
pub const STATEMENTS_MAX: usize = 8;

/// Answers a question by the policies that apply to it.
///
/// About as many steps as statements name the action; see [`crate::policy`] for the cost.
pub fn evaluate<'p, C: Context + ?Sized>(
    question: &Question<'_, C>,
    policies: &Policies<'p>,
) -> PolicyAnswer<'p> {
    if is_always_allowed(question) {
        return PolicyAnswer {
            outcome: Outcome::Allow,
            layer: PolicyLayer::Identity,
            statements: Statements::default(),
            missing: Missing::default(),
        };
    }
    let own = ask(question, policies, ResourceSide::of(question.action, question.resource));
    match &policies.key {
        None => own,
        Some(gate) => both(own, ask_key(question, policies, gate)),
    }
}

/// Nothing is needed to ask who one is, and nothing can deny it (facts: iam.md section 5.1).
pub(crate) fn is_always_allowed<C: ?Sized>(question: &Question<'_, C>) -> bool {
    question.action.service() == "sts"
        && matches!(question.action.name(), "getcalleridentity" | "getsessiontoken")
        && !matches!(question.principal.kind, PrincipalKind::Anonymous | PrincipalKind::WebIdentity)
}

/// The question that the key is asked: the same principal, the key's action, the key's account.
fn ask_key<'p, C: Context + ?Sized>(
    question: &Question<'_, C>,
    policies: &Policies<'p>,
    gate: &KeyGate<'p>,
) -> PolicyAnswer<'p> {
    let owner = question.owner.or(question.principal.account);
    let context = KeyContext { request: question.context, account: gate.account };
    let key_question = Question {
        principal: question.principal,
        action: gate.action,
        resource: Resource::Named(gate.arn),
        owner: Some(gate.account),
        context: &context,
    };
    let key_policies = Policies {
        resource: gate.policy,
        rcp: if owner == Some(gate.account) { policies.rcp } else { gate.rcp },
        endpoint: None,
        key: None,
        ..*policies
    };
    ask(&key_question, &key_policies, ResourceSide::Key)
}

/// The worse of the resource's and its key's answer; where both allow, both sets of grants.
fn both<'p>(own: PolicyAnswer<'p>, key: PolicyAnswer<'p>) -> PolicyAnswer<'p> {
    let mut answer = own;
    match (own.outcome, key.outcome) {
        (Outcome::Allow, Outcome::Allow) | (Outcome::ExplicitDeny, Outcome::ExplicitDeny) => {
            key.statements.iter().for_each(|statement| answer.statements.push(statement));
        }
        (Outcome::ExplicitDeny, _) | (Outcome::ImplicitDeny, Outcome::Allow) => {}
        (_, Outcome::ExplicitDeny) => answer = key,
        (Outcome::ImplicitDeny, Outcome::ImplicitDeny) => {
            answer.missing = own.missing.with(key.missing);
        }
        (Outcome::Allow, Outcome::ImplicitDeny) => {
            answer = PolicyAnswer { layer: PolicyLayer::Key, ..key };
        }
    }
    answer
}

/// Asks all that applies to one question, without its key.
fn ask<'p, C: Context + ?Sized>(
    question: &Question<'_, C>,
    policies: &Policies<'p>,
    resource_side: ResourceSide,
) -> PolicyAnswer<'p> {
    let principal = &question.principal;
    let has_own_policies = principal.kind.has_own_policies();
    let boundary = policies.boundary.filter(|_| has_own_policies && !principal.is_root());
    let mut poll =
        Poll { question, has_boundary: boundary.is_some(), denies: Statements::default() };

    let is_guarded = !principal.service_linked;
    let scp = !is_guarded || !has_own_policies || poll.levels(policies.scp, PolicyLayer::Scp);
    let rcp = !is_guarded || poll.levels(policies.rcp, PolicyLayer::Rcp);
    let resource = poll.resource(policies.resource, resource_side.layer());
    let mut sides = Sides {
        scp,
        rcp,
        resource: resource.strongest,
        identity: false,
        boundary: true,
        session: true,
        endpoint: true,
    };
    let mut identity = Statements::default();
    if has_own_policies {
        match policies.identity {
            IdentitySide::Known(_) if principal.is_root() => sides.identity = true,
            IdentitySide::Known(list) => {
                sides.identity = poll.grants(list, PolicyLayer::Identity, &mut identity);
            }
            IdentitySide::UnknownDenies | IdentitySide::UnknownResourceDecides => {}
        }
        sides.boundary = poll.limit(boundary.map(refs), PolicyLayer::Boundary);
        let session = policies.session.filter(|_| !principal.is_root());
        // Facts, section 4.2: a federated user has what its session policy grants, and no more.
        let lacks_session = session.is_none()
            && principal.kind == PrincipalKind::FederatedUser
            && !matches!(policies.identity, IdentitySide::UnknownResourceDecides);
        let side = session.map(SessionSide::iter);
        sides.session = poll.limit(side, PolicyLayer::Session) && !lacks_session;
    }
    sides.endpoint = poll.limit(policies.endpoint.map(refs), PolicyLayer::Endpoint);

    if let Some(first) = poll.denies.first() {
        return PolicyAnswer {
            outcome: Outcome::ExplicitDeny,
            layer: first.layer,
            statements: poll.denies,
            missing: Missing::default(),
        };
    }
    let who = combine::Who::of(question, policies);
    answer(combine::combine(who, resource_side, sides), resource_side, &resource, &identity)
}

/// The answer where nothing denies, with the statements of the sides that granted.
fn answer<'p>(
    combined: Result<Granted, (PolicyLayer, Missing)>,
    resource_side: ResourceSide,
    resource: &ResourceGrants<'p>,
    identity: &Statements<'p>,
) -> PolicyAnswer<'p> {
    let (layer, statements) = match combined {
        Err((layer, missing)) => {
            let statements = Statements::default();
            return PolicyAnswer { outcome: Outcome::ImplicitDeny, layer, statements, missing };
        }
        Ok(Granted::Identity) => (PolicyLayer::Identity, *identity),
        Ok(Granted::Resource) => (resource_side.layer(), resource.statements),
        Ok(Granted::Both) => (resource_side.layer(), resource.statements.followed_by(identity)),
    };
    PolicyAnswer { outcome: Outcome::Allow, layer, statements, missing: Missing::default() }
}

/// Asks policies one after the other and keeps what denies.
struct Poll<'q, 'a, 'p, C: ?Sized> {
    question: &'q Question<'a, C>,
    has_boundary: bool,
    denies: Statements<'p>,
}

fn refs(policies: &[Arc<CompiledPolicy>]) -> impl Iterator<Item = &CompiledPolicy> {
    policies.iter().map(|policy| &**policy)
}

/// The resource's grants of the strongest kind.
#[derive(Default)]
struct ResourceGrants<'p> {
    strongest: Option<PrincipalMatch>,
    statements: Statements<'p>,
}

impl<'p, C: Context + ?Sized> Poll<'_, '_, 'p, C> {
    /// Whether every level allows. All are asked, since any of them may deny.
    fn levels(&mut self, levels: &'p [Level], layer: PolicyLayer) -> bool {
        levels.iter().filter(|level| !self.allows(refs(level), layer)).count() == 0
    }

    /// Whether what limits, if anything does, allows.
    fn limit(
        &mut self,
        policies: Option<impl Iterator<Item = &'p CompiledPolicy>>,
        layer: PolicyLayer,
    ) -> bool {
        policies.is_none_or(|list| self.allows(list, layer))
    }

    fn allows(
        &mut self,
        policies: impl Iterator<Item = &'p CompiledPolicy>,
        layer: PolicyLayer,
    ) -> bool {
        let mut allowed = false;
        for policy in policies {
            self.visit(policy, layer, |_, _| allowed = true);
        }
        allowed
    }

    fn grants(
        &mut self,
        policies: &'p [Arc<CompiledPolicy>],
        layer: PolicyLayer,
        grants: &mut Statements<'p>,
    ) -> bool {
        for policy in policies {
            self.visit(policy, layer, |statement, _| grants.push(statement));
        }
        !grants.is_empty()
    }

    fn resource(
        &mut self,
        policy: Option<&'p CompiledPolicy>,
        layer: PolicyLayer,
    ) -> ResourceGrants<'p> {
        let mut grants = ResourceGrants::default();
        let Some(policy) = policy else { return grants };
        self.visit(policy, layer, |statement, how| {
            if grants.strongest < Some(how) {
                grants.statements = Statements::default();
                grants.strongest = Some(how);
            }
            if grants.strongest == Some(how) {
                grants.statements.push(statement);
            }
        });
        grants
    }

    /// Finds the statements of a policy that match; what denies is kept, what allows is told.
    fn visit(
        &mut self,
        policy: &'p CompiledPolicy,
        layer: PolicyLayer,
        mut allow: impl FnMut(StatementRef<'p>, PrincipalMatch),
    ) {
        let mut on_candidate = |statement: &'p CompiledStatement| {
            let Some(how) = statement.matches(self.question, self.has_boundary) else { return };
            let found = StatementRef { policy, statement, layer };
            match statement.effect {
                Effect::Allow => allow(found, how),
                Effect::Deny => self.denies.push(found),
            }
        };
        match &policy.index {
            None => policy.statements.iter().for_each(on_candidate),
            Some(index) => index.candidates(self.question, |place| {
                if let Some(statement) = policy.statements.get(place) {
                    on_candidate(statement);
                }
            }),
        }
    }
}

impl CompiledStatement {
    /// Whether this means a question, and how it means the principal.
    pub(crate) fn matches<C: Context + ?Sized>(
        &self,
        question: &Question<'_, C>,
        has_boundary: bool,
    ) -> Option<PrincipalMatch> {
        if !self.actions.matches(question.action) {
            return None;
        }
        let how = match &self.principals {
            None => PrincipalMatch::Direct,
            Some(principals) => {
                principals.matches(&question.principal, self.effect, has_boundary)?
            }
        };
        let named = |resources: &crate::policy::statement::Resources| {
            resources.matches(question.resource, question.context)
        };
        let is_meant = self.resources.as_ref().is_none_or(named)
            && self.conditions.iter().all(|one| one.holds(question.context, self.effect));
        is_meant.then_some(how)
    }
}

impl<'p> Statements<'p> {
    /// Adds a statement, if there is room and it is not there: one may decide on a resource and on
    /// its key.
    pub fn push(&mut self, statement: StatementRef<'p>) {
        if self.iter().any(|known| std::ptr::eq(known.statement, statement.statement)) {
            return;
        }
        if let Some(place) = self.list.get_mut(self.len) {
            *place = Some(statement);
            self.len += 1;
        }
    }

    /// The statements.
    pub fn iter(&self) -> impl Iterator<Item = StatementRef<'p>> + '_ {
        self.list.iter().flatten().copied()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    fn first(&self) -> Option<StatementRef<'p>> {
        self.iter().next()
    }

    fn followed_by(mut self, others: &Self) -> Self {
        others.iter().for_each(|statement| self.push(statement));
        self
    }
}

impl StatementRef<'_> {
    /// What it does.
    pub fn effect(&self) -> Effect {
        self.statement.effect
    }
}

impl ResourceSide {
    /// What the policy of a resource is to an action: facts, sections 5.1 and 6.
    pub(crate) fn of(action: &Action, resource: Resource<'_>) -> Self {
        let Resource::Named(arn) = resource else { return Self::Ordinary };
        if action.service() == "sts" && arn.is_role() {
            Self::Trust
        } else if arn.is_key() {
            Self::Key
        } else {
            Self::Ordinary
        }
    }

    /// The type that a resource's policy is checked as.
    pub fn policy_type(self) -> PolicyType {
        match self {
            Self::Ordinary => PolicyType::Resource,
            Self::Key => PolicyType::Key,
            Self::Trust => PolicyType::Trust,
        }
    }

    /// Its layer in answers.
    pub fn layer(self) -> PolicyLayer {
        match self {
            Self::Ordinary => PolicyLayer::Resource,
            Self::Key => PolicyLayer::Key,
            Self::Trust => PolicyLayer::Trust,
        }
    }
}
