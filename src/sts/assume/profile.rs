//! Trusted profiles: whom a profile trusts may begin a session of it (facts: ibm.md).

use serde_json::{Map, Value};

use crate::event::AssumeReason;
use crate::iam::{AccountId, Arn, Identity};
use crate::policy::set::{PolicySet, PrincipalEntry, Profile, Trusted};
use crate::sts::assume::parameters::{AssumeParameters, check};
use crate::sts::assume::session::{self, Begun, Place};
use crate::sts::assume::{Asked, Attempt, Grant, Refusal, Refused, Target};

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
    let caller = attempt.caller;
    // A session of a profile is named by the login behind it.
    let parameters = AssumeParameters { session_name: None, ..attempt.parameters.clone() };
    let mut checked = check(&parameters, caller.identity, attempt.rules)?;
    checked.session_name = caller.identity.authn_id.clone();
    asked.session_name = checked.session_name.clone();
    let Some((account, entry, profile)) = found else {
        return Err(Refusal::denied(AssumeReason::UnknownRole));
    };
    if !profile.trusted.iter().any(|trusted| trusted.is(caller.identity, caller.claims)) {
        return Err(Refusal::denied(AssumeReason::ProfileDoesNotTrust));
    }
    let arn = Arn::parse(&entry.arn).ok_or(Refusal::denied(AssumeReason::UnknownRole))?;
    let id = format!("iam-{}", entry.id);
    let place =
        Place { account, entry, arn, id: &id, name: &profile.name, federated_provider: None };
    session::begin(attempt, &checked, &place)
}

type Found<'s> = (AccountId, &'s PrincipalEntry, &'s Profile);

fn find<'s>(set: &'s PolicySet, target: Target<'_>) -> Option<Found<'s>> {
    let (account, entry) = match target {
        Target::Role(_) => return None,
        Target::Profile(text) => {
            let (account, entry) = set.profile(id_of(text))?;
            // A CRN names an account too, and both must be right.
            let named = crn_account(text);
            if named.is_some_and(|named| named != account.as_str()) {
                return None;
            }
            (account, entry)
        }
        Target::ProfileNamed { name, account } => {
            let account = AccountId::parse(account).ok()?;
            (account, &**set.accounts.get(&account)?.profile_named(name)?)
        }
    };
    Some((account, entry, entry.profile.as_deref()?))
}

impl Trusted {
    /// Whether this means a caller.
    fn is(&self, identity: &Identity, claims: &Map<String, Value>) -> bool {
        match self {
            Self::Login(id) => *identity.id == **id,
            Self::Claims(pairs) => {
                !pairs.is_empty()
                    && pairs.iter().all(|(pointer, value)| has(claims, pointer, value))
            }
        }
    }
}

/// Whether the claim at a JSON pointer (RFC 6901) has a value, or is a list with it.
fn has(claims: &Map<String, Value>, pointer: &str, wanted: &str) -> bool {
    let mut tokens = pointer.split('/').skip(1);
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

/// The id in `Profile-…`, `iam-Profile-…` or a CRN that ends in one.
fn id_of(text: &str) -> &str {
    let last = text.rsplit_once(':').map_or(text, |(_, last)| last);
    last.strip_prefix("iam-").unwrap_or(last)
}

/// The account of a CRN: `crn:v1:<cloud>:<type>:iam-identity::a/<account>::profile:<id>`.
fn crn_account(text: &str) -> Option<&str> {
    text.strip_prefix("crn:")?.split(':').nth(5)?.strip_prefix("a/")
}

fn account_of(target: Target<'_>) -> Option<AccountId> {
    let account = match target {
        Target::Role(_) => None,
        Target::Profile(text) => crn_account(text),
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
