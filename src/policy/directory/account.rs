//! One account's folder: which files it has, and what they make together.
//!
//! Flows in: the folder. Flows out: the account's policies, which stay the same value for as long
//! as no file of the account changes.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use foldhash::fast::FixedState;

use crate::config::finding::{Finding, Severity};
use crate::iam::{AccountId, Arn};
use crate::policy::directory::disk::{self, Age, Digest, Entry, FileVersion, Form};
use crate::policy::directory::file::{File, Place};
use crate::policy::directory::parts::{self, Placed, RoleLimits};
use crate::policy::directory::{Rescan, details};
use crate::policy::lint::Home;
use crate::policy::principal::last_part;
use crate::policy::set::{
    AccountParts, AccountPolicies, KeyEntry, PrincipalEntry, ResourceEntry, compared,
};

/// An account as it was read last.
#[derive(Debug)]
pub(super) struct Account {
    id: AccountId,
    folder: PathBuf,
    files: BTreeMap<PathBuf, Known>,
    listing: Vec<Finding>,
    policies: Option<Arc<AccountPolicies>>,
    // Of all files together.
    findings: Vec<Finding>,
}

/// A file as it was read last.
#[derive(Debug)]
struct Known {
    /// `None` for a file that could not be read.
    read: Option<(FileVersion, Age, Digest)>,
    content: Option<Content>,
    findings: Vec<Finding>,
}

/// What a file has.
#[derive(Debug)]
enum Content {
    Details(details::Principals),
    Key(Placed<Arc<KeyEntry>>),
    Profile(Placed<Arc<PrincipalEntry>>),
    Resource(Placed<Arc<ResourceEntry>>),
    Role(Placed<RoleLimits>),
}

/// A file that is to be read, whose it is, and whether its documents are looked through.
#[derive(Clone, Copy, Debug)]
struct What<'h> {
    about: About,
    account: AccountId,
    home: Option<Home<'h>>,
}

/// What a file is about, by its place in the folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum About {
    Details,
    Key,
    Profile,
    Resource,
    Role,
}

impl Account {
    /// Reads a folder for the first time; with a home, documents are looked through.
    pub(super) fn read(id: AccountId, folder: PathBuf, home: Option<Home<'_>>) -> Self {
        let mut account = Self {
            id,
            folder,
            files: BTreeMap::new(),
            listing: Vec::new(),
            policies: None,
            findings: Vec::new(),
        };
        // The first look is assembled whatever it finds.
        let _ = account.refresh(home);
        account.assemble();
        account
    }

    /// Reads what changed since.
    pub(super) fn rescan(&mut self, home: Option<Home<'_>>) -> Rescan {
        let rescan = self.refresh(home);
        if rescan == Rescan::Changed {
            self.assemble();
        }
        rescan
    }

    /// The account's policies, if nothing is wrong with any of its files.
    pub(super) fn policies(&self) -> Option<&Arc<AccountPolicies>> {
        self.policies.as_ref()
    }

    /// All that is wrong or doubtful.
    pub(super) fn findings(&self) -> impl Iterator<Item = &Finding> {
        let files = self.files.values().flat_map(|known| &known.findings);
        self.listing.iter().chain(files).chain(&self.findings)
    }

    fn refresh(&mut self, home: Option<Home<'_>>) -> Rescan {
        let mut listing = Vec::new();
        let files = listed(&self.folder, &mut listing);
        let mut before = std::mem::take(&mut self.files);
        let mut is_changed = listing != self.listing;
        for (path, about) in files {
            let what = What { about, account: self.id, home };
            let (known, rescan) = Known::read(before.remove(&path), &path, what);
            is_changed |= rescan == Rescan::Changed;
            self.files.insert(path, known);
        }
        self.listing = listing;
        // What is left was there before and is no more.
        if is_changed || !before.is_empty() { Rescan::Changed } else { Rescan::Unchanged }
    }

    fn assemble(&mut self) {
        self.findings.clear();
        self.policies = None;
        if self.findings().any(|finding| finding.severity == Severity::Error) {
            return;
        }
        let contents = self.files.values().filter_map(|known| known.content.as_ref());
        let (parts, mut findings) = parts_of(contents);
        if !findings.iter().any(|finding| finding.severity == Severity::Error) {
            match AccountPolicies::new(self.id, parts) {
                Ok(policies) => {
                    findings.extend(self.overlaps(&policies));
                    findings.extend(self.profiles_alone());
                    self.policies = Some(Arc::new(policies));
                }
                Err(error) => {
                    findings.push(Place::start(&self.folder).error(error.to_string(), None));
                }
            }
        }
        self.findings = findings;
    }

    /// Profiles make the account's principals known, so that all others have no policies.
    fn profiles_alone(&self) -> Option<Finding> {
        let mut contents = self.files.values().filter_map(|known| known.content.as_ref());
        let is_told = contents.clone().any(|it| matches!(it, Content::Details(_)));
        let has_profiles = contents.any(|it| matches!(it, Content::Profile(_)));
        (has_profiles && !is_told).then(|| {
            let message = format!("profiles and no `{DETAILS}`: others here have no policies");
            let hint = "put one with empty lists here if that is meant";
            Place::start(&self.folder).warning(message, hint)
        })
    }

    /// Resources that a wider pattern means too.
    fn overlaps(&self, policies: &AccountPolicies) -> Vec<Finding> {
        let contents = self.files.values().filter_map(|known| known.content.as_ref());
        let overlaps = contents.filter_map(|content| {
            let Content::Resource(Placed { entry, place }) = content else { return None };
            let wider = policies.wider(entry)?;
            let message = format!(
                "`{}` is also meant by `{}` of `{}`; the more specific counts",
                entry.pattern, wider.pattern, wider.file
            );
            Some(place.warning(message, "policy, key and tags of the wider one do not count here"))
        });
        overlaps.collect()
    }
}

impl Known {
    /// The file now, compiled anew only if its content is another.
    fn read(known: Option<Self>, path: &Path, what: What<'_>) -> (Self, Rescan) {
        let is_certain = known.as_ref().is_some_and(|known| known.is_certain(path));
        match (known, is_certain) {
            (Some(known), true) => (known, Rescan::Unchanged),
            (known, _) => Self::read_again(known, path, what),
        }
    }

    fn read_again(known: Option<Self>, path: &Path, what: What<'_>) -> (Self, Rescan) {
        let content = match disk::read(path) {
            Ok(content) => content,
            Err(finding) => {
                let findings = vec![finding];
                let is_same = known.is_some_and(|known| known.findings == findings);
                let rescan = if is_same { Rescan::Unchanged } else { Rescan::Changed };
                return (Self { read: None, content: None, findings }, rescan);
            }
        };
        let read = Some((content.version, content.age, content.digest));
        if let Some(known) = known
            && known.read.is_some_and(|(_, _, digest)| digest == content.digest)
        {
            return (Self { read, ..known }, Rescan::Unchanged);
        }
        let path: Arc<Path> = path.into();
        let mut file = File::linted(&path, &content.text, what.home);
        let content = what.about.parse(&mut file, what.account);
        (Self { read, content, findings: file.into_findings() }, Rescan::Changed)
    }

    /// Whether the file is the one that was read, without reading it again.
    fn is_certain(&self, path: &Path) -> bool {
        match self.read {
            Some((version, Age::Settled, _)) => {
                FileVersion::of(path).is_ok_and(|now| now == version)
            }
            Some((_, Age::Fresh, _)) | None => false,
        }
    }
}

impl About {
    const FOLDERS: [(&'static str, Self); 4] = [
        ("keys", Self::Key),
        ("profiles", Self::Profile),
        ("resources", Self::Resource),
        ("roles", Self::Role),
    ];

    fn parse(self, file: &mut File<'_>, account: AccountId) -> Option<Content> {
        match self {
            Self::Details => details::read(file, account).map(Content::Details),
            Self::Key => parts::key(file, account).map(Content::Key),
            Self::Profile => parts::profile(file, account).map(Content::Profile),
            Self::Resource => parts::resource(file, account).map(Content::Resource),
            Self::Role => parts::role(file, account).map(Content::Role),
        }
    }
}

/// The files of an account's folder and what they are about.
fn listed(folder: &Path, findings: &mut Vec<Finding>) -> Vec<(PathBuf, About)> {
    let mut files = Vec::new();
    for Entry { name, path, form } in disk::list(folder, findings) {
        let about = About::FOLDERS.iter().find(|(known, _)| *known == name);
        match (form, about) {
            (Form::File, _) if name == DETAILS => files.push((path, About::Details)),
            (Form::Folder, Some((_, about))) => {
                for entry in disk::list(&path, findings) {
                    if disk::is_json(&entry) {
                        files.push((entry.path, *about));
                    } else {
                        findings.push(disk::unexpected(&entry.path));
                    }
                }
            }
            (Form::File | Form::Folder, _) => findings.push(disk::unexpected(&path)),
        }
    }
    files
}

/// The parts of all files together, and what is there twice.
fn parts_of<'c>(contents: impl Iterator<Item = &'c Content>) -> (AccountParts, Vec<Finding>) {
    let mut parts = AccountParts::default();
    let mut names = Names::default();
    let mut limits = Vec::new();
    for content in contents {
        match content {
            Content::Details(principals) => {
                names.roles(&principals.entries);
                let known = parts.principals.get_or_insert_default();
                known.extend(principals.entries.iter().cloned());
                parts.managed.extend(principals.managed.iter().cloned());
            }
            Content::Profile(Placed { entry, place }) => {
                names.once("profile", entry.id.to_string(), &entry.id, place);
                parts.principals.get_or_insert_default().push(Arc::clone(entry));
            }
            Content::Key(Placed { entry, place }) => {
                names.once("key", compared(&entry.arn), &entry.arn, place);
                parts.keys.push(Arc::clone(entry));
            }
            Content::Resource(Placed { entry, place }) => {
                names.once("resource", compared(&entry.pattern), &entry.pattern, place);
                parts.resources.push(Arc::clone(entry));
            }
            Content::Role(role) => limits.push(role),
        }
    }
    limit_sessions(&mut parts, limits, &mut names);
    (parts, names.findings)
}

/// Gives roles the longest sessions that their own files tell.
fn limit_sessions(parts: &mut AccountParts, limits: Vec<&Placed<RoleLimits>>, names: &mut Names) {
    let mut by_arn = BTreeMap::new();
    for role in limits {
        let Placed { entry: RoleLimits { arn, session_seconds_max }, place } = role;
        names.once("role", arn.to_string(), arn, place);
        by_arn.insert(&**arn, (*session_seconds_max, place));
    }
    for principal in parts.principals.iter_mut().flatten() {
        if let Some((seconds, _)) = by_arn.remove(&*principal.arn) {
            Arc::make_mut(principal).session_seconds_max = Some(seconds);
        }
    }
    names.findings.extend(by_arn.into_iter().map(|(arn, (_, place))| {
        place.warning(
            format!("the role `{arn}` is not in `{DETAILS}`"),
            "a role's own file only adds to what is there",
        )
    }));
}

/// Names that were there, by their kind, and what is wrong with others.
#[derive(Default)]
struct Names {
    seen: HashMap<(&'static str, String), Option<Arc<Path>>, FixedState>,
    findings: Vec<Finding>,
}

impl Names {
    fn once(&mut self, kind: &'static str, key: String, name: &str, place: &Place) {
        let file = Some(Arc::clone(&place.file));
        if let Some(first) = self.seen.insert((kind, key), file) {
            let first = first.as_deref().map_or(DETAILS.into(), |file| file.display().to_string());
            self.findings.push(
                place.error(format!("`{name}` is there twice; the first is in `{first}`"), None),
            );
        }
    }

    /// The names of roles that profiles must not have; whether each is there once, its file told.
    fn roles(&mut self, principals: &[Arc<PrincipalEntry>]) {
        for name in principals.iter().filter_map(|entry| role_name(&entry.arn)) {
            self.seen.insert(("profile", name.to_owned()), None);
        }
    }
}

fn role_name(arn: &str) -> Option<&str> {
    Arn::parse(arn)?.resource().strip_prefix("role/").map(last_part)
}

const DETAILS: &str = "authorization-details.json";
