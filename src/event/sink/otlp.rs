//! `OpenTelemetry` logs by OTLP, as protobuf in HTTP.

use http::Uri;
use opentelemetry_proto::tonic::collector::logs::v1::{
    ExportLogsPartialSuccess, ExportLogsServiceResponse,
};
use prost::Message;

use crate::clock::SystemClock;
use crate::event::OtlpSpec;
use crate::event::sink::client::{HttpClient, outcome};
use crate::event::sink::{Lines, Progress, Sink, SinkError, record};

/// A receiver of OTLP in HTTP.
pub(super) struct OtlpHttpSink(HttpClient);

impl OtlpHttpSink {
    pub(super) fn new(spec: &OtlpSpec) -> Self {
        let OtlpSpec { url, headers, compression, tls, .. } = spec;
        let (url, tls) = (with_path(url), tls.clone());
        Self(HttpClient::new(url, "application/x-protobuf", headers, *compression, tls))
    }
}

impl Sink for OtlpHttpSink {
    async fn deliver(&mut self, lines: &Lines, progress: &mut Progress) -> Result<(), SinkError> {
        let (request, unreadable) = record::export(lines, SystemClock.now());
        let answer = self.0.post(request.encode_to_vec().into()).await?;
        outcome(&answer)?;
        // Whoever answers 200 has them, whatever else he says.
        let answer = ExportLogsServiceResponse::decode(answer.body).unwrap_or_default();
        taken(lines, unreadable, answer.partial_success, progress);
        Ok(())
    }

    fn reset(&mut self) {
        self.0.reset();
    }
}

/// Notes what was taken: all, but for what the receiver refused.
pub(super) fn taken(
    lines: &Lines,
    unreadable: u64,
    partial: Option<ExportLogsPartialSuccess>,
    progress: &mut Progress,
) {
    let refused = partial.map_or(0, |partial| {
        let refused = u64::try_from(partial.rejected_log_records).unwrap_or_default();
        if 0 < refused {
            tracing::error!(events = refused, "an OTLP receiver refused events");
        }
        refused
    });
    progress.deliver(lines);
    let rejected = (refused + unreadable).min(lines.events);
    progress.delivered -= rejected;
    progress.rejected += rejected;
}

/// The address where it has a path, else that with the path of logs.
fn with_path(url: &Uri) -> Uri {
    if url.path() != "/" || url.query().is_some() {
        return url.clone();
    }
    let mut parts = url.clone().into_parts();
    parts.path_and_query = Some(http::uri::PathAndQuery::from_static("/v1/logs"));
    Uri::from_parts(parts).unwrap_or_else(|_| url.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_logs_is_added_where_there_is_none() {
        for (given, expected) in [
            ("http://127.0.0.1:4318", "http://127.0.0.1:4318/v1/logs"),
            ("https://a/", "https://a/v1/logs"),
            ("https://a/otlp/v1/logs", "https://a/otlp/v1/logs"),
            ("https://a/?tenant=1", "https://a/?tenant=1"),
        ] {
            assert_eq!(with_path(&given.parse().unwrap()), expected);
        }
    }

    #[test]
    fn what_is_refused_is_not_delivered() {
        let lines = Lines::new(bytes::Bytes::from_static(b"a\nb\nc\n"));
        for (refused, unreadable, delivered) in
            [(0, 0, 3), (1, 0, 2), (1, 1, 1), (9, 0, 0), (-1, 0, 3)]
        {
            let partial = ExportLogsPartialSuccess {
                rejected_log_records: refused,
                error_message: String::new(),
            };
            let mut progress = Progress::default();
            taken(&lines, unreadable, Some(partial), &mut progress);
            let rejected = 3 - delivered;
            assert_eq!(progress, Progress { bytes: 6, delivered, rejected }, "{refused}");
        }
    }
}
