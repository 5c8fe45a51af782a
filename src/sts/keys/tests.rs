use std::fs::{self, File, FileTimes, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::time::{Instant, UNIX_EPOCH};

use aws_lc_rs::signature::{ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair};
use data_encoding::{BASE64, BASE64URL_NOPAD, HEXLOWER};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::token::{
    ClaimsMapping, IssuerSpec, JwksLocation, JwksSource, KeySet, KeySets, TokenError, verify,
};

/// 2026-11-28T18:41:00Z
const START: UnixSeconds = UnixSeconds(1_795_891_260);

const MINUTE: Duration = Duration::from_mins(1);
const DAY: Duration = Duration::from_hours(24);

/// A directory for keys that does not exist yet.
struct Place {
    directory: TempDir,
}

impl Place {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("deep").join("sts-keys")
    }

    /// Rotates after 30 days, publishes 10 minutes ahead, and for 13 hours more.
    fn spec(&self, algorithm: Algorithm) -> KeysSpec {
        KeysSpec {
            directory: self.path(),
            algorithm,
            rotate: 30 * DAY,
            overlap: Duration::from_hours(13),
        }
    }

    fn open(&self, now: UnixSeconds) -> Result<SessionKeys, SessionKeysError> {
        SessionKeys::open(self.spec(Algorithm::Es256), now)
    }

    /// Puts a key in place that crossgate did not make.
    fn give(&self, name: &str, text: &str, modified: UnixSeconds) -> PathBuf {
        let path = self.path().join(name);
        fs::create_dir_all(self.path()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        let modified = UNIX_EPOCH + Duration::from_secs(modified.0);
        File::open(&path).unwrap().set_times(FileTimes::new().set_modified(modified)).unwrap();
        path
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path()).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.retain(|name| name != ".lock");
        names.sort();
        names
    }

    fn key_files(&self) -> Vec<String> {
        let is_key = |name: &String| Path::new(name).extension().is_some_and(|it| it == "pem");
        self.names().into_iter().filter(is_key).collect()
    }
}

fn pem_of(algorithm: Algorithm) -> (String, String) {
    let (key, text) = SigningKey::generate(algorithm).unwrap();
    (key.kid().to_owned(), text)
}

fn claims(now: UnixSeconds) -> Vec<u8> {
    let claims = json!({ "iss": "https://sts", "aud": ["orders"], "sub": "ada", "account": "own",
                         "exp": now.plus(Duration::from_hours(12)).0 });
    claims.to_string().into_bytes()
}

/// Whether crossgate accepts a token by published keys.
fn accepts(jwks: &[u8], token: &str, now: UnixSeconds) -> Result<(), TokenError> {
    let spec = IssuerSpec {
        issuer: "https://sts".into(),
        audiences: vec!["orders".into()],
        algorithms: Algorithm::OF_SESSIONS.to_vec(),
        jwks: JwksSource {
            location: JwksLocation::File("jwks.json".into()),
            refresh: MINUTE,
            unknown_kid_interval: MINUTE,
            timeout: MINUTE,
        },
        leeway: Duration::ZERO,
        claims: ClaimsMapping::Pointers(crate::token::PointerMapping {
            account: "/account".into(),
            identity_type: None,
            identity_types: Vec::new(),
            principal: "{sub}".into(),
            session_tags: None,
            mfa: None,
        }),
    };
    let keys = KeySet::parse(jwks).unwrap();
    assert_eq!(keys.skipped(), []);
    verify(token, &KeySets::new(vec![spec]).with_keys("https://sts", keys), now).map(|_| ())
}

fn kids(jwks: &[u8]) -> Vec<String> {
    let jwks: Value = serde_json::from_slice(jwks).unwrap();
    let keys = jwks["keys"].as_array().unwrap().iter();
    keys.map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

fn header(token: &str) -> Value {
    let header = BASE64URL_NOPAD.decode(token.split('.').next().unwrap().as_bytes()).unwrap();
    serde_json::from_slice(&header).unwrap()
}

fn own_name(day: &str, kid: &str) -> String {
    format!("{day}T184100Z-{}.pem", kid.get(..8).unwrap())
}

/// The name of the key that signs now.
fn signs(keys: &SessionKeys) -> String {
    header(&keys.sign(b"{}").unwrap())["kid"].as_str().unwrap().to_owned()
}

#[test]
fn a_token_of_each_algorithm_is_accepted_by_the_published_keys() {
    for algorithm in Algorithm::OF_SESSIONS {
        let place = Place::new();
        let keys = SessionKeys::open(place.spec(algorithm), START).unwrap();
        let token = keys.sign(&claims(START)).unwrap();
        assert_eq!(accepts(&keys.jwks(), &token, START), Ok(()), "{algorithm}");
        let kid = signs(&keys);
        let expect = json!({ "alg": algorithm.as_str(), "kid": kid, "typ": "JWT" });
        assert_eq!(header(&token), expect);
        let jwks: Value = serde_json::from_slice(&keys.jwks()).unwrap();
        let key = &jwks["keys"][0];
        let members: Vec<&String> = key.as_object().unwrap().keys().collect();
        let expect: &[&str] = match algorithm {
            Algorithm::Es256 => &["alg", "crv", "kid", "kty", "use", "x", "y"],
            Algorithm::Rs256 => &["alg", "e", "kid", "kty", "n", "use"],
            _ => &["alg", "crv", "kid", "kty", "use", "x"],
        };
        assert_eq!(members, expect);
        assert_eq!((&key["alg"], &key["use"]), (&json!(algorithm.as_str()), &json!("sig")));
        let other = SessionKeys::open(Place::new().spec(algorithm), START).unwrap();
        let unknown = accepts(&other.jwks(), &token, START).unwrap_err();
        assert!(matches!(unknown, TokenError::UnknownKey { .. }), "{unknown}");
        // After a restart it is the same key.
        let again = SessionKeys::open(place.spec(algorithm), START.plus(DAY)).unwrap();
        assert_eq!(signs(&again), kid);
        assert_eq!(again.jwks(), keys.jwks());
    }
}

/// RFC 8037, appendix A.
#[test]
fn a_key_is_named_by_its_thumbprint() {
    let seed = BASE64URL_NOPAD.decode(b"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A").unwrap();
    let prefix = HEXLOWER.decode(b"302e020100300506032b657004220420").unwrap();
    let body = BASE64.encode(&[prefix, seed].concat());
    let text = format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n");
    let key = SigningKey::parse(text.as_bytes()).unwrap();
    assert_eq!(key.kid(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    let jwk: Value = serde_json::from_str(key.jwk()).unwrap();
    assert_eq!(jwk["x"], "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");
}

#[test]
fn keys_rotate_so_that_no_token_ends_before_its_time() {
    let place = Place::new();
    let keys = place.open(START).unwrap();
    let first = signs(&keys);
    assert_eq!(place.key_files(), [own_name("2026-11-28", &first)]);
    keys.renew(START.plus(29 * DAY)).unwrap();
    assert_eq!(kids(&keys.jwks()), [first.as_str()]);

    let made = START.plus(30 * DAY);
    keys.renew(made).unwrap();
    let published = kids(&keys.jwks());
    assert_eq!(published.len(), 2, "the next key is published");
    assert_eq!((&published[0], &signs(&keys)), (&first, &first), "and does not sign yet");
    keys.renew(made.plus(9 * MINUTE)).unwrap();
    assert_eq!(signs(&keys), first);
    let before = keys.jwks();

    let takeover = made.plus(10 * MINUTE);
    let old_token = keys.sign(&claims(takeover)).unwrap();
    keys.renew(takeover).unwrap();
    let second = signs(&keys);
    assert_eq!(published, [first.as_str(), second.as_str()]);
    let new_token = keys.sign(&claims(takeover)).unwrap();
    assert_eq!(accepts(&before, &new_token, takeover), Ok(()), "others know it already");

    let last = takeover.plus(Duration::from_hours(12)).minus(Duration::from_secs(1));
    keys.renew(last).unwrap();
    assert_eq!(accepts(&keys.jwks(), &old_token, last), Ok(()), "the last token of the first key");
    assert_eq!(place.key_files().len(), 2);

    keys.renew(takeover.plus(Duration::from_hours(13))).unwrap();
    assert_eq!(kids(&keys.jwks()), [second.as_str()]);
    assert_eq!(place.key_files(), [own_name("2026-12-28", &second)]);
    assert_eq!(keys.jwks(), fs::read(place.path().join("jwks.json")).unwrap());
}

#[test]
fn a_proxy_that_was_away_for_long_goes_on_with_a_key_that_others_know() {
    let place = Place::new();
    let first = signs(&place.open(START).unwrap());
    let now = START.plus(400 * DAY);
    let keys = place.open(now).unwrap();
    assert_eq!(signs(&keys), first);
    assert_eq!(kids(&keys.jwks()).len(), 2);
    keys.renew(now.plus(10 * MINUTE)).unwrap();
    assert_ne!(signs(&keys), first);
}

#[test]
fn a_given_key_signs_and_its_file_stays() {
    let place = Place::new();
    let (given, text) = pem_of(Algorithm::Es256);
    let path = place.give("mine.pem", &text, START);
    let keys = place.open(START).unwrap();
    assert_eq!((signs(&keys), kids(&keys.jwks())), (given.clone(), vec![given.clone()]));
    assert_eq!(place.key_files(), ["mine.pem"]);
    // It is followed by one that crossgate makes, unless another is given.
    let (next, text) = pem_of(Algorithm::Es256);
    let gave = START.plus(20 * DAY);
    place.give("next.pem", &text, gave);
    keys.renew(gave).unwrap();
    assert_eq!((signs(&keys), kids(&keys.jwks())), (given.clone(), vec![given, next.clone()]));
    keys.renew(gave.plus(10 * MINUTE)).unwrap();
    assert_eq!(signs(&keys), next);
    keys.renew(gave.plus(DAY)).unwrap();
    assert_eq!(kids(&keys.jwks()), [next]);
    assert!(path.exists(), "only what crossgate made is removed");
    keys.renew(gave.plus(30 * DAY)).unwrap();
    assert_eq!(place.key_files().len(), 3);
}

#[test]
fn a_key_of_another_algorithm_signs_no_more_and_is_published_for_its_tokens() {
    let place = Place::new();
    let old = place.open(START).unwrap();
    let token = old.sign(&claims(START)).unwrap();
    let now = START.plus(MINUTE);
    let keys = SessionKeys::open(place.spec(Algorithm::EdDsa), now).unwrap();
    assert_eq!(header(&keys.sign(b"{}").unwrap())["alg"], "EdDSA");
    assert_eq!(accepts(&keys.jwks(), &token, now), Ok(()));
    keys.renew(now.plus(DAY)).unwrap();
    assert_eq!(kids(&keys.jwks()), [signs(&keys)]);
}

#[test]
fn a_key_that_is_taken_away_ends_its_sessions_and_another_signs() {
    let place = Place::new();
    let keys = place.open(START).unwrap();
    let leaked = signs(&keys);
    let token = keys.sign(&claims(START)).unwrap();
    let [file] = place.key_files().try_into().unwrap();
    fs::remove_file(place.path().join(file)).unwrap();
    keys.renew(START.plus(MINUTE)).unwrap();
    assert_ne!(signs(&keys), leaked);
    let unknown = accepts(&keys.jwks(), &token, START).unwrap_err();
    assert!(matches!(unknown, TokenError::UnknownKey { .. }), "{unknown}");
}

#[test]
fn many_that_open_one_directory_make_one_key() {
    let place = Place::new();
    let opened: Vec<SessionKeys> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| place.open(START).unwrap())).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(place.key_files().len(), 1);
    let first = signs(&opened[0]);
    assert!(opened.iter().all(|keys| signs(keys) == first));
    // What one makes, the others take over.
    let made = START.plus(30 * DAY);
    std::thread::scope(|scope| {
        for keys in &opened {
            scope.spawn(|| keys.renew(made).unwrap());
        }
    });
    assert_eq!(place.key_files().len(), 2);
    for keys in &opened {
        keys.renew(made.plus(10 * MINUTE)).unwrap();
        assert_eq!(keys.jwks(), opened[0].jwks());
        assert_ne!(signs(keys), first);
        assert_eq!(signs(keys), signs(&opened[0]));
    }
}

#[test]
fn only_crossgate_reads_its_keys() {
    let place = Place::new();
    place.open(START).unwrap();
    let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(place.path()), 0o700);
    assert_eq!(mode(place.path().join(&place.key_files()[0])), 0o600);
    assert_eq!(mode(place.path().join("jwks.json")), 0o644);
    assert_eq!(mode(place.path().join(".lock")), 0o600);
}

#[test]
fn no_key_that_others_may_know_is_used() {
    let place = Place::new();
    let path = place.give("a.pem", &pem_of(Algorithm::Es256).1, START);
    for mode in [0o640, 0o604, 0o601, 0o660] {
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        let error = place.open(START).unwrap_err().to_string();
        let expect = format!(
            "others may use the key of session tokens `{}` (mode {mode:04o}); hint: `chmod 0600`, and another \
             key if somebody did",
            path.display()
        );
        assert_eq!(error, expect);
    }
    fs::set_permissions(&path, Permissions::from_mode(0o400)).unwrap();
    place.open(START).unwrap();
    fs::set_permissions(place.path(), Permissions::from_mode(0o707)).unwrap();
    let error = place.open(START).unwrap_err().to_string();
    let expect = format!(
        "everybody may write in `{}` (mode 0707), where the keys of session tokens are; hint: `chmod 0700`",
        place.path().display()
    );
    assert_eq!(error, expect);
}

#[test]
fn a_bad_key_is_told_with_its_file_and_what_to_do() {
    let p384 = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap();
    let p384 = BASE64.encode(p384.to_pkcs8v1().unwrap().as_ref());
    let labelled = |label: &str, body: &str| {
        format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n")
    };
    let sound = pem_of(Algorithm::Es256).1;
    let cases = [
        (String::new(), KeyProblem::NoKey),
        ("no key".to_owned(), KeyProblem::NoKey),
        ("-----BEGIN PRIVATE KEY-----\nAAAA".to_owned(), KeyProblem::NoKey),
        (labelled("PRIVATE KEY", "?"), KeyProblem::NoKey),
        (labelled("PUBLIC KEY", "AAAA"), KeyProblem::NoKey),
        (format!("{sound}{}", "#".repeat(40_000)), KeyProblem::NoKey),
        (labelled("ENCRYPTED PRIVATE KEY", "AAAA"), KeyProblem::Encrypted),
        (labelled("RSA PRIVATE KEY", "AAAA"), KeyProblem::NotPkcs8),
        (labelled("EC PRIVATE KEY", "AAAA"), KeyProblem::NotPkcs8),
        (format!("{sound}{}", pem_of(Algorithm::EdDsa).1), KeyProblem::Several),
        (labelled("PRIVATE KEY", "AAAA"), KeyProblem::Type),
        (labelled("PRIVATE KEY", &p384), KeyProblem::Type),
        (labelled("PRIVATE KEY", RSA_1024), KeyProblem::Size),
    ];
    for (text, problem) in cases {
        let place = Place::new();
        let path = place.give("a.pem", &text, START);
        let error = place.open(START).unwrap_err();
        let told = error.to_string();
        assert!(
            matches!(&error, SessionKeysError::Key { problem: it, .. } if *it == problem),
            "{told}"
        );
        let expect = format!("`{}`, of the keys of session tokens, {problem}", path.display());
        assert_eq!(told, expect);
        assert_eq!(place.names(), ["a.pem"], "nothing is made beside what is wrong");
    }
    let place = Place::new();
    fs::create_dir_all(place.path().join("a.pem")).unwrap();
    assert!(place.open(START).unwrap_err().to_string().contains("holds no private key"));
}

#[test]
fn what_is_no_key_is_not_read() {
    let place = Place::new();
    place.give("README", "no key", START);
    place.give(".hidden.pem", "no key", START);
    let (kid, text) = pem_of(Algorithm::Es256);
    let target = place.give("mounted", &text, START);
    symlink(&target, place.path().join("linked.pem")).unwrap();
    symlink(place.path().join("gone"), place.path().join("dangling.pem")).unwrap();
    assert_eq!(signs(&place.open(START).unwrap()), kid);
}

#[test]
fn a_key_twice_is_one_key() {
    let place = Place::new();
    let (kid, text) = pem_of(Algorithm::Es256);
    place.give("a.pem", &text, START.minus(MINUTE));
    place.give("b.pem", &text, START);
    let keys = place.open(START).unwrap();
    assert_eq!(kids(&keys.jwks()), [kid]);
}

#[test]
fn more_keys_than_anybody_needs_are_refused() {
    let place = Place::new();
    for number in 0..=KEY_FILES_MAX {
        place.give(&format!("{number}.pem"), "", START);
    }
    let error = place.open(START).unwrap_err().to_string();
    assert!(error.contains("has more than 64 keys"), "{error}");
}

#[test]
fn a_directory_that_went_bad_changes_nothing() {
    let place = Place::new();
    let keys = place.open(START).unwrap();
    let (kid, jwks) = (signs(&keys), keys.jwks());
    let now = START.plus(60 * DAY);
    let bad = place.give("bad.pem", "no key", now);
    keys.renew(now).unwrap_err();
    assert_eq!((signs(&keys), keys.jwks()), (kid.clone(), jwks.clone()));
    assert_eq!(place.key_files().len(), 2);
    fs::remove_file(bad).unwrap();

    // A volume that is gone, and one whose place is empty.
    let away = place.directory.path().join("away");
    fs::rename(place.path(), &away).unwrap();
    keys.renew(now).unwrap_err();
    fs::create_dir(place.path()).unwrap();
    keys.renew(now).unwrap_err();
    assert_eq!(place.names(), Vec::<String>::new());
    assert_eq!((signs(&keys), keys.jwks()), (kid, jwks));
    fs::remove_dir(place.path()).unwrap();
    fs::rename(away, place.path()).unwrap();
    keys.renew(now).unwrap();
    assert_eq!(kids(&keys.jwks()).len(), 2);
}

#[test]
fn what_others_left_or_wrote_is_put_right() {
    let place = Place::new();
    let keys = place.open(START).unwrap();
    let jwks = place.path().join("jwks.json");
    let leftover = place.give(".crossgate-key-abc", "half", START);
    for wrong in ["", "{\"keys\":[]}", &"#".repeat(10_000)] {
        fs::write(&jwks, wrong).unwrap();
        keys.renew(START).unwrap();
        assert_eq!(fs::read(&jwks).unwrap(), keys.jwks());
    }
    assert!(!leftover.exists());
    // What is as it should be is not written again: those who watch it would look.
    let before = fs::metadata(&jwks).unwrap().modified().unwrap();
    keys.renew(START.plus(DAY)).unwrap();
    assert_eq!(fs::metadata(&jwks).unwrap().modified().unwrap(), before);
}

#[test]
fn a_directory_that_is_held_is_told() {
    let place = Place::new();
    place.open(START).unwrap();
    let lock = File::open(place.path().join(".lock")).unwrap();
    lock.lock().unwrap();
    let error = LockedDirectory::lock_within(&place.path(), Duration::ZERO).unwrap_err();
    assert!(matches!(error, SessionKeysError::Locked { .. }), "{error}");
    drop(lock);
    LockedDirectory::lock_within(&place.path(), Duration::ZERO).unwrap();
}

#[test]
fn private_halves_are_shown_nowhere() {
    let place = Place::new();
    let keys = place.open(START).unwrap();
    let [file] = place.key_files().try_into().unwrap();
    let text = fs::read_to_string(place.path().join(file)).unwrap();
    let secret: String = text.lines().filter(|line| !line.starts_with("--")).collect();
    let der = BASE64.decode(secret.as_bytes()).unwrap();
    // Where a P-256 key has its number (RFC 5915): behind the algorithm.
    let number = &der[36..68];
    let shown = format!("{keys:?}{:?}", keys.renew(START));
    let published = String::from_utf8(keys.jwks().to_vec()).unwrap();
    for text in [shown, published] {
        for encoded in
            [BASE64.encode(number), BASE64URL_NOPAD.encode(number), HEXLOWER.encode(number)]
        {
            assert!(!text.contains(&encoded), "{text}");
        }
        assert!(!text.contains(&format!("{number:?}")), "{text}");
    }
    // Nor is what a file has that is no key.
    let text = "-----BEGIN hunter2-----\nhunter2\n-----BEGIN PRIVATE KEY-----\nhunter2";
    place.give("a.pem", text, START);
    let error = place.open(START).unwrap_err();
    assert!(!format!("{error}{error:?}").contains("hunter2"), "{error:?}");
}

#[tokio::test]
async fn what_changes_in_the_directory_is_in_force_without_a_restart() {
    let place = Place::new();
    let now = SystemClock.now().seconds();
    let keys = place.open(now).unwrap();
    let end = CancellationToken::new();
    let kept = tokio::spawn(keys.clone().keep(end.clone()));
    let (given, text) = pem_of(Algorithm::EdDsa);
    let path = place.give("given.pem", &text, now);
    let until = async |condition: &dyn Fn() -> bool| {
        let started: Instant = SystemClock.tick();
        while !condition() {
            assert!(started.elapsed() < Duration::from_secs(20), "it did not happen");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    until(&|| kids(&keys.jwks()).contains(&given)).await;
    fs::remove_file(path).unwrap();
    until(&|| !kids(&keys.jwks()).contains(&given)).await;
    end.cancel();
    kept.await.unwrap();
}

/// Made for this test, by `openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:1024`.
const RSA_1024: &str = "
MIICdwIBADANBgkqhkiG9w0BAQEFAASCAmEwggJdAgEAAoGBAObzr6hTnINehiyt
21d6pR1ZS7re5o5gwa5j3VO+RrU4/SwFnzcqfFXsRSHQQhemnu/cEJPdkSy0CRTz
ajBLRXRpFiHYP85j7HllqU3/ZEE/nCxA1FS6QlsHzA49rgiYXGQz3H/eO5dulz3R
M/5ElXp49A2euoVqKIQhkWNWyrc/AgMBAAECgYBHQjcXq7yl9/tUO8xqoGfjt1Kb
dP0UPxxjb2Kx3Qq6Dbxn4dAvWEeGx2DJPxW1cG6nuXHP/dQ2Q9JtiXFhN0hVPYW4
YxjJ15SzO1/ounuMjlxpQ9sk+OIC03uApRbnJ8bM3OvICPORPI89X4INd181fbIZ
bcI7sRwf0uyxDaqESQJBAP6o40FcaD7VCVfhPyqRPwbZus4UdHOYk1WWoOV9HLqI
NsTk7BpD4aWrtBEEGoa4kbNo1HsQ8aG+b6UhwDwL46MCQQDoKtslhwgZ168MsOA/
9pVFHcCovVvgVO+LPJqSUcIxibpbTDxjimZ+NO34qI2sQb+tm9gm65tPsJ97Ey4/
Rne1AkEA/nshFkjUt61GN/aUm+InnJ3p6lRQhs+6s/XhdVNQaSsDqECnnBunm1n5
iGOUanp4x1ODujOVc6+Ne/Q9WQP8hwJBANB9M+FmeqLiaqOF70vhfzjbOBkQO4Kg
I6GxIcoGO9LKsRytwIlPTy1FEPM9QkSPorcf/aMt74JHxV/74IsYGAUCQA/b4urG
jSOWcvgqnkJ/rR2v9jwlLLxhy3pw/31td4W5LxHWBLX4b/fnaJTdANc3IKBok1cp
r/7I8nbPMiJ6CDo=
";
