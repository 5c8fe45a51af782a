//! What the policies of one side allow, and what several sides have in common.

use crate::policy::access::grant::{Certainty, Granted, add};
use crate::policy::document::Negated;
use crate::policy::evaluate::StatementRef;
use crate::policy::shape::{Fit, Shape, Shapes};

/// What one side, or several together, allow of the actions that are asked for.
#[derive(Clone, Default)]
pub(super) struct Side<'s> {
    parts: Vec<Part<'s>>,
}

/// Some of the actions, or all of them.
#[derive(Clone)]
struct Part<'s> {
    certainty: Certainty,
    /// What all of these mean; no pattern means all that is asked for.
    within: Vec<Shape>,
    /// Of that, nothing that any of these means.
    without: Vec<Shape>,
    statements: Vec<StatementRef<'s>>,
}

impl<'s> Side<'s> {
    /// A side that lets everything through.
    pub(super) fn open() -> Self {
        Self { parts: vec![Part::whole(Certainty::Always, Vec::new())] }
    }

    /// Adds what a statement grants of what is asked for.
    pub(super) fn grant(
        &mut self,
        certainty: Certainty,
        actions: &Shapes,
        asked: &Shape,
        statement: StatementRef<'s>,
    ) {
        let whole = Part::whole(certainty, vec![statement]);
        match (certainty, actions.negated) {
            (Certainty::Always | Certainty::Conditional, _) => self.add(whole),
            (Certainty::Partly, Negated::Yes) => self.add(Part {
                within: vec![asked.clone()],
                without: actions.shapes.to_vec(),
                ..whole
            }),
            (Certainty::Partly, Negated::No) => {
                for shape in &actions.shapes {
                    if let Some(within) = common(&[asked, shape]) {
                        self.add(Part { within, ..whole.clone() });
                    }
                }
            }
        }
    }

    /// Whether nothing is granted.
    pub(super) fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// What all sides grant.
    pub(super) fn all(sides: impl IntoIterator<Item = Self>) -> Option<Self> {
        let all = sides.into_iter().try_fold(Self::open(), Self::and)?;
        (!all.is_empty()).then_some(all)
    }

    /// What one of several ways grants.
    pub(super) fn any(ways: impl Iterator<Item = Self>) -> Option<Self> {
        let mut any = Self::default();
        for part in ways.flat_map(|way| way.parts) {
            any.add(part);
        }
        (!any.is_empty()).then_some(any)
    }

    /// Takes away what is denied in any case.
    pub(super) fn deny(&mut self, actions: &Shapes) {
        self.parts.retain(|part| !part.within.iter().any(|it| actions.fit(it) == Fit::Whole));
    }

    /// What is granted, if anything is.
    pub(super) fn granted(mut self, unless: Vec<StatementRef<'s>>) -> Option<Granted<'s>> {
        self.drop_vague();
        let certainty = self.parts.iter().map(|it| it.certainty).max()?;
        let mut statements = Vec::new();
        for part in &self.parts {
            add(&mut statements, &part.statements);
        }
        Some(Granted { certainty, statements, unless })
    }

    fn and(mut self, mut other: Self) -> Option<Self> {
        self.drop_vague();
        other.drop_vague();
        if PAIRS_MAX < self.parts.len().saturating_mul(other.parts.len()) {
            self.blur();
            other.blur();
        }
        let mut both = Self::default();
        for part in &self.parts {
            for part in other.parts.iter().filter_map(|it| part.and(it)) {
                both.add(part);
            }
        }
        (!both.is_empty()).then_some(both)
    }

    fn add(&mut self, part: Part<'s>) {
        let same = |it: &&mut Part<'s>| it.within == part.within && it.without == part.without;
        match self.parts.iter_mut().find(same) {
            Some(known) => {
                known.certainty = known.certainty.max(part.certainty);
                add(&mut known.statements, &part.statements);
            }
            None => self.parts.push(part),
        }
    }

    /// Who grants a part only is not told if all is granted.
    fn drop_vague(&mut self) {
        if self.parts.iter().any(|it| it.certainty != Certainty::Partly) {
            self.parts.retain(|it| it.certainty != Certainty::Partly);
        }
    }

    /// Forgets which parts there are.
    fn blur(&mut self) {
        let mut blurred = Part::whole(Certainty::Partly, Vec::new());
        for part in &self.parts {
            blurred.certainty = blurred.certainty.max(part.certainty);
            add(&mut blurred.statements, &part.statements);
        }
        self.parts = vec![blurred];
    }
}

impl<'s> Part<'s> {
    fn whole(certainty: Certainty, statements: Vec<StatementRef<'s>>) -> Self {
        Self { certainty, within: Vec::new(), without: Vec::new(), statements }
    }

    /// What both grant, if there may be anything.
    fn and(&self, other: &Self) -> Option<Self> {
        let within: Vec<&Shape> = self.within.iter().chain(&other.within).collect();
        let within = common(&within)?;
        let mut without = self.without.clone();
        without.extend(other.without.iter().filter(|it| !self.without.contains(it)).cloned());
        if within.iter().any(|it| without.iter().any(|out| out.covers(it))) {
            return None;
        }
        let mut statements = self.statements.clone();
        add(&mut statements, &other.statements);
        Some(Self { certainty: self.certainty.min(other.certainty), within, without, statements })
    }
}

/// Patterns that together mean what all of some mean; `None` if that is nothing for sure.
fn common(shapes: &[&Shape]) -> Option<Vec<Shape>> {
    let mut narrow: Vec<Shape> = Vec::new();
    for shape in shapes {
        if narrow.iter().any(|it| !it.overlaps(shape)) {
            return None;
        }
        if !narrow.iter().any(|it| shape.covers(it)) {
            narrow.retain(|it| !it.covers(shape));
            narrow.push((*shape).clone());
        }
    }
    Some(narrow)
}

/// The most pairs of parts that are looked at one by one.
const PAIRS_MAX: usize = 10_000;
