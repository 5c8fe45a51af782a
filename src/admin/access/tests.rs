use http::header::HeaderName;

use super::*;

const LOCAL: &str = "127.0.0.1";
const MAPPED: &str = "::ffff:127.0.0.1";
const FAR: &str = "192.0.2.1";

fn headers(entries: &[(HeaderName, &str)]) -> HeaderMap {
    entries.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect()
}

fn authorization(value: &str) -> HeaderMap {
    headers(&[(AUTHORIZATION, value)])
}

fn with_token(token: &str) -> (tempfile::TempDir, AdminAccess) {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("token"), token).unwrap();
    let access = AdminAccess::token_file(&directory.path().join("token")).unwrap();
    (directory, access)
}

#[test]
fn without_a_token_only_loopback_has_access() {
    let access = AdminAccess::loopback();
    let none = HeaderMap::new();
    for peer in [LOCAL, "::1", MAPPED, "127.8.8.8"] {
        assert_eq!(access.read(peer.parse().unwrap(), &none), Ok(LOOPBACK), "{peer}");
        assert_eq!(access.write(peer.parse().unwrap(), &none), Ok(LOOPBACK), "{peer}");
    }
    for peer in [FAR, "::ffff:192.0.2.1", "fe80::1"] {
        let any = authorization("Bearer x");
        assert_eq!(access.read(peer.parse().unwrap(), &any), Err(Denied::Elsewhere), "{peer}");
        assert_eq!(access.write(peer.parse().unwrap(), &any), Err(Denied::Elsewhere), "{peer}");
    }
}

#[test]
fn without_a_token_web_pages_do_not_write() {
    let page = headers(&[(ORIGIN, "http://127.0.0.1:9901")]);
    assert_eq!(AdminAccess::loopback().write(LOCAL.parse().unwrap(), &page), Err(Denied::Page));
}

#[test]
fn with_a_token_writes_and_far_reads_need_it() {
    let (_directory, access) = with_token("s3cret\n");
    let local = LOCAL.parse().unwrap();
    let far = FAR.parse().unwrap();
    assert_eq!(access.read(local, &HeaderMap::new()), Ok(LOOPBACK));
    for right in ["Bearer s3cret", "bearer s3cret", "BEARER  s3cret"] {
        assert_eq!(access.write(local, &authorization(right)), Ok(TOKEN), "{right}");
        assert_eq!(access.read(far, &authorization(right)), Ok(TOKEN), "{right}");
    }
    for wrong in
        ["", "Bearer", "Bearer ", "Bearer s3cre", "Bearer s3cret2", "Basic s3cret", "s3cret"]
    {
        assert_eq!(access.write(local, &authorization(wrong)), Err(Denied::Token), "{wrong}");
        assert_eq!(access.read(far, &authorization(wrong)), Err(Denied::Token), "{wrong}");
    }
    let mut twice = authorization("Bearer s3cret");
    twice.append(AUTHORIZATION, HeaderValue::from_static("Bearer s3cret"));
    assert_eq!(access.write(local, &twice), Err(Denied::Token));
}

#[test]
fn the_token_is_read_again_and_a_bad_one_is_refused() {
    let (directory, access) = with_token("old");
    let path = directory.path().join("token");
    let local = LOCAL.parse().unwrap();
    fs::write(&path, "newer").unwrap();
    assert_eq!(access.write(local, &authorization("Bearer old")), Err(Denied::Token));
    assert_eq!(access.write(local, &authorization("Bearer newer")), Ok(TOKEN));
    fs::write(&path, "").unwrap();
    assert_eq!(access.write(local, &authorization("Bearer ")), Err(Denied::Token));
    assert_eq!(access.write(local, &authorization("Bearer newer")), Ok(TOKEN));
}

#[test]
fn a_file_without_a_token_is_an_error_that_shows_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("token");
    assert!(AdminAccess::token_file(&path).is_err());
    for content in ["", "\n", "s3cret two"] {
        fs::write(&path, content).unwrap();
        let error = AdminAccess::token_file(&path).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("s3cret"));
    }
    let (_directory, access) = with_token("s3cret");
    assert!(!format!("{access:?}").contains("s3cret"));
}
