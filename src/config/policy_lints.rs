//! Policies that are right one by one and doubtful together, with the settings, or with the roles to
//! watch.
//!
//! Flows in: the policies, `settings.yaml`, the configuration. Flows out: warnings.

use std::fs;
use std::path::Path;

use crate::config::Config;
use crate::config::finding::{Finding, Findings, Span};
use crate::config::node::{self, Node};
use crate::iam::{AccountId, Arn};
use crate::policy::lint::{self, AllowlistUse, SetFinding};
use crate::policy::set::PolicySet;

/// What is doubtful in the policies in force, in allowlists that they have no use for, and in roles to
/// watch that they do not have.
pub(super) fn check(config: &Config, set: &PolicySet) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut doubts = lint::set(set).into_iter().peekable();
    // They come in the order of files, so that each file is read once.
    while let Some(first) = doubts.next() {
        let file = first.file.clone();
        let rest = std::iter::from_fn(|| doubts.next_if(|it| it.file == file));
        found.extend(in_file(Path::new(&*file), std::iter::once(first).chain(rest)));
    }
    found.extend(allowlists(config, set));
    found.extend(break_glass(config, set));
    found
}

fn in_file(file: &Path, doubts: impl Iterator<Item = SetFinding>) -> Vec<Finding> {
    // The text is for the excerpt only: without it the place still stands.
    let text = fs::read_to_string(file).unwrap_or_default();
    let mut findings = Findings::new(file, &text);
    for it in doubts {
        let at = |number: u32| usize::try_from(number).unwrap_or(1).max(1);
        let at = Span { line: at(it.line), column: at(it.column), width: 1 };
        findings.warn(at, it.message, it.hint);
    }
    findings.into_sorted()
}

/// Accounts that come in and that no policy lets reach anything.
fn allowlists(config: &Config, set: &PolicySet) -> Vec<Finding> {
    let Some(file) = &config.settings_file else { return Vec::new() };
    // What can't be read is told by the settings' own checks.
    let text = fs::read_to_string(file).unwrap_or_default();
    let mut findings = Findings::new(file, &text);
    if TEXT_BYTES_MAX < text.len() {
        return Vec::new();
    }
    let Some(document) = node::read(&text, NODES_MAX, &mut Findings::new(file, &text)) else {
        return Vec::new();
    };
    for entry in document.get("accounts").map(Node::as_table).unwrap_or_default() {
        let Ok(owner) = AccountId::parse(&entry.key) else { continue };
        for listed in allowlisted(&entry.node) {
            let account = listed.as_text().and_then(|text| AccountId::parse(text).ok());
            let Some(account) = account.filter(|it| *it != owner) else { continue };
            if lint::allowlist_use(set, owner, account) == AllowlistUse::Unused {
                findings.warn(
                    listed.at,
                    format!("no policy of account `{owner}` lets account `{account}` in"),
                    "it comes in and reaches nothing: remove it, or grant it something",
                );
            }
        }
    }
    findings.into_sorted()
}

/// Roles whose every use is to be told, and that nobody can use: their names are wrong.
fn break_glass(config: &Config, set: &PolicySet) -> Vec<Finding> {
    let roles = config.sts.as_ref().map_or(&[][..], |sts| &sts.rules.watch.break_glass);
    let is_here = |role: &str| {
        Arn::parse(role).and_then(|arn| set.role(arn)).is_some_and(|it| *it.arn == *role)
    };
    if roles.iter().all(|role| is_here(role)) {
        return Vec::new();
    }
    // The text is for the places: the configuration was read from it.
    let text = fs::read_to_string(&config.file).unwrap_or_default();
    let mut findings = Findings::new(&config.file, &text);
    if TEXT_BYTES_MAX < text.len() {
        return Vec::new();
    }
    let root = node::read(&text, NODES_MAX, &mut Findings::new(&config.file, &text));
    let watch = root.as_ref().and_then(|it| it.get("sts")?.get("watch")?.get("break_glass"));
    let listed = watch.map(Node::as_list).unwrap_or_default();
    for (node, role) in listed.iter().zip(roles).filter(|(_, role)| !is_here(role)) {
        let other = Arn::parse(role).and_then(|arn| set.role(arn));
        let hint = match other {
            Some(other) => format!("did you mean `{}`?", other.arn),
            None => "as its account's policies have it: the role's ARN with its path".to_owned(),
        };
        let message =
            format!("the policies have no role `{}`: its use can never be told", node.written());
        findings.warn(node.at, message, hint);
    }
    findings.into_sorted()
}

/// The entries of all allowlists of an account's setting in force.
fn allowlisted(setting: &Node) -> impl Iterator<Item = &Node> {
    let types = crate::iam::IdentityType::ALL.into_iter().filter_map(|it| setting.get(it.as_str()));
    let lists = std::iter::once(setting).chain(types).filter_map(|it| it.get("allowlist"));
    lists.flat_map(Node::as_list)
}

/// The largest settings that are looked through: some 200,000 accounts.
const TEXT_BYTES_MAX: usize = 16 << 20;

/// A node takes at least two bytes with what parts it from the next, and usually eight.
const NODES_MAX: usize = TEXT_BYTES_MAX / 4;
