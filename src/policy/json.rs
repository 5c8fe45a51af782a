//! JSON as a tree in which every member and value knows its place.
//!
//! Flows in: text. Flows out: nodes. A repeated member is a finding: two readers that disagree on
//! which one counts are a hole.

use crate::policy::finding::PolicyFinding;

/// A value and its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// The first byte in the text.
    pub offset: usize,
    /// How many bytes it has.
    pub len: usize,
    /// What it is.
    pub value: Json,
}

/// The forms of a value.
#[derive(Clone, Debug, PartialEq)]
pub enum Json {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number, as written.
    Number(Box<str>),
    /// A text, unescaped.
    Text(Box<str>),
    /// A list.
    List(Vec<Node>),
    /// An object's members in order, none twice.
    Object(Vec<Member>),
}

/// A member of an object.
#[derive(Clone, Debug, PartialEq)]
pub struct Member {
    /// Its name.
    pub name: Box<str>,
    /// The first byte of the name, at its quote.
    pub offset: usize,
    /// Its value.
    pub node: Node,
}

/// Reads a text.
///
/// # Errors
/// It is no JSON, too deep, or has a member twice; each with its place.
pub fn parse(text: &str) -> Result<Node, PolicyFinding> {
    let _ = text;
    Err(PolicyFinding {
        severity: crate::policy::Severity::Error,
        offset: 0,
        len: 0,
        message: "not yet".into(),
        hint: None,
    })
}

impl Node {
    /// The value of a member, if this is an object that has it.
    pub fn get(&self, name: &str) -> Option<&Self> {
        let Json::Object(members) = &self.value else { return None };
        members.iter().find(|member| &*member.name == name).map(|member| &member.node)
    }

    /// The text, if it is one.
    pub fn as_text(&self) -> Option<&str> {
        match &self.value {
            Json::Text(text) => Some(text),
            Json::Null | Json::Bool(_) | Json::Number(_) | Json::List(_) | Json::Object(_) => None,
        }
    }

    /// The elements, if it is a list; else none.
    pub fn as_list(&self) -> &[Self] {
        match &self.value {
            Json::List(nodes) => nodes,
            Json::Null | Json::Bool(_) | Json::Number(_) | Json::Text(_) | Json::Object(_) => &[],
        }
    }
}

/// The deepest nesting of lists and objects.
pub const DEPTH_MAX: usize = 64;
