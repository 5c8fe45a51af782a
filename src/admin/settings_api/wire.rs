//! The API's JSON, both ways.

use std::fmt;
use std::sync::Arc;

use serde::de::{self, Deserializer, SeqAccess, Visitor};
use serde::ser::SerializeSeq as _;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::iam::{AccountId, IdentityType};
use crate::perimeter::{AccountSet, AccountSetting, TypeSetting};
use crate::settings::AccountPatch;
use crate::verdict::Mode;

#[derive(Serialize)]
pub(super) struct Document<'a> {
    external_account_identity_interaction: Interaction<'a>,
}

#[derive(Serialize)]
struct Interaction<'a> {
    identity_types: IdentityTypes<TypeOut<'a>>,
}

#[derive(Serialize)]
struct IdentityTypes<T> {
    user: T,
    service_id: T,
    service: T,
}

#[derive(Serialize)]
struct TypeOut<'a> {
    state: &'static str,
    #[serde(serialize_with = "sorted")]
    external_allowed_accounts: &'a AccountSet,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PatchIn<'a> {
    #[serde(borrow)]
    external_account_identity_interaction: &'a RawValue,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct InteractionIn<'a> {
    #[serde(borrow)]
    identity_types: &'a RawValue,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct IdentityTypesIn<'a> {
    #[serde(borrow, default)]
    user: Option<&'a RawValue>,
    #[serde(borrow, default)]
    service_id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    service: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TypeIn {
    #[serde(deserialize_with = "state")]
    state: Mode,
    #[serde(deserialize_with = "accounts")]
    external_allowed_accounts: AccountSet,
}

/// A setting as the API shows it.
pub(super) fn document(setting: &AccountSetting) -> Document<'_> {
    let shown = |kind| {
        let own: &TypeSetting = setting.enforced(kind);
        TypeOut { state: state_of(own.mode), external_allowed_accounts: &own.allowlist }
    };
    Document {
        external_account_identity_interaction: Interaction {
            identity_types: IdentityTypes {
                user: shown(IdentityType::User),
                service_id: shown(IdentityType::ServiceId),
                service: shown(IdentityType::Service),
            },
        },
    }
}

/// What a PATCH's body asks for, or what is wrong with which of its fields.
pub(super) fn read_patch(body: &[u8]) -> Result<AccountPatch, String> {
    let text = std::str::from_utf8(body).map_err(|error| format!("the body: {error}"))?;
    let patch: PatchIn<'_> = object(text, "the body")?;
    let text = patch.external_account_identity_interaction.get();
    let interaction: InteractionIn<'_> = object(text, "`external_account_identity_interaction`")?;
    let text = interaction.identity_types.get();
    let types: IdentityTypesIn<'_> =
        object(text, "`external_account_identity_interaction.identity_types`")?;
    let mut lists = Vec::new();
    let mut read = |kind: IdentityType, raw: Option<&RawValue>| {
        raw.map(|raw| read_type(kind, raw.get(), &mut lists)).transpose()
    };
    Ok(AccountPatch {
        types: [
            read(IdentityType::User, types.user)?,
            read(IdentityType::ServiceId, types.service_id)?,
            read(IdentityType::Service, types.service)?,
        ],
    })
}

fn read_type(
    kind: IdentityType,
    text: &str,
    lists: &mut Vec<Arc<AccountSet>>,
) -> Result<TypeSetting, String> {
    let kind = kind.as_str();
    let path = format!("`external_account_identity_interaction.identity_types.{kind}`");
    let read: TypeIn = object(text, &path)?;
    let same = lists.iter().find(|list| ***list == read.external_allowed_accounts).map(Arc::clone);
    // Types that name one list share it.
    let allowlist = same.unwrap_or_else(|| Arc::new(read.external_allowed_accounts));
    lists.push(Arc::clone(&allowlist));
    Ok(TypeSetting { mode: read.state, allowlist })
}

/// Reads an object; serde by itself would take an array for one.
fn object<'t, T: Deserialize<'t>>(text: &'t str, path: &str) -> Result<T, String> {
    match text.trim_start().chars().next() {
        Some('[' | '"' | '0'..='9' | '-' | 't' | 'f' | 'n') => {
            Err(format!("{path}: expected an object"))
        }
        _ => serde_json::from_str(text).map_err(|error| format!("{path}: {error}")),
    }
}

fn state_of(mode: Mode) -> &'static str {
    match mode {
        Mode::Unrestricted => "enabled",
        Mode::ReportOnly => "monitor",
        Mode::Limited => "limited",
    }
}

fn state<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Mode, D::Error> {
    struct StateVisitor;

    impl Visitor<'_> for StateVisitor {
        type Value = Mode;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("`state` to be one of `enabled`, `monitor`, `limited`")
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<Mode, E> {
            let found = Mode::ALL.into_iter().find(|mode| state_of(*mode) == text);
            found.ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
        }
    }

    deserializer.deserialize_str(StateVisitor)
}

fn accounts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<AccountSet, D::Error> {
    struct AccountsVisitor;

    impl<'de> Visitor<'de> for AccountsVisitor {
        type Value = AccountSet;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("`external_allowed_accounts` to be a list of account ids")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<AccountSet, A::Error> {
            let mut accounts = Vec::new();
            loop {
                let next: Option<AccountId> = items.next_element().map_err(|error| {
                    de::Error::custom(format!("`external_allowed_accounts`: {error}"))
                })?;
                let Some(account) = next else { return Ok(accounts.into_iter().collect()) };
                accounts.push(account);
            }
        }
    }

    deserializer.deserialize_seq(AccountsVisitor)
}

/// In order, so that equal settings have equal texts.
fn sorted<S: Serializer>(accounts: &AccountSet, serializer: S) -> Result<S::Ok, S::Error> {
    let mut accounts: Vec<AccountId> = accounts.iter().copied().collect();
    accounts.sort_unstable();
    let mut list = serializer.serialize_seq(Some(accounts.len()))?;
    for account in accounts {
        list.serialize_element(account.as_str())?;
    }
    list.end()
}

#[cfg(test)]
mod tests;
