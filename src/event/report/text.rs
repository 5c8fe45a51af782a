//! The readiness report for people, in one screen.

use std::borrow::Cow;
use std::fmt::{self, Write as _};

use anstyle::{AnsiColor, Style};

use crate::clock::UnixMillis;
use crate::event::report::{
    AccountDenials, AddedBy, Allowlist, DAY_MS, DAYS_ADVISED, Observed, Readiness, ReadinessReport,
    Segment,
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
        let style = if self.readiness == Readiness::Ready { good } else { bad };
        let (account, verdict) = (printable(&self.account), self.verdict());
        writeln!(out, "{bold}account {account}{bold:#} for `limited`: {style}{verdict}{style:#}")?;
        writeln!(out, "  {}", self.reason())?;
        self.write_coverage(out)?;
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
        self.write_admitted(out, styles)?;
        self.write_added(out, styles)?;
        writeln!(out, "\n{dim}advice:{dim:#} {}", self.advice())
    }

    fn write_coverage(&self, out: &mut String) -> fmt::Result {
        if let Some(observed) = &self.observed {
            self.write_observed(out, observed)?;
        }
        let mut uncovered: Vec<&Segment> = self.coverage.uncovered_seconds().collect();
        uncovered.sort_by_key(|segment| std::cmp::Reverse(segment.millis()));
        let (shown, rest) = uncovered.split_at(uncovered.len().min(GAPS_SHOWN));
        let mut shown = shown.to_vec();
        shown.sort_by_key(|segment| segment.from);
        for segment in shown {
            let (from, to) = (time::text(segment.from), time::text(segment.to));
            writeln!(out, "  not known  {from} to {to}: {}", segment.cover.why())?;
        }
        if !rest.is_empty() {
            let together = duration(rest.iter().map(|segment| segment.millis()).sum());
            writeln!(out, "    … and {} more, together {together}", rest.len())?;
        }
        for loss in self.coverage.losses.iter().take(LOSSES_SHOWN) {
            let events = counted(loss.events, "event", "events");
            let (after, before) = (time::text(loss.after), time::text(loss.before));
            writeln!(out, "  lost       {events} between {after} and {before}")?;
        }
        more(out, "losses", self.coverage.losses.len(), LOSSES_SHOWN)
    }

    fn write_observed(&self, out: &mut String, observed: &Observed) -> fmt::Result {
        let by = observed.by.as_str();
        let (covered, window) = (self.coverage.observed_ms(), self.coverage.window_ms());
        let (covered, window) = (duration(covered), duration(window));
        let days = counted(self.days.with_events, "day", "days");
        let quiet = match self.days.quiet {
            0 => String::new(),
            quiet => format!(", {} quiet", counted(quiet, "day", "days")),
        };
        writeln!(out, "  observed   {covered} of {window}, by {by}; events on {days}{quiet}")
    }

    fn write_admitted(&self, out: &mut String, styles: Styles) -> fmt::Result {
        let bold = styles.bold;
        let is_empty = self.allowlist.as_ref().is_none_or(|list| list.entries == 0);
        if self.admitted.is_empty() && is_empty {
            return Ok(());
        }
        writeln!(out, "\n{bold}admitted by the allowlist{bold:#}")?;
        for admitted in self.admitted.iter().take(ACCOUNTS_SHOWN) {
            let requests = counted(admitted.requests, "request", "requests");
            writeln!(out, "  account {}  {requests}", printable(&admitted.caller))?;
        }
        more(out, "accounts", self.admitted.len(), ACCOUNTS_SHOWN)?;
        if let Some(allowlist) = &self.allowlist {
            return write_entries(out, allowlist);
        }
        let dim = styles.dim;
        writeln!(
            out,
            "  {dim}whether entries admitted nobody is not known without `--settings`{dim:#}"
        )
    }

    fn write_added(&self, out: &mut String, styles: Styles) -> fmt::Result {
        let bold = styles.bold;
        if !self.added.is_empty() {
            writeln!(out, "\n{bold}since they were added to the allowlist{bold:#}")?;
        }
        for added in self.added.iter().take(ACCOUNTS_SHOWN) {
            let (caller, kind) = (printable(&added.caller), printable(&added.identity_type));
            let permits = counted(added.permits, "permit", "permits");
            let at = time::text(added.at);
            let since = match added.by {
                AddedBy::FirstPermit => format!("at the latest {at}"),
                AddedBy::Update => at,
            };
            writeln!(
                out,
                "  account {caller} ({kind}), {since}: {permits} that would have been denials"
            )?;
        }
        more(out, "accounts", self.added.len(), ACCOUNTS_SHOWN)
    }

    /// The verdict in two words.
    pub(super) fn verdict(&self) -> &'static str {
        match self.readiness {
            Readiness::Ready => "READY",
            Readiness::NeverObserved | Readiness::WouldDeny { .. } => "NOT READY",
        }
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
        let advised_ms = DAYS_ADVISED * DAY_MS;
        let observed_ms = self.coverage.observed_ms();
        match (&self.observed, self.readiness) {
            (None, _) => format!(
                "set the account to `report-only` and observe it for at least {DAYS_ADVISED} days"
            ),
            (Some(_), Readiness::WouldDeny { .. } | Readiness::NeverObserved) => format!(
                "deal with each of these accounts, then observe again; at least {DAYS_ADVISED} days \
                 of report-only are recommended before `limited`"
            ),
            // Restarts take some minutes of each month.
            (Some(_), Readiness::Ready) if observed_ms + DAY_MS / 2 < advised_ms => format!(
                "observed for {} of the recommended {DAYS_ADVISED} days; callers that come once a \
                 month may be missing",
                duration(observed_ms)
            ),
            (Some(_), Readiness::Ready) if 0 < self.coverage.lost_events => format!(
                "observed for the recommended {DAYS_ADVISED} days, but {} missing, which may have \
                 been denials",
                match self.coverage.lost_events {
                    1 => "1 event is".to_owned(),
                    events => format!("{events} events are"),
                }
            ),
            (Some(_), Readiness::Ready) => {
                format!("observed for the recommended {DAYS_ADVISED} days; `limited` may be set")
            }
        }
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

fn write_account(out: &mut String, account: &AccountDenials, styles: Styles) -> fmt::Result {
    let (bold, dim) = (styles.bold, styles.dim);
    let caller = caller_text(&account.caller);
    let requests = counted(account.requests, "request", "requests");
    let identities = counted(account.identities.len(), "identity", "identities");
    writeln!(out, "  account {bold}{caller}{bold:#}  {requests}  {identities}")?;
    let suggestion = account.suggestion;
    writeln!(out, "    suggestion: {} ({})", suggestion.what(), suggestion.why())?;
    for identity in account.identities.iter().take(IDENTITIES_SHOWN) {
        let (kind, id) = (printable(&identity.identity_type), printable(&identity.id));
        let name = match identity.name.as_str() {
            "" => String::new(),
            name => format!(" ({})", printable(name)),
        };
        let (first, last) = (time::text(identity.first), time::text(identity.last));
        let requests = counted(identity.requests, "request", "requests");
        writeln!(out, "    {kind} {id}{name}  {requests}, {first} to {last}")?;
        for resource in identity.resources.iter().take(RESOURCES_SHOWN) {
            let id = printable(&resource.id);
            // A single one has the identity's own count.
            if identity.resources.len() == 1 && identity.other_resources == 0 {
                writeln!(out, "      {dim}{id}{dim:#}")?;
            } else {
                writeln!(out, "      {:>6} x {dim}{id}{dim:#}", resource.requests)?;
            }
        }
        more(out, "resources", identity.resources.len(), RESOURCES_SHOWN)?;
    }
    more(out, "identities", account.identities.len(), IDENTITIES_SHOWN)
}

fn write_entries(out: &mut String, allowlist: &Allowlist) -> fmt::Result {
    let all = allowlist.entries;
    for (entries, what) in [
        (&allowlist.admitted_nobody, "admitted nobody"),
        (&allowlist.cannot_tell, "may have admitted somebody: the mode records no permits of it"),
    ] {
        if entries.is_empty() {
            continue;
        }
        let shown: Vec<_> = entries.iter().take(ENTRIES_SHOWN).map(String::as_str).collect();
        let shown = shown.join(", ");
        let more = match entries.len().saturating_sub(ENTRIES_SHOWN) {
            0 => String::new(),
            rest => format!(" and {rest} more"),
        };
        writeln!(out, "  {} of {all} entries {what}: {shown}{more}", entries.len())?;
    }
    if !allowlist.unobserved_types.is_empty() {
        let types = allowlist.unobserved_types.join(", ");
        writeln!(out, "  the present setting records no permits of: {types}")?;
    }
    Ok(())
}

/// A caller account for people.
pub(super) fn caller_text(caller: &str) -> Cow<'_, str> {
    if caller.is_empty() { Cow::Borrowed("(none)") } else { printable(caller) }
}

/// A number with its noun.
pub fn counted(n: impl TryInto<u64>, one: &str, many: &str) -> String {
    match n.try_into().unwrap_or(u64::MAX) {
        1 => format!("1 {one}"),
        n => format!("{n} {many}"),
    }
}

/// A length of time in its two largest units.
pub(super) fn duration(millis: u64) -> String {
    let seconds = millis / 1000;
    let (days, hours) = (seconds / 86_400, seconds / 3600 % 24);
    let (minutes, rest) = (seconds / 60 % 60, seconds % 60);
    let pair = |large, unit, small, small_unit| match small {
        0 => format!("{large} {unit}"),
        small => format!("{large} {unit} {small} {small_unit}"),
    };
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{rest} s"),
        (0, 0, minutes) => pair(minutes, "min", rest, "s"),
        (0, hours, minutes) => pair(hours, "h", minutes, "min"),
        (days, hours, _) => pair(days, "d", hours, "h"),
    }
}

fn more(out: &mut String, what: &str, all: usize, shown: usize) -> fmt::Result {
    match all.checked_sub(shown) {
        None | Some(0) => Ok(()),
        Some(rest) => writeln!(out, "    … and {rest} more {what}"),
    }
}

/// A time for programs, to the second.
pub fn rfc3339(at: UnixMillis) -> String {
    let mut out = Vec::with_capacity(20);
    time::write_seconds(&mut out, at.seconds());
    out.push(b'Z');
    String::from_utf8_lossy(&out).into_owned()
}

/// What fits on a screen; the rest is in the JSON form.
const ACCOUNTS_SHOWN: usize = 8;
const IDENTITIES_SHOWN: usize = 3;
const RESOURCES_SHOWN: usize = 3;
const GAPS_SHOWN: usize = 3;
const LOSSES_SHOWN: usize = 3;
const ENTRIES_SHOWN: usize = 5;
