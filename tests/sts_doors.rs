//! The token service on its own socket: three protocols, one answer for what is nobody's to know, one
//! event an attempt, and HTTP without two meanings.

#![expect(
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a failed test panics; the clock is real"
)]

mod support;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use support::gate::{Config, Gate};
use support::idp::Idp;
use support::keys::Key;
use support::policies::{Policies, document};
use support::raw::{Client, Reply, Request};
use support::tls::{self, Certificate};
use support::upstream::Upstream;
use support::{SOON, free_address, now, poll};

const HOME: &str = "111111111111";
const OWNER: &str = "222222222222";
const PROFILE: &str = "Profile-9a0c7a52-6a0c-4c0e-9b0e-0d1f6f1b2c3d";
const EXTERNAL_ID: &str = "vendor:Zx81kPq4mT7vB2nD";
const WRONG_EXTERNAL_ID: &str = "vendor:not-this-one-7h2J";

const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";
const ASSUME: &str = "urn:ibm:params:oauth:grant-type:assume";

/// A proxy with a token service, who signs its callers' tokens, and an upstream.
struct World {
    gate: Gate,
    idp: Idp,
    sts: SocketAddr,
    _upstream: Upstream,
}

type Fields<'a> = Vec<(&'a str, &'a str)>;

impl World {
    #[track_caller]
    fn start(change: impl FnOnce(Config) -> Config) -> Self {
        let (idp, upstream) = (Idp::start(), Upstream::start());
        let sts = free_address();
        let gate = Gate::start(change(config(&idp, &upstream, sts)));
        Self { gate, idp, sts, _upstream: upstream }
    }

    /// The token of a person of an account.
    fn token(&self, subject: &str) -> String {
        self.idp.token(&self.claims(subject))
    }

    fn claims(&self, subject: &str) -> Value {
        json!({
            "iss": self.idp.issuer(), "aud": "orders", "sub": subject, "account": HOME,
            "iat": now(), "exp": now() + 600, "amr": ["pwd", "otp"],
        })
    }

    #[track_caller]
    fn post(&self, path: &str, fields: &[(&str, &str)], token: Option<&str>) -> Reply {
        self.post_from(path, fields, token, None)
    }

    #[track_caller]
    fn post_from(
        &self,
        path: &str,
        fields: &[(&str, &str)],
        token: Option<&str>,
        forwarded: Option<&str>,
    ) -> Reply {
        let body = encoded(fields);
        let mut request = Request::new("POST", path)
            .header("content-type", "application/x-www-form-urlencoded; charset=utf-8")
            .header("connection", "close")
            .header("user-agent", "a test");
        if let Some(token) = token {
            request = request.token(token);
        }
        if let Some(forwarded) = forwarded {
            request = request.header("x-forwarded-for", forwarded);
        }
        request.body(body.as_bytes()).ask(self.sts)
    }

    #[track_caller]
    fn ask(&self, request: &Request<'_>) -> Reply {
        request.clone().header("connection", "close").ask(self.sts)
    }

    #[track_caller]
    fn assume_role(&self, role: &str, external_id: &str, subject: &str) -> Reply {
        let fields = assume_role(role, external_id);
        self.post("/", &fields, Some(&self.token(subject)))
    }

    #[track_caller]
    fn web_identity(&self, role: &str, token: &str) -> Reply {
        let mut fields = assume("AssumeRoleWithWebIdentity", role);
        fields.push(("WebIdentityToken", token));
        self.post("/", &fields, None)
    }

    #[track_caller]
    fn exchange(&self, role: &str, token: &str, more: &[(&str, &str)]) -> Reply {
        let fields = [
            ("grant_type", EXCHANGE),
            ("subject_token", token),
            ("subject_token_type", JWT),
            ("resource", role),
        ];
        self.post("/oauth2/token", &[&fields, more].concat(), None)
    }

    #[track_caller]
    fn profile(&self, profile: &str, token: &str) -> Reply {
        let fields = [("grant_type", ASSUME), ("access_token", token), ("profile_id", profile)];
        self.post("/identity/token", &fields, None)
    }

    /// Whether the proxy lets a token read an order of the owner.
    #[track_caller]
    fn reads(&self, token: &str) -> bool {
        let order = format!("/v1/accounts/{OWNER}/orders/7");
        self.gate.ask(&Request::get(&order).token(token)).status == 200
    }

    /// The event of the attempt that this answered, as soon as it is in the log.
    #[track_caller]
    fn event_of(&self, reply: &Reply) -> Value {
        let id = reply.decision();
        poll("the attempt's event", SOON, || {
            let events = self.gate.events();
            let mut found = events.into_iter().filter(|event| event["id"] == *id);
            found.next().inspect(|_| assert!(found.next().is_none(), "it is there twice"))
        })
    }
}

fn config(idp: &Idp, upstream: &Upstream, sts: SocketAddr) -> Config {
    let issuers = format!(
        "\n  - issuer: {}\n    audiences: [orders]\n    algorithms: [RS256, ES256]\n    \
         jwks: {{ url: \"{}\" }}\n    claims: {{ account: /account, mfa: /amr }}",
        idp.issuer(),
        idp.keys_url()
    );
    let section = format!(
        "{{ address: \"{sts}\", issuer: \"http://{sts}\", audiences: [orders, invoices] }}"
    );
    let config = Config::new(idp, upstream.address())
        .set("issuers", issuers)
        .set("sts", section)
        .settings("default: { mode: limited, allowlist: [] }\n");
    let provider = idp.issuer().replace("http://", "");
    let orders = |account: &str| format!("arn:aws:orders::{account}:order/*");
    let may_assume = allow("sts:*", &format!("arn:aws:iam::{OWNER}:role/*"));
    let own = allow("orders:*", &orders(HOME));
    let statements = [own, may_assume];
    let profile = json!({
        "id": PROFILE, "name": "auditors", "trusted": [{ "claims": { "/sub": "ana" } }],
        "policies": [document(&[allow("orders:GetOrder", &orders(OWNER))])],
    });
    Policies::new()
        .user(HOME, "ana", &statements)
        .user(HOME, "ben", &statements)
        .file(&format!("accounts/{OWNER}/authorization-details.json"), roles(&provider))
        .file(&format!("accounts/{OWNER}/profiles/auditors.json"), profile)
        .of(config, "mode: limited, unknown_callers: deny")
}

/// A role for web identities, one for a vendor's user with an external ID.
fn roles(provider: &str) -> Value {
    let role = |arn: &str, trust: Value| {
        json!({
            "RoleName": arn.rsplit('/').next().unwrap(), "RoleId": "AROAEXAMPLE", "Arn": arn,
            "AssumeRolePolicyDocument": document(&[trust]),
            "RolePolicyList": [{
                "PolicyName": "own",
                "PolicyDocument":
                    document(&[allow("orders:*", &format!("arn:aws:orders::{OWNER}:order/*"))]),
            }],
        })
    };
    let by_provider = json!({
        "Effect": "Allow", "Action": "sts:AssumeRoleWithWebIdentity",
        "Principal": { "Federated": format!("arn:aws:iam::{OWNER}:oidc-provider/{provider}") },
        "Condition": { "StringEquals": { format!("{provider}:sub"): "ana" } },
    });
    let by_user = json!({
        "Effect": "Allow", "Action": ["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"],
        "Principal": { "AWS": format!("arn:aws:iam::{HOME}:user/ana") },
        "Condition": { "StringEquals": { "sts:ExternalId": EXTERNAL_ID } },
    });
    json!({
        "UserDetailList": [], "GroupDetailList": [], "Policies": [],
        "RoleDetailList": [role(&reader(), by_provider), role(&deploy(), by_user)],
    })
}

fn allow(action: &str, resource: &str) -> Value {
    json!({ "Effect": "Allow", "Action": action, "Resource": resource })
}

fn reader() -> String {
    format!("arn:aws:iam::{OWNER}:role/reader")
}

fn deploy() -> String {
    format!("arn:aws:iam::{OWNER}:role/team/deploy")
}

fn unknown() -> String {
    format!("arn:aws:iam::{OWNER}:role/nobody-has-it")
}

fn assume<'a>(action: &'a str, role: &'a str) -> Fields<'a> {
    vec![
        ("Action", action),
        ("Version", "2011-06-15"),
        ("RoleArn", role),
        ("RoleSessionName", "release"),
    ]
}

fn assume_role<'a>(role: &'a str, external_id: &'a str) -> Fields<'a> {
    let mut fields = assume("AssumeRole", role);
    fields.push(("ExternalId", external_id));
    fields
}

fn encoded(fields: &[(&str, &str)]) -> String {
    let encode = |text| utf8_percent_encode(text, NON_ALPHANUMERIC);
    let fields = fields.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value)));
    fields.collect::<Vec<_>>().join("&")
}

fn text(reply: &Reply) -> String {
    String::from_utf8(reply.body.clone()).unwrap()
}

/// The text of an XML answer's only element of a name.
#[track_caller]
fn element(reply: &Reply, name: &str) -> String {
    let text = text(reply);
    let document = roxmltree::Document::parse(&text).unwrap();
    let mut found = document.descendants().filter(|node| node.tag_name().name() == name);
    let (Some(node), None) = (found.next(), found.next()) else {
        panic!("not one `{name}` in {text}");
    };
    node.text().unwrap_or_default().to_owned()
}

/// An answer without what is of this request alone.
fn anonymous(reply: &Reply) -> (u16, Vec<(String, String)>, String) {
    let id = reply.decision();
    let headers = reply.headers.iter().filter(|(name, _)| name != "date");
    let headers = headers.map(|(name, value)| (name.clone(), value.replace(&id, "<id>")));
    (reply.status, headers.collect(), text(reply).replace(&id, "<id>"))
}

#[test]
fn each_protocol_begins_a_session_that_the_proxy_takes() {
    let world = World::start(|config| config);
    let ana = world.token("ana");
    assert!(!world.reads(&ana));

    let reply = world.assume_role(&deploy(), EXTERNAL_ID, "ana");
    assert_eq!(reply.status, 200, "{}", text(&reply));
    assert_eq!(element(&reply, "RequestId"), reply.decision());
    assert_eq!(reply.header("x-amzn-requestid"), Some(&*reply.decision()));
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(element(&reply, "AssumedRoleId"), "AROAEXAMPLE:release");
    assert_eq!(element(&reply, "AccessKeyId").len(), 20);
    assert_eq!(element(&reply, "SecretAccessKey").len(), 40);
    let session = element(&reply, "SessionToken");
    assert!(world.reads(&session));

    let fields = [("Action", "GetCallerIdentity"), ("Version", "2011-06-15")];
    let who = world.post("/", &fields, Some(&session));
    let arn = format!("arn:aws:sts::{OWNER}:assumed-role/deploy/release");
    assert_eq!((element(&who, "Arn"), element(&who, "Account")), (arn, OWNER.to_owned()));

    let reply = world.web_identity(&reader(), &ana);
    assert_eq!(element(&reply, "SubjectFromWebIdentityToken"), "ana");
    assert_eq!(element(&reply, "Audience"), "orders");
    assert_eq!(element(&reply, "Provider"), world.idp.issuer());
    assert!(world.reads(&element(&reply, "SessionToken")));

    let reply = world.exchange(&deploy(), &ana, &[("external_id", EXTERNAL_ID)]);
    assert_eq!(reply.json()["token_type"], "Bearer");
    assert_eq!(reply.json()["expires_in"], 3600);
    assert!(world.reads(reply.json()["access_token"].as_str().unwrap()));

    let reply = world.profile(PROFILE, &ana);
    let answer = reply.json();
    assert_eq!(reply.header("x-global-transaction-id"), Some(&*reply.decision()));
    assert!(world.reads(answer["access_token"].as_str().unwrap()));
    let left = answer["expiration"].as_u64().unwrap() - now();
    assert!((3590..=3600).contains(&left), "{left}");
}

#[test]
fn a_token_is_for_the_audiences_that_were_asked_for() {
    let world = World::start(|config| config);
    let ana = world.token("ana");
    let external_id = ("external_id", EXTERNAL_ID);
    let audiences = |more: &[(&str, &str)]| {
        let reply = world.exchange(&deploy(), &ana, &[&[external_id], more].concat());
        let token = reply.json()["access_token"].as_str().unwrap().to_owned();
        let claims = token.split('.').nth(1).unwrap();
        let claims = data_encoding::BASE64URL_NOPAD.decode(claims.as_bytes()).unwrap();
        serde_json::from_slice::<Value>(&claims).unwrap()["aud"].clone()
    };
    assert_eq!(audiences(&[]), json!(["orders", "invoices"]));
    assert_eq!(audiences(&[("audience", "invoices")]), json!(["invoices"]));
    let both = [("audience", "invoices"), ("audience", "orders")];
    assert_eq!(audiences(&both), json!(["invoices", "orders"]));
    let foreign = world.exchange(&deploy(), &ana, &[external_id, ("audience", "payroll")]);
    assert_eq!((foreign.status, foreign.json()["error"].clone()), (400, json!("invalid_target")));
}

#[test]
fn whatever_is_wrong_with_role_and_trust_has_one_answer_after_one_time() {
    let world = World::start(|config| config);
    let (ana, ben) = (world.token("ana"), world.token("ben"));
    let wrong = ("external_id", WRONG_EXTERNAL_ID);
    let right = ("external_id", EXTERNAL_ID);
    let began = Instant::now();
    let other = format!("arn:aws:iam::{HOME}:role/deploy");
    let foreign = "arn:aws:iam::333333333333:role/deploy";
    let by_principal = [
        world.assume_role(&deploy(), WRONG_EXTERNAL_ID, "ana"),
        world.assume_role(&deploy(), EXTERNAL_ID, "ben"),
        world.post("/", &assume("AssumeRole", &deploy()), Some(&ana)),
        world.assume_role(&unknown(), EXTERNAL_ID, "ana"),
        world.assume_role(&reader(), EXTERNAL_ID, "ana"),
        world.assume_role(&other, EXTERNAL_ID, "ana"),
        world.assume_role(foreign, EXTERNAL_ID, "ana"),
        // The same name, another path.
        world.assume_role(&deploy().replace("team/", ""), EXTERNAL_ID, "ana"),
    ];
    let by_provider = [
        world.web_identity(&reader(), &ben),
        world.web_identity(&deploy(), &ana),
        world.web_identity(&unknown(), &ana),
    ];
    let by_exchange = [
        world.exchange(&deploy(), &ana, &[wrong]),
        world.exchange(&deploy(), &ana, &[]),
        world.exchange(&deploy(), &ben, &[right]),
        world.exchange(&unknown(), &ana, &[right]),
        world.exchange(&reader(), &ben, &[]),
    ];
    let by_profile = [
        world.profile(PROFILE, &ben),
        world.profile("Profile-00000000-0000-0000-0000-000000000000", &ana),
        world.profile("no profile's id", &ana),
    ];
    let all = [&by_principal[..], &by_provider, &by_exchange, &by_profile];
    // Not before its time; how much later is a question of the machine.
    let answers = u32::try_from(all.iter().map(|of_door| of_door.len()).sum::<usize>()).unwrap();
    assert!(Duration::from_millis(3) * answers <= began.elapsed());
    for of_door in all {
        let first = anonymous(&of_door[0]);
        for other in of_door {
            assert_eq!(anonymous(other), first);
        }
        for (_, value) in &first.1 {
            assert!(!value.contains(EXTERNAL_ID) && !value.contains(WRONG_EXTERNAL_ID));
        }
        assert!(!first.2.contains("vendor"), "{}", first.2);
    }
    let codes = [&by_principal[0], &by_provider[0]].map(|reply| element(reply, "Code"));
    assert_eq!(codes, ["AccessDenied", "AccessDenied"]);
    assert_eq!((by_principal[0].status, by_provider[0].status), (403, 403));
    assert_eq!(by_exchange[0].json()["error"], "invalid_grant");
    assert_eq!(by_profile[0].json()["errorCode"], "BXNIM0513E");
    assert_eq!((by_exchange[0].status, by_profile[0].status), (400, 400));
    let reasons = |replies: &[Reply]| -> Vec<String> {
        let reason = |reply| world.event_of(reply)["responseData"]["reason"].clone();
        replies.iter().map(|reply| reason(reply).as_str().unwrap().to_owned()).collect()
    };
    let (denied, none) = ("policy_implicit_deny", "unknown_role");
    assert_eq!(reasons(&by_exchange), [denied, denied, denied, none, denied]);
    assert_eq!(reasons(&by_profile), ["profile_does_not_trust", none, none]);
}

#[test]
fn each_attempt_makes_one_event() {
    let world = World::start(|config| config);
    let expired = {
        let mut claims = world.claims("ana");
        claims["exp"] = json!(now() - 600);
        world.idp.token(&claims)
    };
    let ana = world.token("ana");
    let deploy = deploy();
    let fields = assume_role(&deploy, EXTERNAL_ID);
    let with = |more: &[(&'static str, &'static str)]| [&fields[..], more].concat();
    let attempts = [
        (world.post("/", &fields, Some(&ana)), "policy_allow", "ana"),
        (world.post("/", &fields, None), "no_token", ""),
        (world.post("/", &fields, Some("a.b.c")), "invalid_token", ""),
        (world.post("/", &fields, Some(&expired)), "expired_token", ""),
        (world.web_identity(&deploy, &expired), "expired_token", ""),
        (world.post("/", &with(&[("Tags", "x")]), Some(&ana)), "invalid_request", "ana"),
        (world.post("/", &with(&[("RoleArn", "x")]), Some(&ana)), "invalid_request", "ana"),
        (
            world.post("/", &with(&[("DurationSeconds", "1")]), Some(&ana)),
            "invalid_duration",
            "ana",
        ),
        (world.post("/", &with(&[("Policy", "{}")]), Some(&ana)), "malformed_policy", "ana"),
        (world.exchange(&deploy, "", &[]), "no_token", ""),
        (world.exchange(&deploy, &ana, &[("scope", "x")]), "invalid_request", "ana"),
        (world.profile(PROFILE, &ana), "profile_trusts", "ana"),
        (world.profile(PROFILE, "x"), "invalid_token", ""),
        (world.profile("", &ana), "invalid_request", "ana"),
    ];
    for (reply, reason, caller) in &attempts {
        let event = world.event_of(reply);
        assert_eq!(event["responseData"]["reason"], *reason, "{event}");
        assert_eq!(event["reason"]["reasonCode"], reply.status, "{event}");
        let id = event["initiator"]["id"].as_str().unwrap_or_default();
        assert_eq!(id, *caller, "{event}");
        assert_eq!(event["initiator"]["host"]["address"], "127.0.0.1", "{event}");
        assert_eq!(event["initiator"]["host"]["agent"], "a test", "{event}");
        check_names(&event);
    }
    let identify = [("Action", "GetCallerIdentity"), ("Version", "2011-06-15")];
    let others = [
        world.post("/", &identify, Some(&ana)),
        world.post("/", &identify, None),
        world.post("/", &[("Action", "GetSessionToken"), ("Version", "2011-06-15")], None),
        world.post("/oauth2/token", &[("grant_type", "password")], None),
        world.post("/identity/token", &[("grant_type", API_KEY), ("apikey", &ana)], None),
    ];
    assert_eq!(others.map(|reply| reply.status), [200, 403, 400, 400, 200]);
    let metrics = world.gate.metrics();
    let counted = |door, result| {
        metrics.sum("crossgate_assume_total", &[("door", door), ("result", result)]).round()
    };
    assert_eq!(counted("assume_role", "success").to_string(), "1");
    assert_eq!(counted("assume_role", "unauthenticated").to_string(), "3");
    assert_eq!(counted("assume_role", "invalid").to_string(), "4");
    assert_eq!(counted("ibm", "unauthenticated").to_string(), "1");
    let ended = world.gate.finish();
    let is_attempt = |event: &&Value| {
        let action = event["action"].as_str().unwrap();
        action == "sts.role.assume" || action == "iam-identity.account-profile.assume"
    };
    assert_eq!(ended.events.iter().filter(is_attempt).count(), attempts.len());
}

/// An event names the session that was asked for, and a profile by its id.
#[track_caller]
fn check_names(event: &Value) {
    let request = &event["requestData"];
    if request["protocol"] == "assume_role" {
        assert_eq!(request["sessionName"], "release", "{event}");
    }
    if event["responseData"]["reason"] == "profile_trusts" {
        assert_eq!(request["profileId"], PROFILE, "{event}");
        assert_eq!(event["target"]["id"], PROFILE, "{event}");
    }
}

const API_KEY: &str = "urn:ibm:params:oauth:grant-type:apikey";

#[test]
fn what_is_noticed_stands_with_the_attempt_that_completed_it() {
    let world = World::start(|config| config);
    let guesses = ["first-guess-1", "second-guess-2", "third-guess-3"];
    let replies = guesses.map(|guess| world.assume_role(&deploy(), guess, "ana"));
    let last = world.event_of(&replies[2]);
    let noticed = poll("the detection", SOON, || {
        let events = world.gate.events();
        let guessing = "crossgate.detection.external_id_guessing";
        events.into_iter().find(|event| event["action"] == guessing)
    });
    assert_eq!(noticed["correlationId"], last["correlationId"]);
    assert_eq!(noticed["correlationId"], replies[2].decision());
    assert_eq!(noticed["initiator"]["id"], last["initiator"]["id"]);
    assert_eq!(noticed["initiator"]["host"], last["initiator"]["host"]);
    assert!(guesses.iter().all(|guess| !noticed.to_string().contains(guess)), "{noticed}");
    let labels = [("name", "external_id_guessing")];
    assert!(0.5 < world.gate.metrics().sum("crossgate_detections_total", &labels));
}

#[test]
fn no_secret_is_in_what_is_written() {
    let world = World::start(|config| config.log("trace"));
    let (ana, ben) = (world.token("ana"), world.token("ben"));
    let session = world.assume_role(&deploy(), EXTERNAL_ID, "ana");
    let session = element(&session, "SessionToken");
    let replies = [
        world.assume_role(&deploy(), WRONG_EXTERNAL_ID, "ana"),
        world.exchange(&deploy(), &ben, &[("external_id", WRONG_EXTERNAL_ID), ("scope", "x")]),
        world.exchange(&deploy(), &ana, &[("external_id", &"x".repeat(2000))]),
        world.post("/", &[("Action", &ana), (EXTERNAL_ID, &ben)], Some(&session)),
        world.post(
            "/identity/token",
            &[("grant_type", API_KEY), ("apikey", "not-a.jwt.really")],
            None,
        ),
    ];
    for reply in &replies {
        for secret in
            [&*ana, &*ben, &*session, EXTERNAL_ID, WRONG_EXTERNAL_ID, "xxxxxxxx", "not-a.jwt"]
        {
            assert!(!text(reply).contains(secret), "{}", text(reply));
        }
    }
    let metrics = text(&world.gate.admin(&Request::get("/metrics")));
    let ended = world.gate.finish();
    let written = [metrics, ended.stderr, json!(ended.events).to_string()];
    for text in &written {
        for secret in [&*ana, &*ben, &*session, EXTERNAL_ID, WRONG_EXTERNAL_ID] {
            let signature = secret.rsplit('.').next().unwrap();
            assert!(!text.contains(signature));
        }
    }
}

#[test]
fn a_session_that_was_ended_is_nobody() {
    let world = World::start(|config| config);
    let session = element(&world.assume_role(&deploy(), EXTERNAL_ID, "ana"), "SessionToken");
    let identify = [("Action", "GetCallerIdentity"), ("Version", "2011-06-15")];
    assert_eq!(world.post("/", &identify, Some(&session)).status, 200);
    let body = json!({ "role": deploy() }).to_string();
    let revoke = Request::new("POST", "/v1/sts/revocations")
        .header("content-type", "application/json")
        .body(body.as_bytes());
    assert_eq!(world.gate.admin(&revoke).status, 200);
    let code = |reply: &Reply| (reply.status, element(reply, "Code"));
    let refused = (403, "InvalidClientTokenId".to_owned());
    assert_eq!(code(&world.post("/", &identify, Some(&session))), refused);
    let deploy = deploy();
    let again = world.post("/", &assume("AssumeRole", &deploy), Some(&session));
    assert_eq!(code(&again), refused);
    let event = world.event_of(&again);
    assert_eq!(event["responseData"]["reason"], "revoked_session");
    let web = world.web_identity(&deploy, &session);
    assert_eq!(code(&web), (400, "InvalidIdentityToken".to_owned()));
    let exchanged = world.exchange(&deploy, &session, &[]);
    assert_eq!(exchanged.json()["error"], "invalid_request");
    assert_eq!(world.profile(PROFILE, &session).json()["errorCode"], "BXNIM0407E");
}

#[test]
fn a_key_that_is_unknown_is_waited_for() {
    let mut world = World::start(|config| {
        let issuers =
            config.part("issuers").replace("keys\" }", "keys\", unknown_kid_interval: 1s }");
        config.set("issuers", issuers)
    });
    let next = Key::rs256("next");
    world.idp.rotate(&[&next]);
    assert_eq!(world.assume_role(&deploy(), EXTERNAL_ID, "ana").status, 200);
    let identify = [("Action", "GetCallerIdentity"), ("Version", "2011-06-15")];
    assert_eq!(world.post("/", &identify, Some(&world.token("ben"))).status, 200);
}

#[test]
fn the_client_behind_a_trusted_proxy_is_who_asks() {
    let world = World::start(|config| config.set("trusted_proxies", "[127.0.0.1/32]"));
    let token = world.token("ana");
    let deploy = deploy();
    let fields = assume_role(&deploy, EXTERNAL_ID);
    let reply = world.post_from("/", &fields, Some(&token), Some("198.51.100.7, 192.0.2.9"));
    let event = world.event_of(&reply);
    assert_eq!(event["initiator"]["host"]["address"], "192.0.2.9");
    let world = World::start(|config| config);
    let token = world.token("ana");
    let reply = world.post_from("/", &fields, Some(&token), Some("192.0.2.9"));
    let event = world.event_of(&reply);
    assert_eq!(event["initiator"]["host"]["address"], "127.0.0.1");
}

#[test]
fn keys_and_metadata_are_for_everybody() {
    let world = World::start(|config| config);
    let keys = world.ask(&Request::get("/.well-known/jwks.json"));
    assert_eq!(keys.status, 200);
    assert_eq!(keys.json()["keys"].as_array().unwrap().len(), 1);
    assert_eq!(keys.header("content-type"), Some("application/jwk-set+json"));
    assert_eq!(keys.header("cache-control"), Some("public, max-age=300"));
    let tag = keys.header("etag").unwrap();
    let same = world.ask(&Request::get("/.well-known/jwks.json").header("if-none-match", tag));
    assert_eq!((same.status, same.body.len()), (304, 0));
    let head = world.ask(&Request::new("HEAD", "/.well-known/jwks.json"));
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(head.header("content-length"), keys.header("content-length"));
    let metadata = world.ask(&Request::get("/.well-known/oauth-authorization-server")).json();
    let issuer = format!("http://{}", world.sts);
    assert_eq!(metadata["issuer"], *issuer);
    assert_eq!(metadata["token_endpoint"], format!("{issuer}/oauth2/token"));
    assert_eq!(metadata["jwks_uri"], format!("{issuer}/.well-known/jwks.json"));
}

fn post<'a>(path: &'a str, content_type: &str) -> Request<'a> {
    Request::new("POST", path).header("content-type", content_type.to_owned())
}

#[test]
fn what_is_no_form_on_a_known_path_is_refused() {
    let world = World::start(|config| config);
    let form = "application/x-www-form-urlencoded";
    for path in ["/x", "/oauth2", "/oauth2/token/", "/identity", "/.well-known/"] {
        world.ask(&Request::get(path)).assert_problem(404, "not_found");
    }
    for (method, path, allow) in [
        ("GET", "/", "POST"),
        ("HEAD", "/oauth2/token", "POST"),
        ("PUT", "/identity/token", "POST"),
        ("POST", "/.well-known/jwks.json", "GET, HEAD"),
        ("DELETE", "/.well-known/oauth-authorization-server", "GET, HEAD"),
    ] {
        let reply = world.ask(&Request::new(method, path));
        assert_eq!((reply.status, reply.header("allow")), (405, Some(allow)), "{method} {path}");
    }
    let large = vec![b'a'; 64 * 1024 + 1];
    let code_of = |path: &str, reply: &Reply| match path {
        "/" => element(reply, "Code"),
        "/oauth2/token" => reply.json()["error"].as_str().unwrap().to_owned(),
        _ => reply.json()["errorCode"].as_str().unwrap().to_owned(),
    };
    let expected = [
        ("/", "ValidationError"),
        ("/identity/token", "BXNIM0109E"),
        ("/oauth2/token", "invalid_request"),
    ];
    for (path, code) in expected {
        let query = format!("{path}?Action=AssumeRole");
        for (request, status) in [
            (post(path, "application/json").body(b"{}"), 415),
            (Request::new("POST", path).body(b"a=b"), 415),
            (post(path, form).header("content-type", form).body(b"a=b"), 415),
            (post(path, form).body(&large), 413),
            (post(path, form).body(b"a=%ff"), 400),
            (post(path, form).body(b"a=%4"), 400),
            (post(&query, form).body(b"a=b"), 400),
        ] {
            let reply = world.ask(&request);
            assert_eq!((reply.status, code_of(path, &reply)), (status, code.to_owned()), "{path}");
        }
    }
    let twice = post("/", form).token("a").token("a").body(b"a=b");
    assert_eq!(world.ask(&twice).status, 400);
}

#[test]
fn a_body_in_chunks_has_the_same_limit() {
    let world = World::start(|config| config);
    let mut client = Client::connect(world.sts);
    client.send(
        "POST / HTTP/1.1\r\nhost: sts\r\ncontent-type: application/x-www-form-urlencoded\r\n\
         transfer-encoding: chunked\r\n\r\n",
    );
    let chunk = format!("4000\r\n{}\r\n", "a".repeat(0x4000));
    for _ in 0..5 {
        let _refused_already = client.try_send(&chunk);
    }
    let reply = client.read("POST");
    assert_eq!((reply.status, reply.header("connection")), (413, Some("close")));
}

#[test]
fn a_client_that_sends_nothing_more_is_let_go() {
    let world = World::start(|config| config);
    let head = "POST / HTTP/1.1\r\nhost: sts\r\n\
                content-type: application/x-www-form-urlencoded\r\ncontent-length: 10\r\n";
    let [mut in_head, mut in_body] = [head.to_owned(), format!("{head}\r\na=")].map(|sent| {
        let mut client = Client::connect(world.sts);
        client.set_read_timeout(3 * SOON);
        client.send(sent);
        client
    });
    let reply = in_body.read("POST");
    assert_eq!((reply.status, element(&reply, "Code")), (408, "ValidationError".to_owned()));
    assert!(in_body.is_closed());
    let _bad_request_or_nothing = in_head.read_rest();
    assert!(in_head.is_closed());
}

#[test]
fn requests_on_one_connection_are_answered_in_their_order() {
    let world = World::start(|config| config);
    let deploy = deploy();
    let denied = encoded(&assume_role(&deploy, WRONG_EXTERNAL_ID));
    let form = "application/x-www-form-urlencoded";
    let token = world.token("ana");
    let denied = post("/", form).token(&token).body(denied.as_bytes());
    let mut client = Client::connect(world.sts);
    let keys = Request::get("/.well-known/jwks.json");
    client.send([denied.bytes(), keys.bytes(), denied.bytes()].concat());
    let statuses = ["POST", "GET", "POST"].map(|method| client.read(method).status);
    assert_eq!(statuses, [403, 200, 403]);
}

#[test]
fn with_tls_it_speaks_http_1_whatever_else_a_client_offers() {
    let certificate = Certificate::generate();
    let world = World::start(|config| {
        let section = config
            .part("sts")
            .replace("{ address", "{ tls: { certificate: tls.crt, key: tls.key }, address");
        config
            .set("sts", section)
            .file("tls.crt", certificate.chain_pem.as_str())
            .file("tls.key", certificate.key_pem.as_str())
    });
    let offers: [&[&[u8]]; 3] = [&[], &[b"http/1.1"], &[b"h2", b"http/1.1"]];
    for protocols in offers {
        let stream = tls::connect(&certificate.client(protocols), world.sts);
        let mut client = Client::over(stream);
        assert_eq!(client.ask(&Request::get("/.well-known/jwks.json")).status, 200);
    }
    let mut plain = Client::connect(world.sts);
    plain.send(Request::get("/.well-known/jwks.json").bytes());
    assert!(!plain.read_rest().starts_with(b"HTTP"));
}

#[test]
fn clients_over_the_limit_are_told_and_closed() {
    let world = World::start(|config| config);
    let jwks = Request::get("/.well-known/jwks.json");
    let mut held = Vec::new();
    for _ in 0..1024 {
        held.push(Client::connect(world.sts));
    }
    // The last of them was accepted when it is answered.
    assert_eq!(held.last_mut().unwrap().ask(&jwks).status, 200);
    let mut over = Client::connect(world.sts);
    over.send(jwks.bytes());
    let reply = over.read("GET");
    assert_eq!((reply.status, reply.header("connection")), (503, Some("close")));
    assert!(over.is_closed());
    drop(held);
    poll("room again", SOON, || {
        let reply = Client::connect(world.sts).ask(&jwks);
        (reply.status == 200).then_some(())
    });
}

#[test]
fn the_end_waits_for_an_answer_and_takes_no_more() {
    let world = World::start(|config| config);
    let mut resting = Client::connect(world.sts);
    assert_eq!(resting.ask(&Request::get("/.well-known/jwks.json")).status, 200);
    let ended = world.gate.finish();
    assert!(ended.status.success());
    assert!(resting.is_closed());
}
