//! Templates with `{parameters}`: of paths, of resources, of owner accounts.

use std::fmt::Write as _;

/// One piece of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// Text as it stands.
    Literal(Box<str>),
    /// The value of the path parameter with this position in the path.
    Parameter(usize),
}

/// A path template's parameters, in the order of the path, and the path with their names replaced
/// by positions: two templates that match the same paths become the same text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PathTemplate {
    /// For the router: `/v1/{p0}/{*p1}`.
    pub(super) canonical: String,
    /// Names by position.
    pub(super) names: Vec<Box<str>>,
}

/// Splits a text at its `{…}`.
///
/// # Errors
/// A brace without its partner, in words.
pub(super) fn split(text: &str) -> Result<Vec<Token<'_>>, String> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(open) = rest.find(['{', '}']) {
        let (literal, at_brace) = rest.split_at(open);
        if !literal.is_empty() {
            tokens.push(Token::Literal(literal));
        }
        let Some((name, after)) = at_brace.strip_prefix('{').and_then(|s| s.split_once('}')) else {
            return Err(format!("`{text}` has a brace without its partner"));
        };
        tokens.push(Token::Name(name));
        rest = after;
    }
    if !rest.is_empty() {
        tokens.push(Token::Literal(rest));
    }
    Ok(tokens)
}

/// A piece of a template as written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// Text.
    Literal(&'a str),
    /// What stands between braces.
    Name(&'a str),
}

impl PathTemplate {
    /// Parses a path template.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if !text.starts_with('/') {
            return Err(format!("the path `{text}` does not start with `/`"));
        }
        let tokens = split(text)?;
        let mut canonical = String::with_capacity(text.len());
        let mut names: Vec<Box<str>> = Vec::new();
        for (index, token) in tokens.iter().enumerate() {
            match token {
                Token::Literal(literal) => {
                    check_literal(text, literal)?;
                    canonical.push_str(literal);
                }
                Token::Name(written) => {
                    let (star, name) = match written.strip_prefix('*') {
                        Some(name) => ("*", name),
                        None => ("", *written),
                    };
                    if name.is_empty()
                        || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
                    {
                        return Err(format!("`{{{written}}}` is no name of a path parameter"));
                    }
                    if names.iter().any(|known| **known == *name) {
                        return Err(format!("the path has the parameter `{name}` twice"));
                    }
                    if star == "*" && index + 1 != tokens.len() {
                        return Err(format!("`{{*{name}}}` takes the rest, so it must come last"));
                    }
                    let _ = write!(canonical, "{{{star}p{}}}", names.len());
                    names.push(name.into());
                }
            }
        }
        Ok(Self { canonical, names })
    }

    /// The position of a parameter.
    ///
    /// # Errors
    /// The path has no such parameter; the words name those that it has.
    pub(super) fn position(&self, name: &str) -> Result<usize, String> {
        self.names.iter().position(|known| **known == *name).ok_or_else(|| {
            if self.names.is_empty() {
                return format!("`{{{name}}}` names a path parameter, and the path has none");
            }
            let known: Vec<String> = self.names.iter().map(|n| format!("`{{{n}}}`")).collect();
            format!("`{{{name}}}` is no parameter of the path, which has {}", known.join(", "))
        })
    }
}

/// A literal that no accepted request can have would be a route that never matches.
fn check_literal(path: &str, literal: &str) -> Result<(), String> {
    let rooted = format!("/{}", literal.trim_start_matches('/'));
    if literal.contains("//") || super::path::decode(&rooted).is_err() || literal.contains('%') {
        return Err(format!(
            "no request reaches the path `{path}`: write it decoded, without `//`, `.` and `..` segments, `;` and `%`"
        ));
    }
    Ok(())
}
