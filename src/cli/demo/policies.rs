//! The demo's policy directory: orders, a key, users, and roles.
//!
//! Flows in: a folder. Flows out: its files. One order of each account is open to everybody by its
//! policy, so that the perimeter alone decides there.

mod roles;

use std::io;
use std::path::Path;

use serde_json::{Value, json};

use crate::cli::demo::cast::{Caller, DEV, Login, OWNERS, Owner, PARTNER, PAY};

pub(super) use roles::{EXTERNAL_ID, Role, WRONG_EXTERNAL_IDS};

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
    std::fs::create_dir_all(folder)?;
    std::fs::write(folder.join("organization.yaml"), organization())?;
    for owner in OWNERS {
        let open = json!({ "resource": order_arn(owner, OPEN), "policy": open(owner) });
        write_file(&folder.join(resource_file(owner, OPEN)), &open)?;
    }
    let encrypted = json!({ "resource": shared_arn(), "key": key_arn(), "policy": shared() });
    write_file(&folder.join(resource_file(PAY, SHARED)), &encrypted)?;
    write_file(&folder.join(key_file()), &key(key_policy))?;
    let [own, partner, developer] = users();
    let details = [
        (PAY.id, own, roles::details().to_vec()),
        (PARTNER, partner, Vec::new()),
        (DEV.id, developer, Vec::new()),
    ];
    for (account, user, roles) in details {
        write_file(&folder.join(details_file(account)), &account_details(&user, &roles))?;
    }
    Ok(())
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

/// Acme's accounts are one organization, so that none of them is a third party to another.
fn organization() -> String {
    let accounts = OWNERS.map(|owner| format!("\"{}\"", owner.id)).join(", ");
    format!("id: o-acme\nroot: {{ accounts: [{accounts}] }}\n")
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

/// Who may do what by policies of their own.
fn users() -> [Value; 3] {
    let all_orders = "arn:aws:orders::*:order/*".to_owned();
    let own_orders = format!("arn:aws:orders::{}:order/*", DEV.id);
    let decrypt = allow(&["kms:Decrypt"], &key_arn());
    let own = [allow(&["orders:*"], &all_orders), decrypt.clone()];
    let partner = [
        allow(&["orders:GetOrder"], &all_orders),
        decrypt,
        allow(&["sts:AssumeRole"], &Role::ParcelTracking.arn()),
    ];
    let developer = [
        allow(&["orders:GetOrder", "orders:PutOrder"], &own_orders),
        allow(&["sts:AssumeRole"], &Role::ProductionFix.arn()),
    ];
    [
        user(PAY.id, Caller::Own, &own),
        user(PARTNER, Caller::Partner, &partner),
        user(DEV.id, Caller::Developer(Login::Password), &developer),
    ]
}

fn user(account: &str, caller: Caller, statements: &[Value]) -> Value {
    json!({
        "Path": "/",
        "UserName": caller.id(),
        "UserId": format!("AIDA{}", caller.person().to_uppercase()),
        "Arn": user_arn(account, caller),
        "UserPolicyList": [{ "PolicyName": "orders", "PolicyDocument": document(statements) }],
    })
}

/// How policies name a person.
pub(super) fn user_arn(account: &str, caller: Caller) -> String {
    format!("arn:aws:iam::{account}:user/{}", caller.id())
}

/// An account as `aws iam get-account-authorization-details` prints it.
fn account_details(user: &Value, roles: &[Value]) -> Value {
    json!({
        "UserDetailList": [user],
        "GroupDetailList": [],
        "RoleDetailList": roles,
        "Policies": [],
    })
}

fn allow(actions: &[&str], resource: &str) -> Value {
    json!({ "Effect": "Allow", "Action": actions, "Resource": resource })
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
/// The number of the order that nobody of another account may read or change, but by a role.
pub(super) const INTERNAL: u8 = 9;
