//! A warm decision allocates nothing: memory on the request path is time, and grows with traffic.
//!
//! Goal: no allocation between a parsed head and a permit once the token is known, with and without
//! an event, with and without policies. Method: count this thread's allocations over a thousand decisions, by a gate without a
//! metrics recorder, whose histograms keep samples until they are collected.

#![expect(clippy::unwrap_used, reason = "a failed test panics")]

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use crossgate::clock::{SystemClock, UnixMillis};
use crossgate::event::EventsConfig;
use crossgate::event::log::EventLog;
use crossgate::forward::{ClientAddress, Protocol};
use crossgate::iam::AccountId;
use crossgate::perimeter::{AccountSetting, SettingsIndex};
use crossgate::policy::set::{
    AccountParts, AccountPolicies, PolicySet, PolicySets, PrincipalEntry, ResourceEntry, Tag,
    UnknownCallers,
};
use crossgate::policy::{CompiledPolicy, PolicyType, Source, compile, document, json};
use crossgate::proxy::{Circumstances, Gate};
use crossgate::route::{
    ContextSource, ContextSpec, EdgeRules, QuestionSpec, RouteSpec, RouteTable, Upstream,
};
use crossgate::snapshot::{Change, Part, SnapshotReader, SnapshotWriter};
use crossgate::token::{
    Algorithm, ClaimsMapping, IssuerSpec, JwksLocation, JwksSource, KeySet, KeySets, Verifier,
};
use crossgate::verdict::Mode;
use data_encoding::BASE64URL_NOPAD;
use http::{Request, request};

const ISSUER: &str = "https://iam.example.com/identity";

#[test]
fn a_warm_decision_allocates_nothing_in_any_mode() {
    for (mode, policies) in [
        (Mode::Unrestricted, None),
        (Mode::ReportOnly, None),
        (Mode::Limited, None),
        (Mode::Unrestricted, Some(Mode::Unrestricted)),
        (Mode::ReportOnly, Some(Mode::ReportOnly)),
        (Mode::Limited, Some(Mode::Limited)),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let config = EventsConfig { directory: directory.path().into(), ..EventsConfig::default() };
        let (log, mut appenders) = EventLog::open(&config, "test", 1).unwrap();
        let (reader, head) = world(mode, policies);
        let mut gate = Gate::new(&reader, Verifier::new().worker(), appenders.pop().unwrap());
        let peer = ClientAddress::of_peer([192, 0, 2, 10].into());
        let mut decide = |times| {
            for _ in 0..times {
                let (now, started) = (SystemClock.now(), SystemClock.tick());
                let decision = gate.decision_id(now);
                let protocol = Protocol::Http;
                let circumstances = Circumstances { decision, peer: &peer, protocol, now, started };
                assert!(gate.authorize(&head, &circumstances).is_ok());
            }
        };
        decide(10);
        let counted = allocation_counter::measure(|| decide(1000));
        assert_eq!(counted.count_total, 0, "{mode:?}, policies {policies:?}: {counted:?}");
        drop(gate);
        log.close().unwrap();
    }
}

/// A snapshot in which a partner is on the owner's allowlist, and the head of its request.
fn world(mode: Mode, policies: Option<Mode>) -> (SnapshotReader, request::Parts) {
    let key = Ed25519KeyPair::generate().unwrap();
    let x = BASE64URL_NOPAD.encode(key.public_key().as_ref());
    let jwks = format!(r#"{{"keys":[{{"kty":"OKP","crv":"Ed25519","kid":"1","x":"{x}"}}]}}"#);
    let keys = KeySet::parse(jwks.as_bytes()).unwrap();
    let allowlist = Arc::new([AccountId::parse("partner").unwrap()].into_iter().collect());
    let settings = SettingsIndex::default()
        .with_account(AccountId::parse("owner").unwrap(), AccountSetting::uniform(mode, allowlist));
    let (writer, reader) = SnapshotWriter::new();
    writer.publish(Part::Settings, "", UnixMillis(0), |_| Change::Settings(Arc::new(settings)));
    writer.publish(Part::Configuration, "", UnixMillis(0), |_| Change::Configuration {
        routes: Arc::new(RouteTable::compile(&[route()]).unwrap()),
        edge: Arc::new(EdgeRules::default()),
        key_sets: Arc::new(KeySets::new(vec![issuer()]).with_keys(ISSUER, keys)),
        sts: None,
    });
    let sets = policies.map(|mode| {
        // Both sides grant what is in force; nothing grants what is proposed.
        let candidate = Some(Arc::default());
        Arc::new(PolicySets { mode, enforced: Arc::new(granting()), candidate })
    });
    writer.publish(Part::Policies, "", UnixMillis(0), |_| Change::Policies(sets));
    let head = Request::get("/v1/accounts/owner/orders/7")
        .header("host", "orders.example")
        .header("authorization", format!("Bearer {}", token(&key)))
        .header("user-agent", "curl/8.5.0")
        .header("x-team", "red")
        .header("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
    (reader, head.body(()).unwrap().into_parts().0)
}

/// The partner's user may read orders, if all that a request tells is as it should be, and the owner
/// shares them.
fn granting() -> PolicySet {
    let caller = PrincipalEntry {
        arn: "arn:aws:iam::partner:user/IBMid-1".into(),
        id: "AIDA1".into(),
        tags: Box::new([Tag { key: "team".into(), value: "red".into() }]),
        policies: vec![policy(PolicyType::Identity, CALLERS_SIDE)].into(),
        ..PrincipalEntry::default()
    };
    let orders = ResourceEntry {
        pattern: "arn:aws:orders::owner:order/*".into(),
        policy: Some(policy(PolicyType::Resource, OWNERS_SIDE)),
        key: None,
        tags: Box::new([Tag { key: "team".into(), value: "red".into() }]),
        file: "".into(),
    };
    let callers = AccountParts { principals: Some(vec![caller.into()]), ..AccountParts::default() };
    let owners = AccountParts { resources: vec![orders.into()], ..AccountParts::default() };
    let accounts = [("partner", callers), ("owner", owners)].map(|(name, parts)| {
        let account = AccountId::parse(name).unwrap();
        (account, Arc::new(AccountPolicies::new(account, parts).unwrap()))
    });
    PolicySet::new(accounts.into_iter().collect(), None, UnknownCallers::default())
}

fn policy(policy_type: PolicyType, text: &str) -> Arc<CompiledPolicy> {
    let checked = document::check(&json::parse(text).unwrap(), policy_type);
    let document = checked.document.unwrap();
    let source = Source { file: "".into() };
    Arc::new(compile(&document, "p", source, &json::Lines::new(text)).unwrap())
}

const CALLERS_SIDE: &str = r#"{"Version": "2012-10-17", "Statement": {"Effect": "Allow",
    "Action": "orders:Get*", "Resource": "arn:aws:orders::owner:order/*", "Condition": {
    "IpAddress": {"aws:SourceIp": "192.0.2.0/24"},
    "Bool": {"aws:SecureTransport": "false", "aws:ViaAWSService": "false"},
    "DateGreaterThan": {"aws:CurrentTime": "2020-01-01T00:00:00Z"},
    "ArnLike": {"aws:PrincipalArn": "arn:aws:iam::partner:user/*"},
    "StringLike": {"aws:userid": "AIDA*", "aws:UserAgent": "curl/*"},
    "StringEquals": {"aws:username": "IBMid-1", "aws:ResourceTag/Team": "${aws:PrincipalTag/team}",
        "aws:RequestTag/team": "red-7", "orders:Kind": "standard"},
    "ForAllValues:StringEquals": {"orders:Kinds": ["standard", "express"]},
    "Null": {"orders:Absent": "true"}}}}"#;

const OWNERS_SIDE: &str = r#"{"Version": "2012-10-17", "Statement": {"Effect": "Allow",
    "Principal": {"AWS": "arn:aws:iam::partner:user/IBMid-1"}, "Action": "orders:GetOrder",
    "Resource": "arn:aws:orders::owner:order/*"}}"#;

fn token(key: &Ed25519KeyPair) -> String {
    let exp = SystemClock.now().seconds().0 + 3600;
    let claims = format!(
        r#"{{"iss":"{ISSUER}","iam_id":"IBMid-1","account":{{"bss":"partner"}},"exp":{exp}}}"#
    );
    let signed = format!(
        "{}.{}",
        BASE64URL_NOPAD.encode(br#"{"kid":"1","alg":"EdDSA"}"#),
        BASE64URL_NOPAD.encode(claims.as_bytes())
    );
    format!("{signed}.{}", BASE64URL_NOPAD.encode(key.sign(signed.as_bytes()).as_ref()))
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

fn context(key: &str, texts: &[&str]) -> ContextSpec {
    let source = match texts {
        [text] => ContextSource::One((*text).into()),
        texts => ContextSource::Many(texts.iter().map(|text| (*text).into()).collect()),
    };
    ContextSpec { key: key.into(), source }
}

fn route() -> RouteSpec {
    RouteSpec {
        path: "/v1/accounts/{account}/orders/{*order}".into(),
        methods: Vec::new(),
        question: Some(QuestionSpec {
            action: "orders:GetOrder".into(),
            resource: "arn:aws:orders::{account}:order/{order}".into(),
            owner: "{account}".into(),
            key_action: None,
            context: vec![
                context("aws:RequestTag/team", &["{header:x-team}-{order}"]),
                context("orders:Kind", &["standard"]),
                context("orders:Kinds", &["standard", "express"]),
                context("orders:Absent", &["{header:x-absent}"]),
            ],
        }),
        upstream: Arc::new(Upstream {
            name: "orders".into(),
            endpoints: vec!["http://127.0.0.1:9".parse().unwrap()],
            connect_timeout: Duration::from_secs(1),
            response_timeout: Duration::from_secs(1),
        }),
    }
}
