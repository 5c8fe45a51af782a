//! Goal: each wrong configuration is refused with its place, its reason and a hint.
//!
//! Method: `tests/cases/config/*.case` hold documents and exactly what is found in them. A case is
//! `=== why`, the document, `---`, and the findings. In documents `<listeners>`, `<upstreams>` and
//! `<jwks>` stand for sections that are right, and `<directory>` for that of the document.

#![expect(clippy::unwrap_used, reason = "a failed test panics")]

use std::fs;
use std::path::Path;

use crossgate::config::{self, ConfigError, Finding};

#[test]
fn every_case_has_exactly_its_findings() {
    let directory = tempfile::tempdir().unwrap();
    write_files(directory.path());
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/config");
    let (mut run, mut wrong) = (0, String::new());
    let mut files: Vec<_> = fs::read_dir(cases).unwrap().map(|it| it.unwrap().path()).collect();
    files.sort();
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        for case in text.split("=== ").skip(1) {
            let (why, rest) = case.split_once('\n').unwrap();
            let (document, expect) = rest.split_once("---\n").unwrap();
            let got = findings(document, directory.path());
            run += 1;
            if got.trim() != expect.trim() {
                let file = file.file_name().unwrap().display();
                wrong.extend(["@@ ", &file.to_string(), ": ", why, "\n", &got]);
            }
        }
    }
    assert!(90 <= run, "only {run} cases");
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn no_value_of_the_environment_is_shown() {
    let document = "listeners: [{ address: \"${SECRET}\" }]\nworkers: ${SECRET}\nadmin: { address: \
                    \"${SECRET}\", token_file: \"${SECRET}\" }\nissuers: [{ issuer: a, audiences: [], \
                    algorithms: [\"${SECRET}\"], leeway: \"${SECRET}\", jwks: { url: \"${SECRET}\", \
                    refresh: \"${SECRET}\" }, claims: { account: \"${SECRET}\", principal: \
                    \"${SECRET}\" } }]\nupstreams: { u: { endpoints: [\"${SECRET}\"] } }\nroutes: [{ \
                    path: /a, methods: [\"${SECRET}\"], public: true, upstream: \"${SECRET}\" \
                    }]\nevents: { sync: \"${SECRET}\", on_full: { deny: \"${SECRET}\" }, sinks: [{ nats: { url: \
                    \"${SECRET}\", stream: \"${SECRET} *\", subject: \"${SECRET} *\", name: \"${SECRET}/\", \
                    from: \"${SECRET}\" } }, { http: { url: \"${SECRET}@\", headers: { a: \"${SECRET}\\n\" } \
                    } }] }\nlimits: { \
                    header_bytes: \"${SECRET}\" }\nidentity_headers: { prefix: \"${SECRET}\" \
                    }\ntrusted_proxies: [\"${SECRET}\"]\nforward_token: ${SECRET}\nsts: { \
                    address: \"${SECRET}\", issuer: \"${SECRET}\", keys: { algorithm: \"${SECRET}\", \
                    rotate: \"${SECRET}\" }, duration: { max: \"${SECRET}\" }, watch: { break_glass: \
                    [\"${SECRET}\"], external_ids: \"${SECRET}\" } }\n";
    let error = config::parse(document, Path::new("a.yaml"), &environment).unwrap_err();
    let found = error.findings().len();
    assert!(15 <= found, "{error}");
    for text in [error.to_string(), format!("{error:?}")] {
        assert!(!text.to_ascii_lowercase().contains(SECRET), "{text}");
    }
}

#[test]
fn a_file_that_is_no_text_is_refused_with_its_place() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("crossgate.yaml");
    fs::write(&file, b"listeners: []\na: \xff\n").unwrap();
    let error = config::load(&file).unwrap_err();
    assert_eq!(error.to_string(), format!("{}:2:4: not UTF-8", file.display()));
    let missing = config::load(&directory.path().join("none.yaml")).unwrap_err();
    assert!(matches!(missing, ConfigError::Unreadable { .. }), "{missing}");
    let large = fs::File::create(&file).unwrap();
    large.set_len((8 << 20) + 1).unwrap();
    let error = config::load(&file).unwrap_err();
    assert!(matches!(error, ConfigError::Large { size_bytes: 8_388_609, .. }), "{error}");
}

fn findings(document: &str, directory: &Path) -> String {
    // Without routes there would be a warning in each case that is about something else.
    let routes = if document.contains("<listeners>") && !document.contains("routes:") {
        "routes: [{ path: /r, public: true, upstream: u }]\n<upstreams>\n"
    } else {
        ""
    };
    let document = format!("{document}{routes}")
        .replace("<listeners>", "listeners: [{ address: \"127.0.0.1:8080\" }]")
        .replace("<upstreams>", "upstreams: { u: { endpoints: [\"http://127.0.0.1:9000\"] } }")
        .replace("<jwks>", "jwks: { file: keys.json }");
    let parsed = config::parse(&document, &directory.join("crossgate.yaml"), &environment);
    let list = match &parsed {
        Ok(config) => &config.warnings[..],
        Err(error) => error.findings(),
    };
    let directory = directory.display().to_string();
    list.iter().map(|it| line(it).replace(&directory, "<directory>")).collect()
}

fn line(finding: &Finding) -> String {
    let (severity, at, message) = (finding.severity.as_str(), finding.at, &finding.message);
    match &finding.hint {
        None => format!("{severity} {at}: {message}\n"),
        Some(hint) => format!("{severity} {at}: {message}; hint: {hint}\n"),
    }
}

fn environment(name: &str) -> Option<String> {
    match name {
        "ADDRESS" => Some("127.0.0.1:8080".to_owned()),
        "EMPTY" => Some(String::new()),
        "FLAG" => Some("true".to_owned()),
        "SECRET" => Some(SECRET.to_owned()),
        "WORKERS" => Some("4".to_owned()),
        _ => None,
    }
}

fn write_files(directory: &Path) {
    let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let write = |name: &str, text: &str| fs::write(directory.join(name), text).unwrap();
    write("tls.crt", &certified.cert.pem());
    write("tls.key", &certified.signing_key.serialize_pem());
    let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    write("other.key", &other.signing_key.serialize_pem());
    write("admin.token", "a-token\n");
    write("blank.token", " \n");
    write("two.token", "one two\n");
    let keys = concat!(env!("CARGO_MANIFEST_DIR"), "/config/sample-keys.json");
    fs::copy(keys, directory.join("keys.json")).unwrap();
    write("none-keys.json", "{\"keys\":[]}");
    write("oct-keys.json", "{\"keys\":[{\"kty\":\"oct\",\"k\":\"AAAA\"}]}");
    write("text-keys.json", "keys");
    write("settings.yaml", "accounts: {}\n");
    for name in ["events", "policies"] {
        fs::create_dir(directory.join(name)).unwrap();
    }
}

/// What no message may show; it fits no field.
const SECRET: &str = "hunter2 {secret";
