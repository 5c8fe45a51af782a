//! Condition keys and the values that a request has for them.

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

#[cfg(test)]
mod tests {
    use super::*;

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
