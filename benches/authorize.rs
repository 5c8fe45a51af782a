//! The whole decision and its steps: `cargo bench --bench authorize`.
//!
//! `authorize` is everything between a parsed head and a permit: head checks, path, route, token
//! (a hit), perimeter with an allowlist of 1,000 accounts, event, metrics. `authorize_with_policies`
//! adds policies on every side of a request across accounts: guardrails of two levels for both
//! accounts, the resource's policy, the identity's with conditions, a boundary.
//! `own_account` compares a user of the owner's account with a session of a role there, which has
//! the same policy; with 1,000 roles' sessions ended.

#![expect(clippy::unwrap_used, reason = "a failed benchmark panics")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use crossgate::clock::{SystemClock, UnixMillis};
use crossgate::event::EventsConfig;
use crossgate::event::log::{EventAppender, EventLog};
use crossgate::forward::{ClientAddress, Protocol};
use crossgate::iam::{AccountId, RequestOrigin, Transport};
use crossgate::perimeter::{AccountSetting, SettingsIndex};
use crossgate::policy::set::{
    AccountParts, AccountPolicies, Membership, Organization, PolicySet, PolicySets, PrincipalEntry,
    ResourceEntry, UnknownCallers,
};
use crossgate::policy::{CompiledPolicy, PolicyType, Source, compile, document, json};
use crossgate::proxy::{Circumstances, Gate};
use crossgate::route::{
    self, EdgeRules, QuestionBuffer, QuestionSpec, RouteSpec, RouteTable, Upstream,
};
use crossgate::snapshot::{Change, Part, SnapshotReader, SnapshotWriter};
use crossgate::sts::{Revocation, Revocations, RoleRevocation};
use crossgate::telemetry;
use crossgate::token::{
    Algorithm, ClaimsMapping, IssuerSpec, JwksLocation, JwksSource, KeySet, KeySets, Verifier,
};
use crossgate::verdict::Mode;
use divan::Bencher;
use http::{Method, Request, request};

fn main() {
    // Real metrics: a recorder that does nothing would flatter the figures.
    let _metrics = telemetry::install().unwrap();
    divan::main();
}

/// By what the owner's setting records of a permitted request of a partner.
#[divan::bench(args = [Mode::Unrestricted, Mode::ReportOnly, Mode::Limited])]
fn authorize(bencher: Bencher<'_, '_>, mode: Mode) {
    bench_gate(bencher, mode, None);
}

/// By the mode of the policies; the perimeter's is the same, so that report-only writes two events.
#[divan::bench(args = [Mode::Unrestricted, Mode::ReportOnly, Mode::Limited])]
fn authorize_with_policies(bencher: Bencher<'_, '_>, mode: Mode) {
    bench_gate(bencher, mode, Some(policy_set()));
}

/// Who asks in its own account.
#[derive(Clone, Copy, Debug)]
enum Asks {
    User,
    Session,
    SessionWithPolicy,
}

#[divan::bench(args = [Asks::User, Asks::Session, Asks::SessionWithPolicy])]
fn own_account(bencher: Bencher<'_, '_>, asks: Asks) {
    let (reader, writer, key) = snapshot(Mode::Limited, Some(own_policy_set()));
    let mut ended = Revocations::default();
    for number in 0..1_000 {
        let role = format!("arn:aws:iam::{OWNER}:role/r{number}").into();
        let revocation = RoleRevocation { role, before: UnixMillis(1) };
        ended.add(Revocation::Role(revocation)).unwrap();
    }
    writer.publish(Part::Revocations, "", UnixMillis(0), |_| Change::Revocations(Arc::new(ended)));
    let policy = match asks {
        Asks::User => return bench_with(bencher, &reader, &sign(&key, &login_claims(OWNER))),
        Asks::Session => String::new(),
        Asks::SessionWithPolicy => {
            let text = statement("orders:Get*", "*", "").replace('"', "\\\"");
            format!(r#","session_policy":"{text}""#)
        }
    };
    bench_with(bencher, &reader, &sign(&key, &session_claims(&policy)));
}

fn bench_gate(bencher: Bencher<'_, '_>, mode: Mode, policies: Option<PolicySet>) {
    let (reader, _, key) = snapshot(mode, policies);
    bench_with(bencher, &reader, &sign(&key, &login_claims(CALLER)));
}

fn bench_with(bencher: Bencher<'_, '_>, reader: &SnapshotReader, token: &str) {
    let directory = tempfile::tempdir().unwrap();
    let (log, mut appenders) = open_log(directory.path());
    let mut gate = Gate::new(reader, Verifier::new().worker(), appenders.pop().unwrap());
    let head = head(token);
    let peer = ClientAddress::of_peer([192, 0, 2, 10].into());
    bencher.bench_local(|| {
        let now = SystemClock.now();
        let started = SystemClock.tick();
        let decision = gate.decision_id(now);
        let protocol = Protocol::Http;
        let circumstances = Circumstances { decision, peer: &peer, protocol, now, started };
        assert!(gate.authorize(black_box(&head), &circumstances).is_ok());
    });
    drop(gate);
    log.close().unwrap();
}

#[divan::bench_group]
mod route_step {
    use super::{
        Bencher, Method, PATH, QuestionBuffer, Request, RequestOrigin, Transport, black_box, route,
        table,
    };

    #[divan::bench]
    fn whole(bencher: Bencher<'_, '_>) {
        let table = table();
        let mut buffer = QuestionBuffer::default();
        let head = Request::get(PATH).body(()).unwrap().into_parts().0;
        let origin = RequestOrigin {
            source_ip: [192, 0, 2, 10].into(),
            transport: Transport::Plain,
            user_agent: None,
            referer: None,
        };
        bencher.bench_local(|| {
            let path = route::decode(black_box(PATH)).unwrap();
            let matched = table.find(&Method::GET, &path).unwrap();
            let request = matched.ask(&head, origin, &mut buffer).unwrap();
            black_box(request.resource.len())
        });
    }

    #[divan::bench]
    fn decode(bencher: Bencher<'_, '_>) {
        bencher.bench_local(|| route::decode(black_box(PATH)).unwrap().len());
    }

    #[divan::bench]
    fn find(bencher: Bencher<'_, '_>) {
        let table = table();
        bencher.bench_local(|| table.find(&Method::GET, black_box(PATH)).unwrap().index);
    }
}

fn open_log(directory: &std::path::Path) -> (EventLog, Vec<EventAppender>) {
    let config = EventsConfig { directory: directory.to_owned(), ..EventsConfig::default() };
    EventLog::open(&config, "bench", 1).unwrap()
}

fn snapshot(
    mode: Mode,
    policies: Option<PolicySet>,
) -> (SnapshotReader, SnapshotWriter, Ed25519KeyPair) {
    let key = Ed25519KeyPair::generate().unwrap();
    let x = data_encoding::BASE64URL_NOPAD.encode(key.public_key().as_ref());
    let jwks = format!(r#"{{"keys":[{{"kty":"OKP","crv":"Ed25519","kid":"1","x":"{x}"}}]}}"#);
    let key_sets =
        KeySets::new(vec![issuer()]).with_keys(ISSUER, KeySet::parse(jwks.as_bytes()).unwrap());

    let partners = (0..999).map(|n| AccountId::parse(&format!("{n:032x}")).unwrap());
    let partners = partners.chain([AccountId::parse(CALLER).unwrap()]).collect();
    let setting = AccountSetting::uniform(mode, Arc::new(partners));
    let settings = SettingsIndex::default().with_account(AccountId::parse(OWNER).unwrap(), setting);

    let (writer, reader) = SnapshotWriter::new();
    let at = UnixMillis(0);
    writer.publish(Part::Settings, "", at, |_| Change::Settings(Arc::new(settings)));
    writer.publish(Part::Configuration, "", at, |_| Change::Configuration {
        routes: Arc::new(table()),
        edge: Arc::new(EdgeRules::default()),
        key_sets: Arc::new(key_sets),
        sts: None,
    });
    let sets =
        policies.map(|set| Arc::new(PolicySets { mode, enforced: Arc::new(set), candidate: None }));
    writer.publish(Part::Policies, "", at, |_| Change::Policies(sets));
    (reader, writer, key)
}

/// Both sides grant, within a boundary and two levels of guardrails.
fn policy_set() -> PolicySet {
    let boundary = policy(PolicyType::Boundary, &statement("orders:*", "*", ""));
    let conditions = r#", "Condition": { "IpAddress": { "aws:SourceIp": "192.0.2.0/24" }, "Bool": { "aws:MultiFactorAuthPresent": "false" } }"#;
    let orders = format!("arn:aws:orders::{OWNER}:order/*");
    let caller = PrincipalEntry {
        arn: format!("arn:aws:iam::{CALLER}:user/IBMid-550009FB7N").into(),
        policies: vec![policy(
            PolicyType::Identity,
            &statement("orders:GetOrder", &orders, conditions),
        )]
        .into(),
        boundary: Some([boundary]),
        ..PrincipalEntry::default()
    };
    let admitting = format!(r#", "Principal": {{ "AWS": "{CALLER}" }}"#);
    let resource = ResourceEntry {
        pattern: orders.into(),
        policy: Some(policy(PolicyType::Resource, &statement("orders:Get*", "*", &admitting))),
        key: None,
        tags: Box::default(),
        file: "".into(),
    };
    let callers = AccountParts { principals: Some(vec![caller.into()]), ..AccountParts::default() };
    let owners = AccountParts { resources: vec![resource.into()], ..AccountParts::default() };
    let accounts = [(CALLER, callers), (OWNER, owners)].map(|(name, parts)| {
        let account = AccountId::parse(name).unwrap();
        (account, Arc::new(AccountPolicies::new(account, parts).unwrap()))
    });
    let organization = Some(Arc::new(organization()));
    PolicySet::new(accounts.into_iter().collect(), organization, UnknownCallers::default())
}

fn organization() -> Organization {
    let scp = [policy(PolicyType::Scp, &statement("*", "*", ""))];
    let rcp = [policy(PolicyType::Rcp, &statement("*", "*", r#", "Principal": "*""#))];
    let membership = || Membership {
        scp: [Arc::from(scp.clone()), Arc::from(scp.clone())].into(),
        rcp: [Arc::from(rcp.clone()), Arc::from(rcp.clone())].into(),
        ..Membership::default()
    };
    let accounts = [CALLER, OWNER].map(|name| (AccountId::parse(name).unwrap(), membership()));
    Organization { accounts: accounts.into_iter().collect(), ..Organization::default() }
}

fn statement(action: &str, resource: &str, more: &str) -> String {
    format!(
        r#"{{ "Version": "2012-10-17", "Statement": {{ "Effect": "Allow", "Action": "{action}", "Resource": "{resource}"{more} }} }}"#
    )
}

fn policy(policy_type: PolicyType, text: &str) -> Arc<CompiledPolicy> {
    let checked = document::check(&json::parse(text).unwrap(), policy_type);
    let source = Source { file: "".into() };
    let lines = json::Lines::new(text);
    Arc::new(compile(&checked.document.unwrap(), "p", source, &lines).unwrap())
}

/// One account, whose user and role have the same policy.
fn own_policy_set() -> PolicySet {
    let own = policy(PolicyType::Identity, &statement("orders:Get*", "*", ""));
    let principal = |name: &str| {
        let arn = format!("arn:aws:iam::{OWNER}:{name}").into();
        let policies = [Arc::clone(&own)].into_iter().collect();
        Arc::new(PrincipalEntry { arn, policies, ..PrincipalEntry::default() })
    };
    let principals = vec![principal("user/IBMid-550009FB7N"), principal("role/reader")];
    let parts = AccountParts { principals: Some(principals), ..AccountParts::default() };
    let account = AccountId::parse(OWNER).unwrap();
    let policies = Arc::new(AccountPolicies::new(account, parts).unwrap());
    let accounts = [(account, policies)].into_iter().collect();
    PolicySet::new(accounts, None, UnknownCallers::default())
}

/// About 800 bytes, as IBM Cloud IAM's are.
fn login_claims(account: &str) -> String {
    let exp = SystemClock.now().seconds().0 + 3600;
    format!(
        r#"{{"iam_id":"IBMid-550009FB7N","id":"IBMid-550009FB7N","realmid":"IBMid","identifier":"550009FB7N","given_name":"Don","family_name":"Quixote","name":"Don Quixote","email":"quixote@example.com","sub":"quixote@example.com","account":{{"valid":true,"bss":"{account}"}},"iat":1,"exp":{exp},"iss":"{ISSUER}","grant_type":"urn:ibm:params:oauth:grant-type:apikey","scope":"openid orders","client_id":"bx","acr":1,"amr":["pwd"]}}"#
    )
}

/// A session's, as the token service makes them.
fn session_claims(more: &str) -> String {
    let exp = SystemClock.now().seconds().0 + 3600;
    let role = format!("arn:aws:iam::{OWNER}:role/reader");
    format!(
        r#"{{"iss":"{ISSUER}","sub":"arn:aws:sts::{OWNER}:assumed-role/reader/ci","aud":["orders"],"exp":{exp},"iat":1,"jti":"0199cd9c-0000-7000-8000-000000000001","account":{{"bss":"{OWNER}"}},"iam_id":"{role}","name":"reader","sub_type":"Role","authn":{{"iam_id":"IBMid-550009FB7N","name":"quixote@example.com","sub_type":"User"}},"role":"{role}","session_name":"ci","tags":{{"Team":"red"}},"transitive_tags":["Team"],"source_identity":"ana","chained":false{more}}}"#
    )
}

fn sign(key: &Ed25519KeyPair, claims: &str) -> String {
    let encode = |bytes: &[u8]| data_encoding::BASE64URL_NOPAD.encode(bytes);
    let signed =
        format!("{}.{}", encode(br#"{"kid":"1","alg":"EdDSA"}"#), encode(claims.as_bytes()));
    format!("{signed}.{}", encode(key.sign(signed.as_bytes()).as_ref()))
}

fn issuer() -> IssuerSpec {
    IssuerSpec {
        issuer: ISSUER.into(),
        audiences: Vec::new(),
        algorithms: vec![Algorithm::EdDsa],
        jwks: JwksSource {
            location: JwksLocation::File("keys.json".into()),
            refresh: Duration::from_mins(5),
            unknown_kid_interval: Duration::from_secs(10),
            timeout: Duration::from_secs(5),
        },
        leeway: Duration::from_secs(30),
        claims: ClaimsMapping::Ibm,
    }
}

fn table() -> RouteTable {
    let upstream = Arc::new(Upstream {
        name: "orders".into(),
        endpoints: vec!["http://127.0.0.1:9000".parse().unwrap()],
        connect_timeout: Duration::from_secs(1),
        response_timeout: Duration::from_secs(30),
    });
    let spec = |path: &str| RouteSpec {
        path: path.into(),
        methods: vec![Method::GET],
        question: Some(QuestionSpec {
            action: "orders:GetOrder".into(),
            resource: "arn:aws:orders::{account}:order/{order}".into(),
            owner: "{account}".into(),
            key_action: None,
            context: Vec::new(),
        }),
        upstream: Arc::clone(&upstream),
    };
    let mut specs = vec![spec("/v1/accounts/{account}/orders/{*order}")];
    specs.extend((0..100).map(|n| spec(&format!("/v1/service{n}/{{account}}/things/{{order}}"))));
    RouteTable::compile(&specs).unwrap()
}

fn head(token: &str) -> request::Parts {
    let request = Request::get(PATH)
        .header("host", "orders.example")
        .header("user-agent", "curl/8.5.0")
        .header("accept", "*/*")
        .header("authorization", format!("Bearer {token}"))
        .body(());
    request.unwrap().into_parts().0
}

const ISSUER: &str = "https://iam.example.com/identity";
const OWNER: &str = "59bcbfa6ea2f006b4ed7094c1a08dcdd";
const CALLER: &str = "f71446b6474d45bf81196da45de13940";
const PATH: &str = "/v1/accounts/59bcbfa6ea2f006b4ed7094c1a08dcdd/orders/4711";
