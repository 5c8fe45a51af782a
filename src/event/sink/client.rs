//! The HTTP client of sinks: one POST at a time, bounded by who calls it.

use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use flate2::write::GzEncoder;
use http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::event::sink::{SinkError, causes};
use crate::event::{Compression, TlsFiles};

/// Sends requests to any address.
pub(crate) type HttpsClient = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// POSTs to one address.
pub(super) struct HttpClient {
    url: Uri,
    headers: HeaderMap,
    compression: Compression,
    tls: TlsFiles,
    client: Option<HttpsClient>,
}

/// What was answered.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) retry_after: Option<Duration>,
    /// At most [`ANSWER_BYTES_MAX`]; empty where it has more.
    pub(super) body: Bytes,
}

impl HttpClient {
    pub(super) fn new(
        url: Uri,
        content_type: &'static str,
        headers: &[(HeaderName, HeaderValue)],
        compression: Compression,
        tls: TlsFiles,
    ) -> Self {
        let mut all = HeaderMap::new();
        all.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
        all.extend(headers.iter().cloned());
        all.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        if compression == Compression::Gzip {
            all.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        Self { url, headers: all, compression, tls, client: None }
    }

    /// Forgets all connections, and what the files of TLS said.
    pub(super) fn reset(&mut self) {
        self.client = None;
    }

    /// Sends a body and waits for the answer.
    ///
    /// # Errors
    /// There was no answer.
    pub(super) async fn post(&mut self, body: Bytes) -> Result<Answer, SinkError> {
        let body = match self.compression {
            Compression::Gzip => gzip(&body),
            Compression::None => body,
        };
        let mut request = Request::post(self.url.clone())
            .body(Full::new(body))
            .map_err(|error| SinkError::later(causes(&error)))?;
        request.headers_mut().clone_from(&self.headers);
        let client = self.client().await?;
        let response = client.request(request).await;
        let response = response.map_err(|error| SinkError::later(causes(&error)))?;
        let status = response.status();
        let retry_after = retry_after(response.headers());
        // Read to its end where it is short, so that the connection can be used again.
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
        let body = body.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        Ok(Answer { status, retry_after, body })
    }

    async fn client(&mut self) -> Result<&HttpsClient, SinkError> {
        let client = match self.client.take() {
            Some(client) => client,
            None => connect(client_tls(&self.tls).await?),
        };
        Ok(self.client.insert(client))
    }
}

/// What an answer means for the lines that were sent.
///
/// Statuses that speak of the lines are for ever. Those that speak of the way there (a token that
/// is over, an address that moved) are mended by people, and the lines wait for that.
pub(super) fn outcome(answer: &Answer) -> Result<(), SinkError> {
    let status = answer.status;
    let reason = format!("the answer is {}", status.as_u16());
    match status {
        _ if status.is_success() => Ok(()),
        StatusCode::PAYLOAD_TOO_LARGE => Err(SinkError::TooLarge { reason }),
        StatusCode::UNAUTHORIZED
        | StatusCode::FORBIDDEN
        | StatusCode::NOT_FOUND
        | StatusCode::PROXY_AUTHENTICATION_REQUIRED
        | StatusCode::REQUEST_TIMEOUT
        | StatusCode::MISDIRECTED_REQUEST
        | StatusCode::TOO_EARLY
        | StatusCode::TOO_MANY_REQUESTS => {
            Err(SinkError::Later { reason, after: answer.retry_after })
        }
        _ if status.is_client_error() => Err(SinkError::Never { reason }),
        _ => Err(SinkError::Later { reason, after: answer.retry_after }),
    }
}

/// Seconds alone: the form with a date needs two clocks that agree.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

fn gzip(body: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    // Writing to memory does not fail.
    let _ = encoder.write_all(body);
    encoder.finish().unwrap_or_default().into()
}

/// A client that trusts what the system trusts, for commands.
///
/// # Errors
/// TLS can't be set up.
pub(crate) fn system_client() -> io::Result<HttpsClient> {
    read_tls(&TlsFiles::default()).map(connect)
}

fn connect(tls: ClientConfig) -> HttpsClient {
    let connector =
        HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().build();
    Client::builder(TokioExecutor::new()).pool_max_idle_per_host(1).build(connector)
}

/// TLS as the files say now.
///
/// # Errors
/// A file can't be used; it may be mended.
async fn client_tls(files: &TlsFiles) -> Result<ClientConfig, SinkError> {
    let files = files.clone();
    let read = tokio::task::spawn_blocking(move || read_tls(&files)).await;
    let read = read.unwrap_or_else(|_| Err(io::Error::other("interrupted")));
    read.map_err(|error| SinkError::later(format!("TLS can't be set up: {error}")))
}

fn read_tls(files: &TlsFiles) -> io::Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    match &files.ca {
        Some(ca) => {
            for certificate in certificates(ca)? {
                roots.add(certificate).map_err(io::Error::other)?;
            }
        }
        // Without any, http still works, and https fails with its own words.
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_root_certificates(roots);
    match &files.identity {
        None => Ok(tls.with_no_client_auth()),
        Some(identity) => {
            let key = PrivateKeyDer::from_pem_file(&identity.key).map_err(io::Error::other)?;
            let chain = certificates(&identity.certificate)?;
            tls.with_client_auth_cert(chain, key).map_err(io::Error::other)
        }
    }
}

fn certificates(path: &std::path::Path) -> io::Result<Vec<CertificateDer<'static>>> {
    CertificateDer::pem_file_iter(path)
        .map_err(io::Error::other)?
        .collect::<Result<_, _>>()
        .map_err(io::Error::other)
}

/// Who asks.
pub(crate) const USER_AGENT: &str = concat!("crossgate/", env!("CARGO_PKG_VERSION"));
/// Of an answer's body that is looked at.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_decides() {
        let told = |status: u16| {
            let status = StatusCode::from_u16(status).unwrap();
            outcome(&Answer { status, retry_after: None, body: Bytes::new() })
        };
        for status in [200, 202, 204] {
            assert_eq!(told(status), Ok(()), "{status}");
        }
        for status in [301, 401, 403, 404, 407, 408, 421, 425, 429, 500, 502, 503, 504, 507] {
            assert!(matches!(told(status), Err(SinkError::Later { .. })), "{status}");
        }
        for status in [400, 405, 406, 409, 410, 415, 422, 431] {
            assert!(matches!(told(status), Err(SinkError::Never { .. })), "{status}");
        }
        assert!(matches!(told(413), Err(SinkError::TooLarge { .. })));
    }

    #[test]
    fn a_receiver_says_when_in_seconds() {
        let asked = |value: &str| {
            let value = HeaderValue::try_from(value).unwrap();
            retry_after(&HeaderMap::from_iter([(header::RETRY_AFTER, value)]))
        };
        assert_eq!(asked("7"), Some(Duration::from_secs(7)));
        assert_eq!(asked("Wed, 21 Oct 2015 07:28:00 GMT"), None);
        assert_eq!(asked("-1"), None);
        assert_eq!(retry_after(&HeaderMap::new()), None);
    }
}
