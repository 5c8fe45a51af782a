//! The cost of the token service: what looking for attacks adds to each attempt.

#![expect(clippy::unwrap_used, reason = "a benchmark that can't start ends")]

use std::cell::Cell;
use std::net::{IpAddr, Ipv4Addr};

use crossgate::clock::UnixMillis;
use crossgate::iam::AccountId;
use crossgate::sts::WatchRules;
use crossgate::sts::watch::{Observed, Watch};
use divan::{AllocProfiler, Bencher, black_box};

#[global_allocator]
static ALLOCATIONS: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

const NOW: u64 = 1_760_105_007_410;

fn attempt() -> Observed<'static> {
    Observed {
        principal: "arn:aws:iam::f71446b6474d45bf81196da45de13940:user/IBMid-550009FB7N",
        account: Some(AccountId::parse("f71446b6474d45bf81196da45de13940").unwrap()),
        role: "arn:aws:iam::59bcbfa6ea2f006b4ed7094c1a08dcdd:role/deploy",
        role_exists: true,
        address: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 10)),
        external_id: Some("b7c9f0de-4a52-4c8e-9d53-0d9a4f7a4f21"),
        duration_seconds: Some(3600),
        succeeded: true,
    }
}

/// Runs an attempt 10,000 times a second.
fn watched(bencher: Bencher<'_, '_>, observe: impl Fn(&Watch, &WatchRules, UnixMillis, u64)) {
    let (watch, rules, number) = (Watch::default(), WatchRules::default(), Cell::new(0_u64));
    bencher.bench_local(|| {
        number.set(number.get() + 1);
        observe(&watch, &rules, UnixMillis(NOW + number.get() / 10), number.get());
    });
}

/// Who comes every day.
#[divan::bench(sample_count = 1000)]
fn watch_success(bencher: Bencher<'_, '_>) {
    let attempt = attempt();
    watched(bencher, |watch, rules, now, _| {
        black_box(watch.observe(rules, black_box(&attempt), now));
    });
}

/// One that fails again and again, with another external ID each time.
#[divan::bench(sample_count = 1000)]
fn watch_guesses(bencher: Bencher<'_, '_>) {
    watched(bencher, |watch, rules, now, number| {
        let external_id = number.to_string();
        let guess = Observed { succeeded: false, external_id: Some(&external_id), ..attempt() };
        black_box(watch.observe(rules, black_box(&guess), now));
    });
}

/// Everything new each time: who, what, from where. The tables are full after a while.
#[divan::bench(sample_count = 1000, sample_size = 1000)]
fn watch_flood(bencher: Bencher<'_, '_>) {
    watched(bencher, |watch, rules, now, number| {
        let principal = format!("arn:aws:iam::f71446b6474d45bf81196da45de13940:user/{number}");
        let role = format!("arn:aws:iam::59bcbfa6ea2f006b4ed7094c1a08dcdd:role/{number}");
        let host = u32::try_from(number % (1 << 32)).unwrap_or_default();
        let new = Observed {
            principal: &principal,
            role: &role,
            role_exists: false,
            address: IpAddr::V4(Ipv4Addr::from_bits(host)),
            external_id: Some(&role),
            succeeded: false,
            ..attempt()
        };
        black_box(watch.observe(rules, black_box(&new), now));
    });
}

/// The same, of those whose tokens prove nobody.
#[divan::bench(sample_count = 1000, sample_size = 1000)]
fn watch_flood_of_nobody(bencher: Bencher<'_, '_>) {
    watched(bencher, |watch, rules, now, number| {
        let host = u32::try_from(number % (1 << 32)).unwrap_or_default();
        let address = IpAddr::V4(Ipv4Addr::from_bits(host));
        let nobody =
            Observed { principal: "", account: None, address, succeeded: false, ..attempt() };
        black_box(watch.observe(rules, black_box(&nobody), now));
    });
}
