//! What one setting said of an account's callers, without being enforced.
//!
//! Flows in: the account's perimeter events. Flows out: would-be denials by caller account,
//! identity and resource, and what the allowlist admitted. Memory is bounded; what was cut is told.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::clock::UnixMillis;
use crate::event::report::coverage::Track;
use crate::event::report::histogram::Histogram;
use crate::event::report::{
    AccountDenials, Added, AddedBy, Admitted, IdentityDenials, PROFILE_IDENTITIES_MAX,
    ResourceDenials, Suggestion,
};
use crate::event::time;
use crate::verdict::Decision;

/// What one setting said.
#[derive(Clone, Debug, Default)]
pub(super) struct Observation {
    pub(super) days: BTreeSet<u64>,
    pub(super) first: Option<UnixMillis>,
    pub(super) last: Option<UnixMillis>,
    pub(super) denials: BTreeMap<GroupKey, Group>,
    /// Who was let in, since a setting that is another one by now may not.
    permitted: BTreeMap<GroupKey, Group>,
    /// Denials that are in no group, as there are too many groups.
    pub(super) ungrouped: u64,
    pub(super) by_caller: Histogram,
    permits: BTreeMap<String, Permits>,
    /// By caller account and identity type.
    standings: BTreeMap<(String, String), Standing>,
    pub(super) added: Vec<Added>,
    resources: usize,
    /// When it was observed, by identity type.
    pub(super) tracks: BTreeMap<String, Track>,
}

/// Who was denied: caller account, identity type, identity.
pub(super) type GroupKey = (String, String, String);

#[derive(Clone, Debug)]
pub(super) struct Group {
    name: String,
    span: Span,
    resources: BTreeMap<String, Span>,
    /// Requests for resources that are not told apart.
    other_resources: u64,
}

/// How many requests, from when to when.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    requests: u64,
    first: UnixMillis,
    last: UnixMillis,
}

#[derive(Clone, Debug)]
struct Permits {
    span: Span,
    identities: BTreeSet<String>,
    types: BTreeSet<String>,
}

/// Where a caller account stands with an identity type.
#[derive(Clone, Copy, Debug, Default)]
struct Standing {
    denials: u64,
    permits: u64,
    last_denied: Option<UnixMillis>,
    last_permitted: Option<UnixMillis>,
    /// The place of its present addition.
    addition: Option<usize>,
}

/// What is read of an event.
pub(super) struct Seen<'e> {
    pub(super) at: UnixMillis,
    pub(super) caller: &'e str,
    pub(super) identity_type: &'e str,
    pub(super) event: &'e Value,
}

impl Span {
    fn at(at: UnixMillis) -> Self {
        Self { requests: 0, first: at, last: at }
    }

    fn add(&mut self, at: UnixMillis) {
        self.merge(Self { requests: 1, first: at, last: at });
    }

    fn merge(&mut self, other: Self) {
        self.requests += other.requests;
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
    }
}

impl Observation {
    /// Whether callers of a type were observed.
    pub(super) fn track(&mut self, identity_type: &str) -> &mut Track {
        let is_known = self.tracks.contains_key(identity_type) || self.tracks.len() < TRACKS_MAX;
        self.tracks.entry(if is_known { identity_type } else { "" }.to_owned()).or_default()
    }

    pub(super) fn observe(&mut self, at: UnixMillis) {
        self.first = Some(self.first.map_or(at, |first| first.min(at)));
        self.last = Some(self.last.map_or(at, |last| last.max(at)));
        if self.days.len() < DAYS_MAX {
            self.days.insert(time::day_of(at));
        }
    }

    pub(super) fn permit(&mut self, seen: &Seen<'_>) {
        self.count_addition(seen);
        if let Some(standing) = self.standing(seen.caller, seen.identity_type) {
            standing.permits += 1;
            standing.last_permitted = standing.last_permitted.max(Some(seen.at));
        }
        // One that has no room is counted by its standing.
        let _: bool = add_to(&mut self.permitted, &mut self.resources, seen);
        if !self.permits.contains_key(seen.caller) && GROUPS_MAX <= self.permits.len() {
            return;
        }
        let permits = self.permits.entry(seen.caller.to_owned()).or_insert_with(|| Permits {
            span: Span::at(seen.at),
            identities: BTreeSet::new(),
            types: BTreeSet::new(),
        });
        permits.span.add(seen.at);
        permits.types.insert(seen.identity_type.to_owned());
        if permits.identities.len() < IDENTITIES_MAX {
            permits.identities.insert(text(seen.event, "/initiator/id").to_owned());
        }
    }

    /// Counts a permit to what made it one, if that is known.
    fn count_addition(&mut self, seen: &Seen<'_>) {
        let Some(standing) = self.standing(seen.caller, seen.identity_type) else { return };
        if let (None, true) = (standing.addition, 0 < standing.denials) {
            // No update tells of it, and what was denied is admitted: the file was edited.
            self.begin_addition(seen.caller, seen.identity_type, seen.at, AddedBy::FirstPermit);
        }
        let standing = self.standing(seen.caller, seen.identity_type);
        let Some(index) = standing.and_then(|standing| standing.addition) else { return };
        if let Some(added) = self.added.get_mut(index) {
            added.permits += 1;
            added.last = Some(seen.at);
        }
    }

    /// Takes note that a caller account came on the allowlist.
    pub(super) fn begin_addition(
        &mut self,
        caller: &str,
        identity_type: &str,
        at: UnixMillis,
        by: AddedBy,
    ) {
        let index = self.added.len();
        let Some(standing) = self.standing(caller, identity_type) else { return };
        if ADDITIONS_MAX <= index {
            return;
        }
        standing.addition = Some(index);
        let denials_before = standing.denials;
        self.added.push(Added {
            caller: caller.to_owned(),
            identity_type: identity_type.to_owned(),
            at,
            by,
            denials_before,
            permits: 0,
            last: None,
        });
    }

    /// Counts a denial that was enforced: it tells what an addition changed.
    pub(super) fn denied(&mut self, caller: &str, identity_type: &str) {
        if let Some(standing) = self.standing(caller, identity_type) {
            standing.denials += 1;
            standing.addition = None;
        }
    }

    pub(super) fn deny(&mut self, seen: &Seen<'_>) {
        self.denied(seen.caller, seen.identity_type);
        self.by_caller.add(seen.at, seen.caller);
        if let Some(standing) = self.standing(seen.caller, seen.identity_type) {
            standing.last_denied = standing.last_denied.max(Some(seen.at));
        }
        if !add_to(&mut self.denials, &mut self.resources, seen) {
            self.ungrouped += 1;
        }
    }

    fn standing(&mut self, caller: &str, identity_type: &str) -> Option<&mut Standing> {
        let key = (caller.to_owned(), identity_type.to_owned());
        if !self.standings.contains_key(&key) && GROUPS_MAX <= self.standings.len() {
            return None;
        }
        Some(self.standings.entry(key).or_default())
    }

    pub(super) fn is_newer_than(&self, other: &Self) -> bool {
        match (self.last, other.last) {
            (None, _) => false,
            (Some(_), None) => true,
            (Some(last), Some(other)) => other.0 <= last.0.saturating_add(LATELY_MS),
        }
    }

    /// What the allowlist admitted, most requests first.
    pub(super) fn admitted(&self) -> Vec<Admitted> {
        let mut admitted: Vec<_> = self
            .permits
            .iter()
            .map(|(caller, permits)| Admitted {
                caller: caller.clone(),
                requests: permits.span.requests,
                first: permits.span.first,
                last: permits.span.last,
                identities: permits.identities.len(),
                types: permits.types.iter().cloned().collect(),
            })
            .collect();
        admitted.sort_by_key(|admitted| std::cmp::Reverse(admitted.requests));
        admitted
    }

    /// Who would be denied, or was and would not be any more. `admits`: what the setting that comes
    /// next says to a caller account and identity type, where it is known.
    pub(super) fn account_denials(&self, admits: Admits<'_>) -> Vec<AccountDenials> {
        let mut accounts: BTreeMap<(&str, Decision), BTreeMap<&GroupKey, Group>> = BTreeMap::new();
        for (key, group) in &self.denials {
            let (caller, identity_type, _) = key;
            let next = self.next_decision(caller, identity_type, admits);
            accounts.entry((caller, next)).or_default().insert(key, group.clone());
        }
        // Who was let in counts where the next setting is another one than was asked.
        for (key, group) in &self.permitted {
            let (caller, identity_type, _) = key;
            if admits(caller, identity_type) == Some(Decision::Deny) {
                let identities = accounts.entry((caller, Decision::Deny)).or_default();
                identities
                    .entry(key)
                    .and_modify(|known| known.merge(group))
                    .or_insert_with(|| group.clone());
            }
        }
        let accounts = accounts.into_iter().map(|((caller, next), identities)| {
            let mut identities: Vec<_> =
                identities.into_iter().map(|(key, group)| group.identity(key)).collect();
            identities.sort_by_key(|identity| std::cmp::Reverse(identity.requests));
            let first = identities.iter().map(|identity| identity.first).min();
            let last = identities.iter().map(|identity| identity.last).max();
            AccountDenials {
                caller: caller.to_owned(),
                requests: identities.iter().map(|identity| identity.requests).sum(),
                first: first.unwrap_or_default(),
                last: last.unwrap_or_default(),
                suggestion: suggestion(caller, next, identities.len()),
                identities,
            }
        });
        let mut accounts: Vec<_> = accounts.collect();
        // What is to be dealt with comes first.
        accounts.sort_by_key(|it| std::cmp::Reverse((it.suggestion.is_open(), it.requests)));
        accounts
    }

    /// Requests that would be denied and are in no group.
    pub(super) fn ungrouped(&self, admits: Admits<'_>) -> u64 {
        let denied = |caller: &str, kind: &str| admits(caller, kind) == Some(Decision::Deny);
        let standings = self.standings.iter().filter(|((caller, kind), _)| denied(caller, kind));
        let permits: u64 = standings.map(|(_, standing)| standing.permits).sum();
        let groups = self.permitted.iter().filter(|((caller, kind, _), _)| denied(caller, kind));
        let grouped: u64 = groups.map(|(_, group)| group.span.requests).sum();
        self.ungrouped + permits.saturating_sub(grouped)
    }

    /// What becomes of a caller account and identity type that was denied.
    fn next_decision(&self, caller: &str, identity_type: &str, admits: Admits<'_>) -> Decision {
        admits(caller, identity_type).unwrap_or_else(|| {
            let key = (caller.to_owned(), identity_type.to_owned());
            match self.standings.get(&key) {
                Some(standing) if standing.last_denied < standing.last_permitted => {
                    Decision::Permit
                }
                Some(_) | None => Decision::Deny,
            }
        })
    }
}

/// What a caller account and an identity type would be told; `None` if it is not known.
pub(super) type Admits<'a> = &'a dyn Fn(&str, &str) -> Option<Decision>;

fn suggestion(caller: &str, next: Decision, identities: usize) -> Suggestion {
    match next {
        Decision::Permit => Suggestion::LeaveResolved,
        Decision::Deny if identities <= PROFILE_IDENTITIES_MAX => Suggestion::TrustedProfile,
        Decision::Deny if caller.is_empty() => Suggestion::LeaveNoAccount,
        Decision::Deny => Suggestion::Allowlist,
    }
}

/// Counts a request to its identity's group; false if there is no room for another group.
fn add_to(groups: &mut BTreeMap<GroupKey, Group>, resources: &mut usize, seen: &Seen<'_>) -> bool {
    let text = |pointer| text(seen.event, pointer).to_owned();
    let key = (seen.caller.to_owned(), seen.identity_type.to_owned(), text("/initiator/id"));
    if !groups.contains_key(&key) && GROUPS_MAX <= groups.len() {
        return false;
    }
    let group = groups.entry(key).or_insert_with(|| Group {
        name: text("/initiator/name"),
        span: Span::at(seen.at),
        resources: BTreeMap::new(),
        other_resources: 0,
    });
    group.span.add(seen.at);
    let resource = text("/target/id");
    let has_room = *resources < RESOURCES_MAX && group.resources.len() < IDENTITY_RESOURCES_MAX;
    match group.resources.get_mut(&resource) {
        Some(span) => span.add(seen.at),
        None if has_room => {
            let mut span = Span::at(seen.at);
            span.add(seen.at);
            group.resources.insert(resource, span);
            *resources += 1;
        }
        None => group.other_resources += 1,
    }
    true
}

impl Group {
    fn merge(&mut self, other: &Self) {
        self.span.merge(other.span);
        for (resource, span) in &other.resources {
            let known = self.resources.entry(resource.clone());
            known.and_modify(|known| known.merge(*span)).or_insert(*span);
        }
        self.other_resources += other.other_resources;
    }

    fn identity(&self, (_, identity_type, id): &GroupKey) -> IdentityDenials {
        IdentityDenials {
            identity_type: identity_type.clone(),
            id: id.clone(),
            name: self.name.clone(),
            requests: self.span.requests,
            first: self.span.first,
            last: self.span.last,
            resources: self.resources(),
            other_resources: self.other_resources,
        }
    }

    fn resources(&self) -> Vec<ResourceDenials> {
        let mut resources: Vec<_> = self
            .resources
            .iter()
            .map(|(id, span)| ResourceDenials {
                id: id.clone(),
                requests: span.requests,
                first: span.first,
                last: span.last,
            })
            .collect();
        resources.sort_by_key(|resource| std::cmp::Reverse(resource.requests));
        resources
    }
}

/// A text of an event; empty if it is not there.
pub(super) fn text<'e>(event: &'e Value, pointer: &str) -> &'e str {
    event.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The most groups that are told apart: 1 KiB × 10,000 = 10 MiB.
pub const GROUPS_MAX: usize = 10_000;
/// The most resources that are told apart, of all identities: 300 B × 50,000 = 15 MB.
const RESOURCES_MAX: usize = 50_000;
/// The most resources that are told apart of one identity.
const IDENTITY_RESOURCES_MAX: usize = 100;
/// The most identities that are told apart of an admitted account.
pub const IDENTITIES_MAX: usize = 100;
/// The most additions to the allowlist that are followed.
const ADDITIONS_MAX: usize = 1000;
/// More identity types than there are.
const TRACKS_MAX: usize = 8;
/// The most days that are told apart: ten years.
const DAYS_MAX: usize = 3660;
/// A candidate that was asked up to a day before the last event counts as the next setting.
const LATELY_MS: u64 = 24 * 60 * 60 * 1000;
