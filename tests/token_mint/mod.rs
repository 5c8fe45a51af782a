//! Mints real keys and tokens for tests and benchmarks.

use std::sync::OnceLock;

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{self as sig, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RsaKeyPair};
use data_encoding::BASE64URL_NOPAD;
use serde_json::{Value, json};

pub(crate) const ALGORITHMS: [&str; 10] =
    ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"];

/// A private key with its name and algorithm.
pub(crate) struct Signer {
    pub(crate) kid: String,
    pub(crate) algorithm: &'static str,
    key: Key,
}

enum Key {
    Rsa(RsaKeyPair),
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
}

impl Signer {
    pub(crate) fn new(algorithm: &'static str, kid: &str) -> Self {
        let key = match algorithm {
            "ES256" => ec(&sig::ECDSA_P256_SHA256_FIXED_SIGNING),
            "ES384" => ec(&sig::ECDSA_P384_SHA384_FIXED_SIGNING),
            "ES512" => ec(&sig::ECDSA_P521_SHA512_FIXED_SIGNING),
            "EdDSA" => Key::Ed(Ed25519KeyPair::generate().unwrap()),
            _ => Key::Rsa(RsaKeyPair::from_pkcs8(rsa_key()).unwrap()),
        };
        Self { kid: kid.to_owned(), algorithm, key }
    }

    /// The public key as a JWK, bound to its algorithm.
    pub(crate) fn jwk(&self) -> Value {
        let mut jwk = self.bare_jwk();
        jwk["kid"] = json!(self.kid);
        jwk["alg"] = json!(self.algorithm);
        jwk["use"] = json!("sig");
        jwk
    }

    /// The public key's numbers alone.
    pub(crate) fn bare_jwk(&self) -> Value {
        match &self.key {
            Key::Rsa(key) => {
                let (sequence, _) = der(key.public_key().as_ref());
                let (n, rest) = der(sequence);
                let (e, _) = der(rest);
                let n = n.strip_prefix(&[0]).unwrap_or(n);
                json!({ "kty": "RSA", "n": b64(n), "e": b64(e) })
            }
            Key::Ec(key) => {
                let point = &key.public_key().as_ref()[1..];
                let (x, y) = point.split_at(point.len() / 2);
                let crv = match self.algorithm {
                    "ES256" => "P-256",
                    "ES384" => "P-384",
                    _ => "P-521",
                };
                json!({ "kty": "EC", "crv": crv, "x": b64(x), "y": b64(y) })
            }
            Key::Ed(key) => {
                json!({ "kty": "OKP", "crv": "Ed25519", "x": b64(key.public_key().as_ref()) })
            }
        }
    }

    pub(crate) fn header(&self) -> Value {
        json!({ "alg": self.algorithm, "kid": self.kid, "typ": "JWT" })
    }

    /// A token with this key's own header.
    pub(crate) fn token(&self, claims: &Value) -> String {
        self.sign(&self.header().to_string(), claims.to_string().as_bytes())
    }

    /// A token of any header and payload, signed as the key's algorithm signs.
    pub(crate) fn sign(&self, header: &str, payload: &[u8]) -> String {
        let signed = format!("{}.{}", b64(header.as_bytes()), b64(payload));
        let signature = self.signature(signed.as_bytes());
        format!("{signed}.{}", b64(&signature))
    }

    pub(crate) fn signature(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match &self.key {
            Key::Rsa(key) => {
                let padding: &dyn sig::RsaEncoding = match self.algorithm {
                    "RS256" => &sig::RSA_PKCS1_SHA256,
                    "RS384" => &sig::RSA_PKCS1_SHA384,
                    "RS512" => &sig::RSA_PKCS1_SHA512,
                    "PS256" => &sig::RSA_PSS_SHA256,
                    "PS384" => &sig::RSA_PSS_SHA384,
                    _ => &sig::RSA_PSS_SHA512,
                };
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(padding, &random, message, &mut signature).unwrap();
                signature
            }
            Key::Ec(key) => key.sign(&random, message).unwrap().as_ref().to_vec(),
            Key::Ed(key) => key.sign(message).as_ref().to_vec(),
        }
    }
}

fn ec(algorithm: &'static sig::EcdsaSigningAlgorithm) -> Key {
    Key::Ec(EcdsaKeyPair::generate(algorithm).unwrap())
}

/// One RSA key for the whole process: they take long to make.
fn rsa_key() -> &'static [u8] {
    static KEY: OnceLock<Vec<u8>> = OnceLock::new();
    KEY.get_or_init(|| {
        let key = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        AsDer::<aws_lc_rs::encoding::Pkcs8V1Der<'_>>::as_der(&key).unwrap().as_ref().to_vec()
    })
}

/// The content of the first DER element and what comes after it.
fn der(bytes: &[u8]) -> (&[u8], &[u8]) {
    let short = usize::from(bytes[1]);
    let (start, length) = if short < 0x80 {
        (2, short)
    } else {
        let long = &bytes[2..2 + (short & 0x7f)];
        (2 + long.len(), long.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)))
    };
    bytes[start..].split_at(length)
}

/// A JWK Set of these keys.
pub(crate) fn jwks(signers: &[&Signer]) -> String {
    json!({ "keys": signers.iter().map(|signer| signer.jwk()).collect::<Vec<_>>() }).to_string()
}

pub(crate) fn b64(bytes: &[u8]) -> String {
    BASE64URL_NOPAD.encode(bytes)
}
