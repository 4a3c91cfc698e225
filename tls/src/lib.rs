//! The certificate that the servers and the bridge show: read from its files, read again when they change, or made for a
//! first try.
//!
//! TLS 1.2 (RFC 5246) and 1.3 (RFC 8446) as RFC 8996 and RFC 9325 ask; the older versions are not there at all. No socket is
//! opened here: whoever listens takes a [`ServerConfig`] and does its own handshakes.

mod files;
mod self_signed;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::crypto::ring;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, version};
use sha2::{Digest, Sha256};
use tracing::{error, info};

use crate::files::{Files, Stamps};
use crate::self_signed::SelfSigned;

/// A certificate and its key; every clone sees a change of the files at its next handshake.
#[derive(Debug, Clone)]
pub struct Certificate(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    files: Files,
    /// Who makes the files, if it is not somebody else.
    self_signed: Option<SelfSigned>,
    present: Mutex<Present>,
}

/// What is in force, and the state of the files when they were last read.
#[derive(Debug)]
struct Present {
    key: Arc<CertifiedKey>,
    stamps: Stamps,
}

impl Certificate {
    /// The certificate that the configuration asks for; `None` where it asks for none. One that signs itself is kept
    /// below `data`, in `.tls`, so that a fingerprint that somebody has pinned lasts; it is made for `hostname`.
    ///
    /// # Errors
    /// There is none to be had: one sentence that names the file and the remedy.
    pub fn open(config: &config::Tls, data: &Path, hostname: &str) -> Result<Option<Self>, String> {
        let (files, self_signed) = match config {
            config::Tls::Off => return Ok(None),
            config::Tls::Files { certificate, key } => {
                (Files { certificate: certificate.clone(), key: key.clone() }, None)
            }
            config::Tls::SelfSigned => {
                let self_signed = SelfSigned::new(data, hostname);
                self_signed.prepare()?;
                (self_signed.files(), Some(self_signed))
            }
        };
        let stamps = files.stamps();
        let key = files.read()?;
        let certificate =
            Self(Arc::new(Shared { files, self_signed, present: Mutex::new(Present { key, stamps }) }));
        info!(fingerprint = certificate.fingerprint(), "certificate");
        Ok(Some(certificate))
    }

    /// What a listener does its handshakes with. `alpn` are the protocols that it offers (RFC 7301); with none, a
    /// client's wishes are not looked at.
    #[must_use]
    pub fn server_config(&self, alpn: &[&[u8]]) -> Arc<ServerConfig> {
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[&version::TLS13, &version::TLS12])
            .expect("the provider has cipher suites for both versions")
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&self.0) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
        Arc::new(config)
    }

    /// Nobody vouches for it: it was made here.
    #[must_use]
    pub fn is_self_signed(&self) -> bool {
        self.0.self_signed.is_some()
    }

    /// The SHA-256 of the certificate in force, as `openssl x509 -fingerprint -sha256` writes it.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        fingerprint(&self.0.present())
    }
}

impl Shared {
    /// The certificate in force. Two looks at the file system cost less than a hundredth of a handshake, so each looks.
    fn present(&self) -> Arc<CertifiedKey> {
        if let Some(self_signed) = &self.self_signed
            && let Err(sentence) = self_signed.renew()
        {
            error!("{sentence}; the certificate from before stays in force");
        }
        let mut present = self.present.lock().unwrap_or_else(PoisonError::into_inner);
        // Taken before the files are read: a change in between is seen the next time.
        let stamps = self.files.stamps();
        if present.stamps != stamps {
            present.stamps = stamps;
            match self.files.read() {
                Ok(key) => {
                    info!(fingerprint = fingerprint(&key), "the certificate has changed");
                    present.key = key;
                }
                Err(sentence) => error!("{sentence}; the certificate from before stays in force"),
            }
        }
        Arc::clone(&present.key)
    }
}

impl ResolvesServerCert for Shared {
    fn resolve(&self, _client_hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.present())
    }
}

fn fingerprint(key: &CertifiedKey) -> String {
    let leaf = key.cert.first().map_or(&[][..], |leaf| leaf.as_ref());
    Sha256::digest(leaf).iter().map(|octet| format!("{octet:02X}")).collect::<Vec<_>>().join(":")
}

#[cfg(test)]
mod tests;
