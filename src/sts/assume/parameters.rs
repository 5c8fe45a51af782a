//! What is asked for, and whether it has the form and size that it must (facts: iam.md section 5.1).
//!
//! Looks nothing up: what it refuses tells nothing of roles.

use std::collections::{BTreeMap, BTreeSet};

use crate::event::AssumeReason;
use crate::iam::{Arn, Identity, IdentityKind, InlinePolicy, Session, SessionPolicies};
use crate::policy::request_context::tag_key;
use crate::policy::{PrincipalKind, SESSION_MANAGED_MAX, session_policy};
use crate::sts::assume::{AssumeError, Refusal};
use crate::sts::rules::StsRules;

/// What is asked for, in no protocol's words. Shapes are not yet checked.
#[derive(Clone, Default)]
pub struct AssumeParameters {
    /// The name of the session; `None`: one made from the caller.
    pub session_name: Option<Box<str>>,
    /// The external ID.
    pub external_id: Option<Box<str>>,
    /// How long, in seconds.
    pub duration_seconds: Option<u32>,
    /// A session policy, as JSON text.
    pub policy: Option<Box<str>>,
    /// ARNs of managed policies as session policies.
    pub policy_arns: Vec<Box<str>>,
    /// Session tags.
    pub tags: Vec<(Box<str>, Box<str>)>,
    /// The keys of tags that go on to further sessions.
    pub transitive_tag_keys: Vec<Box<str>>,
    /// Who is behind the session.
    pub source_identity: Option<Box<str>>,
}

/// An external ID is told nowhere.
impl std::fmt::Debug for AssumeParameters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AssumeParameters")
            .field("session_name", &self.session_name)
            .field("has_external_id", &self.external_id.is_some())
            .field("duration_seconds", &self.duration_seconds)
            .finish_non_exhaustive()
    }
}

/// Whether a session of a role asks as what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Chaining {
    /// A login asks, or somebody whom an issuer vouches for.
    First,
    /// A session of a role or profile asks.
    Chained,
}

impl Chaining {
    /// Of a caller that asks as the principal of its token.
    pub(super) fn of(caller: &Identity) -> Self {
        let kind = PrincipalKind::of(&caller.principal);
        // A role's ARN as a principal means some session of it.
        let is_session = caller.kind == IdentityKind::Profile
            || matches!(kind, Some(PrincipalKind::AssumedRole | PrincipalKind::Role));
        if is_session { Self::Chained } else { Self::First }
    }
}

/// Parameters of good form, with what the caller's own session hands on.
pub(super) struct Checked {
    pub(super) session_name: Box<str>,
    pub(super) external_id: Option<Box<str>>,
    /// Within all limits that do not depend on the role.
    pub(super) duration_seconds: Option<u32>,
    pub(super) chaining: Chaining,
    pub(super) policies: Option<SessionPolicies>,
    /// Those that the call passes.
    pub(super) tags: BTreeMap<Box<str>, Box<str>>,
    /// The keys of `tags`, for conditions.
    pub(super) tag_keys: Box<[Box<str>]>,
    /// Keys of `tags` that go on.
    pub(super) transitive: Box<[Box<str>]>,
    /// Tags that the caller's session hands on.
    pub(super) inherited: BTreeMap<Box<str>, Box<str>>,
    /// What the call passes.
    pub(super) source_identity: Option<Box<str>>,
    /// What the caller's session hands on.
    pub(super) inherited_source_identity: Option<Box<str>>,
}

impl Checked {
    /// The session's source identity: one that is set stays.
    pub(super) fn source_identity_of_session(&self) -> Option<&str> {
        self.source_identity.as_deref().or(self.inherited_source_identity.as_deref())
    }
}

/// Checks what a caller asks for.
pub(super) fn check(
    parameters: &AssumeParameters,
    caller: &Identity,
    chaining: Chaining,
    rules: &StsRules,
) -> Result<Checked, Refusal> {
    let session = caller.session.as_deref();
    let malformed = |problem| Refusal::invalid(AssumeReason::InvalidRequest, problem);
    let session_name = match &parameters.session_name {
        Some(name) => {
            check_text("RoleSessionName", name, NAME_CHARS, is_name).map_err(malformed)?;
            name.clone()
        }
        None => name_of(caller),
    };
    if let Some(external_id) = &parameters.external_id {
        check_text("ExternalId", external_id, EXTERNAL_ID_CHARS, is_external_id)
            .map_err(malformed)?;
    }
    let duration_seconds = parameters.duration_seconds;
    check_duration(duration_seconds, chaining, rules)?;
    let inherited = inherited_tags(caller, session);
    let tags = check_tags(&parameters.tags, &inherited)?;
    let transitive = check_transitive(&parameters.transitive_tag_keys, &tags)?;
    let inherited_source_identity = session.and_then(|session| session.source_identity.clone());
    check_source_identity(parameters, inherited_source_identity.as_deref())?;
    let checked = Checked {
        session_name,
        external_id: parameters.external_id.clone(),
        duration_seconds,
        chaining,
        policies: check_policies(parameters)?,
        tag_keys: tags.keys().cloned().collect(),
        tags,
        transitive,
        inherited,
        source_identity: parameters.source_identity.clone(),
        inherited_source_identity,
    };
    let packed = packed_bytes(checked.policies.as_ref(), &checked.tags, &checked.inherited);
    if PACKED_BYTES_MAX < packed {
        return Err(too_large(format!(
            "policies and tags have {packed} bytes together; the most are {PACKED_BYTES_MAX}"
        )));
    }
    Ok(checked)
}

/// How much of the room for policies and tags a session uses, in percent.
pub fn packed_percent(session: &Identity) -> usize {
    let none = BTreeMap::new();
    packed_bytes(session.session_policies(), &session.session_tags, &none) * 100 / PACKED_BYTES_MAX
}

fn packed_bytes(
    policies: Option<&SessionPolicies>,
    tags: &BTreeMap<Box<str>, Box<str>>,
    inherited: &BTreeMap<Box<str>, Box<str>>,
) -> usize {
    let inline = policies.and_then(|it| it.inline.as_ref()).map_or(0, |it| it.text.len());
    let managed = policies.map_or(0, |it| it.managed.iter().map(|arn| arn.len()).sum::<usize>());
    let tags = tags.iter().chain(inherited).map(|(key, value)| key.len() + value.len());
    inline + managed + tags.sum::<usize>()
}

fn check_text(
    name: &str,
    text: &str,
    (least, most): (usize, usize),
    is_allowed: fn(char) -> bool,
) -> Result<(), String> {
    let chars = text.chars().count();
    if chars < least || most < chars {
        Err(format!("`{name}` has {least} to {most} characters, not {chars}"))
    } else if text.chars().all(is_allowed) {
        Ok(())
    } else {
        Err(format!("`{name}` has a character that it must not have"))
    }
}

/// Wrong durations are errors, never cut.
fn check_duration(
    seconds: Option<u32>,
    chaining: Chaining,
    rules: &StsRules,
) -> Result<(), Refusal> {
    let Some(seconds) = seconds else { return Ok(()) };
    let most = u32::try_from(rules.duration_max.as_secs()).unwrap_or(u32::MAX);
    let problem = if seconds < DURATION_SECONDS_MIN || most < seconds {
        format!("`DurationSeconds` is from {DURATION_SECONDS_MIN} to {most}, not {seconds}")
    } else if chaining == Chaining::Chained && CHAINED_SECONDS_MAX < seconds {
        format!(
            "`DurationSeconds` is at most {CHAINED_SECONDS_MAX} where a session of a role asks, \
             not {seconds}"
        )
    } else {
        return Ok(());
    };
    Err(Refusal::invalid(AssumeReason::InvalidDuration, problem))
}

/// Tags that the caller's session hands on.
fn inherited_tags(caller: &Identity, session: Option<&Session>) -> BTreeMap<Box<str>, Box<str>> {
    let Some(session) = session else { return BTreeMap::new() };
    let tags = caller.session_tags.iter();
    let handed_on = tags.filter(|(key, _)| session.transitive_tags.contains(*key));
    handed_on.map(|(key, value)| (key.clone(), value.clone())).collect()
}

fn check_tags(
    tags: &[(Box<str>, Box<str>)],
    inherited: &BTreeMap<Box<str>, Box<str>>,
) -> Result<BTreeMap<Box<str>, Box<str>>, Refusal> {
    let refuse = |message: String| Err(Refusal::invalid(AssumeReason::InvalidTags, message));
    if TAGS_MAX < tags.len() + inherited.len() {
        return refuse(format!("a session has at most {TAGS_MAX} tags"));
    }
    let handed_on: BTreeSet<String> = inherited.keys().map(|key| tag_key(key)).collect();
    let mut seen = BTreeSet::new();
    for (key, value) in tags {
        let (key_chars, value_chars) = (key.chars().count(), value.chars().count());
        if key_chars == 0 || TAG_KEY_CHARS_MAX < key_chars {
            return refuse(format!("a tag's key has 1 to {TAG_KEY_CHARS_MAX} characters"));
        }
        if TAG_VALUE_CHARS_MAX < value_chars {
            return refuse(format!("a tag's value has at most {TAG_VALUE_CHARS_MAX} characters"));
        }
        if !key.chars().chain(value.chars()).all(is_tag) {
            return refuse("a tag has a character that it must not have".to_owned());
        }
        let compared = tag_key(key);
        if compared.starts_with("aws:") {
            return refuse("a tag's key does not start with `aws:`".to_owned());
        }
        if handed_on.contains(&compared) {
            return refuse("the calling session hands on a tag of this key for good".to_owned());
        }
        if !seen.insert(compared) {
            return refuse("two tags have the same key; keys have no letter case".to_owned());
        }
    }
    Ok(tags.iter().cloned().collect())
}

/// The tags' own keys, whatever letter case they were named in.
fn check_transitive(
    keys: &[Box<str>],
    tags: &BTreeMap<Box<str>, Box<str>>,
) -> Result<Box<[Box<str>]>, Refusal> {
    let mut own: BTreeSet<Box<str>> = BTreeSet::new();
    for wanted in keys {
        let compared = tag_key(wanted);
        let Some(key) = tags.keys().find(|key| tag_key(key) == compared) else {
            let message = "a transitive tag is one of the tags that the call passes";
            return Err(Refusal::invalid(AssumeReason::InvalidTags, message));
        };
        own.insert(key.clone());
    }
    Ok(own.into_iter().collect())
}

fn check_source_identity(
    parameters: &AssumeParameters,
    inherited: Option<&str>,
) -> Result<(), Refusal> {
    let Some(wanted) = parameters.source_identity.as_deref() else { return Ok(()) };
    let refuse = |message| Refusal::invalid(AssumeReason::InvalidSourceIdentity, message);
    // `aws:` is no start of one: no colon is in any.
    check_text("SourceIdentity", wanted, NAME_CHARS, is_name).map_err(refuse)?;
    if inherited.is_some_and(|own| own != wanted) {
        return Err(refuse("the source identity of the calling session stays".to_owned()));
    }
    Ok(())
}

fn check_policies(parameters: &AssumeParameters) -> Result<Option<SessionPolicies>, Refusal> {
    let managed = &parameters.policy_arns;
    if parameters.policy.is_none() && managed.is_empty() {
        return Ok(None);
    }
    if SESSION_MANAGED_MAX < managed.len() {
        let message = format!("a session has at most {SESSION_MANAGED_MAX} managed policies");
        return Err(Refusal::invalid(AssumeReason::InvalidRequest, message));
    }
    let is_policy = |arn: &str| {
        Arn::parse(arn)
            .is_some_and(|it| it.service() == "iam" && it.resource().starts_with("policy/"))
    };
    if !managed.iter().all(|arn| is_policy(arn)) {
        let message = "`PolicyArns` has what is no ARN of a managed policy";
        return Err(Refusal::invalid(AssumeReason::InvalidRequest, message));
    }
    let inline = parameters.policy.as_deref().map(inline).transpose()?;
    Ok(Some(SessionPolicies { inline, managed: managed.clone().into() }))
}

fn inline(text: &str) -> Result<InlinePolicy, Refusal> {
    let chars = text.chars().filter(|character| !character.is_whitespace()).count();
    if POLICY_CHARS_MAX < chars {
        return Err(too_large(format!(
            "`Policy` has {chars} characters without white space; the most are {POLICY_CHARS_MAX}"
        )));
    }
    if POLICY_BYTES_MAX < text.len() {
        return Err(too_large(format!(
            "`Policy` has {} bytes, white space included; the most are {POLICY_BYTES_MAX}",
            text.len()
        )));
    }
    session_policy(text).map_err(|findings| {
        let first = findings.first();
        let message = first.map_or_else(String::new, |it| {
            format!("`Policy`, at byte {}: {}", it.offset, it.message)
        });
        let error = AssumeError::MalformedPolicy(message.into());
        Refusal { error, reason: AssumeReason::MalformedPolicy }
    })
}

pub(super) fn too_large(message: String) -> Refusal {
    let error = AssumeError::PolicyTooLarge(message.into());
    Refusal { error, reason: AssumeReason::PolicyTooLarge }
}

/// A session's name made from the caller: what a name can't have becomes `-`.
fn name_of(caller: &Identity) -> Box<str> {
    let subject = if caller.subject.is_empty() { &caller.id } else { &caller.subject };
    let last = subject.rsplit_once('/').map_or(&**subject, |(_, last)| last);
    let fitting = |character| if is_name(character) { character } else { '-' };
    let mut name: String = last.chars().take(NAME_CHARS.1).map(fitting).collect();
    while name.chars().count() < NAME_CHARS.0 {
        name.push('-');
    }
    name.into()
}

/// `[\w+=,.@-]`
pub(super) fn is_name(character: char) -> bool {
    character.is_ascii_alphanumeric() || "_+=,.@-".contains(character)
}

/// `[\w+=,.@:/-]`
fn is_external_id(character: char) -> bool {
    is_name(character) || ":/".contains(character)
}

/// `[\p{L}\p{Z}\p{N}_.:/=+\-@]`
fn is_tag(character: char) -> bool {
    character.is_alphanumeric()
        || character == ' '
        || (character.is_whitespace() && !character.is_control())
        || "_.:/=+-@".contains(character)
}

const NAME_CHARS: (usize, usize) = (2, 64);
const EXTERNAL_ID_CHARS: (usize, usize) = (2, 1224);
const TAGS_MAX: usize = 50;
const TAG_KEY_CHARS_MAX: usize = 128;
const TAG_VALUE_CHARS_MAX: usize = 256;
const POLICY_CHARS_MAX: usize = 2048;

/// More is white space without end.
const POLICY_BYTES_MAX: usize = 16 << 10;

/// Policies, ARNs and tags of one session, before what else is in its token.
const PACKED_BYTES_MAX: usize = 4096;

const DURATION_SECONDS_MIN: u32 = 900;

/// The longest session that a session of a role may begin.
pub(super) const CHAINED_SECONDS_MAX: u32 = 3600;
