//! Policy documents: their grammar, and which statements match (facts: sections 1 and 2).

use serde_json::{Map, Value};

use super::conditions::{self, Condition};
use super::glob::{self, Part, arn_segments, parse};
use super::principals::{Caller, Match, Principals};
use super::scenario::Context;

/// Where a document applies.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum PolicyType {
    Identity,
    Resource,
    Trust,
    Boundary,
    Session,
    Scp,
    Rcp,
    Key,
    Endpoint,
}

/// A document and its name.
#[derive(Clone, Debug)]
pub(crate) struct Policy {
    pub(crate) name: String,
    pub(crate) statements: Vec<Statement>,
}

/// One statement.
#[derive(Clone, Debug)]
pub(crate) struct Statement {
    pub(crate) denies: bool,
    pub(crate) principals: Option<Principals>,
    not_action: bool,
    /// Service and name, in lower case; `None`: `*`.
    actions: Vec<Option<(String, Vec<Part>)>>,
    not_resource: bool,
    /// Empty where the policy's own resource is meant.
    resources: Vec<ResourcePattern>,
    conditions: Vec<Condition>,
}

/// `*`, or six patterns.
#[derive(Clone, Debug)]
enum ResourcePattern {
    Any,
    Arn(Vec<Vec<Part>>),
}

/// What is asked of statements.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Question<'a> {
    pub(crate) caller: &'a Caller,
    pub(crate) has_boundary: bool,
    /// In lower case.
    pub(crate) action: &'a str,
    pub(crate) resource: &'a str,
    pub(crate) context: &'a Context,
}

impl Policy {
    /// Reads a document.
    pub(crate) fn read(name: &str, document: &Value, of: PolicyType) -> Result<Self, String> {
        let members = object(document)?;
        only(members, &["Version", "Id", "Statement"])?;
        let variables = match members.get("Version").map(Value::as_str) {
            None | Some(Some("2008-10-17")) => false,
            Some(Some("2012-10-17")) => true,
            other => return Err(format!("{other:?} is no version")),
        };
        let limits_only_itself =
            matches!(of, PolicyType::Identity | PolicyType::Boundary | PolicyType::Session);
        if members.get("Id").is_some_and(|id| !id.is_string() || limits_only_itself) {
            return Err("`Id` is not allowed here, or no string".to_owned());
        }
        let statements = match members.get("Statement") {
            Some(Value::Array(statements)) => statements.iter().collect(),
            Some(statement) => vec![statement],
            None => return Err("no `Statement`".to_owned()),
        };
        // A guardrail that is empty allows nothing; any other document is refused.
        if statements.is_empty() && of != PolicyType::Scp && of != PolicyType::Rcp {
            return Err("`Statement` is empty".to_owned());
        }
        let mut sids: Vec<&str> =
            statements.iter().filter_map(|it| it.get("Sid")?.as_str()).collect();
        sids.retain(|sid| !sid.is_empty());
        sids.sort_unstable();
        if sids.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err("two statements have one `Sid`".to_owned());
        }
        let statements = statements
            .into_iter()
            .map(|it| Statement::read(it, of, variables))
            .collect::<Result<_, _>>()?;
        Ok(Self { name: name.to_owned(), statements })
    }
}

impl Statement {
    fn read(value: &Value, of: PolicyType, variables: bool) -> Result<Self, String> {
        let members = object(value)?;
        let known = ["Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction"];
        only(members, &[&known[..], &["Resource", "NotResource", "Condition"]].concat())?;
        let denies = match members.get("Effect").and_then(Value::as_str) {
            Some("Allow") => false,
            Some("Deny") => true,
            _ => return Err("`Effect` is neither `Allow` nor `Deny`".to_owned()),
        };
        check_sid(members.get("Sid"), of)?;
        let (not_action, actions) =
            either(members, "Action", "NotAction")?.ok_or("no `Action` and no `NotAction`")?;
        let resources = either(members, "Resource", "NotResource")?;
        let (not_resource, resources) = match (of, resources) {
            (PolicyType::Trust, None) => (false, Vec::new()),
            (PolicyType::Trust, Some(_)) => return Err("a trust policy has no resource".to_owned()),
            (_, Some(resources)) => resources,
            (_, None) => return Err("no `Resource` and no `NotResource`".to_owned()),
        };
        if of == PolicyType::Rcp && not_action {
            return Err("an RCP names actions".to_owned());
        }
        let is_of_sts = |action: &String| action.to_lowercase().starts_with("sts:");
        if of == PolicyType::Trust && !actions.iter().all(is_of_sts) {
            return Err("a trust policy is about `sts` only".to_owned());
        }
        Ok(Self {
            denies,
            principals: read_principals(members, of)?,
            not_action,
            actions: actions.iter().map(|text| read_action(text)).collect::<Result<_, _>>()?,
            not_resource,
            resources: resources
                .iter()
                .map(|text| read_resource(text, variables))
                .collect::<Result<_, _>>()?,
            conditions: conditions::read(members.get("Condition"), variables)?,
        })
    }

    /// Principal ∧ action ∧ resource ∧ every condition (facts: section 2).
    pub(crate) fn matches(&self, question: &Question<'_>) -> Option<Match> {
        let by = match &self.principals {
            None => Match::Direct,
            Some(principals) => {
                principals.means(question.caller, self.denies, question.has_boundary)?
            }
        };
        let all = self.means_action(question.action)
            && self.means_resource(question.resource, question.context)
            && self.conditions.iter().all(|it| it.holds(question.context, self.denies));
        all.then_some(by)
    }

    fn means_action(&self, action: &str) -> bool {
        let (service, name) = action.split_once(':').unwrap();
        let listed = self.actions.iter().any(|pattern| match pattern {
            None => true,
            Some((of, pattern)) => of == service && glob::matches(pattern, name, &Context::new()),
        });
        listed != self.not_action
    }

    fn means_resource(&self, resource: &str, context: &Context) -> bool {
        if self.resources.is_empty() {
            return true;
        }
        let segments = arn_segments(resource);
        let listed = self.resources.iter().any(|pattern| match (pattern, &segments) {
            (ResourcePattern::Any, _) => true,
            // An action without resources: only `*` means it.
            (ResourcePattern::Arn(_), None) => false,
            (ResourcePattern::Arn(patterns), Some(segments)) => {
                // Partition, service and region are compared without letter case.
                (0..6).all(|n| match n {
                    1..=3 => glob::matches(&patterns[n], &segments[n].to_lowercase(), context),
                    _ => glob::matches(&patterns[n], segments[n], context),
                })
            }
        });
        listed != self.not_resource
    }
}

/// A string, or a list of at least one.
pub(crate) fn texts(value: &Value) -> Result<Vec<String>, String> {
    let items = match value {
        Value::Array(items) => items.clone(),
        other => vec![other.clone()],
    };
    if items.is_empty() {
        return Err("a list is empty".to_owned());
    }
    let texts = items.iter().map(|item| item.as_str().map(str::to_owned));
    texts.collect::<Option<_>>().ok_or_else(|| format!("{value} is not text"))
}

/// Who may be named in which document (facts: the table of section 1).
fn read_principals(
    members: &Map<String, Value>,
    of: PolicyType,
) -> Result<Option<Principals>, String> {
    use PolicyType::{Boundary, Identity, Scp, Session};
    let (principal, not) = (members.get("Principal"), members.get("NotPrincipal"));
    match (of, principal, not) {
        (Identity | Boundary | Session | Scp, None, None) => Ok(None),
        (Identity | Boundary | Session | Scp, _, _) => Err("no principals here".to_owned()),
        (PolicyType::Rcp, Some(all), None) if all == "*" => Principals::read(all, false).map(Some),
        (PolicyType::Rcp, _, _) => Err("the `Principal` of an RCP is `*`".to_owned()),
        (_, Some(value), None) => Principals::read(value, false).map(Some),
        (PolicyType::Resource | PolicyType::Key, None, Some(value)) => {
            Principals::read(value, true).map(Some)
        }
        // It means nobody.
        (_, None, None) => Ok(Some(Principals { negated: false, entries: Vec::new() })),
        _ => Err("one of `Principal` and `NotPrincipal`".to_owned()),
    }
}

/// `*` or `service:name`.
fn read_action(text: &str) -> Result<Option<(String, Vec<Part>)>, String> {
    if text == "*" {
        return Ok(None);
    }
    let parts: Vec<&str> = text.split(':').collect();
    if parts.len() != 2 || parts[0].is_empty() || parts[0].contains(['*', '?']) {
        return Err(format!("`{text}` is no action"));
    }
    Ok(Some((parts[0].to_lowercase(), parse(&parts[1].to_lowercase(), true, false)?)))
}

/// `*` or six patterns; variables are in the last one only.
fn read_resource(text: &str, variables: bool) -> Result<ResourcePattern, String> {
    if text == "*" {
        return Ok(ResourcePattern::Any);
    }
    let segments = arn_segments(text).ok_or_else(|| format!("`{text}` is no resource"))?;
    if segments[2].contains(['*', '?']) {
        return Err(format!("`{text}` has a wildcard in its service"));
    }
    let mut patterns = Vec::new();
    for (n, segment) in segments.iter().enumerate() {
        let text = if let 1..=3 = n { segment.to_lowercase() } else { (*segment).to_owned() };
        patterns.push(parse(&text, true, variables && n == 5)?);
    }
    Ok(ResourcePattern::Arn(patterns))
}

fn check_sid(sid: Option<&Value>, of: PolicyType) -> Result<(), String> {
    let Some(sid) = sid else {
        return Ok(());
    };
    let text = sid.as_str().ok_or("`Sid` is no string")?;
    let of_iam = matches!(of, PolicyType::Identity | PolicyType::Boundary | PolicyType::Session);
    if of_iam && !text.chars().all(|char| char.is_ascii_alphanumeric()) {
        return Err(format!("`{text}` is no `Sid`"));
    }
    Ok(())
}

/// An element or its `Not…` form, but not both.
fn either(
    members: &Map<String, Value>,
    name: &str,
    not: &str,
) -> Result<Option<(bool, Vec<String>)>, String> {
    match (members.get(name), members.get(not)) {
        (Some(_), Some(_)) => Err(format!("both `{name}` and `{not}`")),
        (Some(value), None) => Ok(Some((false, texts(value)?))),
        (None, Some(value)) => Ok(Some((true, texts(value)?))),
        (None, None) => Ok(None),
    }
}

fn only(members: &Map<String, Value>, known: &[&str]) -> Result<(), String> {
    let unknown = members.keys().find(|key| !known.contains(&key.as_str()));
    unknown.map_or(Ok(()), |key| Err(format!("`{key}` is unknown")))
}

fn object(value: &Value) -> Result<&Map<String, Value>, String> {
    value.as_object().ok_or_else(|| format!("{value} is no object"))
}
