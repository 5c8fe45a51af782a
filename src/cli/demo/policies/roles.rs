//! The roles of acme-pay: what they may do, whom they trust, and under which conditions.

use serde_json::{Value, json};

use crate::cli::demo::cast::{DEV, PARTNER, PAY};
use crate::cli::demo::policies::{INTERNAL, allow, document, order_arn, root};

/// A role of acme-pay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli::demo) enum Role {
    /// Changes orders in production; trusts acme-dev, with a second factor.
    ProductionFix,
    /// Reads one order; trusts Parcel, with the external ID that was agreed.
    ParcelTracking,
    /// There is none of this name.
    Unknown,
}

impl Role {
    pub(in crate::cli::demo) fn name(self) -> &'static str {
        match self {
            Self::ProductionFix => "production-fix",
            Self::ParcelTracking => "parcel-tracking",
            Self::Unknown => "nobody-has-it",
        }
    }

    pub(in crate::cli::demo) fn arn(self) -> String {
        format!("arn:aws:iam::{}:role/{}", PAY.id, self.name())
    }
}

/// The roles, as `aws iam get-account-authorization-details` prints them.
pub(super) fn details() -> [Value; 2] {
    let second_factor = json!({ "Bool": { "aws:MultiFactorAuthPresent": "true" } });
    let external_id = json!({ "StringEquals": { "sts:ExternalId": EXTERNAL_ID } });
    let all_orders = format!("arn:aws:orders::{}:order/*", PAY.id);
    let change = allow(&["orders:GetOrder", "orders:PutOrder"], &all_orders);
    let read = allow(&["orders:GetOrder"], &order_arn(PAY, INTERNAL));
    [
        details_of(Role::ProductionFix, &trust(DEV.id, &second_factor), change),
        details_of(Role::ParcelTracking, &trust(PARTNER, &external_id), read),
    ]
}

/// Each user of the account whom its own policies let, under a condition.
fn trust(account: &str, condition: &Value) -> Value {
    document(&[json!({
        "Effect": "Allow",
        "Principal": { "AWS": root(account) },
        "Action": "sts:AssumeRole",
        "Condition": condition,
    })])
}

fn details_of(role: Role, trust: &Value, statement: Value) -> Value {
    json!({
        "Path": "/",
        "RoleName": role.name(),
        "RoleId": format!("AROA{}", role.name().to_uppercase().replace('-', "")),
        "Arn": role.arn(),
        "AssumeRolePolicyDocument": trust,
        "RolePolicyList": [{ "PolicyName": "orders", "PolicyDocument": document(&[statement]) }],
    })
}

/// What Acme and Parcel agreed on, as `crossgate external-id new` makes one. A sample: everybody
/// who reads this knows it.
pub(in crate::cli::demo) const EXTERNAL_ID: &str = "K7QWT9XM-4HVPB2ZC-Y6RNJ3SD-F8GLE5AU";
/// That of another customer of Parcel's, and two that somebody made up.
pub(in crate::cli::demo) const WRONG_EXTERNAL_IDS: [&str; 3] =
    ["M3NRD8WA-Q5KXG7TB-H2VYC9PE-Z6SJF4LU", "acme-0001", "acme-0002"];
