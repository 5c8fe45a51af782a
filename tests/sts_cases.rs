//! Goal: who may begin a session of which role, what the session then is, and what it may do, as the
//! facts about IAM say (facts: iam.md section 5, edge cases 15, 16 and 24).
//!
//! Method: `tests/cases/sts/*.json`. A file is `{ "about", "define", "given", "cases" }`. A text
//! `@name` stands for what `define` has under that name, `{ "repeat": ["a", 9] }` for a long text,
//! `{ "join": […] }` for its parts, `{ "numbered": 9 }` for so many tags. A case is a call in the
//! file's world (`tests/support/assume.rs` has the forms):
//!
//! | member | is |
//! | --- | --- |
//! | `id`, `why`, `edge` | its name, its rule, the facts' edge case |
//! | `caller`, `as`, `asks`, `at` | who asks, as whom, for what, when |
//! | `trust`, `role` | the trust policy and what else the role has that is asked for; a role with neither is not there |
//! | `identity`, `boundary` | policies of the caller |
//! | `scp`, `rcp` | levels above the caller's account, and above the role's |
//! | `given` | changes what the file gives (RFC 7396) |
//! | `gone` | an issuer that is taken out between token and call |
//! | `expect` | `{ "granted": {…} }` with what the session is at least, or `{ "refused", "reason", "missing", "says" }` |
//! | `then` | what the session may do: `action`, `resource`, `owner`, `at`, `given`; `expect`, `missing`, `perimeter` |
//!
//! Every session that is granted goes through its token: signed, verified, and the same again.

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a failed test panics"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crossgate::iam::{Arn, IdentityKind};
use crossgate::policy::Side;
use crossgate::sts::assume::{AssumeError, Grant, Refused};
use serde_json::{Map, Value, json};

use assume::{NOW, World};

#[path = "support/assume.rs"]
mod assume;
#[path = "support/policy_set.rs"]
mod policy_set;
#[expect(dead_code, reason = "only one key signs")]
mod token_mint;

/// Files that are not found must not pass for files without cases.
const CASES_MIN: usize = 500;

#[test]
fn every_rule_of_assuming_roles_has_its_answer() {
    let (mut wrong, mut names, mut edges) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
    for case in read_all() {
        let name = format!("{}/{}", case["file"].as_str().unwrap(), case["id"].as_str().unwrap());
        let why = case["why"].as_str().unwrap_or_else(|| panic!("{name} has no `why`"));
        assert!(names.insert(name.clone()), "{name} is there twice");
        edges.extend(case["edge"].as_u64());
        let problems = std::panic::catch_unwind(|| check(&case));
        let problems = problems.unwrap_or_else(|_| vec!["panicked".to_owned()]);
        wrong.extend(problems.into_iter().map(|it| format!("{name}: {why}\n  {it}")));
    }
    assert!(CASES_MIN <= names.len(), "only {} cases", names.len());
    assert_eq!(edges, BTreeSet::from([15, 16, 24]));
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), names.len(), wrong.join("\n"));
}

/// What is not as a case says.
fn check(case: &Value) -> Vec<String> {
    let at = case["at"].as_u64().unwrap_or(NOW);
    let mut world = World::new(&case["given"]);
    let expect = case["expect"].as_object().unwrap();
    let caller = world.caller(&case["caller"], at);
    if let Some(gone) = case["gone"].as_str() {
        world.forget(gone);
    }
    let decided = world.assume(&caller, case.get("as"), &case["asks"], at);
    match (decided, expect.get("granted")) {
        (Ok(grant), Some(expected)) => {
            let mut problems = differences(expected, &granted(&grant));
            problems.extend(unsound(&world, &grant, at));
            for question in case["then"].as_array().into_iter().flatten() {
                problems.extend(check_use(case, &grant, question, at));
            }
            problems
        }
        (Err(refused), None) => {
            let mut problems = differences(&case["expect"], &refusal(&refused));
            let said = refused.error.to_string();
            let says = expect.get("says").map_or("", |it| it.as_str().unwrap());
            if !said.contains(says) {
                problems.push(format!("does not say `{says}` but `{said}`"));
            }
            problems
        }
        (Ok(grant), None) => vec![format!("granted {}", granted(&grant))],
        (Err(refused), Some(_)) => {
            vec![format!("refused {} saying `{}`", refusal(&refused), refused.error)]
        }
    }
}

/// The members of what is expected that are otherwise.
fn differences(expected: &Value, given: &Value) -> Vec<String> {
    let members = expected.as_object().unwrap().iter().filter(|(name, _)| *name != "says");
    let wrong = members.filter(|(name, value)| given[name] != **value);
    wrong.map(|(name, value)| format!("`{name}` is not {value}: {given}")).collect()
}

fn granted(grant: &Grant) -> Value {
    let identity = &grant.identity;
    let session = identity.session.as_ref().unwrap();
    let policies = session.policies.as_ref();
    let inline = policies.and_then(|it| it.inline.as_ref());
    json!({
        "reason": grant.reason.as_str(),
        "seconds": grant.duration_seconds,
        "role_id": grant.role_id,
        "owner": grant.asked.owner.map(|it| it.to_string()),
        "account": identity.account.map(|it| it.to_string()),
        "type": identity.identity_type.as_str(),
        "principal": identity.principal,
        "id": identity.id,
        "name": identity.name,
        "subject": identity.subject,
        "authn_id": identity.authn_id,
        "role": session.role,
        "session_name": session.name,
        "tags": identity.session_tags,
        "transitive": session.transitive_tags,
        "source_identity": session.source_identity,
        "chained": session.chained,
        "provider": session.federated_provider,
        "policy": inline.map(|it| serde_json::from_str::<Value>(&it.text).unwrap()),
        "policy_arns": policies.map_or(&[][..], |it| &it.managed),
    })
}

fn refusal(refused: &Refused) -> Value {
    let error = match &refused.error {
        AssumeError::Denied => "denied",
        AssumeError::Invalid(_) => "invalid",
        AssumeError::MalformedPolicy(_) => "malformed_policy",
        AssumeError::PolicyTooLarge(_) => "policy_too_large",
        other => panic!("`{other}` is no class that cases know"),
    };
    json!({
        "refused": error,
        "reason": refused.reason.as_str(),
        "missing": refused.asked.missing.iter().map(Side::as_str).collect::<Vec<_>>(),
        "role": refused.asked.role,
        "session_name": refused.asked.session_name,
    })
}

/// What holds for every session.
fn unsound(world: &World, grant: &Grant, at: u64) -> Vec<String> {
    let identity = &grant.identity;
    let mut problems = Vec::new();
    let mut must = |holds: bool, what: &str| {
        if !holds {
            problems.push(format!("{what}: {identity:?}"));
        }
    };
    must(identity.kind == IdentityKind::Profile, "a session is a profile's");
    must(identity.mfa == Some(false), "a session has no second factor");
    must(identity.authenticated_at.is_none(), "a session has no age of one");
    must(identity.expires_at.0 == at + u64::from(grant.duration_seconds), "it ends in time");
    match world.session(grant, at) {
        Ok(known) => {
            must(known.identity == *identity, "its token proves another session");
            must(known.token_len < TOKEN_BYTES_MAX, "its token is too long");
        }
        Err(error) => must(false, &format!("its token is refused: {error}")),
    }
    problems
}

/// Upstreams take so long a header.
const TOKEN_BYTES_MAX: usize = 8192;

/// What is not as a case says of a request of the session.
fn check_use(case: &Value, grant: &Grant, question: &Value, at: u64) -> Vec<String> {
    let at = question["at"].as_u64().unwrap_or(at);
    let mut given = case["given"].clone();
    merge(&mut given, &question["given"]);
    let world = World::new(&given);
    let identity = world.session(grant, at).unwrap().identity;
    let owner =
        question["owner"].as_str().unwrap_or_else(|| identity.account.as_ref().unwrap().as_str());
    let text = |name: &str| question[name].as_str().unwrap();
    let asked = (text("action"), text("resource"), owner);
    let found = world.decide(&identity, asked, at, |evaluation| {
        let answer = evaluation.policy.unwrap().enforced.answer;
        json!({
            "expect": answer.outcome.as_str(),
            "missing": answer.missing.iter().map(Side::as_str).collect::<Vec<_>>(),
            "perimeter": evaluation.perimeter.map(|it| it.enforced.rejects()),
        })
    });
    let expected: Map<_, _> = ["expect", "missing", "perimeter"]
        .into_iter()
        .filter_map(|name| Some((name.to_owned(), question.get(name)?.clone())))
        .collect();
    let wrong = differences(&Value::Object(expected), &found);
    wrong.into_iter().map(|it| format!("then {} {}: {it}", asked.0, asked.1)).collect()
}

/// All cases, whole.
fn read_all() -> Vec<Value> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/sts");
    let mut files: Vec<_> = fs::read_dir(directory).unwrap().map(|it| it.unwrap().path()).collect();
    files.sort();
    let mut cases = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let content: Value = serde_json::from_str(&text)
            .unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        for case in content["cases"].as_array().unwrap() {
            let mut case = expand(case, &content["define"]);
            case["file"] = json!(file.file_stem().unwrap().to_str().unwrap());
            let mut given = expand(&content["given"], &content["define"]);
            merge(&mut given, &in_short(&case));
            merge(&mut given, &case["given"]);
            case["given"] = given;
            cases.push(case);
        }
    }
    cases
}

/// What a case gives in short, as a change of what its file gives.
fn in_short(case: &Value) -> Value {
    let mut change = json!({});
    let asked = case["asks"]["role"].as_str().unwrap_or_default();
    let mut set = |arn: &str, name: &str, value: &Value| {
        let Some(arn) = Arn::parse(arn).filter(|_| !value.is_null()) else { return };
        let resource = arn.resource();
        let (kind, path) = resource.split_once('/').unwrap();
        let list = if kind == "user" { "users" } else { "roles" };
        // A session's ARN has the role's name and its own.
        let path = if kind == "assumed-role" { path.split('/').next().unwrap() } else { path };
        let entry = &mut change["accounts"][arn.account()][list][path];
        if name.is_empty() {
            merge(entry, value);
        } else {
            entry[name] = value.clone();
        }
    };
    set(asked, "trust", &case["trust"]);
    set(asked, "", &case["role"]);
    let caller = &case["caller"];
    let arn = [caller, &caller["arn"], &caller["session_of"]].into_iter().find_map(Value::as_str);
    let arn = arn.unwrap_or_default();
    set(arn, "policies", &case["identity"]);
    set(arn, "boundary", &case["boundary"]);
    for (levels, name, arn) in [(&case["scp"], "scps", arn), (&case["rcp"], "rcps", asked)] {
        if let Some(arn) = Arn::parse(arn).filter(|_| !levels.is_null()) {
            change["organization"]["accounts"][arn.account()][name] = levels.clone();
        }
    }
    change
}

/// Changes a value as RFC 7396 does.
fn merge(value: &mut Value, change: &Value) {
    let Value::Object(members) = change else {
        if !change.is_null() {
            *value = change.clone();
        }
        return;
    };
    if !value.is_object() {
        *value = json!({});
    }
    let object = value.as_object_mut().unwrap();
    for (name, change) in members {
        if change.is_null() {
            object.remove(name);
        } else {
            merge(object.entry(name).or_insert(Value::Null), change);
        }
    }
}

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
        Value::Object(members) if members.len() == 1 => {
            let (name, inner) = members.iter().next().unwrap();
            let inner = expand(inner, define);
            match name.as_str() {
                "repeat" => {
                    let times = usize::try_from(inner[1].as_u64().unwrap()).unwrap();
                    json!(inner[0].as_str().unwrap().repeat(times))
                }
                "join" => inner
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|it| it.as_str().unwrap())
                    .collect::<String>()
                    .into(),
                "numbered" => {
                    (0..inner.as_u64().unwrap()).map(|n| json!([format!("k{n}"), "v"])).collect()
                }
                _ => json!({ name: inner }),
            }
        }
        Value::Object(members) => {
            members.iter().map(|(key, value)| (key.clone(), expand(value, define))).collect()
        }
        other => other.clone(),
    }
}
