//! What holds for every session: the `sts` section of the configuration without sockets and files.

use std::time::Duration;

/// The rules of session tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StsRules {
    /// `iss` of session tokens.
    pub issuer: Box<str>,
    /// `aud` of session tokens; empty only if every issuer accepts any audience.
    pub audiences: Vec<Box<str>>,
    /// How long a session lasts that asks for nothing; within what its role allows.
    pub duration_default: Duration,
    /// The longest session of any role, also of one whose own maximum is not known.
    pub duration_max: Duration,
    /// When attempts are worth a detection.
    pub watch: WatchRules,
}

/// From when on attempts are worth a detection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchRules {
    /// How long attempts are counted together, and how long one detection stands for its repeats.
    pub window: Duration,
    /// So many failed attempts of one principal, or on one role, within the window.
    pub failed_attempts: u32,
    /// So many different external IDs that one principal tried in vain within the window.
    pub external_ids: u32,
    /// A session of this length or longer.
    pub long_session: Duration,
    /// ARNs of roles whose every use is told.
    pub break_glass: Vec<Box<str>>,
}

impl Default for WatchRules {
    fn default() -> Self {
        Self {
            window: Duration::from_mins(10),
            failed_attempts: 5,
            external_ids: 3,
            long_session: Duration::from_hours(4),
            break_glass: Vec::new(),
        }
    }
}
