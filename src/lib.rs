//! crossgate: an account perimeter for any HTTP API.

pub mod admin;
pub mod alarm;
pub mod cli;
pub mod clock;
pub mod config;
pub mod decision;
pub mod event;
pub mod forward;
pub mod gateway;
pub mod iam;
pub mod listener;
pub mod perimeter;
pub mod proxy;
pub mod route;
pub mod settings;
pub mod snapshot;
pub mod telemetry;
pub mod token;
pub mod verdict;
pub mod watch;
