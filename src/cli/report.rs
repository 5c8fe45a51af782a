//! `crossgate report`: reports on what the event log holds.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anstream::ColorChoice;
use clap::{Args, Subcommand, ValueEnum};

use crate::cli::evidence::{EvidenceError, PlaceArgs, each_event, fail, read_settings, window};
use crate::event::report::{
    Colour, KnownSetting, Readiness, ReadinessReport, ReadinessTally, Reduced,
};
use crate::iam::AccountId;
use crate::perimeter::AccountSetting;

/// Reports on what the event log holds.
#[derive(Debug, Args)]
pub struct ReportArgs {
    #[command(subcommand)]
    command: ReportCommand,
}

/// What to report on.
#[derive(Debug, Subcommand)]
enum ReportCommand {
    /// Is an account ready for `limited`, and what breaks if not? Exit 1 if it isn't.
    Readiness(ReadinessArgs),
}

/// `crossgate report readiness`.
#[derive(Debug, Args)]
struct ReadinessArgs {
    /// The owner account.
    #[arg(long, value_name = "ID")]
    account: AccountId,
    /// How far back: RFC 3339, or a duration back from now.
    #[arg(long, value_name = "TIME", default_value = "30d")]
    since: String,
    /// Up to when: RFC 3339, or a duration back from now [default: now].
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// For people, for a browser, or for programs.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// The settings, to know which allowlist entries admitted nobody [default: the configuration's].
    #[arg(long, value_name = "FILE")]
    settings: Option<PathBuf>,
    #[command(flatten)]
    place: PlaceArgs,
}

/// How a report is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// One page with plots that needs nothing else.
    Html,
    /// One JSON object.
    Json,
    /// One screen of text.
    Text,
}

/// Runs `crossgate report`.
pub fn run(args: ReportArgs) -> ExitCode {
    let ReportCommand::Readiness(args) = args.command;
    match readiness(&args) {
        Ok(Readiness::Ready) => ExitCode::SUCCESS,
        Ok(Readiness::NeverObserved | Readiness::WouldDeny { .. }) => ExitCode::from(1),
        Err(error) => fail(&error),
    }
}

fn readiness(args: &ReadinessArgs) -> Result<Readiness, EvidenceError> {
    let window = window(Some(&args.since), args.until.as_deref())?;
    let setting = setting(args)?;
    let mut tally = ReadinessTally::new(args.account.as_str(), window);
    let log = args.place.view()?;
    each_event(
        log.path(),
        &window,
        &ReadinessTally::FIELDS,
        |_, event| Reduced::of(event, args.account.as_str()),
        |at, reduced| tally.take(at, &reduced),
    )?;
    let report = tally.finish(match (&setting, &args.until) {
        (None, _) => KnownSetting::Unknown,
        (Some(setting), None) => KnownSetting::AtEnd(setting),
        (Some(setting), Some(_)) => KnownSetting::Later(setting),
    });
    print(&report, args.format)?;
    Ok(report.readiness)
}

/// The account's setting, where a file of settings is known. What the report says without is less,
/// so that a file that is named and wrong is an error.
fn setting(args: &ReadinessArgs) -> Result<Option<AccountSetting>, EvidenceError> {
    let file = match &args.settings {
        Some(file) => Some(file.clone()),
        None => args.place.settings_file()?,
    };
    let index = file.map(|file| read_settings(&file)).transpose()?;
    Ok(index.map(|index| index.setting(args.account).clone()))
}

fn print(report: &ReadinessReport, format: Format) -> Result<(), EvidenceError> {
    let mut out = anstream::stdout().lock();
    match format {
        Format::Html => write!(out, "{}", report.to_html())?,
        Format::Json => writeln!(out, "{:#}", report.to_json())?,
        Format::Text => {
            let colour = match out.current_choice() {
                ColorChoice::Never => Colour::Plain,
                ColorChoice::Always | ColorChoice::AlwaysAnsi | ColorChoice::Auto => Colour::Ansi,
            };
            write!(out, "{}", report.to_text(colour))?;
        }
    }
    Ok(out.flush()?)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(subcommand)]
        _command: ReportCommand,
    }

    #[test]
    fn an_account_that_is_none_is_wrong_usage() {
        let parse =
            |account| Cli::try_parse_from(["report", "readiness", "--account", account]).is_ok();
        assert!(parse("59bcbfa6ea2f006b4ed7094c1a08dcdd"));
        for none in ["", "a b", "a/b", "*"] {
            assert!(!parse(none), "{none}");
        }
    }
}
