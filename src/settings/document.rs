//! `settings.yaml` to an index of settings, account by account; no tree of the document is made.
//!
//! Flows in: the text. Flows out: the index, or the first error with its place. No file, no clock.

use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::fast::FixedState;
use granit_parser::{Event, ScalarStyle, Span};

use super::block::Block;
use super::events::{DocumentError, Events, Position, Scalar, refused};
use super::reason::{expected, unknown_key, unknown_mode};
use crate::iam::{AccountId, IdentityType};
use crate::perimeter::{AccountSet, AccountSetting, SettingsIndex, SettingsIndexBuilder};
use crate::verdict::Mode;

/// Parses a whole document.
///
/// # Errors
/// The document is empty, is not YAML, or says something that is unknown, contradictory or twice.
pub fn parse(text: &str) -> Result<SettingsIndex, DocumentError> {
    parse_after(text, &SettingsIndex::default())
}

/// Parses the next version of a document; lists that stay are shared with the previous one, so that
/// two versions of a large document fit where one does.
///
/// # Errors
/// As of [`parse`].
pub fn parse_after(text: &str, previous: &SettingsIndex) -> Result<SettingsIndex, DocumentError> {
    let pass = |default| Pass { previous: Some(previous), ..Pass::new(text, default) };
    match pass(AccountSetting::default()).index(DefaultOrder::First)? {
        Outcome::Index(index) => Ok(index),
        // The default came after accounts that build on it, so they are read once more with it.
        Outcome::DefaultLater(default) => match pass(default).index(DefaultOrder::Known)? {
            Outcome::Index(index) => Ok(index),
            Outcome::DefaultLater(_) => {
                Err(DocumentError { position: Position::default(), reason: REREAD.to_owned() })
            }
        },
    }
}

/// Where a document names an account.
pub fn position(text: &str, account: AccountId) -> Option<Position> {
    let mut pass = Pass::new(text, AccountSetting::default());
    let mut found = None;
    // What is wrong after the account doesn't matter here.
    let _ = pass.find(account, &mut found);
    found
}

/// Parses the text of one account's entry, `id: {…}`, that stands alone.
pub(super) fn parse_entry(text: &str) -> Result<(AccountId, Block), DocumentError> {
    let mut pass = Pass::new(text, AccountSetting::default());
    let (event, span) = pass.events.open_document()?;
    let Event::MappingStart(..) = event else { return Err(refused(&span, expected("a mapping"))) };
    let mut entries = Vec::new();
    pass.each_entry(|pass, key, key_span| {
        entries.push((account(&key, key_span)?, pass.block(Level::Account)?));
        Ok(())
    })?;
    pass.events.close_document()?;
    match <[_; 1]>::try_from(entries) {
        Ok([entry]) => Ok(entry),
        Err(_) => Err(refused(&span, expected("one account"))),
    }
}

struct Pass<'t> {
    events: Events<'t>,
    previous: Option<&'t SettingsIndex>,
    /// What the account that is being read had before.
    before: Option<AccountSetting>,
    base: AccountSetting,
    empty: Arc<AccountSet>,
    /// Equal lists, which become one.
    lists: HashMap<u64, Arc<AccountSet>, FixedState>,
    /// What aliases stand for.
    anchors: HashMap<usize, Anchored, FixedState>,
}

#[derive(Clone)]
enum Anchored {
    Scalar(String),
    List(Arc<AccountSet>),
    Block(Block),
}

enum Outcome {
    Index(SettingsIndex),
    DefaultLater(AccountSetting),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum DefaultOrder {
    First,
    Known,
}

/// Which members a mapping may have.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Account,
    Candidate,
    Type,
}

/// The keys of one mapping, each of which may come once.
struct Seen {
    known: &'static [&'static str],
    seen: [bool; KEYS_MAX],
}

impl Seen {
    fn of(known: &'static [&'static str]) -> Self {
        Self { known, seen: [false; KEYS_MAX] }
    }

    /// The key, if the mapping may have it and has not had it yet.
    fn first(&mut self, key: &str, span: &Span) -> Result<&'static str, DocumentError> {
        let mut places = self.known.iter().zip(&mut self.seen);
        let Some((known, seen)) = places.find(|(known, _)| **known == key) else {
            return Err(unknown_key(key, self.known, span));
        };
        if std::mem::replace(seen, true) {
            return Err(refused(span, format!("key `{key}` is there twice")));
        }
        Ok(known)
    }
}

impl Level {
    fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Account => &["mode", "allowlist", "user", "service_id", "service", "candidate"],
            Self::Candidate => &["mode", "allowlist", "user", "service_id", "service"],
            Self::Type => &["mode", "allowlist"],
        }
    }
}

impl<'t> Pass<'t> {
    fn new(text: &'t str, base: AccountSetting) -> Self {
        Self {
            events: Events::new(text),
            previous: None,
            before: None,
            base,
            empty: Arc::default(),
            lists: HashMap::default(),
            anchors: HashMap::default(),
        }
    }

    fn index(mut self, order: DefaultOrder) -> Result<Outcome, DocumentError> {
        self.open()?;
        let mut builder = SettingsIndexBuilder::default();
        let mut accounts_seen = false;
        let mut later = None;
        let mut seen = Seen::of(&TOP_KEYS);
        self.each_entry(|pass, key, span| {
            if seen.first(&key, span)? == ACCOUNTS {
                accounts_seen = true;
                return pass.accounts(&mut builder);
            }
            let block = pass.block(Level::Account)?;
            let setting = block.resolve(&AccountSetting::default(), &pass.empty);
            if accounts_seen && order == DefaultOrder::First {
                later = Some(setting);
            } else {
                pass.base = setting;
            }
            Ok(())
        })?;
        self.events.close_document()?;
        Ok(match later {
            Some(default) if default != AccountSetting::default() => Outcome::DefaultLater(default),
            Some(_) | None => Outcome::Index(builder.build(self.base)),
        })
    }

    fn open(&mut self) -> Result<(), DocumentError> {
        let (event, span) = self.events.open_document()?;
        match event {
            Event::MappingStart(..) => Ok(()),
            Event::StreamEnd | Event::DocumentEnd => Err(refused(&span, EMPTY.to_owned())),
            Event::Scalar(text, style, ..) => {
                let scalar = Scalar { text: text.into_owned(), style };
                let reason = if scalar.is_null() { EMPTY.to_owned() } else { expected(TOP) };
                Err(refused(&span, reason))
            }
            _ => Err(refused(&span, expected(TOP))),
        }
    }

    fn find(
        &mut self,
        wanted: AccountId,
        found: &mut Option<Position>,
    ) -> Result<(), DocumentError> {
        self.open()?;
        let mut seen = Seen::of(&TOP_KEYS);
        self.each_entry(|pass, key, span| {
            if seen.first(&key, span)? != ACCOUNTS {
                return pass.block(Level::Account).map(drop);
            }
            if !pass.mapping_follows()? {
                return Ok(());
            }
            pass.each_entry(|pass, key, span| {
                if key == wanted.as_str() && found.is_none() {
                    *found = Some(Position::of(span));
                }
                pass.block(Level::Account).map(drop)
            })
        })
    }

    fn accounts(&mut self, builder: &mut SettingsIndexBuilder) -> Result<(), DocumentError> {
        if !self.mapping_follows()? {
            return Ok(());
        }
        loop {
            let Some((key, span)) = self.key()? else { return Ok(()) };
            let account = account(&key, &span)?;
            self.before = self.previous.and_then(|previous| previous.listed(account)).cloned();
            let block = self.block(Level::Account)?;
            let setting = block.resolve(&self.base, &self.empty);
            if builder.insert(account, setting).is_some() {
                return Err(refused(&span, format!("account `{account}` is there twice")));
            }
        }
    }

    /// Whether accounts follow; an empty value is no accounts.
    fn mapping_follows(&mut self) -> Result<bool, DocumentError> {
        let (event, span) = self.events.next()?;
        match event {
            Event::MappingStart(..) => Ok(true),
            Event::Scalar(text, style, ..)
                if (Scalar { text: text.to_string(), style }).is_null() =>
            {
                Ok(false)
            }
            _ => Err(refused(&span, expected("a mapping of accounts"))),
        }
    }

    /// Calls back for each entry of the mapping that was just opened.
    fn each_entry(
        &mut self,
        mut take: impl FnMut(&mut Self, Cow<'t, str>, &Span) -> Result<(), DocumentError>,
    ) -> Result<(), DocumentError> {
        while let Some((key, span)) = self.key()? {
            take(self, key, &span)?;
        }
        Ok(())
    }

    fn key(&mut self) -> Result<Option<(Cow<'t, str>, Span)>, DocumentError> {
        let (event, span) = self.events.next()?;
        match event {
            Event::MappingEnd => Ok(None),
            // The common case needs no copy of the text.
            Event::Scalar(text, _, 0, _) => Ok(Some((text, span))),
            Event::Scalar(..) | Event::Alias(_) => {
                let text = self.scalar((event, span), "a key")?.text;
                Ok(Some((Cow::Owned(text), span)))
            }
            _ => Err(refused(&span, expected("a key"))),
        }
    }

    fn block(&mut self, level: Level) -> Result<Block, DocumentError> {
        let (event, span) = self.events.next()?;
        let anchor = match event {
            Event::MappingStart(_, anchor, _) => anchor,
            Event::Alias(id) => return self.aliased_block(id, level, &span),
            _ => return Err(refused(&span, expected("a mapping with `mode` and `allowlist`"))),
        };
        let mut block = Block::default();
        let mut seen = Seen::of(level.keys());
        self.each_entry(|pass, key, span| {
            match seen.first(&key, span)? {
                "mode" => block.level.mode = Some(pass.mode()?),
                "allowlist" => block.level.allowlist = Some(pass.allowlist()?),
                "candidate" => block.candidate = Some(Box::new(pass.block(Level::Candidate)?)),
                name => {
                    let kind = IdentityType::ALL.into_iter().find(|kind| kind.as_str() == name);
                    if let Some(kind) = kind {
                        *block.of_type_mut(kind) = Some(pass.block(Level::Type)?.level);
                    }
                }
            }
            Ok(())
        })?;
        if anchor != 0 {
            self.anchors.insert(anchor, Anchored::Block(block.clone()));
        }
        Ok(block)
    }

    fn aliased_block(&self, id: usize, level: Level, span: &Span) -> Result<Block, DocumentError> {
        let Some(Anchored::Block(block)) = self.anchors.get(&id) else {
            return Err(refused(span, ALIAS.to_owned()));
        };
        let typed = block.types.iter().any(Option::is_some);
        let fits = match level {
            Level::Account => true,
            Level::Candidate => block.candidate.is_none(),
            Level::Type => block.candidate.is_none() && !typed,
        };
        if fits { Ok(block.clone()) } else { Err(refused(span, ALIAS.to_owned())) }
    }

    fn mode(&mut self) -> Result<Mode, DocumentError> {
        let next = self.events.next()?;
        let span = next.1;
        let scalar = self.scalar(next, "a mode")?;
        let found = Mode::ALL.into_iter().find(|mode| mode.as_str() == scalar.text);
        found.ok_or_else(|| refused(&span, unknown_mode(&scalar)))
    }

    fn allowlist(&mut self) -> Result<Arc<AccountSet>, DocumentError> {
        let (event, span) = self.events.next()?;
        let anchor = match event {
            Event::SequenceStart(_, anchor, _) => anchor,
            Event::Alias(id) => match self.anchors.get(&id) {
                Some(Anchored::List(list)) => return Ok(Arc::clone(list)),
                _ => return Err(refused(&span, ALIAS.to_owned())),
            },
            _ => {
                let reason = expected("a list of accounts") + "; hint: `[]` admits only the owner";
                return Err(refused(&span, reason));
            }
        };
        let mut list = Vec::new();
        loop {
            let next = self.events.next()?;
            if next.0 == Event::SequenceEnd {
                break;
            }
            let span = next.1;
            // The common case needs no copy of the text.
            if let Event::Scalar(text, _, 0, _) = &next.0 {
                list.push(account(text, &span)?);
            } else {
                let text = self.scalar(next, "an account")?.text;
                list.push(account(&text, &span)?);
            }
        }
        let list = self.shared(list.into_iter().collect());
        if anchor != 0 {
            self.anchors.insert(anchor, Anchored::List(Arc::clone(&list)));
        }
        Ok(list)
    }

    /// One copy of each list, however often the document writes it.
    fn shared(&mut self, list: AccountSet) -> Arc<AccountSet> {
        if list.is_empty() {
            return Arc::clone(&self.empty);
        }
        if let Some(known) = self.before.as_ref().and_then(|before| same_list(before, &list)) {
            return known;
        }
        // The sum doesn't depend on the set's order.
        let hash =
            list.iter().fold(0_u64, |sum, account| sum.wrapping_add(LIST_HASHER.hash_one(account)));
        if let Some(known) = self.lists.get(&hash)
            && **known == list
        {
            return Arc::clone(known);
        }
        let list = Arc::new(list);
        self.lists.insert(hash, Arc::clone(&list));
        list
    }

    fn scalar(
        &mut self,
        (event, span): (Event<'t>, Span),
        what: &str,
    ) -> Result<Scalar, DocumentError> {
        match event {
            Event::Scalar(text, style, anchor, _) => {
                let text = text.into_owned();
                if anchor != 0 {
                    self.anchors.insert(anchor, Anchored::Scalar(text.clone()));
                }
                Ok(Scalar { text, style })
            }
            Event::Alias(id) => match self.anchors.get(&id) {
                Some(Anchored::Scalar(text)) => {
                    Ok(Scalar { text: text.clone(), style: ScalarStyle::DoubleQuoted })
                }
                _ => Err(refused(&span, ALIAS.to_owned())),
            },
            _ => Err(refused(&span, expected(what))),
        }
    }
}

/// The list of a setting that equals another one.
fn same_list(setting: &AccountSetting, list: &AccountSet) -> Option<Arc<AccountSet>> {
    let lists = IdentityType::ALL.into_iter().flat_map(|kind| {
        [Some(setting.enforced(kind)), setting.candidate(kind)].into_iter().flatten()
    });
    lists.map(|own| &own.allowlist).find(|own| ***own == *list).map(Arc::clone)
}

fn account(text: &str, span: &Span) -> Result<AccountId, DocumentError> {
    AccountId::parse(text)
        .map_err(|error| refused(span, format!("`{text}` is no account: {error}")))
}

const ACCOUNTS: &str = "accounts";

const TOP_KEYS: [&str; 2] = ["default", ACCOUNTS];

/// An account's block has the most.
const KEYS_MAX: usize = 6;

const LIST_HASHER: FixedState = FixedState::with_seed(0x5e77_1465);
const EMPTY: &str = "the document is empty; hint: `accounts: {}` says that there are none";
const TOP: &str = "a mapping with `default` and `accounts`";
const ALIAS: &str = "an alias must stand for a value that fits here";
const REREAD: &str = "the document says two things at once";

#[cfg(test)]
mod tests;
