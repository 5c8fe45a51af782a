//! `crossgate check`: validates configuration, settings and policies, and looks for what is
//! doubtful.
//!
//! Flows in: the command's arguments. Flows out: findings on standard output, an exit code.
//! Changes nothing and listens nowhere.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anstyle::{AnsiColor, Style};
use clap::{Args, ValueEnum};
use serde::Serialize;

use crate::cli::excerpt::Excerpt;
use crate::config::{self, Config, ConfigError, Finding, Severity, policies, settings_lints};

/// Validates configuration, settings and policies, and looks for what is doubtful.
#[derive(Args, Clone, Debug)]
pub struct CheckArgs {
    /// The configuration file.
    #[arg(long, value_name = "FILE", default_value = "crossgate.yaml")]
    pub config: PathBuf,
    /// Ends with 1 on warnings too.
    #[arg(long)]
    pub strict: bool,
    /// For people or for programs.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

/// How findings are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For programs: one JSON object.
    Json,
    /// For people.
    Text,
}

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The configuration can be run, and nothing that was asked about is doubtful.
    Passed,
    /// There are errors, or warnings where those count.
    Refused,
}

/// Why a check could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckError {
    /// The configuration can't be read.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The findings can't be written.
    #[error("can't write the findings: {0}")]
    Output(#[from] io::Error),
}

/// Checks, with findings on standard output, and maps the end to an exit code: 0 passed, 1 refused,
/// 2 could not check.
pub fn run(args: &CheckArgs) -> ExitCode {
    let checked = match args.format {
        Format::Json => check(args, &mut io::stdout().lock()),
        Format::Text => check(args, &mut anstream::stdout().lock()),
    };
    match checked {
        Ok(Outcome::Passed) => ExitCode::SUCCESS,
        Ok(Outcome::Refused) => ExitCode::from(1),
        Err(error) => {
            // Nothing is left to tell it to if this fails too.
            let _ = writeln!(anstream::stderr(), "{ERROR}error{ERROR:#}: {error}");
            ExitCode::from(2)
        }
    }
}

/// Checks and writes the findings, in text with terminal colours.
///
/// # Errors
/// The configuration can't be read, or the findings can't be written.
pub fn check(args: &CheckArgs, out: &mut dyn Write) -> Result<Outcome, CheckError> {
    let findings = inspect(config::load(&args.config))?;
    match args.format {
        Format::Json => write_json(out, args, &findings)?,
        Format::Text => write_text(out, args, &findings)?,
    }
    out.flush()?;
    Ok(outcome(args, &findings))
}

fn inspect(loaded: Result<Config, ConfigError>) -> Result<Vec<Finding>, ConfigError> {
    match loaded {
        Ok(config) => {
            let mut findings = config.warnings.clone();
            findings.extend(settings_lints::check(&config));
            findings.extend(policies::check(&config));
            Ok(findings)
        }
        Err(ConfigError::Invalid { findings }) => Ok(findings),
        Err(error) => Err(error),
    }
}

fn outcome(args: &CheckArgs, findings: &[Finding]) -> Outcome {
    if findings.iter().any(|finding| args.strict || finding.severity == Severity::Error) {
        Outcome::Refused
    } else {
        Outcome::Passed
    }
}

fn write_text(out: &mut dyn Write, args: &CheckArgs, findings: &[Finding]) -> io::Result<()> {
    for finding in findings {
        write_finding(out, finding)?;
    }
    let count = |severity| {
        let same = findings.iter().filter(|it| it.severity == severity);
        same.map(|it| it.omitted.max(1)).sum::<usize>()
    };
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    let file = args.config.display();
    let (errors, warnings) = (counted(errors, "error"), counted(warnings, "warning"));
    match (findings.is_empty(), outcome(args, findings)) {
        (true, _) => writeln!(out, "{GOOD}ok{GOOD:#}: {file}"),
        (false, Outcome::Passed) => writeln!(out, "{GOOD}ok{GOOD:#}: {file}, {warnings}"),
        (false, Outcome::Refused) => {
            writeln!(out, "{ERROR}refused{ERROR:#}: {file}, {errors}, {warnings}")
        }
    }
}

/// A number with its noun.
pub(super) fn counted(number: usize, noun: &str) -> String {
    match number {
        1 => format!("1 {noun}"),
        _ => format!("{number} {noun}s"),
    }
}

fn write_finding(out: &mut dyn Write, finding: &Finding) -> io::Result<()> {
    let style = match finding.severity {
        Severity::Error => ERROR,
        Severity::Warning => WARNING,
    };
    let (file, at, severity) = (finding.file.display(), finding.at, finding.severity.as_str());
    writeln!(out, "{file}:{at}: {style}{severity}{style:#}: {}", finding.message)?;
    Excerpt {
        number: at.line,
        text: finding.shown.text.clone(),
        before: finding.shown.before,
        width: at.width,
    }
    .write(out, style, finding.hint.as_deref())
}

fn write_json(out: &mut dyn Write, args: &CheckArgs, findings: &[Finding]) -> io::Result<()> {
    let report = Report {
        valid: !findings.iter().any(|finding| finding.severity == Severity::Error),
        file: args.config.display().to_string(),
        findings: findings.iter().map(FindingJson::from).collect(),
    };
    serde_json::to_writer(&mut *out, &report)?;
    writeln!(out)
}

#[derive(Serialize)]
struct Report<'a> {
    valid: bool,
    file: String,
    findings: Vec<FindingJson<'a>>,
}

#[derive(Serialize)]
struct FindingJson<'a> {
    severity: &'static str,
    file: String,
    line: usize,
    column: usize,
    message: &'a str,
    hint: Option<&'a str>,
}

impl<'a> From<&'a Finding> for FindingJson<'a> {
    fn from(finding: &'a Finding) -> Self {
        Self {
            severity: finding.severity.as_str(),
            file: finding.file.display().to_string(),
            line: finding.at.line,
            column: finding.at.column,
            message: &finding.message,
            hint: finding.hint.as_deref(),
        }
    }
}

pub(super) const ERROR: Style = AnsiColor::Red.on_default().bold();
pub(super) const WARNING: Style = AnsiColor::Yellow.on_default().bold();
pub(super) const GOOD: Style = AnsiColor::Green.on_default().bold();
