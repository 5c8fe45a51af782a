//! The command as a program sees it: arguments and input in, JSON and exit code out.

use clap::Parser;
use serde_json::json;

use super::*;
use crate::token::token_mint::{ALGORITHMS, Signer, jwks};
use crate::token::{ClaimsMapping, JwksLocation, JwksSource};

#[derive(Parser)]
struct Program {
    #[command(flatten)]
    verify: VerifyArgs,
}

/// What a run said and how it ended.
struct Ran {
    answers: Vec<Value>,
    errors: String,
    code: ExitCode,
}

impl Ran {
    #[track_caller]
    fn one(self, code: u8) -> Value {
        assert_eq!(self.code, ExitCode::from(code), "{:?} {}", self.answers, self.errors);
        let [answer] = <[Value; 1]>::try_from(self.answers).unwrap();
        answer
    }

    #[track_caller]
    fn could_not(self, why: &str) {
        assert_eq!(self.code, ExitCode::from(2));
        assert!(self.answers.is_empty());
        assert!(self.errors.contains(why), "{}", self.errors);
    }
}

fn run(args: &[&str], input: &str) -> Ran {
    run_with(args, input, |path| Err(format!("`{}` is missing", path.display())))
}

fn run_with(
    args: &[&str],
    input: &str,
    issuers: impl FnOnce(&Path) -> Result<Vec<IssuerSpec>, String>,
) -> Ran {
    let args = Program::try_parse_from(["verify"].iter().chain(args)).unwrap().verify;
    let (mut output, mut errors) = (Vec::new(), Vec::new());
    let mut input = input.as_bytes();
    let mut streams = Streams { input: &mut input, output: &mut output, errors: &mut errors };
    let trusted = |file: &Path| {
        let issuers = issuers(file)?;
        Ok(Trusted { issuers, ..Trusted::default() })
    };
    let code = verify(&args, trusted, &mut streams);
    let output = String::from_utf8(output).unwrap();
    let answers = output.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    Ran { answers, errors: String::from_utf8(errors).unwrap(), code }
}

/// A key, its set in a file, and a good token.
struct Fixture {
    signer: Signer,
    directory: tempfile::TempDir,
    token: String,
}

impl Fixture {
    fn new() -> Self {
        let signer = Signer::new("ES256", "k1");
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("keys.json"), jwks(&[&signer])).unwrap();
        let token = signer.token(&claims());
        Self { signer, directory, token }
    }

    fn path(&self, name: &str) -> String {
        self.directory.path().join(name).display().to_string()
    }

    /// Runs with `--jwks`, the good token and these arguments.
    fn run(&self, args: &[&str]) -> Ran {
        let keys = self.path("keys.json");
        run(&[&["--jwks", &keys, "--token", &self.token], args].concat(), "")
    }
}

fn claims() -> Value {
    json!({
        "iss": "https://i.example.com", "aud": ["orders"], "exp": 2000, "iam_id": "IBMid-1",
        "sub": "s", "account": { "bss": "acme" },
    })
}

#[test]
fn a_good_token_is_shown_with_its_identity() {
    let fixture = Fixture::new();
    let answer = fixture.run(&["--at", "1999"]).one(0);
    assert_eq!(answer["valid"], json!(true));
    assert_eq!(answer["header"], json!({ "alg": "ES256", "kid": "k1", "typ": "JWT" }));
    assert_eq!(answer["claims"], claims());
    assert_eq!(answer["identity"]["account"], json!("acme"));
    assert_eq!(answer["identity"]["principal"], json!("arn:aws:iam::acme:user/IBMid-1"));
    assert_eq!(answer["identity"]["identity_type"], json!("user"));
}

#[test]
fn each_given_option_is_checked_and_no_other() {
    let fixture = Fixture::new();
    for (args, error) in [
        (["--at", "2000"].as_slice(), "expired"),
        (&[], "expired"),
        (&["--at", "1", "--issuer", "https://j"], "unknown_issuer"),
        (&["--at", "1", "--audience", "order"], "audience_not_allowed"),
        (&["--at", "1", "--algorithms", "RS256,ES384"], "algorithm_not_allowed"),
    ] {
        let answer = fixture.run(args).one(1);
        assert_eq!(answer["valid"], json!(false));
        assert_eq!(answer["error"], json!(error), "{args:?}");
        assert!(answer["detail"].is_string());
    }
    let all = [
        "--at",
        "1",
        "--issuer",
        "https://i.example.com",
        "--audience",
        "orders",
        "--algorithms",
        "RS256,ES256",
    ];
    fixture.run(&all).one(0);
}

#[test]
fn a_token_that_is_not_ibms_has_no_identity() {
    let fixture = Fixture::new();
    let token = fixture.signer.token(&json!({ "sub": "s", "exp": 9 }));
    let keys = fixture.path("keys.json");
    let answer = run(&["--jwks", &keys, "--token", &token, "--at", "1"], "").one(0);
    assert_eq!(answer["identity"], Value::Null);
    assert_eq!(answer["claims"]["sub"], json!("s"));
}

#[test]
fn the_token_comes_from_a_file_or_from_standard_input() {
    let fixture = Fixture::new();
    let (keys, file) = (fixture.path("keys.json"), fixture.path("token"));
    let with = |content: &str| {
        std::fs::write(&file, content).unwrap();
        run(&["--jwks", &keys, "--token-file", &file, "--at", "1"], "")
    };
    with(&fixture.token).one(0);
    with(&format!("{}\n", fixture.token)).one(0);
    with(&format!("{}\n\n", fixture.token)).one(1);
    with(&format!(" {}", fixture.token)).one(1);
    run(&["--jwks", &keys, "--token-file", "-", "--at", "1"], &fixture.token).one(0);
}

#[test]
fn what_can_not_run_says_why() {
    let fixture = Fixture::new();
    let keys = fixture.path("keys.json");
    run(&["--jwks", "/nowhere", "--token", "x"], "").could_not("/nowhere");
    run(&["--jwks", &keys], "").could_not("--token");
    run(&["--jwks", &keys, "--token", "x", "--algorithms", "HS256"], "").could_not("HS256");
    run(&["--token", "x", "--signature-only"], "").could_not("--jwks");
    run(&["--format", "jsonl"], "").could_not("standard input");
    run(&["--token", "x"], "").could_not("./crossgate.yaml");
    std::fs::write(fixture.path("bad.json"), "{}").unwrap();
    run(&["--jwks", &fixture.path("bad.json"), "--token", "x"], "").could_not("Key Set");
}

#[test]
fn a_set_without_a_usable_key_refuses_the_token() {
    let fixture = Fixture::new();
    let file = fixture.path("enc.json");
    let mut jwk = fixture.signer.jwk();
    jwk["use"] = json!("enc");
    std::fs::write(&file, json!({ "keys": [jwk] }).to_string()).unwrap();
    let answer = run(&["--jwks", &file, "--token", &fixture.token, "--at", "1"], "").one(1);
    assert_eq!(answer["error"], json!("unusable_keys"));
}

fn line(id: u32, signer: &Signer, token: &str, more: &Value) -> String {
    let keys: Value = serde_json::from_str(&jwks(&[signer])).unwrap();
    let mut line = json!({ "id": id, "jwks": keys, "token": token });
    line.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    line.to_string()
}

#[test]
fn each_line_has_its_answer_and_a_bad_one_does_not_end_the_run() {
    let fixture = Fixture::new();
    let of = |id, more: Value| line(id, &fixture.signer, &fixture.token, &more);
    let as_text =
        json!({ "id": "t", "jwks": jwks(&[&fixture.signer]), "token": fixture.token, "at": 1 });
    let lines = [
        of(1, json!({ "at": 1 })),
        of(2, json!({ "at": 2000 })),
        "not json".to_owned(),
        json!({ "id": 4, "token": fixture.token }).to_string(),
        of(5, json!({ "at": 1, "audience": "x", "comment": "left unread" })),
        of(6, json!({ "at": 1, "algorithms": ["RS256"] })),
        of(7, json!({ "at": 1, "algorithms": "RS256,ES256" })),
        of(8, json!({ "at": 1, "algorithms": ["HS256"] })),
        of(9, json!({ "at": 1, "issuer": "https://j" })),
        String::new(),
        as_text.to_string(),
        json!({ "id": 11, "jwks": { "keys": [] }, "token": "x" }).to_string(),
        json!({ "id": 12, "jwks": "garbage", "token": "x" }).to_string(),
        json!({ "id": 13, "jwks": { "keys": [] }, "token": 5 }).to_string(),
    ];
    let ran = run(&["--format", "jsonl", "-"], &lines.join("\n"));
    assert_eq!(ran.code, ExitCode::from(1), "some lines could not be read");
    let short: Vec<_> = ran
        .answers
        .iter()
        .map(|answer| (answer["id"].clone(), answer["valid"].clone(), answer["error"].clone()))
        .collect();
    let good = |id: Value| (id, json!(true), Value::Null);
    let bad = |id: Value, error: &str| (id, json!(false), json!(error));
    assert_eq!(
        short,
        [
            good(json!(1)),
            bad(json!(2), "expired"),
            bad(Value::Null, "unreadable_line"),
            bad(json!(4), "unreadable_line"),
            bad(json!(5), "audience_not_allowed"),
            bad(json!(6), "algorithm_not_allowed"),
            good(json!(7)),
            bad(json!(8), "unreadable_line"),
            bad(json!(9), "unknown_issuer"),
            good(json!("t")),
            bad(json!(11), "unusable_keys"),
            bad(json!(12), "unusable_keys"),
            bad(json!(13), "unreadable_line"),
        ]
    );
    let readable = run(&["--format", "jsonl", "-"], &lines[..2].join("\n"));
    assert_eq!(readable.code, ExitCode::SUCCESS, "an invalid token is an answer");
}

#[test]
fn a_line_longer_than_the_limit_is_skipped_to_its_end() {
    let fixture = Fixture::new();
    let good = line(1, &fixture.signer, &fixture.token, &json!({ "at": 1 }));
    let long = format!("{{\"id\":0,\"x\":\"{}\"}}", "x".repeat(INPUT_BYTES_MAX * 2));
    let ran = run(&["--format", "jsonl", "-"], &format!("{long}\n{good}\n"));
    assert_eq!(ran.answers.len(), 2);
    assert_eq!(ran.answers[0]["error"], json!("unreadable_line"));
    assert_eq!(ran.answers[1]["valid"], json!(true));
}

#[test]
fn signatures_alone_verify_over_any_payload_and_only_whole() {
    let mut lines = Vec::new();
    let mut expected = Vec::new();
    for algorithm in ALGORITHMS {
        let signer = Signer::new(algorithm, "k");
        let header = signer.header().to_string();
        for payload in [b"foo".as_slice(), b"", b"{}", b"\xff\x00"] {
            let token = signer.sign(&header, payload);
            let (head, signature) = token.rsplit_once('.').unwrap();
            let mut changed = signature.to_owned().into_bytes();
            changed[0] = if changed[0] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            let more = json!({ "signature_only": true });
            for (token, valid) in [
                (token.clone(), true),
                (format!("{head}.{changed}"), false),
                (format!("{head}."), false),
                (format!("{token}."), false),
                (format!("{token}.foo"), false),
                (format!("x{token}"), false),
            ] {
                lines.push(line(0, &signer, &token, &more));
                expected.push(valid);
            }
        }
    }
    let ran = run(&["--format", "jsonl", "-"], &lines.join("\n"));
    let valid: Vec<_> = ran.answers.iter().map(|a| a["valid"].as_bool().unwrap()).collect();
    assert_eq!(valid, expected);
    assert!(ran.answers.iter().all(|answer| answer["claims"].is_null()));
    let by_flag = run(&["--format", "jsonl", "-", "--signature-only"], &lines[0]);
    assert_eq!(by_flag.one(0)["valid"], json!(true));
}

fn spec(fixture: &Fixture) -> IssuerSpec {
    IssuerSpec {
        issuer: "https://i.example.com".into(),
        audiences: vec!["invoices".into(), "orders".into()],
        algorithms: vec![Algorithm::Es256],
        jwks: JwksSource {
            location: JwksLocation::File(fixture.path("keys.json").into()),
            refresh: Duration::from_mins(5),
            unknown_kid_interval: Duration::from_secs(10),
            timeout: Duration::from_secs(5),
        },
        leeway: Duration::from_secs(30),
        claims: ClaimsMapping::Ibm,
    }
}

#[test]
fn with_a_configuration_the_proxys_own_rules_count() {
    let fixture = Fixture::new();
    let with = |args: &[&str], token: &str| {
        let args = [&["--config", "c.yaml", "--token", token], args].concat();
        run_with(&args, "", |path| {
            assert_eq!(path, Path::new("c.yaml"));
            Ok(vec![spec(&fixture)])
        })
    };
    let good = &fixture.token;
    let answer = with(&["--at", "2029"], good).one(0);
    assert_eq!(answer["identity"]["id"], json!("IBMid-1"));
    assert_eq!(with(&["--at", "2030"], good).one(1)["error"], json!("expired"));
    let wrong = with(&["--at", "1", "--audience", "invoices"], good).one(1);
    assert_eq!(wrong["error"], json!("audience_not_allowed"));
    with(&["--at", "2029", "--audience", "orders"], good).one(0);
    let other = json!({ "iss": "https://i.example.com", "exp": 9, "aud": "x", "iam_id": "i" });
    let other = with(&["--at", "1", "--audience", "x"], &fixture.signer.token(&other)).one(1);
    assert_eq!(other["error"], json!("audience_not_allowed"), "the configuration still counts");
    let wrong = with(&["--at", "1", "--algorithms", "RS256"], good).one(1);
    assert_eq!(wrong["error"], json!("algorithm_not_allowed"));
    with(&["--at", "1", "--issuer", "https://j"], good).could_not("https://j");
    assert_eq!(with(&[], "garbage").one(1)["error"], json!("malformed"));
    let foreign = fixture.signer.token(&json!({ "iss": "https://j", "exp": 9 }));
    assert_eq!(with(&[], &foreign).one(1)["error"], json!("unknown_issuer"));

    std::fs::remove_file(fixture.path("keys.json")).unwrap();
    with(&["--at", "1"], good).could_not("https://i.example.com");
}

#[test]
fn the_token_is_not_in_the_debug_form_of_the_arguments() {
    let args = Program::try_parse_from(["verify", "--token", "s3cr3t"]).unwrap().verify;
    assert!(!format!("{args:?}").contains("s3cr3t"));
}
