//! `[web]`: the page and the bridge that carries its bytes.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;

use mail_core::message::address::Domain;
use serde::Deserialize;
use serde::de::{Deserializer, Error as _};

use crate::Octets;

/// `[web]`
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Web {
    /// Where the page and the bridge listen; port 0 takes a free one, `"off"` is nowhere.
    pub listen: WebListen,
    /// The directory of the built page.
    pub root: PathBuf,
    /// What a page may be connected to, by the name that it asks for.
    pub targets: BTreeMap<String, Target>,
    /// Origins besides the page's own whose scripts may use the bridge.
    #[serde(deserialize_with = "origins")]
    pub origins: Vec<String>,
    /// What browsers may call this host besides the hostname, `localhost` and an IP address.
    #[serde(deserialize_with = "crate::domains")]
    pub names: Vec<Domain>,
    pub limits: WebLimits,
}

/// One entry of `targets`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    pub address: SocketAddr,
    /// Open the connection with a PROXY protocol v2 header that carries the browser's address.
    #[serde(default)]
    pub proxy: bool,
}

/// `[web.limits]`: everything that a browser could otherwise have without end.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WebLimits {
    /// Bridged connections in all.
    pub connections: usize,
    /// Bridged connections of one address (of one /64 network with IPv6).
    pub connections_per_address: usize,
    /// A connection that moves no bytes for so long ends. The default is longer than what POP3 (RFC 1939 section 3)
    /// and SMTP (RFC 5321 section 4.5.3.2.7) give a silent client, so that the servers speak first.
    pub idle_seconds: u64,
    /// How often a ping goes to the browser on a silent connection; routers forget one after a minute or more.
    pub ping_seconds: u64,
    /// The largest frame, and the largest message made of several, that a browser may send.
    pub frame_size: Octets,
    /// How much one connection may carry each way in a second; 0 is as much as it can.
    pub octets_per_second: Octets,
}

impl Default for Web {
    fn default() -> Self {
        Self {
            listen: WebListen::Usual,
            root: PathBuf::from("dist"),
            targets: BTreeMap::new(),
            origins: Vec::new(),
            names: Vec::new(),
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
            frame_size: Octets::mebibytes(1),
            octets_per_second: Octets::mebibytes(0),
        }
    }
}

impl WebLimits {
    /// The key whose value would leave nothing to serve, and the reason.
    pub(crate) fn nonsense(&self) -> Option<(&'static str, &'static str)> {
        const ONE: &str = "must be 1 or more";
        const A_DAY: &str = "must be between 1 and 86400, a day";
        const SECONDS: RangeInclusive<u64> = 1..=86_400;
        [
            ("connections", self.connections == 0, ONE),
            ("connections_per_address", self.connections_per_address == 0, ONE),
            ("idle_seconds", !SECONDS.contains(&self.idle_seconds), A_DAY),
            ("ping_seconds", !SECONDS.contains(&self.ping_seconds), A_DAY),
            (
                "frame_size",
                !(1..=1 << 30).contains(&self.frame_size.get()),
                "must be between 1 octet and 1 GiB",
            ),
        ]
        .into_iter()
        .find_map(|(key, nonsense, reason)| nonsense.then_some((key, reason)))
    }
}

/// Where the web is to be found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WebListen {
    /// Nobody has named a place: 127.0.0.1:8080, where it is free.
    Usual,
    At(SocketAddr),
    Off,
}

impl WebListen {
    #[must_use]
    pub fn address(self) -> Option<SocketAddr> {
        match self {
            Self::Usual => Some(SocketAddr::from(([127, 0, 0, 1], 8080))),
            Self::At(address) => Some(address),
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
        text.parse().map(Self::At).map_err(|_| {
            format!("`{text}` is no socket address; write it as in \"127.0.0.1:8080\", or \"off\"")
        })
    }
}

impl<'de> Deserialize<'de> for WebListen {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// Origins are compared as strings, so one that no browser would send is refused here.
fn origins<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let origins = Vec::<String>::deserialize(deserializer)?;
    let is_origin = |text: &str| {
        let host = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://")).unwrap_or_default();
        !host.is_empty() && host.bytes().all(|octet| octet.is_ascii_graphic() && !b"/?#@*".contains(&octet))
    };
    match origins.iter().find(|text| !is_origin(text)) {
        None => Ok(origins.iter().map(|text| text.to_ascii_lowercase()).collect()),
        Some(text) => Err(D::Error::custom(format!(
            "`{text}` is no origin; write scheme, host and port alone, as in \"https://mail.example.org\""
        ))),
    }
}
