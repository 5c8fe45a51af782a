//! Which statements of a large policy can match a question.
//!
//! Each statement is filed under the most telling of what it names: its resources, its principals
//! or its actions; or under nothing, and then it is always tried. A question is looked up under all
//! that it is. Keys are hashes: who is found by chance is tried and does not match.

use std::hash::{BuildHasher as _, Hasher};

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::iam::Arn;
use crate::policy::document::Negated;
use crate::policy::pattern::{ActionPattern, ArnPattern};
use crate::policy::principal::{Principal, PrincipalKind};
use crate::policy::question::{Question, Resource};
use crate::policy::statement::{CompiledStatement, PrincipalPattern};

/// Statements by what they name.
#[derive(Debug)]
pub(crate) struct StatementIndex {
    // Ranges of `places` by key.
    filed: HashMap<u64, (u32, u32), FixedState>,
    // What is among the keys: the rest is not looked up.
    kinds: Kinds,
    // Places of statements, each range in rising order.
    places: Box<[u32]>,
    // Statements that are tried always: the first places.
    always: u32,
    // The lengths at which resource prefixes are filed, longest first.
    prefix_lens: Box<[u16]>,
}

/// What is among some keys.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Kinds(u16);

/// What is filed under a key.
#[derive(Clone, Copy)]
enum Kind {
    /// An action in lower case.
    Action,
    /// A service in lower case.
    Service,
    /// An account.
    Account,
    /// A user, and the federated sessions of it.
    User,
    /// A role, and its sessions.
    Role,
    /// A session, service or provider by its text.
    Named,
    /// A resource.
    Resource,
    /// The start of a resource.
    Prefix,
}

impl StatementIndex {
    /// An index of a policy's statements; `None` where trying them all is as fast.
    pub(crate) fn build(statements: &[CompiledStatement]) -> Option<Self> {
        if statements.len() < INDEXED_FROM {
            return None;
        }
        let prefix_lens = prefix_lens(statements);
        let choices: Vec<[Option<Vec<u64>>; 3]> = statements
            .iter()
            .map(|statement| {
                [
                    resource_keys(statement, &prefix_lens),
                    principal_keys(statement),
                    action_keys(statement),
                ]
            })
            .collect();
        let mut counts: HashMap<u64, usize, FixedState> = HashMap::default();
        for key in choices.iter().flatten().flatten().flatten() {
            *counts.entry(*key).or_default() += 1;
        }
        // The crowd that a statement is filed in: as many are tried together.
        let crowd = |keys: &&Vec<u64>| {
            keys.iter().map(|key| counts.get(key).copied().unwrap_or_default()).max()
        };
        let mut filed: HashMap<u64, Vec<u32>, FixedState> = HashMap::default();
        let mut always = Vec::new();
        for (place, choice) in (0..).zip(&choices) {
            let Some(keys) = choice.iter().flatten().min_by_key(crowd) else {
                always.push(place);
                continue;
            };
            for key in keys {
                let places = filed.entry(*key).or_default();
                if places.last() != Some(&place) {
                    places.push(place);
                }
            }
        }
        let principals = statements.iter().filter_map(|statement| statement.principals.as_ref());
        let kinds = Kinds::of_principals(principals.flat_map(|list| &list.entries));
        Some(Self { kinds, ..Self::packed(always, filed, prefix_lens) })
    }

    fn packed(
        always: Vec<u32>,
        filed: HashMap<u64, Vec<u32>, FixedState>,
        prefix_lens: Vec<u16>,
    ) -> Self {
        let count = |len: usize| u32::try_from(len).unwrap_or(u32::MAX);
        let always_len = count(always.len());
        let mut places = always;
        let mut ranges = HashMap::with_capacity_and_hasher(filed.len(), FixedState::default());
        for (key, list) in filed {
            ranges.insert(key, (count(places.len()), count(list.len())));
            places.extend(list);
        }
        Self {
            filed: ranges,
            kinds: Kinds::default(),
            places: places.into(),
            always: always_len,
            prefix_lens: prefix_lens.into(),
        }
    }

    /// Tells the places of the statements that can match, in rising order, each once.
    pub(crate) fn candidates<C: ?Sized>(
        &self,
        question: &Question<'_, C>,
        mut tell: impl FnMut(usize),
    ) {
        let mut lists = Lists::default();
        lists.add(self.range(0, self.always));
        let mut look_up = |key: u64| {
            if let Some((start, len)) = self.filed.get(&key) {
                lists.add(self.range(*start, *len));
            }
        };
        look_up(key(Kind::Action, &[question.action.lower()]));
        look_up(key(Kind::Service, &[question.action.service()]));
        principal_look_ups(&question.principal, self.kinds, &mut look_up);
        if let Resource::Named(arn) = question.resource {
            resource_key(Kind::Resource, arn.as_str()).into_iter().for_each(&mut look_up);
            for len in &self.prefix_lens {
                let start = arn.as_str().get(..usize::from(*len));
                let key = start.and_then(|start| resource_key(Kind::Prefix, start));
                key.into_iter().for_each(&mut look_up);
            }
        }
        while let Some(place) = lists.next() {
            tell(usize::try_from(place).unwrap_or(usize::MAX));
        }
    }

    fn range(&self, start: u32, len: u32) -> &[u32] {
        let start = usize::try_from(start).unwrap_or(usize::MAX);
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        self.places.get(start..).and_then(|from| from.get(..len)).unwrap_or_default()
    }
}

/// Rising lists, merged into one.
#[derive(Default)]
struct Lists<'i> {
    lists: [&'i [u32]; LOOK_UPS_MAX],
    len: usize,
}

impl<'i> Lists<'i> {
    fn add(&mut self, list: &'i [u32]) {
        if list.is_empty() {
            return;
        }
        if let Some(free) = self.lists.get_mut(self.len) {
            *free = list;
            self.len += 1;
        }
    }

    fn next(&mut self) -> Option<u32> {
        let used = self.lists.get_mut(..self.len).unwrap_or_default();
        let least = used.iter().filter_map(|list| list.first()).min().copied()?;
        for list in used {
            if let Some((first, rest)) = list.split_first()
                && *first == least
            {
                *list = rest;
            }
        }
        Some(least)
    }
}

/// Tells the keys of these kinds that a question's principal is looked up under.
pub(crate) fn principal_look_ups(
    principal: &Principal<'_>,
    kinds: Kinds,
    look_up: &mut impl FnMut(u64),
) {
    if let Some(account) = principal.account.filter(|_| kinds.has(Kind::Account)) {
        look_up(key(Kind::Account, &[account]));
    }
    if let Some(role) = principal.role.filter(|_| kinds.has(Kind::Role)) {
        look_up(key(Kind::Role, &[role.partition, role.account, role.name]));
    }
    match principal.kind {
        PrincipalKind::Anonymous | PrincipalKind::Role | PrincipalKind::Root => {}
        PrincipalKind::User | PrincipalKind::FederatedUser => {
            if kinds.has(Kind::User) {
                look_up(user_key(principal.text));
            }
            if kinds.has(Kind::Named) {
                look_up(key(Kind::Named, &[principal.text]));
            }
        }
        PrincipalKind::AssumedRole | PrincipalKind::Service | PrincipalKind::WebIdentity => {
            if kinds.has(Kind::Named) {
                look_up(key(Kind::Named, &[principal.text]));
            }
        }
    }
}

/// The keys that a statement's principals are filed under; `None` if it may mean any principal.
fn principal_keys(statement: &CompiledStatement) -> Option<Vec<u64>> {
    let principals = statement.principals.as_ref()?;
    if principals.negated == Negated::Yes {
        return None;
    }
    let entries = &principals.entries;
    if entries.contains(&PrincipalPattern::Everyone) {
        return None;
    }
    Some(entries.iter().filter_map(entry_key).collect())
}

/// What a listed principal is filed under.
fn entry_kind(entry: &PrincipalPattern) -> Option<Kind> {
    match entry {
        PrincipalPattern::Everyone | PrincipalPattern::Foreign(_) => None,
        PrincipalPattern::Account(_) => Some(Kind::Account),
        PrincipalPattern::User(_) => Some(Kind::User),
        PrincipalPattern::Role { .. } => Some(Kind::Role),
        PrincipalPattern::Session(_)
        | PrincipalPattern::Service(_)
        | PrincipalPattern::Federated(_) => Some(Kind::Named),
    }
}

/// The key that a listed principal is filed under; `None` if it means everybody or nobody.
pub(crate) fn entry_key(entry: &PrincipalPattern) -> Option<u64> {
    match entry {
        PrincipalPattern::Everyone | PrincipalPattern::Foreign(_) => None,
        PrincipalPattern::Account(account) => Some(key(Kind::Account, &[account])),
        PrincipalPattern::User(arn) => Some(user_key(arn)),
        PrincipalPattern::Role { partition, account, name } => {
            Some(key(Kind::Role, &[partition, account, name]))
        }
        PrincipalPattern::Session(text)
        | PrincipalPattern::Service(text)
        | PrincipalPattern::Federated(text) => Some(key(Kind::Named, &[text])),
    }
}

/// A user and a federated session of it have one key.
fn user_key(text: &str) -> u64 {
    match Arn::parse(text) {
        None => key(Kind::User, &[text]),
        Some(arn) => {
            let name = arn.resource().split_once('/').map_or("", |(_, name)| name);
            key(Kind::User, &[arn.partition(), arn.account(), name])
        }
    }
}

/// The keys that a statement's actions are filed under; `None` if it may mean any service's.
fn action_keys(statement: &CompiledStatement) -> Option<Vec<u64>> {
    if statement.actions.negated == Negated::Yes {
        return None;
    }
    let keys = statement.actions.patterns.iter().map(|pattern| match pattern {
        ActionPattern::Any => None,
        ActionPattern::Exact(text) => Some(key(Kind::Action, &[text])),
        ActionPattern::Like { service, .. } => Some(key(Kind::Service, &[service])),
    });
    keys.collect()
}

/// The keys that a statement's resources are filed under; `None` if they may be any.
fn resource_keys(statement: &CompiledStatement, prefix_lens: &[u16]) -> Option<Vec<u64>> {
    let resources = statement.resources.as_ref()?;
    if resources.negated == Negated::Yes {
        return None;
    }
    let keys = resources.patterns.iter().map(|pattern| {
        let (prefix, is_exact) = pattern.literal_prefix();
        if is_exact {
            return resource_key(Kind::Resource, &prefix);
        }
        let len =
            prefix_lens.iter().map(|len| usize::from(*len)).find(|len| *len <= prefix.len())?;
        resource_key(Kind::Prefix, prefix.get(..len)?)
    });
    keys.collect()
}

/// A few lengths at which prefixes are filed: those of the patterns, thinned out, longest first.
/// A pattern is filed at the longest that it reaches.
fn prefix_lens(statements: &[CompiledStatement]) -> Vec<u16> {
    let resources = statements.iter().filter_map(|statement| statement.resources.as_ref());
    let patterns = resources.flat_map(|resources| &resources.patterns);
    let lens = patterns.map(ArnPattern::literal_prefix).filter(|(_, is_exact)| !is_exact);
    let mut lens: Vec<u16> = lens.filter_map(|(text, _)| u16::try_from(text.len()).ok()).collect();
    lens.sort_unstable();
    lens.dedup();
    lens.retain(|len| *len > 0);
    let step = lens.len().div_ceil(PREFIX_LENS_MAX).max(1);
    let mut few: Vec<u16> = lens.into_iter().step_by(step).collect();
    few.reverse();
    few
}

/// The key of a resource, or of the start of one; its partition, service and region count in
/// lower case. `None` if those are longer than any real ones.
fn resource_key(kind: Kind, start: &str) -> Option<u64> {
    let (head, rest) = start.split_at_checked(head_len(start))?;
    let mut lower = [0_u8; HEAD_BYTES_MAX];
    let lower = lower.get_mut(..head.len())?;
    lower.copy_from_slice(head.as_bytes());
    lower.make_ascii_lowercase();
    let mut hasher = hasher(kind);
    hasher.write(lower);
    hasher.write(rest.as_bytes());
    Some(hasher.finish())
}

/// Up to and with the fourth colon, after which comes the account; or all of it.
fn head_len(start: &str) -> usize {
    memchr::memchr_iter(b':', start.as_bytes()).nth(3).map_or(start.len(), |colon| colon + 1)
}

fn key(kind: Kind, parts: &[&str]) -> u64 {
    let mut hasher = hasher(kind);
    for part in parts {
        hasher.write(part.as_bytes());
        hasher.write_u8(0xff);
    }
    hasher.finish()
}

fn hasher(kind: Kind) -> impl Hasher {
    let mut hasher = FixedState::default().build_hasher();
    hasher.write_u8(kind.code());
    hasher
}

impl Kinds {
    /// What listed principals are filed under.
    pub(crate) fn of_principals<'e>(
        entries: impl IntoIterator<Item = &'e PrincipalPattern>,
    ) -> Self {
        entries.into_iter().filter_map(entry_kind).fold(Self::default(), Self::with)
    }

    fn with(self, kind: Kind) -> Self {
        Self(self.0 | 1 << kind.code())
    }

    fn has(self, kind: Kind) -> bool {
        self.0 & 1 << kind.code() != 0
    }
}

impl Kind {
    fn code(self) -> u8 {
        match self {
            Self::Action => 1,
            Self::Service => 2,
            Self::Account => 3,
            Self::User => 4,
            Self::Role => 5,
            Self::Named => 6,
            Self::Resource => 7,
            Self::Prefix => 8,
        }
    }
}

/// With fewer statements than this, trying each costs less than looking up.
pub(crate) const INDEXED_FROM: usize = 12;

/// At most so many lengths of prefixes are looked up.
const PREFIX_LENS_MAX: usize = 8;

/// Those tried always; action and service; account, role, user and name; resource and prefixes.
const LOOK_UPS_MAX: usize = 1 + 2 + 4 + 1 + PREFIX_LENS_MAX;

/// Partition, service and region of a resource, with their colons, are never longer.
const HEAD_BYTES_MAX: usize = 128;
