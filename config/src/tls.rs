//! `[tls]`: the certificate of the servers and the bridge.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::InvalidValue;

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
}

/// The keys of the section before validation.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Keys {
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
    #[serde(default)]
    self_signed: bool,
}

impl TryFrom<Keys> for Tls {
    type Error = &'static str;

    fn try_from(keys: Keys) -> Result<Self, Self::Error> {
        match (keys.certificate, keys.key, keys.self_signed) {
            (None, None, false) => Ok(Self::Off),
            (None, None, true) => Ok(Self::SelfSigned),
            (Some(certificate), Some(key), false) => Ok(Self::Files { certificate, key }),
            (Some(_), None, false) => {
                Err("[tls] has `certificate` without `key`; add the file of the private key")
            }
            (None, Some(_), false) => {
                Err("[tls] has `key` without `certificate`; add the file of the certificate")
            }
            (_, _, true) => {
                Err("[tls] has `self_signed = true` and `certificate` or `key`; keep only one of them")
            }
        }
    }
}

impl Tls {
    /// Resolves relative paths against `directory`.
    pub(crate) fn resolve_paths(&mut self, directory: &Path) {
        if let Self::Files { certificate, key } = self {
            *certificate = directory.join(&*certificate);
            *key = directory.join(&*key);
        }
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
            "needs a certificate; set `certificate` and `key` in [tls], or `self_signed = true`",
        )
    }
}
