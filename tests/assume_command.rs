//! `crossgate assume` against the program's token service: what a shell and a program get, and what
//! is told when there is nothing to get.

#![expect(clippy::unwrap_used, reason = "a failed test panics")]

mod support;

use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use support::gate::{ORDER, World};
use support::identities::{OWNER, STRANGER};
use support::raw::Request;
use support::roles::{RoleWorld, role_arn, trusts_user};

const EXTERNAL_ID: &str = "K7QRMZ24-X9TWLN3V-H6BPCJD8-9APG6PJZ";

/// What the command left: exit code, standard output, standard error.
struct Ran {
    code: Option<i32>,
    out: String,
    errors: String,
}

impl Ran {
    #[track_caller]
    fn json(&self) -> Value {
        assert_eq!(self.code, Some(0), "{}", self.errors);
        serde_json::from_str(&self.out).unwrap()
    }
}

/// Runs the command with a token in the environment and something on standard input.
fn assume_with(arguments: &[&str], environment: Option<&str>, input: &str) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_crossgate"));
    command.arg("assume").args(arguments).env_remove("CROSSGATE_TOKEN");
    if let Some(token) = environment {
        command.env("CROSSGATE_TOKEN", token);
    }
    let pipes = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = pipes.spawn().unwrap();
    // Whoever does not read it has closed it.
    let _unread = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    Ran {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).unwrap(),
        errors: String::from_utf8(output.stderr).unwrap(),
    }
}

fn start(trust: Value) -> RoleWorld {
    RoleWorld::start(&[("deploy", trust)], |config| config)
}

fn get(world: &World, token: &str) -> u16 {
    world.gate.ask(&Request::get(ORDER).token(token)).status
}

#[test]
fn a_shell_and_a_program_get_a_token_that_works() {
    let RoleWorld { world, sts } = start(trusts_user(&json!({})));
    let (url, role, login) = (format!("http://{sts}"), role_arn("deploy"), world.user(OWNER));
    assert_eq!(get(&world, &login), 403, "the caller alone may not");

    let script = r#"
        eval "$("$CROSSGATE" assume --url "$URL" --role "$ROLE" --token "$LOGIN")" || exit 3
        [ "$AWS_SESSION_TOKEN" = "$CROSSGATE_TOKEN" ] || exit 4
        [ -n "$AWS_ACCESS_KEY_ID" ] && [ -n "$AWS_SECRET_ACCESS_KEY" ] || exit 5
        printf '%s' "$CROSSGATE_TOKEN""#;
    let shell = Command::new("sh")
        .args(["-c", script])
        .env("CROSSGATE", env!("CARGO_BIN_EXE_crossgate"))
        .envs([("URL", &url), ("ROLE", &role), ("LOGIN", &login)])
        .output()
        .unwrap();
    assert!(shell.status.success(), "{}", String::from_utf8_lossy(&shell.stderr));
    assert_eq!(get(&world, &String::from_utf8(shell.stdout).unwrap()), 200);

    let given = ["--url", &url, "--role", &role, "--format", "json"];
    let session =
        assume_with(&[&given[..], &["--session-name", "release"]].concat(), Some(&login), "");
    let session = session.json();
    assert_eq!(get(&world, session["token"].as_str().unwrap()), 200);
    assert_eq!(session["role"], role);
    assert_eq!(session["session"], format!("arn:aws:sts::{OWNER}:assumed-role/deploy/release"));
    let expiration: jiff::Timestamp = session["expiration"].as_str().unwrap().parse().unwrap();
    let left = expiration.as_second() - i64::try_from(support::now()).unwrap();
    assert!((3500..=3600).contains(&left), "an hour, unless asked otherwise: {left}");
}

#[test]
fn the_token_comes_from_a_file_standard_input_or_the_environment() {
    let RoleWorld { world, sts } = start(trusts_user(&json!({})));
    let (url, role, login) = (format!("http://{sts}/"), role_arn("deploy"), world.user(OWNER));
    let file = world.gate.path("login.token");
    std::fs::write(&file, format!("{login}\n")).unwrap();
    let file = file.to_str().unwrap();
    let given = ["--url", &url, "--role", &role];
    let with = |more: &[&str], environment: Option<&str>, input: &str| {
        assume_with(&[&given[..], more].concat(), environment, input)
    };
    for ran in [
        with(&["--token-file", file], Some("another"), ""),
        with(&["--token-file", "-"], None, &format!("{login}\r\n")),
        with(&[], Some(&login), ""),
    ] {
        assert_eq!(ran.code, Some(0), "{}", ran.errors);
    }
    let ran = with(&[], None, "");
    assert_eq!(ran.code, Some(2));
    let expect = "error: there is no token; hint: `--token`, `--token-file`, or the environment's \
                  `CROSSGATE_TOKEN`\n";
    assert_eq!(ran.errors, expect);
}

#[test]
fn a_session_is_what_was_asked_for() {
    let mut trust = trusts_user(&json!({}));
    trust["Action"] = json!(["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"]);
    let RoleWorld { world, sts } = start(trust);
    let (url, role, login) = (format!("http://{sts}"), role_arn("deploy"), world.user(OWNER));
    let policy = world.gate.path("session-policy.json");
    let document = json!({ "Version": "2012-10-17", "Statement": [
        { "Effect": "Allow", "Action": "orders:ListOrders", "Resource": "*" }] });
    std::fs::write(&policy, document.to_string()).unwrap();
    let given = ["--url", &url, "--role", &role, "--token", &login, "--format", "json"];
    let with = |more: &[&str]| assume_with(&[&given[..], more].concat(), None, "");

    let limited = with(&["--policy", policy.to_str().unwrap()]).json();
    assert_eq!(get(&world, limited["token"].as_str().unwrap()), 403);

    let tagged = with(&[
        "--tag",
        "Team=red",
        "--tag",
        "Cost=",
        "--transitive-tag",
        "Team",
        "--source-identity",
        "ana",
        "--duration",
        "15m",
    ]);
    let token = tagged.json()["token"].as_str().unwrap().to_owned();
    let verify = Command::new(env!("CARGO_BIN_EXE_crossgate"))
        .args(["token", "verify", "--token", &token, "--config"])
        .arg(world.gate.path("crossgate.yaml"))
        .output()
        .unwrap();
    let claims = serde_json::from_slice::<Value>(&verify.stdout).unwrap()["claims"].clone();
    assert_eq!(claims["tags"], json!({ "Team": "red", "Cost": "" }));
    assert_eq!(claims["source_identity"], "ana");
    assert_eq!(claims["transitive_tags"], json!(["Team"]));
    let seconds = |name: &str| claims[name].as_u64().unwrap();
    assert_eq!(seconds("exp") - seconds("iat"), 900);

    for (more, names) in [
        (&["--duration", "13h"][..], "`duration_seconds`"),
        (&["--duration", "1m"], "`duration_seconds`"),
        (&["--session-name", "a b"], "`role_session_name`"),
    ] {
        let refused = with(more);
        assert_eq!((refused.code, &*refused.out), (Some(1), ""), "{more:?}: {}", refused.errors);
        let start = "refused (400 invalid_request): ";
        assert!(refused.errors.starts_with(start), "{}", refused.errors);
        assert!(refused.errors.contains(names), "{more:?}: {}", refused.errors);
    }
}

/// Token exchange passes over a parameter without a value: the session would have no limit, or not the
/// name that was meant.
#[test]
fn an_option_without_a_value_begins_no_session() {
    let RoleWorld { world, sts } = start(trusts_user(&json!({})));
    let (url, role, login) = (format!("http://{sts}"), role_arn("deploy"), world.user(OWNER));
    let policy = world.gate.path("session-policy.json");
    let policy = policy.to_str().unwrap();
    let given = ["--url", &url, "--role", &role, "--token", &login];
    let with = |more: &[&str]| assume_with(&[&given[..], more].concat(), None, "");
    assert_eq!(with(&[]).code, Some(0));
    let refused = |more: &[&str], what: &str, hint: &str| {
        let ran = with(more);
        assert_eq!((ran.code, &*ran.out), (Some(2), ""), "{more:?}: {}", ran.errors);
        assert!(ran.errors.starts_with(&format!("error: {what}")), "{more:?}: {}", ran.errors);
        assert!(ran.errors.contains(&format!("; hint: {hint}")), "{more:?}: {}", ran.errors);
    };
    for blank in ["", " ", "\n", "\t \r\n\n"] {
        std::fs::write(policy, blank).unwrap();
        refused(&["--policy", policy], "the session policy `", "write a policy to it, or");
    }
    refused(&["--policy", "/dev/null"], "the session policy `/dev/null` is empty: ", "write");
    for option in ["--external-id", "--source-identity", "--session-name", "--transitive-tag"] {
        refused(&[option, ""], &format!("`{option}` is empty"), "give it a value, or");
    }
    refused(&["--tag", "=red"], "`--tag` number 1 has no key", "`KEY=VALUE`");

    let ended = world.gate.finish();
    let attempts = ended.events.iter().filter(|it| it.to_string().contains("sts.role.assume"));
    assert_eq!(attempts.count(), 1, "nothing was sent but the good one");
}

#[test]
fn whatever_is_wrong_with_role_or_external_id_is_one_refusal_that_repeats_nothing() {
    let condition = json!({ "StringEquals": { "sts:ExternalId": EXTERNAL_ID } });
    let RoleWorld { world, sts } = start(trusts_user(&condition));
    let (url, login) = (format!("http://{sts}"), world.user(OWNER));
    let stranger = world.user(STRANGER);
    let (role, unknown) = (role_arn("deploy"), role_arn("nobody"));
    let wrong = "another-external-id-of-somebody";
    let with = |role: &str, token: &str, more: &[&str]| {
        let given = ["--url", &url, "--role", role, "--token", token];
        assume_with(&[&given[..], more].concat(), None, "")
    };
    let good = with(&role, &login, &["--external-id", EXTERNAL_ID]);
    assert_eq!(good.code, Some(0), "{}", good.errors);
    assert!(!good.out.contains(EXTERNAL_ID));
    let refusals = [
        with(&role, &login, &[]),
        with(&role, &login, &["--external-id", wrong]),
        with(&unknown, &login, &["--external-id", EXTERNAL_ID]),
        with(&role, &stranger, &["--external-id", EXTERNAL_ID]),
    ];
    let first = &refusals[0].errors;
    assert!(first.starts_with("refused (400 invalid_grant): "), "{first}");
    for ran in &refusals {
        assert_eq!((ran.code, &*ran.out, &ran.errors), (Some(1), "", first));
    }
    let bad = with(&role, "no.good.token", &[]);
    assert!(bad.errors.starts_with("refused (400 invalid_request): "), "{}", bad.errors);

    let ended = world.gate.finish();
    let events = ended.events.iter().map(Value::to_string).collect::<Vec<_>>().join("\n");
    for told in [first, &bad.errors, &ended.stderr, &events] {
        for secret in [EXTERNAL_ID, wrong, &login, "no.good.token"] {
            assert!(!told.contains(secret), "{secret} in {told}");
        }
    }
    assert!(events.contains("sts.role.assume"), "{events}");
}

#[test]
fn web_identities_are_served_by_the_same_command() {
    let idp = support::idp::Idp::start();
    let provider = idp.issuer().split_once("://").unwrap().1.to_owned();
    let trust = json!({
        "Effect": "Allow", "Action": "sts:AssumeRoleWithWebIdentity",
        "Principal": { "Federated": format!("arn:aws:iam::{OWNER}:oidc-provider/{provider}") },
        "Condition": { "StringEquals": { format!("{provider}:sub"): "quixote@example.com" } },
    });
    let sts = support::free_address();
    let roles = [("deploy", trust)];
    let world = World::with_idp(idp, |config| support::roles::with_roles(config, sts, &roles));
    let (url, role) = (format!("http://{sts}"), role_arn("deploy"));
    // Somebody of no account here, whom the provider vouches for.
    let login = world.user(STRANGER);
    let given = ["--url", &url, "--role", &role, "--token", &login, "--format", "json"];
    let session = assume_with(&given, None, "").json();
    assert_eq!(get(&world, session["token"].as_str().unwrap()), 200);
}

#[test]
fn what_the_command_can_not_do_is_told() {
    let closed = format!("http://{}", support::free_address());
    let upstream = support::upstream::Upstream::start();
    let other = format!("http://{}", upstream.address());
    for (url, more, names) in [
        (&*closed, &[][..], "no answer: "),
        (&other, &[], "200 from there is no token service's answer; hint: `--url` is"),
        ("http://10.1.2.3:9902", &[], "`--url` is http to another machine; hint: use https"),
        ("sts.example.com", &[], "`--url` is no plain URL; hint: like `https://sts.example.com`"),
        (&closed, &["--duration", "long"], "`--duration` is no duration"),
        (&closed, &["--tag", "secret"], "`--tag` number 1 is no `KEY=VALUE`"),
        (&closed, &["--policy", "/nowhere"], "cannot read the session policy `/nowhere`"),
        (&closed, &["--token-file", "/nowhere"], "cannot be used with"),
        (&closed, &["--format", "xml"], "invalid value 'xml'"),
    ] {
        let given = ["--url", url, "--role", "r", "--token", "t0ken", "--external-id", "ext3rnal"];
        let ran = assume_with(&[&given[..], more].concat(), None, "");
        assert_eq!((ran.code, &*ran.out), (Some(2), ""), "{more:?}: {}", ran.errors);
        assert!(ran.errors.contains(names), "{more:?}: {}", ran.errors);
        assert!(
            !ran.errors.contains("t0ken") && !ran.errors.contains("ext3rnal"),
            "{}",
            ran.errors
        );
    }
}
