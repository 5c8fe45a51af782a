//! The keys in force, by issuer. In: configured issuers and their key sets. Out: for a token's
//! `iss` what it is checked against. A value: a change makes a new one that shares the rest.

use std::sync::Arc;

use crate::token::{IssuerSpec, KeySet};

/// The issuers and their keys. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct KeySets {
    issuers: Arc<[Arc<IssuerKeys>]>,
}

/// One issuer with the keys in force.
///
/// Its address stands for its generation: while nothing that tokens are checked against changes,
/// all snapshots share one; a change makes another. Who keeps a verified token keeps this too, so
/// the address can't come back for something else.
#[derive(Debug)]
pub struct IssuerKeys {
    issuer: Arc<str>,
    spec: Arc<IssuerSpec>,
    keys: Option<Arc<KeySet>>,
}

impl IssuerKeys {
    /// The exact `iss` of its tokens.
    pub fn issuer(&self) -> &Arc<str> {
        &self.issuer
    }

    /// What is configured.
    pub fn spec(&self) -> &Arc<IssuerSpec> {
        &self.spec
    }

    /// The keys; none until they were first loaded.
    pub fn keys(&self) -> Option<&Arc<KeySet>> {
        self.keys.as_ref()
    }
}

impl KeySets {
    /// Issuers without keys yet.
    pub fn new(specs: Vec<IssuerSpec>) -> Self {
        Self::default().reconfigured(specs)
    }

    /// The same with other keys of one issuer; unchanged if it has these keys already, or if
    /// there is no such issuer.
    #[must_use]
    pub fn with_keys(&self, issuer: &str, keys: KeySet) -> Self {
        let changes =
            |known: &IssuerKeys| &*known.issuer == issuer && known.keys.as_deref() != Some(&keys);
        let Some(place) = self.issuers.iter().position(|known| changes(known)) else {
            return self.clone();
        };
        let keys = Arc::new(keys);
        let change = |(index, known): (usize, &Arc<IssuerKeys>)| {
            if index != place {
                return Arc::clone(known);
            }
            Arc::new(IssuerKeys {
                issuer: Arc::clone(&known.issuer),
                spec: Arc::clone(&known.spec),
                keys: Some(Arc::clone(&keys)),
            })
        };
        Self { issuers: self.issuers.iter().enumerate().map(change).collect() }
    }

    /// Other issuers; one whose keys still come from the same place keeps them.
    #[must_use]
    pub fn reconfigured(&self, specs: Vec<IssuerSpec>) -> Self {
        let configure = |spec: IssuerSpec| {
            let known = self.issuer(&spec.issuer);
            if let Some(same) = known.filter(|known| *known.spec == spec) {
                return Arc::clone(same);
            }
            let keys = known
                .filter(|known| known.spec.jwks.location == spec.jwks.location)
                .and_then(|known| known.keys.clone());
            Arc::new(IssuerKeys { issuer: (*spec.issuer).into(), spec: Arc::new(spec), keys })
        };
        Self { issuers: specs.into_iter().map(configure).collect() }
    }

    /// Whether every issuer has keys.
    pub fn ready(&self) -> bool {
        self.issuers.iter().all(|known| known.keys.is_some())
    }

    /// The issuers, in the order of the configuration.
    pub fn iter(&self) -> std::slice::Iter<'_, Arc<IssuerKeys>> {
        self.issuers.iter()
    }

    /// The issuer of this exact name. Looks at each: there are few.
    pub fn issuer(&self, issuer: &str) -> Option<&Arc<IssuerKeys>> {
        self.issuers.iter().find(|known| &*known.issuer == issuer)
    }

    /// Whether this very state of an issuer is in force.
    pub(super) fn in_force(&self, place: usize, state: &Arc<IssuerKeys>) -> bool {
        self.issuers.get(place).is_some_and(|known| Arc::ptr_eq(known, state))
    }

    /// The place of an issuer's state, for `in_force`.
    pub(super) fn place(&self, issuer: &str) -> Option<(usize, &Arc<IssuerKeys>)> {
        self.issuers.iter().enumerate().find(|(_, known)| &*known.issuer == issuer)
    }
}

impl<'a> IntoIterator for &'a KeySets {
    type Item = &'a Arc<IssuerKeys>;
    type IntoIter = std::slice::Iter<'a, Arc<IssuerKeys>>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}
