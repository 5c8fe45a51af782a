//! Lines to standard output, for who collects what containers print.

use std::io::{self, Write};

use tokio::task::JoinHandle;

use crate::event::sink::{Lines, Progress, Sink, SinkError};

/// Standard output, or what stands for it in tests.
pub(super) struct StdoutSink<W> {
    /// Away while it is written to.
    out: Option<W>,
    /// A write that did not end in its time. Its lines are on their way: they are not written again.
    writing: Option<(Writing<W>, Lines)>,
}

type Writing<W> = JoinHandle<(W, io::Result<()>)>;

impl StdoutSink<io::Stdout> {
    pub(super) fn new() -> Self {
        Self::with(io::stdout())
    }
}

impl<W> StdoutSink<W> {
    fn with(out: W) -> Self {
        Self { out: Some(out), writing: None }
    }
}

impl<W: Write + Send + 'static> Sink for StdoutSink<W> {
    async fn deliver(&mut self, lines: &Lines, progress: &mut Progress) -> Result<(), SinkError> {
        if self.writing.is_none() {
            let Some(mut out) = self.out.take() else {
                return Err(SinkError::later("standard output is gone"));
            };
            let bytes = lines.bytes.clone();
            let write = move || {
                let written = out.write_all(&bytes).and_then(|()| out.flush());
                (out, written)
            };
            self.writing = Some((tokio::task::spawn_blocking(write), lines.clone()));
        }
        let Some((writing, _)) = &mut self.writing else { return Ok(()) };
        let (out, written) = writing
            .await
            .map_err(|_| SinkError::later("writing to standard output was interrupted"))?;
        self.out = Some(out);
        let written_lines = self.writing.take().map(|(_, lines)| lines).unwrap_or_default();
        written.map_err(|error| SinkError::later(format!("standard output: {error}")))?;
        progress.deliver(&written_lines);
        Ok(())
    }

    fn reset(&mut self) {}
}
