//! A certificate that signs itself, for a first try: good enough for clients that pin its fingerprint.
//!
//! It is kept with its key in `.tls` below the data directory, where only the server's own user may look. The key stays
//! for ever; the certificate is made again when it is about to end or the host has another name, and says so in the text
//! that RFC 7468 section 2 allows before the block.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{
    CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, date_time_ymd,
};
use tracing::info;

use crate::files::Files;

/// The longest that browsers take of one that nobody vouches for (825 days until 2020, 398 since).
const LIFETIME: Duration = Duration::from_hours(397 * 24);
/// So long before its end it is made again.
const RENEWED_BEFORE: Duration = Duration::from_hours(30 * 24);
/// It is good already when the other side's clock is a day behind.
const BACKDATED: Duration = Duration::from_hours(24);

#[derive(Debug)]
pub(crate) struct SelfSigned {
    folder: PathBuf,
    hostname: String,
    /// When it is to be made again, in seconds since 1970.
    due: AtomicU64,
}

impl SelfSigned {
    pub(crate) fn new(data: &Path, hostname: &str) -> Self {
        Self { folder: data.join(".tls"), hostname: hostname.to_owned(), due: AtomicU64::new(0) }
    }

    pub(crate) fn files(&self) -> Files {
        Files { certificate: self.folder.join("certificate.pem"), key: self.folder.join("key.pem") }
    }

    /// Makes the certificate again if its time has come.
    ///
    /// # Errors
    /// It cannot be written; it is tried again in an hour.
    pub(crate) fn renew(&self) -> Result<(), String> {
        let now = seconds(SystemTime::now());
        let due = self.due.load(Ordering::Relaxed);
        let again = now + 3_600;
        if now < due || self.due.compare_exchange(due, again, Ordering::Relaxed, Ordering::Relaxed).is_err() {
            return Ok(());
        }
        self.prepare()
    }

    /// Makes what is missing or due, by one process at a time.
    ///
    /// # Errors
    /// One sentence that names the folder and the remedy.
    pub(crate) fn prepare(&self) -> Result<(), String> {
        let failed = |error: io::Error| {
            format!(
                "cannot keep a certificate in {}: {error}; let this user write there",
                self.folder.display()
            )
        };
        self.make_folder().map_err(failed)?;
        let lock = File::create(self.folder.join("lock")).map_err(failed)?;
        lock.lock().map_err(failed)?;
        let Files { certificate, key } = self.files();
        let now = seconds(SystemTime::now());
        let note = fs::read_to_string(&certificate).unwrap_or_default();
        let due = self.end_noted_in(&note).map(|end| end.saturating_sub(RENEWED_BEFORE.as_secs()));
        if let Some(due) = due
            && now < due
            && key.is_file()
        {
            self.due.store(due, Ordering::Relaxed);
            return Ok(());
        }
        let pair = self.key_pair(&key).map_err(failed)?;
        let end = now + LIFETIME.as_secs();
        let pem = self.signed(&pair, now, end).map_err(|error| {
            format!(
                "cannot make a certificate for {}: {error}; set `hostname` to a domain name",
                self.hostname
            )
        })?;
        self.write(&certificate, &format!("{}\n{pem}", self.note(end))).map_err(failed)?;
        self.due.store(end - RENEWED_BEFORE.as_secs(), Ordering::Relaxed);
        info!(file = %certificate.display(), "made a certificate that signs itself");
        Ok(())
    }

    #[cfg(test)]
    pub(crate) fn make_due(&self) {
        self.due.store(0, Ordering::Relaxed);
    }

    fn make_folder(&self) -> io::Result<()> {
        match DirBuilder::new().mode(0o700).create(&self.folder) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
            _ => Ok(()),
        }
    }

    /// The key of before, or a new one.
    fn key_pair(&self, path: &Path) -> io::Result<KeyPair> {
        match fs::read_to_string(path) {
            Ok(pem) => KeyPair::from_pem(&pem).map_err(io::Error::other),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let pair = KeyPair::generate().map_err(io::Error::other)?;
                self.write(path, &pair.serialize_pem())?;
                Ok(pair)
            }
            Err(error) => Err(error),
        }
    }

    fn signed(&self, pair: &KeyPair, now: u64, end: u64) -> Result<String, rcgen::Error> {
        let mut parameters = CertificateParams::new(self.names())?;
        let epoch = date_time_ymd(1970, 1, 1);
        parameters.not_before = epoch + Duration::from_secs(now) - BACKDATED;
        parameters.not_after = epoch + Duration::from_secs(end);
        parameters.distinguished_name.push(DnType::CommonName, "Pennypost");
        parameters.is_ca = IsCa::ExplicitNoCa;
        parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        Ok(parameters.self_signed(pair)?.pem())
    }

    /// Each once: the host may be called localhost.
    fn names(&self) -> Vec<String> {
        let mut names = vec![self.hostname.clone()];
        names.extend(["localhost", "127.0.0.1", "::1"].map(str::to_owned));
        names.dedup();
        names
    }

    fn note(&self, end: u64) -> String {
        format!("For {}, made by itself, until {end}", self.names().join(" "))
    }

    /// The end of a certificate that was made for the same names, in seconds since 1970.
    fn end_noted_in(&self, pem: &str) -> Option<u64> {
        let (_, end) = pem.lines().next()?.rsplit_once(' ')?;
        let end = end.parse().ok()?;
        pem.starts_with(&format!("{}\n", self.note(end))).then_some(end)
    }

    /// Whole or not at all, for its own user only.
    fn write(&self, path: &Path, content: &str) -> io::Result<()> {
        let aside = self.folder.join("new");
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&aside)?;
        file.write_all(content.as_bytes())?;
        file.sync_all()?;
        fs::rename(&aside, path)
    }
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
