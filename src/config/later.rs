//! `sts`: known and read, but not in this version.
//!
//! A configuration that asks for it is refused: what it says would not be done.

use crate::config::reader::{Reader, Table};

pub(super) const STS_KEYS: &[&str] = &["address", "issuer", "keys", "audiences", "duration"];
pub(super) const STS_KEYS_KEYS: &[&str] = &["directory", "algorithm", "rotate"];
pub(super) const STS_DURATION_KEYS: &[&str] = &["default", "max"];

/// Refuses the section where it is present, and checks its keys.
pub(super) fn read(reader: &mut Reader<'_>, root: Table<'_>) {
    if let Some(node) = root.get("sts") {
        reader.findings.error_hint(
            root.key_at("sts"),
            "`sts` can't be served by this version",
            "remove the section",
        );
        let Some(table) = reader.table(node, "sts", STS_KEYS) else {
            return;
        };
        if let Some(node) = table.get("keys") {
            reader.table(node, "keys", STS_KEYS_KEYS);
        }
        if let Some(node) = table.get("duration") {
            reader.table(node, "duration", STS_DURATION_KEYS);
        }
    }
}
