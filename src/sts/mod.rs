//! Sessions of roles and trusted profiles: who may begin one, and the tokens for it.
//!
//! Flows in: a caller's token and what it asks for, by one of three protocols. Flows out: a short-lived
//! token of the owner's account, or the protocol's refusal; an event either way. `assume` decides and
//! is pure; `keys` signs; `watch` looks for attacks; `revocations` ends sessions; `door` speaks.

pub mod assume;
pub mod door;
pub mod keys;
pub mod revocation;
pub mod revocations;
pub mod rules;
pub mod watch;

pub use revocation::{Revocation, Revocations, RoleRevocation};
pub use revocations::{OnRevoked, RevocationStore, RevocationsError, RevocationsUpdate};
pub use rules::{StsRules, WatchRules};
