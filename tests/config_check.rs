//! `crossgate check` shows what is wrong, with its place, and ends as promised.

#![expect(clippy::unwrap_used, reason = "a failed test panics")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crossgate::cli::check::{self, CheckArgs, CheckError, Format, Outcome};

struct Place {
    directory: tempfile::TempDir,
}

impl Place {
    fn new(crossgate: &str, settings: &str) -> Self {
        let place = Self { directory: tempfile::tempdir().unwrap() };
        place.write("crossgate.yaml", crossgate);
        place.write("settings.yaml", settings);
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    /// What `check` says, without colours and with the directory's name taken out.
    fn check(&self, strict: bool, format: Format) -> (Outcome, String) {
        let args = CheckArgs { config: self.path("crossgate.yaml"), strict, format };
        let mut out = anstream::StripStream::new(Vec::new());
        let outcome = check::check(&args, &mut out).unwrap();
        let text = String::from_utf8(out.into_inner()).unwrap();
        (outcome, text.replace(&format!("{}/", self.directory.path().display()), ""))
    }

    fn text(&self) -> (Outcome, String) {
        self.check(false, Format::Text)
    }
}

const GOOD: &str = "\
listeners: [{ address: 127.0.0.1:8080 }]
routes: [{ path: /healthz, public: true, upstream: orders }]
upstreams: { orders: { endpoints: [http://127.0.0.1:9000] } }
settings: { file: settings.yaml }
";

#[test]
fn what_is_right_passes() {
    let place = Place::new(GOOD, "default: { mode: unrestricted, allowlist: [] }\n");
    assert_eq!(place.text(), (Outcome::Passed, "ok: crossgate.yaml\n".to_owned()));
    assert_eq!(place.check(true, Format::Text).0, Outcome::Passed);
}

#[test]
fn errors_are_shown_with_their_line_and_a_hint() {
    let wrong =
        GOOD.replace("upstream: orders", "upstream: order").replace("settings: {", "setings: {");
    let place = Place::new(&wrong, "default: { mode: unrestricted, allowlist: [] }\n");
    let (outcome, text) = place.text();
    assert_eq!(outcome, Outcome::Refused);
    insta::assert_snapshot!(text, @r#"
    crossgate.yaml:2:52: error: unknown upstream `order`
     2 | routes: [{ path: /healthz, public: true, upstream: order }]
       |                                                    ^^^^^
       = hint: did you mean `orders`?

    crossgate.yaml:4:1: error: unknown key `setings`
     4 | setings: { file: settings.yaml }
       | ^^^^^^^
       = hint: did you mean `settings`?

    refused: crossgate.yaml, 2 errors, 0 warnings
    "#);
}

#[test]
fn warnings_refuse_only_where_they_are_asked_to() {
    let place = Place::new(GOOD, "accounts:\n  a: { mode: report-only, allowlist: [a] }\n");
    let (outcome, text) = place.text();
    assert_eq!(outcome, Outcome::Passed);
    insta::assert_snapshot!(text, @r#"
    settings.yaml:2:39: warning: the allowlist of account `a` names the account itself
     2 |   a: { mode: report-only, allowlist: [a] }
       |                                       ^
       = hint: an owner's own identities always come in; remove it

    ok: crossgate.yaml, 1 warning
    "#);
    let (outcome, text) = place.check(true, Format::Text);
    assert_eq!(outcome, Outcome::Refused);
    assert!(text.ends_with("refused: crossgate.yaml, 0 errors, 1 warning\n"), "{text}");
}

#[test]
fn programs_get_one_object() {
    let place = Place::new(GOOD, "accounts:\n  a: { mode: limited, allowlist: [b] }\n");
    let (outcome, text) = place.check(false, Format::Json);
    assert_eq!(outcome, Outcome::Passed);
    insta::assert_snapshot!(text, @r#"{"valid":true,"file":"crossgate.yaml","findings":[{"severity":"warning","file":"settings.yaml","line":2,"column":14,"message":"account `a` is `limited` and was never observed: the event log has no report-only or candidate evaluation of it","hint":"run it in `report-only` for 30 days, then ask `crossgate report readiness`"}]}"#);
    place.write("settings.yaml", "accounts:\n  a: { mode: limitd }\n");
    let (outcome, text) = place.check(false, Format::Json);
    assert_eq!(outcome, Outcome::Refused);
    insta::assert_snapshot!(text, @r#"{"valid":false,"file":"crossgate.yaml","findings":[{"severity":"error","file":"settings.yaml","line":2,"column":14,"message":"unknown mode `limitd`","hint":"`limited`"}]}"#);
}

#[test]
fn a_limited_account_that_the_log_observed_is_sound() {
    let place = Place::new(GOOD, "accounts:\n  a: { mode: limited, allowlist: [b] }\n");
    assert!(place.text().1.contains("was never observed"));
    fs::create_dir(place.path("events")).unwrap();
    place.write(
        "events/crossgate-a.ndjson",
        concat!(
            r#"{"action":"iam-access-management.account-settings.eval","requestData":{"resource":"#,
            r#"{"attributes":{"accountId":"a"}}},"responseData":{"mode":"report-only","#,
            r#""candidate":false}}"#,
            "\n"
        ),
    );
    assert_eq!(place.text(), (Outcome::Passed, "ok: crossgate.yaml\n".to_owned()));
}

#[test]
fn settings_that_are_empty_or_unreadable_are_errors() {
    let place = Place::new(GOOD, "");
    let (outcome, text) = place.text();
    assert_eq!(outcome, Outcome::Refused);
    assert!(text.starts_with("settings.yaml:1:1: error: "), "{text}");
    fs::write(place.path("settings.yaml"), b"accounts: \xff\n").unwrap();
    let (outcome, text) = place.text();
    assert_eq!(outcome, Outcome::Refused);
    assert!(text.starts_with("settings.yaml:1:1: error: can't read the settings"), "{text}");
}

#[test]
fn a_terminal_is_not_told_what_to_do_by_a_document() {
    // A raw escape in the line that is shown, and an escaped one in the key that is named.
    for (document, expect) in [
        ("a: \"\u{1b}[2J\"\n", "a: \"\u{fffd}[2J\""),
        ("\"\\e[2J\\n\": 1\n", "unknown key `\u{fffd}[2J\u{fffd}`"),
    ] {
        let place = Place::new(document, "");
        let args =
            CheckArgs { config: place.path("crossgate.yaml"), strict: false, format: Format::Text };
        let mut out = Vec::new();
        check::check(&args, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains(expect), "{text}");
        assert!(!text.contains("\u{1b}[2J"), "{text}");
    }
}

#[test]
fn a_configuration_that_is_not_there_cannot_be_checked() {
    let args = CheckArgs {
        config: Path::new("none/crossgate.yaml").to_owned(),
        strict: false,
        format: Format::Text,
    };
    let error = check::check(&args, &mut Vec::new()).unwrap_err();
    assert!(matches!(error, CheckError::Config(_)), "{error}");
    assert_eq!(
        error.to_string(),
        "can't read `none/crossgate.yaml`: No such file or directory (os error 2)"
    );
}

#[test]
fn the_program_ends_as_promised() {
    let place = Place::new(GOOD, "accounts:\n  a: { mode: report-only, allowlist: [a] }\n");
    let file = place.path("crossgate.yaml");
    let run = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_crossgate"));
        let output = command.arg("check").args(arguments).arg("--config").arg(&file).output();
        let Output { status, stdout, stderr } = output.unwrap();
        (status.code(), !stdout.is_empty(), !stderr.is_empty())
    };
    assert_eq!(run(&[]), (Some(0), true, false));
    assert_eq!(run(&["--format", "json"]), (Some(0), true, false));
    assert_eq!(run(&["--strict"]), (Some(1), true, false));
    fs::write(&file, "listeners: 1\n").unwrap();
    assert_eq!(run(&[]), (Some(1), true, false));
    fs::remove_file(&file).unwrap();
    assert_eq!(run(&[]), (Some(2), false, true));
    assert_eq!(run(&["--no-such-flag"]), (Some(2), false, true));
}

#[test]
fn where_relative_paths_start_has_a_name() {
    let place = Place::new(
        &format!("{GOOD}policies: {{ directory: none, mode: limited }}\n"),
        "accounts:\n  a: { mode: report-only, allowlist: [a] }\n",
    );
    let file = place.path("crossgate.yaml");
    let check = |config: &Path| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_crossgate"));
        command.current_dir(file.parent().unwrap()).args(["check", "--config"]);
        String::from_utf8(command.arg(config).output().unwrap().stdout).unwrap()
    };
    let told = check(Path::new("crossgate.yaml"));
    assert!(told.contains("a relative path starts at `.`"), "{told}");
    let told = check(&file);
    let directory = format!("a relative path starts at `{}`", file.parent().unwrap().display());
    assert!(told.contains(&directory), "{told}");
}

#[test]
fn how_much_is_not_shown_is_told_and_counted() {
    let account = |it| format!("  a{it}: {{ mode: limited, allowlist: [b] }}\n");
    let accounts: String = (0..250).map(account).collect();
    let place = Place::new(GOOD, &format!("accounts:\n{accounts}"));
    let (outcome, text) = place.text();
    assert_eq!(outcome, Outcome::Passed);
    assert!(text.contains("warning: 50 more warnings are not shown\n\n"), "{text}");
    assert!(text.ends_with("ok: crossgate.yaml, 250 warnings\n"), "{text}");
    let (_, json) = place.check(false, Format::Json);
    assert!(
        json.contains("\"message\":\"50 more warnings are not shown\",\"hint\":null}]}"),
        "{json}"
    );
}
