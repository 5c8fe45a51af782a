//! Who can begin a session of a role, and why; and whom its trust policy names in vain.

use crate::iam::{AccountId, Arn};
use crate::policy::access::caller::{self, Caller, Never};
use crate::policy::access::candidates::{self, Candidate};
use crate::policy::access::walk::{Obstacle, Target, Walk};
use crate::policy::access::{ASSUME, Certainty, Through, Who};
use crate::policy::combine::{PolicyLayer, Side};
use crate::policy::evaluate::StatementRef;
use crate::policy::set::{Organization, PolicySet, PrincipalEntry, UnknownCallers};
use crate::policy::shape::Shape;

/// Those for whom one action on a role is decided by the same statements.
#[derive(Clone, Debug)]
pub struct TrustGroup<'s> {
    /// Who, in order; at least one.
    pub who: Vec<Who>,
    /// Where they come from.
    pub through: Through,
    /// How they assume it: `sts:AssumeRole`, or by the word of an identity provider.
    pub action: &'static str,
    /// Whether they can.
    pub verdict: TrustVerdict<'s>,
}

/// Whether somebody can assume a role.
#[derive(Clone, Debug)]
pub enum TrustVerdict<'s> {
    /// As far as policies go.
    Can {
        /// How surely.
        certainty: Certainty,
        /// The statements of all sides that grant it.
        statements: Vec<StatementRef<'s>>,
        /// The statements that may deny it.
        unless: Vec<StatementRef<'s>>,
    },
    /// The trust policy lets them in, and another side does not.
    Cannot {
        /// The statements that let them in.
        named: Vec<StatementRef<'s>>,
        /// The sides that lack a grant.
        lacks: Vec<Lack>,
        /// The statements that deny it in any case.
        denied: Vec<StatementRef<'s>>,
    },
}

/// A side that lacks a grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lack {
    /// The caller's own policies.
    CallerIdentity,
    /// The caller's permissions boundary.
    Boundary,
    /// A level of the organization above the caller's account, by its name or number.
    Scp(Box<str>),
    /// A level of the organization above the role's account, by its name or number.
    Rcp(Box<str>),
    /// It takes a SAML assertion, which crossgate does not read.
    Saml,
    /// The trust policy asks for a second factor, which sessions of roles never have.
    Mfa,
    /// The trust policy asks for a user's name, which sessions of roles never have.
    UserName,
    /// The trust policy asks for what a call needs another action for, and not all sides allow that.
    Further(&'static str),
    /// The caller's policies are not here, which is refused.
    UnknownCaller,
}

impl Lack {
    /// The side, as events and scenarios spell it.
    pub fn side(&self) -> Side {
        match self {
            Self::CallerIdentity | Self::UnknownCaller => Side::CallerIdentity,
            Self::Boundary => Side::Boundary,
            Self::Scp(_) => Side::Scp,
            Self::Rcp(_) => Side::Rcp,
            Self::Saml | Self::Mfa | Self::UserName | Self::Further(_) => Side::Trust,
        }
    }
}

/// Everybody whom a role's trust policy lets in, those who can assume it first.
///
/// Principals of the set are asked one by one; of accounts that are not in the set it is told what
/// the policy says of them. No condition is evaluated, but for what sessions of roles never have: what
/// has some is marked.
pub fn trust<'s>(
    set: &'s PolicySet,
    role: &'s PrincipalEntry,
    owner: AccountId,
) -> Vec<TrustGroup<'s>> {
    let Some(arn) = Arn::parse(&role.arn) else { return Vec::new() };
    let walk = Walk::new(set);
    let target = Target::of(set, arn, owner);
    let mut groups: Vec<TrustGroup<'s>> = Vec::new();
    for candidate in candidates::of(set, role.trust.as_deref().into_iter()) {
        for action in ASSUME.into_iter().filter(|action| is_way(action, &candidate.who)) {
            let asked = Asked { set, walk: &walk, target: &target, candidate: &candidate, owner };
            let Some(verdict) = asked.verdict(action) else { continue };
            let through = candidate.through(owner.as_str());
            let is_same = |it: &&mut TrustGroup<'s>| {
                it.action == action && it.through == through && it.verdict.is_same(&verdict)
            };
            if let Some(group) = groups.iter_mut().find(is_same) {
                group.who.push(candidate.who.clone());
            } else {
                let who = vec![candidate.who.clone()];
                groups.push(TrustGroup { who, through, action, verdict });
            }
        }
    }
    for group in &mut groups {
        group.who.sort_unstable();
    }
    groups.sort_by(|a, b| {
        let key = |it: &TrustGroup<'s>| (!it.verdict.can(), it.action, it.who.first().cloned());
        key(a).cmp(&key(b))
    });
    groups
}

/// Whether somebody begins a session in that way: whom a provider vouches for has no other, and a
/// principal does not need it.
fn is_way(action: &str, who: &Who) -> bool {
    let is_federated = action != ASSUME_ROLE;
    match who {
        Who::Everyone => action != SAML,
        Who::Federated(_) => is_federated,
        Who::Account(_) | Who::Foreign(_) | Who::Principal(_) | Who::Service(_) => !is_federated,
    }
}

/// One candidate and a role.
struct Asked<'w, 's, 'a> {
    set: &'s PolicySet,
    walk: &'w Walk<'s>,
    target: &'w Target<'s, 'a>,
    candidate: &'w Candidate<'s>,
    owner: AccountId,
}

impl<'s> Asked<'_, 's, '_> {
    fn verdict(&self, action: &str) -> Option<TrustVerdict<'s>> {
        let shape = Shape::action(action);
        let obstacle = self.walk.obstacle(self.target, self.candidate, &shape)?;
        let is_refused = matches!(
            (self.candidate.through(self.owner.as_str()), self.set.unknown_callers),
            (Through::UnknownAccount(_), UnknownCallers::Deny)
        );
        let is_saml = action == SAML;
        let granted = self.walk.decide(self.target, self.candidate, &shape);
        let further = granted.as_ref().and_then(|it| self.lacks_further(action, &it.statements));
        match granted {
            Some(granted) if !is_refused && !is_saml && further.is_none() => {
                Some(TrustVerdict::Can {
                    certainty: granted.certainty,
                    statements: granted.statements,
                    unless: granted.unless,
                })
            }
            Some(_) | None => {
                let refused = is_refused.then_some(Lack::UnknownCaller);
                let saml = is_saml.then_some(Lack::Saml);
                Some(self.cannot(obstacle, refused.or(saml).or(further.map(Lack::Further))))
            }
        }
    }

    /// An action that the call needs besides and that not all sides allow, if every statement that
    /// lets the caller in asks for it: passing tags or a source identity is an action of its own.
    fn lacks_further(&self, action: &str, statements: &[StatementRef<'s>]) -> Option<&'static str> {
        if action != ASSUME_ROLE {
            return None;
        }
        let further = [caller::SET_SOURCE_IDENTITY, caller::TAG_SESSION];
        further.into_iter().find(|further| {
            let mut letting = statements.iter().filter(|it| it.layer == PolicyLayer::Trust);
            let asks = letting.all(|it| caller::further(it.statement).any(|it| it == *further));
            asks && !self.may_further(&Shape::action(further))
        })
    }

    /// A session needs its own permission in its own account too (facts: iam.md section 5.1).
    fn may_further(&self, action: &Shape) -> bool {
        let caller = self.candidate.principal().map(|it| Caller::of(&it));
        let is_granted = self.walk.decide(self.target, self.candidate, action).is_some();
        let is_session = caller == Some(Caller::RoleSession);
        is_granted && (!is_session || self.walk.caller_allows(self.target, self.candidate, action))
    }

    fn cannot(&self, obstacle: Obstacle<'s>, first: Option<Lack>) -> TrustVerdict<'s> {
        let mut lacks: Vec<Lack> = first.into_iter().collect();
        lacks.extend(obstacle.never.iter().map(|it| match it {
            Never::Mfa => Lack::Mfa,
            Never::UserName => Lack::UserName,
        }));
        if obstacle.missing.has(Side::CallerIdentity) {
            lacks.push(Lack::CallerIdentity);
        }
        if obstacle.missing.has(Side::Boundary) {
            lacks.push(Lack::Boundary);
        }
        for (layer, index) in obstacle.levels {
            lacks.push(match layer {
                PolicyLayer::Scp => Lack::Scp(self.level(self.caller_account(), index)),
                _ => Lack::Rcp(self.level(Some(self.owner), index)),
            });
        }
        TrustVerdict::Cannot { named: obstacle.named, lacks, denied: obstacle.denied }
    }

    fn caller_account(&self) -> Option<AccountId> {
        let principal = self.candidate.principal();
        principal.and_then(|it| AccountId::parse(it.account?).ok())
    }

    /// The name of a level above an account, else its number.
    fn level(&self, account: Option<AccountId>, index: usize) -> Box<str> {
        let organization: Option<&Organization> = self.set.organization.as_deref();
        let membership = organization.and_then(|it| it.accounts.get(&account?));
        let name = membership.and_then(|it| it.levels.get(index)).cloned();
        name.unwrap_or_else(|| index.saturating_add(1).to_string().into())
    }
}

impl TrustVerdict<'_> {
    /// Whether it is a yes, conditions aside.
    pub fn can(&self) -> bool {
        matches!(self, Self::Can { .. })
    }

    fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (
                Self::Can { certainty, statements, unless },
                Self::Can { certainty: other, statements: others, unless: denials },
            ) => certainty == other && same(statements, others) && same(unless, denials),
            (
                Self::Cannot { named, lacks, denied },
                Self::Cannot { named: other, lacks: others, denied: denials },
            ) => same(named, other) && lacks == others && same(denied, denials),
            (Self::Can { .. }, Self::Cannot { .. }) | (Self::Cannot { .. }, Self::Can { .. }) => {
                false
            }
        }
    }
}

/// Whether both are the same statements in the same roles.
fn same(a: &[StatementRef<'_>], b: &[StatementRef<'_>]) -> bool {
    let is_same = |(a, b): (&StatementRef<'_>, &StatementRef<'_>)| {
        std::ptr::eq(a.statement, b.statement) && a.layer == b.layer
    };
    a.len() == b.len() && a.iter().zip(b).all(is_same)
}

const ASSUME_ROLE: &str = "sts:AssumeRole";
const SAML: &str = "sts:AssumeRoleWithSAML";
