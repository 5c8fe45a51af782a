//! Settings that can be read and are doubtful all the same.
//!
//! Flows in: `settings.yaml` and what the event log holds. Flows out: findings. Decides nothing.

use std::collections::BTreeSet;

use crate::config::Config;
use crate::config::finding::{Finding, Findings, Span};
use crate::config::node::{self, Entry, Node};
use crate::config::observed::{Extent, Observed};
use crate::iam::{AccountId, IdentityType};
use crate::perimeter::{AccountSetting, SettingsIndex};
use crate::verdict::Mode;

/// Reads the settings that a configuration names, and looks for what is doubtful in them.
pub fn check(config: &Config) -> Vec<Finding> {
    let Some(file) = &config.settings_file else {
        return Vec::new();
    };
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) => {
            let mut findings = Findings::new(file, "");
            findings.error(Span::START, format!("can't read the settings: {error}"));
            return findings.into_sorted();
        }
    };
    let mut findings = Findings::new(file, &text);
    let Some(index) = parse(&text, &mut findings) else {
        return findings.into_sorted();
    };
    if TEXT_BYTES_MAX < text.len() {
        findings.warn(
            Span::START,
            "the settings are valid, and too many to look for doubtful ones",
            format!("that is done up to {} MiB", TEXT_BYTES_MAX >> 20),
        );
        return findings.into_sorted();
    }
    // The settings' own reader took the text, so what this one says of it is of no use.
    if let Some(document) = node::read(&text, NODES_MAX, &mut Findings::new(file, &text)) {
        lint(&document, &index, &|| Observed::scan(&config.events.directory), &mut findings);
    }
    findings.into_sorted()
}

/// What the settings' own reader says.
fn parse(text: &str, findings: &mut Findings) -> Option<SettingsIndex> {
    let error = match crate::settings::parse(text) {
        Ok(index) => return Some(index),
        Err(error) => error,
    };
    let position = &error.position;
    let width = position.span.len().max(1);
    let at = Span { line: position.line.max(1), column: position.column.max(1), width };
    match error.reason.split_once("; hint: ") {
        Some((message, hint)) => findings.error_hint(at, message, hint),
        None => findings.error(at, error.reason),
    }
    None
}

/// What is doubtful in settings that can be read. The log is read only if a setting asks for it.
fn lint(
    document: &Node,
    index: &SettingsIndex,
    observed: &dyn Fn() -> Observed,
    findings: &mut Findings,
) {
    let limited: BTreeSet<AccountId> =
        index.iter().filter(|(_, it)| is_limited(it)).map(|(account, _)| account).collect();
    let observed = if limited.is_empty() { Observed::default() } else { observed() };
    lint_default(document, index, findings);
    for entry in document.get("accounts").map(Node::as_table).unwrap_or_default() {
        let account = AccountId::parse(&entry.key).ok();
        let Some((account, setting)) = account.and_then(|it| Some((it, index.listed(it)?))) else {
            continue;
        };
        let lints = AccountLints { account, entry, setting };
        lints.own_account(findings);
        lints.no_effect(findings);
        lints.equal_candidate(findings);
        if limited.contains(&account) {
            lints.never_observed(&observed, findings);
        }
    }
}

fn lint_default(document: &Node, index: &SettingsIndex, findings: &mut Findings) {
    let Some(default) = document.get("default") else {
        return;
    };
    let setting = index.default_setting();
    let at = default.get("mode").map_or(default.at, |node| node.at);
    if is_limited(setting) && index.is_empty() {
        findings.warn(
            at,
            "the default is `limited` and no account is listed: only an owner's own identities come in",
            "begin with `report-only`, or list the accounts that were observed",
        );
    }
    let modes = IdentityType::ALL.map(|it| setting.enforced(it).mode);
    warn_no_effect(default, &modes, findings);
}

/// One account's entry and what it means.
struct AccountLints<'a> {
    account: AccountId,
    entry: &'a Entry,
    setting: &'a AccountSetting,
}

impl AccountLints<'_> {
    fn own_account(&self, findings: &mut Findings) {
        for block in self.blocks() {
            let list = block.get("allowlist").map(Node::as_list).unwrap_or_default();
            for node in list.iter().filter(|it| it.as_text() == Some(self.account.as_str())) {
                findings.warn(
                    node.at,
                    format!("the allowlist of account `{}` names the account itself", self.account),
                    "an owner's own identities always come in; remove it",
                );
            }
        }
    }

    fn no_effect(&self, findings: &mut Findings) {
        let node = &self.entry.node;
        let enforced = |identity_type| self.setting.enforced(identity_type).mode;
        warn_no_effect(node, &IdentityType::ALL.map(enforced), findings);
        for identity_type in IdentityType::ALL {
            if let Some(block) = node.get(identity_type.as_str()) {
                warn_no_effect(block, &[enforced(identity_type)], findings);
            }
        }
        let Some(candidate) = node.get("candidate") else {
            return;
        };
        let proposed =
            |identity_type| self.setting.candidate(identity_type).map(|setting| setting.mode);
        let modes: Vec<Mode> = IdentityType::ALL.into_iter().filter_map(proposed).collect();
        warn_no_effect(candidate, &modes, findings);
    }

    fn equal_candidate(&self, findings: &mut Findings) {
        let same = |identity_type| {
            let proposed = self.setting.candidate(identity_type);
            proposed.is_none_or(|it| it == self.setting.enforced(identity_type))
        };
        let Some(entry) = self.entry.node.as_table().iter().find(|it| it.key == "candidate") else {
            return;
        };
        if IdentityType::ALL.into_iter().all(same) {
            findings.warn(
                entry.key_at,
                format!("the candidate of account `{}` is what is in force", self.account),
                "remove it: each request is decided twice for nothing",
            );
        }
    }

    fn never_observed(&self, observed: &Observed, findings: &mut Findings) {
        if observed.owners.contains(&self.account) {
            return;
        }
        let node = &self.entry.node;
        let types = IdentityType::ALL.into_iter().filter_map(|it| node.get(it.as_str()));
        let at = std::iter::once(node)
            .chain(types)
            .filter_map(|block| block.get("mode"))
            .find(|mode| mode.as_text() == Some(Mode::Limited.as_str()))
            .map_or(self.entry.key_at, |mode| mode.at);
        let looked_at = match observed.extent {
            Extent::All => "the event log has no report-only or candidate evaluation of it",
            Extent::Newest => "the newest events have no report-only or candidate evaluation of it",
        };
        findings.warn(
            at,
            format!("account `{}` is `limited` and was never observed: {looked_at}", self.account),
            "run it in `report-only` for 30 days, then ask `crossgate report readiness`",
        );
    }

    /// Every block of the account that can have an allowlist.
    fn blocks(&self) -> Vec<&Node> {
        let node = &self.entry.node;
        let levels = std::iter::once(node).chain(node.get("candidate"));
        levels
            .flat_map(|level| {
                let types = IdentityType::ALL.into_iter().filter_map(|it| level.get(it.as_str()));
                std::iter::once(level).chain(types)
            })
            .collect()
    }
}

fn warn_no_effect(block: &Node, modes: &[Mode], findings: &mut Findings) {
    let Some(allowlist) = block.get("allowlist").filter(|it| !it.as_list().is_empty()) else {
        return;
    };
    if !modes.is_empty() && modes.iter().all(|mode| *mode == Mode::Unrestricted) {
        findings.warn(
            allowlist.at,
            "the allowlist has no effect: the mode is `unrestricted`, so every account comes in",
            "set `mode: report-only` to see what the list would do",
        );
    }
}

fn is_limited(setting: &AccountSetting) -> bool {
    IdentityType::ALL.into_iter().any(|it| setting.enforced(it).mode == Mode::Limited)
}

/// The largest settings that are looked through: some 200,000 accounts.
const TEXT_BYTES_MAX: usize = 16 << 20;

/// A node takes at least two bytes with what parts it from the next, and usually eight.
const NODES_MAX: usize = TEXT_BYTES_MAX / 4;

#[cfg(test)]
mod tests;
