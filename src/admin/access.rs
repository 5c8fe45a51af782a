//! Who may read and write on the admin listener.
//!
//! Flows in: a peer's address and a request's headers. Flows out: leave, or the answer that refuses
//! it. Shows the token to nobody.

use std::fmt;
use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use aws_lc_rs::digest::{Digest, SHA256, digest};
use http::header::{AUTHORIZATION, ORIGIN, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, StatusCode};
use subtle::ConstantTimeEq as _;

use super::answer::{Answer, problem};
use crate::watch::Fingerprint;

/// The rules: loopback may read; writes, and reads from elsewhere, need the token where there is
/// one, and are for loopback alone where there is none.
#[derive(Debug)]
pub struct AdminAccess {
    token: Option<TokenFile>,
}

/// Why the token's file cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AdminTokenError {
    /// It cannot be read.
    #[error("cannot read the admin token `{}`: {error}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// It holds no usable token.
    #[error("the admin token `{}` is empty or has a space or line end in it", path.display())]
    Content {
        /// The file.
        path: PathBuf,
    },
}

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Denied {
    /// The token is absent or wrong.
    Token,
    /// No token could help from there.
    Elsewhere,
    /// A web page asks, and nothing proves that a person meant it.
    Page,
}

/// The token, read again when its file changes.
struct TokenFile {
    path: PathBuf,
    current: Mutex<(Fingerprint, Digest)>,
}

impl AdminAccess {
    /// Without a token: only loopback reads and writes.
    pub fn loopback() -> Self {
        Self { token: None }
    }

    /// With the token that a file holds.
    ///
    /// # Errors
    /// The file is unreadable or holds no token.
    pub fn token_file(path: &Path) -> Result<Self, AdminTokenError> {
        let version = Fingerprint::of(path);
        let current = Mutex::new((version, token_digest(path)?));
        Ok(Self { token: Some(TokenFile { path: path.to_owned(), current }) })
    }

    /// Whether a request may read; how it was let in.
    pub(super) fn read(&self, peer: IpAddr, headers: &HeaderMap) -> Result<&'static str, Denied> {
        if peer.to_canonical().is_loopback() {
            return Ok(LOOPBACK);
        }
        self.by_token(headers)
    }

    /// Whether a request may write; how it was let in.
    pub(super) fn write(&self, peer: IpAddr, headers: &HeaderMap) -> Result<&'static str, Denied> {
        if self.token.is_some() || !peer.to_canonical().is_loopback() {
            return self.by_token(headers);
        }
        // A page in this machine's browser reaches loopback too; it always says where it is from.
        if headers.contains_key(ORIGIN) { Err(Denied::Page) } else { Ok(LOOPBACK) }
    }

    fn by_token(&self, headers: &HeaderMap) -> Result<&'static str, Denied> {
        let token = self.token.as_ref().ok_or(Denied::Elsewhere)?;
        let mut values = headers.get_all(AUTHORIZATION).iter();
        let (Some(value), None) = (values.next(), values.next()) else { return Err(Denied::Token) };
        let offered = bearer(value).ok_or(Denied::Token)?;
        // Digests have one length, so that the comparison tells nothing about the token's.
        let offered = digest(&SHA256, offered);
        let matches: bool = token.current().as_ref().ct_eq(offered.as_ref()).into();
        if matches { Ok(TOKEN) } else { Err(Denied::Token) }
    }
}

impl TokenFile {
    fn current(&self) -> Digest {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let version = Fingerprint::of(&self.path);
        if current.0 != version {
            match token_digest(&self.path) {
                Ok(token) => *current = (version, token),
                Err(error) => {
                    tracing::warn!(%error, "admin token refused; the old one goes on");
                    current.0 = version;
                }
            }
        }
        current.1
    }
}

impl Denied {
    pub(super) fn answer(self) -> Answer {
        match self {
            Self::Token => {
                let message = "the admin token is needed";
                let mut answer = problem(StatusCode::UNAUTHORIZED, "unauthorized", message);
                let challenge = HeaderValue::from_static("Bearer realm=\"crossgate-admin\"");
                answer.headers_mut().insert(WWW_AUTHENTICATE, challenge);
                answer
            }
            Self::Elsewhere => {
                let message = "without an admin token only this machine has access";
                problem(StatusCode::FORBIDDEN, "forbidden", message)
            }
            Self::Page => {
                let message = "without an admin token web pages have no access";
                problem(StatusCode::FORBIDDEN, "forbidden", message)
            }
        }
    }
}

impl fmt::Debug for TokenFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenFile").field("path", &self.path).finish_non_exhaustive()
    }
}

fn bearer(value: &HeaderValue) -> Option<&[u8]> {
    let (scheme, token) = value.as_bytes().split_at_checked(BEARER.len())?;
    scheme.eq_ignore_ascii_case(BEARER).then(|| token.trim_ascii())
}

fn token_digest(path: &Path) -> Result<Digest, AdminTokenError> {
    let text =
        fs::read(path).map_err(|error| AdminTokenError::Read { path: path.to_owned(), error })?;
    let token = text.trim_ascii();
    if token.is_empty() || token.iter().any(u8::is_ascii_whitespace) {
        return Err(AdminTokenError::Content { path: path.to_owned() });
    }
    Ok(digest(&SHA256, token))
}

const BEARER: &[u8] = b"bearer ";
const LOOPBACK: &str = "loopback";
const TOKEN: &str = "admin-token";

#[cfg(test)]
mod tests;
