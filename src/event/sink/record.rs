//! An event as an `OpenTelemetry` log record, by the conventions for logs and events.
//!
//! Flows in: lines. Flows out: an export request. The body is the line itself, so that nothing is
//! lost on the way; what is searched by is in attributes, under the names of the semantic
//! conventions where they have one, else under `crossgate.`.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, InstrumentationScope, KeyValue, any_value::Value as Any,
};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs, SeverityNumber};
use opentelemetry_proto::tonic::resource::v1::Resource;
use serde_json::Value;

use crate::clock::UnixMillis;
use crate::event::sink::Lines;
use crate::event::time;

/// The request for lines, and how many of them are no events and are left out.
pub(super) fn export(lines: &Lines, observed: UnixMillis) -> (ExportLogsServiceRequest, u64) {
    let mut resources: Vec<(String, Vec<LogRecord>)> = Vec::new();
    let mut unreadable = 0;
    for line in lines.iter() {
        let Some((instance, record)) = record(&line, observed) else {
            unreadable += 1;
            continue;
        };
        match resources.last_mut().filter(|(last, _)| *last == instance) {
            Some((_, records)) => records.push(record),
            None => resources.push((instance, vec![record])),
        }
    }
    let resource_logs = resources.into_iter().map(|(instance, log_records)| ResourceLogs {
        resource: Some(Resource {
            attributes: vec![
                text("service.name", "crossgate"),
                text("service.instance.id", &instance),
            ],
            ..Resource::default()
        }),
        scope_logs: vec![ScopeLogs {
            scope: Some(InstrumentationScope {
                name: "crossgate.events".to_owned(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                ..InstrumentationScope::default()
            }),
            log_records,
            schema_url: String::new(),
        }],
        schema_url: String::new(),
    });
    (ExportLogsServiceRequest { resource_logs: resource_logs.collect() }, unreadable)
}

fn record(line: &[u8], observed: UnixMillis) -> Option<(String, LogRecord)> {
    let line = std::str::from_utf8(line).ok()?;
    let event: Value = serde_json::from_str(line).ok()?;
    let at = |pointer: &str| event.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let severity = at("/severity");
    let record = LogRecord {
        time_unix_nano: nanos(time::parse(at("/eventTime"))?),
        observed_time_unix_nano: nanos(observed),
        severity_number: severity_number(severity).into(),
        severity_text: severity.to_owned(),
        event_name: at("/action").to_owned(),
        body: Some(AnyValue { value: Some(Any::StringValue(line.to_owned())) }),
        attributes: ATTRIBUTES.iter().filter_map(|(key, at)| attribute(key, &event, at)).collect(),
        trace_id: trace_id(at("/correlationId")).unwrap_or_default(),
        ..LogRecord::default()
    };
    Some((at("/responseData/instance").to_owned(), record))
}

fn attribute(key: &str, event: &Value, pointer: &str) -> Option<KeyValue> {
    let value = match event.pointer(pointer)? {
        Value::Bool(value) => Any::BoolValue(*value),
        Value::Number(value) => Any::IntValue(value.as_i64()?),
        Value::String(value) if value.is_empty() => return None,
        Value::String(value) => Any::StringValue(value.clone()),
        Value::Null | Value::Array(_) | Value::Object(_) => return None,
    };
    Some(key_value(key, value))
}

fn text(key: &str, value: &str) -> KeyValue {
    key_value(key, Any::StringValue(value.to_owned()))
}

fn key_value(key: &str, value: Any) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}

/// By the table of the log data model for syslog's words, which these are.
fn severity_number(severity: &str) -> SeverityNumber {
    match severity {
        "normal" => SeverityNumber::Info,
        "warning" => SeverityNumber::Warn,
        "critical" => SeverityNumber::Error2,
        _ => SeverityNumber::Unspecified,
    }
}

/// A correlation id that is a trace id: 32 hexadecimal digits, not all zero.
fn trace_id(text: &str) -> Option<Vec<u8>> {
    let bytes = data_encoding::HEXLOWER.decode(text.as_bytes()).ok()?;
    (bytes.len() == 16 && bytes.iter().any(|byte| *byte != 0)).then_some(bytes)
}

fn nanos(time: UnixMillis) -> u64 {
    time.0.saturating_mul(1_000_000)
}

/// Attributes, and where they are in an event.
const ATTRIBUTES: &[(&str, &str)] = &[
    ("log.record.uid", "/id"),
    ("client.address", "/initiator/host/address"),
    ("http.route", "/responseData/route"),
    ("user.id", "/initiator/id"),
    ("user.name", "/initiator/name"),
    ("user_agent.original", "/initiator/host/agent"),
    ("crossgate.action", "/requestData/action"),
    ("crossgate.caller_account", "/requestData/subject/attributes/token.account.bss"),
    ("crossgate.candidate", "/responseData/candidate"),
    ("crossgate.decision", "/responseData/decision"),
    ("crossgate.decision_id", "/responseData/decisionId"),
    ("crossgate.enforced", "/responseData/isEnforced"),
    ("crossgate.identity_type", "/requestData/subject/attributes/identityType"),
    ("crossgate.layer", "/responseData/layer"),
    ("crossgate.mode", "/responseData/mode"),
    ("crossgate.outcome", "/outcome"),
    ("crossgate.owner_account", "/requestData/resource/attributes/accountId"),
    ("crossgate.reason", "/responseData/reason"),
    ("crossgate.resource", "/target/id"),
    ("crossgate.revision", "/responseData/revision"),
    ("crossgate.sequence", "/responseData/sequence"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_correlation_id_is_a_trace_id_only_if_it_is_one() {
        assert_eq!(trace_id("4bf92f3577b34da6a3ce929d0e0e4736").unwrap().len(), 16);
        for text in ["", "4bf92f", "00000000000000000000000000000000", "x".repeat(32).as_str()] {
            assert_eq!(trace_id(text), None, "{text}");
        }
    }

    #[test]
    fn runs_are_resources_and_what_is_no_event_is_counted() {
        let line = |instance: &str| {
            format!(
                "{{\"action\":\"a\",\"eventTime\":\"2025-10-10T14:03:27.41+0000\",\"id\":\"1\",\
                 \"severity\":\"critical\",\"responseData\":{{\"instance\":\"{instance}\",\
                 \"sequence\":4711,\"isEnforced\":true}}}}\n"
            )
        };
        let text = [line("a"), "torn\n".to_owned(), line("a"), line("b")].concat();
        let lines = Lines::new(text.into_bytes().into());
        let (request, unreadable) = export(&lines, UnixMillis(5));
        assert_eq!(unreadable, 1);
        let counts = request.resource_logs.iter().map(|it| it.scope_logs[0].log_records.len());
        assert_eq!(counts.collect::<Vec<_>>(), [2, 1]);
        let record = &request.resource_logs[0].scope_logs[0].log_records[0];
        assert_eq!(record.time_unix_nano, 1_760_105_007_410_000_000);
        assert_eq!(record.observed_time_unix_nano, 5_000_000);
        assert_eq!(record.severity_number, 18);
        let keys: Vec<_> = record.attributes.iter().map(|it| it.key.as_str()).collect();
        assert_eq!(keys, ["log.record.uid", "crossgate.enforced", "crossgate.sequence"]);
    }
}
