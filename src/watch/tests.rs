use std::fs;
use std::os::unix::fs::symlink;

use super::*;

/// Does something to a watched file, and expects to be told within the promised time, both by
/// notices and by polling alone.
#[track_caller]
fn check(prepare: impl Fn(&Path), change: impl Fn(&Path)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for bynotices in [true, false] {
        let directory = tempfile::tempdir().unwrap();
        prepare(directory.path());
        let path = directory.path().join("settings.yaml");
        let told = runtime.block_on(async {
            let mut watcher = Watcher::new([path.clone(), directory.path().join("other")]);
            if !bynotices {
                watcher = Watcher { _notices: None, ..watcher };
            }
            change(directory.path());
            tokio::time::timeout(Duration::from_secs(2), watcher.changed()).await
        });
        assert_eq!(told.unwrap(), [path], "by notices: {bynotices}");
    }
}

fn write(directory: &Path, text: &str) {
    fs::write(directory.join("settings.yaml"), text).unwrap();
}

#[test]
fn a_write_in_place_is_told() {
    check(|dir| write(dir, "a"), |dir| write(dir, "bb"));
}

#[test]
fn a_replacement_is_told() {
    check(
        |dir| write(dir, "a"),
        |dir| {
            fs::write(dir.join("new"), "b").unwrap();
            fs::rename(dir.join("new"), dir.join("settings.yaml")).unwrap();
        },
    );
}

#[test]
fn a_removal_and_a_creation_are_told() {
    check(|dir| write(dir, "a"), |dir| fs::remove_file(dir.join("settings.yaml")).unwrap());
    check(|_| {}, |dir| write(dir, "a"));
    check(
        |dir| write(dir, "a"),
        |dir| {
            fs::remove_file(dir.join("settings.yaml")).unwrap();
            write(dir, "a");
        },
    );
}

#[test]
fn a_swapped_directory_link_is_told() {
    check(
        |dir| {
            for version in ["one", "two"] {
                fs::create_dir(dir.join(version)).unwrap();
                fs::write(dir.join(version).join("settings.yaml"), "same").unwrap();
            }
            symlink("one", dir.join("..data")).unwrap();
            symlink("..data/settings.yaml", dir.join("settings.yaml")).unwrap();
        },
        |dir| {
            symlink("two", dir.join("..new")).unwrap();
            fs::rename(dir.join("..new"), dir.join("..data")).unwrap();
        },
    );
}

#[test]
fn what_did_not_change_is_not_told() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), "a");
    runtime.block_on(async {
        let path = directory.path().join("settings.yaml");
        let mut watcher = Watcher::with_interval([path], Duration::from_millis(10));
        fs::write(directory.path().join("neighbour"), "b").unwrap();
        let told = tokio::time::timeout(Duration::from_millis(200), watcher.changed()).await;
        assert!(told.is_err());
    });
}
