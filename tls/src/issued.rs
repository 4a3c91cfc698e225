//! Files of the certificate that an ACME directory issues, in `.tls/acme` below the data directory. Only the server's user can
//! read them.
//!
//! The key is generated once, so that TLSA records (RFC 6698) for it stay valid.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use rcgen::{CertificateParams, DistinguishedName, KeyPair};
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::sign::CertifiedKey;

use crate::files::{PemFiles, create_private_directory, read_key, replace_private};

/// Paths of the files, which may be missing.
#[derive(Debug, Clone)]
pub struct IssuedFiles {
    directory: PathBuf,
}

impl IssuedFiles {
    #[must_use]
    pub fn new(data: &Path) -> Self {
        Self { directory: data.join(".tls").join("acme") }
    }

    /// The chain, leaf certificate first, in PEM form.
    #[must_use]
    pub fn certificate(&self) -> PathBuf {
        self.directory.join("certificate.pem")
    }

    #[must_use]
    pub fn key(&self) -> PathBuf {
        self.directory.join("key.pem")
    }

    /// The account at the directory.
    #[must_use]
    pub fn account(&self) -> PathBuf {
        self.directory.join("account.json")
    }

    pub(crate) fn pem_files(&self) -> PemFiles {
        PemFiles { certificate: self.certificate(), key: self.key() }
    }

    /// Whether the stored certificate was issued by the directory with this URL.
    #[must_use]
    pub fn is_issued_by(&self, url: &str) -> bool {
        let pem = fs::read_to_string(self.certificate()).unwrap_or_default();
        pem.lines().next() == Some(&note(url))
    }

    /// A certificate signing request (PKCS #10, RFC 2986) for `names` with the stored key, which is generated if it is missing. DER.
    ///
    /// # Errors
    /// A sentence that names the file or the names.
    pub fn signing_request(&self, names: &[String]) -> Result<Vec<u8>, String> {
        let key = self.load_or_create_key()?;
        let request = CertificateParams::new(names).and_then(|mut parameters| {
            parameters.distinguished_name = DistinguishedName::new();
            parameters.serialize_request(&key)
        });
        request.map(|request| request.der().to_vec()).map_err(|error| {
            format!("cannot request a certificate for {}: {error}; correct these names", names.join(", "))
        })
    }

    /// Replaces the certificate, issued by the directory with this URL.
    ///
    /// # Errors
    /// A sentence: the chain is invalid or does not belong to the key, or the file cannot be written.
    pub fn store_certificate(&self, chain: &str, url: &str) -> Result<(), String> {
        let unusable = |reason: String| format!("the directory issued an unusable certificate: {reason}");
        let certificates = CertificateDer::pem_slice_iter(chain.as_bytes())
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| unusable(error.to_string()))?;
        if certificates.is_empty() {
            return Err(unusable("it is empty".into()));
        }
        CertifiedKey::from_der(certificates, read_key(&self.key())?, &ring::default_provider())
            .map_err(|error| unusable(error.to_string()))?;
        self.write(&self.certificate(), &format!("{}\n{chain}", note(url)))
    }

    /// The content of the account's file; `None` if there is none.
    ///
    /// # Errors
    /// A sentence that names the file and the remedy.
    pub fn read_account(&self) -> Result<Option<String>, String> {
        let path = self.account();
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => {
                Err(format!("cannot read {}: {error}; make it readable for this user", path.display()))
            }
        }
    }

    /// # Errors
    /// A sentence that names the file and the remedy.
    pub fn store_account(&self, account: &str) -> Result<(), String> {
        self.write(&self.account(), account)
    }

    fn load_or_create_key(&self) -> Result<KeyPair, String> {
        let path = self.key();
        match fs::read_to_string(&path) {
            Ok(pem) => KeyPair::from_pem(&pem).map_err(|error| {
                format!("{} is not a private key: {error}; delete it to get a new one", path.display())
            }),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let key = KeyPair::generate().map_err(|error| format!("cannot generate a key: {error}"))?;
                self.write(&path, &key.serialize_pem())?;
                Ok(key)
            }
            Err(error) => {
                Err(format!("cannot read {}: {error}; make it readable for this user", path.display()))
            }
        }
    }

    /// Replaces a file. It survives a power failure.
    fn write(&self, path: &Path, content: &str) -> Result<(), String> {
        let write = || -> io::Result<()> {
            if let Some(parent) = self.directory.parent() {
                create_private_directory(parent)?;
            }
            create_private_directory(&self.directory)?;
            replace_private(path, content, true)
        };
        write().map_err(|error| {
            format!("cannot write {}: {error}; make its directory writable for this user", path.display())
        })
    }
}

/// The explanatory text before the first PEM block (RFC 7468 section 2).
fn note(url: &str) -> String {
    format!("Issued by {url}")
}
