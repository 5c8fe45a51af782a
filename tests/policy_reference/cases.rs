//! Decision cases from `tests/cases/policy/*.json`.
//!
//! A file is `{ "about", "define", "cases" }`. In cases a text `@name` stands for what `define` has
//! under that name. A case has an `id`, a `why`, and one of these forms, each of which becomes one
//! or more whole scenarios:
//!
//! | form | becomes |
//! | --- | --- |
//! | `principal`, `action`, `resource`, … and `decision` | the scenario; a policy may be a single statement or a list of statements (version 2012-10-17), a principal or owner that is not written is alice or her account |
//! | `condition`, `context`, `holds` (and `in_deny`, if that differs) | the condition in an Allow, and in a Deny beside an Allow |
//! | `action_pattern`, `action`, `matches` | `Action`, and `NotAction` |
//! | `resource_pattern`, `resource`, `matches` | `Resource`, and `NotResource` |
//! | `element`, `principal`, `means` (`direct`, `session`, `account`, `nobody`) | a key's policy beside three sets of other policies, which tell the kinds of match apart |
//! | `type`, `document`, `accepted` | a scenario with the document in that place |
//! | `line` | the text as it is, which is an error |

use std::fs;
use std::path::Path;

use serde_json::{Map, Value, json};

/// One scenario and what is expected of it.
pub(crate) struct Case {
    /// File, id and, of several scenarios, which.
    pub(crate) name: String,
    pub(crate) why: String,
    /// The scenario as `crossgate simulate` takes it.
    pub(crate) line: String,
    pub(crate) expect: Expect,
}

/// What is expected; what is `None` is not looked at.
#[derive(Debug, Default)]
pub(crate) struct Expect {
    /// `allow`, `explicit_deny`, `implicit_deny` or `error`; none: anything but an error.
    pub(crate) decision: Option<String>,
    pub(crate) layer: Option<String>,
    pub(crate) missing: Option<Vec<String>>,
}

/// All cases of all files, and how many entries they are written as.
pub(crate) fn read_all() -> (Vec<Case>, usize) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/policy");
    let mut files: Vec<_> = fs::read_dir(directory).unwrap().map(|it| it.unwrap().path()).collect();
    files.sort();
    let (mut cases, mut written) = (Vec::new(), 0);
    for file in files {
        let name = file.file_stem().unwrap().to_str().unwrap().to_owned();
        let text = fs::read_to_string(&file).unwrap();
        let value: Value = serde_json::from_str(&text)
            .unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let nothing = json!({});
        let define = value.get("define").unwrap_or(&nothing);
        for case in value["cases"].as_array().unwrap() {
            written += 1;
            let expanded = expand(case, define);
            let id = format!("{name}/{}", case["id"].as_str().unwrap());
            let why = case["why"].as_str().unwrap_or_else(|| panic!("{id} has no `why`"));
            for (part, line, expect) in scenarios(&id, &expanded) {
                let name = format!("{id}{part}");
                cases.push(Case { name, why: why.to_owned(), line, expect });
            }
        }
    }
    (cases, written)
}

/// Replaces every `@name`.
fn expand(value: &Value, define: &Value) -> Value {
    match value {
        Value::String(text) => match text.strip_prefix('@') {
            Some(name) => {
                let found = define.get(name).unwrap_or_else(|| panic!("`@{name}` is not defined"));
                expand(found, define)
            }
            None => value.clone(),
        },
        Value::Array(items) => items.iter().map(|item| expand(item, define)).collect(),
        Value::Object(members) => {
            members.iter().map(|(key, value)| (key.clone(), expand(value, define))).collect()
        }
        other => other.clone(),
    }
}

type Scenario = (&'static str, String, Expect);

fn scenarios(id: &str, case: &Value) -> Vec<Scenario> {
    let has = |key: &str| case.get(key).is_some();
    if has("line") {
        let line = case["line"].as_str().unwrap().to_owned();
        return vec![("", line, decision("error"))];
    }
    if has("condition") {
        return condition_scenarios(id, case);
    }
    if has("action_pattern") || has("resource_pattern") {
        return pattern_scenarios(id, case);
    }
    if has("element") {
        return element_scenarios(id, case);
    }
    if has("document") {
        return vec![document_scenario(id, case)];
    }
    let expect = Expect {
        layer: case.get("layer").map(|layer| layer.as_str().unwrap().to_owned()),
        missing: case.get("missing").map(|sides| {
            sides.as_array().unwrap().iter().map(|side| side.as_str().unwrap().to_owned()).collect()
        }),
        ..decision(case["decision"].as_str().unwrap_or_else(|| panic!("{id} has no decision")))
    };
    vec![("", line(id, case), expect)]
}

fn condition_scenarios(id: &str, case: &Value) -> Vec<Scenario> {
    let holds = case["holds"].as_bool().unwrap();
    let in_deny = case.get("in_deny").map_or(holds, |holds| holds.as_bool().unwrap());
    let version = case.get("version").cloned().unwrap_or_else(|| "2012-10-17".into());
    let with = |effect: &str| {
        let tested = json!({ "Effect": effect, "Action": "*", "Resource": "*", "Condition": case["condition"] });
        let document = json!({ "Version": version, "Statement": [tested] });
        let mut whole = case.clone();
        whole["identity"] = match effect {
            "Deny" => json!([document, { "Effect": "Allow", "Action": "*", "Resource": "*" }]),
            _ => json!([document]),
        };
        line(id, &whole)
    };
    let allow = decision(if holds { "allow" } else { "implicit_deny" });
    let deny = decision(if in_deny { "explicit_deny" } else { "allow" });
    vec![(" in an Allow", with("Allow"), allow), (" in a Deny", with("Deny"), deny)]
}

fn pattern_scenarios(id: &str, case: &Value) -> Vec<Scenario> {
    let matches = case["matches"].as_bool().unwrap();
    let version = case.get("version").cloned().unwrap_or_else(|| "2012-10-17".into());
    let with = |not: &str| {
        let mut statement = json!({ "Effect": "Allow" });
        let (action, resource) = match case.get("action_pattern") {
            Some(pattern) => ((not, pattern.clone()), ("", json!("*"))),
            None => (("", json!("*")), (not, case["resource_pattern"].clone())),
        };
        statement[format!("{}Action", action.0)] = action.1;
        statement[format!("{}Resource", resource.0)] = resource.1;
        let mut whole = case.clone();
        whole["identity"] = json!([{ "Version": version, "Statement": statement }]);
        line(id, &whole)
    };
    let expect = |allows| decision(if allows { "allow" } else { "implicit_deny" });
    vec![("", with(""), expect(matches)), (" negated", with("Not"), expect(!matches))]
}

/// Only a direct match needs neither a boundary's nor an identity policy's Allow; a session's match
/// needs the boundary's, an account's both.
fn element_scenarios(id: &str, case: &Value) -> Vec<Scenario> {
    let means = case["means"].as_str().unwrap();
    let all = json!({ "Effect": "Allow", "Action": "*", "Resource": "*" });
    let mut policy = json!({ "Effect": "Allow", "Action": "*", "Resource": "*" });
    policy[case.get("name").and_then(Value::as_str).unwrap_or("Principal")] =
        case["element"].clone();
    let with = |identity: Value, boundary: Value| {
        let mut whole = case.clone();
        whole["resource"] = json!("arn:aws:kms:eu-west-1:111111111111:key/k");
        whole["action"] = json!("kms:Decrypt");
        whole["resource_policy"] = policy.clone();
        whole["identity"] = identity;
        whole["boundary"] = boundary;
        whole["session"] = json!([all]);
        line(id, &whole)
    };
    let expect =
        |of: &[&str]| decision(if of.contains(&means) { "allow" } else { "implicit_deny" });
    assert!(["direct", "session", "account", "nobody"].contains(&means), "{id}");
    vec![
        (" by itself", with(json!([]), json!([])), expect(&["direct"])),
        (" beside a boundary", with(json!([]), json!([all])), expect(&["direct", "session"])),
        (
            " beside identity policies",
            with(json!([all]), json!([all])),
            expect(&["direct", "session", "account"]),
        ),
    ]
}

fn document_scenario(id: &str, case: &Value) -> Scenario {
    let document = case["document"].clone();
    let of = case["type"].as_str().unwrap();
    let mut whole = json!({});
    let place = match of {
        "resource" | "key" | "trust" => "resource_policy",
        place => place,
    };
    whole[place] = match of {
        "resource" | "key" | "trust" => document,
        "scp" | "rcp" => json!([[document]]),
        _ => json!([document]),
    };
    if of == "key" {
        whole["resource"] = json!("arn:aws:kms:eu-west-1:111111111111:key/k");
        whole["action"] = json!("kms:Decrypt");
    }
    if of == "trust" {
        whole["resource"] = json!("arn:aws:iam::111111111111:role/r");
        whole["action"] = json!("sts:AssumeRole");
    }
    let expect =
        if case["accepted"].as_bool().unwrap() { Expect::default() } else { decision("error") };
    ("", line(id, &whole), expect)
}

fn decision(decision: &str) -> Expect {
    Expect { decision: Some(decision.to_owned()), ..Expect::default() }
}

/// The whole scenario of a case.
fn line(id: &str, case: &Value) -> String {
    let get = |key: &str| case.get(key).cloned();
    let arn = get("resource").unwrap_or_else(|| "arn:aws:s3:::b/k".into());
    let owner = get("owner").unwrap_or_else(|| ALICE_ACCOUNT.into());
    let request = json!({
        "principal": principal(get("principal").unwrap_or_else(|| ALICE.into())),
        "action": get("action").unwrap_or_else(|| "s3:GetObject".into()),
        "resource": { "arn": arn, "account": owner },
        "context": context(&get("context").unwrap_or_else(|| json!({}))),
        "multivalued": get("multivalued").unwrap_or_else(|| json!([])),
        "also_actions": get("also_actions").unwrap_or_else(|| json!([])),
    });
    let named = |key: &str| get(key).map_or(Value::Null, |list| policies(key, &list));
    let levels = |key: &str| {
        let levels = get(key).unwrap_or_else(|| json!([]));
        let levels = levels.as_array().unwrap().iter().enumerate().map(|(n, level)| {
            json!({ "target": format!("level-{n}"), "policies": policies(&format!("{key}-{n}"), level) })
        });
        levels.collect::<Value>()
    };
    let mut key = get("key").unwrap_or(Value::Null);
    if let Some(document) = key.get("document").filter(|document| !document.is_null()) {
        key["document"] = policy(document);
    }
    let policies = json!({
        "identity": get("identity").map_or_else(|| json!([]), |list| policies("identity", &list)),
        "resource": get("resource_policy").filter(|it| !it.is_null()).as_ref().map(policy),
        "boundary": named("boundary"),
        "session": named("session"),
        "scp": levels("scp"),
        "rcp": levels("rcp"),
        "endpoint": named("endpoint"),
        "key": key,
    });
    json!({ "id": id, "request": request, "policies": policies }).to_string()
}

const ALICE: &str = "arn:aws:iam::111111111111:user/alice";
const ALICE_ACCOUNT: &str = "111111111111";

/// A principal as it is, or by its ARN, whose account is the principal's.
fn principal(value: Value) -> Value {
    let Some(text) = value.as_str() else {
        return value;
    };
    let account =
        super::policy_reference::glob::arn_segments(text).map(|segments| segments[4].to_owned());
    json!({ "arn": text, "account": account })
}

/// A single value need not be in a list.
fn context(value: &Value) -> Value {
    let listed = |value: &Value| if value.is_array() { value.clone() } else { json!([value]) };
    let members = value.as_object().unwrap().iter();
    Value::Object(members.map(|(key, value)| (key.clone(), listed(value))).collect::<Map<_, _>>())
}

fn policies(name: &str, list: &Value) -> Value {
    if list.is_null() {
        return Value::Null;
    }
    let named = list.as_array().unwrap().iter().enumerate();
    named.map(|(n, it)| json!({ "name": format!("{name}-{n}"), "document": policy(it) })).collect()
}

/// A document as it is, or made of a statement or several.
fn policy(value: &Value) -> Value {
    if value.is_array() || value.get("Effect").is_some() {
        return json!({ "Version": "2012-10-17", "Statement": value });
    }
    value.clone()
}
