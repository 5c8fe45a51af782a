use std::fs;
use std::os::unix::fs::symlink;
use std::sync::Arc;

use tempfile::TempDir;

use super::*;
use crate::iam::Arn;
use crate::policy::set::{AccountPolicies, PrincipalEntry, Trusted};
use crate::policy::statement::CompiledPolicy;

const ALLOW: &str =
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#;
const OPEN: &str =
    r#"{"Statement":[{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*"}]}"#;
const TRUST: &str = r#"{"Statement":[{"Effect":"Allow","Principal":{"AWS":"111111111111"},"Action":"sts:AssumeRole"}]}"#;
const DETAILS: &str = "accounts/111111111111/authorization-details.json";
const NOBODY: &str = r#"{"UserDetailList":[]}"#;
const KEY: &str = "arn:aws:kms:eu:111111111111:key/1";

/// A directory with these files, by path and text.
fn directory(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (path, text) in files {
        write(&folder, path, text);
    }
    folder
}

fn write(folder: &TempDir, path: &str, text: &str) {
    let path = folder.path().join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn config(folder: &TempDir) -> PoliciesConfig {
    PoliciesConfig {
        directory: folder.path().to_owned(),
        mode: Mode::Limited,
        unknown_callers: UnknownCallers::Deny,
    }
}

/// What is found in a directory, a line each, by the paths inside.
fn found(files: &[(&str, &str)]) -> Vec<String> {
    let folder = directory(files);
    let findings = match load(&config(&folder)) {
        Ok((_, warnings)) => warnings,
        Err(error) => error.findings,
    };
    let root = format!("{}/", folder.path().display());
    let line = |it: &Finding| format!("{} {it}", it.severity.as_str()).replace(&root, "");
    findings.iter().map(line).collect()
}

#[track_caller]
fn check(files: &[(&str, &str)], expect: &[&str]) {
    assert_eq!(found(files), expect);
}

/// The account's details with these members.
fn details(members: &str) -> String {
    format!("{{\n{members}\n}}")
}

#[track_caller]
fn check_details(members: &str, expect: &str) {
    let found = found(&[(DETAILS, &details(members))]);
    let expect = if expect.is_empty() { vec![] } else { vec![expect.replace("<file>", DETAILS)] };
    assert_eq!(found, expect);
}

fn user(rest: &str) -> String {
    format!(r#""UserDetailList":[{{"Arn":"arn:aws:iam::111111111111:user/ana"{rest}}}]"#)
}

fn role(name: &str, rest: &str) -> String {
    format!(r#"{{"Arn":"arn:aws:iam::111111111111:role/{name}"{rest}}}"#)
}

fn managed(name: &str, document: &str) -> String {
    format!(
        r#"{{"PolicyName":"{name}","Arn":"arn:aws:iam::aws:policy/{name}","PolicyVersionList":[
{{"VersionId":"v1","IsDefaultVersion":false,"Document":{{}}}},
{{"VersionId":"v2","IsDefaultVersion":true,"Document":{document}}}]}}"#
    )
}

fn account(sets: &PolicySets) -> &Arc<AccountPolicies> {
    &sets.enforced.accounts[&AccountId::parse("111111111111").unwrap()]
}

fn principal<'s>(sets: &'s PolicySets, name: &str) -> &'s PrincipalEntry {
    let all = account(sets).principals();
    all.into_iter().find(|it| it.arn.ends_with(name)).map(|it| &**it).unwrap()
}

fn names(policies: &[Arc<CompiledPolicy>]) -> Vec<&str> {
    policies.iter().map(|policy| &*policy.name).collect()
}

#[test]
fn details_give_principals_with_all_their_policies() {
    let encoded = TRUST.replace('{', "%7B").replace('"', "%22");
    let text = details(&format!(
        r#""UserDetailList":[{{"Path":"/","UserName":"ana","UserId":"AIDA1","Arn":"arn:aws:iam::111111111111:user/ana",
            "CreateDate":"2026-01-01T00:00:00+00:00","GroupList":["staff"],"New":1,
            "UserPolicyList":[{{"PolicyName":"own","PolicyDocument":{ALLOW}}}],
            "AttachedManagedPolicies":[{{"PolicyName":"One","PolicyArn":"arn:aws:iam::aws:policy/One"}}],
            "PermissionsBoundary":{{"PermissionsBoundaryType":"Policy","PermissionsBoundaryArn":"arn:aws:iam::aws:policy/Two"}},
            "Tags":[{{"Key":"Team","Value":""}}]}}],
        "GroupDetailList":[{{"GroupName":"staff","GroupPolicyList":[{{"PolicyName":"of-group","PolicyDocument":{ALLOW}}}],
            "AttachedManagedPolicies":[{{"PolicyArn":"arn:aws:iam::aws:policy/One"}},{{"PolicyArn":"arn:aws:iam::aws:policy/Two"}}]}}],
        "RoleDetailList":[{}],
        "Policies":[{},{}]"#,
        role(
            "team/deploy",
            &format!(
                r#","RoleId":"AROA1","AssumeRolePolicyDocument":"{encoded}","InstanceProfileList":[],
            "AttachedManagedPolicies":[{{"PolicyArn":"arn:aws:iam::aws:policy/One"}}]"#
            )
        ),
        managed("One", ALLOW),
        managed("Two", ALLOW),
    ));
    let folder = directory(&[(DETAILS, &text)]);
    let (sets, warnings) = load(&config(&folder)).unwrap();
    assert_eq!(warnings, []);
    let (ana, deploy) = (principal(&sets, "user/ana"), principal(&sets, "deploy"));
    assert_eq!(names(&ana.policies), ["own", "One", "of-group", "Two"]);
    assert_eq!(names(ana.boundary.as_ref().unwrap()), ["Two"]);
    assert_eq!((&*ana.id, &*ana.tags[0].key, &*ana.tags[0].value), ("AIDA1", "team", ""));
    assert_eq!(
        (&*deploy.id, deploy.trust.is_some(), deploy.boundary.is_some()),
        ("AROA1", true, false)
    );
    assert!(Arc::ptr_eq(&ana.policies[1], &deploy.policies[0]), "compiled once");
    assert_eq!((ana.session_seconds_max, deploy.session_seconds_max), (None, None));
}

#[test]
fn statements_have_their_place_in_the_whole_file() {
    let text = details(&user(
        r#","UserPolicyList":[
   {"PolicyName":"own","PolicyDocument":{"Statement":[
     {"Effect":"Allow","Action":"a:B","Resource":"*"},   {"Effect":"Deny","Action":"a:B","Resource":"*"}]}}]"#,
    ));
    let folder = directory(&[(DETAILS, &text)]);
    let (sets, _) = load(&config(&folder)).unwrap();
    let policy = &principal(&sets, "ana").policies[0];
    let places: Vec<_> = policy.statements.iter().map(|it| (it.line, it.column)).collect();
    assert_eq!(places, [(4, 6), (4, 58)]);
    assert_eq!(*policy.source.file, *folder.path().join(DETAILS).display().to_string());
}

#[test]
fn details_without_lists_or_cut_off_are_refused() {
    check_details(r#""UserDetailList":[]"#, "");
    check_details(r#""UserDetailList":[],"IsTruncated":false"#, "");
    check_details(
        r#""Users":[]"#,
        "error <file>:1:1: none of `UserDetailList`, `GroupDetailList`, `RoleDetailList` and \
         `Policies` is here; hint: keep what `aws iam get-account-authorization-details` prints",
    );
    check_details(
        r#""UserDetailList":[],"IsTruncated":true"#,
        "error <file>:2:35: the list is cut off; hint: `aws` reads all pages by itself",
    );
}

#[test]
fn policies_that_are_not_in_the_file_are_errors_of_whom_they_are_attached_to() {
    let hint = "; hint: print the account with `aws iam get-account-authorization-details`, without `--filter`";
    let expect = |at: &str, message: &str| format!("error <file>:{at}: {message}{hint}");
    check_details(
        &user(r#","AttachedManagedPolicies":[{"PolicyArn":"arn:aws:iam::aws:policy/X"}]"#),
        &expect(
            "2:103",
            "the policy `arn:aws:iam::aws:policy/X` attached to \
            `arn:aws:iam::111111111111:user/ana` is not in `Policies`",
        ),
    );
    check_details(
        &user(r#","PermissionsBoundary":{"PermissionsBoundaryArn":"arn:aws:iam::aws:policy/X"}"#),
        &expect(
            "2:111",
            "the permissions boundary `arn:aws:iam::aws:policy/X` of \
            `arn:aws:iam::111111111111:user/ana` is not in `Policies`",
        ),
    );
    check_details(
        &user(r#","GroupList":["staff"]"#),
        &expect(
            "2:76",
            "the group `staff` of `arn:aws:iam::111111111111:user/ana` is not in \
            `GroupDetailList`",
        ),
    );
    check_details(
        r#""Policies":[{"PolicyName":"P","Arn":"p","PolicyVersionList":[{"IsDefaultVersion":false}]}]"#,
        &expect(
            "2:13",
            "the policy `P` has no version with `\"IsDefaultVersion\": true`, and none that its \
             `DefaultVersionId` names",
        ),
    );
}

/// The name of the only policy's version that counts, or what is wrong with it.
fn default_version(default: &str, versions: &[(&str, &str)]) -> Result<String, Vec<String>> {
    let version = |(id, rest): &(&str, &str)| {
        let document = ALLOW.replace("\"Effect\"", &format!("\"Sid\":\"{id}\",\"Effect\""));
        format!(r#"{{{rest}"VersionId":"{id}","Document":{document}}}"#)
    };
    let versions: Vec<String> = versions.iter().map(version).collect();
    let members = format!(
        r#"{},"Policies":[{{"PolicyName":"P",{default}"Arn":"p","PolicyVersionList":[{}]}}]"#,
        user(r#","AttachedManagedPolicies":[{"PolicyArn":"p"}]"#),
        versions.join(",")
    );
    let folder = directory(&[(DETAILS, &details(&members))]);
    let sid = |sets: &PolicySets| {
        let policies = &principal(sets, "ana").policies;
        policies[0].statements[0].sid.to_string()
    };
    let messages = |error: DirectoryError| error.findings.into_iter().map(|it| it.message);
    load(&config(&folder)).map(|(sets, _)| sid(&sets)).map_err(|it| messages(it).collect())
}

#[test]
fn the_default_version_is_the_one_marked_else_the_one_named() {
    const MARKED: &str = r#""IsDefaultVersion":true,"#;
    const OTHER: &str = r#""IsDefaultVersion":false,"#;
    let v2 = r#""DefaultVersionId":"v2","#;
    let good =
        |default, versions: &[_]| assert_eq!(default_version(default, versions).unwrap(), "v2");
    good("", &[("v1", OTHER), ("v2", MARKED)]);
    good(v2, &[("v1", OTHER), ("v2", MARKED)]);
    good(v2, &[("v1", ""), ("v2", "")]);
    good(v2, &[("v2", OTHER), ("v1", OTHER)]);
    good(v2, &[("v2", r#""IsDefaultVersion":null,"#)]);

    let bad = |default, versions: &[_], expect: &str| {
        let findings = default_version(default, versions).unwrap_err();
        assert!(findings.iter().any(|it| it.starts_with(expect)), "{findings:?}");
    };
    let disagree =
        "the default version of the policy `P` is `v1`, and its `DefaultVersionId` says `v2`";
    bad(v2, &[("v1", MARKED), ("v2", OTHER)], disagree);
    bad(v2, &[("v1", MARKED)], disagree);
    bad(v2, &[("v1", ""), ("v3", "")], "the policy `P` has no version with");
    bad("", &[("v1", ""), ("v2", OTHER)], "the policy `P` has no version with");
    bad(v2, &[("v2", ""), ("v2", "")], "the policy `P` has the same version twice");
    bad("", &[("v1", MARKED), ("v2", MARKED)], "the policy `P` has two default versions");
}

#[test]
fn lints_are_told_only_where_they_are_asked_for() {
    let negated = r#"{"Statement":[{"Effect":"Allow","NotAction":"iam:*","Resource":"*"}]}"#;
    let own = |name: &str| managed(name, negated).replace("iam::aws:", "iam::111111111111:");
    let has = |rest: &str| user(&rest.replace("own/", "arn:aws:iam::111111111111:policy/"));
    let attached = has(r#","AttachedManagedPolicies":[{"PolicyArn":"own/P"}]"#);
    let boundary = has(r#","PermissionsBoundary":{"PermissionsBoundaryArn":"own/P"}"#);
    let lints = |who: &str, policy: &str| {
        let members = format!(r#"{who},"Policies":[{policy}]"#);
        let folder = directory(&[(DETAILS, &details(&members))]);
        assert_eq!(load(&config(&folder)).unwrap().1, [], "{members}");
        let findings = lint(&config(&folder)).unwrap().1;
        findings.into_iter().map(|it| it.to_string()).collect::<Vec<_>>()
    };
    let found = lints(&attached, &own("P"));
    let expect =
        "authorization-details.json:4:86: `NotAction` with `Allow` grants every other action";
    assert!(matches!(&*found, [it] if it.contains(expect)), "{found:?}");
    assert_eq!(lints(&user(""), &own("P")).len(), 1, "what nobody has may be given to somebody");
    assert_eq!(lints(&boundary, &own("P")), [""; 0], "a boundary grants nothing");
    assert_eq!(lints(&user(""), &managed("P", negated)), [""; 0], "AWS manages it");
}

#[test]
fn principals_of_other_accounts_or_forms_are_refused() {
    check_details(
        r#""UserDetailList":[{"Arn":"arn:aws:iam::222222222222:user/ana"}]"#,
        "error <file>:2:26: `arn:aws:iam::222222222222:user/ana` is not of account \
         `111111111111`; hint: the folder's name is the account",
    );
    for wrong in ["arn:aws:iam::111111111111:role/ana", "arn:aws:iam::111111111111:user/", "ana"] {
        check_details(
            &format!(r#""UserDetailList":[{{"Arn":"{wrong}"}}]"#),
            &format!(
                "error <file>:2:26: `{wrong}` is no ARN of a user; hint: like \
                 `arn:aws:iam::111111111111:user/name`"
            ),
        );
    }
    check_details(
        &format!(r#""RoleDetailList":[{},{}]"#, role("a/x", ""), role("b/x", "")),
        "error <file>:2:71: `arn:aws:iam::111111111111:role/b/x` is there twice",
    );
    check_details(
        r#""UserDetailList":[{"UserName":"ana"}]"#,
        "error <file>:2:19: a user has no `Arn`",
    );
}

#[test]
fn what_is_wrong_in_a_document_has_its_place_in_the_file() {
    let bad = r#"{"Statement":[{"Effect":"Allow","Action":"*","Resource":"*","Effekt":1}]}"#;
    let plain = found(&[(
        DETAILS,
        &details(&user(&format!(
            "\n,\"UserPolicyList\":[{{\"PolicyName\":\"p\",\"PolicyDocument\":{bad}}}]"
        ))),
    )]);
    assert_eq!(plain.len(), 1, "{plain:?}");
    assert!(plain[0].starts_with(&format!("error {DETAILS}:3:115: ")), "{plain:?}");
    let encoded = bad.replace('"', "%22");
    let found = found(&[(
        DETAILS,
        &details(&user(&format!(
            "\n,\"UserPolicyList\":[{{\"PolicyName\":\"p\",\"PolicyDocument\":\"{encoded}\"}}]"
        ))),
    )]);
    assert!(found[0].starts_with(&format!("error {DETAILS}:3:55: ")), "{found:?}");
    check_details(
        &user(r#","UserPolicyList":[{"PolicyName":"p","PolicyDocument":"%"}]"#),
        "error <file>:2:116: the document is no percent-encoded text",
    );
}

#[test]
fn a_role_gets_its_longest_session_from_its_own_file() {
    let roles = details(&format!(r#""RoleDetailList":[{},{}]"#, role("x", ""), role("y", "")));
    let own = |arn: &str, rest: &str| format!(r#"{{"Role":{{"Arn":"{arn}","Path":"/"{rest}}}}}"#);
    let x = "arn:aws:iam::111111111111:role/x";
    let path = "accounts/111111111111/roles/x.json";
    let folder = directory(&[(DETAILS, &roles), (path, &own(x, r#","MaxSessionDuration":7200"#))]);
    let (sets, warnings) = load(&config(&folder)).unwrap();
    assert_eq!(warnings, []);
    let seconds = |name| principal(&sets, name).session_seconds_max;
    assert_eq!((seconds("/x"), seconds("/y")), (Some(7_200), None));

    let found = |text: &str| found(&[(DETAILS, &roles), (path, text)]);
    assert_eq!(found(&own(x, "")), Vec::<String>::new());
    let limits =
        ["3600", "43200"].map(|n| found(&own(x, &format!(r#","MaxSessionDuration":{n}"#))));
    assert_eq!(limits, [Vec::<String>::new(), Vec::new()]);
    for wrong in ["3599", "43201", "\"3600\"", "-1"] {
        let found = found(&own(x, &format!(r#","MaxSessionDuration":{wrong}"#)));
        assert_eq!(
            found,
            [format!("error {path}:1:83: `MaxSessionDuration` is a number from 3600 to 43200")]
        );
    }
    assert_eq!(
        found(&own("arn:aws:iam::111111111111:role/z", "")),
        [format!(
            "warning {path}:1:16: the role `arn:aws:iam::111111111111:role/z` is not in \
             `authorization-details.json`; hint: a role's own file only adds to what is there"
        )]
    );
    assert_eq!(
        found(&own("arn:aws:iam::222222222222:role/x", "")),
        [format!(
            "error {path}:1:16: `arn:aws:iam::222222222222:role/x` is no role of account \
             `111111111111`; hint: the folder's name is the account"
        )]
    );
}

#[test]
fn a_profile_is_a_role_of_its_id() {
    let path = "accounts/111111111111/profiles/p.json";
    let text = format!(
        r#"{{"id":"Profile-1a","name":"Deploy","trusted":[{{"iam_id":"IBMid-1"}},{{"claims":{{"/iss":"https://i.example.com","/sub":"s"}}}}],"policies":[{ALLOW},{ALLOW}]}}"#
    );
    let folder = directory(&[(path, &text), (DETAILS, NOBODY)]);
    let (sets, warnings) = load(&config(&folder)).unwrap();
    assert_eq!(warnings, []);
    let entry = principal(&sets, "role/Profile-1a");
    assert_eq!(names(&entry.policies), ["Deploy, policy 1", "Deploy, policy 2"]);
    let profile = entry.profile.as_deref().unwrap();
    assert_eq!(*profile.name, *"Deploy");
    let issuer = ("/iss".into(), "https://i.example.com".into());
    let claims = Trusted::Claims(Box::new([issuer, ("/sub".into(), "s".into())]));
    assert_eq!(*profile.trusted, [Trusted::Login("IBMid-1".into()), claims]);

    let check =
        |text: &str, expect: &str| check(&[(path, text)], &[&format!("error {path}:{expect}")]);
    check(
        r#"{"id":"iam-Profile-1"}"#,
        "1:7: `iam-Profile-1` is no profile's id; hint: a profile's id is `Profile-` and a UUID, \
         without `iam-` before it",
    );
    check(
        r#"{"id":"Profile-1","trusted":[{"claims":{}}]}"#,
        "1:30: `claims` is empty; hint: that would trust everybody",
    );
    check(
        r#"{"id":"Profile-1","trusted":[{}]}"#,
        "1:30: an entry of `trusted` has either `iam_id` or `claims`",
    );
    check(
        r#"{"id":"Profile-1","trusted":[{"claims":{"sub":"s"}}]}"#,
        "1:47: `sub` is no JSON pointer; hint: like `/sub`",
    );
    check(
        r#"{"id":"Profile-1","polices":[]}"#,
        "1:19: unknown member `polices` in a trusted profile; hint: did you mean `policies`?",
    );
}

#[test]
fn a_profile_that_trusts_claims_says_whose() {
    let path = "accounts/111111111111/profiles/p.json";
    let text = r#"{"id":"Profile-1","trusted":[{"claims":{"/sub":"s"}}]}"#;
    let folder = directory(&[(path, text), (DETAILS, NOBODY)]);
    let (_, warnings) = load(&config(&folder)).unwrap();
    let told: Vec<_> = warnings.iter().map(|it| it.message.as_str()).collect();
    assert_eq!(told, ["`claims` without `/iss` trust the logins of every issuer"]);
}

#[test]
fn profiles_without_details_make_everybody_else_known() {
    let path = "accounts/111111111111/profiles/p.json";
    let profile = r#"{"id":"Profile-1"}"#;
    let (sets, _) = load(&config(&directory(&[(path, profile)]))).unwrap();
    assert!(account(&sets).knows_principals());
    check(
        &[(path, profile)],
        &[
            "warning accounts/111111111111:1:1: profiles and no `authorization-details.json`: others \
           here have no policies; hint: put one with empty lists here if that is meant",
        ],
    );
    check(&[(path, profile), (DETAILS, NOBODY)], &[]);
    check(&[("accounts/111111111111/resources/r.json", r#"{"resource":"*"}"#)], &[]);
}

#[test]
fn resources_have_policy_key_and_tags() {
    let path = "accounts/111111111111/resources/r.json";
    let text = format!(
        r#"{{"resource":"arn:aws:s3:::b","policy":{OPEN},"key":"{KEY}","tags":{{"Team":"x"}}}}"#
    );
    let folder = directory(&[(path, &text)]);
    let (sets, _) = load(&config(&folder)).unwrap();
    let arn = Arn::parse("arn:aws:s3:::b").unwrap();
    let entry = account(&sets).resource(arn).unwrap();
    assert_eq!(entry.key.as_deref(), Some(KEY));
    assert_eq!((&*entry.tags[0].key, &*entry.tags[0].value), ("team", "x"));
    assert_eq!(*entry.policy.as_ref().unwrap().name, *"arn:aws:s3:::b");
    assert!(!account(&sets).knows_principals());
}

#[test]
fn resources_that_are_wrong_are_refused_with_their_place() {
    let path = "accounts/111111111111/resources/r.json";
    let check = |text: &str, expect: &str| {
        check(&[(path, text)], &[&format!("error {path}:{expect}")]);
    };
    check("{}", "1:1: a resource has no `resource`");
    check(r#"{"resource":1}"#, "1:13: `resource` is a text, not a number");
    check(
        r#"{"resource":"arn:aws:s3:::b","key":"arn:aws:kms:eu:111111111111:alias/a"}"#,
        "1:36: `arn:aws:kms:eu:111111111111:alias/a` is no key's ARN; hint: like \
         `arn:aws:kms:eu-central-1:111111111111:key/id`; an alias is not the key",
    );
    check(
        r#"{"resource":"arn:aws:s3:::b","tags":{"a":"1","A":"2"}}"#,
        "1:50: the tag `A` is there twice; hint: keys of tags have no letter case",
    );
    check(
        r#"{"resource":"arn:aws:s3:::b","tags":{"a":1}}"#,
        "1:42: the tag `a` is a text, not a number",
    );
    check(
        &format!(r#"{{"resource":"{KEY}","policy":{{}}}}"#),
        "1:58: a key's policy is not here; hint: put it into a file of `keys/`",
    );
    check("[]", "1:1: a resource is an object, not a list");
    let not_json = found(&[(path, "{")]);
    assert!(not_json[0].starts_with(&format!("error {path}:1:")), "{not_json:?}");
    let short = found(&[(path, r#"{"resource":"arn:aws:s3:b"}"#)]);
    assert!(short[0].starts_with(&format!("error {path}:1:13: `arn:aws:s3:b`")), "{short:?}");
}

#[test]
fn doubtful_resources_are_taken_with_a_warning() {
    let path = |name: &str| format!("accounts/111111111111/resources/{name}.json");
    let text = |arn: &str| format!(r#"{{"resource":"{arn}"}}"#);
    check(
        &[(&path("r"), &text("arn:aws:orders::222222222222:order/1"))],
        &["warning accounts/111111111111/resources/r.json:1:13: the resource's ARN names account \
           `222222222222`, and its folder `111111111111`; hint: the folder says who owns it"],
    );
    let found = found(&[
        (&path("one"), &text("arn:aws:s3:::b/k")),
        (&path("all"), &text("arn:aws:s3:::b/*")),
        (&path("other"), &text("arn:aws:s3:::c/*")),
    ]);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].starts_with(
            "warning accounts/111111111111/resources/one.json:1:13: `arn:aws:s3:::b/k` is also \
             meant by `arn:aws:s3:::b/*` of `"
        ),
        "{found:?}"
    );
}

#[test]
fn what_is_there_twice_is_refused_and_both_files_are_named() {
    let at = |path: &str| format!("accounts/111111111111/{path}.json");
    let resource = r#"{"resource":"arn:aws:s3:::b"}"#;
    let key = format!(r#"{{"key":"{KEY}","policy":{OPEN}}}"#);
    let profile = r#"{"id":"Profile-1"}"#;
    let roles = details(&format!(r#""RoleDetailList":[{}]"#, role("Profile-1", "")));
    let twice = |files: &[(&str, &str)], expect: &str| {
        let found = found(files);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains(expect), "{found:?}");
    };
    twice(
        &[(&at("resources/a"), resource), (&at("resources/b"), resource)],
        "resources/b.json:1:13: `arn:aws:s3:::b` is there twice; the first is in",
    );
    twice(
        &[(&at("keys/a"), &key), (&at("keys/b"), &key)],
        "keys/b.json:1:8: `arn:aws:kms:eu:111111111111:key/1` is there twice; the first is in",
    );
    twice(
        &[(&at("profiles/a"), profile), (&at("profiles/b"), profile)],
        "profiles/b.json:1:7: `Profile-1` is there twice; the first is in",
    );
    twice(
        &[(DETAILS, &roles), (&at("profiles/a"), profile)],
        "profiles/a.json:1:7: `Profile-1` is there twice; the first is in \
         `authorization-details.json`",
    );
}

#[test]
fn keys_are_of_their_account() {
    let path = "accounts/111111111111/keys/k.json";
    let key = |arn: &str| format!(r#"{{"key":"{arn}","policy":{OPEN}}}"#);
    check(&[(path, &key(KEY))], &[]);
    check(
        &[(path, &key("arn:aws:kms:eu:222222222222:key/1"))],
        &[
            "error accounts/111111111111/keys/k.json:1:8: `arn:aws:kms:eu:222222222222:key/1` is not \
           of account `111111111111`; hint: keys are found by the account in their ARN",
        ],
    );
    check(&[(path, "{}")], &["error accounts/111111111111/keys/k.json:1:1: a key has no `key`"]);
}

#[test]
fn what_is_not_read_is_told_and_what_is_hidden_is_not() {
    let hint = "nothing is expected here; hint: it is not read; docs/configuration.md shows what the directory holds";
    let line = |path: &str| format!("warning {path}:1:1: {hint}");
    let mut found = found(&[
        (DETAILS, &details(r#""UserDetailList":[]"#)),
        ("README", ""),
        (".git/x", ""),
        ("accounts/x.json", ""),
        ("accounts/111111111111/x.json", ""),
        ("accounts/111111111111/resources/r.yaml", ""),
        ("accounts/111111111111/resources/r.json~", ""),
        ("accounts/111111111111/resources/.r.json.swp", ""),
        ("candidate/accounts/111111111111/resources/r.json", r#"{"resource":"*"}"#),
        ("candidate/candidate/x", ""),
    ]);
    found.sort();
    let expect = [
        "README",
        "accounts/111111111111/resources/r.yaml",
        "accounts/111111111111/x.json",
        "accounts/x.json",
        "candidate/candidate",
    ];
    assert_eq!(found, expect.map(line));
}

#[test]
fn a_directory_that_is_none_and_a_folder_that_is_no_account_are_refused() {
    let gone = directory(&[]);
    let mut config = config(&gone);
    config.directory = gone.path().join("none");
    let error = load(&config).unwrap_err();
    assert!(error.to_string().contains("none:1:1: is no directory"), "{error}");
    check(
        &[("accounts/a b/resources/r.json", "{}"), (DETAILS, &details(r#""Policies":[]"#))],
        &[
            "error accounts/a b:1:1: `a b` is no account: an account has only the characters `A-Z a-z \
           0-9 _ -`; hint: the folder's name is the account",
        ],
    );
    let found = found(&[(".x", "")]);
    let expect = "there are no accounts here: every caller's policies are unknown";
    assert!(found.len() == 1 && found[0].contains(expect), "{found:?}");
}

#[test]
fn a_candidate_is_a_whole_set_of_its_own() {
    let text = details(&user(""));
    let folder = directory(&[(DETAILS, &text)]);
    let (sets, _) = load(&config(&folder)).unwrap();
    assert!(sets.candidate.is_none());
    write(&folder, &format!("candidate/{DETAILS}"), &details(r#""UserDetailList":[]"#));
    let (sets, _) = load(&config(&folder)).unwrap();
    let id = AccountId::parse("111111111111").unwrap();
    let proposed = sets.candidate.as_ref().unwrap();
    assert_eq!(proposed.accounts[&id].principals().len(), 0);
    assert_eq!(account(&sets).principals().len(), 1);
    write(&folder, &format!("candidate/{DETAILS}"), "{");
    assert!(load(&config(&folder)).is_err(), "a bad candidate refuses the whole version");
}

/// Reads a directory, changes it, and reads it again.
struct Twice {
    folder: TempDir,
    directory: PolicyDirectory,
}

impl Twice {
    fn new() -> Self {
        let resource = r#"{"resource":"arn:aws:s3:::b"}"#;
        let folder = directory(&[
            (DETAILS, &details(&user(""))),
            ("accounts/222222222222/resources/r.json", resource),
            ("candidate/accounts/222222222222/resources/r.json", resource),
        ]);
        let mut directory = PolicyDirectory::new(folder.path().to_owned());
        assert_eq!(directory.rescan(&[Scope::All]), Rescan::Changed);
        Self { folder, directory }
    }

    fn sets(&mut self) -> Result<PolicySets, DirectoryError> {
        self.directory.sets(Mode::Limited, UnknownCallers::Deny)
    }

    fn rescan(&mut self, path: &str) -> Rescan {
        let scope = self.directory.scope(&self.folder.path().join(path)).unwrap();
        self.directory.rescan(&[scope])
    }
}

fn other(sets: &PolicySets) -> &Arc<AccountPolicies> {
    &sets.enforced.accounts[&AccountId::parse("222222222222").unwrap()]
}

#[test]
fn accounts_that_did_not_change_are_shared() {
    let mut twice = Twice::new();
    let before = twice.sets().unwrap();
    assert_eq!(twice.directory.rescan(&[Scope::All]), Rescan::Unchanged);
    let same = twice.sets().unwrap();
    assert!(Arc::ptr_eq(&before.enforced, &same.enforced));

    write(&twice.folder, DETAILS, &details(r#""UserDetailList":[]"#));
    assert_eq!(twice.rescan(DETAILS), Rescan::Changed);
    let after = twice.sets().unwrap();
    assert_eq!((account(&before).principals().len(), account(&after).principals().len()), (1, 0));
    assert!(Arc::ptr_eq(other(&before), other(&after)));
    let candidates = [&before, &after].map(|sets| sets.candidate.as_ref().unwrap());
    assert!(Arc::ptr_eq(candidates[0], candidates[1]));
}

#[test]
fn a_file_that_is_written_again_with_its_content_is_no_change() {
    let mut twice = Twice::new();
    let before = twice.sets().unwrap();
    write(&twice.folder, DETAILS, &details(&user("")));
    assert_eq!(twice.rescan(DETAILS), Rescan::Unchanged);
    assert!(Arc::ptr_eq(&before.enforced, &twice.sets().unwrap().enforced));
}

#[test]
fn a_version_of_the_same_size_and_time_is_found() {
    let mut twice = Twice::new();
    for text in [user(""), user("").replace("ana", "ben"), user("")] {
        write(&twice.folder, DETAILS, &details(&text));
        let _ = twice.rescan(DETAILS);
        let sets = twice.sets().unwrap();
        let expect = if text.contains("ben") { "user/ben" } else { "user/ana" };
        assert!(account(&sets).principals()[0].arn.ends_with(expect));
    }
}

#[test]
fn something_wrong_anywhere_refuses_all_until_it_is_mended() {
    let mut twice = Twice::new();
    write(&twice.folder, "accounts/222222222222/resources/r.json", "{");
    assert_eq!(twice.rescan("accounts/222222222222/resources/r.json"), Rescan::Changed);
    assert!(twice.sets().is_err());
    write(&twice.folder, DETAILS, &details(r#""UserDetailList":[]"#));
    assert_eq!(twice.rescan(DETAILS), Rescan::Changed);
    assert!(twice.sets().is_err(), "the other account is still wrong");
    write(
        &twice.folder,
        "accounts/222222222222/resources/r.json",
        r#"{"resource":"arn:aws:s3:::c"}"#,
    );
    assert_eq!(twice.rescan("accounts/222222222222/resources/r.json"), Rescan::Changed);
    let sets = twice.sets().unwrap();
    assert_eq!(account(&sets).principals().len(), 0, "what was read in between counts now");
}

#[test]
fn accounts_come_and_go() {
    let mut twice = Twice::new();
    fs::remove_dir_all(twice.folder.path().join("accounts/222222222222")).unwrap();
    assert_eq!(twice.rescan("accounts/222222222222"), Rescan::Changed);
    assert_eq!(twice.sets().unwrap().enforced.accounts.len(), 1);
    let path = "accounts/333333333333/resources/r.json";
    write(&twice.folder, path, r#"{"resource":"*"}"#);
    assert_eq!(twice.rescan(path), Rescan::Changed);
    assert_eq!(twice.sets().unwrap().enforced.accounts.len(), 2);
    fs::remove_dir_all(twice.folder.path().join("candidate")).unwrap();
    assert_eq!(twice.directory.rescan(&[Scope::All]), Rescan::Changed);
    assert!(twice.sets().unwrap().candidate.is_none());
    fs::remove_dir_all(twice.folder.path()).unwrap();
    assert_eq!(twice.directory.rescan(&[Scope::All]), Rescan::Changed);
    assert!(twice.sets().is_err(), "a directory that is gone is no empty one");
}

#[test]
fn an_account_that_cannot_be_looked_at_is_not_gone() {
    for target in ["222222222222", "none"] {
        let mut twice = Twice::new();
        let folder = twice.folder.path().join("accounts/222222222222");
        fs::remove_dir_all(&folder).unwrap();
        symlink(target, &folder).unwrap();
        assert_eq!(twice.rescan("accounts/222222222222"), Rescan::Changed);
        let error = twice.sets().unwrap_err().to_string();
        assert!(error.contains("accounts/222222222222:1:1: can't be read: "), "{error}");
        fs::remove_file(&folder).unwrap();
        assert_eq!(twice.rescan("accounts/222222222222"), Rescan::Changed);
        assert_eq!(twice.sets().unwrap().enforced.accounts.len(), 1);
    }
}

#[test]
fn a_swapped_link_is_a_change() {
    let folder = directory(&[]);
    for (version, text) in [("..1", user("")), ("..2", user("").replace("ana", "ben"))] {
        write(&folder, &format!("{version}/{DETAILS}"), &details(&text));
    }
    symlink("..1", folder.path().join("..data")).unwrap();
    symlink("..data/accounts", folder.path().join("accounts")).unwrap();
    let mut directory = PolicyDirectory::new(folder.path().to_owned());
    let _ = directory.rescan(&[Scope::All]);
    symlink("..2", folder.path().join("..new")).unwrap();
    fs::rename(folder.path().join("..new"), folder.path().join("..data")).unwrap();
    let scope = directory.scope(&folder.path().join("..data")).unwrap();
    assert_eq!((scope, directory.rescan(&[scope])), (Scope::All, Rescan::Changed));
    let sets = directory.sets(Mode::Limited, UnknownCallers::Deny).unwrap();
    assert!(account(&sets).principals()[0].arn.ends_with("user/ben"));
}

#[test]
fn paths_belong_to_their_part() {
    let twice = Twice::new();
    let id = AccountId::parse("111111111111").unwrap();
    let cases = [
        (DETAILS, Some(Scope::Account(Tier::Enforced, id))),
        ("accounts/111111111111", Some(Scope::Account(Tier::Enforced, id))),
        ("candidate/accounts/111111111111/keys/k.json", Some(Scope::Account(Tier::Candidate, id))),
        ("organization.yaml", Some(Scope::Organization(Tier::Enforced))),
        ("candidate/organization/x.json", Some(Scope::Organization(Tier::Candidate))),
        ("accounts/a b/x", Some(Scope::All)),
        ("accounts", Some(Scope::All)),
        ("candidate", Some(Scope::All)),
        ("", Some(Scope::All)),
        ("accounts/111111111111/..data", Some(Scope::All)),
        ("accounts/111111111111/keys/.k.json.swp", None),
        ("accounts/111111111111/keys/k.json~", None),
    ];
    for (path, expect) in cases {
        assert_eq!(twice.directory.scope(&twice.folder.path().join(path)), expect, "{path}");
    }
    assert_eq!(twice.directory.scope(Path::new("/elsewhere")), Some(Scope::All));
}
