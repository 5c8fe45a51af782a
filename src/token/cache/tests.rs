//! What is remembered, and what makes it forgotten. Times are arguments; nothing sleeps.

use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::token::token_mint::{Signer, jwks};
use crate::token::{Algorithm, ClaimsMapping, IssuerSpec, JwksLocation, JwksSource, KeySet};

const NOW: UnixSeconds = UnixSeconds(1000);

fn spec(issuer: &str) -> IssuerSpec {
    IssuerSpec {
        issuer: issuer.into(),
        audiences: vec![],
        algorithms: vec![Algorithm::EdDsa],
        jwks: JwksSource {
            location: JwksLocation::File("keys.json".into()),
            refresh: Duration::from_mins(5),
            unknown_kid_interval: Duration::from_secs(10),
            timeout: Duration::from_secs(5),
        },
        leeway: Duration::from_secs(10),
        claims: ClaimsMapping::Ibm,
    }
}

fn keys(signers: &[&Signer]) -> KeySet {
    KeySet::parse(jwks(signers).as_bytes()).unwrap()
}

fn claims(issuer: &str) -> Value {
    json!({ "iss": issuer, "exp": 2000, "nbf": 500, "iam_id": "IBMid-1" })
}

/// A token that two verifiers, with and without a worker's table, know.
struct Known {
    signer: Signer,
    token: String,
    key_sets: KeySets,
    shared: Verifier,
    worker: WorkerVerifier,
}

impl Known {
    fn new() -> Self {
        let signer = Signer::new("EdDSA", "a");
        let token = signer.token(&claims("i"));
        let key_sets = KeySets::new(vec![spec("i"), spec("j")]).with_keys("i", keys(&[&signer]));
        let shared = Verifier::new();
        let worker = shared.worker();
        worker.verify(&token, &key_sets, NOW).unwrap();
        Self { signer, token, key_sets, shared, worker }
    }

    /// The answer of both, which must agree.
    #[track_caller]
    fn verify(&self, key_sets: &KeySets, now: u64) -> Result<Arc<Identity>, TokenError> {
        let by_worker = self.worker.verify(&self.token, key_sets, UnixSeconds(now));
        let by_shared = self.shared.verify(&self.token, key_sets, UnixSeconds(now));
        assert_eq!(by_worker, by_shared);
        by_worker
    }
}

#[test]
fn a_known_token_gives_the_same_identity_again() {
    let known = Known::new();
    let first = known.worker.verify(&known.token, &known.key_sets, NOW).unwrap();
    let again = known.worker.verify(&known.token, &known.key_sets, NOW).unwrap();
    let by_other = known.shared.worker().verify(&known.token, &known.key_sets, NOW).unwrap();
    assert!(Arc::ptr_eq(&first, &again));
    assert!(Arc::ptr_eq(&first, &by_other), "workers share what one of them verified");
}

#[test]
fn a_known_token_still_ends_and_begins() {
    let known = Known::new();
    assert!(known.verify(&known.key_sets, 2009).is_ok());
    assert_eq!(known.verify(&known.key_sets, 2010), Err(TokenError::Expired));
    assert!(known.verify(&known.key_sets, 490).is_ok());
    assert_eq!(known.verify(&known.key_sets, 489), Err(TokenError::NotYetValid));
}

#[test]
fn a_change_of_keys_forgets_and_the_same_keys_do_not() {
    let known = Known::new();
    let other = Signer::new("EdDSA", "b");
    let before = known.verify(&known.key_sets, NOW.0).unwrap();

    let same = known.key_sets.with_keys("i", keys(&[&known.signer]));
    assert!(Arc::ptr_eq(&before, &known.verify(&same, NOW.0).unwrap()));
    let elsewhere = known.key_sets.with_keys("j", keys(&[&other]));
    assert!(Arc::ptr_eq(&before, &known.verify(&elsewhere, NOW.0).unwrap()));

    let rotated = known.key_sets.with_keys("i", keys(&[&other]));
    let unknown = Err(TokenError::UnknownKey { issuer: "i".into() });
    assert_eq!(known.verify(&rotated, NOW.0), unknown);

    let added = rotated.with_keys("i", keys(&[&other, &known.signer]));
    let verified_anew = known.verify(&added, NOW.0).unwrap();
    assert!(!Arc::ptr_eq(&before, &verified_anew));
    assert_eq!(known.verify(&rotated, NOW.0), unknown);
}

#[test]
fn a_change_of_the_configuration_forgets() {
    let known = Known::new();
    let mut strict = spec("i");
    strict.audiences = vec!["orders".into()];
    let reconfigured = known.key_sets.reconfigured(vec![strict]);
    assert!(reconfigured.ready(), "the keys carry over");
    assert_eq!(known.verify(&reconfigured, NOW.0), Err(TokenError::Audience));

    let removed = known.key_sets.reconfigured(vec![spec("j")]);
    assert_eq!(known.verify(&removed, NOW.0), Err(TokenError::Issuer));

    let mut moved = spec("i");
    moved.jwks.location = JwksLocation::File("other.json".into());
    let moved = known.key_sets.reconfigured(vec![moved]);
    assert!(!moved.ready(), "keys of another place do not carry over");
    assert_eq!(known.verify(&moved, NOW.0), Err(TokenError::KeysUnavailable));

    let reordered = known.key_sets.reconfigured(vec![spec("j"), spec("i")]);
    assert!(known.verify(&reordered, NOW.0).is_ok());
}

#[test]
fn only_the_whole_token_is_known() {
    let known = Known::new();
    let mut longer = known.token.clone();
    longer.push('A');
    assert!(known.worker.verify(&longer, &known.key_sets, NOW).is_err());
    let mut other = known.token.clone().into_bytes();
    let last = other.len() - 3;
    other[last] = if other[last] == b'A' { b'B' } else { b'A' };
    let other = String::from_utf8(other).unwrap();
    assert!(known.worker.verify(&other, &known.key_sets, NOW).is_err());
    assert!(known.verify(&known.key_sets, NOW.0).is_ok());
}

#[test]
fn a_refused_token_is_not_remembered() {
    let known = Known::new();
    let other = Signer::new("EdDSA", "b");
    let token = other.token(&claims("i"));
    assert!(known.worker.verify(&token, &known.key_sets, NOW).is_err());
    known.shared.tokens.run_pending_tasks();
    assert_eq!(known.shared.tokens.entry_count(), 1);
    let rotated = known.key_sets.with_keys("i", keys(&[&other]));
    assert!(known.worker.verify(&token, &rotated, NOW).is_ok());
}

#[test]
fn many_tokens_stay_within_the_bound_and_none_is_mistaken_for_another() {
    let known = Known::new();
    let tokens: Vec<_> = (0..3 * SLOTS)
        .map(|index| {
            let mut claims = claims("i");
            claims["iam_id"] = json!(format!("IBMid-{index}"));
            known.signer.token(&claims)
        })
        .collect();
    for _ in 0..2 {
        for (index, token) in tokens.iter().enumerate() {
            let identity = known.worker.verify(token, &known.key_sets, NOW).unwrap();
            assert_eq!(*identity.id, *format!("IBMid-{index}"));
        }
    }
    known.shared.tokens.run_pending_tasks();
    assert!(known.shared.tokens.weighted_size() <= CACHE_BYTES_MAX);
}

#[test]
fn nothing_of_a_token_is_shown() {
    let known = Known::new();
    let shown = format!("{:?} {:?}", known.shared, known.worker);
    assert!(!shown.contains(known.token.split('.').next().unwrap()), "{shown}");
}

#[test]
fn hits_and_misses_are_counted_by_workers_and_behind_them() {
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let told = recorder.handle();
    let known = metrics::with_local_recorder(&recorder, Known::new);
    known.worker.verify(&known.token, &known.key_sets, NOW).unwrap();
    known.shared.verify(&known.token, &known.key_sets, NOW).unwrap();
    known.worker.verify("garbage", &known.key_sets, NOW).unwrap_err();
    let told = told.render();
    for line in ["{result=\"hit\"} 2", "{result=\"miss\"} 2"] {
        assert!(told.contains(&format!("crossgate_token_cache_total{line}\n")), "{told}");
    }
}

/// The fast path may never answer other than the slow one: any order of tokens, times and
/// configurations gives what verifying anew gives.
#[test]
fn remembered_answers_are_those_of_verifying_anew() {
    let (a, b) = (Signer::new("EdDSA", "a"), Signer::new("EdDSA", "b"));
    let mut short = claims("i");
    short["exp"] = json!(900);
    let tokens = [
        a.token(&claims("i")),
        b.token(&claims("i")),
        a.token(&short),
        a.token(&claims("j")),
        "garbage".to_owned(),
    ];
    let mut strict = spec("i");
    strict.audiences = vec!["orders".into()];
    let base = KeySets::new(vec![spec("i"), spec("j")]);
    let states = [
        base.clone(),
        base.with_keys("i", keys(&[&a])),
        base.with_keys("i", keys(&[&b])),
        base.with_keys("i", keys(&[&a, &b])).with_keys("j", keys(&[&a])),
        base.with_keys("i", keys(&[&a])).reconfigured(vec![spec("j"), spec("i")]),
        base.with_keys("i", keys(&[&a])).reconfigured(vec![strict]),
    ];
    let steps =
        proptest::collection::vec((0..tokens.len(), 0..states.len(), 480_u64..2020), 1..200);
    proptest::proptest!(proptest::test_runner::Config::with_cases(64), |(steps in steps)| {
        let shared = Verifier::new();
        let workers = [shared.worker(), shared.worker()];
        for (step, (token, state, now)) in steps.into_iter().enumerate() {
            let (token, state, now) = (&tokens[token], &states[state], UnixSeconds(now));
            let remembered = workers[step % 2].verify(token, state, now);
            let anew = crate::token::verify(token, state, now);
            proptest::prop_assert_eq!(remembered.map(|identity| (*identity).clone()), anew);
        }
    });
}
