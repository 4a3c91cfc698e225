//! A certificate chain and its key as two PEM files (RFC 7468).

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

/// Where they are. Both may be the same file.
#[derive(Debug, Clone)]
pub(crate) struct Files {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

/// What tells one content of both files from the next, without reading them; `None` for a file that is not there.
pub(crate) type Stamps = [Option<Stamp>; 2];

/// The inode, its last change (which a rename, a link and a write all move), its length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    inode: u64,
    changed: (i64, i64),
    length: u64,
}

impl Files {
    pub(crate) fn stamps(&self) -> Stamps {
        [&self.certificate, &self.key].map(|path| {
            let metadata = fs::metadata(path).ok()?;
            Some(Stamp {
                inode: metadata.ino(),
                changed: (metadata.ctime(), metadata.ctime_nsec()),
                length: metadata.len(),
            })
        })
    }

    /// Reads and checks both.
    ///
    /// # Errors
    /// One sentence that names the file and the remedy.
    pub(crate) fn read(&self) -> Result<Arc<CertifiedKey>, String> {
        let chain = read_chain(&self.certificate)?;
        let key = PrivateKeyDer::from_pem_slice(&read(&self.key)?).map_err(|error| {
            format!(
                "{} holds no private key in PEM form: {error}; name one with `key` in [tls]",
                self.key.display()
            )
        })?;
        CertifiedKey::from_der(chain, key, &ring::default_provider()).map(Arc::new).map_err(|error| {
            format!(
                "the certificate {} and the key {} cannot be used together: {error}; name a pair with `certificate` and \
                 `key` in [tls]",
                self.certificate.display(),
                self.key.display()
            )
        })
    }
}

fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let reason = match CertificateDer::pem_slice_iter(&read(path)?).collect::<Result<Vec<_>, _>>() {
        Ok(chain) if chain.is_empty() => "no CERTIFICATE block is in it".to_owned(),
        Ok(chain) => return Ok(chain),
        Err(error) => error.to_string(),
    };
    Err(format!(
        "{} holds no certificate in PEM form: {reason}; name one with `certificate` in [tls]",
        path.display()
    ))
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    fs::read(path).map_err(|error| {
        format!(
            "cannot read {}: {error}; let this user read it, or name another file in [tls], or set `self_signed = true`",
            path.display()
        )
    })
}
