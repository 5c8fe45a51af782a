//! Goal: the evaluator, the explaining walk and the naive reference give one answer to everything.
//!
//! Method: random policy sets, each asked random questions (`tests/policy_reference/generate.rs`).
//! Decision, layer, missing sides and statements are compared. A difference is shrunk and printed
//! as a scenario, which `crossgate simulate` takes as it is.
//!
//! `CROSSGATE_POLICY_PAIRS` sets how many pairs of policy set and request are asked (a million),
//! `CROSSGATE_POLICY_SEED` the first seed; the seed of a difference is printed with it.

#![expect(
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a failed test panics; the environment says how long to run"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::thread;

use crossgate::policy::scenario::{self, ScenarioAnswer, ScenarioPolicies, ScenarioRequest};
use policy_reference::scenario::{Policies, Request, answer_line};
use policy_reference::{Answer, decide};
use serde_json::{Value, json};

#[path = "policy_reference/generate.rs"]
mod generate;
mod policy_reference;
#[path = "policy_reference/shrink.rs"]
mod shrink;
#[path = "policy_reference/words.rs"]
mod words;

const PAIRS: u64 = 1_000_000;
const SEED: u64 = 20_251;
const THREADS: u64 = 2;
/// As many statements as an answer of the engine names.
const STATEMENTS_MAX: usize = 8;

#[test]
fn a_million_random_questions_have_one_answer() {
    let (pairs, seed) =
        (variable("CROSSGATE_POLICY_PAIRS", PAIRS), variable("CROSSGATE_POLICY_SEED", SEED));
    let sets = pairs.div_ceil(u64::try_from(generate::REQUESTS).unwrap());
    println!("{sets} policy sets from seed {seed}");
    let ask = |thread| {
        (0..sets).filter(move |n| n % THREADS == thread).find_map(|n| difference(seed + n))
    };
    let found = thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|thread| scope.spawn(move || ask(thread))).collect();
        threads.into_iter().find_map(|thread| thread.join().unwrap())
    });
    if let Some(found) = found {
        panic!("{found}");
    }
}

#[test]
fn a_difference_is_shrunk_to_what_makes_it() {
    let set = generate::set(SEED);
    let mut scenario = json!({ "policies": set.policies, "request": set.requests[0] });
    scenario["policies"]["identity"] = json!([
        { "name": "a", "document": { "Statement": [{ "Effect": "Allow", "Action": "*", "Resource": "*" }] } },
        { "name": "b", "document": { "Statement": [
            { "Effect": "Allow", "Action": ["s3:*", "sqs:*"], "Resource": "*" },
            { "Effect": "Deny", "Action": "x:y", "Resource": "*", "Condition": { "Null": { "a:b/~c": "true" } } },
        ] } },
    ]);
    // Made up: whatever denies `x:y` differs.
    let differs = |scenario: &Value| {
        let text = scenario.to_string();
        text.contains("Deny") && text.contains("x:y")
    };
    let expect = json!({ "policies": { "identity": [
        { "document": { "Statement": [{ "Effect": "Deny", "Action": "x:y" }] } }
    ] } });
    assert_eq!(shrink::shrink(&scenario, &differs), expect);
}

#[test]
fn random_questions_reach_every_answer_and_every_operator() {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut operators: BTreeMap<String, usize> = BTreeMap::new();
    for seed in 0..400 {
        let set = generate::set(SEED + seed);
        let text = set.policies.to_string().to_lowercase();
        for operator in words::FAMILIES.iter().flat_map(|family| family.operators) {
            for set in ["", "forallvalues:", "foranyvalue:"] {
                let name = format!("\"{set}{}", operator.to_lowercase());
                *operators.entry(name.clone()).or_default() += text.matches(&name).count();
            }
        }
        let policies = reference_policies(&set.requests[0], &set.policies).unwrap();
        for request in &set.requests {
            let answer = decide(&Request::read(request).unwrap(), &policies);
            *seen.entry(format!("{} by {}", answer.decision, answer.layer)).or_default() += 1;
            for side in answer.missing {
                *seen.entry(format!("missing {side}")).or_default() += 1;
            }
        }
    }
    let rare: Vec<_> = expected_answers()
        .into_iter()
        .map(|answer| (seen.get(&answer).copied().unwrap_or_default(), answer))
        .filter(|(count, _)| *count < 20)
        .collect();
    assert!(rare.is_empty(), "{rare:?} of {seen:?}");
    operators.retain(|name, _| !name.ends_with(":null"));
    operators.retain(|_, count| *count < 3);
    assert!(operators.is_empty(), "{operators:?}");
}

/// All that the reference can say of an answer.
fn expected_answers() -> Vec<String> {
    let layers =
        ["scp", "rcp", "resource", "trust", "key", "identity", "boundary", "session", "endpoint"];
    let denials = layers.iter().flat_map(|layer| {
        [format!("explicit_deny by {layer}"), format!("implicit_deny by {layer}")]
    });
    let allows = ["resource", "trust", "key", "identity"].map(|layer| format!("allow by {layer}"));
    let sides = [
        "caller identity policy",
        "resource policy",
        "key policy",
        "trust policy",
        "SCP",
        "RCP",
        "boundary",
        "session policy",
        "endpoint policy",
    ];
    denials.chain(allows).chain(sides.map(|side| format!("missing {side}"))).collect()
}

/// The first difference in a set, shrunk.
fn difference(seed: u64) -> Option<String> {
    let set = generate::set(seed);
    let text = set.policies.to_string();
    let first = ScenarioRequest::parse(&set.requests[0].to_string()).unwrap();
    let engine = ScenarioPolicies::parse_for(&first, &text)
        .unwrap_or_else(|error| panic!("seed {seed}: {error}: {text}"));
    let reference = reference_policies(&set.requests[0], &set.policies)
        .unwrap_or_else(|error| panic!("seed {seed}: {error}: {text}"));
    for request in &set.requests {
        let asked = ScenarioRequest::parse(&request.to_string())
            .unwrap_or_else(|error| panic!("seed {seed}: {error}: {request}"));
        let expect = decide(&Request::read(request).unwrap(), &reference);
        let given = [scenario::decide(&asked, &engine), scenario::explain(&asked, &engine)];
        if given.iter().any(|given| !agree(&expect, given)) {
            let scenario = json!({ "policies": set.policies, "request": request });
            return Some(told(seed, &shrink::shrink(&scenario, &differs)));
        }
    }
    None
}

fn told(seed: u64, scenario: &Value) -> String {
    let (expect, [evaluated, explained]) = answers(scenario).unwrap();
    let line = |given: &ScenarioAnswer| {
        let missing: Vec<&str> = given.missing.iter().map(scenario_side).collect();
        let (outcome, layer) = (given.outcome.as_str(), given.layer.as_str());
        format!("{outcome} by {layer}, missing {missing:?}, {:?}", given.named())
    };
    let Answer { decision, layer, missing, statements } = expect;
    format!(
        "seed {seed}\n{scenario}\nreference: {decision} by {layer}, missing {missing:?}, \
         {statements:?}\nevaluator: {}\nexplained: {}",
        line(&evaluated),
        line(&explained)
    )
}

fn scenario_side(side: crossgate::policy::Side) -> &'static str {
    side.as_str()
}

/// Whether a whole scenario is answered in two ways. What either can't read is no difference.
fn differs(scenario: &Value) -> bool {
    answers(scenario)
        .is_some_and(|(expect, given)| given.iter().any(|given| !agree(&expect, given)))
}

fn answers(scenario: &Value) -> Option<(Answer, [ScenarioAnswer; 2])> {
    let (request, policies) = (scenario.get("request")?, scenario.get("policies")?);
    let expect = answer_line(&scenario.to_string()).ok()?;
    let asked = ScenarioRequest::parse(&request.to_string()).ok()?;
    let engine = ScenarioPolicies::parse_for(&asked, &policies.to_string()).ok()?;
    Some((expect, [scenario::decide(&asked, &engine), scenario::explain(&asked, &engine)]))
}

fn reference_policies(request: &Value, policies: &Value) -> Result<Policies, String> {
    Policies::read(policies, Request::read(request)?.kind())
}

fn agree(expect: &Answer, given: &ScenarioAnswer) -> bool {
    let missing = given.missing.iter().map(scenario_side);
    expect.decision == given.outcome.as_str()
        && expect.layer == given.layer.as_str()
        && missing.eq(expect.missing.iter().copied())
        && agree_on_statements(expect, given)
}

/// The engine names the first few of the statements that the reference names. One that decides on
/// both the resource and its key is named for each.
fn agree_on_statements(expect: &Answer, given: &ScenarioAnswer) -> bool {
    let (count, named) = (given.statements.len(), BTreeSet::from_iter(given.named()));
    if count < STATEMENTS_MAX {
        named == expect.statements
    } else {
        named.is_subset(&expect.statements)
    }
}

fn variable(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}
