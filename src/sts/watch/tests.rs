use std::net::Ipv4Addr;
use std::time::Duration;

use super::*;

const ROLE: &str = "arn:aws:iam::222222222222:role/deploy";
const ALICE: &str = "arn:aws:iam::111111111111:user/alice";
const NOW: UnixMillis = UnixMillis(1_760_105_007_410);

fn rules() -> WatchRules {
    WatchRules::default()
}

fn account(text: &str) -> Option<AccountId> {
    AccountId::parse(text).ok()
}

/// A refusal of Alice, who asks for little.
fn refused() -> Observed<'static> {
    Observed {
        principal: ALICE,
        account: account("111111111111"),
        role: ROLE,
        role_exists: true,
        address: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 10)),
        external_id: None,
        duration_seconds: Some(3600),
        succeeded: false,
    }
}

fn let_in() -> Observed<'static> {
    Observed { succeeded: true, ..refused() }
}

fn at(seconds: u64) -> UnixMillis {
    UnixMillis(NOW.0 + seconds * 1000)
}

/// What is noticed, as names, subjects and counts.
fn noticed(watch: &Watch, attempt: &Observed<'_>, now: UnixMillis) -> Vec<(&'static str, u32)> {
    let found = watch.observe(&rules(), attempt, now);
    found.iter().map(|detection| (detection.name.as_str(), detection.count)).collect()
}

fn told(name: DetectionName, subject: DetectionSubject, count: u32) -> SmallVec<[Detection; 2]> {
    SmallVec::from_iter([Detection { name, subject, count }])
}

#[test]
fn an_ordinary_day_is_quiet() {
    let watch = Watch::default();
    for second in 0..1000 {
        assert_eq!(noticed(&watch, &let_in(), at(second)), []);
    }
    // Four slips in each window are no attack.
    for window in 1..10 {
        for second in 0..4 {
            assert_eq!(noticed(&watch, &refused(), at(window * 600 + second)), []);
        }
    }
}

#[test]
fn failures_of_one_principal_are_told_whatever_the_role() {
    let watch = Watch::default();
    let roles: Vec<String> = (0..8).map(|n| format!("{ROLE}-{n}")).collect();
    let found: Vec<_> = roles
        .iter()
        .map(|role| watch.observe(&rules(), &Observed { role, ..refused() }, NOW))
        .collect();
    let failed = DetectionName::FailedAssume;
    let expected = told(failed, DetectionSubject::Principal, 5);
    assert_eq!(found[4], expected);
    assert!(found.iter().enumerate().all(|(n, found)| n == 4 || found.is_empty()));
    // Another principal has failures of its own.
    let bob = Observed { principal: "arn:aws:iam::111111111111:user/bob", ..refused() };
    assert_eq!(noticed(&watch, &bob, NOW), []);
}

#[test]
fn failures_on_one_role_are_told_whoever_tries() {
    for role_exists in [true, false] {
        let watch = Watch::default();
        let people: Vec<String> = (0..8).map(|n| format!("{ALICE}-{n}")).collect();
        let found: Vec<_> = people
            .iter()
            .map(|principal| Observed { principal, role_exists, ..refused() })
            .map(|attempt| watch.observe(&rules(), &attempt, NOW))
            .collect();
        let failed = DetectionName::FailedAssume;
        assert_eq!(found[4], told(failed, DetectionSubject::Role, 5), "{role_exists}");
        assert!(found.iter().enumerate().all(|(n, found)| n == 4 || found.is_empty()));
    }
}

#[test]
fn failures_of_nobody_are_told_by_their_address() {
    let watch = Watch::default();
    let host = |n: u16| IpAddr::from([0x2001, 0xdb8, 1, 2, 0, 0, 0, n]);
    let nobody =
        |n| Observed { principal: "", account: None, role: "", address: host(n), ..refused() };
    for n in 0..4 {
        assert_eq!(noticed(&watch, &nobody(n), NOW), []);
    }
    let found = watch.observe(&rules(), &nobody(4), NOW);
    assert_eq!(found, told(DetectionName::FailedAssume, DetectionSubject::Address, 5));
    let elsewhere = Observed { address: IpAddr::from([192, 0, 2, 11]), ..nobody(0) };
    assert_eq!(noticed(&watch, &elsewhere, NOW), []);
}

#[test]
fn failures_are_told_once_in_a_window() {
    let watch = Watch::default();
    let found: Vec<_> = (0..1204)
        .flat_map(|second| {
            noticed(&watch, &refused(), at(second)).into_iter().map(move |it| (second, it))
        })
        .collect();
    assert_eq!(found, [(4, ("failed_assume", 5)), (604, ("failed_assume", 600))]);
}

#[test]
fn success_counts_for_no_failure() {
    let watch = Watch::default();
    for second in 0..20 {
        assert_eq!(noticed(&watch, &let_in(), at(second)), []);
    }
    for second in 20..24 {
        assert_eq!(noticed(&watch, &refused(), at(second)), []);
    }
    assert_eq!(noticed(&watch, &let_in(), at(24)), []);
    assert_eq!(noticed(&watch, &refused(), at(25)), [("failed_assume", 5)]);
}

#[test]
fn external_ids_that_are_tried_one_after_another_are_told() {
    let watch = Watch::default();
    let rules = WatchRules { failed_attempts: 100, ..rules() };
    let noticed = |attempt: &Observed<'_>, now| {
        let found = watch.observe(&rules, attempt, now);
        found.iter().map(|it| (it.name.as_str(), it.count)).collect::<Vec<_>>()
    };
    let with = |id| Observed { external_id: Some(id), ..refused() };
    assert_eq!(noticed(&with("one"), at(0)), []);
    assert_eq!(noticed(&with("one"), at(1)), []);
    let other_role = Observed { role: "arn:aws:iam::222222222222:role/other", ..with("two") };
    assert_eq!(noticed(&other_role, at(2)), []);
    let found = watch.observe(&rules, &with("three"), at(3));
    assert_eq!(found, told(DetectionName::ExternalIdGuessing, DetectionSubject::Principal, 3));
    // Told once in a window.
    assert_eq!(noticed(&with("four"), at(4)), []);
    assert_eq!(noticed(&with("five"), at(602)), []);
    assert_eq!(noticed(&with("six"), at(603)), [("external_id_guessing", 3)]);
}

#[test]
fn external_ids_that_were_right_and_those_of_nobody_are_no_guesses() {
    let watch = Watch::default();
    for (second, id) in (0..).zip(["1", "2", "3", "4", "5", "6"]) {
        let customer = Observed { external_id: Some(id), ..let_in() };
        assert_eq!(noticed(&watch, &customer, at(second)), []);
    }
    for (second, id) in (0..4).zip(["1", "2", "3", "4"]) {
        let nobody = Observed { principal: "", external_id: Some(id), ..refused() };
        assert_eq!(noticed(&watch, &nobody, at(second)), []);
    }
    // Two principals, two each.
    let watch = Watch::default();
    for principal in [ALICE, "arn:aws:iam::111111111111:user/bob"] {
        for id in ["1", "2"] {
            let attempt = Observed { principal, external_id: Some(id), ..refused() };
            assert_eq!(noticed(&watch, &attempt, NOW), []);
        }
    }
}

#[test]
fn an_address_is_new_only_beside_others() {
    let watch = Watch::default();
    let from = |address: &str, succeeded| Observed {
        address: address.parse().unwrap(),
        succeeded,
        ..refused()
    };
    assert_eq!(noticed(&watch, &from("192.0.2.10", true), at(0)), [], "the very first");
    assert_eq!(noticed(&watch, &from("::ffff:192.0.2.10", true), at(1)), [], "the same");
    let found = watch.observe(&rules(), &from("2001:db8:1:2::1", false), at(2));
    assert_eq!(found, told(DetectionName::NewAddress, DetectionSubject::Principal, 2));
    assert_eq!(noticed(&watch, &from("2001:db8:1:2::ffff", true), at(3)), [], "the network");
    assert_eq!(noticed(&watch, &from("2001:db8:1:3::1", true), at(4)), [("new_address", 3)]);
    // Another principal's first, and nobody's.
    let bob =
        Observed { principal: "arn:aws:iam::111111111111:user/bob", ..from("198.51.100.7", true) };
    assert_eq!(noticed(&watch, &bob, at(5)), []);
    let nobody = Observed { principal: "", ..from("198.51.100.8", false) };
    assert_eq!(noticed(&watch, &nobody, at(6)), []);
}

#[test]
fn who_is_let_in_at_last_keeps_what_was_known() {
    let watch = Watch::default();
    for second in 0..3 {
        assert_eq!(noticed(&watch, &refused(), at(second)), []);
    }
    assert_eq!(noticed(&watch, &let_in(), at(3)), []);
    assert_eq!(noticed(&watch, &refused(), at(4)), []);
    assert_eq!(noticed(&watch, &refused(), at(5)), [("failed_assume", 5)]);
    let elsewhere = Observed { address: IpAddr::from([198, 51, 100, 7]), ..let_in() };
    assert_eq!(noticed(&watch, &elsewhere, at(6)), [("new_address", 2)]);
}

#[test]
fn an_account_is_new_on_a_role_that_others_assumed() {
    let watch = Watch::default();
    let of = |caller: &'static str, id: &'static str| Observed {
        principal: id,
        account: account(caller),
        ..let_in()
    };
    assert_eq!(noticed(&watch, &of("1", "a"), at(0)), [], "the first of the role");
    assert_eq!(noticed(&watch, &of("1", "b"), at(1)), [], "another principal of it");
    // An attempt that fails is none, and makes the account no better known.
    assert_eq!(noticed(&watch, &Observed { succeeded: false, ..of("2", "c") }, at(2)), []);
    let found = watch.observe(&rules(), &of("2", "c"), at(3));
    assert_eq!(found, told(DetectionName::NewAccount, DetectionSubject::Role, 2));
    assert_eq!(noticed(&watch, &of("2", "d"), at(4)), []);
    // A caller without an account comes from somewhere else too.
    assert_eq!(noticed(&watch, &of("", "e"), at(5)), [("new_account", 3)]);
    let other = Observed { role: "arn:aws:iam::222222222222:role/other", ..of("9", "f") };
    assert_eq!(noticed(&watch, &other, at(6)), [], "the first of another role");
}

#[test]
fn long_sessions_are_told_from_the_limit_on() {
    let watch = Watch::default();
    let long = 4 * 3600;
    for (duration_seconds, expected) in [
        (None, None),
        (Some(long - 1), None),
        (Some(long), Some(long)),
        (Some(43_200), Some(43_200)),
    ] {
        for attempt in [let_in(), refused()] {
            let attempt = Observed { duration_seconds, ..attempt };
            let found = watch.observe(&rules(), &attempt, NOW);
            let expected = expected.map(|count| Detection {
                name: DetectionName::LongSession,
                subject: DetectionSubject::Principal,
                count,
            });
            assert_eq!(found.into_iter().next(), expected);
        }
    }
}

#[test]
fn every_use_of_a_break_glass_role_is_told() {
    let watch = Watch::default();
    let rules = WatchRules { break_glass: vec!["x".into(), ROLE.into()], ..rules() };
    let expected = told(DetectionName::BreakGlass, DetectionSubject::Role, 1);
    let nobody = Observed { principal: "", ..refused() };
    for attempt in [let_in(), refused(), nobody, let_in()] {
        assert_eq!(watch.observe(&rules, &attempt, NOW), expected);
    }
    for role in ["arn:aws:iam::222222222222:role/deploy2", "arn:aws:iam::222222222222:role", ""] {
        assert!(watch.observe(&rules, &Observed { role, ..let_in() }, NOW).is_empty(), "{role}");
    }
}

#[test]
fn one_attempt_may_complete_several() {
    let watch = Watch::default();
    let rules = WatchRules {
        failed_attempts: 1,
        external_ids: 1,
        long_session: Duration::from_secs(1),
        break_glass: vec![ROLE.into()],
        ..rules()
    };
    watch.observe(&rules, &let_in(), NOW);
    let worst = Observed {
        address: IpAddr::from([198, 51, 100, 7]),
        external_id: Some("guess"),
        ..refused()
    };
    let names = |found: Detections| found.iter().map(|it| it.name.as_str()).collect::<Vec<_>>();
    assert_eq!(
        names(watch.observe(&rules, &worst, NOW)),
        ["new_address", "external_id_guessing", "failed_assume", "long_session", "break_glass"]
    );
}

#[test]
fn a_change_of_the_rules_counts_at_once() {
    let watch = Watch::default();
    for second in 0..3 {
        assert_eq!(noticed(&watch, &refused(), at(second)), []);
    }
    let stricter = WatchRules { failed_attempts: 3, ..rules() };
    assert_eq!(watch.observe(&stricter, &refused(), at(3))[0].count, 4);
    let never = WatchRules { failed_attempts: 1000, ..rules() };
    assert!(watch.observe(&never, &refused(), at(1000)).is_empty());
}

#[test]
fn texts_beyond_the_limits_have_one_name() {
    let watch = Watch::default();
    let long = "x".repeat(100_000);
    for n in 0..5 {
        let role = format!("{long}{n}");
        let principal = format!("{ALICE}-{n}");
        let attempt =
            Observed { principal: &principal, role: &role, role_exists: false, ..refused() };
        let expected: &[_] = if n == 4 { &[("failed_assume", 5)] } else { &[] };
        assert_eq!(noticed(&watch, &attempt, NOW), expected);
    }
}

#[test]
fn nothing_is_shown_of_what_is_remembered() {
    let watch = Watch::default();
    let secret = Observed { external_id: Some("hunter2"), ..refused() };
    watch.observe(&rules(), &secret, NOW);
    let shown = format!("{watch:?}");
    assert!(!shown.contains("hunter2") && !shown.contains("alice"), "{shown}");
    // Two processes keep different hashes of one external ID.
    let kept = |watch: &Watch| watch.memory.external_id("hunter2");
    assert_eq!(kept(&watch), kept(&watch.clone()));
    assert_ne!(kept(&watch), kept(&Watch::default()));
}

/// A number that looks random and is the same in each run.
fn random(seed: &mut fastrand::Rng, many: u64) -> u64 {
    seed.u64(..many)
}

/// Goal: whatever is sent, what is remembered has its limits, and who was let in before is known
/// after. Method: a flood of all kinds of attempts that anybody can make.
#[test]
fn a_million_attempts_take_no_memory_and_push_out_nobody_who_was_let_in() {
    let watch = Watch::default();
    let people: Vec<String> = (0..200).map(|n| format!("{ALICE}-{n}")).collect();
    let roles: Vec<String> = (0..50).map(|n| format!("{ROLE}-{n}")).collect();
    let usual =
        |n: usize| Observed { principal: &people[n], role: &roles[n % roles.len()], ..let_in() };
    for n in 0..people.len() {
        assert_eq!(noticed(&watch, &usual(n), NOW), []);
    }
    let mut seed = fastrand::Rng::with_seed(7);
    for n in 0..1_000_000_u64 {
        let principal = match n % 4 {
            0 => String::new(),
            1 => format!("arn:aws:iam::111111111111:user/{}", random(&mut seed, 100)),
            _ => format!("arn:aws:iam::111111111111:user/{}", random(&mut seed, u64::MAX)),
        };
        let role_exists = n % 3 == 0;
        let role = match n % 3 {
            // More than any directory has.
            0 => format!("{ROLE}/{}", random(&mut seed, 1_000_000)),
            1 => format!("{ROLE}-{}", random(&mut seed, u64::MAX)),
            _ => format!("{ROLE}-{}", random(&mut seed, 100)),
        };
        let external_id = format!("{n}");
        let attempt = Observed {
            principal: &principal,
            role: &role,
            role_exists,
            address: IpAddr::from(random(&mut seed, u64::MAX).to_be_bytes().map(u16::from)),
            external_id: (n % 5 == 0).then_some(&external_id),
            ..refused()
        };
        watch.observe(&rules(), &attempt, at(n / 10_000));
    }
    for (entries, entries_max) in watch.memory.entries() {
        assert!(entries <= entries_max, "{entries} of {entries_max}");
    }
    let [(known, _), (newcomers, newcomers_max), (assumed, _), ..] = watch.memory.entries();
    assert_eq!((known, assumed), (200, 50), "nobody came in, and nobody went");
    assert!(newcomers_max * 9 / 10 < newcomers, "the flood was one: {newcomers}");
    for n in 0..people.len() {
        assert_eq!(noticed(&watch, &usual(n), at(200)), [], "the usual address");
        let elsewhere = Observed { address: IpAddr::from([203, 0, 113, 7]), ..usual(n) };
        assert_eq!(noticed(&watch, &elsewhere, at(201)), [("new_address", 2)]);
    }
    for role in &roles {
        let stranger = Observed { principal: "new", account: account("3"), role, ..let_in() };
        assert_eq!(noticed(&watch, &stranger, at(202)), [("new_account", 2)]);
    }
}

/// Goal: who tries slowly is found in a flood of others, who fill every table many times.
#[test]
fn who_guesses_within_a_flood_is_found() {
    let watch = Watch::default();
    let mut seed = fastrand::Rng::with_seed(7);
    let mut found = Vec::new();
    for n in 0..200_000_u64 {
        let principal = format!("{ALICE}-{}", random(&mut seed, u64::MAX));
        let role = format!("{ROLE}-{}", random(&mut seed, u64::MAX));
        let flood = Observed { principal: &principal, role: &role, ..refused() };
        watch.observe(&rules(), &flood, at(n / 10_000));
        if n % 5000 == 0 {
            let id = n.to_string();
            let guess = Observed { external_id: Some(&id), ..refused() };
            found.extend(noticed(&watch, &guess, at(n / 10_000)));
        }
    }
    let names: Vec<_> = found.iter().map(|(name, _)| *name).collect();
    assert!(names.contains(&"failed_assume"), "{found:?}");
    assert!(names.contains(&"external_id_guessing"), "{found:?}");
}
