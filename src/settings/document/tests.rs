use super::*;

fn id(text: &str) -> AccountId {
    AccountId::parse(text).unwrap()
}

/// What an account has, as one line: each type's mode and list, then the candidate's.
fn shown(index: &SettingsIndex, account: &str) -> String {
    let setting = index.setting(id(account));
    let one = |own: &crate::perimeter::TypeSetting| {
        let mut list: Vec<&str> = own.allowlist.iter().map(AccountId::as_str).collect();
        list.sort_unstable();
        format!("{}{list:?}", own.mode.as_str()).replace('"', "")
    };
    let enforced = IdentityType::ALL.map(|kind| one(setting.enforced(kind)));
    let proposed =
        IdentityType::ALL.map(|kind| setting.candidate(kind).map_or("-".to_owned(), one));
    format!("{} | {}", enforced.join(" "), proposed.join(" "))
}

#[track_caller]
fn check(text: &str, account: &str, expect: &str) {
    assert_eq!(shown(&parse(text).unwrap(), account), expect);
}

#[test]
fn accounts_inherit_as_documented() {
    let text = "\
default: { mode: report-only, allowlist: [d], service: { mode: limited, allowlist: [e] } }
accounts:
  both: { mode: limited, allowlist: [x] }
  mode_only: { mode: limited }
  list_only: { allowlist: [x] }
  nothing: {}
  typed: { user: { mode: limited }, service_id: { allowlist: [] } }
  wins: { mode: limited, allowlist: [x], service: { mode: unrestricted } }
";
    for (account, expect) in [
        ("unlisted", "report-only[d] report-only[d] limited[e] | - - -"),
        ("both", "limited[x] limited[x] limited[x] | - - -"),
        ("mode_only", "limited[] limited[] limited[] | - - -"),
        ("list_only", "report-only[x] report-only[x] limited[x] | - - -"),
        ("nothing", "report-only[d] report-only[d] limited[e] | - - -"),
        ("typed", "limited[d] report-only[] limited[e] | - - -"),
        ("wins", "limited[x] limited[x] unrestricted[x] | - - -"),
    ] {
        check(text, account, expect);
    }
}

#[test]
fn candidates_cover_what_they_name() {
    let text = "\
accounts:
  whole: { mode: report-only, allowlist: [x], candidate: { mode: limited } }
  list: { mode: report-only, allowlist: [x], candidate: { allowlist: [y] } }
  typed: { mode: report-only, allowlist: [x], candidate: { service: { mode: limited } } }
  none: { mode: limited, candidate: {} }
";
    for (account, expect) in [
        ("whole", "report-only[x] report-only[x] report-only[x] | limited[] limited[] limited[]"),
        (
            "list",
            "report-only[x] report-only[x] report-only[x] \
             | report-only[y] report-only[y] report-only[y]",
        ),
        ("typed", "report-only[x] report-only[x] report-only[x] | - - limited[x]"),
        ("none", "limited[] limited[] limited[] | - - -"),
    ] {
        check(text, account, expect);
    }
}

#[test]
fn the_default_may_come_last_and_aliases_share() {
    let text = "\
accounts:
  111111111111: { allowlist: &partners [000000000012, 'a', \"b\"] }
  c: { mode: &m limited, allowlist: *partners }
  d: &d { mode: *m, allowlist: [z] }
  e: *d
default: { mode: report-only }
";
    check(
        text,
        "111111111111",
        "report-only[000000000012, a, b] report-only[000000000012, a, b] \
         report-only[000000000012, a, b] | - - -",
    );
    check(text, "e", "limited[z] limited[z] limited[z] | - - -");
    let index = parse(text).unwrap();
    let list = |account| &index.setting(id(account)).enforced(IdentityType::User).allowlist;
    assert!(Arc::ptr_eq(list("111111111111"), list("c")));
}

#[test]
fn equal_lists_are_one() {
    let index =
        parse("accounts:\n  a: { allowlist: [x, y] }\n  b: { allowlist: [y, x] }\n").unwrap();
    let list = |account| &index.setting(id(account)).enforced(IdentityType::User).allowlist;
    assert!(Arc::ptr_eq(list("a"), list("b")));
}

#[test]
fn a_document_without_accounts_is_one() {
    for text in ["{}", "accounts:\n", "accounts: {}\n", "---\naccounts:\n...\n", "default: {}"] {
        assert_eq!(parse(text).unwrap().len(), 0, "{text:?}");
    }
}

#[test]
fn bad_documents_are_refused_with_place_and_reason() {
    for (text, expect) in [
        ("", "1:1: the document is empty; hint: `accounts: {}` says that there are none"),
        ("# x\n", "2:1: the document is empty; hint: `accounts: {}` says that there are none"),
        ("---\n", "1:4: the document is empty; hint: `accounts: {}` says that there are none"),
        ("null", "1:1: the document is empty; hint: `accounts: {}` says that there are none"),
        ("limited", "1:1: expected a mapping with `default` and `accounts`"),
        ("- a\n", "1:1: expected a mapping with `default` and `accounts`"),
        ("account:\n", "1:1: unknown key `account`; hint: `accounts`"),
        ("zzz: 1\n", "1:1: unknown key `zzz`; known are `default`, `accounts`"),
        ("accounts: {}\naccounts: {}\n", "2:1: key `accounts` is there twice"),
        ("accounts: [a]\n", "1:11: expected a mapping of accounts"),
        ("accounts:\n  a: {}\n  a: {}\n", "3:3: account `a` is there twice"),
        ("accounts:\n  a: {}\n  \"a\": {}\n", "3:3: account `a` is there twice"),
        (
            "accounts:\n  a b: {}\n",
            "2:3: `a b` is no account: an account has only the characters `A-Z a-z 0-9 _ -`",
        ),
        ("accounts:\n  \"\": {}\n", "2:3: `` is no account: an account is not empty"),
        ("accounts:\n  a: { mode: limited, mode: limited }\n", "2:23: key `mode` is there twice"),
        ("accounts:\n  a: { mod: limited }\n", "2:8: unknown key `mod`; hint: `mode`"),
        ("accounts:\n  a: { serviceid: {} }\n", "2:8: unknown key `serviceid`; hint: `service_id`"),
        (
            "accounts:\n  a: { user: { candidate: {} } }\n",
            "2:16: unknown key `candidate`; known are `mode`, `allowlist`",
        ),
        (
            "accounts:\n  a: { mode: monitor }\n",
            "2:14: unknown mode `monitor`; hint: `report-only`",
        ),
        (
            "accounts:\n  a: { mode: enabled }\n",
            "2:14: unknown mode `enabled`; hint: `unrestricted`",
        ),
        ("accounts:\n  a: { mode: Limited }\n", "2:14: unknown mode `Limited`; hint: `limited`"),
        (
            "accounts:\n  a: { mode: off }\n",
            "2:14: unknown mode `off`; it is one of `unrestricted`, `report-only`, `limited`",
        ),
        (
            "accounts:\n  a:\n    mode:\n",
            "3:9: the mode is empty; it is one of `unrestricted`, `report-only`, `limited`",
        ),
        (
            "accounts:\n  a: { allowlist: b }\n",
            "2:19: expected a list of accounts; hint: `[]` admits only the owner",
        ),
        ("accounts:\n  a: { allowlist: [[b]] }\n", "2:20: expected an account"),
        ("accounts:\n  a:\n", "2:4: expected a mapping with `mode` and `allowlist`"),
        ("accounts:\n  a: !x {}\n", "2:9: a tag has no meaning here"),
        (
            "accounts:\n  a: { allowlist: &l [b], mode: *l }\n",
            "2:33: an alias must stand for a value that fits here",
        ),
        ("accounts: {}\n---\naccounts: {}\n", "2:1: a file holds one YAML document"),
    ] {
        let error = parse(text).map(drop).unwrap_err();
        assert_eq!(error.to_string(), expect, "{text:?}");
    }
}

#[test]
fn what_is_not_yaml_is_refused_with_its_place() {
    for (text, line) in [
        ("accounts: {\n", 1),
        ("accounts:\n\ta: {}\n", 2),
        ("accounts:\n  a: {}\n b: {}\n", 3),
        ("accounts:\n  a: { mode: \"lim\n", 2),
        ("accounts:\n  a: *nobody\n", 2),
    ] {
        let error = parse(text).map(drop).unwrap_err();
        assert!(error.reason.starts_with("not YAML: "), "{text:?}: {error}");
        assert_eq!(error.position.line, line, "{text:?}: {error}");
    }
    let deep = format!("accounts: {}", "[".repeat(100_000));
    assert!(parse(&deep).is_err());
}

#[test]
fn an_account_is_found() {
    let text = "accounts:\n  a: {}\n  \"b\": {}\n";
    assert_eq!(position(text, id("b")).unwrap().to_string(), "3:3");
    assert_eq!(position(text, id("c")), None);
}

#[test]
fn the_next_version_shares_lists_that_stay() {
    let text = "accounts:\n  a: { allowlist: [x, y] }\n";
    let one = parse(text).unwrap();
    let two = parse_after(&text.replace("a:", "b: { allowlist: [x] }\n  a:"), &one).unwrap();
    let list = |index: &SettingsIndex, account| {
        Arc::clone(&index.setting(id(account)).enforced(IdentityType::User).allowlist)
    };
    assert!(Arc::ptr_eq(&list(&one, "a"), &list(&two, "a")));
    assert_eq!(list(&two, "b").len(), 1);
}
