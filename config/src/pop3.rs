//! `[pop3]`: listeners and policy of the POP3 server.

use std::net::{IpAddr, SocketAddr};

use serde::Deserialize;

use crate::smtp::loopback_peers;
use crate::{InvalidValue, Tls};

/// `[pop3]`. Port 0 selects a free port.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Pop3 {
    /// Mail clients; STLS if a certificate is configured.
    pub listen: Vec<SocketAddr>,
    /// Like `listen`, with implicit TLS (RFC 8314 section 3: port 995).
    pub tls_listen: Vec<SocketAddr>,
    /// Connections that start with a PROXY protocol v2 header.
    pub proxy_listen: Vec<SocketAddr>,
    /// Addresses that may connect to `proxy_listen`. Their PROXY headers are trusted.
    pub proxy_peers: Vec<IpAddr>,
    /// Reply `-ERR` to USER with an unknown name, and count it as a failed login. If `false`, USER always succeeds, so that
    /// clients cannot probe for names.
    pub refuse_unknown_user: bool,
}

impl Default for Pop3 {
    fn default() -> Self {
        Self {
            listen: vec![SocketAddr::from(([127, 0, 0, 1], 2110))],
            tls_listen: Vec::new(),
            proxy_listen: Vec::new(),
            proxy_peers: loopback_peers(),
            refuse_unknown_user: false,
        }
    }
}

impl Pop3 {
    pub(crate) fn validate(&self, tls: &Tls) -> Result<(), InvalidValue> {
        tls.require_for("[pop3]", "tls_listen", &self.tls_listen)
    }
}
