//! Where an account's entry is in the text, and where a new one would go.
//!
//! Flows in: a document that parses. Flows out: nodes with byte ranges. Changes nothing.

use std::ops::Range;

use granit_parser::{Event, Span, StructureStyle};
use memchr::memmem;

use super::events::{DocumentError, Events, refused};
use crate::iam::AccountId;

/// Where an account is, or where it belongs.
pub(super) enum Place {
    /// Its entry.
    Entry(Entry),
    /// After the last entry of a block mapping, whose keys are in this column.
    After { end: usize, column: usize },
    /// Inside a flow mapping, before its closing brace.
    Inside { close: usize, empty: bool },
    /// As the first below an `accounts:` that has no value.
    Below { end: usize },
    /// In an `accounts:` of its own at the document's end.
    NoAccounts,
}

/// A key and its value.
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) start: usize,
    pub(super) column: usize,
    pub(super) value: Node,
}

/// A value.
pub(super) struct Node {
    /// From its first to its last character; comments and line ends after it are not in it.
    pub(super) range: Range<usize>,
    pub(super) column: usize,
    pub(super) shape: Shape,
    /// Whether it, or something in it, has an anchor: others may stand on it.
    pub(super) anchored: bool,
}

pub(super) enum Shape {
    Scalar(String),
    Sequence { style: StructureStyle, items: Vec<Node> },
    Mapping { style: StructureStyle, entries: Vec<Entry> },
}

/// Finds an account by reading the whole document.
pub(super) fn find(text: &str, account: AccountId) -> Result<Place, DocumentError> {
    let mut walk = Walk { events: Events::new(text), last_end: 0 };
    walk.open()?;
    while let Some(key) = walk.key()? {
        if key.text == "accounts" {
            return walk.in_accounts(account, key.range.end);
        }
        let (event, _) = walk.next()?;
        walk.skip(&event)?;
    }
    Ok(Place::NoAccounts)
}

/// The single entry of a text that [`super::document::parse_entry`] took, `offset` bytes into its
/// document.
pub(super) fn entry_at(text: &str, offset: usize) -> Result<Option<Entry>, DocumentError> {
    let mut walk = Walk { events: Events::new(text), last_end: 0 };
    walk.open()?;
    let Some(key) = walk.key()? else { return Ok(None) };
    let mut entry = walk.entry(key)?;
    entry.shift(offset);
    Ok(Some(entry))
}

/// The lines of an account's entry, if the document has the usual form: `accounts:` in the first
/// column and below it one block entry for each account. Reads no YAML, so whoever uses it proves
/// what it found.
pub(super) fn usual_window(text: &str, account: AccountId) -> Option<Window> {
    let section = usual_section(text)?;
    let body = text.get(section.clone())?;
    let column = usual_column(body)?;
    let mut hits = memmem::find_iter(body.as_bytes(), account.as_str())
        .filter_map(|at| key_line_start(body, at, account.as_str(), column));
    let Some(start) = hits.next() else {
        let end = last_content_end(body)?;
        return Some(Window::Absent { end: section.start + end, column });
    };
    if hits.next().is_some() {
        return None;
    }
    let rest = body.get(start..)?;
    let end = entry_end(rest, column);
    Some(Window::Lines(section.start + start..section.start + start + end))
}

/// What [`usual_window`] found.
pub(super) enum Window {
    /// The entry's lines.
    Lines(Range<usize>),
    /// No such account; the last entry's line ends here.
    Absent { end: usize, column: usize },
}

struct Walk<'t> {
    events: Events<'t>,
    last_end: usize,
}

struct Key {
    text: String,
    range: Range<usize>,
    column: usize,
}

impl<'t> Walk<'t> {
    fn next(&mut self) -> Result<(Event<'t>, Span), DocumentError> {
        let (event, span) = self.events.next()?;
        let block_end = matches!(event, Event::MappingEnd | Event::SequenceEnd) && span.is_empty();
        if !block_end && let Some(range) = span.byte_range() {
            self.last_end = self.last_end.max(range.end);
        }
        Ok((event, span))
    }

    fn open(&mut self) -> Result<(), DocumentError> {
        match self.events.open_document()? {
            (Event::MappingStart(StructureStyle::Block, ..), _) => Ok(()),
            (_, span) => Err(refused(&span, "not a block mapping".to_owned())),
        }
    }

    fn key(&mut self) -> Result<Option<Key>, DocumentError> {
        match self.next()? {
            (Event::Scalar(text, _, 0, _), span) => Ok(Some(Key {
                text: text.into_owned(),
                range: span.byte_range().unwrap_or_default(),
                column: span.start.col(),
            })),
            (Event::MappingEnd, _) => Ok(None),
            (_, span) => Err(refused(&span, "not a plain key".to_owned())),
        }
    }

    fn in_accounts(mut self, account: AccountId, key_end: usize) -> Result<Place, DocumentError> {
        let style = match self.next()? {
            (Event::MappingStart(style, 0, _), _) => style,
            (Event::Scalar(..), span) => {
                let end = span.byte_range().map_or(key_end, |range| range.end);
                if !span.is_empty() {
                    return Err(refused(&span, "not a mapping".to_owned()));
                }
                return Ok(Place::Below { end: end.max(key_end) });
            }
            (_, span) => return Err(refused(&span, "not a mapping of its own".to_owned())),
        };
        let mut column = None;
        loop {
            let before = self.last_end;
            let Some(key) = self.key()? else {
                return Ok(match (style, column) {
                    (StructureStyle::Block, Some(column)) => Place::After { end: before, column },
                    (StructureStyle::Block | StructureStyle::Flow, column) => {
                        Place::Inside { close: self.last_end - 1, empty: column.is_none() }
                    }
                });
            };
            column = Some(key.column);
            if key.text == account.as_str() {
                return self.entry(key).map(Place::Entry);
            }
            let (event, _) = self.next()?;
            self.skip(&event)?;
        }
    }

    fn entry(&mut self, key: Key) -> Result<Entry, DocumentError> {
        let value = self.node()?;
        Ok(Entry { key: key.text, start: key.range.start, column: key.column, value })
    }

    fn node(&mut self) -> Result<Node, DocumentError> {
        let (event, span) = self.next()?;
        let start = span.byte_range().unwrap_or_default().start;
        let mut anchored = event.anchor_id().is_some();
        let shape = match event {
            Event::MappingStart(style, ..) => {
                let mut entries = Vec::new();
                while let Some(key) = self.key()? {
                    let entry = self.entry(key)?;
                    anchored |= entry.value.anchored;
                    entries.push(entry);
                }
                Shape::Mapping { style, entries }
            }
            Event::SequenceStart(style, ..) => {
                let mut items = Vec::new();
                while let Some(item) = self.item()? {
                    anchored |= item.anchored;
                    items.push(item);
                }
                Shape::Sequence { style, items }
            }
            Event::Scalar(text, ..) => Shape::Scalar(text.into_owned()),
            _ => Shape::Scalar(String::new()),
        };
        let range = start..self.last_end.max(start);
        Ok(Node { range, column: span.start.col(), shape, anchored })
    }

    fn item(&mut self) -> Result<Option<Node>, DocumentError> {
        match self.next()? {
            (Event::SequenceEnd, _) => Ok(None),
            (Event::Scalar(text, _, anchor, _), span) => Ok(Some(Node {
                range: span.byte_range().unwrap_or_default(),
                column: span.start.col(),
                shape: Shape::Scalar(text.into_owned()),
                anchored: anchor != 0,
            })),
            (_, span) => Err(refused(&span, "not a plain item".to_owned())),
        }
    }

    fn skip(&mut self, event: &Event<'t>) -> Result<(), DocumentError> {
        let mut depth = match event {
            Event::MappingStart(..) | Event::SequenceStart(..) => 1_usize,
            _ => 0,
        };
        while depth > 0 {
            match self.next()?.0 {
                Event::MappingStart(..) | Event::SequenceStart(..) => depth += 1,
                Event::MappingEnd | Event::SequenceEnd => depth -= 1,
                _ => {}
            }
        }
        Ok(())
    }
}

impl Entry {
    fn shift(&mut self, by: usize) {
        self.start += by;
        self.value.shift(by);
    }
}

impl Node {
    fn shift(&mut self, by: usize) {
        self.range = self.range.start + by..self.range.end + by;
        match &mut self.shape {
            Shape::Scalar(_) => {}
            Shape::Sequence { items, .. } => items.iter_mut().for_each(|item| item.shift(by)),
            Shape::Mapping { entries, .. } => entries.iter_mut().for_each(|entry| entry.shift(by)),
        }
    }
}

/// The lines below `accounts:`, up to the next line that starts in the first column.
fn usual_section(text: &str) -> Option<Range<usize>> {
    let at = memmem::find_iter(text.as_bytes(), ACCOUNTS).find(|at| {
        text.get(..*at).is_some_and(|before| before.is_empty() || before.ends_with('\n'))
    })?;
    let rest = text.get(at + ACCOUNTS.len()..)?;
    let line = rest.split_inclusive('\n').next()?;
    let value = line.trim();
    if !line.ends_with('\n')
        || !(value.is_empty() || line.starts_with(' ') && value.starts_with('#'))
    {
        return None;
    }
    let start = at + ACCOUNTS.len() + line.len();
    let body = text.get(start..)?.as_bytes();
    let ends = |next: &u8| !matches!(next, b' ' | b'#' | b'\n' | b'\r');
    let end = if body.first().is_some_and(ends) {
        0
    } else {
        memchr::memchr_iter(b'\n', body)
            .map(|newline| newline + 1)
            .find(|next| body.get(*next).is_some_and(ends))
            .unwrap_or(body.len())
    };
    Some(start..start + end)
}

/// The column of the first entry's key.
fn usual_column(body: &str) -> Option<usize> {
    let line = body.lines().find(|line| is_content(line))?;
    let key = line.trim_start_matches(' ');
    let starts_key = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '"' | '\'');
    (key.starts_with(starts_key) && key.len() < line.len()).then(|| line.len() - key.len())
}

/// Where the line starts, if the account at this place is a key of the mapping.
fn key_line_start(body: &str, at: usize, account: &str, column: usize) -> Option<usize> {
    let before = body.get(..at)?;
    let after = body.get(at + account.len()..)?;
    let quote = before.chars().next_back().filter(|c| matches!(c, '"' | '\''));
    let before = quote.map_or(Some(before), |quote| before.strip_suffix(quote))?;
    let after = quote.map_or(Some(after), |quote| after.strip_prefix(quote))?;
    let start = before.trim_end_matches(' ').len();
    let line_start = before.get(..start).is_some_and(|b| b.is_empty() || b.ends_with('\n'));
    let value = after.trim_start_matches(' ').strip_prefix(':')?;
    let is_key = value.is_empty() || value.starts_with([' ', '\n', '\r']);
    (line_start && before.len() - start == column && is_key).then_some(start)
}

/// How long an entry is whose key is in a column: its first line and all content further right.
fn entry_end(rest: &str, column: usize) -> usize {
    let mut end = 0;
    let mut at = 0;
    for (number, line) in rest.split_inclusive('\n').enumerate() {
        if is_content(line) {
            let indent = line.len() - line.trim_start_matches(' ').len();
            if number > 0 && indent <= column {
                break;
            }
            end = at + line.len();
        }
        at += line.len();
    }
    end
}

/// Where the last line with content ends, its line end not counted.
fn last_content_end(body: &str) -> Option<usize> {
    let mut end = body.len();
    loop {
        let head = body.get(..end)?;
        let start = memchr::memrchr(b'\n', head.as_bytes()).map_or(0, |newline| newline + 1);
        if is_content(head.get(start..)?) {
            return Some(end - usize::from(head.ends_with('\r')));
        }
        end = start.checked_sub(1)?;
    }
}

fn is_content(line: &str) -> bool {
    let line = line.trim();
    !line.is_empty() && !line.starts_with('#')
}

const ACCOUNTS: &str = "accounts:";
