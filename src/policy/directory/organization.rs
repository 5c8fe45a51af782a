//! `organization.yaml` and its documents: which guardrails each account has.
//!
//! Flows in: the files. Flows out: the organization, flattened, or findings. All of it is read
//! again when any of its files changes: it is small.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use foldhash::fast::FixedState;

use crate::config::finding::{Finding, Findings, Span, meant};
use crate::config::node::{self, Entry as Pair, Node, Value};
use crate::iam::AccountId;
use crate::policy::directory::disk::{self, Age, Digest, FileVersion};
use crate::policy::directory::file::{File, Place};
use crate::policy::directory::{Lints, Rescan};
use crate::policy::document::PolicyType;
use crate::policy::lint::Home;
use crate::policy::question::Level;
use crate::policy::set::{Membership, Organization};
use crate::policy::statement::CompiledPolicy;

/// The organization as it was read last.
#[derive(Debug, Default)]
pub(super) struct OrganizationFiles {
    versions: Vec<(PathBuf, Option<(FileVersion, Age)>)>,
    digest: Digest,
    organization: Option<Arc<Organization>>,
    findings: Vec<Finding>,
}

impl OrganizationFiles {
    /// Reads all of it, if anything changed; says whether it did.
    pub(super) fn rescan(&mut self, tree: &Path, lints: Lints) -> Rescan {
        let mut findings = Vec::new();
        let files = listed(tree, &mut findings);
        let now: Vec<_> = files.iter().map(|path| (path, FileVersion::of(path).ok())).collect();
        let known = self.versions.iter().map(|(path, read)| {
            // What is fresh could have changed without looking so.
            let settled = read.filter(|(_, age)| *age == Age::Settled);
            (path, settled.map(|(version, _)| version))
        });
        let is_read = !now.is_empty() && self.versions.iter().all(|(_, read)| read.is_some());
        if is_read && findings.is_empty() && known.eq(now) {
            return Rescan::Unchanged;
        }
        let mut texts = BTreeMap::new();
        let mut digests = Vec::new();
        self.versions.clear();
        for path in files {
            match disk::read(&path) {
                Ok(content) => {
                    digests.extend_from_slice(path.as_os_str().as_encoded_bytes());
                    digests.extend_from_slice(&content.digest);
                    self.versions.push((path.clone(), Some((content.version, content.age))));
                    texts.insert(path, content.text);
                }
                Err(finding) => {
                    digests.extend_from_slice(finding.message.as_bytes());
                    self.versions.push((path, None));
                    findings.push(finding);
                }
            }
        }
        for finding in &findings {
            digests.extend_from_slice(finding.message.as_bytes());
            digests.extend_from_slice(finding.file.as_os_str().as_encoded_bytes());
        }
        let digest = disk::digest_of(&digests);
        if digest == self.digest {
            return Rescan::Unchanged;
        }
        self.digest = digest;
        self.organization = read(tree, &texts, lints, &mut findings).map(Arc::new);
        self.findings = findings;
        Rescan::Changed
    }

    /// The organization, where one is described.
    pub(super) fn organization(&self) -> Option<&Arc<Organization>> {
        self.organization.as_ref()
    }

    /// All that is wrong or doubtful.
    pub(super) fn findings(&self) -> &[Finding] {
        &self.findings
    }
}

/// The files of an organization: the YAML, if it is there, and all documents.
fn listed(tree: &Path, findings: &mut Vec<Finding>) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let main = tree.join(MAIN);
    match disk::is_there(&main) {
        Ok(true) => files.push(main),
        Ok(false) => {}
        Err(error) => findings.push(disk::unreadable(&main, &error)),
    }
    for entry in disk::list(&tree.join(FOLDER), findings) {
        if disk::is_json(&entry) {
            files.push(entry.path);
        } else {
            findings.push(disk::unexpected(&entry.path));
        }
    }
    files
}

fn read(
    tree: &Path,
    texts: &BTreeMap<PathBuf, String>,
    lints: Lints,
    findings: &mut Vec<Finding>,
) -> Option<Organization> {
    let main = tree.join(MAIN);
    let Some(text) = texts.get(&main) else {
        // Guardrails that nobody applies are no doubt: they are off.
        let unused = texts.keys().map(|path| {
            let hint = format!("`{MAIN}` says where it applies; without one, remove it");
            Place::start(path).error("there is no organization that it could be of", Some(&hint))
        });
        findings.extend(unused);
        return None;
    };
    let mut own = Findings::new(&main, text);
    let root = node::read(text, NODES_MAX, &mut own);
    let mut reader = Reader::new(tree, texts, lints, own);
    let organization = root.and_then(|root| reader.organization(&root));
    findings.extend(reader.into_findings());
    organization
}

/// Reads an organization level by level.
struct Reader<'t> {
    folder: PathBuf,
    texts: &'t BTreeMap<PathBuf, String>,
    lints: Lints,
    findings: Findings,
    of_documents: Vec<Finding>,
    compiled: HashMap<(PathBuf, PolicyType), Option<Arc<CompiledPolicy>>, FixedState>,
    uses: Uses,
    organization: Organization,
}

/// Which kinds of guardrails are in use: one that no level names is off.
#[derive(Clone, Copy, Debug, Default)]
struct Uses {
    scps: Use,
    rcps: Use,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Use {
    #[default]
    Off,
    On,
}

/// What holds from the root down to some level.
#[derive(Clone, Debug, Default)]
struct Above {
    scp: Vec<Level>,
    rcp: Vec<Level>,
    names: Vec<Box<str>>,
    path: String,
    depth: usize,
}

impl<'t> Reader<'t> {
    fn new(
        tree: &Path,
        texts: &'t BTreeMap<PathBuf, String>,
        lints: Lints,
        findings: Findings,
    ) -> Self {
        Self {
            folder: tree.join(FOLDER),
            texts,
            lints,
            findings,
            of_documents: Vec::new(),
            compiled: HashMap::default(),
            uses: Uses::default(),
            organization: Organization::default(),
        }
    }

    fn organization(&mut self, root: &Node) -> Option<Organization> {
        self.table(root, "the organization", &["id", "management_account", "root"])?;
        let id = self.required_text(root, "id").unwrap_or_default();
        if !id.starts_with("o-") && !id.is_empty() {
            let at = root.get("id").map_or(root.at, |node| node.at);
            self.findings.error_hint(at, format!("`{id}` is no organization"), "like `o-example`");
        }
        self.organization.id = id.as_str().into();
        if let Some(node) = root.get("management_account") {
            self.organization.management_account = self.account(node);
        }
        let Some(top) = root.get("root") else {
            self.findings.error(root.at, "the organization has no `root`");
            return None;
        };
        self.uses = Uses { scps: named(top, "scps"), rcps: named(top, "rcps") };
        let above = Above { path: format!("{id}/"), ..Above::default() };
        self.level(top, "root", &above);
        self.manage(&format!("{id}/root/"));
        self.unused();
        Some(std::mem::take(&mut self.organization))
    }

    /// The root or an organizational unit, and all below it.
    fn level(&mut self, node: &Node, name: &str, above: &Above) {
        let keys: &[&'static str] = match above.depth {
            0 => &["scps", "rcps", "accounts", "ous"],
            _ => &["name", "scps", "rcps", "accounts", "ous"],
        };
        if self.table(node, "a level of the organization", keys).is_none() {
            return;
        }
        let here = self.below(node, name, above);
        for account in self.list(node, "accounts") {
            self.member(account, &here);
        }
        for unit in self.list(node, "ous") {
            if here.depth > UNITS_DEPTH_MAX {
                let message = format!("units nest deeper than {UNITS_DEPTH_MAX}");
                self.findings.error(unit.at, message);
                return;
            }
            if let Some(name) = self.required_text(unit, "name") {
                self.level(unit, &name, &here);
            }
        }
    }

    /// What holds at a level and below.
    fn below(&mut self, node: &Node, name: &str, above: &Above) -> Above {
        let mut here = above.clone();
        here.depth = here.depth.saturating_add(1);
        here.names.push(name.into());
        here.path.push_str(name);
        here.path.push('/');
        self.guard(node, &mut here);
        here
    }

    /// Adds a level's guardrails. Without `scps` there is what AWS attaches by itself; an RCP never
    /// takes the place of the full access that is always there.
    fn guard(&mut self, node: &Node, here: &mut Above) {
        let scps = node.get("scps").map(|_| self.documents(node, "scps", PolicyType::Scp));
        if self.uses.scps == Use::On {
            here.scp.push(match scps {
                Some(policies) => policies.into(),
                None => self.full_access(PolicyType::Scp).into_iter().collect(),
            });
        }
        let rcps = self.documents(node, "rcps", PolicyType::Rcp);
        if self.uses.rcps == Use::On {
            here.rcp.push(self.full_access(PolicyType::Rcp).into_iter().chain(rcps).collect());
        }
    }

    /// An account: its id, or a mapping with guardrails of its own.
    fn member(&mut self, node: &Node, above: &Above) {
        let mut here = above.clone();
        let (id, at) = match &node.value {
            Value::Table(_) => {
                self.table(node, "an account", &["id", "scps", "rcps"]);
                let Some(id) = node.get("id") else {
                    self.findings.error(node.at, "an account has no `id`");
                    return;
                };
                let account = self.account(id);
                here.names.push(account.map(|id| id.to_string()).unwrap_or_default().into());
                self.guard(node, &mut here);
                (account, id.at)
            }
            Value::Null | Value::Scalar(_) | Value::List(_) => (self.account(node), node.at),
        };
        let Some(id) = id else { return };
        let membership = Membership {
            scp: here.scp.into(),
            rcp: here.rcp.into(),
            paths: Box::new([here.path.into()]),
            levels: here.names.into(),
        };
        if self.organization.accounts.insert(id, membership).is_some() {
            self.findings.error(at, format!("account `{id}` is there twice"));
        }
    }

    /// The management account is in the organization, and nothing limits it.
    fn manage(&mut self, path: &str) {
        let Some(account) = self.organization.management_account else { return };
        let member = self.organization.accounts.entry(account).or_default();
        if member.paths.is_empty() {
            member.paths = Box::new([path.into()]);
        }
        (member.scp, member.rcp, member.levels) = Default::default();
    }

    /// The documents of a list of file names.
    fn documents(
        &mut self,
        node: &Node,
        key: &str,
        policy_type: PolicyType,
    ) -> Vec<Arc<CompiledPolicy>> {
        let names: Vec<&Node> = self.list(node, key).iter().collect();
        let policies = names.into_iter().filter_map(|name| self.document(name, policy_type));
        policies.collect()
    }

    fn document(&mut self, node: &Node, policy_type: PolicyType) -> Option<Arc<CompiledPolicy>> {
        let Some(name) = node.as_text().filter(|name| !name.is_empty()) else {
            let message = format!("a document's file name, not {}", node.describe());
            self.findings.error(node.at, message);
            return None;
        };
        let path = self.folder.join(name);
        let Some((path, text)) = self.texts.get_key_value(&path).filter(|_| !name.contains('/'))
        else {
            let here = self.texts.keys().filter(|path| path.starts_with(&self.folder));
            let names: Vec<&str> = here.filter_map(|path| path.file_name()?.to_str()).collect();
            let hint = meant(name, names);
            let message = format!("there is no document `{name}` in `{FOLDER}/`");
            self.findings.error_hint(node.at, message, hint);
            return None;
        };
        let key = (path.clone(), policy_type);
        if let Some(compiled) = self.compiled.get(&key) {
            return compiled.clone();
        }
        let shared: Arc<Path> = path.as_path().into();
        // A guardrail says nothing of third parties, so that it does not matter whose it is.
        let home = match self.lints {
            Lints::Off => None,
            Lints::On => Some(Home::default()),
        };
        let mut file = File::linted(&shared, text, home);
        let compiled = file.root().and_then(|node| file.policy(&node, name, policy_type));
        self.of_documents.extend(file.into_findings());
        self.compiled.insert(key, compiled.clone());
        compiled
    }

    /// What AWS attaches by itself; under its own name, and from no file.
    fn full_access(&mut self, policy_type: PolicyType) -> Option<Arc<CompiledPolicy>> {
        let key = (PathBuf::new(), policy_type);
        if let Some(compiled) = self.compiled.get(&key) {
            return compiled.clone();
        }
        let (name, text) = match policy_type {
            PolicyType::Rcp => ("RCPFullAWSAccess", RCP_FULL_ACCESS),
            _ => ("FullAWSAccess", SCP_FULL_ACCESS),
        };
        let path: Arc<Path> = Path::new("").into();
        let mut file = File::new(&path, text);
        let compiled = file.root().and_then(|node| file.policy(&node, name, policy_type));
        self.of_documents.extend(file.into_findings());
        self.compiled.insert(key, compiled.clone());
        compiled
    }

    /// Documents that no level names.
    fn unused(&mut self) {
        let all = self.texts.keys().filter(|path| path.starts_with(&self.folder));
        for path in all {
            let is_used = PolicyType::ALL
                .into_iter()
                .any(|policy_type| self.compiled.contains_key(&(path.clone(), policy_type)));
            if !is_used {
                let hint = format!("name it in `{MAIN}`, or remove it");
                let warning =
                    Place::start(path).warning("no level of the organization names it", &hint);
                self.of_documents.push(warning);
            }
        }
    }

    fn account(&mut self, node: &Node) -> Option<AccountId> {
        let Some(text) = node.as_text() else {
            let message = format!("an account, not {}", node.describe());
            self.findings.error(node.at, message);
            return None;
        };
        match AccountId::parse(text) {
            Ok(account) => Some(account),
            Err(error) => {
                self.findings.error(node.at, format!("`{text}`: {error}"));
                None
            }
        }
    }

    fn table<'n>(
        &mut self,
        node: &'n Node,
        what: &str,
        known: &[&'static str],
    ) -> Option<&'n [Pair]> {
        let Value::Table(entries) = &node.value else {
            self.findings.error(node.at, format!("{what} is a mapping, not {}", node.describe()));
            return None;
        };
        for entry in entries {
            if !known.contains(&entry.key.as_str()) {
                let message = format!("unknown key `{}` in {what}", entry.key);
                let hint = meant(&entry.key, known.iter().copied());
                self.findings.error_hint(entry.key_at, message, hint);
            }
        }
        Some(entries)
    }

    fn list<'n>(&mut self, node: &'n Node, key: &str) -> &'n [Node] {
        match node.get(key) {
            None => &[],
            Some(Node { value: Value::List(nodes), .. }) => nodes,
            Some(node) => {
                let message = format!("`{key}` is a list, not {}", node.describe());
                self.findings.error_hint(node.at, message, "write `[]` for an empty one");
                &[]
            }
        }
    }

    fn required_text(&mut self, node: &Node, key: &str) -> Option<String> {
        let at = |node: Option<&Node>, or: Span| node.map_or(or, |node| node.at);
        let found = node.get(key);
        let text = found.and_then(Node::as_text).filter(|text| !text.is_empty());
        if text.is_none() {
            let message = match found {
                None => format!("`{key}` is missing"),
                Some(found) => format!("`{key}` is a text, not {}", found.describe()),
            };
            self.findings.error(at(found, node.at), message);
        }
        text.map(str::to_owned)
    }

    fn into_findings(self) -> Vec<Finding> {
        let mut findings = self.findings.into_sorted();
        findings.extend(self.of_documents);
        findings
    }
}

/// Whether a key is anywhere at or below a level.
fn named(node: &Node, key: &str) -> Use {
    let below = node.as_table().iter().filter(|entry| matches!(&*entry.key, "accounts" | "ous"));
    let mut below = below.flat_map(|entry| entry.node.as_list());
    if node.get(key).is_some() || below.any(|node| named(node, key) == Use::On) {
        Use::On
    } else {
        Use::Off
    }
}

/// The organization's own file.
pub(super) const MAIN: &str = "organization.yaml";

const FOLDER: &str = "organization";

/// The most nodes of `organization.yaml`: some 100,000 accounts.
const NODES_MAX: usize = 500_000;

/// AWS nests five deep.
const UNITS_DEPTH_MAX: usize = 10;

const SCP_FULL_ACCESS: &str = r#"{"Version":"2012-10-17","Statement":[
{"Sid":"FullAWSAccess","Effect":"Allow","Action":"*","Resource":"*"}]}"#;

const RCP_FULL_ACCESS: &str = r#"{"Version":"2012-10-17","Statement":[
{"Sid":"RCPFullAWSAccess","Effect":"Allow","Principal":"*","Action":"*","Resource":"*"}]}"#;

#[cfg(test)]
mod tests;
