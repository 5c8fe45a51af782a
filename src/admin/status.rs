//! Health, metrics, and what is in force since when.

use std::sync::atomic::Ordering;

use http::StatusCode;
use serde::Serialize;

use super::AdminState;
use super::answer::{Answer, answer, json};
use crate::event::time::rfc3339;
use crate::snapshot::{Part, PartStatus};
use crate::telemetry;

/// The paths of this file.
pub(super) const PATHS: [&str; 4] = ["/healthz", "/readyz", "/metrics", "/v1/snapshot"];

#[derive(Serialize)]
struct Readiness {
    ready: bool,
    missing: Vec<String>,
}

#[derive(Serialize)]
struct SnapshotDocument {
    revision: u64,
    parts: Vec<PartDocument>,
}

#[derive(Serialize)]
struct PartDocument {
    part: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    issuer: Option<String>,
    loaded: Option<LoadedDocument>,
    refused: Option<RefusedDocument>,
}

#[derive(Serialize)]
struct LoadedDocument {
    at: String,
    source: String,
    revision: u64,
}

#[derive(Serialize)]
struct RefusedDocument {
    at: String,
    source: String,
    error: String,
}

pub(super) fn get(state: &AdminState, path: &str) -> Answer {
    match path {
        "/healthz" => json(StatusCode::OK, &serde_json::json!({ "status": "ok" })),
        "/readyz" => readiness(state),
        "/metrics" => {
            telemetry::revision(state.reader.load().revision);
            answer(StatusCode::OK, "text/plain; version=0.0.4", state.metrics.render())
        }
        _ => json(StatusCode::OK, &snapshot(state)),
    }
}

fn readiness(state: &AdminState) -> Answer {
    let snapshot = state.reader.load();
    let mut missing = (state.missing)(&snapshot);
    let parts = state.writer.parts();
    if parts.get(&Part::Settings).is_none_or(|status| status.loaded.is_none()) {
        missing.push("settings".to_owned());
    }
    if state.draining.load(Ordering::Relaxed) {
        missing.push("draining".to_owned());
    }
    let ready = missing.is_empty();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    json(status, &Readiness { ready, missing })
}

fn snapshot(state: &AdminState) -> SnapshotDocument {
    let parts = state.writer.parts().into_iter().map(|(part, status)| part_document(&part, status));
    SnapshotDocument { revision: state.reader.load().revision, parts: parts.collect() }
}

fn part_document(part: &Part, status: PartStatus) -> PartDocument {
    let issuer = match part {
        Part::Keys(issuer) => Some(issuer.to_string()),
        Part::Configuration | Part::Policies | Part::Revocations | Part::Settings => None,
    };
    let loaded = status.loaded.map(|loaded| LoadedDocument {
        at: rfc3339(loaded.at),
        source: loaded.source,
        revision: loaded.revision,
    });
    let refused = status.refused.map(|refused| RefusedDocument {
        at: rfc3339(refused.at),
        source: refused.source,
        error: refused.error,
    });
    PartDocument { part: part.label(), issuer, loaded, refused }
}
