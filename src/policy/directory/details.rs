//! `authorization-details.json`: users, groups, roles and managed policies of an account, as
//! `aws iam get-account-authorization-details` prints them.
//!
//! Flows in: the file. Flows out: principals with all their policies. Members that are not read are
//! no findings: AWS adds some now and then.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use foldhash::fast::FixedState;

use crate::iam::{AccountId, Arn};
use crate::policy::directory::file::{File, Object, kind};
use crate::policy::document::PolicyType;
use crate::policy::json::{Json, Node};
use crate::policy::principal::last_part;
use crate::policy::set::{PrincipalEntry, Tag};
use crate::policy::statement::CompiledPolicy;

/// All principals of an account, and the managed policies that they may have.
#[derive(Debug, Default)]
pub(super) struct Principals {
    pub(super) entries: Vec<Arc<PrincipalEntry>>,
    pub(super) managed: Vec<(Box<str>, Arc<CompiledPolicy>)>,
}

/// Reads all principals of a file.
pub(super) fn read(file: &mut File<'_>, account: AccountId) -> Option<Principals> {
    let root = file.root()?;
    let root = file.object(&root, "the document")?;
    if LISTS.iter().all(|name| root.get(name).is_none()) {
        file.error_hint(
            root.node(),
            "none of `UserDetailList`, `GroupDetailList`, `RoleDetailList` and `Policies` is here",
            "keep what `aws iam get-account-authorization-details` prints",
        );
    }
    if let Some(node) = root.get("IsTruncated").filter(|node| node.value == Json::Bool(true)) {
        file.error_hint(node, "the list is cut off", "`aws` reads all pages by itself");
    }
    let mut details = Details::new(account);
    for node in file.list(root, "Policies") {
        details.managed_policy(file, node);
    }
    for node in file.list(root, "GroupDetailList") {
        details.group(file, node);
    }
    for node in file.list(root, "UserDetailList") {
        details.principal(file, node, &USER);
    }
    for node in file.list(root, "RoleDetailList") {
        details.principal(file, node, &ROLE);
    }
    details.lint(file);
    let compiled = |(arn, managed): (&str, Managed<'_>)| Some((arn.into(), managed.identity?));
    let managed = details.managed.into_iter().filter_map(compiled).collect();
    Some(Principals { entries: details.principals, managed })
}

/// What an account's file has so far.
struct Details<'n> {
    account: AccountId,
    managed: HashMap<&'n str, Managed<'n>, FixedState>,
    groups: HashMap<&'n str, Policies, FixedState>,
    names: HashSet<(Kind, &'n str), FixedState>,
    principals: Vec<Arc<PrincipalEntry>>,
}

/// A managed policy; compiled once for each purpose and shared by all that it is attached to.
struct Managed<'n> {
    name: &'n str,
    document: &'n Node,
    identity: Compiled,
    boundary: Option<Compiled>,
    attached: Attached,
}

/// Whether anybody has a managed policy for more than a boundary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Attached {
    No,
    Yes,
}

/// `None` where the document is refused, which is told already.
type Compiled = Option<Arc<CompiledPolicy>>;

type Policies = Vec<Arc<CompiledPolicy>>;

/// How users and roles differ in the file.
struct Form {
    kind: Kind,
    what: &'static str,
    prefix: &'static str,
    id: &'static str,
    inline: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    Role,
    User,
}

impl<'n> Details<'n> {
    fn new(account: AccountId) -> Self {
        Self {
            account,
            managed: HashMap::default(),
            groups: HashMap::default(),
            names: HashSet::default(),
            principals: Vec::new(),
        }
    }

    fn managed_policy(&mut self, file: &mut File<'_>, node: &'n Node) {
        let Some(object) = file.object(node, "a managed policy") else { return };
        let Some((arn, at)) = file.text(object, "Arn") else { return };
        let name = file.optional_text(object, "PolicyName").unwrap_or_else(|| last_part(arn));
        let Some(document) = default_version(file, object, name) else { return };
        if self.managed.contains_key(arn) {
            file.error(at, format!("the policy `{arn}` is there twice"));
            return;
        }
        let identity = file.policy_unlinted(document, name, PolicyType::Identity);
        let attached = Attached::No;
        self.managed.insert(arn, Managed { name, document, identity, boundary: None, attached });
    }

    /// Looks through the managed policies for what they are there for. What AWS manages is not the
    /// account's to change.
    fn lint(&self, file: &mut File<'_>) {
        let is_own = |arn: &str| Arn::parse(arn).is_none_or(|arn| arn.account() != "aws");
        for (_, managed) in self.managed.iter().filter(|(arn, _)| is_own(arn)) {
            let policy_type = match (managed.attached, &managed.boundary) {
                (Attached::No, Some(_)) => PolicyType::Boundary,
                (Attached::No, None) | (Attached::Yes, _) => PolicyType::Identity,
            };
            file.lint(managed.document, policy_type);
        }
    }

    fn group(&mut self, file: &mut File<'_>, node: &'n Node) {
        let Some(object) = file.object(node, "a group") else { return };
        let Some((name, at)) = file.text(object, "GroupName") else { return };
        let mut policies = inline(file, object, "GroupPolicyList");
        self.attach(file, object, &format!("group `{name}`"), &mut policies);
        if self.groups.insert(name, policies).is_some() {
            file.error(at, format!("the group `{name}` is there twice"));
        }
    }

    fn principal(&mut self, file: &mut File<'_>, node: &'n Node, form: &Form) {
        let Some(object) = file.object(node, form.what) else { return };
        let Some(arn) = self.own_arn(file, object, form) else { return };
        let mut policies = inline(file, object, form.inline);
        self.attach(file, object, &format!("`{arn}`"), &mut policies);
        let mut trust = None;
        match form.kind {
            Kind::User => self.join_groups(file, object, arn, &mut policies),
            Kind::Role => {
                let document = object.get("AssumeRolePolicyDocument");
                trust = document.and_then(|node| file.policy(node, arn, PolicyType::Trust));
            }
        }
        let entry = PrincipalEntry {
            arn: arn.into(),
            id: file.optional_text(object, form.id).unwrap_or_default().into(),
            tags: tags(file, object),
            policies: policies.into(),
            boundary: self.boundary(file, object, arn),
            trust,
            ..PrincipalEntry::default()
        };
        self.principals.push(Arc::new(entry));
    }

    /// The ARN, if it is of this account and names nobody who was there before.
    fn own_arn(&mut self, file: &mut File<'_>, object: Object<'n>, form: &Form) -> Option<&'n str> {
        let (text, at) = file.text(object, "Arn")?;
        let arn = Arn::parse(text).filter(|arn| arn.service() == "iam");
        let path = arn.and_then(|arn| arn.resource().strip_prefix(form.prefix));
        let (Some(arn), Some(path)) = (arn, path.filter(|path| !last_part(path).is_empty())) else {
            let hint = format!("like `arn:aws:iam::{}:{}name`", self.account, form.prefix);
            file.error_hint(at, format!("`{text}` is no ARN of {}", form.what), hint);
            return None;
        };
        if arn.account() != self.account.as_str() {
            file.error_hint(
                at,
                format!("`{text}` is not of account `{}`", self.account),
                "the folder's name is the account",
            );
            return None;
        }
        let name = match form.kind {
            Kind::Role => last_part(path),
            Kind::User => path,
        };
        if !self.names.insert((form.kind, name)) {
            file.error(at, format!("`{text}` is there twice"));
            return None;
        }
        Some(text)
    }

    /// Adds the attached managed policies.
    fn attach(
        &mut self,
        file: &mut File<'_>,
        object: Object<'n>,
        whose: &str,
        policies: &mut Policies,
    ) {
        for node in file.list(object, "AttachedManagedPolicies") {
            let Some(attached) = file.object(node, "an attached policy") else { continue };
            let Some((arn, at)) = file.text(attached, "PolicyArn") else { continue };
            match self.managed.get_mut(arn) {
                Some(managed) => {
                    managed.attached = Attached::Yes;
                    add(policies, managed.identity.iter());
                }
                None => missing(file, at, arn, whose),
            }
        }
    }

    /// Adds the policies of a user's groups.
    fn join_groups(
        &self,
        file: &mut File<'_>,
        object: Object<'n>,
        arn: &str,
        policies: &mut Policies,
    ) {
        for node in file.list(object, "GroupList") {
            let Some(name) = file.as_text(node, "GroupList") else { continue };
            match self.groups.get(name) {
                Some(group) => add(policies, group),
                None => file.error_hint(
                    node,
                    format!("the group `{name}` of `{arn}` is not in `GroupDetailList`"),
                    PRINT_ALL,
                ),
            }
        }
    }

    /// The permissions boundary. One that is refused is none here, and the file is not used then.
    fn boundary(
        &mut self,
        file: &mut File<'_>,
        object: Object<'n>,
        arn: &str,
    ) -> Option<[Arc<CompiledPolicy>; 1]> {
        let node = object.get("PermissionsBoundary")?;
        let boundary = file.object(node, "`PermissionsBoundary`")?;
        let (policy, at) = file.text(boundary, "PermissionsBoundaryArn")?;
        let Some(managed) = self.managed.get_mut(policy) else {
            let message =
                format!("the permissions boundary `{policy}` of `{arn}` is not in `Policies`");
            file.error_hint(at, message, PRINT_ALL);
            return None;
        };
        if managed.boundary.is_none() && managed.identity.is_some() {
            let compiled =
                file.policy_unlinted(managed.document, managed.name, PolicyType::Boundary);
            managed.boundary = Some(compiled);
        }
        let compiled = managed.boundary.clone().flatten()?;
        Some([compiled])
    }
}

/// The document of the version that counts: the one that says so, else the one that the policy
/// names. Where both are there they must agree.
fn default_version<'n>(file: &mut File<'_>, object: Object<'n>, name: &str) -> Option<&'n Node> {
    let named = object.get("DefaultVersionId").and_then(Node::as_text);
    let (mut marked, mut by_id) = (None, None);
    for node in file.list(object, "PolicyVersionList") {
        let version = file.object(node, "a policy's version")?;
        if named.is_some() && version_id(version) == named && by_id.replace(version).is_some() {
            file.error(node, format!("the policy `{name}` has the same version twice"));
        }
        let is_default = version.get("IsDefaultVersion");
        if is_default.is_some_and(|node| node.value == Json::Bool(true))
            && marked.replace(version).is_some()
        {
            file.error(node, format!("the policy `{name}` has two default versions"));
        }
    }
    if let (Some(marked), Some(named)) = (marked, named)
        && version_id(marked) != Some(named)
        && (version_id(marked).is_some() || by_id.is_some())
    {
        let id = version_id(marked).map_or("another one".to_owned(), |id| format!("`{id}`"));
        let message = format!(
            "the default version of the policy `{name}` is {id}, and its `DefaultVersionId` says \
             `{named}`"
        );
        file.error_hint(marked.node(), message, PRINT_ALL);
    }
    let Some(version) = marked.or(by_id) else {
        let message = format!(
            "the policy `{name}` has no version with `\"IsDefaultVersion\": true`, and none that \
             its `DefaultVersionId` names"
        );
        file.error_hint(object.node(), message, PRINT_ALL);
        return None;
    };
    file.require(version, "Document")
}

fn version_id(version: Object<'_>) -> Option<&str> {
    version.get("VersionId")?.as_text()
}

fn inline(file: &mut File<'_>, object: Object<'_>, list: &str) -> Policies {
    let mut policies = Vec::new();
    for node in file.list(object, list) {
        let Some(inline) = file.object(node, "an inline policy") else { continue };
        let name = file.text(inline, "PolicyName");
        let document = file.require(inline, "PolicyDocument");
        let (Some((name, _)), Some(document)) = (name, document) else { continue };
        policies.extend(file.policy(document, name, PolicyType::Identity));
    }
    policies
}

/// Adds policies that are not there yet: twice is no more than once.
fn add<'p>(policies: &mut Policies, more: impl IntoIterator<Item = &'p Arc<CompiledPolicy>>) {
    for policy in more {
        if !policies.iter().any(|other| Arc::ptr_eq(other, policy)) {
            policies.push(Arc::clone(policy));
        }
    }
}

fn missing(file: &mut File<'_>, at: &Node, policy: &str, whose: &str) {
    let message = format!("the policy `{policy}` attached to {whose} is not in `Policies`");
    file.error_hint(at, message, PRINT_ALL);
}

/// Tags as the IAM API lists them.
fn tags(file: &mut File<'_>, object: Object<'_>) -> Box<[Tag]> {
    let mut all = Vec::new();
    for node in file.list(object, "Tags") {
        let Some(tag) = file.object(node, "a tag") else { continue };
        let Some((key, at)) = file.text(tag, "Key") else { continue };
        // A tag's value may be empty.
        match tag.get("Value").map(|node| (node, node.as_text())) {
            Some((_, Some(value))) => all.push((key, value, at)),
            Some((node, None)) => {
                file.error(node, format!("`Value` is a text, not {}", kind(node)));
            }
            None => file.error(node, "a tag has no `Value`"),
        }
    }
    file.tags(all)
}

const LISTS: [&str; 4] = ["UserDetailList", "GroupDetailList", "RoleDetailList", "Policies"];

const USER: Form = Form {
    kind: Kind::User,
    what: "a user",
    prefix: "user/",
    id: "UserId",
    inline: "UserPolicyList",
};

const ROLE: Form = Form {
    kind: Kind::Role,
    what: "a role",
    prefix: "role/",
    id: "RoleId",
    inline: "RolePolicyList",
};

const PRINT_ALL: &str = "print the account with `aws iam get-account-authorization-details`, \
                         without `--filter`";
