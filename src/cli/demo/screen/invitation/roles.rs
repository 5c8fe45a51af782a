//! What to try of roles: begin sessions, use them, end them. Pure.

use std::fmt::Write as _;

use crate::cli::demo::cast::{DEV, Owner, PAY, order_path};
use crate::cli::demo::policies::{EXTERNAL_ID, INTERNAL, Role, WRONG_EXTERNAL_IDS};
use crate::cli::demo::screen::Screen;
use crate::cli::demo::screen::invitation::Place;
use crate::cli::demo::story::GUESSING;

/// The logins that ask for sessions.
pub(in crate::cli::demo) struct RoleCommands {
    /// The developer's token, by a password alone.
    pub(in crate::cli::demo) by_password: String,
    /// The developer's, with a second factor.
    pub(in crate::cli::demo) second_factor: String,
    /// The vendor's.
    pub(in crate::cli::demo) vendor: String,
}

impl Screen {
    /// The roles of acme-pay: who may have a session, and what it may do.
    pub(super) fn roles(self, out: &mut String, place: &Place<'_>, commands: &RoleCommands) {
        out.push_str(&self.heading(5, "Begin a session of a role in production, use it, end it"));
        self.as_developer(out, place, commands);
        self.as_vendor(out, place, &commands.vendor);
        self.as_operator(out, place);
    }

    fn as_developer(self, out: &mut String, place: &Place<'_>, commands: &RoleCommands) {
        let dim = self.dim;
        let RoleCommands { by_password, second_factor, .. } = commands;
        let (sts, arn) = (place.sts, Role::ProductionFix.arn());
        self.expects(out, "kim of acme-dev, by password alone (AWS's AssumeRole)", 403);
        let _ = writeln!(out, "curl -i {}", self.assume(place, by_password, Role::ProductionFix));
        self.says(out, "with a second factor a session begins (OAuth 2.0 token exchange)");
        let _ = writeln!(
            out,
            "SESSION=$(curl -s http://{sts}/oauth2/token -d grant_type={EXCHANGE} \
             -d subject_token_type={JWT} -d subject_token={dim}{second_factor}{dim:#} \
             -d resource={arn} -d role_session_name=demo | {ACCESS_TOKEN})",
        );
        self.expects(out, "it changes an order of acme-pay", 200);
        let _ = writeln!(out, "{}", change(place, PAY));
        self.expects(out, "but none of acme-dev, where kim's own token may", 403);
        let _ = writeln!(out, "{}", change(place, DEV));
    }

    fn as_vendor(self, out: &mut String, place: &Place<'_>, token: &str) {
        let assume = self.assume(place, token, Role::ParcelTracking);
        self.expects(out, "pat of Parcel, with the external ID that Acme agreed to", 200);
        let _ = writeln!(out, "curl -i {assume} -d ExternalId={EXTERNAL_ID}");
        self.says(out, "with others, one after another: each is AccessDenied, and it is noticed");
        let (wrong, events) = (WRONG_EXTERNAL_IDS.join(" "), place.files.events());
        let _ = writeln!(
            out,
            "for id in {wrong}; do curl -s -w '\\n' {assume} -d ExternalId=$id; done"
        );
        let (program, events) = (place.program, events.display());
        let _ = writeln!(out, "{program} events query --dir {events} '{GUESSING}'");
    }

    fn as_operator(self, out: &mut String, place: &Place<'_>) {
        let Place { admin, program, .. } = place;
        let arn = Role::ProductionFix.arn();
        self.says(out, "an operator ends the sessions of production-fix");
        let _ = writeln!(out, "{program} sessions revoke --url http://{admin} --role {arn}");
        self.expects(out, "kim's session from above", 401);
        let _ = writeln!(out, "{}", change(place, PAY));
    }

    /// What `curl` needs for AWS's `AssumeRole`.
    fn assume(self, place: &Place<'_>, token: &str, role: Role) -> String {
        let (dim, sts, arn) = (self.dim, place.sts, role.arn());
        format!(
            "http://{sts}/ -H 'Authorization: Bearer {dim}{token}{dim:#}' -d Action=AssumeRole \
             -d Version=2011-06-15 -d RoleArn={arn} -d RoleSessionName=demo"
        )
    }

    fn expects(self, out: &mut String, what: &str, status: u16) {
        let (bold, status) = (self.bold, self.status(status));
        let _ = writeln!(out, "{bold}# {what}{bold:#}: {status}");
    }
}

fn change(place: &Place<'_>, owner: &Owner) -> String {
    let (proxy, path) = (place.proxy, order_path(owner, INTERNAL));
    format!("curl -i -X PUT -H \"Authorization: Bearer $SESSION\" http://{proxy}{path}")
}

const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";
/// Takes the session's token out of the answer.
const ACCESS_TOKEN: &str = r#"sed 's/.*"access_token":"\([^"]*\)".*/\1/'"#;
