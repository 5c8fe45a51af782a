//! The document and its statements: which elements there are, and which there must be.

use std::collections::HashMap;

use foldhash::fast::FixedState;

use crate::policy::document::checker::{At, Checker};
use crate::policy::document::rules::{Presence, Sids};
use crate::policy::document::{
    Condition, EntryKind, ListElement, Negated, Origin, PolicyType, PrincipalElement, Statement,
    Text, Version,
};
use crate::policy::finding::{meant, shown};
use crate::policy::json::{Json, Member, Node};
use crate::policy::statement::Effect;

/// A statement as far as it could be read.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) offset: usize,
    pub(super) sid: Option<Text>,
    pub(super) effect: Option<Effect>,
    pub(super) principal: Option<PrincipalElement>,
    pub(super) action: Option<ListElement>,
    pub(super) resource: Option<ListElement>,
    pub(super) conditions: Vec<Condition>,
}

impl Draft {
    /// The statement, if nothing is missing that every statement has.
    pub(super) fn into_statement(self) -> Option<Statement> {
        let Self { offset, sid, effect, principal, action, resource, conditions } = self;
        let (effect, action) = (effect?, action?);
        Some(Statement { offset, sid, effect, principal, action, resource, conditions })
    }
}

impl Checker {
    /// Reads a whole document.
    pub(super) fn document(&mut self, node: &Node) -> Vec<Draft> {
        let Json::Object(members) = &node.value else {
            let kind = node.value.kind();
            self.error(node, format!("a policy document is an object, and this is {kind}"));
            return Vec::new();
        };
        self.known_elements("document", members, &DOCUMENT_ELEMENTS);
        if let Some(member) = find(members, "Version") {
            self.version(member);
        }
        if let Some(member) = find(members, "Id") {
            self.id(member);
        }
        let Some(statement) = find(members, "Statement") else {
            self.error(At::start_of(node), "the document has no `Statement`");
            return Vec::new();
        };
        let drafts = self.statements(statement);
        self.sids(&drafts);
        drafts
    }

    fn known_elements(&mut self, of: &str, members: &[Member], known: &[&str]) {
        for member in members.iter().filter(|member| !known.contains(&&*member.name)) {
            let name = shown(&member.name);
            let hint = self.suggestion(&member.name, |name| Some(meant(name, known)));
            self.error_hint(
                member,
                format!("the {of} has the unknown element {name}"),
                hint.unwrap_or_else(|| "remove it".to_owned()),
            );
        }
    }

    fn version(&mut self, member: &Member) {
        let Some(version) = self.text(member) else { return };
        match &*version.text {
            "2012-10-17" => self.version = Version::V2012,
            "2008-10-17" => self.version = Version::V2008,
            other => {
                // Most is found if the document is read as what was probably meant.
                self.version = Version::V2012;
                self.error_hint(
                    &version,
                    format!("the version {} is unknown", shown(other)),
                    meant(other, &["2012-10-17", "2008-10-17"]),
                );
            }
        }
    }

    fn id(&mut self, member: &Member) {
        if self.policy_type.has_id() {
            let _: Option<Text> = self.text(member);
        } else {
            let noun = self.policy_type.noun();
            self.error_hint(member, format!("{noun} has no `Id`"), "remove it");
        }
    }

    fn statements(&mut self, member: &Member) -> Vec<Draft> {
        let node = &member.node;
        match &node.value {
            Json::Object(members) => vec![self.statement(node, members)],
            Json::List(elements) => {
                if elements.is_empty() {
                    self.no_statements(node);
                }
                elements.iter().filter_map(|element| self.listed(element)).collect()
            }
            Json::Null | Json::Bool(_) | Json::Number(_) | Json::Text(_) => {
                let kind = node.value.kind();
                self.error(
                    node,
                    format!("`Statement` is an object or a list of objects, and this is {kind}"),
                );
                Vec::new()
            }
        }
    }

    fn no_statements(&mut self, node: &Node) {
        if self.policy_type.may_be_empty() {
            let noun = self.policy_type.noun();
            self.warn(
                node,
                format!("{noun} without statements allows nothing"),
                "add a statement with `\"Effect\": \"Allow\"`, or remove the policy",
            );
        } else {
            self.error_hint(node, "`Statement` is an empty list", "add a statement");
        }
    }

    fn listed(&mut self, element: &Node) -> Option<Draft> {
        if let Json::Object(members) = &element.value {
            return Some(self.statement(element, members));
        }
        let kind = element.value.kind();
        self.error(element, format!("a statement is an object, and this is {kind}"));
        None
    }

    fn statement(&mut self, node: &Node, members: &[Member]) -> Draft {
        self.known_elements("statement", members, &STATEMENT_ELEMENTS);
        let draft = Draft {
            offset: node.offset,
            sid: find(members, "Sid").and_then(|member| self.sid(member)),
            effect: self.effect(node, members),
            principal: self.principal(node, members),
            action: self.action(node, members),
            resource: self.resource(node, members),
            conditions: find(members, "Condition").map_or_else(Vec::new, |it| self.conditions(it)),
        };
        if self.policy_type == PolicyType::Rcp && self.origin == Origin::Stored {
            self.rcp(members, &draft);
        }
        draft
    }

    fn sid(&mut self, member: &Member) -> Option<Text> {
        let sid = self.text(member)?;
        let is_plain = sid.text.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if !is_plain && self.policy_type.sids() == Sids::Plain {
            let (name, noun) = (shown(&sid.text), self.policy_type.noun());
            self.error_hint(
                &sid,
                format!("the `Sid` {name} of {noun} has other characters than letters and digits"),
                "use `A-Z`, `a-z` and `0-9` only",
            );
        }
        Some(sid)
    }

    fn sids(&mut self, drafts: &[Draft]) {
        let mut seen = HashMap::with_hasher(FixedState::default());
        for (index, draft) in drafts.iter().enumerate() {
            let Some(sid) = draft.sid.as_ref().filter(|sid| !sid.text.is_empty()) else { continue };
            let first = *seen.entry(&*sid.text).or_insert(index);
            if first == index {
                continue;
            }
            let (name, number) = (shown(&sid.text), first.saturating_add(1));
            let message = format!("the `Sid` {name} is already that of statement {number}");
            let hint = "give each statement a name of its own";
            match self.policy_type.sids() {
                Sids::Plain => self.error_hint(sid, message, hint),
                Sids::Any => self.warn(sid, message, hint),
            }
        }
    }

    fn effect(&mut self, node: &Node, members: &[Member]) -> Option<Effect> {
        let Some(member) = find(members, "Effect") else {
            self.error_hint(
                At::start_of(node),
                "the statement has no `Effect`",
                "add `\"Effect\": \"Allow\"` or `\"Effect\": \"Deny\"`",
            );
            return None;
        };
        let effect = self.text(member)?;
        match &*effect.text {
            "Allow" => Some(Effect::Allow),
            "Deny" => Some(Effect::Deny),
            other => {
                self.error_hint(
                    &effect,
                    format!("the effect {} is unknown", shown(other)),
                    meant(other, &["Allow", "Deny"]),
                );
                None
            }
        }
    }

    /// The one element of a pair that a statement has. Both are an error; for none of them see the
    /// caller.
    pub(super) fn either<'m>(
        &mut self,
        members: &'m [Member],
        names: [&str; 2],
    ) -> Option<(&'m Member, Negated)> {
        let [plain, negated] = names;
        match (find(members, plain), find(members, negated)) {
            (Some(_), Some(second)) => {
                self.error_hint(
                    second,
                    format!("the statement has both `{plain}` and `{negated}`"),
                    "keep one of them",
                );
                None
            }
            (Some(member), None) => Some((member, Negated::No)),
            (None, Some(member)) => Some((member, Negated::Yes)),
            (None, None) => None,
        }
    }

    /// Whether an element that the type forbids is there, in either form; if so, that is told.
    pub(super) fn forbids(&mut self, members: &[Member], names: [&str; 2], why: &str) {
        for member in names.into_iter().filter_map(|name| find(members, name)) {
            let (name, noun) = (&member.name, self.policy_type.noun());
            self.error_hint(member, format!("{noun} has no `{name}`: {why}"), "remove it");
        }
    }

    /// A guardrail for resources denies, but for the one statement of full access that AWS attaches
    /// at every level.
    fn rcp(&mut self, members: &[Member], draft: &Draft) {
        if draft.effect != Some(Effect::Allow) || is_full_access(members, draft) {
            return;
        }
        let Some(effect) = find(members, "Effect") else { return };
        self.error_hint(
            &effect.node,
            "an RCP only denies, but for full access",
            "full access is `Allow` with `\"*\"` as principal, action and resource, and no condition",
        );
    }

    fn action(&mut self, node: &Node, members: &[Member]) -> Option<ListElement> {
        let names = ["Action", "NotAction"];
        let Some((member, negated)) = self.either(members, names) else {
            self.require(node, members, names);
            return None;
        };
        if self.policy_type == PolicyType::Rcp && negated == Negated::Yes {
            self.error_hint(member, "an RCP has no `NotAction`", "list actions under `Action`");
        }
        let values = self.texts(member);
        for value in &values {
            self.action_form(value);
        }
        Some(ListElement { negated, offset: member.offset, values })
    }

    fn resource(&mut self, node: &Node, members: &[Member]) -> Option<ListElement> {
        let names = ["Resource", "NotResource"];
        if self.policy_type.resource() == Presence::Forbidden {
            self.forbids(members, names, "its resource is the role it belongs to");
            return None;
        }
        let Some((member, negated)) = self.either(members, names) else {
            self.require(node, members, names);
            return None;
        };
        let values = self.texts(member);
        for value in &values {
            self.resource_form(value);
        }
        Some(ListElement { negated, offset: member.offset, values })
    }

    /// Tells that neither of two elements is there.
    pub(super) fn require(&mut self, node: &Node, members: &[Member], names: [&str; 2]) {
        if names.into_iter().all(|name| find(members, name).is_none()) {
            let [plain, negated] = names;
            self.error(
                At::start_of(node),
                format!("the statement has neither `{plain}` nor `{negated}`"),
            );
        }
    }
}

/// The member of a name.
pub(super) fn find<'m>(members: &'m [Member], name: &str) -> Option<&'m Member> {
    members.iter().find(|member| &*member.name == name)
}

fn is_full_access(members: &[Member], draft: &Draft) -> bool {
    let is_all = |element: &Option<ListElement>| {
        element.as_ref().is_some_and(|it| {
            it.negated == Negated::No && it.values.iter().all(|value| &*value.text == "*")
        })
    };
    let everyone = |element: &PrincipalElement| {
        element.entries.iter().all(|entry| entry.kind == EntryKind::Everyone)
    };
    is_all(&draft.action)
        && is_all(&draft.resource)
        && draft.principal.as_ref().is_some_and(everyone)
        && find(members, "Condition").is_none()
}

const DOCUMENT_ELEMENTS: [&str; 3] = ["Version", "Id", "Statement"];

const STATEMENT_ELEMENTS: [&str; 9] = [
    "Sid",
    "Effect",
    "Principal",
    "NotPrincipal",
    "Action",
    "NotAction",
    "Resource",
    "NotResource",
    "Condition",
];
