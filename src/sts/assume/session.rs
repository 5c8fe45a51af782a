//! The identity of a session that begins: its role's account and permissions, and who is behind it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::event::AssumeReason;
use crate::iam::{AccountId, Arn, Identity, IdentityKind, Session};
use crate::policy::set::PrincipalEntry;
use crate::sts::assume::parameters::{CHAINED_SECONDS_MAX, Chaining, Checked, too_large};
use crate::sts::assume::{Asked, Attempt, Grant, Refusal};
use crate::token::{session_arn, session_claims};

/// What a session is of.
pub(super) struct Place<'a> {
    pub(super) account: AccountId,
    pub(super) entry: &'a PrincipalEntry,
    /// The role's ARN.
    pub(super) arn: Arn<'a>,
    /// The session's id in events: the role's ARN, or the profile's id.
    pub(super) id: &'a str,
    pub(super) name: &'a str,
    /// Whose word began the session, of a web identity.
    pub(super) federated_provider: Option<&'a str>,
}

/// A session that begins.
pub(super) struct Begun {
    identity: Identity,
    duration_seconds: u32,
    role_id: Box<str>,
}

impl Begun {
    pub(super) fn granted(self, reason: AssumeReason, asked: Asked) -> Grant {
        let Self { identity, duration_seconds, role_id } = self;
        Grant { identity, duration_seconds, role_id, asked, reason }
    }
}

/// Makes a session, if its role allows its length and its account has its policies. Only who may
/// assume the role is told of either.
pub(super) fn begin(
    attempt: &Attempt<'_>,
    checked: &Checked,
    place: &Place<'_>,
) -> Result<Begun, Refusal> {
    check_managed(attempt, checked, place)?;
    let duration_seconds = duration(attempt, checked, place)?;
    let caller = attempt.caller.identity;
    let now = attempt.circumstances.now.seconds();
    let principal = session_arn(place.arn, &checked.session_name);
    let tags = checked.inherited.iter().chain(&checked.tags);
    let transitive: BTreeSet<_> =
        checked.inherited.keys().chain(&checked.transitive).cloned().collect();
    let identity = Identity {
        account: Some(place.account),
        identity_type: caller.identity_type,
        kind: IdentityKind::Profile,
        id: place.id.into(),
        name: place.name.into(),
        authn_id: caller.authn_id.clone(),
        authn_name: caller.authn_name.clone(),
        issuer: attempt.rules.issuer.clone(),
        subject: if place.entry.profile.is_some() {
            place.id.into()
        } else {
            principal.as_str().into()
        },
        principal: principal.into(),
        session_tags: tags.map(|(key, value)| (key.clone(), value.clone())).collect(),
        // A session's permissions ask for no second factor: its trust policy did.
        mfa: Some(false),
        authenticated_at: None,
        issued_at: Some(now),
        not_before: None,
        expires_at: now.plus(Duration::from_secs(u64::from(duration_seconds))),
        session: Some(Arc::new(Session {
            id: attempt.circumstances.id,
            role: place.arn.as_str().into(),
            name: checked.session_name.clone(),
            transitive_tags: transitive,
            source_identity: checked.source_identity_of_session().map(Into::into),
            chained: checked.chaining == Chaining::Chained,
            federated_provider: place.federated_provider.map(Into::into),
            policies: checked.policies.clone(),
        })),
    };
    check_size(attempt, &identity)?;
    Ok(Begun { identity, duration_seconds, role_id: place.entry.id.clone() })
}

/// A session policy is one of the role's account.
fn check_managed(
    attempt: &Attempt<'_>,
    checked: &Checked,
    place: &Place<'_>,
) -> Result<(), Refusal> {
    let Some(policies) = &checked.policies else { return Ok(()) };
    let sets = attempt.snapshot.policies.as_ref();
    let account = sets.and_then(|sets| sets.enforced.accounts.get(&place.account));
    let is_known = |arn: &str| account.is_some_and(|account| account.managed(arn).is_some());
    if policies.managed.iter().all(|arn| is_known(arn)) {
        return Ok(());
    }
    let message = "`PolicyArns` has a policy that the role's account does not have";
    Err(Refusal::invalid(AssumeReason::InvalidRequest, message))
}

/// Quotes in policies and keys of transitive tags take more room in a token than they have
/// themselves, and names of logins are there too: what counts is the token.
fn check_size(attempt: &Attempt<'_>, identity: &Identity) -> Result<(), Refusal> {
    let bytes = session_claims(identity, attempt.rules).map_or(0, |claims| claims.len());
    if bytes <= CLAIMS_BYTES_MAX {
        return Ok(());
    }
    Err(too_large(format!(
        "with policies and tags the session's token has {bytes} bytes; the most are \
         {CLAIMS_BYTES_MAX}"
    )))
}

/// As many are 6,827 characters of a token, so that it stays below the 8 KiB that upstreams usually
/// take as a header, with its header and the signature of an RSA key of 4,096 bits.
const CLAIMS_BYTES_MAX: usize = 5 << 10;

fn duration(attempt: &Attempt<'_>, checked: &Checked, place: &Place<'_>) -> Result<u32, Refusal> {
    let seconds = |duration: Duration| u32::try_from(duration.as_secs()).unwrap_or(u32::MAX);
    let most = seconds(attempt.rules.duration_max);
    let most = place.entry.session_seconds_max.map_or(most, |own| own.min(most));
    let Some(wanted) = checked.duration_seconds else {
        let most = match checked.chaining {
            Chaining::Chained => most.min(CHAINED_SECONDS_MAX),
            Chaining::First => most,
        };
        return Ok(seconds(attempt.rules.duration_default).min(most));
    };
    if most < wanted {
        let message = format!("`DurationSeconds` is at most {most} for this role, not {wanted}");
        return Err(Refusal::invalid(AssumeReason::InvalidDuration, message));
    }
    Ok(wanted)
}
