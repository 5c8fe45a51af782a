//! A naive reference of IAM policy evaluation, to be read beside the facts about IAM
//! (`facts/iam.md`, whose sections the comments name).
//!
//! Flows in: a scenario as JSON. Flows out: decision, layer, missing sides and the statements that
//! may have decided. It shares no code with the engine: no index, no cleverness, allocation at
//! will.

#![expect(
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "plain code is easier to believe, and a failed test panics"
)]

pub(crate) mod conditions;
pub(crate) mod decide;
pub(crate) mod documents;
pub(crate) mod glob;
pub(crate) mod json;
pub(crate) mod principals;
pub(crate) mod scenario;

pub(crate) use decide::{Answer, decide};
