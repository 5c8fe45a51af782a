//! Goal: an account as the AWS CLI exports it is loaded as it is, and decided by what is in it.
//!
//! Method: `tests/sdk/aws_account.py` builds an account in a moto server and exports it with the
//! unchanged AWS CLI; a copy is in `tests/cases/aws/account`, and `CROSSGATE_AWS_ACCOUNT` names a
//! fresh one. Each of its questions goes through the loaded set, and through the naive reference
//! with the policies that this test picks from the export by itself. Both could be wrong alike, so
//! some answers are written here by hand.

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a failed test panics"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{env, fs};

use crossgate::config::Severity;
use crossgate::iam::{AccountId, Action, Arn};
use crossgate::policy::directory::{PoliciesConfig, load};
use crossgate::policy::set::{
    AccountParts, AccountPolicies, Asked, PolicySet, PolicySets, UnknownCallers,
};
use crossgate::policy::{
    ConditionKey, Context, Outcome, Principal, PrincipalKind, Question, Resource, Side,
    Value as KeyValue, Values, evaluate,
};
use crossgate::verdict::Mode;
use serde_json::{Value, json};

mod policy_reference;

/// moto's account.
const ACCOUNT: &str = "123456789012";
const FOREIGN_ACCOUNT: &str = "999988887777";

/// As many questions as an export has at least, and answers of each kind among them.
const QUESTIONS_MIN: usize = 300;
const OF_EACH_MIN: usize = 30;

#[test]
fn an_exported_account_is_decided_as_the_reference_does() {
    let directory = exported();
    let details = details(&directory.join("policies"));
    check_against_reference(&directory.join("policies"), &details, &questions(&directory));
}

/// moto knows no boundaries of users, leaves names and ids of managed policies away, and the API
/// itself prints documents percent-encoded.
#[test]
fn what_moto_leaves_out_is_read_too() {
    let directory = exported();
    let mut details = details(&directory.join("policies"));
    for policy in members(&mut details, "Policies") {
        let name = policy["Arn"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
        policy["PolicyId"] = json!("ANPA00000000000000000");
        policy["PolicyName"] = json!(name);
        for version in members(policy, "PolicyVersionList") {
            version["Document"] = json!(percent_encoded(&version["Document"].to_string()));
        }
    }
    let mut bounded = 0;
    for user in members(&mut details, "UserDetailList") {
        let boundary = match user["UserName"].as_str().unwrap() {
            "bob" => "arn:aws:iam::123456789012:policy/boundaries/developers",
            "ivan" => "arn:aws:iam::aws:policy/ReadOnlyAccess",
            "grace" => "arn:aws:iam::aws:policy/AdministratorAccess",
            _ => continue,
        };
        bounded += 1;
        user["PermissionsBoundary"] =
            json!({ "PermissionsBoundaryType": "Policy", "PermissionsBoundaryArn": boundary });
    }
    assert_eq!(bounded, 3);
    let copy = tempfile::tempdir().unwrap();
    let account = copy.path().join("accounts").join(ACCOUNT);
    fs::create_dir_all(&account).unwrap();
    fs::write(account.join("authorization-details.json"), details.to_string()).unwrap();
    check_against_reference(copy.path(), &details, &questions(&directory));

    let sets = loaded(copy.path());
    let bob = "arn:aws:iam::123456789012:user/bob";
    check(&sets, &ask(bob, "iam:CreateUser", "*", &json!({})), "implicit_deny");
    let order = "arn:aws:orders:eu-west-1:123456789012:order/1";
    check(&sets, &ask(bob, "orders:GetOrder", order, &json!({})), "allow");
    let bucket = "arn:aws:s3:::home";
    check(&sets, &ask(bob, "s3:DeleteBucket", bucket, &json!({})), "explicit_deny");
    let ivan = "arn:aws:iam::123456789012:user/ivan";
    check(&sets, &ask(ivan, "s3:ListBucket", bucket, &json!({})), "allow");
    check(&sets, &ask(ivan, "s3:CreateBucket", bucket, &json!({})), "implicit_deny");
}

/// What the policies of `tests/sdk/aws_content.py` mean.
#[test]
fn an_exported_account_is_decided_as_a_person_would() {
    let sets = loaded(&exported().join("policies"));
    let rows =
        BY_HAND.lines().map(str::trim).filter(|row| !row.is_empty() && !row.starts_with('#'));
    let mut count = 0;
    for row in rows {
        let columns: Vec<&str> = row.split('|').map(str::trim).collect();
        let [principal, action, resource, context, decision] = columns[..] else { panic!("{row}") };
        let values = context.split(';').filter_map(|pair| pair.trim().split_once('='));
        let context: Value = values.map(|(key, value)| (key.to_owned(), json!([value]))).collect();
        check(&sets, &ask(&whole_arn(principal), action, &whole_arn(resource), &context), decision);
        count += 1;
    }
    assert_eq!(count, 42);
}

/// Principal, action, resource, context, decision.
const BY_HAND: &str = "
# By the group's policy, of which v2 counts: reading alone.
user/teams/orders/alice | orders:GetOrder | orders:eu-west-1:order/1 | | allow
user/teams/orders/alice | orders:PutOrder | orders:eu-west-1:order/1 | | implicit_deny
# Without the path it is nobody.
user/alice | orders:GetOrder | orders:eu-west-1:order/1 | | implicit_deny
# The group's inline policy; the user's own denies one action of it.
user/teams/orders/alice | sqs:SendMessage | sqs:eu-west-1:orders-in | | allow
user/teams/orders/alice | sqs:DeleteQueue | sqs:eu-west-1:orders-in | | explicit_deny
user/teams/orders/alice | s3:GetObject | arn:aws:s3:::home/alice/x | aws:username=alice | allow
user/teams/orders/alice | s3:GetObject | arn:aws:s3:::home/bob/x | aws:username=alice | implicit_deny
# Attached policies of a user, with a Deny that MFA lifts.
user/teams/orders/eu/carol+=,.@-ci | orders:PutOrder | orders:eu-west-1:order/1 | | allow
user/teams/orders/eu/carol+=,.@-ci | orders:PutOrder | orders:us-east-1:order/1 | | implicit_deny
user/teams/orders/eu/carol+=,.@-ci | orders:DeleteOrder | orders:eu-west-1:order/1 | aws:MultiFactorAuthPresent=true | allow
user/teams/orders/eu/carol+=,.@-ci | orders:DeleteOrder | orders:eu-west-1:order/1 | | explicit_deny
# v3 of five: v1 would allow both, v5 would deny both.
user/teams/orders/eu/carol+=,.@-ci | sqs:ReceiveMessage | sqs:eu-central-1:orders-in | | allow
user/teams/orders/eu/carol+=,.@-ci | sqs:SendMessage | sqs:eu-central-1:orders-in | | implicit_deny
# Policies of AWS.
user/dave | ec2:DescribeInstances | * | | allow
user/dave | ec2:RunInstances | * | | implicit_deny
user/dave | ssm:GetParameter | ssm:eu-west-1:parameter/x | | explicit_deny
user/ivan | organizations:LeaveOrganization | * | | allow
user/teams/ops/erin | ec2:RunInstances | * | aws:MultiFactorAuthPresent=true | allow
user/teams/ops/erin | iam:CreateUser | user/x | aws:MultiFactorAuthPresent=true | implicit_deny
# Boundaries: no `iam` for an administrator, no writing for who may do all with orders.
session/deployer/s | s3:CreateBucket | arn:aws:s3:::home | | allow
session/deployer/s | iam:CreateUser | user/x | | implicit_deny
session/deployer/s | s3:DeleteBucket | arn:aws:s3:::home | | explicit_deny
session/reader/s | orders:GetOrder | orders:eu-west-1:order/1 | | allow
session/reader/s | orders:PutOrder | orders:eu-west-1:order/1 | | implicit_deny
# Trust in the account: the caller's own policies must agree.
user/teams/orders/alice | sts:AssumeRole | role/teams/orders/deployer | | allow
user/dave | sts:AssumeRole | role/teams/orders/deployer | | implicit_deny
user/bob | sts:AssumeRole | role/teams/orders/reader | | explicit_deny
user/teams/orders/alice | sts:AssumeRole | role/teams/orders/only-alice | aws:PrincipalArn=arn:aws:iam::123456789012:user/teams/orders/alice | allow
user/ivan | sts:AssumeRole | role/teams/orders/only-alice | aws:PrincipalArn=arn:aws:iam::123456789012:user/ivan | explicit_deny
# Trust by name, and in one session.
user/ivan | sts:AssumeRole | role/teams/ops/named | | implicit_deny
session/orders-node/i-0abc | sts:AssumeRole | role/teams/ops/named | | allow
session/orders-node/i-0abd | sts:AssumeRole | role/teams/ops/named | | implicit_deny
user/ivan | sts:AssumeRole | role/break-glass | aws:MultiFactorAuthPresent=true; aws:MultiFactorAuthAge=899 | allow
user/ivan | sts:AssumeRole | role/break-glass | aws:MultiFactorAuthPresent=true; aws:MultiFactorAuthAge=900 | implicit_deny
# External ids; the policies of another account's user are not known.
user/ivan | sts:AssumeRole | role/partners/own-with-external-id | sts:ExternalId=orders/7f3c:eu | allow
user/ivan | sts:AssumeRole | role/partners/own-with-external-id | sts:ExternalId=orders/7f3c:EU | implicit_deny
arn:aws:iam::999988887777:root | sts:AssumeRole | role/partners/vendor | sts:ExternalId=orders/7f3c:eu | allow
arn:aws:iam::999988887777:root | sts:AssumeRole | role/partners/vendor | | implicit_deny
arn:aws:iam::999988887777:user/x | sts:AssumeRole | role/partners/vendor | sts:ExternalId=orders/7f3c:eu | implicit_deny
# Services and providers.
ec2.amazonaws.com | sts:AssumeRole | role/nodes/orders-node | | allow
lambda.amazonaws.com | sts:AssumeRole | role/nodes/orders-node | | implicit_deny
oidc-provider/ci.example.com/orgs | sts:AssumeRoleWithWebIdentity | role/ci/ci+=,.@-deploy | ci.example.com/orgs:aud=sts.amazonaws.com; ci.example.com/orgs:sub=repo:orders/a:ref:refs/heads/main | allow
";

/// The ARN that a row means.
fn whole_arn(text: &str) -> String {
    let (first, rest) = text.split_once(['/', ':']).unwrap_or((text, ""));
    match first {
        "arn" | "*" => text.to_owned(),
        "session" => format!("arn:aws:sts::{ACCOUNT}:assumed-role/{rest}"),
        "user" | "role" | "oidc-provider" => format!("arn:aws:iam::{ACCOUNT}:{text}"),
        _ => match rest.split_once(':') {
            Some((region, resource)) => format!("arn:aws:{first}:{region}:{ACCOUNT}:{resource}"),
            None => text.to_owned(),
        },
    }
}

#[test]
fn tags_and_longest_sessions_are_in_the_set() {
    let sets = loaded(&exported().join("policies"));
    let principal = |text: &str| {
        let kind = PrincipalKind::of(text).unwrap();
        sets.enforced.principal(&Principal::new(kind, text, None).unwrap()).unwrap()
    };
    let tags = |text: &str| -> Vec<(String, String)> {
        let tags = principal(text).tags.iter();
        tags.map(|tag| (tag.key.to_string(), tag.value.to_string())).collect()
    };
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    assert_eq!(
        tags("arn:aws:iam::123456789012:user/teams/orders/alice"),
        [pair("team", "orders"), pair("cost centre", "cc-7 Straße")]
    );
    let reader = "arn:aws:sts::123456789012:assumed-role/reader/s";
    assert_eq!(tags(reader), [pair("team", "orders"), pair("empty", "")]);
    let seconds_max = |name: &str| {
        let text = format!("arn:aws:sts::{ACCOUNT}:assumed-role/{name}/s");
        principal(&text).session_seconds_max
    };
    assert_eq!(seconds_max("deployer"), Some(43_200));
    assert_eq!(seconds_max("reader"), Some(3_600));
}

/// The committed export, or the one that is named.
fn exported() -> PathBuf {
    let committed = || Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/aws/account");
    env::var_os("CROSSGATE_AWS_ACCOUNT").map_or_else(committed, PathBuf::from)
}

fn details(policies: &Path) -> Value {
    let path = policies.join("accounts").join(ACCOUNT).join("authorization-details.json");
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// The `request` of a scenario each.
fn questions(directory: &Path) -> Vec<Value> {
    let text = fs::read_to_string(directory.join("questions.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn loaded(directory: &Path) -> PolicySets {
    let config = PoliciesConfig {
        directory: directory.to_owned(),
        mode: Mode::Limited,
        unknown_callers: UnknownCallers::Deny,
    };
    let (sets, _) = load(&config).unwrap_or_else(|error| {
        let errors = error.findings.iter().filter(|finding| finding.severity == Severity::Error);
        let errors: Vec<_> = errors.map(|finding| (finding.at, &finding.message)).collect();
        panic!("{} errors, the first: {:?}", errors.len(), errors.first());
    });
    with_foreign_account(sets)
}

/// The questions' foreign account is known: whom its root admits is then the trust policy's matter.
fn with_foreign_account(sets: PolicySets) -> PolicySets {
    let account: AccountId = FOREIGN_ACCOUNT.parse().unwrap();
    let parts = AccountParts { principals: Some(Vec::new()), ..AccountParts::default() };
    let mut set = PolicySet::clone(&sets.enforced);
    set.accounts.insert(account, Arc::new(AccountPolicies::new(account, parts).unwrap()));
    PolicySets { enforced: Arc::new(set), ..sets }
}

/// A question with nothing in its context but what is given.
fn ask(principal: &str, action: &str, resource: &str, context: &Value) -> Value {
    let account = match PrincipalKind::of(principal).unwrap() {
        PrincipalKind::Service | PrincipalKind::WebIdentity => Value::Null,
        _ => json!(Arn::parse(principal).unwrap().account()),
    };
    json!({
        "principal": { "arn": principal, "account": account },
        "action": action,
        "resource": { "arn": resource, "account": ACCOUNT },
        "context": context,
    })
}

#[track_caller]
fn check(sets: &PolicySets, request: &Value, decision: &str) {
    let given = decided(sets, request).0;
    assert_eq!(given.as_str(), decision, "{request:#}");
}

fn check_against_reference(policies: &Path, details: &Value, questions: &[Value]) {
    assert!(QUESTIONS_MIN <= questions.len(), "only {} questions", questions.len());
    let sets = loaded(policies);
    let mut counts = BTreeMap::<&str, usize>::new();
    let mut wrong = Vec::new();
    for request in questions {
        let (outcome, layer, missing) = decided(&sets, request);
        let line = scenario(details, request).to_string();
        let expected = policy_reference::scenario::answer_line(&line).unwrap();
        let given = (outcome.as_str(), layer, missing);
        if given != (expected.decision, expected.layer, expected.missing.clone()) {
            wrong.push(format!("{request}\n  expected {expected:?}\n  given {given:?}"));
        }
        *counts.entry(outcome.as_str()).or_default() += 1;
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), questions.len(), wrong.join("\n"));
    println!("{counts:?}");
    for outcome in ["allow", "explicit_deny", "implicit_deny"] {
        let count = counts.get(outcome).copied().unwrap_or_default();
        assert!(OF_EACH_MIN <= count, "only {count} times {outcome}");
    }
}

/// The loaded set's answer: decision, layer, missing sides.
fn decided(sets: &PolicySets, request: &Value) -> (Outcome, &'static str, Vec<&'static str>) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (arn, account) =
        (text(&request["principal"]["arn"]), text(&request["principal"]["account"]));
    let principal = match arn.as_str() {
        "" => Principal::ANONYMOUS,
        arn => {
            let account = Some(account.as_str()).filter(|account| !account.is_empty());
            Principal::new(PrincipalKind::of(arn).unwrap(), arn, account).unwrap()
        }
    };
    let action = Action::parse(&text(&request["action"])).unwrap();
    let resource = text(&request["resource"]["arn"]);
    let resource = match resource.as_str() {
        "*" => Resource::Any,
        arn => Resource::Named(Arn::parse(arn).unwrap()),
    };
    let owner = text(&request["resource"]["account"]);
    let asked = Asked {
        principal,
        action: &action,
        resource,
        owner: AccountId::parse(&owner).unwrap(),
        key_action: None,
        session: None,
    };
    let applicable = sets.enforced.applicable(&asked);
    let context = RequestContext::new(request);
    let question =
        Question { principal, action: &action, resource, owner: Some(&owner), context: &context };
    let answer = evaluate(&question, &applicable.policies);
    let missing = answer.missing.iter().map(Side::as_str).collect();
    (answer.outcome, answer.layer.as_str(), missing)
}

/// What a request says of itself.
struct RequestContext(Vec<(ConditionKey, Vec<Box<str>>, bool)>);

impl RequestContext {
    fn new(request: &Value) -> Self {
        let multivalued = request["multivalued"].as_array().cloned().unwrap_or_default();
        let keys = request["context"].as_object().unwrap().iter().map(|(key, values)| {
            let values = values.as_array().unwrap().iter();
            let values: Vec<Box<str>> =
                values.map(|value| value.as_str().unwrap().into()).collect();
            let is_many = multivalued.contains(&json!(key)) || values.len() > 1;
            (ConditionKey::new(key), values, is_many)
        });
        Self(keys.collect())
    }
}

impl Context for RequestContext {
    fn values(&self, key: &ConditionKey) -> Values<'_> {
        let found = self.0.iter().find(|(name, ..)| name.as_str() == key.as_str());
        match found {
            None => Values::Absent,
            Some((_, values, true)) => Values::Many(values),
            Some((_, values, false)) => {
                values.first().map_or(Values::Absent, |value| Values::One(KeyValue::Text(value)))
            }
        }
    }
}

/// A request with the policies that the export has for it.
fn scenario(details: &Value, request: &Value) -> Value {
    let caller = caller(details, &request["principal"]);
    let is_sts = request["action"].as_str().unwrap().starts_with("sts:");
    let trust = details["RoleDetailList"]
        .as_array()
        .unwrap()
        .iter()
        .find(|role| is_sts && role["Arn"] == request["resource"]["arn"]);
    let boundary = caller
        .and_then(|caller| caller.get("PermissionsBoundary"))
        .map(|boundary| json!([managed(details, &boundary["PermissionsBoundaryArn"])]));
    json!({
        "id": 1,
        "request": request,
        "policies": {
            "identity": caller.map_or_else(|| json!([]), |caller| identity(details, caller)),
            "resource": trust.map(|role| document(&role["AssumeRolePolicyDocument"])),
            "boundary": boundary,
            "session": null,
            "scp": [],
            "rcp": [],
        },
    })
}

/// The user, or the role behind a session.
fn caller<'d>(details: &'d Value, principal: &Value) -> Option<&'d Value> {
    let arn = principal["arn"].as_str()?;
    let all = |list: &str| details[list].as_array().unwrap().iter();
    if let Some(session) = arn.strip_prefix("arn:aws:sts::123456789012:assumed-role/") {
        let name = session.split('/').next().unwrap();
        return all("RoleDetailList").find(|role| role["RoleName"] == name);
    }
    all("UserDetailList").chain(all("RoleDetailList")).find(|entry| entry["Arn"] == arn)
}

/// Inline policies, attached ones, and both of the groups.
fn identity(details: &Value, caller: &Value) -> Value {
    let list = |entry: &Value, name: &str| entry[name].as_array().cloned().unwrap_or_default();
    let mut entries = vec![caller.clone()];
    for group in list(caller, "GroupList") {
        let named = list(details, "GroupDetailList");
        entries.extend(named.into_iter().filter(|entry| entry["GroupName"] == group));
    }
    let mut policies = Vec::new();
    for entry in &entries {
        for inline in ["UserPolicyList", "GroupPolicyList", "RolePolicyList"] {
            for policy in list(entry, inline) {
                let document = document(&policy["PolicyDocument"]);
                policies.push(json!({ "name": policy["PolicyName"], "document": document }));
            }
        }
        for attached in list(entry, "AttachedManagedPolicies") {
            policies.push(managed(details, &attached["PolicyArn"]));
        }
    }
    Value::Array(policies)
}

/// The version of a managed policy that counts.
fn managed(details: &Value, arn: &Value) -> Value {
    let policies = details["Policies"].as_array().unwrap();
    let policy = policies.iter().find(|policy| policy["Arn"] == *arn).unwrap();
    let versions = policy["PolicyVersionList"].as_array().unwrap();
    let counts = |version: &&Value| version["VersionId"] == policy["DefaultVersionId"];
    let version = versions.iter().find(counts).unwrap();
    json!({ "name": arn, "document": document(&version["Document"]) })
}

fn document(value: &Value) -> Value {
    match value.as_str() {
        Some(encoded) => serde_json::from_str(&percent_decoded(encoded)).unwrap(),
        None => value.clone(),
    }
}

fn members<'v>(value: &'v mut Value, list: &str) -> impl Iterator<Item = &'v mut Value> {
    value[list].as_array_mut().unwrap().iter_mut()
}

fn percent_encoded(text: &str) -> String {
    let encode = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
            char::from(byte).to_string()
        }
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(encode).collect()
}

fn percent_decoded(text: &str) -> String {
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap().as_bytes().to_vec();
    for part in parts {
        let (code, rest) = part.split_at(2);
        bytes.push(u8::from_str_radix(code, 16).unwrap());
        bytes.extend(rest.bytes());
    }
    String::from_utf8(bytes).unwrap()
}
