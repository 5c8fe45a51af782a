//! The three protocols as one: who reads a request also writes its answer.

use http::{HeaderMap, StatusCode};
use uuid::Uuid;

use super::answer::{Answer, problem};
use super::call::{Call, Fault, Granted, Identified, Refusal};
use super::form::Form;
use super::{exchange, ibm, query};
use crate::event::Door;

/// A protocol of the token service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// AWS STS, query protocol.
    Aws,
    /// IBM's token endpoint.
    Ibm,
    /// OAuth 2.0 token exchange.
    OAuth,
}

impl Dialect {
    /// Reads a request.
    pub(super) fn read(self, form: &Form, headers: &HeaderMap) -> Call {
        match self {
            Self::Aws => query::read(form, headers),
            Self::Ibm => ibm::read(form),
            Self::OAuth => exchange::read(form),
        }
    }

    /// What is wrong with a request as HTTP.
    pub(super) fn unreadable(self, status: StatusCode, message: &'static str) -> Fault {
        match self {
            Self::Aws => query::unreadable(status, message),
            Self::Ibm => ibm::unreadable(status, message),
            Self::OAuth => exchange::unreadable(status, message),
        }
    }

    /// The session that began at one of its doors.
    pub(super) fn granted(self, granted: &Granted, door: Door, id: Uuid) -> Answer {
        match self {
            Self::Aws => query::granted(granted, door, id),
            Self::Ibm => ibm::granted(granted, id),
            Self::OAuth => exchange::granted(granted),
        }
    }

    /// Who the bearer of a token is.
    pub(super) fn identified(self, identified: &Identified, id: Uuid) -> Answer {
        match self {
            Self::Aws => query::identified(identified, id),
            Self::Ibm => ibm::identified(identified, id),
            // It has no such request.
            Self::OAuth => problem(StatusCode::NOT_FOUND, "not_found", "there is no such path", id),
        }
    }

    /// Nothing, and why; `door` is none where no session was asked for.
    pub(super) fn refused(self, refusal: &Refusal, door: Option<Door>, id: Uuid) -> Answer {
        match self {
            Self::Aws => query::refused(refusal, door, id),
            Self::Ibm => ibm::refused(refusal, door, id),
            Self::OAuth => exchange::refused(refusal),
        }
    }
}
