//! Decides who calls: bearer token in, identity out.
//!
//! The pure part (`jwt`, `claims`, `key_set`) verifies by RFC 7515, 7519 and 8725; the carrying part
//! keeps verified tokens (`cache`) and fetches keys (`jwks`).

use std::sync::Arc;
use std::time::Duration;

use crate::clock::UnixSeconds;
use crate::iam::Identity;

/// One trusted issuer, as configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuerSpec {
    /// The exact `iss` of its tokens.
    pub issuer: Box<str>,
    /// Accepted `aud` values, any of them; empty accepts tokens without checking `aud`.
    pub audiences: Vec<Box<str>>,
    /// Accepted algorithms; never empty, never symmetric, never none.
    pub algorithms: Vec<Algorithm>,
    /// Where its keys come from.
    pub jwks: JwksSource,
    /// Clock skew that `exp` and `nbf` forgive.
    pub leeway: Duration,
    /// How claims become an identity.
    pub claims: ClaimsMapping,
}

/// A JWS signature algorithm (RFC 7518 section 3.1, RFC 8037).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each is the registered name")]
pub enum Algorithm {
    Rs256,
    Rs384,
    Rs512,
    Ps256,
    Ps384,
    Ps512,
    Es256,
    Es384,
    Es512,
    EdDsa,
}

/// Where an issuer's keys come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JwksSource {
    /// The place.
    pub location: JwksLocation,
    /// How often a URL is read again.
    pub refresh: Duration,
    /// The least time between two fetches that unknown `kid`s cause.
    pub unknown_kid_interval: Duration,
    /// How long one fetch may take.
    pub timeout: Duration,
}

/// The place of a key set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JwksLocation {
    /// A file, watched.
    File(std::path::PathBuf),
    /// A URL; https, or http where the configuration allows it.
    Url(Box<str>),
    /// OpenID Connect discovery at `<issuer>/.well-known/openid-configuration`.
    Discovery {
        /// Whether http to other than loopback is allowed.
        allow_http: bool,
    },
}

/// How claims become an identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClaimsMapping {
    /// The claims of IBM Cloud IAM access tokens.
    Ibm,
    /// JSON pointers.
    Pointers(PointerMapping),
}

/// A claims mapping by JSON pointers (RFC 6901).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PointerMapping {
    /// Pointer to the caller account.
    pub account: Box<str>,
    /// Pointer to the identity type's claim; absent: all are users.
    pub identity_type: Option<Box<str>>,
    /// Claim values that are not users.
    pub identity_types: Vec<(Box<str>, crate::iam::IdentityType)>,
    /// Template of the principal, with `{account}` and `{sub}` or other top-level claims.
    pub principal: Box<str>,
    /// Pointer to an object of session tags.
    pub session_tags: Option<Box<str>>,
    /// Pointer to `true` or an array of methods.
    pub mfa: Option<Box<str>>,
}

/// The keys in force, by issuer. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct KeySets {}

/// Why a token is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// The token's time is over.
    #[error("the token has expired")]
    Expired,
    /// No key of the issuer has this `kid`; a fetch may bring it.
    #[error("the token's key is unknown")]
    UnknownKey {
        /// The issuer whose keys were searched.
        issuer: Arc<str>,
    },
    /// The issuer's keys were never loaded.
    #[error("the issuer's keys are not available yet")]
    KeysUnavailable,
}

/// Verifies a token without a cache.
pub fn verify(
    _token: &str,
    _key_sets: &KeySets,
    _now: UnixSeconds,
) -> Result<Identity, TokenError> {
    Err(TokenError::KeysUnavailable)
}
