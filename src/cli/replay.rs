//! `crossgate replay`: recorded requests decided again under what is proposed.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anstream::ColorChoice;
use clap::{ArgGroup, Args, ValueEnum};

use crate::cli::evidence::{
    CONFIG_FILE, EvidenceError, PlaceArgs, each_event, fail, read_settings, window,
};
use crate::config;
use crate::event::replay::{Proposal, Replay, ReplayReport, Scope, Told};
use crate::event::report::Colour;
use crate::policy::directory::{self, PoliciesConfig};
use crate::policy::set::{PolicySets, UnknownCallers};
use crate::verdict::Mode;

/// Recorded requests decided again: what would change. Exit 1 if something would newly be denied.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("proposal").required(true).multiple(true)))]
pub struct ReplayArgs {
    /// The event log's directory [default: the configuration's].
    #[arg(long, value_name = "DIR", visible_alias = "dir")]
    events: Option<PathBuf>,
    /// The proposed settings; without, each request is let in as it was.
    #[arg(long, value_name = "FILE", group = "proposal")]
    settings: Option<PathBuf>,
    /// The proposed policy directory; without, policies say what they said.
    #[arg(long, value_name = "DIR", group = "proposal")]
    policies: Option<PathBuf>,
    /// The configuration, for the log's directory and for the policies' `mode` and
    /// `unknown_callers` [default: ./crossgate.yaml without `--events`; `limited` and `deny`].
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// No older requests: RFC 3339, or a duration back from now such as `30d`.
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// No younger requests: RFC 3339, or a duration back from now.
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// For people or for programs.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// How the difference is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// One JSON object.
    Json,
    /// One screen of text.
    Text,
}

/// Runs `crossgate replay`.
pub fn run(args: &ReplayArgs) -> ExitCode {
    match replay(args) {
        Ok(report) if report.newly_denied.requests() == 0 => ExitCode::SUCCESS,
        Ok(_) => ExitCode::from(1),
        Err(error) => fail(&error),
    }
}

fn replay(args: &ReplayArgs) -> Result<ReplayReport, EvidenceError> {
    let window = window(args.since.as_deref(), args.until.as_deref())?;
    let settings = args.settings.as_deref().map(read_settings).transpose()?.map(Arc::new);
    let policies = policies(args)?.map(Arc::new);
    let place = PlaceArgs { config: args.config.clone(), dir: args.events.clone() };
    let log = place.view()?;
    let mut replay = Replay::new(Proposal { settings, policies }, Scope::All, window);
    let take = |at, told| replay.take(at, told);
    each_event(log.path(), &window, &Replay::FIELDS, Told::of, take)?;
    let report = replay.finish();
    if report.requests == 0 {
        return Err(EvidenceError::NothingRecorded { directory: log.path().to_owned() });
    }
    print(&report, args.format)?;
    Ok(report)
}

/// The proposed policies, in the mode that the configuration has.
fn policies(args: &ReplayArgs) -> Result<Option<PolicySets>, EvidenceError> {
    let Some(directory) = args.policies.clone() else { return Ok(None) };
    let file = match (&args.config, &args.events) {
        (Some(file), _) => Some(file.clone()),
        (None, None) => Some(CONFIG_FILE.into()),
        (None, Some(_)) => None,
    };
    let configured = file.map(|file| config::load(&file)).transpose()?;
    let configured = configured.and_then(|config| config.policies);
    let (mode, unknown_callers) = configured
        .map_or((Mode::Limited, UnknownCallers::Deny), |it| (it.mode, it.unknown_callers));
    let (sets, _doubtful) = directory::load(&PoliciesConfig { directory, mode, unknown_callers })?;
    Ok(Some(PolicySets { candidate: None, ..sets }))
}

fn print(report: &ReplayReport, format: Format) -> Result<(), EvidenceError> {
    let mut out = anstream::stdout().lock();
    match format {
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
