//! The condition keys that crossgate has values for, and what is known of them.

use crate::policy::context::{ConditionKey, KeyName};

/// Whether a key tells who calls or from where, so that a condition on it limits callers.
pub(super) fn limits_caller(key: &str) -> bool {
    let key = ConditionKey::new(key);
    CALLER_OTHER.contains(&key.as_str())
        || matches!(
            key.name,
            KeyName::FederatedProvider
                | KeyName::PrincipalAccount
                | KeyName::PrincipalArn
                | KeyName::PrincipalIsAwsService
                | KeyName::PrincipalOrgId
                | KeyName::PrincipalOrgPaths
                | KeyName::PrincipalServiceName
                | KeyName::PrincipalServiceNamesList
                | KeyName::SourceAccount
                | KeyName::SourceArn
                | KeyName::SourceIp
                | KeyName::SourceOrgId
                | KeyName::SourceOrgPaths
                | KeyName::SourceVpc
                | KeyName::SourceVpce
                | KeyName::UserId
                | KeyName::VpcSourceIp
        )
}

/// Keys of services that tell the caller.
const CALLER_OTHER: [&str; 3] =
    ["kms:calleraccount", "s3:dataaccesspointaccount", "s3:dataaccesspointarn"];

/// Whether every request has a value for a key.
pub(super) fn is_always_present(key: &str) -> bool {
    matches!(
        ConditionKey::new(key).name,
        KeyName::CurrentTime
            | KeyName::EpochTime
            | KeyName::PrincipalType
            | KeyName::RequestedRegion
            | KeyName::ResourceAccount
            | KeyName::SecureTransport
    )
}

/// Whether a condition on a key says that requests of services were thought of.
pub(super) fn is_of_services(key: &str) -> bool {
    matches!(
        ConditionKey::new(key).name,
        KeyName::PrincipalIsAwsService | KeyName::PrincipalServiceName | KeyName::ViaAwsService
    )
}

/// What is wrong with a key that no request has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unknown {
    /// No key of `aws:` has that name; perhaps another was meant.
    Global { meant: Option<&'static str> },
    /// It has no service, and this key would be the one with it.
    NoService { meant: &'static str },
}

/// Whether no request has the key, as far as that can be told: keys of services and of the
/// configuration may have any name.
pub(super) fn unknown(key: &str) -> Option<Unknown> {
    let known = ConditionKey::new(key);
    if known.name != KeyName::Other {
        return None;
    }
    let lower = known.as_str();
    match lower.split_once(':') {
        Some(("aws", name)) => Some(Unknown::Global { meant: nearest(name) }),
        Some(_) => None,
        None => {
            let same = |it: &&'static str| without_service(it).eq_ignore_ascii_case(lower);
            Some(Unknown::NoService { meant: SPELLINGS.into_iter().find(same)? })
        }
    }
}

fn nearest(name: &str) -> Option<&'static str> {
    // A third of the letters wrong still reads as a typo; more is another word.
    let distance_max = (name.chars().count() / 3).max(1);
    let distance =
        |it: &str| strsim::damerau_levenshtein(name, &without_service(it).to_ascii_lowercase());
    let by_distance = SPELLINGS.into_iter().map(|it| (distance(it), it));
    let (_, nearest) = by_distance.filter(|(it, _)| *it <= distance_max).min()?;
    Some(nearest)
}

fn without_service(key: &str) -> &str {
    key.strip_prefix("aws:").unwrap_or(key)
}

/// The global keys as they are written.
const SPELLINGS: [&str; 40] = [
    "aws:CalledVia",
    "aws:CalledViaFirst",
    "aws:CalledViaLast",
    "aws:CurrentTime",
    "aws:EpochTime",
    "aws:FederatedProvider",
    "aws:MultiFactorAuthAge",
    "aws:MultiFactorAuthPresent",
    "aws:PrincipalAccount",
    "aws:PrincipalArn",
    "aws:PrincipalIsAWSService",
    "aws:PrincipalOrgID",
    "aws:PrincipalOrgPaths",
    "aws:PrincipalServiceName",
    "aws:PrincipalServiceNamesList",
    "aws:PrincipalTag/",
    "aws:PrincipalType",
    "aws:Referer",
    "aws:RequestTag/",
    "aws:RequestedRegion",
    "aws:ResourceAccount",
    "aws:ResourceOrgID",
    "aws:ResourceOrgPaths",
    "aws:ResourceTag/",
    "aws:SecureTransport",
    "aws:SourceAccount",
    "aws:SourceArn",
    "aws:SourceIdentity",
    "aws:SourceIp",
    "aws:SourceOrgID",
    "aws:SourceOrgPaths",
    "aws:SourceVpc",
    "aws:SourceVpce",
    "aws:TagKeys",
    "aws:TokenIssueTime",
    "aws:UserAgent",
    "aws:VpcSourceIp",
    "aws:ViaAWSService",
    "aws:userid",
    "aws:username",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_that_is_proposed_has_values() {
        for spelling in SPELLINGS {
            assert_ne!(ConditionKey::new(spelling).name, KeyName::Other, "{spelling}");
        }
    }

    #[test]
    fn unknown_keys_come_with_what_was_meant() {
        let meant = |key| match unknown(key) {
            Some(Unknown::Global { meant }) => meant,
            Some(Unknown::NoService { meant }) => Some(meant),
            None => panic!("{key} is known"),
        };
        assert_eq!(meant("aws:PrincipalOrgIDs"), Some("aws:PrincipalOrgID"));
        assert_eq!(meant("aws:MultifactorAuthPresnt"), Some("aws:MultiFactorAuthPresent"));
        assert_eq!(meant("SourceIp"), Some("aws:SourceIp"));
        assert_eq!(meant("aws:Ec2InstanceSourceVpc"), None);
        for known in ["AWS:sourceip", "s3:prefix", "tenant", "aws:PrincipalTag/a", "x.com/a:sub"] {
            assert_eq!(unknown(known), None, "{known}");
        }
    }
}
