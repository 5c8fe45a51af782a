//! Documents become compiled policies.

use crate::policy::document::Document;
use crate::policy::finding::PolicyFinding;
use crate::policy::statement::{CompiledPolicy, Source};

/// Compiles a checked document. `text` is the file that the document's offsets point into, for
/// lines and columns.
///
/// # Errors
/// What `check` could not see; each with its place.
pub fn compile(
    document: &Document,
    name: &str,
    source: Source,
    text: &str,
) -> Result<CompiledPolicy, Vec<PolicyFinding>> {
    let _ = text;
    Ok(CompiledPolicy {
        name: name.into(),
        source,
        policy_type: document.policy_type,
        statements: Box::default(),
        index: None,
    })
}
