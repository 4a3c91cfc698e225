//! The certificate of the servers and the bridge: read from files, reloaded when they change, or self-signed.
//!
//! TLS 1.2 (RFC 5246) and 1.3 (RFC 8446), as RFC 8996 and RFC 9325 require. This crate opens no sockets: listeners take a
//! [`ServerConfig`] and run the handshakes.

mod files;
mod findings;
mod self_signed;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use rustls::crypto::ring;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, version};
use sha2::{Digest, Sha256};
use tracing::{error, info};

pub use crate::findings::Finding;

use crate::files::{FileStates, PemFiles};
use crate::self_signed::SelfSigned;

/// A certificate and its key. Clones share one state, and each handshake uses the current content of the files.
#[derive(Debug, Clone)]
pub struct Certificate(Arc<ReloadingResolver>);

/// Reloads the files if they have changed since the last handshake.
#[derive(Debug)]
struct ReloadingResolver {
    files: PemFiles,
    /// Generates the files, if the certificate is self-signed.
    self_signed: Option<SelfSigned>,
    loaded: Mutex<LoadedKey>,
}

/// The key in use, and the state of the files when they were last read.
#[derive(Debug)]
struct LoadedKey {
    key: Arc<CertifiedKey>,
    file_states: FileStates,
}

impl Certificate {
    /// Opens the configured certificate; `None` if TLS is off. A self-signed certificate is issued for `hostname` and
    /// stored in `.tls` below `data`, so that its fingerprint survives a restart.
    ///
    /// # Errors
    /// A sentence that names the file and the remedy.
    pub fn open(config: &config::Tls, data: &Path, hostname: &str) -> Result<Option<Self>, String> {
        let (files, self_signed) = match config {
            config::Tls::Off => return Ok(None),
            config::Tls::Files { certificate, key } => {
                (PemFiles { certificate: certificate.clone(), key: key.clone() }, None)
            }
            config::Tls::SelfSigned => {
                let self_signed = SelfSigned::new(data, hostname);
                self_signed.ensure_valid()?;
                (self_signed.files(), Some(self_signed))
            }
        };
        let file_states = files.states();
        let key = files.read()?;
        let loaded = Mutex::new(LoadedKey { key, file_states });
        let certificate = Self(Arc::new(ReloadingResolver { files, self_signed, loaded }));
        info!(fingerprint = certificate.fingerprint(), "certificate loaded");
        Ok(Some(certificate))
    }

    /// Configuration for a listener. `alpn` lists the protocols to offer (RFC 7301); if it is empty, the ALPN extension
    /// of clients is ignored.
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

    #[must_use]
    pub fn is_self_signed(&self) -> bool {
        self.0.self_signed.is_some()
    }

    /// Reasons for clients that connect to `names` to refuse the current certificate, at a time.
    #[must_use]
    pub fn findings(&self, names: &[String], now: SystemTime) -> Vec<Finding> {
        findings::inspect(&self.0.current_key().cert, names, now)
    }

    /// SHA-256 fingerprint of the current leaf certificate, in the format of `openssl x509 -fingerprint -sha256`.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        fingerprint(&self.0.current_key())
    }
}

impl ReloadingResolver {
    /// Returns the current key. Two `stat` calls cost less than a hundredth of a handshake, so no watcher is needed.
    fn current_key(&self) -> Arc<CertifiedKey> {
        if let Some(self_signed) = &self.self_signed
            && let Err(sentence) = self_signed.renew_if_due()
        {
            error!("{sentence}; keeping the previous certificate");
        }
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        // The states are taken before the read, so that the next call detects a change during the read.
        let file_states = self.files.states();
        if loaded.file_states != file_states {
            loaded.file_states = file_states;
            match self.files.read() {
                Ok(key) => {
                    info!(fingerprint = fingerprint(&key), "certificate reloaded");
                    loaded.key = key;
                }
                Err(sentence) => error!("{sentence}; keeping the previous certificate"),
            }
        }
        Arc::clone(&loaded.key)
    }
}

impl ResolvesServerCert for ReloadingResolver {
    fn resolve(&self, _client_hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current_key())
    }
}

fn fingerprint(key: &CertifiedKey) -> String {
    let leaf = key.cert.first().map_or(&[][..], |leaf| leaf.as_ref());
    Sha256::digest(leaf).iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":")
}
