//! `Principal` and `NotPrincipal` (facts: IAM's principal element).

use crate::iam::{AccountId, Arn};
use crate::policy::document::checker::{At, Checker, text_of};
use crate::policy::document::rules::Presence;
use crate::policy::document::{
    EntryKind, Negated, PolicyType, PrincipalElement, PrincipalEntry, Text,
};
use crate::policy::finding::{meant, shown};
use crate::policy::json::{Json, Member, Node};
use crate::policy::principal::is_unique_id;
use crate::policy::principal::last_part;

use super::statements::find;

impl Checker {
    pub(super) fn principal(
        &mut self,
        node: &Node,
        members: &[Member],
    ) -> Option<PrincipalElement> {
        let names = ["Principal", "NotPrincipal"];
        if self.policy_type.principal() == Presence::Forbidden {
            self.forbids(members, names, "it is about whom it is attached to");
            return None;
        }
        if !self.policy_type.has_not_principal() {
            return self.plain_principal(node, members);
        }
        let Some((member, negated)) = self.either(members, names) else {
            self.require(node, members, names);
            return None;
        };
        Some(self.element_of(member, negated))
    }

    /// `Principal` where `NotPrincipal` is forbidden.
    fn plain_principal(&mut self, node: &Node, members: &[Member]) -> Option<PrincipalElement> {
        let noun = self.policy_type.noun();
        if let Some(member) = find(members, "NotPrincipal") {
            self.error_hint(
                member,
                format!("{noun} has no `NotPrincipal`"),
                "list principals under `Principal`",
            );
        }
        let Some(member) = find(members, "Principal") else {
            self.error(
                At::start_of(node),
                format!("the statement has no `Principal`, which {noun} needs"),
            );
            return None;
        };
        if self.policy_type == PolicyType::Rcp && member.node.as_text() != Some("*") {
            self.error_hint(
                &member.node,
                "the `Principal` of an RCP is `\"*\"`",
                "narrow it with a condition on `aws:PrincipalArn` or `aws:PrincipalAccount`",
            );
            return None;
        }
        Some(self.element_of(member, Negated::No))
    }

    fn element_of(&mut self, member: &Member, negated: Negated) -> PrincipalElement {
        let (name, node) = (&member.name, &member.node);
        let entries = match &node.value {
            Json::Text(text) if &**text == "*" => {
                if negated == Negated::Yes {
                    self.warn(
                        node,
                        "`NotPrincipal` with `*` means nobody",
                        "name those whom the statement spares",
                    );
                }
                vec![PrincipalEntry { kind: EntryKind::Everyone, value: text_of(node, text) }]
            }
            Json::Object(kinds) => {
                if kinds.is_empty() {
                    self.error_hint(
                        node,
                        format!("`{name}` is empty"),
                        "name somebody as in `{ \"AWS\": \"111111111111\" }`",
                    );
                }
                kinds.iter().flat_map(|kind| self.entries(kind)).collect()
            }
            Json::Text(text) => {
                self.error_hint(
                    node,
                    format!("`{name}` is `\"*\"` or an object, not {}", shown(text)),
                    format!("write `{{ \"AWS\": {} }}`", shown(text).replace('`', "\"")),
                );
                Vec::new()
            }
            Json::Null | Json::Bool(_) | Json::Number(_) | Json::List(_) => {
                let kind = node.value.kind();
                self.error(node, format!("`{name}` is `\"*\"` or an object, and this is {kind}"));
                Vec::new()
            }
        };
        PrincipalElement { negated, offset: member.offset, entries }
    }

    fn entries(&mut self, member: &Member) -> Vec<PrincipalEntry> {
        let kind = match &*member.name {
            "AWS" => EntryKind::Aws,
            "CanonicalUser" => EntryKind::CanonicalUser,
            "Federated" => EntryKind::Federated,
            "Service" => EntryKind::Service,
            other => {
                self.error_hint(
                    member,
                    format!("the kind of principal {} is unknown", shown(other)),
                    meant(other, &["AWS", "CanonicalUser", "Federated", "Service"]),
                );
                return Vec::new();
            }
        };
        let values = self.texts(member);
        for value in &values {
            self.entry(kind, value);
        }
        values.into_iter().map(|value| PrincipalEntry { kind, value }).collect()
    }

    fn entry(&mut self, kind: EntryKind, value: &Text) {
        let (text, said) = (&*value.text, shown(&value.text));
        if kind == EntryKind::Aws && text == "*" {
            return;
        }
        if text.is_empty() {
            return self.error(value, "the principal is empty");
        }
        if text.contains(['*', '?']) {
            let hint = if kind == EntryKind::Aws {
                "principals are named whole; use `\"*\"` and a condition on `aws:PrincipalArn`"
            } else {
                "name each of them whole"
            };
            return self.error_hint(value, format!("the principal {said} has a wildcard"), hint);
        }
        if text.contains("${") {
            return self.error_hint(
                value,
                format!("the principal {said} has a policy variable"),
                "variables are not replaced here; use `\"*\"` and a condition",
            );
        }
        match kind {
            EntryKind::Aws => self.aws(value),
            EntryKind::Service => self.service(value),
            EntryKind::Federated => self.provider(value),
            EntryKind::CanonicalUser | EntryKind::Everyone => self.warn(
                value,
                format!("the canonical user {said} matches nobody"),
                "name the account by its id",
            ),
        }
    }

    fn aws(&mut self, value: &Text) {
        let (text, said) = (&*value.text, shown(&value.text));
        if is_unique_id(text) {
            self.warn(
                value,
                format!("the unique id {said} matches nobody"),
                "it is what AWS leaves of a deleted user or role; name the ARN",
            );
        } else if AccountId::parse(text).is_err() && !is_aws_arn(text) {
            self.error_hint(
                value,
                format!(
                    "the principal {said} is no account, and no ARN of a user, role or session"
                ),
                hint_for(text),
            );
        }
    }

    fn service(&mut self, value: &Text) {
        let text = &*value.text;
        if text.starts_with("arn:") || text.contains(char::is_whitespace) {
            self.error_hint(
                value,
                format!("the principal {} is no service", shown(text)),
                "write the service's name as in `lambda.amazonaws.com`",
            );
        }
    }

    fn provider(&mut self, value: &Text) {
        let (text, said) = (&*value.text, shown(&value.text));
        if is_provider_arn(text) || PROVIDERS.contains(&text) {
            return;
        }
        let is_host = text.contains('.') && !text.contains([':', '/', ' ']);
        let hint = "write `arn:aws:iam::ACCOUNT:oidc-provider/HOST` or `…:saml-provider/NAME`";
        if is_host {
            self.warn(value, format!("{said} is no provider that AWS has built in"), hint);
        } else {
            self.error_hint(value, format!("the principal {said} is no identity provider"), hint);
        }
    }
}

fn is_aws_arn(text: &str) -> bool {
    let Some(arn) = named_by_iam(text) else { return false };
    let (kind, rest) = arn.resource().split_once('/').unwrap_or((arn.resource(), ""));
    match (arn.service(), kind) {
        ("iam", "root") => arn.resource() == "root",
        ("iam", "user" | "role") => !last_part(rest).is_empty(),
        ("sts", "assumed-role") => {
            let parts: Vec<&str> = rest.split('/').collect();
            parts.len() == 2 && !parts.contains(&"")
        }
        ("sts", "federated-user") => !rest.is_empty() && !rest.contains('/'),
        _ => false,
    }
}

fn is_provider_arn(text: &str) -> bool {
    named_by_iam(text).is_some_and(|arn| {
        let provider = arn.resource().split_once('/');
        let is_provider = |kind: &str| matches!(kind, "oidc-provider" | "saml-provider");
        arn.service() == "iam"
            && provider.is_some_and(|(kind, name)| is_provider(kind) && !name.is_empty())
    })
}

/// An ARN of a global service with an account.
fn named_by_iam(text: &str) -> Option<Arn<'_>> {
    Arn::parse(text).filter(|arn| {
        !arn.partition().is_empty()
            && arn.region().is_empty()
            && AccountId::parse(arn.account()).is_ok()
    })
}

fn hint_for(text: &str) -> &'static str {
    let resource = Arn::parse(text).map(Arn::resource).unwrap_or_default();
    match resource.split_once('/') {
        Some(("group", _)) => "groups are never principals; name users or roles",
        Some(("oidc-provider" | "saml-provider", _)) => "list identity providers under `Federated`",
        Some(("assumed-role", _)) => {
            "a session is `arn:aws:sts::ACCOUNT:assumed-role/ROLE/SESSION`, without the role's path"
        }
        _ if text.ends_with(".amazonaws.com") => "list services under `Service`",
        _ => "as in `111111111111` or `arn:aws:iam::111111111111:role/name`",
    }
}

/// The providers that need no ARN.
const PROVIDERS: [&str; 4] = [
    "accounts.google.com",
    "cognito-identity.amazonaws.com",
    "graph.facebook.com",
    "www.amazon.com",
];
