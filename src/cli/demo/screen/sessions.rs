//! The act of the roles. Pure.

use std::fmt::Write as _;

use serde_json::Value;

use crate::cli::demo::cast::{Caller, DEV, Login, PAY};
use crate::cli::demo::policies::INTERNAL;
use crate::cli::demo::screen::{CALLER, QUOTE, Screen};
use crate::cli::demo::story::{
    Attempt, DeveloperVisit, GUESSING, Sessions, SessionsEnd, VendorVisit, guessing, recorded, text,
};
use crate::event::query::QueryError;

impl Screen {
    /// Sessions that begin, do not begin, are used, and end.
    pub(in crate::cli::demo) fn sessions(
        self,
        sessions: &Sessions,
        events: &[Value],
    ) -> Result<String, QueryError> {
        let title =
            "Roles of acme-pay: a developer fixes production, a vendor visits, an operator ends it";
        let mut out = self.heading(5, title);
        self.developer(&mut out, &sessions.developer, events);
        self.vendor(&mut out, &sessions.vendor, events)?;
        self.end(&mut out, sessions);
        Ok(out)
    }

    fn developer(self, out: &mut String, visit: &DeveloperVisit, events: &[Value]) {
        let [home, production] =
            [DEV, PAY].map(|owner| format!("order {INTERNAL} of {}", owner.name));
        let DeveloperVisit { at_home, uninvited, by_password, begun, used, used_at_home } = visit;
        self.row(out, &who(DEVELOPER), at_home.status, &format!("changes {home}, at home"));
        let words = format!("but not {production}: {}", uninvited.code);
        self.row(out, "", uninvited.status, &words);
        let role = by_password.role.name();
        let words = format!("AssumeRole {role} by password alone: {}", by_password.code);
        self.row(out, "", by_password.status, &words);
        self.row(out, "", begun.status, "the same with a second factor: a session's token");
        let words = format!("changes {production}: the session is {}'s own", PAY.name);
        self.row(out, &in_role(begun), used.status, &words);
        let words = format!("but not {home}: {}", used_at_home.code);
        self.row(out, "", used_at_home.status, &words);
        if let Some(event) = recorded(&used_at_home.decision, events) {
            let [id, login] = ["/initiator/id", "/initiator/authnId"].map(|name| text(event, name));
            self.quote(out, &format!("recorded: initiator.id {id}, authnId {login}"));
        }
        out.push_str(
            "   The role's permissions replace kim's, they are not added. acme-dev is not on the \
             allowlist of\n   acme-pay, but a session is of the role's account. Events name the role \
             and the login behind it.\n",
        );
    }

    fn vendor(
        self,
        out: &mut String,
        visit: &VendorVisit,
        events: &[Value],
    ) -> Result<(), QueryError> {
        let VendorVisit { begun, used, wrong, unknown, metric } = visit;
        let words = format!("AssumeRole {} with Acme's external ID", begun.role.name());
        self.row(out, &who(Caller::Partner), begun.status, &words);
        let words = format!("reads order {INTERNAL} of {}", PAY.name);
        self.row(out, &in_role(begun), used.status, &words);
        let ids = ["that of another customer", "a guess", "another guess"];
        for (number, (attempt, id)) in wrong.iter().zip(ids).enumerate() {
            let who = if number == 0 { who(Caller::Partner) } else { String::new() };
            self.row(out, &who, attempt.status, &format!("AssumeRole with {id}: {}", attempt.code));
        }
        let answer = if visit.is_one_answer() { "the same answer" } else { "another answer" };
        let reason = recorded(&unknown.decision, events);
        let reason = reason.map_or("", |event| text(event, "/responseData/reason"));
        let words = format!("no such role: {answer}; its event says {reason}");
        self.row(out, "", unknown.status, &words);
        out.push_str(
            "   Parcel has many customers. The external ID is Acme's, so nobody else can have Parcel \
             use Acme's\n   role, or learn that it exists. Who tries IDs one after another is noticed:\n",
        );
        let noticed = guessing(events)?;
        let (events, plural) = (noticed.len(), if noticed.len() == 1 { "event" } else { "events" });
        self.quote(out, &format!("crossgate events query '{GUESSING}': {events} {plural}"));
        for event in noticed {
            let count = event.pointer("/responseData/count").unwrap_or(&Value::Null);
            let principal = text(event, "/responseData/principal");
            self.quote(out, &format!("  {count} external IDs in vain, by {principal}"));
        }
        self.quote(out, metric);
        Ok(())
    }

    fn end(self, out: &mut String, sessions: &Sessions) {
        let SessionsEnd { status, after, other, again } = &sessions.end;
        let words = format!("of {}: POST /v1/sts/revocations", again.role.name());
        self.row(out, "operator ends the sessions", *status, &words);
        if let Some(asked) = after.last() {
            let words = format!("{}, {} times, by the token that worked", asked.code, after.len());
            self.row(out, &in_role(again), asked.status, &words);
        }
        self.row(out, &in_role(&sessions.vendor.begun), other.status, "as before: another role");
        let words = format!("AssumeRole {} again: another session", again.role.name());
        self.row(out, &who(DEVELOPER), again.status, &words);
    }

    fn row(self, out: &mut String, who: &str, status: u16, words: &str) {
        let status = self.status(status);
        let _ = writeln!(out, "   {who:CALLER$}{status} {words}");
    }

    fn quote(self, out: &mut String, text: &str) {
        let dim = self.dim;
        let _ = writeln!(out, "{dim}{QUOTE}{dim:#}{text}");
    }
}

fn who(caller: Caller) -> String {
    format!("{} {}", caller.person(), caller.origin())
}

/// Somebody in a session.
fn in_role(begun: &Attempt) -> String {
    format!("{} in {}", begun.caller.person(), begun.role.name())
}

const DEVELOPER: Caller = Caller::Developer(Login::SecondFactor);
