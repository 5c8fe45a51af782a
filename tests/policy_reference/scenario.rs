//! Scenarios in the shape of `crossgate simulate`, as plain structs.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::documents::{Policy, PolicyType};
use super::principals::{Caller, Kind};

/// One question: may this caller do these actions on this resource?
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) caller: Caller,
    /// The main action, then all of `also_actions`; in lower case.
    pub(crate) actions: Vec<String>,
    pub(crate) resource: String,
    /// The account that owns the resource; none: the caller's own.
    pub(crate) owner: Option<String>,
    pub(crate) context: Context,
}

/// The request's keys in lower case, and their values: at least one each.
pub(crate) type Context = BTreeMap<String, Entry>;

/// The values of a key.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) values: Vec<String>,
    /// Whether the key is of the kind that may have several, or has.
    pub(crate) multivalued: bool,
}

/// The policies that apply to a question.
#[derive(Clone, Debug)]
pub(crate) struct Policies {
    pub(crate) identity: Vec<Policy>,
    pub(crate) resource: Option<Policy>,
    pub(crate) boundary: Option<Vec<Policy>>,
    pub(crate) session: Option<Vec<Policy>>,
    pub(crate) endpoint: Option<Vec<Policy>>,
    pub(crate) scp: Vec<Vec<Policy>>,
    pub(crate) rcp: Vec<Vec<Policy>>,
    pub(crate) key: Option<KeyGate>,
}

/// The key that the resource is encrypted with.
#[derive(Clone, Debug)]
pub(crate) struct KeyGate {
    pub(crate) arn: String,
    pub(crate) account: String,
    pub(crate) action: String,
    pub(crate) policy: Option<Policy>,
}

/// What kind of resource policy a resource has (facts: sections 5 and 6).
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum ResourceKind {
    Ordinary,
    /// A role, asked for an action of `sts`.
    Trust,
    /// A KMS key.
    Key,
}

impl Request {
    /// Reads the `request` of a scenario.
    pub(crate) fn read(value: &Value) -> Result<Self, String> {
        let principal = value.get("principal").ok_or("no principal")?;
        let text = |key: &str| principal.get(key).and_then(Value::as_str);
        let caller = Caller::new(text("type"), text("arn"), text("account"))?;
        let mut actions = vec![string(value, "action")?];
        if let Some(also) = value.get("also_actions") {
            actions.extend(strings(also)?);
        }
        if let Some(action) = actions.iter().find(|action| !is_action(action)) {
            return Err(format!("`{action}` is no action"));
        }
        let resource = value.get("resource").ok_or("no resource")?;
        let owner = resource.get("account").and_then(Value::as_str).map(str::to_owned);
        let resource = string(resource, "arn")?;
        if resource != "*" && super::glob::arn_segments(&resource).is_none() {
            return Err(format!("`{resource}` is no resource"));
        }
        // Where no owner is told, the account in the ARN is the best guess.
        let of_arn = super::glob::arn_segments(&resource).map(|segments| segments[4].to_owned());
        let owner = owner.or(of_arn.filter(|account| !account.is_empty()));
        let actions = actions.iter().map(|action| action.to_lowercase()).collect();
        Ok(Self { caller, actions, resource, owner, context: context(value)? })
    }

    /// What kind of resource policy the resource has.
    pub(crate) fn kind(&self) -> ResourceKind {
        kind(&self.actions[0], &self.resource)
    }
}

impl Policies {
    /// Reads the `policies` of a scenario.
    pub(crate) fn read(value: &Value, kind: ResourceKind) -> Result<Self, String> {
        // It has no name of its own, and is called what it is.
        let (name, resource_type) = match kind {
            ResourceKind::Ordinary => ("resource", PolicyType::Resource),
            ResourceKind::Trust => ("trust", PolicyType::Trust),
            ResourceKind::Key => ("key", PolicyType::Key),
        };
        let list = |key: &str, of| list(value.get(key), of);
        let levels = |key: &str, of| levels(value.get(key), of);
        Ok(Self {
            identity: list("identity", PolicyType::Identity)?.unwrap_or_default(),
            resource: given(value.get("resource"))
                .map(|document| Policy::read(name, document, resource_type))
                .transpose()?,
            boundary: list("boundary", PolicyType::Boundary)?,
            session: list("session", PolicyType::Session)?,
            endpoint: list("endpoint", PolicyType::Endpoint)?,
            scp: levels("scp", PolicyType::Scp)?,
            rcp: levels("rcp", PolicyType::Rcp)?,
            key: given(value.get("key")).map(key_gate).transpose()?,
        })
    }
}

/// Answers one line of JSON as `crossgate simulate` does, but for the statements.
pub(crate) fn answer_line(line: &str) -> Result<super::Answer, String> {
    let value = super::json::parse(line)?;
    let request = Request::read(value.get("request").ok_or("no request")?)?;
    let policies = value.get("policies").ok_or("no policies")?;
    let policies = Policies::read(policies, request.kind())?;
    Ok(super::decide(&request, &policies))
}

/// What kind of resource policy decides on an action on a resource.
pub(crate) fn kind(action: &str, resource: &str) -> ResourceKind {
    let Some(arn) = super::glob::arn_segments(resource) else {
        return ResourceKind::Ordinary;
    };
    let is_sts = action.starts_with("sts:");
    if is_sts && arn[2] == "iam" && arn[5].starts_with("role/") {
        ResourceKind::Trust
    } else if arn[2] == "kms" && arn[5].starts_with("key/") {
        ResourceKind::Key
    } else {
        ResourceKind::Ordinary
    }
}

fn context(request: &Value) -> Result<Context, String> {
    let multivalued = request.get("multivalued").map(strings).transpose()?.unwrap_or_default();
    let multivalued: Vec<String> = multivalued.iter().map(|key| key.to_lowercase()).collect();
    let empty = Map::new();
    let mut context = Context::new();
    for (key, values) in request.get("context").and_then(Value::as_object).unwrap_or(&empty) {
        let (key, values) = (key.to_lowercase(), strings(values)?);
        let multivalued = multivalued.contains(&key) || values.len() > 1;
        // A key without values is absent.
        if !values.is_empty() {
            context.insert(key, Entry { values, multivalued });
        }
    }
    Ok(context)
}

fn key_gate(value: &Value) -> Result<KeyGate, String> {
    let document = given(value.get("document"));
    Ok(KeyGate {
        arn: string(value, "arn")?,
        account: string(value, "account")?,
        action: string(value, "action")?.to_lowercase(),
        policy: document
            .map(|document| Policy::read("key", document, PolicyType::Key))
            .transpose()?,
    })
}

fn list(value: Option<&Value>, of: PolicyType) -> Result<Option<Vec<Policy>>, String> {
    let Some(value) = given(value) else {
        return Ok(None);
    };
    let items = value.as_array().ok_or("policies are a list")?;
    let policies = items.iter().map(|item| {
        let document = item.get("document").ok_or("a policy has a document")?;
        Policy::read(&string(item, "name")?, document, of)
    });
    policies.collect::<Result<_, _>>().map(Some)
}

fn levels(value: Option<&Value>, of: PolicyType) -> Result<Vec<Vec<Policy>>, String> {
    let Some(value) = given(value) else {
        return Ok(Vec::new());
    };
    let levels = value.as_array().ok_or("levels are a list")?;
    levels
        .iter()
        .map(|level| list(level.get("policies"), of).map(Option::unwrap_or_default))
        .collect()
}

fn is_action(text: &str) -> bool {
    let parts: Vec<&str> = text.split(':').collect();
    parts.len() == 2 && parts.iter().all(|part| !part.is_empty())
}

fn given(value: Option<&Value>) -> Option<&Value> {
    value.filter(|value| !value.is_null())
}

fn string(value: &Value, key: &str) -> Result<String, String> {
    let text = value.get(key).and_then(Value::as_str).map(str::to_owned);
    text.ok_or_else(|| format!("`{key}` is missing"))
}

fn strings(value: &Value) -> Result<Vec<String>, String> {
    let items = value.as_array().ok_or_else(|| format!("{value} is no list"))?;
    let texts = items.iter().map(|item| item.as_str().map(str::to_owned));
    texts.collect::<Option<_>>().ok_or_else(|| format!("{value} is no list of strings"))
}

/// The principal's kind, where nothing but its ARN says it.
impl Kind {
    /// Whether a kind of caller belongs to an account and so has policies of its own.
    pub(crate) fn has_account(self) -> bool {
        use Kind::{AssumedRole, FederatedUser, Role, Root, User};
        matches!(self, AssumedRole | FederatedUser | Role | Root | User)
    }
}
