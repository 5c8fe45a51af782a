//! An event log written by hand: lines of the shape that the program writes.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

/// One run's log in a directory.
pub struct Lines {
    directory: PathBuf,
    instance: String,
    segment: u32,
    next: u64,
    file: File,
}

impl Lines {
    /// Begins a run's first segment.
    pub fn begin(directory: &Path, instance: &str) -> Self {
        fs::create_dir_all(directory).unwrap();
        let file = open(&path(directory, instance, 0, LIVE));
        Self {
            directory: directory.to_owned(),
            instance: instance.to_owned(),
            segment: 0,
            next: 1,
            file,
        }
    }

    /// Appends so many events; returns their ids.
    pub fn append(&mut self, events: usize) -> Vec<String> {
        let mut text = String::new();
        let mut ids = Vec::new();
        for _ in 0..events {
            let id = format!("{}-{:08}", self.instance, self.next);
            text += &line(&self.instance, self.next, &id);
            self.next += 1;
            ids.push(id);
        }
        self.file.write_all(text.as_bytes()).unwrap();
        ids
    }

    /// Closes the segment and begins the next one.
    pub fn rotate(&mut self) {
        let live = path(&self.directory, &self.instance, self.segment, LIVE);
        fs::rename(live, path(&self.directory, &self.instance, self.segment, CLOSED)).unwrap();
        self.segment += 1;
        self.file = open(&path(&self.directory, &self.instance, self.segment, LIVE));
    }

    /// Takes a closed segment away, as retention does.
    pub fn remove(&self, segment: u32) {
        fs::remove_file(path(&self.directory, &self.instance, segment, CLOSED)).unwrap();
    }
}

fn path(directory: &Path, instance: &str, segment: u32, ending: &str) -> PathBuf {
    directory.join(format!("crossgate-{instance}-20251010T140327Z-{segment:06}{ending}"))
}

fn open(path: &Path) -> File {
    OpenOptions::new().append(true).create(true).open(path).unwrap()
}

fn line(instance: &str, sequence: u64, id: &str) -> String {
    let (trace, severity, outcome) = match sequence % 3 {
        0 => (format!("4bf92f3577b34da6a3ce929d{sequence:08x}"), "critical", "failure"),
        _ => (id.to_owned(), "normal", "success"),
    };
    format!(
        "{{\"action\":\"iam-access-management.account-settings.eval\",\
         \"eventTime\":\"2025-10-10T14:03:27.41+0000\",\"id\":\"{id}\",\"correlationId\":\"{trace}\",\
         \"outcome\":\"{outcome}\",\"severity\":\"{severity}\",\
         \"initiator\":{{\"id\":\"IBMid-1\",\"name\":\"user@example.com\",\
         \"host\":{{\"address\":\"192.0.2.10\",\"agent\":\"curl/8.5\"}}}},\
         \"target\":{{\"id\":\"arn:aws:orders::59bc:order/{sequence}\"}},\
         \"requestData\":{{\"action\":\"orders:GetOrder\",\
         \"resource\":{{\"attributes\":{{\"accountId\":\"59bc\"}}}},\
         \"subject\":{{\"attributes\":{{\"token.account.bss\":\"f714\",\"identityType\":\"user\"}}}}}},\
         \"responseData\":{{\"isEnforced\":false,\"decision\":\"Deny\",\"mode\":\"report-only\",\
         \"layer\":\"perimeter\",\"candidate\":false,\"reason\":\"account_not_allowed\",\
         \"decisionId\":\"{id}\",\"revision\":17,\"instance\":\"{instance}\",\
         \"sequence\":{sequence},\"route\":\"/v1/orders\",\"decideNs\":812}}}}\n"
    )
}

const LIVE: &str = ".live.ndjson";
const CLOSED: &str = ".ndjson";
