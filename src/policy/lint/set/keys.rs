//! Encrypted resources whose readers can't use the key.

use std::sync::Arc;

use crate::iam::Arn;
use crate::policy::document::Negated;
use crate::policy::lint::set::{SetFinding, listed, warn};
use crate::policy::set::{KeyEntry, PolicySet, ResourceEntry};
use crate::policy::shape::{Fit, Shape, Shapes};
use crate::policy::statement::{CompiledStatement, PrincipalPattern};

pub(super) fn check(set: &PolicySet, findings: &mut Vec<SetFinding>) {
    for resource in set.accounts.values().flat_map(|it| it.resources()) {
        let Some(arn) = resource.key.as_deref() else { continue };
        match Arn::parse(arn).and_then(|it| set.key(it)) {
            None => findings.push(SetFinding {
                file: Arc::clone(&resource.file),
                line: 1,
                column: 1,
                message: format!("the key `{arn}` has no policy here, so nobody can use it"),
                hint: "add its policy to the `keys` of its account".to_owned(),
            }),
            Some(key) => forgotten(resource, key, findings),
        }
    }
}

/// Whom the resource lets in and the key does not.
fn forgotten(resource: &ResourceEntry, key: &KeyEntry, findings: &mut Vec<SetFinding>) {
    let Some(policy) = &resource.policy else { return };
    for statement in policy.allows() {
        for entry in listed(statement).filter(|it| it.account().is_some()) {
            if key.policy.allows().any(|it| lets_use(it, entry)) {
                continue;
            }
            findings.push(warn(
                policy,
                statement,
                format!(
                    "{} is let in, and the key `{}` that this is encrypted with does not let it in",
                    entry.named(),
                    key.arn
                ),
                "allow it, or its account, `kms:Decrypt` in the key's policy",
            ));
        }
    }
}

/// Whether a statement of a key may let somebody use it.
fn lets_use(statement: &CompiledStatement, reader: &PrincipalPattern) -> bool {
    let actions = Shapes::from(&statement.actions);
    let Some(principals) = &statement.principals else { return false };
    let means = |entry: &PrincipalPattern| match (entry, reader) {
        (PrincipalPattern::Everyone, _) => true,
        // Of an account as a whole, one that the other side names may be meant; and a session may
        // be of the role.
        (PrincipalPattern::Account(_), _)
        | (_, PrincipalPattern::Account(_))
        | (PrincipalPattern::Session(_), PrincipalPattern::Role { .. })
        | (PrincipalPattern::Role { .. }, PrincipalPattern::Session(_)) => {
            entry.account() == reader.account()
        }
        (entry, reader) => entry == reader,
    };
    USES.iter().any(|it| actions.fit(&Shape::action(it)) > Fit::Nothing)
        && (principals.negated == Negated::Yes || principals.entries.iter().any(means))
}

/// What is done with keys.
const USES: [&str; 3] = ["kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey"];
