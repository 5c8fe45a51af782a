use super::*;

#[track_caller]
fn check_error(types: &str, expect: &str) {
    let body =
        format!("{{\"external_account_identity_interaction\":{{\"identity_types\":{types}}}}}");
    assert_eq!(read_patch(body.as_bytes()).unwrap_err(), expect);
}

#[test]
fn a_patch_may_name_some_types() {
    let patch = read_patch(
        br#"{"external_account_identity_interaction":{"identity_types":{
            "service":{"external_allowed_accounts":["b","a"],"state":"monitor"}}}}"#,
    )
    .unwrap();
    let [user, service_id, service] = patch.types;
    assert_eq!((user, service_id), (None, None));
    let service = service.unwrap();
    assert_eq!(service.mode, Mode::ReportOnly);
    assert_eq!(service.allowlist.len(), 2);
}

#[test]
fn types_with_one_list_share_it() {
    let own = r#"{"state":"limited","external_allowed_accounts":["b","a"]}"#;
    let body = format!(
        r#"{{"external_account_identity_interaction":{{"identity_types":{{"user":{own},"service":{own}}}}}}}"#
    );
    let [user, _, service] = read_patch(body.as_bytes()).unwrap().types;
    assert!(Arc::ptr_eq(&user.unwrap().allowlist, &service.unwrap().allowlist));
}

#[test]
fn what_is_wrong_is_named() {
    const TYPES: &str = "`external_account_identity_interaction.identity_types";
    for (types, of, expect) in [
        (
            r#"{"user":{"state":"off","external_allowed_accounts":[]}}"#,
            "user",
            "invalid value: string \"off\", expected `state` to be one of `enabled`, `monitor`, `limited` at line 1 column 14",
        ),
        (
            r#"{"service_id":{"state":"limited"}}"#,
            "service_id",
            "missing field `external_allowed_accounts` at line 1 column 19",
        ),
        (
            r#"{"service":{"external_allowed_accounts":[]}}"#,
            "service",
            "missing field `state` at line 1 column 32",
        ),
        (
            r#"{"user":{"state":"limited","external_allowed_accounts":"a"}}"#,
            "user",
            "invalid type: string \"a\", expected `external_allowed_accounts` to be a list of account ids at line 1 column 50",
        ),
        (
            r#"{"user":{"state":"limited","external_allowed_accounts":["a/b"]}}"#,
            "user",
            "`external_allowed_accounts`: `a/b`: an account has only the characters `A-Z a-z 0-9 _ -` at line 1 column 53",
        ),
        (
            r#"{"user":{"state":"limited","external_allowed_accounts":[],"x":1}}"#,
            "user",
            "unknown field `x`, expected `state` or `external_allowed_accounts` at line 1 column 53",
        ),
        (
            r#"{"user":{"state":"limited","state":"limited","external_allowed_accounts":[]}}"#,
            "user",
            "duplicate field `state` at line 1 column 26",
        ),
        (r#"{"user":[]}"#, "user", "expected an object"),
    ] {
        check_error(types, &format!("{TYPES}.{of}`: {expect}"));
    }
}

#[test]
fn other_bodies_are_refused_with_the_field() {
    for (body, field) in [
        ("", "EOF"),
        ("x", "line 1 column 1"),
        ("[]", "the body"),
        ("{}", "`external_account_identity_interaction`"),
        (r#"{"external_account_identity_interaction":{}}"#, "`identity_types`"),
        (
            r#"{"external_account_identity_interaction":{"identity_types":{"profile":{}}}}"#,
            "`profile`",
        ),
        (r#"{"external_account_identity_interaction":{"identity_types":{}},"x":1}"#, "`x`"),
        (r#"{"external_account_identity_interaction":[{}]}"#, "expected an object"),
        (
            r#"{"external_account_identity_interaction":{"identity_types":{"user":null,"x":1}}}"#,
            "`x`",
        ),
        (r#"{"external_account_identity_interaction":{"identity_types":{}}} x"#, "trailing"),
        ("\u{0}", "line 1"),
    ] {
        let error = read_patch(body.as_bytes()).unwrap_err();
        assert!(error.contains(field), "{body}: {error}");
    }
}

#[test]
fn a_setting_is_shown_in_the_api_words_and_in_order() {
    let list = Arc::new(["b", "a"].map(|id| AccountId::parse(id).unwrap()).into_iter().collect());
    let shown = serde_json::to_string(&document(&AccountSetting::uniform(Mode::Limited, list)));
    let own = r#"{"state":"limited","external_allowed_accounts":["a","b"]}"#;
    assert_eq!(
        shown.unwrap(),
        format!(
            r#"{{"external_account_identity_interaction":{{"identity_types":{{"user":{own},"service_id":{own},"service":{own}}}}}}}"#
        )
    );
}
