//! `OpenTelemetry` logs by OTLP over gRPC.

use std::time::Duration;

use http::HeaderMap;
use opentelemetry_proto::tonic::collector::logs::v1::logs_service_client::LogsServiceClient;
use tonic::codec::CompressionEncoding;
use tonic::metadata::MetadataMap;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Code, Request, Status};

use crate::clock::SystemClock;
use crate::event::sink::client::USER_AGENT;
use crate::event::sink::otlp::taken;
use crate::event::sink::{Lines, Progress, Sink, SinkError, causes, record};
use crate::event::{Compression, OtlpSpec};

/// A receiver of OTLP over gRPC.
pub(super) struct OtlpGrpcSink {
    spec: OtlpSpec,
    metadata: MetadataMap,
    timeout: Duration,
    client: Option<LogsServiceClient<Channel>>,
}

impl OtlpGrpcSink {
    pub(super) fn new(spec: OtlpSpec, timeout: Duration) -> Self {
        let headers: HeaderMap = spec.headers.iter().cloned().collect();
        Self { spec, metadata: MetadataMap::from_headers(headers), timeout, client: None }
    }

    async fn connect(&self) -> Result<LogsServiceClient<Channel>, SinkError> {
        let failed = |error: tonic::transport::Error| SinkError::later(causes(&error));
        let mut endpoint = Endpoint::from(self.spec.url.clone())
            .connect_timeout(self.timeout)
            .user_agent(USER_AGENT)
            .map_err(failed)?;
        if self.spec.url.scheme_str() == Some("https") {
            endpoint = endpoint.tls_config(self.tls().await?).map_err(failed)?;
        }
        let client = LogsServiceClient::new(endpoint.connect().await.map_err(failed)?);
        Ok(match self.spec.compression {
            Compression::Gzip => client.send_compressed(CompressionEncoding::Gzip),
            Compression::None => client,
        })
    }

    async fn tls(&self) -> Result<ClientTlsConfig, SinkError> {
        let tls = ClientTlsConfig::new();
        let tls = match &self.spec.tls.ca {
            Some(ca) => tls.ca_certificate(Certificate::from_pem(read(ca).await?)),
            None => tls.with_native_roots(),
        };
        let Some(identity) = &self.spec.tls.identity else { return Ok(tls) };
        let (certificate, key) = (read(&identity.certificate).await?, read(&identity.key).await?);
        Ok(tls.identity(Identity::from_pem(certificate, key)))
    }
}

impl Sink for OtlpGrpcSink {
    async fn deliver(&mut self, lines: &Lines, progress: &mut Progress) -> Result<(), SinkError> {
        let client = match self.client.take() {
            Some(client) => client,
            None => self.connect().await?,
        };
        let (export, unreadable) = record::export(lines, SystemClock.now());
        let mut request = Request::new(export);
        request.metadata_mut().clone_from(&self.metadata);
        let client = self.client.insert(client);
        let answer = client.export(request).await.map_err(|status| told(&status))?;
        taken(lines, unreadable, answer.into_inner().partial_success, progress);
        Ok(())
    }

    fn reset(&mut self) {
        self.client = None;
    }
}

async fn read(path: &std::path::Path) -> Result<Vec<u8>, SinkError> {
    let read = tokio::fs::read(path).await;
    read.map_err(|error| SinkError::later(format!("`{}`: {error}", path.display())))
}

/// What a status means for the lines that were sent; see `client::outcome` for the rule.
fn told(status: &Status) -> SinkError {
    // The message is the receiver's and may repeat what it was sent.
    let reason = format!("the answer is {:?}", status.code());
    match status.code() {
        Code::InvalidArgument | Code::AlreadyExists | Code::FailedPrecondition => {
            SinkError::never(reason)
        }
        // Too many at once, or too large a message: both are mended by fewer.
        Code::ResourceExhausted => SinkError::TooSlow { reason },
        Code::Unavailable | Code::Unknown | Code::Internal => {
            // Mostly of our own side: no connection, and why.
            let source = std::error::Error::source(status).map(causes);
            SinkError::later(source.map_or(reason.clone(), |source| format!("{reason}: {source}")))
        }
        _ => SinkError::later(reason),
    }
}
