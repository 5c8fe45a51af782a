//! What a client asks of the token service, and what it gets, in no protocol's words.
//!
//! What is asked holds tokens and external IDs, so nothing here can be shown.

use std::borrow::Cow;
use std::sync::Arc;

use http::StatusCode;

use crate::clock::UnixMillis;
use crate::event::{AssumeReason, AssumeTarget, Door};
use crate::iam::Identity;
use crate::sts::assume::{AssumeError, AssumeParameters, Standing, Target};
use crate::token::TokenError;

/// One request at a door.
pub(super) enum Call {
    /// A session is asked for.
    Assume(Box<Attempt>),
    /// The bearer of a token asks who it is.
    Identify(Option<Box<str>>),
    /// The protocol knows no such request.
    Refused(Fault),
}

/// A session is asked for, as far as the request can be read.
pub(super) struct Attempt {
    /// By which protocol.
    pub(super) door: Door,
    /// Of what.
    pub(super) target: Option<AttemptTarget>,
    /// The caller's token.
    pub(super) token: Option<Box<str>>,
    /// How.
    pub(super) parameters: AssumeParameters,
    /// For whom the session's token shall be; empty: for all that are configured.
    pub(super) audiences: Vec<Box<str>>,
    /// As what it shall be given.
    pub(super) token_type: TokenType,
    /// What is wrong with the request.
    pub(super) fault: Option<Fault>,
}

/// What a session is asked of.
pub(super) enum AttemptTarget {
    /// A role, by its ARN.
    Role(Box<str>),
    /// A trusted profile, by its id or CRN.
    Profile(Box<str>),
    /// A trusted profile, by its name and account.
    ProfileNamed {
        name: Box<str>,
        /// `None`: that of the caller.
        account: Option<Box<str>>,
    },
}

/// What the session's token is called: it is both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum TokenType {
    #[default]
    AccessToken,
    Jwt,
}

/// What is wrong with a request, in the words of its protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) status: StatusCode,
    pub(super) code: &'static str,
    /// Repeats nothing of the request.
    pub(super) message: Cow<'static, str>,
}

/// A session that began, with all that any protocol tells of it.
pub(super) struct Granted {
    /// The session's token.
    pub(super) token: String,
    /// The session.
    pub(super) identity: Identity,
    /// How long it lasts.
    pub(super) duration_seconds: u32,
    /// The role's unique id; may be empty.
    pub(super) role_id: Box<str>,
    /// Who began it.
    pub(super) caller: Arc<Identity>,
    /// Whom the caller's token was for; may be empty.
    pub(super) caller_audience: Box<str>,
    /// What AWS's answers have besides a session token.
    pub(super) access_key: AccessKey,
    /// As what the token is asked for.
    pub(super) token_type: TokenType,
}

/// Who the bearer of a token is.
pub(super) struct Identified {
    pub(super) token: Box<str>,
    pub(super) identity: Arc<Identity>,
    /// That of the user or of the session's role.
    pub(super) unique_id: Box<str>,
    pub(super) now: UnixMillis,
}

/// An access key as AWS's clients want one beside a session token. It opens nothing.
pub(super) struct AccessKey {
    pub(super) id: String,
    pub(super) secret: String,
}

/// Why a client gets nothing; each protocol has its own word for each.
#[derive(Debug)]
pub(super) enum Refusal {
    /// No session of this role, for this caller, in this way.
    Assume(AssumeError),
    /// The token is not accepted.
    BadToken(TokenError),
    /// The issuer's keys were never loaded.
    KeysUnavailable,
    /// The request can't be read.
    Malformed(Fault),
    /// There is no token.
    NoToken,
    /// The token is that of a session which was ended.
    Revoked,
    /// The service can't sign, or can't record.
    Unavailable,
}

impl Attempt {
    /// An attempt of which nothing is known yet.
    pub(super) fn new(door: Door) -> Self {
        Self {
            door,
            target: None,
            token: None,
            parameters: AssumeParameters::default(),
            audiences: Vec::new(),
            token_type: TokenType::default(),
            fault: None,
        }
    }

    /// Notes what is wrong; the first counts.
    pub(super) fn blame(&mut self, fault: Fault) {
        self.fault.get_or_insert(fault);
    }

    /// What a session is asked of.
    pub(super) fn kind(&self) -> AssumeTarget {
        match self.door {
            Door::AwsQuery | Door::AwsWebIdentity | Door::TokenExchange => AssumeTarget::Role,
            Door::Ibm => AssumeTarget::Profile,
        }
    }

    /// As whom the caller asks.
    pub(super) fn standing(&self) -> Standing {
        match self.door {
            Door::AwsQuery | Door::Ibm => Standing::Principal,
            Door::AwsWebIdentity => Standing::WebIdentity,
            Door::TokenExchange => Standing::Either,
        }
    }
}

impl AttemptTarget {
    /// For the decision.
    pub(super) fn target<'a>(&'a self, caller_account: &'a str) -> Target<'a> {
        match self {
            Self::Role(arn) => Target::Role(arn),
            Self::Profile(id) => Target::Profile(id),
            Self::ProfileNamed { name, account } => {
                Target::ProfileNamed { name, account: account.as_deref().unwrap_or(caller_account) }
            }
        }
    }

    /// As asked, for events.
    pub(super) fn as_str(&self) -> &str {
        match self {
            Self::Role(text) | Self::Profile(text) | Self::ProfileNamed { name: text, .. } => text,
        }
    }
}

impl Refusal {
    /// Why, as events tell it, where the decision itself did not say so.
    pub(super) fn reason(&self) -> AssumeReason {
        match self {
            Self::Assume(AssumeError::Denied) => AssumeReason::PolicyImplicitDeny,
            Self::Assume(AssumeError::Invalid(_)) | Self::Malformed(_) => {
                AssumeReason::InvalidRequest
            }
            Self::Assume(AssumeError::MalformedPolicy(_)) => AssumeReason::MalformedPolicy,
            Self::Assume(AssumeError::PolicyTooLarge(_)) => AssumeReason::PolicyTooLarge,
            Self::BadToken(TokenError::Expired) => AssumeReason::ExpiredToken,
            Self::BadToken(_) => AssumeReason::InvalidToken,
            Self::KeysUnavailable => AssumeReason::KeysUnavailable,
            Self::NoToken => AssumeReason::NoToken,
            Self::Revoked => AssumeReason::RevokedSession,
            Self::Unavailable => AssumeReason::Unavailable,
        }
    }
}

impl From<TokenError> for Refusal {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::KeysUnavailable => Self::KeysUnavailable,
            error => Self::BadToken(error),
        }
    }
}

/// Reads a whole number of seconds; `None` is none.
pub(super) fn seconds(text: &str) -> Option<u32> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}
