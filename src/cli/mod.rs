//! cli

pub mod events;
pub mod report;
