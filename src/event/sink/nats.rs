//! NATS `JetStream`: one message an event, its id as `Nats-Msg-Id`, every acknowledgement awaited.
//!
//! A connection that failed is given up and made anew by the next attempt: the client's own buffer
//! would send again what was given up, and files with credentials are read anew this way.

use std::collections::VecDeque;
use std::time::Duration;

use async_nats::jetstream::context::{
    CreateStreamErrorKind, GetStreamErrorKind, PublishAckFuture, PublishError, PublishErrorKind,
};
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::{self, ErrorCode, stream};
use async_nats::{Client, ConnectOptions};
use bytes::Bytes;

use crate::event::sink::{LastEvent, Lines, Progress, Sink, SinkError, causes};
use crate::event::{NatsSpec, TlsFiles};

/// A stream.
pub(super) struct NatsSink {
    spec: NatsSpec,
    timeout: Duration,
    connection: Option<Connection>,
}

struct Connection {
    client: Client,
    context: jetstream::Context,
}

impl NatsSink {
    pub(super) fn new(spec: NatsSpec, timeout: Duration) -> Self {
        Self { spec, timeout, connection: None }
    }

    async fn connect(&self) -> Result<Connection, SinkError> {
        let client = self
            .options()
            .await?
            .connect(self.spec.servers.iter().map(ToString::to_string).collect::<Vec<_>>())
            .await
            .map_err(|error| SinkError::later(causes(&error)))?;
        let context = jetstream::context::ContextBuilder::new()
            .timeout(self.timeout)
            .ack_timeout(self.timeout)
            .max_ack_inflight(IN_FLIGHT_MAX)
            .build(client.clone());
        if self.spec.create {
            self.create_stream(&context).await?;
        }
        Ok(Connection { client, context })
    }

    async fn options(&self) -> Result<ConnectOptions, SinkError> {
        let NatsSpec { login, credentials, tls, servers, .. } = &self.spec;
        let mut options = ConnectOptions::new()
            .name("crossgate")
            .connection_timeout(self.timeout)
            .request_timeout(Some(self.timeout))
            .client_capacity(IN_FLIGHT_MAX)
            .max_reconnects(servers.len());
        if let Some(login) = login {
            let user = login.user.reveal().to_owned();
            options = match &login.password {
                Some(password) => options.user_and_password(user, password.reveal().to_owned()),
                None => options.token(user),
            };
        }
        if let Some(file) = credentials {
            options = options.credentials_file(file).await.map_err(|error| {
                SinkError::later(format!("credentials `{}`: {}", file.display(), error.kind()))
            })?;
        }
        let TlsFiles { ca, identity } = tls;
        if let Some(ca) = ca {
            options = options.add_root_certificates(ca.clone());
        }
        if let Some(identity) = identity {
            let (certificate, key) = (identity.certificate.clone(), identity.key.clone());
            options = options.add_client_certificate(certificate, key);
        }
        Ok(options.require_tls(*tls != TlsFiles::default()))
    }

    async fn create_stream(&self, context: &jetstream::Context) -> Result<(), SinkError> {
        let NatsSpec { stream, subject, .. } = &self.spec;
        match context.get_stream(stream).await {
            Ok(_) => return Ok(()),
            Err(error) => match error.kind() {
                GetStreamErrorKind::JetStream(error)
                    if error.error_code() == ErrorCode::STREAM_NOT_FOUND => {}
                _ => return Err(SinkError::later(causes(&error))),
            },
        }
        let config = stream::Config {
            name: stream.to_string(),
            subjects: vec![subject.to_string()],
            duplicate_window: DUPLICATE_WINDOW,
            ..stream::Config::default()
        };
        match context.create_stream(config).await {
            Ok(_) => {
                tracing::info!(stream = &**stream, subject = &**subject, "a stream was created");
                Ok(())
            }
            // Another proxy was faster.
            Err(error)
                if matches!(error.kind(), CreateStreamErrorKind::JetStream(ref error)
                    if error.error_code() == ErrorCode::STREAM_NAME_EXIST) =>
            {
                Ok(())
            }
            Err(error) => Err(SinkError::later(format!(
                "stream `{stream}` can't be created: {}",
                causes(&error)
            ))),
        }
    }
}

impl Sink for NatsSink {
    async fn deliver(&mut self, lines: &Lines, progress: &mut Progress) -> Result<(), SinkError> {
        let connection = match self.connection.take() {
            Some(connection) if is_alive(&connection.client) => connection,
            Some(_) | None => self.connect().await?,
        };
        let connection = self.connection.insert(connection);
        let mut in_flight = VecDeque::new();
        for line in lines.iter() {
            if IN_FLIGHT_MAX <= in_flight.len() {
                settle(&mut in_flight, progress).await?;
            }
            let sent = publish(&self.spec, &connection.context, &line).await;
            in_flight.push_back((line, sent));
        }
        while !in_flight.is_empty() {
            settle(&mut in_flight, progress).await?;
        }
        Ok(())
    }

    fn reset(&mut self) {
        self.connection = None;
    }
}

type Sent = Result<PublishAckFuture, SinkError>;

fn is_alive(client: &Client) -> bool {
    client.connection_state() == async_nats::connection::State::Connected
}

async fn publish(spec: &NatsSpec, context: &jetstream::Context, line: &Bytes) -> Sent {
    let Some(event) = LastEvent::of(line) else {
        return Err(SinkError::never("a line of the log is no event"));
    };
    let message = PublishMessage::build()
        .payload(line.clone())
        .message_id(event.id)
        .expected_stream(&*spec.stream);
    context.send_publish(spec.subject.to_string(), message).await.map_err(|error| told(&error))
}

/// Waits for the first message in flight.
async fn settle(
    in_flight: &mut VecDeque<(Bytes, Sent)>,
    progress: &mut Progress,
) -> Result<(), SinkError> {
    let Some((line, sent)) = in_flight.pop_front() else { return Ok(()) };
    let acknowledged = match sent {
        Ok(acknowledgement) => acknowledgement.await.map_err(|error| told(&error)),
        Err(error) => Err(error),
    };
    match acknowledged {
        Ok(_) => progress.deliver_line(&line),
        Err(SinkError::Never { reason }) => {
            tracing::error!(reason, bytes = line.len(), "NATS will never take an event");
            progress.reject_line(&line);
        }
        Err(error) => return Err(error),
    }
    Ok(())
}

fn told(error: &PublishError) -> SinkError {
    match error.kind() {
        PublishErrorKind::StreamNotFound => {
            SinkError::later("no stream takes this subject; hint: `create: true`")
        }
        PublishErrorKind::MaxPayloadExceeded => {
            SinkError::never("the event is larger than the server's `max_payload`")
        }
        _ => {
            let jetstream = std::error::Error::source(error)
                .and_then(|source| source.downcast_ref::<jetstream::Error>());
            match jetstream.map(jetstream::Error::error_code) {
                Some(ErrorCode::STREAM_MESSAGE_EXCEEDS_MAXIMUM) => {
                    SinkError::never("the event is larger than the stream's `max_msg_size`")
                }
                _ => SinkError::later(causes(error)),
            }
        }
    }
}

/// Messages whose acknowledgement is awaited.
const IN_FLIGHT_MAX: usize = 256;
/// For how long a stream that is made here knows ids: longer than the longest pause between two
/// attempts, and than a proxy takes to restart.
const DUPLICATE_WINDOW: Duration = Duration::from_mins(10);
