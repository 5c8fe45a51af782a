//! The act of the encrypted order. Pure.

use std::fmt::Write as _;

use crate::cli::demo::cast::{Caller, PAY};
use crate::cli::demo::policies::{OPEN, SHARED};
use crate::cli::demo::screen::{COLUMNS, QUOTE, Screen, caller_text, wrap};
use crate::cli::demo::story::{Asked, Mend, Sharing};

impl Screen {
    /// The order that is refused, explained, mended and allowed.
    pub(in crate::cli::demo) fn sharing(self, sharing: &Sharing) -> String {
        let Self { bold, dim, bad, .. } = self;
        let owner = PAY.name;
        let title = format!(
            "Order {SHARED} of {owner} is encrypted and shared with Parcel: three policies must agree"
        );
        let mut out = self.heading(4, &title);
        let Sharing { refused, explained, proposed, mend } = sharing;
        let code = &refused.code;
        let why = format!("{code}; which of the three says no? {bold}crossgate explain{bold:#}");
        self.answer(&mut out, refused, &why);
        for line in excerpt(&explained.text) {
            let line = line.replacen(LACKING, &format!("{bad}{LACKING}{bad:#}"), 1);
            for line in wrap(&line, COLUMNS - QUOTE.len()) {
                let _ = writeln!(out, "{dim}{QUOTE}{dim:#}{line}");
            }
        }
        let why = "a candidate with a mended key policy would permit: recorded only";
        self.answer(&mut out, proposed, why);
        self.mend(&mut out, mend);
        let _ = writeln!(
            out,
            "   Across accounts the policies of the order, of the caller and of the key must all \
             allow. Acts 1\n   to 3 are about order {OPEN}, whose policy admits everybody: there the \
             perimeter alone decides."
        );
        out
    }

    fn mend(self, out: &mut String, mend: &Mend) {
        let Mend { sent, answered, refusals, after } = mend;
        if let Some(asked) = after.last() {
            let plural = if *refusals == 1 { "refusal" } else { "refusals" };
            let why = format!("its file is in place, and in force after {refusals} more {plural}");
            self.answer(out, asked, &why);
        }
        let lost = sent.saturating_sub(*answered);
        let style = if lost == 0 { self.good } else { self.bad };
        let (owner, status) = (caller_text(Caller::Own), self.status(200));
        let lost = format!("{style}{lost} lost{style:#}");
        let _ = writeln!(out, "   {owner}{status} on {answered} of {sent} meanwhile; {lost}");
    }

    fn answer(self, out: &mut String, asked: &Asked, why: &str) {
        let status = self.status(asked.status);
        let _ = writeln!(out, "   {}{status} {why}", caller_text(asked.caller));
    }
}

/// What policies say, side by side, without the statements; each line once.
fn excerpt(explained: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let policy = explained.lines().skip_while(|line| !line.starts_with("policy"));
    for line in policy.take_while(|line| !line.starts_with("result")) {
        let line = match line.chars().take_while(|c| *c == ' ').count() {
            0 => line.to_owned(),
            SIDE => format!("  {}", line.trim_start()),
            _ => continue,
        };
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    lines
}

/// How far `explain` indents what a side says; its statements are further in.
const SIDE: usize = 11;
/// How `explain` begins what a side lacks.
const LACKING: &str = "lacking:";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_has_the_sides_of_the_policies_and_each_line_once() {
        let explained = "\
perimeter  permit (account_allowlisted)
           settings.yaml:3:3: mode limited
policy     implicit deny (key); mode limited, enforced
           resource policy of order/8: allows it
             matched: Allow order/8, statement 1
           identity policies of user/pat: allow it
           identity policies of user/pat: allow it
           lacking: the key policy does not let it
result     403 policy_denied
";
        assert_eq!(
            excerpt(explained),
            [
                "policy     implicit deny (key); mode limited, enforced",
                "  resource policy of order/8: allows it",
                "  identity policies of user/pat: allow it",
                "  lacking: the key policy does not let it",
            ]
        );
        assert_eq!(excerpt("perimeter  permit\nresult     forwarded\n"), [""; 0]);
    }
}
