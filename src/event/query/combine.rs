//! How clauses that stand in a row become one: `AND` binds tighter than `OR`, signs say the rest.

use crate::event::query::matcher::{Clause, Occur};

/// What joins two clauses.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Joint {
    And,
    Or,
    /// They stand side by side.
    Side,
}

/// A clause and its sign.
pub(super) struct Signed {
    pub(super) sign: Option<Occur>,
    pub(super) clause: Clause,
}

/// Groups of clauses that `AND` joins, to one clause.
pub(super) fn combine(groups: Vec<(Joint, Vec<Signed>)>) -> Clause {
    let after: Vec<Joint> = groups.iter().skip(1).map(|(joint, _)| *joint).collect();
    let mut after = after.into_iter();
    let clauses = groups.into_iter().map(|(before, group)| {
        let alternative = before == Joint::Or || after.next() == Some(Joint::Or);
        let mut group = group.into_iter();
        match (group.next(), group.len()) {
            (Some(only), 0) => match only.sign {
                // `a OR NOT b` is an alternative; `a NOT b` and `a -b` exclude.
                Some(Occur::MustNot) if alternative => {
                    (Occur::Should, Clause::Bool(vec![(Occur::MustNot, only.clause)]))
                }
                sign => (sign.unwrap_or(Occur::Should), only.clause),
            },
            (first, _) => {
                let all = first.into_iter().chain(group);
                let all = all.map(|signed| (signed.sign.unwrap_or(Occur::Must), signed.clause));
                (Occur::Should, Clause::Bool(all.collect()))
            }
        }
    });
    let mut clauses: Vec<_> = clauses.collect();
    match (clauses.len(), clauses.pop()) {
        (1, Some((Occur::Must | Occur::Should, only))) => only,
        (_, Some(last)) => {
            clauses.push(last);
            Clause::Bool(clauses)
        }
        (_, None) => Clause::All,
    }
}
