use super::*;
use smallvec::smallvec;

use crate::policy::document::PolicyType;
use crate::policy::statement::Source;

const OWNER: &str = "222222222222";
const CALLER: &str = "111111111111";
const ANA: &str = "arn:aws:iam::111111111111:user/ana";
const ROLE: &str = "arn:aws:iam::222222222222:role/team/deploy";
const ORDER: &str = "arn:aws:orders::222222222222:order/1";
const KEY: &str = "arn:aws:kms:eu:333333333333:key/k";
const OWN_KEY: &str = "arn:aws:kms:eu:222222222222:key/own";

fn policy(name: &str) -> Arc<CompiledPolicy> {
    Arc::new(CompiledPolicy {
        name: name.into(),
        source: Source { file: "".into() },
        policy_type: PolicyType::Identity,
        statements: smallvec![],
        index: None,
    })
}

fn id(text: &str) -> AccountId {
    AccountId::parse(text).unwrap()
}

fn level(name: &str) -> Level {
    Arc::new([policy(name)])
}

fn resource(pattern: &str, key: Option<&str>) -> Arc<ResourceEntry> {
    Arc::new(ResourceEntry {
        pattern: pattern.into(),
        policy: Some(policy(pattern)),
        key: key.map(Into::into),
        tags: Box::default(),
        file: "r.json".into(),
    })
}

fn key(arn: &str) -> Arc<KeyEntry> {
    Arc::new(KeyEntry { arn: arn.into(), policy: policy(arn), file: "k.json".into() })
}

/// A caller's account, an owner's account whose resource has a key of a third account.
fn set() -> PolicySet {
    let ana = Arc::new(PrincipalEntry {
        arn: ANA.into(),
        policies: smallvec![policy("ana")],
        boundary: Some([policy("boundary")]),
        ..Default::default()
    });
    let deploy = Arc::new(PrincipalEntry {
        arn: ROLE.into(),
        trust: Some(policy("trust")),
        ..Default::default()
    });
    let parts = |principals, resources, keys| AccountParts {
        principals,
        resources,
        keys,
        managed: Vec::new(),
    };
    let all = [
        (CALLER, parts(Some(vec![ana]), vec![], vec![])),
        (
            OWNER,
            parts(
                Some(vec![deploy]),
                vec![
                    resource(ORDER, Some(KEY)),
                    resource("arn:aws:orders::222222222222:order/2", Some(OWN_KEY)),
                    resource("arn:aws:orders::222222222222:order/3", None),
                ],
                vec![key(OWN_KEY)],
            ),
        ),
        ("333333333333", parts(None, vec![], vec![key(KEY)])),
    ];
    let accounts = all
        .into_iter()
        .map(|(name, parts)| (id(name), Arc::new(AccountPolicies::new(id(name), parts).unwrap())));
    PolicySet { accounts: accounts.collect(), ..PolicySet::default() }
}

/// What applies, by the policies' names.
#[derive(Debug, Default, PartialEq, Eq)]
struct Found {
    identity: String,
    resource: String,
    boundary: String,
    key: String,
    limits: String,
}

fn names(policies: &[Arc<CompiledPolicy>]) -> String {
    policies.iter().map(|policy| &*policy.name).collect::<Vec<_>>().join(" ")
}

fn levels(levels: &[Level]) -> String {
    levels.iter().map(|level| names(level)).collect::<Vec<_>>().join("/")
}

fn ask(set: &PolicySet, caller: &str, action: &str, arn: &str, owner: &str) -> Found {
    let kind = PrincipalKind::of(caller).unwrap_or(PrincipalKind::Anonymous);
    let principal = Principal::new(kind, caller, None).unwrap();
    let action = Action::parse(action).unwrap();
    let key_action = Action::parse("kms:Decrypt").unwrap();
    let applicable = set.applicable(&Asked {
        principal,
        action: &action,
        resource: Arn::parse(arn).map_or(Resource::Any, Resource::Named),
        owner: id(owner),
        key_action: Some(&key_action),
        session: None,
    });
    let policies = applicable.policies;
    Found {
        identity: match policies.identity {
            IdentitySide::Known(known) => format!("known: {}", names(known)),
            IdentitySide::UnknownDenies => "denies".to_owned(),
            IdentitySide::UnknownResourceDecides => "resource decides".to_owned(),
        },
        resource: policies.resource.map(|policy| policy.name.to_string()).unwrap_or_default(),
        boundary: policies.boundary.map(names).unwrap_or_default(),
        key: policies.key.map_or_else(String::new, |gate| {
            let policy = gate.policy.map_or("none", |policy| &*policy.name);
            format!("{} {} {policy}", gate.account, gate.action.as_str())
        }),
        limits: format!("{};{}", levels(policies.scp), levels(policies.rcp)),
    }
}

#[test]
fn a_question_gets_the_policies_of_all_sides() {
    let found = ask(&set(), ANA, "orders:Get", ORDER, OWNER);
    let expect = Found {
        identity: "known: ana".into(),
        resource: ORDER.into(),
        boundary: "boundary".into(),
        key: format!("333333333333 kms:Decrypt {KEY}"),
        limits: ";".into(),
    };
    assert_eq!(found, expect);
}

#[test]
fn an_owner_that_is_not_the_arns_account_counts() {
    let found = ask(&set(), ANA, "orders:Get", ORDER, CALLER);
    assert_eq!((found.resource, found.key), (String::new(), String::new()));
}

#[test]
fn a_key_that_is_not_known_is_a_gate_without_a_policy() {
    let mut set = set();
    set.accounts.remove(&id("333333333333"));
    let found = ask(&set, ANA, "orders:Get", ORDER, OWNER);
    assert_eq!(found.key, "333333333333 kms:Decrypt none");
    let found = ask(&set, ANA, "orders:Get", "arn:aws:orders::222222222222:order/2", OWNER);
    assert_eq!(found.key, format!("222222222222 kms:Decrypt {OWN_KEY}"));
    let found = ask(&set, ANA, "orders:Get", "arn:aws:orders::222222222222:order/3", OWNER);
    assert_eq!(found.key, "");
}

#[test]
fn without_an_action_on_the_key_there_is_no_gate() {
    let set = set();
    let principal = Principal::new(PrincipalKind::User, ANA, None).unwrap();
    let action = Action::parse("orders:Delete").unwrap();
    let resource = Resource::Named(Arn::parse(ORDER).unwrap());
    let asked = Asked {
        principal,
        action: &action,
        resource,
        owner: id(OWNER),
        key_action: None,
        session: None,
    };
    assert!(set.applicable(&asked).policies.key.is_none());
}

#[test]
fn a_role_that_is_assumed_has_its_trust_policy() {
    let trust = |action, arn| ask(&set(), ANA, action, arn, OWNER).resource;
    assert_eq!(trust("sts:AssumeRole", ROLE), "trust");
    assert_eq!(trust("STS:TagSession", ROLE), "trust");
    assert_eq!(trust("iam:GetRole", ROLE), "");
    assert_eq!(trust("sts:AssumeRole", "arn:aws:iam::222222222222:role/other"), "");
    assert_eq!(trust("sts:AssumeRole", "arn:aws:iam::222222222222:user/team/deploy"), "");
    assert_eq!(trust("sts:AssumeRole", "arn:aws:iam::111111111111:role/team/deploy"), "");
}

#[test]
fn a_key_has_its_own_policy() {
    let found = ask(&set(), ANA, "kms:Decrypt", OWN_KEY, OWNER);
    assert_eq!((&*found.resource, &*found.key), (OWN_KEY, ""));
    let found = ask(&set(), ANA, "kms:Decrypt", "arn:aws:kms:eu:222222222222:key/other", OWNER);
    assert_eq!(found.resource, "");
}

#[test]
fn a_key_in_another_account_is_under_that_accounts_guardrails() {
    let mut set = set();
    let mut organization = Organization::default();
    let rcp = Box::new([level("rcp-of-the-keys-account")]);
    let member = Membership { rcp, ..Membership::default() };
    organization.accounts.insert(id("333333333333"), member);
    set.organization = Some(Arc::new(organization));
    let principal = Principal::new(PrincipalKind::User, ANA, None).unwrap();
    let [action, key_action] = ["orders:Get", "kms:Decrypt"].map(|it| Action::parse(it).unwrap());
    let asked = Asked {
        principal,
        action: &action,
        resource: Resource::Named(Arn::parse(ORDER).unwrap()),
        owner: id(OWNER),
        key_action: Some(&key_action),
        session: None,
    };
    let policies = set.applicable(&asked).policies;
    assert_eq!(levels(policies.key.unwrap().rcp), "rcp-of-the-keys-account");
    assert_eq!(levels(policies.rcp), "");
}

#[test]
fn callers_of_unknown_accounts_count_as_configured() {
    let identity = |set: &PolicySet, caller| ask(set, caller, "orders:Get", ORDER, OWNER).identity;
    let outside = "arn:aws:iam::999999999999:user/x";
    let keys_only = "arn:aws:sts::333333333333:assumed-role/r/s";
    let mut set = set();
    let root = "arn:aws:iam::999999999999:root";
    for unknown in [outside, keys_only, "arn:aws:iam:::user/x", root] {
        assert_eq!(identity(&set, unknown), "denies", "{unknown}");
    }
    set.unknown_callers = UnknownCallers::ResourcePolicyDecides;
    assert_eq!(identity(&set, outside), "resource decides");
    let unlisted = "arn:aws:iam::111111111111:user/ben";
    let others = [unlisted, "arn:aws:iam::111111111111:root", "orders.example.com", ""];
    for known in others {
        assert_eq!(identity(&set, known), "known: ", "{known}");
    }
}

#[test]
fn limits_are_those_of_the_callers_and_the_owners_account() {
    let mut set = set();
    let member = |name: &str| Membership {
        scp: Box::new([level("root"), level(&format!("scp-{name}"))]),
        rcp: Box::new([level(&format!("rcp-{name}"))]),
        ..Membership::default()
    };
    let mut organization = Organization::default();
    for account in [CALLER, OWNER] {
        organization.accounts.insert(id(account), member(account));
    }
    set.organization = Some(Arc::new(organization));
    let limits = |set: &PolicySet, caller| ask(set, caller, "orders:Get", ORDER, OWNER).limits;
    assert_eq!(limits(&set, ANA), "root/scp-111111111111;rcp-222222222222");
    assert_eq!(limits(&set, "arn:aws:iam::999999999999:user/x"), ";rcp-222222222222");
    assert_eq!(limits(&set, "orders.example.com"), ";rcp-222222222222");

    let mut organization = Organization::default();
    for account in [CALLER, OWNER] {
        organization.accounts.insert(id(account), member(account));
    }
    organization.management_account = Some(id(CALLER));
    set.organization = Some(Arc::new(organization));
    assert_eq!(limits(&set, ANA), ";rcp-222222222222");
}

#[test]
fn guardrails_do_not_apply_to_service_linked_roles() {
    let mut set = set();
    let arn = |path: &str| format!("arn:aws:iam::111111111111:role/{path}").into_boxed_str();
    let role = |path| Arc::new(PrincipalEntry { arn: arn(path), ..Default::default() });
    let principals = Some(vec![role("aws-service-role/x.amazonaws.com/Linked"), role("aws/Plain")]);
    let parts = AccountParts { principals, ..Default::default() };
    set.accounts.insert(id(CALLER), Arc::new(AccountPolicies::new(id(CALLER), parts).unwrap()));
    let all = Membership {
        scp: Box::new([level("s")]),
        rcp: Box::new([level("r")]),
        ..Default::default()
    };
    let mut organization = Organization::default();
    organization.accounts.insert(id(CALLER), all);
    set.organization = Some(Arc::new(organization));
    let limits = |role: &str| {
        let session = format!("arn:aws:sts::111111111111:assumed-role/{role}/s");
        ask(&set, &session, "orders:Get", ORDER, CALLER).limits
    };
    assert_eq!((&*limits("Linked"), &*limits("Plain")), (";", "s;r"));
}

#[test]
fn a_resource_without_a_name_has_no_policy() {
    let found = ask(&set(), ANA, "orders:List", "*", OWNER);
    assert_eq!((&*found.identity, &*found.resource), ("known: ana", ""));
}
