//! The cost of beginning a session: `cargo bench --bench assume`.
//!
//! `assume` is all that the token service does between a form and an answer, but for HTTP: the
//! caller's token (verified anew, or known), the decision across accounts with an external ID and a
//! second factor, the session's claims, its signature, the event in the log. `items/s` is attempts
//! for each second of one core.

#![expect(clippy::unwrap_used, reason = "a failed benchmark panics")]

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use crossgate::clock::SystemClock;
use crossgate::event::log::{EventAppender, EventLog};
use crossgate::event::{AssumeEvent, AssumeTarget, Door, EventIds, EventsConfig};
use crossgate::iam::{AccountId, RequestOrigin, Transport};
use crossgate::policy::set::{
    AccountParts, AccountPolicies, PolicySet, PolicySets, PrincipalEntry, UnknownCallers,
};
use crossgate::policy::{CompiledPolicy, Missing, PolicyType, Source, compile, document, json};
use crossgate::snapshot::Snapshot;
use crossgate::sts::assume::{AssumeParameters, Caller, Circumstances, Standing, Target, assume};
use crossgate::sts::keys::{KeysSpec, SessionKeys};
use crossgate::sts::{StsRules, WatchRules};
use crossgate::token::{
    Algorithm, ClaimsMapping, IssuerSpec, JwksLocation, JwksSource, KeySet, KeySets, Verifier,
    session_claims, verify,
};
use crossgate::verdict::{Decision, Mode};
use divan::Bencher;
use divan::counter::ItemsCount;

fn main() {
    divan::main();
}

/// How the caller's token is looked at.
#[derive(Clone, Copy, Debug)]
enum CallersToken {
    /// It was seen before.
    Known,
    /// Its signature (Ed25519) is verified.
    New,
}

#[divan::bench(args = [
    (Algorithm::Es256, CallersToken::New),
    (Algorithm::Es256, CallersToken::Known),
    (Algorithm::EdDsa, CallersToken::New),
    (Algorithm::EdDsa, CallersToken::Known),
    (Algorithm::Rs256, CallersToken::Known),
])]
fn whole(bencher: Bencher<'_, '_>, (algorithm, callers_token): (Algorithm, CallersToken)) {
    let directory = tempfile::tempdir().unwrap();
    let events =
        EventsConfig { directory: directory.path().join("log"), ..EventsConfig::default() };
    let (log, mut appenders) = EventLog::open(&events, "bench", 1).unwrap();
    let service = Service::new(algorithm, directory.path().join("keys"));
    let mut events = appenders.pop().unwrap();
    let mut ids = EventIds::new();
    bencher
        .counter(ItemsCount::new(1_usize))
        .bench_local(|| service.begin(callers_token, &mut ids, &mut events));
    drop(events);
    log.close().unwrap();
}

/// The decision alone.
#[divan::bench]
fn decide(bencher: Bencher<'_, '_>) {
    let directory = tempfile::tempdir().unwrap();
    let service = Service::new(Algorithm::EdDsa, directory.path().join("keys"));
    let now = SystemClock.now();
    let key_sets = &service.snapshot.key_sets;
    let identity = verify(&service.token, key_sets, now.seconds()).unwrap();
    let claims = serde_json::Map::new();
    let caller = Caller { identity: &identity, claims: &claims, standing: Standing::Principal };
    let mut ids = EventIds::new();
    bencher.bench_local(|| {
        let circumstances = Circumstances { id: ids.next(now), now, origin: ORIGIN };
        let (snapshot, rules) = (&service.snapshot, &service.rules);
        let target = Target::Role(ROLE);
        assume(snapshot, rules, &caller, target, &service.parameters, &circumstances).unwrap()
    });
}

/// A signature alone.
#[divan::bench(args = [Algorithm::Es256, Algorithm::EdDsa, Algorithm::Rs256])]
fn sign(bencher: Bencher<'_, '_>, algorithm: Algorithm) {
    let directory = tempfile::tempdir().unwrap();
    let service = Service::new(algorithm, directory.path().join("keys"));
    let claims = [b'a'; 700];
    bencher.bench_local(|| service.keys.sign(&claims).unwrap());
}

struct Service {
    snapshot: Snapshot,
    rules: StsRules,
    keys: SessionKeys,
    verifier: Verifier,
    token: String,
    parameters: AssumeParameters,
}

impl Service {
    fn new(algorithm: Algorithm, directory: std::path::PathBuf) -> Self {
        let key = Ed25519KeyPair::generate().unwrap();
        let x = data_encoding::BASE64URL_NOPAD.encode(key.public_key().as_ref());
        let jwks = format!(r#"{{"keys":[{{"kty":"OKP","crv":"Ed25519","kid":"1","x":"{x}"}}]}}"#);
        let keys = KeySet::parse(jwks.as_bytes()).unwrap();
        let sets =
            PolicySets { mode: Mode::Limited, enforced: Arc::new(policies()), candidate: None };
        let snapshot = Snapshot {
            key_sets: Arc::new(KeySets::new(vec![issuer()]).with_keys(ISSUER, keys)),
            policies: Some(Arc::new(sets)),
            ..Snapshot::default()
        };
        let spec = KeysSpec {
            directory,
            algorithm,
            rotate: Duration::from_hours(24),
            overlap: Duration::from_hours(13),
        };
        Self {
            snapshot,
            rules: rules(),
            keys: SessionKeys::open(spec, SystemClock.now().seconds()).unwrap(),
            verifier: Verifier::new(),
            token: token(&key),
            parameters: AssumeParameters {
                session_name: Some("release".into()),
                external_id: Some(EXTERNAL_ID.into()),
                ..AssumeParameters::default()
            },
        }
    }

    fn begin(
        &self,
        callers_token: CallersToken,
        ids: &mut EventIds,
        events: &mut EventAppender,
    ) -> String {
        let now = SystemClock.now();
        let key_sets = &self.snapshot.key_sets;
        let identity = match callers_token {
            CallersToken::Known => self.verifier.verify(&self.token, key_sets, now.seconds()),
            CallersToken::New => verify(&self.token, key_sets, now.seconds()).map(Arc::new),
        };
        let (identity, claims) = (identity.unwrap(), serde_json::Map::new());
        let standing = Standing::Principal;
        let caller = Caller { identity: &identity, claims: &claims, standing };
        let circumstances = Circumstances { id: ids.next(now), now, origin: ORIGIN };
        let target = Target::Role(ROLE);
        let grant =
            assume(&self.snapshot, &self.rules, &caller, target, &self.parameters, &circumstances)
                .unwrap();
        let token = self.keys.sign(&session_claims(&grant.identity, &self.rules).unwrap()).unwrap();
        events.start();
        events.stage_assume(&AssumeEvent {
            id: ids.next(now),
            time: now,
            correlation_id: "",
            target: AssumeTarget::Role,
            initiator: Some(&identity),
            owner: grant.asked.owner,
            role: &grant.asked.role,
            session_name: &grant.asked.session_name,
            duration_seconds: Some(grant.duration_seconds),
            door: Door::AwsQuery,
            has_external_id: true,
            source_identity: "",
            decision: Decision::Permit,
            reason: grant.reason,
            status: 200,
            statements: &[],
            missing: Missing::default(),
            session: Some((circumstances.id, grant.identity.expires_at)),
            source_ip: ORIGIN.source_ip,
            agent: "bench",
            revision: 1,
        });
        // A bench is faster than the log's writer: permits give way then.
        let _ = events.commit().unwrap();
        token
    }
}

fn rules() -> StsRules {
    StsRules {
        issuer: "https://sts.example.com".into(),
        audiences: vec!["orders".into()],
        duration_default: Duration::from_hours(1),
        duration_max: Duration::from_hours(12),
        watch: WatchRules::default(),
    }
}

fn policies() -> PolicySet {
    let user = PrincipalEntry {
        arn: format!("arn:aws:iam::{HOME}:user/ana").into(),
        policies: [policy(
            PolicyType::Identity,
            &format!(r#""Action":"sts:AssumeRole","Resource":"{ROLE}""#),
        )]
        .into_iter()
        .collect(),
        ..PrincipalEntry::default()
    };
    let trust = format!(
        r#""Principal":{{"AWS":"arn:aws:iam::{HOME}:root"}},"Action":"sts:AssumeRole","Condition":{{"StringEquals":{{"sts:ExternalId":"{EXTERNAL_ID}"}},"Bool":{{"aws:MultiFactorAuthPresent":"true"}}}}"#
    );
    let role = PrincipalEntry {
        arn: ROLE.into(),
        trust: Some(policy(PolicyType::Trust, &trust)),
        ..PrincipalEntry::default()
    };
    let account = |id: &str, entry| {
        let parts =
            AccountParts { principals: Some(vec![Arc::new(entry)]), ..AccountParts::default() };
        let id = AccountId::parse(id).unwrap();
        (id, Arc::new(AccountPolicies::new(id, parts).unwrap()))
    };
    let accounts = [account(HOME, user), account(OWNER, role)].into_iter().collect();
    PolicySet::new(accounts, None, UnknownCallers::default())
}

fn policy(policy_type: PolicyType, rest: &str) -> Arc<CompiledPolicy> {
    let text = format!(r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Allow",{rest}}}}}"#);
    let checked = document::check(&json::parse(&text).unwrap(), policy_type);
    let source = Source { file: "".into() };
    let lines = json::Lines::new(&text);
    Arc::new(compile(&checked.document.unwrap(), "p", source, &lines).unwrap())
}

fn token(key: &Ed25519KeyPair) -> String {
    let encode = |bytes: &[u8]| data_encoding::BASE64URL_NOPAD.encode(bytes);
    let exp = SystemClock.now().seconds().0 + 3600;
    let claims = format!(
        r#"{{"iss":"{ISSUER}","aud":"orders","sub":"ana","iam_id":"ana","account":{{"bss":"{HOME}"}},"iat":1,"exp":{exp},"amr":["pwd","otp"]}}"#
    );
    let signed =
        format!("{}.{}", encode(br#"{"kid":"1","alg":"EdDSA"}"#), encode(claims.as_bytes()));
    format!("{signed}.{}", encode(key.sign(signed.as_bytes()).as_ref()))
}

fn issuer() -> IssuerSpec {
    IssuerSpec {
        issuer: ISSUER.into(),
        audiences: vec!["orders".into()],
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

const ISSUER: &str = "https://login.example.com";
const HOME: &str = "111111111111";
const OWNER: &str = "222222222222";
const ROLE: &str = "arn:aws:iam::222222222222:role/team/deploy";
const EXTERNAL_ID: &str = "vendor:Zx81kPq4mT7vB2nD";
const ORIGIN: RequestOrigin<'static> = RequestOrigin {
    source_ip: std::net::IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 10)),
    transport: Transport::Tls,
    user_agent: None,
    referer: None,
};
