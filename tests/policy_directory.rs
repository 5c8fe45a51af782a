//! Goal: the policy directory counts from the start, a change is in force soon and alone, and a bad
//! version changes nothing.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a failed test panics"
)]

mod support;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use crossgate::clock::SystemClock;
use serde_json::{Value, json};
use support::gate::{Gate, World};
use support::identities::{OWNER, PARTNER, USER_ID};
use support::policies::{Policies, document};
use support::{RELOADED, poll, poll_until};

const LIMITED: &str = "mode: limited";

fn statement(effect: &str) -> Value {
    json!({ "Effect": effect, "Action": "orders:*", "Resource": "*" })
}

fn allows() -> Policies {
    Policies::new().user(OWNER, USER_ID, &[statement("Allow")])
}

/// Where the owner's user is.
fn details() -> String {
    format!("policies/accounts/{OWNER}/authorization-details.json")
}

/// Changes what the owner's user may do, by an atomic replacement.
fn rewrite(gate: &Gate, effect: &str) {
    let path = gate.path(&details());
    let text = fs::read_to_string(&path).unwrap();
    let other = if effect == "Allow" { "Deny" } else { "Allow" };
    let new = path.with_extension("new~");
    fs::write(&new, text.replace(&format!("\"{other}\""), &format!("\"{effect}\""))).unwrap();
    fs::rename(new, path).unwrap();
}

/// The policies' part of `/v1/snapshot`.
fn part(gate: &Gate) -> Value {
    let snapshot = gate.snapshot();
    let parts = snapshot["parts"].as_array().unwrap();
    parts.iter().find(|part| part["part"] == "policies").cloned().unwrap_or_default()
}

fn reloads(gate: &Gate, result: &str) -> f64 {
    let labels = [("part", "policies"), ("result", result)];
    gate.metrics().sum("crossgate_snapshot_reloads_total", &labels)
}

#[track_caller]
fn wait_for(world: &World, token: &str, status: u16) {
    poll_until("the policies in force", RELOADED, || world.get(token).status == status);
}

#[test]
fn a_changed_policy_is_in_force_without_a_restart() {
    let world = World::start(|config| allows().of(config, LIMITED));
    let token = world.user(OWNER);
    assert_eq!(world.get(&token).status, 200);
    let mut slowest = std::time::Duration::ZERO;
    for (effect, status) in [("Deny", 403), ("Allow", 200), ("Deny", 403), ("Allow", 200)] {
        let start = SystemClock.tick();
        rewrite(&world.gate, effect);
        wait_for(&world, &token, status);
        slowest = slowest.max(start.elapsed());
    }
    println!("in force within {slowest:?}");
    let part = part(&world.gate);
    assert_eq!(part["refused"], Value::Null);
    assert!(part["loaded"]["source"].as_str().unwrap().ends_with("/policies"), "{part}");
    assert!(reloads(&world.gate, "loaded") >= 5.0);
}

#[test]
fn a_bad_policy_changes_nothing_and_is_on_record_until_it_is_mended() {
    let world = World::start(|config| allows().of(config, LIMITED));
    let token = world.user(OWNER);
    let bad = world.gate.path(&format!("policies/accounts/{OWNER}/resources/bad.json"));
    fs::create_dir_all(bad.parent().unwrap()).unwrap();
    fs::write(&bad, "{\n  \"resource\": 1 }").unwrap();
    let refused = poll("a refusal", RELOADED, || {
        part(&world.gate)["refused"]["error"].as_str().map(str::to_owned)
    });
    assert!(refused.contains("bad.json:2:15: `resource` is a text, not a number"), "{refused}");
    assert!(reloads(&world.gate, "refused") >= 1.0);
    rewrite(&world.gate, "Deny");
    std::thread::sleep(RELOADED / 4);
    assert_eq!(world.get(&token).status, 200, "the last good version goes on");
    assert_eq!(world.gate.admin(&support::raw::Request::get("/readyz")).status, 200);
    fs::remove_file(bad).unwrap();
    wait_for(&world, &token, 403);
}

#[test]
fn a_start_with_a_bad_policy_ends_with_the_place() {
    let (idp, upstream) = (support::idp::Idp::start(), support::upstream::Upstream::start());
    let config = support::gate::Config::new(&idp, upstream.address());
    let bad = json!({ "resource": "arn:aws:orders:::o", "policy": { "Statement": [{}] } });
    let name = format!("accounts/{OWNER}/resources/o.json");
    let (status, stderr) = Gate::refuse(allows().file(&name, bad).of(config, LIMITED));
    assert_eq!(status, Some(2), "{stderr}");
    assert!(stderr.contains("/resources/o.json:1:"), "{stderr}");
}

#[test]
fn a_mounted_config_map_reloads_by_its_link() {
    let world = World::start(|config| {
        let config = allows().of(config, LIMITED);
        config.file("policies/..1/note", "")
    });
    let root = world.gate.path("policies");
    for (version, effect) in [("..1", "Allow"), ("..2", "Deny")] {
        let folder = root.join(version).join("accounts").join(OWNER);
        fs::create_dir_all(&folder).unwrap();
        let text = fs::read_to_string(world.gate.path(&details())).unwrap();
        let text = text.replace("\"Allow\"", &format!("\"{effect}\""));
        fs::write(folder.join("authorization-details.json"), text).unwrap();
    }
    let link = |to: &str, name: &str| {
        symlink(to, root.join("..new")).unwrap();
        fs::rename(root.join("..new"), root.join(name)).unwrap();
    };
    link("..1", "..data");
    fs::rename(root.join("accounts"), root.join("..old")).unwrap();
    link("..data/accounts", "accounts");
    let token = world.user(OWNER);
    wait_for(&world, &token, 200);
    link("..2", "..data");
    wait_for(&world, &token, 403);
    fs::remove_dir_all(root.join("..1")).unwrap();
    // What is behind the new link is followed too.
    let path = root.join("..2/accounts").join(OWNER).join("authorization-details.json");
    let text = fs::read_to_string(&path).unwrap().replace("\"Deny\"", "\"Allow\"");
    fs::write(path, text).unwrap();
    wait_for(&world, &token, 200);
}

#[test]
fn mode_and_unknown_callers_reload_and_the_directory_does_not() {
    let share = json!({ "policy": document(&[json!({
        "Effect": "Allow", "Principal": "*", "Action": "orders:*", "Resource": "*",
    })])});
    let resource = format!("arn:aws:orders::{OWNER}:order/*");
    let policies = Policies::new().resource(OWNER, "o", &resource, &share);
    let mut world = World::start(|config| policies.of(config, LIMITED));
    let token = world.user(PARTNER);
    assert_eq!(world.get(&token).status, 403, "nobody knows the caller's policies");
    let section = |rest: &str| format!("{{ directory: policies, {rest} }}");
    let open = section("mode: limited, unknown_callers: resource_policy_decides");
    world.gate.reconfigure(|config| config.set("policies", open));
    wait_for(&world, &token, 200);
    world.gate.reconfigure(|config| config.set("policies", section(LIMITED)));
    wait_for(&world, &token, 403);
    world.gate.reconfigure(|config| config.set("policies", section("mode: report-only")));
    wait_for(&world, &token, 200);

    world.gate.reconfigure(|config| config.set("policies", section(LIMITED)));
    wait_for(&world, &token, 403);
    fs::create_dir(world.gate.path("other")).unwrap();
    let told = "a change of this key takes effect after a restart";
    // What counts in the other directory does not count in this one.
    for rest in [LIMITED, "mode: report-only"] {
        let other = format!("{{ directory: other, {rest} }}");
        let done = "the configuration was reloaded";
        let before = world.gate.stderr().matches(done).count();
        world.gate.reconfigure(|config| config.set("policies", other));
        let is_done = || before < world.gate.stderr().matches(done).count();
        poll_until("a reload", RELOADED, is_done);
        assert!(world.gate.stderr().contains(told));
        assert_eq!(world.get(&token).status, 403, "the policies and their mode stay");
    }
}

#[test]
fn a_hangup_reads_the_directory() {
    let world = World::start(|config| allows().of(config, LIMITED));
    let before = reloads(&world.gate, "loaded");
    world.gate.signal("HUP");
    poll_until("a reload", RELOADED, || reloads(&world.gate, "loaded") > before);
}

#[test]
fn without_the_section_there_are_no_policies() {
    let world = World::start(|config| config);
    assert_eq!(part(&world.gate), Value::Null);
    assert_eq!(world.get(&world.user(OWNER)).status, 200);
}

/// `crossgate check` on a configuration with a policy directory.
fn check(folder: &Path) -> (Option<i32>, String) {
    fs::write(
        folder.join("crossgate.yaml"),
        "listeners: [{ address: \"127.0.0.1:1\" }]\npolicies: { directory: policies, mode: limited }\n\
         upstreams: { u: { endpoints: [\"http://127.0.0.1:9\"] } }\n\
         routes: [{ path: /r, public: true, upstream: u }]\n",
    )
    .unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_crossgate"));
    command.arg("check").arg("--config").arg(folder.join("crossgate.yaml"));
    let output = command.output().unwrap();
    (output.status.code(), String::from_utf8(output.stdout).expect("text"))
}

#[test]
fn check_tells_everything_about_the_directory() {
    let folder = tempfile::tempdir().unwrap();
    let resources = folder.path().join("policies/accounts/111111111111/resources");
    fs::create_dir_all(&resources).unwrap();
    let write = |name: &str, arn: &str| {
        fs::write(resources.join(name), json!({ "resource": arn }).to_string()).unwrap();
    };
    write("one.json", "arn:aws:s3:::b/k");
    write("all.json", "arn:aws:s3:::b/*");
    let (status, told) = check(folder.path());
    assert_eq!(status, Some(0), "{told}");
    assert!(told.contains("one.json:1:13: warning: `arn:aws:s3:::b/k` is also meant by"), "{told}");
    write("two.json", "b");
    write("three.json", "arn:aws:s3");
    let (status, told) = check(folder.path());
    assert_eq!(status, Some(1), "{told}");
    assert!(told.contains("two.json:1:13: error:"), "{told}");
    assert!(told.contains("three.json:1:13: error:"), "{told}");
}

#[test]
fn the_example_has_no_findings() {
    let folder = tempfile::tempdir().unwrap();
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/policies");
    symlink(example, folder.path().join("policies")).unwrap();
    let (status, told) = check(folder.path());
    assert_eq!(status, Some(0), "{told}");
    assert!(told.starts_with("ok: "), "{told}");
}
