//! The commands.

pub mod events;
pub mod report;
pub mod token;
