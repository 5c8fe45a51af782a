//! Condition keys and the values that a request has for them.

use std::fmt::{self, Write as _};
use std::net::IpAddr;

use crate::clock::UnixSeconds;

/// A condition key of a policy: its name without regard to letter case, tag keys included.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConditionKey {
    /// Which key, where crossgate knows it.
    pub name: KeyName,
    // The whole key in lower case.
    lower: Box<str>,
}

/// The keys that crossgate derives values for, and families of keys (facts: IAM's global keys).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "each is the key's name")]
pub enum KeyName {
    CalledVia,
    CalledViaFirst,
    CalledViaLast,
    CurrentTime,
    EpochTime,
    FederatedProvider,
    MultiFactorAuthAge,
    MultiFactorAuthPresent,
    PrincipalAccount,
    PrincipalArn,
    PrincipalIsAwsService,
    PrincipalOrgId,
    PrincipalOrgPaths,
    PrincipalServiceName,
    PrincipalServiceNamesList,
    PrincipalTag,
    PrincipalType,
    Referer,
    RequestTag,
    RequestedRegion,
    ResourceAccount,
    ResourceOrgId,
    ResourceOrgPaths,
    ResourceTag,
    SecureTransport,
    SourceAccount,
    SourceArn,
    SourceIdentity,
    SourceIp,
    SourceOrgId,
    SourceOrgPaths,
    SourceVpc,
    SourceVpce,
    TagKeys,
    TokenIssueTime,
    UserAgent,
    UserId,
    UserName,
    ViaAwsService,
    VpcSourceIp,
    /// A key of a service, or one that crossgate does not know.
    Other,
}

/// The global keys by their names in lower case, without `aws:`.
const GLOBAL: [(&str, KeyName); 37] = [
    ("calledvia", KeyName::CalledVia),
    ("calledviafirst", KeyName::CalledViaFirst),
    ("calledvialast", KeyName::CalledViaLast),
    ("currenttime", KeyName::CurrentTime),
    ("epochtime", KeyName::EpochTime),
    ("federatedprovider", KeyName::FederatedProvider),
    ("multifactorauthage", KeyName::MultiFactorAuthAge),
    ("multifactorauthpresent", KeyName::MultiFactorAuthPresent),
    ("principalaccount", KeyName::PrincipalAccount),
    ("principalarn", KeyName::PrincipalArn),
    ("principalisawsservice", KeyName::PrincipalIsAwsService),
    ("principalorgid", KeyName::PrincipalOrgId),
    ("principalorgpaths", KeyName::PrincipalOrgPaths),
    ("principalservicename", KeyName::PrincipalServiceName),
    ("principalservicenameslist", KeyName::PrincipalServiceNamesList),
    ("principaltype", KeyName::PrincipalType),
    ("referer", KeyName::Referer),
    ("requestedregion", KeyName::RequestedRegion),
    ("resourceaccount", KeyName::ResourceAccount),
    ("resourceorgid", KeyName::ResourceOrgId),
    ("resourceorgpaths", KeyName::ResourceOrgPaths),
    ("securetransport", KeyName::SecureTransport),
    ("sourceaccount", KeyName::SourceAccount),
    ("sourcearn", KeyName::SourceArn),
    ("sourceidentity", KeyName::SourceIdentity),
    ("sourceip", KeyName::SourceIp),
    ("sourceorgid", KeyName::SourceOrgId),
    ("sourceorgpaths", KeyName::SourceOrgPaths),
    ("sourcevpc", KeyName::SourceVpc),
    ("sourcevpce", KeyName::SourceVpce),
    ("tagkeys", KeyName::TagKeys),
    ("tokenissuetime", KeyName::TokenIssueTime),
    ("useragent", KeyName::UserAgent),
    ("userid", KeyName::UserId),
    ("username", KeyName::UserName),
    ("viaawsservice", KeyName::ViaAwsService),
    ("vpcsourceip", KeyName::VpcSourceIp),
];

/// The families of keys that end in a tag's key.
const TAGS: [(&str, KeyName); 3] = [
    ("aws:principaltag/", KeyName::PrincipalTag),
    ("aws:requesttag/", KeyName::RequestTag),
    ("aws:resourcetag/", KeyName::ResourceTag),
];

impl ConditionKey {
    /// A key from its text.
    pub fn new(text: &str) -> Self {
        let lower: Box<str> = text.to_lowercase().into();
        let tag = TAGS.iter().find(|(prefix, _)| lower.starts_with(prefix));
        let global = || {
            let name = lower.strip_prefix("aws:")?;
            GLOBAL.iter().find(|(known, _)| *known == name)
        };
        let name = tag.or_else(global).map_or(KeyName::Other, |(_, name)| *name);
        Self { name, lower }
    }

    /// The whole key in lower case.
    pub fn as_str(&self) -> &str {
        &self.lower
    }

    /// The tag's key in lower case, of a key that ends in one.
    pub fn tag(&self) -> Option<&str> {
        match self.name {
            KeyName::PrincipalTag | KeyName::RequestTag | KeyName::ResourceTag => {
                self.lower.split_once('/').map(|(_, tag)| tag)
            }
            _ => None,
        }
    }
}

/// What a request knows of itself.
pub trait Context {
    /// The request's values for a key.
    fn values(&self, key: &ConditionKey) -> Values<'_>;

    /// The values when the question is about a resource's key, of this account. Whoever knows
    /// what is the resource's alone leaves it out.
    fn values_for_key<'v>(&'v self, key: &ConditionKey, account: &'v str) -> Values<'v> {
        let _ = account;
        self.values(key)
    }
}

/// The context of the question about a resource's key.
#[derive(Debug)]
pub(crate) struct KeyContext<'c, C: ?Sized> {
    /// The request's context.
    pub(crate) request: &'c C,
    /// The account that owns the key.
    pub(crate) account: &'c str,
}

impl<C: Context + ?Sized> Context for KeyContext<'_, C> {
    fn values(&self, key: &ConditionKey) -> Values<'_> {
        self.request.values_for_key(key, self.account)
    }
}

/// What a policy variable stands for: the key's single value; the default where the request has
/// none. `None`: nothing, so that what holds the variable matches nothing.
pub(crate) fn variable<'a, C: Context + ?Sized>(
    context: &'a C,
    key: &ConditionKey,
    default: Option<&'a str>,
) -> Option<ValueText<'a>> {
    match context.values(key) {
        Values::Absent | Values::Many([]) => default.map(ValueText::Borrowed),
        Values::Many(_) => None,
        Values::One(value) => Some(value.text()),
    }
}

/// A request that knows nothing of itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NoContext;

impl Context for NoContext {
    fn values(&self, _: &ConditionKey) -> Values<'_> {
        Values::Absent
    }
}

/// A request's values for a key.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Values<'a> {
    /// The request has none.
    Absent,
    /// The key has a single value.
    One(Value<'a>),
    /// The key may have several values, and has these; none is as good as absent.
    Many(&'a [Box<str>]),
}

/// One value. What crossgate derives keeps its type, so that nothing is formatted to be parsed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// Text, which operators parse as they need.
    Text(&'a str),
    /// An address.
    Address(IpAddr),
    /// `true` or `false`.
    Bool(bool),
    /// A count, for example of seconds.
    Number(u64),
    /// A point in time, as in `aws:CurrentTime`.
    Time(UnixSeconds),
}

impl<'a> Value<'a> {
    /// The value as operators on texts see it: an address in its shortest form, IPv4 even if it
    /// came mapped into IPv6; a time as `2025-10-10T14:03:27Z`. No allocation.
    pub(crate) fn text(self) -> ValueText<'a> {
        match self {
            Self::Text(text) => ValueText::Borrowed(text),
            Self::Bool(true) => ValueText::Borrowed("true"),
            Self::Bool(false) => ValueText::Borrowed("false"),
            Self::Address(address) => Written::of(format_args!("{}", address.to_canonical())),
            Self::Number(number) => Written::of(format_args!("{number}")),
            Self::Time(time) => Written::of(format_args!("{}", Rfc3339(time))),
        }
    }
}

/// The text of a [`Value`].
#[derive(Clone, Copy, Debug)]
pub(crate) enum ValueText<'a> {
    /// It is a text.
    Borrowed(&'a str),
    /// It was written as one.
    Written(Written),
}

impl ValueText<'_> {
    /// The text.
    pub(crate) fn as_str(&self) -> &str {
        match self {
            Self::Borrowed(text) => text,
            Self::Written(written) => written.as_str(),
        }
    }
}

/// A short text in place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Written {
    bytes: [u8; WRITTEN_BYTES_MAX],
    len: u8,
}

impl Written {
    fn of<'a>(value: fmt::Arguments<'_>) -> ValueText<'a> {
        let mut written = Self { bytes: [0; WRITTEN_BYTES_MAX], len: 0 };
        // INVARIANT: every value that is written here fits.
        let fits = written.write_fmt(value).is_ok();
        debug_assert!(fits, "a value has more bytes than the longest");
        ValueText::Written(written)
    }

    fn as_str(&self) -> &str {
        let text = self.bytes.get(..usize::from(self.len)).unwrap_or_default();
        str::from_utf8(text).unwrap_or_default()
    }
}

impl fmt::Write for Written {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let start = usize::from(self.len);
        let end = start + text.len();
        let free = self.bytes.get_mut(start..end).ok_or(fmt::Error)?;
        free.copy_from_slice(text.as_bytes());
        self.len = u8::try_from(end).map_err(|_| fmt::Error)?;
        Ok(())
    }
}

/// An IPv6 address has 39 bytes at most, a number and a time 20.
const WRITTEN_BYTES_MAX: usize = 39;

/// A time as conditions have it; what is after the year 9999 reads as its end.
struct Rfc3339(UnixSeconds);

impl fmt::Display for Rfc3339 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = i64::try_from(self.0.0).unwrap_or(i64::MAX).min(SECONDS_MAX);
        let time = jiff::civil::DateTime::constant(1970, 1, 1, 0, 0, 0, 0)
            .saturating_add(jiff::SignedDuration::from_secs(seconds));
        write!(
            f,
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z",
            time.year(),
            time.month(),
            time.day(),
            time.hour(),
            time.minute(),
            time.second()
        )
    }
}

/// 9999-12-31T23:59:59Z.
const SECONDS_MAX: i64 = 253_402_300_799;

/// A request for tests.
#[cfg(test)]
#[derive(Clone, Debug, Default)]
pub(crate) struct TestContext(Vec<(ConditionKey, Values<'static>)>);

#[cfg(test)]
impl TestContext {
    pub(crate) fn with(mut self, key: &str, values: Values<'static>) -> Self {
        self.0.push((ConditionKey::new(key), values));
        self
    }

    pub(crate) fn with_text(self, key: &str, text: &str) -> Self {
        self.with(key, Values::One(Value::Text(String::from(text).leak())))
    }

    pub(crate) fn with_many(self, key: &str, texts: &[&str]) -> Self {
        let texts: Vec<Box<str>> = texts.iter().map(|text| Box::from(*text)).collect();
        self.with(key, Values::Many(texts.leak()))
    }
}

#[cfg(test)]
impl Context for TestContext {
    fn values(&self, key: &ConditionKey) -> Values<'_> {
        self.0.iter().find(|(known, _)| known == key).map_or(Values::Absent, |(_, values)| *values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_the_text_that_documents_compare_with() {
        let address = |text: &str| Value::Address(text.parse().unwrap());
        for (value, expected) in [
            (Value::Text("a"), "a"),
            (Value::Bool(true), "true"),
            (Value::Bool(false), "false"),
            (Value::Number(u64::MAX), "18446744073709551615"),
            (Value::Time(UnixSeconds(0)), "1970-01-01T00:00:00Z"),
            (Value::Time(UnixSeconds(1_760_105_007)), "2025-10-10T14:03:27Z"),
            (Value::Time(UnixSeconds(u64::MAX)), "9999-12-31T23:59:59Z"),
            (address("192.0.2.1"), "192.0.2.1"),
            (address("::ffff:192.0.2.1"), "192.0.2.1"),
            (address("2001:DB8:0::1"), "2001:db8::1"),
            (
                address("1111:2222:3333:4444:5555:6666:7777:8888"),
                "1111:2222:3333:4444:5555:6666:7777:8888",
            ),
        ] {
            assert_eq!(value.text().as_str(), expected, "{value:?}");
        }
    }

    #[test]
    fn keys_are_known_in_any_letter_case() {
        let key = ConditionKey::new("AWS:principaltag/Cost Centre");
        assert_eq!((key.name, key.tag()), (KeyName::PrincipalTag, Some("cost centre")));
        assert_eq!(ConditionKey::new("aws:SourceIP").name, KeyName::SourceIp);
        for other in ["sourceip", "aws:sourceipx", "s3:prefix", "aws:principaltag", ""] {
            assert_eq!(ConditionKey::new(other).name, KeyName::Other, "{other}");
        }
    }

    #[test]
    fn global_keys_are_sorted_and_single() {
        assert!(GLOBAL.is_sorted_by(|a, b| a.0 < b.0));
    }
}
