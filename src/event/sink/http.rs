//! Batches of NDJSON by HTTP POST; the answer's status decides what comes next.

use crate::event::HttpSpec;
use crate::event::sink::client::{HttpClient, outcome};
use crate::event::sink::{Lines, Progress, Sink, SinkError};

/// A collector of NDJSON.
pub(super) struct HttpSink(HttpClient);

impl HttpSink {
    pub(super) fn new(spec: &HttpSpec) -> Self {
        let HttpSpec { url, headers, compression, tls } = spec;
        let tls = tls.clone();
        Self(HttpClient::new(url.clone(), "application/x-ndjson", headers, *compression, tls))
    }
}

impl Sink for HttpSink {
    async fn deliver(&mut self, lines: &Lines, progress: &mut Progress) -> Result<(), SinkError> {
        outcome(&self.0.post(lines.bytes.clone()).await?)?;
        progress.deliver(lines);
        Ok(())
    }

    fn reset(&mut self) {
        self.0.reset();
    }
}
