//! Scenarios: one question with the policies that apply to it, as JSON (`crossgate simulate`).
//!
//! Flows in: a line of JSON. Flows out: a line of JSON, the answer or why there is none. What is
//! written in a scenario is taken as it is: no policy is added, no context key is derived. Members
//! that could change the answer and are not known are refused: a misspelt `scp` would lift a limit.

mod answer;
mod json;
mod policies;
mod request;

use serde_json::value::RawValue;

pub use answer::{ScenarioAnswer, ScenarioStatement};
pub use policies::ScenarioPolicies;
pub use request::ScenarioRequest;

use crate::policy::combine::Outcome;
use crate::policy::evaluate::evaluate;
use crate::policy::explain::{LevelNames, Trace};
use crate::policy::json::{Json, Node, parse};
use crate::policy::question::{Policies, Question};
use request::ScenarioContext;

/// Why a scenario can't be decided: all that is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", problems.join("; "))]
pub struct ScenarioError {
    /// Each in words, with the member or the policy and column that is meant.
    pub problems: Vec<String>,
}

/// One line's answer.
#[derive(Clone, Debug)]
pub struct ScenarioResult {
    /// The scenario's `id` as given; `null` if it has none or it can't be read.
    pub id: Box<RawValue>,
    /// The answer, or why there is none.
    pub answer: Result<ScenarioAnswer, ScenarioError>,
}

/// Answers one scenario: a line of JSON in, a line of JSON out, without the line's end.
///
/// ```
/// let answer = crossgate::policy::scenario::answer_line("{\"id\":7}");
/// assert_eq!(answer, "{\"id\":7,\"error\":\"`request` is missing\"}");
/// ```
pub fn answer_line(line: &str) -> String {
    answer(line).to_json()
}

/// Answers one scenario.
pub fn answer(line: &str) -> ScenarioResult {
    if line.len() > LINE_BYTES_MAX {
        let problem = format!("the line has more than {LINE_BYTES_MAX} bytes");
        return ScenarioResult { id: json::null(), answer: Err(ScenarioError::new(problem)) };
    }
    match parse(line) {
        Ok(node) => match json::scalar(node.get("id")) {
            Ok(id) => ScenarioResult { id, answer: answer_node(&node, line) },
            Err(error) => ScenarioResult { id: json::null(), answer: Err(error) },
        },
        Err(finding) => ScenarioResult {
            id: json::id_of_invalid(line),
            answer: Err(ScenarioError::of_invalid(line, &finding)),
        },
    }
}

fn answer_node(node: &Node, line: &str) -> Result<ScenarioAnswer, ScenarioError> {
    if !matches!(node.value, Json::Object(_)) {
        return Err(ScenarioError::new("a scenario is a JSON object"));
    }
    let request = node.get("request").ok_or_else(|| ScenarioError::new("`request` is missing"))?;
    let request = ScenarioRequest::read(request)?;
    let policies =
        node.get("policies").ok_or_else(|| ScenarioError::new("`policies` is missing"))?;
    let policies = ScenarioPolicies::read(policies, line, request.resource_policy_type())?;
    Ok(decide(&request, &policies))
}

/// Decides a scenario as the proxy would.
pub fn decide(request: &ScenarioRequest, policies: &ScenarioPolicies) -> ScenarioAnswer {
    worst(request, policies, |question, policies| {
        ScenarioAnswer::from(&evaluate(question, policies))
    })
}

/// Decides a scenario by the walk that explains, which shares no code with [`decide`]'s rules.
pub fn explain(request: &ScenarioRequest, policies: &ScenarioPolicies) -> ScenarioAnswer {
    worst(request, policies, |question, policies| {
        ScenarioAnswer::from(&Trace::of(question, policies, LevelNames::default()))
    })
}

/// The steps by which a scenario's action is decided; not of those that must be allowed too.
pub fn trace<'p>(request: &ScenarioRequest, policies: &'p ScenarioPolicies) -> Trace<'p> {
    let question = request.question(request.action());
    Trace::of(&question, &policies.borrowed(), policies.level_names())
}

/// Asks for the action and for each that must be allowed too; those are about no key. The first of
/// the worst answers counts.
fn worst(
    request: &ScenarioRequest,
    policies: &ScenarioPolicies,
    ask: impl Fn(&Question<'_, ScenarioContext>, &Policies<'_>) -> ScenarioAnswer,
) -> ScenarioAnswer {
    let policies = policies.borrowed();
    let without_key = Policies { key: None, ..policies };
    let main = ask(&request.question(request.action()), &policies);
    request
        .also_actions()
        .iter()
        .map(|action| ask(&request.question(action), &without_key))
        .fold(main, |worst, next| if harm(&next) > harm(&worst) { next } else { worst })
}

/// How bad an answer is for who asks.
fn harm(answer: &ScenarioAnswer) -> u8 {
    match answer.outcome {
        Outcome::Allow => 0,
        Outcome::ImplicitDeny => 1,
        Outcome::ExplicitDeny => 2,
    }
}

/// The longest scenario: large enough for all policies of an account with some hundred documents.
pub const LINE_BYTES_MAX: usize = 16 * 1024 * 1024;

#[cfg(test)]
mod tests;
