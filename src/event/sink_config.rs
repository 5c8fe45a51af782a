//! `events.sinks` of the configuration, parsed. Knows nothing of YAML and of sockets.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use http::{HeaderName, HeaderValue, Uri};

/// A receiver of events besides the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SinkSpec {
    /// Unique; a label of metrics, and part of a file's name.
    pub name: Box<str>,
    /// Where it starts if it was never there before.
    pub from: StartAt,
    /// What goes at once.
    pub batch: BatchLimits,
    /// How long one attempt to deliver a batch may take.
    pub timeout: Duration,
    /// Of which kind.
    pub kind: SinkKind,
}

/// Where a sink starts that was never there before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StartAt {
    /// With the oldest event that is in the log: what is recorded is meant to get there.
    #[default]
    Beginning,
    /// With what is recorded from now on.
    Now,
}

/// What goes to a sink at once; a single event may have more bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchLimits {
    /// The most events.
    pub events: u64,
    /// The most bytes of lines.
    pub bytes: usize,
}

/// The kinds of sinks.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SinkKind {
    /// Batches of NDJSON by HTTP.
    Http(HttpSpec),
    /// NATS `JetStream`.
    Nats(NatsSpec),
    /// `OpenTelemetry` logs.
    Otlp(OtlpSpec),
    /// Standard output.
    Stdout,
}

/// Batches of NDJSON by HTTP POST.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpSpec {
    /// `http://` or `https://`, without a user.
    pub url: Uri,
    /// Added to each request; their values are never shown.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Of the body.
    pub compression: Compression,
    /// Whom to trust, and who we are.
    pub tls: TlsFiles,
}

/// A stream of NATS `JetStream`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NatsSpec {
    /// `nats://` or `tls://`, without the login; several servers of one cluster.
    pub servers: Vec<Box<str>>,
    /// What stood before the `@`.
    pub login: Option<Login>,
    /// The stream that must take the messages.
    pub stream: Box<str>,
    /// The messages' subject.
    pub subject: Box<str>,
    /// Whether the stream is made where it is absent.
    pub create: bool,
    /// A credentials file: JWT and seed.
    pub credentials: Option<PathBuf>,
    /// Whom to trust, and who we are.
    pub tls: TlsFiles,
}

/// A receiver of `OpenTelemetry` logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtlpSpec {
    /// `http://` or `https://`, without a user.
    pub url: Uri,
    /// Which of OTLP's two.
    pub protocol: OtlpProtocol,
    /// Added to each request; their values are never shown.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Of the body.
    pub compression: Compression,
    /// Whom to trust, and who we are.
    pub tls: TlsFiles,
}

/// How OTLP is carried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OtlpProtocol {
    /// gRPC.
    Grpc,
    /// Protobuf in HTTP; what OTLP advises where nothing is known.
    #[default]
    Http,
}

/// How a body is compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// gzip: events of one batch are much alike, and shrink to a tenth.
    #[default]
    Gzip,
    /// Not at all.
    None,
}

/// Files of TLS, read at each new connection; PEM.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// Whom to trust; absent: whom the system trusts.
    pub ca: Option<PathBuf>,
    /// Our certificate and its key, for servers that ask for one.
    pub identity: Option<TlsIdentity>,
}

/// A client's certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsIdentity {
    /// The whole chain.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// A user and its password, or a token alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// The user, or the token.
    pub user: Secret,
    /// Absent: the user is a token.
    pub password: Option<Secret>,
}

/// A text that is shown nowhere.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Box<str>);

impl Secret {
    /// Hides a text.
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// The text, for who sends it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl SinkKind {
    /// The key of the configuration, and the name of a sink that has none.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Http(_) => "http",
            Self::Nats(_) => "nats",
            Self::Otlp(_) => "otlp",
            Self::Stdout => "stdout",
        }
    }
}

impl Default for BatchLimits {
    /// What every collector takes at once, and memory that nobody notices.
    fn default() -> Self {
        Self { events: 500, bytes: 1024 * 1024 }
    }
}

/// How long an attempt may take where nothing is configured.
pub const SINK_TIMEOUT: Duration = Duration::from_secs(10);
