//! `[limits]`: sizes and counts that bound the SMTP and POP3 servers.

use serde::Deserialize;

use crate::{ByteSize, InvalidValue, Networks};

/// `[limits]`
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Maximum message size in octets as sent (SIZE, RFC 1870); at least 1.
    pub message_size: ByteSize,
    /// Maximum recipients of one message; at least 100 (RFC 5321 section 4.5.3.1.8).
    pub recipients: usize,
    /// Maximum simultaneous connections of one listener, 1 to 1 000 000.
    pub connections: usize,
    /// Maximum simultaneous connections of one IPv4 address or IPv6 /64 network; at least 1.
    pub connections_per_address: usize,
    /// Memory for all messages being received; larger amounts go to temporary files.
    pub message_memory: ByteSize,
    /// Networks exempt from limits per address: proxies without a PROXY header, hosts of the same site.
    pub trusted: Networks,
}

/// Exceeds the file descriptors of any host.
const CONNECTIONS_MAX: usize = 1_000_000;

impl Default for Limits {
    fn default() -> Self {
        Self {
            message_size: ByteSize::mebibytes(25),
            recipients: 1_000,
            connections: 1_000,
            connections_per_address: 100,
            message_memory: ByteSize::mebibytes(64),
            trusted: Networks::default(),
        }
    }
}

impl Limits {
    pub(crate) fn validate(&self) -> Result<(), InvalidValue> {
        let require = |valid, key, reason| InvalidValue::require(valid, "[limits]", key, reason);
        require(
            self.recipients >= 100,
            "recipients",
            "must be 100 or more (RFC 5321 section 4.5.3.1.8)".to_owned(),
        )?;
        require(self.message_size.get() > 0, "message_size", "must be 1 or more".to_owned())?;
        require(
            (1..=CONNECTIONS_MAX).contains(&self.connections),
            "connections",
            format!("must be between 1 and {CONNECTIONS_MAX}"),
        )?;
        require(self.connections_per_address > 0, "connections_per_address", "must be 1 or more".to_owned())
    }
}
