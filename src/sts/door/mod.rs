//! The token service towards its clients: a listener of its own, and three protocols for one decision.
//!
//! Flows in: HTTP/1.1 with a caller's token and what it asks for (`query`, `exchange`, `ibm`). Flows
//! out: a session's token or the protocol's refusal, after the attempt is in the event log (`desk`).
//! It shares no thread with requests, and decides nothing itself.

mod answer;
mod call;
mod desk;
mod dialect;
mod exchange;
mod form;
mod ibm;
mod published;
mod query;
mod server;
mod service;
mod xml;

pub use server::Sts;

#[cfg(test)]
mod tests;
