//! A scenario's `request`: who asks, to do what, on what, and what the request knows of itself.

use std::collections::HashMap;

use foldhash::fast::FixedState;

use super::ScenarioError;
use super::json::{list, member, only, scalar_text, text};
use crate::iam::{Action, Arn};
use crate::policy::combine::ResourceSide;
use crate::policy::context::{ConditionKey, Context, Value, Values};
use crate::policy::document::PolicyType;
use crate::policy::json::{Json, Node, parse};
use crate::policy::principal::{Principal, PrincipalKind, SERVICE_LINKED_PATH, last_part};
use crate::policy::question::{Question, Resource};

/// The `request` of a scenario.
#[derive(Clone, Debug)]
pub struct ScenarioRequest {
    principal: ScenarioPrincipal,
    action: Action,
    also_actions: Vec<Action>,
    // None: the action has no resource-level permission.
    resource: Option<Box<str>>,
    owner: Option<Box<str>>,
    context: ScenarioContext,
}

#[derive(Clone, Debug)]
struct ScenarioPrincipal {
    kind: PrincipalKind,
    text: Box<str>,
    account: Option<Box<str>>,
}

/// The context keys that a scenario lists; no others are present.
#[derive(Clone, Debug, Default)]
pub(in crate::policy) struct ScenarioContext {
    // A fixed hasher: who writes a scenario only slows down the own answer.
    keys: HashMap<ConditionKey, ContextEntry, FixedState>,
}

#[derive(Clone, Debug)]
struct ContextEntry {
    values: Box<[Box<str>]>,
    cardinality: Cardinality,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cardinality {
    Multiple,
    Single,
}

impl ScenarioRequest {
    /// Reads a request.
    ///
    /// # Errors
    /// It is no JSON, or a member is missing, unknown or not what it should be.
    pub fn parse(text: &str) -> Result<Self, ScenarioError> {
        let node = parse(text).map_err(|finding| ScenarioError::of_invalid(text, &finding))?;
        Self::read(&node)
    }

    pub(super) fn read(node: &Node) -> Result<Self, ScenarioError> {
        only(node, "request", &MEMBERS)?;
        let context = ScenarioContext::read(node)?;
        let action = read_action(node.get("action"), "request.action")?;
        let (resource, owner) = read_resource(node)?;
        let principal = ScenarioPrincipal::read(node)?.vouched_for(&action, &context);
        let also_actions = list(node.get("also_actions"))
            .iter()
            .map(|node| read_action(Some(node), "request.also_actions"))
            .collect::<Result<_, _>>()?;
        Ok(Self { principal, action, also_actions, resource, owner, context })
    }

    /// What the resource's policy is checked as: it depends on what is asked.
    pub(super) fn resource_policy_type(&self) -> PolicyType {
        let Some(arn) = self.resource.as_deref().and_then(Arn::parse) else {
            return PolicyType::Resource;
        };
        ResourceSide::of(&self.action, Resource::Named(arn)).policy_type()
    }

    pub(in crate::policy) fn action(&self) -> &Action {
        &self.action
    }

    pub(super) fn also_actions(&self) -> &[Action] {
        &self.also_actions
    }

    pub(in crate::policy) fn question<'a>(
        &'a self,
        action: &'a Action,
    ) -> Question<'a, ScenarioContext> {
        let named = self.resource.as_deref().and_then(Arn::parse);
        Question {
            principal: self.principal.borrowed(&self.context),
            action,
            resource: named.map_or(Resource::Any, Resource::Named),
            owner: self.owner.as_deref(),
            context: &self.context,
        }
    }
}

impl ScenarioPrincipal {
    fn read(request: &Node) -> Result<Self, ScenarioError> {
        const PATH: &str = "request.principal";
        let node = request
            .get("principal")
            .ok_or_else(|| ScenarioError::new(format!("`{PATH}` is missing")))?;
        only(node, PATH, &["type", "arn", "account"])?;
        let given = text(node, PATH, "type")?.map(kind_named).transpose()?;
        let account = text(node, PATH, "account")?;
        let arn = text(node, PATH, "arn")?.unwrap_or_default();
        let kind = match given {
            Some(kind) => kind,
            None if arn.is_empty() => PrincipalKind::Anonymous,
            None => PrincipalKind::of(arn).ok_or_else(|| {
                ScenarioError::new(format!("`{PATH}.arn` is no principal: `{arn}`"))
            })?,
        };
        if kind == PrincipalKind::Anonymous && !arn.is_empty() {
            return Err(ScenarioError::new(format!("`{PATH}`: `anonymous` has no arn")));
        }
        let Some(principal) = Principal::new(kind, arn, account) else {
            let kind = kind.as_str();
            return Err(ScenarioError::new(format!("`{PATH}.arn` is no `{kind}`: `{arn}`")));
        };
        if let (Some(given), Some(own)) = (account, Arn::parse(arn).map(Arn::account))
            && principal.account.is_some()
            && !own.is_empty()
            && own != given
        {
            return Err(ScenarioError::new(format!(
                "`{PATH}.account` is `{given}`, but its arn is of account `{own}`"
            )));
        }
        Ok(Self { kind, text: arn.into(), account: principal.account.map(Into::into) })
    }

    /// A caller without credentials who is vouched for by an identity provider, which the context
    /// names, is that provider's.
    fn vouched_for(self, action: &Action, context: &ScenarioContext) -> Self {
        if self.kind != PrincipalKind::Anonymous || !FEDERATED_ACTIONS.contains(&action.lower()) {
            return self;
        }
        match context.values(&ConditionKey::new("aws:FederatedProvider")) {
            Values::One(Value::Text(provider)) if !provider.is_empty() => {
                Self { kind: PrincipalKind::WebIdentity, text: provider.into(), account: None }
            }
            Values::Absent | Values::One(_) | Values::Many(_) => self,
        }
    }

    fn borrowed<'a>(&'a self, context: &'a ScenarioContext) -> Principal<'a> {
        let principal = Principal::new(self.kind, &self.text, self.account.as_deref())
            .unwrap_or(Principal::ANONYMOUS);
        let service_linked = principal.service_linked || is_service_linked(&principal, context);
        Principal { service_linked, ..principal }
    }
}

/// Whether a session is of a role that a service made for itself. Its own ARN has no path, but
/// `aws:PrincipalArn` has.
fn is_service_linked(principal: &Principal<'_>, context: &ScenarioContext) -> bool {
    let Values::One(Value::Text(text)) = context.values(&ConditionKey::new("aws:PrincipalArn"))
    else {
        return false;
    };
    let (Some(arn), Some(role)) = (Arn::parse(text), principal.role) else { return false };
    let Some(path) = arn.resource().strip_prefix("role/") else { return false };
    principal.kind == PrincipalKind::AssumedRole
        && arn.service() == "iam"
        && arn.partition() == role.partition
        && arn.account() == role.account
        && path.starts_with(SERVICE_LINKED_PATH)
        && last_part(path) == role.name
}

fn kind_named(name: &str) -> Result<PrincipalKind, ScenarioError> {
    KINDS.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind).ok_or_else(|| {
        let known: Vec<String> = KINDS.iter().map(|(known, _)| format!("`{known}`")).collect();
        ScenarioError::new(format!(
            "`request.principal.type` is `{name}`, not one of {}",
            known.join(", ")
        ))
    })
}

fn read_action(node: Option<&Node>, path: &str) -> Result<Action, ScenarioError> {
    let text = node
        .ok_or_else(|| ScenarioError::new(format!("`{path}` is missing")))?
        .as_text()
        .ok_or_else(|| ScenarioError::new(format!("`{path}` is not a text")))?;
    Action::parse(text).ok_or_else(|| {
        ScenarioError::new(format!("`{path}` is not of the form `service:Name`: `{text}`"))
    })
}

/// The resource's name, if one is meant, and who owns it; no owner is the principal's account.
type ResourceAndOwner = (Option<Box<str>>, Option<Box<str>>);

fn read_resource(request: &Node) -> Result<ResourceAndOwner, ScenarioError> {
    const PATH: &str = "request.resource";
    let node = request
        .get("resource")
        .ok_or_else(|| ScenarioError::new(format!("`{PATH}` is missing")))?;
    only(node, PATH, &["arn", "account"])?;
    let account = text(node, PATH, "account")?.map(Into::into);
    let name = text(node, PATH, "arn")?
        .ok_or_else(|| ScenarioError::new(format!("`{PATH}.arn` is missing")))?;
    if name == "*" {
        return Ok((None, account));
    }
    let arn = Arn::parse(name).ok_or_else(|| {
        ScenarioError::new(format!("`{PATH}.arn` is neither `*` nor an ARN of six parts: `{name}`"))
    })?;
    let own = Some(arn.account()).filter(|account| !account.is_empty());
    Ok((Some(name.into()), account.or(own.map(Into::into))))
}

impl ScenarioContext {
    fn read(request: &Node) -> Result<Self, ScenarioError> {
        const PATH: &str = "request.context";
        let not_texts = |path: &str| ScenarioError::new(format!("`{path}` is not a list of texts"));
        let mut multiple = Vec::new();
        for name in list(request.get("multivalued")) {
            let name = name.as_text().ok_or_else(|| not_texts("request.multivalued"))?;
            multiple.push(ConditionKey::new(name));
        }
        let members = match member(request, "context").map(|node| &node.value) {
            None => return Ok(Self::default()),
            Some(Json::Object(members)) => members,
            Some(_) => return Err(ScenarioError::new(format!("`{PATH}` is not an object"))),
        };
        let mut keys = HashMap::with_hasher(FixedState::default());
        for found in members {
            let name = &found.name;
            let key = ConditionKey::new(name);
            let values: Box<[_]> = list(Some(&found.node))
                .iter()
                .map(scalar_text)
                .collect::<Option<_>>()
                .ok_or_else(|| not_texts(&format!("{PATH}.{name}")))?;
            let cardinality = if values.len() > 1 || multiple.contains(&key) {
                Cardinality::Multiple
            } else {
                Cardinality::Single
            };
            if keys.insert(key, ContextEntry { values, cardinality }).is_some() {
                let problem = "twice: letter case does not tell keys apart";
                return Err(ScenarioError::new(format!("`{PATH}` has `{name}` {problem}")));
            }
        }
        Ok(Self { keys })
    }
}

impl Context for ScenarioContext {
    fn values(&self, key: &ConditionKey) -> Values<'_> {
        match self.keys.get(key) {
            None => Values::Absent,
            Some(entry) => match (&*entry.values, entry.cardinality) {
                ([], _) => Values::Absent,
                ([value], Cardinality::Single) => Values::One(Value::Text(value)),
                (values, Cardinality::Multiple | Cardinality::Single) => Values::Many(values),
            },
        }
    }
}

const MEMBERS: [&str; 6] =
    ["principal", "action", "resource", "context", "multivalued", "also_actions"];

/// The principals' kinds by their names in scenarios.
const KINDS: [(&str, PrincipalKind); 9] = [
    ("user", PrincipalKind::User),
    ("role", PrincipalKind::Role),
    ("assumed-role", PrincipalKind::AssumedRole),
    ("federated-user", PrincipalKind::FederatedUser),
    ("root", PrincipalKind::Root),
    ("service", PrincipalKind::Service),
    ("anonymous", PrincipalKind::Anonymous),
    ("web-identity", PrincipalKind::WebIdentity),
    ("federated", PrincipalKind::WebIdentity),
];

/// The actions whose callers an identity provider vouches for.
const FEDERATED_ACTIONS: [&str; 2] = ["sts:assumerolewithwebidentity", "sts:assumerolewithsaml"];
