//! Where settings come from: `settings.yaml`, and changes by the API, written through to it.

mod block;
mod document;
mod edit;
mod events;
mod place;
mod render;

pub use document::{parse, position};
pub use events::{DocumentError, Position};
