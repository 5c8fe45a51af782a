//! Session policies that come with a call or a token, as text.
//!
//! Flows in: JSON text. Flows out: the policy, compiled, with the text that travels; or what is wrong
//! with it and where.

use std::sync::Arc;

use crate::iam::InlinePolicy;
use crate::policy::compile::compile;
use crate::policy::document::{PolicyType, check};
use crate::policy::finding::PolicyFinding;
use crate::policy::json::{Lines, parse};
use crate::policy::statement::Source;

/// Reads a session policy.
///
/// # Errors
/// All that is wrong with the text, in order of the places.
pub fn session_policy(text: &str) -> Result<InlinePolicy, Vec<PolicyFinding>> {
    let node = parse(text).map_err(|finding| vec![finding])?;
    let checked = check(&node, PolicyType::Session);
    let mut errors: Vec<_> = checked.findings.into_iter().filter(PolicyFinding::is_error).collect();
    match checked.document {
        Some(document) if errors.is_empty() => {
            let source = Source { file: "".into() };
            let compiled = compile(&document, NAME, source, &Lines::new(text))?;
            Ok(InlinePolicy { text: compact(text), compiled: [Arc::new(compiled)] })
        }
        Some(_) | None => {
            if errors.is_empty() {
                errors.push(PolicyFinding::error(0, 0, "the document is no session policy"));
            }
            Err(errors)
        }
    }
}

/// Valid JSON without the white space between its tokens.
fn compact(text: &str) -> Box<str> {
    let (mut is_text, mut is_escaped) = (false, false);
    let kept = text.chars().filter(|character| {
        let was_text = is_text;
        match (is_escaped, *character) {
            (true, _) => is_escaped = false,
            (false, '\\') => is_escaped = is_text,
            (false, '"') => is_text = !is_text,
            (false, _) => {}
        }
        was_text || !matches!(*character, ' ' | '\t' | '\n' | '\r')
    });
    kept.collect::<String>().into()
}

/// Its name in answers and events.
const NAME: &str = "session policy";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_policy_travels_without_white_space() {
        let text = "{\n\t\"Version\": \"2012-10-17\",\r\n \"Statement\": { \"Sid\" : \"a\", \"Effect\":\"Allow\",\
                    \"Action\": \"s3:Get*\", \"Resource\": \"arn:aws:s3:::b/a \\\" b\\\\\" } }";
        let policy = session_policy(text).unwrap();
        let expect = r#"{"Version":"2012-10-17","Statement":{"Sid":"a","Effect":"Allow","Action":"s3:Get*","Resource":"arn:aws:s3:::b/a \" b\\"}}"#;
        assert_eq!(&*policy.text, expect);
        assert_eq!(&*session_policy(&policy.text).unwrap().text, expect);
    }

    #[test]
    fn what_is_no_session_policy_is_refused_with_its_place() {
        let refused = |text: &str| {
            let findings = session_policy(text).unwrap_err();
            findings.iter().map(|it| format!("{}: {}", it.offset, it.message)).collect::<Vec<_>>()
        };
        assert!(!refused("{").is_empty());
        assert!(!refused("{}").is_empty());
        assert!(!refused("[]").is_empty());
        let principal = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:*","Resource":"*"}]}"#;
        assert!(
            refused(principal).iter().any(|it| it.contains("Principal")),
            "{:?}",
            refused(principal)
        );
    }
}
