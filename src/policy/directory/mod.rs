//! The policy directory: read whole, or what changed of it.
//!
//! Flows in: files. Flows out: sets of compiled policies, or what is wrong, with file, line and
//! column. A directory with something wrong gives no sets at all. Decides nothing.

mod account;
mod details;
mod disk;
mod file;
mod organization;
mod parts;
mod percent;
mod store;
mod tree;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use store::{PolicyStore, Reloaded};

use crate::config::finding::{Finding, Severity};
use crate::iam::AccountId;
use crate::policy::directory::file::Place;
use crate::policy::directory::tree::{ACCOUNTS, CANDIDATE, Kind, Tree};
use crate::policy::set::{PolicySet, PolicySets, UnknownCallers};
use crate::verdict::Mode;

/// Which policies are enforced and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoliciesConfig {
    /// Where they are.
    pub directory: PathBuf,
    /// What a denial does.
    pub mode: Mode,
    /// What counts for callers of accounts whose policies are not there.
    pub unknown_callers: UnknownCallers,
}

/// Why the policies of a directory are not used.
#[derive(Clone, Debug)]
pub struct DirectoryError {
    /// All that is wrong or doubtful; at least one error.
    pub findings: Vec<Finding>,
}

/// Reads a whole directory. The second part of the answer is what is doubtful.
///
/// # Errors
/// Something is wrong; the error has all of it.
pub fn load(config: &PoliciesConfig) -> Result<(PolicySets, Vec<Finding>), DirectoryError> {
    read_whole(config, Lints::Off)
}

/// Reads a whole directory as [`load`] does, and looks for what is valid and probably not meant in
/// each of its documents.
///
/// # Errors
/// Something is wrong; the error has all of it, and what is doubtful too.
pub fn lint(config: &PoliciesConfig) -> Result<(PolicySets, Vec<Finding>), DirectoryError> {
    read_whole(config, Lints::On)
}

fn read_whole(
    config: &PoliciesConfig,
    lints: Lints,
) -> Result<(PolicySets, Vec<Finding>), DirectoryError> {
    let mut directory = PolicyDirectory::with_lints(config.directory.clone(), lints);
    // All of it is new.
    let _ = directory.rescan(&[Scope::All]);
    let sets = directory.sets(config.mode, config.unknown_callers)?;
    Ok((sets, directory.findings()))
}

/// A directory as it was read last. What did not change since is neither read nor compiled again,
/// and keeps its place in memory.
#[derive(Debug)]
pub struct PolicyDirectory {
    root: PathBuf,
    lints: Lints,
    enforced: Tree,
    candidate: Option<Tree>,
}

/// A part of the directory that is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// Everything.
    All,
    /// One account's folder.
    Account(Tier, AccountId),
    /// The organization's files.
    Organization(Tier),
}

/// Which of the two trees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tier {
    /// What is proposed.
    Candidate,
    /// What is in force.
    Enforced,
}

/// Whether documents are looked through for what is valid and probably not meant. Those who follow
/// a directory do without: it takes time, and nobody reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lints {
    Off,
    On,
}

/// Whether something is as it was read before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Rescan {
    /// Something is another, new or gone.
    Changed,
    /// All is as it was.
    Unchanged,
}

impl PolicyDirectory {
    /// A directory of which nothing is read yet.
    pub fn new(root: PathBuf) -> Self {
        Self::with_lints(root, Lints::Off)
    }

    fn with_lints(root: PathBuf, lints: Lints) -> Self {
        let enforced = Tree::new(root.clone(), Kind::Enforced, lints);
        Self { root, lints, enforced, candidate: None }
    }

    /// Looks at some parts, and reads what changed of them.
    pub fn rescan(&mut self, scopes: &[Scope]) -> Rescan {
        if scopes.contains(&Scope::All) {
            return self.rescan_all();
        }
        scopes.iter().fold(Rescan::Unchanged, |rescan, scope| {
            let part = match scope {
                Scope::All => None,
                Scope::Account(tier, id) => self.tree(*tier).map(|tree| tree.rescan_account(*id)),
                Scope::Organization(tier) => self.tree(*tier).map(Tree::rescan_organization),
            };
            rescan.or(part.unwrap_or(Rescan::Unchanged))
        })
    }

    /// The part of the directory that a changed path belongs to; none for what is never read.
    pub fn scope(&self, path: &Path) -> Option<Scope> {
        let Ok(inside) = path.strip_prefix(&self.root) else { return Some(Scope::All) };
        let names: Option<Vec<&str>> = inside.iter().map(|name| name.to_str()).collect();
        let Some(mut names) = names.as_deref() else { return Some(Scope::All) };
        // The links of a `ConfigMap` lead through `..data`, whatever is behind it.
        if names.iter().any(|name| name.starts_with("..")) {
            return Some(Scope::All);
        }
        if names.iter().any(|name| disk::is_ignored(name)) {
            return None;
        }
        let mut tier = Tier::Enforced;
        if let ([CANDIDATE, inside @ ..], Some(_)) = (names, &self.candidate) {
            (tier, names) = (Tier::Candidate, inside);
        }
        Some(match names {
            [ACCOUNTS, id, ..] => match AccountId::parse(id) {
                Ok(id) => Scope::Account(tier, id),
                Err(_) => Scope::All,
            },
            ["organization.yaml" | "organization", ..] => Scope::Organization(tier),
            _ => Scope::All,
        })
    }

    /// All sets; those of a tree in which nothing changed are the ones of the call before.
    ///
    /// # Errors
    /// Something is wrong in any of the trees.
    pub fn sets(
        &mut self,
        mode: Mode,
        unknown_callers: UnknownCallers,
    ) -> Result<PolicySets, DirectoryError> {
        if self.all_findings().any(|finding| finding.severity == Severity::Error) {
            return Err(DirectoryError { findings: self.findings() });
        }
        let enforced = self.enforced.set(unknown_callers);
        let candidate = self.candidate.as_mut().map(|tree| tree.set(unknown_callers));
        Ok(PolicySets { mode, enforced, candidate })
    }

    /// The enforced set alone, if nothing is wrong with its tree.
    pub fn enforced(&mut self, unknown_callers: UnknownCallers) -> Option<Arc<PolicySet>> {
        let is_wrong = self.enforced.findings().any(|it| it.severity == Severity::Error);
        (!is_wrong).then(|| self.enforced.set(unknown_callers))
    }

    /// What is wrong or doubtful, errors first if there is too much of it.
    pub fn findings(&self) -> Vec<Finding> {
        let of = |severity| {
            self.all_findings()
                .filter(move |it| it.severity == severity)
                .take(FINDINGS_MAX)
                .cloned()
        };
        let mut findings: Vec<Finding> = of(Severity::Error).chain(of(Severity::Warning)).collect();
        findings.sort_by(|a, b| (&a.file, a.at, a.severity).cmp(&(&b.file, b.at, b.severity)));
        findings
    }

    fn all_findings(&self) -> impl Iterator<Item = &Finding> {
        self.enforced.findings().chain(self.candidate.iter().flat_map(Tree::findings))
    }

    fn rescan_all(&mut self) -> Rescan {
        let mut rescan = self.enforced.rescan();
        let root = self.root.join(CANDIDATE);
        if !root.is_dir() {
            let gone = self.candidate.take().is_some();
            return if gone { Rescan::Changed } else { rescan };
        }
        let candidate = self.candidate.get_or_insert_with(|| {
            rescan = Rescan::Changed;
            Tree::new(root, Kind::Candidate, self.lints)
        });
        let of_candidate = candidate.rescan();
        rescan.or(of_candidate)
    }

    fn tree(&mut self, tier: Tier) -> Option<&mut Tree> {
        match tier {
            Tier::Candidate => self.candidate.as_mut(),
            Tier::Enforced => Some(&mut self.enforced),
        }
    }
}

impl Rescan {
    /// Whether either changed something.
    pub fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Unchanged, Self::Unchanged) => Self::Unchanged,
            (Self::Changed, Self::Changed | Self::Unchanged) | (Self::Unchanged, Self::Changed) => {
                Self::Changed
            }
        }
    }
}

impl DirectoryError {
    /// One error about a whole file or folder.
    fn about(path: &Path, message: &str, hint: Option<&str>) -> Self {
        Self { findings: vec![Place::start(path).error(message, hint)] }
    }
}

impl fmt::Display for DirectoryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_error = |finding: &&Finding| finding.severity == Severity::Error;
        let errors = self.findings.iter().filter(is_error);
        for (index, finding) in errors.clone().take(SHOWN_MAX).enumerate() {
            if index != 0 {
                f.write_str("\n")?;
            }
            finding.fmt(f)?;
        }
        match errors.count().checked_sub(SHOWN_MAX) {
            None | Some(0) => Ok(()),
            Some(more) => write!(f, "\nand {more} more"),
        }
    }
}

impl std::error::Error for DirectoryError {}

/// The most findings of one severity that are told.
const FINDINGS_MAX: usize = 1_000;

/// The most errors that a refusal repeats.
const SHOWN_MAX: usize = 20;

#[cfg(test)]
mod tests;
