//! `[metrics]`: the Prometheus endpoint.

use std::net::SocketAddr;

use serde::Deserialize;

/// `[metrics]`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Metrics {
    /// Address that serves `/metrics` over HTTP without authentication; `None` disables it. Port 0 selects a free port.
    pub listen: Option<SocketAddr>,
}
