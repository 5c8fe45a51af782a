//! The outer form of an event: one line of JSON, names and order fixed.
//!
//! Flows in: a record and its sequence number. Flows out: a line, newline included. Every text from
//! outside is escaped, so a line is one line of valid JSON whatever the bytes.

use std::io::Write;
use std::net::IpAddr;

use uuid::Uuid;

use crate::clock::{UnixMillis, UnixSeconds};
use crate::event::frame::{EvalRecord, Record, UpdateRecord};
use crate::event::{PERIMETER_ACTION, POLICY_ACTION, StatementNote, UPDATE_ACTION, json, time};
use crate::iam::{IdentityKind, IdentityType};
use crate::policy::Missing;
use crate::verdict::{Decision, Enforcement, Layer};

mod assume;
mod input;

/// Writes the lines of one instance. Keeps the text of the last second, as most events share it.
#[derive(Clone, Debug)]
pub struct Renderer {
    /// A JSON string.
    instance: Vec<u8>,
    second: UnixSeconds,
    second_text: Vec<u8>,
}

impl Renderer {
    /// A writer of an instance's lines.
    pub fn new(instance: &str) -> Self {
        let mut quoted = Vec::new();
        json::string(&mut quoted, instance);
        let mut second_text = Vec::new();
        time::write_seconds(&mut second_text, UnixSeconds(0));
        Self { instance: quoted, second: UnixSeconds(0), second_text }
    }

    /// Appends a line.
    pub fn render(&mut self, out: &mut Vec<u8>, sequence: u64, record: &Record<'_>) {
        match record {
            Record::Assume(assume) => self.assume(out, sequence, assume),
            Record::Detection(detection) => self.detection(out, sequence, detection),
            Record::Eval(eval) => self.eval(out, sequence, eval),
            Record::Update(update) => self.update(out, sequence, update),
        }
    }

    /// Appends an evaluation's line.
    pub fn eval(&mut self, out: &mut Vec<u8>, sequence: u64, eval: &EvalRecord<'_>) {
        let fixed = FixedPart::of(eval);
        out.reserve(LINE_BYTES_USUAL);
        self.opening(out, action(eval.layer), eval.time, eval.id);
        correlation(out, eval.correlation_id, eval.decision_id);
        out.extend_from_slice(fixed.outcome.as_bytes());
        out.extend_from_slice(fixed.message.as_bytes());
        log_source(out, ACCESS_MANAGEMENT, eval.owner);
        let address = Address::of(eval.source_ip);
        Initiator {
            id: eval.identity_id,
            name: eval.identity_name,
            authn_id: eval.authn_id,
            authn_name: eval.authn_name,
            type_uri: type_uri(eval.identity_type, eval.identity_kind),
            address: &address,
            agent: eval.agent,
        }
        .render(out);
        out.extend_from_slice(b"},\"target\":{\"id\":");
        json::string(out, eval.resource);
        out.extend_from_slice(b",\"name\":");
        json::string(out, last_part(eval.resource));
        out.extend_from_slice(fixed.target_and_reason.as_bytes());
        request_data(out, eval, &address);
        self.response_data(out, sequence, eval);
    }

    fn response_data(&self, out: &mut Vec<u8>, sequence: u64, eval: &EvalRecord<'_>) {
        out.extend_from_slice(b",\"responseData\":{\"isEnforced\":");
        json::boolean(out, is_enforced(eval));
        out.extend_from_slice(b",\"decision\":\"");
        out.extend_from_slice(eval.verdict.decision.as_str().as_bytes());
        out.extend_from_slice(b"\",\"mode\":\"");
        out.extend_from_slice(eval.verdict.mode.as_str().as_bytes());
        out.extend_from_slice(b"\",\"layer\":\"");
        out.extend_from_slice(eval.layer.as_str().as_bytes());
        out.extend_from_slice(b"\",\"candidate\":");
        json::boolean(out, eval.candidate);
        out.extend_from_slice(b",\"reason\":\"");
        out.extend_from_slice(eval.verdict.reason.as_str().as_bytes());
        out.extend_from_slice(b"\",\"decisionId\":\"");
        json::uuid(out, eval.decision_id);
        out.extend_from_slice(b"\",\"revision\":");
        json::number(out, eval.revision);
        out.extend_from_slice(b",\"instance\":");
        out.extend_from_slice(&self.instance);
        out.extend_from_slice(b",\"sequence\":");
        json::number(out, sequence);
        out.extend_from_slice(b",\"route\":");
        json::string(out, eval.route);
        out.extend_from_slice(b",\"decideNs\":");
        json::number(out, eval.decide_ns);
        match eval.layer {
            Layer::Perimeter => {}
            Layer::Policy => policy_data(out, &eval.statements, eval.missing),
        }
        out.extend_from_slice(b"}}\n");
    }

    /// Appends an update's line.
    pub fn update(&mut self, out: &mut Vec<u8>, sequence: u64, update: &UpdateRecord<'_>) {
        self.opening(out, UPDATE_ACTION, update.time, update.id);
        correlation(out, update.correlation_id, update.id);
        out.extend_from_slice(b"\",\"outcome\":\"success\",\"severity\":\"normal\"");
        out.extend_from_slice(b",\"message\":\"IAM Access Management: update account-settings\"");
        log_source(out, ACCESS_MANAGEMENT, update.owner);
        Initiator {
            id: update.initiator_id,
            name: update.initiator_name,
            authn_id: update.initiator_id,
            authn_name: update.initiator_name,
            type_uri: type_uri(update.identity_type, update.identity_kind),
            address: &Address::of(update.source_ip),
            agent: update.agent,
        }
        .render(out);
        out.extend_from_slice(b"},\"target\":{\"id\":\"crn:v1:crossgate:public:");
        out.extend_from_slice(b"iam-access-management:global:a/");
        json::string_part(out, update.owner);
        out.extend_from_slice(b"::account-settings:\",\"name\":\"account-settings\"");
        out.extend_from_slice(TARGET_AND_OK[0].as_bytes());
        self.update_data(out, sequence, update);
    }

    fn update_data(&self, out: &mut Vec<u8>, sequence: u64, update: &UpdateRecord<'_>) {
        out.extend_from_slice(b",\"requestData\":{\"resource\":{\"attributes\":{\"accountId\":");
        json::string(out, update.owner);
        out.extend_from_slice(b"}},\"update\":[");
        for (index, [update_type, initial_value, new_value]) in update.changes.iter().enumerate() {
            if 0 < index {
                out.push(b',');
            }
            out.extend_from_slice(b"{\"updateType\":");
            json::string(out, update_type);
            out.extend_from_slice(b",\"initialValue\":");
            json::string(out, initial_value);
            out.extend_from_slice(b",\"newValue\":");
            json::string(out, new_value);
            out.push(b'}');
        }
        out.extend_from_slice(b"]},\"responseData\":{\"revision\":");
        json::number(out, update.revision);
        out.extend_from_slice(b",\"instance\":");
        out.extend_from_slice(&self.instance);
        out.extend_from_slice(b",\"sequence\":");
        json::number(out, sequence);
        out.extend_from_slice(b"}}\n");
    }

    /// Action, time and id.
    fn opening(&mut self, out: &mut Vec<u8>, action: &str, at: UnixMillis, id: Uuid) {
        out.extend_from_slice(b"{\"action\":\"");
        out.extend_from_slice(action.as_bytes());
        self.event_time(out, at);
        out.extend_from_slice(b"\",\"id\":\"");
        json::uuid(out, id);
    }

    fn event_time(&mut self, out: &mut Vec<u8>, at: UnixMillis) {
        if at.seconds() != self.second {
            self.second = at.seconds();
            self.second_text.clear();
            time::write_seconds(&mut self.second_text, self.second);
        }
        out.extend_from_slice(b"\",\"eventTime\":\"");
        out.extend_from_slice(&self.second_text);
        time::write_fraction(out, at);
    }
}

/// What a record's verdict alone says, as ready JSON.
struct FixedPart {
    outcome: &'static str,
    message: &'static str,
    target_and_reason: &'static str,
}

impl FixedPart {
    fn of(eval: &EvalRecord<'_>) -> Self {
        let rejects = is_enforced(eval) && eval.verdict.decision == Decision::Deny;
        let [perimeter, policy] = if rejects { TARGET_AND_FORBIDDEN } else { TARGET_AND_OK };
        let (message, target_and_reason) = match (eval.layer, rejects) {
            (Layer::Perimeter, false) => (EVALUATE_SETTINGS, perimeter),
            (Layer::Perimeter, true) => (EVALUATE_SETTINGS_FAILURE, perimeter),
            (Layer::Policy, false) => (EVALUATE_POLICY, policy),
            (Layer::Policy, true) => (EVALUATE_POLICY_FAILURE, policy),
        };
        let outcome = if rejects {
            "\",\"outcome\":\"failure\",\"severity\":\"critical\""
        } else {
            "\",\"outcome\":\"success\",\"severity\":\"normal\""
        };
        Self { outcome, message, target_and_reason }
    }
}

/// Who called, in the event's words.
struct Initiator<'a> {
    id: &'a str,
    name: &'a str,
    authn_id: &'a str,
    authn_name: &'a str,
    type_uri: &'static str,
    address: &'a Address,
    agent: &'a str,
}

impl Initiator<'_> {
    fn render(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"\"initiator\":{\"id\":");
        json::string(out, self.id);
        out.extend_from_slice(b",\"name\":");
        json::string(out, self.name);
        out.extend_from_slice(b",\"authnId\":");
        json::string(out, self.authn_id);
        out.extend_from_slice(b",\"authnName\":");
        json::string(out, self.authn_name);
        out.extend_from_slice(b",\"typeURI\":\"service/security/account/");
        out.extend_from_slice(self.type_uri.as_bytes());
        out.extend_from_slice(b"\",\"credential\":{\"type\":\"token\"},\"host\":{\"address\":\"");
        out.extend_from_slice(self.address.text());
        out.extend_from_slice(b"\",\"addressType\":\"");
        out.extend_from_slice(self.address.kind.as_bytes());
        out.extend_from_slice(b"\",\"agent\":");
        json::string(out, self.agent);
        out.push(b'}');
    }
}

/// A client's address as text, without the heap.
struct Address {
    kind: &'static str,
    text: [u8; Self::BYTES_MAX],
    len: usize,
}

impl Address {
    /// The longest IPv6 address with an embedded IPv4 address.
    const BYTES_MAX: usize = 45;

    fn of(ip: IpAddr) -> Self {
        let kind = if ip.is_ipv4() { "IPv4" } else { "IPv6" };
        let mut text = [0; Self::BYTES_MAX];
        let mut rest = text.as_mut_slice();
        let written = match ip {
            IpAddr::V4(v4) => {
                let [a, b, c, d] = v4.octets();
                let mut digits = itoa::Buffer::new();
                [(a, "."), (b, "."), (c, "."), (d, "")].into_iter().try_for_each(|(octet, dot)| {
                    rest.write_all(digits.format(octet).as_bytes())?;
                    rest.write_all(dot.as_bytes())
                })
            }
            IpAddr::V6(v6) => write!(rest, "{v6}"),
        };
        let left = rest.len();
        let len = if written.is_ok() { Self::BYTES_MAX - left } else { 0 };
        Self { kind, text, len }
    }

    fn text(&self) -> &[u8] {
        self.text.get(..self.len).unwrap_or_default()
    }
}

/// `action` of a layer's evaluations.
pub fn action(layer: Layer) -> &'static str {
    match layer {
        Layer::Perimeter => PERIMETER_ACTION,
        Layer::Policy => POLICY_ACTION,
    }
}

/// `action` of a record's line.
pub fn action_of(record: &Record<'_>) -> &'static str {
    match record {
        Record::Assume(assume) => assume.target.action(),
        Record::Detection(detection) => detection.name.action(),
        Record::Eval(eval) => action(eval.layer),
        Record::Update(_) => UPDATE_ACTION,
    }
}

fn is_enforced(eval: &EvalRecord<'_>) -> bool {
    !eval.candidate && eval.verdict.mode.enforcement() == Enforcement::Enforced
}

fn request_data(out: &mut Vec<u8>, eval: &EvalRecord<'_>, address: &Address) {
    out.extend_from_slice(b",\"requestData\":{\"action\":");
    json::string(out, eval.action);
    out.extend_from_slice(b",\"reqOrder\":0,\"environment\":{\"attributes\":{\"ipAddress\":\"");
    out.extend_from_slice(address.text());
    out.extend_from_slice(b"\"}},\"resource\":{\"attributes\":{\"accountId\":");
    json::string(out, eval.owner);
    out.extend_from_slice(b"}},\"subject\":{\"attributes\":{\"id\":");
    json::string(out, eval.identity_id);
    out.extend_from_slice(b",\"token.account.bss\":");
    json::string(out, eval.caller);
    out.extend_from_slice(b",\"identityType\":\"");
    out.extend_from_slice(eval.identity_type.as_str().as_bytes());
    match &eval.input {
        None => out.extend_from_slice(b"\"}}}"),
        Some(input) => {
            out.extend_from_slice(b"\",\"principal\":");
            json::string(out, input.principal);
            out.extend_from_slice(b"}},\"keyAction\":");
            json::string(out, input.key_action);
            input::context(out, eval.time, input);
            out.push(b'}');
        }
    }
}

/// What decided, of policies: both lists always, empty or not.
fn policy_data(out: &mut Vec<u8>, statements: &[StatementNote<'_>], missing: Missing) {
    out.extend_from_slice(b",\"statements\":[");
    for (index, statement) in statements.iter().enumerate() {
        if 0 < index {
            out.push(b',');
        }
        out.extend_from_slice(b"{\"policy\":");
        json::string(out, statement.policy);
        out.extend_from_slice(b",\"sid\":");
        json::string(out, statement.sid);
        out.extend_from_slice(b",\"index\":");
        json::number(out, u64::from(statement.index));
        out.extend_from_slice(b",\"effect\":\"");
        out.extend_from_slice(statement.effect.as_str().as_bytes());
        out.extend_from_slice(b"\"}");
    }
    out.extend_from_slice(b"],\"missing\":[");
    for (index, side) in missing.iter().enumerate() {
        if 0 < index {
            out.push(b',');
        }
        json::string(out, side.as_str());
    }
    out.push(b']');
}

/// The member, left open for what follows.
fn correlation(out: &mut Vec<u8>, correlation_id: &str, own: Uuid) {
    out.extend_from_slice(b"\",\"correlationId\":\"");
    if correlation_id.is_empty() {
        json::uuid(out, own);
    } else {
        json::string_part(out, correlation_id);
    }
}

fn log_source(out: &mut Vec<u8>, service: &str, owner: &str) {
    out.extend_from_slice(b",\"dataEvent\":false,\"saveServiceCopy\":true,\"logSourceCRN\":\"");
    out.extend_from_slice(b"crn:v1:crossgate:public:");
    out.extend_from_slice(service.as_bytes());
    out.extend_from_slice(b":global:a/");
    json::string_part(out, owner);
    out.extend_from_slice(b":::\",\"observer\":{\"name\":\"crossgate\"},");
}

fn type_uri(identity_type: IdentityType, kind: IdentityKind) -> &'static str {
    match (kind, identity_type) {
        (
            IdentityKind::Profile,
            IdentityType::User | IdentityType::ServiceId | IdentityType::Service,
        ) => "profile",
        (IdentityKind::Login, IdentityType::User) => "user",
        (IdentityKind::Login, IdentityType::ServiceId) => "serviceid",
        (IdentityKind::Login, IdentityType::Service) => "service",
    }
}

/// What follows the last `/` or `:` of a resource that something follows.
fn last_part(resource: &str) -> &str {
    let trimmed = resource.trim_end_matches(['/', ':']);
    trimmed.rsplit(['/', ':']).next().unwrap_or(trimmed)
}

const ACCESS_MANAGEMENT: &str = "iam-access-management";
const EVALUATE_SETTINGS: &str = ",\"message\":\"IAM Access Management: evaluate account-settings\"";
const EVALUATE_SETTINGS_FAILURE: &str =
    ",\"message\":\"IAM Access Management: evaluate account-settings -failure\"";
const EVALUATE_POLICY: &str = ",\"message\":\"IAM Access Management: evaluate policy\"";
const EVALUATE_POLICY_FAILURE: &str =
    ",\"message\":\"IAM Access Management: evaluate policy -failure\"";
/// By layer.
const TARGET_AND_OK: [&str; 2] = [
    ",\"typeURI\":\"iam-access-management/account-settings\"},\
     \"reason\":{\"reasonCode\":200,\"reasonType\":\"OK\"}",
    ",\"typeURI\":\"iam-access-management/policy\"},\
     \"reason\":{\"reasonCode\":200,\"reasonType\":\"OK\"}",
];
/// By layer.
const TARGET_AND_FORBIDDEN: [&str; 2] = [
    ",\"typeURI\":\"iam-access-management/account-settings\"},\
     \"reason\":{\"reasonCode\":403,\"reasonType\":\"Forbidden\"}",
    ",\"typeURI\":\"iam-access-management/policy\"},\
     \"reason\":{\"reasonCode\":403,\"reasonType\":\"Forbidden\"}",
];
/// A line with long names; a longer one grows the buffer.
const LINE_BYTES_USUAL: usize = 2048;

#[cfg(test)]
mod tests;
