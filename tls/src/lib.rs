//! The certificate of the servers and the bridge: read from files, reloaded when they change, self-signed, or issued by an ACME
//! directory, whose challenges the listeners answer (RFC 8737).
//!
//! TLS 1.2 (RFC 5246) and 1.3 (RFC 8446), as RFC 8996 and RFC 9325 require. This crate opens no sockets: listeners take a
//! [`ServerConfig`] and run the handshakes.

mod challenge;
mod files;
mod findings;
mod issued;
mod self_signed;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use rustls::crypto::ring;
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, version};
use sha2::{Digest, Sha256};
use tracing::{error, info};

pub use crate::challenge::{CHALLENGE_PROTOCOL, OpenChallenge};
pub use crate::findings::Finding;
pub use crate::issued::IssuedFiles;

use crate::challenge::Challenges;
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
    /// Files that take the place of `files` once they are usable, and the challenges of the directory that issues them.
    issued: Option<(PemFiles, Challenges)>,
    loaded: Mutex<LoadedKey>,
}

/// The key in use, and the states of the files when they were last read.
#[derive(Debug)]
struct LoadedKey {
    key: Arc<CertifiedKey>,
    file_states: FileStates,
    issued_states: FileStates,
    /// Whether the key is from the issued files, which stay in use then.
    is_issued: bool,
}

impl LoadedKey {
    /// Reads the key again. Returns whether the files are valid.
    fn reload(&mut self, files: &PemFiles) -> bool {
        match files.read() {
            Ok(key) => {
                info!(fingerprint = fingerprint(&key), "certificate reloaded");
                self.key = key;
                true
            }
            Err(sentence) => {
                error!("{sentence}; keeping the previous certificate");
                false
            }
        }
    }
}

impl Certificate {
    /// Opens the configured certificate; `None` if TLS is off. A self-signed certificate is issued for `hostname` and
    /// stored in `.tls` below `data`, so that its fingerprint survives a restart. It also takes the place of a certificate that the
    /// ACME directory has not issued yet.
    ///
    /// # Errors
    /// A sentence that names the file and the remedy.
    pub fn open(config: &config::Tls, data: &Path, hostname: &str) -> Result<Option<Self>, String> {
        match config {
            config::Tls::Off => Ok(None),
            config::Tls::Files { certificate, key } => {
                let files = PemFiles { certificate: certificate.clone(), key: key.clone() };
                Self::load(files, None).map(Some)
            }
            config::Tls::SelfSigned => Self::issue(SelfSigned::new(data, hostname)).map(Some),
            config::Tls::Acme(_) => Self::open_issued(data, hostname).map(Some),
        }
    }

    /// As [`open`](Self::open) with a self-signed certificate, for a process whose data need not survive a power failure.
    ///
    /// # Errors
    /// A sentence that names the directory and the remedy.
    pub fn temporary(data: &Path, hostname: &str) -> Result<Self, String> {
        Self::issue(SelfSigned::temporary(data, hostname))
    }

    fn issue(self_signed: SelfSigned) -> Result<Self, String> {
        self_signed.ensure_valid()?;
        Self::load(self_signed.files(), Some(self_signed))
    }

    fn load(files: PemFiles, self_signed: Option<SelfSigned>) -> Result<Self, String> {
        let file_states = files.states();
        let key = files.read()?;
        let loaded = LoadedKey { key, file_states, issued_states: FileStates::default(), is_issued: false };
        Ok(Self::new(files, self_signed, None, loaded))
    }

    /// Loads the issued certificate, or a self-signed one if there is none.
    fn open_issued(data: &Path, hostname: &str) -> Result<Self, String> {
        let self_signed = SelfSigned::new(data, hostname);
        let issued = IssuedFiles::new(data).pem_files();
        let issued_states = issued.states();
        let read = issued_states.iter().all(Option::is_some).then(|| issued.read());
        let loaded = match read {
            Some(Ok(key)) => {
                LoadedKey { key, file_states: FileStates::default(), issued_states, is_issued: true }
            }
            unusable => {
                if let Some(Err(sentence)) = unusable {
                    error!(
                        "{sentence}; using a self-signed certificate until the directory issues another one"
                    );
                }
                self_signed.ensure_valid()?;
                let file_states = self_signed.files().states();
                LoadedKey { key: self_signed.files().read()?, file_states, issued_states, is_issued: false }
            }
        };
        let issued = Some((issued, Challenges::default()));
        Ok(Self::new(self_signed.files(), Some(self_signed), issued, loaded))
    }

    fn new(
        files: PemFiles,
        self_signed: Option<SelfSigned>,
        issued: Option<(PemFiles, Challenges)>,
        loaded: LoadedKey,
    ) -> Self {
        let certificate =
            Self(Arc::new(ReloadingResolver { files, self_signed, issued, loaded: Mutex::new(loaded) }));
        info!(fingerprint = certificate.fingerprint(), "certificate loaded");
        certificate
    }

    /// The file with the certificate, in PEM form.
    #[must_use]
    pub fn file(&self) -> &Path {
        match &self.0.issued {
            Some((issued, _)) if self.0.lock().is_issued => &issued.certificate,
            _ => &self.0.files.certificate,
        }
    }

    /// Configuration for a listener. `alpn` lists the protocols to offer (RFC 7301); if it is empty, the ALPN extension
    /// of clients is ignored. Otherwise, with an ACME directory, the listener also answers challenges; it must then close a
    /// connection that has negotiated [`CHALLENGE_PROTOCOL`].
    #[must_use]
    pub fn server_config(&self, alpn: &[&[u8]]) -> Arc<ServerConfig> {
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[&version::TLS13, &version::TLS12])
            .expect("the provider has cipher suites for both versions")
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&self.0) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
        if !alpn.is_empty() && self.0.issued.is_some() {
            config.alpn_protocols.push(CHALLENGE_PROTOCOL.to_vec());
        }
        Arc::new(config)
    }

    /// Whether the certificate stays self-signed.
    #[must_use]
    pub fn is_self_signed(&self) -> bool {
        self.0.self_signed.is_some() && self.0.issued.is_none()
    }

    /// The end of two thirds of the lifetime of the issued certificate; `None` if there is none for exactly `names`.
    #[must_use]
    pub fn renewal_due(&self, names: &[String]) -> Option<SystemTime> {
        let key = self.0.current_key();
        let is_issued = self.0.lock().is_issued;
        is_issued.then(|| findings::renewal_due(key.cert.first()?, names)).flatten()
    }

    /// Answers the challenge of an ACME directory for a name until the result is dropped. `digest` is the SHA-256 digest of the key
    /// authorization (RFC 8737 section 3).
    ///
    /// # Errors
    /// A sentence: the name cannot be in a certificate, or there is no ACME directory.
    pub fn open_challenge(&self, name: &str, digest: &[u8]) -> Result<OpenChallenge, String> {
        let (_, challenges) = self.0.issued.as_ref().ok_or("no ACME directory is configured")?;
        challenges.open(name, digest)
    }

    /// Reasons for clients that connect to `names` to refuse the current certificate, at a time.
    #[must_use]
    pub fn findings(&self, names: &[String], now: SystemTime) -> Vec<Finding> {
        findings::inspect(&self.0.current_key().cert, names, now)
    }

    /// SHA-256 digest of the public key of the current leaf certificate, in hexadecimal digits: a TLSA record `3 1 1` names it
    /// (RFC 6698 section 2.1).
    ///
    /// # Errors
    /// The certificate cannot be parsed.
    pub fn public_key_digest(&self) -> Result<String, String> {
        let key = self.0.current_key();
        let leaf = key.cert.first().ok_or("the certificate file is empty")?;
        let parsed = ParsedCertificate::try_from(leaf).map_err(|error| error.to_string())?;
        let digest = Sha256::digest(parsed.subject_public_key_info());
        Ok(digest.iter().map(|octet| format!("{octet:02x}")).collect())
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
        let is_issued = self.lock().is_issued;
        if let Some(self_signed) = &self.self_signed
            && !is_issued
            && let Err(sentence) = self_signed.renew_if_due()
        {
            error!("{sentence}; keeping the previous certificate");
        }
        let mut loaded = self.lock();
        // The states are taken before the read, so that the next call detects a change during the read.
        if let Some((issued, _)) = &self.issued {
            let states = issued.states();
            // Until the first certificate is issued, files are missing.
            let is_complete = loaded.is_issued || states.iter().all(Option::is_some);
            if loaded.issued_states != states && is_complete {
                loaded.issued_states = states;
                loaded.is_issued |= loaded.reload(issued);
            }
        }
        if !loaded.is_issued {
            let states = self.files.states();
            if loaded.file_states != states {
                loaded.file_states = states;
                loaded.reload(&self.files);
            }
        }
        Arc::clone(&loaded.key)
    }

    fn lock(&self) -> MutexGuard<'_, LoadedKey> {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ResolvesServerCert for ReloadingResolver {
    fn resolve(&self, client_hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        match &self.issued {
            Some((_, challenges)) if challenge::is_challenge(&client_hello) => challenges.key(&client_hello),
            _ => Some(self.current_key()),
        }
    }
}

fn fingerprint(key: &CertifiedKey) -> String {
    let leaf = key.cert.first().map_or(&[][..], |leaf| leaf.as_ref());
    Sha256::digest(leaf).iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":")
}
