//! Goal: who can assume a role is told with the statements of every side, and who is named in vain
//! with what lacks; conditions in words, external IDs never.
//!
//! Method: `tests/cases/roles/*.case` hold sets of policies and what is told of a role. A case is
//! `=== why`, the role, the set, `---`, and a line for each group: can or not, how, how surely, who,
//! from where, `by` and `unless` statements as `layer:line`, what it `lacks`, by what it is `denied`.

#![expect(clippy::unwrap_used, reason = "a failed test panics")]

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use crossgate::iam::{AccountId, Action, Arn};
use crossgate::policy::access::{self, Certainty, Lack, TrustGroup, TrustVerdict};
use crossgate::policy::set::{Asked, PolicySet};
use crossgate::policy::{
    ConditionKey, Context, Outcome, Principal, PrincipalKind, Question, Resource, StatementRef,
    Value as KeyValue, Values, evaluate,
};
use serde_json::{Value, json};

#[path = "support/policy_set.rs"]
mod policy_set;

/// Sets of policies and what is told of a role: why, the role, the set, what.
fn cases(file: &str) -> Vec<[String; 4]> {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/roles").join(file);
    let text = fs::read_to_string(cases).unwrap();
    let case = |case: &str| {
        let (why, rest) = case.split_once('\n').unwrap();
        let (role, rest) = rest.split_once('\n').unwrap();
        let (set, expect) = rest.split_once("---\n").unwrap();
        [why, role, set, expect].map(str::to_owned)
    };
    text.split("=== ").skip(1).map(case).collect()
}

#[test]
fn every_case_tells_exactly_who_can_and_who_is_named_in_vain() {
    let (mut run, mut wrong) = (0, String::new());
    for [why, role, set, expect] in [cases("trust.case"), cases("callers.case")].concat() {
        let got = told(&role, &set);
        run += 1;
        if got.trim() != expect.trim() {
            write!(wrong, "@@ {why}\n{got}").unwrap();
        }
    }
    assert!(14 <= run, "only {run} cases");
    assert!(wrong.is_empty(), "{wrong}");
}

/// The engine decides as the report says: where no condition has a say, with a request that has no
/// key at all; where what a caller is has one, also with the best request that it can make.
#[test]
fn the_engine_decides_as_the_report_says() {
    let mut asked = 0;
    let plain = cases("trust.case").into_iter().map(|case| (case, false));
    let all = plain.chain(cases("callers.case").into_iter().map(|case| (case, true)));
    for ([_, role, set, _], is_of_callers) in all {
        let set = policy_set::read(&set);
        let arn = Arn::parse(&role).unwrap();
        let owner = AccountId::parse(arn.account()).unwrap();
        for group in access::trust(&set, set.role(arn).unwrap(), owner) {
            // Without keys, and with the best ones.
            let (without, best) = match &group.verdict {
                TrustVerdict::Can { certainty: Certainty::Always, unless, .. }
                    if unless.is_empty() =>
                {
                    (Some(true), Some(true))
                }
                TrustVerdict::Can { .. } => (None, is_of_callers.then_some(true)),
                TrustVerdict::Cannot { lacks, .. } if lacks.contains(&Lack::Saml) => continue,
                TrustVerdict::Cannot { .. } => (Some(false), Some(false)),
            };
            for who in &group.who {
                let Some(kind) = PrincipalKind::of(who.name()) else { continue };
                let principal = Principal::new(kind, who.name(), None).unwrap();
                let decides = |context: &dyn Context, action: &str| {
                    decides(&set, principal, action, arn, owner, context)
                };
                let told = format!("{role}: {} {}", group.action, who.name());
                if let Some(expect) = without {
                    assert_eq!(decides(&NoKeys, group.action), expect, "{told}");
                    asked += 1;
                }
                if let Some(expect) = best {
                    let further = further(&group);
                    let best = Best::of(principal);
                    let mut actions = [group.action].into_iter().chain(further);
                    assert_eq!(actions.all(|it| decides(&best, it)), expect, "{told}, at best");
                    asked += 1;
                }
            }
        }
    }
    assert!(40 <= asked, "only {asked} questions");
}

/// The actions that the statements of a group ask for besides.
fn further(group: &TrustGroup<'_>) -> Option<&'static str> {
    let (TrustVerdict::Can { statements, .. } | TrustVerdict::Cannot { named: statements, .. }) =
        &group.verdict;
    let words: String = statements.iter().flat_map(|it| access::in_words(it.statement)).collect();
    let asks =
        [("sts:sourceidentity", "sts:SetSourceIdentity"), ("aws:requesttag/", "sts:TagSession")];
    asks.into_iter().find(|(key, _)| words.contains(key)).map(|(_, action)| action)
}

fn decides(
    set: &PolicySet,
    principal: Principal<'_>,
    action: &str,
    arn: Arn<'_>,
    owner: AccountId,
    context: &dyn Context,
) -> bool {
    // A session needs its own permission to pass tags or a source identity, as across accounts.
    let is_session = matches!(principal.kind, PrincipalKind::Role | PrincipalKind::AssumedRole);
    let needs_both = is_session && !action.starts_with("sts:AssumeRole");
    let (action, resource) = (Action::parse(action).unwrap(), Resource::Named(arn));
    let (key_action, session) = (None, None);
    let asked = Asked { principal, action: &action, resource, owner, key_action, session };
    let policies = set.applicable(&asked).policies;
    let owner = Some(if needs_both { "000000000000" } else { owner.as_str() });
    let question = Question { principal, action: &action, resource, owner, context };
    evaluate(&question, &policies).outcome == Outcome::Allow
}

struct NoKeys;

impl Context for NoKeys {
    fn values(&self, _: &ConditionKey) -> Values<'_> {
        Values::Absent
    }
}

/// What a caller can have at best: a user all that is asked for, a session of a role no second
/// factor and no user name (facts: iam.md section 5.1).
struct Best<'a>(Option<&'a str>);

impl<'a> Best<'a> {
    fn of(principal: Principal<'a>) -> Self {
        let name = principal.text.rsplit('/').next().unwrap();
        Self((principal.kind == PrincipalKind::User).then_some(name))
    }
}

impl Context for Best<'_> {
    fn values(&self, key: &ConditionKey) -> Values<'_> {
        let value = match (key.as_str(), self.0) {
            ("aws:multifactorauthpresent", user) => KeyValue::Bool(user.is_some()),
            ("aws:multifactorauthage", Some(_)) => KeyValue::Number(1),
            ("aws:username", Some(name)) => KeyValue::Text(name),
            ("sts:rolesessionname" | "sts:sourceidentity", user) => {
                KeyValue::Text(user.unwrap_or("ana"))
            }
            ("aws:requesttag/team", _) => KeyValue::Text("red"),
            _ => return Values::Absent,
        };
        Values::One(value)
    }
}

fn told(role: &str, text: &str) -> String {
    let set = policy_set::read(text);
    let arn = Arn::parse(role).unwrap();
    let owner = AccountId::parse(arn.account()).unwrap();
    access::trust(&set, set.role(arn).unwrap(), owner).iter().map(line).collect()
}

fn line(group: &TrustGroup<'_>) -> String {
    let short = |name: &str| Arn::parse(name).map_or(name, Arn::resource).to_owned();
    let who: Vec<String> = group.who.iter().map(|who| short(who.name())).collect();
    let (who, through) = (who.join(" "), group.through.kind());
    let mut out = match &group.verdict {
        TrustVerdict::Can { certainty, statements, unless } => {
            let mut out = format!("can {} {}", group.action, certainty.as_str());
            write!(out, " {who} {through} by {}", lines(statements)).unwrap();
            if !unless.is_empty() {
                write!(out, " unless {}", lines(unless)).unwrap();
            }
            out
        }
        TrustVerdict::Cannot { named, lacks, denied } => {
            let mut out = format!("can't {} {who} {through} by {}", group.action, lines(named));
            if !lacks.is_empty() {
                let lacks: Vec<String> = lacks.iter().map(|it| format!("{it:?}")).collect();
                write!(out, " lacks {}", lacks.join(" ")).unwrap();
            }
            if !denied.is_empty() {
                write!(out, " denied {}", lines(denied)).unwrap();
            }
            out
        }
    };
    out.push('\n');
    out
}

fn lines(statements: &[StatementRef<'_>]) -> String {
    let line = |it: &StatementRef<'_>| format!("{}:{}", it.layer.as_str(), it.statement.line);
    statements.iter().map(line).collect::<Vec<_>>().join(",")
}

/// A directory with a configuration and policies.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        let keys = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/sample-keys.json");
        fs::copy(keys, place.0.path().join("jwks.json")).unwrap();
        place.write(
            "crossgate.yaml",
            "listeners: [{ address: \"127.0.0.1:8080\" }]\nissuers: [{ issuer: \"https://a\", \
             audiences: [b], algorithms: [ES256], jwks: { file: jwks.json }, claims: { account: /a, \
             principal: /b } }]\nupstreams: { u: { endpoints: [\"http://127.0.0.1:9\"] } }\nroutes: \
             [{ path: /a, methods: [GET], public: true, upstream: u }]\nevents: { directory: events \
             }\npolicies: { directory: policies, mode: limited }\n",
        );
        place
    }

    fn write(&self, name: &str, text: &str) {
        let file = self.0.path().join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }

    fn trust(&self, role: &str, format: &str) -> Output {
        Command::new(env!("CARGO_BIN_EXE_crossgate"))
            .args(["roles", "trust", "--role", role, "--format", format, "--config"])
            .arg(self.0.path().join("crossgate.yaml"))
            .output()
            .unwrap()
    }

    fn text(&self, role: &str) -> (Option<i32>, String, String) {
        let output = self.trust(role, "text");
        let root = self.0.path().display().to_string();
        let plain = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace(&root, "");
        (output.status.code(), plain(&output.stdout), plain(&output.stderr))
    }
}

const DETAILS: &str = r#"{ "UserDetailList": [], "GroupDetailList": [], "Policies": [], "RoleDetailList": [
  { "Path": "/", "RoleName": "scan", "RoleId": "AROA1", "Arn": "arn:aws:iam::222222222222:role/scan",
    "AssumeRolePolicyDocument": { "Version": "2012-10-17", "Statement": [
      { "Sid": "Vendor", "Effect": "Allow", "Action": "sts:AssumeRole",
        "Principal": { "AWS": "arn:aws:iam::111111111111:user/ana" },
        "Condition": { "StringEquals": { "sts:ExternalId": ["K7QRMZ24-X9TWLN3V-H6BPCJD8", "BN7BD2YG-4YYBJAWX-P2LSVCXJ"] },
                       "Bool": { "aws:MultiFactorAuthPresent": "true" } } },
      { "Effect": "Allow", "Action": "sts:AssumeRoleWithWebIdentity",
        "Principal": { "Federated": "arn:aws:iam::222222222222:oidc-provider/ci.example.com" },
        "Condition": { "StringEquals": { "ci.example.com:aud": "sts" },
                       "StringLike": { "ci.example.com:sub": "repo:example/*" } } } ] } },
  { "Path": "/a/", "RoleName": "closed", "RoleId": "AROA2", "Arn": "arn:aws:iam::222222222222:role/a/closed",
    "AssumeRolePolicyDocument": { "Version": "2012-10-17", "Statement": [
      { "Effect": "Allow", "Action": "sts:AssumeRole", "Principal": { "AWS": "999999999999" } } ] } } ] }"#;

const CALLER: &str = r#"{ "GroupDetailList": [], "Policies": [], "RoleDetailList": [], "UserDetailList": [
  { "Path": "/", "UserName": "ana", "UserId": "AIDA1", "Arn": "arn:aws:iam::111111111111:user/ana",
    "UserPolicyList": [ { "PolicyName": "scans", "PolicyDocument": { "Version": "2012-10-17", "Statement": [
      { "Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "arn:aws:iam::222222222222:role/scan" } ] } } ] } ] }"#;

fn place() -> Place {
    let place = Place::new();
    place.write("policies/accounts/222222222222/authorization-details.json", DETAILS);
    place.write("policies/accounts/111111111111/authorization-details.json", CALLER);
    place
}

#[test]
fn people_read_statements_places_and_conditions_in_words() {
    let (code, out, errors) = place().text("arn:aws:iam::222222222222:role/scan");
    let owner = "/policies/accounts/222222222222/authorization-details.json";
    let caller = "/policies/accounts/111111111111/authorization-details.json";
    let expect = format!(
        "arn:aws:iam::222222222222:role/scan of account 222222222222\n\
         \n\
         arn:aws:iam::111111111111:user/ana, from account 111111111111\n  \
         can sts:AssumeRole if conditions hold\n    \
         by its trust policy, `Vendor`, {owner}:4:7: with one of its 2 external IDs, and with \
         MFA\n    \
         by identity policy `scans`, statement 1, {caller}:4:7\n\
         \n\
         web identities of arn:aws:iam::222222222222:oidc-provider/ci.example.com\n  \
         can sts:AssumeRoleWithWebIdentity if conditions hold\n    \
         by its trust policy, statement 2, {owner}:8:7: `ci.example.com:aud` is `sts`, and \
         `ci.example.com:sub` is like `repo:example/*`\n\
         \n\
         2 can, 0 can't\n"
    );
    assert_eq!((code, out, errors), (Some(0), expect, String::new()));
}

#[test]
fn programs_read_the_same() {
    let output = place().trust("arn:aws:iam::222222222222:role/scan", "json");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["role"], "arn:aws:iam::222222222222:role/scan");
    assert_eq!(report["owner"], "222222222222");
    let first = &report["trust"][0];
    let ana = json!([{ "kind": "principal", "name": "arn:aws:iam::111111111111:user/ana" }]);
    assert_eq!((&first["can"], &first["who"]), (&json!(true), &ana));
    assert_eq!(first["certainty"], "conditional");
    assert_eq!(
        (&first["through"], &first["account"]),
        (&json!("cross-account"), &json!("111111111111"))
    );
    let statement = &first["statements"][0];
    assert_eq!((&statement["layer"], &statement["sid"]), (&json!("trust"), &json!("Vendor")));
    assert_eq!((&statement["index"], &statement["line"]), (&json!(0), &json!(4)));
    assert_eq!(statement["conditions"], json!(["with one of its 2 external IDs", "with MFA"]));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(!text.contains("K7QRMZ24") && !text.contains("BN7BD2YG"), "{text}");
}

#[test]
fn where_nobody_can_the_answer_is_no() {
    let place = place();
    let (code, out, _) = place.text("arn:aws:iam::222222222222:role/a/closed");
    assert_eq!(code, Some(1), "{out}");
    let expect = "account 999999999999, whose policies are not here\n  \
                  can't sts:AssumeRole\n    though let in by its trust policy, statement 1,";
    assert!(out.contains(expect), "{out}");
    let why = "    for callers whose policies are not here are refused (`unknown_callers: deny`)\n";
    assert!(out.contains(why) && out.ends_with("\n0 can, 1 can't\n"), "{out}");
    let output = place.trust("arn:aws:iam::222222222222:role/a/closed", "json");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(report["trust"][0]["lacks"][0]["side"], "caller identity policy");
}

/// Callers of other accounts need a grant of their own side too.
#[test]
fn everybody_is_told_as_those_whom_their_own_account_lets() {
    let place = place();
    let everybody = DETAILS.replace("\"999999999999\"", "\"*\"");
    place.write("policies/accounts/222222222222/authorization-details.json", &everybody);
    let role = "arn:aws:iam::222222222222:role/a/closed";
    let means = "everybody of account 222222222222, and of other accounts whose policies are here \
                 and let them";
    let (code, out, _) = place.text(role);
    assert_eq!(code, Some(0), "{out}");
    assert!(out.contains(&format!("\n{means}\n  can sts:AssumeRole\n")), "{out}");
    assert!(!out.contains("everybody\n"), "{out}");
    let report: Value = serde_json::from_slice(&place.trust(role, "json").stdout).unwrap();
    let all = report["trust"].as_array().unwrap().iter();
    let who: Vec<&Value> = all.flat_map(|it| it["who"].as_array().unwrap()).collect();
    let expect = json!({ "kind": "public", "name": "*", "means": means });
    assert!(who.contains(&&expect), "{who:?}");
}

#[test]
fn what_sessions_of_roles_never_have_is_told() {
    let place = place();
    let factor = DETAILS.replace(
        "\"Principal\": { \"AWS\": \"999999999999\" }",
        "\"Principal\": { \"AWS\": \"arn:aws:iam::222222222222:role/scan\" }, \
         \"Condition\": { \"Bool\": { \"aws:MultiFactorAuthPresent\": \"true\" } }",
    );
    place.write("policies/accounts/222222222222/authorization-details.json", &factor);
    let (code, out, _) = place.text("arn:aws:iam::222222222222:role/a/closed");
    assert_eq!(code, Some(1), "{out}");
    assert!(
        out.contains(": with MFA\n    for sessions of roles never have a second factor\n"),
        "{out}"
    );
}

#[test]
fn a_trusted_profile_tells_its_list() {
    let place = place();
    let profile = json!({
        "id": "Profile-94497d0d", "name": "nightly", "policies": [], "trusted": [
            { "iam_id": "IBMid-550009FB7N" },
            { "claims": { "/sub": "ci", "/env": "prod" } } ] });
    place.write("policies/accounts/222222222222/profiles/p.json", &profile.to_string());
    let expect = "trusted profile Profile-94497d0d `nightly` of account 222222222222\n\n\
                  the login IBMid-550009FB7N can begin a session\n\
                  every login whose token has `prod` as `/env` and `ci` as `/sub` can begin a \
                  session\n\n2 ways\n";
    let arn = "arn:aws:iam::222222222222:role/Profile-94497d0d";
    for named in ["Profile-94497d0d", "iam-Profile-94497d0d", arn] {
        assert_eq!(place.text(named), (Some(0), expect.to_owned(), String::new()), "{named}");
    }
    let report: Value = serde_json::from_slice(&place.trust(arn, "json").stdout).unwrap();
    let trusted = json!([
        { "iam_id": "IBMid-550009FB7N" }, { "claims": { "/sub": "ci", "/env": "prod" } } ]);
    assert_eq!((&report["profile"], &report["trusted"]), (&json!("Profile-94497d0d"), &trusted));
}

#[test]
fn a_role_that_is_not_there_is_told() {
    let place = place();
    for (role, names) in [
        ("scan", "`scan` is no role's ARN; hint: `arn:aws:iam::<account>:role/<name>`"),
        ("arn:aws:iam::222222222222:user/scan", "is no role's ARN"),
        ("arn:aws:iam::222222222222:role/none", "role `arn:aws:iam::222222222222:role/none`\n"),
        (
            "arn:aws:iam::222222222222:role/closed",
            "; did you mean `arn:aws:iam::222222222222:role/a/closed`?",
        ),
        ("arn:aws:iam::333333333333:role/x", "the policies of account `333333333333` are not here"),
        ("Profile-1", "the policies have no role `Profile-1`"),
    ] {
        let (code, out, errors) = place.text(role);
        assert_eq!((code, &*out), (Some(2), ""), "{role}: {errors}");
        assert!(errors.contains(names), "{role}: {errors}");
    }
    place.write("policies/accounts/222222222222/authorization-details.json", "{");
    assert_eq!(place.text("arn:aws:iam::222222222222:role/scan").0, Some(2));
    fs::remove_file(place.0.path().join("crossgate.yaml")).unwrap();
    assert_eq!(place.text("arn:aws:iam::222222222222:role/scan").0, Some(2));
}
