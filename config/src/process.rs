//! `[process]`: what is left to the process once it has its addresses.

use serde::Deserialize;

/// `[process]`
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Process {
    /// The system's user that the servers become, with its group, once they are bound; they must be started as root then.
    pub user: Option<String>,
    /// Leave the process nothing but its data directory, its certificate and its page (Linux, Landlock).
    pub confine: bool,
}

impl Default for Process {
    fn default() -> Self {
        Self { user: None, confine: true }
    }
}
