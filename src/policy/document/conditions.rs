//! `Condition`: operators, keys and values.

use crate::policy::condition::{CompiledCondition, Operator};
use crate::policy::document::checker::{Checker, text_of};
use crate::policy::document::{Condition, Text};
use crate::policy::finding::{nearest, shown};
use crate::policy::json::{Json, Member, Node};

impl Checker {
    pub(super) fn conditions(&mut self, member: &Member) -> Vec<Condition> {
        let node = &member.node;
        let Json::Object(operators) = &node.value else {
            let kind = node.value.kind();
            self.error(node, format!("`Condition` is an object, and this is {kind}"));
            return Vec::new();
        };
        operators.iter().flat_map(|operator| self.operator(operator)).collect()
    }

    fn operator(&mut self, member: &Member) -> Vec<Condition> {
        let is_known = self.known_operator(member);
        let said = shown(&member.name);
        let Json::Object(keys) = &member.node.value else {
            let kind = member.node.value.kind();
            self.error_hint(
                &member.node,
                format!("the operator {said} has an object of keys, and this is {kind}"),
                "as in `{ \"StringEquals\": { \"aws:PrincipalAccount\": \"111111111111\" } }`",
            );
            return Vec::new();
        };
        if keys.is_empty() {
            self.warn(
                member,
                format!("the operator {said} has no keys and always holds"),
                "remove it, or add what it should test",
            );
        }
        let operator = name_of(member);
        let conditions = keys.iter().map(|key| {
            let values = self.key_values(key);
            Condition { operator: operator.clone(), key: name_of(key), values }
        });
        let conditions: Vec<Condition> = conditions.collect();
        if is_known {
            for condition in &conditions {
                self.extend(CompiledCondition::check(condition, self.version));
            }
        }
        conditions
    }

    fn known_operator(&mut self, member: &Member) -> bool {
        if Operator::parse(&member.name).is_some() {
            return true;
        }
        let hint = if asks_null_if_exists(&member.name) {
            "`Null` asks whether the key exists, so it takes no `IfExists`".to_owned()
        } else {
            match self.suggestion(&member.name, meant) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "as in `StringEquals`, `ForAnyValue:StringLike` or `BoolIfExists`".into(),
            }
        };
        let message = format!("the condition operator {} is unknown", shown(&member.name));
        self.error_hint(member, message, hint);
        false
    }

    fn key_values(&mut self, member: &Member) -> Vec<Text> {
        let said = shown(&member.name);
        if member.name.is_empty() {
            self.error(member, "the condition key is empty");
        } else if member.name.contains("${") {
            self.error_hint(
                member,
                format!("the condition key {said} has a policy variable"),
                "variables are replaced in values only",
            );
        } else if !member.name.contains(':') {
            self.warn(
                member,
                format!("the condition key {said} names no service, and AWS has no such key"),
                "as in `aws:PrincipalAccount`",
            );
        }
        let node = &member.node;
        let Json::List(elements) = &node.value else {
            return self.value(node).into_iter().collect();
        };
        if elements.is_empty() {
            self.warn(
                node,
                format!("the condition key {said} has no values to compare with"),
                "name at least one",
            );
        }
        elements.iter().filter_map(|element| self.value(element)).collect()
    }

    fn value(&mut self, node: &Node) -> Option<Text> {
        match &node.value {
            Json::Text(text) | Json::Number(text) => Some(text_of(node, text)),
            Json::Bool(value) => Some(text_of(node, if *value { "true" } else { "false" })),
            Json::Null | Json::List(_) | Json::Object(_) => {
                let kind = node.value.kind();
                self.error(
                    node,
                    format!("a condition's value is a text, number or boolean, and this is {kind}"),
                );
                None
            }
        }
    }
}

/// A member's name and its place.
fn name_of(member: &Member) -> Text {
    Text {
        text: member.name.clone(),
        offset: member.offset,
        len: member.name.len().saturating_add(2),
    }
}

fn asks_null_if_exists(operator: &str) -> bool {
    operator.rsplit(':').next().is_some_and(|name| name.eq_ignore_ascii_case("NullIfExists"))
}

/// The operator that was probably meant by a name that no operator has.
fn meant(name: &str) -> Option<String> {
    let (set, rest) = match name.split_once(':') {
        Some((set, rest)) => (format!("{}:", nearest(set, SETS)?), rest),
        None => (String::new(), name),
    };
    let plain_len = rest.len().saturating_sub(IF_EXISTS.len());
    let (plain, end) = match rest.split_at_checked(plain_len) {
        Some((plain, end)) if end.eq_ignore_ascii_case(IF_EXISTS) => (plain, IF_EXISTS),
        _ => (rest, ""),
    };
    let near = format!("{set}{}{end}", nearest(plain, Operator::names())?);
    Operator::parse(&near).is_some().then_some(near)
}

const SETS: [&str; 2] = ["ForAllValues", "ForAnyValue"];

const IF_EXISTS: &str = "IfExists";
