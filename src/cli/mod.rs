//! cli

pub mod token;
