//! The compact form of an event, as the log's rings hold it: encoded on the request path, decoded
//! off it.
//!
//! Flows in: a borrowed event. Flows out: bytes, and from bytes a borrowed record. Never allocates
//! when the buffer has room for [`EVAL_FRAME_BYTES_MAX`]; text from outside is cut at a limit.

use std::net::{IpAddr, Ipv6Addr};

use uuid::Uuid;

use crate::clock::UnixMillis;
use crate::event::frame::input::INPUT_BYTES_MAX;
use crate::event::{DecidedBy, EvalEvent, StatementNote, UpdateEvent};
use crate::iam::{AccountId, IdentityKind, IdentityType};
use crate::policy::{self, Effect, Missing};
use crate::verdict::{Decision, Layer, Mode, Reason, Verdict};

mod assume;
mod input;

pub use assume::{
    ASSUME_FRAME_BYTES_MAX, AssumeRecord, CallerRecord, DETECTION_FRAME_BYTES_MAX, DetectionRecord,
    ROLE_BYTES_MAX, encode_assume, encode_detection,
};
pub use input::{
    CONTEXT_BYTES_MAX, Completeness, InputRecord, KeyRecord, KeyValue, PRINCIPAL_BYTES_MAX,
};

/// An evaluation, read from its frame.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields of `EvalEvent`, the identity's spread out")]
pub struct EvalRecord<'a> {
    pub id: Uuid,
    pub decision_id: Uuid,
    pub time: UnixMillis,
    pub revision: u64,
    pub decide_ns: u64,
    pub layer: Layer,
    pub verdict: Verdict,
    pub candidate: bool,
    pub identity_type: IdentityType,
    pub identity_kind: IdentityKind,
    pub source_ip: IpAddr,
    pub correlation_id: &'a str,
    pub owner: &'a str,
    pub caller: &'a str,
    pub identity_id: &'a str,
    pub identity_name: &'a str,
    pub authn_id: &'a str,
    pub authn_name: &'a str,
    pub action: &'a str,
    pub resource: &'a str,
    pub route: &'a str,
    pub agent: &'a str,
    /// Empty for the perimeter's.
    pub statements: Vec<StatementNote<'a>>,
    /// None for the perimeter's.
    pub missing: Missing,
    /// What the policies looked at; `None` for the perimeter's.
    pub input: Option<Box<InputRecord<'a>>>,
}

/// A setting's update, read from its frame.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields of `UpdateEvent`, the initiator's spread out")]
pub struct UpdateRecord<'a> {
    pub id: Uuid,
    pub time: UnixMillis,
    pub revision: u64,
    pub identity_type: IdentityType,
    pub identity_kind: IdentityKind,
    pub source_ip: IpAddr,
    pub correlation_id: &'a str,
    pub owner: &'a str,
    pub initiator_id: &'a str,
    pub initiator_name: &'a str,
    pub agent: &'a str,
    /// Update type, initial value, new value.
    pub changes: Vec<[&'a str; 3]>,
}

/// What a frame holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record<'a> {
    /// An attempt to begin a session.
    Assume(AssumeRecord<'a>),
    /// Something that was noticed about attempts.
    Detection(DetectionRecord<'a>),
    /// An evaluation.
    Eval(EvalRecord<'a>),
    /// A setting's update.
    Update(UpdateRecord<'a>),
}

impl Record<'_> {
    /// The event's id.
    pub fn id(&self) -> Uuid {
        match self {
            Self::Assume(assume) => assume.id,
            Self::Detection(detection) => detection.id,
            Self::Eval(eval) => eval.id,
            Self::Update(update) => update.id,
        }
    }

    /// When it happened.
    pub fn time(&self) -> UnixMillis {
        match self {
            Self::Assume(assume) => assume.time,
            Self::Detection(detection) => detection.time,
            Self::Eval(eval) => eval.time,
            Self::Update(update) => update.time,
        }
    }
}

/// Why bytes are no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// The frame ends inside a field.
    #[error("the frame ends early")]
    Short,
    /// A field has a value that this version doesn't know.
    #[error("the frame has an unknown value")]
    Unknown,
    /// Bytes follow the last field.
    #[error("the frame goes on after its last field")]
    Long,
}

/// Appends an evaluation's frame.
pub fn encode_eval(event: &EvalEvent<'_>, out: &mut Vec<u8>) {
    let identity = event.identity;
    out.push(EVAL);
    out.extend_from_slice(event.id.as_bytes());
    out.extend_from_slice(event.decision_id.as_bytes());
    for number in [event.time.0, event.revision, event.decide_ns] {
        out.extend_from_slice(&number.to_le_bytes());
    }
    out.extend_from_slice(&[
        code(&LAYERS, event.by.layer()),
        code(&DECISIONS, event.verdict.decision),
        code(&REASONS, event.verdict.reason),
        code(&Mode::ALL, event.verdict.mode),
        u8::from(event.candidate),
        code(&IdentityType::ALL, identity.identity_type),
        code(&KINDS, identity.kind),
    ]);
    address(out, event.source_ip);
    let caller = identity.account.as_ref().map_or("", AccountId::as_str);
    for (limit, text) in [
        (CORRELATION_BYTES_MAX, event.correlation_id),
        (AccountId::BYTES_MAX, event.owner.as_str()),
        (AccountId::BYTES_MAX, caller),
        (NAME_BYTES_MAX, &identity.id),
        (NAME_BYTES_MAX, &identity.name),
        (NAME_BYTES_MAX, &identity.authn_id),
        (NAME_BYTES_MAX, &identity.authn_name),
        (NAME_BYTES_MAX, event.action),
        (RESOURCE_BYTES_MAX, event.resource),
        (ROUTE_BYTES_MAX, event.route),
        (AGENT_BYTES_MAX, event.agent),
    ] {
        text_field(out, text, limit);
    }
    match event.by {
        DecidedBy::Perimeter => {}
        DecidedBy::Policy { statements, missing } => {
            statement_fields(out, statements, missing);
            input::encode(event, out);
        }
    }
}

fn statement_fields(out: &mut Vec<u8>, statements: &[StatementNote<'_>], missing: Missing) {
    out.extend_from_slice(&missing.bits().to_le_bytes());
    let statements = statements.get(..STATEMENTS_MAX).unwrap_or(statements);
    out.push(u8::try_from(statements.len()).unwrap_or(u8::MAX));
    for statement in statements {
        out.push(code(&EFFECTS, statement.effect));
        out.extend_from_slice(&statement.index.to_le_bytes());
        text_field(out, statement.policy, NAME_BYTES_MAX);
        text_field(out, statement.sid, SID_BYTES_MAX);
    }
}

/// Appends an update's frame.
pub fn encode_update(event: &UpdateEvent<'_>, out: &mut Vec<u8>) {
    let initiator = &event.initiator;
    let owner = event.owner.as_ref().map_or("", AccountId::as_str);
    out.push(UPDATE);
    out.extend_from_slice(event.id.as_bytes());
    for number in [event.time.0, event.revision] {
        out.extend_from_slice(&number.to_le_bytes());
    }
    let identity_type = code(&IdentityType::ALL, initiator.identity_type);
    out.extend_from_slice(&[identity_type, code(&KINDS, initiator.kind)]);
    address(out, initiator.source_ip);
    for (limit, text) in [
        (CORRELATION_BYTES_MAX, event.correlation_id),
        (AccountId::BYTES_MAX, owner),
        (NAME_BYTES_MAX, initiator.id),
        (NAME_BYTES_MAX, initiator.name),
        (AGENT_BYTES_MAX, initiator.agent),
    ] {
        text_field(out, text, limit);
    }
    let changes = event.changes.get(..CHANGES_MAX).unwrap_or(event.changes);
    out.push(u8::try_from(changes.len()).unwrap_or(u8::MAX));
    for change in changes {
        text_field(out, change.update_type, NAME_BYTES_MAX);
        text_field(out, change.initial_value, CHANGE_BYTES_MAX);
        text_field(out, change.new_value, CHANGE_BYTES_MAX);
    }
}

/// Reads a frame.
///
/// # Errors
/// The bytes are not exactly one frame.
pub fn decode(frame: &[u8]) -> Result<Record<'_>, FrameError> {
    let mut fields = Fields { rest: frame };
    let record = match fields.byte()? {
        ASSUME => Record::Assume(fields.assume()?),
        DETECTION => Record::Detection(fields.detection()?),
        EVAL => Record::Eval(fields.eval()?),
        UPDATE => Record::Update(fields.update()?),
        _ => return Err(FrameError::Unknown),
    };
    if fields.rest.is_empty() { Ok(record) } else { Err(FrameError::Long) }
}

/// What is left of a frame.
struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    // A struct's fields are evaluated in the order written, which is the frame's.
    fn eval(&mut self) -> Result<EvalRecord<'a>, FrameError> {
        let mut record = EvalRecord {
            id: self.uuid()?,
            decision_id: self.uuid()?,
            time: UnixMillis(self.number()?),
            revision: self.number()?,
            decide_ns: self.number()?,
            layer: self.value(&LAYERS)?,
            verdict: Verdict {
                decision: self.value(&DECISIONS)?,
                reason: self.value(&REASONS)?,
                mode: self.value(&Mode::ALL)?,
            },
            candidate: self.value(&[false, true])?,
            identity_type: self.value(&IdentityType::ALL)?,
            identity_kind: self.value(&KINDS)?,
            source_ip: self.address()?,
            correlation_id: self.text()?,
            owner: self.text()?,
            caller: self.text()?,
            identity_id: self.text()?,
            identity_name: self.text()?,
            authn_id: self.text()?,
            authn_name: self.text()?,
            action: self.text()?,
            resource: self.text()?,
            route: self.text()?,
            agent: self.text()?,
            statements: Vec::new(),
            missing: Missing::default(),
            input: None,
        };
        match record.layer {
            Layer::Perimeter => {}
            Layer::Policy => {
                (record.missing, record.statements) = self.statements()?;
                record.input = Some(Box::new(self.input()?));
            }
        }
        Ok(record)
    }

    fn statements(&mut self) -> Result<(Missing, Vec<StatementNote<'a>>), FrameError> {
        let missing = Missing::from_bits(self.take().map(u16::from_le_bytes)?);
        let statements = (0..self.byte()?).map(|_| self.statement());
        Ok((missing, statements.collect::<Result<_, _>>()?))
    }

    fn statement(&mut self) -> Result<StatementNote<'a>, FrameError> {
        let effect = self.value(&EFFECTS)?;
        let index = self.take().map(u32::from_le_bytes)?;
        Ok(StatementNote { effect, index, policy: self.text()?, sid: self.text()? })
    }

    fn update(&mut self) -> Result<UpdateRecord<'a>, FrameError> {
        Ok(UpdateRecord {
            id: self.uuid()?,
            time: UnixMillis(self.number()?),
            revision: self.number()?,
            identity_type: self.value(&IdentityType::ALL)?,
            identity_kind: self.value(&KINDS)?,
            source_ip: self.address()?,
            correlation_id: self.text()?,
            owner: self.text()?,
            initiator_id: self.text()?,
            initiator_name: self.text()?,
            agent: self.text()?,
            changes: (0..self.byte()?)
                .map(|_| Ok([self.text()?, self.text()?, self.text()?]))
                .collect::<Result<_, FrameError>>()?,
        })
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], FrameError> {
        let (head, rest) = self.rest.split_first_chunk().ok_or(FrameError::Short)?;
        self.rest = rest;
        Ok(*head)
    }

    fn byte(&mut self) -> Result<u8, FrameError> {
        self.take().map(|[byte]| byte)
    }

    fn number(&mut self) -> Result<u64, FrameError> {
        self.take().map(u64::from_le_bytes)
    }

    fn uuid(&mut self) -> Result<Uuid, FrameError> {
        self.take().map(Uuid::from_bytes)
    }

    fn value<T: Copy>(&mut self, all: &[T]) -> Result<T, FrameError> {
        all.get(usize::from(self.byte()?)).copied().ok_or(FrameError::Unknown)
    }

    fn address(&mut self) -> Result<IpAddr, FrameError> {
        self.take().map(|octets| Ipv6Addr::from_octets(octets).to_canonical())
    }

    fn text(&mut self) -> Result<&'a str, FrameError> {
        let len = usize::from(self.take().map(u16::from_le_bytes)?);
        let (text, rest) = self.rest.split_at_checked(len).ok_or(FrameError::Short)?;
        self.rest = rest;
        std::str::from_utf8(text).map_err(|_| FrameError::Unknown)
    }
}

/// An IPv4 address travels as its mapped IPv6 address.
fn address(out: &mut Vec<u8>, source_ip: IpAddr) {
    let wide = match source_ip {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    };
    out.extend_from_slice(&wide.octets());
}

fn text_field(out: &mut Vec<u8>, text: &str, bytes_max: usize) {
    let cut = text.get(..text.floor_char_boundary(bytes_max)).unwrap_or_default();
    // Every limit fits in 16 bits, see below.
    out.extend_from_slice(&u16::try_from(cut.len()).unwrap_or(u16::MAX).to_le_bytes());
    out.extend_from_slice(cut.as_bytes());
}

fn code<T: Copy + PartialEq>(all: &[T], value: T) -> u8 {
    let index = all.iter().position(|known| *known == value);
    index.and_then(|index| u8::try_from(index).ok()).unwrap_or(u8::MAX)
}

const EVAL: u8 = 1;
const UPDATE: u8 = 2;
const ASSUME: u8 = 3;
const DETECTION: u8 = 4;

const LAYERS: [Layer; 2] = [Layer::Perimeter, Layer::Policy];
const DECISIONS: [Decision; 2] = [Decision::Permit, Decision::Deny];
const KINDS: [IdentityKind; 2] = [IdentityKind::Login, IdentityKind::Profile];
const EFFECTS: [Effect; 2] = [Effect::Allow, Effect::Deny];
const REASONS: [Reason; 7] = [
    Reason::AccountAllowlisted,
    Reason::AccountNotAllowed,
    Reason::NoAccount,
    Reason::Unrestricted,
    Reason::PolicyAllow,
    Reason::PolicyExplicitDeny,
    Reason::PolicyImplicitDeny,
];

/// The longest correlation id that is kept, in bytes.
pub const CORRELATION_BYTES_MAX: usize = 128;
/// The longest id, name or action that is kept, in bytes.
pub const NAME_BYTES_MAX: usize = 256;
/// The longest resource that is kept, in bytes.
pub const RESOURCE_BYTES_MAX: usize = 2048;
/// The longest route template that is kept, in bytes.
pub const ROUTE_BYTES_MAX: usize = 512;
/// The longest `user-agent` that is kept, in bytes.
pub const AGENT_BYTES_MAX: usize = 512;
/// The longest name of a statement that is kept, in bytes.
pub const SID_BYTES_MAX: usize = 128;
/// The most statements that an event names: as many as an answer does.
pub const STATEMENTS_MAX: usize = policy::STATEMENTS_MAX;
/// The longest value of a changed setting that is kept, in bytes.
pub const CHANGE_BYTES_MAX: usize = 2048;
/// The most changes of one update: mode and allowlist of three types, in force and proposed.
pub const CHANGES_MAX: usize = 12;

/// The longest frame of an evaluation.
pub const EVAL_FRAME_BYTES_MAX: usize = 1
    + 2 * 16
    + 3 * 8
    + 7
    + 16
    + 11 * 2
    + CORRELATION_BYTES_MAX
    + 2 * AccountId::BYTES_MAX
    + 5 * NAME_BYTES_MAX
    + RESOURCE_BYTES_MAX
    + ROUTE_BYTES_MAX
    + AGENT_BYTES_MAX
    + STATEMENT_FIELDS_BYTES_MAX
    + INPUT_BYTES_MAX;
const STATEMENT_FIELDS_BYTES_MAX: usize =
    2 + 1 + STATEMENTS_MAX * (1 + 4 + 2 * 2 + NAME_BYTES_MAX + SID_BYTES_MAX);
/// The longest frame of an update.
pub const UPDATE_FRAME_BYTES_MAX: usize = 1
    + 16
    + 2 * 8
    + 2
    + 16
    + 5 * 2
    + CORRELATION_BYTES_MAX
    + AccountId::BYTES_MAX
    + 2 * NAME_BYTES_MAX
    + AGENT_BYTES_MAX
    + 1
    + CHANGES_MAX * (3 * 2 + NAME_BYTES_MAX + 2 * CHANGE_BYTES_MAX);
// Lengths of fields are written with 16 bits.
const _: () = assert!(RESOURCE_BYTES_MAX < 1 << 16 && CHANGE_BYTES_MAX < 1 << 16);
const _: () = assert!(CHANGES_MAX < 1 << 8 && STATEMENTS_MAX < 1 << 8);

#[cfg(test)]
mod tests;
