//! What the event log tells of the time before a start: who was let in from where, and from which
//! accounts roles were assumed. Without it everything would be the first of its kind.
//!
//! Flows in: the log's directory. Flows out: the watch remembers. Reads files, so it is no work for a
//! thread that answers requests; attempts go on beside it, and the order does not matter.

use std::net::IpAddr;
use std::num::NonZero;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::PoisonError;
use std::time::Duration;

use serde_json::Value;

use crate::clock::UnixMillis;
use crate::event::log::{Order, ReadError, Scan, Window};
use crate::event::query::{Query, QueryError};
use crate::iam::AccountId;
use crate::sts::watch::Watch;
use crate::sts::watch::traces::Network;

/// What was learned of the past.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seeded {
    /// How many sessions are remembered that began in that time.
    pub sessions: u64,
    /// Whether there were more, which are older.
    pub is_cut: bool,
}

/// Why the past can't be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SeedError {
    /// The sessions that began can't be asked for.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// The log can't be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// A session that began.
struct Past {
    at: UnixMillis,
    principal: Box<str>,
    account: Option<AccountId>,
    role: Box<str>,
    network: Network,
}

impl Past {
    /// What an event of the log tells. Where the token proved nobody, nothing began.
    fn of(at: UnixMillis, event: &Value) -> Option<Self> {
        let text = |pointer| event.pointer(pointer).and_then(Value::as_str);
        let principal = text("/requestData/subject/attributes/principal")?;
        let account = text("/requestData/subject/attributes/token.account.bss")?;
        let role = match text("/target/id")? {
            arn if arn.starts_with("arn:") => arn.into(),
            // A profile is known as a role of its id.
            id => {
                let owner = text("/requestData/resource/attributes/accountId")?;
                format!("arn:aws:iam::{owner}:role/{id}").into_boxed_str()
            }
        };
        let address: IpAddr = text("/initiator/host/address")?.parse().ok()?;
        let is_told = !principal.is_empty() && !role.is_empty();
        is_told.then(|| Self {
            at,
            principal: principal.into(),
            account: AccountId::parse(account).ok(),
            role,
            network: Network::of(address),
        })
    }
}

impl Watch {
    /// Remembers what the log of a directory tells of sessions that began, the newest first: those of
    /// [`SEED_AGE`], and no more than [`SEED_SESSIONS_MAX`]. Failed attempts are left out, as anybody
    /// can fill a log with them. Takes one core for as long as it reads.
    ///
    /// # Errors
    /// The log can't be read; what was read before is remembered.
    pub fn seed(&self, directory: &Path, now: UnixMillis) -> Result<Seeded, SeedError> {
        self.seed_newest(directory, now, SEED_SESSIONS_MAX)
    }

    fn seed_newest(
        &self,
        directory: &Path,
        now: UnixMillis,
        sessions_max: u64,
    ) -> Result<Seeded, SeedError> {
        let query = Query::parse(BEGUN)?;
        let age = u64::try_from(SEED_AGE.as_millis()).unwrap_or(u64::MAX);
        let window = Window { since: Some(UnixMillis(now.0.saturating_sub(age))), until: None };
        let scan = Scan::open(directory, &query, &FIELDS, window, Order::NewestFirst)?;
        let mut seeded = Seeded::default();
        scan.on_threads(NonZero::<usize>::MIN).run(
            |at, event, _line| Past::of(at, event),
            |part| {
                // A part has its oldest event first.
                for past in part.found.iter().rev().flatten() {
                    if sessions_max <= seeded.sessions {
                        seeded.is_cut = true;
                        return Ok::<_, SeedError>(ControlFlow::Break(()));
                    }
                    seeded.sessions += 1;
                    self.remember(past);
                }
                Ok(ControlFlow::Continue(()))
            },
        )?;
        Ok(seeded)
    }

    fn remember(&self, past: &Past) {
        let principal = self.memory.principal(&past.principal, true);
        let mut principal = principal.lock().unwrap_or_else(PoisonError::into_inner);
        principal.networks.note(past.network, past.at);
        let role = self.memory.role(&past.role, true);
        let mut role = role.lock().unwrap_or_else(PoisonError::into_inner);
        role.accounts.note(self.memory.account(past.account), past.at);
    }
}

/// How far back the past is asked for, and how long one who was let in is remembered without another
/// attempt.
pub const SEED_AGE: Duration = Duration::from_hours(30 * 24);
/// The most sessions of the past that are remembered.
pub const SEED_SESSIONS_MAX: u64 = 100_000;

const BEGUN: &str =
    "action:(sts.role.assume OR iam-identity.account-profile.assume) AND outcome:success";
const FIELDS: [&str; 5] = [
    "initiator.host.address",
    "requestData.resource.attributes.accountId",
    "requestData.subject.attributes.principal",
    "requestData.subject.attributes.token.account.bss",
    "target.id",
];

#[cfg(test)]
mod tests;
