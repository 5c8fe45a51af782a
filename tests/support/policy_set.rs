//! A whole set of policies out of one JSON text, so that every place in it can be told.
//!
//! ```json
//! { "organization": { "management": "1", "accounts": { "2": { "scps": [[{…}]], "rcps": [] } } },
//!   "accounts": { "2": {
//!     "principals": [{ "arn": "…", "id": "…", "tags": { "k": "v" }, "policies": [{…}],
//!       "boundary": {…}, "trust": {…}, "session_seconds_max": 3600,
//!       "profile": { "name": "…", "trusted": [{ "iam_id": "…" }, { "claims": { "/sub": "…" } }] } }],
//!     "managed": [{ "arn": "…", "policy": {…} }],
//!     "resources": [{ "resource": "…", "policy": {…}, "key": "…", "tags": { "k": "v" } }],
//!     "keys": [{ "key": "…", "policy": {…} }] } },
//!   "unknown_callers": "resource_policy_decides" }
//! ```

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "each test file uses its part; a failed test panics"
)]

use std::sync::Arc;

use crossgate::iam::AccountId;
use crossgate::policy::json::{self, Json, Lines, Node};
use crossgate::policy::set::{
    AccountParts, AccountPolicies, KeyEntry, Membership, Organization, PolicySet, PrincipalEntry,
    Profile, ResourceEntry, Tag, Trusted, UnknownCallers,
};
use crossgate::policy::{CompiledPolicy, Level, PolicyType, Source, compile, document};

/// The set that a text describes. Policies are named by their places: `line 7`.
pub(crate) fn read(text: &str) -> PolicySet {
    let root = json::parse(text).unwrap();
    let accounts = members(root.get("accounts"));
    let accounts = accounts.map(|(id, node)| (account_id(id), Arc::new(account(text, id, node))));
    let organization = root.get("organization").map(|it| Arc::new(organization(text, it)));
    let named = root.get("unknown_callers").and_then(Node::as_text);
    let unknown_callers = UnknownCallers::ALL.into_iter().find(|it| named == Some(it.as_str()));
    PolicySet::new(accounts.collect(), organization, unknown_callers.unwrap_or_default())
}

fn account(text: &str, id: &str, node: &Node) -> AccountPolicies {
    let document = |node: &Node, name, kind| node.get(name).map(|it| policy(text, it, kind));
    let principals = list(node, "principals").iter().map(|it| {
        let identity = list(it, "policies").iter();
        let boundary = document(it, "boundary", PolicyType::Boundary);
        Arc::new(PrincipalEntry {
            arn: string(it, "arn").into(),
            id: it.get("id").and_then(Node::as_text).unwrap_or_default().into(),
            tags: tags(it),
            policies: identity.map(|it| policy(text, it, PolicyType::Identity)).collect(),
            boundary: boundary.map(|it| [it]),
            trust: document(it, "trust", PolicyType::Trust),
            session_seconds_max: it.get("session_seconds_max").map(seconds),
            profile: it.get("profile").map(|it| Arc::new(profile(it))),
        })
    });
    let managed = list(node, "managed").iter().map(|it| {
        (string(it, "arn").into(), document(it, "policy", PolicyType::Identity).unwrap())
    });
    let resources = list(node, "resources").iter().map(|it| {
        Arc::new(ResourceEntry {
            pattern: string(it, "resource").into(),
            policy: document(it, "policy", PolicyType::Resource),
            key: it.get("key").map(|it| it.as_text().unwrap().into()),
            tags: tags(it),
            file: FILE.into(),
        })
    });
    let keys = list(node, "keys").iter().map(|it| {
        Arc::new(KeyEntry {
            arn: string(it, "key").into(),
            policy: document(it, "policy", PolicyType::Key).unwrap(),
            file: FILE.into(),
        })
    });
    let parts = AccountParts {
        principals: node.get("principals").map(|_| principals.collect()),
        resources: resources.collect(),
        keys: keys.collect(),
        managed: managed.collect(),
    };
    AccountPolicies::new(account_id(id), parts).unwrap()
}

fn profile(node: &Node) -> Profile {
    let trusted = list(node, "trusted").iter().map(|it| {
        let claims = members(it.get("claims")).map(|(key, it)| (key.into(), value(it)));
        let by_id = it.get("iam_id").map(|id| Trusted::Login(value(id)));
        by_id.unwrap_or_else(|| Trusted::Claims(claims.collect()))
    });
    Profile { name: string(node, "name").into(), trusted: trusted.collect() }
}

fn tags(node: &Node) -> Box<[Tag]> {
    let tags = members(node.get("tags"));
    tags.map(|(key, it)| Tag { key: key.to_lowercase().into(), value: value(it) }).collect()
}

fn value(node: &Node) -> Box<str> {
    node.as_text().unwrap_or_else(|| panic!("{node:?} is no text")).into()
}

fn seconds(node: &Node) -> u32 {
    let Json::Number(digits) = &node.value else { panic!("{node:?} is no number") };
    digits.parse().unwrap()
}

fn organization(text: &str, node: &Node) -> Organization {
    let levels = |node: &Node, name, kind| -> Box<[Level]> {
        let level = |it: &Node| it.as_list().iter().map(|it| policy(text, it, kind)).collect();
        list(node, name).iter().map(level).collect()
    };
    let accounts = members(node.get("accounts")).map(|(id, it)| {
        let membership = Membership {
            scp: levels(it, "scps", PolicyType::Scp),
            rcp: levels(it, "rcps", PolicyType::Rcp),
            ..Membership::default()
        };
        (account_id(id), membership)
    });
    Organization {
        id: "o-example".into(),
        management_account: node.get("management").map(|it| account_id(it.as_text().unwrap())),
        accounts: accounts.collect(),
    }
}

fn policy(text: &str, node: &Node, kind: PolicyType) -> Arc<CompiledPolicy> {
    let checked = document::check(node, kind);
    let (line, _) = json::place(text, node.offset);
    let Some(document) = checked.document else { panic!("line {line}: {:?}", checked.findings) };
    let source = Source { file: FILE.into() };
    let lines = Lines::new(text);
    Arc::new(compile(&document, &format!("line {line}"), source, &lines).unwrap())
}

fn members(node: Option<&Node>) -> impl Iterator<Item = (&str, &Node)> {
    let members = match node.map(|it| &it.value) {
        Some(Json::Object(members)) => members.as_slice(),
        _ => &[],
    };
    members.iter().map(|it| (&*it.name, &it.node))
}

fn list<'n>(node: &'n Node, name: &str) -> &'n [Node] {
    node.get(name).map(Node::as_list).unwrap_or_default()
}

fn string<'n>(node: &'n Node, name: &str) -> &'n str {
    node.get(name).and_then(Node::as_text).unwrap_or_else(|| panic!("no `{name}`"))
}

fn account_id(text: &str) -> AccountId {
    AccountId::parse(text).unwrap()
}

const FILE: &str = "set.json";
