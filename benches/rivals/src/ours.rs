//! crossgate: the whole question, across accounts, from the look-ups on.

use std::collections::HashMap;
use std::sync::Arc;

use crossgate::iam::{AccountId, Action, Arn};
use crossgate::policy::set::{
    AccountParts, AccountPolicies, Asked, Membership, Organization, PolicySet, PrincipalEntry,
    ResourceEntry, UnknownCallers,
};
use crossgate::policy::{
    self, CompiledPolicy, ConditionKey, Context, KeyName, Level, Outcome, Policies, PolicyType,
    Principal, PrincipalKind, Question, Resource, SessionSide, Source, Value, Values, document, json,
};

use crate::{ACTION, ADDRESS, Ask, Contestant, NETWORK, OWNER, PRINCIPALS_PER_ACCOUNT, World};

pub struct Ours {
    set: PolicySet,
    session: [Arc<CompiledPolicy>; 1],
    action: Action,
    owner: AccountId,
    context: Request,
    world: World,
    requests: Vec<[String; 2]>,
}

/// What the request knows of itself.
struct Request {
    address: std::net::IpAddr,
}

impl Context for Request {
    fn values(&self, key: &ConditionKey) -> Values<'_> {
        match key.name {
            KeyName::SourceIp => Values::One(Value::Address(self.address)),
            KeyName::MultiFactorAuthPresent => Values::One(Value::Bool(true)),
            _ => Values::Absent,
        }
    }
}

impl Ours {
    pub fn new(world: World) -> Self {
        let boundary = compiled(PolicyType::Boundary, &allow("orders:*", "*", ""));
        let accounts = (0..world.size.div_ceil(PRINCIPALS_PER_ACCOUNT)).map(|number| {
            let first = number * PRINCIPALS_PER_ACCOUNT;
            let last = (first + PRINCIPALS_PER_ACCOUNT).min(world.size);
            let principals = (first..last).map(|i| principal(world, i, &boundary)).collect();
            account(
                &world.account(first),
                AccountParts { principals: Some(principals), ..AccountParts::default() },
            )
        });
        let mut accounts: HashMap<_, _, _> = accounts.collect();
        let admitted: Vec<String> = (0..world.size.div_ceil(PRINCIPALS_PER_ACCOUNT))
            .map(|number| format!("\"{}\"", world.account(number * PRINCIPALS_PER_ACCOUNT)))
            .collect();
        accounts.extend([owner(&admitted)]);
        let organization = organization(accounts.keys().copied());
        let organization = Some(Arc::new(organization));
        let set = PolicySet::new(accounts, organization, UnknownCallers::default());
        Self {
            set,
            session: [compiled(PolicyType::Session, &allow("orders:Get*", "*", ""))],
            action: Action::parse(ACTION).unwrap(),
            owner: OWNER.parse().unwrap(),
            context: Request { address: ADDRESS.parse().unwrap() },
            world,
            requests: Vec::new(),
        }
    }
}

impl Contestant for Ours {
    fn name(&self) -> &'static str {
        "crossgate"
    }

    fn prepare(&mut self, i: usize, ask: Ask) {
        self.requests.push([self.world.principal(i), self.world.asked(i, ask)]);
    }

    fn forget(&mut self) {
        self.requests.clear();
    }

    fn decide(&mut self, place: usize) -> bool {
        let [principal, resource] = &self.requests[place];
        let principal = Principal::new(PrincipalKind::User, principal, None).unwrap();
        let resource = Resource::Named(Arn::parse(resource).unwrap());
        let asked = Asked {
            principal,
            action: &self.action,
            resource,
            owner: self.owner,
            key_action: None,
            session: None,
        };
        let applicable = self.set.applicable(&asked);
        let question = Question {
            principal,
            action: &self.action,
            resource,
            owner: Some(self.owner.as_str()),
            context: &self.context,
        };
        let policies = Policies { session: Some(SessionSide::inline(&self.session)), ..applicable.policies };
        policy::evaluate(&question, &policies).outcome == Outcome::Allow
    }
}

fn principal(world: World, i: usize, boundary: &Arc<CompiledPolicy>) -> Arc<PrincipalEntry> {
    let conditions = if world.conditions {
        format!(
            r#", "Condition": {{ "IpAddress": {{ "aws:SourceIp": "{NETWORK}" }}, "Bool": {{ "aws:MultiFactorAuthPresent": "true" }} }}"#
        )
    } else {
        String::new()
    };
    let grant = allow(ACTION, &format!("{}/*", world.resource(i)), &conditions);
    Arc::new(PrincipalEntry {
        arn: world.principal(i).into(),
        policies: vec![compiled(PolicyType::Identity, &grant)].into(),
        boundary: Some([Arc::clone(boundary)]),
        ..PrincipalEntry::default()
    })
}

/// The owner's account: one policy that admits every account that has a principal.
fn owner(admitted: &[String]) -> (AccountId, Arc<AccountPolicies>) {
    let pattern = format!("arn:aws:orders::{OWNER}:order/*");
    let policy = format!(
        r#"{{ "Version": "2012-10-17", "Statement": {{ "Effect": "Allow", "Principal": {{ "AWS": [{}] }}, "Action": "orders:*", "Resource": "*" }} }}"#,
        admitted.join(", ")
    );
    let entry = ResourceEntry {
        pattern: pattern.into(),
        policy: Some(compiled(PolicyType::Resource, &policy)),
        key: None,
        tags: Box::default(),
        file: "".into(),
    };
    account(OWNER, AccountParts { resources: vec![Arc::new(entry)], ..AccountParts::default() })
}

fn account(id: &str, parts: AccountParts) -> (AccountId, Arc<AccountPolicies>) {
    let id: AccountId = id.parse().unwrap();
    (id, Arc::new(AccountPolicies::new(id, parts).unwrap()))
}

/// Two levels of each guardrail for every account.
fn organization(accounts: impl Iterator<Item = AccountId>) -> Organization {
    let level = |policies: Vec<Arc<CompiledPolicy>>| -> Level { policies.into() };
    let full = compiled(PolicyType::Scp, &allow("*", "*", ""));
    let no_deletes = compiled(
        PolicyType::Scp,
        r#"{ "Version": "2012-10-17", "Statement": { "Effect": "Deny", "Action": "orders:Delete*", "Resource": "*" } }"#,
    );
    let full_rcp = compiled(
        PolicyType::Rcp,
        r#"{ "Version": "2012-10-17", "Statement": { "Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*" } }"#,
    );
    let scp = [level(vec![Arc::clone(&full)]), level(vec![full, no_deletes])];
    let rcp = [level(vec![Arc::clone(&full_rcp)]), level(vec![full_rcp])];
    let membership =
        || Membership { scp: scp.clone().into(), rcp: rcp.clone().into(), ..Membership::default() };
    Organization {
        accounts: accounts.map(|account| (account, membership())).collect(),
        ..Organization::default()
    }
}

fn allow(action: &str, resource: &str, conditions: &str) -> String {
    format!(
        r#"{{ "Version": "2012-10-17", "Statement": {{ "Effect": "Allow", "Action": "{action}", "Resource": "{resource}"{conditions} }} }}"#
    )
}

fn compiled(policy_type: PolicyType, text: &str) -> Arc<CompiledPolicy> {
    let node = json::parse(text).unwrap();
    let checked = document::check(&node, policy_type);
    let document = checked.document.unwrap_or_else(|| panic!("{:?}", checked.findings));
    let source = Source { file: "".into() };
    Arc::new(policy::compile(&document, "p", source, &json::Lines::new(text)).unwrap())
}
