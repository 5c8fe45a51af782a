use super::*;
use crate::verdict::Mode;

fn account(text: &str) -> AccountId {
    AccountId::parse(text).unwrap()
}

fn of(mode: Mode, allowlist: &[&str]) -> crate::perimeter::TypeSetting {
    crate::perimeter::TypeSetting {
        mode,
        allowlist: Arc::new(allowlist.iter().map(|a| account(a)).collect()),
    }
}

fn set(
    user: (Mode, &[&str]),
    service_id: (Mode, &[&str]),
    service: (Mode, &[&str]),
) -> AccountSetting {
    AccountSetting::new(
        [of(user.0, user.1), of(service_id.0, service_id.1), of(service.0, service.1)],
        [None, None, None],
    )
}

fn all(mode: Mode, allowlist: &[&str]) -> AccountSetting {
    set((mode, allowlist), (mode, allowlist), (mode, allowlist))
}

/// Edits account `a` and expects this text, which must mean the same.
#[track_caller]
fn check(before: &str, wanted: &AccountSetting, expect: &str) {
    let index = parse(before).unwrap();
    let edited = edit(before, &index, account("a"), wanted);
    let after: String = edited.pieces(before).collect();
    assert_eq!(after, expect);
    assert_eq!(edited.kept, Kept::All);
    let parsed = parse(&after).unwrap();
    assert!(same_enforced(parsed.setting(account("a")), wanted));
    assert_eq!(parsed.setting(account("a")), &edited.setting);
    for (other, setting) in index.iter().filter(|(other, _)| *other != account("a")) {
        assert_eq!(parsed.listed(other), Some(setting));
    }
}

#[test]
fn the_mode_changes_in_place() {
    check(
        "# head\naccounts:\n  a: # mine\n    mode: report-only   # for now\n    allowlist: [b]\n  # next\n  c: {}\n",
        &all(Mode::Limited, &["b"]),
        "# head\naccounts:\n  a: # mine\n    mode: limited   # for now\n    allowlist: [b]\n  # next\n  c: {}\n",
    );
}
