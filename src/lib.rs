//! crossgate: an account perimeter for any HTTP API.
//!
//! The modules stand in the order of a request's life. ARCHITECTURE.md has the reasons.
//!
//! 1. [`gateway`] puts the parts together, as [`config`] says and [`cli`] was told.
//! 2. [`listener`] accepts a connection on one worker's thread, where it stays.
//! 3. [`proxy`] takes a request from top to bottom; its gate asks 4 to 8 in one synchronous step.
//! 4. [`snapshot`] is what decides: one revision of routes, keys and settings.
//! 5. [`route`] turns method and path into action, resource and owner account.
//! 6. [`token`] turns the bearer token into an [`iam`] identity.
//! 7. [`perimeter`] compares the caller's account with the owner's setting; [`decision`] makes of
//!    the [`verdict`]s a permit, or a refusal.
//! 8. [`event`] records what the modes report.
//! 9. [`forward`] consumes the permit and streams the request to its upstream and the answer back.
//!
//! Beside requests: [`settings`] and [`watch`] bring changes in, [`admin`] serves operators,
//! [`telemetry`] counts, [`alarm`] and [`clock`] keep time.

// Assembled from a configuration.
pub mod cli;
pub mod config;
pub mod gateway;

// The life of a request.
pub mod listener;
pub mod proxy;
pub mod route;
pub mod token;

pub mod perimeter;
pub mod policy;

pub mod decision;
pub mod event;
pub mod forward;

// What it is decided by, and in which words.
pub mod iam;
pub mod snapshot;
pub mod verdict;

// Beside it.
pub mod admin;
pub mod alarm;
pub mod clock;
mod durable;
pub mod settings;
pub mod sts;
pub mod telemetry;
pub mod watch;
