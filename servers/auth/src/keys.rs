//! The DKIM keys of this host: a file `data/.dkim/<selector>.key` for each, in PKCS #8 PEM form (RFC 5958, RFC 7468).
//!
//! Every key signs. A key pair of each algorithm is generated when there is no key at all, and at a rotation: RSA with 2048 bits for
//! the verifiers that know nothing else, and Ed25519 (RFC 8463).

use std::fmt::{self, Write as _};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt, MetadataExt as _, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use chrono::{DateTime, Utc};
use mail_auth::common::crypto::{DkimKey, Ed25519Key, RsaKey};
use mail_core::message::address::Domain;
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject as _;

/// The directory of the keys, below the data directory.
pub const DIRECTORY: &str = ".dkim";
const EXTENSION: &str = "key";
/// A signature takes space in every message and a DNS record takes time of every verifier.
const KEYS_MAX: usize = 8;
/// Permissions of users other than the owner and the group of a file.
const OTHERS: u32 = 0o007;
const PEM_LINE_OCTETS: usize = 64;

/// The keys that sign.
#[derive(Debug, Clone)]
pub struct DkimKeys(pub(crate) Vec<SigningKey>);

/// A key, its selector and its DNS record.
#[derive(Clone)]
pub(crate) struct SigningKey {
    pub(crate) selector: String,
    pub(crate) key: Arc<DkimKey>,
    record: String,
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("selector", &self.selector).finish_non_exhaustive()
    }
}

impl DkimKeys {
    /// Reads the keys below the data directory. `None`: there are none.
    ///
    /// # Errors
    /// A sentence that names the file and the remedy.
    pub fn read(data: &Path) -> Result<Option<Self>, String> {
        let directory = data.join(DIRECTORY);
        let entries = match fs::read_dir(&directory) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            entries => entries.and_then(Iterator::collect::<io::Result<Vec<_>>>),
        };
        let entries =
            entries.map_err(|error| format!("cannot read the folder {}: {error}", directory.display()))?;
        let mut files: Vec<PathBuf> = entries.iter().map(fs::DirEntry::path).collect();
        files.retain(|path| path.extension().is_some_and(|extension| extension == EXTENSION));
        files.sort_unstable_by(|one, other| one.file_stem().cmp(&other.file_stem()));
        if files.len() > KEYS_MAX {
            return Err(format!(
                "{} has {} keys; move the ones that are no longer used elsewhere, at most {KEYS_MAX} may sign",
                directory.display(),
                files.len()
            ));
        }
        let keys = files.iter().map(|path| read_key(path)).collect::<Result<Vec<_>, _>>()?;
        Ok((!keys.is_empty()).then_some(Self(keys)))
    }

    /// As [`read`](Self::read). Generates a key for each algorithm if there is none; its selector contains the date. The files are
    /// on stable storage when this returns.
    ///
    /// # Errors
    /// A sentence that names the file and the remedy.
    pub fn read_or_generate(data: &Path, now: DateTime<Utc>) -> Result<Self, String> {
        if let Some(keys) = Self::read(data)? {
            return Ok(keys);
        }
        let directory = data.join(DIRECTORY);
        generate(data, now)?;
        tracing::info!(directory = %directory.display(), "DKIM keys created; `pennypost dns` prints their DNS records");
        Self::read(data)?.ok_or_else(|| format!("the keys in {} are gone again", directory.display()))
    }

    /// Generates a key for each algorithm beside those that exist. Returns the new selectors.
    ///
    /// # Errors
    /// A sentence: there are too many keys, or a file cannot be written.
    pub fn rotate(data: &Path, now: DateTime<Utc>) -> Result<Vec<String>, String> {
        let keys = Self::read(data)?.map_or(0, |Self(keys)| keys.len());
        if keys + ALGORITHMS.len() > KEYS_MAX {
            return Err(format!(
                "there are {keys} keys, and at most {KEYS_MAX} may sign; `pennypost dkim remove` removes old ones"
            ));
        }
        generate(data, now)
    }

    /// Removes a key. Its messages can be verified as long as its DNS record exists.
    ///
    /// # Errors
    /// A sentence: there is no such key, or no other one of its algorithm; or the file cannot be removed.
    pub fn remove(data: &Path, selector: &str) -> Result<(), String> {
        let Self(keys) = Self::read(data)?.ok_or("there are no DKIM keys")?;
        let key = keys.iter().find(|key| key.selector == selector).ok_or_else(|| {
            format!("there is no key `{selector}`; `pennypost dkim list` shows the selectors of all keys")
        })?;
        let same = keys.iter().filter(|other| other.algorithm() == key.algorithm()).count();
        if same < 2 {
            return Err(format!(
                "`{selector}` is the only {} key; create another one with `pennypost dkim rotate` first",
                key.algorithm()
            ));
        }
        let directory = data.join(DIRECTORY);
        let path = directory.join(format!("{selector}.{EXTENSION}"));
        fs::remove_file(&path)
            .and_then(|()| File::open(&directory)?.sync_all())
            .map_err(|error| format!("cannot remove {}: {error}", path.display()))
    }

    /// The selectors in the directory, without reading the keys; `None` if it cannot be listed.
    pub(crate) fn selectors_in(data: &Path) -> Option<Vec<String>> {
        let entries = fs::read_dir(data.join(DIRECTORY)).ok()?;
        let mut selectors = Vec::new();
        for entry in entries {
            let path = entry.ok()?.path();
            if path.extension().is_some_and(|extension| extension == EXTENSION) {
                selectors.push(path.file_stem().unwrap_or_default().to_string_lossy().into_owned());
            }
        }
        selectors.sort_unstable();
        Some(selectors)
    }

    /// Selector and algorithm of each key.
    #[must_use]
    pub fn list(&self) -> Vec<(&str, &'static str)> {
        self.0.iter().map(|key| (key.selector.as_str(), key.algorithm())).collect()
    }

    /// Name and text of the TXT record of each key (RFC 6376 section 3.6.1).
    #[must_use]
    pub fn records(&self, domain: &Domain) -> Vec<(String, String)> {
        let Self(keys) = self;
        keys.iter()
            .map(|key| (format!("{}._domainkey.{}", key.selector, domain.ascii()), key.record.clone()))
            .collect()
    }
}

impl SigningKey {
    /// The algorithm's name in the DNS record.
    fn algorithm(&self) -> &'static str {
        let is_ed25519 = self.record.contains("k=ed25519;");
        if is_ed25519 { "ed25519" } else { "rsa" }
    }
}

/// Returns a new key in PKCS #8.
type Generator = fn() -> io::Result<Vec<u8>>;

/// Name and generator of each algorithm.
const ALGORITHMS: [(&str, Generator); 2] = [("rsa", generate_rsa), ("ed25519", generate_ed25519)];

/// Writes a key of each algorithm. A selector contains the date and, for further keys of a day, a number.
fn generate(data: &Path, now: DateTime<Utc>) -> Result<Vec<String>, String> {
    let directory = data.join(DIRECTORY);
    let failed = |error: io::Error| format!("cannot write a key to {}: {error}", directory.display());
    create_directory(data, &directory).map_err(failed)?;
    let date = now.format("%Y%m%d");
    let is_free = |suffix: &str| {
        let path = |(name, _): &(&str, _)| directory.join(format!("{name}-{date}{suffix}.{EXTENSION}"));
        ALGORITHMS.iter().all(|algorithm| !path(algorithm).exists())
    };
    let numbers = (2..).map(|number| format!("-{number}"));
    let suffix = std::iter::once(String::new()).chain(numbers).find(|suffix| is_free(suffix));
    let suffix = suffix.expect("some number is free");
    let mut selectors = Vec::new();
    for (name, generate) in ALGORITHMS {
        let selector = format!("{name}-{date}{suffix}");
        let pem = pem(&generate().map_err(failed)?);
        write(&directory, &format!("{selector}.{EXTENSION}"), &pem).map_err(failed)?;
        selectors.push(selector);
    }
    File::open(&directory).and_then(|directory| directory.sync_all()).map_err(failed)?;
    Ok(selectors)
}

fn create_directory(data: &Path, directory: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(directory) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        created => created.and_then(|()| File::open(data)?.sync_all()),
    }
}

/// Creates a file that only its owner can read. It never exists incompletely.
fn write(directory: &Path, name: &str, content: &str) -> io::Result<()> {
    // Nobody can prepare a file or a link with this name.
    let new = directory.join(format!("new-{:016x}", getrandom::u64().map_err(io::Error::other)?));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    file.write_all(content.as_bytes())?;
    file.sync_all()?;
    fs::rename(&new, directory.join(name))
}

fn generate_rsa() -> io::Result<Vec<u8>> {
    let key = RsaKeyPair::generate(KeySize::Rsa2048).map_err(io::Error::other)?;
    let der: Pkcs8V1Der<'_> = key.as_der().map_err(io::Error::other)?;
    Ok(der.as_ref().to_vec())
}

fn generate_ed25519() -> io::Result<Vec<u8>> {
    let key = Ed25519KeyPair::generate().map_err(io::Error::other)?;
    let der: Pkcs8V1Der<'_> = key.as_der().map_err(io::Error::other)?;
    Ok(der.as_ref().to_vec())
}

fn pem(der: &[u8]) -> String {
    let text = BASE64.encode(der);
    let mut pem = "-----BEGIN PRIVATE KEY-----\n".to_owned();
    for line in text.as_bytes().chunks(PEM_LINE_OCTETS) {
        let _ = writeln!(pem, "{}", String::from_utf8_lossy(line));
    }
    pem + "-----END PRIVATE KEY-----\n"
}

fn read_key(path: &Path) -> Result<SigningKey, String> {
    let selector = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    // A selector is a domain name below `_domainkey` (RFC 6376 section 3.1).
    if Domain::parse(&selector).is_err() || !selector.is_ascii() {
        return Err(format!(
            "{}: `{selector}` cannot be a DKIM selector; rename the file to letters, digits and hyphens",
            path.display()
        ));
    }
    let mode = fs::metadata(path).map(|metadata| metadata.mode());
    if mode.is_ok_and(|mode| mode & OTHERS != 0) {
        return Err(format!(
            "every user of this machine can use the DKIM key {0}; run `chmod o= {0}`",
            path.display()
        ));
    }
    let der = PrivatePkcs8KeyDer::from_pem_file(path).map_err(|error| {
        format!("cannot read the DKIM key {}: {error}; it must be a PKCS #8 PEM file", path.display())
    })?;
    let (key, record) = parse(der).ok_or_else(|| {
        format!("{} is neither an RSA key nor an Ed25519 key in PKCS #8 form", path.display())
    })?;
    Ok(SigningKey { selector, key: Arc::new(key), record })
}

/// The key and its DNS record.
fn parse(der: PrivatePkcs8KeyDer<'static>) -> Option<(DkimKey, String)> {
    let octets = der.secret_pkcs8_der();
    if let Ok(public) = Ed25519KeyPair::from_pkcs8_maybe_unchecked(octets) {
        let key = Ed25519Key::from_pkcs8_maybe_unchecked_der(octets).ok()?;
        let public = BASE64.encode(public.public_key().as_ref());
        return Some((key.into(), format!("v=DKIM1; k=ed25519; p={public}")));
    }
    let public = RsaKeyPair::from_pkcs8(octets).ok()?;
    let public: PublicKeyX509Der<'_> = public.public_key().as_der().ok()?;
    let record = format!("v=DKIM1; k=rsa; p={}", BASE64.encode(public.as_ref()));
    Some((RsaKey::from_key_der(der.into()).ok()?.into(), record))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_795_374_907, 0).expect("a valid time")
    }

    #[test]
    fn keys_are_generated_once_and_readable_by_their_owner_only() {
        let data = tempfile::tempdir().unwrap();
        assert!(DkimKeys::read(data.path()).unwrap().is_none());
        let keys = DkimKeys::read_or_generate(data.path(), now()).unwrap();
        let domain = Domain::parse("iit.edu").unwrap();
        let records = keys.records(&domain);
        let names: Vec<_> = records.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["ed25519-20261122._domainkey.iit.edu", "rsa-20261122._domainkey.iit.edu"]);
        assert!(
            records[0].1.starts_with("v=DKIM1; k=ed25519; p=") && records[0].1.len() == 66,
            "{records:?}"
        );
        assert!(
            records[1].1.starts_with("v=DKIM1; k=rsa; p=MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8A"),
            "{records:?}"
        );
        let mode = |name: &str| {
            fs::metadata(data.path().join(DIRECTORY).join(name)).unwrap().permissions().mode() & 0o777
        };
        assert_eq!([mode(""), mode("rsa-20261122.key"), mode("ed25519-20261122.key")], [0o700, 0o600, 0o600]);
        let later = now() + chrono::TimeDelta::days(1);
        assert_eq!(DkimKeys::read_or_generate(data.path(), later).unwrap().records(&domain), records);
    }

    #[test]
    fn key_that_everyone_can_read_is_refused() {
        let data = tempfile::tempdir().unwrap();
        DkimKeys::read_or_generate(data.path(), now()).unwrap();
        let path = data.path().join(DIRECTORY).join("rsa-20261122.key");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let error = DkimKeys::read(data.path()).expect_err("everyone can read it");
        assert!(error.contains("rsa-20261122.key") && error.contains("chmod o="), "{error}");
    }

    #[test]
    fn rotation_adds_keys_and_the_old_ones_are_removed_by_selector() {
        let data = tempfile::tempdir().unwrap();
        DkimKeys::read_or_generate(data.path(), now()).unwrap();
        let new = DkimKeys::rotate(data.path(), now()).unwrap();
        assert_eq!(new, ["rsa-20261122-2", "ed25519-20261122-2"]);
        let keys = DkimKeys::read(data.path()).unwrap().unwrap();
        let listed = [
            ("ed25519-20261122", "ed25519"),
            ("ed25519-20261122-2", "ed25519"),
            ("rsa-20261122", "rsa"),
            ("rsa-20261122-2", "rsa"),
        ];
        assert_eq!(keys.list(), listed);
        DkimKeys::remove(data.path(), "rsa-20261122").unwrap();
        let error = DkimKeys::remove(data.path(), "rsa-20261122-2").unwrap_err();
        assert!(error.contains("the only rsa key"), "{error}");
        for selector in ["rsa-20261122", "../User", ""] {
            let error = DkimKeys::remove(data.path(), selector).unwrap_err();
            assert!(error.contains("there is no key"), "{error}");
        }
        let left = DkimKeys::selectors_in(data.path()).unwrap();
        assert_eq!(left, ["ed25519-20261122", "ed25519-20261122-2", "rsa-20261122-2"]);
        for _ in 0..2 {
            DkimKeys::rotate(data.path(), now()).unwrap();
        }
        assert!(DkimKeys::rotate(data.path(), now()).unwrap_err().contains("at most 8"));
    }

    #[test]
    fn invalid_keys_name_the_file() {
        for (name, content, part) in [
            ("a b.key", "", "cannot be a DKIM selector"),
            ("a.key", "text", "PKCS #8 PEM"),
            ("a.key", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "neither an RSA key"),
        ] {
            let data = tempfile::tempdir().unwrap();
            fs::create_dir(data.path().join(DIRECTORY)).unwrap();
            let path = data.path().join(DIRECTORY).join(name);
            fs::write(&path, content).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
            let error = DkimKeys::read(data.path()).expect_err(name);
            assert!(error.contains(part) && error.contains(name), "{error}");
        }
    }
}
