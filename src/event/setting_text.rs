//! A setting as update events tell it: `report-only [partner, warehouse and 3 more]`.
//!
//! Flows in: a setting. Flows out: its text; and from a text what it tells, which a long allowlist
//! is not told whole in.

use crate::event::frame::CHANGE_BYTES_MAX;
use crate::iam::AccountId;
use crate::perimeter::TypeSetting;
use crate::verdict::Mode;

/// A setting as an operator reads it; a long allowlist by its length and first entries.
pub fn setting_text(setting: &TypeSetting) -> String {
    let mut accounts: Vec<&str> = setting.allowlist.iter().map(AccountId::as_str).collect();
    accounts.sort_unstable();
    // What would be cut at the event's limit is counted instead.
    let mut bytes = TEXT_BYTES_AROUND;
    let shown = accounts.iter().take_while(|account| {
        bytes += account.len() + SEPARATOR.len();
        bytes <= CHANGE_BYTES_MAX
    });
    let shown = shown.count().min(ACCOUNTS_SHOWN_MAX);
    let more = accounts.len().saturating_sub(shown);
    accounts.truncate(shown);
    let more = if more == 0 { String::new() } else { format!("{MORE}{more} more") };
    format!("{} [{}{more}]", setting.mode.as_str(), accounts.join(SEPARATOR))
}

/// What the text of a setting tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingText<'t> {
    /// The mode.
    pub mode: Mode,
    /// The first accounts of the allowlist, in order.
    pub accounts: Vec<&'t str>,
    /// Whether these are all.
    pub extent: Extent,
}

/// How much of an allowlist a text tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// Its first entries.
    First,
    /// All of it.
    Whole,
}

impl<'t> SettingText<'t> {
    /// Reads a text; `None` if it tells no setting.
    pub fn parse(text: &'t str) -> Option<Self> {
        let (mode, rest) = text.split_once(" [")?;
        let mode = Mode::ALL.into_iter().find(|known| known.as_str() == mode)?;
        let (list, extent) = match rest.strip_suffix(']') {
            None => (rest.rsplit_once(SEPARATOR).map_or("", |(whole, _cut)| whole), Extent::First),
            Some(list) => match list.split_once(MORE) {
                Some((list, _count)) => (list, Extent::First),
                None => (list, Extent::Whole),
            },
        };
        let accounts = list.split(SEPARATOR).filter(|account| !account.is_empty()).collect();
        Some(Self { mode, accounts, extent })
    }

    /// The accounts that are on this allowlist and were not on an earlier one, as far as both tell.
    pub fn added_to<'a>(&'a self, before: &'a SettingText<'_>) -> impl Iterator<Item = &'t str> {
        let last_told = before.accounts.last().copied().unwrap_or_default();
        let is_added = move |account: &&str| match before.extent {
            Extent::Whole => !before.accounts.contains(account),
            // Beyond the last that is told, the earlier list may have had anybody.
            Extent::First => **account < *last_told && !before.accounts.contains(account),
        };
        self.accounts.iter().copied().filter(is_added)
    }
}

const SEPARATOR: &str = ", ";
const MORE: &str = " and ";
/// The longest mode, the brackets, and the count of those that are not shown.
const TEXT_BYTES_AROUND: usize = 48;
/// Allowlist entries that are told.
const ACCOUNTS_SHOWN_MAX: usize = 100;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn setting(mode: Mode, accounts: &[String]) -> TypeSetting {
        let accounts = accounts.iter().map(|account| AccountId::parse(account).unwrap());
        TypeSetting { mode, allowlist: Arc::new(accounts.collect()) }
    }

    #[test]
    fn a_text_tells_what_it_was_made_of() {
        for mode in Mode::ALL {
            for count in [0, 1, 4, ACCOUNTS_SHOWN_MAX, ACCOUNTS_SHOWN_MAX + 1] {
                let accounts: Vec<_> = (0..count).map(|n| format!("a{n:03}")).collect();
                let text = setting_text(&setting(mode, &accounts));
                let told = SettingText::parse(&text).unwrap();
                let whole = count <= ACCOUNTS_SHOWN_MAX;
                assert_eq!(told.mode, mode);
                assert_eq!(told.extent, if whole { Extent::Whole } else { Extent::First });
                let shown = count.min(ACCOUNTS_SHOWN_MAX);
                assert_eq!(told.accounts, accounts.get(..shown).unwrap());
            }
        }
    }

    #[test]
    fn the_longest_text_is_not_cut_in_its_event() {
        let accounts: Vec<_> =
            (0..1000).map(|n| format!("{n:0width$}", width = AccountId::BYTES_MAX)).collect();
        let text = setting_text(&setting(Mode::Unrestricted, &accounts));
        assert!(text.len() <= CHANGE_BYTES_MAX, "{}", text.len());
        assert_eq!(SettingText::parse(&text).unwrap().extent, Extent::First);
        assert!(text.ends_with(" more]"), "{text}");
    }

    #[test]
    fn a_text_that_was_cut_tells_its_whole_entries() {
        let told = SettingText::parse("limited [abc, abd, ab").unwrap();
        assert_eq!((told.accounts, told.extent), (vec!["abc", "abd"], Extent::First));
        for none in ["", "limited", "enabled []", "limited []x"] {
            let told = SettingText::parse(none);
            assert!(told.is_none_or(|told| told.accounts.is_empty()), "{none}");
        }
    }

    #[test]
    fn what_was_added_is_known_where_the_earlier_list_is() {
        let added = |before, after| {
            let (before, after) =
                (SettingText::parse(before).unwrap(), SettingText::parse(after).unwrap());
            after.added_to(&before).map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(added("report-only []", "limited [a, b]"), ["a", "b"]);
        assert_eq!(added("limited [a]", "limited [a, b]"), ["b"]);
        assert_eq!(added("limited [a, b]", "limited [b]"), Vec::<String>::new());
        assert_eq!(added("limited [a, d and 3 more]", "limited [a, b, e]"), ["b"]);
    }
}
