use std::path::Path;

use super::*;

#[track_caller]
fn check(text: &str, expect: &[&str]) {
    let file = Path::new("settings.yaml");
    let mut findings = Findings::new(file, text);
    let observed = || Observed {
        owners: BTreeSet::from([AccountId::parse("seen").unwrap()]),
        extent: Extent::All,
    };
    if let Some(index) = parse(text, &mut findings) {
        let document = node::read(text, NODES_MAX, &mut findings).unwrap();
        lint(&document, &index, &observed, &mut findings);
    }
    let list = findings.into_sorted();
    let got: Vec<String> = list
        .iter()
        .map(|it| format!("{} {}: {}", it.severity.as_str(), it.at, it.message))
        .collect();
    assert_eq!(got, expect, "{text}");
}

#[test]
fn what_cannot_be_read_is_an_error_with_its_place() {
    check("default: { mode: limitd }\n", &["error 1:18: unknown mode `limitd`"]);
    check("", &["error 1:1: the document is empty"]);
}

#[test]
fn sound_settings_have_no_findings() {
    check(
        "default: { mode: unrestricted, allowlist: [] }\naccounts:\n  a:\n    mode: report-only\n    \
         allowlist: [b]\n    candidate: { mode: limited, allowlist: [] }\n  seen: { mode: limited }\n",
        &[],
    );
}

#[test]
fn an_allowlist_that_names_its_own_account_is_found_at_every_level() {
    check(
        "accounts:\n  a:\n    mode: report-only\n    allowlist: [b, a]\n    user: { mode: report-only, \
         allowlist: [\"a\"] }\n    candidate: { mode: limited, service: { allowlist: [a] } }\n",
        &[
            "warning 4:20: the allowlist of account `a` names the account itself",
            "warning 5:44: the allowlist of account `a` names the account itself",
            "warning 6:56: the allowlist of account `a` names the account itself",
        ],
    );
}

#[test]
fn limited_without_an_observation_is_found_at_its_mode() {
    let never = "is `limited` and was never observed: the event log has no report-only or candidate \
                 evaluation of it";
    check(
        "accounts:\n  a: { mode: limited }\n  seen: { mode: limited }\n  c:\n    mode: report-only\n    \
         service_id: { mode: limited, allowlist: [] }\n",
        &[
            &format!("warning 2:14: account `a` {never}"),
            &format!("warning 6:25: account `c` {never}"),
        ],
    );
}

#[test]
fn an_allowlist_of_an_unrestricted_mode_has_no_effect() {
    let message =
        "the allowlist has no effect: the mode is `unrestricted`, so every account comes in";
    check(
        "default: { mode: unrestricted, allowlist: [x] }\naccounts:\n  a: { mode: unrestricted, \
         allowlist: [b] }\n  b: { mode: report-only, user: { mode: unrestricted, allowlist: [c] } }\n",
        &[
            &format!("warning 1:43: {message}"),
            &format!("warning 3:39: {message}"),
            &format!("warning 4:66: {message}"),
        ],
    );
    // One type is restricted, so the account's list has its effect.
    check("accounts:\n  a: { allowlist: [b], user: { mode: report-only } }\n", &[]);
}

#[test]
fn a_candidate_that_changes_nothing_is_found() {
    let same = "accounts:\n  a:\n    mode: report-only\n    allowlist: [b]\n    candidate: { mode: \
                report-only, allowlist: [b] }\n";
    check(same, &["warning 5:5: the candidate of account `a` is what is in force"]);
    check(&same.replace("{ mode: report-only", "{ mode: limited"), &[]);
}

#[test]
fn a_limited_default_without_accounts_is_found() {
    let message = "the default is `limited` and no account is listed: only an owner's own identities \
                   come in";
    check("default: { mode: limited }\n", &[&format!("warning 1:18: {message}")]);
    check("default: { mode: limited }\naccounts:\n  seen: { mode: limited }\n", &[]);
}
