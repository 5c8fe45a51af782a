//! The story as text for somebody who sees it for the first time. Pure; says the same in grey.
//!
//! Flows in: what happened. Flows out: lines of at most [`COLUMNS`] columns.

mod invitation;
mod sessions;
mod sharing;

use std::fmt::Write as _;
use std::path::Path;

use anstyle::{AnsiColor, Style};
use serde_json::Value;

use crate::cli::demo::cast::{self, Caller, OWNERS, Owner, account_name};
use crate::cli::demo::story::{Asked, Group, Note, QUERIES, Switch, groups, note};
use crate::event::query::QueryError;
use crate::event::replay::ReplayReport;
use crate::event::report::{Colour, ReadinessReport};
use crate::verdict::Mode;

pub(super) use invitation::{Command, Commands, Place, RoleCommands};

/// Renders, in colour or without.
#[derive(Clone, Copy, Debug)]
pub(super) struct Screen {
    colour: Colour,
    bold: Style,
    dim: Style,
    good: Style,
    bad: Style,
    watch: Style,
}

impl Screen {
    pub(super) fn new(colour: Colour) -> Self {
        let plain = Style::new();
        match colour {
            Colour::Plain => {
                Self { colour, bold: plain, dim: plain, good: plain, bad: plain, watch: plain }
            }
            Colour::Ansi => Self {
                colour,
                bold: plain.bold(),
                dim: plain.dimmed(),
                good: AnsiColor::Green.on_default(),
                bad: AnsiColor::Red.on_default().bold(),
                watch: AnsiColor::Yellow.on_default(),
            },
        }
    }

    /// What this is.
    pub(super) fn opening(self) -> String {
        let Self { bold, dim, .. } = self;
        format!(
            "{bold}crossgate{bold:#}: who may come in from other accounts, decided for each request\n\
             {dim}An identity provider, a service and the proxy before it, in this process, over \
             loopback.{dim:#}\n"
        )
    }

    /// The table of all callers at all accounts.
    pub(super) fn answers(self, answers: &[Asked], events: &[Value]) -> String {
        let mut out = self.heading(1, "Four callers ask three accounts of Acme for an order");
        let Self { bold, dim, .. } = self;
        let cells = OWNERS.map(|owner| {
            let Owner { name, id, .. } = owner;
            let padding = CELL.saturating_sub(name.len() + 1 + id.len());
            format!("{bold}{name}{bold:#} {dim}{id}{dim:#}{:padding$}", "")
        });
        let _ = writeln!(out, "   {:CALLER$}{}", "", cells.concat().trim_end());
        let cells = OWNERS.map(|owner| pad(dim, owner.mode.as_str(), CELL));
        let _ = writeln!(out, "   {:CALLER$}{}", "", cells.concat().trim_end());
        let cells = OWNERS.map(|owner| pad(dim, admits(owner.mode), CELL));
        let _ = writeln!(out, "   {:CALLER$}{}", "", cells.concat().trim_end());
        for caller in Caller::FOUR {
            let row = answers.iter().filter(|asked| asked.caller == caller);
            let cells: String = row.map(|asked| self.cell(asked, note(asked, events))).collect();
            let _ = writeln!(out, "   {}{}", caller_text(caller), cells.trim_end());
        }
        out.push_str(
            "   All tokens are good; what counts is the account that a token belongs to. Parcel is \
             on the\n   allowlists of acme-shop and acme-pay; Stray is a stranger, so acme-pay \
             refuses sam. In a trusted\n   profile of Acme's the same sam counts as Acme's own.\n",
        );
        out
    }

    /// What limiting would break.
    pub(super) fn preview(
        self,
        candidate: &ReadinessReport,
        readiness: &ReadinessReport,
    ) -> String {
        let Self { bold, dim, watch, .. } = self;
        let mut out =
            self.heading(2, "What would `limited` break? Known before anybody is refused");
        let _ = writeln!(
            out,
            "   {bold}acme-dev{bold:#}, its {watch}candidate{watch:#} (`limited`, empty allowlist): \
             {}",
            candidate.reason()
        );
        let _ = writeln!(
            out,
            "   {bold}acme-shop{bold:#}, its report-only events: crossgate report readiness"
        );
        let report = readiness.to_text(self.colour);
        for line in report.lines().filter(|line| !line.is_empty()) {
            for line in wrap(line, COLUMNS - QUOTE.len()) {
                let _ = writeln!(out, "{dim}{QUOTE}{dim:#}{line}");
            }
        }
        out
    }

    /// The change of the mode.
    pub(super) fn switch(self, switch: &Switch) -> String {
        let title = "acme-shop goes from report-only to `limited` while Parcel keeps asking";
        let mut out = self.heading(3, title);
        let _ = writeln!(
            out,
            "   {:CALLER$}{} in force from this answer on, and in settings.yaml",
            "operator PATCHes the setting",
            self.status(switch.status)
        );
        let Switch { sent, answered, answered_before, .. } = *switch;
        let lost = sent.saturating_sub(answered);
        let rest = sent.saturating_sub(answered_before);
        let style = if lost == 0 { self.good } else { self.bad };
        let _ = writeln!(
            out,
            "   {}{} on {answered} of {sent}: {answered_before} before, {rest} during and after; \
             {style}{lost} lost{style:#}",
            caller_text(Caller::Partner),
            self.status(200),
        );
        for asked in switch.after.iter().filter(|asked| asked.caller != Caller::Partner) {
            let why = match asked.caller {
                Caller::Own => "acme-shop's own user".to_owned(),
                Caller::Partner => "on the allowlist".to_owned(),
                Caller::Stranger | Caller::Developer(_) => asked.code.clone(),
                Caller::Profile => {
                    format!("the service is told x-crossgate-account: {}", asked.told_account)
                }
            };
            let status = self.status(asked.status);
            let line = format!("   {}{status} {why}", caller_text(asked.caller));
            let _ = writeln!(out, "{}", line.trim_end());
        }
        out
    }

    /// The standard queries.
    pub(super) fn queries(self, events: &[Value]) -> Result<String, QueryError> {
        let mut out = self.heading(
            6,
            "What was recorded, of `limited` denials alone: crossgate events query '…'",
        );
        let Self { bold, dim, .. } = self;
        for query in QUERIES {
            let groups = groups(query, events)?;
            let events: usize = groups.iter().map(|group| group.events).sum();
            let _ = writeln!(out, "   {dim}{query:QUERY$}{dim:#}{bold}{events:>6} events{bold:#}");
            for line in groups.iter().flat_map(|found| wrap(&group(found), COLUMNS)) {
                let _ = writeln!(out, "{line}");
            }
        }
        Ok(out)
    }

    /// What a setting that never was would have done to all of this.
    pub(super) fn replay(self, owner: &Owner, report: &ReplayReport) -> String {
        let Self { bold, dim, .. } = self;
        let (denied, requests) = (report.newly_denied.requests(), report.requests);
        let accounts = report.newly_denied.accounts();
        let callers: Vec<&str> =
            accounts.iter().map(|account| account_name(&account.caller)).collect();
        format!(
            "   With {}'s allowlist empty, {dim}crossgate replay{dim:#}: {bold}{denied}{bold:#} of \
             {requests} newly denied, of {}\n",
            owner.name,
            callers.join(", ")
        )
    }

    /// Where the files are that were to be kept.
    pub(super) fn kept(self, directory: &Path) -> String {
        let bold = self.bold;
        let config = directory.join("crossgate.yaml");
        format!(
            "\nAll files are in {bold}{}{bold:#}, for example for\n\
             crossgate report readiness --account {} --format html --config {}\n",
            directory.display(),
            cast::SHOP.id,
            config.display()
        )
    }

    /// The end: whether all was as it had to be.
    pub(super) fn verdict(self, differences: &[String]) -> String {
        let Self { bold, good, bad, .. } = self;
        if differences.is_empty() {
            return format!(
                "\n{good}Everything came out as expected.{good:#} Try it yourself: \
                 {bold}crossgate demo{bold:#}\n"
            );
        }
        let mut out = format!("\n{bad}The story did not come out as expected:{bad:#}\n");
        for difference in differences {
            let _ = writeln!(out, "  {difference}");
        }
        out
    }

    fn heading(self, number: u8, title: &str) -> String {
        let bold = self.bold;
        format!("\n{bold}{number}  {title}{bold:#}\n")
    }

    fn cell(self, asked: &Asked, note: Option<Note>) -> String {
        let (style, words) = match note {
            None => (self.dim, ""),
            Some(Note::CandidateDenies) => (self.watch, "candidate: deny"),
            Some(Note::Denied) => (self.bad, "denied"),
            Some(Note::Permitted) => (self.good, "would permit"),
            Some(Note::WouldDeny) => (self.watch, "would deny"),
        };
        format!("{} {}", self.status(asked.status), pad(style, words, CELL - 4))
    }

    fn status(self, status: u16) -> String {
        let style = if status < 300 { self.good } else { self.bad };
        format!("{style}{status}{style:#}")
    }
}

/// What a mode does, in a few words.
fn admits(mode: Mode) -> &'static str {
    match mode {
        Mode::Unrestricted => "everybody comes in",
        Mode::ReportOnly => "everybody, recorded",
        Mode::Limited => "itself and allowlist",
    }
}

fn caller_text(caller: Caller) -> String {
    format!("{:CALLER$}", format!("{} {}", caller.person(), caller.origin()))
}

fn pad(style: Style, text: &str, width: usize) -> String {
    let padding = width.saturating_sub(text.chars().count());
    if text.is_empty() {
        return " ".repeat(padding);
    }
    format!("{style}{text}{style:#}{:padding$}", "")
}

fn group(group: &Group) -> String {
    let caller = format!("{} of {}", group.caller, account_name(&group.caller_account));
    let standing = if group.by_candidate { "candidate: " } else { "" };
    let missing = match (group.by_policies, group.missing.as_str()) {
        (false, _) => String::new(),
        (true, "") => ", by policies".to_owned(),
        (true, missing) => format!(", missing: {missing}"),
    };
    let (events, owner, mode) = (group.events, account_name(&group.owner), &group.mode);
    format!("   {events:>6} x {caller:28} at {owner:10} {standing}{mode}{missing}")
}

/// Breaks a line between words; what comes after is indented as the line is.
fn wrap(line: &str, width: usize) -> Vec<String> {
    let visible = |text: &str| anstream::adapter::strip_str(text).to_string().chars().count();
    let indent = line.chars().take_while(|c| *c == ' ').count();
    let mut lines = vec![" ".repeat(indent)];
    for word in line.trim_start().split(' ') {
        let Some(last) = lines.last_mut() else { break };
        let is_first = last.trim().is_empty();
        if !is_first && width < visible(last) + 1 + visible(word) {
            lines.push(format!("{:indent$}{word}", "", indent = indent + 2));
            continue;
        }
        if !is_first {
            last.push(' ');
        }
        last.push_str(word);
    }
    lines
}

/// The widest line.
pub(super) const COLUMNS: usize = 100;
/// How wide callers, cells and queries are.
const CALLER: usize = 29;
const CELL: usize = 23;
const QUERY: usize = 74;
const QUOTE: &str = "   | ";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_break_between_words_under_their_indent() {
        let wrapped = |text| wrap(text, 12);
        assert_eq!(wrapped("short"), ["short"]);
        assert_eq!(wrapped("twelve colum"), ["twelve colum"]);
        assert_eq!(wrapped("thirteen colu"), ["thirteen", "  colu"]);
        assert_eq!(wrapped("  one two three four"), ["  one two", "    three", "    four"]);
        assert_eq!(wrapped("unbreakable-as-it-is"), ["unbreakable-as-it-is"]);
    }

    #[test]
    fn colour_takes_no_columns() {
        let line = format!("{0}aaaa{0:#} bbbb", AnsiColor::Red.on_default());
        assert_eq!(wrap(&line, 9), [line.as_str()]);
    }

    #[test]
    fn a_story_gone_wrong_says_how() {
        let screen = Screen::new(Colour::Plain);
        assert!(screen.verdict(&[]).contains("came out as expected"));
        let wrong = screen.verdict(&["1 of 200 requests were lost".to_owned()]);
        assert!(wrong.contains("did not come out as expected"));
        assert!(wrong.contains("\n  1 of 200 requests were lost\n"));
    }
}
