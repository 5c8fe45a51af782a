use uuid::Uuid;

use super::*;
use crate::clock::{SystemClock, UnixSeconds};
use crate::event::log::{Appended, EventLog};
use crate::event::{AssumeEvent, AssumeReason, AssumeTarget, Door, EventIds, EventsConfig};
use crate::iam::Identity;
use crate::policy::Missing;
use crate::sts::rules::WatchRules;
use crate::sts::watch::Observed;
use crate::verdict::Decision;

const ROLE: &str = "arn:aws:iam::222222222222:role/deploy";
const ALICE: &str = "arn:aws:iam::111111111111:user/alice";
const HOME: &str = "192.0.2.10";
const ELSEWHERE: &str = "198.51.100.7";
const DAY_MS: u64 = 24 * 60 * 60 * 1000;

fn identity(principal: &str, account: Option<&str>) -> Identity {
    Identity {
        account: account.and_then(|text| AccountId::parse(text).ok()),
        principal: principal.into(),
        ..Identity::sample()
    }
}

/// A recorded attempt.
#[derive(Clone, Copy)]
struct Recorded<'a> {
    principal: &'a str,
    account: Option<&'a str>,
    address: &'a str,
    days_ago: u64,
    succeeded: bool,
    target: AssumeTarget,
}

const RECORDED: Recorded<'_> = Recorded {
    principal: ALICE,
    account: Some("111111111111"),
    address: HOME,
    days_ago: 1,
    succeeded: true,
    target: AssumeTarget::Role,
};

/// A log of these attempts.
fn log(recorded: &[Recorded<'_>]) -> tempfile::TempDir {
    let place = tempfile::tempdir().unwrap();
    let config = EventsConfig { directory: place.path().to_owned(), ..EventsConfig::default() };
    let (log, mut appenders) = EventLog::open(&config, "i", 1).unwrap();
    let mut ids = EventIds::with_seed(1);
    for one in recorded {
        let time = UnixMillis(SystemClock.now().0 - one.days_ago * DAY_MS);
        let who = identity(one.principal, one.account);
        let decision = if one.succeeded { Decision::Permit } else { Decision::Deny };
        appenders[0].start();
        appenders[0].stage_assume(&AssumeEvent {
            id: ids.next(time),
            time,
            correlation_id: "",
            target: one.target,
            initiator: Some(&who),
            owner: None,
            role: ROLE,
            session_name: "",
            duration_seconds: None,
            door: Door::Ibm,
            has_external_id: false,
            source_identity: "",
            decision,
            reason: AssumeReason::PolicyAllow,
            status: 200,
            statements: &[],
            missing: Missing::default(),
            session: one.succeeded.then_some((Uuid::nil(), UnixSeconds(1))),
            source_ip: one.address.parse().unwrap(),
            agent: "",
            revision: 1,
        });
        assert_eq!(appenders[0].commit(), Ok(Appended::Logged));
    }
    log.close().unwrap();
    place
}

/// A watch that knows this past.
fn seeded(recorded: &[Recorded<'_>], sessions: u64) -> Watch {
    let (place, watch) = (log(recorded), Watch::default());
    let seeded = watch.seed(place.path(), SystemClock.now()).unwrap();
    assert_eq!(seeded, Seeded { sessions, is_cut: false });
    watch
}

/// What is noticed of a session that begins now.
fn noticed(watch: &Watch, principal: &str, account: &str, address: &str) -> Vec<&'static str> {
    let attempt = Observed {
        principal,
        account: AccountId::parse(account).ok(),
        role: ROLE,
        role_exists: true,
        address: address.parse().unwrap(),
        external_id: None,
        duration_seconds: None,
        succeeded: true,
    };
    let found = watch.observe(&WatchRules::default(), &attempt, SystemClock.now());
    found.iter().map(|it| it.name.as_str()).collect()
}

#[test]
fn addresses_and_accounts_of_the_past_are_known_after_a_start() {
    for target in AssumeTarget::ALL {
        let past = [
            Recorded { target, ..RECORDED },
            Recorded { account: None, principal: "someone", address: "2001:db8::1", ..RECORDED },
        ];
        let watch = seeded(&past, 2);
        assert_eq!(noticed(&watch, ALICE, "111111111111", HOME), [""; 0]);
        assert_eq!(noticed(&watch, "someone", "", "2001:db8::2"), [""; 0]);
        assert_eq!(noticed(&watch, ALICE, "111111111111", ELSEWHERE), ["new_address"]);
        assert_eq!(noticed(&watch, "somebody", "333333333333", HOME), ["new_account"]);
    }
}

#[test]
fn failed_attempts_and_those_of_long_ago_are_left_out() {
    let past = [
        Recorded { succeeded: false, ..RECORDED },
        Recorded { days_ago: 31, address: "192.0.2.11", account: Some("9"), ..RECORDED },
    ];
    let watch = seeded(&past, 0);
    // So this is the very first.
    assert_eq!(noticed(&watch, ALICE, "111111111111", ELSEWHERE), [""; 0]);
    let watch = seeded(&[Recorded { days_ago: 29, ..RECORDED }], 1);
    assert_eq!(noticed(&watch, ALICE, "111111111111", ELSEWHERE), ["new_address"]);
}

#[test]
fn names_that_events_cut_are_found_again() {
    let long = format!("{ALICE}{}", "é".repeat(1000));
    let watch = seeded(&[Recorded { principal: &long, ..RECORDED }], 1);
    assert_eq!(noticed(&watch, &long, "111111111111", ELSEWHERE), ["new_address"]);
}

#[test]
fn attempts_beside_the_reading_keep_what_they_taught() {
    let (place, watch) = (log(&[RECORDED]), Watch::default());
    assert_eq!(noticed(&watch, ALICE, "111111111111", ELSEWHERE), [""; 0], "nothing is known yet");
    watch.seed(place.path(), SystemClock.now()).unwrap();
    assert_eq!(noticed(&watch, ALICE, "111111111111", ELSEWHERE), [""; 0]);
    assert_eq!(noticed(&watch, ALICE, "111111111111", HOME), [""; 0]);
    assert_eq!(noticed(&watch, ALICE, "111111111111", "203.0.113.1"), ["new_address"]);
}

#[test]
fn no_more_than_the_limit_is_remembered_and_the_newest_is() {
    let past = [
        Recorded { days_ago: 3, address: "192.0.2.3", ..RECORDED },
        Recorded { days_ago: 2, address: "192.0.2.2", ..RECORDED },
        Recorded { days_ago: 1, address: "192.0.2.1", ..RECORDED },
    ];
    let (place, watch) = (log(&past), Watch::default());
    let seeded = watch.seed_newest(place.path(), SystemClock.now(), 2).unwrap();
    assert_eq!(seeded, Seeded { sessions: 2, is_cut: true });
    for (address, expected) in
        [("192.0.2.1", &[""; 0][..]), ("192.0.2.2", &[]), ("192.0.2.3", &["new_address"])]
    {
        assert_eq!(noticed(&watch, ALICE, "111111111111", address), expected, "{address}");
    }
    let all = Watch::default().seed_newest(place.path(), SystemClock.now(), 3).unwrap();
    assert_eq!(all, Seeded { sessions: 3, is_cut: false });
}

#[test]
fn lines_that_are_no_attempts_are_passed_over_and_a_log_that_is_not_there_is_told() {
    let place = tempfile::tempdir().unwrap();
    let lines = [
        "no json".to_owned(),
        r#"{"action":"sts.role.assume","outcome":"success"}"#.to_owned(),
        format!(
            r#"{{"action":"sts.role.assume","eventTime":"{}","outcome":"success","target":{{"id":7}}}}"#,
            "2999-01-01T00:00:00.00+0000"
        ),
    ];
    let name = "crossgate-i-20251010T140327Z-000000.ndjson";
    std::fs::write(place.path().join(name), lines.join("\n") + "\n").unwrap();
    let watch = Watch::default();
    let now = SystemClock.now();
    assert_eq!(watch.seed(place.path(), now).unwrap(), Seeded::default());
    assert!(watch.seed(&place.path().join("absent"), now).is_err());
}
