//! Everything hot-swapped, in one value: a request is decided by one revision of all of it.

use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::perimeter::SettingsIndex;
use crate::route::{EdgeRules, RouteTable};
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
    /// The routes.
    pub routes: Arc<RouteTable>,
    /// The edge's rules.
    pub edge: Arc<EdgeRules>,
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
    },
    /// New keys.
    KeySets(Arc<KeySets>),
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

/// Publishes snapshots. Not `Clone`: who owns it, alone, writes.
#[derive(Debug)]
pub struct SnapshotWriter {
    current: Arc<ArcSwap<Snapshot>>,
}

impl SnapshotWriter {
    /// A writer and its first reader, at the empty revision 0.
    pub fn new() -> (Self, SnapshotReader) {
        let current = Arc::new(ArcSwap::from_pointee(Snapshot::default()));
        (Self { current: Arc::clone(&current) }, SnapshotReader { current })
    }

    /// The newest snapshot.
    pub fn load(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    /// Publishes a change and returns the new revision; it decides the next request.
    pub fn publish(&mut self, change: Change) -> u64 {
        let mut next = Snapshot::clone(&self.current.load());
        next.revision += 1;
        match change {
            Change::Configuration { routes, edge, key_sets } => {
                next.routes = routes;
                next.edge = edge;
                next.key_sets = key_sets;
            }
            Change::KeySets(key_sets) => next.key_sets = key_sets,
            Change::Settings(settings) => next.settings = settings,
        }
        let revision = next.revision;
        self.current.store(Arc::new(next));
        revision
    }
}
