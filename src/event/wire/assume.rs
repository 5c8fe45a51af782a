//! The lines of the token service: attempts to begin a session, and what was noticed about them.
//!
//! Flows in: records and their sequence numbers. Flows out: lines, of the same names and value types
//! always: what is absent is an empty text, or 0.

use http::StatusCode;

use crate::event::frame::{AssumeRecord, CallerRecord, DetectionRecord};
use crate::event::wire::{
    Address, Initiator, LINE_BYTES_USUAL, Renderer, correlation, last_part, log_source,
    policy_data, type_uri,
};
use crate::event::{AssumeTarget, DetectionName, json, time};
use crate::iam::{IdentityKind, IdentityType};
use crate::verdict::Decision;

/// What lines say of a kind of target.
struct Words {
    service: &'static str,
    message: &'static str,
    type_uri: &'static str,
    /// The member that names it.
    member: &'static str,
}

impl Words {
    fn of(target: AssumeTarget) -> Self {
        match target {
            AssumeTarget::Profile => Self {
                service: "iam-identity",
                message: "IAM Identity Service: assume account-profile",
                type_uri: "iam-identity/account-profile/assume",
                member: "profileId",
            },
            AssumeTarget::Role => Self {
                service: "sts",
                message: "Security Token Service: assume role",
                type_uri: "sts/role/assume",
                member: "roleArn",
            },
        }
    }
}

impl Renderer {
    /// Appends the line of an attempt.
    pub fn assume(&mut self, out: &mut Vec<u8>, sequence: u64, assume: &AssumeRecord<'_>) {
        let words = Words::of(assume.target);
        let (outcome, severity, suffix) = match (assume.decision, assume.reason.is_denial()) {
            (Decision::Permit, _) => ("success", "normal", ""),
            (Decision::Deny, true) => ("failure", "critical", " -failure"),
            (Decision::Deny, false) => ("failure", "warning", " -failure"),
        };
        out.reserve(LINE_BYTES_USUAL);
        self.opening(out, assume.target.action(), assume.time, assume.id);
        correlation(out, assume.correlation_id, assume.id);
        text(out, &["\",\"outcome\":\"", outcome, "\",\"severity\":\"", severity]);
        text(out, &["\",\"message\":\"", words.message, suffix, "\""]);
        log_source(out, words.service, assume.owner);
        let address = Address::of(assume.source_ip);
        initiator(out, assume.caller.as_ref(), &address, assume.agent);
        target_and_reason(out, &words, assume.role, assume.status);
        request_data(out, assume, &words, &address);
        self.session_data(out, sequence, assume);
    }

    fn session_data(&self, out: &mut Vec<u8>, sequence: u64, assume: &AssumeRecord<'_>) {
        text(out, &[",\"responseData\":{\"decision\":\"", assume.decision.as_str()]);
        text(out, &["\",\"reason\":\"", assume.reason.as_str(), "\",\"decisionId\":\""]);
        json::uuid(out, assume.id);
        text(out, &["\""]);
        self.place(out, assume.revision, sequence);
        text(out, &[",\"sessionId\":\""]);
        if let Some((session, _)) = assume.session {
            json::uuid(out, session);
        }
        text(out, &["\",\"expiration\":\""]);
        if let Some((_, expiration)) = assume.session {
            time::write_seconds(out, expiration);
            out.push(b'Z');
        }
        text(out, &["\""]);
        policy_data(out, &assume.statements, assume.missing);
        text(out, &["}}\n"]);
    }

    /// Appends the line of a detection.
    pub fn detection(&mut self, out: &mut Vec<u8>, sequence: u64, detection: &DetectionRecord<'_>) {
        let (name, words) = (detection.name, Words::of(detection.target));
        out.reserve(LINE_BYTES_USUAL);
        self.opening(out, name.action(), detection.time, detection.id);
        correlation(out, detection.correlation_id, detection.id);
        text(out, &["\",\"outcome\":\"success\",\"severity\":\"", severity(name)]);
        text(out, &["\",\"message\":\"crossgate: detection ", name.as_str(), "\""]);
        log_source(out, words.service, detection.owner);
        let (address, caller) = (Address::of(detection.source_ip), detection.caller.as_ref());
        initiator(out, caller, &address, detection.agent);
        target_and_reason(out, &words, detection.role, StatusCode::OK.as_u16());
        text(out, &[",\"requestData\":{"]);
        circumstances(out, caller, detection.owner, &address);
        text(out, &["},\"responseData\":{\"detection\":\"", name.as_str()]);
        text(out, &["\",\"subject\":\"", detection.subject.as_str(), "\",\"count\":"]);
        json::number(out, u64::from(detection.count));
        member(out, ",\"principal\":", caller.map_or("", |caller| caller.principal));
        member(out, ",\"account\":", caller.map_or("", |caller| caller.account));
        member(out, ",\"role\":", detection.role);
        self.place(out, detection.revision, sequence);
        text(out, &["}}\n"]);
    }

    /// Revision, instance and number.
    fn place(&self, out: &mut Vec<u8>, revision: u64, sequence: u64) {
        text(out, &[",\"revision\":"]);
        json::number(out, revision);
        text(out, &[",\"instance\":"]);
        out.extend_from_slice(&self.instance);
        text(out, &[",\"sequence\":"]);
        json::number(out, sequence);
    }
}

fn severity(name: DetectionName) -> &'static str {
    match name {
        DetectionName::BreakGlass
        | DetectionName::ExternalIdGuessing
        | DetectionName::FailedAssume => "critical",
        DetectionName::LongSession | DetectionName::NewAccount | DetectionName::NewAddress => {
            "warning"
        }
    }
}

/// Where a token proves nobody, the texts are empty, and the type is the first of the four.
fn initiator(out: &mut Vec<u8>, caller: Option<&CallerRecord<'_>>, address: &Address, agent: &str) {
    let kinds = caller.map_or((IdentityType::User, IdentityKind::Login), |caller| {
        (caller.identity_type, caller.identity_kind)
    });
    Initiator {
        id: caller.map_or("", |caller| caller.id),
        name: caller.map_or("", |caller| caller.name),
        authn_id: caller.map_or("", |caller| caller.authn_id),
        authn_name: caller.map_or("", |caller| caller.authn_name),
        type_uri: type_uri(kinds.0, kinds.1),
        address,
        agent,
    }
    .render(out);
}

fn target_and_reason(out: &mut Vec<u8>, words: &Words, role: &str, status: u16) {
    member(out, "},\"target\":{\"id\":", role);
    member(out, ",\"name\":", last_part(role));
    text(out, &[",\"typeURI\":\"", words.type_uri, "\"},\"reason\":{\"reasonCode\":"]);
    json::number(out, u64::from(status));
    let status = StatusCode::from_u16(status).ok();
    let phrase = status.and_then(|status| status.canonical_reason()).unwrap_or_default();
    text(out, &[",\"reasonType\":\"", phrase, "\"}"]);
}

fn request_data(out: &mut Vec<u8>, assume: &AssumeRecord<'_>, words: &Words, address: &Address) {
    text(out, &[",\"requestData\":{\"action\":\"", assume.door.action(), "\",\"reqOrder\":0,"]);
    circumstances(out, assume.caller.as_ref(), assume.owner, address);
    text(out, &[",\"", words.member, "\":"]);
    json::string(out, assume.role);
    member(out, ",\"sessionName\":", assume.session_name);
    text(out, &[",\"durationSeconds\":"]);
    json::number(out, u64::from(assume.duration_seconds.unwrap_or_default()));
    text(out, &[",\"protocol\":\"", assume.door.as_str(), "\",\"hasExternalId\":"]);
    json::boolean(out, assume.has_external_id);
    member(out, ",\"sourceIdentity\":", assume.source_identity);
    out.push(b'}');
}

/// From where, on whose role, by whom.
fn circumstances(
    out: &mut Vec<u8>,
    caller: Option<&CallerRecord<'_>>,
    owner: &str,
    address: &Address,
) {
    text(out, &["\"environment\":{\"attributes\":{\"ipAddress\":\""]);
    out.extend_from_slice(address.text());
    member(out, "\"}},\"resource\":{\"attributes\":{\"accountId\":", owner);
    let id = caller.map_or("", |caller| caller.id);
    member(out, "}},\"subject\":{\"attributes\":{\"id\":", id);
    member(out, ",\"token.account.bss\":", caller.map_or("", |caller| caller.account));
    let identity_type = caller.map_or("", |caller| caller.identity_type.as_str());
    member(out, ",\"identityType\":", identity_type);
    member(out, ",\"principal\":", caller.map_or("", |caller| caller.principal));
    text(out, &["}}"]);
}

/// Appends a member whose value may be any text.
fn member(out: &mut Vec<u8>, opening: &str, value: &str) {
    out.extend_from_slice(opening.as_bytes());
    json::string(out, value);
}

/// Appends texts of crossgate's own, which need no escapes.
fn text(out: &mut Vec<u8>, texts: &[&str]) {
    for text in texts {
        out.extend_from_slice(text.as_bytes());
    }
}

#[cfg(test)]
pub(super) mod tests;
