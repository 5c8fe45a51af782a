//! The readiness report for people, in one screen, and for programs.

use std::borrow::Cow;
use std::fmt::{self, Write as _};

use anstyle::{AnsiColor, Style};
use serde_json::{Value, json};

use crate::clock::UnixMillis;
use crate::event::report::{
    AccountDenials, DAYS_ADVISED, Observed, ObservedBy, Readiness, ReadinessReport, Suggestion,
};
use crate::event::time;

/// Whether text carries colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    /// Escape sequences for a terminal.
    Ansi,
    /// Text alone.
    Plain,
}

impl ReadinessReport {
    /// The report as text; it says the same without colour.
    pub fn to_text(&self, colour: Colour) -> String {
        let mut out = String::new();
        // Writing to a string can't fail.
        let _ = self.write(&mut out, Styles::new(colour));
        out
    }

    fn write(&self, out: &mut String, styles: Styles) -> fmt::Result {
        let Styles { bold, good, bad, dim } = styles;
        let (style, verdict) = match self.readiness {
            Readiness::Ready => (good, "READY"),
            Readiness::NeverObserved | Readiness::WouldDeny { .. } => (bad, "NOT READY"),
        };
        let account = printable(&self.account);
        writeln!(out, "{bold}account {account}{bold:#} for `limited`: {style}{verdict}{style:#}")?;
        writeln!(out, "  {}", self.reason())?;
        if let Some(observed) = &self.observed {
            write_observed(out, observed)?;
        }
        if 0 < self.enforced_denials {
            writeln!(out, "  enforced   {} denials already enforced", self.enforced_denials)?;
        }
        if !self.denials.is_empty() {
            writeln!(out, "\n{bold}would be denied{bold:#}")?;
        }
        for account in self.denials.iter().take(ACCOUNTS_SHOWN) {
            write_account(out, account, styles)?;
        }
        more(out, "accounts", self.denials.len(), ACCOUNTS_SHOWN)?;
        if 0 < self.ungrouped_denials {
            let requests = counted(self.ungrouped_denials, "request", "requests");
            writeln!(out, "  and {requests} beyond the most groups")?;
        }
        if !self.permits.is_empty() {
            writeln!(out, "\n{bold}admitted by the allowlist{bold:#}")?;
        }
        for (caller, requests) in self.permits.iter().take(ACCOUNTS_SHOWN) {
            let requests = counted(*requests, "request", "requests");
            writeln!(out, "  account {}  {requests}", printable(caller))?;
        }
        more(out, "accounts", self.permits.len(), ACCOUNTS_SHOWN)?;
        writeln!(out, "\n{dim}advice:{dim:#} {}", self.advice())
    }

    /// Why the account is ready or not, in a sentence.
    pub fn reason(&self) -> String {
        match self.readiness {
            Readiness::NeverObserved => {
                "it was never observed: no report-only or candidate events".to_owned()
            }
            Readiness::Ready => "nobody would be denied who isn't admitted by now".to_owned(),
            Readiness::WouldDeny { requests, accounts } => {
                let requests = counted(requests, "request", "requests");
                let accounts = counted(accounts, "account", "accounts");
                format!("{requests} would be denied, from {accounts}")
            }
        }
    }

    /// What to do next.
    pub fn advice(&self) -> String {
        match (&self.observed, self.readiness) {
            (None, _) => format!(
                "set the account to `report-only` and observe it for at least {DAYS_ADVISED} days"
            ),
            (Some(_), Readiness::WouldDeny { .. } | Readiness::NeverObserved) => format!(
                "deal with each account above, then observe again; at least {DAYS_ADVISED} days \
                 of report-only are recommended before `limited`"
            ),
            (Some(observed), Readiness::Ready) if observed.days < DAYS_ADVISED => format!(
                "observed on {} of the recommended {DAYS_ADVISED} days; callers that come once a \
                 month may be missing",
                observed.days
            ),
            (Some(_), Readiness::Ready) => {
                format!("observed on the recommended {DAYS_ADVISED} days; `limited` may be set")
            }
        }
    }

    /// The report for programs.
    pub fn to_json(&self) -> Value {
        let observed = self.observed.as_ref().map(|observed| {
            let gaps = observed.gaps.iter();
            let gaps = gaps.map(
                |(from, to)| json!({"from": time::day_text(*from), "to": time::day_text(*to)}),
            );
            json!({
                "by": by(observed.by),
                "first": rfc3339(observed.first),
                "last": rfc3339(observed.last),
                "days": observed.days,
                "daysAdvised": DAYS_ADVISED,
                "gaps": gaps.collect::<Vec<_>>(),
            })
        });
        let permits = self.permits.iter();
        let permits = permits.map(|(caller, n)| json!({"account": caller, "requests": n}));
        json!({
            "account": self.account,
            "ready": self.readiness == Readiness::Ready,
            "reason": self.reason(),
            "advice": self.advice(),
            "observed": observed,
            "wouldDeny": self.denials.iter().map(account_json).collect::<Vec<_>>(),
            "ungroupedDenials": self.ungrouped_denials,
            "permits": permits.collect::<Vec<_>>(),
            "enforcedDenials": self.enforced_denials,
        })
    }
}

/// How parts of the text look.
#[derive(Clone, Copy)]
struct Styles {
    bold: Style,
    good: Style,
    bad: Style,
    dim: Style,
}

impl Styles {
    fn new(colour: Colour) -> Self {
        let plain = Style::new();
        match colour {
            Colour::Plain => Self { bold: plain, good: plain, bad: plain, dim: plain },
            Colour::Ansi => Self {
                bold: plain.bold(),
                good: AnsiColor::Green.on_default().bold(),
                bad: AnsiColor::Red.on_default().bold(),
                dim: plain.dimmed(),
            },
        }
    }
}

/// A text from outside as it may reach a terminal: without control characters.
pub fn printable(text: &str) -> Cow<'_, str> {
    // Direction marks could make a line read as another one.
    let hidden = |c: char| {
        c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if text.chars().any(hidden) {
        Cow::Owned(text.chars().map(|c| if hidden(c) { '\u{fffd}' } else { c }).collect())
    } else {
        Cow::Borrowed(text)
    }
}

fn write_observed(out: &mut String, observed: &Observed) -> fmt::Result {
    let day = |time| time::day_text(time::day_of(time));
    let days = observed.days;
    let (first, last) = (day(observed.first), day(observed.last));
    let by = by(observed.by);
    let unit = if days == 1 { "day" } else { "days" };
    writeln!(out, "  observed   {first} to {last}, events on {days} {unit}, by {by}")?;
    for (from, to) in observed.gaps.iter().take(GAPS_SHOWN) {
        let (from, to) = (time::day_text(*from), time::day_text(*to));
        writeln!(out, "  no events  {from} to {to}")?;
    }
    more(out, "gaps", observed.gaps.len(), GAPS_SHOWN)
}

fn write_account(out: &mut String, account: &AccountDenials, styles: Styles) -> fmt::Result {
    let caller = match account.caller.as_str() {
        "" => Cow::Borrowed("(none)"),
        caller => printable(caller),
    };
    let what = match account.suggestion {
        Suggestion::Allowlist => "put it on the allowlist",
        Suggestion::NothingNoAccount | Suggestion::NothingResolved => "nothing to do",
        Suggestion::TrustedProfile => "make a trusted profile",
    };
    let (bold, dim) = (styles.bold, styles.dim);
    let requests = counted(account.requests, "request", "requests");
    let identities = counted(account.identities.len(), "identity", "identities");
    writeln!(out, "  account {bold}{caller}{bold:#}  {requests}  {identities}")?;
    writeln!(out, "    suggestion: {what} ({})", account.suggestion.why())?;
    for identity in account.identities.iter().take(IDENTITIES_SHOWN) {
        let (kind, id) = (printable(&identity.identity_type), printable(&identity.id));
        let name = match identity.name.as_str() {
            "" => String::new(),
            name => format!(" ({})", printable(name)),
        };
        let (first, last) = (time::text(identity.first), time::text(identity.last));
        let requests = counted(identity.requests, "request", "requests");
        writeln!(out, "    {kind} {id}{name}  {requests}, {first} to {last}")?;
        for resource in &identity.resources {
            writeln!(out, "      {dim}{}{dim:#}", printable(resource))?;
        }
    }
    more(out, "identities", account.identities.len(), IDENTITIES_SHOWN)
}

fn counted(n: impl TryInto<u64>, one: &str, many: &str) -> String {
    match n.try_into().unwrap_or(u64::MAX) {
        1 => format!("1 {one}"),
        n => format!("{n} {many}"),
    }
}

fn more(out: &mut String, what: &str, all: usize, shown: usize) -> fmt::Result {
    match all.checked_sub(shown) {
        None | Some(0) => Ok(()),
        Some(rest) => writeln!(out, "    … and {rest} more {what}"),
    }
}

fn account_json(account: &AccountDenials) -> Value {
    let identities = account.identities.iter().map(|identity| {
        json!({
            "identityType": identity.identity_type,
            "id": identity.id,
            "name": identity.name,
            "requests": identity.requests,
            "first": rfc3339(identity.first),
            "last": rfc3339(identity.last),
            "resources": identity.resources,
        })
    });
    json!({
        "account": account.caller,
        "requests": account.requests,
        "suggestion": account.suggestion.as_str(),
        "why": account.suggestion.why(),
        "identities": identities.collect::<Vec<_>>(),
    })
}

fn by(by: ObservedBy) -> &'static str {
    match by {
        ObservedBy::Candidate => "candidate",
        ObservedBy::ReportOnly => "report-only",
    }
}

fn rfc3339(at: UnixMillis) -> String {
    let mut out = Vec::with_capacity(20);
    time::write_seconds(&mut out, at.seconds());
    out.push(b'Z');
    String::from_utf8_lossy(&out).into_owned()
}

/// What fits on a screen; the rest is in the JSON form.
const ACCOUNTS_SHOWN: usize = 8;
const IDENTITIES_SHOWN: usize = 3;
const GAPS_SHOWN: usize = 3;
