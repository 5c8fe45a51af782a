//! The decision: where the layers meet. Pure; every part of it comes from one snapshot.

use crate::iam::{AuthzRequest, Identity};
use crate::perimeter::{self, PerimeterVerdicts};
use crate::route::Route;
use crate::snapshot::Snapshot;
use crate::verdict::Layer;

/// What all layers say to one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Evaluation {
    /// The account check; `None` for the owner's own identities.
    pub perimeter: Option<PerimeterVerdicts>,
}

/// Proof that a request may be forwarded. Only a decision makes one, and forwarding consumes it.
#[derive(Debug)]
#[must_use]
pub struct Permit(());

/// Decides a request. No I/O, no clock, no lock, no allocation.
pub fn decide(snapshot: &Snapshot, identity: &Identity, request: &AuthzRequest<'_>) -> Evaluation {
    Evaluation { perimeter: perimeter::check(&snapshot.settings, request.owner, identity) }
}

impl Evaluation {
    /// The permit, if nothing that is enforced denies the request.
    ///
    /// # Errors
    /// The first layer that denies it.
    pub fn permit(&self) -> Result<Permit, Layer> {
        match self.perimeter {
            Some(verdicts) if verdicts.enforced.rejects() => Err(Layer::Perimeter),
            Some(_) | None => Ok(Permit(())),
        }
    }
}

/// The permit of a public route, which asks no question; `None` for a protected one.
pub fn permit_public(route: &Route) -> Option<Permit> {
    route.question.is_none().then_some(Permit(()))
}
