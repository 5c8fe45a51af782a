//! `requestData.context` of a policy's event: the condition keys that can't be told from the rest.

use crate::clock::{UnixMillis, UnixSeconds};
use crate::event::frame::{Completeness, InputRecord, KeyValue};
use crate::event::{json, time};
use crate::iam::Transport;

/// Appends the member, with the comma before it.
pub(super) fn context(out: &mut Vec<u8>, at: UnixMillis, input: &InputRecord<'_>) {
    out.extend_from_slice(b",\"context\":{\"complete\":");
    json::boolean(out, input.completeness == Completeness::Complete);
    out.extend_from_slice(b",\"keys\":[");
    key(out, "", "aws:SecureTransport");
    value(out, if input.transport == Transport::Tls { "true" } else { "false" });
    derived(out, at, input);
    for known in &input.keys {
        out.push(b',');
        match &known.value {
            KeyValue::Tag(text) => {
                key(out, "aws:PrincipalTag/", known.key);
                value(out, text);
            }
            KeyValue::One(text) => {
                key(out, "", known.key);
                value(out, text);
            }
            KeyValue::Many(texts) => {
                key(out, "", known.key);
                out.extend_from_slice(b",\"values\":");
                strings(out, texts);
                out.push(b'}');
            }
        }
    }
    out.extend_from_slice(b"],\"withheld\":");
    strings(out, &input.withheld);
    out.push(b'}');
}

/// What the token tells.
fn derived(out: &mut Vec<u8>, at: UnixMillis, input: &InputRecord<'_>) {
    if let Some(mfa) = input.mfa {
        out.push(b',');
        key(out, "", "aws:MultiFactorAuthPresent");
        value(out, if mfa { "true" } else { "false" });
    }
    // Without a second factor there is no age of one.
    if let Some(login) = input.authenticated_at.filter(|_| input.mfa == Some(true)) {
        out.push(b',');
        key(out, "", "aws:MultiFactorAuthAge");
        out.extend_from_slice(b",\"value\":\"");
        json::number(out, at.seconds().0.saturating_sub(login.0));
        out.extend_from_slice(b"\"}");
    }
    if let Some(UnixSeconds(seconds)) = input.issued_at {
        out.push(b',');
        key(out, "", "aws:TokenIssueTime");
        out.extend_from_slice(b",\"value\":\"");
        time::write_seconds(out, UnixSeconds(seconds));
        out.extend_from_slice(b"Z\"}");
    }
}

fn key(out: &mut Vec<u8>, prefix: &str, text: &str) {
    out.extend_from_slice(b"{\"key\":\"");
    out.extend_from_slice(prefix.as_bytes());
    json::string_part(out, text);
    out.push(b'"');
}

fn value(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(b",\"value\":");
    json::string(out, text);
    out.push(b'}');
}

fn strings(out: &mut Vec<u8>, texts: &[&str]) {
    out.push(b'[');
    for (index, text) in texts.iter().enumerate() {
        if 0 < index {
            out.push(b',');
        }
        json::string(out, text);
    }
    out.push(b']');
}
