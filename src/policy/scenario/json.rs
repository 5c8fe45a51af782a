//! Reading a scenario's members: what is known, what is missing, and how the error says so.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::ScenarioError;
use crate::policy::finding::{PolicyFinding, Severity};
use crate::policy::json::{Json, Lines, Node};

impl ScenarioError {
    /// One problem.
    pub(super) fn new(problem: impl Into<String>) -> Self {
        Self { problems: vec![problem.into()] }
    }

    /// What was found to be an error in a document.
    pub(super) fn of_findings(
        document: &str,
        lines: &Lines<'_>,
        findings: &[PolicyFinding],
    ) -> Self {
        let errors = findings.iter().filter(|finding| finding.severity == Severity::Error);
        let in_words = |it: &PolicyFinding| problem(&format!("{document}, "), lines, it);
        Self { problems: errors.map(in_words).collect() }
    }

    /// Why a text is no JSON.
    pub(super) fn of_invalid(text: &str, finding: &PolicyFinding) -> Self {
        Self::new(problem("", &Lines::new(text), finding))
    }
}

fn problem(document: &str, lines: &Lines<'_>, finding: &PolicyFinding) -> String {
    let place = match lines.place(finding.offset) {
        (1, column) => format!("column {column}"),
        (line, column) => format!("line {line}, column {column}"),
    };
    match &finding.hint {
        None => format!("{document}{place}: {}", finding.message),
        Some(hint) => format!("{document}{place}: {}; hint: {hint}", finding.message),
    }
}

/// The value of a member; `null` is as good as absent.
pub(super) fn member<'n>(node: &'n Node, name: &str) -> Option<&'n Node> {
    node.get(name).filter(|node| node.value != Json::Null)
}

/// Refuses what is no object, or has a member that is not known.
pub(super) fn only(node: &Node, path: &str, known: &[&str]) -> Result<(), ScenarioError> {
    let Json::Object(members) = &node.value else {
        return Err(ScenarioError::new(format!("`{path}` is not an object")));
    };
    let Some(unknown) = members.iter().find(|member| !known.contains(&&*member.name)) else {
        return Ok(());
    };
    let name = &unknown.name;
    let distance = |candidate: &str| strsim::damerau_levenshtein(&name.to_lowercase(), candidate);
    let nearest = known.iter().copied().min_by_key(|candidate| distance(candidate));
    let hint = match nearest.filter(|nearest| distance(nearest) <= NAME_DISTANCE_MAX) {
        Some(nearest) => format!("did you mean `{nearest}`?"),
        None => format!("known are {}", listed(known)),
    };
    Err(ScenarioError::new(format!("`{path}` has the unknown member `{name}`; {hint}")))
}

fn listed(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// The text of a member that may be absent; an empty text is as good as absent.
pub(super) fn text<'n>(
    node: &'n Node,
    path: &str,
    name: &str,
) -> Result<Option<&'n str>, ScenarioError> {
    let Some(node) = member(node, name) else { return Ok(None) };
    match node.as_text() {
        Some(text) => Ok(Some(text).filter(|text| !text.is_empty())),
        None => Err(ScenarioError::new(format!("`{path}.{name}` is not a text"))),
    }
}

/// A text, or a number or truth value as it is written.
pub(super) fn scalar_text(node: &Node) -> Option<Box<str>> {
    match &node.value {
        Json::Text(text) | Json::Number(text) => Some(text.clone()),
        Json::Bool(true) => Some("true".into()),
        Json::Bool(false) => Some("false".into()),
        Json::Null | Json::List(_) | Json::Object(_) => None,
    }
}

/// A list; a value that is none is a list of one, and nothing is an empty one.
pub(super) fn list(node: Option<&Node>) -> &[Node] {
    match node {
        Some(Node { value: Json::List(nodes), .. }) => nodes,
        Some(Node { value: Json::Null, .. }) | None => &[],
        Some(one) => std::slice::from_ref(one),
    }
}

/// A scenario's `id` as it is given.
pub(super) fn scalar(id: Option<&Node>) -> Result<Box<RawValue>, ScenarioError> {
    let Some(id) = id else { return Ok(null()) };
    let written = match &id.value {
        Json::Null => return Ok(null()),
        Json::Bool(truth) => truth.to_string(),
        Json::Number(number) => number.to_string(),
        Json::Text(text) => serde_json::Value::from(&**text).to_string(),
        Json::List(_) | Json::Object(_) => {
            return Err(ScenarioError::new("`id` is neither a text nor a number"));
        }
    };
    RawValue::from_string(written).map_err(|_| ScenarioError::new("`id` is no JSON"))
}

/// The `id` of a line that is JSON for readers that are less strict, such as one with a member
/// twice inside a document: so that the answer can be told whose it is.
pub(super) fn id_of_invalid(line: &str) -> Box<RawValue> {
    #[derive(Deserialize)]
    struct Line<'l> {
        #[serde(borrow)]
        id: Option<&'l RawValue>,
    }
    let id = serde_json::from_str::<Line<'_>>(line).ok().and_then(|line| line.id);
    id.filter(|id| !id.get().starts_with(['[', '{'])).map_or_else(null, ToOwned::to_owned)
}

/// `null`.
pub(super) fn null() -> Box<RawValue> {
    RawValue::NULL.to_owned()
}

/// Names further apart than this are no slips.
const NAME_DISTANCE_MAX: usize = 3;
