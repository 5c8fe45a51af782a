//! Sessions that were ended before their time.
//!
//! Flows in: revocations. Flows out: whether a session is ended. Pure; the file is `revocations`'.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use uuid::Uuid;

use crate::clock::{UnixMillis, UnixSeconds};
use crate::iam::Session;

/// All that are in force.
#[derive(Clone, Debug, Default)]
pub struct Revocations {
    roles: HashMap<Box<str>, UnixMillis, RandomState>,
    sessions: HashMap<Uuid, UnixSeconds, RandomState>,
}

/// Ends the sessions of a role that were issued before a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleRevocation {
    /// The role's ARN, with its path.
    pub role: Box<str>,
    /// Sessions issued before this end.
    pub before: UnixMillis,
}

/// Ends one session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRevocation {
    /// The session's `jti`.
    pub session: Uuid,
    /// From when on its token counts no more anyway, so that this can be forgotten.
    pub until: UnixSeconds,
}

impl Revocations {
    /// Whether a session is ended. One or two look-ups by hash, no allocation.
    pub fn revokes(&self, session: &Session) -> bool {
        self.sessions.contains_key(&session.id)
            || self.roles.get(&session.role).is_some_and(|before| session.issued_at() < *before)
    }
}
