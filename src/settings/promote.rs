//! Promotes an account's candidate: it becomes the enforced setting, in the file.
//!
//! Flows in: the settings file. Flows out: the file with the one account changed and all else as it
//! is. Whether that is wise is for the caller to ask, with the proposal in hand; if the file changes
//! meanwhile, nothing is written.

use std::path::{Path, PathBuf};

use granit_parser::StructureStyle;

use super::document::parse;
use super::edit::{Kept, edit, line_end, newline, same_enforced};
use super::file::{SettingsError, read, replace};
use super::place::{Entry, Place, Shape, find};
use super::render;
use super::store::TypeChange;
use crate::iam::{AccountId, IdentityType};
use crate::perimeter::{AccountSetting, SettingsIndex};
use crate::verdict::Mode;
use crate::watch::Fingerprint;

/// A candidate that may become the enforced setting.
#[derive(Debug)]
pub struct Promotion {
    path: PathBuf,
    text: String,
    version: Fingerprint,
    index: SettingsIndex,
    account: AccountId,
}

/// How a promotion was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// The whole file anew, as its form gave no place to edit: its comments are gone.
    Anew,
    /// In the account's own place.
    InPlace,
}

/// Why a candidate is not promoted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PromoteError {
    /// The account has none.
    #[error("account `{account}` has no candidate in `{}`", path.display())]
    NoCandidate {
        /// The account.
        account: AccountId,
        /// The settings file.
        path: PathBuf,
    },
    /// The file can't be read, written, or be changed.
    #[error(transparent)]
    Settings(#[from] SettingsError),
}

impl Promotion {
    /// Reads a settings file for one account's candidate.
    ///
    /// # Errors
    /// The file is unusable, or the account has no candidate.
    pub fn read(path: &Path, account: AccountId) -> Result<Self, PromoteError> {
        let (text, version) = read(path)?;
        let index = parse(&text)
            .map_err(|error| SettingsError::Document { path: path.to_owned(), error })?;
        let path = path.to_owned();
        let setting = index.setting(account);
        if IdentityType::ALL.into_iter().all(|kind| setting.candidate(kind).is_none()) {
            return Err(PromoteError::NoCandidate { account, path });
        }
        Ok(Self { path, text, version, index, account })
    }

    /// The account's setting as it is.
    pub fn before(&self) -> &AccountSetting {
        self.index.setting(self.account)
    }

    /// The account's setting as it would be, with nothing proposed.
    pub fn after(&self) -> AccountSetting {
        let before = self.before();
        let types = IdentityType::ALL
            .map(|kind| before.candidate(kind).unwrap_or(before.enforced(kind)).clone());
        AccountSetting::new(types, [None, None, None])
    }

    /// All settings as they would be.
    pub fn index(&self) -> SettingsIndex {
        self.index.with_account(self.account, self.after())
    }

    /// Whether what would be in force can deny anything.
    pub fn can_deny(&self) -> bool {
        let after = self.after();
        IdentityType::ALL.into_iter().any(|kind| after.enforced(kind).mode == Mode::Limited)
    }

    /// What changes of what is enforced; types that stay as they are are not in it.
    pub fn changes(&self) -> Vec<TypeChange> {
        let (before, after) = (self.before(), self.after());
        let changed = IdentityType::ALL
            .into_iter()
            .filter(|kind| before.enforced(*kind) != after.enforced(*kind));
        let change = |identity_type| TypeChange {
            identity_type,
            before: before.enforced(identity_type).clone(),
            after: after.enforced(identity_type).clone(),
        };
        changed.map(change).collect()
    }

    /// Writes the file.
    ///
    /// # Errors
    /// Nothing is written: the file has changed since it was read, is a link, or can't be replaced.
    pub fn write(&self) -> Result<Written, PromoteError> {
        let (text, kept) = self.text_after();
        replace(&self.path, &self.version, std::iter::once(text.as_str()))?;
        Ok(match kept {
            Kept::All => Written::InPlace,
            Kept::Meaning => Written::Anew,
        })
    }

    /// The document with the candidate in force and gone.
    fn text_after(&self) -> (String, Kept) {
        let after = self.after();
        // The edit keeps the candidate, whose own lines go then.
        let edited = edit(&self.text, &self.index, self.account, &after);
        let text: String = edited.pieces(&self.text).collect();
        let without = without_candidate(&text, self.account).filter(|text| self.is_proven(text));
        match without {
            Some(text) => (text, edited.kept),
            None => (render::document(&self.index()), Kept::Meaning),
        }
    }

    /// Whether a document means what is wanted of the account, and the same of all others.
    fn is_proven(&self, text: &str) -> bool {
        let Ok(index) = parse(text) else { return false };
        let added = usize::from(self.index.listed(self.account).is_none());
        let is_wanted = index.listed(self.account).is_some_and(|setting| {
            let nothing_proposed =
                IdentityType::ALL.into_iter().all(|kind| setting.candidate(kind).is_none());
            nothing_proposed && same_enforced(setting, &self.after())
        });
        let mut others = self.index.iter().filter(|(account, _)| *account != self.account);
        is_wanted
            && index.len() == self.index.len() + added
            && index.default_setting() == self.index.default_setting()
            && others.all(|(account, setting)| index.listed(account) == Some(setting))
    }
}

/// The document without an account's `candidate`, if its form lets it go.
fn without_candidate(text: &str, account: AccountId) -> Option<String> {
    let Place::Entry(entry) = find(text, account).ok()? else { return None };
    let Shape::Mapping { style, entries } = &entry.value.shape else { return None };
    let place = entries.iter().position(|entry| entry.key == "candidate")?;
    let candidate = entries.get(place)?;
    // Others may stand on what goes.
    if candidate.value.anchored {
        return None;
    }
    let end = candidate.value.range.end;
    let range = match style {
        _ if entries.len() == 1 => {
            let (head, tail) = (text.get(..candidate.start)?, text.get(end..)?);
            return Some(match style {
                StructureStyle::Block => format!("{head}{{}}{tail}"),
                StructureStyle::Flow => format!("{}{tail}", head.trim_end_matches(' ')),
            });
        }
        StructureStyle::Block => lines_of(text, candidate)?,
        StructureStyle::Flow => match place.checked_sub(1).and_then(|before| entries.get(before)) {
            Some(before) => before.value.range.end..end,
            None => candidate.start..entries.get(place + 1)?.start,
        },
    };
    Some(format!("{}{}", text.get(..range.start)?, text.get(range.end..)?))
}

/// The whole lines of a member of a block mapping.
fn lines_of(text: &str, entry: &Entry) -> Option<std::ops::Range<usize>> {
    let head = text.get(..entry.start)?;
    let start = head.rfind('\n').map_or(0, |newline| newline + 1);
    if !head.get(start..)?.trim_matches(' ').is_empty() {
        return None;
    }
    let end = line_end(text, entry.value.range.end) + newline(text).len();
    Some(start..end.min(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn promotion(text: &str) -> Promotion {
        let account = AccountId::parse("a").unwrap();
        let index = parse(text).unwrap();
        let (path, version) = (PathBuf::from("settings.yaml"), Fingerprint::default());
        Promotion { path, text: text.to_owned(), version, index, account }
    }

    /// Promotes the candidate of account `a` and expects this text.
    #[track_caller]
    fn check(before: &str, expect: &str) {
        let promotion = promotion(before);
        let (text, kept) = promotion.text_after();
        assert_eq!(text, expect);
        assert_eq!(kept, Kept::All);
        assert!(promotion.is_proven(&text));
    }

    #[test]
    fn the_candidate_takes_the_settings_place_and_all_else_stays() {
        check(
            "# head\naccounts:\n  z: {}\n  a: # mine\n    mode: report-only # soon\n    allowlist: [b]\n    # try\n    candidate: { mode: limited, allowlist: [b] } # now\n  # next\n  y: { candidate: { mode: limited } }\n",
            "# head\naccounts:\n  z: {}\n  a: # mine\n    mode: limited # soon\n    allowlist: [b]\n    # try\n  # next\n  y: { candidate: { mode: limited } }\n",
        );
    }

    #[test]
    fn every_form_of_a_candidate_goes() {
        for (before, after) in [
            // Last, first and alone, in flow style.
            (
                "accounts: {a: {mode: report-only, allowlist: [b], candidate: {mode: limited, allowlist: [c]}}, z: {}}\n",
                "accounts: {a: {mode: limited, allowlist: [\"c\"]}, z: {}}\n",
            ),
            (
                "accounts:\n  a: {candidate: {mode: limited, allowlist: [b]}, mode: report-only, allowlist: [b]} # x\n",
                "accounts:\n  a: {mode: limited, allowlist: [b]} # x\n",
            ),
            (
                "default: {mode: limited, allowlist: [b]}\naccounts:\n  a: { candidate: {mode: limited, allowlist: [b]} }\n",
                "default: {mode: limited, allowlist: [b]}\naccounts:\n  a: { }\n",
            ),
            // In block style over several lines, in the middle, at the end without a line end.
            (
                "accounts:\n  a:\n    candidate:\n      mode: limited\n      allowlist:\n        - b\n        - c\n    mode: report-only\n    allowlist:\n      - b\n",
                "accounts:\n  a:\n    mode: limited\n    allowlist:\n      - \"c\"\n      - b\n",
            ),
            (
                "accounts:\n  a:\n    mode: report-only\n    allowlist: []\n    candidate:\n      mode: limited",
                "accounts:\n  a:\n    mode: limited\n    allowlist: []\n",
            ),
            (
                "default: {mode: limited, allowlist: [b]}\naccounts:\n  a:\n    candidate: {mode: limited, allowlist: [b]}\n",
                "default: {mode: limited, allowlist: [b]}\naccounts:\n  a:\n    {}\n",
            ),
            // Of one type, beside what stays.
            (
                "accounts:\n  a:\n    mode: report-only\n    allowlist: [b]\n    candidate: { service: { mode: limited, allowlist: [] } }\n",
                "accounts:\n  a:\n    mode: report-only\n    allowlist: [b]\n    service: { mode: limited, allowlist: [] }\n",
            ),
            // Carriage returns.
            (
                "accounts:\r\n  a:\r\n    mode: report-only\r\n    candidate: { mode: limited }\r\n    allowlist: []\r\n",
                "accounts:\r\n  a:\r\n    mode: limited\r\n    allowlist: []\r\n",
            ),
        ] {
            check(before, after);
        }
    }

    #[test]
    fn a_candidate_by_default_makes_an_entry_without_one() {
        check(
            "default: { mode: report-only, allowlist: [], candidate: { mode: limited, allowlist: [b] } }\naccounts:\n  z: {}\n",
            "default: { mode: report-only, allowlist: [], candidate: { mode: limited, allowlist: [b] } }\naccounts:\n  z: {}\n  \"a\":\n    mode: limited\n    allowlist: [\"b\"]\n",
        );
    }

    #[test]
    fn what_gives_no_place_is_written_anew_with_its_meaning() {
        let text = "accounts:\n  a: # gone\n    mode: report-only\n    candidate: &c { mode: limited, allowlist: [b] }\n  z: *c\n";
        let promotion = promotion(text);
        let (after, kept) = promotion.text_after();
        assert_eq!(kept, Kept::Meaning);
        assert!(promotion.is_proven(&after), "{after}");
    }

    #[test]
    fn what_changes_is_told_by_type() {
        let promotion = promotion(
            "accounts:\n  a: {mode: report-only, allowlist: [], service: {mode: limited}, candidate: {mode: limited, allowlist: []}}\n",
        );
        let changed: Vec<_> =
            promotion.changes().iter().map(|change| change.identity_type.as_str()).collect();
        assert_eq!(changed, ["user", "service_id"]);
        assert!(promotion.can_deny());
        let harmless =
            self::promotion("accounts:\n  a: {mode: limited, candidate: {mode: report-only}}\n");
        assert!(!harmless.can_deny());
    }

    #[test]
    fn a_file_that_changed_meanwhile_stays() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("settings.yaml");
        let account = AccountId::parse("a").unwrap();
        let text = "accounts:\n  a: {mode: report-only, candidate: {mode: limited}}\n";
        std::fs::write(&path, text).unwrap();
        let stale = Promotion::read(&path, account).unwrap();
        let newer = format!("# edited\n{text}");
        std::fs::write(&path, &newer).unwrap();
        assert!(stale.write().is_err());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), newer);
        Promotion::read(&path, account).unwrap().write().unwrap();
        let written = std::fs::read_to_string(&path).unwrap();
        assert_eq!(written, "# edited\naccounts:\n  a: {mode: limited, allowlist: []}\n");
        let nothing = Promotion::read(&path, account).unwrap_err();
        assert!(nothing.to_string().contains("no candidate"), "{nothing}");
    }
}
