//! Patterns of resources.

use std::borrow::Cow;

use smallstr::SmallString;

use crate::iam::Arn;
use crate::policy::context::{Context, NoContext};
use crate::policy::pattern::PatternError;
use crate::policy::pattern::glob::{Glob, Piece, Syntax, Token, VARIABLE};
use crate::policy::question::Resource;

/// A pattern of resources. Partition, service and region compare without regard to letter case;
/// account and resource exactly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ArnPattern {
    /// `*`.
    Any,
    /// Without wildcards and variables; partition, service and region in lower case.
    Exact(ArnText),
    /// The same up to one `*` at the end, which is left out here.
    Prefix(ArnText),
    /// Six parts, each matched alone: `arn`, partition, service, region, account; resource.
    Like { head: Box<[Glob; 5]>, resource: Glob },
}

/// The text of a pattern, beside it if it is as short as most are: one cache miss less.
pub(crate) type ArnText = SmallString<[u8; 56]>;

impl ArnPattern {
    /// Parses a pattern of a document of a version with or without variables, which are in the
    /// resource part only.
    pub(crate) fn parse(text: &str, variables: bool) -> Result<Self, PatternError> {
        if text == "*" {
            return Ok(Self::Any);
        }
        let parts = arn_parts(text, variables)?;
        let Some([ARN, partition, service, region, account, resource]) = parts else {
            return Err(PatternError::Arn);
        };
        let [partition, service, region] =
            [partition, service, region].map(str::to_ascii_lowercase);
        let head = [ARN, &partition, &service, &region, account];
        let resource = Glob::parse(resource, Syntax { wildcards: true, variables })?;
        // A part with a colon is a variable where none is allowed; no ARN has such a part.
        if !head.iter().any(|part| part.contains(['*', '?', ':'])) {
            let head = head.join(":");
            match &*resource.pieces {
                [] => return Ok(Self::Exact(format!("{head}:").into())),
                [Piece::Text(text)] => return Ok(Self::Exact(format!("{head}:{text}").into())),
                [Piece::Any] => return Ok(Self::Prefix(format!("{head}:").into())),
                [Piece::Text(text), Piece::Any] => {
                    return Ok(Self::Prefix(format!("{head}:{text}").into()));
                }
                _ => {}
            }
        }
        let [arn, partition, service, region, account] =
            head.map(|part| Glob::parse(part, Syntax { wildcards: true, variables: false }));
        let head = Box::new([arn?, partition?, service?, region?, account?]);
        Ok(Self::Like { head, resource })
    }

    /// Whether the pattern means a resource.
    pub(crate) fn matches<C: Context + ?Sized>(&self, resource: Resource<'_>, context: &C) -> bool {
        let arn = match (self, resource) {
            (Self::Any, _) => return true,
            (_, Resource::Any) => return false,
            (_, Resource::Named(arn)) => arn,
        };
        match self {
            Self::Any => true,
            Self::Exact(text) => text.len() == arn.as_str().len() && starts_with(arn, text),
            Self::Prefix(prefix) => starts_with(arn, prefix),
            Self::Like { head, resource } => {
                head_matches(head, arn) && resource.matches(arn.resource(), context)
            }
        }
    }

    /// What every ARN it means starts with, once partition, service and region of that are in
    /// lower case; and whether it means just that.
    pub(crate) fn literal_prefix(&self) -> (Cow<'_, str>, bool) {
        let (head, resource) = match self {
            Self::Any => return (Cow::Borrowed(""), false),
            Self::Exact(text) => return (Cow::Borrowed(text), true),
            Self::Prefix(prefix) => return (Cow::Borrowed(prefix), false),
            Self::Like { head, resource } => (head, resource),
        };
        let mut prefix = String::new();
        for part in head.iter() {
            let (text, exact) = part.literal_prefix();
            prefix.push_str(text);
            if !exact {
                return (Cow::Owned(prefix), false);
            }
            prefix.push(':');
        }
        prefix.push_str(resource.literal_prefix().0);
        (Cow::Owned(prefix), false)
    }
}

/// Whether an ARN starts with a text that has its first five colons.
fn starts_with(arn: Arn<'_>, prefix: &str) -> bool {
    let text = arn.as_str().as_bytes();
    let Some(start) = text.get(..prefix.len()) else { return false };
    if start == prefix.as_bytes() {
        return true;
    }
    // The account starts where the parts end that have no letter case.
    let account_at = text.len() - arn.resource().len() - 1 - arn.account().len();
    match (start.split_at_checked(account_at), prefix.as_bytes().split_at_checked(account_at)) {
        (Some((head, rest)), Some((head_expected, rest_expected))) => {
            head.eq_ignore_ascii_case(head_expected) && rest == rest_expected
        }
        _ => false,
    }
}

fn head_matches(head: &[Glob; 5], arn: Arn<'_>) -> bool {
    // `arn` itself is checked of both: a pattern or an ARN without it is none.
    let [_, partition, service, region, account] = head;
    service.matches_any_case(arn.service(), &NoContext)
        && account.matches(arn.account(), &NoContext)
        && region.matches_any_case(arn.region(), &NoContext)
        && partition.matches_any_case(arn.partition(), &NoContext)
}

/// The six parts of an ARN pattern; a colon in a variable ends no part. `None`: it has fewer.
pub(crate) fn arn_parts(text: &str, variables: bool) -> Result<Option<[&str; 6]>, PatternError> {
    let mut parts = [""; 6];
    let mut part_start = text;
    let mut rest = text;
    let mut slots = parts.iter_mut();
    let mut slot = slots.next();
    while let Some(next) = rest.chars().next() {
        let mut after = rest.get(next.len_utf8()..).unwrap_or_default();
        if variables && rest.starts_with(VARIABLE) {
            after = Token::parse(rest)?.1;
        } else if next == ':' && slots.len() > 0 {
            let part = part_start.get(..part_start.len() - rest.len()).unwrap_or_default();
            if let Some(slot) = slot {
                *slot = part;
            }
            slot = slots.next();
            part_start = after;
        }
        rest = after;
    }
    if slots.len() > 0 {
        return Ok(None);
    }
    if let Some(slot) = slot {
        *slot = part_start;
    }
    Ok(Some(parts))
}

const ARN: &str = "arn";
