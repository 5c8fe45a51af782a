use std::collections::BTreeSet;

use super::*;
use crate::event::EventIds;

const ROLE_ARN: &str = "arn:aws:iam::111111111111:role/team/deploy";
const NOW: UnixMillis = UnixMillis(1_760_104_997_410);

fn session(role: &str, issued: UnixMillis) -> Session {
    Session {
        id: EventIds::with_seed(1).next(issued),
        role: role.into(),
        name: "s".into(),
        transitive_tags: BTreeSet::new(),
        source_identity: None,
        chained: false,
        federated_provider: None,
        policies: None,
    }
}

fn role(role: &str, before: u64) -> Revocation {
    Revocation::Role(RoleRevocation { role: role.into(), before: UnixMillis(before) })
}

fn of(all: impl IntoIterator<Item = Revocation>) -> Revocations {
    let mut revocations = Revocations::default();
    for revocation in all {
        revocations.add(revocation).unwrap();
    }
    revocations
}

fn at(text: &str) -> (usize, usize, String) {
    let error = read_document(text).unwrap_err();
    let (line, column) = json::place(text, error.offset);
    (line, column, error.to_string())
}

#[test]
fn a_role_ends_what_was_issued_before_and_nothing_else() {
    let ended = of([role(ROLE_ARN, NOW.0)]);
    assert!(ended.revokes(&session(ROLE_ARN, UnixMillis(NOW.0 - 1))));
    assert!(!ended.revokes(&session(ROLE_ARN, NOW)), "issued at that time is not before it");
    for other in [
        "arn:aws:iam::111111111111:role/team/Deploy",
        "arn:aws:iam::222222222222:role/team/deploy",
        "arn:aws-cn:iam::111111111111:role/team/deploy",
        "arn:aws:iam::111111111111:role/deploy2",
    ] {
        assert!(!ended.revokes(&session(other, UnixMillis(0))), "{other}");
    }
    assert!(!Revocations::default().revokes(&session(ROLE_ARN, UnixMillis(0))));
}

#[test]
fn a_roles_path_does_not_count() {
    for named in [ROLE_ARN, "arn:aws:iam::111111111111:role/deploy"] {
        let ended = of([role(named, NOW.0)]);
        for session_of in [ROLE_ARN, "arn:aws:iam::111111111111:role/deploy"] {
            assert!(ended.revokes(&session(session_of, UnixMillis(0))), "{named} {session_of}");
        }
    }
}

#[test]
fn a_profile_is_known_by_both_forms_of_its_id() {
    let sessions_role = "arn:aws:iam::a1:role/Profile-94497d0d";
    for named in [sessions_role, "arn:aws:iam::a1:role/iam-Profile-94497d0d"] {
        assert!(of([role(named, 2)]).revokes(&session(sessions_role, UnixMillis(1))), "{named}");
    }
}

#[test]
fn one_session_ends_alone() {
    let (first, second) = (session(ROLE_ARN, NOW), session(ROLE_ARN, UnixMillis(NOW.0 + 1)));
    let ended = of([Revocation::Session(first.id)]);
    assert!(ended.revokes(&first));
    assert!(!ended.revokes(&second));
}

#[test]
fn a_later_time_wins_and_an_earlier_one_never_shortens() {
    let mut all = Revocations::default();
    assert_eq!(all.add(role(ROLE_ARN, 5)), Ok(Added::Now(None)));
    assert_eq!(all.add(role(ROLE_ARN, 5)), Ok(Added::Already));
    assert_eq!(all.add(role(ROLE_ARN, 4)), Ok(Added::Already));
    assert_eq!(all.before(ROLE_ARN), Some(UnixMillis(5)));
    // By the same role's other path.
    let other = "arn:aws:iam::111111111111:role/deploy";
    assert_eq!(all.add(role(other, 6)), Ok(Added::Now(Some(UnixMillis(5)))));
    assert_eq!(all.before(ROLE_ARN), Some(UnixMillis(6)));
    assert_eq!(all.counts(), (1, 0));
    let id = session(ROLE_ARN, NOW).id;
    assert_eq!(all.add(Revocation::Session(id)), Ok(Added::Now(None)));
    assert_eq!(all.add(Revocation::Session(id)), Ok(Added::Already));
}

#[test]
fn what_can_end_nothing_is_forgotten() {
    let kept = 13 * 60 * 60 * 1000;
    let issued = UnixMillis(NOW.0 - kept);
    let over = session(ROLE_ARN, issued).id;
    let alive = session(ROLE_ARN, UnixMillis(issued.0 + 1)).id;
    let other = "arn:aws:iam::111111111111:role/other";
    let mut all = of([
        role(ROLE_ARN, issued.0),
        role(other, issued.0 + 1),
        Revocation::Session(over),
        Revocation::Session(alive),
    ]);
    all.forget(NOW);
    let left: Vec<_> = all.iter().collect();
    assert_eq!(left, [role(other, issued.0 + 1), Revocation::Session(alive)]);
    assert_eq!(over_at(over), NOW);
}

#[test]
fn a_document_comes_back_as_it_was() {
    let id = session(ROLE_ARN, NOW).id;
    let all = of([
        role("arn:aws:iam::111111111111:role/b", 1_760_104_997_400),
        role("arn:aws:iam::111111111111:role/a=,.@_-/x+", NOW.0),
        Revocation::Session(id),
    ]);
    let text = all.to_document();
    let expect = format!(
        "{{\n  \"roles\": [\n    \
         {{ \"role\": \"arn:aws:iam::111111111111:role/a=,.@_-/x+\", \"before\": \
         \"2025-10-10T14:03:17.41Z\" }},\n    \
         {{ \"role\": \"arn:aws:iam::111111111111:role/b\", \"before\": \
         \"2025-10-10T14:03:17.4Z\" }}\n  ],\n  \"sessions\": [\n    \
         {{ \"session\": \"{id}\" }}\n  ]\n}}\n"
    );
    assert_eq!(text, expect);
    let again = read_document(&text).unwrap();
    assert_eq!(again.iter().collect::<Vec<_>>(), all.iter().collect::<Vec<_>>());
    assert!(read_document(&Revocations::default().to_document()).unwrap().is_empty());
    assert!(read_document("{}").unwrap().is_empty());
}

#[test]
fn a_wrong_document_is_refused_with_the_place() {
    let role = |member: &str| format!("{{\"roles\": [\n  {{ {member} }}\n]}}");
    for (text, line, column, message) in [
        (String::new(), 1, 1, "not JSON"),
        ("[]".to_owned(), 1, 1, "the document is an object, not a list"),
        ("{\"role\": []}".to_owned(), 1, 2, "the unknown member `role`; hint: one of `roles`"),
        ("{\"roles\": {}}".to_owned(), 1, 11, "`roles` is a list, and this is an object"),
        ("{\"roles\": [], \"roles\": []}".to_owned(), 1, 15, "is here twice"),
        ("{\"roles\": [] } x".to_owned(), 1, 16, "more after the value"),
        (role(r#""role": "arn:aws:iam::1:role/a""#), 2, 3, "`before` is missing"),
        (role(r#""before": "2026-01-01T00:00:00Z""#), 2, 3, "`role` is missing"),
        (role(r#""role": 1, "before": "2026-01-01T00:00:00Z""#), 2, 13, "`role` is a text"),
        (
            role(r#""role": "arn:aws:iam::1:role/a", "before": "yesterday""#),
            2,
            48,
            "`before`: `yesterday` is no time by RFC 3339; hint: like `2026",
        ),
        (
            role(r#""role": "arn:aws:iam::1:role/a", "before": "2026-01-01T00:00:00Z", "by": 1"#),
            2,
            72,
            "unknown member `by`",
        ),
        ("{\"sessions\": [\"x\"]}".to_owned(), 1, 15, "an entry of `sessions` is an object"),
        (
            "{\"sessions\": [{\"session\": \"7c9e6679-7425-40de-944b-e07fc1f90ae7\"}]}".to_owned(),
            1,
            27,
            "is no session's id; hint: it is the `jti`",
        ),
    ] {
        let found = at(&text);
        assert_eq!((found.0, found.1), (line, column), "{text}: {}", found.2);
        assert!(found.2.contains(message), "{text}: {}", found.2);
    }
}

#[test]
fn only_the_arn_of_one_role_is_taken() {
    let long = format!("arn:aws:iam::1:role/{}", "a".repeat(ROLE_BYTES_MAX));
    for (text, hint) in [
        ("", "without wildcards"),
        ("deploy", "without wildcards"),
        ("arn:aws:iam::1:role/", "without wildcards"),
        ("arn:aws:iam::1:role/a/", "without wildcards"),
        ("arn:aws:iam::1:role/*", "without wildcards"),
        ("arn:aws:iam::1:role/a\\\"", "without wildcards"),
        ("arn:aws:iam::1:user/a", "without wildcards"),
        ("arn:aws:iam:eu:1:role/a", "without wildcards"),
        ("arn:aws:iam:::role/a", "without wildcards"),
        ("arn::iam::1:role/a", "without wildcards"),
        ("arn:aws:s3::1:role/a", "without wildcards"),
        (&long, "without wildcards"),
        ("arn:aws:sts::1:assumed-role/a/s", "ended by its `jti`"),
        ("Profile-94497d0d", "a trusted profile's is"),
        ("iam-Profile-94497d0d", "a trusted profile's is"),
    ] {
        let body = format!("{{\"role\": \"{text}\"}}");
        let error = read_request(&body, NOW).unwrap_err().to_string();
        assert!(error.starts_with("`role`: "), "{error}");
        assert!(error.contains("is no role's ARN; hint: ") && error.contains(hint), "{error}");
    }
}

#[test]
fn a_request_ends_a_role_or_a_session() {
    let read = |body: &str| read_request(body, NOW);
    let without = read(&format!("{{\"role\": \"{ROLE_ARN}\"}}")).unwrap();
    assert_eq!(without, role(ROLE_ARN, NOW.0 + 1), "what is issued in this millisecond ends too");
    let with =
        format!("{{\"role\": \"{ROLE_ARN}\", \"before\": \"2025-10-10T16:03:17.41+02:00\"}}");
    assert_eq!(read(&with).unwrap(), role(ROLE_ARN, NOW.0));
    let id = session(ROLE_ARN, NOW).id;
    assert_eq!(read(&format!("{{\"session\": \"{id}\"}}")).unwrap(), Revocation::Session(id));

    let ahead = |millis: u64| time::rfc3339(UnixMillis(NOW.0 + millis));
    let before =
        |millis| format!("{{\"role\": \"{ROLE_ARN}\", \"before\": \"{}\"}}", ahead(millis));
    assert_eq!(read(&before(60_000)).unwrap(), role(ROLE_ARN, NOW.0 + 60_000));
    let late = session(ROLE_ARN, UnixMillis(NOW.0 + 60_001)).id;
    for (body, message) in [
        (before(60_001), "`before` is more than a minute ahead; hint: it would end sessions"),
        (format!("{{\"session\": \"{late}\"}}"), "`session` is of a time more than a minute ahead"),
        (format!("{{\"session\": \"{id}\", \"before\": \"{}\"}}", ahead(0)), "has no meaning with"),
        (format!("{{\"session\": \"{id}\", \"role\": \"{ROLE_ARN}\"}}"), "not both"),
        ("{}".to_owned(), "neither `role` nor `session` is there"),
        ("{\"roles\": []}".to_owned(), "the body has the unknown member `roles`; hint: one of"),
        ("{\"session\": \"x\"}".to_owned(), "`session`: `x` is no session's id"),
        ("x".to_owned(), "not JSON"),
    ] {
        let error = read(&body).unwrap_err().to_string();
        assert!(error.contains(message), "{body}: {error}");
    }
}

#[test]
fn there_is_a_most_of_each_kind() {
    let named = |index: usize| format!("arn:aws:iam::1:role/r{index}");
    let mut all = of((0..ROLES_MAX).map(|index| role(&named(index), NOW.0)));
    assert_eq!(all.add(role(&named(ROLES_MAX), NOW.0)), Err(RevocationsFull));
    assert_eq!(all.add(role(&named(1), NOW.0 + 1)), Ok(Added::Now(Some(NOW))), "known: fits");
    let mut ids = EventIds::with_seed(2);
    for _ in 0..SESSIONS_MAX {
        all.add(Revocation::Session(ids.next(NOW))).unwrap();
    }
    let more = ids.next(NOW);
    assert_eq!(all.add(Revocation::Session(more)), Err(RevocationsFull));
    let mut document = all.to_document();
    assert!(document.len() < 32 << 20, "{}", document.len());
    assert_eq!(read_document(&document).unwrap().counts(), (ROLES_MAX, SESSIONS_MAX));
    let last = format!("\n    {{ \"session\": \"{more}\" }}\n  ]\n}}\n");
    document.truncate(document.len() - "\n  ]\n}\n".len());
    let (line, _, message) = at(&format!("{document},{last}"));
    assert_eq!(line, 4 + ROLES_MAX + 1 + SESSIONS_MAX);
    assert!(message.contains("100000 sessions are the most"), "{message}");
}

#[test]
fn asking_for_a_session_allocates_nothing() {
    let ended = of([role(ROLE_ARN, NOW.0), Revocation::Session(session(ROLE_ARN, NOW).id)]);
    let asked = session(ROLE_ARN, UnixMillis(NOW.0 + 5));
    let counted = allocation_counter::measure(|| assert!(!ended.revokes(&asked)));
    assert_eq!(counted.count_total, 0);
}
