//! One private key: parsed once, it signs and tells its public half.
//!
//! Flows in: PKCS#8. Flows out: signatures, a JWK (RFC 7517), a name (RFC 7638). Does no I/O, and
//! shows nothing of the private half.

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{self as sig, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RsaKeyPair};
use data_encoding::{BASE64, BASE64URL_NOPAD};
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject;

use crate::token::{Algorithm, KeySet, KeySetError, SkipReason};

/// A private key that signs session tokens.
pub(super) struct SigningKey {
    kid: Box<str>,
    algorithm: Algorithm,
    pair: Pair,
    /// The header of its tokens, encoded, with the dot behind it.
    head: Box<str>,
    jwk: Box<str>,
}

enum Pair {
    Es256(EcdsaKeyPair),
    EdDsa(Ed25519KeyPair),
    Rs256(RsaKeyPair),
}

/// Why a text is no key to sign with. Tells nothing of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyProblem {
    /// Its key is encrypted.
    #[error("holds an encrypted key; hint: decrypt it with `openssl pkcs8 -in … -out …`")]
    Encrypted,
    /// It has no private key in PEM.
    #[error("holds no private key in PEM; hint: it begins with `-----BEGIN PRIVATE KEY-----`")]
    NoKey,
    /// Its key is in another form.
    #[error("holds a key in another form than PKCS#8; hint: `openssl pkcs8 -topk8 -nocrypt -in …`")]
    NotPkcs8,
    /// It has more than one key.
    #[error("holds more than one private key; hint: a file for each")]
    Several,
    /// Its key is of another type.
    #[error("holds no key for ES256 (P-256), EdDSA (Ed25519) or RS256 (RSA)")]
    Type,
    /// Its RSA key has a size that is not used.
    #[error("holds an RSA key that is not of 2048 to 8192 bits")]
    Size,
    /// Tokens by its key would not be accepted.
    #[error("holds a key that no token is accepted of: {0}")]
    Unaccepted(SkipReason),
}

impl SigningKey {
    /// Makes a key, and its text to keep.
    pub(super) fn generate(algorithm: Algorithm) -> Option<(Self, String)> {
        let made = match algorithm {
            Algorithm::Es256 => EcdsaKeyPair::generate(&sig::ECDSA_P256_SHA256_FIXED_SIGNING)
                .and_then(|pair| Ok((pem(pair.to_pkcs8v1()?.as_ref()), Pair::Es256(pair)))),
            Algorithm::EdDsa => Ed25519KeyPair::generate()
                .and_then(|pair| Ok((pem(pair.to_pkcs8v1()?.as_ref()), Pair::EdDsa(pair)))),
            // It lasts for `rotate`, and signs four times as fast as one of 3072 bits.
            Algorithm::Rs256 => RsaKeyPair::generate(KeySize::Rsa2048)
                .and_then(|pair| Ok((pem(pair.as_der()?.as_ref()), Pair::Rs256(pair)))),
            Algorithm::Rs384
            | Algorithm::Rs512
            | Algorithm::Ps256
            | Algorithm::Ps384
            | Algorithm::Ps512
            | Algorithm::Es384
            | Algorithm::Es512 => return None,
        };
        made.ok().map(|(text, pair)| (Self::new(pair), text))
    }

    /// Parses a PEM text with one PKCS#8 private key.
    pub(super) fn parse(text: &[u8]) -> Result<Self, KeyProblem> {
        let mut keys = PrivateKeyDer::pem_slice_iter(text);
        let pkcs8 = match keys.next() {
            Some(Ok(PrivateKeyDer::Pkcs8(pkcs8))) => pkcs8,
            Some(Ok(_)) => return Err(KeyProblem::NotPkcs8),
            Some(Err(_)) | None => {
                let is_encrypted = memchr::memmem::find(text, ENCRYPTED.as_bytes()).is_some();
                return Err(if is_encrypted { KeyProblem::Encrypted } else { KeyProblem::NoKey });
            }
        };
        if keys.next().is_some() {
            return Err(KeyProblem::Several);
        }
        let key = Self::new(Pair::parse(pkcs8.secret_pkcs8_der())?);
        // What verifies tokens decides which keys are sound, for others would refuse them too.
        match KeySet::parse(format!("{{\"keys\":[{}]}}", key.jwk).as_bytes()) {
            Ok(_) => Ok(key),
            Err(KeySetError::Unusable { reason }) => Err(KeyProblem::Unaccepted(reason)),
            Err(_) => Err(KeyProblem::Type),
        }
    }

    fn new(pair: Pair) -> Self {
        let algorithm = pair.algorithm();
        let public = pair.public();
        let kid = BASE64URL_NOPAD.encode(digest(&SHA256, public.canonical().as_bytes()).as_ref());
        let header = format!("{{\"alg\":\"{algorithm}\",\"kid\":\"{kid}\",\"typ\":\"JWT\"}}");
        Self {
            head: format!("{}.", BASE64URL_NOPAD.encode(header.as_bytes())).into(),
            jwk: public.jwk(algorithm, &kid).into(),
            kid: kid.into(),
            algorithm,
            pair,
        }
    }

    /// Its name: the thumbprint of its public half (RFC 7638).
    pub(super) fn kid(&self) -> &str {
        &self.kid
    }

    pub(super) fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The public half as JSON.
    pub(super) fn jwk(&self) -> &str {
        &self.jwk
    }

    /// A compact JWS of a payload.
    pub(super) fn sign(&self, payload: &[u8]) -> Result<String, Unspecified> {
        let signature_bytes = match &self.pair {
            Pair::Es256(_) | Pair::EdDsa(_) => 64,
            Pair::Rs256(pair) => pair.public_modulus_len(),
        };
        let encoded = |bytes| BASE64URL_NOPAD.encode_len(bytes);
        let mut token = String::with_capacity(
            self.head.len() + encoded(payload.len()) + 1 + encoded(signature_bytes),
        );
        token.push_str(&self.head);
        BASE64URL_NOPAD.encode_append(payload, &mut token);
        match &self.pair {
            Pair::Es256(pair) => {
                let signature = pair.sign(&SystemRandom::new(), token.as_bytes())?;
                append(&mut token, signature.as_ref());
            }
            Pair::EdDsa(pair) => {
                let signature = pair.try_sign(token.as_bytes())?;
                append(&mut token, signature.as_ref());
            }
            Pair::Rs256(pair) => {
                let mut buffer = [0; RSA_BYTES_MAX];
                let signature = buffer.get_mut(..signature_bytes).ok_or(Unspecified)?;
                let random = SystemRandom::new();
                pair.sign(&sig::RSA_PKCS1_SHA256, &random, token.as_bytes(), signature)?;
                append(&mut token, signature);
            }
        }
        Ok(token)
    }
}

fn append(token: &mut String, signature: &[u8]) {
    token.push('.');
    BASE64URL_NOPAD.encode_append(signature, token);
}

/// By name: what was parsed twice is one key.
impl PartialEq for SigningKey {
    fn eq(&self, other: &Self) -> bool {
        self.kid == other.kid
    }
}

impl Eq for SigningKey {}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kid, algorithm, pair: _, head: _, jwk: _ } = self;
        f.debug_struct("SigningKey").field("kid", kid).field("algorithm", algorithm).finish()
    }
}

impl Pair {
    fn parse(pkcs8: &[u8]) -> Result<Self, KeyProblem> {
        if let Ok(pair) = EcdsaKeyPair::from_pkcs8(&sig::ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8) {
            return Ok(Self::Es256(pair));
        }
        if let Ok(pair) = Ed25519KeyPair::from_pkcs8(pkcs8) {
            return Ok(Self::EdDsa(pair));
        }
        RsaKeyPair::from_pkcs8(pkcs8).map(Self::Rs256).map_err(|rejected| {
            match rejected.description_() {
                "TooSmall" | "TooLarge" => KeyProblem::Size,
                _ => KeyProblem::Type,
            }
        })
    }

    fn algorithm(&self) -> Algorithm {
        match self {
            Self::Es256(_) => Algorithm::Es256,
            Self::EdDsa(_) => Algorithm::EdDsa,
            Self::Rs256(_) => Algorithm::Rs256,
        }
    }

    fn public(&self) -> Public {
        let encode = |number: &[u8]| BASE64URL_NOPAD.encode(number);
        match self {
            Self::Es256(pair) => {
                // A point that is not compressed: a mark, then both coordinates.
                let point = pair.public_key().as_ref().get(1..).unwrap_or_default();
                let (x, y) = point.split_at_checked(point.len() / 2).unwrap_or_default();
                Public::Ec { x: encode(x), y: encode(y) }
            }
            Self::EdDsa(pair) => Public::Okp { x: encode(pair.public_key().as_ref()) },
            Self::Rs256(pair) => {
                let public = pair.public_key();
                Public::Rsa {
                    n: encode(public.modulus().big_endian_without_leading_zero()),
                    e: encode(public.exponent().big_endian_without_leading_zero()),
                }
            }
        }
    }
}

/// A public half, its numbers encoded.
enum Public {
    Ec { x: String, y: String },
    Okp { x: String },
    Rsa { n: String, e: String },
}

impl Public {
    /// What the thumbprint is of: the members that make the key, in the order of their names.
    fn canonical(&self) -> String {
        match self {
            Self::Ec { x, y } => {
                format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#)
            }
            Self::Okp { x } => format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#),
            Self::Rsa { n, e } => format!(r#"{{"e":"{e}","kty":"RSA","n":"{n}"}}"#),
        }
    }

    fn jwk(&self, algorithm: Algorithm, kid: &str) -> String {
        let canonical = self.canonical();
        let members = canonical.trim_end_matches('}');
        format!(r#"{members},"alg":"{algorithm}","use":"sig","kid":"{kid}"}}"#)
    }
}

/// The text of a file (RFC 7468).
fn pem(pkcs8: &[u8]) -> String {
    let mut text = String::from("-----BEGIN PRIVATE KEY-----\n");
    for line in pkcs8.chunks(PEM_LINE_BYTES) {
        BASE64.encode_append(line, &mut text);
        text.push('\n');
    }
    text.push_str("-----END PRIVATE KEY-----\n");
    text
}

const ENCRYPTED: &str = "-----BEGIN ENCRYPTED PRIVATE KEY-----";

/// The signature of the largest RSA key.
const RSA_BYTES_MAX: usize = 1024;

/// 64 characters.
const PEM_LINE_BYTES: usize = 48;
