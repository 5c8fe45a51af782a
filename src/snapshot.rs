//! Everything hot-swapped, in one value: a request is decided by one revision of all of it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;

use crate::clock::UnixMillis;
use crate::perimeter::SettingsIndex;
use crate::policy::set::PolicySets;
use crate::route::{EdgeRules, RouteTable};
use crate::sts::{Revocations, StsRules};
use crate::token::KeySets;

/// One revision of all that decides. Parts are shared between revisions.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Counts published changes; 0 is the empty start, in which nothing is permitted.
    pub revision: u64,
    /// The issuers' keys.
    pub key_sets: Arc<KeySets>,
    /// The accounts' settings.
    pub settings: Arc<SettingsIndex>,
    /// The policies; `None` where the perimeter alone decides.
    pub policies: Option<Arc<PolicySets>>,
    /// The routes.
    pub routes: Arc<RouteTable>,
    /// The edge's rules.
    pub edge: Arc<EdgeRules>,
    /// The rules of session tokens; `None` where this instance makes none.
    pub sts: Option<Arc<StsRules>>,
    /// The sessions that were ended before their time.
    pub revocations: Arc<Revocations>,
}

/// One part, or parts that change together.
#[derive(Clone, Debug)]
pub enum Change {
    /// A new configuration: routes, edge and issuers at once.
    Configuration {
        /// The routes.
        routes: Arc<RouteTable>,
        /// The edge's rules.
        edge: Arc<EdgeRules>,
        /// The issuers, with the keys that are known.
        key_sets: Arc<KeySets>,
        /// The rules of session tokens.
        sts: Option<Arc<StsRules>>,
    },
    /// New keys.
    KeySets(Arc<KeySets>),
    /// New policies, of all accounts or of some.
    Policies(Option<Arc<PolicySets>>),
    /// Sessions that were ended.
    Revocations(Arc<Revocations>),
    /// New settings, of all accounts or of one.
    Settings(Arc<SettingsIndex>),
}

/// Reads the newest snapshot. Cheap to clone, one for each worker.
#[derive(Clone, Debug)]
pub struct SnapshotReader {
    current: Arc<ArcSwap<Snapshot>>,
}

impl SnapshotReader {
    /// The newest snapshot, for code off the request path.
    pub fn load(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    /// A per-worker cache of the newest snapshot: under a nanosecond while nothing changes.
    pub fn cached(&self) -> arc_swap::Cache<Arc<ArcSwap<Snapshot>>, Arc<Snapshot>> {
        arc_swap::Cache::new(Arc::clone(&self.current))
    }
}

/// Publishes snapshots, one at a time, and remembers how each part came and what was refused.
///
/// Sources share it; the lock is held only off the request path.
#[derive(Clone, Debug)]
pub struct SnapshotWriter {
    current: Arc<ArcSwap<Snapshot>>,
    parts: Arc<Mutex<BTreeMap<Part, PartStatus>>>,
}

/// A part of the snapshot with a source of its own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// `crossgate.yaml`: routes, edge, issuers.
    Configuration,
    /// One issuer's keys.
    Keys(Arc<str>),
    /// The policy directory.
    Policies,
    /// The file of sessions that were ended.
    Revocations,
    /// The accounts' settings.
    Settings,
}

impl Part {
    /// The part's name as a metric label.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Configuration => "configuration",
            Self::Keys(_) => "keys",
            Self::Policies => "policies",
            Self::Revocations => "revocations",
            Self::Settings => "settings",
        }
    }
}

/// How a part came to be as it is.
#[derive(Clone, Debug, Default)]
pub struct PartStatus {
    /// The last version that was taken.
    pub loaded: Option<Loaded>,
    /// The last version that was refused.
    pub refused: Option<Refused>,
}

/// A version that was taken.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// When.
    pub at: UnixMillis,
    /// The file or URL.
    pub source: String,
    /// The first revision with it.
    pub revision: u64,
}

/// A version that was refused.
#[derive(Clone, Debug)]
pub struct Refused {
    /// When.
    pub at: UnixMillis,
    /// The file or URL.
    pub source: String,
    /// What was wrong, with its position.
    pub error: String,
}

impl SnapshotWriter {
    /// A writer and its first reader, at the empty revision 0.
    pub fn new() -> (Self, SnapshotReader) {
        let current = Arc::new(ArcSwap::from_pointee(Snapshot::default()));
        let writer = Self { current: Arc::clone(&current), parts: Arc::default() };
        (writer, SnapshotReader { current })
    }

    /// Publishes a change made from the newest snapshot and returns the new revision, which
    /// decides the next request.
    pub fn publish(
        &self,
        part: Part,
        source: &str,
        at: UnixMillis,
        change: impl FnOnce(&Snapshot) -> Change,
    ) -> u64 {
        // The lock makes read, change and publish one step.
        let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = Snapshot::clone(&self.current.load());
        next.revision += 1;
        match change(&next) {
            Change::Configuration { routes, edge, key_sets, sts } => {
                next.sts = sts;
                next.routes = routes;
                next.edge = edge;
                next.key_sets = key_sets;
            }
            Change::KeySets(key_sets) => next.key_sets = key_sets,
            Change::Policies(policies) => next.policies = policies,
            Change::Revocations(revocations) => next.revocations = revocations,
            Change::Settings(settings) => next.settings = settings,
        }
        let revision = next.revision;
        self.current.store(Arc::new(next));
        parts.entry(part).or_default().loaded =
            Some(Loaded { at, source: source.to_owned(), revision });
        revision
    }

    /// Records that a version of a part was refused; what is in force stays.
    pub fn refuse(&self, part: Part, source: &str, at: UnixMillis, error: String) {
        let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        parts.entry(part).or_default().refused =
            Some(Refused { at, source: source.to_owned(), error });
    }

    /// How each part came to be as it is.
    pub fn parts(&self) -> BTreeMap<Part, PartStatus> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
