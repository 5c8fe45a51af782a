//! One account's policies.

use std::collections::HashMap;
use std::hash::BuildHasher as _;
use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashTable;
use smallvec::SmallVec;

use crate::iam::{AccountId, Arn};
use crate::policy::pattern::PatternError;
use crate::policy::principal::{Principal, PrincipalKind, SERVICE_LINKED_PATH, last_part};
use crate::policy::set::resources::{ResourceIndex, same_arn};
use crate::policy::statement::CompiledPolicy;

/// One account: its principals, resources and keys.
#[derive(Debug, Default)]
pub struct AccountPolicies {
    // `None`: nobody told which principals the account has.
    principals: Option<HashTable<Arc<PrincipalEntry>>>,
    resources: ResourceIndex,
    keys: HashTable<Arc<KeyEntry>>,
    managed: HashMap<Box<str>, Arc<CompiledPolicy>, FixedState>,
    profiles: Box<[Arc<PrincipalEntry>]>,
}

/// What an account's policies are made of.
#[derive(Clone, Debug, Default)]
pub struct AccountParts {
    /// All principals; `None` if they are not known, which is not the same as none.
    pub principals: Option<Vec<Arc<PrincipalEntry>>>,
    /// The resources and patterns.
    pub resources: Vec<Arc<ResourceEntry>>,
    /// The keys.
    pub keys: Vec<Arc<KeyEntry>>,
    /// Managed policies by their ARNs, as policies of sessions.
    pub managed: Vec<(Box<str>, Arc<CompiledPolicy>)>,
}

/// Why parts make no account.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AccountError {
    /// A text that is to be an ARN is none of the form that its place needs.
    #[error("`{0}` is no ARN of a user, role or key of the account")]
    Arn(Box<str>),
    /// What a resource is encrypted with is no key.
    #[error("`{0}` is no ARN of a key")]
    Key(Box<str>),
    /// A resource is no pattern.
    #[error("`{0}`: {1}")]
    Pattern(Box<str>, Box<str>),
    /// Two parts have the same name.
    #[error("`{0}` is there twice")]
    Twice(Box<str>),
}

/// A user or role, or a trusted profile.
#[derive(Clone, Debug, Default)]
pub struct PrincipalEntry {
    /// Its ARN, with its path. A trusted profile's is that of a role of its id.
    pub arn: Box<str>,
    /// Its unique id (`AIDA…`, `AROA…`); may be empty.
    pub id: Box<str>,
    /// Its tags.
    pub tags: Box<[Tag]>,
    /// Its identity policies: inline, attached, and those of its groups.
    pub policies: SmallVec<[Arc<CompiledPolicy>; 2]>,
    /// Its permissions boundary.
    pub boundary: Option<[Arc<CompiledPolicy>; 1]>,
    /// A role's trust policy.
    pub trust: Option<Arc<CompiledPolicy>>,
    /// The longest session of a role, where it is known.
    pub session_seconds_max: Option<u32>,
    /// Who may become it, of a trusted profile.
    pub profile: Option<Arc<Profile>>,
}

/// What makes a role a trusted profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// Its name for people.
    pub name: Box<str>,
    /// Any of them may become it.
    pub trusted: Box<[Trusted]>,
}

/// Who may become a trusted profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trusted {
    /// Whose token has all these values, by JSON pointers.
    Claims(Box<[(Box<str>, Box<str>)]>),
    /// The login of this id.
    Login(Box<str>),
}

/// A tag; keys are compared without regard to letter case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag {
    /// The key in lower case.
    pub key: Box<str>,
    /// The value.
    pub value: Box<str>,
}

/// A resource, or all resources of a pattern.
#[derive(Clone, Debug)]
pub struct ResourceEntry {
    /// The ARN or pattern, as written.
    pub pattern: Box<str>,
    /// Its policy, where it has one.
    pub policy: Option<Arc<CompiledPolicy>>,
    /// The ARN of the key that it is encrypted with.
    pub key: Option<Box<str>>,
    /// Its tags.
    pub tags: Box<[Tag]>,
    /// The file that says so, as it is named to people.
    pub file: Arc<str>,
}

/// A key of the account.
#[derive(Clone, Debug)]
pub struct KeyEntry {
    /// Its ARN.
    pub arn: Box<str>,
    /// Its policy.
    pub policy: Arc<CompiledPolicy>,
    /// The file that says so, as it is named to people.
    pub file: Arc<str>,
}

impl AccountPolicies {
    /// An account's policies from their parts.
    ///
    /// # Errors
    /// Two parts have one name, or a name is of no form that can be looked up.
    pub fn new(account: AccountId, parts: AccountParts) -> Result<Self, AccountError> {
        let is_profile = |entry: &&Arc<PrincipalEntry>| entry.profile.is_some();
        let profiles = parts.principals.iter().flatten().filter(is_profile).cloned().collect();
        let principals = parts.principals.map(|list| principal_table(account, list)).transpose()?;
        // A key that can't be looked up would be a key that nobody asks.
        let mut named = parts.resources.iter().filter_map(|resource| resource.key.as_deref());
        if let Some(wrong) = named.find(|key| !Arn::parse(key).is_some_and(Arn::is_key)) {
            return Err(AccountError::Key(wrong.into()));
        }
        let resources = ResourceIndex::new(parts.resources)?;
        let mut keys = HashTable::with_capacity(parts.keys.len());
        for key in parts.keys {
            let Some(arn) = Arn::parse(&key.arn).filter(|arn| arn.is_key()) else {
                return Err(AccountError::Arn(key.arn.clone()));
            };
            let hash = key_hash(arn);
            if find_key(&keys, arn).is_some() {
                return Err(AccountError::Twice(key.arn.clone()));
            }
            keys.insert_unique(hash, key, hash_of_key);
        }
        let managed = parts.managed.into_iter().collect();
        Ok(Self { principals, resources, keys, managed, profiles })
    }

    /// Whether it is known which principals the account has.
    pub fn knows_principals(&self) -> bool {
        self.principals.is_some()
    }

    /// All principals, by their ARNs' order.
    pub fn principals(&self) -> Vec<&Arc<PrincipalEntry>> {
        let mut all: Vec<_> = self.principals.iter().flatten().collect();
        all.sort_unstable_by(|a, b| a.arn.cmp(&b.arn));
        all
    }

    /// All resources and patterns, the more specific before the less.
    pub fn resources(&self) -> impl Iterator<Item = &Arc<ResourceEntry>> {
        self.resources.iter()
    }

    /// All keys, by their ARNs' order.
    pub fn keys(&self) -> Vec<&Arc<KeyEntry>> {
        let mut all: Vec<_> = self.keys.iter().collect();
        all.sort_unstable_by(|a, b| a.arn.cmp(&b.arn));
        all
    }

    /// The entry of a principal of this account, of a role or user behind a session.
    ///
    /// One look-up by hash, no allocation.
    pub fn principal(&self, principal: &Principal<'_>) -> Option<&Arc<PrincipalEntry>> {
        match principal.kind {
            PrincipalKind::User => {
                let arn = Arn::parse(principal.text)?;
                self.named(NameKind::User, arn.resource().strip_prefix("user/")?, arn.partition())
                    .filter(|entry| *entry.arn == *principal.text)
            }
            // The name of a user's session has no path, so it means a user without one.
            PrincipalKind::FederatedUser => {
                let arn = Arn::parse(principal.text)?;
                let name = arn.resource().strip_prefix("federated-user/")?;
                self.named(NameKind::User, name, arn.partition())
            }
            PrincipalKind::Role | PrincipalKind::AssumedRole => {
                let role = principal.role?;
                let is_own = principal.account == Some(role.account);
                self.named(NameKind::Role, role.name, role.partition).filter(|_| is_own)
            }
            PrincipalKind::Anonymous
            | PrincipalKind::Root
            | PrincipalKind::Service
            | PrincipalKind::WebIdentity => None,
        }
    }

    /// The role of an ARN, whatever its path.
    pub fn role(&self, arn: Arn<'_>) -> Option<&Arc<PrincipalEntry>> {
        let name = last_part(arn.resource().strip_prefix(ROLE)?);
        self.named(NameKind::Role, name, arn.partition()).filter(|entry| {
            Arn::parse(&entry.arn).is_some_and(|own| own.account() == arn.account())
        })
    }

    /// The most specific entry for a resource.
    ///
    /// One look-up by hash for each length of a literal prefix that the account's patterns have.
    pub fn resource(&self, arn: Arn<'_>) -> Option<&Arc<ResourceEntry>> {
        self.resources.find(arn)
    }

    /// The most specific pattern that means all that another pattern means, if there is one.
    pub fn wider(&self, entry: &ResourceEntry) -> Option<&Arc<ResourceEntry>> {
        self.resources.wider(entry)
    }

    /// The key of an ARN.
    pub fn key(&self, arn: Arn<'_>) -> Option<&Arc<KeyEntry>> {
        find_key(&self.keys, arn)
    }

    /// A managed policy of the account, or one of AWS's that is told here, by its ARN.
    pub fn managed(&self, arn: &str) -> Option<&CompiledPolicy> {
        self.managed.get(arn).map(|policy| &**policy)
    }

    /// A trusted profile by its name for people; `None` too where several have it.
    pub fn profile_named(&self, name: &str) -> Option<&Arc<PrincipalEntry>> {
        let is_named = |entry: &&Arc<PrincipalEntry>| {
            entry.profile.as_ref().is_some_and(|profile| *profile.name == *name)
        };
        let mut found = self.profiles.iter().filter(is_named);
        found.next().filter(|_| found.next().is_none())
    }

    /// The trusted profiles.
    pub fn profiles(&self) -> &[Arc<PrincipalEntry>] {
        &self.profiles
    }

    fn named(&self, kind: NameKind, name: &str, partition: &str) -> Option<&Arc<PrincipalEntry>> {
        let wanted = Some((kind, name, partition));
        let is_wanted = |entry: &Arc<PrincipalEntry>| name_of(&entry.arn) == wanted;
        self.principals.as_ref()?.find(name_hash(kind, name), is_wanted)
    }
}

impl PrincipalEntry {
    /// Whether it is a role that a service made for itself: guardrails do not apply to it.
    pub fn is_service_linked(&self) -> bool {
        let path = Arn::parse(&self.arn).and_then(|arn| arn.resource().strip_prefix(ROLE));
        path.is_some_and(|path| path.starts_with(SERVICE_LINKED_PATH))
    }
}

/// Which namespace a principal's name is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum NameKind {
    /// By the last part of its path.
    Role,
    /// By the whole path.
    User,
}

/// What a principal is looked up by, and its partition.
fn name_of(arn: &str) -> Option<(NameKind, &str, &str)> {
    let arn = Arn::parse(arn)?;
    let resource = arn.resource();
    let (kind, name) = match (resource.strip_prefix("user/"), resource.strip_prefix(ROLE)) {
        (Some(name), _) => (NameKind::User, name),
        (None, Some(path)) => (NameKind::Role, last_part(path)),
        (None, None) => return None,
    };
    (!name.is_empty()).then_some((kind, name, arn.partition()))
}

fn name_hash(kind: NameKind, name: &str) -> u64 {
    HASHER.hash_one((kind, name))
}

fn principal_table(
    account: AccountId,
    list: Vec<Arc<PrincipalEntry>>,
) -> Result<HashTable<Arc<PrincipalEntry>>, AccountError> {
    let hash_of = |entry: &Arc<PrincipalEntry>| {
        name_of(&entry.arn).map_or(0, |(kind, name, _)| name_hash(kind, name))
    };
    let mut table = HashTable::with_capacity(list.len());
    for entry in list {
        let own = Arn::parse(&entry.arn).is_some_and(|arn| arn.account() == account.as_str());
        let Some(name) = name_of(&entry.arn).filter(|_| own) else {
            return Err(AccountError::Arn(entry.arn.clone()));
        };
        let hash = hash_of(&entry);
        if table
            .find(hash, |other: &Arc<PrincipalEntry>| name_of(&other.arn) == Some(name))
            .is_some()
        {
            return Err(AccountError::Twice(entry.arn.clone()));
        }
        table.insert_unique(hash, entry, hash_of);
    }
    Ok(table)
}

fn find_key<'k>(keys: &'k HashTable<Arc<KeyEntry>>, arn: Arn<'_>) -> Option<&'k Arc<KeyEntry>> {
    keys.find(key_hash(arn), |key| Arn::parse(&key.arn).is_some_and(|own| same_arn(own, arn)))
}

fn hash_of_key(key: &Arc<KeyEntry>) -> u64 {
    Arn::parse(&key.arn).map_or(0, key_hash)
}

/// Of the parts that compare exactly.
fn key_hash(arn: Arn<'_>) -> u64 {
    HASHER.hash_one((arn.account(), arn.resource()))
}

impl AccountError {
    pub(super) fn pattern(pattern: &str, error: PatternError) -> Self {
        Self::Pattern(pattern.into(), error.to_string().into())
    }
}

const ROLE: &str = "role/";

// Nobody who asks picks the entries.
const HASHER: FixedState = FixedState::with_seed(0);

#[cfg(test)]
mod tests {
    use super::*;

    fn account(principals: &[&str]) -> Result<AccountPolicies, AccountError> {
        let entry =
            |arn: &&str| Arc::new(PrincipalEntry { arn: (*arn).into(), ..Default::default() });
        let principals = Some(principals.iter().map(entry).collect());
        let parts = AccountParts { principals, ..AccountParts::default() };
        AccountPolicies::new(AccountId::parse("111111111111").unwrap(), parts)
    }

    #[track_caller]
    fn check(asks: &str, expect: Option<&str>) {
        let account = account(&[
            "arn:aws:iam::111111111111:user/ana",
            "arn:aws:iam::111111111111:user/team/ben",
            "arn:aws:iam::111111111111:role/team/ana",
            "arn:aws:iam::111111111111:role/Profile-1",
        ])
        .unwrap();
        let kind = PrincipalKind::of(asks).unwrap();
        let principal = Principal::new(kind, asks, None).unwrap();
        assert_eq!(account.principal(&principal).map(|entry| &*entry.arn), expect);
    }

    #[test]
    fn users_are_found_by_their_whole_arn() {
        check("arn:aws:iam::111111111111:user/ana", Some("arn:aws:iam::111111111111:user/ana"));
        let ben = "arn:aws:iam::111111111111:user/team/ben";
        check(ben, Some(ben));
        for other in [
            "arn:aws:iam::111111111111:user/ben",
            "arn:aws:iam::111111111111:user/Ana",
            "arn:aws:iam::222222222222:user/ana",
            "arn:aws-cn:iam::111111111111:user/ana",
            "arn:aws:iam:eu:111111111111:user/ana",
        ] {
            check(other, None);
        }
    }

    #[test]
    fn sessions_are_found_by_their_role_or_user() {
        let role = Some("arn:aws:iam::111111111111:role/team/ana");
        check("arn:aws:sts::111111111111:assumed-role/ana/s", role);
        check("arn:aws:iam::111111111111:role/ana", role);
        check("arn:aws:iam::111111111111:role/other/ana", role);
        let user = Some("arn:aws:iam::111111111111:user/ana");
        check("arn:aws:sts::111111111111:federated-user/ana", user);
        let profile = Some("arn:aws:iam::111111111111:role/Profile-1");
        check("arn:aws:sts::111111111111:assumed-role/Profile-1/IBMid-1", profile);
        for other in [
            "arn:aws:sts::111111111111:assumed-role/ben/s",
            "arn:aws:sts::111111111111:assumed-role/Ana/s",
            "arn:aws-cn:sts::111111111111:assumed-role/ana/s",
            "arn:aws:sts::111111111111:federated-user/ben",
            "arn:aws:iam::111111111111:root",
        ] {
            check(other, None);
        }
    }

    #[test]
    fn a_session_of_another_account_is_nobody_here() {
        let account = account(&["arn:aws:iam::111111111111:role/a"]).unwrap();
        let session = "arn:aws:sts::222222222222:assumed-role/a/s";
        let kind = PrincipalKind::AssumedRole;
        let principal = Principal::new(kind, session, Some("111111111111")).unwrap();
        assert!(account.principal(&principal).is_none());
    }

    #[test]
    fn a_resource_is_encrypted_with_a_key_or_refused() {
        let encrypted = |key: &str| {
            let resource = ResourceEntry {
                pattern: "arn:aws:s3:::b/*".into(),
                policy: None,
                key: Some(key.into()),
                tags: Box::default(),
                file: "r.json".into(),
            };
            let resources = vec![Arc::new(resource)];
            let parts = AccountParts { resources, ..AccountParts::default() };
            AccountPolicies::new(AccountId::parse("111111111111").unwrap(), parts)
        };
        encrypted("arn:aws:kms:eu:222222222222:key/1").unwrap();
        for wrong in ["", "key/1", "arn:aws:kms:eu:111111111111:alias/a", "arn:aws:s3:::b"] {
            assert_eq!(encrypted(wrong).unwrap_err(), AccountError::Key(wrong.into()));
        }
    }

    #[test]
    fn names_that_come_twice_are_refused() {
        let role = |path: &str| format!("arn:aws:iam::111111111111:role/{path}");
        let refused = account(&[&role("a/x"), &role("b/x")]).unwrap_err();
        assert_eq!(refused, AccountError::Twice(role("b/x").into()));
        account(&[&role("x"), "arn:aws:iam::111111111111:user/x"]).unwrap();
        let foreign = account(&["arn:aws:iam::222222222222:user/x"]).unwrap_err();
        assert!(matches!(foreign, AccountError::Arn(_)));
    }
}
