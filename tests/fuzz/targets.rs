//! What is asked of any bytes: the targets of the fuzzer, and of `tests/fuzz_corpus.rs`, which runs
//! them on the seeds in plain `cargo test`.

use crossgate::iam::Arn;
use crossgate::policy::json::{self, Lines};
use crossgate::policy::lint::{self, Home};
use crossgate::policy::scenario::{self, ScenarioPolicies, ScenarioRequest};
use crossgate::policy::{self, PolicyFinding, PolicyType, Source, document};
use serde_json::{Value, json};

/// A document: findings have a place inside of it, and what is found right compiles, whatever the
/// policy type.
pub(crate) fn policy_document(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let node = match json::parse(text) {
        Ok(node) => node,
        Err(finding) => return is_inside(text, &[finding]),
    };
    for policy_type in PolicyType::ALL {
        let checked = document::check(&node, policy_type);
        is_inside(text, &checked.findings);
        let Some(document) = checked.document else {
            let refused = checked.findings.iter().any(PolicyFinding::is_error);
            assert!(refused, "{policy_type:?} is refused without an error");
            continue;
        };
        is_inside(text, &lint::document(&document, Home::default()));
        let home = Home { account: Some("111111111111"), organization: None };
        is_inside(text, &lint::document(&document, home));
        let source = Source { file: "fuzz".into() };
        let compiled = policy::compile(&document, "fuzz", source, &Lines::new(text));
        assert!(compiled.is_ok(), "{policy_type:?} was found right: {compiled:?}");
    }
}

fn is_inside(text: &str, findings: &[PolicyFinding]) {
    for finding in findings {
        let end = finding.offset.saturating_add(finding.len);
        assert!(end <= text.len(), "{finding:?} of {} bytes", text.len());
        assert!(!finding.message.is_empty(), "{finding:?}");
    }
}

/// A scenario: any bytes have one line of JSON for an answer, and the walk that explains agrees
/// with the evaluator.
pub(crate) fn scenario(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let line = scenario::answer_line(&text);
    assert!(!line.contains(['\n', '\r']), "{line}");
    let answer: Value = serde_json::from_str(&line).expect(&line);
    let decision = answer.get("decision").and_then(Value::as_str);
    let is_known = matches!(decision, Some("allow" | "explicit_deny" | "implicit_deny"));
    assert!(is_known != answer.get("error").is_some_and(Value::is_string), "{line}");
    if !is_known {
        return;
    }
    let scenario: Value = serde_json::from_str(&text).expect("what is decided is JSON");
    let part = |name: &str| scenario.get(name).map(Value::to_string).unwrap_or_default();
    // Numbers and texts without a meaning in UTF-8 may not survive the other reader.
    let Ok(request) = ScenarioRequest::parse(&part("request")) else { return };
    let Ok(policies) = ScenarioPolicies::parse_for(&request, &part("policies")) else { return };
    let decided = scenario::decide(&request, &policies);
    let explained = scenario::explain(&request, &policies);
    assert_eq!((decided.outcome, decided.layer), (explained.outcome, explained.layer), "{text}");
    assert_eq!(decided.missing, explained.missing, "{text}");
}

/// A pattern: what it is, the pattern, a text and `aws:username`, a line each; the engine and a
/// naive matcher agree on whether the pattern means the text.
pub(crate) fn pattern(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let mut lines = text.splitn(4, '\n');
    let (Some(kind), Some(pattern), Some(value)) = (lines.next(), lines.next(), lines.next())
    else {
        return;
    };
    let case = Case { pattern, value, user: lines.next() };
    let (statement, expect) = match kind.chars().next() {
        Some('l') => (case.condition("StringLike"), case.is_like()),
        Some('n') => (case.condition("StringNotLike"), !case.is_like()),
        Some('a') => (case.condition("ArnLike"), case.is_arn_like()),
        Some('r') => (json!({ "Resource": pattern }), case.is_resource()),
        _ => (json!({ "Action": pattern, "Resource": "*" }), case.is_action()),
    };
    let is_action = statement.get("Action").is_some();
    let is_resource = statement.get("Condition").is_none() && !is_action;
    // Keys have rules of their own, and a variable before the resource part is plain text.
    let head = pattern.splitn(6, ':').take(5);
    if is_resource
        && (Arn::parse(value).is_some_and(|arn| arn.service().eq_ignore_ascii_case("kms"))
            || head.into_iter().any(|part| part.contains("${")))
    {
        return;
    }
    let action = if is_action { value } else { "orders:Get" };
    let resource = if is_resource { value } else { "arn:aws:orders::111111111111:order" };
    match case.answer(&statement, action, resource) {
        Ok(allowed) => assert_eq!(allowed, expect, "{kind:?} {case:?}"),
        // What a pattern may be is the documents' matter; a text of a condition without variables
        // may be anything.
        Err(error) => assert!(is_action || is_resource || pattern.contains("${"), "{error}"),
    }
}

#[derive(Clone, Copy, Debug)]
struct Case<'t> {
    pattern: &'t str,
    value: &'t str,
    user: Option<&'t str>,
}

impl Case<'_> {
    fn condition(&self, operator: &str) -> Value {
        json!({ "Resource": "*", "Condition": { operator: { "orders:Value": self.pattern } } })
    }

    /// Whether the engine allows it by a policy with this statement alone.
    fn answer(&self, statement: &Value, action: &str, resource: &str) -> Result<bool, String> {
        let mut statement = statement.clone();
        statement["Effect"] = "Allow".into();
        if statement.get("Action").is_none() {
            statement["Action"] = "*".into();
        }
        let mut context = json!({ "orders:Value": [self.value] });
        if let Some(user) = self.user {
            context["aws:username"] = json!([user]);
        }
        let document = json!({ "Version": "2012-10-17", "Statement": statement });
        let user = "arn:aws:iam::111111111111:user/a";
        let line = json!({
            "request": {
                "principal": { "type": "user", "arn": user, "account": "111111111111" },
                "action": action,
                "resource": { "arn": resource, "account": "111111111111" },
                "context": context,
            },
            "policies": { "identity": [{ "name": "p", "document": document }] },
        });
        let answer = scenario::answer_line(&line.to_string());
        let answer: Value = serde_json::from_str(&answer).expect("an answer is JSON");
        match answer.get("error") {
            Some(error) => Err(format!("{error} of {line}")),
            None => Ok(answer["decision"] == "allow"),
        }
    }

    fn is_like(&self) -> bool {
        let pattern = pieces(self.pattern, self);
        pattern.is_some_and(|pattern| means(&pattern, self.value))
    }

    fn is_arn_like(&self) -> bool {
        let Some(pattern) = pieces(self.pattern, self) else { return false };
        // A colon that came from a variable parts nothing.
        let parts: Vec<&[Piece]> = pattern.splitn(6, |it| *it == Piece::Char(':')).collect();
        let value: Vec<&str> = self.value.splitn(6, ':').collect();
        Arn::parse(self.value).is_some()
            && parts.len() == 6
            && parts.iter().zip(value).all(|(part, text)| means(part, text))
    }

    fn is_resource(&self) -> bool {
        if self.pattern == "*" {
            return true;
        }
        let pattern: Vec<&str> = self.pattern.splitn(6, ':').collect();
        let value: Vec<&str> = self.value.splitn(6, ':').collect();
        if (pattern.len(), value.len()) != (6, 6) {
            return false;
        }
        pattern.iter().zip(value).enumerate().all(|(place, (part, text))| match place {
            0 | 4 => plain(part, text),
            1..=3 => plain(&part.to_ascii_lowercase(), &text.to_ascii_lowercase()),
            _ => pieces(part, self).is_some_and(|part| means(&part, text)),
        })
    }

    fn is_action(&self) -> bool {
        let (pattern, value) = (self.pattern.to_ascii_lowercase(), self.value.to_ascii_lowercase());
        if pattern == "*" {
            return true;
        }
        match (pattern.split_once(':'), value.split_once(':')) {
            (Some((service, pattern)), Some((of, name))) => service == of && plain(pattern, name),
            _ => false,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Piece {
    Any,
    One,
    Char(char),
    /// A character that came from a variable.
    Value(char),
}

/// A pattern with its variables replaced; none if one has no value.
fn pieces<'t>(mut rest: &'t str, case: &Case<'t>) -> Option<Vec<Piece>> {
    let mut pieces = Vec::new();
    while let Some(next) = rest.chars().next() {
        if let Some(inside) = rest.strip_prefix("${") {
            let (value, after) = variable(inside, case)?;
            pieces.extend(value.chars().map(Piece::Value));
            rest = after;
            continue;
        }
        pieces.push(match next {
            '*' => Piece::Any,
            '?' => Piece::One,
            other => Piece::Char(other),
        });
        rest = rest.strip_prefix(next)?;
    }
    Some(pieces)
}

/// The value of a variable, and what follows it.
fn variable<'t>(inside: &'t str, case: &Case<'t>) -> Option<(&'t str, &'t str)> {
    for character in ["*", "?", "$"] {
        if let Some(after) = inside.strip_prefix(character).and_then(|it| it.strip_prefix('}')) {
            return Some((character, after));
        }
    }
    let (key, _) = inside.split_once(['}', ','])?;
    let rest = inside.strip_prefix(key)?;
    let (default, after) = if let Some(after) = rest.strip_prefix('}') {
        (None, after)
    } else {
        let quoted = rest.strip_prefix(',')?.trim_start_matches(' ').strip_prefix('\'')?;
        let (default, after) = quoted.split_once("'}")?;
        (Some(default), after)
    };
    let value = match key.to_ascii_lowercase().as_str() {
        "aws:username" => case.user,
        "orders:value" => Some(case.value),
        _ => None,
    };
    Some((value.or(default)?, after))
}

fn plain(pattern: &str, text: &str) -> bool {
    let piece = |it| match it {
        '*' => Piece::Any,
        '?' => Piece::One,
        other => Piece::Char(other),
    };
    means(&pattern.chars().map(piece).collect::<Vec<_>>(), text)
}

/// Whether a pattern means all of a text: `reached[n]` says that what came so far means its first
/// `n` characters.
fn means(pattern: &[Piece], text: &str) -> bool {
    let text: Vec<char> = text.chars().collect();
    let mut reached = vec![false; text.len() + 1];
    reached[0] = true;
    for piece in pattern {
        let mut next = vec![false; text.len() + 1];
        for n in 0..=text.len() {
            next[n] = match piece {
                Piece::Any => reached[n] || (n > 0 && next[n - 1]),
                Piece::One => n > 0 && reached[n - 1],
                Piece::Char(it) | Piece::Value(it) => n > 0 && reached[n - 1] && text[n - 1] == *it,
            };
        }
        reached = next;
    }
    reached[text.len()]
}
