//! What replaying came to, for people and for programs.

use std::fmt::{self, Write as _};

use anstyle::{AnsiColor, Style};
use serde_json::{Value, json};

use crate::event::replay::{AccountChanges, Groups, IdentityChanges, ReplayReport};
use crate::event::report::{Colour, counted, printable, rfc3339};
use crate::event::time;

impl ReplayReport {
    /// The report as text; it says the same without colour.
    pub fn to_text(&self, colour: Colour) -> String {
        let mut out = String::new();
        // Writing to a string can't fail.
        let _ = self.write(&mut out, colour);
        out
    }

    fn write(&self, out: &mut String, colour: Colour) -> fmt::Result {
        let plain = Style::new();
        let (bold, bad, good) = match colour {
            Colour::Plain => (plain, plain, plain),
            Colour::Ansi => (
                plain.bold(),
                AnsiColor::Red.on_default().bold(),
                AnsiColor::Green.on_default().bold(),
            ),
        };
        let at = |at: Option<_>| at.map(time::text).unwrap_or_default();
        let requests = counted(self.requests, "recorded request", "recorded requests");
        let (first, last) = (at(self.first), at(self.last));
        writeln!(out, "{bold}{requests}{bold:#} of {first} to {last}, {}", self.under())?;
        let (denied, permitted) = (self.newly_denied.requests(), self.newly_permitted.requests());
        let style = if denied == 0 { good } else { bad };
        writeln!(out, "  {style}{denied:>8}{style:#} would newly be denied")?;
        writeln!(out, "  {permitted:>8} would newly be permitted")?;
        let (still_permitted, still_denied) = (self.still_permitted, self.still_denied);
        writeln!(
            out,
            "  {:>8} unchanged: {still_permitted} permitted, {still_denied} denied",
            still_permitted + still_denied
        )?;
        if 0 < self.unknown() {
            writeln!(out, "  {:>8} not known, see below", self.unknown())?;
        }
        write_groups(out, "would newly be denied", &self.newly_denied, bold)?;
        write_groups(out, "would newly be permitted", &self.newly_permitted, bold)?;
        writeln!(out, "\n{bold}what this can't tell{bold:#}")?;
        for limit in self.limits() {
            writeln!(out, "  - {limit}")?;
        }
        Ok(())
    }

    fn under(&self) -> String {
        let policies = self.proposed.policies.map(|mode| format!("policies ({})", mode.as_str()));
        let parts: Vec<String> = self
            .proposed
            .settings
            .then(|| "settings".to_owned())
            .into_iter()
            .chain(policies)
            .collect();
        format!("under the proposed {}", parts.join(" and "))
    }

    fn unknown(&self) -> u64 {
        let unknown = self.unknown;
        unknown.not_recorded + unknown.cut + unknown.withheld
    }

    /// What the record does not tell, in sentences.
    pub fn limits(&self) -> Vec<String> {
        let mut limits = vec![
            "requests that made no event are not here: what `limited` permitted and all of \
             `unrestricted`, unless a candidate was asked too; of an owner's own identities, all \
             that policies did not record"
                .to_owned(),
        ];
        if !self.denials_only.is_empty() {
            let shown: Vec<_> =
                self.denials_only.iter().take(OWNERS_SHOWN).map(|owner| printable(owner)).collect();
            let more = match self.denials_only.len().saturating_sub(OWNERS_SHOWN) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            limits.push(format!(
                "of these owner accounts only denials were recorded, so nothing could be newly \
                 denied: {}{more}",
                shown.join(", ")
            ));
        }
        let unknown = self.unknown;
        for (requests, why) in [
            (
                unknown.not_recorded,
                "no event of policies, so that the proposed ones can't be asked",
            ),
            (unknown.cut, "an event that is cut, or does not tell what limits its session"),
            (unknown.withheld, "a value that the proposed policies read and no event tells"),
        ] {
            if 0 < requests {
                limits
                    .push(format!("{}: {why}", counted(requests, "request has", "requests have")));
            }
        }
        if 0 < self.only_recorded {
            let requests = counted(self.only_recorded, "request", "requests");
            limits.push(format!(
                "{requests} would be denied but for the proposed mode, which only records it"
            ));
        }
        if 0 < self.lost_events {
            let events = counted(self.lost_events, "event is", "events are");
            limits.push(format!("{events} missing in the log"));
        }
        limits
    }

    /// The report for programs.
    pub fn to_json(&self) -> Value {
        json!({
            "first": self.first.map(rfc3339),
            "last": self.last.map(rfc3339),
            "proposed": {
                "settings": self.proposed.settings,
                "policies": self.proposed.policies.map(|mode| json!({"mode": mode.as_str()})),
            },
            "requests": self.requests,
            "newlyDenied": self.newly_denied.to_json(),
            "newlyPermitted": self.newly_permitted.to_json(),
            "unchanged": {"permitted": self.still_permitted, "denied": self.still_denied},
            "onlyRecorded": self.only_recorded,
            "notKnown": {
                "noPolicyEvent": self.unknown.not_recorded,
                "cut": self.unknown.cut,
                "withheld": self.unknown.withheld,
            },
            "denialsOnly": self.denials_only,
            "lostEvents": self.lost_events,
            "limits": self.limits(),
        })
    }
}

impl Groups {
    /// The groups as text under a title, those that fit on a screen.
    pub fn to_text(&self, title: &str) -> String {
        let mut out = String::new();
        // Writing to a string can't fail.
        let _ = write_groups(&mut out, title, self, Style::new());
        out
    }

    /// All groups for programs.
    pub fn to_json(&self) -> Value {
        json!({
            "requests": self.requests(),
            "ungrouped": self.ungrouped(),
            "accounts": self.accounts().iter().map(account_json).collect::<Vec<_>>(),
        })
    }
}

fn write_groups(out: &mut String, title: &str, groups: &Groups, bold: Style) -> fmt::Result {
    if groups.requests() == 0 {
        return Ok(());
    }
    writeln!(out, "\n{bold}{title}{bold:#}")?;
    let accounts = groups.accounts();
    for account in accounts.iter().take(ACCOUNTS_SHOWN) {
        let caller = match account.caller.as_str() {
            "" => "(none)".into(),
            caller => printable(caller),
        };
        let requests = counted(account.requests, "request", "requests");
        let identities = counted(account.identities.len(), "identity", "identities");
        writeln!(out, "  account {bold}{caller}{bold:#}  {requests}  {identities}")?;
        for identity in account.identities.iter().take(IDENTITIES_SHOWN) {
            write_identity(out, identity)?;
        }
        more(out, "identities", account.identities.len(), IDENTITIES_SHOWN)?;
    }
    more(out, "accounts", accounts.len(), ACCOUNTS_SHOWN)?;
    if 0 < groups.ungrouped() {
        let requests = counted(groups.ungrouped(), "request", "requests");
        writeln!(out, "  and {requests} beyond the most groups")?;
    }
    Ok(())
}

fn write_identity(out: &mut String, identity: &IdentityChanges) -> fmt::Result {
    let name = match identity.name.as_str() {
        "" => String::new(),
        name => format!(" ({})", printable(name)),
    };
    let requests = counted(identity.requests, "request", "requests");
    let (kind, id) = (printable(&identity.identity_type), printable(&identity.id));
    writeln!(out, "    {kind} {id}{name}  {requests}")?;
    for resource in identity.resources.iter().take(RESOURCES_SHOWN) {
        let detail = match resource.detail.as_str() {
            "" => String::new(),
            detail => format!(" ({})", printable(detail)),
        };
        writeln!(
            out,
            "    {:>8} x {}: {}{detail}",
            resource.requests,
            printable(&resource.id),
            printable(&resource.reason)
        )?;
    }
    more(out, "resources", identity.resources.len(), RESOURCES_SHOWN)
}

fn more(out: &mut String, what: &str, all: usize, shown: usize) -> fmt::Result {
    match all.saturating_sub(shown) {
        0 => Ok(()),
        rest => writeln!(out, "    … and {rest} more {what}"),
    }
}

fn account_json(account: &AccountChanges) -> Value {
    let identities = account.identities.iter().map(|identity| {
        let resources = identity.resources.iter().map(|resource| {
            json!({
                "owner": resource.owner,
                "id": resource.id,
                "reason": resource.reason,
                "detail": resource.detail,
                "requests": resource.requests,
                "first": rfc3339(resource.first),
                "last": rfc3339(resource.last),
            })
        });
        json!({
            "identityType": identity.identity_type,
            "id": identity.id,
            "name": identity.name,
            "requests": identity.requests,
            "resources": resources.collect::<Vec<_>>(),
        })
    });
    json!({
        "account": account.caller,
        "requests": account.requests,
        "identities": identities.collect::<Vec<_>>(),
    })
}

/// What fits on a screen; the rest is in the JSON form.
const ACCOUNTS_SHOWN: usize = 8;
const IDENTITIES_SHOWN: usize = 4;
const RESOURCES_SHOWN: usize = 3;
const OWNERS_SHOWN: usize = 5;
