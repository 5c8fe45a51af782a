//! Who asks, and which `Principal` elements mean them (facts: iam.md section 2, Principal).

use crate::iam::Arn;

/// Who asks, split where its parts end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Principal<'a> {
    /// What kind of principal.
    pub kind: PrincipalKind,
    /// Its ARN; a service's name; a federated provider; empty for anonymous.
    pub text: &'a str,
    /// Its account; services, web identities and anonymous have none.
    pub account: Option<&'a str>,
    /// The role behind a role or a session of it.
    pub role: Option<RoleName<'a>>,
    /// Whether it is a role that a service made for itself: guardrails do not apply to it.
    pub service_linked: bool,
}

/// The kinds of principals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PrincipalKind {
    /// Nobody in particular: no credentials.
    Anonymous,
    /// A session of a role, with its name.
    AssumedRole,
    /// A session of a user.
    FederatedUser,
    /// Some session of a role, its name unknown.
    Role,
    /// An account's root user.
    Root,
    /// A service, by its name.
    Service,
    /// An IAM user.
    User,
    /// Whom an identity provider vouches for, before any role is assumed.
    WebIdentity,
}

/// What identifies a role: its path does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoleName<'a> {
    /// The ARN's partition.
    pub partition: &'a str,
    /// The role's account.
    pub account: &'a str,
    /// The last part of the role's path.
    pub name: &'a str,
}

/// How a `Principal` element means a principal, from weak to strong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PrincipalMatch {
    /// By account: delegates to that account's own policies.
    Account,
    /// A session by its role or user: limited by boundary and session policy.
    Session,
    /// By name, or as everybody.
    Direct,
}

impl PrincipalKind {
    /// The kind that a principal's text tells: by its ARN, or a provider, or a service's name.
    pub fn of(text: &str) -> Option<Self> {
        match Arn::parse(text) {
            Some(arn) => Self::of_arn(arn),
            None => {
                (text.contains('.') && !text.contains([':', '/', ' '])).then_some(Self::Service)
            }
        }
    }

    /// The kind that an ARN tells.
    pub fn of_arn(arn: Arn<'_>) -> Option<Self> {
        let resource = arn.resource();
        let (kind, rest) = resource.split_once('/').unwrap_or((resource, ""));
        match (arn.service(), kind, rest.is_empty()) {
            ("iam", "root", true) => Some(Self::Root),
            ("iam", "user", false) => Some(Self::User),
            ("iam", "role", false) => Some(Self::Role),
            ("iam", "oidc-provider" | "saml-provider", false) => Some(Self::WebIdentity),
            ("sts", "assumed-role", false) => Some(Self::AssumedRole),
            ("sts", "federated-user", false) => Some(Self::FederatedUser),
            _ => None,
        }
    }

    /// The spelling in scenarios.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Anonymous => "anonymous",
            Self::AssumedRole => "assumed-role",
            Self::FederatedUser => "federated-user",
            Self::Role => "role",
            Self::Root => "root",
            Self::Service => "service",
            Self::User => "user",
            Self::WebIdentity => "web-identity",
        }
    }
}

impl<'a> Principal<'a> {
    /// Nobody in particular.
    pub const ANONYMOUS: Self = Self {
        kind: PrincipalKind::Anonymous,
        text: "",
        account: None,
        role: None,
        service_linked: false,
    };

    /// A principal of a kind; its account is the ARN's unless given. `None` if the text is no
    /// principal of that kind.
    pub fn new(kind: PrincipalKind, text: &'a str, account: Option<&'a str>) -> Option<Self> {
        let plain = Self { kind, text, account: None, role: None, service_linked: false };
        match kind {
            PrincipalKind::Anonymous => Some(Self::ANONYMOUS),
            PrincipalKind::Service | PrincipalKind::WebIdentity => {
                (!text.is_empty()).then_some(plain)
            }
            PrincipalKind::Root
            | PrincipalKind::User
            | PrincipalKind::FederatedUser
            | PrincipalKind::Role
            | PrincipalKind::AssumedRole => {
                let arn = Arn::parse(text)?;
                let found = Self::of_arn(arn).filter(|found| found.kind == kind)?;
                Some(Self { account: account.or(found.account), ..found })
            }
        }
    }

    /// The user, role, session or root that an ARN names, in the ARN's account.
    pub fn of_arn(arn: Arn<'a>) -> Option<Self> {
        let kind = PrincipalKind::of_arn(arn).filter(|kind| kind.has_own_policies())?;
        let account = Some(arn.account()).filter(|text| !text.is_empty());
        let plain = Self { kind, text: arn.as_str(), account, role: None, service_linked: false };
        Some(plain.with_role(arn))
    }

    /// With the role behind it, of a role or a session of one.
    fn with_role(self, arn: Arn<'a>) -> Self {
        let (partition, account) = (arn.partition(), arn.account());
        let of = |name| Some(RoleName { partition, account, name });
        let (_, rest) = arn.resource().split_once('/').unwrap_or_default();
        match self.kind {
            PrincipalKind::Role => Self {
                role: of(last_part(rest)),
                service_linked: rest.starts_with(SERVICE_LINKED_PATH),
                ..self
            },
            PrincipalKind::AssumedRole => {
                let (name, _session) = rest.split_once('/').unwrap_or((rest, ""));
                Self { role: of(name), ..self }
            }
            PrincipalKind::Anonymous
            | PrincipalKind::FederatedUser
            | PrincipalKind::Root
            | PrincipalKind::Service
            | PrincipalKind::User
            | PrincipalKind::WebIdentity => self,
        }
    }
}

/// Whether a text in a `Principal` is what AWS leaves there of a deleted user or role: an id that
/// nobody has here (facts: iam.md section 2).
pub(crate) fn is_unique_id(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit();
    UNIQUE_ID_PREFIXES.iter().any(|prefix| text.starts_with(prefix))
        && UNIQUE_ID_BYTES_MIN <= text.len()
        && text.bytes().all(is_plain)
}

const UNIQUE_ID_PREFIXES: [&str; 5] = ["AIDA", "AROA", "AGPA", "AIPA", "ANPA"];

const UNIQUE_ID_BYTES_MIN: usize = 16;

/// The part after the last `/`.
pub(crate) fn last_part(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, last)| last)
}

/// The path of roles that services make for themselves.
pub(crate) const SERVICE_LINKED_PATH: &str = "aws-service-role/";
