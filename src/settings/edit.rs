//! Writes one account's change into the text of a document and leaves all else as it is: comments,
//! order, form.
//!
//! Flows in: a text, the index that it gave, one account's new setting. Flows out: replacements
//! that are proven to mean that setting. Touches no file.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::ops::Range;
use std::sync::Arc;

use granit_parser::StructureStyle;

use super::block::{Block, Members};
use super::document::{parse, parse_entry};
use super::place::{Entry, Node, Place, Shape, Window, entry_at, find, usual_window};
use super::render;
use crate::iam::{AccountId, IdentityType};
use crate::perimeter::{AccountSet, AccountSetting, SettingsIndex};

/// A document with one account changed.
#[derive(Debug)]
pub(super) struct Edited {
    /// What changes, in order, without overlap.
    pub(super) replacements: Vec<Replacement>,
    /// The account's setting as the new document gives it.
    pub(super) setting: AccountSetting,
    /// Whether the rest of the document is untouched.
    pub(super) kept: Kept,
}

/// What became of the rest of the document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kept {
    /// Every byte of it is as it was.
    All,
    /// It was written anew; comments are gone.
    Meaning,
}

/// A piece of text in place of another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Replacement {
    pub(super) range: Range<usize>,
    pub(super) text: String,
}

impl Edited {
    /// The new document in pieces, so that a large one isn't held twice.
    pub(super) fn pieces<'a>(&'a self, text: &'a str) -> impl Iterator<Item = &'a str> {
        pieces(text, &self.replacements)
    }
}

/// Plans the change that gives an account the wanted enforced setting; its candidate stays.
///
/// `index` is what `text` means.
pub(super) fn edit(
    text: &str,
    index: &SettingsIndex,
    account: AccountId,
    wanted: &AccountSetting,
) -> Edited {
    let change = Change { text, index, account, wanted, empty: Arc::default() };
    let edited = change.in_usual_form().or_else(|| change.in_any_form());
    edited.unwrap_or_else(|| change.anew())
}

struct Change<'a> {
    text: &'a str,
    index: &'a SettingsIndex,
    account: AccountId,
    wanted: &'a AccountSetting,
    empty: Arc<AccountSet>,
}

impl Change<'_> {
    /// The quick way, for files of any size: only the account's own lines are parsed. They must
    /// mean what is in force before, and what is wanted after.
    fn in_usual_form(&self) -> Option<Edited> {
        let default = self.index.default_setting();
        let (replacements, setting) = match usual_window(self.text, self.account)? {
            Window::Lines(range) => {
                let lines = self.text.get(range.clone())?;
                let (account, block) = parse_entry(lines).ok()?;
                let before = block.resolve(default, &self.empty);
                if account != self.account || self.index.listed(account) != Some(&before) {
                    return None;
                }
                let entry = entry_at(lines, range.start).ok()??;
                let replacements = self.replacements(&entry, &block)?;
                let after = spliced(self.text, range, &replacements)?;
                (replacements, self.proven(&after, &block)?)
            }
            Window::Absent { end, column } => {
                if self.index.listed(self.account).is_some() {
                    return None;
                }
                let text = self.new_entry(column);
                let setting = self.proven(&text, &self.fresh_block())?;
                let text = format!("{}{text}", newline(self.text));
                (vec![Replacement { range: end..end, text }], setting)
            }
        };
        if self.text.len() <= REPARSED_BYTES_MAX {
            self.proven_whole(&replacements)?;
        }
        Some(Edited { replacements, setting, kept: Kept::All })
    }

    /// The thorough way: the whole document is parsed before and after.
    fn in_any_form(&self) -> Option<Edited> {
        let replacements = match find(self.text, self.account).ok()? {
            Place::Entry(entry) => self.replacements(&entry, &self.block_of(&entry)?)?,
            Place::After { end, column } => {
                let at = line_end(self.text, end);
                let text = format!("{}{}", newline(self.text), self.new_entry(column));
                vec![Replacement { range: at..at, text }]
            }
            Place::Inside { close, empty } => {
                let head = self.text.get(..close)?.trim_end();
                let separator = if empty || head.ends_with(',') { " " } else { ", " };
                let value = render::block_flow(&self.fresh_block());
                let text = format!("{separator}\"{}\": {value}", self.account);
                vec![Replacement { range: head.len()..head.len(), text }]
            }
            Place::Below { end } => {
                let at = line_end(self.text, end);
                let text = format!("{}{}", newline(self.text), self.new_entry(INDENT));
                vec![Replacement { range: at..at, text }]
            }
            Place::NoAccounts => {
                let at = self.text.len();
                let newline = newline(self.text);
                let gap = if self.text.ends_with('\n') { "" } else { newline };
                let text = format!("{gap}accounts:{newline}{}{newline}", self.new_entry(INDENT));
                vec![Replacement { range: at..at, text }]
            }
        };
        let setting = self.proven_whole(&replacements)?;
        Some(Edited { replacements, setting, kept: Kept::All })
    }

    /// The last way, for documents whose form gives no place to edit, such as shared anchors.
    fn anew(&self) -> Edited {
        let mut block = render::block_of(self.wanted);
        let candidate = render::candidate_of(self.index.setting(self.account));
        block.candidate = candidate.map(Box::new);
        let setting = block.resolve(self.index.default_setting(), &self.empty);
        let index = self.index.with_account(self.account, setting.clone());
        let replacement = Replacement { range: 0..self.text.len(), text: render::document(&index) };
        Edited { replacements: vec![replacement], setting, kept: Kept::Meaning }
    }

    /// The block of an account that was not listed; it keeps the candidate that it had by default.
    fn fresh_block(&self) -> Block {
        let candidate = render::candidate_of(self.index.default_setting()).map(Box::new);
        Block { candidate, ..render::block_of(self.wanted) }
    }

    fn new_entry(&self, column: usize) -> String {
        render::entry(self.account, &self.fresh_block(), column, newline(self.text))
    }

    /// The setting that an entry's new text gives, if it is the wanted one and keeps the candidate.
    fn proven(&self, entry: &str, before: &Block) -> Option<AccountSetting> {
        let (account, block) = parse_entry(entry).ok()?;
        let setting = block.resolve(self.index.default_setting(), &self.empty);
        let proven = account == self.account
            && block.candidate == before.candidate
            && same_enforced(&setting, self.wanted);
        proven.then_some(setting)
    }

    fn proven_whole(&self, replacements: &[Replacement]) -> Option<AccountSetting> {
        let text: String = pieces(self.text, replacements).collect();
        let after = parse(&text).ok()?;
        let added = usize::from(self.index.listed(self.account).is_none());
        let setting = after.listed(self.account)?;
        let proven = after.len() == self.index.len() + added
            && after.default_setting() == self.index.default_setting()
            && same_enforced(setting, self.wanted);
        proven.then(|| setting.clone())
    }

    /// The block of an entry whose document has no anchors in it.
    fn block_of(&self, entry: &Entry) -> Option<Block> {
        let lines = self.text.get(entry.start..entry.value.range.end)?;
        // Leading blanks put the first line where the document has it.
        let text = format!("{}{lines}\n", " ".repeat(entry.column));
        parse_entry(&text).ok().map(|(_, block)| block)
    }

    fn replacements(&self, entry: &Entry, block: &Block) -> Option<Vec<Replacement>> {
        if entry.value.anchored {
            return None;
        }
        let next = block.changed_to(self.wanted, self.index.default_setting(), &self.empty);
        let mut replacements = Vec::new();
        let mut added =
            changed_members(self.text, &entry.value, &block.level, &next.level, &mut replacements)?;
        for kind in IdentityType::ALL {
            let (before, after) = (block.of_type(kind), next.of_type(kind));
            let Some(members) = after.filter(|_| before != after) else { continue };
            match (before, member(&entry.value, kind.as_str())) {
                (Some(before), Some(own)) if matches!(own.value.shape, Shape::Mapping { .. }) => {
                    let more =
                        changed_members(self.text, &own.value, before, members, &mut replacements)?;
                    insert(self.text, &own.value, own.column, &more, &mut replacements)?;
                }
                (_, Some(own)) => replacements.push(Replacement {
                    range: own.value.range.clone(),
                    text: render::members_flow(members, own.column),
                }),
                (_, None) => added.push((kind.as_str(), Added::Members(members.clone()))),
            }
        }
        insert(self.text, &entry.value, entry.column, &added, &mut replacements)?;
        replacements.sort_by_key(|replacement| (replacement.range.start, replacement.range.end));
        Some(replacements)
    }
}

/// A member that the mapping doesn't have yet.
enum Added {
    Text(String),
    List(Arc<AccountSet>),
    Members(Members),
}

impl Added {
    fn rendered(&self, column: usize) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::List(list) => render::list_flow(list, column),
            Self::Members(members) => render::members_flow(members, column),
        }
    }
}

/// Replaces the values of members that changed, and returns those that the mapping lacks.
fn changed_members(
    text: &str,
    mapping: &Node,
    before: &Members,
    after: &Members,
    replacements: &mut Vec<Replacement>,
) -> Option<Vec<(&'static str, Added)>> {
    let mut added = Vec::new();
    if let Some(mode) = after.mode.filter(|_| before.mode != after.mode) {
        let value = mode.as_str().to_owned();
        match member(mapping, "mode") {
            Some(entry) => {
                replacements.push(Replacement { range: entry.value.range.clone(), text: value });
            }
            None => added.push(("mode", Added::Text(value))),
        }
    }
    if let Some(list) = after.allowlist.as_ref().filter(|_| before.allowlist != after.allowlist) {
        match member(mapping, "allowlist") {
            Some(entry) => replace_list(text, entry, list, replacements)?,
            None => added.push(("allowlist", Added::List(Arc::clone(list)))),
        }
    }
    Some(added)
}

fn member<'n>(mapping: &'n Node, key: &str) -> Option<&'n Entry> {
    let Shape::Mapping { entries, .. } = &mapping.shape else { return None };
    entries.iter().find(|entry| entry.key == key)
}

fn insert(
    text: &str,
    mapping: &Node,
    parent_column: usize,
    added: &[(&'static str, Added)],
    replacements: &mut Vec<Replacement>,
) -> Option<()> {
    if added.is_empty() {
        return Some(());
    }
    let Shape::Mapping { style, entries } = &mapping.shape else { return None };
    let inserted = match style {
        StructureStyle::Block => {
            let at = line_end(text, mapping.range.end);
            let lead = format!("{}{}", newline(text), " ".repeat(mapping.column));
            let lines = added
                .iter()
                .map(|(key, value)| format!("{lead}{key}: {}", value.rendered(mapping.column)));
            Replacement { range: at..at, text: lines.collect() }
        }
        StructureStyle::Flow => {
            let close = mapping.range.end.checked_sub(1)?;
            let head = text.get(..close)?.trim_end();
            let items: Vec<String> = added
                .iter()
                .map(|(key, value)| format!("{key}: {}", value.rendered(parent_column)))
                .collect();
            let separator = match (entries.is_empty(), head.ends_with(',')) {
                (true, _) | (_, true) => " ",
                (false, false) => ", ",
            };
            let tail = if entries.is_empty() { " " } else { "" };
            let text = format!("{separator}{}{tail}", items.join(", "));
            Replacement { range: head.len()..head.len(), text }
        }
    };
    replacements.push(inserted);
    Some(())
}

/// A list's new text; of a block sequence only the items that come and go.
fn replace_list(
    text: &str,
    entry: &Entry,
    list: &AccountSet,
    replacements: &mut Vec<Replacement>,
) -> Option<()> {
    let range = entry.value.range.clone();
    let Shape::Sequence { style: StructureStyle::Block, items } = &entry.value.shape else {
        replacements.push(Replacement { range, text: render::list_flow(list, entry.column) });
        return Some(());
    };
    let first = items.first()?.range.start;
    let top = text.get(..first)?.rfind('\n')? + 1;
    let lead = text.get(top..first)?.trim_end_matches(' ').strip_suffix('-')?;
    if list.is_empty() {
        // A list may stand in its key's column, a flow sequence may not.
        let range = top..range.end;
        replacements.push(Replacement { range, text: format!("{lead}  []") });
        return Some(());
    }
    let mut missing: BTreeSet<AccountId> = list.iter().copied().collect();
    for item in items {
        let Shape::Scalar(account) = &item.shape else { return None };
        if !AccountId::parse(account).is_ok_and(|account| missing.remove(&account)) {
            let start = text.get(..item.range.start)?.rfind('\n')? + 1;
            if text.get(start..item.range.start)?.trim() != "-" {
                return None;
            }
            let end = (line_end(text, item.range.end) + newline(text).len()).min(text.len());
            replacements.push(Replacement { range: start..end, text: String::new() });
        }
    }
    if !missing.is_empty() {
        let mut lines = String::new();
        for account in missing {
            let _ = write!(lines, "{lead}- \"{account}\"{}", newline(text));
        }
        // Before the first item's line, which may itself go.
        replacements.push(Replacement { range: top..top, text: lines });
    }
    Some(())
}

/// The end of the line that a place is on, its comment included.
pub(super) fn line_end(text: &str, at: usize) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    let line = rest.find('\n').map_or(rest, |end| rest.get(..end).unwrap_or_default());
    at + line.strip_suffix('\r').unwrap_or(line).len()
}

pub(super) fn newline(text: &str) -> &'static str {
    match text.split_once('\n') {
        Some((line, _)) if line.ends_with('\r') => "\r\n",
        Some(_) | None => "\n",
    }
}

pub(super) fn same_enforced(one: &AccountSetting, other: &AccountSetting) -> bool {
    IdentityType::ALL.into_iter().all(|kind| one.enforced(kind) == other.enforced(kind))
}

fn spliced(text: &str, window: Range<usize>, replacements: &[Replacement]) -> Option<String> {
    let local: Vec<Replacement> = replacements
        .iter()
        .map(|r| {
            let start = r.range.start.checked_sub(window.start)?;
            let end = r.range.end.checked_sub(window.start)?;
            (end <= window.len()).then(|| Replacement { range: start..end, text: r.text.clone() })
        })
        .collect::<Option<_>>()?;
    Some(pieces(text.get(window)?, &local).collect())
}

fn pieces<'a>(
    text: &'a str,
    replacements: &'a [Replacement],
) -> impl Iterator<Item = &'a str> + 'a {
    let tail = replacements.last().map_or(0, |last| last.range.end);
    let starts = std::iter::once(0).chain(replacements.iter().map(|r| r.range.end));
    let changed = starts.zip(replacements).flat_map(move |(from, replacement)| {
        [text.get(from..replacement.range.start).unwrap_or_default(), replacement.text.as_str()]
    });
    changed.chain(std::iter::once(text.get(tail..).unwrap_or_default()))
}

/// The indentation of what is written new.
const INDENT: usize = 2;

/// Up to here an edited document is parsed again whole, which takes about 2 ms.
const REPARSED_BYTES_MAX: usize = 64 << 10;

#[cfg(test)]
mod tests;
