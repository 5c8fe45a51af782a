//! One JSON file of the directory while it is read: its text, its places, what is wrong with it.
//!
//! Flows in: text and nodes. Flows out: texts, lists, compiled policies; or findings.

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;

use crate::config::finding::{Finding, Findings, Shown, Span, meant};
use crate::policy::directory::percent;
use crate::policy::document::{Document, PolicyType, check};
use crate::policy::finding::{PolicyFinding, Severity};
use crate::policy::json::{Json, Lines, Member, Node, parse};
use crate::policy::lint::{self, Home};
use crate::policy::set::Tag;
use crate::policy::statement::{CompiledPolicy, Source};

/// A file that is being read.
#[derive(Debug)]
pub(super) struct File<'t> {
    pub(super) path: Arc<Path>,
    pub(super) source: Source,
    text: &'t str,
    lines: Lines<'t>,
    findings: Findings,
    // Of documents that are looked through.
    home: Option<Home<'t>>,
}

/// Where something is said, for findings that need other files too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) file: Arc<Path>,
    pub(super) at: Span,
    pub(super) shown: Box<Shown>,
}

/// An object, and what it is called in messages.
#[derive(Clone, Copy, Debug)]
pub(super) struct Object<'n> {
    node: &'n Node,
    what: &'static str,
    members: &'n [Member],
}

impl<'n> Object<'n> {
    /// The value of a member; one that is `null` is absent.
    pub(super) fn get(self, name: &str) -> Option<&'n Node> {
        let member = self.members.iter().find(|member| &*member.name == name);
        member.map(|member| &member.node).filter(|node| node.value != Json::Null)
    }

    /// All members, in order.
    pub(super) fn members(self) -> &'n [Member] {
        self.members
    }

    /// The object's place.
    pub(super) fn node(self) -> &'n Node {
        self.node
    }
}

impl<'t> File<'t> {
    /// A file with nothing found in it yet.
    pub(super) fn new(path: &Arc<Path>, text: &'t str) -> Self {
        Self::linted(path, text, None)
    }

    /// A file whose documents are looked through for what is probably not meant, if it is known
    /// whose they are.
    pub(super) fn linted(path: &Arc<Path>, text: &'t str, home: Option<Home<'t>>) -> Self {
        Self {
            path: Arc::clone(path),
            source: Source { file: path.display().to_string().into() },
            text,
            lines: Lines::new(text),
            findings: Findings::new(path, text),
            home,
        }
    }

    /// The file's one value.
    pub(super) fn root(&mut self) -> Option<Node> {
        match parse(self.text) {
            Ok(node) => Some(node),
            Err(finding) => {
                self.push(&finding);
                None
            }
        }
    }

    /// Everything that was found, from the start to the end.
    pub(super) fn into_findings(self) -> Vec<Finding> {
        self.findings.into_sorted()
    }

    /// Adds an error at a node.
    pub(super) fn error(&mut self, node: &Node, message: impl Into<String>) {
        let at = self.span(node.offset, node.len);
        self.findings.error(at, message);
    }

    /// Adds an error at a node, and what to do about it.
    pub(super) fn error_hint(
        &mut self,
        node: &Node,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        let at = self.span(node.offset, node.len);
        self.findings.error_hint(at, message, hint);
    }

    /// Adds a warning at a node, and what to do about it.
    pub(super) fn warn(
        &mut self,
        node: &Node,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        let at = self.span(node.offset, node.len);
        self.findings.warn(at, message, hint);
    }

    /// Where a node is, for later.
    pub(super) fn place(&self, node: &Node) -> Place {
        let at = self.span(node.offset, node.len);
        let shown = Box::new(Shown::of(self.text, node.offset));
        Place { file: Arc::clone(&self.path), at, shown }
    }

    /// A node as an object.
    pub(super) fn object<'n>(&mut self, node: &'n Node, what: &'static str) -> Option<Object<'n>> {
        if let Json::Object(members) = &node.value {
            return Some(Object { node, what, members });
        }
        self.error(node, format!("{what} is an object, not {}", kind(node)));
        None
    }

    /// Finds members that an object of a format of our own does not have.
    pub(super) fn known_members(&mut self, object: Object<'_>, known: &[&'static str]) {
        for member in object.members {
            if !known.contains(&&*member.name) {
                let at = self.span(member.offset, member.name.len().saturating_add(2));
                let message = format!("unknown member `{}` in {}", member.name, object.what);
                self.findings.error_hint(at, message, meant(&member.name, known.iter().copied()));
            }
        }
    }

    /// The value of a member that must be there.
    pub(super) fn require<'n>(&mut self, object: Object<'n>, name: &str) -> Option<&'n Node> {
        let found = object.get(name);
        if found.is_none() {
            let at = self.span(object.node.offset, 1);
            self.findings.error(at, format!("{} has no `{name}`", object.what));
        }
        found
    }

    /// The text of a member that must be there, and its node.
    pub(super) fn text<'n>(
        &mut self,
        object: Object<'n>,
        name: &str,
    ) -> Option<(&'n str, &'n Node)> {
        let node = self.require(object, name)?;
        self.as_text(node, name).map(|text| (text, node))
    }

    /// The text of a member, if it is there.
    pub(super) fn optional_text<'n>(&mut self, object: Object<'n>, name: &str) -> Option<&'n str> {
        let node = object.get(name)?;
        self.as_text(node, name)
    }

    /// The elements of a member; none if it is absent.
    pub(super) fn list<'n>(&mut self, object: Object<'n>, name: &str) -> &'n [Node] {
        match object.get(name) {
            None => &[],
            Some(Node { value: Json::List(nodes), .. }) => nodes,
            Some(node) => {
                self.error(node, format!("`{name}` is a list, not {}", kind(node)));
                &[]
            }
        }
    }

    /// A node as a text that is not empty.
    pub(super) fn as_text<'n>(&mut self, node: &'n Node, name: &str) -> Option<&'n str> {
        match node.as_text() {
            Some("") => {
                self.error(node, format!("`{name}` is empty"));
                None
            }
            Some(text) => Some(text),
            None => {
                self.error(node, format!("`{name}` is a text, not {}", kind(node)));
                None
            }
        }
    }

    /// Tags by their keys; a key that comes twice in any letter case is an error.
    pub(super) fn tags<'n>(
        &mut self,
        all: impl IntoIterator<Item = (&'n str, &'n str, &'n Node)>,
    ) -> Box<[Tag]> {
        let mut tags: Vec<Tag> = Vec::new();
        let mut seen = std::collections::BTreeSet::new();
        for (key, value, node) in all {
            let lower = key.to_lowercase();
            if !seen.insert(lower.clone()) {
                self.error_hint(
                    node,
                    format!("the tag `{key}` is there twice"),
                    "keys of tags have no letter case",
                );
                continue;
            }
            tags.push(Tag { key: lower.into(), value: value.into() });
        }
        tags.into()
    }

    /// Compiles a document that is in the file as an object, or as a percent-encoded text, which is
    /// what the IAM API itself answers.
    pub(super) fn policy(
        &mut self,
        node: &Node,
        name: &str,
        policy_type: PolicyType,
    ) -> Option<Arc<CompiledPolicy>> {
        let found = self.document(node, policy_type)?;
        self.doubt(&found);
        self.compiled(&found, name)
    }

    /// The same, for a document that is looked through apart from that, or not at all.
    pub(super) fn policy_unlinted(
        &mut self,
        node: &Node,
        name: &str,
        policy_type: PolicyType,
    ) -> Option<Arc<CompiledPolicy>> {
        let found = self.document(node, policy_type)?;
        self.compiled(&found, name)
    }

    /// Looks through a document that is compiled elsewhere, and valid.
    pub(super) fn lint(&mut self, node: &Node, policy_type: PolicyType) {
        if self.home.is_none() {
            return;
        }
        let found = decoded(node).ok().and_then(|(tree, within)| {
            let document = check(&tree, policy_type).document?;
            Some(Found { document, within })
        });
        if let Some(found) = found {
            self.doubt(&found);
        }
    }

    fn document<'n>(&mut self, node: &'n Node, policy_type: PolicyType) -> Option<Found<'n>> {
        let (tree, within) = match decoded(node) {
            Ok(decoded) => decoded,
            Err(finding) => {
                self.push_at(node, &finding);
                return None;
            }
        };
        let checked = check(&tree, policy_type);
        self.push_all(&checked.findings, within);
        Some(Found { document: checked.document?, within })
    }

    fn doubt(&mut self, found: &Found<'_>) {
        if let Some(home) = self.home {
            self.push_all(&lint::document(&found.document, home), found.within);
        }
    }

    fn compiled(&mut self, found: &Found<'_>, name: &str) -> Option<Arc<CompiledPolicy>> {
        match crate::policy::compile(&found.document, name, self.source.clone(), &self.lines) {
            Ok(mut policy) => {
                if let Some(node) = found.within {
                    self.place_statements(&mut policy, node);
                }
                Some(Arc::new(policy))
            }
            Err(findings) => {
                self.push_all(&findings, found.within);
                None
            }
        }
    }

    fn place_statements(&self, policy: &mut CompiledPolicy, node: &Node) {
        let (line, column) = self.lines.place(node.offset);
        for statement in &mut policy.statements {
            statement.line = u32::try_from(line).unwrap_or(u32::MAX);
            statement.column = u32::try_from(column).unwrap_or(u32::MAX);
        }
    }

    fn push_all(&mut self, findings: &[PolicyFinding], within: Option<&Node>) {
        for finding in findings {
            match within {
                None => self.push(finding),
                Some(node) => self.push_at(node, finding),
            }
        }
    }

    fn push(&mut self, finding: &PolicyFinding) {
        let at = self.span(finding.offset, finding.len);
        self.push_span(at, finding);
    }

    fn push_at(&mut self, node: &Node, finding: &PolicyFinding) {
        let at = self.span(node.offset, node.len);
        self.push_span(at, finding);
    }

    fn push_span(&mut self, at: Span, finding: &PolicyFinding) {
        let message = finding.message.as_str();
        if 0 < finding.omitted {
            let severity = match finding.severity {
                Severity::Error => crate::config::finding::Severity::Error,
                Severity::Warning => crate::config::finding::Severity::Warning,
            };
            return self.findings.omit(severity, finding.omitted);
        }
        match (finding.severity, &finding.hint) {
            (Severity::Error, None) => self.findings.error(at, message),
            (Severity::Error, Some(hint)) => self.findings.error_hint(at, message, hint),
            (Severity::Warning, hint) => {
                self.findings.warn(at, message, hint.as_deref().unwrap_or_default());
            }
        }
    }

    /// Only what is on the first line is marked.
    fn span(&self, offset: usize, len: usize) -> Span {
        let (line, column) = self.lines.place(offset);
        let meant = self.text.get(offset..offset.saturating_add(len)).unwrap_or_default();
        let width = meant.lines().next().unwrap_or_default().chars().count().max(1);
        Span { line, column, width }
    }
}

impl Place {
    /// The start of a file or folder, for what is about all of it.
    pub(super) fn start(path: &Path) -> Self {
        Self { file: path.into(), at: Span::START, shown: Box::default() }
    }

    /// An error here.
    pub(super) fn error(&self, message: impl Into<String>, hint: Option<&str>) -> Finding {
        self.finding(crate::config::finding::Severity::Error, message.into(), hint)
    }

    /// A warning here.
    pub(super) fn warning(&self, message: impl Into<String>, hint: &str) -> Finding {
        self.finding(crate::config::finding::Severity::Warning, message.into(), Some(hint))
    }

    fn finding(
        &self,
        severity: crate::config::finding::Severity,
        message: String,
        hint: Option<&str>,
    ) -> Finding {
        Finding {
            severity,
            file: Arc::clone(&self.file),
            at: self.at,
            message,
            hint: hint.map(str::to_owned),
            shown: self.shown.clone(),
            omitted: 0,
        }
    }
}

/// A document, and the text that it was in; all of it has that place then.
struct Found<'n> {
    document: Document,
    within: Option<&'n Node>,
}

/// A document as a tree, and the text that it was in, if it was.
fn decoded(node: &Node) -> Result<(Cow<'_, Node>, Option<&Node>), PolicyFinding> {
    let Json::Text(encoded) = &node.value else { return Ok((Cow::Borrowed(node), None)) };
    let text = percent::decoded(encoded)
        .ok_or_else(|| PolicyFinding::error(0, 0, "the document is no percent-encoded text"))?;
    Ok((Cow::Owned(parse(&text)?), Some(node)))
}

/// What a node is, for messages.
pub(super) fn kind(node: &Node) -> &'static str {
    match &node.value {
        Json::Null => "nothing",
        Json::Bool(_) => "a boolean",
        Json::Number(_) => "a number",
        Json::Text(_) => "a text",
        Json::List(_) => "a list",
        Json::Object(_) => "an object",
    }
}
