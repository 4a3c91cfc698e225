//! A certificate chain and its private key in two PEM files (RFC 7468), and private files.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

/// Paths of the two files. Both may be the same file.
#[derive(Debug, Clone)]
pub(crate) struct PemFiles {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

/// State of both files; `None` for a missing file.
pub(crate) type FileStates = [Option<FileState>; 2];

/// Inode, length and ctime; equal values mean that the file is unchanged. Renames, links and writes all update ctime.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileState {
    inode: u64,
    length: u64,
    /// Seconds and nanoseconds.
    ctime: (i64, i64),
}

impl PemFiles {
    pub(crate) fn states(&self) -> FileStates {
        [&self.certificate, &self.key].map(|path| {
            let metadata = fs::metadata(path).ok()?;
            Some(FileState {
                inode: metadata.ino(),
                length: metadata.len(),
                ctime: (metadata.ctime(), metadata.ctime_nsec()),
            })
        })
    }

    /// Reads both files and checks that the key belongs to the certificate.
    ///
    /// # Errors
    /// A sentence that names the file and the remedy.
    pub(crate) fn read(&self) -> Result<Arc<CertifiedKey>, String> {
        let chain = read_chain(&self.certificate)?;
        let key = read_key(&self.key)?;
        CertifiedKey::from_der(chain, key, &ring::default_provider()).map(Arc::new).map_err(|error| {
            format!(
                "the certificate {} and the key {} do not form a usable pair: {error}; set `certificate` and `key` in \
                 [tls] to a matching pair",
                self.certificate.display(),
                self.key.display()
            )
        })
    }
}

/// # Errors
/// A sentence that names the file and the remedy.
pub(crate) fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, String> {
    PrivateKeyDer::from_pem_slice(&read(path)?).map_err(|error| {
        format!(
            "{} contains no private key in PEM form: {error}; set `key` in [tls] to a file that does",
            path.display()
        )
    })
}

/// Creates a directory that only the server's user can enter, unless it exists.
pub(crate) fn create_private_directory(path: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// Replaces a file atomically; only the server's user can read it. If `is_durable`, it survives a power failure.
pub(crate) fn replace_private(path: &Path, content: &str, is_durable: bool) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    let temp_path = directory.join("new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temp_path)?;
    file.write_all(content.as_bytes())?;
    if is_durable {
        file.sync_all()?;
    }
    fs::rename(&temp_path, path)?;
    if is_durable { File::open(directory)?.sync_all() } else { Ok(()) }
}

fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let reason = match CertificateDer::pem_slice_iter(&read(path)?).collect::<Result<Vec<_>, _>>() {
        Ok(chain) if chain.is_empty() => "it has no CERTIFICATE block".to_owned(),
        Ok(chain) => return Ok(chain),
        Err(error) => error.to_string(),
    };
    Err(format!(
        "{} contains no certificate in PEM form: {reason}; set `certificate` in [tls] to a file that does",
        path.display()
    ))
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    fs::read(path).map_err(|error| {
        format!(
            "cannot read {}: {error}; make it readable for this user, set another file in [tls], or set `self_signed = true`",
            path.display()
        )
    })
}
