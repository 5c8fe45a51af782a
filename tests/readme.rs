//! Does what README.md tells a newcomer to do: what it says must work as it stands there.

#![expect(clippy::unwrap_used, reason = "a failed test panics")]

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};

#[test]
fn the_first_policy_works_as_it_is_written() {
    let readme = read("README.md");
    let part = between(&readme, "## The first policy", "## Commands");
    // The first block builds the binary; here it is built already.
    let blocks: Vec<&str> = part
        .split("```sh\n")
        .skip(2)
        .filter_map(|rest| rest.split_once("\n```"))
        .map(|(block, _)| block)
        .collect();
    assert!(8 < blocks.len(), "README.md has lost its steps");
    let mut steps = blocks.join("\n");
    let free: Vec<TcpListener> =
        (0..3).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    for (written, free) in ["8080", "9000", "9901"].iter().zip(&free) {
        steps = steps.replace(written, &free.local_addr().unwrap().port().to_string());
    }
    drop(free);

    let directory = tempfile::tempdir().unwrap();
    let output = directory.path().join("output");
    let binaries = Path::new(env!("CARGO_BIN_EXE_crossgate")).parent().unwrap().to_owned();
    let script = format!(
        "set -m\ntrap 'kill $(jobs -p); wait' EXIT\nPATH=\"{}:$PATH\"\n{steps}\n",
        binaries.display()
    );
    let status = Command::new("bash")
        .args(["-c", &script])
        .current_dir(directory.path())
        .stdin(Stdio::null())
        .stdout(File::create(&output).unwrap())
        .stderr(Stdio::inherit())
        .status()
        .unwrap();
    let said = fs::read_to_string(&output).unwrap();
    assert!(status.success(), "{said}");
    let check = |wanted: &str, times: usize| {
        assert_eq!(said.matches(wanted).count(), times, "`{wanted}` in:\n{said}");
    };
    check("ok: crossgate.yaml\n", 1);
    // Three callers while it is observed, one of two when it is limited, one of two by a policy of
    // one side, and the other one by policies of both.
    check("{\"order\":7}\n 200\n", 6);
    check("NOT READY", 1);
    check("\n  account stranger  ", 1);
    check("Deny      false     IBMid-eve", 1);
    check("\"external_account_denied\"", 1);
    check("\"policy_denied\"", 1);
    check("lacking: account partner must allow orders:GetOrder", 1);
    check("result     403 policy_denied\n", 1);
    check("arn:aws:iam::partner:user/IBMid-bob, from account partner\n", 1);
    check("\n2 ways\n", 1);
}

#[test]
fn the_commands_it_lists_exist() {
    let readme = read("README.md");
    let help = |words: &[&str]| {
        let crossgate =
            Command::new(env!("CARGO_BIN_EXE_crossgate")).args(words).arg("--help").output();
        crossgate.unwrap().status.code()
    };
    let table = between(&readme, "## Commands", "## Not there yet");
    let listed = table.lines().filter_map(|line| line.strip_prefix("| `crossgate "));
    let mut count = 0;
    for line in listed {
        let is_name_byte = |byte: u8| byte.is_ascii_lowercase() || byte == b'-';
        let is_name = |word: &&str| !word.starts_with('-') && word.bytes().all(is_name_byte);
        let line = line.split('`').next().unwrap();
        let words: Vec<&str> = line.split(' ').take_while(is_name).collect();
        assert_eq!(help(&words), Some(0), "crossgate {line}");
        count += 1;
    }
    assert!(18 < count, "README.md has lost its commands");
    assert_eq!(help(&["fly"]), Some(2), "not every command exists");
}

fn between<'t>(text: &'t str, start: &str, end: &str) -> &'t str {
    let (_, rest) = text.split_once(start).unwrap();
    rest.split_once(end).unwrap().0
}

fn read(file: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap()
}
