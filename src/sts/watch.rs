//! Looks for what attempts to assume roles have in common: guessing, floods, unusual callers.
//!
//! Flows in: each attempt. Flows out: detections. Its memory is bounded whatever comes.

use std::net::IpAddr;

use smallvec::SmallVec;

use crate::clock::UnixMillis;
use crate::event::{DetectionName, DetectionSubject};
use crate::iam::AccountId;
use crate::sts::rules::WatchRules;

/// Remembers attempts.
#[derive(Debug, Default)]
pub struct Watch;

/// One attempt, as the watch sees it.
#[derive(Clone, Copy, Debug)]
pub struct Observed<'a> {
    /// Who asked, as policies know them; empty where the token proved nobody.
    pub principal: &'a str,
    /// The caller's account.
    pub account: Option<AccountId>,
    /// The role's ARN, or what was asked for in its place.
    pub role: &'a str,
    /// The client's address.
    pub address: IpAddr,
    /// The external ID that was passed. Kept only as a keyed hash.
    pub external_id: Option<&'a str>,
    /// How long a session was asked for, or given.
    pub duration_seconds: Option<u32>,
    /// Whether a session began.
    pub succeeded: bool,
}

/// Something that is worth a look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Detection {
    /// What.
    pub name: DetectionName,
    /// What it is about.
    pub subject: DetectionSubject,
    /// How many, or how long in seconds.
    pub count: u32,
}

impl Watch {
    /// Takes an attempt into account, and tells what it completes.
    pub fn observe(
        &self,
        _rules: &WatchRules,
        _attempt: &Observed<'_>,
        _now: UnixMillis,
    ) -> SmallVec<[Detection; 2]> {
        SmallVec::new()
    }
}
