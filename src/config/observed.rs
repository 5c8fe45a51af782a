//! Which owner accounts were observed before they were limited, as the event log tells.
//!
//! Flows in: the log's segments, newest first, up to a bound. Flows out: accounts.

use std::collections::BTreeSet;
use std::io::{BufRead, Read};
use std::path::Path;

use memchr::memmem;
use serde::Deserialize;

use crate::event::log::{Segment, Window, newest_first};
use crate::iam::AccountId;

/// The owner accounts that were evaluated without enforcement.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Observed {
    /// The accounts.
    pub(super) owners: BTreeSet<AccountId>,
    /// How much of the log was read.
    pub(super) extent: Extent,
}

/// How much of the log was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Extent {
    /// All of it.
    #[default]
    All,
    /// The newest events, up to the bound.
    Newest,
}

impl Observed {
    /// Reads a log's directory; what can't be read has observed nobody.
    pub(super) fn scan(directory: &Path) -> Self {
        let mut observed = Self::default();
        let mut left_bytes = LOG_BYTES_MAX;
        for segment in newest_first(directory) {
            if left_bytes == 0 {
                observed.extent = Extent::Newest;
                break;
            }
            let read_bytes = observed.scan_segment(&segment, left_bytes);
            left_bytes = left_bytes.saturating_sub(read_bytes);
        }
        observed
    }

    fn scan_segment(&mut self, segment: &Segment, left_bytes: u64) -> u64 {
        let Ok(Some(open)) = segment.open() else {
            return 0;
        };
        let Ok(lines) = open.lines(&Window::default()) else {
            return 0;
        };
        let mut reader = lines.take(left_bytes);
        let (mut line, mut read_bytes) = (Vec::new(), 0_u64);
        loop {
            line.clear();
            match reader.read_until(b'\n', &mut line) {
                Ok(1..) => read_bytes += u64::try_from(line.len()).unwrap_or(u64::MAX),
                Ok(0) | Err(_) => return read_bytes,
            }
            self.owners.extend(owner_observed(&line));
        }
    }
}

/// The owner account of an evaluation that was not enforced.
fn owner_observed(line: &[u8]) -> Option<AccountId> {
    // Most lines of a limited account's log have neither; finding that out is cheaper than parsing.
    let hinted = [&b"report-only"[..], &b"\"candidate\":true"[..]];
    if !hinted.iter().any(|word| memmem::find(line, word).is_some()) {
        return None;
    }
    let event: Event = serde_json::from_slice(line).ok()?;
    let shadow = event.response_data.mode == "report-only" || event.response_data.candidate;
    (event.action == EVALUATION && shadow)
        .then(|| AccountId::parse(&event.request_data.resource.attributes.account_id).ok())
        .flatten()
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    action: String,
    request_data: RequestData,
    response_data: ResponseData,
}

#[derive(Deserialize)]
struct RequestData {
    resource: Resource,
}

#[derive(Deserialize)]
struct Resource {
    attributes: Attributes,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Attributes {
    account_id: String,
}

#[derive(Deserialize)]
struct ResponseData {
    mode: String,
    #[serde(default)]
    candidate: bool,
}

/// The action of perimeter evaluations.
const EVALUATION: &str = "iam-access-management.account-settings.eval";

/// How much of the log is read: a second's work, and weeks of most logs.
const LOG_BYTES_MAX: u64 = 512 << 20;

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn event(action: &str, owner: &str, mode: &str, candidate: bool) -> String {
        format!(
            r#"{{"action":"{action}","requestData":{{"resource":{{"attributes":{{"accountId":"{owner}"}}}}}},"responseData":{{"mode":"{mode}","candidate":{candidate}}}}}"#
        )
    }

    #[test]
    fn only_evaluations_without_enforcement_observe() {
        let owner = AccountId::parse("own").ok();
        assert_eq!(
            owner_observed(event(EVALUATION, "own", "report-only", false).as_bytes()),
            owner
        );
        assert_eq!(owner_observed(event(EVALUATION, "own", "limited", true).as_bytes()), owner);
        assert_eq!(owner_observed(event(EVALUATION, "own", "limited", false).as_bytes()), None);
        let update = "iam-access-management.account-settings.update";
        assert_eq!(owner_observed(event(update, "own", "report-only", false).as_bytes()), None);
        assert_eq!(owner_observed(b"report-only {"), None);
    }

    #[test]
    fn a_directory_is_read_line_by_line_and_other_files_are_not() {
        let directory = tempfile::tempdir().unwrap();
        let write =
            |name: &str, text: String| fs::write(directory.path().join(name), text).unwrap();
        let (a, b) =
            (event(EVALUATION, "a", "report-only", false), event(EVALUATION, "b", "limited", true));
        write("1.ndjson", format!("garbage report-only\n{a}\n"));
        write("2.live.ndjson", format!("{b}\n{{\"half"));
        let compressed = event(EVALUATION, "d", "report-only", false) + "\n";
        let compressed = zstd::stream::encode_all(compressed.as_bytes(), 1).unwrap();
        fs::write(directory.path().join("4.ndjson.zst"), compressed).unwrap();
        write("3.txt", event(EVALUATION, "c", "report-only", false));
        let observed = Observed::scan(directory.path());
        let owners: Vec<&str> = observed.owners.iter().map(AccountId::as_str).collect();
        assert_eq!((owners, observed.extent), (vec!["a", "b", "d"], Extent::All));
        assert_eq!(Observed::scan(&directory.path().join("none")), Observed::default());
    }
}
