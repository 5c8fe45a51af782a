use bytes::Bytes;
use clap::Parser;
use data_encoding::BASE64URL_NOPAD;
use http::StatusCode;

use super::*;

#[derive(Parser)]
struct Program {
    #[command(flatten)]
    assume: AssumeArgs,
}

const NOW: UnixMillis = UnixMillis(1_760_104_997_410);

fn args(more: &[&str]) -> AssumeArgs {
    let role = "arn:aws:iam::222222222222:role/deploy";
    let given = ["assume", "--url", "https://sts.example.com", "--role", role];
    Program::try_parse_from(given.iter().chain(more)).unwrap().assume
}

fn said(status: u16, body: &str) -> String {
    let status = StatusCode::from_u16(status).unwrap();
    let answer = Answer { status, body: Bytes::copy_from_slice(body.as_bytes()) };
    match outcome(&answer, &[Some("s3cr3t.token"), Some("the-external-id"), Some("")], NOW) {
        Ok(Outcome::Begun(session)) => format!("begun {session:?}"),
        Ok(Outcome::Refused { status, error, message }) => {
            format!("refused {status} {error} {message}")
        }
        Err(error) => format!("error {error}"),
    }
}

fn jws(claims: &Value) -> String {
    let part = |value: &Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
    format!("{}.{}.{}", part(&json!({ "alg": "ES256" })), part(claims), part(&json!("x")))
}

#[test]
fn the_request_has_what_was_given_and_no_more() {
    let least = form(&args(&[]), "a.b-c").unwrap();
    assert_eq!(
        least,
        "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant%2Dtype%3Atoken%2Dexchange\
         &subject_token=a%2Eb%2Dc\
         &subject_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken%2Dtype%3Ajwt\
         &resource=arn%3Aaws%3Aiam%3A%3A222222222222%3Arole%2Fdeploy"
    );
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "{ }").unwrap();
    let policy = file.path().to_str().unwrap();
    let all = form(
        &args(&[
            "--external-id",
            "x/1 ä",
            "--duration",
            "90m",
            "--policy",
            policy,
            "--session-name",
            "n",
            "--tag",
            "Team=red=1",
            "--tag",
            "a=",
            "--transitive-tag",
            "Team",
            "--source-identity",
            "ana",
        ]),
        "t",
    )
    .unwrap();
    let expect = "&external_id=x%2F1%20%C3%A4&duration_seconds=5400&policy=%7B%20%7D\
                  &role_session_name=n&tags=%7B%22Team%22%3A%22red%3D1%22%2C%22a%22%3A%22%22%7D\
                  &transitive_tag_keys=%5B%22Team%22%5D&source_identity=ana";
    assert!(all.ends_with(expect), "{all}");
}

#[test]
fn what_can_not_be_asked_is_told_without_values() {
    for (more, expect) in [
        (&["--duration", "soon"][..], "`--duration` is no duration: "),
        (&["--duration", "1500ms"], "`--duration` is not in whole seconds"),
        (&["--tag", "a=1", "--tag", "secret"], "`--tag` number 2 is no `KEY=VALUE`"),
        (&["--tag", "a=1", "--tag", "a=2"], "`--tag` number 2 has the key of another one"),
        (&["--tag", "a=1", "--tag", "=secret"], "`--tag` number 2 has no key; hint: "),
        (&["--tag", " =secret"], "`--tag` number 1 has no key; hint: "),
        (&["--external-id", ""], "`--external-id` is empty, "),
        (&["--source-identity", ""], "`--source-identity` is empty, "),
        (&["--session-name", " "], "`--session-name` is empty, "),
        (&["--transitive-tag", "a", "--transitive-tag", ""], "`--transitive-tag` is empty, "),
        (&["--policy", "/dev/null"], "the session policy `/dev/null` is empty: "),
        (&["--policy", "/nowhere/p.json"], "cannot read the session policy `/nowhere/p.json`: "),
    ] {
        let error = form(&args(more), "t").unwrap_err().to_string();
        assert!(error.starts_with(expect), "{error}");
    }
}

#[test]
fn a_session_is_told_by_its_token() {
    let claims = json!({
        "sub": "arn:aws:sts::222222222222:assumed-role/deploy/ana", "jti": "0199",
        "role": "arn:aws:iam::222222222222:role/deploy", "exp": 1_760_108_597,
    });
    let token = jws(&claims);
    let body = json!({ "access_token": token, "token_type": "Bearer", "expires_in": 7 });
    let expect = Session {
        token,
        role: "arn:aws:iam::222222222222:role/deploy".to_owned(),
        principal: "arn:aws:sts::222222222222:assumed-role/deploy/ana".to_owned(),
        id: "0199".to_owned(),
        expires_at: UnixMillis(1_760_108_597_000),
    };
    assert_eq!(said(200, &body.to_string()), format!("begun {expect:?}"));
}

#[test]
fn the_answer_decides_how_it_ended() {
    let problem = |error: &str| json!({ "error": error, "error_description": "no\u{1b}" });
    for status in [400, 401, 413, 415] {
        let expect = format!("refused {status} invalid_grant no\u{fffd}");
        assert_eq!(said(status, &problem("invalid_grant").to_string()), expect);
    }
    let expect = "error the token service gives no token now (503): no\u{fffd}";
    assert_eq!(said(503, &problem("temporarily_unavailable").to_string()), expect);
    for (status, body) in [
        (200, "{}"),
        (200, r#"{"access_token":"x"}"#),
        (200, ""),
        (301, ""),
        (404, "{}"),
        (502, ""),
    ] {
        let expect = format!("error {status} from there is no token service's answer; hint: ");
        assert!(said(status, body).starts_with(&expect), "{}", said(status, body));
    }
}

#[test]
fn no_answer_repeats_a_secret() {
    let echo = json!({
        "error": "invalid s3cr3t.token",
        "error_description": "`the-external-id` of s3cr3t.token",
    });
    assert_eq!(said(400, &echo.to_string()), "refused 400 invalid … `…` of …");
    assert_eq!(
        said(500, &echo.to_string()),
        "error the token service gives no token now (500): `…` of …"
    );
    let args = args(&["--token", "s3cr3t.token", "--external-id", "the-external-id"]);
    let shown = format!("{args:?}");
    assert!(!shown.contains("s3cr3t") && !shown.contains("the-external-id"), "{shown}");
}

#[test]
fn a_shell_takes_it_whatever_it_has() {
    let session = Session {
        token: "a'b$(c)".to_owned(),
        role: String::new(),
        principal: String::new(),
        id: String::new(),
        expires_at: NOW,
    };
    let mut out = Vec::new();
    write_env(&session, &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], r"export CROSSGATE_TOKEN='a'\''b$(c)'");
    assert_eq!(lines[3], r"export AWS_SESSION_TOKEN='a'\''b$(c)'");
    assert_eq!(lines[4], "export AWS_CREDENTIAL_EXPIRATION='2025-10-10T14:03:17.41Z'");
    assert!(lines[1].starts_with("export AWS_ACCESS_KEY_ID='ASIA"), "{}", lines[1]);
}
