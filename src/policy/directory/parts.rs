//! The smaller files of an account: one resource, key, trusted profile or role each.
//!
//! Flows in: a file. Flows out: what it is about and where that is said, or findings.

use std::sync::Arc;

use crate::iam::{AccountId, Arn};
use crate::policy::directory::file::{File, Object, Place, kind};
use crate::policy::document::PolicyType;
use crate::policy::json::{Json, Node};
use crate::policy::set::{
    KeyEntry, PrincipalEntry, Profile, ResourceEntry, Tag, Trusted, check_pattern,
};

/// Something and where its name is written.
#[derive(Clone, Debug)]
pub(super) struct Placed<T> {
    pub(super) entry: T,
    pub(super) place: Place,
}

/// What a role's own file adds to the account's list.
#[derive(Clone, Debug)]
pub(super) struct RoleLimits {
    pub(super) arn: Box<str>,
    pub(super) session_seconds_max: u32,
}

/// `resources/*.json`.
pub(super) fn resource(
    file: &mut File<'_>,
    account: AccountId,
) -> Option<Placed<Arc<ResourceEntry>>> {
    let root = file.root()?;
    let root = file.object(&root, "a resource")?;
    file.known_members(root, &["resource", "policy", "key", "tags"]);
    let (pattern, node) = file.text(root, "resource")?;
    let parsed = Arn::parse(pattern);
    if let Err(error) = check_pattern(pattern) {
        file.error(node, error.to_string());
        return None;
    }
    if let Some(arn) = parsed {
        check_owner(file, node, arn, account);
    }
    let policy = match (root.get("policy"), parsed.filter(|arn| arn.is_key())) {
        (None, _) => None,
        (Some(policy), None) => Some(file.policy(policy, pattern, PolicyType::Resource)?),
        (Some(policy), Some(_)) => {
            file.error_hint(policy, "a key's policy is not here", "put it into a file of `keys/`");
            None
        }
    };
    let key = root.get("key").and_then(|node| key_arn(file, node));
    let entry = ResourceEntry {
        pattern: pattern.into(),
        policy,
        key: key.map(Into::into),
        tags: tags(file, root),
        file: Arc::clone(&file.source.file),
    };
    Some(Placed { entry: Arc::new(entry), place: file.place(node) })
}

/// `keys/*.json`.
pub(super) fn key(file: &mut File<'_>, account: AccountId) -> Option<Placed<Arc<KeyEntry>>> {
    let root = file.root()?;
    let root = file.object(&root, "a key")?;
    file.known_members(root, &["key", "policy"]);
    let node = file.require(root, "key")?;
    let policy = file.require(root, "policy")?;
    let arn = key_arn(file, node)?;
    if Arn::parse(arn).is_none_or(|arn| arn.account() != account.as_str()) {
        file.error_hint(
            node,
            format!("`{arn}` is not of account `{account}`"),
            "keys are found by the account in their ARN",
        );
        return None;
    }
    let policy = file.policy(policy, arn, PolicyType::Key)?;
    let entry = KeyEntry { arn: arn.into(), policy, file: Arc::clone(&file.source.file) };
    Some(Placed { entry: Arc::new(entry), place: file.place(node) })
}

/// `profiles/*.json`. A profile acts like a role that has its id for a name.
pub(super) fn profile(
    file: &mut File<'_>,
    account: AccountId,
) -> Option<Placed<Arc<PrincipalEntry>>> {
    let root = file.root()?;
    let root = file.object(&root, "a trusted profile")?;
    file.known_members(root, &["id", "name", "trusted", "policies"]);
    let (id, node) = file.text(root, "id")?;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    if !id.starts_with("Profile-") || !id.bytes().all(is_plain) {
        let hint = "a profile's id is `Profile-` and a UUID, without `iam-` before it";
        file.error_hint(node, format!("`{id}` is no profile's id"), hint);
        return None;
    }
    let name = file.optional_text(root, "name").unwrap_or(id);
    let trusted = file.list(root, "trusted").iter().filter_map(|node| trusted(file, node));
    let trusted = trusted.collect();
    let mut policies = Vec::new();
    for (index, document) in file.list(root, "policies").iter().enumerate() {
        let named = format!("{name}, policy {}", index.saturating_add(1));
        policies.extend(file.policy(document, &named, PolicyType::Identity));
    }
    let entry = PrincipalEntry {
        arn: format!("arn:aws:iam::{account}:role/{id}").into(),
        id: id.into(),
        policies: policies.into(),
        profile: Some(Arc::new(Profile { name: name.into(), trusted })),
        ..PrincipalEntry::default()
    };
    Some(Placed { entry: Arc::new(entry), place: file.place(node) })
}

/// `roles/*.json`, as `aws iam get-role` prints it. Members that are not read are no findings.
pub(super) fn role(file: &mut File<'_>, account: AccountId) -> Option<Placed<RoleLimits>> {
    let root = file.root()?;
    let root = file.object(&root, "the document")?;
    let role = file.require(root, "Role")?;
    let role = file.object(role, "`Role`")?;
    let (arn, node) = file.text(role, "Arn")?;
    if Arn::parse(arn).is_none_or(|arn| arn.account() != account.as_str()) {
        file.error_hint(
            node,
            format!("`{arn}` is no role of account `{account}`"),
            "the folder's name is the account",
        );
        return None;
    }
    // Without the member it is what AWS has for roles that nobody gave one.
    let seconds = match role.get("MaxSessionDuration") {
        None => SESSION_SECONDS.0,
        Some(node) => session_seconds(file, node)?,
    };
    let entry = RoleLimits { arn: arn.into(), session_seconds_max: seconds };
    Some(Placed { entry, place: file.place(node) })
}

fn session_seconds(file: &mut File<'_>, node: &Node) -> Option<u32> {
    let (least, most) = SESSION_SECONDS;
    let seconds = match &node.value {
        Json::Number(digits) => digits.parse().ok(),
        Json::Null | Json::Bool(_) | Json::Text(_) | Json::List(_) | Json::Object(_) => None,
    };
    let found = seconds.filter(|seconds| (least..=most).contains(seconds));
    if found.is_none() {
        let message = format!("`MaxSessionDuration` is a number from {least} to {most}");
        file.error(node, message);
    }
    found
}

fn trusted(file: &mut File<'_>, node: &Node) -> Option<Trusted> {
    let object = file.object(node, "an entry of `trusted`")?;
    file.known_members(object, &["iam_id", "claims"]);
    match (object.get("iam_id"), object.get("claims")) {
        (Some(id), None) => Some(Trusted::Login(file.as_text(id, "iam_id")?.into())),
        (None, Some(claims)) => {
            let claims = file.object(claims, "`claims`")?;
            if claims.members().is_empty() {
                file.error_hint(node, "`claims` is empty", "that would trust everybody");
                return None;
            }
            let pairs = claims.members().iter().map(|member| {
                if !member.name.starts_with('/') {
                    let message = format!("`{}` is no JSON pointer", member.name);
                    file.error_hint(&member.node, message, "like `/sub`");
                    return None;
                }
                let value = file.as_text(&member.node, &member.name)?;
                Some((member.name.clone(), value.into()))
            });
            let pairs = pairs.collect::<Option<Box<[(Box<str>, Box<str>)]>>>()?;
            if !pairs.iter().any(|(pointer, _)| **pointer == *"/iss") {
                let message = "`claims` without `/iss` trust the logins of every issuer";
                file.warn(node, message, "say whose, as in `\"/iss\": \"https://…\"`");
            }
            Some(Trusted::Claims(pairs))
        }
        (None, None) | (Some(_), Some(_)) => {
            file.error(node, "an entry of `trusted` has either `iam_id` or `claims`");
            None
        }
    }
}

/// The ARN of a key, not of an alias.
fn key_arn<'n>(file: &mut File<'_>, node: &'n Node) -> Option<&'n str> {
    let text = file.as_text(node, "key")?;
    let is_owned = |arn: Arn<'_>| AccountId::parse(arn.account()).is_ok();
    if !Arn::parse(text).is_some_and(|arn| arn.is_key() && is_owned(arn)) {
        let hint = "like `arn:aws:kms:eu-central-1:111111111111:key/id`; an alias is not the key";
        file.error_hint(node, format!("`{text}` is no key's ARN"), hint);
        return None;
    }
    Some(text)
}

/// The folder says who owns a resource; an ARN that says another account is doubtful.
fn check_owner(file: &mut File<'_>, node: &Node, arn: Arn<'_>, account: AccountId) {
    let named = arn.account();
    if !named.is_empty() && !named.contains(['*', '?']) && named != account.as_str() {
        file.warn(
            node,
            format!("the resource's ARN names account `{named}`, and its folder `{account}`"),
            "the folder says who owns it",
        );
    }
}

/// Tags as an object.
fn tags(file: &mut File<'_>, root: Object<'_>) -> Box<[Tag]> {
    let object = root.get("tags").and_then(|node| file.object(node, "`tags`"));
    let mut all = Vec::new();
    for member in object.map(Object::members).unwrap_or_default() {
        let Some(value) = member.node.as_text() else {
            let found = kind(&member.node);
            file.error(&member.node, format!("the tag `{}` is a text, not {found}", member.name));
            continue;
        };
        all.push((&*member.name, value, &member.node));
    }
    file.tags(all)
}

/// The shortest and the longest maximum of a role.
const SESSION_SECONDS: (u32, u32) = (3_600, 43_200);
