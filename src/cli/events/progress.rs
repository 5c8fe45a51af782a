//! A progress bar on standard error, where that is a terminal and there is much to read.

use std::io::{self, IsTerminal};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How far a search is.
#[derive(Debug)]
pub(in crate::cli) struct Progress {
    bar: Option<ProgressBar>,
}

impl Progress {
    /// Shows how much of so many bytes is read.
    pub(in crate::cli) fn new(bytes: u64) -> Self {
        if bytes < SHOWN_BYTES_MIN || !io::stderr().is_terminal() {
            return Self { bar: None };
        }
        let bar = ProgressBar::with_draw_target(Some(bytes), ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template(TEMPLATE) {
            bar.set_style(style);
        }
        Self { bar: Some(bar) }
    }

    pub(in crate::cli) fn advance(&self, bytes: u64) {
        if let Some(bar) = &self.bar {
            bar.inc(bytes);
        }
    }

    /// Does what writes to the same terminal.
    pub(in crate::cli) fn aside<T>(&self, write: impl FnOnce() -> T) -> T {
        match &self.bar {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }

    /// Takes the bar away.
    pub(in crate::cli) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

const TEMPLATE: &str = "{bar:32} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left";
/// Less is read before a bar is seen.
const SHOWN_BYTES_MIN: u64 = 64 * 1024 * 1024;
