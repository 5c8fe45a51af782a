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

/// Before, wanted, after, and why; `a` is edited.
#[test]
#[expect(clippy::too_many_lines, reason = "one table")]
fn edits_keep_all_that_they_do_not_change() {
    use Mode::{Limited, ReportOnly, Unrestricted};
    let limited_b = || all(Limited, &["b"]);
    for (before, wanted, after) in [
        // A comment behind the value and comments between accounts stay.
        (
            "accounts:\n  # one\n  z: {}\n  a:\n    mode: report-only # soon\n    # who\n    allowlist: [\"b\"]\n\n  # two\n  y: {}\n",
            limited_b(),
            "accounts:\n  # one\n  z: {}\n  a:\n    mode: limited # soon\n    # who\n    allowlist: [\"b\"]\n\n  # two\n  y: {}\n",
        ),
        // Flow style, keys quoted or not.
        (
            "accounts:\n  'a': {mode: report-only,allowlist: [b]}   # x\n",
            limited_b(),
            "accounts:\n  'a': {mode: limited,allowlist: [b]}   # x\n",
        ),
        (
            "accounts: {z: {}, a: {mode: report-only, allowlist: [b]}, y: {}} # all\n",
            limited_b(),
            "accounts: {z: {}, a: {mode: limited, allowlist: [b]}, y: {}} # all\n",
        ),
        // One type changes: an entry of its own is added.
        (
            "accounts:\n  a: # x\n    mode: limited\n    allowlist: [b] # y\n  z: {}\n",
            set((ReportOnly, &["c"]), (Limited, &["b"]), (Limited, &["b"])),
            "accounts:\n  a: # x\n    mode: limited\n    allowlist: [b] # y\n    user: { mode: report-only, allowlist: [\"c\"] }\n  z: {}\n",
        ),
        (
            "accounts:\n  a: { mode: limited, allowlist: [b] }\n",
            set((Limited, &["b"]), (Limited, &["b"]), (Unrestricted, &[])),
            "accounts:\n  a: { mode: limited, allowlist: [b], service: { mode: unrestricted, allowlist: [] } }\n",
        ),
        // Types with a block of their own change there.
        (
            "accounts:\n  a:\n    mode: limited\n    allowlist: [b]\n    service_id:\n      # robots\n      mode: report-only # watch\n      allowlist: []\n",
            limited_b(),
            "accounts:\n  a:\n    mode: limited\n    allowlist: [b]\n    service_id:\n      # robots\n      mode: limited # watch\n      allowlist: [\"b\"]\n",
        ),
        // A block list loses and gains only what changes.
        (
            "accounts:\n  a:\n    mode: limited\n    allowlist: # who\n      - b # partner\n      - \"c\" # gone\n      - d # other\n",
            all(Limited, &["b", "d", "e"]),
            "accounts:\n  a:\n    mode: limited\n    allowlist: # who\n      - \"e\"\n      - b # partner\n      - d # other\n",
        ),
        (
            "accounts:\n  a:\n    mode: limited\n    allowlist:\n    - b\n",
            all(Limited, &[]),
            "accounts:\n  a:\n    mode: limited\n    allowlist:\n      []\n",
        ),
        (
            "accounts:\n  a:\n    mode: limited\n    allowlist:\n    - b\n",
            all(Limited, &["c"]),
            "accounts:\n  a:\n    mode: limited\n    allowlist:\n    - \"c\"\n",
        ),
        // The candidate is nobody's business here.
        (
            "accounts:\n  a:\n    mode: report-only\n    candidate: { mode: limited, allowlist: [x] } # try\n",
            limited_b(),
            "accounts:\n  a:\n    mode: limited\n    candidate: { mode: limited, allowlist: [x] } # try\n    allowlist: [\"b\"]\n",
        ),
        // An account that has nothing of its own.
        (
            "accounts:\n  a: {}\n",
            limited_b(),
            "accounts:\n  a: { mode: limited, allowlist: [\"b\"] }\n",
        ),
        // An account that is not there, after the last.
        (
            "accounts:\n  z: {} # last\n# tail\n",
            limited_b(),
            "accounts:\n  z: {} # last\n  \"a\":\n    mode: limited\n    allowlist: [\"b\"]\n# tail\n",
        ),
        (
            "accounts:\n    z:\n        mode: limited\n\ndefault: {} # d\n",
            set((Limited, &["b"]), (ReportOnly, &[]), (ReportOnly, &[])),
            "accounts:\n    z:\n        mode: limited\n    \"a\":\n      mode: report-only\n      allowlist: []\n      user: { mode: limited, allowlist: [\"b\"] }\n\ndefault: {} # d\n",
        ),
        (
            "accounts: {z: {}}\n",
            limited_b(),
            "accounts: {z: {}, \"a\": { mode: limited, allowlist: [\"b\"] }}\n",
        ),
        (
            "accounts: {}\n",
            limited_b(),
            "accounts: { \"a\": { mode: limited, allowlist: [\"b\"] }}\n",
        ),
        (
            "accounts: # none\ndefault: {}\n",
            limited_b(),
            "accounts: # none\n  \"a\":\n    mode: limited\n    allowlist: [\"b\"]\ndefault: {}\n",
        ),
        // What the default proposed is still proposed.
        (
            "default: { candidate: { user: { mode: limited } } }\naccounts:\n  z: {}\n",
            limited_b(),
            "default: { candidate: { user: { mode: limited } } }\naccounts:\n  z: {}\n  \"a\":\n    mode: limited\n    allowlist: [\"b\"]\n    candidate: { user: { mode: limited, allowlist: [] } }\n",
        ),
        // No `accounts` at all.
        (
            "default: {} # d",
            limited_b(),
            "default: {} # d\naccounts:\n  \"a\":\n    mode: limited\n    allowlist: [\"b\"]\n",
        ),
        // Other line ends.
        (
            "accounts:\r\n  a:\r\n    mode: limited\r\n  z: {}\r\n",
            limited_b(),
            "accounts:\r\n  a:\r\n    mode: limited\r\n    allowlist: [\"b\"]\r\n  z: {}\r\n",
        ),
        // An account named like a key, while the default has that key in the same column.
        (
            "default:\n  user: { mode: limited }\naccounts:\n  user: {}\n  a: { mode: report-only, allowlist: [b] }\n",
            limited_b(),
            "default:\n  user: { mode: limited }\naccounts:\n  user: {}\n  a: { mode: limited, allowlist: [b] }\n",
        ),
    ] {
        check(before, &wanted, after);
    }
}

#[test]
fn a_long_list_has_one_account_a_line() {
    let before = "accounts:\n  a: { mode: limited }\n";
    check(
        before,
        &all(Mode::Limited, &["b", "c", "d", "e", "f"]),
        "accounts:\n  a: { mode: limited, allowlist: [\n    \"b\",\n    \"c\",\n    \"d\",\n    \"e\",\n    \"f\"] }\n",
    );
}

#[test]
fn an_account_on_which_others_stand_is_written_anew_with_them() {
    let before = "accounts:\n  a: { mode: limited, allowlist: &l [b] }\n  z: { allowlist: *l }\n";
    let index = parse(before).unwrap();
    let edited = edit(before, &index, account("a"), &all(Mode::Limited, &[]));
    assert_eq!(edited.kept, Kept::Meaning);
    let after = parse(&edited.pieces(before).collect::<String>()).unwrap();
    assert!(same_enforced(after.setting(account("a")), &all(Mode::Limited, &[])));
    assert_eq!(after.setting(account("z")), index.setting(account("z")));
}

#[test]
fn a_document_written_anew_means_the_same() {
    let before = "default: { mode: report-only, service: { mode: limited } }\naccounts:\n  z: { mode: limited, allowlist: [1, 2, 3, 4, 5, 6], candidate: { user: { mode: report-only } } }\n  y: {}\n";
    let index = parse(before).unwrap();
    let after = parse(&render::document(&index)).unwrap();
    assert_eq!(after.default_setting(), index.default_setting());
    assert_eq!(after.len(), index.len());
    for (account, setting) in index.iter() {
        assert_eq!(after.listed(account), Some(setting));
    }
}

mod any_change {
    use proptest::prelude::*;

    use super::*;

    fn type_setting() -> impl Strategy<Value = crate::perimeter::TypeSetting> {
        let mode = prop::sample::select(Mode::ALL.to_vec());
        let list = prop::collection::vec("[bcdef]", 0..6);
        (mode, list).prop_map(|(mode, list)| {
            let list: Vec<&str> = list.iter().map(String::as_str).collect();
            of(mode, &list)
        })
    }

    fn document() -> impl Strategy<Value = String> {
        let member = prop::sample::select(vec![
            "mode: limited",
            "mode: report-only # why",
            "allowlist: [b, c]",
            "allowlist: # who\n      - b\n      - c # see\n",
            "user: { mode: limited }",
            "user:\n      allowlist:\n      - d\n",
            "service_id: { allowlist: [] }",
            "service: {}",
            "candidate: { mode: limited, allowlist: [e] }",
            "# a comment",
        ]);
        let block = prop::collection::vec(member, 0..6);
        (block.clone(), block, any::<bool>()).prop_map(|(own, other, listed)| {
            let body = |members: Vec<&str>| {
                let mut seen = Vec::new();
                let mut text = String::new();
                for member in members {
                    let key = member.split(':').next().unwrap().to_owned();
                    if !seen.contains(&key) {
                        text.push_str("\n    ");
                        text.push_str(member.trim_end());
                        seen.push(key);
                    }
                }
                if text.contains(':') { text } else { " {}".to_owned() }
            };
            let own = if listed { format!("  a:{}\n", body(own)) } else { String::new() };
            format!("# head\ndefault: {{ mode: report-only, allowlist: [c] }}\naccounts:\n  z: {{}}\n{own}  # next\n  y:{}\n# tail\n", body(other))
        })
    }

    proptest! {
        /// Whatever is wanted of whatever is written: it is there after, and all else as before.
        #[test]
        fn is_written_and_changes_nothing_else(
            before in document(),
            user in type_setting(),
            service_id in type_setting(),
            service in type_setting(),
        ) {
            let wanted = AccountSetting::new([user, service_id, service], [None, None, None]);
            let index = parse(&before).unwrap();
            let edited = edit(&before, &index, account("a"), &wanted);
            let after: String = edited.pieces(&before).collect();
            let parsed = parse(&after).unwrap();
            prop_assert!(same_enforced(parsed.setting(account("a")), &wanted), "{before}\n{after}");
            prop_assert_eq!(parsed.setting(account("a")), &edited.setting);
            for other in ["y", "z"] {
                prop_assert_eq!(parsed.setting(account(other)), index.setting(account(other)));
            }
            prop_assert_eq!(edited.kept, Kept::All, "{}\n{}", before, after);
            for comment in ["# head", "# next", "# tail"] {
                prop_assert!(after.contains(comment));
            }
        }
    }
}
