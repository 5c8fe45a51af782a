//! Grants that leave their account, for people and for programs.

use std::io::{self, Write};

use serde::Serialize;

use crate::cli::access::reach::named;
use crate::cli::access::{StatementJson, described};
use crate::cli::check::{Format, counted};
use crate::policy::access::{ExternalGrant, Whereabouts};

/// Writes all grants.
pub(super) fn write(
    format: Format,
    grants: &[ExternalGrant<'_>],
    out: &mut dyn Write,
) -> io::Result<()> {
    match format {
        Format::Json => {
            let report = Report { external: grants.iter().map(GrantJson::from).collect() };
            serde_json::to_writer(&mut *out, &report)?;
            writeln!(out)
        }
        Format::Text => {
            for grant in grants {
                write_one(grant, out)?;
            }
            writeln!(out, "{}", counted(grants.len(), "grant"))
        }
    }
}

fn write_one(grant: &ExternalGrant<'_>, out: &mut dyn Write) -> io::Result<()> {
    let standing = match (&grant.account, grant.standing.organization) {
        (None, _) => "",
        (Some(_), Whereabouts::Inside) => ", in the organization",
        (Some(_), Whereabouts::Outside) => ", outside the organization",
    };
    let known = match (&grant.account, grant.standing.set) {
        (None, _) | (Some(_), Whereabouts::Inside) => "",
        (Some(_), Whereabouts::Outside) => ", its policies are not here",
    };
    writeln!(out, "{} of account {}", grant.resource, grant.owner)?;
    writeln!(out, "  to {}{standing}{known}", named(&grant.who))?;
    writeln!(out, "  {}", grant.actions.join(" "))?;
    writeln!(out, "  by {}\n", described(&grant.statement))
}

#[derive(Serialize)]
struct Report<'a> {
    external: Vec<GrantJson<'a>>,
}

#[derive(Serialize)]
struct GrantJson<'a> {
    owner: &'a str,
    resource: &'a str,
    kind: &'static str,
    who: &'a str,
    account: Option<&'a str>,
    organization: &'static str,
    policies: &'static str,
    actions: &'a [Box<str>],
    statement: StatementJson<'a>,
}

impl<'a> From<&'a ExternalGrant<'_>> for GrantJson<'a> {
    fn from(grant: &'a ExternalGrant<'_>) -> Self {
        Self {
            owner: grant.owner.as_str(),
            resource: &grant.resource,
            kind: grant.who.kind(),
            who: grant.who.name(),
            account: grant.account.as_deref(),
            organization: grant.standing.organization.as_str(),
            policies: grant.standing.set.as_str(),
            actions: &grant.actions,
            statement: StatementJson::from(&grant.statement),
        }
    }
}
