//! `crossgate settings`: changes of settings that ask the record first.

use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;

use crate::cli::evidence::{CONFIG_FILE, EvidenceError, each_event, fail, window};
use crate::clock::SystemClock;
use crate::config;
use crate::event::log::{EventLog, LogView, ReadError, new_instance};
use crate::event::replay::{Proposal, Replay, ReplayReport, Scope, Told};
use crate::event::report::{counted, printable};
use crate::event::setting_text::setting_text;
use crate::event::{EventIds, EventsConfig, SettingChange, UpdateEvent, UpdateInitiator};
use crate::iam::{AccountId, IdentityKind, IdentityType};
use crate::perimeter::AccountSetting;
use crate::settings::{Promotion, Written};

/// Changes accounts' settings.
#[derive(Debug, Args)]
pub struct SettingsArgs {
    #[command(subcommand)]
    command: SettingsCommand,
}

/// What to change.
#[derive(Debug, Subcommand)]
enum SettingsCommand {
    /// The candidate becomes the enforced setting. Exit 1, and nothing changes, while recorded
    /// requests would be denied by it.
    Promote(PromoteArgs),
}

/// `crossgate settings promote`.
#[derive(Debug, Args)]
struct PromoteArgs {
    /// The owner account.
    #[arg(long, value_name = "ID")]
    account: AccountId,
    /// Promote in any case.
    #[arg(long)]
    force: bool,
    /// The configuration that names the settings file and the log's directory.
    #[arg(long, value_name = "FILE", default_value = CONFIG_FILE)]
    config: PathBuf,
    /// The log's directory, if it is another one.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Requests from before do not count: RFC 3339, or a duration back from now such as `30d`
    /// [default: all that the log has].
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// For people or for programs.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// How the outcome is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// One JSON object.
    Json,
    /// For people.
    Text,
}

/// What the record says to a promotion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// Recorded requests would be denied.
    Denies,
    /// No request was recorded of which the candidate was asked.
    NeverObserved,
    /// Nobody would be denied who is let in.
    Sound,
}

/// Runs `crossgate settings`.
pub fn run(args: SettingsArgs) -> ExitCode {
    let SettingsCommand::Promote(args) = args.command;
    match promote(&args) {
        Ok(Outcome::Promoted) => ExitCode::SUCCESS,
        Ok(Outcome::Refused) => ExitCode::from(1),
        Err(error) => fail(&error),
    }
}

/// Whether the settings changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Promoted,
    Refused,
}

fn promote(args: &PromoteArgs) -> Result<Outcome, EvidenceError> {
    let config = config::load(&args.config)?;
    let mut events = config.events;
    if let Some(directory) = &args.dir {
        events.directory.clone_from(directory);
    }
    let file = config.settings_file;
    let file = file.ok_or_else(|| EvidenceError::NoSettings { config: args.config.clone() })?;
    let promotion = Promotion::read(&file, args.account)?;
    let report = match replay(args, &promotion, &events) {
        // Whoever insists needs no record.
        Err(_) if args.force => ReplayReport::default(),
        report => report?,
    };
    let verdict = verdict(&promotion, &report);
    let outcome = match (verdict, args.force) {
        (Verdict::NeverObserved | Verdict::Sound, _) | (_, true) => Outcome::Promoted,
        (Verdict::Denies, false) => Outcome::Refused,
    };
    if verdict == Verdict::NeverObserved {
        writeln!(io::stderr(), "warning: {}", reason(verdict, &report))?;
    }
    if outcome == Outcome::Promoted {
        match promotion.write()? {
            Written::InPlace => {}
            Written::Anew => writeln!(
                io::stderr(),
                "warning: `{}` was written anew without its comments: its form gave no place to edit",
                file.display()
            )?,
        }
    }
    print(args, &promotion, &report, verdict, outcome)?;
    if outcome == Outcome::Promoted {
        record(args.account, &promotion, &events)?;
    }
    Ok(outcome)
}

/// The requests of which a candidate was asked, decided by the present one: what an earlier
/// candidate said of them does not count.
fn replay(
    args: &PromoteArgs,
    promotion: &Promotion,
    events: &EventsConfig,
) -> Result<ReplayReport, EvidenceError> {
    let window = window(args.since.as_deref(), None)?;
    let proposal = Proposal { settings: Some(Arc::new(promotion.index())), policies: None };
    let mut replay = Replay::new(proposal, Scope::CandidateOf(args.account), window);
    let log = LogView::open(&events.directory).map_err(EvidenceError::Output)?;
    let take = |at, told| replay.take(at, told);
    match each_event(log.path(), &window, &Replay::FIELDS, Told::of, take) {
        // Where nothing ever ran, nothing is recorded.
        Err(EvidenceError::Read(ReadError { source, .. }))
            if source.kind() == io::ErrorKind::NotFound => {}
        read => read?,
    }
    Ok(replay.finish())
}

fn verdict(promotion: &Promotion, report: &ReplayReport) -> Verdict {
    if !promotion.can_deny() {
        return Verdict::Sound;
    }
    match (report.requests, report.newly_denied.requests()) {
        (0, _) => Verdict::NeverObserved,
        (_, 0) => Verdict::Sound,
        (_, _) => Verdict::Denies,
    }
}

fn print(
    args: &PromoteArgs,
    promotion: &Promotion,
    report: &ReplayReport,
    verdict: Verdict,
    outcome: Outcome,
) -> Result<(), EvidenceError> {
    let mut out = io::stdout().lock();
    match args.format {
        Format::Json => {
            let changes = promotion.changes();
            let changes = changes.iter().map(|change| {
                json!({
                    "identityType": change.identity_type.as_str(),
                    "before": setting_text(&change.before),
                    "after": setting_text(&change.after),
                })
            });
            let json = json!({
                "account": args.account.as_str(),
                "promoted": outcome == Outcome::Promoted,
                "forced": args.force,
                "reason": reason(verdict, report),
                "requests": report.requests,
                "newlyDenied": report.newly_denied.to_json(),
                "stillDenied": report.still_denied,
                "changes": changes.collect::<Vec<_>>(),
            });
            writeln!(out, "{json:#}")?;
        }
        Format::Text => print_text(&mut out, args, promotion, report, verdict, outcome)?,
    }
    Ok(out.flush()?)
}

fn print_text(
    out: &mut impl Write,
    args: &PromoteArgs,
    promotion: &Promotion,
    report: &ReplayReport,
    verdict: Verdict,
    outcome: Outcome,
) -> io::Result<()> {
    let account = printable(args.account.as_str());
    let reason = reason(verdict, report);
    let done = match outcome {
        Outcome::Promoted => "the candidate is in force",
        Outcome::Refused => "not promoted",
    };
    writeln!(out, "account {account}: {done}; {reason}")?;
    write!(out, "{}", report.newly_denied.to_text("would be denied"))?;
    match outcome {
        Outcome::Promoted => {
            for change in promotion.changes() {
                let kind = change.identity_type.as_str();
                let (before, after) = (setting_text(&change.before), setting_text(&change.after));
                writeln!(out, "  {kind:<10}  {before} -> {after}")?;
            }
        }
        Outcome::Refused => {
            writeln!(
                out,
                "\nhint: admit them in the candidate, leave out what is old with `--since`, or \
                 `--force`"
            )?;
        }
    }
    Ok(())
}

fn reason(verdict: Verdict, report: &ReplayReport) -> String {
    match verdict {
        Verdict::Denies => {
            let requests = counted(report.newly_denied.requests(), "request", "requests");
            format!("{requests} would be denied that were let in")
        }
        Verdict::NeverObserved => "no request is recorded of which it was asked".to_owned(),
        Verdict::Sound if report.requests == 0 => "it denies nothing".to_owned(),
        Verdict::Sound => {
            let requests = counted(report.requests, "recorded request", "recorded requests");
            format!("of {requests} none would be denied that was let in")
        }
    }
}

/// Writes the update event, as a change by the settings API does: a run of its own in the log.
fn record(
    owner: AccountId,
    promotion: &Promotion,
    events: &EventsConfig,
) -> Result<(), EvidenceError> {
    let texts = changed_texts(promotion.before(), &promotion.after());
    let changes: Vec<_> = texts
        .iter()
        .map(|(update_type, initial_value, new_value)| SettingChange {
            update_type,
            initial_value,
            new_value,
        })
        .collect();
    let time = SystemClock.now();
    let (log, _no_workers) = EventLog::open(events, &new_instance(), 0)?;
    log.append_update(&UpdateEvent {
        id: EventIds::new().next(time),
        time,
        correlation_id: "",
        owner: Some(owner),
        initiator: UpdateInitiator {
            id: INITIATOR,
            name: "",
            identity_type: IdentityType::User,
            kind: IdentityKind::Login,
            source_ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
            agent: concat!("crossgate/", env!("CARGO_PKG_VERSION")),
        },
        changes: &changes,
        // A proxy counts its revisions; this is none.
        revision: 0,
    });
    Ok(log.close()?)
}

/// What changed of each type, in force and proposed.
fn changed_texts(before: &AccountSetting, after: &AccountSetting) -> Vec<(String, String, String)> {
    let mut texts = Vec::new();
    for kind in IdentityType::ALL {
        let (initial, new) = (before.enforced(kind), after.enforced(kind));
        if initial != new {
            let update_type = format!("{}.setting", kind.as_str());
            texts.push((update_type, setting_text(initial), setting_text(new)));
        }
        if let Some(candidate) = before.candidate(kind) {
            let update_type = format!("{}.candidate", kind.as_str());
            texts.push((update_type, setting_text(candidate), String::new()));
        }
    }
    texts
}

/// Who changed the setting, as events name it.
const INITIATOR: &str = "crossgate settings promote";
