//! The keys of one issuer. In: a JWK Set (RFC 7517). Out: keys that are parsed, each bound to the
//! algorithms that it may verify. A key that can't be used is left out with its reason; it never
//! takes the others with it. Knows nothing of where the document came from.

use aws_lc_rs::signature::{self as sig, ParsedPublicKey, RsaPublicKeyComponents};
use data_encoding::BASE64URL_NOPAD;
use serde_json::{Map, Value};

use crate::token::{Algorithm, TokenError, json, roca};

/// The usable keys of one issuer; never empty.
#[derive(Debug)]
pub struct KeySet {
    /// In the order of `kid`, none last, then of the key itself: equal sets have equal vectors.
    keys: Vec<Key>,
    skipped: Vec<SkippedKey>,
}

/// Two sets are equal if tokens can't tell them apart; what was skipped does not count.
impl PartialEq for KeySet {
    fn eq(&self, other: &Self) -> bool {
        self.keys.iter().map(Key::identity).eq(other.keys.iter().map(Key::identity))
    }
}

impl Eq for KeySet {}

/// A key that was left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SkippedKey {
    /// Its place in the document, from 0.
    pub index: usize,
    /// Why.
    pub reason: SkipReason,
}

/// Why a key can't be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SkipReason {
    /// `alg` is unknown or not for this type of key.
    #[error("its `alg` does not fit")]
    Algorithm,
    /// The curve is not one of P-256, P-384, P-521, Ed25519.
    #[error("its `crv` is not known")]
    Curve,
    /// The numbers are missing, badly encoded, or no key of this type.
    #[error("it is not a public key of its type")]
    Encoding,
    /// `kty` is not one of RSA, EC, OKP; symmetric keys are never used.
    #[error("its `kty` is not for signatures by public keys")]
    KeyType,
    /// `kid` is no text or too long.
    #[error("its `kid` is not usable")]
    Kid,
    /// The key's private half is in the document, so anybody may have signed.
    #[error("its private half is published")]
    Private,
    /// An RSA modulus outside 2048 to 8192 bits.
    #[error("its size is not from {RSA_BITS_MIN} to {RSA_BITS_MAX} bits")]
    Size,
    /// `use` is not `sig`, or `key_ops` lacks `verify`.
    #[error("it is not for verifying signatures")]
    Use,
    /// A key that is known to be broken: a public exponent of 1, a ROCA modulus.
    #[error("it is a weak key")]
    Weak,
}

/// Why a document is no usable key set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeySetError {
    /// It has no keys at all.
    #[error("the key set is empty")]
    Empty,
    /// It is not a JSON object with an array `keys` of objects.
    #[error("this is not a JSON Web Key Set")]
    Format,
    /// It has too many keys.
    #[error("the key set has more than {KEYS_MAX} keys")]
    TooMany,
    /// It has too many bytes.
    #[error("the key set is longer than {KEY_SET_BYTES_MAX} bytes")]
    TooLarge,
    /// It has keys, but none that can be used.
    #[error("no key of the set can be used: the first, because {reason}")]
    Unusable {
        /// Why the first can't be.
        reason: SkipReason,
    },
}

impl KeySet {
    /// Parses a JWK Set.
    ///
    /// # Errors
    /// It is too large, no key set, or has no usable key.
    pub fn parse(document: &[u8]) -> Result<Self, KeySetError> {
        if KEY_SET_BYTES_MAX < document.len() {
            return Err(KeySetError::TooLarge);
        }
        let members = json::parse_object(document).map_err(|_| KeySetError::Format)?;
        let Some(Value::Array(jwks)) = members.get("keys") else {
            return Err(KeySetError::Format);
        };
        if KEYS_MAX < jwks.len() {
            return Err(KeySetError::TooMany);
        }
        let mut set = Self { keys: Vec::new(), skipped: Vec::new() };
        for (index, jwk) in jwks.iter().enumerate() {
            let Value::Object(jwk) = jwk else {
                return Err(KeySetError::Format);
            };
            match Key::parse(jwk) {
                Ok(key) => set.keys.push(key),
                Err(reason) => set.skipped.push(SkippedKey { index, reason }),
            }
        }
        // Named keys first: they are tried first too.
        let order = |key: &Key| key.kid.is_none();
        set.keys
            .sort_by(|a, b| order(a).cmp(&order(b)).then_with(|| a.identity().cmp(&b.identity())));
        match (set.keys.first(), set.skipped.first()) {
            (Some(_), _) => Ok(set),
            (None, Some(SkippedKey { reason, .. })) => {
                Err(KeySetError::Unusable { reason: *reason })
            }
            (None, None) => Err(KeySetError::Empty),
        }
    }

    /// How many keys can be used.
    pub fn usable(&self) -> usize {
        self.keys.len()
    }

    /// The keys that were left out.
    pub fn skipped(&self) -> &[SkippedKey] {
        &self.skipped
    }

    /// Whether `signature` over `message` is by one of the keys that `kid` selects.
    ///
    /// Keys without a `kid` answer to any; a token without one is tried on all that fit, up to
    /// `TRIES_MAX`. Costs one signature check per try; no key is parsed.
    pub(super) fn verify(
        &self,
        kid: Option<&str>,
        algorithm: Algorithm,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), Unverified> {
        let selected = || {
            self.keys.iter().filter(|key| match (kid, key.kid.as_deref()) {
                (Some(wanted), Some(own)) => wanted == own,
                (Some(_) | None, None) | (None, Some(_)) => true,
            })
        };
        let verified = selected()
            .filter_map(|key| key.verifier(algorithm))
            .take(TRIES_MAX)
            .any(|verifier| verifier.verify_sig(message, signature).is_ok());
        if verified {
            return Ok(());
        }
        let named = |key: &Key| kid.is_none() || key.kid.is_some();
        if !selected().any(named) {
            return Err(Unverified::UnknownKey);
        }
        if selected().any(|key| named(key) && key.verifier(algorithm).is_some()) {
            return Err(Unverified::Signature);
        }
        // A token that names no key may wait for one that fits; one that names a key may not.
        match kid {
            Some(_) => Err(Unverified::KeyMismatch),
            None => Err(Unverified::UnknownKey),
        }
    }
}

/// Why no key of a set verified a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unverified {
    KeyMismatch,
    Signature,
    UnknownKey,
}

impl Unverified {
    /// The error, where `issuer` is whose keys were asked.
    pub(crate) fn of_issuer(self, issuer: &std::sync::Arc<str>) -> TokenError {
        match self {
            Self::KeyMismatch => TokenError::KeyMismatch,
            Self::Signature => TokenError::Signature,
            Self::UnknownKey => TokenError::UnknownKey { issuer: std::sync::Arc::clone(issuer) },
        }
    }
}

/// One usable public key.
#[derive(Debug)]
struct Key {
    kid: Option<Box<str>>,
    /// Type, curve and numbers, for comparison.
    material: Vec<u8>,
    /// One parsed key for each algorithm that it may verify.
    verifiers: Vec<(Algorithm, ParsedPublicKey)>,
}

impl Key {
    fn parse(jwk: &Map<String, Value>) -> Result<Self, SkipReason> {
        let kid = match jwk.get("kid") {
            None => None,
            Some(Value::String(kid)) if kid.len() <= KID_BYTES_MAX => Some(kid.as_str().into()),
            Some(_) => return Err(SkipReason::Kid),
        };
        check_use(jwk)?;
        let kty = jwk.get("kty").and_then(Value::as_str).ok_or(SkipReason::KeyType)?;
        if kty != "oct"
            && ["d", "p", "q", "dp", "dq", "qi", "oth"].iter().any(|m| jwk.contains_key(*m))
        {
            return Err(SkipReason::Private);
        }
        let (material, verifiers) = match kty {
            "RSA" => rsa(jwk)?,
            "EC" => ec(jwk)?,
            "OKP" => okp(jwk)?,
            _ => return Err(SkipReason::KeyType),
        };
        Ok(Self { kid, material, verifiers })
    }

    fn verifier(&self, algorithm: Algorithm) -> Option<&ParsedPublicKey> {
        self.verifiers.iter().find(|(own, _)| *own == algorithm).map(|(_, key)| key)
    }

    /// What makes it this key: two keys with equal identities verify the same tokens.
    fn identity(&self) -> (Option<&str>, &[u8], Vec<Algorithm>) {
        let algorithms = self.verifiers.iter().map(|(algorithm, _)| *algorithm).collect();
        (self.kid.as_deref(), &self.material, algorithms)
    }
}

fn check_use(jwk: &Map<String, Value>) -> Result<(), SkipReason> {
    match jwk.get("use") {
        None => {}
        Some(Value::String(purpose)) if purpose == "sig" => {}
        Some(_) => return Err(SkipReason::Use),
    }
    match jwk.get("key_ops") {
        None => Ok(()),
        Some(Value::Array(operations)) if operations.iter().any(|op| op == "verify") => Ok(()),
        Some(_) => Err(SkipReason::Use),
    }
}

/// Of the algorithms that the type of key can do, those that this key says it is for.
fn own_algorithms(
    jwk: &Map<String, Value>,
    possible: &[Algorithm],
) -> Result<Vec<Algorithm>, SkipReason> {
    let Some(own) = jwk.get("alg") else {
        return Ok(possible.to_vec());
    };
    let own = match own.as_str() {
        // A common slip for ES512, whose curve has 521 bits; the curve still decides.
        Some("ES521") => Algorithm::Es512,
        Some(name) => name.parse().map_err(|_| SkipReason::Algorithm)?,
        None => return Err(SkipReason::Algorithm),
    };
    if possible.contains(&own) { Ok(vec![own]) } else { Err(SkipReason::Algorithm) }
}

fn number(jwk: &Map<String, Value>, member: &str) -> Result<Vec<u8>, SkipReason> {
    let text = jwk.get(member).and_then(Value::as_str).ok_or(SkipReason::Encoding)?;
    BASE64URL_NOPAD.decode(text.as_bytes()).map_err(|_| SkipReason::Encoding)
}

type Parsed = (Vec<u8>, Vec<(Algorithm, ParsedPublicKey)>);

fn rsa(jwk: &Map<String, Value>) -> Result<Parsed, SkipReason> {
    let algorithms = own_algorithms(jwk, &RSA_ALGORITHMS)?;
    let (n, e) = (number(jwk, "n")?, number(jwk, "e")?);
    // Some issuers write a leading zero octet; it does not change the number.
    let (n, e) = (without_leading_zeros(&n), without_leading_zeros(&e));
    let bits =
        n.first().map_or(0, |top| n.len() * 8 - usize::try_from(top.leading_zeros()).unwrap_or(8));
    if !(RSA_BITS_MIN..=RSA_BITS_MAX).contains(&bits) {
        return Err(SkipReason::Size);
    }
    let is_odd = |number: &[u8]| number.last().is_some_and(|low| low & 1 == 1);
    if !is_odd(n) || !is_odd(e) || e == [1] || roca::is_fingerprinted(n) {
        return Err(SkipReason::Weak);
    }
    // A longer exponent makes every check slower, and the library refuses it then.
    if RSA_EXPONENT_BYTES_MAX < e.len() {
        return Err(SkipReason::Encoding);
    }
    let components = RsaPublicKeyComponents { n, e };
    let verifiers = algorithms
        .into_iter()
        .map(|algorithm| {
            let parameters = rsa_parameters(algorithm).ok_or(SkipReason::Algorithm)?;
            let key = components.to_parsed_public_key(parameters);
            Ok((algorithm, key.map_err(|_| SkipReason::Encoding)?))
        })
        .collect::<Result<_, _>>()?;
    Ok(([b"RSA".as_slice(), n, b"/", e].concat(), verifiers))
}

fn without_leading_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|octet| **octet == 0).count();
    number.get(zeros..).unwrap_or_default()
}

fn rsa_parameters(algorithm: Algorithm) -> Option<&'static sig::RsaParameters> {
    match algorithm {
        Algorithm::Rs256 => Some(&sig::RSA_PKCS1_2048_8192_SHA256),
        Algorithm::Rs384 => Some(&sig::RSA_PKCS1_2048_8192_SHA384),
        Algorithm::Rs512 => Some(&sig::RSA_PKCS1_2048_8192_SHA512),
        Algorithm::Ps256 => Some(&sig::RSA_PSS_2048_8192_SHA256),
        Algorithm::Ps384 => Some(&sig::RSA_PSS_2048_8192_SHA384),
        Algorithm::Ps512 => Some(&sig::RSA_PSS_2048_8192_SHA512),
        Algorithm::Es256 | Algorithm::Es384 | Algorithm::Es512 | Algorithm::EdDsa => None,
    }
}

fn ec(jwk: &Map<String, Value>) -> Result<Parsed, SkipReason> {
    let curve = jwk.get("crv").and_then(Value::as_str);
    let (algorithm, parameters, coordinate_bytes) = match curve {
        Some("P-256") => (Algorithm::Es256, &sig::ECDSA_P256_SHA256_FIXED, 32),
        Some("P-384") => (Algorithm::Es384, &sig::ECDSA_P384_SHA384_FIXED, 48),
        Some("P-521") => (Algorithm::Es512, &sig::ECDSA_P521_SHA512_FIXED, 66),
        Some(_) | None => return Err(SkipReason::Curve),
    };
    own_algorithms(jwk, &[algorithm])?;
    let (x, y) = (number(jwk, "x")?, number(jwk, "y")?);
    if x.len() != coordinate_bytes || y.len() != coordinate_bytes {
        return Err(SkipReason::Encoding);
    }
    let point = [b"\x04".as_slice(), &x, &y].concat();
    let key = ParsedPublicKey::new(parameters, &point).map_err(|_| SkipReason::Encoding)?;
    Ok(([b"EC".as_slice(), &point].concat(), vec![(algorithm, key)]))
}

fn okp(jwk: &Map<String, Value>) -> Result<Parsed, SkipReason> {
    match jwk.get("crv").and_then(Value::as_str) {
        Some("Ed25519") => {}
        Some(_) | None => return Err(SkipReason::Curve),
    }
    own_algorithms(jwk, &[Algorithm::EdDsa])?;
    let x = number(jwk, "x")?;
    if x.len() != sig::ED25519_PUBLIC_KEY_LEN {
        return Err(SkipReason::Encoding);
    }
    let key = ParsedPublicKey::new(&sig::ED25519, &x).map_err(|_| SkipReason::Encoding)?;
    Ok(([b"OKP".as_slice(), &x].concat(), vec![(Algorithm::EdDsa, key)]))
}

/// A key set of 256 keys with certificate chains is far smaller.
pub const KEY_SET_BYTES_MAX: usize = 1024 * 1024;

/// The most keys in a set; issuers publish two or three.
pub const KEYS_MAX: usize = 256;

/// The longest `kid`; thumbprints have 43 characters.
pub(super) const KID_BYTES_MAX: usize = 256;

/// The most keys that one token is tried on: an RSA check costs about 16 µs.
const TRIES_MAX: usize = 8;

const RSA_BITS_MIN: usize = 2048;
const RSA_BITS_MAX: usize = 8192;

/// 65537 has three.
const RSA_EXPONENT_BYTES_MAX: usize = 4;

const RSA_ALGORITHMS: [Algorithm; 6] = [
    Algorithm::Rs256,
    Algorithm::Rs384,
    Algorithm::Rs512,
    Algorithm::Ps256,
    Algorithm::Ps384,
    Algorithm::Ps512,
];

#[cfg(test)]
mod tests;
