use std::fs;

use tempfile::TempDir;

use super::*;
use crate::iam::AccountId;
use crate::policy::directory::Tier;
use crate::snapshot::SnapshotReader;

const ONE: &str = "accounts/111111111111/resources/r.json";
const TWO: &str = "accounts/222222222222/resources/r.json";
const PROPOSED: &str = "candidate/accounts/111111111111/resources/r.json";
const YAML: &str = "id: o-x\nroot: { scps: [], accounts: [\"111111111111\"] }\n";

/// A store of a directory, and what it published.
struct Stored {
    folder: TempDir,
    store: PolicyStore,
    writer: SnapshotWriter,
    reader: SnapshotReader,
    runtime: tokio::runtime::Runtime,
}

impl Stored {
    fn new(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = PoliciesConfig {
            directory: folder.path().to_owned(),
            mode: Mode::Limited,
            unknown_callers: UnknownCallers::Deny,
        };
        let (writer, reader) = SnapshotWriter::new();
        let store = PolicyStore::new(&config, writer.clone());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let stored = Self { folder, store, writer, reader, runtime };
        for (path, text) in files {
            stored.write(path, text);
        }
        stored
    }

    fn loaded(files: &[(&str, &str)]) -> Self {
        let stored = Self::new(files);
        stored.runtime.block_on(stored.store.load()).unwrap();
        stored
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn read(&self, scope: Scope) -> Result<Reloaded, DirectoryError> {
        self.runtime.block_on(self.store.read(vec![scope], When::IfChanged))
    }

    fn panics(&self) -> DirectoryError {
        let work = |_: &PolicyStore, state: &mut State| {
            // As a look that is broken off leaves it.
            state.progress = Progress::Reading;
            state.directory = PolicyDirectory::new("/none".into());
            panic!("a defect")
        };
        self.runtime.block_on(self.store.run(work)).unwrap_err()
    }

    /// The patterns of the resources in force: enforced ones by account, and the candidate's.
    fn in_force(&self) -> (Vec<String>, Vec<String>) {
        let sets = self.reader.load().policies.clone().unwrap();
        let patterns = |set: &PolicySet| {
            let all = set.accounts.values().flat_map(|account| account.resources());
            let mut all: Vec<_> = all.map(|entry| entry.pattern.to_string()).collect();
            all.sort_unstable();
            all
        };
        (patterns(&sets.enforced), sets.candidate.as_deref().map(patterns).unwrap_or_default())
    }

    fn revision(&self) -> u64 {
        self.reader.load().revision
    }

    fn refused(&self) -> Option<String> {
        let parts = self.writer.parts();
        parts.get(&Part::Policies)?.refused.as_ref().map(|refused| refused.error.clone())
    }
}

fn resource(name: &str) -> String {
    format!(r#"{{"resource":"arn:aws:s3:::{name}"}}"#)
}

fn account(id: &str) -> Scope {
    Scope::Account(Tier::Enforced, AccountId::parse(id).unwrap())
}

fn arns(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| format!("arn:aws:s3:::{name}")).collect()
}

#[test]
fn a_panic_is_no_success() {
    let stored = Stored::new(&[(ONE, &resource("a"))]);
    let error = stored.panics().to_string();
    assert!(error.contains("reading was broken off: ") && error.contains("a defect"), "{error}");
    assert_eq!(stored.refused(), Some(error));
    assert!(stored.reader.load().policies.is_none());
}

#[test]
fn after_a_panic_everything_is_read_again() {
    let stored = Stored::loaded(&[(ONE, &resource("a")), (TWO, &resource("b"))]);
    stored.panics();
    assert_eq!(stored.in_force().0, arns(&["a", "b"]), "what was in force goes on");
    stored.write(ONE, &resource("c"));
    assert_eq!(stored.read(account("111111111111")).unwrap(), Reloaded::Loaded);
    assert_eq!(stored.in_force().0, arns(&["b", "c"]));
    assert_eq!(stored.read(account("111111111111")).unwrap(), Reloaded::Unchanged);
}

#[test]
fn a_version_that_came_during_the_look_is_the_one_in_force() {
    let stored = Stored::loaded(&[(ONE, &resource("a")), (TWO, &resource("a"))]);
    let look = |_: &PolicyStore, state: &mut State| {
        // The first account is read before the change, the second one after it.
        let folder = stored_root(state);
        fs::write(folder.join(TWO), resource("b")).unwrap();
        assert_eq!(state.directory.rescan(&[Scope::All]), Rescan::Changed);
        fs::write(folder.join(ONE), resource("b")).unwrap();
        let sets = state.settled(&[Scope::All], &folder).sets.unwrap();
        let all = sets.enforced.accounts.values().flat_map(|account| account.resources());
        assert!(all.map(|entry| &*entry.pattern).all(|pattern| pattern == "arn:aws:s3:::b"));
        Ok(Reloaded::Unchanged)
    };
    stored.runtime.block_on(stored.store.run(look)).unwrap();
}

fn stored_root(state: &State) -> PathBuf {
    state.directory.root.clone()
}

#[test]
fn an_organization_in_force_does_not_vanish() {
    let stored = Stored::loaded(&[(ONE, &resource("a")), (ORGANIZATION, YAML)]);
    let path = stored.folder.path().join(ORGANIZATION);
    let has_guardrails = || {
        let sets = stored.reader.load().policies.clone().unwrap();
        sets.enforced.organization.as_ref().unwrap().accounts.values().any(|it| !it.scp.is_empty())
    };
    fs::remove_file(&path).unwrap();
    stored.write(ONE, &resource("b"));
    for scope in [Scope::Organization(Tier::Enforced), account("111111111111")] {
        let error = stored.read(scope).unwrap_err().to_string();
        assert!(error.contains("organization.yaml:1:1: is gone"), "{error}");
        assert!(has_guardrails());
        assert_eq!(stored.in_force().0, arns(&["a"]));
    }
    stored.write(ORGANIZATION, YAML);
    assert_eq!(stored.read(Scope::All).unwrap(), Reloaded::Loaded);
    assert_eq!((stored.in_force().0, has_guardrails()), (arns(&["b"]), true));
    stored.write(ORGANIZATION, "id: o-x\nroot: {}\n");
    assert_eq!(stored.read(Scope::All).unwrap(), Reloaded::Loaded);
    assert!(!has_guardrails(), "this says that there are none");
}

#[test]
fn a_broken_candidate_holds_back_itself_alone() {
    let stored = Stored::loaded(&[(ONE, &resource("a")), (PROPOSED, &resource("p"))]);
    let revision = stored.revision();
    stored.write(PROPOSED, "{");
    stored.read(Scope::All).unwrap_err();
    assert_eq!(stored.revision(), revision, "nothing that is in force has changed");
    let refused = stored.refused().unwrap();
    assert!(refused.contains(PROPOSED) && !refused.contains('\n'), "{refused}");
    stored.write(ONE, &resource("b"));
    stored.read(account("111111111111")).unwrap_err();
    assert_eq!(stored.in_force(), (arns(&["b"]), arns(&["p"])));
    stored.write(ONE, "{");
    stored.read(account("111111111111")).unwrap_err();
    assert_eq!(
        stored.in_force(),
        (arns(&["b"]), arns(&["p"])),
        "the enforced tree is whole or not"
    );
    stored.write(ONE, &resource("c"));
    stored.write(PROPOSED, &resource("q"));
    assert_eq!(stored.read(Scope::All).unwrap(), Reloaded::Loaded);
    assert_eq!(stored.in_force(), (arns(&["c"]), arns(&["q"])));
}

#[test]
fn a_broken_candidate_ends_the_start() {
    let stored = Stored::new(&[(ONE, &resource("a")), (PROPOSED, "{")]);
    stored.runtime.block_on(stored.store.load()).unwrap_err();
    assert!(stored.reader.load().policies.is_none());
}
