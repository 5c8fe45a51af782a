//! Whom a trusted profile trusts.

use std::io::{self, Write};

use serde::Serialize;

use crate::cli::check::{Format, counted};
use crate::cli::roles::Outcome;
use crate::event::report::printable;
use crate::iam::AccountId;
use crate::policy::set::{PrincipalEntry, Profile, Trusted};

/// Writes whom it trusts: nobody else's policies have a say.
pub(super) fn write(
    format: Format,
    owner: AccountId,
    entry: &PrincipalEntry,
    profile: &Profile,
    out: &mut dyn Write,
) -> io::Result<Outcome> {
    match format {
        Format::Json => {
            let report = Report {
                profile: &entry.id,
                name: &profile.name,
                role: &entry.arn,
                owner: owner.as_str(),
                trusted: profile.trusted.iter().map(TrustedJson::from).collect(),
            };
            serde_json::to_writer(&mut *out, &report)?;
            writeln!(out)?;
        }
        Format::Text => {
            let name = printable(&profile.name);
            writeln!(out, "trusted profile {} `{name}` of account {owner}\n", entry.id)?;
            for trusted in &profile.trusted {
                writeln!(out, "{} can begin a session", told(trusted))?;
            }
            writeln!(out, "\n{}", counted(profile.trusted.len(), "way"))?;
        }
    }
    Ok(if profile.trusted.is_empty() { Outcome::Nobody } else { Outcome::Somebody })
}

fn told(trusted: &Trusted) -> String {
    match trusted {
        Trusted::Login(id) => format!("the login {}", printable(id)),
        Trusted::Claims(pairs) => {
            let pairs = pairs.iter().map(|(pointer, value)| {
                format!("`{}` as `{}`", printable(value), printable(pointer))
            });
            format!("every login whose token has {}", pairs.collect::<Vec<_>>().join(" and "))
        }
    }
}

#[derive(Serialize)]
struct Report<'a> {
    profile: &'a str,
    name: &'a str,
    role: &'a str,
    owner: &'a str,
    trusted: Vec<TrustedJson<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum TrustedJson<'a> {
    IamId(&'a str),
    Claims(std::collections::BTreeMap<&'a str, &'a str>),
}

impl<'a> From<&'a Trusted> for TrustedJson<'a> {
    fn from(trusted: &'a Trusted) -> Self {
        match trusted {
            Trusted::Login(id) => Self::IamId(id),
            Trusted::Claims(pairs) => {
                Self::Claims(pairs.iter().map(|(pointer, value)| (&**pointer, &**value)).collect())
            }
        }
    }
}
