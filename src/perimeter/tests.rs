use std::sync::Arc;

use super::*;
use crate::iam::IdentityType;
use crate::verdict::{Decision, Mode, Reason};

fn account(text: &str) -> AccountId {
    AccountId::parse(text).unwrap()
}

fn caller(account_of_token: Option<&str>, identity_type: IdentityType) -> Identity {
    Identity {
        account: account_of_token.map(account),
        identity_type,
        principal: "arn:aws:iam::c:user/u".into(),
        name: "".into(),
        authn_name: "".into(),
        subject: "u".into(),
        ..Identity::sample()
    }
}

fn limited(allowed: &[&str]) -> AccountSetting {
    AccountSetting::uniform(Mode::Limited, Arc::new(allowed.iter().map(|a| account(a)).collect()))
}

fn index(setting: AccountSetting) -> SettingsIndex {
    SettingsIndex::default().with_account(account("owner"), setting)
}

#[track_caller]
fn check_user(setting: AccountSetting, of: Option<&str>, expect: (Decision, Reason)) {
    let verdicts =
        check(&index(setting), account("owner"), &caller(of, IdentityType::User)).unwrap();
    assert_eq!((verdicts.enforced.decision, verdicts.enforced.reason), expect);
}

#[test]
fn an_empty_allowlist_admits_only_the_owner() {
    let own = caller(Some("owner"), IdentityType::User);
    assert_eq!(check(&index(limited(&[])), account("owner"), &own), None);
    check_user(limited(&[]), Some("other"), (Decision::Deny, Reason::AccountNotAllowed));
}

#[test]
fn an_allowlisted_account_is_permitted_and_its_namesakes_are_not() {
    let setting = || limited(&["partner"]);
    check_user(setting(), Some("partner"), (Decision::Permit, Reason::AccountAllowlisted));
    for other in ["Partner", "partner1", "artner"] {
        check_user(setting(), Some(other), (Decision::Deny, Reason::AccountNotAllowed));
    }
}

#[test]
fn a_caller_without_account_is_external_to_every_account() {
    check_user(limited(&["partner"]), None, (Decision::Deny, Reason::NoAccount));
}

#[test]
fn only_a_limited_denial_rejects() {
    for mode in Mode::ALL {
        for of in ["partner", "stranger"] {
            let setting =
                AccountSetting::uniform(mode, Arc::new([account("partner")].into_iter().collect()));
            let verdicts =
                check(&index(setting), account("owner"), &caller(Some(of), IdentityType::User))
                    .unwrap();
            assert_eq!(
                verdicts.enforced.rejects(),
                mode == Mode::Limited && of == "stranger",
                "{mode:?} {of}"
            );
        }
    }
}

#[test]
fn each_identity_type_has_its_own_setting() {
    let setting = limited(&[]).with_enforced(IdentityType::ServiceId, TypeSetting::default());
    let settings = index(setting);
    for (identity_type, rejected) in [
        (IdentityType::User, true),
        (IdentityType::ServiceId, false),
        (IdentityType::Service, true),
    ] {
        let verdicts =
            check(&settings, account("owner"), &caller(Some("x"), identity_type)).unwrap();
        assert_eq!(verdicts.enforced.rejects(), rejected, "{identity_type:?}");
    }
}

#[test]
fn a_candidate_is_decided_beside_and_never_instead() {
    let proposed = limited(&[]).enforced(IdentityType::User).clone();
    let setting = AccountSetting::new(Default::default(), [Some(proposed), None, None]);
    let verdicts =
        check(&index(setting), account("owner"), &caller(Some("x"), IdentityType::User)).unwrap();
    assert!(!verdicts.enforced.rejects());
    assert_eq!(verdicts.candidate.unwrap().decision, Decision::Deny);
    assert_eq!(verdicts.candidate.unwrap().mode, Mode::Limited);
}

#[test]
fn a_change_of_one_account_shares_all_other_shards() {
    let before = SettingsIndex::from_accounts(
        AccountSetting::default(),
        (0..5000).map(|i| (account(&format!("a{i}")), limited(&["partner"]))),
    );
    let after = before.with_account(account("a17"), AccountSetting::default());
    assert_eq!(after.len(), 5000);
    assert_eq!(before.listed(account("a17")), Some(&limited(&["partner"])));
    assert_eq!(after.listed(account("a17")), Some(&AccountSetting::default()));
    assert_eq!(before.shards_not_shared_with(&after), 1);
}
