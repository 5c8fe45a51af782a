//! What lints and access reports ask of compiled policies. Nothing here decides.

use crate::iam::Arn;
use crate::policy::statement::{CompiledPolicy, CompiledStatement, Effect, PrincipalPattern};

impl CompiledPolicy {
    /// The statements that grant.
    pub(crate) fn allows(&self) -> impl Iterator<Item = &CompiledStatement> {
        self.statements.iter().filter(|it| it.effect == Effect::Allow)
    }
}

impl PrincipalPattern {
    /// The account that is meant, or that the one who is meant is of.
    pub(crate) fn account(&self) -> Option<&str> {
        match self {
            Self::Account(account) | Self::Role { account, .. } => Some(account),
            Self::User(arn) | Self::Session(arn) => Arn::parse(arn).map(Arn::account),
            Self::Everyone | Self::Federated(_) | Self::Foreign(_) | Self::Service(_) => None,
        }
    }

    /// The name for people.
    pub(crate) fn named(&self) -> String {
        match self {
            Self::Everyone => "everybody".to_owned(),
            Self::Account(account) => format!("account `{account}`"),
            Self::Role { partition, account, name } => {
                format!("`arn:{partition}:iam::{account}:role/{name}`")
            }
            Self::User(text)
            | Self::Session(text)
            | Self::Service(text)
            | Self::Federated(text)
            | Self::Foreign(text) => format!("`{text}`"),
        }
    }
}
