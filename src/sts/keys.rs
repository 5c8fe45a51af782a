//! The keys that sign session tokens: made, kept in a directory, rotated with overlap, published.

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;

use crate::clock::UnixSeconds;
use crate::token::Algorithm;

/// Where the keys are, and how they change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeysSpec {
    /// The directory; it is made if it is absent.
    pub directory: PathBuf,
    /// Of new keys: ES256, `EdDSA` or RS256.
    pub algorithm: Algorithm,
    /// After which age a key is followed by another.
    pub rotate: Duration,
    /// How long a key is published after another signs: the longest session and some leeway.
    pub overlap: Duration,
}

impl KeysSpec {
    /// The file with the public keys (RFC 7517), in the directory.
    pub fn jwks_file(&self) -> PathBuf {
        self.directory.join(JWKS_FILE)
    }
}

/// Why keys can't be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SessionKeysError {
    /// A key can't sign.
    #[error("the key can't sign")]
    Sign,
}

/// The keys in force. Cheap to clone.
#[derive(Clone, Debug)]
pub struct SessionKeys;

impl SessionKeys {
    /// Loads the directory's keys, and makes the first where there is none.
    ///
    /// # Errors
    /// The directory or a key in it is unusable.
    pub fn open(_spec: KeysSpec, _now: UnixSeconds) -> Result<Self, SessionKeysError> {
        Err(SessionKeysError::Sign)
    }

    /// The public keys as a JWKS document (RFC 7517).
    pub fn jwks(&self) -> Bytes {
        unimplemented!()
    }

    /// A compact JWS (RFC 7515) of these claims, by the key that signs now.
    ///
    /// # Errors
    /// The key can't sign.
    pub fn sign(&self, _claims: &[u8]) -> Result<String, SessionKeysError> {
        unimplemented!()
    }
}

/// The public keys, for this proxy, its neighbours and who serves them.
const JWKS_FILE: &str = "jwks.json";
