//! Verifies a JWT (RFC 7515, 7519, 8725). In: token, the issuer's keys, the time. Out: claims that
//! the issuer has signed and that count now. Reads no clock, fetches nothing, and takes no key, no
//! URL and no choice of verifier from the token.
//!
//! Of what a header may say about keys, `jwk`, `jku` and `x5u` are refused on sight, since they
//! only make sense to a verifier that trusts the token about its own key. `x5c`, `x5t` and the like
//! are common, name no place, and are left unread (RFC 8725 sections 3.1 and 3.10).

use data_encoding::BASE64URL_NOPAD;
use serde_json::{Map, Value};

use crate::clock::UnixSeconds;
use crate::token::key_set::{KID_BYTES_MAX, Unverified};
use crate::token::{Algorithm, IssuerSpec, KeySet, TokenError, json};

/// A token taken apart; nothing of it is trusted yet.
pub(crate) struct Jws<'t> {
    pub(crate) header: Map<String, Value>,
    algorithm: Algorithm,
    /// What the signature is over: header and payload as they came.
    signed: &'t [u8],
    payload: Vec<u8>,
    signature: Vec<u8>,
}

/// The claims of a token with their times read.
pub(crate) struct Claims {
    pub(crate) members: Map<String, Value>,
    pub(crate) expires_at: UnixSeconds,
    pub(crate) not_before: Option<UnixSeconds>,
}

/// What a token's claims must say.
#[derive(Clone, Copy)]
pub(crate) struct Expected<'e> {
    pub(crate) issuer: Option<&'e str>,
    /// Any of them; empty: anything.
    pub(crate) audiences: &'e [Box<str>],
    pub(crate) leeway: std::time::Duration,
}

impl<'e> Expected<'e> {
    pub(crate) fn of(spec: &'e IssuerSpec) -> Self {
        Self { issuer: Some(&spec.issuer), audiences: &spec.audiences, leeway: spec.leeway }
    }
}

impl<'t> Jws<'t> {
    /// Takes a compact JWS apart and checks its header.
    pub(crate) fn parse(token: &'t str) -> Result<Self, TokenError> {
        if TOKEN_BYTES_MAX < token.len() {
            return Err(TokenError::TooLarge);
        }
        let malformed = |part| TokenError::Malformed { part };
        // Four pieces at most, however many dots there are.
        let mut segments = token.splitn(4, '.');
        let (Some(header), Some(payload), Some(signature), None) =
            (segments.next(), segments.next(), segments.next(), segments.next())
        else {
            return Err(malformed("a token has three parts"));
        };
        let signed_bytes = header.len() + 1 + payload.len();
        let signed = token.as_bytes().get(..signed_bytes).unwrap_or_default();
        let decode = |segment: &str| BASE64URL_NOPAD.decode(segment.as_bytes());
        let header = decode(header).map_err(|_| malformed("header encoding"))?;
        let header = json::parse_object(&header).map_err(|_| malformed("header"))?;
        let algorithm = check_header(&header)?;
        let payload = decode(payload).map_err(|_| malformed("payload encoding"))?;
        let signature = decode(signature).map_err(|_| malformed("signature encoding"))?;
        Ok(Self { header, algorithm, signed, payload, signature })
    }

    /// Whether one of the keys signed it with an allowed algorithm.
    pub(crate) fn verify(&self, keys: &KeySet) -> Result<(), Unverified> {
        let kid = self.header.get("kid").and_then(Value::as_str);
        keys.verify(kid, self.algorithm, self.signed, &self.signature)
    }

    /// The algorithm that the header names.
    pub(crate) fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The payload as claims, unverified.
    pub(crate) fn claims(&self) -> Result<Map<String, Value>, TokenError> {
        json::parse_object(&self.payload).map_err(|_| TokenError::Malformed { part: "payload" })
    }
}

/// Checks the members that change what a signature means, and reads the algorithm.
fn check_header(header: &Map<String, Value>) -> Result<Algorithm, TokenError> {
    if let Some(member) = REFUSED_MEMBERS.into_iter().find(|member| header.contains_key(*member)) {
        return Err(TokenError::Header { member });
    }
    let malformed = |part| Err(TokenError::Malformed { part });
    match header.get("kid") {
        None => {}
        Some(Value::String(kid)) if kid.len() <= KID_BYTES_MAX => {}
        Some(_) => return malformed("header `kid`"),
    }
    match header.get("typ") {
        None | Some(Value::String(_)) => {}
        Some(_) => return malformed("header `typ`"),
    }
    match header.get("alg") {
        Some(Value::String(name)) => name.parse().map_err(|_| TokenError::Algorithm),
        Some(_) | None => malformed("header `alg`"),
    }
}

impl Claims {
    /// Checks claims against what is expected of them at a time.
    pub(crate) fn check(
        members: Map<String, Value>,
        expected: Expected<'_>,
        now: UnixSeconds,
    ) -> Result<Self, TokenError> {
        let issuer = string(&members, "iss")?;
        if expected.issuer.is_some_and(|wanted| issuer != Some(wanted)) {
            return Err(TokenError::Issuer);
        }
        let audiences = audiences(&members)?;
        let wanted = expected.audiences;
        if !wanted.is_empty() && !wanted.iter().any(|own| audiences.contains(&&**own)) {
            return Err(TokenError::Audience);
        }
        // Fractions are cut so that the token counts for less time, never for more.
        let expires_at = time(&members, "exp", Rounding::Earlier)?
            .ok_or(TokenError::MissingClaim { claim: "exp" })?;
        let not_before = time(&members, "nbf", Rounding::Later)?;
        time(&members, "iat", Rounding::Earlier)?;
        if expires_at.plus(expected.leeway) <= now {
            return Err(TokenError::Expired);
        }
        if not_before.is_some_and(|start| now < start.minus(expected.leeway)) {
            return Err(TokenError::NotYetValid);
        }
        Ok(Self { members, expires_at, not_before })
    }
}

/// A claim that is text where it is there.
pub(crate) fn string<'c>(
    members: &'c Map<String, Value>,
    claim: &'static str,
) -> Result<Option<&'c str>, TokenError> {
    match members.get(claim) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(TokenError::InvalidClaim { claim }),
    }
}

fn audiences(members: &Map<String, Value>) -> Result<Vec<&str>, TokenError> {
    let invalid = TokenError::InvalidClaim { claim: "aud" };
    match members.get("aud") {
        None => Ok(Vec::new()),
        Some(Value::String(one)) => Ok(vec![one]),
        Some(Value::Array(some)) if some.len() <= AUDIENCES_MAX => {
            some.iter().map(Value::as_str).collect::<Option<_>>().ok_or(invalid)
        }
        Some(_) => Err(invalid),
    }
}

/// Which whole second a time between two seconds becomes.
#[derive(Clone, Copy)]
pub(crate) enum Rounding {
    Earlier,
    Later,
}

/// A `NumericDate` where it is there: a number from 1970 to the year 9999.
pub(crate) fn time(
    members: &Map<String, Value>,
    claim: &'static str,
    rounding: Rounding,
) -> Result<Option<UnixSeconds>, TokenError> {
    let seconds = match members.get(claim) {
        None => return Ok(None),
        Some(Value::Number(number)) => match (number.as_u64(), number.as_f64()) {
            (Some(seconds), _) => Some(seconds),
            (None, Some(seconds)) => whole_seconds(seconds, rounding),
            (None, None) => None,
        },
        Some(_) => None,
    };
    let seconds = seconds.filter(|seconds| *seconds <= TIME_SECONDS_MAX);
    seconds.map(UnixSeconds).map(Some).ok_or(TokenError::InvalidClaim { claim })
}

fn whole_seconds(seconds: f64, rounding: Rounding) -> Option<u64> {
    let whole = match rounding {
        Rounding::Earlier => seconds.floor(),
        Rounding::Later => seconds.ceil(),
    };
    // -0.5 would round up to 0; what was negative stays refused.
    if seconds.is_sign_negative() || !(0.0..TIME_SECONDS_END).contains(&whole) {
        return None;
    }
    #[expect(
        clippy::as_conversions,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "whole and between 0 and 2^38, which both types hold exactly"
    )]
    Some(whole as u64)
}

/// The longest token. The largest in use (group lists) have half of it, and a header of 32 KiB
/// must hold it beside others.
pub const TOKEN_BYTES_MAX: usize = 16 * 1024;

/// 9999-12-31T23:59:59Z: what comes after is milliseconds taken for seconds, or an attack.
const TIME_SECONDS_MAX: u64 = 253_402_300_799;
const TIME_SECONDS_END: f64 = 253_402_300_800.0;

/// The most audiences of one token.
pub const AUDIENCES_MAX: usize = 64;

/// No extension is implemented, so all that is critical is unknown (RFC 7515 section 4.1.11), and
/// `b64` changes what is signed (RFC 7797).
const REFUSED_MEMBERS: [&str; 5] = ["crit", "b64", "jwk", "jku", "x5u"];

#[cfg(test)]
mod tests;
