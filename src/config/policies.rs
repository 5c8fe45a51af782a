//! `policies`: where they are, what a denial does, and what counts for callers nobody knows.

use crate::config::Config;
use crate::config::finding::Finding;
use crate::config::policy_lints;
use crate::config::reader::{Reader, Table};
use crate::policy::directory::{self, PoliciesConfig};
use crate::policy::set::UnknownCallers;
use crate::verdict::Mode;

pub(super) const POLICIES_KEYS: &[&str] = &["directory", "mode", "unknown_callers"];

/// Reads the section; without it the perimeter alone decides.
pub(super) fn read(reader: &mut Reader<'_>, root: Table<'_>) -> Option<PoliciesConfig> {
    let table = reader.table(root.get("policies")?, "policies", POLICIES_KEYS)?;
    let directory = reader.require(table, "directory", "like `directory: policies`");
    let directory = directory.and_then(|node| {
        let path = reader.path(node, "directory")?;
        if !path.is_dir() {
            let message = format!("`directory` `{}` is no directory", node.written());
            let hint = reader.relative_path_hint();
            reader.findings.error_hint(node.at, message, hint);
            return None;
        }
        Some(path)
    });
    let mode = reader.require(
        table,
        "mode",
        "`report-only` records what the policies would deny, `limited` enforces them",
    );
    let mode = mode
        .and_then(|node| reader.choice(node, "mode", &Mode::ALL.map(|mode| (mode.as_str(), mode))));
    let unknown_callers = match table.get("unknown_callers") {
        None => Some(UnknownCallers::default()),
        Some(node) => {
            let choices = UnknownCallers::ALL.map(|choice| (choice.as_str(), choice));
            reader.choice(node, "unknown_callers", &choices)
        }
    };
    Some(PoliciesConfig { directory: directory?, mode: mode?, unknown_callers: unknown_callers? })
}

/// Reads the policies that a configuration names, and tells all that is wrong or doubtful in them.
pub fn check(config: &Config) -> Vec<Finding> {
    let Some(policies) = &config.policies else { return Vec::new() };
    match directory::lint(policies) {
        Ok((sets, mut warnings)) => {
            warnings.extend(policy_lints::check(config, &sets.enforced));
            warnings
        }
        Err(error) => error.findings,
    }
}
