//! Callers, and the `Principal` elements that mean them (facts: section 2, Principal).

use serde_json::Value;

use super::glob::arn_segments;

/// Who asks.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) kind: Kind,
    /// The ARN, the service's name, or the provider.
    pub(crate) text: String,
    pub(crate) account: Option<String>,
}

/// The kinds of callers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    Anonymous,
    AssumedRole,
    FederatedUser,
    Role,
    Root,
    Service,
    User,
    WebIdentity,
}

/// How an element means a caller, from weak to strong.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub(crate) enum Match {
    /// By the account: it delegates.
    Account,
    /// A session by its role, or by its user.
    Session,
    /// By name, or as one of all.
    Direct,
}

/// `Principal` or `NotPrincipal`.
#[derive(Clone, Debug)]
pub(crate) struct Principals {
    pub(crate) negated: bool,
    /// Each with the name that it stands under: `AWS`, `Service`, …
    pub(crate) entries: Vec<(String, String)>,
}

impl Caller {
    /// A caller by its kind, where that is given, or by its ARN.
    pub(crate) fn new(
        kind: Option<&str>,
        arn: Option<&str>,
        account: Option<&str>,
    ) -> Result<Self, String> {
        let text = arn.unwrap_or_default().to_owned();
        let kind = match kind {
            Some(name) => kind_named(name)?,
            None => kind_of(&text)?,
        };
        let of_arn = arn_segments(&text).map(|segments| segments[4]);
        let account = account.or(of_arn).filter(|_| kind.has_account()).map(str::to_owned);
        Ok(Self { kind, text, account })
    }

    /// Partition, account and name of the role behind a session. A role's path does not count: its
    /// sessions do not have it.
    fn role(&self) -> Option<(String, String, String)> {
        let arn = arn_segments(&self.text)?;
        let parts: Vec<&str> = arn[5].split('/').collect();
        let name = match self.kind {
            Kind::Role => *parts.last()?,
            Kind::AssumedRole => *parts.get(1)?,
            _ => return None,
        };
        Some((arn[1].to_owned(), arn[4].to_owned(), name.to_owned()))
    }

    /// Facts, section 4.4.
    pub(crate) fn is_service_linked_role(&self) -> bool {
        self.kind == Kind::Role && self.text.contains(":role/aws-service-role/")
    }

    /// The ARN of the user behind a federated session.
    fn federating_user(&self) -> Option<String> {
        let arn = arn_segments(&self.text).filter(|_| self.kind == Kind::FederatedUser)?;
        let name = arn[5].strip_prefix("federated-user/")?;
        Some(format!("arn:{}:iam::{}:user/{name}", arn[1], arn[4]))
    }
}

impl Principals {
    /// Reads the element's value.
    pub(crate) fn read(value: &Value, negated: bool) -> Result<Self, String> {
        if value == "*" {
            let entries = vec![("AWS".to_owned(), "*".to_owned())];
            return Ok(Self { negated, entries });
        }
        let members = value.as_object().ok_or_else(|| format!("{value} is no principal"))?;
        let mut entries = Vec::new();
        for (name, value) in members {
            for entry in super::documents::texts(value)? {
                check(name, &entry)?;
                entries.push((name.clone(), entry));
            }
        }
        Ok(Self { negated, entries })
    }

    /// Whether the element means a caller, and how. `NotPrincipal` means all that are not listed
    /// in any way; with Deny it means a caller with a boundary whatever is listed, and a session
    /// unless the session and what is behind it are listed, or the account.
    pub(crate) fn means(&self, caller: &Caller, denies: bool, has_boundary: bool) -> Option<Match> {
        let mut listed: Option<Match> = None;
        for (name, entry) in &self.entries {
            let this = entry_means(name, entry, caller);
            if this > listed {
                listed = this;
            }
        }
        if !self.negated {
            return listed;
        }
        let is_session =
            matches!(caller.kind, Kind::AssumedRole | Kind::FederatedUser | Kind::Role);
        let all: Vec<Match> = self
            .entries
            .iter()
            .filter_map(|(name, entry)| entry_means(name, entry, caller))
            .collect();
        let is_everybody = self.entries.iter().any(|(_, entry)| entry == "*");
        let is_chain_listed = all.contains(&Match::Account)
            || is_everybody
            || (all.contains(&Match::Direct) && (!is_session || all.contains(&Match::Session)));
        let is_hit = if denies { has_boundary || !is_chain_listed } else { listed.is_none() };
        is_hit.then_some(Match::Direct)
    }
}

/// One row of the table of principals after the other.
fn entry_means(name: &str, entry: &str, caller: &Caller) -> Option<Match> {
    let is_caller = entry == caller.text;
    match name {
        "Service" => return (caller.kind == Kind::Service && is_caller).then_some(Match::Direct),
        "Federated" => {
            return (caller.kind == Kind::WebIdentity && is_caller).then_some(Match::Direct);
        }
        "AWS" if entry == "*" => return Some(Match::Direct),
        "AWS" => {}
        // A canonical user is nobody that crossgate knows.
        _ => return None,
    }
    let Some(arn) = arn_segments(entry) else {
        return (caller.account.as_deref() == Some(entry)).then_some(Match::Account);
    };
    let by_name = matches!(caller.kind, Kind::User | Kind::AssumedRole | Kind::FederatedUser);
    if arn[5] == "root" {
        (caller.account.as_deref() == Some(arn[4])).then_some(Match::Account)
    } else if by_name && is_caller {
        Some(Match::Direct)
    } else if arn[5].starts_with("role/") {
        let last = arn[5].split('/').next_back().unwrap();
        let role = (arn[1].to_owned(), arn[4].to_owned(), last.to_owned());
        (caller.role() == Some(role)).then_some(Match::Session)
    } else {
        (caller.federating_user().as_deref() == Some(entry)).then_some(Match::Session)
    }
}

/// What may be listed.
fn check(name: &str, entry: &str) -> Result<(), String> {
    let refused = Err(format!("`{entry}` is no principal"));
    match name {
        "Service" | "Federated" | "CanonicalUser" => Ok(()),
        "AWS" if entry == "*" => Ok(()),
        // No partial wildcards.
        "AWS" if entry.contains(['*', '?']) => refused,
        "AWS" if entry.starts_with("arn:") => match arn_segments(entry) {
            Some(arn) if arn[2] == "iam" || arn[2] == "sts" => Ok(()),
            _ => refused,
        },
        "AWS" => {
            let is_account = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
            if entry.chars().all(is_account) && !entry.is_empty() { Ok(()) } else { refused }
        }
        _ => Err(format!("`{name}` is no kind of principal")),
    }
}

fn kind_named(name: &str) -> Result<Kind, String> {
    match name {
        "anonymous" => Ok(Kind::Anonymous),
        "assumed-role" => Ok(Kind::AssumedRole),
        "federated-user" => Ok(Kind::FederatedUser),
        "role" => Ok(Kind::Role),
        "root" => Ok(Kind::Root),
        "service" => Ok(Kind::Service),
        "user" => Ok(Kind::User),
        "web-identity" => Ok(Kind::WebIdentity),
        _ => Err(format!("`{name}` is no kind of principal")),
    }
}

fn kind_of(text: &str) -> Result<Kind, String> {
    if text.is_empty() {
        return Ok(Kind::Anonymous);
    }
    let Some(arn) = arn_segments(text) else {
        return Ok(Kind::Service);
    };
    match arn[5].split('/').next() {
        Some("root") => Ok(Kind::Root),
        Some("user") => Ok(Kind::User),
        Some("role") => Ok(Kind::Role),
        Some("assumed-role") => Ok(Kind::AssumedRole),
        Some("federated-user") => Ok(Kind::FederatedUser),
        Some("oidc-provider" | "saml-provider") => Ok(Kind::WebIdentity),
        _ => Err(format!("`{text}` is no principal")),
    }
}
