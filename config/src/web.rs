//! `[web]`: the page and the WebSocket bridge.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;

use mail_core::message::address::Domain;
use serde::Deserialize;
use serde::de::{Deserializer, Error as _};

use crate::{ByteSize, InvalidValue, Networks};

/// `[web]`
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Web {
    /// Listener of the page and the bridge.
    pub listen: WebListen,
    /// Directory of the built page.
    pub root: PathBuf,
    /// Bridge targets by the name in `/ws/<target>`.
    pub targets: BTreeMap<String, Target>,
    /// Origins allowed to use the bridge, besides the page's own.
    #[serde(deserialize_with = "origins")]
    pub origins: Vec<String>,
    /// Host names accepted in requests, besides the configured host name, `localhost` and IP addresses.
    #[serde(deserialize_with = "crate::deserialize::domains")]
    pub names: Vec<Domain>,
    /// Serve HTTPS if there is a certificate. `false` behind a reverse proxy that handles TLS.
    pub tls: bool,
    /// Reverse proxies whose `X-Forwarded-For`, `-Proto` and `-Host` headers are used.
    pub proxies: Networks,
    /// Path of the page, `/` or with a slash at both ends, such as `/mail/`.
    #[serde(deserialize_with = "path")]
    pub path: String,
    pub limits: WebLimits,
}

/// One entry of `targets`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    pub address: SocketAddr,
    /// Send a PROXY protocol v2 header with the browser's address.
    #[serde(default)]
    pub proxy: bool,
}

/// `[web.limits]`
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WebLimits {
    /// Maximum simultaneous bridge connections; at least 1.
    pub connections: usize,
    /// Maximum simultaneous bridge connections of one IPv4 address or IPv6 /64 network; at least 1.
    pub connections_per_address: usize,
    /// Idle timeout of a bridge connection, 1 second to a day. The default exceeds the idle timeouts of POP3 (RFC 1939
    /// section 3) and SMTP (RFC 5321 section 4.5.3.2.7), so that the servers close first and with a reply.
    pub idle_seconds: u64,
    /// Interval of pings on an idle connection, 1 second to a day. Shorter than common NAT timeouts.
    pub ping_seconds: u64,
    /// Maximum size of a frame, and of a fragmented message, from the browser: 1 byte to 1 GiB.
    pub frame_size: ByteSize,
    /// Rate limit of one connection in each direction; 0 is unlimited.
    pub octets_per_second: ByteSize,
}

impl Default for Web {
    fn default() -> Self {
        Self {
            listen: WebListen::Default,
            root: PathBuf::from("dist"),
            targets: BTreeMap::new(),
            origins: Vec::new(),
            names: Vec::new(),
            tls: true,
            proxies: Networks::default(),
            path: "/".to_owned(),
            limits: WebLimits::default(),
        }
    }
}

impl Default for WebLimits {
    fn default() -> Self {
        Self {
            connections: 1_000,
            connections_per_address: 100,
            idle_seconds: 11 * 60,
            ping_seconds: 30,
            frame_size: ByteSize::mebibytes(1),
            octets_per_second: ByteSize::mebibytes(0),
        }
    }
}

impl WebLimits {
    pub(crate) fn validate(&self) -> Result<(), InvalidValue> {
        const POSITIVE: &str = "must be 1 or more";
        const SECONDS: RangeInclusive<u64> = 1..=86_400;
        const SECONDS_REASON: &str = "must be between 1 and 86400 (a day)";
        let require = |valid, key, reason| InvalidValue::require(valid, "[web.limits]", key, reason);
        require(self.connections > 0, "connections", POSITIVE)?;
        require(self.connections_per_address > 0, "connections_per_address", POSITIVE)?;
        require(SECONDS.contains(&self.idle_seconds), "idle_seconds", SECONDS_REASON)?;
        require(SECONDS.contains(&self.ping_seconds), "ping_seconds", SECONDS_REASON)?;
        require((1..=1 << 30).contains(&self.frame_size.get()), "frame_size", "must be between 1 B and 1 GiB")
    }
}

/// Address of the web listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WebListen {
    /// Not configured: 127.0.0.1:8080 if it is free.
    Default,
    /// Port 0 selects a free port.
    Address(SocketAddr),
    Off,
}

impl WebListen {
    /// The address to bind; `None` if the listener is off.
    #[must_use]
    pub fn address(self) -> Option<SocketAddr> {
        match self {
            Self::Default => Some(SocketAddr::from(([127, 0, 0, 1], 8080))),
            Self::Address(address) => Some(address),
            Self::Off => None,
        }
    }
}

impl FromStr for WebListen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "off" {
            return Ok(Self::Off);
        }
        text.parse().map(Self::Address).map_err(|_| {
            format!("`{text}` is not a socket address; write it as in \"127.0.0.1:8080\", or \"off\"")
        })
    }
}

impl<'de> Deserialize<'de> for WebListen {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// Lower-cases origins, which are compared as strings. Rejects strings that no browser sends as an Origin.
fn origins<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let origins = Vec::<String>::deserialize(deserializer)?;
    let is_origin = |text: &str| {
        let host = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://")).unwrap_or_default();
        !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_graphic() && !b"/?#@*".contains(&byte))
    };
    match origins.iter().find(|text| !is_origin(text)) {
        None => Ok(origins.iter().map(|text| text.to_ascii_lowercase()).collect()),
        Some(text) => Err(D::Error::custom(format!(
            "`{text}` is not an origin; write only scheme, host and port, as in \"https://mail.example.org\""
        ))),
    }
}

/// A path that needs no escapes.
fn path<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let path = String::deserialize(deserializer)?;
    let is_segment = |segment: &str| {
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_~.".contains(&byte);
        segment.bytes().all(is_allowed) && !matches!(segment, "" | "." | "..")
    };
    let inner = path.strip_prefix('/').and_then(|path| path.strip_suffix('/'));
    if path == "/" || inner.is_some_and(|inner| inner.split('/').all(is_segment)) {
        Ok(path)
    } else {
        Err(D::Error::custom(format!(
            "`{path}` is not a path; write it with a slash at both ends, as in \"/mail/\""
        )))
    }
}

#[cfg(test)]
mod tests {
    use crate::Config;

    #[test]
    fn path_has_a_slash_at_both_ends() {
        let parse = |path: &str| Config::parse(&format!("[web]\npath = '{path}'"));
        for path in ["/", "/mail/", "/a/b-c.d/"] {
            assert_eq!(parse(path).expect(path).web.path, path);
        }
        for path in ["", "mail", "/mail", "mail/", "//", "/../", "/a//b/", "/a b/", "/a?/", "/<a>/"] {
            assert!(parse(path).is_err(), "{path}");
        }
    }
}
