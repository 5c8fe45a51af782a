//! The condition keys that crossgate has values for, and what is known of them.

use crate::policy::context::{ConditionKey, KeyName};
use crate::policy::finding::nearest;

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

/// Whether every request has a value for a key; a region and the like come from routes that say so.
pub(super) fn is_always_present(key: &str) -> bool {
    matches!(
        ConditionKey::new(key).name,
        KeyName::CurrentTime
            | KeyName::EpochTime
            | KeyName::ResourceAccount
            | KeyName::SecureTransport
            | KeyName::ViaAwsService
    )
}

/// Whether a condition on a key says that requests of services were thought of.
pub(super) fn is_of_services(key: &str) -> bool {
    matches!(
        ConditionKey::new(key).name,
        KeyName::PrincipalIsAwsService | KeyName::PrincipalServiceName | KeyName::ViaAwsService
    )
}

/// A global key that crossgate has no values for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unknown {
    /// The key that was perhaps meant.
    pub(super) meant: Option<&'static str>,
}

/// Whether no request has the key, as far as that can be told: keys of services and of the
/// configuration may have any name.
pub(super) fn unknown(key: &str) -> Option<Unknown> {
    let known = ConditionKey::new(key);
    let is_global = known.as_str().starts_with("aws:");
    (is_global && known.name == KeyName::Other).then(|| Unknown { meant: nearest(key, SPELLINGS) })
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
        let meant = |key| unknown(key).unwrap().meant;
        assert_eq!(meant("aws:PrincipalOrgIDs"), Some("aws:PrincipalOrgID"));
        assert_eq!(meant("aws:MultifactorAuthPresnt"), Some("aws:MultiFactorAuthPresent"));
        assert_eq!(meant("aws:Ec2InstanceSourceVpc"), None);
        for known in ["AWS:sourceip", "s3:prefix", "SourceIp", "aws:PrincipalTag/a", "x.com/a:sub"]
        {
            assert_eq!(unknown(known), None, "{known}");
        }
    }
}
