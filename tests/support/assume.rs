//! A world in which sessions of roles begin: issuers with keys, accounts with policies, callers with
//! real tokens. What is given and asked is JSON, so that cases can be data.
//!
//! ```json
//! { "accounts": { "1": {
//!     "users": { "path/name": { "policies": [POLICY], "boundary": POLICY, "tags": {}, "id": "…" } },
//!     "roles": { "path/name": { "trust": POLICY, "policies": …, "session_seconds_max": 3600 } },
//!     "profiles": { "Profile-1": { "name": "…", "trusted": […], "policies": [POLICY] } },
//!     "managed": { "name": POLICY },
//!     "resources": [{ "resource": "…", "policy": POLICY, "tags": {} }] } },
//!   "organization": { "management": "1", "accounts": { "2": { "scps": [[POLICY]], "rcps": [] } } },
//!   "issuers": { "https://…": { "audiences": ["…"], "claims": "ibm" | "account" | "session" } },
//!   "settings": { "1": { "mode": "limited", "allowlist": ["2"] } },
//!   "unknown_callers": "resource_policy_decides",
//!   "sts": { "default": 3600, "max": 43200 } }
//! ```
//!
//! A POLICY is a document, a statement or a list of statements.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "each test file uses its part; a failed test panics"
)]

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crossgate::clock::{UnixMillis, UnixSeconds};
use crossgate::decision::{self, Evaluation};
use crossgate::iam::{
    AccountId, Action, Arn, AuthzRequest, Identity, IdentityKind, IdentityType, RequestOrigin,
    RouteContext, Session, SessionPolicies, Transport,
};
use crossgate::perimeter::{AccountSetting, SettingsIndex};
use crossgate::policy::session_policy;
use crossgate::policy::set::PolicySets;
use crossgate::snapshot::Snapshot;
use crossgate::sts::assume::{
    AssumeParameters, Caller, Circumstances, Grant, Refused, Standing, Target, assume,
};
use crossgate::sts::{StsRules, WatchRules};
use crossgate::token::{
    Algorithm, ClaimsMapping, IssuerSpec, JwksLocation, JwksSource, KeySet, KeySets,
    PointerMapping, TokenError, session_arn, session_claims, verify,
};
use crossgate::verdict::Mode;
use data_encoding::BASE64URL_NOPAD;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::policy_set;
use crate::token_mint::{Signer, jwks};

/// When cases happen that do not say when.
pub(crate) const NOW: u64 = 1_760_105_007;

/// Whose logins have an account and any principal that their token tells.
pub(crate) const LOGIN: &str = "https://login.example.com";

/// The issuer of session tokens.
pub(crate) const STS: &str = "https://sts.example.com";

/// All that decides.
pub(crate) struct World {
    pub(crate) snapshot: Snapshot,
    rules: Arc<StsRules>,
}

/// Whom a token proves.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub(crate) identity: Identity,
    pub(crate) claims: Map<String, Value>,
    /// The token's size in bytes.
    pub(crate) token_len: usize,
}

impl World {
    pub(crate) fn new(given: &Value) -> Self {
        let enforced = policy_set::read(&policies_text(given));
        let policies =
            PolicySets { mode: Mode::Limited, enforced: Arc::new(enforced), candidate: None };
        let seconds = |name: &str, default| {
            Duration::from_secs(given["sts"][name].as_u64().unwrap_or(default))
        };
        let rules = Arc::new(StsRules {
            issuer: STS.into(),
            audiences: vec!["orders".into()],
            duration_default: seconds("default", 3600),
            duration_max: seconds("max", 43_200),
            watch: WatchRules::default(),
        });
        let snapshot = Snapshot {
            revision: 1,
            key_sets: Arc::new(key_sets(given)),
            settings: Arc::new(settings(given)),
            policies: Some(Arc::new(policies)),
            sts: Some(Arc::clone(&rules)),
            ..Snapshot::default()
        };
        Self { snapshot, rules }
    }

    /// Takes an issuer out.
    pub(crate) fn forget(&mut self, issuer: &str) {
        let kept = self.snapshot.key_sets.iter().map(|it| IssuerSpec::clone(it.spec()));
        let kept = kept.filter(|spec| *spec.issuer != *issuer).collect();
        self.snapshot.key_sets = Arc::new(self.snapshot.key_sets.reconfigured(kept));
    }

    /// Whom a token of these claims proves.
    pub(crate) fn verified(&self, claims: &Value, at: u64) -> Result<Known, TokenError> {
        self.known(claims.to_string().as_bytes(), at)
    }

    /// Whom the token of a session that began proves.
    pub(crate) fn session(&self, grant: &Grant, at: u64) -> Result<Known, TokenError> {
        self.known(&session_claims(&grant.identity, &self.rules).unwrap(), at)
    }

    fn known(&self, payload: &[u8], at: u64) -> Result<Known, TokenError> {
        let token = signer().sign(&signer().header().to_string(), payload);
        let identity = verify(&token, &self.snapshot.key_sets, UnixSeconds(at))?;
        let payload = token.split('.').nth(1).unwrap();
        let claims = BASE64URL_NOPAD.decode(payload.as_bytes()).unwrap();
        let claims = serde_json::from_slice(&claims).unwrap();
        Ok(Known { identity, claims, token_len: token.len() })
    }

    /// A caller as cases write it.
    ///
    /// | form | is |
    /// | --- | --- |
    /// | `"arn:…"`, `{ "arn", "mfa"?, "mfa_age"?, "tags"?, "claims"? }` | a login of the first issuer |
    /// | `{ "token": { "iss", … } }` | whom a token of these claims proves |
    /// | `{ "session_of": "<role>", "name"?, "tags"?, "transitive"?, "source_identity"?, "policy"?, "policy_arns"? }` | a session, as its token proves it |
    /// | `{ "assumed": { "caller", "as"?, "asks" } }` | the session that this call begins here |
    pub(crate) fn caller(&self, caller: &Value, at: u64) -> Known {
        if let Some(claims) = caller.get("token") {
            return self.verified(&times(claims.clone(), at), at).unwrap();
        }
        if let Some(call) = caller.get("assumed") {
            let grant = self.call(call, at).unwrap_or_else(|refused| panic!("{refused:?}"));
            return self.session(&grant, at).unwrap();
        }
        if caller.get("session_of").is_some() {
            let identity = session_identity(caller, at);
            return self.known(&session_claims(&identity, &self.rules).unwrap(), at).unwrap();
        }
        self.verified(&login_claims(caller, at), at).unwrap()
    }

    /// A call with all that it needs: `{ "caller", "as"?, "asks" }`.
    pub(crate) fn call(&self, call: &Value, at: u64) -> Result<Grant, Box<Refused>> {
        let caller = self.caller(&call["caller"], at);
        self.assume(&caller, call.get("as"), &call["asks"], at)
    }

    /// What a caller asks for: `role`, `profile` or `profile_name` and `account`; `name`,
    /// `external_id`, `seconds`, `policy`, `policy_arns`, `tags`, `transitive`, `source_identity`.
    pub(crate) fn assume(
        &self,
        caller: &Known,
        standing: Option<&Value>,
        asks: &Value,
        at: u64,
    ) -> Result<Grant, Box<Refused>> {
        let standing = match standing.and_then(Value::as_str) {
            None | Some("principal") => Standing::Principal,
            Some("web") => Standing::WebIdentity,
            Some("either") => Standing::Either,
            Some(other) => panic!("nobody asks as {other}"),
        };
        let caller = Caller { identity: &caller.identity, claims: &caller.claims, standing };
        self.ask(&caller, target(asks), &parameters(asks), at)
    }

    pub(crate) fn ask(
        &self,
        caller: &Caller<'_>,
        target: Target<'_>,
        parameters: &AssumeParameters,
        at: u64,
    ) -> Result<Grant, Box<Refused>> {
        let circumstances =
            Circumstances { id: id(at), now: UnixMillis(at * 1000), origin: ORIGIN };
        assume(&self.snapshot, &self.rules, caller, target, parameters, &circumstances)
    }

    /// Asks what a request through the proxy may do, and tells the answer to `then`.
    pub(crate) fn decide<T>(
        &self,
        identity: &Identity,
        (action, resource, owner): (&str, &str, &str),
        at: u64,
        then: impl FnOnce(Evaluation<'_>) -> T,
    ) -> T {
        let action = Action::parse(action).unwrap();
        let request = AuthzRequest {
            action: &action,
            key_action: None,
            resource,
            owner: AccountId::parse(owner).unwrap(),
            context: RouteContext::NONE,
            origin: ORIGIN,
        };
        then(decision::decide(&self.snapshot, identity, &request, UnixSeconds(at)))
    }
}

const ORIGIN: RequestOrigin<'static> = RequestOrigin {
    source_ip: std::net::IpAddr::V4(Ipv4Addr::new(192, 0, 2, 10)),
    transport: Transport::Tls,
    user_agent: None,
    referer: None,
};

/// A `UUIDv7` of a time.
fn id(at: u64) -> Uuid {
    Uuid::from_u128(u128::from(at * 1000) << 80 | 0x7000_8000_0000_0000_0001)
}

fn target(asks: &Value) -> Target<'_> {
    match (asks["role"].as_str(), asks["profile"].as_str(), asks["profile_name"].as_str()) {
        (Some(role), None, None) => Target::Role(role),
        (None, Some(profile), None) => Target::Profile(profile),
        (None, None, Some(name)) => {
            Target::ProfileNamed { name, account: asks["account"].as_str().unwrap() }
        }
        _ => panic!("one role or profile: {asks}"),
    }
}

pub(crate) fn parameters(asks: &Value) -> AssumeParameters {
    let text = |name: &str| asks[name].as_str().map(Box::from);
    let texts = |name: &str| -> Vec<Box<str>> {
        let list = asks[name].as_array().map(Vec::as_slice).unwrap_or_default();
        list.iter().map(|it| it.as_str().unwrap().into()).collect()
    };
    AssumeParameters {
        session_name: text("name"),
        external_id: text("external_id"),
        duration_seconds: asks["seconds"].as_u64().map(|it| u32::try_from(it).unwrap()),
        policy: match &asks["policy"] {
            Value::Null => None,
            Value::String(text) => Some(text.as_str().into()),
            policy => Some(document(policy).to_string().into()),
        },
        policy_arns: texts("policy_arns"),
        tags: tag_list(&asks["tags"]),
        transitive_tag_keys: texts("transitive"),
        source_identity: text("source_identity"),
    }
}

/// Tags as an object, or as a list of pairs where a key may come twice.
fn tag_list(tags: &Value) -> Vec<(Box<str>, Box<str>)> {
    let text = |value: &Value| Box::from(value.as_str().unwrap());
    match tags {
        Value::Null => Vec::new(),
        Value::Object(tags) => {
            tags.iter().map(|(key, it)| (key.as_str().into(), text(it))).collect()
        }
        Value::Array(pairs) => pairs.iter().map(|pair| (text(&pair[0]), text(&pair[1]))).collect(),
        other => panic!("{other} is no tags"),
    }
}

fn login_claims(caller: &Value, at: u64) -> Value {
    let arn = caller.as_str().or_else(|| caller["arn"].as_str()).unwrap();
    let account = Arn::parse(arn).map(Arn::account).unwrap_or_default();
    let name = arn.rsplit(['/', ':']).next().unwrap();
    let mut claims = json!({
        "iss": LOGIN, "aud": "orders", "sub": name, "account": account, "principal": arn,
        "type": caller["type"], "tags": caller["tags"], "mfa": caller["mfa"],
    });
    if let Some(age) = caller["mfa_age"].as_u64() {
        claims["auth_time"] = json!(at - age);
    }
    if let Some(more) = caller["claims"].as_object() {
        claims.as_object_mut().unwrap().extend(more.clone());
    }
    claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    times(claims, at)
}

/// With the times that a token needs.
fn times(claims: Value, at: u64) -> Value {
    let mut claims = claims;
    for (name, time) in [("iat", at - 60), ("exp", at + 3600)] {
        if claims.get(name).is_none() {
            claims[name] = json!(time);
        }
    }
    claims
}

fn session_identity(caller: &Value, at: u64) -> Identity {
    let role = caller["session_of"].as_str().unwrap();
    let name = caller["name"].as_str().unwrap_or("s0");
    let arn = Arn::parse(role).unwrap();
    let principal: Box<str> = session_arn(arn, name).into();
    let asked = parameters(caller);
    let limits = SessionPolicies {
        inline: asked.policy.as_ref().map(|text| session_policy(text).unwrap()),
        managed: asked.policy_arns.into(),
    };
    let is_limited = limits.inline.is_some() || !limits.managed.is_empty();
    Identity {
        account: Some(AccountId::parse(arn.account()).unwrap()),
        identity_type: IdentityType::User,
        kind: IdentityKind::Profile,
        principal: principal.clone(),
        id: role.into(),
        name: role.rsplit('/').next().unwrap().into(),
        authn_id: "behind".into(),
        authn_name: "".into(),
        issuer: STS.into(),
        subject: principal,
        session_tags: asked.tags.into_iter().collect(),
        mfa: Some(false),
        authenticated_at: None,
        issued_at: Some(UnixSeconds(at)),
        not_before: None,
        expires_at: UnixSeconds(at + 3600),
        session: Some(Arc::new(Session {
            id: id(at),
            role: role.into(),
            name: name.into(),
            transitive_tags: asked.transitive_tag_keys.into_iter().collect(),
            source_identity: asked.source_identity,
            chained: false,
            federated_provider: None,
            policies: is_limited.then_some(limits),
        })),
    }
}

fn signer() -> &'static Signer {
    static SIGNER: OnceLock<Signer> = OnceLock::new();
    SIGNER.get_or_init(|| Signer::new("EdDSA", "k"))
}

fn key_sets(given: &Value) -> KeySets {
    let more = given["issuers"].as_object().into_iter().flatten();
    let mut issuers = BTreeMap::from([
        (LOGIN, json!({ "audiences": ["orders"], "claims": "login" })),
        (STS, json!({ "audiences": ["orders"], "claims": "session" })),
    ]);
    issuers.extend(more.map(|(issuer, it)| (issuer.as_str(), it.clone())));
    let keys = jwks(&[signer()]);
    let specs = issuers.iter().map(|(issuer, it)| spec(issuer, it)).collect();
    issuers.keys().fold(KeySets::new(specs), |sets, issuer| {
        sets.with_keys(issuer, KeySet::parse(keys.as_bytes()).unwrap())
    })
}

fn spec(issuer: &str, given: &Value) -> IssuerSpec {
    let pointers = |principal: &str| {
        ClaimsMapping::Pointers(PointerMapping {
            account: "/account".into(),
            identity_type: Some("/type".into()),
            identity_types: vec![("service".into(), IdentityType::Service)],
            principal: principal.into(),
            session_tags: Some("/tags".into()),
            mfa: Some("/mfa".into()),
        })
    };
    let audiences = given["audiences"].as_array().map(Vec::as_slice).unwrap_or_default();
    IssuerSpec {
        issuer: issuer.into(),
        audiences: audiences.iter().map(|it| it.as_str().unwrap().into()).collect(),
        algorithms: vec![Algorithm::EdDsa],
        jwks: JwksSource {
            location: JwksLocation::File("keys.json".into()),
            refresh: Duration::from_mins(5),
            unknown_kid_interval: Duration::from_secs(10),
            timeout: Duration::from_secs(5),
        },
        leeway: Duration::from_secs(30),
        claims: match given["claims"].as_str().unwrap() {
            "login" => pointers("{principal}"),
            "account" => pointers("arn:aws:iam::{account}:user/{sub}"),
            "role" => pointers("arn:aws:sts::{account}:assumed-role/external/{sub}"),
            "ibm" => ClaimsMapping::Ibm,
            "session" => ClaimsMapping::Session,
            other => panic!("{other} is no mapping"),
        },
    }
}

fn settings(given: &Value) -> SettingsIndex {
    let accounts = given["settings"].as_object().into_iter().flatten();
    accounts.fold(SettingsIndex::default(), |index, (account, it)| {
        let mode = match it["mode"].as_str().unwrap() {
            "limited" => Mode::Limited,
            other => panic!("{other} is no mode of a case"),
        };
        let allowlist = it["allowlist"].as_array().unwrap().iter();
        let allowlist = allowlist.map(|it| AccountId::parse(it.as_str().unwrap()).unwrap());
        let setting = AccountSetting::uniform(mode, Arc::new(allowlist.collect()));
        index.with_account(AccountId::parse(account).unwrap(), setting)
    })
}

/// What is given, as `policy_set` reads it.
fn policies_text(given: &Value) -> String {
    let accounts = given["accounts"].as_object().into_iter().flatten();
    let accounts: Map<_, _> = accounts.map(|(id, it)| (id.clone(), account(id, it))).collect();
    let mut set = json!({ "accounts": accounts });
    if let Some(organization) = given.get("organization") {
        set["organization"] = organization_of(organization);
    }
    if let Some(unknown) = given.get("unknown_callers") {
        set["unknown_callers"] = unknown.clone();
    }
    set.to_string()
}

fn account(id: &str, given: &Value) -> Value {
    let named = |list: &str| given[list].as_object().cloned().unwrap_or_default().into_iter();
    let principal = |kind: &str, name: &str, mut it: Value| {
        it["arn"] = json!(format!("arn:aws:iam::{id}:{kind}/{name}"));
        for of_one in ["boundary", "trust"] {
            if let Some(policy) = it.get(of_one) {
                it[of_one] = document(policy);
            }
        }
        it["policies"] = it["policies"].as_array().into_iter().flatten().map(document).collect();
        it
    };
    let users = named("users").map(|(name, it)| principal("user", &name, it));
    let roles = named("roles").map(|(name, it)| principal("role", &name, it));
    let profiles = named("profiles").map(|(name, it)| {
        let profile = json!({ "name": it["name"], "trusted": it["trusted"] });
        let profile = json!({ "id": name, "profile": profile, "policies": it["policies"] });
        principal("role", &name, profile)
    });
    let managed = named("managed").map(|(name, it)| {
        json!({ "arn": format!("arn:aws:iam::{id}:policy/{name}"), "policy": document(&it) })
    });
    let resources = given["resources"].as_array().into_iter().flatten().map(|it| {
        let mut it = it.clone();
        it["policy"] = document(&it["policy"]);
        it
    });
    let mut account = json!({
        "managed": managed.collect::<Value>(), "resources": resources.collect::<Value>(),
    });
    if given["principals"] != json!("unknown") {
        account["principals"] = users.chain(roles).chain(profiles).collect();
    }
    account
}

fn organization_of(given: &Value) -> Value {
    let levels = |levels: &Value| -> Value {
        let level = |it: &Value| it.as_array().unwrap().iter().map(document).collect::<Value>();
        levels.as_array().into_iter().flatten().map(level).collect()
    };
    let mut organization = given.clone();
    for (_, it) in organization["accounts"].as_object_mut().into_iter().flatten() {
        *it = json!({ "scps": levels(&it["scps"]), "rcps": levels(&it["rcps"]) });
    }
    organization
}

/// A document as it is, or made of a statement or several.
pub(crate) fn document(value: &Value) -> Value {
    if value.is_array() || value.get("Effect").is_some() {
        return json!({ "Version": "2012-10-17", "Statement": value });
    }
    value.clone()
}
