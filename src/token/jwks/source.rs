//! Reads key sets: a file, a URL, a URL found by `OpenID` Connect discovery. Every read is bounded
//! in time and size, follows no redirect, and takes no address from a token.

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::RootCertStore;
use serde_json::Value;
use tokio::io::AsyncReadExt;

use crate::token::{IssuerSpec, JwksLocation, KEY_SET_BYTES_MAX, KeySet, KeySetError, json};

/// Why a key set could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JwksError {
    /// The answer's body did not come whole.
    #[error("the answer broke off")]
    Body,
    /// No answer.
    #[error("no answer: {0}")]
    Connect(String),
    /// The discovery document does not lead to keys.
    #[error("discovery: {0}")]
    Discovery(&'static str),
    /// The file can't be read.
    #[error("`{path}`: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It was read and is no usable key set.
    #[error(transparent)]
    KeySet(#[from] KeySetError),
    /// The server did not answer with 200.
    #[error("the answer has status {0}, not 200")]
    Status(u16),
    /// The answer took too long.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// TLS can't be set up.
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
    /// The configured address is none.
    #[error("`{0}` is not an absolute URL")]
    Url(String),
}

impl JwksError {
    /// Whether the source answered, with something bad.
    pub(super) fn is_answer(&self) -> bool {
        match self {
            Self::Discovery(_) | Self::KeySet(_) | Self::Status(_) => true,
            Self::Body
            | Self::Connect(_)
            | Self::File { .. }
            | Self::Timeout(_)
            | Self::Tls(_)
            | Self::Url(_) => false,
        }
    }
}

/// The client for all issuers; holds no connection between fetches.
#[derive(Clone)]
pub(super) struct HttpClient(Client<HttpsConnector<HttpConnector>, Empty<Bytes>>);

impl HttpClient {
    /// A client that trusts what the system trusts.
    pub(super) fn new() -> Result<Self, JwksError> {
        let mut roots = RootCertStore::empty();
        // A machine without certificates can still read http and files; https will then fail.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        Self::with_roots(roots)
    }

    /// A client that trusts these certificates.
    pub(super) fn with_roots(roots: RootCertStore) -> Result<Self, JwksError> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .build();
        let client = Client::builder(TokioExecutor::new())
            .pool_max_idle_per_host(0)
            .retry_canceled_requests(false)
            .build(connector);
        Ok(Self(client))
    }

    async fn get(&self, uri: Uri) -> Result<Bytes, JwksError> {
        let request = Request::get(uri)
            .header(header::ACCEPT, "application/json")
            .header(header::USER_AGENT, concat!("crossgate/", env!("CARGO_PKG_VERSION")))
            .body(Empty::new())
            .map_err(|error| JwksError::Connect(error.to_string()))?;
        let response =
            self.0.request(request).await.map_err(|error| JwksError::Connect(causes(&error)))?;
        if response.status() != StatusCode::OK {
            return Err(JwksError::Status(response.status().as_u16()));
        }
        match Limited::new(response.into_body(), KEY_SET_BYTES_MAX).collect().await {
            Ok(body) => Ok(body.to_bytes()),
            Err(error) if error.is::<LengthLimitError>() => Err(KeySetError::TooLarge.into()),
            Err(_) => Err(JwksError::Body),
        }
    }
}

impl fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HttpClient")
    }
}

/// An error with its causes, which say what an HTTP client's error means.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(deeper) = cause {
        text.push_str(": ");
        text.push_str(&deeper.to_string());
        cause = deeper.source();
    }
    text
}

/// Why a source is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    Schedule,
    UnknownKey,
}

/// What a read brought.
#[derive(Debug)]
pub(super) enum Answer {
    Keys(KeySet),
    /// A file that is as it was when it was last read.
    Unchanged,
}

/// One issuer's source.
#[derive(Debug)]
pub(super) struct KeySource {
    spec: Arc<IssuerSpec>,
    client: HttpClient,
    /// Where discovery found the keys, so that an unknown key costs one request.
    discovered: Option<Uri>,
    file: FileState,
}

impl KeySource {
    pub(super) fn new(spec: Arc<IssuerSpec>, client: HttpClient) -> Self {
        Self { spec, client, discovered: None, file: FileState::default() }
    }

    /// The place, for people.
    pub(super) fn place(&self) -> String {
        match &self.spec.jwks.location {
            JwksLocation::File(path) => path.display().to_string(),
            JwksLocation::Url(url) => url.to_string(),
            JwksLocation::Discovery { .. } => discovery_url(&self.spec.issuer),
        }
    }

    /// Reads the keys. Cancelling it loses nothing but the read.
    pub(super) async fn read(&mut self, cause: Cause) -> Result<Answer, JwksError> {
        let timeout = self.spec.jwks.timeout;
        let document = match &self.spec.jwks.location {
            JwksLocation::File(path) => match self.file.read(path).await? {
                Some(content) => Bytes::from(content),
                None => return Ok(Answer::Unchanged),
            },
            JwksLocation::Url(url) => {
                let uri = url.parse().map_err(|_| JwksError::Url(url.to_string()))?;
                tokio::time::timeout(timeout, self.client.get(uri))
                    .await
                    .map_err(|_| JwksError::Timeout(timeout))??
            }
            JwksLocation::Discovery { allow_http } => {
                let known = self.discovered.take().filter(|_| cause == Cause::UnknownKey);
                let discover = discover(&self.client, &self.spec.issuer, *allow_http, known);
                let (uri, document) = tokio::time::timeout(timeout, discover)
                    .await
                    .map_err(|_| JwksError::Timeout(timeout))??;
                self.discovered = Some(uri);
                document
            }
        };
        Ok(Answer::Keys(KeySet::parse(&document)?))
    }
}

fn discovery_url(issuer: &str) -> String {
    format!("{}/.well-known/openid-configuration", issuer.strip_suffix('/').unwrap_or(issuer))
}

/// Finds the keys by the issuer's discovery document (`OpenID` Connect Discovery 1.0, section 4),
/// unless their address is known already, and reads them.
async fn discover(
    client: &HttpClient,
    issuer: &str,
    allow_http: bool,
    known: Option<Uri>,
) -> Result<(Uri, Bytes), JwksError> {
    let uri = if let Some(known) = known {
        known
    } else {
        let url = discovery_url(issuer);
        let uri: Uri = url.parse().map_err(|_| JwksError::Url(url))?;
        check_scheme(&uri, allow_http)?;
        let document = client.get(uri).await?;
        let members = json::parse_object(&document)
            .map_err(|_| JwksError::Discovery("the answer is no JSON object"))?;
        if members.get("issuer").and_then(Value::as_str) != Some(issuer) {
            return Err(JwksError::Discovery("`issuer` is not the configured issuer"));
        }
        let uri = members.get("jwks_uri").and_then(Value::as_str).and_then(|uri| uri.parse().ok());
        uri.ok_or(JwksError::Discovery("`jwks_uri` is missing or no URL"))?
    };
    check_scheme(&uri, allow_http)?;
    let document = client.get(uri.clone()).await?;
    Ok((uri, document))
}

/// Keys that come in the clear are anybody's, unless they never leave the machine.
fn check_scheme(uri: &Uri, allow_http: bool) -> Result<(), JwksError> {
    let host = uri.host().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    let is_loopback = host == "localhost" || address.is_ok_and(|address| address.is_loopback());
    match uri.scheme_str() {
        Some("https") => Ok(()),
        Some("http") if allow_http || is_loopback => Ok(()),
        Some(_) | None => Err(JwksError::Discovery("the address is not https")),
    }
}

/// What is known of a watched file.
#[derive(Debug, Default)]
struct FileState {
    seen: Option<Seen>,
}

#[derive(Debug)]
enum Seen {
    Content { fingerprint: Fingerprint, content: Vec<u8> },
    Unreadable,
}

/// What changes when a file or the link to it does.
#[derive(Debug, PartialEq, Eq)]
struct Fingerprint {
    modified: Option<SystemTime>,
    bytes: u64,
    inode: (u64, u64),
}

impl FileState {
    /// The content, if it is other than last time; an error, if it can't be read any more.
    async fn read(&mut self, path: &Path) -> Result<Option<Vec<u8>>, JwksError> {
        match self.read_changed(path).await {
            Ok(content) => Ok(content),
            // Told once, not at every poll.
            Err(_) if matches!(self.seen, Some(Seen::Unreadable)) => Ok(None),
            Err(source) => {
                self.seen = Some(Seen::Unreadable);
                Err(JwksError::File { path: path.to_owned(), source })
            }
        }
    }

    async fn read_changed(&mut self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        let metadata = tokio::fs::metadata(path).await?;
        if !metadata.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
        }
        let fingerprint = Fingerprint::of(&metadata);
        // A file that was just written may change again without a newer time stamp.
        let is_settled = metadata
            .modified()
            .ok()
            .and_then(|modified| modified.elapsed().ok())
            .is_some_and(|age| SETTLE_TIME < age);
        if let Some(Seen::Content { fingerprint: last, .. }) = &self.seen
            && is_settled
            && *last == fingerprint
        {
            return Ok(None);
        }
        let mut content = Vec::new();
        let limit = u64::try_from(KEY_SET_BYTES_MAX).unwrap_or(u64::MAX).saturating_add(1);
        tokio::fs::File::open(path).await?.take(limit).read_to_end(&mut content).await?;
        let last = self.seen.replace(Seen::Content { fingerprint, content: content.clone() });
        match last {
            Some(Seen::Content { content: last, .. }) if last == content => Ok(None),
            Some(_) | None => Ok(Some(content)),
        }
    }
}

impl Fingerprint {
    #[cfg(unix)]
    fn of(metadata: &std::fs::Metadata) -> Self {
        use std::os::unix::fs::MetadataExt;
        Self {
            modified: metadata.modified().ok(),
            bytes: metadata.len(),
            inode: (metadata.dev(), metadata.ino()),
        }
    }

    #[cfg(not(unix))]
    fn of(metadata: &std::fs::Metadata) -> Self {
        Self { modified: metadata.modified().ok(), bytes: metadata.len(), inode: (0, 0) }
    }
}

/// Longer than the time stamps of any file system in use are coarse.
const SETTLE_TIME: Duration = Duration::from_secs(2);
