//! What is known of a caller without a request: what sessions of roles never have.

use crate::policy::condition::CompiledCondition;
use crate::policy::context::{ConditionKey, Context, KeyName, NoContext, Value, Values};
use crate::policy::principal::{Principal, PrincipalKind};
use crate::policy::statement::{CompiledStatement, Effect};

/// A caller, as far as conditions can be told of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Caller {
    /// A session of a role: no second factor, no user name (facts: iam.md section 5.1).
    RoleSession,
    /// Nothing is known.
    Any,
}

/// What a session of a role never has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Never {
    /// A second factor.
    Mfa,
    /// The name of a user.
    UserName,
}

/// How a statement's conditions turn out, whatever the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// All hold, or there are none.
    Holds,
    /// One never does.
    Fails,
    /// The request decides.
    Open,
}

impl Caller {
    pub(super) fn of(principal: &Principal<'_>) -> Self {
        match principal.kind {
            PrincipalKind::Role | PrincipalKind::AssumedRole => Self::RoleSession,
            _ => Self::Any,
        }
    }

    /// How a statement's conditions turn out.
    pub(super) fn known(self, statement: &CompiledStatement) -> Known {
        let each = statement.conditions.iter().map(|it| self.condition(it, statement.effect));
        each.fold(Known::Holds, |all, it| match (all, it) {
            (Known::Fails, _) | (_, Known::Fails) => Known::Fails,
            (Known::Open, _) | (_, Known::Open) => Known::Open,
            (Known::Holds, Known::Holds) => Known::Holds,
        })
    }

    /// What the statement asks for and the caller never has.
    pub(super) fn lacks(self, statement: &CompiledStatement) -> impl Iterator<Item = Never> + '_ {
        let failing =
            move |it: &&CompiledCondition| self.condition(it, statement.effect) == Known::Fails;
        statement.conditions.iter().filter(failing).map(|it| match it.key.name {
            KeyName::MultiFactorAuthPresent | KeyName::MultiFactorAuthAge => Never::Mfa,
            _ => Never::UserName,
        })
    }

    fn condition(self, condition: &CompiledCondition, effect: Effect) -> Known {
        if self == Self::Any {
            return Known::Open;
        }
        match condition.key.name {
            KeyName::MultiFactorAuthPresent | KeyName::MultiFactorAuthAge | KeyName::UserName => {
                // The token of a session says that there was no second factor; that of another
                // issuer may say nothing of it.
                let says = RoleSession { mfa: Values::One(Value::Bool(false)) };
                let is_silent = RoleSession { mfa: Values::Absent };
                match (condition.holds(&says, effect), condition.holds(&is_silent, effect)) {
                    (true, true) => Known::Holds,
                    (false, false) => Known::Fails,
                    (true, false) | (false, true) => Known::Open,
                }
            }
            _ if wants_user_name(condition) => Known::Fails,
            _ => Known::Open,
        }
    }
}

/// The actions that a call needs besides, where a statement asks for what needs them.
pub(super) fn further(statement: &CompiledStatement) -> impl Iterator<Item = &'static str> + '_ {
    let missed = statement.conditions.iter().filter(|it| !it.holds(&NoContext, statement.effect));
    missed.filter_map(|it| match it.key.name {
        KeyName::RequestTag | KeyName::TagKeys => Some(TAG_SESSION),
        KeyName::Other if it.key.as_str() == "sts:sourceidentity" => Some(SET_SOURCE_IDENTITY),
        _ => None,
    })
}

/// Whether a condition holds only for a value that has the caller's user name in it.
fn wants_user_name(condition: &CompiledCondition) -> bool {
    let operator = condition.operator();
    let needs_value =
        !operator.is_negated() && !operator.is_if_exists() && !operator.is_for_all_values();
    let has_name = |it: &String| it.to_ascii_lowercase().contains(USER_NAME);
    let values = condition.values();
    needs_value && !values.is_empty() && values.iter().all(has_name)
}

/// What a session of a role says of itself in any case.
struct RoleSession {
    mfa: Values<'static>,
}

impl Context for RoleSession {
    fn values(&self, key: &ConditionKey) -> Values<'_> {
        match key.name {
            KeyName::MultiFactorAuthPresent => self.mfa,
            _ => Values::Absent,
        }
    }
}

/// The variable, without a default that would stand for it.
const USER_NAME: &str = "${aws:username}";

/// What passes tags, and what passes a source identity.
pub(super) const TAG_SESSION: &str = "sts:TagSession";
pub(super) const SET_SOURCE_IDENTITY: &str = "sts:SetSourceIdentity";
