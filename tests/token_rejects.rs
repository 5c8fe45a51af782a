//! Bad tokens, each one change away from a good one, against the public verification.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failed test panics")]
#![expect(clippy::panic, reason = "a failed test panics")]

use std::time::Duration;

use aws_lc_rs::hmac;
use crossgate::clock::UnixSeconds;
use crossgate::token::{
    Algorithm, ClaimsMapping, IssuerSpec, JwksLocation, JwksSource, KeySet, KeySets,
    TOKEN_BYTES_MAX, TokenError, Verifier, verify,
};
use data_encoding::{BASE64, BASE64URL};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use token_mint::{ALGORITHMS, Signer, b64, jwks};

mod token_mint;

const ISSUER: &str = "https://iam.example.com/identity";
const NOW: UnixSeconds = UnixSeconds(1_000_000);

fn spec(algorithms: &[Algorithm]) -> IssuerSpec {
    IssuerSpec {
        issuer: ISSUER.into(),
        audiences: vec!["orders".into(), "orders-test".into()],
        algorithms: algorithms.to_vec(),
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

fn key_sets(spec: IssuerSpec, document: &str) -> KeySets {
    KeySets::new(vec![spec]).with_keys(ISSUER, KeySet::parse(document.as_bytes()).unwrap())
}

fn good_claims() -> Value {
    json!({
        "iss": ISSUER, "aud": "orders", "exp": 1_003_600, "iat": 1_000_000,
        "iam_id": "IBMid-1", "sub": "user@example.com", "account": { "bss": "111111111111" },
    })
}

struct Fixture {
    signer: Signer,
    key_sets: KeySets,
}

fn fixture() -> Fixture {
    let signer = Signer::new("ES256", "k1");
    let key_sets = key_sets(spec(&[Algorithm::Es256, Algorithm::Rs256]), &jwks(&[&signer]));
    Fixture { signer, key_sets }
}

impl Fixture {
    fn code(&self, token: &str) -> &'static str {
        let result = verify(token, &self.key_sets, NOW);
        let cached = Verifier::new().worker().verify(token, &self.key_sets, NOW);
        assert_eq!(cached.map(|identity| (*identity).clone()), result);
        result.map_or_else(|error| error.code(), |_| "ok")
    }

    fn good(&self) -> String {
        self.signer.token(&good_claims())
    }
}

fn change(base: Value, changes: Option<&Value>, without: Option<&Value>) -> Value {
    let Value::Object(mut members) = base else { panic!("an object") };
    let changes = changes.and_then(Value::as_object).cloned().unwrap_or_else(Map::new);
    members.extend(changes);
    for gone in without.and_then(Value::as_array).into_iter().flatten() {
        assert!(members.remove(gone.as_str().unwrap()).is_some(), "{gone} was never there");
    }
    Value::Object(members)
}

#[test]
fn each_case_gives_its_code() {
    let fixture = fixture();
    let cases: Vec<Value> = serde_json::from_str(include_str!("cases/token/rejects.json")).unwrap();
    for case in cases {
        let part = |name| case.get(name);
        let header = change(fixture.signer.header(), part("header"), part("without_header"));
        let claims = change(good_claims(), part("claims"), part("without"));
        let token = fixture.signer.sign(&header.to_string(), claims.to_string().as_bytes());
        assert_eq!(fixture.code(&token), case["expect"], "{}", case["why"]);
    }
}

#[test]
fn tokens_of_every_algorithm_verify_and_not_with_a_changed_byte() {
    let signers = ALGORITHMS.map(|algorithm| Signer::new(algorithm, algorithm));
    let key_sets = key_sets(spec(&Algorithm::ALL), &jwks(&signers.each_ref()));
    for signer in &signers {
        let token = signer.token(&good_claims());
        let identity = verify(&token, &key_sets, NOW).unwrap();
        assert_eq!(&*identity.principal, "arn:aws:iam::111111111111:user/IBMid-1");
        for place in (0..token.len()).step_by(7) {
            let mut changed = token.clone().into_bytes();
            changed[place] = if changed[place] == b'B' { b'C' } else { b'B' };
            let changed = String::from_utf8(changed).unwrap();
            assert!(verify(&changed, &key_sets, NOW).is_err(), "{} at {place}", signer.algorithm);
        }
    }
}

#[test]
fn a_signature_of_another_algorithm_of_the_same_key_does_not_verify() {
    // All RSA signers share one key, so only the padding and the hash differ.
    let key = Signer::new("RS256", "k1");
    let mut jwk = key.bare_jwk();
    jwk["kid"] = json!("k1");
    let document = json!({ "keys": [jwk] }).to_string();
    let key_sets = key_sets(spec(&Algorithm::ALL), &document);
    for claimed in &ALGORITHMS[..6] {
        for signed in &ALGORITHMS[..6] {
            let header = json!({ "alg": claimed, "kid": "k1" }).to_string();
            let token =
                Signer::new(signed, "k1").sign(&header, good_claims().to_string().as_bytes());
            let verified = verify(&token, &key_sets, NOW);
            if claimed == signed {
                assert!(verified.is_ok(), "{claimed}");
            } else {
                assert_eq!(verified, Err(TokenError::Signature), "{claimed} by {signed}");
            }
        }
    }
}

#[test]
fn a_key_with_its_own_alg_does_no_other() {
    let rs256 = Signer::new("RS256", "k1");
    let key_sets = key_sets(spec(&Algorithm::ALL), &jwks(&[&rs256]));
    let token = Signer::new("PS256", "k1").token(&good_claims());
    assert_eq!(verify(&token, &key_sets, NOW), Err(TokenError::KeyMismatch));
}

#[test]
fn the_public_key_is_no_secret_for_hmac() {
    let signer = Signer::new("RS256", "k1");
    let document = jwks(&[&signer]);
    let key_sets = key_sets(spec(&Algorithm::ALL), &document);
    let header = json!({ "alg": "HS256", "kid": "k1" }).to_string();
    let signed =
        format!("{}.{}", b64(header.as_bytes()), b64(good_claims().to_string().as_bytes()));
    for secret in [document, signer.jwk().to_string(), signer.jwk()["n"].to_string()] {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        let token = format!("{signed}.{}", b64(hmac::sign(&key, signed.as_bytes()).as_ref()));
        assert_eq!(verify(&token, &key_sets, NOW), Err(TokenError::Algorithm));
    }
}

#[test]
fn a_token_has_three_strictly_encoded_parts() {
    let fixture = fixture();
    let good = fixture.good();
    let parts: Vec<&str> = good.split('.').collect();
    let [header, payload, signature] = parts[..] else { panic!("three parts") };
    let code = |token: String| fixture.code(&token);

    assert_eq!(code(good.clone()), "ok");
    for token in [
        String::new(),
        ".".into(),
        "..".into(),
        format!("{header}.{payload}"),
        format!("{good}."),
        format!("{good}.{signature}"),
        format!("{good}.a.b"),
        format!("{good}a"),
        format!("{good}="),
        format!("{good}\n"),
        format!(" {good}"),
        format!("{header}.{payload}.\u{e9}{signature}"),
        format!("{header}=.{payload}.{signature}"),
        format!("{header}.{payload}==.{signature}"),
        format!(
            "{{\"payload\":\"{payload}\",\"protected\":\"{header}\",\"signature\":\"{signature}\"}}"
        ),
        ".".repeat(TOKEN_BYTES_MAX),
    ] {
        assert_eq!(code(token.clone()), "malformed", "{token}");
    }
    assert_eq!(code(format!("{header}.{payload}.")), "bad_signature");
    assert_eq!(code(format!("{header}..{signature}")), "malformed");
}

#[test]
fn base64_of_other_alphabets_and_with_stray_bits_is_refused() {
    let fixture = fixture();
    let good = fixture.good();
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let bytes = data_encoding::BASE64URL_NOPAD.decode(signature.as_bytes()).unwrap();
    assert_eq!(fixture.code(&format!("{signed}.{}", BASE64URL.encode(&bytes))), "malformed");
    // 64 bytes end in a character of which only two bits count; set one of the other four.
    let last = signature.chars().last().unwrap();
    let stray = char::from(u8::try_from(last).unwrap() + 1);
    assert!("BRhx".contains(stray), "{stray}");
    let end = signature.strip_suffix(last).unwrap();
    assert_eq!(fixture.code(&format!("{signed}.{end}{stray}")), "malformed");
    // The standard alphabet differs as soon as `-` or `_` occur.
    let standard = BASE64.encode(&[0xfb; 64]).replace('=', "");
    assert_eq!(fixture.code(&format!("{signed}.{standard}")), "malformed");
}

#[test]
fn ambiguous_and_deep_json_is_refused_though_it_is_signed() {
    let fixture = fixture();
    let header = fixture.signer.header().to_string();
    let claims = good_claims().to_string();
    let open = claims.strip_suffix('}').unwrap();
    let deep = format!("{open},\"x\":{}{}}}", "[".repeat(5000), "]".repeat(5000));
    for payload in [
        format!("{open},\"sub\":\"admin\"}}"),
        format!("{open},\"account\":{{\"bss\":\"222222222222\"}}}}"),
        format!("{open},\"x\":{{\"a\":1,\"a\":2}}}}"),
        format!("{open},\"\\u0065xp\":9999999}}"),
        format!("{open},\"x\":1e999}}"),
        format!("{open},\"x\":NaN}}"),
        format!("{claims}x"),
        format!("{claims}{claims}"),
        format!("[{claims}]"),
        deep,
        String::new(),
    ] {
        let token = fixture.signer.sign(&header, payload.as_bytes());
        assert_eq!(fixture.code(&token), "malformed", "{payload:.200}");
    }
    let not_utf8 = [open.as_bytes(), b",\"x\":\"\xff\"}"].concat();
    assert_eq!(fixture.code(&fixture.signer.sign(&header, &not_utf8)), "malformed");
    let twice = r#"{"alg":"none","alg":"ES256","kid":"k1"}"#;
    assert_eq!(fixture.code(&fixture.signer.sign(twice, claims.as_bytes())), "malformed");
}

#[test]
fn size_ends_at_its_limit() {
    let fixture = fixture();
    let sized = |fill: usize, pad: usize| {
        let mut header = fixture.signer.header();
        header["x5t"] = json!("x".repeat(pad));
        let mut claims = good_claims();
        claims["fill"] = json!("x".repeat(fill));
        fixture.signer.sign(&header.to_string(), claims.to_string().as_bytes())
    };
    let about = (TOKEN_BYTES_MAX - sized(0, 0).len()) / 4 * 3 - 6;
    // No base64 text has 1 modulo 4 characters, so both parts are tried for the exact size.
    let longest = (0..12)
        .flat_map(|fill| (0..3).map(move |pad| (about + fill, pad)))
        .map(|(fill, pad)| sized(fill, pad))
        .find(|token| token.len() == TOKEN_BYTES_MAX)
        .unwrap();
    assert_eq!(longest.len(), TOKEN_BYTES_MAX);
    assert_eq!(fixture.code(&longest), "ok");
    assert_eq!(fixture.code(&format!("{longest}A")), "too_large");
    assert_eq!(fixture.code(&sized(1024 * 1024, 0)), "too_large");
}

#[test]
fn an_ecdsa_signature_of_zeros_or_in_asn1_does_not_verify() {
    let fixture = fixture();
    let good = fixture.good();
    let (signed, _) = good.rsplit_once('.').unwrap();
    let zeros = [0; 64];
    let mut ones = [0; 64];
    ones[31] = 1;
    ones[63] = 1;
    let asn1 = [0x30, 6, 2, 1, 1, 2, 1, 1];
    for signature in [zeros.as_slice(), &ones, &asn1, &zeros[..63], &[]] {
        let token = format!("{signed}.{}", b64(signature));
        assert_eq!(fixture.code(&token), "bad_signature");
    }
}

#[test]
fn without_keys_it_is_not_the_clients_fault() {
    let fixture = fixture();
    let without = KeySets::new(vec![spec(&[Algorithm::Es256])]);
    assert_eq!(verify(&fixture.good(), &without, NOW), Err(TokenError::KeysUnavailable));
    assert_eq!(verify(&fixture.good(), &KeySets::default(), NOW), Err(TokenError::Issuer));
}

#[test]
fn no_message_repeats_what_a_token_says() {
    let fixture = fixture();
    let secret = "s3cr3t-claim";
    for claims in [
        json!({ "iss": secret }),
        change(good_claims(), Some(&json!({ "aud": secret })), None),
        change(good_claims(), Some(&json!({ "account": { "bss": format!("{secret}/") } })), None),
    ] {
        let error = verify(&fixture.signer.token(&claims), &fixture.key_sets, NOW).unwrap_err();
        let said = format!("{error} {error:?} {} {}", error.code(), error.description());
        assert!(!said.contains(secret), "{said}");
        let is_quotable = |c: char| c.is_ascii() && !c.is_control() && c != '"' && c != '\\';
        assert!(error.description().chars().all(is_quotable));
    }
}

proptest! {
    #[test]
    fn arbitrary_text_never_panics_and_never_verifies(token in ".{0,300}") {
        let key_sets = KeySets::new(vec![spec(&Algorithm::ALL)]);
        prop_assert!(verify(&token, &key_sets, NOW).is_err());
    }

    #[test]
    fn arbitrary_parts_never_panic_and_never_verify(
        header in proptest::collection::vec(any::<u8>(), 0..60),
        payload in proptest::collection::vec(any::<u8>(), 0..60),
        signature in proptest::collection::vec(any::<u8>(), 0..80),
    ) {
        static FIXTURE: std::sync::LazyLock<Fixture> = std::sync::LazyLock::new(fixture);
        let token = format!("{}.{}.{}", b64(&header), b64(&payload), b64(&signature));
        prop_assert_ne!(FIXTURE.code(&token), "ok");
        let good_header = FIXTURE.signer.header().to_string();
        let claims = good_claims().to_string();
        for (header, payload) in [
            (good_header.as_bytes(), payload.as_slice()),
            (header.as_slice(), claims.as_bytes()),
            (good_header.as_bytes(), claims.as_bytes()),
        ] {
            let token = format!("{}.{}.{}", b64(header), b64(payload), b64(&signature));
            prop_assert_ne!(FIXTURE.code(&token), "ok");
        }
    }
}
