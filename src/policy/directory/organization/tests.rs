use std::fs;

use tempfile::TempDir;

use super::*;

const FULL: &str =
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#;
const DENY: &str =
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"a:B","Resource":"*"}]}"#;
const RCP: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":"s3:*","Resource":"*"}]}"#;

fn tree(yaml: &str) -> TempDir {
    let tree = tempfile::tempdir().unwrap();
    fs::create_dir(tree.path().join(FOLDER)).unwrap();
    for (name, text) in [("full.json", FULL), ("deny.json", DENY), ("rcp.json", RCP)] {
        fs::write(tree.path().join(FOLDER).join(name), text).unwrap();
    }
    fs::write(tree.path().join(MAIN), yaml).unwrap();
    tree
}

fn scanned(tree: &TempDir) -> OrganizationFiles {
    let mut files = OrganizationFiles::default();
    assert_eq!(files.rescan(tree.path(), Lints::Off), Rescan::Changed);
    files
}

fn named(levels: &[Level]) -> String {
    let level =
        |level: &Level| level.iter().map(|policy| &*policy.name).collect::<Vec<_>>().join(" ");
    levels.iter().map(level).collect::<Vec<_>>().join(" / ")
}

/// What an account has: SCPs, RCPs, levels, path.
#[track_caller]
fn check(root: &str, account: &str, expect: [&str; 4]) {
    let files = scanned(&tree(&format!("id: o-x\nmanagement_account: \"999\"\nroot:\n{root}")));
    let errors: Vec<_> =
        files.findings().iter().filter(|it| it.hint.as_deref() != Some(UNUSED)).collect();
    assert_eq!(errors, Vec::<&Finding>::new());
    let organization = files.organization().unwrap();
    let member = &organization.accounts[&AccountId::parse(account).unwrap()];
    let found =
        [named(&member.scp), named(&member.rcp), member.levels.join(" / "), member.paths.join(" ")];
    assert_eq!(found, expect);
}

const UNUSED: &str = "name it in `organization.yaml`, or remove it";

const NESTED: &str = "  scps: [full.json]
  ous:
    - name: workloads
      scps: [full.json, deny.json]
      accounts: [111, { id: 222, rcps: [rcp.json] }]
      ous: [{ name: empty, scps: [], accounts: [333] }]
    - { name: plain, accounts: [444, \"999\"] }
  accounts: [\"000\"]
";

#[test]
fn levels_go_from_the_root_down() {
    let full = "RCPFullAWSAccess";
    check(
        NESTED,
        "111",
        [
            "full.json / full.json deny.json",
            &format!("{full} / {full}"),
            "root / workloads",
            "o-x/root/workloads/",
        ],
    );
    check(
        NESTED,
        "222",
        [
            "full.json / full.json deny.json / FullAWSAccess",
            &format!("{full} / {full} / {full} rcp.json"),
            "root / workloads / 222",
            "o-x/root/workloads/",
        ],
    );
    check(
        NESTED,
        "333",
        [
            "full.json / full.json deny.json / ",
            &format!("{full} / {full} / {full}"),
            "root / workloads / empty",
            "o-x/root/workloads/empty/",
        ],
    );
    check(
        NESTED,
        "444",
        [
            "full.json / FullAWSAccess",
            &format!("{full} / {full}"),
            "root / plain",
            "o-x/root/plain/",
        ],
    );
    check(NESTED, "000", ["full.json", full, "root", "o-x/root/"]);
}

#[test]
fn nothing_limits_the_management_account() {
    check(NESTED, "999", ["", "", "", "o-x/root/plain/"]);
    check("  accounts: [111]\n", "999", ["", "", "", "o-x/root/"]);
}

#[test]
fn guardrails_that_no_level_names_are_off() {
    check("  accounts: [111]\n", "111", ["", "", "root", "o-x/root/"]);
    check("  rcps: []\n  accounts: [111]\n", "111", ["", "RCPFullAWSAccess", "root", "o-x/root/"]);
    check("  scps: []\n  accounts: [111]\n", "111", ["", "", "root", "o-x/root/"]);
    let files = scanned(&tree("id: o-x\nroot: { scps: [], accounts: [111] }\n"));
    let member = &files.organization().unwrap().accounts[&AccountId::parse("111").unwrap()];
    assert_eq!((member.scp.len(), member.scp[0].len()), (1, 0), "a level that allows nothing");
}

/// What is found, but for documents that no level names.
#[track_caller]
fn check_findings(yaml: &str, expect: &[&str]) {
    let tree = tree(yaml);
    let files = scanned(&tree);
    let found = files.findings().iter().filter(|it| it.hint.as_deref() != Some(UNUSED));
    let root = format!("{}/", tree.path().display());
    let found: Vec<String> = found.map(|it| it.to_string().replace(&root, "")).collect();
    assert_eq!(found, expect);
}

#[test]
fn what_is_wrong_has_its_place() {
    check_findings("", &["organization.yaml:1:1: the document is empty"]);
    check_findings("id: o-x\n", &["organization.yaml:1:1: the organization has no `root`"]);
    check_findings(
        "id: x\nroot: { ous: [{ accounts: [1] }], accounts: [a/b, [], {}] }\nname: x\n",
        &[
            "organization.yaml:1:5: `x` is no organization; hint: like `o-example`",
            "organization.yaml:2:15: `name` is missing",
            "organization.yaml:2:46: `a/b`: an account has only the characters `A-Z a-z 0-9 _ -`",
            "organization.yaml:2:51: an account, not a list",
            "organization.yaml:2:55: an account has no `id`",
            "organization.yaml:3:1: unknown key `name` in the organization; hint: one of `id`, \
             `management_account`, `root`",
        ],
    );
    check_findings(
        "id: o-x\nroot: { scps: [ful.json, ../organization/full.json, 1], scp: [], accounts: [1, 1] }\n",
        &[
            "organization.yaml:2:16: there is no document `ful.json` in `organization/`; hint: did you \
             mean `full.json`?",
            "organization.yaml:2:26: there is no document `../organization/full.json` in \
             `organization/`; hint: one of `deny.json`, `full.json`, `rcp.json`",
            "organization.yaml:2:53: there is no document `1` in `organization/`; hint: one of \
             `deny.json`, `full.json`, `rcp.json`",
            "organization.yaml:2:57: unknown key `scp` in a level of the organization; hint: did you \
             mean `scps`?",
            "organization.yaml:2:80: account `1` is there twice",
        ],
    );
    check_findings(
        "id: o-x\nroot: { scps: full.json }\n",
        &[
            "organization.yaml:2:15: `scps` is a list, not the text `full.json`; hint: write `[]` for an \
           empty one",
        ],
    );
}

#[test]
fn units_nest_only_so_deep() {
    let nested = |depth: usize| {
        let inner = "ous: [{ name: u, ".repeat(depth);
        format!("id: o-x\nroot: {{ {inner} accounts: [1] {} }}\n", "}]".repeat(depth))
    };
    check_findings(&nested(UNITS_DEPTH_MAX), &[]);
    let files = scanned(&tree(&nested(UNITS_DEPTH_MAX + 1)));
    assert!(files.findings().iter().any(|it| it.message == "units nest deeper than 10"));
}

#[test]
fn a_document_is_checked_as_what_it_is_used_for() {
    let tree = tree("id: o-x\nroot: { scps: [full.json, rcp.json] }\n");
    let files = scanned(&tree);
    let wrong: Vec<_> = files
        .findings()
        .iter()
        .filter(|it| it.severity == crate::config::finding::Severity::Error)
        .collect();
    assert!(wrong.iter().all(|it| it.file.ends_with("organization/rcp.json")), "{wrong:?}");
    assert!(!wrong.is_empty(), "an SCP has no principal");
}

#[test]
fn documents_that_no_level_names_are_told() {
    let tree = tree("id: o-x\nroot: { scps: [full.json] }\n");
    let files = scanned(&tree);
    let found: Vec<_> = files.findings().iter().map(|it| it.file.file_name().unwrap()).collect();
    assert_eq!(found, ["deny.json", "rcp.json"]);
    fs::remove_file(tree.path().join(MAIN)).unwrap();
    let files = scanned(&tree);
    assert!(files.organization().is_none());
    assert_eq!(errors(&files), vec!["there is no organization that it could be of"; 3]);
}

/// What refuses the organization.
fn errors(files: &OrganizationFiles) -> Vec<&str> {
    let is_error = |it: &&Finding| it.severity == crate::config::finding::Severity::Error;
    files.findings().iter().filter(is_error).map(|it| &*it.message).collect()
}

#[test]
fn an_organization_that_cannot_be_looked_at_is_not_absent() {
    for target in ["none", MAIN] {
        let tree = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(target, tree.path().join(MAIN)).unwrap();
        let found = scanned(&tree);
        assert!(errors(&found)[0].starts_with("can't be read: "), "{target}: {found:?}");
    }
    let tree = tempfile::tempdir().unwrap();
    fs::write(tree.path().join("file"), "").unwrap();
    let mut files = OrganizationFiles::default();
    assert_eq!(files.rescan(&tree.path().join("file"), Lints::Off), Rescan::Changed);
    let found = errors(&files);
    assert!(found.len() == 2 && found[0].starts_with("can't be read: "), "{found:?}");
    let mut files = OrganizationFiles::default();
    assert_eq!(files.rescan(&tree.path().join("none"), Lints::Off), Rescan::Changed);
    assert_eq!(files.findings(), [], "what is absent is no error");
}

#[test]
fn only_a_change_is_read_again() {
    let tree = tree("id: o-x\nroot: { scps: [full.json], accounts: [1] }\n");
    let mut files = scanned(&tree);
    assert_eq!(files.rescan(tree.path(), Lints::Off), Rescan::Unchanged);
    fs::write(tree.path().join(FOLDER).join("full.json"), DENY).unwrap();
    assert_eq!(files.rescan(tree.path(), Lints::Off), Rescan::Changed);
    fs::write(tree.path().join(MAIN), "id: o-y\nroot: {}\n").unwrap();
    assert_eq!(files.rescan(tree.path(), Lints::Off), Rescan::Changed);
    assert_eq!(&*files.organization().unwrap().id, "o-y");
}
