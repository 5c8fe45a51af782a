//! The frames of the token service: attempts to begin a session, and what was noticed about them.
//!
//! Flows in: borrowed events. Flows out: bytes, and from bytes borrowed records. Nothing in here
//! could hold a token or an external ID: no event has one.

use std::net::IpAddr;

use uuid::Uuid;

use crate::clock::{UnixMillis, UnixSeconds};
use crate::event::frame::{
    AGENT_BYTES_MAX, CORRELATION_BYTES_MAX, DECISIONS, Fields, FrameError, KINDS, NAME_BYTES_MAX,
    PRINCIPAL_BYTES_MAX, STATEMENT_FIELDS_BYTES_MAX, address, code, statement_fields, text_field,
};
use crate::event::{
    AssumeEvent, AssumeReason, AssumeTarget, DetectionEvent, DetectionName, DetectionSubject, Door,
    StatementNote,
};
use crate::iam::{AccountId, Identity, IdentityKind, IdentityType};
use crate::policy::Missing;
use crate::verdict::Decision;

/// An attempt to begin a session, read from its frame.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields of `AssumeEvent`")]
pub struct AssumeRecord<'a> {
    pub id: Uuid,
    pub time: UnixMillis,
    pub revision: u64,
    pub target: AssumeTarget,
    pub door: Door,
    pub decision: Decision,
    pub reason: AssumeReason,
    pub status: u16,
    pub has_external_id: bool,
    pub duration_seconds: Option<u32>,
    pub session: Option<(Uuid, UnixSeconds)>,
    pub source_ip: IpAddr,
    pub correlation_id: &'a str,
    /// Empty: the request names none.
    pub owner: &'a str,
    pub role: &'a str,
    pub session_name: &'a str,
    pub source_identity: &'a str,
    pub agent: &'a str,
    /// `None` where the token proves nobody.
    pub caller: Option<CallerRecord<'a>>,
    pub missing: Missing,
    pub statements: Vec<StatementNote<'a>>,
}

/// What was noticed, read from its frame.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields of `DetectionEvent`")]
pub struct DetectionRecord<'a> {
    pub id: Uuid,
    pub time: UnixMillis,
    pub revision: u64,
    pub name: DetectionName,
    pub subject: DetectionSubject,
    pub count: u32,
    pub target: AssumeTarget,
    pub source_ip: IpAddr,
    pub correlation_id: &'a str,
    /// Empty: the request names none.
    pub owner: &'a str,
    pub role: &'a str,
    pub agent: &'a str,
    /// `None` where the token proves nobody.
    pub caller: Option<CallerRecord<'a>>,
}

/// Who asked, read from a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "fields of `Identity`")]
pub struct CallerRecord<'a> {
    pub identity_type: IdentityType,
    pub identity_kind: IdentityKind,
    /// Empty: the token has none.
    pub account: &'a str,
    pub id: &'a str,
    pub name: &'a str,
    pub authn_id: &'a str,
    pub authn_name: &'a str,
    pub principal: &'a str,
}

/// Appends an attempt's frame.
pub fn encode_assume(event: &AssumeEvent<'_>, out: &mut Vec<u8>) {
    out.push(super::ASSUME);
    out.extend_from_slice(event.id.as_bytes());
    for number in [event.time.0, event.revision] {
        out.extend_from_slice(&number.to_le_bytes());
    }
    let of = |is_set: bool, flag: u8| if is_set { flag } else { 0 };
    out.extend_from_slice(&[
        code(&AssumeTarget::ALL, event.target),
        code(&Door::ALL, event.door),
        code(&DECISIONS, event.decision),
        code(&AssumeReason::ALL, event.reason),
        of(event.has_external_id, EXTERNAL_ID)
            | of(event.duration_seconds.is_some(), DURATION)
            | of(event.session.is_some(), SESSION),
    ]);
    out.extend_from_slice(&event.status.to_le_bytes());
    if let Some(seconds) = event.duration_seconds {
        out.extend_from_slice(&seconds.to_le_bytes());
    }
    if let Some((session, UnixSeconds(expiration))) = event.session {
        out.extend_from_slice(session.as_bytes());
        out.extend_from_slice(&expiration.to_le_bytes());
    }
    address(out, event.source_ip);
    for (limit, text) in [
        (CORRELATION_BYTES_MAX, event.correlation_id),
        (AccountId::BYTES_MAX, event.owner.as_ref().map_or("", AccountId::as_str)),
        (ROLE_BYTES_MAX, event.role),
        (NAME_BYTES_MAX, event.session_name),
        (NAME_BYTES_MAX, event.source_identity),
        (AGENT_BYTES_MAX, event.agent),
    ] {
        text_field(out, text, limit);
    }
    caller_fields(out, event.initiator);
    statement_fields(out, event.statements, event.missing);
}

/// Appends a detection's frame.
pub fn encode_detection(event: &DetectionEvent<'_>, out: &mut Vec<u8>) {
    out.push(super::DETECTION);
    out.extend_from_slice(event.id.as_bytes());
    for number in [event.time.0, event.revision] {
        out.extend_from_slice(&number.to_le_bytes());
    }
    out.push(code(&DetectionName::ALL, event.name));
    out.push(code(&DetectionSubject::ALL, event.subject));
    out.extend_from_slice(&event.count.to_le_bytes());
    out.push(code(&AssumeTarget::ALL, event.target));
    address(out, event.source_ip);
    for (limit, text) in [
        (CORRELATION_BYTES_MAX, event.correlation_id),
        (AccountId::BYTES_MAX, event.owner.as_ref().map_or("", AccountId::as_str)),
        (ROLE_BYTES_MAX, event.role),
        (AGENT_BYTES_MAX, event.agent),
    ] {
        text_field(out, text, limit);
    }
    caller_fields(out, event.initiator);
}

fn caller_fields(out: &mut Vec<u8>, identity: Option<&Identity>) {
    out.push(u8::from(identity.is_some()));
    let Some(identity) = identity else { return };
    out.push(code(&IdentityType::ALL, identity.identity_type));
    out.push(code(&KINDS, identity.kind));
    for (limit, text) in [
        (AccountId::BYTES_MAX, identity.account.as_ref().map_or("", AccountId::as_str)),
        (NAME_BYTES_MAX, &identity.id),
        (NAME_BYTES_MAX, &identity.name),
        (NAME_BYTES_MAX, &identity.authn_id),
        (NAME_BYTES_MAX, &identity.authn_name),
        (PRINCIPAL_BYTES_MAX, &identity.principal),
    ] {
        text_field(out, text, limit);
    }
}

impl<'a> Fields<'a> {
    /// Reads an attempt. A struct's fields are evaluated in the order written, which is the frame's.
    pub(super) fn assume(&mut self) -> Result<AssumeRecord<'a>, FrameError> {
        let (id, time, revision) = (self.uuid()?, UnixMillis(self.number()?), self.number()?);
        let target = self.value(&AssumeTarget::ALL)?;
        let door = self.value(&Door::ALL)?;
        let decision = self.value(&DECISIONS)?;
        let reason = self.value(&AssumeReason::ALL)?;
        let flags = self.byte()?;
        if flags & !(EXTERNAL_ID | DURATION | SESSION) != 0 {
            return Err(FrameError::Unknown);
        }
        let has = |flag: u8| flags & flag != 0;
        let mut record = AssumeRecord {
            id,
            time,
            revision,
            target,
            door,
            decision,
            reason,
            status: self.take().map(u16::from_le_bytes)?,
            has_external_id: has(EXTERNAL_ID),
            duration_seconds: has(DURATION)
                .then(|| self.take().map(u32::from_le_bytes))
                .transpose()?,
            session: has(SESSION)
                .then(|| Ok((self.uuid()?, UnixSeconds(self.number()?))))
                .transpose()?,
            source_ip: self.address()?,
            correlation_id: self.text()?,
            owner: self.text()?,
            role: self.text()?,
            session_name: self.text()?,
            source_identity: self.text()?,
            agent: self.text()?,
            caller: self.caller()?,
            missing: Missing::default(),
            statements: Vec::new(),
        };
        (record.missing, record.statements) = self.statements()?;
        Ok(record)
    }

    /// Reads a detection.
    pub(super) fn detection(&mut self) -> Result<DetectionRecord<'a>, FrameError> {
        Ok(DetectionRecord {
            id: self.uuid()?,
            time: UnixMillis(self.number()?),
            revision: self.number()?,
            name: self.value(&DetectionName::ALL)?,
            subject: self.value(&DetectionSubject::ALL)?,
            count: self.take().map(u32::from_le_bytes)?,
            target: self.value(&AssumeTarget::ALL)?,
            source_ip: self.address()?,
            correlation_id: self.text()?,
            owner: self.text()?,
            role: self.text()?,
            agent: self.text()?,
            caller: self.caller()?,
        })
    }

    fn caller(&mut self) -> Result<Option<CallerRecord<'a>>, FrameError> {
        if !self.value(&[false, true])? {
            return Ok(None);
        }
        Ok(Some(CallerRecord {
            identity_type: self.value(&IdentityType::ALL)?,
            identity_kind: self.value(&KINDS)?,
            account: self.text()?,
            id: self.text()?,
            name: self.text()?,
            authn_id: self.text()?,
            authn_name: self.text()?,
            principal: self.text()?,
        }))
    }
}

const EXTERNAL_ID: u8 = 1;
const DURATION: u8 = 2;
const SESSION: u8 = 4;

/// The longest role ARN that is kept, in bytes: a real one has an account of 64, a path of 512 and
/// a name of 64 characters.
pub const ROLE_BYTES_MAX: usize = 1024;

const CALLER_BYTES_MAX: usize =
    1 + 2 + 6 * 2 + AccountId::BYTES_MAX + 4 * NAME_BYTES_MAX + PRINCIPAL_BYTES_MAX;
/// The longest frame of an attempt.
pub const ASSUME_FRAME_BYTES_MAX: usize = 1
    + 16
    + 2 * 8
    + 5
    + 2
    + 4
    + 16
    + 8
    + 16
    + 6 * 2
    + CORRELATION_BYTES_MAX
    + AccountId::BYTES_MAX
    + ROLE_BYTES_MAX
    + 2 * NAME_BYTES_MAX
    + AGENT_BYTES_MAX
    + CALLER_BYTES_MAX
    + STATEMENT_FIELDS_BYTES_MAX;
/// The longest frame of a detection.
pub const DETECTION_FRAME_BYTES_MAX: usize = 1
    + 16
    + 2 * 8
    + 2
    + 4
    + 1
    + 16
    + 4 * 2
    + CORRELATION_BYTES_MAX
    + AccountId::BYTES_MAX
    + ROLE_BYTES_MAX
    + AGENT_BYTES_MAX
    + CALLER_BYTES_MAX;
// What takes the longest evaluation takes these.
const _: () = assert!(ASSUME_FRAME_BYTES_MAX <= super::EVAL_FRAME_BYTES_MAX);
const _: () = assert!(DETECTION_FRAME_BYTES_MAX <= super::EVAL_FRAME_BYTES_MAX);

#[cfg(test)]
mod tests;
