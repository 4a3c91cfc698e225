//! `[smtp]`: listeners of the SMTP server.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use serde::Deserialize;

use crate::{InvalidValue, Tls};

/// `[smtp]`. Port 0 selects a free port.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Smtp {
    /// Mail from other servers and clients; STARTTLS if a certificate is configured.
    pub listen: Vec<SocketAddr>,
    /// Like `listen`, with implicit TLS (RFC 8314 section 3: port 465).
    pub tls_listen: Vec<SocketAddr>,
    /// Message submission (RFC 6409): requires authentication.
    pub submission_listen: Vec<SocketAddr>,
    /// Message submission with implicit TLS (RFC 8314 section 3.3).
    pub submission_tls_listen: Vec<SocketAddr>,
    /// Connections that start with a PROXY protocol v2 header.
    pub proxy_listen: Vec<SocketAddr>,
    /// Addresses that may connect to `proxy_listen`. Their PROXY headers are trusted.
    pub proxy_peers: Vec<IpAddr>,
    /// Whether a sender at a local domain must sign in. `None`: if mail is sent to other hosts.
    pub own_domains_need_sign_in: Option<bool>,
    /// Whether the From field of a user's message must have addresses of the user only. `None`: if mail is sent to other hosts.
    pub own_header_from: Option<bool>,
}

impl Default for Smtp {
    fn default() -> Self {
        Self {
            listen: vec![SocketAddr::from(([127, 0, 0, 1], 2525))],
            tls_listen: Vec::new(),
            submission_listen: Vec::new(),
            submission_tls_listen: Vec::new(),
            proxy_listen: Vec::new(),
            proxy_peers: loopback_peers(),
            own_domains_need_sign_in: None,
            own_header_from: None,
        }
    }
}

impl Smtp {
    pub(crate) fn validate(&self, tls: &Tls) -> Result<(), InvalidValue> {
        tls.require_for("[smtp]", "tls_listen", &self.tls_listen)?;
        tls.require_for("[smtp]", "submission_tls_listen", &self.submission_tls_listen)
    }
}

pub(crate) fn loopback_peers() -> Vec<IpAddr> {
    vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]
}
