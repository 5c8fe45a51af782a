//! The readiness report as one page that needs nothing else: no script, no font, no network.
//!
//! Flows in: a report. Flows out: HTML with inline styles and plots. Every text from outside is
//! escaped; a table says what each plot shows.

use std::borrow::Cow;
use std::fmt::{self, Write as _};

use crate::clock::UnixMillis;
use crate::event::report::plot::{SERIES_MAX, Stacked, bar, timeline};
use crate::event::report::text::{caller_text, counted, duration, printable};
use crate::event::report::{
    AccountDenials, AddedBy, Admitted, Allowlist, Cover, IdentityDenials, Readiness,
    ReadinessReport, Series,
};
use crate::event::time;

impl ReadinessReport {
    /// The report as a page.
    pub fn to_html(&self) -> String {
        let mut out = String::with_capacity(PAGE_BYTES_USUAL);
        // Writing to a string can't fail.
        let _ = self.write_page(&mut out);
        out
    }

    fn write_page(&self, out: &mut String) -> fmt::Result {
        let account = escaped(&self.account);
        write!(
            out,
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; \
             style-src 'unsafe-inline'; img-src data:\">\n<link rel=\"icon\" href=\"data:,\">\n\
             <title>Readiness of account {account}</title>\n<style>\n{STYLE}</style>\n</head>\n\
             <body>\n<main>\n"
        )?;
        self.page_header(out)?;
        self.page_figures(out)?;
        self.page_coverage(out)?;
        if !self.denials.is_empty() || 0 < self.ungrouped_denials {
            self.page_over_time(out)?;
            self.page_top_identities(out)?;
            self.page_denials(out)?;
        }
        self.page_admitted(out)?;
        self.page_added(out)?;
        out.write_str(
            "<footer>Made from the event log by <code>crossgate report readiness</code>; times are \
             UTC.</footer>\n</main>\n</body>\n</html>\n",
        )
    }

    fn page_header(&self, out: &mut String) -> fmt::Result {
        let class = match self.readiness {
            Readiness::Ready => "ready",
            Readiness::NeverObserved | Readiness::WouldDeny { .. } => "notready",
        };
        writeln!(
            out,
            "<header>\n<h1>Is account {} ready for <code>limited</code>?</h1>\n\
             <div class=\"verdict {class}\">{}</div>\n<p class=\"reason\">{}.</p>\n\
             <p class=\"soft\">{}.</p>\n</header>",
            escaped(&self.account),
            self.verdict(),
            marked(&capital(&self.reason())),
            marked(&capital(&self.advice()))
        )
    }

    fn page_figures(&self, out: &mut String) -> fmt::Result {
        let (denials, accounts) = match self.readiness {
            Readiness::WouldDeny { requests, accounts } => (requests, accounts),
            Readiness::NeverObserved | Readiness::Ready => (0, 0),
        };
        let admitted: u64 = self.admitted.iter().map(|admitted| admitted.requests).sum();
        let lost = self.coverage.lost_events;
        let uncovered = self.coverage.window_ms().saturating_sub(self.coverage.observed_ms());
        out.push_str("<dl class=\"figures\">\n");
        for (name, value, alert) in [
            ("would be denied", denials.to_string(), 0 < denials),
            ("caller accounts", accounts.to_string(), false),
            ("would be admitted", admitted.to_string(), false),
            ("observed", duration(self.coverage.observed_ms()), false),
            ("not known", duration(uncovered), false),
            ("events lost", lost.to_string(), 0 < lost),
        ] {
            let class = if alert { " class=\"alert\"" } else { "" };
            writeln!(out, "<div><dt>{name}</dt><dd{class}>{value}</dd></div>")?;
        }
        out.write_str("</dl>\n")
    }

    fn page_coverage(&self, out: &mut String) -> fmt::Result {
        let coverage = &self.coverage;
        let by = self.observed.as_ref().map_or("nothing", |observed| observed.by.as_str());
        writeln!(
            out,
            "<section aria-labelledby=\"coverage\">\n<h2 id=\"coverage\">What is known of the time</h2>\n\
             <p class=\"soft small\">{} to {}, observed by {by}. Time without an event counts as quiet \
             only while the proxy ran and the account was observed: {} with events, {} quiet, {} in \
             part not known, {} not known at all.</p>",
            time::text(coverage.since),
            time::text(coverage.until),
            counted(self.days.with_events, "day", "days"),
            self.days.quiet,
            self.days.part,
            self.days.uncovered
        )?;
        timeline(coverage, out)?;
        out.push_str("\n<ul class=\"legend\">\n");
        for (class, name) in [
            ("observed", "observed"),
            ("dark", "no event tells that the proxy ran"),
            ("unknown", "the setting is not known"),
            ("unobserved", "not observed by the setting"),
        ] {
            writeln!(out, "<li>{}{name}</li>", swatch(class))?;
        }
        if 0 < coverage.lost_events {
            out.push_str(
                "<li><svg aria-hidden=\"true\" width=\"12\" height=\"12\"><line class=\"loss\" \
                 x1=\"6\" x2=\"6\" y1=\"0\" y2=\"12\"/></svg>events lost</li>\n",
            );
        }
        out.push_str("</ul>\n");
        self.page_uncovered(out)?;
        out.write_str("</section>\n")
    }

    fn page_uncovered(&self, out: &mut String) -> fmt::Result {
        let coverage = &self.coverage;
        let uncovered: Vec<_> = coverage.uncovered_seconds().collect();
        if uncovered.is_empty() && coverage.losses.is_empty() {
            return Ok(());
        }
        let open = if uncovered.len() + coverage.losses.len() <= ROWS_OPEN { " open" } else { "" };
        write!(
            out,
            "<details{open}><summary>Time that is not known, and events that are missing</summary>\n\
             <div class=\"scroll\"><table><thead><tr><th scope=\"col\">from</th>\
             <th scope=\"col\" class=\"wide\">to</th><th scope=\"col\">for</th>\
             <th scope=\"col\">what</th></tr>\
             </thead><tbody>\n"
        )?;
        for segment in uncovered.iter().take(ROWS_MAX) {
            write_row(out, segment.from, segment.to, segment.cover.why())?;
        }
        for loss in coverage.losses.iter().take(ROWS_MAX) {
            let what = counted(loss.events, "event is missing", "events are missing");
            write_row(out, loss.after, loss.before, &what)?;
        }
        out.push_str("</tbody></table></div>\n");
        write_rest(out, uncovered.len().max(coverage.losses.len()), ROWS_MAX)?;
        out.write_str("</details>\n")
    }

    fn page_over_time(&self, out: &mut String) -> fmt::Result {
        // The log's own time: of thirty days before it began there is nothing to show.
        let known = self.coverage.segments.iter().find(|it| it.cover != Cover::BeforeLog);
        let from = known.map_or(self.coverage.since, |segment| segment.from);
        let to = self.coverage.until;
        let width_ms = self.over_time.width_for(to.0.saturating_sub(from.0), BARS_MAX);
        // One bar alone is no plot; before the log's time nothing is known, and that is shown.
        let from = UnixMillis(from.0.min(to.0.saturating_sub((BARS_MIN - 1) * width_ms)));
        let (series, names) = shown_series(self.over_time.series(from, to, width_ms));
        out.push_str(
            "<section aria-labelledby=\"time\">\n<h2 id=\"time\">Would-be denials over time</h2>\n\
             <p class=\"soft small\">By caller account; also of those that were admitted since.</p>\n",
        );
        let from = UnixMillis(from.0 / width_ms * width_ms);
        let title = "Would-be denials over time by caller account";
        let coverage = &self.coverage;
        Stacked { title, series: &series, names: &names, from, width_ms, coverage }.write(out)?;
        out.push_str("\n<ul class=\"legend\">\n");
        for (colour, name) in names.iter().enumerate() {
            writeln!(out, "<li>{}<code>{name}</code></li>", swatch(&format!("c{colour}")))?;
        }
        writeln!(out, "<li>{}not known</li>", swatch("dark"))?;
        out.push_str(
            "</ul>\n<details><summary>The numbers</summary>\n<div class=\"scroll\"><table>\
             <thead><tr><th scope=\"col\">from</th>",
        );
        for name in &names {
            write!(out, "<th scope=\"col\" class=\"number\">{name}</th>")?;
        }
        out.push_str("</tr></thead><tbody>\n");
        let buckets = series.iter().map(|series| series.counts.len()).max().unwrap_or(0);
        for (place, bucket) in (0..buckets).zip(0_u64..) {
            let counts = series.iter().map(|series| series.counts.get(place).unwrap_or(&0));
            if counts.clone().all(|count| *count == 0) {
                continue;
            }
            let begin = time::text(UnixMillis(from.0 + bucket * width_ms));
            write!(out, "<tr><td class=\"time\">{begin}</td>")?;
            for count in counts {
                write!(out, "<td class=\"number\">{count}</td>")?;
            }
            out.push_str("</tr>\n");
        }
        out.write_str("</tbody></table></div></details>\n</section>\n")
    }

    fn page_top_identities(&self, out: &mut String) -> fmt::Result {
        let mut identities: Vec<(&AccountDenials, &IdentityDenials)> = self
            .denials
            .iter()
            .flat_map(|account| account.identities.iter().map(move |it| (account, it)))
            .collect();
        identities.sort_by_key(|(_, identity)| std::cmp::Reverse(identity.requests));
        let most = identities.first().map_or(1, |(_, identity)| identity.requests);
        out.push_str(
            "<section aria-labelledby=\"identities\">\n<h2 id=\"identities\">Who would be denied most\
             </h2>\n<div class=\"scroll\"><table><thead><tr><th scope=\"col\">identity</th>\
             <th scope=\"col\">account</th><th scope=\"col\" class=\"number\">requests</th>\
             <th scope=\"col\" class=\"wide\"><span class=\"soft\">share</span></th></tr></thead><tbody>\n",
        );
        for (account, identity) in identities.iter().take(TOP_MAX) {
            writeln!(
                out,
                "<tr><td>{}</td><td class=\"id\"><code>{}</code></td>\
                 <td class=\"number\">{}</td><td class=\"barcell wide\">{}</td></tr>",
                identity_text(identity),
                escaped(&caller_text(&account.caller)),
                identity.requests,
                bar(identity.requests, most, "c0")
            )?;
        }
        out.push_str("</tbody></table></div>\n");
        write_rest(out, identities.len(), TOP_MAX)?;
        out.write_str("</section>\n")
    }

    fn page_denials(&self, out: &mut String) -> fmt::Result {
        out.push_str(
            "<section aria-labelledby=\"denials\">\n<h2 id=\"denials\">What to do about each account\
             </h2>\n",
        );
        for account in self.denials.iter().take(ACCOUNTS_MAX) {
            write_account(out, account)?;
        }
        write_rest(out, self.denials.len(), ACCOUNTS_MAX)?;
        if 0 < self.ungrouped_denials {
            let requests = counted(self.ungrouped_denials, "request", "requests");
            writeln!(out, "<p class=\"soft small\">And {requests} beyond the most groups.</p>")?;
        }
        out.write_str("</section>\n")
    }

    fn page_admitted(&self, out: &mut String) -> fmt::Result {
        out.push_str(
            "<section aria-labelledby=\"allowlist\">\n<h2 id=\"allowlist\">What each allowlist entry \
             admitted</h2>\n",
        );
        if self.admitted.is_empty() {
            out.push_str("<p class=\"soft small\">No request was recorded as admitted.</p>\n");
        } else {
            out.push_str(
                "<div class=\"scroll\"><table><thead><tr><th scope=\"col\">account</th>\
                 <th scope=\"col\" class=\"number\">requests</th>\
                 <th scope=\"col\" class=\"wide\"><span class=\"soft\">share</span></th>\
                 <th scope=\"col\" class=\"number\">identities</th>\
                 <th scope=\"col\" class=\"wide\">last</th></tr></thead><tbody>\n",
            );
            let most = self.admitted.first().map_or(1, |admitted| admitted.requests);
            for admitted in self.admitted.iter().take(ROWS_MAX) {
                write_admitted(out, admitted, most)?;
            }
            out.push_str("</tbody></table></div>\n");
            write_rest(out, self.admitted.len(), ROWS_MAX)?;
        }
        match &self.allowlist {
            Some(allowlist) => write_entries(out, allowlist)?,
            None => out.push_str(
                "<p class=\"soft small\">Whether entries admitted nobody is not known: the settings \
                 were not given.</p>\n",
            ),
        }
        out.write_str("</section>\n")
    }

    fn page_added(&self, out: &mut String) -> fmt::Result {
        if self.added.is_empty() {
            return Ok(());
        }
        out.push_str(
            "<section aria-labelledby=\"added\">\n<h2 id=\"added\">What changes of the allowlist did\
             </h2>\n<div class=\"scroll\"><table><thead><tr><th scope=\"col\">account</th>\
             <th scope=\"col\">added</th><th scope=\"col\" class=\"number\">permits since, each a \
             denial without</th></tr></thead><tbody>\n",
        );
        for added in self.added.iter().take(ROWS_MAX) {
            let known = match added.by {
                AddedBy::FirstPermit => "at the latest ",
                AddedBy::Update => "",
            };
            writeln!(
                out,
                "<tr><td><code>{}</code> <span class=\"soft\">{}</span></td><td>{known}{}</td>\
                 <td class=\"number\">{}</td></tr>",
                escaped(&caller_text(&added.caller)),
                escaped(&added.identity_type),
                time::text(added.at),
                added.permits
            )?;
        }
        out.push_str("</tbody></table></div>\n");
        write_rest(out, self.added.len(), ROWS_MAX)?;
        out.write_str("</section>\n")
    }
}

/// The series with the most, the rest together, with names to show.
fn shown_series(mut series: Vec<Series>) -> (Vec<Series>, Vec<String>) {
    let total = |series: &Series| series.counts.iter().sum::<u64>();
    series.retain(|series| 0 < total(series));
    series.sort_by_key(|series| std::cmp::Reverse(total(series)));
    let rest =
        if SERIES_MAX < series.len() { series.split_off(SERIES_MAX - 1) } else { Vec::new() };
    let mut names: Vec<String> =
        series.iter().map(|series| escaped(&caller_text(&series.key)).into_owned()).collect();
    if let Some(first) = rest.first() {
        let mut counts = vec![0; first.counts.len()];
        for other in &rest {
            counts.iter_mut().zip(&other.counts).for_each(|(sum, count)| *sum += count);
        }
        series.push(Series { key: String::new(), counts });
        names.push(format!("{} others", rest.len()));
    }
    (series, names)
}

fn write_account(out: &mut String, account: &AccountDenials) -> fmt::Result {
    let suggestion = account.suggestion;
    writeln!(
        out,
        "<div class=\"account\">\n<h3><code>{}</code></h3>\n<p class=\"small\">{} of {}, {} to {}. \
         <span class=\"chip\">{}</span> <span class=\"soft\">{}</span></p>",
        escaped(&caller_text(&account.caller)),
        counted(account.requests, "request", "requests"),
        counted(account.identities.len(), "identity", "identities"),
        time::text(account.first),
        time::text(account.last),
        suggestion.what(),
        suggestion.why()
    )?;
    out.push_str(
        "<details><summary>Identities and resources</summary>\n<div class=\"scroll\"><table><thead>\
         <tr><th scope=\"col\">identity</th><th scope=\"col\">resource</th>\
         <th scope=\"col\" class=\"number\">requests</th><th scope=\"col\" class=\"wide\">last</th>\
         </tr></thead><tbody>\n",
    );
    for identity in account.identities.iter().take(ROWS_MAX) {
        for resource in identity.resources.iter().take(RESOURCES_MAX) {
            writeln!(
                out,
                "<tr><td>{}</td><td><code>{}</code></td><td class=\"number\">{}</td>\
                 <td class=\"time wide\">{}</td></tr>",
                identity_text(identity),
                escaped(&resource.id),
                resource.requests,
                time::text(resource.last)
            )?;
        }
        let listed = identity.resources.iter().take(RESOURCES_MAX).map(|it| it.requests);
        let rest = identity.requests.saturating_sub(listed.sum());
        if 0 < rest {
            writeln!(
                out,
                "<tr><td>{}</td><td class=\"soft\">other resources</td><td class=\"number\">{rest}\
                 </td><td class=\"wide\"></td></tr>",
                identity_text(identity)
            )?;
        }
    }
    out.push_str("</tbody></table></div>\n");
    write_rest(out, account.identities.len(), ROWS_MAX)?;
    out.write_str("</details>\n</div>\n")
}

fn write_admitted(out: &mut String, admitted: &Admitted, most: u64) -> fmt::Result {
    writeln!(
        out,
        "<tr><td><code>{}</code></td><td class=\"number\">{}</td><td class=\"barcell wide\">{}</td>\
         <td class=\"number\">{}</td><td class=\"time wide\">{}</td></tr>",
        escaped(&caller_text(&admitted.caller)),
        admitted.requests,
        bar(admitted.requests, most, "c2"),
        admitted.identities,
        time::text(admitted.last)
    )
}

fn write_entries(out: &mut String, allowlist: &Allowlist) -> fmt::Result {
    for (entries, what) in [
        (&allowlist.admitted_nobody, "admitted nobody"),
        (
            &allowlist.cannot_tell,
            "may have admitted somebody: the present mode records no permits of them",
        ),
    ] {
        if entries.is_empty() {
            continue;
        }
        let (count, all) = (entries.len(), allowlist.entries);
        writeln!(
            out,
            "<p class=\"small\">{count} of {all} entries {what}:</p>\n<ul class=\"listed\">"
        )?;
        for entry in entries.iter().take(ROWS_MAX) {
            writeln!(out, "<li><code>{}</code></li>", escaped(entry))?;
        }
        out.push_str("</ul>\n");
        write_rest(out, entries.len(), ROWS_MAX)?;
    }
    if !allowlist.unobserved_types.is_empty() {
        let types = allowlist.unobserved_types.join(", ");
        writeln!(
            out,
            "<p class=\"soft small\">The present setting records no permits of: {types}.</p>"
        )?;
    }
    Ok(())
}

fn write_row(out: &mut String, from: UnixMillis, to: UnixMillis, what: &str) -> fmt::Result {
    writeln!(
        out,
        "<tr><td class=\"time\">{}</td><td class=\"time wide\">{}</td>\
         <td class=\"time\">{}</td><td>{what}</td></tr>",
        time::text(from),
        time::text(to),
        duration(to.0.saturating_sub(from.0))
    )
}

fn write_rest(out: &mut String, all: usize, shown: usize) -> fmt::Result {
    match all.saturating_sub(shown) {
        0 => Ok(()),
        rest => writeln!(
            out,
            "<p class=\"soft small\">And {rest} more; <code>--format json</code> has them.</p>"
        ),
    }
}

fn identity_text(identity: &IdentityDenials) -> String {
    let (kind, id) = (escaped(&identity.identity_type), escaped(&identity.id));
    let name = match identity.name.as_str() {
        "" => String::new(),
        name => format!(" {}", escaped(name)),
    };
    format!("<code>{id}</code>{name} <span class=\"soft\">{kind}</span>")
}

fn swatch(class: &str) -> String {
    format!(
        "<svg aria-hidden=\"true\" width=\"12\" height=\"12\"><rect class=\"{class}\" width=\"12\" \
         height=\"12\" rx=\"2\"/></svg>"
    )
}

fn capital(text: &str) -> String {
    let mut characters = text.chars();
    let first = characters.next().map(|first| first.to_uppercase().to_string());
    first.unwrap_or_default() + characters.as_str()
}

/// A sentence of ours, its words in backticks as code.
fn marked(text: &str) -> String {
    let parts = text.split('`').enumerate();
    let parts = parts.map(|(index, part)| match index % 2 {
        0 => escaped(part).into_owned(),
        _ => format!("<code>{}</code>", escaped(part)),
    });
    parts.collect()
}

/// A text from outside as it may stand in the page.
fn escaped(text: &str) -> Cow<'_, str> {
    let text = printable(text);
    if !text.contains(['&', '<', '>', '"', '\'']) {
        return text;
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    Cow::Owned(escaped)
}

const STYLE: &str = include_str!("page.css");
const PAGE_BYTES_USUAL: usize = 64 * 1024;
/// The most bars beside each other.
const BARS_MAX: u64 = 60;
/// The fewest.
const BARS_MIN: u64 = 12;
/// The most rows of a table, identities of the first one, accounts, and resources of an identity.
const ROWS_MAX: usize = 200;
const TOP_MAX: usize = 12;
const ACCOUNTS_MAX: usize = 50;
const RESOURCES_MAX: usize = 10;
/// A table of so many rows is open from the start.
const ROWS_OPEN: usize = 6;
