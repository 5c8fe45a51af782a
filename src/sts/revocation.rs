//! Sessions that were ended before their time.
//!
//! Flows in: revocations, and the document that keeps them. Flows out: whether a session is ended,
//! and the document again. Pure; the file is `revocations`'.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::hash::BuildHasher as _;
use std::time::Duration;

use foldhash::fast::{FixedState, RandomState};
use hashbrown::HashTable;
use uuid::Uuid;

use crate::clock::UnixMillis;
use crate::event::time;
use crate::iam::{AccountId, Arn, Session};
use crate::policy::finding::shown;
use crate::policy::json::{self, Json, Member, Node};
use crate::policy::{PolicyFinding, RoleName};

/// All that are in force.
#[derive(Clone, Debug, Default)]
pub struct Revocations {
    /// By what identifies the role; see [`role_name`].
    roles: HashTable<RoleRevocation>,
    sessions: HashSet<Uuid, RandomState>,
}

/// What ends sessions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Revocation {
    /// All of a role that were issued before a time.
    Role(RoleRevocation),
    /// One, by its `jti`: a `UUIDv7`.
    Session(Uuid),
}

/// Ends the sessions of a role that were issued before a time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RoleRevocation {
    /// The role's ARN; its path does not count.
    pub role: Box<str>,
    /// Sessions issued before this end.
    pub before: UnixMillis,
}

/// What adding a revocation did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Added {
    /// It ends more than was ended before; of a role, what was in force for it.
    Now(Option<UnixMillis>),
    /// What is in force ends all that it would.
    Already,
}

/// There is no room for another revocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{ROLES_MAX} roles and {SESSIONS_MAX} sessions are the most that are kept; hint: end all \
     sessions of a role at once"
)]
pub struct RevocationsFull;

impl Revocations {
    /// Whether a session is ended. One or two look-ups by hash, no allocation.
    pub fn revokes(&self, session: &Session) -> bool {
        self.sessions.contains(&session.id)
            || self.before(&session.role).is_some_and(|before| session.issued_at() < before)
    }

    /// Whether nothing is ended.
    pub fn is_empty(&self) -> bool {
        self.roles.is_empty() && self.sessions.is_empty()
    }

    /// Before which time the sessions of a role are ended, if some are.
    pub fn before(&self, role: &str) -> Option<UnixMillis> {
        if self.roles.is_empty() {
            return None;
        }
        let name = role_name(role)?;
        self.roles.find(hash_of(name), is_of(name)).map(|found| found.before)
    }

    /// Adds a revocation. It never takes back what an earlier one ends.
    ///
    /// # Errors
    /// There is no room for it.
    pub fn add(&mut self, revocation: Revocation) -> Result<Added, RevocationsFull> {
        match revocation {
            Revocation::Role(role) => self.add_role(role),
            Revocation::Session(session) => {
                if self.sessions.contains(&session) {
                    return Ok(Added::Already);
                }
                if SESSIONS_MAX <= self.sessions.len() {
                    return Err(RevocationsFull);
                }
                self.sessions.insert(session);
                Ok(Added::Now(None))
            }
        }
    }

    fn add_role(&mut self, added: RoleRevocation) -> Result<Added, RevocationsFull> {
        // A text that names no role ends nothing; the readers below refuse it.
        let Some(name) = role_name(&added.role) else { return Ok(Added::Already) };
        let hash = hash_of(name);
        if let Some(found) = self.roles.find_mut(hash, is_of(name)) {
            if added.before <= found.before {
                return Ok(Added::Already);
            }
            let before = found.before;
            *found = added;
            return Ok(Added::Now(Some(before)));
        }
        if ROLES_MAX <= self.roles.len() {
            return Err(RevocationsFull);
        }
        let hash_of = |role: &RoleRevocation| role_name(&role.role).map_or(0, hash_of);
        self.roles.insert_unique(hash, added, hash_of);
        Ok(Added::Now(None))
    }

    /// Forgets what can end nothing any more.
    pub fn forget(&mut self, now: UnixMillis) {
        self.roles.retain(|role| is_kept(role.before, now));
        self.sessions.retain(|session| is_kept(issued_at(*session), now));
    }

    /// The roles with ended sessions, by their ARNs' order.
    pub fn roles(&self) -> Vec<&RoleRevocation> {
        let mut all: Vec<_> = self.roles.iter().collect();
        all.sort_unstable();
        all
    }

    /// The sessions that were ended one by one, by their time of issue.
    pub fn sessions(&self) -> Vec<Uuid> {
        let mut all: Vec<_> = self.sessions.iter().copied().collect();
        all.sort_unstable();
        all
    }

    /// How many roles and sessions.
    pub fn counts(&self) -> (usize, usize) {
        (self.roles.len(), self.sessions.len())
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = Revocation> {
        let roles = self.roles().into_iter().cloned().map(Revocation::Role);
        roles.chain(self.sessions().into_iter().map(Revocation::Session))
    }

    /// The document that keeps them: JSON, one entry a line.
    pub fn to_document(&self) -> String {
        let mut text = String::from("{\n  \"roles\": [");
        for (index, RoleRevocation { role, before }) in self.roles().into_iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            // A role's ARN has no character that JSON escapes. Writing to a string does not fail.
            let before = time::rfc3339(*before);
            let _ =
                write!(text, "{comma}\n    {{ \"role\": \"{role}\", \"before\": \"{before}\" }}");
        }
        text.push_str("\n  ],\n  \"sessions\": [");
        for (index, session) in self.sessions().into_iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            let _ = write!(text, "{comma}\n    {{ \"session\": \"{session}\" }}");
        }
        text.push_str("\n  ]\n}\n");
        text
    }
}

/// From when on a session's token counts no more in any case, and its end can be forgotten.
pub fn over_at(session: Uuid) -> UnixMillis {
    UnixMillis(issued_at(session).0.saturating_add(millis(KEPT)))
}

/// Reads the document that keeps revocations.
///
/// # Errors
/// Something in it is wrong, with its place; then nothing of it counts.
pub fn read_document(text: &str) -> Result<Revocations, PolicyFinding> {
    let root = json::parse(text)?;
    known_members(&root, "the document", &["roles", "sessions"])?;
    let mut all = Revocations::default();
    for node in list(&root, "roles")? {
        known_members(node, "an entry of `roles`", &["role", "before"])?;
        let role = role_of(require(node, "role")?)?;
        let before = time_of(require(node, "before")?)?;
        add(&mut all, node, Revocation::Role(RoleRevocation { role, before }))?;
    }
    for node in list(&root, "sessions")? {
        known_members(node, "an entry of `sessions`", &["session"])?;
        let session = session_of(require(node, "session")?)?;
        add(&mut all, node, Revocation::Session(session))?;
    }
    Ok(all)
}

/// Reads one revocation that is asked for: `{"role", "before"}`, where `before` may be absent, or
/// `{"session"}`.
///
/// # Errors
/// It is no such request; the text names the member.
pub fn read_request(text: &str, now: UnixMillis) -> Result<Revocation, PolicyFinding> {
    let root = json::parse(text)?;
    known_members(&root, "the body", &["role", "before", "session"])?;
    let latest = UnixMillis(now.0.saturating_add(millis(AHEAD_MAX)));
    match (root.get("role"), root.get("session"), root.get("before")) {
        (Some(role), None, before) => {
            let role = role_of(role)?;
            let before = match before {
                // To the end of this millisecond: what is issued in it may be what is meant.
                None => UnixMillis(now.0.saturating_add(1)),
                Some(node) => {
                    let before = time_of(node)?;
                    if latest < before {
                        let message = "`before` is more than a minute ahead";
                        let hint = "it would end sessions that have not begun";
                        return Err(wrong(node, message).with_hint(hint));
                    }
                    before
                }
            };
            Ok(Revocation::Role(RoleRevocation { role, before }))
        }
        (None, Some(node), None) => {
            let session = session_of(node)?;
            if latest < issued_at(session) {
                return Err(wrong(node, "`session` is of a time more than a minute ahead"));
            }
            Ok(Revocation::Session(session))
        }
        (None, Some(_), Some(node)) => {
            Err(wrong(node, "`before` has no meaning with `session`").with_hint("leave it out"))
        }
        (Some(_), Some(node), _) => Err(wrong(node, "either `role` or `session`, not both")),
        (None, None, _) => Err(wrong(&root, "neither `role` nor `session` is there")),
    }
}

fn add(all: &mut Revocations, node: &Node, added: Revocation) -> Result<(), PolicyFinding> {
    all.add(added).map(drop).map_err(|full| wrong(node, full.to_string()))
}

fn list<'n>(root: &'n Node, name: &str) -> Result<&'n [Node], PolicyFinding> {
    match root.get(name) {
        None => Ok(&[]),
        Some(node) => match &node.value {
            Json::List(nodes) => Ok(nodes),
            other => Err(wrong(node, format!("`{name}` is a list, and this is {}", other.kind()))),
        },
    }
}

fn known_members(node: &Node, what: &str, known: &[&str]) -> Result<(), PolicyFinding> {
    let members = match &node.value {
        Json::Object(members) => members,
        other => return Err(wrong(node, format!("{what} is an object, not {}", other.kind()))),
    };
    let unknown = |it: &&Member| !known.contains(&&*it.name);
    match members.iter().find(unknown) {
        None => Ok(()),
        Some(Member { name, offset, .. }) => {
            let message = format!("{what} has the unknown member {}", shown(name));
            let known = known.join("`, `");
            let len = name.len().saturating_add(2);
            Err(PolicyFinding::error(*offset, len, message).with_hint(format!("one of `{known}`")))
        }
    }
}

fn require<'n>(node: &'n Node, name: &str) -> Result<&'n Node, PolicyFinding> {
    node.get(name).ok_or_else(|| wrong(node, format!("`{name}` is missing")))
}

fn text_of<'n>(node: &'n Node, name: &str) -> Result<&'n str, PolicyFinding> {
    let kind = node.value.kind();
    node.as_text().ok_or_else(|| wrong(node, format!("`{name}` is a text, and this is {kind}")))
}

fn role_of(node: &Node) -> Result<Box<str>, PolicyFinding> {
    let text = text_of(node, "role")?;
    if is_role(text) {
        return Ok(text.into());
    }
    let is_profile = text.trim_start_matches("iam-").starts_with("Profile-");
    let hint = if is_profile {
        "a trusted profile's is `arn:aws:iam::<account>:role/Profile-…`"
    } else if text.contains(":assumed-role/") {
        "like `arn:aws:iam::111111111111:role/name`; one session is ended by its `jti`"
    } else {
        "like `arn:aws:iam::111111111111:role/name`, without wildcards"
    };
    Err(wrong(node, format!("`role`: {} is no role's ARN", shown(text))).with_hint(hint))
}

fn session_of(node: &Node) -> Result<Uuid, PolicyFinding> {
    let text = text_of(node, "session")?;
    let is_own = |id: &Uuid| id.get_version_num() == SESSION_ID_VERSION;
    Uuid::try_parse(text).ok().filter(is_own).ok_or_else(|| {
        let message = format!("`session`: {} is no session's id", shown(text));
        wrong(node, message).with_hint("it is the `jti` of the session's token, a UUIDv7")
    })
}

fn time_of(node: &Node) -> Result<UnixMillis, PolicyFinding> {
    let text = text_of(node, "before")?;
    time::parse(text).ok_or_else(|| {
        let message = format!("`before`: {} is no time by RFC 3339", shown(text));
        wrong(node, message).with_hint("like `2026-01-31T12:00:00Z`")
    })
}

fn wrong(node: &Node, message: impl Into<String>) -> PolicyFinding {
    PolicyFinding::error(node.offset, node.len, message)
}

/// What identifies the role of an ARN; none if it is no role's.
///
/// A trusted profile is also known by the id that identities have, with `iam-` before it.
fn role_name(text: &str) -> Option<RoleName<'_>> {
    let arn = Arn::parse(text)?;
    let path = arn.resource().strip_prefix(ROLE)?;
    let name = path.rsplit('/').next().filter(|name| !name.is_empty())?;
    let profile = name.strip_prefix("iam-").filter(|rest| rest.starts_with("Profile-"));
    let name = profile.unwrap_or(name);
    Some(RoleName { partition: arn.partition(), account: arn.account(), name })
}

/// Whether a text is the ARN of one role; what only looks like it would end nothing.
fn is_role(text: &str) -> bool {
    let Some(arn) = Arn::parse(text) else { return false };
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"+=,.@_-/".contains(&byte);
    let is_partition = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    text.len() <= ROLE_BYTES_MAX
        && role_name(text).is_some()
        && arn.resource().bytes().all(is_plain)
        && (arn.service(), arn.region()) == ("iam", "")
        && AccountId::parse(arn.account()).is_ok()
        && !arn.partition().is_empty()
        && arn.partition().bytes().all(is_partition)
}

/// When the token of a session's id was issued.
fn issued_at(session: Uuid) -> UnixMillis {
    let (high, _) = session.as_u64_pair();
    UnixMillis(high >> 16)
}

fn is_of(name: RoleName<'_>) -> impl Fn(&RoleRevocation) -> bool {
    move |role| role_name(&role.role) == Some(name)
}

fn hash_of(name: RoleName<'_>) -> u64 {
    HASHER.hash_one((name.account, name.name))
}

/// Whether a session that was issued then, or just before, may still be alive.
fn is_kept(issued: UnixMillis, now: UnixMillis) -> bool {
    now.0 < issued.0.saturating_add(millis(KEPT))
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The most roles with ended sessions.
pub const ROLES_MAX: usize = 10_000;
/// The most sessions that were ended one by one.
pub const SESSIONS_MAX: usize = 100_000;
const ROLE: &str = "role/";
/// The longest ARN of a role that is kept, in bytes: AWS's longest.
pub const ROLE_BYTES_MAX: usize = 2048;
/// The longest session of any role, 12 h, and the most that an issuer forgives, 1 h: after that
/// nothing is alive that a revocation could end.
pub const KEPT: Duration = Duration::from_hours(13);
/// How far ahead another machine's clock may be.
const AHEAD_MAX: Duration = Duration::from_mins(1);
/// Ids of sessions hold the time of issue.
const SESSION_ID_VERSION: usize = 7;
// Who asks has a token that was verified, and picks no role's name.
const HASHER: FixedState = FixedState::with_seed(0);

#[cfg(test)]
mod tests;
