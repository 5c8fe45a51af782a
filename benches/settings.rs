//! The perimeter check, one account's change and a load, at ten accounts and at a million.
#![expect(clippy::unwrap_used, reason = "a failed bench panics")]

use std::fmt::Write as _;
use std::sync::{Arc, LazyLock};

use crossgate::iam::{AccountId, Identity};
use crossgate::perimeter::{AccountSetting, SettingsIndex, check};
use crossgate::settings::parse;
use crossgate::verdict::Mode;
use divan::{Bencher, black_box};

#[path = "../tests/support/identity.rs"]
mod identity;

fn main() {
    divan::main();
}

const ACCOUNTS: [usize; 3] = [10, 1_000, 1_000_000];
const ENTRIES: [usize; 2] = [10, 1_000_000];

/// Enough for no pattern, few enough to stay in the first cache.
const PICKS: usize = 1024;

static MILLION: LazyLock<SettingsIndex> = LazyLock::new(|| index(1_000_000));

fn account(number: usize) -> AccountId {
    AccountId::parse(&format!("{number:032x}")).unwrap()
}

fn index(accounts: usize) -> SettingsIndex {
    let list = Arc::new((0..10).map(|number| account(number + 1_000_000_000)).collect());
    let setting = AccountSetting::uniform(Mode::ReportOnly, list);
    SettingsIndex::from_accounts(
        AccountSetting::default(),
        (0..accounts).map(|number| (account(number), setting.clone())),
    )
}

fn caller(of: AccountId) -> Identity {
    Identity {
        account: Some(of),
        principal: "arn:aws:iam::c:user/u".into(),
        name: "".into(),
        authn_name: "".into(),
        subject: "u".into(),
        ..identity::sample()
    }
}

/// One account again and again: what most of a service's traffic is.
#[divan::bench(args = ACCOUNTS)]
fn check_hot_account(bencher: Bencher<'_, '_>, accounts: usize) {
    let index = index(accounts);
    let (owner, caller) = (account(7), caller(account(1_000_000_003)));
    bencher.bench_local(|| check(black_box(&index), black_box(owner), black_box(&caller)));
}

/// A different account each time: each look-up misses the processor's caches.
#[divan::bench(args = ACCOUNTS)]
fn check_random_accounts(bencher: Bencher<'_, '_>, accounts: usize) {
    let index = index(accounts);
    let mut random = fastrand::Rng::with_seed(1);
    let owners: Vec<AccountId> =
        (0..PICKS * PICKS).map(|_| account(random.usize(..accounts))).collect();
    let caller = caller(account(1_000_000_003));
    let mut owners = owners.iter().cycle();
    bencher.bench_local(|| check(black_box(&index), *owners.next().unwrap(), black_box(&caller)));
}

/// One caller account of a list, again and again.
#[divan::bench(args = ENTRIES)]
fn check_hot_entry(bencher: Bencher<'_, '_>, entries: usize) {
    let index = listing(entries);
    let (owner, caller) = (account(7), caller(account(3)));
    bencher.bench_local(|| check(black_box(&index), black_box(owner), black_box(&caller)));
}

/// A different caller account of a list each time.
#[divan::bench(args = ENTRIES)]
fn check_random_entries(bencher: Bencher<'_, '_>, entries: usize) {
    let index = listing(entries);
    let mut random = fastrand::Rng::with_seed(1);
    let callers: Vec<Identity> =
        (0..PICKS).map(|_| caller(account(random.usize(..entries)))).collect();
    let mut callers = callers.iter().cycle();
    bencher.bench_local(|| check(black_box(&index), account(7), callers.next().unwrap()));
}

/// One account's change among a million, until readers could have it.
#[divan::bench]
fn change_one_of_a_million(bencher: Bencher<'_, '_>) {
    let index = &*MILLION;
    let setting = AccountSetting::default();
    bencher.bench_local(|| black_box(index).with_account(account(77), setting.clone()));
}

/// `settings.yaml` with a million accounts, in text.
#[divan::bench(sample_count = 3, sample_size = 1)]
fn load_a_million_accounts(bencher: Bencher<'_, '_>) {
    let mut text = String::from("default: { mode: unrestricted, allowlist: [] }\naccounts:\n");
    for number in 0..1_000_000 {
        let id = account(number);
        let partner = account(number % 1000);
        let _ = writeln!(text, "  \"{id}\": {{ mode: report-only, allowlist: [\"{partner}\"] }}");
    }
    bencher.bench_local(|| parse(black_box(&text)).unwrap());
}

/// `settings.yaml` with a million entries in one allowlist.
#[divan::bench(sample_count = 3, sample_size = 1)]
fn load_a_million_entries(bencher: Bencher<'_, '_>) {
    let mut text = String::from("accounts:\n  owner:\n    mode: limited\n    allowlist:\n");
    for number in 0..1_000_000 {
        let _ = writeln!(text, "      - \"{}\"", account(number));
    }
    bencher.bench_local(|| parse(black_box(&text)).unwrap());
}

fn listing(entries: usize) -> SettingsIndex {
    let list = Arc::new((0..entries).map(account).collect());
    let setting = AccountSetting::uniform(Mode::Limited, list);
    SettingsIndex::default().with_account(account(7), setting)
}
