//! The demo's policy directory, and the order that three of its policies are about.
//!
//! Flows in: a folder. Flows out: its files. One order of each account is open to everybody by its
//! policy, so that the perimeter alone decides there.

use std::io;
use std::path::Path;

use serde_json::{Value, json};

use crate::cli::demo::cast::{Caller, OWNERS, Owner, PARTNER, PAY};

/// Whether the key's policy lets the partner use the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeyPolicy {
    /// Somebody forgot it.
    Forgetful,
    /// It does.
    Mended,
}

/// Writes the whole tree into a folder.
pub(super) fn write(folder: &Path, key_policy: KeyPolicy) -> io::Result<()> {
    for owner in OWNERS {
        let open = json!({ "resource": order_arn(owner, OPEN), "policy": open(owner) });
        write_file(&folder.join(resource_file(owner, OPEN)), &open)?;
    }
    let encrypted = json!({ "resource": shared_arn(), "key": key_arn(), "policy": shared() });
    write_file(&folder.join(resource_file(PAY, SHARED)), &encrypted)?;
    write_file(&folder.join(key_file()), &key(key_policy))?;
    write_file(&folder.join(details_file(PAY.id)), &user(PAY.id, Caller::Own, "orders:*"))?;
    let partner = user(PARTNER, Caller::Partner, "orders:GetOrder");
    write_file(&folder.join(details_file(PARTNER)), &partner)
}

/// Writes what a key's file has to have.
pub(super) fn write_key(file: &Path, key_policy: KeyPolicy) -> io::Result<()> {
    write_file(file, &key(key_policy))
}

/// The key's file, from the policy directory.
pub(super) fn key_file() -> String {
    format!("accounts/{}/keys/orders.json", PAY.id)
}

/// The order that is encrypted and shared.
pub(super) fn shared_arn() -> String {
    order_arn(PAY, SHARED)
}

/// The key that it is encrypted with.
pub(super) fn key_arn() -> String {
    format!("arn:aws:kms:eu-central-1:{}:key/orders", PAY.id)
}

fn resource_file(owner: &Owner, order: u8) -> String {
    format!("accounts/{}/resources/order-{order}.json", owner.id)
}

fn details_file(account: &str) -> String {
    format!("accounts/{account}/authorization-details.json")
}

fn order_arn(owner: &Owner, order: u8) -> String {
    format!("arn:aws:orders::{}:order/{order}", owner.id)
}

fn open(owner: &Owner) -> Value {
    document(&[json!({
        "Sid": "Everybody",
        "Effect": "Allow",
        "Principal": "*",
        "Action": "orders:GetOrder",
        "Resource": order_arn(owner, OPEN),
    })])
}

fn shared() -> Value {
    document(&[json!({
        "Sid": "Parcel",
        "Effect": "Allow",
        "Principal": { "AWS": root(PARTNER) },
        "Action": "orders:GetOrder",
        "Resource": shared_arn(),
    })])
}

fn key(key_policy: KeyPolicy) -> Value {
    let may_use = |sid, account, action| {
        json!({
            "Sid": sid,
            "Effect": "Allow",
            "Principal": { "AWS": root(account) },
            "Action": action,
            "Resource": "*",
        })
    };
    let mut statements = vec![may_use("AcmePay", PAY.id, "kms:*")];
    match key_policy {
        KeyPolicy::Forgetful => {}
        KeyPolicy::Mended => statements.push(may_use("Parcel", PARTNER, "kms:Decrypt")),
    }
    json!({ "key": key_arn(), "policy": document(&statements) })
}

/// An account with one user, as `aws iam get-account-authorization-details` prints it.
fn user(account: &str, caller: Caller, action: &str) -> Value {
    let name = caller.id();
    let allow = |action: &str, resource| json!({ "Effect": "Allow", "Action": action, "Resource": resource });
    let orders = "arn:aws:orders::*:order/*".to_owned();
    let policy = document(&[allow(action, orders), allow("kms:Decrypt", key_arn())]);
    json!({
        "UserDetailList": [{
            "Path": "/",
            "UserName": name,
            "UserId": format!("AIDA{}", caller.person().to_uppercase()),
            "Arn": format!("arn:aws:iam::{account}:user/{name}"),
            "UserPolicyList": [{ "PolicyName": "orders", "PolicyDocument": policy }],
        }],
        "GroupDetailList": [],
        "RoleDetailList": [],
        "Policies": [],
    })
}

fn document(statements: &[Value]) -> Value {
    json!({ "Version": "2012-10-17", "Statement": statements })
}

fn root(account: &str) -> String {
    format!("arn:aws:iam::{account}:root")
}

fn write_file(file: &Path, content: &Value) -> io::Result<()> {
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(file, format!("{content:#}\n"))
}

/// The number of the order that is open to everybody.
pub(super) const OPEN: u8 = 7;
/// The number of the order that is encrypted and shared.
pub(super) const SHARED: u8 = 8;
