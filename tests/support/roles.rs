//! A gate that gives out sessions of roles of the owner's account.

use std::net::SocketAddr;

use serde_json::{Value, json};

use super::free_address;
use super::gate::{Config, World};
use super::identities::{OWNER, USER_ID};
use super::policies::{Policies, document};

/// A world with roles, and where their sessions begin.
pub struct RoleWorld {
    pub world: World,
    pub sts: SocketAddr,
}

impl RoleWorld {
    /// Starts it with these roles of the owner: names and the statements of their trust. Each may
    /// read orders.
    #[track_caller]
    pub fn start(roles: &[(&str, Value)], change: impl FnOnce(Config) -> Config) -> Self {
        let sts = free_address();
        let world = World::start(|config| change(with_roles(config, sts, roles)));
        Self { world, sts }
    }

    /// The token service's URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.sts)
    }
}

/// The ARN of a role of the owner.
pub fn role_arn(name: &str) -> String {
    format!("arn:aws:iam::{OWNER}:role/{name}")
}

/// A statement that trusts the user of the owner's account, with conditions.
pub fn trusts_user(conditions: &Value) -> Value {
    json!({
        "Effect": "Allow", "Action": "sts:AssumeRole",
        "Principal": { "AWS": format!("arn:aws:iam::{OWNER}:user/{USER_ID}") },
        "Condition": conditions,
    })
}

/// The configuration with a token service at an address, and these roles.
pub fn with_roles(config: Config, sts: SocketAddr, roles: &[(&str, Value)]) -> Config {
    let reads = document(&[json!({
        "Effect": "Allow", "Action": "orders:GetOrder",
        "Resource": format!("arn:aws:orders::{OWNER}:order/*"),
    })]);
    let role = |(name, trust): &(&str, Value)| {
        json!({
            "Path": "/", "RoleName": name, "RoleId": format!("AROA{name}"), "Arn": role_arn(name),
            "CreateDate": "2025-01-01T00:00:00+00:00",
            "AssumeRolePolicyDocument": document(std::slice::from_ref(trust)),
            "InstanceProfileList": [], "AttachedManagedPolicies": [], "Tags": [],
            "RolePolicyList": [{ "PolicyName": "reads", "PolicyDocument": reads }],
        })
    };
    let user = json!({
        "Path": "/", "UserName": USER_ID, "UserId": "AIDA1",
        "Arn": format!("arn:aws:iam::{OWNER}:user/{USER_ID}"),
        "CreateDate": "2025-01-01T00:00:00+00:00", "UserPolicyList": [], "GroupList": [],
        "AttachedManagedPolicies": [], "Tags": [],
    });
    let details = json!({
        "UserDetailList": [user], "GroupDetailList": [], "Policies": [],
        "RoleDetailList": roles.iter().map(role).collect::<Vec<_>>(),
    });
    let policies = Policies::new();
    let policies = policies.file(&format!("accounts/{OWNER}/authorization-details.json"), details);
    let section = format!(
        "{{ address: \"{sts}\", issuer: \"http://{sts}\", audiences: [orders], \
         keys: {{ directory: sts-keys }} }}"
    );
    policies.of(config.set("sts", section), "mode: limited")
}
