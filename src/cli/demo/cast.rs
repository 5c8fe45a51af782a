//! Who plays: accounts, callers, and the files that set the stage. Pure.
//!
//! Flows in: addresses that the kernel chose. Flows out: claims, configuration and settings.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};

use crate::clock::UnixSeconds;
use crate::verdict::Mode;

/// One of Acme's accounts, which owns orders.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Owner {
    pub(super) name: &'static str,
    pub(super) id: &'static str,
    /// Its mode when the story begins.
    pub(super) mode: Mode,
}

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Caller {
    /// A user who is logged in to the account that is asked.
    Own,
    /// A user of an account on the allowlist.
    Partner,
    /// A user of an account that nobody knows.
    Stranger,
    /// The stranger's user, in a trusted profile of the account that is asked.
    Profile,
    /// A user of acme-dev, who looks after production now and then.
    Developer(Login),
}

/// How somebody logged in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Login {
    /// By a password alone.
    Password,
    /// By a password and a second factor.
    SecondFactor,
}

impl Caller {
    /// Those who ask every account.
    pub(super) const FOUR: [Self; 4] = [Self::Own, Self::Partner, Self::Stranger, Self::Profile];

    /// The person's short name.
    pub(super) fn person(self) -> &'static str {
        match self {
            Self::Own => "ada",
            Self::Partner => "pat",
            Self::Stranger | Self::Profile => "sam",
            Self::Developer(_) => "kim",
        }
    }

    /// Where the person comes from.
    pub(super) fn origin(self) -> &'static str {
        match self {
            Self::Own => "the account's own user",
            Self::Partner => "of Parcel 444444444444",
            Self::Stranger => "of Stray 999999999999",
            Self::Profile => "in a trusted profile",
            Self::Developer(_) => "of acme-dev 111111111111",
        }
    }

    /// Who the person is, by the identity provider's word.
    pub(super) fn id(self) -> &'static str {
        match self {
            Self::Own => "IBMid-ADA",
            Self::Partner => "IBMid-PAT",
            Self::Stranger | Self::Profile => "IBMid-SAM",
            Self::Developer(_) => "IBMid-KIM",
        }
    }

    /// The status of the answer that one of the four gets. A profile's session has the profile's
    /// account, so it comes in.
    pub(super) fn expected(self, mode: Mode) -> u16 {
        match (self, mode) {
            (Self::Stranger | Self::Developer(_), Mode::Limited) => 403,
            (Self::Stranger | Self::Developer(_), Mode::Unrestricted | Mode::ReportOnly)
            | (Self::Own | Self::Partner | Self::Profile, _) => 200,
        }
    }

    /// The account that the caller's token has.
    pub(super) fn account(self, asked: &'static Owner) -> &'static str {
        match self {
            Self::Own | Self::Profile => asked.id,
            Self::Partner => PARTNER,
            Self::Stranger => STRANGER,
            Self::Developer(_) => DEV.id,
        }
    }

    /// The person's address, as a token has it.
    pub(super) fn email(self) -> &'static str {
        match self {
            Self::Own => "ada@acme.example",
            Self::Partner => "pat@parcel.example",
            Self::Stranger | Self::Profile => "sam@stray.example",
            Self::Developer(_) => "kim@acme.example",
        }
    }

    /// The claims of a token as IBM Cloud IAM makes it.
    pub(super) fn claims(
        self,
        asked: &'static Owner,
        issuer: &str,
        issued_at: UnixSeconds,
    ) -> Value {
        let (id, email) = (self.id(), self.email());
        let mut claims = json!({
            "iss": issuer,
            "aud": AUDIENCE,
            "iat": issued_at.0,
            "exp": issued_at.plus(TOKEN_LIFETIME).0,
            "iam_id": id,
            "sub": email,
            "email": email,
            "account": { "bss": self.account(asked) },
            "amr": self.methods(),
        });
        if self == Self::Profile {
            let login = json!({ "iam_id": id, "sub": email, "email": email });
            let profile = json!({
                "iam_id": "iam-Profile-guest",
                "sub": "Profile-guest",
                "sub_type": "Profile",
                "name": "guest",
                "authn": login,
            });
            if let (Some(claims), Value::Object(profile)) = (claims.as_object_mut(), profile) {
                claims.remove("email");
                claims.extend(profile);
            }
        }
        claims
    }

    /// How the person logged in, by the names of RFC 8176.
    fn methods(self) -> &'static [&'static str] {
        match self {
            Self::Developer(Login::SecondFactor) => &["pwd", "otp"],
            Self::Developer(Login::Password)
            | Self::Own
            | Self::Partner
            | Self::Stranger
            | Self::Profile => &["pwd"],
        }
    }
}

/// What an account is called on the screen.
pub(super) fn account_name(id: &str) -> &str {
    match id {
        PARTNER => "Parcel",
        STRANGER => "Stray",
        id => OWNERS.iter().find(|owner| owner.id == id).map_or(id, |owner| owner.name),
    }
}

/// The path of an owner's order.
pub(super) fn order_path(owner: &Owner, order: u8) -> String {
    format!("/v1/accounts/{}/orders/{order}", owner.id)
}

/// The admin listener's path of an owner's setting.
pub(super) fn settings_path(owner: &Owner) -> String {
    format!("/v1/accounts/{}/settings/access_management", owner.id)
}

/// The change that limits an account, in the words of IBM's API.
pub(super) fn limiting_patch() -> Value {
    let limited = json!({ "state": "limited", "external_allowed_accounts": [PARTNER] });
    let types = json!({ "user": limited, "service_id": limited, "service": limited });
    json!({ "external_account_identity_interaction": { "identity_types": types } })
}

/// `crossgate.yaml`: any free port, and everything inside the file's directory.
pub(super) fn configuration(issuer: SocketAddr, upstream: SocketAddr) -> String {
    format!(
        r#"# The demo's configuration. `crossgate check --config FILE` looks at changes.
listeners:
  - address: 127.0.0.1:0
admin:
  address: 127.0.0.1:0
workers: 2
issuers:
  - issuer: {issuer}
    audiences: [{AUDIENCE}]
    algorithms: [ES256]
    jwks: {{ url: {issuer}/keys }}
    claims: ibm
routes:
  - path: /v1/accounts/{{account}}/orders/{{*order}}
    methods: [GET]
    action: orders:GetOrder
    resource: "arn:aws:orders::{{account}}:order/{{order}}"
    key_action: kms:Decrypt # asked of the key too, if the order is encrypted with one
    owner: "{{account}}"
    upstream: orders
  - path: /v1/accounts/{{account}}/orders/{{*order}}
    methods: [PUT]
    action: orders:PutOrder
    resource: "arn:aws:orders::{{account}}:order/{{order}}"
    key_action: kms:Encrypt
    owner: "{{account}}"
    upstream: orders
upstreams:
  orders: {{ endpoints: ["http://{upstream}"], connect_timeout: 1s, response_timeout: 5s }}
settings: {{ file: settings.yaml }}
policies: {{ directory: policies, mode: limited, unknown_callers: resource_policy_decides }}
events: {{ directory: events }}
sts:
  address: 127.0.0.1:0
  issuer: {SESSION_ISSUER} # `iss` of session tokens
drain: {{ timeout: 2s }}
forward_token: false
"#,
        issuer = issuer_url(issuer),
    )
}

/// The issuer's name, which is also where its keys are.
pub(super) fn issuer_url(issuer: SocketAddr) -> String {
    format!("http://{issuer}")
}

/// `settings.yaml`: one account in each mode, and one candidate.
pub(super) fn settings() -> String {
    format!(
        r#"# Who may come in from other accounts. Edit and save: it is in force within two seconds.
# {PARTNER} is Parcel, the partner; {STRANGER} is Stray, the stranger.
default: {{ mode: unrestricted, allowlist: [] }}
accounts:
  "{DEV_ID}": # acme-dev: everybody comes in; a candidate is asked beside it, never enforced
    mode: unrestricted
    allowlist: []
    candidate: {{ mode: limited, allowlist: [] }}
  "{SHOP_ID}": # acme-shop: everybody comes in, and what `limited` would say is recorded
    mode: report-only
    allowlist: ["{PARTNER}"]
  "{PAY_ID}": # acme-pay: only Acme itself and the allowlist come in
    mode: limited
    allowlist: ["{PARTNER}"]
"#
    )
}

pub(super) const DEV: &Owner = &Owner { name: "acme-dev", id: DEV_ID, mode: Mode::Unrestricted };
pub(super) const SHOP: &Owner = &Owner { name: "acme-shop", id: SHOP_ID, mode: Mode::ReportOnly };
pub(super) const PAY: &Owner = &Owner { name: "acme-pay", id: PAY_ID, mode: Mode::Limited };
pub(super) const OWNERS: [&Owner; 3] = [DEV, SHOP, PAY];

pub(super) const PARTNER: &str = "444444444444";
pub(super) const STRANGER: &str = "999999999999";
const DEV_ID: &str = "111111111111";
const SHOP_ID: &str = "222222222222";
const PAY_ID: &str = "333333333333";

/// The issuer of session tokens: a name, since the kernel chooses the port.
const SESSION_ISSUER: &str = "https://sts.acme.example";
/// The tokens' `aud`.
const AUDIENCE: &str = "orders";
/// As long as an IBM Cloud token at most.
const TOKEN_LIFETIME: Duration = Duration::from_hours(1);

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::cli::demo::policies::{self, KeyPolicy};

    #[test]
    fn the_configuration_is_valid() {
        let place = tempfile::tempdir().unwrap();
        std::fs::write(place.path().join("settings.yaml"), settings()).unwrap();
        policies::write(&place.path().join("policies"), KeyPolicy::Forgetful).unwrap();
        let text = configuration(([127, 0, 0, 1], 4001).into(), ([127, 0, 0, 1], 4002).into());
        let config = crate::config::parse(&text, &place.path().join("crossgate.yaml"), &|_| None);
        assert_eq!(config.unwrap().events.directory, place.path().join("events"));
        assert_ne!(place.path(), Path::new(""));
    }

    #[test]
    fn a_profiles_session_has_the_owners_account_and_the_strangers_login() {
        let claims = Caller::Profile.claims(SHOP, "http://issuer", UnixSeconds(1_000));
        assert_eq!(claims["account"]["bss"], SHOP.id);
        assert_eq!(claims["authn"]["iam_id"], "IBMid-SAM");
        assert_eq!(claims["exp"], 4_600);
        let stranger = Caller::Stranger.claims(SHOP, "http://issuer", UnixSeconds(1_000));
        assert_eq!(stranger["account"]["bss"], STRANGER);
        assert!(stranger.get("authn").is_none());
    }

    #[test]
    fn a_second_factor_is_the_developers_alone() {
        let methods =
            |caller: Caller| caller.claims(DEV, "http://issuer", UnixSeconds(1_000))["amr"].clone();
        assert_eq!(methods(Caller::Developer(Login::SecondFactor)), json!(["pwd", "otp"]));
        let others = [Caller::Developer(Login::Password)].into_iter().chain(Caller::FOUR);
        for caller in others {
            assert_eq!(methods(caller), json!(["pwd"]));
        }
    }
}
