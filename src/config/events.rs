//! `events`: where decisions are recorded and what happens when they can't be.

use std::time::Duration;

use crate::config::node::Node;
use crate::config::reader::{Reader, Table};
use crate::config::{SECOND, sinks};
use crate::event::{EventsConfig, OnFull, Sync};

pub(super) const EVENTS_KEYS: &[&str] = &["directory", "sync", "on_full", "retention", "sinks"];
pub(super) const ON_FULL_KEYS: &[&str] = &["permit", "deny"];
pub(super) const RETENTION_KEYS: &[&str] = &["age", "size"];

/// Reads `events` into the defaults.
pub(super) fn read(reader: &mut Reader<'_>, node: &Node, events: &mut EventsConfig) {
    let Some(table) = reader.table(node, "events", EVENTS_KEYS) else {
        return;
    };
    if let Some(node) = table.get("directory")
        && let Some(directory) = reader.path(node, "directory")
    {
        if directory.exists() && !directory.is_dir() {
            let message = format!("`directory` `{}` is a file", node.written());
            reader.findings.error(node.at, message);
        }
        events.directory = directory;
    }
    if let Some(node) = table.get("sync") {
        events.sync = read_sync(reader, node).unwrap_or(events.sync);
    }
    read_on_full(reader, table, events);
    read_retention(reader, table, events);
    if let Some(node) = table.get("sinks") {
        events.sinks = sinks::read(reader, node);
    }
}

fn read_sync(reader: &mut Reader<'_>, node: &Node) -> Option<Sync> {
    match node.as_text() {
        Some("always") => Some(Sync::Always),
        Some("never") => Some(Sync::Never),
        // A duration starts with a digit; anything else was meant as a word.
        Some(text) if !text.starts_with(|c: char| c.is_ascii_digit()) => {
            reader.findings.error_hint(
                node.at,
                format!("`{}` is no `sync`", node.written()),
                "one of `always`, `never`, or an interval like `1s`",
            );
            None
        }
        _ => reader
            .duration(node, "sync", &(Duration::from_millis(1)..=Duration::from_hours(1)))
            .map(Sync::Interval),
    }
}

fn read_on_full(reader: &mut Reader<'_>, table: Table<'_>, events: &mut EventsConfig) {
    let Some(table) = table.get("on_full").and_then(|it| reader.table(it, "on_full", ON_FULL_KEYS))
    else {
        return;
    };
    let choices = [
        ("block", OnFull::Block),
        ("drop_oldest", OnFull::DropOldest),
        ("refuse_requests", OnFull::RefuseRequests),
    ];
    let mut read = |key, slot: &mut OnFull| {
        if let Some(chosen) = table.get(key).and_then(|it| reader.choice(it, key, &choices)) {
            *slot = chosen;
        }
    };
    read("permit", &mut events.on_full.permit);
    read("deny", &mut events.on_full.deny);
}

fn read_retention(reader: &mut Reader<'_>, table: Table<'_>, events: &mut EventsConfig) {
    let Some(table) =
        table.get("retention").and_then(|it| reader.table(it, "retention", RETENTION_KEYS))
    else {
        return;
    };
    if let Some(node) = table.get("age")
        && let Some(age) = reader.duration(node, "age", &(SECOND * 60..=DAY * 3650))
    {
        events.retention.age = age;
    }
    if let Some(node) = table.get("size")
        && let Some(size_bytes) = reader.size(node, "size", &(1 << 20..=1 << 50))
    {
        events.retention.size_bytes = size_bytes;
    }
}

const DAY: Duration = Duration::from_hours(24);
