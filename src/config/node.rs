//! A YAML document as a tree in which every key and value knows its place.
//!
//! Flows in: text and the environment. Flows out: nodes, with `${NAME}` replaced in values.
//! Knows no key of any document. Scalars keep the text as written, so that `000111222333` is an
//! account and not a number.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::options::{DuplicateKeyPolicy, NonFiniteFloatPolicy};
use serde_saphyr::{DefaultMessageFormatter, Location, MessageFormatter, Spanned};

use crate::config::finding::{Findings, Span};

/// A value and its place.
#[derive(Clone, Debug)]
pub struct Node {
    /// Where it is.
    pub at: Span,
    /// What it is.
    pub value: Value,
}

/// The forms of a value.
#[derive(Clone, Debug)]
pub enum Value {
    /// Nothing, `~` or `null`.
    Null,
    /// A single value.
    Scalar(Scalar),
    /// A list.
    List(Vec<Node>),
    /// Keys and values, in order; a key that comes twice is reported and left out.
    Table(Vec<Entry>),
}

/// A key, its place and its value.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Where the key is.
    pub key_at: Span,
    /// Its value.
    pub node: Node,
}

/// A single value as text.
#[derive(Clone, Debug)]
pub struct Scalar {
    /// The text, with `${NAME}` replaced.
    pub text: String,
    /// The text for messages: as written, so that no value of the environment is shown.
    pub written: String,
    /// What the text alone says of its type.
    pub kind: ScalarKind,
}

/// What a scalar is by its spelling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScalarKind {
    /// `true` or `false`, not quoted.
    Boolean,
    /// From the environment: whatever it can be read as.
    Environment,
    /// A number, not quoted.
    Number,
    /// Anything else.
    Text,
    /// Without a value, which is reported already.
    Unset,
}

impl Node {
    /// What the value is, for messages.
    pub fn describe(&self) -> String {
        match &self.value {
            Value::Null => "nothing".into(),
            Value::List(_) => "a list".into(),
            Value::Table(_) => "a mapping".into(),
            Value::Scalar(scalar) => {
                let kind = match scalar.kind {
                    ScalarKind::Boolean => "the boolean",
                    ScalarKind::Number => "the number",
                    ScalarKind::Environment | ScalarKind::Text | ScalarKind::Unset => "the text",
                };
                format!("{kind} `{}`", scalar.written)
            }
        }
    }

    /// The value of a key, if this is a mapping that has it.
    pub fn get(&self, key: &str) -> Option<&Self> {
        let Value::Table(entries) = &self.value else {
            return None;
        };
        entries.iter().find(|entry| entry.key == key).map(|entry| &entry.node)
    }

    /// The text, if this is a single value.
    pub fn as_text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar(scalar) => Some(&scalar.text),
            Value::Null | Value::List(_) | Value::Table(_) => None,
        }
    }

    /// The text for messages, if this is a single value.
    pub fn written(&self) -> &str {
        match &self.value {
            Value::Scalar(scalar) => &scalar.written,
            Value::Null | Value::List(_) | Value::Table(_) => "",
        }
    }

    /// The elements, if this is a list.
    pub fn as_list(&self) -> &[Self] {
        match &self.value {
            Value::List(nodes) => nodes,
            Value::Null | Value::Scalar(_) | Value::Table(_) => &[],
        }
    }

    /// The keys and values, if this is a mapping.
    pub fn as_table(&self) -> &[Entry] {
        match &self.value {
            Value::Table(entries) => entries,
            Value::Null | Value::Scalar(_) | Value::List(_) => &[],
        }
    }
}

/// Reads a document of so many nodes at most; `None` if it can't be read at all, and then
/// `findings` says why.
pub fn read(text: &str, nodes_max: usize, findings: &mut Findings) -> Option<Node> {
    if text.trim().is_empty() {
        findings.error(Span::START, "the document is empty");
        return None;
    }
    match serde_saphyr::from_str_with_options::<Spanned<Raw>>(text, options(nodes_max)) {
        Ok(root) => {
            let node = placed(text, root, findings);
            if matches!(node.value, Value::Null) {
                findings.error(Span::START, "the document is empty");
                return None;
            }
            Some(node)
        }
        Err(error) => {
            let inner = error.without_snippet();
            let at = inner.location().map_or(Span::START, span);
            let message = DefaultMessageFormatter.format_message(inner);
            let line = text.lines().nth(at.line - 1).unwrap_or_default();
            let message = match inner {
                serde_saphyr::Error::MultipleDocuments { .. } => "a second document".to_owned(),
                _ => format!("not valid YAML: {message}"),
            };
            if line.contains("${") {
                findings.error_hint(at, message, "inside `[…]` or `{…}` quote it: `\"${NAME}\"`");
            } else {
                findings.error(at, message);
            }
            None
        }
    }
}

/// Replaces `${NAME}` in all values, once: what the environment holds is not looked at again.
/// `$${` stands for a literal `${`.
pub fn expand(
    node: &mut Node,
    environment: &dyn Fn(&str) -> Option<String>,
    findings: &mut Findings,
) {
    match &mut node.value {
        Value::Null => {}
        Value::List(nodes) => {
            for node in nodes {
                expand(node, environment, findings);
            }
        }
        Value::Table(entries) => {
            for entry in entries {
                expand(&mut entry.node, environment, findings);
            }
        }
        Value::Scalar(scalar) => match expand_text(&scalar.text, environment) {
            Ok(None) => {}
            Ok(Some(text)) => {
                scalar.text = text;
                scalar.kind = ScalarKind::Environment;
            }
            Err(message) => {
                findings.error_hint(node.at, message, "write `$${` for a literal `${`");
                scalar.kind = ScalarKind::Unset;
            }
        },
    }
}

fn expand_text(
    text: &str,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<Option<String>, String> {
    if !text.contains("${") {
        return Ok(None);
    }
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        if let Some(literal) = before.strip_suffix('$') {
            expanded.push_str(literal);
            expanded.push_str("${");
            rest = after;
            continue;
        }
        expanded.push_str(before);
        let Some((name, after)) = after.split_once('}') else {
            return Err("`${` without `}`".into());
        };
        if !is_environment_name(name) {
            return Err(format!("`{name}` is not a name of an environment variable"));
        }
        let value =
            environment(name).ok_or_else(|| format!("environment variable `{name}` is not set"))?;
        expanded.push_str(&value);
        rest = after;
    }
    expanded.push_str(rest);
    Ok(Some(expanded))
}

fn is_environment_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// A value as the parser gives it; what looks like a number, boolean or null carries no text.
enum Raw {
    Boolean,
    List(Vec<Spanned<Raw>>),
    Null,
    Number,
    Table(Vec<(Spanned<Raw>, Spanned<Raw>)>),
    Text(String),
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Raw, E> {
        Ok(Raw::Boolean)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Raw, E> {
        Ok(Raw::Number)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Raw, E> {
        Ok(Raw::Number)
    }

    fn visit_i128<E>(self, _: i128) -> Result<Raw, E> {
        Ok(Raw::Number)
    }

    fn visit_u128<E>(self, _: u128) -> Result<Raw, E> {
        Ok(Raw::Number)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Raw, E> {
        Ok(Raw::Number)
    }

    fn visit_str<E>(self, text: &str) -> Result<Raw, E> {
        Ok(Raw::Text(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Raw, E> {
        Ok(Raw::Text(text))
    }

    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_none<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Raw, A::Error> {
        let mut nodes = Vec::new();
        while let Some(node) = seq.next_element()? {
            nodes.push(node);
        }
        Ok(Raw::List(nodes))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Raw, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Raw::Table(entries))
    }
}

fn placed(text: &str, raw: Spanned<Raw>, findings: &mut Findings) -> Node {
    let at = span(raw.referenced);
    let scalar =
        |kind, value: String| Value::Scalar(Scalar { written: value.clone(), text: value, kind });
    let value = match raw.value {
        Raw::Null => Value::Null,
        Raw::Boolean => scalar(ScalarKind::Boolean, source(text, raw.defined)),
        Raw::Number => scalar(ScalarKind::Number, source(text, raw.defined)),
        Raw::Text(value) => scalar(ScalarKind::Text, value),
        Raw::List(nodes) => {
            Value::List(nodes.into_iter().map(|node| placed(text, node, findings)).collect())
        }
        Raw::Table(entries) => Value::Table(placed_entries(text, entries, findings)),
    };
    Node { at, value }
}

fn placed_entries(
    text: &str,
    raw: Vec<(Spanned<Raw>, Spanned<Raw>)>,
    findings: &mut Findings,
) -> Vec<Entry> {
    let mut first_of = std::collections::BTreeMap::new();
    let mut entries = Vec::with_capacity(raw.len());
    for (key, value) in raw {
        let key = placed(text, key, findings);
        let node = placed(text, value, findings);
        let Value::Scalar(Scalar { text: name, .. }) = key.value else {
            findings.error(key.at, format!("a key is text, not {}", key.describe()));
            continue;
        };
        if let Some(first) = first_of.get(&name) {
            findings.error_hint(
                key.at,
                format!("key `{name}` comes twice"),
                format!("it is first at line {first}"),
            );
            continue;
        }
        first_of.insert(name.clone(), key.at.line);
        entries.push(Entry { key: name, key_at: key.at, node });
    }
    entries
}

/// A scalar's text as written.
fn source(text: &str, location: Location) -> String {
    let span = location.span();
    let range = span.byte_offset().zip(span.byte_len()).and_then(|(offset, len)| {
        let start = usize::try_from(offset).ok()?;
        let end = start.checked_add(usize::try_from(len).ok()?)?;
        text.get(start..end)
    });
    range.unwrap_or_default().trim().to_owned()
}

fn span(location: Location) -> Span {
    let number = |value: u64| usize::try_from(value).unwrap_or(1).max(1);
    Span {
        line: number(location.line()),
        column: number(location.column()),
        width: number(location.span().len()),
    }
}

fn options(nodes_max: usize) -> serde_saphyr::Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            // A second document is its own error, with a better message than the budget's.
            max_documents: 2,
            max_depth: DEPTH_MAX,
            max_nodes: nodes_max,
            // Each node is one event, or two if it has others inside.
            max_events: nodes_max.saturating_mul(2).saturating_add(8),
            max_aliases: ALIASES_MAX,
            max_anchors: ALIASES_MAX,
        },
        // Repeated keys are found here, all of them and with both places.
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        non_finite_float_policy: NonFiniteFloatPolicy::PassThrough,
        strict_booleans: true,
        reject_unsupported_tags: true,
        with_snippet: false,
    }
}

/// The deepest nesting; the documents have 6 levels.
const DEPTH_MAX: usize = 32;

/// The most anchors, and the most uses of them.
const ALIASES_MAX: usize = 1_000;

#[cfg(test)]
mod tests;
