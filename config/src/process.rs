//! `[process]`: privileges of the server process after its sockets are bound.

use serde::Deserialize;

/// `[process]`
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Process {
    /// System user to switch to, with its group. Requires a start as root.
    pub user: Option<String>,
    /// Restrict file access to the data directory, the certificate and the page (Landlock, Linux only).
    pub confine: bool,
}

impl Default for Process {
    fn default() -> Self {
        Self { user: None, confine: true }
    }
}
