//! Trusted profiles: whom a profile trusts may begin a session of it (facts: ibm.md).

use serde_json::{Map, Value};

use crate::event::AssumeReason;
use crate::iam::{AccountId, Arn, IdentityKind};
use crate::policy::set::{PolicySet, PrincipalEntry, Profile, Trusted};
use crate::sts::assume::parameters::{AssumeParameters, Chaining, check};
use crate::sts::assume::session::{self, Begun, Place};
use crate::sts::assume::{Asked, Attempt, Caller, Grant, Refusal, Refused, Target};
use crate::token::{ClaimsMapping, KeySets, are_of_session};

/// Decides whether a session of a trusted profile may begin.
pub(super) fn assume(attempt: &Attempt<'_>, target: Target<'_>) -> Result<Grant, Box<Refused>> {
    let mut asked = Asked { role: as_asked(target).into(), ..Asked::default() };
    match decide(attempt, target, &mut asked) {
        Ok(begun) => Ok(begun.granted(AssumeReason::ProfileTrusts, asked)),
        Err(refusal) => Err(refusal.of(asked)),
    }
}

fn decide(attempt: &Attempt<'_>, target: Target<'_>, asked: &mut Asked) -> Result<Begun, Refusal> {
    let sets = attempt.snapshot.policies.as_ref();
    let found = sets.and_then(|sets| find(&sets.enforced, target));
    asked.owner = found.as_ref().map(|(account, ..)| *account).or(account_of(target));
    if let Some((_, entry, _)) = &found {
        asked.role = entry.arn.clone();
    }
    let Caller { identity, .. } = *attempt.caller;
    check_untagged(attempt.parameters)?;
    // A session of a profile is named by the login behind it.
    let parameters = AssumeParameters { session_name: None, ..attempt.parameters.clone() };
    let mut checked = check(&parameters, identity, Chaining::of(identity), attempt.rules)?;
    checked.session_name = identity.authn_id.clone();
    asked.session_name = checked.session_name.clone();
    let Some((account, entry, profile)) = found else {
        return Err(Refusal::denied(AssumeReason::UnknownRole));
    };
    let issuers = &attempt.snapshot.key_sets;
    if !profile.trusted.iter().any(|trusted| trusted.is(attempt.caller, issuers)) {
        return Err(Refusal::denied(AssumeReason::ProfileDoesNotTrust));
    }
    let arn = Arn::parse(&entry.arn).ok_or(Refusal::denied(AssumeReason::UnknownRole))?;
    let id = format!("iam-{}", entry.id);
    let place =
        Place { account, entry, arn, id: &id, name: &profile.name, federated_provider: None };
    session::begin(attempt, &checked, &place)
}

/// A profile has no policy that could permit them, so nobody may pass them.
fn check_untagged(parameters: &AssumeParameters) -> Result<(), Refusal> {
    let AssumeParameters { tags, transitive_tag_keys, source_identity, .. } = parameters;
    if !tags.is_empty() || !transitive_tag_keys.is_empty() {
        let message = "a session of a trusted profile is passed no tags";
        return Err(Refusal::invalid(AssumeReason::InvalidTags, message));
    }
    if source_identity.is_some() {
        let message = "a session of a trusted profile is passed no source identity";
        return Err(Refusal::invalid(AssumeReason::InvalidSourceIdentity, message));
    }
    Ok(())
}

type Found<'s> = (AccountId, &'s PrincipalEntry, &'s Profile);

fn find<'s>(set: &'s PolicySet, target: Target<'_>) -> Option<Found<'s>> {
    let (account, entry) = match target {
        Target::Role(_) => return None,
        Target::Profile(text) => match Crn::parse(text) {
            // Both must be right.
            Some(crn) => {
                set.profile(crn.id).filter(|(account, _)| account.as_str() == crn.account)?
            }
            None => set.profile(text.strip_prefix("iam-").unwrap_or(text))?,
        },
        Target::ProfileNamed { name, account } => {
            let account = AccountId::parse(account).ok()?;
            (account, &**set.accounts.get(&account)?.profile_named(name)?)
        }
    };
    Some((account, entry, entry.profile.as_deref()?))
}

impl Trusted {
    /// Whether this means a caller. Ids are IBM's, and of sessions: what another issuer calls its
    /// logins may be the same text. Claims are of logins: those of a session are in part what its
    /// caller asked for.
    fn is(&self, caller: &Caller<'_>, issuers: &KeySets) -> bool {
        let Caller { identity, claims, .. } = *caller;
        match self {
            Self::Login(id) => {
                let issuer = issuers.issuer(&identity.issuer);
                let has_ids = issuer.is_some_and(|issuer| match issuer.spec().claims {
                    ClaimsMapping::Ibm | ClaimsMapping::Session => true,
                    ClaimsMapping::Pointers(_) => false,
                });
                has_ids && *identity.id == **id
            }
            Self::Claims(pairs) => {
                identity.kind == IdentityKind::Login
                    && !are_of_session(claims)
                    && !pairs.is_empty()
                    && pairs.iter().all(|(pointer, value)| has(claims, pointer, value))
            }
        }
    }
}

/// Whether the claim at a JSON pointer (RFC 6901) has a value, or is a list with it.
fn has(claims: &Map<String, Value>, pointer: &str, wanted: &str) -> bool {
    let Some(pointer) = pointer.strip_prefix('/') else { return false };
    let mut tokens = pointer.split('/');
    let unescaped = |token: &str| token.replace("~1", "/").replace("~0", "~");
    let first = tokens.next().and_then(|token| claims.get(&unescaped(token)));
    let found =
        tokens.try_fold(first, |value, token| Some(value?.as_object()?.get(&unescaped(token))));
    let is = |value: &Value| match value {
        Value::String(text) => text == wanted,
        Value::Bool(truth) => wanted == if *truth { "true" } else { "false" },
        Value::Number(number) => *number.to_string() == *wanted,
        Value::Null | Value::Array(_) | Value::Object(_) => false,
    };
    match found.flatten() {
        Some(Value::Array(list)) => list.iter().any(is),
        Some(value) => is(value),
        None => false,
    }
}

/// A profile's CRN: `crn:v1:<cloud>:<type>:iam-identity:<place>:a/<account>::profile:<id>`.
struct Crn<'a> {
    account: &'a str,
    id: &'a str,
}

impl<'a> Crn<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let segments: Vec<&str> = text.splitn(11, ':').collect();
        let ["crn", "v1", _, _, "iam-identity", _, scope, "", "profile", id] = *segments else {
            return None;
        };
        Some(Self { account: scope.strip_prefix("a/")?, id })
    }
}

fn account_of(target: Target<'_>) -> Option<AccountId> {
    let account = match target {
        Target::Role(_) => None,
        Target::Profile(text) => Crn::parse(text).map(|crn| crn.account),
        Target::ProfileNamed { account, .. } => Some(account),
    };
    AccountId::parse(account?).ok()
}

fn as_asked(target: Target<'_>) -> &str {
    match target {
        Target::Role(text) | Target::Profile(text) => text,
        Target::ProfileNamed { name, .. } => name,
    }
}
