//! The readiness report for programs.

use serde_json::{Value, json};

use crate::clock::UnixMillis;
use crate::event::report::{
    AccountDenials, Added, Admitted, Coverage, DAYS_ADVISED, IdentityDenials, Readiness,
    ReadinessReport, rfc3339,
};

impl ReadinessReport {
    /// The report for programs.
    pub fn to_json(&self) -> Value {
        let observed = self.observed.as_ref().map(|observed| {
            json!({
                "by": observed.by.as_str(),
                "first": rfc3339(observed.first),
                "last": rfc3339(observed.last),
                "days": observed.days,
                "daysAdvised": DAYS_ADVISED,
            })
        });
        let permits = self.admitted.iter();
        let permits = permits.map(admitted_json);
        json!({
            "account": self.account,
            "ready": self.readiness == Readiness::Ready,
            "reason": self.reason(),
            "advice": self.advice(),
            "observed": observed,
            "coverage": self.coverage_json(),
            "wouldDeny": self.denials.iter().map(account_json).collect::<Vec<_>>(),
            "ungroupedDenials": self.ungrouped_denials,
            "alreadyDenied": self.already_denied,
            "permits": permits.collect::<Vec<_>>(),
            "allowlist": self.allowlist_json(),
            "added": self.added.iter().map(added_json).collect::<Vec<_>>(),
            "enforcedDenials": self.enforced_denials,
        })
    }

    fn coverage_json(&self) -> Value {
        let Coverage { since, until, losses, lost_events, runs, .. } = &self.coverage;
        let uncovered = self.coverage.uncovered().map(|segment| {
            json!({
                "from": rfc3339(segment.from),
                "to": rfc3339(segment.to),
                "reason": segment.cover.as_str(),
            })
        });
        let losses = losses.iter().map(|loss| {
            json!({
                "after": rfc3339(loss.after),
                "before": rfc3339(loss.before),
                "events": loss.events,
                "instance": loss.instance,
            })
        });
        let runs = runs.iter().map(|run| {
            json!({
                "instance": run.instance,
                "first": rfc3339(run.first),
                "last": rfc3339(run.last),
                "firstSequence": run.first_sequence,
                "events": run.events,
                "lost": run.lost,
            })
        });
        json!({
            "since": rfc3339(*since),
            "until": rfc3339(*until),
            "seconds": self.coverage.window_ms() / 1000,
            "observedSeconds": self.coverage.observed_ms() / 1000,
            "days": {
                "withEvents": self.days.with_events,
                "quiet": self.days.quiet,
                "part": self.days.part,
                "uncovered": self.days.uncovered,
            },
            "notCovered": uncovered.collect::<Vec<_>>(),
            "lostEvents": lost_events,
            "losses": losses.collect::<Vec<_>>(),
            "runs": runs.collect::<Vec<_>>(),
        })
    }

    fn allowlist_json(&self) -> Value {
        let Some(allowlist) = &self.allowlist else { return Value::Null };
        let listed = |entries: &[String]| entries.iter().take(ENTRIES_MAX).cloned().collect();
        let (nobody, unknown): (Vec<_>, Vec<_>) =
            (listed(&allowlist.admitted_nobody), listed(&allowlist.cannot_tell));
        json!({
            "entries": allowlist.entries,
            "admittedNobody": nobody,
            "admittedNobodyEntries": allowlist.admitted_nobody.len(),
            "cannotTell": unknown,
            "cannotTellEntries": allowlist.cannot_tell.len(),
            "unobservedTypes": allowlist.unobserved_types,
        })
    }
}

fn admitted_json(admitted: &Admitted) -> Value {
    json!({
        "account": admitted.caller,
        "requests": admitted.requests,
        "first": rfc3339(admitted.first),
        "last": rfc3339(admitted.last),
        "identities": admitted.identities,
        "identityTypes": admitted.types,
    })
}

fn added_json(added: &Added) -> Value {
    json!({
        "account": added.caller,
        "identityType": added.identity_type,
        "at": rfc3339(added.at),
        "by": added.by.as_str(),
        "denialsBefore": added.denials_before,
        "permits": added.permits,
        "last": added.last.map(rfc3339),
    })
}

fn account_json(account: &AccountDenials) -> Value {
    json!({
        "account": account.caller,
        "requests": account.requests,
        "first": rfc3339(account.first),
        "last": rfc3339(account.last),
        "suggestion": account.suggestion.as_str(),
        "why": account.suggestion.why(),
        "identities": account.identities.iter().map(identity_json).collect::<Vec<_>>(),
    })
}

fn identity_json(identity: &IdentityDenials) -> Value {
    let resource = |id: &str, requests: u64, first: UnixMillis, last: UnixMillis| {
        json!({
            "id": id, "requests": requests, "first": rfc3339(first), "last": rfc3339(last),
        })
    };
    let resources = identity.resources.iter();
    let resources = resources.map(|it| resource(&it.id, it.requests, it.first, it.last));
    json!({
        "identityType": identity.identity_type,
        "id": identity.id,
        "name": identity.name,
        "requests": identity.requests,
        "first": rfc3339(identity.first),
        "last": rfc3339(identity.last),
        "resources": resources.collect::<Vec<_>>(),
        "otherResources": identity.other_resources,
    })
}

/// The most entries of an allowlist that are listed; their number is told in any case.
const ENTRIES_MAX: usize = 10_000;
