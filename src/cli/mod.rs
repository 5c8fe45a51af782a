//! The commands.

pub mod check;
pub mod events;
pub mod report;
pub mod token;
