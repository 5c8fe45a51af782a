//! Plots of the readiness page, as inline SVG: positions in percent of the width, so that a plot is
//! as wide as its place and its text is never stretched.

use std::fmt::{self, Write as _};

use crate::clock::UnixMillis;
use crate::event::report::text::{counted, duration};
use crate::event::report::{Cover, Coverage, DAY_MS, Series};
use crate::event::time;

/// Bars over time, one colour for each series, stacked in their order.
pub(super) struct Stacked<'s> {
    pub(super) title: &'s str,
    pub(super) series: &'s [Series],
    /// The names of the series, escaped.
    pub(super) names: &'s [String],
    /// Where the first bucket begins.
    pub(super) from: UnixMillis,
    pub(super) width_ms: u64,
    /// What of the time is covered: where it is not, no bar does not mean no denial.
    pub(super) coverage: &'s Coverage,
}

impl Stacked<'_> {
    pub(super) fn write(&self, out: &mut String) -> fmt::Result {
        let buckets = self.series.iter().map(|series| series.counts.len()).max().unwrap_or(0);
        let totals: Vec<u64> = (0..buckets).map(|bucket| self.total(bucket)).collect();
        let top = round_up(totals.iter().copied().max().unwrap_or(0));
        let buckets_wide = u64::try_from(buckets).unwrap_or(u64::MAX).max(1);
        write!(out, "<svg class=\"plot\" role=\"img\" width=\"100%\" height=\"{HEIGHT_WHOLE}\">")?;
        write!(out, "<title>{}</title>", self.title)?;
        write!(
            out,
            "<desc>{} in {} bars of {}; the highest has {}.</desc>",
            counted(totals.iter().sum::<u64>(), "request", "requests"),
            buckets,
            duration(self.width_ms),
            totals.iter().copied().max().unwrap_or(0)
        )?;
        for (line, value) in [(0, top), (HEIGHT / 2, top / 2), (HEIGHT, 0)] {
            // Half of an odd number is no place between two requests.
            if line == HEIGHT / 2 && !top.is_multiple_of(2) {
                continue;
            }
            let y = TOP + line;
            write!(out, "<line class=\"grid\" x1=\"0\" x2=\"100%\" y1=\"{y}\" y2=\"{y}\"/>")?;
            if 0 < value {
                write!(out, "<text class=\"tick\" x=\"2\" y=\"{}\">{value}</text>", y - 3)?;
            }
        }
        let span = self.width_ms * buckets_wide;
        self.write_uncovered(out, span)?;
        for (bucket, total) in (0_u64..).zip(&totals).filter(|(_, total)| 0 < **total) {
            self.write_bar(out, (bucket, buckets_wide), top, *total)?;
        }
        write_times(out, self.from, UnixMillis(self.from.0 + span), TOP + HEIGHT + 16)?;
        out.write_str("</svg>")
    }

    fn write_uncovered(&self, out: &mut String, span: u64) -> fmt::Result {
        let end = UnixMillis(self.from.0 + span);
        for segment in self.coverage.uncovered().take(SEGMENTS_MAX) {
            let (from, to) = (segment.from.max(self.from), segment.to.min(end));
            let millis = to.0.saturating_sub(from.0);
            // What is narrower than a bar hides none.
            if millis < self.width_ms / 2 {
                continue;
            }
            write!(
                out,
                "<rect class=\"dark\" x=\"{}%\" y=\"{TOP}\" width=\"{}%\" height=\"{HEIGHT}\">\
                 <title>{} to {}: {}</title></rect>",
                percent(from.0 - self.from.0, span),
                percent(millis, span),
                time::text(segment.from),
                time::text(segment.to),
                segment.cover.why()
            )?;
        }
        Ok(())
    }

    fn write_bar(
        &self,
        out: &mut String,
        (bucket, buckets): (u64, u64),
        top: u64,
        total: u64,
    ) -> fmt::Result {
        let begin = UnixMillis(self.from.0 + bucket * self.width_ms);
        write!(out, "<g><title>{}", moment(begin, self.width_ms))?;
        let place = usize::try_from(bucket).unwrap_or(usize::MAX);
        let stack = self.series.iter().zip(self.names).enumerate();
        let stack = stack.filter_map(|(colour, (series, name))| {
            let count = series.counts.get(place).copied().filter(|count| 0 < *count)?;
            Some((colour, count, name))
        });
        for (_, count, name) in stack.clone() {
            write!(out, "\n{name}: {count}")?;
        }
        write!(out, "\ntogether: {total}</title>")?;
        // A bar leaves a sixth of its room to the gap beside it.
        let x = percent(bucket * 12 + 1, buckets * 12);
        let width = percent(10, buckets * 12);
        let mut below = 0;
        for (colour, count, _) in stack {
            let (low, high) = (scaled(below, top), scaled(below + count, top));
            let (y, height) = (TOP_CENTI + HEIGHT * 100 - high, (high - low).max(100));
            write!(
                out,
                "<rect class=\"c{colour}\" x=\"{x}%\" width=\"{width}%\" y=\"{}\" height=\"{}\"/>",
                centi(y),
                centi(height)
            )?;
            below += count;
        }
        out.write_str("</g>")
    }

    fn total(&self, bucket: usize) -> u64 {
        self.series.iter().filter_map(|series| series.counts.get(bucket)).sum()
    }
}

/// A strip that tells what of the window is covered, with a mark for each loss.
pub(super) fn timeline(coverage: &Coverage, out: &mut String) -> fmt::Result {
    let (since, window) = (coverage.since, coverage.window_ms().max(1));
    write!(out, "<svg class=\"plot\" role=\"img\" width=\"100%\" height=\"62\">")?;
    write!(
        out,
        "<title>Coverage</title><desc>The account was observed for {} of {}.</desc>\
         <defs><pattern id=\"hatch\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\" \
         patternTransform=\"rotate(45)\"><rect class=\"hatch-back\" width=\"6\" height=\"6\"/>\
         <rect class=\"hatch-line\" width=\"2\" height=\"6\"/></pattern></defs>",
        duration(coverage.observed_ms()),
        duration(window)
    )?;
    for segment in coverage.segments.iter().take(SEGMENTS_MAX) {
        let class = match segment.cover {
            Cover::Observed => "observed",
            Cover::NotObserved => "unobserved",
            Cover::SettingUnknown => "unknown",
            Cover::BeforeLog | Cover::AfterLog | Cover::BetweenRuns => "dark",
        };
        let x = percent(segment.from.0.saturating_sub(since.0), window);
        write!(
            out,
            "<rect class=\"{class}\" x=\"{x}%\" y=\"8\" width=\"{}%\" height=\"26\"><title>{} to {}: \
             {}</title></rect>",
            percent(segment.millis(), window),
            time::text(segment.from),
            time::text(segment.to),
            segment.cover.why()
        )?;
    }
    for loss in &coverage.losses {
        let x = percent(loss.after.0.saturating_sub(since.0), window);
        write!(
            out,
            "<line class=\"loss\" x1=\"{x}%\" x2=\"{x}%\" y1=\"2\" y2=\"40\"><title>{} missing after \
             {}</title></line>",
            counted(loss.events, "event is", "events are"),
            time::text(loss.after)
        )?;
    }
    write_times(out, since, coverage.until, 56)?;
    out.write_str("</svg>")
}

/// A bar beside a number of a table, which says the same.
pub(super) fn bar(part: u64, whole: u64, class: &str) -> String {
    format!(
        "<svg class=\"bar\" aria-hidden=\"true\" width=\"100%\" height=\"12\">\
         <rect class=\"{class}\" width=\"{}%\" height=\"12\" rx=\"2\"/></svg>",
        percent(part, whole)
    )
}

fn write_times(out: &mut String, from: UnixMillis, to: UnixMillis, y: u64) -> fmt::Result {
    let span = to.0.saturating_sub(from.0);
    for step in 0..=TICKS {
        let anchor = match step {
            0 => "start",
            TICKS => "end",
            _ => "middle",
        };
        let at = UnixMillis(from.0 + span / TICKS * step);
        write!(
            out,
            "<text class=\"tick\" x=\"{}%\" y=\"{y}\" text-anchor=\"{anchor}\">{}</text>",
            percent(step, TICKS),
            moment(at, span / TICKS)
        )?;
    }
    Ok(())
}

/// A time as exact as a step of an axis.
fn moment(at: UnixMillis, step_ms: u64) -> String {
    let text = time::text(at);
    let part = if DAY_MS <= step_ms { text.get(..10) } else { text.get(5..16) };
    part.unwrap_or_default().to_owned()
}

/// A share in percent, with two digits.
fn percent(part: u64, whole: u64) -> String {
    let share = u128::from(part) * 10_000 / u128::from(whole.max(1));
    format!("{}.{:02}", share / 100, share % 100)
}

/// A count in hundredths of the plot's pixels.
fn scaled(count: u64, top: u64) -> u64 {
    let scaled = u128::from(count) * u128::from(HEIGHT * 100) / u128::from(top.max(1));
    u64::try_from(scaled).unwrap_or(u64::MAX)
}

fn centi(value: u64) -> String {
    format!("{}.{:02}", value / 100, value % 100)
}

/// The next number that reads well: 1, 2 or 5 with noughts.
fn round_up(count: u64) -> u64 {
    let mut unit: u64 = 1;
    loop {
        for step in [1, 2, 5] {
            let round = unit.saturating_mul(step);
            if count <= round || round == u64::MAX {
                return round;
            }
        }
        unit = unit.saturating_mul(10);
    }
}

/// Colours of series; what follows is together in the last.
pub(super) const SERIES_MAX: usize = 7;
/// Times on an axis, but the first: they fit on a phone.
const TICKS: u64 = 3;
/// Above the plot, its bars, and with the axis.
const TOP: u64 = 16;
const TOP_CENTI: u64 = TOP * 100;
const HEIGHT: u64 = 160;
const HEIGHT_WHOLE: u64 = TOP + HEIGHT + 24;
/// More segments than pixels show nothing more.
const SEGMENTS_MAX: usize = 4000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_an_axis_read_well() {
        for (count, expected) in [(0, 1), (1, 1), (3, 5), (6, 10), (11, 20), (1_234, 2_000)] {
            assert_eq!(round_up(count), expected);
        }
        assert_eq!(round_up(u64::MAX), u64::MAX);
    }

    #[test]
    fn shares_are_percent() {
        assert_eq!(percent(1, 3), "33.33");
        assert_eq!(percent(0, 0), "0.00");
        assert_eq!(percent(u64::MAX, u64::MAX), "100.00");
    }
}
