//! What was asked and what lacks, in words.

use super::LevelNames;
use super::gate::{Form, Relation};
use super::step::{Element, Step, Tried};
use crate::iam::Arn;
use crate::policy::combine::{Missing, PolicyLayer, Side};
use crate::policy::principal::{PrincipalKind, PrincipalMatch};
use crate::policy::question::{IdentitySide, Policies, Question, Resource};
use crate::policy::statement::Effect;

/// The names that sentences about one question use.
#[derive(Debug)]
pub(super) struct Words<'a> {
    form: Form,
    relation: Relation,
    // The caller's ARN, in full.
    caller: &'a str,
    // The caller's name within its account.
    name: &'a str,
    caller_account: &'a str,
    owner: &'a str,
    action: &'a str,
    resource: &'a str,
    identity_is_known: bool,
    has_resource_policy: bool,
    has_session_policy: bool,
}

impl<'a> Words<'a> {
    pub(super) fn of<C: ?Sized>(
        form: Form,
        relation: Relation,
        question: &Question<'a, C>,
        policies: &Policies<'_>,
    ) -> Self {
        let principal = &question.principal;
        let is_anonymous = principal.kind == PrincipalKind::Anonymous;
        let caller = if is_anonymous { "an anonymous caller" } else { principal.text };
        let caller_account = principal.account.unwrap_or_default();
        Self {
            form,
            relation,
            caller,
            name: Arn::parse(caller).map_or(caller, Arn::resource),
            caller_account,
            owner: question.owner.unwrap_or(caller_account),
            action: question.action.as_str(),
            resource: match question.resource {
                Resource::Any => "*",
                Resource::Named(arn) => arn.as_str(),
            },
            identity_is_known: matches!(policies.identity, IdentitySide::Known(_)),
            has_resource_policy: policies.resource.is_some(),
            has_session_policy: policies.session.is_some(),
        }
    }

    /// Says of each step what was asked and what it means.
    pub(super) fn label(&self, steps: &mut [Step<'_>], names: LevelNames<'_>) {
        let (mut scp, mut rcp) = (0, 0);
        for step in steps {
            step.asked = match step.layer {
                PolicyLayer::Scp => level("SCP", names.scp, &mut scp, step),
                PolicyLayer::Rcp => level("RCP", names.rcp, &mut rcp, step),
                PolicyLayer::Resource | PolicyLayer::Trust | PolicyLayer::Key => {
                    self.resource_policy()
                }
                PolicyLayer::Identity => format!("identity policies of {}", self.name),
                PolicyLayer::Boundary => format!("permissions boundary of {}", self.name),
                PolicyLayer::Session => format!("session policy of {}", self.name),
                PolicyLayer::Endpoint => "endpoint policy".to_owned(),
            };
            step.meaning = self.meaning(step).to_owned();
        }
    }

    fn meaning(&self, step: &Step<'_>) -> &'static str {
        if step.matched(Effect::Deny).next().is_some() {
            return "denies, whatever else allows";
        }
        let strongest = step.matched(Effect::Allow).map(|(_, how)| how).max();
        match step.layer {
            PolicyLayer::Resource | PolicyLayer::Trust | PolicyLayer::Key => match strongest {
                None if self.form == Form::Ordinary && self.relation == Relation::SameAccount => {
                    "does not let the caller in by itself"
                }
                None => "does not let the caller in",
                Some(how) => self.meaning_of_resource(how),
            },
            PolicyLayer::Scp | PolicyLayer::Rcp | PolicyLayer::Endpoint => match strongest {
                None => "has no Allow for it, and so does not let it pass",
                Some(_) => "lets it pass",
            },
            PolicyLayer::Identity => match strongest {
                None => "do not allow it",
                Some(_) => "allow it",
            },
            PolicyLayer::Boundary | PolicyLayer::Session => match strongest {
                None => "does not allow it",
                Some(_) => "allows it",
            },
        }
    }

    fn meaning_of_resource(&self, how: PrincipalMatch) -> &'static str {
        match (self.relation, how) {
            (Relation::CrossAccount, _) => "allows it; the caller's account must allow it too",
            (Relation::ResourceAlone(weakest), how) if how < weakest => {
                "names an account, and the caller belongs to none"
            }
            (Relation::ResourceAlone(_), _) => "allows it, which is enough",
            (Relation::SameAccount, PrincipalMatch::Direct) => {
                "allows it to the caller by name, which is enough"
            }
            (Relation::SameAccount, PrincipalMatch::Session) => {
                "allows it to the caller's role or user; boundary and session policy must allow it too"
            }
            (Relation::SameAccount, PrincipalMatch::Account) => {
                "leaves it to the account's own policies"
            }
        }
    }

    /// Each side that lacks a grant, in the order of [`Side::ALL`]; each level for itself.
    pub(super) fn lacks(&self, missing: Missing, steps: &[Step<'_>]) -> Vec<String> {
        let mut lacks = Vec::new();
        for side in missing.iter() {
            match side {
                Side::Scp => lacks.extend(self.lacking_levels(PolicyLayer::Scp, steps)),
                Side::Rcp => lacks.extend(self.lacking_levels(PolicyLayer::Rcp, steps)),
                Side::CallerIdentity => lacks.push(self.lacking_identity()),
                Side::Resource | Side::Key | Side::Trust => {
                    lacks.push(self.lacking_resource(steps));
                }
                Side::Boundary => lacks.push(self.lacking_limit(PolicyLayer::Boundary, steps)),
                Side::Session if !self.has_session_policy => lacks.push(format!(
                    "{} has no session policy, without which a federated user may do nothing",
                    self.name
                )),
                Side::Session => lacks.push(self.lacking_limit(PolicyLayer::Session, steps)),
                Side::Endpoint => lacks.push(format!(
                    "the endpoint policy has no Allow for {} on {}",
                    self.action, self.resource
                )),
            }
        }
        lacks
    }

    fn lacking_levels(&self, layer: PolicyLayer, steps: &[Step<'_>]) -> Vec<String> {
        let (action, resource) = (self.action, self.resource);
        let of_layer = steps.iter().filter(|step| step.layer == layer && !step.allows());
        of_layer
            .map(|step| format!("{} has no Allow for {action} on {resource}", step.asked))
            .collect()
    }

    fn lacking_identity(&self) -> String {
        let Self { caller, name, caller_account, action, resource, .. } = self;
        let must =
            format!("account {caller_account} must allow {action} on {resource} to {caller}");
        if self.identity_is_known {
            format!("{must}; no identity policy of {name} does")
        } else {
            format!("{must}; the identity policies of {name} are not known here")
        }
    }

    fn lacking_resource(&self, steps: &[Step<'_>]) -> String {
        let Self { caller, caller_account, owner, action, resource, .. } = self;
        let policy = self.resource_policy();
        let is_outside = self.relation == Relation::CrossAccount;
        let unmet = unmet_condition(self.form.layer_and_side().0, steps);
        let but = unmet.as_ref().map(|it| format!("; a condition is not met: {it}"));
        let but = but.unwrap_or_default();
        match (self.has_resource_policy, self.form) {
            (false, Form::Key | Form::KeyOfResource) => {
                format!("no key policy of {resource} is known, and nothing else lets it be used")
            }
            (false, Form::Role) => {
                format!("no trust policy of {} is known", short(resource))
            }
            (false, Form::Ordinary) => format!(
                "account {owner} must allow {action} on {resource} to {caller}; {resource} has no \
                 resource policy"
            ),
            (true, Form::Key | Form::KeyOfResource) if is_outside => {
                format!(
                    "the {policy} does not let account {caller_account} use the key for \
                     {action}{but}"
                )
            }
            (true, Form::Key | Form::KeyOfResource) => {
                format!(
                    "the {policy} neither lets {caller} do {action} nor leaves it to the \
                     account{but}"
                )
            }
            (true, Form::Role) => match unmet {
                None => format!("the {policy} does not name {caller} for {action}"),
                Some(unmet) => format!(
                    "the {policy} names {caller} for {action} under a condition that is not met: \
                     {unmet}"
                ),
            },
            (true, Form::Ordinary) => {
                format!("the {policy} does not allow {action} to {caller}{but}")
            }
        }
    }

    fn lacking_limit(&self, layer: PolicyLayer, steps: &[Step<'_>]) -> String {
        let asked = steps.iter().find(|step| step.layer == layer);
        let limit = asked.map(|step| step.asked.as_str()).unwrap_or_default();
        let policies = asked.map(policy_names).unwrap_or_default();
        let Self { action, resource, .. } = self;
        format!("the {limit}{policies} does not allow {action} on {resource}")
    }

    fn resource_policy(&self) -> String {
        match self.form {
            Form::Key | Form::KeyOfResource => format!("key policy of {}", self.resource),
            Form::Ordinary => format!("resource policy of {}", self.resource),
            Form::Role => format!("trust policy of {}", short(self.resource)),
        }
    }
}

/// The first condition that alone kept an Allow of a side from matching; never its values.
fn unmet_condition(layer: PolicyLayer, steps: &[Step<'_>]) -> Option<String> {
    let step = steps.iter().find(|step| step.layer == layer)?;
    step.tried.iter().find_map(|it| match &it.tried {
        Tried::Unmatched(Element::Condition { operator, key, .. })
            if it.statement.effect() == Effect::Allow =>
        {
            Some(format!("`{operator}` of `{key}`"))
        }
        Tried::Matched(_) | Tried::Unmatched(_) => None,
    })
}

/// A level's name and its policies' names.
fn level(kind: &str, names: &[Box<str>], next: &mut usize, step: &Step<'_>) -> String {
    let number = *next;
    *next += 1;
    let policies = policy_names(step);
    match names.get(number) {
        Some(name) => format!("{kind} level {name}{policies}"),
        None => format!("{kind} level {}{policies}", number + 1),
    }
}

/// ` (policies p, q)`.
fn policy_names(step: &Step<'_>) -> String {
    let names: Vec<&str> = step.policies.iter().map(|policy| &*policy.name).collect();
    match &*names {
        [] => " (no policies)".to_owned(),
        [one] => format!(" (policy {one})"),
        _ => format!(" (policies {})", names.join(", ")),
    }
}

/// What an ARN names within its account.
fn short(arn: &str) -> &str {
    Arn::parse(arn).map_or(arn, Arn::resource)
}
