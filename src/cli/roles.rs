//! `crossgate roles`: who can assume a role, and why.
//!
//! Flows in: the policies in force. Flows out: a report on standard output, an exit code. Changes
//! nothing, and shows no external ID.

mod profile;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Subcommand};
use serde::Serialize;

use crate::cli::access::{named, place, statement_place};
use crate::cli::check::{ERROR, Format, counted};
use crate::config::units::format_duration;
use crate::event::report::printable;
use crate::iam::{AccountId, Arn};
use crate::policy::access::{self, Certainty, Lack, Through, TrustGroup, TrustVerdict, Who};
use crate::policy::set::{PolicySet, PrincipalEntry, UnknownCallers};
use crate::policy::{PolicyLayer, StatementRef};

/// Tells of roles
#[derive(Debug, Args)]
pub struct RolesArgs {
    #[command(subcommand)]
    command: RolesCommand,
}

/// What to tell of roles.
#[derive(Debug, Subcommand)]
enum RolesCommand {
    /// Who can assume this role, and why? Exit 1 if nobody can, 2 if there is no such role
    Trust(TrustArgs),
}

/// Arguments of `crossgate roles trust`.
#[derive(Args, Clone, Debug)]
pub struct TrustArgs {
    /// The configuration file
    #[arg(long, value_name = "FILE", default_value = "crossgate.yaml")]
    pub config: PathBuf,
    /// The role; or a trusted profile, by its id
    #[arg(long, value_name = "ARN")]
    pub role: String,
    /// For people or for programs
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

/// What the report comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nobody can assume the role.
    Nobody,
    /// Somebody can.
    Somebody,
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RolesError {
    /// The role is no ARN.
    #[error("`{0}` is no role's ARN; hint: `arn:aws:iam::<account>:role/<name>`, or `Profile-…`")]
    Arn(String),
    /// The report can't be written.
    #[error("can't write the report: {0}")]
    Output(#[from] io::Error),
    /// The policies can't be read.
    #[error("{0}")]
    Policies(String),
    /// The policies have no such role.
    #[error("the policies have no role `{role}`{hint}")]
    Unknown {
        /// As asked.
        role: String,
        /// What was probably meant, if anything.
        hint: String,
    },
}

/// Reports on standard output, with policies that `load` reads: 0 somebody can assume the role, 1
/// nobody can, 2 could not tell.
pub fn run(args: &RolesArgs, load: impl Fn(&Path) -> Result<Arc<PolicySet>, String>) -> ExitCode {
    let RolesCommand::Trust(args) = &args.command;
    let written =
        load(&args.config).map_err(RolesError::Policies).and_then(|set| match args.format {
            Format::Json => write(args, &set, &mut io::stdout().lock()),
            Format::Text => write(args, &set, &mut anstream::stdout().lock()),
        });
    match written {
        Ok(Outcome::Somebody) => ExitCode::SUCCESS,
        Ok(Outcome::Nobody) => ExitCode::from(1),
        Err(error) => {
            // Nothing is left to tell it to if this fails too.
            let _ = writeln!(anstream::stderr(), "{ERROR}error{ERROR:#}: {error}");
            ExitCode::from(2)
        }
    }
}

/// Writes the report.
///
/// # Errors
/// There is no such role, or the report can't be written.
pub fn write(
    args: &TrustArgs,
    set: &PolicySet,
    out: &mut dyn Write,
) -> Result<Outcome, RolesError> {
    let (owner, role) = find(set, &args.role)?;
    let outcome = match &role.profile {
        Some(trusted) => profile::write(args.format, owner, role, trusted, out)?,
        None => write_role(args.format, set, owner, role, out)?,
    };
    out.flush()?;
    Ok(outcome)
}

fn find<'s>(set: &'s PolicySet, text: &str) -> Result<(AccountId, &'s PrincipalEntry), RolesError> {
    let unknown = |hint| RolesError::Unknown { role: printable(text).into_owned(), hint };
    let id = text.strip_prefix("iam-").unwrap_or(text);
    if id.starts_with("Profile-") {
        return set.profile(id).ok_or_else(|| unknown(String::new()));
    }
    let arn = Arn::parse(text).filter(|arn| arn.is_role());
    let account = arn.and_then(|arn| AccountId::parse(arn.account()).ok());
    let Some((arn, account)) = arn.zip(account) else {
        return Err(RolesError::Arn(printable(text).into_owned()));
    };
    match set.role(arn) {
        // A role of another path is another role to those who assume it.
        Some(role) if *role.arn == *text => Ok((account, role)),
        Some(role) => Err(unknown(format!("; did you mean `{}`?", role.arn))),
        None if set.accounts.contains_key(&account) => Err(unknown(String::new())),
        None => Err(unknown(format!("; the policies of account `{account}` are not here"))),
    }
}

fn write_role(
    format: Format,
    set: &PolicySet,
    owner: AccountId,
    role: &PrincipalEntry,
    out: &mut dyn Write,
) -> io::Result<Outcome> {
    let groups = access::trust(set, role, owner);
    let can = groups.iter().filter(|group| group.verdict.can());
    let able: usize = can.map(|group| group.who.len()).sum();
    match format {
        Format::Json => {
            let everybody = everybody(owner, set.unknown_callers);
            let report = Report {
                role: &role.arn,
                owner: owner.as_str(),
                session_seconds_max: role.session_seconds_max,
                unknown_callers: set.unknown_callers.as_str(),
                trust: groups.iter().map(|group| GroupJson::of(group, role, &everybody)).collect(),
            };
            serde_json::to_writer(&mut *out, &report)?;
            writeln!(out)?;
        }
        Format::Text => {
            head(role, owner, out)?;
            let everybody = everybody(owner, set.unknown_callers);
            groups.iter().try_for_each(|group| write_group(group, role, &everybody, out))?;
            let named: usize = groups.iter().map(|group| group.who.len()).sum();
            writeln!(out, "\n{} can, {} can't", able, named.saturating_sub(able))?;
        }
    }
    Ok(if able == 0 { Outcome::Nobody } else { Outcome::Somebody })
}

fn head(role: &PrincipalEntry, owner: AccountId, out: &mut dyn Write) -> io::Result<()> {
    let longest = role.session_seconds_max.map(|seconds| {
        let duration = std::time::Duration::from_secs(u64::from(seconds));
        format!(", sessions of at most {}", format_duration(duration))
    });
    writeln!(out, "{} of account {owner}{}", role.arn, longest.unwrap_or_default())
}

fn write_group(
    group: &TrustGroup<'_>,
    role: &PrincipalEntry,
    everybody: &str,
    out: &mut dyn Write,
) -> io::Result<()> {
    let from = match &group.through {
        Through::SameAccount | Through::NoAccount => String::new(),
        Through::CrossAccount(account) => format!(", from account {account}"),
        Through::UnknownAccount(account) => {
            format!(", from account {account}, whose policies are not here")
        }
    };
    writeln!(out)?;
    for who in group.who.iter().take(SHOWN_MAX) {
        match (who, &group.through) {
            (Who::Account(_), Through::UnknownAccount(_)) => {
                writeln!(out, "{}, whose policies are not here", named(who))?;
            }
            (Who::Everyone, _) if group.action == ASSUME_ROLE => writeln!(out, "{everybody}")?,
            _ => writeln!(out, "{}{from}", named(who))?,
        }
    }
    if let Some(more) = group.who.len().checked_sub(SHOWN_MAX).filter(|more| 0 < *more) {
        writeln!(out, "and {}{from}", counted(more, "other"))?;
    }
    let action = group.action;
    match &group.verdict {
        TrustVerdict::Can { certainty, statements, unless } => {
            let doubt = match certainty {
                Certainty::Always => "",
                Certainty::Conditional | Certainty::Partly => " if conditions hold",
            };
            writeln!(out, "  can {action}{doubt}")?;
            write_statements("by", statements, out)?;
            write_statements("unless", unless, out)
        }
        TrustVerdict::Cannot { named, lacks, denied } => {
            writeln!(out, "  can't {action}")?;
            write_statements("though let in by", named, out)?;
            for lack in lacks {
                writeln!(out, "    for {}", lacking(lack, group, role))?;
            }
            write_statements("for it is denied by", denied, out)
        }
    }
}

/// Whom `*` lets in: callers of other accounts need a grant of their own side too.
fn everybody(owner: AccountId, unknown: UnknownCallers) -> String {
    let others = match unknown {
        UnknownCallers::ResourcePolicyDecides => "whose policies let them or are not here",
        UnknownCallers::Deny => "whose policies are here and let them",
    };
    format!("everybody of account {owner}, and of other accounts {others}")
}

fn write_statements(
    word: &str,
    statements: &[StatementRef<'_>],
    out: &mut dyn Write,
) -> io::Result<()> {
    for it in statements {
        let conditions = access::in_words(it.statement);
        let conditions = match &*conditions {
            [] => String::new(),
            words => format!(": {}", words.join(", and ")),
        };
        let place = match it.layer {
            PolicyLayer::Trust => format!("its trust policy, {}", statement_place(it)),
            _ => place(it),
        };
        writeln!(out, "    {word} {place}{}", printable(&conditions))?;
    }
    Ok(())
}

/// A side that lacks a grant, in words.
fn lacking(lack: &Lack, group: &TrustGroup<'_>, role: &PrincipalEntry) -> String {
    let (action, account) = (group.action, group.through.account());
    let caller = match (&group.who.as_slice(), account) {
        ([Who::Principal(arn)], _) => format!("of {arn}"),
        (_, Some(account)) => format!("of account {account}"),
        (_, None) => "of theirs".to_owned(),
    };
    match lack {
        Lack::CallerIdentity => {
            format!("no identity policy {caller} allows {action} on {}", role.arn)
        }
        Lack::Boundary => format!("the permissions boundary does not allow {action}"),
        Lack::Scp(level) => {
            format!("level `{level}` above the caller's account has no SCP that allows {action}")
        }
        Lack::Rcp(level) => {
            format!("level `{level}` above the role's account has no RCP that allows {action}")
        }
        Lack::Saml => "it takes a SAML assertion, which crossgate does not read".to_owned(),
        Lack::Mfa => "sessions of roles never have a second factor".to_owned(),
        Lack::UserName => "sessions of roles have no `aws:username`".to_owned(),
        Lack::Further(further) => {
            format!("the trust policy asks for what needs {further}, which not all sides allow")
        }
        Lack::UnknownCaller => {
            "callers whose policies are not here are refused (`unknown_callers: deny`)".to_owned()
        }
    }
}

#[derive(Serialize)]
struct Report<'a> {
    role: &'a str,
    owner: &'a str,
    session_seconds_max: Option<u32>,
    unknown_callers: &'static str,
    trust: Vec<GroupJson<'a>>,
}

#[derive(Serialize)]
struct GroupJson<'a> {
    can: bool,
    action: &'static str,
    who: Vec<WhoJson<'a>>,
    through: &'static str,
    account: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    certainty: Option<&'static str>,
    statements: Vec<StatementJson<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unless: Vec<StatementJson<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    lacks: Vec<LackJson>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    denied: Vec<StatementJson<'a>>,
}

#[derive(Serialize)]
struct WhoJson<'a> {
    kind: &'static str,
    name: &'a str,
    /// Who that is, where the name alone would say too much.
    #[serde(skip_serializing_if = "Option::is_none")]
    means: Option<&'a str>,
}

#[derive(Serialize)]
struct LackJson {
    side: &'static str,
    detail: String,
}

/// A statement, and what must hold in words.
#[derive(Serialize)]
struct StatementJson<'a> {
    layer: &'static str,
    policy: &'a str,
    sid: &'a str,
    index: u32,
    file: &'a str,
    line: u32,
    column: u32,
    conditions: Vec<String>,
}

impl<'a> GroupJson<'a> {
    fn of(group: &'a TrustGroup<'_>, role: &PrincipalEntry, everybody: &'a str) -> Self {
        let who = group.who.iter().map(|who| WhoJson {
            kind: who.kind(),
            name: who.name(),
            means: (*who == Who::Everyone && group.action == ASSUME_ROLE).then_some(everybody),
        });
        let listed = |statements: &'a [StatementRef<'_>]| {
            statements.iter().map(StatementJson::from).collect()
        };
        let own = Self {
            can: group.verdict.can(),
            action: group.action,
            who: who.collect(),
            through: group.through.kind(),
            account: group.through.account(),
            certainty: None,
            statements: Vec::new(),
            unless: Vec::new(),
            lacks: Vec::new(),
            denied: Vec::new(),
        };
        match &group.verdict {
            TrustVerdict::Can { certainty, statements, unless } => Self {
                certainty: Some(certainty.as_str()),
                statements: listed(statements),
                unless: listed(unless),
                ..own
            },
            TrustVerdict::Cannot { named, lacks, denied } => {
                let lack = |lack: &Lack| LackJson {
                    side: lack.side().as_str(),
                    detail: lacking(lack, group, role),
                };
                let lacks = lacks.iter().map(lack).collect();
                Self { statements: listed(named), lacks, denied: listed(denied), ..own }
            }
        }
    }
}

impl<'a> From<&'a StatementRef<'_>> for StatementJson<'a> {
    fn from(it: &'a StatementRef<'_>) -> Self {
        let StatementRef { policy, statement, layer } = it;
        Self {
            layer: layer.as_str(),
            policy: &policy.name,
            sid: &statement.sid,
            index: statement.index,
            file: &policy.source.file,
            line: statement.line,
            column: statement.column,
            conditions: access::in_words(statement),
        }
    }
}

const ASSUME_ROLE: &str = "sts:AssumeRole";
/// So many of a group are named to people; programs get all.
const SHOWN_MAX: usize = 20;
