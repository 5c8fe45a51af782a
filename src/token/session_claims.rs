//! The claims of crossgate's own session tokens, both ways: an identity becomes claims, claims become
//! the identity again (facts: contract of session tokens).

use crate::iam::Identity;
use crate::sts::StsRules;
use crate::token::TokenError;
use crate::token::jwt::Claims;

/// The payload of a session's token, as JSON.
pub fn session_claims(_identity: &Identity, _rules: &StsRules) -> Vec<u8> {
    Vec::new()
}

/// The identity of a session token.
pub(super) fn identity(_claims: &Claims, _issuer: &str) -> Result<Identity, TokenError> {
    Err(TokenError::Issuer)
}
