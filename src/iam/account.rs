//! `AccountId`: the tenant boundary.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use serde::de::{self, Deserialize, Deserializer, Visitor};

/// An account: 1 to 64 characters of `[A-Za-z0-9_-]`, compared exactly.
///
/// Covers 12-digit, 32-hex and UUID forms. Held inline, so copies and comparisons never touch the
/// heap.
///
/// ```
/// use crossgate::iam::AccountId;
///
/// let account: AccountId = "59bcbfa6ea2f006b4ed7094c1a08dcdd".parse()?;
/// assert_eq!(account.as_str(), "59bcbfa6ea2f006b4ed7094c1a08dcdd");
/// assert!("a/b".parse::<AccountId>().is_err());
/// # Ok::<(), crossgate::iam::AccountIdError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct AccountId {
    // INVARIANT: 1 to 64 allowed characters, then NUL to the end; so equal bytes are equal ids.
    bytes: [u8; Self::BYTES_MAX],
}

/// Why a text is no account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AccountIdError {
    /// The text has a character outside `[A-Za-z0-9_-]`.
    #[error("an account has only the characters `A-Z a-z 0-9 _ -`")]
    Character,
    /// The text is empty.
    #[error("an account is not empty")]
    Empty,
    /// The text is longer than 64 characters.
    #[error("an account has at most {} characters", AccountId::BYTES_MAX)]
    Long,
}

impl AccountId {
    /// The longest account, in bytes.
    pub const BYTES_MAX: usize = 64;

    /// Parses an account.
    ///
    /// # Errors
    /// The text is empty, too long or has another character.
    pub fn parse(text: &str) -> Result<Self, AccountIdError> {
        let source = text.as_bytes();
        if source.is_empty() {
            return Err(AccountIdError::Empty);
        }
        let mut bytes = [0; Self::BYTES_MAX];
        let Some(target) = bytes.get_mut(..source.len()) else {
            return Err(AccountIdError::Long);
        };
        // Every byte is looked at, without a branch: this runs for each request.
        let foreign = source.iter().fold(false, |foreign, byte| foreign | !is_allowed(*byte));
        if foreign {
            return Err(AccountIdError::Character);
        }
        target.copy_from_slice(source);
        Ok(Self { bytes })
    }

    /// The account as text.
    pub fn as_str(&self) -> &str {
        let len = memchr::memchr(0, &self.bytes).unwrap_or(Self::BYTES_MAX);
        self.bytes.get(..len).and_then(|used| std::str::from_utf8(used).ok()).unwrap_or_default()
    }
}

fn is_allowed(byte: u8) -> bool {
    ALLOWED.get(usize::from(byte)).copied().unwrap_or(false)
}

static ALLOWED: [bool; 256] = allowed();

#[expect(
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    reason = "evaluated at compile time, where a slip does not compile"
)]
const fn allowed() -> [bool; 256] {
    let mut allowed = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        allowed[byte] = (byte as u8).is_ascii_alphanumeric() || matches!(byte as u8, b'_' | b'-');
        byte += 1;
    }
    allowed
}

impl Hash for AccountId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // Most ids fill no more than the first half; hashing zeros would only cost time.
        let (head, tail) = self.bytes.split_at(Self::BYTES_MAX / 2);
        state.write(head);
        if tail.first().is_some_and(|byte| *byte != 0) {
            state.write(tail);
        }
    }
}

impl FromStr for AccountId {
    type Err = AccountIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AccountId({self})")
    }
}

impl<'de> Deserialize<'de> for AccountId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AccountIdVisitor;

        impl Visitor<'_> for AccountIdVisitor {
            type Value = AccountId;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an account id")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<AccountId, E> {
                AccountId::parse(text).map_err(|error| E::custom(format!("`{text}`: {error}")))
            }
        }

        deserializer.deserialize_str(AccountIdVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_of_all_forms_round_trip() {
        let longest = "a".repeat(64);
        for text in
            ["1", "111111111111", "59bcbfa6ea2f006b4ed7094c1a08dcdd", "A_b-9", longest.as_str()]
        {
            assert_eq!(AccountId::parse(text).unwrap().as_str(), text);
        }
    }

    #[test]
    fn other_texts_are_refused_with_their_reason() {
        assert_eq!(AccountId::parse(""), Err(AccountIdError::Empty));
        assert_eq!(AccountId::parse(&"a".repeat(65)), Err(AccountIdError::Long));
        for text in ["a b", "a/b", "a\0", "é", "a:b", "*", "a\n"] {
            assert_eq!(AccountId::parse(text), Err(AccountIdError::Character), "{text:?}");
        }
    }

    #[test]
    fn comparison_is_exact() {
        let lower = AccountId::parse("ab").unwrap();
        assert_ne!(lower, AccountId::parse("AB").unwrap());
        assert_ne!(lower, AccountId::parse("abc").unwrap());
    }
}
