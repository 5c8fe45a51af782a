//! Sessions of roles: whose permissions count, who may begin one, what is noticed, how they end. Pure.
//!
//! Flows in: answers and recorded events. Flows out: each difference. No token is in here, and no
//! external ID.

use serde_json::Value;

use crate::cli::demo::cast::{Caller, DEV, PARTNER, PAY};
use crate::cli::demo::client::Reply;
use crate::cli::demo::policies::{EXTERNAL_ID, Role, WRONG_EXTERNAL_IDS, user_arn};
use crate::cli::demo::story::{Asked, count, text};
use crate::event::query::{Query, QueryError};

/// A developer, a vendor, and an operator.
#[derive(Debug)]
pub(in crate::cli::demo) struct Sessions {
    pub(in crate::cli::demo) developer: DeveloperVisit,
    pub(in crate::cli::demo) vendor: VendorVisit,
    pub(in crate::cli::demo) end: SessionsEnd,
}

/// A developer fixes production.
#[derive(Debug)]
pub(in crate::cli::demo) struct DeveloperVisit {
    /// At home, by the login's token.
    pub(in crate::cli::demo) at_home: Asked,
    /// In production, by the login's token.
    pub(in crate::cli::demo) uninvited: Asked,
    /// The role, by a password alone.
    pub(in crate::cli::demo) by_password: Attempt,
    /// The role, with a second factor.
    pub(in crate::cli::demo) begun: Attempt,
    /// In production, by the session's token.
    pub(in crate::cli::demo) used: Asked,
    /// At home, by the session's token.
    pub(in crate::cli::demo) used_at_home: Asked,
}

/// A vendor comes with external IDs.
#[derive(Debug)]
pub(in crate::cli::demo) struct VendorVisit {
    /// With the right one.
    pub(in crate::cli::demo) begun: Attempt,
    /// By that session's token.
    pub(in crate::cli::demo) used: Asked,
    /// With wrong ones, one after another.
    pub(in crate::cli::demo) wrong: Vec<Attempt>,
    /// A role that nobody has.
    pub(in crate::cli::demo) unknown: Attempt,
    /// How the detection is counted, as metrics have it; empty if it is not.
    pub(in crate::cli::demo) metric: String,
}

/// An operator ends the sessions of the developer's role.
#[derive(Debug)]
pub(in crate::cli::demo) struct SessionsEnd {
    /// The answer to that.
    pub(in crate::cli::demo) status: u16,
    /// The developer's session, again and again.
    pub(in crate::cli::demo) after: Vec<Asked>,
    /// The vendor's session, which is of another role.
    pub(in crate::cli::demo) other: Asked,
    /// The developer begins another session.
    pub(in crate::cli::demo) again: Attempt,
}

/// Somebody asks for a session of a role.
#[derive(Clone, Debug)]
pub(in crate::cli::demo) struct Attempt {
    pub(in crate::cli::demo) caller: Caller,
    pub(in crate::cli::demo) role: Role,
    pub(in crate::cli::demo) status: u16,
    /// The error's code; empty where a session begins.
    pub(in crate::cli::demo) code: String,
    /// A refusal without the request's id; empty where a session begins, since its token is a secret.
    pub(in crate::cli::demo) refusal: String,
    /// The id of the decision.
    pub(in crate::cli::demo) decision: String,
}

impl Attempt {
    /// What the token service answered; its XML has no attributes.
    pub(in crate::cli::demo) fn of(caller: Caller, role: Role, reply: &Reply) -> Self {
        let Reply { status, text, .. } = reply;
        let decision = reply.header("x-crossgate-decision").to_owned();
        let refusal = if *status == 200 { String::new() } else { text.replace(&decision, "") };
        let code = element(text, "Code").unwrap_or_default().to_owned();
        Self { caller, role, status: *status, code, refusal, decision }
    }
}

/// The text of an XML element that has no others in it.
pub(in crate::cli::demo) fn element<'x>(xml: &'x str, name: &str) -> Option<&'x str> {
    let (_, after) = xml.split_once(&format!("<{name}>"))?;
    Some(after.split_once(&format!("</{name}>"))?.0)
}

/// The line of the detection's counter in a page of metrics.
pub(in crate::cli::demo) fn metric_line(metrics: &str) -> &str {
    metrics.lines().find(|line| line.starts_with(METRIC)).unwrap_or_default()
}

/// What was recorded under an id.
pub(in crate::cli::demo) fn recorded<'e>(id: &str, events: &'e [Value]) -> Option<&'e Value> {
    events.iter().find(|event| text(event, "/id") == id)
}

/// What was noticed about external IDs.
pub(in crate::cli::demo) fn guessing(events: &[Value]) -> Result<Vec<&Value>, QueryError> {
    let query = Query::parse(GUESSING)?;
    Ok(events.iter().filter(|event| query.matches(event)).collect())
}

impl Sessions {
    /// Whether all of it is on record.
    pub(in crate::cli::demo) fn is_recorded(&self, events: &[Value]) -> bool {
        let ids = [&self.developer.used_at_home.decision, &self.end.again.decision];
        ids.iter().all(|id| recorded(id, events).is_some())
            && guessing(events).is_ok_and(|found| !found.is_empty())
    }

    /// How many enforced denials are recorded: of the login in production by the perimeter and by
    /// policies, of the session at home by policies.
    pub(super) const DENIALS: usize = 3;

    /// How many a candidate would have: the session at home, where it is a stranger.
    pub(super) const CANDIDATE_DENIALS: usize = 1;

    /// Everything that is not as it has to be.
    pub(super) fn check(
        &self,
        events: &[Value],
        found: &mut Vec<String>,
    ) -> Result<(), QueryError> {
        self.developer.check(events, found);
        self.vendor.check(events, found)?;
        self.end.check(events, found);
        // Two of the developer, one after the end; the vendor's right, wrong and unknown ones.
        let (attempts, expected) = (count(ATTEMPTS, events)?, 5 + self.vendor.wrong.len());
        if attempts != expected {
            found.push(format!("{attempts} attempts are on record instead of {expected}"));
        }
        let secrets = WRONG_EXTERNAL_IDS.into_iter().chain([EXTERNAL_ID, TOKEN_START]);
        let told: String = events.iter().map(Value::to_string).collect();
        found.extend(
            secrets.filter(|it| told.contains(it)).map(|it| format!("`{it}` is on record")),
        );
        Ok(())
    }
}

impl DeveloperVisit {
    fn check(&self, events: &[Value], found: &mut Vec<String>) {
        let role = Role::ProductionFix.arn();
        check_asked("at home", &self.at_home, (200, "", DEV.id), found);
        let uninvited = (403, "external_account_denied", "");
        check_asked("in production without a role", &self.uninvited, uninvited, found);
        let refused = Some("policy_implicit_deny");
        check_attempt("the role by a password", &self.by_password, refused, events, found);
        check_attempt("the role by a second factor", &self.begun, None, events, found);
        check_asked("production by the role", &self.used, (200, "", PAY.id), found);
        let replaced = (403, "policy_denied", "");
        check_asked("at home by the role", &self.used_at_home, replaced, found);
        let event = recorded(&self.used_at_home.decision, events);
        let names = event.map(|event| {
            let account = "/requestData/subject/attributes/token.account.bss";
            ["/initiator/id", "/initiator/authnId", account].map(|name| text(event, name))
        });
        if names != Some([role.as_str(), self.begun.caller.id(), PAY.id]) {
            found.push(format!("at home by the role: recorded {names:?}"));
        }
    }
}

impl VendorVisit {
    /// Whether no answer tells that there is such a role.
    pub(in crate::cli::demo) fn is_one_answer(&self) -> bool {
        self.wrong.iter().all(|attempt| attempt.refusal == self.unknown.refusal)
    }

    fn check(&self, events: &[Value], found: &mut Vec<String>) -> Result<(), QueryError> {
        check_attempt("the right external ID", &self.begun, None, events, found);
        check_asked("the vendor's order", &self.used, (200, "", PAY.id), found);
        for attempt in &self.wrong {
            let refused = Some("policy_implicit_deny");
            check_attempt("a wrong external ID", attempt, refused, events, found);
        }
        if !self.is_one_answer() {
            found.push("an answer tells that there is such a role".to_owned());
        }
        if self.wrong.len() != WRONG_EXTERNAL_IDS.len() {
            found.push(format!("{} wrong external IDs were tried", self.wrong.len()));
        }
        let unknown = Some("unknown_role");
        check_attempt("a role that nobody has", &self.unknown, unknown, events, found);
        let noticed: Vec<_> = guessing(events)?
            .into_iter()
            .map(|event| {
                let of = |name| text(event, name).to_owned();
                let count = event.pointer("/responseData/count").and_then(Value::as_u64);
                (of("/responseData/principal"), of("/responseData/role"), count)
            })
            .collect();
        let tried = u64::try_from(self.wrong.len()).ok();
        let expected = (user_arn(PARTNER, Caller::Partner), Role::ParcelTracking.arn(), tried);
        if noticed != [expected] {
            found.push(format!("of the external IDs was noticed: {noticed:?}"));
        }
        if self.metric != format!("{METRIC} 1") {
            found.push(format!("metrics count the detection so: `{}`", self.metric));
        }
        Ok(())
    }
}

impl SessionsEnd {
    fn check(&self, events: &[Value], found: &mut Vec<String>) {
        if self.status != 200 {
            found.push(format!("the end of the sessions was answered {}", self.status));
        }
        if self.after.is_empty() {
            found.push("the ended session was never used".to_owned());
        }
        for asked in &self.after {
            check_asked("the ended session", asked, (401, "unauthenticated", ""), found);
        }
        check_asked("a session of another role", &self.other, (200, "", PAY.id), found);
        check_attempt("the role again", &self.again, None, events, found);
    }
}

/// Status, code, and the account that the service is told of.
fn check_asked(what: &str, asked: &Asked, expected: (u16, &str, &str), found: &mut Vec<String>) {
    let Asked { status, code, told_account, .. } = asked;
    if (*status, code.as_str(), told_account.as_str()) != expected {
        found.push(format!("{what}: {status} `{code}`, the service was told `{told_account}`"));
    }
}

/// Without a reason a session has to begin.
fn check_attempt(
    what: &str,
    attempt: &Attempt,
    refused: Option<&str>,
    events: &[Value],
    found: &mut Vec<String>,
) {
    let Attempt { caller, role, status, code, decision, .. } = attempt;
    let (answer, outcome, reason) = match refused {
        None => ((200, ""), "success", "policy_allow"),
        Some(reason) => ((403, "AccessDenied"), "failure", reason),
    };
    if (*status, code.as_str()) != answer {
        found.push(format!("{what}: {status} `{code}`"));
    }
    let members = ["/outcome", "/initiator/id", "/target/id", "/responseData/reason"];
    let event = recorded(decision, events);
    let event = event.map(|event| members.map(|member| text(event, member)));
    if event != Some([outcome, caller.id(), role.arn().as_str(), reason]) {
        found.push(format!("{what}: recorded {event:?}"));
    }
}

/// Asks for what was noticed about external IDs.
pub(in crate::cli::demo) const GUESSING: &str =
    r#"action:"crossgate.detection.external_id_guessing""#;
const ATTEMPTS: &str = r#"action:"sts.role.assume""#;
pub(super) const METRIC: &str = r#"crossgate_detections_total{name="external_id_guessing"}"#;
/// How each token begins.
const TOKEN_START: &str = "eyJ";

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};

    use super::*;

    #[test]
    fn a_refusal_is_kept_without_its_id_and_a_token_is_not_kept() {
        let attempt = |status, text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("x-crossgate-decision", HeaderValue::from_static("42"));
            let reply = Reply { status, headers, text: text.to_owned(), body: Value::Null };
            Attempt::of(Caller::Partner, Role::Unknown, &reply)
        };
        let refused = attempt(403, "<E><Code>AccessDenied</Code><RequestId>42</RequestId></E>");
        assert_eq!((refused.code.as_str(), refused.decision.as_str()), ("AccessDenied", "42"));
        assert_eq!(refused.refusal, "<E><Code>AccessDenied</Code><RequestId></RequestId></E>");
        let begun = "<R><SessionToken>eyJ</SessionToken></R>";
        assert!(!format!("{:?}", attempt(200, begun)).contains("eyJ"));
        assert_eq!(element(begun, "SessionToken"), Some("eyJ"));
        assert_eq!(element("<SessionToken>eyJ", "SessionToken"), None);
    }

    #[test]
    fn a_counter_is_found_by_its_label() {
        let page =
            format!("# TYPE x counter\nother{{name=\"external_id_guessing\"}} 3\n{METRIC} 1\n");
        assert_eq!(metric_line(&page), format!("{METRIC} 1"));
        assert_eq!(metric_line("x 1\n"), "");
    }
}
