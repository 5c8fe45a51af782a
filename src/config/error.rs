//! Why a configuration can't be used.

use std::fmt;
use std::io;
use std::path::PathBuf;

use miette::Diagnostic;

use crate::config::finding::{Finding, Severity};
use crate::config::units::format_size;

/// Why a configuration can't be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file can't be read.
    #[error("can't read `{}`: {source}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file is too large to be a configuration.
    #[error("`{}` is too large to be a configuration: {}", file.display(), format_size(*size_bytes))]
    Large {
        /// The file.
        file: PathBuf,
        /// Its size.
        size_bytes: u64,
    },
    /// The configuration is wrong.
    #[error("{}", Lines(findings))]
    Invalid {
        /// All that is wrong or doubtful, from the start to the end; at least one error.
        findings: Vec<Finding>,
    },
}

impl ConfigError {
    /// What is wrong with the content, from its start to its end.
    pub fn findings(&self) -> &[Finding] {
        match self {
            Self::Invalid { findings } => findings,
            Self::Unreadable { .. } | Self::Large { .. } => &[],
        }
    }
}

impl Diagnostic for ConfigError {
    fn related<'a>(&'a self) -> Option<Box<dyn Iterator<Item = &'a dyn Diagnostic> + 'a>> {
        Some(Box::new(self.findings().iter().map(|finding| -> &dyn Diagnostic { finding })))
    }
}

/// One error a line; what is only doubtful did not refuse the configuration.
struct Lines<'a>(&'a [Finding]);

impl fmt::Display for Lines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let errors = self.0.iter().filter(|finding| finding.severity == Severity::Error);
        for (index, finding) in errors.enumerate() {
            if index != 0 {
                f.write_str("\n")?;
            }
            finding.fmt(f)?;
        }
        Ok(())
    }
}
