//! What a bearer token costs: recognised by a worker, recognised by the shared cache, verified anew
//! with each algorithm.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failed benchmark panics")]

use std::time::Duration;

use crossgate::clock::UnixSeconds;
use crossgate::token::{
    Algorithm, ClaimsMapping, IssuerSpec, JwksLocation, JwksSource, KeySet, KeySets, Verifier,
    verify,
};
use divan::{Bencher, black_box};
use serde_json::json;

use token_mint::{ALGORITHMS, Signer, jwks};

#[path = "../tests/token_mint/mod.rs"]
mod token_mint;

const ISSUER: &str = "https://iam.example.com/identity";
const NOW: UnixSeconds = UnixSeconds(1_000_000);

#[global_allocator]
static ALLOCATIONS: divan::AllocProfiler = divan::AllocProfiler::system();

fn main() {
    divan::main();
}

struct Fixture {
    token: String,
    key_sets: KeySets,
}

/// A token of 800 to 1000 bytes with RS256, as identity providers make them.
fn fixture(algorithm: &'static str) -> Fixture {
    let signer = Signer::new(algorithm, "k1");
    let spec = IssuerSpec {
        issuer: ISSUER.into(),
        audiences: vec!["orders".into()],
        algorithms: Algorithm::ALL.to_vec(),
        jwks: JwksSource {
            location: JwksLocation::File("keys.json".into()),
            refresh: Duration::from_mins(5),
            unknown_kid_interval: Duration::from_secs(10),
            timeout: Duration::from_secs(5),
        },
        leeway: Duration::from_secs(30),
        claims: ClaimsMapping::Ibm,
    };
    let keys = KeySet::parse(jwks(&[&signer]).as_bytes()).unwrap();
    let token = signer.token(&json!({
        "iss": ISSUER, "aud": "orders", "exp": 1_003_600, "iat": 1_000_000,
        "iam_id": "IBMid-550009FB7N", "id": "IBMid-550009FB7N", "sub": "user@example.com",
        "name": "A User", "email": "user@example.com", "scope": "ibm openid", "client_id": "bx",
        "account": { "valid": true, "bss": "59bcbfa6ea2f006b4ed7094c1a08dcdd" },
        "acr": 1, "amr": ["pwd"],
    }));
    Fixture { token, key_sets: KeySets::new(vec![spec]).with_keys(ISSUER, keys) }
}

#[divan::bench]
fn hit_worker(bencher: Bencher<'_, '_>) {
    let Fixture { token, key_sets } = fixture("RS256");
    let worker = Verifier::new().worker();
    worker.verify(&token, &key_sets, NOW).unwrap();
    bencher.bench_local(|| worker.verify(black_box(&token), &key_sets, NOW).unwrap());
}

#[divan::bench]
fn hit_shared(bencher: Bencher<'_, '_>) {
    let Fixture { token, key_sets } = fixture("RS256");
    let verifier = Verifier::new();
    verifier.verify(&token, &key_sets, NOW).unwrap();
    bencher.bench_local(|| verifier.verify(black_box(&token), &key_sets, NOW).unwrap());
}

#[divan::bench(args = ALGORITHMS)]
fn miss(bencher: Bencher<'_, '_>, algorithm: &'static str) {
    let Fixture { token, key_sets } = fixture(algorithm);
    bencher.bench_local(|| verify(black_box(&token), &key_sets, NOW).unwrap());
}

/// What a token with a bad signature costs: no more than a good one.
#[divan::bench(args = ["RS256", "ES256", "EdDSA"])]
fn bad_signature(bencher: Bencher<'_, '_>, algorithm: &'static str) {
    let Fixture { mut token, key_sets } = fixture(algorithm);
    let place = token.len() - 9;
    let other = if token.as_bytes()[place] == b'A' { "B" } else { "A" };
    token.replace_range(place..=place, other);
    bencher.bench_local(|| verify(black_box(&token), &key_sets, NOW).unwrap_err());
}
