use std::net::IpAddr;

use super::*;
use crate::iam::{Action, Recording, RequestOrigin, RouteContext, RouteKey, RouteValues};

const USER: &str = "arn:aws:iam::111111111111:user/eng/alice";
const SESSION: &str = "arn:aws:sts::111111111111:assumed-role/reader/nightly";
const FEDERATED: &str = "arn:aws:sts::111111111111:federated-user/alice";
const ROOT: &str = "arn:aws:iam::111111111111:root";
const SERVICE: &str = "billing.example.com";
const NOW: UnixSeconds = UnixSeconds(10_000);

fn account(text: &str) -> AccountId {
    AccountId::parse(text).unwrap()
}

fn identity(principal: &str) -> Identity {
    Identity {
        account: Some(account("111111111111")),
        principal: principal.into(),
        id: "id-of-token".into(),
        name: "".into(),
        authn_id: "".into(),
        authn_name: "".into(),
        issuer: "".into(),
        subject: "".into(),
        ..Identity::sample()
    }
}

fn entry(arn: &str, id: &str, tags: &[(&str, &str)]) -> PrincipalEntry {
    PrincipalEntry {
        arn: arn.into(),
        id: id.into(),
        tags: tags_of(tags),
        policies: Vec::new().into(),
        boundary: None,
        trust: None,
        session_seconds_max: None,
        profile: None,
    }
}

fn tags_of(tags: &[(&str, &str)]) -> Box<[Tag]> {
    let tag = |(key, value): &(&str, &str)| Tag { key: (*key).into(), value: (*value).into() };
    tags.iter().map(tag).collect()
}

fn resource(tags: &[(&str, &str)]) -> ResourceEntry {
    ResourceEntry {
        pattern: "*".into(),
        policy: None,
        key: None,
        tags: tags_of(tags),
        file: "".into(),
    }
}

/// A request, and what is known of it.
struct World {
    identity: Identity,
    known: Known<'static>,
    transport: Transport,
    user_agent: Option<&'static str>,
    route: Vec<(&'static str, &'static str)>,
}

impl World {
    fn of(principal: &str) -> Self {
        Self {
            identity: identity(principal),
            known: Known::default(),
            transport: Transport::Plain,
            user_agent: None,
            route: Vec::new(),
        }
    }

    /// What a key has, as text.
    fn value(&self, key: &str) -> Option<String> {
        self.asked(|context| told(context.values(&ConditionKey::new(key))))
    }

    /// The same in the question about a key of an account.
    fn value_for_key(&self, key: &str, account: &str) -> Option<String> {
        self.asked(|context| told(context.values_for_key(&ConditionKey::new(key), account)))
    }

    fn asked<T>(&self, ask: impl FnOnce(&RequestContext<'_>) -> T) -> T {
        let action = Action::parse("orders:GetOrder").unwrap();
        let keys: Vec<RouteKey> = self
            .route
            .iter()
            .map(|(key, _)| RouteKey {
                key: key.to_lowercase().into(),
                fixed: Box::default(),
                recording: Recording::Told,
            })
            .collect();
        let mut values = RouteValues::default();
        for (_, value) in &self.route {
            values.push_one([*value]);
        }
        let request = AuthzRequest {
            action: &action,
            key_action: None,
            resource: "*",
            owner: account("222222222222"),
            context: RouteContext::new(&keys, &values),
            origin: RequestOrigin {
                source_ip: IpAddr::from([192, 0, 2, 10]),
                transport: self.transport,
                user_agent: self.user_agent,
                referer: None,
            },
        };
        let text = &*self.identity.principal;
        let kind = PrincipalKind::of(text).unwrap();
        let principal = Principal::new(kind, text, None).unwrap();
        ask(&RequestContext::new(&self.identity, principal, &request, self.known, NOW))
    }

    #[track_caller]
    fn check(&self, key: &str, expect: Option<&str>) {
        assert_eq!(self.value(key).as_deref(), expect, "{key} of {}", self.identity.principal);
    }
}

fn told(values: Values<'_>) -> Option<String> {
    match values {
        Values::Absent => None,
        Values::Many(texts) => Some(format!("{texts:?}")),
        Values::One(Value::Text(text)) => Some(text.to_owned()),
        Values::One(Value::Address(address)) => Some(address.to_string()),
        Values::One(Value::Bool(is)) => Some(is.to_string()),
        Values::One(Value::Number(number)) => Some(number.to_string()),
        Values::One(Value::Time(time)) => Some(format!("at {time}")),
    }
}

#[test]
fn what_is_the_resources_is_not_its_keys() {
    let mut world = World::of(USER);
    world.route.push(("aws:ResourceTag/team", "red"));
    assert_eq!(world.value("aws:ResourceTag/team").as_deref(), Some("red"));
    assert_eq!(world.value("aws:ResourceAccount").as_deref(), Some("222222222222"));
    let of_key = |key| world.value_for_key(key, "333333333333");
    assert_eq!(of_key("aws:ResourceTag/team"), None);
    assert_eq!(of_key("aws:ResourceAccount").as_deref(), Some("333333333333"));
    assert_eq!(of_key("aws:SourceIp").as_deref(), Some("192.0.2.10"));
}

#[test]
fn each_kind_of_principal_has_its_own_keys() {
    let table = [
        (USER, "User", Some(USER), Some("id-of-token"), Some("alice"), Some("111111111111")),
        (
            SESSION,
            "AssumedRole",
            Some("arn:aws:iam::111111111111:role/reader"),
            None,
            None,
            Some("111111111111"),
        ),
        (
            FEDERATED,
            "FederatedUser",
            Some(FEDERATED),
            Some("111111111111:alice"),
            None,
            Some("111111111111"),
        ),
        (ROOT, "Account", Some(ROOT), Some("111111111111"), None, Some("111111111111")),
        (SERVICE, "", None, None, None, None),
    ];
    for (principal, kind, arn, id, name, account) in table {
        let world = World::of(principal);
        world.check("aws:PrincipalType", Some(kind).filter(|kind| !kind.is_empty()));
        world.check("aws:PrincipalArn", arn);
        world.check("aws:userid", id);
        world.check("aws:username", name);
        world.check("aws:PrincipalAccount", account);
        let is_service = principal == SERVICE;
        world.check("aws:PrincipalIsAWSService", Some(if is_service { "true" } else { "false" }));
        world.check("aws:PrincipalServiceName", is_service.then_some(SERVICE));
        let list = format!("[{SERVICE:?}]");
        world.check("aws:PrincipalServiceNamesList", is_service.then_some(list.as_str()));
        world.check("aws:ViaAWSService", Some("false"));
    }
}

#[test]
fn what_the_policies_know_of_a_caller_counts_before_the_token() {
    let role = entry("arn:aws:iam::111111111111:role/team/reader", "AROA1", &[]);
    let mut world = World::of(SESSION);
    world.known.caller = Some(Box::leak(Box::new(role)));
    world.check("aws:PrincipalArn", Some("arn:aws:iam::111111111111:role/team/reader"));
    world.check("aws:userid", Some("AROA1:nightly"));
    let user = entry(USER, "AIDA1", &[]);
    let mut world = World::of(USER);
    world.known.caller = Some(Box::leak(Box::new(user)));
    world.check("aws:userid", Some("AIDA1"));
    // A profile's token tells the profile's id, an ordinary token never a role's.
    let mut world = World::of(SESSION);
    world.identity.kind = IdentityKind::Profile;
    world.check("aws:userid", Some("id-of-token:nightly"));
}

#[test]
fn session_tags_override_the_principals_in_any_letter_case() {
    let user = entry(USER, "", &[("team", "red"), ("site", "eu")]);
    let mut world = World::of(USER);
    world.known.caller = Some(Box::leak(Box::new(user)));
    world.check("aws:PrincipalTag/TEAM", Some("red"));
    world.identity.session_tags = [("Team", "blue"), ("ΟΔΟΣ", "x")]
        .map(|(key, value)| (Box::from(key), Box::from(value)))
        .into();
    world.check("aws:PrincipalTag/team", Some("blue"));
    world.check("AWS:principaltag/Team", Some("blue"));
    world.check("aws:PrincipalTag/Οδος", Some("x"));
    world.check("aws:PrincipalTag/site", Some("eu"));
    world.check("aws:PrincipalTag/sit", None);
    world.check("aws:PrincipalTag/teams", None);
}

#[test]
fn a_resources_tag_counts_before_the_routes() {
    let mut world = World::of(USER);
    world.route = vec![("aws:ResourceTag/Team", "route"), ("aws:ResourceTag/site", "eu")];
    world.check("aws:ResourceTag/team", Some("route"));
    world.known.resource = Some(Box::leak(Box::new(resource(&[("team", "directory")]))));
    world.check("aws:ResourceTag/team", Some("directory"));
    world.check("aws:ResourceTag/Site", Some("eu"));
    world.check("aws:ResourceTag/other", None);
    // A role that is to be assumed is the resource, and its tags are the resource's.
    let role = entry("arn:aws:iam::222222222222:role/deploy", "", &[("team", "role")]);
    world.known.role = Some(Box::leak(Box::new(role)));
    world.check("aws:ResourceTag/team", Some("role"));
}

#[test]
fn a_second_factor_tells_its_age_only_if_it_was_used() {
    let mut world = World::of(USER);
    for (mfa, at, present, age) in [
        (None, Some(9_900), None, None),
        (Some(false), Some(9_900), Some("false"), None),
        (Some(true), None, Some("true"), None),
        (Some(true), Some(9_900), Some("true"), Some("100")),
        (Some(true), Some(10_001), Some("true"), Some("0")),
        (Some(true), Some(10_031), Some("true"), None),
    ] {
        world.identity.mfa = mfa;
        world.identity.authenticated_at = at.map(UnixSeconds);
        world.check("aws:MultiFactorAuthPresent", present);
        world.check("aws:MultiFactorAuthAge", age);
    }
}

#[test]
fn times_addresses_and_transport_keep_their_types() {
    let mut world = World::of(USER);
    world.check("aws:CurrentTime", Some("at 10000"));
    world.check("aws:EpochTime", Some("10000"));
    world.check("aws:SourceIp", Some("192.0.2.10"));
    world.check("aws:SecureTransport", Some("false"));
    world.transport = Transport::Tls;
    world.check("aws:SecureTransport", Some("true"));
    world.check("aws:TokenIssueTime", None);
    world.identity.issued_at = Some(UnixSeconds(9_000));
    world.check("aws:TokenIssueTime", Some("at 9000"));
    world.check("aws:UserAgent", None);
    world.user_agent = Some("curl/8.5");
    world.check("aws:UserAgent", Some("curl/8.5"));
    world.check("aws:Referer", None);
    world.check("aws:ResourceAccount", Some("222222222222"));
}

#[test]
fn an_organization_is_told_of_its_members_alone() {
    let mut organization = Organization { id: "o-x".into(), ..Organization::default() };
    let paths = ["o-x/r/sales/".into()];
    organization.accounts.entry(account("111111111111")).or_default().paths = Box::new(paths);
    organization.management_account = Some(account("222222222222"));
    let organization: &Organization = Box::leak(Box::new(organization));
    let mut world = World::of(USER);
    world.check("aws:PrincipalOrgID", None);
    world.known.organization = Some(organization);
    world.check("aws:PrincipalOrgID", Some("o-x"));
    world.check("aws:PrincipalOrgPaths", Some(r#"["o-x/r/sales/"]"#));
    world.check("aws:ResourceOrgID", Some("o-x"));
    world.check("aws:ResourceOrgPaths", None);
    let mut service = World::of(SERVICE);
    service.known.organization = Some(organization);
    service.check("aws:PrincipalOrgID", None);
    service.check("aws:PrincipalOrgPaths", None);
}

#[test]
fn a_route_never_says_what_crossgate_derives() {
    let mut world = World::of(USER);
    world.route = vec![
        ("aws:SourceIp", "10.0.0.1"),
        ("aws:PrincipalTag/team", "red"),
        ("aws:MultiFactorAuthPresent", "true"),
        ("aws:PrincipalOrgID", "o-x"),
        ("aws:SourceIdentity", "alice"),
        ("aws:FederatedProvider", "x"),
        ("aws:PrincipalServiceNamesList", "x"),
        ("orders:Kind", "gold"),
        ("aws:RequestTag/team", "red"),
        ("aws:SourceVpce", "vpce-1"),
    ];
    world.check("aws:SourceIp", Some("192.0.2.10"));
    for key in [
        "aws:PrincipalTag/team",
        "aws:MultiFactorAuthPresent",
        "aws:PrincipalOrgID",
        "aws:SourceIdentity",
        "aws:FederatedProvider",
        "aws:PrincipalServiceNamesList",
    ] {
        world.check(key, None);
    }
    world.check("ORDERS:kind", Some("gold"));
    world.check("aws:RequestTag/Team", Some("red"));
    world.check("aws:SourceVpce", Some("vpce-1"));
    world.check("aws:SourceVpc", None);
}
