//! What is granted, how surely, and by which statements.

use crate::policy::evaluate::StatementRef;
use crate::policy::shape::Shape;

/// How surely something is granted, from weak to strong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Certainty {
    /// A part of the pattern, which no single statement tells.
    Partly,
    /// If conditions hold, or variables have the right values.
    Conditional,
    /// In any case.
    Always,
}

impl Certainty {
    /// The spelling for programs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Partly => "partly",
            Self::Conditional => "conditional",
            Self::Always => "always",
        }
    }
}

/// Actions that the same statements grant.
#[derive(Clone, Debug)]
pub struct ReachedActions<'s> {
    /// The actions, in lower case; patterns as statements write them.
    pub actions: Vec<Box<str>>,
    /// How surely they are granted.
    pub certainty: Certainty,
    /// The statements of all sides that grant them.
    pub statements: Vec<StatementRef<'s>>,
    /// The statements that may deny them: by conditions, or for a part of the actions.
    pub unless: Vec<StatementRef<'s>>,
}

/// One action, granted.
#[derive(Clone, Debug)]
pub(super) struct Granted<'s> {
    pub(super) certainty: Certainty,
    pub(super) statements: Vec<StatementRef<'s>>,
    pub(super) unless: Vec<StatementRef<'s>>,
}

impl<'s> ReachedActions<'s> {
    /// The same for whoever has to assume a role before.
    pub(super) fn after(&self, assumed: &Granted<'s>) -> Self {
        let join = |first: &[StatementRef<'s>], then: &[StatementRef<'s>]| {
            let mut all = first.to_vec();
            add(&mut all, then);
            all
        };
        Self {
            actions: self.actions.clone(),
            certainty: self.certainty.min(assumed.certainty),
            statements: join(&assumed.statements, &self.statements),
            unless: join(&assumed.unless, &self.unless),
        }
    }
}

/// Puts actions together that the same statements grant.
pub(super) fn collect<'s>(
    granted: impl Iterator<Item = (Shape, Granted<'s>)>,
) -> Vec<ReachedActions<'s>> {
    let mut groups: Vec<(Vec<Shape>, Granted<'s>)> = Vec::new();
    for (action, granted) in granted {
        let same = |it: &&mut (Vec<Shape>, Granted<'s>)| it.1.is_same(&granted);
        match groups.iter_mut().find(same) {
            Some((actions, _)) => actions.push(action),
            None => groups.push((vec![action], granted)),
        }
    }
    drop_vague(&mut groups);
    groups.into_iter().map(|(actions, granted)| granted.with_actions(&actions)).collect()
}

/// What is granted partly is told only if nothing of it is granted for sure.
fn drop_vague(groups: &mut Vec<(Vec<Shape>, Granted<'_>)>) {
    let sure: Vec<Shape> = groups
        .iter()
        .filter(|(_, it)| it.certainty != Certainty::Partly)
        .flat_map(|(actions, _)| actions.clone())
        .collect();
    for (actions, granted) in groups.iter_mut() {
        if granted.certainty == Certainty::Partly {
            actions.retain(|action| !sure.iter().any(|it| action.covers(it)));
        }
    }
    groups.retain(|(actions, _)| !actions.is_empty());
}

impl<'s> Granted<'s> {
    fn is_same(&self, other: &Self) -> bool {
        let same = |a: &[StatementRef<'_>], b: &[StatementRef<'_>]| {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| is_same(a, b))
        };
        self.certainty == other.certainty
            && same(&self.statements, &other.statements)
            && same(&self.unless, &other.unless)
    }

    /// Of actions, those that no other one covers.
    fn with_actions(self, actions: &[Shape]) -> ReachedActions<'s> {
        let is_covered = |it: &&Shape| actions.iter().any(|other| other != *it && other.covers(it));
        let mut actions: Vec<Box<str>> =
            actions.iter().filter(|it| !is_covered(it)).map(|it| it.render().into()).collect();
        actions.sort_unstable();
        let Self { certainty, statements, unless } = self;
        ReachedActions { actions, certainty, statements, unless }
    }
}

/// Adds statements that are not there yet.
pub(super) fn add<'s>(all: &mut Vec<StatementRef<'s>>, more: &[StatementRef<'s>]) {
    for statement in more {
        if !all.iter().any(|it| is_same(it, statement)) {
            all.push(*statement);
        }
    }
}

/// Whether both are one statement in one role.
fn is_same(a: &StatementRef<'_>, b: &StatementRef<'_>) -> bool {
    std::ptr::eq(a.statement, b.statement) && a.layer == b.layer
}
