//! A self-signed certificate for trying out TLS; clients pin its fingerprint.
//!
//! The certificate and its key are in `.tls` below the data directory, readable only by the server's user. The key is
//! generated once. The certificate is reissued before it expires and when the host name changes. Its names and expiry are
//! recorded in the explanatory text that RFC 7468 section 2 allows before the PEM block.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{
    CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, date_time_ymd,
};
use tracing::info;

use crate::files::{PemFiles, create_private_directory, replace_private};

/// Browsers accept at most 398 days.
const LIFETIME: Duration = Duration::from_hours(397 * 24);
const RENEWAL_BEFORE_EXPIRY: Duration = Duration::from_hours(30 * 24);
/// Tolerance for clients whose clock is slow.
const BACKDATE: Duration = Duration::from_hours(24);
const RETRY_SECONDS: u64 = 3_600;

#[derive(Debug)]
pub(crate) struct SelfSigned {
    directory: PathBuf,
    hostname: String,
    /// Whether the files survive a power failure.
    is_durable: bool,
    /// Unix time of the next renewal in seconds.
    renewal_due: AtomicU64,
}

impl SelfSigned {
    pub(crate) fn new(data: &Path, hostname: &str) -> Self {
        Self {
            directory: data.join(".tls"),
            hostname: hostname.to_owned(),
            is_durable: true,
            renewal_due: AtomicU64::new(0),
        }
    }

    /// As [`new`](Self::new), without the syncs.
    pub(crate) fn temporary(data: &Path, hostname: &str) -> Self {
        Self { is_durable: false, ..Self::new(data, hostname) }
    }

    pub(crate) fn files(&self) -> PemFiles {
        PemFiles { certificate: self.directory.join("certificate.pem"), key: self.directory.join("key.pem") }
    }

    /// Reissues the certificate if renewal is due.
    ///
    /// # Errors
    /// As for [`ensure_valid`](Self::ensure_valid). The next attempt is in an hour.
    pub(crate) fn renew_if_due(&self) -> Result<(), String> {
        let now = unix_seconds(SystemTime::now());
        let due = self.renewal_due.load(Ordering::Relaxed);
        if now < due {
            return Ok(());
        }
        // One thread wins the exchange and renews.
        let retry = now + RETRY_SECONDS;
        match self.renewal_due.compare_exchange(due, retry, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => self.ensure_valid(),
            Err(_) => Ok(()),
        }
    }

    /// Creates the key and the certificate unless they exist and renewal is not due. A lock file serializes processes.
    ///
    /// # Errors
    /// A sentence that names the directory and the remedy.
    pub(crate) fn ensure_valid(&self) -> Result<(), String> {
        let io_failed = |error: io::Error| {
            format!(
                "cannot store a certificate in {}: {error}; make the directory writable for this user",
                self.directory.display()
            )
        };
        create_private_directory(&self.directory).map_err(io_failed)?;
        let lock = File::create(self.directory.join("lock")).map_err(io_failed)?;
        lock.lock().map_err(io_failed)?;
        let PemFiles { certificate, key } = self.files();
        let now = unix_seconds(SystemTime::now());
        let pem = fs::read_to_string(&certificate).unwrap_or_default();
        let due = self
            .recorded_expiry(&pem)
            .map(|expiry: u64| expiry.saturating_sub(RENEWAL_BEFORE_EXPIRY.as_secs()));
        if let Some(due) = due
            && now < due
            && key.is_file()
        {
            self.renewal_due.store(due, Ordering::Relaxed);
            return Ok(());
        }
        let key_pair = self.load_or_create_key(&key).map_err(io_failed)?;
        let expiry = now + LIFETIME.as_secs();
        let pem = self.issue(&key_pair, now, expiry).map_err(|error| {
            format!(
                "cannot create a certificate for {}: {error}; set `hostname` to a domain name",
                self.hostname
            )
        })?;
        replace_private(&certificate, &format!("{}\n{pem}", self.note(expiry)), self.is_durable)
            .map_err(io_failed)?;
        self.renewal_due.store(expiry - RENEWAL_BEFORE_EXPIRY.as_secs(), Ordering::Relaxed);
        info!(file = %certificate.display(), "self-signed certificate created");
        Ok(())
    }

    #[cfg(test)]
    pub(crate) fn make_renewal_due(&self) {
        self.renewal_due.store(0, Ordering::Relaxed);
    }

    fn load_or_create_key(&self, path: &Path) -> io::Result<KeyPair> {
        match fs::read_to_string(path) {
            Ok(pem) => KeyPair::from_pem(&pem).map_err(io::Error::other),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let key_pair = KeyPair::generate().map_err(io::Error::other)?;
                replace_private(path, &key_pair.serialize_pem(), self.is_durable)?;
                Ok(key_pair)
            }
            Err(error) => Err(error),
        }
    }

    fn issue(&self, key_pair: &KeyPair, now: u64, expiry: u64) -> Result<String, rcgen::Error> {
        let mut parameters = CertificateParams::new(self.names())?;
        let epoch = date_time_ymd(1970, 1, 1);
        parameters.not_before = epoch + Duration::from_secs(now) - BACKDATE;
        parameters.not_after = epoch + Duration::from_secs(expiry);
        parameters.distinguished_name.push(DnType::CommonName, "Pennypost");
        parameters.is_ca = IsCa::ExplicitNoCa;
        parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        Ok(parameters.self_signed(key_pair)?.pem())
    }

    /// Subject alternative names, without a duplicate `localhost`.
    fn names(&self) -> Vec<String> {
        let mut names = vec![self.hostname.clone()];
        names.extend(["localhost", "127.0.0.1", "::1"].map(str::to_owned));
        names.dedup();
        names
    }

    fn note(&self, expiry: u64) -> String {
        format!("{}self-signed, until {expiry}", self.note_prefix())
    }

    fn note_prefix(&self) -> String {
        format!("For {}, ", self.names().join(" "))
    }

    /// Unix time at which a certificate expires, if it was issued for the current names.
    fn recorded_expiry(&self, pem: &str) -> Option<u64> {
        let note = pem.lines().next()?.strip_prefix(&self.note_prefix())?;
        note.rsplit_once(' ')?.1.parse().ok()
    }
}

fn unix_seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
