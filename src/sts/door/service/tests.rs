use super::*;

#[test]
fn paths_are_found_with_and_without_the_issuers() {
    let plain = "https://sts.example.com";
    let deep = "https://example.com/a/b";
    for (path, issuer, expected) in [
        ("/", plain, Some(Place::Door(Dialect::Aws))),
        ("/oauth2/token", plain, Some(Place::Door(Dialect::OAuth))),
        ("/identity/token", plain, Some(Place::Door(Dialect::Ibm))),
        ("/.well-known/jwks.json", plain, Some(Place::Jwks)),
        ("/.well-known/oauth-authorization-server", plain, Some(Place::Metadata)),
        ("/.well-known/oauth-authorization-server/a", plain, None),
        ("/oauth2/token/", plain, None),
        ("//", plain, None),
        ("/a/b", plain, None),
        ("/a/b", deep, Some(Place::Door(Dialect::Aws))),
        ("/a/b/", deep, Some(Place::Door(Dialect::Aws))),
        ("/a/b/oauth2/token", deep, Some(Place::Door(Dialect::OAuth))),
        ("/oauth2/token", deep, Some(Place::Door(Dialect::OAuth))),
        ("/a/bc/oauth2/token", deep, None),
        ("/a/b/.well-known/jwks.json", deep, Some(Place::Jwks)),
        ("/.well-known/oauth-authorization-server/a/b", deep, Some(Place::Metadata)),
        ("/.well-known/oauth-authorization-server", deep, Some(Place::Metadata)),
        ("/.well-known/oauth-authorization-server/a", deep, None),
        ("/.well-known/oauth-authorization-servers", deep, None),
    ] {
        assert_eq!(place(path, issuer), expected, "{path} of {issuer}");
    }
}

#[test]
fn a_form_says_that_it_is_one() {
    let is = |values: &[&str]| {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(CONTENT_TYPE, HeaderValue::try_from(*value).unwrap());
        }
        is_form(&headers)
    };
    for value in [
        "application/x-www-form-urlencoded",
        "application/x-www-form-urlencoded; charset=utf-8",
        "Application/X-WWW-Form-Urlencoded ;charset=UTF-8",
    ] {
        assert!(is(&[value]), "{value}");
    }
    for value in
        ["application/json", "multipart/form-data", "", "application/x-www-form-urlencodedx"]
    {
        assert!(!is(&[value]), "{value}");
    }
    assert!(!is(&[]));
    let form = "application/x-www-form-urlencoded";
    assert!(!is(&[form, form]));
}
