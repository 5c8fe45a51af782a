//! The field's words, parsed once and valid for ever after: accounts, identities, requests.
//!
//! Flows in: text from tokens, routes and documents. Flows out: types that need no further check.
//! Knows nothing of HTTP, files or policies.

mod account;
mod action;
mod arn;
mod identity;
mod request;
mod session;

pub use account::{AccountId, AccountIdError};
pub use action::Action;
pub use arn::Arn;
pub use identity::{Identity, IdentityKind, IdentityType};
pub use request::{
    AuthzRequest, Recording, RequestOrigin, RouteContext, RouteKey, RouteValue, RouteValues,
    Transport,
};
pub use session::{InlinePolicy, Session, SessionPolicies};
