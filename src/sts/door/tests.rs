use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use http_body_util::BodyExt as _;
use uuid::{Uuid, uuid};

use super::answer::Answer;
use super::call::{AccessKey, Granted, TokenType};
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
