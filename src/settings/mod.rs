//! Where settings come from: `settings.yaml`, and changes by the API, written through to it.
//!
//! Flows in: the file's text, an account's change. Flows out: published settings, and the file
//! with the change in it. Knows nothing of HTTP.

mod block;
mod document;
mod edit;
mod etag;
mod events;
mod file;
mod place;
mod promote;
mod reason;
mod render;
mod store;

pub use document::{parse, parse_after, position};
pub use etag::{ETag, IfMatch};
pub use events::{DocumentError, Position};
pub use file::SettingsError;
pub use promote::{PromoteError, Promotion, Written};
pub use store::{
    AccountPatch, Actor, OnUpdate, Reload, Reloaded, SettingsStore, SettingsUpdate, TypeChange,
    UpdateError, Updated,
};
