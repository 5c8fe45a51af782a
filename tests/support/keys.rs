//! Signing keys of an identity provider, and tokens with any header and payload.

use std::sync::{Arc, OnceLock};

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256,
    RsaKeyPair,
};
use data_encoding::{BASE64, BASE64URL_NOPAD};
use serde_json::{Value, json};

/// A key pair with the name it is published under.
#[derive(Clone)]
pub struct Key {
    pub kid: String,
    pair: Pair,
}

#[derive(Clone)]
enum Pair {
    Ecdsa(Arc<EcdsaKeyPair>),
    Eddsa(Arc<Ed25519KeyPair>),
    Rsa(Arc<RsaKeyPair>),
}

impl Key {
    /// The RSA key of this process: making one takes long.
    pub fn rs256(kid: &str) -> Self {
        static SHARED: OnceLock<Arc<RsaKeyPair>> = OnceLock::new();
        let pair = SHARED.get_or_init(|| Arc::new(RsaKeyPair::generate(KeySize::Rsa2048).unwrap()));
        Self { kid: kid.to_owned(), pair: Pair::Rsa(Arc::clone(pair)) }
    }

    /// A new P-256 key.
    pub fn es256(kid: &str) -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        Self { kid: kid.to_owned(), pair: Pair::Ecdsa(Arc::new(pair)) }
    }

    /// A new Ed25519 key.
    pub fn eddsa(kid: &str) -> Self {
        let pair = Ed25519KeyPair::generate().unwrap();
        Self { kid: kid.to_owned(), pair: Pair::Eddsa(Arc::new(pair)) }
    }

    /// The algorithm's registered name.
    pub fn algorithm(&self) -> &'static str {
        match self.pair {
            Pair::Ecdsa(_) => "ES256",
            Pair::Eddsa(_) => "EdDSA",
            Pair::Rsa(_) => "RS256",
        }
    }

    /// The public key as a member of a key set.
    pub fn jwk(&self) -> Value {
        let mut jwk = match &self.pair {
            Pair::Ecdsa(pair) => {
                // Uncompressed point: 4, x, y.
                let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
                json!({"kty": "EC", "crv": "P-256", "x": encode(x), "y": encode(y)})
            }
            Pair::Eddsa(pair) => {
                json!({"kty": "OKP", "crv": "Ed25519", "x": encode(pair.public_key().as_ref())})
            }
            Pair::Rsa(pair) => {
                let (n, e) = rsa_numbers(pair.public_key().as_ref());
                json!({"kty": "RSA", "n": encode(&n), "e": encode(&e)})
            }
        };
        jwk["kid"] = json!(self.kid);
        jwk["alg"] = json!(self.algorithm());
        jwk["use"] = json!("sig");
        jwk
    }

    /// The header of an ordinary token of this key.
    pub fn header(&self) -> Value {
        json!({"alg": self.algorithm(), "kid": self.kid, "typ": "JWT"})
    }

    /// An ordinary token.
    pub fn token(&self, claims: &Value) -> String {
        self.token_with(&self.header(), claims)
    }

    /// A token with any header, signed by this key whatever the header says.
    pub fn token_with(&self, header: &Value, claims: &Value) -> String {
        self.token_of(&header.to_string(), claims.to_string().as_bytes())
    }

    /// A token of any two byte strings.
    pub fn token_of(&self, header: &str, payload: &[u8]) -> String {
        let signed = format!("{}.{}", encode(header.as_bytes()), encode(payload));
        let signature = self.sign(signed.as_bytes());
        format!("{signed}.{}", encode(&signature))
    }

    /// A token whose HMAC secret is this public key, in each form that a confused verifier may
    /// take for the secret.
    pub fn hs256_tokens(&self, claims: &Value) -> Vec<String> {
        let Pair::Rsa(pair) = &self.pair else { panic!("only RSA keys are confused so") };
        let spki: PublicKeyX509Der<'_> = pair.public_key().as_der().unwrap();
        let pem = format!(
            "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
            BASE64.encode(spki.as_ref())
        );
        let (modulus, _) = rsa_numbers(pair.public_key().as_ref());
        let header = json!({"alg": "HS256", "kid": self.kid, "typ": "JWT"}).to_string();
        let signed =
            format!("{}.{}", encode(header.as_bytes()), encode(claims.to_string().as_bytes()));
        [spki.as_ref().to_vec(), pem.into_bytes(), modulus, self.jwk().to_string().into_bytes()]
            .iter()
            .map(|secret| {
                let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
                format!("{signed}.{}", encode(hmac::sign(&key, signed.as_bytes()).as_ref()))
            })
            .collect()
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match &self.pair {
            Pair::Ecdsa(pair) => pair.sign(&random, message).unwrap().as_ref().to_vec(),
            Pair::Eddsa(pair) => Ed25519KeyPair::sign(pair, message).as_ref().to_vec(),
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).unwrap();
                signature
            }
        }
    }
}

/// A key set document.
pub fn key_set<'a>(keys: impl IntoIterator<Item = &'a Key>) -> Value {
    json!({"keys": keys.into_iter().map(Key::jwk).collect::<Vec<_>>()})
}

/// Base64url without padding.
pub fn encode(bytes: &[u8]) -> String {
    BASE64URL_NOPAD.encode(bytes)
}

/// Modulus and exponent of a PKCS #1 public key: a sequence of two integers.
fn rsa_numbers(der: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let (sequence, _) = der_value(der);
    let (modulus, rest) = der_value(sequence);
    let (exponent, _) = der_value(rest);
    let unsigned = |integer: &[u8]| integer.iter().copied().skip_while(|byte| *byte == 0).collect();
    (unsigned(modulus), unsigned(exponent))
}

/// The first value's content, and what follows it.
fn der_value(der: &[u8]) -> (&[u8], &[u8]) {
    let (length, start) = match der[1] {
        short @ 0..0x80 => (usize::from(short), 2),
        long => {
            let octets = usize::from(long & 0x7f);
            let length =
                der[2..2 + octets].iter().fold(0, |sum, byte| sum * 256 + usize::from(*byte));
            (length, 2 + octets)
        }
    };
    (&der[start..start + length], &der[start + length..])
}
