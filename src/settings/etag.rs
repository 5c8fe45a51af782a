//! Entity tags of settings (RFC 9110 section 8.8.3): equal settings, equal tags, in any process.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::digest::{Context, SHA256};
use data_encoding::HEXLOWER;

use crate::iam::{AccountId, IdentityType};
use crate::perimeter::{AccountSet, AccountSetting};

/// The strong tag of an account's enforced setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ETag {
    hex: String,
}

/// The tags that a client takes for current.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IfMatch {
    /// `*`.
    Any,
    /// One of these, as written between the quotes.
    OneOf(Vec<String>),
}

impl ETag {
    /// The tag of a setting; takes as long as its allowlists.
    pub fn of(setting: &AccountSetting) -> Self {
        let mut context = Context::new(&SHA256);
        let mut last: Option<(&Arc<AccountSet>, Vec<u8>)> = None;
        for kind in IdentityType::ALL {
            let own = setting.enforced(kind);
            context.update(kind.as_str().as_bytes());
            context.update(&[0]);
            context.update(own.mode.as_str().as_bytes());
            context.update(&[0]);
            // A list that types share is hashed once.
            let hash = match last.take() {
                Some((list, hash)) if Arc::ptr_eq(list, &own.allowlist) => hash,
                Some(_) | None => list_hash(&own.allowlist),
            };
            context.update(&hash);
            last = Some((&own.allowlist, hash));
        }
        let hash = context.finish();
        let hex = HEXLOWER.encode(hash.as_ref().get(..TAG_BYTES).unwrap_or_default());
        Self { hex }
    }
}

impl IfMatch {
    /// Reads a header's value.
    pub fn parse(value: &str) -> Self {
        if value.trim() == "*" {
            return Self::Any;
        }
        let tags = value.split(',').map(str::trim).filter_map(|tag| match tag.strip_prefix('"') {
            Some(rest) => rest.strip_suffix('"'),
            // A weak tag never matches (RFC 9110 section 13.1.1); some clients leave quotes away.
            None => (!tag.is_empty() && !tag.starts_with("W/")).then_some(tag),
        });
        Self::OneOf(tags.map(str::to_owned).collect())
    }

    /// Whether a tag is among them.
    pub fn admits(&self, etag: &ETag) -> bool {
        match self {
            Self::Any => true,
            Self::OneOf(tags) => tags.contains(&etag.hex),
        }
    }
}

impl fmt::Display for ETag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.hex)
    }
}

fn list_hash(list: &AccountSet) -> Vec<u8> {
    let mut sorted: Vec<AccountId> = list.iter().copied().collect();
    sorted.sort_unstable();
    let mut context = Context::new(&SHA256);
    for account in sorted {
        context.update(account.as_str().as_bytes());
        context.update(&[0]);
    }
    context.finish().as_ref().to_vec()
}

/// 128 bits: no two settings meet.
const TAG_BYTES: usize = 16;
