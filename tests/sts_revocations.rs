//! Goal: who ends sessions has ended them: in the file, in every instance that shares it, and on
//! record; and whatever goes wrong brings none back.
//!
//! Method: stores and admin listeners over real files and sockets; then the program itself.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a failed test panics; the clock is real"
)]

mod support;

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crossgate::admin::{AdminAccess, AdminState, serve};
use crossgate::clock::UnixMillis;
use crossgate::event::EventIds;
use crossgate::iam::Session;
use crossgate::settings::{Actor, Reload, SettingsStore};
use crossgate::snapshot::{Part, SnapshotReader, SnapshotWriter};
use crossgate::sts::{Revocation, RevocationStore, RevocationsUpdate, RoleRevocation};
use metrics_exporter_prometheus::PrometheusBuilder;
use serde_json::{Value, json};
use support::gate::{Gate, World};
use support::identities::OWNER;
use support::raw::{Reply, Request};
use support::roles::{RoleWorld, role_arn, trusts_user};
use support::{RELOADED, SOON, poll, poll_until};
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

const ROLE: &str = "arn:aws:iam::111111111111:role/team/deploy";
const OTHER: &str = "arn:aws:iam::222222222222:role/read";
const PATH: &str = "/v1/sts/revocations";

/// An instance: a store that follows its file, and the admin listener over it.
struct Instance {
    address: SocketAddr,
    store: RevocationStore,
    reader: SnapshotReader,
    writer: SnapshotWriter,
    updates: Arc<Mutex<Vec<RevocationsUpdate>>>,
    runtime: Handle,
    end: CancellationToken,
}

impl Drop for Instance {
    fn drop(&mut self) {
        self.end.cancel();
    }
}

impl Instance {
    fn start(file: Option<&Path>, token: Option<&Path>) -> Self {
        let builder = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let control = builder.unwrap();
        let (runtime, end) = (control.handle().clone(), CancellationToken::new());
        let ended = end.clone();
        std::thread::spawn(move || control.block_on(ended.cancelled()));
        let (writer, reader) = SnapshotWriter::new();
        let updates: Arc<Mutex<Vec<RevocationsUpdate>>> = Arc::default();
        let seen = Arc::clone(&updates);
        let on_revoked = Box::new(move |update| seen.lock().unwrap().push(update));
        let file = file.map(Path::to_owned);
        let store = RevocationStore::new(file, writer.clone(), reader.clone(), on_revoked);
        runtime.block_on(store.reload(Reload::Always)).unwrap();
        let state = AdminState {
            reader: reader.clone(),
            writer: writer.clone(),
            settings: SettingsStore::new(None, writer.clone(), reader.clone(), Box::new(|_| {})),
            revocations: store.clone(),
            metrics: PrometheusBuilder::new().build_recorder().handle(),
            draining: Arc::new(AtomicBool::new(false)),
            missing: Arc::new(|_| Vec::new()),
            access: Arc::new(
                token.map_or_else(AdminAccess::loopback, |file| {
                    AdminAccess::token_file(file).unwrap()
                }),
            ),
        };
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        runtime.spawn(serve(listener, state, CancellationToken::new()));
        let followed = store.clone();
        runtime.spawn(async move { followed.follow().await });
        Self { address, store, reader, writer, updates, runtime, end }
    }

    #[track_caller]
    fn ask(&self, request: &Request<'_>) -> Reply {
        request.clone().header("connection", "close").ask(self.address)
    }

    #[track_caller]
    fn post(&self, body: &Value) -> Reply {
        let text = body.to_string();
        self.ask(&revocation(&text))
    }

    fn revokes(&self, session: &Session) -> bool {
        self.reader.load().revocations.revokes(session)
    }

    fn before(&self, role: &str) -> Option<String> {
        let before = self.reader.load().revocations.before(role)?;
        Some(crossgate::event::time::rfc3339(before))
    }

    fn refused(&self) -> Option<String> {
        Some(self.writer.parts().get(&Part::Revocations)?.refused.clone()?.error)
    }
}

fn revocation(body: &str) -> Request<'_> {
    Request::new("POST", PATH).header("content-type", "application/json").body(body.as_bytes())
}

fn now() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    UnixMillis(u64::try_from(since.as_millis()).unwrap())
}

/// A session of a role, issued so long ago.
fn session(role: &str, age: Duration) -> Session {
    let issued = UnixMillis(now().0 - u64::try_from(age.as_millis()).unwrap());
    Session {
        id: EventIds::new().next(issued),
        role: role.into(),
        name: "s".into(),
        transitive_tags: std::collections::BTreeSet::new(),
        source_identity: None,
        chained: false,
        federated_provider: None,
        policies: None,
    }
}

fn actor() -> Actor {
    Actor { id: "loopback", address: [127, 0, 0, 1].into(), agent: "test".to_owned() }
}

/// A time so long ago, as RFC 3339 has it.
fn ago(seconds: u64) -> String {
    crossgate::event::time::rfc3339(UnixMillis(now().0 / 1000 * 1000 - seconds * 1000))
}

struct Place {
    _directory: tempfile::TempDir,
    file: PathBuf,
}

impl Place {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("settings.revocations.json");
        Self { _directory: directory, file }
    }

    fn text(&self) -> String {
        fs::read_to_string(&self.file).unwrap()
    }

    fn replace(&self, text: &str) {
        let new = self.file.with_extension("new");
        fs::write(&new, text).unwrap();
        fs::rename(new, &self.file).unwrap();
    }
}

#[test]
fn what_was_ended_is_in_the_file_in_force_and_told_when_the_answer_comes() {
    let place = Place::new();
    let instance = Instance::start(Some(&place.file), None);
    let (old, second) = (session(ROLE, Duration::from_mins(9)), session(OTHER, Duration::ZERO));
    assert!(!instance.revokes(&old));
    let before = ago(300);
    let body = json!({ "role": ROLE, "before": before }).to_string();
    let reply = instance.ask(&revocation(&body).header("user-agent", "test/1"));
    assert_eq!((reply.status, reply.json()), (200, json!({ "role": ROLE, "before": before })));
    assert!(instance.revokes(&old));
    assert!(!instance.revokes(&session(ROLE, Duration::ZERO)), "it was issued later");
    assert!(place.text().contains(&format!("\"before\": \"{before}\"")), "{}", place.text());

    let id = second.id.to_string();
    let reply = instance.post(&json!({ "session": id }));
    assert_eq!((reply.status, &reply.json()["session"]), (200, &json!(id)));
    assert!(instance.revokes(&second));
    assert!(place.text().contains(&id));

    let listed = instance.ask(&Request::get(PATH)).json();
    assert_eq!(listed["revision"], instance.reader.load().revision);
    assert_eq!(listed["roles"], json!([{ "role": ROLE, "before": before }]));
    assert_eq!(listed["sessions"][0]["session"], json!(id));
    let until = listed["sessions"][0]["until"].as_str().unwrap().to_owned();
    assert!(ago(0) < until, "{until} is when its token can't count any more");

    let updates = instance.updates.lock().unwrap();
    assert_eq!(updates.len(), 2);
    assert_eq!((updates[0].actor.id, &*updates[0].actor.agent), ("loopback", "test/1"));
    assert_eq!(updates[1].revocation, Revocation::Session(second.id));
}

#[test]
fn without_a_time_all_sessions_until_now_end() {
    let place = Place::new();
    let instance = Instance::start(Some(&place.file), None);
    let begun = session(ROLE, Duration::ZERO);
    assert_eq!(instance.post(&json!({ "role": ROLE })).status, 200);
    assert!(instance.revokes(&begun));
    std::thread::sleep(Duration::from_millis(2));
    assert!(!instance.revokes(&session(ROLE, Duration::ZERO)));
}

#[test]
fn an_earlier_time_changes_nothing_and_the_answer_says_what_is_in_force() {
    let place = Place::new();
    let instance = Instance::start(Some(&place.file), None);
    let (early, late) = (ago(600), ago(60));
    assert_eq!(instance.post(&json!({ "role": ROLE, "before": late })).status, 200);
    let (text, revision) = (place.text(), instance.reader.load().revision);
    let reply = instance.post(&json!({ "role": ROLE, "before": early }));
    assert_eq!((reply.status, &reply.json()["before"]), (200, &json!(late)));
    assert_eq!((place.text(), instance.reader.load().revision), (text, revision));
    let updates = instance.updates.lock().unwrap();
    assert_eq!(updates.len(), 1, "nothing changed, so nothing is told");
}

#[test]
fn what_another_instance_ends_is_in_force_within_two_seconds() {
    let place = Place::new();
    let (one, two) =
        (Instance::start(Some(&place.file), None), Instance::start(Some(&place.file), None));
    let old = session(ROLE, Duration::from_mins(1));
    assert_eq!(one.post(&json!({ "role": ROLE })).status, 200);
    poll_until("in force in the other", RELOADED, || two.revokes(&old));
    assert!(two.updates.lock().unwrap().is_empty(), "who did it tells it");
    // What one does not know yet is not lost by its own change.
    let other = session(OTHER, Duration::from_mins(1));
    assert_eq!(two.post(&json!({ "role": OTHER })).status, 200);
    assert_eq!(one.post(&json!({ "session": other.id.to_string() })).status, 200);
    for instance in [&one, &two] {
        poll_until("all in force", RELOADED, || {
            let all = &instance.reader.load().revocations;
            all.counts() == (2, 1)
        });
    }
}

#[test]
fn instances_that_write_at_once_lose_nothing() {
    let place = Place::new();
    let instances: Vec<_> = (0..3).map(|_| Instance::start(Some(&place.file), None)).collect();
    let (each, mut expected) = (20, Vec::new());
    std::thread::scope(|scope| {
        for (number, instance) in instances.iter().enumerate() {
            let ids: Vec<Uuid> = (0..each).map(|_| session(ROLE, Duration::ZERO).id).collect();
            expected.extend(ids.clone());
            scope.spawn(move || {
                for (index, id) in ids.into_iter().enumerate() {
                    let role = format!("arn:aws:iam::1:role/r{number}-{index}");
                    let before = UnixMillis(now().0);
                    let role = RoleRevocation { role: role.into(), before };
                    for revocation in [Revocation::Session(id), Revocation::Role(role)] {
                        let revoked = instance.store.revoke(revocation, actor());
                        instance.runtime.block_on(revoked).unwrap();
                    }
                }
            });
        }
    });
    expected.sort_unstable();
    let kept = crossgate::sts::revocations::read(&place.file).unwrap();
    assert_eq!(kept.sessions(), expected);
    assert_eq!(kept.counts(), (60, 60));
    for instance in &instances {
        poll_until("all in force", RELOADED, || {
            instance.reader.load().revocations.counts() == (60, 60)
        });
    }
}

#[test]
fn a_bad_file_changes_nothing_and_is_on_record_until_it_is_mended() {
    let place = Place::new();
    let instance = Instance::start(Some(&place.file), None);
    assert_eq!(instance.post(&json!({ "role": ROLE, "before": ago(60) })).status, 200);
    let good = place.text();
    let bad = good.replace("\"role\"", "\"rol\"");
    place.replace(&bad);
    let error = poll("a refusal", RELOADED, || instance.refused());
    let end = "settings.revocations.json:3:7: an entry of `roles` has the unknown member `rol`; \
               hint: one of `role`, `before`";
    assert!(error.ends_with(end), "{error}");
    assert!(instance.revokes(&session(ROLE, Duration::from_mins(2))), "the old ones go on");

    let reply = instance.post(&json!({ "role": OTHER }));
    assert_eq!(reply.status, 500);
    let message = reply.json()["errors"][0]["message"].as_str().unwrap().to_owned();
    assert!(
        message.starts_with("no session was ended: ") && message.contains(":3:7:"),
        "{message}"
    );
    assert_eq!(instance.before(OTHER), None);
    assert_eq!(place.text(), bad, "what is not understood is not overwritten");

    place.replace("{ \"roles\": [], \"sessions\": [] }");
    poll_until("taken back by hand", RELOADED, || instance.before(ROLE).is_none());
    place.replace(&good);
    poll_until("in force again", RELOADED, || instance.before(ROLE).is_some());
}

#[test]
fn a_file_that_is_gone_brings_no_session_back() {
    let place = Place::new();
    let old = session(ROLE, Duration::from_mins(1));
    place.replace(&json!({ "roles": [{ "role": ROLE, "before": ago(0) }] }).to_string());
    let instance = Instance::start(Some(&place.file), None);
    fs::remove_file(&place.file).unwrap();
    let error = poll("a refusal", RELOADED, || instance.refused());
    assert!(error.contains("is gone; hint: to take revocations back, write `{}`"), "{error}");
    assert!(instance.revokes(&old));
    // The next change keeps all of it.
    assert_eq!(instance.post(&json!({ "role": OTHER })).status, 200);
    let kept = crossgate::sts::revocations::read(&place.file).unwrap();
    assert!(kept.revokes(&old));
    assert_eq!(kept.counts(), (2, 0));
    place.replace("{}");
    poll_until("taken back", RELOADED, || !instance.revokes(&old));
}

#[test]
fn what_can_not_be_written_is_not_in_force() {
    let disk = tempfile::tempdir().unwrap();
    mount("size=128k", disk.path(), &[]);
    let file = disk.path().join("settings.revocations.json");
    let instance = Instance::start(Some(&file), None);
    assert_eq!(instance.post(&json!({ "role": ROLE, "before": ago(60) })).status, 200);
    let text = fs::read_to_string(&file).unwrap();
    // Takes what is left.
    let _full = fs::write(disk.path().join("ballast"), vec![0; 1 << 20]);
    let refused = |why: &str| {
        let reply = instance.post(&json!({ "role": OTHER }));
        assert_eq!(reply.status, 500, "{why}");
        let problem = reply.json();
        assert_eq!(problem["errors"][0]["code"], "revocations_not_written");
        let message = problem["errors"][0]["message"].as_str().unwrap();
        assert!(message.contains(why), "{message}");
        assert_eq!(instance.before(OTHER), None, "not in force");
        assert_eq!(fs::read_to_string(&file).unwrap(), text, "the file is as it was");
        assert_eq!(instance.updates.lock().unwrap().len(), 1, "and nothing is told");
    };
    refused("No space left");
    fs::remove_file(disk.path().join("ballast")).unwrap();
    mount("remount,ro", disk.path(), &[]);
    refused("Read-only file system");
    mount("remount,rw", disk.path(), &[]);
    assert_eq!(instance.post(&json!({ "role": OTHER })).status, 200);
    drop(instance);
    as_root("umount", &["--lazy"], disk.path());
}

#[track_caller]
fn mount(options: &str, path: &Path, more: &[&str]) {
    let mut arguments = vec!["-t", "tmpfs", "-o", options, "crossgate-test"];
    arguments.extend(more);
    assert!(
        as_root("mount", &arguments, path),
        "this test mounts a tmpfs: run it as root, or where `sudo -n mount` works"
    );
}

fn as_root(program: &str, arguments: &[&str], path: &Path) -> bool {
    let run = |command: &mut Command| {
        command.args(arguments).arg(path).output().is_ok_and(|it| it.status.success())
    };
    run(&mut Command::new(program)) || run(Command::new("sudo").args(["-n", program]))
}

#[test]
fn a_lock_that_another_process_holds_is_told_after_a_while() {
    let place = Place::new();
    let instance = Instance::start(Some(&place.file), None);
    let lock = fs::File::create(place.file.with_file_name("settings.revocations.json.lock"));
    let lock = lock.unwrap();
    lock.lock().unwrap();
    let started = Instant::now();
    let reply = instance.post(&json!({ "role": ROLE }));
    assert_eq!(reply.status, 500);
    let message = reply.json()["errors"][0]["message"].as_str().unwrap().to_owned();
    assert!(message.contains("is locked by another process"), "{message}");
    assert!(started.elapsed() >= Duration::from_secs(4), "it waits first");
    assert_eq!(instance.before(ROLE), None);
    drop(lock);
    assert_eq!(instance.post(&json!({ "role": ROLE })).status, 200);
}

#[test]
fn a_linked_file_is_followed_and_not_written() {
    let directory = tempfile::tempdir().unwrap();
    let target = directory.path().join("target.json");
    let file = directory.path().join("settings.revocations.json");
    let listed = json!({ "roles": [{ "role": ROLE, "before": ago(60) }] }).to_string();
    fs::write(&target, &listed).unwrap();
    std::os::unix::fs::symlink("target.json", &file).unwrap();
    let instance = Instance::start(Some(&file), None);
    assert!(instance.before(ROLE).is_some());
    let reply = instance.post(&json!({ "role": OTHER }));
    assert_eq!(reply.status, 500);
    let message = reply.json()["errors"][0]["message"].as_str().unwrap().to_owned();
    assert!(message.contains("symbolic link"), "{message}");
    assert_eq!((instance.before(OTHER), fs::read_to_string(&target).unwrap()), (None, listed));
}

#[test]
fn another_file_takes_along_what_is_in_force() {
    let (first, second) = (Place::new(), Place::new());
    let instance = Instance::start(Some(&first.file), None);
    assert_eq!(instance.post(&json!({ "role": ROLE })).status, 200);
    second.replace(&json!({ "roles": [{ "role": OTHER, "before": ago(60) }] }).to_string());
    let move_to = |place: &Place| {
        let moved = instance.store.move_to(Some(place.file.clone()));
        instance.runtime.block_on(moved)
    };
    assert_eq!(move_to(&second).unwrap(), Some(first.file));
    for kept in
        [instance.store.in_force(), crossgate::sts::revocations::read(&second.file).unwrap().into()]
    {
        assert!(kept.before(ROLE).is_some() && kept.before(OTHER).is_some());
    }
    let third = Place::new();
    third.replace("x");
    let error = move_to(&third).unwrap_err().to_string();
    assert!(error.ends_with(":1:1: not JSON: a value is expected here"), "{error}");
    // The file from before is followed on.
    second.replace("{}");
    poll_until("the second file followed", RELOADED, || instance.before(ROLE).is_none());
}

#[test]
fn bad_requests_are_told_what_is_wrong() {
    let place = Place::new();
    let instance = Instance::start(Some(&place.file), None);
    let json_type = ("content-type", "application/json");
    let utf8 = ("content-type", "application/json; charset=utf-8");
    let long = format!("{{\"role\": \"{}\"}}", "a".repeat(20 << 10));
    let good = json!({ "role": ROLE }).to_string();
    let ahead = crossgate::event::time::rfc3339(UnixMillis(now().0 + 120_000));
    let ahead = json!({ "role": ROLE, "before": ahead }).to_string();
    for (method, header, body, status, names) in [
        ("POST", json_type, "", 400, "not JSON"),
        ("POST", json_type, "{\"role\"", 400, "not JSON"),
        ("POST", json_type, "\u{fffd}", 400, "not JSON"),
        ("POST", json_type, "{}", 400, "neither `role` nor `session`"),
        ("POST", json_type, "{\"role\": \"deploy\"}", 400, "`role`: `deploy` is no role's ARN"),
        ("POST", json_type, &ahead, 400, "`before` is more than a minute ahead"),
        ("POST", utf8, "{\"session\": 7}", 400, "`session` is a text, and this is a number"),
        ("POST", json_type, "{\"jti\": \"x\"}", 400, "unknown member `jti`"),
        ("POST", json_type, &long, 413, "longer than 16384 bytes"),
        ("POST", ("content-type", "text/plain"), &good, 415, "`Content-Type`"),
        (
            "POST",
            ("content-type", "application/x-www-form-urlencoded"),
            &good,
            415,
            "`Content-Type`",
        ),
        ("POST", ("accept", "*/*"), &good, 415, "`Content-Type`"),
        ("POST", ("origin", "https://evil.example"), &good, 403, "web pages have no access"),
        ("PUT", json_type, &good, 405, "other methods"),
        ("DELETE", json_type, "", 405, "other methods"),
    ] {
        let request = Request::new(method, PATH).header(header.0, header.1).body(body.as_bytes());
        let reply = instance.ask(&request);
        let problem = reply.json();
        assert_eq!((reply.status, &problem["status_code"]), (status, &json!(status)), "{body}");
        let message = problem["errors"][0]["message"].as_str().unwrap();
        assert!(message.contains(names), "{method} {body}: {message}");
        assert_eq!(reply.header("allow"), (status == 405).then_some("GET, HEAD, POST"));
    }
    assert!(instance.store.in_force().is_empty());
    assert!(!place.file.exists(), "nothing is written");
}

#[test]
fn without_a_file_nothing_is_ended() {
    let instance = Instance::start(None, None);
    let reply = instance.post(&json!({ "role": ROLE }));
    assert_eq!(reply.status, 409);
    let message = reply.json()["errors"][0]["message"].as_str().unwrap().to_owned();
    assert!(message.contains("hint: `settings: { file: settings.yaml }`"), "{message}");
    assert_eq!(instance.ask(&Request::get(PATH)).json()["roles"], json!([]));
}

#[test]
fn the_admin_token_is_needed_where_there_is_one() {
    let place = Place::new();
    let token = place.file.with_file_name("admin.token");
    fs::write(&token, "s3cret\n").unwrap();
    let instance = Instance::start(Some(&place.file), Some(&token));
    let body = json!({ "role": ROLE }).to_string();
    assert_eq!(instance.ask(&revocation(&body)).status, 401);
    assert_eq!(instance.ask(&revocation(&body).token("other")).status, 401);
    assert!(instance.store.in_force().is_empty());
    assert_eq!(instance.ask(&Request::get(PATH)).status, 200, "loopback reads freely");
    assert_eq!(instance.ask(&revocation(&body).token("s3cret")).status, 200);
}

#[test]
fn the_program_keeps_what_was_ended_and_has_it_on_record() {
    let world = World::start(|config| config);
    let before = ago(60);
    let body = json!({ "role": ROLE, "before": before }).to_string();
    let agent = revocation(&body).header("user-agent", "operator/1");
    assert_eq!(world.gate.admin(&agent).status, 200);
    let later = ago(30);
    let body = json!({ "role": ROLE, "before": later }).to_string();
    assert_eq!(world.gate.admin(&revocation(&body)).status, 200);
    let id = session(ROLE, Duration::ZERO).id.to_string();
    let body = json!({ "session": id }).to_string();
    assert_eq!(world.gate.admin(&revocation(&body)).status, 200);
    let parts = world.gate.snapshot()["parts"].clone();
    let part = parts.as_array().unwrap().iter().find(|part| part["part"] == "revocations");
    let source = part.unwrap()["loaded"]["source"].as_str().unwrap();
    assert!(source.ends_with("settings.revocations.json"), "{source}");
    assert!(world.gate.path("settings.revocations.json").is_file());

    let ended = world.gate.finish();
    assert!(ended.status.success(), "{}", ended.stderr);
    let action = "iam-access-management.account-settings.update";
    let updates = support::events::with(&ended.events, "/action", action);
    let told: Vec<_> = updates
        .iter()
        .map(|event| {
            let account = &event["requestData"]["resource"]["attributes"]["accountId"];
            (account.clone(), event["requestData"]["update"][0].clone())
        })
        .collect();
    let update = |initial: &str, new: &str| json!({ "updateType": "sts.revocation", "initialValue": initial, "newValue": new });
    let (first, second) = (format!("{ROLE} before {before}"), format!("{ROLE} before {later}"));
    assert_eq!(
        told,
        [
            (json!("111111111111"), update("", &first)),
            (json!("111111111111"), update(&first, &second)),
            (json!(""), update("", &format!("session {id}"))),
        ]
    );
    assert_eq!(updates[0]["initiator"]["id"], "loopback");
    assert_eq!(updates[0]["initiator"]["host"]["agent"], "operator/1");
}

#[test]
fn the_program_takes_over_the_file_at_start_and_follows_it() {
    let listed = json!({ "roles": [{ "role": ROLE, "before": ago(60) }] }).to_string();
    let world = World::start(|config| config.file("settings.revocations.json", &*listed));
    let list = || world.gate.admin(&Request::get(PATH)).json();
    assert_eq!(list()["roles"][0]["role"], ROLE);
    world.gate.replace("settings.revocations.json", "{}");
    poll_until("the change in force", RELOADED, || list()["roles"] == json!([]));
    world.gate.replace("settings.revocations.json", "{\"roles\": 1}");
    let refused = poll("the refusal on record", RELOADED, || {
        let parts = world.gate.snapshot()["parts"].clone();
        let part = parts.as_array()?.iter().find(|part| part["part"] == "revocations")?.clone();
        Some(part["refused"]["error"].as_str()?.to_owned())
    });
    assert!(refused.ends_with("`roles` is a list, and this is a number"), "{refused}");
    let labels = [("part", "revocations"), ("result", "refused")];
    poll_until("the refusal counted", SOON, || {
        world.gate.metrics().sum("crossgate_snapshot_reloads_total", &labels) > 0.5
    });
}

#[test]
fn a_start_with_a_bad_file_ends_with_the_place() {
    let (idp, upstream) = (support::idp::Idp::start(), support::upstream::Upstream::start());
    let config = support::gate::Config::new(&idp, upstream.address());
    let (code, errors) =
        Gate::refuse(config.file("settings.revocations.json", "{\n  \"role\": 1 }"));
    assert_eq!(code, Some(2), "{errors}");
    assert!(errors.contains("settings.revocations.json:2:3: the document has the unknown member"));
}

/// What a command left: exit code, standard output, standard error.
struct Ran {
    code: Option<i32>,
    out: String,
    errors: String,
}

fn revoke(url: &str, arguments: &[&str], token: Option<&str>) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_crossgate"));
    command.args(["sessions", "revoke", "--url", url]).args(arguments);
    command.env_remove("CROSSGATE_ADMIN_TOKEN");
    if let Some(token) = token {
        command.env("CROSSGATE_ADMIN_TOKEN", token);
    }
    let output = command.output().unwrap();
    Ran {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).unwrap(),
        errors: String::from_utf8(output.stderr).unwrap(),
    }
}

#[test]
fn the_command_ends_sessions() {
    let world = World::start(|config| config);
    let url = format!("http://{}/", world.gate.admin);
    let ran = revoke(&url, &["--role", ROLE, "--before", "2026-01-31T12:00:00+01:00"], None);
    let expect =
        format!("ended: the sessions of {ROLE} that were issued before 2026-01-31T11:00:00Z\n");
    assert_eq!((ran.code, ran.out, ran.errors), (Some(0), expect, String::new()));
    let ran = revoke(&url, &["--role", ROLE, "--before", "10m", "--format", "json"], None);
    let told: Value = serde_json::from_str(&ran.out).unwrap();
    let before = told["before"].as_str().unwrap();
    assert!(*ago(660) < *before && *before < *ago(540), "{before}");
    let id = session(ROLE, Duration::ZERO).id.to_string();
    let ran = revoke(&url, &["--session", &id], None);
    assert_eq!((ran.code, ran.out), (Some(0), format!("ended: the session {id}\n")));
    let listed = world.gate.admin(&Request::get(PATH)).json();
    assert_eq!(listed["roles"], json!([{ "role": ROLE, "before": before }]));
    assert_eq!(listed["sessions"][0]["session"], json!(id));
}

#[test]
fn the_command_needs_the_admin_token_and_shows_it_nowhere() {
    let secret = "an-admin-token-of-some-length";
    let world = World::start(|config| {
        config
            .file("admin.token", format!("{secret}\n"))
            .set("admin", "{ address: \"{admin-address}\", token_file: admin.token }")
    });
    let url = format!("http://{}", world.gate.admin);
    let file = world.gate.path("admin.token").display().to_string();
    let refused = revoke(&url, &["--role", ROLE], None);
    let expect = "refused (401): the admin token is needed\n";
    assert_eq!((refused.code, &*refused.errors), (Some(1), expect));
    let wrong = revoke(&url, &["--role", ROLE], Some("another-secret"));
    assert_eq!((wrong.code, &*wrong.errors), (Some(1), expect));
    for ran in [
        revoke(&url, &["--role", ROLE], Some(secret)),
        revoke(&url, &["--role", ROLE, "--token-file", &file], Some("another-secret")),
    ] {
        assert_eq!(ran.code, Some(0), "{}", ran.errors);
        assert!(!ran.out.contains(secret) && !ran.errors.contains(secret));
    }
    assert!(!world.gate.stderr().contains(secret));
}

#[test]
fn what_the_command_can_not_do_is_told() {
    let closed = format!("http://{}", support::free_address());
    let upstream = support::upstream::Upstream::start();
    let other = format!("http://{}", upstream.address());
    let role = ["--role", ROLE];
    let arguments = |more: &[&'static str]| [&role[..], more].concat();
    for (url, arguments, names) in [
        (&*closed, arguments(&[]), "no answer: "),
        (&*other, arguments(&[]), "is no admin listener's answer; hint: `--url`"),
        ("http://10.1.2.3:9901", arguments(&[]), "`--url` is http to another machine"),
        ("localhost:9901", arguments(&[]), "`--url` is no plain URL; hint: like `http://127"),
        (&closed, arguments(&["--before", "noon"]), "`noon` is neither a time by RFC 3339 nor"),
        (&closed, arguments(&["--before", "2999-01-01T00:00:00Z"]), "more than a minute ahead"),
        (&closed, arguments(&["--token-file", "/nowhere"]), "cannot read the admin token"),
        (&closed, arguments(&["--session", "x"]), "cannot be used with"),
        (&closed, vec!["--session", "x"], "`session`: `x` is no session's id"),
        (&closed, vec!["--session", "x", "--before", "1h"], "cannot be used with"),
        (&closed, vec!["--role", "deploy"], "`role`: `deploy` is no role's ARN; hint: like"),
        (&closed, vec![], "required arguments were not provided"),
    ] {
        let ran = revoke(url, &arguments, None);
        assert_eq!(ran.code, Some(2), "{arguments:?}: {}", ran.errors);
        assert!(ran.errors.contains(names), "{arguments:?}: {}", ran.errors);
        assert_eq!(ran.out, "");
    }
    let ran = revoke(&closed, &role, Some("not a token"));
    assert!(ran.errors.contains("the token has characters") && !ran.errors.contains("not a token"));
}

/// A session of a role by `crossgate assume`: its token, and its id.
fn assumed(url: &str, role: &str, token: &str) -> Result<(String, String), String> {
    let command = Command::new(env!("CARGO_BIN_EXE_crossgate"))
        .args(["assume", "--url", url, "--role", role, "--token", token, "--format", "json"])
        .output()
        .unwrap();
    if !command.status.success() {
        return Err(String::from_utf8(command.stderr).unwrap());
    }
    let session: Value = serde_json::from_slice(&command.stdout).unwrap();
    let text = |name: &str| session[name].as_str().unwrap().to_owned();
    Ok((text("token"), text("sessionId")))
}

#[track_caller]
fn assert_ended(reply: &Reply) {
    reply.assert_problem(401, "unauthenticated");
    let challenge = reply.header("www-authenticate").unwrap();
    let expect = "Bearer realm=\"crossgate\", error=\"invalid_token\", \
                  error_description=\"the session was ended\"";
    assert_eq!(challenge, expect);
}

#[test]
fn requests_of_an_ended_session_are_refused_in_every_instance() {
    let (first, second) = (role_arn("deploy"), role_arn("read"));
    let trust = trusts_user(&json!({}));
    let roles = [("deploy", trust.clone()), ("read", trust)];
    let RoleWorld { world, sts } = RoleWorld::start(&roles, |config| config);
    // Another instance: it shares the settings, and knows the issuer by its published keys.
    let settings = format!("{{ file: \"{}\" }}", world.gate.path("settings.yaml").display());
    let issuers = format!(
        "[{{ issuer: \"http://{sts}\", audiences: [orders], algorithms: [ES256], claims: session, \
         jwks: {{ url: \"http://{sts}/.well-known/jwks.json\" }} }}]"
    );
    let other = World::start(|config| config.set("settings", settings).set("issuers", issuers));

    let (url, admin) = (format!("http://{sts}"), format!("http://{}", world.gate.admin));
    let login = world.user(OWNER);
    let begin = |role: &str| assumed(&url, role, &login).unwrap();
    let ((ended, _), (by_id, id), (untouched, _)) = (begin(&first), begin(&second), begin(&second));
    for (token, world) in [(&ended, &world), (&ended, &other), (&by_id, &other)] {
        assert_eq!(world.get(token).status, 200);
    }

    assert_eq!(revoke(&admin, &["--role", &first], None).code, Some(0));
    assert_ended(&world.get(&ended));
    poll_until("ended in the other instance", RELOADED, || other.get(&ended).status == 401);
    assert_ended(&other.get(&ended));
    let (again, _) = begin(&first);
    assert_eq!(world.get(&again).status, 200, "a later session is not touched");

    assert_eq!(revoke(&admin, &["--session", &id], None).code, Some(0));
    assert_ended(&world.get(&by_id));
    assert_eq!(world.get(&untouched).status, 200, "nor is another session of the role");
    poll_until("ended in the other instance", RELOADED, || other.get(&by_id).status == 401);

    let refused = assumed(&url, &second, &by_id).unwrap_err();
    assert!(refused.starts_with("refused (400 invalid_request): "), "{refused}");
    let verify = Command::new(env!("CARGO_BIN_EXE_crossgate"))
        .args(["token", "verify", "--token", &by_id, "--config"])
        .arg(world.gate.path("crossgate.yaml"))
        .output()
        .unwrap();
    let told: Value = serde_json::from_slice(&verify.stdout).unwrap();
    let expect = json!({ "valid": false, "error": "revoked", "detail": "the session was ended" });
    assert_eq!((verify.status.code(), told), (Some(1), expect));
    let explain = Command::new(env!("CARGO_BIN_EXE_crossgate"))
        .args(["explain", "--token", &by_id, "--path", support::gate::ORDER, "--config"])
        .arg(world.gate.path("crossgate.yaml"))
        .output()
        .unwrap();
    let told = String::from_utf8(explain.stdout).unwrap();
    assert!(told.contains("the session was ended"), "{told}");
    assert_eq!(explain.status.code(), Some(1));
}
