//! A scenario's `policies`, compiled.

use std::sync::Arc;

use super::json::{list, member, only, text};
use super::{ScenarioError, ScenarioRequest};
use crate::iam::{Action, Arn};
use crate::policy::compile::compile;
use crate::policy::document::{self, PolicyType};
use crate::policy::explain::LevelNames;
use crate::policy::finding::Severity;
use crate::policy::json::{Json, Lines, Node, parse};
use crate::policy::question::{IdentitySide, KeyGate, Level, Policies, SessionSide};
use crate::policy::statement::{CompiledPolicy, Source};

/// The `policies` of a scenario.
#[derive(Debug, Default)]
pub struct ScenarioPolicies {
    identity: Vec<Arc<CompiledPolicy>>,
    resource: Option<Arc<CompiledPolicy>>,
    boundary: Option<Vec<Arc<CompiledPolicy>>>,
    session: Option<Vec<Arc<CompiledPolicy>>>,
    endpoint: Option<Vec<Arc<CompiledPolicy>>>,
    scp: Levels,
    rcp: Levels,
    key: Option<ScenarioKey>,
}

/// Levels of the organization, with their names in the scenario.
#[derive(Debug, Default)]
struct Levels {
    levels: Vec<Level>,
    names: Vec<Box<str>>,
}

#[derive(Debug)]
struct ScenarioKey {
    arn: Box<str>,
    account: Box<str>,
    action: Action,
    policy: Option<Arc<CompiledPolicy>>,
}

impl ScenarioPolicies {
    /// Reads policies. A resource policy of which no statement names resources is taken for a
    /// role's trust policy; [`Self::parse_for`] knows.
    ///
    /// # Errors
    /// It is no JSON, a member is unknown or not what it should be, or documents are invalid.
    pub fn parse(text: &str) -> Result<Self, ScenarioError> {
        let node = parsed(text)?;
        let resource = member(&node, "resource");
        let of = resource.map_or(PolicyType::Resource, guessed_type);
        Self::read(&node, text, of)
    }

    /// Reads the policies that apply to a request.
    ///
    /// # Errors
    /// As [`Self::parse`].
    pub fn parse_for(request: &ScenarioRequest, text: &str) -> Result<Self, ScenarioError> {
        Self::read(&parsed(text)?, text, request.resource_policy_type())
    }

    /// `line` is the text that the node's places are in.
    pub(super) fn read(
        node: &Node,
        line: &str,
        resource_type: PolicyType,
    ) -> Result<Self, ScenarioError> {
        only(node, "policies", &MEMBERS)?;
        let mut reader = Reader { lines: Lines::new(line), file: "".into(), problems: Vec::new() };
        let policies = Self {
            identity: reader.documents(node, PolicyType::Identity).unwrap_or_default(),
            resource: member(node, "resource").and_then(|node| {
                reader.document(node, "policies.resource", resource_type.as_str(), resource_type)
            }),
            boundary: reader.documents(node, PolicyType::Boundary),
            session: reader.documents(node, PolicyType::Session),
            endpoint: reader.documents(node, PolicyType::Endpoint),
            scp: reader.levels(node, PolicyType::Scp),
            rcp: reader.levels(node, PolicyType::Rcp),
            key: member(node, "key").and_then(|node| reader.key(node)),
        };
        if reader.problems.is_empty() {
            Ok(policies)
        } else {
            Err(ScenarioError { problems: reader.problems })
        }
    }

    pub(in crate::policy) fn borrowed(&self) -> Policies<'_> {
        Policies {
            identity: IdentitySide::Known(&self.identity),
            resource: self.resource.as_deref(),
            boundary: self.boundary.as_deref(),
            session: self.session.as_deref().map(SessionSide::inline),
            endpoint: self.endpoint.as_deref(),
            scp: &self.scp.levels,
            rcp: &self.rcp.levels,
            key: self.key.as_ref().and_then(ScenarioKey::borrowed),
        }
    }

    pub(super) fn level_names(&self) -> LevelNames<'_> {
        LevelNames { scp: &self.scp.names, rcp: &self.rcp.names }
    }
}

impl ScenarioKey {
    fn borrowed(&self) -> Option<KeyGate<'_>> {
        Some(KeyGate {
            arn: Arn::parse(&self.arn)?,
            account: &self.account,
            action: &self.action,
            policy: self.policy.as_deref(),
            rcp: &[],
        })
    }
}

fn parsed(text: &str) -> Result<Node, ScenarioError> {
    parse(text).map_err(|finding| ScenarioError::of_invalid(text, &finding))
}

/// What a resource policy is, by its own looks.
fn guessed_type(resource: &Node) -> PolicyType {
    let document = member(resource, "document").unwrap_or(resource);
    let statements = list(document.get("Statement"));
    let names_resources =
        |it: &Node| it.get("Resource").is_some() || it.get("NotResource").is_some();
    if statements.is_empty() || statements.iter().any(names_resources) {
        PolicyType::Resource
    } else {
        PolicyType::Trust
    }
}

/// Reads documents and gathers what is wrong with all of them.
struct Reader<'l> {
    lines: Lines<'l>,
    file: Arc<str>,
    problems: Vec<String>,
}

impl Reader<'_> {
    /// The documents of a member; `None` if there is no such member.
    fn documents(
        &mut self,
        policies: &Node,
        policy_type: PolicyType,
    ) -> Option<Vec<Arc<CompiledPolicy>>> {
        let name = policy_type.as_str();
        let node = member(policies, name)?;
        Some(self.document_list(node, &format!("policies.{name}"), name, policy_type))
    }

    fn document_list(
        &mut self,
        node: &Node,
        path: &str,
        name: &str,
        policy_type: PolicyType,
    ) -> Vec<Arc<CompiledPolicy>> {
        let is_list = matches!(node.value, Json::List(_));
        let mut read = Vec::new();
        for (index, node) in list(Some(node)).iter().enumerate() {
            let place = if is_list { format!("[{index}]") } else { String::new() };
            let (path, name) = (format!("{path}{place}"), format!("{name}{place}"));
            read.extend(self.document(node, &path, &name, policy_type));
        }
        read
    }

    /// A document, bare or with a name of its own.
    fn document(
        &mut self,
        node: &Node,
        path: &str,
        default_name: &str,
        policy_type: PolicyType,
    ) -> Option<Arc<CompiledPolicy>> {
        let is_bare = ["Statement", "Version", "Id"].iter().any(|name| node.get(name).is_some());
        let (name, document) = if is_bare {
            (default_name, node)
        } else {
            self.taken(only(node, path, &["name", "document"]))?;
            let name = self.taken(text(node, path, "name"))?.unwrap_or(default_name);
            let Some(document) = member(node, "document") else {
                self.problems.push(format!("`{path}.document` is missing"));
                return None;
            };
            (name, document)
        };
        self.compiled(document, name, policy_type).map(Arc::new)
    }

    fn compiled(
        &mut self,
        node: &Node,
        name: &str,
        policy_type: PolicyType,
    ) -> Option<CompiledPolicy> {
        let of = format!("{} policy `{name}`", policy_type.as_str());
        let checked = document::check_of_scenario(node, policy_type);
        let is_refused = checked.findings.iter().any(|it| it.severity == Severity::Error);
        let source = Source { file: Arc::clone(&self.file) };
        let compiled = match checked.document {
            Some(document) if !is_refused => compile(&document, name, source, &self.lines),
            Some(_) | None => Err(checked.findings),
        };
        match compiled {
            Ok(policy) => Some(policy),
            Err(findings) => {
                let before = self.problems.len();
                let error = ScenarioError::of_findings(&of, &self.lines, &findings);
                self.problems.extend(error.problems);
                if self.problems.len() == before {
                    self.problems.push(format!("{of} is invalid"));
                }
                None
            }
        }
    }

    /// The levels of a member, from the root down.
    fn levels(&mut self, policies: &Node, policy_type: PolicyType) -> Levels {
        let name = policy_type.as_str();
        let mut read = Levels::default();
        for (index, node) in list(policies.get(name)).iter().enumerate() {
            let path = format!("policies.{name}[{index}]");
            if self.taken(only(node, &path, &["target", "policies"])).is_none() {
                continue;
            }
            let Some(documents) = node.get("policies") else {
                self.problems.push(format!("`{path}.policies` is missing"));
                continue;
            };
            let target = self.taken(text(node, &path, "target")).flatten();
            let target = target.map_or_else(|| format!("{name}[{index}]"), ToOwned::to_owned);
            let path = format!("{path}.policies");
            read.levels.push(self.document_list(documents, &path, &target, policy_type).into());
            read.names.push(target.into());
        }
        read
    }

    fn key(&mut self, node: &Node) -> Option<ScenarioKey> {
        const PATH: &str = "policies.key";
        self.taken(only(node, PATH, &["arn", "account", "action", "document"]))?;
        let arn = self.taken(required(node, PATH, "arn"))?;
        let action = self.taken(required(node, PATH, "action"))?;
        let account = self.taken(text(node, PATH, "account"))?;
        let policy = member(node, "document")
            .and_then(|node| self.document(node, PATH, "key", PolicyType::Key));
        let Some(name) = Arn::parse(arn) else {
            self.problems.push(format!("`{PATH}.arn` is no ARN of six parts: `{arn}`"));
            return None;
        };
        let Some(action) = Action::parse(action) else {
            let problem = "is not of the form `service:Name`";
            self.problems.push(format!("`{PATH}.action` {problem}: `{action}`"));
            return None;
        };
        let account = account.unwrap_or(name.account()).into();
        Some(ScenarioKey { arn: arn.into(), account, action, policy })
    }

    /// What was read, or nothing and a problem more.
    fn taken<T>(&mut self, read: Result<T, ScenarioError>) -> Option<T> {
        read.map_err(|error| self.problems.extend(error.problems)).ok()
    }
}

fn required<'n>(node: &'n Node, path: &str, name: &str) -> Result<&'n str, ScenarioError> {
    text(node, path, name)?.ok_or_else(|| ScenarioError::new(format!("`{path}.{name}` is missing")))
}

const MEMBERS: [&str; 8] =
    ["identity", "resource", "boundary", "session", "scp", "rcp", "endpoint", "key"];
