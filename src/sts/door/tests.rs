use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use http::HeaderMap;
use http_body_util::BodyExt as _;
use proptest::prelude::*;
use uuid::{Uuid, uuid};

use super::answer::Answer;
use super::call::{AccessKey, Call, Granted, Refusal, TokenType};
use super::dialect::Dialect;
use super::form::Form;
use crate::clock::UnixSeconds;
use crate::iam::{AccountId, Identity, IdentityKind, IdentityType, Session};

/// The body of a whole answer.
pub(super) fn text_of(answer: Answer) -> String {
    let body = answer.into_body().collect();
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let std::task::Poll::Ready(Ok(body)) = std::pin::pin!(body).poll(&mut context) else {
        panic!("the body is not whole");
    };
    String::from_utf8(body.to_bytes().to_vec()).unwrap()
}

pub(super) fn form(fields: &[(&str, &str)]) -> Form {
    let encode = |text: &str| {
        percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
    };
    let fields = fields.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value)));
    Form::parse(fields.collect::<Vec<_>>().join("&").as_bytes()).ok().unwrap()
}

/// A person of an account, as its issuer's token proves it.
pub(super) fn person() -> Identity {
    Identity {
        account: Some(AccountId::parse("222222222222").unwrap()),
        identity_type: IdentityType::User,
        kind: IdentityKind::Login,
        principal: "arn:aws:iam::222222222222:user/ana".into(),
        id: "ana".into(),
        name: "Ana".into(),
        authn_id: "ana".into(),
        authn_name: "Ana".into(),
        issuer: "https://idp.example.com".into(),
        subject: "ana&co".into(),
        session_tags: BTreeMap::new(),
        mfa: Some(true),
        authenticated_at: None,
        issued_at: None,
        not_before: None,
        expires_at: UnixSeconds(1_760_108_597),
        session: None,
    }
}

/// Her session of a role in another account.
pub(super) fn session() -> Identity {
    Identity {
        account: Some(AccountId::parse("111111111111").unwrap()),
        kind: IdentityKind::Profile,
        principal: "arn:aws:sts::111111111111:assumed-role/Deploy/ana".into(),
        id: "arn:aws:iam::111111111111:role/ci/Deploy".into(),
        name: "Deploy".into(),
        issuer: "https://sts.example.com".into(),
        session: Some(Arc::new(Session {
            id: uuid!("0199ce1c-15d2-7000-8000-000000000001"),
            role: "arn:aws:iam::111111111111:role/ci/Deploy".into(),
            name: "ana".into(),
            transitive_tags: BTreeSet::new(),
            source_identity: Some("ana".into()),
            chained: false,
            federated_provider: None,
            policies: None,
        })),
        ..person()
    }
}

pub(super) fn granted() -> Granted {
    Granted {
        token: "head.claims.signature".into(),
        identity: session(),
        duration_seconds: 3600,
        role_id: "AROAEXAMPLE".into(),
        caller: Arc::new(person()),
        caller_audience: "orders".into(),
        access_key: AccessKey { id: "ASIA1".into(), secret: "s+/".into() },
        token_type: TokenType::AccessToken,
    }
}

pub(super) const ID: Uuid = uuid!("0199ce1c-15d2-7000-8000-00000000000f");

/// What must be in no answer.
pub(super) const EXTERNAL_ID: &str = "partner-4711-secret";

/// Names that mean something to a protocol, and what may be made of them.
fn names() -> impl Strategy<Value = String> {
    let known = proptest::sample::select(&[
        "Action",
        "Version",
        "RoleArn",
        "Policy",
        "PolicyArns",
        "PolicyArns.member.1.arn",
        "Tags",
        "Tags.member.1.Key",
        "Tags.member.1.Value",
        "Tags.member..Key",
        "TransitiveTagKeys.member.",
        "DurationSeconds",
        "grant_type",
        "resource",
        "tags",
        "transitive_tag_keys",
        "profile_id",
        "profile_name",
        "scope",
    ]);
    prop_oneof![known.prop_map(str::to_owned), any::<String>()]
}

fn values() -> impl Strategy<Value = String> {
    let known = proptest::sample::select(&[
        "AssumeRole",
        "AssumeRoleWithWebIdentity",
        "GetCallerIdentity",
        "2011-06-15",
        "urn:ietf:params:oauth:grant-type:token-exchange",
        "urn:ibm:params:oauth:grant-type:assume",
        "urn:ibm:params:oauth:grant-type:cr-token",
        "{}",
        "[]",
        "900",
        "",
    ]);
    prop_oneof![known.prop_map(str::to_owned), any::<String>()]
}

proptest! {
    #[test]
    fn any_body_is_read_or_refused(body in any::<Vec<u8>>()) {
        if let Ok(form) = Form::parse(&body) {
            for dialect in [Dialect::Aws, Dialect::Ibm, Dialect::OAuth] {
                dialect.read(&form, &HeaderMap::new());
            }
        }
    }

    #[test]
    fn what_is_wrong_with_parameters_repeats_none_of_them(
        fields in proptest::collection::vec((names(), values()), 0..12),
    ) {
        let fields: Vec<_> = fields.iter().map(|(name, value)| (&**name, &**value)).collect();
        let form = form(&[&fields[..], &[("secret-name", EXTERNAL_ID)]].concat());
        for dialect in [Dialect::Aws, Dialect::Ibm, Dialect::OAuth] {
            let (fault, door) = match dialect.read(&form, &HeaderMap::new()) {
                Call::Assume(attempt) => (attempt.fault, Some(attempt.door)),
                Call::Refused(fault) => (Some(fault), None),
                Call::Identify(_) => (None, None),
            };
            if let Some(fault) = fault {
                let told = text_of(dialect.refused(&Refusal::Malformed(fault), door, ID));
                prop_assert!(!told.contains(EXTERNAL_ID) && !told.contains("secret-name"));
            }
        }
    }
}
