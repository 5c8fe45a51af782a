//! Goal: no text, however broken, makes the readers of policy documents panic or point outside of
//! it, and JSON means to them what it means to others.
//!
//! Method: random bytes, random JSON values, and a real document with pieces cut, doubled and
//! replaced at random.

use crossgate::policy::PolicyType;
use crossgate::policy::document;
use crossgate::policy::json::{self, Json, Lines, Node};
use proptest::prelude::*;
use serde_json::Value;

const DOCUMENT: &str = r#"{ "Version": "2012-10-17", "Id": "é", "Statement": [
  { "Sid": "A", "Effect": "Deny", "NotPrincipal": { "AWS": ["arn:aws:iam::1:user/a", "*"] },
    "NotAction": ["s3:Get*", "*"], "Resource": "arn:aws:s3:::b/${aws:username, 'x'}",
    "Condition": { "ForAnyValue:StringLikeIfExists": { "aws:TagKeys": ["a*", true] },
      "IpAddress": { "aws:SourceIp": "10.0.0.0/8" }, "DateLessThan": { "a:b": "2024-01-01" },
      "NumericEquals": { "c:d": -1.5e3 }, "Null": { "e:f": "true" } } },
  { "Effect": "Allow", "Principal": "*", "Action": "sts:*", "NotResource": ["*"] } ] }"#;

fn words() -> impl Strategy<Value = String> {
    let words = [
        "\"Statement\":",
        "\"Principal\":",
        "\"Condition\":",
        "\"Effect\":",
        "\"AWS\":",
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"",
        "\\",
        "\\ud800",
        "null",
        "true",
        "1e9",
        "-",
        "${",
        "}",
        "*",
        "arn:",
        "IfExists",
        "ForAllValues:",
        "\u{0}",
        "\u{feff}",
        "é",
        "\n",
        "AIDAAAAAAAAAAAAAAAAA",
    ];
    prop_oneof!["\\PC{1,8}", prop::sample::select(words.to_vec()).prop_map(str::to_owned)]
}

fn edited() -> impl Strategy<Value = String> {
    let edit = (0..DOCUMENT.chars().count(), 0..40_usize, prop::option::of(words()));
    prop::collection::vec(edit, 1..6).prop_map(|edits| {
        let mut text: Vec<char> = DOCUMENT.chars().collect();
        for (at, cut, word) in edits {
            let start = at.min(text.len());
            let end = start.saturating_add(cut).min(text.len());
            text.splice(start..end, word.unwrap_or_default().chars());
        }
        text.into_iter().collect()
    })
}

fn values() -> impl Strategy<Value = Value> {
    let name = prop_oneof![
        "\\PC{0,6}",
        prop::sample::select(vec![
            "Version",
            "Statement",
            "Sid",
            "Effect",
            "Principal",
            "NotPrincipal",
            "Action",
            "NotAction",
            "Resource",
            "NotResource",
            "Condition",
            "AWS",
            "Service",
            "StringEquals",
        ])
        .prop_map(str::to_owned),
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        name.clone().prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 64, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
            prop::collection::btree_map(name.clone(), inner, 0..20).prop_map(Value::from_iter),
        ]
    })
}

/// Whether a node means the value, and every part of it points to its own text.
fn means(node: &Node, value: &Value, text: &str) -> bool {
    let written = text.get(node.offset..node.offset + node.len);
    // Both ways through the same reader, which does not keep every digit of a number.
    let read = |text: &str| serde_json::from_str::<Value>(text).ok();
    let same = match (&node.value, value) {
        (Json::Null, Value::Null) => true,
        (Json::Bool(node), Value::Bool(value)) => node == value,
        (Json::Number(node), Value::Number(value)) => **node == *value.to_string(),
        (Json::Text(node), Value::String(value)) => **node == **value,
        (Json::List(nodes), Value::Array(values)) => {
            nodes.len() == values.len()
                && nodes.iter().zip(values).all(|(node, value)| means(node, value, text))
        }
        (Json::Object(members), Value::Object(values)) => {
            members.len() == values.len()
                && members.iter().all(|member| {
                    text.get(member.offset..).is_some_and(|rest| rest.starts_with('"'))
                        && values.get(&*member.name).is_some_and(|it| means(&member.node, it, text))
                })
        }
        _ => false,
    };
    same && written.and_then(read) == read(&value.to_string())
}

fn findings_are_inside(text: &str) -> Result<(), TestCaseError> {
    let lines = Lines::new(text);
    let mut findings = Vec::new();
    match json::parse(text) {
        Ok(node) => {
            for policy_type in PolicyType::ALL {
                findings.extend(document::check(&node, policy_type).findings);
            }
        }
        Err(finding) => findings.push(finding),
    }
    for finding in findings {
        prop_assert!(finding.offset <= text.len(), "{finding:?}");
        prop_assert_eq!(lines.place(finding.offset), json::place(text, finding.offset));
    }
    Ok(())
}

proptest! {
    #[test]
    fn findings_of_any_bytes_are_inside_of_them(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        findings_are_inside(&String::from_utf8_lossy(&bytes))?;
    }

    #[test]
    fn findings_of_any_edit_are_inside_of_it(text in edited()) {
        findings_are_inside(&text)?;
    }

    #[test]
    fn findings_of_any_value_are_inside_of_it(value in values()) {
        findings_are_inside(&format!("{{\"Statement\":[{value}]}}"))?;
        findings_are_inside(&value.to_string())?;
    }

    #[test]
    fn any_value_means_the_same_to_other_readers(value in values()) {
        for text in [value.to_string(), format!("{value:#}")] {
            let node = json::parse(&text);
            prop_assert!(node.is_ok(), "{text}: {node:?}");
            prop_assert!(node.is_ok_and(|node| means(&node, &value, &text)), "{text}");
        }
    }

    /// Only the depth, the length of numbers and repeated members are refused beyond the grammar.
    #[test]
    fn any_edit_is_json_to_all_readers_or_to_none(text in edited()) {
        let other = serde_json::from_str::<Value>(&text);
        // Numbers keep their text here, so that none is too large.
        prop_assume!(!other.as_ref().is_err_and(|error| error.to_string().contains("out of range")));
        let other = other.is_ok();
        match json::parse(&text) {
            Ok(_) => prop_assert!(other, "{text}"),
            Err(finding) if other => prop_assert!(finding.message.contains("twice"), "{text}: {finding}"),
            Err(_) => {}
        }
    }
}
