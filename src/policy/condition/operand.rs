//! The values of conditions, parsed as their operator needs, and compared with a request's.

use std::cmp::Ordering;
use std::net::IpAddr;

use data_encoding::BASE64;
use ipnet::{IpNet, Ipv4Net};

use crate::clock::UnixSeconds;
use crate::iam::Arn;
use crate::policy::condition::date::Moment;
use crate::policy::condition::number::Decimal;
use crate::policy::condition::operator::{Kind, Order, Texts};
use crate::policy::context::{ConditionKey, Context, Value};
use crate::policy::document::{Text, Version};
use crate::policy::finding::{PolicyFinding, Severity};
use crate::policy::pattern::{Glob, Syntax, arn_parts};

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
    /// Parses values; what is wrong or doubtful is added to the findings.
    pub(super) fn parse(
        kind: Kind,
        values: &[Text],
        version: Version,
        findings: &mut Vec<PolicyFinding>,
    ) -> Option<Self> {
        let variables = version == Version::V2012;
        let texts = Syntax { wildcards: false, variables };
        Some(match kind {
            Kind::Arn => Self::Arn(parse_arns(values, variables, findings)?),
            Kind::Binary => Self::Binary(each(values, findings, parse_binary)?),
            Kind::Bool => Self::Bool(each(values, findings, |value| parse_bool(value, texts))?),
            Kind::Date(order) => Self::Date(order, each(values, findings, parse_date)?),
            Kind::Ip => Self::Ip(each(values, findings, parse_network)?),
            Kind::Null => Self::Null(each(values, findings, parse_null)?),
            Kind::Number(order) => Self::Number(order, each(values, findings, parse_number)?),
            Kind::String(Texts::Like) => {
                let syntax = Syntax { wildcards: true, variables };
                Self::Like(syntax, each(values, findings, |value| parse_glob(value, syntax))?)
            }
            Kind::String(Texts::EqualInLowerCase) => {
                Self::EqualInLowerCase(each(values, findings, |value| parse_glob(value, texts))?)
            }
            Kind::String(Texts::Equal) => {
                let globs = each(values, findings, |value| parse_glob(value, texts))?;
                let literals = globs.iter().map(|glob| glob.as_literal().map(Box::from));
                match literals.collect::<Option<Vec<Box<str>>>>() {
                    Some(mut literals) => {
                        literals.sort_unstable();
                        Self::Equal(literals.into())
                    }
                    None => Self::Like(texts, globs),
                }
            }
        })
    }

    /// Compares one value of a request. `Null` compares none; see `wants`.
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

    /// Whether this is a `Null` operator's list that has one of its words.
    pub(super) fn wants(&self, presence: Presence) -> Option<bool> {
        match self {
            Self::Null(wanted) => Some(wanted.contains(&presence)),
            _ => None,
        }
    }

    /// The keys of its variables.
    pub(super) fn variables(&self) -> Box<dyn Iterator<Item = &ConditionKey> + '_> {
        match self {
            Self::Bool(globs) | Self::EqualInLowerCase(globs) | Self::Like(_, globs) => {
                Box::new(globs.iter().flat_map(Glob::variables))
            }
            Self::Arn(arns) => Box::new(arns.iter().flat_map(ArnValue::variables)),
            Self::Binary(_)
            | Self::Date(..)
            | Self::Equal(_)
            | Self::Ip(_)
            | Self::Null(_)
            | Self::Number(..) => Box::new(std::iter::empty()),
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

    fn variables(&self) -> impl Iterator<Item = &ConditionKey> {
        let parts = match self {
            Self::Exact(_) | Self::Nothing(_) => None,
            Self::Parts(_, parts) => Some(parts),
        };
        parts.into_iter().flat_map(|parts| parts.iter().flat_map(Glob::variables))
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

fn is_bool(text: &str) -> bool {
    text.eq_ignore_ascii_case("true") || text.eq_ignore_ascii_case("false")
}

/// Parses each value; `None` if one is wrong.
fn each<T>(
    values: &[Text],
    findings: &mut Vec<PolicyFinding>,
    parse: impl Fn(&str) -> Result<T, Wrong>,
) -> Option<Box<[T]>> {
    let mut parsed = Vec::with_capacity(values.len());
    for value in values {
        match parse(&value.text) {
            Ok(one) => parsed.push(one),
            Err(wrong) => findings.push(wrong.at(value)),
        }
    }
    (parsed.len() == values.len()).then(|| parsed.into())
}

/// Why a value is wrong.
struct Wrong {
    message: String,
    hint: &'static str,
}

impl Wrong {
    fn new(text: &str, what: &str, hint: &'static str) -> Self {
        let hint = if text.contains("${") { NO_VARIABLES } else { hint };
        Self { message: format!("`{text}` is no {what}"), hint }
    }

    fn at(self, value: &Text) -> PolicyFinding {
        PolicyFinding {
            severity: Severity::Error,
            offset: value.offset,
            len: value.len,
            message: self.message,
            hint: Some(self.hint.into()),
        }
    }
}

const NO_VARIABLES: &str = "policy variables are replaced in version 2012-10-17 only, and only in values of \
                            String, Arn and Bool operators";

fn parse_glob(text: &str, syntax: Syntax) -> Result<Glob, Wrong> {
    Glob::parse(text, syntax).map_err(|error| Wrong {
        message: format!("{error}: `{text}`"),
        hint: "write `${key}` or `${key, 'default'}`; a plain `$` is `${$}`",
    })
}

fn parse_arns(
    values: &[Text],
    variables: bool,
    findings: &mut Vec<PolicyFinding>,
) -> Option<Box<[ArnValue]>> {
    let arns = each(values, findings, |text| parse_arn(text, variables))?;
    for (value, arn) in values.iter().zip(&arns) {
        if matches!(arn, ArnValue::Nothing(_)) {
            findings.push(PolicyFinding {
                severity: Severity::Warning,
                offset: value.offset,
                len: value.len,
                message: format!("`{}` has fewer than six parts and matches no ARN", value.text),
                hint: Some("write `arn:partition:service:region:account:resource`".into()),
            });
        }
    }
    Some(arns)
}

fn parse_arn(text: &str, variables: bool) -> Result<ArnValue, Wrong> {
    let syntax = Syntax { wildcards: true, variables };
    let whole = parse_glob(text, syntax)?;
    let Ok(Some(parts)) = arn_parts(text, variables) else {
        return Ok(ArnValue::Nothing(text.into()));
    };
    if let Some(literal) = whole.as_literal() {
        return Ok(ArnValue::Exact(literal.into()));
    }
    let [a, b, c, d, e, f] = parts.map(|part| parse_glob(part, syntax));
    Ok(ArnValue::Parts(syntax, Box::new([a?, b?, c?, d?, e?, f?])))
}

fn parse_binary(text: &str) -> Result<Box<str>, Wrong> {
    let wrong = |_| Wrong::new(text, "base64", "write base64 with its padding, as in `aGk=`");
    BASE64.decode(text.as_bytes()).map(|_| text.into()).map_err(wrong)
}

fn parse_bool(text: &str, syntax: Syntax) -> Result<Glob, Wrong> {
    let glob = parse_glob(text, syntax)?;
    if glob.variables().next().is_some() || glob.as_literal().is_some_and(is_bool) {
        return Ok(glob);
    }
    Err(Wrong::new(text, "boolean", "write `true` or `false`"))
}

fn parse_date(text: &str) -> Result<(Moment, Box<str>), Wrong> {
    let hint = "write `2024-01-31`, `2024-01-31T10:00:00Z` or seconds since 1970";
    match Moment::parse(text) {
        Some(moment) => Ok((moment, text.into())),
        None => Err(Wrong::new(text, "date", hint)),
    }
}

fn parse_network(text: &str) -> Result<IpNet, Wrong> {
    let network = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    match network {
        Ok(network) => Ok(unmapped(network).trunc()),
        Err(_) => Err(Wrong::new(
            text,
            "address and no CIDR block",
            "write `192.0.2.0/24`, `192.0.2.1` or `2001:db8::/32`",
        )),
    }
}

/// A network of IPv4 addresses mapped into IPv6 as the IPv4 network that it is.
fn unmapped(network: IpNet) -> IpNet {
    let IpNet::V6(mapped) = network else { return network };
    let address = mapped.addr().to_ipv4_mapped();
    let prefix_len = mapped.prefix_len().checked_sub(MAPPED_PREFIX_LEN);
    match (address, prefix_len) {
        (Some(address), Some(prefix_len)) => {
            Ipv4Net::new(address, prefix_len).map_or(network, IpNet::V4)
        }
        _ => network,
    }
}

/// `::ffff:0:0/96` holds the mapped addresses.
const MAPPED_PREFIX_LEN: u8 = 96;

fn parse_null(text: &str) -> Result<Presence, Wrong> {
    let hint = "write `true` for a key that must be absent, `false` for one that must be there";
    match text {
        _ if text.eq_ignore_ascii_case("true") => Ok(Presence::Absent),
        _ if text.eq_ignore_ascii_case("false") => Ok(Presence::Present),
        _ => Err(Wrong::new(text, "boolean", hint)),
    }
}

fn parse_number(text: &str) -> Result<Box<str>, Wrong> {
    match Decimal::parse(text) {
        Some(_) => Ok(text.into()),
        None => Err(Wrong::new(
            text,
            "decimal number",
            "write digits with an optional sign and fraction, without an exponent",
        )),
    }
}
