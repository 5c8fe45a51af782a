//! Which keys are used, which are skipped and why. Real keys, one change each.

use serde_json::{Value, json};

use super::*;
use crate::token::token_mint::{ALGORITHMS, Signer, b64, jwks};

fn parse(keys: &Value) -> Result<KeySet, KeySetError> {
    KeySet::parse(json!({ "keys": keys }).to_string().as_bytes())
}

#[track_caller]
fn skipped(jwk: &Value, reason: SkipReason) {
    assert_eq!(parse(&json!([jwk])), Err(KeySetError::Unusable { reason }));
    let good = Signer::new("EdDSA", "good");
    let mixed = parse(&json!([jwk, good.jwk()])).unwrap();
    assert_eq!(mixed.skipped(), [SkippedKey { index: 0, reason }]);
    assert_eq!(mixed.usable(), 1);
}

fn with(signer: &Signer, member: &str, value: Value) -> Value {
    let mut jwk = signer.jwk();
    jwk[member] = value;
    jwk
}

#[test]
fn keys_of_all_algorithms_are_usable() {
    let signers = ALGORITHMS.map(|algorithm| Signer::new(algorithm, algorithm));
    let set = KeySet::parse(jwks(&signers.each_ref()).as_bytes()).unwrap();
    assert_eq!((set.usable(), set.skipped().len()), (ALGORITHMS.len(), 0));
}

#[test]
fn a_key_verifies_what_its_type_and_alg_allow_and_nothing_else() {
    let allowed = |jwk: &Value| {
        let set = parse(&json!([jwk])).unwrap();
        Algorithm::ALL
            .into_iter()
            .filter(|a| set.keys[0].verifier(*a).is_some())
            .collect::<Vec<_>>()
    };
    let rsa = Signer::new("PS384", "r");
    assert_eq!(allowed(&rsa.bare_jwk()), RSA_ALGORITHMS);
    assert_eq!(allowed(&rsa.jwk()), [Algorithm::Ps384]);
    for (name, algorithm) in [
        ("ES256", Algorithm::Es256),
        ("ES384", Algorithm::Es384),
        ("ES512", Algorithm::Es512),
        ("EdDSA", Algorithm::EdDsa),
    ] {
        assert_eq!(allowed(&Signer::new(name, "k").bare_jwk()), [algorithm]);
    }
}

#[test]
fn keys_for_other_purposes_are_skipped() {
    let key = Signer::new("ES256", "k");
    skipped(&with(&key, "use", json!("enc")), SkipReason::Use);
    skipped(&with(&key, "use", json!(1)), SkipReason::Use);
    skipped(&with(&key, "key_ops", json!(["sign"])), SkipReason::Use);
    skipped(&with(&key, "key_ops", json!([])), SkipReason::Use);
    skipped(&with(&key, "key_ops", json!("verify")), SkipReason::Use);
    assert!(parse(&json!([with(&key, "key_ops", json!(["sign", "verify"]))])).is_ok());
}

#[test]
fn keys_that_contradict_themselves_are_skipped() {
    let ec = Signer::new("ES256", "k");
    let ed = Signer::new("EdDSA", "k");
    let rsa = Signer::new("RS256", "k");
    skipped(&with(&ec, "alg", json!("ES384")), SkipReason::Algorithm);
    skipped(&with(&ec, "alg", json!("HS256")), SkipReason::Algorithm);
    skipped(&with(&ec, "alg", json!("ES521")), SkipReason::Algorithm);
    assert!(parse(&json!([with(&Signer::new("ES512", "k"), "alg", json!("ES521"))])).is_ok());
    skipped(&with(&ec, "alg", json!(null)), SkipReason::Algorithm);
    skipped(&with(&rsa, "alg", json!("RSA1_5")), SkipReason::Algorithm);
    skipped(&with(&rsa, "alg", json!("ES256")), SkipReason::Algorithm);
    skipped(&with(&ed, "alg", json!("ES256")), SkipReason::Algorithm);
    let mut other_curve = ec.bare_jwk();
    other_curve["crv"] = json!("P-384");
    skipped(&other_curve, SkipReason::Encoding);
    skipped(&with(&ec, "crv", json!("secp256k1")), SkipReason::Curve);
    skipped(&with(&ed, "crv", json!("X25519")), SkipReason::Curve);
    skipped(&with(&ec, "kty", json!("OKP")), SkipReason::Curve);
    skipped(&with(&ec, "kty", json!("RSA")), SkipReason::Algorithm);
    skipped(&with(&ec, "kty", json!("AKP")), SkipReason::KeyType);
    skipped(&with(&ec, "kid", json!(7)), SkipReason::Kid);
    skipped(&with(&ec, "kid", json!("k".repeat(KID_BYTES_MAX + 1))), SkipReason::Kid);
    assert!(parse(&json!([with(&ec, "kid", json!("k".repeat(KID_BYTES_MAX)))])).is_ok());
    skipped(&json!({ "kty": "oct", "k": "AAAA", "kid": "k" }), SkipReason::KeyType);
    skipped(&json!({ "kid": "k" }), SkipReason::KeyType);
}

#[test]
fn a_published_private_key_is_skipped() {
    let ec = Signer::new("ES256", "k");
    skipped(&with(&ec, "d", json!("AAAA")), SkipReason::Private);
    let rsa = Signer::new("RS256", "k");
    skipped(&with(&rsa, "p", json!("AAAA")), SkipReason::Private);
}

#[test]
fn weak_and_misshapen_numbers_are_skipped() {
    let rsa = Signer::new("RS256", "k");
    let modulus = |bytes: usize, low: u8| {
        let mut n = vec![0xc5; bytes];
        *n.last_mut().unwrap() = low;
        json!(b64(&n))
    };
    skipped(&with(&rsa, "n", modulus(128, 1)), SkipReason::Size);
    skipped(&with(&rsa, "n", modulus(255, 1)), SkipReason::Size);
    skipped(&with(&rsa, "n", modulus(1025, 1)), SkipReason::Size);
    skipped(&with(&rsa, "n", json!("")), SkipReason::Size);
    skipped(&with(&rsa, "n", modulus(256, 2)), SkipReason::Weak);
    skipped(&with(&rsa, "e", json!("AQ")), SkipReason::Weak);
    skipped(&with(&rsa, "e", json!("Ag")), SkipReason::Weak);
    skipped(&with(&rsa, "e", json!("AQAB=")), SkipReason::Encoding);
    skipped(&with(&rsa, "e", json!(65537)), SkipReason::Encoding);
    skipped(&with(&rsa, "e", json!(b64(&[1, 0, 0, 0, 1]))), SkipReason::Encoding);
    // 65537^128 has 2049 bits and the fingerprint of the flawed generator.
    let mut power = vec![0; 260];
    power[259] = 1;
    for _ in 0..128 {
        let shifted = [&power[2..], &[0, 0]].concat();
        let mut carry = 0;
        for (octet, add) in power.iter_mut().zip(shifted).rev() {
            let sum = u16::from(*octet) + u16::from(add) + carry;
            *octet = sum.to_be_bytes()[1];
            carry = sum >> 8;
        }
    }
    skipped(&with(&rsa, "n", json!(b64(&power))), SkipReason::Weak);
    let ec = Signer::new("ES256", "k");
    skipped(&with(&ec, "y", ec.jwk()["x"].clone()), SkipReason::Encoding);
    skipped(&with(&ec, "x", json!(b64(&[0; 31]))), SkipReason::Encoding);
    skipped(&with(&ec, "x", json!(b64(&[0; 33]))), SkipReason::Encoding);
    let ed = Signer::new("EdDSA", "k");
    skipped(&with(&ed, "x", json!(b64(&[1; 31]))), SkipReason::Encoding);
    skipped(&with(&ed, "x", json!(null)), SkipReason::Encoding);
}

#[test]
fn leading_zero_octets_of_rsa_numbers_do_not_count() {
    let rsa = Signer::new("RS256", "k");
    let n = BASE64URL_NOPAD.decode(rsa.jwk()["n"].as_str().unwrap().as_bytes()).unwrap();
    let padded = [vec![0; 2], n].concat();
    let set = parse(&json!([with(&rsa, "n", json!(b64(&padded)))])).unwrap();
    assert_eq!(set, parse(&json!([rsa.jwk()])).unwrap());
}

#[test]
fn what_is_no_key_set_is_an_error() {
    for document in [
        "",
        "null",
        "[]",
        "{}",
        r#"{"keys":{}}"#,
        r#"{"keys":[1]}"#,
        r#"{"keys":[]}x"#,
        r#"{"keys":[],"keys":[]}"#,
        "<html>",
        r#"{"kty":"OKP","crv":"Ed25519","x":"AA"}"#,
    ] {
        assert_eq!(KeySet::parse(document.as_bytes()), Err(KeySetError::Format), "{document}");
    }
    assert_eq!(parse(&json!([])), Err(KeySetError::Empty));
}

#[test]
fn size_and_number_of_keys_end_at_their_limits() {
    let key = Signer::new("EdDSA", "k").jwk();
    assert!(parse(&Value::Array(vec![key.clone(); KEYS_MAX])).is_ok());
    assert_eq!(parse(&Value::Array(vec![key.clone(); KEYS_MAX + 1])), Err(KeySetError::TooMany));

    let document = json!({ "keys": [key] }).to_string();
    let padded = |bytes: usize| format!("{document}{}", " ".repeat(bytes - document.len()));
    assert!(KeySet::parse(padded(KEY_SET_BYTES_MAX).as_bytes()).is_ok());
    let longer = padded(KEY_SET_BYTES_MAX + 1);
    assert_eq!(KeySet::parse(longer.as_bytes()), Err(KeySetError::TooLarge));
}

#[test]
fn sets_are_equal_by_their_usable_keys_in_any_order() {
    let (a, b) = (Signer::new("ES256", "a"), Signer::new("ES256", "b"));
    let both = parse(&json!([a.jwk(), b.jwk()])).unwrap();
    assert_eq!(both, parse(&json!([b.jwk(), { "kty": "oct" }, a.jwk()])).unwrap());
    assert_ne!(both, parse(&json!([a.jwk()])).unwrap());
    assert_ne!(both, parse(&json!([a.jwk(), with(&b, "kid", json!("c"))])).unwrap());
    let rsa = Signer::new("RS256", "r");
    assert_ne!(parse(&json!([rsa.jwk()])), parse(&json!([with(&rsa, "alg", json!("PS256"))])));
}

#[test]
fn a_key_is_chosen_by_kid_or_by_algorithm() {
    let message = b"message";
    let (a, b) = (Signer::new("ES256", "a"), Signer::new("ES256", "b"));
    let set = parse(&json!([a.jwk(), b.jwk()])).unwrap();
    let by_b = b.signature(message);
    let verify = |kid, algorithm, signature| set.verify(kid, algorithm, message, signature);

    assert_eq!(verify(Some("b"), Algorithm::Es256, &by_b), Ok(()));
    assert_eq!(verify(None, Algorithm::Es256, &by_b), Ok(()));
    assert_eq!(verify(Some("a"), Algorithm::Es256, &by_b), Err(Unverified::Signature));
    assert_eq!(verify(Some("c"), Algorithm::Es256, &by_b), Err(Unverified::UnknownKey));
    assert_eq!(verify(Some("b"), Algorithm::Es384, &by_b), Err(Unverified::KeyMismatch));
    assert_eq!(verify(None, Algorithm::Es384, &by_b), Err(Unverified::UnknownKey));
    assert_eq!(verify(None, Algorithm::Es256, &[0; 64]), Err(Unverified::Signature));
}

#[test]
fn a_key_without_a_name_answers_to_every_name_that_no_key_has() {
    let message = b"message";
    let key = Signer::new("EdDSA", "ignored");
    let set = parse(&json!([key.bare_jwk()])).unwrap();
    let signature = key.signature(message);
    assert_eq!(set.verify(Some("any"), Algorithm::EdDsa, message, &signature), Ok(()));
    let wrong = set.verify(Some("any"), Algorithm::EdDsa, message, &[0; 64]);
    assert_eq!(wrong, Err(Unverified::UnknownKey), "a key of that name may yet come");
}

#[test]
fn a_named_key_is_found_behind_many_without_a_name() {
    let message = b"message";
    let named = Signer::new("EdDSA", "named");
    let mut keys: Vec<_> =
        (0..=TRIES_MAX).map(|_| Signer::new("EdDSA", "ignored").bare_jwk()).collect();
    keys.push(named.jwk());
    let set = parse(&Value::Array(keys)).unwrap();
    let signature = named.signature(message);
    assert_eq!(set.verify(Some("named"), Algorithm::EdDsa, message, &signature), Ok(()));
}

#[test]
fn a_token_without_a_name_is_tried_on_a_few_keys_only() {
    let message = b"message";
    let mut signers: Vec<_> =
        (0..=TRIES_MAX).map(|index| Signer::new("EdDSA", &format!("k{index}"))).collect();
    signers.sort_by(|a, b| a.kid.cmp(&b.kid));
    let set = KeySet::parse(jwks(&signers.iter().collect::<Vec<_>>()).as_bytes()).unwrap();
    let verify = |place: usize| {
        set.verify(None, Algorithm::EdDsa, message, &signers[place].signature(message))
    };
    assert_eq!(verify(TRIES_MAX - 1), Ok(()));
    assert_eq!(verify(TRIES_MAX), Err(Unverified::Signature));
}
