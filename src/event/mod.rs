//! What was decided: the evaluation event, its log, its queries.

use std::net::IpAddr;

use uuid::Uuid;

use crate::clock::UnixMillis;
use crate::iam::{AccountId, Identity};
use crate::verdict::{Layer, Verdict};

/// One evaluation, borrowed from the request that it decided.
#[derive(Clone, Copy, Debug)]
pub struct EvalEvent<'a> {
    /// Time-ordered and unique (`UUIDv7`).
    pub id: Uuid,
    /// The id that the client's answer carries.
    pub decision_id: Uuid,
    /// When it was decided.
    pub time: UnixMillis,
    /// What all events of one request share; empty: the decision id.
    pub correlation_id: &'a str,
    /// Which check decided.
    pub layer: Layer,
    /// What it said, in which mode, why.
    pub verdict: Verdict,
    /// Whether a proposed setting was asked.
    pub candidate: bool,
    /// Who called.
    pub identity: &'a Identity,
    /// The account that owns the resource.
    pub owner: AccountId,
    /// What was asked.
    pub action: &'a str,
    /// On what.
    pub resource: &'a str,
    /// The route's path template.
    pub route: &'a str,
    /// The client's address.
    pub source_ip: IpAddr,
    /// The client's `user-agent`, unchecked.
    pub agent: &'a str,
    /// The snapshot's revision.
    pub revision: u64,
    /// How long the whole decision took.
    pub decide_ns: u64,
}
