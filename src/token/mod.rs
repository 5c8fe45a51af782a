//! Decides who calls: bearer token in, identity out.
//!
//! The pure part (`jwt`, `claims`, `key_set`) verifies by RFC 7515, 7519 and 8725; the carrying part
//! keeps verified tokens (`cache`) and fetches keys (`jwks`).

use std::sync::Arc;
use std::time::Duration;

use crate::clock::UnixSeconds;
use crate::iam::Identity;

mod algorithm;
mod cache;
pub(crate) mod claims;
mod error;
mod json;
pub mod jwks;
pub(crate) mod jwt;
mod key_set;
mod key_sets;
mod roca;
mod session_claims;

#[cfg(test)]
#[path = "../../tests/token_mint/mod.rs"]
pub(crate) mod token_mint;

pub use algorithm::{Algorithm, UnknownAlgorithm};
pub use cache::{Verifier, WorkerVerifier};
pub use error::TokenError;
pub use jwks::{JwksHandle, JwksRefresher};
pub use jwt::{AUDIENCES_MAX, TOKEN_BYTES_MAX};
pub use key_set::{KEY_SET_BYTES_MAX, KEYS_MAX, KeySet, KeySetError, SkipReason, SkippedKey};
pub use key_sets::{IssuerKeys, KeySets};
pub(crate) use session_claims::are_of_session;
pub use session_claims::{session_arn, session_claims};

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
    /// `OpenID` Connect discovery at `<issuer>/.well-known/openid-configuration`.
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
    /// The claims of crossgate's own session tokens.
    Session,
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

/// Verifies a token without a cache: one signature check and its parsing.
///
/// # Errors
/// Whatever is wrong with the token. [`TokenError::KeysUnavailable`] is not the client's fault,
/// and after [`TokenError::UnknownKey`] a fetch of the issuer's keys may help.
pub fn verify(token: &str, key_sets: &KeySets, now: UnixSeconds) -> Result<Identity, TokenError> {
    verify_by_issuer(token, key_sets, now).map(|verified| verified.identity)
}

/// A verified token's identity and whose keys verified it.
pub(crate) struct Verified<'k> {
    pub(crate) identity: Identity,
    pub(crate) place: usize,
    pub(crate) issuer: &'k Arc<IssuerKeys>,
}

pub(crate) fn verify_by_issuer<'k>(
    token: &str,
    key_sets: &'k KeySets,
    now: UnixSeconds,
) -> Result<Verified<'k>, TokenError> {
    let jws = jwt::Jws::parse(token)?;
    let members = jws.claims()?;
    // The issuer's name is not trusted here; it only chooses whose keys must verify it.
    let name = jwt::string(&members, "iss")?.ok_or(TokenError::MissingClaim { claim: "iss" })?;
    let (place, issuer) = key_sets.place(name).ok_or(TokenError::Issuer)?;
    let spec = issuer.spec();
    if !spec.algorithms.contains(&jws.algorithm()) {
        return Err(TokenError::Algorithm);
    }
    let keys = issuer.keys().ok_or(TokenError::KeysUnavailable)?;
    jws.verify(keys).map_err(|reason| reason.of_issuer(issuer.issuer()))?;
    let claims = jwt::Claims::check(members, jwt::Expected::of(spec), now)?;
    let identity = claims::identity(&claims, spec)?;
    Ok(Verified { identity, place, issuer })
}
