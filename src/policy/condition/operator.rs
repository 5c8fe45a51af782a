//! The operators of conditions, by name.

use std::fmt;

use crate::policy::document::Negated;

/// An operator as a document writes it: a comparison, for which of the request's values, and
/// whether an absent key is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Operator {
    pub(super) comparison: &'static Comparison,
    pub(super) set: SetOperator,
    pub(super) absent: Absent,
}

/// What is compared, and how.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Comparison {
    /// The name in documents.
    pub(crate) name: &'static str,
    pub(super) kind: Kind,
    /// Whether it holds if none of the policy's values matches.
    pub(super) negated: Negated,
}

/// The types of values, each with its way to compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Arn,
    Binary,
    Bool,
    Date(Order),
    Ip,
    Null,
    Number(Order),
    String(Texts),
}

/// How a request's value relates to the policy's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Equal,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

/// How texts are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Texts {
    Equal,
    EqualInLowerCase,
    Like,
}

/// Which of a request's values must do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SetOperator {
    /// `ForAllValues:`.
    All,
    /// `ForAnyValue:`.
    Any,
    /// No set operator: the key must have one value.
    Single,
}

/// What an absent key means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Absent {
    /// What the comparison says: a value that matches nothing.
    Compared,
    /// `…IfExists`: the condition holds.
    Good,
}

impl Operator {
    /// The operator of a name, in any letter case; `None` if there is none.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        let (set, rest) = match name.split_once(':') {
            Some((set, rest)) if set.eq_ignore_ascii_case(FOR_ALL) => (SetOperator::All, rest),
            Some((set, rest)) if set.eq_ignore_ascii_case(FOR_ANY) => (SetOperator::Any, rest),
            Some(_) => return None,
            None => (SetOperator::Single, name),
        };
        let start =
            rest.len().checked_sub(IF_EXISTS.len()).and_then(|at| rest.split_at_checked(at));
        let (absent, rest) = match start {
            Some((start, end)) if end.eq_ignore_ascii_case(IF_EXISTS) => (Absent::Good, start),
            _ => (Absent::Compared, rest),
        };
        let comparison = COMPARISONS.iter().find(|known| known.name.eq_ignore_ascii_case(rest))?;
        match (comparison.kind, absent) {
            (Kind::Null, Absent::Good) => None,
            _ => Some(Self { comparison, set, absent }),
        }
    }

    /// The names without set operators and `IfExists`, for suggestions.
    pub(crate) fn names() -> impl Iterator<Item = &'static str> {
        COMPARISONS.iter().map(|comparison| comparison.name)
    }

    /// The name of the comparison, as AWS spells it.
    pub(crate) fn name(self) -> &'static str {
        self.comparison.name
    }

    /// Whether an absent key or no match is what it asks for.
    pub(crate) fn is_negated(self) -> bool {
        self.comparison.negated == Negated::Yes
    }

    /// Whether it has `ForAllValues:`, which holds for an absent key too.
    pub(crate) fn is_for_all_values(self) -> bool {
        self.set == SetOperator::All
    }

    /// Whether it has a set operator.
    pub(crate) fn is_set(self) -> bool {
        self.set != SetOperator::Single
    }

    /// Whether it ends in `IfExists`.
    pub(crate) fn is_if_exists(self) -> bool {
        self.absent == Absent::Good
    }
}

/// The name as AWS spells it.
impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.set {
            SetOperator::All => write!(f, "{FOR_ALL}:")?,
            SetOperator::Any => write!(f, "{FOR_ANY}:")?,
            SetOperator::Single => {}
        }
        f.write_str(self.comparison.name)?;
        match self.absent {
            Absent::Compared => Ok(()),
            Absent::Good => f.write_str(IF_EXISTS),
        }
    }
}

const FOR_ALL: &str = "ForAllValues";
const FOR_ANY: &str = "ForAnyValue";
const IF_EXISTS: &str = "IfExists";

const fn positive(name: &'static str, kind: Kind) -> Comparison {
    Comparison { name, kind, negated: Negated::No }
}

const fn negated(name: &'static str, kind: Kind) -> Comparison {
    Comparison { name, kind, negated: Negated::Yes }
}

static COMPARISONS: [Comparison; 27] = [
    positive("StringEquals", Kind::String(Texts::Equal)),
    negated("StringNotEquals", Kind::String(Texts::Equal)),
    positive("StringEqualsIgnoreCase", Kind::String(Texts::EqualInLowerCase)),
    negated("StringNotEqualsIgnoreCase", Kind::String(Texts::EqualInLowerCase)),
    positive("StringLike", Kind::String(Texts::Like)),
    negated("StringNotLike", Kind::String(Texts::Like)),
    positive("NumericEquals", Kind::Number(Order::Equal)),
    negated("NumericNotEquals", Kind::Number(Order::Equal)),
    positive("NumericLessThan", Kind::Number(Order::Less)),
    positive("NumericLessThanEquals", Kind::Number(Order::LessOrEqual)),
    positive("NumericGreaterThan", Kind::Number(Order::Greater)),
    positive("NumericGreaterThanEquals", Kind::Number(Order::GreaterOrEqual)),
    positive("DateEquals", Kind::Date(Order::Equal)),
    negated("DateNotEquals", Kind::Date(Order::Equal)),
    positive("DateLessThan", Kind::Date(Order::Less)),
    positive("DateLessThanEquals", Kind::Date(Order::LessOrEqual)),
    positive("DateGreaterThan", Kind::Date(Order::Greater)),
    positive("DateGreaterThanEquals", Kind::Date(Order::GreaterOrEqual)),
    positive("Bool", Kind::Bool),
    positive("BinaryEquals", Kind::Binary),
    positive("IpAddress", Kind::Ip),
    negated("NotIpAddress", Kind::Ip),
    positive("ArnEquals", Kind::Arn),
    negated("ArnNotEquals", Kind::Arn),
    positive("ArnLike", Kind::Arn),
    negated("ArnNotLike", Kind::Arn),
    positive("Null", Kind::Null),
];
