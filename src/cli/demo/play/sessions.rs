//! Plays the act of the roles. In: the stage. Out: what happened; tokens of sessions stay in here.

use http::Method;
use serde_json::{Value, json};

use crate::cli::demo::DemoError;
use crate::cli::demo::cast::{Caller, DEV, Login, Owner, PAY};
use crate::cli::demo::play::ASKED_AFTER;
use crate::cli::demo::policies::{EXTERNAL_ID, INTERNAL, Role, WRONG_EXTERNAL_IDS};
use crate::cli::demo::stage::{Errand, Stage};
use crate::cli::demo::story::{
    Asked, Attempt, DeveloperVisit, Sessions, SessionsEnd, VendorVisit, element, metric_line,
};

/// A developer and a vendor begin sessions, an operator ends one of them. Also what was recorded.
pub(in crate::cli::demo) async fn hold_sessions(
    stage: &Stage,
) -> Result<(Sessions, Vec<Value>), DemoError> {
    let (developer, of_developer) = visit_production(stage).await?;
    let (vendor, of_vendor) = visit_as_vendor(stage).await?;
    let end = end_sessions(stage, &of_developer, &of_vendor).await?;
    let sessions = Sessions { developer, vendor, end };
    let events = stage.recorded(|events| sessions.is_recorded(events)).await?;
    Ok((sessions, events))
}

async fn visit_production(stage: &Stage) -> Result<(DeveloperVisit, String), DemoError> {
    let by_password = Caller::Developer(Login::Password);
    let login = stage.token(by_password, DEV)?;
    let at_home = change(stage, &login, DEV).await?;
    let uninvited = change(stage, &login, PAY).await?;
    let (by_password, _) = assume(stage, by_password, Role::ProductionFix, None).await?;
    let (begun, session) = assume(stage, SECOND_FACTOR, Role::ProductionFix, None).await?;
    let used = change(stage, &session, PAY).await?;
    let used_at_home = change(stage, &session, DEV).await?;
    let visit = DeveloperVisit { at_home, uninvited, by_password, begun, used, used_at_home };
    Ok((visit, session))
}

async fn visit_as_vendor(stage: &Stage) -> Result<(VendorVisit, String), DemoError> {
    let assume = |role, external_id| assume(stage, Caller::Partner, role, Some(external_id));
    let (begun, session) = assume(Role::ParcelTracking, EXTERNAL_ID).await?;
    let used = read(stage, &session).await?;
    let mut wrong = Vec::new();
    for external_id in WRONG_EXTERNAL_IDS {
        wrong.push(assume(Role::ParcelTracking, external_id).await?.0);
    }
    // The first of them once more: it adds nothing to what was tried.
    let [external_id, ..] = WRONG_EXTERNAL_IDS;
    let (unknown, _) = assume(Role::Unknown, external_id).await?;
    let metrics = stage.client.get(stage.admin, "/metrics", None).await?.text;
    let metric = metric_line(&metrics).to_owned();
    Ok((VendorVisit { begun, used, wrong, unknown, metric }, session))
}

async fn end_sessions(
    stage: &Stage,
    of_developer: &str,
    of_vendor: &str,
) -> Result<SessionsEnd, DemoError> {
    let role = json!({ "role": Role::ProductionFix.arn() });
    let status = stage.client.post(stage.admin, REVOCATIONS, &role).await?.status;
    let mut after = Vec::new();
    for _ in 0..ASKED_AFTER {
        after.push(change(stage, of_developer, PAY).await?);
    }
    let other = read(stage, of_vendor).await?;
    let (again, _) = assume(stage, SECOND_FACTOR, Role::ProductionFix, None).await?;
    Ok(SessionsEnd { status, after, other, again })
}

/// Asks for a session, as AWS's `AssumeRole`. Also the session's token; empty if there is none.
async fn assume(
    stage: &Stage,
    caller: Caller,
    role: Role,
    external_id: Option<&str>,
) -> Result<(Attempt, String), DemoError> {
    let token = stage.token(caller, DEV)?;
    let arn = role.arn();
    let mut fields = vec![
        ("Action", "AssumeRole"),
        ("Version", "2011-06-15"),
        ("RoleArn", &arn),
        ("RoleSessionName", caller.person()),
    ];
    fields.extend(external_id.map(|external_id| ("ExternalId", external_id)));
    let reply = stage.client.post_form(stage.sts, "/", &token, &fields).await?;
    let session = element(&reply.text, "SessionToken").unwrap_or_default().to_owned();
    Ok((Attempt::of(caller, role, &reply), session))
}

/// Changes an order by the developer's login or session.
async fn change(stage: &Stage, token: &str, owner: &'static Owner) -> Result<Asked, DemoError> {
    let (caller, method) = (SECOND_FACTOR, Method::PUT);
    stage.ask_with(token, &Errand { caller, owner, method, order: INTERNAL }).await
}

/// Reads an order by the vendor's session.
async fn read(stage: &Stage, token: &str) -> Result<Asked, DemoError> {
    let (caller, method) = (Caller::Partner, Method::GET);
    stage.ask_with(token, &Errand { caller, owner: PAY, method, order: INTERNAL }).await
}

const SECOND_FACTOR: Caller = Caller::Developer(Login::SecondFactor);
/// The admin listener's path of ended sessions.
const REVOCATIONS: &str = "/v1/sts/revocations";
