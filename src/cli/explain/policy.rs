//! What the policies say, as it is written: each side, its statements with their places, and what
//! lacks.

use std::io::{self, Write};

use serde::Serialize;

use super::report::{BAD, DIM, GOOD, printable};
use crate::decision::{PolicyVerdict, PolicyVerdicts};
use crate::policy::explain::{Element, Step, Trace, Tried, TriedStatement};
use crate::policy::{Missing, Outcome, PolicyLayer, Side, StatementRef};
use crate::verdict::{Enforcement, Mode, Standing};

/// What the policies in force say, and those proposed.
#[derive(Debug, Serialize)]
pub(super) struct PolicyReport {
    pub(super) enforced: SetReport,
    pub(super) candidate: Option<SetReport>,
}

/// What one set of policies says.
#[derive(Debug, Serialize)]
pub(super) struct SetReport {
    mode: &'static str,
    is_enforced: bool,
    decision: &'static str,
    layer: &'static str,
    statements: Vec<StatementReport>,
    missing: Vec<&'static str>,
    lacks: Vec<String>,
    steps: Vec<StepReport>,
}

#[derive(Debug, Serialize)]
struct StepReport {
    layer: &'static str,
    asked: String,
    meaning: String,
    statements: Vec<TriedReport>,
}

#[derive(Debug, Serialize)]
struct TriedReport {
    #[serde(flatten)]
    statement: StatementReport,
    matched: bool,
    because: Option<String>,
}

#[derive(Debug, Serialize)]
struct StatementReport {
    policy: String,
    sid: String,
    index: u32,
    effect: &'static str,
    file: String,
    line: u32,
    column: u32,
}

impl PolicyReport {
    /// Whether the walk that explains came to another answer than the decision.
    pub(super) fn contradicts(&self, decided: &PolicyVerdicts<'_>) -> bool {
        let is_same = |told: &SetReport, decided: &PolicyVerdict<'_>| {
            told.decision == decided.answer.outcome.as_str()
        };
        let candidate_is_same = match (&self.candidate, &decided.candidate) {
            (Some(told), Some(decided)) => is_same(told, decided),
            (told, decided) => told.is_none() && decided.is_none(),
        };
        !(is_same(&self.enforced, &decided.enforced) && candidate_is_same)
    }
}

impl SetReport {
    /// What counts for a caller that no policy could mean.
    pub(super) fn of_nobody(mode: Mode, standing: Standing) -> Self {
        let mut missing = Missing::default();
        missing.add(Side::CallerIdentity);
        let trace = Trace {
            outcome: Outcome::ImplicitDeny,
            layer: PolicyLayer::Identity,
            missing,
            statements: Vec::new(),
            steps: Vec::new(),
            lacks: vec!["the token names no principal that a policy could mean".to_owned()],
        };
        Self::of(&trace, mode, standing)
    }

    /// What a set of policies says in a mode; a proposed one is never enforced.
    pub(super) fn of(trace: &Trace<'_>, mode: Mode, standing: Standing) -> Self {
        let enforcement = mode.enforcement();
        Self {
            mode: mode.as_str(),
            is_enforced: standing == Standing::Enforced && enforcement == Enforcement::Enforced,
            decision: trace.outcome.as_str(),
            layer: trace.layer.as_str(),
            statements: trace.statements.iter().map(StatementReport::of).collect(),
            missing: trace.missing.iter().map(Side::as_str).collect(),
            lacks: trace.lacks.clone(),
            steps: trace.steps.iter().map(StepReport::of).collect(),
        }
    }

    /// Writes it for people. Of a side that allows nothing also what did not match: there the
    /// reader looks for the mistake.
    pub(super) fn write_text(&self, out: &mut dyn Write, name: &str) -> io::Result<()> {
        let style = if self.decision == Outcome::Allow.as_str() { GOOD } else { BAD };
        let decision = self.decision.replace('_', " ");
        let enforced = if self.is_enforced { "enforced" } else { "not enforced" };
        let (layer, mode) = (self.layer, self.mode);
        writeln!(out, "{name:<10} {style}{decision}{style:#} ({layer}); mode {mode}, {enforced}")?;
        for step in &self.steps {
            writeln!(out, "           {}: {}", printable(&step.asked), step.meaning)?;
            let matches = step.statements.iter().any(|it| it.matched);
            let shown = step.statements.iter().filter(|it| it.matched || !matches);
            for tried in shown.clone().take(SHOWN_MAX) {
                tried.write_text(out)?;
            }
            let more = shown.count().saturating_sub(SHOWN_MAX);
            if more > 0 {
                writeln!(out, "             {DIM}and {more} more{DIM:#}")?;
            }
        }
        for lack in &self.lacks {
            writeln!(out, "           {BAD}lacking:{BAD:#} {}", printable(lack))?;
        }
        Ok(())
    }
}

impl StepReport {
    fn of(step: &Step<'_>) -> Self {
        Self {
            layer: step.layer.as_str(),
            asked: step.asked.clone(),
            meaning: step.meaning.clone(),
            statements: step.tried.iter().map(TriedReport::of).collect(),
        }
    }
}

impl TriedReport {
    fn of(tried: &TriedStatement<'_>) -> Self {
        let because = match &tried.tried {
            Tried::Matched(_) => None,
            Tried::Unmatched(Element::Principal) => Some("it is not about this caller".to_owned()),
            Tried::Unmatched(Element::Action) => Some("it is not about this action".to_owned()),
            Tried::Unmatched(Element::Resource) => Some("it is not about this resource".to_owned()),
            Tried::Unmatched(Element::Condition { operator, key, wanted, had }) => {
                Some(format!("`{operator}` of `{key}` wants {wanted}, and {had}"))
            }
        };
        let statement = StatementReport::of(&tried.statement);
        Self { statement, matched: because.is_none(), because }
    }

    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let StatementReport { policy, sid, index, effect, file, line, column } = &self.statement;
        let sid = if sid.is_empty() { String::new() } else { format!(" `{sid}`") };
        let place = match (file.is_empty(), line) {
            (true, _) | (_, 0) => String::new(),
            (false, _) => format!(" at {file}:{line}:{column}"),
        };
        // People count from 1, programs get the index.
        let number = index.saturating_add(1);
        let name = printable(&format!("{effect} {policy}, statement {number}{sid}{place}"));
        match &self.because {
            None => writeln!(out, "             matched: {name}"),
            Some(why) => {
                writeln!(out, "             {DIM}not matched: {name}: {}{DIM:#}", printable(why))
            }
        }
    }
}

impl StatementReport {
    fn of(found: &StatementRef<'_>) -> Self {
        Self {
            policy: found.policy.name.to_string(),
            sid: found.statement.sid.to_string(),
            index: found.statement.index,
            effect: found.effect().as_str(),
            file: found.policy.source.file.to_string(),
            line: found.statement.line,
            column: found.statement.column,
        }
    }
}

/// As many statements of a side as a reader looks through.
const SHOWN_MAX: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{PolicyAnswer, Statements};
    use crate::verdict::{Decision, Reason, Verdict};

    #[test]
    fn another_answer_than_the_decisions_is_a_contradiction() {
        let report = |candidate: bool| PolicyReport {
            enforced: SetReport::of_nobody(Mode::Limited, Standing::Enforced),
            candidate: candidate.then(|| SetReport::of_nobody(Mode::Limited, Standing::Candidate)),
        };
        let decided = |outcome| PolicyVerdict {
            verdict: Verdict {
                decision: Decision::Deny,
                reason: Reason::PolicyImplicitDeny,
                mode: Mode::Limited,
            },
            answer: PolicyAnswer {
                outcome,
                layer: PolicyLayer::Identity,
                statements: Statements::default(),
                missing: Missing::default(),
            },
        };
        let same = decided(Outcome::ImplicitDeny);
        let other = decided(Outcome::Allow);
        let one = |enforced| PolicyVerdicts { enforced, candidate: None };
        let two = |candidate| PolicyVerdicts { enforced: same, candidate: Some(candidate) };
        assert!(!report(false).contradicts(&one(same)));
        assert!(report(false).contradicts(&one(other)));
        assert!(!report(true).contradicts(&two(same)));
        assert!(report(true).contradicts(&two(other)));
        assert!(report(true).contradicts(&one(same)));
    }
}
