//! The steps of one decision, as they are written.

use std::io::{self, Write};
use std::net::IpAddr;
use std::path::PathBuf;

use anstyle::{AnsiColor, Style};
use http::Method;
use serde::Serialize;

use super::policy::PolicyReport;
use crate::decision::Evaluation;
use crate::forward::{ClientAddress, Trust};
use crate::iam::{AccountId, AuthzRequest, Identity, IdentityKind, RequestOrigin, Transport};
use crate::perimeter::{SettingsIndex, TypeSetting};
use crate::proxy::Rejection;
use crate::route::Route;
use crate::settings;
use crate::verdict::{Decision, Outcome, Standing, Verdict};

/// All steps; those that were not reached are absent.
#[derive(Debug, Default, Serialize)]
pub(super) struct Report {
    pub(super) route: Option<RouteReport>,
    pub(super) client: Option<ClientReport>,
    pub(super) identity: Option<IdentityReport>,
    pub(super) question: Option<QuestionReport>,
    pub(super) perimeter: Option<PerimeterReport>,
    pub(super) policy: Option<PolicyReport>,
    result: ResultReport,
    /// The walk that explains came to another answer than the decision.
    #[serde(skip)]
    pub(super) is_contradicted: bool,
}

/// What the client sees.
#[derive(Debug, Serialize)]
struct ResultReport {
    permitted: bool,
    /// None: the upstream's.
    status: Option<u16>,
    code: &'static str,
    detail: Option<String>,
}

/// The route that was found.
#[derive(Debug, Serialize)]
pub(super) struct RouteReport {
    method: String,
    path: Box<str>,
    upstream: Box<str>,
    public: bool,
}

/// Where the request comes from.
#[derive(Debug, Serialize)]
pub(super) struct ClientReport {
    address: IpAddr,
    transport: &'static str,
    /// The trusted proxy that told so.
    proxy: Option<IpAddr>,
}

/// Whom the token proves.
#[derive(Debug, Serialize)]
pub(super) struct IdentityReport {
    principal: Box<str>,
    account: Option<String>,
    identity_type: &'static str,
    is_session: bool,
    id: Box<str>,
    name: Box<str>,
    issuer: Box<str>,
}

/// What is asked.
#[derive(Debug, Serialize)]
pub(super) struct QuestionReport {
    action: String,
    resource: String,
    owner: String,
}

/// What the account check says.
#[derive(Debug, Serialize)]
pub(super) struct PerimeterReport {
    owner: String,
    identity_type: &'static str,
    /// None: the caller is of the owner's account, and not checked.
    enforced: Option<SettingReport>,
    candidate: Option<SettingReport>,
}

/// One setting and its verdict.
#[derive(Debug, Serialize)]
struct SettingReport {
    decision: &'static str,
    reason: &'static str,
    is_enforced: bool,
    mode: &'static str,
    allowlist: Vec<String>,
    /// Where the setting is from: a file and a line, or the default.
    source: String,
}

/// The settings file as text, for the places of settings.
#[derive(Debug, Default)]
pub(super) struct SettingsSource {
    pub(super) file: Option<PathBuf>,
    pub(super) text: String,
}

impl Report {
    /// The request ends here.
    pub(super) fn refuse(&mut self, rejection: &Rejection) {
        let detail = match rejection {
            // The words of this one are the layer's, above.
            Rejection::Denied(_) => None,
            other => Some(other.to_string()),
        };
        self.result = ResultReport {
            permitted: false,
            status: Some(rejection.status().as_u16()),
            code: rejection.outcome().as_str(),
            detail,
        };
    }

    pub(super) fn write_json(&self, out: &mut dyn Write) -> io::Result<()> {
        serde_json::to_writer(&mut *out, self)?;
        writeln!(out)
    }

    pub(super) fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        if let Some(RouteReport { method, path, upstream, public }) = &self.route {
            let public = if *public { ", public" } else { "" };
            writeln!(out, "route      {method} {path} to upstream {upstream}{public}")?;
        }
        if let Some(ClientReport { address, transport, proxy: Some(proxy) }) = &self.client {
            writeln!(out, "client     {address} over {transport}, as {proxy} says")?;
        }
        if let Some(identity) = &self.identity {
            identity.write_text(out)?;
        }
        if let Some(QuestionReport { action, resource, owner }) = &self.question {
            let resource = printable(resource);
            writeln!(out, "question   {action} on {resource} of account {owner}")?;
        }
        if let Some(perimeter) = &self.perimeter {
            perimeter.write_text(out)?;
        }
        if let Some(policy) = &self.policy {
            policy.enforced.write_text(out, "policy")?;
            if let Some(candidate) = &policy.candidate {
                candidate.write_text(out, "candidate")?;
            }
        }
        self.result.write_text(out)
    }
}

impl Default for ResultReport {
    fn default() -> Self {
        Self { permitted: true, status: None, code: Outcome::Forwarded.as_str(), detail: None }
    }
}

impl ResultReport {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let style = if self.permitted { GOOD } else { BAD };
        let Self { code, status, detail, .. } = self;
        let detail = detail.as_deref().map(|why| format!(": {}", printable(why)));
        let detail = detail.unwrap_or_default();
        match status {
            None => writeln!(out, "result     {style}{code}{style:#}"),
            Some(status) => writeln!(out, "result     {style}{status} {code}{style:#}{detail}"),
        }
    }
}

impl RouteReport {
    pub(super) fn of(method: &Method, route: &Route) -> Self {
        Self {
            method: method.to_string(),
            path: route.path.clone(),
            upstream: route.upstream.name.clone(),
            public: route.question.is_none(),
        }
    }
}

impl ClientReport {
    pub(super) fn of(origin: &RequestOrigin<'_>, client: &ClientAddress, peer: IpAddr) -> Self {
        let transport = match origin.transport {
            Transport::Plain => "http",
            Transport::Tls => "https",
        };
        let proxy = (client.trust == Trust::Trusted).then_some(peer);
        Self { address: origin.source_ip, transport, proxy }
    }
}

impl From<&Identity> for IdentityReport {
    fn from(identity: &Identity) -> Self {
        Self {
            principal: identity.principal.clone(),
            account: identity.account.map(|account| account.to_string()),
            identity_type: identity.identity_type.as_str(),
            is_session: identity.kind == IdentityKind::Profile,
            id: identity.id.clone(),
            name: identity.name.clone(),
            issuer: identity.issuer.clone(),
        }
    }
}

impl IdentityReport {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let session = if self.is_session { "session of a role or profile, " } else { "" };
        let account = match &self.account {
            Some(account) => format!("account {account}"),
            None => "no account".to_owned(),
        };
        let (principal, issuer) = (printable(&self.principal), printable(&self.issuer));
        let kind = self.identity_type;
        writeln!(out, "token      good, from {issuer}")?;
        writeln!(out, "identity   {principal} ({session}{kind}, {account})")
    }
}

impl From<&AuthzRequest<'_>> for QuestionReport {
    fn from(request: &AuthzRequest<'_>) -> Self {
        Self {
            action: request.action.as_str().to_owned(),
            resource: request.resource.to_owned(),
            owner: request.owner.to_string(),
        }
    }
}

impl PerimeterReport {
    pub(super) fn of(
        evaluation: &Evaluation<'_>,
        settings: &SettingsIndex,
        source: &SettingsSource,
        identity: &Identity,
        owner: AccountId,
    ) -> Self {
        let setting = settings.setting(owner);
        let source = source.place(settings, owner);
        let report = |verdict: Verdict, by: &TypeSetting, standing| SettingReport {
            decision: verdict.decision.as_str(),
            reason: verdict.reason.as_str(),
            is_enforced: standing == Standing::Enforced && verdict.rejects(),
            mode: by.mode.as_str(),
            allowlist: by.allowlist.iter().map(ToString::to_string).collect(),
            source: source.clone(),
        };
        let kind = identity.identity_type;
        let enforced = evaluation.perimeter.map(|verdicts| verdicts.enforced);
        let candidate = evaluation.perimeter.and_then(|verdicts| verdicts.candidate);
        Self {
            owner: owner.to_string(),
            identity_type: kind.as_str(),
            enforced: enforced
                .map(|verdict| report(verdict, setting.enforced(kind), Standing::Enforced)),
            candidate: candidate
                .zip(setting.candidate(kind))
                .map(|(verdict, by)| report(verdict, by, Standing::Candidate)),
        }
    }

    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let Self { owner, identity_type, enforced, candidate } = self;
        let Some(enforced) = enforced else {
            return writeln!(out, "perimeter  not asked: the caller is of the owner's own account");
        };
        enforced.write_text(out, "perimeter", owner, identity_type)?;
        match candidate {
            None => Ok(()),
            Some(candidate) => candidate.write_text(out, "candidate", owner, identity_type),
        }
    }
}

impl SettingReport {
    fn write_text(
        &self,
        out: &mut dyn Write,
        name: &str,
        owner: &str,
        identity_type: &str,
    ) -> io::Result<()> {
        let Self { decision, reason, is_enforced, mode, allowlist, source } = self;
        let style = if *decision == Decision::Permit.as_str() { GOOD } else { BAD };
        let lower = decision.to_lowercase();
        let shadow = match (is_enforced, *decision == Decision::Deny.as_str()) {
            (false, true) => ", not enforced",
            (true, _) | (false, false) => "",
        };
        writeln!(out, "{name:<10} {style}{lower}{style:#} ({reason}){shadow}")?;
        let mut allowed: Vec<&str> = allowlist.iter().take(SHOWN_MAX).map(String::as_str).collect();
        let more = allowlist.len().saturating_sub(SHOWN_MAX);
        let more = if more > 0 { format!("{more} more") } else { String::new() };
        if !more.is_empty() {
            allowed.push(&more);
        }
        let allowed = if allowed.is_empty() { "nobody".to_owned() } else { allowed.join(", ") };
        writeln!(
            out,
            "           {source}: mode {mode} for {identity_type} of account {owner}; also admitted: \
             {allowed}"
        )
    }
}

impl SettingsSource {
    fn place(&self, settings: &SettingsIndex, owner: AccountId) -> String {
        let Some(file) = &self.file else { return "the default without settings".to_owned() };
        let file = file.display();
        match settings.listed(owner).and_then(|_| settings::position(&self.text, owner)) {
            Some(position) => format!("{file}:{}:{}", position.line, position.column),
            None => format!("the default of {file}"),
        }
    }
}

/// A text of a stranger without what a terminal would obey.
pub(super) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

pub(super) const GOOD: Style = AnsiColor::Green.on_default().bold();
pub(super) const BAD: Style = AnsiColor::Red.on_default().bold();
pub(super) const DIM: Style = Style::new().dimmed();

/// As many accounts of an allowlist as fit a line.
const SHOWN_MAX: usize = 5;
