//! The values of conditions as their operator needs them, and a request's compared with them.

use std::cmp::Ordering;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::clock::UnixSeconds;
use crate::iam::Arn;
use crate::policy::condition::date::Moment;
use crate::policy::condition::number::Decimal;
use crate::policy::condition::operator::Order;
use crate::policy::context::{Context, Value, Values};
use crate::policy::pattern::{Glob, Syntax};

/// The values of a condition. An empty list matches nothing.
#[derive(Debug)]
pub(super) enum Operand {
    Arn(Box<[ArnValue]>),
    Binary(Box<[Box<str>]>),
    Bool(Box<[Glob]>),
    Date(Order, Box<[(Moment, Box<str>)]>),
    /// Texts without variables, sorted.
    Equal(Box<[Box<str>]>),
    EqualInLowerCase(Box<[Glob]>),
    Ip(Box<[IpNet]>),
    Like(Syntax, Box<[Glob]>),
    Null(Box<[Presence]>),
    Number(Order, Box<[Box<str>]>),
}

/// What `Null` asks of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Presence {
    Absent,
    Present,
}

/// A value of an ARN operator.
#[derive(Debug)]
pub(super) enum ArnValue {
    /// Without wildcards and variables.
    Exact(Box<str>),
    /// Six parts, each matched alone.
    Parts(Syntax, Box<[Glob; 6]>),
    /// Fewer than six parts: no ARN is meant.
    Nothing(Box<str>),
}

/// What comparing a request's value came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compared {
    /// None of the policy's values matches.
    Different,
    /// One matches.
    Same,
    /// The request's value is nothing that the operator compares.
    Unreadable,
}

impl Operand {
    /// Compares one value of a request. `Null` compares none: it asks for the key alone.
    pub(super) fn compare<C: Context + ?Sized>(&self, value: Value<'_>, context: &C) -> Compared {
        match self {
            Self::Arn(arns) => compare_arn(arns, value.text().as_str(), context),
            Self::Binary(texts) => {
                let value = value.text();
                Compared::from(texts.iter().any(|text| is_same_binary(text, value.as_str())))
            }
            Self::Bool(globs) => compare_bool(globs, value, context),
            Self::Date(order, moments) => match moment(value) {
                Some(value) => {
                    Compared::from(moments.iter().any(|(moment, _)| order.holds(value.cmp(moment))))
                }
                None => Compared::Unreadable,
            },
            Self::Equal(texts) => {
                let value = value.text();
                let found = texts.binary_search_by(|text| (**text).cmp(value.as_str()));
                Compared::from(found.is_ok())
            }
            Self::EqualInLowerCase(globs) => {
                let value = value.text();
                let is_same = |glob: &Glob| glob.equals_in_lower_case(value.as_str(), context);
                Compared::from(globs.iter().any(is_same))
            }
            Self::Ip(networks) => match address(value) {
                Some(address) => {
                    Compared::from(networks.iter().any(|network| network.contains(&address)))
                }
                None => Compared::Unreadable,
            },
            Self::Like(_, globs) => {
                let value = value.text();
                Compared::from(globs.iter().any(|glob| glob.matches(value.as_str(), context)))
            }
            Self::Null(_) => Compared::Unreadable,
            Self::Number(order, numbers) => compare_number(*order, numbers, value),
        }
    }

    /// The values as a document writes them; networks in their shortest form.
    pub(super) fn render(&self) -> Vec<String> {
        let plain = Syntax { wildcards: false, variables: true };
        let texts = |texts: &[Box<str>]| texts.iter().map(ToString::to_string).collect();
        match self {
            Self::Arn(arns) => arns.iter().map(ArnValue::render).collect(),
            Self::Binary(values) | Self::Equal(values) | Self::Number(_, values) => texts(values),
            Self::Bool(globs) | Self::EqualInLowerCase(globs) => {
                globs.iter().map(|glob| glob.render(plain)).collect()
            }
            Self::Date(_, moments) => moments.iter().map(|(_, text)| text.to_string()).collect(),
            Self::Ip(networks) => networks.iter().map(ToString::to_string).collect(),
            Self::Like(syntax, globs) => globs.iter().map(|glob| glob.render(*syntax)).collect(),
            Self::Null(wanted) => wanted.iter().map(|presence| presence.as_str().into()).collect(),
        }
    }
}

impl From<bool> for Compared {
    fn from(same: bool) -> Self {
        if same { Self::Same } else { Self::Different }
    }
}

impl Order {
    /// Whether a request's value is in this order to the policy's.
    fn holds(self, ordering: Ordering) -> bool {
        match self {
            Self::Equal => ordering.is_eq(),
            Self::Greater => ordering.is_gt(),
            Self::GreaterOrEqual => ordering.is_ge(),
            Self::Less => ordering.is_lt(),
            Self::LessOrEqual => ordering.is_le(),
        }
    }
}

impl Presence {
    /// Whether a request has values.
    pub(super) fn of(values: Values<'_>) -> Self {
        match values {
            Values::Absent | Values::Many([]) => Self::Absent,
            Values::One(_) | Values::Many(_) => Self::Present,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Absent => "true",
            Self::Present => "false",
        }
    }
}

impl ArnValue {
    fn matches<C: Context + ?Sized>(&self, arn: Arn<'_>, context: &C) -> bool {
        match self {
            Self::Exact(text) => **text == *arn.as_str(),
            Self::Parts(_, parts) => {
                parts.iter().zip(arn.segments()).all(|(glob, part)| glob.matches(part, context))
            }
            Self::Nothing(_) => false,
        }
    }

    fn render(&self) -> String {
        match self {
            Self::Exact(text) | Self::Nothing(text) => text.to_string(),
            Self::Parts(syntax, parts) => {
                parts.each_ref().map(|part| part.render(*syntax)).join(":")
            }
        }
    }
}

fn compare_arn<C: Context + ?Sized>(arns: &[ArnValue], text: &str, context: &C) -> Compared {
    match Arn::parse(text) {
        Some(arn) => Compared::from(arns.iter().any(|value| value.matches(arn, context))),
        None => Compared::Unreadable,
    }
}

fn compare_bool<C: Context + ?Sized>(globs: &[Glob], value: Value<'_>, context: &C) -> Compared {
    let value = value.text();
    let value = value.as_str();
    if !is_bool(value) {
        return Compared::Unreadable;
    }
    Compared::from(globs.iter().any(|glob| glob.equals_in_lower_case(value, context)))
}

fn compare_number(order: Order, numbers: &[Box<str>], value: Value<'_>) -> Compared {
    let value = match value {
        Value::Time(UnixSeconds(seconds)) => Value::Number(seconds),
        other => other,
    };
    let value = value.text();
    let Some(value) = Decimal::parse(value.as_str()) else { return Compared::Unreadable };
    let numbers = numbers.iter().filter_map(|text| Decimal::parse(text));
    Compared::from(numbers.map(|number| value.cmp(&number)).any(|ordering| order.holds(ordering)))
}

/// Base64 has one spelling for the same bytes but for the padding, which a request may leave out.
fn is_same_binary(text: &str, value: &str) -> bool {
    text == value || text.trim_end_matches('=') == value
}

fn moment(value: Value<'_>) -> Option<Moment> {
    match value {
        Value::Text(text) => Moment::parse(text),
        Value::Number(seconds) => Some(Moment::from_unix(UnixSeconds(seconds))),
        Value::Time(time) => Some(Moment::from_unix(time)),
        Value::Address(_) | Value::Bool(_) => None,
    }
}

/// An IPv4 address that came mapped into IPv6 is that IPv4 address, or it would pass every rule
/// about it.
fn address(value: Value<'_>) -> Option<IpAddr> {
    match value {
        Value::Address(address) => Some(address.to_canonical()),
        Value::Text(text) => text.parse::<IpAddr>().ok().map(|address| address.to_canonical()),
        Value::Bool(_) | Value::Number(_) | Value::Time(_) => None,
    }
}

/// `true` or `false` in any letter case.
pub(super) fn is_bool(text: &str) -> bool {
    text.eq_ignore_ascii_case("true") || text.eq_ignore_ascii_case("false")
}
