//! `[tls]`: the certificate of the servers and the bridge.

use std::fmt::{self, Display};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use http::Uri;
use http::uri::Scheme;
use mail_core::message::address::Address;
use serde::Deserialize;
use serde::de::{Deserializer, Error as _};

use crate::{InvalidValue, Web, WebListen};

/// `[tls]`
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Keys")]
pub enum Tls {
    /// No certificate: TLS is not offered.
    #[default]
    Off,
    /// PEM files: a certificate chain, leaf first, and the private key of the leaf.
    Files { certificate: PathBuf, key: PathBuf },
    /// A generated certificate, stored in the data directory.
    SelfSigned,
    /// A certificate that an ACME directory issues (RFC 8555), stored in the data directory.
    Acme(Acme),
}

/// `acme` in `[tls]`. Setting it is the consent to the directory's terms of service.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Acme {
    /// `mailto:` and an address, to which the directory may send warnings.
    #[serde(deserialize_with = "mailto")]
    pub contact: String,
    #[serde(default)]
    pub directory: DirectoryUrl,
    /// PEM file of root certificates that replaces the system's for connections to the directory.
    pub ca: Option<PathBuf>,
}

/// The `https` URL of an ACME directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectoryUrl(Uri);

impl DirectoryUrl {
    const HTTPS_PORT: u16 = 443;

    /// The port of HTTPS requests to a URL.
    #[must_use]
    pub fn port_of(url: &Uri) -> u16 {
        url.port_u16().unwrap_or(Self::HTTPS_PORT)
    }

    #[must_use]
    pub fn port(&self) -> u16 {
        Self::port_of(&self.0)
    }
}

/// Let's Encrypt.
impl Default for DirectoryUrl {
    fn default() -> Self {
        Self(Uri::from_static("https://acme-v02.api.letsencrypt.org/directory"))
    }
}

impl Display for DirectoryUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for DirectoryUrl {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_valid = |url: &Uri| {
            url.scheme() == Some(&Scheme::HTTPS)
                && url.authority().is_some_and(|authority| !authority.as_str().contains('@'))
                && url.port_u16() != Some(0)
        };
        let url = text.parse().ok().filter(is_valid);
        url.map(Self)
            .ok_or("`directory` in `acme` must be an https URL, such as https://ca.example/directory")
    }
}

impl<'de> Deserialize<'de> for DirectoryUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

fn mailto<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let contact = String::deserialize(deserializer)?;
    // RFC 8555 section 7.3: one address, no header fields.
    let is_address = |address| Address::parse(address).is_ok();
    if contact.is_ascii() && !contact.contains('?') && contact.strip_prefix("mailto:").is_some_and(is_address)
    {
        Ok(contact)
    } else {
        Err(D::Error::custom(
            "`contact` in `acme` must be `mailto:` and an address, such as mailto:me@example.org",
        ))
    }
}

/// The keys of the section before validation.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Keys {
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
    #[serde(default)]
    self_signed: bool,
    acme: Option<Acme>,
}

impl TryFrom<Keys> for Tls {
    type Error = &'static str;

    fn try_from(keys: Keys) -> Result<Self, Self::Error> {
        match (keys.certificate, keys.key, keys.self_signed, keys.acme) {
            (None, None, false, None) => Ok(Self::Off),
            (None, None, true, None) => Ok(Self::SelfSigned),
            (None, None, false, Some(acme)) => Ok(Self::Acme(acme)),
            (Some(certificate), Some(key), false, None) => Ok(Self::Files { certificate, key }),
            (Some(_), None, false, None) => {
                Err("[tls] has `certificate` without `key`; add the file of the private key")
            }
            (None, Some(_), false, None) => {
                Err("[tls] has `key` without `certificate`; add the file of the certificate")
            }
            (_, _, true, None) => {
                Err("[tls] has `self_signed = true` and `certificate` or `key`; keep only one of them")
            }
            (_, _, _, Some(_)) => Err("[tls] has `acme` and another certificate; keep only one of them"),
        }
    }
}

impl Tls {
    /// Resolves relative paths against `directory`.
    pub(crate) fn resolve_paths(&mut self, directory: &Path) {
        match self {
            Self::Files { certificate, key } => {
                *certificate = directory.join(&*certificate);
                *key = directory.join(&*key);
            }
            Self::Acme(Acme { ca: Some(ca), .. }) => *ca = directory.join(&*ca),
            Self::Off | Self::SelfSigned | Self::Acme(_) => {}
        }
    }

    /// The challenges of ACME are answered by the page's listener.
    pub(crate) fn validate(&self, web: &Web) -> Result<(), InvalidValue> {
        let require = |valid, key, reason| InvalidValue::require(valid, "[web]", key, reason);
        if !matches!(self, Self::Acme(_)) {
            return Ok(());
        }
        require(
            web.listen != WebListen::Off,
            "listen",
            "must be an address if [tls] has `acme`: it answers the directory's connections to port 443",
        )?;
        require(
            web.tls,
            "tls",
            "must be true if [tls] has `acme`; behind a proxy, give the proxy's certificate to `certificate` and `key`",
        )
    }

    /// Fails if a TLS listener is configured without a certificate.
    pub(crate) fn require_for(
        &self,
        section: &'static str,
        key: &'static str,
        listen: &[SocketAddr],
    ) -> Result<(), InvalidValue> {
        InvalidValue::require(
            listen.is_empty() || *self != Self::Off,
            section,
            key,
            "needs a certificate; set `certificate` and `key`, `acme`, or `self_signed = true` in [tls]",
        )
    }
}
