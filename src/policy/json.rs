//! JSON as a tree in which every member and value knows its place.
//!
//! Flows in: text. Flows out: nodes. A repeated member is a finding: two readers that disagree on
//! which one counts are a hole.

use std::collections::HashSet;

use foldhash::fast::FixedState;
use jiter::{Jiter, JiterError, JiterErrorType, JsonErrorType, Peek};

use crate::policy::finding::{PolicyFinding, shown};

mod place;

pub use place::{Lines, place};

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

/// Reads a text: one value, strictly by the grammar, with no member twice in one object. Takes time
/// in proportion to the text.
///
/// # Errors
/// It is no JSON, too long, too deep, or has a member twice; with its place.
pub fn parse(text: &str) -> Result<Node, PolicyFinding> {
    parse_up_to(text, BYTES_MAX)
}

fn parse_up_to(text: &str, bytes_max: usize) -> Result<Node, PolicyFinding> {
    if bytes_max < text.len() {
        let message = format!("{} bytes are more than the {bytes_max} that are read", text.len());
        return Err(PolicyFinding::error(0, 0, message));
    }
    let mut reader = Reader { text, jiter: Jiter::new(text.as_bytes()) };
    let peek = reader.jiter.peek().map_err(|error| reader.broken(&error))?;
    let node = reader.value(peek, DEPTH_MAX)?;
    reader.jiter.finish().map_err(|error| reader.broken(&error))?;
    Ok(node)
}

impl Node {
    /// The value of a member, if this is an object that has it.
    pub fn get(&self, name: &str) -> Option<&Self> {
        self.as_object().iter().find(|member| &*member.name == name).map(|member| &member.node)
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

    /// The members, if it is an object; else none.
    pub fn as_object(&self) -> &[Member] {
        match &self.value {
            Json::Object(members) => members,
            Json::Null | Json::Bool(_) | Json::Number(_) | Json::Text(_) | Json::List(_) => &[],
        }
    }
}

impl Json {
    /// What the value is, for messages: `a list`, `null`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Number(_) => "a number",
            Self::Text(_) => "a text",
            Self::List(_) => "a list",
            Self::Object(_) => "an object",
        }
    }
}

struct Reader<'t> {
    text: &'t str,
    jiter: Jiter<'t>,
}

impl Reader<'_> {
    /// Reads the value that starts here with `peek`.
    fn value(&mut self, peek: Peek, depth_left: usize) -> Result<Node, PolicyFinding> {
        let offset = self.jiter.current_index();
        let value = match peek {
            Peek::Null => self.jiter.known_null().map(|()| Json::Null),
            Peek::True | Peek::False => self.jiter.known_bool(peek).map(Json::Bool),
            Peek::String => self.jiter.known_str().map(|text| Json::Text(text.into())),
            Peek::Array => Ok(Json::List(self.elements(deeper(offset, depth_left)?)?)),
            Peek::Object => Ok(Json::Object(self.members(deeper(offset, depth_left)?)?)),
            _ => self.jiter.known_number_bytes(peek).map(|digits| Json::Number(ascii(digits))),
        };
        let value = value.map_err(|error| self.broken(&error))?;
        Ok(Node { offset, len: self.jiter.current_index().saturating_sub(offset), value })
    }

    fn elements(&mut self, depth_left: usize) -> Result<Vec<Node>, PolicyFinding> {
        let mut elements = Vec::new();
        let mut next = self.jiter.known_array().map_err(|error| self.broken(&error))?;
        while let Some(peek) = next {
            elements.push(self.value(peek, depth_left)?);
            next = self.jiter.array_step().map_err(|error| self.broken(&error))?;
        }
        Ok(elements)
    }

    fn members(&mut self, depth_left: usize) -> Result<Vec<Member>, PolicyFinding> {
        let mut members = Vec::new();
        let mut offset = self.name_offset(self.jiter.current_index().saturating_add(1));
        let mut next = self.jiter.known_object().map(|name| name.map(Box::from));
        while let Some(name) = next.map_err(|error| self.broken(&error))? {
            let peek = self.jiter.peek().map_err(|error| self.broken(&error))?;
            members.push(Member { name, offset, node: self.value(peek, depth_left)? });
            offset = self.name_offset(self.jiter.current_index());
            next = self.jiter.next_key().map(|name| name.map(Box::from));
        }
        match repeated(&members) {
            None => Ok(members),
            Some((first, second)) => Err(self.twice(first, second)),
        }
    }

    /// Where the next member's name starts, if there is one.
    fn name_offset(&self, from: usize) -> usize {
        let rest = self.text.as_bytes().get(from..).unwrap_or_default();
        let between = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | b',');
        from.saturating_add(rest.iter().take_while(|byte| between(byte)).count())
    }

    fn twice(&self, first: &Member, second: &Member) -> PolicyFinding {
        let (line, column) = place(self.text, first.offset);
        PolicyFinding::error(
            second.offset,
            second.name.len().saturating_add(2),
            format!(
                "the member {} is here twice; the first is at line {line}, column {column}",
                shown(&second.name)
            ),
        )
        .with_hint("keep one: readers differ in which of them counts")
    }

    fn broken(&self, error: &JiterError) -> PolicyFinding {
        let offset = error.index.min(self.text.len());
        let message = match &error.error_type {
            JiterErrorType::JsonError(error) => message(error),
            JiterErrorType::WrongType { .. } => "a value is expected here",
        };
        let finding = PolicyFinding::error(offset, 0, format!("not JSON: {message}"));
        if offset == 0 && self.text.starts_with('\u{feff}') {
            return finding.with_hint("remove the byte order mark at the start");
        }
        finding
    }
}

fn deeper(offset: usize, depth_left: usize) -> Result<usize, PolicyFinding> {
    let message = format!("lists and objects nest deeper than {DEPTH_MAX}");
    depth_left.checked_sub(1).ok_or_else(|| PolicyFinding::error(offset, 1, message))
}

/// The first member whose name is there before it, and that other one.
fn repeated(members: &[Member]) -> Option<(&Member, &Member)> {
    let second = if members.len() <= COMPARED_MAX {
        let mut places = members.iter().enumerate();
        let (_, second) = places.find(|(index, member)| {
            members.iter().take(*index).any(|before| before.name == member.name)
        })?;
        second
    } else {
        let mut names = HashSet::with_capacity_and_hasher(members.len(), FixedState::default());
        members.iter().find(|member| !names.insert(&member.name))?
    };
    members.iter().find(|member| member.name == second.name).map(|first| (first, second))
}

/// A number's text, which is of one byte a character.
fn ascii(digits: &[u8]) -> Box<str> {
    String::from_utf8_lossy(digits).into()
}

fn message(error: &JsonErrorType) -> &'static str {
    use JsonErrorType as Type;
    match error {
        Type::EofWhileParsingList => "the list does not end",
        Type::EofWhileParsingObject => "the object does not end",
        Type::EofWhileParsingString => "the text does not end",
        Type::EofWhileParsingValue => "it ends where a value is expected",
        Type::ExpectedColon => "`:` is expected here",
        Type::ExpectedListCommaOrEnd => "`,` or `]` is expected here",
        Type::ExpectedObjectCommaOrEnd => "`,` or `}` is expected here",
        Type::InvalidEscape
        | Type::InvalidUnicodeCodePoint
        | Type::LoneLeadingSurrogateInHexEscape
        | Type::UnexpectedEndOfHexEscape => "the escape means no character",
        Type::InvalidNumber => "the number is malformed",
        Type::NumberOutOfRange => "the number is too long",
        Type::ControlCharacterWhileParsingString => "a control character in a text is not escaped",
        Type::KeyMustBeAString => "a member's name in double quotes is expected here",
        Type::TrailingComma => "the comma has nothing behind it",
        Type::TrailingCharacters => "there is more after the value",
        Type::RecursionLimitExceeded => "lists and objects nest too deep",
        Type::ExpectedSomeIdent
        | Type::ExpectedSomeValue
        | Type::FloatExpectingInt
        | Type::DuplicateKey(_)
        | Type::InternalError(_) => "a value is expected here",
    }
}

/// The deepest nesting of lists and objects.
pub const DEPTH_MAX: usize = 64;

/// The longest text that is read. All policies of an account of AWS are a few tens of MiB.
pub const BYTES_MAX: usize = 256 << 20;

/// Objects with at most so many members compare their names one by one, without allocation.
const COMPARED_MAX: usize = 12;

#[cfg(test)]
mod tests;
