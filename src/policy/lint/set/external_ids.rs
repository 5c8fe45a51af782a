//! External IDs that others could know, or that mean more than one third party or customer.
//!
//! An external ID is no secret between the two sides, and nobody else's business: it is told nowhere,
//! only whose it is.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use crate::iam::AccountId;
use crate::policy::condition::is_secret;
use crate::policy::lint::Home;
use crate::policy::lint::set::{SetFinding, listed, warn};
use crate::policy::set::PolicySet;
use crate::policy::shape::{Fit, Shape, Shapes};
use crate::policy::statement::{CompiledPolicy, CompiledStatement};

pub(super) fn check(set: &PolicySet, findings: &mut Vec<SetFinding>) {
    let uses = Use::all(set);
    for it in &uses {
        findings.extend(it.weaknesses(set));
    }
    // Several are valid at once while one follows another: each is looked at for itself.
    let mut by_id: BTreeMap<&str, Vec<&Use<'_>>> = BTreeMap::new();
    for it in uses.iter().filter(|it| it.asked == Asked::Exactly) {
        by_id.entry(&it.id).or_default().push(it);
    }
    for same in by_id.into_values() {
        findings.extend(same.iter().filter_map(|it| it.meets(&same)));
    }
}

/// An external ID in a statement of a role's trust policy.
struct Use<'s> {
    owner: AccountId,
    role: &'s str,
    policy: &'s CompiledPolicy,
    statement: &'s CompiledStatement,
    /// The accounts of others that the statement lets in.
    third_parties: BTreeSet<&'s str>,
    asked: Asked,
    id: String,
}

/// How an external ID is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Exactly,
    InAnyLetterCase,
    ByWildcards,
    ByVariable,
}

impl<'s> Use<'s> {
    fn all(set: &'s PolicySet) -> Vec<Self> {
        let assume = Shape::action("sts:AssumeRole");
        let mut uses = Vec::new();
        let mut accounts: Vec<_> = set.accounts.iter().collect();
        accounts.sort_unstable_by_key(|(owner, _)| **owner);
        for (owner, account) in accounts {
            for entry in account.principals() {
                let Some(policy) = entry.trust.as_deref() else { continue };
                for statement in policy.allows() {
                    if Shapes::from(&statement.actions).fit(&assume) == Fit::Nothing {
                        continue;
                    }
                    for (asked, id) in asked(statement) {
                        let (owner, role) = (*owner, &*entry.arn);
                        let third_parties = third_parties(set, owner, statement);
                        let it = Self { owner, role, policy, statement, third_parties, asked, id };
                        uses.push(it);
                    }
                }
            }
        }
        uses
    }

    /// What is wrong with the ID alone.
    fn weaknesses(&self, set: &PolicySet) -> Option<SetFinding> {
        let (what, hint) = match self.asked {
            Asked::ByVariable => ("is a variable, which the third party does not pick", MAKE_ONE),
            Asked::ByWildcards | Asked::InAnyLetterCase | Asked::Exactly
                if !is_passable(&self.id, self.asked) =>
            {
                ("has a length or a character that none may have: no call can pass it", PASSABLE)
            }
            Asked::ByWildcards => (
                "has wildcards: whoever knows its form can pass one that fits",
                "use `StringEquals` with the whole external ID",
            ),
            Asked::InAnyLetterCase => {
                ("is compared without letter case", "use `StringEquals` with the external ID")
            }
            Asked::Exactly => (Weakness::of(&self.id, &self.known(set))?.told(), MAKE_ONE),
        };
        let message = format!("an external ID of {} {what}", self.named());
        Some(warn(self.policy, self.statement, message, hint))
    }

    /// Another use that the same ID should not have.
    fn meets(&self, same: &[&Self]) -> Option<SetFinding> {
        let first = self.third_parties.first()?;
        let others = same.iter().filter(|it| !std::ptr::eq(**it, self));
        let mut others: Vec<_> = others.filter(|it| !it.third_parties.is_empty()).collect();
        others.sort_by_key(|it| it.role);
        let of_another = |it: &&&&Self| it.third_parties.is_disjoint(&self.third_parties);
        if let Some(second) = self.third_parties.iter().nth(1) {
            let message = format!(
                "account `{first}` and account `{second}`, both third parties, have one external \
                 ID for {}",
                self.named()
            );
            return Some(warn(self.policy, self.statement, message, ONE_EACH));
        }
        if let Some(other) = others.iter().find(of_another) {
            let message = format!(
                "the external ID of account `{first}` for {} is also that of another third party, \
                 account `{}`, for {}",
                self.named(),
                other.third_parties.first().copied().unwrap_or_default(),
                other.named()
            );
            return Some(warn(self.policy, self.statement, message, ONE_EACH));
        }
        let other = others.iter().find(|it| it.owner != self.owner)?;
        let message = format!(
            "account `{first}` has one external ID for roles of two owners: for {}, and for {}",
            self.named(),
            other.named()
        );
        Some(warn(self.policy, self.statement, message, ONE_EACH_OWNER))
    }

    /// The role and the statement, for people.
    fn named(&self) -> String {
        match &*self.statement.sid {
            "" => {
                format!("`{}`, statement {}", self.role, self.statement.index.saturating_add(1))
            }
            sid => format!("`{}`, statement `{sid}`", self.role),
        }
    }

    /// What others know of the role and whom it trusts, in lower case.
    fn known(&self, set: &PolicySet) -> BTreeSet<String> {
        let accounts = set.accounts.keys().map(AccountId::as_str).chain([self.owner.as_str()]);
        let accounts = accounts.chain(self.third_parties.iter().copied());
        let organization = set.organization.iter().map(|it| &*it.id);
        let name = self.role.rsplit('/').next().unwrap_or_default();
        let parts = name.split(|c: char| !c.is_alphanumeric()).chain([name]);
        let all = accounts.chain(organization).chain(parts);
        all.filter(|text| NAME_CHARS_MIN <= text.len()).map(str::to_lowercase).collect()
    }
}

/// The external IDs that a statement asks for, and how. Conditions that hold without one ask for
/// none; `trust` tells of those.
fn asked(statement: &CompiledStatement) -> Vec<(Asked, String)> {
    let of_key = statement.conditions.iter().filter(|it| is_secret(it.key.as_str()));
    let positive = of_key.filter(|it| !it.operator().is_negated());
    let mut all = Vec::new();
    for condition in positive {
        let name = condition.operator().name();
        for id in condition.values() {
            let is_open = !id.is_empty() && id.chars().all(|c| c == '*');
            if is_open {
                continue;
            }
            let plain = ESCAPES.iter().fold(id.clone(), |text, escape| text.replace(escape, ""));
            let asked = match name {
                "StringEqualsIgnoreCase" | "StringLike" | "StringEquals"
                    if plain.contains("${") =>
                {
                    Asked::ByVariable
                }
                "StringEqualsIgnoreCase" => Asked::InAnyLetterCase,
                "StringLike" if plain.contains(['*', '?']) => Asked::ByWildcards,
                "StringEquals" | "StringLike" => Asked::Exactly,
                _ => continue,
            };
            all.push((asked, id));
        }
    }
    all
}

/// Whether a call can pass an ID, or one of its form (facts: iam.md section 5.1).
fn is_passable(id: &str, asked: Asked) -> bool {
    let is_wild = |c: char| asked == Asked::ByWildcards && matches!(c, '*' | '?');
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || "_+=,.@:/-".contains(c);
    let least = id.chars().filter(|c| asked != Asked::ByWildcards || *c != '*').count();
    let is_long_enough = asked == Asked::ByWildcards || PASSABLE_CHARS.0 <= least;
    is_long_enough && least <= PASSABLE_CHARS.1 && id.chars().all(|c| is_wild(c) || is_allowed(c))
}

/// The accounts of others that a statement lets in.
fn third_parties<'s>(
    set: &PolicySet,
    owner: AccountId,
    statement: &'s CompiledStatement,
) -> BTreeSet<&'s str> {
    let organization = set.organization.as_deref();
    let home = Home { account: Some(owner.as_str()), organization };
    listed(statement)
        .filter_map(|entry| entry.account())
        .filter(|account| home.is_third_party(account))
        .collect()
}

/// Why somebody else could find an external ID.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Weakness {
    Short,
    Plain,
    Guessable,
}

impl Weakness {
    /// The weakness of an ID, if it is certain that it has one. `known` is what others know, in
    /// lower case.
    fn of(id: &str, known: &BTreeSet<String>) -> Option<Self> {
        if id.chars().count() < CHARS_MIN {
            return Some(Self::Short);
        }
        let lower = id.to_lowercase();
        if unknown_chars(&lower, known) < UNKNOWN_CHARS_MIN {
            return Some(Self::Guessable);
        }
        let plain: Vec<char> = lower.chars().filter(|c| c.is_alphanumeric()).collect();
        let distinct: BTreeSet<char> = plain.iter().copied().collect();
        let steps = plain.windows(2).filter(|pair| is_step(pair)).count();
        if distinct.len() < DISTINCT_MIN || plain.len() < 2 * steps {
            return Some(Self::Plain);
        }
        is_words(&lower).then_some(Self::Guessable)
    }

    fn told(self) -> &'static str {
        match self {
            Self::Short => "is shorter than 16 characters",
            Self::Plain => "repeats few characters, or counts them up",
            Self::Guessable => "can be guessed: it is made of words, names or account ids",
        }
    }
}

/// Whether a character is the one before again, or next to it.
fn is_step(pair: &[char]) -> bool {
    let code = |c: &char| u32::from(*c);
    matches!(pair, [first, second] if code(first).abs_diff(code(second)) <= 1)
}

/// How many characters of an ID are left without what others know.
fn unknown_chars(lower: &str, known: &BTreeSet<String>) -> usize {
    let mut rest = lower.to_owned();
    // The longest first: what is left of a name is no part of an ID.
    let mut words: Vec<&str> = known.iter().map(String::as_str).chain(GUESSABLE).collect();
    words.sort_by_key(|word| std::cmp::Reverse(word.len()));
    for word in words {
        rest = rest.replace(word, " ");
    }
    let has_account = Uuid::try_parse(lower).is_err();
    let digits = |part: &str| part.chars().all(|c| c.is_ascii_digit());
    let parts = rest.split(|c: char| !c.is_alphanumeric());
    let is_known = |part: &&str| {
        digits(part) && (has_account && part.len() == ACCOUNT_DIGITS || is_year(part))
    };
    parts.filter(|part| !is_known(part)).map(|part| part.chars().count()).sum()
}

fn is_year(part: &str) -> bool {
    part.len() == 4 && (part.starts_with("19") || part.starts_with("20"))
}

/// Whether a text reads like words: letters alone, with vowels between them. Few random texts do.
fn is_words(lower: &str) -> bool {
    if lower.chars().any(|c| c.is_ascii_digit()) {
        return false;
    }
    let is_vowel = |c: char| "aeiouy".contains(c);
    let letters = lower.chars().filter(|c| c.is_alphabetic()).count();
    let vowels = lower.chars().filter(|c| is_vowel(*c)).count();
    let runs = lower.split(|c: char| is_vowel(c) || !c.is_alphabetic());
    let longest = runs.map(|run| run.chars().count()).max().unwrap_or_default();
    longest <= CONSONANTS_MAX && 3 * letters <= 10 * vowels
}

/// What is in guessable external IDs, besides names.
const GUESSABLE: [&str; 40] = [
    "access",
    "account",
    "admin",
    "assume",
    "audit",
    "aws",
    "backup",
    "changeme",
    "client",
    "cloud",
    "company",
    "corp",
    "cross",
    "crossgate",
    "customer",
    "default",
    "demo",
    "dev",
    "example",
    "external",
    "externalid",
    "ibm",
    "integration",
    "monitoring",
    "partner",
    "password",
    "placeholder",
    "prod",
    "production",
    "replace",
    "role",
    "sample",
    "secret",
    "security",
    "stage",
    "staging",
    "tenant",
    "test",
    "token",
    "vendor",
];

const MAKE_ONE: &str = "let the third party make one: `crossgate external-id new`";
const PASSABLE: &str = "an external ID has 2 to 1,224 letters, digits and `_+=,.@:/-`: `crossgate \
                        external-id new` makes one";
/// What stands for a character that would else have a meaning; no call can pass any of them.
const ESCAPES: [&str; 3] = ["${*}", "${?}", "${$}"];
const PASSABLE_CHARS: (usize, usize) = (2, 1224);
const ONE_EACH: &str = "each third party picks its own: who has one could pass for the other";
const ONE_EACH_OWNER: &str =
    "the third party picks one for each of its customers: one could reach the other's role by it";
/// Fewer characters can be tried.
const CHARS_MIN: usize = 16;
/// Of 16 random hexadecimal digits 10 are different; 6 are in less than one of 500 such texts.
const DISTINCT_MIN: usize = 7;
/// So many characters that nobody knows are worth 50 bits and more, if they are random.
const UNKNOWN_CHARS_MIN: usize = 12;
/// Shorter names of roles and accounts are in any text.
const NAME_CHARS_MIN: usize = 4;
/// The digits of an AWS account.
const ACCOUNT_DIGITS: usize = 12;
/// The longest run of them in most words.
const CONSONANTS_MAX: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(id: &str, expect: Option<Weakness>) {
        let known = ["222222222222", "deploy", "acme-tenant", "o-example"];
        let known = known.into_iter().map(str::to_owned).collect();
        assert_eq!(Weakness::of(id, &known), expect, "{id}");
    }

    #[test]
    fn what_nobody_guesses_is_not_weak() {
        for id in [
            "BN7BD2YG-4YYBJAWX-P2LSVCXJ-9APG6PJZ",
            "ABCDEFGH-K7QRMZ24-X9TWLN3V-H6BPCJD8",
            "7c9e6679-7425-40de-944b-e07fc1f90ae7",
            "0191f6e2-9a44-7c3b-8d12-222222222222",
            "4f9a1c7e0b2d8365",
            "qWx7Zk2PvT9mLs4R",
            "prod/3f9c2a7be41d/deploy",
            "acme-7c9e66797425",
            "x7Kq@mZ+4tRw=9bN",
        ] {
            check(id, None);
        }
    }

    #[test]
    fn what_no_call_can_pass_is_told_apart() {
        let (most, long) = ("a".repeat(1224), "a".repeat(1225));
        for (id, asked, expect) in [
            ("ab", Asked::Exactly, true),
            ("a_B+0=,.@:/-", Asked::InAnyLetterCase, true),
            (&most, Asked::Exactly, true),
            (&long, Asked::Exactly, false),
            ("", Asked::Exactly, false),
            ("a", Asked::Exactly, false),
            ("two words", Asked::Exactly, false),
            ("id\u{e9}", Asked::InAnyLetterCase, false),
            ("a*b", Asked::Exactly, false),
            ("${*}ab", Asked::Exactly, false),
            ("a*", Asked::ByWildcards, true),
            ("a?*", Asked::ByWildcards, true),
            ("a *", Asked::ByWildcards, false),
            (&format!("{long}*"), Asked::ByWildcards, false),
        ] {
            assert_eq!(is_passable(id, asked), expect, "{id} {asked:?}");
        }
    }

    #[test]
    fn what_can_be_tried_or_guessed_is_weak() {
        for id in ["a", "12345", "7c9e66797425c9e"] {
            check(id, Some(Weakness::Short));
        }
        for id in [
            "aaaaaaaaaaaaaaaa",
            "1234123412341234",
            "abcdefghijklmnopqrst",
            "0123456789-9876543210",
            "00000000-0000-0000-0000-000000000000",
        ] {
            check(id, Some(Weakness::Plain));
        }
        for id in [
            "222222222222-prod-access",
            "acme-prod-deploy-2024",
            "external-id-for-acme-tenant",
            "vendor-444455556666-role",
            "replace-with-the-id-that-the-auditor-picked",
            "Globex-International-Monitoring",
            "correct-horse-battery-staple",
        ] {
            check(id, Some(Weakness::Guessable));
        }
    }
}
