//! Texts with wildcards and policy variables (facts: sections 2 and 3, Variables).

use super::scenario::Context;

/// One piece of a pattern.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Part {
    /// `*`: any characters, also none.
    Any,
    /// `?`: exactly one character.
    One,
    /// This character.
    Char(char),
    /// `${key}` or `${key, 'default'}`; the key in lower case.
    Variable { key: String, default: Option<String> },
}

/// Reads a pattern. Wildcards and variables are plain text unless they are asked for.
pub(crate) fn parse(text: &str, wildcards: bool, variables: bool) -> Result<Vec<Part>, String> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        if variables && rest.starts_with("${") {
            let Some((inside, after)) = rest[2..].split_once('}') else {
                return Err(format!("`{text}` has a variable without end"));
            };
            parts.push(variable(inside)?);
            rest = after;
            continue;
        }
        parts.push(match first {
            '*' if wildcards => Part::Any,
            '?' if wildcards => Part::One,
            other => Part::Char(other),
        });
        rest = &rest[first.len_utf8()..];
    }
    Ok(parts)
}

/// What stands between `${` and `}`.
fn variable(inside: &str) -> Result<Part, String> {
    if inside.contains("${") {
        return Err(format!("`{inside}` has a variable in a variable"));
    }
    // `${*}`, `${?}` and `${$}` are the characters themselves.
    if let "*" | "?" | "$" = inside {
        return Ok(Part::Char(inside.chars().next().unwrap()));
    }
    let Some((key, default)) = inside.split_once(',') else {
        return Ok(Part::Variable { key: inside.trim().to_lowercase(), default: None });
    };
    let default = default.trim().strip_prefix('\'').and_then(|text| text.strip_suffix('\''));
    let Some(default) = default else {
        return Err(format!("`{inside}` has a default without quotes"));
    };
    Ok(Part::Variable { key: key.trim().to_lowercase(), default: Some(default.to_owned()) })
}

/// The pattern with every variable replaced by its value, whose characters are plain and never
/// read again. `None`: a variable has no value.
pub(crate) fn resolve(pattern: &[Part], context: &Context) -> Option<Vec<Part>> {
    let mut resolved = Vec::new();
    for part in pattern {
        let Part::Variable { key, default } = part else {
            resolved.push(part.clone());
            continue;
        };
        let value = match context.get(key) {
            // A default is for an absent key only.
            None => default.clone()?,
            Some(entry) if entry.multivalued => return None,
            Some(entry) => entry.values[0].clone(),
        };
        resolved.extend(value.chars().map(Part::Char));
    }
    Some(resolved)
}

/// Whether a pattern means the whole of a text. A variable without a value means no text.
pub(crate) fn matches(pattern: &[Part], text: &str, context: &Context) -> bool {
    let text: Vec<char> = text.chars().collect();
    if !pattern.iter().any(|part| matches!(part, Part::Variable { .. })) {
        return is_match(pattern, &text);
    }
    resolve(pattern, context).is_some_and(|pattern| is_match(&pattern, &text))
}

/// `reached[n]`: the pattern so far means the first `n` characters of the text.
fn is_match(pattern: &[Part], text: &[char]) -> bool {
    if !pattern.iter().any(|part| matches!(part, Part::Any | Part::One)) {
        return pattern.len() == text.len()
            && pattern.iter().zip(text).all(|(part, char)| *part == Part::Char(*char));
    }
    let mut reached = vec![false; text.len() + 1];
    reached[0] = true;
    for part in pattern {
        let mut next = vec![false; text.len() + 1];
        for n in 0..=text.len() {
            next[n] = match part {
                Part::Any => reached[n] || (n > 0 && next[n - 1]),
                Part::One => n > 0 && reached[n - 1],
                Part::Char(char) => n > 0 && reached[n - 1] && text[n - 1] == *char,
                Part::Variable { .. } => false,
            };
        }
        if !next.contains(&true) {
            return false;
        }
        reached = next;
    }
    reached[text.len()]
}

/// A pattern or text of an ARN: six parts at the first five colons. Colons of variables and their
/// values do not count.
pub(crate) fn split_arn(pattern: &[Part]) -> Option<Vec<Vec<Part>>> {
    let mut segments = vec![Vec::new()];
    for part in pattern {
        if *part == Part::Char(':') && segments.len() < 6 {
            segments.push(Vec::new());
        } else {
            segments.last_mut().unwrap().push(part.clone());
        }
    }
    (segments.len() == 6).then_some(segments)
}

/// The six parts of an ARN.
pub(crate) fn arn_segments(text: &str) -> Option<Vec<&str>> {
    let segments: Vec<&str> = text.splitn(6, ':').collect();
    (segments.len() == 6 && segments[0] == "arn").then_some(segments)
}
