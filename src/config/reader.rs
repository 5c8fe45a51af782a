//! Nodes read as the types that the configuration needs; what does not fit becomes a finding.
//!
//! Flows in: nodes. Flows out: texts, numbers, durations, paths. Knows no key of the configuration.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::config::finding::{Findings, Span, meant};
use crate::config::node::{Entry, Node, Scalar, ScalarKind, Value};
use crate::config::units::{UnitError, format_duration, format_size, parse_duration, parse_size};

/// Reads nodes of one document and gathers what is wrong with them.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    /// What was found so far.
    pub(super) findings: Findings,
    directory: &'a Path,
}

/// A mapping whose keys are known.
#[derive(Clone, Copy, Debug)]
pub(super) struct Table<'n> {
    /// Where it is.
    pub(super) at: Span,
    what: &'static str,
    entries: &'n [Entry],
}

impl<'n> Table<'n> {
    /// The value of a key, if the document has it.
    pub(super) fn get(&self, key: &str) -> Option<&'n Node> {
        self.entry(key).map(|entry| &entry.node)
    }

    /// The place of a key, else of the mapping.
    pub(super) fn key_at(&self, key: &str) -> Span {
        self.entry(key).map_or(self.at, |entry| entry.key_at)
    }

    /// The place of a key's value, else of the mapping.
    pub(super) fn value_at(&self, key: &str) -> Span {
        self.get(key).map_or(self.at, |node| node.at)
    }

    /// A message with this mapping's texts as they are written, where the environment filled them.
    pub(super) fn as_written(&self, message: &str) -> String {
        self.entries.iter().fold(message.to_owned(), |message, entry| match &entry.node.value {
            Value::Scalar(scalar)
                if scalar.kind == ScalarKind::Environment && !scalar.text.is_empty() =>
            {
                message.replace(&scalar.text, &scalar.written)
            }
            Value::Scalar(_) | Value::Null | Value::List(_) | Value::Table(_) => message,
        })
    }

    fn entry(&self, key: &str) -> Option<&'n Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }
}

impl<'a> Reader<'a> {
    /// A reader of a document in a directory.
    pub(super) fn new(directory: &'a Path, findings: Findings) -> Self {
        Self { findings, directory }
    }

    /// Opens a mapping; each key that is not `known` is a finding.
    pub(super) fn table<'n>(
        &mut self,
        node: &'n Node,
        what: &'static str,
        known: &[&'static str],
    ) -> Option<Table<'n>> {
        let Value::Table(entries) = &node.value else {
            let named = if what.is_empty() { "the document".into() } else { format!("`{what}`") };
            self.wrong_type(node, &format!("{named} is a mapping"), "write `{}` for an empty one");
            return None;
        };
        for entry in entries {
            if !known.contains(&entry.key.as_str()) {
                let message = match what {
                    "" => format!("unknown key `{}`", entry.key),
                    _ => format!("unknown key `{}` in `{what}`", entry.key),
                };
                let hint = meant(&entry.key, known.iter().copied());
                self.findings.error_hint(entry.key_at, message, hint);
            }
        }
        Some(Table { at: node.at, what, entries })
    }

    /// The value of a key that must be there.
    pub(super) fn require<'n>(
        &mut self,
        table: Table<'n>,
        key: &str,
        hint: &str,
    ) -> Option<&'n Node> {
        let found = table.get(key);
        if found.is_none() {
            let message = match table.what {
                "" => format!("`{key}` is missing"),
                what => format!("`{what}` has no `{key}`"),
            };
            self.findings.error_hint(table.at, message, hint);
        }
        found
    }

    /// A list's elements.
    pub(super) fn list<'n>(&mut self, node: &'n Node, what: &str) -> Option<&'n [Node]> {
        if let Value::List(nodes) = &node.value {
            return Some(nodes);
        }
        let hint = match node.written() {
            "" => "write `[]` for an empty one".to_owned(),
            one => format!("write `[{one}]` for a list of one"),
        };
        self.wrong_type(node, &format!("`{what}` is a list"), &hint);
        None
    }

    /// A text that is not empty.
    pub(super) fn text(&mut self, node: &Node, what: &str) -> Option<Box<str>> {
        let scalar = self.scalar(node, what, "a text")?;
        if scalar.kind == ScalarKind::Boolean {
            self.wrong_type(
                node,
                &format!("`{what}` is a text"),
                "quote it if it is meant as text",
            );
            return None;
        }
        if scalar.text.is_empty() {
            self.findings.error(node.at, format!("`{what}` is empty"));
            return None;
        }
        Some(scalar.text.as_str().into())
    }

    /// `true` or `false`.
    pub(super) fn boolean(&mut self, node: &Node, what: &str) -> Option<bool> {
        let scalar = self.scalar(node, what, "`true` or `false`")?;
        match (scalar.kind, scalar.text.to_ascii_lowercase().as_str()) {
            (ScalarKind::Boolean | ScalarKind::Environment, "true") => Some(true),
            (ScalarKind::Boolean | ScalarKind::Environment, "false") => Some(false),
            _ => {
                let hint = match scalar.written.to_ascii_lowercase().as_str() {
                    "true" | "yes" | "on" => "write `true`, without quotes",
                    "false" | "no" | "off" => "write `false`, without quotes",
                    _ => "",
                };
                self.wrong_type(node, &format!("`{what}` is `true` or `false`"), hint);
                None
            }
        }
    }

    /// A whole number within bounds.
    pub(super) fn number(
        &mut self,
        node: &Node,
        what: &str,
        bounds: RangeInclusive<usize>,
    ) -> Option<usize> {
        let scalar = self.scalar(node, what, "a whole number")?;
        let number = scalar.text.parse().ok().filter(|_| scalar.kind != ScalarKind::Text);
        let Some(number) = number else {
            self.wrong_type(node, &format!("`{what}` is a whole number"), "");
            return None;
        };
        self.within(node, what, &scalar.written, number, &bounds, ToString::to_string)
    }

    /// A duration within bounds.
    pub(super) fn duration(
        &mut self,
        node: &Node,
        what: &str,
        bounds: &RangeInclusive<Duration>,
    ) -> Option<Duration> {
        let scalar = self.scalar(node, what, "a duration like `5s`")?;
        match parse_duration(&scalar.text) {
            Ok(duration) => self
                .within(node, what, &scalar.written, duration, bounds, |it| format_duration(*it)),
            Err(error) => {
                let hint = match error {
                    UnitError::NoUnit => {
                        format!("write `{}s` for seconds", scalar.written)
                    }
                    _ => "a duration is a whole number and `ms`, `s`, `m`, `h` or `d`".to_owned(),
                };
                let message = format!("`{what}` is a duration, but `{}` {error}", scalar.written);
                self.findings.error_hint(node.at, message, hint);
                None
            }
        }
    }

    /// A size in bytes within bounds.
    pub(super) fn size(
        &mut self,
        node: &Node,
        what: &str,
        bounds: &RangeInclusive<u64>,
    ) -> Option<u64> {
        let scalar = self.scalar(node, what, "a size like `64KiB`")?;
        match parse_size(&scalar.text) {
            Ok(bytes) => {
                self.within(node, what, &scalar.written, bytes, bounds, |it| format_size(*it))
            }
            Err(error) => {
                self.findings.error_hint(
                    node.at,
                    format!("`{what}` is a size, but `{}` {error}", scalar.written),
                    "a size is a whole number of bytes, or one with `KiB`, `MiB`, `GiB` or `TiB`",
                );
                None
            }
        }
    }

    /// One of some words.
    pub(super) fn choice<T: Copy>(
        &mut self,
        node: &Node,
        what: &str,
        choices: &[(&'static str, T)],
    ) -> Option<T> {
        let scalar = self.scalar(node, what, "a word")?;
        let chosen = choices.iter().find(|(word, _)| *word == scalar.text);
        if chosen.is_none() {
            let hint = meant(&scalar.text, choices.iter().map(|(word, _)| *word));
            self.findings.error_hint(node.at, format!("`{}` is no `{what}`", scalar.written), hint);
        }
        chosen.map(|(_, value)| *value)
    }

    /// An IP address and port.
    pub(super) fn address(&mut self, node: &Node, what: &str) -> Option<SocketAddr> {
        let scalar = self.scalar(node, what, "an address like `127.0.0.1:8080`")?;
        let parsed = scalar.text.parse().ok();
        if parsed.is_none() {
            self.findings.error_hint(
                node.at,
                format!("`{}` is not an IP address and port", scalar.written),
                address_hint(&scalar.text),
            );
        }
        parsed
    }

    /// A path; a relative one starts at the document's directory.
    pub(super) fn path(&mut self, node: &Node, what: &str) -> Option<PathBuf> {
        self.text(node, what).map(|text| self.directory.join(&*text))
    }

    /// A file that can be read; its content is there for further checks.
    pub(super) fn readable_file(&mut self, node: &Node, what: &str) -> Option<(PathBuf, Vec<u8>)> {
        let path = self.path(node, what)?;
        match std::fs::read(&path) {
            Ok(content) => Some((path, content)),
            Err(error) => {
                self.findings.error_hint(
                    node.at,
                    format!("can't read `{what}` `{}`: {error}", node.written()),
                    self.relative_path_hint(),
                );
                None
            }
        }
    }

    /// Where the document's relative paths start.
    pub(super) fn relative_path_hint(&self) -> String {
        let here = self.directory.as_os_str().is_empty();
        let directory = if here { Path::new(".") } else { self.directory };
        format!("a relative path starts at `{}`", directory.display())
    }

    /// Adds what a node is not, and what it is.
    pub(super) fn wrong_type(&mut self, node: &Node, expected: &str, hint: &str) {
        let message = format!("{expected}, not {}", node.describe());
        if hint.is_empty() {
            self.findings.error(node.at, message);
        } else {
            self.findings.error_hint(node.at, message, hint);
        }
    }

    fn scalar<'n>(&mut self, node: &'n Node, what: &str, expected: &str) -> Option<&'n Scalar> {
        if let Value::Scalar(scalar) = &node.value {
            return (scalar.kind != ScalarKind::Unset).then_some(scalar);
        }
        self.wrong_type(node, &format!("`{what}` is {expected}"), "");
        None
    }

    fn within<T: PartialOrd + Copy>(
        &mut self,
        node: &Node,
        what: &str,
        written: &str,
        value: T,
        bounds: &RangeInclusive<T>,
        show: impl Fn(&T) -> String,
    ) -> Option<T> {
        if bounds.contains(&value) {
            return Some(value);
        }
        let (low, high) = (show(bounds.start()), show(bounds.end()));
        self.findings.error_hint(
            node.at,
            format!("`{what}` of `{written}` is out of bounds"),
            format!("from `{low}` to `{high}`"),
        );
        None
    }
}

fn address_hint(text: &str) -> String {
    let example = match text.rsplit_once(':') {
        Some(("", port)) => format!("0.0.0.0:{port}"),
        Some(("localhost", port)) => format!("127.0.0.1:{port}"),
        None if text.parse::<u16>().is_ok() => format!("0.0.0.0:{text}"),
        None if text.parse::<std::net::Ipv4Addr>().is_ok() => format!("{text}:8080"),
        _ => return "an address is `<IPv4>:<port>` or `[<IPv6>]:<port>`".into(),
    };
    format!("write `{example}`")
}
