//! A whole set of policies on disk: the enforced tree, or the candidate's.
//!
//! Flows in: a folder, and what changed in it. Flows out: the set, if nothing is wrong.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::finding::Finding;
use crate::iam::AccountId;
use crate::policy::directory::account::Account;
use crate::policy::directory::disk::{self, Form};
use crate::policy::directory::file::Place;
use crate::policy::directory::organization::OrganizationFiles;
use crate::policy::directory::{Lints, Rescan};
use crate::policy::lint::Home;
use crate::policy::set::{PolicySet, UnknownCallers};

/// A tree as it was read last.
#[derive(Debug)]
pub(super) struct Tree {
    root: PathBuf,
    kind: Kind,
    lints: Lints,
    accounts: BTreeMap<AccountId, Account>,
    organization: OrganizationFiles,
    listing: Vec<Finding>,
    // Of what was read last, until something changes.
    set: Option<Arc<PolicySet>>,
}

/// What is in a tree's folder besides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// It may have a candidate's tree inside.
    Enforced,
    /// It may not.
    Candidate,
}

impl Tree {
    /// A tree of which nothing is read yet.
    pub(super) fn new(root: PathBuf, kind: Kind, lints: Lints) -> Self {
        Self {
            root,
            kind,
            lints,
            accounts: BTreeMap::new(),
            organization: OrganizationFiles::default(),
            listing: Vec::new(),
            set: None,
        }
    }

    /// Looks at everything, and reads what changed.
    pub(super) fn rescan(&mut self) -> Rescan {
        let mut listing = Vec::new();
        let mut found = Vec::new();
        if !self.root.is_dir() {
            listing.push(Place::start(&self.root).error("is no directory that can be read", None));
        }
        for entry in disk::list(&self.root, &mut listing) {
            match (entry.name.as_str(), entry.form, self.kind) {
                ("organization.yaml", Form::File, _)
                | ("organization", Form::Folder, _)
                | (CANDIDATE, Form::Folder, Kind::Enforced) => {}
                (ACCOUNTS, Form::Folder, _) => found = accounts(&entry.path, &mut listing),
                (_, Form::File | Form::Folder, _) => listing.push(disk::unexpected(&entry.path)),
            }
        }
        if found.is_empty() {
            let message = "there are no accounts here: every caller's policies are unknown";
            let hint = "put each account's policies into `accounts/<id>/`";
            listing.push(Place::start(&self.root).warning(message, hint));
        }
        let mut before = std::mem::take(&mut self.accounts);
        let mut rescan = self.organization.rescan(&self.root, self.lints);
        for (id, folder) in found {
            let home = home(self.lints, &id, &self.organization);
            let account = if let Some(mut account) = before.remove(&id) {
                rescan = rescan.or(account.rescan(home));
                account
            } else {
                rescan = Rescan::Changed;
                Account::read(id, folder, home)
            };
            self.accounts.insert(id, account);
        }
        // What is left was there before and is no more.
        if !before.is_empty() || listing != self.listing {
            rescan = Rescan::Changed;
        }
        self.listing = listing;
        self.noted(rescan)
    }

    /// Looks at one account.
    pub(super) fn rescan_account(&mut self, id: AccountId) -> Rescan {
        let folder = self.root.join(ACCOUNTS).join(id.as_str());
        let home = home(self.lints, &id, &self.organization);
        let rescan = match (folder.is_dir(), self.accounts.get_mut(&id)) {
            (true, Some(account)) => account.rescan(home),
            (true, None) if self.listing.is_empty() => {
                self.accounts.insert(id, Account::read(id, folder, home));
                Rescan::Changed
            }
            // Gone, or nothing that can be looked at, or no longer: the listing tells which.
            (_, Some(_) | None) => return self.rescan(),
        };
        self.noted(rescan)
    }

    /// Looks at the organization.
    pub(super) fn rescan_organization(&mut self) -> Rescan {
        let rescan = self.organization.rescan(&self.root, self.lints);
        self.noted(rescan)
    }

    /// All that is wrong or doubtful.
    pub(super) fn findings(&self) -> impl Iterator<Item = &Finding> {
        let accounts = self.accounts.values().flat_map(Account::findings);
        self.listing.iter().chain(self.organization.findings()).chain(accounts)
    }

    /// The set; the same one until something changes. An account with something wrong is not in it,
    /// so it is for use only if no finding is an error.
    pub(super) fn set(&mut self, unknown_callers: UnknownCallers) -> Arc<PolicySet> {
        if let Some(set) = self.set.as_ref().filter(|set| set.unknown_callers == unknown_callers) {
            return Arc::clone(set);
        }
        let all = self.accounts.iter();
        let read = all.filter_map(|(id, account)| Some((*id, Arc::clone(account.policies()?))));
        let organization = self.organization.organization().map(Arc::clone);
        let set = Arc::new(PolicySet::new(read.collect(), organization, unknown_callers));
        self.set = Some(Arc::clone(&set));
        set
    }

    fn noted(&mut self, rescan: Rescan) -> Rescan {
        if rescan == Rescan::Changed {
            self.set = None;
        }
        rescan
    }
}

/// Whose documents an account's are, where they are looked through.
fn home<'t>(
    lints: Lints,
    id: &'t AccountId,
    organization: &'t OrganizationFiles,
) -> Option<Home<'t>> {
    match lints {
        Lints::Off => None,
        Lints::On => Some(Home {
            account: Some(id.as_str()),
            organization: organization.organization().map(Arc::as_ref),
        }),
    }
}

/// The accounts of a folder that has one folder for each.
fn accounts(folder: &Path, listing: &mut Vec<Finding>) -> Vec<(AccountId, PathBuf)> {
    let mut accounts = Vec::new();
    for entry in disk::list(folder, listing) {
        match (entry.form, AccountId::parse(&entry.name)) {
            (Form::Folder, Ok(id)) => accounts.push((id, entry.path)),
            (Form::Folder, Err(error)) => {
                let message = format!("`{}` is no account: {error}", entry.name);
                let hint = Some("the folder's name is the account");
                listing.push(Place::start(&entry.path).error(message, hint));
            }
            (Form::File, _) => listing.push(disk::unexpected(&entry.path)),
        }
    }
    if ACCOUNTS_MAX < accounts.len() {
        let message = format!("more than {ACCOUNTS_MAX} accounts");
        listing.push(Place::start(folder).error(message, None));
    }
    accounts
}

/// The folder of a candidate's tree.
pub(super) const CANDIDATE: &str = "candidate";

/// The folder of accounts.
pub(super) const ACCOUNTS: &str = "accounts";

/// The most accounts of one set.
const ACCOUNTS_MAX: usize = 100_000;
