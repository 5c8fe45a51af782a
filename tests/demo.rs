//! `crossgate demo` as a user runs it.
#![expect(clippy::unwrap_used, reason = "a failed test panics")]

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::time::Duration;

/// The demo with an empty temporary directory of its own.
fn demo(temporary: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_crossgate"));
    command.arg("demo").env("TMPDIR", temporary).env("HOME", "/nonexistent").current_dir("/");
    command
}

fn once(temporary: &Path) -> Output {
    demo(temporary).arg("--once").output().unwrap()
}

fn is_empty(directory: &Path) -> bool {
    std::fs::read_dir(directory).unwrap().next().is_none()
}

/// A text's words, separated by single spaces; the bars of quoted lines are none.
fn words(text: &str) -> String {
    text.split_whitespace().filter(|word| *word != "|").collect::<Vec<_>>().join(" ")
}

/// A text's lines, their words separated by single spaces.
fn lines(text: &str) -> String {
    let lines = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
    lines.map(|line| line + "\n").collect()
}

/// The line that begins so, its words separated by single spaces.
#[track_caller]
fn line(text: &str, beginning: &str) -> String {
    let lines = lines(text);
    let found = lines.lines().find(|line| line.starts_with(beginning));
    assert!(found.is_some(), "no `{beginning}` in {text}");
    found.unwrap().to_owned()
}

#[test]
fn the_story_comes_out_and_leaves_nothing_behind() {
    let temporary = tempfile::tempdir().unwrap();
    let output = once(temporary.path());
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert!(is_empty(temporary.path()));

    for (beginning, expected) in [
        ("ada", "ada the account's own user 200 200 200"),
        ("pat", "pat of Parcel 444444444444 200 candidate: deny 200 would permit 200"),
        ("sam of", "sam of Stray 999999999999 200 candidate: deny 200 would deny 403 denied"),
        ("sam in", "sam in a trusted profile 200 200 200"),
        ("| account 222222222222", "| account 222222222222 for `limited`: NOT READY"),
        ("| account 444444444444", "| account 444444444444 1 request"),
        (
            "operator",
            "operator PATCHes the setting 200 in force from this answer on, and in settings.yaml",
        ),
    ] {
        assert_eq!(line(&text, beginning), expected);
    }
    assert!(line(&text, "acme-dev, its candidate").contains("2 requests would be denied"));
    assert_eq!(text.matches("; 0 lost\n").count(), 2, "{text}");
    assert!(text.contains("the service is told x-crossgate-account: 222222222222\n"), "{text}");
    assert!(text.contains("403 external_account_denied\n"), "{text}");
    let enforced = |flag: &str, decision: &str| {
        let query =
            format!("responseData.isEnforced:\"{flag}\" AND responseData.decision:\"{decision}\"");
        let found = line(&text, &query);
        let count = found.strip_prefix(&query).unwrap().strip_suffix(" events").unwrap();
        count.trim().parse::<usize>().unwrap()
    };
    // Three by the perimeter's settings, and the session that a candidate takes for a stranger.
    assert_eq!(enforced("false", "Deny"), 4);
    // What never ran: all that was recorded of Parcel at acme-shop, and the stranger's request there.
    let replayed = line(&text, "With acme-shop's allowlist empty, crossgate replay:");
    assert!(replayed.ends_with(" newly denied, of Parcel, Stray"), "{replayed}");
    assert!(100 < enforced("false", "Permit"));
    // Two of the perimeter, three of the roles, the rest of the encrypted order.
    assert!(2 + 3 + 3 <= enforced("true", "Deny"));
    assert!(line(&text, "Everything").starts_with("Everything came out as expected."));
}

#[test]
fn the_encrypted_order_is_refused_explained_mended_and_allowed() {
    let temporary = tempfile::tempdir().unwrap();
    let text = String::from_utf8(once(temporary.path()).stdout).unwrap();
    let (_, act) = text.split_once("\n4  Order 8 ").unwrap();
    let (act, records) = act.split_once("\n5  ").unwrap();
    let of_pat = act.lines().filter_map(|line| line.trim().strip_prefix("pat of Parcel "));
    let statuses: Vec<_> =
        of_pat.map(|line| line.split_whitespace().nth(1).unwrap().to_owned()).collect();
    assert_eq!(statuses, ["403", "403", "200"], "{act}");
    assert!(act.contains(" 403 policy_denied; "), "{act}");
    assert!(words(act).contains(LACK), "{act}");
    for recorded in [
        "of Parcel at acme-pay candidate: limited, by policies\n",
        "of Parcel at acme-pay limited, missing: key policy\n",
    ] {
        assert!(lines(records).contains(recorded), "{records}");
    }
}

#[test]
fn roles_replace_permissions_and_guesses_are_noticed() {
    let temporary = tempfile::tempdir().unwrap();
    let text = String::from_utf8(once(temporary.path()).stdout).unwrap();
    let (_, act) = text.split_once("\n5  Roles ").unwrap();
    let (act, records) = act.split_once("\n6  ").unwrap();
    let act = lines(act);
    let of = |who: &str| -> Vec<String> {
        let after = act.lines().skip_while(|line| !line.starts_with(who)).enumerate();
        let own = after.take_while(|(number, line)| *number == 0 || line.starts_with('4'));
        own.map(|(_, line)| line.strip_prefix(who).unwrap_or(line).trim().to_owned()).collect()
    };
    assert_eq!(
        of("kim of acme-dev 111111111111"),
        [
            "200 changes order 9 of acme-dev, at home",
            "403 but not order 9 of acme-pay: external_account_denied",
            "403 AssumeRole production-fix by password alone: AccessDenied",
        ]
    );
    assert_eq!(
        of("kim in production-fix"),
        [
            "200 changes order 9 of acme-pay: the session is acme-pay's own",
            "403 but not order 9 of acme-dev: policy_denied",
        ]
    );
    for told in [
        "| recorded: initiator.id arn:aws:iam::333333333333:role/production-fix, authnId IBMid-KIM\n",
        "403 no such role: the same answer; its event says unknown_role\n",
        "| crossgate events query 'action:\"crossgate.detection.external_id_guessing\"': 1 event\n",
        "| 3 external IDs in vain, by arn:aws:iam::444444444444:user/IBMid-PAT\n",
        "| crossgate_detections_total{name=\"external_id_guessing\"} 1\n",
        "kim in production-fix 401 unauthenticated, 20 times, by the token that worked\n",
        "pat in parcel-tracking 200 as before: another role\n",
    ] {
        assert!(act.contains(told), "no `{told}` in {act}");
    }
    let candidate = "1 x kim@acme.example of acme-pay at acme-dev candidate: limited\n";
    assert!(lines(records).contains(candidate), "{records}");
}

#[test]
fn the_story_is_plain_and_short_and_tells_no_secret() {
    let temporary = tempfile::tempdir().unwrap();
    let text = String::from_utf8(once(temporary.path()).stdout).unwrap();
    let widest = text.lines().map(|line| line.chars().count()).max().unwrap();
    assert!(widest <= 100, "{widest} columns: {text}");
    assert!(text.lines().count() <= 110, "{} lines", text.lines().count());
    for secret in ["eyJ", EXTERNAL_ID] {
        assert!(!text.contains(secret), "`{secret}` in {text}");
    }
    assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text:?}");
}

#[test]
fn files_that_are_kept_answer_questions() {
    let temporary = tempfile::tempdir().unwrap();
    let kept = temporary.path().join("kept");
    let output = demo(temporary.path()).args(["--once", "--keep"]).arg(&kept).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{text}");
    let last = text.lines().last().unwrap();
    assert!(last.starts_with("crossgate report readiness --account 222222222222 "), "{text}");
    let program = Path::new(env!("CARGO_BIN_EXE_crossgate"));
    let page = shell(&last.replacen("crossgate", &program.display().to_string(), 1));
    assert!(page.starts_with("<!doctype html>") && page.contains("NOT READY"), "{page}");
    // Beside it nothing is left, and what is there is not written over.
    assert_eq!(std::fs::read_dir(temporary.path()).unwrap().count(), 1);
    let again = demo(temporary.path()).args(["--once", "--keep"]).arg(&kept).output().unwrap();
    assert_eq!(again.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&again.stderr).contains("is there already"));
}

#[test]
fn colour_is_on_demand_and_adds_nothing_but_colour() {
    let temporary = tempfile::tempdir().unwrap();
    let coloured = demo(temporary.path()).arg("--once").env("CLICOLOR_FORCE", "1").output();
    let text = String::from_utf8(coloured.unwrap().stdout).unwrap();
    assert!(text.contains("\u{1b}[32m200"), "{text:?}");
    let plain = anstream::adapter::strip_str(&text).to_string();
    let widest = plain.lines().map(|line| line.chars().count()).max().unwrap();
    assert!(widest <= 100, "{widest} columns: {plain}");
}

#[test]
fn no_temporary_directory_is_an_error_that_says_so() {
    let output = once(Path::new("/nonexistent"));
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("/nonexistent"));
}

/// A demo that runs until it is told to end; ended at the latest when it is dropped.
struct Running {
    process: Child,
    output: BufReader<ChildStdout>,
}

impl Running {
    fn start(command: &mut Command) -> Self {
        let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        Self { process, output }
    }

    /// What it prints until it waits.
    fn invitation(&mut self) -> String {
        let mut text = String::new();
        while !text.contains("Ctrl-C") {
            assert_ne!(self.output.read_line(&mut text).unwrap(), 0, "it ended: {text}");
        }
        text
    }

    fn interrupt(&mut self) -> Option<i32> {
        let pid = self.process.id().to_string();
        assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
        self.process.wait().unwrap().code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It has ended already where the test went well.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn shell(line: &str) -> String {
    let output = Command::new("sh").args(["-c", line]).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn an_interrupted_story_leaves_nothing_behind() {
    let temporary = tempfile::tempdir().unwrap();
    let mut running = Running::start(demo(temporary.path()).arg("--once"));
    running.output.read_line(&mut String::new()).unwrap();
    assert_eq!(running.interrupt(), Some(2));
    assert!(is_empty(temporary.path()), "files are left");
}

#[test]
fn printed_commands_work_as_they_are_until_it_is_interrupted() {
    let temporary = tempfile::tempdir().unwrap();
    let mut running = Running::start(&mut demo(temporary.path()));
    let text = running.invitation();
    let (text, _) = text.split_once("\n4  Share an encrypted order").unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let asked: Vec<_> = lines
        .windows(2)
        .filter_map(|pair| match pair {
            [what, command] if command.starts_with("curl -i ") => Some((*what, *command)),
            _ => None,
        })
        .collect();
    assert_eq!(asked.len(), 6, "{text}");
    for (what, command) in asked {
        let (_, expected) = what.rsplit_once(": ").unwrap();
        let answer = ask(command);
        assert!(answer.starts_with(&format!("HTTP/1.1 {expected} ")), "{what}: {answer}");
        assert_eq!(answer.contains("\"x-crossgate-account\""), expected == "200", "{answer}");
    }
    let setting = lines.iter().find(|line| line.starts_with("curl http")).unwrap();
    assert!(shell(&format!("{setting} --silent")).contains("\"state\":\"monitor\""));
    let file = lines.iter().find_map(|line| Some(line.split_once("acme-shop too: ")?.1)).unwrap();
    assert!(PathBuf::from(file).starts_with(temporary.path()));
    let settings = std::fs::read_to_string(file).unwrap();
    std::fs::write(file, settings.replace("report-only", "limited")).unwrap();
    let stranger =
        lines.iter().find(|line| line.starts_with("curl -i ") && line.contains("/222222222222/"));
    assert!(is_answered(stranger.unwrap(), "403"), "an edit of {file} is not in force");

    assert_eq!(running.interrupt(), Some(0));
    assert!(is_empty(temporary.path()), "files are left");
}

#[test]
fn printed_commands_explain_and_mend_the_encrypted_order() {
    let temporary = tempfile::tempdir().unwrap();
    let mut running = Running::start(&mut demo(temporary.path()));
    let text = running.invitation();
    let (_, text) = text.split_once("\n4  Share an encrypted order").unwrap();
    let (text, _) = text.split_once("\n5  ").unwrap();
    let [refused, explain, access, check, mend, allowed] = commands(text)[..] else {
        panic!("{text}");
    };

    let answer = ask(refused);
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
    assert!(answer.contains("\"code\":\"policy_denied\""), "{answer}");
    assert!(words(&shell(explain)).contains(LACK));
    assert!(!shell(access).contains("IBMid-PAT"));
    let doubts = "this is encrypted with does not let it in";
    let checked = shell(check);
    assert!(checked.contains(doubts) && !checked.contains("third party"), "{checked}");

    shell(mend);
    assert!(is_answered(allowed, "200"), "`{mend}` is not in force");
    assert!(shell(explain).ends_with("result     forwarded\n"));
    assert!(shell(access).contains("IBMid-PAT"));
    assert!(!shell(check).contains(doubts));
    assert_eq!(running.interrupt(), Some(0));
    assert!(is_empty(temporary.path()), "files are left");
}

#[test]
fn printed_commands_begin_use_and_end_sessions_of_roles() {
    let temporary = tempfile::tempdir().unwrap();
    let mut running = Running::start(&mut demo(temporary.path()));
    let text = running.invitation();
    let (_, text) = text.split_once("\n5  Begin a session of a role").unwrap();
    let [by_password, begin, production, home, vendor, guesses, noticed, end, ended, _] =
        commands(text)[..]
    else {
        panic!("{text}");
    };
    // One shell has all of it, as somebody who pastes them: the session's token is in a variable.
    let lines = [by_password, begin, production, home, vendor, guesses, end, ended];
    let script = lines.join("\necho; echo ==\n");
    let quick = "curl() { command curl --silent --max-time 10 \"$@\"; }";
    let output = shell(&format!("{quick}\n{script}"));
    let answers: Vec<&str> = output.split("\n==\n").collect();
    let [by_password, begun, production, home, vendor, guesses, end, ended] = answers[..] else {
        panic!("{output}");
    };
    for (answer, status) in
        [(by_password, "403"), (production, "200"), (home, "403"), (vendor, "200"), (ended, "401")]
    {
        assert!(answer.trim().starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
    }
    assert!(by_password.contains("<Code>AccessDenied</Code>"), "{by_password}");
    assert!(production.contains("\"x-crossgate-account\":\"333333333333\""), "{production}");
    assert!(home.contains("\"code\":\"policy_denied\""), "{home}");
    assert!(vendor.contains("<SessionToken>eyJ"), "{vendor}");
    assert_eq!((begun.trim(), guesses.matches("AccessDenied").count()), ("", 3), "{guesses}");
    assert!(end.trim().starts_with("ended: the sessions of arn:aws:iam::333333333333:"), "{end}");
    let is_noticed = (0..POLLS_MAX).any(|_| {
        std::thread::sleep(POLL_INTERVAL);
        shell(noticed).contains("external_id_guessing")
    });
    assert!(is_noticed, "`{noticed}` finds nothing");
    assert_eq!(running.interrupt(), Some(0));
    assert!(is_empty(temporary.path()), "files are left");
}

/// The lines of a section below its heading that are no comments.
fn commands(section: &str) -> Vec<&str> {
    let is_command = |line: &&str| !line.starts_with('#') && !line.is_empty();
    section.lines().skip(1).filter(is_command).collect()
}

/// The answer to a printed `curl` line.
fn ask(command: &str) -> String {
    shell(&format!("{command} --silent --max-time 10"))
}

/// Whether a printed `curl` line is answered so, soon.
fn is_answered(command: &str, status: &str) -> bool {
    (0..POLLS_MAX).any(|_| {
        std::thread::sleep(POLL_INTERVAL);
        ask(command).starts_with(&format!("HTTP/1.1 {status} "))
    })
}

/// The side that lacks a grant, in words.
const LACK: &str = "lacking: the key policy of arn:aws:kms:eu-central-1:333333333333:key/orders \
    does not let account 444444444444 use the key for kms:Decrypt";

/// The external ID of the demo's vendor.
const EXTERNAL_ID: &str = "K7QWT9XM-4HVPB2ZC-Y6RNJ3SD-F8GLE5AU";

const POLL_INTERVAL: Duration = Duration::from_millis(100);
/// Ten seconds, for a machine with much else to do.
const POLLS_MAX: usize = 100;
