use std::net::IpAddr;
use std::sync::Arc;

use super::*;
use crate::iam::{AccountId, Action, RequestOrigin, RouteContext, Transport};
use crate::perimeter::{AccountSetting, SettingsIndex};

const OWNER: &str = "222222222222";

fn identity(identity_type: IdentityType, principal: &str, account: Option<&str>) -> Identity {
    Identity {
        account: account.map(|text| AccountId::parse(text).unwrap()),
        identity_type,
        principal: principal.into(),
        id: "i".into(),
        name: "".into(),
        authn_id: "i".into(),
        authn_name: "".into(),
        issuer: "".into(),
        subject: "".into(),
        ..Identity::sample()
    }
}

#[test]
fn a_principal_is_one_of_its_tokens_account_or_a_service() {
    use IdentityType::{Service, ServiceId, User};
    let of = |identity_type, text: &str, account: &str| {
        let account = Some(account).filter(|account| !account.is_empty());
        principal(&identity(identity_type, text, account)).map(|principal| principal.kind)
    };
    for (text, kind) in [
        ("arn:aws:iam::1:user/a", PrincipalKind::User),
        ("arn:aws:iam::1:root", PrincipalKind::Root),
        ("arn:aws:iam::1:role/a", PrincipalKind::Role),
        ("arn:aws:sts::1:assumed-role/a/s", PrincipalKind::AssumedRole),
        ("arn:aws:sts::1:federated-user/a", PrincipalKind::FederatedUser),
    ] {
        for identity_type in [User, ServiceId, Service] {
            assert_eq!(of(identity_type, text, "1"), Some(kind), "{text}");
            assert_eq!(of(identity_type, text, "2"), None, "{text} with another account's token");
            assert_eq!(of(identity_type, text, ""), None, "{text} without an account");
        }
    }
    for text in ["billing", "billing.example.com"] {
        assert_eq!(of(Service, text, "1"), Some(PrincipalKind::Service));
        assert_eq!(of(Service, text, ""), Some(PrincipalKind::Service));
        assert_eq!(of(User, text, "1"), None, "a user can't be a service by its name");
        assert_eq!(of(ServiceId, text, "1"), None);
    }
    for text in [
        "",
        "*",
        "arn:aws:iam:::user/a",
        "arn:aws:iam::1:oidc-provider/x",
        "arn:aws:iam::1:group/a",
        "arn:aws:s3:::b",
    ] {
        assert_eq!(of(User, text, "1"), None, "{text}");
    }
    assert_eq!(of(Service, "", "1"), None);
}

#[test]
fn a_tokens_text_makes_no_service_linked_role() {
    let text = "arn:aws:iam::1:role/aws-service-role/x/admin";
    let of_token = identity(IdentityType::User, text, Some("1"));
    assert!(!principal(&of_token).unwrap().service_linked);
    let of_scenario = Principal::new(PrincipalKind::Role, text, None).unwrap();
    assert!(of_scenario.service_linked);
}

/// What becomes of a request of an account that no policy knows.
fn outcome(perimeter: Mode, policies: Option<Mode>, caller: &str) -> Result<(), Layer> {
    let owner = AccountId::parse(OWNER).unwrap();
    let setting = AccountSetting::uniform(perimeter, Arc::default());
    let sets = |mode| {
        Arc::new(PolicySets { mode, enforced: Arc::default(), candidate: Some(Arc::default()) })
    };
    let snapshot = Snapshot {
        settings: Arc::new(SettingsIndex::default().with_account(owner, setting)),
        policies: policies.map(sets),
        ..Snapshot::default()
    };
    let principal = format!("arn:aws:iam::{caller}:user/a");
    let identity = identity(IdentityType::User, &principal, Some(caller));
    let action = Action::parse("orders:GetOrder").unwrap();
    let request = AuthzRequest {
        action: &action,
        key_action: None,
        resource: "arn:aws:orders:::order/1",
        owner,
        context: RouteContext::NONE,
        origin: RequestOrigin {
            source_ip: IpAddr::from([127, 0, 0, 1]),
            transport: Transport::Plain,
            user_agent: None,
            referer: None,
        },
    };
    let evaluation = decide(&snapshot, &identity, &request, UnixSeconds(1));
    assert_eq!(evaluation.policy.is_some(), policies.is_some());
    if let Some(verdicts) = evaluation.policy {
        let candidate = verdicts.candidate.unwrap().verdict;
        assert_eq!((candidate.decision, candidate.mode), (Decision::Deny, Mode::Limited));
        assert_eq!(verdicts.enforced.verdict.reason, Reason::PolicyImplicitDeny);
    }
    evaluation.permit().map(|_| ())
}

#[test]
fn the_first_enforced_denial_is_the_answer() {
    use Mode::{Limited, ReportOnly, Unrestricted};
    let stranger = "333333333333";
    for (perimeter, policies, expect) in [
        (Unrestricted, None, Ok(())),
        (Limited, None, Err(Layer::Perimeter)),
        (Limited, Some(Limited), Err(Layer::Perimeter)),
        (Limited, Some(ReportOnly), Err(Layer::Perimeter)),
        (ReportOnly, Some(Limited), Err(Layer::Policy)),
        (Unrestricted, Some(Limited), Err(Layer::Policy)),
        (ReportOnly, Some(ReportOnly), Ok(())),
        (Unrestricted, Some(Unrestricted), Ok(())),
    ] {
        assert_eq!(outcome(perimeter, policies, stranger), expect, "{perimeter:?} {policies:?}");
    }
    // The perimeter does not concern the owner's own; policies do.
    assert_eq!(outcome(Limited, None, OWNER), Ok(()));
    assert_eq!(outcome(Limited, Some(Limited), OWNER), Err(Layer::Policy));
}

#[test]
fn who_is_no_principal_lacks_a_grant_on_its_own_side() {
    let answer = no_principal();
    assert_eq!(answer.outcome, Outcome::ImplicitDeny);
    assert_eq!(answer.missing.iter().collect::<Vec<_>>(), [Side::CallerIdentity]);
    assert!(verdict(answer.outcome, Mode::Limited).rejects());
}
