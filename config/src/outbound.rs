//! `[outbound]`: delivery to other hosts. Without the section, no mail leaves the host.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use mail_core::message::address::Host;
use serde::Deserialize;
use serde::de::{Deserializer, Error as _};

use crate::{InvalidValue, Networks};

/// `[outbound]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outbound {
    pub mode: OutboundMode,
    /// Required by [`OutboundMode::Smarthost`].
    pub smarthost: Option<Smarthost>,
    /// Networks whose clients may send mail to other hosts without signing in.
    #[serde(default)]
    pub relay_from: Networks,
    /// DNS servers; empty means those of the system.
    #[serde(default)]
    pub resolver: Vec<NameServer>,
    /// The port of other hosts' mail servers.
    #[serde(default = "default_port")]
    pub port: u16,
    /// Whether mail servers are verified with DANE (RFC 7672), as far as the DNS servers support DNSSEC.
    #[serde(default = "default_true")]
    pub dane: bool,
    /// File of DNSKEY records that replace the keys of the DNS root.
    pub trust_anchor: Option<PathBuf>,
    /// Whether the MTA-STS policies of other domains are obeyed (RFC 8461).
    #[serde(default = "default_true")]
    pub mta_sts: bool,
    /// The port of policy hosts.
    #[serde(default = "default_policy_port")]
    pub mta_sts_port: u16,
    /// PEM file of root certificates that replaces the system's for policy hosts and for mail servers that must be verified.
    pub ca: Option<PathBuf>,
    /// Private and loopback networks with mail servers that public names may point to.
    #[serde(default)]
    pub private_networks: Networks,
    /// Seconds between the attempts for a message; the last value repeats.
    #[serde(default = "default_retry_seconds")]
    pub retry_seconds: Vec<u32>,
    /// Age of a message that is returned to its sender.
    #[serde(default = "default_lifetime_seconds")]
    pub lifetime_seconds: u32,
    /// Age of a message whose sender receives a report about the delay.
    #[serde(default = "default_delay_report_seconds")]
    pub delay_report_seconds: u32,
}

/// The hosts that receive outbound mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OutboundMode {
    /// The mail servers of each domain (RFC 5321 section 5.1).
    Direct,
    /// One host that relays all mail.
    Smarthost,
}

/// A host that relays all outbound mail.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Smarthost {
    /// `host:port`
    pub address: HostPort,
    #[serde(default)]
    pub tls: SmarthostTls,
    /// Name for AUTH.
    pub user: Option<String>,
    /// File whose first line is the password.
    pub password_file: Option<PathBuf>,
    /// PEM file of root certificates that replaces the system's.
    pub ca: Option<PathBuf>,
}

/// TLS of the connection to the smarthost. The certificate is verified.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SmarthostTls {
    /// Plain text. Not permitted with a password.
    Off,
    #[default]
    StartTls,
    /// TLS with the first octet (port 465).
    Implicit,
}

/// A host and a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPort {
    pub host: HostName,
    pub port: u16,
}

/// A domain or an IP address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostName {
    Domain(String),
    Address(IpAddr),
}

/// A DNS server: `192.0.2.53` or `192.0.2.53:53`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NameServer(pub SocketAddr);

const DNS_PORT: u16 = 53;

fn default_port() -> u16 {
    25
}

fn default_policy_port() -> u16 {
    443
}

fn default_true() -> bool {
    true
}

/// 5, 10, 20, 40 minutes, 1 and 2 hours, then every 4 hours (RFC 5321 section 4.5.4.1).
fn default_retry_seconds() -> Vec<u32> {
    [5, 10, 20, 40, 60, 120, 240].map(|minutes| minutes * 60).to_vec()
}

/// 5 days (RFC 5321 section 4.5.4.1).
fn default_lifetime_seconds() -> u32 {
    5 * 24 * 3_600
}

fn default_delay_report_seconds() -> u32 {
    4 * 3_600
}

impl Outbound {
    pub(crate) fn validate(&self) -> Result<(), InvalidValue> {
        let require = |valid, key, reason: &str| InvalidValue::require(valid, "[outbound]", key, reason);
        require(
            self.mode == OutboundMode::Direct || self.smarthost.is_some(),
            "mode",
            "is \"smarthost\", so `smarthost = { address = \"host:port\" }` is needed",
        )?;
        require(
            !self.retry_seconds.is_empty() && self.retry_seconds.iter().all(|seconds| *seconds > 0),
            "retry_seconds",
            "must be a list of numbers above 0",
        )?;
        require(
            !self.relay_from.contains_all(),
            "relay_from",
            "must not contain all addresses, since everyone could send mail through this host",
        )?;
        require(self.lifetime_seconds > 0, "lifetime_seconds", "must be 1 or more")?;
        require(self.port > 0, "port", "must be 1 or more")?;
        require(self.mta_sts_port > 0, "mta_sts_port", "must be 1 or more")?;
        let Some(smarthost) = &self.smarthost else { return Ok(()) };
        require(
            smarthost.user.is_some() == smarthost.password_file.is_some(),
            "smarthost",
            "needs both `user` and `password_file`, or neither",
        )?;
        require(
            smarthost.user.is_none() || smarthost.tls != SmarthostTls::Off,
            "smarthost",
            "has a password, so `tls` must be \"starttls\" or \"implicit\"",
        )
    }

    /// Resolves relative paths against `directory`.
    pub(crate) fn resolve_paths(&mut self, directory: &Path) {
        let own = [&mut self.ca, &mut self.trust_anchor];
        let smarthost = self.smarthost.iter_mut();
        let smarthost = smarthost.flat_map(|smarthost| [&mut smarthost.password_file, &mut smarthost.ca]);
        for path in own.into_iter().chain(smarthost).flatten() {
            *path = directory.join(&*path);
        }
    }

    /// The pause after an attempt. `attempts` counts from 1.
    #[must_use]
    pub fn retry_after(&self, attempts: u32) -> Duration {
        let index = usize::try_from(attempts.saturating_sub(1)).unwrap_or(usize::MAX);
        let seconds = self.retry_seconds.get(index).or(self.retry_seconds.last());
        Duration::from_secs(seconds.copied().unwrap_or_default().into())
    }
}

impl HostPort {
    fn parse(text: &str) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        let port = port.parse().ok().filter(|port| *port > 0)?;
        let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let address: Option<IpAddr> = bracketed.unwrap_or(host).parse().ok();
        let host = match (address, Host::parse(host)) {
            (Some(address), _) if address.is_ipv4() || bracketed.is_some() => HostName::Address(address),
            (None, Ok(Host::Domain(domain))) => HostName::Domain(domain.ascii().into_owned()),
            _ => return None,
        };
        Some(Self { host, port })
    }
}

impl<'de> Deserialize<'de> for HostPort {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| {
            D::Error::custom(format!("`{text}` is not an address such as \"smtp.example.net:587\""))
        })
    }
}

impl<'de> Deserialize<'de> for NameServer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let address = text.parse::<IpAddr>().map(|address| SocketAddr::new(address, DNS_PORT));
        address.or_else(|_| text.parse()).map(Self).map_err(|_| {
            D::Error::custom(format!("`{text}` is not the address of a DNS server, such as \"192.0.2.53\""))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;

    fn outbound(keys: &str) -> Result<Outbound, String> {
        Config::parse(&format!("[outbound]\n{keys}"))
            .map(|config| config.outbound.expect("the section exists"))
            .map_err(|error| error.reason)
    }

    #[test]
    fn direct_mode_has_the_defaults_of_the_rfc() {
        let outbound = outbound("mode = 'direct'").unwrap();
        assert_eq!((outbound.port, outbound.lifetime_seconds), (25, 432_000));
        let pauses = [1, 2, 6, 7, 100].map(|attempts| outbound.retry_after(attempts).as_secs());
        assert_eq!(pauses, [300, 600, 7_200, 14_400, 14_400]);
        assert!(Config::parse("").unwrap().outbound.is_none());
    }

    #[test]
    fn smarthost_is_read() {
        let outbound = outbound(
            "mode = 'smarthost'\nresolver = ['127.0.0.53', '[::1]:5353']\n\
             smarthost = { address = '[::1]:587', user = 'me', password_file = 'isp.txt' }",
        )
        .unwrap();
        let smarthost = outbound.smarthost.unwrap();
        assert_eq!(smarthost.tls, SmarthostTls::StartTls);
        assert_eq!(smarthost.address.host, HostName::Address("::1".parse().unwrap()));
        assert_eq!(outbound.resolver[0].0.port(), 53);
        assert_eq!(outbound.resolver[1].0.port(), 5353);
    }

    #[test]
    fn contradictions_name_the_remedy() {
        for (keys, part) in [
            ("", "mode"),
            ("mode = 'smarthost'", "`smarthost = {"),
            ("mode = 'smarthost'\nsmarthost = { address = 'isp' }", "smtp.example.net:587"),
            ("mode = 'smarthost'\nsmarthost = { address = 'isp:25', user = 'me' }", "both `user`"),
            (
                "mode = 'smarthost'\nsmarthost = { address = 'isp:25', tls = 'off', user = 'me', password_file = 'p' }",
                "`tls` must be",
            ),
            ("mode = 'direct'\nretry_seconds = []", "`retry_seconds`"),
            ("mode = 'direct'\nrelay_from = ['10.0.0.0/8', '::/0']", "everyone"),
            ("mode = 'direct'\nresolver = ['dns.example']", "192.0.2.53"),
        ] {
            let error = outbound(keys).expect_err(keys);
            assert!(error.contains(part), "{keys}: {error}");
        }
    }
}
