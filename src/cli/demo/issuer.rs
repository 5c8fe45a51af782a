//! The demo's identity provider: one key, its public half as a key set, tokens.
//!
//! Flows in: claims. Flows out: signed tokens. The private key lives in memory alone.

use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use data_encoding::BASE64URL_NOPAD;
use serde_json::{Value, json};

/// Signs tokens with a key of its own.
pub(super) struct Issuer {
    key: EcdsaKeyPair,
    random: SystemRandom,
}

impl Issuer {
    /// An issuer with a new key.
    pub(super) fn new() -> Result<Self, Unspecified> {
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)?;
        Ok(Self { key, random: SystemRandom::new() })
    }

    /// The public key, as a JSON Web Key Set.
    pub(super) fn key_set(&self) -> Value {
        // An uncompressed point: 4, x, y.
        let point = self.key.public_key().as_ref().get(1..).unwrap_or_default();
        let (x, y) = point.split_at(point.len() / 2);
        json!({ "keys": [{
            "kty": "EC",
            "crv": "P-256",
            "x": BASE64URL_NOPAD.encode(x),
            "y": BASE64URL_NOPAD.encode(y),
            "kid": KEY_ID,
            "alg": "ES256",
            "use": "sig",
        }] })
    }

    /// A token of these claims.
    pub(super) fn token(&self, claims: &Value) -> Result<String, Unspecified> {
        let header = json!({ "alg": "ES256", "kid": KEY_ID, "typ": "JWT" });
        let part = |value: &Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
        let signed = format!("{}.{}", part(&header), part(claims));
        let signature = self.key.sign(&self.random, signed.as_bytes())?;
        Ok(format!("{signed}.{}", BASE64URL_NOPAD.encode(signature.as_ref())))
    }
}

const KEY_ID: &str = "demo";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::KeySet;
    use crate::token::jwt::Jws;

    #[test]
    fn its_tokens_verify_with_its_keys_and_no_others() {
        let issuer = Issuer::new().unwrap();
        let token = issuer.token(&json!({ "iss": "x" })).unwrap();
        let keys = |issuer: &Issuer| KeySet::parse(issuer.key_set().to_string().as_bytes());
        let jws = Jws::parse(&token).unwrap();
        assert!(jws.verify(&keys(&issuer).unwrap()).is_ok());
        assert!(jws.verify(&keys(&Issuer::new().unwrap()).unwrap()).is_err());
    }
}
