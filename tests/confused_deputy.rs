//! Goal: a vendor that serves many customers can't be talked into using one customer's role for
//! another one, where each customer's trust policy asks for the external ID that the vendor picked
//! for that customer; and where it does not, it can.
//!
//! Method: two vendors with a register of their customers each. A vendor assumes the role that a
//! customer has written down, with the external ID that the vendor keeps for this customer, and
//! nothing that a customer says changes that ID.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failed test panics"
)]

use std::collections::BTreeMap;

use crossgate::policy::lint;
use crossgate::sts::assume::{Grant, Refused};
use serde_json::{Value, json};

use assume::{NOW, World};

#[expect(dead_code, reason = "nothing is decided for a session here")]
#[path = "support/assume.rs"]
mod assume;
#[path = "support/policy_set.rs"]
mod policy_set;
#[expect(dead_code, reason = "only one key signs")]
mod token_mint;

const VENDOR: &str = "arn:aws:iam::333333333333:user/collector";
const OTHER_VENDOR: &str = "arn:aws:iam::444444444444:user/collector";

const ACME: &str = "111111111111";
const MALLORY: &str = "222222222222";
const ROLE_OF_ACME: &str = "arn:aws:iam::111111111111:role/reports";
const ROLE_OF_MALLORY: &str = "arn:aws:iam::222222222222:role/reports";

const ID_OF_ACME: &str = "9f1c2b7e-6a54-4a0e-8f0d-3a1d5c7b9e02";
const ID_OF_MALLORY: &str = "0b6d8e3a-1f27-4c95-b1a4-7e6c2d90f5a8";
const ID_AT_OTHER_VENDOR: &str = "c4a1e7d2-93b8-4f6c-a5d0-18e27b3f6094";

/// Who takes whose word for which role is theirs.
struct Vendor {
    principal: &'static str,
    /// The external ID that the vendor picked for each of its customers. No customer changes it.
    external_ids: BTreeMap<&'static str, &'static str>,
    /// The role that each customer wrote down in the vendor's console.
    roles: BTreeMap<&'static str, &'static str>,
}

impl Vendor {
    fn new(principal: &'static str, external_ids: [(&'static str, &'static str); 2]) -> Self {
        let roles = BTreeMap::from([(ACME, ROLE_OF_ACME), (MALLORY, ROLE_OF_MALLORY)]);
        Self { principal, external_ids: external_ids.into(), roles }
    }

    /// Works for a customer in the role that the customer wrote down.
    fn serve(&self, world: &World, customer: &str) -> Result<Grant, Box<Refused>> {
        let asks = json!({
            "role": self.roles[customer], "name": "collector",
            "external_id": self.external_ids[customer],
        });
        world.call(&json!({ "caller": self.principal, "asks": asks }), NOW)
    }
}

fn vendor() -> Vendor {
    Vendor::new(VENDOR, [(ACME, ID_OF_ACME), (MALLORY, ID_OF_MALLORY)])
}

/// Both customers' roles, with what each asks for of the vendor.
fn world(acme_asks_for: Option<&str>, mallory_asks_for: Option<&str>) -> World {
    let collector = json!({ "users": { "collector": { "policies": [
        { "Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "arn:aws:iam::*:role/reports" },
    ] } } });
    let customer = |asks_for| json!({ "roles": { "reports": { "trust": trust(asks_for) } } });
    World::new(&json!({ "accounts": {
        "333333333333": collector, "444444444444": collector,
        ACME: customer(acme_asks_for), MALLORY: customer(mallory_asks_for),
    } }))
}

fn trust(external_id: Option<&str>) -> Value {
    let mut statement = json!({
        "Effect": "Allow", "Principal": { "AWS": "333333333333" }, "Action": "sts:AssumeRole",
    });
    if let Some(id) = external_id {
        statement["Condition"] = json!({ "StringEquals": { "sts:ExternalId": id } });
    }
    statement
}

#[track_caller]
fn assert_in(result: Result<Grant, Box<Refused>>, account: &str) {
    let grant = result.unwrap();
    assert_eq!(grant.identity.account.unwrap().as_str(), account);
}

#[track_caller]
fn assert_refused(result: Result<Grant, Box<Refused>>) -> String {
    let Err(refused) = result else { panic!("{result:?}") };
    assert_eq!(refused.reason.as_str(), "policy_implicit_deny", "{refused:?}");
    refused.error.to_string()
}

/// What is found in the policies that has to do with external IDs.
fn found(world: &World) -> Vec<String> {
    let set = &world.snapshot.policies.as_ref().unwrap().enforced;
    let all = lint::set(set).into_iter().map(|finding| finding.to_string());
    all.filter(|finding| finding.contains("external ID")).collect()
}

#[test]
fn a_vendor_serves_each_customer_in_its_own_role() {
    let (world, vendor) = (world(Some(ID_OF_ACME), Some(ID_OF_MALLORY)), vendor());
    assert_in(vendor.serve(&world, ACME), ACME);
    assert_in(vendor.serve(&world, MALLORY), MALLORY);
    assert_eq!(found(&world), Vec::<String>::new());
}

#[test]
fn a_customer_that_writes_down_anothers_role_gets_nothing() {
    let (world, mut vendor) = (world(Some(ID_OF_ACME), Some(ID_OF_MALLORY)), vendor());
    vendor.roles.insert(MALLORY, ROLE_OF_ACME);
    let told = assert_refused(vendor.serve(&world, MALLORY));
    // Nor does the answer tell whether there is such a role.
    vendor.roles.insert(MALLORY, "arn:aws:iam::111111111111:role/nothing/reports");
    let Err(unknown) = vendor.serve(&world, MALLORY) else { panic!("there is no such role") };
    assert_eq!(told, unknown.error.to_string());
    // The vendor's work for the customer whose role it is goes on.
    assert_in(vendor.serve(&world, ACME), ACME);
}

#[test]
fn what_counts_is_for_whom_the_vendor_asks() {
    let (world, mut vendor) = (world(Some(ID_OF_ACME), Some(ID_OF_MALLORY)), vendor());
    vendor.roles.insert(MALLORY, ROLE_OF_ACME);
    assert_refused(vendor.serve(&world, MALLORY));
    vendor.external_ids.insert(MALLORY, ID_OF_ACME);
    assert_in(vendor.serve(&world, MALLORY), ACME);
}

#[test]
fn a_role_that_asks_for_no_external_id_is_open_to_every_customer() {
    let (world, mut vendor) = (world(None, Some(ID_OF_MALLORY)), vendor());
    vendor.roles.insert(MALLORY, ROLE_OF_ACME);
    assert_in(vendor.serve(&world, MALLORY), ACME);
}

#[test]
fn one_external_id_for_two_customers_is_none_and_is_found() {
    let world = world(Some(ID_OF_ACME), Some(ID_OF_ACME));
    let mut vendor = Vendor::new(VENDOR, [(ACME, ID_OF_ACME), (MALLORY, ID_OF_ACME)]);
    vendor.roles.insert(MALLORY, ROLE_OF_ACME);
    assert_in(vendor.serve(&world, MALLORY), ACME);
    let found = found(&world);
    assert!(
        found.iter().any(|it| it.contains("one external ID for roles of two owners")),
        "{found:?}"
    );
    assert!(!found.concat().contains(ID_OF_ACME), "{found:?}");
}

#[test]
fn a_customer_that_knows_anothers_external_id_has_no_use_for_it() {
    let (world, mut vendor) = (world(Some(ID_OF_ACME), Some(ID_OF_MALLORY)), vendor());
    // Its own role may ask for it: that role alone is what the vendor gets into, or not at all.
    vendor.roles.insert(MALLORY, ROLE_OF_ACME);
    assert_refused(vendor.serve(&world, MALLORY));
    // By itself it is no third party that the role trusts.
    let asks = json!({ "role": ROLE_OF_ACME, "name": "x1", "external_id": ID_OF_ACME });
    let caller = "arn:aws:iam::222222222222:user/mallory";
    assert_refused(world.call(&json!({ "caller": caller, "asks": asks }), NOW));
}

#[test]
fn another_vendors_customer_gets_nothing_by_the_right_external_id() {
    let world = world(Some(ID_OF_ACME), Some(ID_OF_MALLORY));
    let mut other = Vendor::new(OTHER_VENDOR, [(ACME, ID_AT_OTHER_VENDOR), (MALLORY, ID_OF_ACME)]);
    other.roles.insert(MALLORY, ROLE_OF_ACME);
    assert_refused(other.serve(&world, MALLORY));
    assert_refused(other.serve(&world, ACME));
}

#[test]
fn while_an_external_id_is_rotated_both_are_the_same_customers() {
    let new = "5d2e90b7-c1f4-4b38-9a6d-e07f3c81a246";
    let world = World::new(&json!({ "accounts": {
        "333333333333": { "users": { "collector": { "policies": [
            { "Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "*" },
        ] } } },
        ACME: { "roles": { "reports": { "trust": {
            "Effect": "Allow", "Principal": { "AWS": "333333333333" }, "Action": "sts:AssumeRole",
            "Condition": { "StringEquals": { "sts:ExternalId": [ID_OF_ACME, new] } },
        } } } },
    } }));
    let mut vendor = vendor();
    assert_in(vendor.serve(&world, ACME), ACME);
    vendor.external_ids.insert(ACME, new);
    assert_in(vendor.serve(&world, ACME), ACME);
    vendor.roles.insert(MALLORY, ROLE_OF_ACME);
    assert_refused(vendor.serve(&world, MALLORY));
}
