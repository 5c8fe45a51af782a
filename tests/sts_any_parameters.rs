//! Goal: whatever a caller asks for, `assume` ends, grants only what has the form and size that it
//! must have, and grants all of that; and the token of what it grants works.
//!
//! Method: random parameters, half of them nearly right, in a world that permits everything; an
//! oracle of regular expressions that shares nothing with the engine. Then random names of roles, and
//! random claims against a trust policy that asks for one.

#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "a failed test panics")]

use std::collections::BTreeSet;
use std::sync::LazyLock;

use crossgate::iam::Identity;
use crossgate::sts::assume::{
    AssumeError, AssumeParameters, Caller, Grant, Refused, Standing, Target,
};
use proptest::prelude::*;
use regex::Regex;
use serde_json::{Map, Value, json};

use assume::{Known, NOW, World};

#[expect(dead_code, reason = "nothing is decided for a session here")]
#[path = "support/assume.rs"]
mod assume;
#[path = "support/policy_set.rs"]
mod policy_set;
#[expect(dead_code, reason = "only one key signs")]
mod token_mint;

const ROLE: &str = "arn:aws:iam::222222222222:role/team/deploy";
const PROFILE: &str = "Profile-1";
const MANAGED: &str = "arn:aws:iam::222222222222:policy/read";

/// A role that trusts everyone in everything, and everyone may.
static OPEN: LazyLock<World> = LazyLock::new(|| {
    let all = json!({ "Effect": "Allow", "Action": "*", "Resource": "*" });
    World::new(&json!({
        "issuers": { "https://id.example.com": { "audiences": ["orders"], "claims": "account" } },
        "accounts": { "222222222222": {
            "users": { "ana": { "policies": [all] } },
            "managed": { "read": all },
            "roles": {
                "r": { "policies": [all] },
                "team/deploy": {
                    "session_seconds_max": 7200, "policies": [all],
                    "trust": { "Effect": "Allow", "Principal": "*", "Action": "sts:*" },
                },
                "named": { "trust": {
                    "Effect": "Allow", "Principal": "*", "Action": "sts:*",
                    "Condition": { "StringEquals": { "id.example.com:sub": "me", "id.example.com:aud": "orders" } },
                } },
            },
            "profiles": { PROFILE: { "name": "p", "trusted": [{ "claims": { "/env": "prod" } }] } },
        } },
    }))
});

/// A text that is nearly a name, or any text.
fn text(nearly: &'static str) -> impl Strategy<Value = Box<str>> {
    let any = prop_oneof![Just(String::new()), "\\PC{0,8}", any::<String>(), "[ -~]{0,300}"];
    prop_oneof![30 => nearly, 1 => any].prop_map(Into::into)
}

fn maybe<S: Strategy>(of: S) -> impl Strategy<Value = Option<S::Value>> {
    prop::option::weighted(0.4, of)
}

fn tags() -> impl Strategy<Value = Vec<(Box<str>, Box<str>)>> {
    let few = prop::sample::select(vec!["Team", "team", "aws:k", "σ", "ς", "Unit", "é", "É"]);
    let key = prop_oneof![
        1 => few.prop_map(Box::from),
        6 => text("[a-zA-Zéß字 _.:/=+@-]{4,24}"),
        1 => text("[字k]{124,129}"),
    ];
    let value = prop_oneof![6 => text("[a-z0-9é字 _.:/=+@-]{0,24}"), 1 => text("[字v]{250,257}")];
    let few = prop::collection::vec((key, value), 0..6);
    let numbered = |values: Vec<String>| {
        let keys = (0..).map(|number| format!("{number:03}").into());
        keys.zip(values.into_iter().map(Into::into)).collect()
    };
    let many = prop::collection::vec("[a-z字]{0,40}", 0..53).prop_map(numbered);
    prop_oneof![2 => few, 1 => many]
}

fn policy() -> impl Strategy<Value = Box<str>> {
    let resource = prop_oneof![
        "[a-z/*]{0,40}",
        "(\\\\\\\\){0,1000}",
        "[ a]{0,2500}",
        "[字é]{0,900}",
        (1900..2000_usize).prop_map(|count| "a".repeat(count)),
    ];
    let whole = resource.prop_map(|it| {
        let document = json!({ "Version": "2012-10-17", "Statement": [
            { "Effect": "Allow", "Action": "o:*", "Resource": format!("arn:aws:o:::{it}") } ] });
        document.to_string()
    });
    prop_oneof![9 => whole, 1 => "[ \\n{}\\[\\]\":,a]{0,60}", 1 => any::<String>()]
        .prop_map(Into::into)
}

fn parameters() -> impl Strategy<Value = AssumeParameters> {
    let arn = prop_oneof![8 => Just(Box::from(MANAGED)), 1 => text("arn:aws:iam::222222222222:policy/(read|[a-z]{1,4})")];
    let arns = prop_oneof![3 => 0..3_usize, 1 => 9..12_usize]
        .prop_flat_map(move |count| prop::collection::vec(arn.clone(), count));
    let seconds = prop_oneof![
        2 => prop::sample::select(vec![0, 899, 900, 3600, 3601, 7200, 7201, 43_201, u32::MAX]),
        1 => any::<u32>(),
        6 => 900..3600_u32,
    ];
    (
        (maybe(text("[a-zA-Z0-9_+=,.@-]{1,65}")), maybe(text("[a-zA-Z0-9_+=,.@:/-]{1,40}"))),
        maybe(seconds),
        (maybe(policy()), prop_oneof![3 => Just(Vec::new()).boxed(), 1 => arns.boxed()]),
        (
            tags(),
            prop::collection::vec(any::<prop::sample::Index>(), 0..30),
            prop::option::weighted(0.05, text("[a-z]{1,5}")),
        ),
        prop::option::weighted(0.3, text("(ana|[a-zA-Z0-9_+=,.@-]{1,65}|aws:x)")),
    )
        .prop_map(
            |(
                (session_name, external_id),
                duration_seconds,
                (policy, policy_arns),
                tags,
                source_identity,
            )| {
                let (tags, transitive, stray) = tags;
                let own = transitive
                    .iter()
                    .filter(|_| !tags.is_empty())
                    .map(|it| it.get(&tags).0.clone());
                AssumeParameters {
                    session_name,
                    external_id,
                    duration_seconds,
                    policy,
                    policy_arns,
                    transitive_tag_keys: own.chain(stray).collect(),
                    tags,
                    source_identity,
                }
            },
        )
}

/// A login with any name, or a session that hands something on.
fn callers() -> impl Strategy<Value = Value> {
    let name = prop_oneof![Just("ana".to_owned()), "\\PC{1,200}", "[\"\\\\]{1,400}"];
    let login = (name.clone(), name).prop_map(|(sub, name)| {
        json!({ "arn": "arn:aws:iam::222222222222:user/ana", "claims": { "sub": sub, "name": name } })
    });
    let session = (maybe(Just("ana")), any::<bool>()).prop_map(|(source, tagged)| {
        let tags = if tagged { json!({ "Team": "red", "σ": "x" }) } else { json!({}) };
        let transitive = if tagged { json!(["Team", "σ"]) } else { json!([]) };
        json!({
            "session_of": "arn:aws:iam::222222222222:role/r", "source_identity": source,
            "tags": tags, "transitive": transitive,
        })
    });
    prop_oneof![login, session]
}

fn ask(
    caller: &Known,
    standing: Standing,
    target: Target<'_>,
    asked: &AssumeParameters,
) -> Result<Grant, Box<Refused>> {
    let caller = Caller { identity: &caller.identity, claims: &caller.claims, standing };
    OPEN.ask(&caller, target, asked, NOW)
}

static NAME: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\A[A-Za-z0-9_+=,.@-]{2,64}\z").unwrap());
static EXTERNAL_ID: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\A[A-Za-z0-9_+=,.@:/-]+\z").unwrap());
static TAG: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\A[\p{Alphabetic}\p{N}\p{Z}_.:/=+\-@]*\z").unwrap());

/// The rules that parameters break, by expressions.
fn broken(asked: &AssumeParameters, caller: &Identity) -> Vec<&'static str> {
    let session = caller.session.as_deref();
    let mut broken = Vec::new();
    let mut must = |holds: bool, rule| {
        if !holds {
            broken.push(rule);
        }
    };
    if let Some(name) = &asked.session_name {
        must(NAME.is_match(name), "session name");
    }
    if let Some(id) = &asked.external_id {
        must(EXTERNAL_ID.is_match(id) && (2..=1224).contains(&id.len()), "external ID");
    }
    if let Some(source) = &asked.source_identity {
        must(NAME.is_match(source), "source identity");
        let own = session.and_then(|it| it.source_identity.as_ref());
        must(own.is_none_or(|own| own == source), "another source identity");
    }
    if let Some(seconds) = asked.duration_seconds {
        let most = if session.is_some() { 3600 } else { 7200 };
        must((900..=most).contains(&seconds), "duration");
    }
    let inherited = session.map_or(0, |it| it.transitive_tags.len());
    must(asked.tags.len() + inherited <= 50, "number of tags");
    let folded = |key: &str| key.to_lowercase().replace('ς', "σ");
    let mut keys: BTreeSet<String> =
        session.iter().flat_map(|it| &it.transitive_tags).map(|key| folded(key)).collect();
    for (key, value) in &asked.tags {
        must(TAG.is_match(key) && TAG.is_match(value), "characters of a tag");
        must((1..=128).contains(&key.chars().count()), "length of a key");
        must(value.chars().count() <= 256, "length of a value");
        must(!folded(key).starts_with("aws:"), "key of AWS");
        must(keys.insert(folded(key)), "key twice");
    }
    let own: BTreeSet<String> = asked.tags.iter().map(|(key, _)| folded(key)).collect();
    must(asked.transitive_tag_keys.iter().all(|key| own.contains(&folded(key))), "transitive key");
    must(asked.policy_arns.len() <= 10, "number of policies");
    must(asked.policy_arns.iter().all(|arn| **arn == *MANAGED), "unknown policy");
    broken
}

/// Whether a text is a session policy of good size.
fn is_policy(text: &str) -> bool {
    let chars = text.chars().filter(|it| !it.is_whitespace()).count();
    chars <= 2048 && crossgate::policy::session_policy(text).is_ok()
}

proptest! {
    #[test]
    fn only_what_has_its_form_is_granted_and_all_of_that(asked in parameters(), caller in callers()) {
        let caller = OPEN.caller(&caller, NOW);
        let broken = broken(&asked, &caller.identity);
        let policy_fits = asked.policy.as_deref().is_none_or(is_policy);
        match ask(&caller, Standing::Principal, Target::Role(ROLE), &asked) {
            Ok(grant) => {
                prop_assert_eq!(broken, Vec::<&str>::new());
                prop_assert!(policy_fits);
                granted_as_asked(&grant, &asked, &caller.identity)?;
            }
            Err(refused) => match refused.error {
                AssumeError::PolicyTooLarge(_) => {}
                AssumeError::MalformedPolicy(_) => prop_assert!(!policy_fits),
                AssumeError::Invalid(_) => prop_assert_ne!(broken, Vec::<&str>::new()),
                other => prop_assert!(false, "{}", other),
            },
        }
    }

    #[test]
    fn only_a_roles_own_name_is_granted(name in "\\PC{0,12}", path in "(/|[a-zA-Z0-9:*?${}.-]{0,6}/){0,3}") {
        let caller = OPEN.caller(&json!("arn:aws:iam::222222222222:user/ana"), NOW);
        let whole = format!("arn:aws:iam::222222222222:role/{path}{name}");
        for role in [&*name, &path, &whole, &format!("{ROLE}{name}"), &format!("{name}{ROLE}")] {
            for standing in [Standing::Principal, Standing::WebIdentity, Standing::Either] {
                let target = Target::Role(role);
                let granted = ask(&caller, standing, target, &AssumeParameters::default()).is_ok();
                prop_assert_eq!(granted, role == ROLE, "{}", role);
            }
            for target in [Target::Profile(role), Target::ProfileNamed { name: role, account: &name }] {
                prop_assert!(ask(&caller, Standing::Principal, target, &AssumeParameters::default()).is_err());
            }
        }
    }

    #[test]
    fn a_claim_is_only_itself(claims in claims()) {
        let mut token = json!({ "iss": "https://id.example.com", "aud": "orders" });
        token.as_object_mut().unwrap().extend(claims.clone());
        // Not every set of claims is a token's.
        let at = json!({ "exp": NOW + 60 });
        token.as_object_mut().unwrap().extend(at.as_object().unwrap().clone());
        let Ok(caller) = OPEN.verified(&token, NOW) else { return Ok(()) };
        let is_me = claims.get("sub") == Some(&json!("me")) && caller.claims["aud"] == json!("orders");
        let role = "arn:aws:iam::222222222222:role/named";
        let asked = AssumeParameters { session_name: Some("s1".into()), ..AssumeParameters::default() };
        let by_trust = ask(&caller, Standing::WebIdentity, Target::Role(role), &asked);
        if by_trust.is_ok() {
            prop_assert!(is_me);
        }
        let by_profile = ask(&caller, Standing::Principal, Target::Profile(PROFILE), &asked);
        let is_prod = match claims.get("env") {
            Some(Value::Array(all)) => all.contains(&json!("prod")),
            other => other == Some(&json!("prod")),
        };
        prop_assert_eq!(by_profile.is_ok(), is_prod, "{:?}", by_profile);
        for granted in by_trust.iter().chain(&by_profile) {
            works(granted)?;
        }
    }
}

/// Claims whose names are close to those that count, with values close to those that count.
fn claims() -> impl Strategy<Value = Map<String, Value>> {
    let names = vec![
        "sub",
        "Sub",
        "SUB",
        "ſub",
        "sub ",
        "aud",
        "AUD",
        "Aud",
        "8443:sub",
        ":sub",
        "sub:sub",
        "env",
        "Env",
        "amr",
        "iss/sub",
        "id.example.com:sub",
        "https://aws.amazon.com/source_identity",
        "role",
        "session_name",
        "authn",
        "chained",
        "\u{212a}",
        "",
    ];
    let text = prop::sample::select(vec!["me", "Me", "orders", "prod", "", "ana", "other"]);
    let text = text.prop_map(|it| json!(it)).boxed();
    let value = prop_oneof![
        6 => text.clone(), 1 => prop::collection::vec(text, 0..3).prop_map(Value::Array),
        1 => any::<bool>().prop_map(Value::Bool), 1 => any::<i32>().prop_map(|it| json!(it)),
        1 => Just(json!({})), 1 => Just(Value::Null),
    ];
    let name = prop::sample::select(names).prop_map(str::to_owned);
    prop::collection::btree_map(name, value, 0..8).prop_map(|all| all.into_iter().collect())
}

/// A session is what was asked for, with what the caller's session hands on.
fn granted_as_asked(
    grant: &Grant,
    asked: &AssumeParameters,
    caller: &Identity,
) -> Result<(), TestCaseError> {
    let identity = &grant.identity;
    let session = identity.session.as_ref().unwrap();
    prop_assert!(NAME.is_match(&session.name), "{}", session.name);
    if let Some(asked) = &asked.session_name {
        prop_assert_eq!(asked, &session.name);
    }
    let own = caller.session.as_deref();
    prop_assert_eq!(session.chained, own.is_some());
    prop_assert!((900..=7200).contains(&grant.duration_seconds));
    prop_assert!(own.is_none() || grant.duration_seconds <= 3600);
    let source = own.and_then(|it| it.source_identity.as_ref());
    prop_assert_eq!(asked.source_identity.as_ref().or(source), session.source_identity.as_ref());
    for (key, value) in &asked.tags {
        prop_assert_eq!(identity.session_tags.get(key), Some(value));
    }
    let inherited = own.map_or(0, |it| it.transitive_tags.len());
    prop_assert_eq!(identity.session_tags.len(), asked.tags.len() + inherited);
    let policies = session.policies.as_ref();
    prop_assert_eq!(policies.is_some(), asked.policy.is_some() || !asked.policy_arns.is_empty());
    let managed = policies.map_or(&[][..], |it| &it.managed);
    prop_assert_eq!(&asked.policy_arns[..], managed);
    works(grant)
}

/// Its token proves the session, and upstreams take it.
fn works(grant: &Grant) -> Result<(), TestCaseError> {
    let known = OPEN.session(grant, NOW).map_err(|error| TestCaseError::fail(error.to_string()))?;
    prop_assert_eq!(&known.identity, &grant.identity);
    prop_assert!(known.token_len < 8192, "{} bytes", known.token_len);
    Ok(())
}
