//! Compiled policies: what decides, in the form that is fast to ask.

use std::sync::Arc;

use smallvec::SmallVec;

use crate::iam::Action;
use crate::policy::condition::CompiledCondition;
use crate::policy::context::Context;
use crate::policy::document::{Negated, PolicyType};
use crate::policy::index::{StatementIndex, entry_key, principal_look_ups};
use crate::policy::pattern::{ActionPattern, ArnPattern};
use crate::policy::principal::{Principal, PrincipalKind, PrincipalMatch, RoleName};
use crate::policy::question::Resource;

/// `Allow` or `Deny`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    /// It grants.
    Allow,
    /// It denies, whatever else grants.
    Deny,
}

impl Effect {
    /// The spelling in documents.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "Allow",
            Self::Deny => "Deny",
        }
    }
}

/// One compiled document. Shared by all that it is attached to.
#[derive(Debug)]
pub struct CompiledPolicy {
    /// Its name, for answers.
    pub name: Box<str>,
    /// Where it came from.
    pub source: Source,
    /// What it was checked as.
    pub policy_type: PolicyType,
    /// Its statements, in the document's order.
    pub statements: SmallVec<[CompiledStatement; 1]>,
    /// Which statements can match a question, where there are too many to try all.
    pub(crate) index: Option<Box<StatementIndex>>,
}

/// Where a document came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The file, as it is named to people; empty for a document without one.
    pub file: Arc<str>,
}

/// One compiled statement.
#[derive(Debug)]
pub struct CompiledStatement {
    /// Its name; may be empty.
    pub sid: Box<str>,
    /// Its place in the document, from 0.
    pub index: u32,
    /// The line in the file, from 1; 0 if there is none.
    pub line: u32,
    /// The column in the file, from 1.
    pub column: u32,
    /// What it does.
    pub effect: Effect,
    /// Whom it means; `None` where the policy type has no principals, and it means everybody.
    pub(crate) principals: Option<Principals>,
    /// Which actions.
    pub(crate) actions: Actions,
    /// Which resources; `None` where the policy's own resource is meant.
    pub(crate) resources: Option<Resources>,
    /// All must hold.
    pub(crate) conditions: Box<[CompiledCondition]>,
}

/// `Principal` or `NotPrincipal`.
#[derive(Debug)]
pub(crate) struct Principals {
    pub(crate) negated: Negated,
    // INVARIANT: if there are keys, the first entries have them, in their order.
    pub(crate) entries: Box<[PrincipalPattern]>,
    // Rising; of a long list only.
    keys: Box<[u64]>,
}

/// One listed principal.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum PrincipalPattern {
    /// `*`.
    Everyone,
    /// An account, by number or root.
    Account(Box<str>),
    /// A user's ARN.
    User(Box<str>),
    /// A session's or federated user's ARN.
    Session(Box<str>),
    /// A role.
    Role { partition: Box<str>, account: Box<str>, name: Box<str> },
    /// A service's name.
    Service(Box<str>),
    /// An identity provider.
    Federated(Box<str>),
    /// Something that no principal of crossgate's is, such as a canonical user or a unique id.
    Foreign(Box<str>),
}

/// `Action` or `NotAction`.
#[derive(Debug)]
pub(crate) struct Actions {
    pub(crate) negated: Negated,
    // INVARIANT: sorted as `Actions::new` does.
    pub(crate) patterns: SmallVec<[ActionPattern; 1]>,
    // How many of the first patterns have no wildcard.
    exact: usize,
}

/// `Resource` or `NotResource`.
#[derive(Debug)]
pub(crate) struct Resources {
    pub(crate) negated: Negated,
    pub(crate) patterns: SmallVec<[ArnPattern; 1]>,
}

impl Principals {
    /// `Principal` or `NotPrincipal` with its entries in any order.
    pub(crate) fn new(negated: Negated, entries: Vec<PrincipalPattern>) -> Self {
        if entries.len() <= SEARCHED_FROM {
            return Self { negated, entries: entries.into(), keys: Box::default() };
        }
        // What has no key comes last.
        let order =
            |entry: &PrincipalPattern| entry_key(entry).map_or((true, 0), |key| (false, key));
        let mut entries = entries;
        entries.sort_by_cached_key(order);
        let keys = entries.iter().map_while(entry_key).collect();
        Self { negated, entries: entries.into(), keys }
    }

    /// Whether this means a principal, and how. `NotPrincipal` means everybody not listed; with
    /// Deny it means a principal that has a boundary in any case (facts: iam.md section 2).
    pub(crate) fn matches(
        &self,
        principal: &Principal<'_>,
        effect: Effect,
        has_boundary: bool,
    ) -> Option<PrincipalMatch> {
        match self.negated {
            Negated::No => self.listed(principal),
            Negated::Yes if effect == Effect::Deny && has_boundary => Some(PrincipalMatch::Direct),
            Negated::Yes => self.listed(principal).is_none().then_some(PrincipalMatch::Direct),
        }
    }

    /// The strongest match of an entry: of a long list, by binary search.
    fn listed(&self, principal: &Principal<'_>) -> Option<PrincipalMatch> {
        let (keyed, others) = self.entries.split_at_checked(self.keys.len()).unwrap_or_default();
        let mut strongest = others.iter().filter_map(|entry| entry.matches(principal)).max();
        if keyed.is_empty() {
            return strongest;
        }
        principal_look_ups(principal, &mut |wanted| {
            let start = self.keys.partition_point(|key| *key < wanted);
            let same = self.keys.iter().zip(keyed).skip(start);
            for (_, entry) in same.take_while(|(key, _)| **key == wanted) {
                strongest = strongest.max(entry.matches(principal));
            }
        });
        strongest
    }
}

impl PrincipalPattern {
    /// Whether this names a principal, and how.
    pub(crate) fn matches(&self, principal: &Principal<'_>) -> Option<PrincipalMatch> {
        use PrincipalKind as Kind;
        let direct = |is: bool| is.then_some(PrincipalMatch::Direct);
        match self {
            Self::Everyone => Some(PrincipalMatch::Direct),
            Self::Account(account) => {
                (principal.account == Some(&**account)).then_some(PrincipalMatch::Account)
            }
            Self::User(arn) => match principal.kind {
                Kind::User => direct(principal.text == &**arn),
                Kind::FederatedUser => {
                    is_session_of_user(principal, arn).then_some(PrincipalMatch::Session)
                }
                _ => None,
            },
            Self::Session(arn) => match principal.kind {
                Kind::AssumedRole | Kind::FederatedUser => direct(principal.text == &**arn),
                _ => None,
            },
            Self::Role { partition, account, name } => (principal.role
                == Some(RoleName { partition, account, name }))
            .then_some(PrincipalMatch::Session),
            Self::Service(name) => {
                direct(principal.kind == Kind::Service && principal.text == &**name)
            }
            Self::Federated(provider) => {
                direct(principal.kind == Kind::WebIdentity && principal.text == &**provider)
            }
            Self::Foreign(_) => None,
        }
    }
}

/// A federated user's session has the name of its user, without the path.
fn is_session_of_user(principal: &Principal<'_>, user: &str) -> bool {
    let (Some(session), Some(user)) =
        (crate::iam::Arn::parse(principal.text), crate::iam::Arn::parse(user))
    else {
        return false;
    };
    session.partition() == user.partition()
        && session.account() == user.account()
        && session.resource().strip_prefix("federated-user/")
            == user.resource().strip_prefix("user/")
}

impl Actions {
    /// `Action` or `NotAction` with its patterns in any order.
    pub(crate) fn new(negated: Negated, patterns: SmallVec<[ActionPattern; 1]>) -> Self {
        let mut patterns = patterns;
        patterns.sort_by(|a, b| a.sort_key().cmp(&b.sort_key()));
        patterns.dedup();
        let is_exact = |pattern: &&ActionPattern| matches!(pattern, ActionPattern::Exact(_));
        let exact = patterns.iter().take_while(is_exact).count();
        patterns.shrink_to_fit();
        Self { negated, patterns, exact }
    }

    /// Whether this means an action: a binary search among names, then the service's patterns.
    pub(crate) fn matches(&self, action: &Action) -> bool {
        let (exact, like) = self.patterns.split_at_checked(self.exact).unwrap_or_default();
        let listed = Self::names(exact, action) || Self::covers(like, action);
        listed != (self.negated == Negated::Yes)
    }

    fn names(exact: &[ActionPattern], action: &Action) -> bool {
        if exact.len() <= SEARCHED_FROM {
            return exact.iter().any(|pattern| pattern.matches(action));
        }
        let wanted = (0, action.lower());
        exact.binary_search_by(|pattern| pattern.sort_key().cmp(&wanted)).is_ok()
    }

    fn covers(like: &[ActionPattern], action: &Action) -> bool {
        if like.len() <= SEARCHED_FROM {
            return like.iter().any(|pattern| pattern.matches(action));
        }
        let wanted = (1, action.service());
        let start = like.partition_point(|pattern| pattern.sort_key() < wanted);
        let of_service = like.get(start..).unwrap_or_default().iter();
        of_service
            .take_while(|pattern| pattern.sort_key() == wanted)
            .any(|pattern| pattern.matches(action))
            || like.last().is_some_and(|last| *last == ActionPattern::Any)
    }
}

impl ActionPattern {
    /// Names first, then patterns by service, then `*`.
    fn sort_key(&self) -> (u8, &str) {
        match self {
            Self::Exact(text) => (0, text),
            Self::Like { service, .. } => (1, service),
            Self::Any => (2, ""),
        }
    }
}

/// With more patterns than this, searching costs less than trying each.
const SEARCHED_FROM: usize = 6;

impl Resources {
    /// Whether this means a resource.
    pub(crate) fn matches<C: Context + ?Sized>(&self, resource: Resource<'_>, context: &C) -> bool {
        let listed = self.patterns.iter().any(|pattern| pattern.matches(resource, context));
        listed != (self.negated == Negated::Yes)
    }
}
