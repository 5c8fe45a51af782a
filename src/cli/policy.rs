//! `crossgate policy validate`: are these documents valid policies, and if not, where.
//!
//! Flows in: files and their policy type. Flows out: findings on standard output, an exit code.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::builder::PossibleValue;
use clap::{Args, ValueEnum};
use serde::Serialize;

use crate::cli::check::{ERROR, Format, GOOD, WARNING, counted};
use crate::cli::excerpt::{Excerpt, printable};
use crate::config::finding::Shown;
use crate::policy::json::{self, Lines};
use crate::policy::lint::{self, Home};
use crate::policy::{self, PolicyFinding, PolicyType, Severity, Source, document};

/// Arguments of `crossgate policy validate`.
#[derive(Args, Clone, Debug)]
pub struct ValidateArgs {
    /// What the documents are
    #[arg(long = "type", value_name = "TYPE", value_enum)]
    pub policy_type: PolicyType,
    /// For people or for programs
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
    /// The documents; `-` is standard input
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
}

impl ValueEnum for PolicyType {
    fn value_variants<'a>() -> &'a [Self] {
        &Self::ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.as_str()))
    }
}

/// How a validation ended, from good to bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// All documents are valid.
    Valid,
    /// One is not.
    Invalid,
    /// One can't be read.
    Unreadable,
}

/// A document that was validated.
struct Validated {
    file: String,
    text: String,
    findings: Vec<PolicyFinding>,
}

/// Validates documents, with findings on standard output, and maps the end to an exit code: 0 valid,
/// 1 not, 2 could not run.
pub fn validate(args: &ValidateArgs) -> ExitCode {
    let validated = match args.format {
        Format::Json => write(args, &mut io::stdout().lock()),
        Format::Text => write(args, &mut anstream::stdout().lock()),
    };
    match validated {
        Ok(Outcome::Valid) => ExitCode::SUCCESS,
        Ok(Outcome::Invalid) => ExitCode::from(1),
        Ok(Outcome::Unreadable) => ExitCode::from(2),
        Err(error) => {
            complain(&format!("can't write the findings: {error}"));
            ExitCode::from(2)
        }
    }
}

/// Validates and writes the findings, in text with terminal colours.
///
/// # Errors
/// The findings can't be written.
pub fn write(args: &ValidateArgs, out: &mut dyn Write) -> io::Result<Outcome> {
    let mut outcome = Outcome::Valid;
    let mut report = Vec::new();
    for file in &args.files {
        match read(file) {
            Ok(bytes) => {
                let validated = validated(file, bytes, args.policy_type);
                outcome = outcome.max(validated.outcome());
                match args.format {
                    Format::Json => validated.add_to(&mut report),
                    Format::Text => validated.write(out)?,
                }
            }
            Err(error) => {
                complain(&format!("can't read {}: {error}", file.display()));
                report.push(FindingJson::unreadable(file, &error));
                outcome = Outcome::Unreadable;
            }
        }
    }
    if args.format == Format::Json {
        let report = Report { valid: outcome == Outcome::Valid, findings: report };
        serde_json::to_writer(&mut *out, &report)?;
        writeln!(out)?;
    }
    out.flush()?;
    Ok(outcome)
}

fn read(file: &Path) -> io::Result<Vec<u8>> {
    // One byte more than is parsed, so that a longer document is told to be too long.
    let bytes_max = u64::try_from(json::BYTES_MAX).unwrap_or(u64::MAX).saturating_add(1);
    let mut bytes = Vec::new();
    if is_standard_input(file) {
        io::stdin().lock().take(bytes_max).read_to_end(&mut bytes)?;
    } else {
        File::open(file)?.take(bytes_max).read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}

fn is_standard_input(file: &Path) -> bool {
    file == Path::new("-")
}

fn name(file: &Path) -> String {
    if is_standard_input(file) { "<stdin>".to_owned() } else { file.display().to_string() }
}

fn validated(file: &Path, bytes: Vec<u8>, policy_type: PolicyType) -> Validated {
    let name = name(file);
    match String::from_utf8(bytes) {
        Ok(text) => {
            let findings = findings(&name, &text, policy_type);
            Validated { file: name, text, findings }
        }
        Err(error) => {
            let offset = error.utf8_error().valid_up_to();
            // The bytes before the place are the same in the repaired text.
            let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
            let findings = vec![PolicyFinding::error(offset, 0, "not UTF-8")];
            Validated { file: name, text, findings }
        }
    }
}

fn findings(name: &str, text: &str, policy_type: PolicyType) -> Vec<PolicyFinding> {
    let node = match json::parse(text) {
        Ok(node) => node,
        Err(finding) => return vec![finding],
    };
    let mut checked = document::check(&node, policy_type);
    let Some(document) = checked.document else { return checked.findings };
    checked.findings.extend(lint::document(&document, Home::default()));
    let source = Source { file: name.into() };
    if let Err(more) = policy::compile(&document, name, source, &Lines::new(text)) {
        checked.findings.extend(more);
    }
    checked.findings.sort_by_key(|finding| (finding.offset, finding.severity));
    checked.findings
}

impl Validated {
    fn outcome(&self) -> Outcome {
        if self.findings.iter().any(PolicyFinding::is_error) {
            Outcome::Invalid
        } else {
            Outcome::Valid
        }
    }

    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let lines = Lines::new(&self.text);
        let file = &self.file;
        for finding in &self.findings {
            let style = match finding.severity {
                Severity::Error => ERROR,
                Severity::Warning => WARNING,
            };
            let (line, column) = lines.place(finding.offset);
            let (severity, message) = (finding.severity.as_str(), printable(&finding.message));
            writeln!(out, "{file}:{line}:{column}: {style}{severity}{style:#}: {message}")?;
            excerpt(&lines, line, finding).write(out, style, finding.hint.as_deref())?;
        }
        let count = |severity| {
            let same = self.findings.iter().filter(|it| it.severity == severity);
            same.map(|it| it.omitted.max(1)).sum::<usize>()
        };
        let warnings = counted(count(Severity::Warning), "warning");
        let errors = counted(count(Severity::Error), "error");
        match (self.findings.is_empty(), self.outcome()) {
            (true, _) => writeln!(out, "{GOOD}ok{GOOD:#}: {file}"),
            (false, Outcome::Valid) => writeln!(out, "{GOOD}ok{GOOD:#}: {file}, {warnings}"),
            (false, Outcome::Invalid | Outcome::Unreadable) => {
                writeln!(out, "{ERROR}refused{ERROR:#}: {file}, {errors}, {warnings}")
            }
        }
    }

    fn add_to(self, report: &mut Vec<FindingJson>) {
        let lines = Lines::new(&self.text);
        report.extend(self.findings.into_iter().map(|finding| {
            let (line, column) = lines.place(finding.offset);
            FindingJson {
                file: self.file.clone(),
                line,
                column,
                severity: finding.severity.as_str(),
                message: finding.message,
                hint: finding.hint,
            }
        }));
    }
}

/// The line of a finding, or of a very long line the part around its place.
fn excerpt(lines: &Lines<'_>, line: usize, finding: &PolicyFinding) -> Excerpt {
    let offset = finding.offset.min(lines.text().len());
    let (_, after) = lines.split_line(offset);
    let shown = Shown::of(lines.text(), offset);
    let end = offset.saturating_add(finding.len);
    let meant = after.char_indices().take_while(|(index, _)| offset.saturating_add(*index) < end);
    Excerpt { number: line, before: shown.before, width: meant.count(), text: shown.text }
}

fn complain(message: &str) {
    // Nothing is left to tell it to if this fails too.
    let _ = writeln!(anstream::stderr(), "{ERROR}error{ERROR:#}: {message}");
}

#[derive(Serialize)]
struct Report {
    valid: bool,
    findings: Vec<FindingJson>,
}

#[derive(Serialize)]
struct FindingJson {
    file: String,
    line: usize,
    column: usize,
    severity: &'static str,
    message: String,
    hint: Option<String>,
}

impl FindingJson {
    /// A file without a text has its only place at its start.
    fn unreadable(file: &Path, error: &io::Error) -> Self {
        Self {
            file: name(file),
            line: 1,
            column: 1,
            severity: Severity::Error.as_str(),
            message: format!("can't read the file: {error}"),
            hint: None,
        }
    }
}
