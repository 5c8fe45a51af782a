//! The form of actions and resources. What they match is left to their patterns.

use crate::policy::document::checker::Checker;
use crate::policy::document::{PolicyType, Text, Version};
use crate::policy::finding::shown;
use crate::policy::pattern::arn_parts;

impl Checker {
    /// An action is `*` or `service:Name`; wildcards are in the name only.
    pub(super) fn action_form(&mut self, action: &Text) {
        let text = &*action.text;
        let said = shown(text);
        if text == "*" {
            return self.trust_action(action, "*");
        }
        let Some((service, name)) = text.split_once(':').filter(|(service, _)| !service.is_empty())
        else {
            return self.error_hint(
                action,
                format!("the action {said} names no service"),
                "write `service:Name` as in `s3:GetObject`, or `*`",
            );
        };
        if name.contains(':') {
            let hint = if text.starts_with("arn:") {
                "this looks like a resource"
            } else {
                "write `service:Name` as in `s3:GetObject`"
            };
            return self.error_hint(action, format!("the action {said} has two `:`"), hint);
        }
        if service.contains(['*', '?']) {
            return self.error_hint(
                action,
                format!("the action {said} has a wildcard in its service"),
                "name the service; `*` alone means every action",
            );
        }
        if name.is_empty() {
            self.warn(
                action,
                format!("the action {said} matches nothing"),
                format!("write `{service}:*` for all actions of the service"),
            );
        } else if text.contains(char::is_whitespace) {
            self.warn(action, format!("the action {said} matches nothing"), "remove the space");
        } else if text.contains("${") {
            self.warn(
                action,
                format!("the action {said} matches nothing"),
                "policy variables are not replaced in actions",
            );
        }
        self.trust_action(action, service);
    }

    fn trust_action(&mut self, action: &Text, service: &str) {
        if self.policy_type == PolicyType::Trust && !service.eq_ignore_ascii_case("sts") {
            self.error_hint(
                action,
                format!("a trust policy is about actions of `sts`, not {}", shown(&action.text)),
                "as in `sts:AssumeRole`; `sts:*` means all of them",
            );
        }
    }

    /// A resource is `*` or an ARN of six parts; its service has no wildcard.
    pub(super) fn resource_form(&mut self, resource: &Text) {
        let text = &*resource.text;
        if text == "*" {
            return;
        }
        let said = shown(text);
        let variables = self.version == Version::V2012;
        let [partition, service, region, account, name] = match arn_parts(text, variables) {
            Ok(Some(["arn", rest @ ..])) => rest,
            Ok(_) => {
                return self.error_hint(
                    resource,
                    format!(
                        "the resource {said} is neither `*` nor of the form \
                         `arn:partition:service:region:account:resource`"
                    ),
                    hint_for(text),
                );
            }
            Err(error) => {
                return self.error_hint(
                    resource,
                    format!("the resource {said} can't be read: {error}"),
                    "write `${key}` or `${key, 'default'}`; a plain `$` is `${$}`",
                );
            }
        };
        if service.contains(['*', '?']) {
            self.error_hint(
                resource,
                format!("the resource {said} has a wildcard in its service"),
                "name the service; `*` alone means every resource",
            );
        } else if [partition, service, name].contains(&"") {
            self.warn(
                resource,
                format!("the resource {said} matches nothing"),
                "partition, service and resource are never empty",
            );
        }
        let mut head = [partition, service, region, account].into_iter();
        if variables && head.any(|part| part.contains("${")) {
            self.warn(
                resource,
                format!("the resource {said} has a policy variable before its fifth `:`"),
                "there it is plain text; use `*` and a condition",
            );
        }
    }
}

fn hint_for(resource: &str) -> String {
    if resource.starts_with("arn:") {
        let parts = resource.split(':').count();
        format!("it has {parts} of six parts; an empty part keeps its `:`")
    } else {
        "write `*` for every resource".to_owned()
    }
}
