//! Why a token is not accepted. Holds names of rules and configured values, never a claim's value.

use std::sync::Arc;

/// Why a token is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// The header names an algorithm that the issuer does not use, or that does not exist here.
    #[error("the token's algorithm is not accepted")]
    Algorithm,
    /// The token is for somebody else.
    #[error("the token's `aud` is not accepted")]
    Audience,
    /// The token's time is over.
    #[error("the token has expired")]
    Expired,
    /// The header has a member that is refused on sight.
    #[error("the token's header has `{member}`, which is not accepted")]
    Header {
        /// The member.
        member: &'static str,
    },
    /// A claim has the wrong type or a value out of bounds.
    #[error("the token's `{claim}` is not acceptable")]
    InvalidClaim {
        /// The claim; of the mapping, not of the token.
        claim: &'static str,
    },
    /// No configured issuer has this `iss`.
    #[error("the token's issuer is not trusted")]
    Issuer,
    /// The key that the header names can't make signatures of this algorithm.
    #[error("the token's key does not fit its algorithm")]
    KeyMismatch,
    /// The issuer's keys were never loaded.
    #[error("the issuer's keys are not available yet")]
    KeysUnavailable,
    /// It is no JWT in compact serialization.
    #[error("the token is malformed: {part}")]
    Malformed {
        /// What is wrong.
        part: &'static str,
    },
    /// A claim that must be there is not.
    #[error("the token has no `{claim}`")]
    MissingClaim {
        /// The claim; of the mapping, not of the token.
        claim: &'static str,
    },
    /// The token's time has not come.
    #[error("the token is not valid yet")]
    NotYetValid,
    /// Somebody ended the session before its time.
    #[error("the session was ended")]
    Revoked,
    /// The signature is not of this content by this key.
    #[error("the token's signature does not verify")]
    Signature,
    /// The token is longer than any that is looked at.
    #[error("the token is longer than {} bytes", super::TOKEN_BYTES_MAX)]
    TooLarge,
    /// No key of the issuer has this `kid`; a fetch may bring it.
    #[error("the token's key is unknown")]
    UnknownKey {
        /// The issuer whose keys were searched.
        issuer: Arc<str>,
    },
}

impl TokenError {
    /// The stable name for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Algorithm => "algorithm_not_allowed",
            Self::Audience => "audience_not_allowed",
            Self::Expired => "expired",
            Self::Header { .. } => "header_not_allowed",
            Self::InvalidClaim { .. } => "invalid_claim",
            Self::Issuer => "unknown_issuer",
            Self::KeyMismatch => "key_mismatch",
            Self::KeysUnavailable => "keys_unavailable",
            Self::Malformed { .. } => "malformed",
            Self::MissingClaim { .. } => "missing_claim",
            Self::NotYetValid => "not_yet_valid",
            Self::Revoked => "revoked",
            Self::Signature => "bad_signature",
            Self::TooLarge => "too_large",
            Self::UnknownKey { .. } => "unknown_key",
        }
    }

    /// A short fixed text for `error_description`: printable ASCII without quotes, says nothing
    /// of what the token holds or what is configured.
    pub fn description(&self) -> &'static str {
        match self {
            Self::Algorithm | Self::Header { .. } | Self::KeyMismatch => {
                "the token's header is not accepted"
            }
            Self::Audience => "the token is for another audience",
            Self::Expired => "the token has expired",
            Self::InvalidClaim { .. } | Self::MissingClaim { .. } => {
                "the token's claims are not acceptable"
            }
            Self::Issuer => "the token's issuer is not trusted",
            Self::KeysUnavailable => "the issuer's keys are not available yet",
            Self::Malformed { .. } => "the token is malformed",
            Self::NotYetValid => "the token is not valid yet",
            Self::Revoked => "the session was ended",
            Self::Signature => "the token's signature does not verify",
            Self::TooLarge => "the token is too large",
            Self::UnknownKey { .. } => "the token's key is unknown",
        }
    }
}
