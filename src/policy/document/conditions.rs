//! `Condition`: operators, keys and the form of values. The types of values are left to `compile`.

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
        let name = name_of(member);
        let conditions = keys.iter().map(|key| Condition {
            operator: name.clone(),
            key: name_of(key),
            values: self.key_values(key),
        });
        let conditions: Vec<Condition> = conditions.collect();
        if is_known { conditions } else { Vec::new() }
    }

    fn known_operator(&mut self, member: &Member) -> bool {
        let name = Operator::parse(&member.name);
        let said = shown(&member.name);
        if OPERATORS.iter().any(|known| known.eq_ignore_ascii_case(name.plain)) {
            let is_null = name.plain.eq_ignore_ascii_case("Null");
            if is_null && name.if_exists {
                self.error_hint(
                    member,
                    format!("the condition operator {said} is unknown"),
                    "`Null` asks whether the key exists, so it takes no `IfExists`",
                );
            }
            return !(is_null && name.if_exists);
        }
        let message = format!("the condition operator {said} is unknown");
        match nearest(name.plain, OPERATORS) {
            Some(near) => {
                let (set, if_exists) = (name.set, if name.if_exists { "IfExists" } else { "" });
                self.error_hint(member, message, format!("did you mean `{set}{near}{if_exists}`?"));
            }
            None => self.error_hint(
                member,
                message,
                "as in `StringEquals`, `ForAnyValue:StringLike` or `BoolIfExists`",
            ),
        }
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

/// An operator's name in its parts.
struct Operator<'a> {
    /// With its `:`; empty without a set operator.
    set: &'a str,
    plain: &'a str,
    if_exists: bool,
}

impl<'a> Operator<'a> {
    fn parse(text: &'a str) -> Self {
        let set_len = SETS.iter().filter(|set| starts_with(text, set)).map(|set| set.len()).max();
        let (set, rest) = text.split_at_checked(set_len.unwrap_or(0)).unwrap_or(("", text));
        let plain_len = rest.len().checked_sub(IF_EXISTS.len());
        match plain_len.and_then(|len| rest.split_at_checked(len)) {
            Some((plain, end)) if end.eq_ignore_ascii_case(IF_EXISTS) => {
                Self { set, plain, if_exists: true }
            }
            _ => Self { set, plain: rest, if_exists: false },
        }
    }
}

fn starts_with(text: &str, prefix: &str) -> bool {
    text.get(..prefix.len()).is_some_and(|head| head.eq_ignore_ascii_case(prefix))
}

const SETS: [&str; 2] = ["ForAllValues:", "ForAnyValue:"];

const IF_EXISTS: &str = "IfExists";

const OPERATORS: [&str; 27] = [
    "ArnEquals",
    "ArnLike",
    "ArnNotEquals",
    "ArnNotLike",
    "BinaryEquals",
    "Bool",
    "DateEquals",
    "DateGreaterThan",
    "DateGreaterThanEquals",
    "DateLessThan",
    "DateLessThanEquals",
    "DateNotEquals",
    "IpAddress",
    "NotIpAddress",
    "Null",
    "NumericEquals",
    "NumericGreaterThan",
    "NumericGreaterThanEquals",
    "NumericLessThan",
    "NumericLessThanEquals",
    "NumericNotEquals",
    "StringEquals",
    "StringEqualsIgnoreCase",
    "StringLike",
    "StringNotEquals",
    "StringNotEqualsIgnoreCase",
    "StringNotLike",
];
