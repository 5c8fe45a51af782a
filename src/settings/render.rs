//! Settings as YAML text.

use std::fmt::Write as _;
use std::sync::Arc;

use super::block::{Block, Members};
use crate::iam::{AccountId, IdentityType};
use crate::perimeter::{AccountSet, AccountSetting, SettingsIndex, TypeSetting};

/// The block that says a setting's enforced part with the fewest words.
pub(super) fn block_of(setting: &AccountSetting) -> Block {
    let level = common(setting);
    let types = IdentityType::ALL.map(|kind| {
        let own = setting.enforced(kind);
        (own != level).then(|| members(own))
    });
    Block { level: members(level), types, candidate: None }
}

/// The block that says a setting's candidate, if it has one.
pub(super) fn candidate_of(setting: &AccountSetting) -> Option<Block> {
    let types = IdentityType::ALL.map(|kind| setting.candidate(kind).map(members));
    let covered = types.iter().any(Option::is_some);
    covered.then(|| Block { types, ..Block::default() })
}

/// One account's entry, its key in the given column; no line end after it.
pub(super) fn entry(account: AccountId, block: &Block, column: usize, newline: &str) -> String {
    let lead = " ".repeat(column);
    let inner = column + 2;
    let mut text = format!("{lead}\"{account}\":");
    let mut line = |key: &str, value: &str| {
        let _ = write!(text, "{newline}{lead}  {key}: {value}");
    };
    if let Some(mode) = block.level.mode {
        line("mode", mode.as_str());
    }
    if let Some(list) = &block.level.allowlist {
        line("allowlist", &list_flow(list, inner));
    }
    for kind in IdentityType::ALL {
        if let Some(members) = block.of_type(kind) {
            line(kind.as_str(), &members_flow(members, inner));
        }
    }
    if let Some(candidate) = &block.candidate {
        line("candidate", &block_flow(candidate));
    }
    text
}

/// A whole document.
pub(super) fn document(index: &SettingsIndex) -> String {
    let default = full_block(index.default_setting());
    let mut text = format!("default: {}\naccounts:", block_flow(&default));
    let mut accounts: Vec<_> = index.iter().collect();
    accounts.sort_unstable_by_key(|(account, _)| *account);
    if accounts.is_empty() {
        text.push_str(" {}");
    }
    for (account, setting) in accounts {
        text.push('\n');
        text.push_str(&entry(account, &full_block(setting), 2, "\n"));
    }
    text.push('\n');
    text
}

/// A block on one line, if its lists are short.
pub(super) fn block_flow(block: &Block) -> String {
    let mut parts = member_parts(&block.level, 2);
    for kind in IdentityType::ALL {
        if let Some(members) = block.of_type(kind) {
            parts.push(format!("{}: {}", kind.as_str(), members_flow(members, 2)));
        }
    }
    if let Some(candidate) = &block.candidate {
        parts.push(format!("candidate: {}", block_flow(candidate)));
    }
    braced(&parts)
}

/// `{ mode: …, allowlist: […] }`, for a key in the given column.
pub(super) fn members_flow(members: &Members, column: usize) -> String {
    braced(&member_parts(members, column))
}

/// `["…", "…"]`, for a key in the given column; one a line when there are many.
pub(super) fn list_flow(list: &AccountSet, column: usize) -> String {
    let mut sorted: Vec<AccountId> = list.iter().copied().collect();
    sorted.sort_unstable();
    let lead = if sorted.len() <= LINE_ENTRIES_MAX {
        String::new()
    } else {
        format!("\n{}", " ".repeat(column + 2))
    };
    let mut text = String::from("[");
    for (number, account) in sorted.iter().enumerate() {
        let separator = match (number, lead.is_empty()) {
            (0, _) => "",
            (_, true) => ", ",
            (_, false) => ",",
        };
        let _ = write!(text, "{separator}{lead}\"{account}\"");
    }
    text.push(']');
    text
}

fn full_block(setting: &AccountSetting) -> Block {
    let candidate = candidate_of(setting).map(Box::new);
    Block { candidate, ..block_of(setting) }
}

fn members(setting: &TypeSetting) -> Members {
    Members { mode: Some(setting.mode), allowlist: Some(Arc::clone(&setting.allowlist)) }
}

fn member_parts(members: &Members, column: usize) -> Vec<String> {
    let mode = members.mode.map(|mode| format!("mode: {}", mode.as_str()));
    let list =
        members.allowlist.as_ref().map(|list| format!("allowlist: {}", list_flow(list, column)));
    mode.into_iter().chain(list).collect()
}

fn braced(parts: &[String]) -> String {
    if parts.is_empty() { "{}".to_owned() } else { format!("{{ {} }}", parts.join(", ")) }
}

/// What most types have; of equals the first.
fn common(setting: &AccountSetting) -> &TypeSetting {
    let [user, service_id, service] = IdentityType::ALL.map(|kind| setting.enforced(kind));
    if user != service_id && service_id == service { service_id } else { user }
}

/// A list of more entries has one a line.
const LINE_ENTRIES_MAX: usize = 4;
