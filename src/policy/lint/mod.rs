//! Looks for policies that are valid and probably not meant.
//!
//! Flows in: one document, or a whole set. Flows out: warnings. Decides nothing, and what it says
//! of patterns is said only where it is sure.

mod conditions;
mod grants;
mod keys;
mod operator;
mod set;
mod trust;
mod unreachable;

pub use set::{AllowlistUse, SetFinding, allowlist_use, set};

use crate::iam::{AccountId, Arn};
use crate::policy::document::{Document, EntryKind, PrincipalEntry, Statement, Text};
use crate::policy::finding::{FINDINGS_MAX, PolicyFinding, Severity};
use crate::policy::principal::is_unique_id;
use crate::policy::set::Organization;

/// Whose document is looked at.
#[derive(Clone, Copy, Debug, Default)]
pub struct Home<'a> {
    /// The account that it belongs to, where that is known.
    pub account: Option<&'a str>,
    /// The account's organization: its accounts are no third parties.
    pub organization: Option<&'a Organization>,
}

/// What is doubtful in one document, in order of the places; of very much the first part and how
/// much more there is.
pub fn document(document: &Document, home: Home<'_>) -> Vec<PolicyFinding> {
    let mut findings = Vec::new();
    grants::check(document, &mut findings);
    trust::check(document, home, &mut findings);
    conditions::check(document, &mut findings);
    unreachable::check(document, &mut findings);
    findings.sort_by_key(|finding| finding.offset);
    let omitted = findings.len().saturating_sub(FINDINGS_MAX);
    findings.truncate(FINDINGS_MAX);
    if let Some(last) = findings.last().filter(|_| 0 < omitted) {
        findings.push(PolicyFinding::more(Severity::Warning, last.offset, omitted));
    }
    findings
}

impl Home<'_> {
    /// Whether an account belongs to somebody else; `false` where that is not known.
    fn is_third_party(&self, account: &str) -> bool {
        let Some(own) = self.account else { return false };
        let id = AccountId::parse(account).ok();
        let is_member = |it: &Organization| {
            id.is_some_and(|id| it.management_account == Some(id) || it.accounts.contains_key(&id))
        };
        own != account && !self.organization.is_some_and(is_member)
    }
}

fn warn(at: &Text, message: impl Into<String>, hint: impl Into<String>) -> PolicyFinding {
    warn_at(at.offset, at.len, message, hint)
}

fn warn_at(
    offset: usize,
    len: usize,
    message: impl Into<String>,
    hint: impl Into<String>,
) -> PolicyFinding {
    PolicyFinding::warning(offset, len, message).with_hint(hint)
}

/// The bytes of an element's name with its quotes.
fn quoted_len(name: &str) -> usize {
    name.len() + 2
}

/// Whether an entry means everybody.
fn is_everyone(entry: &PrincipalEntry) -> bool {
    match entry.kind {
        EntryKind::Everyone => true,
        EntryKind::Aws => &*entry.value.text == "*",
        EntryKind::CanonicalUser | EntryKind::Federated | EntryKind::Service => false,
    }
}

/// The account that an `AWS` entry is of, and whether the entry means the whole of it.
fn account_of(entry: &PrincipalEntry) -> Option<(&str, Extent)> {
    if entry.kind != EntryKind::Aws {
        return None;
    }
    let Some(arn) = Arn::parse(&entry.value.text) else {
        AccountId::parse(&entry.value.text).ok().filter(|id| !is_unique_id(id.as_str()))?;
        return Some((&entry.value.text, Extent::Account));
    };
    let extent = if arn.resource() == "root" { Extent::Account } else { Extent::Principal };
    (!arn.account().is_empty()).then_some((arn.account(), extent))
}

/// How much of an account an entry means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Extent {
    /// All of it.
    Account,
    /// One of its principals.
    Principal,
}

/// A statement's name for people: its `Sid`, else its place.
fn named(document: &Document, statement: &Statement) -> String {
    if let Some(sid) = statement.sid.as_ref().filter(|sid| !sid.text.is_empty()) {
        return format!("`{}`", sid.text);
    }
    let before = document.statements.iter().take_while(|it| it.offset < statement.offset);
    before.count().saturating_add(1).to_string()
}
