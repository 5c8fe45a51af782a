//! What policies looked at, in the frame of their event: enough to decide it again.
//!
//! Flows in: a borrowed event. Flows out: bytes, and from bytes a borrowed record. Never holds a
//! value that may be a secret; what has no room is left out, and the record says so.

use crate::clock::UnixSeconds;
use crate::event::EvalEvent;
use crate::event::frame::{
    AGENT_BYTES_MAX, Fields, FrameError, NAME_BYTES_MAX, RESOURCE_BYTES_MAX, text_field,
};
use crate::iam::{Identity, Recording, RouteValue, Transport};

/// What policies looked at, read from an event's frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputRecord<'a> {
    /// The caller, as policies know it.
    pub principal: &'a str,
    /// What is done with the resource's key; empty: nothing.
    pub key_action: &'a str,
    /// How the client sent the request.
    pub transport: Transport,
    /// Whether a second factor was used, where the token tells.
    pub mfa: Option<bool>,
    /// When the login happened, where the token tells.
    pub authenticated_at: Option<UnixSeconds>,
    /// When the token was issued, where it tells.
    pub issued_at: Option<UnixSeconds>,
    /// Session tags, then the route's keys.
    pub keys: Vec<KeyRecord<'a>>,
    /// Keys that the request has, whose values no event tells.
    pub withheld: Vec<&'a str>,
    /// Whether all of it is here.
    pub completeness: Completeness,
}

/// A condition key with its value or values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRecord<'a> {
    /// The key; of a session tag the tag's.
    pub key: &'a str,
    /// What it has.
    pub value: KeyValue<'a>,
}

/// What a recorded condition key has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyValue<'a> {
    /// Several values, or none.
    Many(Vec<&'a str>),
    /// A single value.
    One(&'a str),
    /// A session tag's value.
    Tag(&'a str),
}

/// Whether a record has all that its policies looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Completeness {
    /// It has, but for what is withheld.
    Complete,
    /// Something was too long and is cut or left out.
    Cut,
}

/// Appends what policies looked at.
pub(super) fn encode(event: &EvalEvent<'_>, out: &mut Vec<u8>) {
    let (identity, input) = (event.identity, &event.input);
    text_field(out, &identity.principal, PRINCIPAL_BYTES_MAX);
    text_field(out, input.key_action, NAME_BYTES_MAX);
    let flags_at = out.len();
    out.push(flags(identity, input.transport));
    for time in [identity.issued_at, identity.authenticated_at].into_iter().flatten() {
        out.extend_from_slice(&time.0.to_le_bytes());
    }
    let mut entries = Entries { end: out.len() + CONTEXT_BYTES_MAX, out, is_cut: is_cut(event) };
    for (tag, value) in &identity.session_tags {
        entries.push(TAG, tag, Some(value));
    }
    if input.referer.is_some() {
        entries.push(WITHHELD, REFERER, None);
    }
    if let Some(session) = &identity.session {
        if session.source_identity.is_some() {
            entries.push(WITHHELD, SOURCE_IDENTITY, None);
        }
        if session.federated_provider.is_some() {
            entries.push(WITHHELD, FEDERATED_PROVIDER, None);
        }
    }
    for (key, value) in input.context.iter() {
        match (key.recording, value) {
            (Recording::Withheld, RouteValue::One(_) | RouteValue::Many(_)) => {
                entries.push(WITHHELD, &key.key, None);
            }
            (Recording::Told, RouteValue::One(value)) => entries.push(ONE, &key.key, Some(value)),
            (Recording::Told, RouteValue::Many(values)) => entries.push_many(&key.key, values),
        }
    }
    let is_cut = entries.is_cut;
    out.push(END);
    if let Some(flags) = out.get_mut(flags_at).filter(|_| is_cut) {
        *flags |= CUT;
    }
}

fn flags(identity: &Identity, transport: Transport) -> u8 {
    let of = |is_set: bool, flag: u8| if is_set { flag } else { 0 };
    of(transport == Transport::Tls, TLS)
        | of(identity.mfa.is_some(), MFA_TOLD)
        | of(identity.mfa == Some(true), MFA)
        | of(identity.issued_at.is_some(), ISSUED)
        | of(identity.authenticated_at.is_some(), AUTHENTICATED)
}

/// Whether a field of the event is cut that conditions may read whole.
fn is_cut(event: &EvalEvent<'_>) -> bool {
    let limits = [
        (&*event.identity.principal, PRINCIPAL_BYTES_MAX),
        (&*event.identity.id, NAME_BYTES_MAX),
        (event.action, NAME_BYTES_MAX),
        (event.input.key_action, NAME_BYTES_MAX),
        (event.resource, RESOURCE_BYTES_MAX),
        (event.agent, AGENT_BYTES_MAX),
    ];
    // An agent that conditions do not see as the event tells it: repeated, or there and empty.
    let is_agent_told = event
        .input
        .user_agent
        .map_or(event.agent.is_empty(), |agent| !agent.is_empty() && agent == event.agent);
    // Events do not tell what limits a session.
    let is_limited = event.identity.session_policies().is_some();
    !is_agent_told || is_limited || limits.iter().any(|(text, bytes_max)| *bytes_max < text.len())
}

/// The entries of a frame, as far as there is room.
struct Entries<'o> {
    out: &'o mut Vec<u8>,
    end: usize,
    is_cut: bool,
}

impl Entries<'_> {
    /// Appends an entry whole, or not at all.
    fn push(&mut self, kind: u8, key: &str, value: Option<&str>) {
        let bytes = 1 + 2 + key.len() + value.map_or(0, |value| 2 + value.len());
        if self.has_room(bytes) {
            self.out.push(kind);
            whole_field(self.out, key);
            if let Some(value) = value {
                whole_field(self.out, value);
            }
        }
    }

    fn push_many(&mut self, key: &str, values: &[Box<str>]) {
        let bytes = values.iter().map(|value| 2 + value.len()).sum::<usize>() + 1 + 2 + key.len();
        let Ok(count) = u8::try_from(values.len()) else {
            self.is_cut = true;
            return;
        };
        if self.has_room(bytes + 1) {
            self.out.push(MANY);
            whole_field(self.out, key);
            self.out.push(count);
            for value in values {
                whole_field(self.out, value);
            }
        }
    }

    fn has_room(&mut self, bytes: usize) -> bool {
        let fits = self.out.len() + bytes <= self.end;
        self.is_cut |= !fits;
        fits
    }
}

/// Appends a text that is known to have room.
#[inline]
fn whole_field(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(&u16::try_from(text.len()).unwrap_or(u16::MAX).to_le_bytes());
    out.extend_from_slice(text.as_bytes());
}

impl<'a> Fields<'a> {
    /// Reads what policies looked at.
    pub(super) fn input(&mut self) -> Result<InputRecord<'a>, FrameError> {
        let (principal, key_action) = (self.text()?, self.text()?);
        let flags = self.byte()?;
        if flags & !ALL != 0 {
            return Err(FrameError::Unknown);
        }
        let has = |flag: u8| flags & flag != 0;
        let mut record = InputRecord {
            principal,
            key_action,
            transport: if has(TLS) { Transport::Tls } else { Transport::Plain },
            mfa: has(MFA_TOLD).then_some(has(MFA)),
            issued_at: has(ISSUED).then(|| self.number()).transpose()?.map(UnixSeconds),
            authenticated_at: has(AUTHENTICATED)
                .then(|| self.number())
                .transpose()?
                .map(UnixSeconds),
            keys: Vec::new(),
            withheld: Vec::new(),
            completeness: if has(CUT) { Completeness::Cut } else { Completeness::Complete },
        };
        loop {
            let kind = self.byte()?;
            if kind == END {
                return Ok(record);
            }
            let key = self.text()?;
            let value = match kind {
                WITHHELD => {
                    record.withheld.push(key);
                    continue;
                }
                TAG => KeyValue::Tag(self.text()?),
                ONE => KeyValue::One(self.text()?),
                MANY => KeyValue::Many(
                    (0..self.byte()?).map(|_| self.text()).collect::<Result<_, _>>()?,
                ),
                _ => return Err(FrameError::Unknown),
            };
            record.keys.push(KeyRecord { key, value });
        }
    }
}

const TLS: u8 = 1;
const MFA_TOLD: u8 = 1 << 1;
const MFA: u8 = 1 << 2;
const ISSUED: u8 = 1 << 3;
const AUTHENTICATED: u8 = 1 << 4;
const CUT: u8 = 1 << 5;
const ALL: u8 = TLS | MFA_TOLD | MFA | ISSUED | AUTHENTICATED | CUT;

const END: u8 = 0;
const TAG: u8 = 1;
const ONE: u8 = 2;
const MANY: u8 = 3;
const WITHHELD: u8 = 4;

/// A key that every request with the header has, and whose value no event tells.
const REFERER: &str = "aws:Referer";
const SOURCE_IDENTITY: &str = "aws:SourceIdentity";
const FEDERATED_PROVIDER: &str = "aws:FederatedProvider";

/// The longest principal that is kept, in bytes: two accounts and two ids, and room.
pub const PRINCIPAL_BYTES_MAX: usize = 512;
/// The room of all condition keys of an event with their values, in bytes.
pub const CONTEXT_BYTES_MAX: usize = 2048;
/// The longest input of a frame.
pub(super) const INPUT_BYTES_MAX: usize =
    2 * 2 + PRINCIPAL_BYTES_MAX + NAME_BYTES_MAX + 1 + 2 * 8 + CONTEXT_BYTES_MAX + 1;
// Lengths of fields are written with 16 bits.
const _: () = assert!(CONTEXT_BYTES_MAX < 1 << 16);
