//! The values of conditions, from texts; each that is wrong is a finding at its place.

use std::net::IpAddr;

use data_encoding::BASE64;
use ipnet::{IpNet, Ipv4Net};

use compact_str::CompactString;
use smallvec::SmallVec;

use crate::policy::condition::date::Moment;
use crate::policy::condition::is_secret;
use crate::policy::condition::number::{Decimal, is_digits};
use crate::policy::condition::operand::{ArnValue, Operand, Presence, bool_of, is_bool};
use crate::policy::condition::operator::{Kind, Texts};
use crate::policy::document::{Condition, Version};
use crate::policy::finding::{PolicyFinding, shown};
use crate::policy::pattern::{Glob, PatternError, Syntax, arn_parts};

impl Operand {
    /// Parses a condition's values; what is wrong or doubtful is added to the findings.
    pub(super) fn parse(
        kind: Kind,
        condition: &Condition,
        version: Version,
        findings: &mut Vec<PolicyFinding>,
    ) -> Option<Self> {
        let variables = version == Version::V2012;
        let texts = Syntax { wildcards: false, variables };
        Some(match kind {
            Kind::Arn => Self::Arn(parse_arns(condition, variables, findings)?),
            Kind::Binary => Self::Binary(each(condition, findings, parse_binary)?),
            Kind::Bool => {
                let globs = each(condition, findings, |value| parse_bool(value, texts))?;
                match &*globs {
                    [glob] => match glob.as_literal().and_then(bool_of) {
                        Some(wanted) => Self::Flag(wanted),
                        None => Self::Bool(globs),
                    },
                    _ => Self::Bool(globs),
                }
            }
            Kind::Date(order) => Self::Date(order, each(condition, findings, parse_date)?),
            Kind::Ip => Self::Ip(each(condition, findings, parse_network)?.into_vec().into()),
            Kind::Null => Self::Null(each(condition, findings, parse_null)?),
            Kind::Number(order) => Self::Number(order, each(condition, findings, parse_number)?),
            Kind::String(Texts::Like) => {
                let syntax = Syntax { wildcards: true, variables };
                Self::Like(syntax, each(condition, findings, |value| parse_glob(value, syntax))?)
            }
            Kind::String(Texts::EqualInLowerCase) => {
                Self::EqualInLowerCase(each(condition, findings, |value| parse_glob(value, texts))?)
            }
            Kind::String(Texts::Equal) => {
                let globs = each(condition, findings, |value| parse_glob(value, texts))?;
                let literals = globs.iter().map(|glob| glob.as_literal().map(CompactString::from));
                match literals.collect::<Option<SmallVec<[CompactString; 1]>>>() {
                    Some(mut literals) => {
                        literals.sort_unstable();
                        Self::Equal(literals)
                    }
                    None => Self::Like(texts, globs),
                }
            }
        })
    }
}

/// Parses each value; `None` if one is wrong.
fn each<T>(
    condition: &Condition,
    findings: &mut Vec<PolicyFinding>,
    parse: impl Fn(&str) -> Result<T, Wrong>,
) -> Option<Box<[T]>> {
    let values = &condition.values;
    let mut parsed = Vec::with_capacity(values.len());
    for value in values {
        match parse(&value.text) {
            Ok(one) => parsed.push(one),
            Err(Wrong { problem, hint }) => {
                let message = problem.message(told(condition, &value.text).as_deref());
                let finding = PolicyFinding::error(value.offset, value.len, message);
                findings.push(finding.with_hint(hint));
            }
        }
    }
    (parsed.len() == values.len()).then(|| parsed.into())
}

/// A value as messages show it; `None` if no message may.
fn told(condition: &Condition, value: &str) -> Option<String> {
    (!is_secret(&condition.key.text)).then(|| shown(value))
}

/// Stands for a value that no message may show.
const NOT_SHOWN: &str = "the value, which is not shown,";

/// Why a value is wrong.
struct Wrong {
    problem: Problem,
    hint: &'static str,
}

/// What is wrong, without the value itself.
enum Problem {
    /// It is not what the operator compares.
    NoSuch(&'static str),
    /// Its variables can't be read.
    Syntax(PatternError),
}

impl Wrong {
    fn new(text: &str, what: &'static str, hint: &'static str) -> Self {
        let hint = if text.contains("${") { NO_VARIABLES } else { hint };
        Self { problem: Problem::NoSuch(what), hint }
    }
}

impl Problem {
    fn message(&self, value: Option<&str>) -> String {
        match (self, value) {
            (Self::NoSuch(what), value) => {
                format!("{} is no {what}", value.unwrap_or(NOT_SHOWN))
            }
            (Self::Syntax(error), Some(value)) => format!("{error}: {value}"),
            (Self::Syntax(error), None) => error.to_string(),
        }
    }
}

const NO_VARIABLES: &str = "policy variables are replaced in version 2012-10-17 only, and only in values of \
                            String, Arn and Bool operators";

fn parse_glob(text: &str, syntax: Syntax) -> Result<Glob, Wrong> {
    Glob::parse(text, syntax).map_err(|error| Wrong {
        problem: Problem::Syntax(error),
        hint: "write `${key}` or `${key, 'default'}`; a plain `$` is `${$}`",
    })
}

fn parse_arns(
    condition: &Condition,
    variables: bool,
    findings: &mut Vec<PolicyFinding>,
) -> Option<Box<[ArnValue]>> {
    let arns = each(condition, findings, |text| parse_arn(text, variables))?;
    for (value, arn) in condition.values.iter().zip(&arns) {
        if matches!(arn, ArnValue::Nothing(_)) {
            let told = told(condition, &value.text);
            let told = told.as_deref().unwrap_or(NOT_SHOWN);
            let message = format!("{told} has fewer than six parts and matches no ARN");
            let hint = "write `arn:partition:service:region:account:resource`";
            findings.push(PolicyFinding::warning(value.offset, value.len, message).with_hint(hint));
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
    let [arn, partition, service, region, account, resource] =
        parts.map(|part| parse_glob(part, syntax));
    let parts = [arn?, partition?, service?, region?, account?, resource?];
    Ok(ArnValue::Parts(syntax, Box::new(parts)))
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
    match network(text) {
        Some(network) => Ok(unmapped(network).trunc()),
        None => Err(Wrong::new(
            text,
            "address and no CIDR block",
            "write `192.0.2.0/24`, `192.0.2.1` or `2001:db8::/32`",
        )),
    }
}

/// Not `IpNet::from_str`, which takes octets with leading zeros: some readers take those as octal.
fn network(text: &str) -> Option<IpNet> {
    let Some((address, prefix_len)) = text.split_once('/') else {
        return text.parse::<IpAddr>().ok().map(IpNet::from);
    };
    if !is_digits(prefix_len) {
        return None;
    }
    IpNet::new(address.parse().ok()?, prefix_len.parse().ok()?).ok()
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
