//! The commands: arguments in, data on standard output, logs on standard error, an exit code.
//!
//! 0 done and well, 1 the answer is no, 2 wrong usage or could not run.

pub mod access;
pub mod assume;
pub mod check;
pub mod demo;
pub mod events;
mod events_status;
mod evidence;
mod excerpt;
pub mod explain;
pub mod external_id;
pub mod health;
pub mod policy;
mod post;
pub mod replay;
pub mod report;
pub mod roles;
pub mod run;
pub mod sessions;
pub mod settings;
pub mod simulate;
pub mod token;

use std::io;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Parser, Subcommand};

use crate::config;
use crate::policy::directory;
use crate::policy::set::PolicySet;
use crate::sts::revocations;

/// An account perimeter for any HTTP API: decides by account, forwards or rejects, records.
#[derive(Debug, Parser)]
#[command(name = "crossgate", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Tells who can reach a resource, and which grants leave their account
    Access(access::AccessArgs),
    /// Begins a session of a role and prints its token
    Assume(assume::AssumeArgs),
    /// Validates the configuration and settings, and looks for what is doubtful
    Check(check::CheckArgs),
    /// Shows the whole product on loopback, with nothing to set up
    Demo(demo::DemoArgs),
    /// Searches the event log and follows it
    Events(events::EventsArgs),
    /// Decides one request and tells each step
    Explain(explain::ExplainArgs),
    /// Makes external IDs
    ExternalId(external_id::ExternalIdArgs),
    /// Asks a running proxy whether it is ready, for health checks of containers
    Health(health::HealthArgs),
    /// Looks into policy documents
    Policy(PolicyArgs),
    /// Decides recorded requests again under proposed settings and policies
    Replay(replay::ReplayArgs),
    /// Reports on what the event log holds
    Report(report::ReportArgs),
    /// Tells who can assume a role, and why
    Roles(roles::RolesArgs),
    /// Runs the proxy
    Run(run::RunArgs),
    /// Ends sessions of roles and trusted profiles
    Sessions(sessions::SessionsArgs),
    /// Changes accounts' settings
    Settings(settings::SettingsArgs),
    /// Decides scenarios, each a question with its policies
    Simulate(simulate::SimulateArgs),
    /// Looks into tokens
    Token(TokenArgs),
}

#[derive(Debug, clap::Args)]
struct PolicyArgs {
    #[command(subcommand)]
    command: PolicyCommand,
}

#[derive(Debug, Subcommand)]
enum PolicyCommand {
    /// Are these documents valid, and if not, where?
    Validate(policy::ValidateArgs),
}

#[derive(Debug, clap::Args)]
struct TokenArgs {
    #[command(subcommand)]
    command: TokenCommand,
}

#[derive(Debug, Subcommand)]
enum TokenCommand {
    /// Is this token good, and who is it?
    Verify(token::VerifyArgs),
}

/// Parses the process's arguments and runs the command.
pub fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Access(args) => access::run(&args, policies_of),
        Command::Assume(args) => assume::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Demo(args) => demo::run(&args),
        Command::Events(args) => events::run(args),
        Command::Explain(args) => explain::run(&args),
        Command::ExternalId(args) => external_id::run(&args),
        Command::Health(args) => health::run(&args),
        Command::Policy(PolicyArgs { command: PolicyCommand::Validate(args) }) => {
            policy::validate(&args)
        }
        Command::Replay(args) => replay::run(&args),
        Command::Report(args) => report::run(args),
        Command::Roles(args) => roles::run(&args, policies_of),
        Command::Run(args) => run::run(&args),
        Command::Sessions(args) => sessions::run(&args),
        Command::Settings(args) => settings::run(args),
        Command::Simulate(args) => simulate::run(&args),
        Command::Token(TokenArgs { command: TokenCommand::Verify(args) }) => verify(&args),
    }
}

fn verify(args: &token::VerifyArgs) -> ExitCode {
    let mut streams = token::Streams {
        input: &mut io::stdin().lock(),
        output: &mut io::stdout().lock(),
        errors: &mut io::stderr().lock(),
    };
    token::verify(args, trusted_of, &mut streams)
}

fn trusted_of(file: &Path) -> Result<token::Trusted, String> {
    let config = config::load(file).map_err(|error| error.to_string())?;
    let kept = config.revocations_file();
    let revocations = kept.as_deref().map(revocations::read).transpose();
    let revocations = revocations.map_err(|error| error.to_string())?.unwrap_or_default();
    Ok(token::Trusted { issuers: config.issuers, revocations })
}

/// The policies in force of a configuration.
fn policies_of(file: &Path) -> Result<Arc<PolicySet>, String> {
    let config = config::load(file).map_err(|error| error.to_string())?;
    let Some(policies) = config.policies else {
        return Err("the configuration has no `policies`; hint: name their `directory`".to_owned());
    };
    let (sets, _) = directory::load(&policies).map_err(|error| error.to_string())?;
    Ok(sets.enforced)
}
