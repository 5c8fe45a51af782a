//! A directory of 1,000 accounts with 100 principals each: read whole, one account changed, and a
//! look-up among all of them.
#![expect(clippy::unwrap_used, reason = "a failed bench panics")]

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use crossgate::iam::{AccountId, Action, Arn};
use crossgate::policy::directory::{PoliciesConfig, PolicyDirectory, Rescan, Scope, Tier, load};
use crossgate::policy::set::{Asked, PolicySets, UnknownCallers};
use crossgate::policy::{Principal, PrincipalKind, Resource};
use crossgate::verdict::Mode;
use divan::{Bencher, black_box};
use serde_json::{Value, json};
use tempfile::TempDir;

fn main() {
    divan::main();
}

const ACCOUNTS: usize = 1_000;
const PRINCIPALS: usize = 100;

static FOLDER: LazyLock<TempDir> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    for number in 0..ACCOUNTS {
        write(folder.path(), number, "10.0.0.0/8");
    }
    folder
});

static SETS: LazyLock<PolicySets> = LazyLock::new(|| load(&config()).unwrap().0);

fn config() -> PoliciesConfig {
    PoliciesConfig {
        directory: FOLDER.path().to_owned(),
        mode: Mode::Limited,
        unknown_callers: UnknownCallers::Deny,
    }
}

fn account(number: usize) -> String {
    format!("{:012}", 100_000_000_000 + number)
}

fn write(root: &Path, number: usize, network: &str) {
    let account = account(number);
    let folder = root.join("accounts").join(&account);
    fs::create_dir_all(folder.join("resources")).unwrap();
    let users: Vec<Value> = (0..PRINCIPALS).map(|it| user(&account, it, network)).collect();
    let details = json!({ "UserDetailList": users });
    fs::write(folder.join("authorization-details.json"), details.to_string()).unwrap();
    let resource = json!({ "resource": format!("arn:aws:orders::{account}:order/*") });
    fs::write(folder.join("resources/orders.json"), resource.to_string()).unwrap();
}

fn user(account: &str, number: usize, network: &str) -> Value {
    let document = json!({ "Version": "2012-10-17", "Statement": [
        {
            "Sid": "Read", "Effect": "Allow",
            "Action": ["orders:GetOrder", "orders:ListOrders", "s3:GetObject"],
            "Resource": ["arn:aws:orders::*:order/*", format!("arn:aws:s3:::bucket-{number}/*")],
            "Condition": {
                "StringEquals": { "aws:PrincipalTag/team": format!("team-{number}") },
                "IpAddress": { "aws:SourceIp": [network, "192.168.0.0/16"] },
            },
        },
        { "Sid": "Keep", "Effect": "Deny", "Action": "orders:Delete*", "Resource": "*" },
    ]});
    json!({
        "UserName": format!("u{number}"), "Arn": format!("arn:aws:iam::{account}:user/u{number}"),
        "UserPolicyList": [{ "PolicyName": "own", "PolicyDocument": document }],
        "Tags": [{ "Key": "team", "Value": format!("team-{number}") }],
    })
}

#[divan::bench(sample_count = 3, sample_size = 1)]
fn load_100_000_policies(bencher: Bencher<'_, '_>) {
    let config = config();
    bencher.bench_local(|| load(black_box(&config)).unwrap());
}

/// From the notice to the sets that would be published.
#[divan::bench(sample_count = 20, sample_size = 1)]
fn one_account_changed(bencher: Bencher<'_, '_>) {
    let config = config();
    let mut directory = PolicyDirectory::new(config.directory.clone());
    assert_eq!(directory.rescan(&[Scope::All]), Rescan::Changed);
    drop(directory.sets(config.mode, config.unknown_callers).unwrap());
    let id = AccountId::parse(&account(7)).unwrap();
    let mut round = 0_u32;
    bencher
        .with_inputs(|| {
            round += 1;
            write(&config.directory, 7, &format!("10.{}.0.0/16", round % 200));
        })
        .bench_local_values(|()| {
            let rescan = directory.rescan(&[Scope::Account(Tier::Enforced, id)]);
            assert_eq!(rescan, Rescan::Changed);
            directory.sets(config.mode, config.unknown_callers).unwrap()
        });
}

#[divan::bench(sample_count = 20, sample_size = 1)]
fn nothing_changed(bencher: Bencher<'_, '_>) {
    let mut directory = PolicyDirectory::new(config().directory);
    assert_eq!(directory.rescan(&[Scope::All]), Rescan::Changed);
    bencher.bench_local(|| assert_eq!(directory.rescan(&[Scope::All]), Rescan::Unchanged));
}

/// Another caller and owner each time, so that most of it is not in a cache.
#[divan::bench]
fn what_applies(bencher: Bencher<'_, '_>) {
    let sets = &*SETS;
    let action = Action::parse("orders:GetOrder").unwrap();
    let key_action = Action::parse("kms:Decrypt").unwrap();
    let texts: Vec<(String, String, AccountId)> = (0..4_096_usize)
        .map(|number| {
            let (caller, owner) = (account(number * 7 % ACCOUNTS), account(number * 13 % ACCOUNTS));
            let user = format!("arn:aws:iam::{caller}:user/u{}", number % PRINCIPALS);
            let order = format!("arn:aws:orders::{owner}:order/{number}");
            (user, order, AccountId::parse(&owner).unwrap())
        })
        .collect();
    let mut turn = texts.iter().cycle();
    bencher.bench_local(|| {
        let (user, order, owner) = turn.next().unwrap();
        let applicable = sets.enforced.applicable(&Asked {
            principal: Principal::new(PrincipalKind::User, black_box(user), None).unwrap(),
            action: &action,
            resource: Resource::Named(Arn::parse(order).unwrap()),
            owner: *owner,
            key_action: Some(&key_action),
            session: None,
        });
        (applicable.caller.is_some(), applicable.resource.is_some())
    });
}
