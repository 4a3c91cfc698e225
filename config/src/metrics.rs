//! `[metrics]`: whether and where the servers say what they count.

use std::net::SocketAddr;

use serde::Deserialize;

/// `[metrics]`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Metrics {
    /// Where `/metrics` is served by http, to whoever asks; nowhere when it is not set. Port 0 takes a free one.
    pub listen: Option<SocketAddr>,
}
