//! Reads the sources and the documents and holds what ARCHITECTURE.md promises of them.
//!
//! The layers are not written down here: the test reads them from the table in ARCHITECTURE.md.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a failed test panics")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use regex::Regex;

/// One source file of the crate, without its tests.
struct Source {
    /// As in `src/token/jwt.rs`.
    file: String,
    /// As in `token/jwt`; the folder for a `mod.rs`.
    module: String,
    /// The lines that are code: no comments, no `mod tests`.
    code: Vec<String>,
}

/// The layers of ARCHITECTURE.md, lowest first, each with its modules.
struct Layers(Vec<(String, Vec<String>)>);

impl Layers {
    fn read() -> Self {
        let document = read("ARCHITECTURE.md");
        let rows = rows(section(&document, "Layers"));
        let layers = rows.iter().map(|row| (row.first().unwrap().clone(), quoted(cell(row, 1))));
        Self(layers.collect())
    }

    /// The layer of a module: that of the longest name which leads to it.
    fn of(&self, module: &str) -> Option<usize> {
        let named = self.0.iter().enumerate().flat_map(|(level, (_, modules))| {
            modules.iter().filter(|name| leads_to(name, module)).map(move |n| (n.len(), level))
        });
        named.max().map(|(_, level)| level)
    }

    fn name(&self, level: usize) -> &str {
        self.0.get(level).map_or("", |(name, _)| name)
    }
}

/// What each module's `mod.rs` or file re-exports, by module and name.
type Exports = BTreeMap<(String, String), String>;

#[test]
fn a_module_uses_its_own_layer_and_lower_ones() {
    let layers = Layers::read();
    let sources = sources();
    let modules: BTreeSet<&str> = sources.iter().map(|source| source.module.as_str()).collect();
    let exports = exports(&sources);
    let mut wrong = Vec::new();
    for source in sources.iter().filter(|source| !source.module.is_empty()) {
        let Some(own) = layers.of(&source.module) else {
            wrong.push(format!("{} has no layer in ARCHITECTURE.md", source.file));
            continue;
        };
        for path in uses(source) {
            let used = resolve(&path, &modules, &exports);
            // A folder's own module may name its parts, to put them under one roof.
            let is_part = source.file.ends_with("/mod.rs") && leads_to(&source.module, &used);
            let level = layers.of(&used);
            if !used.is_empty() && !is_part && level.is_none_or(|level| own < level) {
                let (own, level) = (layers.name(own), level.map_or("none", |l| layers.name(l)));
                wrong.push(format!("{} ({own}) uses `{used}` ({level})", source.file));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn every_module_of_the_layers_exists() {
    let sources = sources();
    let missing: Vec<String> = Layers::read()
        .0
        .into_iter()
        .flat_map(|(_, modules)| modules)
        .filter(|module| !sources.iter().any(|source| leads_to(module, &source.module)))
        .collect();
    assert_eq!(missing, Vec::<String>::new());
}

#[test]
fn what_decides_is_pure() {
    let layers = Layers::read();
    let mut wrong = Vec::new();
    for source in sources() {
        if layers.of(&source.module).is_none_or(|level| level > DECIDE) {
            continue;
        }
        let excused =
            EXCUSED.iter().filter(|(file, _)| *file == source.file).map(|(_, word)| *word);
        let excused: Vec<&str> = excused.collect();
        for word in IMPURE.iter().filter(|word| !excused.contains(word)) {
            let pattern = Regex::new(&format!(r"\b{word}\b")).unwrap();
            let lines = source.code.iter().filter(|line| pattern.is_match(line));
            wrong.extend(lines.map(|line| format!("{}: {}", source.file, line.trim())));
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn only_a_decision_makes_a_permit() {
    let makes = Regex::new(r"\bPermit\(\(\)\)").unwrap();
    let makers: Vec<String> = sources()
        .into_iter()
        .filter(|source| source.code.iter().any(|line| makes.is_match(line)))
        .map(|source| source.file)
        .collect();
    assert_eq!(makers, ["src/decision.rs"]);
}

#[test]
fn nothing_in_the_gate_waits_locks_formats_or_logs() {
    let pattern = Regex::new(r"\.await|async |Mutex|format!|tracing|println!").unwrap();
    let gate = sources().into_iter().find(|source| source.file == "src/proxy/gate.rs").unwrap();
    let found: Vec<&String> = gate.code.iter().filter(|line| pattern.is_match(line)).collect();
    assert_eq!(found, Vec::<&String>::new());
}

#[test]
fn lines_of_the_crate_follow_the_life_of_a_request() {
    let library = read("src/lib.rs");
    let listed: Vec<String> = library
        .lines()
        .filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';').map(str::to_owned))
        .collect();
    let stages =
        ["listener", "proxy", "route", "token", "perimeter", "decision", "event", "forward"];
    let order: Vec<&str> =
        listed.iter().map(String::as_str).filter(|name| stages.contains(name)).collect();
    assert_eq!(order, stages);
}

#[test]
fn names_say_what_things_are() {
    let vague = ["common", "helper", "helpers", "misc", "prelude", "types", "util", "utils"];
    let found: Vec<String> = rust_files()
        .into_iter()
        .filter(|file| {
            let parts = file.trim_end_matches(".rs").split('/');
            parts.clone().any(|part| vague.contains(&part))
        })
        .collect();
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn files_and_functions_are_short() {
    let mut wrong = Vec::new();
    for file in rust_files() {
        let text = read(&file);
        let lines: Vec<&str> = text.lines().collect();
        if lines.len() > FILE_LINES_MAX {
            wrong.push(format!("{file} has {} lines", lines.len()));
        }
        for (name, length) in functions(&lines) {
            if length > FUNCTION_LINES_MAX {
                wrong.push(format!("{file}: `{name}` has {length} lines"));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn every_module_says_what_it_is() {
    let files = rust_files().into_iter().filter(|file| {
        file.starts_with("src/") && !is_test_module(file) && !read(file).starts_with("//! ")
    });
    assert_eq!(files.collect::<Vec<_>>(), Vec::<String>::new());
}

#[test]
fn nothing_is_left_for_later() {
    // Written apart, so that this file passes too.
    let marks = [["TO", "DO"], ["FIX", "ME"], ["unimple", "mented!"], ["to", "do!("]];
    let mut found = Vec::new();
    for file in rust_files().into_iter().chain(documents()) {
        let text = read(&file);
        found.extend(
            marks
                .iter()
                .map(|mark| mark.concat())
                .filter_map(|mark| text.contains(&mark).then(|| format!("{file} has `{mark}`"))),
        );
    }
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn documents_name_only_files_that_exist() {
    let link = Regex::new(r"\]\(([^)#\s]+)(#[^)]*)?\)").unwrap();
    let mut wrong = Vec::new();
    for document in documents() {
        let text = read(&document);
        let folder = Path::new(&document).parent().unwrap().to_owned();
        let links = link.captures_iter(&text).map(|found| found.get(1).unwrap().as_str());
        let linked = links.filter(|target| !target.contains("://")).map(|link| folder.join(link));
        let named = quoted(&text).into_iter().filter(|name| looks_like_a_file(name));
        let is_module = |path: &Path| root().join("src").join(path).with_extension("rs").exists();
        for path in linked.chain(named.map(PathBuf::from)) {
            if !root().join(&path).exists() && !is_module(&path) {
                wrong.push(format!("{document} names {}", path.display()));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn operators_find_every_metric_and_no_other() {
    let name = Regex::new(r"crossgate_[a-z_]+[a-z]").unwrap();
    let source = read("src/telemetry.rs");
    let literal = Regex::new(r#""(crossgate_[a-z_]+)""#).unwrap();
    let existing: BTreeSet<&str> =
        literal.captures_iter(&source).map(|found| found.get(1).unwrap().as_str()).collect();
    let document = read("docs/operating.md");
    let metrics = section(&document, "Metrics");
    let rows = rows(metrics);
    let told: BTreeSet<&str> =
        rows.iter().filter_map(|row| name.find(row.first()?)).map(|found| found.as_str()).collect();
    assert_eq!(told, existing);
    let is_known = |found: &str| {
        let parts = ["", "_bucket", "_count", "_sum"];
        parts.iter().any(|part| found.strip_suffix(part).is_some_and(|n| existing.contains(n)))
    };
    let asked = section(&document, "Alerts");
    let text = format!("{metrics}{asked}");
    let unknown: Vec<&str> = name
        .find_iter(&text)
        .map(|found| found.as_str())
        .filter(|found| !is_known(found))
        .collect();
    assert_eq!(unknown, Vec::<&str>::new());
}

#[test]
fn the_threat_model_answers_every_rule_with_tests_that_exist() {
    let document = read("docs/threat-model.md");
    let rows: Vec<Vec<String>> = ["Tokens", "HTTP", "Policies", "Lessons"]
        .iter()
        .flat_map(|name| rows(section(&document, name)))
        .collect();
    let tokens = (1..=14).map(|number| format!("T{number}")).chain(["T12b".to_owned()]);
    let http = (1..=22).map(|number| format!("H{number}"));
    let policies = (1..=15).map(|number| format!("P{number}"));
    let lessons = ["a", "b", "c"].map(str::to_owned);
    let asked: BTreeSet<String> = tokens.chain(http).chain(policies).chain(lessons).collect();
    let answered: BTreeSet<String> = rows.iter().filter_map(|row| row.first().cloned()).collect();
    assert_eq!(answered, asked);

    let tests = test_names();
    let mut wrong = Vec::new();
    for row in &rows {
        let named = quoted(row.last().unwrap());
        if named.is_empty() && !row.last().unwrap().contains("none") {
            wrong.push(format!("{} names no test and does not say so", cell(row, 0)));
        }
        let unknown = named.into_iter().filter(|name| !tests.contains(name));
        wrong.extend(
            unknown.map(|name| format!("{} names `{name}`, which is no test", cell(row, 0))),
        );
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn invariants_name_tests_that_exist() {
    let document = read("ARCHITECTURE.md");
    let tests = test_names();
    let rows = rows(section(&document, "Invariants"));
    assert!(!rows.is_empty(), "ARCHITECTURE.md has no table of invariants");
    let unknown = rows.iter().flat_map(|row| quoted(row.last().unwrap()));
    let unknown: Vec<String> = unknown.filter(|name| !tests.contains(name)).collect();
    assert_eq!(unknown, Vec::<String>::new());
}

#[test]
fn the_readme_has_the_two_commands() {
    let readme = read("README.md");
    for command in ["cargo run --release -- demo", "./tests/run"] {
        assert!(readme.contains(command), "README.md does not have `{command}`");
    }
}

/// The paths that a source names, from the root of the crate: `token/Verifier`.
fn uses(source: &Source) -> Vec<String> {
    let code = source.code.join("\n");
    let mut paths = Vec::new();
    for found in PATH.find_iter(&code) {
        let tail = code.get(found.end()..).unwrap_or_default();
        let (start, segments) = found.as_str().split_once("::").unwrap_or((found.as_str(), ""));
        let ups = found.as_str().matches("super").count();
        let base = match start {
            "super" => ancestor(source, ups),
            "self" => source.module.clone(),
            _ => String::new(),
        };
        let segments = segments.trim_start_matches("super::").trim_end_matches("::");
        let stem = join(&base, &segments.replace("::", "/"));
        match tail.strip_prefix('{') {
            None => paths.push(stem),
            Some(group) => paths.extend(names_of(group).iter().map(|name| join(&stem, name))),
        }
    }
    paths
}

/// The first segments of the names in a group of a `use`.
fn names_of(group: &str) -> Vec<String> {
    let mut depth = 0;
    let mut names = vec![String::new()];
    for letter in group.chars() {
        match letter {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => names.push(String::new()),
            _ if depth == 0 => names.last_mut().unwrap().push(letter),
            _ => {}
        }
    }
    let names = names.iter().map(|name| name.trim().trim_end_matches("::").replace("::", "/"));
    names.filter(|name| !name.is_empty() && name != "self").collect()
}

/// The module that a path ends in, through re-exports.
fn resolve(path: &str, modules: &BTreeSet<&str>, exports: &Exports) -> String {
    let mut module = String::new();
    for segment in path.split('/') {
        let next = join(&module, segment);
        if modules.iter().any(|known| leads_to(&next, known)) {
            module = next;
        } else if let Some(part) = exports.get(&(module.clone(), segment.to_owned())) {
            module.clone_from(part);
        } else {
            break;
        }
    }
    module
}

fn exports(sources: &[Source]) -> Exports {
    let mut exports = Exports::new();
    for source in sources {
        let code = source.code.join("\n");
        for found in EXPORT.captures_iter(&code) {
            let part = join(&source.module, found.get(1).unwrap().as_str());
            let names = found.get(2).unwrap().as_str();
            for name in names_of(names.trim_start_matches('{')) {
                exports.insert((source.module.clone(), name), part.clone());
            }
        }
    }
    exports
}

fn ancestor(source: &Source, ups: usize) -> String {
    let mut parts: Vec<&str> = source.module.split('/').collect();
    parts.truncate(parts.len().saturating_sub(ups));
    parts.join("/")
}

fn join(base: &str, name: &str) -> String {
    match (base.is_empty(), name.is_empty()) {
        (true, _) => name.to_owned(),
        (false, true) => base.to_owned(),
        (false, false) => format!("{base}/{name}"),
    }
}

/// Whether a name is a module's or that of a folder above it.
fn leads_to(name: &str, module: &str) -> bool {
    module.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn sources() -> Vec<Source> {
    let files = rust_files().into_iter();
    files
        .filter(|file| file.starts_with("src/") && !is_test_module(file))
        .map(|file| {
            let module = file.trim_start_matches("src/").trim_end_matches(".rs");
            let module = module.trim_end_matches("/mod");
            let module = if matches!(module, "lib" | "main") { "" } else { module };
            let code = code_of(&read(&file));
            Source { module: module.to_owned(), file, code }
        })
        .collect()
}

/// The lines that are neither comments nor compiled for tests alone.
fn code_of(text: &str) -> Vec<String> {
    let mut code = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line == "#[cfg(test)]" {
            // A line, or a block that ends where it began.
            let item = lines.next().unwrap_or_default();
            if item.ends_with('{') {
                lines.by_ref().take_while(|line| *line != "}").for_each(drop);
            }
        } else if !line.trim_start().starts_with("//") {
            code.push(line.to_owned());
        }
    }
    code
}

fn is_test_module(file: &str) -> bool {
    file.ends_with("/tests.rs") || file.contains("/tests/")
}

/// Functions with the lines of code in their bodies, by the indentation that `cargo fmt` gives.
/// Tables of cases in tests may be longer where they say so.
fn functions(lines: &[&str]) -> Vec<(String, usize)> {
    let mut functions = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        let Some(found) = FUNCTION.captures(line) else { continue };
        let before = start.checked_sub(1).and_then(|before| lines.get(before));
        if line.ends_with(['}', ';']) || before.is_some_and(|line| line.contains(ONE_TABLE)) {
            continue;
        }
        let end = format!("{}}}", found.get(1).unwrap().as_str());
        let declaration_end = format!("{});", found.get(1).unwrap().as_str());
        let is_code = |line: &&&str| {
            let line = line.trim_start();
            !line.is_empty() && !line.starts_with("//")
        };
        let body = lines.iter().skip(start + 1);
        let body = body.take_while(|line| **line != end && !line.starts_with(&declaration_end));
        functions.push((found.get(2).unwrap().as_str().to_owned(), body.filter(is_code).count()));
    }
    functions
}

/// Every test function of the sources and of `tests/`.
fn test_names() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for file in rust_files() {
        let mut is_test = false;
        for line in read(&file).lines() {
            if line.trim_start().starts_with("#[") {
                is_test |= TEST.is_match(line);
            } else if let Some(found) = FUNCTION.captures(line) {
                if is_test {
                    names.insert(found.get(2).unwrap().as_str().to_owned());
                }
                is_test = false;
            }
        }
    }
    names
}

/// A document's section: what stands below its heading, up to the next of its rank.
fn section<'d>(document: &'d str, heading: &str) -> &'d str {
    let start = document.find(&format!("\n## {heading}\n"));
    let start = start.unwrap_or_else(|| panic_without(heading)) + 1;
    let text = document.get(start..).unwrap_or_default();
    let end = text.get(1..).and_then(|rest| rest.find("\n## ")).map_or(text.len(), |end| end + 1);
    text.get(..end).unwrap_or_default()
}

#[expect(clippy::panic, reason = "a failed test panics")]
fn panic_without(heading: &str) -> usize {
    panic!("there is no section `{heading}`")
}

/// The rows of a section's tables, without their heads.
fn rows(section: &str) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    let mut is_body = false;
    for line in section.lines() {
        match line.strip_prefix('|') {
            None => is_body = false,
            Some(rule) if rule.trim_start().starts_with("---") => is_body = true,
            Some(row) if is_body => {
                let row = row.trim().trim_end_matches('|').replace(r"\|", "\u{1}");
                rows.push(row.split('|').map(|c| c.trim().replace('\u{1}', "|")).collect());
            }
            Some(_) => {}
        }
    }
    rows
}

fn cell(row: &[String], place: usize) -> &str {
    row.get(place).map_or("", String::as_str)
}

/// What stands between backticks.
fn quoted(text: &str) -> Vec<String> {
    let found = QUOTED.captures_iter(text);
    found.map(|found| found.get(1).unwrap().as_str().to_owned()).collect()
}

fn looks_like_a_file(name: &str) -> bool {
    let folders = [".ci/", "benches/", "config/", "docs/", "loadtest/", "src/", "tests/"];
    folders.iter().any(|folder| name.starts_with(folder)) && !name.contains(['*', ' ', '<', '{'])
}

fn rust_files() -> Vec<String> {
    let mut files = Vec::new();
    for folder in ["benches", "examples", "src", "tests"] {
        collect(&root().join(folder), "rs", &mut files);
    }
    files
}

fn documents() -> Vec<String> {
    let mut files = Vec::new();
    collect(&root().join("docs"), "md", &mut files);
    for entry in fs::read_dir(root()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if Path::new(&name).extension().is_some_and(|extension| extension == "md") {
            files.push(name);
        }
    }
    files
}

fn collect(folder: &Path, extension: &str, files: &mut Vec<String>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            collect(&path, extension, files);
        } else if path.extension().is_some_and(|found| found == extension) {
            files.push(path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned());
        }
    }
}

fn read(file: &str) -> String {
    fs::read_to_string(root().join(file)).expect(file)
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

static PATH: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"\b(crate|self|super(::super)*)::([A-Za-z_]+(::[A-Za-z_]+)*(::)?)?").unwrap()
});

static EXPORT: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"pub(?:\([a-z]+\))? use ([a-z_]+)::(\{[^}]*\}|\w+)").unwrap());

static FUNCTION: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^(\s*)(?:pub(?:\([a-z ]+\))? )?(?:const )?(?:async )?fn (\w+)").unwrap()
});

static TEST: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"#\[(\w+::)?test\b").unwrap());

static QUOTED: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"`([^`\n]+)`").unwrap());

/// The place of the layer that decides; it and those before it are pure.
const DECIDE: usize = 1;

/// What pure code does not name. Addresses are values; sockets are not.
const IMPURE: [&str; 17] = [
    "tokio",
    "hyper",
    "arc_swap",
    "dashmap",
    "moka",
    "metrics",
    "tracing",
    "fs",
    "env",
    "process",
    "thread",
    "SystemTime",
    "Instant",
    "Mutex",
    "RwLock",
    "TcpStream",
    "UdpSocket",
];

/// The exceptions that ARCHITECTURE.md gives reasons for.
const EXCUSED: [(&str, &str); 4] = [
    ("src/clock.rs", "SystemTime"),
    ("src/clock.rs", "Instant"),
    ("src/snapshot.rs", "arc_swap"),
    ("src/snapshot.rs", "Mutex"),
];

const FILE_LINES_MAX: usize = 900;

const FUNCTION_LINES_MAX: usize = 70;

const ONE_TABLE: &str = "#[expect(clippy::too_many_lines, reason = \"one table\")]";
