//! An encrypted order, shared across accounts: refused, explained, mended, allowed. Pure.
//!
//! Flows in: answers, words of `explain`, recorded events. Flows out: each difference.

use serde_json::{Value, json};

use crate::cli::demo::cast::PARTNER;
use crate::cli::demo::policies;
use crate::cli::demo::story::{Asked, DECISION, LAYER, text};

/// The partner asks for the order, again and again.
#[derive(Debug)]
pub(in crate::cli::demo) struct Sharing {
    /// While the key's policy forgets the partner.
    pub(in crate::cli::demo) refused: Asked,
    /// What `crossgate explain` writes about that.
    pub(in crate::cli::demo) explained: Explained,
    /// While a mended key policy is proposed.
    pub(in crate::cli::demo) proposed: Asked,
    /// The mended key policy is put in place.
    pub(in crate::cli::demo) mend: Mend,
}

/// What `crossgate explain` writes, without colours, and says at its end.
#[derive(Debug)]
pub(in crate::cli::demo) struct Explained {
    pub(in crate::cli::demo) is_permitted: bool,
    pub(in crate::cli::demo) text: String,
}

/// The change of a policy while requests run.
#[derive(Debug)]
pub(in crate::cli::demo) struct Mend {
    /// Requests of the owner's user meanwhile.
    pub(in crate::cli::demo) sent: usize,
    /// Those that were answered 200.
    pub(in crate::cli::demo) answered: usize,
    /// Those of the partner that were refused, until the first that was not.
    pub(in crate::cli::demo) refusals: usize,
    /// The partner's first that was not refused, and what came after it.
    pub(in crate::cli::demo) after: Vec<Asked>,
}

impl Sharing {
    /// How many denials are recorded.
    pub(super) fn denials(&self) -> usize {
        // The first one and the one with the proposal.
        2 + self.mend.refusals
    }

    /// Everything that is not as it has to be.
    pub(super) fn check(&self, events: &[Value], found: &mut Vec<String>) {
        check_refused("order 8", &self.refused, events, found);
        check_refused("order 8 with the candidate", &self.proposed, events, found);
        if let Some(event) = of_candidate(&self.refused, events) {
            found.push(format!("there is a candidate before it is proposed: {event}"));
        }
        let proposed = of_candidate(&self.proposed, events);
        let says = proposed.map_or("nothing", |event| text(event, DECISION));
        if says != "Permit" {
            found.push(format!("the candidate says {says} instead of Permit"));
        }
        self.check_explained(found);
        self.check_mend(events, found);
    }

    fn check_explained(&self, found: &mut Vec<String>) {
        let Explained { is_permitted, text } = &self.explained;
        if *is_permitted {
            found.push("`explain` permits order 8".to_owned());
        }
        let lack = lack();
        if !text.contains(&lack) {
            found.push(format!("`explain` does not say that {lack}: {text}"));
        }
    }

    fn check_mend(&self, events: &[Value], found: &mut Vec<String>) {
        let Mend { sent, answered, refusals, after } = &self.mend;
        if answered != sent {
            let lost = sent.saturating_sub(*answered);
            found.push(format!("{lost} of {sent} requests for order 8 were lost"));
        }
        if *refusals == 0 {
            found.push("order 8 was not refused until its key's policy was mended".to_owned());
        }
        if after.is_empty() {
            found.push("order 8 was never answered".to_owned());
        }
        for asked in after {
            if (asked.status, asked.told_account.as_str()) != (200, PARTNER) {
                let Asked { status, told_account, .. } = asked;
                found.push(format!(
                    "mended order 8: {status}, the service was told `{told_account}`"
                ));
            }
            if of_policies(asked, events).next().is_some() {
                found.push("an answer of mended order 8 is on record".to_owned());
            }
        }
    }
}

fn check_refused(what: &str, asked: &Asked, events: &[Value], found: &mut Vec<String>) {
    let Asked { status, code, told_account, .. } = asked;
    if (*status, code.as_str(), told_account.as_str()) != (403, "policy_denied", "") {
        found.push(format!("{what}: {status} `{code}`, the service was told `{told_account}`"));
    }
    // The answer's id is that of the denial's own event.
    let denial = of_policies(asked, events).find(|event| text(event, "/id") == asked.decision);
    let recorded = denial.map(|event| {
        let missing = event.pointer("/responseData/missing").unwrap_or(&Value::Null);
        (text(event, DECISION), text(event, "/responseData/reason"), missing.clone())
    });
    let expected = ("Deny", "policy_implicit_deny", json!(["key policy"]));
    if recorded.as_ref() != Some(&expected) {
        found.push(format!("{what}: recorded {recorded:?} instead of {expected:?}"));
    }
}

fn of_candidate<'e>(asked: &Asked, events: &'e [Value]) -> Option<&'e Value> {
    let is_candidate =
        |event: &&Value| event.pointer("/responseData/candidate") == Some(&Value::Bool(true));
    of_policies(asked, events).find(is_candidate)
}

fn of_policies<'e>(asked: &Asked, events: &'e [Value]) -> impl Iterator<Item = &'e Value> {
    let decision = asked.decision.clone();
    events.iter().filter(move |event| {
        text(event, "/responseData/decisionId") == decision && text(event, LAYER) == "policy"
    })
}

/// The side that lacks a grant, in the words of `explain`.
pub(super) fn lack() -> String {
    let key = policies::key_arn();
    format!("the key policy of {key} does not let account {PARTNER} use the key for kms:Decrypt")
}
