//! Requests that would end otherwise, by caller account, identity and resource.

use std::collections::BTreeMap;

use crate::clock::UnixMillis;
use crate::event::replay::recorded::Recorded;

/// Requests in groups. Memory is bounded; what was cut is told.
#[derive(Clone, Debug, Default)]
pub struct Groups {
    rows: BTreeMap<Key, Row>,
    requests: u64,
    ungrouped: u64,
}

/// Caller account, identity type, identity, owner account, resource, reason.
type Key = [Box<str>; 6];

#[derive(Clone, Debug)]
struct Row {
    name: Box<str>,
    detail: Box<str>,
    requests: u64,
    first: UnixMillis,
    last: UnixMillis,
}

/// Requests of one caller account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountChanges {
    /// The caller account; empty for tokens without one.
    pub caller: String,
    /// How many requests.
    pub requests: u64,
    /// By identity, most requests first.
    pub identities: Vec<IdentityChanges>,
}

/// Requests of one identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityChanges {
    /// `user`, `service_id` or `service`.
    pub identity_type: String,
    /// The identity's id.
    pub id: String,
    /// Its name for people; may be empty.
    pub name: String,
    /// How many requests.
    pub requests: u64,
    /// By resource and reason, most requests first.
    pub resources: Vec<ResourceChanges>,
}

/// Requests of one identity for one resource, with one reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceChanges {
    /// The account that owns it.
    pub owner: String,
    /// The resource.
    pub id: String,
    /// Why they are denied, or were.
    pub reason: String,
    /// Of policies: the statements that deny, or the sides that lack a grant.
    pub detail: String,
    /// How many requests.
    pub requests: u64,
    /// The first of them.
    pub first: UnixMillis,
    /// The last of them.
    pub last: UnixMillis,
}

impl Groups {
    pub(super) fn add(&mut self, recorded: &Recorded, reason: &str, detail: String) {
        self.requests += 1;
        let identity = &recorded.identity;
        let key = [
            identity.account.map_or_else(Box::default, |account| account.as_str().into()),
            identity.identity_type.as_str().into(),
            identity.id.clone(),
            recorded.owner.as_str().into(),
            recorded.resource.as_str().into(),
            reason.into(),
        ];
        if !self.rows.contains_key(&key) && ROWS_MAX <= self.rows.len() {
            self.ungrouped += 1;
            return;
        }
        let row = self.rows.entry(key).or_insert_with(|| Row {
            name: identity.name.clone(),
            detail: detail.into(),
            requests: 0,
            first: recorded.at,
            last: recorded.at,
        });
        row.requests += 1;
        row.first = row.first.min(recorded.at);
        row.last = row.last.max(recorded.at);
    }

    /// How many requests there are.
    pub fn requests(&self) -> u64 {
        self.requests
    }

    /// How many are in no group, as there are too many groups.
    pub fn ungrouped(&self) -> u64 {
        self.ungrouped
    }

    /// By caller account, most requests first.
    pub fn accounts(&self) -> Vec<AccountChanges> {
        let mut accounts: Vec<AccountChanges> = Vec::new();
        for ([caller, identity_type, id, owner, resource, reason], row) in &self.rows {
            // Rows of one account stand together, and in it those of one identity.
            if accounts.last().is_none_or(|account| *account.caller != **caller) {
                let (caller, identities) = (caller.to_string(), Vec::new());
                accounts.push(AccountChanges { caller, requests: 0, identities });
            }
            let Some(account) = accounts.last_mut() else { continue };
            let is_same =
                |it: &IdentityChanges| *it.identity_type == **identity_type && *it.id == **id;
            if !account.identities.last().is_some_and(is_same) {
                account.identities.push(IdentityChanges {
                    identity_type: identity_type.to_string(),
                    id: id.to_string(),
                    name: row.name.to_string(),
                    requests: 0,
                    resources: Vec::new(),
                });
            }
            let Some(identity) = account.identities.last_mut() else { continue };
            account.requests += row.requests;
            identity.requests += row.requests;
            identity.resources.push(ResourceChanges {
                owner: owner.to_string(),
                id: resource.to_string(),
                reason: reason.to_string(),
                detail: row.detail.to_string(),
                requests: row.requests,
                first: row.first,
                last: row.last,
            });
        }
        for account in &mut accounts {
            for identity in &mut account.identities {
                identity.resources.sort_by_key(|it| std::cmp::Reverse(it.requests));
            }
            account.identities.sort_by_key(|it| std::cmp::Reverse(it.requests));
        }
        accounts.sort_by_key(|it| std::cmp::Reverse(it.requests));
        accounts
    }
}

/// The most groups: 500 B × 20,000 = 10 MB.
const ROWS_MAX: usize = 20_000;
