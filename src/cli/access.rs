//! `crossgate access`: who can reach a resource, and what leaves its account.
//!
//! Flows in: the command's arguments and the policies in force. Flows out: a report on standard
//! output, an exit code. Changes nothing.

mod external;
mod reach;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use serde::Serialize;

pub(super) use crate::cli::access::reach::named;
use crate::cli::check::{ERROR, Format};
use crate::iam::{AccountId, Arn};
use crate::policy::StatementRef;
use crate::policy::access::{self, ConditionName};
use crate::policy::set::PolicySet;

/// Arguments of `crossgate access`.
#[derive(Args, Clone, Debug)]
pub struct AccessArgs {
    /// The configuration file
    #[arg(long, value_name = "FILE", default_value = "crossgate.yaml")]
    pub config: PathBuf,
    /// Who can reach this resource? Exit 1 if no policy names it
    #[arg(
        long,
        value_name = "ARN",
        required_unless_present = "external",
        conflicts_with = "external"
    )]
    pub resource: Option<String>,
    /// The account that owns the resource [default: the one in its ARN, else the one that lists it]
    #[arg(long, value_name = "ACCOUNT", conflicts_with = "external")]
    pub owner: Option<AccountId>,
    /// Which grants leave their account?
    #[arg(long)]
    pub external: bool,
    /// For people or for programs
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

/// How a report ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The report is whole.
    Told,
    /// No policy names the resource.
    Unknown,
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AccessError {
    /// The resource is no ARN.
    #[error("`{0}` is no ARN; hint: `arn:partition:service:region:account:resource`")]
    Arn(String),
    /// The report can't be written.
    #[error("can't write the report: {0}")]
    Output(#[from] io::Error),
    /// The ARN tells no owner.
    #[error("`{0}` does not tell its owner; hint: name it by `--owner`")]
    Owner(String),
    /// The policies can't be read.
    #[error("{0}")]
    Policies(String),
}

/// Reports on standard output, with policies that `load` reads, and maps the end to an exit code:
/// 0 done, 1 no policy names the resource, 2 could not run.
pub fn run(args: &AccessArgs, load: impl Fn(&Path) -> Result<Arc<PolicySet>, String>) -> ExitCode {
    let written =
        load(&args.config).map_err(AccessError::Policies).and_then(|set| match args.format {
            Format::Json => write(args, &set, &mut io::stdout().lock()),
            Format::Text => write(args, &set, &mut anstream::stdout().lock()),
        });
    match written {
        Ok(Outcome::Told) => ExitCode::SUCCESS,
        Ok(Outcome::Unknown) => ExitCode::from(1),
        Err(error) => {
            // Nothing is left to tell it to if this fails too.
            let _ = writeln!(anstream::stderr(), "{ERROR}error{ERROR:#}: {error}");
            ExitCode::from(2)
        }
    }
}

/// Writes the report that is asked for.
///
/// # Errors
/// The resource is no ARN or tells no owner, or the report can't be written.
pub fn write(
    args: &AccessArgs,
    set: &PolicySet,
    out: &mut dyn Write,
) -> Result<Outcome, AccessError> {
    let outcome = match &args.resource {
        None => {
            external::write(args.format, &access::external(set), out)?;
            Outcome::Told
        }
        Some(text) => {
            let arn = Arn::parse(text).ok_or_else(|| AccessError::Arn(text.clone()))?;
            let owner = owner(args, set, arn)?;
            reach::write(args.format, set, arn, owner, out)?
        }
    };
    out.flush()?;
    Ok(outcome)
}

fn owner(args: &AccessArgs, set: &PolicySet, arn: Arn<'_>) -> Result<AccountId, AccessError> {
    let of_arn = || AccountId::parse(arn.account()).ok();
    let listed = || match access::owners(set, arn).as_slice() {
        [owner] => Some(*owner),
        _ => None,
    };
    args.owner
        .or_else(of_arn)
        .or_else(listed)
        .ok_or_else(|| AccessError::Owner(arn.as_str().to_owned()))
}

/// A statement for programs.
#[derive(Serialize)]
struct StatementJson<'a> {
    layer: &'static str,
    policy: &'a str,
    sid: &'a str,
    index: u32,
    effect: &'static str,
    file: &'a str,
    line: u32,
    column: u32,
    conditions: Vec<ConditionJson>,
}

/// A condition without its values.
#[derive(Serialize)]
struct ConditionJson {
    operator: String,
    key: Box<str>,
}

impl<'a> From<&StatementRef<'a>> for StatementJson<'a> {
    fn from(it: &StatementRef<'a>) -> Self {
        let StatementRef { policy, statement, layer } = it;
        Self {
            layer: layer.as_str(),
            policy: &policy.name,
            sid: &statement.sid,
            index: statement.index,
            effect: statement.effect.as_str(),
            file: &policy.source.file,
            line: statement.line,
            column: statement.column,
            conditions: conditions(statement_conditions(it)),
        }
    }
}

fn conditions(names: Vec<ConditionName>) -> Vec<ConditionJson> {
    names
        .into_iter()
        .map(|ConditionName { operator, key }| ConditionJson { operator, key })
        .collect()
}

fn statement_conditions(it: &StatementRef<'_>) -> Vec<ConditionName> {
    access::conditions(it.statement)
}

/// A statement for people: policy and place.
pub(super) fn place(it: &StatementRef<'_>) -> String {
    format!("{} policy `{}`, {}", it.layer.as_str(), it.policy.name, statement_place(it))
}

/// A statement within its policy, and where that is.
pub(super) fn statement_place(it: &StatementRef<'_>) -> String {
    let StatementRef { policy, statement, .. } = it;
    let name = match &*statement.sid {
        "" => format!("statement {}", statement.index.saturating_add(1)),
        sid => format!("`{sid}`"),
    };
    let (file, line, column) = (&policy.source.file, statement.line, statement.column);
    format!("{name}, {file}:{line}:{column}")
}

/// The same with its conditions.
fn described(it: &StatementRef<'_>) -> String {
    let place = place(it);
    let names = statement_conditions(it);
    if names.is_empty() {
        return place;
    }
    let names: Vec<String> = names.iter().map(|it| format!("{} {}", it.operator, it.key)).collect();
    format!("{place}, if {}", names.join(" and "))
}
