//! Parameters of the query protocol: each at most once, lists with all their numbers, nothing that the
//! action does not have. What is left unread could be what was meant to limit a session.

use std::collections::BTreeMap;

use super::{fault, invalid};
use crate::event::Door;
use crate::policy::SESSION_MANAGED_MAX;
use crate::sts::door::call::{Attempt, AttemptTarget, Fault, seconds};
use crate::sts::door::form::Form;

/// Reads an attempt; what is wrong with it is noted in it.
pub(super) fn read(form: &Form, door: Door) -> Attempt {
    let mut reading = Reading {
        attempt: Attempt::new(door),
        tag_keys: Members::default(),
        tag_values: Members::default(),
        transitive: Members::default(),
        policies: Members::default(),
    };
    if form.repeats(&[]) {
        reading.attempt.blame(invalid("a parameter comes more than once"));
    }
    if let Err(fault) = check_version(form) {
        reading.attempt.blame(fault);
    }
    for (name, value) in form.fields() {
        if let Err(fault) = reading.take(name, value) {
            reading.attempt.blame(fault);
        }
    }
    reading.finish()
}

/// Checks the parameters of an action that has none.
pub(super) fn check_none(form: &Form) -> Result<(), Fault> {
    check_version(form)?;
    if form.fields().all(|(name, _)| matches!(name, "Action" | "Version")) {
        return Ok(());
    }
    Err(invalid("the action has no parameters"))
}

fn check_version(form: &Form) -> Result<(), Fault> {
    match form.one("Version") {
        Ok(Some(VERSION)) => Ok(()),
        Ok(Some(_)) => Err(fault("InvalidAction", "the Version is 2011-06-15")),
        Ok(None) => Err(invalid("Version is missing; it is 2011-06-15")),
        Err(_) => Err(invalid("Version comes more than once")),
    }
}

struct Reading<'f> {
    attempt: Attempt,
    tag_keys: Members<'f>,
    tag_values: Members<'f>,
    transitive: Members<'f>,
    policies: Members<'f>,
}

/// The members of a list by their numbers.
#[derive(Default)]
struct Members<'f>(BTreeMap<usize, &'f str>);

impl<'f> Reading<'f> {
    fn take(&mut self, name: &str, value: &'f str) -> Result<(), Fault> {
        let Attempt { parameters, target, token, door, .. } = &mut self.attempt;
        let by_token = *door == Door::AwsWebIdentity;
        let whole = || Some(value.into());
        match name {
            "Action" | "Version" => {}
            "RoleArn" => *target = Some(AttemptTarget::Role(value.into())),
            "RoleSessionName" => parameters.session_name = whole(),
            "Policy" => parameters.policy = whole(),
            "DurationSeconds" => {
                let duration = seconds(value).ok_or(invalid("DurationSeconds is no number"))?;
                parameters.duration_seconds = Some(duration);
            }
            // An empty list is written as its name.
            "PolicyArns" if value.is_empty() => {}
            _ if name.starts_with("PolicyArns.") => {
                let number = name.strip_prefix("PolicyArns.member.");
                let number = number.and_then(|rest| rest.strip_suffix(".arn"));
                self.policies.take(number, value, SESSION_MANAGED_MAX, "PolicyArns")?;
            }
            "WebIdentityToken" if by_token => *token = whole(),
            "ExternalId" => {
                parameters.external_id = whole();
                only_by_principal(by_token)?;
            }
            "SourceIdentity" => {
                parameters.source_identity = whole();
                only_by_principal(by_token)?;
            }
            "SerialNumber" | "TokenCode" => return Err(invalid(MFA)),
            "Tags" | "TransitiveTagKeys" if value.is_empty() && !by_token => {}
            _ if name.starts_with("Tags.") && !by_token => {
                let rest = name.strip_prefix("Tags.member.").and_then(|rest| rest.split_once('.'));
                match rest {
                    Some((number, "Key")) => {
                        self.tag_keys.take(Some(number), value, TAGS_MAX, "Tags")?;
                    }
                    Some((number, "Value")) => {
                        self.tag_values.take(Some(number), value, TAGS_MAX, "Tags")?;
                    }
                    Some(_) | None => return Err(invalid(NOT_OF_ACTION)),
                }
            }
            _ if name.starts_with("TransitiveTagKeys.") && !by_token => {
                let number = name.strip_prefix("TransitiveTagKeys.member.");
                self.transitive.take(number, value, TAGS_MAX, "TransitiveTagKeys")?;
            }
            _ => return Err(invalid(NOT_OF_ACTION)),
        }
        Ok(())
    }

    fn finish(mut self) -> Attempt {
        let Self { tag_keys, tag_values, transitive, policies, .. } = &self;
        let lists =
            [(tag_keys, "Tags"), (transitive, "TransitiveTagKeys"), (policies, "PolicyArns")];
        let gap = lists.into_iter().find(|(list, _)| !list.is_whole());
        let pairs = tag_keys.0.keys().eq(tag_values.0.keys());
        if let Some((_, name)) = gap {
            self.attempt.blame(invalid(format!("the members of {name} are not numbered from 1")));
        } else if !pairs {
            self.attempt.blame(invalid("each of Tags has a Key and a Value"));
        }
        let parameters = &mut self.attempt.parameters;
        let values = self.tag_values.0.into_values();
        let pairs = self.tag_keys.0.into_values().zip(values);
        parameters.tags = pairs.map(|(key, value)| (key.into(), value.into())).collect();
        parameters.transitive_tag_keys = self.transitive.into_values();
        parameters.policy_arns = self.policies.into_values();
        if self.attempt.target.is_none() {
            self.attempt.blame(invalid("RoleArn is missing"));
        }
        if self.attempt.parameters.session_name.is_none() {
            self.attempt.blame(invalid("RoleSessionName is missing"));
        }
        self.attempt
    }
}

impl<'f> Members<'f> {
    fn take(
        &mut self,
        number: Option<&str>,
        value: &'f str,
        max: usize,
        list: &'static str,
    ) -> Result<(), Fault> {
        let number = number.filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
        let number = number.filter(|text| !text.starts_with('0'));
        let number: Option<usize> = number.and_then(|text| text.parse().ok());
        let number = number.ok_or_else(|| invalid(NOT_OF_ACTION))?;
        if max < number {
            return Err(invalid(format!("{list} has more than {max} members")));
        }
        self.0.insert(number, value);
        Ok(())
    }

    /// Whether no number is left out. There is none below 1.
    fn is_whole(&self) -> bool {
        self.0.last_key_value().is_none_or(|(last, _)| *last == self.0.len())
    }

    fn into_values(self) -> Vec<Box<str>> {
        self.0.into_values().map(Into::into).collect()
    }
}

/// A web identity brings what AWS lets it bring in its token.
fn only_by_principal(by_token: bool) -> Result<(), Fault> {
    if by_token { Err(invalid(NOT_OF_ACTION)) } else { Ok(()) }
}

const VERSION: &str = "2011-06-15";

/// Session tags, and keys of transitive ones (facts: iam.md section 5.1).
const TAGS_MAX: usize = 50;

const NOT_OF_ACTION: &str = "the request has a parameter that the action does not have";

/// What a client types in proves nothing here, so it must not look as if it did.
const MFA: &str = "SerialNumber and TokenCode are not taken: the caller's token tells of MFA";
