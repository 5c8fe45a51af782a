//! Who can reach a resource, for people and for programs.

use std::io::{self, Write};

use serde::Serialize;

use crate::cli::access::{Outcome, StatementJson, described};
use crate::cli::check::{Format, counted};
use crate::iam::{AccountId, Arn};
use crate::policy::access::{self, Certainty, Reach, ReachedActions, Through, Who};
use crate::policy::set::{PolicySet, UnknownCallers};

/// Writes who reaches a resource.
pub(super) fn write(
    format: Format,
    set: &PolicySet,
    arn: Arn<'_>,
    owner: AccountId,
    out: &mut dyn Write,
) -> io::Result<Outcome> {
    let reached = access::reach(set, arn, owner);
    let outcome = if access::is_known(set, arn, owner) { Outcome::Told } else { Outcome::Unknown };
    match format {
        Format::Json => {
            let report = Report {
                resource: arn.as_str(),
                owner: owner.as_str(),
                known: outcome == Outcome::Told,
                unknown_callers: set.unknown_callers.as_str(),
                reach: reached.iter().map(ReachJson::from).collect(),
            };
            serde_json::to_writer(&mut *out, &report)?;
            writeln!(out)?;
        }
        Format::Text => {
            writeln!(out, "{} of account {owner}", arn.as_str())?;
            if outcome == Outcome::Unknown {
                writeln!(out, "no policy names it; listed is who may do everything")?;
            }
            for reach in &reached {
                write_one(reach, set.unknown_callers, out)?;
            }
            writeln!(out, "\n{}", counted(reached.len(), "way"))?;
        }
    }
    Ok(outcome)
}

fn write_one(
    reach: &Reach<'_>,
    unknown_callers: UnknownCallers,
    out: &mut dyn Write,
) -> io::Result<()> {
    let via = match &reach.via {
        Some(role) => format!(", by assuming {role}"),
        None => String::new(),
    };
    let through = match (&reach.through, unknown_callers) {
        (Through::SameAccount | Through::NoAccount, _) => String::new(),
        (Through::CrossAccount(account), _) => format!(", from account {account}"),
        (Through::UnknownAccount(account), UnknownCallers::Deny) => format!(
            ", from account {account}, which is refused: its policies are not here \
             (`unknown_callers: deny`)"
        ),
        (Through::UnknownAccount(account), UnknownCallers::ResourcePolicyDecides) => {
            format!(", from account {account}, whose policies are not here")
        }
    };
    writeln!(out, "\n{}{through}{via}", named(&reach.who))?;
    reach.grants.iter().try_for_each(|grant| write_grant(grant, out))
}

fn write_grant(grant: &ReachedActions<'_>, out: &mut dyn Write) -> io::Result<()> {
    let certainty = match grant.certainty {
        Certainty::Always => "",
        Certainty::Conditional => " if conditions hold",
        Certainty::Partly => " in part",
    };
    writeln!(out, "  {}{certainty}", grant.actions.join(" "))?;
    for statement in &grant.statements {
        writeln!(out, "    by {}", described(statement))?;
    }
    for statement in &grant.unless {
        writeln!(out, "    unless {}", described(statement))?;
    }
    Ok(())
}

/// Somebody, for people.
pub(in crate::cli) fn named(who: &Who) -> String {
    match who {
        Who::Everyone => "everybody".to_owned(),
        Who::Account(account) => format!("account {account}"),
        Who::Principal(name) | Who::Foreign(name) => name.to_string(),
        Who::Federated(provider) => format!("web identities of {provider}"),
        Who::Service(name) => format!("service {name}"),
    }
}

#[derive(Serialize)]
struct Report<'a> {
    resource: &'a str,
    owner: &'a str,
    known: bool,
    unknown_callers: &'static str,
    reach: Vec<ReachJson<'a>>,
}

#[derive(Serialize)]
struct ReachJson<'a> {
    kind: &'static str,
    who: &'a str,
    through: &'static str,
    account: Option<&'a str>,
    via: Option<&'a str>,
    grants: Vec<GrantJson<'a>>,
}

#[derive(Serialize)]
struct GrantJson<'a> {
    actions: &'a [Box<str>],
    certainty: &'static str,
    statements: Vec<StatementJson<'a>>,
    unless: Vec<StatementJson<'a>>,
}

impl<'a> From<&'a Reach<'_>> for ReachJson<'a> {
    fn from(reach: &'a Reach<'_>) -> Self {
        Self {
            kind: reach.who.kind(),
            who: reach.who.name(),
            through: reach.through.kind(),
            account: reach.through.account(),
            via: reach.via.as_deref(),
            grants: reach.grants.iter().map(GrantJson::from).collect(),
        }
    }
}

impl<'a> From<&'a ReachedActions<'_>> for GrantJson<'a> {
    fn from(grant: &'a ReachedActions<'_>) -> Self {
        Self {
            actions: &grant.actions,
            certainty: grant.certainty.as_str(),
            statements: grant.statements.iter().map(StatementJson::from).collect(),
            unless: grant.unless.iter().map(StatementJson::from).collect(),
        }
    }
}
