//! The configuration that is shipped works as it is and names every key.

#![expect(clippy::panic, reason = "a failed test panics")]

use std::path::{Path, PathBuf};
use std::time::Duration;

use crossgate::config::{self, Config, settings_lints};
use crossgate::event::EventsConfig;
use crossgate::route::{EdgeRules, Limits};

fn shipped(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn load() -> Config {
    match config::load(&shipped("config/crossgate.yaml")) {
        Ok(config) => config,
        Err(error) => panic!("{error}"),
    }
}

/// Whether a document has `key:` somewhere, in a comment or not.
fn names(text: &str, key: &str) -> bool {
    text.match_indices(&format!("{key}:")).any(|(at, _)| {
        text.get(..at)
            .and_then(|before| before.chars().next_back())
            .is_none_or(|before| !before.is_alphanumeric() && before != '_')
    })
}

#[test]
fn the_shipped_configuration_works_and_has_no_findings() {
    let config = load();
    assert_eq!(config.warnings, []);
    assert_eq!(settings_lints::check(&config), []);
    assert_eq!(config.listeners.len(), 1);
    assert_eq!(config.route_specs.len(), 2);
    assert!(config.settings_file.is_some());
}

#[test]
fn the_values_it_shows_are_the_defaults() {
    let config = load();
    assert_eq!(config.edge, EdgeRules { limits: Limits::default(), ..EdgeRules::default() });
    let directory = shipped("config/events");
    assert_eq!(config.events, EventsConfig { directory, ..EventsConfig::default() });
    let minimal = "listeners: [{ address: 127.0.0.1:0 }]\n";
    let defaults = config::parse(minimal, Path::new("a.yaml"), &|_| None).unwrap();
    assert_eq!(defaults.edge, config.edge);
    assert_eq!(defaults.edge.drain_timeout, config.edge.drain_timeout);
    assert_eq!(defaults.edge.drain_timeout, Duration::from_secs(30));
    assert_eq!((defaults.workers, defaults.admin), (None, None));
}

#[test]
fn it_and_the_reference_name_every_key() {
    let yaml = std::fs::read_to_string(shipped("config/crossgate.yaml")).unwrap();
    let reference = std::fs::read_to_string(shipped("docs/configuration.md")).unwrap();
    for (section, keys) in config::schema() {
        for key in *keys {
            let shown = match *section {
                "" => yaml.lines().any(|line| {
                    let line = line.strip_prefix("# ").unwrap_or(line);
                    line.starts_with(&format!("{key}:"))
                }),
                _ => names(&yaml, key),
            };
            assert!(shown, "config/crossgate.yaml does not name `{key}` of `{section}`");
            let path = match *section {
                "" => (*key).to_owned(),
                _ => format!("{section}.{key}"),
            };
            assert!(
                reference.contains(&format!("`{path}`")),
                "docs/configuration.md does not name `{path}`"
            );
        }
    }
}
