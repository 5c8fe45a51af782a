//! Claims of the four kinds of IBM Cloud IAM access tokens, as its documentation prints them.

use serde_json::{Value, json};

use super::now;

/// A person's token, scoped to an account or to none.
pub fn user(issuer: &str, account: Option<&str>) -> Value {
    let mut claims = json!({
        "iam_id": USER_ID, "id": USER_ID, "realmid": "IBMid", "identifier": "550009FB7N",
        "given_name": "Don", "family_name": "Quixote", "name": "Don Quixote",
        "email": "quixote@example.com", "sub": "quixote@example.com",
        "grant_type": "urn:ibm:params:oauth:grant-type:apikey", "scope": "openid orders",
        "client_id": "bx", "acr": 1, "amr": ["pwd"],
    });
    if let Some(account) = account {
        claims["account"] = json!({"bss": account});
    }
    issued(claims, issuer)
}

/// A service ID's token.
pub fn service_id(issuer: &str, account: Option<&str>) -> Value {
    let mut claims = json!({
        "iam_id": SERVICE_ID, "id": SERVICE_ID, "realmid": "iam",
        "jti": "c4810836-9d29-4f5a-a8ff-7b8a1f4c1a11",
        "identifier": "ServiceId-c1e45eff-1c5d-4d52-8a3c-6e2d28a1f0a7", "name": "My Service ID",
        "sub": "ServiceId-c1e45eff-1c5d-4d52-8a3c-6e2d28a1f0a7", "sub_type": "ServiceId",
        "authn": {"sub": "ServiceId-c1e45eff-1c5d-4d52-8a3c-6e2d28a1f0a7", "iam_id": SERVICE_ID,
            "sub_type": "ServiceId", "name": "My Service ID"},
        "grant_type": "urn:ibm:params:oauth:grant-type:apikey", "scope": "ibm openid",
        "client_id": "default", "acr": 1, "amr": ["pwd"],
    });
    if let Some(account) = account {
        claims["account"] = json!({"valid": true, "bss": account, "frozen": true});
    }
    issued(claims, issuer)
}

/// A service's token, identified by its CRN.
pub fn service(issuer: &str, account: Option<&str>) -> Value {
    let iam_id = format!("crn-{SERVICE_CRN}");
    let mut claims = json!({
        "iam_id": iam_id, "id": iam_id, "realmid": "crn",
        "jti": "86912b78-32a4-4d4e-b1c5-7e8e7d6a1c22", "identifier": SERVICE_CRN,
        "sub": SERVICE_CRN, "sub_type": "CRN",
        "authn": {"sub": SERVICE_CRN, "iam_id": iam_id, "sub_type": "CRN"},
        "grant_type": "urn:ibm:params:oauth:grant-type:iam-authz",
        "scope": "ibm openid resource-controller", "client_id": "resource-controller",
        "acr": 0, "amr": [],
    });
    if let Some(account) = account {
        claims["account"] = json!({"valid": true, "bss": account, "frozen": true});
    }
    issued(claims, issuer)
}

/// A trusted profile's session, with the login behind it.
pub fn profile(issuer: &str, account: &str, login: &Value) -> Value {
    let authn = json!({
        "sub": login["sub"], "iam_id": login["iam_id"], "sub_type": login["sub_type"],
        "name": login["name"],
    });
    let present = |(name, value): (&String, &Value)| {
        (!value.is_null()).then(|| (name.clone(), value.clone()))
    };
    let authn: Value = authn.as_object().unwrap().iter().filter_map(present).collect();
    issued(
        json!({
            "iam_id": format!("iam-{PROFILE_ID}"), "id": format!("iam-{PROFILE_ID}"),
            "realmid": "iam", "jti": "0d7b8f70-53e1-4f0e-9d3d-6d9b5b0f7a33",
            "identifier": PROFILE_ID, "name": "Nightly reconciliation", "sub": PROFILE_ID,
            "sub_type": "Profile", "authn": authn,
            "account": {"valid": true, "bss": account, "frozen": true},
            "grant_type": "urn:ibm:params:oauth:grant-type:assume", "scope": "ibm openid",
            "client_id": "default", "acr": 1, "amr": ["pwd"],
        }),
        issuer,
    )
}

/// The claims with another value of one.
pub fn with(mut claims: Value, name: &str, value: Value) -> Value {
    claims[name] = value;
    claims
}

/// The claims without one.
pub fn without(mut claims: Value, name: &str) -> Value {
    claims.as_object_mut().unwrap().remove(name);
    claims
}

fn issued(mut claims: Value, issuer: &str) -> Value {
    claims["iss"] = json!(issuer);
    claims["iat"] = json!(now() - 10);
    claims["exp"] = json!(now() + 3600);
    claims
}

/// `iam_id` of [`user`].
pub const USER_ID: &str = "IBMid-550009FB7N";
/// `iam_id` of [`service_id`].
pub const SERVICE_ID: &str = "iam-ServiceId-c1e45eff-1c5d-4d52-8a3c-6e2d28a1f0a7";
/// CRN of [`service`].
pub const SERVICE_CRN: &str = "crn:v1:bluemix:public:resource-controller::a/f71446b6474d45bf81196da45de13940::resource-broker:1f4a9711-0f5b-4a83-9f0a-2c3f6a1e7d44";
/// Id of [`profile`].
pub const PROFILE_ID: &str = "Profile-94497d0d-2ac3-41bf-a993-a49d1b14627c";

/// The account whose resources are asked for.
pub const OWNER: &str = "59bcbfa6ea2f006b4ed7094c1a08dcdd";
/// An account that owners put on their allowlist.
pub const PARTNER: &str = "f71446b6474d45bf81196da45de13940";
/// An account that nobody knows.
pub const STRANGER: &str = "0a1b2c3d4e5f60718293a4b5c6d7e8f9";
