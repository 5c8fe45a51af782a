//! Each test decides requests as the proxy does, records them as it does, and replays the lines.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde_json::json;
use uuid::Uuid;

use super::*;
use crate::event::frame::{self, Record};
use crate::event::report::Colour;
use crate::event::wire::Renderer;
use crate::event::{
    DecidedBy, DetectionName, EvalEvent, PROFILE_ASSUME_ACTION, PolicyInput, ROLE_ASSUME_ACTION,
};
use crate::iam::{
    Action, Recording, RequestOrigin, RouteContext, RouteKey, RouteValues, Transport,
};
use crate::perimeter::AccountSetting;
use crate::policy::set::{
    AccountParts, AccountPolicies, PrincipalEntry, ResourceEntry, Tag, UnknownCallers,
};
use crate::policy::{CompiledPolicy, PolicyType, Source, compile, document, json as policy_json};
use crate::verdict::Standing;

const NOW: UnixMillis = UnixMillis(1_760_105_007_410);

/// A request of the partner's user for an order of the owner.
struct Caller {
    identity: Identity,
    key_action: Option<Action>,
    transport: Transport,
    user_agent: Option<&'static str>,
    referer: Option<&'static str>,
    source_ip: IpAddr,
    keys: Vec<(RouteKey, Vec<&'static str>)>,
    resource: String,
}

fn account(text: &str) -> AccountId {
    AccountId::parse(text).unwrap()
}

fn asked() -> Caller {
    let identity = Identity {
        account: Some(account("partner")),
        principal: "arn:aws:iam::partner:user/IBMid-1".into(),
        id: "IBMid-1".into(),
        name: "a name".into(),
        authn_id: "IBMid-1".into(),
        authn_name: "".into(),
        session_tags: BTreeMap::from([("Team".into(), "red".into())]),
        mfa: Some(true),
        authenticated_at: Some(UnixSeconds(NOW.seconds().0 - 30)),
        issued_at: Some(UnixSeconds(NOW.seconds().0 - 60)),
        ..Identity::sample()
    };
    Caller {
        identity,
        key_action: Action::parse("kms:Decrypt"),
        transport: Transport::Tls,
        user_agent: Some("curl/8.5"),
        referer: None,
        source_ip: IpAddr::from([192, 0, 2, 10]),
        keys: vec![
            (key("orders:kind", Recording::Told), vec!["standard"]),
            (key("orders:kinds", Recording::Told), vec!["standard", "express"]),
        ],
        resource: "arn:aws:orders::owner:order/7".to_owned(),
    }
}

fn key(key: &str, recording: Recording) -> RouteKey {
    RouteKey { key: key.into(), fixed: Box::default(), recording }
}

/// Decides a request under a snapshot and records it: the lines that the modes report.
fn recorded(snapshot: &Snapshot, asked: &Caller) -> Vec<Value> {
    let mut values = RouteValues::default();
    for (key, texts) in &asked.keys {
        match texts.as_slice() {
            [one] if !key.key.ends_with('s') => values.push_one([*one]),
            many => values.push_many(many.iter().map(|text| (*text).into())),
        }
    }
    let keys: Vec<RouteKey> = asked.keys.iter().map(|(key, _)| key.clone()).collect();
    let action = Action::parse("orders:GetOrder").unwrap();
    let request = AuthzRequest {
        action: &action,
        key_action: asked.key_action.as_ref(),
        resource: &asked.resource,
        owner: account("owner"),
        context: RouteContext::new(&keys, &values),
        origin: RequestOrigin {
            source_ip: asked.source_ip,
            transport: asked.transport,
            user_agent: asked.user_agent,
            referer: asked.referer,
        },
    };
    let evaluation = decide(snapshot, &asked.identity, &request, NOW.seconds());
    let by_policies =
        DecidedBy::Policy { statements: &[], missing: crate::policy::Missing::default() };
    let perimeter = evaluation.perimeter;
    let policy = evaluation.policy;
    let verdicts = [
        (DecidedBy::Perimeter, perimeter.map(|it| it.enforced), Standing::Enforced),
        (DecidedBy::Perimeter, perimeter.and_then(|it| it.candidate), Standing::Candidate),
        (by_policies, policy.map(|it| it.enforced.verdict), Standing::Enforced),
        (by_policies, policy.and_then(|it| it.candidate).map(|it| it.verdict), Standing::Candidate),
    ];
    let reported = verdicts.into_iter().filter_map(|(by, verdict, standing)| {
        let verdict = verdict.filter(|verdict| verdict.reported(standing))?;
        let event = EvalEvent {
            id: Uuid::from_u128(7),
            decision_id: Uuid::from_u128(8),
            time: NOW,
            correlation_id: "",
            by,
            verdict,
            candidate: standing == Standing::Candidate,
            identity: &asked.identity,
            owner: request.owner,
            action: action.as_str(),
            resource: request.resource,
            route: "/",
            source_ip: asked.source_ip,
            agent: asked.user_agent.unwrap_or_default(),
            input: PolicyInput::of(&request),
            revision: 1,
            decide_ns: 1,
        };
        let (mut frame, mut line) = (Vec::new(), Vec::new());
        frame::encode_eval(&event, &mut frame);
        let Record::Eval(record) = frame::decode(&frame).unwrap() else { panic!("no evaluation") };
        Renderer::new("i").eval(&mut line, 1, &record);
        Some(serde_json::from_slice(&line).unwrap())
    });
    reported.collect()
}

fn replayed(
    events: &[Value],
    settings: Option<&Snapshot>,
    policies: Option<&Snapshot>,
) -> ReplayReport {
    replayed_in(Scope::All, events, settings, policies)
}

fn replayed_in(
    scope: Scope,
    events: &[Value],
    settings: Option<&Snapshot>,
    policies: Option<&Snapshot>,
) -> ReplayReport {
    let proposal = Proposal {
        settings: settings.map(|snapshot| Arc::clone(&snapshot.settings)),
        policies: policies.and_then(|snapshot| snapshot.policies.clone()),
    };
    let mut replay =
        Replay::new(proposal, scope, Window { since: None, until: UnixMillis(u64::MAX) });
    for event in events {
        replay.add(NOW, event);
    }
    replay.finish()
}

/// Newly denied, newly permitted, still permitted, still denied.
#[track_caller]
fn check(report: &ReplayReport, expected: [u64; 4]) {
    let found = [
        report.newly_denied.requests(),
        report.newly_permitted.requests(),
        report.still_permitted,
        report.still_denied,
    ];
    assert_eq!(found, expected, "{report:?}");
}

/// Settings in which the owner admits some accounts; no policies.
fn settings(mode: Mode, allowlist: &[&str]) -> Snapshot {
    let allowlist = Arc::new(allowlist.iter().map(|text| account(text)).collect());
    let setting = AccountSetting::uniform(mode, allowlist);
    let settings = Arc::new(SettingsIndex::default().with_account(account("owner"), setting));
    Snapshot { settings, ..Snapshot::default() }
}

fn policy(policy_type: PolicyType, text: &str) -> Arc<CompiledPolicy> {
    let checked = document::check(&policy_json::parse(text).unwrap(), policy_type);
    let document = checked.document.unwrap();
    let source = Source { file: "".into() };
    Arc::new(compile(&document, "p", source, &policy_json::Lines::new(text)).unwrap())
}

/// Policies in which the partner's user may read orders under a condition; the perimeter is open.
fn policies(mode: Mode, condition: &str) -> Snapshot {
    let callers = format!(
        r#"{{"Version": "2012-10-17", "Statement": {{"Sid": "Read", "Effect": "Allow",
            "Action": "orders:*", "Resource": "*", "Condition": {condition}}}}}"#
    );
    let caller = PrincipalEntry {
        arn: "arn:aws:iam::partner:user/IBMid-1".into(),
        id: "AIDA1".into(),
        tags: Box::new([Tag { key: "team".into(), value: "blue".into() }]),
        policies: vec![policy(PolicyType::Identity, &callers)].into(),
        ..PrincipalEntry::default()
    };
    let owners = r#"{"Version": "2012-10-17", "Statement": {"Effect": "Allow",
        "Principal": "*", "Action": "*", "Resource": "*"}}"#;
    let orders = ResourceEntry {
        pattern: "arn:aws:orders::owner:order/*".into(),
        policy: Some(policy(PolicyType::Resource, owners)),
        key: None,
        tags: Box::default(),
        file: "".into(),
    };
    let callers = AccountParts { principals: Some(vec![caller.into()]), ..AccountParts::default() };
    let owners = AccountParts { resources: vec![orders.into()], ..AccountParts::default() };
    let accounts = [("partner", callers), ("owner", owners)].map(|(name, parts)| {
        (account(name), Arc::new(AccountPolicies::new(account(name), parts).unwrap()))
    });
    let accounts = accounts.into_iter().collect();
    let set = PolicySet::new(accounts, None, UnknownCallers::default());
    let sets = PolicySets { mode, enforced: Arc::new(set), candidate: None };
    Snapshot { policies: Some(Arc::new(sets)), ..Snapshot::default() }
}

#[test]
fn a_change_of_settings_shows_in_what_was_recorded() {
    let observed = settings(Mode::ReportOnly, &["partner"]);
    let events = recorded(&observed, &asked());
    assert_eq!(events.len(), 1);
    let under = |proposed: &Snapshot| replayed(&events, Some(proposed), None);
    check(&under(&observed), [0, 0, 1, 0]);
    check(&under(&settings(Mode::Limited, &["partner"])), [0, 0, 1, 0]);
    check(&under(&settings(Mode::Unrestricted, &[])), [0, 0, 1, 0]);
    let denied = under(&settings(Mode::Limited, &["other"]));
    check(&denied, [1, 0, 0, 0]);
    let accounts = denied.newly_denied.accounts();
    let resource = &accounts[0].identities[0].resources[0];
    assert_eq!(
        (accounts[0].caller.as_str(), resource.reason.as_str()),
        ("partner", "account_not_allowed")
    );
    let only_recorded = under(&settings(Mode::ReportOnly, &[]));
    check(&only_recorded, [0, 0, 1, 0]);
    assert_eq!(only_recorded.only_recorded, 1);
    assert!(only_recorded.limits().iter().any(|limit| limit.contains("only records")));
}

#[test]
fn a_recorded_denial_can_become_a_permit() {
    let events = recorded(&settings(Mode::Limited, &[]), &asked());
    let under = |proposed: &Snapshot| replayed(&events, Some(proposed), None);
    check(&under(&settings(Mode::Limited, &["partner"])), [0, 1, 0, 0]);
    check(&under(&settings(Mode::Limited, &[])), [0, 0, 0, 1]);
    let report = under(&settings(Mode::ReportOnly, &[]));
    check(&report, [0, 1, 0, 0]);
    // Nothing tells of what `limited` let in.
    assert_eq!(report.denials_only, ["owner"]);
    assert!(report.to_text(Colour::Plain).contains("only denials were recorded"));
}

#[test]
fn a_denial_by_policies_stays_where_no_policies_are_proposed() {
    let mut snapshot = policies(Mode::Limited, r#"{"Bool": {"aws:SecureTransport": "false"}}"#);
    snapshot.settings = settings(Mode::Limited, &[]).settings;
    let events = recorded(&snapshot, &asked());
    assert_eq!(events.len(), 2);
    let open = settings(Mode::Unrestricted, &[]);
    check(&replayed(&events, Some(&open), None), [0, 0, 0, 1]);
    // And the setting's where no settings are.
    let granting = policies(Mode::Limited, "{}");
    check(&replayed(&events, None, Some(&granting)), [0, 0, 0, 1]);
    check(&replayed(&events, Some(&open), Some(&granting)), [0, 1, 0, 0]);
}

/// Goal: an event tells all that policies look at. Method: for each kind of key a condition that
/// the request meets and one that it does not; replaying comes to the recorded answer, and each
/// recorded under the one comes to the other's answer when it is proposed.
#[test]
fn policies_are_asked_again_with_all_that_they_looked_at() {
    for (meets, fails) in [
        (
            r#"{"Bool": {"aws:SecureTransport": "true"}}"#,
            r#"{"Bool": {"aws:SecureTransport": "false"}}"#,
        ),
        (
            r#"{"Bool": {"aws:MultiFactorAuthPresent": "true"}}"#,
            r#"{"Null": {"aws:MultiFactorAuthPresent": "true"}}"#,
        ),
        (
            r#"{"NumericEquals": {"aws:MultiFactorAuthAge": "30"}}"#,
            r#"{"NumericEquals": {"aws:MultiFactorAuthAge": "31"}}"#,
        ),
        (
            r#"{"DateEquals": {"aws:TokenIssueTime": "2025-10-10T14:02:27Z"}}"#,
            r#"{"DateEquals": {"aws:TokenIssueTime": "2025-10-10T14:02:28Z"}}"#,
        ),
        (
            r#"{"DateEquals": {"aws:CurrentTime": "2025-10-10T14:03:27Z"}}"#,
            r#"{"DateEquals": {"aws:CurrentTime": "2025-10-10T14:03:28Z"}}"#,
        ),
        (
            r#"{"StringEquals": {"aws:PrincipalTag/team": "red"}}"#,
            r#"{"StringEquals": {"aws:PrincipalTag/team": "blue"}}"#,
        ),
        (
            r#"{"IpAddress": {"aws:SourceIp": "192.0.2.10"}}"#,
            r#"{"IpAddress": {"aws:SourceIp": "192.0.2.11"}}"#,
        ),
        (
            r#"{"StringEquals": {"aws:UserAgent": "curl/8.5"}}"#,
            r#"{"Null": {"aws:UserAgent": "true"}}"#,
        ),
        (
            r#"{"StringEquals": {"aws:username": "IBMid-1"}}"#,
            r#"{"StringEquals": {"aws:username": "x"}}"#,
        ),
        (
            r#"{"StringEquals": {"orders:Kind": "standard"}}"#,
            r#"{"StringEquals": {"orders:Kind": "x"}}"#,
        ),
        (
            r#"{"ForAllValues:StringEquals": {"orders:Kinds": ["standard", "express"]}}"#,
            r#"{"StringEquals": {"orders:Kinds": ["standard", "express"]}}"#,
        ),
        (
            r#"{"StringEquals": {"aws:PrincipalAccount": "partner"}}"#,
            r#"{"StringEquals": {"aws:PrincipalAccount": "x"}}"#,
        ),
        (r#"{"Null": {"aws:Referer": "true"}}"#, r#"{"Null": {"aws:Referer": "false"}}"#),
    ] {
        let granting = policies(Mode::ReportOnly, meets);
        let refusing = policies(Mode::ReportOnly, fails);
        let limited = |condition| policies(Mode::Limited, condition);
        for (snapshot, in_force) in [(&granting, "Permit"), (&refusing, "Deny")] {
            let events = recorded(snapshot, &asked());
            assert_eq!(events[0]["responseData"]["decision"], json!(in_force), "{meets} {fails}");
            check(&replayed(&events, None, Some(&limited(meets))), [0, 0, 1, 0]);
            let refused = replayed(&events, None, Some(&limited(fails)));
            check(&refused, [1, 0, 0, 0]);
            let accounts = refused.newly_denied.accounts();
            let resource = &accounts[0].identities[0].resources[0];
            assert_eq!(resource.reason, "policy_implicit_deny");
            assert_eq!(resource.detail, "missing: caller identity policy");
        }
    }
}

#[test]
fn what_no_event_tells_is_not_known_only_where_it_would_be_read() {
    let snapshot = policies(Mode::ReportOnly, "{}");
    let with_referer = Caller { referer: Some("https://example.com/"), ..asked() };
    let events = recorded(&snapshot, &with_referer);
    let reading =
        policies(Mode::Limited, r#"{"StringLike": {"aws:Referer": "https://example.com/*"}}"#);
    let report = replayed(&events, None, Some(&reading));
    check(&report, [0, 0, 0, 0]);
    assert_eq!(report.unknown, Unknown { withheld: 1, ..Unknown::default() });
    check(&replayed(&events, None, Some(&policies(Mode::Limited, "{}"))), [0, 0, 1, 0]);
    // Also as a variable in a value.
    let variable = r#"{"StringEquals": {"orders:Kind": "${aws:Referer}"}}"#;
    assert_eq!(
        replayed(&events, None, Some(&policies(Mode::Limited, variable))).unknown.withheld,
        1
    );

    let mut secret = asked();
    secret.keys[0].0.recording = Recording::Withheld;
    let events = recorded(&snapshot, &secret);
    let reading = policies(Mode::Limited, r#"{"StringEquals": {"orders:Kind": "standard"}}"#);
    assert_eq!(replayed(&events, None, Some(&reading)).unknown.withheld, 1);
}

#[test]
fn a_cut_event_and_a_missing_one_are_told() {
    let snapshot = policies(Mode::ReportOnly, "{}");
    let long =
        Caller { resource: format!("arn:aws:orders::owner:order/{}", "7".repeat(3000)), ..asked() };
    let proposed = policies(Mode::Limited, "{}");
    let report = replayed(&recorded(&snapshot, &long), None, Some(&proposed));
    assert_eq!(report.unknown, Unknown { cut: 1, ..Unknown::default() });
    let by_perimeter = recorded(&settings(Mode::ReportOnly, &["partner"]), &asked());
    let report = replayed(&by_perimeter, None, Some(&proposed));
    assert_eq!(report.unknown, Unknown { not_recorded: 1, ..Unknown::default() });
    assert!(report.to_text(Colour::Plain).contains("1 not known"));
    // What the proposed setting denies is denied, whatever policies would say.
    let closed = settings(Mode::Limited, &[]);
    check(&replayed(&by_perimeter, Some(&closed), Some(&proposed)), [1, 0, 0, 0]);
}

#[test]
fn an_event_of_a_candidate_is_a_record_too() {
    let setting = |candidate| {
        let limited = |list: &[&str]| TypeSettings::of(list);
        AccountSetting::new(limited(&["partner"]).0, candidate)
    };
    let candidate = TypeSettings::of(&[]).0.map(Some);
    let settings = SettingsIndex::default().with_account(account("owner"), setting(candidate));
    let snapshot = Snapshot { settings: Arc::new(settings), ..Snapshot::default() };
    let events = recorded(&snapshot, &asked());
    assert_eq!(events.len(), 1);
    let report = replayed(&events, Some(&self::settings(Mode::Limited, &[])), None);
    check(&report, [1, 0, 0, 0]);
    assert!(report.denials_only.is_empty());

    // In the scope of a candidate only what it was asked about counts.
    let proposed = self::settings(Mode::Limited, &[]);
    let of = |owner, events: &[Value]| {
        replayed_in(Scope::CandidateOf(account(owner)), events, Some(&proposed), None).requests
    };
    assert_eq!((of("owner", &events), of("other", &events)), (1, 0));
    assert_eq!(of("owner", &recorded(&self::settings(Mode::ReportOnly, &[]), &asked())), 0);
}

/// One limited setting for all types.
struct TypeSettings([crate::perimeter::TypeSetting; 3]);

impl TypeSettings {
    fn of(allowlist: &[&str]) -> Self {
        let allowlist = Arc::new(allowlist.iter().map(|text| account(text)).collect());
        let one = crate::perimeter::TypeSetting { mode: Mode::Limited, allowlist };
        Self([one.clone(), one.clone(), one])
    }
}

#[test]
fn the_programs_form_says_the_same() {
    let events = recorded(&settings(Mode::ReportOnly, &["partner"]), &asked());
    let report = replayed(&events, Some(&settings(Mode::Limited, &[])), None);
    let json = report.to_json();
    assert_eq!(json["requests"], json!(1));
    assert_eq!(json["newlyDenied"]["requests"], json!(1));
    assert_eq!(json["newlyDenied"]["accounts"][0]["account"], json!("partner"));
    let identity = &json["newlyDenied"]["accounts"][0]["identities"][0];
    assert_eq!(identity["id"], json!("IBMid-1"));
    assert_eq!(identity["resources"][0]["owner"], json!("owner"));
    assert_eq!(json["proposed"], json!({"settings": true, "policies": null}));
    let text = report.to_text(Colour::Plain);
    for part in ["1 recorded request of", "1 would newly be denied", "account partner", "(a name)"]
    {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert_eq!(anstream::adapter::strip_str(&report.to_text(Colour::Ansi)).to_string(), text);
}

#[test]
fn what_is_no_evaluation_is_no_request() {
    let update = json!({"action": crate::event::UPDATE_ACTION, "id": "1"});
    let report =
        replayed(&[update, json!({}), json!([])], Some(&settings(Mode::Limited, &[])), None);
    assert_eq!(report.requests, 0);
    for action in [ROLE_ASSUME_ACTION, PROFILE_ASSUME_ACTION, DetectionName::FailedAssume.action()]
    {
        let mut events = recorded(&settings(Mode::ReportOnly, &["partner"]), &asked());
        assert!(!events.is_empty());
        for event in &mut events {
            event["action"] = json!(action);
        }
        let report = replayed(&events, Some(&settings(Mode::Limited, &[])), None);
        assert_eq!(report.requests, 0, "{action}");
    }
}
